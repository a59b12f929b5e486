//! The store: what it takes, what it refuses, what it gives back.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int8Type, Int32Type, UInt32Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, FixedSizeListArray, Float32Array, Float64Array,
    Int32Array, Int64Array, LargeStringArray, ListArray, NullArray, RecordBatch, StringArray,
    StringViewArray, StructArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, UInt64Array,
};
use arrow_schema::{DataType, Field as ArrowField, Schema, SchemaRef};
use ottava_core::schema::{
    Declaration, Extra, Field, FloatWidth, IntWidth, Kind, Record, TimeUnit, Type,
};
use ottava_core::store::{
    Broken, Coordinates, Id, InOrder, OnDuplicate, Promise, Report, Retiring, RuleCheck, Snapshot,
    StoreError, TokenStore,
};
use proptest::prelude::*;

fn batch(columns: impl IntoIterator<Item = (&'static str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap()
}

fn ints(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<StringArray>())
}

fn node() -> Declaration {
    Record::new("Node")
        .field(Field::new("id", Type::int()))
        .field(Field::new("kind", Type::one_of(["code", "spec", "test"])))
        .field(Field::new("score", Type::float().nullable()).default_null())
        .into()
}

fn store() -> TokenStore {
    TokenStore::new(Some(node()), "id").unwrap()
}

fn put(store: &mut TokenStore, batch: &RecordBatch) -> Result<Report, StoreError> {
    put_as(store, batch, OnDuplicate::Error)
}

fn put_as(
    store: &mut TokenStore,
    batch: &RecordBatch,
    on_duplicate: OnDuplicate,
) -> Result<Report, StoreError> {
    store.ingest(&batch.schema(), std::slice::from_ref(batch), on_duplicate, &InOrder)
}

fn nodes(ids: impl IntoIterator<Item = i64>, kinds: &[Option<&str>]) -> RecordBatch {
    batch([("id", ints(ids)), ("kind", texts(kinds))])
}

fn column(snapshot: &Snapshot, name: &str) -> Vec<ArrayRef> {
    let (_, batches) = snapshot.batches().unwrap();
    batches.iter().map(|batch| batch.column_by_name(name).unwrap().clone()).collect()
}

fn int_column(store: &TokenStore, name: &str) -> Vec<i64> {
    let values =
        |array: &ArrayRef| array.as_primitive::<arrow_array::types::Int64Type>().values().to_vec();
    column(&store.snapshot(), name).iter().flat_map(values).collect()
}

/// Takes the batch into a store that holds something, and checks that a refusal leaves it as it was.
fn refused(batch: &RecordBatch) -> StoreError {
    refused_by(store(), &nodes([100, 101], &[Some("code"), Some("test")]), batch)
}

