//! What each type makes of JSON values: results, codes and messages as pydantic 2.14 gives them.

use ottava_core::schema::{Declaration, EnumMember, EnumType, Field, Kind, Record, Type, Value};
use ottava_validate::{Schema, to_json};

/// Checks `(json, outcome)` pairs: the value as JSON, or the issues as `loc|code|message`, joined with `; `.
pub(crate) fn check(ty: Type, cases: &[(&str, &str)]) {
    let schema = Schema::compile(Declaration::new("test", ty)).unwrap();
    for (json, expected) in cases {
        let outcome = match schema.json_to_value(json.as_bytes()) {
            Ok(value) => to_json(&value),
            Err(issues) => {
                let show = |issue: &ottava_validate::Issue| {
                    let loc: Vec<_> = issue.loc.iter().map(ToString::to_string).collect();
                    format!("{}|{}|{}", loc.join("."), issue.code.name(), issue.message())
                };
                issues.iter().map(show).collect::<Vec<_>>().join("; ")
            }
        };
        assert_eq!(&outcome, expected, "{json}");
        let valid = !expected.contains('|');
        assert_eq!(schema.is_valid_json(json.as_bytes()), valid, "{json}");
        assert_eq!(schema.issues_json(json.as_bytes()).is_empty(), valid, "{json}");
    }
}

pub(crate) const INT: &str =
    "|int_parsing|Input should be a valid integer, unable to parse string as an integer";
const FLOAT: &str =
    "|float_parsing|Input should be a valid number, unable to parse string as a number";

