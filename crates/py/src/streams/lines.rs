//! Lines that a thread of our own reads ahead, a few batches at most.

use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel,
};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, yield_now};
use std::time::{Duration, Instant};

use numpy::{IntoPyArray, PyArray2, PyArrayMethods};
use ottava_streams::{
    Cancel, LineBatch, LineBuffer, LineOptions, LineSink, LinesReport, PumpOptions, Signal,
    StreamError, lines, lines_tee,
};
use pyo3::exceptions::{PyStopIteration, PyUnicodeDecodeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use super::descriptor::duplicates;
use super::job::{
    Home, Names, RaiseOnDrop, SinkTuple, Switches, lock, raise, signal, sink_tuples, spawn, taken,
};
use crate::error::INTERNAL;
use crate::gate::{detached, message};

/// Batches that wait for Python while the thread reads on; more is backpressure.
const AHEAD: usize = 4;

/// How long a wait for the next batch is short, and is spent awake at most: as long as it takes to read and split one.
const SHORT: Duration = Duration::from_micros(250);

type Message = Result<LineBuffer, Result<LinesReport, StreamError>>;

/// The thread is gone and has not said why.
struct Silent;

/// Batches of lines of one reader.
#[pyclass(module = "ottava._native", frozen)]
pub(super) struct StreamLines {
    home: Home,
    /// None once the lines are closed.
    switches: Mutex<Option<Switches>>,
    names: Names,
    encoding: String,
    errors: String,
    blob: bool,
    receiver: Mutex<Option<Receiver<Message>>>,
    /// Batches that Python is done with go back to the thread, which fills them anew.
    used: Sender<LineBuffer>,
    /// Whether the wait for the batch before was short: the next one is spent awake then, for a thread that reads steadily has a batch
    /// before whoever waits for it could fall asleep and be woken.
    quick: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
    report: Mutex<Option<LinesReport>>,
    /// Why a line could not be decoded; raised after the lines before it were passed on.
    failure: Mutex<Option<PyErr>>,
}

impl Drop for StreamLines {
    fn drop(&mut self) {
        self.cancel();
        if !self.home.is_here() {
            // The thread is not there, and was in the middle of anything when the process was forked.
            std::mem::forget((taken(&mut self.receiver), taken(&mut self.thread)));
        }
    }
}

/// The thread's side of the queue.
struct Queue {
    sender: SyncSender<Message>,
    used: Receiver<LineBuffer>,
    ready: Arc<Signal>,
}

impl LineSink for Queue {
    fn batch(&mut self, lines: LineBatch<'_>) -> ControlFlow<()> {
        let batch = lines.take(self.used.try_recv().unwrap_or_default());
        if self.sender.send(Ok(batch)).is_err() {
            return ControlFlow::Break(());
        }
        self.ready.raise();
        ControlFlow::Continue(())
    }
}

impl StreamLines {
    /// The next message; none if there is none yet. Closed lines are cancelled ones.
    fn receive(&self, timeout: Option<Duration>) -> Result<Option<Message>, Silent> {
        let receiver = lock(&self.receiver);
        let Some(receiver) = &*receiver else {
            return Ok(Some(Err(Err(StreamError::Cancelled { bytes: 0 }))));
        };
        let message = match timeout {
            None => receiver.try_recv(),
            Some(timeout) => receiver.recv_timeout(timeout).map_err(|err| match err {
                RecvTimeoutError::Timeout => TryRecvError::Empty,
                RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
            }),
        };
        match message {
            Ok(message) => Ok(Some(message)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Silent),
        }
    }

    /// As [`StreamLines::receive`], first awake for a while if that is worth it.
    fn wait(&self, timeout: Duration) -> Result<Option<Message>, Silent> {
        let start = Instant::now();
        let awake = self.quick.load(Ordering::Relaxed);
        let mut received = Ok(None);
        while awake && matches!(received, Ok(None)) && start.elapsed() < SHORT.min(timeout) {
            received = self.receive(None);
            yield_now();
        }
        if matches!(received, Ok(None)) {
            received = self.receive(Some(timeout.saturating_sub(start.elapsed())));
        }
        self.quick.store(start.elapsed() <= SHORT, Ordering::Relaxed);
        received
    }

    /// Why the thread ended without a word.
    fn panicked(&self, py: Python<'_>) -> PyErr {
        let thread = lock(&self.thread).take();
        let panic = thread.and_then(|thread| thread.join().err());
        let text = panic.map_or_else(|| "the reading thread is gone".to_owned(), message);
        INTERNAL.new_err(py, (text,))
    }

    fn batch<'py>(&self, py: Python<'py>, batch: &LineBuffer) -> PyResult<Bound<'py, PyAny>> {
        if self.blob {
            return blob(py, batch);
        }
        if self.encoding == "utf-8"
            && let Ok(text) = std::str::from_utf8(batch.data())
        {
            // Line endings are ASCII, so every span lies on character boundaries.
            let lines = batch.spans().iter().map(|&(start, end)| &text[start..end]);
            return Ok(PyList::new(py, lines)?.into_any());
        }
        if self.encoding != "utf-8"
            && let Some(lines) = self.decode_all(py, batch)?
        {
            return Ok(lines);
        }
        let mut lines = Vec::with_capacity(batch.spans().len());
        for line in batch.iter() {
            match self.decode(py, line) {
                Ok(line) => lines.push(line),
                Err(err) if lines.is_empty() => return Err(err),
                Err(err) => {
                    *lock(&self.failure) = Some(err);
                    break;
                }
            }
        }
        Ok(PyList::new(py, lines)?.into_any())
    }

    /// All lines by one call of Python's own codec; none if one of them cannot be decoded, or holds what becomes a line ending.
    fn decode_all<'py>(
        &self,
        py: Python<'py>,
        batch: &LineBuffer,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut joined = Vec::with_capacity(batch.data().len());
        for (index, line) in batch.iter().enumerate() {
            if index > 0 {
                joined.push(b'\n');
            }
            joined.extend_from_slice(line);
        }
        let text = match PyBytes::new(py, &joined).call_method1("decode", (&self.encoding,)) {
            Ok(text) => text,
            Err(err) if err.is_instance_of::<PyUnicodeDecodeError>(py) => return Ok(None),
            Err(err) => return Err(err),
        };
        let lines = text.call_method1("split", ("\n",))?;
        Ok((lines.len()? == batch.spans().len()).then_some(lines))
    }

    /// One line through Python's own codec, so that every error handler does what it does there.
    fn decode<'py>(&self, py: Python<'py>, line: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        if self.encoding == "utf-8"
            && let Ok(text) = std::str::from_utf8(line)
        {
            return Ok(PyString::new(py, text).into_any());
        }
        let line = PyBytes::new(py, line);
        line.call_method1("decode", (&self.encoding, &self.errors))
    }
}

