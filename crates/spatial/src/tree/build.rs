//! Bulk load: median splits along the widest axis, packed so that every leaf but the last is full.

use std::cmp::Ordering;

use rayon::prelude::*;

use super::{Boxes, NO_SLOT, Shape, Slots, Tree};
use crate::kernel::{Block, LANES, Lanes};
use crate::storage::Storage;

/// One point of a tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) position: [f32; 8],
    pub(crate) slot: u32,
    pub(crate) radius: f32,
}

/// Ranges with at least this many points are worth another thread.
const PARALLEL_FROM: usize = 1 << 14;

impl Tree {
    /// Builds a tree; `scales` say which axis counts as the widest. With `parallel`, uses the current
    /// rayon pool; the tree is the same either way.
    pub(crate) fn build(mut entries: Vec<Entry>, scales: &[f32; 8], parallel: bool) -> Self {
        let shape = Shape::new(entries.len());
        let bounds = bounds(&entries);
        Split { scales, parallel }.level(&mut entries, shape.height);

        let mut leaves = Storage::<Block>::zeroed(shape.leaves());
        let mut slots = Storage::<Slots>::zeroed(shape.leaves());
        let fill = |((block, slots), entries): ((&mut Block, &mut Slots), &[Entry])| {
            fill_block(block, slots, entries);
        };
        let parts = leaves.values_mut().iter_mut().zip(slots.values_mut());
        if parallel && entries.len() >= PARALLEL_FROM {
            let parts: Vec<_> = parts.zip(entries.chunks(LANES)).collect();
            parts.into_par_iter().with_min_len(256).for_each(fill);
        } else {
            parts.zip(entries.chunks(LANES)).for_each(fill);
        }

        let mut tree = Self {
            len: entries.len(),
            leaves,
            slots,
            nodes: Storage::zeroed(shape.nodes()),
            radii: None,
            reach: None,
            shape,
            bounds,
        };
        tree.fill_nodes(parallel);
        if entries.iter().any(|entry| entry.radius > 0.0) {
            tree.fill_reach(&entries);
        }
        tree
    }

    /// A tree over arrays of a snapshot; `None` if their sizes do not agree with `len`.
    pub(crate) fn from_parts(
        len: usize,
        leaves: Storage<Block>,
        slots: Storage<Slots>,
        nodes: Storage<Boxes>,
        field: Option<[Storage<Lanes>; 2]>,
        bounds: [[f32; 8]; 2],
    ) -> Option<Self> {
        let shape = Shape::new(len);
        let fits = leaves.len() == shape.leaves()
            && slots.len() == shape.leaves()
            && nodes.len() == shape.nodes()
            && field.as_ref().is_none_or(|[radii, reach]| {
                radii.len() == shape.leaves() && reach.len() == shape.nodes()
            });
        let (radii, reach) = match field {
            Some([radii, reach]) => (Some(radii), Some(reach)),
            None => (None, None),
        };
        fits.then_some(Self { len, leaves, slots, nodes, radii, reach, shape, bounds })
    }

    fn fill_nodes(&mut self, parallel: bool) {
        let (shape, leaves) = (self.shape, &*self.leaves);
        let nodes = self.nodes.values_mut();
        for level in 1..=shape.height {
            let (below, here) = nodes.split_at_mut(shape.starts[level]);
            let here = &mut here[..shape.counts[level]];
            let fill = |(index, node): (usize, &mut Boxes)| {
                let children = index * LANES..(index * LANES + LANES).min(shape.counts[level - 1]);
                for (lane, child) in children.enumerate() {
                    for axis in 0..8 {
                        let (lo, hi) = if level == 1 {
                            let lanes = &leaves[child][axis];
                            (least(lanes), most(lanes))
                        } else {
                            let [lo, hi] = &below[shape.starts[level - 1] + child];
                            let used = shape.children(level - 1, child).count_ones() as usize;
                            (least(&lo[axis][..used]), most(&hi[axis][..used]))
                        };
                        node[0][axis][lane] = lo;
                        node[1][axis][lane] = hi;
                    }
                }
            };
            if parallel && here.len() >= PARALLEL_FROM / LANES / LANES {
                here.par_iter_mut().enumerate().with_min_len(16).for_each(fill);
            } else {
                here.iter_mut().enumerate().for_each(fill);
            }
        }
    }

