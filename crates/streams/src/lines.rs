//! Lines, in batches.

use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use memchr::{memchr, memchr_iter, memchr2_iter};
use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::consume::open;
use crate::ends::Inlet;
use crate::error::StreamError;
use crate::fd::{Fd, error, number};
use crate::pump::{Pump, PumpOptions};
use crate::report::SinkReport;
use crate::wait::readable;

/// Default of [`LineOptions::max_line`], in bytes.
pub const MAX_LINE: usize = 64 << 20;

/// Most bytes to read at once where they are only looked at: a buffer that stays in the nearest cache beats fewer calls.
const NEAR: usize = 64 << 10;

/// How to read lines.
#[derive(Debug, Clone)]
pub struct LineOptions {
    /// Buffer, pipes, cancellation and progress; `drain` and `limit` have no meaning here.
    pub pump: PumpOptions,
    /// Longest line that is accepted, in bytes without its ending. Default [`MAX_LINE`].
    pub max_line: usize,
}

impl Default for LineOptions {
    fn default() -> Self {
        Self { pump: PumpOptions::default(), max_line: MAX_LINE }
    }
}

/// Complete lines that arrived together.
#[derive(Debug)]
pub struct LineBatch<'a> {
    /// Zero-based number of the first line.
    pub first: u64,
    buffer: &'a mut LineBuffer,
}

impl LineBatch<'_> {
    /// The bytes that the spans refer to, line endings included.
    pub fn data(&self) -> &[u8] {
        self.buffer.data()
    }

    /// Start and end of each line in the data, without its ending.
    pub fn spans(&self) -> &[(usize, usize)] {
        self.buffer.spans()
    }

    /// The lines, without their endings.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.buffer.iter()
    }

    /// Takes the buffer that holds the batch, for no more than the bytes of the unfinished line behind it, which go to
    /// `next`. That is the buffer that is read into from now on: an empty one, or one that was taken before.
    pub fn take(self, mut next: LineBuffer) -> LineBuffer {
        next.start_with(&self.buffer.bytes[self.buffer.end..self.buffer.filled]);
        std::mem::replace(self.buffer, next)
    }
}

/// Lines in memory of their own.
#[derive(Debug, Default)]
pub struct LineBuffer {
    /// Lines up to `end`, an unfinished one up to `filled`, then room.
    bytes: Vec<u8>,
    end: usize,
    filled: usize,
    spans: Vec<(usize, usize)>,
}

impl LineBuffer {
    /// The bytes that the spans refer to, line endings included.
    pub fn data(&self) -> &[u8] {
        &self.bytes[..self.end]
    }

    /// Start and end of each line in the data, without its ending.
    pub fn spans(&self) -> &[(usize, usize)] {
        &self.spans
    }

    /// The lines, without their endings.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.spans.iter().map(|&(start, end)| &self.bytes[start..end])
    }

    /// Forgets all lines and begins with this unfinished one.
    fn start_with(&mut self, line: &[u8]) {
        if self.bytes.len() < line.len() {
            self.bytes.resize(line.len(), 0);
        }
        self.bytes[..line.len()].copy_from_slice(line);
        (self.end, self.filled) = (0, line.len());
    }

    /// Forgets all lines but the unfinished one.
    fn forget_lines(&mut self) {
        self.bytes.copy_within(self.end..self.filled, 0);
        self.filled -= self.end;
        self.end = 0;
    }
}

