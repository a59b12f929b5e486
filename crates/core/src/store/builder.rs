//! Columns that grow value by value, for rows that come one after the other.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Date32Builder, FixedSizeBinaryBuilder, Float32Builder,
    Float64Builder, Int64Builder, NullBufferBuilder, StringBuilder, UInt64Builder,
};
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, ListArray, MapArray, NullArray, StructArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, Field as ArrowField, Fields, TimeUnit as ArrowUnit};

use crate::arrow::contains_itself;
use crate::schema::{Declaration, Field, FloatWidth, IntWidth, Kind, Type, Value};

use super::plan::{arrow_unit, resolve};

/// A column of one declared type while it grows. A host appends to the builders inside.
#[derive(Debug)]
pub enum Builder {
    /// Nulls, and how many.
    Null(usize),
    /// Truth values.
    Bool(BooleanBuilder),
    /// Integers of any width but the next; the store checks that they fit.
    Int(Int64Builder),
    /// Integers of 64 bits without a sign.
    Unsigned(UInt64Builder),
    /// Floats of 64 bits.
    Float(Float64Builder),
    /// Floats of 32 bits.
    Float32(Float32Builder),
    /// Text, and symbols of enums.
    Text(StringBuilder),
    /// Decimals.
    Decimal(Decimals),
    /// Values without a column type of their own: their JSON.
    Json(StringBuilder),
    /// Bytes.
    Binary(BinaryBuilder),
    /// The 16 bytes of UUIDs.
    Uuid(FixedSizeBinaryBuilder),
    /// Days since 1970-01-01.
    Date(Date32Builder),
    /// Dates and times since 1970 in UTC, and whether they must have an offset.
    Instant(Ticks, Option<bool>),
    /// Times of day since midnight.
    Time(Ticks),
    /// Spans.
    Span(Ticks),
    /// Lists.
    List(Box<Lists>),
    /// Maps from text.
    Map(Box<Maps>),
    /// Records, and tuples of a fixed length.
    Record(Box<Records>),
}

/// Decimals as text.
#[derive(Debug)]
pub struct Decimals {
    text: StringBuilder,
    target: DataType,
}

/// Numbers of a unit of time.
#[derive(Debug)]
pub struct Ticks {
    values: Int64Builder,
    per_second: i64,
    target: DataType,
}

/// Lists while they grow: the items of one, then [`Lists::end`].
#[derive(Debug)]
pub struct Lists {
    /// The items of all lists.
    pub items: Builder,
    lengths: Vec<usize>,
    nulls: NullBufferBuilder,
    /// The length that all lists have.
    pub fixed: Option<usize>,
}

/// Maps while they grow: the entries of one, then [`Maps::end`].
#[derive(Debug)]
pub struct Maps {
    /// The keys of all maps.
    pub keys: Builder,
    /// The values of all maps.
    pub values: Builder,
    lengths: Vec<usize>,
    nulls: NullBufferBuilder,
}

/// Records while they grow: every field of one, then [`Records::end`].
#[derive(Debug)]
pub struct Records {
    /// The fields, in order, with their declarations.
    pub fields: Vec<(Field, Builder)>,
    nulls: NullBufferBuilder,
    /// They are tuples, whose fields are called `0`, `1` and so on.
    pub positional: bool,
}

impl Decimals {
    /// Appends a decimal in text, such as `-12.50` or `1E+3`; `false` if its column has not the digits for it.
    #[must_use]
    pub fn append(&mut self, text: &str) -> bool {
        let fits = fits(text, &self.target);
        if fits {
            self.text.append_value(text);
        }
        fits
    }

    /// The type of the column, in words.
    #[must_use]
    pub fn expected(&self) -> String {
        format!("a decimal that fits {}", self.target.to_string().to_lowercase())
    }
}

impl Ticks {
    fn new(target: DataType, rows: usize) -> Self {
        let per_second = match &target {
            DataType::Timestamp(unit, _)
            | DataType::Time32(unit)
            | DataType::Time64(unit)
            | DataType::Duration(unit) => match unit {
                ArrowUnit::Second => 1,
                ArrowUnit::Millisecond => 1_000,
                ArrowUnit::Microsecond => 1_000_000,
                ArrowUnit::Nanosecond => 1_000_000_000,
            },
            _ => 1_000_000,
        };
        Self { values: Int64Builder::with_capacity(rows), per_second, target }
    }

