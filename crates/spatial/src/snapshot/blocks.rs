//! The bytes of a snapshot, checked a block at a time when they are first read.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use memmap2::Mmap;

use super::format::{BLOCK, Section};

/// A file in memory or mapped, with its sections, and what has been found out about its blocks.
pub(crate) struct Blocks {
    map: Mmap,
    sections: Vec<Section>,
    /// Where the checksums of the blocks are.
    checksums: Range<usize>,
    /// One bit a block: checked.
    seen: Box<[AtomicU64]>,
    /// The first block that was found to differ from its checksum.
    damaged: OnceLock<usize>,
}

impl Blocks {
    /// `checksums` has four bytes for each block of the sections.
    pub(super) fn new(map: Mmap, sections: Vec<Section>, checksums: Range<usize>) -> Self {
        let words = (checksums.len() / size_of::<u32>()).div_ceil(64);
        let seen = (0..words).map(|_| AtomicU64::new(0)).collect();
        Self { map, sections, checksums, seen, damaged: OnceLock::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The section with a block that was found to be damaged.
    pub(super) fn damaged(&self) -> Option<&Section> {
        self.damaged.get().and_then(|&block| self.section(block))
    }

    /// Checks all blocks of a section anew, whatever was found before.
    pub(super) fn check(&self, section: &Section) -> bool {
        section.blocks().all(|block| self.note(block))
    }

    /// The contents of a section.
    pub(super) fn bytes(&self, section: &Section) -> &[u8] {
        self.map.get(section.offset..section.offset + section.len).unwrap_or_default()
    }

    /// Checks a block, if it has not been.
    #[inline]
    fn look(&self, block: usize) {
        let word = self.seen.get(block / 64);
        // What is seen here was damaged before it was marked.
        let seen = word.is_none_or(|word| word.load(Ordering::Acquire) >> (block % 64) & 1 == 1);
        if !seen {
            self.look_first(block);
        }
    }

    #[cold]
    #[inline(never)]
    fn look_first(&self, block: usize) {
        self.note(block);
        if let Some(word) = self.seen.get(block / 64) {
            word.fetch_or(1 << (block % 64), Ordering::Release);
        }
    }

    /// Whether a block is as it was written; if not, that is kept in mind.
    fn note(&self, block: usize) -> bool {
        let whole = self.is_whole(block);
        if !whole {
            let _ = self.damaged.set(block); // another one may have been found first
        }
        whole
    }

    fn section(&self, block: usize) -> Option<&Section> {
        let after = self.sections.partition_point(|section| section.first_block <= block);
        // Empty sections begin with the block of the next one.
        self.sections.get(after.checked_sub(1)?)
    }

    fn is_whole(&self, block: usize) -> bool {
        let bytes = self.section(block).and_then(|section| {
            let start = section.offset + (block - section.first_block) * BLOCK;
            self.map.get(start..(start + BLOCK).min(section.padded_end()?))
        });
        let checksums = self.map.get(self.checksums.clone()).unwrap_or_default().as_chunks().0;
        match (bytes, checksums.get(block)) {
            (Some(bytes), Some(&crc)) => crc32fast::hash(bytes) == u32::from_le_bytes(crc),
            _ => false,
        }
    }
}

/// A section of a snapshot.
pub(crate) struct Part {
    file: Arc<Blocks>,
    bytes: Range<usize>,
    blocks: Range<usize>,
    watched: bool,
}

impl Part {
    /// With `watched`, its bytes are to be checked when they are first read.
    pub(super) fn new(file: &Arc<Blocks>, section: &Section, watched: bool) -> Self {
        let bytes = section.offset..section.offset + section.len;
        Self { file: Arc::clone(file), bytes, blocks: section.blocks(), watched }
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.file.map[self.bytes.clone()]
    }

    /// Who checks values of this size.
    #[inline]
    pub(crate) fn watch<T>(&self) -> Option<Watch<'_, T>> {
        let watch = Watch { file: &self.file, first: self.blocks.start, values: PhantomData };
        self.watched.then_some(watch)
    }

    pub(crate) fn check_all(&self) {
        if self.watched {
            self.blocks.clone().for_each(|block| self.file.look(block));
        }
    }
}

/// Checks the values of a section when they are first looked at.
pub(crate) struct Watch<'a, T> {
    file: &'a Blocks,
    first: usize,
    values: PhantomData<T>,
}

impl<T> Watch<'_, T> {
    /// No value lies in two blocks: their sizes are powers of two.
    #[inline]
    pub(crate) fn look(&self, index: usize) {
        const { assert!(size_of::<T>().is_power_of_two() && size_of::<T>() <= BLOCK) };
        self.file.look(self.first + index / (BLOCK / size_of::<T>()));
    }
}
