//! Many queries at once, in parallel.
//!
//! Queries are visited along a space-filling curve, so that one finds in the caches what the one
//! before it used; answers go back to the rows of their queries.

use std::sync::atomic::{AtomicBool, Ordering};

use bytemuck::Zeroable;
use ndarray::ArrayView2;
use ottava_core::batch::rows;
use ottava_core::{NO_TOKEN, TokenId};
use rayon::prelude::*;

use crate::collect::unpack;
use crate::error::Error;
use crate::grid::TokenGrid;
use crate::queries::{Plan, bound, check_radius};
use crate::query::{NeighborTable, Query, Ragged};

/// Queries that one task answers.
pub(crate) const CHUNK: usize = 128;

/// Bytes of trees that stay in the caches while a batch is answered.
const IN_CACHE: usize = 1 << 20;

/// The checked positions of a batch, and the order to visit them in.
pub(crate) struct Visit {
    positions: Vec<[f32; 8]>,
    order: Vec<u32>,
}

impl TokenGrid {
    /// [`TokenGrid::nearest`] for every row of positions of shape (n, 8), on the current rayon pool.
    /// The answer does not depend on the number of threads.
    ///
    /// # Errors
    /// As [`TokenGrid::nearest`], naming the row; [`Error::AnswerTooLarge`].
    pub fn nearest_batch(
        &self,
        positions: ArrayView2<'_, f32>,
        k: usize,
        query: &Query<'_>,
    ) -> Result<NeighborTable, Error> {
        let plan = self.plan(query)?;
        let bound = bound(query, &plan)?;
        let k = self.usable_k(k)?;
        let visit = self.visit(positions, &plan)?;
        let n = visit.len();
        let too_large = |_| Error::AnswerTooLarge { rows: n, columns: k };
        let size = n.checked_mul(k).ok_or(Error::AnswerTooLarge { rows: n, columns: k })?;
        if size == 0 {
            return Ok(NeighborTable { k, ..NeighborTable::default() });
        }
        let mut ids: Vec<TokenId> = zeroed(size).map_err(too_large)?;
        let mut distances: Vec<f32> = zeroed(size).map_err(too_large)?;
        let answer = |(at, (ids, distances)): (usize, (&mut [TokenId], &mut [f32]))| {
            if cancelled(query.cancel) {
                return;
            }
            let mut column = 0;
            let emit = |slot, distance| {
                (ids[column], distances[column]) = (self.store.id(slot), distance);
                column += 1;
            };
            self.nearest_planned(visit.position(at), k, bound, &plan, plan.admission(), emit);
            ids[column..].fill(NO_TOKEN);
            distances[column..].fill(f32::INFINITY);
        };
        if n <= CHUNK {
            ids.chunks_mut(k).zip(distances.chunks_mut(k)).enumerate().for_each(answer);
        } else {
            let rows = ids.par_chunks_mut(k).zip(distances.par_chunks_mut(k)).enumerate();
            rows.with_min_len(CHUNK).for_each(answer);
        }
        if cancelled(query.cancel) {
            return Err(Error::Cancelled);
        }
        self.intact()?;
        Ok(NeighborTable {
            k,
            ids: visit.restore(ids, k)?,
            distances: visit.restore(distances, k)?,
        })
    }

    /// [`TokenGrid::within`] for every row of positions of shape (n, 8), on the current rayon pool.
    ///
    /// # Errors
    /// As [`TokenGrid::within`], naming the row; [`Error::OutOfMemory`].
    pub fn within_batch(
        &self,
        positions: ArrayView2<'_, f32>,
        radius: f32,
        query: &Query<'_>,
    ) -> Result<Ragged, Error> {
        let plan = self.plan(query)?;
        let key = plan.measure.exact_key(check_radius(radius)?);
        let visit = self.visit(positions, &plan)?;
        let parts = visit.chunks(query.cancel, |range| {
            let mut part = Ragged { indptr: vec![0], ids: Vec::new(), distances: Vec::new() };
            let mut found = Vec::new();
            for at in range {
                let (position, admission) = (visit.position(at), plan.admission());
                self.find(position, key, query.limit, &plan, admission, &mut found);
                self.store.arrange(&mut found, plan.sort);
                reserve(&mut part.ids, found.len())?;
                reserve(&mut part.distances, found.len())?;
                let hits = found.iter().map(|&hit| unpack(hit));
                part.ids.extend(hits.clone().map(|(_, slot)| self.store.id(slot)));
                part.distances.extend(hits.map(|(distance, _)| distance));
                part.indptr.push(part.ids.len() as i64);
            }
            Ok(part)
        })?;
        self.intact()?;
        visit.assemble(&parts)
    }

