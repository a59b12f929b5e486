//! Whitening: coordinates in which the Mahalanobis distance is the Euclidean one.

use std::sync::Arc;

use nalgebra::{Cholesky, SMatrix};
use ndarray::ArrayView2;
use ottava_core::batch::rows;
use ottava_core::point::check_coordinates;

use crate::error::Error;

/// The map `x -> L^-1 (x - m)`, where `L L^T` is the Cholesky factorization of a covariance and `m`
/// the mean it was taken around.
///
/// Distances do not depend on `m` but for rounding: whitened coordinates are `f32`, so a distance is
/// off by about 1e-7 of how far the points are from `m`. A grid takes the map around the mean of the
/// first tokens that it gets, and `distance`, `distances` and `pairwise` around their first argument.
#[derive(Debug, Clone, PartialEq)]
pub struct Whitening(Arc<Numbers>);

#[derive(Debug, PartialEq)]
struct Numbers {
    mean: [f64; 8],
    /// The inverse factor, lower triangular, by rows.
    inverse: [[f64; 8]; 8],
}

impl Whitening {
    /// From the covariance (with divisor `n - 1`) of positions of shape (n, 8).
    ///
    /// # Errors
    /// [`Error::Core`] for a bad shape or coordinate; [`Error::Covariance`] if the positions do not
    /// span all eight axes.
    pub fn from_positions(positions: ArrayView2<'_, f32>) -> Result<Self, Error> {
        let rows = rows(positions)?;
        for (row, position) in rows.iter().enumerate() {
            check_coordinates(row, position)?;
        }
        if rows.len() < 2 {
            return Err(Error::Covariance);
        }
        let mean = mean(&rows);
        let mut covariance = [[0.0; 8]; 8];
        for row in rows.iter() {
            let d: [f64; 8] = std::array::from_fn(|axis| f64::from(row[axis]) - mean[axis]);
            for i in 0..8 {
                for j in 0..8 {
                    covariance[i][j] += d[i] * d[j];
                }
            }
        }
        let covariance = covariance.map(|row| row.map(|sum| sum / (rows.len() - 1) as f64));
        Ok(Self::from_covariance(&covariance)?.around(mean))
    }

    /// From a covariance, by rows; around the origin.
    ///
    /// # Errors
    /// [`Error::Covariance`] if it is not finite, symmetric and positive definite.
    pub fn from_covariance(covariance: &[[f64; 8]; 8]) -> Result<Self, Error> {
        let matrix = SMatrix::<f64, 8, 8>::from_fn(|i, j| covariance[i][j]);
        let largest = matrix.amax();
        let symmetric = |&value: &f64| value.abs() <= 1e-9 * largest; // not for NaN
        if !largest.is_finite() || !(matrix - matrix.transpose()).iter().all(symmetric) {
            return Err(Error::Covariance);
        }
        let factor = Cholesky::new(matrix).ok_or(Error::Covariance)?.l();
        // A pivot lost to rounding means that the axes are dependent.
        let flat = (0..8).any(|i| factor[(i, i)].powi(2) <= 1e-13 * matrix[(i, i)]);
        let inverse = factor.try_inverse().ok_or(Error::Covariance)?;
        if flat || !inverse.iter().all(|value| value.is_finite()) {
            return Err(Error::Covariance);
        }
        let inverse = std::array::from_fn(|i| std::array::from_fn(|j| inverse[(i, j)]));
        Ok(Self(Arc::new(Numbers { mean: [0.0; 8], inverse })))
    }

    /// The whitened coordinates of a position.
    pub fn apply(&self, position: &[f32; 8]) -> [f32; 8] {
        self.apply_around(&self.0.mean, position)
    }

    /// The whitened coordinates of a position, with another place in place of the mean.
    pub(crate) fn apply_around(&self, mean: &[f64; 8], position: &[f32; 8]) -> [f32; 8] {
        let d: [f64; 8] = std::array::from_fn(|axis| f64::from(position[axis]) - mean[axis]);
        std::array::from_fn(|i| (0..=i).map(|j| self.0.inverse[i][j] * d[j]).sum::<f64>() as f32)
    }

    /// The same map around another place.
    pub(crate) fn around(&self, mean: [f64; 8]) -> Self {
        Self(Arc::new(Numbers { mean, inverse: self.0.inverse }))
    }

    /// The gradient in positions of a function whose gradient in whitened coordinates is `g`.
    pub(crate) fn pull_back(&self, g: &[f64; 8]) -> [f64; 8] {
        std::array::from_fn(|j| (j..8).map(|i| self.0.inverse[i][j] * g[i]).sum())
    }

    /// The mean, then the inverse factor by rows.
    pub(crate) fn to_numbers(&self) -> Vec<f64> {
        self.0.mean.iter().chain(self.0.inverse.as_flattened()).copied().collect()
    }

    /// The inverse of [`Whitening::to_numbers`].
    pub(crate) fn from_numbers(numbers: &[f64]) -> Option<Self> {
        let (mean, inverse) = numbers.split_first_chunk::<8>()?;
        let inverse: [[f64; 8]; 8] = inverse.as_chunks::<8>().0.try_into().ok()?;
        Some(Self(Arc::new(Numbers { mean: *mean, inverse })))
    }
}

/// The mean of positions; the origin if there are none.
pub(crate) fn mean(positions: &[[f32; 8]]) -> [f64; 8] {
    let mut mean = [0.0; 8];
    for position in positions {
        for axis in 0..8 {
            mean[axis] += f64::from(position[axis]);
        }
    }
    mean.map(|sum| sum / positions.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn whitened_data_has_unit_covariance() {
        let mut state = 1_u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        let mut data = Array2::from_shape_simple_fn((500, 8), &mut noise);
        for mut row in data.rows_mut() {
            row[3] = 5.0 * row[0] + 0.1 * row[3];
            row[7] += 100.0;
        }
        let whitening = Whitening::from_positions(data.view()).unwrap();
        let white: Vec<_> =
            rows(data.view()).unwrap().iter().map(|row| whitening.apply(row)).collect();
        for i in 0..8 {
            for j in 0..8 {
                let sum: f64 = white.iter().map(|w| f64::from(w[i]) * f64::from(w[j])).sum();
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((sum / 499.0 - expected).abs() < 1e-4, "{i} {j} {sum}");
            }
        }
    }

    #[test]
    fn refuses_what_has_no_inverse() {
        let mut covariance = [[0.0; 8]; 8];
        assert!(matches!(Whitening::from_covariance(&covariance), Err(Error::Covariance)));
        (0..8).for_each(|i| covariance[i][i] = 1.0);
        assert!(Whitening::from_covariance(&covariance).is_ok());
        covariance[0][1] = 0.5;
        assert!(matches!(Whitening::from_covariance(&covariance), Err(Error::Covariance)));
        covariance[0][1] = f64::NAN;
        assert!(matches!(Whitening::from_covariance(&covariance), Err(Error::Covariance)));
        let flat = Array2::from_shape_fn((50, 8), |(row, axis)| (row * (axis + 1)) as f32);
        assert!(matches!(Whitening::from_positions(flat.view()), Err(Error::Covariance)));
    }
}
