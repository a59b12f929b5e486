//! Python objects as a source of values for the engine.
//!
//! Objects are read defensively: every reference taken out of a container is owned before any other code can run, so an object
//! whose methods change the container that is being read costs nothing but its own value.

#![allow(unsafe_code)]

use std::ptr;

use num_bigint::BigInt;
use pyo3::exceptions::{PyAttributeError, PyException, PyRecursionError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyDict, PyList, PyMapping, PyString};

use ottava_core::schema::{Date, DateTime, Duration, Time};
use ottava_validate::{
    Checked, Collection, Echo, Entry, EnumPlan, Found, HostValue, Input, Loc, RecordPlan, Stop,
};

use crate::gate;

use super::hosts::Hosts;
use super::kinds::{collection_of, float_of, has_attributes, int_of, iterates_as_collection};
use super::layout;
use super::names;
use super::object::Object;
use super::results::{dumped, found, is_of_another, key_step, opened};
use super::session::Session;
use super::state;

/// Leaves an exception for the caller of the run and stops it.
#[cold]
pub(crate) fn abort<T>(py: Python<'_>, error: PyErr) -> Checked<T> {
    error.restore(py);
    Err(Stop::Abort)
}

/// `Ok`, or an abort with the exception left for the caller of the run.
#[inline]
pub(crate) fn or_abort<T>(py: Python<'_>, result: PyResult<T>) -> Checked<T> {
    match result {
        Ok(value) => Ok(value),
        Err(error) => abort(py, error),
    }
}

/// Reads Python objects.
pub(crate) struct PyInput<'s, 'py> {
    py: Python<'py>,
    session: &'s Session,
    hosts: &'s Hosts,
    /// Text of what was read last, where Python has it in another form.
    text: String,
    /// A copy of the bytes that were read last, where Python may change them.
    bytes: Vec<u8>,
    from_attributes: Option<bool>,
    /// Instances of models are read as maps of their fields.
    opens_models: bool,
    /// An iterator has raised the exception that is set.
    failed: bool,
}

impl<'s, 'py> PyInput<'s, 'py> {
    pub(crate) fn new(py: Python<'py>, session: &'s Session, hosts: &'s Hosts) -> Self {
        let (text, bytes) = (String::new(), Vec::new());
        Self {
            py,
            session,
            hosts,
            text,
            bytes,
            from_attributes: None,
            opens_models: false,
            failed: false,
        }
    }

    /// Reads what was validated before: every record by its fields, other objects in the form that JSON has for them.
    pub(crate) fn reading_results(mut self) -> Self {
        (self.from_attributes, self.opens_models) = (Some(true), true);
        self
    }

    /// Overrides what the records say about reading attributes.
    pub(crate) fn reading_attributes(mut self, from_attributes: Option<bool>) -> Self {
        self.from_attributes = from_attributes;
        self
    }
}

/// A sequence that is being read.
pub(crate) enum Seq {
    /// A list or a tuple, read by index: it may shrink or grow meanwhile.
    Indexed(Object, isize),
    /// A set, through its iterator.
    Iterator(Object),
    /// Anything else, through its iterator, which may not end; and how many items it has given.
    Stream(Object, usize),
}

/// Items of a stream between two looks at signals.
const ITEMS: usize = 4096;

/// A map that is being read.
pub(crate) enum Map {
    /// A dictionary, with the position of the next entry and the current key and value.
    Dict { dict: Object, position: isize, key: Option<Object>, value: Option<Object> },
    /// The entries of a mapping that is no dictionary, copied.
    Entries {
        entries: std::vec::IntoIter<(Object, Object)>,
        key: Option<Object>,
        value: Option<Object>,
    },
    /// An object whose attributes are fields: the next field.
    Attributes { object: Object, field: usize },
}

impl Input for PyInput<'_, '_> {
    type Value = Object;
    type Seq = Seq;
    type Map = Map;

