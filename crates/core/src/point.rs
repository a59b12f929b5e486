//! A point of the token space.

use crate::error::Error;

/// The number of axes of the token space.
pub const AXES: usize = 8;

/// The largest magnitude of a coordinate, `2^61` (about 2.3e18), before and after scaling.
///
/// Two points within it have a squared distance over eight axes that is still a finite `f32`:
/// `8 * (2 * 2^61)^2 = 2^127`.
pub const MAX_MAGNITUDE: f32 = (1_u64 << 61) as f32;

/// Eight coordinates, 32 bytes, 32-aligned.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[repr(C, align(32))]
pub struct Point8(pub [f32; AXES]);

impl Point8 {
    /// A point from its coordinates, which must be finite and at most [`MAX_MAGNITUDE`].
    ///
    /// # Errors
    /// [`Error::Coordinate`] naming the axis (and row 0).
    pub fn new(coordinates: [f32; AXES]) -> Result<Self, Error> {
        check_coordinates(0, &coordinates)?;
        Ok(Self(coordinates))
    }

    /// The coordinates.
    pub const fn coordinates(&self) -> &[f32; AXES] {
        &self.0
    }
}

impl From<Point8> for [f32; AXES] {
    fn from(point: Point8) -> Self {
        point.0
    }
}

impl AsRef<[f32; AXES]> for Point8 {
    fn as_ref(&self) -> &[f32; AXES] {
        &self.0
    }
}

#[cfg(feature = "nalgebra")]
impl From<Point8> for nalgebra::SVector<f32, AXES> {
    fn from(point: Point8) -> Self {
        Self::from(point.0)
    }
}

#[cfg(feature = "nalgebra")]
impl TryFrom<nalgebra::SVector<f32, AXES>> for Point8 {
    type Error = Error;

    fn try_from(vector: nalgebra::SVector<f32, AXES>) -> Result<Self, Error> {
        Self::new(vector.into())
    }
}

/// Checks that the coordinates in row `row` are finite and not larger than [`MAX_MAGNITUDE`].
///
/// # Errors
/// [`Error::Coordinate`] naming the row and the first wrong axis.
#[inline]
pub fn check_coordinates(row: usize, coordinates: &[f32; AXES]) -> Result<(), Error> {
    // One branch for the usual case; NaN compares false.
    let fits = coordinates.iter().fold(true, |fits, x| fits & (x.abs() <= MAX_MAGNITUDE));
    if fits { Ok(()) } else { Err(refuse(row, coordinates)) }
}

#[cold]
fn refuse(row: usize, coordinates: &[f32; AXES]) -> Error {
    let fits = |x: &f32| x.abs() <= MAX_MAGNITUDE;
    let axis = coordinates.iter().position(|x| !fits(x)).unwrap_or(0);
    Error::Coordinate { row, axis, value: coordinates[axis] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_has_no_finite_square() {
        assert_eq!(size_of::<Point8>(), 32);
        assert_eq!(align_of::<Point8>(), 32);
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 2.4e18, -3e38] {
            let mut coordinates = [0.0; AXES];
            coordinates[5] = wrong;
            let error = Point8::new(coordinates).unwrap_err();
            assert!(matches!(error, Error::Coordinate { row: 0, axis: 5, .. }), "{error}");
        }
        assert!(Point8::new([MAX_MAGNITUDE; AXES]).is_ok());
        let far: f32 = (0..AXES).map(|_| (2.0 * MAX_MAGNITUDE) * (2.0 * MAX_MAGNITUDE)).sum();
        assert!(far.is_finite());
    }

    #[cfg(feature = "nalgebra")]
    #[test]
    fn goes_to_nalgebra_and_back() {
        let point = Point8([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        let vector: nalgebra::SVector<f32, AXES> = point.into();
        assert_eq!(Point8::try_from(vector), Ok(point));
    }
}
