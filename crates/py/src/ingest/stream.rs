//! Arrow streams, read to their ends.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use pyo3::exceptions::{PyException, PyTypeError};
use pyo3::prelude::*;

use crate::arrow::{Batches, speaks_arrow};
use crate::error::INGEST;
use crate::gate;

/// Reads a stream to its end; what its producer raises is told with the number of the record batch.
pub(super) fn read(data: &Bound<'_, PyAny>) -> PyResult<(SchemaRef, Vec<RecordBatch>)> {
    let py = data.py();
    if !speaks_arrow(data)? {
        return Err(PyTypeError::new_err(format!(
            "data: expected an Arrow table (an object with __arrow_c_stream__ or __arrow_c_array__), got {}; \
             ingest_nodes_msgspec takes rows, JSON and msgpack",
            data.get_type().name()?
        )));
    }
    let refused = |message: String, cause: Option<PyErr>| {
        let err = INGEST.new_err(py, (message,));
        err.set_cause(py, cause);
        err
    };
    let opened = gate::attached(py, || Batches::open(data))?;
    let reader = opened.map_err(|err| {
        if err.is_instance_of::<PyTypeError>(py) || !err.is_instance_of::<PyException>(py) {
            return err;
        }
        refused(format!("cannot open the stream: {}", err.value(py)), Some(err))
    })?;
    let schema = Arc::clone(reader.schema());
    let outcome = gate::detached(py, move || {
        let numbered = |(at, read): (usize, Result<RecordBatch, String>)| {
            read.map_err(|err| format!("record batch {at}: {err}"))
        };
        reader.enumerate().map(numbered).collect::<Result<Vec<_>, _>>()
    })?;
    let batches = outcome.map_err(|message| refused(message, None))?;
    Ok((schema, batches))
}
