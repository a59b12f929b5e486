//! Copying one reader to one writer, or to several, until the end of file.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::cancel::{Cancel, Progress};
use crate::ends::{Inlet, Outlet};
use crate::error::StreamError;
#[cfg(target_os = "linux")]
use crate::fd::raise_pipe_size;
use crate::fd::{Fd, Kind, error, means_gone, number};
use crate::machine::{Event, Machine, Step, Stop};
use crate::report::{Ending, PumpReport, Refusal, SinkReport, Way, Why};
#[cfg(target_os = "linux")]
use crate::splice::{self, Failure};
use crate::wait::Patience;

/// Largest buffer an operation may be asked to use, in bytes.
pub const MAX_BUFFER: usize = 64 << 20;

/// How to pump. The default copies everything, in the fastest way that is safe, and stops when the writer is gone.
#[derive(Debug, Clone)]
pub struct PumpOptions {
    /// Bytes of the buffer used where the kernel cannot move the bytes itself; 1 to [`MAX_BUFFER`], default 256 KiB.
    pub buffer_size: usize,
    /// Capacity in bytes that pipes at either end are raised to; 0 leaves them alone. Default 1 MiB.
    ///
    /// Not an error where the system refuses.
    pub pipe_size: usize,
    /// Reads on to the end when every writer is gone, and drops what it reads. Default: stop, so that closing the reader
    /// tells the producer.
    pub drain: bool,
    /// Stops after this many bytes.
    pub limit: Option<u64>,
    /// Lets the kernel hand out pages of a regular file instead of copies. Faster, but whoever writes to the file next
    /// changes bytes that are still on their way. Default false.
    pub allow_aliasing: bool,
    /// Lets the kernel move the bytes (`splice` and its kin). Default true.
    pub in_kernel: bool,
    /// A switch that stops the pump.
    pub cancel: Option<Cancel>,
    /// Where to count the bytes while the pump runs.
    pub progress: Option<Arc<Progress>>,
}

impl Default for PumpOptions {
    fn default() -> Self {
        Self {
            buffer_size: 256 << 10,
            pipe_size: 1 << 20,
            drain: false,
            limit: None,
            allow_aliasing: false,
            in_kernel: true,
            cancel: None,
            progress: None,
        }
    }
}

impl PumpOptions {
    pub(crate) fn check(&self) -> Result<(), StreamError> {
        check_buffer(self.buffer_size)
    }
}

pub(crate) fn check_buffer(size: usize) -> Result<(), StreamError> {
    if (1..=MAX_BUFFER).contains(&size) {
        return Ok(());
    }
    let (value, max) = (size as u64, MAX_BUFFER as u64);
    Err(StreamError::Option { option: "buffer_size", value, min: 1, max })
}

/// Copies `reader` to `writer` until the end of file, with backpressure.
///
/// Blocks the calling thread; [`PumpOptions::cancel`] stops it from another. A writer whose other end is gone is an
/// [`Ending`](crate::Ending), not an error. Owned descriptors are closed on return, borrowed ones are not, and no flag
/// of either is changed.
///
/// # Errors
///
/// [`StreamError::Read`] and [`StreamError::Write`] with the descriptor and the bytes moved so far,
/// [`StreamError::Cancelled`], [`StreamError::SameFile`], [`StreamError::Option`].
pub fn pump<'r, 'w>(
    reader: impl Into<Fd<'r>>,
    writer: impl Into<Fd<'w>>,
    options: &PumpOptions,
) -> Result<PumpReport, StreamError> {
    Pump::new(reader.into(), vec![writer.into()], options.clone())?.run(&mut |_| Ok(()))
}

/// Copies `reader` to every one of `writers` until the end of file.
///
/// Every writer gets every byte. The slowest one sets the pace. One that is gone or fails is reported in its
/// [`SinkReport`], and the others go on; only when all are gone does the pump stop, as [`pump`] does.
///
/// # Errors
///
/// As [`pump`], except that a writer's failure is an error only if no other writer is left.
pub fn pump_all<'r, 'w>(
    reader: impl Into<Fd<'r>>,
    writers: Vec<Fd<'w>>,
    options: &PumpOptions,
) -> Result<PumpReport, StreamError> {
    Pump::new(reader.into(), writers, options.clone())?.run(&mut |_| Ok(()))
}

/// What [`try_pump`] does at most: so many steps of so many bytes each, and none that is begun later than this, unless it is
/// among the first bytes.
const STEPS: usize = 16;
const STEP: u64 = 1 << 20;
const TRIAL: Duration = Duration::from_millis(1);

