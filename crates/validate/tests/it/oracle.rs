//! The engine beside a slow interpreter that is plain to see through, and JSON beside `serde_json`.

use ottava_core::schema::{Declaration, Extra, Field, FieldDefault, Kind, Record, Type, Value};
use ottava_validate::{JsonOptions, Schema, to_json};
use proptest::prelude::*;
use serde_json::Value as Json;

/// Whether a value is right for a type in strict mode; only the types below.
fn is_right(ty: &Type, value: &Json) -> bool {
    if value.is_null() && ty.nullable {
        return true;
    }
    let rules = &ty.rules;
    let limit = |bound: &Option<Value>, holds: fn(f64, f64) -> bool, value: f64| match bound {
        Some(Value::Int(bound)) => holds(value, *bound as f64),
        Some(Value::Float(bound)) => holds(value, *bound),
        _ => true,
    };
    let bounded = |value: f64| {
        limit(&rules.gt, |a, b| a > b, value)
            && limit(&rules.ge, |a, b| a >= b, value)
            && limit(&rules.lt, |a, b| a < b, value)
            && limit(&rules.le, |a, b| a <= b, value)
    };
    let sized = |size: usize| {
        rules.min_length.is_none_or(|min| size >= min)
            && rules.max_length.is_none_or(|max| size <= max)
    };
    match (&ty.kind, value) {
        (Kind::Any, _) => true,
        (Kind::Bool, Json::Bool(_)) => true,
        (Kind::Int(_), Json::Number(number)) => {
            number.is_i64() && bounded(number.as_f64().unwrap())
        }
        (Kind::Float(_), Json::Number(number)) => bounded(number.as_f64().unwrap()),
        (Kind::Str, Json::String(text)) => {
            sized(text.chars().count())
                && rules.pattern.as_ref().is_none_or(|pattern| {
                    // The one pattern below.
                    assert_eq!(pattern, "^[ab]+$");
                    !text.is_empty() && text.chars().all(|char| char == 'a' || char == 'b')
                })
        }
        (Kind::Literal(values), value) => values.iter().any(|known| match (known, value) {
            (Value::Str(known), Json::String(text)) => known == text,
            (Value::Int(known), Json::Number(number)) => number.as_f64() == Some(*known as f64),
            (Value::Int(known), Json::Bool(flag)) => *known == i64::from(*flag),
            _ => false,
        }),
        (Kind::List(item), Json::Array(items)) => {
            let unique = !rules.unique_items
                || (0..items.len()).all(|at| !items[..at].iter().any(|x| equal(x, &items[at])));
            sized(items.len()) && unique && items.iter().all(|value| is_right(item, value))
        }
        (Kind::Dict(key, item), Json::Object(entries)) => {
            let key = |name: &String| is_right(key, &Json::String(name.clone()));
            sized(entries.len())
                && entries.iter().all(|(name, value)| key(name) && is_right(item, value))
        }
        (Kind::Union(union), value) => union.members.iter().any(|member| is_right(member, value)),
        (Kind::Record(record), Json::Object(entries)) => {
            let known = |name: &String| record.fields.iter().any(|field| field.name == *name);
            record.fields.iter().all(|field| match entries.get(&field.name) {
                Some(value) => is_right(&field.ty, value),
                None => field.default != FieldDefault::Required,
            }) && (record.config.extra != Extra::Forbid || entries.keys().all(known))
        }
        _ => false,
    }
}

/// Equality of what is made of values: numbers of the same value are equal, whatever their type.
fn equal(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            let same = |(key, a): (&String, &Json)| b.get(key).is_some_and(|b| equal(a, b));
            a.len() == b.len() && a.iter().all(same)
        }
        (a, b) => a == b,
    }
}

