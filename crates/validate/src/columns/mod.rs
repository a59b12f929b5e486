//! Arrow columns as an output, and NDJSON into them.

mod batches;
mod issues;
mod ndjson;
mod output;
mod settle;
mod store;
mod symbols;
mod template;

pub use batches::{ArrowBatches, BatchOptions, ColumnsError, NdjsonReader};
pub use issues::{RowIssue, RowIssues};
pub use output::ColumnOutput;
