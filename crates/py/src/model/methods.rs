//! Methods of instances that are worth being native: dumps, comparison, checked assignment.

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ffi::{CStr, c_int};
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;

use super::construct::guarded;
use super::dump;
use super::fast::Rules;
use super::instance;
use super::layout::{Declared, Head, Place, layout_of, plan_of};
use super::object::Object;
use super::state;

/// `self.model_dump()`: natively without arguments, if the class allows it.
pub(crate) unsafe extern "C" fn model_dump(
    object: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython passes a live instance and arguments as its protocol says.
    unsafe {
        if count == 0
            && names.is_null()
            && is_plain(object)
            && let Some(made) = dump::to_python(object, &Declared::Anything, 0)
        {
            return made.into_ptr();
        }
        call_method(c"_ottava_dump", object, args, count, names)
    }
}

thread_local! {
    /// Room for JSON text, kept between calls.
    static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Most bytes of room that are kept.
const KEPT: usize = 1 << 20;

/// `self.model_dump_json()`: as [`model_dump`].
pub(crate) unsafe extern "C" fn model_dump_json(
    object: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as `model_dump`.
    unsafe {
        if count == 0 && names.is_null() && is_plain(object) {
            // Taken out, because freeing an object on the way may run code that dumps another.
            let mut text = TEXT.take();
            text.clear();
            let made = dump::to_json(object, &Declared::Anything, &mut text, 0)
                .and_then(|()| super::make::str(std::str::from_utf8_unchecked(&text)).ok());
            if text.capacity() <= KEPT {
                TEXT.replace(text);
            }
            if let Some(made) = made {
                return made.into_ptr();
            }
            ffi::PyErr_Clear();
        }
        call_method(c"_ottava_dump_json", object, args, count, names)
    }
}

unsafe fn is_plain(object: *mut ffi::PyObject) -> bool {
    // SAFETY: the object is alive.
    unsafe {
        let class = ffi::Py_TYPE(object);
        super::layout::is_model_type(class)
            && layout_of(class).as_ref().is_some_and(|layout| layout.dumps_plainly)
    }
}

/// Calls a method written in Python with the same arguments.
#[cold]
unsafe fn call_method(
    name: &CStr,
    object: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guarded(ptr::null_mut(), |py| {
        // SAFETY: the caller's arguments are alive for the whole call.
        unsafe {
            let function = ffi::PyObject_GetAttrString(object, name.as_ptr());
            let function = Bound::from_owned_ptr_or_err(py, function)?;
            let made = ffi::PyObject_Vectorcall(function.as_ptr(), args, count as usize, names);
            if made.is_null() { Err(PyErr::fetch(py)) } else { Ok(made) }
        }
    })
}

/// `==` and `!=`: equal are instances of one class, or of one generic class whatever its arguments, with equal fields.
pub(crate) unsafe extern "C" fn compare(
    a: *mut ffi::PyObject,
    b: *mut ffi::PyObject,
    operation: c_int,
) -> *mut ffi::PyObject {
    guarded(ptr::null_mut(), |py| {
        // SAFETY: CPython passes live objects.
        unsafe {
            let (one, other) = (Bound::from_borrowed_ptr(py, a), Bound::from_borrowed_ptr(py, b));
            if !matches!(operation, ffi::Py_EQ | ffi::Py_NE) || !state::comparable(&one, &other)? {
                return Ok(py.NotImplemented().into_ptr());
            }
            let same = a == b || state::same(&one, &other)?;
            Ok(super::make::bool(same == (operation == ffi::Py_EQ)).into_ptr())
        }
    })
}

/// `object.__setattr__(name, value)` of a class that checks assignments: natively if the value fits as it is.
pub(crate) unsafe extern "C" fn set_checked(
    object: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython passes a live instance that has this method, and arguments as its protocol says.
    unsafe {
        let class = ffi::Py_TYPE(object);
        if count == 2
            && names.is_null()
            && super::layout::is_model_type(class)
            && let (name, value) = (*args, *args.add(1))
            && let Some(layout) = layout_of(class).as_ref()
            && layout.checks_all
            && let Some(plan) = plan_of(class).as_ref()
            && let Some(fast) = &plan.fast
            && let Some(index) = layout.fields.iter().position(|(known, _)| known.as_ptr() == name)
            && let Place::Slot(offset) = layout.fields[index].1
            && let Some(taken) = fast.take_field(Rules::lax(&plan.schema), index, value)
        {
            instance::write_slot(object, offset, taken);
            (*object.cast::<Head>()).given |= 1 << index;
            return Object::none().into_ptr();
        }
        if !ffi::PyErr_Occurred().is_null() {
            return ptr::null_mut(); // a signal came in meanwhile
        }
        call_method(c"_ottava_set_slowly", object, args, count, names)
    }
}
