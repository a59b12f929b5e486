//! One value of an array as text, for error messages.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef};
use arrow_cast::cast;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::DataType;

use super::plan::plain;

/// Longest text of a value in a message, in characters.
const LONGEST: usize = 80;

/// A value as text: quoted if it is text, and cut where it is long.
pub(super) fn show(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "null".to_owned();
    }
    let options = FormatOptions::default();
    let Ok(formatter) = ArrayFormatter::try_new(array, &options) else {
        return "a value".to_owned();
    };
    // A time that no calendar has is a number of its unit.
    let number = || {
        let number = cast(&array.slice(row, 1), &DataType::Int64).ok()?;
        Some(number.as_primitive_opt::<Int64Type>()?.value(0).to_string())
    };
    let text = formatter.value(row).try_to_string().ok().or_else(number);
    let text = text.unwrap_or_else(|| "a value".to_owned());
    let text = cut(text);
    match plain(array.data_type()) {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => format!("{text:?}"),
        _ => text,
    }
}

/// A text that is cut where it is long.
pub(super) fn cut(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
