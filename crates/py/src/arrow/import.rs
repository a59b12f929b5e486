//! Arrow tables in: streams and arrays of the C data interface, without copies.
//!
//! The importer of arrow-rs applies the offset of a record twice to a record inside it: `ArrayData::slice` moves the offset into the
//! fields and keeps it, and every reader of the result moves it once more. A slice of nested records, which is valid, ends in a panic. So
//! [`array`] puts together what has records inside, from arrays, whose slices have no offset to apply; everything else stays with arrow-rs.

#![allow(unsafe_code)]

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi_and_data_type};
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, GenericListArray, GenericListViewArray, MapArray,
    OffsetSizeTrait, RecordBatch, RecordBatchOptions, StructArray, make_array,
};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};

/// The record batches of a Python object.
pub(crate) struct Batches {
    schema: SchemaRef,
    source: Source,
}

enum Source {
    /// What `__arrow_c_array__` gave.
    Once(Option<FFI_ArrowArray>),
    Stream(FFI_ArrowArrayStream),
}

impl Batches {
    /// Opens anything with `__arrow_c_array__` or `__arrow_c_stream__`; reads no row.
    ///
    /// `TypeError` for what holds no table, `ValueError` for a capsule that was read before or a stream that has no schema to tell, and
    /// whatever the object raises.
    pub(crate) fn open(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = object.py();
        if object.hasattr(intern!(py, "__arrow_c_array__"))? {
            let pair = object.call_method0(intern!(py, "__arrow_c_array__"))?;
            let pair = pair.cast_into::<PyTuple>()?;
            let (schema, array) = (pair.get_item(0)?, pair.get_item(1)?);
            let schema = schema.cast::<PyCapsule>()?.pointer_checked(Some(c"arrow_schema"))?;
            let array = array.cast::<PyCapsule>()?.pointer_checked(Some(c"arrow_array"))?;
            // SAFETY: capsules of these names hold these structures (Arrow PyCapsule interface). The schema is only looked at; the
            // array is moved out, and what is left in the capsule is marked as released.
            let (schema, array) = unsafe {
                let schema: &FFI_ArrowSchema = schema.cast().as_ref();
                (Schema::try_from(schema), FFI_ArrowArray::from_raw(array.cast().as_ptr()))
            };
            if array.is_released() {
                return Err(released());
            }
            let schema = Arc::new(schema.map_err(|err| PyTypeError::new_err(err.to_string()))?);
            return Ok(Self { schema, source: Source::Once(Some(array)) });
        }
        let capsule = object.call_method0(intern!(py, "__arrow_c_stream__"))?;
        let capsule = capsule.cast::<PyCapsule>()?;
        let stream = capsule.pointer_checked(Some(c"arrow_array_stream"))?;
        // SAFETY: a capsule of this name holds a stream. It is moved out, and what is left in the capsule is marked as released.
        let mut stream = unsafe { FFI_ArrowArrayStream::from_raw(stream.cast().as_ptr()) };
        if stream.release.is_none() {
            return Err(released());
        }
        let schema = Arc::new(schema_of(&mut stream).map_err(PyValueError::new_err)?);
        Ok(Self { schema, source: Source::Stream(stream) })
    }

    /// The schema of all batches.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn next_array(&mut self) -> Option<Result<FFI_ArrowArray, String>> {
        let stream = match &mut self.source {
            Source::Once(array) => return array.take().map(Ok),
            Source::Stream(stream) => stream,
        };
        let mut array = FFI_ArrowArray::empty();
        let Some(next) = stream.get_next else {
            return Some(Err("the stream has no batches to give".to_owned()));
        };
        // SAFETY: the stream is not released; its functions take it and a place for the array.
        let code = unsafe { next(stream, &raw mut array) };
        if code != 0 {
            return Some(Err(last_error(stream, code)));
        }
        (!array.is_released()).then_some(Ok(array))
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let array = match self.next_array()? {
            Ok(array) => array,
            Err(err) => return Some(Err(err)),
        };
        let fields = DataType::Struct(self.schema.fields().clone());
        if let Err(wrong) = fits(&array, &fields) {
            let text = format!("it is not of the schema that its stream announced: {wrong}");
            return Some(Err(text));
        }
        let schema = &self.schema;
        // Beyond what was checked, arrow-rs asserts.
        let read = catch_unwind(AssertUnwindSafe(|| batch(schema, array, fields)));
        let read = read.map_err(crate::gate::message);
        Some(read.and_then(|batch| batch.map_err(|err| err.to_string())))
    }
}

fn released() -> PyErr {
    PyValueError::new_err("the capsule was read before; every consumer needs one of its own")
}

/// The schema that a stream announces.
fn schema_of(stream: &mut FFI_ArrowArrayStream) -> Result<Schema, String> {
    let mut schema = FFI_ArrowSchema::empty();
    let Some(get) = stream.get_schema else {
        return Err("the stream has no schema to give".to_owned());
    };
    // SAFETY: the stream is not released; its functions take it and a place for the schema.
    match unsafe { get(stream, &raw mut schema) } {
        0 => Schema::try_from(&schema).map_err(|err| err.to_string()),
        code => Err(last_error(stream, code)),
    }
}