fn types() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![
        Just(Type::any()),
        Just(Type::bool()),
        Just(Type::int()),
        (-3_i64..3).prop_map(|low| Type::int().ge(low)),
        (-3_i64..3).prop_map(|high| Type::int().lt(high)),
        Just(Type::float()),
        (-3_i64..3).prop_map(|low| Type::float().gt(low as f64 + 0.5)),
        Just(Type::str()),
        (0..3_usize).prop_map(|low| Type::str().min_length(low).max_length(low + 1)),
        Just(Type::str().pattern("^[ab]+$")),
        Just(Type::one_of(["a", "b"])),
        Just(Type::new(Kind::Literal(vec![1.into(), "a".into()]))),
    ];
    // Not of records: these leave out what they do not know, and are compared without.
    let unique = leaf.clone().prop_map(|item| Type::list(item).unique_items());
    let leaf = prop_oneof![12 => leaf, 1 => unique];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(Type::list),
            inner.clone().prop_map(|item| Type::list(item).max_length(2)),
            inner.clone().prop_map(|item| Type::dict(Type::str(), item)),
            inner.clone().prop_map(Type::nullable),
            prop::collection::vec(inner.clone(), 1..3).prop_map(Type::union),
            (prop::collection::vec((inner, 0..3), 0..3), 0..3_usize).prop_map(|(fields, extra)| {
                let mut record = Record::new("R");
                for (index, (ty, default)) in fields.into_iter().enumerate() {
                    let name = ["a", "b", "c"][index];
                    let mut field = Field::new(name, ty);
                    field.default = match default {
                        0 => FieldDefault::Required,
                        1 => FieldDefault::Absent,
                        _ => FieldDefault::Value(Value::Null),
                    };
                    // A default is not checked, so let this one be right.
                    field.ty.nullable |= default == 2;
                    record.fields.push(field);
                }
                Type::from(record.extra([Extra::Ignore, Extra::Allow, Extra::Forbid][extra]))
            }),
        ]
    })
}

pub(crate) fn documents() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-4_i64..4).prop_map(Json::from),
        (-8_i64..8).prop_map(|half| Json::from(half as f64 / 2.0)),
        "[abé\"\\\\\n]{0,3}".prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::Array),
            prop::collection::btree_map("[abc]", inner, 0..4)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn strict_checks_agree_with_the_interpreter(ty in types(), document in documents(), pretty: bool) {
        let expected = is_right(&ty, &document);
        let schema = Schema::compile(Declaration::new("t", ty.clone().strict(true))).unwrap();
        let text = if pretty {
            serde_json::to_string_pretty(&document).unwrap()
        } else {
            document.to_string()
        };
        let bytes = text.as_bytes();
        let mut issues = ottava_validate::Issues::new(100);
        let run = schema.run_json(bytes, &mut ottava_validate::TreeOutput, (), &mut issues, Some(true));
        let found = issues.take();
        prop_assert_eq!(run.is_ok(), expected, "{:?} {} {:?}", ty, text, found);
        prop_assert_eq!(found.is_empty(), expected);
        let first = schema.run_json(
            bytes,
            &mut ottava_validate::Nothing::<true>,
            (),
            &mut ottava_validate::Issues::new(1),
            Some(true),
        );
        prop_assert_eq!(first.is_ok(), expected);
        if let Ok(value) = run {
            // A value that is right is right again, and reads back from its own text.
            let again = schema.value_to_value(&value);
            prop_assert!(again.is_ok(), "{:?} {:?} {:?}", ty, value, again);
        }
    }

    #[test]
    fn any_json_reads_as_serde_json_reads_it(document in documents(), pretty: bool) {
        let schema = Schema::compile(Declaration::new("t", Type::any())).unwrap();
        let text = if pretty {
            serde_json::to_string_pretty(&document).unwrap()
        } else {
            document.to_string()
        };
        let value = schema.json_to_value(text.as_bytes()).unwrap();
        let back: Json = serde_json::from_str(&to_json(&value)).unwrap();
        prop_assert_eq!(&back, &document);
        // No proper beginning of a container or a string is JSON, and none of them panics.
        for end in 0..text.len() {
            let cut = &text.as_bytes()[..end];
            let serde: Result<Json, _> = serde_json::from_slice(cut);
            prop_assert_eq!(schema.is_valid_json(cut), serde.is_ok(), "{:?}", String::from_utf8_lossy(cut));
        }
    }

    #[test]
    fn arbitrary_bytes_are_json_when_serde_json_says_so(bytes in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..24),
        "[\\[\\]{}\",:0-9a-fnulr\\\\ .eE+-]{0,24}".prop_map(String::into_bytes),
    ]) {
        let schema = Schema::compile(Declaration::new("t", Type::any())).unwrap();
        let serde = serde_json::from_slice::<Json>(&bytes);
        prop_assert_eq!(schema.is_valid_json(&bytes), serde.is_ok(), "{:?}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn floats_are_read_exactly(bits: u64, digits in "-?(0|[1-9][0-9]{0,24})\\.[0-9]{1,25}(e-?[0-9]{1,2})?") {
        let schema = Schema::compile(Declaration::new("t", Type::float())).unwrap();
        let float = f64::from_bits(bits);
        if float.is_finite() {
            let value = schema.json_to_value(format!("{float:?}").as_bytes()).unwrap();
            prop_assert_eq!(value, Value::Float(float));
        }
        let value = schema.json_to_value(digits.as_bytes()).unwrap();
        prop_assert_eq!(value, Value::Float(digits.parse().unwrap()));
    }

    #[test]
    fn integers_are_read_exactly(digits in "-?(0|[1-9][0-9]{0,40})") {
        let schema = Schema::compile(Declaration::new("t", Type::int())).unwrap();
        let expected = if digits == "-0" { "0" } else { &digits };
        prop_assert_eq!(to_json(&schema.json_to_value(digits.as_bytes()).unwrap()), expected);
        let quoted = format!("\"{digits}\"");
        prop_assert_eq!(to_json(&schema.json_to_value(quoted.as_bytes()).unwrap()), expected);
    }
}

