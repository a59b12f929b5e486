//! NDJSON to Arrow columns: no Python object is made of a row.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema as ArrowSchema};
use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyType};

use ottava_core::schema::Value;
use ottava_validate::{
    ArrowBatches, BatchOptions, ColumnsError, Echo, Issue, Issues, Loc, RowIssues, Schema,
};

use crate::arrow::Table;
use crate::gate;
use crate::threads;

use super::batch::OnError;
use super::input::Session;
use super::issues;
use super::plan::need_plan;

/// Most issues that an exception of a whole stream keeps.
const MOST_RAISED: usize = 1000;

/// The good rows of a stream as columns, and what is wrong with the others.
#[pyclass(frozen, module = "ottava", name = "ArrowResult")]
pub(crate) struct ArrowResult {
    table: Py<Table>,
    issues: Py<Table>,
    rows_read: u64,
    rows_good: u64,
    issues_dropped: u64,
}

#[pymethods]
impl ArrowResult {
    /// The good rows: a column for each field.
    #[getter]
    fn table(&self, py: Python<'_>) -> Py<Table> {
        self.table.clone_ref(py)
    }

    /// What is wrong with the others: `row` (uint64, from 0), `loc` (path with dots), `type`, `message`, `input` (the
    /// beginning of the wrong value) and `line` (uint64, from 1). Empty unless `on_error="collect"`.
    #[getter]
    fn issues(&self, py: Python<'_>) -> Py<Table> {
        self.issues.clone_ref(py)
    }

    /// How many rows there were; blank lines are none.
    #[getter]
    fn rows_read(&self) -> u64 {
        self.rows_read
    }

    /// How many of them are good.
    #[getter]
    fn rows_good(&self) -> u64 {
        self.rows_good
    }

    /// How many issues there were beyond those that are kept.
    #[getter]
    fn issues_dropped(&self) -> u64 {
        self.issues_dropped
    }

    fn __repr__(&self) -> String {
        let bad = self.rows_read - self.rows_good;
        format!(
            "<ottava.ArrowResult of {} rows: {} good, {bad} bad>",
            self.rows_read, self.rows_good
        )
    }
}

/// Where the bytes of a stream come from.
pub(crate) enum Source {
    Bytes(Py<PyBytes>),
    Copied(Vec<u8>),
    File(File),
    Chunks(Py<PyAny>),
}

impl Source {
    pub(crate) fn of(source: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = source.py();
        if let Ok(bytes) = source.cast::<PyBytes>() {
            return Ok(Source::Bytes(bytes.clone().unbind()));
        }
        if let Ok(buffer) = pyo3::buffer::PyBuffer::<u8>::get(source) {
            return Ok(Source::Copied(buffer.to_vec(py)?));
        }
        if source.is_instance_of::<PyString>() || source.hasattr(intern!(py, "__fspath__"))? {
            let path: std::path::PathBuf = source.extract()?;
            let opened = py.detach(|| File::open(&path));
            return opened.map(Source::File).map_err(|error| {
                let number = error.raw_os_error().unwrap_or_default();
                let text = strerror(&error);
                PyOSError::new_err((number, text, path.display().to_string()))
            });
        }
        #[cfg(unix)]
        if let Ok(number) = source.extract::<i32>() {
            return Ok(Source::File(duplicate(number)?));
        }
        #[cfg(unix)]
        if source.hasattr(intern!(py, "fileno"))? {
            let number: i32 = source.call_method0(intern!(py, "fileno"))?.extract()?;
            return Ok(Source::File(duplicate(number)?));
        }
        match source.try_iter() {
            Ok(chunks) => Ok(Source::Chunks(chunks.into_any().unbind())),
            Err(_) => Err(PyTypeError::new_err(format!(
                "source: expected bytes, a path, a file descriptor or an iterable of bytes, got {}",
                source.get_type().name()?
            ))),
        }
    }
}

fn strerror(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// A descriptor of our own for the same open file; the caller's stays open.
#[cfg(unix)]
fn duplicate(number: i32) -> PyResult<File> {
    let borrowed = rustix_fd(number)?;
    Ok(File::from(borrowed.try_clone_to_owned()?))
}

#[cfg(unix)]
fn rustix_fd(number: i32) -> PyResult<std::os::fd::BorrowedFd<'static>> {
    if number < 0 {
        return Err(PyValueError::new_err(format!("source: {number} is no file descriptor")));
    }
    Ok(crate::model::descriptor::borrow(number))
}

