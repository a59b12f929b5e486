//! What an object may be read as.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyDict, PyFrozenSet, PyList, PySet, PyString, PyTuple, PyType};

use ottava_validate::Collection;

use super::names;

pub(super) fn collection_of(value: &Bound<'_, PyAny>) -> Option<Collection> {
    if value.is_instance_of::<PyList>() {
        Some(Collection::List)
    } else if value.is_instance_of::<PyTuple>() {
        Some(Collection::Tuple)
    } else if value.is_instance_of::<PySet>() {
        Some(Collection::Set)
    } else if value.is_instance_of::<PyFrozenSet>() {
        Some(Collection::FrozenSet)
    } else {
        None
    }
}

/// Whether an object that is no built-in collection may become one: an iterable that is no text, no bytes and no mapping.
pub(super) fn iterates_as_collection(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    if value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyDict>()
        || value.is_instance_of::<pyo3::types::PyBytes>()
        || value.is_instance_of::<PyByteArray>()
        || value.is_instance_of::<pyo3::types::PyInt>()
        || value.is_instance_of::<pyo3::types::PyFloat>()
        || value.is_none()
        || names::is_mapping(value)?
    {
        return Ok(false);
    }
    value.hasattr("__iter__")
}

/// Whether reading attributes of this object makes sense: instances of classes, not plain data and not classes themselves.
pub(super) fn has_attributes(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = value.py();
    let home = value.get_type().getattr(intern!(py, "__module__"))?;
    let Ok(home) = home.cast::<PyString>() else { return Ok(false) };
    let home = home.to_string_lossy();
    Ok(!matches!(home.as_ref(), "builtins" | "datetime" | "collections")
        && !value.is_instance_of::<PyType>())
}