    fn get<'a>(&'a mut self, value: &'a Object) -> Checked<Found<'a>> {
        let pointer = value.as_ptr();
        // SAFETY: the interpreter is attached while an input exists, and `value` keeps the object alive.
        unsafe {
            if pointer == ffi::Py_None() {
                return Ok(Found::Null);
            }
            if ffi::PyUnicode_Check(pointer) != 0 {
                return Ok(text_of(pointer).map_or(Found::Other, Found::Str));
            }
            if ffi::PyBool_Check(pointer) != 0 {
                return Ok(Found::Bool(pointer == ffi::Py_True()));
            }
            if ffi::PyLong_Check(pointer) != 0 {
                return self.integer(value);
            }
            if ffi::PyFloat_Check(pointer) != 0 {
                return Ok(Found::Float(ffi::PyFloat_AS_DOUBLE(pointer)));
            }
            if ffi::PyBytes_Check(pointer) != 0 {
                let (start, length) = (ffi::PyBytes_AsString(pointer), ffi::PyBytes_Size(pointer));
                return Ok(Found::Bytes(std::slice::from_raw_parts(start.cast(), length as usize)));
            }
        }
        self.other(value)
    }

    #[inline]
    fn int(&mut self, value: &Object) -> Checked<Option<i64>> {
        // SAFETY: as in `get`; the exact type was checked, so no Python code runs.
        unsafe {
            if ffi::PyLong_CheckExact(value.as_ptr()) == 0 {
                return Ok(None);
            }
            let mut overflow = 0;
            let int = ffi::PyLong_AsLongLongAndOverflow(value.as_ptr(), &raw mut overflow);
            Ok((overflow == 0).then_some(int))
        }
    }

    #[inline]
    fn float(&mut self, value: &Object) -> Checked<Option<f64>> {
        // SAFETY: as in `get`.
        unsafe {
            if ffi::PyFloat_CheckExact(value.as_ptr()) == 0 {
                return Ok(None);
            }
            Ok(Some(ffi::PyFloat_AS_DOUBLE(value.as_ptr())))
        }
    }

    #[inline]
    fn str<'a>(&'a mut self, value: &'a Object) -> Checked<Option<&'a str>> {
        // SAFETY: as in `get`; the text lies in the object, which `value` keeps alive.
        unsafe {
            if ffi::PyUnicode_CheckExact(value.as_ptr()) == 0 {
                return Ok(None);
            }
            Ok(text_of(value.as_ptr()))
        }
    }

    fn as_float(&mut self, value: &Object) -> Checked<Option<f64>> {
        float_of(value)
    }

    fn as_int(&mut self, value: &Object) -> Checked<Option<i64>> {
        int_of(value)
    }

    fn is_broken_text(&self, value: &Object) -> bool {
        // SAFETY: as in `get`.
        unsafe { ffi::PyUnicode_Check(value.as_ptr()) != 0 && text_of(value.as_ptr()).is_none() }
    }

    #[inline]
    fn is_null(&mut self, value: &Object) -> Checked<bool> {
        // SAFETY: `None` lives forever.
        Ok(value.as_ptr() == unsafe { ffi::Py_None() })
    }

    #[inline]
    fn host(&self, value: &Object) -> Option<HostValue> {
        Some(value.host())
    }

    fn is_instance(&mut self, value: &Object, record: &RecordPlan) -> Checked<bool> {
        let Some(host) = self.hosts.record(record.host) else { return Ok(false) };
        let Some(class) = host.class() else { return Ok(false) };
        // SAFETY: both pointers are live; a subtype check of exact types runs no Python code.
        Ok(unsafe { ffi::PyObject_TypeCheck(value.as_ptr(), class.as_ptr().cast()) != 0 })
    }

    fn enum_member(&mut self, value: &Object, plan: &EnumPlan) -> Checked<Option<usize>> {
        let Some(host) = self.hosts.enumeration(plan.host) else { return Ok(None) };
        Ok(host.members.iter().position(|member| member.as_ptr() == value.as_ptr()))
    }

    fn seq(&mut self, value: &Object, want: Collection, strict: bool) -> Checked<Option<Seq>> {
        let bound = value.bind(self.py);
        let kind = collection_of(&bound);
        if self.opens_models
            && kind.is_none()
            && let Ok(list) = or_abort(self.py, dumped(&bound))?.cast_into::<PyList>()
        {
            return Ok(Some(Seq::Indexed(list.into_any().into(), 0)));
        }
        if strict && kind != Some(want) {
            return Ok(None);
        }
        match kind {
            Some(Collection::List | Collection::Tuple) => Ok(Some(Seq::Indexed(value.clone(), 0))),
            Some(_) => {
                Ok(Some(Seq::Iterator(or_abort(self.py, bound.try_iter())?.into_any().into())))
            }
            None => {
                if !or_abort(self.py, iterates_as_collection(&bound))? {
                    return Ok(None);
                }
                match bound.try_iter() {
                    Ok(iterator) => Ok(Some(Seq::Stream(iterator.into_any().into(), 0))),
                    Err(error) if error.is_instance_of::<PyException>(self.py) => Ok(None),
                    Err(error) => abort(self.py, error),
                }
            }
        }
    }

