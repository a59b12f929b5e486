//! What the fast path knows of a schema. See `fast`.

#![allow(unsafe_code)]

use pyo3::ffi;
use pyo3::prelude::*;

use ottava_core::schema::{Extra, FieldDefault, Value};
use ottava_validate::{NodeId, Quick, Schema, TextRule};

use super::hosts::{Hosts, RecordHost, RecordKind};
use super::ints;
use super::layout::{self, Layout, Place};
use super::make;
use super::object::Object;

/// Deepest nesting that the path follows; the engine has its own limit.
pub(super) const DEPTH: usize = 64;

/// How the root of a plan is made, and the records in it.
pub(crate) struct FastPlan {
    pub(super) records: Vec<FastRecord>,
    pub(super) root: Kind,
}

pub(super) struct FastRecord {
    /// Kept alive by the plan's hosts, as its layout is.
    pub(super) class: *mut ffi::PyTypeObject,
    pub(super) layout: *const Layout,
    /// The record's number in the program.
    pub(super) number: usize,
    pub(super) fields: Vec<FastField>,
    pub(super) ignores_unknown: bool,
    /// A bit for each field.
    pub(super) full: u64,
}

pub(super) struct FastField {
    /// Its key in data, interned, as the plan's hosts keep it.
    pub(super) key: *mut ffi::PyObject,
    pub(super) kind: Kind,
    pub(super) offset: isize,
    pub(super) default: FastDefault,
}

pub(super) enum FastDefault {
    Required,
    /// Shared by all instances; kept alive by the plan's hosts.
    Shared(*mut ffi::PyObject),
    List,
    Dict,
}

/// What a value must be. Its first byte says which: that is looked at for each value.
#[repr(u8)]
pub(super) enum Kind {
    Int {
        low: i64,
        high: i64,
    },
    FreeText,
    Text(TextRule),
    Float,
    Any,
    Null,
    Nullable(Box<Kind>),
    Bool,
    /// Exactly of a class that has a form in text.
    Textual(Textual),
    Literal(Box<FastLiteral>),
    /// The members of the enum of this number, kept alive by the plan's hosts.
    Enum {
        number: usize,
        members: Box<[*mut ffi::PyObject]>,
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

/// The values of a literal, kept alive by the plan.
pub(super) struct FastLiteral {
    pub(super) number: usize,
    pub(super) objects: Box<[*mut ffi::PyObject]>,
    /// Those that are text.
    pub(super) texts: Box<[*mut ffi::PyObject]>,
}

/// A class whose values have a usual form in text.
pub(super) struct Textual {
    pub(super) class: *mut ffi::PyTypeObject,
    form: Form,
    /// Text alone is no such object.
    pub(super) strict: bool,
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

impl FastPlan {
    /// The fast path of a schema, if all parts of it can take it.
    pub(crate) fn compile(
        py: Python<'_>,
        schema: &Schema,
        hosts: &Hosts,
        literals: &[Vec<Py<PyAny>>],
    ) -> Option<Self> {
        if cfg!(Py_GIL_DISABLED) || !ints::are_usual(py) {
            return None;
        }
        let program = schema.program();
        let mut maker = Maker { py, schema, hosts, literals, records: Vec::new(), depth: 0 };
        let root = maker.kind(program.root())?;
        Some(Self { records: maker.records, root })
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
            fields: Vec::with_capacity(count),
            ignores_unknown: plan.extra == Extra::Ignore,
            full: (1 << count) - 1,
        });
        for (field, known) in plan.fields.iter().enumerate() {
            let key = host.keys.get(field)?.as_ptr();
            let Place::Slot(offset) = layout.fields[field].1 else { return None };
            let kind = self.kind(known.node)?;
            let default = default_of(host, field, &known.default)?;
            self.records[index].fields.push(FastField { key, kind, offset, default });
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
            Quick::Text(rule) => Kind::Text(rule),
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
                Kind::Literal(Box::new(FastLiteral {
                    number,
                    objects: objects.iter().map(Py::as_ptr).collect(),
                    texts: objects.iter().filter(is_text).map(Py::as_ptr).collect(),
                }))
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
