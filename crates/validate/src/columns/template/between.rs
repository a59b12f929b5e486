//! The bytes that stand between two values.

use crate::direct::window::{Window, window};

/// The bytes between two values, ready to be compared with text.
#[derive(Debug)]
pub(super) struct Between {
    first: [u64; 4],
    mask: [u64; 4],
    length: usize,
    /// What comes after 32 bytes.
    rest: Box<[u8]>,
}

impl Between {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let (mut first, mut mask) = ([0; 32], [0; 32]);
        let short = bytes.len().min(32);
        first[..short].copy_from_slice(&bytes[..short]);
        mask[..short].fill(0xff);
        let (first, mask) = (words(&first), words(&mask));
        Self { first, mask, length: bytes.len(), rest: bytes[short..].into() }
    }

    /// Where the value behind these bytes begins, if they stand at `at`, and what is there.
    #[inline(always)]
    pub(super) fn pass<'t>(&self, text: &'t [u8], at: usize) -> Option<(usize, &'t Window)> {
        let near: &[u8; 128] = text.get(at..at.wrapping_add(128))?.first_chunk()?;
        if !self.begins(near.first_chunk()?) {
            return None;
        }
        if self.length > 32 {
            return self.pass_long(text, at);
        }
        let from = self.length % 64;
        Some((at + from, near[from..from + 64].first_chunk()?))
    }

    #[inline(never)]
    fn pass_long<'t>(&self, text: &'t [u8], at: usize) -> Option<(usize, &'t Window)> {
        let from = self.end(text, at)?;
        Some((from, window(text, from)?))
    }

    /// Where these bytes end, if they stand at `at`.
    #[inline(always)]
    pub(super) fn end(&self, text: &[u8], at: usize) -> Option<usize> {
        let same = self.begins(window(text, at)?.first_chunk()?)
            && (self.length <= 32 || self.goes_on(text, at));
        same.then_some(at + self.length)
    }

    #[inline(always)]
    fn begins(&self, near: &[u8; 32]) -> bool {
        let near = words(near);
        let differs = |word: usize| (near[word] ^ self.first[word]) & self.mask[word];
        differs(0) | differs(1) | differs(2) | differs(3) == 0
    }

    #[inline(never)]
    fn goes_on(&self, text: &[u8], at: usize) -> bool {
        text.get(at + 32..).is_some_and(|text| text.starts_with(&self.rest))
    }
}

#[inline(always)]
fn words(bytes: &[u8; 32]) -> [u64; 4] {
    std::array::from_fn(|word| {
        let mut part = [0; 8];
        part.copy_from_slice(&bytes[8 * word..8 * word + 8]);
        u64::from_le_bytes(part)
    })
}
