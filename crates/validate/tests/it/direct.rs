//! Rows that are read the direct way are those that the engine makes, one by one.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use ottava_core::schema::{
    Config, Declaration, Extra, Field, FieldDefault, Kind, Record, TimeUnit, Type, Value,
};
use ottava_validate::{
    BatchOptions, ColumnOutput, CompactRow, CompactRows, Issues, Schema, TreeOutput,
};
use proptest::prelude::*;
use proptest::sample::Index;

fn schema(extra: Extra) -> Schema {
    let when = Type::new(Kind::DateTime { unit: TimeUnit::Micro, aware: None });
    let mut inner = Record::new("Inner")
        .field(Field::new("turn", Type::int().ge(0)))
        .field(
            Field::new("a rather long name of a field", Type::str())
                .default(Value::Str("none".into())),
        )
        .field(Field::new("more", Type::float().nullable()).default_null());
    inner.config = Config { extra: Extra::Ignore, ..Config::default() };
    let mut node = Record::new("Node")
        .field(Field::new("id", Type::int().gt(0)))
        .field(Field::new("name", Type::str().min_length(1).max_length(20)))
        .field(Field::new("mail", Type::str().pattern("^[a-z]+@[a-z]+$").nullable()))
        .field(Field::new("kind", Type::one_of(["REQ", "CODE", "", "DECISION", "fifteen letters"])))
        .field(Field::new("cost", Type::float()))
        .field(Field::new("flag", Type::bool()).default(Value::Bool(true)))
        .field(Field::new("when", when))
        .field(Field::new("scores", Type::list(Type::float()).max_length(3)))
        .field(Field::new("words", Type::list(Type::str().min_length(1)).nullable()))
        .field(Field { default: FieldDefault::Absent, ..Field::new("inner", Type::from(inner)) })
        .field(Field::new("key", Type::uuid().nullable()).default_null());
    node.config = Config { extra, ..Config::default() };
    Schema::compile(Declaration::from(node)).expect("a right schema")
}

/// Values of each field, right and wrong, as a program or a person may write them.
const VALUES: [(&str, &[&str]); 13] = [
    (
        "id",
        &[
            "1",
            "12345678",
            "123456789012345678",
            "9223372036854775807",
            "0",
            "-4",
            "007",
            "1.0",
            "\"5\"",
            "12345678901234567890",
            "true",
            "1e2",
            "-0",
            "",
        ],
    ),
    (
        "name",
        &[
            "\"a\"",
            "\"user number 17\"",
            "\"exactly sixteen!\"",
            "\"Zo\\u00eb\"",
            "\"Zoë\"",
            "\"\"",
            "\"twenty-one characters\"",
            "7",
            "null",
            "\"tab\tin\"",
            "\"open",
        ],
    ),
    ("mail", &["\"ann@example\"", "null", "\"nobody\"", "nul", "nullx"]),
    (
        "kind",
        &[
            "\"REQ\"",
            "\"CODE\"",
            "\"\"",
            "\"DECISION\"",
            "\"fifteen letters\"",
            "\"fifteen letters!\"",
            "\"R\\u0045Q\"",
            "\"REQ \"",
            "null",
            "\"NONE\"",
        ],
    ),
    (
        "cost",
        &[
            "0.5",
            "-0.6369616873214543",
            "0.012345678901234567",
            "17",
            "-0.0",
            "-0",
            "1e3",
            "1.5E-7",
            "123456789.123456789123",
            "9007199254740993.0",
            "1e999",
            "1.",
            ".5",
            "01.5",
            "NaN",
            "\"2.5\"",
            "9007199254740993",
        ],
    ),
    ("flag", &["true", "false", "1", "\"yes\"", "truth", "fals", "null"]),
    (
        "when",
        &[
            "\"2013-01-01T05:00:00Z\"",
            "\"2013-01-01 05:00:00.123456+00:00\"",
            "\"2013-01-01T05:00:00.1\"",
            "\"2013-02-29T05:00:00\"",
            "\"2013-01-01T05:00:00-05:00\"",
            "\"2013-01-01\"",
            "1357016400",
            "\"soon\"",
        ],
    ),
    (
        "scores",
        &[
            "[]",
            "[1.5, 2]",
            "[1,2,3]",
            "[1,2,3,4]",
            "[1,]",
            "[1 ,2]",
            "[null]",
            "[\"1\"]",
            "[[1]]",
            "{}",
            "[1",
        ],
    ),
    ("words", &["null", "[\"a\",\"b\"]", "[\"\"]", "[ \"a\" ]", "[\"\\n\"]", "[1]"]),
    (
        "inner",
        &[
            "{\"turn\":3}",
            "{\"turn\": 3, \"a rather long name of a field\": \"x\", \"more\": 1.5}",
            "{\"more\":null,\"turn\":4,\"other\":{\"a\":[1]}}",
            "{}",
            "{\"turn\":-1}",
            "{\"turn\":1,\"turn\":2}",
            "null",
            "{\"turn\":1",
        ],
    ),
    ("key", &["null", "\"00000000-0000-0000-0000-000000000001\"", "\"no\""]),
    ("other", &["1", "\"x\"", "{\"a\":[1,{}]}", "[1,", "nan"]),
    ("na\\u006de", &["\"b\"", "1"]),
];

