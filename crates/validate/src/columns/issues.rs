//! The issues of many rows.

use std::sync::Arc;

use arrow_array::{RecordBatch, StringArray, UInt64Array};
use arrow_schema::{ArrowError, DataType, Field, Schema};

use crate::issue::Issue;

/// One issue of one row of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct RowIssue {
    /// Number of the row, from 0. Empty lines are no rows.
    pub row: u64,
    /// Number of the line, from 1.
    pub line: u64,
    /// What is wrong.
    pub issue: Issue,
    /// The beginning of the value that is wrong, as it stands in the stream; at most 120 bytes.
    pub input: String,
}

/// The issues of many rows, in order of rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowIssues {
    /// The issues that were kept.
    pub list: Vec<RowIssue>,
    /// How many were found beyond the limit; counted, not kept.
    pub dropped: u64,
}

impl RowIssues {
    /// The issues as a table: `row` and `line` (uint64), `loc` (path with dots), `code`, `message` and `input` (utf8).
    ///
    /// # Errors
    /// If the table would be larger than Arrow allows.
    pub fn to_arrow(&self) -> Result<RecordBatch, ArrowError> {
        let text = |name| Field::new(name, DataType::Utf8, false);
        let number = |name| Field::new(name, DataType::UInt64, false);
        let schema = Schema::new(vec![
            number("row"),
            number("line"),
            text("loc"),
            text("code"),
            text("message"),
            text("input"),
        ]);
        let loc =
            |issue: &Issue| issue.loc.iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
        let list = &self.list;
        RecordBatch::try_new(
            Arc::new(schema),
            vec![
                Arc::new(UInt64Array::from_iter_values(list.iter().map(|found| found.row))),
                Arc::new(UInt64Array::from_iter_values(list.iter().map(|found| found.line))),
                Arc::new(StringArray::from_iter_values(list.iter().map(|found| loc(&found.issue)))),
                Arc::new(StringArray::from_iter_values(
                    list.iter().map(|found| found.issue.code.name()),
                )),
                Arc::new(StringArray::from_iter_values(
                    list.iter().map(|found| found.issue.message()),
                )),
                Arc::new(StringArray::from_iter_values(list.iter().map(|found| &found.input))),
            ],
        )
    }

    /// Adds the issues of later rows, up to `limit` in all.
    pub(super) fn extend(&mut self, other: RowIssues, limit: usize) {
        let room = limit.saturating_sub(self.list.len());
        self.dropped += other.dropped + other.list.len().saturating_sub(room) as u64;
        self.list.extend(other.list.into_iter().take(room));
    }
}
