//! Python objects out of plain parts.

#![allow(unsafe_code)]

use std::ptr;
use std::str::FromStr;

use num_bigint::BigInt;
use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use ottava_core::schema::{Date, DateTime, Duration, Time};
use ottava_validate::{Checked, Stop};

use super::names;
use super::object::Object;
use super::strings;

/// A made object, or an abort with the exception that CPython has set.
#[inline(always)]
pub(crate) unsafe fn made(pointer: *mut ffi::PyObject) -> Checked<Object> {
    // SAFETY: the caller passes a new reference, or null with an exception set.
    unsafe { Object::owned(pointer) }.ok_or(Stop::Abort)
}

pub(crate) fn bool(value: bool) -> Object {
    // SAFETY: both truth values live forever.
    unsafe { Object::borrowed(if value { ffi::Py_True() } else { ffi::Py_False() }) }
}

#[inline]
pub(crate) fn int(value: i64) -> Checked<Object> {
    // SAFETY: the interpreter is attached wherever objects are made, here and below.
    unsafe { made(ffi::PyLong_FromLongLong(value)) }
}

#[inline]
pub(crate) fn float(value: f64) -> Checked<Object> {
    // SAFETY: see `int`.
    unsafe { made(ffi::PyFloat_FromDouble(value)) }
}

/// Text; short text is likely to be an object that is there already.
#[inline(always)]
pub(crate) fn str(value: &str) -> Checked<Object> {
    if value.len() <= strings::LONGEST { strings::short(value) } else { fresh_str(value) }
}

/// A string of its own.
#[inline(never)]
pub(crate) fn fresh_str(value: &str) -> Checked<Object> {
    // SAFETY: an ASCII string of this length has room for exactly these bytes.
    unsafe {
        if !value.is_ascii() || value.len() < 2 {
            return made(ffi::PyUnicode_FromStringAndSize(
                value.as_ptr().cast(),
                value.len() as isize,
            ));
        }
        let object = made(ffi::PyUnicode_New(value.len() as isize, 127))?;
        let room = ffi::PyUnicode_1BYTE_DATA(object.as_ptr());
        ptr::copy_nonoverlapping(value.as_ptr(), room, value.len());
        Ok(object)
    }
}

pub(crate) fn bytes(value: &[u8]) -> Checked<Object> {
    // SAFETY: see `int`.
    unsafe { made(ffi::PyBytes_FromStringAndSize(value.as_ptr().cast(), value.len() as isize)) }
}

/// An integer from decimal digits.
pub(crate) fn big_int(py: Python<'_>, digits: &str) -> PyResult<Object> {
    /// What CPython reads in decimal whatever its limit is set to.
    const SHORT: usize = 640;
    let (text, base) = match BigInt::from_str(digits) {
        Ok(int) if digits.len() > SHORT => (int.to_str_radix(16), 16),
        _ => (digits.to_owned(), 10),
    };
    let text = std::ffi::CString::new(text)?;
    // SAFETY: the text ends with a null byte.
    let made = unsafe { ffi::PyLong_FromString(text.as_ptr(), ptr::null_mut(), base) };
    // SAFETY: the result is a new reference, or null with an exception set.
    unsafe { Object::owned(made) }.ok_or_else(|| PyErr::fetch(py))
}

/// `None`, or a `datetime.timezone`.
fn zone(offset: Option<i32>) -> Checked<Object> {
    match offset {
        None => Ok(Object::none()),
        // SAFETY: the datetime API was imported when the module was made.
        Some(0) => Ok(unsafe { Object::borrowed(ffi::PyDateTime_TimeZone_UTC()) }),
        // SAFETY: as above.
        Some(seconds) => unsafe {
            let delta = made(ffi::PyDelta_FromDSU(0, seconds, 0))?;
            made(ffi::PyTimeZone_FromOffset(delta.as_ptr()))
        },
    }
}

pub(crate) fn datetime(value: DateTime) -> Checked<Object> {
    let DateTime { date, time } = value;
    let zone = zone(time.offset)?;
    // SAFETY: the datetime API was imported when the module was made; its constructor checks the ranges.
    unsafe {
        let api = &*ffi::PyDateTimeAPI();
        made((api.DateTime_FromDateAndTime)(
            date.year.into(),
            date.month.into(),
            date.day.into(),
            time.hour.into(),
            time.minute.into(),
            time.second.into(),
            time.micros as i32,
            zone.as_ptr(),
            api.DateTimeType,
        ))
    }
}

pub(crate) fn date(value: Date) -> Checked<Object> {
    // SAFETY: see `datetime`.
    unsafe { made(ffi::PyDate_FromDate(value.year.into(), value.month.into(), value.day.into())) }
}

pub(crate) fn time(value: Time) -> Checked<Object> {
    let zone = zone(value.offset)?;
    // SAFETY: see `datetime`.
    unsafe {
        let api = &*ffi::PyDateTimeAPI();
        made((api.Time_FromTime)(
            value.hour.into(),
            value.minute.into(),
            value.second.into(),
            value.micros as i32,
            zone.as_ptr(),
            api.TimeType,
        ))
    }
}

pub(crate) fn duration(py: Python<'_>, value: Duration) -> PyResult<Object> {
    const DAY: i128 = 86_400_000_000;
    let days = i32::try_from(value.micros.div_euclid(DAY))
        .map_err(|_| PyValueError::new_err("a timedelta has at most 999999999 days"))?;
    let rest = value.micros.rem_euclid(DAY);
    let (seconds, micros) = ((rest / 1_000_000) as i32, (rest % 1_000_000) as i32);
    // SAFETY: see `datetime`.
    let made = unsafe { ffi::PyDelta_FromDSU(days, seconds, micros) };
    // SAFETY: the result is a new reference, or null with an exception set.
    unsafe { Object::owned(made) }.ok_or_else(|| PyErr::fetch(py))
}

pub(crate) fn uuid(py: Python<'_>, value: u128) -> PyResult<Object> {
    let keywords = PyDict::new(py);
    keywords.set_item(intern!(py, "int"), value)?;
    Ok(names::uuid(py)?.call((), Some(&keywords))?.into())
}

/// Makes CPython's datetime functions usable.
pub(crate) fn import_datetime(py: Python<'_>) -> PyResult<()> {
    // The macro would turn what a signal handler raises during the import into an `ImportError`.
    py.import("datetime")?;
    // SAFETY: the interpreter is attached.
    unsafe {
        ffi::PyDateTime_IMPORT();
        if ffi::PyDateTimeAPI().is_null() {
            return Err(PyErr::fetch(py));
        }
    }
    Ok(())
}
