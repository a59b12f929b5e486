//! Columns against the declaration: carried, declared, filled, on their way out.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, LargeStringArray,
    ListArray, NullArray, StringArray, StructArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_cast::display::array_value_to_string;
use arrow_schema::{DataType, Field as ArrowField};
use ottava_core::schema::{
    Declaration, Extra, Field, FieldDefault, IntWidth, Kind, Record, Type, Value,
};
use ottava_core::store::{Promise, Retiring, StoreError, TokenStore};

use super::{batch, batch_of_scores, column, ints, nodes, put, store, texts};

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
    // What may be null in a record may be missing in the next, as columns may.
    let record = |name: &str| {
        let field = ArrowField::new(name, DataType::Int64, true);
        Arc::new(StructArray::new(vec![field].into(), vec![ints([1])], None)) as ArrayRef
    };
    let mut records = TokenStore::new(None, "key").unwrap();
    put(&mut records, &batch([("key", ints([1])), ("n", record("a"))])).unwrap();
    put(&mut records, &batch([("key", ints([2])), ("n", record("b"))])).unwrap();
    let shown: Vec<_> = column(&records.snapshot(), "n")
        .iter()
        .map(|array| array_value_to_string(array, 0).unwrap())
        .collect();
    assert_eq!(shown, ["{a: 1, b: }", "{a: , b: 1}"]);
    let nothing = batch([("key", Arc::new(StringArray::from(vec![None::<&str>])) as ArrayRef)]);
    assert_eq!(
        put(&mut store, &nothing).unwrap_err(),
        StoreError::Null { row: 0, column: "key".into() }
    );
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
fn a_path_of_a_lock_is_found_under_aliases_and_inside() {
    let part = Record::new("part")
        .field(Field::new("x", Type::int().nullable()).alias("ex").default_null())
        .field(Field::new("y", Type::int().nullable()).default_null());
    let record = Record::new("n")
        .field(Field::new("id", Type::int()))
        .field(Field::new("old", Type::int().nullable()).alias("previous").default_null())
        .field(Field::new("parts", Type::list(part.into()).nullable()).default_null());
    let retire = |column: &str| Retiring { column: column.into(), ..Retiring::default() };
    let promise = Promise {
        removed: vec![("parts[].gone".into(), "2.0".into())],
        retiring: ["old", "parts[].x"].map(retire).to_vec(),
    };
    let mut store = TokenStore::new(Some(record.into()), "id").unwrap().with_promise(promise);
    let parts = |name: &str| {
        let field = ArrowField::new(name, DataType::Int64, true);
        let items = StructArray::new(vec![field.clone()].into(), vec![ints([1])], None);
        let item = Arc::new(ArrowField::new("item", DataType::Struct(vec![field].into()), true));
        let offsets = OffsetBuffer::from_lengths([1]);
        Arc::new(ListArray::new(item, offsets, Arc::new(items), None)) as ArrayRef
    };
    for (at, (name, column, found)) in [
        ("previous", ints([1]), &["old"][..]),
        ("old", ints([1]), &["old"]),
        ("parts", parts("ex"), &["parts[].x"]),
        ("parts", parts("x"), &["parts[].x"]),
        ("parts", parts("y"), &[]),
    ]
    .into_iter()
    .enumerate()
    {
        let report = put(&mut store, &batch([("id", ints([at as i64])), (name, column)])).unwrap();
        let retiring: Vec<_> = report.retiring.iter().map(|r| r.column.as_str()).collect();
        assert_eq!(retiring, found, "{name}");
    }
    let err = put(&mut store, &batch([("id", ints([9])), ("parts", parts("gone"))])).unwrap_err();
    assert!(matches!(err, StoreError::Removed { ref column, .. } if column == "parts[].gone"));
}

#[test]
fn an_id_is_never_null_and_no_name_has_a_nul() {
    let nullable = Record::new("n")
        .field(Field::new("id", Type::int().nullable()).default_null())
        .field(Field::new("v", Type::int().nullable()).default_null());
    let mut store = TokenStore::new(Some(nullable.into()), "id").unwrap();
    let null: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    let err = put(&mut store, &batch([("id", null)])).unwrap_err();
    assert_eq!(err, StoreError::Null { row: 1, column: "id".into() });
    let err = put(&mut store, &batch([("id", Arc::new(NullArray::new(1)) as ArrayRef)]));
    assert_eq!(err.unwrap_err(), StoreError::Null { row: 0, column: "id".into() });
    for names in ["a\0b", "deep"] {
        let inner = ArrowField::new("a\0b", DataType::Int64, true);
        let column: ArrayRef = match names {
            "deep" => Arc::new(StructArray::new(vec![inner].into(), vec![ints([1])], None)),
            _ => ints([1]),
        };
        let err = put(&mut store, &batch([("id", ints([1])), (names, column)])).unwrap_err();
        assert!(err.to_string().contains("expected a name without NUL"), "{err}");
    }
    put(&mut store, &batch([("id", ints([1]))])).unwrap();
    assert!(store.snapshot().batches().is_ok());
}

