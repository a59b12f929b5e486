//! A hash table of cells whose look-up does not branch on what it finds, and that grows a little at a time.
//!
//! Whether a cell is occupied is a toss of a coin to the processor. A table that branches on it, as hashbrown's does, spends
//! most of the time of a look-up on wrong guesses. Here a look-up loads one group of tags, then the place of the first tag that
//! fits; it branches only on what is rare. A table that is full is left for one of twice the size, to which each change moves
//! some cells, so that no change pauses for all of them.

use std::hint::select_unpredictable;

use super::{Cell, Occupied};
use crate::storage::Array;

/// Places of a group, a byte of its tags each.
const GROUP: usize = 7;

/// The byte of a group's tags that counts the cells which had to go on to the next group.
const BEYOND: usize = 7;

/// Cells of a group, on average, with which a table is full.
const FULL: usize = 4;

/// The tag of a place that is not taken.
const FREE: u8 = 0;

/// The highest bit of each place.
const HIGH: u64 = 0x0080_8080_8080_8080;

/// Groups that are left with each cell that is added. A fourth would do: when a table is full again, four cells have been added for
/// each group that was to be left.
const STEP: usize = 4;

/// The tag of a taken place.
#[inline]
fn tag(hash: u64) -> u8 {
    (hash >> 56) as u8 | 0x80
}

/// The places with a tag that is taken, as the highest bits of their bytes; above the lowest there may be wrong ones.
#[inline]
fn with_tag(tags: u64, tag: u8) -> u64 {
    let zeros = tags ^ (HIGH / 0x80 * u64::from(tag));
    zeros.wrapping_sub(HIGH / 0x80) & !zeros & HIGH
}

/// The lowest place of those; [`GROUP`] if there is none.
#[inline]
fn lowest(places: u64) -> usize {
    ((places | 1 << 63).trailing_zeros() / 8) as usize
}

fn byte(tags: u64, at: usize) -> u8 {
    (tags >> (8 * at)) as u8
}

fn set(tags: &mut u64, at: usize, byte: u8) {
    *tags = *tags & !(0xff << (8 * at)) | u64::from(byte) << (8 * at);
}

/// Places for cells; a power of two of groups.
struct Places {
    tags: Array<u64>,
    cells: Array<Occupied>,
    taken: usize,
}

impl Places {
    fn new(groups: usize) -> Self {
        // One place more: that of a cell that is not there.
        let cells = Array::zeroed(groups * GROUP + 1);
        Self { tags: Array::zeroed(groups), cells, taken: 0 }
    }

    fn groups(&self) -> usize {
        self.tags.values().len()
    }

    fn group(&self, hash: u64) -> usize {
        hash as usize & (self.groups() - 1)
    }

    fn next(&self, group: usize) -> usize {
        (group + 1) & (self.groups() - 1)
    }

    /// Where a cell is.
    fn find(&self, hash: u64, cell: &Cell) -> Option<usize> {
        let mut group = self.group(hash);
        loop {
            let tags = self.tags.values()[group];
            let mut fits = with_tag(tags, tag(hash));
            while fits != 0 {
                let at = group * GROUP + lowest(fits);
                fits &= fits - 1;
                if self.cells.values()[at].cell == *cell && self.cells.values()[at].len > 0 {
                    return Some(at);
                }
            }
            if byte(tags, BEYOND) == 0 {
                return None;
            }
            group = self.next(group);
        }
    }

    /// Puts in a cell that is not there; there is room. Returns where it is.
    fn put(&mut self, hash: u64, occupied: Occupied) -> usize {
        let mut group = self.group(hash);
        loop {
            let free = !self.tags.values()[group] & HIGH;
            let tags = &mut self.tags.values_mut()[group];
            if free != 0 {
                let place = lowest(free);
                set(tags, place, tag(hash));
                let at = group * GROUP + place;
                self.cells.values_mut()[at] = occupied;
                self.taken += 1;
                return at;
            }
            // Once it says 255 it says so for good: then it costs a look more, no more.
            set(tags, BEYOND, byte(*tags, BEYOND).saturating_add(1));
            group = self.next(group);
        }
    }

    /// Takes out the cell that is at a place.
    fn remove(&mut self, hash: u64, at: usize) -> Occupied {
        let mut group = self.group(hash);
        while group != at / GROUP {
            let tags = &mut self.tags.values_mut()[group];
            let beyond = byte(*tags, BEYOND);
            set(tags, BEYOND, if beyond == u8::MAX { beyond } else { beyond.saturating_sub(1) });
            group = self.next(group);
        }
        set(&mut self.tags.values_mut()[group], at % GROUP, FREE);
        self.taken -= 1;
        std::mem::replace(&mut self.cells.values_mut()[at], Occupied::NONE)
    }

    fn iter(&self) -> impl Iterator<Item = &Occupied> {
        self.cells.values().iter().filter(|place| place.len > 0)
    }
}

