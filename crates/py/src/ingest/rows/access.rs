//! How a row is asked for its fields.

use std::collections::HashMap;

use ottava_core::schema::Field;
use pyo3::exceptions::PyAttributeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};

use crate::model::Slots;

/// Asks rows for the fields of a record. Rows that are alike are fast: dictionaries with their keys in one order, objects of one class.
pub(super) struct Access<'py> {
    names: Vec<Bound<'py, PyString>>,
    aliases: Vec<Option<Bound<'py, PyString>>>,
    /// Fields by name, and behind them by alias.
    fields: HashMap<String, usize>,
    /// The keys of the dictionary before this one, and the fields that they are.
    order: Vec<(Bound<'py, PyString>, Option<usize>)>,
    /// Fields that it did not have.
    absent: Vec<usize>,
    classes: Vec<Class<'py>>,
    undeclared: Vec<String>,
    /// What msgspec puts in the place of a field that was not given.
    unset: Option<Bound<'py, PyAny>>,
}

struct Class<'py> {
    class: Bound<'py, PyType>,
    slots: Slots,
}

type Value<'py> = Option<Bound<'py, PyAny>>;

/// The value of a key or attribute; `None` if there is none.
pub(super) fn get<'py>(
    row: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
) -> PyResult<Value<'py>> {
    match row.cast::<PyDict>() {
        Ok(dict) => dict.get_item(name),
        Err(_) => match row.getattr(name) {
            Ok(value) => Ok(Some(value)),
            Err(err) if err.is_instance_of::<PyAttributeError>(row.py()) => Ok(None),
            Err(err) => Err(err),
        },
    }
}

impl<'py> Access<'py> {
    pub(super) fn new<'f>(py: Python<'py>, fields: impl IntoIterator<Item = &'f Field>) -> Self {
        let mut access = Self {
            names: Vec::new(),
            aliases: Vec::new(),
            fields: HashMap::new(),
            order: Vec::new(),
            absent: Vec::new(),
            classes: Vec::new(),
            undeclared: Vec::new(),
            unset: unset(py),
        };
        let mut aliases = Vec::new();
        for (at, field) in fields.into_iter().enumerate() {
            access.names.push(PyString::intern(py, &field.name));
            access.aliases.push(field.alias.as_ref().map(|alias| PyString::intern(py, alias)));
            access.fields.insert(field.name.clone(), at);
            aliases.extend(field.alias.clone().map(|alias| (alias, at)));
        }
        for (alias, at) in aliases {
            access.fields.entry(alias).or_insert(at);
        }
        access
    }

    /// Keys that no field has, in order of first appearance.
    pub(super) fn into_undeclared(self) -> Vec<String> {
        self.undeclared
    }

    /// Gives `take` every field of a row once, in any order; `None` for one that the row does not have.
    #[inline]
    pub(super) fn each<E: From<PyErr>>(
        &mut self,
        row: &Bound<'py, PyAny>,
        mut take: impl FnMut(usize, Value<'py>) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Ok(dict) = row.cast::<PyDict>() {
            return self.each_of_dict(dict, &mut take);
        }
        let class = row.get_type_ptr();
        let at = match self.classes.iter().position(|known| known.class.as_type_ptr() == class) {
            Some(at) => at,
            None => self.learn_class(row)?,
        };
        for field in 0..self.names.len() {
            let value = match self.classes[at].slots.get(row, field) {
                Some(value) => value,
                None => self.ask(row, field)?,
            };
            take(field, value.filter(|value| !self.is_unset(value)))?;
        }
        Ok(())
    }

    fn each_of_dict<E: From<PyErr>>(
        &mut self,
        dict: &Bound<'py, PyDict>,
        take: &mut impl FnMut(usize, Value<'py>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut seen = 0;
        if dict.len() == self.order.len() {
            for (key, value) in dict.iter() {
                let Some((expected, field)) = self.order.get(seen) else { break };
                if !key.is(expected) && !same_text(&key, expected) {
                    break;
                }
                if let Some(field) = *field {
                    take(field, (!self.is_unset(&value)).then_some(value))?;
                }
                seen += 1;
            }
            if seen == self.order.len() {
                return self.absent.iter().try_for_each(|field| take(*field, None));
            }
        }
        // The keys that were right are done.
        let done: Vec<usize> = self.order[..seen].iter().filter_map(|(_, field)| *field).collect();
        for field in (0..self.names.len()).filter(|field| !done.contains(field)) {
            let value = self.ask(dict.as_any(), field)?;
            take(field, value.filter(|value| !self.is_unset(value)))?;
        }
        Ok(self.learn_keys(dict)?)
    }

    fn is_unset(&self, value: &Bound<'py, PyAny>) -> bool {
        self.unset.as_ref().is_some_and(|unset| unset.is(value))
    }

    fn ask(&self, row: &Bound<'py, PyAny>, field: usize) -> PyResult<Value<'py>> {
        match (get(row, &self.names[field])?, &self.aliases[field]) {
            (None, Some(alias)) => get(row, alias),
            (value, _) => Ok(value),
        }
    }

    #[cold]
    fn learn_keys(&mut self, dict: &Bound<'py, PyDict>) -> PyResult<()> {
        let mut order = Vec::with_capacity(dict.len());
        let mut known = vec![false; self.names.len()];
        let mut twice = false;
        for key in dict.keys() {
            let key = key.cast_into::<PyString>()?;
            let name = key.to_str()?;
            let field = self.fields.get(name).copied();
            match field {
                // Under its name and its alias: the name counts.
                Some(field) => twice |= std::mem::replace(&mut known[field], true),
                None if !self.undeclared.iter().any(|other| other == name) => {
                    self.undeclared.push(name.to_owned());
                }
                None => {}
            }
            order.push((key, field));
        }
        if twice {
            order.clear();
        }
        self.absent = (0..known.len()).filter(|field| !known[*field]).collect();
        self.order = order;
        Ok(())
    }

    #[cold]
    fn learn_class(&mut self, row: &Bound<'py, PyAny>) -> PyResult<usize> {
        let class = row.get_type();
        let slots = Slots::of(&class, &self.names)?;
        self.classes.push(Class { class, slots });
        Ok(self.classes.len() - 1)
    }
}

fn same_text(key: &Bound<'_, PyAny>, expected: &Bound<'_, PyString>) -> bool {
    match (key.cast::<PyString>().map(|key| key.to_str()), expected.to_str()) {
        (Ok(Ok(key)), Ok(expected)) => key == expected,
        _ => false,
    }
}

/// `msgspec.UNSET`, if msgspec is there; nobody can have put it into a row otherwise.
fn unset(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    let modules = py.import("sys").ok()?.getattr("modules").ok()?;
    modules.get_item("msgspec").ok()?.getattr(intern!(py, "UNSET")).ok()
}
