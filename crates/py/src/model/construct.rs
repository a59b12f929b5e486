//! The ways to a checked instance: the constructor, and validation of Python objects.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

use ottava_validate::{Issues, Stop};

use super::fast::Rules;
use super::input::PyInput;
use super::instance;
use super::issues;
use super::json;
use super::layout::{Head, is_model_type, layout_of, plan_of};
use super::methods;
use super::object::Object;
use super::output::PyOutput;
use super::plan::{Plan, need_plan};
use super::rest;
use super::session::Session;

static BASE: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// What a caller may say about one validation.
#[derive(Default)]
pub(crate) struct Options<'py> {
    pub(crate) strict: Option<bool>,
    pub(crate) from_attributes: Option<bool>,
    pub(crate) context: Option<Bound<'py, PyAny>>,
    /// The object that the first record of its class is filled into.
    pub(crate) target: Option<Object>,
}

/// Validates a Python object with the engine.
pub(crate) fn validate<'py>(
    plan: &Bound<'py, Plan>,
    object: Object,
    options: Options<'py>,
) -> PyResult<Object> {
    let inner = plan.get();
    let simple = options.strict != Some(false) && options.target.is_none();
    let rules = Rules { program: inner.schema.program(), strict: options.strict == Some(true) };
    if simple
        && let Some(fast) = &inner.fast
        && let Some(made) = fast.object(rules, &object)
    {
        return Ok(made);
    }
    validate_closely(plan, object, options).ok_or_else(|| PyErr::fetch(plan.py()))
}

/// As [`validate`], of an object that the fast path has not taken; `None` with the exception set.
fn validate_closely<'py>(
    plan: &Bound<'py, Plan>,
    object: Object,
    options: Options<'py>,
) -> Option<Object> {
    let py = plan.py();
    // The fast path may have called a pattern's engine, which raises.
    if PyErr::occurred(py) {
        return None;
    }
    let inner = plan.get();
    let session = Session::default();
    let mut issues = Issues::new(inner.schema.limits().issues);
    let mut input =
        PyInput::new(py, &session, &inner.hosts).reading_attributes(options.from_attributes);
    let mut output = PyOutput::new(plan, &session);
    output.context = options.context;
    output.from_attributes = options.from_attributes;
    output.target = options.target;
    match rest::run(inner, &mut input, object, &mut output, &mut issues, options.strict) {
        Ok(object) => Some(object),
        Err(Stop::Abort) => None,
        Err(Stop::Invalid) => {
            issues::leave(py, &inner.title, issues, session, None);
            None
        }
    }
}

/// The base of all model classes: an object with a word for the fields that were given.
pub(crate) fn base(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    BASE.get_or_try_init(py, || make_base(py)).map(|class| class.bind(py))
}

fn make_base(py: Python<'_>) -> PyResult<Py<PyType>> {
    const NAME: &CStr = c"ottava._native.ModelBase";
    const DOC: &CStr = c"What every model instance begins with.";
    let method = |name: &'static CStr,
                  function: ffi::PyCFunctionFastWithKeywords,
                  flags: c_int,
                  doc: &'static CStr| {
        ffi::PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: function },
            ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS | flags,
            ml_doc: doc.as_ptr(),
        }
    };
    // The class refers to its methods for as long as it lives, which is for ever.
    let methods = Box::leak(Box::new([
        method(
            c"model_validate",
            validate_method,
            ffi::METH_CLASS,
            c"An instance out of a mapping, an instance, or (with from_attributes) any object.",
        ),
        method(
            c"model_validate_json",
            validate_json_method,
            ffi::METH_CLASS,
            c"An instance out of JSON text.",
        ),
        method(c"model_dump", methods::model_dump, 0, c"The fields as a dictionary."),
        method(c"model_dump_json", methods::model_dump_json, 0, c"The fields as JSON text."),
        method(c"_ottava_set", methods::set_checked, 0, c"Checks a value and sets a field."),
        ffi::PyMethodDef::zeroed(),
    ]));
    let mut slots = [
        ffi::PyType_Slot { slot: ffi::Py_tp_methods, pfunc: methods.as_mut_ptr().cast() },
        ffi::PyType_Slot { slot: ffi::Py_tp_doc, pfunc: DOC.as_ptr().cast_mut().cast() },
        ffi::PyType_Slot { slot: ffi::Py_tp_new, pfunc: new as *mut c_void },
        ffi::PyType_Slot { slot: ffi::Py_tp_init, pfunc: init as *mut c_void },
        ffi::PyType_Slot { slot: ffi::Py_tp_richcompare, pfunc: methods::compare as *mut c_void },
        ffi::PyType_Slot { slot: 0, pfunc: ptr::null_mut() },
    ];
    let mut spec = ffi::PyType_Spec {
        name: NAME.as_ptr(),
        basicsize: size_of::<Head>() as c_int,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_BASETYPE) as u32,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the spec and its slots outlive the call.
    unsafe {
        let made = ffi::PyType_FromSpec(&raw mut spec);
        Ok(Bound::from_owned_ptr_or_err(py, made)?.cast_into::<PyType>()?.unbind())
    }
}

