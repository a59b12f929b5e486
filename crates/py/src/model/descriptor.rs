//! Borrowing what belongs to Python for as long as a call lasts.

#![allow(unsafe_code)]

use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// The caller's descriptor. It is only duplicated; a closed number gives an error there.
#[cfg(unix)]
pub(crate) fn borrow(number: i32) -> std::os::fd::BorrowedFd<'static> {
    // SAFETY: the number is not negative, and the result is used for one `dup`, which checks it.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(number) }
}

/// The bytes of `owner`, for as long as the reference to it.
pub(crate) fn outlive<'b>(slice: &[u8], _owner: &'b Py<PyBytes>) -> &'b [u8] {
    // SAFETY: the slice is that of the immutable object that the caller keeps alive through `owner`.
    unsafe { std::slice::from_raw_parts(slice.as_ptr(), slice.len()) }
}
