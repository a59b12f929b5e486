//! Where the writer of a table puts its bytes: each of them once.

use std::io::{self, BufWriter, Write};
use std::os::fd::BorrowedFd;

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

/// Copies into memory that is mapped already.
#[derive(Debug)]
pub(super) struct MemorySink<'a> {
    memory: &'a Memory,
    at: usize,
    full: bool,
}

impl<'a> MemorySink<'a> {
    pub(super) fn new(memory: &'a Memory) -> Self {
        Self { memory, at: 0, full: false }
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
        self.memory.write(self.at, bytes);
        self.at += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