/// Reads a file without waiting longer than a moment before it looks at the flag.
pub(crate) struct Cancellable<'c, R> {
    pub(crate) reader: R,
    pub(crate) cancel: &'c AtomicBool,
}

#[cfg(unix)]
impl Read for Cancellable<'_, File> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        loop {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(io::Error::other("canceled"));
            }
            let mut fds = [PollFd::new(&self.reader, PollFlags::IN)];
            let moment = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            match poll(&mut fds, Some(&moment)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => match self.reader.read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return result,
                },
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(not(unix))]
impl Read for Cancellable<'_, File> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

/// Reads bytes-like objects from a Python iterator.
pub(crate) struct Chunks<'e> {
    iterator: Py<PyAny>,
    current: Vec<u8>,
    used: usize,
    /// What the iterator raised.
    error: &'e mut Option<PyErr>,
}

impl<'e> Chunks<'e> {
    pub(crate) fn new(iterator: Py<PyAny>, error: &'e mut Option<PyErr>) -> Self {
        Self { iterator, current: Vec::new(), used: 0, error }
    }
}

impl Read for Chunks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.used == self.current.len() {
            let next = Python::attach(|py| -> PyResult<Option<Vec<u8>>> {
                let iterator = self.iterator.bind(py).try_iter()?;
                let Some(item) = iterator.into_iter().next() else { return Ok(None) };
                let item = item?;
                if let Ok(bytes) = item.cast::<PyBytes>() {
                    return Ok(Some(bytes.as_bytes().to_vec()));
                }
                match pyo3::buffer::PyBuffer::<u8>::get(&item) {
                    Ok(bytes) => Ok(Some(bytes.to_vec(py)?)),
                    Err(_) => Err(PyTypeError::new_err(format!(
                        "source: expected an iterable of bytes, it gave {}",
                        item.get_type().name()?
                    ))),
                }
            });
            match next {
                Ok(None) => return Ok(0),
                Ok(Some(bytes)) => (self.current, self.used) = (bytes, 0),
                Err(error) => {
                    *self.error = Some(error);
                    return Err(io::Error::other("the iterator raised"));
                }
            }
        }
        let count = buffer.len().min(self.current.len() - self.used);
        buffer[..count].copy_from_slice(&self.current[self.used..self.used + count]);
        self.used += count;
        Ok(count)
    }
}

/// Reads NDJSON, checks each row and gives the good ones as Arrow columns.
#[pyfunction]
#[pyo3(signature = (class, source, threads, on_error, /))]
pub(crate) fn to_arrow<'py>(
    class: &Bound<'py, PyType>,
    source: &Bound<'py, PyAny>,
    threads: Option<usize>,
    on_error: &str,
) -> PyResult<Bound<'py, ArrowResult>> {
    let py = class.py();
    let on_error = OnError::parse(on_error)?;
    let owner = need_plan(class)?;
    let plan = owner.get();
    let source = Source::of(source)?;
    let pool = threads::pool(py, threads)?;
    let options = BatchOptions {
        threads: if pool.current_num_threads() == 1 { 1 } else { 0 },
        max_issues: match on_error {
            OnError::Raise => MOST_RAISED,
            OnError::Skip => 0,
            OnError::Collect => BatchOptions::default().max_issues,
        },
        ..BatchOptions::default()
    };
    let mut raised = None;
    let result = {
        let (schema, raised) = (&plan.schema, &mut raised);
        gate::interruptible(py, &pool, move |cancel| read(schema, source, options, cancel, raised))?
    };
    if let Some(error) = raised {
        return Err(error);
    }
    let all = result.map_err(|error| failure(&error))?;
    if on_error == OnError::Raise && all.rows_good < all.rows_read {
        return Err(raise(py, &plan.name, all.issues));
    }
    let dropped = all.issues.dropped;
    let issues = issue_table(&all.issues)?;
    let result = ArrowResult {
        table: Py::new(py, Table::new(all.schema, all.batches))?,
        issues: Py::new(py, issues)?,
        rows_read: all.rows_read,
        rows_good: all.rows_good,
        issues_dropped: if on_error == OnError::Collect { dropped } else { 0 },
    };
    Bound::new(py, result)
}

