//! A received table, and what gives its slot back.
#![allow(unsafe_code)]

use std::ptr::NonNull;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_schema::SchemaRef;

use super::check::Limits;
use super::client::Connection;
use super::error::HandoverError;
use super::memory::Mapping;
use super::read::{Last, decode};

/// A table that another process handed over. Its columns point into the segment.
///
/// Dropping the table and every slice of every column of it gives the slot back to the producer, and that is what
/// acknowledges the table.
#[derive(Debug)]
pub struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    file: Buffer,
}

impl Table {
    /// Reads the `bytes` bytes that `lease` holds. With `trust`, contents are not validated.
    ///
    /// # Safety
    ///
    /// As for [`decode`].
    pub(super) unsafe fn read(
        lease: Lease,
        bytes: usize,
        limits: &Limits,
        trust: bool,
        last: &mut Last,
    ) -> Result<Self, HandoverError> {
        let start = lease.pages.start();
        assert!(bytes <= lease.pages.len());
        // SAFETY: `start` is valid for `bytes` bytes by the assertion, as long as `lease` lives, which the buffer holds.
        let file = unsafe { Buffer::from_custom_allocation(start, bytes, Arc::new(lease)) };
        // SAFETY: the caller vouches for what `trust` takes for granted.
        let (schema, batches) = unsafe { decode(&file, limits, trust, last) }?;
        Ok(Self { schema, batches, file })
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The record batches, in order.
    #[must_use]
    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// The number of rows of all batches.
    #[must_use]
    pub fn num_rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Size of the segment in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.file.len()
    }

    /// The same table in memory of this process alone; the slot goes back unless slices are kept elsewhere. Copies the
    /// segment once.
    ///
    /// # Errors
    ///
    /// None that a valid table can cause.
    pub fn detach(self) -> Result<Self, HandoverError> {
        let mut copy = arrow_buffer::MutableBuffer::with_capacity(self.file.len());
        copy.extend_from_slice(&self.file);
        let file = Buffer::from(copy);
        // It was read within these limits before, whatever they were.
        let limits =
            Limits { bytes: u64::MAX, batches: usize::MAX, rows: u64::MAX, viewed_bytes: u64::MAX };
        // SAFETY: the same bytes were validated, or vouched for by whoever asked for trusted mode, when they were received.
        let (schema, batches) = unsafe { decode(&file, &limits, true, &mut Last::default()) }?;
        Ok(Self { schema, batches, file })
    }
}

/// The bytes of a received segment.
#[derive(Debug)]
pub(super) enum ReceivedPages {
    /// Mapped.
    Shared(Arc<Mapping>),
    /// Copied, because they could not be sealed.
    Own(Buffer),
}

impl ReceivedPages {
    fn start(&self) -> NonNull<u8> {
        match self {
            Self::Shared(mapping) => mapping.start(),
            Self::Own(buffer) => NonNull::from(buffer.as_slice()).cast(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Shared(mapping) => mapping.len(),
            Self::Own(buffer) => buffer.len(),
        }
    }
}

/// The right to read a segment. Its drop gives the slot back.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) connection: Arc<Connection>,
    pub(super) slot: u32,
    pub(super) generation: u64,
    pub(super) pages: ReceivedPages,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.connection.release(self.slot, self.generation);
    }
}
