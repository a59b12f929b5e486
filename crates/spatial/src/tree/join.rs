//! One traversal for up to sixteen points that are near each other.

use super::search::{leaf_keys, pack, push_ranked, unpack};
use super::{Boxes, LEVELS, Probe, Slots, Tree};
use crate::kernel::{Block, LANES, Lanes, Simd};
use crate::metric::Keys;

/// Receives what is found for each of the points of a [`Group`].
pub(crate) trait Gather {
    /// For each point, the key above which nothing is of use; for lanes without a point, less than 0.
    /// None ever grows.
    fn bounds(&self) -> &Lanes;
    /// The largest of the bounds.
    fn widest(&self) -> f32;
    /// As [`Collect::offer_lanes`](crate::collect::Collect::offer_lanes), for one of the points.
    fn offer_lanes<S: Simd>(
        &mut self,
        simd: S,
        point: usize,
        mask: u16,
        keys: &Lanes,
        slots: &Slots,
    );
    /// Called after a leaf was offered to all of its points, to bring the bounds up to date.
    fn settle(&mut self);
}

/// Up to sixteen points: their columns, their box, and the middle of it.
pub(crate) struct Group<S: Simd> {
    len: usize,
    rows: [[f32; 8]; LANES],
    columns: [S::F; 8],
    lo: [S::F; 8],
    hi: [S::F; 8],
    scales: [S::F; 8],
    center: Probe<S>,
    factors: [f32; 8],
}

impl<S: Simd> Group<S> {
    /// At least one row, at most sixteen.
    #[inline(always)]
    pub(crate) fn new(simd: S, points: &[&[f32; 8]], scales: &[f32; 8]) -> Self {
        let (mut lo, mut hi) = ([f32::INFINITY; 8], [f32::NEG_INFINITY; 8]);
        let mut rows = [[0.0; 8]; LANES];
        for (row, point) in rows.iter_mut().zip(points) {
            *row = **point;
            for axis in 0..8 {
                lo[axis] = lo[axis].min(point[axis]);
                hi[axis] = hi[axis].max(point[axis]);
            }
        }
        let center: [f32; 8] = std::array::from_fn(|axis| 0.5 * lo[axis] + 0.5 * hi[axis]);
        let mut group = Self {
            len: points.len().min(LANES),
            rows,
            columns: simd.columns(&rows),
            lo: [simd.splat(0.0); 8],
            hi: [simd.splat(0.0); 8],
            scales: [simd.splat(0.0); 8],
            center: Probe::new(simd, &center, scales),
            factors: *scales,
        };
        for axis in 0..8 {
            group.lo[axis] = simd.splat(lo[axis]);
            group.hi[axis] = simd.splat(hi[axis]);
            group.scales[axis] = simd.splat(scales[axis]);
        }
        group
    }

    /// The least keys between a point of the group and points in sixteen boxes.
    #[inline(always)]
    fn between<K: Keys>(&self, simd: S, [lo, hi]: &Boxes) -> S::F {
        let zero = simd.splat(0.0);
        let mut d = [zero; 8];
        for axis in 0..8 {
            let below = simd.sub(simd.load(&lo[axis]), self.hi[axis]);
            let above = simd.sub(self.lo[axis], simd.load(&hi[axis]));
            d[axis] = simd.max(simd.max(below, above), zero);
            if !K::UNIT {
                d[axis] = simd.mul(self.scales[axis], d[axis]);
            }
        }
        K::keys(simd, d)
    }

    /// For each point of the group, the least key of points in one of sixteen boxes.
    #[inline(always)]
    fn to_box<K: Keys>(&self, simd: S, [lo, hi]: &Boxes, lane: usize) -> S::F {
        let zero = simd.splat(0.0);
        let mut d = [zero; 8];
        for axis in 0..8 {
            let below = simd.sub(simd.splat(lo[axis][lane]), self.columns[axis]);
            let above = simd.sub(self.columns[axis], simd.splat(hi[axis][lane]));
            d[axis] = simd.max(simd.max(below, above), zero);
            if !K::UNIT {
                d[axis] = simd.mul(self.scales[axis], d[axis]);
            }
        }
        K::keys(simd, d)
    }

