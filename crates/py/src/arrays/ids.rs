//! Ids of tokens, from Python.

use numpy::PyArray1;
use numpy::prelude::*;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList, PyString, PyTuple};

use super::{
    Column, as_array, cast, is_boolean, is_integer, is_masked, refuse, shown, value, wrong_dtype,
    wrong_shape, wrong_type,
};

/// A single id or several.
pub(crate) enum Ids<'py> {
    /// A Python or numpy integer.
    One(u64),
    /// The integers of a list or tuple.
    Listed(Vec<u64>),
    /// Shape (n,).
    Many(Column<'py, u64>),
}

impl Ids<'_> {
    /// The ids.
    pub(crate) fn get(&self) -> &[u64] {
        match self {
            Self::One(id) => std::slice::from_ref(id),
            Self::Listed(ids) => ids,
            Self::Many(column) => column.get(),
        }
    }
}

/// `id=`: one id.
pub(crate) fn id(object: &Bound<'_, PyAny>) -> PyResult<u64> {
    match value(object)? {
        Some(id) if !is_boolean(object) => Ok(id),
        None if is_integer(object) => Err(no_id(object, "id")),
        _ => Err(wrong_type(object, "id", "an integer")),
    }
}

/// Ids: one integer, or a one-dimensional array or sequence of integers.
pub(crate) fn ids<'py>(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Ids<'py>> {
    if let Some(column) = quick_ids(object)? {
        return Ok(Ids::Many(column));
    }
    if let Some(ids) = listed_ids(object) {
        return Ok(Ids::Listed(ids));
    }
    if let Some(id) = value(object)?
        && !is_boolean(object)
    {
        return Ok(Ids::One(id));
    }
    if is_boolean(object) {
        return Err(wrong_type(object, name, "an integer"));
    }
    if is_integer(object) {
        return Err(no_id(object, name));
    }
    id_column(object, name).map(Ids::Many)
}

/// The ids of a list or tuple of nothing but Python integers, without numpy.
pub(crate) fn listed_ids(object: &Bound<'_, PyAny>) -> Option<Vec<u64>> {
    if let Ok(items) = object.cast_exact::<PyList>() {
        return id_items(items.iter());
    }
    id_items(object.cast_exact::<PyTuple>().ok()?.iter())
}

fn id_items<'py>(items: impl ExactSizeIterator<Item = Bound<'py, PyAny>>) -> Option<Vec<u64>> {
    if items.len() == 0 {
        return None;
    }
    let id = |item: Bound<'py, PyAny>| item.cast_exact::<PyInt>().ok()?.extract().ok();
    items.map(id).collect()
}

#[cold]
fn no_id(object: &Bound<'_, PyAny>, place: impl std::fmt::Display) -> PyErr {
    let message = format!("{} is not an id: ids are 0 to 2**64 - 2", shown(object));
    refuse(object.py(), &place.to_string(), message)
}

fn quick_ids<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Column<'py, u64>>> {
    let Ok(array) = object.cast::<PyArray1<u64>>() else { return Ok(None) };
    let fits = array.is_c_contiguous() && array.is_aligned() && !is_masked(array.as_untyped());
    if !fits {
        return Ok(None);
    }
    Ok(Some(Column(array.try_readonly()?)))
}

/// Ids of shape (n,).
pub(crate) fn id_column<'py>(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Column<'py, u64>> {
    let py = object.py();
    if let Some(column) = quick_ids(object)? {
        return Ok(column);
    }
    let array = as_array(object, name)?;
    if array.shape() == [0] {
        return Ok(Column(PyArray1::zeros(py, [0], false).readonly()));
    }
    let kind = array.dtype().kind();
    if !matches!(kind, b'u' | b'i') {
        if array.ndim() == 1
            && let Some(ids) = each_id(object, name)?
        {
            return Ok(ids);
        }
        if array.ndim() == 0 && kind == b'O' && object.try_iter().is_ok() {
            let got = object.get_type().name()?;
            let message = format!("{name}: expected a sequence of integers, got {got}");
            return Err(PyTypeError::new_err(message + "; list(...) makes one of it"));
        }
        let fix = if kind == b'f' {
            "ids are whole numbers, of which floats hold only those up to 2**53; make them with dtype=np.uint64"
        } else {
            "ids are 0 to 2**64 - 2"
        };
        return Err(wrong_dtype(&array, name, "integers", fix));
    }
    if array.ndim() != 1 {
        return Err(wrong_shape(&array, name, "(n,)", "one id per token"));
    }
    if kind == b'i' {
        let wide = cast::<i64, numpy::Ix1>(&array)?;
        let negative = wide.as_array().iter().position(|&id| id < 0);
        if let Some(row) = negative {
            let id = wide.as_array()[row];
            return Err(refuse(py, name, format_args!("row {row}: id {id} is negative")));
        }
    }
    Ok(Column(cast(&array)?))
}

/// The ids of a sequence of Python integers, of which numpy makes floats or objects if some are beyond 2**63; `None` if it
/// holds floats or texts.
fn each_id<'py>(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Option<Column<'py, u64>>> {
    let mut ids = Vec::new();
    for (row, item) in object.try_iter()?.enumerate() {
        let item = item?;
        match value(&item)? {
            Some(id) if !is_boolean(&item) => ids.push(id),
            None if is_integer(&item) => {
                return Err(no_id(&item, format_args!("{name}: row {row}")));
            }
            None if is_number_or_text(&item)? => return Ok(None),
            _ => {
                let fix = match name {
                    _ if !item.is_none() && !is_boolean(&item) => "ids are 0 to 2**64 - 2",
                    "where" => "a mask is an array of dtype bool, np.array(..., bool) makes one",
                    _ => "grid.ids[mask] are the ids of a mask",
                };
                let got = item.get_type().name()?;
                return Err(PyTypeError::new_err(format!(
                    "{name}: row {row}: expected an integer, got {got}; {fix}"
                )));
            }
        }
    }
    Ok(Some(Column(PyArray1::from_vec(object.py(), ids).readonly())))
}

fn is_number_or_text(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let is_text = object.is_instance_of::<PyString>();
    Ok(!is_boolean(object) && (is_text || value::<f64>(object)?.is_some()))
}