    /// [`TokenGrid::count_within`] for every row of positions of shape (n, 8), on the current rayon
    /// pool.
    ///
    /// # Errors
    /// As [`TokenGrid::within`], naming the row.
    pub fn count_within_batch(
        &self,
        positions: ArrayView2<'_, f32>,
        radius: f32,
        query: &Query<'_>,
    ) -> Result<Vec<u64>, Error> {
        let plan = self.plan(query)?;
        let key = plan.measure.exact_key(check_radius(radius)?);
        let visit = self.visit(positions, &plan)?;
        let parts = visit.chunks(query.cancel, |range| {
            let count = |at| self.count_planned(visit.position(at), key, &plan) as u64;
            Ok(range.map(count).collect::<Vec<_>>())
        })?;
        self.intact()?;
        visit.restore(parts.concat(), 1)
    }

    pub(crate) fn visit(
        &self,
        positions: ArrayView2<'_, f32>,
        plan: &Plan<'_>,
    ) -> Result<Visit, Error> {
        let rows = rows(positions)?;
        let planned = |(row, position)| self.planned(row, position, plan);
        let positions: Result<Vec<_>, _> = rows.iter().enumerate().map(planned).collect();
        let positions = positions?;
        // What is in the cache in any order needs none.
        if self.forest.memory() <= IN_CACHE {
            let order = (0..positions.len() as u32).collect();
            return Ok(Visit::in_order(positions, order));
        }
        Ok(Visit::new(positions))
    }
}

impl Visit {
    pub(crate) fn new(positions: Vec<[f32; 8]>) -> Self {
        let order = curve_order(&positions);
        Self { positions, order }
    }

