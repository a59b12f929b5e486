//! What an instance holds, for comparison, copies, pickles and assignment.

#![allow(unsafe_code)]

use pyo3::exceptions::{PyAttributeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFrozenSet, PySet, PyString, PyTuple, PyType};

use ottava_validate::{Code, Echo, Issue, Issues, Loc, Run, Stop};

use super::hosts::equal;
use super::input::PyInput;
use super::instance;
use super::issues;
use super::layout::{self, Layout};
use super::object::Object;
use super::output::{PyOutput, make_default, set_extra};
use super::plan::need_plan;
use super::session::Session;

/// The layout of a model instance.
fn layout_of<'a>(object: &'a Bound<'_, PyAny>) -> PyResult<&'a Layout> {
    if layout::is_model_instance(object) {
        // SAFETY: the class is of our metaclass and lives as long as its instance.
        let layout = unsafe { layout::layout_of(object.get_type_ptr()).as_ref() };
        if let Some(layout) = layout {
            return Ok(layout);
        }
    }
    Err(PyTypeError::new_err(format!(
        "expected a model instance, got {}",
        object.get_type().name()?
    )))
}

/// The names of the fields that were given when the instance was made, and not filled from their defaults, and of the extra fields that
/// were deleted since.
#[pyfunction]
pub(crate) fn fields_set<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PySet>> {
    let layout = layout_of(object)?;
    let names = PySet::empty(object.py())?;
    for (index, (name, _)) in layout.fields.iter().enumerate() {
        // SAFETY: the layout is that of the object.
        if unsafe { instance::is_given(object.as_ptr(), layout, index) } {
            names.add(name)?;
        }
    }
    if let Some(offset) = layout.deleted {
        // SAFETY: as above; a new reference is taken at once.
        let deleted = unsafe {
            let deleted = instance::read_slot(object.as_ptr(), offset);
            (!deleted.is_null()).then(|| Object::borrowed(deleted))
        };
        if let Some(deleted) = deleted {
            for name in deleted.bind(object.py()).try_iter()? {
                names.add(name?)?;
            }
        }
    }
    Ok(names)
}

/// All that an instance holds: fields, names of the given ones, private attributes and other slots, extra fields.
#[pyfunction]
pub(crate) fn get_state<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
    let py = object.py();
    let layout = layout_of(object)?;
    let fields = PyDict::new(py);
    for (index, (name, _)) in layout.fields.iter().enumerate() {
        // SAFETY: the layout is that of the object.
        if let Some(value) = unsafe { instance::field(object.as_ptr(), layout, index) } {
            fields.set_item(name, value.bind(py))?;
        }
    }
    let others = PyDict::new(py);
    for (name, offset) in &layout.others {
        if layout.is_note(*offset) {
            continue;
        }
        // SAFETY: as above; a new reference is taken at once.
        let value = unsafe {
            let value = instance::read_slot(object.as_ptr(), *offset);
            (!value.is_null()).then(|| Object::borrowed(value))
        };
        if let Some(value) = value {
            others.set_item(name, value.bind(py))?;
        }
    }
    let extra = match layout.extra {
        // SAFETY: as above.
        Some(offset) => unsafe {
            let value = instance::read_slot(object.as_ptr(), offset);
            if value.is_null() {
                py.None().into_bound(py)
            } else {
                Object::borrowed(value).into_bound(py)
            }
        },
        None => py.None().into_bound(py),
    };
    PyTuple::new(py, [fields.into_any(), fields_set(object)?.into_any(), others.into_any(), extra])
}

/// The fields of an instance and their values, under their names, and then its extra fields.
pub(crate) fn entries(object: &Bound<'_, PyAny>) -> PyResult<Vec<(Object, Object)>> {
    let py = object.py();
    let layout = layout_of(object)?;
    let mut entries = Vec::with_capacity(layout.fields.len());
    for (index, (name, _)) in layout.fields.iter().enumerate() {
        // SAFETY: the layout is that of the object.
        if let Some(value) = unsafe { instance::field(object.as_ptr(), layout, index) } {
            entries.push((name.bind(py).clone().into_any().into(), value));
        }
    }
    let extra = object.getattr(intern!(py, "model_extra"))?;
    if let Ok(extra) = extra.cast::<PyDict>() {
        for (key, value) in extra.iter() {
            // One that is called as a field with an alias is has no place beside it.
            if !layout.fields.iter().any(|(name, _)| key.eq(name).unwrap_or(false)) {
                entries.push((key.into(), value.into()));
            }
        }
    }
    Ok(entries)
}

