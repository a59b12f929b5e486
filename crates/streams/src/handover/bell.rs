//! A wake-up that `poll(2)` can wait for, and that can be silenced again.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A level-triggered wake-up: readable from [`Bell::ring`] to [`Bell::hush`].
#[derive(Debug)]
pub(super) struct Bell {
    read: OwnedFd,
    #[cfg(not(target_os = "linux"))]
    write: OwnedFd,
}

impl Bell {
    #[cfg(target_os = "linux")]
    pub(super) fn new() -> io::Result<Self> {
        use rustix::event::{EventfdFlags, eventfd};
        Ok(Self { read: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)? })
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn new() -> io::Result<Self> {
        use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
        let (read, write) = io::pipe()?;
        let (read, write) = (OwnedFd::from(read), OwnedFd::from(write));
        for end in [&read, &write] {
            fcntl_setfl(end, fcntl_getfl(end)? | OFlags::NONBLOCK)?;
        }
        Ok(Self { read, write })
    }

    pub(super) fn ring(&self) {
        // A full counter or pipe is a ringing bell already.
        #[cfg(target_os = "linux")]
        let _ = rustix::io::write(&self.read, &1u64.to_ne_bytes());
        #[cfg(not(target_os = "linux"))]
        let _ = rustix::io::write(&self.write, &[1]);
    }

    pub(super) fn hush(&self) {
        let mut counter = [0; 8];
        while rustix::io::read(&self.read, &mut counter).is_ok_and(|n| n > 0) {}
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}
