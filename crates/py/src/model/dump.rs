//! Instances to plain data, for classes whose dumps need no code: to dictionaries, and to JSON text.
//!
//! What is not known here is left to `ottava._dump`, which does everything and is the oracle of this path.

#![allow(unsafe_code)]

use std::ptr;

use pyo3::ffi;

use super::input::text_of;
use super::instance;
use super::layout::{Declared, Layout, Place, is_model_type, layout_of};
use super::object::Object;

/// Deepest nesting; deeper values are left to the general way, which raises `RecursionError` where Python does.
const DEPTH: usize = 128;

/// The layout of a model instance whose dump needs no code and is that of a declared class.
#[inline]
unsafe fn plain_layout<'a>(object: *mut ffi::PyObject, declared: &Declared) -> Option<&'a Layout> {
    // SAFETY: the object is alive, and its class keeps the layout.
    unsafe {
        let class = ffi::Py_TYPE(object);
        if !is_model_type(class) || !declared.has(class) {
            return None;
        }
        layout_of(class).as_ref().filter(|layout| layout.dumps_plainly)
    }
}

/// The dump of a value, or `None` if the general way has to make it. No exception is set.
///
/// # Safety
/// The interpreter is attached and `value` is alive.
pub(crate) unsafe fn to_python(
    value: *mut ffi::PyObject,
    declared: &Declared,
    depth: usize,
) -> Option<Object> {
    // SAFETY: the caller's promise; containers are held while they are read, and items are taken before other code can run.
    unsafe {
        let class = ffi::Py_TYPE(value);
        if is_atom(class) || value == ffi::Py_None() {
            return Some(Object::borrowed(value));
        }
        if depth >= DEPTH {
            return None;
        }
        if let Some(layout) = plain_layout(value, declared) {
            let dict = made(ffi::PyDict_New())?;
            for ((name, place), declared) in layout.fields.iter().zip(&layout.declared) {
                let Place::Slot(offset) = *place else { return None };
                let held = instance::read_slot(value, offset);
                if held.is_null() {
                    return None;
                }
                let held = Object::borrowed(held);
                let item = to_python(held.as_ptr(), declared, depth + 1)?;
                if ffi::PyDict_SetItem(dict.as_ptr(), name.as_ptr(), item.as_ptr()) < 0 {
                    ffi::PyErr_Clear();
                    return None;
                }
            }
            return Some(dict);
        }
        if class == &raw mut ffi::PyList_Type {
            let count = ffi::PyList_GET_SIZE(value);
            let list = made(ffi::PyList_New(count))?;
            // Nobody may find it among the objects of the collector while it has empty places.
            ffi::PyObject_GC_UnTrack(list.as_ptr().cast());
            for index in 0..count {
                if index >= ffi::PyList_GET_SIZE(value) {
                    return None;
                }
                let held = Object::borrowed(ffi::PyList_GET_ITEM(value, index));
                let item = to_python(held.as_ptr(), declared, depth + 1)?;
                ffi::PyList_SET_ITEM(list.as_ptr(), index, item.into_ptr());
            }
            ffi::PyObject_GC_Track(list.as_ptr().cast());
            return Some(list);
        }
        if class == &raw mut ffi::PyDict_Type {
            let dict = made(ffi::PyDict_New())?;
            let mut position = 0;
            let (mut key, mut item) = (ptr::null_mut(), ptr::null_mut());
            while ffi::PyDict_Next(value, &raw mut position, &raw mut key, &raw mut item) != 0 {
                let (key, item) = (Object::borrowed(key), Object::borrowed(item));
                if ffi::PyUnicode_CheckExact(key.as_ptr()) == 0
                    && ffi::PyLong_CheckExact(key.as_ptr()) == 0
                {
                    return None;
                }
                let item = to_python(item.as_ptr(), declared, depth + 1)?;
                if ffi::PyDict_SetItem(dict.as_ptr(), key.as_ptr(), item.as_ptr()) < 0 {
                    ffi::PyErr_Clear();
                    return None;
                }
            }
            return Some(dict);
        }
        if is_in_time(value) {
            return Some(Object::borrowed(value));
        }
        None
    }
}

