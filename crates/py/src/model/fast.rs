//! The fast path: what fits goes straight into the slots, without a run of the engine. Objects are read here, JSON text in
//! `fast_json`.
//!
//! The path only ever says yes. At the first value that is not of the very type and right as it is (or text in the usual form of a
//! date, time or UUID), it gives up, and the engine does the whole again: it alone converts anything else, reports, and calls
//! validators. What the path accepts, the engine would take, and make the same of it; the tests hold both side by side.

#![allow(unsafe_code)]

use std::ptr;

use pyo3::ffi;

use ottava_validate::{Program, Schema};

use super::fast_json::{PAUSE, pause_before};
use super::fast_plan::{DEPTH, FastDefault, FastLiteral, FastPlan, FastRecord, Kind};
use super::input::text_of;
use super::instance;
use super::ints;
use super::layout::Head;
use super::object::Object;

/// What a run of the path reads beside the plan.
#[derive(Clone, Copy)]
pub(crate) struct Rules<'p> {
    pub(crate) program: &'p Program,
    /// Nothing is to be converted, whatever the declaration says.
    pub(crate) strict: bool,
}

impl<'p> Rules<'p> {
    /// As the declaration says.
    #[inline(always)]
    pub(crate) fn lax(schema: &'p Schema) -> Self {
        Self { program: schema.program(), strict: false }
    }
}

impl FastPlan {
    /// The record at the root.
    #[inline(always)]
    pub(super) fn root_record(&self) -> Option<&FastRecord> {
        match self.root {
            Kind::Record(number) => Some(&self.records[number]),
            _ => None,
        }
    }

    /// What an object becomes, or `None` with no exception set.
    #[inline]
    pub(crate) fn object(&self, rules: Rules<'_>, object: &Object) -> Option<Object> {
        // SAFETY: an `Object` is only held where the interpreter is attached, and it is held here.
        unsafe {
            match self.root_record() {
                Some(record) if ffi::PyDict_CheckExact(object.as_ptr()) != 0 => {
                    self.fill_dict(rules, record, object.as_ptr(), 0)
                }
                _ => self.take(rules, &self.root, object.as_ptr(), 0),
            }
        }
    }

    /// An instance out of the keywords of a vectorcall, or `None` with no exception set.
    ///
    /// # Safety
    /// The interpreter is attached, and the plan that this belongs to stays alive; `names` is null or a tuple of strings with as many values behind `values`.
    #[inline]
    pub(crate) unsafe fn keywords(
        &self,
        rules: Rules<'_>,
        names: *mut ffi::PyObject,
        values: *const *mut ffi::PyObject,
    ) -> Option<Object> {
        let record = self.root_record()?;
        // SAFETY: the caller's promise; the names and values are borrowed from the caller for the whole call.
        unsafe {
            let object = instance::allocate(record.class, &*record.layout)?;
            let mut given = 0;
            let count = if names.is_null() { 0 } else { ffi::PyTuple_GET_SIZE(names) };
            for index in 0..count {
                let name = ffi::PyTuple_GET_ITEM(names, index);
                let value = *values.offset(index);
                self.field(rules, record, &object, index as usize, name, value, &mut given, 0)?;
            }
            self.finish(record, &object, given)?;
            Some(object)
        }
    }

    /// The value as it goes into field `index` of the root record, if it fits as it is.
    ///
    /// # Safety
    /// The interpreter is attached, `value` is alive, and the plan that this belongs to stays alive.
    pub(crate) unsafe fn take_field(
        &self,
        rules: Rules<'_>,
        index: usize,
        value: *mut ffi::PyObject,
    ) -> Option<Object> {
        let field = self.root_record()?.fields.get(index)?;
        // SAFETY: the caller's promise.
        unsafe { self.take(rules, &field.kind, value, 0) }
    }

    unsafe fn fill_dict(
        &self,
        rules: Rules<'_>,
        record: &FastRecord,
        dict: *mut ffi::PyObject,
        depth: usize,
    ) -> Option<Object> {
        // SAFETY: the caller's promise. Where a value is more than an atom, `take` holds on to it while it is read.
        unsafe {
            let object = instance::allocate(record.class, &*record.layout)?;
            let mut given = 0;
            let (mut position, mut index) = (0, 0);
            let (mut name, mut value) = (ptr::null_mut(), ptr::null_mut());
            while ffi::PyDict_Next(dict, &raw mut position, &raw mut name, &raw mut value) != 0 {
                self.field(rules, record, &object, index, name, value, &mut given, depth)?;
                index += 1;
            }
            self.finish(record, &object, given)?;
            Some(object)
        }
    }

