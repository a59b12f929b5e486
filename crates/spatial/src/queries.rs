//! Single queries: nearest, within, count within, box.

use std::borrow::Cow;
use std::marker::PhantomData;

use ottava_core::point::check_coordinates;
use ottava_core::{MAX_MAGNITUDE, Scales, TokenId};

use crate::collect::{Admission, Collect, Count, Hits, Nearest, hit, keys_to_distances, unpack};
use crate::error::Error;
use crate::filter::Filter;
use crate::forest::Forest;
use crate::grid::TokenGrid;
use crate::kernel::scalar::Scalar;
use crate::kernel::{self, LANES, Op, Simd};
use crate::metric::{Keys, Measure, with_keys};
use crate::query::{Neighbors, Query};
use crate::tree::{NO_SLOT, Probe};

/// Filters that admit no more tokens than this are answered from the tokens, not from the trees.
const SCAN_UP_TO: usize = 4096;

/// More excluded tokens than this are taken out of a set of all tokens.
const EXCLUDED_UP_TO: usize = 16;

/// A query made ready: what holds for all its points.
pub(crate) struct Plan<'a> {
    pub(crate) measure: Measure,
    pub(crate) sort: bool,
    bits: Option<Cow<'a, [u64]>>,
    excluded: Vec<u32>,
    /// The few tokens admitted, if it is worth asking them alone.
    scan: Option<&'a Filter>,
}

impl Plan<'_> {
    pub(crate) fn admission(&self) -> Admission<'_> {
        self.admission_for(NO_SLOT)
    }

    /// Whether the few tokens admitted are asked alone.
    pub(crate) fn scans(&self) -> bool {
        self.scan.is_some()
    }

    /// Admits what the plan does but for one slot.
    pub(crate) fn admission_for(&self, own: u32) -> Admission<'_> {
        Admission { bits: self.bits.as_deref(), excluded: &self.excluded, own }
    }
}

impl TokenGrid {
    /// The `k` nearest tokens to a position, ascending by distance, ties by id; fewer if fewer exist
    /// or are admitted. Exact.
    ///
    /// # Errors
    /// [`Error::ZeroK`]; [`Error::Core`] or [`Error::Scaled`] for a bad coordinate;
    /// [`Error::Radius`] for a bad `within`; [`Error::UnknownId`] for an excluded id;
    /// [`Error::StaleFilter`]; [`Error::QueryScale`]; [`Error::WhitenedAxes`]; [`Error::Snapshot`] as
    /// [`Verify::AsRead`](crate::Verify::AsRead) says.
    pub fn nearest(
        &self,
        position: &[f32; 8],
        k: usize,
        query: &Query<'_>,
    ) -> Result<Neighbors, Error> {
        let plan = self.plan(query)?;
        let position = self.planned(0, position, &plan)?;
        let mut found = Neighbors::default();
        let (k, bound) = (self.usable_k(k)?, bound(query, &plan)?);
        self.nearest_planned(&position, k, bound, &plan, plan.admission(), |slot, distance| {
            found.ids.push(self.store.id(slot));
            found.distances.push(distance);
        });
        self.intact().map(|()| found)
    }

    /// The tokens no farther from a position than `radius`, which is in the units of the metric and
    /// may be infinite.
    ///
    /// # Errors
    /// [`Error::Radius`] for a negative or NaN radius; otherwise as [`TokenGrid::nearest`].
    pub fn within(
        &self,
        position: &[f32; 8],
        radius: f32,
        query: &Query<'_>,
    ) -> Result<Neighbors, Error> {
        let plan = self.plan(query)?;
        let position = self.planned(0, position, &plan)?;
        let key = plan.measure.exact_key(check_radius(radius)?);
        let mut found = Neighbors::default();
        let emit = |slot, distance| {
            found.ids.push(self.store.id(slot));
            found.distances.push(distance);
        };
        let admission = plan.admission();
        self.within_planned(&position, key, query.limit, &plan, admission, &mut Vec::new(), emit);
        self.intact().map(|()| found)
    }

