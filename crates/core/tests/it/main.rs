//! Tests of the public surface.

#![allow(clippy::unwrap_used)] // in the functions that tests share, where clippy does not see a test

#[cfg(feature = "lock")]
mod compat;
#[cfg(feature = "lock")]
mod lock;
#[cfg(feature = "store")]
mod store;
