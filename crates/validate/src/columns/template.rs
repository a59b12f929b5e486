//! Rows that are written like one before them, straight into columns.
//!
//! A template is learned from a row: which fields come in which order, and every byte that stands between their values. Rows that have the very same
//! bytes there, and values in their usual forms, are read by comparing those bytes and nothing else; of a record inside a row nothing is left but
//! some bytes more. All others are the business of [`RowText::each`](crate::lines::RowText::each), so this way, too, only ever says yes.

use ottava_core::schema::{Extra, FieldDefault};

use super::output::ColumnOutput;
use super::store::{Bytes, Data, Table};
use super::symbols::symbol_index;
use crate::direct::window::{self, Window, window};
use crate::direct::{DirectField, DirectKind, Rows, Symbols};
use crate::json::{Number, find_special, read_number, unescape};
use crate::output::{Given, Output};
use crate::program::{Op, RecordPlan};
use crate::rules::text::StrRules;

/// Rows for which columns get room at first.
const FEW_ROWS: usize = 64;

/// How often a template may be learned or fail in vain, in one text.
const PATIENCE: usize = 16;

/// Bytes for which it does not pay to learn one.
const LEAST_TEXT: usize = 1024;

/// Bytes that are written at once; so many are kept free behind a column's text.
const ROOM: usize = window::SHORT_TEXT;

/// The bytes between two values, ready to be compared with text.
#[derive(Debug)]
struct Between {
    first: [u64; 4],
    mask: [u64; 4],
    length: usize,
    /// What comes after 32 bytes.
    rest: Box<[u8]>,
}

impl Between {
    fn new(bytes: &[u8]) -> Self {
        let (mut first, mut mask) = ([0; 32], [0; 32]);
        let short = bytes.len().min(32);
        first[..short].copy_from_slice(&bytes[..short]);
        mask[..short].fill(0xff);
        let (first, mask) = (words(&first), words(&mask));
        Self { first, mask, length: bytes.len(), rest: bytes[short..].into() }
    }

    /// Where the value behind these bytes begins, if they stand at `at`, and what is there.
    #[inline(always)]
    fn pass<'t>(&self, text: &'t [u8], at: usize) -> Option<(usize, &'t Window)> {
        let near: &[u8; 128] = text.get(at..at.wrapping_add(128))?.first_chunk()?;
        if !self.begins(near.first_chunk()?) {
            return None;
        }
        if self.length > 32 {
            return self.pass_long(text, at);
        }
        let from = self.length % 64;
        Some((at + from, near[from..from + 64].first_chunk()?))
    }

    #[inline(never)]
    fn pass_long<'t>(&self, text: &'t [u8], at: usize) -> Option<(usize, &'t Window)> {
        let from = self.end(text, at)?;
        Some((from, window(text, from)?))
    }

    /// Where these bytes end, if they stand at `at`.
    #[inline(always)]
    fn end(&self, text: &[u8], at: usize) -> Option<usize> {
        let same = self.begins(window(text, at)?.first_chunk()?)
            && (self.length <= 32 || self.goes_on(text, at));
        same.then_some(at + self.length)
    }

    #[inline(always)]
    fn begins(&self, near: &[u8; 32]) -> bool {
        let near = words(near);
        let differs = |word: usize| (near[word] ^ self.first[word]) & self.mask[word];
        differs(0) | differs(1) | differs(2) | differs(3) == 0
    }

    #[inline(never)]
    fn goes_on(&self, text: &[u8], at: usize) -> bool {
        text.get(at + 32..).is_some_and(|text| text.starts_with(&self.rest))
    }
}

#[inline(always)]
fn words(bytes: &[u8; 32]) -> [u64; 4] {
    std::array::from_fn(|word| {
        let mut part = [0; 8];
        part.copy_from_slice(&bytes[8 * word..8 * word + 8]);
        u64::from_le_bytes(part)
    })
}

