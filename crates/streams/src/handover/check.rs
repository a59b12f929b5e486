//! What must hold of the bytes of an Arrow IPC file before a decoder may look at them.
//!
//! `arrow-ipc` validates array contents, but takes block bounds, buffer bounds and types on trust and panics where they
//! are wrong. Everything it takes on trust is checked here, in time that does not depend on the number of rows. Blocks
//! and buffers must not overlap, so that validating a file takes time linear in its size.
//!
//! Contents are looked at on the way: where all of them are plainly valid, the decoder need not look again. Whether that
//! is so is [`Parts::proved`]; what is not proved here is for the decoder to validate, and to find words for.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_ipc as ipc;
use arrow_schema::{DataType, Field, IntervalUnit, SchemaRef, UnionMode};
use ipc::{Block, MessageHeader, MetadataVersion};

use super::error::HandoverError;
use super::proof;
use super::schema_check::check_schema;

/// Bounds on what a segment may make its consumer do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest segment in bytes. Default 4 GiB.
    pub bytes: u64,
    /// Most record batches and dictionaries of a segment. Default 65 536.
    pub batches: usize,
    /// Most rows of a batch. Default 2^32 - 1. Columns without buffers have no other bound.
    pub rows: u64,
    /// Most bytes that the views of string and binary view columns may point to, together; views may overlap, so this
    /// is not bounded by the size of the segment. Default 4 GiB.
    pub viewed_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 4 << 30, batches: 1 << 16, rows: u64::from(u32::MAX), viewed_bytes: 4 << 30 }
    }
}

/// A file whose structure holds.
pub(super) struct Parts {
    pub(super) footer: Arc<Footer>,
    /// Whether the contents of all arrays were looked at and found valid.
    pub(super) proved: bool,
}

/// What a footer says, checked as far as it can be without the file before it.
#[derive(Debug)]
pub(super) struct Footer {
    pub(super) bytes: Vec<u8>,
    pub(super) schema: SchemaRef,
    pub(super) dictionaries: Vec<Block>,
    pub(super) batches: Vec<Block>,
    dictionary_ids: DictionaryIds,
}

impl Footer {
    fn read(bytes: &[u8]) -> Result<Self, HandoverError> {
        let bad = |reason: &str| HandoverError::malformed("footer", reason);
        let footer =
            ipc::root_as_footer(bytes).map_err(|err| bad(&err.to_string().to_lowercase()))?;
        if footer.version() != MetadataVersion::V5 {
            return Err(bad("is not of metadata version 5"));
        }
        let schema = footer.schema().ok_or_else(|| bad("has no schema"))?;
        Ok(Self {
            dictionary_ids: check_schema(&schema)?,
            schema: SchemaRef::new(ipc::convert::fb_to_schema(schema)),
            dictionaries: footer.dictionaries().into_iter().flatten().copied().collect(),
            batches: footer.recordBatches().into_iter().flatten().copied().collect(),
            bytes: bytes.to_vec(),
        })
    }
}

pub(super) const MAGIC: &[u8; 6] = b"ARROW1";
const CONTINUATION: [u8; 4] = [0xff; 4];