fn refused_by(mut store: TokenStore, first: &RecordBatch, batch: &RecordBatch) -> StoreError {
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
fn duplicates_are_found_inside_the_batch_and_against_the_store() {
    let err = refused(&nodes([1, 2, 1], &[Some("code"); 3]));
    let expected =
        StoreError::Duplicate { row: 2, column: "id".into(), value: "1".into(), earlier: Some(0) };
    assert_eq!(err, expected);
    assert_eq!(err.to_string(), "row 2, column id: id 1 is already in row 0");
    let err = refused(&nodes([1, 101], &[Some("code"); 2]));
    assert_eq!(err.to_string(), "row 1, column id: id 101 is already in the store");
    // Across record batches, rows are counted through.
    let mut store = store();
    let batches = [nodes([1, 2], &[Some("code"); 2]), nodes([3, 2], &[Some("code"); 2])];
    let err =
        store.ingest(&batches[0].schema(), &batches, OnDuplicate::Error, &InOrder).unwrap_err();
    assert_eq!(err.to_string(), "row 3, column id: id 2 is already in row 1");
    assert!(store.is_empty());
}

#[test]
fn values_are_refused_with_their_place() {
    let err = refused(&nodes([1, 2], &[Some("code"), Some("spek")]));
    assert_eq!(
        err.to_string(),
        r#"row 1, column kind: "spek" is none of ["code", "spec", "test"]"#
    );
    assert_eq!((err.row(), err.column(), err.value()), (Some(1), Some("kind"), Some("\"spek\"")));
    let err = refused(&nodes([1, 2], &[None, Some("spec")]));
    assert_eq!(err, StoreError::Null { row: 0, column: "kind".into() });
    let err = refused(&batch([
        ("id", Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef),
        ("kind", texts(&[Some("code"); 2])),
    ]));
    assert_eq!(err, StoreError::Null { row: 1, column: "id".into() });
    let err = refused(&batch([
        ("id", Arc::new(UInt64Array::from(vec![1, u64::MAX])) as ArrayRef),
        ("kind", texts(&[Some("code"); 2])),
    ]));
    assert_eq!(err.to_string(), "row 1, column id: 18446744073709551615 does not fit int64");
}

#[test]
fn schemas_are_refused_field_by_field_before_any_row() {
    let err = refused(&batch([("id", texts(&[Some("x")])), ("score", texts(&[Some("x")]))]));
    let StoreError::Schema(mismatches) = &err else { panic!("{err}") };
    let paths: Vec<_> = mismatches.iter().map(|m| m.path.as_str()).collect();
    assert_eq!(paths, ["id", "kind", "score"]);
    assert_eq!(
        err.to_string(),
        "column id: expected int64, found utf8; column kind: expected enum[\"code\", \"spec\", \"test\"], found nothing; \
         column score: expected float64 or null, found utf8"
    );
    let twice = Schema::new(vec![
        ArrowField::new("id", DataType::Int64, false),
        ArrowField::new("id", DataType::Int64, false),
    ]);
    let twice = RecordBatch::try_new(Arc::new(twice), vec![ints([1]), ints([2])]).unwrap();
    assert!(refused(&twice).to_string().contains("several"));
}

#[test]
fn undeclared_columns_are_carried_or_forbidden() {
    let mut store = store();
    put(&mut store, &nodes([1], &[Some("code")])).unwrap();
    let more = |id, note: ArrayRef| {
        batch([("note", note), ("id", ints([id])), ("kind", texts(&[Some("code")]))])
    };
    put(&mut store, &more(2, Arc::new(LargeStringArray::from(vec!["b"])))).unwrap();
    put(&mut store, &more(3, texts(&[Some("c")]))).unwrap();
    put(&mut store, &nodes([4], &[Some("code")])).unwrap();
    let notes: Vec<_> = column(&store.snapshot(), "note")
        .iter()
        .map(|a| a.is_valid(0).then(|| a.as_string_view().value(0).to_owned()))
        .collect();
    assert_eq!(notes, [None, Some("b".to_owned()), Some("c".to_owned()), None]);
    let err = put(&mut store, &more(5, ints([5]))).unwrap_err();
    assert_eq!(err.to_string(), "column note: expected largeutf8, found int64");

    let strict: Declaration =
        Record::new("n").field(Field::new("id", Type::int())).extra(Extra::Forbid).into();
    let mut store = TokenStore::new(Some(strict), "id").unwrap();
    let err = put(&mut store, &batch([("id", ints([1])), ("note", ints([1]))])).unwrap_err();
    assert_eq!(err.to_string(), "column note: expected no such column, found int64");
}

#[test]
fn the_first_batch_declares_a_store_that_has_no_declaration() {
    let mut store = TokenStore::new(None, "key").unwrap();
    assert!(matches!(put(&mut store, &nodes([1], &[None])), Err(StoreError::NoColumn { .. })));
    assert!(store.declaration().is_none());
    let first = batch([
        ("key", texts(&[Some("a")])),
        ("x", ints([1])),
        ("empty", Arc::new(NullArray::new(1))),
    ]);
    put(&mut store, &first).unwrap();
    // A nullable column may be missing later; a column of nulls gets its type when it has one.
    put(&mut store, &batch([("key", texts(&[Some("b")])), ("empty", ints([7]))])).unwrap();
    let wrong = batch([("key", texts(&[Some("c")])), ("x", texts(&[Some("1")]))]);
    assert!(matches!(put(&mut store, &wrong), Err(StoreError::Schema(_))));
    let x: Vec<_> = column(&store.snapshot(), "x").iter().map(|a| a.is_valid(0)).collect();
    assert_eq!(x, [true, false]);
    assert_eq!(
        store.snapshot().schema().field_with_name("empty").unwrap().data_type(),
        &DataType::Int64
    );
    let nothing = batch([("key", Arc::new(StringArray::from(vec![None::<&str>])) as ArrayRef)]);
    assert_eq!(
        put(&mut store, &nothing).unwrap_err(),
        StoreError::Null { row: 0, column: "key".into() }
    );
}

#[test]
fn every_layout_of_text_is_one_logical_type() {
    let words = ["code", "test", "spec", "code"];
    let dictionary: DictionaryArray<UInt32Type> = words.into_iter().collect();
    let layouts: [ArrayRef; 4] = [
        Arc::new(StringArray::from(words.to_vec())),
        Arc::new(LargeStringArray::from(words.to_vec())),
        Arc::new(StringViewArray::from(words.to_vec())),
        Arc::new(dictionary),
    ];
    let record = Record::new("n")
        .field(Field::new("id", Type::str()))
        .field(Field::new("kind", Type::one_of(["spec", "code", "test"])))
        .field(Field::new("text", Type::str()));
    let ids = ["a", "b", "c", "an id that is longer than twelve bytes"];
    let id_dictionary: DictionaryArray<Int32Type> = ids.into_iter().collect();
    let id_layouts: [ArrayRef; 4] = [
        Arc::new(StringArray::from(ids.to_vec())),
        Arc::new(LargeStringArray::from(ids.to_vec())),
        Arc::new(StringViewArray::from(ids.to_vec())),
        Arc::new(id_dictionary),
    ];
    let mut stores = Vec::new();
    for (layout, id) in layouts.iter().zip(&id_layouts) {
        let mut store = TokenStore::new(Some(record.clone().into()), "id").unwrap();
        put(
            &mut store,
            &batch([("id", id.clone()), ("kind", layout.clone()), ("text", layout.clone())]),
        )
        .unwrap();
        // The same id in another layout is the same id.
        for (layout, id) in layouts.iter().zip(&id_layouts) {
            let again =
                batch([("id", id.clone()), ("kind", layout.clone()), ("text", layout.clone())]);
            assert!(matches!(put(&mut store, &again), Err(StoreError::Duplicate { row: 0, .. })));
        }
        assert!(store.contains(Id::Text("b")) && !store.contains(Id::Text("z")));
        stores.push(store.snapshot());
    }
    for other in &stores[1..] {
        assert_eq!(stores[0].same(other), Ok(true));
    }
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

fn batch_of_scores(ids: impl IntoIterator<Item = i64>, score: i64) -> RecordBatch {
    let ids: Vec<_> = ids.into_iter().collect();
    let scores = Float64Array::from(vec![score as f64; ids.len()]);
    batch([
        ("kind", texts(&vec![Some("code"); ids.len()])),
        ("score", Arc::new(scores)),
        ("id", ints(ids)),
    ])
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

#[test]
fn coordinates_must_be_finite_and_there() {
    let names: Vec<String> = (0..8).map(|i| format!("x{i}")).collect();
    let with = |id: i64, axis: usize, value: Option<f64>| {
        let mut columns =
            vec![("id".to_owned(), ints([id])), ("kind".to_owned(), texts(&[Some("code")]))];
        for (i, name) in names.iter().enumerate() {
            let x = if i == axis { value } else { Some(0.5) };
            columns.push((name.clone(), Arc::new(Float64Array::from(vec![x])) as ArrayRef));
        }
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)))
            .unwrap()
    };
    let mut store = store();
    let coordinates = Coordinates::new(names.clone()).unwrap();
    assert!(matches!(store.watch(coordinates.clone()), Err(StoreError::NoColumn { .. })));
    put(&mut store, &with(1, 0, Some(0.5))).unwrap();
    store.watch(coordinates.clone()).unwrap();
    for (bad, shown) in [
        (Some(f64::NAN), "NaN"),
        (Some(f64::INFINITY), "inf"),
        (Some(1e30), "1e30"),
        (None, "null"),
    ] {
        let err = put(&mut store, &with(2, 3, bad)).unwrap_err();
        assert_eq!(
            err,
            StoreError::Coordinate { row: 0, column: "x3".into(), value: shown.into() }
        );
    }
    assert!(matches!(
        put(&mut store, &nodes([3], &[Some("code")])),
        Err(StoreError::NoColumn { .. })
    ));
    let mut seen = (Vec::new(), Vec::new());
    let batch = with(5, 7, Some(2.0));
    let report: Result<_, StoreError> = store.ingest_with(
        &batch.schema(),
        std::slice::from_ref(&batch),
        OnDuplicate::Error,
        &InOrder,
        |delta| {
            seen = delta.added(&coordinates)?;
            Ok(())
        },
    );
    report.unwrap();
    assert_eq!(seen, (vec![5], vec![[0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 2.0]]));
    assert_eq!(store.everything(&coordinates).unwrap().0, [1, 5]);
    assert!(Coordinates::new(vec!["a".into(), "b".into()]).is_err());
    // One column of lists does as well.
    let list = |values: Vec<Option<Vec<Option<f32>>>>| -> ArrayRef {
        Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(values, 8))
    };
    let mut store = TokenStore::new(None, "id").unwrap();
    let lists = Coordinates::new(vec!["at".into()]).unwrap();
    let good: Vec<Option<f32>> = (0..8).map(|i| Some(i as f32)).collect();
    put(&mut store, &self::batch([("id", ints([1])), ("at", list(vec![Some(good.clone())]))]))
        .unwrap();
    store.watch(lists.clone()).unwrap();
    let mut bad = good.clone();
    bad[2] = Some(f32::NAN);
    let err = put(
        &mut store,
        &self::batch([("id", ints([2, 3])), ("at", list(vec![Some(good), Some(bad)]))]),
    );
    assert_eq!(
        err.unwrap_err().to_string(),
        "row 1, column at[2]: coordinate NaN is not finite or beyond 2^61"
    );
    let err = put(&mut store, &self::batch([("id", ints([2])), ("at", list(vec![None]))]));
    assert_eq!(
        err.unwrap_err(),
        StoreError::Coordinate { row: 0, column: "at".into(), value: "null".into() }
    );
    assert_eq!(store.everything(&lists).unwrap().1[0][7], 7.0);
}