/// Fields of a row, in order: which, and which of its values.
type Picked = Vec<(usize, usize)>;

fn written(fields: &Picked, style: usize) -> String {
    let (comma, colon, open, close) = [
        (",", ":", "{", "}"),
        (", ", ": ", "{", "}"),
        (" ,", " : ", "{ ", " }"),
        (",\r", ":\t", "{", "}\r"),
    ][style];
    let parts: Vec<String> = fields
        .iter()
        .map(|(field, value)| {
            let (name, values) = VALUES[*field];
            format!("\"{name}\"{colon}{}", values[value % values.len()])
        })
        .collect();
    format!("{open}{}{close}", parts.join(comma))
}

/// Rows that are mostly as programs write them.
fn rows() -> impl Strategy<Value = String> {
    let value = prop_oneof![20 => 0..2_usize, 1 => 0..1000_usize];
    let ordered = proptest::collection::vec(value, 11)
        .prop_map(|values| values.into_iter().enumerate().collect::<Picked>());
    let fields = prop_oneof![
        4 => ordered.clone(),
        1 => ordered.clone().prop_shuffle(),
        1 => (ordered.clone(), any::<Index>()).prop_map(|(mut fields, at)| {
            fields.remove(at.index(fields.len()));
            fields
        }),
        1 => (ordered, any::<Index>(), 0..VALUES.len(), 0..1000_usize).prop_map(
            |(mut fields, at, field, value)| {
                fields.insert(at.index(fields.len() + 1), (field, value));
                fields
            }
        ),
    ];
    let row =
        (fields, 0..8_usize).prop_map(|(fields, style)| written(&fields, style.saturating_sub(4)));
    let broken = (row.clone(), any::<Index>(), any::<u8>()).prop_map(|(row, at, byte)| {
        let mut bytes = row.into_bytes();
        let at = at.index(bytes.len());
        match byte {
            0..60 => bytes.truncate(at),
            60..120 => drop(bytes.remove(at)),
            byte => bytes[at] = byte & 0x7f,
        }
        String::from_utf8_lossy(&bytes).into_owned()
    });
    prop_oneof![8 => row, 2 => broken, 1 => "[ \\t\\r]{0,3}"]
}