    /// How many tokens are no farther from a position than `radius`.
    ///
    /// # Errors
    /// As [`TokenGrid::within`].
    pub fn count_within(
        &self,
        position: &[f32; 8],
        radius: f32,
        query: &Query<'_>,
    ) -> Result<usize, Error> {
        let plan = self.plan(query)?;
        let position = self.planned(0, position, &plan)?;
        let key = plan.measure.exact_key(check_radius(radius)?);
        let count = self.count_planned(&position, key, &plan);
        self.intact().map(|()| count)
    }

    /// The ids of the tokens in a box, both corners inclusive, ascending. The corners are positions,
    /// not scaled, so an axis whose scale is 0 bounds like any other; they may be infinite. Of the
    /// query, `axes`, `filter` and `exclude` apply: the box is unbounded along the other axes.
    ///
    /// # Errors
    /// [`Error::Box`] for a lower corner above the upper one or NaN; otherwise as
    /// [`TokenGrid::nearest`].
    pub fn box_query(
        &self,
        lo: &[f32; 8],
        hi: &[f32; 8],
        query: &Query<'_>,
    ) -> Result<Vec<TokenId>, Error> {
        let (mut lo, mut hi) = (*lo, *hi);
        for axis in 0..8 {
            let chosen = query.axes.unwrap_or(self.options.axes).contains(axis);
            if !chosen {
                (lo[axis], hi[axis]) = (f32::NEG_INFINITY, f32::INFINITY);
            } else if lo[axis].is_nan() || hi[axis].is_nan() || lo[axis] > hi[axis] {
                return Err(Error::Box { axis, lo: lo[axis], hi: hi[axis] });
            }
        }
        let whitened = self.options.metric.whitening().is_some();
        let plan = self.plan(&Query { axes: None, scales: None, ..*query })?;
        let admission = plan.admission();
        let mut ids = Vec::new();
        let inside = |p: &[f32; 8]| (0..8).all(|axis| lo[axis] <= p[axis] && p[axis] <= hi[axis]);
        if plan.scan.is_some() || whitened {
            // The trees hold whitened coordinates, in which this is no box.
            let slots: Vec<u32> = match plan.scan {
                Some(filter) => filter.slots().collect(),
                None => self.store.iter().collect(),
            };
            let admitted = slots.into_iter().filter(|&slot| admission.admits(slot));
            let found = admitted.filter(|&slot| inside(self.store.position(slot)));
            ids.extend(found.map(|slot| self.store.id(slot)));
        } else {
            self.forest.window(&lo, &hi, &mut |slot| {
                if admission.admits(slot) {
                    ids.push(self.store.id(slot));
                }
            });
        }
        ids.sort_unstable();
        self.intact().map(|()| ids)
    }

    /// Checks the choices of a query.
    pub(crate) fn plan<'a>(&'a self, query: &Query<'a>) -> Result<Plan<'a>, Error> {
        let measure = self.measure_of(query)?;
        let excluded: Result<Vec<_>, _> = query.exclude.iter().map(|&id| self.slot(id)).collect();
        let mut excluded = excluded?;
        let mut bits = match query.filter {
            Some(filter) => Some(Cow::Borrowed(filter.bits_for(self)?)),
            None => self.store.alive_bits().map(Cow::Borrowed),
        };
        if excluded.len() > EXCLUDED_UP_TO {
            let mut fewer = bits.unwrap_or(Cow::Borrowed(self.store.alive())).into_owned();
            for slot in excluded.drain(..) {
                fewer[slot as usize / 64] &= !(1 << (slot % 64));
            }
            bits = Some(Cow::Owned(fewer));
        }
        let scan = query.filter.filter(|filter| filter.count() <= SCAN_UP_TO);
        Ok(Plan { measure, sort: query.sort, bits, excluded, scan })
    }

