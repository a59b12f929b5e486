//! Whose descriptor it is, and what kind.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

/// A descriptor given to an operation: handed over, or lent.
///
/// An owned descriptor is closed as soon as the operation is over, whatever its outcome; a borrowed one never is.
/// Neither has its flags changed: blocking mode belongs to the open file description, which a child may share.
#[derive(Debug)]
pub enum Fd<'a> {
    /// Handed over.
    Owned(OwnedFd),
    /// Lent for the time of the operation.
    Borrowed(BorrowedFd<'a>),
}

impl AsFd for Fd<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Owned(fd) => fd.as_fd(),
            Self::Borrowed(fd) => *fd,
        }
    }
}

impl From<OwnedFd> for Fd<'_> {
    fn from(fd: OwnedFd) -> Self {
        Self::Owned(fd)
    }
}

impl<'a> From<BorrowedFd<'a>> for Fd<'a> {
    fn from(fd: BorrowedFd<'a>) -> Self {
        Self::Borrowed(fd)
    }
}

impl<'a, T: AsFd> From<&'a T> for Fd<'a> {
    fn from(fd: &'a T) -> Self {
        Self::Borrowed(fd.as_fd())
    }
}

/// What a descriptor refers to, as far as reading and writing differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Pipe,
    Socket,
    /// A regular file or a block device: never polled, never blocks for long.
    File,
    Terminal,
    /// Anything else that can be polled: character devices, eventfds, inotify.
    Device,
}

/// What is known of a descriptor before the first byte.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nature {
    pub(crate) kind: Kind,
    #[cfg(target_os = "linux")]
    pub(crate) append: bool,
    /// The master side of a terminal, which makes a new terminal each time it is opened.
    pub(crate) multiplexer: bool,
    /// Device and inode.
    pub(crate) identity: (u64, u64),
}

/// The direction in which a descriptor will be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

impl Nature {
    /// Looks at `fd`.
    ///
    /// `EBADF` if it cannot be used in this direction: `poll(2)` would wait forever on the wrong end of a pipe.
    pub(crate) fn of(fd: BorrowedFd<'_>, direction: Direction) -> Result<Self, Errno> {
        let flags = rustix::fs::fcntl_getfl(fd)?;
        let unusable = match direction {
            Direction::Read => OFlags::WRONLY,
            Direction::Write => OFlags::RDONLY,
        };
        if flags & OFlags::RWMODE == unusable {
            return Err(Errno::BADF);
        }
        let stat = rustix::fs::fstat(fd)?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Fifo => Kind::Pipe,
            FileType::Socket => Kind::Socket,
            FileType::RegularFile | FileType::BlockDevice => Kind::File,
            FileType::Directory => return Err(Errno::ISDIR),
            _ if rustix::termios::isatty(fd) => Kind::Terminal,
            _ => Kind::Device,
        };
        Ok(Self {
            kind,
            #[cfg(target_os = "linux")]
            append: flags.contains(OFlags::APPEND),
            multiplexer: rustix::fs::major(stat.st_rdev) == 5
                && rustix::fs::minor(stat.st_rdev) == 2,
            identity: (stat.st_dev as u64, stat.st_ino as u64),
        })
    }
}

/// Whether `fd` is in blocking mode now. Whoever shares the open file description may change it at any time.
#[cfg(target_os = "linux")]
pub(crate) fn is_blocking(fd: &impl AsFd) -> bool {
    rustix::fs::fcntl_getfl(fd).is_ok_and(|flags| !flags.contains(OFlags::NONBLOCK))
}

/// Whether a write that failed with this means that the other end is gone, rather than that the data cannot be stored.
pub(crate) fn means_gone(errno: Errno) -> bool {
    matches!(errno, Errno::PIPE | Errno::CONNRESET | Errno::SHUTDOWN)
}

/// Raises the capacity of a pipe to `size` bytes, if it is smaller and the system lets us. Never an error: `EPERM` (the
/// user's pages are used up) and `EBUSY` only leave the pipe as it is.
#[cfg(target_os = "linux")]
pub(crate) fn raise_pipe_size(fd: BorrowedFd<'_>, size: usize) {
    if rustix::pipe::fcntl_getpipe_size(fd).is_ok_and(|now| now < size) {
        let _ = rustix::pipe::fcntl_setpipe_size(fd, size);
    }
}

/// Elsewhere pipes size themselves.
#[cfg(not(target_os = "linux"))]
pub(crate) fn raise_pipe_size(_fd: BorrowedFd<'_>, _size: usize) {}

/// The number of a descriptor, for messages.
pub(crate) fn number(fd: &impl AsFd) -> i32 {
    fd.as_fd().as_raw_fd()
}

pub(crate) fn error(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.raw_os_error())
}
