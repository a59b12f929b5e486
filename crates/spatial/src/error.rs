//! What can be refused.

use std::path::PathBuf;

use ottava_core::TokenId;
use thiserror::Error;

/// A refused argument, token or file, with its place.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A point, axis, scale or batch is wrong.
    #[error(transparent)]
    Core(#[from] ottava_core::Error),
    /// A coordinate times its scale is beyond `MAX_MAGNITUDE`: the distance would not be finite.
    #[error("row {row}, axis {axis}: coordinate {value} times its scale is beyond 2^61")]
    Scaled {
        /// The row of the point, 0 for a single one.
        row: usize,
        /// The axis, 0 to 7.
        axis: usize,
        /// The coordinate, before scaling.
        value: f32,
    },
    /// A scale of a query times the largest coordinate of the grid is beyond `MAX_MAGNITUDE`. Coordinates of tokens that are gone count
    /// until [`TokenGrid::optimize`](crate::TokenGrid::optimize).
    #[error(
        "axis {axis}: scale {scale} times the largest coordinate of the grid, since it was loaded or optimized, is beyond 2^61"
    )]
    QueryScale {
        /// The axis, 0 to 7.
        axis: usize,
        /// The refused scale.
        scale: f32,
    },
    /// No token has this id.
    #[error("no token has id {id}")]
    UnknownId {
        /// The unknown id.
        id: TokenId,
    },
    /// The id is in the grid already, or twice in the batch.
    #[error("row {row}: id {id} is a duplicate")]
    DuplicateId {
        /// The row of the token, 0 for a single one.
        row: usize,
        /// The id.
        id: TokenId,
    },
    /// The grid is full: it holds at most `u32::MAX - 1` tokens, removed ones not yet reclaimed included.
    #[error("the grid holds at most {limit} tokens")]
    Full {
        /// The limit.
        limit: usize,
    },
    /// Nearest 0 was asked for.
    #[error("k must be at least 1")]
    ZeroK,
    /// A radius is negative or NaN, or 0 where it must be positive.
    #[error("radius {radius} is not a usable radius")]
    Radius {
        /// The refused radius.
        radius: f32,
    },
    /// The cell size is not positive and finite.
    #[error("cell size {size} is not positive and finite")]
    CellSize {
        /// The refused size.
        size: f32,
    },
    /// The lower corner of a box is above its upper corner, or a corner is NaN.
    #[error("axis {axis}: box from {lo} to {hi} is empty or not a number")]
    Box {
        /// The axis, 0 to 7.
        axis: usize,
        /// The lower corner.
        lo: f32,
        /// The upper corner.
        hi: f32,
    },
    /// The query chooses axes or scales, but the grid measures whitened coordinates.
    #[error("the Mahalanobis distance has no axes or scales to choose")]
    WhitenedAxes,
    /// The covariance has no inverse, or is not finite and symmetric.
    #[error("the covariance is not symmetric positive definite")]
    Covariance,
    /// A mask has another length than the grid.
    #[error("mask has {found} rows, expected {expected}")]
    MaskLength {
        /// The number of tokens.
        expected: usize,
        /// The length of the mask.
        found: usize,
    },
    /// A filter was made for another grid, or the grid has changed since.
    #[error("the filter was made for another grid or an earlier state of this one")]
    StaleFilter,
    /// An output slice has the wrong length.
    #[error("out has {found} values, expected {expected}")]
    OutLength {
        /// The number of values to write.
        expected: usize,
        /// The length of the slice.
        found: usize,
    },
    /// The answer has more entries than memory can address, or than it has room for.
    #[error("the answer would hold {rows} x {columns} values")]
    AnswerTooLarge {
        /// Rows of the answer.
        rows: usize,
        /// Columns of the answer.
        columns: usize,
    },
    /// Memory cannot hold an answer whose size was not known before.
    #[error("memory cannot hold the answer: there is no room for {bytes} more bytes")]
    OutOfMemory {
        /// What was asked of the system, and refused.
        bytes: usize,
    },
    /// The flag that ends a query, or another long call, early was set.
    #[error("the call was cancelled")]
    Cancelled,
    /// An unknown or unavailable instruction level.
    #[error("instruction level {name:?} is unknown or not available on this processor")]
    Level {
        /// The name.
        name: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is something else at the path: a pipe, a socket, a device.
    #[error("{} is not a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A file is not a snapshot, or is damaged.
    #[error("{}: section {section}: {problem}", path.display())]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// The section: `header`, `sections`, or the name of one.
        section: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A snapshot was written by a newer version.
    #[error("{}: snapshot version {found} is newer than {supported}", path.display())]
    NewerSnapshot {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that this library reads.
        supported: u32,
    },
}