#[test]
fn negative_ids_are_no_keys_of_tokens() {
    let mut store = TokenStore::new(None, "id").unwrap();
    let at =
        FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>([Some([Some(0.0); 8])], 8);
    put(&mut store, &batch([("id", ints([-4])), ("at", Arc::new(at))])).unwrap();
    let err = store.everything(&Coordinates::new(vec!["at".into()]).unwrap()).unwrap_err();
    assert_eq!(err.to_string(), "row 0, column id: -4 does not fit a token id, 0 to 2^64 - 2");
}

#[test]
fn numbers_widen_without_loss_and_never_narrow() {
    let int = |width| Type::new(Kind::Int(width));
    let f32s: ArrayRef = Arc::new(Float32Array::from(vec![0.1]));
    let i32s: ArrayRef = Arc::new(Int32Array::from(vec![7]));
    let cases: [(Type, &ArrayRef, bool); 6] = [
        (Type::float(), &f32s, true),
        (Type::float(), &i32s, true),
        (Type::int(), &i32s, true),
        (Type::new(Kind::Float(FloatWidth::F32)), &i32s, false),
        (Type::int(), &f32s, false),
        (Type::str(), &i32s, false),
    ];
    for (declared, found, fits) in cases {
        let record = Record::new("n")
            .field(Field::new("id", Type::int()))
            .field(Field::new("v", declared.clone()));
        let mut store = TokenStore::new(Some(record.into()), "id").unwrap();
        let taken = put(&mut store, &batch([("id", ints([1])), ("v", found.clone())]));
        assert_eq!(taken.is_ok(), fits, "{declared:?} {taken:?}");
    }
    let record = Record::new("n")
        .field(Field::new("id", Type::int()))
        .field(Field::new("v", int(IntWidth::I8)));
    let mut store = TokenStore::new(Some(record.into()), "id").unwrap();
    let err = put(&mut store, &batch([("id", ints([1, 2])), ("v", ints([127, 128]))])).unwrap_err();
    assert_eq!(err.to_string(), "row 1, column v: 128 does not fit int8");
}

