//! A hash table of cells whose look-up does not branch on what it finds.
//!
//! Whether a cell is occupied is a toss of a coin to the processor. A table that branches on it, as hashbrown's does, spends
//! most of the time of a look-up on wrong guesses. Here a look-up loads one group of tags, then the place of the first tag that
//! fits or, if there is none, that of an empty cell; it branches only on what is rare.

use std::hint::select_unpredictable;

use super::{Cell, Occupied};

/// Places of a group, a byte of its tags each.
const GROUP: usize = 16;

/// The tag of a place that was never taken since its group last had one: nothing was put beyond it.
const FREE: u8 = 0;
/// The tag of a place that was left while its group was full.
const LEFT: u8 = 1;

/// The same byte in every place.
const fn all(tag: u8) -> u128 {
    u128::MAX / 0xff * tag as u128
}

/// The tag of a taken place.
#[inline]
fn tag(hash: u64) -> u8 {
    (hash >> 56) as u8 | 0x80
}

/// The places with a tag, as the highest bits of their bytes; above the lowest there may be wrong ones.
#[inline]
fn with_tag(tags: u128, tag: u8) -> u128 {
    let zeros = tags ^ all(tag);
    zeros.wrapping_sub(all(1)) & !zeros & all(0x80)
}

/// The lowest place of those, less than [`GROUP`] even if there is none.
#[inline]
fn lowest(places: u128) -> usize {
    (places.trailing_zeros() / 8) as usize % GROUP
}

fn set(tags: &mut u128, place: usize, tag: u8) {
    *tags = *tags & !(0xff << (8 * place)) | u128::from(tag) << (8 * place);
}

/// Occupied cells; a power of two of groups.
pub(super) struct Table {
    tags: Vec<u128>,
    places: Vec<Occupied>,
    taken: usize,
    /// Places taken or left.
    used: usize,
}

impl Table {
    pub(super) fn new() -> Self {
        Self { tags: vec![all(FREE)], places: Vec::new(), taken: 0, used: 0 }
    }

    /// The cell, or `none` if it is not there.
    #[inline]
    pub(super) fn get<'a>(&'a self, hash: u64, cell: &Cell, none: &'a Occupied) -> &'a Occupied {
        let group = hash as usize & (self.tags.len() - 1);
        let tags = self.tags[group];
        let fits = with_tag(tags, tag(hash));
        let place = self.places.get(group * GROUP + lowest(fits)).unwrap_or(none);
        let place = select_unpredictable(fits == 0, none, place);
        let differs = (0..8).fold(0, |differs, axis| differs | place.cell[axis] ^ cell[axis]) != 0;
        if (fits != 0) & differs | (with_tag(tags, FREE) == 0) {
            return self.find(hash, cell).map_or(none, |at| &self.places[at]);
        }
        place
    }

    /// Where a cell is.
    #[cold]
    pub(super) fn find(&self, hash: u64, cell: &Cell) -> Option<usize> {
        let mut group = hash as usize & (self.tags.len() - 1);
        loop {
            let tags = self.tags[group];
            let mut fits = with_tag(tags, tag(hash));
            while fits != 0 {
                let at = group * GROUP + lowest(fits);
                fits &= fits - 1;
                if self.places.get(at).is_some_and(|place| place.cell == *cell && place.len > 0) {
                    return Some(at);
                }
            }
            // There is a free place in some group.
            if with_tag(tags, FREE) != 0 {
                return None;
            }
            group = (group + 1) & (self.tags.len() - 1);
        }
    }

    pub(super) fn at(&mut self, at: usize) -> &mut Occupied {
        &mut self.places[at]
    }

    /// Adds a cell that is not there, with at least one token. Returns where it is.
    pub(super) fn add(
        &mut self,
        hash: u64,
        occupied: Occupied,
        hash_of: impl Fn(&Cell) -> u64,
    ) -> usize {
        if (self.used + 1) * 4 > self.places.len() * 3 {
            self.grow(hash_of);
        }
        let at = self.put(hash, occupied);
        self.taken += 1;
        at
    }

