//! Which points lie in which leaf: median splits along the widest axis.
//!
//! Many points are cut in two in place: the median is found among the keys alone, which are a tenth
//! of the entries, and only what stands on the wrong side is moved. From [`NEAR`] points on, which a
//! core's own cache holds, the entries stay where they are and words of a key and a row are cut.

use std::mem::{swap, take};
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::Slots;
use super::build::{Entry, fill_block};
use crate::kernel::{Block, LANES, Lanes};

/// Ranges with at least this many points are worth another thread.
pub(super) const PARALLEL_FROM: usize = 1 << 14;

/// The most points that are cut without moving them.
const NEAR: usize = 1 << 15;

/// How many points say along which axis more of them are cut: it is a choice, not a bound, and what some say is as good.
const SOME: usize = 1 << 12;

/// The same where points are looked up by their rows.
const FEW: usize = 1 << 8;

/// How many keys are sorted to find two that are near the median, one before it and one after.
const SAMPLE: usize = 1 << 10;

/// How far from the median of a sample these are: four times what it strays from that of all.
const SPREAD: usize = 1 << 6;

/// Tasks that a cut is made of.
const PIECES: usize = 16;

/// How many misplaced entries are looked for on each side before they are swapped.
const BATCH: usize = 128;

/// The least and the largest coordinates of some points.
pub(super) type Corners = [[f32; 8]; 2];

/// The leaves to be filled, with the field radii of their points if any has one.
pub(super) struct Leaves<'a> {
    pub(super) blocks: &'a mut [Block],
    pub(super) slots: &'a mut [Slots],
    pub(super) corners: &'a mut [Corners],
    pub(super) radii: Option<&'a mut [Lanes]>,
}

impl<'a> Leaves<'a> {
    fn split_at(self, leaf: usize) -> (Self, Self) {
        let (low_blocks, high_blocks) = self.blocks.split_at_mut(leaf);
        let (low_slots, high_slots) = self.slots.split_at_mut(leaf);
        let (low_corners, high_corners) = self.corners.split_at_mut(leaf);
        let (low_radii, high_radii) = self.radii.map(|radii| radii.split_at_mut(leaf)).unzip();
        (
            Self { blocks: low_blocks, slots: low_slots, corners: low_corners, radii: low_radii },
            Self {
                blocks: high_blocks,
                slots: high_slots,
                corners: high_corners,
                radii: high_radii,
            },
        )
    }
}

/// Splits along the widest axis by these scales, on one thread or on the current rayon pool; the
/// result is the same.
pub(super) struct Split<'a> {
    pub(super) scales: &'a [f32; 8],
    pub(super) parallel: bool,
    /// Once it is set, nothing more is filled.
    pub(super) cancel: &'a AtomicBool,
}

