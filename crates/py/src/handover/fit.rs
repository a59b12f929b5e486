//! Arrow arrays in the type of a column, where that changes no value.

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType};

/// `array` as `wanted`, which may be another layout or width of its type. One of another type is given back as it is.
///
/// An error says what value does not fit. Floating-point values are rounded, but not to infinity.
pub(super) fn fit(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, String> {
    let (own, kind) = (kind(array.data_type()), kind(wanted));
    if array.data_type() == wanted || (own != kind && own.1 != "null") {
        return Ok(array.clone());
    }
    let attempt = || {
        let fitted = strict(array, wanted)?;
        let same = match kind.1 {
            "number" if leaf(wanted).is_floating() => infinities(&fitted)? <= infinities(array)?,
            "number" | "date" | "time" | "timestamp" | "duration" if own == kind => {
                let plain = strict(array, decoded(array.data_type()))?;
                *plain == *strict(&fitted, plain.data_type())?
            }
            _ => true,
        };
        Ok::<_, ArrowError>(same.then_some(fitted))
    };
    match attempt() {
        Ok(fitted) => fitted.ok_or_else(|| format!("has values that {wanted} has not")),
        Err(ArrowError::CastError(text) | ArrowError::ComputeError(text)) => Err(text),
        Err(other) => Err(other.to_string()),
    }
}

/// A cast that fails where a value does not fit, instead of making it null.
fn strict(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    cast_with_options(array, wanted, &CastOptions { safe: false, ..CastOptions::default() })
}

/// How deep in lists the values lie, and what they are.
fn kind(data_type: &DataType) -> (usize, &'static str) {
    use DataType::*;
    let kind = match data_type {
        List(item)
        | LargeList(item)
        | ListView(item)
        | LargeListView(item)
        | FixedSizeList(item, _) => {
            let (depth, kind) = kind(item.data_type());
            return (depth + 1, kind);
        }
        Dictionary(..) | RunEndEncoded(..) => return kind(decoded(data_type)),
        Null => "null",
        Boolean => "boolean",
        Utf8 | LargeUtf8 | Utf8View => "text",
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => "bytes",
        Date32 | Date64 => "date",
        Time32(_) | Time64(_) => "time",
        Timestamp(..) => "timestamp",
        Duration(_) => "duration",
        number if number.is_numeric() => "number",
        _ => "other",
    };
    (0, kind)
}

/// The type of the values of an encoded column.
fn decoded(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => decoded(values),
        DataType::RunEndEncoded(_, values) => decoded(values.data_type()),
        plain => plain,
    }
}

/// The type of the values in lists.
fn leaf(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::FixedSizeList(item, _) => leaf(item.data_type()),
        plain => plain,
    }
}

/// How many values are infinite.
fn infinities(array: &ArrayRef) -> Result<usize, ArrowError> {
    if let Some(list) = array.as_fixed_size_list_opt() {
        return infinities(list.values());
    }
    if let Some(list) = array.as_list_opt::<i32>() {
        return infinities(list.values());
    }
    if let Some(list) = array.as_list_opt::<i64>() {
        return infinities(list.values());
    }
    let floats = strict(array, &DataType::Float64)?;
    Ok(floats.as_primitive::<Float64Type>().iter().flatten().filter(|x| x.is_infinite()).count())
}