#[test]
fn instants_keep_their_unit_and_zone() {
    let moment = |unit, aware, zone: Option<&str>| {
        let mut ty = Type::new(Kind::DateTime { unit, aware: Some(aware) });
        ty.rules.time_zone = zone.map(str::to_owned);
        let record =
            Record::new("n").field(Field::new("id", Type::int())).field(Field::new("t", ty));
        TokenStore::new(Some(record.into()), "id").unwrap()
    };
    let micro = |zone: Option<&str>| -> ArrayRef {
        let array = TimestampMicrosecondArray::from(vec![5]);
        Arc::new(match zone {
            Some(zone) => array.with_timezone(zone),
            None => array,
        })
    };
    let row = |array: ArrayRef| batch([("id", ints([1])), ("t", array)]);
    let us = TimeUnit::Micro;
    // Another name of a zone is the same instant, in the same buffer.
    let mut store = moment(us, true, None);
    let report = put(&mut store, &row(micro(Some("Europe/Vienna")))).unwrap();
    assert_eq!(report.bytes_copied(), 0);
    assert_eq!(
        store.snapshot().schema().field(1).data_type(),
        &DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, Some("UTC".into()))
    );
    assert!(
        put(&mut moment(us, true, Some("Europe/Vienna")), &row(micro(Some("Europe/Vienna"))))
            .is_ok()
    );
    assert!(put(&mut moment(us, true, Some("Europe/Vienna")), &row(micro(Some("UTC")))).is_err());
    assert!(put(&mut moment(us, true, None), &row(micro(None))).is_err());
    assert!(put(&mut moment(us, false, None), &row(micro(Some("UTC")))).is_err());
    let coarse: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![5]));
    assert!(put(&mut moment(us, false, None), &row(coarse)).is_ok());
    let fine: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![5]));
    let err = put(&mut moment(us, false, None), &row(fine)).unwrap_err();
    assert_eq!(err.to_string(), "column t: expected timestamp[us], found timestamp[ns]");
    let late: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![i64::MAX]));
    let err = put(&mut moment(us, false, None), &row(late)).unwrap_err();
    assert_eq!((err.row(), err.column()), (Some(0), Some("t")));
}

