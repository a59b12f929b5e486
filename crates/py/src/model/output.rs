//! Python objects as a sink of the engine: models are filled through their slots.

#![allow(unsafe_code)]

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use ottava_core::schema::{Date, DateTime, Duration, FieldDefault, Time, Value};
use ottava_validate::{
    Checked, Collection, EnumPlan, Given, HostValue, Input, LiteralPlan, NodeId, Output,
    RecordPlan, Run, Stop, plain,
};

use super::hooks;
use super::hosts::{Default_, Hosts, RecordHost, RecordKind};
use super::input::{abort, or_abort};
use super::instance;
use super::layout::{self, Layout};
use super::make;
use super::names;
use super::object::Object;
use super::plan::Plan;
use super::session::Session;

/// Makes Python objects.
pub(crate) struct PyOutput<'s, 'py> {
    pub(crate) py: Python<'py>,
    pub(crate) plan: &'s Plan,
    pub(crate) owner: &'s Bound<'py, Plan>,
    pub(crate) session: &'s Session,
    /// The caller's own object, which validators may ask for.
    pub(crate) context: Option<Bound<'py, PyAny>>,
    /// What the caller says about reading attributes, for inputs that validators make.
    pub(crate) from_attributes: Option<bool>,
    /// The first record of this object's class is filled into it.
    pub(crate) target: Option<Object>,
    /// The value came from JSON text.
    pub(crate) is_json: bool,
    /// A signal handler has raised an exception, which ended the run.
    pub(crate) interrupted: bool,
    /// The records in progress, outermost first, if a validator wants to see them.
    open: Vec<Open>,
}

struct Open {
    fields: Object,
    layout: Option<*const Layout>,
    /// The field of a finished instance that is being assigned.
    assigned: Option<usize>,
}

impl<'s, 'py> PyOutput<'s, 'py> {
    pub(crate) fn new(owner: &'s Bound<'py, Plan>, session: &'s Session) -> Self {
        let (py, plan) = (owner.py(), owner.get());
        Self {
            py,
            plan,
            owner,
            session,
            context: None,
            from_attributes: None,
            target: None,
            is_json: false,
            interrupted: false,
            open: Vec::new(),
        }
    }

    pub(crate) fn hosts(&self) -> &'s Hosts {
        &self.plan.hosts
    }

    /// The fields of the innermost record that have been checked so far.
    pub(crate) fn data(&self) -> PyResult<Bound<'py, PyDict>> {
        let Some(open) = self.open.last() else { return Ok(PyDict::new(self.py)) };
        let fields = open.fields.bind(self.py);
        let Some(layout) = open.layout else { return fields.cast::<PyDict>()?.copy() };
        let data = PyDict::new(self.py);
        // SAFETY: the layout is that of the object's class, which the object keeps alive.
        let layout = unsafe { &*layout };
        for (index, (name, _)) in layout.fields.iter().enumerate() {
            if open.assigned == Some(index) {
                continue;
            }
            // SAFETY: as above.
            if let Some(value) = unsafe { instance::field(fields.as_ptr(), layout, index) } {
                data.set_item(name, value.bind(self.py))?;
            }
        }
        Ok(data)
    }

    fn host_default(&mut self, number: u32) -> PyResult<Object> {
        let Some(default) = self.hosts().defaults.get(number as usize) else {
            return Ok(Object::none());
        };
        make_default(self.py, default, || self.data())
    }
}

/// A fresh default.
pub(crate) fn make_default<'py>(
    py: Python<'py>,
    default: &Default_,
    data: impl FnOnce() -> PyResult<Bound<'py, PyDict>>,
) -> PyResult<Object> {
    Ok(match default {
        Default_::Shared(value) => value.bind(py).clone().into(),
        Default_::Copied(value) => {
            py.import(intern!(py, "copy"))?.call_method1(intern!(py, "deepcopy"), (value,))?.into()
        }
        Default_::Factory(factory, false) => factory.bind(py).call0()?.into(),
        Default_::Factory(factory, true) => factory.bind(py).call1((data()?,))?.into(),
    })
}

/// A record that is being made.
pub(crate) struct Building<'s> {
    object: Object,
    /// `None` for a plain dictionary.
    layout: Option<&'s Layout>,
    plan: &'s RecordHost,
    depth: usize,
}

/// A list, tuple or set that is being made.
pub(crate) struct Items {
    kind: Collection,
    object: Object,
}

impl<'s, 'py> Output for PyOutput<'s, 'py> {
    type Value = Object;
    type Place = ();
    type Seq = Items;
    type Map = Object;
    type Record = Building<'s>;

    const TAKES_HOST: bool = true;

