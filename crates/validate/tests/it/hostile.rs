//! Text that was made to break a reader: mutated documents, wrong UTF-8, work that grows with every level.

use ottava_core::schema::{Declaration, Field, Kind, Record, Type, Union, UnionMode};
use ottava_validate::{CompileOptions, Schema, to_json};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value as Json, json};

use crate::oracle::documents;

/// One change of some bytes.
fn mutate(bytes: &mut Vec<u8>, how: u8, at: Index, other: Index, byte: u8) {
    if bytes.is_empty() {
        return bytes.push(byte);
    }
    let (at, other) = (at.index(bytes.len()), other.index(bytes.len()));
    match how {
        0 => bytes[at] = byte,
        1 => bytes[at] ^= 1 << (byte % 8),
        2 => bytes.insert(at, byte),
        3 => drop(bytes.remove(at)),
        4 => bytes.swap(at, other),
        5 => bytes.truncate(at),
        6 => {
            let part = bytes[at.min(other)..at.max(other)].to_vec();
            bytes.splice(at..at, part);
        }
        _ => {
            let structural = b"{}[]\",:\\0-.eEtfn \n";
            bytes[at] = structural[usize::from(byte) % structural.len()];
        }
    }
}

fn typed() -> Schema {
    let part = Record::new("Part")
        .field(Field::new("a", Type::int().nullable()))
        .field(Field::new("b", Type::union([Type::int(), Type::str(), Type::reference("Part")])));
    let root = Type::union([Type::reference("Part"), Type::list(Type::any()), Type::float()]);
    let declaration = Declaration::new("t", root).define("Part", part.into());
    Schema::compile(declaration).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn mutated_documents_read_as_serde_json_reads_them(
        document in documents(),
        changes in prop::collection::vec((0..8_u8, any::<Index>(), any::<Index>(), any::<u8>()), 1..5),
    ) {
        let schema = Schema::compile(Declaration::new("t", Type::any())).unwrap();
        let typed = typed();
        let mut bytes = document.to_string().into_bytes();
        for (how, at, other, byte) in changes {
            mutate(&mut bytes, how, at, other, byte);
            let shown = String::from_utf8_lossy(&bytes).into_owned();
            let expected = serde_json::from_slice::<Json>(&bytes);
            // A number beyond floats is infinite here, and an error there.
            let beyond = expected.as_ref().is_err_and(|error| error.to_string().starts_with("number out of range"));
            prop_assume!(!beyond);
            let expected = expected.ok();
            let found = schema.json_to_value(&bytes).ok();
            prop_assert_eq!(found.is_some(), expected.is_some(), "{}", shown);
            if let (Some(found), Some(expected)) = (found, expected) {
                let back: Json = serde_json::from_str(&to_json(&found)).unwrap();
                // To serde_json an integer beyond 64 bits is a float, and so is -0.
                let digits = to_json(&found).bytes().filter(u8::is_ascii_digit).count();
                let exact = digits < 15 && !shown.contains("-0");
                prop_assert!(!exact || back == expected, "{} {} {}", shown, back, expected);
            }
            // One verdict, however it is asked for.
            let valid = typed.is_valid_json(&bytes);
            prop_assert_eq!(typed.issues_json(&bytes).is_empty(), valid, "{}", shown);
            prop_assert_eq!(typed.json_to_value(&bytes).is_ok(), valid, "{}", shown);
        }
    }
}

