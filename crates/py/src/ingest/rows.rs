//! Rows of Python objects into columns: msgspec Structs, Models, dictionaries, anything with attributes.
//!
//! Values must have their declared type already, as in msgspec: an integer is also a float, and text is also a date, a UUID or a
//! decimal, because msgpack has no such types. Everything else about a value is checked by the store.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, FixedSizeBinaryBuilder, Float64Builder, Int64Builder,
    NullBufferBuilder, StringBuilder, UInt64Builder,
};
use arrow_array::{
    Array, ArrayRef, DurationMicrosecondArray, FixedSizeListArray, ListArray, MapArray, NullArray,
    RecordBatch, RecordBatchOptions, StructArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow_buffer::OffsetBuffer;
use arrow_cast::cast;
use arrow_schema::{DataType, Field as ArrowField, Fields, Schema as ArrowSchema};
use ottava_core::schema::{
    Date, DateTime, Declaration, Duration, Field, FieldDefault, FloatWidth, IntWidth, Kind, Time,
    Type, Value,
};
use pyo3::exceptions::PyAttributeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDate, PyDateAccess, PyDateTime, PyDelta, PyDeltaAccess, PyDict,
    PyFloat, PyFrozenSet, PyInt, PyList, PyMapping, PySet, PyString, PyTime, PyTimeAccess, PyTuple,
    PyTzInfoAccess,
};

use super::raise::bad_value;

/// Rows that are read before the next column: they stay in the cache.
const BLOCK: usize = 512;

/// The columns of rows, and the undeclared keys that some of them have.
pub(super) struct Read {
    pub(super) batch: RecordBatch,
    pub(super) extra: Vec<String>,
}

/// How a row is asked for a field.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Dict,
    Attributes,
}

fn shape(row: &Bound<'_, PyAny>) -> Shape {
    if row.is_instance_of::<PyDict>() { Shape::Dict } else { Shape::Attributes }
}

/// The value of a field in a row; `None` if it has none.
fn field<'py>(
    row: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
    alias: Option<&Bound<'py, PyString>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let get = |name: &Bound<'py, PyString>| match row.cast::<PyDict>() {
        Ok(dict) => dict.get_item(name),
        Err(_) => match row.getattr(name) {
            Ok(value) => Ok(Some(value)),
            Err(err) if err.is_instance_of::<PyAttributeError>(row.py()) => Ok(None),
            Err(err) => Err(err),
        },
    };
    match get(name)? {
        None => alias.map_or(Ok(None), get),
        // What msgspec puts in the place of a field that was not given.
        Some(value) if value.get_type().name()? == "UnsetType" => Ok(None),
        some => Ok(some),
    }
}

/// Reads rows into the declared columns.
pub(super) fn read(declaration: &Declaration, rows: &Bound<'_, PyList>) -> PyResult<Read> {
    let py = rows.py();
    let fields = declaration.record().map(|record| &record.fields[..]).unwrap_or_default();
    let names: Vec<_> = fields.iter().map(|f| PyString::intern(py, &f.name)).collect();
    let aliases: Vec<_> =
        fields.iter().map(|f| f.alias.as_ref().map(|alias| PyString::intern(py, alias))).collect();
    let mut columns: Vec<Column> = fields
        .iter()
        .map(|f| Column::new(declaration, &f.ty, rows.len()))
        .collect::<Result<_, _>>()?;
    let mut found = vec![0_usize; rows.len().min(BLOCK)];
    let mut extra: Vec<String> = Vec::new();
    let mut start = 0;
    while start < rows.len() {
        let block: Vec<_> = (start..rows.len().min(start + BLOCK))
            .map(|at| rows.get_item(at))
            .collect::<Result<_, _>>()?;
        found[..block.len()].fill(0);
        for (at, column) in columns.iter_mut().enumerate() {
            for (offset, row) in block.iter().enumerate() {
                let value = field(row, &names[at], aliases[at].as_ref())?;
                found[offset] += usize::from(value.is_some());
                let result = match value {
                    Some(value) => column.push(declaration, &value),
                    None => missing(column, declaration, &fields[at], row),
                };
                result.map_err(|bad| bad.raise(py, start + offset, &fields[at].name))?;
            }
        }
        for (row, found) in block.iter().zip(&found) {
            if let Ok(dict) = row.cast::<PyDict>()
                && dict.len() > *found
            {
                for key in dict.keys() {
                    let key: String = key.extract()?;
                    let known = |f: &Field| f.name == key || f.alias.as_ref() == Some(&key);
                    if !fields.iter().any(known) && !extra.contains(&key) {
                        extra.push(key);
                    }
                }
            }
        }
        start += block.len();
    }
    let arrays: Vec<ArrayRef> =
        columns.into_iter().map(Column::finish).collect::<Result<_, _>>()?;
    let arrow = |(f, a): (&Field, &ArrayRef)| ArrowField::new(&f.name, a.data_type().clone(), true);
    let schema = ArrowSchema::new(fields.iter().zip(&arrays).map(arrow).collect::<Vec<_>>());
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let batch = RecordBatch::try_new_with_options(Arc::new(schema), arrays, &options);
    Ok(Read { batch: batch.map_err(super::arrow_error)?, extra })
}

