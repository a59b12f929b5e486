//! Every mode of compatibility against a table of changes.

use ottava_core::schema::{
    Declaration, Difference, EnumMember, EnumType, Field, FieldDefault, Fingerprint, FloatWidth,
    IntWidth, Kind, Lock, Mode, Record, TimeUnit, Type, Value, diff,
};
use proptest::prelude::*;

fn record(fields: impl IntoIterator<Item = Field>) -> Declaration {
    Declaration::from(fields.into_iter().fold(Record::new("myrecord"), Record::field))
}

fn one(ty: Type) -> Declaration {
    record([Field::new("f1", ty)])
}

fn str_field(name: &str) -> Field {
    Field::new(name, Type::str())
}

/// The schemas of `AvroCompatibilityTest` in the Confluent schema registry, under their numbers there.
fn confluent(number: u32) -> Declaration {
    let f1 = || str_field("f1");
    let f2 = || str_field("f2").default("foo");
    match number {
        1 => record([f1()]),
        2 => record([f1(), f2()]),
        3 => record([f1(), str_field("f2")]),
        4 => record([str_field("f1_new").alias("f1")]),
        6 => one(Type::str().nullable()),
        7 => one(Type::union([Type::str(), Type::new(Kind::Int(IntWidth::I32))]).nullable()),
        8 => record([f1(), f2(), str_field("f3").default("bar")]),
        _ => panic!("no schema {number}"),
    }
}

/// Whether `new` may follow `old` (oldest first) in a mode.
fn compatible(mode: &str, new: &Declaration, old: &[Declaration]) -> bool {
    let mut lock = Lock::new("myrecord", "forward".parse().unwrap());
    // Lock the history under a mode that each step of it passes, or the history itself would be refused.
    for (at, schema) in old.iter().enumerate() {
        let version = format!("1.{at}");
        for step in ["full", "backward", "forward"] {
            lock.set_mode(step.parse().unwrap());
            if lock.add(&version, schema, Default::default()).is_ok() {
                break;
            }
        }
        assert_eq!(lock.latest().unwrap().version.as_str(), version, "the history is locked");
    }
    lock.set_mode(mode.parse().unwrap());
    lock.check(new).iter().all(|verdict| verdict.broken.is_empty())
}

#[test]
fn agrees_with_the_avro_table_of_confluent() {
    // (mode, new schema, old schemas with the oldest first, compatible); in the order of that test.
    let table: &[(&str, u32, &[u32], bool)] = &[
        ("backward", 2, &[1], true),
        ("backward", 3, &[1], false),
        ("backward", 4, &[1], true),
        ("backward", 6, &[1], true),
        ("backward", 1, &[6], false),
        ("backward", 7, &[6], true),
        ("backward", 6, &[7], false),
        ("backward", 3, &[1, 2], true),
        ("backward-transitive", 8, &[1, 2], true),
        ("backward-transitive", 2, &[1], true),
        ("backward-transitive", 3, &[2], true),
        ("backward-transitive", 3, &[1, 2], false),
        ("forward", 2, &[1], true),
        ("forward", 3, &[1], true),
        ("forward", 3, &[2], true),
        ("forward", 2, &[3], true),
        ("forward", 1, &[3, 2], true),
        ("forward-transitive", 1, &[8, 2], true),
        ("forward-transitive", 2, &[3], true),
        ("forward-transitive", 1, &[2], true),
        ("forward-transitive", 1, &[3, 2], false),
        ("full", 2, &[1], true),
        ("full", 3, &[1, 2], true),
        ("full", 1, &[3, 2], true),
        ("full-transitive", 8, &[1, 2], true),
        ("full-transitive", 1, &[8, 2], true),
        ("full-transitive", 2, &[3], true),
        ("full-transitive", 1, &[2], true),
        ("full-transitive", 2, &[1], true),
        ("full-transitive", 3, &[2], true),
        ("full-transitive", 3, &[1, 2], false),
        ("full-transitive", 1, &[3, 2], false),
    ];
    for (mode, new, old, expected) in table {
        let history: Vec<_> = old.iter().map(|n| confluent(*n)).collect();
        assert_eq!(
            compatible(mode, &confluent(*new), &history),
            *expected,
            "{mode}: {new} after {old:?}"
        );
    }
}

