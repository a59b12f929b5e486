//! Points that are hard in different ways.

use proptest::prelude::*;
use proptest::test_runner::TestRng;

/// A kind of data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    Uniform,
    Clustered,
    /// Few places, many points at each.
    Duplicated,
    Collinear,
    /// Some axes are constant.
    ConstantAxes,
    /// Integers: many equal distances.
    Lattice,
    /// Magnitudes from 1e-30 to 1e18, mixed.
    Magnitudes,
    /// Uniform, with one point far away.
    Outlier,
    /// Smaller than their squares can be.
    Tiny,
    /// As large as they may be.
    Huge,
}

pub(crate) const SHAPES: [Shape; 10] = [
    Shape::Uniform,
    Shape::Clustered,
    Shape::Duplicated,
    Shape::Collinear,
    Shape::ConstantAxes,
    Shape::Lattice,
    Shape::Magnitudes,
    Shape::Outlier,
    Shape::Tiny,
    Shape::Huge,
];

/// A source of randomness from a seed.
pub(crate) fn rng(seed: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &bytes)
}

/// Points of one kind and the seed they came from.
pub(crate) fn points(shape: Shape, n: usize, rng: &mut TestRng) -> Vec<[f32; 8]> {
    let mut centers = Vec::new();
    for _ in 0..5 {
        centers.push(uniform(rng, -10.0, 10.0));
    }
    let (from, to) = (centers[0], centers[1]);
    (0..n)
        .map(|i| match shape {
            Shape::Uniform => uniform(rng, 0.0, 1.0),
            Shape::Clustered => {
                let center = centers[rng.random_range(0..centers.len())];
                let noise = uniform(rng, -0.3, 0.3);
                std::array::from_fn(|axis| center[axis] + noise[axis])
            }
            Shape::Duplicated => centers[rng.random_range(0..centers.len())],
            Shape::Collinear => {
                let t = rng.random_range(0.0..1.0_f32);
                std::array::from_fn(|axis| from[axis] + t * (to[axis] - from[axis]))
            }
            Shape::ConstantAxes => {
                let mut point = uniform(rng, 0.0, 1.0);
                point[1] = 0.5;
                point[4] = -3.0;
                point[7] = 0.0;
                point
            }
            Shape::Lattice => uniform(rng, -2.5, 2.5).map(f32::round),
            Shape::Magnitudes => uniform(rng, -30.0, 18.0).map(|power| {
                let sign = if rng.random_range(0..2) == 0 { 1.0 } else { -1.0 };
                sign * 10.0_f32.powf(power)
            }),
            Shape::Outlier if i == n / 2 => [1e6; 8],
            Shape::Outlier => uniform(rng, 0.0, 1.0),
            Shape::Tiny => uniform(rng, -3e-22, 3e-22),
            Shape::Huge => uniform(rng, -5e17, 5e17),
        })
        .collect()
}

fn uniform(rng: &mut TestRng, lo: f32, hi: f32) -> [f32; 8] {
    std::array::from_fn(|_| rng.random_range(lo..hi))
}

/// Any kind of data.
pub(crate) fn any_shape() -> impl Strategy<Value = Shape> {
    prop::sample::select(&SHAPES[..])
}
