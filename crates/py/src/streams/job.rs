//! One operation in one thread, its end announced on a descriptor.

use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ottava_streams::{
    Cancel, ConsumeReport, Consumed, LinesReport, Progress, PumpOptions, PumpReport, Signal,
    SinkReport, StreamError, Tried, consume_into, consume_tee, count_lines, try_pump,
};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::descriptor::duplicates;
use super::storage::{Shape, Storage};
use crate::error::{INTERNAL, STREAM, stream_error};
use crate::gate::detached;

/// What a job came to.
enum Outcome {
    Pumped(PumpReport),
    Consumed(Consumed),
    Stored(Storage, String, ConsumeReport),
    Counted(LinesReport),
}

/// An operation under way.
///
/// `fileno()` is readable once it is over, so any event loop can wait for it; `wait()` waits in the calling thread, with
/// the interpreter lock released. `close()` cancels it if need be, and returns when nothing of it is left.
#[pyclass(module = "ottava._native", frozen)]
pub(super) struct StreamJob {
    home: Home,
    /// None if the job was over before it needed a thread, or is closed.
    switches: Mutex<Option<Switches>>,
    progress: Arc<Progress>,
    names: Names,
    thread: Mutex<Option<JoinHandle<Result<Outcome, StreamError>>>>,
    result: Mutex<Option<thread::Result<Result<Outcome, StreamError>>>>,
}

/// What stops a thread, and what it announces itself with. They hold descriptors.
#[derive(Clone)]
pub(super) struct Switches {
    pub(super) cancel: Cancel,
    pub(super) signal: Arc<Signal>,
}

/// The process that an operation was started in. Its thread is not there after a fork, but its descriptors are, and the
/// signals behind them are shared.
#[derive(Clone, Copy)]
pub(super) struct Home(u32);

impl Home {
    pub(super) fn here() -> Self {
        Self(std::process::id())
    }

    pub(super) fn is_here(self) -> bool {
        self.0 == std::process::id()
    }

    pub(super) fn check(self, py: Python<'_>) -> PyResult<()> {
        if self.is_here() {
            return Ok(());
        }
        let text = "cannot go on in a forked process: Operation not permitted";
        Err(STREAM.new_err(py, (EPERM, text)))
    }
}

/// "Operation not permitted", the same on every Unix.
const EPERM: i32 = 1;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes what a mutex holds, in a `drop`.
pub(super) fn taken<T>(mutex: &mut Mutex<Option<T>>) -> Option<T> {
    mutex.get_mut().unwrap_or_else(PoisonError::into_inner).take()
}

/// The numbers by which Python knows the descriptors, for error messages.
#[derive(Clone)]
pub(super) struct Names {
    pub(super) reader: i32,
    pub(super) writers: Vec<i32>,
}

/// Raises the signal when the thread ends, also by a panic.
pub(super) struct RaiseOnDrop(pub(super) Arc<Signal>);

impl Drop for RaiseOnDrop {
    fn drop(&mut self) {
        self.0.raise();
    }
}

/// Starts a thread of our own: never one of an executor, where jobs that wait for each other could deadlock.
pub(super) fn spawn<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StreamError> {
    thread::Builder::new()
        .name("ottava-stream".to_owned())
        .spawn(work)
        .map_err(|source| StreamError::System { what: "start a thread", source })
}

pub(super) fn signal() -> Result<Arc<Signal>, StreamError> {
    Signal::new()
        .map(Arc::new)
        .map_err(|source| StreamError::System { what: "make a signal", source })
}

impl StreamJob {
    fn start(
        names: Names,
        mut options: PumpOptions,
        work: impl FnOnce(&PumpOptions) -> Result<Outcome, StreamError> + Send + 'static,
    ) -> Result<Self, StreamError> {
        let cancel = Cancel::new()?;
        let progress = Arc::new(Progress::default());
        let done = signal()?;
        options.cancel = Some(cancel.clone());
        options.progress = Some(progress.clone());
        let raise = RaiseOnDrop(done.clone());
        let thread = spawn(move || {
            let _raise = raise;
            work(&options)
        })?;
        let (thread, result) = (Mutex::new(Some(thread)), Mutex::new(None));
        let switches = Mutex::new(Some(Switches { cancel, signal: done }));
        Ok(Self { home: Home::here(), switches, progress, names, thread, result })
    }

    /// A job that is over already.
    fn over(names: Names, outcome: Outcome, bytes: u64) -> Self {
        let (thread, result) = (Mutex::new(None), Mutex::new(Some(Ok(Ok(outcome)))));
        let progress = Arc::new(Progress::of(bytes));
        let switches = Mutex::new(None);
        Self { home: Home::here(), switches, progress, names, thread, result }
    }