#[test]
fn nested_values_are_checked_where_they_are() {
    let inner = Record::new("inner")
        .field(Field::new("kind", Type::one_of(["a", "b"])))
        .field(Field::new("n", Type::int().ge(0)));
    let record = Record::new("n")
        .field(Field::new("id", Type::int()))
        .field(Field::new("inner", Type::from(inner).nullable()))
        .field(Field::new("tags", Type::list(Type::str().min_length(1))));
    let declaration = Declaration::from(record);
    let row =
        |kinds: Vec<Option<&str>>, ns: Vec<i64>, valid: Vec<bool>, tags: &[&[Option<&str>]]| {
            let fields = vec![
                ArrowField::new("n", DataType::Int64, true),
                ArrowField::new("kind", DataType::Utf8, true),
            ];
            let columns: Vec<ArrayRef> = vec![ints(ns), Arc::new(StringArray::from(kinds))];
            let inner = StructArray::new(fields.into(), columns, Some(valid.into()));
            let mut lists = ListBuilder::new(StringBuilder::new());
            for row in tags {
                row.iter().for_each(|tag| lists.values().append_option(*tag));
                lists.append(true);
            }
            batch([
                ("id", ints(0..tags.len() as i64)),
                ("inner", Arc::new(inner) as ArrayRef),
                ("tags", Arc::new(lists.finish())),
            ])
        };
    let take = |batch: &RecordBatch| {
        let mut store = TokenStore::new(Some(declaration.clone()), "id").unwrap();
        put(&mut store, batch).map_err(|err| err.to_string())
    };
    let good: &[&[Option<&str>]] = &[&[], &[Some("x")]];
    assert!(take(&row(vec![Some("a"), Some("b")], vec![1, 2], vec![true, true], good)).is_ok());
    // What stands below a null record does not count.
    assert!(take(&row(vec![Some("a"), None], vec![1, -2], vec![true, false], good)).is_ok());
    assert!(take(&row(vec![Some("a"), Some("z")], vec![1, 2], vec![true, false], good)).is_ok());
    let err = |kinds, ns, tags| take(&row(kinds, ns, vec![true, true], tags)).unwrap_err();
    assert_eq!(
        err(vec![Some("a"), Some("z")], vec![1, 2], good),
        r#"row 1, column inner.kind: "z" is none of ["a", "b"]"#
    );
    assert_eq!(
        err(vec![Some("a"), Some("b")], vec![1, -2], good),
        "row 1, column inner.n: -2 breaks the rule ge 0"
    );
    assert_eq!(
        err(vec![None, Some("b")], vec![1, 2], good),
        "row 0, column inner.kind: null, but the column is not nullable"
    );
    let tags: &[&[Option<&str>]] = &[&[Some("x"), Some("y")], &[Some("z"), Some("")]];
    assert_eq!(
        err(vec![Some("a"), Some("b")], vec![1, 2], tags),
        "row 1, column tags[]: \"\" breaks the rule min_length 1"
    );
    let tags: &[&[Option<&str>]] = &[&[], &[Some("z"), None]];
    assert_eq!(
        err(vec![Some("a"), Some("b")], vec![1, 2], tags),
        "row 1, column tags[]: null, but the column is not nullable"
    );
    // Rows are those of the slice.
    let whole =
        row(vec![Some("a"), Some("z"), Some("a")], vec![1, 2, 3], vec![true; 3], &[&[], &[], &[]]);
    assert!(take(&whole.slice(2, 1)).is_ok());
    assert!(take(&whole.slice(1, 2)).unwrap_err().starts_with("row 0, column inner.kind"));
}

