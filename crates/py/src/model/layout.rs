//! Where the fields of an instance are stored, and the metaclass that keeps this with the class.
//!
//! A model class is an ordinary heap type that CPython itself built from `__slots__`; its member descriptors are read by
//! the specializing interpreter at slot speed. The metaclass only makes each class object a little longer: behind the
//! `PyHeapTypeObject` lies a [`Tail`] with the offsets of the slots and the compiled plan, so that native code reaches them
//! with one load.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyTuple, PyType};

use super::instance;
use super::plan::Plan;
use super::spare;

/// Where one field of an instance is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// An object slot this many bytes into the instance.
    Slot(isize),
    /// The instance's `__dict__`.
    Dict,
}

/// Where everything of an instance is stored. Outlives every instance of its class.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The declared fields, in order, with their interned names.
    pub(crate) fields: Vec<(Py<PyString>, Place)>,
    /// Slots beyond the fields: private attributes and bookkeeping.
    pub(crate) others: Vec<(Py<PyString>, isize)>,
    /// Slot of the map of extra fields, where the class keeps them.
    pub(crate) extra: Option<isize>,
    /// Slot of the names of extra fields that were deleted.
    pub(crate) deleted: Option<isize>,
    /// Slot of the set of given fields, where they do not fit the bits of the instance's head.
    pub(crate) given: Option<isize>,
    /// Each field's name as a key of JSON text, with the colon.
    pub(crate) json_keys: Vec<Box<[u8]>>,
    /// The model classes that each field is declared to hold, by address; dumps show of others no more than of those.
    pub(crate) declared: Vec<Declared>,
    /// Assignments are checked, and no field is frozen.
    pub(crate) checks_all: bool,
    /// Dumps need no code and leave nothing out.
    pub(crate) dumps_plainly: bool,
    /// Every field has a slot.
    pub(crate) all_slots: bool,
    /// Instances are neither tracked by the collector nor have a dictionary or weak references.
    pub(crate) plain: bool,
    /// Memory of instances is kept with that of others of so many slots.
    pub(crate) shelf: Option<u8>,
}

impl Layout {
    /// Whether the slot holds what we note about the other ones, and is no attribute.
    pub(crate) fn is_note(&self, offset: isize) -> bool {
        [self.extra, self.deleted, self.given].contains(&Some(offset))
    }
}

/// The model classes that a value is declared to be of, itself or in its parts.
#[derive(Debug)]
pub(crate) enum Declared {
    /// None: it is dumped as what it is.
    Anything,
    /// These, by address, or others that the general way has to look at.
    Classes(Box<[usize]>),
}

impl Declared {
    /// Whether instances of the class are dumped as what they are.
    #[inline(always)]
    pub(crate) fn has(&self, class: *mut ffi::PyTypeObject) -> bool {
        match self {
            Self::Anything => true,
            Self::Classes(known) => known.contains(&(class as usize)),
        }
    }
}

/// What the metaclass adds to each class object.
#[repr(C)]
pub(crate) struct Tail {
    /// Owned; null until the class is laid out, freed with the class.
    layout: *const Layout,
    /// Owned; null until the class is complete and again once the collector clears the class.
    plan: *mut ffi::PyObject,
    /// The plan's inside, while `plan` is not null.
    inner: *const Plan,
}

/// The head of every instance, before its slots.
#[repr(C)]
pub(crate) struct Head {
    pub(crate) ob_base: ffi::PyObject,
    /// Bit `i`: field `i` was given, not filled from its default.
    pub(crate) given: u64,
}

static META: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// Python's `type`.
#[inline(always)]
pub(crate) fn type_type() -> *const ffi::PyTypeObject {
    &raw const ffi::PyType_Type
}

const fn tail_size() -> usize {
    size_of::<Tail>()
}

/// # Safety
/// `class` is a class whose metaclass derives from [`meta`].
#[inline(always)]
pub(crate) unsafe fn tail_of(class: *mut ffi::PyTypeObject) -> *mut Tail {
    // SAFETY: the metaclass made each of its instances `tail_size()` bytes longer than `type` does, at this offset.
    unsafe {
        let offset = (*type_type()).tp_basicsize;
        class.cast::<u8>().offset(offset).cast()
    }
}

/// The layout of a class, null before it has one.
///
/// # Safety
/// As [`tail_of`].
#[inline(always)]
pub(crate) unsafe fn layout_of(class: *mut ffi::PyTypeObject) -> *const Layout {
    // SAFETY: the caller's promise.
    unsafe { (*tail_of(class)).layout }
}

