//! Errors of the grid as Python exceptions.

use std::path::Path;

use ottava_spatial::Error;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

use crate::arrays::refuse;
use crate::error::{DUPLICATE_TOKEN, SNAPSHOT, UNKNOWN_TOKEN};

/// The exception for an error that the value of `argument` caused.
#[cold]
pub(super) fn raise(py: Python<'_>, argument: &str, error: Error) -> PyErr {
    match error {
        Error::UnknownId { .. } => UNKNOWN_TOKEN.new_err(py, (error.to_string(),)),
        Error::DuplicateId { .. } => DUPLICATE_TOKEN.new_err(py, (format!("{argument}: {error}"),)),
        Error::Snapshot { .. } | Error::NewerSnapshot { .. } => {
            SNAPSHOT.new_err(py, (error.to_string(),))
        }
        Error::Io { path, source } => os_error(py, &path, &source),
        Error::MaskLength { .. } => refuse(py, "where", error),
        other => refuse(py, argument, other),
    }
}

/// `OSError(errno, text, path)`, which Python makes a `FileNotFoundError` and the like.
fn os_error(py: Python<'_>, path: &Path, source: &std::io::Error) -> PyErr {
    match source.raw_os_error() {
        Some(code) => {
            let text = py
                .import("os")
                .and_then(|os| os.call_method1("strerror", (code,))?.extract::<String>())
                .unwrap_or_else(|_| source.to_string());
            PyOSError::new_err((code, text, path.as_os_str().to_owned()))
        }
        // The kind chooses the class: `FileNotFoundError` and the like.
        None => {
            let text = format!("{}: {source}", path.display());
            std::io::Error::new(source.kind(), text).into()
        }
    }
}
