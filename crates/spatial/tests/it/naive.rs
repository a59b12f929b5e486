//! The slow reference: every token, one after the other, with plain arithmetic.

use ottava_spatial::Metric;

/// A token as the reference sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row {
    pub(crate) id: u64,
    pub(crate) position: [f32; 8],
    pub(crate) weight: f32,
    pub(crate) radius: f32,
    pub(crate) strength: f32,
}

impl Row {
    pub(crate) fn new(id: u64, position: [f32; 8]) -> Self {
        Self { id, position, weight: 1.0, radius: 0.0, strength: 0.0 }
    }
}

/// The distance of a metric, in the order of summation that the crate documents.
pub(crate) fn distance(metric: &Metric, scales: &[f32; 8], p: &[f32; 8], q: &[f32; 8]) -> f32 {
    let d: [f32; 8] = std::array::from_fn(|a| scales[a] * (p[a] - q[a]));
    let sum = |t: [f32; 8]| ((t[0] + t[4]) + (t[2] + t[6])) + ((t[1] + t[5]) + (t[3] + t[7]));
    match metric {
        Metric::Euclidean => sum(d.map(|d| d * d)).sqrt(),
        Metric::SquaredEuclidean => sum(d.map(|d| d * d)),
        Metric::Manhattan => sum(d.map(f32::abs)),
        Metric::Chebyshev => d.iter().fold(0.0, |m, d| m.max(d.abs())),
        Metric::Mahalanobis(whitening) => {
            let (p, q) = (whitening.apply(p), whitening.apply(q));
            distance(&Metric::Euclidean, scales, &p, &q)
        }
        _ => unreachable!("a metric without a reference"),
    }
}

/// All rows by distance, then id.
pub(crate) fn ranked(
    rows: &[Row],
    metric: &Metric,
    scales: &[f32; 8],
    q: &[f32; 8],
) -> Vec<(u64, f32)> {
    let mut all: Vec<_> =
        rows.iter().map(|row| (row.id, distance(metric, scales, &row.position, q))).collect();
    all.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    all
}
