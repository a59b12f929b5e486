//! The token grid: what it holds, and how it changes.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use ndarray::ArrayView2;
use ottava_core::batch::rows;
use ottava_core::point::check_coordinates;
use ottava_core::{AxisNames, AxisSet, MAX_MAGNITUDE, Point8, Scales, Token, TokenBatch, TokenId};

use crate::cells::{Cells, Side, choose_cell_size};
use crate::connections::Cache;
use crate::error::Error;
use crate::forest::Forest;
use crate::metric::{Measure, Metric};
use crate::storage::Array;
use crate::store::{Column, MAX_SLOTS, Store, reach};
use crate::tree::{Entry, NEVER};
use crate::whitening::mean;

/// How a grid measures, and how large its cells are.
#[derive(Debug, Clone, Default)]
pub struct GridOptions {
    /// The side of a cell, in scaled coordinates; `None` (the default) chooses one from the data of
    /// a bulk load, 1 for an empty grid.
    pub cell_size: Option<f32>,
    /// The names of the axes; by default `x0` to `x7`.
    pub names: AxisNames,
    /// The scales of the axes; by default 1.
    pub scales: Scales,
    /// The axes to measure along; by default all.
    pub axes: AxisSet,
    /// The distance; by default Euclidean.
    pub metric: Metric,
}

/// What [`TokenGrid::insert_batch`] does with an id that is taken, by the grid or by an earlier row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnDuplicate {
    /// Refuses the batch.
    #[default]
    Error,
    /// The new token takes the place of the old one.
    Replace,
    /// The old token stays.
    Skip,
}

/// Bytes that a grid holds in memory; a mapped snapshot counts only what is not in the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Ids, positions and attributes.
    pub tokens: usize,
    /// The trees, and what finds a token by its id.
    pub index: usize,
    /// The hash of occupied cells, once it is in use.
    pub cells: usize,
    /// Cached connections.
    pub cache: usize,
}

/// A live set of tokens that answers exact spatial queries. See the [crate] for an example.
///
/// Queries take `&self` and may run on many threads; changes take `&mut self`. *Storage order* is the
/// order of [`TokenGrid::iter`] and [`TokenGrid::ids`], and of row masks: the order of the bulk load,
/// then of insertion, but a token may take the place of a removed one.
pub struct TokenGrid {
    pub(crate) options: GridOptions,
    /// The scales of the grid on its axes.
    pub(crate) measure: Measure,
    pub(crate) side: Side,
    pub(crate) store: Store,
    pub(crate) forest: Forest,
    pub(crate) cells: OnceLock<Cells>,
    pub(crate) cache: Mutex<Cache>,
    /// Tells grids apart.
    pub(crate) serial: u64,
    /// Counts changes.
    pub(crate) epoch: u64,
    /// The largest magnitude of a measured coordinate, by axis, of the tokens that are there or were
    /// since the forest was last one tree.
    pub(crate) extent: [f32; 8],
    /// The snapshot it was opened from.
    pub(crate) file: Option<crate::snapshot::File>,
}

impl TokenGrid {
    /// An empty grid.
    ///
    /// # Errors
    /// [`Error::CellSize`]; [`Error::Core`] if no axis has a scale; [`Error::WhitenedAxes`] for axes
    /// or scales with [`Metric::Mahalanobis`].
    pub fn new(options: GridOptions) -> Result<Self, Error> {
        let cell_size = options.cell_size.unwrap_or(1.0);
        if !(cell_size.is_finite() && cell_size > 0.0) {
            return Err(Error::CellSize { size: cell_size });
        }
        let scales = options.scales.restrict(options.axes)?;
        if options.metric.whitening().is_some() && scales != Scales::ONE {
            return Err(Error::WhitenedAxes);
        }
        let measure = options.metric.measure(*scales.factors());
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        Ok(Self {
            options,
            measure,
            side: Side::new(cell_size, &measure.scales),
            store: Store::new(),
            forest: Forest::new(measure.scales),
            cells: OnceLock::new(),
            cache: Mutex::default(),
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            epoch: 0,
            extent: [0.0; 8],
            file: None,
        })
    }

