//! The values of a template: what they must be, and those that were read.

use super::between::Between;
use crate::columns::output::ColumnOutput;
use crate::columns::store::{Bytes, Data, Table};
use crate::direct::window::{self, Window, window};
use crate::direct::{DirectField, Rows, Symbols};
use crate::json::{Number, find_special, read_number, unescape};
use crate::rules::text::StrRules;

/// Bytes that are written at once; so many are kept free behind a column's text.
const ROOM: usize = window::SHORT_TEXT;

/// A value of the template.
#[derive(Debug)]
pub(super) struct Step<'s> {
    pub(super) before: Between,
    pub(super) nullable: bool,
    pub(super) column: usize,
    /// Rows that are null, in rising order; taken out of the column while rows are read.
    pub(super) nulls: Vec<usize>,
    pub(super) cells: Cells<'s>,
}

/// What a value must be, and the values so far, taken out of their column while rows are read. All have as many places as there is room for rows.
// With a tag of its own: to get it out of the length of a vector would take longer than to read some values.
#[derive(Debug)]
#[repr(u8)]
pub(super) enum Cells<'s> {
    Int {
        low: i64,
        high: i64,
        values: Vec<i64>,
    },
    Float(Vec<f64>),
    Bool(Vec<bool>),
    Text {
        rules: Option<&'s StrRules>,
        texts: Texts,
    },
    /// Text that is one of a few, each of which has a place in the dictionary.
    Symbol {
        symbols: &'s Symbols,
        places: Vec<i32>,
        values: Vec<i32>,
    },
    Instant(Vec<i64>),
    /// Lists of floats.
    Floats {
        ends: Vec<i32>,
        items: Vec<f64>,
        item: usize,
        min: usize,
        max: usize,
    },
    /// Everything else, of a field or of nobody.
    Other {
        field: Option<&'s DirectField>,
        depth: usize,
    },
}

/// Growing text; the bytes are there already, and `used` of them count.
#[derive(Debug, Default)]
pub(super) struct Texts {
    ends: Vec<i32>,
    bytes: Vec<u8>,
    used: usize,
}

impl Texts {
    /// Adds a text that begins in a window behind its quote.
    #[inline(always)]
    fn short(&mut self, row: usize, near: &Window, length: usize) {
        if self.used + ROOM > self.bytes.len() {
            self.grow(ROOM);
        }
        let to = &mut self.bytes[self.used..self.used + ROOM];
        if length <= 16 {
            to[..16].copy_from_slice(&near[1..17]);
        } else {
            to.copy_from_slice(&near[1..=ROOM]);
        }
        self.end(row, length);
    }

    #[inline(never)]
    fn long(&mut self, row: usize, text: &[u8]) {
        if self.used + text.len() > self.bytes.len() {
            self.grow(text.len());
        }
        self.bytes[self.used..self.used + text.len()].copy_from_slice(text);
        self.end(row, text.len());
    }

    #[inline(always)]
    fn end(&mut self, row: usize, length: usize) {
        self.used += length;
        // A text of rows has fewer bytes than that.
        self.ends[row] = self.used as i32;
    }

    #[cold]
    fn grow(&mut self, more: usize) {
        let length = self.used + self.used / 2 + more + 1024;
        self.bytes.resize(length, 0);
    }
}

