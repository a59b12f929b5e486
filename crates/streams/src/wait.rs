//! Waiting until an end is ready, or until somebody cancels.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::cancel::Cancel;

/// How long a wait is short, and is spent awake at most.
const SHORT: Duration = Duration::from_micros(100);

/// How many waits are slept through after one that was spent awake in vain.
const REST: u8 = 16;

/// Whether to wait awake, giving way to others, or asleep.
///
/// Between two quick neighbors a wait is over sooner than a processor that has gone to sleep is woken, and who is woken for each
/// page that comes moves a page at a time. So the next wait is spent awake where the last was short; where waits are long, none
/// is.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    short: bool,
    rest: u8,
}

impl Patience {
    fn is_awake(&self) -> bool {
        self.short && self.rest == 0
    }

    /// Notes how long a wait took in all.
    fn note(&mut self, took: Duration) {
        if !self.is_awake() {
            self.rest = self.rest.saturating_sub(1);
            self.short = took <= SHORT;
        } else if took > SHORT {
            self.rest = REST;
        }
    }

    /// As [`wait`], awake for a while if that is worth it.
    pub(crate) fn wait(
        &mut self,
        fds: &[(BorrowedFd<'_>, PollFlags)],
        cancel: Option<&Cancel>,
    ) -> (Result<Vec<PollFlags>, Errno>, Duration) {
        let (result, took) =
            wait(fds, cancel, if self.is_awake() { SHORT } else { Duration::ZERO });
        self.note(took);
        (result, took)
    }
}

/// Polls `fds` without a time limit, and the switch beside them, and does not sleep for as long as `awake`. Returns what
/// happened to each, and the time it took; `INTR` if a signal came first.
fn wait(
    fds: &[(BorrowedFd<'_>, PollFlags)],
    cancel: Option<&Cancel>,
    awake: Duration,
) -> (Result<Vec<PollFlags>, Errno>, Duration) {
    let mut polled: Vec<PollFd<'_>> = fds
        .iter()
        .map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags))
        .chain(cancel.map(|c| PollFd::from_borrowed_fd(c.fd(), PollFlags::IN)))
        .collect();
    let start = Instant::now();
    let mut result = Ok(0);
    while result == Ok(0) && start.elapsed() < awake {
        result = poll(&mut polled, Some(&Timespec::default()));
        if result == Ok(0) {
            std::thread::yield_now();
        }
    }
    if result == Ok(0) {
        result = poll(&mut polled, None);
    }
    let took = start.elapsed();
    (result.map(|_| polled.iter().take(fds.len()).map(PollFd::revents).collect()), took)
}

/// Sleeps until `fd` can be read. `INTR` if a signal came first or somebody cancelled.
pub(crate) fn readable(fd: &impl AsFd, cancel: Option<&Cancel>) -> (Result<(), Errno>, Duration) {
    let (result, took) = wait(&[(fd.as_fd(), PollFlags::IN)], cancel, Duration::ZERO);
    (result.map(|_| ()), took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_waits_are_spent_awake_and_vain_ones_are_not_repeated_soon() {
        let mut patience = Patience::default();
        assert!(!patience.is_awake(), "nothing is known of the first wait");
        patience.note(SHORT * 2);
        assert!(!patience.is_awake());
        patience.note(SHORT);
        assert!(patience.is_awake());
        patience.note(SHORT);
        assert!(patience.is_awake());
        patience.note(SHORT * 2);
        for _ in 0..REST {
            assert!(!patience.is_awake());
            patience.note(SHORT);
        }
        assert!(patience.is_awake());
    }

    #[test]
    fn waits_asleep_and_awake_see_the_same() {
        let (read, write) = std::io::pipe().unwrap();
        let cancel = Cancel::new().unwrap();
        rustix::io::write(&write, b"x").unwrap();
        for awake in [Duration::ZERO, Duration::from_secs(3600)] {
            let (result, _) = wait(&[(read.as_fd(), PollFlags::IN)], Some(&cancel), awake);
            assert_eq!(result.unwrap(), [PollFlags::IN]);
        }
        rustix::io::read(&read, &mut [0; 1]).unwrap();
        cancel.cancel();
        for awake in [Duration::ZERO, Duration::from_secs(3600)] {
            let (result, _) = wait(&[(read.as_fd(), PollFlags::IN)], Some(&cancel), awake);
            assert_eq!(result.unwrap(), [PollFlags::empty()]);
        }
    }
}
