//! The symbols of dictionary columns, from enums and literals.

use ottava_core::schema::{Declaration, Kind, Value};

/// The symbols of the dictionary column at `path`.
pub(super) fn symbols(declaration: &Declaration, path: &[&str]) -> Option<Vec<String>> {
    let mut ty = declaration.resolve(&declaration.root)?;
    for step in path {
        let next = match &ty.kind {
            Kind::Record(record) => &record.fields.iter().find(|field| field.name == *step)?.ty,
            Kind::List(item)
            | Kind::Set(item)
            | Kind::FrozenSet(item)
            | Kind::FixedList(item, _) => item,
            Kind::Tuple { rest: Some(rest), items } if items.is_empty() => rest,
            Kind::Tuple { items, .. } => items.get(step.parse::<usize>().ok()?)?,
            Kind::Dict(key, value) => {
                if *step == "key" {
                    key
                } else {
                    value
                }
            }
            _ => return None,
        };
        ty = declaration.resolve(next)?;
    }
    let text = |value: &Value| match value {
        Value::Str(text) => Some(text.clone()),
        _ => None,
    };
    match &ty.kind {
        Kind::Enum(declared) => {
            // A null member has no symbol.
            Some(declared.members.iter().filter_map(|member| text(&member.value)).collect())
        }
        Kind::Literal(values) => Some(values.iter().filter_map(text).collect()),
        _ => None,
    }
}

/// The index of a choice among the symbols of its column, which leave out null; `null` is the index of the first null.
#[inline(always)]
pub(super) fn symbol_index<'v>(
    null: Option<u32>,
    mut values: impl Iterator<Item = &'v Value>,
    index: usize,
) -> i32 {
    let nulls = match null {
        Some(first) if (first as usize) < index => {
            values.by_ref().take(index).filter(|value| **value == Value::Null).count()
        }
        _ => 0,
    };
    i32::try_from(index - nulls).unwrap_or(0)
}