/// Checks the structure of a file, and with `contents` looks at what its arrays hold, which takes time linear in rows.
///
/// `last` is the footer of the file before, which one of the same schema and layout repeats byte for byte, and need not be
/// read again then.
pub(super) fn check(
    file: &[u8],
    limits: &Limits,
    contents: bool,
    last: &mut Option<Arc<Footer>>,
) -> Result<Parts, HandoverError> {
    let bad = |place: &str, reason: &str| HandoverError::malformed(place, reason);
    if file.len() as u64 > limits.bytes {
        return Err(HandoverError::TooLarge { bytes: file.len() as u64, limit: limits.bytes });
    }
    if !file.starts_with(MAGIC) || !file.ends_with(MAGIC) || file.len() < 8 + 4 + MAGIC.len() {
        return Err(bad("file", "does not begin and end as an Arrow IPC file"));
    }
    let tail = file.len() - MAGIC.len() - 4;
    let length = i32::from_le_bytes([file[tail], file[tail + 1], file[tail + 2], file[tail + 3]]);
    let start = usize::try_from(length)
        .ok()
        .filter(|&length| length > 0)
        .and_then(|length| tail.checked_sub(length))
        .filter(|&start| start >= 8)
        .ok_or_else(|| bad("footer", &format!("length {length} is out of range")))?;
    let footer = match last.take().filter(|last| last.bytes == file[start..tail]) {
        Some(same) => same,
        None => Arc::new(Footer::read(&file[start..tail])?),
    };
    check_blocks(&footer.dictionaries, &footer.batches, start, limits)?;

    let mut seen = Seen {
        contents,
        viewable: limits.viewed_bytes,
        // Keys of dictionaries are for the decoder, which has their values.
        proved: contents && footer.dictionaries.is_empty(),
    };
    for (i, block) in footer.dictionaries.iter().enumerate() {
        let place = format!("dictionary {i}");
        let (message, body) = message(file, block, &place)?;
        let dictionary = message
            .header_as_dictionary_batch()
            .ok_or_else(|| bad(&place, "is not a dictionary batch"))?;
        if dictionary.isDelta() {
            return Err(bad(&place, "is a delta, which a file with one table has no use for"));
        }
        let values = footer
            .dictionary_ids
            .get(&dictionary.id())
            .ok_or_else(|| bad(&place, "belongs to no column"))?;
        let batch = dictionary.data().ok_or_else(|| bad(&place, "has no values"))?;
        let values = [Field::new("values", values.clone(), true)];
        check_batch(&batch, values.iter(), body, &place, limits, &mut seen)?;
    }
    for (i, block) in footer.batches.iter().enumerate() {
        let place = format!("batch {i}");
        let (message, body) = message(file, block, &place)?;
        let batch =
            message.header_as_record_batch().ok_or_else(|| bad(&place, "is not a record batch"))?;
        let fields = footer.schema.fields().iter().map(AsRef::as_ref);
        check_batch(&batch, fields, body, &place, limits, &mut seen)?;
    }
    *last = Some(footer.clone());
    Ok(Parts { footer, proved: seen.proved })
}

/// Blocks lie between the magic and the footer and do not overlap.
fn check_blocks(
    dictionaries: &[Block],
    batches: &[Block],
    footer: usize,
    limits: &Limits,
) -> Result<(), HandoverError> {
    let bad = |place: &str, reason: &str| HandoverError::malformed(place, reason);
    if dictionaries.len() + batches.len() > limits.batches {
        return Err(bad("footer", &format!("lists more than {} blocks", limits.batches)));
    }
    let named = dictionaries
        .iter()
        .enumerate()
        .map(|(i, block)| ("dictionary", i, block))
        .chain(batches.iter().enumerate().map(|(i, block)| ("batch", i, block)));
    let mut spans = Vec::with_capacity(dictionaries.len() + batches.len());
    for (kind, i, block) in named {
        let (offset, meta, body) = (block.offset(), block.metaDataLength(), block.bodyLength());
        let end = offset.checked_add(meta.into()).and_then(|n| n.checked_add(body));
        let inside = end.is_some_and(|end| usize::try_from(end).is_ok_and(|end| end <= footer));
        if offset < 8 || offset % 8 != 0 || meta < 16 || meta % 8 != 0 || body < 0 || !inside {
            return Err(bad(
                &format!("{kind} {i}"),
                &format!("block at {offset} with {meta} + {body} bytes is out of range"),
            ));
        }
        spans.push((offset, end.unwrap_or(i64::MAX)));
    }
    spans.sort_unstable();
    if spans.windows(2).any(|pair| pair[1].0 < pair[0].1) {
        return Err(bad("footer", "lists blocks that overlap"));
    }
    Ok(())
}

