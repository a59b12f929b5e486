//! Dates, times and spans of time.

use std::borrow::Cow;
use std::cmp::Ordering;

use ottava_core::schema::{Date, DateTime, Duration, Rules, Time, Value};
use smallvec::smallvec;
use speedate::{DateTimeConfig, MicrosecondsPrecisionOverflowBehavior, ParseError, TimeConfig};
use strum::EnumMessage;

use crate::check::{Fit, Run};
use crate::input::{Found, Input};
use crate::issue::{Code, Ctx, Param};
use crate::output::{Checked, Output};

/// Numbers of seconds are instants in UTC; digits beyond the microsecond are cut off.
const TIME_CONFIG: TimeConfig = TimeConfig {
    microseconds_precision_overflow_behavior: MicrosecondsPrecisionOverflowBehavior::Truncate,
    unix_timestamp_offset: Some(0),
};

const MIDNIGHT: Time = Time { hour: 0, minute: 0, second: 0, micros: 0, offset: None };
const NAN: &str = "NaN values not permitted";
const YEAR_0: &str = "year 0 is out of range";

type Broken = (Code, Ctx);

/// Bounds of a value in time, as the value that was declared and as a number that orders like it.
#[derive(Debug, Default)]
pub(crate) struct TimeBounds {
    bounds: Vec<(Code, &'static str, Value, i128)>,
    /// What a date and time must say about its offset.
    pub(crate) aware: Option<bool>,
}

impl TimeBounds {
    /// Whether every value is right as it is.
    pub(crate) fn is_free(&self) -> bool {
        self.bounds.is_empty() && self.aware.is_none()
    }
}

/// The number by which values in time are ordered.
fn rank(value: &Value) -> Option<i128> {
    match value {
        Value::Date(value) => Some(value.days_since_epoch().into()),
        Value::DateTime(value) => Some(value.micros_since_epoch().into()),
        Value::Time(value) => Some(time_rank(*value).into()),
        Value::Duration(value) => Some(value.micros),
        _ => None,
    }
}

fn time_rank(time: Time) -> i64 {
    time.micros_since_midnight() - i64::from(time.offset.unwrap_or(0)) * 1_000_000
}

impl TimeBounds {
    /// Takes the bounds out of `rules`; the name of a bound that is of another kind than `example`.
    pub(crate) fn compile(rules: &Rules, example: &Value) -> Result<Self, &'static str> {
        let mut bounds = Vec::new();
        for (code, name, bound) in [
            (Code::LessThanEqual, "le", &rules.le),
            (Code::LessThan, "lt", &rules.lt),
            (Code::GreaterThanEqual, "ge", &rules.ge),
            (Code::GreaterThan, "gt", &rules.gt),
        ] {
            if let Some(value) = bound {
                let same = std::mem::discriminant(value) == std::mem::discriminant(example);
                let rank = rank(value).filter(|_| same).ok_or(name)?;
                bounds.push((code, name, value.clone(), rank));
            }
        }
        Ok(Self { bounds, aware: None })
    }

    fn broken(&self, rank: i128) -> Option<Broken> {
        for (code, name, value, bound) in &self.bounds {
            let order = rank.cmp(bound);
            let holds = match code {
                Code::LessThanEqual => order != Ordering::Greater,
                Code::LessThan => order == Ordering::Less,
                Code::GreaterThanEqual => order != Ordering::Less,
                _ => order == Ordering::Greater,
            };
            if !holds {
                return Some((*code, smallvec![(*name, Param::Value(value.clone()))]));
            }
        }
        None
    }
}

fn reason(error: &ParseError) -> Cow<'static, str> {
    match error.get_documentation() {
        Some(text) => Cow::Borrowed(text),
        None => Cow::Owned(error.to_string()),
    }
}

fn parsing(code: Code, reason: impl Into<Cow<'static, str>>) -> Broken {
    (code, smallvec![("error", Param::Str(reason.into().into_owned().into()))])
}

fn date_of(date: speedate::Date) -> Date {
    Date { year: date.year, month: date.month, day: date.day }
}

fn time_of(time: speedate::Time) -> Time {
    Time {
        hour: time.hour,
        minute: time.minute,
        second: time.second,
        micros: time.microsecond,
        offset: time.tz_offset,
    }
}

fn datetime_of(value: speedate::DateTime) -> DateTime {
    DateTime { date: date_of(value.date), time: time_of(value.time) }
}

