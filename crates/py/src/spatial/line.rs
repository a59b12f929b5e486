//! Who may ask a grid and who may change it, in the order of their coming.
//!
//! The lock of the grid would do but for two things. Who waits for it is deaf to signals; and it keeps everybody out as soon as one
//! waits to change the grid, although that one cannot begin before a call that takes minutes has ended. Here who waits looks for
//! signals, and keeps its place meanwhile: a change that gave its place up at each look would never come to its turn among long
//! calls. What is short does not stand in line at all: the lock lets it pass until a change begins.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pyo3::prelude::*;

use crate::gate;

/// Long calls of one grid.
#[derive(Default)]
pub(super) struct Line {
    calls: Mutex<Calls>,
    moved: Condvar,
}

#[derive(Default)]
struct Calls {
    /// Calls that ask now.
    asking: usize,
    /// Whether a call changes the grid now.
    changing: bool,
    /// Calls that wait, by number, the first in front.
    waiting: VecDeque<u64>,
    /// The number of the next that has to wait.
    next: u64,
}

/// What a call is going to do.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Aim {
    Ask,
    Change,
}

impl Calls {
    /// Whether the call in front may begin.
    fn admits(&self, aim: Aim) -> bool {
        !self.changing && (aim == Aim::Ask || self.asking == 0)
    }

    fn begin(&mut self, aim: Aim) {
        match aim {
            Aim::Ask => self.asking += 1,
            Aim::Change => self.changing = true,
        }
    }
}

/// A call that has begun; it ends when this is dropped.
pub(super) struct Turn<'a> {
    line: &'a Line,
    aim: Aim,
}

impl Line {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins at once, if nobody has to be waited for.
    pub(super) fn enter_now(&self, aim: Aim) -> Option<Turn<'_>> {
        let mut calls = self.calls();
        let free = calls.waiting.is_empty() && calls.admits(aim);
        free.then(|| {
            calls.begin(aim);
            Turn { line: self, aim }
        })
    }

    /// Begins when all calls that came before have begun, and those that are in the way have ended. The thread must be detached.
    ///
    /// An error is what a signal handler raised meanwhile; nothing has begun then.
    pub(super) fn enter(&self, aim: Aim) -> PyResult<Turn<'_>> {
        if let Some(turn) = self.enter_now(aim) {
            return Ok(turn);
        }
        let mut calls = self.calls();
        let number = calls.next;
        calls.next += 1;
        calls.waiting.push_back(number);
        let mut looked = Instant::now();
        loop {
            if calls.waiting.front() == Some(&number) && calls.admits(aim) {
                calls.waiting.pop_front();
                calls.begin(aim);
                // Behind one that asks may be another.
                self.moved.notify_all();
                return Ok(Turn { line: self, aim });
            }
            let rest = gate::SIGNAL_PERIOD.saturating_sub(looked.elapsed());
            if !rest.is_zero() {
                let waited = self.moved.wait_timeout(calls, rest);
                calls = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            drop(calls);
            let signal = gate::check_signals();
            looked = Instant::now();
            calls = self.calls();
            if let Err(raised) = signal {
                calls.waiting.retain(|&other| other != number);
                self.moved.notify_all();
                return Err(raised);
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut calls = self.line.calls();
        match self.aim {
            Aim::Ask => calls.asking -= 1,
            Aim::Change => calls.changing = false,
        }
        if !calls.waiting.is_empty() {
            self.line.moved.notify_all();
        }
    }
}