/// One column of undeclared keys; a row without it has a null.
pub(super) fn read_extra(ty: &Type, name: &str, rows: &Bound<'_, PyList>) -> PyResult<ArrayRef> {
    let py = rows.py();
    let declaration = Declaration::new("", ty.clone());
    let key = PyString::intern(py, name);
    let mut column = Column::new(&declaration, ty, rows.len())?;
    for (at, row) in rows.iter().enumerate() {
        let value = field(&row, &key, None)?;
        let value = value.unwrap_or_else(|| py.None().into_bound(py));
        column.push(&declaration, &value).map_err(|bad| bad.raise(py, at, name))?;
    }
    column.finish()
}

fn missing<'py>(
    column: &mut Column,
    declaration: &Declaration,
    field: &Field,
    row: &Bound<'py, PyAny>,
) -> Result<(), Bad<'py>> {
    match &field.default {
        FieldDefault::Value(value) => column.push_default(declaration, field, value, row),
        FieldDefault::Absent => {
            column.push_null();
            Ok(())
        }
        _ => Err(Bad {
            path: String::new(),
            expected: "a value".to_owned(),
            value: Problem::Missing,
        }),
    }
}

/// A value that does not have its declared type.
pub(super) struct Bad<'py> {
    path: String,
    expected: String,
    value: Problem<'py>,
}

enum Problem<'py> {
    Value(Bound<'py, PyAny>),
    Missing,
    Other(PyErr),
}

impl<'py> Bad<'py> {
    fn value(expected: &str, value: &Bound<'py, PyAny>) -> Self {
        Self {
            path: String::new(),
            expected: expected.to_owned(),
            value: Problem::Value(value.clone()),
        }
    }

    fn within(mut self, step: &str) -> Self {
        self.path.insert_str(0, step);
        self
    }

    fn raise(self, py: Python<'py>, row: usize, column: &str) -> PyErr {
        let column = format!("{column}{}", self.path);
        match self.value {
            Problem::Value(value) => bad_value(py, row, &column, &self.expected, &value),
            Problem::Other(err) => err,
            Problem::Missing => {
                let text = format!(
                    "row {row}, column {column}: expected {}, found nothing",
                    self.expected
                );
                crate::error::INGEST.new_err(py, (text, Some(row), Some(column), None::<String>))
            }
        }
    }
}

impl From<PyErr> for Bad<'_> {
    fn from(err: PyErr) -> Self {
        Self { path: String::new(), expected: String::new(), value: Problem::Other(err) }
    }
}

/// A column while it grows.
enum Column {
    Null(usize),
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Unsigned(UInt64Builder),
    /// Whether the column is one of 32 bits.
    Float(Float64Builder, bool),
    Text(StringBuilder),
    /// Text of a decimal, and the type that it becomes.
    Decimal(StringBuilder, DataType),
    /// Values that have no column type: their JSON.
    Json(StringBuilder),
    Binary(BinaryBuilder),
    Uuid(FixedSizeBinaryBuilder),
    Date(Int64Builder),
    /// Microseconds, whether they must be aware, and the zone of the column.
    Moment(Int64Builder, Option<bool>),
    Time(Int64Builder),
    Span(Int64Builder),
    List {
        item: Box<(Type, Column)>,
        lengths: Vec<usize>,
        nulls: NullBufferBuilder,
        fixed: Option<usize>,
    },
    Map {
        parts: Box<(Type, Column, Type, Column)>,
        lengths: Vec<usize>,
        nulls: NullBufferBuilder,
    },
    Record {
        fields: Vec<(Field, Column)>,
        nulls: NullBufferBuilder,
        positional: bool,
    },
}

