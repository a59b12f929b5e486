//! What a search keeps of the points that it is offered.

use std::collections::BinaryHeap;

use ottava_core::TokenId;

use crate::kernel::{LANES, Lanes, Simd};
use crate::metric::Measure;
use crate::store::Store;
use crate::tree::{Gather, NO_SLOT, Slots};

/// Receives the points within its bound.
pub(crate) trait Collect {
    /// Whether the bound shrinks as points are offered, so that it is worth visiting near ones first.
    const SHRINKS: bool;
    /// Keys above this are of no use any more. Never grows.
    fn bound(&self) -> f32;
    /// The lanes in `mask` have keys within the bound that held when it was made.
    fn offer_lanes<S: Simd>(&mut self, simd: S, mask: u16, keys: &Lanes, slots: &Slots);
}

/// Which slots may be answers.
#[derive(Clone, Copy)]
pub(crate) struct Admission<'a> {
    /// One bit a slot; absent, every slot is admitted.
    pub(crate) bits: Option<&'a [u64]>,
    /// Slots left out, few.
    pub(crate) excluded: &'a [u32],
    /// The slot of the asking token, left out; `NO_SLOT` if it is no token that asks.
    pub(crate) own: u32,
}

impl Admission<'_> {
    #[inline]
    pub(crate) fn admits(&self, slot: u32) -> bool {
        let bit = |bits: &[u64]| {
            bits.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
        };
        slot != self.own && self.bits.is_none_or(bit) && !self.excluded.contains(&slot)
    }

    /// Whether every slot is admitted.
    pub(crate) fn admits_all(&self) -> bool {
        self.bits.is_none() && self.excluded.is_empty() && self.own == NO_SLOT
    }
}

/// The `k` nearest by distance, then id.
pub(crate) struct Nearest<'a> {
    measure: Measure,
    admission: Admission<'a>,
    store: &'a Store,
    k: usize,
    bound: f32,
    /// The least key of a point that came after `k` others: one with this key or a larger one and an id above the last one's does
    /// too. Where many points are as far away, this is all that is done with them.
    tie: f32,
    kept: Kept,
}

/// Few are kept sorted; many in a heap.
enum Kept {
    Sorted(Sorted),
    Heap(BinaryHeap<(u32, TokenId, u32)>),
}

/// The nearest so far, ascending, in lanes.
struct Sorted {
    len: usize,
    distances: Lanes,
    /// The bits are slots, so that they move like the distances.
    slots: Lanes,
}

/// What became of a point.
enum Placed {
    /// It is kept, and more may be.
    Room,
    /// It is kept, and the `k`-th is this far away.
    Full { last: f32 },
    /// `k` others come before it.
    Beyond,
}

impl Sorted {
    /// Puts a point in its place among at most `k`, which pushes out the last if there are `k`
    /// already.
    #[inline(always)]
    fn insert<S: Simd>(
        &mut self,
        simd: S,
        k: usize,
        distance: f32,
        slot: u32,
        store: &Store,
    ) -> Placed {
        let used = ((1_u32 << self.len) - 1) as u16;
        let (kept, new) = (simd.load(&self.distances), simd.splat(distance));
        let mut before = simd.le(kept, new) & used;
        let equal = before & simd.le(new, kept);
        if equal != 0 {
            before &= !self.later(equal, slot, store);
        }
        let at = before.count_ones() as usize;
        if at >= k {
            return Placed::Beyond;
        }
        let place = 1_u16 << at;
        let moved = simd.select(before, kept, simd.shift_up(kept));
        simd.store(simd.select(place, new, moved), &mut self.distances);
        let kept = simd.load(&self.slots);
        let moved = simd.select(before, kept, simd.shift_up(kept));
        let new = simd.splat(f32::from_bits(slot));
        simd.store(simd.select(place, new, moved), &mut self.slots);
        self.len = (self.len + 1).min(k);
        if self.len == k { Placed::Full { last: self.distances[k - 1] } } else { Placed::Room }
    }

    /// Those of the lanes whose id is above that of a slot.
    #[cold]
    fn later(&self, lanes: u16, slot: u32, store: &Store) -> u16 {
        let above = |lane: &usize| store.is_above(self.slots[*lane].to_bits(), slot);
        let equal = (0..LANES).filter(|lane| lanes >> lane & 1 == 1);
        equal.filter(above).fold(0, |mask, lane| mask | 1 << lane)
    }
}

