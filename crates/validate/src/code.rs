//! The codes of issues and their messages, as pydantic words them.

use std::fmt::{self, Write as _};

use ottava_core::schema::Value;

use crate::issue::Param;
use crate::json::Iso;
use crate::rules::choice::repr;

macro_rules! codes {
    ($($variant:ident $name:literal $message:literal;)*) => {
        /// What is wrong with a value. Names and messages are pydantic's, so programs and people know them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = concat!("`", $name, "`: ", $message)] $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Code] = &[$(Code::$variant,)*];

            /// The code's name in data, such as `missing`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Code::$variant => $name,)* }
            }

            /// The message with `{parameter}` in place of each parameter.
            #[must_use]
            pub fn template(self) -> &'static str {
                match self { $(Code::$variant => $message,)* }
            }
        }
    };
}

codes! {
    JsonInvalid "json_invalid" "Invalid JSON: {error}";
    JsonType "json_type" "JSON input should be string, bytes or bytearray";
    RecursionLoop "recursion_loop" "Recursion error - cyclic reference detected";
    Missing "missing" "Field required";
    FrozenField "frozen_field" "Field is frozen";
    FrozenInstance "frozen_instance" "Instance is frozen";
    ExtraForbidden "extra_forbidden" "Extra inputs are not permitted";
    InvalidKey "invalid_key" "Keys should be strings";
    NoSuchAttribute "no_such_attribute" "Object has no attribute '{attribute}'";
    ModelType "model_type" "Input should be a valid dictionary or instance of {class_name}";
    ModelAttributesType "model_attributes_type" "Input should be a valid dictionary or object to extract fields from";
    DataclassType "dataclass_type" "Input should be a dictionary or an instance of {class_name}";
    DataclassExactType "dataclass_exact_type" "Input should be an instance of {class_name}";
    NamedTupleType "named_tuple_type" "Input should be a tuple, list, dictionary or an instance of {class_name}";
    DefaultFactoryNotCalled "default_factory_not_called" "The default factory uses validated data, but at least one validation error occurred";
    NoneRequired "none_required" "Input should be None";
    GreaterThan "greater_than" "Input should be greater than {gt}";
    GreaterThanEqual "greater_than_equal" "Input should be greater than or equal to {ge}";
    LessThan "less_than" "Input should be less than {lt}";
    LessThanEqual "less_than_equal" "Input should be less than or equal to {le}";
    MultipleOf "multiple_of" "Input should be a multiple of {multiple_of}";
    FiniteNumber "finite_number" "Input should be a finite number";
    TooShort "too_short" "{field_type} should have at least {min_length} item{s:min_length} after validation, not {actual_length}";
    TooLong "too_long" "{field_type} should have at most {max_length} item{s:max_length} after validation, not {actual_length}";
    IterationError "iteration_error" "Error iterating over object, error: {error}";
    StringType "string_type" "Input should be a valid string";
    StringSubType "string_sub_type" "Input should be a string, not an instance of a subclass of str";
    StringUnicode "string_unicode" "Input should be a valid string, unable to parse raw data as a unicode string";
    StringTooShort "string_too_short" "String should have at least {min_length} character{s:min_length}";
    StringTooLong "string_too_long" "String should have at most {max_length} character{s:max_length}";
    StringPatternMismatch "string_pattern_mismatch" "String should match pattern '{pattern}'";
    Enum "enum" "Input should be {expected}";
    DictType "dict_type" "Input should be a valid dictionary";
    ListType "list_type" "Input should be a valid list";
    TupleType "tuple_type" "Input should be a valid tuple";
    SetType "set_type" "Input should be a valid set";
    SetItemNotHashable "set_item_not_hashable" "Set items should be hashable";
    FrozenSetType "frozen_set_type" "Input should be a valid frozenset";
    BoolType "bool_type" "Input should be a valid boolean";
    BoolParsing "bool_parsing" "Input should be a valid boolean, unable to interpret input";
    IntType "int_type" "Input should be a valid integer";
    IntParsing "int_parsing" "Input should be a valid integer, unable to parse string as an integer";
    IntParsingSize "int_parsing_size" "Unable to parse input string as an integer, exceeded maximum size";
    IntFromFloat "int_from_float" "Input should be a valid integer, got a number with a fractional part";
    FloatType "float_type" "Input should be a valid number";
    FloatParsing "float_parsing" "Input should be a valid number, unable to parse string as a number";
    BytesType "bytes_type" "Input should be a valid bytes";
    BytesTooShort "bytes_too_short" "Data should have at least {min_length} byte{s:min_length}";
    BytesTooLong "bytes_too_long" "Data should have at most {max_length} byte{s:max_length}";
    ValueError "value_error" "Value error, {error}";
    AssertionError "assertion_error" "Assertion failed, {error}";
    IsInstanceOf "is_instance_of" "Input should be an instance of {class}";
    Custom "custom" "{message}";
    LiteralError "literal_error" "Input should be {expected}";
    DateType "date_type" "Input should be a valid date";
    DateParsing "date_parsing" "Input should be a valid date in the format YYYY-MM-DD, {error}";
    DateFromDatetimeParsing "date_from_datetime_parsing" "Input should be a valid date or datetime, {error}";
    DateFromDatetimeInexact "date_from_datetime_inexact" "Datetimes provided to dates should have zero time - e.g. be exact dates";
    TimeType "time_type" "Input should be a valid time";
    TimeParsing "time_parsing" "Input should be in a valid time format, {error}";
    DatetimeType "datetime_type" "Input should be a valid datetime";
    DatetimeParsing "datetime_parsing" "Input should be a valid datetime, {error}";
    DatetimeFromDateParsing "datetime_from_date_parsing" "Input should be a valid datetime or date, {error}";
    TimezoneNaive "timezone_naive" "Input should not have timezone info";
    TimezoneAware "timezone_aware" "Input should have timezone info";
    TimeDeltaType "time_delta_type" "Input should be a valid timedelta";
    TimeDeltaParsing "time_delta_parsing" "Input should be a valid timedelta, {error}";
    UnionTagInvalid "union_tag_invalid" "Input tag '{tag}' found using {discriminator} does not match any of the expected tags: {expected_tags}";
    UnionTagNotFound "union_tag_not_found" "Unable to extract tag using discriminator {discriminator}";
    UuidType "uuid_type" "UUID input should be a string, bytes or UUID object";
    UuidParsing "uuid_parsing" "Input should be a valid UUID, {error}";
    DecimalType "decimal_type" "Decimal input should be an integer, float, string or Decimal object";
    DecimalParsing "decimal_parsing" "Input should be a valid decimal";
    DecimalMaxDigits "decimal_max_digits" "Decimal input should have no more than {max_digits} digit{s:max_digits} in total";
    DecimalMaxPlaces "decimal_max_places" "Decimal input should have no more than {decimal_places} decimal place{s:decimal_places}";
    DecimalWholeDigits "decimal_whole_digits" "Decimal input should have no more than {whole_digits} digit{s:whole_digits} before the decimal point";
    UrlType "url_type" "URL input should be a string or URL";
    UrlParsing "url_parsing" "Input should be a valid URL, {error}";
    UniqueItems "unique_items" "Items should be unique, this one repeats an earlier one";
    IntRange "int_range" "Input should fit {width}";
    TypeMismatch "type_mismatch" "Input should be of type {expected}";
    NothingAllowed "nothing_allowed" "Input should not be there";
    StringFormat "string_format" "String should have the format '{format}'";
    TooFewProperties "too_few_properties" "Object should have at least {min_properties} properties, not {actual}";
    TooManyProperties "too_many_properties" "Object should have at most {max_properties} properties, not {actual}";
    DependentRequired "dependent_required" "Field required, as '{property}' is given";
    Contains "contains" "Array should contain at least {min_contains} matching item{s:min_contains}, not {actual}";
    ContainsTooMany "contains_too_many" "Array should contain at most {max_contains} matching item{s:max_contains}, not {actual}";
    NoMatch "no_match" "Input should match at least one of the schemas";
    NotOneMatch "not_one_match" "Input should match exactly one of the schemas, not {matches}";
    Excluded "excluded" "Input should not match the schema";
    RowTooLong "row_too_long" "Row should have at most {max_bytes} bytes";
}