impl Column {
    fn new(declaration: &Declaration, ty: &Type, rows: usize) -> PyResult<Self> {
        let ty = resolve(declaration, ty);
        let nulls = || NullBufferBuilder::new(rows);
        let part = |ty: &Type| Ok::<_, PyErr>((ty.clone(), Self::new(declaration, ty, rows)?));
        let text = || StringBuilder::with_capacity(rows, rows * 8);
        Ok(match &ty.kind {
            Kind::Null => Self::Null(0),
            Kind::Bool => Self::Bool(BooleanBuilder::with_capacity(rows)),
            Kind::Int(IntWidth::U64) => Self::Unsigned(UInt64Builder::with_capacity(rows)),
            Kind::Int(_) => Self::Int(Int64Builder::with_capacity(rows)),
            Kind::Float(width) => {
                Self::Float(Float64Builder::with_capacity(rows), *width == FloatWidth::F32)
            }
            Kind::Str => Self::Text(text()),
            Kind::Bytes => Self::Binary(BinaryBuilder::with_capacity(rows, rows * 8)),
            Kind::Decimal => {
                let target = match (ty.rules.max_digits, ty.rules.decimal_places) {
                    (Some(digits @ 1..=38), Some(places)) if places <= digits => {
                        DataType::Decimal128(digits as u8, places as i8)
                    }
                    _ => DataType::Utf8,
                };
                Self::Decimal(text(), target)
            }
            Kind::DateTime { aware, .. } => Self::Moment(Int64Builder::with_capacity(rows), *aware),
            Kind::Date => Self::Date(Int64Builder::with_capacity(rows)),
            Kind::Time => Self::Time(Int64Builder::with_capacity(rows)),
            Kind::Duration => Self::Span(Int64Builder::with_capacity(rows)),
            Kind::Uuid => Self::Uuid(FixedSizeBinaryBuilder::with_capacity(rows, 16)),
            Kind::Enum(set) => Self::choices(set.members.iter().map(|member| &member.value), rows),
            Kind::Literal(values) => Self::choices(values.iter(), rows),
            Kind::List(item) | Kind::Set(item) | Kind::FrozenSet(item) => Self::List {
                item: Box::new(part(item)?),
                lengths: Vec::new(),
                nulls: nulls(),
                fixed: None,
            },
            Kind::FixedList(item, n) => Self::List {
                item: Box::new(part(item)?),
                lengths: Vec::new(),
                nulls: nulls(),
                fixed: Some(*n),
            },
            Kind::Tuple { items, rest: Some(rest) } if items.is_empty() => Self::List {
                item: Box::new(part(rest)?),
                lengths: Vec::new(),
                nulls: nulls(),
                fixed: None,
            },
            Kind::Tuple { items, rest: None } if !items.is_empty() => {
                let field = |(at, ty): (usize, &Type)| {
                    Ok((Field::new(at.to_string(), ty.clone()), part(ty)?.1))
                };
                let fields = items.iter().enumerate().map(field).collect::<PyResult<_>>()?;
                Self::Record { fields, nulls: nulls(), positional: true }
            }
            Kind::Dict(key, value) if matches!(key.kind, Kind::Str) && !key.nullable => {
                let ((key, keys), (value, values)) = (part(key)?, part(value)?);
                let parts = Box::new((key, keys, value, values));
                Self::Map { parts, lengths: Vec::new(), nulls: nulls() }
            }
            Kind::Record(record) if !record.fields.is_empty() => {
                let field = |f: &Field| Ok((f.clone(), part(&f.ty)?.1));
                let fields = record.fields.iter().map(field).collect::<PyResult<_>>()?;
                Self::Record { fields, nulls: nulls(), positional: false }
            }
            _ => Self::Json(text()),
        })
    }

