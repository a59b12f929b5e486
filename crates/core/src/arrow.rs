//! Declarations as Arrow schemas, and back.
//!
//! | logical type | Arrow type |
//! |---|---|
//! | bool, sized int, float, str, bytes | `Boolean`, `Int8` to `UInt64`, `Float32`/`Float64`, `Utf8`, `Binary` |
//! | int of any size | `Int64`; a value that does not fit is an issue of its row |
//! | decimal with `max_digits` up to 38 and `decimal_places` | `Decimal128`; other decimals are `Utf8` |
//! | datetime | `Timestamp` in UTC; without a time zone if it must be naive. A naive value in a UTC column is taken as UTC |
//! | date, time, duration | `Date32`, `Time64(us)`, `Duration(us)` |
//! | uuid | `FixedSizeBinary(16)`, extension `arrow.uuid` |
//! | enum or literal of strings | `Dictionary(Int32, Utf8)`, symbols in order of declaration |
//! | literal of integers, of truth values | `Int64`, `Boolean` |
//! | list, set, frozenset, tuple of any length | `List` |
//! | fixed list | `FixedSizeList` |
//! | tuple | `Struct` with fields `0`, `1`, ... |
//! | dict with string keys | `Map` |
//! | record | `Struct` |
//! | JSON Schema of one kind: `integer`, `number`, `string`, `boolean` | `Int64`, `Float64`, `Utf8`, `Boolean` |
//! | any, union, recursive type, other dicts | `Utf8` that holds JSON, extension `arrow.json` |
//!
//! A record that keeps extra fields has a last column [`EXTRA_COLUMN`] with a JSON object of them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, Fields, IntervalUnit, Schema, SchemaRef};

use crate::schema::{
    Assertions, Declaration, Extra, Field, FieldDefault, FloatWidth, IntWidth, JsonKind, Kind,
    Record, Rules, TimeUnit, Type, Value,
};

/// Name of the column that holds the extra fields of a record.
pub const EXTRA_COLUMN: &str = "__extra__";

/// Metadata key of an extension type's name.
const EXTENSION: &str = "ARROW:extension:name";
/// Extension name of JSON text.
const JSON: &str = "arrow.json";
/// Extension name of UUIDs.
const UUID: &str = "arrow.uuid";

/// A declaration that has no Arrow schema, or a schema that has no declaration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// The root is not a record.
    #[error("{name}: only a record has columns")]
    NotARecord {
        /// Name of the declaration.
        name: String,
    },
    /// A reference to a definition that does not exist.
    #[error("{place}: no definition called '{name}'")]
    UnknownReference {
        /// Where in the declaration.
        place: String,
        /// The name that was looked for.
        name: String,
    },
    /// A column of a type that no logical type stands for.
    #[error("{place}: arrow type {data_type} has no logical type")]
    Unsupported {
        /// Name of the column.
        place: String,
        /// Its type.
        data_type: String,
    },
}

/// The Arrow schema of a declaration whose root is a record.
///
/// # Errors
/// [`MappingError`] if the root is no record or a reference leads nowhere.
pub fn to_arrow(declaration: &Declaration) -> Result<SchemaRef, MappingError> {
    let record = declaration
        .record()
        .ok_or_else(|| MappingError::NotARecord { name: declaration.name.clone() })?;
    Ok(Arc::new(Schema::new(Mapper { declaration }.fields(record)?)))
}

/// Whether a column holds JSON text.
#[must_use]
pub fn is_json(field: &ArrowField) -> bool {
    field.metadata().get(EXTENSION).is_some_and(|name| name == JSON)
}

/// Whether a column holds UUIDs.
#[must_use]
pub fn is_uuid(field: &ArrowField) -> bool {
    field.metadata().get(EXTENSION).is_some_and(|name| name == UUID)
}

struct Mapper<'d> {
    declaration: &'d Declaration,
}

/// An Arrow type with the name of its extension.
struct Mapped {
    data_type: DataType,
    extension: Option<&'static str>,
    nullable: bool,
}

