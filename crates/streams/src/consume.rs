//! Reading everything into memory.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::ends::Inlet;
use crate::error::StreamError;
use crate::fd::{Fd, Kind, error, number, raise_pipe_size};
use crate::pump::{Pump, PumpOptions};
use crate::report::SinkReport;
use crate::utf8::{OnInvalid, decode};
use crate::wait::readable;

/// Least room that is made before a read, in bytes.
const ROOM: usize = 64 << 10;

/// The most that one read is asked for where the room is a slice: a read of a file hears no cancellation.
const MOST: usize = 4 << 20;

/// What was read, and how it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumed {
    /// Everything up to the end of file.
    pub bytes: Vec<u8>,
    /// Time spent waiting for the reader.
    pub read_blocked: Duration,
    /// Wall time of the whole operation.
    pub elapsed: Duration,
    /// One report per writer of the tee, in the order they were given.
    pub sinks: Vec<SinkReport>,
}

/// How reading into a store went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumeReport {
    /// Bytes taken from the reader.
    pub bytes: u64,
    /// Time spent waiting for the reader.
    pub read_blocked: Duration,
    /// Wall time of the whole operation.
    pub elapsed: Duration,
}

/// Where [`consume_into`] puts the bytes.
pub trait Store {
    /// Takes the next bytes of `source`, making room for at least `least` of them first. Returns how many there were.
    ///
    /// # Errors
    ///
    /// What `source` said, or [`io::ErrorKind::OutOfMemory`].
    fn take(&mut self, source: &mut Source<'_, '_>, least: usize) -> io::Result<usize>;
}

impl Store for Vec<u8> {
    fn take(&mut self, source: &mut Source<'_, '_>, least: usize) -> io::Result<usize> {
        if self.capacity() - self.len() < least {
            // Doubling: the pages of a large block are moved, not copied, by the allocators in use.
            self.try_reserve(self.len().max(least)).map_err(|_| io::ErrorKind::OutOfMemory)?;
        }
        source.append_to(self)
    }
}

/// The reader, as a [`Store`] sees it.
#[derive(Debug)]
pub struct Source<'i, 'r>(&'i mut Inlet<'r>);

impl Source<'_, '_> {
    /// Reads once, into the spare capacity of `vec`, and returns how many bytes that gave.
    ///
    /// # Errors
    ///
    /// What the system said, [`io::ErrorKind::WouldBlock`] among it; a store passes it on.
    pub fn append_to(&mut self, vec: &mut Vec<u8>) -> io::Result<usize> {
        Ok(self.0.read_uninit(rustix::buffer::spare_capacity(vec))?)
    }

    /// Reads once into `room`, a few MiB at most, and returns the part of it that was filled, which is at its beginning.
    ///
    /// # Errors
    ///
    /// As [`Source::append_to`].
    pub fn read<'b>(&mut self, room: &'b mut [MaybeUninit<u8>]) -> io::Result<&'b mut [u8]> {
        let most = room.len().min(MOST);
        Ok(self.0.read_uninit(&mut room[..most])?.0)
    }
}

/// Reads `reader` to its end.
///
/// [`PumpOptions::limit`] is the most that is accepted: one byte more is an error, since a part would pass for the
/// whole. Peak memory is the payload plus what the allocator rounds up.
///
/// # Errors
///
/// [`StreamError::TooLarge`], and those of [`pump`](crate::pump()).
pub fn consume<'r>(
    reader: impl Into<Fd<'r>>,
    options: &PumpOptions,
) -> Result<Consumed, StreamError> {
    let mut bytes = Vec::new();
    let report = consume_into(reader, options, &mut bytes)?;
    let (read_blocked, elapsed) = (report.read_blocked, report.elapsed);
    Ok(Consumed { bytes, read_blocked, elapsed, sinks: Vec::new() })
}

/// Reads `reader` to its end as UTF-8 text; one copy of it if it is valid.
///
/// # Errors
///
/// As [`consume`], and [`StreamError::Decode`] with [`OnInvalid::Strict`].
pub fn consume_text<'r>(
    reader: impl Into<Fd<'r>>,
    on_invalid: OnInvalid,
    options: &PumpOptions,
) -> Result<String, StreamError> {
    decode(consume(reader, options)?.bytes, on_invalid)
}