    /// Waits until the thread is gone, and keeps what it returned.
    fn join(&self) {
        let mut thread = lock(&self.thread);
        if let Some(handle) = thread.take() {
            let result = handle.join();
            *lock(&self.result) = Some(result);
        }
    }

    fn switches(&self) -> Option<Switches> {
        lock(&self.switches).clone()
    }
}

impl Drop for StreamJob {
    fn drop(&mut self) {
        // The thread owns all it needs and ends by itself; waiting for it here would hold the interpreter lock.
        self.cancel();
        if !self.home.is_here() {
            std::mem::forget(taken(&mut self.thread));
        }
    }
}

#[pymethods]
impl StreamJob {
    /// The descriptor that is readable once the job is over; -1 if it was over at once, or is closed.
    fn fileno(&self) -> i32 {
        self.switches().map_or(-1, |switches| switches.signal.fd().as_raw_fd())
    }

    /// Bytes taken from the reader so far.
    fn progress(&self) -> u64 {
        self.progress.bytes()
    }

    /// Asks the job to stop; not in a forked process, which the job is none of.
    fn cancel(&self) {
        if self.home.is_here()
            && let Some(switches) = self.switches()
        {
            switches.cancel.cancel();
        }
    }

    /// Waits for at most `seconds`; whether the job is over. Returns early if a signal comes.
    fn wait(&self, py: Python<'_>, seconds: f64) -> PyResult<bool> {
        self.home.check(py)?;
        let Some(switches) = self.switches() else { return Ok(true) };
        let timeout = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        detached(py, || switches.signal.wait(Some(timeout)))
    }

    /// What the job came to. Waits for it; raises what ended it.
    fn result<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.home.check(py)?;
        detached(py, || self.join())?;
        let result = lock(&self.result).take();
        let outcome = match result {
            None => return Err(PyRuntimeError::new_err("the result was already taken")),
            Some(Err(panic)) => {
                return Err(INTERNAL.new_err(py, (crate::gate::message(panic),)));
            }
            Some(Ok(outcome)) => outcome.map_err(|err| raise(py, err, &self.names))?,
        };
        match outcome {
            Outcome::Pumped(report) => pump_tuple(py, &report),
            Outcome::Consumed(consumed) => (
                PyBytes::new(py, &consumed.bytes),
                consumed.bytes.len(),
                consumed.read_blocked.as_secs_f64(),
                consumed.elapsed.as_secs_f64(),
                sink_tuples(&consumed.sinks),
            )
                .into_pyobject(py),
            Outcome::Stored(storage, errors, report) => (
                storage.finish(py, &errors)?,
                report.bytes,
                report.read_blocked.as_secs_f64(),
                report.elapsed.as_secs_f64(),
                Vec::<SinkTuple>::new(),
            )
                .into_pyobject(py),
            Outcome::Counted(report) => (
                report.lines,
                report.bytes,
                report.read_blocked.as_secs_f64(),
                report.elapsed.as_secs_f64(),
            )
                .into_pyobject(py),
        }
    }

    /// Cancels the job if it still runs, and returns when its thread and descriptors are gone.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if !self.home.is_here() {
            return Ok(());
        }
        self.cancel();
        detached(py, || self.join())?;
        // Whoever caught what the job raised may keep it for long.
        lock(&self.switches).take();
        Ok(())
    }
}

/// One sink as Python gets it: bytes, errno or none, seconds blocked.
pub(super) type SinkTuple = (u64, Option<i32>, f64);

pub(super) fn sink_tuples(sinks: &[SinkReport]) -> Vec<SinkTuple> {
    sinks.iter().map(|s| (s.bytes, s.gone, s.blocked.as_secs_f64())).collect()
}

fn pump_tuple<'py>(py: Python<'py>, report: &PumpReport) -> PyResult<Bound<'py, PyTuple>> {
    let refused: Vec<(&str, String)> =
        report.refused.iter().map(|r| (r.way.name(), reason(r.why))).collect();
    (
        report.bytes,
        report.discarded,
        report.ending.name(),
        report.way.name(),
        refused,
        report.read_blocked.as_secs_f64(),
        report.elapsed.as_secs_f64(),
        sink_tuples(&report.sinks),
    )
        .into_pyobject(py)
}

