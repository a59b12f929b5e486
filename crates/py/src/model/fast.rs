//! The fast path: objects that fit as they are go straight into the slots, without a run of the engine.
//!
//! The path only ever says yes. At the first object that is not of the very type and right as it is, it gives up, and the engine
//! does the whole again: it alone converts, reports, and calls validators. What the path accepts, the engine would take as
//! it is; the tests hold both side by side.

#![allow(unsafe_code)]

use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;

use ottava_core::schema::{Extra, FieldDefault, Value};
use ottava_validate::{NodeId, Program, Quick, Schema};

use super::hosts::{Hosts, RecordHost, RecordKind};
use super::input::text_of;
use super::instance;
use super::layout::{self, Head, Layout, Place};
use super::object::Object;

/// How the root record of a plan is filled.
pub(crate) struct FastPlan {
    records: Vec<FastRecord>,
    root: usize,
}

struct FastRecord {
    /// Kept alive by the plan's hosts, as its layout is.
    class: *mut ffi::PyTypeObject,
    layout: *const Layout,
    /// The record's number in the program.
    number: usize,
    /// Keys in data, interned, as the plan's hosts keep them.
    keys: Vec<*mut ffi::PyObject>,
    fields: Vec<FastField>,
    ignores_unknown: bool,
    full: u64,
}

struct FastField {
    kind: Kind,
    offset: isize,
    default: FastDefault,
}

enum FastDefault {
    Required,
    /// Shared by all instances; kept alive by the plan's hosts.
    Shared(*mut ffi::PyObject),
    List,
    Dict,
}

/// What a value must be.
enum Kind {
    Any,
    Null,
    Nullable(Box<Kind>),
    Bool,
    Int {
        low: i64,
        high: i64,
    },
    Float,
    FreeText,
    Text(NodeId),
    /// Exactly of this class.
    Class(*mut ffi::PyTypeObject),
    /// One of these objects, or a string that is equal to one of them; kept alive by the plan.
    Literal(Vec<*mut ffi::PyObject>),
    List {
        item: Box<Kind>,
        min: usize,
        max: usize,
    },
    Dict {
        value: Box<Kind>,
        min: usize,
        max: usize,
    },
    Record(usize),
}

// SAFETY: the pointers are only followed where the interpreter is attached, and what they point to is not changed through them.
unsafe impl Send for FastPlan {}
// SAFETY: as above.
unsafe impl Sync for FastPlan {}

/// Deepest nesting that the path follows; the engine has its own limit.
const DEPTH: usize = 64;

impl FastPlan {
    /// The fast path of a schema whose root is a model, if all of its fields can take it.
    pub(crate) fn compile(
        py: Python<'_>,
        schema: &Schema,
        hosts: &Hosts,
        literals: &[Vec<Py<PyAny>>],
    ) -> Option<Self> {
        if cfg!(Py_GIL_DISABLED) {
            return None;
        }
        let program = schema.program();
        let Quick::Record(root) = program.quick(program.root()) else { return None };
        let mut maker = Maker { py, schema, hosts, literals, records: Vec::new() };
        let root = maker.record(root)?;
        Some(Self { records: maker.records, root })
    }

    /// An instance out of an exact dictionary; `None` for any other object, with no exception set.
    #[inline]
    pub(crate) fn object(&self, program: &Program, object: &Object) -> Option<Object> {
        // SAFETY: an `Object` is only held where the interpreter is attached; the exact type is checked.
        unsafe {
            if ffi::PyDict_CheckExact(object.as_ptr()) == 0 {
                return None;
            }
            self.fill_dict(program, &self.records[self.root], object.as_ptr(), 0)
        }
    }