impl Split<'_> {
    /// Fills the leaves below a node whose children take `capacity` points each, a power of
    /// [`LANES`]. `keys` is as long as `entries`; both are left in any order. Returns whether all leaves were filled.
    pub(super) fn fill(
        &self,
        entries: &mut [Entry],
        keys: &mut [i32],
        leaves: Leaves<'_>,
        capacity: usize,
    ) -> bool {
        if self.cancel.load(Ordering::Relaxed) {
            return false;
        }
        if entries.len() <= NEAR {
            let mut words: Vec<u64> = (0..entries.len() as u64).collect();
            self.fill_near(entries, &mut words, leaves, capacity);
            return true;
        }
        let (left, capacity) = halves(entries.len(), capacity);
        let some = self.widest(entries.iter().step_by(entries.len() / SOME));
        if let Some(axis) = some.or_else(|| self.widest(entries.iter())) {
            cut(entries, keys, axis, left, self.parallel);
        }
        let (low, high) = entries.split_at_mut(left);
        let (low_keys, high_keys) = keys.split_at_mut(left);
        let (low_leaves, high_leaves) = leaves.split_at(left / LANES);
        let low = || self.fill(low, low_keys, low_leaves, capacity);
        let high = || self.fill(high, high_keys, high_leaves, capacity);
        if self.parallel {
            let (low, high) = rayon::join(low, high);
            low && high
        } else {
            low() && high()
        }
    }

    /// The same for the entries whose rows are in the lower halves of `words`.
    fn fill_near(&self, entries: &[Entry], words: &mut [u64], leaves: Leaves<'_>, capacity: usize) {
        if words.len() <= LANES {
            return fill_leaf(entries, words, leaves);
        }
        let (left, capacity) = halves(words.len(), capacity);
        let at = |word: u64| &entries[word as u32 as usize];
        let points = words.iter().map(|&word| at(word));
        let some = self.widest(points.clone().step_by((words.len() / FEW).max(1)));
        if let Some(axis) = some.or_else(|| self.widest(points)) {
            for word in &mut *words {
                let key = ordered(at(*word), axis) as u32 ^ (1 << 31);
                *word = u64::from(key) << 32 | u64::from(*word as u32);
            }
            words.select_nth_unstable(left);
        }
        let (low, high) = words.split_at_mut(left);
        let (low_leaves, high_leaves) = leaves.split_at(left / LANES);
        let low = || self.fill_near(entries, low, low_leaves, capacity);
        let high = || self.fill_near(entries, high, high_leaves, capacity);
        if self.parallel && left >= PARALLEL_FROM {
            rayon::join(low, high);
        } else {
            low();
            high();
        }
    }

    /// The axis along which the points are spread most; none if they are all equal.
    #[inline(always)]
    fn widest<'e>(&self, entries: impl Iterator<Item = &'e Entry>) -> Option<usize> {
        let [lo, hi] = bounds(entries);
        let extent = |axis: usize| (hi[axis] - lo[axis]) * self.scales[axis];
        let axis = (0..8).max_by(|&a, &b| extent(a).total_cmp(&extent(b)))?;
        if extent(axis) > 0.0 {
            return Some(axis);
        }
        // Equal as far as the scales go; split along an axis that a query may scale up.
        (0..8).find(|&axis| hi[axis] > lo[axis])
    }
}

/// How many of `len` points, more than a leaf's, go to the first half of the children, and how many
/// a child takes.
fn halves(len: usize, mut capacity: usize) -> (usize, usize) {
    while len <= capacity {
        capacity /= LANES;
    }
    (len.div_ceil(capacity) / 2 * capacity, capacity)
}

fn fill_leaf(entries: &[Entry], words: &[u64], leaves: Leaves<'_>) {
    let ([block, ..], [slots, ..], [corners, ..]) = (leaves.blocks, leaves.slots, leaves.corners)
    else {
        return;
    };
    let points = words.iter().map(|&word| &entries[word as u32 as usize]);
    fill_block(block, slots, points.clone());
    *corners = bounds(points.clone());
    if let Some([radii, ..]) = leaves.radii {
        for (radius, entry) in radii.iter_mut().zip(points) {
            *radius = entry.radius;
        }
    }
}

/// Of positions that are all finite: `f32::min` would take care of NaN, at a price.
#[inline(always)]
pub(super) fn bounds<'e>(entries: impl Iterator<Item = &'e Entry>) -> Corners {
    let [mut lo, mut hi] = [[f32::INFINITY; 8], [f32::NEG_INFINITY; 8]];
    for entry in entries {
        for axis in 0..8 {
            let x = entry.position[axis];
            lo[axis] = if x < lo[axis] { x } else { lo[axis] };
            hi[axis] = if x > hi[axis] { x } else { hi[axis] };
        }
    }
    [lo, hi]
}

