//! What tokens do around them: connections, influence, density.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use numpy::prelude::*;
use numpy::{Element, PyArray1};
use ottava_core::AXES;
use ottava_spatial::{Connect, Error, Query};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::choices::Choices;
use super::grid::{TokenGrid, table, view};
use super::options;
use super::query::{limit, radius, sort};
use super::raise::{in_row, raise};
use super::results::{CACHE_STATS, CONNECTIONS, GRAPH};
use super::state::State;
use crate::arrays::{self, Points, refuse};

/// A number for one point, an array of shape (n,) for many.
macro_rules! per_point {
    ($self:ident, $py:ident, $points:ident, $threads:ident, $raise:expr, $ask:expr) => {{
        let (ask, raise) = ($ask, $raise);
        match arrays::points($points, "points")? {
            Points::One(point) => {
                let found = $self.shared.read_detached($py, |state| ask(state, &[point][..]))?;
                let values = found.map_err(|err| raise($py, "points", err))?;
                Ok(values[0].into_pyobject($py)?.into_any())
            }
            Points::Many(rows) => {
                let rows = rows.get();
                let found = $self.shared.read_parallel($py, $threads, |state, cancel| {
                    in_blocks(rows, cancel, |rows| ask(state, rows))
                })?;
                let values = found.map_err(|err| raise($py, "points", err))?;
                Ok(PyArray1::from_vec($py, values).into_any())
            }
        }
    }};
}

/// Points of the first block; while blocks are quick, each has twice as many as the one before.
const BLOCK: usize = 1;
const QUICK: Duration = Duration::from_millis(20);

/// Asks in blocks, and looks at the flag that ends the call early between them.
fn in_blocks<T>(
    mut rows: &[[f32; AXES]],
    cancel: &AtomicBool,
    mut ask: impl FnMut(&[[f32; AXES]]) -> Result<Vec<T>, Error>,
) -> Result<Vec<T>, Error> {
    let mut values = Vec::with_capacity(rows.len());
    let mut size = BLOCK;
    while !rows.is_empty() {
        if cancel.load(Ordering::Relaxed) {
            return Err(Error::Cancelled);
        }
        let (block, rest) = rows.split_at(size.min(rows.len()));
        let start = Instant::now();
        values.append(&mut ask(block).map_err(|err| in_row(values.len(), err))?);
        if start.elapsed() < QUICK {
            size *= 2;
        }
        rows = rest;
    }
    Ok(values)
}

/// A read-only array: it may be handed out more than once. It does not own its data, so that nobody can make it writable.
fn fixed<'py, T: Element + Copy>(
    py: Python<'py>,
    values: &[T],
) -> PyResult<Bound<'py, PyArray1<T>>> {
    let array = PyArray1::from_vec(py, values.to_vec());
    array.try_readwrite()?.make_nonwriteable();
    Ok(array)
}

