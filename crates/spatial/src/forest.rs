//! Many trees and a buffer, so that the index can change: the logarithmic method (Bentley and
//! Saxe, 1980).
//!
//! New points go to a buffer that every search scans. A full buffer becomes a small tree, and trees
//! of like size are merged in the background into a larger one. A search visits them all, so it sees
//! every change at once and never waits for a merge.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};

use crate::collect::Collect;
use crate::kernel::{Block, LANES, Simd};
use crate::metric::Keys;
use crate::tree::{Entry, Gather, Group, NO_SLOT, Probe, Slots, Tree, join, leaf_keys, search};

/// Points in the buffer before it becomes a tree.
const BUFFER: usize = 1024;

/// A merge takes all trees of a size class once there are this many; classes differ by this factor.
const FAN: usize = 4;

/// Trees beside the largest that searches visit without a merge of all of them.
const FEW: usize = 4;

/// The index of a live grid.
pub(crate) struct Forest {
    /// Largest first.
    trees: Vec<Arc<Tree>>,
    buffer: Buffer,
    merges: Vec<Merge>,
    scales: [f32; 8],
    /// Points in the trees, dead ones included.
    planted: usize,
}

/// The newest points, transposed like leaves.
#[derive(Default)]
pub(crate) struct Buffer {
    blocks: Vec<Block>,
    slots: Vec<Slots>,
    radii: Vec<f32>,
}

/// A tree being built from others by another thread.
struct Merge {
    sources: Vec<Arc<Tree>>,
    thread: JoinHandle<Merged>,
}

struct Merged {
    tree: Option<Tree>,
    /// Slots that were dead when the merge began, and are in no tree any more.
    dropped: Vec<u32>,
}

impl Buffer {
    fn len(&self) -> usize {
        self.radii.len()
    }

    fn push(&mut self, entry: &Entry) {
        let lane = self.len() % LANES;
        if lane == 0 {
            self.blocks.push([[f32::NAN; LANES]; 8]);
            self.slots.push([NO_SLOT; LANES]);
        }
        if let (Some(block), Some(slots)) = (self.blocks.last_mut(), self.slots.last_mut()) {
            for axis in 0..8 {
                block[axis][lane] = entry.position[axis];
            }
            slots[lane] = entry.slot;
        }
        self.radii.push(entry.radius);
    }

    pub(crate) fn blocks(&self) -> impl Iterator<Item = (&Block, &Slots)> {
        self.blocks.iter().zip(&self.slots)
    }

    pub(crate) fn radii(&self) -> impl Iterator<Item = &[f32]> {
        self.radii.chunks(LANES)
    }

    fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.radii.iter().enumerate().map(|(i, &radius)| {
            let (block, lane) = (i / LANES, i % LANES);
            Entry {
                position: std::array::from_fn(|axis| self.blocks[block][axis][lane]),
                slot: self.slots[block][lane],
                radius,
            }
        })
    }

    fn clear(&mut self) {
        self.blocks.clear();
        self.slots.clear();
        self.radii.clear();
    }
}

impl Forest {
    pub(crate) fn new(scales: [f32; 8]) -> Self {
        Self {
            trees: Vec::new(),
            buffer: Buffer::default(),
            merges: Vec::new(),
            scales,
            planted: 0,
        }
    }

    /// One tree over all entries, built on the current rayon pool; `None` if `cancel` was set meanwhile.
    pub(crate) fn bulk(
        entries: &mut [Entry],
        scales: [f32; 8],
        cancel: &AtomicBool,
    ) -> Option<Self> {
        let mut forest = Self::new(scales);
        if !entries.is_empty() {
            let (tree, done) = Tree::build_until(entries, &scales, true, cancel);
            if !done {
                return None;
            }
            forest.add(Arc::new(tree));
        }
        Some(forest)
    }

    pub(crate) fn with_tree(tree: Tree, scales: [f32; 8]) -> Self {
        let mut forest = Self::new(scales);
        if tree.len > 0 {
            forest.add(Arc::new(tree));
        }
        forest
    }

    pub(crate) fn trees(&self) -> &[Arc<Tree>] {
        &self.trees
    }

    pub(crate) fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// The only tree, if it holds everything.
    pub(crate) fn single(&self) -> Option<&Arc<Tree>> {
        match &*self.trees {
            [tree] if self.buffer.len() == 0 => Some(tree),
            _ => None,
        }
    }

    pub(crate) fn memory(&self) -> usize {
        let buffer = self.buffer.blocks.len() * (size_of::<Block>() + size_of::<Slots>());
        self.trees.iter().map(|tree| tree.memory()).sum::<usize>() + buffer
    }

    /// Adds a point. Returns slots that no tree refers to any more.
    pub(crate) fn insert(&mut self, entry: &Entry, alive: &[u64]) -> Vec<u32> {
        self.buffer.push(entry);
        if self.buffer.len() < BUFFER {
            return Vec::new();
        }
        let (mut live, mut dropped) = split(self.buffer.entries(), alive);
        self.buffer.clear();
        if !live.is_empty() {
            self.add(Arc::new(Tree::build(&mut live, &self.scales, false)));
        }
        dropped.extend(self.install());
        self.start_merges(alive);
        dropped
    }

