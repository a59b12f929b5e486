//! What has to be done to the columns of a batch so that they are columns of the store: decided once per Arrow schema, at run time.

use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, FieldRef, TimeUnit as ArrowUnit};

use crate::arrow::{MappingError, contains_itself, to_arrow};
use crate::schema::{
    Declaration, Extra, Field, FloatWidth, IntWidth, Kind, Record, TimeUnit, Type, Value,
};

use super::error::Mismatch;
use super::symbols::Symbols;
use super::words;

/// What has to be done to one column.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Nothing: its buffers are kept.
    Keep,
    /// The type that its values have without loss, or with a check that nothing was lost.
    Cast(DataType),
    /// Another time zone, which changes no value.
    Zone(Arc<str>),
    /// Codes of an enum.
    Encode(Arc<Symbols>),
    /// Lists whose items need a step.
    Items(Box<Step>),
    /// Records whose fields need steps: the field, where it is found, and its step.
    Fields(Vec<(FieldRef, Source)>),
}

/// Where a declared field of a record comes from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// The child or column of this number.
    Child(usize, Step),
    /// Its default.
    Default,
}

/// Units from coarse to fine.
pub(super) fn arrow_unit(unit: TimeUnit) -> ArrowUnit {
    match unit {
        TimeUnit::Second => ArrowUnit::Second,
        TimeUnit::Milli => ArrowUnit::Millisecond,
        TimeUnit::Micro => ArrowUnit::Microsecond,
        TimeUnit::Nano => ArrowUnit::Nanosecond,
    }
}

fn unit_name(unit: ArrowUnit) -> &'static str {
    match unit {
        ArrowUnit::Second => "s",
        ArrowUnit::Millisecond => "ms",
        ArrowUnit::Microsecond => "us",
        ArrowUnit::Nanosecond => "ns",
    }
}

/// The values of a dictionary or of runs stand for the column.
pub(super) fn plain(ty: &DataType) -> &DataType {
    match ty {
        DataType::Dictionary(_, value) => plain(value),
        DataType::RunEndEncoded(_, values) => plain(values.data_type()),
        _ => ty,
    }
}

/// Whether a type is one of the layouts of text.
pub(super) fn is_text(ty: &DataType) -> bool {
    matches!(plain(ty), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Whether a type is one of the layouts of bytes.
pub(super) fn is_binary(ty: &DataType) -> bool {
    matches!(
        plain(ty),
        DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_)
    )
}

/// The strings of an enum or a literal, null left out; `None` if one of its values is something else.
pub(super) fn texts(kind: &Kind) -> Option<Vec<&str>> {
    let values: Vec<&Value> = match kind {
        Kind::Enum(set) => set.members.iter().map(|member| &member.value).collect(),
        Kind::Literal(values) => values.iter().collect(),
        _ => return None,
    };
    let text = |value: &&'_ Value| **value != Value::Null;
    let mut out = Vec::with_capacity(values.len());
    for value in values.into_iter().filter(text) {
        let Value::Str(text) = value else { return None };
        out.push(text.as_str());
    }
    Some(out)
}

/// Where a column of the store is found among fields: under its name, or else under its alias.
pub(super) fn position(fields: &[FieldRef], field: &Field) -> Option<usize> {
    let named = |name: &str| fields.iter().position(|f| f.name() == name);
    named(&field.name).or_else(|| field.alias.as_deref().and_then(named))
}

/// Compares an Arrow type with declared ones.
pub(super) struct Fit<'a> {
    pub(super) declaration: &'a Declaration,
    pub(super) mismatches: Vec<Mismatch>,
}

impl<'a> Fit<'a> {
    pub(super) fn new(declaration: &'a Declaration) -> Self {
        Self { declaration, mismatches: Vec::new() }
    }