impl Mapped {
    fn plain(data_type: DataType) -> Self {
        Self { data_type, extension: None, nullable: false }
    }

    fn json() -> Self {
        Self { data_type: DataType::Utf8, extension: Some(JSON), nullable: true }
    }

    fn field(self, name: &str, nullable: bool) -> ArrowField {
        let field = ArrowField::new(name, self.data_type, nullable || self.nullable);
        match self.extension {
            None => field,
            Some(name) => {
                field.with_metadata(HashMap::from([(EXTENSION.to_owned(), name.to_owned())]))
            }
        }
    }
}

impl<'d> Mapper<'d> {
    fn fields(&self, record: &'d Record) -> Result<Fields, MappingError> {
        let mut fields = Vec::with_capacity(record.fields.len());
        for field in &record.fields {
            let absent =
                matches!(field.default, FieldDefault::Absent | FieldDefault::Value(Value::Null));
            fields.push(self.map(&field.ty, &field.name)?.field(&field.name, absent));
        }
        if record.config.extra == Extra::Allow {
            fields.push(Mapped::json().field(EXTRA_COLUMN, true));
        }
        Ok(fields.into())
    }

    fn item(&self, ty: &'d Type, place: &str) -> Result<Arc<ArrowField>, MappingError> {
        Ok(Arc::new(self.map(ty, place)?.field("item", false)))
    }

    fn map(&self, ty: &'d Type, place: &str) -> Result<Mapped, MappingError> {
        let mut mapped = self.map_kind(ty, place)?;
        mapped.nullable |= ty.nullable;
        Ok(mapped)
    }

    fn map_kind(&self, ty: &'d Type, place: &str) -> Result<Mapped, MappingError> {
        Ok(Mapped::plain(match &ty.kind {
            Kind::Null => {
                return Ok(Mapped { data_type: DataType::Null, extension: None, nullable: true });
            }
            Kind::Bool => DataType::Boolean,
            Kind::Int(width) => match width {
                IntWidth::I8 => DataType::Int8,
                IntWidth::I16 => DataType::Int16,
                IntWidth::I32 => DataType::Int32,
                IntWidth::Any | IntWidth::I64 => DataType::Int64,
                IntWidth::U8 => DataType::UInt8,
                IntWidth::U16 => DataType::UInt16,
                IntWidth::U32 => DataType::UInt32,
                IntWidth::U64 => DataType::UInt64,
            },
            Kind::Float(FloatWidth::F32) => DataType::Float32,
            Kind::Float(FloatWidth::F64) => DataType::Float64,
            Kind::Str => DataType::Utf8,
            Kind::Bytes => DataType::Binary,
            Kind::Decimal => decimal(&ty.rules).unwrap_or(DataType::Utf8),
            Kind::DateTime { unit, aware } => {
                let zone = ty.rules.time_zone.as_deref().unwrap_or("UTC");
                let zone = (*aware != Some(false)).then(|| Arc::from(zone));
                DataType::Timestamp(unit_of(*unit), zone)
            }
            Kind::Date => DataType::Date32,
            Kind::Time => match ty.rules.unit.unwrap_or_default() {
                unit @ (TimeUnit::Second | TimeUnit::Milli) => DataType::Time32(unit_of(unit)),
                unit => DataType::Time64(unit_of(unit)),
            },
            Kind::Duration => DataType::Duration(unit_of(ty.rules.unit.unwrap_or_default())),
            Kind::Uuid => {
                let data_type = DataType::FixedSizeBinary(16);
                return Ok(Mapped { data_type, extension: Some(UUID), nullable: false });
            }
            Kind::Enum(declared) => {
                return Ok(choice(declared.members.iter().map(|member| &member.value)));
            }
            Kind::Literal(values) => return Ok(choice(values.iter())),
            Kind::Schema(assertions) => return Ok(asserted(assertions)),
            Kind::List(item) | Kind::Set(item) | Kind::FrozenSet(item) => {
                DataType::List(self.item(item, place)?)
            }
            Kind::Tuple { items, rest: Some(rest) } if items.is_empty() => {
                DataType::List(self.item(rest, place)?)
            }
            Kind::FixedList(item, length) => match i32::try_from(*length) {
                Ok(length) => DataType::FixedSizeList(self.item(item, place)?, length),
                Err(_) => DataType::List(self.item(item, place)?),
            },
            Kind::Tuple { items, rest: None } if !items.is_empty() => {
                let mut fields = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    fields.push(self.map(item, place)?.field(&index.to_string(), false));
                }
                DataType::Struct(fields.into())
            }
            Kind::Dict(key, value) if matches!(key.kind, Kind::Str) && !key.nullable => {
                let key = ArrowField::new("key", DataType::Utf8, false);
                let value = self.map(value, place)?.field("value", false);
                let entries = DataType::Struct(vec![key, value].into());
                DataType::Map(Arc::new(ArrowField::new("entries", entries, false)), false)
            }
            Kind::Record(record) if !record.fields.is_empty() => {
                DataType::Struct(self.fields(record)?)
            }
            Kind::Ref(name) => {
                let Some(definition) = self.declaration.definition(name) else {
                    let place = place.to_owned();
                    return Err(MappingError::UnknownReference { place, name: name.clone() });
                };
                if contains_itself(self.declaration, name) {
                    return Ok(Mapped::json());
                }
                return self.map(definition, place);
            }
            _ => return Ok(Mapped::json()),
        }))
    }
}

