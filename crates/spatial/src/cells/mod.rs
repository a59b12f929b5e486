//! Cells: the tokens in a cube of space, found by hash.
//!
//! A cell has eight integers, `floor(scale * coordinate / size)` on each axis, kept within `i32`: the
//! outermost cells reach to infinity. Only occupied cells take memory. The hash is made by the first
//! question for a cell and kept up to date from then on.

mod side;
mod table;

use std::hash::{BuildHasher, Hasher};

use bytemuck::{Pod, Zeroable};
use hashbrown::DefaultHashBuilder;
use ndarray::ArrayView2;
use ottava_core::TokenId;
use ottava_core::batch::rows;

use crate::error::Error;
use crate::forest::Forest;
use crate::grid::TokenGrid;
use crate::store::Store;
pub(crate) use side::Side;
use table::Table;

/// Leaves looked at to choose a cell size.
const SAMPLE: usize = 1024;

/// The numbers of a cell.
pub(crate) type Cell = [i32; 8];

/// Ids that a cell holds in its own cache line; those of fuller cells are in a list.
const FEW: usize = 3;

/// The number of no list.
const NO_LIST: u32 = 0;

/// By words: an array would be hashed as a slice.
#[inline(always)]
fn hash(hasher: &DefaultHashBuilder, cell: &Cell) -> u64 {
    let mut hasher = hasher.build_hasher();
    for pair in cell.as_chunks::<2>().0 {
        hasher.write_u64(u64::from(pair[0] as u32) | u64::from(pair[1] as u32) << 32);
    }
    hasher.finish()
}

/// An occupied cell: one cache line.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Occupied {
    cell: Cell,
    /// The ids, if there is no list.
    few: [TokenId; FEW],
    len: u32,
    /// The number of the list of ids, once there were more than a few.
    list: u32,
}

impl Occupied {
    /// A cell without a token.
    const NONE: Self = Self { cell: [0; 8], few: [0; FEW], len: 0, list: NO_LIST };
}

/// Tokens by cell.
pub(crate) struct Cells {
    hasher: DefaultHashBuilder,
    table: Table,
    /// The first is none.
    lists: Vec<Vec<TokenId>>,
    unused_lists: Vec<u32>,
    /// By slot: where in the list of its cell the token is, if that has one.
    places: Vec<u32>,
}

