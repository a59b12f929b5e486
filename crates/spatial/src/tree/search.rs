//! One traversal for every question: nearest, within, count.

use super::{LEVELS, Slots, Tree};
use crate::collect::Collect;
use crate::kernel::{Block, LANES, Lanes, Simd};
use crate::metric::Keys;

/// A query point and its scales, in every lane.
pub(crate) struct Probe<S: Simd> {
    q: [S::F; 8],
    scales: [S::F; 8],
    zero: S::F,
}

impl<S: Simd> Probe<S> {
    #[inline(always)]
    pub(crate) fn new(simd: S, q: &[f32; 8], scales: &[f32; 8]) -> Self {
        let mut probe =
            Self { q: [simd.splat(0.0); 8], scales: [simd.splat(0.0); 8], zero: simd.splat(0.0) };
        for axis in 0..8 {
            probe.q[axis] = simd.splat(q[axis]);
            probe.scales[axis] = simd.splat(scales[axis]);
        }
        probe
    }
}

/// The keys of sixteen points.
#[inline(always)]
pub(crate) fn leaf_keys<S: Simd, K: Keys>(simd: S, probe: &Probe<S>, block: &Block) -> S::F {
    column_keys::<S, K>(
        simd,
        probe,
        #[inline(always)]
        |axis| &block[axis],
    )
}

/// The keys of sixteen points, whose coordinates on an axis are at `column(axis)`.
#[inline(always)]
pub(crate) fn column_keys<'a, S: Simd, K: Keys>(
    simd: S,
    probe: &Probe<S>,
    column: impl Fn(usize) -> &'a Lanes,
) -> S::F {
    let mut d = [probe.zero; 8];
    for axis in 0..8 {
        d[axis] = simd.sub(simd.load(column(axis)), probe.q[axis]);
        if !K::UNIT {
            d[axis] = simd.mul(probe.scales[axis], d[axis]);
        }
    }
    K::keys(simd, d)
}

/// The least keys that points in sixteen boxes can have.
#[inline(always)]
pub(crate) fn box_keys<S: Simd, K: Keys>(
    simd: S,
    probe: &Probe<S>,
    [lo, hi]: &super::Boxes,
) -> S::F {
    let mut d = [probe.zero; 8];
    for axis in 0..8 {
        let below = simd.sub(simd.load(&lo[axis]), probe.q[axis]);
        let above = simd.sub(probe.q[axis], simd.load(&hi[axis]));
        d[axis] = simd.max(simd.max(below, above), probe.zero);
        if !K::UNIT {
            d[axis] = simd.mul(probe.scales[axis], d[axis]);
        }
    }
    K::keys(simd, d)
}

/// A node or leaf still to visit, ordered by its least key: the bits of a float that is not
/// negative are ordered as it is.
#[inline(always)]
pub(super) fn pack(key: f32, level: usize, index: usize) -> u64 {
    u64::from(key.to_bits()) << 32 | (level as u64) << 28 | index as u64
}

#[inline(always)]
pub(super) fn unpack(entry: u64) -> (f32, usize, usize) {
    let (level, index) = (entry >> 28 & 0xf, entry & 0xfff_ffff);
    (f32::from_bits((entry >> 32) as u32), level as usize, index as usize)
}

/// Pushes the children in `mask` of a node, such that the one with the least `order` is on top, and among
/// equal ones that in the lowest lane; `least` are their keys. Returns the new top.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // the two searches share it
pub(super) fn push_ranked<S: Simd>(
    simd: S,
    stack: &mut [u64; LANES * LEVELS],
    base: usize,
    mask: u16,
    order: S::F,
    least: &Lanes,
    level: usize,
    parent: usize,
) -> usize {
    let top = base + mask.count_ones() as usize;
    let mut values = [0.0; LANES];
    simd.store(order, &mut values);
    let mut rest = mask;
    while rest != 0 {
        let lane = rest.trailing_zeros() as usize;
        rest &= rest - 1;
        // The place is that of the rank: as many as are less, and equal ones in lower lanes.
        let value = simd.splat(values[lane]);
        let (below, above) = (simd.le(order, value), simd.le(value, order));
        let lower = (1_u16 << lane) - 1;
        let rank = (mask & below & (!above | lower)).count_ones() as usize;
        stack[top - 1 - rank] = pack(least[lane], level, parent * LANES + lane);
    }
    top
}