    #[inline]
    fn next_item(&mut self, seq: &mut Seq) -> Checked<Option<Object>> {
        if let Seq::Stream(_, count) = seq {
            *count += 1;
            if *count % ITEMS == 0 {
                or_abort(self.py, gate::pause(self.py))?;
            }
        }
        if let Seq::Indexed(_, index) = seq
            && *index as usize % ITEMS == ITEMS - 1
        {
            or_abort(self.py, gate::pause(self.py))?;
        }
        match seq {
            // SAFETY: the object is a list or a tuple, its length is asked for each time, and the reference is taken at once.
            Seq::Indexed(object, index) => unsafe {
                let pointer = object.as_ptr();
                let item = if ffi::PyList_Check(pointer) != 0 {
                    if *index >= ffi::PyList_GET_SIZE(pointer) {
                        return Ok(None);
                    }
                    ffi::PyList_GET_ITEM(pointer, *index)
                } else {
                    if *index >= ffi::PyTuple_GET_SIZE(pointer) {
                        return Ok(None);
                    }
                    ffi::PyTuple_GET_ITEM(pointer, *index)
                };
                *index += 1;
                Ok(Some(Object::borrowed(item)))
            },
            // SAFETY: the object is an iterator.
            Seq::Iterator(iterator) | Seq::Stream(iterator, _) => unsafe {
                match Object::owned(ffi::PyIter_Next(iterator.as_ptr())) {
                    Some(item) => Ok(Some(item)),
                    None if ffi::PyErr_Occurred().is_null() => Ok(None),
                    None => {
                        self.failed = true;
                        Err(Stop::Abort)
                    }
                }
            },
        }
    }

    fn take_failure(&mut self) -> Option<String> {
        if !std::mem::take(&mut self.failed) {
            return None;
        }
        let error = PyErr::take(self.py)?;
        if !error.is_instance_of::<PyException>(self.py) {
            error.restore(self.py);
            return None;
        }
        let value = error.value(self.py);
        let name = value.get_type().name().map_or_else(|_| "?".into(), |name| name.to_string());
        let text = value.str().map_or_else(|_| String::new(), |text| text.to_string());
        Some(if text.is_empty() { name } else { format!("{name}: {text}") })
    }

    #[inline]
    fn ends(&self, seq: &Seq) -> bool {
        !matches!(seq, Seq::Stream(..))
    }

    fn map(
        &mut self,
        value: &Object,
        record: Option<&RecordPlan>,
        strict: bool,
    ) -> Checked<Option<Map>> {
        let bound = value.bind(self.py);
        if bound.is_instance_of::<PyDict>() {
            return Ok(Some(Map::Dict {
                dict: value.clone(),
                position: 0,
                key: None,
                value: None,
            }));
        }
        if self.opens_models
            && let Some(class) = record.and_then(|record| self.hosts.record(record.host)?.class())
            && or_abort(self.py, is_of_another(&bound, class.bind(self.py)))?
        {
            return Ok(None);
        }
        if self.opens_models
            && let Some(entries) = or_abort(self.py, opened(&bound, record.is_some()))?
        {
            return Ok(Some(entries));
        }
        if let Some(record) = record
            && (self.opens_models || !record.as_map)
            && self.from_attributes.unwrap_or(record.from_attributes)
            && or_abort(self.py, has_attributes(&bound))?
        {
            return Ok(Some(Map::Attributes { object: value.clone(), field: 0 }));
        }
        if let Some(record) = record
            && layout::is_model_instance(&bound)
            && let Some(host) = self.hosts.record(record.host)
            && let Some(class) = host.class()
            && or_abort(self.py, state::is_of_origin(&bound.get_type(), class.bind(self.py)))?
        {
            // Of the same generic class with other arguments: its fields are checked as those of this one.
            let mut entries = or_abort(self.py, state::entries(&bound))?;
            for (name, _) in &mut entries {
                let same = |known: &Py<PyString>| known.as_ptr() == name.as_ptr();
                if let Some(index) = host.names.iter().position(same) {
                    *name = host.keys[index].bind(self.py).clone().into_any().into();
                }
            }
            return Ok(Some(Map::Entries { entries: entries.into_iter(), key: None, value: None }));
        }
        if strict {
            return Ok(None);
        }
        if !or_abort(self.py, names::is_mapping(&bound))? {
            return Ok(None);
        }
        // SAFETY: `PyMapping` stands for any object with the mapping protocol, which was just asked for.
        let mapping = unsafe { bound.cast_unchecked::<PyMapping>() };
        let items = or_abort(self.py, mapping.items())?;
        let mut entries = Vec::with_capacity(items.len());
        for item in items.iter() {
            let (key, value) =
                or_abort(self.py, item.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>())?;
            entries.push((key.into(), value.into()));
        }
        Ok(Some(Map::Entries { entries: entries.into_iter(), key: None, value: None }))
    }

