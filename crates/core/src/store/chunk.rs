//! The rows of one record batch, and which of them still count.

use std::sync::{Arc, OnceLock};

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::BooleanBuffer;
use arrow_schema::ArrowError;
use arrow_select::filter::filter;

use super::ids::{Hashing, Id, Ids};

/// Rows that were taken in together. It does not change; a chunk with fewer rows takes its place.
#[derive(Debug)]
pub(super) struct Chunk {
    /// Slot of its first row.
    first: u32,
    /// Slots of its rows, where some are missing in between.
    slots: Option<Vec<u32>>,
    rows: usize,
    /// One array for each column of the store; `None` if there was no such column yet.
    columns: Vec<Option<ArrayRef>>,
    ids: Ids,
    id_column: usize,
    /// Rows that count, where not all do.
    alive: Option<BooleanBuffer>,
    /// The columns without the rows that do not count, made when they are first asked for.
    live: OnceLock<Vec<Option<ArrayRef>>>,
}

impl Chunk {
    pub(super) fn new(
        first: u32,
        rows: usize,
        columns: Vec<Option<ArrayRef>>,
        ids: Ids,
        id_column: usize,
    ) -> Self {
        Self {
            first,
            slots: None,
            rows,
            columns,
            ids,
            id_column,
            alive: None,
            live: OnceLock::new(),
        }
    }

    /// Slot of the first row.
    pub(super) fn first(&self) -> u32 {
        self.first
    }

    /// The id of a row.
    pub(super) fn id(&self, row: usize) -> Id<'_> {
        self.ids.get(row)
    }

    /// The hashes of the ids from row `first` on.
    pub(super) fn hash(&self, hashing: &Hashing, first: usize, out: &mut [u32]) {
        self.ids.hash(hashing, first, out);
    }

    /// All rows, those that do not count as well.
    pub(super) fn all_rows(&self) -> usize {
        self.rows
    }

    /// How many rows count.
    pub(super) fn live_rows(&self) -> usize {
        self.alive.as_ref().map_or(self.rows, BooleanBuffer::count_set_bits)
    }

    /// The row of a slot.
    pub(super) fn row(&self, slot: u32) -> Option<usize> {
        match &self.slots {
            None => Some((slot - self.first) as usize).filter(|row| *row < self.rows),
            Some(slots) => slots.binary_search(&slot).ok(),
        }
    }

    /// The slot of a row.
    pub(super) fn slot(&self, row: usize) -> u32 {
        self.slots.as_ref().map_or(self.first + row as u32, |slots| slots[row])
    }

    /// Rows that count, in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        let counts = |row: &usize| self.alive.as_ref().is_none_or(|alive| alive.value(*row));
        (0..self.rows).filter(counts)
    }

    /// A column with all of its rows.
    pub(super) fn raw(&self, column: usize) -> Option<&ArrayRef> {
        self.columns.get(column)?.as_ref()
    }

    /// A column with the rows that count.
    pub(super) fn column(&self, column: usize) -> Result<Option<ArrayRef>, ArrowError> {
        let Some(alive) = &self.alive else { return Ok(self.raw(column).cloned()) };
        if let Some(live) = self.live.get() {
            return Ok(live.get(column).cloned().flatten());
        }
        let live = self.filtered(alive)?;
        Ok(self.live.get_or_init(|| live).get(column).cloned().flatten())
    }

    fn filtered(&self, alive: &BooleanBuffer) -> Result<Vec<Option<ArrayRef>>, ArrowError> {
        let mask = BooleanArray::new(alive.clone(), None);
        self.columns.iter().map(|c| c.as_ref().map(|c| filter(c, &mask)).transpose()).collect()
    }

    /// The chunk without the rows in `dead`. If then less than half of it counts, the rest is copied out.
    pub(super) fn without(&self, dead: &[usize]) -> Result<Self, ArrowError> {
        let mut bits = match &self.alive {
            Some(alive) => alive.iter().collect(),
            None => vec![true; self.rows],
        };
        for row in dead {
            bits[*row] = false;
        }
        let alive = BooleanBuffer::from(bits);
        let rows = alive.count_set_bits();
        if rows * 2 < self.rows {
            let columns = self.filtered(&alive)?;
            let slots = alive.set_indices().map(|row| self.slot(row)).collect();
            if let Some(ids) = columns[self.id_column].as_ref().and_then(Ids::new) {
                return Ok(Self {
                    first: self.first,
                    slots: Some(slots),
                    rows,
                    columns,
                    ids,
                    id_column: self.id_column,
                    alive: None,
                    live: OnceLock::new(),
                });
            }
        }
        Ok(Self {
            first: self.first,
            slots: self.slots.clone(),
            rows: self.rows,
            columns: self.columns.clone(),
            ids: self.ids.clone(),
            id_column: self.id_column,
            alive: Some(alive),
            live: OnceLock::new(),
        })
    }

    /// Bytes of the columns, counted once for each array that shares a buffer.
    pub(super) fn bytes(&self) -> usize {
        let size = |array: &ArrayRef| array.to_data().get_slice_memory_size().unwrap_or(0);
        self.columns.iter().flatten().map(size).sum()
    }
}

/// The chunk that a slot is in, and its row there.
pub(super) fn locate(chunks: &[Arc<Chunk>], slot: u32) -> Option<(&Chunk, usize)> {
    let at = chunks.partition_point(|chunk| chunk.first <= slot).checked_sub(1)?;
    let chunk = &chunks[at];
    Some((chunk, chunk.row(slot)?))
}
