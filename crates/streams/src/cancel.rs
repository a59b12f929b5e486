//! Stopping an operation from another thread, and watching how far it is.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::StreamError;

/// A switch that stops any operation it was given to, also one that waits in the kernel.
///
/// Closing a descriptor does not wake a thread that is blocked on it; this does. Clones share one switch, and a switch
/// that was thrown stays thrown.
#[derive(Debug, Clone)]
pub struct Cancel {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    thrown: AtomicBool,
    signal: Signal,
}

impl Cancel {
    /// A new switch, not thrown. Costs one descriptor on Linux (an eventfd), two elsewhere (a pipe).
    ///
    /// # Errors
    ///
    /// [`StreamError::System`] if the process has no descriptor left.
    pub fn new() -> Result<Self, StreamError> {
        let signal = Signal::new()
            .map_err(|source| StreamError::System { what: "make a cancel switch", source })?;
        Ok(Self { shared: Arc::new(Shared { thrown: AtomicBool::new(false), signal }) })
    }

    /// Throws the switch. Returns at once; the operation ends with [`StreamError::Cancelled`] as soon as it looks.
    pub fn cancel(&self) {
        if !self.shared.thrown.swap(true, Ordering::AcqRel) {
            self.shared.signal.raise();
        }
    }

    /// Whether the switch was thrown.
    pub fn is_cancelled(&self) -> bool {
        self.shared.thrown.load(Ordering::Acquire)
    }

    /// A descriptor that is readable once the switch was thrown.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.shared.signal.fd()
    }
}

/// A wake-up that `poll(2)` can wait for.
#[derive(Debug)]
pub struct Signal {
    read: OwnedFd,
    #[cfg(not(target_os = "linux"))]
    write: OwnedFd,
}

impl Signal {
    /// A signal that has not been raised.
    ///
    /// # Errors
    ///
    /// What the system says if the process has no descriptor left.
    #[cfg(target_os = "linux")]
    pub fn new() -> io::Result<Self> {
        use rustix::event::{EventfdFlags, eventfd};
        Ok(Self { read: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)? })
    }

    /// A signal that has not been raised.
    ///
    /// # Errors
    ///
    /// What the system says if the process has no descriptor left.
    #[cfg(not(target_os = "linux"))]
    pub fn new() -> io::Result<Self> {
        let (read, write) = io::pipe()?;
        let signal = Self { read: read.into(), write: write.into() };
        rustix::io::ioctl_fionbio(&signal.read, true)?;
        rustix::io::ioctl_fionbio(&signal.write, true)?;
        Ok(signal)
    }

    /// Makes [`Signal::fd`] readable until [`Signal::clear`].
    pub fn raise(&self) {
        // Neither write can fail in a way that matters: the counter or the pipe already holds a signal then.
        #[cfg(target_os = "linux")]
        let _ = rustix::io::write(&self.read, &1u64.to_ne_bytes());
        #[cfg(not(target_os = "linux"))]
        let _ = rustix::io::write(&self.write, &[1]);
    }

    /// Makes [`Signal::fd`] unreadable until the next [`Signal::raise`].
    pub fn clear(&self) {
        let mut sink = [0u8; 64];
        while rustix::io::read(&self.read, &mut sink).is_ok_and(|n| n == sink.len()) {}
    }

    /// Sleeps until the signal is raised, `timeout` is over or the process gets a signal; whether it is raised.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let mut fds = [PollFd::new(&self.read, PollFlags::IN)];
        let timeout = timeout.and_then(|t| Timespec::try_from(t).ok());
        poll(&mut fds, timeout.as_ref()).is_ok_and(|n| n > 0)
    }

    /// The descriptor to poll for readability.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

/// A count of bytes that another thread may read while an operation runs.
#[derive(Debug, Default)]
pub struct Progress {
    bytes: AtomicU64,
}

impl Progress {
    /// Bytes taken from the reader so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// A count that starts at `bytes`.
    pub fn of(bytes: u64) -> Self {
        Self { bytes: AtomicU64::new(bytes) }
    }

    pub(crate) fn set(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }
}