    #[inline]
    fn next_field(
        &mut self,
        map: &mut Map,
        record: &RecordPlan,
        expected: usize,
    ) -> Checked<Entry<Object>> {
        let (key, value) = match map {
            Map::Dict { dict, position, key, .. } => {
                let Some((next_key, value)) = next_entry(dict, position) else {
                    return Ok(Entry::End);
                };
                let next_key = key.insert(next_key);
                if let Some(names) = self.hosts.keys(record.host)
                    && let Some(name) = names.get(expected)
                    && name.as_ptr() == next_key.as_ptr()
                {
                    return Ok(Entry::Field(expected, value));
                }
                (next_key.as_ptr(), value)
            }
            Map::Entries { entries, key, .. } => {
                let Some((next_key, value)) = entries.next() else { return Ok(Entry::End) };
                (key.insert(next_key).as_ptr(), value)
            }
            Map::Attributes { object, field } => {
                let object = object.clone();
                return self.next_attribute(&object, field, record);
            }
        };
        // SAFETY: the map holds the key.
        let text = unsafe { if ffi::PyUnicode_Check(key) != 0 { text_of(key) } else { None } };
        match text.and_then(|text| record.field_of(text)) {
            Some(field) => Ok(Entry::Field(field, value)),
            None => Ok(Entry::Unknown(value)),
        }
    }

    fn key_text(&mut self, map: &Map) -> Option<String> {
        let key = match map {
            Map::Dict { key, .. } | Map::Entries { key, .. } => key.as_ref()?,
            Map::Attributes { .. } => return None,
        };
        // SAFETY: the map holds the key.
        unsafe {
            if ffi::PyUnicode_Check(key.as_ptr()) == 0 {
                return None;
            }
            text_of(key.as_ptr()).map(str::to_owned)
        }
    }

    fn next_key(&mut self, map: &mut Map) -> Checked<Option<Object>> {
        match map {
            Map::Dict { dict, position, value, .. } => {
                Ok(next_entry(dict, position).map(|(key, next)| {
                    *value = Some(next);
                    key
                }))
            }
            Map::Entries { entries, value, .. } => Ok(entries.next().map(|(key, next)| {
                *value = Some(next);
                key
            })),
            Map::Attributes { .. } => Ok(None),
        }
    }

    fn entry_value(&mut self, map: &mut Map) -> Checked<Object> {
        let value = match map {
            Map::Dict { value, .. } | Map::Entries { value, .. } => value.take(),
            Map::Attributes { .. } => None,
        };
        Ok(value.unwrap_or_else(Object::none))
    }

    fn skip(&mut self, _value: &Object) -> Checked<()> {
        Ok(())
    }

    #[inline]
    fn identity(&self, value: &Object) -> Option<usize> {
        Some(value.as_ptr() as usize)
    }

    fn key_step(&mut self, key: &Object) -> Option<Loc> {
        Some(key_step(&key.bind(self.py)))
    }

