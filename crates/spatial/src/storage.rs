//! Arrays that live in memory or in a mapped file.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use bytemuck::{AnyBitPattern, NoUninit, Pod};
use memmap2::{Mmap, MmapMut};

/// Arrays of at least this many bytes get pages of their own, huge ones where the system has them.
const PAGES_FROM: usize = 1 << 18;

/// A read-mostly array of plain values.
pub(crate) enum Storage<T> {
    Heap(Vec<T>),
    /// Anonymous pages: aligned to more than a cache line.
    Pages(MmapMut, PhantomData<T>),
    /// A section of a mapped snapshot, in bytes.
    File {
        map: Arc<Mmap>,
        start: usize,
        end: usize,
    },
}

impl<T: Pod> Storage<T> {
    /// An array of zeros.
    pub(crate) fn zeroed(len: usize) -> Self {
        let bytes = len.saturating_mul(size_of::<T>());
        if bytes >= PAGES_FROM
            && let Ok(map) = MmapMut::map_anon(bytes)
        {
            #[cfg(target_os = "linux")]
            let _ = map.advise(memmap2::Advice::HugePage); // only ever a matter of speed
            return Self::Pages(map, PhantomData);
        }
        Self::Heap(vec![T::zeroed(); len])
    }

    /// The values, to be filled in; none if they are in a file.
    pub(crate) fn values_mut(&mut self) -> &mut [T] {
        match self {
            Self::Heap(values) => values,
            Self::Pages(map, _) => bytemuck::cast_slice_mut(map),
            Self::File { .. } => &mut [],
        }
    }

    /// The bytes held in memory, not in a file.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::Heap(values) => size_of_val(values.as_slice()),
            Self::Pages(map, _) => map.len(),
            Self::File { .. } => 0,
        }
    }
}

impl<T: AnyBitPattern + NoUninit> Deref for Storage<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Self::Heap(values) => values,
            Self::Pages(map, _) => bytemuck::cast_slice(map),
            Self::File { map, start, end } => bytemuck::cast_slice(&map[*start..*end]),
        }
    }
}

impl<T> Default for Storage<T> {
    fn default() -> Self {
        Self::Heap(Vec::new())
    }
}
