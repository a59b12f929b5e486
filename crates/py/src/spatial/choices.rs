//! The keywords that queries share, and sets of tokens that are made once for many queries.

use std::borrow::Cow;

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_schema::DataType;
use numpy::PyUntypedArray;
use ottava_core::{AxisSet, Scales, TokenId};
use ottava_spatial::{Error, Query};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyInt, PyList, PyType};

use super::grid::TokenGrid;
use super::options;
use super::raise::raise;
use super::show::thousands;
use super::state::State;
use crate::arrays::{self, Ids, refuse};
use crate::arrow::{read_column, speaks_arrow, to_u64};
use crate::error::UNKNOWN_TOKEN;

/// The keywords that queries share, converted.
#[derive(Default)]
pub(super) struct Choices<'py> {
    axes: Option<AxisSet>,
    scales: Option<Scales>,
    admitted: Option<Admitted<'py>>,
    exclude: Option<Ids<'py>>,
}

/// `where=`: who may be an answer.
enum Admitted<'py> {
    Made(Bound<'py, Filter>),
    Mask(Vec<bool>),
    Ids(Ids<'py>),
}

/// The part of [`Choices`] that goes to another thread.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    axes: Option<AxisSet>,
    scales: Option<Scales>,
    admitted: Option<Those<'a>>,
    exclude: &'a [TokenId],
}

/// [`Admitted`], without what belongs to Python.
#[derive(Clone, Copy)]
enum Those<'a> {
    Made(&'a ottava_spatial::Filter),
    Mask(&'a [bool]),
    Ids(&'a [TokenId]),
}

impl Those<'_> {
    fn filter(&self, state: &State) -> Result<Cow<'_, ottava_spatial::Filter>, Error> {
        match *self {
            Self::Made(filter) => Ok(Cow::Borrowed(filter)),
            Self::Mask(mask) => state.grid.filter_mask(mask).map(Cow::Owned),
            Self::Ids(ids) => state.grid.filter_allow(ids).map(Cow::Owned),
        }
    }
}

impl<'py> Choices<'py> {
    pub(super) fn read(
        grid: &TokenGrid,
        axes: Option<&Bound<'py, PyAny>>,
        scales: Option<&Bound<'py, PyAny>>,
        admitted: Option<&Bound<'py, PyAny>>,
        exclude: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Self> {
        Ok(Self {
            axes: axes.map(|axes| options::axis_set(axes, &grid.names)).transpose()?,
            scales: scales.map(|s| options::scales(s, &grid.names, grid.scales)).transpose()?,
            admitted: admitted.map(Admitted::read).transpose()?,
            exclude: exclude.map(|ids| id_set(ids, "exclude")).transpose()?,
        })
    }

    pub(super) fn asked(&self) -> Asked<'_> {
        let admitted = self.admitted.as_ref().map(|admitted| match admitted {
            Admitted::Made(filter) => Those::Made(&filter.get().set),
            Admitted::Mask(mask) => Those::Mask(mask),
            Admitted::Ids(ids) => Those::Ids(ids.get()),
        });
        let exclude = self.exclude.as_ref().map_or(&[][..], Ids::get);
        Asked { axes: self.axes, scales: self.scales, admitted, exclude }
    }

    /// The exception for an error of a call whose points are `argument`.
    #[cold]
    pub(super) fn raise(&self, py: Python<'_>, argument: &str, error: Error) -> PyErr {
        let asked = self.asked();
        match &error {
            Error::UnknownId { id } => {
                let name = if asked.exclude.contains(id) {
                    "exclude"
                } else if matches!(asked.admitted, Some(Those::Ids(ids)) if ids.contains(id)) {
                    "where"
                } else {
                    return raise(py, argument, error);
                };
                UNKNOWN_TOKEN.new_err(py, (format!("{name}: {error}"),))
            }
            Error::WhitenedAxes if self.axes.is_some() => refuse(py, "axes", error),
            _ => raise(py, argument, error),
        }
    }
}

/// Ids whose order does not matter.
pub(super) fn id_set<'py>(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Ids<'py>> {
    if is_set(object) {
        let list = object.py().get_type::<PyList>().call1((object,))?;
        return arrays::ids(&list, name);
    }
    arrays::ids(object, name)
}

