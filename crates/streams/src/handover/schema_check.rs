//! Whether the schema of a file describes types that the decoder knows. It panics on any other.

use arrow_ipc as ipc;
use ipc::{DateUnit, Endianness, IntervalUnit, Precision, TimeUnit, Type};

use super::check::DictionaryIds;
use super::error::HandoverError;

/// Most fields of a schema, nested ones included.
const MAX_FIELDS: usize = 1 << 16;

/// Checks every field; returns the value type of each dictionary.
pub(super) fn check_schema(schema: &ipc::Schema<'_>) -> Result<DictionaryIds, HandoverError> {
    let bad = |reason: &str| HandoverError::malformed("schema", reason);
    if schema.endianness() != Endianness::Little || cfg!(target_endian = "big") {
        return Err(bad("is of another byte order than this machine"));
    }
    let fields = schema.fields().ok_or_else(|| bad("has no list of fields"))?;
    let mut check = Check { ids: DictionaryIds::new(), fields: 0 };
    for field in fields {
        check.field(&field)?;
    }
    Ok(check.ids)
}

struct Check {
    ids: DictionaryIds,
    fields: usize,
}

impl Check {
    fn field(&mut self, field: &ipc::Field<'_>) -> Result<(), HandoverError> {
        let name = field.name().unwrap_or_default();
        let bad =
            |reason: &str| HandoverError::malformed(format!("schema, field {name:?}"), reason);
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(bad("is one field too many"));
        }
        // Nor could such a name be handed on through the Arrow C data interface.
        if name.contains('\0') {
            return Err(bad("has a null character in its name"));
        }
        for child in field.children().into_iter().flatten() {
            self.field(&child)?;
        }
        let fault = type_fault(field);
        if let Some(reason) = fault {
            return Err(bad(reason));
        }
        let Some(dictionary) = field.dictionary() else { return Ok(()) };
        let keys = dictionary.indexType().ok_or_else(|| bad("dictionary without a key type"))?;
        if !matches!(keys.bitWidth(), 8 | 16 | 32 | 64) {
            return Err(bad("dictionary with keys of an unknown width"));
        }
        // Everything the conversion could panic on is excluded by now.
        let arrow_schema::DataType::Dictionary(_, values) =
            arrow_schema::Field::from(*field).data_type().clone()
        else {
            return Err(bad("dictionary of an unknown type"));
        };
        match self.ids.insert(dictionary.id(), *values.clone()) {
            Some(other) if other != *values => Err(bad("shares its dictionary with another type")),
            _ => Ok(()),
        }
    }
}

/// What is wrong with the type of a field, given that its children are right.
fn type_fault(field: &ipc::Field<'_>) -> Option<&'static str> {
    let children: Vec<ipc::Field<'_>> = field.children().into_iter().flatten().collect();
    let right = match field.type_type() {
        Type::Null
        | Type::Bool
        | Type::Binary
        | Type::LargeBinary
        | Type::BinaryView
        | Type::Utf8
        | Type::LargeUtf8
        | Type::Utf8View => true,
        Type::Int => {
            field.type_as_int().is_some_and(|int| matches!(int.bitWidth(), 8 | 16 | 32 | 64))
        }
        Type::FloatingPoint => field.type_as_floating_point().is_some_and(|float| {
            matches!(float.precision(), Precision::HALF | Precision::SINGLE | Precision::DOUBLE)
        }),
        Type::FixedSizeBinary => {
            field.type_as_fixed_size_binary().is_some_and(|binary| binary.byteWidth() > 0)
        }
        Type::Date => field
            .type_as_date()
            .is_some_and(|date| matches!(date.unit(), DateUnit::DAY | DateUnit::MILLISECOND)),
        Type::Time => field.type_as_time().is_some_and(|time| {
            matches!(
                (time.bitWidth(), time.unit()),
                (32, TimeUnit::SECOND | TimeUnit::MILLISECOND)
                    | (64, TimeUnit::MICROSECOND | TimeUnit::NANOSECOND)
            )
        }),
        Type::Timestamp => field.type_as_timestamp().is_some_and(|t| {
            is_unit(t.unit()) && t.timezone().is_none_or(|zone| !zone.contains('\0'))
        }),
        Type::Duration => field.type_as_duration().is_some_and(|d| is_unit(d.unit())),
        Type::Interval => field.type_as_interval().is_some_and(|interval| {
            matches!(
                interval.unit(),
                IntervalUnit::YEAR_MONTH | IntervalUnit::DAY_TIME | IntervalUnit::MONTH_DAY_NANO
            )
        }),
        Type::Decimal => field.type_as_decimal().is_some_and(|decimal| {
            let most = match decimal.bitWidth() {
                32 => 9,
                64 => 18,
                128 => 38,
                256 => 76,
                _ => return false,
            };
            (1..=most).contains(&decimal.precision()) && (-most..=most).contains(&decimal.scale())
        }),
        Type::List | Type::LargeList | Type::ListView | Type::LargeListView => children.len() == 1,
        Type::FixedSizeList => {
            children.len() == 1
                && field.type_as_fixed_size_list().is_some_and(|list| list.listSize() >= 0)
        }
        Type::Struct_ => true,
        Type::Map => match &children[..] {
            [entries] => {
                field.type_as_map().is_some()
                    && entries.type_type() == Type::Struct_
                    && entries.dictionary().is_none()
                    && entries.children().is_some_and(|pair| pair.len() == 2)
            }
            _ => false,
        },
        Type::RunEndEncoded => match &children[..] {
            [ends, _] => {
                ends.dictionary().is_none()
                    && ends.type_as_int().is_some_and(|int| {
                        int.is_signed() && matches!(int.bitWidth(), 16 | 32 | 64)
                    })
            }
            _ => false,
        },
        Type::Union => field.type_as_union().is_some_and(|union| {
            let known = matches!(union.mode(), ipc::UnionMode::Dense | ipc::UnionMode::Sparse);
            let ids_fit = union.typeIds().is_none_or(|ids| {
                let mut ids: Vec<i32> = ids.iter().collect();
                let many = ids.len();
                ids.sort_unstable();
                ids.dedup();
                ids.len() == many
                    && many == children.len()
                    && ids.iter().all(|id| (0..=127).contains(id))
            });
            known && ids_fit && children.len() <= 128
        }),
        _ => false,
    };
    (!right).then_some("is of an unknown type")
}

fn is_unit(unit: TimeUnit) -> bool {
    matches!(
        unit,
        TimeUnit::SECOND | TimeUnit::MILLISECOND | TimeUnit::MICROSECOND | TimeUnit::NANOSECOND
    )
}
