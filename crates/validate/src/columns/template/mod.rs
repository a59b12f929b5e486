//! Rows that are written like one before them, straight into columns.
//!
//! A template is learned from a row: which fields come in which order, and every byte that stands between their values. Rows that have the very same
//! bytes there, and values in their usual forms, are read by comparing those bytes and nothing else; of a record inside a row nothing is left but
//! some bytes more. All others are the business of [`RowText::each`](crate::lines::RowText::each), so this way, too, only ever says yes.

mod between;
mod cells;
mod lesson;

use ottava_core::schema::FieldDefault;

use super::output::ColumnOutput;
use super::store::Data;
use crate::direct::Rows;
use crate::output::Output;
use crate::program::RecordPlan;
use between::Between;
use cells::Step;

/// Rows for which columns get room at first.
const FEW_ROWS: usize = 64;

/// How often a template may be learned or fail in vain, in one text.
const PATIENCE: usize = 16;

/// Bytes for which it does not pay to learn one.
const LEAST_TEXT: usize = 1024;

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

impl<'s> Template<'s> {
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