/// Offers every point of the tree whose key is within the collector's bound; nearest boxes first, if
/// the bound shrinks.
#[inline(always)]
pub(crate) fn search<S: Simd, K: Keys, C: Collect>(
    simd: S,
    tree: &Tree,
    probe: &Probe<S>,
    collect: &mut C,
) {
    let (leaves, slots, nodes) = (&*tree.leaves, &*tree.slots, &*tree.nodes);
    let shape = &tree.shape;
    if shape.height == 0 {
        if let (Some(block), Some(slots)) = (leaves.first(), slots.first()) {
            visit_leaf::<S, K, C>(simd, probe, block, slots, collect);
        }
        return;
    }
    let mut stack = [0_u64; LANES * LEVELS];
    let mut top = 1;
    stack[0] = pack(0.0, shape.height, 0);
    while top > 0 {
        top -= 1;
        let (key, level, index) = unpack(stack[top]);
        if C::SHRINKS && key > collect.bound() {
            continue;
        }
        let keys = box_keys::<S, K>(simd, probe, &nodes[shape.starts[level] + index]);
        let mut mask = simd.le(keys, simd.splat(collect.bound())) & shape.children(level, index);
        if !C::SHRINKS {
            if level > 1 {
                while mask != 0 {
                    let lane = mask.trailing_zeros() as usize;
                    mask &= mask - 1;
                    stack[top] = pack(0.0, level - 1, index * LANES + lane);
                    top += 1;
                }
                continue;
            }
            while mask != 0 {
                let leaf = index * LANES + mask.trailing_zeros() as usize;
                mask &= mask - 1;
                let next = index * LANES + (mask.trailing_zeros() as usize).min(LANES - 1);
                for column in leaves.get(next).into_iter().flatten() {
                    simd.prefetch(column);
                }
                visit_leaf::<S, K, C>(simd, probe, &leaves[leaf], &slots[leaf], collect);
            }
            continue;
        }
        let base = top;
        let mut least = [0.0; LANES];
        simd.store(keys, &mut least);
        top = push_ranked(simd, &mut stack, top, mask, keys, &least, level - 1, index);
        if level > 1 {
            continue;
        }
        while top > base {
            top -= 1;
            let (key, _, leaf) = unpack(stack[top]);
            if key > collect.bound() {
                top = base;
                break;
            }
            if top > base {
                let (_, _, next) = unpack(stack[top - 1]);
                for column in &leaves[next] {
                    simd.prefetch(column);
                }
            }
            visit_leaf::<S, K, C>(simd, probe, &leaves[leaf], &slots[leaf], collect);
        }
    }
}

#[inline(always)]
fn visit_leaf<S: Simd, K: Keys, C: Collect>(
    simd: S,
    probe: &Probe<S>,
    block: &Block,
    slots: &Slots,
    collect: &mut C,
) {
    let keys = leaf_keys::<S, K>(simd, probe, block);
    let mask = simd.le(keys, simd.splat(collect.bound()));
    if mask != 0 {
        let mut lanes = [0.0; LANES];
        simd.store(keys, &mut lanes);
        collect.offer_lanes(simd, mask, &lanes, slots);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Shape;

    #[test]
    fn every_node_of_the_largest_tree_has_a_place_on_the_stack() {
        let shape = Shape::new(crate::store::MAX_SLOTS);
        assert_eq!(shape.height, LEVELS);
        assert_eq!(shape.leaves(), 1 << 28);
        for level in 0..=shape.height {
            let last = shape.counts[level] - 1;
            for key in [0.0, f32::MIN_POSITIVE, 1.5, f32::MAX, f32::INFINITY] {
                assert_eq!(unpack(pack(key, level, last)), (key, level, last));
            }
            if level > 0 {
                assert!(shape.starts[level] + last < shape.nodes());
                let children = shape.children(level, last).count_ones() as usize;
                assert_eq!(last * LANES + children, shape.counts[level - 1]);
            }
        }
        assert_eq!(shape.starts[LEVELS] + 1, shape.nodes());
    }
}
