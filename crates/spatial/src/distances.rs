//! Distances between points, without a grid.

use ndarray::{Array2, ArrayView2};
use ottava_core::MAX_MAGNITUDE;
use ottava_core::batch::rows;
use ottava_core::point::check_coordinates;
use std::borrow::Cow;
use std::marker::PhantomData;

use crate::batch::zeroed;
use crate::error::Error;
use crate::kernel::{self, LANES, Lanes, Op, Simd};
use crate::metric::{Keys, Measure, Metric, with_keys};
use crate::tree::{Probe, column_keys};
use crate::whitening::{Whitening, mean};

/// The distance of two points. As everywhere, Euclidean distances lose digits below about 1e-19 and
/// are 0 below about 1e-23, where `f32` cannot hold their squares.
///
/// # Errors
/// [`Error::Core`] for a coordinate that is not finite or too large, row 0 for `a`, row 1 for `b`.
pub fn distance(a: &[f32; 8], b: &[f32; 8], metric: &Metric) -> Result<f32, Error> {
    check_coordinates(0, a)?;
    check_coordinates(1, b)?;
    let measure = metric.measure([1.0; 8]);
    let key = match metric.whitening() {
        Some(whitening) => measure.key(&whiten(whitening, &a.map(f64::from), 1, b)?, &[0.0; 8]),
        None => measure.key(b, a),
    };
    Ok(measure.distance(key))
}

/// The distances of a point to points of shape (n, 8); shape (n,).
///
/// # Errors
/// As [`distances_into`].
pub fn distances(
    position: &[f32; 8],
    points: ArrayView2<'_, f32>,
    metric: &Metric,
) -> Result<Vec<f32>, Error> {
    let mut out = zeroed(points.nrows())?;
    distances_into(position, points, metric, &mut out)?;
    Ok(out)
}

/// Writes the distances of a point to points of shape (n, 8) into `out`, shape (n,). A point with a
/// coordinate that is not finite has a distance that is not finite: one pass reads the points, and
/// it is bound by memory.
///
/// # Errors
/// [`Error::OutLength`]; [`Error::Core`] for a bad `position` or shape.
pub fn distances_into(
    position: &[f32; 8],
    points: ArrayView2<'_, f32>,
    metric: &Metric,
    out: &mut [f32],
) -> Result<(), Error> {
    check_coordinates(0, position)?;
    let points = whitened(metric, &position.map(f64::from), rows(points)?)?;
    let position = if metric.whitening().is_some() { &[0.0; 8] } else { position };
    if out.len() != points.len() {
        return Err(Error::OutLength { expected: points.len(), found: out.len() });
    }
    let measure = metric.measure([1.0; 8]);
    with_keys!(measure, K => kernel::run(kernel::current(), OneToMany::<K> {
        position,
        points: &points,
        measure: &measure,
        out,
        keys: PhantomData,
    }));
    Ok(())
}

/// The distances between points of shape (n, 8) and points of shape (m, 8); shape (n, m).
///
/// # Errors
/// As [`pairwise_into`]; [`Error::AnswerTooLarge`].
pub fn pairwise(
    left: ArrayView2<'_, f32>,
    right: ArrayView2<'_, f32>,
    metric: &Metric,
) -> Result<Array2<f32>, Error> {
    let (rows, columns) = (left.nrows(), right.nrows());
    let too_large = Error::AnswerTooLarge { rows, columns };
    if rows.checked_mul(columns).is_none_or(|size| size > isize::MAX as usize / 4) {
        return Err(too_large);
    }
    let mut out = Vec::new();
    out.try_reserve_exact(rows * columns).map_err(|_| too_large)?;
    out.resize(rows * columns, 0.0);
    pairwise_into(left, right, metric, &mut out)?;
    Array2::from_shape_vec((rows, columns), out)
        .map_err(|_| Error::AnswerTooLarge { rows, columns })
}

