//! Asking a grid: nearest, within, boxes, cells.

use std::time::Instant;

use numpy::{PyArray1, PyArray2};
use ottava_core::AXES;
use ottava_spatial::{Error, NeighborTable, Neighbors, Query};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::choices::{Choices, FEW_POINTS};
use super::grid::{TokenGrid, table, view};
use super::raise::{in_row, raise};
use super::results::{CELLS, NEIGHBORS, RAGGED};
use super::state::State;
use crate::arrays::{self, Points, refuse};
use crate::gate::{SIGNAL_PERIOD, check_signals};

/// Tokens of a cell that are read with the interpreter held.
const FEW: usize = 16;

/// Nearest of a few points, looking for signals in between: `signal` is then what a handler raised.
fn one_by_one(
    grid: &ottava_spatial::TokenGrid,
    rows: &[[f32; AXES]],
    k: usize,
    query: &Query<'_>,
    signal: &mut PyResult<()>,
) -> Result<NeighborTable, Error> {
    let (mut all, mut looked) = (NeighborTable::default(), Instant::now());
    for (at, row) in rows.iter().enumerate() {
        if looked.elapsed() >= SIGNAL_PERIOD {
            *signal = check_signals();
            if signal.is_err() {
                return Err(Error::Cancelled);
            }
            looked = Instant::now();
        }
        let found = grid.nearest_batch(view(std::slice::from_ref(row)), k, query);
        let found = found.map_err(|error| in_row(at, error))?;
        all.k = found.k;
        all.ids.extend(found.ids);
        all.distances.extend(found.distances);
    }
    Ok(all)
}