fn datetime_config() -> DateTimeConfig {
    DateTimeConfig { time_config: TIME_CONFIG, ..DateTimeConfig::default() }
}

fn parse_datetime(text: &[u8]) -> Result<DateTime, ParseError> {
    speedate::DateTime::parse_bytes_with_config(text, &datetime_config()).map(datetime_of)
}

/// A date and time as in RFC 3339, of a year that dates of hosts may have.
pub(crate) fn parse_rfc3339(text: &[u8]) -> Option<DateTime> {
    if let Some(usual) = usual_datetime(text) {
        return Some(usual);
    }
    let parsed = speedate::DateTime::parse_bytes_rfc3339_with_config(text, &TIME_CONFIG).ok()?;
    (parsed.date.year > 0).then(|| datetime_of(parsed))
}

/// A date and time as most programs write it: `2026-01-02T03:04:05`, or a space instead of the `T`, with up to six digits of a fraction,
/// and `Z` or `+00:00` behind it or nothing. Anything else is not known here.
pub(crate) fn usual_datetime(text: &[u8]) -> Option<DateTime> {
    let head: &[u8; 19] = text.first_chunk()?;
    let digit = |at: usize| head[at].wrapping_sub(b'0');
    let digits = [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18].iter();
    let plain = digits.fold(true, |plain, at| plain & (digit(*at) < 10));
    let marks =
        [head[4], head[7], head[13], head[16]] == *b"--::" && matches!(head[10], b'T' | b' ');
    if !plain || !marks {
        return None;
    }
    let pair = |at: usize| digit(at) * 10 + digit(at + 1);
    let year = u16::from(pair(0)) * 100 + u16::from(pair(2));
    let (month, day, hour, minute, second) = (pair(5), pair(8), pair(11), pair(14), pair(17));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u8::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year == 0 || day == 0 || day > days || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut at = 19;
    let mut micros = 0;
    if text.get(at) == Some(&b'.') {
        let (count, number) = crate::json::scan::digits(crate::json::scan::eight(text, at + 1));
        if !(1..=6).contains(&count) {
            return None;
        }
        micros = number as u32 * 10_u32.pow(6 - count as u32);
        at += 1 + count;
    }
    let offset = match &text[at..] {
        b"" => None,
        b"Z" | b"+00:00" => Some(0),
        _ => return None,
    };
    let time = Time { hour, minute, second, micros, offset };
    Some(DateTime { date: Date { year, month, day }, time })
}

/// A date as in RFC 3339, of a year that dates of hosts may have.
pub(crate) fn parse_date(text: &[u8]) -> Option<Date> {
    any_date(text).ok().filter(|date| date.year > 0)
}

fn any_date(text: &[u8]) -> Result<Date, ParseError> {
    speedate::Date::parse_bytes_rfc3339(text).map(date_of)
}

pub(crate) fn parse_time(text: &[u8]) -> Result<Time, ParseError> {
    speedate::Time::parse_bytes_with_config(text, &TIME_CONFIG).map(time_of)
}

pub(crate) fn parse_duration(text: &[u8]) -> Result<Duration, ParseError> {
    let span = speedate::Duration::parse_bytes_with_config(text, &TIME_CONFIG)?;
    let seconds = i128::from(span.day) * 86_400 + i128::from(span.second);
    let micros = seconds * 1_000_000 + i128::from(span.microsecond);
    Ok(Duration { micros: if span.positive { micros } else { -micros } })
}

