//! The unique index from ids to slots.
//!
//! An entry is the 32-bit hash of an id and the slot of its row, eight bytes; the id itself stays in its column and is looked at
//! only where the hashes are equal. The index is cut into shards that fit a cache, and a batch is sorted by shard before it is
//! inserted: that is what makes a million random insertions cheap, and it lets shards be filled at the same time.

use std::sync::{Mutex, PoisonError};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Found;

use super::workers::Workers;

/// Rows for which a shard is made.
const SHARD_ROWS: usize = 12_000;
/// Rows that are sorted at a time; bounds the memory that an insertion takes beside the index.
const BLOCK_ROWS: usize = 1 << 19;

#[derive(Debug, Clone, Copy)]
struct Entry {
    tag: u32,
    slot: u32,
}

impl Entry {
    #[inline]
    fn hash(&self) -> u64 {
        spread(self.tag)
    }
}

/// All 64 bits that a table wants, from 32. The shard was chosen by the upper ones, so the lower ones go everywhere.
#[inline]
fn spread(tag: u32) -> u64 {
    u64::from(tag).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

/// What becomes of a row whose id is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnDuplicate {
    /// The whole call is refused.
    #[default]
    Error,
    /// The row is passed over.
    Skip,
    /// The row takes the place of the earlier one.
    Replace,
}

/// A row whose id was there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Clash {
    /// Slot of the new row.
    pub(super) slot: u32,
    /// Slot of the row that had the id before.
    pub(super) earlier: u32,
}

/// Ids to slots.
#[derive(Debug)]
pub(super) struct IdIndex {
    shards: Vec<Mutex<HashTable<Entry>>>,
}

