//! Which member of a union a JSON value becomes, as in pydantic 2.14.

use ottava_core::schema::{Field, Kind, Record, Type, Union, UnionMode};

use crate::conversion::{INT, check};

#[test]
fn smart_unions() {
    check(Type::union([Type::int()]).nullable(), &[("null", "null"), ("\"q\"", INT)]);
    check(
        Type::union([Type::int(), Type::str()]),
        &[
            ("1", "1"),
            ("\"1\"", "\"1\""),
            ("1.0", "1"),
            ("true", "1"),
            (
                "[]",
                "int|int_type|Input should be a valid integer; str|string_type|Input should be a valid string",
            ),
        ],
    );
    check(
        Type::union([Type::list(Type::int().nullable()), Type::list(Type::bool())]),
        &[
            ("[null]", "[null]"),
            (
                "[\"q\"]",
                &format!(
                    "list[nullable[int]].0{INT}; list[bool].0|bool_parsing|Input should be a valid boolean, unable to interpret input"
                ),
            ),
        ],
    );
    check(
        Type::union([Type::float(), Type::int()]),
        &[("1", "1"), ("1.0", "1.0"), ("\"1\"", "1.0")],
    );
    check(Type::union([Type::int(), Type::float()]), &[("1.0", "1.0"), ("1.5", "1.5")]);
    check(
        Type::union([Type::bool(), Type::int(), Type::str()]),
        &[("1", "1"), ("\"true\"", "\"true\""), ("true", "true")],
    );
    check(
        Type::union([Type::str(), Type::datetime()]),
        &[("\"2020-01-01T00:00:00Z\"", "\"2020-01-01T00:00:00Z\"")],
    );
    check(
        Type::union([Type::datetime(), Type::str()]),
        &[
            ("\"2020-01-01\"", "\"2020-01-01\""),
            ("\"2020-01-01T05:00:00+00:00\"", "\"2020-01-01T05:00:00Z\""),
        ],
    );
    check(
        Type::union([Type::decimal(), Type::float(), Type::int()]),
        &[("1", "1"), ("1.5", "1.5")],
    );
    check(
        Type::union([Type::list(Type::int()), Type::list(Type::str())]),
        &[
            ("[\"1\"]", "[\"1\"]"),
            (
                "[1,\"a\"]",
                &format!(
                    "list[int].1{INT}; list[str].0|string_type|Input should be a valid string"
                ),
            ),
        ],
    );
    let one = Record::new("M1").field(Field::new("a", Type::int()).default(0));
    let two = one.clone().field(Field::new("b", Type::int()).default(0));
    let two = Record { name: "M2".into(), ..two };
    check(
        Type::union([one.clone().into(), two.clone().into()]),
        &[
            ("{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":2}"),
            ("{\"a\":1}", "{\"a\":1}"),
            ("{}", "{\"a\":0}"),
        ],
    );
    check(Type::union([two.into(), one.into()]), &[("{\"b\":\"1\",\"a\":1}", "{\"a\":1,\"b\":1}")]);
    check(
        Type::dict(Type::str(), Type::list(Type::union([Type::int(), Type::str()]))),
        &[(
            "{\"a\":[[]]}",
            "a.0.int|int_type|Input should be a valid integer; a.0.str|string_type|Input should be a valid string",
        )],
    );
}

#[test]
fn tagged_unions() {
    let c = Record::new("C")
        .field(Field::new("kind", Type::one_of(["c"])))
        .field(Field::new("x", Type::int()));
    let g = Record::new("G")
        .field(Field::new("kind", Type::one_of(["g", "h"])))
        .field(Field::new("y", Type::int()));
    let untagged = Type::union([c.clone().into(), g.clone().into()]);
    check(
        untagged,
        &[
            (
                "{\"kind\":\"c\",\"x\":\"q\"}",
                &format!(
                    "C.x{INT}; G.kind|literal_error|Input should be 'g' or 'h'; G.y|missing|Field required"
                ),
            ),
            ("1", "C|model_type|Input should be an object; G|model_type|Input should be an object"),
        ],
    );
    let members = vec![c.into(), g.into()];
    let tagged = Type::new(Kind::Union(Union { members, mode: UnionMode::Tagged("kind".into()) }));
    check(
        tagged,
        &[
            ("{\"kind\":\"c\",\"x\":1}", "{\"kind\":\"c\",\"x\":1}"),
            ("{\"y\":1,\"kind\":\"h\"}", "{\"kind\":\"h\",\"y\":1}"),
            ("{\"kind\":\"c\",\"x\":\"q\"}", &format!("c.x{INT}")),
            (
                "{\"kind\":\"z\"}",
                "|union_tag_invalid|Input tag 'z' found using 'kind' does not match any of the expected tags: 'c', 'g', 'h'",
            ),
            ("{}", "|union_tag_not_found|Unable to extract tag using discriminator 'kind'"),
            ("[]", "|dict_type|Input should be an object"),
            (
                "{\"kind\":1}",
                "|union_tag_invalid|Input tag '1' found using 'kind' does not match any of the expected tags: 'c', 'g', 'h'",
            ),
        ],
    );
}
