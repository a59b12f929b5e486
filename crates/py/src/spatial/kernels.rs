//! Distances between arrays, without a grid.

use std::sync::atomic::Ordering;

use numpy::PyArray1;
use numpy::prelude::*;
use ottava_core::AXES;
use ottava_spatial::{Error, Metric, simd};
use pyo3::prelude::*;
use rayon::ThreadPool;

use super::grid::view;
use super::options;
use super::raise::{in_row, raise};
use crate::arrays::{self, refuse};
use crate::gate;
use crate::threads;

/// Rows times columns above which the interpreter is released.
const LONG: usize = 4096;

#[doc = include_str!(concat!(env!("OUT_DIR"), "/help/distance"))]
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
    ottava_spatial::distance(&a, &b, &metric).map_err(|err| blame(py, ("a", &[a]), "b", err))
}

#[doc = include_str!(concat!(env!("OUT_DIR"), "/help/distances"))]
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
            .map_err(|err| blame(py, ("q", &[q]), "points", err))?;
        return Ok(out.clone());
    }
    let values = long(py, rows.len(), || ottava_spatial::distances(&q, view(rows), &metric))?;
    Ok(PyArray1::from_vec(py, values.map_err(|err| blame(py, ("q", &[q]), "points", err))?)
        .into_any())
}

#[doc = include_str!(concat!(env!("OUT_DIR"), "/help/pairwise"))]
#[pyfunction]
#[pyo3(signature = (p, q, out=None, *, metric=None, threads=None))]
fn pairwise<'py>(
    py: Python<'py>,
    p: &Bound<'py, PyAny>,
    q: &Bound<'py, PyAny>,
    out: Option<&Bound<'py, PyAny>>,
    metric: Option<&Bound<'py, PyAny>>,
    #[pyo3(from_py_with = arrays::threads)] threads: Option<usize>,
) -> PyResult<Bound<'py, PyAny>> {
    let (p, q) = (arrays::rows(p, "p")?, arrays::rows(q, "q")?);
    let (p, q) = (p.get(), q.get());
    let metric = options::metric(metric, None)?;
    let pool = threads::pool(threads)?;
    if let Some(out) = out {
        let mut held = arrays::out_table(out, p.len(), q.len())?;
        let slice = held.as_slice_mut().map_err(|err| refuse(py, "out", err))?;
        fill(py, &pool, (p, q), &metric, slice)?;
        return Ok(out.clone());
    }
    let (rows, columns) = (p.len(), q.len());
    let mut values = Vec::new();
    let size = rows.checked_mul(columns).filter(|&size| values.try_reserve_exact(size).is_ok());
    let size = size.ok_or_else(|| raise(py, "q", Error::AnswerTooLarge { rows, columns }))?;
    gate::detached(py, || values.resize(size, 0.0))?;
    fill(py, &pool, (p, q), &metric, &mut values)?;
    Ok(PyArray1::from_vec(py, values).reshape([rows, columns])?.into_any())
}

/// Distances computed between two looks at the flag that ends the call early.
const BLOCK: usize = 1 << 20;

/// `pairwise` into `out`, a block of rows at a time.
fn fill(
    py: Python<'_>,
    pool: &ThreadPool,
    (p, q): (&[[f32; AXES]], &[[f32; AXES]]),
    metric: &Metric,
    out: &mut [f32],
) -> PyResult<()> {
    let rows = (BLOCK / q.len().max(1)).max(1);
    let done = if p.len() <= rows {
        let work = || ottava_spatial::pairwise_into(view(p), view(q), metric, out);
        gate::detached(py, || pool.install(work))?
    } else {
        gate::interruptible(py, pool, |cancel| {
            let blocks = p.chunks(rows).zip(out.chunks_mut(rows * q.len().max(1)));
            for (at, (p, out)) in blocks.enumerate() {
                if cancel.load(Ordering::Relaxed) {
                    return Err(Error::Cancelled);
                }
                ottava_spatial::pairwise_into(view(p), view(q), metric, out)
                    .map_err(|err| in_row(at * rows, err))?;
            }
            Ok(())
        })?
    };
    done.map_err(|err| blame(py, ("p", p), "q", err))
}

/// The exception for an error of a call with two arrays of points.
#[cold]
fn blame(
    py: Python<'_>,
    (first, points): (&str, &[[f32; AXES]]),
    second: &str,
    error: Error,
) -> PyErr {
    let argument = match error {
        Error::Core(ottava_core::Error::Coordinate { row, axis, value })
        | Error::Scaled { row, axis, value } => {
            let here =
                points.get(row).is_some_and(|point| point[axis].to_bits() == value.to_bits());
            if here { first } else { second }
        }
        _ => second,
    };
    raise(py, argument, error)
}

fn long<T: Send>(py: Python<'_>, size: usize, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    if size > LONG { gate::detached(py, work) } else { gate::attached(py, work) }
}

#[doc = include_str!(concat!(env!("OUT_DIR"), "/help/simd_level"))]
#[pyfunction]
#[pyo3(signature = (level=None))]
fn simd_level(py: Python<'_>, level: Option<&Bound<'_, PyAny>>) -> PyResult<String> {
    if let Some(level) = level {
        let name = arrays::text(level, "level")?;
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
