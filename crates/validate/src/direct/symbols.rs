//! A few short texts, told from each other by one multiplication.

use rustc_hash::FxHashMap;

/// Most texts of a table.
const MOST: usize = 64;

/// Texts of at most fifteen bytes and their numbers, each at a place of its own.
#[derive(Debug)]
pub(crate) struct Symbols {
    factor: u64,
    shift: u32,
    places: Box<[(u128, u32)]>,
}

/// A word that is no text's.
const EMPTY: u128 = u128::MAX;

impl Symbols {
    /// A table for texts; `None` if they are too long or too many.
    pub(super) fn new(texts: &FxHashMap<Box<str>, u32>) -> Option<Self> {
        let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
        if texts.is_empty() || texts.len() > MOST {
            return None;
        }
        let mut words = Vec::with_capacity(texts.len());
        for (text, number) in texts {
            if text.len() > 15 || !text.bytes().all(plain) {
                return None;
            }
            let mut word = [0; 16];
            word[..text.len()].copy_from_slice(text.as_bytes());
            words.push((u128::from_le_bytes(word), *number));
        }
        let mut bits = texts.len().next_power_of_two().trailing_zeros() + 1;
        let mut factor: u64 = 0x9e37_79b9_7f4a_7c15;
        for attempt in 1..2_000_u32 {
            if attempt % 500 == 0 {
                bits += 1;
            }
            let mut table = Self {
                factor,
                shift: 64 - bits,
                places: vec![(EMPTY, 0); 1 << bits].into_boxed_slice(),
            };
            if words.iter().all(|(word, number)| table.put(*word, *number)) {
                return Some(table);
            }
            factor = factor.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(2) | 1;
        }
        None
    }

    #[inline(always)]
    fn place(&self, word: u128) -> usize {
        let mixed = (word as u64) ^ ((word >> 64) as u64).rotate_left(29);
        (mixed.wrapping_mul(self.factor) >> self.shift) as usize
    }

    fn put(&mut self, word: u128, number: u32) -> bool {
        let place = self.place(word);
        let free = self.places[place].0 == EMPTY;
        if free {
            self.places[place] = (word, number);
        }
        free
    }

    /// The number of the text whose bytes, with zeros behind them, these are.
    #[inline(always)]
    pub(crate) fn find(&self, word: u128) -> Option<usize> {
        match self.places.get(self.place(word)) {
            Some((known, number)) if *known == word => Some(*number as usize),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> u128 {
        let mut word = [0; 16];
        word[..text.len()].copy_from_slice(text.as_bytes());
        u128::from_le_bytes(word)
    }

    #[test]
    fn finds_its_texts_and_no_others() {
        for count in [1, 2, 5, 8, 31, 64] {
            let texts: FxHashMap<Box<str>, u32> =
                (0..count).map(|number| (format!("symbol{number}").into(), number)).collect();
            let symbols = Symbols::new(&texts).expect("short and few");
            for (text, number) in &texts {
                assert_eq!(symbols.find(word(text)), Some(*number as usize));
            }
            for other in ["", "symbol", "symbol64", "ymbol1", "symbol1 "] {
                assert_eq!(symbols.find(word(other)), None, "{other}");
            }
        }
        assert!(Symbols::new(&FxHashMap::default()).is_none());
        assert!(Symbols::new(&FxHashMap::from_iter([("sixteen bytes....".into(), 0)])).is_none());
        assert!(Symbols::new(&FxHashMap::from_iter([("a\"b".into(), 0)])).is_none());
    }
}