    #[inline]
    fn in_order(&self) -> bool {
        self.hosts().wants_data
    }

    #[inline]
    fn host(&mut self, (): (), value: HostValue) -> Checked<Object> {
        // SAFETY: host values come from `PyInput`, which holds the object while the engine uses it.
        Ok(unsafe { Object::borrowed(value.address().as_ptr().cast()) })
    }

    #[inline]
    fn null(&mut self, (): ()) -> Checked<Object> {
        Ok(Object::none())
    }

    #[inline]
    fn bool(&mut self, (): (), value: bool) -> Checked<Object> {
        Ok(make::bool(value))
    }

    #[inline]
    fn int(&mut self, (): (), value: i64) -> Checked<Object> {
        make::int(value)
    }

    fn big_int(&mut self, (): (), digits: &str) -> Checked<Object> {
        or_abort(self.py, make::big_int(self.py, digits))
    }

    #[inline]
    fn float(&mut self, (): (), value: f64) -> Checked<Object> {
        make::float(value)
    }

    #[inline]
    fn str(&mut self, (): (), value: &str) -> Checked<Object> {
        make::str(value)
    }

    fn bytes(&mut self, (): (), value: &[u8]) -> Checked<Object> {
        make::bytes(value)
    }

    fn decimal(&mut self, (): (), value: &str) -> Checked<Object> {
        let made = names::decimal(self.py).and_then(|class| class.call1((value,)));
        or_abort(self.py, made).map(Object::from)
    }

    fn datetime(&mut self, (): (), value: DateTime) -> Checked<Object> {
        make::datetime(value)
    }

    fn date(&mut self, (): (), value: Date) -> Checked<Object> {
        make::date(value)
    }

    fn time(&mut self, (): (), value: Time) -> Checked<Object> {
        make::time(value)
    }

    fn duration(&mut self, (): (), value: Duration) -> Checked<Object> {
        or_abort(self.py, make::duration(self.py, value))
    }

    fn uuid(&mut self, (): (), value: u128) -> Checked<Object> {
        or_abort(self.py, make::uuid(self.py, value))
    }

    fn enum_member(&mut self, (): (), plan: &EnumPlan, index: usize) -> Checked<Object> {
        match self.hosts().enumeration(plan.host).and_then(|host| host.members.get(index)) {
            Some(member) => Ok(member.bind(self.py).clone().into()),
            None => plain(self, (), &plan.members[index].value),
        }
    }

    fn literal(&mut self, (): (), plan: &LiteralPlan, index: usize) -> Checked<Object> {
        match self.plan.literals.get(plan.id).and_then(|values| values.get(index)) {
            Some(value) => Ok(value.bind(self.py).clone().into()),
            None => plain(self, (), &plan.values[index]),
        }
    }

    fn default(
        &mut self,
        (): (),
        record: &RecordPlan,
        field: usize,
        default: &FieldDefault,
    ) -> Checked<Object> {
        if let Some(host) = self.hosts().record(record.host)
            && let Some(Some(shared)) = host.shared.get(field)
        {
            return Ok(shared.bind(self.py).clone().into());
        }
        match default {
            FieldDefault::Value(value) => plain(self, (), value),
            FieldDefault::Host(number) => {
                let made = self.host_default(*number);
                or_abort(self.py, made)
            }
            _ => Ok(Object::none()),
        }
    }

    fn needs_fields(&self, default: &FieldDefault) -> bool {
        let FieldDefault::Host(number) = default else { return false };
        matches!(self.hosts().defaults.get(*number as usize), Some(Default_::Factory(_, true)))
    }

    fn seq(&mut self, (): (), kind: Collection) -> Checked<Items> {
        // SAFETY: each call gives a new reference, or null with an exception set. Until it is done, nobody is to find the collection among
        // the objects of the collector.
        let object = unsafe {
            let object = make::made(match kind {
                Collection::List | Collection::Tuple => ffi::PyList_New(0),
                Collection::Set => ffi::PySet_New(std::ptr::null_mut()),
                Collection::FrozenSet => ffi::PyFrozenSet_New(std::ptr::null_mut()),
            })?;
            ffi::PyObject_GC_UnTrack(object.as_ptr().cast());
            object
        };
        Ok(Items { kind, object })
    }

    fn item_place(&mut self, (): (), _seq: &Items) {}

    #[inline]
    fn push(&mut self, seq: &mut Items, item: Object) -> Checked<bool> {
        // SAFETY: the collection is new and nobody else's; adding takes a reference of its own.
        unsafe {
            let status = match seq.kind {
                Collection::List | Collection::Tuple => {
                    ffi::PyList_Append(seq.object.as_ptr(), item.as_ptr())
                }
                Collection::Set | Collection::FrozenSet => {
                    ffi::PySet_Add(seq.object.as_ptr(), item.as_ptr())
                }
            };
            if status == 0 { Ok(true) } else { self.unhashable() }
        }
    }

