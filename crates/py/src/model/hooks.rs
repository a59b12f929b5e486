//! Validators written in Python, called from within a run of the engine.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::{PyAssertionError, PyValueError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};

use ottava_validate::{Checked, Code, Ctx, Fit, Input, Issue, Issues, NodeId, Param, Run, Stop};

use super::hosts::{Hook, Mode};
use super::input::{PyInput, or_abort};
use super::issues::{self, IssueList};
use super::object::Object;
use super::output::PyOutput;
use super::plan::Plan;
use super::session::Session;

/// Runs validator `number` around the node `inner`.
pub(crate) fn run_hook<I: Input>(
    run: &mut Run<'_, I, PyOutput<'_, '_>>,
    number: u32,
    inner: NodeId,
    value: I::Value,
) -> Checked<Object> {
    let py = run.output.py;
    let Some(hook) = run.output.hosts().hooks.get(number as usize) else {
        return run.check(inner, (), value);
    };
    match hook.mode {
        Mode::Before => {
            let object = raw(run, &value)?;
            match call(run, hook, &object) {
                Ok(changed) => recheck(run, inner, changed),
                Err(error) => failed(run, &value, error),
            }
        }
        Mode::After | Mode::Model => {
            let object = run.check(inner, (), value.clone())?;
            match call(run, hook, &object) {
                Ok(changed) => Ok(changed),
                Err(error) => failed(run, &value, error),
            }
        }
        Mode::Plain => {
            let object = raw(run, &value)?;
            match call(run, hook, &object) {
                Ok(changed) => Ok(changed),
                Err(error) => failed(run, &value, error),
            }
        }
        Mode::Wrap => {
            let object = raw(run, &value)?;
            let handler = or_abort(py, Handler::of(run, inner))?;
            let function = hook.function.bind(py);
            let handled = handler.clone();
            let result = if hook.info {
                info(run, hook).and_then(|info| function.call1((object.bind(py), handler, info)))
            } else {
                function.call1((object.bind(py), handler))
            };
            run.fits(*handled.get().fit.lock().unwrap_or_else(PoisonError::into_inner));
            match result {
                Ok(changed) => Ok(changed.into()),
                Err(error) => failed(run, &value, error),
            }
        }
        Mode::Lax => {
            if run.is_strict(inner) {
                return run.check(inner, (), value);
            }
            let object = raw(run, &value)?;
            match call(run, hook, &object) {
                Ok(same) if same.host() == object.host() => run.check(inner, (), value),
                Ok(changed) => {
                    run.fits(Fit::Lax);
                    recheck(run, inner, changed)
                }
                Err(error) => failed(run, &value, error),
            }
        }
        Mode::Exact if !run.is_strict(inner) || run.manner().0 => run.check(inner, (), value),
        Mode::Instance | Mode::Exact => {
            let object = raw(run, &value)?;
            let class = hook.function.bind(py);
            if or_abort(py, object.bind(py).is_instance(class))? {
                return Ok(object);
            }
            if I::IS_JSON {
                return run.fail(&value, Code::Custom, no_instance());
            }
            let name = or_abort(py, class_name(class))?;
            run.fail(
                &value,
                Code::Custom,
                Ctx::from_vec(vec![
                    ("type", Param::Str("is_instance_of".into())),
                    (
                        "message",
                        Param::Str(format!("Input should be an instance of {name}").into()),
                    ),
                    ("class", Param::Str(name.into())),
                ]),
            )
        }
        Mode::Init => {
            if run.output.target.is_some() {
                return run.check(inner, (), value);
            }
            let object = raw(run, &value)?;
            let object = object.bind(py);
            let Ok(fields) = object.cast::<PyDict>() else { return run.check(inner, (), value) };
            match hook.function.bind(py).call((), Some(fields)) {
                Ok(made) => Ok(made.into()),
                Err(error) => failed(run, &value, error),
            }
        }
        Mode::PostInit => {
            let object = run.check(inner, (), value.clone())?;
            if run.input.host(&value).is_some_and(|host| host == object.host()) {
                return Ok(object);
            }
            match hook.function.bind(py).call1((object.bind(py), run.output.context.as_ref())) {
                Ok(_) => Ok(object),
                Err(error) => failed(run, &value, error),
            }
        }
        Mode::Construct => {
            let object = run.check(inner, (), value.clone())?;
            let Ok(fields) = object.bind(py).cast_into::<PyDict>() else { return Ok(object) };
            run.fits(Fit::Strict);
            match hook.function.bind(py).call((), Some(&fields)) {
                Ok(made) => Ok(made.into()),
                Err(error) => failed(run, &value, error),
            }
        }
        Mode::Pattern => {
            let object = run.check(inner, (), value.clone())?;
            let bound = object.bind(py);
            if !bound.is_instance_of::<PyString>() {
                return Ok(object);
            }
            let pattern = hook.function.bind(py);
            let found = pattern.call_method1(intern!(py, "search"), (&bound,));
            if !or_abort(py, found)?.is_none() {
                return Ok(object);
            }
            let source = or_abort(
                py,
                pattern.getattr(intern!(py, "pattern")).and_then(|s| s.extract::<String>()),
            )?;
            run.fail(
                &value,
                Code::StringPatternMismatch,
                [("pattern", Param::Str(source.into()))].into(),
            )
        }
    }
}

