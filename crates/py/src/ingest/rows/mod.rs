//! Rows of Python objects into columns: msgspec Structs, Models, dictionaries, anything with attributes.
//!
//! Values must have their declared type already, as in msgspec: an integer is also a float, and text is also a date, a UUID or a
//! decimal, because msgpack has no such types. Everything else about a value is checked by the store.

mod access;
mod bad;
mod calendar;
mod values;

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_schema::{DataType, Field as ArrowField, Schema as ArrowSchema};
use ottava_core::schema::{Declaration, Field, FieldDefault, Type};
use ottava_core::store::Builder;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use self::access::Access;
pub(super) use self::access::{get, names, unset};
use self::bad::Bad;
use self::values::{Parts, Values};
use super::infer;
use crate::error::INGEST;

/// Rows between two looks at signals.
const ROWS: usize = 4096;

/// The columns of rows, and the undeclared keys that some of them have.
pub(super) struct Read {
    pub(super) batch: RecordBatch,
    pub(super) extra: Vec<String>,
}

/// Reads rows into the declared columns.
pub(super) fn read(declaration: &Declaration, rows: &Bound<'_, PyList>) -> PyResult<Read> {
    read_as(declaration, rows, false)
}

/// `extended`: the declaration has everything that is in the records inside.
fn read_as(declaration: &Declaration, rows: &Bound<'_, PyList>, extended: bool) -> PyResult<Read> {
    let (py, count) = (rows.py(), rows.len());
    let fields = declaration.record().map(|record| &record.fields[..]).unwrap_or_default();
    let mut columns: Vec<Builder> =
        fields.iter().map(|f| Builder::new(declaration, &f.ty, rows.len())).collect();
    let mut parts: Vec<Parts<'_>> = columns.iter().map(|column| Parts::of(py, column)).collect();
    let mut access = Access::new(py, fields);
    let mut values = Values::new(py)?;
    for at in 0..count {
        if at % ROWS == ROWS - 1 {
            py.check_signals()?;
        }
        let row = rows.get_item(at).map_err(|_| changed(py))?;
        access
            .each(&row, |column, value| {
                let done = match value {
                    Some(value) => values.push(&mut parts[column], &mut columns[column], &value),
                    None => missing(&mut columns[column], &fields[column]),
                };
                done.map_err(|bad| bad.within(&fields[column].name))
            })
            .map_err(|bad| bad.raise(py, at))?;
    }
    if rows.len() != count {
        return Err(changed(py));
    }
    if !extended && parts.iter().any(Parts::met_undeclared) {
        // What records inside have beyond their declaration is carried in them.
        return read_as(&infer::extended(declaration, rows)?, rows, true);
    }
    let arrays: Vec<ArrayRef> = columns
        .into_iter()
        .map(Builder::finish)
        .collect::<Result<_, _>>()
        .map_err(super::arrow_error)?;
    let arrow = |(f, a): (&Field, &ArrayRef)| ArrowField::new(&f.name, a.data_type().clone(), true);
    let schema = ArrowSchema::new(fields.iter().zip(&arrays).map(arrow).collect::<Vec<_>>());
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let batch = RecordBatch::try_new_with_options(Arc::new(schema), arrays, &options);
    Ok(Read { batch: batch.map_err(super::arrow_error)?, extra: access.into_undeclared() })
}

#[cold]
fn changed(py: Python<'_>) -> PyErr {
    INGEST.new_err(py, ("the list of rows changed while it was read",))
}

/// One column of undeclared keys; a row without it has a null.
pub(super) fn read_extra(ty: &Type, name: &str, rows: &Bound<'_, PyList>) -> PyResult<ArrayRef> {
    let py = rows.py();
    let declaration = Declaration::new("", ty.clone());
    let key = PyString::intern(py, name);
    let mut column = Builder::new(&declaration, ty, rows.len());
    let mut parts = Parts::of(py, &column);
    let mut values = Values::new(py)?;
    let unset = unset(py);
    for (at, row) in rows.iter().enumerate() {
        let given = get(&row, &key)?;
        let done = match given.filter(|value| !unset.as_ref().is_some_and(|u| u.is(value))) {
            Some(value) => values.push(&mut parts, &mut column, &value),
            None => {
                column.append_null();
                Ok(())
            }
        };
        done.map_err(|bad| bad.within(name).raise(py, at))?;
    }
    column.finish().map_err(super::arrow_error)
}

/// Fills a field that a row does not have.
fn missing<'py>(column: &mut Builder, field: &Field) -> Result<(), Box<Bad<'py>>> {
    match &field.default {
        FieldDefault::Value(value) if column.append_value(value) => Ok(()),
        FieldDefault::Value(_) => Err(Bad::missing("a value, as its default is none of its type")),
        FieldDefault::Absent => {
            column.append_null();
            Ok(())
        }
        _ => Err(Bad::missing("a value")),
    }
}

/// An array of nulls for a column that got none of its values.
pub(super) fn nothing(rows: usize) -> ArrayRef {
    new_null_array(&DataType::Null, rows)
}