/// The bytes of a batch, and where in them each line starts and ends: shape (n, 2), int64.
fn blob<'py>(py: Python<'py>, batch: &LineBuffer) -> PyResult<Bound<'py, PyAny>> {
    let spans = batch.spans().iter().map(|&(start, end)| [start as i64, end as i64]);
    let flat = spans.collect::<Vec<_>>().into_flattened();
    let spans: Bound<'py, PyArray2<i64>> =
        flat.into_pyarray(py).reshape([batch.spans().len(), 2])?;
    Ok((PyBytes::new(py, batch.data()), spans).into_pyobject(py)?.into_any())
}

#[pymethods]
impl StreamLines {
    /// The descriptor that is readable while a batch, the end or an error waits to be taken; -1 once it is closed.
    fn fileno(&self) -> i32 {
        lock(&self.switches).as_ref().map_or(-1, |switches| switches.signal.fd().as_raw_fd())
    }

    /// Asks the thread to stop; not in a forked process, which it is none of.
    fn cancel(&self) {
        if self.home.is_here()
            && let Some(switches) = &*lock(&self.switches)
        {
            switches.cancel.cancel();
        }
    }

    /// The next batch; none if there is none within `seconds`. `StopIteration` at the end.
    fn next<'py>(&self, py: Python<'py>, seconds: f64) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.home.check(py)?;
        if let Some(err) = lock(&self.failure).take() {
            return Err(err);
        }
        let timeout = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        let mut received = self.receive(None);
        if let Ok(None) = received {
            received = if timeout.is_zero() {
                // Cleared before the second look: what arrives after it raises the signal again.
                if let Some(switches) = &*lock(&self.switches) {
                    switches.signal.clear();
                }
                self.receive(None)
            } else {
                detached(py, || self.wait(timeout))?
            };
        }
        match received.map_err(|Silent| self.panicked(py))? {
            None => Ok(None),
            Some(Ok(batch)) => {
                let lines = self.batch(py, &batch)?;
                // The thread may be over; then nobody wants the batch back.
                let _ = self.used.send(batch);
                Ok(Some(lines))
            }
            Some(Err(Ok(report))) => {
                *lock(&self.report) = Some(report);
                Err(PyStopIteration::new_err(()))
            }
            Some(Err(Err(err))) => Err(raise(py, err, &self.names)),
        }
    }

    /// After the end: lines, bytes, seconds blocked on the reader, seconds in all, the tee's sinks.
    fn report(&self) -> Option<(u64, u64, f64, f64, Vec<SinkTuple>)> {
        let report = lock(&self.report);
        report.as_ref().map(|r| {
            let (blocked, elapsed) = (r.read_blocked.as_secs_f64(), r.elapsed.as_secs_f64());
            (r.lines, r.bytes, blocked, elapsed, sink_tuples(&r.sinks))
        })
    }

    /// Cancels the reading if it still runs, and returns when its thread and descriptors are gone.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if !self.home.is_here() {
            return Ok(());
        }
        self.cancel();
        // A thread that waits for room in the queue learns it from the closed channel.
        drop(lock(&self.receiver).take());
        let thread = lock(&self.thread).take();
        detached(py, || {
            if let Some(thread) = thread {
                let _ = thread.join();
            }
        })?;
        lock(&self.switches).take();
        Ok(())
    }
}

