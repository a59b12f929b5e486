//! An exact, live, 8-dimensional token grid: nearest, within, connections, influence, density.
//!
//! ```
//! use ottava_core::{Token, TokenBatch};
//! use ottava_spatial::{Falloff, GridOptions, Query, TokenGrid};
//!
//! let ids = [10, 20, 30];
//! let positions = [[0.0; 8], [0.1; 8], [1.0; 8]];
//! let batch = TokenBatch::from_rows(&ids[..], &positions[..])?;
//! let mut grid = TokenGrid::from_batch(&batch, GridOptions::default())?;
//!
//! let near = grid.nearest(&[0.02; 8], 2, &Query::default())?;
//! assert_eq!(near.ids, [10, 20]);
//!
//! grid.insert(Token::new(40, [0.01; 8]))?;
//! let near = grid.nearest(&[0.02; 8], 2, &Query::default())?;
//! assert_eq!(near.ids, [40, 10]);
//!
//! let linked = grid.connections(10, 0.5, Falloff::Linear, &Query::default())?;
//! assert_eq!(linked.ids, [40, 20]);
//! # Ok::<(), ottava_spatial::Error>(())
//! ```
//!
//! Every answer is exact, and the same for any number of threads and any [instruction level](simd):
//! it is what comparing all tokens gives, with distances in `f32` arithmetic and one order of
//! summation. Squares of differences under about 1e-19 are too small for that arithmetic, so
//! Euclidean distances lose digits below it and are 0 below about 1e-23.

// A loop over the axes indexes several arrays at once.
#![allow(clippy::needless_range_loop)]

mod batch;
mod cells;
mod collect;
mod connections;
mod distances;
mod error;
mod field;
mod filter;
mod forest;
mod graph;
mod grid;
mod kernel;
mod metric;
mod queries;
mod query;
mod snapshot;
mod storage;
mod store;
mod tree;
mod whitening;

pub use connections::{CacheStats, Connections};
pub use distances::{distance, distances, distances_into, pairwise, pairwise_into};
pub use error::Error;
pub use field::Falloff;
pub use filter::Filter;
pub use graph::{Connect, Graph};
pub use grid::{GridOptions, Memory, OnDuplicate, TokenGrid};
pub use metric::Metric;
pub use query::{NeighborTable, Neighbors, Query, Ragged};
pub use snapshot::{OpenOptions, Verify};
pub use whitening::Whitening;

/// The vector instructions in use.
pub mod simd {
    pub use crate::kernel::{Level, available, force, level};
}