impl Code {
    /// The message for a value in JSON text, which has arrays and objects.
    #[must_use]
    pub fn json_template(self) -> &'static str {
        match self {
            Code::ListType | Code::TupleType | Code::SetType | Code::FrozenSetType => {
                "Input should be a valid array"
            }
            Code::NamedTupleType => "Input should be an array or an object",
            Code::DictType | Code::ModelType | Code::DataclassType => "Input should be an object",
            Code::NoneRequired => "Input should be null",
            Code::TimeDeltaType => "Input should be a valid duration",
            Code::TimeDeltaParsing => "Input should be a valid duration, {error}",
            other => other.template(),
        }
    }

    /// The message with parameters filled in, for a value in JSON text or elsewhere. A parameter that is missing shows as its name in braces.
    #[must_use]
    pub fn render(self, ctx: &[(&'static str, Param)], json: bool) -> String {
        let mut text = String::new();
        let mut rest = if json { self.json_template() } else { self.template() };
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            let Some((key, tail)) = after.split_once('}') else { break };
            let plural = key.strip_prefix("s:");
            let name = plural.unwrap_or(key);
            let param = ctx.iter().find(|(known, _)| *known == name).map(|(_, param)| param);
            match (plural, param) {
                (Some(_), Some(Param::Int(1))) => {}
                (Some(_), _) => text.push('s'),
                (None, Some(param)) => write_param(&mut text, param),
                (None, None) => {
                    text.push('{');
                    text.push_str(name);
                    text.push('}');
                }
            }
            rest = tail;
        }
        text.push_str(rest);
        text
    }
}

