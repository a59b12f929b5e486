//! Who does the work of a batch. This crate starts no threads; a caller may bring some.

/// Runs independent pieces of work, possibly at the same time.
pub trait Workers: Sync {
    /// Calls `job` with every number below `n`, once each, and returns when all calls have returned.
    fn each(&self, n: usize, job: &(dyn Fn(usize) + Sync));
}

/// One piece after the other, on the calling thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct InOrder;

impl Workers for InOrder {
    fn each(&self, n: usize, job: &(dyn Fn(usize) + Sync)) {
        (0..n).for_each(job);
    }
}
