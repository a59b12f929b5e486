//! Records of simple types, from JSON text and from values.

use ottava_core::schema::{Declaration, Extra, Field, Record, Type, Value};
use ottava_validate::{Echo, Schema};

fn user() -> Record {
    Record::new("User")
        .field(Field::new("id", Type::int().gt(0)))
        .field(Field::new("name", Type::str().min_length(1)))
        .field(Field::new("age", Type::int().ge(0).le(150)))
        .field(Field::new("email", Type::str().email().nullable()).default_null())
}

fn schema(record: Record) -> Schema {
    Schema::compile(Declaration::from(record)).unwrap()
}

/// The issues as `loc code`, in order.
fn issues(schema: &Schema, json: &str) -> Vec<String> {
    let found = schema.issues_json(json.as_bytes());
    assert_eq!(found.is_empty(), schema.is_valid_json(json.as_bytes()), "{json}");
    assert_eq!(found.is_empty(), schema.json_to_value(json.as_bytes()).is_ok(), "{json}");
    let show = |issue: &ottava_validate::Issue| {
        let loc: Vec<_> = issue.loc.iter().map(ToString::to_string).collect();
        format!("{} {}", loc.join("."), issue.code.name())
    };
    found.iter().map(show).collect()
}

#[test]
fn a_good_record_becomes_a_value() {
    let schema = schema(user());
    for json in [
        r#"{"id":1,"name":"Ada","age":36,"email":"ada@example.org"}"#,
        r#" { "email" : "ada@example.org" , "age":36.0, "name":"\u0041da", "id":"1", "x":[{}] } "#,
        r#"{"id":0,"id":1,"name":"Ada","age":36,"email":null,"email":"ada@example.org"}"#,
    ] {
        let value = schema.json_to_value(json.as_bytes()).unwrap();
        assert_eq!(
            value,
            Value::Record(vec![
                ("id".into(), Value::Int(1)),
                ("name".into(), "Ada".into()),
                ("age".into(), Value::Int(36)),
                ("email".into(), "ada@example.org".into()),
            ]),
            "{json}"
        );
        assert_eq!(schema.value_to_value(&value).unwrap(), value);
    }
}

#[test]
fn all_issues_are_found_with_their_places() {
    let schema = schema(user());
    assert_eq!(
        issues(&schema, r#"{"id":0,"name":"","age":151,"email":"ada"}"#),
        ["id greater_than", "name string_too_short", "age less_than_equal", "email value_error"]
    );
    assert_eq!(issues(&schema, "{}"), ["id missing", "name missing", "age missing"]);
    assert_eq!(issues(&schema, "[]"), [" model_type"]);
    assert_eq!(
        issues(&schema, r#"{"id":"x","name":[1,{"a":2}],"age":1.5}"#),
        ["id int_parsing", "name string_type", "age int_from_float"]
    );
    let json = br#"{"id": 1, "name": [1, 2], "age": 3}"#;
    let found = schema.issues_json(json);
    assert_eq!(found[0].echo, Echo::Span(18..24));
}

#[test]
fn nested_paths_run_from_the_root() {
    let point = Record::new("Point").field(Field::new("x", Type::list(Type::float())));
    let outer = Record::new("Outer")
        .field(Field::new("points", Type::list(Type::from(point))))
        .field(Field::new("counts", Type::dict(Type::str(), Type::int())));
    let schema = schema(outer);
    assert_eq!(
        issues(&schema, r#"{"points":[{"x":[1,"a"]},{}],"counts":{"a":1,"b":null}}"#),
        ["points.0.x.1 float_parsing", "points.1.x missing", "counts.b int_type"]
    );
}

#[test]
fn extra_fields_follow_the_configuration() {
    let json = r#"{"id":1,"name":"A","age":1,"more":{"a":[1]}}"#;
    assert_eq!(issues(&schema(user().extra(Extra::Forbid)), json), ["more extra_forbidden"]);
    let kept = schema(user().extra(Extra::Allow)).json_to_value(json.as_bytes()).unwrap();
    assert_eq!(
        kept.get("more"),
        Some(&Value::Map(vec![("a".into(), Value::List(vec![Value::Int(1)]))]))
    );
}

#[test]
fn text_that_is_not_json_is_one_issue() {
    let schema = schema(user());
    for json in ["", "{", r#"{"id":1,}"#, r#"{"id":01}"#, "{} x", r#"{"id":"\ud800"}"#, "nul"] {
        assert_eq!(issues(&schema, json), [" json_invalid"], "{json}");
    }
    let found = schema.issues_json(b"{\n  \"id\": tru\n}");
    assert_eq!(found[0].message(), "Invalid JSON: expected value at line 2 column 9");
}

#[test]
fn definitions_may_contain_themselves() {
    let node = Record::new("Node")
        .field(Field::new("value", Type::int()))
        .field(Field::new("next", Type::reference("Node").nullable()).default_null());
    let declaration = Declaration::new("Node", Type::reference("Node")).define("Node", node.into());
    let schema = Schema::compile(declaration).unwrap();
    assert_eq!(
        issues(&schema, r#"{"value":1,"next":{"value":2,"next":{"value":"x"}}}"#),
        ["next.next.value int_parsing"]
    );
    let deep = |depth: usize| {
        format!(
            "{}{{\"value\":1}}{}",
            r#"{"value":1,"next":"#.repeat(depth - 1),
            "}".repeat(depth - 1)
        )
    };
    assert!(issues(&schema, &deep(128)).is_empty());
    assert_eq!(issues(&schema, &deep(129)), [" json_invalid"]);
}