/// Of a class whose instances JSON has not.
#[cold]
fn no_instance() -> Ctx {
    let message =
        "Cannot check `isinstance` when validating from json, use a JsonOrPython validator instead";
    Ctx::from_vec(vec![
        ("type", Param::Str("needs_python_object".into())),
        ("message", Param::Str(message.into())),
        ("method_name", Param::Str("isinstance".into())),
    ])
}

/// The value as a Python object, unchecked.
fn raw<I: Input>(run: &mut Run<'_, I, PyOutput<'_, '_>>, value: &I::Value) -> Checked<Object> {
    run.check_any((), value)
}

/// Checks an object that a validator has returned.
fn recheck<I: Input>(
    run: &mut Run<'_, I, PyOutput<'_, '_>>,
    inner: NodeId,
    value: Object,
) -> Checked<Object> {
    let (py, session, hosts) = (run.output.py, run.output.session, run.output.hosts());
    let mut input = PyInput::new(py, session, hosts).reading_attributes(run.output.from_attributes);
    run.with_input(&mut input, |run| run.check(inner, (), value))
}

fn call<I: Input>(
    run: &mut Run<'_, I, PyOutput<'_, '_>>,
    hook: &Hook,
    value: &Object,
) -> PyResult<Object> {
    let py = run.output.py;
    let function = hook.function.bind(py);
    let result = if hook.info {
        let info = info(run, hook)?;
        function.call1((value.bind(py), info))?
    } else {
        function.call1((value.bind(py),))?
    };
    Ok(result.into())
}

/// The second argument of a validator that takes one.
fn info<'py, I: Input>(
    run: &mut Run<'_, I, PyOutput<'_, 'py>>,
    hook: &Hook,
) -> PyResult<Bound<'py, PyAny>> {
    let py = run.output.py;
    let class = py.import(intern!(py, "ottava.models"))?.getattr(intern!(py, "ValidationInfo"))?;
    let mode = if run.output.is_json { "json" } else { "python" };
    class.call1((run.output.data()?, hook.field.as_ref(), run.output.context.as_ref(), mode))
}

/// A validator has raised: an issue, if that means that the value is wrong.
#[cold]
fn failed<I: Input>(
    run: &mut Run<'_, I, PyOutput<'_, '_>>,
    value: &I::Value,
    error: PyErr,
) -> Checked<Object> {
    let py = run.output.py;
    if let Some(list) = issues::of_exception(py, &error) {
        return merge(run, list.get());
    }
    if let Ok(Some(found)) = error.value(py).getattr_opt(intern!(py, "ottava_issue")) {
        let ctx = kept(run, "whole", Object::from(found));
        return run.fail(value, Code::Custom, ctx);
    }
    if let Some(ctx) = refusal(py, &error) {
        return run.fail(value, Code::Custom, ctx);
    }
    let code = if error.is_instance_of::<PyAssertionError>(py) {
        Code::AssertionError
    } else if error.is_instance_of::<PyValueError>(py) {
        Code::ValueError
    } else {
        return super::input::abort(py, error);
    };
    let ctx = kept(run, "error", Object::from(error.into_value(py).into_bound(py).into_any()));
    run.fail(value, code, ctx)
}

/// A parameter that is an object, for the next issue; nothing if that is only counted.
fn kept<I: Input>(
    run: &mut Run<'_, I, PyOutput<'_, '_>>,
    name: &'static str,
    object: Object,
) -> Ctx {
    if run.issues.is_full() {
        return Ctx::new();
    }
    [(name, Param::Host(run.output.session.keep(object)))].into()
}

/// The code, message and parameters of an `ottava._standard.Refusal`.
fn refusal(py: Python<'_>, error: &PyErr) -> Option<Ctx> {
    let value = error.value(py);
    let code: String = value.getattr_opt(intern!(py, "ottava_code")).ok()??.extract().ok()?;
    let mut ctx = vec![
        ("type", Param::Str(code.into())),
        ("message", Param::Str(value.str().ok()?.to_string_lossy().into_owned().into())),
    ];
    for name in ["class", "error", "expected", "func", "method_name"] {
        if let Ok(Some(param)) = value.getattr_opt(name) {
            ctx.push((name, Param::Str(param.extract::<String>().ok()?.into())));
        }
    }
    Some(Ctx::from_vec(ctx))
}

