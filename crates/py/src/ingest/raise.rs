//! Errors of stores and locks as exceptions of `ottava.errors`.

use ottava_core::store::{Mismatch, StoreError};
use pyo3::prelude::*;

use crate::error::{DUPLICATE_ID, INGEST, SCHEMA_MISMATCH};

/// An error of a store.
pub(super) fn store_error(py: Python<'_>, err: &StoreError) -> PyErr {
    let text = err.to_string();
    match err {
        StoreError::Schema(list) => {
            let parts = |m: &Mismatch| (m.path.clone(), m.expected.clone(), m.found.clone());
            let list: Vec<_> = list.iter().map(parts).collect();
            SCHEMA_MISMATCH.new_err(py, (text, list))
        }
        StoreError::Removed { column, removed_in } => {
            let found = format!("a column that was removed in version {removed_in}");
            let list = vec![(column.clone(), "no such column".to_owned(), found)];
            SCHEMA_MISMATCH.new_err(py, (text, list))
        }
        StoreError::Duplicate { row, column, value, .. } => {
            DUPLICATE_ID.new_err(py, (text, *row, column.clone(), value.clone()))
        }
        _ => {
            let (column, value) = (err.column().map(str::to_owned), err.value().map(str::to_owned));
            INGEST.new_err(py, (text, err.row(), column, value))
        }
    }
}

/// A bad value among rows of Python objects.
pub(super) fn bad_value(
    py: Python<'_>,
    row: usize,
    column: &str,
    expected: &str,
    value: &Bound<'_, PyAny>,
) -> PyErr {
    let shown = shown(value);
    let text = format!("row {row}, column {column}: expected {expected}, found {shown}");
    INGEST.new_err(py, (text, Some(row), Some(column.to_owned()), Some(shown)))
}

/// The repr of a value, cut where it is long.
pub(super) fn shown(value: &Bound<'_, PyAny>) -> String {
    let text = value.repr().map_or_else(|_| "a value".to_owned(), |text| text.to_string());
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