/// The reason in words; the system's own words without Rust's "(os error 22)".
fn reason(why: ottava_streams::Why) -> String {
    let text = why.to_string();
    match text.split_once(" (os error") {
        Some((head, _)) => head.to_owned(),
        None => text,
    }
}

/// A Rust error as Python's, with the descriptors named as Python knows them.
pub(super) fn raise(py: Python<'_>, err: StreamError, names: &Names) -> PyErr {
    let err = match err {
        StreamError::Read { bytes, source, .. } => {
            StreamError::Read { fd: names.reader, bytes, source }
        }
        StreamError::Write { sink, fd, bytes, source } => {
            let fd = names.writers.get(sink).copied().unwrap_or(fd);
            StreamError::Write { sink, fd, bytes, source }
        }
        StreamError::SameFile { sink, writer, .. } => {
            let writer = names.writers.get(sink).copied().unwrap_or(writer);
            StreamError::SameFile { sink, reader: names.reader, writer }
        }
        StreamError::TooLarge { limit, .. } => StreamError::TooLarge { fd: names.reader, limit },
        StreamError::LineTooLong { line, limit, .. } => {
            StreamError::LineTooLong { fd: names.reader, line, limit }
        }
        err => err,
    };
    stream_error(py, err)
}

/// Starts a pump from `reader` to every one of `writers`.
#[pyfunction]
#[pyo3(signature = (reader, writers, *, buffer_size, pipe_size, drain, limit, allow_aliasing, in_kernel))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of a private Python function")]
pub(super) fn stream_pump(
    py: Python<'_>,
    reader: i32,
    writers: Vec<i32>,
    buffer_size: usize,
    pipe_size: usize,
    drain: bool,
    limit: Option<u64>,
    allow_aliasing: bool,
    in_kernel: bool,
) -> PyResult<StreamJob> {
    let options = PumpOptions {
        buffer_size,
        pipe_size,
        drain,
        limit,
        allow_aliasing,
        in_kernel,
        ..PumpOptions::default()
    };
    let names = Names { reader, writers };
    let start = || {
        let (reader, writers) = duplicates(names.reader, &names.writers)?;
        match try_pump(reader, writers, &options)? {
            Tried::Done(report) => {
                let bytes = report.bytes;
                Ok(StreamJob::over(names.clone(), Outcome::Pumped(report), bytes))
            }
            Tried::Begun(begun) => StreamJob::start(names.clone(), options, move |options| {
                let report = begun.run(options.cancel.clone(), options.progress.clone());
                report.map(Outcome::Pumped)
            }),
        }
    };
    detached(py, start)?.map_err(|err| raise(py, err, &names))
}

/// Starts reading `reader` to its end: UTF-8 text if `errors` says what to do with invalid bytes, else bytes.
///
/// With writers the result is always bytes.
#[pyfunction]
#[pyo3(signature = (reader, writers, *, errors, buffer_size, pipe_size, limit))]
pub(super) fn stream_consume(
    py: Python<'_>,
    reader: i32,
    writers: Vec<i32>,
    errors: Option<String>,
    buffer_size: usize,
    pipe_size: usize,
    limit: Option<u64>,
) -> PyResult<StreamJob> {
    let options = PumpOptions { buffer_size, pipe_size, limit, ..PumpOptions::default() };
    let names = Names { reader, writers };
    duplicates(names.reader, &names.writers)
        .and_then(|(reader, writers)| {
            StreamJob::start(names.clone(), options, move |options| {
                if !writers.is_empty() {
                    return consume_tee(reader, writers, options).map(Outcome::Consumed);
                }
                let shape = if errors.is_some() { Shape::Text } else { Shape::Bytes };
                let mut storage = Storage::new(shape);
                let report = consume_into(reader, options, &mut storage)?;
                Ok(Outcome::Stored(storage, errors.unwrap_or_default(), report))
            })
        })
        .map_err(|err| raise(py, err, &names))
}

/// Starts counting the lines of `reader`.
#[pyfunction]
#[pyo3(signature = (reader, *, buffer_size, pipe_size))]
pub(super) fn stream_count_lines(
    py: Python<'_>,
    reader: i32,
    buffer_size: usize,
    pipe_size: usize,
) -> PyResult<StreamJob> {
    let options = PumpOptions { buffer_size, pipe_size, ..PumpOptions::default() };
    let names = Names { reader, writers: Vec::new() };
    duplicates(reader, &[])
        .and_then(|(reader, _)| {
            StreamJob::start(names.clone(), options, move |options| {
                count_lines(reader, options).map(Outcome::Counted)
            })
        })
        .map_err(|err| raise(py, err, &names))
}
