//! Grids in files and in pickles.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use ottava_spatial::{Error, OpenOptions, Verify};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyType};

use super::carried::Carried;
use super::columns::RowsError;
use super::grid::TokenGrid;
use super::raise::raise;
use super::state::State;
use crate::arrays::{self, wrong_type};
use crate::gate;

/// Saves the tokens, and the columns they carry.
fn save(state: &State, path: &Path, cancel: &AtomicBool) -> Result<(), RowsError> {
    let attachment = match &state.carried {
        Some(carried) => carried.attachment(&state.grid)?,
        None => state.grid.attachment()?.to_vec(),
    };
    Ok(state.grid.save_until(path, &attachment, cancel)?)
}

/// `path=`.
fn path(object: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    if object.is_instance_of::<PyBytes>() {
        let wrong = "path: expected a str or an os.PathLike, got bytes; os.fsdecode(path) makes one of them";
        return Err(PyTypeError::new_err(wrong));
    }
    match object.extract() {
        Err::<_, PyErr>(err) if err.is_instance_of::<PyTypeError>(object.py()) => {
            Err(wrong_type(object, "path", "a str or an os.PathLike"))
        }
        found => found,
    }
}

/// `mmap=`.
fn mmap(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    arrays::flag(object, "mmap")
}

/// `verify=`.
fn verify(object: &Bound<'_, PyAny>) -> PyResult<Option<bool>> {
    (!object.is_none()).then(|| arrays::flag(object, "verify")).transpose()
}

/// The error of a snapshot that is in no file of the user's.
fn of_bytes(error: Error) -> Error {
    match error {
        Error::Snapshot { section, problem, .. } => {
            Error::Snapshot { path: PathBuf::from("bytes"), section, problem }
        }
        Error::NewerSnapshot { found, supported, .. } => {
            Error::NewerSnapshot { path: PathBuf::from("bytes"), found, supported }
        }
        other => other,
    }
}

#[pymethods]
impl TokenGrid {
    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.save"))]
    fn save(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = self::path)] path: PathBuf,
    ) -> PyResult<()> {
        let done =
            self.shared.read_parallel(py, None, |state, cancel| save(state, &path, cancel))?;
        done.map_err(|err| err.raise(py, "path"))
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.open"))]
    #[staticmethod]
    #[pyo3(signature = (path, mmap=true, *, verify=None))]
    fn open(
        py: Python<'_>,
        #[pyo3(from_py_with = self::path)] path: PathBuf,
        #[pyo3(from_py_with = self::mmap)] mmap: bool,
        #[pyo3(from_py_with = self::verify)] verify: Option<bool>,
    ) -> PyResult<Self> {
        let verify = match verify {
            None => Verify::Auto,
            Some(true) => Verify::Full,
            Some(false) => Verify::Layout,
        };
        let options = OpenOptions { mmap, verify };
        let opened = gate::detached(py, || ottava_spatial::TokenGrid::open(&path, options))?;
        let grid = opened.map_err(|err| raise(py, "path", err))?;
        let carried = Carried::saved(&grid, path);
        Ok(Self::of(grid, carried))
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.verify"))]
    fn verify(&self, py: Python<'_>) -> PyResult<()> {
        let done = self.shared.read_detached(py, |state| state.grid.verify())?;
        done.map_err(|err| raise(py, "path", err))
    }

    /// A grid from the bytes of a snapshot.
    #[classmethod]
    fn _from_snapshot(_class: &Bound<'_, PyType>, py: Python<'_>, bytes: &[u8]) -> PyResult<Self> {
        let opened = gate::detached(py, || -> std::io::Result<_> {
            let file = tempfile::NamedTempFile::new()?;
            std::fs::write(file.path(), bytes)?;
            let options = OpenOptions { mmap: false, ..OpenOptions::default() };
            Ok(ottava_spatial::TokenGrid::open(file.path(), options))
        })?;
        let grid = opened?.map_err(|err| raise(py, "bytes", of_bytes(err)))?;
        let carried = Carried::saved(&grid, PathBuf::from("bytes"));
        Ok(Self::of(grid, carried))
    }

    /// Pickles as the bytes of a snapshot.
    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        let bytes = slf.get().shared.read_parallel(py, None, |state, cancel| {
            let folder = tempfile::tempdir().map_err(Ok)?;
            let path = folder.path().join("grid");
            save(state, &path, cancel).map_err(Err)?;
            std::fs::read(&path).map_err(Ok)
        })?;
        let bytes = bytes.map_err(|err| match err {
            Ok(err) => PyErr::from(err),
            Err(err) => err.raise(py, "pickle"),
        })?;
        let make = slf.get_type().getattr("_from_snapshot")?;
        Ok((make, (PyBytes::new(py, &bytes),)))
    }
}
