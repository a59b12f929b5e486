//! Doing to a column what its plan says, and keeping account of what was copied.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, GenericListArray, OffsetSizeTrait, StructArray,
    new_null_array,
};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, Field as ArrowField, Fields, TimeUnit};

use crate::schema::{Declaration, Field, FieldDefault, Kind, Record, Type, Value};

use super::builder::Builder;
use super::check::arrow_error;
use super::error::StoreError;
use super::plan::{Fit, Source, Step, item_of, resolve};
use super::show::show;
use super::words;

/// Bytes that an ingestion made anew instead of keeping the buffers that it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The column.
    pub column: String,
    /// How many bytes.
    pub bytes: usize,
    /// Why.
    pub reason: String,
}

/// A column as the store keeps it, and what was copied for it.
pub(super) struct Converted {
    pub(super) array: ArrayRef,
    pub(super) copied: Option<(usize, String)>,
}

impl Converted {
    fn kept(array: ArrayRef) -> Self {
        Self { array, copied: None }
    }

    pub(super) fn made(array: ArrayRef, reason: String) -> Self {
        let bytes = array.to_data().get_slice_memory_size().unwrap_or(0);
        Self { array, copied: Some((bytes, reason)) }
    }
}

/// Applies a step to a column.
pub(super) fn apply(
    declaration: &Declaration,
    path: &str,
    ty: &Type,
    step: &Step,
    array: &ArrayRef,
) -> Result<Converted, StoreError> {
    let ty = resolve(declaration, ty);
    let failed = |err: ArrowError| arrow_error(path, &err);
    match step {
        Step::Keep => Ok(Converted::kept(array.clone())),
        Step::Cast(target) => {
            let made = exact(path, ty, array, target)?;
            let (from, to) = (words::arrow(array.data_type()), words::arrow(target));
            Ok(Converted::made(made, format!("{from} stored as {to}")))
        }
        Step::Zone(zone) => Ok(Converted::kept(with_zone(array, zone))),
        Step::Encode(symbols) => match symbols.encode(array) {
            Ok((encoded, 0)) => Ok(Converted::kept(encoded)),
            Ok((encoded, bytes)) => {
                let reason = match array.data_type() {
                    DataType::Dictionary(..) => "dictionary keys rewritten as codes of the enum",
                    _ => "text stored as codes of the enum",
                };
                Ok(Converted { array: encoded, copied: Some((bytes, reason.to_owned())) })
            }
            Err(found) => Err(StoreError::Symbol {
                row: found.row,
                column: path.to_owned(),
                value: format!("{:?}", found.value),
                symbols: symbols.text(),
            }),
        },
        Step::Items(step) => {
            let (Kind::List(item)
            | Kind::Set(item)
            | Kind::FrozenSet(item)
            | Kind::FixedList(item, _)) = &ty.kind
            else {
                return Ok(Converted::kept(array.clone()));
            };
            let path = format!("{path}[]");
            let convert = |values: &ArrayRef| apply(declaration, &path, item, step, values);
            match array.data_type() {
                DataType::List(_) => list::<i32>(array, convert),
                DataType::LargeList(_) => list::<i64>(array, convert),
                DataType::FixedSizeList(_, n) => {
                    let lists = array.as_fixed_size_list();
                    let items = convert(lists.values())?;
                    let field = item_field(array.data_type(), &items.array);
                    let nulls = lists.nulls().cloned();
                    let made = FixedSizeListArray::try_new(field, *n, items.array, nulls);
                    Ok(Converted { array: Arc::new(made.map_err(failed)?), copied: items.copied })
                }
                views => {
                    let plain = item_of(views).cloned().map(DataType::LargeList);
                    let plain = cast(array, &plain.unwrap_or(DataType::Null)).map_err(failed)?;
                    list::<i64>(&plain, convert)
                }
            }
        }
        Step::Fields(sources) => {
            let Kind::Record(record) = &ty.kind else { return Ok(Converted::kept(array.clone())) };
            fields(declaration, path, record, sources, array)
        }
    }
}

fn item_field(list: &DataType, items: &ArrayRef) -> Arc<ArrowField> {
    let name = item_of(list).map_or("item", |field| field.name());
    Arc::new(ArrowField::new(name, items.data_type().clone(), true))
}

fn list<O: OffsetSizeTrait>(
    array: &ArrayRef,
    convert: impl Fn(&ArrayRef) -> Result<Converted, StoreError>,
) -> Result<Converted, StoreError> {
    let lists = array.as_list::<O>();
    let items = convert(lists.values())?;
    let field = item_field(array.data_type(), &items.array);
    let made = GenericListArray::<O>::try_new(
        field,
        lists.offsets().clone(),
        items.array,
        lists.nulls().cloned(),
    );
    let made = made.map_err(|err| arrow_error("[]", &err))?;
    Ok(Converted { array: Arc::new(made), copied: items.copied })
}