fn unit_of(unit: TimeUnit) -> arrow_schema::TimeUnit {
    match unit {
        TimeUnit::Second => arrow_schema::TimeUnit::Second,
        TimeUnit::Milli => arrow_schema::TimeUnit::Millisecond,
        TimeUnit::Micro => arrow_schema::TimeUnit::Microsecond,
        TimeUnit::Nano => arrow_schema::TimeUnit::Nanosecond,
    }
}

fn decimal(rules: &Rules) -> Option<DataType> {
    let digits = u8::try_from(rules.max_digits?).ok().filter(|digits| (1..=38).contains(digits))?;
    let places =
        i8::try_from(rules.decimal_places?).ok().filter(|places| *places <= digits as i8)?;
    Some(DataType::Decimal128(digits, places))
}

/// The type of JSON values of one kind, or of that kind and null.
fn asserted(assertions: &Assertions) -> Mapped {
    let kinds = assertions.kinds.as_deref().unwrap_or_default();
    let nullable = kinds.contains(&JsonKind::Null);
    let mut others = kinds.iter().filter(|kind| **kind != JsonKind::Null);
    let data_type = match (others.next(), others.next()) {
        (Some(JsonKind::Boolean), None) => DataType::Boolean,
        (Some(JsonKind::Integer), None) => DataType::Int64,
        (Some(JsonKind::Number), None) => DataType::Float64,
        (Some(JsonKind::String), None) => DataType::Utf8,
        _ => return Mapped::json(),
    };
    Mapped { data_type, extension: None, nullable }
}

/// The type of one of a fixed set of values.
fn choice<'v>(values: impl Iterator<Item = &'v Value>) -> Mapped {
    let values: Vec<_> = values.collect();
    let nullable = values.iter().any(|value| **value == Value::Null);
    let all = |is: fn(&Value) -> bool| {
        values.iter().all(|value| **value == Value::Null || is(value))
            && values.len() > usize::from(nullable)
    };
    let data_type = if all(|value| matches!(value, Value::Str(_))) {
        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
    } else if all(|value| matches!(value, Value::Int(_))) {
        DataType::Int64
    } else if all(|value| matches!(value, Value::Bool(_))) {
        DataType::Boolean
    } else {
        return Mapped::json();
    };
    Mapped { data_type, extension: None, nullable }
}