/// Orders `entries` so that none of the first `left` has a larger position on `axis` than any other, on one thread or on the
/// current rayon pool; the result is the same. No position is NaN. `keys` is as long as `entries` and is overwritten.
pub(super) fn cut(
    entries: &mut [Entry],
    keys: &mut [i32],
    axis: usize,
    left: usize,
    parallel: bool,
) {
    let middle = middle(entries, keys, axis, left, parallel);
    let (low, high) = entries.split_at_mut(left);
    let beyond = |entry: &Entry| ordered(entry, axis) > middle;
    let before = |entry: &Entry| ordered(entry, axis) < middle;
    let equal = |entry: &Entry| ordered(entry, axis) == middle;
    let (mut lows, mut highs) = (pieces(low), pieces(high));
    let pairs = lows.par_iter_mut().zip(&mut highs).with_max_len(1);
    if parallel {
        pairs.for_each(|(low, high)| exchange(low, high, &beyond, &before));
    } else {
        let pairs = lows.iter_mut().zip(&mut highs);
        pairs.for_each(|(low, high)| exchange(low, high, &beyond, &before));
    }
    // What one pair of pieces has left over, another lacks.
    let (mut from_low, mut from_high) = (lows.into_iter(), highs.into_iter());
    let (mut rest_low, mut rest_high) = (from_low.next(), from_high.next());
    while let (Some(low), Some(high)) = (&mut rest_low, &mut rest_high) {
        exchange(low, high, &beyond, &before);
        if low.is_empty() {
            rest_low = from_low.next();
        } else {
            rest_high = from_high.next();
        }
    }
    let (lacks_low, lacks_high) = (rest_low.is_none(), rest_high.is_none());
    // A side can run out of entries that must go; the other side's then change places with equals.
    let (mut low, mut high) = entries.split_at_mut(left);
    if !lacks_low {
        exchange(&mut low, &mut high, &beyond, &equal);
    } else if !lacks_high {
        exchange(&mut low, &mut high, &equal, &before);
    }
}

/// The key with `left` others before it in order, if it and those after it are sorted.
///
/// Between two keys of a small sample, sorted, are few of all keys and nearly always the wanted one (Floyd and Rivest, 1975).
fn middle(entries: &[Entry], keys: &mut [i32], axis: usize, left: usize, parallel: bool) -> i32 {
    let key = |entry: &Entry| ordered(entry, axis);
    let mut sample: Vec<i32> =
        entries.iter().step_by(entries.len().div_ceil(SAMPLE)).map(key).collect();
    sample.sort_unstable();
    let at = left * sample.len() / entries.len();
    let least = sample[at.saturating_sub(SPREAD)];
    let most = sample[(at + SPREAD).min(sample.len() - 1)];
    // Moves the keys in between to the front.
    let sift = |(keys, entries): (&mut [i32], &[Entry])| {
        let (mut before, mut between) = (0, 0);
        for entry in entries {
            let key = key(entry);
            keys[between] = key;
            before += usize::from(key < least);
            between += usize::from((least <= key) & (key <= most));
        }
        (before, between)
    };
    let size = entries.len().div_ceil(PIECES);
    let counts: Vec<(usize, usize)> = if parallel {
        keys.par_chunks_mut(size).zip(entries.par_chunks(size)).with_max_len(1).map(sift).collect()
    } else {
        keys.chunks_mut(size).zip(entries.chunks(size)).map(sift).collect()
    };
    let (mut before, mut between) = (0, 0);
    for (piece, count) in counts.into_iter().enumerate() {
        keys.copy_within(piece * size..piece * size + count.1, between);
        before += count.0;
        between += count.1;
    }
    match left.checked_sub(before).filter(|&at| at < between) {
        Some(at) => *keys[..between].select_nth_unstable(at).1,
        None => {
            keys.iter_mut().zip(entries).for_each(|(place, entry)| *place = key(entry));
            *keys.select_nth_unstable(left).1
        }
    }
}

/// Pieces of like size, for as many tasks.
fn pieces(entries: &mut [Entry]) -> Vec<&mut [Entry]> {
    entries.chunks_mut(entries.len().div_ceil(PIECES).max(1)).collect()
}

/// The position as an integer of the same order, -0 as 0.
#[inline(always)]
fn ordered(entry: &Entry, axis: usize) -> i32 {
    let bits = (entry.position[axis] + 0.0).to_bits() as i32;
    bits ^ ((bits >> 31) as u32 >> 1) as i32
}