    fn distinct(&self, seq: &Items) -> Option<usize> {
        match seq.kind {
            // SAFETY: the object is a set.
            Collection::Set | Collection::FrozenSet => unsafe {
                Some(ffi::PySet_Size(seq.object.as_ptr()) as usize)
            },
            _ => None,
        }
    }

    fn end_seq(&mut self, (): (), seq: Items) -> Checked<Object> {
        match seq.kind {
            // SAFETY: the object is a list.
            Collection::Tuple => unsafe { make::made(ffi::PyList_AsTuple(seq.object.as_ptr())) },
            // SAFETY: the collection was hidden when it was made.
            _ => unsafe {
                ffi::PyObject_GC_Track(seq.object.as_ptr().cast());
                Ok(seq.object)
            },
        }
    }

    fn map(&mut self, (): ()) -> Checked<Object> {
        // SAFETY: gives a new reference, or null with an exception set.
        unsafe { make::made(ffi::PyDict_New()) }
    }

    fn key_place(&mut self, (): (), _map: &Object) {}

    fn value_place(&mut self, (): (), _map: &Object) {}

    #[inline]
    fn insert(&mut self, map: &mut Object, key: Object, value: Object) -> Checked<bool> {
        // SAFETY: the object is a dictionary of our own; inserting takes references of its own.
        let status = unsafe { ffi::PyDict_SetItem(map.as_ptr(), key.as_ptr(), value.as_ptr()) };
        if status == 0 { Ok(true) } else { self.unhashable() }
    }

    fn end_map(&mut self, (): (), map: Object) -> Checked<Object> {
        Ok(map)
    }

    fn record(&mut self, (): (), plan: &RecordPlan) -> Checked<Building<'s>> {
        let hosts = self.hosts();
        let Some(host) = hosts.record(plan.host) else {
            static PLAIN: RecordHost = RecordHost::PLAIN;
            return self.open_record(self.new_dict()?, None, &PLAIN);
        };
        match (&host.kind, &host.class) {
            (RecordKind::Model, Some(class)) => {
                let class = class.bind(self.py).as_type_ptr();
                // SAFETY: model hosts are only made for classes of our metaclass, and the plan keeps the class and so its
                // layout alive.
                unsafe {
                    let Some(layout) = layout::layout_of(class).as_ref() else {
                        return abort(self.py, hooks::incomplete(class));
                    };
                    let object = match self.target.take() {
                        Some(target) if ffi::Py_TYPE(target.as_ptr()) == class => target,
                        other => {
                            self.target = other;
                            instance::allocate(class, layout).ok_or(Stop::Abort)?
                        }
                    };
                    self.open_record(object, Some(layout), host)
                }
            }
            (RecordKind::Abstract, Some(class)) => {
                abort(self.py, hooks::not_made(class.bind(self.py)))
            }
            _ => self.open_record(self.new_dict()?, None, host),
        }
    }

    #[inline]
    fn field_place(&mut self, (): (), record: &Building<'s>, _field: usize) {
        if self.hosts().wants_data {
            self.open.truncate(record.depth);
        }
    }

    #[inline]
    fn field(&mut self, record: &mut Building<'s>, field: usize, value: Object) -> Checked<()> {
        match record.layout {
            Some(layout) if layout.all_slots => {
                if let layout::Place::Slot(offset) = layout.fields[field].1 {
                    // SAFETY: the object was made with this layout.
                    unsafe { instance::write_slot(record.object.as_ptr(), offset, value) };
                }
                Ok(())
            }
            // SAFETY: as above.
            Some(layout) => unsafe {
                or_abort(self.py, instance::set_field(record.object.as_ptr(), layout, field, value))
            },
            None => {
                let Some(name) = record.plan.names.get(field) else { return Ok(()) };
                let dict = record.object.bind(self.py);
                // SAFETY: the object is a dictionary.
                let status =
                    unsafe { ffi::PyDict_SetItem(dict.as_ptr(), name.as_ptr(), value.as_ptr()) };
                if status == 0 { Ok(()) } else { Err(Stop::Abort) }
            }
        }
    }

    fn extra_place(&mut self, (): (), record: &Building<'s>) {
        self.field_place((), record, 0);
    }

    fn extra(&mut self, record: &mut Building<'s>, key: &str, value: Object) -> Checked<()> {
        let py = self.py;
        let result = match record.layout {
            None => record.object.bind(py).set_item(key, value.bind(py)),
            Some(layout) => set_extra(py, &record.object, layout, key, &value),
        };
        or_abort(py, result)
    }

    fn end_record(
        &mut self,
        (): (),
        plan: &RecordPlan,
        record: Building<'s>,
        given: &Given,
    ) -> Checked<Object> {
        let Building { object, layout, plan: host, depth } = record;
        if let Some(layout) = layout {
            // SAFETY: the object was made with this layout.
            unsafe { instance::set_given(object.as_ptr(), layout, |field| given.contains(field)) };
            for (offset, number) in &host.privates {
                let made = self.host_default(*number as u32);
                let value = or_abort(self.py, made)?;
                // SAFETY: the offset is that of a slot of this class.
                unsafe { instance::write_slot(object.as_ptr(), *offset, value) };
            }
        }
        let _ = plan;
        self.open.truncate(depth.saturating_sub(1));
        Ok(object)
    }

    fn hook<I: Input>(
        run: &mut Run<'_, I, Self>,
        hook: u32,
        inner: NodeId,
        (): (),
        value: I::Value,
    ) -> Checked<Object> {
        hooks::run_hook(run, hook, inner, value)
    }
}

