//! The bulk index: an implicit tree of boxes, sixteen children a node, sixteen points a leaf.
//!
//! Leaves are full but for the last, and children are found by arithmetic: child `c` of node `i` is
//! node `16 i + c` one level down. A leaf holds its points transposed, one lane a point; a node
//! holds the boxes of its children transposed, one lane a child. A tree never changes; what has
//! been removed from the grid is skipped by asking whether its slot is alive.

mod build;
mod join;
mod reach;
mod search;
mod split;
mod window;

pub(crate) use build::{Entry, NEVER};
pub(crate) use join::{Gather, Group, join};
pub(crate) use search::{Probe, column_keys, leaf_keys, search};

use crate::kernel::{Block, LANES, Lanes};
use crate::snapshot::Watch;
use crate::storage::Storage;

/// The boxes of sixteen children: lower corners, then upper corners.
pub(crate) type Boxes = [Block; 2];

/// Slots of the points of a leaf; unused lanes hold [`NO_SLOT`].
pub(crate) type Slots = [u32; LANES];

/// The slot of no token.
pub(crate) const NO_SLOT: u32 = u32::MAX;

/// The most levels a tree can have above its leaves: `16^7` leaves are `2^32` points.
const LEVELS: usize = 7;

/// An immutable packed tree over points.
pub(crate) struct Tree {
    pub(crate) len: usize,
    /// Unused lanes hold NaN, which is within nothing.
    pub(crate) leaves: Storage<Block>,
    pub(crate) slots: Storage<Slots>,
    /// The levels one after the other, the parents of leaves first, the root last.
    pub(crate) nodes: Storage<Boxes>,
    /// The field radius of each point, by leaf, if any has one; 0 is none.
    pub(crate) radii: Option<Storage<Lanes>>,
    /// With `radii`: the largest field radius below each child, by node.
    pub(crate) reach: Option<Storage<Lanes>>,
    shape: Shape,
    pub(crate) bounds: [[f32; 8]; 2],
}

/// Checks what a search reads of a tree in a file.
pub(crate) struct TreeWatch<'a> {
    leaves: Watch<'a, Block>,
    slots: Watch<'a, Slots>,
    nodes: Watch<'a, Boxes>,
}

impl TreeWatch<'_> {
    #[inline]
    fn leaf(&self, leaf: usize) {
        self.leaves.look(leaf);
        self.slots.look(leaf);
    }

    #[inline]
    fn node(&self, node: usize) {
        self.nodes.look(node);
    }
}

/// Where each level of nodes starts, and how many of them it has; level 0 are the leaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    height: usize,
    counts: [usize; LEVELS + 1],
    starts: [usize; LEVELS + 1],
}

impl Shape {
    /// The shape of a tree over `len` points.
    pub(crate) fn new(len: usize) -> Self {
        let mut shape = Self { height: 0, counts: [0; LEVELS + 1], starts: [0; LEVELS + 1] };
        shape.counts[0] = len.div_ceil(LANES);
        while shape.counts[shape.height] > 1 {
            let next = shape.height + 1;
            shape.counts[next] = shape.counts[shape.height].div_ceil(LANES);
            if next > 1 {
                shape.starts[next] = shape.starts[next - 1] + shape.counts[next - 1];
            }
            shape.height = next;
        }
        shape
    }

    pub(crate) fn leaves(&self) -> usize {
        self.counts[0]
    }

    pub(crate) fn nodes(&self) -> usize {
        if self.height == 0 { 0 } else { self.starts[self.height] + 1 }
    }

    /// The children that node `index` of `level` has, as a mask.
    #[inline(always)]
    fn children(&self, level: usize, index: usize) -> u16 {
        let left = self.counts[level - 1].saturating_sub(index * LANES);
        if left >= LANES { u16::MAX } else { (1_u16 << left) - 1 }
    }
}

impl Tree {
    /// The bytes held in memory.
    pub(crate) fn memory(&self) -> usize {
        let optional =
            |storage: &Option<Storage<Lanes>>| storage.as_ref().map_or(0, Storage::memory);
        self.leaves.memory()
            + self.slots.memory()
            + self.nodes.memory()
            + optional(&self.radii)
            + optional(&self.reach)
    }

    /// None if nothing is to be checked.
    #[inline]
    pub(crate) fn watch(&self) -> Option<TreeWatch<'_>> {
        let (leaves, slots) = (self.leaves.watch()?, self.slots.watch()?);
        Some(TreeWatch { leaves, slots, nodes: self.nodes.watch()? })
    }

    /// The largest magnitude of a coordinate, by axis.
    pub(crate) fn extent(&self) -> [f32; 8] {
        let [lo, hi] = &self.bounds;
        let largest =
            |axis: usize| if self.len == 0 { 0.0 } else { lo[axis].abs().max(hi[axis].abs()) };
        std::array::from_fn(largest)
    }

    /// The points with their slots and radii, in tree order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> {
        let (leaves, slots) = (self.leaves.all(), self.slots.all());
        let radii = self.radii.as_ref().map(Storage::all);
        (0..self.len).map(move |i| {
            let (leaf, lane) = (i / LANES, i % LANES);
            Entry {
                position: std::array::from_fn(|axis| leaves[leaf][axis][lane]),
                slot: slots[leaf][lane],
                radius: radii.map_or(0.0, |radii| radii[leaf][lane]),
            }
        })
    }
}
