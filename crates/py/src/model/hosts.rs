//! What a declaration of a Python class refers to by number: classes, enum members, validators, defaults.

#![allow(unsafe_code)]

use std::ffi::c_int;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::pyclass::{PyTraverseError, PyVisit};
use pyo3::types::{PyString, PyType};

/// The Python side of a declaration.
#[derive(Default)]
pub(crate) struct Hosts {
    pub(crate) records: Vec<RecordHost>,
    pub(crate) enums: Vec<EnumHost>,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) defaults: Vec<Default_>,
    /// Some validator wants to see the fields that were checked before it.
    pub(crate) wants_data: bool,
}

/// What a checked record becomes.
pub(crate) enum RecordKind {
    /// An instance of a model class, filled through its slots.
    Model,
    /// Nothing: the model class has abstract methods.
    Abstract,
    /// A plain dictionary; for other classes than models, a validator makes the instance out of it.
    Dict,
}

/// A record's class, and what its instances need beyond their fields.
pub(crate) struct RecordHost {
    pub(crate) kind: RecordKind,
    pub(crate) class: Option<Py<PyType>>,
    /// Keys in data, interned, in order of the fields.
    pub(crate) keys: Vec<Py<PyString>>,
    /// Names in the program, interned, in order of the fields.
    pub(crate) names: Vec<Py<PyString>>,
    /// The declared defaults that can be shared between instances, in order of the fields.
    pub(crate) shared: Vec<Option<Py<PyAny>>>,
    /// Private attributes: the offset of the slot, and what is put there.
    pub(crate) privates: Vec<(isize, usize)>,
}

impl RecordHost {
    /// A record without a class: a dictionary.
    pub(crate) const PLAIN: Self = Self {
        kind: RecordKind::Dict,
        class: None,
        keys: Vec::new(),
        names: Vec::new(),
        shared: Vec::new(),
        privates: Vec::new(),
    };

    pub(crate) fn class(&self) -> Option<&Py<PyType>> {
        self.class.as_ref()
    }
}

/// An enum class.
pub(crate) struct EnumHost {
    pub(crate) class: Py<PyAny>,
    /// Its members, in the order of the declaration.
    pub(crate) members: Vec<Py<PyAny>>,
}

/// When a validator runs, and what else it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// With the value as it came.
    Before,
    /// With the value as the type made it.
    After,
    /// Instead of the type.
    Plain,
    /// Around the type: gets the value and a function that checks it.
    Wrap,
    /// The value must be an instance of the class.
    Instance,
    /// A class with its own `__init__` makes the record from the keys and values.
    Init,
    /// As `After`, on a finished model instance, which the validator may return or not.
    Model,
    /// This method of a new model instance is called.
    PostInit,
    /// The class is called with the checked fields as keywords.
    Construct,
    /// This compiled `re` pattern must be found in the text.
    Pattern,
    /// Where nothing may be converted, and the value is none of JSON, it must be an instance of the class.
    Exact,
    /// As `Before`, where values may be converted; what it changes is converted.
    Lax,
}

/// A validator.
pub(crate) struct Hook {
    pub(crate) mode: Mode,
    pub(crate) function: Py<PyAny>,
    /// It takes a second argument with the field's name and the fields before it.
    pub(crate) info: bool,
    pub(crate) field: Option<Py<PyString>>,
}

/// A default that is not plain data.
pub(crate) enum Default_ {
    /// This object, itself.
    Shared(Py<PyAny>),
    /// A deep copy of this object.
    Copied(Py<PyAny>),
    /// What calling this gives; with the fields before it, if it takes them.
    Factory(Py<PyAny>, bool),
}

impl Hosts {
    #[inline]
    pub(crate) fn record(&self, number: Option<u32>) -> Option<&RecordHost> {
        self.records.get(number? as usize)
    }

    #[inline]
    pub(crate) fn keys(&self, number: Option<u32>) -> Option<&[Py<PyString>]> {
        self.record(number).map(|record| record.keys.as_slice())
    }

    #[inline]
    pub(crate) fn enumeration(&self, number: Option<u32>) -> Option<&EnumHost> {
        self.enums.get(number? as usize)
    }

    /// Shows every object to the collector.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        for record in &self.records {
            visit.call(&record.class)?;
            for default in record.shared.iter().flatten() {
                visit.call(default)?;
            }
        }
        for enumeration in &self.enums {
            visit.call(&enumeration.class)?;
        }
        for hook in &self.hooks {
            visit.call(&hook.function)?;
        }
        for default in &self.defaults {
            match default {
                Default_::Shared(value) | Default_::Copied(value) | Default_::Factory(value, _) => {
                    visit.call(value)?;
                }
            }
        }
        Ok(())
    }
}

/// Whether two objects are equal; an exception of the comparison is the caller's.
pub(crate) fn equal(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<bool> {
    // SAFETY: both objects are alive.
    let result: c_int =
        unsafe { ffi::PyObject_RichCompareBool(a.as_ptr(), b.as_ptr(), ffi::Py_EQ) };
    if result < 0 { Err(PyErr::fetch(a.py())) } else { Ok(result == 1) }
}