/// A change from the second to the third, whether it is backward, whether it is forward compatible.
type Row = (&'static str, Declaration, Declaration, bool, bool);

fn int(width: IntWidth) -> Type {
    Type::new(Kind::Int(width))
}

fn float(width: FloatWidth) -> Type {
    Type::new(Kind::Float(width))
}

fn time(unit: TimeUnit, aware: Option<bool>) -> Type {
    Type::new(Kind::DateTime { unit, aware })
}

fn fixed(n: usize) -> Type {
    Type::new(Kind::FixedList(Box::new(Type::float()), n))
}

fn nested(fields: impl IntoIterator<Item = Field>) -> Declaration {
    let inner = fields.into_iter().fold(Record::new("inner"), Record::field);
    record([Field::new("f1", Type::list(Type::from(inner)))])
}

fn table() -> Vec<Row> {
    let zone = |zone: &str| {
        let mut ty = time(TimeUnit::Micro, Some(true));
        ty.rules.time_zone = Some(zone.to_owned());
        one(ty)
    };
    let span = |unit| {
        let mut ty = Type::duration();
        ty.rules.unit = Some(unit);
        one(ty)
    };
    vec![
        // "Compatibility types" of the registry's manual.
        ("delete a required field", confluent(3), confluent(1), true, false),
        ("delete an optional field", confluent(2), confluent(1), true, true),
        ("add a required field", confluent(1), confluent(3), false, true),
        ("add an optional field", confluent(1), confluent(2), true, true),
        ("rename with an alias", confluent(1), confluent(4), true, false),
        // Promotions of Avro that lose nothing, and those that do.
        ("int to long", one(int(IntWidth::I32)), one(int(IntWidth::I64)), true, false),
        ("long to int", one(int(IntWidth::I64)), one(int(IntWidth::I32)), false, true),
        ("int to double", one(int(IntWidth::I32)), one(Type::float()), true, false),
        ("long to double", one(int(IntWidth::I64)), one(Type::float()), false, false),
        ("float to double", one(float(FloatWidth::F32)), one(Type::float()), true, false),
        ("double to float", one(Type::float()), one(float(FloatWidth::F32)), false, true),
        ("signed to unsigned", one(int(IntWidth::I8)), one(int(IntWidth::U16)), false, false),
        ("unsigned to signed", one(int(IntWidth::U8)), one(int(IntWidth::I16)), true, false),
        ("text to number", one(Type::str()), one(Type::int()), false, false),
        ("text to bytes", one(Type::str()), one(Type::bytes()), false, false),
        // Null and unions.
        ("to nullable", one(Type::str()), one(Type::str().nullable()), true, false),
        ("from nullable", one(Type::str().nullable()), one(Type::str()), false, true),
        ("to a union", one(Type::str()), one(Type::union([Type::str(), Type::int()])), true, false),
        (
            "from a union",
            one(Type::union([Type::str(), Type::int()])),
            one(Type::str()),
            false,
            true,
        ),
        ("to any", one(Type::int()), one(Type::any()), true, false),
        // Enums.
        (
            "append a symbol",
            one(Type::one_of(["a", "b"])),
            one(Type::one_of(["a", "b", "c"])),
            true,
            false,
        ),
        ("remove a symbol", one(Type::one_of(["a", "b"])), one(Type::one_of(["a"])), false, false),
        (
            "reorder symbols",
            one(Type::one_of(["a", "b"])),
            one(Type::one_of(["b", "a"])),
            false,
            false,
        ),
        (
            "insert a symbol",
            one(Type::one_of(["a", "c"])),
            one(Type::one_of(["a", "b", "c"])),
            false,
            false,
        ),
        ("symbols to text", one(Type::one_of(["a"])), one(Type::str()), true, false),
        // Units and time zones.
        (
            "finer unit",
            one(time(TimeUnit::Milli, None)),
            one(time(TimeUnit::Micro, None)),
            false,
            false,
        ),
        (
            "naive to either",
            one(time(TimeUnit::Micro, Some(false))),
            one(time(TimeUnit::Micro, None)),
            true,
            false,
        ),
        (
            "naive to aware",
            one(time(TimeUnit::Micro, Some(false))),
            one(time(TimeUnit::Micro, Some(true))),
            false,
            false,
        ),
        ("another zone", zone("UTC"), zone("Europe/Vienna"), false, false),
        ("finer span", span(TimeUnit::Milli), span(TimeUnit::Nano), false, false),
        // Rules, as the registry judges those of JSON Schema.
        ("loosen a maximum", one(Type::int().le(9)), one(Type::int().le(10)), true, false),
        ("tighten a maximum", one(Type::int().le(10)), one(Type::int().le(9)), false, true),
        ("remove a minimum", one(Type::int().ge(0)), one(Type::int()), true, false),
        ("add a minimum", one(Type::int()), one(Type::int().ge(0)), false, true),
        (
            "raise a minimum length",
            one(Type::str().min_length(1)),
            one(Type::str().min_length(2)),
            false,
            true,
        ),
        (
            "raise a maximum length",
            one(Type::str().max_length(1)),
            one(Type::str().max_length(2)),
            true,
            false,
        ),
        ("add a pattern", one(Type::str()), one(Type::str().pattern("^a")), false, true),
        ("remove a pattern", one(Type::str().pattern("^a")), one(Type::str()), true, false),
        (
            "change a pattern",
            one(Type::str().pattern("^a")),
            one(Type::str().pattern("^b")),
            false,
            false,
        ),
        // Containers.
        (
            "list of a wider item",
            one(Type::list(int(IntWidth::I32))),
            one(Type::list(int(IntWidth::I64))),
            true,
            false,
        ),
        ("another length", one(fixed(8)), one(fixed(9)), false, false),
        ("free the length", one(fixed(8)), one(Type::list(Type::float())), true, false),
        (
            "nested: add a required field",
            nested([str_field("a")]),
            nested([str_field("a"), str_field("b")]),
            false,
            true,
        ),
        (
            "nested: delete a required field",
            nested([str_field("a"), str_field("b")]),
            nested([str_field("a")]),
            true,
            false,
        ),
        (
            "map of a wider value",
            one(Type::dict(Type::str(), int(IntWidth::I8))),
            one(Type::dict(Type::str(), int(IntWidth::I16))),
            true,
            false,
        ),
        // Defaults.
        (
            "change a default",
            record([str_field("f1").default("a")]),
            record([str_field("f1").default("b")]),
            true,
            true,
        ),
        (
            "add a default",
            record([str_field("f1")]),
            record([str_field("f1").default("b")]),
            true,
            true,
        ),
    ]
}

#[test]
fn every_mode_judges_every_change() {
    for (what, old, new, backward, forward) in table() {
        let history = [old.clone()];
        let expected = [
            ("exact", false),
            ("exact-transitive", false),
            ("backward", backward),
            ("backward-transitive", backward),
            ("forward", forward),
            ("forward-transitive", forward),
            ("full", backward && forward),
            ("full-transitive", backward && forward),
        ];
        for (mode, expected) in expected {
            assert_eq!(compatible(mode, &new, &history), expected, "{what} under {mode}");
            assert!(compatible(mode, &old, &history), "{what}: no change under {mode}");
        }
        assert_ne!(Fingerprint::of(&old), Fingerprint::of(&new), "{what}");
    }
}

#[test]
fn a_removed_symbol_is_refused_even_where_old_readers_would_understand() {
    let (old, new) = (one(Type::one_of(["a", "b"])), one(Type::one_of(["a"])));
    let changes = diff(&old, &new);
    assert!(matches!(&changes[..], [c] if c.what.is_forbidden() && c.path == "f1"), "{changes:?}");
    assert_eq!(
        changes[0].to_string(),
        r#"f1: symbols changed from ["a", "b"] to ["a"]: symbols may only be appended"#
    );
}

#[test]
fn names_and_documentation_do_not_count() {
    let set = |name: &str| {
        let member = |value: &str| EnumMember { name: value.to_uppercase(), value: value.into() };
        let members = vec![member("a"), member("b")];
        Type::new(Kind::Enum(EnumType {
            name: name.to_owned(),
            members,
            of_ints: false,
            host: Some(3),
        }))
    };
    let mut first = Record::new("First")
        .field(Field::new("a", set("Letters")))
        .field(Field::new("b", Type::int().ge(1)));
    let second = Record::new("Second")
        .field(Field::new("b", Type::int().ge(1.0)).alias("b"))
        .field(Field::new("a", Type::one_of(["a", "b"])));
    first.fields[0].docs.title = Some("a letter".to_owned());
    let (first, second) = (Declaration::from(first), Declaration::from(second));
    assert_eq!(diff(&first, &second), []);
    assert_eq!(Fingerprint::of(&first), Fingerprint::of(&second));
}

#[test]
fn a_type_that_contains_itself_is_compared_once() {
    let tree = |width| {
        let node = Record::new("Tree")
            .field(Field::new("value", int(width)))
            .field(Field::new("children", Type::list(Type::reference("Tree"))));
        Declaration::new("Tree", Type::reference("Tree")).define("Tree", Type::from(node))
    };
    let changes = diff(&tree(IntWidth::I32), &tree(IntWidth::I64));
    let paths: Vec<_> = changes.iter().map(|c| c.path.as_str()).collect();
    assert_eq!(paths.first(), Some(&"children[].value"), "{changes:?}");
    assert!(changes.iter().all(|c| c.backward && !c.forward));
    assert_eq!(diff(&tree(IntWidth::I32), &tree(IntWidth::I32)), []);
}

#[test]
fn the_fingerprint_is_a_published_constant() {
    // A change of this value breaks every lock file in the world.
    let node = record([
        Field::new("id", Type::str()),
        Field::new("kind", Type::one_of(["code", "spec"])).default("code"),
        Field::new("score", Type::float().ge(0).nullable()).default_null(),
    ]);
    assert_eq!(
        Fingerprint::of(&node).to_string(),
        "sha256:57c8e7c11c473bb2c8b72c824c5834c16c51630bb4c311e93a61545aa8cbcfd8"
    );
}

fn types() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![
        Just(Type::bool()),
        Just(Type::int()),
        Just(int(IntWidth::U8)),
        Just(Type::float()),
        Just(Type::str()),
        Just(Type::str().max_length(3)),
        Just(Type::one_of(["a", "b"])),
        Just(Type::date()),
        Just(time(TimeUnit::Milli, Some(true))),
        Just(Type::decimal()),
    ];
    let leaf = (leaf, any::<bool>()).prop_map(|(ty, null)| if null { ty.nullable() } else { ty });
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(Type::list),
            inner.clone().prop_map(|ty| Type::dict(Type::str(), ty)),
            prop::collection::vec(inner.clone(), 1..3).prop_map(Type::union),
            prop::collection::vec((inner, any::<bool>()), 0..3).prop_map(|fields| Type::from(
                fields.into_iter().enumerate().fold(Record::new("r"), |r, (i, (ty, null))| {
                    let field = Field::new(format!("f{i}"), ty);
                    r.field(if null { field.default_null() } else { field })
                })
            )),
        ]
    })
}

