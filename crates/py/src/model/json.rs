//! JSON text in.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyString};

use ottava_validate::{Checked, Code, Ctx, Echo, Issues, Stop};

use crate::gate;

use super::input::text_of;
use super::issues::{self, shown};
use super::object::Object;
use super::output::PyOutput;
use super::plan::Plan;
use super::session::Session;

/// The bytes of a document.
pub(crate) enum Document<'py> {
    /// Of an immutable object, borrowed.
    Held(&'py [u8]),
    /// Of a mutable object, copied: code that runs meanwhile may change it.
    Copied(Vec<u8>),
}

impl<'py> Document<'py> {
    /// The bytes of text or of a bytes-like object.
    ///
    /// # Errors
    /// `TypeError` for anything else.
    pub(crate) fn of(object: &'py Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Document::Held(bytes.as_bytes()));
        }
        if object.is_instance_of::<PyString>() {
            // SAFETY: the object is a string, and the result borrows it.
            return Ok(match unsafe { text_of(object.as_ptr()) } {
                Some(text) => Document::Held(text.as_bytes()),
                // A lone surrogate: bytes that no reader takes for UTF-8.
                None => Document::Copied(
                    object
                        .call_method1("encode", ("utf-8", "surrogatepass"))?
                        .cast::<PyBytes>()?
                        .as_bytes()
                        .to_vec(),
                ),
            });
        }
        if let Ok(bytes) = object.cast::<PyByteArray>() {
            return Ok(Document::Copied(bytes.to_vec()));
        }
        if let Ok(buffer) = pyo3::buffer::PyBuffer::<u8>::get(object) {
            return Ok(Document::Copied(buffer.to_vec(object.py())?));
        }
        Err(PyTypeError::new_err(format!(
            "JSON must be str, bytes or a bytes-like object, not {}",
            object.get_type().name()?
        )))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Document::Held(bytes) => bytes,
            Document::Copied(bytes) => bytes,
        }
    }
}

/// What a document in an object that cannot change becomes, if it fits as it is; [`FastPlan::json`](super::fast::FastPlan::json) says what `None` means.
///
/// # Safety
/// The interpreter is attached; the plan and the object are alive for the whole call.
#[inline]
pub(crate) unsafe fn fast(plan: &Plan, document: *mut ffi::PyObject) -> Option<Object> {
    let fast = plan.fast.as_ref()?;
    // SAFETY: the caller's promise; the bytes lie in the object.
    unsafe {
        let bytes = if ffi::PyBytes_CheckExact(document) != 0 {
            let start = ffi::PyBytes_AsString(document).cast::<u8>();
            std::slice::from_raw_parts(start, ffi::Py_SIZE(document) as usize)
        } else if ffi::PyUnicode_CheckExact(document) != 0 {
            text_of(document)?.as_bytes()
        } else {
            return None;
        };
        // After a panic the engine is asked, whose panics become exceptions.
        catch_unwind(AssertUnwindSafe(|| fast.json(&plan.schema, bytes))).unwrap_or(None)
    }
}

/// Validates a JSON document into an object.
pub(crate) fn validate<'py>(
    plan: &Bound<'py, Plan>,
    json: &Bound<'py, PyAny>,
    strict: Option<bool>,
    context: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: both are borrowed from the caller.
    match unsafe { fast(plan.get(), json.as_ptr()) } {
        Some(made) => Ok(made.into_bound(plan.py())),
        None => validate_closely(plan, json, strict, context)
            .map(|made| made.into_bound(plan.py()))
            .ok_or_else(|| PyErr::fetch(plan.py())),
    }
}

/// Validates a JSON document for which the fast path was not enough; `None` with the exception set, which may have been set before.
pub(crate) fn validate_closely<'py>(
    plan: &Bound<'py, Plan>,
    json: &Bound<'py, PyAny>,
    strict: Option<bool>,
    context: Option<Bound<'py, PyAny>>,
) -> Option<Object> {
    let py = plan.py();
    if PyErr::occurred(py) {
        return None;
    }
    let session = Session::default();
    let inner = plan.get();
    let Ok(document) = Document::of(json) else {
        let kept = session.keep(Object::from(json.clone()));
        let issues = issues::single(Code::JsonType, Ctx::new(), Echo::Host(kept));
        issues::leave(py, &inner.title, issues, session, None);
        return None;
    };
    let mut output = PyOutput::new(plan, &session);
    output.context = context;
    let (result, issues) = run(inner, document.bytes(), &mut output, strict);
    match result {
        Ok(object) => Some(object),
        Err(Stop::Abort) => None,
        Err(Stop::Invalid) => {
            // What may change until somebody asks is copied.
            let copy = match document {
                Document::Copied(bytes) => Some(PyBytes::new(py, &bytes).into_any()),
                Document::Held(_) => None,
            };
            issues::leave(py, &inner.title, issues, session, Some(copy.as_ref().unwrap_or(json)));
            None
        }
    }
}

/// One run over a JSON document. The bytes are such that nobody changes, so other threads may go ahead now and then.
pub(crate) fn run(
    plan: &Plan,
    bytes: &[u8],
    output: &mut PyOutput<'_, '_>,
    strict: Option<bool>,
) -> (Checked<Object>, Issues) {
    output.is_json = true;
    let py = output.py;
    let raised = Cell::new(None);
    let go_on = || match gate::pause(py) {
        Ok(()) => true,
        Err(error) => {
            raised.set(Some(error));
            false
        }
    };
    let mut issues = Issues::new(plan.schema.limits().issues);
    let result = plan.schema.watched(&go_on).run_json(bytes, output, (), &mut issues, strict);
    if let Some(error) = raised.take() {
        output.interrupted = true;
        error.restore(py);
    }
    (result, issues)
}

/// The value that stands at `span` of a document that was read before: parsed, or its text if it is no JSON.
pub(crate) fn excerpt<'py>(
    py: Python<'py>,
    bytes: &[u8],
    span: Range<usize>,
) -> PyResult<Bound<'py, PyAny>> {
    let part = &bytes[span.start.min(bytes.len())..span.end.min(bytes.len())];
    let session = Session::default();
    let plan = Plan::of_anything(py)?.bind(py);
    let mut output = PyOutput::new(plan, &session);
    match run(plan.get(), part, &mut output, None) {
        (Ok(object), _) => Ok(object.into_bound(py)),
        (Err(stop), _) => {
            if stop == Stop::Abort {
                let raised = PyErr::take(py);
                if let Some(error) = raised.filter(|_| output.interrupted) {
                    return Err(error);
                }
            }
            shown(py, part)
        }
    }
}
