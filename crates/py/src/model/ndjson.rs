//! NDJSON to instances.

#![allow(unsafe_code)]

use std::io::Read;
use std::ops::Range;
use std::sync::atomic::AtomicBool;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyType};
use rayon::ThreadPool;
use rayon::prelude::*;

use ottava_validate::{
    Code, CompactRow, CompactRows, Echo, Issue, Issues, Loc, Param, Stop, is_blank,
};

use crate::arrays;
use crate::gate;
use crate::threads;

use super::batch::{OnError, finish};
use super::construct::Options;
use super::descriptor::outlive;
use super::issues;
use super::json;
use super::object::Object;
use super::output::PyOutput;
use super::plan::{Plan, need_plan};
use super::session::Session;
use super::source::{Cancellable, Chunks, Source, read_error};

/// Rows between two looks at signals.
const ROWS: usize = 4096;

/// Validates each line of NDJSON into an instance.
#[pyfunction]
#[pyo3(signature = (class, source, threads, on_error, strict, context, /))]
pub(crate) fn validate_ndjson<'py>(
    class: &Bound<'py, PyType>,
    source: &Bound<'py, PyAny>,
    #[pyo3(from_py_with = arrays::threads)] threads: Option<usize>,
    on_error: &str,
    strict: Option<bool>,
    context: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    let on_error = OnError::parse(on_error)?;
    let owner = need_plan(class)?;
    let plan = owner.get();
    let pool = threads::pool(threads)?;
    let session = Session::default();
    let mut rows = Rows {
        owner: &owner,
        pool: &pool,
        // Straight from the text into slots is quicker than what other threads could take off this one.
        alone: threads.is_none() && plan.fast.is_some(),
        session: &session,
        options: Options { strict, context, ..Options::default() },
        skips: on_error == OnError::Skip,
        issues: Issues::new(plan.schema.limits().issues),
        good: PyList::empty(py),
        read: 0,
    };
    match Source::of(source)? {
        Source::Bytes(bytes) => rows.take(&Text::Held(bytes))?,
        Source::Copied(bytes) => rows.take(&Text::Read(bytes))?,
        stream => rows.take_stream(stream)?,
    }
    let Rows { issues, good, read, .. } = rows;
    finish(py, &plan.name, good, issues, session, read, on_error)
}

/// Bytes of a stream that are read before the rows in them are checked.
const READ: usize = 1 << 22;

/// The rows of a source, a text of whole lines at a time.
struct Rows<'r, 'py> {
    owner: &'r Bound<'py, Plan>,
    pool: &'r ThreadPool,
    /// All rows are this thread's.
    alone: bool,
    session: &'r Session,
    options: Options<'py>,
    /// Nobody asks what is wrong.
    skips: bool,
    issues: Issues,
    good: Bound<'py, PyList>,
    /// Rows so far.
    read: usize,
}

impl Rows<'_, '_> {
    fn take(&mut self, text: &Text) -> PyResult<()> {
        let (py, plan, first) = (self.owner.py(), self.owner.get(), self.read);
        if !self.alone
            && self.pool.current_num_threads() > 1
            && text.bytes(py).len() >= MANY
            && plan.hosts.hooks.is_empty()
            && !plan.hosts.wants_data
        {
            let (read, bad) = in_many_threads(
                self.owner,
                self.pool,
                text,
                first,
                self.options.strict,
                &self.good,
            )?;
            self.read = read;
            for row in bad.into_iter().filter(|_| !self.skips) {
                let text = &text.bytes(py)[row.place];
                keep(py, self.session, &mut self.issues, text, row.number, row.found)?;
            }
            return Ok(());
        }
        for mut row in rows(text.bytes(py)) {
            row.number += first;
            self.read = row.number + 1;
            if self.read.is_multiple_of(ROWS) {
                gate::pause(py)?;
            }
            match validate_row(self.owner, &row, self.session, &self.options)? {
                Ok(object) => self.good.append(object.into_bound(py))?,
                Err(_) if self.skips => {}
                Err(found) => {
                    let found = Found::from(found);
                    keep(py, self.session, &mut self.issues, row.text, row.number, found)?;
                }
            }
        }
        Ok(())
    }