    /// An instance out of the keywords of a vectorcall, or `None` with no exception set.
    ///
    /// # Safety
    /// The interpreter is attached, and the plan that this belongs to stays alive; `names` is null or a tuple of strings with as many values behind `values`.
    #[inline]
    pub(crate) unsafe fn keywords(
        &self,
        program: &Program,
        names: *mut ffi::PyObject,
        values: *const *mut ffi::PyObject,
    ) -> Option<Object> {
        let record = &self.records[self.root];
        // SAFETY: the caller's promise; the names and values are borrowed from the caller for the whole call.
        unsafe {
            let object = instance::allocate(record.class, &*record.layout)?;
            let mut given = 0;
            let count = if names.is_null() { 0 } else { ffi::PyTuple_GET_SIZE(names) };
            for index in 0..count {
                let name = ffi::PyTuple_GET_ITEM(names, index);
                let value = *values.offset(index);
                self.field(program, record, &object, index as usize, name, value, &mut given, 0)?;
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
        program: &Program,
        index: usize,
        value: *mut ffi::PyObject,
    ) -> Option<Object> {
        let field = self.records[self.root].fields.get(index)?;
        // SAFETY: the caller's promise.
        unsafe { self.take(program, &field.kind, value, 0) }
    }

    unsafe fn fill_dict(
        &self,
        program: &Program,
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
                self.field(program, record, &object, index, name, value, &mut given, depth)?;
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
        program: &Program,
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
            let index = if record.keys.get(expected).is_some_and(|key| *key == name) {
                expected
            } else {
                match self.find(program, record, name)? {
                    Some(index) => index,
                    None => return Some(()),
                }
            };
            let bit = 1 << index;
            if *given & bit != 0 {
                return None;
            }
            *given |= bit;
            let field = &record.fields[index];
            let value = self.take(program, &field.kind, value, depth)?;
            instance::write_slot(object.as_ptr(), field.offset, value);
            Some(())
        }
    }

    /// The field of this name; `Some(None)` if there is none and that does not matter.
    #[cold]
    unsafe fn find(
        &self,
        program: &Program,
        record: &FastRecord,
        name: *mut ffi::PyObject,
    ) -> Option<Option<usize>> {
        if let Some(index) = record.keys.iter().position(|key| *key == name) {
            return Some(Some(index));
        }
        // SAFETY: the caller holds the name.
        let text = unsafe {
            if ffi::PyUnicode_CheckExact(name) == 0 {
                return None;
            }
            text_of(name)?
        };
        match program.records()[record.number].field_of(text) {
            Some(index) => Some(Some(index)),
            None => record.ignores_unknown.then_some(None),
        }
    }

    #[inline(always)]
    unsafe fn finish(&self, record: &FastRecord, object: &Object, given: u64) -> Option<()> {
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
    unsafe fn take(
        &self,
        program: &Program,
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
                    class == &raw mut ffi::PyLong_Type && {
                        let mut overflow = 0;
                        let int = ffi::PyLong_AsLongLongAndOverflow(value, &raw mut overflow);
                        overflow == 0 && *low <= int && int <= *high
                    }
                }
                Kind::FreeText => class == &raw mut ffi::PyUnicode_Type && is_text(value),
                Kind::Text(node) => {
                    class == &raw mut ffi::PyUnicode_Type
                        && match (program.quick(*node), text_of(value)) {
                            (Quick::Text(rule), Some(text)) => rule.accepts(text),
                            _ => false,
                        }
                }
                _ => return self.take_other(program, kind, value, depth),
            };
            fits.then(|| Object::borrowed(value))
        }
    }

    #[inline(never)]
    unsafe fn take_other(
        &self,
        program: &Program,
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
                        return self.take(program, inner, value, depth);
                    }
                    true
                }
                Kind::Bool => class == &raw mut ffi::PyBool_Type,
                Kind::Float => class == &raw mut ffi::PyFloat_Type,
                Kind::Class(wanted) => class == *wanted,
                Kind::Literal(objects) => return literal(objects, value),
                Kind::List { item, min, max } => {
                    return self.list(program, item, *min, *max, value, depth);
                }
                Kind::Dict { value: inner, min, max } => {
                    return self.dict(program, inner, *min, *max, value, depth);
                }
                Kind::Record(number) => {
                    let record = &self.records[*number];
                    if class == record.class {
                        true
                    } else if class == &raw mut ffi::PyDict_Type && depth < DEPTH {
                        // Held, because allocation may run a collection and with it other code.
                        let held = Object::borrowed(value);
                        return self.fill_dict(program, record, held.as_ptr(), depth + 1);
                    } else {
                        false
                    }
                }
                Kind::Int { .. } | Kind::FreeText | Kind::Text(_) => {
                    return self.take(program, kind, value, depth);
                }
            };
            fits.then(|| Object::borrowed(value))
        }
    }

    unsafe fn list(
        &self,
        program: &Program,
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
            for index in 0..count {
                // A collection during an allocation may have run code that has changed the list.
                if index >= ffi::PyList_GET_SIZE(held.as_ptr()) {
                    return None;
                }
                let entry = Object::borrowed(ffi::PyList_GET_ITEM(held.as_ptr(), index));
                let taken = self.take(program, item, entry.as_ptr(), depth + 1)?;
                ffi::PyList_SET_ITEM(list.as_ptr(), index, taken.into_ptr());
            }
            Some(list)
        }
    }

    unsafe fn dict(
        &self,
        program: &Program,
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
                if ffi::PyUnicode_CheckExact(name) == 0 || !is_text(name) {
                    return None;
                }
                let (name, entry) = (Object::borrowed(name), Object::borrowed(entry));
                let taken = self.take(program, inner, entry.as_ptr(), depth + 1)?;
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

/// Whether a string can be written as UTF-8: it holds no lone surrogate.
#[inline(always)]
unsafe fn is_text(value: *mut ffi::PyObject) -> bool {
    // SAFETY: the object is an exact string.
    unsafe {
        #[cfg(not(Py_3_14))]
        if (*value.cast::<ffi::PyASCIIObject>()).ascii() != 0 {
            return true;
        }
        text_of(value).is_some()
    }
}

unsafe fn literal(objects: &[*mut ffi::PyObject], value: *mut ffi::PyObject) -> Option<Object> {
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

struct Maker<'a, 'py> {
    py: Python<'py>,
    schema: &'a Schema,
    hosts: &'a Hosts,
    literals: &'a [Vec<Py<PyAny>>],
    records: Vec<FastRecord>,
}

impl Maker<'_, '_> {
    fn record(&mut self, number: usize) -> Option<usize> {
        if let Some(known) = self.records.iter().position(|record| record.number == number) {
            return Some(known);
        }
        let plan = self.schema.program().records().get(number)?;
        let host = self.hosts.record(plan.host)?;
        if !matches!(host.kind, RecordKind::Model)
            || plan.extra == Extra::Allow
            || !host.privates.is_empty()
        {
            return None;
        }
        let class = host.class()?.bind(self.py).as_type_ptr();
        // SAFETY: model hosts are only made for classes of our metaclass.
        let layout = unsafe { layout::layout_of(class).as_ref()? };
        let count = plan.fields.len();
        if !layout.all_slots || count > 63 || layout.fields.len() != count {
            return None;
        }
        let index = self.records.len();
        self.records.push(FastRecord {
            class,
            layout,
            number,
            keys: host.keys.iter().map(Py::as_ptr).collect(),
            fields: Vec::with_capacity(count),
            ignores_unknown: plan.extra == Extra::Ignore,
            full: (1 << count) - 1,
        });
        for (field, known) in plan.fields.iter().enumerate() {
            let Place::Slot(offset) = layout.fields[field].1 else { return None };
            let kind = self.kind(known.node)?;
            let default = default_of(host, field, &known.default)?;
            self.records[index].fields.push(FastField { kind, offset, default });
        }
        Some(index)
    }

    fn kind(&mut self, node: NodeId) -> Option<Kind> {
        let program = self.schema.program();
        Some(match program.quick(node) {
            Quick::Any => Kind::Any,
            Quick::Null => Kind::Null,
            Quick::Nullable(inner) => Kind::Nullable(Box::new(self.kind(inner)?)),
            Quick::Bool => Kind::Bool,
            Quick::Int { low, high } => Kind::Int { low, high },
            Quick::Float => Kind::Float,
            Quick::Text(rule) if rule.is_free() => Kind::FreeText,
            Quick::Text(_) => Kind::Text(node),
            Quick::DateTime => Kind::Class(api(|api| api.DateTimeType)?),
            Quick::Time => Kind::Class(api(|api| api.TimeType)?),
            Quick::Date => Kind::Class(api(|api| api.DateType)?),
            Quick::Duration => Kind::Class(api(|api| api.DeltaType)?),
            Quick::Uuid => Kind::Class(super::names::uuid(self.py).ok()?.as_type_ptr()),
            Quick::Enum(number) => {
                let host = self.hosts.enumeration(program.enums().get(number)?.host)?;
                Kind::Literal(host.members.iter().map(Py::as_ptr).collect())
            }
            Quick::Literal(number) => Kind::Literal(
                // Other objects than strings may equal each other although they are of different types.
                self.literals
                    .get(number)?
                    .iter()
                    .filter(|object| {
                        object.bind(self.py).is_exact_instance_of::<pyo3::types::PyString>()
                    })
                    .map(Py::as_ptr)
                    .collect(),
            ),
            Quick::List { item, min, max } => {
                Kind::List { item: Box::new(self.kind(item)?), min, max }
            }
            Quick::Dict { key, value, min, max } => match program.quick(key) {
                Quick::Text(rule) if rule.is_free() => {
                    Kind::Dict { value: Box::new(self.kind(value)?), min, max }
                }
                _ => return None,
            },
            Quick::Record(number) => Kind::Record(self.record(number)?),
            _ => return None,
        })
    }
}

fn default_of(host: &RecordHost, field: usize, default: &FieldDefault) -> Option<FastDefault> {
    if let Some(Some(shared)) = host.shared.get(field) {
        return Some(FastDefault::Shared(shared.as_ptr()));
    }
    match default {
        FieldDefault::Required => Some(FastDefault::Required),
        FieldDefault::Value(Value::List(items)) if items.is_empty() => Some(FastDefault::List),
        FieldDefault::Value(Value::Map(entries)) if entries.is_empty() => Some(FastDefault::Dict),
        _ => None,
    }
}

fn api(
    choose: impl Fn(&ffi::PyDateTime_CAPI) -> *mut ffi::PyTypeObject,
) -> Option<*mut ffi::PyTypeObject> {
    // SAFETY: the datetime API was imported when the module was made.
    unsafe { ffi::PyDateTimeAPI().as_ref().map(choose) }
}