    /// Sets the field of this name; `expected` is the one that most likely has it.
    #[allow(clippy::too_many_arguments)] // all of them in registers
    #[inline(always)]
    unsafe fn field(
        &self,
        rules: Rules<'_>,
        record: &FastRecord,
        object: &Object,
        expected: usize,
        name: *mut ffi::PyObject,
        value: *mut ffi::PyObject,
        given: &mut u64,
        depth: usize,
    ) -> Option<()> {
        // SAFETY: the caller's promise; the offset is that of a slot of the object.
        unsafe {
            let (index, field) = match record.fields.get(expected) {
                Some(field) if field.key == name => (expected, field),
                _ => match self.find(rules, record, name)? {
                    Some(index) => (index, record.fields.get(index)?),
                    None => return Some(()),
                },
            };
            let bit = 1 << index;
            if *given & bit != 0 {
                return None;
            }
            *given |= bit;
            let value = self.take(rules, &field.kind, value, depth)?;
            instance::write_slot(object.as_ptr(), field.offset, value);
            Some(())
        }
    }

    /// The field of this name; `Some(None)` if there is none and that does not matter.
    #[cold]
    pub(super) unsafe fn find(
        &self,
        rules: Rules<'_>,
        record: &FastRecord,
        name: *mut ffi::PyObject,
    ) -> Option<Option<usize>> {
        if let Some(index) = record.fields.iter().position(|field| field.key == name) {
            return Some(Some(index));
        }
        // SAFETY: the caller holds the name.
        let text = unsafe {
            if ffi::PyUnicode_CheckExact(name) == 0 {
                return None;
            }
            text_of(name)?
        };
        match rules.program.records()[record.number].field_of(text) {
            Some(index) => Some(Some(index)),
            None => record.ignores_unknown.then_some(None),
        }
    }

    #[inline(always)]
    pub(super) unsafe fn finish(
        &self,
        record: &FastRecord,
        object: &Object,
        given: u64,
    ) -> Option<()> {
        // SAFETY: the object was made with this record's layout.
        unsafe {
            (*object.as_ptr().cast::<Head>()).given = given;
            if given != record.full {
                self.fill_defaults(record, object, given)?;
            }
        }
        Some(())
    }

    #[inline(never)]
    unsafe fn fill_defaults(&self, record: &FastRecord, object: &Object, given: u64) -> Option<()> {
        for (index, field) in record.fields.iter().enumerate() {
            if given & (1 << index) != 0 {
                continue;
            }
            // SAFETY: the plan's hosts keep shared defaults alive; the offset is that of a slot of the object.
            unsafe {
                let value = match field.default {
                    FastDefault::Required => return None,
                    FastDefault::Shared(value) => Object::borrowed(value),
                    FastDefault::List => made(ffi::PyList_New(0))?,
                    FastDefault::Dict => made(ffi::PyDict_New())?,
                };
                instance::write_slot(object.as_ptr(), field.offset, value);
            }
        }
        Some(())
    }

    /// The value as it goes into a slot.
    #[inline(always)]
    pub(super) unsafe fn take(
        &self,
        rules: Rules<'_>,
        kind: &Kind,
        value: *mut ffi::PyObject,
        depth: usize,
    ) -> Option<Object> {
        // SAFETY: the value is alive while the caller holds its container unchanged: nothing here runs other code before the
        // reference is taken.
        unsafe {
            let class = ffi::Py_TYPE(value);
            let fits = match kind {
                Kind::Int { low, high } => {
                    class == &raw mut ffi::PyLong_Type
                        && ints::value(value).is_some_and(|int| *low <= int && int <= *high)
                }
                Kind::Float => class == &raw mut ffi::PyFloat_Type,
                Kind::FreeText => class == &raw mut ffi::PyUnicode_Type && text_of(value).is_some(),
                Kind::Text(rule) => {
                    class == &raw mut ffi::PyUnicode_Type
                        && text_of(value).is_some_and(|text| rule.accepts(text))
                }
                Kind::Record(number) => {
                    let record = &self.records[*number];
                    if class == &raw mut ffi::PyDict_Type && depth < DEPTH {
                        // Held, because allocation may run a collection and with it other code.
                        let held = Object::borrowed(value);
                        return self.fill_dict(rules, record, held.as_ptr(), depth + 1);
                    }
                    class == record.class
                }
                _ => return self.take_other(rules, kind, value, depth),
            };
            fits.then(|| Object::borrowed(value))
        }
    }

