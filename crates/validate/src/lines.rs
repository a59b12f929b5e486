//! Lines of JSON, one row each.

use crate::check::Run;
use crate::direct::Rows;
use crate::issue::{Code, Echo, Issue, Issues, Param};
use crate::json::{JsonError, JsonInput};
use crate::output::{Checked, Output, Stop};
use crate::schema::{Schema, invalid_json, rest_is_json};

/// A line that is not blank.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'t> {
    /// Counted from 0.
    #[cfg_attr(not(feature = "arrow"), allow(dead_code))]
    pub(crate) number: u64,
    /// The number of the line, from 1.
    #[cfg_attr(not(feature = "arrow"), allow(dead_code))]
    pub(crate) line: u64,
    /// Where it begins in the text.
    pub(crate) start: usize,
    pub(crate) text: &'t [u8],
}

/// After so many rows that were given up, each of which counts as four that were not, all others go to the engine.
const MOST_GIVEN_UP: usize = 256;

/// Whether a line is no row: it has nothing but what JSON takes for space.
#[must_use]
pub fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
}

/// The end of a line of which nothing is left but the mark of its end.
#[inline]
fn line_end(bytes: &[u8], at: usize) -> Option<usize> {
    let end = at + usize::from(bytes.get(at) == Some(&b'\r'));
    matches!(bytes.get(end), None | Some(b'\n')).then_some(end)
}

/// Text of rows, and what they are held against.
#[derive(Clone, Copy)]
pub(crate) struct RowText<'s, 't> {
    pub(crate) schema: &'s Schema,
    pub(crate) bytes: &'t [u8],
    pub(crate) strict: Option<bool>,
}

impl<'s, 't> RowText<'s, 't> {
    /// Checks rows one after another and hands each result to `done`, with the issues that were found; they are gone after that. Returns how
    /// many rows and how many lines there are. `undo` makes an output forget what it was given of a row that is read once more.
    ///
    /// `many` may read some rows from a place on by itself, which are right, and says how many and where it stopped; they do not come to `done`.
    pub(crate) fn each<O: Output>(
        self,
        output: &mut O,
        place: O::Place,
        mut many: impl FnMut(&mut O, &Rows<'s, 't>, usize) -> (u64, usize),
        undo: impl Fn(&mut O),
        mut done: impl FnMut(&mut O, Row<'t>, Checked<O::Value>, &mut Issues),
    ) -> (u64, u64) {
        let Self { schema, bytes, strict } = self;
        let limits = *schema.limits();
        let mut found = Issues::new(limits.issues);
        // Text is checked once for all lines; only if some byte is wrong, each line on its own.
        let text = simdutf8::basic::from_utf8(bytes).ok();
        let mut input = JsonInput::from_text("", schema.json_options(), &limits);
        let direct = text.zip(schema.direct()).map(|(text, direct)| Rows {
            direct,
            program: schema.program(),
            text,
            options: schema.json_options(),
            limits,
            strict,
        });
        let mut given_up = 0_usize;
        let (mut rows, mut lines) = (0, 0);
        let mut start = 0;
        while start < bytes.len() {
            if let Some(direct) = &direct
                && bytes[start] == b'{'
            {
                let (count, next) = many(output, direct, start);
                (rows, lines, start) = (rows + count, lines + count, next);
                given_up = given_up.saturating_sub(count as usize);
                if start == bytes.len() {
                    break;
                }
            }
            if let Some(direct) = &direct
                && bytes[start] == b'{'
                && given_up < MOST_GIVEN_UP
            {
                let made = direct.row(start, place, output);
                if let Some((value, end)) = made
                    && let Some(end) = line_end(bytes, end)
                    && end - start <= limits.row_bytes
                {
                    lines += 1;
                    let row = Row { number: rows, line: lines, start, text: &bytes[start..end] };
                    done(output, row, Ok(value), &mut found);
                    start = end + 1;
                    rows += 1;
                    given_up = given_up.saturating_sub(1);
                    continue;
                }
                undo(output);
                given_up += 4;
            }
            let end = memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |at| start + at);
            let line = &bytes[start..end];
            lines += 1;
            let content = match text {
                // A line ends next to an ASCII byte.
                Some(text) => Ok(text.get(start..end).unwrap_or_default()),
                None => std::str::from_utf8(line),
            };
            let row = Row { number: rows, line: lines, start, text: line };
            start = end + 1;
            if is_blank(line) {
                continue;
            }
            let checked = match content {
                _ if line.len() > limits.row_bytes => {
                    let mut issue = Issue::new(Code::RowTooLong, Echo::None);
                    let limit = i64::try_from(limits.row_bytes).unwrap_or(i64::MAX);
                    issue.ctx.push(("max_bytes", Param::Int(limit)));
                    found.push(issue);
                    Err(Stop::Invalid)
                }
                Err(error) => {
                    let error =
                        JsonError::at(line, error.valid_up_to(), "invalid unicode code point");
                    invalid_json(&mut found, &error, line.len())
                }
                Ok(content) => {
                    input.restart(content);
                    let at = input.start();
                    let root = place;
                    let program = schema.program();
                    let mut run =
                        Run::new(program, &mut input, output, &mut found, &limits, strict);
                    match run.check_root(root, at) {
                        Ok(value) => input.finish().map(|()| value),
                        Err(Stop::Invalid) => rest_is_json(&mut input, at),
                        Err(Stop::Abort) => Err(Stop::Abort),
                    }
                    .or_else(|stop| match input.error() {
                        Some(error) => invalid_json(&mut found, &error, line.len()),
                        None => Err(stop),
                    })
                }
            };
            done(output, row, checked, &mut found);
            if !found.is_empty() {
                found.truncate(0);
            }
            rows += 1;
        }
        (rows, lines)
    }
}