    fn fill_reach(&mut self, entries: &[Entry]) {
        let mut radii = Storage::<Lanes>::zeroed(self.shape.leaves());
        for (lanes, entries) in radii.values_mut().iter_mut().zip(entries.chunks(LANES)) {
            for (lane, entry) in lanes.iter_mut().zip(entries) {
                *lane = entry.radius;
            }
        }
        let mut reach = Storage::<Lanes>::zeroed(self.shape.nodes());
        let nodes = reach.values_mut();
        for level in 1..=self.shape.height {
            let (below, here) = nodes.split_at_mut(self.shape.starts[level]);
            let children: &[Lanes] =
                if level == 1 { &radii } else { &below[self.shape.starts[level - 1]..] };
            let children = &children[..self.shape.counts[level - 1]];
            for (node, children) in here.iter_mut().zip(children.chunks(LANES)) {
                for (lane, child) in node.iter_mut().zip(children) {
                    *lane = most(child);
                }
            }
        }
        self.radii = Some(radii);
        self.reach = Some(reach);
    }
}

/// Transposes up to sixteen points into a leaf.
pub(crate) fn fill_block(block: &mut Block, slots: &mut Slots, entries: &[Entry]) {
    *block = [[f32::NAN; LANES]; 8];
    *slots = [NO_SLOT; LANES];
    for (lane, entry) in entries.iter().enumerate() {
        for axis in 0..8 {
            block[axis][lane] = entry.position[axis];
        }
        slots[lane] = entry.slot;
    }
}

/// The least of up to sixteen values; NaN is passed over.
fn least(values: &[f32]) -> f32 {
    extreme(values, f32::INFINITY, |a, b| a < b)
}

/// The largest of up to sixteen values; NaN is passed over.
fn most(values: &[f32]) -> f32 {
    extreme(values, f32::NEG_INFINITY, |a, b| a > b)
}

/// In halves, which are vectors; one after the other would wait for each comparison.
#[inline(always)]
fn extreme(values: &[f32], start: f32, beats: impl Fn(f32, f32) -> bool) -> f32 {
    let mut lanes = [start; LANES];
    for (lane, &value) in lanes.iter_mut().zip(values) {
        *lane = if beats(value, *lane) { value } else { *lane };
    }
    for width in [8, 4, 2, 1] {
        for i in 0..width {
            let other = lanes[i + width];
            lanes[i] = if beats(other, lanes[i]) { other } else { lanes[i] };
        }
    }
    lanes[0]
}

/// Of positions that are all finite: `f32::min` would take care of NaN, at a price.
fn bounds(entries: &[Entry]) -> [[f32; 8]; 2] {
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

struct Split<'a> {
    scales: &'a [f32; 8],
    parallel: bool,
}

impl Split<'_> {
    /// Orders the points below one node of a level.
    fn level(&self, entries: &mut [Entry], level: usize) {
        if level > 0 {
            let capacity = LANES.pow(level as u32); // points of a child: LANES^(level-1) leaves
            self.children(entries, level, capacity);
        }
    }

    /// Splits a run of children of `capacity` points each in two, until one is left.
    fn children(&self, entries: &mut [Entry], level: usize, capacity: usize) {
        let count = entries.len().div_ceil(capacity);
        if count <= 1 {
            return self.level(entries, level - 1);
        }
        let left = count / 2 * capacity;
        if let Some(axis) = self.widest(entries) {
            // No position is NaN, and for `partial_cmp` the processor has an instruction.
            let order = |a: &Entry, b: &Entry| a.position[axis].partial_cmp(&b.position[axis]);
            entries.select_nth_unstable_by(left, |a, b| order(a, b).unwrap_or(Ordering::Equal));
        }
        let (low, high) = entries.split_at_mut(left);
        if self.parallel && low.len() >= PARALLEL_FROM {
            rayon::join(
                || self.children(low, level, capacity),
                || self.children(high, level, capacity),
            );
        } else {
            self.children(low, level, capacity);
            self.children(high, level, capacity);
        }
    }

    /// The axis along which the points are spread most; none if they are all equal.
    fn widest(&self, entries: &[Entry]) -> Option<usize> {
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
