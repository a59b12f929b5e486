//! A compiled description, with the Python side of it.

use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyType};
use pyo3::{PyTraverseError, PyVisit};

use ottava_core::schema::{Declaration, Type};
use ottava_validate::{CompileOptions, JsonOptions, PatternEngine, PatternMatch, Schema};

use crate::error::VALIDATION;

use super::construct;
use super::declare::{allows_inf_nan, declare};
use super::fast_plan::FastPlan;
use super::hosts::{Hosts, Mode};
use super::issues::bad_schema;
use super::json;
use super::layout;
use super::output::literal_objects;

/// A compiled declaration and the classes, validators and defaults that it refers to.
#[pyclass(frozen, module = "ottava._native")]
pub(crate) struct Plan {
    pub(crate) name: String,
    /// The name, as errors have it.
    pub(crate) title: Py<PyString>,
    pub(crate) schema: Schema,
    pub(crate) hosts: Hosts,
    /// The values of each literal of the program.
    pub(crate) literals: Vec<Vec<Py<PyAny>>>,
    /// How objects that fit as they are become instances.
    pub(crate) fast: Option<FastPlan>,
    /// The model class that this is the plan of.
    class: Option<Py<PyType>>,
}

#[pymethods]
impl Plan {
    /// Compiles a description. With a class, it becomes the plan of that class.
    #[new]
    #[pyo3(signature = (name, description, class=None, /))]
    fn new<'py>(
        name: String,
        description: &Bound<'py, PyDict>,
        class: Option<Bound<'py, PyType>>,
    ) -> PyResult<Self> {
        let py = description.py();
        let (declaration, hosts) = declare(&name, description)?;
        let mut plan = Self::compile(py, name, declaration, hosts)?;
        plan.class = class.map(Bound::unbind);
        Ok(plan)
    }

    /// Validates an object.
    #[pyo3(signature = (obj, *, strict=None, from_attributes=None, context=None))]
    fn validate<'py>(
        slf: &Bound<'py, Self>,
        obj: Bound<'py, PyAny>,
        strict: Option<bool>,
        from_attributes: Option<bool>,
        context: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = construct::Options { strict, from_attributes, context, target: None };
        Ok(construct::validate(slf, obj.into(), options)?.into_bound(slf.py()))
    }

    /// Validates a JSON document.
    #[pyo3(signature = (json_data, *, strict=None, context=None))]
    fn validate_json<'py>(
        slf: &Bound<'py, Self>,
        json_data: &Bound<'py, PyAny>,
        strict: Option<bool>,
        context: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        json::validate(slf, json_data, strict, context)
    }

    /// The JSON Schema, draft 2020-12, as a dictionary.
    fn json_schema<'py>(&self, py: Python<'py>, by_alias: bool) -> PyResult<Bound<'py, PyAny>> {
        super::schema::json_schema(py, self.schema.declaration(), !by_alias)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.class)?;
        for value in self.literals.iter().flatten() {
            visit.call(value)?;
        }
        self.hosts.traverse(&visit)
    }
}

impl Plan {
    pub(crate) fn compile(
        py: Python<'_>,
        name: String,
        declaration: Declaration,
        hosts: Hosts,
    ) -> PyResult<Self> {
        // Found now, because nothing can be imported any more while the interpreter shuts down.
        VALIDATION.get(py)?;
        let options = CompileOptions {
            pattern_engine: Some(&PythonPatterns),
            json: JsonOptions {
                allow_inf_nan: allows_inf_nan(&declaration),
                ..JsonOptions::default()
            },
            ..CompileOptions::default()
        };
        let schema =
            Schema::compile_with(declaration, &options).map_err(|error| bad_schema(&error))?;
        let literals = schema
            .program()
            .literals()
            .iter()
            .map(|literal| literal_objects(py, &literal.values))
            .collect::<PyResult<Vec<_>>>()?;
        let fast = FastPlan::compile(py, &schema, &hosts, &literals);
        let title = PyString::new(py, &name).unbind();
        Ok(Self { name, title, schema, hosts, literals, fast, class: None })
    }

    /// Whether validator `number` is a function that a value has to pass, and not just what makes an instance of a class.
    pub(crate) fn is_code(&self, number: u32) -> bool {
        let mode = self.hosts.hooks.get(number as usize).map(|hook| hook.mode);
        !matches!(mode, None | Some(Mode::Instance | Mode::Construct))
    }

    /// A plan that takes anything.
    pub(crate) fn of_anything(py: Python<'_>) -> PyResult<&Py<Plan>> {
        static ANYTHING: PyOnceLock<Py<Plan>> = PyOnceLock::new();
        ANYTHING.get_or_try_init(py, || {
            let declaration = Declaration::new("Any", Type::any());
            Py::new(py, Self::compile(py, "Any".into(), declaration, Hosts::default())?)
        })
    }
}

