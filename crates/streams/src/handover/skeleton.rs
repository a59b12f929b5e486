//! The shape of a table without its memory, so that the next one of the same shape need not be decoded.
#![allow(unsafe_code)]

use std::ops::Range;

use arrow_array::{Array, ArrayRef, RecordBatch, make_array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_data::ArrayData;
use arrow_schema::{DataType, SchemaRef};

/// Where the arrays of a file lie in it, as its messages say.
#[derive(Debug)]
pub(super) struct Skeleton {
    /// Length of the file.
    length: usize,
    /// What of the file says where its arrays lie: its messages and its footer, with their places.
    says: Vec<(usize, Vec<u8>)>,
    batches: Vec<(usize, Vec<Bones>)>,
}

#[derive(Debug)]
struct Bones {
    data_type: DataType,
    length: usize,
    offset: usize,
    buffers: Vec<Range<usize>>,
    nulls: Option<Nulls>,
    children: Vec<Bones>,
}

#[derive(Debug)]
struct Nulls {
    bits: Range<usize>,
    offset: usize,
    length: usize,
    count: usize,
}

impl Skeleton {
    /// What is left of `batches` without `file`, which they were read from; `says` are the places of its messages and its
    /// footer. `None` if any of their buffers lies elsewhere.
    pub(super) fn of(
        batches: &[RecordBatch],
        file: &Buffer,
        says: impl Iterator<Item = Range<usize>>,
    ) -> Option<Self> {
        let bones = |batch: &RecordBatch| {
            let columns = batch.columns().iter();
            let bones = columns.map(|column| Bones::of(&column.to_data(), file));
            Some((batch.num_rows(), bones.collect::<Option<_>>()?))
        };
        Some(Self {
            length: file.len(),
            batches: batches.iter().map(bones).collect::<Option<_>>()?,
            says: says.map(|place| (place.start, file[place].to_vec())).collect(),
        })
    }

    /// Whether all that the file says about its arrays is what it was.
    pub(super) fn fits(&self, file: &[u8]) -> bool {
        let same = |(at, bytes): &(usize, Vec<u8>)| file[*at..*at + bytes.len()] == bytes[..];
        file.len() == self.length && self.says.iter().all(same)
    }

    /// The batches of a file that fits.
    ///
    /// # Safety
    ///
    /// The file [fits](Skeleton::fits), and its contents are what a correct writer wrote: offsets in order, strings UTF-8, keys in
    /// range.
    pub(super) unsafe fn flesh(&self, file: &Buffer, schema: &SchemaRef) -> Vec<RecordBatch> {
        let batch = |(rows, columns): &(usize, Vec<Bones>)| {
            // SAFETY: as the caller promises.
            let columns = columns.iter().map(|bones| unsafe { bones.array(file) });
            // SAFETY: types, lengths and number of the columns are those of a batch that was read with this schema.
            unsafe { RecordBatch::new_unchecked(schema.clone(), columns.collect(), *rows) }
        };
        self.batches.iter().map(batch).collect()
    }
}

impl Bones {
    fn of(data: &ArrayData, file: &Buffer) -> Option<Self> {
        let nulls = match data.nulls() {
            None => None,
            Some(nulls) => Some(Nulls {
                bits: place(nulls.buffer(), file)?,
                offset: nulls.offset(),
                length: nulls.len(),
                count: nulls.null_count(),
            }),
        };
        Some(Self {
            data_type: data.data_type().clone(),
            length: data.len(),
            offset: data.offset(),
            buffers: data.buffers().iter().map(|b| place(b, file)).collect::<Option<_>>()?,
            nulls,
            children: data
                .child_data()
                .iter()
                .map(|child| Self::of(child, file))
                .collect::<Option<_>>()?,
        })
    }

    /// # Safety
    ///
    /// As for [`Skeleton::flesh`].
    unsafe fn array(&self, file: &Buffer) -> ArrayRef {
        // SAFETY: as the caller promises.
        make_array(unsafe { self.data(file) })
    }

    /// # Safety
    ///
    /// As for [`Skeleton::flesh`].
    unsafe fn data(&self, file: &Buffer) -> ArrayData {
        let slice = |place: &Range<usize>| file.slice_with_length(place.start, place.len());
        let nulls = self.nulls.as_ref().map(|nulls| {
            let bits = BooleanBuffer::new(slice(&nulls.bits), nulls.offset, nulls.length);
            // SAFETY: the message repeats the count, which is vouched for with the rest of the contents.
            unsafe { NullBuffer::new_unchecked(bits, nulls.count) }
        });
        // SAFETY: as the caller promises.
        let children = self.children.iter().map(|child| unsafe { child.data(file) }).collect();
        let data = ArrayData::builder(self.data_type.clone())
            .len(self.length)
            .offset(self.offset)
            .buffers(self.buffers.iter().map(slice).collect())
            .nulls(nulls)
            .child_data(children);
        // SAFETY: places, lengths and types are those of an array whose structure was checked, in a file that says the same of its
        // own; the caller vouches for the contents.
        unsafe { data.build_unchecked() }
    }
}

/// Where a buffer lies in the file that it was read from.
fn place(buffer: &Buffer, file: &Buffer) -> Option<Range<usize>> {
    if buffer.is_empty() {
        return Some(0..0);
    }
    let start = (buffer.as_ptr() as usize).checked_sub(file.as_ptr() as usize)?;
    let end = start.checked_add(buffer.len()).filter(|&end| end <= file.len())?;
    Some(start..end)
}
