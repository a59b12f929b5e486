//! Bytes read straight into the object that Python gets, without a second copy of the payload.
//!
//! The object is made, grown and shrunk by the thread that reads, and nobody else sees it until that thread is done.
#![allow(unsafe_code)]

use std::ffi::{CString, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use ottava_streams::{Source, Store};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::{PyErr, ffi};

unsafe extern "C" {
    /// Of CPython's documented interface; pyo3 does not declare it.
    fn _PyBytes_Resize(bytes: *mut *mut ffi::PyObject, size: ffi::Py_ssize_t) -> c_int;
}

/// What the bytes will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Bytes,
    /// UTF-8 text; the storage is that of an ASCII `str`, which it becomes if the bytes are ASCII.
    Text,
}

/// An object under construction.
#[derive(Debug)]
pub(super) struct Storage {
    /// Null, or the only reference to a `bytes` or an ASCII `str` of `capacity` bytes, the first `len` of them written.
    object: *mut ffi::PyObject,
    shape: Shape,
    capacity: usize,
    len: usize,
    ascii: bool,
}

// SAFETY: the object has one reference, this one, and is only touched by whoever has `&mut Storage` or owns it; calls
// that need the interpreter attach to it first.
unsafe impl Send for Storage {}

impl Drop for Storage {
    fn drop(&mut self) {
        if !self.object.is_null() {
            // At the interpreter's end there is nobody to give the object back to.
            Python::try_attach(|_| self.release());
        }
    }
}

impl Storage {
    pub(super) fn new(shape: Shape) -> Self {
        Self { object: ptr::null_mut(), shape, capacity: 0, len: 0, ascii: true }
    }

    /// Gives the object back; the interpreter must be attached.
    fn release(&mut self) {
        let object = std::mem::replace(&mut self.object, ptr::null_mut());
        self.capacity = 0;
        // SAFETY: the interpreter is attached, and the reference is ours.
        unsafe { ffi::Py_XDECREF(object) };
    }

    /// Makes the object `capacity` bytes large, keeping what it holds.
    fn resize(&mut self, py: Python<'_>, capacity: usize) -> PyResult<()> {
        let Ok(size) = ffi::Py_ssize_t::try_from(capacity) else {
            return Err(PyErr::new::<pyo3::exceptions::PyMemoryError, _>(()));
        };
        // SAFETY: the interpreter is attached. An object of no or one character may be shared by the whole
        // interpreter, so `capacity` is at least 2 wherever an object is made or grown (`grow`); the object is then
        // ours alone, which is what both calls to resize ask for. On failure both leave null or the old object behind.
        let failed = unsafe {
            match (self.shape, self.object.is_null()) {
                (Shape::Bytes, true) => {
                    self.object = ffi::PyBytes_FromStringAndSize(ptr::null(), size);
                    self.object.is_null()
                }
                (Shape::Text, true) => {
                    self.object = ffi::PyUnicode_New(size, 127);
                    self.object.is_null()
                }
                (Shape::Bytes, false) => _PyBytes_Resize(&mut self.object, size) != 0,
                (Shape::Text, false) => ffi::PyUnicode_Resize(&mut self.object, size) != 0,
            }
        };
        if failed {
            self.release();
            self.len = 0;
            return Err(PyErr::fetch(py));
        }
        self.capacity = capacity;
        Ok(())
    }

    fn grow(&mut self, least: usize) -> io::Result<()> {
        let wanted =
            self.len.checked_add(self.len.max(least).max(64)).ok_or(io::ErrorKind::OutOfMemory)?;
        let grown = Python::try_attach(|py| self.resize(py, wanted).map_err(drop));
        grown.and_then(Result::ok).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    /// Where the object keeps its bytes.
    fn data(&self) -> *mut u8 {
        // SAFETY: the object is not null (callers check `capacity`) and of the type that its shape says. Neither call
        // needs the interpreter: both only add an offset to the address.
        unsafe {
            match self.shape {
                Shape::Bytes => ffi::PyBytes_AS_STRING(self.object).cast_mut().cast(),
                Shape::Text => ffi::PyUnicode_DATA(self.object).cast(),
            }
        }
    }

    fn written(&self) -> &[u8] {
        if self.capacity == 0 {
            return &[];
        }
        // SAFETY: the first `len` bytes were written by `take`.
        unsafe { std::slice::from_raw_parts(self.data(), self.len) }
    }

    /// The `bytes` or `str`. Bytes that are no ASCII are decoded as `bytes.decode("utf-8", errors)` does.
    pub(super) fn finish<'py>(
        mut self,
        py: Python<'py>,
        errors: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        if self.shape == Shape::Text && !self.ascii {
            return self.decode(py, errors);
        }
        if self.len < 2 {
            // The smallest objects are shared by the whole interpreter and not to be made by hand.
            return match self.shape {
                Shape::Bytes => Ok(pyo3::types::PyBytes::new(py, self.written()).into_any()),
                Shape::Text => self.decode(py, errors),
            };
        }
        self.resize(py, self.len)?;
        let object = std::mem::replace(&mut self.object, ptr::null_mut());
        // SAFETY: the reference is ours and given away; the object is complete: all its bytes are written, and those
        // of a `str` are ASCII as its kind demands. Both kinds of object end with a zero that the resize has set.
        Ok(unsafe { Bound::from_owned_ptr(py, object) })
    }

    fn decode<'py>(&self, py: Python<'py>, errors: &str) -> PyResult<Bound<'py, PyAny>> {
        let errors = CString::new(errors).map_err(|err| PyValueError::new_err(err.to_string()))?;
        let bytes = self.written();
        // SAFETY: the interpreter is attached, and the bytes live until the call returns.
        unsafe {
            let text = ffi::PyUnicode_DecodeUTF8(
                bytes.as_ptr().cast(),
                bytes.len() as ffi::Py_ssize_t,
                errors.as_ptr(),
            );
            Bound::from_owned_ptr_or_err(py, text)
        }
    }
}

impl Store for Storage {
    fn take(&mut self, source: &mut Source<'_, '_>, least: usize) -> io::Result<usize> {
        if self.capacity - self.len < least {
            self.grow(least)?;
        }
        // SAFETY: the object has room for `capacity` bytes, of which those from `len` on are nobody's yet.
        let room = unsafe {
            let start = self.data().add(self.len).cast::<MaybeUninit<u8>>();
            std::slice::from_raw_parts_mut(start, self.capacity - self.len)
        };
        let filled = source.read(room)?;
        self.ascii = self.ascii && (self.shape == Shape::Bytes || filled.is_ascii());
        let n = filled.len();
        self.len += n;
        Ok(n)
    }
}