proptest! {
    #[test]
    fn fingerprints_differ_exactly_where_the_diff_finds_something(a in types(), b in types()) {
        let (a, b) = (one(a), one(b));
        prop_assert_eq!(diff(&a, &b).is_empty(), Fingerprint::of(&a) == Fingerprint::of(&b));
        prop_assert!(diff(&a, &a).is_empty());
    }

    #[test]
    fn backward_one_way_is_forward_the_other_way(a in types(), b in types()) {
        let (a, b) = (one(a), one(b));
        let all = |old, new, backward: bool| {
            diff(old, new).iter().all(|c| if backward { c.backward } else { c.forward })
        };
        prop_assert_eq!(all(&a, &b, true), all(&b, &a, false));
    }

    #[test]
    fn defaults_of_any_float_are_kept(bits in any::<u64>()) {
        let default = Value::Float(f64::from_bits(bits));
        let schema = record([Field { default: FieldDefault::Value(default), ..str_field("f1") }]);
        let mut lock = Lock::new("r", "exact".parse::<Mode>().unwrap());
        lock.add("1", &schema, Default::default()).unwrap();
        let read = Lock::parse(&lock.to_json()).unwrap();
        prop_assert!(read.check(&schema)[0].broken.is_empty());
        prop_assert!(read.find(&schema).is_some());
    }
}

#[test]
fn differences_have_stable_codes() {
    let codes: std::collections::BTreeSet<_> = table()
        .iter()
        .flat_map(|(_, old, new, ..)| diff(old, new))
        .map(|change| change.what.code())
        .collect();
    let alias = diff(&record([str_field("a")]), &record([str_field("a").alias("b")]));
    assert_eq!(alias[0].what, Difference::Alias { from: None, to: Some("b".to_owned()) });
    assert_eq!(
        codes.into_iter().collect::<Vec<_>>(),
        [
            "default_changed",
            "field_added",
            "field_removed",
            "field_renamed",
            "nullability_changed",
            "rule_changed",
            "symbols_appended",
            "symbols_changed",
            "time_zone_changed",
            "type_changed",
            "unit_changed",
        ]
    );
}