/// The message of a block whose bounds hold, and its body.
fn message<'a>(
    file: &'a [u8],
    block: &Block,
    place: &str,
) -> Result<(ipc::Message<'a>, &'a [u8]), HandoverError> {
    let bad = |reason: &str| HandoverError::malformed(place, reason);
    let offset = block.offset() as usize;
    let (meta, body) = file[offset..]
        [..block.metaDataLength() as usize + block.bodyLength() as usize]
        .split_at(block.metaDataLength() as usize);
    let length = i32::from_le_bytes([meta[4], meta[5], meta[6], meta[7]]);
    let header = usize::try_from(length)
        .ok()
        .filter(|_| meta[..4] == CONTINUATION)
        .and_then(|length| meta[8..].get(..length))
        .ok_or_else(|| bad("has no message, or one longer than its block"))?;
    let message = ipc::root_as_message(header)
        .map_err(|err| HandoverError::malformed(place, err.to_string().to_lowercase()))?;
    if message.version() != MetadataVersion::V5 {
        return Err(bad("is not of metadata version 5"));
    }
    if message.bodyLength() != block.bodyLength() {
        return Err(bad("message and footer disagree on the length of the body"));
    }
    match message.header_type() {
        MessageHeader::RecordBatch | MessageHeader::DictionaryBatch => Ok((message, body)),
        _ => Err(bad("is neither a record batch nor a dictionary")),
    }
}

/// What is known about contents so far.
struct Seen {
    /// Whether to look at them at all.
    contents: bool,
    /// How many bytes views may still point to.
    viewable: u64,
    proved: bool,
}

fn check_batch<'f>(
    batch: &ipc::RecordBatch<'_>,
    fields: impl Iterator<Item = &'f Field>,
    body: &[u8],
    place: &str,
    limits: &Limits,
    seen: &mut Seen,
) -> Result<(), HandoverError> {
    let bad = |reason: String| HandoverError::malformed(place, reason);
    if batch.compression().is_some() {
        return Err(bad("is compressed, which shared memory has no use for".into()));
    }
    let rows = u64::try_from(batch.length()).ok().filter(|&rows| rows <= limits.rows);
    let rows =
        rows.ok_or_else(|| bad(format!("has {} rows, over the limit", batch.length())))? as usize;
    let (Some(nodes), Some(buffers)) = (batch.nodes(), batch.buffers()) else {
        return Err(bad("has no nodes or no buffers".into()));
    };
    let mut walk = Walk {
        nodes: nodes.iter(),
        buffers: buffers.iter(),
        variadic: batch.variadicBufferCounts().map(|counts| counts.iter()),
        body,
        end: 0,
        limits,
        seen,
        place,
    };
    for field in fields {
        walk.array(field, Some(rows))?;
    }
    if walk.nodes.next().is_some()
        || walk.buffers.next().is_some()
        || walk.variadic.is_some_and(|mut counts| counts.next().is_some())
    {
        return Err(bad("has more arrays than its schema".into()));
    }
    Ok(())
}

/// Follows the arrays of a batch in the order in which the decoder takes them.
struct Walk<'a, N, B, V> {
    nodes: N,
    buffers: B,
    variadic: Option<V>,
    body: &'a [u8],
    end: u64,
    limits: &'a Limits,
    seen: &'a mut Seen,
    place: &'a str,
}

