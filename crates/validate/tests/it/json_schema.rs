//! JSON Schema in and out, beside the `jsonschema` crate.

use ottava_core::schema::{
    Declaration, Docs, EnumMember, EnumType, Extra, Field, Kind, Record, Type, Union, UnionMode,
    Value,
};
use ottava_validate::{CompileOptions, Schema, SchemaError, to_json, to_json_schema};
use proptest::prelude::*;
use serde_json::json;

fn compile(schema: &serde_json::Value) -> Result<Schema, SchemaError> {
    Schema::from_json_schema(schema.to_string().as_bytes(), &CompileOptions::default())
}

fn schemas() -> Vec<serde_json::Value> {
    vec![
        json!(true),
        json!(false),
        json!({}),
        json!({"type": "integer"}),
        json!({"type": "number", "minimum": 1, "exclusiveMaximum": 3.5}),
        json!({"type": ["string", "null"], "minLength": 2, "maxLength": 3, "pattern": "a"}),
        json!({"minimum": 2}),
        json!({"multipleOf": 0.5}),
        json!({"multipleOf": 2}),
        json!({"const": [1, {"a": 2.0}]}),
        json!({"enum": [1, "a", null, true, [1]]}),
        json!({"enum": ["a", "ab"], "type": "string"}),
        json!({"type": "array", "items": {"type": "integer"}, "minItems": 1, "uniqueItems": true}),
        json!({"prefixItems": [{"type": "integer"}, {"type": "string"}], "items": false}),
        json!({"contains": {"type": "integer"}, "minContains": 2, "maxContains": 3}),
        json!({"contains": {"const": 1}, "minContains": 0}),
        json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["a"]}),
        json!({"type": "object", "properties": {"a": true}, "additionalProperties": false}),
        json!({"properties": {"a": {"type": "integer"}}, "patternProperties": {"^b": {"type": "string"}}, "additionalProperties": {"type": "boolean"}}),
        json!({"propertyNames": {"maxLength": 1}, "minProperties": 1, "maxProperties": 2}),
        json!({"dependentRequired": {"a": ["b"]}, "dependentSchemas": {"b": {"required": ["a"]}}}),
        json!({"if": {"type": "integer"}, "then": {"minimum": 1}, "else": {"type": ["string", "null", "array", "object"]}}),
        json!({"allOf": [{"minimum": 1}, {"maximum": 2}], "anyOf": [{"type": "integer"}, {"type": "null"}]}),
        json!({"oneOf": [{"type": "integer"}, {"minimum": 2}]}),
        json!({"not": {"type": ["integer", "object"]}}),
        json!({"type": "object", "properties": {"a": {"$ref": "#"}}, "additionalProperties": false}),
        json!({"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "integer"}]}}}}),
        json!({"$defs": {"a/b": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/a~1b", "minimum": 2}}}),
        json!({"properties": {"a": {"type": "string"}, "b": {"$ref": "#/properties/a"}}}),
    ]
}

fn instances() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|flag| json!(flag)),
        (-3_i64..6).prop_map(|int| json!(int)),
        (-3_i64..8).prop_map(|half| json!(half as f64 / 2.0)),
        "[ab1]{0,4}".prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::Array),
            prop::collection::btree_map("[abc]{1,2}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn agrees_with_the_jsonschema_crate(index in 0..schemas().len(), instance in instances()) {
        let schema = &schemas()[index];
        let ours = compile(schema).unwrap();
        let text = instance.to_string();
        let expected = jsonschema::is_valid(schema, &instance);
        prop_assert_eq!(ours.is_valid_json(text.as_bytes()), expected, "{} {}", schema, text);
        prop_assert_eq!(ours.issues_json(text.as_bytes()).is_empty(), expected, "{} {}", schema, text);
        if let Ok(value) = ours.json_to_value(text.as_bytes()) {
            // Nothing is converted; only the order of keys may differ, and 1.0 may be 1.
            let back: serde_json::Value = serde_json::from_str(&to_json(&value)).unwrap();
            let same = json!({"const": instance});
            prop_assert!(jsonschema::is_valid(&same, &back), "{} {} {}", schema, text, back);
        }
        // What was read is written with the same meaning.
        let written = to_json(&to_json_schema(ours.declaration()));
        let written: serde_json::Value = serde_json::from_str(&written).unwrap();
        prop_assert!(jsonschema::meta::is_valid(&written), "{}", written);
        prop_assert_eq!(jsonschema::is_valid(&written, &instance), expected, "{} {} {}", schema, written, text);
    }
}

