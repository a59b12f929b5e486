//! One layout for chunks that came in several: it holds every value of each as it is.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, GenericListArray, MapArray, OffsetSizeTrait, StructArray,
    new_null_array,
};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, FieldRef, Fields};

use super::error::Mismatch;
use super::plan::{is_binary, is_text, item_of, plain};
use super::words;

/// The layout that holds the values of both, or where there is none.
///
/// Text becomes `Utf8View`, bytes become `LargeBinary`, lists of different layouts `LargeList`; records have the fields of both.
pub(super) fn wider(path: &str, a: &DataType, b: &DataType) -> Result<DataType, Mismatch> {
    let refused =
        || Mismatch { path: path.to_owned(), expected: words::arrow(a), found: words::arrow(b) };
    if a == b || b.is_null() {
        return Ok(a.clone());
    }
    if a.is_null() {
        return Ok(b.clone());
    }
    if is_text(a) && is_text(b) {
        return Ok(DataType::Utf8View);
    }
    if is_binary(a) && is_binary(b) {
        return Ok(DataType::LargeBinary);
    }
    match (plain(a), plain(b)) {
        (DataType::Struct(a), DataType::Struct(b)) => {
            let mut fields: Vec<FieldRef> = Vec::with_capacity(a.len().max(b.len()));
            for field in a {
                let ty = match b.find(field.name()) {
                    Some((_, other)) => {
                        let path = format!("{path}.{}", field.name());
                        wider(&path, field.data_type(), other.data_type())?
                    }
                    None => field.data_type().clone(),
                };
                fields.push(nullable(field, ty));
            }
            let more = b.iter().filter(|field| a.find(field.name()).is_none());
            fields.extend(more.map(|field| nullable(field, field.data_type().clone())));
            Ok(DataType::Struct(fields.into()))
        }
        (DataType::Map(a, sorted), DataType::Map(b, _)) => {
            let (DataType::Struct(x), DataType::Struct(y)) = (a.data_type(), b.data_type()) else {
                return Err(refused());
            };
            let key = wider(&format!("{path}{{key}}"), x[0].data_type(), y[0].data_type())?;
            let value = wider(&format!("{path}{{}}"), x[1].data_type(), y[1].data_type())?;
            let key = Arc::new(x[0].as_ref().clone().with_data_type(key));
            let entries: Fields = vec![key, nullable(&x[1], value)].into();
            let entries = a.as_ref().clone().with_data_type(DataType::Struct(entries));
            Ok(DataType::Map(Arc::new(entries), *sorted))
        }
        (a, b) => match (item_of(a), item_of(b)) {
            (Some(x), Some(y)) => {
                let ty = wider(&format!("{path}[]"), x.data_type(), y.data_type())?;
                let item = nullable(x, ty);
                Ok(match (a, b) {
                    (DataType::List(_), DataType::List(_)) => DataType::List(item),
                    (DataType::FixedSizeList(_, n), DataType::FixedSizeList(_, m)) if n == m => {
                        DataType::FixedSizeList(item, *n)
                    }
                    _ => DataType::LargeList(item),
                })
            }
            (None, None) if a == b => Ok(a.clone()),
            (None, None) => number(a, b).ok_or_else(refused),
            _ => Err(refused()),
        },
    }
}

fn nullable(field: &FieldRef, ty: DataType) -> FieldRef {
    Arc::new(field.as_ref().clone().with_data_type(ty).with_nullable(true))
}

