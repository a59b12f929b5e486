//! Schemas from Python: any object with `__arrow_c_schema__`, or names and types as text.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyMapping;
use pyo3_arrow::PySchema;

use crate::error::ARGUMENT;

/// Reads a schema.
pub(super) fn read_schema(object: &Bound<'_, PyAny>) -> PyResult<SchemaRef> {
    let py = object.py();
    if object.hasattr(intern!(py, "__arrow_c_schema__"))? {
        return Ok(object.extract::<PySchema>()?.into_inner());
    }
    let Ok(mapping) = object.cast::<PyMapping>() else {
        return Err(PyTypeError::new_err(format!(
            "schema: expected an Arrow schema (an object with __arrow_c_schema__) or a mapping of names to types, got {}",
            object.get_type().name()?
        )));
    };
    let mut fields = Vec::new();
    for item in mapping.items()?.iter() {
        let (name, text): (String, String) = item.extract()?;
        let (kind, nullable) = match text.strip_suffix('?') {
            Some(kind) => (kind, true),
            None => (text.as_str(), false),
        };
        let data_type = data_type(kind).ok_or_else(|| {
            let message = format!("schema: column {name:?}: unknown type {text:?}");
            ARGUMENT.new_err(py, (message,))
        })?;
        fields.push(Field::new(name, data_type, nullable));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// A type by its name in numpy or Arrow; `float32[8]` is a list of 8.
fn data_type(text: &str) -> Option<DataType> {
    if let Some((item, size)) = text.strip_suffix(']').and_then(|text| text.split_once('[')) {
        let unit = match (item, size) {
            ("timestamp" | "datetime64", unit) => Some(DataType::Timestamp(time_unit(unit)?, None)),
            ("duration" | "timedelta64", unit) => Some(DataType::Duration(time_unit(unit)?)),
            _ => None,
        };
        if unit.is_some() {
            return unit;
        }
        let item = Field::new("item", data_type(item)?, false);
        return Some(DataType::FixedSizeList(
            Arc::new(item),
            size.parse().ok().filter(|&n| n > 0)?,
        ));
    }
    Some(match text {
        "bool" => DataType::Boolean,
        "int8" => DataType::Int8,
        "int16" => DataType::Int16,
        "int32" => DataType::Int32,
        "int64" => DataType::Int64,
        "uint8" => DataType::UInt8,
        "uint16" => DataType::UInt16,
        "uint32" => DataType::UInt32,
        "uint64" => DataType::UInt64,
        "float16" => DataType::Float16,
        "float32" => DataType::Float32,
        "float64" => DataType::Float64,
        "date32" => DataType::Date32,
        "utf8" | "string" => DataType::Utf8,
        "large_utf8" | "large_string" => DataType::LargeUtf8,
        "binary" => DataType::Binary,
        "large_binary" => DataType::LargeBinary,
        _ => return None,
    })
}

fn time_unit(text: &str) -> Option<TimeUnit> {
    Some(match text {
        "s" => TimeUnit::Second,
        "ms" => TimeUnit::Millisecond,
        "us" => TimeUnit::Microsecond,
        "ns" => TimeUnit::Nanosecond,
        _ => return None,
    })
}

/// The numpy dtype of the values of a column of fixed width; `None` if numpy has none.
pub(super) fn dtype(data_type: &DataType) -> Option<String> {
    let unit = |unit: &TimeUnit| match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    };
    Some(match data_type {
        DataType::Int8 => "int8".into(),
        DataType::Int16 => "int16".into(),
        DataType::Int32 | DataType::Time32(_) => "int32".into(),
        DataType::Int64 | DataType::Time64(_) => "int64".into(),
        DataType::UInt8 => "uint8".into(),
        DataType::UInt16 => "uint16".into(),
        DataType::UInt32 => "uint32".into(),
        DataType::UInt64 => "uint64".into(),
        DataType::Float16 => "float16".into(),
        DataType::Float32 => "float32".into(),
        DataType::Float64 => "float64".into(),
        // Days in 4 bytes, which numpy's own dates are not.
        DataType::Date32 => "int32".into(),
        DataType::Date64 => "datetime64[ms]".into(),
        DataType::Timestamp(precision, _) => format!("datetime64[{}]", unit(precision)),
        DataType::Duration(precision) => format!("timedelta64[{}]", unit(precision)),
        DataType::FixedSizeBinary(width) => format!("V{width}"),
        _ => return None,
    })
}
