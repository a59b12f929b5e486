//! Lines of JSON, one row each.

use crate::check::Run;
use crate::issue::{Code, Echo, Issue, Issues, Param};
use crate::json::{JsonError, JsonInput};
use crate::output::{Checked, Output, Stop};
use crate::schema::{Schema, invalid_json, rest_is_json};

/// A line that is not blank.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'t> {
    /// Counted from 0.
    pub(crate) number: u64,
    /// The number of the line, from 1.
    pub(crate) line: u64,
    /// Where it begins in the text.
    pub(crate) start: usize,
    pub(crate) text: &'t [u8],
}

/// Checks rows one after another and hands each result to `done`, with the issues that were found; they are gone after that. Returns how
/// many rows and how many lines there are.
pub(crate) fn each_row<'t, O: Output>(
    schema: &Schema,
    bytes: &'t [u8],
    strict: Option<bool>,
    output: &mut O,
    place: impl Fn(&O) -> O::Place,
    mut done: impl FnMut(&mut O, Row<'t>, Checked<O::Value>, &mut Issues),
) -> (u64, u64) {
    let limits = *schema.limits();
    let mut found = Issues::new(limits.issues);
    // Text is checked once for all lines; only if some byte is wrong, each line on its own.
    let text = std::str::from_utf8(bytes).ok();
    let mut input = JsonInput::from_text("", schema.json_options(), &limits);
    let (mut rows, mut lines) = (0, 0);
    let mut start = 0;
    while start < bytes.len() {
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
        if line.iter().all(u8::is_ascii_whitespace) {
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
                let error = JsonError::at(line, error.valid_up_to(), "invalid unicode code point");
                invalid_json(&mut found, &error, line.len())
            }
            Ok(content) => {
                input.restart(content);
                let at = input.start();
                let root = place(output);
                let program = schema.program();
                let mut run = Run::new(program, &mut input, output, &mut found, &limits, strict);
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
