//! What an operation did, and how.

use std::fmt;
use std::time::Duration;

/// How bytes travelled from reader to writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Way {
    /// `splice(2)`: pages move between a pipe and another descriptor without being copied.
    Splice,
    /// `tee(2)` and `splice(2)`: several pipes refer to the same pages.
    Tee,
    /// `sendfile(2)` from a regular file to a socket.
    Sendfile,
    /// `copy_file_range(2)` between regular files.
    CopyFileRange,
    /// `read(2)` and `write(2)` through a buffer of our own.
    ReadWrite,
}

impl Way {
    /// The name used in reports and in Python.
    pub fn name(self) -> &'static str {
        match self {
            Self::Splice => "splice",
            Self::Tee => "tee",
            Self::Sendfile => "sendfile",
            Self::CopyFileRange => "copy_file_range",
            Self::ReadWrite => "read/write",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a faster way was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// Neither end is a pipe.
    NoPipe,
    /// The writer is open in append mode.
    Append,
    /// One end is a terminal.
    Terminal,
    /// The writer is a socket in blocking mode, where the call could block without hearing a cancellation.
    BlockingSocket,
    /// The reader is a socket in blocking mode, where `splice` waits for bytes and hears no cancellation.
    BlockingReader,
    /// The reader is a regular file whose pages would be shared with whoever writes the file next.
    Aliasing,
    /// The caller asked for `read`/`write`.
    NotWanted,
    /// This platform has no such call.
    Platform,
    /// The system refused, with this `errno`.
    Refused(i32),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPipe => f.write_str("neither end is a pipe"),
            Self::Append => f.write_str("the writer is in append mode"),
            Self::Terminal => f.write_str("one end is a terminal"),
            Self::BlockingSocket => f.write_str("the writer is a blocking socket"),
            Self::BlockingReader => f.write_str("the reader is a blocking socket"),
            Self::Aliasing => f.write_str("pages of the file would be shared with its next writer"),
            Self::NotWanted => f.write_str("not wanted"),
            Self::Platform => f.write_str("not on this platform"),
            Self::Refused(errno) => {
                write!(f, "{}", std::io::Error::from_raw_os_error(*errno))
            }
        }
    }
}

/// A faster way that was not taken, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// The way.
    pub way: Way,
    /// The reason.
    pub why: Why,
}

/// Why a pump that did not fail stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ending {
    /// The reader came to its end.
    Eof,
    /// The other end of every writer is gone.
    WriterGone,
    /// As many bytes as the limit allows have been moved.
    Limit,
}

impl Ending {
    /// The name used in reports and in Python.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eof => "eof",
            Self::WriterGone => "writer-gone",
            Self::Limit => "limit",
        }
    }
}

/// What one writer got.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SinkReport {
    /// Bytes it accepted.
    pub bytes: u64,
    /// The `errno` with which it stopped taking bytes, if it did.
    pub gone: Option<i32>,
    /// Time spent waiting for it.
    pub blocked: Duration,
}

/// What a pump did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PumpReport {
    /// Bytes taken from the reader, the discarded ones included.
    pub bytes: u64,
    /// Bytes taken from the reader that no writer accepted.
    pub discarded: u64,
    /// Why it stopped.
    pub ending: Ending,
    /// How the bytes travelled; the slowest way that was taken.
    pub way: Way,
    /// Faster ways that were not taken.
    pub refused: Vec<Refusal>,
    /// Time spent waiting for the reader.
    pub read_blocked: Duration,
    /// Wall time of the whole operation.
    pub elapsed: Duration,
    /// One report per writer, in the order they were given.
    pub sinks: Vec<SinkReport>,
}