fn datetime_from_number(found: Found<'_>) -> Result<DateTime, Cow<'static, str>> {
    let parsed = match found {
        Found::Int(int) => {
            speedate::DateTime::from_timestamp_with_config(int, 0, &datetime_config())
        }
        Found::Float(float) if float.is_nan() => return Err(NAN.into()),
        Found::Float(float) => {
            speedate::DateTime::from_float_with_config(float, &datetime_config())
        }
        _ => Err(ParseError::DateTooLarge),
    };
    parsed.map(datetime_of).map_err(|error| reason(&error))
}

/// Reads a date and time, in lax mode also from a date or a number of seconds or milliseconds since 1970.
fn read_datetime(found: Found<'_>, strict: bool, json: bool) -> Result<(DateTime, Fit), Broken> {
    match found {
        Found::DateTime(value) => Ok((value, Fit::Exact)),
        Found::Str(text) if strict && json => match parse_datetime(text.as_bytes()) {
            Ok(value) => Ok((value, Fit::Strict)),
            Err(error) => Err(parsing(Code::DatetimeParsing, reason(&error))),
        },
        _ if strict => Err((Code::DatetimeType, Ctx::new())),
        Found::Str(text) => datetime_or_date(text.as_bytes(), json),
        Found::Bytes(bytes) => datetime_or_date(bytes, false),
        Found::Date(date) => Ok((DateTime { date, time: MIDNIGHT }, Fit::Lax)),
        Found::Int(_) | Found::BigInt(_) | Found::Float(_) => match datetime_from_number(found) {
            Ok(value) => Ok((value, Fit::Lax)),
            Err(reason) => Err(parsing(Code::DatetimeParsing, reason)),
        },
        _ => Err((Code::DatetimeType, Ctx::new())),
    }
}

/// RFC 3339 has a year 0, which no host has.
fn in_range(read: Result<(DateTime, Fit), Broken>) -> Result<(DateTime, Fit), Broken> {
    match read {
        Ok((DateTime { date: Date { year: 0, .. }, .. }, _)) => {
            Err(parsing(Code::DatetimeParsing, YEAR_0))
        }
        read => read,
    }
}

/// How well text fits that is written as what is wanted.
fn fit_of_text(json: bool) -> Fit {
    if json { Fit::Strict } else { Fit::Lax }
}

fn datetime_or_date(text: &[u8], json: bool) -> Result<(DateTime, Fit), Broken> {
    if let Ok(value) = parse_datetime(text) {
        return Ok((value, fit_of_text(json)));
    }
    match speedate::Date::parse_bytes(text) {
        Ok(date) => Ok((DateTime { date: date_of(date), time: MIDNIGHT }, Fit::Lax)),
        Err(error) => Err(parsing(Code::DatetimeFromDateParsing, reason(&error))),
    }
}

/// Reads a date, in lax mode also from a date and time at midnight or a number that is one.
fn read_date(found: Found<'_>, strict: bool, json: bool) -> Result<(Date, Fit), Broken> {
    match found {
        Found::Date(value) => Ok((value, Fit::Exact)),
        Found::Str(text) if strict && json => match any_date(text.as_bytes()) {
            Ok(date) => Ok((date, Fit::Strict)),
            Err(error) => Err(parsing(Code::DateParsing, reason(&error))),
        },
        _ if strict => Err((Code::DateType, Ctx::new())),
        Found::Str(text) => date_from_text(text.as_bytes(), json),
        Found::Bytes(bytes) => date_from_text(bytes, false),
        Found::DateTime(value) => exact_date(value),
        Found::Int(_) | Found::BigInt(_) | Found::Float(_) => match datetime_from_number(found) {
            Ok(value) => exact_date(value),
            Err(reason) => Err(parsing(Code::DateFromDatetimeParsing, reason)),
        },
        _ => Err((Code::DateType, Ctx::new())),
    }
}

fn date_from_text(text: &[u8], json: bool) -> Result<(Date, Fit), Broken> {
    if let Ok(date) = any_date(text) {
        return Ok((date, fit_of_text(json)));
    }
    match parse_datetime(text) {
        Ok(value) => exact_date(value),
        Err(error) => Err(parsing(Code::DateFromDatetimeParsing, reason(&error))),
    }
}

fn exact_date(value: DateTime) -> Result<(Date, Fit), Broken> {
    if value.time.micros_since_midnight() == 0 {
        Ok((value.date, Fit::Lax))
    } else {
        Err((Code::DateFromDatetimeInexact, Ctx::new()))
    }
}

/// Reads a time of day, in lax mode also from a number of seconds since midnight.
fn read_time(found: Found<'_>, strict: bool, json: bool) -> Result<(Time, Fit), Broken> {
    let parse = |text: &[u8], fit| match parse_time(text) {
        Ok(time) => Ok((time, fit)),
        Err(error) => Err(parsing(Code::TimeParsing, reason(&error))),
    };
    let seconds = |whole: i64, micros: u32| {
        const NEGATIVE: &str = "time in seconds should be positive";
        if whole < 0 {
            return Err(parsing(Code::TimeParsing, NEGATIVE));
        }
        let whole = u32::try_from(whole).unwrap_or(u32::MAX);
        match speedate::Time::from_timestamp_with_config(whole, micros, &TIME_CONFIG) {
            Ok(time) => Ok((time_of(time), Fit::Lax)),
            Err(error) => Err(parsing(Code::TimeParsing, reason(&error))),
        }
    };
    match found {
        Found::Time(value) => Ok((value, Fit::Exact)),
        Found::Str(text) if json => parse(text.as_bytes(), Fit::Strict),
        _ if strict => Err((Code::TimeType, Ctx::new())),
        Found::Str(text) => parse(text.as_bytes(), Fit::Lax),
        Found::Bytes(bytes) => parse(bytes, Fit::Lax),
        Found::Int(int) => seconds(int, 0),
        Found::BigInt(digits) => seconds(if digits.starts_with('-') { -1 } else { i64::MAX }, 0),
        Found::Float(float) if float.is_nan() => Err(parsing(Code::TimeParsing, NAN)),
        Found::Float(float) => {
            // The casts saturate, and the parser refuses what is out of range.
            let micros = (float.fract().abs() * 1e6).round() as u32;
            let carry = i64::from(micros / 1_000_000);
            let whole = if float < 0.0 { -1 } else { (float.trunc() as i64).saturating_add(carry) };
            seconds(whole, micros % 1_000_000)
        }
        _ => Err((Code::TimeType, Ctx::new())),
    }
}

/// Reads a span of time, in lax mode also from a number of seconds.
fn read_duration(found: Found<'_>, strict: bool, json: bool) -> Result<(Duration, Fit), Broken> {
    let parse = |text: &[u8], fit| match parse_duration(text) {
        Ok(span) => Ok((span, fit)),
        Err(error) => Err(parsing(Code::TimeDeltaParsing, reason(&error))),
    };
    let limited = |micros: i128| {
        if micros.abs() < 1_000_000_000 * 86_400_000_000 {
            Ok((Duration { micros }, Fit::Lax))
        } else {
            Err(parsing(Code::TimeDeltaParsing, reason(&ParseError::DurationDaysTooLarge)))
        }
    };
    match found {
        Found::Duration(value) => Ok((value, Fit::Exact)),
        Found::Str(text) if json => parse(text.as_bytes(), Fit::Strict),
        _ if strict => Err((Code::TimeDeltaType, Ctx::new())),
        Found::Str(text) => parse(text.as_bytes(), Fit::Lax),
        Found::Bytes(bytes) => parse(bytes, Fit::Lax),
        Found::Int(int) => limited(i128::from(int) * 1_000_000),
        Found::BigInt(_) => limited(i128::MAX),
        Found::Float(float) if float.is_nan() => Err(parsing(Code::TimeDeltaParsing, NAN)),
        // Whole and fraction apart, so that the whole keeps all its digits. The cast saturates.
        Found::Float(float) => limited(
            (float.trunc() as i128)
                .saturating_mul(1_000_000)
                .saturating_add((float.fract() * 1e6).round() as i128),
        ),
        _ => Err((Code::TimeDeltaType, Ctx::new())),
    }
}

impl<I: Input, O: Output> Run<'_, I, O> {
    pub(crate) fn check_datetime(
        &mut self,
        rules: &TimeBounds,
        strict: bool,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<O::Value> {
        let found = self.input.get(value)?;
        // The usual form first; everything else is a conversion.
        let read = match found {
            Found::Str(text) if I::IS_JSON => match parse_rfc3339(text.as_bytes()) {
                Some(value) => Ok((value, Fit::Strict)),
                None => in_range(read_datetime(found, strict, true)),
            },
            _ => in_range(read_datetime(found, strict, I::IS_JSON)),
        };
        let read = read.and_then(|(parsed, fit)| match (rules.aware, parsed.time.offset) {
            (Some(true), None) => Err((Code::TimezoneAware, Ctx::new())),
            (Some(false), Some(_)) => Err((Code::TimezoneNaive, Ctx::new())),
            _ => Ok((parsed, fit)),
        });
        let rank = |value: DateTime| value.micros_since_epoch().into();
        self.put_time(rules, at, value, read, rank, O::datetime)
    }

    pub(crate) fn check_date(
        &mut self,
        rules: &TimeBounds,
        strict: bool,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<O::Value> {
        let read = match read_date(self.input.get(value)?, strict, I::IS_JSON) {
            Ok((Date { year: 0, .. }, _)) => Err(parsing(Code::DateParsing, YEAR_0)),
            read => read,
        };
        self.put_time(rules, at, value, read, |date| date.days_since_epoch().into(), O::date)
    }

    pub(crate) fn check_time(
        &mut self,
        rules: &TimeBounds,
        strict: bool,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<O::Value> {
        let read = read_time(self.input.get(value)?, strict, I::IS_JSON);
        self.put_time(rules, at, value, read, |time| time_rank(time).into(), O::time)
    }

    pub(crate) fn check_duration(
        &mut self,
        rules: &TimeBounds,
        strict: bool,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<O::Value> {
        let read = read_duration(self.input.get(value)?, strict, I::IS_JSON);
        self.put_time(rules, at, value, read, |span| span.micros, O::duration)
    }

    /// Holds what was read against the bounds, and gives it out; `rank` is what the bounds are compared with.
    #[inline]
    fn put_time<T: Copy>(
        &mut self,
        rules: &TimeBounds,
        at: O::Place,
        value: &I::Value,
        read: Result<(T, Fit), Broken>,
        rank: impl Fn(T) -> i128,
        put: impl Fn(&mut O, O::Place, T) -> Checked<O::Value>,
    ) -> Checked<O::Value> {
        let (parsed, fit) = match read {
            Ok(read) => read,
            Err((code, ctx)) => return self.fail(value, code, ctx),
        };
        if !rules.bounds.is_empty()
            && let Some((code, ctx)) = rules.broken(rank(parsed))
        {
            return self.fail(value, code, ctx);
        }
        if O::TAKES_HOST
            && fit == Fit::Exact
            && let Some(host) = self.input.host(value)
        {
            return self.output.host(at, host);
        }
        self.fit = self.fit.max(fit);
        put(self.output, at, parsed)
    }
}

/// Formats of strings that JSON Schema names and this crate checks.
pub(crate) const FORMATS: [&str; 7] =
    ["date-time", "date", "time", "duration", "email", "uri", "uuid"];

/// Whether a text has a format of [`FORMATS`].
pub(crate) fn is_format(format: &str, text: &str) -> bool {
    let bytes = text.as_bytes();
    match format {
        // RFC 3339 requires the offset.
        "date-time" => speedate::DateTime::parse_bytes_rfc3339_with_config(bytes, &TIME_CONFIG)
            .is_ok_and(|value| value.time.tz_offset.is_some()),
        "date" => speedate::Date::parse_bytes_rfc3339(bytes).is_ok(),
        "time" => speedate::Time::parse_bytes_with_config(bytes, &TIME_CONFIG)
            .is_ok_and(|time| time.tz_offset.is_some()),
        "duration" => {
            text.starts_with('P')
                && speedate::Duration::parse_bytes_with_config(bytes, &TIME_CONFIG).is_ok()
        }
        "email" => super::format::is_email(text),
        "uri" => super::format::is_url_text(text) && url::Url::parse(text).is_ok(),
        "uuid" => bytes.len() == 36 && super::format::parse_uuid(text).is_ok(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_usual_form_reads_as_any_form(
            text in "(0000|[0-9]{4}|2000|2100|2024)-(0[0-9]|1[0-3]|02)-([0-3][0-9]|2[89])[T ]([01][0-9]|2[0-4]):[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,8})?(Z|\\+00:00|\\+01:00|-00:00| )?",
            change in any::<proptest::sample::Index>(),
            byte in prop_oneof![4 => Just(0_u8), 1 => any::<u8>()],
        ) {
            let mut text = text.into_bytes();
            if byte > 0 {
                let at = change.index(text.len());
                text[at] = byte;
            }
            let expected = speedate::DateTime::parse_bytes_rfc3339_with_config(&text, &TIME_CONFIG);
            if let Some(found) = usual_datetime(&text) {
                prop_assert_eq!(Some(found), expected.map(datetime_of).ok());
            }
        }
    }

    #[test]
    fn the_usual_form_is_known() {
        for text in
            ["2026-01-02T03:04:05Z", "2024-02-29 23:59:59.123456+00:00", "1999-12-31T00:00:00.5"]
        {
            assert!(usual_datetime(text.as_bytes()).is_some(), "{text}");
        }
        for text in [
            "2023-02-29T00:00:00",
            "2026-01-02",
            "2026-01-02T24:00:00",
            "2026-01-02T03:04:05+01:00",
        ] {
            assert!(usual_datetime(text.as_bytes()).is_none(), "{text}");
        }
    }
}