/// Fills an instance with what `get_state` gave. Nothing is checked but the names.
#[pyfunction]
#[pyo3(signature = (object, fields, given, others, extra))]
pub(crate) fn set_state(
    object: &Bound<'_, PyAny>,
    fields: &Bound<'_, PyDict>,
    given: &Bound<'_, PySet>,
    others: &Bound<'_, PyDict>,
    extra: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    let py = object.py();
    let layout = layout_of(object)?;
    let mut bits = vec![false; layout.fields.len()];
    for (index, (name, _)) in layout.fields.iter().enumerate() {
        if let Some(value) = fields.get_item(name)? {
            // SAFETY: the layout is that of the object.
            unsafe { instance::set_field(object.as_ptr(), layout, index, value.into())? };
        }
        bits[index] = given.contains(name)?;
    }
    // SAFETY: as above.
    unsafe { instance::set_given(object.as_ptr(), layout, |index| bits[index]) };
    if let Some(offset) = layout.deleted
        && bits.iter().filter(|bit| **bit).count() < given.len()
    {
        let names = layout.fields.iter().map(|(name, _)| name);
        let deleted = given.call_method1(intern!(py, "difference"), (PyTuple::new(py, names)?,))?;
        let deleted = PyFrozenSet::new(py, deleted.try_iter()?.collect::<PyResult<Vec<_>>>()?)?;
        // SAFETY: as above.
        unsafe { instance::write_slot(object.as_ptr(), offset, deleted.into_any().into()) };
    }
    for (name, offset) in &layout.others {
        if layout.is_note(*offset) {
            continue;
        }
        if let Some(value) = others.get_item(name)? {
            // SAFETY: as above.
            unsafe { instance::write_slot(object.as_ptr(), *offset, value.into()) };
        }
    }
    if let Some(extra) = extra {
        let object = Object::from(object.clone());
        for (key, value) in extra.iter() {
            set_extra(py, &object, layout, key.extract()?, &value.into())?;
        }
    }
    Ok(())
}

/// Whether two objects are instances of one class, or of one generic class with or without arguments.
pub(crate) fn comparable(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<bool> {
    if a.get_type_ptr() == b.get_type_ptr() {
        return Ok(true);
    }
    if !layout::is_model_instance(a) || !layout::is_model_instance(b) {
        return Ok(false);
    }
    Ok(origin(&a.get_type())? == origin(&b.get_type())?)
}

/// The address of the generic class that a class was made of, or its own.
fn origin(class: &Bound<'_, PyType>) -> PyResult<usize> {
    let origin = class.getattr_opt(intern!(class.py(), "__ottava_origin__"))?;
    let origin = origin.filter(|origin| !origin.is_none());
    Ok(origin.map_or(class.as_ptr() as usize, |origin| origin.as_ptr() as usize))
}

/// Whether a model class is `wanted`, a generic class with arguments, with others or without.
pub(crate) fn is_of_origin(
    class: &Bound<'_, PyType>,
    wanted: &Bound<'_, PyType>,
) -> PyResult<bool> {
    Ok(layout::is_model_class(wanted.as_any()) && origin(class)? == origin(wanted)?)
}

/// Whether two instances that are `comparable` hold equal values.
#[pyfunction]
pub(crate) fn same(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = a.py();
    if !comparable(a, b)? {
        return Ok(false);
    }
    let (layout, other) = (layout_of(a)?, layout_of(b)?);
    if layout.fields.len() != other.fields.len() || layout.others.len() != other.others.len() {
        return Ok(false);
    }
    let both = |x: Option<Object>, y: Option<Object>| match (x, y) {
        (Some(x), Some(y)) => equal(&x.into_bound(py), &y.into_bound(py)),
        (None, None) => Ok(true),
        _ => Ok(false),
    };
    for index in 0..layout.fields.len() {
        // SAFETY: each is an instance of the class with its layout.
        let (x, y) = unsafe {
            (instance::field(a.as_ptr(), layout, index), instance::field(b.as_ptr(), other, index))
        };
        if !both(x, y)? {
            return Ok(false);
        }
    }
    for ((_, offset), (_, place)) in layout.others.iter().zip(&other.others) {
        let is_extra = Some(*offset) == layout.extra;
        if layout.is_note(*offset) && !is_extra {
            continue;
        }
        // SAFETY: as above; new references are taken at once.
        let (x, y) = unsafe {
            let read = |object: &Bound<'_, PyAny>, offset: isize| {
                let value = instance::read_slot(object.as_ptr(), offset);
                (!value.is_null()).then(|| Object::borrowed(value))
            };
            (read(a, *offset), read(b, *place))
        };
        // There may be a dictionary with nothing in it.
        let filled = |extra: &Object| !is_extra || extra.bind(py).is_truthy().unwrap_or(true);
        if !both(x.filter(filled), y.filter(filled))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Checks a value as field `name` of an instance and sets it.
///
/// Validators of the whole model are the caller's. Raises `ValidationError` and leaves the instance as it was.
#[pyfunction]
pub(crate) fn assign(
    object: &Bound<'_, PyAny>,
    name: &Bound<'_, PyString>,
    value: Bound<'_, PyAny>,
) -> PyResult<()> {
    let py = object.py();
    let layout = layout_of(object)?;
    let text = name.to_cow()?;
    let class = object.get_type();
    let owner = need_plan(&class)?;
    let plan = owner.get();
    let record = plan.schema.program().records().iter().find(|record| {
        plan.hosts
            .record(record.host)
            .and_then(|host| host.class())
            .is_some_and(|known| known.is(&class))
    });
    let found = record.and_then(|record| {
        record.fields.iter().position(|field| field.name == *text).map(|index| (record, index))
    });
    let Some((record, index)) = found else {
        return Err(PyAttributeError::new_err(format!("no field called '{text}'")));
    };
    let session = Session::default();
    let mut issues = Issues::new(plan.schema.limits().issues);
    let mut input = PyInput::new(py, &session, &plan.hosts);
    let mut output = PyOutput::new(&owner, &session);
    output.open_instance(object.clone().into(), layout, index);
    let checked = Run::new(
        plan.schema.program(),
        &mut input,
        &mut output,
        &mut issues,
        plan.schema.limits(),
        record_strict(plan, record),
    )
    .check(record.fields[index].node, (), value.into());
    match checked {
        // SAFETY: the layout is that of the object; fields of the record are those of the layout, in the same order.
        Ok(value) => unsafe {
            instance::set_field(object.as_ptr(), layout, index, value)?;
            let given: Vec<bool> = (0..layout.fields.len())
                .map(|other| other == index || instance::is_given(object.as_ptr(), layout, other))
                .collect();
            instance::set_given(object.as_ptr(), layout, |other| given[other]);
            Ok(())
        },
        Err(Stop::Abort) => Err(PyErr::fetch(py)),
        Err(Stop::Invalid) => {
            issues.locate(0, &Loc::Name(text.as_ref().into()));
            Err(issues::raise(py, &plan.name, issues, session, None))
        }
    }
}

fn record_strict(_plan: &super::plan::Plan, _record: &ottava_validate::RecordPlan) -> Option<bool> {
    None
}

/// The error of setting a field that is frozen, or of changing an instance that is.
#[pyfunction]
pub(crate) fn frozen_error<'py>(
    py: Python<'py>,
    title: &str,
    name: &str,
    value: Bound<'py, PyAny>,
    whole: bool,
) -> Bound<'py, PyAny> {
    let session = Session::default();
    let kept = session.keep(value.into());
    let mut issues = Issues::new(1);
    let code = if whole { Code::FrozenInstance } else { Code::FrozenField };
    issues.push(Issue::new(code, Echo::Host(kept)));
    issues.locate(0, &Loc::Name(name.into()));
    issues::raise(py, title, issues, session, None).into_value(py).into_bound(py).into_any()
}

