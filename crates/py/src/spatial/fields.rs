//! What tokens do around them: connections, influence, density.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use numpy::prelude::*;
use numpy::{Element, PyArray1};
use ottava_core::AXES;
use ottava_spatial::{Connect, Error, Query};
use pyo3::prelude::*;

use super::grid::{TokenGrid, table, view};
use super::options;
use super::query::{Choices, count};
use super::raise::raise;
use super::results::{CACHE_STATS, CONNECTIONS, GRAPH};
use super::state::State;
use crate::arrays::{self, Points, refuse};

/// A number for one point, an array of shape (n,) for many.
macro_rules! per_point {
    ($self:ident, $py:ident, $points:ident, $threads:ident, $ask:expr) => {{
        let ask = $ask;
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
const BLOCK: usize = 32;
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
        values.append(&mut ask(block)?);
        if start.elapsed() < QUICK {
            size *= 2;
        }
        rows = rest;
    }
    Ok(values)
}

/// A read-only array: it may be handed out more than once.
fn fixed<'py, T: Element>(py: Python<'py>, values: &[T]) -> PyResult<Bound<'py, PyArray1<T>>> {
    let array = PyArray1::from_slice(py, values);
    array.try_readwrite()?.make_nonwriteable();
    Ok(array)
}

#[pymethods]
impl TokenGrid {
    /// The tokens within a radius of a token, itself left out, with the strength of each connection.
    #[pyo3(signature = (id, radius, *, falloff=None, axes=None, scales=None, r#where=None, exclude=None))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn connections<'py>(
        &self,
        py: Python<'py>,
        id: u64,
        radius: f32,
        falloff: Option<&Bound<'py, PyAny>>,
        axes: Option<&Bound<'py, PyAny>>,
        scales: Option<&Bound<'py, PyAny>>,
        r#where: Option<&Bound<'py, PyAny>>,
        exclude: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let falloff = options::falloff(falloff)?;
        let plain = axes.is_none() && scales.is_none() && r#where.is_none() && exclude.is_none();
        let query = Query::default();
        let cached = if plain {
            let look_up =
                |state: &State| state.grid.cached_connections(id, radius, falloff, &query);
            self.shared.read(py, look_up)?.map_err(|err| raise(py, "connections", err))?
        } else {
            None
        };
        let found = match cached {
            Some(found) => found,
            None => {
                let choices = Choices::read(self, axes, scales, r#where, exclude)?;
                let asked = choices.asked();
                let found = self.shared.read_unbounded(py, |state| {
                    asked.with(state, |query| state.grid.connections(id, radius, falloff, query))
                })?;
                found.map_err(|err| raise(py, "connections", err))?
            }
        };
        let key = (id, radius.to_bits(), falloff);
        if plain && let Some(object) = self.replies.get(py, &key, &found) {
            return Ok(object);
        }
        let strengths = fixed(py, &found.strengths)?;
        let arrays = (fixed(py, &found.ids)?, fixed(py, &found.distances)?, strengths);
        let object = CONNECTIONS.of(py, arrays)?;
        if plain {
            self.replies.keep(key, &found, object.clone().unbind());
        }
        Ok(object)
    }

    /// The connections of all tokens: within `radius`, or to the `k` nearest.
    #[pyo3(signature = (*, radius=None, k=None, falloff=None, axes=None, scales=None, r#where=None, exclude=None, threads=None))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn connect<'py>(
        &self,
        py: Python<'py>,
        radius: Option<f32>,
        k: Option<isize>,
        falloff: Option<&Bound<'py, PyAny>>,
        axes: Option<&Bound<'py, PyAny>>,
        scales: Option<&Bound<'py, PyAny>>,
        r#where: Option<&Bound<'py, PyAny>>,
        exclude: Option<&Bound<'py, PyAny>>,
        threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let by = match (radius, k) {
            (Some(radius), None) => Connect::Radius(radius),
            (None, Some(k)) => Connect::Nearest(count(py, k)?),
            _ => return Err(refuse(py, "connect", "expected either radius=... or k=...")),
        };
        let falloff = options::falloff(falloff)?;
        let choices = Choices::read(self, axes, scales, r#where, exclude)?;
        let asked = choices.asked();
        let found = self.shared.read_parallel(py, threads, |state, cancel| {
            asked.with(state, |query| {
                state.grid.connect(by, falloff, &Query { cancel: Some(cancel), ..*query })
            })
        })?;
        let graph = found.map_err(|err| raise(py, "connect", err))?;
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

    /// What the cache of `connections` did so far.
    fn cache_stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let stats = self.shared.read(py, |state| state.grid.cache_stats())?;
        CACHE_STATS
            .of(py, (stats.hits, stats.misses, stats.invalidated, stats.entries, stats.capacity))
    }

    /// The sum of all token fields at a point, shape (8,), or at each of n points, shape (n, 8).
    #[pyo3(signature = (points, *, falloff=None, threads=None))]
    fn influence<'py>(
        &self,
        py: Python<'py>,
        points: &Bound<'py, PyAny>,
        falloff: Option<&Bound<'py, PyAny>>,
        threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let falloff = options::falloff(falloff)?;
        per_point!(self, py, points, threads, |state: &State, rows: &[[f32; AXES]]| state
            .grid
            .influence(view(rows), falloff))
    }

    /// The gradient of `influence` by the coordinates, shape (8,) or (n, 8).
    #[pyo3(signature = (points, *, falloff=None, threads=None))]
    fn influence_gradient<'py>(
        &self,
        py: Python<'py>,
        points: &Bound<'py, PyAny>,
        falloff: Option<&Bound<'py, PyAny>>,
        threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let falloff = options::falloff(falloff)?;
        let points = arrays::points(points, "points")?;
        let (rows, one) = match &points {
            Points::One(point) => (std::slice::from_ref(point), true),
            Points::Many(rows) => (rows.get(), false),
        };
        let found = self.shared.read_parallel(py, threads, |state, cancel| {
            in_blocks(rows, cancel, |rows| state.grid.influence_gradient(view(rows), falloff))
        })?;
        let gradients = found.map_err(|err| raise(py, "points", err))?;
        if one {
            return Ok(PyArray1::from_slice(py, gradients.as_flattened()).into_any());
        }
        Ok(table(py, gradients.len(), AXES, gradients.into_flattened())?.into_any())
    }

    /// Tokens per unit of volume within a radius of a point, or of each of n points.
    #[pyo3(signature = (points, radius, *, axes=None, scales=None, r#where=None, exclude=None, threads=None))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn density<'py>(
        &self,
        py: Python<'py>,
        points: &Bound<'py, PyAny>,
        radius: f32,
        axes: Option<&Bound<'py, PyAny>>,
        scales: Option<&Bound<'py, PyAny>>,
        r#where: Option<&Bound<'py, PyAny>>,
        exclude: Option<&Bound<'py, PyAny>>,
        threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let choices = Choices::read(self, axes, scales, r#where, exclude)?;
        let asked = choices.asked();
        per_point!(self, py, points, threads, |state: &State, rows: &[[f32; AXES]]| {
            asked.with(state, |query| state.grid.density(view(rows), radius, query))
        })
    }
}
