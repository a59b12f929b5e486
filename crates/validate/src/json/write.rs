//! Values as JSON text.

use std::fmt::Write as _;

use ottava_core::schema::Value;

/// Writes a value as JSON, in the forms that validation reads back: dates and times as in RFC 3339, spans as in
/// ISO 8601, bytes as text where they are UTF-8.
#[must_use]
pub fn write(value: &Value) -> String {
    let mut out = String::new();
    put(&mut out, value);
    out
}

fn put(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Int(int) => put_fmt(out, format_args!("{int}")),
        Value::BigInt(digits) => out.push_str(digits),
        Value::Float(float) => put_float(out, *float),
        Value::Str(text) => put_str(out, text),
        Value::Decimal(text) => put_str(out, text),
        Value::Bytes(bytes) => put_str(out, &String::from_utf8_lossy(bytes)),
        Value::List(items) | Value::Tuple(items) | Value::Set(items) | Value::FrozenSet(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                put(out, item);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                match key {
                    Value::Str(key) => put_str(out, key),
                    key => {
                        let text = write(key);
                        // What is written as a string already is a key.
                        if text.starts_with('"') {
                            out.push_str(&text);
                        } else {
                            put_str(out, &text);
                        }
                    }
                }
                out.push(':');
                put(out, value);
            }
            out.push('}');
        }
        Value::Record(fields) => {
            out.push('{');
            for (index, (key, value)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                put_str(out, key);
                out.push(':');
                put(out, value);
            }
            out.push('}');
        }
        Value::Uuid(uuid) => put_fmt(out, format_args!("\"{}\"", uuid::Uuid::from_u128(*uuid))),
        Value::Date(_) | Value::DateTime(_) | Value::Time(_) | Value::Duration(_) => {
            put_fmt(out, format_args!("\"{}\"", Iso(value)));
        }
        _ => out.push_str("null"),
    }
}

fn put_fmt(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = out.write_fmt(text);
}

/// The shortest digits that read back as the same float; `NaN` and `Infinity` have no other form.
fn put_float(out: &mut String, float: f64) {
    if float.is_nan() {
        out.push_str("NaN");
    } else if float.is_infinite() {
        out.push_str(if float > 0.0 { "Infinity" } else { "-Infinity" });
    } else {
        put_fmt(out, format_args!("{float:?}"));
    }
}

fn put_str(out: &mut String, text: &str) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control if control < ' ' => put_fmt(out, format_args!("\\u{:04x}", control as u32)),
            char => out.push(char),
        }
    }
    out.push('"');
}

/// A value in time in its ISO 8601 form.
pub(crate) struct Iso<'v>(pub(crate) &'v Value);

impl std::fmt::Display for Iso<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let date = |f: &mut std::fmt::Formatter<'_>, date: &ottava_core::schema::Date| {
            write!(f, "{:04}-{:02}-{:02}", date.year, date.month, date.day)
        };
        let time = |f: &mut std::fmt::Formatter<'_>, time: &ottava_core::schema::Time| {
            write!(f, "{:02}:{:02}:{:02}", time.hour, time.minute, time.second)?;
            if time.micros > 0 {
                write!(f, ".{:06}", time.micros)?;
            }
            match time.offset {
                None => Ok(()),
                Some(0) => f.write_str("Z"),
                Some(offset) => {
                    let sign = if offset < 0 { '-' } else { '+' };
                    let minutes = offset.unsigned_abs() / 60;
                    write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
                }
            }
        };
        match self.0 {
            Value::Date(value) => date(f, value),
            Value::Time(value) => time(f, value),
            Value::DateTime(value) => {
                date(f, &value.date)?;
                f.write_str("T")?;
                time(f, &value.time)
            }
            Value::Duration(value) => {
                let micros = value.micros.unsigned_abs();
                let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
                let (days, seconds) = (seconds / 86_400, seconds % 86_400);
                f.write_str(if value.micros < 0 { "-P" } else { "P" })?;
                if days > 0 {
                    write!(f, "{days}D")?;
                }
                if days == 0 || seconds > 0 || micros > 0 {
                    write!(f, "T{seconds}")?;
                    if micros > 0 {
                        write!(f, ".{micros:06}")?;
                    }
                    f.write_str("S")?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