    fn choices<'v>(values: impl Iterator<Item = &'v Value>, rows: usize) -> Self {
        let values: Vec<_> = values.filter(|value| **value != Value::Null).collect();
        if values.iter().all(|value| matches!(value, Value::Str(_))) {
            Self::Text(StringBuilder::with_capacity(rows, rows * 8))
        } else if values.iter().all(|value| matches!(value, Value::Int(_))) {
            Self::Int(Int64Builder::with_capacity(rows))
        } else if values.iter().all(|value| matches!(value, Value::Bool(_))) {
            Self::Bool(BooleanBuilder::with_capacity(rows))
        } else {
            Self::Json(StringBuilder::new())
        }
    }

    fn push_null(&mut self) {
        match self {
            Self::Null(rows) => *rows += 1,
            Self::Bool(b) => b.append_null(),
            Self::Int(b) | Self::Date(b) | Self::Moment(b, _) | Self::Time(b) | Self::Span(b) => {
                b.append_null();
            }
            Self::Unsigned(b) => b.append_null(),
            Self::Float(b, _) => b.append_null(),
            Self::Text(b) | Self::Decimal(b, _) | Self::Json(b) => b.append_null(),
            Self::Binary(b) => b.append_null(),
            Self::Uuid(b) => b.append_null(),
            Self::List { item, lengths, nulls, fixed } => {
                (0..fixed.unwrap_or(0)).for_each(|_| item.1.push_null());
                lengths.push(fixed.unwrap_or(0));
                nulls.append_null();
            }
            Self::Map { lengths, nulls, .. } => {
                lengths.push(0);
                nulls.append_null();
            }
            Self::Record { fields, nulls, .. } => {
                fields.iter_mut().for_each(|(_, column)| column.push_null());
                nulls.append_null();
            }
        }
    }

    #[inline]
    fn push<'py>(
        &mut self,
        declaration: &Declaration,
        value: &Bound<'py, PyAny>,
    ) -> Result<(), Bad<'py>> {
        if value.is_none() {
            self.push_null();
            return Ok(());
        }
        let py = value.py();
        let bad = |expected: &str| Bad::value(expected, value);
        match self {
            Self::Null(_) => return Err(bad("null")),
            Self::Bool(b) => match value.cast::<PyBool>() {
                Ok(flag) => b.append_value(flag.is_true()),
                Err(_) => return Err(bad("bool")),
            },
            Self::Int(b) => match integer(value) {
                Some(int) => {
                    b.append_value(int.extract().map_err(|_| bad("an integer of 64 bits"))?);
                }
                None => return Err(bad("int")),
            },
            Self::Unsigned(b) => match integer(value) {
                Some(int) => {
                    b.append_value(
                        int.extract().map_err(|_| bad("an integer from 0 to 2^64 - 1"))?,
                    );
                }
                None => return Err(bad("int")),
            },
            Self::Float(b, _) => match value.cast::<PyFloat>() {
                Ok(float) => b.append_value(float.value()),
                Err(_) => match integer(value) {
                    Some(int) => b.append_value(int.extract().map_err(|_| bad("float"))?),
                    None => return Err(bad("float")),
                },
            },
            Self::Text(b) => match value.cast::<PyString>() {
                Ok(text) => {
                    b.append_value(text.to_str().map_err(|_| bad("text without lone surrogates"))?);
                }
                // A member of an `Enum`, which msgspec and Models hand out as it is.
                Err(_) => match value.getattr(intern!(py, "value")) {
                    Ok(inner) if inner.is_instance_of::<PyString>() => {
                        b.append_value(inner.extract::<String>()?);
                    }
                    _ => return Err(bad("str")),
                },
            },
            Self::Decimal(b, target) => {
                let known = value.is_instance_of::<PyString>()
                    || value.is_instance_of::<PyFloat>()
                    || integer(value).is_some()
                    || value.get_type().name()? == "Decimal";
                if !known {
                    return Err(bad("Decimal"));
                }
                let text = match value.get_type().name()? == "Decimal" {
                    true => value.call_method1(intern!(py, "__format__"), ("f",))?.to_string(),
                    false => value.str()?.to_string(),
                };
                if !decimal_fits(&text, target) {
                    return Err(bad(&format!(
                        "a decimal that fits {}",
                        target.to_string().to_lowercase()
                    )));
                }
                b.append_value(text);
            }
            Self::Json(b) => {
                let json = py.import("ottava.ingest")?.getattr("_to_json")?.call1((value,))?;
                b.append_value(json.extract::<String>()?);
            }
            Self::Binary(b) => {
                if let Ok(bytes) = value.cast::<PyBytes>() {
                    b.append_value(bytes.as_bytes());
                } else if let Ok(bytes) = value.cast::<PyByteArray>() {
                    b.append_value(bytes.to_vec());
                } else {
                    return Err(bad("bytes"));
                }
            }
            Self::Uuid(b) => {
                let uuid = match value.cast::<PyString>() {
                    Ok(_) => py
                        .import("uuid")?
                        .getattr("UUID")?
                        .call1((value,))
                        .map_err(|_| bad("UUID"))?,
                    Err(_) => value.clone(),
                };
                let bytes = uuid.getattr(intern!(py, "bytes")).map_err(|_| bad("UUID"))?;
                let bytes = bytes.extract::<Vec<u8>>().map_err(|_| bad("UUID"))?;
                b.append_value(bytes).map_err(|_| bad("UUID"))?;
            }
            Self::Date(b) => {
                let date = parsed(value, "date")?;
                match date.cast::<PyDate>() {
                    Ok(date) if !date.is_instance_of::<PyDateTime>() => {
                        b.append_value(date_of(date).days_since_epoch().into());
                    }
                    _ => return Err(bad("date")),
                }
            }
            Self::Moment(b, aware) => {
                let moment = parsed(value, "datetime")?;
                let Ok(moment) = moment.cast::<PyDateTime>() else { return Err(bad("datetime")) };
                let zoned = moment.get_tzinfo().is_some();
                if aware.is_some_and(|aware| aware != zoned) {
                    return Err(bad(if zoned { "a naive datetime" } else { "an aware datetime" }));
                }
                let offset = offset_of(moment.as_any(), zoned)?;
                let date = Date {
                    year: moment.get_year() as u16,
                    month: moment.get_month(),
                    day: moment.get_day(),
                };
                let time = Time {
                    hour: moment.get_hour(),
                    minute: moment.get_minute(),
                    second: moment.get_second(),
                    micros: moment.get_microsecond(),
                    offset: None,
                };
                b.append_value(DateTime { date, time }.micros_since_epoch() - offset);
            }
            Self::Time(b) => {
                let time = parsed(value, "time")?;
                let Ok(time) = time.cast::<PyTime>() else { return Err(bad("time")) };
                let time = Time {
                    hour: time.get_hour(),
                    minute: time.get_minute(),
                    second: time.get_second(),
                    micros: time.get_microsecond(),
                    offset: None,
                };
                b.append_value(time.micros_since_midnight());
            }
            Self::Span(b) => match value.cast::<PyDelta>() {
                Ok(delta) => {
                    let seconds =
                        i128::from(delta.get_days()) * 86_400 + i128::from(delta.get_seconds());
                    let span = Duration {
                        micros: seconds * 1_000_000 + i128::from(delta.get_microseconds()),
                    };
                    b.append_value(
                        i64::try_from(span.micros).map_err(|_| bad("a span of 64 bits"))?,
                    );
                }
                Err(_) => return Err(bad("timedelta")),
            },
            Self::List { item, lengths, nulls, fixed } => {
                let sequence = value.is_instance_of::<PyList>()
                    || value.is_instance_of::<PyTuple>()
                    || value.is_instance_of::<PySet>()
                    || value.is_instance_of::<PyFrozenSet>()
                    || value.hasattr(intern!(py, "__array__"))?;
                if !sequence {
                    return Err(bad("list"));
                }
                let mut length = 0;
                for value in value.try_iter()? {
                    item.1.push(declaration, &value?).map_err(|err| err.within("[]"))?;
                    length += 1;
                }
                if fixed.is_some_and(|n| n != length) {
                    return Err(bad(&format!("a list of {}", fixed.unwrap_or_default())));
                }
                lengths.push(length);
                nulls.append_non_null();
            }
            Self::Map { parts, lengths, nulls } => {
                let Ok(map) = value.cast::<PyMapping>() else { return Err(bad("dict")) };
                for entry in map.items()?.iter() {
                    let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = entry.extract()?;
                    if key.is_none() {
                        return Err(bad("text as key"));
                    }
                    parts.1.push(declaration, &key).map_err(|err| err.within("{key}"))?;
                    parts.3.push(declaration, &value).map_err(|err| err.within("{}"))?;
                }
                lengths.push(map.len()?);
                nulls.append_non_null();
            }
            Self::Record { fields, nulls, positional } => {
                if *positional {
                    let Ok(items) = value
                        .cast::<PyTuple>()
                        .map(|t| t.to_list())
                        .or_else(|_| value.cast::<PyList>().cloned())
                    else {
                        return Err(bad("tuple"));
                    };
                    if items.len() != fields.len() {
                        return Err(bad(&format!("a tuple of {}", fields.len())));
                    }
                    for (item, (field, column)) in items.iter().zip(fields) {
                        column
                            .push(declaration, &item)
                            .map_err(|err| err.within(&format!(".{}", field.name)))?;
                    }
                } else {
                    if shape(value) == Shape::Attributes && (is_plain(value)) {
                        return Err(bad("a record"));
                    }
                    for (declared, column) in fields {
                        let name = PyString::intern(py, &declared.name);
                        let alias =
                            declared.alias.as_ref().map(|alias| PyString::intern(py, alias));
                        let step = format!(".{}", declared.name);
                        match field(value, &name, alias.as_ref())? {
                            Some(part) => column.push(declaration, &part),
                            None => missing(column, declaration, declared, value),
                        }
                        .map_err(|err| err.within(&step))?;
                    }
                }
                nulls.append_non_null();
            }
        }
        Ok(())
    }

    fn push_default<'py>(
        &mut self,
        declaration: &Declaration,
        field: &Field,
        default: &Value,
        row: &Bound<'py, PyAny>,
    ) -> Result<(), Bad<'py>> {
        let py = row.py();
        let object = match default {
            Value::Null => {
                self.push_null();
                return Ok(());
            }
            Value::Bool(x) => PyBool::new(py, *x).to_owned().into_any(),
            Value::Int(x) => x.into_pyobject(py).map_err(PyErr::from)?.into_any(),
            Value::Float(x) => PyFloat::new(py, *x).into_any(),
            Value::Str(x) | Value::Decimal(x) => PyString::new(py, x).into_any(),
            Value::Bytes(x) => PyBytes::new(py, x).into_any(),
            Value::List(x) | Value::Tuple(x) | Value::Set(x) if x.is_empty() => {
                PyList::empty(py).into_any()
            }
            Value::Map(x) if x.is_empty() => PyDict::new(py).into_any(),
            other => {
                let text =
                    format!("column {}: its default {other:?} cannot fill a row", field.name);
                return Err(crate::error::INGEST
                    .new_err(py, (text, None::<usize>, Some(field.name.clone())))
                    .into());
            }
        };
        self.push(declaration, &object)
    }

    fn finish(self) -> PyResult<ArrayRef> {
        let failed = super::arrow_error;
        Ok(match self {
            Self::Null(rows) => Arc::new(NullArray::new(rows)),
            Self::Bool(mut b) => Arc::new(b.finish()),
            Self::Int(mut b) => Arc::new(b.finish()),
            Self::Unsigned(mut b) => Arc::new(b.finish()),
            Self::Float(mut b, false) => Arc::new(b.finish()),
            Self::Float(mut b, true) => cast(&b.finish(), &DataType::Float32).map_err(failed)?,
            Self::Text(mut b) | Self::Json(mut b) => Arc::new(b.finish()),
            Self::Decimal(mut b, target) => cast(&b.finish(), &target).map_err(failed)?,
            Self::Binary(mut b) => Arc::new(b.finish()),
            Self::Uuid(mut b) => Arc::new(b.finish()),
            Self::Date(mut b) => {
                let days = cast(&b.finish(), &DataType::Int32).map_err(failed)?;
                cast(&days, &DataType::Date32).map_err(failed)?
            }
            Self::Moment(mut b, aware) => {
                let (_, values, nulls) = b.finish().into_parts();
                let moments = TimestampMicrosecondArray::new(values, nulls);
                if aware == Some(false) {
                    Arc::new(moments)
                } else {
                    Arc::new(moments.with_timezone("UTC"))
                }
            }
            Self::Time(mut b) => {
                let (_, values, nulls) = b.finish().into_parts();
                Arc::new(Time64MicrosecondArray::new(values, nulls))
            }
            Self::Span(mut b) => {
                let (_, values, nulls) = b.finish().into_parts();
                Arc::new(DurationMicrosecondArray::new(values, nulls))
            }
            Self::List { item, lengths, mut nulls, fixed } => {
                let values = item.1.finish()?;
                let field = Arc::new(ArrowField::new("item", values.data_type().clone(), true));
                match fixed {
                    Some(0) | None => {
                        let offsets = OffsetBuffer::from_lengths(lengths);
                        Arc::new(
                            ListArray::try_new(field, offsets, values, nulls.finish())
                                .map_err(failed)?,
                        )
                    }
                    Some(n) => Arc::new(
                        FixedSizeListArray::try_new(field, n as i32, values, nulls.finish())
                            .map_err(failed)?,
                    ),
                }
            }
            Self::Map { parts, lengths, mut nulls } => {
                let (keys, values) = (parts.1.finish()?, parts.3.finish()?);
                let fields = Fields::from(vec![
                    ArrowField::new("key", keys.data_type().clone(), false),
                    ArrowField::new("value", values.data_type().clone(), true),
                ]);
                let entries = StructArray::try_new(fields.clone(), vec![keys, values], None)
                    .map_err(failed)?;
                let field = Arc::new(ArrowField::new("entries", DataType::Struct(fields), false));
                let offsets = OffsetBuffer::from_lengths(lengths);
                Arc::new(
                    MapArray::try_new(field, offsets, entries, nulls.finish(), false)
                        .map_err(failed)?,
                )
            }
            Self::Record { fields, mut nulls, .. } => {
                let rows = nulls.len();
                let (mut named, mut arrays) = (Vec::new(), Vec::new());
                for (field, column) in fields {
                    let array = column.finish()?;
                    named.push(ArrowField::new(&field.name, array.data_type().clone(), true));
                    arrays.push(array);
                }
                let made =
                    StructArray::try_new_with_length(named.into(), arrays, nulls.finish(), rows);
                Arc::new(made.map_err(failed)?)
            }
        })
    }
}

