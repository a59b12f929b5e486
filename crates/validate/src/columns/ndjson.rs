//! Lines of JSON: found in a stream, checked into columns.

use std::io::{ErrorKind, Read};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::batches::{BatchOptions, ColumnsError};
use super::issues::{RowIssue, RowIssues};
use super::output::ColumnOutput;
use super::template::{Level, Templates};
use crate::issue::{Code, Echo, Issue, Issues, Param};
use crate::lines::{Row, RowText};
use crate::output::Stop;
use crate::schema::Schema;

/// Most bytes of a wrong value that a [`RowIssue`] shows.
const EXCERPT: usize = 120;

/// The result of checking some lines; rows and lines are counted from the first of them.
pub(super) struct Chunk {
    pub(super) batch: RecordBatch,
    pub(super) issues: RowIssues,
    pub(super) rows: u64,
    pub(super) lines: u64,
}

impl Chunk {
    /// The result of one row that is too long to be looked at.
    pub(super) fn too_long(schema: &SchemaRef, found: TooLong) -> Self {
        let mut issue = Issue::new(Code::RowTooLong, Echo::None);
        issue.ctx.push(("max_bytes", Param::Int(i64::try_from(found.limit).unwrap_or(i64::MAX))));
        let found = RowIssue { row: 0, line: 1, issue, input: found.start };
        Self {
            batch: RecordBatch::new_empty(schema.clone()),
            issues: RowIssues { list: vec![found], dropped: 0 },
            rows: 1,
            lines: 1,
        }
    }
}

/// Checks lines of text, one after another.
pub(super) fn check_chunk(
    schema: &Schema,
    bytes: &[u8],
    options: &BatchOptions,
) -> Result<Chunk, ColumnsError> {
    check_chunk_by(schema, bytes, options, Level::best())
}

/// Checks lines of text with the instructions of a level.
pub(super) fn check_chunk_by(
    schema: &Schema,
    bytes: &[u8],
    options: &BatchOptions,
    level: Level,
) -> Result<Chunk, ColumnsError> {
    let mut output = ColumnOutput::new(schema.declaration())?;
    let root = output.root();
    let mut issues = RowIssues::default();
    let mut templates = Templates::new(level);
    let mut failed = None;
    let (rows, lines) = RowText { schema, bytes, strict: options.strict }.each(
        &mut output,
        root,
        |output, rows, at| templates.read(rows, output, at),
        ColumnOutput::forget_row,
        |output, row, checked, found| match checked {
            Ok(_) => output.end_row(),
            Err(stop) => {
                output.forget_row();
                if stop == Stop::Abort && failed.is_none() {
                    let text = row.text.to_vec();
                    failed = Some(ColumnsError::Host { row: row.number, text });
                }
                keep(&mut issues, found, &row, options.max_issues);
            }
        },
    );
    match failed {
        Some(error) => Err(error),
        None => Ok(Chunk { batch: output.take()?, issues, rows, lines }),
    }
}

/// Moves the issues of one row to those of all rows.
#[cold]
fn keep(issues: &mut RowIssues, found: &mut Issues, row: &Row<'_>, limit: usize) {
    let text = row.text;
    let dropped = found.dropped() as u64;
    let list = found.take().into_iter().map(|issue| {
        let part = match &issue.echo {
            Echo::Span(span) => text.get(span.clone()).unwrap_or_default(),
            _ => text,
        };
        RowIssue { row: row.number, line: row.line, input: excerpt(part), issue }
    });
    issues.extend(RowIssues { list: list.collect(), dropped }, limit);
}

/// The beginning of some text, cut between characters.
fn excerpt(bytes: &[u8]) -> String {
    let bytes = bytes.trim_ascii();
    if bytes.len() <= EXCERPT {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let mut end = EXCERPT - 3;
    while end > 0 && bytes[end] & 0xC0 == 0x80 {
        end -= 1;
    }
    format!("{}...", String::from_utf8_lossy(&bytes[..end]))
}

/// A row that is too long to be looked at.
pub(super) struct TooLong {
    start: String,
    limit: usize,
}

/// What a buffer holds after it was filled.
pub(super) struct Filled {
    /// Bytes of whole lines.
    pub(super) whole: usize,
    /// Bytes that are done with when those lines are.
    pub(super) used: usize,
    /// The row after them, if it was too long.
    pub(super) too_long: Option<TooLong>,
}

/// Reads whole lines from a stream.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    limit: usize,
    ended: bool,
    /// Bytes that were read and not used yet.
    pub(super) buffer: Vec<u8>,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(reader: R, limit: usize) -> Self {
        Self { reader, limit, ended: false, buffer: Vec::new() }
    }

    /// Reads until the buffer holds about `want` bytes of whole lines, a line that is too long, or the rest. `None` at the end.
    pub(super) fn fill(
        &mut self,
        buffer: &mut Vec<u8>,
        want: usize,
    ) -> std::io::Result<Option<Filled>> {
        loop {
            let whole = memchr::memrchr(b'\n', buffer).map_or(0, |at| at + 1);
            if self.ended {
                let all = buffer.len();
                return Ok((all > 0).then_some(Filled { whole: all, used: all, too_long: None }));
            }
            if whole >= want {
                return Ok(Some(Filled { whole, used: whole, too_long: None }));
            }
            if buffer.len() - whole > self.limit {
                let start = excerpt(&buffer[whole..]);
                buffer.truncate(whole);
                self.pass_line(buffer)?;
                let too_long = Some(TooLong { start, limit: self.limit });
                return Ok(Some(Filled { whole, used: whole, too_long }));
            }
            self.read_more(buffer, want)?;
        }
    }

    /// Reads on to the end of a line without keeping it; what follows the line is added to the buffer.
    fn pass_line(&mut self, buffer: &mut Vec<u8>) -> std::io::Result<()> {
        let mut rest = Vec::new();
        while !self.ended {
            rest.clear();
            self.read_more(&mut rest, 1 << 16)?;
            if let Some(end) = memchr::memchr(b'\n', &rest) {
                buffer.extend_from_slice(&rest[end + 1..]);
                break;
            }
        }
        Ok(())
    }

    fn read_more(&mut self, buffer: &mut Vec<u8>, want: usize) -> std::io::Result<()> {
        let length = buffer.len();
        buffer.resize(length + want.clamp(1 << 16, 1 << 24), 0);
        loop {
            match self.reader.read(&mut buffer[length..]) {
                Ok(count) => {
                    buffer.truncate(length + count);
                    self.ended = count == 0;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    buffer.truncate(length);
                    return Err(error);
                }
            }
        }
    }
}
