//! Arrow tables in and out through the C data interface (`__arrow_c_stream__`, `__arrow_c_array__`), without copies.

mod import;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, StructArray, new_empty_array};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, SchemaRef};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use pyo3_arrow::ffi::{ArrayIterator, to_schema_pycapsule, to_stream_pycapsule};
use pyo3_arrow::input::AnyArray;

use crate::arrays::refuse;
use crate::gate;

pub(crate) use import::Batches;

/// An Arrow table: record batches of one schema, for any library that reads the Arrow C stream interface.
///
/// `pyarrow.table(t)`, `polars.DataFrame(t)` and `duckdb.sql("select * from t")` take it as it is, without copies.
#[pyclass(frozen, module = "ottava")]
pub(crate) struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl Table {
    /// A table of batches that all have this schema.
    pub(crate) fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        Self { schema, batches }
    }

    /// Reads anything with `__arrow_c_stream__` or `__arrow_c_array__`; the buffers are shared, not copied.
    pub(crate) fn read(object: &Bound<'_, PyAny>, name: &str) -> PyResult<Self> {
        let py = object.py();
        if !speaks_arrow(object)? {
            return Err(PyTypeError::new_err(format!(
                "{name}: expected an Arrow table (an object with __arrow_c_stream__ or __arrow_c_array__), got {}; \
                 pyarrow.table(...) or polars.DataFrame(...) makes one",
                object.get_type().name()?
            )));
        }
        let batches = Batches::open(object)?;
        let schema = Arc::clone(batches.schema());
        let batches: Result<Vec<_>, _> = gate::detached(py, || batches.collect())?;
        let batches = batches.map_err(|err| PyValueError::new_err(format!("{name}: {err}")))?;
        Ok(Self { schema, batches })
    }

    /// The schema.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The batches, in the order of the rows.
    pub(crate) fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// The number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// The chunks of the one column of this name.
    pub(crate) fn column(
        &self,
        py: Python<'_>,
        argument: &str,
        name: &str,
    ) -> PyResult<Vec<ArrayRef>> {
        let Ok(index) = self.schema.index_of(name) else {
            let known: Vec<_> = self.schema.fields().iter().map(|f| f.name().as_str()).collect();
            let message = format!("the table has no column {name:?}, it has {}", known.join(", "));
            return Err(refuse(py, argument, message));
        };
        if self.schema.fields()[index + 1..].iter().any(|field| field.name() == name) {
            let message = format!("the table has more than one column {name:?}; rename the others");
            return Err(refuse(py, argument, message));
        }
        Ok(self.batches.iter().map(|batch| Arc::clone(batch.column(index))).collect())
    }
}

#[pymethods]
impl Table {
    /// The number of rows.
    #[getter]
    fn num_rows(&self) -> usize {
        self.rows()
    }

    /// The number of columns.
    #[getter]
    fn num_columns(&self) -> usize {
        self.schema.fields().len()
    }

    /// The names of the columns, in order.
    #[getter]
    fn column_names(&self) -> Vec<&str> {
        self.schema.fields().iter().map(|field| field.name().as_str()).collect()
    }

    fn __len__(&self) -> usize {
        self.rows()
    }

    fn __repr__(&self) -> String {
        let fields: Vec<_> = self
            .schema
            .fields()
            .iter()
            .map(|f| format!("{}: {}", f.name(), f.data_type()))
            .collect();
        format!("<ottava.Table of {} rows: {}>", self.rows(), fields.join(", "))
    }

    /// The schema as an Arrow C schema capsule.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        Ok(to_schema_pycapsule(py, self.schema.as_ref())?)
    }

    /// The table as an Arrow C stream capsule.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let whole = Field::new_struct("", self.schema.fields().clone(), false)
            .with_metadata(self.schema.metadata().clone());
        let batches = self.batches.clone().into_iter();
        let arrays = batches.map(|batch| Ok(Arc::new(StructArray::from(batch)) as ArrayRef));
        let reader = Box::new(ArrayIterator::new(arrays, Arc::new(whole)));
        Ok(to_stream_pycapsule(py, reader, requested_schema)?)
    }
}

/// Reads one column from anything with `__arrow_c_array__` or `__arrow_c_stream__`.
pub(crate) fn read_column(object: &Bound<'_, PyAny>) -> PyResult<Vec<ArrayRef>> {
    let reader = object.extract::<AnyArray>()?.into_reader()?;
    let kind = reader.field().data_type().clone();
    let chunks: Result<Vec<_>, _> = reader.collect();
    let mut chunks = chunks.map_err(|err| PyTypeError::new_err(err.to_string()))?;
    if chunks.is_empty() {
        chunks.push(new_empty_array(&kind)); // which says what the values would be
    }
    Ok(chunks)
}

/// Whether the object speaks the Arrow C data interface.
pub(crate) fn speaks_arrow(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = object.py();
    Ok(object.hasattr(intern!(py, "__arrow_c_array__"))?
        || object.hasattr(intern!(py, "__arrow_c_stream__"))?)
}

/// Whole numbers from 0 as `u64`; a null, a negative or a fraction is refused with its row.
pub(crate) fn to_u64(py: Python<'_>, argument: &str, chunks: &[ArrayRef]) -> PyResult<Vec<u64>> {
    let mut values = Vec::with_capacity(chunks.iter().map(|c| c.len()).sum());
    for chunk in chunks {
        if !chunk.data_type().is_integer() {
            return Err(PyTypeError::new_err(format!(
                "{argument}: expected a column of integers, got {}; cast it to uint64 first",
                chunk.data_type()
            )));
        }
        let first = values.len();
        let whole = cast(chunk, &DataType::UInt64).map_err(|err| refuse(py, argument, err))?;
        if let Some(row) = first_null(&whole) {
            let what = if chunk.is_null(row) { "is null" } else { "is negative" };
            return Err(refuse(py, argument, format_args!("row {}: the id {what}", first + row)));
        }
        values.extend_from_slice(whole.as_primitive::<UInt64Type>().values());
    }
    Ok(values)
}

/// Real numbers as `f32`; a null is refused with its row.
pub(crate) fn to_f32(py: Python<'_>, argument: &str, chunks: &[ArrayRef]) -> PyResult<Vec<f32>> {
    let mut values = Vec::with_capacity(chunks.iter().map(|c| c.len()).sum());
    for chunk in chunks {
        if !chunk.data_type().is_numeric() {
            return Err(PyTypeError::new_err(format!(
                "{argument}: expected a column of numbers, got {}; cast it to float32 first",
                chunk.data_type()
            )));
        }
        let first = values.len();
        let narrow = cast(chunk, &DataType::Float32).map_err(|err| refuse(py, argument, err))?;
        if let Some(row) = first_null(&narrow) {
            let message =
                format!("row {}: the value is null; fill or drop nulls first", first + row);
            return Err(refuse(py, argument, message));
        }
        values.extend_from_slice(narrow.as_primitive::<Float32Type>().values());
    }
    Ok(values)
}

fn first_null(array: &dyn Array) -> Option<usize> {
    if array.null_count() == 0 {
        return None;
    }
    (0..array.len()).find(|&row| array.is_null(row))
}

/// Adds the class to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Table>()
}