    /// Appends microseconds in the unit of the column, rounded down as the validator does; `false` if they do not fit 64 bits.
    #[inline]
    #[must_use]
    pub fn append(&mut self, micros: i128) -> bool {
        let ticks = match self.per_second {
            1_000_000 => micros,
            finer if finer > 1_000_000 => micros * i128::from(finer / 1_000_000),
            coarser => micros.div_euclid(i128::from(1_000_000 / coarser)),
        };
        match i64::try_from(ticks) {
            Ok(ticks) => {
                self.values.append_value(ticks);
                true
            }
            Err(_) => false,
        }
    }

    fn finish(mut self) -> Result<ArrayRef, ArrowError> {
        let ticks = self.values.finish();
        match &self.target {
            DataType::Time32(_) => cast(&cast(&ticks, &DataType::Int32)?, &self.target),
            // A timestamp that is made of numbers is one of UTC, whatever zone it is shown in.
            target => cast(&ticks, target),
        }
    }
}

impl Lists {
    /// Ends a list whose last `length` items have been appended.
    pub fn end(&mut self, length: usize) {
        self.lengths.push(length);
        self.nulls.append_non_null();
    }
}

impl Maps {
    /// Ends a map whose last `length` entries have been appended.
    pub fn end(&mut self, length: usize) {
        self.lengths.push(length);
        self.nulls.append_non_null();
    }
}

impl Records {
    /// Ends a record of which every field has been appended.
    pub fn end(&mut self) {
        self.nulls.append_non_null();
    }
}

