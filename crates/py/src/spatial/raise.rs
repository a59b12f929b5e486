//! Errors of the grid as Python exceptions.

use std::io::ErrorKind;
use std::path::Path;

use ottava_spatial::Error;
use pyo3::exceptions::{PyMemoryError, PyOSError};
use pyo3::prelude::*;

use crate::arrays::refuse;
use crate::error::{DUPLICATE_TOKEN, SNAPSHOT, UNKNOWN_TOKEN};

/// The exception for an error of a call whose points or ids are `argument`. What only one other argument can cause names that one.
#[cold]
pub(super) fn raise(py: Python<'_>, argument: &str, error: Error) -> PyErr {
    let argument = match &error {
        Error::Radius { .. } => "radius",
        Error::QueryScale { .. } | Error::WhitenedAxes => "scales",
        Error::CellSize { .. } => "cell_size",
        Error::Covariance => "metric",
        Error::MaskLength { .. } | Error::StaleFilter => "where",
        Error::ZeroK => "k",
        Error::Core(ottava_core::Error::NoAxes) => "axes",
        _ => argument,
    };
    match error {
        Error::UnknownId { .. } => UNKNOWN_TOKEN.new_err(py, (error.to_string(),)),
        Error::DuplicateId { .. } => DUPLICATE_TOKEN.new_err(py, (format!("{argument}: {error}"),)),
        Error::Snapshot { .. } | Error::NewerSnapshot { .. } => {
            SNAPSHOT.new_err(py, (error.to_string(),))
        }
        Error::Io { path, source } => os_error(py, &path, &source),
        Error::AnswerTooLarge { .. } | Error::OutOfMemory { .. } => {
            PyMemoryError::new_err(format!("{argument}: {error}"))
        }
        other => refuse(py, argument, other),
    }
}

/// [`raise`] for a call that takes tokens.
#[cold]
pub(super) fn raise_tokens(py: Python<'_>, ids: &str, positions: &str, error: Error) -> PyErr {
    match &error {
        Error::Core(ottava_core::Error::Attribute { attribute, .. }) => {
            raise(py, &attribute.replace(' ', "_"), error)
        }
        Error::DuplicateId { .. }
        | Error::Full { .. }
        | Error::Core(ottava_core::Error::ReservedId { .. }) => raise(py, ids, error),
        _ => raise(py, positions, error),
    }
}

/// The error of a block of rows that begins at row `first` of the argument.
#[cold]
pub(super) fn in_row(first: usize, mut error: Error) -> Error {
    if let Error::Core(ottava_core::Error::Coordinate { row, .. }) | Error::Scaled { row, .. } =
        &mut error
    {
        *row += first;
    }
    error
}

/// The same number on Linux, macOS, the BSDs and Windows.
const EISDIR: i32 = 21;

/// `OSError(errno, text, path)`, which Python makes a `FileNotFoundError` and the like.
fn os_error(py: Python<'_>, path: &Path, source: &std::io::Error) -> PyErr {
    // What was refused before the system was asked.
    let refused = (source.kind() == ErrorKind::IsADirectory).then_some(EISDIR);
    match source.raw_os_error().or(refused) {
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
