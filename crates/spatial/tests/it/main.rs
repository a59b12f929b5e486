//! The grid against slow references.

#![allow(clippy::unwrap_used)]

mod cancel;
mod data;
mod faults;
mod fields;
mod live;
mod naive;
mod queries;
mod same;
mod snapshot;