impl<'s> PyOutput<'s, '_> {
    fn new_dict(&self) -> Checked<Object> {
        // SAFETY: gives a new reference, or null with an exception set.
        unsafe { make::made(ffi::PyDict_New()) }
    }

    /// Lets validators see fields that were checked in another run.
    pub(crate) fn open_data(&mut self, data: Object) {
        self.open.push(Open { fields: data, layout: None, assigned: None });
    }

    /// Lets validators of one field of a finished instance see the others.
    pub(crate) fn open_instance(&mut self, object: Object, layout: &'s Layout, field: usize) {
        let layout = Some(std::ptr::from_ref(layout));
        self.open.push(Open { fields: object, layout, assigned: Some(field) });
    }

    #[inline]
    fn open_record(
        &mut self,
        object: Object,
        layout: Option<&'s Layout>,
        plan: &'s RecordHost,
    ) -> Checked<Building<'s>> {
        if self.hosts().wants_data {
            let layout = layout.map(std::ptr::from_ref);
            self.open.push(Open { fields: object.clone(), layout, assigned: None });
        }
        Ok(Building { object, layout, plan, depth: self.open.len() })
    }

    /// After adding to a set or a dictionary has failed: `Ok(false)` if the object cannot be hashed.
    #[cold]
    fn unhashable(&mut self) -> Checked<bool> {
        let error = PyErr::fetch(self.py);
        if error.is_instance_of::<pyo3::exceptions::PyTypeError>(self.py) {
            return Ok(false);
        }
        abort(self.py, error)
    }
}

/// Keeps a field that is not declared: in the instance's dictionary, or in the map in its hidden slot.
pub(crate) fn set_extra(
    py: Python<'_>,
    object: &Object,
    layout: &Layout,
    key: &str,
    value: &Object,
) -> PyResult<()> {
    let Some(offset) = layout.extra else {
        // There a field would be overwritten by what was not checked as its value.
        if layout.fields.iter().any(|(name, _)| name.bind(py) == key) {
            return Ok(());
        }
        return object.bind(py).getattr(intern!(py, "__dict__"))?.set_item(key, value.bind(py));
    };
    // SAFETY: the offset is that of a slot of the object's class, which only ever holds a dictionary of our own.
    unsafe {
        let held = instance::read_slot(object.as_ptr(), offset);
        let dict = if held.is_null() {
            let dict = PyDict::new(py);
            instance::write_slot(object.as_ptr(), offset, dict.clone().into_any().into());
            dict
        } else {
            Bound::from_borrowed_ptr(py, held).cast_into::<PyDict>()?
        };
        dict.set_item(key, value.bind(py))
    }
}

/// Values of a literal as Python objects, made once.
pub(crate) fn literal_objects(py: Python<'_>, values: &[Value]) -> PyResult<Vec<Py<PyAny>>> {
    let tuple: PyResult<Vec<_>> = values
        .iter()
        .map(|value| {
            Ok(match value {
                Value::Null => py.None(),
                Value::Bool(value) => make::bool(*value).into_bound(py).unbind(),
                Value::Int(value) => value.into_pyobject(py)?.into_any().unbind(),
                Value::Str(text) => pyo3::types::PyString::intern(py, text).into_any().unbind(),
                other => {
                    return Err(pyo3::exceptions::PyTypeError::new_err(format!(
                        "{other:?} is no literal"
                    )));
                }
            })
        })
        .collect();
    PyTuple::new(py, tuple?)?.iter().map(|value| Ok(value.unbind())).collect()
}
