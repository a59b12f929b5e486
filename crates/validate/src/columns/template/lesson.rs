//! Learning a template from a row.

use ottava_core::schema::{Extra, FieldDefault};

use super::Template;
use super::between::Between;
use super::cells::{Cells, Step, Texts};
use crate::columns::output::ColumnOutput;
use crate::columns::store::{Data, Table};
use crate::columns::symbols::symbol_index;
use crate::direct::{DirectField, DirectKind, Rows};
use crate::json::find_special;
use crate::output::Given;
use crate::program::Op;

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
    pub(super) fn learn(rows: &Rows<'s, '_>, output: &ColumnOutput, start: usize) -> Option<Self> {
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
        let line_end = lesson.past_space(end);
        if lesson.byte(line_end) != b'\n' {
            return None;
        }
        lesson.template.end = Between::new(&text[lesson.from..=line_end]);
        Some(lesson.template)
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