/// Starts [`pump_all`], and goes on for as long as it takes neither waiting nor long.
///
/// A short transfer is over then, and needs no thread of its own.
///
/// # Errors
///
/// As [`pump_all`].
pub fn try_pump<'r, 'w>(
    reader: impl Into<Fd<'r>>,
    writers: Vec<Fd<'w>>,
    options: &PumpOptions,
) -> Result<Tried<'r, 'w>, StreamError> {
    let mut pump = Pump::new(reader.into(), writers, options.clone())?;
    pump.step = STEP;
    match pump.drive(&mut |_| Ok(()), Some(STEPS))? {
        Some(stop) => pump.finish(stop).map(Tried::Done),
        None => {
            pump.step = u64::MAX;
            Ok(Tried::Begun(Begun(Box::new(pump))))
        }
    }
}

/// What came of [`try_pump`].
#[derive(Debug)]
pub enum Tried<'r, 'w> {
    /// The pump is over.
    Done(PumpReport),
    /// There is more to do.
    Begun(Begun<'r, 'w>),
}

/// A pump that has begun and will have to wait.
#[derive(Debug)]
pub struct Begun<'r, 'w>(Box<Pump<'r, 'w>>);

impl Begun<'_, '_> {
    /// Runs the pump to its end, with this switch to stop it and this counter to watch it.
    ///
    /// # Errors
    ///
    /// As [`pump_all`].
    pub fn run(
        mut self,
        cancel: Option<Cancel>,
        progress: Option<Arc<Progress>>,
    ) -> Result<PumpReport, StreamError> {
        if let Some(progress) = &progress {
            progress.set(self.0.machine.taken());
        }
        self.0.options.cancel = cancel;
        self.0.options.progress = progress;
        self.0.run(&mut |_| Ok(()))
    }
}

/// What a tap may answer: go on, or stop with this.
pub(crate) type Tapped = Result<(), StreamError>;

/// A pump under way.
#[derive(Debug)]
pub(crate) struct Pump<'r, 'w> {
    options: PumpOptions,
    machine: Machine,
    reader: Inlet<'r>,
    sinks: Vec<Outlet<'w>>,
    reports: Vec<SinkReport>,
    /// A writer that fails is reported like one that is gone.
    tolerant: bool,
    way: Way,
    refused: Vec<Refusal>,
    #[cfg(target_os = "linux")]
    fan: Option<splice::Fan>,
    buffer: Vec<u8>,
    filled: usize,
    /// Bytes that one step may take at most.
    step: u64,
    read_blocked: Duration,
    failure: Option<Errno>,
    started: Instant,
    /// With the reader, and with the writers.
    patience: [Patience; 2],
}

impl<'r, 'w> Pump<'r, 'w> {
    pub(crate) fn new(
        reader: Fd<'r>,
        writers: Vec<Fd<'w>>,
        options: PumpOptions,
    ) -> Result<Self, StreamError> {
        options.check()?;
        let reader = Inlet::new(reader).map_err(|(fd, errno)| StreamError::Read {
            fd: number(&fd),
            bytes: 0,
            source: error(errno),
        })?;
        let mut sinks = Vec::with_capacity(writers.len());
        for (index, fd) in writers.into_iter().enumerate() {
            let sink = Outlet::new(fd).map_err(|(fd, errno)| StreamError::Write {
                sink: index,
                fd: number(&fd),
                bytes: 0,
                source: error(errno),
            })?;
            if same_file(&reader, &sink) {
                let (reader, writer) = (number(&reader), number(&sink));
                return Err(StreamError::SameFile { sink: index, reader, writer });
            }
            sinks.push(sink);
        }
        let mut pump = Self {
            machine: Machine::new(sinks.len(), false, options.drain, options.limit),
            options,
            reader,
            reports: vec![SinkReport::default(); sinks.len()],
            tolerant: sinks.len() > 1,
            sinks,
            way: Way::ReadWrite,
            refused: Vec::new(),
            #[cfg(target_os = "linux")]
            fan: None,
            buffer: Vec::new(),
            filled: 0,
            step: u64::MAX,
            read_blocked: Duration::ZERO,
            failure: None,
            started: Instant::now(),
            patience: Default::default(),
        };
        pump.choose_way();
        Ok(pump)
    }

