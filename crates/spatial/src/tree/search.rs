//! One traversal for every question: nearest, within, count.

use super::{LEVELS, Slots, Tree};
use crate::collect::Collect;
use crate::kernel::{Block, LANES, Simd};
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
    let mut d = [probe.zero; 8];
    for axis in 0..8 {
        d[axis] = simd.sub(simd.load(&block[axis]), probe.q[axis]);
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
fn pack(key: f32, level: usize, index: usize) -> u64 {
    u64::from(key.to_bits()) << 32 | (level as u64) << 28 | index as u64
}

#[inline(always)]
fn unpack(entry: u64) -> (f32, usize, usize) {
    let (level, index) = (entry >> 28 & 0xf, entry & 0xfff_ffff);
    (f32::from_bits((entry >> 32) as u32), level as usize, index as usize)
}

/// Offers every point of the tree whose key is within the collector's bound, nearest boxes first.
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
        if key > collect.bound() {
            continue;
        }
        let keys = box_keys::<S, K>(simd, probe, &nodes[shape.starts[level] + index]);
        let mut mask = simd.le(keys, simd.splat(collect.bound())) & shape.children(level, index);
        let base = top;
        top = base + mask.count_ones() as usize;
        let mut least = [0.0; LANES];
        simd.store(keys, &mut least);
        let all = mask;
        while mask != 0 {
            let lane = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            // Descending, so that the nearest is on top. The place is that of the rank: as many as
            // are less, and equal ones in lower lanes.
            let key = simd.splat(least[lane]);
            let (below, above) = (simd.le(keys, key), simd.le(key, keys));
            let lower = (1_u16 << lane) - 1;
            let rank = (all & below & (!above | lower)).count_ones() as usize;
            stack[top - 1 - rank] = pack(least[lane], level - 1, index * LANES + lane);
        }
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
