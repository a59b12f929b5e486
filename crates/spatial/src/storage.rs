//! Arrays that live in memory or in a mapped file.

use std::marker::PhantomData;

use bytemuck::{AnyBitPattern, NoUninit, Pod};
use memmap2::MmapMut;

use crate::snapshot::{Part, Watch};

/// Arrays of at least this many bytes get pages of their own, huge ones where the system has them.
const PAGES_FROM: usize = 1 << 18;

/// An array of plain values in memory.
pub(crate) enum Array<T> {
    Heap(Vec<T>),
    /// Anonymous pages: aligned to more than a cache line.
    Pages(MmapMut, PhantomData<T>),
}

impl<T: Pod> Array<T> {
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

    #[inline]
    pub(crate) fn values_mut(&mut self) -> &mut [T] {
        match self {
            Self::Heap(values) => values,
            Self::Pages(map, _) => bytemuck::cast_slice_mut(map),
        }
    }
}

impl<T: AnyBitPattern + NoUninit> Array<T> {
    #[inline]
    pub(crate) fn values(&self) -> &[T] {
        match self {
            Self::Heap(values) => values,
            Self::Pages(map, _) => bytemuck::cast_slice(map),
        }
    }

    /// The bytes that it takes.
    pub(crate) fn memory(&self) -> usize {
        size_of_val(self.values())
    }
}

/// A read-mostly array of plain values.
pub(crate) enum Storage<T> {
    Memory(Array<T>),
    /// A section of a mapped snapshot.
    File(Part),
}

impl<T: Pod> Storage<T> {
    /// An array of zeros, in memory.
    pub(crate) fn zeroed(len: usize) -> Self {
        Self::Memory(Array::zeroed(len))
    }

    /// The values, to be filled in; none if they are in a file.
    pub(crate) fn values_mut(&mut self) -> &mut [T] {
        match self {
            Self::Memory(array) => array.values_mut(),
            Self::File(_) => &mut [],
        }
    }

    /// The bytes held in memory, not in a file.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::Memory(array) => array.memory(),
            Self::File(_) => 0,
        }
    }
}

impl<T: AnyBitPattern + NoUninit> Storage<T> {
    /// The values as they lie, those of a file unchecked but for what [`Storage::watch`] is asked about.
    #[inline]
    pub(crate) fn raw(&self) -> &[T] {
        match self {
            Self::Memory(array) => array.values(),
            Self::File(part) => bytemuck::cast_slice(part.bytes()),
        }
    }

    /// Who checks the values of a file when they are first looked at; none if nothing is to be checked.
    #[inline]
    pub(crate) fn watch(&self) -> Option<Watch<'_, T>> {
        match self {
            Self::File(part) => part.watch(),
            _ => None,
        }
    }

    /// All values, checked.
    pub(crate) fn all(&self) -> &[T] {
        if let Self::File(part) = self {
            part.check_all();
        }
        self.raw()
    }

    /// One value, checked.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        let value = self.raw().get(index)?;
        if let Some(watch) = self.watch() {
            watch.look(index);
        }
        Some(value)
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.raw().len()
    }
}

impl<T> Default for Storage<T> {
    fn default() -> Self {
        Self::Memory(Array::Heap(Vec::new()))
    }
}
