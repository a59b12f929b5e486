//! Glue for `ottava-streams`: jobs that run in a thread of their own while Python waits.

mod descriptor;
mod job;
mod lines;
mod storage;

use pyo3::prelude::*;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<job::StreamJob>()?;
    module.add_class::<lines::StreamLines>()?;
    module.add_function(wrap_pyfunction!(job::stream_pump, module)?)?;
    module.add_function(wrap_pyfunction!(job::stream_consume, module)?)?;
    module.add_function(wrap_pyfunction!(job::stream_count_lines, module)?)?;
    module.add_function(wrap_pyfunction!(lines::stream_lines, module)?)?;
    Ok(())
}