    fn field_step(&mut self, map: &Map) -> Option<Loc> {
        match map {
            Map::Dict { key, .. } | Map::Entries { key, .. } => {
                key.as_ref().map(|key| key_step(&key.bind(self.py)))
            }
            Map::Attributes { .. } => None,
        }
    }

    fn give_up(&mut self) -> Stop {
        PyRecursionError::new_err("there are too many ways to read this value").restore(self.py);
        Stop::Abort
    }

    fn echo(&mut self, value: &Object) -> Echo {
        Echo::Host(self.session.keep(value.clone()))
    }
}

impl PyInput<'_, '_> {
    fn next_attribute(
        &mut self,
        object: &Object,
        field: &mut usize,
        record: &RecordPlan,
    ) -> Checked<Entry<Object>> {
        let object = object.bind(self.py);
        while let Some(plan) = record.fields.get(*field) {
            let index = *field;
            *field += 1;
            if record.field_of(&plan.key).is_none() {
                continue; // one that no input fills
            }
            let names = std::iter::once(plan.key.as_str())
                .chain(plan.by_name.then_some(plan.name.as_str()));
            for name in names {
                match object.getattr(name) {
                    Ok(value) => return Ok(Entry::Field(index, value.into())),
                    Err(error) if error.is_instance_of::<PyAttributeError>(self.py) => {}
                    Err(error) => return abort(self.py, error),
                }
            }
        }
        Ok(Entry::End)
    }

    fn integer<'a>(&'a mut self, value: &'a Object) -> Checked<Found<'a>> {
        // SAFETY: the object is an integer; for one, these functions run no Python code.
        unsafe {
            let mut overflow = 0;
            let int = ffi::PyLong_AsLongLongAndOverflow(value.as_ptr(), &raw mut overflow);
            if overflow == 0 {
                return Ok(Found::Int(int));
            }
            let base = &raw mut ffi::PyLong_Type;
            let Some(represent) = (*base).tp_repr else { return Ok(Found::Other) };
            match Object::owned(represent(value.as_ptr())) {
                Some(digits) => {
                    self.text.clear();
                    self.text.push_str(text_of(digits.as_ptr()).unwrap_or_default());
                }
                None => {
                    // Longer than CPython writes in decimal; there is no such limit for bases that are powers of two.
                    ffi::PyErr_Clear();
                    let digits = Object::owned(ffi::PyNumber_ToBase(value.as_ptr(), 16));
                    let Some(digits) = digits else { return Err(Stop::Abort) };
                    let text = text_of(digits.as_ptr()).unwrap_or_default().replacen("0x", "", 1);
                    let Some(int) = BigInt::parse_bytes(text.as_bytes(), 16) else {
                        return Ok(Found::Other);
                    };
                    self.text = int.to_string();
                }
            }
        }
        Ok(Found::BigInt(&self.text))
    }

