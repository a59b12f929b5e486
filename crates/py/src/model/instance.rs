//! Instances: making, freeing, reading and filling them through their slots.

#![allow(unsafe_code)]

use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;

use super::construct;
use super::layout::{Head, Layout, Place, layout_of};
use super::object::Object;
use super::spare;

/// Turns a class whose instances can be part of no cycle into one without collector header, if nothing else of it needs one.
/// Returns whether that was possible.
///
/// # Safety
/// The class is alive, laid out by `type`, and has no instance yet.
pub(crate) unsafe fn make_plain(class: *mut ffi::PyTypeObject) -> bool {
    if cfg!(Py_GIL_DISABLED) {
        return false;
    }
    // SAFETY: the class was made by `type.__new__`; the fields that are changed are those that decide how it is allocated,
    // and they are changed together: no header, freed as an object without one.
    unsafe {
        if (*class).tp_dictoffset != 0
            || (*class).tp_weaklistoffset != 0
            || (*class).tp_itemsize != 0
            || (*class).tp_del.is_some()
            || (*class).tp_finalize.is_some()
        {
            return false;
        }
        #[cfg(not(Py_GIL_DISABLED))]
        {
            let base = (*class).tp_base;
            if ffi::PyType_IS_GC(base) != 0 {
                return false;
            }
            (*class).tp_flags &= !ffi::Py_TPFLAGS_HAVE_GC;
            (*class).tp_free = Some(ffi::PyObject_Free);
            (*class).tp_dealloc = Some(plain_dealloc);
            ffi::PyType_Modified(class);
        }
        true
    }
}

/// Gives the class the vectorcall constructor, and its metaclass the flag that lets CPython use it.
///
/// # Safety
/// The class is alive and of our metaclass.
pub(crate) unsafe fn set_constructor(class: *mut ffi::PyTypeObject) {
    // SAFETY: `type` itself keeps a class's constructor at this offset. Before 3.12 heap types do not inherit the flag, so a
    // metaclass written in Python lacks it although it has the offset.
    unsafe {
        (*class).tp_vectorcall = Some(construct::vectorcall);
        #[cfg(not(Py_GIL_DISABLED))]
        {
            let meta = ffi::Py_TYPE(class.cast());
            let parent = &raw const ffi::PyType_Type;
            (*meta).tp_vectorcall_offset = (*parent).tp_vectorcall_offset;
            let same = match ((*meta).tp_call, (*parent).tp_call) {
                (Some(ours), Some(theirs)) => ptr::fn_addr_eq(ours, theirs),
                _ => false,
            };
            if same {
                (*meta).tp_flags |= ffi::Py_TPFLAGS_HAVE_VECTORCALL;
            }
        }
    }
}

/// Frees an instance without collector header, and those that only it referred to: one after another, since a chain of them may be longer
/// than a stack.
unsafe extern "C" fn plain_dealloc(object: *mut ffi::PyObject) {
    let mut later = Later { first: ptr::null_mut(), last: ptr::null_mut() };
    let mut object = object;
    // SAFETY: CPython passes an instance that nobody refers to any more, as are those that wait.
    unsafe {
        loop {
            free_one(object, &mut later);
            if later.first.is_null() {
                return;
            }
            object = later.take();
        }
    }
}

/// Instances without collector header that nobody refers to any more, the next to be freed first. Each one's link lies where its count of
/// references is: nobody can find the instance.
struct Later {
    first: *mut ffi::PyObject,
    last: *mut ffi::PyObject,
}

impl Later {
    /// Releases a value: an instance without collector header waits if that was the last reference.
    #[inline(always)]
    unsafe fn release(&mut self, value: *mut ffi::PyObject) {
        // SAFETY: the caller gives away a reference, or null.
        unsafe {
            if value.is_null() {
                return;
            }
            if ffi::Py_REFCNT(value) == 1
                && let Some(free) = (*ffi::Py_TYPE(value)).tp_dealloc
                && ptr::fn_addr_eq(free, plain_dealloc as ffi::destructor)
            {
                self.put(value);
            } else {
                ffi::Py_DECREF(value);
            }
        }
    }