/// What the engine makes of lines, one after another: columns, and what is wrong by row.
fn by_the_engine(
    schema: &Schema,
    lines: &[&str],
    strict: Option<bool>,
) -> (RecordBatch, Vec<String>) {
    let mut output = ColumnOutput::new(schema.declaration()).expect("columns");
    let mut wrong = Vec::new();
    for (row, line) in lines.iter().enumerate() {
        let mut issues = Issues::new(1000);
        let root = output.root();
        match schema.run_json(line.as_bytes(), &mut output, root, &mut issues, strict) {
            Ok(_) => output.end_row(),
            Err(_) => {
                output.forget_row();
                wrong.extend(issues.take().iter().map(|issue| format!("{row} {issue}")));
            }
        }
    }
    (output.take().expect("columns"), wrong)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn columns_are_those_of_the_engine(
        rows in proptest::collection::vec(rows(), 1..12),
        extra in prop_oneof![Just(Extra::Ignore), Just(Extra::Forbid), Just(Extra::Allow)],
        strict in prop_oneof![Just(None), Just(Some(true)), Just(Some(false))],
        end in prop_oneof![Just(""), Just("\n"), Just("\r\n")],
    ) {
        let schema = schema(extra);
        let text = rows.join("\n") + end;
        let lines: Vec<&str> = text
            .split('\n')
            .filter(|line| !line.trim_matches([' ', '\t', '\r']).is_empty())
            .collect();
        let (expected, wrong) = by_the_engine(&schema, &lines, strict);
        let options = BatchOptions { threads: 1, strict, ..BatchOptions::default() };
        let found = schema.ndjson_to_arrow(text.as_bytes(), &options).expect("columns");
        let issues: Vec<String> =
            found.issues.list.iter().map(|found| format!("{} {}", found.row, found.issue)).collect();
        prop_assert_eq!(issues, wrong);
        prop_assert_eq!(found.rows_read, lines.len() as u64);
        let made = found.batches.first().cloned();
        prop_assert_eq!(made.unwrap_or_else(|| RecordBatch::new_empty(expected.schema())), expected);
    }

    #[test]
    fn compact_rows_are_those_of_the_engine(
        rows in proptest::collection::vec(rows(), 1..8),
        extra in prop_oneof![Just(Extra::Ignore), Just(Extra::Forbid), Just(Extra::Allow)],
    ) {
        let schema = schema(extra);
        let text = rows.join("\n");
        let checked = CompactRows::check(&schema, text.as_bytes(), None);
        for (row, place) in checked.rows() {
            let expected = schema.json_to_value(text[place].as_bytes());
            match row {
                CompactRow::Good(made) => {
                    let made = checked.make(schema.program(), *made, &mut TreeOutput);
                    prop_assert_eq!(made.ok(), expected.ok());
                }
                CompactRow::Bad(issues, _) => prop_assert_eq!(Err(issues.clone()), expected),
                CompactRow::Other => prop_assert!(false, "these rows all fit"),
            }
        }
    }
}

#[test]
fn nesting_is_limited_by_all_ways() {
    let text = format!(
        "{{\"id\":1,\"name\":\"a\",\"mail\":null,\"kind\":\"REQ\",\"cost\":1,\"flag\":true,\"when\":\"2013-01-01T05:00:00Z\",\"scores\":[1],\"words\":null,\"inner\":{{\"turn\":1,\"x\":{}1{}}},\"key\":null}}",
        "[".repeat(126),
        "]".repeat(126)
    );
    let deeper = text.replacen("[[", "[[[", 1).replacen("]]", "]]]", 1);
    let schema = schema(Extra::Ignore);
    for (line, good) in [(&text, true), (&deeper, false)] {
        let found =
            schema.ndjson_to_arrow(line.as_bytes(), &BatchOptions::default()).expect("columns");
        assert_eq!(found.rows_good == 1, good);
        assert_eq!(by_the_engine(&schema, &[line], None).1.is_empty(), good);
    }
}

#[test]
fn what_a_default_stands_for_is_filled_in() {
    let record = Record::new("Row")
        .field(Field::new("a", Type::int()))
        .field(Field { default: FieldDefault::Absent, ..Field::new("b", Type::str()) });
    let schema = Schema::compile(Declaration::from(record)).expect("a right schema");
    let text = "{\"a\":1}\n{\"b\":\"x\",\"a\":2}\n";
    let lines: Vec<&str> = text.lines().collect();
    let found = schema.ndjson_to_arrow(text.as_bytes(), &BatchOptions::default()).expect("columns");
    assert_eq!(found.batches, [by_the_engine(&schema, &lines, None).0]);
}

