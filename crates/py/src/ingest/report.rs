//! What became of a batch, for Python.

use ottava_core::store::Report;
use pyo3::prelude::*;

/// What became of a batch.
#[pyclass(frozen, module = "ottava")]
pub(crate) struct IngestReport {
    report: Report,
    /// Seconds of wall time, from the first look at the data.
    #[pyo3(get)]
    seconds: f64,
}

impl IngestReport {
    pub(super) fn new(report: Report, seconds: f64) -> Self {
        Self { report, seconds }
    }
}

#[pymethods]
impl IngestReport {
    /// Rows that were read.
    #[getter]
    fn rows(&self) -> usize {
        self.report.rows
    }

    /// Rows that are in the store now.
    #[getter]
    fn inserted(&self) -> usize {
        self.report.inserted
    }

    /// Rows whose place a later row with the same id took.
    #[getter]
    fn replaced(&self) -> usize {
        self.report.replaced
    }

    /// Rows that were passed over, because their id was there already.
    #[getter]
    fn skipped(&self) -> usize {
        self.report.skipped
    }

    /// Bytes of columns that were made anew; all others are the buffers that were given.
    #[getter]
    fn bytes_copied(&self) -> usize {
        self.report.bytes_copied()
    }

    /// What was made anew, and why: `(column, bytes, reason)`.
    #[getter]
    fn copies(&self) -> Vec<(String, usize, String)> {
        self.report.copies.iter().map(|c| (c.column.clone(), c.bytes, c.reason.clone())).collect()
    }

    /// Columns of the batch that a locked schema will no longer have: `(column, deprecated since, removed in)`.
    #[getter]
    fn deprecated(&self) -> Vec<(String, Option<String>, Option<String>)> {
        let parts = |r: &ottava_core::store::Retiring| {
            (r.column.clone(), r.since.clone(), r.removed_in.clone())
        };
        self.report.retiring.iter().map(parts).collect()
    }

    fn __repr__(&self) -> String {
        format!(
            "<ottava.IngestReport of {} rows: {} inserted, {} replaced, {} skipped, {} bytes copied, {:.3} s>",
            self.report.rows,
            self.report.inserted,
            self.report.replaced,
            self.report.skipped,
            self.report.bytes_copied(),
            self.seconds
        )
    }
}