fn fields(
    declaration: &Declaration,
    path: &str,
    record: &Record,
    sources: &[(arrow_schema::FieldRef, Source)],
    array: &ArrayRef,
) -> Result<Converted, StoreError> {
    let structs = array.as_struct();
    let (mut made, mut columns, mut bytes, mut reasons) = (Vec::new(), Vec::new(), 0, Vec::new());
    for (field, source) in sources {
        let declared = record.fields.iter().find(|f| f.name == *field.name());
        let path = format!("{path}.{}", field.name());
        let part = match (source, declared) {
            (Source::Child(at, step), Some(declared)) => {
                apply(declaration, &path, &declared.ty, step, structs.column(*at))?
            }
            (Source::Child(at, _), None) => Converted::kept(structs.column(*at).clone()),
            (Source::Default, Some(declared)) => {
                filled(declaration, &path, declared, field.data_type(), array.len())?
            }
            (Source::Default, None) => continue,
        };
        if let Some((more, reason)) = part.copied {
            bytes += more;
            reasons.push(format!("{}: {reason}", field.name()));
        }
        let ty = part.array.data_type().clone();
        made.push(ArrowField::new(field.name(), ty, true).with_metadata(field.metadata().clone()));
        columns.push(part.array);
    }
    let fields = Fields::from(made);
    let made =
        StructArray::try_new_with_length(fields, columns, structs.nulls().cloned(), array.len());
    let made = made.map_err(|err| arrow_error(path, &err))?;
    let copied = (!reasons.is_empty()).then(|| (bytes, reasons.join("; ")));
    Ok(Converted { array: Arc::new(made), copied })
}

/// A column of defaults.
pub(super) fn filled(
    declaration: &Declaration,
    path: &str,
    field: &Field,
    target: &DataType,
    rows: usize,
) -> Result<Converted, StoreError> {
    let refuse =
        |reason: &str| StoreError::Default { column: path.to_owned(), reason: reason.to_owned() };
    let array = match &field.default {
        FieldDefault::Required => return Err(refuse("it has none")),
        FieldDefault::Host(_) => return Err(refuse("it is a factory")),
        FieldDefault::Absent | FieldDefault::Value(Value::Null) => new_null_array(target, rows),
        FieldDefault::Value(value) => {
            let mut one = Builder::new(declaration, &field.ty, 1);
            if !one.append_value(value) {
                return Err(refuse("it is no value of the column"));
            }
            let one = one.finish().map_err(|err| arrow_error(path, &err))?;
            let mut fit = Fit::new(declaration);
            let step = fit.step(path, &field.ty, one.data_type());
            if !fit.mismatches.is_empty() {
                return Err(refuse("there is no column of it"));
            }
            let one = apply(declaration, path, &field.ty, &step, &one)?.array;
            let zeros = arrow_array::UInt32Array::from(vec![0; rows]);
            arrow_select::take::take(&one, &zeros, None).map_err(|err| arrow_error(path, &err))?
        }
    };
    Ok(Converted::made(array, "filled with the default".to_owned()))
}

/// A cast in which every value comes out as it went in.
fn exact(
    path: &str,
    ty: &Type,
    array: &ArrayRef,
    target: &DataType,
) -> Result<ArrayRef, StoreError> {
    let failed = |err: ArrowError| arrow_error(path, &err);
    // Units are changed in the zone that is there; another zone changes no value.
    let (within, zone) = match (array.data_type(), target) {
        (DataType::Timestamp(_, Some(found)), DataType::Timestamp(unit, Some(zone))) => {
            (DataType::Timestamp(*unit, Some(found.clone())), Some(zone))
        }
        _ => (target.clone(), None),
    };
    let made = cast(array, &within).map_err(failed)?;
    if made.null_count() != array.logical_null_count() {
        let lost = |row: &usize| {
            made.is_null(*row) && !array.logical_nulls().is_some_and(|n| n.is_null(*row))
        };
        if let Some(row) = (0..array.len()).find(lost) {
            return Err(StoreError::Range {
                row,
                column: path.to_owned(),
                value: show(array, row),
                expected: words::declared(ty),
            });
        }
    }
    Ok(match zone {
        Some(zone) => with_zone(&made, zone),
        None => made,
    })
}

fn with_zone(array: &ArrayRef, zone: &Arc<str>) -> ArrayRef {
    macro_rules! zoned {
        ($ty:ty) => {
            Arc::new(array.as_primitive::<$ty>().clone().with_timezone(zone.clone()))
        };
    }
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => zoned!(TimestampSecondType),
        DataType::Timestamp(TimeUnit::Millisecond, _) => zoned!(TimestampMillisecondType),
        DataType::Timestamp(TimeUnit::Microsecond, _) => zoned!(TimestampMicrosecondType),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => zoned!(TimestampNanosecondType),
        _ => array.clone(),
    }
}