#[test]
fn a_key_that_comes_twice_leaves_no_column_out_of_step() {
    let rows = concat!(
        r#"{"id":1,"id":2,"name":"a","mail":null,"kind":"REQ","cost":1,"when":"2013-01-01T05:00:00Z","scores":[1],"words":["x"]}"#,
        "\n",
        r#"{"id":3,"name":"b","mail":null,"kind":"REQ","cost":1,"when":"2013-01-01T05:00:00Z","scores":[2],"words":["y"],"inner":{"turn":1,"more":2,"turn":3}}"#,
    );
    let schema = schema(Extra::Ignore);
    let found = schema.ndjson_to_arrow(rows.as_bytes(), &BatchOptions::default()).expect("columns");
    assert_eq!((found.rows_good, found.issues.list.len()), (2, 0));
    let ids = found.batches[0].column(0);
    assert_eq!(ids.as_primitive::<Int64Type>().values(), &[2, 3]);
    let inner = found.batches[0].column_by_name("inner").expect("a column").as_struct();
    assert_eq!(inner.column(0).as_primitive::<Int64Type>().values()[1], 3);
}

#[test]
fn a_record_that_only_the_engine_reads_may_lie_in_one_that_is_read_directly() {
    let inner = Record::new("Inner").field(Field::new("key", Type::uuid()));
    let record = Record::new("Row")
        .field(Field::new("a", Type::int()))
        .field(Field::new("inner", Type::from(inner)))
        .field(Field::new("b", Type::int()));
    let schema = Schema::compile(Declaration::from(record)).expect("a right schema");
    let row = r#"{"a":1,"inner":{"key":"00000000-0000-0000-0000-000000000001"},"b":2}"#;
    let wrong = r#"{"a":1,"inner":{"key":"no"},"b":2}"#;
    let text = [row, wrong, row].join("\n");
    let found = schema.ndjson_to_arrow(text.as_bytes(), &BatchOptions::default()).expect("columns");
    let (expected, issues) = by_the_engine(&schema, &[row, wrong, row], None);
    assert_eq!(found.batches, [expected]);
    assert_eq!((found.issues.list.len(), issues.len()), (1, 1));
}

/// Holds the columns of lines against those of the engine.
fn check_lines(schema: &Schema, text: &str) {
    let lines: Vec<&str> =
        text.split('\n').filter(|line| !line.trim_matches([' ', '\t', '\r']).is_empty()).collect();
    let (expected, wrong) = by_the_engine(schema, &lines, None);
    let options = BatchOptions { threads: 1, ..BatchOptions::default() };
    let found = schema.ndjson_to_arrow(text.as_bytes(), &options).expect("columns");
    let issues: Vec<String> =
        found.issues.list.iter().map(|found| format!("{} {}", found.row, found.issue)).collect();
    assert_eq!(issues, wrong, "{text}");
    let made = found.batches.first().cloned();
    assert_eq!(
        made.unwrap_or_else(|| RecordBatch::new_empty(expected.schema())),
        expected,
        "{text}"
    );
}

