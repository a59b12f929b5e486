//! Sleeping until an end is ready, or until somebody cancels.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::cancel::Cancel;

/// Polls `fds` without a time limit, and the switch beside them. Returns what happened to each, and the time it took;
/// `INTR` if a signal came first.
pub(crate) fn wait(
    fds: &[(BorrowedFd<'_>, PollFlags)],
    cancel: Option<&Cancel>,
) -> (Result<Vec<PollFlags>, Errno>, Duration) {
    let mut polled: Vec<PollFd<'_>> = fds
        .iter()
        .map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags))
        .chain(cancel.map(|c| PollFd::from_borrowed_fd(c.fd(), PollFlags::IN)))
        .collect();
    let start = Instant::now();
    let result = poll(&mut polled, None);
    let took = start.elapsed();
    (result.map(|_| polled.iter().take(fds.len()).map(PollFd::revents).collect()), took)
}

/// Sleeps until `fd` can be read. `INTR` if a signal came first or somebody cancelled.
pub(crate) fn readable(fd: &impl AsFd, cancel: Option<&Cancel>) -> (Result<(), Errno>, Duration) {
    let (result, took) = wait(&[(fd.as_fd(), PollFlags::IN)], cancel);
    (result.map(|_| ()), took)
}