    /// Bulk load on the current rayon pool: the fastest way to fill a grid and to query it after.
    ///
    /// # Errors
    /// As [`TokenGrid::new`]; [`Error::DuplicateId`] and [`Error::Scaled`] naming the row;
    /// [`Error::Full`].
    pub fn from_batch(batch: &TokenBatch<'_>, options: GridOptions) -> Result<Self, Error> {
        Self::from_batch_until(batch, options, &NEVER)
    }

    /// As [`TokenGrid::from_batch`], which ends soon after another thread sets `cancel`.
    ///
    /// # Errors
    /// As [`TokenGrid::from_batch`]; [`Error::Cancelled`].
    pub fn from_batch_until(
        batch: &TokenBatch<'_>,
        options: GridOptions,
        cancel: &AtomicBool,
    ) -> Result<Self, Error> {
        let mut grid = Self::new(options)?;
        if batch.len() > MAX_SLOTS {
            return Err(Error::Full { limit: MAX_SLOTS });
        }
        grid.center(batch.positions());
        let mut entries = Array::<Entry>::zeroed(batch.len());
        let (refused, skipped) = (AtomicBool::new(false), AtomicBool::new(false));
        // What is checked is the copy that is kept.
        let positions =
            Column::copy(batch.positions(), entries.values_mut(), |first, positions, entries| {
                if cancel.load(Ordering::Relaxed) {
                    return skipped.store(true, Ordering::Relaxed);
                }
                for ((row, position), entry) in (first..).zip(positions).zip(entries) {
                    let radius = reach(batch.weight(row), &batch.field(row));
                    match grid.measured(row, position) {
                        Ok(position) => *entry = Entry { position, slot: row as u32, radius },
                        Err(_) => refused.store(true, Ordering::Relaxed),
                    }
                }
            });
        if skipped.into_inner() {
            return Err(Error::Cancelled);
        }
        if refused.into_inner() {
            for (row, position) in (0..batch.len()).zip(positions.base.raw()) {
                grid.measured(row, position)?;
            }
        }
        // What one of them does on one thread goes beside the other.
        let (forest, store) = rayon::join(
            || Forest::bulk(entries.values_mut(), grid.measure.scales, cancel),
            || Store::bulk(batch, positions),
        );
        let forest = forest.ok_or(Error::Cancelled)?;
        let duplicate = |row: usize| Error::DuplicateId { row, id: batch.ids()[row] };
        (grid.forest, grid.store) = (forest, store.map_err(duplicate)?);
        grid.extent = grid.forest.single().map_or([0.0; 8], |tree| tree.extent());
        if grid.options.cell_size.is_none() {
            let scales = &grid.measure.scales;
            grid.side = Side::new(choose_cell_size(&grid.forest, scales), scales);
        }
        Ok(grid)
    }

    /// Bulk load of ids, shape (n,), and positions, shape (n, 8), with weight 1 and no fields.
    ///
    /// # Errors
    /// As [`TokenBatch::new`] and [`TokenGrid::from_batch`].
    pub fn from_arrays(
        ids: &[TokenId],
        positions: ArrayView2<'_, f32>,
        options: GridOptions,
    ) -> Result<Self, Error> {
        Self::from_batch(&TokenBatch::new(ids, positions)?, options)
    }

    /// The options the grid was made with; a [`Whitening`](crate::Whitening) in them is taken around
    /// the first tokens of the grid.
    pub fn options(&self) -> &GridOptions {
        &self.options
    }

    /// The number of tokens.
    pub fn len(&self) -> usize {
        self.store.live()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a token has this id.
    pub fn contains(&self, id: TokenId) -> bool {
        self.store.find(id).is_some()
    }

    /// The token with this id.
    ///
    /// # Errors
    /// [`Error::UnknownId`].
    pub fn get(&self, id: TokenId) -> Result<Token, Error> {
        let token = self.store.token(self.slot(id)?);
        self.intact().map(|()| token)
    }

    /// The tokens in storage order.
    pub fn iter(&self) -> impl Iterator<Item = Token> + '_ {
        self.store.iter().map(|slot| self.store.token(slot))
    }