#[test]
fn what_is_not_supported_is_refused_with_its_pointer() {
    for (schema, pointer) in [
        (json!({"unevaluatedProperties": false}), "#/unevaluatedProperties"),
        (json!({"properties": {"a/b": {"$dynamicRef": "#x"}}}), "#/properties/a~1b/$dynamicRef"),
        (json!({"items": [{"type": "integer"}]}), "#/items"),
        (json!({"$defs": {"a": {"typ": "integer"}}}), "#/$defs/a/typ"),
        (json!({"type": "int"}), "#/type"),
        (json!({"minLength": -1}), "#/minLength"),
        (json!({"minimum": "1"}), "#/minimum"),
        (json!({"format": "hostname"}), "#/format"),
        (json!({"$ref": "other.json"}), "#/$ref"),
        (json!({"$ref": "#/$defs/none"}), "#/$ref"),
        (json!({"$schema": "http://json-schema.org/draft-04/schema#"}), "#/$schema"),
        (json!({"then": {"typ": 1}}), "#/then/typ"),
        (json!({"anyOf": []}), "#/anyOf"),
        (json!({"items": {"multipleOf": 0}}), "#/items/multipleOf"),
        (json!({"multipleOf": -0.5}), "#/multipleOf"),
        (json!({"$ref": "#"}), "#"),
        (json!({"allOf": [{"$ref": "#"}]}), "#"),
        (json!({"type": "object", "$defs": {"a/b": {"$ref": "#/$defs/a~1b"}}}), "#/$defs/a~1b"),
    ] {
        match compile(&schema) {
            Err(SchemaError::JsonSchema { pointer: found, .. }) => {
                assert_eq!(found, pointer, "{schema}");
            }
            other => panic!("{schema}: {other:?}"),
        }
    }
    for (schema, pointer) in [
        (json!({"items": {"pattern": "("}}), "#/items/pattern"),
        (json!({"patternProperties": {"(/": {}}}), "#/patternProperties/(~1"),
    ] {
        match compile(&schema) {
            Err(SchemaError::Pattern { place, .. }) => assert_eq!(place, pointer),
            other => panic!("{schema}: {other:?}"),
        }
    }
    assert!(matches!(
        compile(&json!({"pattern": "a(?=b)"})),
        Err(SchemaError::NeedsHostEngine { .. })
    ));
    let endless = json!({"$ref": "#/$defs/a", "$defs": {"a": {"not": {"$ref": "#/$defs/b"}}, "b": {"$ref": "#/$defs/a"}}});
    let error = compile(&endless).expect_err("no value can be checked").to_string();
    assert!(error.starts_with("#/$defs/") && error.ends_with("only refers to itself"), "{error}");
    let text = Schema::from_json_schema(b"{", &CompileOptions::default());
    assert!(matches!(text, Err(SchemaError::NotJson(_))));
}

#[test]
fn formats_are_checked() {
    for (format, good, bad) in [
        ("date-time", "2020-01-01T00:00:00Z", "2020-01-01T00:00:00"),
        ("date", "2020-02-29", "2021-02-29"),
        ("time", "12:00:00Z", "12:00:00"),
        ("duration", "P1DT2H", "1 day"),
        ("email", "a@b.co", "a@b"),
        ("uri", "https://example.org", "example"),
        ("uuid", "12345678-1234-5678-1234-567812345678", "12345678123456781234567812345678"),
    ] {
        let schema = compile(&json!({"type": "string", "format": format})).unwrap();
        assert!(schema.is_valid_json(json!(good).to_string().as_bytes()), "{format}");
        assert!(!schema.is_valid_json(json!(bad).to_string().as_bytes()), "{format}");
    }
}