    /// Reads a stream to its end, and holds no more of it than a piece and the line that the piece ends in.
    fn take_stream(&mut self, source: Source) -> PyResult<()> {
        let py = self.owner.py();
        // Of a line that is too long, this much shows that it is.
        let most = self.owner.get().schema.limits().row_bytes.saturating_add(1);
        let (mut source, mut text) = (Some(source), Vec::new());
        while let Some(stream) = source {
            let line = text.len();
            let more;
            // One that is quick gives no other moment to look at signals.
            gate::pause(py)?;
            (source, more) = read_some(py, self.pool, stream)?;
            text.extend_from_slice(&more);
            let whole = match (&source, memchr::memrchr(b'\n', &more)) {
                (None, _) => text.len(),
                (Some(_), Some(end)) => line + end + 1,
                (Some(_), None) => {
                    cut(&mut text, most);
                    continue;
                }
            };
            let rest = text.split_off(whole);
            let lines = Text::Read(std::mem::replace(&mut text, rest));
            self.take(&lines)?;
            cut(&mut text, most);
        }
        Ok(())
    }
}

/// Keeps no more of a line than shows that it is too long, and that it is not blank.
fn cut(line: &mut Vec<u8>, most: usize) {
    let dropped = line.get(most..).unwrap_or_default();
    let is_blank = is_blank(dropped);
    line.truncate(most);
    if !is_blank && let Some(last) = line.last_mut() {
        *last = b'{';
    }
}

/// Adds what is wrong with a row to what is wrong with all of them.
fn keep(
    py: Python<'_>,
    session: &Session,
    issues: &mut Issues,
    text: &[u8],
    number: usize,
    found: Found,
) -> PyResult<()> {
    issues.count_dropped(found.dropped);
    for mut issue in found.issues {
        if issues.is_full() {
            issues.count_dropped(1);
            continue;
        }
        if let Echo::Span(span) = issue.echo.clone() {
            let part = json::excerpt(py, text, span)?;
            issue.echo = Echo::Host(session.keep(Object::from(part)));
        }
        // The list turns paths around when they are taken out.
        issue.loc.reverse();
        issue.loc.push(Loc::Index(number));
        issues.push(issue);
    }
    Ok(())
}

/// Least text that is worth several threads.
const MANY: usize = 1 << 19;

/// Text that one thread checks at a time.
const PIECE: usize = 1 << 17;

/// A row that is wrong.
struct BadRow {
    number: usize,
    /// Where it stands in the text.
    place: Range<usize>,
    found: Found,
}

/// What is wrong with a row.
struct Found {
    issues: Vec<Issue>,
    /// How many more there were.
    dropped: usize,
}

impl From<Issues> for Found {
    fn from(mut found: Issues) -> Self {
        let dropped = found.dropped();
        Self { issues: found.take(), dropped }
    }
}

