//! The two ends of a transfer: reads and writes that never block, whatever the mode of the descriptor.
//!
//! A blocking descriptor is not switched to non-blocking mode, since whoever shares it would notice, and a non-blocking
//! one is not relied on, since whoever shares it may switch it back. Linux takes the wish not to block with each call
//! (`RWF_NOWAIT`, `MSG_DONTWAIT`); where that is missing, a poll comes first and a write is short enough to fit.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::buffer::Buffer;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::fd::{Direction, Fd, Kind, Nature};

/// What a pipe takes for sure once `poll` calls it writable: `PIPE_BUF` on Linux, the least that POSIX allows elsewhere.
const ATOMIC: usize = if cfg!(target_os = "linux") { 4096 } else { 512 };

/// What is written in one call to a blocking terminal that could not be opened anew.
const TERMINAL: usize = 256;

/// How to send to a socket: without waiting, and without SIGPIPE if nobody listens any more.
#[cfg(not(target_vendor = "apple"))]
const SEND: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// Apple's systems have no such flag for one call; the signal is ignored, see the crate's documentation.
#[cfg(target_vendor = "apple")]
const SEND: SendFlags = SendFlags::DONTWAIT;

/// The end that bytes come from.
#[derive(Debug)]
pub(crate) struct Inlet<'a> {
    fd: Fd<'a>,
    /// The same pipe, opened anew in non-blocking mode, where [`Inlet::reopen`] could do that.
    reopened: Option<OwnedFd>,
    pub(crate) nature: Nature,
    /// Only Linux takes the wish not to block with each call.
    #[cfg(target_os = "linux")]
    nowait: bool,
}

impl<'a> Inlet<'a> {
    pub(crate) fn new(fd: Fd<'a>) -> Result<Self, (Fd<'a>, Errno)> {
        match Nature::of(fd.as_fd(), Direction::Read) {
            Ok(nature) => Ok(Self {
                fd,
                reopened: None,
                nature,
                #[cfg(target_os = "linux")]
                nowait: nature.kind == Kind::Pipe,
            }),
            Err(errno) => Err((fd, errno)),
        }
    }

    /// Opens a pipe anew for [`Inlet::read_uninit`], which knows no flag against blocking.
    ///
    /// The original remains the one to poll: the new one does not hang up if all writers are gone by now.
    pub(crate) fn reopen(&mut self) {
        if self.nature.kind == Kind::Pipe {
            self.reopened = reopen(self.fd.as_fd(), OFlags::RDONLY);
        }
    }

    /// Reads into `buffer`; `AGAIN` if there is nothing yet, 0 at the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        if self.nature.kind == Kind::Socket {
            return Ok(recv(&self.fd, buffer, RecvFlags::DONTWAIT)?.1);
        }
        if self.nature.kind == Kind::File {
            return rustix::io::read(&self.fd, buffer);
        }
        #[cfg(target_os = "linux")]
        if self.nowait {
            match read_nowait(self.fd.as_fd(), buffer) {
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => self.nowait = false,
                result => return result,
            }
        }
        if !is_ready(self.fd.as_fd(), PollFlags::IN)? {
            return Err(Errno::AGAIN);
        }
        self.hangup(rustix::io::read(&self.fd, buffer))
    }

    /// Reads into memory that need not be initialized, as [`Inlet::read`] does.
    pub(crate) fn read_uninit<B: Buffer<u8>>(&mut self, buffer: B) -> Result<B::Output, Errno> {
        if self.nature.kind == Kind::Socket {
            return Ok(recv(&self.fd, buffer, RecvFlags::DONTWAIT)?.0);
        }
        if let Some(fd) = &self.reopened {
            return rustix::io::read(fd, buffer);
        }
        if self.nature.kind != Kind::File && !is_ready(self.fd.as_fd(), PollFlags::IN)? {
            return Err(Errno::AGAIN);
        }
        rustix::io::read(&self.fd, buffer)
    }

    /// Whether an error of [`Inlet::read_uninit`] is the end of file.
    pub(crate) fn is_end(&self, errno: Errno) -> bool {
        errno == Errno::IO && self.nature.kind == Kind::Terminal
    }

    /// The master of a terminal whose last user is gone reports EIO, which is its end of file.
    fn hangup(&self, result: Result<usize, Errno>) -> Result<usize, Errno> {
        match result {
            Err(errno) if self.is_end(errno) => Ok(0),
            result => result,
        }
    }
}