/// Takes over the issues of a `ValidationError` that a validator has let through.
fn merge<I: Input>(run: &mut Run<'_, I, PyOutput<'_, '_>>, list: &IssueList) -> Checked<Object> {
    let py = run.output.py;
    let errors = or_abort(py, list.errors(py))?;
    for error in errors.iter() {
        if run.issues.is_full() {
            run.issues.count_dropped(1);
            continue;
        }
        let kept = run.output.session.keep(Object::from(error));
        let issue = Issue::new(Code::Custom, ottava_validate::Echo::Host(kept));
        run.issues.push(Issue { ctx: [("whole", Param::Host(kept))].into(), ..issue });
    }
    run.issues.count_dropped(list.dropped());
    Err(Stop::Invalid)
}

fn class_name(class: &Bound<'_, PyAny>) -> PyResult<String> {
    match class.cast::<PyType>() {
        Ok(class) => Ok(class.qualname()?.to_cow()?.into_owned()),
        Err(_) => Ok(class.str()?.to_cow()?.into_owned()),
    }
}

/// The error of making an instance of a class with abstract methods.
#[cold]
pub(crate) fn not_made(class: &Bound<'_, PyType>) -> PyErr {
    let text = || -> PyResult<String> {
        let missing = class.getattr("__abstractmethods__")?;
        let mut names = missing
            .try_iter()?
            .map(|name| -> PyResult<String> { name?.extract() })
            .collect::<PyResult<Vec<_>>>()?;
        names.sort();
        let name = class.name()?;
        Ok(format!("{name} has abstract methods and no instances: {}", names.join(", ")))
    };
    text().map_or_else(|error| error, pyo3::exceptions::PyTypeError::new_err)
}

/// The error of using a class whose annotations are not resolved.
#[cold]
pub(crate) fn incomplete(class: *mut ffi::PyTypeObject) -> PyErr {
    let _ = class;
    pyo3::exceptions::PyTypeError::new_err(
        "the class is not complete; call model_rebuild() once its types exist",
    )
}

/// What a wrapping validator calls to check the value it wraps: the rest of the run that the validator is called from.
#[pyclass(frozen, module = "ottava._native")]
pub(crate) struct Handler {
    plan: Py<Plan>,
    node: NodeId,
    of_json: bool,
    strict: Option<bool>,
    from_attributes: Option<bool>,
    context: Option<Py<PyAny>>,
    /// The fields that were checked before, if a validator wants to see them.
    data: Option<Py<PyDict>>,
    /// What the instance is filled into.
    target: Option<Py<PyAny>>,
    /// How well the value fitted that was checked last.
    fit: Mutex<Fit>,
}

impl Handler {
    fn of<'py, I: Input>(
        run: &Run<'_, I, PyOutput<'_, 'py>>,
        node: NodeId,
    ) -> PyResult<Bound<'py, Self>> {
        let (output, py) = (&*run.output, run.output.py);
        let (of_json, strict) = run.manner();
        let data = output.hosts().wants_data.then(|| output.data()).transpose()?;
        let handler = Self {
            plan: output.owner.clone().unbind(),
            node,
            of_json,
            strict,
            from_attributes: output.from_attributes,
            context: output.context.clone().map(Bound::unbind),
            data: data.map(Bound::unbind),
            target: output.target.as_ref().map(|target| target.bind(py).clone().unbind()),
            fit: Mutex::new(Fit::Exact),
        };
        Bound::new(py, handler)
    }
}

#[pymethods]
impl Handler {
    fn __call__(&self, py: Python<'_>, value: Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let owner = self.plan.bind(py);
        let plan = owner.get();
        let session = Session::default();
        let mut issues = Issues::new(plan.schema.limits().issues);
        let mut input =
            PyInput::new(py, &session, &plan.hosts).reading_attributes(self.from_attributes);
        let mut output = PyOutput::new(owner, &session);
        output.context = self.context.as_ref().map(|context| context.bind(py).clone());
        output.is_json = self.of_json;
        output.from_attributes = self.from_attributes;
        output.target = self.target.as_ref().map(|target| target.bind(py).clone().into());
        if let Some(data) = &self.data {
            output.open_data(data.bind(py).clone().into_any().into());
        }
        let (program, limits) = (plan.schema.program(), plan.schema.limits());
        let mut run = Run::new(program, &mut input, &mut output, &mut issues, limits, self.strict)
            .of_json(self.of_json);
        let checked = run.check(self.node, (), Object::from(value));
        *self.fit.lock().unwrap_or_else(PoisonError::into_inner) = run.fit();
        match checked {
            Ok(object) => Ok(object.into_bound(py).unbind()),
            Err(Stop::Abort) => Err(PyErr::fetch(py)),
            Err(Stop::Invalid) => Err(issues::raise(py, &plan.name, issues, session, None)),
        }
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        visit.call(&self.context)?;
        visit.call(&self.data)?;
        visit.call(&self.target)?;
        visit.call(&self.plan)
    }
}