/// Whether a document is valid does not hang on whether the first issue ends the run.
#[test]
fn the_last_of_repeated_keys_counts_for_every_verdict() {
    let documents = [
        (r#"{"a":null,"b":null,"b":0}"#, true),
        (r#"{"a":1,"b":null,"b":null,"b":{"a":1,"b":"x"}}"#, true),
        (r#"{"a":1,"b":{"b":null},"a":2,"b":"x"}"#, true),
        (r#"{"a":1,"b":0,"b":null}"#, false),
        (r#"{"b":null,"a":1}"#, false),
        (r#"{"b":null,"a":1,"a":2}"#, false),
        (r#"{"a":1,"b":null,"b":0"#, false),
    ];
    let part = Record::new("Part")
        .field(Field::new("a", Type::int().nullable()))
        .field(Field::new("b", Type::union([Type::int(), Type::str(), Type::reference("Part")])));
    let part = Declaration::new("t", Type::reference("Part")).define("Part", part.into());
    let part = Schema::compile(part).unwrap();
    for (document, valid) in documents {
        for schema in [&typed(), &part] {
            let bytes = document.as_bytes();
            assert_eq!(schema.json_to_value(bytes).is_ok(), valid, "{document}");
            assert_eq!(schema.issues_json(bytes).is_empty(), valid, "{document}");
            assert_eq!(schema.is_valid_json(bytes), valid, "{document}");
        }
    }
}

#[test]
fn wrong_utf_8_is_no_json() {
    let schema = Schema::compile(Declaration::new("t", Type::str())).unwrap();
    let check = |bytes: &[u8]| {
        let mut text = b"\"xx".to_vec();
        text.extend(bytes);
        text.extend(b"yy\"");
        let plain = bytes.iter().all(|byte| *byte >= 0x20 && !b"\"\\".contains(byte));
        if plain {
            let expected = std::str::from_utf8(bytes).is_ok();
            assert_eq!(schema.is_valid_json(&text), expected, "{bytes:x?}");
        }
    };
    for first in 0..=255 {
        check(&[first]);
        for second in 0..=255 {
            check(&[first, second]);
        }
    }
    let edges = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff];
    for first in 0xe0..=255 {
        for second in edges {
            for third in edges {
                check(&[first, second, third]);
                for fourth in edges {
                    check(&[first, second, third, fourth]);
                }
            }
        }
    }
}

/// A union that contains itself in each of its members: tried in full, its levels double the work.
fn doubling(mode: &UnionMode) -> Declaration {
    let node = |name: &str, own: Field| {
        let inner = Type::reference("Node").nullable();
        Type::from(Record::new(name).field(Field::new("x", inner).default_null()).field(own))
    };
    let members = vec![Type::reference("A"), Type::reference("B")];
    Declaration::new("t", Type::reference("Node"))
        .define("Node", Type::new(Kind::Union(Union { members, mode: mode.clone() })))
        .define("A", node("A", Field::new("a", Type::int()).default(0)))
        .define("B", node("B", Field::new("b", Type::int()).default(0)))
}

#[test]
fn unions_of_themselves_do_not_double_the_work_with_each_level() {
    for mode in [UnionMode::Smart, UnionMode::LeftToRight] {
        let schema = Schema::compile(doubling(&mode)).unwrap();
        let deep = |inner: &str| format!("{}{inner}{}", "{\"x\":".repeat(100), "}".repeat(100));
        let good = deep("{\"b\":1}");
        assert!(schema.is_valid_json(good.as_bytes()), "{mode:?}");
        let value = to_json(&schema.json_to_value(good.as_bytes()).unwrap());
        assert_eq!(value.matches("\"b\":1").count(), usize::from(mode == UnionMode::Smart));
        let bad = deep("{\"a\":\"x\",\"b\":\"x\"}");
        assert!(!schema.is_valid_json(bad.as_bytes()), "{mode:?}");
        let issues = schema.issues_json(bad.as_bytes());
        assert!(!issues.is_empty());
        let plain = json(&bad);
        assert!(schema.value_to_value(&plain).is_err());
        assert!(schema.value_to_value(&json(&good)).is_ok());
    }
}

fn json(text: &str) -> ottava_core::schema::Value {
    let any = Schema::compile(Declaration::new("t", Type::any())).unwrap();
    any.json_to_value(text.as_bytes()).unwrap()
}

#[test]
fn what_a_nested_union_is_does_not_depend_on_who_asks_first() {
    // The same value is asked for by both members of the outer union, and must be the same in both.
    let schema = Schema::compile(doubling(&UnionMode::Smart)).unwrap();
    for text in [
        "{\"x\":{\"b\":1}}",
        "{\"b\":2,\"x\":{\"a\":1}}",
        "{\"x\":{\"x\":{\"b\":1},\"b\":2},\"a\":1}",
    ] {
        let value = to_json(&schema.json_to_value(text.as_bytes()).unwrap());
        for part in ["\"a\":1", "\"b\":1", "\"b\":2"] {
            if text.contains(part) {
                assert!(value.contains(part), "{text} {value}");
            }
        }
    }
}

#[test]
fn alternatives_of_a_json_schema_do_not_take_for_ever() {
    let node = |key: &str| json!({"properties": {"x": {"$ref": "#"}, key: {"type": "integer"}}, "required": [key]});
    for schema in [
        json!({"anyOf": [node("a"), node("b")]}),
        json!({"oneOf": [node("a"), node("b")]}),
        json!({"allOf": [{"properties": {"x": {"$ref": "#"}}}, {"properties": {"x": {"$ref": "#"}}}]}),
        json!({"if": {"properties": {"x": {"$ref": "#"}}}, "then": {"properties": {"x": {"$ref": "#"}}}}),
        json!({"not": {"allOf": [{"properties": {"x": {"$ref": "#"}}}, {"properties": {"x": {"$ref": "#"}}}]}}),
    ] {
        let text = schema.to_string();
        let schema = Schema::from_json_schema(text.as_bytes(), &CompileOptions::default()).unwrap();
        let deep = format!("{}0{}", "{\"x\":".repeat(100), "}".repeat(100));
        // A verdict, or that nobody can wait for one; never a value that was not checked.
        let issues = schema.issues_json(deep.as_bytes());
        assert_eq!(schema.is_valid_json(deep.as_bytes()), issues.is_empty(), "{text}");
        for issue in issues.iter().filter(|issue| issue.code.name() == "json_invalid") {
            assert!(issue.message().contains("too many ways"), "{issue}");
        }
        // The same schema is no worse for values of the usual depth.
        let flat = b"{\"x\":{\"x\":{\"a\":1},\"a\":1},\"a\":1}";
        assert!(schema.issues_json(flat).iter().all(|issue| issue.code.name() != "json_invalid"));
    }
}

/// Definitions that each refer to the next, by `refer`; the last one takes integers.
fn chain(length: usize, refer: impl Fn(String) -> Type) -> Declaration {
    let name = |number: usize| format!("d{number}");
    let mut declaration = Declaration::new("t", Type::reference(name(0)));
    for number in 0..length {
        declaration = declaration.define(name(number), refer(name(number + 1)));
    }
    declaration.define(name(length), Type::int())
}

#[test]
fn a_chain_of_definitions_is_no_deeper_than_a_stack() {
    const LENGTH: usize = 5000;
    let field = |next: String| {
        let field = Field::new("a", Type::reference(next)).default_null();
        Type::from(Record::new("Part").field(field))
    };
    let schema = Schema::compile(chain(LENGTH, field)).unwrap();
    assert!(schema.is_valid_json(br#"{"a":{"a":{}}}"#));
    assert!(!schema.is_valid_json(br#"{"a":{"a":1}}"#));
    let schema = Schema::compile(chain(LENGTH, |next| Type::list(Type::reference(next)))).unwrap();
    assert!(schema.is_valid_json(b"[[],[[]]]") && !schema.is_valid_json(b"[[1]]"));
    let schema = Schema::compile(chain(LENGTH, Type::reference)).unwrap();
    assert!(schema.is_valid_json(b"1") && !schema.is_valid_json(b"\"x\""));
    // Each of these would have to check the value inside of the one before.
    for union in [
        Type::union([Type::reference("d1"), Type::new(Kind::Null)]),
        Type::reference("d1").nullable(),
    ] {
        let inner = |next: String| {
            let mut ty = union.clone();
            match &mut ty.kind {
                Kind::Union(union) => union.members[0] = Type::reference(next),
                kind => *kind = Kind::Ref(next),
            }
            ty
        };
        assert!(Schema::compile(chain(60, inner)).unwrap().is_valid_json(b"1"));
        let error = Schema::compile(chain(LENGTH, inner)).unwrap_err().to_string();
        assert!(error.contains("inside of each other"), "{error}");
    }
}

#[test]
fn a_type_may_contain_itself_with_nothing_else() {
    let own =
        |ty: Type| Schema::compile(Declaration::new("t", Type::reference("A")).define("A", ty));
    let list = own(Type::list(Type::reference("A"))).unwrap();
    assert!(list.is_valid_json(b"[[],[[],[]]]") && !list.is_valid_json(b"[[1]]"));
    let dict = own(Type::dict(Type::str(), Type::reference("A").nullable())).unwrap();
    assert!(dict.is_valid_json(br#"{"a":{"b":null}}"#) && !dict.is_valid_json(br#"{"a":[]}"#));
}

#[test]
fn every_truncation_reads_as_serde_json_reads_it() {
    let any = Schema::compile(Declaration::new("t", Type::any())).unwrap();
    let typed = typed();
    let record = Record::new("Part").field(Field::new("a", Type::any()));
    let record = Schema::compile(Declaration::from(record)).unwrap();
    for document in [
        r#"{"a": 1, "b": {"a": null, "b": "x\u00e9\ud83d\ude00\n"}}"#,
        "[1, -2.5e-3, 12345678901234567890, true, false, null, \"\u{e9}\u{4e2d}\u{1f600}\", {}, [[]]]",
        "  -0.125E+10\t\r\n",
        "\"only a string, \\\"with\\\" quotes and \\\\\"",
        "{\"a\":[{\"b\":[]},{\"a\":\"0123456789abcdef0123456789abcdef0123456789abcdef\"}]}",
        "true",
        "null",
    ] {
        for end in 0..=document.len() {
            let part = &document.as_bytes()[..end];
            let expected = serde_json::from_slice::<Json>(part).is_ok();
            let shown = String::from_utf8_lossy(part);
            assert_eq!(any.is_valid_json(part), expected, "{shown}");
            assert_eq!(any.json_to_value(part).is_ok(), expected, "{shown}");
            let issues = any.issues_json(part);
            assert_eq!(issues.is_empty(), expected, "{shown}");
            assert!(issues.iter().all(|issue| issue.code.name() == "json_invalid"), "{shown}");
            for typed in [&typed, &record] {
                let found = typed.issues_json(part);
                assert_eq!(typed.is_valid_json(part), found.is_empty(), "{shown}");
                let is_json = found.iter().all(|issue| issue.code.name() != "json_invalid");
                assert_eq!(is_json, expected, "{shown}");
            }
        }
    }
}

#[test]
fn a_number_beyond_floats_is_infinite_and_exact_as_a_decimal() {
    let valid = |ty: Type, text: &str| {
        let schema = Schema::compile(Declaration::new("t", ty)).unwrap();
        schema.is_valid_json(text.as_bytes())
    };
    assert!(valid(Type::float(), "1e400") && valid(Type::float(), "-1e400"));
    let mut finite = Type::float();
    finite.rules.allow_inf_nan = Some(false);
    assert!(!valid(finite, "1e400"));
    assert!(!valid(Type::int(), "1e400"));
    let mut short = Type::new(Kind::Decimal);
    short.rules.max_digits = Some(500);
    let decimal = Schema::compile(Declaration::new("t", short.clone())).unwrap();
    let value = decimal.json_to_value(b"1e400").unwrap();
    assert_eq!(value, ottava_core::schema::Value::Decimal("1e400".into()));
    assert!(valid(Type::union([Type::int(), Type::new(Kind::Decimal)]), "1e400"));
    short.rules.max_digits = Some(5);
    let schema = Schema::compile(Declaration::new("t", short)).unwrap();
    assert_eq!(schema.issues_json(b"1e400")[0].code.name(), "decimal_max_digits");
    let ignoring = Record::new("R").field(Field::new("a", Type::int()));
    assert!(valid(Type::from(ignoring), r#"{"a":1,"b":1e400}"#));
}
