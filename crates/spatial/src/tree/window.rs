//! The points in a box.

use super::{Boxes, LEVELS, Slots, Tree};
use crate::forest::Forest;
use crate::kernel::{self, Block, LANES, Op, Simd};

struct Window<'a, F> {
    forest: &'a Forest,
    lo: &'a [f32; 8],
    hi: &'a [f32; 8],
    found: &'a mut F,
}

impl Forest {
    /// Calls `found` with the slot of every point in a box, dead ones included.
    pub(crate) fn window(&self, lo: &[f32; 8], hi: &[f32; 8], found: &mut impl FnMut(u32)) {
        kernel::run(kernel::current(), Window { forest: self, lo, hi, found });
    }
}

impl<F: FnMut(u32)> Op for Window<'_, F> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut lo = [simd.splat(0.0); 8];
        let mut hi = lo;
        for axis in 0..8 {
            lo[axis] = simd.splat(self.lo[axis]);
            hi[axis] = simd.splat(self.hi[axis]);
        }
        for tree in self.forest.trees() {
            search(simd, tree, &lo, &hi, self.found);
        }
        for (block, slots) in self.forest.buffer().blocks() {
            leaf(simd, block, slots, &lo, &hi, self.found);
        }
    }
}

#[inline(always)]
fn search<S: Simd, F: FnMut(u32)>(
    simd: S,
    tree: &Tree,
    lo: &[S::F; 8],
    hi: &[S::F; 8],
    found: &mut F,
) {
    let (leaves, slots, nodes) = (tree.leaves.raw(), tree.slots.raw(), tree.nodes.raw());
    let watch = tree.watch();
    let mut stack = [(0_usize, 0_usize); LANES * LEVELS];
    let mut top = 1;
    stack[0] = (tree.shape.height, 0);
    while top > 0 {
        top -= 1;
        let (level, index) = stack[top];
        if level == 0 {
            if let Some(watch) = &watch {
                watch.leaf(index);
            }
            leaf(simd, &leaves[index], &slots[index], lo, hi, found);
            continue;
        }
        let node = tree.shape.starts[level] + index;
        if let Some(watch) = &watch {
            watch.node(node);
        }
        let [below, above]: &Boxes = &nodes[node];
        let mut mask = tree.shape.children(level, index);
        for axis in 0..8 {
            mask &= simd.le(simd.load(&below[axis]), hi[axis]);
            mask &= simd.le(lo[axis], simd.load(&above[axis]));
        }
        while mask != 0 {
            let lane = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            stack[top] = (level - 1, index * LANES + lane);
            top += 1;
        }
    }
}

#[inline(always)]
fn leaf<S: Simd, F: FnMut(u32)>(
    simd: S,
    block: &Block,
    slots: &Slots,
    lo: &[S::F; 8],
    hi: &[S::F; 8],
    found: &mut F,
) {
    let mut mask = u16::MAX;
    for axis in 0..8 {
        let x = simd.load(&block[axis]);
        mask &= simd.le(lo[axis], x) & simd.le(x, hi[axis]);
    }
    while mask != 0 {
        let lane = mask.trailing_zeros() as usize;
        mask &= mask - 1;
        found(slots[lane]);
    }
}
