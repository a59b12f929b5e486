//! How a row is asked for its fields.

use std::collections::HashMap;

use ottava_core::schema::Field;
use pyo3::exceptions::PyAttributeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};

use super::bad::Bad;
use crate::error::INGEST;
use crate::ingest::raise::shown;
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
    /// Instances have attributes of their own, beyond those that the class names.
    open: bool,
}

type Done<'py> = Result<(), Box<Bad<'py>>>;

type Value<'py> = Option<Bound<'py, PyAny>>;

/// The value of a key or attribute; `None` if there is none.
pub(in crate::ingest) fn get<'py>(
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
        // A first row without keys has none of the fields.
        access.absent = (0..access.names.len()).collect();
        access
    }

    /// Whether a row had a key or an attribute that no field has.
    pub(super) fn met_undeclared(&self) -> bool {
        !self.undeclared.is_empty()
    }

    /// Keys and attributes that no field has, in order of first appearance.
    pub(super) fn into_undeclared(self) -> Vec<String> {
        self.undeclared
    }

    /// Gives `take` every field of a row once, in any order; `None` for one that the row does not have.
    #[inline]
    pub(super) fn each(
        &mut self,
        row: &Bound<'py, PyAny>,
        mut take: impl FnMut(usize, Value<'py>) -> Done<'py>,
    ) -> Done<'py> {
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
        if self.classes[at].open {
            self.learn_attributes(own_attributes(row)?);
        }
        Ok(())
    }

    fn each_of_dict(
        &mut self,
        dict: &Bound<'py, PyDict>,
        take: &mut impl FnMut(usize, Value<'py>) -> Done<'py>,
    ) -> Done<'py> {
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
        self.learn_keys(dict)
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
    fn learn_keys(&mut self, dict: &Bound<'py, PyDict>) -> Done<'py> {
        let mut order = Vec::with_capacity(dict.len());
        let mut known = vec![false; self.names.len()];
        let mut twice = false;
        for key in dict.keys() {
            let key = key.cast_into::<PyString>();
            let key = key.map_err(|err| Bad::value("text as key", &err.into_inner()))?;
            let name = key.to_str();
            let name =
                name.map_err(|_| Bad::value("a key without lone surrogates", key.as_any()))?;
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
        self.learn_attributes(class_attributes(&class)?);
        let open = has_own_attributes(row)?;
        self.classes.push(Class { class, slots, open });
        Ok(self.classes.len() - 1)
    }

    fn learn_attributes(&mut self, names: Vec<String>) {
        for name in names {
            if !self.fields.contains_key(&name) && !self.undeclared.contains(&name) {
                self.undeclared.push(name);
            }
        }
    }
}

/// The data attributes that a class names for all of its instances: fields of Structs, models, data classes and named tuples, and
/// slots. Names with an underscore in front are private.
fn class_attributes(class: &Bound<'_, PyType>) -> PyResult<Vec<String>> {
    let py = class.py();
    let mut names: Vec<String> = Vec::new();
    let named = [
        intern!(py, "__struct_fields__"),
        intern!(py, "model_fields"),
        intern!(py, "__dataclass_fields__"),
        intern!(py, "_fields"),
    ];
    for list in named {
        if let Ok(fields) = class.getattr(list)
            && let Ok(fields) = fields.try_iter()
        {
            for name in fields {
                names.extend(name?.extract::<String>());
            }
            break;
        }
    }
    if names.is_empty() {
        for base in class.mro() {
            let Ok(slots) = base.getattr(intern!(py, "__dict__"))?.get_item("__slots__") else {
                continue;
            };
            match slots.cast::<PyString>() {
                Ok(one) => names.push(one.to_string_lossy().into_owned()),
                Err(_) => {
                    for name in slots.try_iter()? {
                        names.extend(name?.extract::<String>());
                    }
                }
            }
        }
    }
    names.retain(|name| !name.starts_with('_'));
    Ok(names)
}

/// The names of the data that a row has: its keys, or its attributes.
pub(in crate::ingest) fn names(row: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    if let Ok(dict) = row.cast::<PyDict>() {
        let name = |key: Bound<'_, PyAny>| {
            let text = format!("expected text as key, found {}", shown(&key));
            key.extract().map_err(|_| INGEST.new_err(key.py(), (text,)))
        };
        return dict.keys().iter().map(name).collect();
    }
    let mut names = class_attributes(&row.get_type())?;
    if has_own_attributes(row)? {
        for name in own_attributes(row)? {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    Ok(names)
}

/// Whether instances may have attributes that their class does not name: a model only if it keeps extra fields, a data class never.
fn has_own_attributes(row: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = row.py();
    let class = row.get_type();
    if class.hasattr(intern!(py, "model_fields"))? {
        let config = class.getattr(intern!(py, "model_config"));
        let extra = config.and_then(|config| config.get_item("extra"));
        return Ok(extra.is_ok_and(|extra| extra.eq("allow").unwrap_or(false)));
    }
    Ok(!class.hasattr(intern!(py, "__dataclass_fields__"))?
        && row.hasattr(intern!(py, "__dict__"))?)
}

/// The attributes that an instance has of its own: the extra fields of a model, or else what is in its `__dict__`.
fn own_attributes(row: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    let py = row.py();
    let mut names: Vec<String> = Vec::new();
    for place in [intern!(py, "model_extra"), intern!(py, "__dict__")] {
        if let Ok(own) = row.getattr(place)
            && let Ok(own) = own.cast::<PyDict>()
        {
            names.extend(own.keys().iter().filter_map(|name| name.extract::<String>().ok()));
            break;
        }
    }
    names.retain(|name| !name.starts_with('_'));
    Ok(names)
}

fn same_text(key: &Bound<'_, PyAny>, expected: &Bound<'_, PyString>) -> bool {
    match (key.cast::<PyString>().map(|key| key.to_str()), expected.to_str()) {
        (Ok(Ok(key)), Ok(expected)) => key == expected,
        _ => false,
    }
}

/// `msgspec.UNSET`, if msgspec is there; nobody can have put it into a row otherwise.
pub(in crate::ingest) fn unset(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    let modules = py.import("sys").ok()?.getattr("modules").ok()?;
    modules.get_item("msgspec").ok()?.getattr(intern!(py, "UNSET")).ok()
}
