//! Eight coordinates per row, from eight columns or from one of lists.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, Float32Array};
use arrow_cast::cast;
use arrow_schema::DataType;

use crate::point::{AXES, MAX_MAGNITUDE};

use super::check::arrow_error;
use super::error::StoreError;
use super::plan::item_of;
use super::show::show;
use super::table::Column;

/// Which columns are coordinates: eight columns of numbers, or one column of lists of eight.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Coordinates(Vec<String>);

impl Coordinates {
    /// # Errors
    ///
    /// [`StoreError::Coordinates`] unless there are eight names or one.
    pub fn new(columns: Vec<String>) -> Result<Self, StoreError> {
        match columns.len() {
            1 | AXES => Ok(Self(columns)),
            n => Err(StoreError::Coordinates {
                message: format!("expected eight columns, or one of lists of eight, got {n}"),
            }),
        }
    }

    /// The names of the columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.0
    }

    /// Where the columns are among those of a store.
    pub(super) fn find(&self, columns: &[Column]) -> Result<Vec<usize>, StoreError> {
        let find = |name: &String| {
            let at = columns.iter().position(|column| column.name == *name);
            at.ok_or_else(|| StoreError::NoColumn { column: name.clone() })
        };
        self.0.iter().map(find).collect()
    }

    /// Whether the coordinates are in one column of lists.
    pub(super) fn in_lists(&self) -> bool {
        self.0.len() == 1
    }

    /// The coordinates of all rows, one array per axis or one for all; each finite and small enough, and none null.
    pub(super) fn read(&self, columns: &[&ArrayRef]) -> Result<Axes, StoreError> {
        let mut out = Vec::with_capacity(columns.len());
        for (name, column) in self.0.iter().zip(columns) {
            let values = if self.in_lists() {
                let fits =
                    item_of(column.data_type()).is_some_and(|item| item.data_type().is_numeric());
                let fixed = matches!(column.data_type(), DataType::FixedSizeList(_, n) if *n == AXES as i32);
                if !(fits && fixed) {
                    let found = column.data_type();
                    let message =
                        format!("column {name}: expected lists of eight numbers, found {found}");
                    return Err(StoreError::Coordinates { message });
                }
                if let Some(nulls) = column.nulls()
                    && let Some(row) = (0..column.len()).find(|row| nulls.is_null(*row))
                {
                    return Err(refused(row, name, "null".to_owned()));
                }
                let list = column.as_fixed_size_list();
                let offset = list.value_offset(0) as usize;
                list.values().slice(offset, column.len() * AXES)
            } else {
                if !column.data_type().is_numeric() {
                    let found = column.data_type();
                    let message = format!("column {name}: expected numbers, found {found}");
                    return Err(StoreError::Coordinates { message });
                }
                (*column).clone()
            };
            out.push(self.narrow(name, &values)?);
        }
        Ok(Axes(out))
    }

    fn narrow(&self, name: &str, values: &ArrayRef) -> Result<Float32Array, StoreError> {
        let step = if self.in_lists() { AXES } else { 1 };
        let path = |at: usize| {
            if self.in_lists() { format!("{name}[{}]", at % AXES) } else { name.to_owned() }
        };
        let wide = match values.data_type() {
            DataType::Float32 | DataType::Float64 => values.clone(),
            _ => cast(values, &DataType::Float64).map_err(|err| arrow_error(name, &err))?,
        };
        let fits = |x: f32| x.abs() <= MAX_MAGNITUDE;
        let bad = match wide.data_type() {
            DataType::Float32 => {
                let all = wide.as_primitive::<Float32Type>().values();
                let fine = wide.null_count() == 0 && all.iter().fold(true, |f, x| f & fits(*x));
                (!fine).then(|| {
                    all.iter().enumerate().position(|(at, x)| wide.is_null(at) || !fits(*x))
                })
            }
            _ => {
                let all = wide.as_primitive::<Float64Type>().values();
                let fine =
                    wide.null_count() == 0 && all.iter().fold(true, |f, x| f & fits(*x as f32));
                let wrong = |(at, x): (usize, &f64)| wide.is_null(at) || !fits(*x as f32);
                (!fine).then(|| all.iter().enumerate().position(wrong))
            }
        };
        if let Some(at) = bad.flatten() {
            return Err(refused(at / step, &path(at), show(values, at)));
        }
        Ok(match wide.data_type() {
            DataType::Float32 => wide.as_primitive::<Float32Type>().clone(),
            _ => wide.as_primitive::<Float64Type>().unary(|x| x as f32),
        })
    }
}

fn refused(row: usize, column: &str, value: String) -> StoreError {
    StoreError::Coordinate { row, column: column.to_owned(), value }
}

/// The coordinates of a chunk.
pub(super) struct Axes(Vec<Float32Array>);

impl Axes {
    /// The position of a row.
    pub(super) fn position(&self, row: usize) -> [f32; AXES] {
        match &self.0[..] {
            [all] => std::array::from_fn(|axis| all.value(row * AXES + axis)),
            axes => std::array::from_fn(|axis| axes[axis].value(row)),
        }
    }
}
