//! The fast path: what fits goes straight into the slots, without a run of the engine. Objects are read here, JSON text in
//! `fast_json`.
//!
//! The path only ever says yes. At the first value that is not of the very type and right as it is (or text in the usual form of a
//! date, time or UUID), it gives up, and the engine does the whole again: it alone converts anything else, reports, and calls
//! validators. What the path accepts, the engine would take, and make the same of it; the tests hold both side by side.

#![allow(unsafe_code)]

use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;

use ottava_core::schema::{Extra, FieldDefault, Value};
use ottava_validate::{NodeId, Program, Quick, Schema};

use super::fast_json::{PAUSE, pause_before};
use super::hosts::{Hosts, RecordHost, RecordKind};
use super::input::text_of;
use super::instance;
use super::layout::{self, Head, Layout, Place};
use super::make;
use super::object::Object;

/// How the root of a plan is made, and the records in it.
pub(crate) struct FastPlan {
    pub(super) records: Vec<FastRecord>,
    pub(super) root: Kind,
}

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

pub(super) struct FastRecord {
    /// Kept alive by the plan's hosts, as its layout is.
    pub(super) class: *mut ffi::PyTypeObject,
    pub(super) layout: *const Layout,
    /// The record's number in the program.
    pub(super) number: usize,
    /// Keys in data, interned, as the plan's hosts keep them.
    keys: Vec<*mut ffi::PyObject>,
    pub(super) fields: Vec<FastField>,
    pub(super) ignores_unknown: bool,
    full: u64,
}

pub(super) struct FastField {
    pub(super) kind: Kind,
    pub(super) offset: isize,
    default: FastDefault,
}

pub(super) enum FastDefault {
    Required,
    /// Shared by all instances; kept alive by the plan's hosts.
    Shared(*mut ffi::PyObject),
    List,
    Dict,
}

/// What a value must be.
pub(super) enum Kind {
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
    /// Exactly of a class that has a form in text.
    Textual(Textual),
    /// The values of the literal of this number, kept alive by the plan.
    Literal {
        number: usize,
        objects: Vec<*mut ffi::PyObject>,
        /// Those that are text.
        texts: Vec<*mut ffi::PyObject>,
    },
    /// The members of the enum of this number, kept alive by the plan's hosts.
    Enum {
        number: usize,
        members: Vec<*mut ffi::PyObject>,
    },
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

/// A class whose values have a usual form in text.
pub(super) struct Textual {
    class: *mut ffi::PyTypeObject,
    form: Form,
    /// Text alone is no such object.
    strict: bool,
}

#[derive(Clone, Copy)]
enum Form {
    DateTime,
    Date,
    Time,
    Duration,
    Uuid,
}

impl Textual {
    /// The object that text stands for, if it has the usual form.
    pub(super) fn made_of(&self, text: &str) -> Option<Object> {
        // SAFETY: objects are only made where the interpreter is attached.
        let py = unsafe { Python::assume_attached() };
        let made = match self.form {
            Form::DateTime => make::datetime(Quick::datetime(text)?).ok(),
            Form::Date => make::date(Quick::date(text)?).ok(),
            Form::Time => make::time(Quick::time(text)?).ok(),
            Form::Duration => return make::duration(py, Quick::duration(text)?).ok(),
            Form::Uuid => return make::uuid(py, Quick::uuid(text)?).ok(),
        };
        if made.is_none() {
            // Such as a year that Python does not have: the engine will say so.
            drop(PyErr::take(py));
        }
        made
    }
}

// SAFETY: the pointers are only followed where the interpreter is attached, and what they point to is not changed through them.
unsafe impl Send for FastPlan {}
// SAFETY: as above.
unsafe impl Sync for FastPlan {}

/// Deepest nesting that the path follows; the engine has its own limit.
const DEPTH: usize = 64;

impl FastPlan {
    /// The fast path of a schema, if all parts of it can take it.
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
        let mut maker = Maker { py, schema, hosts, literals, records: Vec::new(), depth: 0 };
        let root = maker.kind(program.root())?;
        Some(Self { records: maker.records, root })
    }

