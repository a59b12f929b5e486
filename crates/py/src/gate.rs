//! The one place that releases the interpreter lock, and where a panic stops.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use rayon::ThreadPool;

use crate::error::INTERNAL;

/// Runs `work` with the interpreter lock released.
///
/// A panic in `work` becomes `ottava.errors.InternalError`, so that `except Exception` sees it.
pub(crate) fn detached<T, F>(py: Python<'_>, work: F) -> PyResult<T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    py.detach(|| catch_unwind(AssertUnwindSafe(work)).map_err(message))
        .map_err(|m| INTERNAL.new_err(py, (m,)))
}

/// As [`detached`], for work on this thread that Ctrl-C may end early.
///
/// `work` is handed a question that it asks now and then; once the answer is no, it returns soon, and the call raises what the signal
/// handler raised.
pub(crate) fn detached_while<T, F>(py: Python<'_>, work: F) -> PyResult<T>
where
    F: FnOnce(&dyn Fn() -> bool) -> T + Send,
    T: Send,
{
    let (outcome, raised) = detached(py, || {
        let (raised, looked) = (Cell::new(None), Cell::new(Instant::now()));
        let outcome = work(&|| {
            if looked.get().elapsed() < SIGNAL_PERIOD {
                return true;
            }
            looked.set(Instant::now());
            match check_signals() {
                Ok(()) => true,
                Err(error) => {
                    raised.set(Some(error));
                    false
                }
            }
        });
        (outcome, raised.into_inner())
    })?;
    match raised {
        Some(error) => Err(error),
        None => Ok(outcome),
    }
}

/// How often a call that takes long, or waits long, looks whether a signal came in.
pub(crate) const SIGNAL_PERIOD: Duration = Duration::from_millis(50);

/// Runs `work` on a pool with the interpreter lock released, and ends it early on Ctrl-C.
///
/// `work` is handed a flag and returns soon after it is set; the call then raises what the signal
/// handler raised. A panic becomes `ottava.errors.InternalError`, as in [`detached`].
pub(crate) fn interruptible<T, F>(py: Python<'_>, pool: &ThreadPool, work: F) -> PyResult<T>
where
    F: FnOnce(&AtomicBool) -> T + Send,
    T: Send,
{
    interruptible_with(py, pool, || Ok(()), |(), cancel| work(cancel))
}

/// As [`interruptible`], with something that is kept meanwhile.
///
/// `acquire` runs first, on the calling thread: locks are taken there, because a thread of a pool that
/// waits for its own work may run someone else's. If it fails, that is all.
pub(crate) fn interruptible_with<G, T, A, F>(
    py: Python<'_>,
    pool: &ThreadPool,
    acquire: A,
    work: F,
) -> PyResult<T>
where
    G: Sync,
    T: Send,
    A: FnOnce() -> PyResult<G> + Send,
    F: FnOnce(&G, &AtomicBool) -> T + Send,
{
    detached(py, || {
        let acquired = &acquire()?;
        watched(pool, |cancel| work(acquired, cancel))
    })?
}

/// Runs `work` on a pool for a detached thread, which looks for signals meanwhile: `work` is handed a flag and returns soon after it
/// is set. The error is what the signal handler raised; a panic goes on here.
pub(crate) fn watched<T, F>(pool: &ThreadPool, work: F) -> PyResult<T>
where
    T: Send,
    F: FnOnce(&AtomicBool) -> T + Send,
{
    let cancel = AtomicBool::new(false);
    let outcome = Mutex::new(None);
    let done = Condvar::new();
    let lock = || outcome.lock().unwrap_or_else(PoisonError::into_inner);
    let signal = pool.in_place_scope(|scope| {
        scope.spawn(|_| {
            let outcome = catch_unwind(AssertUnwindSafe(|| work(&cancel)));
            *lock() = Some(outcome);
            done.notify_one();
        });
        let mut signal = Ok(());
        let mut held = lock();
        while held.is_none() {
            let (back, waited) =
                done.wait_timeout(held, SIGNAL_PERIOD).unwrap_or_else(PoisonError::into_inner);
            held = back;
            if held.is_none() && waited.timed_out() && signal.is_ok() {
                drop(held);
                signal = check_signals();
                cancel.store(signal.is_err(), Ordering::Relaxed);
                held = lock();
            }
        }
        signal
    });
    match outcome.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(Ok(value)) => signal.map(|()| value),
        Some(Err(panic)) => resume_unwind(panic),
        None => panic!("no outcome"),
    }
}

/// Looks for signals from a detached thread; an error is what a handler raised. Nothing comes once Python shuts down.
pub(crate) fn check_signals() -> PyResult<()> {
    Python::try_attach(|py| py.check_signals()).unwrap_or(Ok(()))
}

/// Lets other threads go ahead for a moment in a long call that holds the lock; an error if a signal handler raised one.
pub(crate) fn pause(py: Python<'_>) -> PyResult<()> {
    py.detach(|| ());
    py.check_signals()
}

/// Runs `work` with the lock held, for calls too short to be worth releasing it.
///
/// A panic becomes `ottava.errors.InternalError`, as in [`detached`].
pub(crate) fn attached<T>(py: Python<'_>, work: impl FnOnce() -> T) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|p| INTERNAL.new_err(py, (message(p),)))
}

/// Runs something of others that may panic on hostile input; the error is what it had to say.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(text)
}

/// What a caught panic had to say.
pub(crate) fn message(payload: Box<dyn Any + Send>) -> String {
    format!("internal error, please report it: {}", text(payload))
}

fn text(payload: Box<dyn Any + Send>) -> String {
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without a message".to_owned())
}