impl Cells {
    fn new() -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            table: Table::new(),
            lists: vec![Vec::new()],
            unused_lists: Vec::new(),
            places: Vec::new(),
        }
    }

    pub(crate) fn memory(&self) -> usize {
        let lists: usize =
            self.lists.iter().map(|list| size_of_val(list) + list.capacity() * 8).sum();
        self.table.memory() + lists + self.places.capacity() * size_of::<u32>()
    }

    /// The ids in a cell, in no order.
    #[inline]
    fn ids(&self, cell: &Cell) -> &[TokenId] {
        let hash = hash(&self.hasher, cell);
        let occupied = self.table.get(hash, cell);
        if occupied.list == NO_LIST {
            &occupied.few[..(occupied.len as usize).min(FEW)]
        } else {
            &self.lists[occupied.list as usize]
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Occupied> {
        self.table.iter()
    }

    /// Adds the token in a slot to a cell.
    pub(crate) fn insert(&mut self, slot: u32, id: TokenId, cell: &Cell) {
        let Self { hasher, table, lists, unused_lists, places } = self;
        let hash = hash(hasher, cell);
        let Some(found) = table.find(hash, cell) else {
            let one = Occupied { cell: *cell, few: [id, 0, 0], len: 1, list: NO_LIST };
            table.add(hash, one, |cell| self::hash(hasher, cell));
            return;
        };
        let occupied = table.at(found);
        let at = occupied.len as usize;
        occupied.len += 1;
        if at < FEW && occupied.list == NO_LIST {
            occupied.few[at] = id;
            return;
        }
        if occupied.list == NO_LIST {
            occupied.list = unused_lists.pop().unwrap_or_else(|| {
                lists.push(Vec::new());
                lists.len() as u32 - 1
            });
            lists[occupied.list as usize].extend(occupied.few);
        }
        lists[occupied.list as usize].push(id);
        if places.len() <= slot as usize {
            places.resize(slot as usize + 1, 0);
        }
        places[slot as usize] = at as u32;
    }

    /// Takes the token in a slot out of its cell; the store must still have it.
    pub(crate) fn remove(&mut self, slot: u32, id: TokenId, cell: &Cell, store: &Store) {
        let hash = hash(&self.hasher, cell);
        let Some(found) = self.table.find(hash, cell) else { return };
        let occupied = self.table.at(found);
        let len = occupied.len as usize;
        if occupied.list == NO_LIST {
            let few = &mut occupied.few[..len];
            let Some(at) = few.iter().position(|&other| other == id) else { return };
            few.swap(at, len - 1);
        } else {
            let list = &mut self.lists[occupied.list as usize];
            let place = self.places.get(slot as usize).map_or(0, |&place| place as usize);
            // The few that were there before the list have no place yet.
            let at = if list.get(place) == Some(&id) {
                Some(place)
            } else {
                list.iter().position(|&other| other == id)
            };
            let Some(at) = at else { return };
            list.swap_remove(at);
            if let Some(moved) = list.get(at).and_then(|&moved| store.find(moved)) {
                let moved = moved as usize;
                if self.places.len() <= moved {
                    self.places.resize(moved + 1, 0);
                }
                self.places[moved] = at as u32;
            }
            if list.is_empty() {
                self.unused_lists.push(occupied.list);
            }
        }
        occupied.len -= 1;
        if occupied.len == 0 {
            self.table.remove(hash, found);
        }
    }
}

impl TokenGrid {
    /// The side of a cell, in scaled coordinates.
    pub fn cell_size(&self) -> f32 {
        self.side.size()
    }

    /// The numbers of the cell that a position is in.
    ///
    /// # Errors
    /// [`Error::Core`] or [`Error::Scaled`] for a bad coordinate.
    #[inline]
    pub fn cell_of(&self, position: &[f32; 8]) -> Result<[i32; 8], Error> {
        match self.quick_cell(position) {
            Some(cell) => Ok(cell),
            None => self.checked_cell(0, position),
        }
    }

    /// The cells of many positions, shape (n, 8).
    ///
    /// # Errors
    /// As [`TokenGrid::cell_of`], naming the row; [`Error::Core`] for another shape.
    pub fn cell_of_batch(&self, positions: ArrayView2<'_, f32>) -> Result<Vec<[i32; 8]>, Error> {
        let rows = rows(positions)?;
        let cell = |(row, position): (usize, &[f32; 8])| match self.quick_cell(position) {
            Some(cell) => Ok(cell),
            None => self.checked_cell(row, position),
        };
        rows.iter().enumerate().map(cell).collect()
    }

    #[cold]
    fn checked_cell(&self, row: usize, position: &[f32; 8]) -> Result<Cell, Error> {
        Ok(self.cell_at(&self.probe(row, position)?))
    }

    #[inline(always)]
    fn quick_cell(&self, position: &[f32; 8]) -> Option<Cell> {
        let whitened = self.options.metric.whitening().is_some();
        if whitened { None } else { self.side.quick_cell(position) }
    }

    /// The ids of the tokens in the cell that a position is in, ascending.
    ///
    /// # Errors
    /// [`Error::Core`] or [`Error::Scaled`] for a bad coordinate.
    pub fn cell(&self, position: &[f32; 8]) -> Result<Vec<TokenId>, Error> {
        let ids = self.cell_tokens(&self.cell_of(position)?);
        self.intact().map(|()| ids)
    }

    /// As [`TokenGrid::cell`], where they lie and in no particular order.
    ///
    /// # Errors
    /// [`Error::Core`] or [`Error::Scaled`] for a bad coordinate.
    #[inline]
    pub fn cell_ids(&self, position: &[f32; 8]) -> Result<&[TokenId], Error> {
        let cell = match self.quick_cell(position) {
            Some(cell) => cell,
            None => self.checked_cell(0, position)?,
        };
        let ids = self.cells().ids(&cell);
        self.intact().map(|()| ids)
    }

    /// The ids of the tokens in the cell with these numbers, ascending.
    pub fn cell_tokens(&self, cell: &[i32; 8]) -> Vec<TokenId> {
        let mut ids = self.cell_token_ids(cell).to_vec();
        ids.sort_unstable();
        ids
    }

    /// As [`TokenGrid::cell_tokens`], where they lie and in no particular order.
    #[inline]
    pub fn cell_token_ids(&self, cell: &[i32; 8]) -> &[TokenId] {
        self.cells().ids(cell)
    }

    /// Whether the hash of occupied cells is there: the first question for a cell makes it, of all tokens.
    pub fn has_cell_index(&self) -> bool {
        self.cells.get().is_some()
    }

    /// As [`TokenGrid::occupied_cells`], with the number of tokens in each cell.
    pub fn cell_counts(&self) -> Vec<([i32; 8], usize)> {
        let count = |occupied: &Occupied| (occupied.cell, occupied.len as usize);
        let mut counts: Vec<_> = self.cells().iter().map(count).collect();
        counts.sort_unstable();
        counts
    }

    /// The numbers of the cells that hold a token, in ascending order, shape (m, 8).
    pub fn occupied_cells(&self) -> Vec<[i32; 8]> {
        let mut numbers: Vec<_> = self.cells().iter().map(|occupied| occupied.cell).collect();
        numbers.sort_unstable();
        numbers
    }

    /// The cell of measured coordinates.
    #[inline]
    pub(crate) fn cell_at(&self, position: &[f32; 8]) -> Cell {
        self.side.cell(position)
    }

    #[inline]
    fn cells(&self) -> &Cells {
        self.cells.get_or_init(|| {
            let mut cells = Cells::new();
            for slot in self.store.iter() {
                let cell = self.cell_at(&self.measured_slot(slot));
                cells.insert(slot, self.store.id(slot), &cell);
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
        for block in (0..tree.leaves.len()).step_by(step).filter_map(|leaf| tree.leaves.get(leaf)) {
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