impl<'a> Nearest<'a> {
    /// `k` at least 1; `bound` is the largest key to accept.
    #[inline]
    pub(crate) fn new(
        store: &'a Store,
        measure: Measure,
        admission: Admission<'a>,
        k: usize,
        bound: f32,
    ) -> Self {
        let kept = if k <= LANES {
            Kept::Sorted(Sorted { len: 0, distances: [0.0; LANES], slots: [0.0; LANES] })
        } else {
            Kept::Heap(BinaryHeap::new())
        };
        Self { measure, admission, store, k, bound, tie: f32::INFINITY, kept }
    }

    /// The lanes of the mask but those that come after `k` others.
    #[inline(never)]
    fn without_ties(&self, mask: u16, keys: &Lanes, slots: &Slots) -> u16 {
        let Kept::Sorted(sorted) = &self.kept else { return mask };
        let last = sorted.slots[self.k - 1].to_bits();
        let mut after = 0;
        for (lane, (&key, &slot)) in keys.iter().zip(slots).enumerate() {
            if mask >> lane & 1 == 1 && key >= self.tie {
                after |= u16::from(self.store.is_above(slot, last)) << lane;
            }
        }
        mask & !after
    }

    #[inline(always)]
    fn offer<S: Simd>(&mut self, simd: S, key: f32, slot: u32) {
        let distance = self.measure.distance(key);
        let placed = match &mut self.kept {
            Kept::Sorted(sorted) => sorted.insert(simd, self.k, distance, slot, self.store),
            Kept::Heap(heap) => offer_heap(heap, self.k, distance, slot, self.store),
        };
        match placed {
            Placed::Room => {}
            Placed::Full { last } => self.bound = self.bound.min(self.measure.loose_key(last)),
            Placed::Beyond => self.tie = self.tie.min(key),
        }
    }

    /// Slots and distances, ascending by distance, then id.
    #[inline]
    pub(crate) fn finish(self, mut emit: impl FnMut(u32, f32)) {
        match self.kept {
            Kept::Sorted(Sorted { len, distances, slots }) => {
                for (&distance, &slot) in distances.iter().zip(&slots).take(len) {
                    emit(slot.to_bits(), distance);
                }
            }
            Kept::Heap(heap) => {
                for (distance, _, slot) in heap.into_sorted_vec() {
                    emit(slot, f32::from_bits(distance));
                }
            }
        }
    }
}

/// Keeps a point if it is among the `k` nearest.
fn offer_heap(
    heap: &mut BinaryHeap<(u32, TokenId, u32)>,
    k: usize,
    distance: f32,
    slot: u32,
    store: &Store,
) -> Placed {
    // The bits of distances that are not negative are ordered as they are.
    let entry = (distance.to_bits(), store.id(slot), slot);
    if heap.len() < k {
        heap.push(entry);
    } else if let Some(mut worst) = heap.peek_mut()
        && entry < *worst
    {
        *worst = entry;
    }
    match heap.peek() {
        Some(&(worst, ..)) if heap.len() == k => Placed::Full { last: f32::from_bits(worst) },
        _ => Placed::Room,
    }
}

impl Collect for Nearest<'_> {
    const SHRINKS: bool = true;

    #[inline(always)]
    fn bound(&self) -> f32 {
        self.bound
    }

    #[inline(always)]
    fn offer_lanes<S: Simd>(&mut self, simd: S, mut mask: u16, keys: &Lanes, slots: &Slots) {
        if self.tie < f32::INFINITY {
            mask = self.without_ties(mask, keys, slots);
        }
        while mask != 0 {
            let lane = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            if keys[lane] <= self.bound && self.admission.admits(slots[lane]) {
                self.offer(simd, keys[lane], slots[lane]);
            }
        }
    }
}

/// A slot that was found, behind its key or distance: in this order, hits are ascending by that. The
/// bits of floats that are not negative are ordered as they are.
#[inline]
pub(crate) fn hit(value: f32, slot: u32) -> u64 {
    u64::from(value.to_bits()) << 32 | u64::from(slot)
}

/// The key or distance of a hit, and its slot.
#[inline]
pub(crate) fn unpack(hit: u64) -> (f32, u32) {
    (f32::from_bits((hit >> 32) as u32), hit as u32)
}

/// Hits with their distances in place of their keys.
pub(crate) fn keys_to_distances(hits: &mut [u64], measure: &Measure) {
    if measure.root {
        for found in hits {
            let (key, slot) = unpack(*found);
            *found = hit(measure.distance(key), slot);
        }
    }
}

/// Everything within a radius, as found.
pub(crate) struct Hits<'a> {
    pub(crate) bound: f32,
    pub(crate) admission: Admission<'a>,
    pub(crate) found: &'a mut Vec<u64>,
}