impl<'s> Step<'s> {
    #[inline(always)]
    pub(super) fn value(
        &mut self,
        rows: &Rows<'s, '_>,
        output: &mut ColumnOutput,
        (at, near): (usize, &Window),
        row: usize,
    ) -> Option<usize> {
        if self.nullable && window::null(near) {
            self.null(row);
            return Some(at + 4);
        }
        Some(match &mut self.cells {
            Cells::Int { low, high, values } => {
                let (value, length) = match window::int(near) {
                    Some(found) => found,
                    None => long_int(rows.text, at)?,
                };
                if value < *low || value > *high {
                    return None;
                }
                values[row] = value;
                at + length
            }
            Cells::Float(values) => {
                let (value, length) = match window::float(near) {
                    Some(found) => found,
                    None => long_float(rows.text, at)?,
                };
                values[row] = value;
                at + length
            }
            Cells::Bool(values) => {
                let (value, length) = window::bool(near)?;
                values[row] = value;
                at + length
            }
            Cells::Text { rules, texts } => match window::text(near) {
                Some(length) => {
                    if let Some(rules) = rules
                        && !rules.accepts(rows.text.get(at + 1..at + 1 + length)?)
                    {
                        return None;
                    }
                    texts.short(row, near, length);
                    at + length + 2
                }
                None => long_text(rows.text, at, *rules, row, texts)?,
            },
            Cells::Symbol { symbols, places, values } => {
                let (word, length) = window::word(near)?;
                values[row] = *places.get(symbols.find(word)?)?;
                at + length + 2
            }
            Cells::Instant(values) => {
                let (value, length) = window::instant(near)?;
                values[row] = value;
                at + length
            }
            Cells::Floats { ends, items, min, max, .. } => {
                let (end, count) = floats(rows.text, at, items)?;
                if count < *min || count > *max {
                    return None;
                }
                ends[row] = i32::try_from(items.len()).ok()?;
                end
            }
            Cells::Other { field, depth } => other(rows, output, *field, at, *depth, self.column)?,
        })
    }

    #[inline(never)]
    fn null(&mut self, row: usize) {
        self.nulls.push(row);
        match &mut self.cells {
            Cells::Int { values, .. } | Cells::Instant(values) => values[row] = 0,
            Cells::Float(values) => values[row] = 0.0,
            Cells::Bool(values) => values[row] = false,
            Cells::Text { texts, .. } => texts.end(row, 0),
            Cells::Symbol { values, .. } => values[row] = 0,
            Cells::Floats { ends, items, .. } => ends[row] = items.len() as i32,
            Cells::Other { .. } => {}
        }
    }

    /// Takes the values out of their column.
    pub(super) fn take(&mut self, table: &mut Table) {
        let Some(column) = table.columns.get_mut(self.column) else { return };
        let mut item_of = None;
        match (&mut self.cells, &mut column.data) {
            (Cells::Int { values, .. }, Data::I64(from))
            | (Cells::Instant(values), Data::Instant(from, _)) => *values = std::mem::take(from),
            (Cells::Float(values), Data::F64(from)) => *values = std::mem::take(from),
            (Cells::Bool(values), Data::Bool(from)) => *values = std::mem::take(from),
            (Cells::Symbol { values, .. }, Data::Symbol(from, _)) => {
                *values = std::mem::take(from);
            }
            (Cells::Text { texts, .. }, Data::Str(from)) => {
                let Bytes { ends, bytes } = std::mem::take(from);
                *texts = Texts { ends, used: bytes.len(), bytes };
            }
            (Cells::Floats { ends, item, .. }, Data::List(from, _)) => {
                *ends = std::mem::take(from);
                item_of = Some(*item);
            }
            // These stay in their columns.
            _ => return,
        }
        self.nulls = std::mem::take(&mut column.nulls);
        if let (Cells::Floats { items, .. }, Some(item)) = (&mut self.cells, item_of)
            && let Data::F64(from) = &mut table.columns[item].data
        {
            *items = std::mem::take(from);
        }
    }

    pub(super) fn make_room(&mut self, room: usize) {
        fn grow<T: Copy + Default>(values: &mut Vec<T>, room: usize) {
            values.reserve_exact(room.saturating_sub(values.len()));
            values.resize(room, T::default());
        }
        match &mut self.cells {
            Cells::Int { values, .. } | Cells::Instant(values) => grow(values, room),
            Cells::Float(values) => grow(values, room),
            Cells::Bool(values) => grow(values, room),
            Cells::Text { texts: Texts { ends, .. }, .. } | Cells::Floats { ends, .. } => {
                grow(ends, room);
            }
            Cells::Symbol { values, .. } => grow(values, room),
            Cells::Other { .. } => {}
        }
    }