/// `cls.__new__`: an instance with empty slots.
unsafe extern "C" fn new(
    class: *mut ffi::PyTypeObject,
    _args: *mut ffi::PyObject,
    _kwargs: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython passes a live class that derives from ours; whether it has a layout is asked first.
    unsafe {
        let py = Python::assume_attached();
        let bound = Bound::from_borrowed_ptr(py, class.cast()).cast_into_unchecked::<PyType>();
        if !super::layout::is_model_class(bound.as_any()) || layout_of(class).is_null() {
            PyTypeError::new_err("only complete subclasses of Model can be instantiated")
                .restore(py);
            return ptr::null_mut();
        }
        if super::layout::is_abstract(&bound) {
            super::hooks::not_made(&bound).restore(py);
            return ptr::null_mut();
        }
        instance::allocate(class, &*layout_of(class)).map_or(ptr::null_mut(), Object::into_ptr)
    }
}

/// `Model.__init__`: checks the keywords into the instance.
unsafe extern "C" fn init(
    object: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> c_int {
    guarded(-1, |py| {
        // SAFETY: CPython passes a live instance, a tuple, and a dictionary or null.
        unsafe {
            let class = Bound::from_borrowed_ptr(py, ffi::Py_TYPE(object).cast())
                .cast_into_unchecked::<PyType>();
            if ffi::PyTuple_GET_SIZE(args) != 0 {
                return Err(positional(&class));
            }
            let plan = need_plan(&class)?;
            let fields = if kwargs.is_null() {
                PyDict::new(py).into_any().into()
            } else {
                Object::borrowed(kwargs)
            };
            let target = Some(Object::borrowed(object));
            validate(&plan, fields, Options { target, ..Options::default() })?;
            Ok(0)
        }
    })
}

fn positional(class: &Bound<'_, PyType>) -> PyErr {
    let name = class.name().map_or_else(|_| "Model".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("{name}() takes keyword arguments only"))
}

/// Runs `body`; an exception or a panic is left for CPython.
pub(crate) fn guarded<T>(failure: T, body: impl FnOnce(Python<'_>) -> PyResult<T>) -> T {
    let run = |py: Python<'_>| match crate::gate::attached(py, || body(py)) {
        Ok(Ok(value)) => value,
        Ok(Err(error)) | Err(error) => {
            error.restore(py);
            failure
        }
    };
    // SAFETY: CPython calls from an attached thread, be it while the interpreter shuts down, when one may not ask for that any more.
    unsafe { Python::attach_unchecked(run) }
}

/// `cls(**fields)`.
pub(crate) unsafe extern "C" fn vectorcall(
    class: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython passes a live class of our metaclass, whose constructor this is, and arguments as its protocol says.
    unsafe {
        let type_ptr = class.cast::<ffi::PyTypeObject>();
        if ffi::PyVectorcall_NARGS(nargsf) == 0
            && let Some(plan) = plan_of(type_ptr).as_ref()
            && let Some(fast) = &plan.fast
            && is_ours((*type_ptr).tp_new, (*type_ptr).tp_init)
            && let Some(object) = fast.keywords(Rules::lax(&plan.schema), names, args)
        {
            return object.into_ptr();
        }
        call_slowly(class, args, nargsf, names)
    }
}

#[cold]
unsafe fn call_slowly(
    class: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guarded(ptr::null_mut(), |py| {
        // SAFETY: as `vectorcall`.
        unsafe {
            let bound = Bound::from_borrowed_ptr(py, class).cast_into_unchecked::<PyType>();
            let count = ffi::PyVectorcall_NARGS(nargsf) as usize;
            let keywords = PyDict::new(py);
            if !names.is_null() {
                for index in 0..ffi::PyTuple_GET_SIZE(names) {
                    let name = Bound::from_borrowed_ptr(py, ffi::PyTuple_GET_ITEM(names, index));
                    let value = Bound::from_borrowed_ptr(py, *args.add(count + index as usize));
                    keywords.set_item(name, value)?;
                }
            }
            let type_ptr = class.cast::<ffi::PyTypeObject>();
            if super::layout::is_abstract(&bound) {
                return Err(super::hooks::not_made(&bound));
            }
            if !is_ours((*type_ptr).tp_new, (*type_ptr).tp_init) {
                return call_type(py, class, args, count, &keywords);
            }
            if count != 0 {
                return Err(positional(&bound));
            }
            let plan = need_plan(&bound)?;
            let keywords = keywords.into_any().into();
            Ok(validate_closely(&plan, keywords, Options::default())
                .map_or(ptr::null_mut(), Object::into_ptr))
        }
    })
}

/// `cls.model_validate(obj)`: with the object alone and fitting, the fast path; otherwise the full function.
unsafe extern "C" fn validate_method(
    class: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython passes a live class that has this method, and arguments as its protocol says.
    unsafe {
        if count == 1
            && names.is_null()
            && is_model_type(class.cast())
            && let Some(plan) = plan_of(class.cast()).as_ref()
            && let Some(fast) = &plan.fast
            && ffi::PyDict_CheckExact(*args) != 0
        // before anything is held
        {
            let held = Object::borrowed(*args);
            if let Some(object) = fast.object(Rules::lax(&plan.schema), &held) {
                return object.into_ptr();
            }
            return guarded(ptr::null_mut(), |py| {
                let class = Bound::from_borrowed_ptr(py, class).cast_into_unchecked::<PyType>();
                Ok(validate_closely(&need_plan(&class)?, held, Options::default())
                    .map_or(ptr::null_mut(), Object::into_ptr))
            });
        }
        call_function(&VALIDATE, class, args, count, names)
    }
}

/// `cls.model_validate_json(data)`.
unsafe extern "C" fn validate_json_method(
    class: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as `validate_method`.
    unsafe {
        if count == 1
            && names.is_null()
            && is_model_type(class.cast())
            && let Some(plan) = plan_of(class.cast()).as_ref()
        {
            if let Some(object) = json::fast(plan, *args) {
                return object.into_ptr();
            }
            return guarded(ptr::null_mut(), |py| {
                let class = Bound::from_borrowed_ptr(py, class).cast_into_unchecked::<PyType>();
                let data = Bound::from_borrowed_ptr(py, *args);
                Ok(json::validate_closely(&need_plan(&class)?, &data, None, None)
                    .map_or(ptr::null_mut(), Object::into_ptr))
            });
        }
        call_function(&VALIDATE_JSON, class, args, count, names)
    }
}

static VALIDATE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static VALIDATE_JSON: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Calls the function behind a method, which reads its arguments in full.
#[cold]
unsafe fn call_function(
    function: &PyOnceLock<Py<PyAny>>,
    class: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guarded(ptr::null_mut(), |py| {
        // SAFETY: the caller's arguments are alive for the whole call.
        unsafe {
            let function = function.get_or_try_init(py, || {
                let native = py.import("ottava._native")?;
                let name = if ptr::eq(function, &VALIDATE) {
                    "model_validate"
                } else {
                    "model_validate_json"
                };
                native.getattr(name).map(Bound::unbind)
            })?;
            let keywords = if names.is_null() { 0 } else { ffi::PyTuple_GET_SIZE(names) };
            let mut all = vec![class];
            all.extend((0..count + keywords).map(|index| *args.offset(index)));
            let made = ffi::PyObject_Vectorcall(
                function.as_ptr(),
                all.as_ptr(),
                count as usize + 1,
                names,
            );
            if made.is_null() { Err(PyErr::fetch(py)) } else { Ok(made) }
        }
    })
}

/// Whether a class has neither a `__new__` nor an `__init__` of its own.
#[inline(always)]
pub(crate) fn is_ours(made_by: Option<ffi::newfunc>, filled_by: Option<ffi::initproc>) -> bool {
    made_by.is_some_and(|made_by| ptr::fn_addr_eq(made_by, new as ffi::newfunc))
        && filled_by.is_some_and(|filled_by| ptr::fn_addr_eq(filled_by, init as ffi::initproc))
}

/// What `type.__call__` does.
unsafe fn call_type(
    py: Python<'_>,
    class: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: usize,
    keywords: &Bound<'_, PyDict>,
) -> PyResult<*mut ffi::PyObject> {
    // SAFETY: the caller passes the arguments of a call to this class.
    unsafe {
        let positional = (0..count)
            .map(|index| Bound::from_borrowed_ptr(py, *args.add(index)))
            .collect::<Vec<_>>();
        let positional = PyTuple::new(py, positional)?;
        let Some(call) = (*super::layout::type_type()).tp_call else {
            return Err(PyTypeError::new_err("type has no call"));
        };
        let made = call(class, positional.as_ptr(), keywords.as_ptr());
        if made.is_null() { Err(PyErr::fetch(py)) } else { Ok(made) }
    }
}

/// Validates an object against the plan of a class.
#[pyfunction]
#[pyo3(signature = (class, /, obj, *, strict=None, from_attributes=None, context=None))]
pub(crate) fn model_validate<'py>(
    class: &Bound<'py, PyType>,
    obj: Bound<'py, PyAny>,
    strict: Option<bool>,
    from_attributes: Option<bool>,
    context: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let plan = need_plan(class)?;
    let options = Options { strict, from_attributes, context, target: None };
    Ok(validate(&plan, obj.into(), options)?.into_bound(class.py()))
}

/// Validates a JSON document against the plan of a class.
#[pyfunction]
#[pyo3(signature = (class, /, json_data, *, strict=None, context=None))]
pub(crate) fn model_validate_json<'py>(
    class: &Bound<'py, PyType>,
    json_data: &Bound<'py, PyAny>,
    strict: Option<bool>,
    context: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    json::validate(&need_plan(class)?, json_data, strict, context)
}