/// The compiled plan of a class, null before the class is complete.
///
/// # Safety
/// As [`tail_of`].
#[inline(always)]
pub(crate) unsafe fn plan_of(class: *mut ffi::PyTypeObject) -> *const Plan {
    // SAFETY: the caller's promise.
    unsafe { (*tail_of(class)).inner }
}

/// Whether `object` is a class made by our metaclass.
pub(crate) fn is_model_class(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: what is not a class has another type than a class does.
    unsafe { is_model_type(object.as_ptr().cast()) }
}

/// Whether the class of `object` was made by our metaclass.
pub(crate) fn is_model_instance(object: &Bound<'_, PyAny>) -> bool {
    is_model_class(object.get_type().as_any())
}

/// The plan object of a complete model class.
pub(crate) fn plan<'py>(class: &Bound<'py, PyType>) -> Option<Bound<'py, Plan>> {
    if !is_model_class(class.as_any()) {
        return None;
    }
    // SAFETY: the class is of our metaclass; a non-null plan is a strong reference that the class owns.
    unsafe {
        let plan = (*tail_of(class.as_type_ptr())).plan;
        Bound::from_borrowed_ptr_or_opt(class.py(), plan).map(|p| p.cast_into_unchecked())
    }
}

/// Whether a class was made by our metaclass.
///
/// # Safety
/// The class is alive.
#[inline(always)]
pub(crate) unsafe fn is_model_type(class: *mut ffi::PyTypeObject) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let meta = ffi::Py_TYPE(class.cast());
        meta != &raw mut ffi::PyType_Type
            && meta_ptr().is_some_and(|ours| meta == ours || ffi::PyType_IsSubtype(meta, ours) != 0)
    }
}

/// The metaclass, if it has been made.
#[inline(always)]
pub(crate) fn meta_ptr() -> Option<*mut ffi::PyTypeObject> {
    // SAFETY: only asked where the interpreter is attached.
    let py = unsafe { Python::assume_attached() };
    META.get(py).map(|meta| meta.as_ptr().cast())
}

/// The metaclass that all model classes derive theirs from.
pub(crate) fn meta(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    META.get_or_try_init(py, || make_meta(py)).map(|class| class.bind(py))
}

fn make_meta(py: Python<'_>) -> PyResult<Py<PyType>> {
    const NAME: &CStr = c"ottava._native.ModelMeta";
    const DOC: &CStr =
        c"Metaclass of model classes: an ordinary type with a compiled plan behind it.";
    let mut slots = [
        ffi::PyType_Slot { slot: ffi::Py_tp_doc, pfunc: NAME.as_ptr().cast_mut().cast() },
        ffi::PyType_Slot { slot: ffi::Py_tp_traverse, pfunc: meta_traverse as *mut c_void },
        ffi::PyType_Slot { slot: ffi::Py_tp_clear, pfunc: meta_clear as *mut c_void },
        ffi::PyType_Slot { slot: ffi::Py_tp_dealloc, pfunc: meta_dealloc as *mut c_void },
        ffi::PyType_Slot { slot: 0, pfunc: ptr::null_mut() },
    ];
    slots[0].pfunc = DOC.as_ptr().cast_mut().cast();
    // SAFETY: `type` is a live static type; the spec and its slots outlive the call.
    unsafe {
        let parent = &raw mut ffi::PyType_Type;
        let mut spec = ffi::PyType_Spec {
            name: NAME.as_ptr(),
            basicsize: (*parent).tp_basicsize as c_int + tail_size() as c_int,
            itemsize: (*parent).tp_itemsize as c_int,
            flags: (ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_BASETYPE | ffi::Py_TPFLAGS_HAVE_GC)
                as u32,
            slots: slots.as_mut_ptr(),
        };
        let bases = PyTuple::new(py, [py.get_type::<PyType>()])?;
        let made = ffi::PyType_FromSpecWithBases(&raw mut spec, bases.as_ptr());
        Ok(Bound::from_owned_ptr_or_err(py, made)?.cast_into::<PyType>()?.unbind())
    }
}

unsafe extern "C" fn meta_traverse(
    class: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: the collector passes a live class of our metaclass; `type` always has a traverse function.
    unsafe {
        if let Some(base) = (*type_type()).tp_traverse {
            let status = base(class, visit, arg);
            if status != 0 {
                return status;
            }
        }
        let plan = (*tail_of(class.cast())).plan;
        if !plan.is_null() {
            let status = visit(plan, arg);
            if status != 0 {
                return status;
            }
        }
        visit(ffi::Py_TYPE(class).cast(), arg)
    }
}

