//! One traversal for every question: nearest, within, count.

use super::{LEVELS, Slots, Tree, TreeWatch};
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
    stack: &mut [u64],
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

/// Offers every point of the tree whose key is within the collector's bound; what is near first, if the
/// bound shrinks.
#[inline(always)]
pub(crate) fn search<S: Simd, K: Keys, C: Collect>(
    simd: S,
    tree: &Tree,
    probe: &Probe<S>,
    collect: &mut C,
) {
    let shape = &tree.shape;
    if shape.height == 0 {
        if let (Some(block), Some(slots)) = (tree.leaves.get(0), tree.slots.get(0)) {
            visit_leaf::<S, K, C>(simd, probe, block, slots, collect);
        }
        return;
    }
    let mut lists = [[0; WAITING]; LEVELS + 1];
    let watch = tree.watch();
    let watch = watch.as_ref();
    if !C::SHRINKS {
        below::<S, K, C>(simd, tree, watch, probe, collect, &mut lists, (shape.height, 0, 0));
        return;
    }
    let mut index = seed::<S, K, C>(simd, tree, watch, probe, collect);
    for level in 2..=shape.height {
        let done = 1 << (index % LANES);
        index /= LANES;
        below::<S, K, C>(simd, tree, watch, probe, collect, &mut lists, (level, index, done));
    }
}

/// Nodes, or leaves, of each level that wait to be visited.
const WAITING: usize = 128;

/// How many visits ahead the points of a leaf are asked for.
const LEAVES_AHEAD: usize = 4;

/// How many visits ahead the boxes of a node are asked for.
const NODES_AHEAD: usize = 2;

/// Offers the points below a node, given by its level and number, but those below some of its children.
///
/// As many nodes of a level as fit into the list of the level below are visited one after the other. So the
/// processor need not guess what comes next, which takes longer than to look at a few boxes more, and memory
/// is asked for ahead.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // a part of one search
fn below<S: Simd, K: Keys, C: Collect>(
    simd: S,
    tree: &Tree,
    watch: Option<&TreeWatch<'_>>,
    probe: &Probe<S>,
    collect: &mut C,
    lists: &mut [[u32; WAITING]; LEVELS + 1],
    (highest, node, without): (usize, usize, u16),
) {
    let (leaves, slots, nodes) = (tree.leaves.raw(), tree.slots.raw(), tree.nodes.raw());
    let shape = &tree.shape;
    let mut lens = [0; LEVELS + 1];
    let mut level = highest;
    (lists[level][0], lens[level]) = (node as u32, 1);
    loop {
        if level == 0 {
            let list = &lists[0][..lens[0]];
            for (at, &leaf) in list.iter().enumerate() {
                if let Some(&next) = list.get(at + LEAVES_AHEAD) {
                    for column in &leaves[next as usize] {
                        simd.prefetch(column);
                    }
                }
                let leaf = leaf as usize;
                if let Some(watch) = watch {
                    watch.leaf(leaf);
                }
                visit_leaf::<S, K, C>(simd, probe, &leaves[leaf], &slots[leaf], collect);
            }
            lens[0] = 0;
        } else {
            let [below, list] = &mut lists[level - 1..=level] else { return };
            let here = &nodes[shape.starts[level]..];
            let (mut len, mut found) = (lens[level], lens[level - 1]);
            while len > 0 && found <= WAITING - LANES {
                len -= 1;
                if let Some(&next) = list.get(len.wrapping_sub(NODES_AHEAD)) {
                    for column in here[next as usize].as_flattened() {
                        simd.prefetch(column);
                    }
                }
                let index = list[len] as usize;
                if let Some(watch) = watch {
                    watch.node(shape.starts[level] + index);
                }
                let keys = box_keys::<S, K>(simd, probe, &here[index]);
                let mut mask =
                    simd.le(keys, simd.splat(collect.bound())) & shape.children(level, index);
                if C::SHRINKS && level == highest {
                    mask &= !without;
                }
                if let Some(out) = below[found..].first_chunk_mut() {
                    simd.number(mask, (index * LANES) as u32, out);
                }
                found += mask.count_ones() as usize;
            }
            (lens[level], lens[level - 1]) = (len, found);
            level -= 1;
        }
        while lens[level] == 0 {
            if level == highest {
                return;
            }
            level += 1;
        }
    }
}

/// Offers the points below the parent of leaves that a descent to the nearest box ends at, nearest leaves first,
/// so that the bound is near what it will be in the end. Returns the number of that parent.
#[inline(always)]
fn seed<S: Simd, K: Keys, C: Collect>(
    simd: S,
    tree: &Tree,
    watch: Option<&TreeWatch<'_>>,
    probe: &Probe<S>,
    collect: &mut C,
) -> usize {
    let (leaves, slots, nodes) = (tree.leaves.raw(), tree.slots.raw(), tree.nodes.raw());
    let shape = &tree.shape;
    let (mut level, mut index) = (shape.height, 0);
    loop {
        if let Some(watch) = watch {
            watch.node(shape.starts[level] + index);
        }
        let keys = box_keys::<S, K>(simd, probe, &nodes[shape.starts[level] + index]);
        let children = shape.children(level, index);
        if level > 1 {
            let keys = simd.select(children, keys, simd.splat(f32::INFINITY));
            let nearest = simd.le(keys, simd.splat(simd.least(keys))) & children;
            level -= 1;
            index = index * LANES + nearest.trailing_zeros() as usize % LANES;
            continue;
        }
        let mask = simd.le(keys, simd.splat(collect.bound())) & children;
        let (mut least, mut ranked) = ([0.0; LANES], [0; LANES]);
        simd.store(keys, &mut least);
        let len = push_ranked(simd, &mut ranked, 0, mask, keys, &least, 0, index);
        for &entry in ranked[..len].iter().rev() {
            let (key, _, leaf) = unpack(entry);
            if key > collect.bound() {
                break;
            }
            if let Some(watch) = watch {
                watch.leaf(leaf);
            }
            visit_leaf::<S, K, C>(simd, probe, &leaves[leaf], &slots[leaf], collect);
        }
        return index;
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
