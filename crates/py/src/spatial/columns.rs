//! Tokens from the columns of a table, and tables from tokens.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Float32Array, RecordBatch, UInt64Array};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use ottava_core::{AXES, AxisNames, Token};
use ottava_spatial::Error;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::raise::raise;
use super::state::State;
use crate::arrays::{self, Rows, refuse};
use crate::arrow::{Table, to_f32};

/// Positions, from an array or from columns.
pub(super) enum Positions<'py> {
    Array(Rows<'py>),
    Columns(Vec<[f32; AXES]>),
}

impl Positions<'_> {
    /// The rows.
    pub(super) fn get(&self) -> &[[f32; AXES]] {
        match self {
            Self::Array(rows) => rows.get(),
            Self::Columns(rows) => rows,
        }
    }
}

/// Reads `positions=`: eight column names (which then name the axes), the name of a column of fixed-size lists of eight, or an
/// array of shape (n, 8).
pub(super) fn read_positions<'py>(
    table: &Table,
    positions: &Bound<'py, PyAny>,
) -> PyResult<(Positions<'py>, Option<AxisNames>)> {
    let py = positions.py();
    if let Ok(name) = positions.cast::<PyString>() {
        let name = name.to_cow()?;
        let rows = lists(py, &table.column(py, "positions", &name)?)?;
        return Ok((Positions::Columns(rows), None));
    }
    let Ok(names) = positions.extract::<Vec<String>>() else {
        return Ok((Positions::Array(arrays::rows(positions, "positions")?), None));
    };
    let count = names.len();
    let Ok(names) = <[String; AXES]>::try_from(names) else {
        return Err(refuse(
            py,
            "positions",
            format_args!("expected eight column names, got {count}"),
        ));
    };
    let mut rows = vec![[0.0; AXES]; table.rows()];
    for (axis, name) in names.iter().enumerate() {
        let chunks = table.column(py, "positions", name)?;
        let values = to_f32(py, &format!("positions: column {name:?}"), &chunks)?;
        rows.iter_mut().zip(values).for_each(|(row, value)| row[axis] = value);
    }
    let names = AxisNames::new(names).map_err(|err| refuse(py, "positions", err))?;
    Ok((Positions::Columns(rows), Some(names)))
}

/// Rows of a column of fixed-size lists.
fn lists(py: Python<'_>, chunks: &[ArrayRef]) -> PyResult<Vec<[f32; AXES]>> {
    let mut rows = Vec::new();
    for chunk in chunks {
        let DataType::FixedSizeList(_, 8) = chunk.data_type() else {
            return Err(PyTypeError::new_err(format!(
                "positions: expected a column of fixed-size lists of eight numbers, got {}; \
                 eight columns of numbers are given as a list of their names",
                chunk.data_type()
            )));
        };
        if let Some(row) = (0..chunk.len()).find(|&row| chunk.is_null(row)) {
            return Err(refuse(
                py,
                "positions",
                format_args!("row {}: the position is null", rows.len() + row),
            ));
        }
        let list = chunk.as_fixed_size_list();
        let values = list.values().slice(list.value_offset(0) as usize, list.len() * AXES);
        rows.extend_from_slice(
            to_f32(py, "positions: coordinates", &[values])?.as_chunks::<AXES>().0,
        );
    }
    Ok(rows)
}

/// The rows of these tokens, or of all: as they were carried along, or made from what the grid keeps.
pub(super) fn rows(
    state: &State,
    names: &AxisNames,
    ids: Option<&[u64]>,
) -> Result<Table, RowsError> {
    let all;
    let ids = match ids {
        Some(ids) => match ids.iter().find(|&&id| !state.grid.contains(id)) {
            Some(&id) => return Err(Error::UnknownId { id }.into()),
            None => ids,
        },
        None => {
            all = state.grid.ids();
            &all
        }
    };
    if let Some(carried) = &state.carried
        && let Some((schema, batches)) = carried.take(&state.grid, ids)?
    {
        return Ok(Table::new(schema, batches));
    }
    let tokens = ids.iter().map(|&id| state.grid.get(id)).collect::<Result<Vec<_>, _>>()?;
    let batch = token_columns(names, &tokens)?;
    Ok(Table::new(batch.schema(), vec![batch]))
}

/// Why rows could not be given.
pub(super) enum RowsError {
    Grid(Error),
    Arrow(ArrowError),
}

impl RowsError {
    /// The exception for it.
    pub(super) fn raise(self, py: Python<'_>, argument: &str) -> PyErr {
        match self {
            Self::Grid(err) => raise(py, argument, err),
            Self::Arrow(err) => refuse(py, argument, err),
        }
    }
}

impl From<Error> for RowsError {
    fn from(error: Error) -> Self {
        Self::Grid(error)
    }
}

impl From<ArrowError> for RowsError {
    fn from(error: ArrowError) -> Self {
        Self::Arrow(error)
    }
}

/// Columns `id`, one per axis, `weight`, `field_radius`, `field_strength`.
fn token_columns(names: &AxisNames, tokens: &[Token]) -> Result<RecordBatch, ArrowError> {
    let ids = UInt64Array::from_iter_values(tokens.iter().map(|token| token.id));
    let column = |value: &dyn Fn(&Token) -> f32| -> ArrayRef {
        Arc::new(Float32Array::from_iter_values(tokens.iter().map(value)))
    };
    let mut fields = vec![Field::new("id", DataType::UInt64, false)];
    let mut columns: Vec<ArrayRef> = vec![Arc::new(ids)];
    for (axis, name) in names.iter().enumerate() {
        fields.push(Field::new(name, DataType::Float32, false));
        columns.push(column(&|token| token.position.coordinates()[axis]));
    }
    fields.extend(
        ["weight", "field_radius", "field_strength"]
            .map(|name| Field::new(name, DataType::Float32, false)),
    );
    columns.push(column(&|token| token.weight));
    columns.push(column(&|token| token.field.radius));
    columns.push(column(&|token| token.field.strength));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}
