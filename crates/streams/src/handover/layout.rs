//! Where the columns of a table lie in a segment in which it is born: an Arrow IPC file with one batch.
//!
//! ```text
//! magic | schema message | batch message | column buffers, 64-byte aligned | footer, at the end
//! ```
//!
//! Places are fixed before the first value is written, and so is all but the batch message. It says what is in use, and is written
//! last unless all is.

use std::ops::Range;

use arrow_ipc as ipc;
use arrow_ipc::convert::IpcSchemaEncoder;
use arrow_schema::{DataType, SchemaRef};
use flatbuffers::FlatBufferBuilder;
use ipc::{Block, FieldNode, MessageHeader, MetadataVersion};

use super::check::width;
use super::error::HandoverError;

const ALIGN: usize = 64;
const MAGIC: &[u8] = b"ARROW1\0\0";

/// How the values of a column are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// So many bytes per row; for a fixed-size list that is all its values.
    Fixed {
        /// Bytes per row.
        width: usize,
    },
    /// One bit per row, least significant first.
    Bits,
    /// Bytes of any length per row, behind offsets of so many bytes.
    Variable {
        /// Bytes per offset: 4 or 8.
        offset: usize,
    },
}

/// Where one column lies, in bytes from the start of the segment.
#[derive(Debug, Clone)]
pub struct ColumnPlace {
    /// Name of the column.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// How its values are stored.
    pub storage: Storage,
    /// Validity bits; `None` if the column is not nullable.
    pub validity: Option<Range<usize>>,
    /// Offsets of a variable column.
    pub offsets: Option<Range<usize>>,
    /// Values.
    pub values: Range<usize>,
}

/// What of a column is in use.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Used {
    pub(super) nulls: usize,
    pub(super) bytes: usize,
}

/// The layout of one segment.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) schema: SchemaRef,
    pub(super) rows: usize,
    pub(super) columns: Vec<ColumnPlace>,
    body: Range<usize>,
    batch: Range<usize>,
    prelude: Vec<u8>,
    end: Vec<u8>,
    /// The batch message of a table that fills its segment.
    whole: Vec<u8>,
    bytes: usize,
}

impl Layout {
    /// Lays out `rows` rows; `capacity` gives the bytes that the values of a variable column may take in all.
    pub(super) fn new(
        schema: &SchemaRef,
        rows: usize,
        capacity: impl Fn(&str) -> Option<usize>,
    ) -> Result<Self, HandoverError> {
        let mut prelude = MAGIC.to_vec();
        prelude.extend(encapsulate(&schema_message(schema), 8));
        let mut layout = Self {
            schema: schema.clone(),
            rows,
            columns: Vec::new(),
            body: 0..0,
            batch: 0..0,
            prelude,
            end: Vec::new(),
            whole: Vec::new(),
            bytes: 0,
        };
        // Columns first, relative to the body: the size of the batch message depends on how many there are.
        let mut at = 0_usize;
        for field in schema.fields() {
            let refused = |reason| HandoverError::column(field.name(), reason);
            let storage = storage(field.data_type()).ok_or_else(|| {
                refused(format!(
                    "a column of type {} cannot be born in a segment; send a table",
                    field.data_type()
                ))
            })?;
            let mut claim = |bytes: Option<usize>| {
                let start = at;
                at = bytes
                    .and_then(|bytes| start.checked_add(bytes)?.checked_next_multiple_of(ALIGN))
                    .filter(|&end| end <= isize::MAX as usize / 2)
                    .ok_or_else(|| refused("is too large".to_owned()))?;
                Ok::<_, HandoverError>(start..start + bytes.unwrap_or(0))
            };
            let validity =
                field.is_nullable().then(|| claim(Some(rows.div_ceil(8)))).transpose()?;
            let (offsets, values) = match storage {
                Storage::Fixed { width } => (None, claim(rows.checked_mul(width))?),
                Storage::Bits => (None, claim(Some(rows.div_ceil(8)))?),
                Storage::Variable { offset } => {
                    let wanted = capacity(field.name()).ok_or_else(|| {
                        refused("needs a capacity: the bytes of all its values".to_owned())
                    })?;
                    if offset == 4 && wanted > i32::MAX as usize {
                        return Err(refused(
                            "4-byte offsets reach 2 GiB; use the large type".to_owned(),
                        ));
                    }
                    let ends = rows.checked_add(1).and_then(|ends| ends.checked_mul(offset));
                    (Some(claim(ends)?), claim(Some(wanted))?)
                }
            };
            layout.columns.push(ColumnPlace {
                name: field.name().clone(),
                data_type: field.data_type().clone(),
                storage,
                validity,
                offsets,
                values,
            });
        }
        let body = at;
        // Lengths of 0 are left out of a message, so one without any is the longest.
        let full = Used { nulls: rows.max(1), bytes: 1 };
        let message = layout.message(rows.max(1), &vec![full; layout.columns.len()], body.max(64));
        let batch = layout.prelude.len().next_multiple_of(8);
        let start = (batch + 8 + message.len()).next_multiple_of(ALIGN);
        layout.batch = batch..start;
        layout.body = start..start + body;
        for place in &mut layout.columns {
            let shift = |range: &Range<usize>| start + range.start..start + range.end;
            place.validity = place.validity.as_ref().map(shift);
            place.offsets = place.offsets.as_ref().map(shift);
            place.values = shift(&place.values);
        }
        let footer = layout.footer();
        layout.bytes = (layout.body.end + footer.len() + 10 + 8).next_multiple_of(ALIGN);
        // The footer is found from the end; what it holds is aligned to 8. Trailing bytes of a flatbuffer mean nothing.
        let gap = (layout.bytes - footer.len() - 10) % 8;
        let length = (footer.len() + gap) as i32;
        layout.end = footer;
        layout.end.resize(layout.end.len() + gap, 0);
        layout.end.extend_from_slice(&length.to_le_bytes());
        layout.end.extend_from_slice(&MAGIC[..6]);
        layout.whole = layout.encapsulated(rows, &layout.filled());
        Ok(layout)
    }

