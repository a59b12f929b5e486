//! One logical type in many layouts.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, UInt32Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, Decimal128Array, DictionaryArray, FixedSizeBinaryArray,
    Float32Array, Int32Array, LargeStringArray, ListArray, StringArray, StringViewArray,
    StructArray, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
};
use arrow_cast::display::array_value_to_string;
use arrow_schema::{DataType, Field as ArrowField};
use ottava_core::schema::{Extra, Field, FloatWidth, IntWidth, Kind, Record, TimeUnit, Type};
use ottava_core::store::{Id, StoreError, TokenStore};

use super::{batch, column, ints, put, texts};

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
    let value = i64::MAX.to_string();
    assert_eq!((err.row(), err.column(), err.value()), (Some(0), Some("t"), Some(&*value)));
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

/// A store that takes the batches one after the other, and what it gives out for column `v` as text, row by row.
fn shown(declared: Type, arrays: &[ArrayRef]) -> Result<Vec<String>, StoreError> {
    let record =
        Record::new("n").field(Field::new("id", Type::int())).field(Field::new("v", declared));
    let mut store = TokenStore::new(Some(record.into()), "id")?;
    let mut next = 0;
    for array in arrays {
        let ids = ints(next..next + array.len() as i64);
        next += array.len() as i64;
        put(&mut store, &batch([("id", ids), ("v", array.clone())]))?;
    }
    let ids: Vec<_> = (0..next).map(|id| Id::Int(id.into())).collect();
    let rows = store.rows(&ids)?;
    let (_, batches) = store.snapshot().batches()?;
    let text = |array: &ArrayRef, row| array_value_to_string(array, row).unwrap();
    let whole: Vec<String> = batches
        .iter()
        .flat_map(|b| (0..b.num_rows()).map(move |row| text(b.column(1), row)))
        .collect();
    let taken: Vec<String> = (0..rows.num_rows()).map(|row| text(rows.column(1), row)).collect();
    assert_eq!(whole, taken);
    assert_eq!(store.snapshot().same(&store.snapshot()), Ok(true));
    Ok(whole)
}

#[test]
fn batches_in_different_layouts_keep_every_value() {
    let lists = |rows: &[&[i32]]| {
        let rows = rows.iter().map(|row| Some(row.iter().map(|x| Some(*x)).collect::<Vec<_>>()));
        Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(rows)) as ArrayRef
    };
    let item = Arc::new(ArrowField::new("element", DataType::Int32, false));
    let cast = |array: &ArrayRef, ty: DataType| arrow_cast::cast(array, &ty).unwrap();
    let pairs = cast(&lists(&[&[1, 2]]), DataType::FixedSizeList(item.clone(), 2));
    let views = cast(&lists(&[&[7]]), DataType::ListView(item.clone()));
    let large = cast(&lists(&[&[8, 9]]), DataType::LargeList(item));
    let declared = Type::list(Type::int());
    let all = [pairs, lists(&[&[3, 4, 5], &[]]), views, large];
    let expected = ["[1, 2]", "[3, 4, 5]", "[]", "[7]", "[8, 9]"];
    assert_eq!(shown(declared.clone(), &all).unwrap(), expected);
    assert_eq!(shown(declared.nullable(), &all).unwrap(), expected);

    let four: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter([b"abcd"].iter()).unwrap());
    let two: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter([b"ab"].iter()).unwrap());
    let six: ArrayRef = Arc::new(BinaryArray::from(vec![b"abcdef".as_slice()]));
    let bytes = shown(Type::bytes(), &[four, six, two]).unwrap();
    assert_eq!(bytes, ["61626364", "616263646566", "6162"]);
}

