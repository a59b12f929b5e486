//! Integration tests.

#![allow(clippy::unwrap_used)] // a test that fails may panic

#[cfg(feature = "arrow")]
mod batches;
mod conversion;
#[cfg(feature = "arrow")]
mod direct;
mod hostile;
mod json_schema;
mod oracle;
mod records;
mod unions;
mod watched;