/// Exact types of the standard library that stay what they are.
unsafe fn is_atom(class: *mut ffi::PyTypeObject) -> bool {
    class == &raw mut ffi::PyUnicode_Type
        || class == &raw mut ffi::PyLong_Type
        || class == &raw mut ffi::PyFloat_Type
        || class == &raw mut ffi::PyBool_Type
        || class == &raw mut ffi::PyBytes_Type
}

unsafe fn is_in_time(value: *mut ffi::PyObject) -> bool {
    // SAFETY: the datetime API was imported when the module was made.
    unsafe {
        ffi::PyDateTime_CheckExact(value) != 0
            || ffi::PyDate_CheckExact(value) != 0
            || ffi::PyTime_CheckExact(value) != 0
            || ffi::PyDelta_CheckExact(value) != 0
    }
}

/// Appends the JSON text of a value. `None` if the general way has to make it; what was appended is then of no use.
///
/// # Safety
/// As [`to_python`].
pub(crate) unsafe fn to_json(
    value: *mut ffi::PyObject,
    declared: &Declared,
    text: &mut Vec<u8>,
    depth: usize,
) -> Option<()> {
    // SAFETY: as `to_python`.
    unsafe {
        let class = ffi::Py_TYPE(value);
        if class == &raw mut ffi::PyUnicode_Type {
            write_text(text_of(value)?, text);
        } else if class == &raw mut ffi::PyLong_Type {
            let mut overflow = 0;
            let int = ffi::PyLong_AsLongLongAndOverflow(value, &raw mut overflow);
            if overflow != 0 {
                return None;
            }
            text.extend_from_slice(itoa::Buffer::new().format(int).as_bytes());
        } else if value == ffi::Py_None() {
            text.extend_from_slice(b"null");
        } else if class == &raw mut ffi::PyBool_Type {
            text.extend_from_slice(if value == ffi::Py_True() { b"true" } else { b"false" });
        } else if class == &raw mut ffi::PyFloat_Type {
            write_float(ffi::PyFloat_AS_DOUBLE(value), text)?;
        } else if depth >= DEPTH {
            return None;
        } else if let Some(layout) = plain_layout(value, declared) {
            text.push(b'{');
            for (index, (_, place)) in layout.fields.iter().enumerate() {
                let Place::Slot(offset) = *place else { return None };
                if index > 0 {
                    text.push(b',');
                }
                text.extend_from_slice(&layout.json_keys[index]);
                let held = instance::read_slot(value, offset);
                if held.is_null() {
                    return None;
                }
                to_json(Object::borrowed(held).as_ptr(), &layout.declared[index], text, depth + 1)?;
            }
            text.push(b'}');
        } else if class == &raw mut ffi::PyList_Type {
            text.push(b'[');
            let mut index = 0;
            while index < ffi::PyList_GET_SIZE(value) {
                if index > 0 {
                    text.push(b',');
                }
                to_json(
                    Object::borrowed(ffi::PyList_GET_ITEM(value, index)).as_ptr(),
                    declared,
                    text,
                    depth + 1,
                )?;
                index += 1;
            }
            text.push(b']');
        } else if class == &raw mut ffi::PyDict_Type {
            text.push(b'{');
            let mut position = 0;
            let mut first = true;
            let (mut key, mut item) = (ptr::null_mut(), ptr::null_mut());
            while ffi::PyDict_Next(value, &raw mut position, &raw mut key, &raw mut item) != 0 {
                if ffi::PyUnicode_CheckExact(key) == 0 {
                    return None;
                }
                if !std::mem::take(&mut first) {
                    text.push(b',');
                }
                let item = Object::borrowed(item);
                write_text(text_of(key)?, text);
                text.push(b':');
                to_json(item.as_ptr(), declared, text, depth + 1)?;
            }
            text.push(b'}');
        } else if ffi::PyDateTime_CheckExact(value) != 0 {
            write_datetime(value, text)?;
        } else if ffi::PyDate_CheckExact(value) != 0 {
            text.push(b'"');
            write_date(value, text);
            text.push(b'"');
        } else {
            return None;
        }
        Some(())
    }
}

