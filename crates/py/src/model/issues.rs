//! The issues of a run as a Python exception, built when somebody looks.

#![allow(unsafe_code)]

use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use ottava_core::schema::Value;
use ottava_validate::{Code, Ctx, Echo, Issue, Issues, Loc, Param};

use crate::error::VALIDATION;

use super::json::{self, Document};
use super::make;
use super::output::PyOutput;
use super::plan::Plan;
use super::session::{Kept, Session};

/// The issues of one run, with the objects and the document that they speak of.
#[pyclass(frozen, module = "ottava._native")]
pub(crate) struct IssueList {
    issues: Issues,
    kept: Kept,
    document: Option<Py<PyAny>>,
}

#[pymethods]
impl IssueList {
    /// All issues as dictionaries: `type`, `loc`, `msg`, `input`, and `ctx` where there are parameters.
    pub(crate) fn errors<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        let document = self.document.as_ref().map(|document| document.bind(py));
        let document = document.map(Document::of).transpose()?;
        for issue in self.issues.iter() {
            list.append(self.error(py, &issue, document.as_ref())?)?;
        }
        Ok(list)
    }

    fn __len__(&self) -> usize {
        self.issues.kept()
    }

    /// How many issues were found beyond those that are kept.
    #[getter]
    pub(crate) fn dropped(&self) -> usize {
        self.issues.dropped()
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        // SAFETY: the collector is attached; the reference is borrowed from what the list owns.
        let py = unsafe { Python::assume_attached() };
        for object in self.kept.objects() {
            visit.call(object.bind(py).as_unbound())?;
        }
        visit.call(&self.document)
    }
}

impl IssueList {
    pub(crate) fn new(
        issues: Issues,
        session: Session,
        document: Option<&Bound<'_, PyAny>>,
    ) -> Self {
        Self {
            issues,
            kept: session.into_kept(),
            document: document.map(|document| document.clone().unbind()),
        }
    }

    fn kept<'py>(&self, py: Python<'py>, number: usize) -> Option<Bound<'py, PyAny>> {
        self.kept.objects().get(number).map(|object| object.bind(py))
    }

    fn error<'py>(
        &self,
        py: Python<'py>,
        issue: &Issue,
        document: Option<&Document<'_>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let mut loc = Vec::with_capacity(issue.loc.len());
        for step in &issue.loc {
            loc.push(match step {
                Loc::Name(name) => PyString::new(py, name).into_any(),
                Loc::Tag(tag) => tag.into_pyobject(py)?.into_any(),
                Loc::Index(index) => index.into_pyobject(py)?.into_any(),
            });
        }
        if let Some((_, Param::Host(number))) = issue.ctx.iter().find(|(key, _)| *key == "whole")
            && let Some(whole) = self.kept(py, *number)
        {
            let whole = whole.cast::<PyDict>()?;
            if !whole.contains(intern!(py, "input"))? {
                return self.own_error(py, whole, loc, &issue.echo, document);
            }
            let error = whole.copy()?;
            if let Some(inner) = error.get_item(intern!(py, "loc"))? {
                loc.extend(inner.try_iter()?.collect::<PyResult<Vec<_>>>()?);
            }
            error.set_item(intern!(py, "loc"), PyTuple::new(py, loc)?)?;
            if let Some(ctx) = error.get_item(intern!(py, "ctx"))? {
                error.set_item(intern!(py, "ctx"), copied(ctx)?)?;
            }
            return Ok(error);
        }
        let error = PyDict::new(py);
        let mut ctx = Ctx::with_capacity(issue.ctx.len());
        let shown = PyDict::new(py);
        for (key, param) in &issue.ctx {
            match param {
                Param::Host(number) => {
                    if let Some(object) = self.kept(py, *number) {
                        let text = text_of(&object);
                        match issue.code {
                            Code::UnionTagInvalid => shown.set_item(key, &text)?,
                            _ => shown.set_item(key, object)?,
                        }
                        ctx.push((key, Param::Str(text.into())));
                    }
                }
                Param::Int(value) => {
                    shown.set_item(key, value)?;
                    ctx.push((key, param.clone()));
                }
                // Of a collection that was not counted to its end.
                Param::Str(value) if *key == "actual_length" && &**value == "more" => {
                    shown.set_item(key, py.None())?;
                    ctx.push((key, param.clone()));
                }
                Param::Str(value) => {
                    if issue.code != Code::Custom || !matches!(*key, "type" | "message") {
                        shown.set_item(key, &**value)?;
                    }
                    ctx.push((key, param.clone()));
                }
                // Bounds in time are text, as in the message.
                Param::Value(
                    Value::Date(_) | Value::DateTime(_) | Value::Time(_) | Value::Duration(_),
                ) => {
                    shown.set_item(key, param.to_string())?;
                    ctx.push((key, param.clone()));
                }
                Param::Value(value) => {
                    shown.set_item(key, value_object(py, value)?)?;
                    ctx.push((key, param.clone()));
                }
                _ => {}
            }
        }
        let name = match (issue.code, issue.ctx.iter().find(|(key, _)| *key == "type")) {
            (Code::Custom, Some((_, Param::Str(name)))) => &**name,
            (code, _) => code.name(),
        };
        error.set_item(intern!(py, "type"), name)?;
        error.set_item(intern!(py, "loc"), PyTuple::new(py, loc)?)?;
        error.set_item(intern!(py, "msg"), issue.code.render(&ctx, issue.json))?;
        error.set_item(intern!(py, "input"), self.input(py, &issue.echo, document)?)?;
        if !shown.is_empty() {
            error.set_item(intern!(py, "ctx"), shown)?;
        }
        Ok(error)
    }

    /// An issue of which an exception has the code, the message and the parameters.
    fn own_error<'py>(
        &self,
        py: Python<'py>,
        own: &Bound<'py, PyDict>,
        loc: Vec<Bound<'py, PyAny>>,
        echo: &Echo,
        document: Option<&Document<'_>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let error = PyDict::new(py);
        error.set_item(intern!(py, "type"), own.get_item(intern!(py, "type"))?)?;
        error.set_item(intern!(py, "loc"), PyTuple::new(py, loc)?)?;
        error.set_item(intern!(py, "msg"), own.get_item(intern!(py, "msg"))?)?;
        error.set_item(intern!(py, "input"), self.input(py, echo, document)?)?;
        if let Some(ctx) = own.get_item(intern!(py, "ctx"))? {
            error.set_item(intern!(py, "ctx"), copied(ctx)?)?;
        }
        Ok(error)
    }

    fn input<'py>(
        &self,
        py: Python<'py>,
        echo: &Echo,
        document: Option<&Document<'_>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Ok(match echo {
            Echo::Host(number) => {
                self.kept(py, *number).unwrap_or_else(|| py.None().into_bound(py))
            }
            Echo::Value(value) => value_object(py, value)?,
            Echo::Span(span) => match document {
                Some(document) => json::excerpt(py, document.bytes(), span.clone())?,
                None => py.None().into_bound(py),
            },
            _ => py.None().into_bound(py),
        })
    }
}