/// Rows that are written alike, in ways that a template may have.
const LIKE_ROWS: [[&str; 2]; 5] = [
    [
        r#"{"id": 8, "name": "first", "mail": null, "kind": "REQ", "cost": 0.25, "flag": true, "when": "2013-01-01 05:00:00.123456+00:00", "scores": [0.5, 12], "words": ["a"], "inner": {"turn": 3, "a rather long name of a field": "x", "more": 1.5}, "key": null}"#,
        r#"{"id": 123456789, "name": "Zoë, number \u0031 7", "mail": "ann@example", "kind": "", "cost": -0.6369616873214543, "flag": false, "when": "2024-02-29T23:59:59Z", "scores": [], "words": null, "inner": {"turn": 0, "a rather long name of a field": "longer than fifty bytes, so that it is not to be seen at once", "more": null}, "key": null}"#,
    ],
    [
        r#"{"id":8,"name":"first","mail":null,"kind":"REQ","cost":12.75,"flag":true,"when":"2013-01-01T05:00:00","scores":[1],"words":["a"],"inner":{"turn":3,"a rather long name of a field":"x","more":1.5},"key":null}"#,
        r#"{"id":9007199254740993,"name":"sixteen letters!","mail":"b@c","kind":"fifteen letters","cost":1e-7,"flag":false,"when":"2013-12-31T05:00:00.5","scores":[-1.25,3e2,0.1],"words":[],"inner":{"turn":7,"a rather long name of a field":"","more":-0.0},"key":"00000000-0000-0000-0000-000000000001"}"#,
    ],
    // Another order, some fields left out, one that nobody knows.
    [
        "{ \"name\" :\t\"b\", \"id\": 1, \"cost\": 2, \"kind\": \"CODE\", \"other\": {\"a\": [1, {}]}, \"mail\": \"a@b\", \"when\": \"2013-01-01T05:00:00Z\", \"scores\": [0.5], \"words\": [\"a\"], \"inner\": { } }\r",
        "{ \"name\" :\t\"twenty characters ...\", \"id\": 77, \"cost\": 0.1, \"kind\": \"DECISION\", \"other\": \"x\", \"mail\": null, \"when\": \"2013-01-01T05:00:00Z\", \"scores\": [], \"words\": null, \"inner\": { } }\r",
    ],
    [
        r#"{"inner":{"more":2.5,"turn":1},"key":null,"words":null,"scores":[],"when":"1969-12-31T23:59:59.999999Z","flag":true,"cost":123456.5,"kind":"CODE","mail":"a@b","name":"last","id":5}"#,
        r#"{"inner":{"more":null,"turn":123456789012345678},"key":null,"words":["x"],"scores":[1,2,3],"when":"0001-01-01 00:00:00","flag":false,"cost":0.1234567890123456789,"kind":"CODE","mail":"a@b","name":"z","id":50}"#,
    ],
    // Without the record.
    [
        r#"{"id":8,"name":"first","mail":null,"kind":"REQ","cost":7,"flag":true,"when":"2013-01-01T05:00:00","scores":[1],"words":["a"]}"#,
        r#"{"id":9,"name":"second","mail":"b@c","kind":"CODE","cost":0.5,"flag":false,"when":"2013-12-31T05:00:00.25","scores":[],"words":[]}"#,
    ],
];

#[test]
fn rows_like_those_before_them_are_read_whatever_they_have() {
    for extra in [Extra::Ignore, Extra::Forbid, Extra::Allow] {
        let schema = schema(extra);
        for [first, second] in LIKE_ROWS {
            let like: Vec<&str> =
                (0..40).map(|at| if at % 3 == 1 { second } else { first }).collect();
            check_lines(&schema, &(like.join("\n") + "\n"));
            check_lines(&schema, &like.join("\n"));
            // One that is written in another way, wrong, or not there, after every third.
            for other in
                ["", "{\"id\":1}", "[]", LIKE_ROWS[1][0], &first.replacen("\"id\"", "\"i\"", 1)]
            {
                let mixed: Vec<&str> =
                    (0..40).map(|at| if at % 4 == 3 { other } else { like[at] }).collect();
                check_lines(&schema, &mixed.join("\n"));
            }
        }
        // Control characters where JSON has space: in every row, and in one among others.
        for control in (0..=0x1f_u8).chain([0x7f, b' ']).filter(|byte| *byte != b'\n') {
            let control = char::from(control);
            let first = LIKE_ROWS[0][0];
            for other in [
                format!("{first}{control}"),
                format!("{control}{first}"),
                format!("{{{control}{}", &first[1..]),
                first.replacen(", ", &format!(",{control}"), 1),
                first.replacen(": ", &format!(":{control}"), 1),
                first.replacen("\": ", &format!("\"{control}: "), 1),
                first.replacen("first", &format!("fi{control}rst"), 1),
                control.to_string(),
            ] {
                let row = |at| if at == 17 { other.as_str() } else { first };
                check_lines(&schema, &(0..20).map(row).collect::<Vec<_>>().join("\n"));
                check_lines(&schema, &format!("{other}\n").repeat(20));
            }
        }
        let all: Vec<&str> = (0..60).map(|at| LIKE_ROWS[at / 4 % 5][at % 2]).collect();
        check_lines(&schema, &all.join("\n"));
    }
}

