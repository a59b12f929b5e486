//! Batches that are taken in: what is kept, what is made, what a policy or a hook leaves.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int8Type;
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, Float32Array, Float64Array, StringViewArray,
};
use arrow_schema::{DataType, Field as ArrowField};
use ottava_core::schema::{Field, FloatWidth, Kind, Record, Type};
use ottava_core::store::{Id, InOrder, OnDuplicate, StoreError, TokenStore};

use super::{batch, batch_of_scores, column, int_column, ints, nodes, put, put_as, store, texts};

#[test]
fn buffers_are_kept_and_enums_are_codes() {
    let mut store = store();
    let batch = batch([
        ("id", ints(0..4)),
        ("kind", texts(&[Some("test"), Some("code"), Some("test"), Some("spec")])),
        ("score", Arc::new(Float64Array::from(vec![Some(0.5), None, Some(1.5), None]))),
        (
            "note",
            Arc::new(StringViewArray::from(vec![
                Some("a"),
                None,
                Some("a longer note than inline"),
                None,
            ])),
        ),
    ]);
    let report = put(&mut store, &batch).unwrap();
    assert_eq!((report.rows, report.inserted), (4, 4));
    assert_eq!(report.bytes_copied(), 4, "one byte per enum value: {:?}", report.copies);
    assert_eq!(report.copies[0].column, "kind");
    let kinds = column(&store.snapshot(), "kind");
    let kinds = kinds[0].as_dictionary::<Int8Type>();
    assert_eq!(kinds.keys().values(), &[2, 0, 2, 1]);
    assert_eq!(kinds.values().as_string::<i32>().value(1), "spec");
    for name in ["id", "score", "note"] {
        let (kept, given) = (column(&store.snapshot(), name), batch.column_by_name(name).unwrap());
        assert!(kept[0].to_data().ptr_eq(&given.to_data()), "{name} was copied");
    }
}

#[test]
fn an_embedding_is_moved_and_never_read() {
    let item = || Arc::new(ArrowField::new("item", DataType::Float32, true));
    let values = Float32Array::from(vec![f32::NAN; 384 * 3]);
    let list = FixedSizeListArray::new(item(), 384, Arc::new(values), None);
    let declared =
        Type::new(Kind::FixedList(Box::new(Type::new(Kind::Float(FloatWidth::F32))), 384));
    let record =
        Record::new("n").field(Field::new("id", Type::int())).field(Field::new("e", declared));
    for declaration in [Some(record.into()), None] {
        let mut store = TokenStore::new(declaration, "id").unwrap();
        let batch = batch([("id", ints(0..3)), ("e", Arc::new(list.clone()) as ArrayRef)]);
        let report = put(&mut store, &batch).unwrap();
        assert_eq!(report.bytes_copied(), 0);
        assert!(column(&store.snapshot(), "e")[0].to_data().ptr_eq(&list.to_data()));
    }
}

#[test]
fn chunks_are_not_joined() {
    let mut store = store();
    let schema = nodes([], &[]).schema();
    let batches =
        [nodes([1], &[Some("code")]), nodes([], &[]), nodes([2, 3], &[Some("spec"), Some("test")])];
    let report = store.ingest(&schema, &batches, OnDuplicate::Error, &InOrder).unwrap();
    assert_eq!(report.inserted, 3);
    assert_eq!(store.snapshot().chunks(), 2);
    assert_eq!(int_column(&store, "id"), [1, 2, 3]);
}

#[test]
fn skip_keeps_the_first_and_replace_the_last() {
    let start = || {
        let mut store = store();
        put(&mut store, &nodes([1, 2, 3], &[Some("code"); 3])).unwrap();
        store
    };
    let batch = nodes([2, 4, 4], &[Some("test"), Some("spec"), Some("test")]);
    let mut skip = start();
    let report = put_as(&mut skip, &batch, OnDuplicate::Skip).unwrap();
    assert_eq!((report.inserted, report.skipped, report.replaced), (1, 2, 0));
    assert_eq!(int_column(&skip, "id"), [1, 2, 3, 4]);
    assert_eq!(skip.len(), 4);
    let mut replace = start();
    let report = put_as(&mut replace, &batch, OnDuplicate::Replace).unwrap();
    assert_eq!((report.inserted, report.skipped, report.replaced), (2, 0, 2));
    assert_eq!(int_column(&replace, "id"), [1, 3, 2, 4]);
    let rows = replace.rows(&[Id::Int(4), Id::Int(9), Id::Int(2)]).unwrap();
    let kinds = arrow_cast::cast(rows.column_by_name("kind").unwrap(), &DataType::Utf8).unwrap();
    assert_eq!(kinds.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["test", "test"]);
    // Replaced again and again, a chunk gives its memory back, and ids are still found.
    for round in 0..50_i64 {
        let batch = batch_of_scores(1..=3, round);
        put_as(&mut replace, &batch, OnDuplicate::Replace).unwrap();
    }
    assert_eq!(replace.len(), 4);
    assert!(replace.snapshot().chunks() <= 2, "{:?}", replace.snapshot());
    assert!(replace.contains(Id::Int(4)) && replace.contains(Id::Int(1)));
}

#[test]
fn a_hook_that_refuses_undoes_everything() {
    let mut store = store();
    put(&mut store, &nodes([1, 2], &[Some("code"); 2])).unwrap();
    let before = format!("{:?}", store.snapshot().batches());
    let batch = nodes([2, 3], &[Some("test"); 2]);
    for policy in [OnDuplicate::Replace, OnDuplicate::Skip] {
        let refused: Result<_, StoreError> = store.ingest_with(
            &batch.schema(),
            std::slice::from_ref(&batch),
            policy,
            &InOrder,
            |delta| {
                assert_eq!(
                    delta.removed(),
                    if policy == OnDuplicate::Replace { vec![2] } else { vec![] }
                );
                Err(StoreError::Full)
            },
        );
        assert_eq!(refused, Err(StoreError::Full));
        assert_eq!(format!("{:?}", store.snapshot().batches()), before);
        assert!(store.contains(Id::Int(2)) && !store.contains(Id::Int(3)));
    }
}