#[test]
fn integers() {
    check(
        Type::int(),
        &[
            ("\"1_000\"", "1000"),
            ("\" 1 \"", "1"),
            ("\"1.0\"", "1"),
            ("\"1.5\"", INT),
            ("\"+1\"", "1"),
            ("\"0x1\"", INT),
            ("\"\"", INT),
            ("\"1e3\"", INT),
            ("1e3", "1000"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("-12345678901234567890123", "-12345678901234567890123"),
            ("\"12345678901234567890123\"", "12345678901234567890123"),
            ("\"-0\"", "0"),
            ("-0", "0"),
            ("\"--1\"", INT),
            ("\"1.\"", INT),
            ("\".0\"", INT),
            ("\"- 1\"", INT),
            ("\"00012\"", "12"),
            ("\"_1\"", INT),
            ("\"1__0\"", INT),
            ("\"\u{ff11}\"", INT),
            ("\"\\u00a01\"", "1"),
            ("9223372036854775807", "9223372036854775807"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("9223372036854775808", "9223372036854775808"),
            ("true", "1"),
            ("null", "|int_type|Input should be a valid integer"),
            (
                "1.5",
                "|int_from_float|Input should be a valid integer, got a number with a fractional part",
            ),
            (
                "1e30",
                "|int_parsing_size|Unable to parse input string as an integer, exceeded maximum size",
            ),
        ],
    );
    check(
        Type::int().strict(true),
        &[
            ("1", "1"),
            ("1.0", "|int_type|Input should be a valid integer"),
            ("\"1\"", "|int_type|Input should be a valid integer"),
            ("true", "|int_type|Input should be a valid integer"),
        ],
    );
    check(
        Type::int().ge(0).le(10).multiple_of(3),
        &[
            ("20", "|multiple_of|Input should be a multiple of 3"),
            ("21", "|less_than_equal|Input should be less than or equal to 10"),
            ("-3", "|greater_than_equal|Input should be greater than or equal to 0"),
            ("\"9\"", "9"),
            ("99999999999999999999", "|less_than_equal|Input should be less than or equal to 10"),
        ],
    );
    let big = Value::BigInt("100000000000000000000".into());
    check(
        Type::int().gt(big).lt(1e30),
        &[
            ("100000000000000000001", "100000000000000000001"),
            ("1", "|greater_than|Input should be greater than 100000000000000000000"),
            (
                "100000000000000000000",
                "|greater_than|Input should be greater than 100000000000000000000",
            ),
        ],
    );
    check(
        Type::new(Kind::Int(ottava_core::schema::IntWidth::U64)),
        &[
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", "|int_range|Input should fit 64 unsigned bits"),
            ("-1", "|int_range|Input should fit 64 unsigned bits"),
        ],
    );
}

#[test]
fn floats() {
    check(
        Type::float(),
        &[
            ("1", "1.0"),
            ("\"1_000.5\"", "1000.5"),
            ("\"inf\"", "Infinity"),
            ("\"nan\"", "NaN"),
            ("\"-infinity\"", "-Infinity"),
            ("\"1e400\"", "Infinity"),
            ("\"+1.5\"", "1.5"),
            ("\".5\"", "0.5"),
            ("\"5.\"", "5.0"),
            ("\"\"", FLOAT),
            ("\" 1 \"", "1.0"),
            ("true", "1.0"),
            ("\"1e5\"", "100000.0"),
            ("\"1_0\"", "10.0"),
            ("\"_1\"", FLOAT),
            ("\"0x1\"", FLOAT),
            ("[]", "|float_type|Input should be a valid number"),
            ("0.1", "0.1"),
            ("-0.0", "-0.0"),
            ("123456789.123456789", "123456789.12345679"),
            ("5e-324", "5e-324"),
            ("12345678901234567890123", "1.2345678901234568e22"),
        ],
    );
    check(
        Type::float().strict(true),
        &[
            ("1", "1.0"),
            ("\"1\"", "|float_type|Input should be a valid number"),
            ("true", "|float_type|Input should be a valid number"),
        ],
    );
    check(
        Type::float().gt(1.0),
        &[("0.5", "|greater_than|Input should be greater than 1"), ("\"1.5\"", "1.5")],
    );
    check(
        Type::float().multiple_of(0.1),
        &[("0.3", "0.3"), ("0.35", "|multiple_of|Input should be a multiple of 0.1")],
    );
    let mut finite = Type::float();
    finite.rules.allow_inf_nan = Some(false);
    check(finite, &[("\"inf\"", "|finite_number|Input should be a finite number")]);
}

#[test]
fn truth_values() {
    const PARSING: &str =
        "|bool_parsing|Input should be a valid boolean, unable to interpret input";
    const TYPE: &str = "|bool_type|Input should be a valid boolean";
    check(
        Type::bool(),
        &[
            ("\"yes\"", "true"),
            ("\"Y\"", "true"),
            ("\"off\"", "false"),
            ("2", PARSING),
            ("1.0", "true"),
            ("0.5", TYPE),
            ("\"x\"", PARSING),
            ("null", TYPE),
            ("\" true\"", PARSING),
            ("\"TRUE\"", "true"),
        ],
    );
    check(Type::bool().strict(true), &[("true", "true"), ("1", TYPE), ("\"true\"", TYPE)]);
}

#[test]
fn texts() {
    const TYPE: &str = "|string_type|Input should be a valid string";
    check(
        Type::str(),
        &[("1", TYPE), ("null", TYPE), ("\"\\u0061\\ud83d\\ude00\"", "\"a\u{1f600}\"")],
    );
    check(
        Type::str().pattern("^a$").min_length(2).max_length(3),
        &[
            ("\"a\"", "|string_too_short|String should have at least 2 characters"),
            ("\"aaaa\"", "|string_too_long|String should have at most 3 characters"),
            ("\"bb\"", "|string_pattern_mismatch|String should match pattern '^a$'"),
        ],
    );
    // Four bytes each.
    check(
        Type::str().min_length(2).max_length(2),
        &[
            ("\"\u{1f600}\u{1f600}\"", "\"\u{1f600}\u{1f600}\""),
            ("\"\u{1f600}\"", "|string_too_short|String should have at least 2 characters"),
            ("\"aaa\"", "|string_too_long|String should have at most 2 characters"),
        ],
    );
    let mut changed = Type::str().pattern("^[a-z]+$");
    changed.rules.strip_whitespace = true;
    changed.rules.to_upper = true;
    check(changed, &[("\" ab \"", "\"AB\"")]);
    check(Type::bytes(), &[("\"a\"", "\"a\""), ("1", "|bytes_type|Input should be a valid bytes")]);
    check(
        Type::str().url(),
        &[
            ("\"https://example.org/a?b\"", "\"https://example.org/a?b\""),
            ("\"x\"", "|url_parsing|Input should be a valid URL, relative URL without a base"),
        ],
    );
}

#[test]
fn values_in_time() {
    check(
        Type::datetime(),
        &[
            ("\"2020-01-01T00:00:00Z\"", "\"2020-01-01T00:00:00Z\""),
            ("\"2020-01-01\"", "\"2020-01-01T00:00:00\""),
            (
                "\"x\"",
                "|datetime_from_date_parsing|Input should be a valid datetime or date, input is too short",
            ),
            ("1.5", "\"1970-01-01T00:00:01.500000Z\""),
            ("1577836800000", "\"2020-01-01T00:00:00Z\""),
            ("\"1577836800\"", "\"2020-01-01T00:00:00Z\""),
            ("true", "|datetime_type|Input should be a valid datetime"),
            ("null", "|datetime_type|Input should be a valid datetime"),
            (
                "\"2020-13-01T00:00:00Z\"",
                "|datetime_from_date_parsing|Input should be a valid datetime or date, month value is outside expected range of 1-12",
            ),
            (
                "1e20",
                "|datetime_parsing|Input should be a valid datetime, dates after 9999 are not supported as unix timestamps",
            ),
        ],
    );
    check(
        Type::datetime().strict(true),
        &[
            ("\"2020-01-01T00:00:00Z\"", "\"2020-01-01T00:00:00Z\""),
            (
                "\"2020-01-01\"",
                "|datetime_parsing|Input should be a valid datetime, invalid datetime separator, expected `T`, `t`, `_` or space",
            ),
            ("1", "|datetime_type|Input should be a valid datetime"),
        ],
    );
    const INEXACT: &str = "|date_from_datetime_inexact|Datetimes provided to dates should have zero time - e.g. be exact dates";
    check(
        Type::date(),
        &[
            ("\"2020-01-01\"", "\"2020-01-01\""),
            ("\"2020-01-01T00:00:00Z\"", "\"2020-01-01\""),
            ("\"2020-01-01T00:00:01Z\"", INEXACT),
            (
                "\"x\"",
                "|date_from_datetime_parsing|Input should be a valid date or datetime, input is too short",
            ),
            ("0", "\"1970-01-01\""),
            ("1", INEXACT),
            ("86400", "\"1970-01-02\""),
            ("1.5", INEXACT),
            ("true", "|date_type|Input should be a valid date"),
            (
                "\"2020-02-30\"",
                "|date_from_datetime_parsing|Input should be a valid date or datetime, day value is outside expected range",
            ),
        ],
    );
    check(
        Type::date().strict(true),
        &[
            ("\"2020-01-01\"", "\"2020-01-01\""),
            (
                "\"2020-01-01T00:00:00Z\"",
                "|date_parsing|Input should be a valid date in the format YYYY-MM-DD, unexpected extra characters at the end of the input",
            ),
            ("0", "|date_type|Input should be a valid date"),
        ],
    );
    check(
        Type::time(),
        &[
            ("\"12:00\"", "\"12:00:00\""),
            ("\"12:00:00.1234567\"", "\"12:00:00.123456\""),
            ("1", "\"00:00:01Z\""),
            (
                "86400",
                "|time_parsing|Input should be in a valid time format, numeric times may not exceed 86,399 seconds",
            ),
            (
                "-1",
                "|time_parsing|Input should be in a valid time format, time in seconds should be positive",
            ),
            ("1.5", "\"00:00:01.500000Z\""),
            ("\"x\"", "|time_parsing|Input should be in a valid time format, input is too short"),
            ("[]", "|time_type|Input should be a valid time"),
        ],
    );
    check(
        Type::duration(),
        &[
            ("\"P1DT2H\"", "\"P1DT7200S\""),
            ("\"1 day, 02:00:00\"", "\"P1DT7200S\""),
            ("1", "\"PT1S\""),
            ("1.5", "\"PT1.500000S\""),
            ("-3", "\"-PT3S\""),
            (
                "\"x\"",
                "|time_delta_parsing|Input should be a valid duration, invalid digit in duration",
            ),
            (
                "1e300",
                "|time_delta_parsing|Input should be a valid duration, durations may not exceed 999,999,999 days",
            ),
            ("true", "|time_delta_type|Input should be a valid duration"),
        ],
    );
}

#[test]
fn uuids_and_decimals() {
    let uuid = "\"12345678-1234-5678-1234-567812345678\"";
    check(
        Type::uuid(),
        &[
            (uuid, uuid),
            ("\"12345678123456781234567812345678\"", uuid),
            ("1", "|uuid_type|UUID input should be a string, bytes or UUID object"),
        ],
    );
    const TYPE: &str =
        "|decimal_type|Decimal input should be an integer, float, string or Decimal object";
    check(
        Type::decimal(),
        &[
            ("\"1.50\"", "\"1.50\""),
            ("1.10", "\"1.10\""),
            ("1", "\"1\""),
            ("1e400", "\"1e400\""),
            ("\"x\"", "|decimal_parsing|Input should be a valid decimal"),
            ("\"NaN\"", "|finite_number|Input should be a finite number"),
            ("true", TYPE),
            ("[]", TYPE),
        ],
    );
    let mut money = Type::decimal();
    money.rules.max_digits = Some(3);
    money.rules.decimal_places = Some(1);
    check(
        money,
        &[
            ("\"1.50\"", "\"1.50\""),
            (
                "\"1234\"",
                "|decimal_max_digits|Decimal input should have no more than 3 digits in total",
            ),
            ("\"12.3\"", "\"12.3\""),
            (
                "\"123.0\"",
                "|decimal_whole_digits|Decimal input should have no more than 2 digits before the decimal point",
            ),
            (
                "\"0.01\"",
                "|decimal_max_places|Decimal input should have no more than 1 decimal place",
            ),
            (
                "\"1e5\"",
                "|decimal_max_digits|Decimal input should have no more than 3 digits in total",
            ),
        ],
    );
    check(
        Type::decimal().gt(Value::Decimal("0.1".into())).multiple_of(Value::Decimal("0.05".into())),
        &[
            ("\"0.10000000000000000001\"", "|multiple_of|Input should be a multiple of 0.05"),
            ("0.1", "|greater_than|Input should be greater than 0.1"),
            ("0.15", "\"0.15\""),
        ],
    );
}

#[test]
fn collections() {
    let list = Type::list(Type::int());
    check(
        list.clone(),
        &[
            ("[1,\"2\"]", "[1,2]"),
            ("{}", "|list_type|Input should be a valid array"),
            ("[1,\"x\"]", &format!("1{INT}")),
        ],
    );
    check(
        list.clone().min_length(2).max_length(3),
        &[
            ("[1]", "|too_short|List should have at least 2 items after validation, not 1"),
            ("[1,2,3,4,5]", "|too_long|List should have at most 3 items after validation, not 5"),
            ("[\"x\"]", &format!("0{INT}")),
            (
                "[1,2,3,\"x\",\"y\"]",
                "|too_long|List should have at most 3 items after validation, not 5",
            ),
        ],
    );
    check(
        list.unique_items(),
        &[
            ("[1,2,3]", "[1,2,3]"),
            (
                "[1,2,\"1\"]",
                "2|unique_items|Items should be unique, this one repeats an earlier one",
            ),
        ],
    );
    check(
        Type::new(Kind::Set(Box::new(Type::int()))).min_length(2).max_length(3),
        &[
            ("[1,1]", "|too_short|Set should have at least 2 items after validation, not 1"),
            ("[1,1,2,2,3,3]", "[1,2,3]"),
            ("[1,2,3,4,5]", "|too_long|Set should have at most 3 items after validation, not more"),
            ("\"a\"", "|set_type|Input should be a valid array"),
        ],
    );
    let pair = Kind::Tuple { items: vec![Type::int(), Type::str()], rest: None };
    check(
        Type::new(pair),
        &[
            ("[1,\"a\"]", "[1,\"a\"]"),
            ("[1]", "1|missing|Field required"),
            ("[1,\"a\",3]", "|too_long|Tuple should have at most 2 items after validation, not 3"),
            ("{}", "|tuple_type|Input should be a valid array"),
            ("[\"x\",1]", &format!("0{INT}; 1|string_type|Input should be a valid string")),
        ],
    );
    let run = Kind::Tuple { items: vec![Type::str()], rest: Some(Box::new(Type::int())) };
    check(Type::new(run), &[("[\"a\",1,2]", "[\"a\",1,2]"), ("[]", "0|missing|Field required")]);
    check(
        Type::new(Kind::FixedList(Box::new(Type::float()), 2)),
        &[
            ("[1,2]", "[1.0,2.0]"),
            ("[1]", "|too_short|List should have at least 2 items after validation, not 1"),
            ("[1,2,3]", "|too_long|List should have at most 2 items after validation, not 3"),
        ],
    );
    check(
        Type::dict(Type::int(), Type::int()),
        &[
            ("{\"1\":1,\"x\":2,\"3\":\"y\"}", &format!("x.[key]{INT}; 3{INT}")),
            ("[]", "|dict_type|Input should be an object"),
            ("{\"1\":1,\"01\":2}", "{\"1\":2}"),
        ],
    );
    check(
        Type::dict(Type::str(), Type::int()).min_length(2).max_length(3),
        &[
            ("{}", "|too_short|Dictionary should have at least 2 items after validation, not 0"),
            (
                "{\"a\":1,\"a\":2}",
                "|too_short|Dictionary should have at least 2 items after validation, not 1",
            ),
            (
                "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5}",
                "|too_long|Dictionary should have at most 3 items after validation, not more",
            ),
        ],
    );
}

#[test]
fn choices() {
    let literal = Type::new(Kind::Literal(vec![1.into(), "a".into(), true.into()]));
    check(
        literal,
        &[
            ("1", "1"),
            ("true", "true"),
            ("\"a\"", "\"a\""),
            ("1.0", "true"),
            ("\"b\"", "|literal_error|Input should be 1, 'a' or True"),
        ],
    );
    // Equal numbers are one value, as in Python.
    let equal = |value: Value, right: &str, others: [&str; 3]| {
        let ty = Type::new(Kind::Literal(vec![value]));
        for strict in [false, true] {
            let cases: Vec<_> = others.iter().map(|other| (*other, right)).collect();
            check(ty.clone().strict(strict), &cases);
        }
    };
    equal(1.into(), "1", ["1", "true", "1.0"]);
    equal(0.into(), "0", ["0", "false", "-0.0"]);
    equal(true.into(), "true", ["1", "true", "1.0"]);
    equal(false.into(), "false", ["0", "false", "0.0"]);
    equal(Value::Float(1.0), "1.0", ["1", "true", "1.0"]);
    check(
        Type::new(Kind::Literal(vec![1.into(), "1".into()])),
        &[
            ("false", "|literal_error|Input should be 1 or '1'"),
            ("1.5", "|literal_error|Input should be 1 or '1'"),
            ("\"true\"", "|literal_error|Input should be 1 or '1'"),
        ],
    );
    let member = |name: &str, value: Value| EnumMember { name: name.into(), value };
    let letters = EnumType {
        name: "E".into(),
        members: vec![member("A", "a".into()), member("B", "b".into())],
        of_ints: false,
        host: None,
    };
    check(
        Type::new(Kind::Enum(letters)),
        &[
            ("\"a\"", "\"a\""),
            ("\"c\"", "|enum|Input should be 'a' or 'b'"),
            ("1", "|enum|Input should be 'a' or 'b'"),
        ],
    );
    let numbers = EnumType {
        name: "F".into(),
        members: vec![member("A", 1.into()), member("B", 2.into())],
        of_ints: true,
        host: None,
    };
    check(
        Type::new(Kind::Enum(numbers)),
        &[
            ("1", "1"),
            ("\"1\"", "1"),
            ("1.0", "1"),
            ("true", "1"),
            ("3", "|enum|Input should be 1 or 2"),
        ],
    );
    let mixed = EnumType {
        name: "G".into(),
        members: vec![member("A", true.into()), member("B", Value::Float(2.0))],
        of_ints: false,
        host: None,
    };
    check(
        Type::new(Kind::Enum(mixed)),
        &[("1", "true"), ("1.0", "true"), ("2", "2.0"), ("0", "|enum|Input should be True or 2.0")],
    );
}

#[test]
fn names_and_aliases() {
    let mut record = Record::new("A")
        .field(Field::new("x", Type::int()).alias("y"))
        .extra(ottava_core::schema::Extra::Forbid);
    check(
        record.clone().into(),
        &[(
            "{\"x\":1}",
            "y|missing|Field required; x|extra_forbidden|Extra inputs are not permitted",
        )],
    );
    record.config.populate_by_name = true;
    const EXTRA: &str = "x|extra_forbidden|Extra inputs are not permitted";
    check(
        record.into(),
        &[
            ("{\"x\":1}", "{\"x\":1}"),
            ("{\"y\":1}", "{\"x\":1}"),
            ("{\"x\":1,\"y\":2}", EXTRA),
            ("{\"y\":2,\"x\":1}", EXTRA),
            ("{}", "y|missing|Field required"),
            ("{\"y\":\"q\"}", &format!("y{INT}")),
            ("{\"x\":\"q\"}", &format!("x{INT}")),
        ],
    );
    // A field that no key fills.
    let mut closed =
        Record::new("C").field(Field::new("x", Type::int()).alias("\0x").default(3i64));
    for by_name in [false, true] {
        closed.config.populate_by_name = by_name;
        check(
            closed.clone().into(),
            &[("{\"x\":1}", "{\"x\":3}"), ("{\"\\u0000x\":1}", "{\"x\":3}")],
        );
    }
}

#[test]
fn what_is_not_json() {
    let invalid = |reason: &str| format!("|json_invalid|Invalid JSON: {reason}");
    for (json, reason) in [
        ("{\"a\":1", "EOF while parsing an object at line 1 column 6"),
        ("[1,]", "trailing comma at line 1 column 4"),
        ("tru", "EOF while parsing a value at line 1 column 3"),
        ("01", "invalid number at line 1 column 2"),
        ("1.", "EOF while parsing a value at line 1 column 2"),
        ("-", "EOF while parsing a value at line 1 column 1"),
        ("\"\\x\"", "invalid escape at line 1 column 3"),
        (
            "\"a\nb\"",
            "control character (\\u0000-\\u001F) found while parsing a string at line 2 column 0",
        ),
        ("", "EOF while parsing a value at line 1 column 0"),
        ("[1 2]", "expected `,` or `]` at line 1 column 4"),
        ("{\"a\" 1}", "expected `:` at line 1 column 6"),
        ("{1:2}", "key must be a string at line 1 column 2"),
        ("nulll", "trailing characters at line 1 column 5"),
        ("\u{feff}1", "expected value at line 1 column 1"),
        ("NaN", "expected value at line 1 column 1"),
    ] {
        check(Type::any(), &[(json, &invalid(reason))]);
        check(Type::int(), &[(json, &invalid(reason))]);
    }
}
