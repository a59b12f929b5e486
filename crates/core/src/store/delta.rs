//! What a batch changes, for those who keep something in step with a store.

use std::sync::Arc;

use crate::point::AXES;

use super::chunk::{Chunk, locate};
use super::coordinates::Coordinates;
use super::error::StoreError;
use super::ids::Id;
use super::table::Column;

/// Records that are about to come and to go.
///
/// A record has a key: its id, where ids are integers, and else the number of its row in the life of the store.
pub struct Delta<'a> {
    /// The chunks that come, as they will be.
    added: &'a [Arc<Chunk>],
    /// Slots that go, of chunks that are there already.
    removed: &'a [u32],
    before: &'a [Arc<Chunk>],
    columns: &'a [Column],
    id: &'a str,
}

impl<'a> Delta<'a> {
    pub(super) fn new(
        added: &'a [Arc<Chunk>],
        removed: &'a [u32],
        before: &'a [Arc<Chunk>],
        columns: &'a [Column],
        id: &'a str,
    ) -> Self {
        Self { added, removed, before, columns, id }
    }

    /// How many records come.
    #[must_use]
    pub fn added_rows(&self) -> usize {
        self.added.iter().map(|chunk| chunk.live_rows()).sum()
    }

    /// The keys of the records that go.
    #[must_use]
    pub fn removed(&self) -> Vec<u64> {
        let key = |slot: &u32| {
            let (chunk, row) = locate(self.before, *slot)?;
            key_of(chunk, row)
        };
        self.removed.iter().filter_map(key).collect()
    }

    /// The keys and the places of the records that come. The store has checked that the places are proper.
    ///
    /// # Errors
    ///
    /// [`StoreError::Range`] for an id that is negative or `u64::MAX`, which are no keys; [`StoreError::NoColumn`],
    /// [`StoreError::Coordinates`] and [`StoreError::Coordinate`] for coordinates that the store was not told to watch.
    pub fn added(
        &self,
        coordinates: &Coordinates,
    ) -> Result<(Vec<u64>, Vec<[f32; AXES]>), StoreError> {
        let columns = coordinates.find(self.columns)?;
        let rows = self.added_rows();
        let (mut keys, mut places) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        let mut offset = 0;
        for chunk in self.added {
            let arrays: Vec<_> = columns.iter().filter_map(|column| chunk.raw(*column)).collect();
            if arrays.len() != columns.len() {
                // A chunk from before the column was there.
                let column = coordinates.columns().first().cloned().unwrap_or_default();
                return Err(StoreError::Coordinate {
                    row: offset,
                    column,
                    value: "null".to_owned(),
                });
            }
            let axes = coordinates.read(&arrays).map_err(|err| err.moved(offset))?;
            for row in chunk.rows() {
                let key = key_of(chunk, row).ok_or_else(|| StoreError::Range {
                    row: offset + row,
                    column: self.id.to_owned(),
                    value: chunk.id(row).to_string(),
                    expected: "a token id, 0 to 2^64 - 2".to_owned(),
                })?;
                keys.push(key);
                places.push(axes.position(row));
            }
            offset += chunk.all_rows();
        }
        Ok((keys, places))
    }
}

/// The key of a record.
pub(super) fn key_of(chunk: &Chunk, row: usize) -> Option<u64> {
    match chunk.id(row) {
        Id::Int(id) => u64::try_from(id).ok().filter(|id| *id != crate::token::NO_TOKEN),
        Id::Text(_) => Some(chunk.slot(row).into()),
    }
}