/// Threads without the lock check pieces of the text, while this one, with it, makes instances of the pieces before. Adds the instances to
/// `good`; rows are counted from `first`. Returns the number after the last one, and the wrong ones.
fn in_many_threads(
    owner: &Bound<'_, Plan>,
    pool: &ThreadPool,
    text: &Text,
    first: usize,
    strict: Option<bool>,
    good: &Bound<'_, PyList>,
) -> PyResult<(usize, Vec<BadRow>)> {
    let py = owner.py();
    let schema = &owner.get().schema;
    let (plan, list) = (owner.clone().unbind(), good.clone().unbind());
    let bytes = text.outlive();
    let pieces = pieces(bytes);
    let check = |from: usize| -> Vec<(usize, CompactRows)> {
        let wave = &pieces[from..pieces.len().min(from + pool.current_num_threads())];
        let one = |piece: &Range<usize>| {
            (piece.start, CompactRows::check(schema, &bytes[piece.clone()], strict))
        };
        wave.par_iter().map(one).collect()
    };
    let (mut rows, mut bad) = (first, Vec::new());
    let (mut from, mut checked) = (0, Vec::new());
    loop {
        gate::pause(py)?;
        let (numbered, next) = gate::detached(py, || {
            let mut next = Vec::new();
            let mut made = Ok((0, Vec::new()));
            pool.in_place_scope(|scope| {
                scope.spawn(|_| next = check(from));
                if !checked.is_empty() {
                    made = Python::attach(|py| {
                        make(plan.bind(py), list.bind(py), bytes, rows, &checked, strict)
                    });
                }
            });
            (made, next)
        })?;
        let (count, more) = numbered?;
        rows += count;
        bad.extend(more);
        if next.is_empty() {
            return Ok((rows, bad));
        }
        from += next.len();
        checked = next;
    }
}

/// Makes instances of checked rows, which are numbered from `first`; how many rows there are, and the wrong ones.
fn make(
    owner: &Bound<'_, Plan>,
    good: &Bound<'_, PyList>,
    text: &[u8],
    first: usize,
    pieces: &[(usize, CompactRows)],
    strict: Option<bool>,
) -> PyResult<(usize, Vec<BadRow>)> {
    let py = owner.py();
    let program = owner.get().schema.program();
    let session = Session::default();
    let options = Options { strict, ..Options::default() };
    let mut output = PyOutput::new(owner, &session);
    let (mut count, mut bad) = (0, Vec::new());
    for (start, piece) in pieces {
        for (row, place) in piece.rows() {
            let number = first + count;
            count += 1;
            let place = start + place.start..start + place.end;
            let made = match row {
                CompactRow::Good(made) => piece.make(program, *made, &mut output).ok(),
                CompactRow::Bad(issues, dropped) => {
                    let found = Found { issues: issues.clone(), dropped: *dropped };
                    bad.push(BadRow { number, place, found });
                    continue;
                }
                CompactRow::Other => None,
            };
            if let Some(made) = made {
                good.append(made.into_bound(py))?;
                continue;
            }
            // Such as an item that cannot be part of a set: the engine says why.
            if let Some(error) = PyErr::take(py) {
                return Err(error);
            }
            let row = Row { number, line: 0, text: &text[place.clone()] };
            match validate_row(owner, &row, &session, &options)? {
                Ok(made) => good.append(made.into_bound(py))?,
                Err(found) => bad.push(BadRow { number, place, found: found.into() }),
            }
        }
    }
    Ok((count, bad))
}

/// Where to cut a text so that each piece has whole lines.
fn pieces(text: &[u8]) -> Vec<Range<usize>> {
    let mut pieces = Vec::with_capacity(text.len() / PIECE + 1);
    let mut start = 0;
    while start < text.len() {
        let least = (start + PIECE).min(text.len());
        let end = text[least..].iter().position(|byte| *byte == b'\n');
        let end = end.map_or(text.len(), |end| least + end + 1);
        pieces.push(start..end);
        start = end;
    }
    pieces
}

/// A row of a stream.
pub(super) struct Row<'t> {
    /// From 0; lines that are blank are no rows.
    pub(super) number: usize,
    /// From 1.
    pub(super) line: u64,
    pub(super) text: &'t [u8],
}

/// The rows of a text.
pub(super) fn rows(text: &[u8]) -> impl Iterator<Item = Row<'_>> {
    let mut rest = Some(text);
    let split = move || {
        let text = rest?;
        let end = memchr::memchr(b'\n', text);
        rest = end.map(|end| &text[end + 1..]);
        Some(end.map_or(text, |end| &text[..end]))
    };
    let lines = std::iter::from_fn(split).zip(1..);
    let filled = lines.filter(|(text, _)| !is_blank(text));
    filled.enumerate().map(|(number, (text, line))| Row { number, line, text })
}

