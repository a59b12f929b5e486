//! The one bridge from Rust errors to the exception tree of `ottava.errors`.
//!
//! The tree itself is Python code, because the pure-Python stream backend raises the same classes when this
//! module cannot be imported.

use ottava_streams::StreamError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};

/// A class of `ottava.errors`, looked up once.
pub(crate) struct ExceptionClass {
    name: &'static str,
    class: PyOnceLock<Py<PyType>>,
}

impl ExceptionClass {
    const fn new(name: &'static str) -> Self {
        Self { name, class: PyOnceLock::new() }
    }

    /// The Python class.
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyType>> {
        self.class.import(py, "ottava.errors", self.name)
    }

    /// An exception of this class with `args`; the import error itself if the class cannot be found.
    pub(crate) fn new_err<'py, A>(&self, py: Python<'py>, args: A) -> PyErr
    where
        A: IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>>,
        A::Error: Into<PyErr>,
    {
        let build = || -> PyResult<PyErr> {
            let args = args.into_pyobject(py).map_err(Into::into)?;
            Ok(PyErr::from_value(self.get(py)?.call1(args)?))
        };
        build().unwrap_or_else(|err| err)
    }
}

/// A defect of ottava itself: a panic that was caught at the gate.
pub(crate) static INTERNAL: ExceptionClass = ExceptionClass::new("InternalError");

/// An argument of the wrong shape or value.
pub(crate) static ARGUMENT: ExceptionClass = ExceptionClass::new("ArgumentError");

/// A token id that is not on the grid.
pub(crate) static UNKNOWN_TOKEN: ExceptionClass = ExceptionClass::new("UnknownTokenError");

/// A token id that is on the grid already.
pub(crate) static DUPLICATE_TOKEN: ExceptionClass = ExceptionClass::new("DuplicateTokenError");

/// A snapshot file that cannot be read.
pub(crate) static SNAPSHOT: ExceptionClass = ExceptionClass::new("SnapshotError");

pub(crate) static STREAM: ExceptionClass = ExceptionClass::new("StreamError");
static STREAM_READ: ExceptionClass = ExceptionClass::new("StreamReadError");
static STREAM_WRITE: ExceptionClass = ExceptionClass::new("StreamWriteError");
static STREAM_LIMIT: ExceptionClass = ExceptionClass::new("StreamLimitError");
static LINE_TOO_LONG: ExceptionClass = ExceptionClass::new("LineTooLongError");
static STREAM_OPTION: ExceptionClass = ExceptionClass::new("StreamOptionError");

/// An error of `ottava-streams` as the exception that the pure-Python backend raises in its place.
pub(crate) fn stream_error(py: Python<'_>, err: StreamError) -> PyErr {
    let text = err.to_string();
    let errno = |source: &std::io::Error| source.raw_os_error().unwrap_or(EIO);
    match err {
        StreamError::Read { fd, bytes, source } => {
            STREAM_READ.new_err(py, (errno(&source), fd, bytes))
        }
        StreamError::Write { fd, bytes, source, .. } => {
            STREAM_WRITE.new_err(py, (errno(&source), fd, bytes))
        }
        StreamError::TooLarge { fd, limit } => STREAM_LIMIT.new_err(py, (fd, limit)),
        StreamError::LineTooLong { fd, line, limit } => {
            LINE_TOO_LONG.new_err(py, (fd, line, limit))
        }
        StreamError::Option { .. } => STREAM_OPTION.new_err(py, (text,)),
        StreamError::SameFile { .. } => STREAM.new_err(py, (EINVAL, text)),
        StreamError::Cancelled { .. } => STREAM.new_err(py, (ECANCELED, text)),
        StreamError::System { source, .. } => STREAM.new_err(py, (errno(&source), text)),
        _ => STREAM.new_err(py, (EIO, text)),
    }
}

// Numbers of Linux; Windows and macOS have the first two in common with it.
const EIO: i32 = 5;
const EINVAL: i32 = 22;
const ECANCELED: i32 = if cfg!(target_os = "macos") { 89 } else { 125 };

/// Data that does not fit its schema, with every place where it does not.
pub(crate) static VALIDATION: ExceptionClass = ExceptionClass::new("ValidationError");

/// A list of what does not fit.
pub(crate) static ISSUES: ExceptionClass = ExceptionClass::new("Issues");

/// A batch that a store does not take in.
pub(crate) static INGEST: ExceptionClass = ExceptionClass::new("IngestError");

/// An id that is in the store already, or twice in the batch.
pub(crate) static DUPLICATE_ID: ExceptionClass = ExceptionClass::new("DuplicateIdError");

/// Columns that do not fit the schema of a store.
pub(crate) static SCHEMA_MISMATCH: ExceptionClass = ExceptionClass::new("SchemaMismatchError");

/// A version that cannot be locked, or a lock file that cannot be used.
pub(crate) static LOCK: ExceptionClass = ExceptionClass::new("LockError");

/// The classes of `ottava.handover`.
pub(crate) struct HandoverClasses {
    pub(crate) base: ExceptionClass,
    pub(crate) would_block: ExceptionClass,
    pub(crate) timeout: ExceptionClass,
    pub(crate) closed: ExceptionClass,
    pub(crate) peer_gone: ExceptionClass,
    pub(crate) handshake: ExceptionClass,
    pub(crate) segment: ExceptionClass,
}

/// Tables between processes.
pub(crate) static HANDOVER: HandoverClasses = HandoverClasses {
    base: ExceptionClass::new("HandoverError"),
    would_block: ExceptionClass::new("HandoverWouldBlockError"),
    timeout: ExceptionClass::new("HandoverTimeoutError"),
    closed: ExceptionClass::new("HandoverClosedError"),
    peer_gone: ExceptionClass::new("PeerGoneError"),
    handshake: ExceptionClass::new("HandshakeError"),
    segment: ExceptionClass::new("SegmentError"),
};