fn last_error(stream: &mut FFI_ArrowArrayStream, code: i32) -> String {
    // SAFETY: the stream is not released, and its text is valid until it is called again.
    let text = stream.get_last_error.and_then(|last| unsafe {
        let text = last(stream);
        (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    });
    text.unwrap_or_else(|| format!("the stream failed with error {code}"))
}

/// Whether an array has the children that its type says, and they the rows that it refers to.
fn fits(array: &FFI_ArrowArray, ty: &DataType) -> Result<(), String> {
    let end = array.len().checked_add(array.offset()).filter(|end| isize::try_from(*end).is_ok());
    let end = end.ok_or("an array has less than no rows")?;
    let children = |expected: usize| match array.num_children() {
        found if found == expected => Ok(()),
        found => Err(format!("{found} children instead of {expected}")),
    };
    let child = |at: usize, ty: &DataType, rows: usize| {
        let child = array.child(at);
        if child.len() < rows {
            return Err(format!("a child of {} rows below {rows}", child.len()));
        }
        fits(child, ty)
    };
    match ty {
        DataType::Struct(fields) => {
            children(fields.len())?;
            let named = |(at, field): (usize, &arrow_schema::FieldRef)| {
                child(at, field.data_type(), end).map_err(|err| format!("{}: {err}", field.name()))
            };
            fields.iter().enumerate().try_for_each(named)
        }
        DataType::FixedSizeList(field, n) => {
            children(1)?;
            let size = usize::try_from(*n).map_err(|_| "lists of a negative size")?;
            child(0, field.data_type(), end.saturating_mul(size))
        }
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::Map(field, _) => {
            children(1)?;
            child(0, field.data_type(), 0)
        }
        DataType::Dictionary(_, values) => match array.dictionary() {
            Some(dictionary) => fits(dictionary, values),
            None => Err("no dictionary".to_owned()),
        },
        DataType::RunEndEncoded(..) => children(2),
        DataType::Union(fields, _) => children(fields.len()),
        _ => children(0),
    }
}

fn batch(
    schema: &SchemaRef,
    array: FFI_ArrowArray,
    fields: DataType,
) -> Result<RecordBatch, ArrowError> {
    // SAFETY: the producer vouches for its buffers, as everywhere in the C data interface; the children were counted.
    let data = unsafe { from_ffi_and_data_type(array, fields) }?;
    let (_, rows, nulls, offset, _, children) = data.into_parts();
    if nulls.is_some_and(|nulls| nulls.null_count() > 0) {
        return Err(ArrowError::CDataInterface("a row is null as a whole".to_owned()));
    }
    let column = |child: ArrayData| Ok::<_, ArrowError>(part(array_of(child)?, offset, rows));
    let columns = children.into_iter().map(column).collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

fn part(array: ArrayRef, offset: usize, rows: usize) -> ArrayRef {
    if offset == 0 && rows == array.len() { array } else { array.slice(offset, rows) }
}

fn holds_records(ty: &DataType) -> bool {
    match ty {
        DataType::Struct(_) => true,
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => holds_records(field.data_type()),
        _ => false,
    }
}

/// The array of imported data.
fn array_of(data: ArrayData) -> Result<ArrayRef, ArrowError> {
    if !holds_records(data.data_type()) {
        return Ok(make_array(data));
    }
    let (ty, rows, nulls, offset, buffers, children) = data.into_parts();
    let mut children = children.into_iter().map(array_of);
    let mut only = || {
        let none = || ArrowError::CDataInterface("a list without items".to_owned());
        children.next().unwrap_or_else(|| Err(none()))
    };
    Ok(match ty {
        DataType::Struct(fields) => {
            let columns: Vec<_> =
                children.map(|c| Ok(part(c?, offset, rows))).collect::<Result<_, ArrowError>>()?;
            Arc::new(StructArray::try_new_with_length(fields, columns, nulls, rows)?)
        }
        DataType::FixedSizeList(field, n) => {
            let size = usize::try_from(n).unwrap_or_default();
            let items = part(only()?, offset * size, rows * size);
            Arc::new(FixedSizeListArray::try_new_with_length(field, n, items, nulls, rows)?)
        }
        DataType::List(field) => {
            let offsets = offsets::<i32>(&buffers, offset, rows);
            Arc::new(GenericListArray::try_new(field, offsets, only()?, nulls)?)
        }
        DataType::LargeList(field) => {
            let offsets = offsets::<i64>(&buffers, offset, rows);
            Arc::new(GenericListArray::try_new(field, offsets, only()?, nulls)?)
        }
        DataType::ListView(field) => {
            let (starts, sizes) = views::<i32>(&buffers, offset, rows);
            Arc::new(GenericListViewArray::try_new(field, starts, sizes, only()?, nulls)?)
        }
        DataType::LargeListView(field) => {
            let (starts, sizes) = views::<i64>(&buffers, offset, rows);
            Arc::new(GenericListViewArray::try_new(field, starts, sizes, only()?, nulls)?)
        }
        DataType::Map(field, ordered) => {
            let entries = only()?.as_struct().clone();
            let offsets = offsets::<i32>(&buffers, offset, rows);
            Arc::new(MapArray::try_new(field, offsets, entries, nulls, ordered)?)
        }
        other => {
            return Err(ArrowError::CDataInterface(format!("no records can be in {other}")));
        }
    })
}

fn offsets<O: OffsetSizeTrait>(
    buffers: &[arrow_buffer::Buffer],
    offset: usize,
    rows: usize,
) -> OffsetBuffer<O> {
    match buffers.first() {
        Some(buffer) if !buffer.is_empty() => {
            OffsetBuffer::new(ScalarBuffer::new(buffer.clone(), offset, rows + 1))
        }
        _ => OffsetBuffer::new_empty(),
    }
}

type Views<O> = (ScalarBuffer<O>, ScalarBuffer<O>);

fn views<O: OffsetSizeTrait>(
    buffers: &[arrow_buffer::Buffer],
    offset: usize,
    rows: usize,
) -> Views<O> {
    let view = |at: usize| ScalarBuffer::new(buffers[at].clone(), offset, rows);
    (view(0), view(1))
}