    /// The measure with the scales of a query.
    #[inline]
    pub(crate) fn measure_of(&self, query: &Query<'_>) -> Result<Measure, Error> {
        if query.axes.is_none() && query.scales.is_none() {
            return Ok(self.measure);
        }
        if self.options.metric.whitening().is_some() {
            return Err(Error::WhitenedAxes);
        }
        let scales: Scales = query.scales.unwrap_or(self.options.scales);
        let axes = query.axes.unwrap_or(self.options.axes);
        let scales = *scales.restrict(axes)?.factors();
        for axis in 0..8 {
            let scale = scales[axis];
            if scale * self.extent[axis] > MAX_MAGNITUDE {
                return Err(Error::QueryScale { axis, scale });
            }
        }
        Ok(Measure { scales, ..self.measure })
    }

    /// The measured coordinates of a checked position, with the scales of the grid.
    pub(crate) fn probe(&self, row: usize, position: &[f32; 8]) -> Result<[f32; 8], Error> {
        check_coordinates(row, position)?;
        self.measured(row, position)
    }

    /// The measured coordinates of a checked position, with the scales of a plan.
    pub(crate) fn planned(
        &self,
        row: usize,
        position: &[f32; 8],
        plan: &Plan<'_>,
    ) -> Result<[f32; 8], Error> {
        let position = self.probe(row, position)?;
        if plan.measure == self.measure {
            return Ok(position); // checked with these scales
        }
        for axis in 0..8 {
            if plan.measure.scales[axis] * position[axis].abs() > MAX_MAGNITUDE {
                return Err(Error::Scaled { row, axis, value: position[axis] });
            }
        }
        Ok(position)
    }

    /// `k` that is not 0, and not more than there are tokens.
    pub(crate) fn usable_k(&self, k: usize) -> Result<usize, Error> {
        if k == 0 { Err(Error::ZeroK) } else { Ok(k.min(self.len())) }
    }

    /// Nearest to a planned position; `k` may be 0 for an empty grid.
    #[inline]
    pub(crate) fn nearest_planned(
        &self,
        position: &[f32; 8],
        k: usize,
        bound: f32,
        plan: &Plan<'_>,
        admission: Admission<'_>,
        emit: impl FnMut(u32, f32),
    ) {
        if k > 0 {
            let mut nearest = Nearest::new(&self.store, plan.measure, admission, k, bound);
            self.collect(position, plan, &mut nearest);
            nearest.finish(emit);
        }
    }

    /// All within a key, or the nearest `limit` of them, in the order of the plan. `found` is for
    /// reuse.
    #[allow(clippy::too_many_arguments)] // one call a query, from two places
    pub(crate) fn within_planned(
        &self,
        position: &[f32; 8],
        key: f32,
        limit: Option<usize>,
        plan: &Plan<'_>,
        admission: Admission<'_>,
        found: &mut Vec<u64>,
        mut emit: impl FnMut(u32, f32),
    ) {
        self.find(position, key, limit, plan, admission, found);
        self.store.arrange(found, plan.sort);
        for &hit in found.iter() {
            let (distance, slot) = unpack(hit);
            emit(slot, distance);
        }
    }

    /// All within a key, or the `limit` nearest of them, as hits that hold distances.
    pub(crate) fn find(
        &self,
        position: &[f32; 8],
        key: f32,
        limit: Option<usize>,
        plan: &Plan<'_>,
        admission: Admission<'_>,
        found: &mut Vec<u64>,
    ) {
        found.clear();
        if let Some(limit) = limit {
            let (k, emit) =
                (limit.min(self.len()), |slot, distance| found.push(hit(distance, slot)));
            self.nearest_planned(position, k, key, plan, admission, emit);
        } else {
            self.collect(position, plan, &mut Hits { bound: key, admission, found });
            keys_to_distances(found, &plan.measure);
        }
    }

    pub(crate) fn count_planned(&self, position: &[f32; 8], key: f32, plan: &Plan<'_>) -> usize {
        let mut count = Count { bound: key, admission: plan.admission(), count: 0 };
        self.collect(position, plan, &mut count);
        count.count
    }

