//! Distances, and how they are computed in lanes.
//!
//! Every distance starts from the scaled differences `d_a = s_a * (p_a - q_a)`. The sum over the
//! axes has one order everywhere, `((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7))`, for points, boxes
//! and the slow reference alike. Rounding is monotone, so the bound of a box is never above the
//! distance of a point in it, and no epsilon is needed.
//!
//! All of it is `f32` arithmetic, so there is a floor: squares below about 1e-38 lose digits and those
//! below 1e-45 are 0. Differences under about 1e-19 lose digits in the Euclidean distances, and those
//! under about 1e-23 count as 0; the Manhattan and Chebyshev distances have no floor of their own.
//!
//! A *key* is what is compared while searching: the sum of squares for the Euclidean distances, the
//! distance itself for the others.

use crate::kernel::Simd;
use crate::whitening::Whitening;

/// How far apart two points are.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub enum Metric {
    /// `sqrt(sum of d_a^2)`
    #[default]
    Euclidean,
    /// `sum of d_a^2`; radii are squared distances too.
    SquaredEuclidean,
    /// `sum of |d_a|`
    Manhattan,
    /// `max of |d_a|`
    Chebyshev,
    /// `sqrt((p - q)^T C^-1 (p - q))` for a covariance `C`: the Euclidean distance after whitening.
    /// Axes and scales cannot be chosen with it. See [`Whitening`] for how it is rounded.
    Mahalanobis(Whitening),
}

/// How the scaled differences become a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Norm {
    Two,
    One,
    Max,
}

/// A metric with its scales, ready to compute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measure {
    pub(crate) norm: Norm,
    /// Whether the distance is the square root of the key.
    pub(crate) root: bool,
    pub(crate) scales: [f32; 8],
}

impl Metric {
    pub(crate) fn measure(&self, scales: [f32; 8]) -> Measure {
        let (norm, root) = match self {
            Self::Euclidean | Self::Mahalanobis(_) => (Norm::Two, true),
            Self::SquaredEuclidean => (Norm::Two, false),
            Self::Manhattan => (Norm::One, false),
            Self::Chebyshev => (Norm::Max, false),
        };
        Measure { norm, root, scales }
    }

    pub(crate) fn whitening(&self) -> Option<&Whitening> {
        match self {
            Self::Mahalanobis(whitening) => Some(whitening),
            _ => None,
        }
    }
}

impl Measure {
    pub(crate) fn unit(&self) -> bool {
        self.scales == [1.0; 8]
    }

    /// The distance that a key stands for.
    #[inline(always)]
    pub(crate) fn distance(&self, key: f32) -> f32 {
        if self.root { key.sqrt() } else { key }
    }

    /// A key that no point within `distance` exceeds, at most a few units in the last place too large.
    #[inline(always)]
    pub(crate) fn loose_key(&self, distance: f32) -> f32 {
        if self.root {
            let square = distance * distance;
            // The relative term covers rounding of the product and of the root, the absolute one
            // squares below the normal range.
            square * (1.0 + 4.0 * f32::EPSILON) + f32::from_bits(4)
        } else {
            distance
        }
    }

    /// The largest key whose distance is within `radius`, which is not negative.
    pub(crate) fn exact_key(&self, radius: f32) -> f32 {
        if !self.root {
            return radius;
        }
        let mut key = (radius * radius).min(f32::MAX);
        while key.sqrt() > radius {
            key = key.next_down();
        }
        while key < f32::MAX && key.next_up().sqrt() <= radius {
            key = key.next_up();
        }
        key
    }

    /// The key of two points, with plain arithmetic in the order of the lanes.
    pub(crate) fn key(&self, p: &[f32; 8], q: &[f32; 8]) -> f32 {
        let d: [f32; 8] = std::array::from_fn(|a| self.scales[a] * (p[a] - q[a]));
        let sum = |t: [f32; 8]| ((t[0] + t[4]) + (t[2] + t[6])) + ((t[1] + t[5]) + (t[3] + t[7]));
        match self.norm {
            Norm::Two => sum(d.map(|d| d * d)),
            Norm::One => sum(d.map(f32::abs)),
            Norm::Max => d.map(f32::abs).into_iter().fold(0.0, f32::max),
        }
    }
}