    fn other<'a>(&'a mut self, value: &'a Object) -> Checked<Found<'a>> {
        let py = self.py;
        let bound = value.bind(py);
        if let Some(kind) = collection_of(&bound) {
            return Ok(Found::Seq(kind));
        }
        if bound.is_instance_of::<PyDict>() {
            return Ok(Found::Map);
        }
        let pointer = value.as_ptr();
        // SAFETY: the datetime API was imported when the first plan was made; the checks and getters read fixed fields.
        unsafe {
            if ffi::PyDateTime_Check(pointer) != 0 {
                let date = date_of(pointer);
                let time = Time {
                    hour: ffi::PyDateTime_DATE_GET_HOUR(pointer) as u8,
                    minute: ffi::PyDateTime_DATE_GET_MINUTE(pointer) as u8,
                    second: ffi::PyDateTime_DATE_GET_SECOND(pointer) as u8,
                    micros: ffi::PyDateTime_DATE_GET_MICROSECOND(pointer) as u32,
                    offset: or_abort(py, offset_of(&bound))?,
                };
                return Ok(Found::DateTime(DateTime { date, time }));
            }
            if ffi::PyDate_Check(pointer) != 0 {
                return Ok(Found::Date(date_of(pointer)));
            }
            if ffi::PyTime_Check(pointer) != 0 {
                return Ok(Found::Time(Time {
                    hour: ffi::PyDateTime_TIME_GET_HOUR(pointer) as u8,
                    minute: ffi::PyDateTime_TIME_GET_MINUTE(pointer) as u8,
                    second: ffi::PyDateTime_TIME_GET_SECOND(pointer) as u8,
                    micros: ffi::PyDateTime_TIME_GET_MICROSECOND(pointer) as u32,
                    offset: or_abort(py, offset_of(&bound))?,
                }));
            }
            if ffi::PyDelta_Check(pointer) != 0 {
                let days = i128::from(ffi::PyDateTime_DELTA_GET_DAYS(pointer));
                let seconds =
                    days * 86_400 + i128::from(ffi::PyDateTime_DELTA_GET_SECONDS(pointer));
                let micros = seconds * 1_000_000
                    + i128::from(ffi::PyDateTime_DELTA_GET_MICROSECONDS(pointer));
                return Ok(Found::Duration(Duration { micros }));
            }
        }
        if let Ok(bytes) = bound.cast::<PyByteArray>() {
            self.bytes = bytes.to_vec();
            return Ok(Found::ByteArray(&self.bytes));
        }
        if or_abort(py, names::is_decimal(&bound))? {
            let text = or_abort(py, bound.str().and_then(|text| Ok(text.to_cow()?.into_owned())))?;
            self.text = text;
            return Ok(Found::Decimal(&self.text));
        }
        if or_abort(py, names::is_uuid(&bound))? {
            let bits = or_abort(py, bound.getattr("int").and_then(|int| int.extract::<u128>()))?;
            return Ok(Found::Uuid(bits));
        }
        if self.opens_models {
            if layout::is_model_instance(&bound) {
                return Ok(Found::Map);
            }
            let made = or_abort(py, dumped(&bound))?;
            return or_abort(py, found(&mut self.text, &made));
        }
        Ok(Found::Other)
    }
}

/// The next entry of a dictionary, owned. A dictionary that changes meanwhile may skip or repeat entries, no more.
#[inline]
fn next_entry(dict: &Object, position: &mut isize) -> Option<(Object, Object)> {
    let (mut key, mut value) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the object is a dictionary; both references are taken before other code can run.
    unsafe {
        if ffi::PyDict_Next(dict.as_ptr(), position, &raw mut key, &raw mut value) == 0 {
            return None;
        }
        Some((Object::borrowed(key), Object::borrowed(value)))
    }
}

/// The text of a string; `None` if it holds a lone surrogate.
///
/// # Safety
/// The interpreter is attached, and `pointer` is a string that outlives the result.
#[inline]
pub(crate) unsafe fn text_of<'a>(pointer: *mut ffi::PyObject) -> Option<&'a str> {
    // SAFETY: CPython keeps the UTF-8 form of a string as long as the string itself; that of ASCII text lies right behind its head.
    unsafe {
        let (mut start, mut length) = (ptr::null::<std::ffi::c_char>(), 0);
        #[cfg(not(Py_3_14))]
        if ffi::PyUnicode_IS_COMPACT_ASCII(pointer) != 0 {
            start = pointer.cast::<ffi::PyASCIIObject>().add(1).cast_const().cast();
            length = ffi::PyUnicode_GET_LENGTH(pointer);
        }
        if start.is_null() {
            start = ffi::PyUnicode_AsUTF8AndSize(pointer, &raw mut length);
        }
        if start.is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        let bytes = std::slice::from_raw_parts(start.cast(), length as usize);
        Some(std::str::from_utf8_unchecked(bytes))
    }
}

unsafe fn date_of(pointer: *mut ffi::PyObject) -> Date {
    // SAFETY: the caller has checked that the object is a date.
    unsafe {
        Date {
            year: ffi::PyDateTime_GET_YEAR(pointer) as u16,
            month: ffi::PyDateTime_GET_MONTH(pointer) as u8,
            day: ffi::PyDateTime_GET_DAY(pointer) as u8,
        }
    }
}

/// Seconds east of UTC; `None` for a naive value.
fn offset_of(value: &Bound<'_, PyAny>) -> PyResult<Option<i32>> {
    if value.getattr("tzinfo")?.is_none() {
        return Ok(None);
    }
    let offset = value.call_method0("utcoffset")?;
    if offset.is_none() {
        return Ok(None);
    }
    let seconds: f64 = offset.call_method0("total_seconds")?.extract()?;
    Ok(Some(seconds as i32))
}