#[test]
fn rules_are_held_or_refused_but_never_passed_over() {
    let with = |ty: Type, array: ArrayRef| {
        let record =
            Record::new("n").field(Field::new("id", Type::int())).field(Field::new("v", ty));
        let mut store = TokenStore::new(Some(record.into()), "id").unwrap();
        let rows = array.len() as i64;
        put(&mut store, &batch([("id", ints(0..rows)), ("v", array)]))
            .map(|_| ())
            .map_err(|err| err.to_string())
    };
    let numbers = || ints([1, 2, 3]);
    assert_eq!(with(Type::int().ge(1).le(3), numbers()), Ok(()));
    assert_eq!(
        with(Type::int().gt(1), numbers()),
        Err("row 0, column v: 1 breaks the rule gt 1".into())
    );
    assert_eq!(
        with(Type::int().lt(2.5), numbers()),
        Err("row 2, column v: 3 breaks the rule lt 2.5".into())
    );
    assert_eq!(
        with(Type::int().ge(i64::MAX), numbers()).unwrap_err(),
        format!("row 0, column v: 1 breaks the rule ge {}", i64::MAX)
    );
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.5), None, Some(f64::NAN)]));
    assert!(
        with(Type::float().nullable().ge(0.5), floats.clone())
            .unwrap_err()
            .starts_with("row 2, column v: NaN")
    );
    let mut finite = Type::float().nullable();
    finite.rules.allow_inf_nan = Some(false);
    assert_eq!(with(finite, floats), Err("row 2, column v: NaN breaks the rule finite".into()));
    let words = texts(&[Some("ab"), Some("\u{e9}")]);
    assert_eq!(
        with(Type::str().min_length(2), words.clone()),
        Err("row 1, column v: \"é\" breaks the rule min_length 2".into())
    );
    let pattern = Type::str().pattern("^a");
    assert_eq!(
        with(pattern.clone(), words.clone()),
        Err("column v: nothing was given to check the rule pattern".into())
    );

    struct StartsWithA;
    impl RuleCheck for StartsWithA {
        fn check(&self, _: &Declaration, ty: &Type, array: &ArrayRef) -> Result<(), Broken> {
            assert_eq!(ty.rules.pattern.as_deref(), Some("^a"));
            match array
                .as_string::<i32>()
                .iter()
                .position(|text| text.is_some_and(|t| !t.starts_with('a')))
            {
                Some(row) => Err(Broken { row, rule: "pattern ^a".to_owned() }),
                None => Ok(()),
            }
        }
    }
    let record =
        Record::new("n").field(Field::new("id", Type::int())).field(Field::new("v", pattern));
    let mut store =
        TokenStore::new(Some(record.into()), "id").unwrap().with_rules(Arc::new(StartsWithA));
    let err = put(&mut store, &batch([("id", ints(0..2)), ("v", words)])).unwrap_err();
    assert_eq!(err.to_string(), "row 1, column v: \"é\" breaks the rule pattern ^a");
}

