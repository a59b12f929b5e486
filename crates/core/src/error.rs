//! What can be wrong with a point, an axis or a batch.

use thiserror::Error;

/// A refused point, axis or batch, with its place.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum Error {
    /// A coordinate is not finite or too large for its distance to be finite.
    #[error("row {row}, axis {axis}: coordinate {value} is not finite or beyond 2^61")]
    Coordinate {
        /// The row of the point, 0 for a single one.
        row: usize,
        /// The axis, 0 to 7.
        axis: usize,
        /// The refused value.
        value: f32,
    },
    /// A weight, field radius or field strength is out of its range.
    #[error("row {row}: {attribute} {value} is out of range")]
    Attribute {
        /// The row of the token.
        row: usize,
        /// Which attribute.
        attribute: &'static str,
        /// The refused value.
        value: f32,
    },
    /// The id `u64::MAX` marks a missing neighbor and is given to no token.
    #[error("row {row}: id 18446744073709551615 is reserved")]
    ReservedId {
        /// The row of the token.
        row: usize,
    },
    /// Positions are not of shape (n, 8).
    #[error("positions have shape ({rows}, {columns}), expected (n, 8)")]
    Shape {
        /// The number of rows found.
        rows: usize,
        /// The number of columns found.
        columns: usize,
    },
    /// A column has another length than the ids.
    #[error("column {column} has {found} rows, expected {expected}")]
    Length {
        /// Which column.
        column: &'static str,
        /// The number of ids.
        expected: usize,
        /// The number of rows found.
        found: usize,
    },
    /// A scale is negative, not finite or too large.
    #[error("axis {axis}: scale {value} is negative, not finite or beyond 2^61")]
    Scale {
        /// The axis, 0 to 7.
        axis: usize,
        /// The refused value.
        value: f32,
    },
    /// No axis is left to measure a distance on.
    #[error("no axis is chosen, or every chosen axis has scale 0")]
    NoAxes,
    /// An axis number over 7.
    #[error("axis {axis} does not exist, axes are 0 to 7")]
    AxisNumber {
        /// The refused number.
        axis: usize,
    },
    /// A name that no axis has.
    #[error("no axis is named {name:?}")]
    UnknownAxis {
        /// The unknown name.
        name: Box<str>,
    },
    /// An empty or repeated axis name.
    #[error("axis {axis}: name {name:?} is empty or taken")]
    AxisName {
        /// The axis, 0 to 7.
        axis: usize,
        /// The refused name.
        name: Box<str>,
    },
}
