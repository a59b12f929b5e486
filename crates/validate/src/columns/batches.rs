//! NDJSON to Arrow: all at once, or piece by piece from a reader.

use std::io::Read;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use ottava_core::arrow::MappingError;
use rayon::prelude::*;

use super::issues::RowIssues;
use super::ndjson::{Chunk, Lines, check_chunk};
use super::output::ColumnOutput;
use crate::error::SchemaError;
use crate::schema::Schema;

/// How NDJSON is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchOptions {
    /// Threads to check rows with; 0, the default, takes as many as the current rayon pool has.
    pub threads: usize,
    /// Bytes of text behind one record batch, roughly. Default 1 MiB; a text of a few MiB that is there as a whole has more batches
    /// than that. Batches do not depend on the number of threads.
    pub chunk_bytes: usize,
    /// Most issues kept; the rest is counted. Default 1 000 000.
    pub max_issues: usize,
    /// Overrides what the declaration says about conversion.
    pub strict: Option<bool>,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self { threads: 0, chunk_bytes: 1 << 20, max_issues: 1_000_000, strict: None }
    }
}

/// The result of checking many rows.
#[derive(Debug, Clone, PartialEq)]
pub struct ArrowBatches {
    /// The Arrow schema of the batches.
    pub schema: SchemaRef,
    /// The good rows, in order. Batches without rows are left out.
    pub batches: Vec<RecordBatch>,
    /// What is wrong with the others.
    pub issues: RowIssues,
    /// Rows that were read; empty lines are none.
    pub rows_read: u64,
    /// Rows that are in the batches.
    pub rows_good: u64,
}

/// Why rows could not be turned into columns at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ColumnsError {
    /// The declaration has no Arrow schema.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The schema cannot run here.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// Arrow refuses the columns.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// The reader failed.
    #[error("reading rows: {0}")]
    Read(#[from] std::io::Error),
    /// The threads could not be started.
    #[error("starting threads: {0}")]
    Threads(String),
    /// The host's pattern engine could not say whether a row is right, and the reason is lost with the thread: the host should check the
    /// row again where it can raise.
    #[error("row {row}: the host could not look for a pattern")]
    Host {
        /// Number of the row, from 0.
        row: u64,
        /// Its text.
        text: Vec<u8>,
    },
}

/// Pieces that a text of a few MiB has at least, for threads to have as much each, whatever their number.
const SHARES: usize = 8;

/// Bytes of a piece that are worth a thread's attention.
const LEAST_PIECE: usize = 1 << 17;

impl Schema {
    /// Checks rows of NDJSON in many threads: the good ones become record batches, the others a list of issues. No row aborts
    /// the rest, and the result does not depend on the number of threads.
    ///
    /// A row is a line that is not blank; lines end with `\n` or `\r\n`.
    ///
    /// # Errors
    /// [`ColumnsError`] if the declaration has no columns, needs a host, or threads cannot be started, or a pattern engine of the
    /// host fails; never because of what a row holds.
    pub fn ndjson_to_arrow(
        &self,
        bytes: &[u8],
        options: &BatchOptions,
    ) -> Result<ArrowBatches, ColumnsError> {
        self.ndjson_to_arrow_while(bytes, options, || true)
    }

    /// As [`Schema::ndjson_to_arrow`], as long as `goes_on`, which is asked before each piece of the text; once it says no, the rest is not
    /// read.
    ///
    /// # Errors
    /// As [`Schema::ndjson_to_arrow`].
    pub fn ndjson_to_arrow_while(
        &self,
        bytes: &[u8],
        options: &BatchOptions,
        goes_on: impl Fn() -> bool + Sync,
    ) -> Result<ArrowBatches, ColumnsError> {
        let mut reader = self.ndjson_reader(std::io::empty(), options.clone())?;
        let mut all = reader.nothing();
        let share = (bytes.len() / SHARES).max(LEAST_PIECE);
        reader.check(bytes, options.chunk_bytes.min(share), goes_on, &mut all)?;
        Ok(all)
    }

    /// Checks rows of NDJSON from a reader, piece by piece with bounded memory. Each item is the result of one piece; row
    /// numbers run on.
    ///
    /// # Errors
    /// As [`Schema::ndjson_to_arrow`].
    pub fn ndjson_reader<R: Read>(
        &self,
        reader: R,
        options: BatchOptions,
    ) -> Result<NdjsonReader<'_, R>, ColumnsError> {
        if !self.runs_alone() {
            return Err(SchemaError::NeedsHost.into());
        }
        let schema = ColumnOutput::new(self.declaration())?.schema().clone();
        let pool = match options.threads {
            0 | 1 => None,
            threads => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                Some(pool.map_err(|error| ColumnsError::Threads(error.to_string()))?)
            }
        };
        let lines = Lines::new(reader, self.limits().row_bytes);
        Ok(NdjsonReader {
            schema: self,
            arrow: schema,
            options,
            pool,
            lines,
            rows: 0,
            line: 0,
            kept: 0,
            done: false,
        })
    }
}

