//! Short strings that were made before: keys, names, symbols and the like repeat in data, and a string that is there costs less
//! than one that must be allocated, hashed and freed.

#![allow(unsafe_code)]

use ottava_validate::Checked;
use pyo3::ffi;

use super::make;
use super::object::Object;

/// Most bytes of a string that is kept: with their number they fill two words.
pub(crate) const LONGEST: usize = 15;

/// Strings that are kept; each has one place where it may be.
#[cfg(not(Py_GIL_DISABLED))]
const PLACES: usize = 1024;

#[cfg(not(Py_GIL_DISABLED))]
#[derive(Clone, Copy)]
struct Place {
    text: [u64; 2],
    /// Null, or a reference that is ours.
    object: *mut ffi::PyObject,
}

/// Only touched by whoever holds the interpreter lock.
#[cfg(not(Py_GIL_DISABLED))]
static mut TABLE: [Place; PLACES] = [Place { text: [0; 2], object: std::ptr::null_mut() }; PLACES];

/// A string of at most [`LONGEST`] bytes.
#[cfg(Py_GIL_DISABLED)]
pub(crate) fn short(value: &str) -> Checked<Object> {
    make::fresh_str(value)
}

/// A string of at most [`LONGEST`] bytes.
#[cfg(not(Py_GIL_DISABLED))]
#[inline]
pub(crate) fn short(value: &str) -> Checked<Object> {
    if value.len() < 2 {
        // Python has these already.
        return make::fresh_str(value);
    }
    let text = words(value.as_bytes());
    let mixed = (text[0] ^ text[1].rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let index = (mixed >> 54) as usize;
    // SAFETY: the interpreter lock is held wherever objects are made, and no other code runs while the place is looked at.
    unsafe {
        let place = (&raw mut TABLE).cast::<Place>().add(index);
        if (*place).text == text && !(*place).object.is_null() {
            return Ok(Object::borrowed((*place).object));
        }
        let made = make::fresh_str(value)?;
        // Freeing a string runs no code.
        let old = std::mem::replace(&mut *place, Place { text, object: made.clone().into_ptr() });
        ffi::Py_XDECREF(old.object);
        Ok(made)
    }
}

/// The bytes and, in the last one, their number.
#[cfg(not(Py_GIL_DISABLED))]
#[inline]
fn words(bytes: &[u8]) -> [u64; 2] {
    let length = bytes.len();
    let number = (length as u64) << 56;
    let word = |from: usize| -> u64 {
        bytes
            .get(from..from + 8)
            .map_or(0, |part| u64::from_le_bytes(part.try_into().unwrap_or([0; 8])))
    };
    if length >= 8 {
        // The last eight bytes overlap the first, and are moved down to where they do not.
        let rest = word(length - 8);
        let high = if length == 8 { 0 } else { rest >> (8 * (16 - length)) };
        return [word(0), high | number];
    }
    let mut low = 0;
    for (index, byte) in bytes.iter().enumerate() {
        low |= u64::from(*byte) << (8 * index);
    }
    [low, number]
}
