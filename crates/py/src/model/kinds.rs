//! What an object may be read as.

#![allow(unsafe_code)]

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyDict, PyFrozenSet, PyList, PySet, PyString, PyTuple, PyType};

use ottava_validate::{Checked, Collection, Stop};

use super::names;
use super::object::Object;

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

/// The float that an object is used as, by `__float__` or `__index__`.
pub(super) fn float_of(value: &Object) -> Checked<Option<f64>> {
    // SAFETY: values are only read where the interpreter is attached; the object is held.
    unsafe {
        let class = ffi::Py_TYPE(value.as_ptr());
        let methods = (*class).tp_as_number;
        if methods.is_null() || ((*methods).nb_float.is_none() && (*methods).nb_index.is_none()) {
            return Ok(None);
        }
        let float = ffi::PyFloat_AsDouble(value.as_ptr());
        if float != -1.0 || ffi::PyErr_Occurred().is_null() {
            return Ok(Some(float));
        }
    }
    no_number()
}

/// The integer of at most 64 bits that an object is used as, by `__index__`.
pub(super) fn int_of(value: &Object) -> Checked<Option<i64>> {
    // SAFETY: as in `float_of`.
    unsafe {
        if ffi::PyIndex_Check(value.as_ptr()) == 0 {
            return Ok(None);
        }
        let index = Object::owned(ffi::PyNumber_Index(value.as_ptr()));
        let Some(index) = index else { return no_number() };
        let mut overflow = 0;
        let int = ffi::PyLong_AsLongLongAndOverflow(index.as_ptr(), &raw mut overflow);
        Ok((overflow == 0).then_some(int))
    }
}

/// After a method of a value has raised: it is no number, unless that was an interruption, which is none of the value's.
#[cold]
fn no_number<T>() -> Checked<Option<T>> {
    // SAFETY: values are only read where the interpreter is attached.
    unsafe {
        if ffi::PyErr_ExceptionMatches(ffi::PyExc_Exception) == 0 {
            return Err(Stop::Abort);
        }
        ffi::PyErr_Clear();
    }
    Ok(None)
}