    #[inline(never)]
    unsafe fn put(&mut self, object: *mut ffi::PyObject) {
        // SAFETY: the head of an object is at least a pointer wide.
        unsafe {
            *object.cast::<*mut ffi::PyObject>() = ptr::null_mut();
            if self.first.is_null() {
                self.first = object;
            } else {
                *self.last.cast::<*mut ffi::PyObject>() = object;
            }
            self.last = object;
        }
    }

    /// The next one, of which there is one, with no references.
    unsafe fn take(&mut self) -> *mut ffi::PyObject {
        let object = self.first;
        // SAFETY: `put` has made the link; zeros are what a count of no references is.
        unsafe {
            self.first = ptr::replace(object.cast::<*mut ffi::PyObject>(), ptr::null_mut());
        }
        object
    }
}

#[inline(always)]
unsafe fn free_one(object: *mut ffi::PyObject, later: &mut Later) {
    // SAFETY: nobody refers to the instance any more. Its slots are those of its class's layout, and all that is behind its head if it has a
    // shelf; those of a subclass that CPython has cleared already are null. The class is released last, because the layout lies in it.
    unsafe {
        let class = ffi::Py_TYPE(object);
        if (*class).tp_finalize.is_some() && ffi::PyObject_CallFinalizerFromDealloc(object) < 0 {
            return;
        }
        let layout = layout_of(class);
        let kept = match layout.as_ref() {
            Some(Layout { shelf: Some(slots), .. }) => {
                let mut slot = object.cast::<Head>().add(1).cast::<*mut ffi::PyObject>();
                for _ in 0..*slots {
                    later.release(ptr::replace(slot, ptr::null_mut()));
                    slot = slot.add(1);
                }
                spare::keep(*slots, object.cast())
            }
            Some(layout) => {
                clear_slots(object, layout, later);
                false
            }
            None => false,
        };
        if !kept {
            match (*class).tp_free {
                Some(free) => free(object.cast()),
                None => ffi::PyObject_Free(object.cast()),
            }
        }
        ffi::Py_DECREF(class.cast());
    }
}

unsafe fn clear_slots(object: *mut ffi::PyObject, layout: &Layout, later: &mut Later) {
    // SAFETY: the offsets come from the class's own member descriptors. Each slot is emptied before its value is released.
    unsafe {
        for (_, place) in &layout.fields {
            if let Place::Slot(offset) = *place {
                later.release(ptr::replace(slot(object, offset), ptr::null_mut()));
            }
        }
        for (_, offset) in &layout.others {
            later.release(ptr::replace(slot(object, *offset), ptr::null_mut()));
        }
    }
}

#[inline(always)]
unsafe fn slot(object: *mut ffi::PyObject, offset: isize) -> *mut *mut ffi::PyObject {
    // SAFETY: the caller's offset is that of an object slot of the instance.
    unsafe { object.byte_offset(offset).cast() }
}

/// What a slot holds.
///
/// # Safety
/// The interpreter is attached, `object` is a live instance and `offset` that of one of its object slots.
#[inline(always)]
pub(crate) unsafe fn read_slot(object: *mut ffi::PyObject, offset: isize) -> *mut ffi::PyObject {
    // SAFETY: the caller's promise.
    unsafe { *slot(object, offset) }
}

/// Fills a slot. What was in it is released after the new value is in place.
///
/// # Safety
/// As [`read_slot`].
#[inline(always)]
pub(crate) unsafe fn write_slot(object: *mut ffi::PyObject, offset: isize, value: Object) {
    // SAFETY: as `read_slot`; the slot owns its value.
    unsafe {
        let old = ptr::replace(slot(object, offset), value.into_ptr());
        if !old.is_null() {
            ffi::Py_DECREF(old);
        }
    }
}

/// Makes an instance with empty slots; `None` with `MemoryError` set.
///
/// # Safety
/// The interpreter is attached and `class` is a live class with this layout.
#[inline(always)]
pub(crate) unsafe fn allocate(class: *mut ffi::PyTypeObject, layout: &Layout) -> Option<Object> {
    // SAFETY: for a plain class this does what `PyType_GenericAlloc` would: memory of the basic size, zeroed behind the object's
    // head, a reference to the class. Other classes use their own allocation.
    unsafe {
        if let Some(slots) = layout.shelf
            && let Some(head) = spare::take(slots)
        {
            (*head).given = 0;
            return Object::owned(ffi::PyObject_Init(head.cast(), class));
        }
        if layout.plain {
            let size = (*class).tp_basicsize as usize;
            let memory = ffi::PyObject_Malloc(size);
            if memory.is_null() {
                ffi::PyErr_NoMemory();
                return None;
            }
            let head = size_of::<ffi::PyObject>();
            ptr::write_bytes(memory.cast::<u8>().add(head), 0, size - head);
            return Object::owned(ffi::PyObject_Init(memory.cast(), class));
        }
        let allocate = (*class).tp_alloc.unwrap_or(ffi::PyType_GenericAlloc);
        Object::owned(allocate(class, 0))
    }
}

