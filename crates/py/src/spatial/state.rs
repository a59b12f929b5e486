//! A grid behind a lock that no thread waits for while it holds the interpreter.
//!
//! Two locks are around: the interpreter's and the grid's. A thread that waited for the grid while attached would stop every
//! other thread, also the one it waits for. So the grid's lock is only ever tried while attached; who has to wait detaches, and
//! stands in [`Line`], as does everything long: whoever holds the lock without being there is done in a moment.
//!
//! No call answers from a snapshot that was found to be damaged, be it one that cannot fail by itself.

use std::cell::Cell;
use std::sync::atomic::AtomicBool;
use std::sync::{RwLock, TryLockError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::carried::Carried;
use super::line::{Aim, Line};
use super::raise::raise;
use crate::error::INTERNAL;
use crate::gate;
use crate::threads;

/// What a grid is made of.
pub(super) struct State {
    pub(super) grid: ottava_spatial::TokenGrid,
    /// The table that the tokens were loaded from.
    pub(super) carried: Option<Carried>,
}

impl State {
    /// The bytes of the carried columns.
    pub(super) fn columns_memory(&self) -> usize {
        self.carried.as_ref().map_or(0, Carried::memory)
    }

    /// What `work` answers, unless damage of the snapshot was met.
    #[inline]
    fn ask<T>(&self, work: impl FnOnce(&Self) -> T) -> Answer<T> {
        let answer = work(self);
        self.grid.intact().map(|()| answer)
    }

    /// As [`State::ask`], for a change.
    #[inline]
    fn change<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Answer<T> {
        let answer = work(self);
        self.grid.intact().map(|()| answer)
    }
}

type Answer<T> = Result<T, ottava_spatial::Error>;

/// [`State`], shared by threads.
pub(super) struct Shared {
    line: Line,
    lock: RwLock<State>,
}

thread_local! {
    /// The grid that this thread is asking something long, or waiting for. A signal handler that runs meanwhile must not wait for it.
    static ASKING: Cell<*const Shared> = const { Cell::new(std::ptr::null()) };
}

impl Shared {
    pub(super) fn new(state: State) -> Self {
        Self { line: Line::default(), lock: RwLock::new(state) }
    }

    /// Runs something short, attached unless it has to wait.
    #[inline]
    pub(super) fn read<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&State) -> T + Send,
    ) -> PyResult<T> {
        match self.lock.try_read() {
            Ok(state) => settle(py, Some(gate::attached(py, || state.ask(work))?)),
            Err(TryLockError::Poisoned(_)) => Err(broken(py)),
            Err(TryLockError::WouldBlock) => self.read_detached(py, work),
        }
    }

    /// Runs something whose work has no bound, detached, on this thread; at once if nobody changes the grid, or waits to.
    pub(super) fn read_unbounded<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&State) -> T + Send,
    ) -> PyResult<T> {
        self.check_handler()?;
        match self.line.enter_now(Aim::Ask) {
            Some(turn) => {
                let answer = self.interrupted_here(|| {
                    gate::detached(py, || {
                        let _turn = turn;
                        self.lock.read().ok().map(|state| state.ask(work))
                    })
                });
                settle(py, answer?)
            }
            None => self.read_detached(py, work),
        }
    }

    /// Runs something that may take long, detached, on this thread.
    pub(super) fn read_detached<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&State) -> T + Send,
    ) -> PyResult<T> {
        self.check_handler()?;
        let answer = self.interrupted_here(|| {
            gate::detached(py, || {
                let _turn = self.line.enter(Aim::Ask)?;
                Ok::<_, PyErr>(self.lock.read().ok().map(|state| state.ask(work)))
            })
        });
        settle(py, answer??)
    }

    /// Runs something long on `threads` threads, until it is done or a signal ends it.
    pub(super) fn read_parallel<T: Send>(
        &self,
        py: Python<'_>,
        threads: Option<usize>,
        work: impl FnOnce(&State, &AtomicBool) -> T + Send,
    ) -> PyResult<T> {
        self.check_handler()?;
        let pool = threads::pool(threads)?;
        let acquire = || {
            let turn = self.line.enter(Aim::Ask)?;
            Ok((self.lock.read().ok(), turn))
        };
        let answer = self.interrupted_here(|| {
            gate::interruptible_with(py, &pool, acquire, |(state, _), cancel| {
                state.as_ref().map(|state| state.ask(|state| work(state, cancel)))
            })
        });
        settle(py, answer?)
    }

    /// Runs a short change, attached unless it has to wait.
    #[inline]
    pub(super) fn write<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut State) -> T + Send,
    ) -> PyResult<T> {
        match self.lock.try_write() {
            Ok(mut state) => {
                // Moved in, so that a panic poisons the lock: a half-made change is never asked.
                settle(py, Some(gate::attached(py, move || state.change(work))?))
            }
            Err(TryLockError::Poisoned(_)) => Err(broken(py)),
            Err(TryLockError::WouldBlock) => self.write_parallel(py, |state, _| work(state)),
        }
    }

    /// Runs a long change on all threads. What cannot be left half done does not look at the flag that a signal sets.
    pub(super) fn write_parallel<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut State, &AtomicBool) -> T + Send,
    ) -> PyResult<T> {
        self.check_handler()?;
        let pool = threads::pool(None)?;
        let answer = self.interrupted_here(|| {
            gate::detached(py, || {
                let _turn = self.line.enter(Aim::Change)?;
                let Ok(mut state) = self.lock.write() else { return Ok(None) };
                let state = &mut *state;
                gate::watched(&pool, |cancel| Some(state.change(|state| work(state, cancel))))
            })
        });
        settle(py, answer??)
    }

    /// Runs a call that looks for signals on the way.
    fn interrupted_here<T>(&self, call: impl FnOnce() -> T) -> T {
        let outer = ASKING.replace(self);
        let result = call();
        ASKING.set(outer);
        result
    }

    fn check_handler(&self) -> PyResult<()> {
        if std::ptr::eq(ASKING.get(), self) {
            return Err(PyRuntimeError::new_err(
                "a signal handler cannot wait for the grid that it interrupted",
            ));
        }
        Ok(())
    }
}

/// No answer is that of a grid whose lock is poisoned.
#[inline]
fn settle<T>(py: Python<'_>, answer: Option<Answer<T>>) -> PyResult<T> {
    match answer {
        Some(Ok(answer)) => Ok(answer),
        Some(Err(damage)) => Err(raise(py, "path", damage)),
        None => Err(broken(py)),
    }
}

#[cold]
fn broken(py: Python<'_>) -> PyErr {
    INTERNAL.new_err(
        py,
        ("the grid cannot be used any more: a change of it failed with an internal error",),
    )
}