#[test]
fn the_corners_of_the_grammar() {
    let schema = Schema::compile(Declaration::new("t", Type::any())).unwrap();
    let good: &[&[u8]] = &[
        b"[]",
        b"{}",
        b"[ ]",
        b"{ }",
        b" [] ",
        b"\t\n\r 1\n",
        b"\"\"",
        b"0",
        b"-0",
        b"-0.0",
        b"1e5",
        b"1E+5",
        b"1e-5",
        b"0e0",
        b"[1,2]",
        b"{\"\":0}",
        b"{\"a\":1,\"a\":2}",
        b"\"\\u0000\"",
        b"\"\\uD834\\uDD1E\"",
        b"\"\\/\"",
        b"\"\x7f\"",
        b"\"\xc2\x80\"",
        b"\"\xf4\x8f\xbf\xbf\"",
        b"[[[[]]]]",
        b"1e-400",
        b"null",
    ];
    for json in good {
        assert!(schema.is_valid_json(json), "{}", String::from_utf8_lossy(json));
        assert!(serde_json::from_slice::<Json>(json).is_ok());
    }
    let bad: &[&[u8]] = &[
        b"",
        b" ",
        b"[",
        b"]",
        b"{",
        b"}",
        b"[1",
        b"[1,",
        b"[,1]",
        b"[1,,2]",
        b"[1]]",
        b"[1}",
        b"{]",
        b"{\"a\"}",
        b"{\"a\":}",
        b"{\"a\":1,}",
        b"{,}",
        b"{a:1}",
        b"{'a':1}",
        b"{1:1}",
        b"{\"a\" 1}",
        b"{\"a\":1 \"b\":2}",
        b"'a'",
        b"\"",
        b"\"\\\"",
        b"\"\\",
        b"\"\\u\"",
        b"\"\\u12\"",
        b"\"\\u12g4\"",
        b"\"\\x41\"",
        b"\"\\U0041\"",
        b"\"\\uD800\"",
        b"\"\\uDC00\"",
        b"\"\\uD800\\uD800\"",
        b"\"\\uD800x\"",
        b"\"\\uD834\\u0041\"",
        b"\"\x00\"",
        b"\"\x1f\"",
        b"\"\n\"",
        b"\"\x80\"",
        b"\"\xc0\xaf\"",
        b"\"\xed\xa0\x80\"",
        b"\"\xf5\x80\x80\x80\"",
        b"\"\xe2\x82\"",
        b"\xff",
        b"00",
        b"01",
        b"-",
        b"-a",
        b"+1",
        b".5",
        b"5.",
        b"1.e5",
        b"1e",
        b"1e+",
        b"1eE2",
        b"0x1",
        b"1_0",
        b"1 2",
        b"--1",
        b"Infinity",
        b"-Infinity",
        b"NaN",
        b"nan",
        b"tru",
        b"True",
        b"truex",
        b"nul",
        b"[1]x",
        b"\xef\xbb\xbf1",
        b"/**/1",
        b"1//",
        b"\x0c1",
        b"\xc2\xa01",
        b"[1\x00]",
    ];
    for json in bad {
        let issues = schema.issues_json(json);
        assert_eq!(issues.len(), 1, "{}", String::from_utf8_lossy(json));
        assert_eq!(issues[0].code.name(), "json_invalid");
        assert!(serde_json::from_slice::<Json>(json).is_err(), "{}", String::from_utf8_lossy(json));
    }
}