    /// Puts finished merges in place. Returns slots that no tree refers to any more.
    pub(crate) fn install(&mut self) -> Vec<u32> {
        let mut dropped = Vec::new();
        let mut at = 0;
        while at < self.merges.len() {
            if !self.merges[at].thread.is_finished() {
                at += 1;
                continue;
            }
            let Merge { sources, thread } = self.merges.swap_remove(at);
            // Had the thread died, its sources would still be in place, to be merged again.
            if let Ok(merged) = thread.join() {
                self.planted -= sources.iter().map(|tree| tree.len).sum::<usize>();
                self.trees.retain(|tree| !sources.iter().any(|source| Arc::ptr_eq(source, tree)));
                if let Some(tree) = merged.tree {
                    self.add(Arc::new(tree));
                }
                dropped.extend(merged.dropped);
                // Unmapping large trees takes a while; not here.
                let _ = thread::Builder::new().spawn(move || drop(sources));
            }
        }
        dropped
    }

    fn add(&mut self, tree: Arc<Tree>) {
        self.planted += tree.len;
        let at = self.trees.partition_point(|other| other.len >= tree.len);
        self.trees.insert(at, tree);
    }

    fn start_merges(&mut self, alive: &[u64]) {
        let class = |tree: &Tree| (tree.len / BUFFER).max(1).ilog(FAN);
        let idle: Vec<_> = self
            .trees
            .iter()
            .filter(|tree| {
                !self.merges.iter().any(|m| m.sources.iter().any(|s| Arc::ptr_eq(s, tree)))
            })
            .cloned()
            .collect();
        let Some(full) = idle
            .iter()
            .map(|tree| class(tree))
            .find(|&class_| idle.iter().filter(|tree| class(tree) == class_).count() >= FAN)
        else {
            return self.gather(alive);
        };
        let sources: Vec<_> = idle.into_iter().filter(|tree| class(tree) <= full).collect();
        self.start(sources, alive);
    }

    /// If no merge is going on and there are more than a few trees, merges those beside the largest;
    /// the second largest stays out as long as it is large beside the rest.
    fn gather(&mut self, alive: &[u64]) {
        if !self.merges.is_empty() || self.trees.len() <= FEW + 1 {
            return;
        }
        let rest: usize = self.trees[2..].iter().map(|tree| tree.len).sum();
        let from = if FAN * rest >= self.trees[1].len { 1 } else { 2 };
        self.start(self.trees[from..].to_vec(), alive);
    }

    /// Puts finished merges in place, then merges everything if more than half of it is dead.
    /// Returns slots that no tree refers to any more.
    #[inline]
    pub(crate) fn tidy(&mut self, live: usize, alive: &[u64]) -> Vec<u32> {
        if !self.merges.is_empty() {
            let unused = self.install();
            if self.merges.is_empty() {
                self.start_merges(alive);
            }
            return unused;
        }
        if self.planted + self.buffer.len() > 2 * live + BUFFER && !self.trees.is_empty() {
            self.start(self.trees.clone(), alive);
        }
        Vec::new()
    }

    fn start(&mut self, sources: Vec<Arc<Tree>>, alive: &[u64]) {
        let (alive, trees, scales) = (alive.to_vec(), sources.clone(), self.scales);
        let spawned = thread::Builder::new().name("ottava-merge".into()).spawn(move || {
            let (mut live, dropped) = split(trees.iter().flat_map(|tree| tree.entries()), &alive);
            let tree = (!live.is_empty()).then(|| Tree::build(&mut live, &scales, false));
            Merged { tree, dropped }
        });
        if let Ok(thread) = spawned {
            self.merges.push(Merge { sources, thread });
        }
    }

    /// All live points, for building one tree of them.
    pub(crate) fn entries(&self, alive: &[u64]) -> Vec<Entry> {
        let trees = self.trees.iter().flat_map(|tree| tree.entries());
        split(trees.chain(self.buffer.entries()), alive).0
    }

    /// Offers every point within the collector's bound, dead ones included.
    #[inline(always)]
    pub(crate) fn search<S: Simd, K: Keys, C: Collect>(
        &self,
        simd: S,
        probe: &Probe<S>,
        collect: &mut C,
    ) {
        for tree in &self.trees {
            search::<S, K, C>(simd, tree, probe, collect);
        }
        for (block, slots) in self.buffer.blocks() {
            let keys = leaf_keys::<S, K>(simd, probe, block);
            let mask = simd.le(keys, simd.splat(collect.bound()));
            if mask != 0 {
                let mut lanes = [0.0; LANES];
                simd.store(keys, &mut lanes);
                collect.offer_lanes(simd, mask, &lanes, slots);
            }
        }
    }

    /// Offers every point to the points of a group, dead ones included. If these are a leaf of the only tree, each is offered only
    /// what comes after it.
    #[inline(always)]
    pub(crate) fn join<S: Simd, K: Keys, G: Gather>(
        &self,
        simd: S,
        group: &Group<S>,
        own_leaf: Option<usize>,
        gather: &mut G,
    ) {
        for tree in &self.trees {
            join::<S, K, G>(simd, tree, group, own_leaf, gather);
        }
        for (block, slots) in self.buffer.blocks() {
            group.visit::<K, G>(simd, group.all(), block, slots, false, gather);
        }
    }
}

fn split(entries: impl Iterator<Item = Entry>, alive: &[u64]) -> (Vec<Entry>, Vec<u32>) {
    let is_alive =
        |slot: u32| alive.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1);
    let (mut live, mut dead) = (Vec::new(), Vec::new());
    for entry in entries {
        if is_alive(entry.slot) {
            live.push(entry);
        } else {
            dead.push(entry.slot);
        }
    }
    (live, dead)
}