/// The parameter as messages have it.
impl fmt::Display for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        write_param(&mut text, self);
        f.write_str(&text)
    }
}

fn write_param(text: &mut String, param: &Param) {
    // Writing to a string cannot fail.
    let _ = match param {
        Param::Int(value) => write!(text, "{value}"),
        Param::Str(value) => write!(text, "{value}"),
        Param::Value(value) => return write_value(text, value),
        Param::Host(index) => write!(text, "host value {index}"),
    };
}

/// A span of time in words, as pydantic has it: `400 days and 3 seconds`.
fn in_words(micros: i128) -> String {
    const DAY: i128 = 86_400_000_000;
    let (days, micros) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    let parts = [
        (days, "day"),
        (seconds / 3600, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
        (micros, "microsecond"),
    ];
    let told = |(count, unit): &(i128, &str)| {
        (*count != 0).then(|| format!("{count} {unit}{}", if *count == 1 { "" } else { "s" }))
    };
    let told: Vec<String> = parts.iter().filter_map(told).collect();
    if told.is_empty() { "0 seconds".to_owned() } else { told.join(" and ") }
}

/// Writes a bound as Python's `str` would; one in time as ISO 8601 has it, a span of time in words.
fn write_value(text: &mut String, value: &Value) {
    let _ = match value {
        Value::Date(_) | Value::Time(_) | Value::DateTime(_) => write!(text, "{}", Iso(value)),
        Value::Duration(span) => write!(text, "{}", in_words(span.micros)),
        Value::Int(value) => write!(text, "{value}"),
        Value::Float(value) if value.fract() == 0.0 && value.abs() < 1e16 => {
            write!(text, "{value:.0}")
        }
        Value::Float(value) => write!(text, "{value}"),
        Value::BigInt(value) | Value::Decimal(value) | Value::Str(value) => write!(text, "{value}"),
        other => write!(text, "{}", repr(other)),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_in_parameters_and_plurals() {
        let one = [("min_length", Param::Int(1))];
        assert_eq!(
            Code::StringTooShort.render(&one, false),
            "String should have at least 1 character"
        );
        let two = [("min_length", Param::Int(2))];
        assert_eq!(
            Code::StringTooShort.render(&two, false),
            "String should have at least 2 characters"
        );
        let half = [("ge", Param::Value(Value::Float(0.5)))];
        assert_eq!(
            Code::GreaterThanEqual.render(&half, false),
            "Input should be greater than or equal to 0.5"
        );
    }

    #[test]
    fn bounds_in_time_are_written_as_people_write_them() {
        use ottava_core::schema::{Date, DateTime, Duration, Time};
        let date = Date { year: 2020, month: 1, day: 1 };
        let time = Time { hour: 1, minute: 2, second: 3, micros: 450_000, offset: None };
        let span = |seconds: i128, micros: i128| {
            Value::Duration(Duration { micros: seconds * 1_000_000 + micros })
        };
        for (bound, shown) in [
            (Value::Date(date), "2020-01-01"),
            (Value::Time(time), "01:02:03.450000"),
            (
                Value::DateTime(DateTime { date, time: Time { offset: Some(-19_800), ..time } }),
                "2020-01-01T01:02:03.450000-05:30",
            ),
            (span(86_400, 0), "1 day"),
            (span(400 * 86_400 + 3, 5), "400 days and 3 seconds and 5 microseconds"),
            (span(3 - 86_400, 0), "-1 days and 3 seconds"),
            (span(3660, 0), "1 hour and 1 minute"),
            (span(0, 0), "0 seconds"),
            (Value::Bool(true), "True"),
        ] {
            assert_eq!(
                Code::GreaterThan.render(&[("gt", Param::Value(bound))], false),
                format!("Input should be greater than {shown}")
            );
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }
}