/// Who receives the lines. Any `FnMut(LineBatch) -> ControlFlow<()>` is one.
pub trait LineSink {
    /// Takes a batch of at least one line; `Break` ends the reading without an error.
    fn batch(&mut self, batch: LineBatch<'_>) -> ControlFlow<()>;
}

impl<F: FnMut(LineBatch<'_>) -> ControlFlow<()>> LineSink for F {
    fn batch(&mut self, batch: LineBatch<'_>) -> ControlFlow<()> {
        self(batch)
    }
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinesReport {
    /// Lines given to the sink.
    pub lines: u64,
    /// Bytes taken from the reader, line endings included.
    pub bytes: u64,
    /// Time spent waiting for the reader.
    pub read_blocked: Duration,
    /// Wall time of the whole operation.
    pub elapsed: Duration,
    /// One report per writer of the tee, in the order they were given.
    pub sinks: Vec<SinkReport>,
}

/// Splits `reader` into lines until its end.
///
/// A line ends with LF, CRLF or a lone CR, as in Python's universal newlines; an ending that is split between two reads
/// is one ending; the last line needs none. A line is passed on as soon as its ending was read. Time is linear in the
/// bytes, also for one very long line.
///
/// # Errors
///
/// [`StreamError::LineTooLong`] after all lines before it were passed on, and those of [`pump`](crate::pump()).
pub fn lines<'r>(
    reader: impl Into<Fd<'r>>,
    options: &LineOptions,
    sink: &mut impl LineSink,
) -> Result<LinesReport, StreamError> {
    options.pump.check()?;
    let started = Instant::now();
    let mut inlet = open(reader.into(), &options.pump)?;
    let mut splitter = Splitter::new(number(&inlet), options);
    let cancel = options.pump.cancel.as_ref();
    let mut read_blocked = Duration::ZERO;
    loop {
        if cancel.is_some_and(Cancel::is_cancelled) {
            return Err(StreamError::Cancelled { bytes: splitter.bytes });
        }
        match inlet.read(splitter.room()) {
            Ok(0) => {
                splitter.finish(sink);
                break;
            }
            Ok(n) => {
                if splitter.advance(n, sink)?.is_break() {
                    break;
                }
                if let Some(progress) = &options.pump.progress {
                    progress.set(splitter.bytes);
                }
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => read_blocked += wait(&inlet, cancel)?,
            Err(errno) => {
                let (fd, bytes) = (number(&inlet), splitter.bytes);
                return Err(StreamError::Read { fd, bytes, source: error(errno) });
            }
        }
    }
    let (lines, bytes) = (splitter.first, splitter.bytes);
    Ok(LinesReport { lines, bytes, read_blocked, elapsed: started.elapsed(), sinks: Vec::new() })
}

/// Splits `reader` into lines, and gives every byte to `writers` too.
///
/// A writer that is gone or fails is reported and the reading goes on; a slow one slows it down. When the sink breaks,
/// the bytes it has seen have reached the writers, or are lost to them if they were blocked.
///
/// # Errors
///
/// As [`lines`].
pub fn lines_tee<'r, 'w>(
    reader: impl Into<Fd<'r>>,
    writers: Vec<Fd<'w>>,
    options: &LineOptions,
    sink: &mut impl LineSink,
) -> Result<LinesReport, StreamError> {
    let reader = reader.into();
    let mut splitter = Splitter::new(number(&reader), options);
    let pump = PumpOptions { drain: true, limit: None, ..options.pump.clone() };
    let mut stopped = false;
    let report = Pump::new(reader, writers, pump)?.tolerant().observed().run(&mut |chunk| {
        let mut rest = chunk;
        while !rest.is_empty() && !stopped {
            let room = splitter.room();
            let n = room.len().min(rest.len());
            room[..n].copy_from_slice(&rest[..n]);
            rest = &rest[n..];
            stopped = splitter.advance(n, sink)?.is_break();
        }
        Ok(())
    })?;
    if !stopped {
        splitter.finish(sink);
    }
    Ok(LinesReport {
        lines: splitter.first,
        bytes: report.bytes,
        read_blocked: report.read_blocked,
        elapsed: report.elapsed,
        sinks: report.sinks,
    })
}

/// Counts the lines of `reader`, as [`lines`] would split them, without looking at each.
///
/// # Errors
///
/// Those of [`pump`](crate::pump()).
pub fn count_lines<'r>(
    reader: impl Into<Fd<'r>>,
    options: &PumpOptions,
) -> Result<LinesReport, StreamError> {
    options.check()?;
    let started = Instant::now();
    let mut inlet = open(reader.into(), options)?;
    let mut buffer = vec![0; options.buffer_size.min(NEAR)];
    let mut report = LinesReport::default();
    let mut last = b'\n';
    loop {
        if options.cancel.as_ref().is_some_and(Cancel::is_cancelled) {
            return Err(StreamError::Cancelled { bytes: report.bytes });
        }
        match inlet.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                let chunk = &buffer[..n];
                report.bytes += n as u64;
                report.lines += endings(chunk, last);
                last = chunk[n - 1];
                if let Some(progress) = &options.progress {
                    progress.set(report.bytes);
                }
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => report.read_blocked += wait(&inlet, options.cancel.as_ref())?,
            Err(errno) => {
                let (fd, bytes) = (number(&inlet), report.bytes);
                return Err(StreamError::Read { fd, bytes, source: error(errno) });
            }
        }
    }
    report.lines += u64::from(last != b'\n' && last != b'\r');
    report.elapsed = started.elapsed();
    Ok(report)
}