/// Swaps entries of `low` that are `high_bound` with entries of `high` that are `low_bound`, until one side has no more of them:
/// that one is empty then, and of the other only the rest is left.
#[inline(always)]
fn exchange(
    low: &mut &mut [Entry],
    high: &mut &mut [Entry],
    high_bound: &impl Fn(&Entry) -> bool,
    low_bound: &impl Fn(&Entry) -> bool,
) {
    let (mut from_low, mut from_high) = (Found::new(), Found::new());
    loop {
        from_low.look(low, high_bound);
        from_high.look(high, low_bound);
        let pairs = from_low.len().min(from_high.len());
        if pairs == 0 {
            break;
        }
        for (&i, &j) in from_low.take(pairs).iter().zip(from_high.take(pairs)) {
            swap(&mut low[i as usize], &mut high[j as usize]);
        }
    }
    *low = &mut take(low)[from_low.done()..];
    *high = &mut take(high)[from_high.done()..];
}

/// Places of misplaced entries of one side.
struct Found {
    places: [u32; BATCH],
    start: usize,
    end: usize,
    /// Entries before this one have been looked at.
    seen: usize,
}

impl Found {
    fn new() -> Self {
        Self { places: [0; BATCH], start: 0, end: 0, seen: 0 }
    }

    fn len(&self) -> usize {
        self.end - self.start
    }

    /// Entries before the first that is still misplaced.
    fn done(&self) -> usize {
        if self.len() > 0 { self.places[self.start] as usize } else { self.seen }
    }

    /// If none is left, looks on until some are found or the side ends.
    #[inline(always)]
    fn look(&mut self, entries: &[Entry], misplaced: &impl Fn(&Entry) -> bool) {
        while self.start == self.end && self.seen < entries.len() {
            (self.start, self.end) = (0, 0);
            let until = entries.len().min(self.seen + BATCH);
            for (place, entry) in (self.seen..until).zip(&entries[self.seen..until]) {
                self.places[self.end] = place as u32; // without a branch: it would be a coin's toss
                self.end += usize::from(misplaced(entry));
            }
            self.seen = until;
        }
    }

    fn take(&mut self, count: usize) -> &[u32] {
        let from = self.start;
        self.start += count;
        &self.places[from..self.start]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(values: &[i8]) -> Vec<Entry> {
        let entry = |(slot, &value): (usize, &i8)| {
            let x = if value == 0 && slot % 2 == 0 { -0.0 } else { f32::from(value) };
            Entry { position: [x; 8], slot: slot as u32, radius: 0.0 }
        };
        values.iter().enumerate().map(entry).collect()
    }

    proptest! {
        /// As sorting would, with few different values and with many, on either side of a batch.
        #[test]
        fn a_cut_moves_each_entry_to_its_side(
            values in prop_oneof![
                prop::collection::vec(-2_i8..3, 2..900),
                prop::collection::vec(any::<i8>(), 2..900),
                // What the sample sees says nothing of the rest.
                prop::collection::vec(0_i8..100, 2 * SAMPLE + 1..3 * SAMPLE).prop_map(|mut values| {
                    values.iter_mut().step_by(3).for_each(|value| *value = -*value);
                    values
                }),
            ],
            at in any::<prop::sample::Index>(),
            parallel in any::<bool>(),
        ) {
            let mut entries = entries(&values);
            let left = at.index(values.len());
            cut(&mut entries, &mut vec![0; values.len()], 3, left, parallel);
            let value = |entry: &Entry| entry.position[3];
            let most = entries[..left].iter().map(value).fold(f32::NEG_INFINITY, f32::max);
            prop_assert!(entries[left..].iter().all(|entry| value(entry) >= most));
            let mut slots: Vec<u32> = entries.iter().map(|entry| entry.slot).collect();
            slots.sort_unstable();
            prop_assert!(slots.into_iter().eq(0..values.len() as u32));
            for entry in &entries {
                prop_assert_eq!(value(entry), f32::from(values[entry.slot as usize]));
            }
        }
    }
}
