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
#[inline(always)]
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
        put(&mut *place, text, value)
    }
}

/// Makes a string and keeps it in its place.
#[cfg(not(Py_GIL_DISABLED))]
#[cold]
fn put(place: &mut Place, text: [u64; 2], value: &str) -> Checked<Object> {
    let made = make::fresh_str(value)?;
    let old = std::mem::replace(place, Place { text, object: made.clone().into_ptr() });
    // SAFETY: the reference was ours; freeing a string runs no code.
    unsafe { ffi::Py_XDECREF(old.object) };
    Ok(made)
}

/// The bytes, at least two, and, in the last one, their number.
#[cfg(not(Py_GIL_DISABLED))]
#[inline]
fn words(bytes: &[u8]) -> [u64; 2] {
    let length = bytes.len();
    let number = (length as u64) << 56;
    // The last bytes overlap the first, and are moved down to where they do not, or are the same ones once more.
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (low, rest) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
        let high = if length == 8 { 0 } else { rest >> (8 * (16 - length)) };
        return [low, high | number];
    }
    let low = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => {
            let (low, high) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
            u64::from(low) | u64::from(high) << (8 * (length - 4))
        }
        _ => {
            let at = |index: usize| bytes.get(index).copied().map_or(0, u64::from);
            at(0) | at(1) << 8 | at(2) << 16
        }
    };
    [low, number]
}

#[cfg(all(test, not(Py_GIL_DISABLED)))]
mod tests {
    use super::*;

    #[test]
    fn words_tell_all_short_texts_apart() {
        let text = b"abcdefghijklmno";
        for length in 2..=LONGEST {
            let mut expected = [0; 16];
            expected[..length].copy_from_slice(&text[..length]);
            expected[15] = length as u8;
            let bytes = words(&text[..length]).map(u64::to_le_bytes);
            assert_eq!(bytes.as_flattened(), expected, "{length}");
        }
    }
}
