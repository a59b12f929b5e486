//! What was validated before, read once more: objects of any class, in the form that JSON has for them.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use ottava_validate::{Collection, Found, Loc};

use super::input::{Map, collection_of};
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