/// An array of nulls for a column that got none of its values.
pub(super) fn nothing(rows: usize) -> ArrayRef {
    new_null_array(&DataType::Null, rows)
}

fn integer<'a, 'py>(value: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, PyInt>> {
    value.cast::<PyInt>().ok().filter(|_| !value.is_instance_of::<PyBool>())
}

fn is_plain(value: &Bound<'_, PyAny>) -> bool {
    value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyInt>()
        || value.is_instance_of::<PyFloat>()
        || value.is_instance_of::<PyBytes>()
        || value.is_instance_of::<PyList>()
        || value.is_instance_of::<PyTuple>()
}

/// Text as the calendar type that it stands for; anything else as it is.
fn parsed<'py>(value: &Bound<'py, PyAny>, class: &str) -> Result<Bound<'py, PyAny>, Bad<'py>> {
    if !value.is_instance_of::<PyString>() {
        return Ok(value.clone());
    }
    let py = value.py();
    // Python 3.10 knows no `Z`.
    let text: String = value.extract()?;
    let text = match text.strip_suffix('Z') {
        Some(text) => format!("{text}+00:00"),
        None => text,
    };
    let class_object = py.import("datetime")?.getattr(class)?;
    class_object.call_method1("fromisoformat", (text,)).map_err(|_| Bad::value(class, value))
}

