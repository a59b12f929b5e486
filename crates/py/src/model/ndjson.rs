//! NDJSON to instances.

use std::io::Read;
use std::sync::atomic::AtomicBool;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyType};

use ottava_validate::{Code, Echo, Issue, Issues, Loc, Param, Stop};

use crate::gate;
use crate::threads;

use super::batch::{OnError, finish};
use super::input::Session;
use super::json;
use super::object::Object;
use super::output::PyOutput;
use super::plan::need_plan;
use super::table::{Cancellable, Chunks, Source, read_error};

/// Rows between two looks at signals.
const ROWS: usize = 4096;

/// Validates each line of NDJSON into an instance.
#[pyfunction]
#[pyo3(signature = (class, source, threads, on_error, strict, /))]
pub(crate) fn validate_ndjson<'py>(
    class: &Bound<'py, PyType>,
    source: &Bound<'py, PyAny>,
    threads: Option<usize>,
    on_error: &str,
    strict: Option<bool>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    let on_error = OnError::parse(on_error)?;
    let owner = need_plan(class)?;
    let plan = owner.get();
    let text = read_all(py, Source::of(source)?, threads)?;
    let bytes = match &text {
        Text::Held(bytes) => bytes.bind(py).as_bytes(),
        Text::Read(bytes) => bytes.as_slice(),
    };
    let limits = *plan.schema.limits();
    let session = Session::default();
    let mut issues = Issues::new(limits.issues);
    let good = PyList::empty(py);
    let mut output = PyOutput::new(&owner, &session);
    let mut number = 0;
    for line in bytes.split(|byte| *byte == b'\n') {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if number % ROWS == ROWS - 1 {
            py.check_signals()?;
        }
        let mut found = Issues::new(limits.issues);
        let checked = if line.len() > limits.row_bytes {
            let mut issue = Issue::new(Code::RowTooLong, Echo::None);
            issue.ctx.push(("max_bytes", Param::Int(limits.row_bytes as i64)));
            found.push(issue);
            Err(Stop::Invalid)
        } else {
            plan.schema.run_json(line, &mut output, (), &mut found, strict)
        };
        match checked {
            Ok(object) => good.append(object.into_bound(py))?,
            Err(Stop::Abort) => return Err(PyErr::fetch(py)),
            Err(Stop::Invalid) if on_error == OnError::Skip => {}
            Err(Stop::Invalid) => {
                let row = PyBytes::new(py, line).into_any();
                for mut issue in found.take() {
                    if let Echo::Span(span) = issue.echo.clone() {
                        let part = json::excerpt(&row, span)?;
                        issue.echo = Echo::Host(session.keep(Object::from(part)));
                    }
                    issue.loc.reverse();
                    issue.loc.push(Loc::Index(number));
                    issues.push(issue);
                }
            }
        }
        number += 1;
    }
    drop(output);
    finish(py, &plan.name, good, issues, session, number, on_error)
}

enum Text {
    Held(Py<PyBytes>),
    Read(Vec<u8>),
}

fn read_all(py: Python<'_>, source: Source, threads: Option<usize>) -> PyResult<Text> {
    let mut raised = None;
    let pool = threads::pool(py, threads)?;
    let mut read = match source {
        Source::Bytes(bytes) => return Ok(Text::Held(bytes)),
        Source::Copied(bytes) => return Ok(Text::Read(bytes)),
        other => Some(other),
    };
    let result = {
        let raised = &mut raised;
        gate::interruptible(py, &pool, move |cancel: &AtomicBool| {
            let mut text = Vec::new();
            let result = match read.take() {
                Some(Source::File(reader)) => Cancellable { reader, cancel }.read_to_end(&mut text),
                Some(Source::Chunks(iterator)) => {
                    Chunks::new(iterator, raised).read_to_end(&mut text)
                }
                _ => Ok(0),
            };
            result.map(|_| text)
        })?
    };
    if let Some(error) = raised {
        return Err(error);
    }
    result.map(Text::Read).map_err(|error| read_error(&error))
}
