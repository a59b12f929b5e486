//! Memory of instances that were freed, kept for the next ones: many an instance is read and dropped before the next is made.
//!
//! What is kept is as an instance with empty slots, so that only its head has to be written.

#![allow(unsafe_code)]

use std::ptr;

use super::layout::Head;

/// Most slots of an instance whose memory is kept.
pub(crate) const MOST_SLOTS: usize = 16;

/// Pieces of memory that are kept for each number of slots.
const PIECES: usize = 32;

/// Pieces of one size.
#[derive(Clone, Copy)]
struct Shelf {
    first: *mut Piece,
    count: usize,
}

/// Lies over the head of the instance that was.
struct Piece {
    next: *mut Piece,
}

/// Only touched by whoever holds the interpreter lock: no instance is plain without it.
static mut SHELVES: [Shelf; MOST_SLOTS + 1] =
    [Shelf { first: ptr::null_mut(), count: 0 }; MOST_SLOTS + 1];

/// Memory of an instance with so many slots, all of them empty, and a head that means nothing.
///
/// # Safety
/// The interpreter lock is held.
#[inline(always)]
pub(crate) unsafe fn take(slots: u8) -> Option<*mut Head> {
    // SAFETY: the caller's promise; a piece that is kept is nobody else's.
    unsafe {
        let shelf = (&raw mut SHELVES).cast::<Shelf>().add(usize::from(slots));
        let piece = (*shelf).first;
        if piece.is_null() {
            return None;
        }
        (*shelf).first = (*piece).next;
        (*shelf).count -= 1;
        Some(piece.cast())
    }
}

/// Keeps memory of an instance with so many slots, all of them empty; whether there is room for it.
///
/// # Safety
/// The interpreter lock is held; the memory is of `PyObject_Malloc`, of the size of such an instance, and the caller's to give away.
#[inline(always)]
pub(crate) unsafe fn keep(slots: u8, memory: *mut Head) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let shelf = (&raw mut SHELVES).cast::<Shelf>().add(usize::from(slots));
        if (*shelf).count == PIECES {
            return false;
        }
        let piece = memory.cast::<Piece>();
        (*piece).next = (*shelf).first;
        (*shelf).first = piece;
        (*shelf).count += 1;
        true
    }
}
