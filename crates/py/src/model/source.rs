//! Where the bytes of a stream come from: objects, files, descriptors, iterators.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::descriptor;

/// Where the bytes of a stream come from.
pub(crate) enum Source {
    Bytes(Py<PyBytes>),
    Copied(Vec<u8>),
    File(Opened),
    Chunks(Feed),
}

/// What gives the parts of a stream.
pub(crate) enum Feed {
    /// An iterator.
    Iterator(Py<PyAny>),
    /// An object with a `read` method.
    Reader(Py<PyAny>),
}

/// A descriptor, and what a Python object has read from it before and not given out.
pub(crate) struct Opened {
    held: Cursor<Vec<u8>>,
    file: File,
}

impl From<File> for Opened {
    fn from(file: File) -> Self {
        Self { held: Cursor::default(), file }
    }
}

/// Bytes that a file object is asked for at a time.
const PART: usize = 1 << 20;

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
            let opened = py.detach(|| open(&path));
            return opened.map(|file| Source::File(file.into())).map_err(|error| {
                let number = error.raw_os_error().unwrap_or_default();
                let text = strerror(&error);
                PyOSError::new_err((number, text, path.display().to_string()))
            });
        }
        #[cfg(unix)]
        if let Ok(number) = source.extract::<i32>() {
            return Ok(Source::File(duplicate(number)?.into()));
        }
        #[cfg(unix)]
        if let Some(opened) = opened(source)? {
            return Ok(Source::File(opened));
        }
        if source.hasattr(intern!(py, "read"))? {
            return Ok(Source::Chunks(Feed::Reader(source.clone().unbind())));
        }
        #[cfg(unix)]
        if source.hasattr(intern!(py, "fileno"))? {
            let number: i32 = source.call_method0(intern!(py, "fileno"))?.extract()?;
            return Ok(Source::File(duplicate(number)?.into()));
        }
        match source.try_iter() {
            Ok(chunks) => Ok(Source::Chunks(Feed::Iterator(chunks.into_any().unbind()))),
            Err(_) => Err(PyTypeError::new_err(format!(
                "source: expected bytes, a path, a file, a descriptor or an iterable of bytes, got {}",
                source.get_type().name()?
            ))),
        }
    }
}

/// Opens a file to read. A named pipe that nobody writes to yet is waited for by the reads, which can be interrupted.
fn open(path: &std::path::Path) -> io::Result<File> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
        if std::fs::metadata(path)?.file_type().is_fifo() {
            let flags = rustix::fs::OFlags::NONBLOCK.bits();
            return File::options().read(true).custom_flags(flags.cast_signed()).open(path);
        }
    }
    File::open(path)
}

/// The descriptor of a file of the standard library that gives the bytes of its descriptor as they are, and what it has in its
/// buffer. Any other object gives its bytes itself: they may be decompressed, decrypted or made up.
#[cfg(unix)]
fn opened(source: &Bound<'_, PyAny>) -> PyResult<Option<Opened>> {
    let io = source.py().import("io")?;
    let is = |object: &Bound<'_, PyAny>, class| -> PyResult<bool> {
        Ok(object.get_type().is(&io.getattr(class)?))
    };
    let mut held = Vec::new();
    if is(source, "BufferedReader")? && is(&source.getattr("raw")?, "FileIO")? {
        // This reads only where nothing is in the buffer.
        let length = source.call_method1("peek", (1,))?.len()?;
        held = source.call_method1("read", (length,))?.extract()?;
    } else if !is(source, "FileIO")? {
        return Ok(None);
    }
    let number = source.call_method0("fileno")?.extract()?;
    Ok(Some(Opened { held: Cursor::new(held), file: duplicate(number)? }))
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
    Ok(descriptor::borrow(number))
}

/// Reads a file without waiting longer than a moment before it looks at the flag.
pub(crate) struct Cancellable<'c, R> {
    pub(crate) reader: R,
    pub(crate) cancel: &'c AtomicBool,
}

#[cfg(unix)]
impl Read for Cancellable<'_, Opened> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let count = self.reader.held.read(buffer)?;
        if count > 0 {
            return Ok(count);
        }
        loop {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(io::Error::other("canceled"));
            }
            let mut fds = [PollFd::new(&self.reader.file, PollFlags::IN)];
            let moment = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            match poll(&mut fds, Some(&moment)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => match self.reader.file.read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return result,
                },
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(not(unix))]
impl Read for Cancellable<'_, Opened> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.file.read(buffer)
    }
}

/// Reads what Python code gives: bytes-like objects, or text where a file gives that.
pub(crate) struct Chunks<'e> {
    feed: Feed,
    current: Vec<u8>,
    used: usize,
    /// What it raised.
    error: &'e mut Option<PyErr>,
    cancel: &'e AtomicBool,
}

impl<'e> Chunks<'e> {
    pub(crate) fn new(feed: Feed, error: &'e mut Option<PyErr>, cancel: &'e AtomicBool) -> Self {
        Self { feed, current: Vec::new(), used: 0, error, cancel }
    }

    /// Where the parts come from, and what it has given that was not read.
    pub(crate) fn into_parts(mut self) -> (Feed, Vec<u8>) {
        (self.feed, self.current.split_off(self.used))
    }
}

impl Feed {
    /// The next part; `None` at the end.
    fn next(&self, py: Python<'_>) -> PyResult<Option<Vec<u8>>> {
        let item = match self {
            Feed::Iterator(iterator) => match iterator.bind(py).try_iter()?.next() {
                Some(item) => item?,
                None => return Ok(None),
            },
            Feed::Reader(file) => {
                let item = file.bind(py).call_method1(intern!(py, "read"), (PART,))?;
                if let Ok(text) = item.cast::<PyString>() {
                    let text = text.to_str()?;
                    return Ok((!text.is_empty()).then(|| text.as_bytes().to_vec()));
                }
                item
            }
        };
        let bytes = match item.cast::<PyBytes>() {
            Ok(bytes) => bytes.as_bytes().to_vec(),
            Err(_) => match pyo3::buffer::PyBuffer::<u8>::get(&item) {
                Ok(bytes) => bytes.to_vec(py)?,
                Err(_) => {
                    let wanted = match self {
                        Feed::Iterator(_) => "an iterable of bytes",
                        Feed::Reader(_) => "a file that gives bytes or text",
                    };
                    return Err(PyTypeError::new_err(format!(
                        "source: expected {wanted}, it gave {}",
                        item.get_type().name()?
                    )));
                }
            },
        };
        let at_end = matches!(self, Feed::Reader(_)) && bytes.is_empty();
        Ok((!at_end).then_some(bytes))
    }
}

impl Read for Chunks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.used == self.current.len() {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(io::Error::other("canceled"));
            }
            match Python::attach(|py| self.feed.next(py)) {
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

/// The bytes of an object that stays alive although the lock is released.
pub(crate) struct HeldBytes<'b> {
    slice: &'b [u8],
}

impl<'b> HeldBytes<'b> {
    pub(crate) fn new(bytes: &'b Py<PyBytes>) -> Self {
        // A `bytes` object never changes, and `bytes` keeps it alive.
        let slice = Python::attach(|py| {
            let slice = bytes.bind(py).as_bytes();
            descriptor::outlive(slice, bytes)
        });
        Self { slice }
    }

    pub(crate) fn slice(&self) -> &'b [u8] {
        self.slice
    }
}

pub(crate) fn read_error(error: &io::Error) -> PyErr {
    match error.raw_os_error() {
        Some(number) => PyOSError::new_err((number, strerror(error))),
        None => PyOSError::new_err(error.to_string()),
    }
}
