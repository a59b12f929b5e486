//! JSON and NDJSON into columns, by the validator and without Python objects.

use std::borrow::Cow;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use ottava_core::arrow::contains_itself;
use ottava_core::schema::{Config, Declaration, Extra, Kind, Record, Type};
use ottava_validate::{BatchOptions, Code, Schema};
use pyo3::prelude::*;
use serde_json::value::RawValue;

use crate::error::INGEST;

/// Rows of JSON text as columns.
pub(super) enum Read {
    Batches(SchemaRef, Vec<RecordBatch>),
    /// A row has a key that is not declared; the columns must be read in another way.
    Undeclared,
}

/// Why JSON is not rows of a declaration.
pub(super) struct Refused {
    message: String,
    row: Option<usize>,
    column: Option<String>,
    value: Option<String>,
}

impl Refused {
    fn text(message: impl Into<String>) -> Self {
        Self { message: message.into(), row: None, column: None, value: None }
    }

    pub(super) fn raise(self, py: Python<'_>) -> PyErr {
        INGEST.new_err(py, (self.message, self.row, self.column, self.value))
    }
}

/// A declaration that says what happens to undeclared keys of its rows.
pub(super) fn with_extra(declaration: &Declaration, extra: Extra) -> Declaration {
    let mut out = declaration.clone();
    let root = |record: &mut Record| record.config = Config { extra, ..record.config.clone() };
    if let Kind::Record(record) = &mut out.root.kind {
        root(record);
    } else if let Kind::Ref(name) = &out.root.kind
        && let Some((_, ty)) = out.definitions.iter_mut().find(|(known, _)| known == name)
        && let Kind::Record(record) = &mut ty.kind
    {
        root(record);
    }
    out
}

/// A declaration whose records, down to those that have columns of their own inside, forbid undeclared fields, so that one is noticed.
pub(super) fn closed(declaration: &Declaration) -> Declaration {
    let mut out = declaration.clone();
    if let Some(record) = declaration.record() {
        let mut record = record.clone();
        for field in &mut record.fields {
            field.ty = closed_type(declaration, &field.ty);
        }
        out.root = record.into();
    }
    with_extra(&out, Extra::Forbid)
}

fn closed_type(declaration: &Declaration, ty: &Type) -> Type {
    let mut out = ty.clone();
    match &mut out.kind {
        Kind::Ref(name) if !contains_itself(declaration, name) => {
            if let Some(definition) = declaration.definition(name) {
                let mut closed = closed_type(declaration, definition);
                closed.nullable |= ty.nullable;
                return closed;
            }
        }
        Kind::List(item)
        | Kind::Set(item)
        | Kind::FrozenSet(item)
        | Kind::FixedList(item, _)
        | Kind::Dict(_, item) => **item = closed_type(declaration, item),
        Kind::Record(record) => {
            record.config.extra = Extra::Forbid;
            for field in &mut record.fields {
                field.ty = closed_type(declaration, &field.ty);
            }
        }
        _ => {}
    }
    out
}

/// Reads NDJSON, with the threads of the current pool.
pub(super) fn ndjson(schema: &Schema, text: &[u8], carry: bool) -> Result<Read, Refused> {
    let options = BatchOptions { max_issues: 1, ..BatchOptions::default() };
    let read =
        schema.ndjson_to_arrow(text, &options).map_err(|err| Refused::text(err.to_string()))?;
    let Some(first) = read.issues.list.first() else {
        return Ok(Read::Batches(read.schema, read.batches));
    };
    // Inside of records more may be carried even if the rows themselves may have no more.
    if first.issue.code == Code::ExtraForbidden && (carry || first.issue.loc.len() > 1) {
        return Ok(Read::Undeclared);
    }
    let column = first.issue.loc.iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
    let place = if column.is_empty() { String::new() } else { format!(", column {column}") };
    Err(Refused {
        message: format!(
            "row {}{place}: {}, found {}",
            first.row,
            first.issue.message(),
            first.input
        ),
        row: Some(first.row as usize),
        column: (!column.is_empty()).then_some(column),
        value: Some(first.input.clone()),
    })
}

/// A JSON array of rows, or a single row, as NDJSON.
pub(super) fn lines(text: &[u8]) -> Result<Vec<u8>, Refused> {
    let wrong = |err: serde_json::Error| Refused::text(format!("not JSON: {err}"));
    let text =
        std::str::from_utf8(text).map_err(|err| Refused::text(format!("not JSON: {err}")))?;
    let whole: &RawValue = serde_json::from_str(text).map_err(wrong)?;
    let rows: Vec<&RawValue> = match whole.get().as_bytes().first() {
        Some(b'[') => serde_json::from_str(whole.get()).map_err(wrong)?,
        _ => vec![whole],
    };
    let mut out = Vec::with_capacity(text.len() + rows.len());
    for row in rows {
        // Outside of text, where none is allowed, a line break is white space.
        let line: Cow<'_, str> = match row.get().contains(['\n', '\r']) {
            true => row.get().replace(['\n', '\r'], " ").into(),
            false => row.get().into(),
        };
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
    Ok(out)
}