#[test]
fn a_carried_column_widens_without_loss() {
    let mut store = store();
    let carry = |id, column: ArrayRef| {
        batch([("id", ints([id])), ("kind", texts(&[Some("code")])), ("n", column)])
    };
    put(&mut store, &carry(1, Arc::new(Int32Array::from(vec![5])))).unwrap();
    put(&mut store, &carry(2, ints([i64::MAX]))).unwrap();
    let shown: Vec<_> = column(&store.snapshot(), "n")
        .iter()
        .map(|array| array_value_to_string(array, 0).unwrap())
        .collect();
    assert_eq!(shown, ["5", "9223372036854775807"]);
    let err = put(&mut store, &carry(3, Arc::new(Float64Array::from(vec![0.5])))).unwrap_err();
    assert_eq!(err.to_string(), "column n: expected int64, found float64");
}

#[test]
fn defaults_of_every_kind_fill_a_column() {
    let inner = Record::new("inner").field(Field::new("a", Type::int()));
    let cases: [(Type, Value, &str); 4] = [
        (Type::list(Type::str()), Value::List(vec!["a".into(), "b".into()]), "[a, b]"),
        (Type::dict(Type::str(), Type::int()), Value::Map(vec![("k".into(), 1.into())]), "{k: 1}"),
        (inner.into(), Value::Record(vec![("a".into(), 5.into())]), "{a: 5}"),
        (
            Type::new(Kind::FixedList(Box::new(Type::float()), 2)),
            Value::List(vec![1.5.into(), 2.into()]),
            "[1.5, 2.0]",
        ),
    ];
    for (ty, default, shown) in cases {
        let record = Record::new("n")
            .field(Field::new("id", Type::int()))
            .field(Field { default: FieldDefault::Value(default), ..Field::new("v", ty) });
        let mut store = TokenStore::new(Some(record.into()), "id").unwrap();
        put(&mut store, &batch([("id", ints(0..2))])).unwrap();
        let v = column(&store.snapshot(), "v").remove(0);
        assert_eq!(v.len(), 2);
        assert_eq!(array_value_to_string(&v, 1).unwrap(), shown);
    }
    let wrong = Field { default: FieldDefault::Value("x".into()), ..Field::new("v", Type::int()) };
    let record = Record::new("n").field(Field::new("id", Type::int())).field(wrong);
    let mut store = TokenStore::new(Some(record.into()), "id").unwrap();
    let err = put(&mut store, &batch([("id", ints(0..2))])).unwrap_err();
    assert!(matches!(err, StoreError::Default { ref column, .. } if column == "v"), "{err}");
}

#[test]
fn a_nullable_reference_takes_null_and_one_to_itself_is_json() {
    let node = Record::new("Node")
        .field(Field::new("id", Type::int()))
        .field(Field::new("sub", Type::reference("Sub").nullable()).default_null())
        .field(Field::new("next", Type::reference("Node").nullable()).default_null());
    let sub = Record::new("Sub").field(Field::new("a", Type::int()));
    let declared = Declaration::new("Node", Type::reference("Node"))
        .define("Node", Type::from(node))
        .define("Sub", Type::from(sub));
    let mut store = TokenStore::new(Some(declared), "id").unwrap();
    let sub = StructArray::try_new(
        vec![ArrowField::new("a", DataType::Int64, true)].into(),
        vec![Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef],
        Some(vec![true, false].into()),
    );
    let next = texts(&[Some("{\"id\":3}"), None]);
    let columns = [("id", ints(0..2)), ("sub", Arc::new(sub.unwrap()) as ArrayRef), ("next", next)];
    put(&mut store, &batch(columns)).unwrap();
    assert_eq!(column(&store.snapshot(), "sub")[0].null_count(), 1);
    put(&mut store, &batch([("id", ints(2..3)), ("sub", Arc::new(NullArray::new(1)))])).unwrap();
    assert_eq!(store.len(), 3);
}
