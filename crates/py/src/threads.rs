//! Thread pools for parallel work, one for each number of threads asked for.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

struct Pools {
    /// The process that made the pools: threads do not survive a fork, and a pool without threads waits forever.
    process: u32,
    pools: Vec<Arc<ThreadPool>>,
}

static POOLS: Mutex<Pools> = Mutex::new(Pools { process: 0, pools: Vec::new() });

/// The pool of `threads` threads: all that the machine has by default, and never more.
///
/// `arrays::threads` has seen that it is at least one.
pub(crate) fn pool(threads: Option<usize>) -> PyResult<Arc<ThreadPool>> {
    let most = available_parallelism().map_or(1, |n| n.get());
    let wanted = threads.map_or(most, |threads| threads.clamp(1, most));
    let mut known = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if known.process != process {
        known.process = process;
        // Dropping the parent's pools would signal threads that are not there.
        std::mem::forget(std::mem::take(&mut known.pools));
    }
    if let Some(pool) = known.pools.iter().find(|pool| pool.current_num_threads() == wanted) {
        return Ok(Arc::clone(pool));
    }
    let built = ThreadPoolBuilder::new()
        .num_threads(wanted)
        .thread_name(|index| format!("ottava-{index}"))
        .build()
        .map_err(|err| PyRuntimeError::new_err(format!("cannot start {wanted} threads: {err}")))?;
    let pool = Arc::new(built);
    known.pools.push(Arc::clone(&pool));
    Ok(pool)
}