#[test]
fn depth_is_limited() {
    let schema = Schema::compile(Declaration::new("t", Type::any())).unwrap();
    let skipping =
        Schema::compile(Record::new("r").field(Field::new("a", Type::any())).into()).unwrap();
    for depth in [128, 129, 100_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let inner = if open == "[" { "" } else { "1" };
            let bomb = format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
            assert_eq!(schema.is_valid_json(bomb.as_bytes()), depth <= 128, "{depth} {open}");
            let cut = open.repeat(depth);
            assert!(!schema.is_valid_json(cut.as_bytes()));
            // In a field that nobody asked for, it is skipped as far as it is JSON.
            let beside = format!("{{\"a\":1,\"b\":{bomb}}}");
            assert_eq!(skipping.is_valid_json(beside.as_bytes()), depth < 128, "{depth} {open}");
        }
    }
}

#[test]
fn options_widen_and_narrow_what_is_json() {
    let compile = |json| {
        let options =
            ottava_validate::CompileOptions { json, ..ottava_validate::CompileOptions::default() };
        Schema::compile_with(Declaration::new("t", Type::any()), &options).unwrap()
    };
    let wide = compile(JsonOptions { allow_inf_nan: true, ..JsonOptions::default() });
    for (json, value) in [
        ("NaN", "NaN"),
        ("[Infinity]", "[Infinity]"),
        ("-Infinity", "-Infinity"),
        ("1e400", "Infinity"),
    ] {
        assert_eq!(to_json(&wide.json_to_value(json.as_bytes()).unwrap()), value);
    }
    let narrow = compile(JsonOptions { forbid_duplicate_keys: true, ..JsonOptions::default() });
    assert!(narrow.is_valid_json(b"{\"a\":{\"a\":1},\"b\":2}"));
    let issues = narrow.issues_json(b"{\"a\":1,\"\\u0061\":2}");
    assert_eq!(issues[0].message(), "Invalid JSON: duplicate key at line 1 column 8");
}

#[test]
fn unique_items_are_compared_as_they_are_after_conversion() {
    let part = Record::new("Part").field(Field::new("a", Type::int()).default(0));
    let schema = Schema::compile(Declaration::new("t", Type::list(part.into()).unique_items()));
    let schema = schema.unwrap();
    assert!(schema.is_valid_json(br#"[{"a":1},{"a":2},{}]"#));
    for same in [r#"[{"a":1},{"a":1,"b":2}]"#, r#"[{"a":0},{}]"#, r#"[{"a":1},{"a":"1"}]"#] {
        assert!(!schema.is_valid_json(same.as_bytes()), "{same}");
        assert!(!schema.issues_json(same.as_bytes()).is_empty(), "{same}");
    }
}

#[test]
fn nested_unique_collections_do_not_double_the_work() {
    // Each level that looked at its items twice would make 2^100 steps of this.
    for ty in [
        Type::list(Type::reference("T")).unique_items(),
        Type::new(Kind::Set(Box::new(Type::reference("T")))).max_length(3),
    ] {
        let declaration = Declaration::new("t", Type::reference("T")).define("T", ty);
        let schema = Schema::compile(declaration).unwrap();
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert!(schema.is_valid_json(deep.as_bytes()));
        assert!(schema.json_to_value(deep.as_bytes()).is_ok());
    }
}