    /// The ids in storage order, shape (len,).
    pub fn ids(&self) -> Vec<TokenId> {
        self.store.iter().map(|slot| self.store.id(slot)).collect()
    }

    /// The positions in storage order, shape (len, 8).
    pub fn positions(&self) -> Vec<[f32; 8]> {
        self.store.iter().map(|slot| *self.store.position(slot)).collect()
    }

    /// The least and the largest coordinate on each axis; `None` for an empty grid.
    pub fn bounds(&self) -> Option<([f32; 8], [f32; 8])> {
        if let Some(tree) = self.forest.single()
            && self.store.alive_bits().is_none()
            && self.options.metric.whitening().is_none()
        {
            let [lo, hi] = tree.bounds;
            return Some((lo, hi));
        }
        let mut corners = None;
        for slot in self.store.iter() {
            let position = self.store.position(slot);
            let (lo, hi) = corners.get_or_insert((*position, *position));
            for axis in 0..8 {
                lo[axis] = lo[axis].min(position[axis]);
                hi[axis] = hi[axis].max(position[axis]);
            }
        }
        corners
    }

    /// The bytes held in memory.
    pub fn memory(&self) -> Memory {
        let (tokens, ids) = self.store.memory();
        Memory {
            tokens,
            index: self.forest.memory() + ids,
            cells: self.cells.get().map_or(0, Cells::memory),
            cache: self.cache().memory(),
        }
    }

    /// Adds a token; the next query sees it.
    ///
    /// # Errors
    /// [`Error::DuplicateId`], [`Error::Core`] for a bad coordinate, id or attribute,
    /// [`Error::Scaled`], [`Error::Full`].
    pub fn insert(&mut self, token: Token) -> Result<(), Error> {
        check_token(&token)?;
        self.centered(&[token.position.0], |grid| {
            let position = grid.measured(0, &token.position.0)?;
            let taken = grid.contains(token.id);
            grid.intact()?;
            if taken {
                return Err(Error::DuplicateId { row: 0, id: token.id });
            }
            grid.check_room(1)?;
            grid.place(&token, position);
            Ok(())
        })
    }

    /// Adds a batch, all of it or nothing. Returns the number of rows that are now in the grid as
    /// new tokens or in place of old ones.
    ///
    /// # Errors
    /// As [`TokenGrid::insert`], naming the row.
    pub fn insert_batch(
        &mut self,
        batch: &TokenBatch<'_>,
        on_duplicate: OnDuplicate,
    ) -> Result<usize, Error> {
        self.centered(batch.positions(), |grid| grid.insert_rows(batch, on_duplicate))
    }

    fn insert_rows(
        &mut self,
        batch: &TokenBatch<'_>,
        on_duplicate: OnDuplicate,
    ) -> Result<usize, Error> {
        let mut positions = Vec::with_capacity(batch.len());
        for (row, position) in batch.positions().iter().enumerate() {
            positions.push(self.measured(row, position)?);
        }
        // The row that stands for an id: the first that has it, or the last if it replaces.
        let mut chosen = hashbrown::HashMap::with_capacity(batch.len());
        for (row, &id) in batch.ids().iter().enumerate() {
            let taken = chosen.contains_key(&id) || self.contains(id);
            self.intact()?;
            match on_duplicate {
                OnDuplicate::Error if taken => return Err(Error::DuplicateId { row, id }),
                OnDuplicate::Skip if taken => {}
                _ => {
                    chosen.insert(id, row);
                }
            }
        }
        self.check_room(chosen.len())?;
        self.read_all(chosen.keys().filter_map(|&id| self.store.find(id)))?;
        self.store.reserve(chosen.len());
        for (row, &id) in batch.ids().iter().enumerate() {
            if chosen.get(&id) != Some(&row) {
                continue;
            }
            if let Some(old) = self.store.find(id) {
                self.displace(old);
            }
            let token = Token {
                id,
                position: Point8(batch.positions()[row]),
                weight: batch.weight(row),
                field: batch.field(row),
            };
            self.place(&token, positions[row]);
        }
        Ok(chosen.len())
    }