/// The numbers that hold the numbers of both.
fn number(a: &DataType, b: &DataType) -> Option<DataType> {
    let width = |ty: &DataType| ty.primitive_width().unwrap_or(usize::MAX);
    let widest = width(a).max(width(b));
    if a.is_floating() || b.is_floating() {
        let exact = |ty: &DataType| ty.is_floating() || (ty.is_integer() && width(ty) <= 4);
        return (exact(a) && exact(b)).then_some(DataType::Float64);
    }
    if !a.is_integer() || !b.is_integer() {
        return None;
    }
    let unsigned = [a, b].map(DataType::is_unsigned_integer);
    let bytes = match unsigned {
        [true, true] | [false, false] => widest,
        [true, false] => width(b).max(2 * width(a)),
        [false, true] => width(a).max(2 * width(b)),
    };
    Some(match (unsigned == [true, true], bytes) {
        (true, 2) => DataType::UInt16,
        (true, 4) => DataType::UInt32,
        (true, 8) => DataType::UInt64,
        (false, 2) => DataType::Int16,
        (false, 4) => DataType::Int32,
        (false, 8) => DataType::Int64,
        _ => return None,
    })
}

/// The array in a layout that [`wider`] found for it, every value as it is.
pub(super) fn widened(array: &ArrayRef, target: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == target {
        return Ok(array.clone());
    }
    if array.data_type().is_null() {
        return Ok(new_null_array(target, array.len()));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let cast = |array: &ArrayRef, ty: &DataType| cast_with_options(array, ty, &options);
    match (target, item_of(array.data_type())) {
        (DataType::Struct(fields), _) if array.as_struct_opt().is_some() => {
            let structs = array.as_struct();
            let part = |field: &FieldRef| match structs.column_by_name(field.name()) {
                Some(column) => widened(column, field.data_type()),
                None => Ok(new_null_array(field.data_type(), structs.len())),
            };
            let columns = fields.iter().map(part).collect::<Result<_, _>>()?;
            let (nulls, rows) = (structs.nulls().cloned(), structs.len());
            let made = StructArray::try_new_with_length(fields.clone(), columns, nulls, rows)?;
            Ok(Arc::new(made))
        }
        (DataType::Map(entries, sorted), _) if array.as_map_opt().is_some() => {
            let map = array.as_map();
            let DataType::Struct(fields) = entries.data_type() else { return cast(array, target) };
            let keys = widened(map.keys(), fields[0].data_type())?;
            let values = widened(map.values(), fields[1].data_type())?;
            let parts = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            let made = MapArray::try_new(Arc::clone(entries), offsets, parts, nulls, *sorted)?;
            Ok(Arc::new(made))
        }
        (DataType::List(field), Some(item)) => {
            list::<i32>(&cast(array, &DataType::List(Arc::clone(item)))?, field)
        }
        (DataType::LargeList(field), Some(item)) => {
            list::<i64>(&cast(array, &DataType::LargeList(Arc::clone(item)))?, field)
        }
        (DataType::FixedSizeList(field, n), Some(_))
            if array.as_fixed_size_list_opt().is_some() =>
        {
            let lists = array.as_fixed_size_list();
            let items = widened(lists.values(), field.data_type())?;
            let nulls = lists.nulls().cloned();
            let made = FixedSizeListArray::try_new(Arc::clone(field), *n, items, nulls)?;
            Ok(Arc::new(made))
        }
        _ => cast(array, target),
    }
}

fn list<O: OffsetSizeTrait>(array: &ArrayRef, field: &FieldRef) -> Result<ArrayRef, ArrowError> {
    let lists = array.as_list::<O>();
    let items = widened(lists.values(), field.data_type())?;
    let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
    Ok(Arc::new(GenericListArray::<O>::try_new(Arc::clone(field), offsets, items, nulls)?))
}

/// Where a name is that others cannot be given: Arrow hands names out as C strings.
pub(super) fn unnamable(fields: &Fields) -> Option<String> {
    fields.iter().find_map(|field| {
        if field.name().contains('\0') {
            return Some(field.name().clone());
        }
        let within = match plain(field.data_type()) {
            DataType::Struct(fields) => unnamable(fields),
            DataType::Map(entries, _) => unnamable(&vec![Arc::clone(entries)].into()),
            ty => item_of(ty).and_then(|item| unnamable(&vec![Arc::clone(item)].into())),
        };
        within.map(|path| format!("{}.{path}", field.name()))
    })
}