fn date_of(date: &Bound<'_, PyDate>) -> Date {
    Date { year: date.get_year() as u16, month: date.get_month(), day: date.get_day() }
}

/// Microseconds east of UTC.
fn offset_of(moment: &Bound<'_, PyAny>, zoned: bool) -> PyResult<i64> {
    if !zoned {
        return Ok(0);
    }
    let offset = moment.call_method0(intern!(moment.py(), "utcoffset"))?;
    let Ok(offset) = offset.cast::<PyDelta>() else { return Ok(0) };
    let seconds = i64::from(offset.get_days()) * 86_400 + i64::from(offset.get_seconds());
    Ok(seconds * 1_000_000 + i64::from(offset.get_microseconds()))
}

/// Whether a decimal has no more digits than its column, on either side of the point.
fn decimal_fits(text: &str, target: &DataType) -> bool {
    let DataType::Decimal128(digits, places) = target else { return true };
    let text = text.trim_start_matches(['-', '+']);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => match exponent.parse::<i64>() {
            Ok(exponent) => (mantissa, exponent),
            Err(_) => return false,
        },
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let significant = all.trim_end_matches('0');
    let point = whole.len() as i64 + exponent;
    let leading = all.len() - all.trim_start_matches('0').len();
    let before = (point - leading as i64).max(0);
    let after = (significant.len() as i64 - point).max(0);
    significant.is_empty()
        || (after <= i64::from(*places) && before <= i64::from(*digits) - i64::from(*places))
}

/// The type that a reference stands for.
pub(super) fn resolve<'t>(declaration: &'t Declaration, ty: &'t Type) -> &'t Type {
    let mut at = ty;
    for _ in 0..=declaration.definitions.len() {
        match &at.kind {
            Kind::Ref(name) => match declaration.definition(name) {
                Some(definition) => at = definition,
                None => break,
            },
            _ => break,
        }
    }
    at
}