/// The value of a field; `None` if it is not set.
///
/// # Safety
/// The interpreter is attached and `object` is a live instance of a class with this layout.
pub(crate) unsafe fn field(
    object: *mut ffi::PyObject,
    layout: &Layout,
    index: usize,
) -> Option<Object> {
    let (name, place) = &layout.fields[index];
    // SAFETY: the caller's promise; a new reference is taken before anything else can run.
    unsafe {
        match *place {
            Place::Slot(offset) => {
                let value = read_slot(object, offset);
                (!value.is_null()).then(|| Object::borrowed(value))
            }
            Place::Dict => {
                let dict = Object::owned(ffi::PyObject_GenericGetDict(object, ptr::null_mut()))?;
                let value = ffi::PyDict_GetItemWithError(dict.as_ptr(), name.as_ptr());
                (!value.is_null()).then(|| Object::borrowed(value))
            }
        }
    }
}

/// Sets a field without checking the value.
///
/// # Errors
/// Whatever setting a key of the instance's dictionary raises.
///
/// # Safety
/// As [`field`].
pub(crate) unsafe fn set_field(
    object: *mut ffi::PyObject,
    layout: &Layout,
    index: usize,
    value: Object,
) -> PyResult<()> {
    let (name, place) = &layout.fields[index];
    // SAFETY: the caller's promise.
    unsafe {
        match *place {
            Place::Slot(offset) => {
                write_slot(object, offset, value);
                Ok(())
            }
            Place::Dict => {
                let py = Python::assume_attached();
                let dict = Object::owned(ffi::PyObject_GenericGetDict(object, ptr::null_mut()))
                    .ok_or_else(|| PyErr::fetch(py))?;
                if ffi::PyDict_SetItem(dict.as_ptr(), name.as_ptr(), value.as_ptr()) < 0 {
                    return Err(PyErr::fetch(py));
                }
                Ok(())
            }
        }
    }
}

/// Whether field `index` was given when the instance was made.
///
/// # Safety
/// As [`field`].
pub(crate) unsafe fn is_given(object: *mut ffi::PyObject, layout: &Layout, index: usize) -> bool {
    // SAFETY: the caller's promise; the bytes of the hidden slot are only ever written by `set_given`.
    unsafe {
        match layout.given {
            None => (*object.cast::<Head>()).given & (1 << index) != 0,
            Some(offset) => {
                let bits = read_slot(object, offset);
                if bits.is_null() || ffi::PyBytes_CheckExact(bits) == 0 {
                    return false;
                }
                if ffi::PyBytes_Size(bits) as usize <= index / 8 {
                    return false;
                }
                *ffi::PyBytes_AsString(bits).cast::<u8>().add(index / 8) & (1 << (index % 8)) != 0
            }
        }
    }
}

/// Records which fields were given.
///
/// # Safety
/// As [`field`].
pub(crate) unsafe fn set_given(
    object: *mut ffi::PyObject,
    layout: &Layout,
    given: impl Fn(usize) -> bool,
) {
    let count = layout.fields.len();
    // SAFETY: the caller's promise.
    unsafe {
        match layout.given {
            None => {
                let bits = (0..count).filter(|i| given(*i)).fold(0_u64, |bits, i| bits | 1 << i);
                (*object.cast::<Head>()).given = bits;
            }
            Some(offset) => {
                let mut bytes = vec![0_u8; count.div_ceil(8)];
                for index in (0..count).filter(|i| given(*i)) {
                    bytes[index / 8] |= 1 << (index % 8);
                }
                let made =
                    ffi::PyBytes_FromStringAndSize(bytes.as_ptr().cast(), bytes.len() as isize);
                if let Some(made) = Object::owned(made) {
                    write_slot(object, offset, made);
                }
            }
        }
    }
}
