//! Bounds on what an input may make a program do.

/// Bounds that keep a hostile input from exhausting the stack or the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Deepest nesting of arrays, objects or other containers. Default 128.
    pub depth: usize,
    /// Most issues kept for one document or one row; the rest is counted but not kept. Default 10 000.
    pub issues: usize,
    /// Longest row of a stream, in bytes. A longer one is an issue and is passed over. Default 64 MiB.
    pub row_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 128, issues: 10_000, row_bytes: 64 << 20 }
    }
}