#[test]
fn defaults_fill_what_a_batch_does_not_bring() {
    let record = Record::new("n")
        .field(Field::new("id", Type::int()))
        .field(Field::new("kind", Type::one_of(["a", "b"])).default("b"))
        .field(Field::new("n", Type::new(Kind::Int(IntWidth::I16))).default(7))
        .field(Field::new("ok", Type::bool()).default(true))
        .field(Field::new("text", Type::str().nullable()).default_null());
    let mut store = TokenStore::new(Some(record.into()), "id").unwrap();
    let report = put(&mut store, &batch([("id", ints(0..3))])).unwrap();
    assert_eq!(report.copies.len(), 4);
    let (schema, batches) = store.snapshot().batches().unwrap();
    assert_eq!(schema.field(2).data_type(), &DataType::Int16);
    let kind = arrow_cast::cast(batches[0].column(1), &DataType::Utf8).unwrap();
    assert_eq!(kind.as_string::<i32>().value(2), "b");
    assert_eq!(batches[0].column(3).as_ref(), &BooleanArray::from(vec![true; 3]) as &dyn Array);
    assert_eq!(batches[0].column(4).null_count(), 3);
}

#[test]
fn a_lock_warns_and_then_refuses() {
    let retiring = Retiring {
        column: "score".into(),
        since: Some("1.1".into()),
        removed_in: Some("2.0".into()),
    };
    let promise =
        Promise { removed: vec![("old".into(), "1.2".into())], retiring: vec![retiring.clone()] };
    let mut store = store().with_promise(promise);
    let report = put(&mut store, &nodes([1], &[Some("code")])).unwrap();
    assert_eq!(report.retiring, []);
    let report = put(&mut store, &batch_of_scores([2], 1)).unwrap();
    assert_eq!(report.retiring, [retiring]);
    let old = batch([("id", ints([3])), ("kind", texts(&[Some("code")])), ("old", ints([1]))]);
    let err = put(&mut store, &old).unwrap_err();
    assert_eq!(
        err.to_string(),
        "column old: it was removed in version 1.2 and its name is reserved"
    );
}