    /// The type that a reference stands for.
    pub(super) fn resolve<'t>(&self, ty: &'t Type) -> &'t Type
    where
        'a: 't,
    {
        resolve(self.declaration, ty)
    }

    fn refuse(&mut self, path: &str, expected: &Type, found: impl Into<String>) -> Step {
        self.mismatches.push(Mismatch {
            path: path.to_owned(),
            expected: words::declared(expected),
            found: found.into(),
        });
        Step::Keep
    }

    /// The step from `found` to a declared type. What cannot be done is in `mismatches`.
    pub(super) fn step(&mut self, path: &str, ty: &'a Type, found: &DataType) -> Step {
        if let Kind::Ref(name) = &ty.kind
            && contains_itself(self.declaration, name)
        {
            return self.same_layout(path, ty, found);
        }
        let nullable = ty.nullable;
        let ty = self.resolve(ty);
        if *found == DataType::Null && (nullable || ty.nullable) {
            return match data_type(self.declaration, ty) {
                Ok(DataType::Null) | Err(_) => Step::Keep,
                Ok(target) => Step::Cast(target),
            };
        }
        if let Some(symbols) = texts(&ty.kind)
            && !symbols.is_empty()
        {
            return match is_text(found) {
                // Inside a list or a record the symbols are checked where they are.
                true if path.contains(['.', '[', '{']) => Step::Keep,
                true => Step::Encode(Arc::new(Symbols::new(symbols))),
                false => self.refuse(path, ty, words::arrow(found)),
            };
        }
        let flat = plain(found);
        if flat != found && !is_text(found) {
            let flat = flat.clone();
            let after = self.step(path, ty, &flat);
            return match after {
                Step::Keep => Step::Cast(flat),
                other => other,
            };
        }
        match (&ty.kind, flat) {
            (Kind::Bool, DataType::Boolean)
            | (Kind::Null, DataType::Null)
            | (Kind::Date, DataType::Date32)
            | (Kind::Uuid, DataType::FixedSizeBinary(16)) => Step::Keep,
            (Kind::Date, DataType::Date64) => Step::Cast(DataType::Date32),
            (Kind::Str, _) if is_text(found) => Step::Keep,
            (Kind::Bytes, _) if is_binary(found) => Step::Keep,
            (Kind::Int(width), _) if flat.is_integer() => int_step(*width, flat),
            (Kind::Float(FloatWidth::F64), DataType::Float64)
            | (Kind::Float(FloatWidth::F32), DataType::Float32) => Step::Keep,
            (Kind::Float(FloatWidth::F64), DataType::Float32 | DataType::Float16) => {
                Step::Cast(DataType::Float64)
            }
            (Kind::Float(FloatWidth::F64), _)
                if flat.is_integer() && flat.primitive_width().is_some_and(|w| w <= 4) =>
            {
                Step::Cast(DataType::Float64)
            }
            (Kind::Float(FloatWidth::F32), DataType::Float16) => Step::Cast(DataType::Float32),
            (Kind::Decimal, _) if flat.is_decimal() => self.decimal(path, ty, flat),
            (Kind::DateTime { unit, aware }, DataType::Timestamp(found_unit, zone)) => {
                let (unit, zoned) = (arrow_unit(*unit), zone.is_some());
                if *found_unit > unit || aware.is_some_and(|aware| aware != zoned) {
                    return self.refuse(path, ty, words::arrow(found));
                }
                self.timestamp(path, ty, found, unit, zone.as_ref())
            }
            (Kind::Time, DataType::Time32(found_unit) | DataType::Time64(found_unit)) => {
                let unit = arrow_unit(ty.rules.unit.unwrap_or_default());
                let target = match unit {
                    ArrowUnit::Second | ArrowUnit::Millisecond => DataType::Time32(unit),
                    _ => DataType::Time64(unit),
                };
                self.finer(path, ty, found, *found_unit, unit, target)
            }
            (Kind::Duration, DataType::Duration(found_unit)) => {
                let unit = arrow_unit(ty.rules.unit.unwrap_or_default());
                self.finer(path, ty, found, *found_unit, unit, DataType::Duration(unit))
            }
            (Kind::Enum(_) | Kind::Literal(_), _) => match data_type(self.declaration, ty) {
                Ok(target) if target == *flat => Step::Keep,
                Ok(DataType::Int64) if flat.is_integer() => int_step(IntWidth::I64, flat),
                _ => self.refuse(path, ty, words::arrow(found)),
            },
            (Kind::List(item) | Kind::Set(item) | Kind::FrozenSet(item), _) => {
                match item_of(flat) {
                    Some(field) => self.items(path, item, field),
                    None => self.refuse(path, ty, words::arrow(found)),
                }
            }
            (Kind::FixedList(item, n), DataType::FixedSizeList(field, m))
                if i32::try_from(*n).is_ok_and(|n| n == *m) =>
            {
                self.items(path, item, field)
            }
            (Kind::Dict(key, value), DataType::Map(entries, _)) => {
                if let DataType::Struct(fields) = entries.data_type()
                    && let [found_key, found_value] = &fields[..]
                {
                    let key = self.step(&format!("{path}{{key}}"), key, found_key.data_type());
                    let value = self.step(&format!("{path}{{}}"), value, found_value.data_type());
                    if matches!((key, value), (Step::Keep, Step::Keep)) {
                        return Step::Keep;
                    }
                }
                self.same_layout(path, ty, found)
            }
            (Kind::Record(record), DataType::Struct(fields)) => self.fields(path, record, fields),
            _ => self.same_layout(path, ty, found),
        }
    }

    /// Kinds that Arrow has no type of its own for are taken in the layout that they are given out in.
    fn same_layout(&mut self, path: &str, ty: &Type, found: &DataType) -> Step {
        match data_type(self.declaration, ty) {
            Ok(target) if alike(&target, found) => Step::Keep,
            _ => self.refuse(path, ty, words::arrow(found)),
        }
    }

    fn decimal(&mut self, path: &str, ty: &Type, found: &DataType) -> Step {
        let (precision, scale) = match found {
            DataType::Decimal32(p, s)
            | DataType::Decimal64(p, s)
            | DataType::Decimal128(p, s)
            | DataType::Decimal256(p, s) => (*p, *s),
            _ => return self.refuse(path, ty, words::arrow(found)),
        };
        let digits = ty.rules.max_digits.is_none_or(|most| u32::from(precision) <= most);
        let places = ty.rules.decimal_places.is_none_or(|most| i64::from(scale) <= i64::from(most));
        if !(digits && places) {
            return self.refuse(path, ty, words::arrow(found));
        }
        match data_type(self.declaration, ty) {
            Ok(target @ DataType::Utf8) => Step::Cast(target),
            // A value with more digits before the point than the column has is found when it is cast.
            Ok(target) if target != *found => Step::Cast(target),
            _ => Step::Keep,
        }
    }

    fn timestamp(
        &mut self,
        path: &str,
        ty: &Type,
        found: &DataType,
        unit: ArrowUnit,
        zone: Option<&Arc<str>>,
    ) -> Step {
        let same_unit = matches!(found, DataType::Timestamp(found_unit, _) if *found_unit == unit);
        let Some(zone) = zone else {
            return if same_unit {
                Step::Keep
            } else {
                Step::Cast(DataType::Timestamp(unit, None))
            };
        };
        let target: Arc<str> = match &ty.rules.time_zone {
            None => "UTC".into(),
            Some(target) if same_zone(target, zone) => target.as_str().into(),
            Some(_) => return self.refuse(path, ty, words::arrow(found)),
        };
        match same_unit {
            true if target == *zone => Step::Keep,
            true => Step::Zone(target),
            false => Step::Cast(DataType::Timestamp(unit, Some(target))),
        }
    }

    fn finer(
        &mut self,
        path: &str,
        ty: &Type,
        found: &DataType,
        found_unit: ArrowUnit,
        unit: ArrowUnit,
        target: DataType,
    ) -> Step {
        if found_unit > unit {
            let found = format!("{} in {}", words::arrow(found), unit_name(found_unit));
            return self.refuse(path, ty, found);
        }
        if *found == target { Step::Keep } else { Step::Cast(target) }
    }

    fn items(&mut self, path: &str, item: &'a Type, found: &ArrowField) -> Step {
        match self.step(&format!("{path}[]"), item, found.data_type()) {
            Step::Keep => Step::Keep,
            step => Step::Items(Box::new(step)),
        }
    }

    fn fields(&mut self, path: &str, record: &'a Record, found: &arrow_schema::Fields) -> Step {
        let mut sources = Vec::new();
        let mut used = vec![false; found.len()];
        let mut keep = true;
        for field in &record.fields {
            let path = format!("{path}.{}", field.name);
            if let Some(at) = position(found, field) {
                used[at] = true;
                let step = self.step(&path, &field.ty, found[at].data_type());
                keep &= matches!(step, Step::Keep);
                let renamed = found[at].as_ref().clone().with_name(&field.name);
                sources.push((Arc::new(renamed), Source::Child(at, step)));
            } else if field.default.is_required() {
                self.refuse(&path, &field.ty, "nothing");
            } else {
                keep = false;
                let ty = data_type(self.declaration, &field.ty).unwrap_or(DataType::Null);
                let made = ArrowField::new(&field.name, ty, field.ty.nullable);
                sources.push((Arc::new(made), Source::Default));
            }
        }
        // Undeclared ones are carried, behind the declared.
        for at in (0..found.len()).filter(|at| !used[*at]) {
            if record.config.extra == Extra::Forbid {
                self.mismatches.push(Mismatch {
                    path: format!("{path}.{}", found[at].name()),
                    expected: "no such field".to_owned(),
                    found: words::arrow(found[at].data_type()),
                });
            }
            sources.push((Arc::clone(&found[at]), Source::Child(at, Step::Keep)));
        }
        let in_place = |(at, (field, source)): (usize, &(FieldRef, Source))| {
            matches!(source, Source::Child(from, _) if *from == at)
                && field.name() == found[at].name()
        };
        if keep && sources.iter().enumerate().all(in_place) {
            Step::Keep
        } else {
            Step::Fields(sources)
        }
    }
}