/// A float as Python's `repr` writes it; `null` if it is none that JSON has.
unsafe fn write_float(value: f64, text: &mut Vec<u8>) -> Option<()> {
    if !value.is_finite() {
        text.extend_from_slice(b"null");
        return Some(());
    }
    // SAFETY: the result is a C string of its own, freed below.
    unsafe {
        let made = ffi::PyOS_double_to_string(
            value,
            b'r' as _,
            0,
            ffi::Py_DTSF_ADD_DOT_0,
            ptr::null_mut(),
        );
        if made.is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        text.extend_from_slice(std::ffi::CStr::from_ptr(made).to_bytes());
        ffi::PyMem_Free(made.cast());
    }
    Some(())
}

fn two(number: u8, text: &mut Vec<u8>) {
    text.extend_from_slice(&[b'0' + number / 10 % 10, b'0' + number % 10]);
}

unsafe fn write_date(value: *mut ffi::PyObject, text: &mut Vec<u8>) {
    // SAFETY: the caller has checked that the object is a date.
    let (year, month, day) = unsafe {
        (
            ffi::PyDateTime_GET_YEAR(value),
            ffi::PyDateTime_GET_MONTH(value),
            ffi::PyDateTime_GET_DAY(value),
        )
    };
    two((year / 100) as u8, text);
    two((year % 100) as u8, text);
    text.push(b'-');
    two(month as u8, text);
    text.push(b'-');
    two(day as u8, text);
}

/// A naive date and time, or one in `datetime.timezone.utc`.
unsafe fn write_datetime(value: *mut ffi::PyObject, text: &mut Vec<u8>) -> Option<()> {
    // SAFETY: the caller has checked that the object is a date and time.
    unsafe {
        let zone = ffi::PyDateTime_DATE_GET_TZINFO(value);
        let utc = zone == ffi::PyDateTime_TimeZone_UTC();
        if !utc && zone != ffi::Py_None() {
            return None;
        }
        text.push(b'"');
        write_date(value, text);
        text.push(b'T');
        two(ffi::PyDateTime_DATE_GET_HOUR(value) as u8, text);
        text.push(b':');
        two(ffi::PyDateTime_DATE_GET_MINUTE(value) as u8, text);
        text.push(b':');
        two(ffi::PyDateTime_DATE_GET_SECOND(value) as u8, text);
        let micros = ffi::PyDateTime_DATE_GET_MICROSECOND(value);
        if micros != 0 {
            text.push(b'.');
            for part in [micros / 10_000, micros / 100 % 100, micros % 100] {
                two(part as u8, text);
            }
        }
        if utc {
            text.push(b'Z');
        }
        text.push(b'"');
    }
    Some(())
}

/// Whether a byte of a string needs an escape in JSON, as Python's `json.dumps(ensure_ascii=False)` writes it.
static ESCAPED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table
};

pub(crate) fn write_text(value: &str, text: &mut Vec<u8>) {
    text.reserve(value.len() + 2);
    text.push(b'"');
    let bytes = value.as_bytes();
    let mut start = 0;
    for (index, byte) in bytes.iter().enumerate() {
        if !ESCAPED[usize::from(*byte)] {
            continue;
        }
        text.extend_from_slice(&bytes[start..index]);
        start = index + 1;
        match byte {
            b'"' => text.extend_from_slice(b"\\\""),
            b'\\' => text.extend_from_slice(b"\\\\"),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\r' => text.extend_from_slice(b"\\r"),
            b'\t' => text.extend_from_slice(b"\\t"),
            0x08 => text.extend_from_slice(b"\\b"),
            0x0c => text.extend_from_slice(b"\\f"),
            other => {
                let hex = b"0123456789abcdef";
                text.extend_from_slice(b"\\u00");
                text.push(hex[usize::from(other >> 4)]);
                text.push(hex[usize::from(other & 15)]);
            }
        }
    }
    text.extend_from_slice(&bytes[start..]);
    text.push(b'"');
}

unsafe fn made(pointer: *mut ffi::PyObject) -> Option<Object> {
    // SAFETY: the caller passes a new reference, or null with an exception set.
    unsafe {
        let object = Object::owned(pointer);
        if object.is_none() {
            ffi::PyErr_Clear();
        }
        object
    }
}