    /// Offers the tokens near a position to a collector.
    fn collect<C: Collect>(&self, position: &[f32; 8], plan: &Plan<'_>, collect: &mut C) {
        if let Some(filter) = plan.scan {
            for slot in filter.slots() {
                let key = plan.measure.key(&self.measured_slot(slot), position);
                if key <= collect.bound() {
                    let (mut keys, mut slots) = ([0.0; LANES], [NO_SLOT; LANES]);
                    (keys[0], slots[0]) = (key, slot);
                    collect.offer_lanes(Scalar, 1, &keys, &slots);
                }
            }
            return;
        }
        let scales = &plan.measure.scales;
        with_keys!(plan.measure, K => kernel::run(
            kernel::current(),
            Search::<K, C> { forest: &self.forest, position, scales, collect, keys: PhantomData },
        ));
    }
}

/// The largest key that nearest may accept.
pub(crate) fn bound(query: &Query<'_>, plan: &Plan<'_>) -> Result<f32, Error> {
    match query.within {
        Some(radius) => Ok(plan.measure.exact_key(check_radius(radius)?)),
        None => Ok(f32::INFINITY),
    }
}

pub(crate) fn check_radius(radius: f32) -> Result<f32, Error> {
    if radius >= 0.0 { Ok(radius + 0.0) } else { Err(Error::Radius { radius }) }
}

struct Search<'a, K, C> {
    forest: &'a Forest,
    position: &'a [f32; 8],
    scales: &'a [f32; 8],
    collect: &'a mut C,
    keys: PhantomData<K>,
}

impl<K: Keys, C: Collect> Op for Search<'_, K, C> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let probe = Probe::new(simd, self.position, self.scales);
        self.forest.search::<S, K, C>(simd, &probe, self.collect);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::GridOptions;
    use crate::store::MAX_SLOTS;
    use crate::tree::{Entry, NEVER};

    /// Slots travel through vectors of floats, in which many of them are no numbers.
    #[test]
    fn slots_up_to_the_last_one_are_found() {
        let edges = [0, 1 << 23, 0x7f80_0000, 0x7fc0_0000, 1 << 31, 0xff80_0000, 0xffc0_0000];
        let mut slots: Vec<u32> = edges.iter().flat_map(|&edge| edge..edge + 9).collect();
        slots.extend(MAX_SLOTS as u32 - 9..MAX_SLOTS as u32);
        let mut entries: Vec<_> = (0_u16..)
            .zip(&slots)
            .map(|(at, &slot)| Entry { position: [f32::from(at); 8], slot, radius: 0.0 })
            .collect();
        for bulk in [true, false] {
            let mut grid = TokenGrid::new(GridOptions::default()).unwrap();
            grid.store.pretend_alive(MAX_SLOTS);
            if bulk {
                grid.forest =
                    Forest::bulk(&mut entries.clone(), grid.measure.scales, &NEVER).unwrap();
            } else {
                entries.iter().for_each(|entry| {
                    grid.forest.insert(entry, &[]);
                });
            }
            let query = Query::default();
            let plan = grid.plan(&query).unwrap();
            for level in kernel::available() {
                kernel::force(Some(level)).unwrap();
                for k in [1, LANES, slots.len()] {
                    let mut found = Vec::new();
                    let emit = |slot, _| found.push(slot);
                    let all = f32::INFINITY;
                    grid.nearest_planned(&[-1.0; 8], k, all, &plan, plan.admission(), emit);
                    assert_eq!(found, slots[..k], "{level}");
                    grid.nearest_planned(
                        &[-1.0; 8],
                        k,
                        all,
                        &plan,
                        plan.admission_for(0),
                        |slot, _| {
                            assert_ne!(slot, 0);
                        },
                    );
                }
                let mut found = Vec::new();
                grid.find(&[-1.0; 8], f32::MAX, None, &plan, plan.admission(), &mut found);
                found.sort_unstable();
                assert!(found.iter().map(|&hit| unpack(hit).1).eq(slots.iter().copied()));
                assert_eq!(grid.count_planned(&[-1.0; 8], f32::MAX, &plan), slots.len());
            }
            kernel::force(None).unwrap();
            entries.reverse();
        }
    }
}
