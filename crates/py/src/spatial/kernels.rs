//! Distances between arrays, without a grid.

use numpy::{PyArray1, PyArray2};
use ottava_spatial::simd;
use pyo3::prelude::*;

use super::grid::view;
use super::options;
use super::raise::raise;
use crate::arrays::{self, refuse};
use crate::gate;
use crate::threads;

/// Rows times columns above which the interpreter is released.
const LONG: usize = 4096;

/// The distance of two points, each of shape (8,).
#[pyfunction]
#[pyo3(signature = (a, b, *, metric=None))]
fn distance(
    py: Python<'_>,
    a: &Bound<'_, PyAny>,
    b: &Bound<'_, PyAny>,
    metric: Option<&Bound<'_, PyAny>>,
) -> PyResult<f32> {
    let (a, b) = (arrays::point(a, "a")?, arrays::point(b, "b")?);
    let metric = options::metric(metric, None)?;
    ottava_spatial::distance(&a, &b, &metric).map_err(|err| raise(py, "a and b", err))
}

/// The distances of a point, shape (8,), to points of shape (n, 8): shape (n,), float32.
#[pyfunction]
#[pyo3(signature = (q, points, out=None, *, metric=None))]
fn distances<'py>(
    py: Python<'py>,
    q: &Bound<'py, PyAny>,
    points: &Bound<'py, PyAny>,
    out: Option<&Bound<'py, PyAny>>,
    metric: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let q = arrays::point(q, "q")?;
    let rows = arrays::rows(points, "points")?;
    let rows = rows.get();
    let metric = options::metric(metric, None)?;
    if let Some(out) = out {
        let mut held = arrays::out_column(out, rows.len())?;
        let slice = held.as_slice_mut().map_err(|err| refuse(py, "out", err))?;
        long(py, rows.len(), || ottava_spatial::distances_into(&q, view(rows), &metric, slice))?
            .map_err(|err| raise(py, "points", err))?;
        return Ok(out.clone());
    }
    let values = long(py, rows.len(), || ottava_spatial::distances(&q, view(rows), &metric))?;
    Ok(PyArray1::from_vec(py, values.map_err(|err| raise(py, "points", err))?).into_any())
}

/// The distances of points of shape (n, 8) to points of shape (m, 8): shape (n, m), float32.
#[pyfunction]
#[pyo3(signature = (p, q, out=None, *, metric=None, threads=None))]
fn pairwise<'py>(
    py: Python<'py>,
    p: &Bound<'py, PyAny>,
    q: &Bound<'py, PyAny>,
    out: Option<&Bound<'py, PyAny>>,
    metric: Option<&Bound<'py, PyAny>>,
    threads: Option<usize>,
) -> PyResult<Bound<'py, PyAny>> {
    let (p, q) = (arrays::rows(p, "p")?, arrays::rows(q, "q")?);
    let (p, q) = (p.get(), q.get());
    let metric = options::metric(metric, None)?;
    let pool = threads::pool(py, threads)?;
    if let Some(out) = out {
        let mut held = arrays::out_table(out, p.len(), q.len())?;
        let slice = held.as_slice_mut().map_err(|err| refuse(py, "out", err))?;
        let ask =
            || pool.install(|| ottava_spatial::pairwise_into(view(p), view(q), &metric, slice));
        gate::detached(py, ask)?.map_err(|err| raise(py, "points", err))?;
        return Ok(out.clone());
    }
    let ask = || pool.install(|| ottava_spatial::pairwise(view(p), view(q), &metric));
    let values = gate::detached(py, ask)?.map_err(|err| raise(py, "points", err))?;
    Ok(PyArray2::from_owned_array(py, values).into_any())
}

fn long<T: Send>(py: Python<'_>, size: usize, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    if size > LONG { gate::detached(py, work) } else { gate::attached(py, work) }
}

/// The instruction level of the kernels: `"scalar"`, `"neon"`, `"avx2"`, `"avx512"`. With an argument, forces that level from now
/// on; `"auto"` goes back to the best one. The answers are the same at every level.
#[pyfunction]
#[pyo3(signature = (level=None))]
fn simd_level(py: Python<'_>, level: Option<&str>) -> PyResult<String> {
    if let Some(name) = level {
        let wanted = match name {
            "auto" => None,
            _ => Some(name.parse::<simd::Level>().map_err(|err| raise(py, "level", err))?),
        };
        simd::force(wanted).map_err(|err| raise(py, "level", err))?;
    }
    Ok(simd::level().to_string())
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(distance, module)?)?;
    module.add_function(wrap_pyfunction!(distances, module)?)?;
    module.add_function(wrap_pyfunction!(pairwise, module)?)?;
    module.add_function(wrap_pyfunction!(simd_level, module)?)
}