/// An instance of `class` with these values, unchecked; fields that are missing get their defaults.
#[pyfunction]
#[pyo3(signature = (class, given, values, /))]
pub(crate) fn construct<'py>(
    class: &Bound<'py, PyType>,
    given: Option<&Bound<'py, PyAny>>,
    values: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    let owner = need_plan(class)?;
    let plan = owner.get();
    // SAFETY: `need_plan` has seen that the class is of our metaclass and complete.
    let Some(layout) = (unsafe { layout::layout_of(class.as_type_ptr()).as_ref() }) else {
        return Err(PyTypeError::new_err("the class has no layout"));
    };
    // SAFETY: as above.
    let object = unsafe { instance::allocate(class.as_type_ptr(), layout) }
        .ok_or_else(|| PyErr::fetch(py))?;
    let host = plan
        .hosts
        .records
        .iter()
        .find(|host| host.class().is_some_and(|known| known.is(class)))
        .ok_or_else(|| PyTypeError::new_err("the class has no record"))?;
    let record = plan.schema.program().records().iter().find(|record| {
        plan.hosts.record(record.host).is_some_and(|known| std::ptr::eq(known, host))
    });
    let mut bits = vec![false; layout.fields.len()];
    let session = Session::default();
    for (index, (name, _)) in layout.fields.iter().enumerate() {
        let found = match values.get_item(name)? {
            Some(value) => Some(value),
            None => match host.keys.get(index) {
                Some(key) => values.get_item(key)?,
                None => None,
            },
        };
        let value = match found {
            Some(value) => {
                bits[index] = true;
                Some(Object::from(value))
            }
            None => {
                let mut output = PyOutput::new(&owner, &session);
                match record.map(|record| (record, &record.fields[index].default)) {
                    None | Some((_, ottava_core::schema::FieldDefault::Required)) => None,
                    Some((record, default)) => {
                        use ottava_validate::Output;
                        Some(
                            output
                                .default((), record, index, default)
                                .map_err(|_| PyErr::fetch(py))?,
                        )
                    }
                }
            }
        };
        if let Some(value) = value {
            // SAFETY: the object was made with this layout.
            unsafe { instance::set_field(object.as_ptr(), layout, index, value)? };
        }
    }
    if let Some(given) = given {
        for (index, (name, _)) in layout.fields.iter().enumerate() {
            bits[index] = given.contains(name)?;
        }
    }
    // SAFETY: as above.
    unsafe { instance::set_given(object.as_ptr(), layout, |index| bits[index]) };
    for (offset, number) in &host.privates {
        if let Some(default) = plan.hosts.defaults.get(*number) {
            let value = make_default(py, default, || Ok(PyDict::new(py)))?;
            // SAFETY: the offset is that of a slot of this class.
            unsafe { instance::write_slot(object.as_ptr(), *offset, value) };
        }
    }
    Ok(object.into_bound(py))
}
