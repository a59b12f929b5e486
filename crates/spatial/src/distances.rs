//! Distances between points, without a grid.

use ndarray::{Array2, ArrayView2};
use ottava_core::MAX_MAGNITUDE;
use ottava_core::batch::rows;
use ottava_core::point::check_coordinates;
use std::borrow::Cow;
use std::marker::PhantomData;

use crate::error::Error;
use crate::kernel::{self, Block, LANES, Lanes, Op, Simd};
use crate::metric::{Keys, Measure, Metric, with_keys};
use crate::tree::{Probe, leaf_keys};

/// The distance of two points.
///
/// # Errors
/// [`Error::Core`] for a coordinate that is not finite or too large, row 0 for `a`, row 1 for `b`.
pub fn distance(a: &[f32; 8], b: &[f32; 8], metric: &Metric) -> Result<f32, Error> {
    check_coordinates(0, a)?;
    check_coordinates(1, b)?;
    let measure = metric.measure([1.0; 8]);
    let key = match metric.whitening() {
        Some(_) => measure.key(&whiten(metric, 1, b)?, &whiten(metric, 0, a)?),
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
    let mut out = vec![0.0; points.nrows()];
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
    let position = whiten(metric, 0, position)?;
    let points = whitened(metric, points)?;
    if out.len() != points.len() {
        return Err(Error::OutLength { expected: points.len(), found: out.len() });
    }
    let measure = metric.measure([1.0; 8]);
    with_keys!(measure, K => kernel::run(kernel::current(), OneToMany::<K> {
        position: &position,
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
    let (left, right) = (whitened(metric, left)?, whitened(metric, right)?);
    for (row, position) in left.iter().enumerate() {
        check_coordinates(row, position)?;
    }
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

fn whiten(metric: &Metric, row: usize, position: &[f32; 8]) -> Result<[f32; 8], Error> {
    let Some(whitening) = metric.whitening() else { return Ok(*position) };
    let white = whitening.apply(position);
    match white.iter().position(|x| x.abs() > MAX_MAGNITUDE || x.is_nan()) {
        Some(axis) => Err(Error::Scaled { row, axis, value: position[axis] }),
        None => Ok(white),
    }
}

fn whitened<'a>(
    metric: &Metric,
    points: ArrayView2<'a, f32>,
) -> Result<Cow<'a, [[f32; 8]]>, Error> {
    let rows = rows(points)?;
    if metric.whitening().is_none() {
        return Ok(rows);
    }
    let white = rows.iter().enumerate().map(|(row, position)| whiten(metric, row, position));
    Ok(Cow::Owned(white.collect::<Result<_, _>>()?))
}

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
        for (block, out) in blocks.iter().zip(outs) {
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

/// Blocks of the right side that stay in the first-level cache: 16 KiB.
const TILE: usize = 32;

impl<K: Keys> Op for AllPairs<'_, K> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let columns = self.right.len();
        if columns == 0 {
            return;
        }
        let mut tile: Vec<Block> = Vec::with_capacity(TILE);
        for (at, points) in self.right.chunks(TILE * LANES).enumerate() {
            tile.clear();
            for chunk in points.chunks(LANES) {
                let mut block = [[0.0; LANES]; 8];
                for (lane, point) in chunk.iter().enumerate() {
                    for axis in 0..8 {
                        block[axis][lane] = point[axis];
                    }
                }
                tile.push(block);
            }
            let start = at * TILE * LANES;
            for (position, out) in self.left.iter().zip(self.out.chunks_mut(columns)) {
                let probe = Probe::new(simd, position, &self.measure.scales);
                let out = &mut out[start..start + points.len()];
                let (outs, rest) = out.as_chunks_mut::<LANES>();
                for (block, out) in tile.iter().zip(outs.iter_mut()) {
                    simd.stream(finish::<S, K>(simd, &probe, block, self.measure.root), out);
                }
                if let (false, Some(block)) = (rest.is_empty(), tile.last()) {
                    let mut lanes = [0.0; LANES];
                    simd.store(finish::<S, K>(simd, &probe, block, self.measure.root), &mut lanes);
                    rest.copy_from_slice(&lanes[..rest.len()]);
                }
            }
        }
        simd.fence();
    }
}

#[inline(always)]
fn finish<S: Simd, K: Keys>(simd: S, probe: &Probe<S>, block: &Block, root: bool) -> S::F {
    let keys = leaf_keys::<S, K>(simd, probe, block);
    if root { simd.sqrt(keys) } else { keys }
}