    /// The record at the root.
    #[inline(always)]
    fn root_record(&self) -> Option<&FastRecord> {
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
            let index = if record.keys.get(expected).is_some_and(|key| *key == name) {
                expected
            } else {
                match self.find(rules, record, name)? {
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
            let value = self.take(rules, &field.kind, value, depth)?;
            instance::write_slot(object.as_ptr(), field.offset, value);
            Some(())
        }
    }

    /// The field of this name; `Some(None)` if there is none and that does not matter.
    #[cold]
    unsafe fn find(
        &self,
        rules: Rules<'_>,
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
    unsafe fn take(
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
                    class == &raw mut ffi::PyLong_Type && {
                        let mut overflow = 0;
                        let int = ffi::PyLong_AsLongLongAndOverflow(value, &raw mut overflow);
                        overflow == 0 && *low <= int && int <= *high
                    }
                }
                Kind::FreeText => class == &raw mut ffi::PyUnicode_Type && is_text(value),
                Kind::Text(node) => {
                    class == &raw mut ffi::PyUnicode_Type
                        && match (rules.program.text_rule(*node), text_of(value)) {
                            (Some(rule), Some(text)) => rule.accepts(text),
                            _ => false,
                        }
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
                Kind::Float => class == &raw mut ffi::PyFloat_Type,
                Kind::Textual(textual) => {
                    if class == &raw mut ffi::PyUnicode_Type && !textual.strict && !rules.strict {
                        return textual.made_of(text_of(value)?);
                    }
                    class == textual.class
                }
                Kind::Literal { texts, .. } => return literal(texts, value),
                Kind::Enum { members, .. } => members.contains(&value),
                Kind::List { item, min, max } => {
                    return self.list(rules, item, *min, *max, value, depth);
                }
                Kind::Dict { value: inner, min, max } => {
                    return self.dict(rules, inner, *min, *max, value, depth);
                }
                Kind::Record(number) => {
                    let record = &self.records[*number];
                    if class == record.class {
                        true
                    } else if class == &raw mut ffi::PyDict_Type && depth < DEPTH {
                        // Held, because allocation may run a collection and with it other code.
                        let held = Object::borrowed(value);
                        return self.fill_dict(rules, record, held.as_ptr(), depth + 1);
                    } else {
                        false
                    }
                }
                Kind::Int { .. } | Kind::FreeText | Kind::Text(_) => {
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
                if ffi::PyUnicode_CheckExact(name) == 0 || !is_text(name) {
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
    /// How many types the current one lies inside of.
    depth: usize,
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

    fn textual(&self, node: NodeId, class: *mut ffi::PyTypeObject, form: Form) -> Kind {
        let strict = self.schema.program().is_strict(node);
        Kind::Textual(Textual { class, form, strict })
    }

    /// What a node takes; none if it lies deeper than values are read, as a list of itself does.
    fn kind(&mut self, node: NodeId) -> Option<Kind> {
        if self.depth >= DEPTH {
            return None;
        }
        self.depth += 1;
        let kind = self.kind_here(node);
        self.depth -= 1;
        kind
    }

    fn kind_here(&mut self, node: NodeId) -> Option<Kind> {
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
            Quick::DateTime => self.textual(node, api(|api| api.DateTimeType)?, Form::DateTime),
            Quick::Time => self.textual(node, api(|api| api.TimeType)?, Form::Time),
            Quick::Date => self.textual(node, api(|api| api.DateType)?, Form::Date),
            Quick::Duration => self.textual(node, api(|api| api.DeltaType)?, Form::Duration),
            Quick::Uuid => {
                self.textual(node, super::names::uuid(self.py).ok()?.as_type_ptr(), Form::Uuid)
            }
            Quick::Enum(number) => {
                let host = self.hosts.enumeration(program.enums().get(number)?.host)?;
                Kind::Enum { number, members: host.members.iter().map(Py::as_ptr).collect() }
            }
            Quick::Literal(number) => {
                let objects = self.literals.get(number)?;
                // Other objects than strings may equal each other although they are of different types.
                let is_text = |object: &&Py<PyAny>| {
                    object.bind(self.py).is_exact_instance_of::<pyo3::types::PyString>()
                };
                Kind::Literal {
                    number,
                    objects: objects.iter().map(Py::as_ptr).collect(),
                    texts: objects.iter().filter(is_text).map(Py::as_ptr).collect(),
                }
            }
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
