//! Attributes that lie in slots, of any class: read where they are, without a look-up by name.

#![allow(unsafe_code)]

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

use super::instance;
use super::layout;

/// Where the instances of one class have their attributes.
pub(crate) struct Slots {
    class: Py<PyType>,
    offsets: Vec<Option<isize>>,
}

impl Slots {
    /// Looks for these attributes. A class that has its own way to get attributes has no slots here.
    pub(crate) fn of(class: &Bound<'_, PyType>, names: &[Bound<'_, PyString>]) -> PyResult<Self> {
        // SAFETY: the class is alive.
        let generic = unsafe { (*class.as_type_ptr()).tp_getattro }.is_some_and(|get| {
            std::ptr::fn_addr_eq(get, ffi::PyObject_GenericGetAttr as ffi::getattrofunc)
        });
        // Without the lock a slot may change between reading it and holding on to what was in it.
        let readable = generic && !cfg!(Py_GIL_DISABLED);
        let offset = |name| if readable { layout::slot_offset(class, name) } else { Ok(None) };
        let offsets = names.iter().map(offset).collect::<PyResult<_>>()?;
        Ok(Self { class: class.clone().unbind(), offsets })
    }

    /// What attribute `at` of an instance of the class is; the inner `None` where it is not set, the outer where it must be asked for.
    #[inline]
    #[allow(clippy::option_option)]
    pub(crate) fn get<'py>(
        &self,
        object: &Bound<'py, PyAny>,
        at: usize,
    ) -> Option<Option<Bound<'py, PyAny>>> {
        let offset = (*self.offsets.get(at)?)?;
        if object.get_type_ptr().cast() != self.class.as_ptr() {
            return None;
        }
        // SAFETY: the object is of the class, whose member descriptor says that an object is at this offset, or null.
        unsafe {
            let value = instance::read_slot(object.as_ptr(), offset);
            Some(Bound::from_borrowed_ptr_or_opt(object.py(), value))
        }
    }
}