/// Reads `reader` to its end into a store of the caller's.
///
/// # Errors
///
/// As [`consume`], and [`StreamError::System`] if the store has no room.
pub fn consume_into<'r>(
    reader: impl Into<Fd<'r>>,
    options: &PumpOptions,
    store: &mut impl Store,
) -> Result<ConsumeReport, StreamError> {
    options.check()?;
    let started = Instant::now();
    let mut inlet = open(reader.into(), options)?;
    inlet.reopen();
    let fd = number(&inlet);
    let mut least = size_hint(&inlet, options.limit);
    let (mut bytes, mut read_blocked) = (0, Duration::ZERO);
    loop {
        if options.cancel.as_ref().is_some_and(Cancel::is_cancelled) {
            return Err(StreamError::Cancelled { bytes });
        }
        match store.take(&mut Source(&mut inlet), least) {
            Ok(0) => break,
            Ok(n) => bytes += n as u64,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => {
                let (result, took) = readable(&inlet, options.cancel.as_ref());
                read_blocked += took;
                match result {
                    Ok(()) | Err(Errno::INTR) => {}
                    Err(errno) => {
                        return Err(StreamError::System { what: "poll", source: error(errno) });
                    }
                }
            }
            Err(source) if source.raw_os_error().is_none() => {
                return Err(StreamError::System { what: "make room for the bytes", source });
            }
            Err(err) if Errno::from_io_error(&err).is_some_and(|e| inlet.is_end(e)) => break,
            Err(source) => return Err(StreamError::Read { fd, bytes, source }),
        }
        least = ROOM.min(options.buffer_size);
        if let Some(progress) = &options.progress {
            progress.set(bytes);
        }
        if let Some(limit) = options.limit.filter(|&limit| bytes > limit) {
            return Err(StreamError::TooLarge { fd, limit });
        }
    }
    Ok(ConsumeReport { bytes, read_blocked, elapsed: started.elapsed() })
}

/// Reads `reader` to its end, and gives every byte to `writers` too.
///
/// A writer that is gone or fails is reported and the reading goes on; a slow one slows it down.
///
/// # Errors
///
/// As [`consume`].
pub fn consume_tee<'r, 'w>(
    reader: impl Into<Fd<'r>>,
    writers: Vec<Fd<'w>>,
    options: &PumpOptions,
) -> Result<Consumed, StreamError> {
    let reader = reader.into();
    let fd = number(&reader);
    let limit = options.limit;
    let options = PumpOptions { drain: true, limit: None, ..options.clone() };
    let mut bytes = Vec::new();
    let report = Pump::new(reader, writers, options)?.tolerant().observed().run(&mut |chunk| {
        if let Some(limit) = limit.filter(|&limit| (bytes.len() + chunk.len()) as u64 > limit) {
            return Err(StreamError::TooLarge { fd, limit });
        }
        bytes.extend_from_slice(chunk);
        Ok(())
    })?;
    let (read_blocked, elapsed, sinks) = (report.read_blocked, report.elapsed, report.sinks);
    Ok(Consumed { bytes, read_blocked, elapsed, sinks })
}

pub(crate) fn open<'r>(reader: Fd<'r>, options: &PumpOptions) -> Result<Inlet<'r>, StreamError> {
    let inlet = Inlet::new(reader).map_err(|(fd, errno)| StreamError::Read {
        fd: number(&fd),
        bytes: 0,
        source: error(errno),
    })?;
    if inlet.nature.kind == Kind::Pipe && options.pipe_size > 0 {
        raise_pipe_size(inlet.as_fd(), options.pipe_size);
    }
    Ok(inlet)
}

/// What is left of a regular file, and one byte more so that the end is seen without growing.
fn size_hint(inlet: &Inlet<'_>, limit: Option<u64>) -> usize {
    if inlet.nature.kind != Kind::File {
        return ROOM;
    }
    let left = || {
        let size = rustix::fs::fstat(inlet).ok()?.st_size;
        let here = rustix::fs::tell(inlet).ok()?;
        u64::try_from(size).ok()?.checked_sub(here)
    };
    // A sparse file may claim any size: beyond this, grow with what is really there.
    let most = limit.unwrap_or(u64::MAX).min(1 << 30);
    left().unwrap_or(0).min(most) as usize + ROOM
}
