//! The consumer's end.

// The choice of trusted mode.
#![allow(unsafe_code)]

use std::os::fd::AsRawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ottava_streams::handover::{self, Client, ClientOptions, Limits};
use pyo3::prelude::*;

use super::schema::read_schema;
use super::{deadline, parse, raise, timeout, waiting};
use crate::arrow::Table;
use crate::error::HANDOVER;
use crate::gate;

/// `ottava.handover.Client` without its manners.
#[pyclass(frozen, module = "ottava._native")]
pub(super) struct HandoverClient {
    client: Client,
}

#[pymethods]
impl HandoverClient {
    #[new]
    #[pyo3(signature = (address, token, *, schema, trusted, deadline, max_bytes, awake))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of a private Python class")]
    fn new(
        py: Python<'_>,
        address: &str,
        token: &str,
        schema: Option<Bound<'_, PyAny>>,
        trusted: bool,
        deadline: f64,
        max_bytes: Option<u64>,
        awake: f64,
    ) -> PyResult<Self> {
        let (address, token) = (parse(py, address)?, parse(py, token)?);
        let mut options = ClientOptions::new()
            .deadline(self::deadline(py, deadline)?)
            .awake(timeout(Some(awake)).unwrap_or(Duration::MAX));
        if let Some(bytes) = max_bytes {
            options = options.limits(Limits { bytes, ..Limits::default() });
        }
        if let Some(schema) = schema {
            options = options.schema(read_schema(&schema)?);
        }
        if trusted {
            // SAFETY: the caller asked for it by name; the documentation of `connect` says what that promises.
            options = unsafe { options.trusted() };
        }
        let client = gate::detached(py, || Client::connect(&address, &token, options))?
            .map_err(|err| raise(py, err))?;
        Ok(Self { client })
    }

    #[getter]
    fn held(&self) -> usize {
        self.client.held()
    }

    fn fileno(&self) -> i32 {
        self.client.fd().as_raw_fd()
    }

    fn process_fileno(&self) -> Option<i32> {
        self.client.process_fd().map(|fd| fd.as_raw_fd())
    }

    fn recv(&self, py: Python<'_>, seconds: Option<f64>) -> PyResult<Option<HandoverTable>> {
        let table = waiting(py, timeout(seconds), |timeout| self.client.recv(timeout))?;
        Ok(table.map(|table| HandoverTable { table: Mutex::new(Some(table)) }))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        gate::detached(py, || self.client.close())
    }
}

/// A table that another process handed over; any library that reads the Arrow C stream interface takes it as it is,
/// without copies.
///
/// Its slot goes back to the producer, and the table is acknowledged, when `release` was called or this object is gone, *and*
/// every array that was made from it is gone.
#[pyclass(frozen, module = "ottava._native")]
pub(super) struct HandoverTable {
    table: Mutex<Option<handover::Table>>,
}

impl HandoverTable {
    fn lock(&self) -> MutexGuard<'_, Option<handover::Table>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&handover::Table) -> PyResult<T>,
    ) -> PyResult<T> {
        let held = self.lock();
        let table = held.as_ref();
        work(table.ok_or_else(|| HANDOVER.closed.new_err(py, ("the table was released",)))?)
    }

    fn export<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Table>> {
        let table = self
            .with(py, |table| Ok(Table::new(table.schema().clone(), table.batches().to_vec())))?;
        Bound::new(py, table)
    }
}

#[pymethods]
impl HandoverTable {
    /// The number of rows.
    #[getter]
    fn num_rows(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |table| Ok(table.num_rows()))
    }

    /// The names of the columns, in order.
    #[getter]
    fn column_names(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.with(py, |table| {
            Ok(table.schema().fields().iter().map(|field| field.name().clone()).collect())
        })
    }

    /// Size of the segment in bytes.
    #[getter]
    fn nbytes(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |table| Ok(table.bytes()))
    }

    /// Whether `release` was called.
    #[getter]
    fn released(&self) -> bool {
        self.lock().is_none()
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.num_rows(py)
    }

    /// True, also without rows: there is a table.
    fn __bool__(&self) -> bool {
        true
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        match self.export(py).and_then(|table| table.repr()) {
            Ok(text) => text.to_string().replacen("ottava.Table", "ottava.handover.Table", 1),
            Err(_) => "<ottava.handover.Table, released>".to_owned(),
        }
    }

    /// Lets go of the table. Arrays that were made from it stay valid and keep the slot until they are gone, too.
    fn release(&self) {
        // Dropped outside of the lock.
        let table = self.lock().take();
        drop(table);
    }

    /// Copies the table into memory of this process alone, and lets go of the segment.
    fn detach(&self, py: Python<'_>) -> PyResult<Self> {
        let table = self.lock().take();
        let table =
            table.ok_or_else(|| HANDOVER.closed.new_err(py, ("the table was released",)))?;
        let copy = gate::detached(py, || table.detach())?.map_err(|err| raise(py, err))?;
        Ok(Self { table: Mutex::new(Some(copy)) })
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_args))]
    fn __exit__(&self, _args: &Bound<'_, PyAny>) {
        self.release();
    }

    /// The schema as an Arrow C schema capsule.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.export(py)?.call_method0("__arrow_c_schema__")
    }

    /// The table as an Arrow C stream capsule.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.export(py)?.call_method1("__arrow_c_stream__", (requested_schema,))
    }
}