unsafe extern "C" fn meta_clear(class: *mut ffi::PyObject) -> c_int {
    // SAFETY: as `meta_traverse`. The pointers are taken out before anything is released, so that code run by a release
    // finds an incomplete class and not a dangling plan.
    unsafe {
        drop_plan(class.cast());
        (*type_type()).tp_clear.map_or(0, |base| base(class))
    }
}

unsafe fn drop_plan(class: *mut ffi::PyTypeObject) {
    // SAFETY: the tail belongs to this class, whose caller holds a reference to it.
    unsafe {
        let tail = tail_of(class);
        let plan = (*tail).plan;
        (*tail).plan = ptr::null_mut();
        (*tail).inner = ptr::null();
        ffi::Py_XDECREF(plan);
    }
}

unsafe extern "C" fn meta_dealloc(class: *mut ffi::PyObject) {
    // SAFETY: no instance of the class is left, since each holds a reference to it, so the layout is not needed any more. The
    // metaclass is a heap type: what `type` does not give back of it is given back here.
    unsafe {
        let meta = ffi::Py_TYPE(class);
        let tail = tail_of(class.cast());
        let layout = (*tail).layout.cast_mut();
        (*tail).layout = ptr::null();
        drop_plan(class.cast());
        if let Some(base) = (*type_type()).tp_dealloc {
            base(class);
        }
        ffi::Py_DECREF(meta.cast());
        if !layout.is_null() {
            drop(Box::from_raw(layout));
        }
    }
}

/// The byte offset of the slot that `class` has for `name`.
pub(crate) fn slot_offset(
    class: &Bound<'_, PyType>,
    name: &Bound<'_, PyString>,
) -> PyResult<Option<isize>> {
    let py = class.py();
    for base in class.mro().iter() {
        // SAFETY: entries of a method resolution order are live types; a type's dictionary is borrowed for one look-up.
        let found = unsafe {
            let dict = (*base.as_ptr().cast::<ffi::PyTypeObject>()).tp_dict;
            if dict.is_null() {
                None
            } else {
                Bound::from_borrowed_ptr_or_opt(
                    py,
                    ffi::PyDict_GetItemWithError(dict, name.as_ptr()),
                )
            }
        };
        let Some(found) = found else { continue };
        // SAFETY: the exact type was checked, and a member descriptor's definition lives as long as its class.
        unsafe {
            if ffi::Py_TYPE(found.as_ptr()) != &raw mut ffi::PyMemberDescr_Type {
                return Ok(None);
            }
            // The cast is for CPython 3.10, where PyO3 gives the pointer another type than CPython does.
            let member = (*found.as_ptr().cast::<ffi::PyMemberDescrObject>())
                .d_member
                .cast::<ffi::PyMemberDef>();
            if (*member).type_code != ffi::Py_T_OBJECT_EX {
                return Ok(None);
            }
            return Ok(Some((*member).offset));
        }
    }
    Ok(None)
}

