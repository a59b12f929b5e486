//! The columns of the table that a grid was loaded from, given back by token.
//!
//! A snapshot keeps them as its attachment: [`MAGIC`] and the number of the id column, in [`HEAD`] bytes, then an Arrow IPC stream
//! of the rows of its tokens in their order. The last column of the stream are their ids, which the id column may be too narrow for.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, RecordBatch, UInt64Array, new_null_array};
use arrow_buffer::Buffer;
use arrow_cast::cast;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use arrow_select::interleave::interleave;
use ottava_spatial::{Error, TokenGrid};
use rayon::prelude::*;

use super::columns::RowsError;
use crate::gate;

/// Rows of one batch of an answer: far from what overflows 32-bit offsets of text.
const BATCH_ROWS: usize = 1 << 16;

/// How an attachment begins that holds columns.
const MAGIC: [u8; 8] = *b"columns1";

/// The bytes before the stream, a multiple of what Arrow aligns to.
const HEAD: usize = 64;

/// The columns of a grid, read from its snapshot when they are first asked for.
pub(super) struct Carried {
    /// The snapshot, if that is where they are.
    path: PathBuf,
    /// `None` inside if the attachment of the snapshot is something else.
    columns: OnceLock<Option<Columns>>,
    /// Tokens that were removed or replaced since.
    gone: HashSet<u64>,
}

/// A table, and where the row of each token is.
struct Columns {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    /// The column that the ids came from.
    id_column: usize,
    /// First row of each batch.
    starts: Vec<usize>,
    /// Ids as they were loaded, ascending, and their rows; `rows` is empty where the two orders agree.
    ids: Vec<u64>,
    rows: Vec<u32>,
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
        let columns = Columns::new(schema, batches, id_column, ids, last_counts);
        Self { path: PathBuf::new(), columns: OnceLock::from(Some(columns)), gone: HashSet::new() }
    }

    /// The columns that may be in the snapshot that a grid was opened from.
    pub(super) fn saved(grid: &TokenGrid, path: PathBuf) -> Option<Self> {
        let columns = OnceLock::new();
        (grid.attachment_len() > HEAD).then(|| Self { path, columns, gone: HashSet::new() })
    }

    /// Forgets the row of a token that was removed or replaced.
    pub(super) fn forget(&mut self, id: u64) {
        if self.columns.get().is_none_or(|columns| columns.as_ref().is_some_and(|c| c.has(id))) {
            self.gone.insert(id);
        }
    }

    /// The rows of these tokens, in this order; `None` if there are no columns after all.
    pub(super) fn take(
        &self,
        grid: &TokenGrid,
        ids: &[u64],
    ) -> Result<Option<(SchemaRef, Vec<RecordBatch>)>, RowsError> {
        match self.columns(grid)? {
            Some(columns) => Ok(Some(columns.take(ids, &self.gone)?)),
            None => Ok(None),
        }
    }

    /// The bytes to save beside the tokens of a grid.
    pub(super) fn attachment(&self, grid: &TokenGrid) -> Result<Vec<u8>, RowsError> {
        let Some(columns) = self.columns(grid)? else {
            return Ok(grid.attachment()?.to_vec());
        };
        let ids = grid.ids();
        let (schema, batches) = columns.take(&ids, &self.gone)?;
        let mut fields = schema.fields().to_vec();
        fields.push(Arc::new(Field::new("", DataType::UInt64, false)));
        let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));

        let mut bytes = vec![0; HEAD];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&(columns.id_column as u64).to_le_bytes());
        let mut stream = StreamWriter::try_new(&mut bytes, &schema)?;
        let mut ids = &ids[..];
        for batch in batches {
            let (here, rest) = ids.split_at(batch.num_rows());
            let mut arrays = batch.columns().to_vec();
            arrays.push(Arc::new(UInt64Array::from(here.to_vec())));
            stream.write(&RecordBatch::try_new(Arc::clone(&schema), arrays)?)?;
            ids = rest;
        }
        stream.finish()?;
        drop(stream);
        Ok(bytes)
    }

    /// The bytes of the columns; 0 while they are in the snapshot only.
    pub(super) fn memory(&self) -> usize {
        let columns = self.columns.get().and_then(Option::as_ref);
        columns.map_or(0, |columns| {
            let batches = columns.batches.iter().map(RecordBatch::get_array_memory_size);
            batches.sum::<usize>() + size_of_val(&columns.ids[..]) + size_of_val(&columns.rows[..])
        })
    }

    fn columns(&self, grid: &TokenGrid) -> Result<Option<&Columns>, RowsError> {
        if let Some(columns) = self.columns.get() {
            return Ok(columns.as_ref());
        }
        let damaged = |problem: String| {
            let section = "attachment".to_owned();
            RowsError::Grid(Error::Snapshot { path: self.path.clone(), section, problem })
        };
        let columns = match grid.attachment()?.split_first_chunk::<HEAD>() {
            Some((head, stream)) if head[..8] == MAGIC => {
                let id_column = u64::from_le_bytes(std::array::from_fn(|i| head[8 + i]));
                // Copied: what is read from a mapped file may change, and text must not.
                let stream = Buffer::from(stream.to_vec());
                // What no one else wrote, the decoder may panic on.
                let read = gate::caught(|| Columns::read(id_column as usize, stream));
                let read = read.map_err(damaged)?;
                Some(read.map_err(|error| damaged(error.to_string()))?)
            }
            _ => None,
        };
        Ok(self.columns.get_or_init(|| columns).as_ref())
    }
}

