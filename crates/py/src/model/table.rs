//! NDJSON to Arrow columns: no Python object is made of a row.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{Field, Schema as ArrowSchema};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple, PyType};

use ottava_core::schema::Value;
use ottava_validate::{
    ArrowBatches, BatchOptions, Code, ColumnOutput, ColumnsError, Echo, Issue, Issues, Loc, Param,
    RowIssues, Schema, Stop,
};

use crate::arrays;
use crate::arrow::Table;
use crate::error::VALIDATION;
use crate::gate;
use crate::threads;

use super::batch::OnError;
use super::construct::Options;
use super::input::PyInput;
use super::issues::{self, IssueList};
use super::ndjson::{self, Row};
use super::plan::{Plan, need_plan};
use super::session::Session;
use super::source::{Cancellable, Chunks, HeldBytes, Source, read_error};

/// Most issues that an exception of a whole stream keeps.
const MOST_RAISED: usize = 1000;

/// The good rows of a stream as columns, and what is wrong with the others.
#[pyclass(frozen, module = "ottava", name = "ArrowResult")]
pub(crate) struct ArrowResult {
    table: Py<Table>,
    issues: Py<Table>,
    rows_read: u64,
    rows_good: u64,
    issues_dropped: u64,
}

#[pymethods]
impl ArrowResult {
    /// The good rows: a column for each field.
    #[getter]
    fn table(&self, py: Python<'_>) -> Py<Table> {
        self.table.clone_ref(py)
    }

    /// What is wrong with the others: `row` (uint64, from 0), `loc` (path with dots), `type`, `message`, `input` (the
    /// beginning of the wrong value) and `line` (uint64, from 1). Empty unless `on_error="collect"`.
    #[getter]
    fn issues(&self, py: Python<'_>) -> Py<Table> {
        self.issues.clone_ref(py)
    }

    /// How many rows there were; blank lines are none.
    #[getter]
    fn rows_read(&self) -> u64 {
        self.rows_read
    }

    /// How many of them are good.
    #[getter]
    fn rows_good(&self) -> u64 {
        self.rows_good
    }

    /// How many issues there were beyond those that are kept.
    #[getter]
    fn issues_dropped(&self) -> u64 {
        self.issues_dropped
    }

    fn __repr__(&self) -> String {
        let bad = self.rows_read - self.rows_good;
        format!(
            "<ottava.ArrowResult of {} rows: {} good, {bad} bad>",
            self.rows_read, self.rows_good
        )
    }
}

/// Reads NDJSON, checks each row and gives the good ones as Arrow columns.
#[pyfunction]
#[pyo3(signature = (class, source, threads, on_error, strict, context, /))]
pub(crate) fn to_arrow<'py>(
    class: &Bound<'py, PyType>,
    source: &Bound<'py, PyAny>,
    #[pyo3(from_py_with = arrays::threads)] threads: Option<usize>,
    on_error: &str,
    strict: Option<bool>,
    context: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, ArrowResult>> {
    let py = class.py();
    let on_error = OnError::parse(on_error)?;
    let owner = need_plan(class)?;
    let plan = owner.get();
    let source = Source::of(source)?;
    if !plan.schema.runs_alone() {
        let options = Options { strict, context, ..Options::default() };
        return through_objects(&owner, source, threads, on_error, &options);
    }
    // Only validators see the context, and this model has none.
    let pool = threads::pool(threads)?;
    let options = BatchOptions {
        threads: if pool.current_num_threads() == 1 { 1 } else { 0 },
        max_issues: match on_error {
            OnError::Raise => MOST_RAISED,
            OnError::Skip => 0,
            OnError::Collect => BatchOptions::default().max_issues,
        },
        strict,
        ..BatchOptions::default()
    };
    let mut raised = None;
    let result = {
        let (schema, raised) = (&plan.schema, &mut raised);
        gate::interruptible(py, &pool, move |cancel| read(schema, source, options, cancel, raised))?
    };
    if let Some(error) = raised {
        return Err(error);
    }
    let all = result.map_err(|error| match error {
        ColumnsError::Host { row, text } => pattern_error(&owner, row, &text, strict),
        error => failure(&error),
    })?;
    if on_error == OnError::Raise && all.rows_good < all.rows_read {
        return Err(raise(py, &plan.name, all.issues));
    }
    let dropped = all.issues.dropped;
    let issues = issue_table(&all.issues)?;
    let result = ArrowResult {
        table: Py::new(py, Table::new(all.schema, all.batches))?,
        issues: Py::new(py, issues)?,
        rows_read: all.rows_read,
        rows_good: all.rows_good,
        issues_dropped: if on_error == OnError::Collect { dropped } else { 0 },
    };
    Bound::new(py, result)
}