/// The type that a reference stands for, through as many references as there are.
pub(super) fn resolve<'t>(declaration: &'t Declaration, ty: &'t Type) -> &'t Type {
    let mut at = ty;
    for _ in 0..=declaration.definitions.len() {
        match &at.kind {
            Kind::Ref(name) => match declaration.definition(name) {
                Some(definition) => at = definition,
                None => return at,
            },
            _ => return at,
        }
    }
    at
}

/// Whether two types are the same but for layouts of text, and for fields that may be null, which is seen where values are checked.
fn alike(a: &DataType, b: &DataType) -> bool {
    match (a, b) {
        (DataType::Struct(a), DataType::Struct(b)) => {
            let field = |(a, b): (&FieldRef, &FieldRef)| {
                a.name() == b.name() && alike(a.data_type(), b.data_type())
            };
            a.len() == b.len() && a.iter().zip(b).all(field)
        }
        (DataType::List(a), DataType::List(b)) => alike(a.data_type(), b.data_type()),
        _ => a.equals_datatype(b) || (is_text(a) && is_text(b)),
    }
}

/// The field of a list's items, in any layout of lists.
pub(super) fn item_of(ty: &DataType) -> Option<&FieldRef> {
    match ty {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => Some(field),
        _ => None,
    }
}