/// Writes the distances between points of shape (n, 8) and points of shape (m, 8) into `out`, shape
/// (n, m), row-major.
///
/// # Errors
/// [`Error::OutLength`]; [`Error::Core`] for a bad shape, or for a bad coordinate in `left`.
pub fn pairwise_into(
    left: ArrayView2<'_, f32>,
    right: ArrayView2<'_, f32>,
    metric: &Metric,
    out: &mut [f32],
) -> Result<(), Error> {
    let (left, right) = (rows(left)?, rows(right)?);
    for (row, position) in left.iter().enumerate() {
        check_coordinates(row, position)?;
    }
    let center = if metric.whitening().is_some() { mean(&left) } else { [0.0; 8] };
    let (left, right) = (whitened(metric, &center, left)?, whitened(metric, &center, right)?);
    let expected = left.len().saturating_mul(right.len());
    if out.len() != expected {
        return Err(Error::OutLength { expected, found: out.len() });
    }
    let measure = metric.measure([1.0; 8]);
    with_keys!(measure, K => kernel::run(kernel::current(), AllPairs::<K> {
        left: &left,
        right: &right,
        measure: &measure,
        out,
        keys: PhantomData,
    }));
    Ok(())
}

fn whiten(
    whitening: &Whitening,
    center: &[f64; 8],
    row: usize,
    position: &[f32; 8],
) -> Result<[f32; 8], Error> {
    let white = whitening.apply_around(center, position);
    match white.iter().position(|x| x.abs() > MAX_MAGNITUDE || x.is_nan()) {
        Some(axis) => Err(Error::Scaled { row, axis, value: position[axis] }),
        None => Ok(white),
    }
}

fn whitened<'a>(
    metric: &Metric,
    center: &[f64; 8],
    rows: Cow<'a, [[f32; 8]]>,
) -> Result<Cow<'a, [[f32; 8]]>, Error> {
    let Some(whitening) = metric.whitening() else { return Ok(rows) };
    let white = rows.iter().enumerate().map(|(row, p)| whiten(whitening, center, row, p));
    Ok(Cow::Owned(white.collect::<Result<_, _>>()?))
}

/// Blocks from the one at hand to the one that is fetched.
const AHEAD: usize = 16;

struct OneToMany<'a, K> {
    position: &'a [f32; 8],
    points: &'a [[f32; 8]],
    measure: &'a Measure,
    out: &'a mut [f32],
    keys: PhantomData<K>,
}

impl<K: Keys> Op for OneToMany<'_, K> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut q = [simd.splat(0.0); 8];
        for axis in 0..8 {
            q[axis] = simd.splat(self.position[axis]);
        }
        let (blocks, rest) = self.points.as_chunks::<LANES>();
        let (outs, out_rest) = self.out.as_chunks_mut::<LANES>();
        for (i, (block, out)) in blocks.iter().zip(outs).enumerate() {
            // The processor's own prefetcher stops at each page.
            if let Some(ahead) = blocks.get(i + AHEAD) {
                ahead.iter().step_by(2).for_each(|line| simd.prefetch(line));
            }
            one_block::<S, K>(simd, &q, block, self.measure.root, out);
        }
        if !rest.is_empty() {
            let (mut block, mut out) = ([[0.0; 8]; LANES], [0.0; LANES]);
            block[..rest.len()].copy_from_slice(rest);
            one_block::<S, K>(simd, &q, &block, self.measure.root, &mut out);
            out_rest.copy_from_slice(&out[..rest.len()]);
        }
    }
}

#[inline(always)]
fn one_block<S: Simd, K: Keys>(
    simd: S,
    q: &[S::F; 8],
    block: &[[f32; 8]; LANES],
    root: bool,
    out: &mut Lanes,
) {
    let mut d = simd.columns(block);
    for axis in 0..8 {
        d[axis] = simd.sub(d[axis], q[axis]);
    }
    let keys = K::keys(simd, d);
    simd.store(if root { simd.sqrt(keys) } else { keys }, out);
}

struct AllPairs<'a, K> {
    left: &'a [[f32; 8]],
    right: &'a [[f32; 8]],
    measure: &'a Measure,
    out: &'a mut [f32],
    keys: PhantomData<K>,
}

/// Points of the right side that stay in the first-level cache: 16 KiB.
const TILE: usize = 512;

/// Points of the right side by axis, as many more as a vector has lanes.
type Tile = [[f32; TILE + LANES]; 8];