/// What a pattern has raised about a row in some thread, whose exceptions end with it: it is asked again in this one.
#[cold]
fn pattern_error(owner: &Bound<'_, Plan>, row: u64, text: &[u8], strict: Option<bool>) -> PyErr {
    let again = Row { number: usize::try_from(row).unwrap_or(usize::MAX), line: 0, text };
    let options = Options { strict, ..Options::default() };
    match ndjson::validate_row(owner, &again, &Session::default(), &options) {
        Err(error) => error,
        Ok(_) => PyRuntimeError::new_err(format!("row {row}: a pattern raised an exception once")),
    }
}

/// Rows in a batch that is made of objects.
const ROWS: usize = 8192;

/// As [`to_arrow`], for a model whose validators or defaults are Python code: each row becomes an instance first, with the lock held.
fn through_objects<'py>(
    owner: &Bound<'py, Plan>,
    source: Source,
    threads: Option<usize>,
    on_error: OnError,
    options: &Options<'py>,
) -> PyResult<Bound<'py, ArrowResult>> {
    let py = owner.py();
    let plan = owner.get();
    let mut output =
        ColumnOutput::new(plan.schema.declaration()).map_err(|error| failure(&error))?;
    let schema = Arc::clone(output.schema());
    let mut declaration = plan.schema.declaration().clone();
    super::declare::types_alone(&mut declaration);
    let loose = Schema::compile(declaration).map_err(|error| issues::bad_schema(&error))?;
    let text = ndjson::read_all(py, source, threads)?;
    let most = match on_error {
        OnError::Raise => MOST_RAISED,
        OnError::Skip => 0,
        OnError::Collect => BatchOptions::default().max_issues,
    };
    let (mut batches, mut bad) = (Vec::new(), BadRows { most, ..BadRows::default() });
    let (mut rows_read, mut rows_good, mut waiting) = (0, 0, 0);
    let mut take = |output: &mut ColumnOutput| -> PyResult<()> {
        batches.push(output.take().map_err(|error| failure(&error.into()))?);
        Ok(())
    };
    for row in ndjson::rows(text.bytes(py)) {
        let session = Session::default();
        rows_read = row.number as u64 + 1;
        let checked = match ndjson::validate_row(owner, &row, &session, options)? {
            Ok(object) => {
                let mut found = Issues::new(loose.limits().issues);
                let mut input = PyInput::new(py, &session, &plan.hosts).reading_results();
                let at = output.root();
                match loose.run(&mut input, object, &mut output, at, &mut found, Some(false)) {
                    Ok(_) => Ok(()),
                    Err(Stop::Abort) => Err(without_column(py, PyErr::fetch(py))?),
                    Err(Stop::Invalid) => Err(found),
                }
            }
            Err(found) => Err(found),
        };
        match checked {
            Ok(()) => {
                output.end_row();
                (rows_good, waiting) = (rows_good + 1, waiting + 1);
            }
            Err(found) => {
                output.forget_row();
                bad.add(py, found, session, &row)?;
            }
        }
        if rows_read % ROWS as u64 == 0 {
            gate::pause(py)?;
        }
        if waiting == ROWS {
            take(&mut output)?;
            waiting = 0;
        }
    }
    if waiting > 0 {
        take(&mut output)?;
    }
    if on_error == OnError::Raise && rows_good < rows_read {
        return Err(VALIDATION.new_err(py, (&plan.name, bad.errors(py)?, bad.dropped)));
    }
    let result = ArrowResult {
        table: Py::new(py, Table::new(schema, batches))?,
        issues: Py::new(py, bad.table()?)?,
        rows_read,
        rows_good,
        issues_dropped: if on_error == OnError::Collect { bad.dropped } else { 0 },
    };
    Bound::new(py, result)
}