#[test]
fn a_batch_that_is_not_what_was_announced_is_refused() {
    let mut store = store();
    let (first, other) = (
        nodes([1], &[Some("code")]),
        batch([("id", texts(&[Some("x")])), ("kind", texts(&[Some("code")]))]),
    );
    let schema: SchemaRef = first.schema();
    let err = store.ingest(&schema, &[first, other], OnDuplicate::Error, &InOrder).unwrap_err();
    assert_eq!(err.to_string(), "record batch 1: its columns are not those of the first");
    assert!(store.is_empty());
}

#[test]
fn list_layouts_are_one_logical_type() {
    let list: ListArray = ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]);
    let item = Arc::new(ArrowField::new("element", DataType::Int32, true));
    let large = arrow_cast::cast(&list, &DataType::LargeList(item.clone())).unwrap();
    let view = arrow_cast::cast(&list, &DataType::ListView(item)).unwrap();
    let declared = Type::list(Type::int().nullable()).nullable();
    let record =
        Record::new("n").field(Field::new("id", Type::int())).field(Field::new("v", declared));
    let take = |array: ArrayRef| {
        let mut store = TokenStore::new(Some(record.clone().into()), "id").unwrap();
        put(&mut store, &batch([("id", ints(0..3)), ("v", array)])).unwrap();
        store.snapshot()
    };
    let first = take(Arc::new(list));
    for other in [large, view] {
        assert_eq!(first.same(&take(other)), Ok(true));
    }
}

proptest! {
    /// Any sequence of batches under any policies leaves what a map from ids to rows would hold, in the order of arrival.
    #[test]
    fn agrees_with_a_map_of_rows(
        batches in prop::collection::vec(
            (prop::collection::vec((0_i64..40, 0_i64..1000), 0..30), 0_u8..3, 1_usize..5),
            0..8,
        ),
    ) {
        let mut store = TokenStore::new(None, "id").unwrap();
        let mut naive: Vec<(i64, i64)> = Vec::new();
        for (rows, policy, pieces) in batches {
            let policy = [OnDuplicate::Error, OnDuplicate::Skip, OnDuplicate::Replace][usize::from(policy)];
            let whole = batch([("id", ints(rows.iter().map(|r| r.0))), ("v", ints(rows.iter().map(|r| r.1)))]);
            let size = rows.len().div_ceil(pieces).max(1);
            let parts: Vec<_> = (0..rows.len()).step_by(size).map(|at| whole.slice(at, size.min(rows.len() - at))).collect();
            let outcome = store.ingest(&whole.schema(), &parts, policy, &InOrder);
            let mut next = naive.clone();
            let mut clash = false;
            for row in &rows {
                let taken = next.iter().position(|have| have.0 == row.0);
                match (taken, policy) {
                    (None, _) => next.push(*row),
                    (Some(_), OnDuplicate::Error) => clash = true,
                    (Some(_), OnDuplicate::Skip) => {}
                    (Some(at), OnDuplicate::Replace) => {
                        next.remove(at);
                        next.push(*row);
                    }
                }
            }
            prop_assert_eq!(outcome.is_err(), clash);
            if !clash {
                naive = next;
            }
            let have: Vec<_> = if store.snapshot().schema().fields().is_empty() {
                Vec::new()
            } else {
                int_column(&store, "id").into_iter().zip(int_column(&store, "v")).collect()
            };
            prop_assert_eq!(&have, &naive);
            prop_assert_eq!(store.len(), naive.len());
            for id in 0_i64..40 {
                prop_assert_eq!(store.contains(Id::Int(id.into())), naive.iter().any(|row| row.0 == id));
            }
        }
    }
}
