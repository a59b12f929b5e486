//! A value that does not have its declared type.

use pyo3::prelude::*;

use super::super::raise::bad_value;

/// A value that does not have its declared type, with the way to it.
pub(super) struct Bad<'py> {
    path: String,
    expected: String,
    problem: Problem<'py>,
}

enum Problem<'py> {
    Value(Bound<'py, PyAny>),
    Missing,
    Raised(PyErr),
}

impl<'py> Bad<'py> {
    #[cold]
    pub(super) fn value(expected: impl Into<String>, value: &Bound<'py, PyAny>) -> Box<Self> {
        let problem = Problem::Value(value.clone());
        Box::new(Self { path: String::new(), expected: expected.into(), problem })
    }

    #[cold]
    pub(super) fn missing(expected: &str) -> Box<Self> {
        let expected = expected.to_owned();
        Box::new(Self { path: String::new(), expected, problem: Problem::Missing })
    }

    /// The same one step further out.
    #[cold]
    pub(super) fn within(mut self: Box<Self>, step: &str) -> Box<Self> {
        self.path.insert_str(0, step);
        self
    }

    #[cold]
    pub(super) fn raise(self, py: Python<'py>, row: usize) -> PyErr {
        let Self { path, expected, problem } = self;
        match problem {
            Problem::Value(value) => bad_value(py, row, &path, &expected, &value),
            Problem::Raised(err) => err,
            Problem::Missing => {
                let text = format!("row {row}, column {path}: expected {expected}, found nothing");
                crate::error::INGEST.new_err(py, (text, Some(row), Some(path), None::<String>))
            }
        }
    }
}

impl From<PyErr> for Box<Bad<'_>> {
    fn from(err: PyErr) -> Self {
        let problem = Problem::Raised(err);
        Box::new(Bad { path: String::new(), expected: String::new(), problem })
    }
}
