//! Integers of Python, read where they are.

#![allow(unsafe_code)]

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// Bits of a digit in every build of CPython that is not made for another width on purpose.
const DIGIT_BITS: u32 = 30;

/// Whether integers are made of the digits that [`value`] reads.
pub(crate) fn are_usual(py: Python<'_>) -> bool {
    static USUAL: PyOnceLock<bool> = PyOnceLock::new();
    let ask = || py.import("sys")?.getattr("int_info")?.getattr("bits_per_digit")?.extract::<u32>();
    *USUAL.get_or_init(py, || ask().is_ok_and(|bits| bits == DIGIT_BITS))
}

/// The value of an integer of 64 bits; `None` of a longer one.
///
/// # Safety
/// The interpreter is attached, `object` is an integer, and [`are_usual`] is true.
#[inline(always)]
pub(crate) unsafe fn value(object: *mut ffi::PyObject) -> Option<i64> {
    // SAFETY: the caller's promise; the functions run no Python code for an integer.
    unsafe {
        if let Some(value) = of_one_digit(object) {
            return Some(value);
        }
        let mut overflow = 0;
        let value = ffi::PyLong_AsLongLongAndOverflow(object, &raw mut overflow);
        (overflow == 0).then_some(value)
    }
}

/// Behind its head an integer has the number of its digits, negative if it is, and the digits, the lowest first.
#[cfg(not(Py_3_12))]
#[inline(always)]
unsafe fn of_one_digit(object: *mut ffi::PyObject) -> Option<i64> {
    // SAFETY: the caller's promise.
    unsafe {
        let digit = || i64::from(*object.cast::<ffi::PyVarObject>().add(1).cast::<u32>());
        match (*object.cast::<ffi::PyVarObject>()).ob_size {
            1 => Some(digit()),
            0 => Some(0),
            -1 => Some(-digit()),
            _ => None,
        }
    }
}

/// Behind its head an integer has a tag and its digits. A tag below 16 says that there is one digit, and in its lowest bits one less the sign.
#[cfg(all(Py_3_12, not(Py_3_15)))]
#[inline(always)]
unsafe fn of_one_digit(object: *mut ffi::PyObject) -> Option<i64> {
    // SAFETY: the caller's promise.
    unsafe {
        let tag = *object.add(1).cast::<usize>();
        let digit = *object.add(1).cast::<usize>().add(1).cast::<u32>();
        (tag < 16).then(|| (1 - (tag & 3) as i64) * i64::from(digit))
    }
}

#[cfg(Py_3_15)]
#[inline(always)]
unsafe fn of_one_digit(_object: *mut ffi::PyObject) -> Option<i64> {
    None
}
