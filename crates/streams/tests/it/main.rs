//! Integration tests of `ottava-streams`.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod consume;
#[cfg(all(unix, feature = "arrow"))]
mod handover;
mod lines;
mod pump;
