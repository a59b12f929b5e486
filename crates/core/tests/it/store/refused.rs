//! Batches that are refused: with their place, and without a trace.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, StructArray, UInt64Array,
};
use arrow_schema::{DataType, Field as ArrowField, Schema, SchemaRef};
use ottava_core::schema::{Declaration, Field, Record, Type};
use ottava_core::store::{Broken, InOrder, OnDuplicate, RuleCheck, StoreError, TokenStore};

use super::{batch, ints, nodes, put, refused, store, texts};

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