/// What is wrong with a row whose instance holds an object that no column has a form for; any other exception is the caller's.
fn without_column(py: Python<'_>, error: PyErr) -> PyResult<Issues> {
    if !error.is_instance_of::<PyTypeError>(py) && !error.is_instance_of::<PyValueError>(py) {
        return Err(error);
    }
    let message = Param::Str(error.value(py).to_string().into());
    Ok(issues::single(Code::Custom, [("message", message)].into(), Echo::None))
}

/// What is wrong with rows that went through objects.
#[derive(Default)]
struct BadRows {
    most: usize,
    dropped: u64,
    /// As `ValidationError.errors()` has them, with the row number first in `loc`.
    errors: Vec<Py<PyDict>>,
    lines: Vec<u64>,
    inputs: Vec<String>,
}

impl BadRows {
    fn add(
        &mut self,
        py: Python<'_>,
        found: Issues,
        session: Session,
        row: &Row<'_>,
    ) -> PyResult<()> {
        let text = PyBytes::new(py, row.text).into_any();
        let list = IssueList::new(found, session, Some(&text));
        self.dropped += list.dropped() as u64;
        for error in list.errors(py)? {
            if self.errors.len() == self.most {
                self.dropped += 1;
                continue;
            }
            let error = error.cast_into::<PyDict>()?;
            let loc = PyTuple::new(py, [row.number])?;
            let inner = error.get_item("loc")?.unwrap_or_else(|| PyTuple::empty(py).into_any());
            error.set_item("loc", loc.add(inner)?)?;
            let input = error.get_item("input")?;
            self.inputs.push(input.map(|input| excerpt(&input)).unwrap_or_default());
            self.lines.push(row.line);
            self.errors.push(error.unbind());
        }
        Ok(())
    }

    fn errors<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.errors.iter().map(|error| error.bind(py)))
    }

    fn table(&self) -> PyResult<Table> {
        Python::attach(|py| {
            let (mut rows, mut locs) = (Vec::new(), Vec::new());
            let (mut types, mut messages) = (Vec::new(), Vec::new());
            for error in &self.errors {
                let error = error.bind(py).as_any();
                let loc = error.get_item("loc")?.cast_into::<PyTuple>()?;
                rows.push(loc.get_item(0)?.extract::<u64>()?);
                let steps = loc.iter().skip(1).map(|step| Ok(step.str()?.to_string()));
                locs.push(steps.collect::<PyResult<Vec<_>>>()?.join("."));
                types.push(error.get_item("type")?.extract::<String>()?);
                messages.push(error.get_item("msg")?.extract::<String>()?);
            }
            let texts =
                |list: &[String]| -> ArrayRef { Arc::new(StringArray::from_iter_values(list)) };
            let columns = [
                Arc::new(UInt64Array::from(rows)) as ArrayRef,
                texts(&locs),
                texts(&types),
                texts(&messages),
                texts(&self.inputs),
                Arc::new(UInt64Array::from(self.lines.clone())),
            ];
            table_of_issues(columns.into())
        })
    }
}

/// The beginning of a wrong value, as text.
fn excerpt(value: &Bound<'_, PyAny>) -> String {
    const LONGEST: usize = 120;
    let text = value.str().map(|text| text.to_string_lossy().into_owned()).unwrap_or_default();
    if text.len() <= LONGEST {
        return text;
    }
    let end = (0..=LONGEST - 3).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}...", &text[..end])
}

