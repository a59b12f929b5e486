//! Why a batch is not taken in.

use thiserror::Error;

/// One field in which a batch does not fit the schema of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Path of the field: names joined by dots, `[]` for the items of a list, `{}` for the values of a map.
    pub path: String,
    /// What the schema says, in words.
    pub expected: String,
    /// What the batch has, in words.
    pub found: String,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "column {}: expected {}, found {}", self.path, self.expected, self.found)
    }
}

/// A refused batch, with its place. Nothing of the batch is in the store then.
///
/// Rows count from 0 through all record batches of one call.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The columns do not fit the schema. No row was looked at.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Schema(Vec<Mismatch>),
    /// A null where the schema has none.
    #[error("row {row}, column {column}: null, but the column is not nullable")]
    Null {
        /// The row.
        row: usize,
        /// Path of the column.
        column: String,
    },
    /// An id that is there already.
    #[error("row {row}, column {column}: id {value} is already {}", match earlier { Some(row) => format!("in row {row}"), None => "in the store".to_owned() })]
    Duplicate {
        /// The row.
        row: usize,
        /// The id column.
        column: String,
        /// The id.
        value: String,
        /// The earlier row of the same call; `None` if the id was in the store before.
        earlier: Option<usize>,
    },
    /// A value that no symbol of the enum is.
    #[error("row {row}, column {column}: {value} is none of {symbols}")]
    Symbol {
        /// The row.
        row: usize,
        /// Path of the column.
        column: String,
        /// The value.
        value: String,
        /// The symbols, in words.
        symbols: String,
    },
    /// A coordinate that is missing, not finite or too large.
    #[error("row {row}, column {column}: coordinate {value} is not finite or beyond 2^61")]
    Coordinate {
        /// The row.
        row: usize,
        /// The column.
        column: String,
        /// The value.
        value: String,
    },
    /// A value that breaks a rule of the schema.
    #[error("row {row}, column {column}: {value} breaks the rule {rule}")]
    Rule {
        /// The row.
        row: usize,
        /// Path of the column.
        column: String,
        /// The value.
        value: String,
        /// The rule, with its bound.
        rule: String,
    },
    /// A value that the declared type cannot hold.
    #[error("row {row}, column {column}: {value} does not fit {expected}")]
    Range {
        /// The row.
        row: usize,
        /// Path of the column.
        column: String,
        /// The value.
        value: String,
        /// The declared type, in words.
        expected: String,
    },
    /// A rule that the store cannot check by itself, and nobody was given to check it.
    #[error("column {column}: nothing was given to check the rule {rule}")]
    Unchecked {
        /// Path of the column.
        column: String,
        /// The rule.
        rule: &'static str,
    },
    /// A column that the locked version no longer has.
    #[error("column {column}: it was removed in version {removed_in} and its name is reserved")]
    Removed {
        /// The column.
        column: String,
        /// The version.
        removed_in: String,
    },
    /// The declaration is not the one that was locked.
    #[error("the schema is not the locked version {version}: {changes}")]
    NotLocked {
        /// The locked version.
        version: String,
        /// What differs, in words.
        changes: String,
    },
    /// There is no such column.
    #[error("there is no column {column}")]
    NoColumn {
        /// The missing column.
        column: String,
    },
    /// The coordinates are not eight columns of numbers, nor one column of lists of eight.
    #[error("coordinates: {message}")]
    Coordinates {
        /// What is wrong.
        message: String,
    },
    /// A default that a column cannot be filled with.
    #[error("column {column}: it is missing, and its default cannot fill a column ({reason})")]
    Default {
        /// The column.
        column: String,
        /// Why not.
        reason: String,
    },
    /// A record batch that is not what its stream announced.
    #[error("record batch {batch}: {message}")]
    Batch {
        /// The record batch, from 0.
        batch: usize,
        /// What is wrong.
        message: String,
    },
    /// More rows than the store can number.
    #[error("a store takes in at most {} rows in its life", u32::MAX)]
    Full,
    /// Arrow refused a conversion.
    #[error("column {column}: {message}")]
    Arrow {
        /// The column.
        column: String,
        /// What Arrow says.
        message: String,
    },
}

impl StoreError {
    /// The row, where there is one.
    #[must_use]
    pub fn row(&self) -> Option<usize> {
        match self {
            Self::Null { row, .. }
            | Self::Duplicate { row, .. }
            | Self::Symbol { row, .. }
            | Self::Coordinate { row, .. }
            | Self::Rule { row, .. }
            | Self::Range { row, .. } => Some(*row),
            _ => None,
        }
    }

    /// The same error, `offset` rows further on.
    #[must_use]
    pub(super) fn moved(mut self, offset: usize) -> Self {
        match &mut self {
            Self::Null { row, .. }
            | Self::Duplicate { row, .. }
            | Self::Symbol { row, .. }
            | Self::Coordinate { row, .. }
            | Self::Rule { row, .. }
            | Self::Range { row, .. } => *row += offset,
            _ => {}
        }
        self
    }

    /// The column, where there is one.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::Schema(list) => list.first().map(|m| m.path.as_str()),
            Self::Null { column, .. }
            | Self::Duplicate { column, .. }
            | Self::Symbol { column, .. }
            | Self::Coordinate { column, .. }
            | Self::Rule { column, .. }
            | Self::Range { column, .. }
            | Self::Unchecked { column, .. }
            | Self::Removed { column, .. }
            | Self::NoColumn { column }
            | Self::Default { column, .. }
            | Self::Arrow { column, .. } => Some(column),
            _ => None,
        }
    }

    /// The refused value as text, where there is one.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        match self {
            Self::Duplicate { value, .. }
            | Self::Symbol { value, .. }
            | Self::Coordinate { value, .. }
            | Self::Rule { value, .. }
            | Self::Range { value, .. } => Some(value),
            _ => None,
        }
    }
}