impl Columns {
    fn new(
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
        Self { schema, batches, id_column, starts, ids, rows }
    }

    /// From the stream of a snapshot.
    fn read(id_column: usize, mut stream: Buffer) -> Result<Self, ArrowError> {
        let wrong = |what: &str| ArrowError::IpcError(what.to_owned());
        let mut decoder = StreamDecoder::new();
        let (mut batches, mut ids) = (Vec::new(), Vec::new());
        while !stream.is_empty() {
            let Some(mut batch) = decoder.decode(&mut stream)? else { continue };
            let last = batch.num_columns().checked_sub(1).ok_or_else(|| wrong("no columns"))?;
            let of_batch = batch.remove_column(last);
            let of_batch = of_batch.as_primitive_opt::<UInt64Type>();
            ids.extend_from_slice(of_batch.ok_or_else(|| wrong("no ids"))?.values());
            batches.push(batch);
        }
        let schema = decoder.schema().ok_or_else(|| wrong("no schema"))?;
        decoder.finish()?;
        let fields = schema.fields();
        if id_column >= fields.len().saturating_sub(1) {
            return Err(wrong("no id column"));
        }
        let fields = fields[..fields.len() - 1].to_vec();
        let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
        Ok(Self::new(schema, batches, id_column, ids, false))
    }

    fn has(&self, id: u64) -> bool {
        self.ids.binary_search(&id).is_ok()
    }

    /// The row of a token, unless it was inserted later.
    fn row(&self, id: u64, gone: &HashSet<u64>) -> Option<usize> {
        let at = self.ids.binary_search(&id).ok()?;
        if !gone.is_empty() && gone.contains(&id) {
            return None;
        }
        Some(self.rows.get(at).map_or(at, |&row| row as usize))
    }

    /// The rows of these tokens, in this order. A token that was inserted later has its id and nulls; if the id column is too
    /// narrow for such an id, it is one of unsigned 64-bit integers here.
    ///
    /// Where that is the whole table in its own order, it is given back as it is.
    fn take(
        &self,
        ids: &[u64],
        gone: &HashSet<u64>,
    ) -> Result<(SchemaRef, Vec<RecordBatch>), ArrowError> {
        let rows: Vec<Option<usize>> = ids.par_iter().map(|&id| self.row(id, gone)).collect();
        let total: usize = self.batches.iter().map(RecordBatch::num_rows).sum();
        if ids.len() == total && rows.iter().enumerate().all(|(at, row)| *row == Some(at)) {
            return Ok((Arc::clone(&self.schema), self.batches.clone()));
        }
        let later = ids.iter().zip(&rows).filter(|(_, row)| row.is_none()).map(|(&id, _)| id).max();
        let schema = match later {
            Some(largest) => self.nullable(largest)?,
            None => Arc::clone(&self.schema),
        };
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

    /// The schema of rows with nulls, and ids up to `largest`.
    fn nullable(&self, largest: u64) -> Result<SchemaRef, ArrowError> {
        let id_type = self.schema.field(self.id_column).data_type();
        let narrow = cast(&UInt64Array::from(vec![largest]), id_type)?.null_count() > 0;
        let fields = self.schema.fields().iter().enumerate();
        let fields: Vec<_> = fields
            .map(|(at, field)| {
                let mut field = field.as_ref().clone().with_nullable(true);
                if narrow && at == self.id_column {
                    field.set_data_type(DataType::UInt64);
                }
                Arc::new(field)
            })
            .collect();
        Ok(Arc::new(Schema::new_with_metadata(fields, self.schema.metadata().clone())))
    }
}
