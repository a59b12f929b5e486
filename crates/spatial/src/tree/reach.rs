//! The leaves with points whose field may reach a point.

use super::search::box_keys;
use super::{LEVELS, Probe, Slots, Tree};
use crate::kernel::{Block, LANES, Lanes, Simd};
use crate::metric::Keys;

impl Tree {
    /// Calls `visit` with every leaf whose box is as near as the largest field radius in it. `root`
    /// says whether distances are the roots of keys.
    #[inline(always)]
    pub(crate) fn reaching<S: Simd, K: Keys>(
        &self,
        simd: S,
        probe: &Probe<S>,
        root: bool,
        visit: &mut impl FnMut(&Block, &Slots, &Lanes),
    ) {
        let (Some(radii), Some(reach)) = (&self.radii, &self.reach) else { return };
        let watch = self.watch().zip(radii.watch()).zip(reach.watch());
        let (leaves, slots, radii) = (self.leaves.raw(), self.slots.raw(), radii.raw());
        let (nodes, reach) = (self.nodes.raw(), reach.raw());
        let least = simd.splat(f32::from_bits(1));
        let mut stack = [(0_usize, 0_usize); LANES * LEVELS];
        let mut top = 1;
        stack[0] = (self.shape.height, 0);
        while top > 0 {
            top -= 1;
            let (level, index) = stack[top];
            if level == 0 {
                if let Some(((watch, radii), _)) = &watch {
                    watch.leaf(index);
                    radii.look(index);
                }
                visit(&leaves[index], &slots[index], &radii[index]);
                continue;
            }
            let node = self.shape.starts[level] + index;
            if let Some(((watch, _), reach)) = &watch {
                watch.node(node);
                reach.look(node);
            }
            let keys = box_keys::<S, K>(simd, probe, &nodes[node]);
            let distances = if root { simd.sqrt(keys) } else { keys };
            let reach = simd.load(&reach[node]);
            let mut mask = simd.le(distances, reach)
                & simd.le(least, reach)
                & self.shape.children(level, index);
            while mask != 0 {
                let lane = mask.trailing_zeros() as usize;
                mask &= mask - 1;
                stack[top] = (level - 1, index * LANES + lane);
                top += 1;
            }
        }
    }
}