/// A value of the template.
#[derive(Debug)]
struct Step<'s> {
    before: Between,
    nullable: bool,
    column: usize,
    /// Rows that are null, in rising order; taken out of the column while rows are read.
    nulls: Vec<usize>,
    cells: Cells<'s>,
}

/// What a value must be, and the values so far, taken out of their column while rows are read. All have as many places as there is room for rows.
// With a tag of its own: to get it out of the length of a vector would take longer than to read some values.
#[derive(Debug)]
#[repr(u8)]
enum Cells<'s> {
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
struct Texts {
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

/// How rows are written, learned from one of them.
#[derive(Debug)]
pub(super) struct Template<'s> {
    steps: Vec<Step<'s>>,
    /// What comes after the last value, with the end of the line.
    end: Between,
    /// Columns of records inside the row.
    records: Vec<usize>,
    /// Fields that the row does not have.
    missing: Vec<(&'s RecordPlan, usize, usize)>,
    /// Columns of undeclared keys, of which there are none.
    extras: Vec<usize>,
}

/// Reads rows by templates, as long as that pays.
#[derive(Debug)]
pub(super) struct Templates<'s> {
    template: Option<Template<'s>>,
    patience: usize,
    level: Level,
}

/// Instructions that rows are read with; what they are read as is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// What every processor of its kind has.
    Plain,
    /// AVX2 and the bit instructions of its time.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Level {
    /// The best that this processor has.
    pub(super) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
        {
            return Self::Avx2;
        }
        Self::Plain
    }
}

impl<'s> Templates<'s> {
    /// No template yet. `level` is one that this processor has.
    pub(super) fn new(level: Level) -> Self {
        Self { template: None, patience: PATIENCE, level }
    }

    /// Reads rows from `at` on, as many as are written like one another, and says how many and where the next one begins.
    #[inline]
    pub(super) fn read(
        &mut self,
        rows: &Rows<'s, '_>,
        output: &mut ColumnOutput,
        at: usize,
    ) -> (u64, usize) {
        if self.patience == 0 || rows.text.len() - at < LEAST_TEXT {
            return (0, at);
        }
        self.read_some(rows, output, at)
    }

    #[inline(never)]
    fn read_some(
        &mut self,
        rows: &Rows<'s, '_>,
        output: &mut ColumnOutput,
        at: usize,
    ) -> (u64, usize) {
        if let Some(template) = &mut self.template {
            let (count, next) = template.read(rows, output, at, self.level);
            if count > 0 {
                self.patience = (self.patience + count / 2).min(PATIENCE) - usize::from(count < 3);
                return (count as u64, next);
            }
        }
        self.patience -= 1;
        self.template = Template::learn(rows, output, at);
        match &mut self.template {
            None => (0, at),
            Some(template) => {
                let (count, next) = template.read(rows, output, at, self.level);
                (count as u64, next)
            }
        }
    }
}

/// A template that is being learned.
struct Lesson<'s, 'r, 't> {
    rows: &'r Rows<'s, 't>,
    table: &'r Table,
    template: Template<'s>,
    /// Where the last value ended.
    from: usize,
}

impl<'s> Template<'s> {
    /// The way in which the row at `start` is written, if that is a template. The row itself need not be right.
    #[cold]
    fn learn(rows: &Rows<'s, '_>, output: &ColumnOutput, start: usize) -> Option<Self> {
        // Texts of a column end at numbers of 31 bits.
        if rows.text.len() > (i32::MAX / 2) as usize {
            return None;
        }
        let template = Self {
            steps: Vec::new(),
            end: Between::new(&[]),
            records: Vec::new(),
            missing: Vec::new(),
            extras: Vec::new(),
        };
        let mut lesson = Lesson { rows, table: &output.table, template, from: start };
        let end = lesson.record(rows.direct.root, &output.table.roots, start, 0)?;
        let text = rows.text.as_bytes();
        let line = memchr::memchr(b'\n', text.get(end..)?)? + end + 1;
        if !text[end..line].iter().all(u8::is_ascii_whitespace) {
            return None;
        }
        lesson.template.end = Between::new(&text[lesson.from..line]);
        Some(lesson.template)
    }