/// Line endings in `chunk`, where the byte before it was `last`.
fn endings(chunk: &[u8], last: u8) -> u64 {
    if memchr(b'\r', chunk).is_none() {
        let split = last == b'\r' && chunk.first() == Some(&b'\n');
        return (memchr_iter(b'\n', chunk).count() - usize::from(split)) as u64;
    }
    let mut before = last;
    let mut count = 0;
    for &byte in chunk {
        count += u64::from(byte == b'\r' || (byte == b'\n' && before != b'\r'));
        before = byte;
    }
    count
}

fn wait(inlet: &Inlet<'_>, cancel: Option<&Cancel>) -> Result<Duration, StreamError> {
    let (result, took) = readable(&inlet.as_fd(), cancel);
    match result {
        Ok(()) | Err(Errno::INTR) => Ok(took),
        Err(errno) => Err(StreamError::System { what: "poll", source: error(errno) }),
    }
}

/// Bytes in, spans of lines out. Looks at every byte once.
#[derive(Debug)]
struct Splitter {
    fd: i32,
    max_line: usize,
    chunk: usize,
    buffer: LineBuffer,
    /// The last byte was a CR that ended a line; a LF right after it belongs to it.
    after_cr: bool,
    first: u64,
    bytes: u64,
}

impl Splitter {
    fn new(fd: i32, options: &LineOptions) -> Self {
        Self {
            fd,
            max_line: options.max_line,
            chunk: options.pump.buffer_size,
            buffer: LineBuffer::default(),
            after_cr: false,
            first: 0,
            bytes: 0,
        }
    }

    /// Where the next bytes go.
    fn room(&mut self) -> &mut [u8] {
        let LineBuffer { bytes, filled, .. } = &mut self.buffer;
        if bytes.len() - *filled < self.chunk.min(4096) {
            let more = bytes.len().max(self.chunk);
            bytes.resize(bytes.len() + more, 0);
        }
        &mut bytes[*filled..]
    }

