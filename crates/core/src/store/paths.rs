//! Paths of fields, as locks write them: names joined by dots, `[]` for the items of a list, `{}` for the values of a map.

use arrow_schema::{DataType, Fields};

use crate::schema::{Declaration, Kind, Record, Type};

use super::plan::{item_of, plain, position, resolve};

/// Whether columns bring the field of a path, under its name or its alias.
pub(super) fn brings(declaration: &Declaration, fields: &Fields, path: &str) -> bool {
    fields.find(path).is_some() || within(declaration, declaration.record(), fields, path)
}

fn within(declaration: &Declaration, record: Option<&Record>, fields: &Fields, path: &str) -> bool {
    let (name, rest) = path.split_at(path.find(['.', '[', '{']).unwrap_or(path.len()));
    let declared = record.and_then(|record| record.fields.iter().find(|f| f.name == name));
    let found = match declared {
        Some(declared) => position(fields, declared),
        None => fields.find(name).map(|(at, _)| at),
    };
    let Some(found) = found else { return false };
    below(declaration, declared.map(|field| &field.ty), fields[found].data_type(), rest)
}

fn below(declaration: &Declaration, ty: Option<&Type>, found: &DataType, rest: &str) -> bool {
    if rest.is_empty() {
        return true;
    }
    let kind = ty.map(|ty| &resolve(declaration, ty).kind);
    let found = plain(found);
    if let Some(rest) = rest.strip_prefix("[]") {
        let item = match kind {
            Some(
                Kind::List(item)
                | Kind::Set(item)
                | Kind::FrozenSet(item)
                | Kind::FixedList(item, _),
            ) => Some(&**item),
            _ => None,
        };
        return item_of(found).is_some_and(|f| below(declaration, item, f.data_type(), rest));
    }
    if let Some(rest) = rest.strip_prefix("{}") {
        let DataType::Map(entries, _) = found else { return false };
        let DataType::Struct(entry) = entries.data_type() else { return false };
        let value = match kind {
            Some(Kind::Dict(_, value)) => Some(&**value),
            _ => None,
        };
        return below(declaration, value, entry[1].data_type(), rest);
    }
    let (DataType::Struct(fields), Some(rest)) = (found, rest.strip_prefix('.')) else {
        return false;
    };
    let record = match kind {
        Some(Kind::Record(record)) => Some(&**record),
        _ => None,
    };
    within(declaration, record, fields, rest)
}
