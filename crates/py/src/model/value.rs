//! Plain values: Python objects to and from the trees of a declaration.

use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTuple,
};

use ottava_core::schema::Value;
use ottava_validate::{Found, Input};

use super::hosts::Hosts;
use super::input::PyInput;
use super::object::Object;
use super::session::Session;

/// Deepest nesting of plain data.
const DEPTH: usize = 100;

/// The object as plain data; `None` if it is something else, or nested too deeply (it may contain itself).
///
/// # Errors
/// Whatever the object's own methods raise.
pub(crate) fn to_value(object: &Bound<'_, PyAny>) -> PyResult<Option<Value>> {
    value_within(object, DEPTH)
}

fn value_within(object: &Bound<'_, PyAny>, depth: usize) -> PyResult<Option<Value>> {
    let Some(depth) = depth.checked_sub(1) else { return Ok(None) };
    let all = |items: &Bound<'_, PyAny>| -> PyResult<Option<Vec<Value>>> {
        items.try_iter()?.map(|item| value_within(&item?, depth)).collect()
    };
    let object = &member_value(object)?;
    if object.is_exact_instance_of::<PyList>() {
        return Ok(all(object)?.map(Value::List));
    }
    if object.is_exact_instance_of::<PyTuple>() {
        return Ok(all(object)?.map(Value::Tuple));
    }
    if object.is_exact_instance_of::<PySet>() {
        return Ok(all(object)?.map(Value::Set));
    }
    if object.is_exact_instance_of::<PyFrozenSet>() {
        return Ok(all(object)?.map(Value::FrozenSet));
    }
    if let Ok(dict) = object.cast_exact::<PyDict>() {
        let mut entries = Vec::with_capacity(dict.len());
        for (key, value) in dict.iter() {
            let (Some(key), Some(value)) =
                (value_within(&key, depth)?, value_within(&value, depth)?)
            else {
                return Ok(None);
            };
            entries.push((key, value));
        }
        return Ok(Some(Value::Map(entries)));
    }
    scalar(object)
}

/// The value of an enum member; any other object as it is.
fn member_value<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    if object.is_exact_instance_of::<PyString>()
        || object.is_exact_instance_of::<PyInt>()
        || object.is_none()
        || !object.is_instance(&py.import("enum")?.getattr("Enum")?)?
    {
        return Ok(object.clone());
    }
    object.getattr("value")
}

fn scalar(object: &Bound<'_, PyAny>) -> PyResult<Option<Value>> {
    let py = object.py();
    let (session, hosts) = (Session::default(), Hosts::default());
    let mut input = PyInput::new(py, &session, &hosts);
    let handle = Object::from(object.clone());
    let Ok(found) = input.get(&handle) else { return Err(PyErr::fetch(py)) };
    Ok(Some(match found {
        Found::Null => Value::Null,
        Found::Bool(value) => Value::Bool(value),
        Found::Int(value) => Value::Int(value),
        Found::BigInt(digits) => Value::BigInt(digits.to_owned()),
        Found::Float(value) => Value::Float(value),
        Found::Str(text) => Value::Str(text.to_owned()),
        Found::Bytes(bytes) => Value::Bytes(bytes.to_owned()),
        Found::Decimal(text) => Value::Decimal(text.to_owned()),
        Found::DateTime(value) => Value::DateTime(value),
        Found::Date(value) => Value::Date(value),
        Found::Time(value) => Value::Time(value),
        Found::Duration(value) => Value::Duration(value),
        Found::Uuid(value) => Value::Uuid(value),
        _ => return Ok(None),
    }))
}

/// Whether instances can share the object: nothing can change it.
pub(crate) fn is_shareable(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    if object.is_none()
        || object.is_exact_instance_of::<PyBool>()
        || object.is_exact_instance_of::<PyInt>()
        || object.is_exact_instance_of::<PyFloat>()
        || object.is_exact_instance_of::<PyString>()
        || object.is_exact_instance_of::<PyBytes>()
    {
        return Ok(true);
    }
    if object.is_exact_instance_of::<PyTuple>() || object.is_exact_instance_of::<PyFrozenSet>() {
        for item in object.try_iter()? {
            if !is_shareable(&item?)? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    Ok(!object.is_instance_of::<PyList>()
        && !object.is_instance_of::<PyDict>()
        && !object.is_instance_of::<PySet>()
        && !object.is_instance_of::<PyTuple>()
        && scalar(&member_value(object)?)?.is_some())
}