    /// Removes a token and returns it.
    ///
    /// # Errors
    /// [`Error::UnknownId`].
    pub fn remove(&mut self, id: TokenId) -> Result<Token, Error> {
        let slot = self.slot(id)?;
        let token = self.store.token(slot);
        self.intact()?;
        self.displace(slot);
        self.tidy();
        Ok(token)
    }

    /// [`TokenGrid::remove`] without reading the token, which is most of the work in a large grid.
    ///
    /// # Errors
    /// [`Error::UnknownId`].
    pub fn discard(&mut self, id: TokenId) -> Result<(), Error> {
        let slot = self.slot(id)?;
        self.read_all([slot])?;
        self.displace(slot);
        self.tidy();
        Ok(())
    }

    /// Removes tokens, all of them or none.
    ///
    /// # Errors
    /// [`Error::UnknownId`]; [`Error::DuplicateId`] naming the row of an id that comes twice.
    pub fn remove_batch(&mut self, ids: &[TokenId]) -> Result<(), Error> {
        let slots = self.distinct_slots(ids)?;
        self.read_all(slots.iter().copied())?;
        for slot in slots {
            self.displace(slot);
        }
        self.tidy();
        Ok(())
    }

    /// Moves a token: no query sees it at neither or both of its places.
    ///
    /// # Errors
    /// [`Error::UnknownId`], [`Error::Core`] for a bad coordinate, [`Error::Scaled`].
    pub fn move_to(&mut self, id: TokenId, position: &[f32; 8]) -> Result<(), Error> {
        self.move_rows(&[id], &[*position])
    }

    /// Moves tokens to positions of shape (n, 8), all of them or none.
    ///
    /// # Errors
    /// As [`TokenGrid::move_to`], naming the row; [`Error::DuplicateId`] naming the row of an id that
    /// comes twice; [`Error::Core`] for shapes that do not agree.
    pub fn move_batch(
        &mut self,
        ids: &[TokenId],
        positions: ArrayView2<'_, f32>,
    ) -> Result<(), Error> {
        self.move_rows(ids, &rows(positions)?)
    }

    fn move_rows(&mut self, ids: &[TokenId], positions: &[[f32; 8]]) -> Result<(), Error> {
        if ids.len() != positions.len() {
            let (expected, found) = (ids.len(), positions.len());
            return Err(ottava_core::Error::Length { column: "positions", expected, found }.into());
        }
        let mut measured = Vec::with_capacity(ids.len());
        for (row, position) in positions.iter().enumerate() {
            check_coordinates(row, position)?;
            measured.push(self.measured(row, position)?);
        }
        let slots = self.distinct_slots(ids)?;
        self.check_room(ids.len())?;
        let tokens: Vec<Token> = slots.iter().map(|&slot| self.store.token(slot)).collect();
        self.intact()?;
        for (row, (slot, token)) in slots.into_iter().zip(tokens).enumerate() {
            self.displace(slot);
            self.place(&Token { position: Point8(positions[row]), ..token }, measured[row]);
        }
        self.tidy();
        Ok(())
    }

    /// Puts all tokens into one tree, on the current rayon pool: after many changes, queries are as
    /// fast as after a bulk load.
    pub fn optimize(&mut self) {
        self.regrow(&NEVER);
    }

