//! The store: what it takes, what it refuses, what it gives back.

mod coordinates;
mod law;
mod layouts;
mod refused;
mod schemas;
mod taken;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::DataType;
use ottava_core::schema::{Declaration, Field, Record, Type};
use ottava_core::store::{InOrder, OnDuplicate, Report, Snapshot, StoreError, TokenStore};

pub(super) fn batch(columns: impl IntoIterator<Item = (&'static str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap()
}

pub(super) fn ints(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

pub(super) fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<StringArray>())
}

pub(super) fn node() -> Declaration {
    Record::new("Node")
        .field(Field::new("id", Type::int()))
        .field(Field::new("kind", Type::one_of(["code", "spec", "test"])))
        .field(Field::new("score", Type::float().nullable()).default_null())
        .into()
}

pub(super) fn store() -> TokenStore {
    TokenStore::new(Some(node()), "id").unwrap()
}

pub(super) fn put(store: &mut TokenStore, batch: &RecordBatch) -> Result<Report, StoreError> {
    put_as(store, batch, OnDuplicate::Error)
}

pub(super) fn put_as(
    store: &mut TokenStore,
    batch: &RecordBatch,
    on_duplicate: OnDuplicate,
) -> Result<Report, StoreError> {
    store.ingest(&batch.schema(), std::slice::from_ref(batch), on_duplicate, &InOrder)
}

pub(super) fn nodes(ids: impl IntoIterator<Item = i64>, kinds: &[Option<&str>]) -> RecordBatch {
    batch([("id", ints(ids)), ("kind", texts(kinds))])
}

pub(super) fn column(snapshot: &Snapshot, name: &str) -> Vec<ArrayRef> {
    let (_, batches) = snapshot.batches().unwrap();
    batches.iter().map(|batch| batch.column_by_name(name).unwrap().clone()).collect()
}

pub(super) fn int_column(store: &TokenStore, name: &str) -> Vec<i64> {
    let values =
        |array: &ArrayRef| array.as_primitive::<arrow_array::types::Int64Type>().values().to_vec();
    column(&store.snapshot(), name).iter().flat_map(values).collect()
}

/// Takes the batch into a store that holds something, and checks that a refusal leaves it as it was.
pub(super) fn refused(batch: &RecordBatch) -> StoreError {
    refused_by(store(), &nodes([100, 101], &[Some("code"), Some("test")]), batch)
}

pub(super) fn refused_by(
    mut store: TokenStore,
    first: &RecordBatch,
    batch: &RecordBatch,
) -> StoreError {
    put(&mut store, first).unwrap();
    let before = format!("{:?} {:?}", store.snapshot().batches(), store.declaration());
    let err = put(&mut store, batch).unwrap_err();
    assert_eq!(
        format!("{:?} {:?}", store.snapshot().batches(), store.declaration()),
        before,
        "{err}"
    );
    assert!(put(&mut store, first).is_err(), "the ids are still known");
    let mut again = store;
    let ids: Vec<_> =
        batch.column_by_name("id").map(|ids| ids.data_type().clone()).into_iter().collect();
    if ids == [DataType::Int64] {
        let fresh = nodes([200, 201], &[Some("code"), Some("test")]);
        if fresh.num_columns() == first.num_columns() {
            put(&mut again, &fresh).unwrap();
        }
    }
    err
}

pub(super) fn batch_of_scores(ids: impl IntoIterator<Item = i64>, score: i64) -> RecordBatch {
    let ids: Vec<_> = ids.into_iter().collect();
    let scores = Float64Array::from(vec![score as f64; ids.len()]);
    batch([
        ("kind", texts(&vec![Some("code"); ids.len()])),
        ("score", Arc::new(scores)),
        ("id", ints(ids)),
    ])
}
