//! The columns of the table that a grid was loaded from, given back by token.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, UInt64Array, new_null_array};
use arrow_cast::cast;
use arrow_schema::{ArrowError, Schema, SchemaRef};
use arrow_select::interleave::interleave;
use rayon::prelude::*;

/// Rows of one batch of an answer: far from what overflows 32-bit offsets of text.
const BATCH_ROWS: usize = 1 << 16;

/// A table, and where the row of each token is.
pub(super) struct Carried {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    /// The column that the ids came from.
    id_column: usize,
    /// First row of each batch.
    starts: Vec<usize>,
    /// Ids as they were loaded, ascending, and their rows; `rows` is empty where the two orders agree.
    ids: Vec<u64>,
    rows: Vec<u32>,
    /// Loaded tokens that were removed or replaced since.
    gone: HashSet<u64>,
}

impl Carried {
    /// Remembers a table whose ids are `ids`, in rows. Of a repeated id, the first row counts, or the last.
    pub(super) fn new(
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
        id_column: usize,
        ids: Vec<u64>,
        last_counts: bool,
    ) -> Self {
        let mut starts = Vec::with_capacity(batches.len());
        let mut next = 0;
        for batch in &batches {
            starts.push(next);
            next += batch.num_rows();
        }
        let (ids, rows) = if ids.is_sorted_by(|a, b| a < b) {
            (ids, Vec::new())
        } else {
            // Grids hold fewer than 2^32 tokens.
            let mut rows: Vec<u32> = (0..ids.len() as u32).collect();
            rows.par_sort_unstable_by_key(|&row| {
                (ids[row as usize], if last_counts { !row } else { row })
            });
            rows.dedup_by_key(|row| ids[*row as usize]);
            (rows.iter().map(|&row| ids[row as usize]).collect(), rows)
        };
        Self { schema, batches, id_column, starts, ids, rows, gone: HashSet::new() }
    }

    /// Forgets the row of a token that was removed or replaced.
    pub(super) fn forget(&mut self, id: u64) {
        if self.ids.binary_search(&id).is_ok() {
            self.gone.insert(id);
        }
    }

    /// The row of a token, unless it was inserted later.
    fn row(&self, id: u64) -> Option<usize> {
        let at = self.ids.binary_search(&id).ok()?;
        if !self.gone.is_empty() && self.gone.contains(&id) {
            return None;
        }
        Some(self.rows.get(at).map_or(at, |&row| row as usize))
    }

    /// The rows of these tokens, in this order. A token that was inserted later has its id and nulls.
    ///
    /// Where that is the whole table in its own order, it is given back as it is.
    pub(super) fn take(&self, ids: &[u64]) -> Result<(SchemaRef, Vec<RecordBatch>), ArrowError> {
        let rows: Vec<Option<usize>> = ids.par_iter().map(|&id| self.row(id)).collect();
        let total: usize = self.batches.iter().map(RecordBatch::num_rows).sum();
        if ids.len() == total && rows.iter().enumerate().all(|(at, row)| *row == Some(at)) {
            return Ok((Arc::clone(&self.schema), self.batches.clone()));
        }
        let schema = if rows.contains(&None) { self.nullable() } else { Arc::clone(&self.schema) };
        let nulls: Vec<ArrayRef> =
            schema.fields().iter().map(|field| new_null_array(field.data_type(), 1)).collect();
        let batches = ids
            .par_chunks(BATCH_ROWS)
            .zip(rows.par_chunks(BATCH_ROWS))
            .map(|(ids, rows)| self.gather(&schema, &nulls, ids, rows))
            .collect::<Result<_, _>>()?;
        Ok((schema, batches))
    }

    fn gather(
        &self,
        schema: &SchemaRef,
        nulls: &[ArrayRef],
        ids: &[u64],
        rows: &[Option<usize>],
    ) -> Result<RecordBatch, ArrowError> {
        // A missing row is the one row of the array after the last batch.
        let places: Vec<(usize, usize)> = rows
            .iter()
            .map(|row| match row {
                None => (self.batches.len(), 0),
                Some(row) => {
                    let batch = self.starts.partition_point(|start| start <= row) - 1;
                    (batch, row - self.starts[batch])
                }
            })
            .collect();
        let mut columns = Vec::with_capacity(schema.fields().len());
        for (at, field) in schema.fields().iter().enumerate() {
            if at == self.id_column {
                columns.push(cast(&UInt64Array::from(ids.to_vec()), field.data_type())?);
                continue;
            }
            let mut chunks: Vec<&dyn Array> =
                self.batches.iter().map(|batch| batch.column(at).as_ref()).collect();
            chunks.push(nulls[at].as_ref());
            columns.push(interleave(&chunks, &places)?);
        }
        RecordBatch::try_new(Arc::clone(schema), columns)
    }

    fn nullable(&self) -> SchemaRef {
        let fields = self.schema.fields().iter();
        let fields: Vec<_> =
            fields.map(|field| Arc::new(field.as_ref().clone().with_nullable(true))).collect();
        Arc::new(Schema::new_with_metadata(fields, self.schema.metadata().clone()))
    }
}