    #[cfg(target_os = "linux")]
    fn choose_way(&mut self) {
        let options = self.options.clone();
        if !options.in_kernel {
            self.refused.push(Refusal { way: Way::Splice, why: Why::NotWanted });
            return;
        }
        if options.pipe_size > 0 {
            if self.reader.nature.kind == Kind::Pipe {
                raise_pipe_size(self.reader.as_fd(), options.pipe_size);
            }
            for sink in self.sinks.iter().filter(|s| s.nature.kind == Kind::Pipe) {
                raise_pipe_size(sink.as_fd(), options.pipe_size);
            }
        }
        if let [sink] = &self.sinks[..] {
            let (way, refused) = splice::choose(&self.reader, sink, options.allow_aliasing);
            self.refused = refused;
            match way {
                Some(way) if self.refuse_blocking(way) => {}
                Some(way) => {
                    self.way = way;
                    self.machine = Machine::new(1, true, options.drain, options.limit);
                }
                None => {}
            }
        } else if self.reader.nature.kind != Kind::Pipe {
            self.refused.push(Refusal { way: Way::Tee, why: Why::NoPipe });
        } else if !self.sinks.is_empty() {
            match splice::Fan::new(&self.reader, &self.sinks) {
                Ok(fan) => {
                    self.way = Way::Tee;
                    self.fan = Some(fan);
                }
                Err(errno) => self.refuse(Way::Tee, errno),
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn choose_way(&mut self) {
        let why = if self.options.in_kernel { Why::Platform } else { Why::NotWanted };
        self.refused.push(Refusal { way: Way::Splice, why });
    }

    /// A writer that fails is only reported, even if it is the only one.
    pub(crate) fn tolerant(mut self) -> Self {
        self.tolerant = true;
        self
    }

    /// The bytes must pass through our own memory, because somebody wants to see them.
    pub(crate) fn observed(mut self) -> Self {
        #[cfg(target_os = "linux")]
        {
            self.fan = None;
        }
        let sinks = self.sinks.len();
        self.machine = Machine::new(sinks, false, self.options.drain, self.options.limit);
        self.way = Way::ReadWrite;
        self.refused.clear();
        self
    }

    /// Runs to the end. `tap` sees every byte that passes through our own memory.
    pub(crate) fn run(
        mut self,
        tap: &mut dyn FnMut(&[u8]) -> Tapped,
    ) -> Result<PumpReport, StreamError> {
        loop {
            if let Some(stop) = self.drive(tap, None)? {
                return self.finish(stop);
            }
        }
    }

    /// Takes steps until the machine stops, or, where there is a most, until so many are taken or the next would wait.
    fn drive(
        &mut self,
        tap: &mut dyn FnMut(&[u8]) -> Tapped,
        most: Option<usize>,
    ) -> Result<Option<Stop>, StreamError> {
        let cancel = self.options.cancel.clone();
        let mut left = most;
        loop {
            if cancel.as_ref().is_some_and(Cancel::is_cancelled) {
                self.machine.event(Event::Cancelled);
            }
            let event = match self.machine.step() {
                Step::Done(stop) => return Ok(Some(stop)),
                _ if left == Some(0) => return Ok(None),
                _ if most.is_some()
                    && self.machine.taken() >= STEP
                    && self.started.elapsed() > TRIAL =>
                {
                    return Ok(None);
                }
                Step::AwaitReader | Step::AwaitWriters if most.is_some() => return Ok(None),
                Step::Move => self.advance(),
                Step::Fill => self.fill(tap)?,
                Step::Flush(sink) => self.flush(sink),
                Step::Discard => self.discard(tap)?,
                Step::AwaitReader => self.await_reader(cancel.as_ref())?,
                Step::AwaitWriters => self.await_writers(cancel.as_ref())?,
            };
            self.machine.event(event);
            left = left.map(|n| n - 1);
            if let (Event::Bytes(_), Some(progress)) = (event, &self.options.progress) {
                progress.set(self.machine.taken());
            }
        }
    }

    #[cfg(target_os = "linux")]
    fn advance(&mut self) -> Event {
        if self.refuse_blocking(self.way) {
            return Event::Refused;
        }
        match splice::advance(self.way, &self.reader, &self.sinks[0], self.allowance()) {
            // Files of procfs and the like report nothing to `copy_file_range` but can be read.
            Ok(0) if self.way == Way::CopyFileRange && self.machine.taken() == 0 => {
                self.refuse(self.way, Errno::OPNOTSUPP);
                Event::Refused
            }
            Ok(0) => Event::Eof,
            Ok(n) => Event::Bytes(n),
            Err(Errno::AGAIN) => Event::Blocked,
            Err(Errno::INTR) => Event::Interrupted,
            Err(errno) => match splice::failure(self.reader.nature.kind, errno) {
                Failure::Refused => {
                    self.refuse(self.way, errno);
                    Event::Refused
                }
                Failure::Reader => self.read_failed(errno),
                Failure::Gone => self.gone(0, errno),
                Failure::Writer => self.write_failed(0, errno),
            },
        }
    }

    /// Whether a move could block now, and so is refused.
    #[cfg(target_os = "linux")]
    fn refuse_blocking(&mut self, way: Way) -> bool {
        let why = splice::blocks(&self.reader, &self.sinks[0]);
        self.refused.extend(why.map(|why| Refusal { way, why }));
        if why.is_some() {
            self.way = Way::ReadWrite;
        }
        why.is_some()
    }

    /// How many bytes the next step may take.
    fn allowance(&self) -> u64 {
        self.machine.allowance().min(self.step)
    }

    #[cfg(not(target_os = "linux"))]
    fn advance(&mut self) -> Event {
        Event::Refused
    }

    #[cfg(target_os = "linux")]
    fn refuse(&mut self, way: Way, errno: Errno) {
        self.refused.push(Refusal { way, why: Why::Refused(errno.raw_os_error()) });
        self.way = Way::ReadWrite;
    }

    fn fill(&mut self, tap: &mut dyn FnMut(&[u8]) -> Tapped) -> Result<Event, StreamError> {
        #[cfg(target_os = "linux")]
        if let Some(fan) = &mut self.fan {
            let (machine, most) = (&self.machine, self.machine.allowance().min(self.step));
            return Ok(match fan.fill(&self.reader, most, |i| machine.is_open(i)) {
                Ok(0) => Event::Eof,
                Ok(n) => Event::Bytes(n),
                Err(Errno::AGAIN) => Event::Blocked,
                Err(Errno::INTR) => Event::Interrupted,
                Err(errno) => self.read_failed(errno),
            });
        }
        let event = self.read();
        if let Event::Bytes(_) = event {
            tap(&self.buffer[..self.filled])?;
        }
        Ok(event)
    }

    fn discard(&mut self, tap: &mut dyn FnMut(&[u8]) -> Tapped) -> Result<Event, StreamError> {
        let event = self.read();
        if let Event::Bytes(_) = event {
            tap(&self.buffer[..self.filled])?;
        }
        Ok(event)
    }

    /// Reads into the buffer.
    fn read(&mut self) -> Event {
        if self.buffer.is_empty() {
            self.buffer = vec![0; self.options.buffer_size];
        }
        let most = self.allowance().min(self.buffer.len() as u64) as usize;
        match self.reader.read(&mut self.buffer[..most]) {
            Ok(0) => Event::Eof,
            Ok(n) => {
                self.filled = n;
                Event::Bytes(n as u64)
            }
            Err(Errno::AGAIN) => Event::Blocked,
            Err(Errno::INTR) => Event::Interrupted,
            Err(errno) => self.read_failed(errno),
        }
    }

    fn flush(&mut self, index: usize) -> Event {
        let pending = self.machine.pending(index);
        let sink = &mut self.sinks[index];
        #[cfg(target_os = "linux")]
        let flushed = match &mut self.fan {
            Some(fan) => fan.flush(index, sink),
            None => sink
                .write(&self.buffer[self.filled - pending as usize..self.filled])
                .map(|n| n as u64),
        };
        #[cfg(not(target_os = "linux"))]
        let flushed =
            sink.write(&self.buffer[self.filled - pending as usize..self.filled]).map(|n| n as u64);
        match flushed {
            Ok(n) if n > 0 => Event::Bytes(n),
            // Zero is no progress; what POSIX leaves open here must not become a busy loop.
            Ok(_) => self.write_failed(index, Errno::IO),
            Err(Errno::AGAIN) => Event::Blocked,
            Err(Errno::INTR) => Event::Interrupted,
            Err(errno) if means_gone(errno) => self.gone(index, errno),
            Err(errno) => self.write_failed(index, errno),
        }
    }

    fn await_reader(&mut self, cancel: Option<&Cancel>) -> Result<Event, StreamError> {
        let open: Vec<usize> = (0..self.sinks.len()).filter(|&i| self.machine.is_open(i)).collect();
        let mut fds = vec![(self.reader.as_fd(), PollFlags::IN)];
        fds.extend(open.iter().map(|&i| (self.sinks[i].as_fd(), PollFlags::empty())));
        let (result, took) = self.patience[0].wait(&fds, cancel);
        self.read_blocked += took;
        let Some(revents) = polled(result)? else { return Ok(Event::Interrupted) };
        if revents[0].is_empty() {
            // A writer that nobody reads any more is only told by its error flag, and a quiet reader would hide it.
            for (&i, revents) in open.iter().zip(&revents[1..]) {
                if self.sinks[i].is_gone(*revents) {
                    return Ok(self.gone(i, Errno::PIPE));
                }
            }
            if revents[1..].iter().any(|r| !r.is_empty()) {
                // An error flag that is none of ours to judge: wait for the reader alone, or this would spin.
                let (result, took) = crate::wait::readable(&self.reader, cancel);
                self.read_blocked += took;
                return Ok(if result.is_ok() { Event::Ready } else { Event::Interrupted });
            }
            return Ok(Event::Interrupted);
        }
        Ok(Event::Ready)
    }

    fn await_writers(&mut self, cancel: Option<&Cancel>) -> Result<Event, StreamError> {
        let waiting: Vec<usize> =
            (0..self.sinks.len()).filter(|&i| self.machine.waits_for(i)).collect();
        let fds: Vec<_> =
            waiting.iter().map(|&i| (self.sinks[i].as_fd(), PollFlags::OUT)).collect();
        let (result, took) = self.patience[1].wait(&fds, cancel);
        for &i in &waiting {
            self.reports[i].blocked += took;
        }
        let Some(revents) = polled(result)? else { return Ok(Event::Interrupted) };
        Ok(if revents.iter().any(|r| !r.is_empty()) { Event::Ready } else { Event::Interrupted })
    }

    fn gone(&mut self, index: usize, errno: Errno) -> Event {
        self.reports[index].gone = Some(errno.raw_os_error());
        Event::Gone(index)
    }

    fn write_failed(&mut self, index: usize, errno: Errno) -> Event {
        if self.tolerant {
            self.failure.get_or_insert(errno);
            return self.gone(index, errno);
        }
        self.failure = Some(errno);
        Event::WriteFailed(index)
    }

    fn read_failed(&mut self, errno: Errno) -> Event {
        self.failure = Some(errno);
        Event::ReadFailed
    }

    fn finish(mut self, stop: Stop) -> Result<PumpReport, StreamError> {
        let bytes = self.machine.taken();
        let source = error(self.failure.unwrap_or(Errno::IO));
        match stop {
            // Nobody is left, and not everybody merely hung up: that is a failure, not an ending.
            Stop::Ended(Ending::WriterGone) if self.failure.is_some() => {
                let failed = self.reports.iter().position(|r| r.gone.is_some_and(is_failure));
                let i = failed.unwrap_or(0);
                let bytes = self.machine.given(i);
                Err(StreamError::Write { sink: i, fd: number(&self.sinks[i]), bytes, source })
            }
            Stop::Ended(ending) => {
                for (i, report) in self.reports.iter_mut().enumerate() {
                    report.bytes = self.machine.given(i);
                }
                Ok(PumpReport {
                    bytes,
                    discarded: self.machine.discarded(),
                    ending,
                    way: self.way,
                    refused: self.refused,
                    read_blocked: self.read_blocked,
                    elapsed: self.started.elapsed(),
                    sinks: self.reports,
                })
            }
            Stop::Cancelled => Err(StreamError::Cancelled { bytes }),
            Stop::ReadFailed => Err(StreamError::Read { fd: number(&self.reader), bytes, source }),
            Stop::WriteFailed(i) => Err(StreamError::Write {
                sink: i,
                fd: number(&self.sinks[i]),
                bytes: self.machine.given(i),
                source,
            }),
        }
    }
}

/// The answer of a poll; none if a signal came first.
fn polled(result: Result<Vec<PollFlags>, Errno>) -> Result<Option<Vec<PollFlags>>, StreamError> {
    match result {
        Ok(revents) => Ok(Some(revents)),
        Err(Errno::INTR) => Ok(None),
        Err(errno) => Err(StreamError::System { what: "poll", source: error(errno) }),
    }
}

fn is_failure(errno: i32) -> bool {
    !means_gone(Errno::from_raw_os_error(errno))
}

fn same_file(reader: &Inlet<'_>, sink: &Outlet<'_>) -> bool {
    let (a, b) = (reader.nature, sink.nature);
    a.kind == Kind::File && b.kind == Kind::File && a.identity == b.identity
}