fn read(
    schema: &Schema,
    source: Source,
    options: BatchOptions,
    cancel: &AtomicBool,
    raised: &mut Option<PyErr>,
) -> Result<ArrowBatches, ColumnsError> {
    let goes_on = || !cancel.load(Ordering::Relaxed);
    let whole = |bytes: &[u8]| schema.ndjson_to_arrow_while(bytes, &options, goes_on);
    match source {
        Source::Bytes(bytes) => whole(HeldBytes::new(&bytes).slice()),
        Source::Copied(bytes) => whole(&bytes),
        Source::File(file) => pieces(schema, Cancellable { reader: file, cancel }, options, cancel),
        Source::Chunks(feed) => pieces(schema, Chunks::new(feed, raised, cancel), options, cancel),
    }
}

fn pieces<R: Read>(
    schema: &Schema,
    reader: R,
    options: BatchOptions,
    cancel: &AtomicBool,
) -> Result<ArrowBatches, ColumnsError> {
    let limit = options.max_issues;
    let mut reader = schema.ndjson_reader(reader, options)?;
    let mut all = ArrowBatches {
        schema: reader.schema().clone(),
        batches: Vec::new(),
        issues: RowIssues::default(),
        rows_read: 0,
        rows_good: 0,
    };
    while !cancel.load(Ordering::Relaxed) {
        let Some(piece) = reader.next() else { break };
        let piece = piece?;
        all.batches.extend(piece.batches);
        all.rows_read += piece.rows_read;
        all.rows_good += piece.rows_good;
        let room = limit.saturating_sub(all.issues.list.len());
        all.issues.dropped +=
            piece.issues.dropped + piece.issues.list.len().saturating_sub(room) as u64;
        all.issues.list.extend(piece.issues.list.into_iter().take(room));
    }
    Ok(all)
}

fn failure(error: &ColumnsError) -> PyErr {
    match error {
        ColumnsError::Read(error) => read_error(error),
        ColumnsError::Mapping(_) | ColumnsError::Schema(_) => {
            PyTypeError::new_err(error.to_string())
        }
        _ => PyValueError::new_err(error.to_string()),
    }
}

/// One exception for all bad rows.
fn raise(py: Python<'_>, title: &str, rows: RowIssues) -> PyErr {
    let mut issues = Issues::new(MOST_RAISED);
    for found in rows.list {
        let echo = match found.issue.echo {
            Echo::None => Echo::None,
            _ => Echo::Value(shown(&found.input)),
        };
        let mut issue = Issue { echo, ..found.issue };
        // The list turns paths around when they are taken out.
        issue.loc.reverse();
        issue.loc.push(Loc::Index(usize::try_from(found.row).unwrap_or(usize::MAX)));
        issues.push(issue);
    }
    issues::raise_more(py, title, issues, Session::default(), rows.dropped)
}

/// The wrong value: parsed, or its text if it was cut or is no JSON.
fn shown(text: &str) -> Value {
    use ottava_core::schema::{Declaration, Type};
    let parsed = Schema::compile(Declaration::new("Any", Type::any()))
        .ok()
        .and_then(|schema| schema.json_to_value(text.as_bytes()).ok());
    parsed.unwrap_or_else(|| Value::Str(text.to_owned()))
}

fn issue_table(rows: &RowIssues) -> PyResult<Table> {
    let all = rows.to_arrow().map_err(|error| failure(&error.into()))?;
    let columns = ["row", "loc", "code", "message", "input", "line"];
    table_of_issues(columns.iter().filter_map(|name| all.column_by_name(name).cloned()).collect())
}

/// The columns that [`ArrowResult::issues`] names, in that order, as a table.
fn table_of_issues(columns: Vec<ArrayRef>) -> PyResult<Table> {
    let field =
        |(name, column): (&str, &ArrayRef)| Field::new(name, column.data_type().clone(), false);
    let names = ["row", "loc", "type", "message", "input", "line"];
    let fields: Vec<_> = names.into_iter().zip(&columns).map(field).collect();
    let schema = Arc::new(ArrowSchema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns);
    Ok(Table::new(schema, vec![batch.map_err(|error| failure(&error.into()))?]))
}