/// Parameters that the caller may change.
fn copied(ctx: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    match ctx.cast::<PyDict>() {
        Ok(dict) => Ok(dict.copy()?.into_any()),
        Err(_) => Ok(ctx),
    }
}

/// What an exception says; the name of its class, if even that fails.
fn text_of(object: &Bound<'_, PyAny>) -> String {
    object.str().map(|text| text.to_string_lossy().into_owned()).unwrap_or_else(|_| {
        object.get_type().name().map_or_else(|_| "?".into(), |name| name.to_string())
    })
}

fn value_object<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    let session = Session::default();
    let plan = Plan::of_anything(py)?.bind(py);
    let mut output = PyOutput::new(plan, &session);
    match ottava_validate::plain(&mut output, (), value) {
        Ok(object) => Ok(object.into_bound(py)),
        Err(_) => Err(PyErr::fetch(py)),
    }
}

/// Leaves a `ValidationError` with the issues of a run for the interpreter, as quickly as that can be.
#[cold]
pub(crate) fn leave(
    py: Python<'_>,
    title: &Py<PyString>,
    issues: Issues,
    session: Session,
    document: Option<&Bound<'_, PyAny>>,
) {
    let set = || -> PyResult<()> {
        let list = Bound::new(py, IssueList::new(issues, session, document))?;
        let class = VALIDATION.get(py)?;
        // SAFETY: the tuple is new and takes over one reference for each of its places; the class is called with it.
        unsafe {
            let args = Bound::from_owned_ptr_or_err(py, ffi::PyTuple_New(2))?;
            ffi::PyTuple_SET_ITEM(args.as_ptr(), 0, title.clone_ref(py).into_ptr());
            ffi::PyTuple_SET_ITEM(args.as_ptr(), 1, list.into_ptr());
            let made = ffi::PyObject_Call(class.as_ptr(), args.as_ptr(), std::ptr::null_mut());
            let error = Bound::from_owned_ptr_or_err(py, made)?;
            ffi::PyErr_SetObject(class.as_ptr(), error.as_ptr());
        }
        Ok(())
    };
    if let Err(error) = set() {
        error.restore(py);
    }
}

/// A `ValidationError` with the issues of a run.
#[cold]
pub(crate) fn raise(
    py: Python<'_>,
    title: &str,
    issues: Issues,
    session: Session,
    document: Option<&Bound<'_, PyAny>>,
) -> PyErr {
    let list = IssueList::new(issues, session, document);
    match Bound::new(py, list) {
        Ok(list) => VALIDATION.new_err(py, (title, list)),
        Err(error) => error,
    }
}

/// As [`raise`], where more issues were found than the run has kept.
#[cold]
pub(crate) fn raise_more(
    py: Python<'_>,
    title: &str,
    mut issues: Issues,
    session: Session,
    more: u64,
) -> PyErr {
    issues.count_dropped(usize::try_from(more).unwrap_or(usize::MAX));
    let list = IssueList::new(issues, session, None);
    match Bound::new(py, list) {
        Ok(list) => VALIDATION.new_err(py, (title, list)),
        Err(error) => error,
    }
}

/// The issues that an exception carries, if it is a `ValidationError`.
pub(crate) fn of_exception<'py>(py: Python<'py>, error: &PyErr) -> Option<Bound<'py, IssueList>> {
    let class = VALIDATION.get(py).ok()?;
    let value = error.value(py);
    if !value.is_instance(class).ok()? {
        return None;
    }
    let args = value.getattr(intern!(py, "args")).ok()?;
    args.get_item(1).ok()?.cast_into::<IssueList>().ok()
}

/// A value that is wrong as a whole, such as bytes that are no JSON.
pub(crate) fn single(code: Code, ctx: Ctx, echo: Echo) -> Issues {
    let mut issues = Issues::new(1);
    let mut issue = Issue::new(code, echo);
    issue.ctx = ctx;
    issues.push(issue);
    issues
}

/// The text of a document that an exception shows.
pub(crate) fn shown<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => match make::str(text) {
            Ok(object) => Ok(object.into_bound(py)),
            Err(_) => Err(PyErr::fetch(py)),
        },
        Err(_) => Ok(PyBytes::new(py, bytes).into_any()),
    }
}

/// The message of a schema that cannot be compiled, as a `ValueError`.
pub(crate) fn bad_schema(error: &ottava_validate::SchemaError) -> PyErr {
    PyValueError::new_err(error.to_string())
}