    /// As [`TokenGrid::optimize`], which ends soon after another thread sets `cancel`; the grid is then as it was.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn optimize_until(&mut self, cancel: &AtomicBool) -> Result<(), Error> {
        if self.regrow(cancel) { Ok(()) } else { Err(Error::Cancelled) }
    }

    /// Whether that was done.
    fn regrow(&mut self, cancel: &AtomicBool) -> bool {
        let mut entries = self.forest.entries(self.store.alive());
        let Some(forest) = Forest::bulk(&mut entries, self.measure.scales, cancel) else {
            return false;
        };
        self.forest = forest;
        self.extent = self.forest.single().map_or([0.0; 8], |tree| tree.extent());
        // No tree refers to a dead slot now.
        self.store.reclaim_all();
        self.epoch += 1;
        true
    }

    #[inline]
    pub(crate) fn slot(&self, id: TokenId) -> Result<u32, Error> {
        let found = self.store.find(id);
        self.intact()?;
        match found {
            Some(slot) => Ok(slot),
            None => Err(Error::UnknownId { id }),
        }
    }

    /// Reads what a change of these tokens reads, so that damage is met before it begins.
    fn read_all(&self, slots: impl IntoIterator<Item = u32>) -> Result<(), Error> {
        if self.file.is_some() {
            slots.into_iter().for_each(|slot| {
                black_box(self.store.token(slot));
            });
        }
        self.intact()
    }

    /// The error for a token of the grid that was never let in, which only a file can hold.
    #[cold]
    pub(crate) fn in_file(&self, error: Error) -> Error {
        match (self.intact(), &self.file) {
            (Err(damage), _) => damage,
            (Ok(()), Some(file)) => file.damaged("positions", error.to_string()),
            (Ok(()), None) => error,
        }
    }

    fn distinct_slots(&self, ids: &[TokenId]) -> Result<Vec<u32>, Error> {
        let mut seen = hashbrown::HashSet::new();
        let check = |(row, &id): (usize, &TokenId)| {
            let slot = self.slot(id)?;
            if ids.len() > 1 && !seen.insert(id) {
                return Err(Error::DuplicateId { row, id });
            }
            Ok(slot)
        };
        ids.iter().enumerate().map(check).collect()
    }

    fn check_room(&self, tokens: usize) -> Result<(), Error> {
        if tokens <= self.store.room() { Ok(()) } else { Err(Error::Full { limit: MAX_SLOTS }) }
    }

    /// Takes the whitening of a grid that never held a token around the first ones, where its
    /// rounding is least. Returns the metric as it was, if that was done.
    fn center(&mut self, positions: &[[f32; 8]]) -> Option<Metric> {
        let is_first = self.store.slots() == 0 && !positions.is_empty();
        let whitening = self.options.metric.whitening().filter(|_| is_first)?;
        let metric = Metric::Mahalanobis(whitening.around(mean(positions)));
        Some(std::mem::replace(&mut self.options.metric, metric))
    }

    /// Runs a change that begins with [`TokenGrid::center`], and takes that back if it fails.
    fn centered<T>(
        &mut self,
        positions: &[[f32; 8]],
        change: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let before = self.center(positions);
        let done = change(self);
        if let (Err(_), Some(metric)) = (&done, before) {
            self.options.metric = metric;
        }
        done
    }

    /// The coordinates that distances are measured in: whitened, or as they are.
    #[inline]
    pub(crate) fn measured(&self, row: usize, position: &[f32; 8]) -> Result<[f32; 8], Error> {
        let measured = match self.options.metric.whitening() {
            Some(whitening) => whitening.apply(position),
            None => *position,
        };
        let scales = &self.measure.scales;
        let fits =
            (0..8).fold(true, |fits, a| fits & (scales[a] * measured[a].abs() <= MAX_MAGNITUDE));
        if fits { Ok(measured) } else { Err(self.too_far(row, position, &measured)) }
    }

    #[cold]
    fn too_far(&self, row: usize, position: &[f32; 8], measured: &[f32; 8]) -> Error {
        let scales = &self.measure.scales;
        let fits = |axis: &usize| scales[*axis] * measured[*axis].abs() <= MAX_MAGNITUDE;
        let axis = (0..8).find(|axis| !fits(axis)).unwrap_or(0);
        Error::Scaled { row, axis, value: position[axis] }
    }

    /// The measured coordinates of the token in a slot.
    #[inline]
    pub(crate) fn measured_slot(&self, slot: u32) -> [f32; 8] {
        let position = self.store.position(slot);
        self.options.metric.whitening().map_or(*position, |whitening| whitening.apply(position))
    }

    /// Adds a checked token with a new id.
    fn place(&mut self, token: &Token, position: [f32; 8]) {
        let slot = self.store.insert(token);
        widen(&mut self.extent, &position);
        if self.cells.get().is_some() || self.cache_mut().is_watching() {
            let cell = self.cell_at(&position);
            self.cache_mut().touch(cell);
            if let Some(cells) = self.cells.get_mut() {
                cells.insert(slot, token.id, &cell);
            }
        }
        let entry = Entry { position, slot, radius: self.store.reach(slot) };
        let unused = self.forest.insert(&entry, self.store.alive());
        if !unused.is_empty() {
            self.store.reclaim(unused);
        }
        self.epoch += 1;
    }

    /// Takes the token out of a live slot.
    fn displace(&mut self, slot: u32) {
        if self.cells.get().is_some() || self.cache_mut().is_watching() {
            let cell = self.cell_at(&self.measured_slot(slot));
            self.cache_mut().touch(cell);
            let Self { cells, store, .. } = self;
            if let Some(cells) = cells.get_mut() {
                cells.remove(slot, store.id(slot), &cell, store);
            }
        }
        self.store.kill(slot);
        self.epoch += 1;
    }

    /// Keeps the index in shape after removals.
    #[inline]
    fn tidy(&mut self) {
        let unused = self.forest.tidy(self.store.live(), self.store.alive());
        if !unused.is_empty() {
            self.store.reclaim(unused);
        }
    }
}