/// Whether the definition called `name` can be reached from itself.
#[must_use]
pub fn contains_itself(declaration: &Declaration, name: &str) -> bool {
    let mut seen: Vec<&str> = Vec::new();
    let mut next: Vec<&Type> = declaration.definition(name).into_iter().collect();
    while let Some(ty) = next.pop() {
        match &ty.kind {
            Kind::Ref(other) if other == name => return true,
            Kind::Ref(other) if !seen.contains(&other.as_str()) => {
                seen.push(other);
                next.extend(declaration.definition(other));
            }
            Kind::List(item)
            | Kind::FixedList(item, _)
            | Kind::Set(item)
            | Kind::FrozenSet(item) => {
                next.push(item);
            }
            Kind::Tuple { items, rest } => next.extend(items.iter().chain(rest.as_deref())),
            Kind::Dict(key, value) => next.extend([key.as_ref(), value.as_ref()]),
            Kind::Union(union) => next.extend(&union.members),
            Kind::Record(record) => next.extend(record.fields.iter().map(|field| &field.ty)),
            _ => {}
        }
    }
    false
}

/// The declaration of an Arrow schema: every column a required field, nullable where the column is.
///
/// Physical variants are one logical type: `LargeUtf8`, `Utf8View` and dictionaries of strings are text, large and view lists
/// are lists. A dictionary's symbols are not part of a schema, so it is text, too.
///
/// # Errors
/// [`MappingError::Unsupported`] for a column of a type that no logical type stands for.
pub fn from_arrow(name: &str, schema: &Schema) -> Result<Declaration, MappingError> {
    let mut record = Record::new(name);
    for column in schema.fields() {
        if column.name() == EXTRA_COLUMN && is_json(column) {
            record.config.extra = Extra::Allow;
            continue;
        }
        record.fields.push(Field::new(column.name(), type_of(column, column.name())?));
    }
    Ok(Declaration::from(record))
}

fn type_of(column: &ArrowField, place: &str) -> Result<Type, MappingError> {
    let int = |width| Type::new(Kind::Int(width));
    let list = |item: &ArrowField| Ok(Type::list(type_of(item, place)?));
    let mut ty = match column.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if is_json(column) => Type::any(),
        DataType::FixedSizeBinary(16) if is_uuid(column) => Type::uuid(),
        DataType::Null => Type::new(Kind::Null),
        DataType::Boolean => Type::bool(),
        DataType::Int8 => int(IntWidth::I8),
        DataType::Int16 => int(IntWidth::I16),
        DataType::Int32 => int(IntWidth::I32),
        DataType::Int64 => int(IntWidth::I64),
        DataType::UInt8 => int(IntWidth::U8),
        DataType::UInt16 => int(IntWidth::U16),
        DataType::UInt32 => int(IntWidth::U32),
        DataType::UInt64 => int(IntWidth::U64),
        DataType::Float16 | DataType::Float32 => Type::new(Kind::Float(FloatWidth::F32)),
        DataType::Float64 => Type::float(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Type::str(),
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => Type::bytes(),
        DataType::Decimal32(digits, places)
        | DataType::Decimal64(digits, places)
        | DataType::Decimal128(digits, places)
            if *places >= 0 =>
        {
            let mut ty = Type::decimal();
            ty.rules.max_digits = Some((*digits).into());
            ty.rules.decimal_places = Some(u32::from(places.unsigned_abs()));
            ty
        }
        DataType::Timestamp(unit, zone) => {
            let aware = Some(zone.is_some());
            let mut ty = Type::new(Kind::DateTime { unit: unit_from(*unit), aware });
            ty.rules.time_zone = zone.as_deref().filter(|zone| *zone != "UTC").map(str::to_owned);
            ty
        }
        DataType::Date32 | DataType::Date64 => Type::date(),
        DataType::Time32(unit) | DataType::Time64(unit) => in_unit(Type::time(), *unit),
        DataType::Duration(unit) => in_unit(Type::duration(), *unit),
        DataType::Interval(IntervalUnit::DayTime) => Type::duration(),
        DataType::Dictionary(_, values) => {
            type_of(&ArrowField::new("", values.as_ref().clone(), false), place)?
        }
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => list(item)?,
        DataType::FixedSizeList(item, length) => {
            let length = usize::try_from(*length).unwrap_or(0);
            Type::new(Kind::FixedList(Box::new(type_of(item, place)?), length))
        }
        DataType::Struct(fields) => {
            let mut record = Record::new(column.name());
            for field in fields {
                let place = format!("{place}.{}", field.name());
                record.fields.push(Field::new(field.name(), type_of(field, &place)?));
            }
            Type::from(record)
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                Type::dict(type_of(&fields[0], place)?, type_of(&fields[1], place)?)
            }
            _ => return Err(unsupported(column, place)),
        },
        _ => return Err(unsupported(column, place)),
    };
    ty.nullable |= column.is_nullable() && !matches!(ty.kind, Kind::Any | Kind::Null);
    Ok(ty)
}

