//! Many tokens in columns.

use std::borrow::Cow;

use ndarray::{ArrayView2, Axis};

use crate::error::Error;
use crate::point::{AXES, check_coordinates};
use crate::token::{Field, NO_TOKEN, Token, TokenId};

/// A batch of tokens as columns, borrowed where the caller's memory allows it.
///
/// Every column has one entry a token. A batch is checked when it is made: see [`TokenBatch::new`].
#[derive(Debug, Clone)]
pub struct TokenBatch<'a> {
    ids: Cow<'a, [TokenId]>,
    positions: Cow<'a, [[f32; AXES]]>,
    weights: Option<Cow<'a, [f32]>>,
    radii: Option<Cow<'a, [f32]>>,
    strengths: Option<Cow<'a, [f32]>>,
}

impl<'a> TokenBatch<'a> {
    /// A batch from ids of shape (n,) and positions of shape (n, 8). Row-major positions are
    /// borrowed; any other layout is copied. Weights are 1 and fields none until set.
    ///
    /// # Errors
    /// [`Error::Shape`] for positions that are not (n, 8), [`Error::Length`] for columns of
    /// different lengths, [`Error::Coordinate`] and [`Error::ReservedId`] naming the row.
    pub fn new(ids: &'a [TokenId], positions: ArrayView2<'a, f32>) -> Result<Self, Error> {
        Self::from_rows(ids, rows(positions)?)
    }

    /// A batch from ids and rows of eight coordinates.
    ///
    /// # Errors
    /// As [`TokenBatch::new`].
    pub fn from_rows(
        ids: impl Into<Cow<'a, [TokenId]>>,
        positions: impl Into<Cow<'a, [[f32; AXES]]>>,
    ) -> Result<Self, Error> {
        let (ids, positions) = (ids.into(), positions.into());
        check_length("positions", ids.len(), positions.len())?;
        for (row, position) in positions.iter().enumerate() {
            check_coordinates(row, position)?;
        }
        if let Some(row) = ids.iter().position(|&id| id == NO_TOKEN) {
            return Err(Error::ReservedId { row });
        }
        Ok(Self { ids, positions, weights: None, radii: None, strengths: None })
    }

    /// Sets the weights, shape (n,), finite.
    ///
    /// # Errors
    /// [`Error::Length`]; [`Error::Attribute`] naming the row.
    pub fn with_weights(mut self, weights: impl Into<Cow<'a, [f32]>>) -> Result<Self, Error> {
        self.weights = Some(column("weight", self.len(), weights.into(), f32::MIN)?);
        Ok(self)
    }

    /// Sets the fields: radii, shape (n,), finite and not negative; strengths, shape (n,), finite.
    ///
    /// # Errors
    /// [`Error::Length`]; [`Error::Attribute`] naming the row.
    pub fn with_fields(
        mut self,
        radii: impl Into<Cow<'a, [f32]>>,
        strengths: impl Into<Cow<'a, [f32]>>,
    ) -> Result<Self, Error> {
        self.radii = Some(column("field radius", self.len(), radii.into(), 0.0)?);
        self.strengths = Some(column("field strength", self.len(), strengths.into(), f32::MIN)?);
        Ok(self)
    }

    /// A batch of one token.
    ///
    /// # Errors
    /// [`Error::Coordinate`], [`Error::ReservedId`] or [`Error::Attribute`], with row 0.
    pub fn one(token: &Token) -> Result<TokenBatch<'static>, Error> {
        TokenBatch::from_rows(vec![token.id], vec![token.position.0])?
            .with_weights(vec![token.weight])?
            .with_fields(vec![token.field.radius], vec![token.field.strength])
    }

    /// The number of tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The ids, in rows.
    pub fn ids(&self) -> &[TokenId] {
        &self.ids
    }

    /// The positions, in rows.
    pub fn positions(&self) -> &[[f32; AXES]] {
        &self.positions
    }

    /// The weights, if they were set.
    pub fn weights(&self) -> Option<&[f32]> {
        self.weights.as_deref()
    }

    /// The field radii, if they were set.
    pub fn radii(&self) -> Option<&[f32]> {
        self.radii.as_deref()
    }

    /// The field strengths, if they were set.
    pub fn strengths(&self) -> Option<&[f32]> {
        self.strengths.as_deref()
    }

    /// The weight in a row.
    pub fn weight(&self, row: usize) -> f32 {
        self.weights.as_deref().map_or(1.0, |weights| weights[row])
    }

    /// The field in a row.
    pub fn field(&self, row: usize) -> Field {
        let at = |column: &Option<Cow<'_, [f32]>>| column.as_deref().map_or(0.0, |c| c[row]);
        Field { radius: at(&self.radii), strength: at(&self.strengths) }
    }
}