    #[inline(never)]
    unsafe fn take_other(
        &self,
        rules: Rules<'_>,
        kind: &Kind,
        value: *mut ffi::PyObject,
        depth: usize,
    ) -> Option<Object> {
        // SAFETY: as `take`.
        unsafe {
            let class = ffi::Py_TYPE(value);
            let fits = match kind {
                Kind::Any => true,
                Kind::Null => value == ffi::Py_None(),
                Kind::Nullable(inner) => {
                    if value != ffi::Py_None() {
                        return self.take(rules, inner, value, depth);
                    }
                    true
                }
                Kind::Bool => class == &raw mut ffi::PyBool_Type,
                Kind::Textual(textual) => {
                    if class == &raw mut ffi::PyUnicode_Type && !textual.strict && !rules.strict {
                        return textual.made_of(text_of(value)?);
                    }
                    class == textual.class
                }
                Kind::Literal(literal) => return text_in(literal, value),
                Kind::Enum { members, .. } => members.contains(&value),
                Kind::List { item, min, max } => {
                    return self.list(rules, item, *min, *max, value, depth);
                }
                Kind::Dict { value: inner, min, max } => {
                    return self.dict(rules, inner, *min, *max, value, depth);
                }
                Kind::Int { .. }
                | Kind::Float
                | Kind::FreeText
                | Kind::Text(_)
                | Kind::Record(_) => {
                    return self.take(rules, kind, value, depth);
                }
            };
            fits.then(|| Object::borrowed(value))
        }
    }

    unsafe fn list(
        &self,
        rules: Rules<'_>,
        item: &Kind,
        min: usize,
        max: usize,
        value: *mut ffi::PyObject,
        depth: usize,
    ) -> Option<Object> {
        // SAFETY: the list is held; its length is asked for each time, and each item is taken before other code can run.
        unsafe {
            if ffi::Py_TYPE(value) != &raw mut ffi::PyList_Type || depth >= DEPTH {
                return None;
            }
            let held = Object::borrowed(value);
            let count = ffi::PyList_GET_SIZE(value);
            if (count as usize) < min || count as usize > max {
                return None;
            }
            let list = made(ffi::PyList_New(count))?;
            // Nobody may find it among the objects of the collector while it has empty places.
            ffi::PyObject_GC_UnTrack(list.as_ptr().cast());
            for start in (0..count).step_by(PAUSE) {
                pause_before(start as usize)?;
                for index in start..count.min(start + PAUSE as isize) {
                    // A pause, or a collection during an allocation, may have run code that has changed the list.
                    (index < ffi::PyList_GET_SIZE(held.as_ptr())).then_some(())?;
                    let entry = Object::borrowed(ffi::PyList_GET_ITEM(held.as_ptr(), index));
                    let taken = self.take(rules, item, entry.as_ptr(), depth + 1)?;
                    ffi::PyList_SET_ITEM(list.as_ptr(), index, taken.into_ptr());
                }
            }
            ffi::PyObject_GC_Track(list.as_ptr().cast());
            Some(list)
        }
    }

    unsafe fn dict(
        &self,
        rules: Rules<'_>,
        inner: &Kind,
        min: usize,
        max: usize,
        value: *mut ffi::PyObject,
        depth: usize,
    ) -> Option<Object> {
        // SAFETY: the dictionary is held; `PyDict_Next` bears changes meanwhile, and each entry is taken before other code can run.
        unsafe {
            if ffi::Py_TYPE(value) != &raw mut ffi::PyDict_Type || depth >= DEPTH {
                return None;
            }
            let held = Object::borrowed(value);
            let count = ffi::PyDict_Size(value) as usize;
            if count < min || count > max {
                return None;
            }
            let dict = made(ffi::PyDict_New())?;
            let mut position = 0;
            let (mut name, mut entry) = (ptr::null_mut(), ptr::null_mut());
            while ffi::PyDict_Next(held.as_ptr(), &raw mut position, &raw mut name, &raw mut entry)
                != 0
            {
                if ffi::PyUnicode_CheckExact(name) == 0 || text_of(name).is_none() {
                    return None;
                }
                let (name, entry) = (Object::borrowed(name), Object::borrowed(entry));
                let taken = self.take(rules, inner, entry.as_ptr(), depth + 1)?;
                if ffi::PyDict_SetItem(dict.as_ptr(), name.as_ptr(), taken.as_ptr()) < 0 {
                    ffi::PyErr_Clear();
                    return None;
                }
            }
            Some(dict)
        }
    }
}

/// A new object; for want of memory the engine will say so.
pub(super) unsafe fn made(pointer: *mut ffi::PyObject) -> Option<Object> {
    // SAFETY: the caller passes a new reference, or null with an exception set.
    unsafe {
        let object = Object::owned(pointer);
        if object.is_none() {
            ffi::PyErr_Clear();
        }
        object
    }
}

unsafe fn text_in(literal: &FastLiteral, value: *mut ffi::PyObject) -> Option<Object> {
    let objects = &literal.texts;
    // SAFETY: the plan keeps the objects alive; comparing exact strings runs no other code.
    unsafe {
        if objects.contains(&value) {
            return Some(Object::borrowed(value));
        }
        if ffi::PyUnicode_CheckExact(value) == 0 {
            return None;
        }
        let text = text_of(value)?;
        let found = objects.iter().find(|object| {
            ffi::PyUnicode_CheckExact(**object) != 0 && text_of(**object) == Some(text)
        })?;
        Some(Object::borrowed(*found))
    }
}
