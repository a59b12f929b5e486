//! Bulk load: packed so that every leaf but the last is full.

use std::sync::atomic::AtomicBool;

use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;

use super::split::{Corners, Leaves, PARALLEL_FROM, Split, bounds};
use super::{Boxes, NO_SLOT, Shape, Slots, Tree};
use crate::kernel::{Block, LANES, Lanes};
use crate::storage::{Array, Storage};

/// One point of a tree.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Entry {
    pub(crate) position: [f32; 8],
    pub(crate) slot: u32,
    pub(crate) radius: f32,
}

/// For work that nobody cancels.
pub(crate) static NEVER: AtomicBool = AtomicBool::new(false);

impl Tree {
    /// Builds a tree; `scales` say which axis counts as the widest. With `parallel`, uses the current
    /// rayon pool; the tree is the same either way. The entries are left in any order.
    pub(crate) fn build(entries: &mut [Entry], scales: &[f32; 8], parallel: bool) -> Self {
        Self::build_until(entries, scales, parallel, &NEVER).0
    }

    /// As [`Tree::build`], and whether that was done before `cancel` was set: a tree that was not must not be searched.
    pub(crate) fn build_until(
        entries: &mut [Entry],
        scales: &[f32; 8],
        parallel: bool,
        cancel: &AtomicBool,
    ) -> (Self, bool) {
        let shape = Shape::new(entries.len());
        let (bounds, fields) = survey(entries, parallel);
        let mut leaves = Storage::<Block>::zeroed(shape.leaves());
        let mut slots = Storage::<Slots>::zeroed(shape.leaves());
        let mut corners = Array::<Corners>::zeroed(shape.leaves());
        let mut filled = true;
        let mut radii = fields.then(|| Storage::<Lanes>::zeroed(shape.leaves()));
        if !entries.is_empty() {
            let parts = Leaves {
                blocks: leaves.values_mut(),
                slots: slots.values_mut(),
                corners: corners.values_mut(),
                radii: radii.as_mut().map(Storage::values_mut),
            };
            let mut keys = vec![0; entries.len()];
            let capacity = LANES.pow(shape.height as u32);
            let split = Split { scales, parallel, cancel };
            filled = split.fill(entries, &mut keys, parts, capacity);
        }

        let mut tree = Self {
            len: entries.len(),
            leaves,
            slots,
            nodes: Storage::zeroed(shape.nodes()),
            radii,
            reach: None,
            shape,
            bounds,
        };
        tree.fill_nodes(corners.values(), parallel);
        tree.fill_reach();
        (tree, filled)
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

    fn fill_nodes(&mut self, leaves: &[Corners], parallel: bool) {
        let shape = self.shape;
        let nodes = self.nodes.values_mut();
        for level in 1..=shape.height {
            let (below, here) = nodes.split_at_mut(shape.starts[level]);
            let here = &mut here[..shape.counts[level]];
            let fill = |(index, node): (usize, &mut Boxes)| {
                let children = index * LANES..(index * LANES + LANES).min(shape.counts[level - 1]);
                for (lane, child) in children.enumerate() {
                    for axis in 0..8 {
                        let (lo, hi) = if level == 1 {
                            (leaves[child][0][axis], leaves[child][1][axis])
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

    fn fill_reach(&mut self) {
        let Some(radii) = &self.radii else { return };
        let mut reach = Storage::<Lanes>::zeroed(self.shape.nodes());
        let nodes = reach.values_mut();
        for level in 1..=self.shape.height {
            let (below, here) = nodes.split_at_mut(self.shape.starts[level]);
            let children: &[Lanes] =
                if level == 1 { radii.raw() } else { &below[self.shape.starts[level - 1]..] };
            let children = &children[..self.shape.counts[level - 1]];
            for (node, children) in here.iter_mut().zip(children.chunks(LANES)) {
                for (lane, child) in node.iter_mut().zip(children) {
                    *lane = most(child);
                }
            }
        }
        self.reach = Some(reach);
    }
}

/// The corners of all positions, and whether any has a field radius.
fn survey(entries: &[Entry], parallel: bool) -> (Corners, bool) {
    let some = |entries: &[Entry]| {
        (bounds(entries.iter()), entries.iter().any(|entry| entry.radius > 0.0))
    };
    if !parallel {
        return some(entries);
    }
    let both = |(mut corners, fields): (Corners, bool), other: (Corners, bool)| {
        for axis in 0..8 {
            corners[0][axis] = corners[0][axis].min(other.0[0][axis]);
            corners[1][axis] = corners[1][axis].max(other.0[1][axis]);
        }
        (corners, fields | other.1)
    };
    entries.par_chunks(PARALLEL_FROM).map(some).reduce(|| some(&[]), both)
}

/// Transposes up to sixteen points into a leaf.
pub(crate) fn fill_block<'e>(
    block: &mut Block,
    slots: &mut Slots,
    entries: impl Iterator<Item = &'e Entry>,
) {
    *block = [[f32::NAN; LANES]; 8];
    *slots = [NO_SLOT; LANES];
    for (lane, entry) in entries.enumerate() {
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
    let mut lanes = [f32::NAN; LANES];
    match <&Lanes>::try_from(values) {
        Ok(all) => lanes = *all, // nearly always
        Err(_) => lanes[..values.len()].copy_from_slice(values),
    }
    for lane in &mut lanes {
        *lane = if beats(*lane, start) { *lane } else { start };
    }
    for width in [8, 4, 2, 1] {
        for i in 0..width {
            let other = lanes[i + width];
            lanes[i] = if beats(other, lanes[i]) { other } else { lanes[i] };
        }
    }
    lanes[0]
}
