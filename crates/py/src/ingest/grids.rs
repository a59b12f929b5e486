//! Grids that are kept in step with a store.

use numpy::{PyArray1, PyArray2, PyArrayMethods};
use ottava_core::AXES;
use ottava_core::store::{Coordinates, Delta};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::store::Failed;

/// A grid, the keys that came, and the tokens that went with their places.
type Undo<'py> = (Bound<'py, PyAny>, Vec<u64>, Vec<(u64, Vec<f32>)>);

/// Brings grids into step with a batch, all or none.
pub(super) fn follow(
    py: Python<'_>,
    grids: &[(Coordinates, Py<PyAny>)],
    delta: &Delta<'_>,
) -> Result<(), Failed> {
    let removed = delta.removed();
    let places: Vec<_> = grids.iter().map(|(c, _)| delta.added(c)).collect::<Result<_, _>>()?;
    let mut undo: Vec<Undo<'_>> = Vec::new();
    for ((_, grid), (keys, points)) in grids.iter().zip(&places) {
        let grid = grid.bind(py);
        let step = (|| {
            let mut before = Vec::new();
            for key in removed.iter().copied() {
                if grid.contains(key)? {
                    let token = grid.call_method1("get", (key,))?;
                    before.push((key, token.getattr("position")?.extract::<Vec<f32>>()?));
                }
            }
            let gone: Vec<u64> = before.iter().map(|(key, _)| *key).collect();
            undo.push((grid.clone(), keys.clone(), before));
            if !gone.is_empty() {
                grid.call_method1("remove", (PyArray1::from_vec(py, gone),))?;
            }
            insert(py, grid, keys, points)
        })();
        if let Err(err) = step {
            for (grid, keys, before) in undo.into_iter().rev() {
                let present: Vec<u64> =
                    keys.into_iter().filter(|key| grid.contains(*key).unwrap_or(false)).collect();
                let _ = grid.call_method1("remove", (PyArray1::from_vec(py, present),));
                let points: Vec<[f32; AXES]> =
                    before.iter().filter_map(|(_, p)| p[..].try_into().ok()).collect();
                let keys: Vec<u64> = before.iter().map(|(key, _)| *key).collect();
                let _ = insert(py, &grid, &keys, &points);
            }
            return Err(Failed::Python(err));
        }
    }
    Ok(())
}

fn insert(
    py: Python<'_>,
    grid: &Bound<'_, PyAny>,
    keys: &[u64],
    points: &[[f32; AXES]],
) -> PyResult<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let kwargs = PyDict::new(py);
    kwargs.set_item("on_duplicate", "replace")?;
    grid.call_method("insert_batch", arrays(py, keys, points)?, Some(&kwargs))?;
    Ok(())
}

type Arrays<'py> = (Bound<'py, PyArray1<u64>>, Bound<'py, PyArray2<f32>>);

pub(super) fn arrays<'py>(
    py: Python<'py>,
    keys: &[u64],
    points: &[[f32; AXES]],
) -> PyResult<Arrays<'py>> {
    let flat = PyArray1::from_slice(py, points.as_flattened());
    Ok((PyArray1::from_slice(py, keys), flat.reshape([points.len(), AXES])?))
}