/// Starts reading the lines of `reader`, decoded unless `blob`.
#[pyfunction]
#[pyo3(signature = (reader, writers, *, encoding, errors, blob, max_line, buffer_size, pipe_size))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of a private Python function")]
pub(super) fn stream_lines(
    py: Python<'_>,
    reader: i32,
    writers: Vec<i32>,
    encoding: String,
    errors: String,
    blob: bool,
    max_line: usize,
    buffer_size: usize,
    pipe_size: usize,
) -> PyResult<StreamLines> {
    let names = Names { reader, writers };
    let start = || {
        let (reader, writers) = duplicates(names.reader, &names.writers)?;
        let cancel = Cancel::new()?;
        let ready = signal()?;
        let pump = PumpOptions {
            buffer_size,
            pipe_size,
            cancel: Some(cancel.clone()),
            ..PumpOptions::default()
        };
        let options = LineOptions { pump, max_line };
        let (sender, receiver) = sync_channel(AHEAD);
        let (give_back, used) = channel();
        let raise = RaiseOnDrop(ready.clone());
        let mut queue = Queue { sender, used, ready: ready.clone() };
        let thread = spawn(move || {
            let _raise = raise;
            let result = if writers.is_empty() {
                lines(reader, &options, &mut queue)
            } else {
                lines_tee(reader, writers, &options, &mut queue)
            };
            // Nobody listens any more once the lines are closed.
            let _ = queue.sender.send(Err(result));
        })?;
        Ok((cancel, ready, receiver, give_back, thread))
    };
    let (cancel, ready, receiver, used, thread) =
        start().map_err(|err: StreamError| raise(py, err, &names))?;
    Ok(StreamLines {
        home: Home::here(),
        switches: Mutex::new(Some(Switches { cancel, signal: ready })),
        names,
        encoding,
        errors,
        blob,
        receiver: Mutex::new(Some(receiver)),
        used,
        quick: AtomicBool::new(false),
        thread: Mutex::new(Some(thread)),
        report: Mutex::new(None),
        failure: Mutex::new(None),
    })
}