impl AsFd for Inlet<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The end that bytes go to.
#[derive(Debug)]
pub(crate) struct Outlet<'a> {
    fd: Fd<'a>,
    /// The same pipe or terminal, opened anew in non-blocking mode, where that was needed and possible.
    reopened: Option<OwnedFd>,
    pub(crate) nature: Nature,
    /// Only Linux takes the wish not to block with each call.
    #[cfg(target_os = "linux")]
    nowait: bool,
}

impl<'a> Outlet<'a> {
    pub(crate) fn new(fd: Fd<'a>) -> Result<Self, (Fd<'a>, Errno)> {
        match Nature::of(fd.as_fd(), Direction::Write) {
            Ok(nature) => {
                // A stopped terminal would hold a blocking write for as long as it likes. Its master cannot be
                // opened twice.
                let reopened = (nature.kind == Kind::Terminal && !nature.multiplexer)
                    .then(|| reopen(fd.as_fd(), OFlags::WRONLY))
                    .flatten();
                Ok(Self {
                    fd,
                    reopened,
                    nature,
                    #[cfg(target_os = "linux")]
                    nowait: nature.kind == Kind::Pipe,
                })
            }
            Err(errno) => Err((fd, errno)),
        }
    }

    /// Writes some of `bytes`; `AGAIN` if none can be taken now.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        if self.nature.kind == Kind::Socket {
            return send(&self.fd, bytes, SEND);
        }
        if let Some(fd) = &self.reopened {
            return rustix::io::write(fd, bytes);
        }
        if self.nature.kind == Kind::File {
            return rustix::io::write(&self.fd, bytes);
        }
        #[cfg(target_os = "linux")]
        if self.nowait {
            match write_nowait(self.fd.as_fd(), bytes) {
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                    self.nowait = false;
                    self.reopened = reopen(self.fd.as_fd(), OFlags::WRONLY);
                    return self.write(bytes);
                }
                result => return result,
            }
        }
        if !is_ready(self.fd.as_fd(), PollFlags::OUT)? {
            return Err(Errno::AGAIN);
        }
        let most = match self.nature.kind {
            Kind::Pipe => ATOMIC,
            Kind::Terminal => TERMINAL,
            _ => bytes.len(),
        };
        rustix::io::write(&self.fd, &bytes[..bytes.len().min(most)])
    }

    /// Whether the poll result `revents` means that this end will never take another byte.
    pub(crate) fn is_gone(&self, revents: PollFlags) -> bool {
        match self.nature.kind {
            Kind::Pipe => revents.contains(PollFlags::ERR),
            Kind::Socket => revents.contains(PollFlags::HUP),
            _ => false,
        }
    }
}

impl AsFd for Outlet<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Polls without waiting. A hang-up or an error counts as ready: the call that follows tells which.
fn is_ready(fd: BorrowedFd<'_>, want: PollFlags) -> Result<bool, Errno> {
    let mut fds = [PollFd::from_borrowed_fd(fd, want)];
    Ok(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? > 0)
}

#[cfg(target_os = "linux")]
fn read_nowait(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    use rustix::io::{IoSliceMut, ReadWriteFlags, preadv2};
    preadv2(fd, &mut [IoSliceMut::new(buffer)], u64::MAX, ReadWriteFlags::NOWAIT)
}

#[cfg(target_os = "linux")]
fn write_nowait(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    use rustix::io::{IoSlice, ReadWriteFlags, pwritev2};
    pwritev2(fd, &[IoSlice::new(bytes)], u64::MAX, ReadWriteFlags::NOWAIT)
}

/// Opens the pipe or terminal behind `fd` once more, as a description of our own that may be non-blocking.
#[cfg(target_os = "linux")]
fn reopen(fd: BorrowedFd<'_>, direction: OFlags) -> Option<OwnedFd> {
    use std::os::fd::AsRawFd;

    use rustix::fs::{Mode, open};

    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = direction | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    open(path, flags, Mode::empty()).ok()
}

/// Elsewhere there is no way to the same open pipe.
#[cfg(not(target_os = "linux"))]
fn reopen(_fd: BorrowedFd<'_>, _direction: OFlags) -> Option<OwnedFd> {
    None
}