fn read(
    schema: &Schema,
    source: Source,
    options: BatchOptions,
    cancel: &AtomicBool,
    raised: &mut Option<PyErr>,
) -> Result<ArrowBatches, ColumnsError> {
    match source {
        Source::Bytes(bytes) => {
            let held = HeldBytes::new(&bytes);
            pieces(schema, held.slice(), options, cancel)
        }
        Source::Copied(bytes) => pieces(schema, bytes.as_slice(), options, cancel),
        Source::File(file) => pieces(schema, Cancellable { reader: file, cancel }, options, cancel),
        Source::Chunks(iterator) => pieces(schema, Chunks::new(iterator, raised), options, cancel),
    }
}

fn pieces<R: Read>(
    schema: &Schema,
    reader: R,
    options: BatchOptions,
    cancel: &AtomicBool,
) -> Result<ArrowBatches, ColumnsError> {
    let limit = options.max_issues;
    let mut reader = schema.ndjson_reader(reader, options)?;
    let mut all = ArrowBatches {
        schema: reader.schema().clone(),
        batches: Vec::new(),
        issues: RowIssues::default(),
        rows_read: 0,
        rows_good: 0,
    };
    while !cancel.load(Ordering::Relaxed) {
        let Some(piece) = reader.next() else { break };
        let piece = piece?;
        all.batches.extend(piece.batches);
        all.rows_read += piece.rows_read;
        all.rows_good += piece.rows_good;
        let room = limit.saturating_sub(all.issues.list.len());
        all.issues.dropped +=
            piece.issues.dropped + piece.issues.list.len().saturating_sub(room) as u64;
        all.issues.list.extend(piece.issues.list.into_iter().take(room));
    }
    Ok(all)
}

/// The bytes of an object that stays alive although the lock is released.
struct HeldBytes<'b> {
    slice: &'b [u8],
}

impl<'b> HeldBytes<'b> {
    fn new(bytes: &'b Py<PyBytes>) -> Self {
        // A `bytes` object never changes, and `bytes` keeps it alive.
        let slice = Python::attach(|py| {
            let slice = bytes.bind(py).as_bytes();
            super::descriptor::outlive(slice, bytes)
        });
        Self { slice }
    }

    fn slice(&self) -> &'b [u8] {
        self.slice
    }
}

pub(crate) fn read_error(error: &io::Error) -> PyErr {
    match error.raw_os_error() {
        Some(number) => PyOSError::new_err((number, strerror(error))),
        None => PyOSError::new_err(error.to_string()),
    }
}

fn failure(error: &ColumnsError) -> PyErr {
    match error {
        ColumnsError::Read(error) => read_error(error),
        ColumnsError::Mapping(_) | ColumnsError::Schema(_) => {
            PyTypeError::new_err(error.to_string())
        }
        _ => PyValueError::new_err(error.to_string()),
    }
}

/// One exception for all bad rows.
fn raise(py: Python<'_>, title: &str, rows: RowIssues) -> PyErr {
    let mut issues = Issues::new(MOST_RAISED);
    for found in rows.list {
        let echo = match found.issue.echo {
            Echo::None => Echo::None,
            _ => Echo::Value(shown(&found.input)),
        };
        let mut issue = Issue { echo, ..found.issue };
        // The list turns paths around when they are taken out.
        issue.loc.reverse();
        issue.loc.push(Loc::Index(usize::try_from(found.row).unwrap_or(usize::MAX)));
        issues.push(issue);
    }
    issues::raise_more(py, title, issues, Session::default(), rows.dropped)
}

/// The wrong value: parsed, or its text if it was cut or is no JSON.
fn shown(text: &str) -> Value {
    use ottava_core::schema::{Declaration, Type};
    let parsed = Schema::compile(Declaration::new("Any", Type::any()))
        .ok()
        .and_then(|schema| schema.json_to_value(text.as_bytes()).ok());
    parsed.unwrap_or_else(|| Value::Str(text.to_owned()))
}

fn issue_table(rows: &RowIssues) -> PyResult<Table> {
    let made = || {
        let all = rows.to_arrow()?;
        let columns = ["row", "loc", "code", "message", "input", "line"];
        let names = ["row", "loc", "type", "message", "input", "line"];
        let mut fields = Vec::new();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for (column, name) in columns.iter().zip(names) {
            let kind =
                if matches!(name, "row" | "line") { DataType::UInt64 } else { DataType::Utf8 };
            fields.push(Field::new(name, kind, false));
            arrays.extend(all.column_by_name(column).cloned());
        }
        let schema = Arc::new(ArrowSchema::new(fields));
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
        Ok(Table::new(schema, vec![batch]))
    };
    made().map_err(|error: arrow_schema::ArrowError| PyValueError::new_err(error.to_string()))
}