#[pymethods]
impl TokenGrid {
    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.connections"))]
    #[pyo3(signature = (id, radius, *, limit=None, sort=true, falloff=None, axes=None, scales=None, r#where=None, exclude=None))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn connections<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = arrays::id)] id: u64,
        #[pyo3(from_py_with = self::radius)] radius: f32,
        #[pyo3(from_py_with = self::limit)] limit: Option<usize>,
        #[pyo3(from_py_with = self::sort)] sort: bool,
        falloff: Option<&Bound<'py, PyAny>>,
        axes: Option<&Bound<'py, PyAny>>,
        scales: Option<&Bound<'py, PyAny>>,
        r#where: Option<&Bound<'py, PyAny>>,
        exclude: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let falloff = options::falloff(falloff)?;
        let plain = axes.is_none()
            && scales.is_none()
            && r#where.is_none()
            && exclude.is_none()
            && limit.is_none()
            && sort;
        let query = Query::default();
        let cached = if plain {
            let look_up =
                |state: &State| state.grid.cached_connections(id, radius, falloff, &query);
            self.shared.read(py, look_up)?.map_err(|err| raise(py, "id", err))?
        } else {
            None
        };
        let found = match cached {
            Some(found) => found,
            None => {
                let choices = Choices::read(self, axes, scales, r#where, exclude)?;
                let asked = choices.asked();
                let found = self.shared.read_unbounded(py, |state| {
                    asked.with(state, |query| {
                        let query = Query { limit, sort, ..*query };
                        state.grid.connections(id, radius, falloff, &query)
                    })
                })?;
                found.map_err(|err| choices.raise(py, "id", err))?
            }
        };
        let key = (id, radius.to_bits(), falloff);
        if plain && let Some(object) = self.replies.get(py, &key, &found) {
            return Ok(object);
        }
        let strengths = fixed(py, &found.strengths)?;
        let arrays = (fixed(py, &found.ids)?, fixed(py, &found.distances)?, strengths);
        let object = CONNECTIONS.of(py, arrays)?;
        // Unless the cache of the grid has it too, it is never asked for again.
        if plain && Arc::strong_count(&found) > 1 {
            self.replies.keep(key, &found, object.cast::<PyTuple>()?);
        }
        Ok(object)
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.connect"))]
    #[pyo3(signature = (*, radius=None, k=None, within=None, limit=None, sort=true, falloff=None, axes=None, scales=None,
                        r#where=None, exclude=None, threads=None))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn connect<'py>(
        &self,
        py: Python<'py>,
        radius: Option<&Bound<'py, PyAny>>,
        k: Option<&Bound<'py, PyAny>>,
        #[pyo3(from_py_with = super::query::within)] within: Option<f32>,
        #[pyo3(from_py_with = self::limit)] limit: Option<usize>,
        #[pyo3(from_py_with = self::sort)] sort: bool,
        falloff: Option<&Bound<'py, PyAny>>,
        axes: Option<&Bound<'py, PyAny>>,
        scales: Option<&Bound<'py, PyAny>>,
        r#where: Option<&Bound<'py, PyAny>>,
        exclude: Option<&Bound<'py, PyAny>>,
        #[pyo3(from_py_with = arrays::threads)] threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let by = match (radius, k) {
            (Some(radius), None) => Connect::Radius(self::radius(radius)?),
            (None, Some(k)) => Connect::Nearest(super::query::k(k)?),
            (None, None) => return Err(refuse(py, "radius", "expected radius=... or k=...")),
            _ => return Err(refuse(py, "k", "expected radius=... or k=..., not both")),
        };
        if radius.is_some() && within.is_some() {
            return Err(refuse(
                py,
                "within",
                "it goes with k=...; with radius=... that is the bound",
            ));
        }
        if k.is_some() && (limit.is_some() || !sort) {
            let name = if sort { "limit" } else { "sort" };
            return Err(refuse(py, name, "it goes with radius=..."));
        }
        let falloff = options::falloff(falloff)?;
        let choices = Choices::read(self, axes, scales, r#where, exclude)?;
        let asked = choices.asked();
        let found = self.shared.read_parallel(py, threads, |state, cancel| {
            asked.with(state, |query| {
                let query = Query { within, limit, sort, cancel: Some(cancel), ..*query };
                state.grid.connect(by, falloff, &query)
            })
        })?;
        let graph = found.map_err(|err| match err {
            Error::Radius { .. } if k.is_some() => refuse(py, "within", err),
            err => choices.raise(py, if k.is_some() { "k" } else { "radius" }, err),
        })?;
        GRAPH.of(
            py,
            (
                PyArray1::from_vec(py, graph.ids),
                PyArray1::from_vec(py, graph.indptr),
                PyArray1::from_vec(py, graph.indices),
                PyArray1::from_vec(py, graph.distances),
                PyArray1::from_vec(py, graph.strengths),
            ),
        )
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.cache_stats"))]
    fn cache_stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let stats = self.shared.read(py, |state| state.grid.cache_stats())?;
        let did = (stats.hits, stats.misses, stats.invalidated);
        CACHE_STATS.of(py, (did.0, did.1, did.2, stats.entries, stats.connections, stats.capacity))
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.clear_cache"))]
    fn clear_cache(&self, py: Python<'_>) -> PyResult<()> {
        self.shared.read(py, |state| state.grid.clear_cache())?;
        self.replies.clear();
        Ok(())
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.set_cache_capacity"))]
    fn set_cache_capacity(&self, py: Python<'_>, connections: &Bound<'_, PyAny>) -> PyResult<()> {
        let connections = arrays::count(connections, "connections", 0)?;
        self.shared.read(py, |state| state.grid.set_cache_capacity(connections))?;
        self.replies.clear();
        Ok(())
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.influence"))]
    #[pyo3(signature = (points, *, falloff=None, threads=None))]
    fn influence<'py>(
        &self,
        py: Python<'py>,
        points: &Bound<'py, PyAny>,
        falloff: Option<&Bound<'py, PyAny>>,
        #[pyo3(from_py_with = arrays::threads)] threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let falloff = options::falloff(falloff)?;
        per_point!(self, py, points, threads, raise, |state: &State, rows: &[[f32; AXES]]| state
            .grid
            .influence(view(rows), falloff))
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.influence_gradient"))]
    #[pyo3(signature = (points, *, falloff=None, threads=None))]
    fn influence_gradient<'py>(
        &self,
        py: Python<'py>,
        points: &Bound<'py, PyAny>,
        falloff: Option<&Bound<'py, PyAny>>,
        #[pyo3(from_py_with = arrays::threads)] threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let falloff = options::falloff(falloff)?;
        let ask = |state: &State, rows: &[[f32; AXES]]| {
            state.grid.influence_gradient(view(rows), falloff)
        };
        match arrays::points(points, "points")? {
            Points::One(point) => {
                let found = self.shared.read_detached(py, |state| ask(state, &[point]))?;
                let gradient = found.map_err(|err| raise(py, "points", err))?;
                Ok(PyArray1::from_slice(py, gradient.as_flattened()).into_any())
            }
            Points::Many(rows) => {
                let rows = rows.get();
                let found = self.shared.read_parallel(py, threads, |state, cancel| {
                    in_blocks(rows, cancel, |rows| ask(state, rows))
                })?;
                let gradients = found.map_err(|err| raise(py, "points", err))?;
                Ok(table(py, gradients.len(), AXES, gradients.into_flattened())?.into_any())
            }
        }
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.density"))]
    #[pyo3(signature = (points, radius, *, axes=None, scales=None, r#where=None, exclude=None, threads=None))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn density<'py>(
        &self,
        py: Python<'py>,
        points: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = self::radius)] radius: f32,
        axes: Option<&Bound<'py, PyAny>>,
        scales: Option<&Bound<'py, PyAny>>,
        r#where: Option<&Bound<'py, PyAny>>,
        exclude: Option<&Bound<'py, PyAny>>,
        #[pyo3(from_py_with = arrays::threads)] threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let choices = Choices::read(self, axes, scales, r#where, exclude)?;
        let asked = choices.asked();
        let raise = |py, argument, err| choices.raise(py, argument, err);
        per_point!(self, py, points, threads, raise, |state: &State, rows: &[[f32; AXES]]| {
            asked.with(state, |query| state.grid.density(view(rows), radius, query))
        })
    }
}
