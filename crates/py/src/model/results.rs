//! What was validated before, read once more: objects of any class, in the form that JSON has for them.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyType};

use ottava_validate::{Collection, Found, Loc};

use super::input::Map;
use super::kinds::collection_of;
use super::layout;
use super::names;
use super::state;

/// What a value is that a dump has made.
pub(super) fn found<'a>(text: &'a mut String, made: &Bound<'_, PyAny>) -> PyResult<Found<'a>> {
    Ok(if made.is_none() {
        Found::Null
    } else if made.is_instance_of::<PyDict>() {
        Found::Map
    } else if made.is_instance_of::<PyList>() {
        Found::Seq(Collection::List)
    } else if let Ok(flag) = made.cast::<PyBool>() {
        Found::Bool(flag.is_true())
    } else if let Ok(float) = made.cast::<PyFloat>() {
        Found::Float(float.value())
    } else if let Ok(int) = made.extract::<i64>() {
        Found::Int(int)
    } else {
        *text = made.str()?.to_cow()?.into_owned();
        if made.is_instance_of::<PyInt>() { Found::BigInt(text) } else { Found::Str(text) }
    })
}

/// What JSON has for an object, such as a path, a member of an enum or an instance of a dataclass. `TypeError` if it has nothing.
pub(super) fn dumped<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let dump = object.py().import("ottava._dump")?;
    let options = dump.getattr("Options")?.call1(("json",))?;
    dump.getattr("dump_value")?.call1((object, options))
}

/// Whether the value is an instance of another model, dataclass or named tuple: in a union, what it holds may look alike.
pub(super) fn is_of_another(value: &Bound<'_, PyAny>, class: &Bound<'_, PyType>) -> PyResult<bool> {
    let py = value.py();
    let has_class = layout::is_model_instance(value)
        || value.is_instance_of::<PyTuple>()
        || value.hasattr(intern!(py, "__dataclass_fields__"))?;
    if !has_class || value.is_instance(class)? {
        return Ok(false);
    }
    // Those of a generic class, with and without arguments, are of one kind.
    let origin = |class: &Bound<'_, PyType>| -> PyResult<usize> {
        let origin = class.getattr_opt(intern!(py, "__ottava_origin__"))?;
        let origin = origin.filter(|origin| !origin.is_none());
        Ok(origin.map_or(class.as_ptr() as usize, |origin| origin.as_ptr() as usize))
    };
    Ok(origin(&value.get_type())? != origin(class)?)
}

/// The entries of a value that was validated before, if it is no dictionary and is not read by its attributes.
pub(super) fn opened(value: &Bound<'_, PyAny>, as_record: bool) -> PyResult<Option<Map>> {
    if layout::is_model_instance(value) {
        let entries = state::entries(value)?.into_iter();
        return Ok(Some(Map::Entries { entries, key: None, value: None }));
    }
    if let Ok(tuple) = value.cast::<PyTuple>() {
        let Some(names) = value.getattr_opt(intern!(value.py(), "_fields"))? else {
            return Ok(None);
        };
        let mut entries = Vec::with_capacity(tuple.len());
        for (name, item) in names.try_iter()?.zip(tuple.iter()) {
            entries.push((name?.into(), item.into()));
        }
        return Ok(Some(Map::Entries { entries: entries.into_iter(), key: None, value: None }));
    }
    if as_record || names::is_mapping(value)? || collection_of(value).is_some() {
        return Ok(None);
    }
    Ok(dumped(value)?.cast_into::<PyDict>().ok().map(|dict| Map::Dict {
        dict: dict.into_any().into(),
        position: 0,
        key: None,
        value: None,
    }))
}

/// The step of a path that a key makes: text and numbers as they are, other objects as Python shows them.
pub(super) fn key_step(key: &Bound<'_, PyAny>) -> Loc {
    if let Ok(text) = key.cast::<PyString>()
        && let Ok(text) = text.to_str()
    {
        return Loc::Name(text.into());
    }
    if key.is_instance_of::<PyInt>()
        && let Ok(index) = key.extract::<usize>()
    {
        return Loc::Index(index);
    }
    let shown = key.repr().map(|shown| shown.to_string_lossy().into_owned());
    Loc::Name(shown.unwrap_or_else(|_| "?".to_owned()).into())
}
