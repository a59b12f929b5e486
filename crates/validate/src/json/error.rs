//! Text that is not JSON.

use std::fmt;

/// Text that is not JSON: what is wrong, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub struct JsonError {
    /// What is wrong.
    pub reason: &'static str,
    /// Offset in bytes, from 0.
    pub offset: usize,
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1; 0 for the end of a line.
    pub column: usize,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at line {} column {}", self.reason, self.line, self.column)
    }
}

impl JsonError {
    pub(crate) fn at(bytes: &[u8], offset: usize, reason: &'static str) -> Self {
        // At the end of the text the last byte counts, as in other JSON parsers.
        let seen = &bytes[..(offset + 1).min(bytes.len())];
        let line = 1 + memchr::memchr_iter(b'\n', seen).count();
        let start = memchr::memrchr(b'\n', seen).map_or(0, |at| at + 1);
        Self { reason, offset, line, column: seen.len() - start }
    }
}
