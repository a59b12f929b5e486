//! The tokens themselves, by slot.
//!
//! A slot is given to a token when it is inserted and does not change; a moved token gets a new one.
//! A removed token's slot is dead, and is given out again only when no tree refers to it.

use std::hash::BuildHasher;

use bytemuck::Pod;
use hashbrown::{DefaultHashBuilder, HashTable};
use ottava_core::{Field, NO_TOKEN, Point8, Token, TokenId};
use rayon::prelude::*;

use crate::collect::unpack;
use crate::storage::Storage;

/// Values by slot: those that came all at once or are in a mapped file, and the rest in segments, so that growing moves nothing.
pub(crate) struct Column<T> {
    pub(crate) base: Storage<T>,
    segments: Vec<Vec<T>>,
}

const SEGMENT: usize = 1 << 14;

impl<T: Pod + Send + Sync> Column<T> {
    fn new() -> Self {
        Self { base: Storage::default(), segments: Vec::new() }
    }

    pub(crate) fn mapped(base: Storage<T>) -> Self {
        Self { base, segments: Vec::new() }
    }

    #[inline]
    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        let slot = slot as usize;
        if self.segments.is_empty() || slot < self.base.len() {
            return self.base.get(slot);
        }
        let slot = slot - self.base.len();
        self.segments.get(slot / SEGMENT)?.get(slot % SEGMENT)
    }

    fn set(&mut self, slot: u32, value: T) {
        let slot = slot as usize;
        let Some(at) = slot.checked_sub(self.base.len()) else {
            if let Some(old) = self.base.values_mut().get_mut(slot) {
                *old = value;
            }
            return;
        };
        if at / SEGMENT == self.segments.len() {
            self.segments.push(Vec::with_capacity(SEGMENT));
        }
        let segment = &mut self.segments[at / SEGMENT];
        match segment.get_mut(at % SEGMENT) {
            Some(old) => *old = value,
            None => segment.push(value),
        }
    }

    fn from_slice(values: &[T]) -> Self {
        let mut base = Storage::zeroed(values.len());
        base.values_mut().copy_from_slice(values);
        Self { base, segments: Vec::new() }
    }

    /// A copy, made on the current rayon pool a part at a time. `look` sees each part of the copy, the row it begins with, and as
    /// much of what is beside.
    pub(crate) fn copy<U: Send>(
        values: &[T],
        beside: &mut [U],
        look: impl Fn(usize, &[T], &mut [U]) + Sync,
    ) -> Self {
        let mut base = Storage::zeroed(values.len());
        let parts = base.values_mut().par_chunks_mut(SEGMENT).zip(values.par_chunks(SEGMENT));
        let parts = parts.zip(beside.par_chunks_mut(SEGMENT)).enumerate();
        parts.for_each(|(index, ((copy, values), beside))| {
            copy.copy_from_slice(values);
            look(index * SEGMENT, copy, beside);
        });
        Self { base, segments: Vec::new() }
    }

    fn memory(&self) -> usize {
        self.base.memory() + self.segments.len() * SEGMENT * size_of::<T>()
    }
}

/// A hash table in shards, so that growing one is a short pause.
pub(crate) struct Shards<T> {
    hasher: DefaultHashBuilder,
    tables: Vec<HashTable<T>>,
}

const SHARDS: usize = 256;