impl Builder {
    /// An empty column of a declared type, with room for `rows`.
    #[must_use]
    pub fn new(declaration: &Declaration, ty: &Type, rows: usize) -> Self {
        if let Kind::Ref(name) = &ty.kind
            && contains_itself(declaration, name)
        {
            return Self::Json(StringBuilder::new());
        }
        let ty = resolve(declaration, ty);
        let part = |ty: &Type| Self::new(declaration, ty, rows);
        let text = || StringBuilder::with_capacity(rows, rows * 8);
        let list = |item: &Type, fixed: Option<usize>| {
            Self::List(Box::new(Lists {
                items: Self::new(declaration, item, rows * fixed.unwrap_or(1)),
                lengths: Vec::with_capacity(rows),
                nulls: NullBufferBuilder::new(rows),
                fixed,
            }))
        };
        let record = |fields, positional| {
            let nulls = NullBufferBuilder::new(rows);
            Self::Record(Box::new(Records { fields, nulls, positional }))
        };
        let unit = arrow_unit(ty.rules.unit.unwrap_or_default());
        match &ty.kind {
            Kind::Null => Self::Null(0),
            Kind::Bool => Self::Bool(BooleanBuilder::with_capacity(rows)),
            Kind::Int(IntWidth::U64) => Self::Unsigned(UInt64Builder::with_capacity(rows)),
            Kind::Int(_) => Self::Int(Int64Builder::with_capacity(rows)),
            Kind::Float(FloatWidth::F32) => Self::Float32(Float32Builder::with_capacity(rows)),
            Kind::Float(FloatWidth::F64) => Self::Float(Float64Builder::with_capacity(rows)),
            Kind::Str => Self::Text(text()),
            Kind::Bytes => Self::Binary(BinaryBuilder::with_capacity(rows, rows * 8)),
            Kind::Decimal => {
                let target = match (ty.rules.max_digits, ty.rules.decimal_places) {
                    (Some(digits @ 1..=38), Some(places)) if places <= digits => {
                        DataType::Decimal128(digits as u8, places as i8)
                    }
                    _ => DataType::Utf8,
                };
                Self::Decimal(Decimals { text: text(), target })
            }
            Kind::DateTime { unit, aware } => {
                let zone = ty.rules.time_zone.as_deref().unwrap_or("UTC");
                let zone = (*aware != Some(false)).then(|| zone.into());
                let target = DataType::Timestamp(arrow_unit(*unit), zone);
                Self::Instant(Ticks::new(target, rows), *aware)
            }
            Kind::Date => Self::Date(Date32Builder::with_capacity(rows)),
            Kind::Time => Self::Time(Ticks::new(
                match unit {
                    ArrowUnit::Second | ArrowUnit::Millisecond => DataType::Time32(unit),
                    _ => DataType::Time64(unit),
                },
                rows,
            )),
            Kind::Duration => Self::Span(Ticks::new(DataType::Duration(unit), rows)),
            Kind::Uuid => Self::Uuid(FixedSizeBinaryBuilder::with_capacity(rows, 16)),
            Kind::Enum(set) => Self::choices(set.members.iter().map(|member| &member.value), rows),
            Kind::Literal(values) => Self::choices(values.iter(), rows),
            Kind::List(item) | Kind::Set(item) | Kind::FrozenSet(item) => list(item, None),
            Kind::FixedList(item, n) => list(item, i32::try_from(*n).ok().map(|_| *n)),
            Kind::Tuple { items, rest: Some(rest) } if items.is_empty() => list(rest, None),
            Kind::Tuple { items, rest: None } if !items.is_empty() => {
                let field =
                    |(at, ty): (usize, &Type)| (Field::new(at.to_string(), ty.clone()), part(ty));
                record(items.iter().enumerate().map(field).collect(), true)
            }
            Kind::Dict(key, value) if matches!(key.kind, Kind::Str) && !key.nullable => {
                Self::Map(Box::new(Maps {
                    keys: part(key),
                    values: part(value),
                    lengths: Vec::with_capacity(rows),
                    nulls: NullBufferBuilder::new(rows),
                }))
            }
            Kind::Record(declared) if !declared.fields.is_empty() => {
                record(declared.fields.iter().map(|f| (f.clone(), part(&f.ty))).collect(), false)
            }
            _ => Self::Json(text()),
        }
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

    /// Appends a null, whether or not the type takes one: the store says which column and row had it.
    pub fn append_null(&mut self) {
        match self {
            Self::Null(rows) => *rows += 1,
            Self::Bool(b) => b.append_null(),
            Self::Int(b) => b.append_null(),
            Self::Unsigned(b) => b.append_null(),
            Self::Float(b) => b.append_null(),
            Self::Float32(b) => b.append_null(),
            Self::Text(b) | Self::Json(b) => b.append_null(),
            Self::Decimal(b) => b.text.append_null(),
            Self::Binary(b) => b.append_null(),
            Self::Uuid(b) => b.append_null(),
            Self::Date(b) => b.append_null(),
            Self::Instant(b, _) | Self::Time(b) | Self::Span(b) => b.values.append_null(),
            Self::List(b) => {
                let length = b.fixed.unwrap_or(0);
                (0..length).for_each(|_| b.items.append_null());
                b.lengths.push(length);
                b.nulls.append_null();
            }
            Self::Map(b) => {
                b.lengths.push(0);
                b.nulls.append_null();
            }
            Self::Record(b) => {
                b.fields.iter_mut().for_each(|(_, field)| field.append_null());
                b.nulls.append_null();
            }
        }
    }

    /// Appends a value, such as a default; `false` if it is none of the column, which then must not be finished.
    #[must_use]
    pub fn append_value(&mut self, value: &Value) -> bool {
        match (self, value) {
            (this, Value::Null) => this.append_null(),
            (Self::Bool(b), Value::Bool(x)) => b.append_value(*x),
            (Self::Int(b), Value::Int(x)) => b.append_value(*x),
            (Self::Unsigned(b), Value::Int(x)) => match u64::try_from(*x) {
                Ok(x) => b.append_value(x),
                Err(_) => return false,
            },
            (Self::Unsigned(b), Value::BigInt(x)) => match x.parse() {
                Ok(x) => b.append_value(x),
                Err(_) => return false,
            },
            (Self::Float(b), Value::Float(x)) => b.append_value(*x),
            (Self::Float(b), Value::Int(x)) => b.append_value(*x as f64),
            (Self::Float32(b), Value::Float(x)) => match narrow(*x) {
                Some(x) => b.append_value(x),
                None => return false,
            },
            (Self::Float32(b), Value::Int(x)) => b.append_value(*x as f32),
            (Self::Text(b), Value::Str(x)) => b.append_value(x),
            (Self::Decimal(b), Value::Decimal(x) | Value::Str(x)) => return b.append(x),
            (Self::Decimal(b), Value::Int(x)) => return b.append(&x.to_string()),
            (Self::Binary(b), Value::Bytes(x)) => b.append_value(x),
            (Self::Uuid(b), Value::Uuid(x)) => return b.append_value(x.to_be_bytes()).is_ok(),
            (Self::Date(b), Value::Date(x)) => b.append_value(x.days_since_epoch()),
            (Self::Instant(b, _), Value::DateTime(x)) => {
                return b.append(x.micros_since_epoch().into());
            }
            (Self::Time(b), Value::Time(x)) => return b.append(x.micros_since_midnight().into()),
            (Self::Span(b), Value::Duration(x)) => return b.append(x.micros),
            (
                Self::List(b),
                Value::List(x) | Value::Tuple(x) | Value::Set(x) | Value::FrozenSet(x),
            ) => {
                let fits = b.fixed.is_none_or(|n| n == x.len());
                if !fits || !x.iter().all(|item| b.items.append_value(item)) {
                    return false;
                }
                b.end(x.len());
            }
            (Self::Map(b), Value::Map(x)) => {
                let entry = |(key, value): &(Value, Value)| {
                    *key != Value::Null && b.keys.append_value(key) && b.values.append_value(value)
                };
                if !x.iter().all(entry) {
                    return false;
                }
                b.end(x.len());
            }
            (Self::Record(b), Value::Tuple(x) | Value::List(x)) if b.positional => {
                let whole = x.len() == b.fields.len();
                let mut parts = b.fields.iter_mut().zip(x);
                if !whole || !parts.all(|((_, column), x)| column.append_value(x)) {
                    return false;
                }
                b.end();
            }
            (Self::Record(b), Value::Record(_) | Value::Map(_)) if !b.positional => {
                let part = |(field, column): &mut (Field, Self)| {
                    value.get(&field.name).is_some_and(|value| column.append_value(value))
                };
                if !b.fields.iter_mut().all(part) {
                    return false;
                }
                b.end();
            }
            _ => return false,
        }
        true
    }

    /// The column.
    ///
    /// # Errors
    ///
    /// What Arrow says where parts do not fit together, such as lists of more than 2^31 items in all.
    pub fn finish(self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Null(rows) => Arc::new(NullArray::new(rows)),
            Self::Bool(mut b) => Arc::new(b.finish()),
            Self::Int(mut b) => Arc::new(b.finish()),
            Self::Unsigned(mut b) => Arc::new(b.finish()),
            Self::Float(mut b) => Arc::new(b.finish()),
            Self::Float32(mut b) => Arc::new(b.finish()),
            Self::Text(mut b) | Self::Json(mut b) => Arc::new(b.finish()),
            Self::Decimal(mut b) => cast(&b.text.finish(), &b.target)?,
            Self::Binary(mut b) => Arc::new(b.finish()),
            Self::Uuid(mut b) => Arc::new(b.finish()),
            Self::Date(mut b) => Arc::new(b.finish()),
            Self::Instant(b, _) | Self::Time(b) | Self::Span(b) => b.finish()?,
            Self::List(b) => {
                let Lists { items, lengths, mut nulls, fixed } = *b;
                let (items, nulls) = (items.finish()?, nulls.finish());
                let field = Arc::new(ArrowField::new("item", items.data_type().clone(), true));
                match fixed {
                    Some(n) => Arc::new(FixedSizeListArray::try_new_with_length(
                        field,
                        n as i32,
                        items,
                        nulls,
                        lengths.len(),
                    )?),
                    None => Arc::new(ListArray::try_new(field, offsets(lengths)?, items, nulls)?),
                }
            }
            Self::Map(b) => {
                let Maps { keys, values, lengths, mut nulls } = *b;
                let (keys, values) = (keys.finish()?, values.finish()?);
                let fields = Fields::from(vec![
                    ArrowField::new("key", keys.data_type().clone(), false),
                    ArrowField::new("value", values.data_type().clone(), true),
                ]);
                let entries = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
                let field = Arc::new(ArrowField::new("entries", DataType::Struct(fields), false));
                let (offsets, nulls) = (offsets(lengths)?, nulls.finish());
                Arc::new(MapArray::try_new(field, offsets, entries, nulls, false)?)
            }
            Self::Record(b) => {
                let Records { fields, mut nulls, .. } = *b;
                let rows = nulls.len();
                let (mut named, mut arrays) = (Vec::new(), Vec::new());
                for (field, column) in fields {
                    let array = column.finish()?;
                    named.push(ArrowField::new(&field.name, array.data_type().clone(), true));
                    arrays.push(array);
                }
                let nulls = nulls.finish();
                Arc::new(StructArray::try_new_with_length(named.into(), arrays, nulls, rows)?)
            }
        })
    }
}

/// A float of 32 bits, rounded to the nearest; `None` for a finite one beyond its range.
#[inline]
#[must_use]
pub fn narrow(x: f64) -> Option<f32> {
    let narrow = x as f32;
    (narrow.is_finite() || !x.is_finite()).then_some(narrow)
}

fn offsets(lengths: Vec<usize>) -> Result<OffsetBuffer<i32>, ArrowError> {
    let total: usize = lengths.iter().sum();
    match i32::try_from(total) {
        Ok(_) => Ok(OffsetBuffer::from_lengths(lengths)),
        Err(_) => Err(ArrowError::OffsetOverflowError(total)),
    }
}

/// Whether a decimal has no more digits than its column, on either side of the point.
fn fits(text: &str, target: &DataType) -> bool {
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
