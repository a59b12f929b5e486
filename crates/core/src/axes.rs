//! Names, choices and scales of the eight axes.

use crate::error::Error;
use crate::point::{AXES, MAX_MAGNITUDE};

/// The names of the axes, `x0` to `x7` by default. Names are distinct and not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AxisNames([Box<str>; AXES]);

impl AxisNames {
    /// Names from exactly eight distinct, non-empty strings.
    ///
    /// # Errors
    /// [`Error::AxisName`] naming the axis whose name is empty or taken.
    pub fn new<S: AsRef<str>>(names: [S; AXES]) -> Result<Self, Error> {
        for (axis, name) in names.iter().enumerate() {
            let name = name.as_ref();
            if name.is_empty() || names[..axis].iter().any(|other| other.as_ref() == name) {
                return Err(Error::AxisName { axis, name: name.into() });
            }
        }
        Ok(Self(names.map(|name| name.as_ref().into())))
    }

    /// The number of the axis with this name.
    ///
    /// # Errors
    /// [`Error::UnknownAxis`].
    pub fn position(&self, name: &str) -> Result<usize, Error> {
        self.0
            .iter()
            .position(|known| &**known == name)
            .ok_or_else(|| Error::UnknownAxis { name: name.into() })
    }

    /// The set of the axes with these names.
    ///
    /// # Errors
    /// [`Error::UnknownAxis`]; [`Error::NoAxes`] if `names` is empty.
    pub fn select<S: AsRef<str>>(&self, names: &[S]) -> Result<AxisSet, Error> {
        let axes: Result<Vec<_>, _> =
            names.iter().map(|name| self.position(name.as_ref())).collect();
        AxisSet::new(&axes?)
    }

    /// The names in the order of the axes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }
}

impl Default for AxisNames {
    fn default() -> Self {
        Self(std::array::from_fn(|axis| format!("x{axis}").into()))
    }
}

/// A non-empty set of axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AxisSet(u8);

impl AxisSet {
    /// All eight axes.
    pub const ALL: Self = Self(u8::MAX);

    /// A set from axis numbers 0 to 7; an axis may be named twice.
    ///
    /// # Errors
    /// [`Error::AxisNumber`] for a number over 7; [`Error::NoAxes`] for an empty slice.
    pub fn new(axes: &[usize]) -> Result<Self, Error> {
        let mut bits = 0_u8;
        for &axis in axes {
            if axis >= AXES {
                return Err(Error::AxisNumber { axis });
            }
            bits |= 1 << axis;
        }
        if bits == 0 { Err(Error::NoAxes) } else { Ok(Self(bits)) }
    }

    /// Whether the axis is in the set.
    pub const fn contains(self, axis: usize) -> bool {
        axis < AXES && self.0 >> axis & 1 == 1
    }

    /// The number of axes in the set, 1 to 8.
    pub const fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The axis numbers, ascending.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..AXES).filter(move |&axis| self.contains(axis))
    }
}

impl Default for AxisSet {
    fn default() -> Self {
        Self::ALL
    }
}

/// A factor for each axis: the distance compares `scale * coordinate`. 1 by default; 0 drops the axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scales([f32; AXES]);

impl Scales {
    /// The scale 1 on every axis.
    pub const ONE: Self = Self([1.0; AXES]);

    /// Scales that are finite, not negative, at most [`MAX_MAGNITUDE`], and not all 0.
    ///
    /// # Errors
    /// [`Error::Scale`] naming the axis; [`Error::NoAxes`] if all are 0.
    pub fn new(scales: [f32; AXES]) -> Result<Self, Error> {
        for (axis, &value) in scales.iter().enumerate() {
            if !(0.0..=MAX_MAGNITUDE).contains(&value) {
                return Err(Error::Scale { axis, value });
            }
        }
        if scales.iter().all(|&scale| scale == 0.0) {
            return Err(Error::NoAxes);
        }
        Ok(Self(scales.map(|scale| scale + 0.0))) // -0 becomes 0
    }

    /// These scales on the axes of the set, 0 on the others.
    ///
    /// # Errors
    /// [`Error::NoAxes`] if nothing is left.
    pub fn restrict(self, axes: AxisSet) -> Result<Self, Error> {
        Self::new(std::array::from_fn(|axis| if axes.contains(axis) { self.0[axis] } else { 0.0 }))
    }

    /// The factors in the order of the axes.
    pub const fn factors(&self) -> &[f32; AXES] {
        &self.0
    }

    /// The axes whose scale is not 0.
    pub fn axes(&self) -> AxisSet {
        let bits = (0..AXES).fold(0, |bits, a| bits | u8::from(self.0[a] != 0.0) << a);
        AxisSet(bits)
    }
}

impl Default for Scales {
    fn default() -> Self {
        Self::ONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_select_axes() {
        let names = AxisNames::new(["a", "b", "c", "d", "e", "f", "g", "h"]).unwrap();
        let axes = names.select(&["h", "a", "a"]).unwrap();
        assert_eq!(axes.iter().collect::<Vec<_>>(), [0, 7]);
        assert_eq!(axes.count(), 2);
        assert!(matches!(names.select(&["z"]), Err(Error::UnknownAxis { .. })));
        assert!(matches!(names.select::<&str>(&[]), Err(Error::NoAxes)));
        assert!(matches!(AxisSet::new(&[8]), Err(Error::AxisNumber { axis: 8 })));
        let twice = AxisNames::new(["a", "b", "c", "d", "e", "f", "g", "a"]);
        assert!(matches!(twice, Err(Error::AxisName { axis: 7, .. })));
        assert_eq!(AxisNames::default().position("x3"), Ok(3));
    }

    #[test]
    fn scales_are_finite_and_not_all_zero() {
        let with = |axis: usize, value| {
            let mut scales = [1.0; AXES];
            scales[axis] = value;
            Scales::new(scales)
        };
        for wrong in [f32::NAN, -1.0, f32::INFINITY] {
            assert!(matches!(with(2, wrong), Err(Error::Scale { axis: 2, .. })));
        }
        assert!(!with(3, 0.0).unwrap().axes().contains(3));
        assert_eq!(Scales::new([0.0; AXES]), Err(Error::NoAxes));
        let one = Scales::ONE.restrict(AxisSet::new(&[4]).unwrap()).unwrap();
        assert_eq!(one.axes().iter().collect::<Vec<_>>(), [4]);
        assert_eq!(with(4, 0.0).unwrap().restrict(one.axes()), Err(Error::NoAxes));
    }
}