/// A named tuple of arrays.
fn neighbors(py: Python<'_>, found: Neighbors) -> PyResult<Bound<'_, PyAny>> {
    let ids = PyArray1::from_slice(py, &found.ids);
    NEIGHBORS.of(py, (ids, PyArray1::from_slice(py, &found.distances)))
}

/// `k=`.
pub(super) fn k(object: &Bound<'_, PyAny>) -> PyResult<usize> {
    arrays::count(object, "k", 1)
}

/// `limit=`.
pub(super) fn limit(object: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
    (!object.is_none()).then(|| arrays::count(object, "limit", 0)).transpose()
}

/// `sort=`.
pub(super) fn sort(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    arrays::flag(object, "sort")
}

/// `radius=`.
pub(super) fn radius(object: &Bound<'_, PyAny>) -> PyResult<f32> {
    arrays::number(object, "radius")
}

/// `within=`.
pub(super) fn within(object: &Bound<'_, PyAny>) -> PyResult<Option<f32>> {
    (!object.is_none()).then(|| arrays::number(object, "within")).transpose()
}

#[pymethods]
impl TokenGrid {
    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.nearest"))]
    #[pyo3(signature = (q, k=1, *, axes=None, scales=None, within=None, r#where=None, exclude=None, threads=None))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn nearest<'py>(
        &self,
        py: Python<'py>,
        q: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = self::k)] k: usize,
        axes: Option<&Bound<'py, PyAny>>,
        scales: Option<&Bound<'py, PyAny>>,
        #[pyo3(from_py_with = self::within)] within: Option<f32>,
        r#where: Option<&Bound<'py, PyAny>>,
        exclude: Option<&Bound<'py, PyAny>>,
        #[pyo3(from_py_with = arrays::threads)] threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let choices = Choices::read(self, axes, scales, r#where, exclude)?;
        let asked = choices.asked();
        let refused = |err| match err {
            Error::Radius { .. } => refuse(py, "within", err),
            err => choices.raise(py, "q", err),
        };
        match arrays::points(q, "q")? {
            Points::One(q) => {
                let ask = |state: &State| {
                    asked
                        .with(state, |query| state.grid.nearest(&q, k, &Query { within, ..*query }))
                };
                let found = if asked.is_short(k) {
                    self.shared.read(py, ask)?
                } else {
                    self.shared.read_unbounded(py, ask)?
                };
                neighbors(py, found.map_err(refused)?)
            }
            Points::Many(rows) => {
                let rows = rows.get();
                let mut signal = Ok(());
                let found = if (1..=FEW_POINTS).contains(&rows.len()) && asked.is_short(k) {
                    self.shared.read_unbounded(py, |state| {
                        asked.with(state, |query| {
                            let query = Query { within, ..*query };
                            one_by_one(&state.grid, rows, k, &query, &mut signal)
                        })
                    })?
                } else {
                    self.shared.read_parallel(py, threads, |state, cancel| {
                        asked.with(state, |query| {
                            let query = Query { within, cancel: Some(cancel), ..*query };
                            state.grid.nearest_batch(view(rows), k, &query)
                        })
                    })?
                };
                signal?;
                let found = found.map_err(refused)?;
                let ids = table(py, rows.len(), found.k, found.ids)?;
                NEIGHBORS.of(py, (ids, table(py, rows.len(), found.k, found.distances)?))
            }
        }
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.within"))]
    #[pyo3(signature = (q, radius, *, limit=None, sort=true, axes=None, scales=None, r#where=None, exclude=None, threads=None))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn within<'py>(
        &self,
        py: Python<'py>,
        q: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = self::radius)] radius: f32,
        #[pyo3(from_py_with = self::limit)] limit: Option<usize>,
        #[pyo3(from_py_with = self::sort)] sort: bool,
        axes: Option<&Bound<'py, PyAny>>,
        scales: Option<&Bound<'py, PyAny>>,
        r#where: Option<&Bound<'py, PyAny>>,
        exclude: Option<&Bound<'py, PyAny>>,
        #[pyo3(from_py_with = arrays::threads)] threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let choices = Choices::read(self, axes, scales, r#where, exclude)?;
        let asked = choices.asked();
        match arrays::points(q, "q")? {
            Points::One(q) => {
                let found = self.shared.read_unbounded(py, |state| {
                    asked.with(state, |query| {
                        state.grid.within(&q, radius, &Query { limit, sort, ..*query })
                    })
                })?;
                neighbors(py, found.map_err(|err| choices.raise(py, "q", err))?)
            }
            Points::Many(rows) => {
                let rows = rows.get();
                let found = self.shared.read_parallel(py, threads, |state, cancel| {
                    asked.with(state, |query| {
                        let query = Query { limit, sort, cancel: Some(cancel), ..*query };
                        state.grid.within_batch(view(rows), radius, &query)
                    })
                })?;
                let found = found.map_err(|err| choices.raise(py, "q", err))?;
                let (ids, distances) =
                    (PyArray1::from_vec(py, found.ids), PyArray1::from_vec(py, found.distances));
                RAGGED.of(py, (PyArray1::from_vec(py, found.indptr), ids, distances))
            }
        }
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.count_within"))]
    #[pyo3(signature = (q, radius, *, axes=None, scales=None, r#where=None, exclude=None, threads=None))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn count_within<'py>(
        &self,
        py: Python<'py>,
        q: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = self::radius)] radius: f32,
        axes: Option<&Bound<'py, PyAny>>,
        scales: Option<&Bound<'py, PyAny>>,
        r#where: Option<&Bound<'py, PyAny>>,
        exclude: Option<&Bound<'py, PyAny>>,
        #[pyo3(from_py_with = arrays::threads)] threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let choices = Choices::read(self, axes, scales, r#where, exclude)?;
        let asked = choices.asked();
        match arrays::points(q, "q")? {
            Points::One(q) => {
                let found = self.shared.read_unbounded(py, |state| {
                    asked.with(state, |query| state.grid.count_within(&q, radius, query))
                })?;
                let count = found.map_err(|err| choices.raise(py, "q", err))?;
                Ok(count.into_pyobject(py)?.into_any())
            }
            Points::Many(rows) => {
                let rows = rows.get();
                let found = self.shared.read_parallel(py, threads, |state, cancel| {
                    asked.with(state, |query| {
                        let query = Query { cancel: Some(cancel), ..*query };
                        state.grid.count_within_batch(view(rows), radius, &query)
                    })
                })?;
                let counts = found.map_err(|err| choices.raise(py, "q", err))?;
                Ok(PyArray1::from_vec(py, counts).into_any())
            }
        }
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.box"))]
    #[pyo3(name = "box", signature = (lo, hi, *, axes=None, r#where=None, exclude=None))]
    fn in_box<'py>(
        &self,
        py: Python<'py>,
        lo: &Bound<'py, PyAny>,
        hi: &Bound<'py, PyAny>,
        axes: Option<&Bound<'py, PyAny>>,
        r#where: Option<&Bound<'py, PyAny>>,
        exclude: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyArray1<u64>>> {
        let (lo, hi) = (arrays::point(lo, "lo")?, arrays::point(hi, "hi")?);
        let choices = Choices::read(self, axes, None, r#where, exclude)?;
        let asked = choices.asked();
        let found = self.shared.read_detached(py, |state| {
            asked.with(state, |query| state.grid.box_query(&lo, &hi, query))
        })?;
        Ok(PyArray1::from_vec(py, found.map_err(|err| choices.raise(py, "lo", err))?))
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.cell_size"))]
    #[getter]
    fn cell_size(&self, py: Python<'_>) -> PyResult<f32> {
        self.shared.read(py, |state| state.grid.cell_size())
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.cell_of"))]
    fn cell_of<'py>(
        &self,
        py: Python<'py>,
        position: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let position = arrays::point(position, "position")?;
        let cell = self.shared.read(py, |state| state.grid.cell_of(&position))?;
        PyTuple::new(py, cell.map_err(|err| raise(py, "position", err))?)
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.cells_of"))]
    fn cells_of<'py>(
        &self,
        py: Python<'py>,
        positions: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray2<i32>>> {
        let rows = arrays::rows(positions, "positions")?;
        let rows = rows.get();
        let cells = self.shared.read_detached(py, |state| state.grid.cell_of_batch(view(rows)))?;
        let cells = cells.map_err(|err| raise(py, "positions", err))?;
        table(py, cells.len(), AXES, cells.into_flattened())
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.cell"))]
    fn cell<'py>(
        &self,
        py: Python<'py>,
        cell: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray1<u64>>> {
        let place = arrays::place(cell, "cell")?;
        let number = |state: &State| match &place {
            arrays::Place::Cell(cell) => Ok(*cell),
            arrays::Place::Position(position) => state.grid.cell_of(position),
        };
        // Most cells hold few tokens, which are read before another thread could take the interpreter.
        let few = self.shared.read(py, |state| {
            let (cell, mut few) = (number(state)?, [0; FEW]);
            let ids = state.grid.has_cell_index().then(|| state.grid.cell_token_ids(&cell));
            Ok(ids.filter(|ids| ids.len() <= FEW).map(|ids| {
                few[..ids.len()].copy_from_slice(ids);
                few[..ids.len()].sort_unstable();
                (few, ids.len())
            }))
        })?;
        if let Some((few, len)) = few.map_err(|err| raise(py, "cell", err))? {
            return Ok(PyArray1::from_slice(py, &few[..len]));
        }
        let tokens = |state: &State| Ok(state.grid.cell_tokens(&number(state)?));
        let ids = self.shared.read_detached(py, tokens)?.map_err(|err| raise(py, "cell", err))?;
        Ok(PyArray1::from_vec(py, ids))
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.occupied_cells"))]
    fn occupied_cells<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let cells = self.shared.read_detached(py, |state| state.grid.cell_counts())?;
        let (cells, counts): (Vec<_>, Vec<_>) =
            cells.into_iter().map(|(cell, count)| (cell, count as i64)).unzip();
        let cells = table(py, cells.len(), AXES, cells.into_flattened())?;
        CELLS.of(py, (cells, PyArray1::from_vec(py, counts)))
    }
}