/// Records where the fields of a new class are, and gives the class its constructor.
///
/// `fields` and `others` are names of slots (or, for fields of a class with a dictionary, keys of it); `acyclic` says that
/// no field can hold a reference back to the instance; `declared` has the model classes of each field, `None` for one that names none.
#[pyfunction]
#[pyo3(signature = (class, fields, others, extra, deleted, given, acyclic, dumps_plainly, checks_assignment, declared, /))]
#[allow(clippy::too_many_arguments)] // one caller, in Python
pub(crate) fn lay_out(
    class: &Bound<'_, PyType>,
    fields: Vec<Bound<'_, PyString>>,
    others: Vec<Bound<'_, PyString>>,
    extra: Option<Bound<'_, PyString>>,
    deleted: Option<Bound<'_, PyString>>,
    given: Option<Bound<'_, PyString>>,
    acyclic: bool,
    dumps_plainly: bool,
    checks_assignment: bool,
    declared: Vec<Option<Vec<Bound<'_, PyType>>>>,
) -> PyResult<()> {
    if !is_model_class(class.as_any()) {
        return Err(PyTypeError::new_err("not a model class"));
    }
    if declared.len() != fields.len() {
        return Err(PyTypeError::new_err("declared: one entry for each field"));
    }
    let py = class.py();
    let type_ptr = class.as_type_ptr();
    let slot = |name: &Bound<'_, PyString>| -> PyResult<isize> {
        slot_offset(class, name)?.ok_or_else(|| {
            PyTypeError::new_err(format!(
                "{} has no slot {name}",
                class.name().map_or_else(|_| "class".to_owned(), |n| n.to_string())
            ))
        })
    };
    let mut places = Vec::with_capacity(fields.len());
    for name in fields {
        let place = slot_offset(class, &name)?.map_or(Place::Dict, Place::Slot);
        // SAFETY: the tail belongs to this class.
        if place == Place::Dict && !has_dict(class) {
            return Err(PyTypeError::new_err(format!(
                "the field {name} has no slot and instances have no dictionary"
            )));
        }
        places.push((interned(py, &name), place));
    }
    let others = others
        .iter()
        .map(|name| Ok((interned(py, name), slot(name)?)))
        .collect::<PyResult<Vec<_>>>()?;
    let extra = extra.as_ref().map(slot).transpose()?;
    let deleted = deleted.as_ref().map(slot).transpose()?;
    let given = given.as_ref().map(slot).transpose()?;
    let all_slots = places.iter().all(|(_, place)| *place != Place::Dict);
    // SAFETY: the class is alive, of our metaclass, and has no instances yet, so its allocation may still change.
    unsafe {
        if !layout_of(type_ptr).is_null() {
            return Err(PyRuntimeError::new_err("the class is laid out already"));
        }
        let plain = acyclic && all_slots && instance::make_plain(type_ptr);
        let slots = places.len() + others.len();
        // None but these: all that is behind the head is cleared when an instance is freed.
        let known = size_of::<Head>() + slots * size_of::<*mut ffi::PyObject>();
        let whole = (*type_ptr).tp_basicsize as usize == known;
        let shelf = (plain && whole && slots <= spare::MOST_SLOTS).then_some(slots as u8);
        let json_keys = places
            .iter()
            .map(|(name, _)| {
                let mut key = Vec::new();
                super::dump::write_text(&name.bind(py).to_string_lossy(), &mut key);
                key.push(b':');
                key.into_boxed_slice()
            })
            .collect();
        let declared = declared
            .into_iter()
            .map(|classes| match classes {
                Some(classes) => {
                    Declared::Classes(classes.iter().map(|class| class.as_ptr() as usize).collect())
                }
                None => Declared::Anything,
            })
            .collect();
        let layout = Layout {
            fields: places,
            others,
            extra,
            deleted,
            given,
            json_keys,
            declared,
            checks_all: checks_assignment && given.is_none(),
            dumps_plainly: dumps_plainly && all_slots && extra.is_none(),
            all_slots,
            plain,
            shelf,
        };
        (*tail_of(type_ptr)).layout = Box::into_raw(Box::new(layout));
        instance::set_constructor(type_ptr);
    }
    Ok(())
}

/// Whether a class has methods that a subclass has to write.
pub(crate) fn is_abstract(class: &Bound<'_, PyType>) -> bool {
    // SAFETY: the class is alive.
    unsafe { ffi::PyType_HasFeature(class.as_type_ptr(), ffi::Py_TPFLAGS_IS_ABSTRACT) != 0 }
}

fn has_dict(class: &Bound<'_, PyType>) -> bool {
    class.getattr("__dictoffset__").and_then(|o| o.extract::<isize>()).is_ok_and(|o| o != 0)
}

fn interned(py: Python<'_>, name: &Bound<'_, PyString>) -> Py<PyString> {
    PyString::intern(py, &name.to_string_lossy()).unbind()
}

/// Gives a laid-out class its compiled plan.
pub(crate) fn set_plan(class: &Bound<'_, PyType>, plan: Bound<'_, Plan>) -> PyResult<()> {
    if !is_model_class(class.as_any()) {
        return Err(PyTypeError::new_err("not a model class"));
    }
    // SAFETY: the class is of our metaclass. Nothing is read through the tail meanwhile.
    unsafe {
        let tail = tail_of(class.as_type_ptr());
        if (*tail).layout.is_null() {
            return Err(PyRuntimeError::new_err("the class has no layout yet"));
        }
        let old = (*tail).plan;
        (*tail).inner = std::ptr::from_ref(plan.get());
        (*tail).plan = plan.into_ptr();
        // The old plan is given up and not released: an instance may be in the making by it right now.
        let _ = old;
    }
    Ok(())
}
