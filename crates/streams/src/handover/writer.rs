//! A table that is born in its segment: columns are written where the consumer will read them.
#![allow(unsafe_code)]

use std::slice;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, BinaryType, ByteArrayType, LargeBinaryType, LargeUtf8Type, Utf8Type,
};
use arrow_array::{Array, BooleanArray, FixedSizeBinaryArray, GenericByteArray};
use arrow_buffer::{ArrowNativeType, NullBuffer};
use arrow_schema::{DataType, SchemaRef};

use super::error::HandoverError;
use super::layout::{ColumnPlace, Layout, Storage, Used};
use super::memory::Memory;

/// The columns of a table under construction, in the memory that will be handed over.
///
/// In sealed mode every value is 0, empty or false at first; in trusted mode columns of fixed width hold whatever the
/// slot held before.
#[derive(Debug)]
pub struct SegmentWriter {
    pub(super) memory: Arc<Memory>,
    layout: Layout,
    used: Vec<Used>,
    rows: usize,
}

impl SegmentWriter {
    /// `fresh` memory is all zeros.
    pub(super) fn new(memory: Arc<Memory>, layout: Layout, fresh: bool) -> Self {
        let used = vec![Used::default(); layout.columns.len()];
        let writer = Self { used, rows: layout.rows, memory, layout };
        for (at, piece) in writer.layout.fixed().into_iter().chain([writer.layout.whole()]) {
            writer.memory.write(at, piece);
        }
        // A slot that was used holds the offsets of another table.
        for place in writer.layout.columns.iter().filter(|_| !fresh) {
            if let Some(offsets) = &place.offsets {
                writer.memory.zero(offsets.clone());
            }
        }
        writer
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.layout.schema
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Hands over the first `rows` rows only.
    ///
    /// # Errors
    ///
    /// [`HandoverError::Option`] if that is more than there is room for.
    pub fn truncate(&mut self, rows: usize) -> Result<(), HandoverError> {
        let max = self.layout.rows;
        if rows > max {
            let (value, max) = (rows as u64, max as u64);
            return Err(HandoverError::Option { option: "rows", value, min: 0, max });
        }
        self.rows = rows;
        Ok(())
    }

    /// The memory and where in it a column lies, for views from another language.
    ///
    /// # Errors
    ///
    /// [`HandoverError::Column`] if there is no such column.
    pub fn place(&self, name: &str) -> Result<(&Arc<Memory>, &ColumnPlace), HandoverError> {
        Ok((&self.memory, self.layout.column(name)?.1))
    }

    /// The values of a column of fixed width, to be written in place: `rows` of them, or for a column of fixed-size lists
    /// `rows` times the size.
    ///
    /// # Errors
    ///
    /// [`HandoverError::Column`] if there is no such column or its values are of another type.
    pub fn values_mut<T: ArrowPrimitiveType>(
        &mut self,
        name: &str,
    ) -> Result<&mut [T::Native], HandoverError> {
        let place = self.layout.column(name)?.1;
        let values = match &place.data_type {
            DataType::FixedSizeList(child, _) => child.data_type(),
            own => own,
        };
        let same = match (values, &T::DATA_TYPE) {
            (DataType::Timestamp(a, _), DataType::Timestamp(b, _)) => a == b,
            (a, b) => a == b,
        };
        if !same {
            let reason = format!("has values of type {values}, not {}", T::DATA_TYPE);
            return Err(HandoverError::column(name, reason));
        }
        let length = place.values.len() / size_of::<T::Native>();
        // SAFETY: in bounds and aligned to 64 by the layout; every bit pattern is a value of a native type; the slice
        // borrows `self` mutably, and the consumer does not have the segment yet.
        Ok(unsafe {
            slice::from_raw_parts_mut(
                self.memory.as_ptr().add(place.values.start).cast::<T::Native>(),
                length,
            )
        })
    }

    /// Copies a whole column, nulls included, from an array of the same type and length.
    ///
    /// # Errors
    ///
    /// [`HandoverError::Column`] if there is no such column, or type, length or capacity do not fit.
    pub fn copy_from(&mut self, name: &str, array: &dyn Array) -> Result<(), HandoverError> {
        let (index, place) = self.layout.column(name)?;
        let place = place.clone();
        let refused = |reason: String| HandoverError::column(name, reason);
        if array.data_type() != &place.data_type {
            return Err(refused(format!(
                "is of type {}, not {}",
                place.data_type,
                array.data_type()
            )));
        }
        if array.len() != self.layout.rows {
            return Err(refused(format!("has {} rows, not {}", self.layout.rows, array.len())));
        }
        if place.validity.is_none() && array.null_count() > 0 {
            return Err(refused("is not nullable and got nulls".to_owned()));
        }
        let bytes = match place.storage {
            Storage::Bits => {
                let bits: &BooleanArray = array.as_boolean();
                self.memory.write(place.values.start, bits.values().sliced().as_slice());
                0
            }
            Storage::Variable { .. } => match &place.data_type {
                DataType::Utf8 => self.copy_bytes::<Utf8Type>(&place, array.as_bytes())?,
                DataType::LargeUtf8 => {
                    self.copy_bytes::<LargeUtf8Type>(&place, array.as_bytes())?
                }
                DataType::Binary => self.copy_bytes::<BinaryType>(&place, array.as_bytes())?,
                _ => self.copy_bytes::<LargeBinaryType>(&place, array.as_bytes())?,
            },
            Storage::Fixed { width } => {
                self.copy_fixed(&place, width, array)?;
                0
            }
        };
        self.used[index].bytes = bytes;
        self.set_nulls(name, array.logical_nulls().as_ref())
    }

    fn copy_fixed(
        &self,
        place: &ColumnPlace,
        width: usize,
        array: &dyn Array,
    ) -> Result<(), HandoverError> {
        let length = array.len() * width;
        if let Some(list) = array.as_fixed_size_list_opt() {
            if list.values().null_count() > 0 {
                return Err(HandoverError::column(&place.name, "has nulls inside its lists"));
            }
            let data = list.values().to_data();
            let child = width / usize::try_from(list.value_length()).unwrap_or(1).max(1);
            let start = (data.offset() + list.value_offset(0) as usize) * child;
            self.memory
                .write(place.values.start, &data.buffers()[0].as_slice()[start..start + length]);
        } else if let Some(binary) = array.as_any().downcast_ref::<FixedSizeBinaryArray>() {
            self.memory.write(place.values.start, &binary.value_data()[..length]);
        } else {
            let data = array.to_data();
            let start = data.offset() * width;
            self.memory
                .write(place.values.start, &data.buffers()[0].as_slice()[start..start + length]);
        }
        Ok(())
    }

    fn copy_bytes<T: ByteArrayType>(
        &self,
        place: &ColumnPlace,
        array: &GenericByteArray<T>,
    ) -> Result<usize, HandoverError> {
        let offsets = array.value_offsets();
        let end = |offset: Option<&T::Offset>| offset.map_or(0, |offset| offset.as_usize());
        let (first, last) = (end(offsets.first()), end(offsets.last()));
        let bytes = last - first;
        if bytes > place.values.len() {
            let reason =
                format!("needs {bytes} bytes, more than its capacity of {}", place.values.len());
            return Err(HandoverError::column(&place.name, reason));
        }
        self.memory.write(place.values.start, &array.value_data()[first..last]);
        let start = place.offsets.as_ref().map_or(0, |range| range.start);
        if first == 0 && !offsets.is_empty() {
            self.memory.write(start, arrow_buffer::ToByteSlice::to_byte_slice(offsets));
        } else {
            let width = size_of::<T::Offset>();
            for (i, offset) in offsets.iter().enumerate() {
                let rebased = T::Offset::usize_as(offset.as_usize() - first);
                self.memory
                    .write(start + i * width, arrow_buffer::ToByteSlice::to_byte_slice(&rebased));
            }
        }
        Ok(bytes)
    }

    /// Says which rows of a column are null; `None` for none of them.
    ///
    /// # Errors
    ///
    /// [`HandoverError::Column`] if there is no such column, it is not nullable, or the length does not fit.
    pub fn set_nulls(
        &mut self,
        name: &str,
        nulls: Option<&NullBuffer>,
    ) -> Result<(), HandoverError> {
        let (index, place) = self.layout.column(name)?;
        let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) else {
            self.used[index].nulls = 0;
            return Ok(());
        };
        let refused = |reason: &str| HandoverError::column(name, reason);
        let bits = place.validity.as_ref().ok_or_else(|| refused("is not nullable"))?;
        if nulls.len() != self.layout.rows {
            return Err(refused("has another number of rows than its nulls"));
        }
        self.memory.write(bits.start, nulls.inner().sliced().as_slice());
        self.used[index].nulls = nulls.null_count();
        Ok(())
    }

    /// Writes what is left to write; the segment is a complete file then. Returns its length in bytes.
    pub(super) fn finish(&mut self) -> usize {
        if self.rows < self.layout.rows {
            for (place, used) in self.layout.columns.iter().zip(&mut self.used) {
                if let (true, Some(bits)) = (used.nulls > 0, &place.validity) {
                    used.nulls = self.rows - self.memory.count_bits(bits.clone(), self.rows);
                }
                if let (Some(offsets), Storage::Variable { offset }) =
                    (&place.offsets, place.storage)
                {
                    used.bytes = self.memory.offset_at(offsets.start + self.rows * offset, offset);
                }
            }
        }
        if let Some((at, batch)) = self.layout.finish(self.rows, &self.used) {
            self.memory.write(at, &batch);
        }
        self.layout.bytes()
    }
}