#[test]
fn every_change_of_a_byte_among_like_rows_is_what_the_engine_makes_of_it() {
    let schema = schema(Extra::Ignore);
    for [first, second] in LIKE_ROWS {
        for row in [first, second] {
            let text = |changed: &str| {
                [first, changed, second, first, first, first, first, first, first, first].join("\n")
            };
            for at in 0..row.len() {
                if !row.is_char_boundary(at) || !row.is_char_boundary(at + 1) {
                    continue;
                }
                check_lines(&schema, &text(&row[..at]));
                let old = row.as_bytes()[at];
                let near = [old ^ 1, old ^ 0x10, old ^ 0x20];
                for new in near.into_iter().chain(*b"\"\\ ,:}-0.e") {
                    if new < 0x80 && new != old {
                        let changed =
                            format!("{}{}{}", &row[..at], char::from(new), &row[at + 1..]);
                        check_lines(&schema, &text(&changed));
                    }
                }
                check_lines(&schema, &text(&format!("{}{}", &row[..at], &row[at + 1..])));
            }
        }
    }
}

#[test]
fn a_byte_that_is_no_text_spoils_its_own_row_among_like_rows() {
    let schema = schema(Extra::Ignore);
    let [first, second] = LIKE_ROWS[0];
    let lines: Vec<&str> = (0..12).map(|at| if at == 5 { second } else { first }).collect();
    let text = lines.join("\n");
    let start = text.find(second).expect("a row");
    let whole = by_the_engine(&schema, &lines, None).0;
    for at in (start..start + second.len()).filter(|at| text.as_bytes()[*at].is_ascii()) {
        for wrong in [0x80, 0xc3, 0xff] {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = wrong;
            let found = schema.ndjson_to_arrow(&bytes, &BatchOptions::default()).expect("columns");
            assert_eq!((found.rows_read, found.rows_good), (12, 11));
            assert_eq!(found.issues.list[0].row, 5);
            assert_eq!(found.batches[0].slice(0, 5), whole.slice(0, 5));
            assert_eq!(found.batches[0].slice(5, 6), whole.slice(6, 6));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn many_rows_in_one_order_are_those_of_the_engine(
        rows in proptest::collection::vec(proptest::collection::vec(prop_oneof![30 => 0..2_usize, 1 => 0..1000_usize], 11), 20..80),
        order in Just((0..13).collect::<Vec<usize>>()).prop_shuffle(),
        fields in 9..13_usize,
        style in 0..4_usize,
        shuffle in any::<bool>(),
        chunk in prop_oneof![Just(1 << 20), 1000..6000_usize],
    ) {
        let schema = schema(Extra::Ignore);
        let order: Vec<usize> = if shuffle { order[..fields].to_vec() } else { (0..11).collect() };
        let lines: Vec<String> = rows
            .iter()
            .map(|values| {
                let picked = order.iter().map(|field| (*field, values[*field % 11])).collect();
                written(&picked, style)
            })
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let (expected, wrong) = by_the_engine(&schema, &lines, None);
        let options = BatchOptions { threads: 1, chunk_bytes: chunk, ..BatchOptions::default() };
        let found = schema.ndjson_to_arrow(lines.join("\n").as_bytes(), &options).expect("columns");
        let issues: Vec<String> =
            found.issues.list.iter().map(|found| format!("{} {}", found.row, found.issue)).collect();
        prop_assert_eq!(issues, wrong);
        let made = arrow_select::concat::concat_batches(&expected.schema(), &found.batches);
        prop_assert_eq!(made.expect("one schema"), expected);
    }
}
