//! From the bytes of a segment to record batches that point into them.
#![allow(unsafe_code)]

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::MetadataVersion;
use arrow_ipc::reader::FileDecoder;
use arrow_schema::{ArrowError, SchemaRef};

use super::check::{Footer, Limits, MAGIC, Parts, check};
use super::error::HandoverError;
use super::skeleton::Skeleton;

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
    unsafe { decode(file, limits, false, &mut Last::default()) }
}

/// What is remembered of the file before, which the next one often repeats but for its contents.
#[derive(Debug, Default)]
pub(super) struct Last {
    footer: Option<Arc<Footer>>,
    skeleton: Option<Skeleton>,
}

/// Reads the batches of an Arrow IPC file; with `trust`, checks structure and bounds but not the contents of arrays, and
/// nothing that is what it was in the file before.
///
/// # Safety
///
/// With `trust`, the contents must be what a correct writer wrote: offsets in order, strings UTF-8, keys in range.
pub(super) unsafe fn decode(
    file: &Buffer,
    limits: &Limits,
    trust: bool,
    last: &mut Last,
) -> Result<(SchemaRef, Vec<RecordBatch>), HandoverError> {
    // The checks leave nothing that the decoder is known to panic on; a panic all the same must not reach the caller.
    let attempt = AssertUnwindSafe(|| {
        if let (true, Some(footer), Some(skeleton)) = (trust, &last.footer, &last.skeleton)
            && skeleton.fits(file)
        {
            // SAFETY: it fits, and the caller vouches for the contents.
            let batches = unsafe { skeleton.flesh(file, &footer.schema) };
            return Ok((footer.schema.clone(), batches));
        }
        let before = last.footer.clone();
        let Parts { footer, proved } = check(file, limits, !trust, &mut last.footer)?;
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
        // A footer that is there for the second time is likely to come again.
        let again = before.is_some_and(|before| Arc::ptr_eq(&before, &footer));
        last.skeleton =
            if trust && again { Skeleton::of(&batches, file, says(file, &footer)) } else { None };
        Ok((schema, batches))
    });
    catch_unwind(attempt)
        .unwrap_or_else(|_| Err(HandoverError::malformed("file", "the decoder gave up on it")))
}

/// The places of what says where the arrays of a file lie.
fn says(file: &[u8], footer: &Footer) -> impl Iterator<Item = Range<usize>> {
    let messages = footer.dictionaries.iter().chain(&footer.batches).map(|block| {
        let start = block.offset() as usize;
        start..start + block.metaDataLength() as usize
    });
    // The footer, its length, and the magic at the end.
    let end = file.len() - footer.bytes.len() - 4 - MAGIC.len();
    messages.chain(std::iter::once(end..file.len()))
}

fn invalid(place: &str, err: &ArrowError) -> HandoverError {
    HandoverError::malformed(place, err.to_string())
}