fn int_step(width: IntWidth, found: &DataType) -> Step {
    let target = match width {
        IntWidth::Any | IntWidth::I64 => DataType::Int64,
        IntWidth::I8 => DataType::Int8,
        IntWidth::I16 => DataType::Int16,
        IntWidth::I32 => DataType::Int32,
        IntWidth::U8 => DataType::UInt8,
        IntWidth::U16 => DataType::UInt16,
        IntWidth::U32 => DataType::UInt32,
        IntWidth::U64 => DataType::UInt64,
    };
    if *found == target { Step::Keep } else { Step::Cast(target) }
}

/// Whether two names of time zones mean the same, as far as their spelling tells.
fn same_zone(a: &str, b: &str) -> bool {
    let utc = |zone: &str| matches!(zone, "UTC" | "Etc/UTC" | "GMT" | "Z" | "+00:00" | "-00:00");
    a == b || (utc(a) && utc(b))
}

/// The Arrow field that a declared type is given out as.
pub(super) fn arrow_field(
    declaration: &Declaration,
    name: &str,
    ty: &Type,
) -> Result<ArrowField, MappingError> {
    let one = Declaration {
        name: declaration.name.clone(),
        root: Record::new("").field(Field::new(name, ty.clone())).into(),
        definitions: declaration.definitions.clone(),
    };
    Ok(to_arrow(&one)?.field(0).clone())
}

fn data_type(declaration: &Declaration, ty: &Type) -> Result<DataType, MappingError> {
    Ok(arrow_field(declaration, "item", ty)?.data_type().clone())
}
