//! The native half of the Python package `ottava`: the export list, and nothing else.

mod arrays;
mod arrow;
mod error;
mod gate;
#[cfg(unix)]
mod handover;
mod ingest;
mod interpreter;
mod model;
mod schema;
mod spatial;
#[cfg(unix)]
mod streams;
mod threads;

use pyo3::prelude::*;

/// The private module `ottava._native`.
#[pymodule(gil_used = false)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    interpreter::need_main(module.py())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    arrow::register(module)?;
    schema::register(module)?;
    ingest::register(module)?;
    spatial::register(module)?;
    model::register(module)?;
    #[cfg(unix)]
    streams::register(module)?;
    #[cfg(unix)]
    handover::register(module)?;
    Ok(())
}
