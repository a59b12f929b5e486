//! An owned reference to a Python object, as thin as a pointer, for code that runs with the interpreter attached.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use pyo3::ffi;
use pyo3::prelude::*;

use ottava_validate::HostValue;

/// An owned reference. Not `Send`: it is only made and dropped where the interpreter is attached.
#[derive(Debug)]
pub(crate) struct Object {
    pointer: NonNull<ffi::PyObject>,
    not_send: PhantomData<*mut ()>,
}

impl Object {
    /// Takes over a reference; `None` for null, which means that an exception is set.
    ///
    /// # Safety
    /// The interpreter is attached, and `pointer` is null or a reference that the caller gives away.
    #[inline(always)]
    pub(crate) unsafe fn owned(pointer: *mut ffi::PyObject) -> Option<Self> {
        NonNull::new(pointer).map(|pointer| Self { pointer, not_send: PhantomData })
    }

    /// A new reference to a live object.
    ///
    /// # Safety
    /// The interpreter is attached, and `pointer` is a live object.
    #[inline(always)]
    pub(crate) unsafe fn borrowed(pointer: *mut ffi::PyObject) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            ffi::Py_INCREF(pointer);
            Self { pointer: NonNull::new_unchecked(pointer), not_send: PhantomData }
        }
    }

    #[inline(always)]
    pub(crate) fn none() -> Self {
        // SAFETY: an `Object` is only made where the interpreter is attached; `None` lives forever.
        unsafe { Self::borrowed(ffi::Py_None()) }
    }

    #[inline(always)]
    pub(crate) fn as_ptr(&self) -> *mut ffi::PyObject {
        self.pointer.as_ptr()
    }

    /// Gives the reference away.
    #[inline(always)]
    pub(crate) fn into_ptr(self) -> *mut ffi::PyObject {
        ManuallyDrop::new(self).pointer.as_ptr()
    }

    #[inline]
    pub(crate) fn bind<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        // SAFETY: the object is alive while `self` is.
        unsafe { Bound::from_borrowed_ptr(py, self.as_ptr()) }
    }

    #[inline]
    pub(crate) fn into_bound(self, py: Python<'_>) -> Bound<'_, PyAny> {
        // SAFETY: the reference is handed over.
        unsafe { Bound::from_owned_ptr(py, self.into_ptr()) }
    }

    #[inline]
    pub(crate) fn host(&self) -> HostValue {
        HostValue::new(self.pointer.cast())
    }
}

impl Clone for Object {
    #[inline(always)]
    fn clone(&self) -> Self {
        // SAFETY: `self` keeps the object alive, and the interpreter is attached.
        unsafe { Self::borrowed(self.as_ptr()) }
    }
}

impl Drop for Object {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: the reference is ours, and the interpreter is attached.
        unsafe { ffi::Py_DECREF(self.pointer.as_ptr()) }
    }
}

impl<'py> From<Bound<'py, PyAny>> for Object {
    fn from(bound: Bound<'py, PyAny>) -> Self {
        // SAFETY: a bound object is never null, and its reference is handed over.
        unsafe { Self { pointer: NonNull::new_unchecked(bound.into_ptr()), not_send: PhantomData } }
    }
}
