//! Sets of tokens that a query admits.

use ottava_core::TokenId;

use crate::error::Error;
use crate::grid::TokenGrid;

/// A set of tokens of one grid, in its present state: any later change of the grid makes it stale.
#[derive(Debug, Clone)]
pub struct Filter {
    grid: u64,
    epoch: u64,
    bits: Vec<u64>,
    count: usize,
}

impl Filter {
    /// The number of tokens admitted.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The tokens that both admit.
    ///
    /// # Errors
    /// [`Error::StaleFilter`] if the two are not of one grid in one state.
    pub fn and(mut self, other: &Self) -> Result<Self, Error> {
        if (self.grid, self.epoch) != (other.grid, other.epoch) {
            return Err(Error::StaleFilter);
        }
        for (word, other) in self.bits.iter_mut().zip(&other.bits) {
            *word &= other;
        }
        self.count = count(&self.bits);
        Ok(self)
    }

    /// The bits by slot.
    pub(crate) fn bits_for(&self, grid: &TokenGrid) -> Result<&[u64], Error> {
        let fresh = (self.grid, self.epoch) == (grid.serial, grid.epoch);
        if fresh { Ok(&self.bits) } else { Err(Error::StaleFilter) }
    }

    /// The slots admitted, ascending.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.bits.iter().enumerate().filter(|&(_, &bits)| bits != 0).flat_map(|(word, &bits)| {
            (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word as u32 * 64 + bit)
        })
    }
}

impl TokenGrid {
    /// A filter from a mask of shape (len,), in storage order: the order of [`TokenGrid::ids`].
    ///
    /// # Errors
    /// [`Error::MaskLength`].
    pub fn filter_mask(&self, mask: &[bool]) -> Result<Filter, Error> {
        if mask.len() != self.len() {
            return Err(Error::MaskLength { expected: self.len(), found: mask.len() });
        }
        let mut bits = vec![0; self.store.alive().len()];
        if self.store.alive_bits().is_none() {
            for (word, mask) in bits.iter_mut().zip(mask.chunks(64)) {
                *word = mask.iter().rev().fold(0, |word, &admit| word << 1 | u64::from(admit));
            }
        } else {
            for (slot, _) in self.store.iter().zip(mask).filter(|&(_, &admit)| admit) {
                bits[slot as usize / 64] |= 1 << (slot % 64);
            }
        }
        Ok(self.filter_bits(bits))
    }

    /// A filter that admits the tokens with these ids.
    ///
    /// # Errors
    /// [`Error::UnknownId`].
    pub fn filter_allow(&self, ids: &[TokenId]) -> Result<Filter, Error> {
        let mut bits = vec![0; self.store.alive().len()];
        for &id in ids {
            let slot = self.slot(id)?;
            bits[slot as usize / 64] |= 1 << (slot % 64);
        }
        Ok(self.filter_bits(bits))
    }

    /// A filter that admits all tokens but those with these ids.
    ///
    /// # Errors
    /// [`Error::UnknownId`].
    pub fn filter_deny(&self, ids: &[TokenId]) -> Result<Filter, Error> {
        let mut bits = self.store.alive().to_vec();
        for &id in ids {
            let slot = self.slot(id)?;
            bits[slot as usize / 64] &= !(1 << (slot % 64));
        }
        Ok(self.filter_bits(bits))
    }

    /// Bits of slots in which no token is are left out.
    fn filter_bits(&self, mut bits: Vec<u64>) -> Filter {
        for (word, alive) in bits.iter_mut().zip(self.store.alive()) {
            *word &= alive;
        }
        let count = count(&bits);
        Filter { grid: self.serial, epoch: self.epoch, bits, count }
    }
}

fn count(bits: &[u64]) -> usize {
    bits.iter().map(|word| word.count_ones() as usize).sum()
}

#[cfg(test)]
mod tests {
    use ottava_core::Token;

    use super::*;
    use crate::grid::GridOptions;
    use crate::query::Query;

    #[test]
    fn only_tokens_that_are_there_are_admitted() {
        let mut grid = TokenGrid::new(GridOptions::default()).unwrap();
        for id in 0..70 {
            grid.insert(Token::new(id, [id as f32; 8])).unwrap();
        }
        grid.remove(3).unwrap();
        let filter = grid.filter_bits(vec![u64::MAX; 2]);
        assert_eq!(filter.count(), 69);
        let found = grid.within(&[0.0; 8], 1e9, &Query::default().filter(&filter)).unwrap();
        assert_eq!(found.ids, (0..70).filter(|&id| id != 3).collect::<Vec<_>>());
    }

    #[test]
    fn what_both_admit() {
        let mut grid = TokenGrid::new(GridOptions::default()).unwrap();
        for id in 0..130 {
            grid.insert(Token::new(id, [id as f32; 8])).unwrap();
        }
        let few = grid.filter_allow(&[1, 70, 129]).unwrap();
        let both = few.clone().and(&grid.filter_deny(&[70, 3]).unwrap()).unwrap();
        assert_eq!((both.count(), both.slots().collect::<Vec<_>>()), (2, vec![1, 129]));
        grid.remove(5).unwrap();
        let later = grid.filter_deny(&[]).unwrap();
        assert!(matches!(later.and(&few), Err(Error::StaleFilter)));
    }
}