/// What a row becomes, or what is wrong with it.
pub(super) fn validate_row<'py>(
    owner: &Bound<'py, Plan>,
    row: &Row<'_>,
    session: &Session,
    options: &Options<'py>,
) -> PyResult<Result<Object, Issues>> {
    let plan = owner.get();
    let limits = plan.schema.limits();
    if row.text.len() > limits.row_bytes {
        let most = Param::Int(i64::try_from(limits.row_bytes).unwrap_or(i64::MAX));
        return Ok(Err(issues::single(Code::RowTooLong, [("max_bytes", most)].into(), Echo::None)));
    }
    if let Some(fast) = &plan.fast {
        // SAFETY: the plan is borrowed from its owner.
        if let Some(made) = unsafe { fast.json(&plan.schema, row.text) } {
            return Ok(Ok(made));
        }
        if let Some(raised) = PyErr::take(owner.py()) {
            return Err(raised);
        }
    }
    let mut output = PyOutput::new(owner, session);
    output.context.clone_from(&options.context);
    match json::run(plan, row.text, &mut output, options.strict) {
        (Ok(object), _) => Ok(Ok(object)),
        (Err(Stop::Abort), _) => Err(PyErr::fetch(owner.py())),
        (Err(Stop::Invalid), found) => Ok(Err(found)),
    }
}

/// The text of a stream.
pub(super) enum Text {
    Held(Py<PyBytes>),
    Read(Vec<u8>),
}

impl Text {
    /// The bytes, for as long as this is kept, with and without the lock.
    fn outlive(&self) -> &[u8] {
        match self {
            Text::Held(bytes) => Python::attach(|py| outlive(bytes.bind(py).as_bytes(), bytes)),
            Text::Read(bytes) => bytes,
        }
    }

    pub(super) fn bytes<'t>(&'t self, py: Python<'t>) -> &'t [u8] {
        match self {
            Text::Held(bytes) => bytes.bind(py).as_bytes(),
            Text::Read(bytes) => bytes,
        }
    }
}

/// Reads some of a stream: what there is, up to about [`READ`] bytes. The stream comes back unless that was its end.
fn read_some(
    py: Python<'_>,
    pool: &ThreadPool,
    source: Source,
) -> PyResult<(Option<Source>, Vec<u8>)> {
    let mut raised = None;
    let (result, source, text) = {
        let raised = &mut raised;
        gate::interruptible(py, pool, move |cancel: &AtomicBool| {
            let mut text = Vec::with_capacity(READ);
            match source {
                Source::File(reader) => {
                    let mut reader = Cancellable { reader, cancel };
                    let result = reader.by_ref().take(READ as u64).read_to_end(&mut text);
                    (result, Source::File(reader.reader), text)
                }
                Source::Chunks(feed) => {
                    let mut chunks = Chunks::new(feed, raised, cancel);
                    let result = chunks.by_ref().take(READ as u64).read_to_end(&mut text);
                    let (feed, rest) = chunks.into_parts();
                    text.extend(rest);
                    (result, Source::Chunks(feed), text)
                }
                held => (Ok(0), held, text),
            }
        })?
    };
    if let Some(error) = raised {
        return Err(error);
    }
    let count = result.map_err(|error| read_error(&error))?;
    Ok(((count == READ).then_some(source), text))
}

/// Reads a stream to its end.
pub(super) fn read_all(py: Python<'_>, source: Source, threads: Option<usize>) -> PyResult<Text> {
    let mut raised = None;
    let pool = threads::pool(threads)?;
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
                Some(Source::Chunks(feed)) => {
                    Chunks::new(feed, raised, cancel).read_to_end(&mut text)
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