/// Compiles a class's description and makes the result its plan.
#[pyfunction]
#[pyo3(signature = (class, name, description, /))]
pub(crate) fn complete<'py>(
    class: &Bound<'py, PyType>,
    name: String,
    description: &Bound<'py, PyDict>,
) -> PyResult<()> {
    let plan = Bound::new(class.py(), Plan::new(name, description, Some(class.clone()))?)?;
    layout::set_plan(class, plan)
}

/// The plan of a complete model class.
#[pyfunction]
#[pyo3(signature = (class, /))]
pub(crate) fn plan_of<'py>(class: &Bound<'py, PyType>) -> PyResult<Option<Bound<'py, Plan>>> {
    Ok(layout::plan(class))
}

/// Python's own `re`, for patterns with look-around or back-references.
pub(super) struct PythonPatterns;

struct PythonPattern {
    search: Py<PyAny>,
}

impl PatternEngine for PythonPatterns {
    fn compile(&self, pattern: &str) -> Result<Arc<dyn PatternMatch>, String> {
        Python::attach(|py| {
            let pattern = with_whole_ends(pattern);
            let search = py.import("re")?.call_method1("compile", (pattern,))?.getattr("search")?;
            Ok(Arc::new(PythonPattern { search: search.unbind() }) as Arc<dyn PatternMatch>)
        })
        .map_err(|error: PyErr| error.to_string())
    }
}

impl PatternMatch for PythonPattern {
    fn is_match(&self, text: &str) -> Option<bool> {
        Python::attach(|py| {
            if PyErr::occurred(py) {
                return None;
            }
            // A long search lets handlers of signals run, which may raise.
            match self.search.bind(py).call1((text,)) {
                Ok(found) => Some(!found.is_none()),
                Err(error) => {
                    error.restore(py);
                    None
                }
            }
        })
    }
}

/// The pattern with `\Z` for each `$` that stands for the end of the text: to Python's `re` that is also before a line break at the
/// end, to our own engine it is not, and a pattern must not mean something else for the engine that it needs.
fn with_whole_ends(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    // Whether `$` is the end of a line, in each group that is open.
    let mut multiline = vec![false];
    let mut rest = pattern;
    while let Some(char) = rest.chars().next() {
        let inside = multiline.last().copied().unwrap_or(false);
        let mut length = char.len_utf8();
        match char {
            '\\' => length += rest[1..].chars().next().map_or(0, char::len_utf8),
            '[' => length = class_length(rest),
            '(' if rest.starts_with("(?#") => {
                length = rest.find(')').map_or(rest.len(), |end| end + 1);
            }
            '(' => {
                let flags = rest.strip_prefix("(?").unwrap_or_default();
                let end = flags.find(|char: char| !char.is_ascii_alphabetic() && char != '-');
                let (flags, after) = flags.split_at(end.unwrap_or(flags.len()));
                let (on, off) = flags.split_once('-').unwrap_or((flags, ""));
                let inner = (inside || on.contains('m')) && !off.contains('m');
                match after.chars().next() {
                    // Flags for all that follows.
                    Some(')') => {
                        length = "(?)".len() + flags.len();
                        if let Some(last) = multiline.last_mut() {
                            *last = inner;
                        }
                    }
                    Some(':') => multiline.push(inner),
                    _ => multiline.push(inside),
                }
            }
            ')' if multiline.len() > 1 => drop(multiline.pop()),
            _ => {}
        }
        let (part, next) = rest.split_at(length);
        out.push_str(if part == "$" && !inside { "\\Z" } else { part });
        rest = next;
    }
    out
}

/// The length of the class of characters that a pattern begins with.
fn class_length(pattern: &str) -> usize {
    let mut chars = pattern.char_indices().skip(1).peekable();
    let mut first = true;
    while let Some((at, char)) = chars.next() {
        match char {
            '^' if first && at == 1 => continue,
            ']' if !first => return at + 1,
            '\\' => drop(chars.next()),
            _ => {}
        }
        first = false;
    }
    pattern.len()
}

/// The plan of a class, or a `TypeError` that says why there is none.
pub(crate) fn need_plan<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, Plan>> {
    if let Some(plan) = layout::plan(class) {
        return Ok(plan);
    }
    if !layout::is_model_class(class.as_any()) {
        return Err(PyTypeError::new_err("not a model class"));
    }
    // Resolves what was not known when the class was made, or raises.
    class.call_method0("__ottava_complete__")?;
    layout::plan(class).ok_or_else(|| PyTypeError::new_err("the class is not complete"))
}