fn check_token(token: &Token) -> Result<(), Error> {
    use ottava_core::Error::{Attribute, ReservedId};
    check_coordinates(0, &token.position.0)?;
    if token.id == ottava_core::NO_TOKEN {
        return Err(ReservedId { row: 0 }.into());
    }
    let refuse = |attribute, value| Err(Attribute { row: 0, attribute, value }.into());
    if !token.weight.is_finite() {
        return refuse("weight", token.weight);
    }
    if !(0.0..=f32::MAX).contains(&token.field.radius) {
        return refuse("field radius", token.field.radius);
    }
    if !token.field.strength.is_finite() {
        return refuse("field strength", token.field.strength);
    }
    Ok(())
}

fn widen(extent: &mut [f32; 8], position: &[f32; 8]) {
    for axis in 0..8 {
        extent[axis] = extent[axis].max(position[axis].abs());
    }
}

impl std::fmt::Debug for TokenGrid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenGrid")
            .field("len", &self.len())
            .field("cell_size", &self.cell_size())
            .field("metric", &self.options.metric)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_slot_is_the_one_before_the_mark_of_none() {
        let mut grid = TokenGrid::new(GridOptions::default()).unwrap();
        grid.insert(Token::new(1, [0.0; 8])).unwrap();
        grid.store.pretend(MAX_SLOTS);
        assert_eq!(MAX_SLOTS as u32, crate::tree::NO_SLOT - 1);
        let full =
            |result: Result<(), Error>| matches!(result, Err(Error::Full { limit: MAX_SLOTS }));
        assert!(full(grid.insert(Token::new(2, [1.0; 8]))));
        assert!(full(grid.move_to(1, &[1.0; 8])));
        let batch = TokenBatch::from_rows(vec![2, 3], vec![[1.0; 8]; 2]).unwrap();
        assert!(full(grid.insert_batch(&batch, OnDuplicate::Error).map(|_| ())));
        assert!(full(grid.insert_batch(&batch, OnDuplicate::Replace).map(|_| ())));
        // Nothing has changed, and a slot that is given back is used.
        assert_eq!(grid.ids(), [1]);
        assert_eq!(grid.get(1).unwrap().position.0, [0.0; 8]);
        grid.store.reclaim([0]);
        assert_eq!(grid.store.room(), 1);
    }
}