impl Default for IdIndex {
    fn default() -> Self {
        Self { shards: vec![Mutex::default()] }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl IdIndex {
    #[inline]
    fn shard_of(tag: u32, shards: usize) -> usize {
        ((u64::from(tag) * shards as u64) >> 32) as usize
    }

    /// The number of ids.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Bytes that the index takes.
    pub(super) fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).allocation_size()).sum()
    }

    /// The slot of the id with this hash for which `same` holds.
    pub(super) fn find(&self, tag: u32, same: impl Fn(u32) -> bool) -> Option<u32> {
        let shard = lock(&self.shards[Self::shard_of(tag, self.shards.len())]);
        shard.find(spread(tag), |e| e.tag == tag && same(e.slot)).map(|e| e.slot)
    }

    /// Makes shards for `rows` ids in all, if those that are there would grow out of the cache.
    fn fit(&mut self, rows: usize) {
        let wanted = rows.div_ceil(SHARD_ROWS);
        if wanted <= 2 * self.shards.len() {
            return;
        }
        let per_shard = self.len().div_ceil(wanted);
        let mut shards: Vec<_> =
            (0..wanted).map(|_| HashTable::with_capacity(per_shard)).collect::<Vec<_>>();
        for shard in &mut self.shards {
            for entry in shard.get_mut().unwrap_or_else(PoisonError::into_inner).drain() {
                shards[Self::shard_of(entry.tag, wanted)].insert_unique(
                    entry.hash(),
                    entry,
                    Entry::hash,
                );
            }
        }
        self.shards = shards.into_iter().map(Mutex::new).collect();
    }

    /// Inserts the rows from slot `base` on, whose hashes are `tags`. `same` compares the ids of two slots.
    ///
    /// Under `Replace` the index points to the last row of an id afterwards, else to the first. The answer has every row whose id was there
    /// already, in order. Undone by [`IdIndex::undo`] with the same `base` and that answer.
    pub(super) fn insert(
        &mut self,
        tags: &[u32],
        base: u32,
        same: &(dyn Fn(u32, u32) -> bool + Sync),
        on_duplicate: OnDuplicate,
        workers: &dyn Workers,
    ) -> Vec<Clash> {
        self.fit(self.len() + tags.len());
        let mut clashes = Vec::new();
        for (at, block) in tags.chunks(BLOCK_ROWS).enumerate() {
            let base = base + (at * BLOCK_ROWS) as u32;
            clashes.append(&mut self.insert_block(block, base, same, on_duplicate, workers));
        }
        clashes
    }

    fn insert_block(
        &self,
        tags: &[u32],
        base: u32,
        same: &(dyn Fn(u32, u32) -> bool + Sync),
        on_duplicate: OnDuplicate,
        workers: &dyn Workers,
    ) -> Vec<Clash> {
        let (order, starts) = self.sort(tags);
        let all = Mutex::new(Vec::new());
        workers.each(self.shards.len(), &|at| {
            let rows = &order[starts[at] as usize..starts[at + 1] as usize];
            let mut table = lock(&self.shards[at]);
            table.reserve(rows.len(), Entry::hash);
            let mut clashes = Vec::new();
            for packed in rows {
                let entry = Entry { tag: (packed >> 32) as u32, slot: base + *packed as u32 };
                let equal = |e: &Entry| e.tag == entry.tag && same(entry.slot, e.slot);
                match table.entry(entry.hash(), equal, Entry::hash) {
                    Found::Vacant(free) => {
                        free.insert(entry);
                    }
                    Found::Occupied(mut taken) => {
                        clashes.push(Clash { slot: entry.slot, earlier: taken.get().slot });
                        if on_duplicate == OnDuplicate::Replace {
                            taken.get_mut().slot = entry.slot;
                        }
                    }
                }
            }
            if !clashes.is_empty() {
                lock(&all).append(&mut clashes);
            }
        });
        let mut clashes = all.into_inner().unwrap_or_else(PoisonError::into_inner);
        clashes.sort_unstable();
        clashes
    }

    /// Rows sorted by shard, in their order within each: hash above, row below; and where each shard starts.
    fn sort(&self, tags: &[u32]) -> (Vec<u64>, Vec<u32>) {
        let shards = self.shards.len();
        let mut starts = vec![0_u32; shards + 1];
        for tag in tags {
            starts[Self::shard_of(*tag, shards) + 1] += 1;
        }
        for at in 0..shards {
            starts[at + 1] += starts[at];
        }
        let mut next = starts.clone();
        let mut order = vec![0_u64; tags.len()];
        for (row, tag) in tags.iter().enumerate() {
            let place = &mut next[Self::shard_of(*tag, shards)];
            order[*place as usize] = u64::from(*tag) << 32 | row as u64;
            *place += 1;
        }
        (order, starts)
    }

    /// Takes back an insertion of the slots `new` that gave `clashes` under `on_duplicate`.
    ///
    /// `tag` gives the hash of a slot's id.
    pub(super) fn undo(
        &mut self,
        new: std::ops::Range<u32>,
        clashes: &[Clash],
        on_duplicate: OnDuplicate,
        tag: impl Fn(u32) -> u32,
    ) {
        let shards = self.shards.len();
        if on_duplicate == OnDuplicate::Replace {
            for clash in clashes.iter().rev() {
                let tag = tag(clash.slot);
                let mut shard = lock(&self.shards[Self::shard_of(tag, shards)]);
                if let Some(entry) = shard.find_mut(spread(tag), |e| e.slot == clash.slot) {
                    entry.slot = clash.earlier;
                }
            }
        }
        for slot in new {
            let tag = tag(slot);
            let mut shard = lock(&self.shards[Self::shard_of(tag, shards)]);
            if let Ok(entry) = shard.find_entry(spread(tag), |e| e.slot == slot) {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::super::workers::InOrder;
    use super::*;

    /// Ids whose hashes collide often.
    fn tag(id: u8) -> u32 {
        u32::from(id % 5).wrapping_mul(0x3333_3333)
    }

    proptest! {
        #[test]
        fn agrees_with_a_map(
            batches in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..40), 0_u8..3, any::<bool>()), 0..6),
        ) {
            let mut index = IdIndex::default();
            let mut naive: HashMap<u8, u32> = HashMap::new();
            let mut ids: Vec<u8> = Vec::new();
            for (batch, policy, undo) in batches {
                let policy = [OnDuplicate::Error, OnDuplicate::Skip, OnDuplicate::Replace][policy as usize];
                let base = ids.len();
                ids.extend(&batch);
                let before = naive.clone();
                let mut expected = Vec::new();
                for (row, id) in batch.iter().enumerate() {
                    let slot = (base + row) as u32;
                    if let Some(earlier) = naive.get(id).copied() {
                        expected.push(Clash { slot, earlier });
                        if policy == OnDuplicate::Replace {
                            naive.insert(*id, slot);
                        }
                    } else {
                        naive.insert(*id, slot);
                    }
                }
                let tags: Vec<_> = batch.iter().map(|id| tag(*id)).collect();
                let same = |a: u32, b: u32| ids[a as usize] == ids[b as usize];
                let clashes = index.insert(&tags, base as u32, &same, policy, &InOrder);
                prop_assert_eq!(&clashes, &expected);
                if undo || policy == OnDuplicate::Error && !clashes.is_empty() {
                    index.undo(base as u32..ids.len() as u32, &clashes, policy, |slot| tag(ids[slot as usize]));
                    naive = before;
                }
                prop_assert_eq!(index.len(), naive.len());
                for id in 0..=255 {
                    let found = index.find(tag(id), |slot| ids[slot as usize] == id);
                    prop_assert_eq!(found, naive.get(&id).copied());
                }
            }
        }
    }
}