    /// `order` holds every row once.
    pub(crate) fn in_order(positions: Vec<[f32; 8]>, order: Vec<u32>) -> Self {
        Self { positions, order }
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// The row of the query to answer at a step.
    pub(crate) fn row(&self, step: usize) -> usize {
        self.order[step] as usize
    }

    /// The position to visit at a step.
    pub(crate) fn position(&self, step: usize) -> &[f32; 8] {
        &self.positions[self.order[step] as usize]
    }

    /// Runs ranges of steps in parallel; the answers are in the order of the steps.
    pub(crate) fn chunks<T: Send>(
        &self,
        cancel: Option<&AtomicBool>,
        run: impl Fn(std::ops::Range<usize>) -> Result<T, Error> + Sync + Send,
    ) -> Result<Vec<T>, Error> {
        let run = |range| if cancelled(cancel) { Err(Error::Cancelled) } else { run(range) };
        let range = |chunk: usize| chunk * CHUNK..((chunk + 1) * CHUNK).min(self.len());
        let chunks = self.len().div_ceil(CHUNK);
        if chunks <= 1 {
            return (0..chunks).map(|chunk| run(range(chunk))).collect();
        }
        (0..chunks).into_par_iter().map(|chunk| run(range(chunk))).collect()
    }

    /// Rows of `width` values in the order of the steps, back in the order of the queries.
    pub(crate) fn restore<T: Copy + Zeroable>(
        &self,
        values: Vec<T>,
        width: usize,
    ) -> Result<Vec<T>, Error> {
        if self.order.is_sorted() {
            return Ok(values);
        }
        let mut rows = zeroed(values.len())?;
        for (value, &row) in values.chunks(width).zip(&self.order) {
            rows[row as usize * width..][..width].copy_from_slice(value);
        }
        Ok(rows)
    }

    /// Ragged chunks in the order of the steps, as one in the order of the queries.
    fn assemble(&self, parts: &[Ragged]) -> Result<Ragged, Error> {
        let mut indptr = vec![0_i64; self.len() + 1];
        for (step, &row) in self.order.iter().enumerate() {
            let part = &parts[step / CHUNK].indptr;
            indptr[row as usize + 1] = part[step % CHUNK + 1] - part[step % CHUNK];
        }
        for row in 0..self.len() {
            indptr[row + 1] += indptr[row];
        }
        let total = indptr[self.len()] as usize;
        let (mut ids, mut distances): (Vec<TokenId>, Vec<f32>) = (zeroed(total)?, zeroed(total)?);
        for (step, &row) in self.order.iter().enumerate() {
            let part = &parts[step / CHUNK];
            let (found_ids, found_distances) = part.row(step % CHUNK);
            let start = indptr[row as usize] as usize;
            ids[start..][..found_ids.len()].copy_from_slice(found_ids);
            distances[start..][..found_ids.len()].copy_from_slice(found_distances);
        }
        Ok(Ragged { indptr, ids, distances })
    }
}

/// Zeros, which the system gives without writing them.
pub(crate) fn zeroed<T: Zeroable>(len: usize) -> Result<Vec<T>, Error> {
    let bytes = len.saturating_mul(size_of::<T>());
    bytemuck::allocation::try_zeroed_vec(len).map_err(|()| Error::OutOfMemory { bytes })
}

/// Makes room for more values of an answer that grows.
pub(crate) fn reserve<T>(values: &mut Vec<T>, more: usize) -> Result<(), Error> {
    let bytes = more.saturating_mul(size_of::<T>());
    values.try_reserve(more).map_err(|_| Error::OutOfMemory { bytes })
}

fn cancelled(flag: Option<&AtomicBool>) -> bool {
    flag.is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Bits of a row number that fit below the 40 highest bits of its place on the curve.
const ROW_BITS: u32 = 24;

/// The rows in the order of a Z-order curve over their bounds, 8 bits an axis.
fn curve_order(positions: &[[f32; 8]]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..positions.len() as u32).collect();
    if positions.len() <= 32 {
        return order;
    }
    let (mut lo, mut hi) = (positions[0], positions[0]);
    for position in positions {
        for axis in 0..8 {
            lo[axis] = lo[axis].min(position[axis]);
            hi[axis] = hi[axis].max(position[axis]);
        }
    }
    let steps: [f32; 8] = std::array::from_fn(|axis| {
        let step = 255.0 / (hi[axis] - lo[axis]);
        if step.is_finite() { step } else { 0.0 }
    });
    let key = |position: &[f32; 8]| {
        (0..8).fold(0_u64, |key, axis| {
            let level = ((position[axis] - lo[axis]) * steps[axis]) as u8;
            key | spread(level) << axis
        })
    };
    if positions.len() <= 1 << ROW_BITS {
        // The curve is cut off after five bits an axis, to sort numbers instead of pairs.
        let row_mask = (1 << ROW_BITS) - 1;
        let mut keyed: Vec<u64> =
            (0_u64..).zip(positions).map(|(row, p)| key(p) & !row_mask | row).collect();
        keyed.sort_unstable();
        for (place, keyed) in order.iter_mut().zip(keyed) {
            *place = (keyed & row_mask) as u32;
        }
    } else {
        order.sort_by_cached_key(|&row| key(&positions[row as usize]));
    }
    order
}

/// The eight bits of a byte, eight places apart.
fn spread(byte: u8) -> u64 {
    let mut x = u64::from(byte);
    x = (x | x << 28) & 0x0000_000f_0000_000f;
    x = (x | x << 14) & 0x0003_0003_0003_0003;
    (x | x << 7) & 0x0101_0101_0101_0101
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_bits() {
        for byte in 0..=u8::MAX {
            let expected = (0..8).fold(0, |x, bit| x | u64::from(byte >> bit & 1) << (8 * bit));
            assert_eq!(spread(byte), expected);
        }
    }
}