    /// Size of the segment in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn column(&self, name: &str) -> Result<(usize, &ColumnPlace), HandoverError> {
        let mut found = self.columns.iter().enumerate().filter(|(_, place)| place.name == name);
        match (found.next(), found.next()) {
            (Some(column), None) => Ok(column),
            (Some(_), Some(_)) => Err(HandoverError::column(name, "is there more than once")),
            (None, _) => Err(HandoverError::column(name, "is not in the schema")),
        }
    }

    /// What does not depend on the columns' contents: pieces and their places.
    pub(super) fn fixed(&self) -> [(usize, &[u8]); 2] {
        [(0, &self.prelude), (self.bytes - self.end.len(), &self.end)]
    }

    /// The batch message of a table that has no nulls and fills all columns, and its place.
    pub(super) fn whole(&self) -> (usize, &[u8]) {
        (self.batch.start, &self.whole)
    }

    /// What is in use of such a table.
    fn filled(&self) -> Vec<Used> {
        let bytes = |place: &ColumnPlace| match place.storage {
            Storage::Variable { .. } => place.values.len(),
            Storage::Fixed { .. } | Storage::Bits => 0,
        };
        self.columns.iter().map(|place| Used { nulls: 0, bytes: bytes(place) }).collect()
    }

    /// What is left to write once the columns are, and its place; nothing if [`Layout::whole`] says it already.
    pub(super) fn finish(&self, rows: usize, used: &[Used]) -> Option<(usize, Vec<u8>)> {
        let whole = rows == self.rows && used == self.filled();
        (!whole).then(|| (self.batch.start, self.encapsulated(rows, used)))
    }

    fn encapsulated(&self, rows: usize, used: &[Used]) -> Vec<u8> {
        let message = self.message(rows, used, self.body.len());
        let mut batch = encapsulate(&message, 8);
        let padding = self.batch.len() - batch.len();
        batch.resize(self.batch.len(), 0);
        let length = (message.len().next_multiple_of(8) + padding) as i32;
        batch[4..8].copy_from_slice(&length.to_le_bytes());
        batch
    }

    fn message(&self, rows: usize, used: &[Used], body: usize) -> Vec<u8> {
        let start = self.body.start;
        let (mut nodes, mut buffers) = (Vec::new(), Vec::new());
        for (place, used) in self.columns.iter().zip(used) {
            let mut add = |range: &Range<usize>, bytes: usize| {
                buffers.push(ipc::Buffer::new((range.start - start) as i64, bytes as i64));
            };
            let none = place.values.start..place.values.start;
            match &place.validity {
                Some(bits) if used.nulls > 0 => add(bits, rows.div_ceil(8)),
                _ => add(&none, 0),
            }
            nodes.push(FieldNode::new(rows as i64, used.nulls as i64));
            if let Some(offsets) = &place.offsets {
                let Storage::Variable { offset } = place.storage else { continue };
                add(offsets, (rows + 1) * offset);
            }
            if let DataType::FixedSizeList(_, size) = &place.data_type {
                add(&none, 0);
                nodes.push(FieldNode::new(rows as i64 * i64::from(*size), 0));
            }
            match place.storage {
                Storage::Fixed { width } => add(&place.values, rows * width),
                Storage::Bits => add(&place.values, rows.div_ceil(8)),
                Storage::Variable { .. } => add(&place.values, used.bytes),
            }
        }
        let mut fbb = FlatBufferBuilder::new();
        let buffers = fbb.create_vector(&buffers);
        let nodes = fbb.create_vector(&nodes);
        let mut batch = ipc::RecordBatchBuilder::new(&mut fbb);
        batch.add_length(rows as i64);
        batch.add_nodes(nodes);
        batch.add_buffers(buffers);
        let batch = batch.finish().as_union_value();
        let mut message = ipc::MessageBuilder::new(&mut fbb);
        message.add_version(MetadataVersion::V5);
        message.add_header_type(MessageHeader::RecordBatch);
        message.add_bodyLength(body as i64);
        message.add_header(batch);
        let message = message.finish();
        fbb.finish(message, None);
        fbb.finished_data().to_vec()
    }

    fn footer(&self) -> Vec<u8> {
        let mut fbb = FlatBufferBuilder::new();
        let block =
            Block::new(self.batch.start as i64, self.batch.len() as i32, self.body.len() as i64);
        let batches = fbb.create_vector(&[block]);
        let dictionaries = fbb.create_vector::<Block>(&[]);
        let schema = IpcSchemaEncoder::new().schema_to_fb_offset(&mut fbb, &self.schema);
        let mut footer = ipc::FooterBuilder::new(&mut fbb);
        footer.add_version(MetadataVersion::V5);
        footer.add_schema(schema);
        footer.add_dictionaries(dictionaries);
        footer.add_recordBatches(batches);
        let footer = footer.finish();
        fbb.finish(footer, None);
        fbb.finished_data().to_vec()
    }
}

