//! A columnar store of records with a unique id, filled by whole batches.
//!
//! A batch of Arrow record batches is planned against the [`Declaration`](crate::schema::Declaration) of its records, checked, and then
//! becomes visible in one step, or not at all. Buffers are kept as they come: a column is only made anew where its values are stored
//! otherwise (codes of an enum, a wider integer), and the [`Report`] says so. Undeclared columns are carried along.
//!
//! ```
//! use std::sync::Arc;
//! use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
//! use ottava_core::schema::{Field, Record, Type};
//! use ottava_core::store::{InOrder, OnDuplicate, TokenStore};
//!
//! let node = Record::new("Node")
//!     .field(Field::new("id", Type::int()))
//!     .field(Field::new("kind", Type::one_of(["code", "spec"])));
//! let mut store = TokenStore::new(Some(node.into()), "id")?;
//! let batch = RecordBatch::try_from_iter([
//!     ("id", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
//!     ("kind", Arc::new(StringViewArray::from(vec!["code", "spec"]))),
//! ])?;
//! let report = store.ingest(&batch.schema(), &[batch.clone()], OnDuplicate::Error, &InOrder)?;
//! assert_eq!((store.len(), report.bytes_copied()), (2, 2)); // two codes of one byte
//! let again = store.ingest(&batch.schema(), &[batch], OnDuplicate::Error, &InOrder);
//! assert_eq!(again.unwrap_err().to_string(), "row 0, column id: id 1 is already in the store");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builder;
mod check;
mod chunk;
mod convert;
mod coordinates;
mod delta;
mod error;
mod ids;
mod index;
mod ingest;
mod paths;
mod plan;
mod show;
mod snapshot;
mod sunk;
mod symbols;
mod table;
mod text;
mod wider;
mod words;
mod workers;

pub use builder::{Builder, Decimals, Lists, Maps, Records, Ticks, narrow};
pub use check::{Broken, RuleCheck};
pub use convert::Copied;
pub use coordinates::Coordinates;
pub use delta::Delta;
pub use error::{Mismatch, StoreError};
pub use ids::Id;
pub use index::OnDuplicate;
pub use ingest::Report;
pub use snapshot::Snapshot;
pub use table::{Promise, Retiring, TokenStore};
pub use workers::{InOrder, Workers};