#[test]
fn what_records_have_beyond_their_declaration_is_carried_by_every_batch() {
    let record = |parts: Vec<(&str, ArrayRef)>| {
        let field = |(name, array): &(&str, ArrayRef)| {
            ArrowField::new(*name, array.data_type().clone(), false)
        };
        let fields: Vec<_> = parts.iter().map(field).collect();
        let columns = parts.into_iter().map(|(_, array)| array).collect();
        Arc::new(StructArray::new(fields.into(), columns, None)) as ArrayRef
    };
    let declared: Type = Record::new("s").field(Field::new("label", Type::str())).into();
    let plain = record(vec![("label", texts(&[Some("a")]))]);
    let more = record(vec![("extra", ints([7])), ("label", texts(&[Some("b")]))]);
    let both = [&plain, &more].map(Clone::clone);
    assert_eq!(
        shown(declared.clone(), &both).unwrap(),
        ["{label: a, extra: }", "{label: b, extra: 7}"]
    );
    let turned = [&more, &plain].map(Clone::clone);
    assert_eq!(
        shown(declared.clone(), &turned).unwrap(),
        ["{label: b, extra: 7}", "{label: a, extra: }"]
    );
    let other = record(vec![("label", texts(&[Some("c")])), ("extra", texts(&[Some("x")]))]);
    let err = shown(declared.clone(), &[more.clone(), other]).unwrap_err();
    assert_eq!(err.to_string(), "column v.extra: expected int64, found utf8");
    let mut strict = declared;
    if let Kind::Record(record) = &mut strict.kind {
        record.config.extra = Extra::Forbid;
    }
    let err = shown(strict, &[more]).unwrap_err();
    assert_eq!(err.to_string(), "column v.extra: expected no such field, found int64");
}

#[test]
fn a_decimal_of_another_layout_is_checked_value_by_value() {
    let mut declared = Type::decimal();
    declared.rules.max_digits = Some(10);
    declared.rules.decimal_places = Some(2);
    let whole = |value: i128| {
        let array = Decimal128Array::from(vec![value]).with_precision_and_scale(9, 0);
        Arc::new(array.unwrap()) as ArrayRef
    };
    let good = shown(declared.clone().nullable(), &[whole(12_345_678)]).unwrap();
    assert_eq!(good, ["12345678.00"]);
    let err = shown(declared.nullable(), &[whole(999_999_999)]).unwrap_err();
    assert_eq!((err.row(), err.column(), err.value()), (Some(0), Some("v"), Some("999999999")));
}

#[test]
fn text_is_stripped_before_its_rules_and_cased_after_them() {
    let mut name = Type::str().min_length(2);
    name.rules.strip_whitespace = true;
    let mut tag = Type::str();
    tag.rules.to_upper = true;
    let record = Record::new("n")
        .field(Field::new("id", Type::int()))
        .field(Field::new("name", name.nullable()))
        .field(Field::new("tags", Type::list(tag).nullable()).default_null());
    let given = [Some(" ab "), None, Some("cd")];
    let plain = texts(&given);
    let item = Arc::new(ArrowField::new("item", DataType::Utf8, true));
    let mut tags = ListBuilder::new(StringBuilder::new()).with_field(item);
    tags.append_value([Some("x"), Some("\u{df}")]);
    tags.append_null();
    tags.append_value([Some("Y")]);
    let tags: ArrayRef = Arc::new(tags.finish());
    for ty in [
        DataType::Utf8,
        DataType::LargeUtf8,
        DataType::Utf8View,
        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
    ] {
        let mut store = TokenStore::new(Some(record.clone().into()), "id").unwrap();
        let name = arrow_cast::cast(&plain, &ty).unwrap();
        let batch = batch([("id", ints(0..3)), ("name", name), ("tags", tags.clone())]);
        let report = put(&mut store, &batch).unwrap();
        let copied: Vec<_> = report.copies.iter().map(|copied| copied.column.as_str()).collect();
        assert_eq!(copied, ["name", "tags"], "{ty}");
        let name =
            arrow_cast::cast(&column(&store.snapshot(), "name")[0], &DataType::Utf8).unwrap();
        assert_eq!(&name, &texts(&[Some("ab"), None, Some("cd")]), "{ty}");
        let tags = column(&store.snapshot(), "tags").remove(0);
        assert_eq!(tags.as_list::<i32>().values(), &texts(&[Some("X"), Some("SS"), Some("Y")]));
    }
    let mut store = TokenStore::new(Some(record.into()), "id").unwrap();
    let clean = batch([("id", ints(0..1)), ("name", texts(&[Some("ab")]))]);
    let copies = put(&mut store, &clean).unwrap().copies;
    assert!(copies.iter().all(|copied| copied.column != "name"), "nothing had to be changed");
    let short = batch([("id", ints(1..2)), ("name", texts(&[Some("  a  ")]))]);
    let err = put(&mut store, &short).unwrap_err();
    assert_eq!(err.to_string(), "row 0, column name: \"a\" breaks the rule min_length 2");
}