fn in_unit(mut ty: Type, unit: arrow_schema::TimeUnit) -> Type {
    let unit = unit_from(unit);
    ty.rules.unit = (unit != TimeUnit::default()).then_some(unit);
    ty
}

fn unit_from(unit: arrow_schema::TimeUnit) -> TimeUnit {
    match unit {
        arrow_schema::TimeUnit::Second => TimeUnit::Second,
        arrow_schema::TimeUnit::Millisecond => TimeUnit::Milli,
        arrow_schema::TimeUnit::Microsecond => TimeUnit::Micro,
        arrow_schema::TimeUnit::Nanosecond => TimeUnit::Nano,
    }
}

fn unsupported(column: &ArrowField, place: &str) -> MappingError {
    MappingError::Unsupported { place: place.to_owned(), data_type: column.data_type().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_comes_back_as_it_went() {
        let point = Record::new("point").field(Field::new("x", Type::float()));
        let record = Record::new("row")
            .field(Field::new("id", Type::new(Kind::Int(IntWidth::U32))))
            .field(Field::new("name", Type::str().nullable()))
            .field(Field::new(
                "when",
                Type::new(Kind::DateTime { unit: TimeUnit::Milli, aware: Some(true) }),
            ))
            .field(Field::new("token", Type::uuid()))
            .field(Field::new("position", Type::new(Kind::FixedList(Box::new(Type::float()), 8))))
            .field(Field::new("tags", Type::list(Type::str().nullable())))
            .field(Field::new(
                "counts",
                Type::dict(Type::str(), Type::new(Kind::Int(IntWidth::I64))),
            ))
            .field(Field::new("point", Type::from(point)));
        let declaration = Declaration::from(record);
        let schema = to_arrow(&declaration).expect("all of these have columns");
        assert_eq!(from_arrow("row", &schema), Ok(declaration));
    }

    #[test]
    fn a_type_that_contains_itself_is_json() {
        let node = Record::new("Node")
            .field(Field::new("value", Type::int()))
            .field(Field::new("next", Type::reference("Node").nullable()));
        let declaration =
            Declaration::new("Node", Type::reference("Node")).define("Node", node.into());
        let schema = to_arrow(&declaration).expect("the root is a record");
        assert_eq!(schema.field(0).data_type(), &DataType::Int64);
        assert!(is_json(schema.field(1)));
    }

    #[test]
    fn choices_of_strings_are_dictionaries() {
        let record = Record::new("r")
            .field(Field::new("a", Type::one_of(["x", "y"])))
            .field(Field::new("b", Type::new(Kind::Literal(vec![Value::Int(1), Value::Null]))))
            .field(Field::new("c", Type::new(Kind::Literal(vec![Value::Int(1), "x".into()]))));
        let schema = to_arrow(&record.into()).expect("the root is a record");
        assert!(matches!(schema.field(0).data_type(), DataType::Dictionary(..)));
        assert_eq!(schema.field(1).data_type(), &DataType::Int64);
        assert!(schema.field(1).is_nullable());
        assert!(is_json(schema.field(2)));
    }
}
