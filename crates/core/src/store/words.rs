//! Types in words, for error messages.

use arrow_schema::DataType;

use crate::schema::{FloatWidth, IntWidth, Kind, Type};

use super::plan::{item_of, texts};

/// A declared type in the words of Arrow.
pub(super) fn declared(ty: &Type) -> String {
    let words = match &ty.kind {
        kind @ (Kind::Enum(_) | Kind::Literal(_)) => match texts(kind) {
            Some(symbols) => format!("enum{symbols:?}"),
            None => "enum".to_owned(),
        },
        Kind::Any => "any".to_owned(),
        Kind::Null => "null".to_owned(),
        Kind::Bool => "bool".to_owned(),
        Kind::Int(IntWidth::Any) => "int64".to_owned(),
        Kind::Int(width) => {
            format!("{width:?}").to_lowercase().replace('i', "int").replace('u', "uint")
        }
        Kind::Float(FloatWidth::F32) => "float32".to_owned(),
        Kind::Float(FloatWidth::F64) => "float64".to_owned(),
        Kind::Str => "utf8".to_owned(),
        Kind::Bytes => "binary".to_owned(),
        Kind::Decimal => match (ty.rules.max_digits, ty.rules.decimal_places) {
            (Some(digits), Some(places)) => format!("decimal({digits}, {places})"),
            _ => "decimal".to_owned(),
        },
        Kind::DateTime { unit, aware } => {
            let zone = match (aware, &ty.rules.time_zone) {
                (Some(false), _) => "",
                (_, Some(zone)) => zone,
                (Some(true), None) => "any time zone",
                (None, None) => "with or without a time zone",
            };
            format!("timestamp[{}{}{zone}]", unit.name(), if zone.is_empty() { "" } else { ", " })
        }
        Kind::Date => "date".to_owned(),
        Kind::Time => format!("time[{}]", ty.rules.unit.unwrap_or_default().name()),
        Kind::Duration => format!("duration[{}]", ty.rules.unit.unwrap_or_default().name()),
        Kind::Uuid => "uuid, 16 bytes".to_owned(),
        Kind::List(item) | Kind::Set(item) | Kind::FrozenSet(item) => {
            format!("list of {}", declared(item))
        }
        Kind::FixedList(item, n) => format!("list of {n} {}", declared(item)),
        Kind::Dict(key, value) => format!("map from {} to {}", declared(key), declared(value)),
        Kind::Record(_) => "struct".to_owned(),
        Kind::Tuple { .. } => "tuple".to_owned(),
        Kind::Union(_) => "union".to_owned(),
        Kind::Schema(_) => "json schema".to_owned(),
        Kind::Ref(name) => name.clone(),
    };
    if ty.nullable { format!("{words} or null") } else { words }
}

/// An Arrow type, with its layout.
pub(super) fn arrow(ty: &DataType) -> String {
    match ty {
        DataType::Timestamp(unit, zone) => {
            let zone = zone.as_ref().map_or(String::new(), |zone| format!(", {zone}"));
            format!(
                "timestamp[{}{zone}]",
                DataType::Duration(*unit)
                    .to_string()
                    .to_lowercase()
                    .replace("duration(", "")
                    .replace(')', "")
            )
        }
        DataType::Dictionary(_, value) => format!("dictionary of {}", arrow(value)),
        DataType::Struct(fields) => {
            let names: Vec<_> = fields.iter().map(|f| f.name().as_str()).collect();
            format!("struct of {}", names.join(", "))
        }
        _ => match item_of(ty) {
            Some(item) => match ty {
                DataType::FixedSizeList(_, n) => format!("list of {n} {}", arrow(item.data_type())),
                _ => format!("list of {}", arrow(item.data_type())),
            },
            None => ty.to_string().to_lowercase(),
        },
    }
}
