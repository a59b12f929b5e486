//! Many rows at once: Python objects, one after another with the lock held.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyType};

use ottava_validate::{Issues, Loc, Stop};

use crate::gate;

use super::construct::Options;
use super::fast::Rules;
use super::input::PyInput;
use super::issues::{self, IssueList};
use super::object::Object;
use super::output::PyOutput;
use super::plan::{Plan, need_plan};
use super::rest;
use super::session::Session;

/// Rows between two pauses for other threads and signals.
const ROWS: usize = 16_384;

/// What happens to rows that are wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnError {
    /// All rows are checked; then one exception names all that is wrong.
    Raise,
    /// They are left out.
    Skip,
    /// They are left out, and what is wrong with them is kept.
    Collect,
}

impl OnError {
    pub(crate) fn parse(text: &str) -> PyResult<Self> {
        match text {
            "raise" => Ok(OnError::Raise),
            "skip" => Ok(OnError::Skip),
            "collect" => Ok(OnError::Collect),
            other => Err(PyValueError::new_err(format!(
                "on_error must be 'raise', 'skip' or 'collect', not '{other}'"
            ))),
        }
    }
}

/// The good rows of a batch, and what is wrong with the others.
#[pyclass(frozen, module = "ottava", name = "BatchResult")]
pub(crate) struct BatchResult {
    rows: Py<PyList>,
    issues: Option<Py<IssueList>>,
    rows_read: usize,
}

#[pymethods]
impl BatchResult {
    /// The instances, in order of the rows they come from.
    #[getter]
    fn rows(&self, py: Python<'_>) -> Py<PyList> {
        self.rows.clone_ref(py)
    }

    /// How many rows there were.
    #[getter]
    fn rows_read(&self) -> usize {
        self.rows_read
    }

    /// How many of them are good.
    #[getter]
    fn rows_good(&self, py: Python<'_>) -> usize {
        self.rows.bind(py).len()
    }

    /// What is wrong with the others, as `ValidationError.errors()` has it: the row number comes first in `loc`. The first 10,000
    /// issues are kept.
    fn errors<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        match &self.issues {
            Some(issues) => issues.get().errors(py),
            None => Ok(PyList::empty(py)),
        }
    }

    /// How many issues there were beyond those that `errors()` has, which are 10,000 at most.
    #[getter]
    fn issues_dropped(&self) -> usize {
        self.issues.as_ref().map_or(0, |issues| issues.get().dropped())
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.rows.bind(py).len()
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let good = self.rows.bind(py).len();
        format!(
            "<ottava.BatchResult of {} rows: {good} good, {} bad>",
            self.rows_read,
            self.rows_read - good
        )
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        visit.call(&self.rows)?;
        visit.call(&self.issues)
    }
}

impl BatchResult {
    pub(crate) fn new(rows: Py<PyList>, issues: Option<Py<IssueList>>, rows_read: usize) -> Self {
        Self { rows, issues, rows_read }
    }
}

/// Validates each of `rows`.
#[pyfunction]
#[pyo3(signature = (class, /, rows, *, strict=None, on_error="raise", context=None))]
pub(crate) fn model_validate_batch<'py>(
    class: &Bound<'py, PyType>,
    rows: &Bound<'py, PyAny>,
    strict: Option<bool>,
    on_error: &str,
    context: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let options = Options { strict, context, ..Options::default() };
    validate_rows(&need_plan(class)?, rows, options, OnError::parse(on_error)?)
}

/// An instance for each of `rows`, which may be mappings, instances, or any objects with attributes.
pub(crate) fn instances<'py>(
    class: &Bound<'py, PyType>,
    rows: &Bound<'py, PyList>,
) -> PyResult<Bound<'py, PyAny>> {
    let options = Options { from_attributes: Some(true), ..Options::default() };
    validate_rows(&need_plan(class)?, rows, options, OnError::Raise)
}

fn validate_rows<'py>(
    owner: &Bound<'py, Plan>,
    rows: &Bound<'py, PyAny>,
    options: Options<'py>,
    on_error: OnError,
) -> PyResult<Bound<'py, PyAny>> {
    let py = owner.py();
    let plan = owner.get();
    let session = Session::default();
    let mut issues = Issues::new(plan.schema.limits().issues);
    let good = PyList::empty(py);
    let rules = Rules { program: plan.schema.program(), strict: options.strict == Some(true) };
    let mut read = 0;
    for (number, row) in rows.try_iter()?.enumerate() {
        read += 1;
        if read % ROWS == 0 {
            gate::pause(py)?;
        }
        let row = Object::from(row?);
        if let Some(fast) = &plan.fast
            && options.strict != Some(false)
            && let Some(made) = fast.object(rules, &row)
        {
            good.append(made.into_bound(py))?;
            continue;
        }
        if let Some(raised) = PyErr::take(py) {
            return Err(raised);
        }
        let (mark, held, before) = (issues.len(), session.len(), issues.kept());
        let mut input =
            PyInput::new(py, &session, &plan.hosts).reading_attributes(options.from_attributes);
        let mut output = PyOutput::new(owner, &session);
        output.context.clone_from(&options.context);
        output.from_attributes = options.from_attributes;
        match rest::run(plan, &mut input, row, &mut output, &mut issues, options.strict) {
            Ok(object) => good.append(object.into_bound(py))?,
            Err(Stop::Abort) => return Err(PyErr::fetch(py)),
            Err(Stop::Invalid) if on_error == OnError::Skip => issues.truncate(mark),
            Err(Stop::Invalid) => issues.locate(mark, &Loc::Index(number)),
        }
        if issues.kept() == before {
            session.truncate(held);
        }
    }
    finish(py, &plan.name, good, issues, session, read, on_error)
}

/// The result of a batch: a list, a `BatchResult`, or an exception.
pub(crate) fn finish<'py>(
    py: Python<'py>,
    title: &str,
    good: Bound<'py, PyList>,
    issues: Issues,
    session: Session,
    read: usize,
    on_error: OnError,
) -> PyResult<Bound<'py, PyAny>> {
    match on_error {
        OnError::Raise if !issues.is_empty() => {
            Err(issues::raise(py, title, issues, session, None))
        }
        OnError::Collect => {
            let list = Py::new(py, IssueList::new(issues, session, None))?;
            Ok(Bound::new(py, BatchResult::new(good.unbind(), Some(list), read))?.into_any())
        }
        _ => Ok(good.into_any()),
    }
}