    /// Puts the values of the first rows back into their column and forgets the others.
    pub(super) fn give_back(&mut self, table: &mut Table, rows: usize) {
        let Some(column) = table.columns.get_mut(self.column) else { return };
        let mut items_to = None;
        match (&mut self.cells, &mut column.data) {
            (Cells::Int { values, .. }, Data::I64(to))
            | (Cells::Instant(values), Data::Instant(to, _)) => *to = std::mem::take(values),
            (Cells::Float(values), Data::F64(to)) => *to = std::mem::take(values),
            (Cells::Bool(values), Data::Bool(to)) => *to = std::mem::take(values),
            (Cells::Symbol { values, .. }, Data::Symbol(to, _)) => *to = std::mem::take(values),
            (Cells::Text { texts, .. }, Data::Str(to)) => {
                let Texts { ends, mut bytes, used } = std::mem::take(texts);
                bytes.truncate(used);
                *to = Bytes { ends, bytes };
            }
            (Cells::Floats { ends, items, item, .. }, Data::List(to, _)) => {
                *to = std::mem::take(ends);
                items_to = Some((*item, std::mem::take(items)));
            }
            _ => {
                table.truncate(self.column, rows);
                return;
            }
        }
        column.nulls = std::mem::take(&mut self.nulls);
        if let Some((item, items)) = items_to
            && let Data::F64(to) = &mut table.columns[item].data
        {
            *to = items;
        }
        table.truncate(self.column, rows);
    }
}

/// An integer of many digits, and its length.
#[cold]
fn long_int(text: &str, at: usize) -> Option<(i64, usize)> {
    match read_number(text, at) {
        Ok((Number::Int(value), end)) => Some((value, end - at)),
        _ => None,
    }
}

/// A number of many digits or with an exponent, and its length.
#[cold]
fn long_float(text: &str, at: usize) -> Option<(f64, usize)> {
    match read_number(text, at) {
        Ok((Number::Float(value), end)) if value.is_finite() => Some((value, end - at)),
        Ok((Number::Int(value), end)) => Some((value as f64, end - at)),
        _ => None,
    }
}

/// Reads a text that is long or has escapes: where it ends.
#[inline(never)]
fn long_text(
    text: &str,
    at: usize,
    rules: Option<&StrRules>,
    row: usize,
    texts: &mut Texts,
) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let mut unescaped = String::new();
    let mut from = at + 1;
    loop {
        let end = find_special(bytes, from);
        let part = text.get(from..end)?;
        match bytes.get(end)? {
            b'"' => {
                let whole = if from == at + 1 {
                    part
                } else {
                    unescaped.push_str(part);
                    &unescaped
                };
                if rules.is_some_and(|rules| !rules.accepts(whole)) {
                    return None;
                }
                texts.long(row, whole.as_bytes());
                return Some(end + 1);
            }
            b'\\' => {
                unescaped.push_str(part);
                from = unescape(bytes, end, &mut unescaped).ok()?;
            }
            _ => return None,
        }
    }
}

/// Reads a list of floats: where it ends, and how many they are.
#[inline(never)]
fn floats(text: &str, at: usize, items: &mut Vec<f64>) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let before = items.len();
    let past_space = |at: usize| at + usize::from(bytes.get(at) == Some(&b' '));
    if bytes.get(at) != Some(&b'[') {
        return None;
    }
    let mut at = past_space(at + 1);
    if bytes.get(at) == Some(&b']') {
        return Some((at + 1, 0));
    }
    loop {
        let near = window(bytes, at)?;
        let (value, length) = match window::float(near) {
            Some(found) => found,
            None => long_float(text, at)?,
        };
        items.push(value);
        at += length;
        match bytes.get(at)? {
            b',' => at = past_space(at + 1),
            b']' => return Some((at + 1, items.len() - before)),
            _ => return None,
        }
    }
}

/// Reads a value in the way of the engine, or passes over it: where it ends.
#[inline(never)]
fn other(
    rows: &Rows<'_, '_>,
    output: &mut ColumnOutput,
    field: Option<&DirectField>,
    at: usize,
    depth: usize,
    column: usize,
) -> Option<usize> {
    match field {
        None => rows.pass(at, depth),
        Some(field) => {
            let (value, end) = rows.value(field, at, depth, column, output)?;
            output.settle(column, value).ok()?;
            Some(end)
        }
    }
}