/// Positions of shape (n, 8) as rows; borrowed if they are row-major, else copied.
///
/// # Errors
/// [`Error::Shape`].
pub fn rows(positions: ArrayView2<'_, f32>) -> Result<Cow<'_, [[f32; AXES]]>, Error> {
    if positions.ncols() != AXES {
        return Err(Error::Shape { rows: positions.nrows(), columns: positions.ncols() });
    }
    if let Some(flat) = positions.to_slice() {
        return Ok(Cow::Borrowed(flat.as_chunks::<AXES>().0));
    }
    let copy = |row: ndarray::ArrayView1<'_, f32>| std::array::from_fn(|axis| row[axis]);
    Ok(Cow::Owned(positions.axis_iter(Axis(0)).map(copy).collect()))
}

fn check_length(column: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found { Ok(()) } else { Err(Error::Length { column, expected, found }) }
}

fn column<'a>(
    name: &'static str,
    len: usize,
    values: Cow<'a, [f32]>,
    least: f32,
) -> Result<Cow<'a, [f32]>, Error> {
    check_length(name, len, values.len())?;
    match values.iter().position(|value| !(least..=f32::MAX).contains(value)) {
        Some(row) => Err(Error::Attribute { row, attribute: name, value: values[row] }),
        None => Ok(values),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, ShapeBuilder};

    use super::*;

    #[test]
    fn borrows_rows_and_copies_columns() {
        let by_rows = Array2::from_shape_fn((3, 8), |(row, axis)| (row * 8 + axis) as f32);
        let mut by_columns = Array2::zeros((3, 8).f());
        by_columns.assign(&by_rows);
        assert!(matches!(rows(by_rows.view()), Ok(Cow::Borrowed(_))));
        assert!(matches!(rows(by_columns.view()), Ok(Cow::Owned(_))));
        assert_eq!(rows(by_rows.view()).unwrap(), rows(by_columns.view()).unwrap());
        let narrow = Array2::<f32>::zeros((3, 7));
        assert_eq!(rows(narrow.view()).unwrap_err(), Error::Shape { rows: 3, columns: 7 });
    }

    #[test]
    fn names_the_row_of_what_is_wrong() {
        let ids = [1, 2, 3];
        let mut positions = [[0.0; AXES]; 3];
        positions[2][6] = f32::NAN;
        let error = TokenBatch::from_rows(&ids[..], &positions[..]).unwrap_err();
        assert!(matches!(error, Error::Coordinate { row: 2, axis: 6, .. }));

        positions[2][6] = 0.0;
        let batch = TokenBatch::from_rows(&ids[..], &positions[..]).unwrap();
        let short = batch.clone().with_weights(vec![1.0]).unwrap_err();
        assert_eq!(short, Error::Length { column: "weight", expected: 3, found: 1 });
        let wrong = batch.with_fields(vec![0.0, -1.0, 0.0], vec![0.0; 3]).unwrap_err();
        assert!(matches!(wrong, Error::Attribute { row: 1, attribute: "field radius", .. }));

        let reserved = TokenBatch::from_rows(&[5, NO_TOKEN][..], &positions[..2]).unwrap_err();
        assert_eq!(reserved, Error::ReservedId { row: 1 });
    }
}