/// Whether it is a set, or behaves like one, as the keys of a dict do.
fn is_set(object: &Bound<'_, PyAny>) -> bool {
    static SET: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let usual = object.is_instance_of::<PyInt>()
        || object.is_instance_of::<PyList>()
        || object.is_instance_of::<PyUntypedArray>();
    let set = || SET.import(object.py(), "collections.abc", "Set");
    !usual && set().and_then(|set| object.is_instance(set)).unwrap_or(false)
}

impl<'py> Admitted<'py> {
    fn read(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(filter) = object.cast_exact::<Filter>() {
            return Ok(Self::Made(filter.clone()));
        }
        if let Some(ids) = arrays::listed_ids(object) {
            return Ok(Self::Ids(Ids::Listed(ids)));
        }
        if object.cast::<PyUntypedArray>().is_err() && speaks_arrow(object)? {
            let chunks: Vec<ArrayRef> = read_column(object)?.into_iter().map(only).collect();
            let nothing =
                chunks.iter().all(|chunk| chunk.is_empty() && chunk.data_type().is_null());
            if nothing {
                return Ok(Self::Ids(Ids::Listed(Vec::new())));
            }
            if chunks.first().is_some_and(|chunk| chunk.data_type().is_integer()) {
                return Ok(Self::Ids(Ids::Listed(to_u64(object.py(), "where", &chunks)?)));
            }
            let mut mask = Vec::new();
            for chunk in chunks {
                if chunk.data_type() != &DataType::Boolean {
                    return Err(PyTypeError::new_err(format!(
                        "where: expected an Arrow column of booleans or ids, got {}",
                        chunk.data_type()
                    )));
                }
                mask.extend(chunk.as_boolean().iter().map(|admitted| admitted == Some(true)));
            }
            return Ok(Self::Mask(mask));
        }
        match arrays::mask(object, "where")? {
            Some(mask) => Ok(Self::Mask(mask)),
            None => Ok(Self::Ids(id_set(object, "where")?)),
        }
    }
}

/// The column of a table that has one.
fn only(chunk: ArrayRef) -> ArrayRef {
    match chunk.as_struct_opt() {
        Some(table) if table.num_columns() == 1 => table.column(0).clone(),
        _ => chunk,
    }
}

/// Points whose neighbors are looked for on this thread, if those of each are few: others take that long to begin.
pub(super) const FEW_POINTS: usize = 16;

/// Neighbors of one point that are looked for with the interpreter held: microseconds.
const SHORT: usize = 256;

impl Asked<'_> {
    /// Whether the answer takes microseconds. Few tokens that are admitted may be far away.
    pub(super) fn is_short(&self, k: usize) -> bool {
        k <= SHORT && self.admitted.is_none() && self.exclude.len() <= SHORT
    }

    /// Runs `ask` with the query that was asked for.
    pub(super) fn with<T>(
        &self,
        state: &State,
        ask: impl FnOnce(&Query<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let filter = self.admitted.as_ref().map(|those| those.filter(state)).transpose()?;
        ask(&Query {
            axes: self.axes,
            scales: self.scales,
            filter: filter.as_deref(),
            exclude: self.exclude,
            ..Query::default()
        })
    }
}

#[doc = include_str!(concat!(env!("OUT_DIR"), "/help/Filter"))]
#[pyclass(frozen, module = "ottava.spatial")]
pub(super) struct Filter {
    set: ottava_spatial::Filter,
}

#[pymethods]
impl Filter {
    fn __len__(&self) -> usize {
        self.set.count()
    }

    fn __repr__(&self) -> String {
        match self.set.count() {
            1 => "Filter(1 token)".to_owned(),
            count => format!("Filter({} tokens)", thousands(count)),
        }
    }

    /// The older protocols would let it pass, and fail where it is unpickled.
    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("cannot pickle a Filter, which is of one grid in one state"))
    }
}

#[pymethods]
impl TokenGrid {
    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.filter"))]
    #[pyo3(signature = (r#where=None, *, exclude=None))]
    fn filter(
        &self,
        py: Python<'_>,
        r#where: Option<&Bound<'_, PyAny>>,
        exclude: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Filter> {
        let choices = Choices::read(self, None, None, r#where, exclude)?;
        let Asked { admitted, exclude, .. } = choices.asked();
        let made = self.shared.read_detached(py, |state| {
            let rest = state.grid.filter_deny(exclude)?;
            match admitted {
                Some(those) => rest.and(&*those.filter(state)?),
                None => Ok(rest),
            }
        })?;
        Ok(Filter { set: made.map_err(|err| choices.raise(py, "where", err))? })
    }
}
