//! From the bytes of a segment to record batches that point into them.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::MetadataVersion;
use arrow_ipc::reader::FileDecoder;
use arrow_schema::{ArrowError, SchemaRef};

use super::check::{Footer, Limits, Parts, check};
use super::error::HandoverError;

/// Reads the batches of an Arrow IPC file without copying: their arrays keep `file` alive.
///
/// Everything is validated: structure, bounds, offsets, UTF-8, dictionary keys.
///
/// # Errors
///
/// [`HandoverError::Malformed`] with the part that is wrong, [`HandoverError::TooLarge`].
pub fn read_file(
    file: &Buffer,
    limits: &Limits,
) -> Result<(SchemaRef, Vec<RecordBatch>), HandoverError> {
    // SAFETY: with `trust` off nothing is taken for granted.
    unsafe { decode(file, limits, false, &mut None) }
}

/// Reads the batches of an Arrow IPC file; with `trust`, checks structure and bounds but not the contents of arrays. `last` is
/// as for [`check`].
///
/// # Safety
///
/// With `trust`, the contents must be what a correct writer wrote: offsets in order, strings UTF-8, keys in range.
pub(super) unsafe fn decode(
    file: &Buffer,
    limits: &Limits,
    trust: bool,
    last: &mut Option<Arc<Footer>>,
) -> Result<(SchemaRef, Vec<RecordBatch>), HandoverError> {
    // The checks leave nothing that the decoder is known to panic on; a panic all the same must not reach the caller.
    let attempt = AssertUnwindSafe(|| {
        let Parts { footer, proved } = check(file, limits, !trust, last)?;
        let schema = footer.schema.clone();
        let decoder =
            FileDecoder::new(schema.clone(), MetadataVersion::V5).with_require_alignment(true);
        // SAFETY: the caller vouches for the contents where `trust` is on, `check` where it has proved them.
        let mut decoder = unsafe { decoder.with_skip_validation(trust || proved) };
        let block_of = |block: &arrow_ipc::Block| {
            let length = block.metaDataLength() as usize + block.bodyLength() as usize;
            file.slice_with_length(block.offset() as usize, length)
        };
        for (i, block) in footer.dictionaries.iter().enumerate() {
            decoder
                .read_dictionary(block, &block_of(block))
                .map_err(|err| invalid(&format!("dictionary {i}"), &err))?;
        }
        let mut batches = Vec::with_capacity(footer.batches.len());
        for (i, block) in footer.batches.iter().enumerate() {
            let batch = decoder
                .read_record_batch(block, &block_of(block))
                .map_err(|err| invalid(&format!("batch {i}"), &err))?;
            batches.extend(batch);
        }
        Ok((schema, batches))
    });
    catch_unwind(attempt)
        .unwrap_or_else(|_| Err(HandoverError::malformed("file", "the decoder gave up on it")))
}

fn invalid(place: &str, err: &ArrowError) -> HandoverError {
    HandoverError::malformed(place, err.to_string())
}