    /// Takes `n` bytes that were put into [`Splitter::room`], and passes on the lines they complete.
    fn advance(
        &mut self,
        n: usize,
        sink: &mut impl LineSink,
    ) -> Result<ControlFlow<()>, StreamError> {
        let scanned = self.buffer.filled;
        self.buffer.filled += n;
        self.bytes += n as u64;
        self.scan(scanned);
        let LineBuffer { spans, end, filled, .. } = &mut self.buffer;
        let unfinished = *filled - *end;
        // None is longer than all there is.
        let long = (*filled > self.max_line)
            .then(|| spans.iter().position(|&(start, end)| end - start > self.max_line))
            .flatten();
        if let Some(long) = long {
            spans.truncate(long);
        }
        if !spans.is_empty() {
            let batch = LineBatch { first: self.first, buffer: &mut self.buffer };
            self.first += batch.spans().len() as u64;
            if sink.batch(batch).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        if long.is_some() || unfinished > self.max_line {
            let (fd, line, limit) = (self.fd, self.first, self.max_line);
            return Err(StreamError::LineTooLong { fd, line, limit });
        }
        self.buffer.forget_lines();
        Ok(ControlFlow::Continue(()))
    }

    /// Finds the lines that end in `scanned` up to what is filled.
    fn scan(&mut self, scanned: usize) {
        let LineBuffer { bytes, end: last, filled, spans } = &mut self.buffer;
        spans.clear();
        let fresh = &bytes[scanned..*filled];
        let mut start = 0;
        if std::mem::take(&mut self.after_cr) && fresh[0] == b'\n' {
            // The line ended with the CR before, so nothing is unfinished and `scanned` is 0.
            start = 1;
        }
        let skip = start;
        if memchr(b'\r', fresh).is_none() {
            for at in memchr_iter(b'\n', &fresh[skip..]) {
                let end = scanned + skip + at;
                spans.push((start, end));
                start = end + 1;
            }
            *last = start;
            return;
        }
        for at in memchr2_iter(b'\n', b'\r', &fresh[skip..]) {
            let end = scanned + skip + at;
            if bytes[end] == b'\n' && end == start && self.after_cr {
                start = end + 1;
            } else {
                spans.push((start, end));
                start = end + 1;
            }
            self.after_cr = bytes[end] == b'\r';
        }
        self.after_cr = bytes[*filled - 1] == b'\r';
        *last = start;
    }

    /// The reader is at its end: what is left is the last line.
    fn finish(&mut self, sink: &mut impl LineSink) {
        let filled = self.buffer.filled;
        if filled == 0 {
            return;
        }
        self.buffer.end = filled;
        self.buffer.spans.clear();
        self.buffer.spans.push((0, filled));
        let batch = LineBatch { first: self.first, buffer: &mut self.buffer };
        self.first += 1;
        let _ = sink.batch(batch);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The oracle: one byte at a time.
    fn naive(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        let mut line = Vec::new();
        let mut i = 0;
        while i < bytes.len() {
            match bytes[i] {
                b'\r' | b'\n' => {
                    if bytes[i] == b'\r' && bytes.get(i + 1) == Some(&b'\n') {
                        i += 1;
                    }
                    lines.push(std::mem::take(&mut line));
                }
                byte => line.push(byte),
            }
            i += 1;
        }
        if !line.is_empty() {
            lines.push(line);
        }
        lines
    }

    fn pass(chunks: &[&[u8]], buffer_size: usize, sink: &mut impl LineSink) {
        let pump = PumpOptions { buffer_size, ..PumpOptions::default() };
        let mut splitter = Splitter::new(0, &LineOptions { pump, max_line: MAX_LINE });
        for mut chunk in chunks.iter().copied() {
            while !chunk.is_empty() {
                let room = splitter.room();
                let n = room.len().min(chunk.len());
                room[..n].copy_from_slice(&chunk[..n]);
                chunk = &chunk[n..];
                let _ = splitter.advance(n, sink).unwrap();
            }
        }
        splitter.finish(sink);
    }

    fn split(chunks: &[&[u8]], buffer_size: usize) -> Vec<Vec<u8>> {
        let mut got = Vec::new();
        pass(chunks, buffer_size, &mut |batch: LineBatch<'_>| {
            assert_eq!(batch.first, got.len() as u64);
            got.extend(batch.iter().map(<[u8]>::to_vec));
            ControlFlow::Continue(())
        });
        got
    }

    /// As `split`, by a sink that takes the buffers, and gives back those that it has looked at.
    fn taken(chunks: &[&[u8]], buffer_size: usize) -> Vec<Vec<u8>> {
        let (mut got, mut used) = (Vec::new(), Vec::new());
        pass(chunks, buffer_size, &mut |batch: LineBatch<'_>| {
            let next = if used.len() > 2 { used.remove(0) } else { LineBuffer::default() };
            let buffer = batch.take(next);
            got.extend(buffer.iter().map(<[u8]>::to_vec));
            used.push(buffer);
            ControlFlow::Continue(())
        });
        got
    }

    #[test]
    fn every_text_of_six_bytes_in_two_chunks() {
        let alphabet = [b'a', b'\r', b'\n'];
        for len in 0..=6u32 {
            for code in 0..3usize.pow(len) {
                let text: Vec<u8> = (0..len).map(|i| alphabet[code / 3usize.pow(i) % 3]).collect();
                for at in 0..=text.len() {
                    let (head, tail) = text.split_at(at);
                    assert_eq!(split(&[head, tail], 64), naive(&text), "{text:?} at {at}");
                    let mid = endings(head, b'\n') + endings(tail, *head.last().unwrap_or(&b'\n'));
                    let open = text.last().is_some_and(|&b| b == b'a');
                    assert_eq!(
                        mid + u64::from(open),
                        naive(&text).len() as u64,
                        "{text:?} at {at}"
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_chunks_split_like_the_oracle(
            text in prop::collection::vec(prop::sample::select(b"ab\r\n\xff".to_vec()), 0..300),
            cuts in prop::collection::vec(0usize..300, 0..8),
            buffer_size in 1usize..70,
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|w| &text[w[0]..w[1]]).collect();
            prop_assert_eq!(split(&chunks, buffer_size), naive(&text));
            prop_assert_eq!(taken(&chunks, buffer_size), naive(&text));
        }
    }
}
