//! Growing columns that can forget their last row.

use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, DurationMicrosecondType,
    DurationMillisecondType, DurationNanosecondType, DurationSecondType, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, DictionaryArray, FixedSizeBinaryArray, FixedSizeListArray,
    ListArray, MapArray, NullArray, PrimitiveArray, StringArray, StructArray,
};
use arrow_buffer::{BooleanBuffer, Buffer, MutableBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, TimeUnit};
use ottava_core::arrow::{is_json, is_uuid};

/// One growing column. Its children, if it has any, are other columns of the same table.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) data: Data,
    pub(super) field: FieldRef,
    /// Indices of nulls, rising.
    pub(super) nulls: Vec<usize>,
}

/// The values of a column; a null takes a place, too.
#[derive(Debug)]
pub(super) enum Data {
    Null(usize),
    Bool(Vec<bool>),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    U8(Vec<u8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    U64(Vec<u64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Str(Bytes),
    Json(Bytes),
    Binary(Bytes),
    Uuid(Vec<u8>),
    Decimal(Vec<i128>, i8),
    Date(Vec<i32>),
    /// Dates and times, times of day, and spans, with the number of units in a second.
    Instant(Vec<i64>, i64),
    Time(Vec<i64>, i64),
    Span(Vec<i64>, i64),
    /// Indices into a fixed list of symbols.
    Symbol(Vec<i32>, Arc<StringArray>),
    List(Vec<i32>, usize),
    FixedList {
        rows: usize,
        item: usize,
        length: usize,
    },
    Struct {
        rows: usize,
        children: Vec<usize>,
    },
    Map {
        ends: Vec<i32>,
        key: usize,
        value: usize,
    },
}

/// Values of any length, one after another.
#[derive(Debug, Default)]
pub(super) struct Bytes {
    pub(super) ends: Vec<i32>,
    pub(super) bytes: Vec<u8>,
}

impl Bytes {
    /// Adds a value; `false` if the column is full (2 GiB).
    #[inline]
    pub(super) fn push(&mut self, value: &[u8]) -> bool {
        let Ok(end) = i32::try_from(self.bytes.len() + value.len()) else { return false };
        self.copy(value);
        self.ends.push(end);
        true
    }

    /// Adds bytes; a few of them, as most values are, without a call.
    #[inline(always)]
    fn copy(&mut self, value: &[u8]) {
        let start = self.bytes.len();
        if let (Some(first), Some(last)) = (value.first_chunk::<16>(), value.last_chunk::<16>())
            && value.len() <= 32
        {
            self.bytes.extend_from_slice(first);
            self.bytes.extend_from_slice(&[0; 16]);
            let end = start + value.len();
            self.bytes[end - 16..end].copy_from_slice(last);
            self.bytes.truncate(end);
        } else if let (Some(first), Some(last)) =
            (value.first_chunk::<8>(), value.last_chunk::<8>())
            && value.len() <= 16
        {
            // Where they overlap, they are the same.
            let low = u128::from(u64::from_le_bytes(*first));
            let high = u128::from(u64::from_le_bytes(*last)) << (8 * (value.len() - 8));
            self.bytes.extend_from_slice(&(low | high).to_le_bytes());
            self.bytes.truncate(start + value.len());
        } else {
            self.bytes.extend_from_slice(value);
        }
    }

    fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows);
        self.bytes.truncate(self.ends.last().map_or(0, |end| *end as usize));
    }

    fn finish(self) -> (OffsetBuffer<i32>, Buffer) {
        (offsets(&self.ends), Buffer::from_vec(self.bytes))
    }
}

fn offsets(ends: &[i32]) -> OffsetBuffer<i32> {
    let mut all = Vec::with_capacity(ends.len() + 1);
    all.push(0);
    all.extend_from_slice(ends);
    OffsetBuffer::new(ScalarBuffer::from(all))
}

/// Units of a second.
fn scale(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// All columns of a record: the root's fields, and their children.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    /// The columns of the root's own fields.
    pub(super) roots: Vec<usize>,
}