    /// Takes a place that is not taken.
    fn put(&mut self, hash: u64, occupied: Occupied) -> usize {
        let mut group = hash as usize & (self.tags.len() - 1);
        let tags = loop {
            let tags = &mut self.tags[group];
            if !*tags & all(0x80) != 0 {
                break tags;
            }
            group = (group + 1) & (self.tags.len() - 1);
        };
        let place = lowest(!*tags & all(0x80));
        self.used += usize::from((*tags >> (8 * place)) as u8 == FREE);
        set(tags, place, tag(hash));
        let at = group * GROUP + place;
        self.places[at] = occupied;
        at
    }

    /// Makes room for twice the cells that there are.
    fn grow(&mut self, hash_of: impl Fn(&Cell) -> u64) {
        let groups = (2 * self.taken).div_ceil(GROUP).next_power_of_two();
        let mut larger = Self {
            tags: vec![all(FREE); groups],
            places: vec![Occupied::NONE; groups * GROUP],
            taken: self.taken,
            used: 0,
        };
        for occupied in self.iter() {
            larger.put(hash_of(&occupied.cell), *occupied);
        }
        *self = larger;
    }

    /// Takes a cell out.
    pub(super) fn remove(&mut self, at: usize) {
        let tags = &mut self.tags[at / GROUP];
        let full = with_tag(*tags, FREE) == 0;
        set(tags, at % GROUP, if full { LEFT } else { FREE });
        self.used -= usize::from(!full);
        self.taken -= 1;
        self.places[at] = Occupied::NONE;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Occupied> {
        self.places.iter().filter(|place| place.len > 0)
    }

    pub(super) fn memory(&self) -> usize {
        size_of_val(&*self.tags) + size_of_val(&*self.places)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::cells::NO_LIST;

    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

    proptest! {
        /// With a good hash, with one that puts all cells into few groups, and with one that is the same for all.
        #[test]
        fn holds_what_a_map_holds(
            changes in prop::collection::vec((0_i32..150, any::<bool>()), 1..800),
            bits in prop::sample::select(vec![64_u32, 8, 2, 0]),
        ) {
            let hash = |cell: &Cell| {
                let mixed = (cell[3] as u64 + 1).wrapping_mul(SPREAD);
                mixed.checked_shr(64 - bits).unwrap_or(0)
            };
            let (mut table, mut map) = (Table::new(), BTreeMap::new());
            for (step, (number, adds)) in changes.into_iter().enumerate() {
                let cell = [0, 0, 0, number, 0, 0, 0, 0];
                match (table.find(hash(&cell), &cell), adds) {
                    (None, true) => {
                        let one = Occupied { cell, few: [step as u64, 0, 0], len: 1, list: NO_LIST };
                        let at = table.add(hash(&cell), one, hash);
                        prop_assert_eq!(table.find(hash(&cell), &cell), Some(at));
                        prop_assert!(map.insert(number, step as u64).is_none());
                    }
                    (Some(at), false) => {
                        prop_assert_eq!(map.remove(&number), Some(table.at(at).few[0]));
                        table.remove(at);
                    }
                    (found, _) => prop_assert_eq!(found.is_some(), map.contains_key(&number)),
                }
            }
            for number in 0..150 {
                let cell = [0, 0, 0, number, 0, 0, 0, 0];
                let found = table.get(hash(&cell), &cell, &Occupied::NONE);
                let found = (found.len > 0).then_some(found.few[0]);
                prop_assert_eq!(found, map.get(&number).copied());
            }
            let mut held: Vec<_> = table.iter().map(|one| (one.cell[3], one.few[0])).collect();
            held.sort_unstable();
            prop_assert_eq!(held, map.into_iter().collect::<Vec<_>>());
        }
    }
}
