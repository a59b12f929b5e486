//! Rules that need the validator: patterns, formats, multiples, unique items.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, DurationMicrosecondType, Float64Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_cast::cast;
use arrow_schema::{DataType, TimeUnit};
use ottava_core::schema::{
    Date, DateTime, Declaration, Duration, Field, FieldDefault, Record, Time, Type, Value,
};
use ottava_core::store::{Broken, RuleCheck};
use ottava_validate::Schema;

use crate::model::without_host;

/// Runs the validator over the values of a column.
#[derive(Default)]
pub(super) struct Validator {
    /// The batch comes from the validator and need not be held against the same rules again.
    pub(super) checked: AtomicBool,
    /// Compiled types, by their text.
    compiled: Mutex<Vec<(String, Schema)>>,
}

impl RuleCheck for Validator {
    fn check(&self, declaration: &Declaration, ty: &Type, array: &ArrayRef) -> Result<(), Broken> {
        if self.checked.load(Ordering::Relaxed) {
            return Ok(());
        }
        let refuse = |row, rule: &str| Broken { row, rule: rule.to_owned() };
        let key = format!("{ty:?}");
        let mut compiled = self.compiled.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let at = match compiled.iter().position(|(known, _)| *known == key) {
            Some(at) => at,
            None => {
                let mut one: Declaration =
                    Record::new("").field(Field::new("v", ty.clone())).into();
                one.definitions.clone_from(&declaration.definitions);
                // Values of a column have been through a model's own code, if there is any.
                without_host(&mut one, &FieldDefault::Required);
                let schema = Schema::compile(one).map_err(|err| refuse(0, &err.to_string()))?;
                compiled.push((key, schema));
                compiled.len() - 1
            }
        };
        let schema = &compiled[at].1;
        for row in (0..array.len()).filter(|row| array.is_valid(*row)) {
            let Some(value) = value_of(array, row) else {
                return Err(refuse(row, "of a type whose rules are not checked in columns"));
            };
            let record = Value::Record(vec![("v".to_owned(), value)]);
            match schema.value_to_value(&record) {
                Ok(_) => {}
                Err(issues) => {
                    let rule = issues.first().map_or_else(String::new, |issue| issue.message());
                    return Err(refuse(row, &rule));
                }
            }
        }
        Ok(())
    }
}

/// A value of a column.
fn value_of(array: &ArrayRef, row: usize) -> Option<Value> {
    if array.is_null(row) {
        return Some(Value::Null);
    }
    let one = || array.slice(row, 1);
    let as_type = |ty: &DataType| cast(&one(), ty).ok();
    Some(match array.data_type() {
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Utf8 => Value::Str(array.as_string::<i32>().value(row).to_owned()),
        DataType::LargeUtf8 => Value::Str(array.as_string::<i64>().value(row).to_owned()),
        DataType::Utf8View => Value::Str(array.as_string_view().value(row).to_owned()),
        DataType::Dictionary(_, _) => {
            Value::Str(as_type(&DataType::Utf8)?.as_string::<i32>().value(0).to_owned())
        }
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => {
            Value::Bytes(as_type(&DataType::LargeBinary)?.as_binary::<i64>().value(0).to_vec())
        }
        DataType::UInt64 => {
            Value::BigInt(as_type(&DataType::Utf8)?.as_string::<i32>().value(0).to_owned())
        }
        ty if ty.is_integer() => {
            Value::Int(as_type(&DataType::Int64)?.as_primitive::<Int64Type>().value(0))
        }
        ty if ty.is_floating() => {
            Value::Float(as_type(&DataType::Float64)?.as_primitive::<Float64Type>().value(0))
        }
        ty if ty.is_decimal() => {
            Value::Decimal(as_type(&DataType::Utf8)?.as_string::<i32>().value(0).to_owned())
        }
        DataType::Date32 => {
            Value::Date(date_of(array.as_primitive::<Date32Type>().value(row).into())?)
        }
        DataType::Timestamp(_, zone) => {
            let micros = as_type(&DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?;
            let micros = micros.as_primitive::<TimestampMicrosecondType>().value(0);
            let date = date_of(micros.div_euclid(DAY))?;
            let time = time_of(micros.rem_euclid(DAY), zone.is_some().then_some(0));
            Value::DateTime(DateTime { date, time })
        }
        DataType::Time32(_) | DataType::Time64(_) => {
            let micros = as_type(&DataType::Time64(TimeUnit::Microsecond))?;
            Value::Time(time_of(micros.as_primitive::<Time64MicrosecondType>().value(0), None))
        }
        DataType::Duration(_) => {
            let micros = as_type(&DataType::Duration(TimeUnit::Microsecond))?;
            let micros = micros.as_primitive::<DurationMicrosecondType>().value(0).into();
            Value::Duration(Duration { micros })
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) => {
            let items = match array.data_type() {
                DataType::List(_) => array.as_list::<i32>().value(row),
                DataType::LargeList(_) => array.as_list::<i64>().value(row),
                _ => array.as_fixed_size_list().value(row),
            };
            Value::List((0..items.len()).map(|at| value_of(&items, at)).collect::<Option<_>>()?)
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct();
            let part =
                |at: usize| Some((fields[at].name().clone(), value_of(columns.column(at), row)?));
            Value::Record((0..fields.len()).map(part).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

const DAY: i64 = 86_400_000_000;

fn time_of(micros: i64, offset: Option<i32>) -> Time {
    let seconds = micros / 1_000_000;
    Time {
        hour: (seconds / 3600) as u8,
        minute: (seconds / 60 % 60) as u8,
        second: (seconds % 60) as u8,
        micros: (micros % 1_000_000) as u32,
        offset,
    }
}

/// The date of a day since 1970-01-01; `None` outside of years 0 to 9999.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn date_of(days: i64) -> Option<Date> {
    let days = days.checked_add(719_468)?;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let year = u16::try_from(year).ok().filter(|year| *year <= 9999)?;
    Some(Date { year, month: month as u8, day: day as u8 })
}