/// Checks rows of NDJSON from a reader. See [`Schema::ndjson_reader`].
#[derive(Debug)]
pub struct NdjsonReader<'s, R> {
    schema: &'s Schema,
    arrow: SchemaRef,
    options: BatchOptions,
    pool: Option<rayon::ThreadPool>,
    lines: Lines<R>,
    rows: u64,
    line: u64,
    kept: usize,
    done: bool,
}

impl<R: Read> NdjsonReader<'_, R> {
    /// The Arrow schema of the batches.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.arrow
    }

    fn nothing(&self) -> ArrowBatches {
        ArrowBatches {
            schema: self.arrow.clone(),
            batches: Vec::new(),
            issues: RowIssues::default(),
            rows_read: 0,
            rows_good: 0,
        }
    }

    /// Checks whole lines, about `size` bytes at a time, as long as `goes_on`, and adds the result to `all`.
    fn check(
        &mut self,
        bytes: &[u8],
        size: usize,
        goes_on: impl Fn() -> bool + Sync,
        all: &mut ArrowBatches,
    ) -> Result<(), ColumnsError> {
        let pieces = split(bytes, size);
        let (schema, options) = (self.schema, &self.options);
        let one = |piece: &&[u8]| goes_on().then(|| check_chunk(schema, piece, options));
        let parallel = || pieces.par_iter().map(one).collect::<Vec<_>>();
        let chunks: Vec<Option<Result<Chunk, ColumnsError>>> = match &self.pool {
            _ if options.threads == 1 || pieces.len() < 2 => pieces.iter().map(one).collect(),
            Some(pool) => pool.install(parallel),
            None => parallel(),
        };
        // What comes after a piece that was not read has no row numbers.
        for chunk in chunks.into_iter().map_while(|chunk| chunk) {
            let chunk = chunk.map_err(|error| match error {
                ColumnsError::Host { row, text } => {
                    ColumnsError::Host { row: self.rows + row, text }
                }
                other => other,
            })?;
            self.add(chunk, all);
        }
        Ok(())
    }

    fn add(&mut self, mut chunk: Chunk, all: &mut ArrowBatches) {
        for found in &mut chunk.issues.list {
            found.row += self.rows;
            found.line += self.line;
        }
        self.rows += chunk.rows;
        self.line += chunk.lines;
        let room = self.options.max_issues.saturating_sub(self.kept);
        let before = all.issues.list.len();
        all.issues.extend(chunk.issues, before + room);
        self.kept += all.issues.list.len() - before;
        all.rows_read += chunk.rows;
        all.rows_good += chunk.batch.num_rows() as u64;
        if chunk.batch.num_rows() > 0 {
            all.batches.push(chunk.batch);
        }
    }

    fn piece(&mut self) -> Result<Option<ArrowBatches>, ColumnsError> {
        let threads = match (&self.pool, self.options.threads) {
            (Some(pool), _) => pool.current_num_threads(),
            (None, 1) => 1,
            (None, _) => rayon::current_num_threads(),
        };
        let want = self.options.chunk_bytes.saturating_mul(threads).max(1);
        let mut lines = std::mem::take(&mut self.lines.buffer);
        let read = self.lines.fill(&mut lines, want)?;
        let result = match read {
            None => None,
            Some(read) => {
                let mut all = self.nothing();
                self.check(&lines[..read.whole], self.options.chunk_bytes, || true, &mut all)?;
                if let Some(found) = read.too_long {
                    self.add(Chunk::too_long(&self.arrow, found), &mut all);
                }
                lines.drain(..read.used);
                Some(all)
            }
        };
        self.lines.buffer = lines;
        Ok(result)
    }
}

impl<R: Read> Iterator for NdjsonReader<'_, R> {
    type Item = Result<ArrowBatches, ColumnsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.piece();
        self.done = !matches!(item, Ok(Some(_)));
        item.transpose()
    }
}

/// Cuts text into pieces of about `size` bytes, at the ends of lines.
fn split(bytes: &[u8], size: usize) -> Vec<&[u8]> {
    let size = size.clamp(1, 1 << 28);
    let mut pieces = Vec::with_capacity(bytes.len() / size + 1);
    let mut rest = bytes;
    while rest.len() > size {
        let Some(end) = memchr::memchr(b'\n', &rest[size..]) else { break };
        let (piece, after) = rest.split_at(size + end + 1);
        pieces.push(piece);
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(rest);
    }
    pieces
}
