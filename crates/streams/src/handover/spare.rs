//! Memory for the next table of a server in sealed mode, made ready while nobody waits for it.
//!
//! What is sealed cannot be written again, so each table needs new pages, and most of what a copy costs is getting them.

use std::sync::Mutex;

use super::memory::{AHEAD, Memory, Store};
use super::sync::lock;

#[derive(Debug, Default)]
pub(super) struct Spare(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    memory: Option<Memory>,
    wanted: usize,
}

impl Spare {
    /// The memory that is ready, all zeros and of whatever size.
    pub(super) fn take(&self) -> Option<Memory> {
        lock(&self.0).memory.take()
    }

    /// The next table will be about as large as this one, which has `bytes` bytes: strings differ a little in length.
    pub(super) fn expect(&self, bytes: usize) {
        lock(&self.0).wanted = bytes.saturating_add(bytes / 64);
    }

    /// Makes memory ready if a table is expected and there is none.
    pub(super) fn prepare(&self, store: &Store) {
        let mut state = lock(&self.0);
        let bytes = state.wanted;
        // Larger ones are made when they are needed.
        if !(1..=AHEAD).contains(&bytes) || state.memory.is_some() {
            return;
        }
        state.wanted = 0;
        drop(state);
        match store {
            // Without memory to spare, there is none.
            #[cfg(target_os = "linux")]
            Store::Memfd => lock(&self.0).memory = Memory::create_warm(bytes).ok(),
            Store::Files(_) => {}
        }
    }
}