#[test]
fn issues_have_paths() {
    let schema = compile(&json!({
        "type": "object",
        "properties": {"a": {"type": "array", "items": {"type": "integer", "minimum": 0}}},
        "required": ["a", "b"],
        "patternProperties": {"^x": {"type": "string"}},
    }))
    .unwrap();
    let issues = schema.issues_json(br#"{"a":[1,-1,"x"],"x1":2}"#);
    let shown: Vec<_> = issues.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "a.1: Input should be greater than or equal to 0 [greater_than_equal]",
            "a.2: Input should be a valid integer [int_type]",
            "x1: Input should be a valid string [string_type]",
            "b: Field required [missing]",
        ]
    );
}

#[test]
fn every_type_has_a_schema() {
    let members = vec![
        Type::from(Record::new("A").field(Field::new("kind", Type::one_of(["a"])))),
        Type::from(Record::new("B").field(Field::new("kind", Type::one_of(["b"])))),
    ];
    let member = |name: &str, value: Value| EnumMember { name: name.into(), value };
    let color = EnumType {
        name: "Color".into(),
        members: vec![member("RED", "red".into()), member("BLUE", "blue".into())],
        of_ints: false,
        host: None,
    };
    let mut described = Field::new("a", Type::int().gt(0).le(9).nullable()).default(3).alias("A");
    described.docs = Docs {
        title: Some("The a".into()),
        description: Some("What a is".into()),
        ..Docs::default()
    };
    let pair = Kind::Tuple { items: vec![Type::int(), Type::str()], rest: None };
    let record = Record::new("All")
        .field(described)
        .field(Field::new("b", Type::str().min_length(1).pattern("^x").nullable()))
        .field(Field::new("c", Type::list(Type::float()).min_length(1).unique_items()))
        .field(Field::new("d", Type::dict(Type::str(), Type::bool())))
        .field(Field::new("e", Type::new(pair)))
        .field(Field::new("f", Type::new(Kind::Set(Box::new(Type::date())))))
        .field(Field::new("g", Type::union([Type::int(), Type::str()])))
        .field(Field::new(
            "h",
            Type::new(Kind::Union(Union { members, mode: UnionMode::Tagged("kind".into()) })),
        ))
        .field(Field::new("i", Type::new(Kind::Enum(color))))
        .field(Field::new("j", Type::new(Kind::FixedList(Box::new(Type::float()), 8))))
        .field(Field::new("k", Type::decimal()))
        .field(Field::new("l", Type::datetime()))
        .field(Field::new("m", Type::uuid()))
        .field(Field::new("n", Type::duration()))
        .field(Field::new("o", Type::time()))
        .field(Field::new("p", Type::bytes()))
        .field(Field::new("q", Type::any()))
        .field(Field::new("r", Type::str().email()))
        .field(Field::new("next", Type::reference("All").nullable()).default_null())
        .extra(Extra::Forbid);
    let declaration = Declaration::new("All", Type::reference("All")).define("All", record.into());
    let written: serde_json::Value =
        serde_json::from_str(&to_json(&to_json_schema(&declaration))).unwrap();
    assert!(jsonschema::meta::is_valid(&written), "{written}");
    let all = &written["$defs"]["All"];
    assert_eq!(all["properties"]["A"]["title"], "The a");
    assert_eq!(all["properties"]["A"]["default"], 3);
    assert_eq!(all["additionalProperties"], false);
    assert_eq!(all["required"][0], "b");
    // It is read back, too.
    let back = compile(&written).unwrap();
    let good = json!({
        "A": 1, "b": "x", "c": [1], "d": {"k": true}, "e": [1, "a"], "f": ["2020-01-01"], "g": "a",
        "h": {"kind": "b"}, "i": "red", "j": [1, 2, 3, 4, 5, 6, 7, 8], "k": "1.5", "l": "2020-01-01T00:00:00Z",
        "m": "12345678-1234-5678-1234-567812345678", "n": "P1D", "o": "12:00:00Z", "p": "x", "q": [], "r": "a@b.co",
        "next": null
    });
    let strict = Schema::compile(declaration).unwrap();
    for schema in [&back, &strict] {
        assert_eq!(schema.issues_json(good.to_string().as_bytes()), []);
        for key in ["b", "c", "d", "e", "f", "h", "i", "j", "l", "m", "n", "r"] {
            let mut bad = good.clone();
            bad[key] = json!(false);
            assert!(!schema.is_valid_json(bad.to_string().as_bytes()), "{key}");
        }
    }
}
