//! Places of records, and the keys of their tokens.

use std::sync::Arc;

use arrow_array::types::Float32Type;
use arrow_array::{ArrayRef, FixedSizeListArray, Float64Array, RecordBatch};
use ottava_core::store::{Coordinates, InOrder, OnDuplicate, StoreError, TokenStore};

use super::{batch, ints, nodes, put, store, texts};

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
