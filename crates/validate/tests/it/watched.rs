//! Runs that ask whether to go on, and end when nobody wants them to.

use std::cell::Cell;

use ottava_core::schema::{Declaration, Extra, Field, Record, Type, Value};
use ottava_validate::{CompileOptions, Issues, Nothing, Schema, Stop, TreeOutput};

fn compiled(ty: impl Into<Type>) -> Schema {
    Schema::compile(Declaration::new("test", ty.into())).unwrap()
}

fn json_schema(text: &str) -> Schema {
    Schema::from_json_schema(text.as_bytes(), &CompileOptions::default()).unwrap()
}

fn repeated(open: &str, item: &str, close: &str) -> String {
    format!("{open}{}{close}", vec![item; 300_000].join(","))
}

/// Large texts, each with what it is checked by: every way of going on through a text.
fn cases() -> Vec<(&'static str, Schema, String)> {
    let keys = |value: &str| {
        let entries: Vec<_> = (0..200_000).map(|key| format!("\"{key}\":{value}")).collect();
        format!("{{{}}}", entries.join(","))
    };
    let one = Record::new("One").field(Field::new("a", Type::int()));
    let open =
        Record::new("Open").field(Field::new("a", Type::any().nullable()).default(Value::Null));
    let closed = open.clone().extra(Extra::Forbid);
    vec![
        ("items", compiled(Type::list(Type::int())), repeated("[", "1", "]")),
        ("wrong items", compiled(Type::list(Type::int())), repeated("[", "\"x\"", "]")),
        ("anything", compiled(Type::any()), repeated("[", "1", "]")),
        ("records", compiled(Type::list(one.into())), repeated("[", "{\"a\":1}", "]")),
        ("entries", compiled(Type::dict(Type::str(), Type::int())), keys("1")),
        ("wrong entries", compiled(Type::dict(Type::str(), Type::int())), keys("\"x\"")),
        ("unknown keys", compiled(open.clone()), keys("1")),
        ("forbidden keys", compiled(closed), keys("1")),
        ("what is ignored", compiled(open), repeated("{\"b\":[", "1", "]}")),
        (
            "the rest of what is too long",
            compiled(Type::list(Type::int()).max_length(1)),
            repeated("[", "1", "]"),
        ),
        (
            "members of a union",
            compiled(Type::union([Type::list(Type::bool()), Type::list(Type::int())])),
            repeated("[", "7", "]"),
        ),
        ("assertions", json_schema(r#"{"items": {"type": "object"}}"#), repeated("[", "{}", "]")),
        (
            "wrong assertions",
            json_schema(r#"{"items": {"type": "object"}}"#),
            repeated("[", "1", "]"),
        ),
        (
            "alternatives",
            json_schema(r#"{"items": {"anyOf": [{"type": "object"}]}}"#),
            repeated("[", "{}", "]"),
        ),
    ]
}

#[test]
fn who_goes_on_finds_the_same() {
    for (name, schema, text) in cases() {
        let (bytes, asked) = (text.as_bytes(), Cell::new(0));
        let go_on = || {
            asked.set(asked.get() + 1);
            true
        };
        let watched = schema.watched(&go_on);
        assert_eq!(watched.is_valid_json(bytes), Some(schema.is_valid_json(bytes)), "{name}");
        let mut issues = Issues::new(schema.limits().issues);
        let done = watched.run_json(bytes, &mut TreeOutput, (), &mut issues, None);
        assert!(asked.get() > 1, "{name}");
        match schema.json_to_value(bytes) {
            Ok(value) => assert_eq!(done, Ok(value), "{name}"),
            Err(found) => {
                assert_eq!(done, Err(Stop::Invalid), "{name}");
                let codes = |all: &[ottava_validate::Issue]| {
                    all.iter().map(|issue| (issue.code, issue.loc.clone())).collect::<Vec<_>>()
                };
                assert_eq!(codes(&issues.take()), codes(&found), "{name}");
            }
        }
    }
}

#[test]
fn a_run_ends_wherever_nobody_wants_it_to_go_on() {
    for (name, schema, text) in cases() {
        for most in 0..3 {
            let asked = Cell::new(0);
            let go_on = || {
                asked.set(asked.get() + 1);
                asked.get() <= most
            };
            let watched = schema.watched(&go_on);
            let mut issues = Issues::new(schema.limits().issues);
            let all = &mut Nothing::<false>;
            let ended = watched.run_json(text.as_bytes(), all, (), &mut issues, None);
            assert_eq!(ended, Err(Stop::Abort), "{name}");
            // Nobody is asked again.
            assert_eq!(asked.get(), most + 1, "{name}");
        }
        // The first issue ends some of these before anybody is asked.
        let asked = Cell::new(false);
        let no = || {
            asked.set(true);
            false
        };
        let valid = schema.watched(&no).is_valid_json(text.as_bytes());
        let right = schema.is_valid_json(text.as_bytes());
        assert_eq!(valid, (!asked.get()).then_some(right), "{name}");
    }
}

#[test]
fn short_texts_are_not_asked_about() {
    let schema = compiled(Type::list(Type::int()));
    let never = || panic!("asked");
    assert_eq!(schema.watched(&never).is_valid_json(b"[1,2,3]"), Some(true));
    assert_eq!(schema.watched(&never).is_valid_json(b"[1,2,\"x\"]"), Some(false));
    assert_eq!(schema.watched(&never).is_valid_json(b"[1,2,"), Some(false));
}
