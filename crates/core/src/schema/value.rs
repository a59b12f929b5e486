//! A value of any logical type, as a tree.

use super::temporal::{Date, DateTime, Duration, Time};

/// A value of any logical type: a default, an enum symbol, or the result of validating into plain Rust.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Value {
    /// No value.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer that fits 64 bits.
    Int(i64),
    /// An integer that does not: its decimal digits, no leading zeros, `-` in front if negative.
    BigInt(String),
    /// A float; may be infinite or NaN where the rules allow it.
    Float(#[cfg_attr(feature = "serde", serde(with = "float"))] f64),
    /// Text.
    Str(String),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// A decimal number, in text as Python's `Decimal` reads it.
    Decimal(String),
    /// A date and time.
    DateTime(DateTime),
    /// A date.
    Date(Date),
    /// A time of day.
    Time(Time),
    /// A span of time.
    Duration(Duration),
    /// The 128 bits of a UUID, most significant first.
    Uuid(u128),
    /// A list.
    List(Vec<Value>),
    /// A tuple.
    Tuple(Vec<Value>),
    /// A set, in order of first appearance.
    Set(Vec<Value>),
    /// A frozen set, in order of first appearance.
    FrozenSet(Vec<Value>),
    /// A map, in order of first appearance.
    Map(Vec<(Value, Value)>),
    /// A record: declared fields in order of declaration, then extra ones in order of appearance.
    Record(Vec<(String, Value)>),
}

impl Value {
    /// The value of a record's field or of a map's text key.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Record(fields) => {
                fields.iter().find(|(key, _)| key == name).map(|(_, value)| value)
            }
            Value::Map(entries) => entries
                .iter()
                .find(|(key, _)| matches!(key, Value::Str(key) if key == name))
                .map(|(_, value)| value),
            _ => None,
        }
    }
}

/// Floats in formats that have no infinity and no NaN: those three are text.
#[cfg(feature = "serde")]
mod float {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Number(f64),
        Text(String),
    }

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
    pub(super) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() { to.serialize_f64(*value) } else { to.collect_str(value) }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        match Form::deserialize(from)? {
            Form::Number(value) => Ok(value),
            Form::Text(text) if matches!(&*text, "NaN" | "inf" | "-inf") => {
                text.parse().map_err(D::Error::custom)
            }
            Form::Text(text) => Err(D::Error::custom(format_args!("{text:?} is not a float"))),
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Value::Int(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Float(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Str(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Str(value)
    }
}