/// The shard of a hash; its table uses the lowest and the topmost bits.
#[inline]
fn shard(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

impl<T> Shards<T> {
    pub(crate) fn new() -> Self {
        let tables = (0..SHARDS).map(|_| HashTable::new()).collect();
        Self { hasher: DefaultHashBuilder::default(), tables }
    }

    #[inline]
    pub(crate) fn hash(&self, key: impl std::hash::Hash) -> u64 {
        self.hasher.hash_one(key)
    }

    #[inline]
    pub(crate) fn table(&self, hash: u64) -> &HashTable<T> {
        &self.tables[shard(hash)]
    }

    #[inline]
    pub(crate) fn table_mut(&mut self, hash: u64) -> &mut HashTable<T> {
        &mut self.tables[shard(hash)]
    }

    fn reserve(&mut self, additional: usize, hash: impl Fn(&DefaultHashBuilder, &T) -> u64) {
        let each = additional / SHARDS + additional / (4 * SHARDS) + 1;
        let hasher = &self.hasher;
        for table in &mut self.tables {
            table.reserve(each, |value| hash(hasher, value));
        }
    }

    pub(crate) fn memory(&self) -> usize {
        self.tables.iter().map(HashTable::allocation_size).sum()
    }
}

/// How the slots below some number are found by id without a hash table. These are not given out
/// again.
pub(crate) enum Ordered {
    /// Slot `i` has, or had while it lived, id `first + i`, for this many slots.
    Dense { first: TokenId, len: usize },
    /// The slots in the order of their ids.
    ById(Storage<u32>),
}

/// How far a token has influence: 0 if it has none.
#[inline]
pub(crate) fn reach(weight: f32, field: &Field) -> f32 {
    if field.strength != 0.0 && weight != 0.0 { field.radius } else { 0.0 }
}

/// All tokens of a grid.
pub(crate) struct Store {
    pub(crate) ids: Column<TokenId>,
    pub(crate) positions: Column<[f32; 8]>,
    pub(crate) weights: Option<Column<f32>>,
    /// Field radius and strength.
    pub(crate) fields: Option<Column<[f32; 2]>>,
    alive: Vec<u64>,
    slots: usize,
    live: usize,
    free: Vec<u32>,
    ordered: Ordered,
    by_id: Shards<u32>,
}

/// The most slots a grid has.
pub(crate) const MAX_SLOTS: usize = u32::MAX as usize - 1;

impl Store {
    pub(crate) fn new() -> Self {
        Self {
            ids: Column::new(),
            positions: Column::new(),
            weights: None,
            fields: None,
            alive: Vec::new(),
            slots: 0,
            live: 0,
            free: Vec::new(),
            ordered: Ordered::Dense { first: 0, len: 0 },
            by_id: Shards::new(),
        }
    }

    /// A store over the arrays of a snapshot, all of them alive.
    pub(crate) fn mapped(
        ids: Storage<TokenId>,
        positions: Storage<[f32; 8]>,
        weights: Option<Storage<f32>>,
        fields: Option<Storage<[f32; 2]>>,
        ordered: Ordered,
    ) -> Self {
        let slots = ids.len();
        let mut alive = vec![u64::MAX; slots / 64];
        if !slots.is_multiple_of(64) {
            alive.push((1 << (slots % 64)) - 1);
        }
        Self {
            ids: Column::mapped(ids),
            positions: Column::mapped(positions),
            weights: weights.map(Column::mapped),
            fields: fields.map(Column::mapped),
            alive,
            slots,
            live: slots,
            ordered,
            ..Self::new()
        }
    }

    /// Tokens alive.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Slots given out so far, alive or dead.
    pub(crate) fn slots(&self) -> usize {
        self.slots
    }

    /// How many more tokens fit.
    pub(crate) fn room(&self) -> usize {
        MAX_SLOTS - self.slots + self.free.len()
    }

    /// One bit a slot; `None` if every slot is alive.
    pub(crate) fn alive_bits(&self) -> Option<&[u64]> {
        (self.live < self.slots).then_some(&*self.alive)
    }

    /// One bit a slot.
    pub(crate) fn alive(&self) -> &[u64] {
        &self.alive
    }

    #[inline]
    pub(crate) fn is_alive(&self, slot: u32) -> bool {
        self.alive.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// The id in a slot; [`NO_TOKEN`] for a slot that a damaged file invented.
    #[inline]
    pub(crate) fn id(&self, slot: u32) -> TokenId {
        self.ids.get(slot).copied().unwrap_or(NO_TOKEN)
    }

    #[inline]
    pub(crate) fn position(&self, slot: u32) -> &[f32; 8] {
        self.positions.get(slot).unwrap_or(&[0.0; 8])
    }

    #[inline]
    pub(crate) fn weight(&self, slot: u32) -> f32 {
        self.weights.as_ref().and_then(|weights| weights.get(slot)).copied().unwrap_or(1.0)
    }

    #[inline]
    pub(crate) fn field(&self, slot: u32) -> Field {
        let field = self.fields.as_ref().and_then(|fields| fields.get(slot));
        field.map_or(Field::default(), |&[radius, strength]| Field { radius, strength })
    }

    /// How far the token in a slot has influence: 0 if it has none.
    #[inline]
    pub(crate) fn reach(&self, slot: u32) -> f32 {
        reach(self.weight(slot), &self.field(slot))
    }

    pub(crate) fn token(&self, slot: u32) -> Token {
        Token {
            id: self.id(slot),
            position: Point8(*self.position(slot)),
            weight: self.weight(slot),
            field: self.field(slot),
        }
    }

    /// The slots alive, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.alive.iter().enumerate().flat_map(|(word, &bits)| {
            let mut bits = bits;
            std::iter::from_fn(move || {
                (bits != 0).then(|| {
                    let bit = bits.trailing_zeros();
                    bits &= bits - 1;
                    word as u32 * 64 + bit
                })
            })
        })
    }

    /// Whether the id in one slot is above that in another.
    #[inline]
    pub(crate) fn is_above(&self, slot: u32, other: u32) -> bool {
        if self.ids_follow_slots() { slot > other } else { self.id(slot) > self.id(other) }
    }

    /// Whether ids are in the order of slots.
    #[inline]
    fn ids_follow_slots(&self) -> bool {
        matches!(self.ordered, Ordered::Dense { len, .. } if len == self.slots)
    }

    /// The slot of the token with this id.
    #[inline]
    pub(crate) fn find(&self, id: TokenId) -> Option<u32> {
        self.find_ordered(id).or_else(|| {
            let hash = self.by_id.hash(id);
            self.by_id.table(hash).find(hash, |&slot| self.id(slot) == id).copied()
        })
    }

    #[inline]
    fn find_ordered(&self, id: TokenId) -> Option<u32> {
        let slot = match &self.ordered {
            Ordered::Dense { first, len } => {
                let at = id.wrapping_sub(*first);
                if at >= *len as u64 {
                    return None;
                }
                at as u32
            }
            Ordered::ById(slots) => {
                let (mut at, mut end) = (0, slots.len());
                while at < end {
                    let middle = at + (end - at) / 2;
                    let below = slots.get(middle).is_some_and(|&slot| self.id(slot) < id);
                    if below { at = middle + 1 } else { end = middle }
                }
                slots.get(at).copied().filter(|&slot| self.id(slot) == id)?
            }
        };
        self.is_alive(slot).then_some(slot)
    }

    /// Orders hits that hold distances: by distance, then id, or by id.
    pub(crate) fn arrange(&self, hits: &mut [u64], by_distance: bool) {
        if by_distance {
            hits.sort_unstable();
            for ties in hits.chunk_by_mut(|a, b| a >> 32 == b >> 32) {
                if ties.len() > 1 {
                    ties.sort_unstable_by_key(|&hit| self.id(unpack(hit).1));
                }
            }
        } else if self.ids_follow_slots() {
            hits.iter_mut().for_each(|hit| *hit = hit.rotate_left(32));
            hits.sort_unstable();
            hits.iter_mut().for_each(|hit| *hit = hit.rotate_left(32));
        } else {
            hits.sort_by_cached_key(|&hit| self.id(unpack(hit).1));
        }
    }

    /// How many slots, from 0, are found without the hash table.
    fn ordered_len(&self) -> usize {
        match &self.ordered {
            Ordered::Dense { len, .. } => *len,
            Ordered::ById(slots) => slots.len(),
        }
    }

    /// Adds a token whose id is new. There must be room.
    pub(crate) fn insert(&mut self, token: &Token) -> u32 {
        let slot = self.free.pop().unwrap_or(self.slots as u32);
        self.slots = self.slots.max(slot as usize + 1);
        self.write(slot, token);
        self.link(slot);
        slot
    }

    /// Makes room for many tokens at once.
    pub(crate) fn reserve(&mut self, additional: usize) {
        let ids = &self.ids;
        self.by_id.reserve(additional, |hasher, &slot| {
            hasher.hash_one(ids.get(slot).copied().unwrap_or(NO_TOKEN))
        });
    }

    /// Tokens in consecutive slots at these positions, or the row of the first one whose id was there before.
    pub(crate) fn bulk(
        batch: &ottava_core::TokenBatch<'_>,
        positions: Column<[f32; 8]>,
    ) -> Result<Self, usize> {
        let ids = batch.ids();
        let mut store = Self::new();
        store.ids = Column::from_slice(ids);
        store.positions = positions;
        let weights = batch.weights().filter(|weights| weights.iter().any(|&w| w != 1.0));
        store.weights = weights.map(Column::from_slice);
        if batch.radii().is_some() || batch.strengths().is_some() {
            let field = |row| {
                let field = batch.field(row);
                [field.radius, field.strength]
            };
            let fields: Vec<_> = (0..ids.len()).map(field).collect();
            if fields.iter().any(|&field| field != [0.0; 2]) {
                store.fields = Some(Column::from_slice(&fields));
            }
        }
        store.slots = ids.len();
        store.live = ids.len();
        store.alive = vec![u64::MAX; ids.len().div_ceil(64)];
        if !ids.len().is_multiple_of(64)
            && let Some(last) = store.alive.last_mut()
        {
            *last = (1 << (ids.len() % 64)) - 1;
        }
        let dense = |pair: &[TokenId]| pair[0].checked_add(1) == Some(pair[1]);
        if let Some(&first) = ids.first()
            && ids.windows(2).all(dense)
        {
            store.ordered = Ordered::Dense { first, len: ids.len() };
            return Ok(store);
        }
        store.reserve(ids.len());
        for (row, &id) in ids.iter().enumerate() {
            let Shards { hasher, tables } = &mut store.by_id;
            let hash = hasher.hash_one(id);
            let table = &mut tables[shard(hash)];
            if table.find(hash, |&slot| ids[slot as usize] == id).is_some() {
                return Err(row);
            }
            table.insert_unique(hash, row as u32, |&slot| hasher.hash_one(ids[slot as usize]));
        }
        Ok(store)
    }

    fn write(&mut self, slot: u32, token: &Token) {
        self.ids.set(slot, token.id);
        self.positions.set(slot, token.position.0);
        let slots = self.slots;
        if token.weight != 1.0 || self.weights.is_some() {
            let weights = self.weights.get_or_insert_with(|| Column::from_slice(&vec![1.0; slots]));
            weights.set(slot, token.weight);
        }
        let field = [token.field.radius, token.field.strength];
        if field != [0.0; 2] || self.fields.is_some() {
            let fields =
                self.fields.get_or_insert_with(|| Column::from_slice(&vec![[0.0; 2]; slots]));
            fields.set(slot, field);
        }
        let word = slot as usize / 64;
        if word == self.alive.len() {
            self.alive.push(0);
        }
        self.alive[word] |= 1 << (slot % 64);
        self.live += 1;
    }

    fn link(&mut self, slot: u32) {
        let Self { by_id: Shards { hasher, tables }, ids, .. } = self;
        let hash_of = |slot: u32| hasher.hash_one(ids.get(slot).copied().unwrap_or(NO_TOKEN));
        let hash = hash_of(slot);
        tables[shard(hash)].insert_unique(hash, slot, |&other| hash_of(other));
    }

    /// Removes the token in a live slot. The slot stays dead until [`Store::reclaim`].
    pub(crate) fn kill(&mut self, slot: u32) {
        if slot as usize >= self.ordered_len() {
            let id = self.id(slot);
            let hash = self.by_id.hash(id);
            if let Ok(found) = self.by_id.table_mut(hash).find_entry(hash, |&other| other == slot) {
                found.remove();
            }
        }
        if let Some(word) = self.alive.get_mut(slot as usize / 64) {
            *word &= !(1 << (slot % 64));
            self.live -= 1;
        }
    }

    /// Gives dead slots out again. No tree may refer to them.
    pub(crate) fn reclaim(&mut self, slots: impl IntoIterator<Item = u32>) {
        let base = self.ordered_len();
        self.free.extend(slots.into_iter().filter(|&slot| slot as usize >= base));
    }

    /// As if this many slots had been given out, all but the first ones to tokens that were removed.
    #[cfg(test)]
    pub(crate) fn pretend(&mut self, slots: usize) {
        self.slots = slots;
    }

    /// As if this many slots had been given out, and all their tokens were there.
    #[cfg(test)]
    pub(crate) fn pretend_alive(&mut self, slots: usize) {
        (self.slots, self.live) = (slots, slots);
    }

    /// Gives all dead slots out again.
    pub(crate) fn reclaim_all(&mut self) {
        self.free.clear();
        let dead: Vec<_> = (0..self.slots as u32).filter(|&slot| !self.is_alive(slot)).collect();
        self.reclaim(dead);
    }

    /// Bytes held in memory: the tokens, and what finds them by id.
    pub(crate) fn memory(&self) -> (usize, usize) {
        let tokens = self.ids.memory()
            + self.positions.memory()
            + self.weights.as_ref().map_or(0, Column::memory)
            + self.fields.as_ref().map_or(0, Column::memory);
        let index = self.by_id.memory() + 8 * self.alive.len() + 4 * self.free.len();
        (tokens, index)
    }
}
