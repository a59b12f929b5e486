//! Stores: records taken in by whole batches, from Arrow or from Python objects, JSON and msgpack.

mod code;
mod grids;
mod infer;
mod json;
mod raise;
mod report;
mod rows;
mod rules;
mod store;
mod stream;

use arrow_schema::ArrowError;
use pyo3::prelude::*;

use crate::arrow::Table;
use crate::error::INGEST;

fn arrow_error(err: ArrowError) -> PyErr {
    Python::attach(|py| INGEST.new_err(py, (err.to_string(),)))
}

/// Imports an Arrow table without taking it into a store; nothing is copied.
#[pyfunction]
fn read_arrow(data: &Bound<'_, PyAny>) -> PyResult<Table> {
    let (schema, batches) = stream::read(data)?;
    Ok(Table::new(schema, batches))
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<store::TokenStore>()?;
    module.add_class::<report::IngestReport>()?;
    module.add_function(wrap_pyfunction!(read_arrow, module)?)
}
