//! Classes of the standard library that values become, looked up once.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

static DECIMAL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static MAPPING: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static UUID: PyOnceLock<Py<PyType>> = PyOnceLock::new();

pub(crate) fn decimal(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    DECIMAL.import(py, "decimal", "Decimal")
}

pub(crate) fn uuid(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    UUID.import(py, "uuid", "UUID")
}

/// Whether the object is a `decimal.Decimal`. Does not import the module where nobody else has.
pub(crate) fn is_decimal(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    value.is_instance(decimal(value.py())?.as_any())
}

/// Whether the object is a `collections.abc.Mapping`.
pub(crate) fn is_mapping(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let class = MAPPING.import(value.py(), "collections.abc", "Mapping")?;
    value.is_instance(class.as_any())
}

/// Whether the object is a `uuid.UUID`.
pub(crate) fn is_uuid(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    value.is_instance(uuid(value.py())?.as_any())
}
