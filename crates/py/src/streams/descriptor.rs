//! Descriptor numbers from Python become descriptors of our own.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

use ottava_streams::{Fd, StreamError};

/// A duplicate of the descriptor with this number, close-on-exec.
///
/// Working on a duplicate means that Python code which closes its number while a job runs can neither break the job nor
/// point it at another file.
fn duplicate(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(io::Error::from_raw_os_error(EBADF));
    }
    // SAFETY: the number is not -1, and is borrowed for one system call only, which answers EBADF if it is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    borrowed.try_clone_to_owned()
}

/// "Bad file descriptor", the same on every Unix.
const EBADF: i32 = 9;

/// Duplicates of one reader and its writers.
pub(super) fn duplicates(
    reader: RawFd,
    writers: &[RawFd],
) -> Result<(OwnedFd, Vec<Fd<'static>>), StreamError> {
    let duplicated = duplicate(reader);
    let reader = duplicated.map_err(|source| StreamError::Read { fd: reader, bytes: 0, source })?;
    let writers = writers
        .iter()
        .enumerate()
        .map(|(sink, &fd)| {
            let writer = duplicate(fd);
            writer.map(Fd::from).map_err(|source| StreamError::Write { sink, fd, bytes: 0, source })
        })
        .collect::<Result<_, _>>()?;
    Ok((reader, writers))
}