/// A norm as a type, so that the search is compiled for it.
pub(crate) trait Keys: Copy {
    /// Whether every scale is 1, so that multiplying by it can be left out.
    const UNIT: bool;
    /// The keys of scaled differences.
    fn keys<S: Simd>(simd: S, d: [S::F; 8]) -> S::F;
}

#[derive(Clone, Copy)]
pub(crate) struct Two<const UNIT: bool>;
#[derive(Clone, Copy)]
pub(crate) struct One;
#[derive(Clone, Copy)]
pub(crate) struct Max;

#[inline(always)]
fn sum<S: Simd>(simd: S, t: [S::F; 8]) -> S::F {
    let even = simd.add(simd.add(t[0], t[4]), simd.add(t[2], t[6]));
    let odd = simd.add(simd.add(t[1], t[5]), simd.add(t[3], t[7]));
    simd.add(even, odd)
}

/// `array::map`, which is not inlined where a value is two vectors, and then is without the level's instructions.
#[inline(always)]
fn each<S: Simd>(mut d: [S::F; 8], f: impl Fn(S::F) -> S::F) -> [S::F; 8] {
    for axis in 0..8 {
        d[axis] = f(d[axis]);
    }
    d
}

impl<const U: bool> Keys for Two<U> {
    const UNIT: bool = U;

    #[inline(always)]
    fn keys<S: Simd>(simd: S, d: [S::F; 8]) -> S::F {
        sum(
            simd,
            each::<S>(
                d,
                #[inline(always)]
                |d| simd.mul(d, d),
            ),
        )
    }
}

impl Keys for One {
    const UNIT: bool = false;

    #[inline(always)]
    fn keys<S: Simd>(simd: S, d: [S::F; 8]) -> S::F {
        sum(
            simd,
            each::<S>(
                d,
                #[inline(always)]
                |d| simd.abs(d),
            ),
        )
    }
}

impl Keys for Max {
    const UNIT: bool = false;

    #[inline(always)]
    fn keys<S: Simd>(simd: S, d: [S::F; 8]) -> S::F {
        let d = each::<S>(
            d,
            #[inline(always)]
            |d| simd.abs(d),
        );
        let even = simd.max(simd.max(d[0], d[4]), simd.max(d[2], d[6]));
        let odd = simd.max(simd.max(d[1], d[5]), simd.max(d[3], d[7]));
        simd.max(even, odd)
    }
}

/// Runs `$body` with `$keys` bound to the norm type of `$measure`.
macro_rules! with_keys {
    ($measure:expr, $keys:ident => $body:expr) => {
        match ($measure.norm, $measure.unit()) {
            (crate::metric::Norm::Two, true) => {
                type $keys = crate::metric::Two<true>;
                $body
            }
            (crate::metric::Norm::Two, false) => {
                type $keys = crate::metric::Two<false>;
                $body
            }
            (crate::metric::Norm::One, _) => {
                type $keys = crate::metric::One;
                $body
            }
            (crate::metric::Norm::Max, _) => {
                type $keys = crate::metric::Max;
                $body
            }
        }
    };
}
pub(crate) use with_keys;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_exact_key_is_the_last_one_within(bits in 0_u32..0x7f80_0000) {
            let radius = f32::from_bits(bits);
            let measure = Metric::Euclidean.measure([1.0; 8]);
            let key = measure.exact_key(radius);
            prop_assert!(key.sqrt() <= radius);
            prop_assert!(key == f32::MAX || key.next_up().sqrt() > radius);
        }

        #[test]
        fn the_loose_key_is_never_too_small(bits in 0_u32..0x7f80_0000) {
            let key = f32::from_bits(bits);
            let measure = Metric::Euclidean.measure([1.0; 8]);
            let loose = measure.loose_key(measure.distance(key));
            prop_assert!(key <= loose);
            prop_assert!(measure.exact_key(measure.distance(key)) <= loose);
        }
    }
}