fn schema_message(schema: &SchemaRef) -> Vec<u8> {
    let mut fbb = FlatBufferBuilder::new();
    let schema = IpcSchemaEncoder::new().schema_to_fb_offset(&mut fbb, schema).as_union_value();
    let mut message = ipc::MessageBuilder::new(&mut fbb);
    message.add_version(MetadataVersion::V5);
    message.add_header_type(MessageHeader::Schema);
    message.add_bodyLength(0);
    message.add_header(schema);
    let message = message.finish();
    fbb.finish(message, None);
    fbb.finished_data().to_vec()
}

/// A message with the marker and the length before it, padded to `align`.
fn encapsulate(message: &[u8], align: usize) -> Vec<u8> {
    let length = message.len().next_multiple_of(align);
    let mut bytes = vec![0xff; 4];
    bytes.extend_from_slice(&(length as i32).to_le_bytes());
    bytes.extend_from_slice(message);
    bytes.resize(8 + length, 0);
    bytes
}

/// How a column of this type is stored when it is born in a segment; `None` if it cannot be.
fn storage(data_type: &DataType) -> Option<Storage> {
    match data_type {
        DataType::Boolean => Some(Storage::Bits),
        DataType::Utf8 | DataType::Binary => Some(Storage::Variable { offset: 4 }),
        DataType::LargeUtf8 | DataType::LargeBinary => Some(Storage::Variable { offset: 8 }),
        DataType::FixedSizeList(child, size) => match child.data_type() {
            DataType::FixedSizeBinary(_) => None,
            fixed => Some(Storage::Fixed {
                width: width(fixed)?.checked_mul(usize::try_from(*size).ok()?)?,
            }),
        },
        fixed => Some(Storage::Fixed { width: width(fixed).filter(|&width| width > 0)? }),
    }
}