    /// Reads rows: how many, and where the next one begins.
    #[allow(unsafe_code)] // This function alone: the reader is safe code, compiled once for each level.
    fn read(
        &mut self,
        rows: &Rows<'s, '_>,
        output: &mut ColumnOutput,
        start: usize,
        level: Level,
    ) -> (usize, usize) {
        match level {
            Level::Plain => self.read_rows(rows, output, start),
            // SAFETY: `Level::Avx2` is made by `Level::best` alone, where the processor has all that the function is compiled for.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { self.read_rows_avx2(rows, output, start) },
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
    fn read_rows_avx2(
        &mut self,
        rows: &Rows<'s, '_>,
        output: &mut ColumnOutput,
        start: usize,
    ) -> (usize, usize) {
        self.read_rows(rows, output, start)
    }

    #[inline(always)]
    fn read_rows(
        &mut self,
        rows: &Rows<'s, '_>,
        output: &mut ColumnOutput,
        start: usize,
    ) -> (usize, usize) {
        let first = output.rows;
        let (mut row, mut at, mut room) = (first, start, first);
        self.steps.iter_mut().for_each(|step| step.take(&mut output.table));
        loop {
            if row == room {
                room += FEW_ROWS;
                if row > first {
                    // As many as there may be if they are as long as those before.
                    room += (rows.text.len() - at) / ((at - start) / (row - first)).max(1);
                }
                self.steps.iter_mut().for_each(|step| step.make_room(room));
            }
            match self.row(rows, output, at, row) {
                Some(end) if end - at - 1 <= rows.limits.row_bytes => {
                    at = end;
                    row += 1;
                }
                _ => break,
            }
        }
        for step in &mut self.steps {
            step.give_back(&mut output.table, row);
        }
        self.missing.iter().for_each(|(_, _, column)| output.table.truncate(*column, row));
        for column in &self.extras {
            (first..row).for_each(|_| output.table.push_null(*column));
        }
        for column in &self.records {
            if let Data::Struct { rows, .. } = &mut output.table.columns[*column].data {
                *rows = row;
            }
        }
        output.rows = row;
        (row - first, at)
    }

    /// Reads the row at `at` to the place `row`: where the next one begins. If it is not like the template, a part of it may have been written.
    #[inline(always)]
    fn row(
        &mut self,
        rows: &Rows<'s, '_>,
        output: &mut ColumnOutput,
        at: usize,
        row: usize,
    ) -> Option<usize> {
        let text = rows.text.as_bytes();
        let mut at = at;
        for step in &mut self.steps {
            let (from, near) = step.before.pass(text, at)?;
            at = step.value(rows, output, (from, near), row)?;
        }
        if !self.missing.is_empty() {
            self.fill(output)?;
        }
        self.end.end(text, at)
    }

    /// Fills in what rows do not have.
    #[inline(never)]
    fn fill(&self, output: &mut ColumnOutput) -> Option<()> {
        for (plan, index, column) in &self.missing {
            match &plan.fields[*index].default {
                FieldDefault::Absent => output.table.push_null(*column),
                default => {
                    let value = output.default(*column, plan, *index, default).ok()?;
                    output.settle(*column, value).ok()?;
                }
            }
        }
        Some(())
    }
}

impl<'s> Step<'s> {
    #[inline(always)]
    fn value(
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
    fn take(&mut self, table: &mut Table) {
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

    fn make_room(&mut self, room: usize) {
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
    fn give_back(&mut self, table: &mut Table, rows: usize) {
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

impl<'s> Lesson<'s, '_, '_> {
    fn byte(&self, at: usize) -> u8 {
        self.rows.text.as_bytes().get(at).copied().unwrap_or(0)
    }

    fn past_space(&self, mut at: usize) -> usize {
        while matches!(self.byte(at), b' ' | b'\t' | b'\r') {
            at += 1;
        }
        at
    }

    /// Learns the record at `at`: where it ends.
    fn record(
        &mut self,
        number: usize,
        columns: &[usize],
        at: usize,
        depth: usize,
    ) -> Option<usize> {
        let (direct, program) = (self.rows.direct, self.rows.program);
        let fields = direct.records.get(number)?.as_deref()?;
        let plan = program.records.get(number)?;
        if self.byte(at) != b'{' || depth >= self.rows.limits.depth {
            return None;
        }
        if plan.extra == Extra::Allow {
            self.template.extras.push(*columns.get(fields.len())?);
        }
        let mut given = Given::new(fields.len());
        let mut at = self.past_space(at + 1);
        while self.byte(at) != b'}' {
            let text = self.rows.text;
            if self.byte(at) != b'"' {
                return None;
            }
            let end = find_special(text.as_bytes(), at + 1);
            if self.byte(end) != b'"' {
                return None;
            }
            let key = text.get(at + 1..end)?;
            at = self.past_space(end + 1);
            if self.byte(at) != b':' {
                return None;
            }
            at = self.past_space(at + 1);
            match plan.field_of(key) {
                Some(index) => {
                    if !given.insert(index) {
                        return None;
                    }
                    at = self.field(&fields[index], columns[index], at, depth + 1)?;
                }
                None if plan.extra == Extra::Ignore && !self.rows.options.forbid_duplicate_keys => {
                    let cells = Cells::Other { field: None, depth: depth + 1 };
                    at = self.step(cells, false, usize::MAX, at, depth + 1)?;
                }
                None => return None,
            }
            at = self.past_space(at);
            match self.byte(at) {
                b',' if self.byte(self.past_space(at + 1)) == b'"' => at = self.past_space(at + 1),
                b'}' => break,
                _ => return None,
            }
        }
        for (index, field) in plan.fields.iter().enumerate() {
            match field.default {
                _ if given.contains(index) => {}
                FieldDefault::Required | FieldDefault::Host(_) => return None,
                _ => self.template.missing.push((plan, index, columns[index])),
            }
        }
        Some(at + 1)
    }

    /// Learns a value: where it ends.
    fn field(
        &mut self,
        field: &'s DirectField,
        column: usize,
        at: usize,
        depth: usize,
    ) -> Option<usize> {
        let (direct, program) = (self.rows.direct, self.rows.program);
        let table = self.table;
        let data = &table.columns.get(column)?.data;
        let cells = match (&field.kind, data) {
            (DirectKind::Record(number), Data::Struct { children, .. })
                if self.byte(at) == b'{' && direct.records[*number].is_some() =>
            {
                let end = self.record(*number, children, at, depth)?;
                self.template.records.push(column);
                return Some(end);
            }
            (DirectKind::Int { low, high }, Data::I64(_)) => {
                Cells::Int { low: *low, high: *high, values: Vec::new() }
            }
            (DirectKind::Float, Data::F64(_)) => Cells::Float(Vec::new()),
            (DirectKind::Bool, Data::Bool(_)) => Cells::Bool(Vec::new()),
            (DirectKind::FreeText, Data::Str(_)) => {
                Cells::Text { rules: None, texts: Texts::default() }
            }
            (DirectKind::Text(node), Data::Str(_)) => {
                let Op::Str(rules) = &program.node(*node).op else { return None };
                Cells::Text { rules: Some(rules), texts: Texts::default() }
            }
            (DirectKind::Literal { plan, symbols }, Data::Symbol(..)) => {
                let plan = program.literals.get(*plan)?;
                let place = |index| symbol_index(plan.choices.null, plan.values.iter(), index);
                let places = (0..plan.values.len()).map(place).collect();
                Cells::Symbol { symbols, places, values: Vec::new() }
            }
            (DirectKind::Enum { plan, symbols }, Data::Symbol(..)) => {
                let plan = program.enums.get(*plan)?;
                let members = || plan.members.iter().map(|member| &member.value);
                let place = |index| symbol_index(plan.choices.null, members(), index);
                let places = (0..plan.members.len()).map(place).collect();
                Cells::Symbol { symbols, places, values: Vec::new() }
            }
            (DirectKind::DateTime, Data::Instant(_, 1_000_000)) => Cells::Instant(Vec::new()),
            (DirectKind::List { item, min, max }, Data::List(_, items))
                if matches!(**item, DirectKind::Float)
                    && matches!(table.columns[*items].data, Data::F64(_))
                    && depth < self.rows.limits.depth =>
            {
                Cells::Floats {
                    ends: Vec::new(),
                    items: Vec::new(),
                    item: *items,
                    min: *min,
                    max: *max,
                }
            }
            _ => Cells::Other { field: Some(field), depth },
        };
        let nullable = field.nullable && !matches!(cells, Cells::Other { .. });
        self.step(cells, nullable, column, at, depth)
    }

    /// Adds the value at `at`: where it ends.
    fn step(
        &mut self,
        cells: Cells<'s>,
        nullable: bool,
        column: usize,
        at: usize,
        depth: usize,
    ) -> Option<usize> {
        let before = Between::new(&self.rows.text.as_bytes()[self.from..at]);
        self.template.steps.push(Step { before, nullable, column, nulls: Vec::new(), cells });
        self.from = self.rows.pass(at, depth)?;
        Some(self.from)
    }
}

#[cfg(test)]
mod tests {
    use ottava_core::schema::{Declaration, Field, Kind, Record, TimeUnit, Type};
    use proptest::prelude::*;

    use super::*;
    use crate::columns::batches::BatchOptions;
    use crate::columns::ndjson::check_chunk_by;
    use crate::schema::Schema;

    fn schema() -> Schema {
        let when = Type::new(Kind::DateTime { unit: TimeUnit::Micro, aware: None });
        let record = Record::new("Row")
            .field(Field::new("int", Type::int()))
            .field(Field::new("float", Type::float().nullable()))
            .field(Field::new("text", Type::str().min_length(1)))
            .field(Field::new("kind", Type::one_of(["one", "two", "three"])))
            .field(Field::new("when", when))
            .field(Field::new("flag", Type::bool()))
            .field(Field::new("list", Type::list(Type::float())));
        Schema::compile(Declaration::from(record)).expect("a right schema")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn all_levels_read_the_same(
            rows in proptest::collection::vec(
                (any::<i64>(), any::<f64>(), "[a-z\"\u{e9}]{0,70}", 0..4_usize, any::<u32>(), any::<bool>(), proptest::collection::vec(-1e3..1e3, 0..5)),
                10..60,
            ),
            shift in 0..60_u32,
            change in proptest::option::of((any::<proptest::sample::Index>(), any::<u8>())),
        ) {
            let schema = schema();
            let mut text = Vec::new();
            for (int, float, word, kind, second, flag, list) in rows {
                let float = if float.is_finite() { format!("{float:?}") } else { "null".to_owned() };
                let kind = ["one", "two", "three", "no"][if kind < 3 || shift == 7 { kind } else { 0 }];
                let when = format!("20{:02}-0{}-1{}T12:00:{:02}.{:03}Z", second % 90, second % 9 + 1, second % 10, second % 60, second % 1000);
                text.extend(format!(
                    "{{\"int\":{},\"float\":{float},\"text\":{:?},\"kind\":\"{kind}\",\"when\":\"{when}\",\"flag\":{flag},\"list\":{list:?}}}\n",
                    int >> shift, word,
                ).into_bytes());
            }
            if let Some((at, byte)) = change {
                let at = at.index(text.len());
                text[at] = byte;
            }
            let options = BatchOptions::default();
            let read = |level| check_chunk_by(&schema, &text, &options, level).expect("columns");
            let (plain, best) = (read(Level::Plain), read(Level::best()));
            prop_assert_eq!(plain.batch, best.batch);
            prop_assert_eq!(plain.issues, best.issues);
            prop_assert_eq!((plain.rows, plain.lines), (best.rows, best.lines));
        }
    }
}