/// Places that are being left.
struct Leaving {
    places: Places,
    /// Groups before this one have been left.
    group: usize,
}

/// Occupied cells.
pub(super) struct Table {
    places: Places,
    leaving: Option<Box<Leaving>>,
}

impl Table {
    pub(super) fn new() -> Self {
        Self { places: Places::new(1), leaving: None }
    }

    /// The cell, or one without tokens if it is not there.
    #[inline]
    pub(super) fn get(&self, hash: u64, cell: &Cell) -> &Occupied {
        let (tags, cells) = (self.places.tags.values(), self.places.cells.values());
        let group = hash as usize & (tags.len() - 1);
        let tags = tags[group];
        let fits = with_tag(tags, tag(hash));
        let nowhere = cells.len() - 1;
        let at = select_unpredictable(fits == 0, nowhere, group * GROUP + lowest(fits));
        let found = &cells[at];
        let differs = (0..8).fold(0, |differs, axis| differs | found.cell[axis] ^ cell[axis]) != 0;
        let beyond = byte(tags, BEYOND) != 0;
        if ((fits != 0) & differs) | ((fits == 0) & beyond) | self.leaving.is_some() {
            return self.search(hash, cell).unwrap_or(&cells[nowhere]);
        }
        found
    }

    /// The same, wherever it is.
    #[cold]
    fn search(&self, hash: u64, cell: &Cell) -> Option<&Occupied> {
        let found = |places: &'_ Places| places.find(hash, cell);
        if let Some(at) = found(&self.places) {
            return Some(&self.places.cells.values()[at]);
        }
        let leaving = &self.leaving.as_ref()?.places;
        found(leaving).map(|at| &leaving.cells.values()[at])
    }

    /// Where a cell is, to be changed.
    pub(super) fn find(&mut self, hash: u64, cell: &Cell) -> Option<usize> {
        if let Some(at) = self.places.find(hash, cell) {
            return Some(at);
        }
        let leaving = &mut self.leaving.as_mut()?.places;
        let at = leaving.find(hash, cell)?;
        let occupied = leaving.remove(hash, at);
        Some(self.places.put(hash, occupied))
    }

    pub(super) fn at(&mut self, at: usize) -> &mut Occupied {
        &mut self.places.cells.values_mut()[at]
    }

    /// Adds a cell that is not there, with at least one token. Returns where it is.
    pub(super) fn add(
        &mut self,
        hash: u64,
        occupied: Occupied,
        hash_of: impl Fn(&Cell) -> u64,
    ) -> usize {
        if self.len() >= self.places.groups() * FULL {
            let places = Places::new(2 * self.places.groups());
            let left = std::mem::replace(&mut self.places, places);
            debug_assert!(self.leaving.is_none());
            self.leaving = Some(Box::new(Leaving { places: left, group: 0 }));
        }
        self.leave_some(hash_of);
        self.places.put(hash, occupied)
    }

    /// Moves the cells of some groups that are being left.
    fn leave_some(&mut self, hash_of: impl Fn(&Cell) -> u64) {
        let Some(leaving) = &mut self.leaving else { return };
        let Leaving { places, group } = &mut **leaving;
        let until = places.groups().min(*group + STEP);
        for occupied in &mut places.cells.values_mut()[*group * GROUP..until * GROUP] {
            if occupied.len > 0 {
                let occupied = std::mem::replace(occupied, Occupied::NONE);
                places.taken -= 1;
                self.places.put(hash_of(&occupied.cell), occupied);
            }
        }
        *group = until;
        if until == places.groups() {
            self.leaving = None;
        }
    }

    /// Takes a cell out.
    pub(super) fn remove(&mut self, hash: u64, at: usize) {
        self.places.remove(hash, at);
    }

    /// Cells that are occupied.
    fn len(&self) -> usize {
        self.places.taken + self.leaving.as_ref().map_or(0, |leaving| leaving.places.taken)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Occupied> {
        let leaving = self.leaving.iter().flat_map(|leaving| leaving.places.iter());
        self.places.iter().chain(leaving)
    }

    pub(super) fn memory(&self) -> usize {
        let memory = |places: &Places| places.tags.memory() + places.cells.memory();
        memory(&self.places) + self.leaving.as_ref().map_or(0, |leaving| memory(&leaving.places))
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
                        table.remove(hash(&cell), at);
                    }
                    (found, _) => prop_assert_eq!(found.is_some(), map.contains_key(&number)),
                }
            }
            for number in 0..150 {
                let cell = [0, 0, 0, number, 0, 0, 0, 0];
                let found = table.get(hash(&cell), &cell);
                let found = (found.len > 0).then_some(found.few[0]);
                prop_assert_eq!(found, map.get(&number).copied());
            }
            let mut held: Vec<_> = table.iter().map(|one| (one.cell[3], one.few[0])).collect();
            held.sort_unstable();
            prop_assert_eq!(held, map.into_iter().collect::<Vec<_>>());
        }
    }
}