    /// Offers the points of a leaf to those points of the group that are in a mask; those of its own leaf only to the ones before.
    #[inline(always)]
    pub(crate) fn visit<K: Keys, G: Gather>(
        &self,
        simd: S,
        mut points: u16,
        block: &Block,
        slots: &Slots,
        own: bool,
        gather: &mut G,
    ) {
        while points != 0 {
            let point = points.trailing_zeros() as usize;
            points &= points - 1;
            let probe = Probe::new(simd, &self.rows[point], &self.factors);
            let keys = leaf_keys::<S, K>(simd, &probe, block);
            let mut mask = simd.le(keys, simd.splat(gather.bounds()[point]));
            if own {
                mask &= lanes_from(point + 1);
            }
            if mask != 0 {
                let mut lanes = [0.0; LANES];
                simd.store(keys, &mut lanes);
                gather.offer_lanes(simd, point, mask, &lanes, slots);
            }
        }
        gather.settle();
    }

    /// A mask of all points of the group.
    #[inline(always)]
    pub(crate) fn all(&self) -> u16 {
        ((1_u32 << self.len) - 1) as u16
    }
}

/// The lanes from this one on.
#[inline(always)]
fn lanes_from(lane: usize) -> u16 {
    (u32::from(u16::MAX) << lane.min(LANES)) as u16
}

/// Offers to every point of a group the points of the tree whose keys are within its bound, boxes near
/// the middle of the group first. The points of a leaf of the tree are offered only what comes after each, if `own_leaf` is that.
///
/// The key between two boxes is never above that of a point and a box in them, which is never above
/// that of two points: rounding is monotone.
#[inline(always)]
pub(crate) fn join<S: Simd, K: Keys, G: Gather>(
    simd: S,
    tree: &Tree,
    group: &Group<S>,
    own_leaf: Option<usize>,
    gather: &mut G,
) {
    let (leaves, slots, nodes) = (tree.leaves.raw(), tree.slots.raw(), tree.nodes.raw());
    let watch = tree.watch();
    let shape = &tree.shape;
    if shape.height == 0 {
        if let (Some(block), Some(slots)) = (tree.leaves.get(0), tree.slots.get(0)) {
            group.visit::<K, G>(simd, group.all(), block, slots, own_leaf.is_some(), gather);
        }
        return;
    }
    let first = own_leaf.unwrap_or(0);
    let mut stack = [0_u64; LANES * LEVELS];
    let mut top = 1;
    stack[0] = pack(0.0, shape.height, 0);
    while top > 0 {
        top -= 1;
        let (key, level, index) = unpack(stack[top]);
        if key > gather.widest() {
            continue;
        }
        if let Some(watch) = &watch {
            watch.node(shape.starts[level] + index);
        }
        let node = &nodes[shape.starts[level] + index];
        let keys = group.between::<K>(simd, node);
        let ahead = first >> (LANES.ilog2() as usize * (level - 1));
        let mask = simd.le(keys, simd.splat(gather.widest()))
            & shape.children(level, index)
            & lanes_from(ahead.saturating_sub(index * LANES));
        let order = super::search::box_keys::<S, K>(simd, &group.center, node);
        let base = top;
        let mut least = [0.0; LANES];
        simd.store(keys, &mut least);
        top = push_ranked(simd, &mut stack, top, mask, order, &least, level - 1, index);
        if level > 1 {
            continue;
        }
        while top > base {
            top -= 1;
            let (key, _, leaf) = unpack(stack[top]);
            if top > base {
                let (_, _, next) = unpack(stack[top - 1]);
                for column in &leaves[next] {
                    simd.prefetch(column);
                }
            }
            if key > gather.widest() {
                continue;
            }
            let keys = group.to_box::<K>(simd, node, leaf % LANES);
            let points = simd.le(keys, simd.load(gather.bounds()));
            if points != 0 {
                if let Some(watch) = &watch {
                    watch.leaf(leaf);
                }
                let (block, slots) = (&leaves[leaf], &slots[leaf]);
                group.visit::<K, G>(simd, points, block, slots, own_leaf == Some(leaf), gather);
            }
        }
    }
}