impl Table {
    /// Empty columns for a schema. `symbols` gives the symbols of a dictionary column by its path.
    pub(super) fn new(
        fields: &Fields,
        symbols: &mut dyn FnMut(&[&str]) -> Option<Vec<String>>,
    ) -> Result<Self, ArrowError> {
        let mut table = Self { columns: Vec::new(), roots: Vec::new() };
        for field in fields {
            let root = table.add(field, &mut vec![field.name()], symbols)?;
            table.roots.push(root);
        }
        Ok(table)
    }

    fn add<'f>(
        &mut self,
        field: &'f FieldRef,
        path: &mut Vec<&'f str>,
        symbols: &mut dyn FnMut(&[&str]) -> Option<Vec<String>>,
    ) -> Result<usize, ArrowError> {
        let mut child = |table: &mut Self, child: &'f FieldRef| {
            path.push(child.name());
            let index = table.add(child, path, symbols);
            path.pop();
            index
        };
        let data = match field.data_type() {
            DataType::Null => Data::Null(0),
            DataType::Boolean => Data::Bool(Vec::new()),
            DataType::Int8 => Data::I8(Vec::new()),
            DataType::Int16 => Data::I16(Vec::new()),
            DataType::Int32 => Data::I32(Vec::new()),
            DataType::Int64 => Data::I64(Vec::new()),
            DataType::UInt8 => Data::U8(Vec::new()),
            DataType::UInt16 => Data::U16(Vec::new()),
            DataType::UInt32 => Data::U32(Vec::new()),
            DataType::UInt64 => Data::U64(Vec::new()),
            DataType::Float32 => Data::F32(Vec::new()),
            DataType::Float64 => Data::F64(Vec::new()),
            DataType::Utf8 if is_json(field) => Data::Json(Bytes::default()),
            DataType::Utf8 => Data::Str(Bytes::default()),
            DataType::Binary => Data::Binary(Bytes::default()),
            DataType::FixedSizeBinary(16) if is_uuid(field) => Data::Uuid(Vec::new()),
            DataType::Decimal128(_, places) => Data::Decimal(Vec::new(), *places),
            DataType::Date32 => Data::Date(Vec::new()),
            DataType::Timestamp(unit, _) => Data::Instant(Vec::new(), scale(*unit)),
            DataType::Time32(unit) | DataType::Time64(unit) => Data::Time(Vec::new(), scale(*unit)),
            DataType::Duration(unit) => Data::Span(Vec::new(), scale(*unit)),
            DataType::Dictionary(_, _) => {
                let symbols = symbols(path).unwrap_or_default();
                Data::Symbol(Vec::new(), Arc::new(StringArray::from(symbols)))
            }
            DataType::List(item) => Data::List(Vec::new(), child(self, item)?),
            DataType::FixedSizeList(item, length) => Data::FixedList {
                rows: 0,
                item: child(self, item)?,
                length: usize::try_from(*length).unwrap_or(0),
            },
            DataType::Struct(fields) => {
                let children =
                    fields.iter().map(|field| child(self, field)).collect::<Result<_, _>>()?;
                Data::Struct { rows: 0, children }
            }
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) if fields.len() == 2 => Data::Map {
                    ends: Vec::new(),
                    key: child(self, &fields[0])?,
                    value: child(self, &fields[1])?,
                },
                other => return Err(ArrowError::SchemaError(format!("map of {other}"))),
            },
            other => return Err(ArrowError::SchemaError(format!("column of {other}"))),
        };
        self.columns.push(Column { data, field: Arc::clone(field), nulls: Vec::new() });
        Ok(self.columns.len() - 1)
    }

    /// Rows of a column.
    pub(super) fn rows(&self, index: usize) -> usize {
        match &self.columns[index].data {
            Data::Null(rows) | Data::FixedList { rows, .. } | Data::Struct { rows, .. } => *rows,
            Data::Bool(values) => values.len(),
            Data::I8(values) => values.len(),
            Data::I16(values) => values.len(),
            Data::I32(values) | Data::Date(values) => values.len(),
            Data::I64(values) => values.len(),
            Data::U8(values) => values.len(),
            Data::U16(values) => values.len(),
            Data::U32(values) => values.len(),
            Data::U64(values) => values.len(),
            Data::F32(values) => values.len(),
            Data::F64(values) => values.len(),
            Data::Str(values) | Data::Json(values) | Data::Binary(values) => values.ends.len(),
            Data::Uuid(values) => values.len() / 16,
            Data::Decimal(values, _) => values.len(),
            Data::Instant(values, _) | Data::Time(values, _) | Data::Span(values, _) => {
                values.len()
            }
            Data::Symbol(values, _) => values.len(),
            Data::List(ends, _) | Data::Map { ends, .. } => ends.len(),
        }
    }

    /// Adds a null; a child of fixed shape gets as many places as it needs.
    pub(super) fn push_null(&mut self, index: usize) {
        let rows = self.rows(index);
        let column = &mut self.columns[index];
        column.nulls.push(rows);
        match &mut column.data {
            Data::Null(rows) => {
                *rows += 1;
                column.nulls.pop();
            }
            Data::Bool(values) => values.push(false),
            Data::I8(values) => values.push(0),
            Data::I16(values) => values.push(0),
            Data::I32(values) | Data::Date(values) | Data::Symbol(values, _) => values.push(0),
            Data::I64(values) => values.push(0),
            Data::U8(values) => values.push(0),
            Data::U16(values) => values.push(0),
            Data::U32(values) => values.push(0),
            Data::U64(values) => values.push(0),
            Data::F32(values) => values.push(0.0),
            Data::F64(values) => values.push(0.0),
            Data::Str(values) | Data::Json(values) | Data::Binary(values) => {
                values.push(&[]);
            }
            Data::Uuid(values) => values.extend_from_slice(&[0; 16]),
            Data::Decimal(values, _) => values.push(0),
            Data::Instant(values, _) | Data::Time(values, _) | Data::Span(values, _) => {
                values.push(0);
            }
            Data::List(ends, _) | Data::Map { ends, .. } => {
                let end = ends.last().copied().unwrap_or(0);
                ends.push(end);
            }
            Data::FixedList { rows, item, length } => {
                *rows += 1;
                let (item, length) = (*item, *length);
                (0..length).for_each(|_| self.push_null(item));
            }
            Data::Struct { rows, children } => {
                *rows += 1;
                let children = children.clone();
                children.into_iter().for_each(|child| self.push_null(child));
            }
        }
    }

    /// Forgets all rows of a column but the first `rows`.
    pub(super) fn truncate(&mut self, index: usize, rows: usize) {
        let column = &mut self.columns[index];
        while column.nulls.last().is_some_and(|null| *null >= rows) {
            column.nulls.pop();
        }
        match &mut column.data {
            Data::Null(count) => *count = rows.min(*count),
            Data::Bool(values) => values.truncate(rows),
            Data::I8(values) => values.truncate(rows),
            Data::I16(values) => values.truncate(rows),
            Data::I32(values) | Data::Date(values) | Data::Symbol(values, _) => {
                values.truncate(rows);
            }
            Data::I64(values) => values.truncate(rows),
            Data::U8(values) => values.truncate(rows),
            Data::U16(values) => values.truncate(rows),
            Data::U32(values) => values.truncate(rows),
            Data::U64(values) => values.truncate(rows),
            Data::F32(values) => values.truncate(rows),
            Data::F64(values) => values.truncate(rows),
            Data::Str(values) | Data::Json(values) | Data::Binary(values) => values.truncate(rows),
            Data::Uuid(values) => values.truncate(rows * 16),
            Data::Decimal(values, _) => values.truncate(rows),
            Data::Instant(values, _) | Data::Time(values, _) | Data::Span(values, _) => {
                values.truncate(rows);
            }
            Data::List(ends, item) => {
                ends.truncate(rows);
                let (item, end) = (*item, ends.last().map_or(0, |end| *end as usize));
                self.truncate(item, end);
            }
            Data::Map { ends, key, value } => {
                ends.truncate(rows);
                let (key, value) = (*key, *value);
                let end = ends.last().map_or(0, |end| *end as usize);
                self.truncate(key, end);
                self.truncate(value, end);
            }
            Data::FixedList { rows: count, item, length } => {
                *count = rows.min(*count);
                let (item, end) = (*item, *count * *length);
                self.truncate(item, end);
            }
            Data::Struct { rows: count, children } => {
                *count = rows.min(*count);
                let (children, rows) = (children.clone(), *count);
                children.into_iter().for_each(|child| self.truncate(child, rows));
            }
        }
    }

    /// Takes a column's rows out as an array and leaves it empty.
    pub(super) fn take(&mut self, index: usize) -> Result<ArrayRef, ArrowError> {
        let rows = self.rows(index);
        let column = &mut self.columns[index];
        let nulls = nulls(rows, &std::mem::take(&mut column.nulls));
        let field = Arc::clone(&column.field);
        let data_type = field.data_type();
        Ok(match &mut column.data {
            Data::Null(count) => Arc::new(NullArray::new(std::mem::take(count))),
            Data::Bool(values) => {
                let bits = BooleanBuffer::from(std::mem::take(values));
                Arc::new(BooleanArray::new(bits, nulls))
            }
            Data::I8(values) => primitive::<Int8Type>(std::mem::take(values), nulls, data_type),
            Data::I16(values) => primitive::<Int16Type>(std::mem::take(values), nulls, data_type),
            Data::I32(values) => primitive::<Int32Type>(std::mem::take(values), nulls, data_type),
            Data::I64(values) => primitive::<Int64Type>(std::mem::take(values), nulls, data_type),
            Data::U8(values) => primitive::<UInt8Type>(std::mem::take(values), nulls, data_type),
            Data::U16(values) => primitive::<UInt16Type>(std::mem::take(values), nulls, data_type),
            Data::U32(values) => primitive::<UInt32Type>(std::mem::take(values), nulls, data_type),
            Data::U64(values) => primitive::<UInt64Type>(std::mem::take(values), nulls, data_type),
            Data::F32(values) => primitive::<Float32Type>(std::mem::take(values), nulls, data_type),
            Data::F64(values) => primitive::<Float64Type>(std::mem::take(values), nulls, data_type),
            Data::Date(values) => primitive::<Date32Type>(std::mem::take(values), nulls, data_type),
            Data::Decimal(values, _) => {
                primitive::<Decimal128Type>(std::mem::take(values), nulls, data_type)
            }
            Data::Str(values) | Data::Json(values) => {
                let (offsets, bytes) = std::mem::take(values).finish();
                Arc::new(StringArray::try_new(offsets, bytes, nulls)?)
            }
            Data::Binary(values) => {
                let (offsets, bytes) = std::mem::take(values).finish();
                Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?)
            }
            Data::Uuid(values) => {
                let bytes = Buffer::from_vec(std::mem::take(values));
                Arc::new(FixedSizeBinaryArray::try_new(16, bytes, nulls)?)
            }
            Data::Instant(values, scale) => {
                let (values, scale) = (std::mem::take(values), *scale);
                match scale {
                    1 => primitive::<TimestampSecondType>(values, nulls, data_type),
                    1_000 => primitive::<TimestampMillisecondType>(values, nulls, data_type),
                    1_000_000 => primitive::<TimestampMicrosecondType>(values, nulls, data_type),
                    _ => primitive::<TimestampNanosecondType>(values, nulls, data_type),
                }
            }
            Data::Time(values, scale) => {
                let (values, scale) = (std::mem::take(values), *scale);
                // A day has fewer than 2^31 milliseconds.
                let narrow =
                    |values: Vec<i64>| values.into_iter().map(|value| value as i32).collect();
                match scale {
                    1 => primitive::<Time32SecondType>(narrow(values), nulls, data_type),
                    1_000 => primitive::<Time32MillisecondType>(narrow(values), nulls, data_type),
                    1_000_000 => primitive::<Time64MicrosecondType>(values, nulls, data_type),
                    _ => primitive::<Time64NanosecondType>(values, nulls, data_type),
                }
            }
            Data::Span(values, scale) => {
                let (values, scale) = (std::mem::take(values), *scale);
                match scale {
                    1 => primitive::<DurationSecondType>(values, nulls, data_type),
                    1_000 => primitive::<DurationMillisecondType>(values, nulls, data_type),
                    1_000_000 => primitive::<DurationMicrosecondType>(values, nulls, data_type),
                    _ => primitive::<DurationNanosecondType>(values, nulls, data_type),
                }
            }
            Data::Symbol(values, symbols) => {
                let keys = PrimitiveArray::<Int32Type>::new(std::mem::take(values).into(), nulls);
                let symbols: ArrayRef = Arc::clone(symbols) as ArrayRef;
                Arc::new(DictionaryArray::try_new(keys, symbols)?)
            }
            Data::List(ends, item) => {
                let (ends, item) = (std::mem::take(ends), *item);
                let items = self.take(item)?;
                Arc::new(ListArray::try_new(item_of(data_type)?, offsets(&ends), items, nulls)?)
            }
            Data::FixedList { rows, item, length } => {
                let (item, length) = (*item, i32::try_from(*length).unwrap_or(0));
                *rows = 0;
                let items = self.take(item)?;
                Arc::new(FixedSizeListArray::try_new(item_of(data_type)?, length, items, nulls)?)
            }
            Data::Struct { rows, children } => {
                *rows = 0;
                let children = children.clone();
                let arrays =
                    children.into_iter().map(|child| self.take(child)).collect::<Result<_, _>>()?;
                let DataType::Struct(fields) = data_type else { return Err(mismatch(&field)) };
                Arc::new(StructArray::try_new(fields.clone(), arrays, nulls)?)
            }
            Data::Map { ends, key, value } => {
                let (ends, key, value) = (std::mem::take(ends), *key, *value);
                let arrays = vec![self.take(key)?, self.take(value)?];
                let DataType::Map(entries, _) = data_type else { return Err(mismatch(&field)) };
                let DataType::Struct(fields) = entries.data_type() else {
                    return Err(mismatch(&field));
                };
                let inner = StructArray::try_new(fields.clone(), arrays, None)?;
                let entries = Arc::clone(entries);
                Arc::new(MapArray::try_new(entries, offsets(&ends), inner, nulls, false)?)
            }
        })
    }
}

fn mismatch(field: &Field) -> ArrowError {
    ArrowError::SchemaError(format!("column '{}' of {}", field.name(), field.data_type()))
}

fn item_of(data_type: &DataType) -> Result<FieldRef, ArrowError> {
    match data_type {
        DataType::List(item) | DataType::FixedSizeList(item, _) => Ok(Arc::clone(item)),
        other => Err(ArrowError::SchemaError(format!("{other} has no items"))),
    }
}

fn primitive<T: ArrowPrimitiveType>(
    values: Vec<T::Native>,
    nulls: Option<NullBuffer>,
    data_type: &DataType,
) -> ArrayRef {
    let array = PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls);
    Arc::new(array.with_data_type(data_type.clone()))
}

fn nulls(rows: usize, nulls: &[usize]) -> Option<NullBuffer> {
    if nulls.is_empty() {
        return None;
    }
    let mut bits = MutableBuffer::new(0);
    bits.resize(rows.div_ceil(8), 0xff);
    for null in nulls {
        bits.as_slice_mut()[null / 8] &= !(1 << (null % 8));
    }
    Some(NullBuffer::new(BooleanBuffer::new(bits.into(), 0, rows)))
}
