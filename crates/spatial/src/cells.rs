//! Cells: the tokens in a cube of space, found by hash.
//!
//! A cell has eight integers, `floor(scale * coordinate / size)` on each axis, kept within `i32`: the
//! outermost cells reach to infinity. Only occupied cells take memory. The hash is made by the first
//! question for a cell and kept up to date from then on.

use ottava_core::TokenId;

use crate::error::Error;
use crate::forest::Forest;
use crate::grid::TokenGrid;
use crate::store::{Shards, Store};
use crate::tree::NO_SLOT;

/// Leaves looked at to choose a cell size.
const SAMPLE: usize = 1024;

/// The numbers of a cell.
pub(crate) type Cell = [i32; 8];

/// Tokens by cell: each cell is a doubly linked list of slots.
pub(crate) struct Cells {
    /// The first slot of every occupied cell.
    heads: Shards,
    links: Vec<Link>,
}

#[derive(Clone, Copy)]
struct Link {
    cell: Cell,
    next: u32,
    previous: u32,
}

const UNLINKED: Link = Link { cell: [0; 8], next: NO_SLOT, previous: NO_SLOT };

impl Cells {
    fn new() -> Self {
        Self { heads: Shards::new(), links: Vec::new() }
    }

    pub(crate) fn memory(&self) -> usize {
        self.heads.memory() + self.links.capacity() * size_of::<Link>()
    }

    fn head(&self, cell: &Cell) -> Option<u32> {
        let hash = self.heads.hash(cell);
        let links = &self.links;
        self.heads.table(hash).find(hash, |&slot| links[slot as usize].cell == *cell).copied()
    }

    fn slots(&self, cell: &Cell) -> impl Iterator<Item = u32> + '_ {
        std::iter::successors(self.head(cell), |&slot| {
            let next = self.links[slot as usize].next;
            (next != NO_SLOT).then_some(next)
        })
    }

    /// Adds a slot of the store to a cell.
    pub(crate) fn insert(&mut self, slot: u32, cell: &Cell, store: &Store) {
        if self.links.len() <= slot as usize {
            self.links.resize(store.slots(), UNLINKED);
        }
        let hash = self.heads.hash(cell);
        let Self { heads, links } = self;
        links[slot as usize] = Link { cell: *cell, ..UNLINKED };
        let (hasher, table) = heads.parts_mut(hash);
        let hash_of = |&slot: &u32| hasher(&links[slot as usize].cell);
        let entry = table.entry(hash, |&head| links[head as usize].cell == *cell, hash_of);
        match entry {
            hashbrown::hash_table::Entry::Occupied(mut head) => {
                let old = std::mem::replace(head.get_mut(), slot);
                links[slot as usize].next = old;
                links[old as usize].previous = slot;
            }
            hashbrown::hash_table::Entry::Vacant(place) => {
                place.insert(slot);
            }
        }
    }

    /// Takes a slot out of its cell.
    pub(crate) fn remove(&mut self, slot: u32, cell: &Cell) {
        let Link { next, previous, .. } = self.links[slot as usize];
        if next != NO_SLOT {
            self.links[next as usize].previous = previous;
        }
        if previous != NO_SLOT {
            self.links[previous as usize].next = next;
            return;
        }
        let hash = self.heads.hash(cell);
        if let Ok(mut head) = self.heads.table_mut(hash).find_entry(hash, |&head| head == slot) {
            if next == NO_SLOT {
                head.remove();
            } else {
                *head.get_mut() = next;
            }
        }
    }
}

impl TokenGrid {
    /// The side of a cell, in scaled coordinates.
    pub fn cell_size(&self) -> f32 {
        self.cell_size
    }

    /// The numbers of the cell that a position is in.
    ///
    /// # Errors
    /// [`Error::Core`] or [`Error::Scaled`] for a bad coordinate.
    pub fn cell_of(&self, position: &[f32; 8]) -> Result<[i32; 8], Error> {
        Ok(self.cell_at(&self.probe(0, position)?))
    }

    /// The ids of the tokens in the cell that a position is in, ascending.
    ///
    /// # Errors
    /// [`Error::Core`] or [`Error::Scaled`] for a bad coordinate.
    pub fn cell(&self, position: &[f32; 8]) -> Result<Vec<TokenId>, Error> {
        Ok(self.cell_tokens(&self.cell_of(position)?))
    }

    /// The ids of the tokens in the cell with these numbers, ascending.
    pub fn cell_tokens(&self, cell: &[i32; 8]) -> Vec<TokenId> {
        let mut ids: Vec<_> = self.cells().slots(cell).map(|slot| self.store.id(slot)).collect();
        ids.sort_unstable();
        ids
    }

    /// As [`TokenGrid::occupied_cells`], with the number of tokens in each cell.
    pub fn cell_counts(&self) -> Vec<([i32; 8], usize)> {
        let cells = self.cells();
        let heads = cells.heads.tables().flatten();
        let count = |&slot: &u32| {
            let cell = cells.links[slot as usize].cell;
            (cell, cells.slots(&cell).count())
        };
        let mut counts: Vec<_> = heads.map(count).collect();
        counts.sort_unstable();
        counts
    }

    /// The numbers of the cells that hold a token, in ascending order, shape (m, 8).
    pub fn occupied_cells(&self) -> Vec<[i32; 8]> {
        let cells = self.cells();
        let heads = cells.heads.tables().flatten();
        let mut numbers: Vec<_> = heads.map(|&slot| cells.links[slot as usize].cell).collect();
        numbers.sort_unstable();
        numbers
    }

    /// The cell of measured coordinates.
    #[inline]
    pub(crate) fn cell_at(&self, position: &[f32; 8]) -> Cell {
        let size = f64::from(self.cell_size);
        std::array::from_fn(|axis| {
            let scaled = f64::from(position[axis]) * f64::from(self.measure.scales[axis]);
            (scaled / size).floor() as i32
        })
    }

    fn cells(&self) -> &Cells {
        self.cells.get_or_init(|| {
            let mut cells = Cells::new();
            for slot in self.store.iter() {
                cells.insert(slot, &self.cell_at(&self.measured_slot(slot)), &self.store);
            }
            cells
        })
    }
}

/// A side such that a cell holds about two tokens where tokens are: from the boxes of a sample of
/// leaves, which hold sixteen.
pub(crate) fn choose_cell_size(forest: &Forest, scales: &[f32; 8]) -> f32 {
    let mut sides = Vec::new();
    for tree in forest.trees() {
        let step = tree.leaves.len().div_ceil(SAMPLE).max(1);
        for block in tree.leaves.iter().step_by(step) {
            let extents = (0..8).map(|axis| {
                let (lo, hi) = block[axis].iter().fold((f32::MAX, f32::MIN), |(lo, hi), &x| {
                    (lo.min(x), hi.max(x)) // NaN is passed over
                });
                (f64::from(hi) - f64::from(lo)) * f64::from(scales[axis])
            });
            let logs: Vec<f64> = extents.filter(|&e| e > 0.0).map(f64::ln).collect();
            if !logs.is_empty() {
                let axes = logs.len() as f64;
                sides.push((logs.iter().sum::<f64>() / axes - 8.0_f64.ln() / axes).exp());
            }
        }
    }
    sides.sort_by(f64::total_cmp);
    let side = sides.get(sides.len() / 2).map_or(1.0, |&side| side as f32);
    if side.is_finite() && side > 0.0 { side } else { 1.0 }
}
