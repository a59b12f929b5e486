//! Types, values and defaults in words, for error messages.

use super::declaration::FieldDefault;
use super::types::{IntWidth, Kind, Type};
use super::value::Value;

/// A default in words.
pub(super) fn default_text(default: &FieldDefault) -> String {
    match default {
        FieldDefault::Required => "none".to_owned(),
        FieldDefault::Value(value) => value_text(value),
        FieldDefault::Absent => "absent".to_owned(),
        FieldDefault::Host(_) => "a factory".to_owned(),
    }
}

/// Values in words, in brackets.
pub(super) fn list_text(values: &[Value]) -> String {
    format!("[{}]", values.iter().map(value_text).collect::<Vec<_>>().join(", "))
}

/// A value in words: as in JSON where JSON has it.
pub(super) fn value_text(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(x) => x.to_string(),
        Value::Int(x) => x.to_string(),
        Value::Float(x) => x.to_string(),
        Value::BigInt(x) | Value::Decimal(x) => x.clone(),
        Value::Str(x) => format!("{x:?}"),
        Value::List(items) | Value::Tuple(items) | Value::Set(items) | Value::FrozenSet(items) => {
            list_text(items)
        }
        other => format!("{other:?}"),
    }
}

/// A type in words.
pub(super) fn describe(ty: &Type) -> String {
    match &ty.kind {
        Kind::Any => "any".to_owned(),
        Kind::Null => "null".to_owned(),
        Kind::Bool => "bool".to_owned(),
        Kind::Int(IntWidth::Any) => "int".to_owned(),
        Kind::Int(width) => format!("{width:?}").to_lowercase(),
        Kind::Float(width) => format!("{width:?}").to_lowercase(),
        Kind::Str => "str".to_owned(),
        Kind::Bytes => "bytes".to_owned(),
        Kind::Decimal => "decimal".to_owned(),
        Kind::DateTime { unit, aware } => match aware {
            Some(true) => format!("aware datetime[{}]", unit.name()),
            Some(false) => format!("naive datetime[{}]", unit.name()),
            None => format!("datetime[{}]", unit.name()),
        },
        Kind::Date => "date".to_owned(),
        Kind::Time => "time".to_owned(),
        Kind::Duration => "duration".to_owned(),
        Kind::Uuid => "uuid".to_owned(),
        Kind::Enum(set) => {
            let values: Vec<_> = set.members.iter().map(|m| m.value.clone()).collect();
            format!("enum{}", list_text(&values))
        }
        Kind::Literal(symbols) => format!("enum{}", list_text(symbols)),
        Kind::List(item) => format!("list[{}]", describe(item)),
        Kind::FixedList(item, n) => format!("list[{}; {n}]", describe(item)),
        Kind::Tuple { items, rest } => {
            let mut parts: Vec<_> = items.iter().map(describe).collect();
            parts.extend(rest.iter().map(|rest| format!("{}...", describe(rest))));
            format!("tuple[{}]", parts.join(", "))
        }
        Kind::Set(item) => format!("set[{}]", describe(item)),
        Kind::FrozenSet(item) => format!("frozenset[{}]", describe(item)),
        Kind::Dict(key, value) => format!("dict[{}, {}]", describe(key), describe(value)),
        Kind::Union(union) => union.members.iter().map(describe).collect::<Vec<_>>().join(" | "),
        Kind::Record(_) => "record".to_owned(),
        Kind::Schema(_) => "json schema".to_owned(),
        Kind::Ref(name) => name.clone(),
    }
}