impl<'a, 'b, N, B, V> Walk<'a, N, B, V>
where
    N: Iterator<Item = &'b ipc::FieldNode>,
    B: Iterator<Item = &'b ipc::Buffer>,
    V: Iterator<Item = i64>,
{
    fn bad(&self, field: &Field, reason: impl Into<String>) -> HandoverError {
        HandoverError::malformed(format!("{}, column {:?}", self.place, field.name()), reason)
    }

    /// Checks one array; `expected` is its length where something else decides it.
    fn array(&mut self, field: &Field, expected: Option<usize>) -> Result<(), HandoverError> {
        use DataType::*;
        let node = self.nodes.next().ok_or_else(|| self.bad(field, "has no node"))?;
        let rows = u64::try_from(node.length()).ok().filter(|&rows| rows <= self.limits.rows);
        let rows = rows
            .ok_or_else(|| self.bad(field, format!("has {} rows, over the limit", node.length())))?
            as usize;
        if expected.is_some_and(|expected| expected != rows) {
            return Err(self.bad(field, format!("has {rows} rows, not {}", expected.unwrap_or(0))));
        }
        if node.null_count() < 0 || node.null_count() as u64 > rows as u64 {
            return Err(self.bad(field, format!("has {} nulls", node.null_count())));
        }
        let nulls = node.null_count() as usize;
        if !matches!(field.data_type(), Null | Union(..) | RunEndEncoded(..)) {
            let bits = if nulls > 0 { rows.div_ceil(8) } else { 0 };
            let bits = self.buffer(field, bits, 1)?;
            self.prove(|| nulls == 0 || field.is_nullable() && proof::nulls(bits, rows, nulls));
        }
        let ends = if rows == 0 { 0 } else { rows + 1 };
        match field.data_type() {
            Boolean => self.buffer(field, rows.div_ceil(8), 1).map(drop)?,
            Utf8 | Binary => {
                let offsets = self.buffer(field, ends, 4)?;
                let values = self.buffer(field, 0, 1)?;
                let text = *field.data_type() == Utf8;
                let used = offsets.len().min((rows + 1) * 4);
                self.prove(|| proof::variable(&offsets[..used], values, text, i32::from_le_bytes));
            }
            LargeUtf8 | LargeBinary => {
                let offsets = self.buffer(field, ends, 8)?;
                let values = self.buffer(field, 0, 1)?;
                let text = *field.data_type() == LargeUtf8;
                let used = offsets.len().min((rows + 1) * 8);
                self.prove(|| proof::variable(&offsets[..used], values, text, i64::from_le_bytes));
            }
            FixedSizeList(child, size) => {
                let rows = usize::try_from(*size).ok().and_then(|size| rows.checked_mul(size));
                let rows = rows.ok_or_else(|| self.bad(field, "has too many values"))?;
                self.array(child, Some(rows))?;
            }
            nested if width(nested).is_none() => self.unproved(field, rows, ends)?,
            fixed => {
                let bytes = width(fixed).and_then(|width| Some((rows.checked_mul(width)?, width)));
                let (bytes, width) = bytes.ok_or_else(|| self.bad(field, "has too many values"))?;
                match fixed {
                    FixedSizeBinary(_) => self.buffer(field, bytes, 1)?,
                    _ => self.buffer(field, rows, width)?,
                };
            }
        }
        Ok(())
    }

    /// What is behind the validity of an array whose contents are for the decoder to validate.
    fn unproved(&mut self, field: &Field, rows: usize, ends: usize) -> Result<(), HandoverError> {
        use DataType::*;
        self.seen.proved = false;
        match field.data_type() {
            Null => {}
            Utf8View | BinaryView => {
                let views = self.buffer(field, rows, 16)?;
                self.count_views(field, &views[..rows * 16])?;
                let count = self.variadic.as_mut().and_then(Iterator::next);
                let count = count.filter(|&count| count >= 0);
                for _ in 0..count.ok_or_else(|| self.bad(field, "has no count of buffers"))? {
                    self.buffer(field, 0, 1)?;
                }
            }
            List(child) | Map(child, _) => {
                self.buffer(field, ends, 4)?;
                self.array(child, None)?;
            }
            LargeList(child) => {
                self.buffer(field, ends, 8)?;
                self.array(child, None)?;
            }
            ListView(child) | LargeListView(child) => {
                let width = if matches!(field.data_type(), ListView(_)) { 4 } else { 8 };
                self.buffer(field, rows, width)?;
                self.buffer(field, rows, width)?;
                self.array(child, None)?;
            }
            Struct(children) => {
                for child in children {
                    self.array(child, Some(rows))?;
                }
            }
            RunEndEncoded(ends, values) => {
                self.array(ends, None)?;
                self.array(values, None)?;
            }
            Union(children, mode) => {
                self.buffer(field, rows, 1)?;
                if *mode == UnionMode::Dense {
                    self.buffer(field, rows, 4)?;
                }
                for (_, child) in children.iter() {
                    self.array(child, (*mode == UnionMode::Sparse).then_some(rows))?;
                }
            }
            Dictionary(keys, _) => {
                let width =
                    width(keys).ok_or_else(|| self.bad(field, "has keys of an unknown type"))?;
                self.buffer(field, rows, width)?;
            }
            _ => return Err(self.bad(field, "is of an unknown type")),
        }
        Ok(())
    }

    /// The next buffer: inside the body, behind the one before, aligned to values of `width` bytes, and a whole number of
    /// them, `count` at least.
    fn buffer(
        &mut self,
        field: &Field,
        count: usize,
        width: usize,
    ) -> Result<&'a [u8], HandoverError> {
        let buffer = self.buffers.next().ok_or_else(|| self.bad(field, "lacks a buffer"))?;
        let (offset, length) = (buffer.offset(), buffer.length());
        let refused =
            || self.bad(field, format!("buffer at {offset} with {length} bytes is out of range"));
        let start = u64::try_from(offset).map_err(|_| refused())?;
        let size = u64::try_from(length).map_err(|_| refused())?;
        let end = start
            .checked_add(size)
            .filter(|&end| end <= self.body.len() as u64 && start % 8 == 0)
            .ok_or_else(refused)?;
        let bytes = &self.body[start as usize..end as usize];
        let least = count.checked_mul(width);
        if least.is_none_or(|least| bytes.len() < least) || !bytes.len().is_multiple_of(width) {
            let reason = format!("buffer of {size} bytes does not hold {count} values of {width}");
            return Err(self.bad(field, reason));
        }
        if !bytes.is_empty() {
            if start < self.end {
                return Err(self.bad(field, "buffer overlaps the one before"));
            }
            if !(bytes.as_ptr() as usize).is_multiple_of(width.min(16)) {
                return Err(self.bad(field, format!("buffer is not aligned to {width} bytes")));
            }
            self.end = end;
        }
        Ok(bytes)
    }

    /// Notes where `valid` is not the case, if contents are to be looked at and nothing else is wrong with them.
    fn prove(&mut self, valid: impl FnOnce() -> bool) {
        if self.seen.proved {
            self.seen.proved = valid();
        }
    }

    fn count_views(&mut self, field: &Field, views: &[u8]) -> Result<(), HandoverError> {
        if !self.seen.contents {
            return Ok(());
        }
        let (views, _) = views.as_chunks::<16>();
        let bytes: u64 =
            views.iter().map(|v| u64::from(u32::from_le_bytes([v[0], v[1], v[2], v[3]]))).sum();
        self.seen.viewable = self
            .seen
            .viewable
            .checked_sub(bytes)
            .ok_or_else(|| self.bad(field, "views point to more bytes than the limit"))?;
        Ok(())
    }
}

/// Bytes per value of a type of fixed width.
pub(super) fn width(data_type: &DataType) -> Option<usize> {
    use DataType::*;
    Some(match data_type {
        Int8 | UInt8 => 1,
        Int16 | UInt16 | Float16 => 2,
        Int32 | UInt32 | Float32 | Date32 | Time32(_) | Decimal32(..) => 4,
        Interval(IntervalUnit::YearMonth) => 4,
        Int64 | UInt64 | Float64 | Date64 | Time64(_) | Timestamp(..) | Duration(_) => 8,
        Decimal64(..) | Interval(IntervalUnit::DayTime) => 8,
        Decimal128(..) | Interval(IntervalUnit::MonthDayNano) => 16,
        Decimal256(..) => 32,
        FixedSizeBinary(width) => usize::try_from(*width).ok()?,
        _ => return None,
    })
}

/// Dictionary values by id.
pub(super) type DictionaryIds = HashMap<i64, DataType>;