impl<K: Keys> Op for AllPairs<'_, K> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let columns = self.right.len();
        if columns == 0 {
            return;
        }
        let root = self.measure.root;
        let mut tile = Box::new([[0.0; TILE + LANES]; 8]);
        for start in (0..columns).step_by(TILE) {
            let end = (start + TILE).min(columns);
            for (i, point) in self.right[start..].iter().take(TILE + LANES).enumerate() {
                for axis in 0..8 {
                    tile[axis][i] = point[axis];
                }
            }
            for (position, row) in self.left.iter().zip(self.out.chunks_mut(columns)) {
                let probe = Probe::new(simd, position, &self.measure.scales);
                // A row passes from tile to tile at a cache line, so that whole lines are streamed past the caches.
                let from = if start == 0 { 0 } else { next_line(row, start) };
                let to = next_line(row, end);
                let head = next_line(row, from).min(to) - from;
                let (head, rest) = row[from..to].split_at_mut(head);
                let (lines, tail) = rest.as_chunks_mut::<LANES>();
                let mut at = from - start;
                if !head.is_empty() {
                    part::<S, K>(simd, &probe, &tile, at, root, head);
                    at += head.len();
                }
                for line in lines {
                    simd.stream(finish::<S, K>(simd, &probe, &tile, at, root), line);
                    at += LANES;
                }
                if !tail.is_empty() {
                    part::<S, K>(simd, &probe, &tile, at, root, tail);
                }
            }
        }
        simd.fence();
    }
}

/// The first place in a row, from `at`, that begins a cache line; its end if there is none.
#[inline(always)]
fn next_line(row: &[f32], at: usize) -> usize {
    let past = row.as_ptr().addr() / 4 + at;
    (at + past.next_multiple_of(LANES) - past).min(row.len())
}

/// The distances to sixteen points of a tile, from `at`, which is at most [`TILE`].
#[inline(always)]
fn finish<S: Simd, K: Keys>(simd: S, probe: &Probe<S>, tile: &Tile, at: usize, root: bool) -> S::F {
    let at = at.min(TILE);
    let keys = column_keys::<S, K>(
        simd,
        probe,
        #[inline(always)]
        |axis| tile[axis][at..].first_chunk().unwrap_or(&[0.0; LANES]),
    );
    if root { simd.sqrt(keys) } else { keys }
}

/// Fewer than sixteen of them.
#[inline(always)]
fn part<S: Simd, K: Keys>(
    simd: S,
    probe: &Probe<S>,
    tile: &Tile,
    at: usize,
    root: bool,
    out: &mut [f32],
) {
    let mut lanes = [0.0; LANES];
    simd.store(finish::<S, K>(simd, probe, tile, at, root), &mut lanes);
    out.copy_from_slice(&lanes[..out.len()]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows that begin anywhere in a cache line, shorter and longer than a tile.
    #[test]
    fn all_pairs_are_those_of_one_to_many() {
        let point = |i: usize| std::array::from_fn(|axis| ((i * 37 + axis * 11) % 101) as f32);
        let points: Vec<[f32; 8]> = (0..2 * TILE + 40).map(point).collect();
        let metrics = [Metric::Euclidean, Metric::SquaredEuclidean, Metric::Chebyshev];
        for columns in [1, 15, 16, 17, TILE - 1, TILE, TILE + 1, TILE + 17, 2 * TILE + 31] {
            for (shift, metric) in (0..LANES).zip(metrics.iter().cycle()) {
                let right = ArrayView2::from(&points[..columns]);
                let left = ArrayView2::from(&points[5..10]);
                let mut out = vec![-1.0; shift + 5 * columns + 1];
                let (before, rest) = out.split_at_mut(shift);
                pairwise_into(left, right, metric, &mut rest[..5 * columns]).unwrap();
                for (row, position) in rest.chunks(columns).zip(&points[5..10]) {
                    assert_eq!(row, distances(position, right, metric).unwrap(), "{columns}");
                }
                assert!(before.iter().all(|&x| x == -1.0) && rest[5 * columns] == -1.0);
            }
        }
    }
}
