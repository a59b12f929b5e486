//! Where the writer of a table puts its bytes: each of them once.

use std::io::{self, BufWriter, Write};
use std::os::fd::BorrowedFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use arrow_array::{Array, RecordBatch};
use arrow_buffer::Buffer;
use arrow_data::ArrayData;

use super::memory::{Backing, Memory};

/// Counts, to know the size of a file before room is made for it.
#[derive(Debug, Default)]
pub(super) struct CountingSink {
    pub(super) bytes: usize,
}

impl Write for CountingSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As many bytes are worth a thread that helps to copy them.
const PART: usize = 8 << 20;

/// How many of them a thread takes at a time.
const CHUNK: usize = 1 << 18;

/// The smallest piece that is worth to be copied later.
const PIECE: usize = 1 << 16;

/// How many threads copy at a time: more than a few do not make memory faster.
fn threads() -> usize {
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| thread::available_parallelism().map_or(1, |n| n.get().min(4)))
}

/// Copies into memory that is mapped already; what is large, at the end, with several threads.
#[derive(Debug)]
pub(super) struct MemorySink<'a> {
    memory: &'a Memory,
    at: usize,
    full: bool,
    /// The buffers of the table, by address.
    buffers: Vec<Buffer>,
    later: Vec<(usize, Buffer)>,
}

impl<'a> MemorySink<'a> {
    pub(super) fn new(memory: &'a Memory, batches: &[RecordBatch]) -> Self {
        let mut buffers = Vec::new();
        let bytes: usize = batches.iter().map(RecordBatch::get_array_memory_size).sum();
        if bytes >= 2 * PART && threads() > 1 {
            let columns = batches.iter().flat_map(RecordBatch::columns);
            columns.for_each(|column| collect(&column.to_data(), &mut buffers));
            buffers.sort_unstable_by_key(|buffer| buffer.as_ptr() as usize);
        }
        Self { memory, at: 0, full: false, buffers, later: Vec::new() }
    }

    /// The part of the table's own memory where `bytes` lie, if they do.
    fn own(&self, bytes: &[u8]) -> Option<Buffer> {
        let start = bytes.as_ptr() as usize;
        let behind = self.buffers.partition_point(|buffer| buffer.as_ptr() as usize <= start);
        let buffer = self.buffers.get(behind.checked_sub(1)?)?;
        let offset = start - buffer.as_ptr() as usize;
        let inside = offset.checked_add(bytes.len()).is_some_and(|end| end <= buffer.len());
        inside.then(|| buffer.slice_with_length(offset, bytes.len()))
    }

    /// Copies what was left for later.
    pub(super) fn finish(&mut self) {
        let later = std::mem::take(&mut self.later);
        let bytes: usize = later.iter().map(|(_, piece)| piece.len()).sum();
        let chunks = later.iter().flat_map(|(at, piece)| {
            piece.chunks(CHUNK).enumerate().map(move |(i, chunk)| (at + i * CHUNK, chunk))
        });
        let chunks: Vec<(usize, &[u8])> = chunks.collect();
        let (memory, next) = (self.memory, AtomicUsize::new(0));
        // Each takes the next chunk, so that nobody waits for a helper that is late.
        let copy = || {
            while let Some(&(at, chunk)) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
                memory.write(at, chunk);
            }
        };
        thread::scope(|scope| {
            for _ in 1..threads().min(bytes / PART) {
                let helper = thread::Builder::new().name("ottava-copy".to_owned());
                // Without a thread to help, this one copies all.
                let _ = helper.spawn_scoped(scope, copy);
            }
            copy();
        });
    }

    pub(super) fn bytes(&self) -> usize {
        self.at
    }

    /// Whether something did not fit.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }
}

impl Write for MemorySink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.memory.len() - self.at {
            self.full = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        match self.own(bytes).filter(|piece| piece.len() >= PIECE) {
            Some(piece) => self.later.push((self.at, piece)),
            None => self.memory.write(self.at, bytes),
        }
        self.at += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn collect(data: &ArrayData, buffers: &mut Vec<Buffer>) {
    buffers.extend(data.buffers().iter().chain(data.nulls().map(|nulls| nulls.buffer())).cloned());
    data.child_data().iter().for_each(|child| collect(child, buffers));
}

/// Writes to pages that are not mapped, which spares the kernel to clear them first.
pub(super) struct FileSink<'a> {
    out: BufWriter<Descriptor<'a>>,
    bytes: u64,
}

struct Descriptor<'a>(BorrowedFd<'a>);

impl<'a> FileSink<'a> {
    pub(super) fn new(backing: &'a Backing) -> Self {
        Self { out: BufWriter::with_capacity(1 << 14, Descriptor(backing.fd())), bytes: 0 }
    }

    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.out.flush()?;
        Ok(self.bytes)
    }
}

impl Write for FileSink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Write for Descriptor<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(self.0, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