impl Collect for Hits<'_> {
    const SHRINKS: bool = false;

    #[inline(always)]
    fn bound(&self) -> f32 {
        self.bound
    }

    #[inline]
    fn offer_lanes<S: Simd>(&mut self, _simd: S, mut mask: u16, keys: &Lanes, slots: &Slots) {
        while mask != 0 {
            let lane = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            if self.admission.admits(slots[lane]) {
                self.found.push(hit(keys[lane], slots[lane]));
            }
        }
    }
}

/// How many are within a radius.
pub(crate) struct Count<'a> {
    pub(crate) bound: f32,
    pub(crate) admission: Admission<'a>,
    pub(crate) count: usize,
}

impl Collect for Count<'_> {
    const SHRINKS: bool = false;

    #[inline(always)]
    fn bound(&self) -> f32 {
        self.bound
    }

    #[inline]
    fn offer_lanes<S: Simd>(&mut self, _simd: S, mut mask: u16, _keys: &Lanes, slots: &Slots) {
        if self.admission.admits_all() {
            self.count += mask.count_ones() as usize;
            return;
        }
        while mask != 0 {
            let lane = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            self.count += usize::from(self.admission.admits(slots[lane]));
        }
    }
}

/// The nearest of each of a few points, up to sixteen.
pub(crate) struct NearestOfEach<'a> {
    points: Vec<Nearest<'a>>,
    bounds: Lanes,
    widest: f32,
    stale: bool,
}

/// What lanes without a point have for a bound: no key is as small.
const UNUSED: f32 = -1.0;

impl<'a> NearestOfEach<'a> {
    pub(crate) fn new(points: Vec<Nearest<'a>>) -> Self {
        let mut bounds = [UNUSED; LANES];
        for (bound, point) in bounds.iter_mut().zip(&points) {
            *bound = point.bound;
        }
        let mut each = Self { points, bounds, widest: UNUSED, stale: true };
        each.settle();
        each
    }

    pub(crate) fn into_points(self) -> Vec<Nearest<'a>> {
        self.points
    }
}

impl Gather for NearestOfEach<'_> {
    #[inline(always)]
    fn bounds(&self) -> &Lanes {
        &self.bounds
    }

    #[inline(always)]
    fn widest(&self) -> f32 {
        self.widest
    }

    #[inline(always)]
    fn offer_lanes<S: Simd>(
        &mut self,
        simd: S,
        point: usize,
        mask: u16,
        keys: &Lanes,
        slots: &Slots,
    ) {
        if let Some(nearest) = self.points.get_mut(point) {
            nearest.offer_lanes(simd, mask, keys, slots);
            self.bounds[point] = nearest.bound;
            self.stale = true;
        }
    }

    #[inline(always)]
    fn settle(&mut self) {
        if !self.stale {
            return;
        }
        self.stale = false;
        let mut lanes = self.bounds;
        for width in [8, 4, 2, 1] {
            for i in 0..width {
                let other = lanes[i + width];
                lanes[i] = if other > lanes[i] { other } else { lanes[i] };
            }
        }
        self.widest = lanes[0];
    }
}

/// Everything within a radius of each of a few points, up to sixteen.
pub(crate) struct HitsOfEach<'a> {
    bounds: Lanes,
    widest: f32,
    admissions: &'a [Admission<'a>],
    /// Keys and slots.
    pub(crate) found: [Vec<u64>; LANES],
}

impl<'a> HitsOfEach<'a> {
    /// `bound` is the largest key to accept, `admissions` are of the points.
    pub(crate) fn new(
        bound: f32,
        admissions: &'a [Admission<'a>],
        mut found: [Vec<u64>; LANES],
    ) -> Self {
        found.iter_mut().for_each(Vec::clear);
        let bounds = std::array::from_fn(|i| if i < admissions.len() { bound } else { UNUSED });
        Self { bounds, widest: bound, admissions, found }
    }
}

impl Gather for HitsOfEach<'_> {
    #[inline(always)]
    fn bounds(&self) -> &Lanes {
        &self.bounds
    }

    #[inline(always)]
    fn widest(&self) -> f32 {
        self.widest
    }

    #[inline(always)]
    fn offer_lanes<S: Simd>(
        &mut self,
        _simd: S,
        point: usize,
        mut mask: u16,
        keys: &Lanes,
        slots: &Slots,
    ) {
        let (Some(admission), Some(found)) =
            (self.admissions.get(point), self.found.get_mut(point))
        else {
            return;
        };
        while mask != 0 {
            let lane = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            if admission.admits(slots[lane]) {
                found.push(hit(keys[lane], slots[lane]));
            }
        }
    }

    #[inline(always)]
    fn settle(&mut self) {}
}
