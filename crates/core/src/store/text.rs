//! Text that its declaration wants stripped, lowered or raised.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, GenericListArray, LargeStringArray, MapArray, StringArray,
    StringViewArray, StructArray,
};
use arrow_cast::cast;
use arrow_schema::{DataType, FieldRef};

use crate::schema::{Declaration, Kind, Rules, Type};

use super::plan::{item_of, position, resolve};

/// When a change is made: rules are held against text that is stripped, in the case that it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Strip,
    Case,
}

impl Change {
    fn wanted(self, rules: &Rules) -> bool {
        match self {
            Self::Strip => rules.strip_whitespace,
            Self::Case => rules.to_lower || rules.to_upper,
        }
    }

    fn of<'t>(self, rules: &Rules, text: &'t str) -> Cow<'t, str> {
        let cased = |cased: String| if cased == text { text.into() } else { Cow::Owned(cased) };
        match self {
            Self::Strip => text.trim().into(),
            Self::Case if rules.to_lower => cased(text.to_lowercase()),
            Self::Case => cased(text.to_uppercase()),
        }
    }
}

/// The array with the text inside changed as its type wants it; `None` if there is nothing to change.
pub(super) fn changed(
    declaration: &Declaration,
    ty: &Type,
    array: &ArrayRef,
    change: Change,
) -> Option<ArrayRef> {
    let ty = resolve(declaration, ty);
    let inner = |ty: &Type, array: &ArrayRef| changed(declaration, ty, array, change);
    match &ty.kind {
        Kind::Str if change.wanted(&ty.rules) => text(array, &|text| change.of(&ty.rules, text)),
        Kind::List(item) | Kind::Set(item) | Kind::FrozenSet(item) | Kind::FixedList(item, _) => {
            items(array, &|values| inner(item, values))
        }
        Kind::Record(record) => {
            let records = array.as_struct_opt()?;
            let mut columns = records.columns().to_vec();
            let mut any = false;
            for field in &record.fields {
                let Some(at) = position(records.fields(), field) else { continue };
                if let Some(made) = inner(&field.ty, &columns[at]) {
                    (columns[at], any) = (made, true);
                }
            }
            any.then(|| with_columns(records, columns)).flatten().map(|made| Arc::new(made) as _)
        }
        Kind::Dict(key, value) => {
            let map = array.as_map_opt()?;
            let (keys, values) = (inner(key, map.keys()), inner(value, map.values()));
            if keys.is_none() && values.is_none() {
                return None;
            }
            let columns = vec![
                keys.unwrap_or_else(|| map.keys().clone()),
                values.unwrap_or_else(|| map.values().clone()),
            ];
            let entries = with_columns(map.entries(), columns)?;
            let DataType::Map(field, ordered) = map.data_type() else { return None };
            let field = retyped(field, entries.data_type());
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            let made = MapArray::try_new(field, offsets, entries, nulls, *ordered).ok()?;
            Some(Arc::new(made))
        }
        _ => None,
    }
}

fn retyped(field: &FieldRef, ty: &DataType) -> FieldRef {
    Arc::new(field.as_ref().clone().with_data_type(ty.clone()))
}

fn with_columns(records: &StructArray, columns: Vec<ArrayRef>) -> Option<StructArray> {
    let fields = records.fields().iter().zip(&columns).map(|(f, c)| retyped(f, c.data_type()));
    let (fields, nulls) = (fields.collect(), records.nulls().cloned());
    StructArray::try_new_with_length(fields, columns, nulls, records.len()).ok()
}

fn items(array: &ArrayRef, change: &dyn Fn(&ArrayRef) -> Option<ArrayRef>) -> Option<ArrayRef> {
    let item = item_of(array.data_type())?;
    let nulls = array.nulls().cloned();
    Some(match array.data_type() {
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            let values = change(lists.values())?;
            let (field, offsets) = (retyped(item, values.data_type()), lists.offsets().clone());
            Arc::new(GenericListArray::try_new(field, offsets, values, nulls).ok()?)
        }
        DataType::LargeList(_) => {
            let lists = array.as_list::<i64>();
            let values = change(lists.values())?;
            let (field, offsets) = (retyped(item, values.data_type()), lists.offsets().clone());
            Arc::new(GenericListArray::try_new(field, offsets, values, nulls).ok()?)
        }
        DataType::FixedSizeList(_, n) => {
            let lists = array.as_fixed_size_list();
            let values = change(lists.values())?;
            let field = retyped(item, values.data_type());
            let made =
                FixedSizeListArray::try_new_with_length(field, *n, values, nulls, lists.len());
            Arc::new(made.ok()?)
        }
        _ => items(&cast(array, &DataType::LargeList(item.clone())).ok()?, change)?,
    })
}

/// Text in any layout, changed value by value.
fn text(array: &ArrayRef, change: &dyn Fn(&str) -> Cow<'_, str>) -> Option<ArrayRef> {
    let differs = |text: Option<&str>| {
        text.is_some_and(|text| match change(text) {
            Cow::Borrowed(same) => same.len() != text.len(),
            Cow::Owned(_) => true,
        })
    };
    macro_rules! each {
        ($array:expr, $made:ty) => {{
            let array = $array;
            if !array.iter().any(differs) {
                return None;
            }
            Some(Arc::new(array.iter().map(|text| text.map(change)).collect::<$made>()))
        }};
    }
    match array.data_type() {
        DataType::Utf8 => each!(array.as_string::<i32>(), StringArray),
        DataType::LargeUtf8 => each!(array.as_string::<i64>(), LargeStringArray),
        DataType::Utf8View => each!(array.as_string_view(), StringViewArray),
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            Some(dictionary.with_values(text(dictionary.values(), change)?))
        }
        DataType::RunEndEncoded(..) => text(&cast(array, &DataType::Utf8View).ok()?, change),
        _ => None,
    }
}
