//! The output that fills Arrow columns.

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use ottava_core::arrow::to_arrow;
use ottava_core::schema::{
    Date, DateTime, Declaration, Duration, Extra, FieldDefault, Time, Value,
};
use smallvec::smallvec;

use super::batches::ColumnsError;
use super::store::{Data, Table};
use super::symbols::{symbol_index, symbols};
use crate::input::Collection;
use crate::issue::{Code, Ctx, Param};
use crate::output::{Checked, Given, Output, Stop, plain};
use crate::program::{EnumPlan, LiteralPlan, RecordPlan};
use crate::rules::decimal;
use crate::tree::{TreeEntries, TreeOutput, TreeRecord};

/// The place of a value that is made as a tree first: everything inside a JSON column, a map or a set.
const TREE: usize = usize::MAX;

/// The place of the root, which is no column itself.
const ROOT: usize = usize::MAX - 1;

/// Fills Arrow columns, one builder for each field.
///
/// The root goes to [`ColumnOutput::root`]. After each row call [`ColumnOutput::end_row`] if it was right and [`ColumnOutput::forget_row`] if it
/// was not; [`ColumnOutput::take`] gives the rows so far.
#[derive(Debug)]
pub struct ColumnOutput {
    pub(super) table: Table,
    schema: SchemaRef,
    pub(super) rows: usize,
    tree: TreeOutput,
    refusal: Option<(Code, Ctx)>,
}

/// A list, tuple or set that is being made.
#[derive(Debug)]
pub struct ColumnSeq(SeqState);

#[derive(Debug)]
enum SeqState {
    /// Items go straight into the column of the items.
    List {
        item: usize,
        count: usize,
    },
    /// Items go into the columns of a struct, one after another.
    Struct {
        column: usize,
        count: usize,
    },
    Tree(<TreeOutput as Output>::Seq),
}

/// A record that is being made.
#[derive(Debug)]
pub struct ColumnRecord(RecordState);

#[derive(Debug)]
enum RecordState {
    Columns { column: usize, extra: Option<Box<TreeEntries>> },
    Tree(TreeRecord),
}

impl ColumnOutput {
    /// Empty columns for a declaration whose root is a record that is not nullable.
    ///
    /// # Errors
    /// If the declaration has no Arrow schema.
    pub fn new(declaration: &Declaration) -> Result<Self, ColumnsError> {
        let schema = to_arrow(declaration)?;
        let mut find = |path: &[&str]| symbols(declaration, path);
        let table = Table::new(schema.fields(), &mut find)?;
        Ok(Self { table, schema, rows: 0, tree: TreeOutput, refusal: None })
    }

    /// The Arrow schema.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Where a row goes.
    #[must_use]
    pub fn root(&self) -> usize {
        ROOT
    }

    /// Keeps the row that was written last.
    #[inline]
    pub fn end_row(&mut self) {
        self.rows += 1;
    }

    /// Forgets the row that was written last, as far as it was.
    #[cold]
    pub fn forget_row(&mut self) {
        for index in 0..self.table.roots.len() {
            self.table.truncate(self.table.roots[index], self.rows);
        }
    }

    /// Takes the rows out and leaves the columns empty.
    ///
    /// # Errors
    /// If the columns do not fit the schema, which would be a fault of this crate.
    pub fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        let roots = self.table.roots.clone();
        let arrays =
            roots.into_iter().map(|root| self.table.take(root)).collect::<Result<_, _>>()?;
        let options = arrow_array::RecordBatchOptions::new()
            .with_row_count(Some(std::mem::take(&mut self.rows)));
        RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
    }

    #[inline(always)]
    pub(super) fn data(&mut self, at: usize) -> Option<&mut Data> {
        self.table.columns.get_mut(at).map(|column| &mut column.data)
    }

    /// The value as a tree, or a refusal if the column cannot hold it.
    #[cold]
    fn other(&mut self, at: usize, value: Value) -> Checked<Option<Box<Value>>> {
        match self.data(at) {
            None | Some(Data::Json(_)) => Ok(Some(Box::new(value))),
            Some(_) => self.refuse(Code::Custom, "message", "value does not fit its column"),
        }
    }

    #[cold]
    pub(super) fn refuse<T>(&mut self, code: Code, name: &'static str, text: &str) -> Checked<T> {
        self.refusal = Some((code, smallvec![(name, Param::Str(text.into()))]));
        Err(Stop::Invalid)
    }

    #[cold]
    pub(super) fn full<T>(&mut self) -> Checked<T> {
        self.refuse(Code::Custom, "message", "column is full, use smaller batches")
    }

    /// The column of a record's field.
    #[inline(always)]
    pub(super) fn child(&self, column: usize, field: usize) -> usize {
        if column == ROOT {
            return self.table.roots[field];
        }
        match &self.table.columns[column].data {
            Data::Struct { children, .. } => children[field],
            _ => TREE,
        }
    }
}

impl Output for ColumnOutput {
    type Value = Option<Box<Value>>;
    type Place = usize;
    type Seq = ColumnSeq;
    type Map = <TreeOutput as Output>::Map;
    type Record = ColumnRecord;

    fn refusal(&mut self) -> Option<(Code, Ctx)> {
        self.refusal.take()
    }

    #[inline]
    fn null(&mut self, at: usize) -> Checked<Self::Value> {
        match self.data(at) {
            None => Ok(Some(Box::new(Value::Null))),
            Some(_) => {
                self.table.push_null(at);
                Ok(None)
            }
        }
    }

    #[inline]
    fn bool(&mut self, at: usize, value: bool) -> Checked<Self::Value> {
        match self.data(at) {
            Some(Data::Bool(values)) => values.push(value),
            _ => return self.other(at, Value::Bool(value)),
        }
        Ok(None)
    }

    #[inline(always)]
    fn int(&mut self, at: usize, value: i64) -> Checked<Self::Value> {
        // The width of the column is a rule of the type, so it has been checked.
        match self.data(at) {
            Some(Data::I64(values)) => values.push(value),
            Some(Data::I32(values)) => values.push(value as i32),
            Some(Data::I16(values)) => values.push(value as i16),
            Some(Data::I8(values)) => values.push(value as i8),
            Some(Data::U64(values)) => values.push(value as u64),
            Some(Data::U32(values)) => values.push(value as u32),
            Some(Data::U16(values)) => values.push(value as u16),
            Some(Data::U8(values)) => values.push(value as u8),
            // Where the declaration says "number", an integer is one.
            Some(Data::F64(values)) => values.push(value as f64),
            _ => return self.other(at, Value::Int(value)),
        }
        Ok(None)
    }

    #[cold]
    fn big_int(&mut self, at: usize, digits: &str) -> Checked<Self::Value> {
        match self.data(at) {
            Some(Data::U64(values)) => match digits.parse() {
                Ok(value) => {
                    values.push(value);
                    Ok(None)
                }
                Err(_) => self.refuse(Code::IntRange, "width", "64 unsigned bits"),
            },
            None | Some(Data::Json(_)) => Ok(Some(Box::new(Value::BigInt(digits.to_owned())))),
            Some(_) => self.refuse(Code::IntRange, "width", "64 bits"),
        }
    }

    #[inline(always)]
    fn float(&mut self, at: usize, value: f64) -> Checked<Self::Value> {
        match self.data(at) {
            Some(Data::F64(values)) => values.push(value),
            Some(Data::F32(values)) => {
                let narrow = value as f32;
                if narrow.is_infinite() && value.is_finite() {
                    return self.refuse(Code::Custom, "message", "float does not fit its column");
                }
                values.push(narrow);
            }
            // Where the declaration says "integer" in JSON Schema's sense, it may be written with a point.
            Some(Data::I64(values)) if value.fract() == 0.0 && value.abs() < 9e15 => {
                values.push(value as i64);
            }
            _ => return self.other(at, Value::Float(value)),
        }
        Ok(None)
    }

    #[inline(always)]
    fn str(&mut self, at: usize, value: &str) -> Checked<Self::Value> {
        match self.data(at) {
            Some(Data::Str(values)) => {
                if !values.push(value.as_bytes()) {
                    return self.full();
                }
            }
            Some(Data::Symbol(values, symbols)) => {
                match symbols.iter().position(|symbol| symbol == Some(value)) {
                    Some(index) => values.push(i32::try_from(index).unwrap_or(0)),
                    None => return self.refuse(Code::Custom, "message", "no symbol of its column"),
                }
            }
            _ => return self.other(at, Value::Str(value.to_owned())),
        }
        Ok(None)
    }

    fn bytes(&mut self, at: usize, value: &[u8]) -> Checked<Self::Value> {
        match self.data(at) {
            Some(Data::Binary(values)) => {
                if !values.push(value) {
                    return self.full();
                }
            }
            _ => return self.other(at, Value::Bytes(value.to_owned())),
        }
        Ok(None)
    }

    fn decimal(&mut self, at: usize, value: &str) -> Checked<Self::Value> {
        match self.data(at) {
            Some(Data::Str(values)) => {
                if !values.push(value.as_bytes()) {
                    return self.full();
                }
            }
            Some(Data::Decimal(values, places)) => match decimal::scaled(value, i64::from(*places))
            {
                Some(scaled) => values.push(scaled),
                None => {
                    return self.refuse(Code::Custom, "message", "decimal does not fit its column");
                }
            },
            _ => return self.other(at, Value::Decimal(value.to_owned())),
        }
        Ok(None)
    }

    #[inline(always)]
    fn datetime(&mut self, at: usize, value: DateTime) -> Checked<Self::Value> {
        match self.data(at) {
            Some(Data::Instant(values, scale)) => {
                match scaled(value.micros_since_epoch().into(), *scale) {
                    Some(value) => values.push(value),
                    None => {
                        return self.refuse(
                            Code::Custom,
                            "message",
                            "datetime does not fit its column",
                        );
                    }
                }
            }
            _ => return self.other(at, Value::DateTime(value)),
        }
        Ok(None)
    }

    fn date(&mut self, at: usize, value: Date) -> Checked<Self::Value> {
        match self.data(at) {
            Some(Data::Date(values)) => values.push(value.days_since_epoch()),
            _ => return self.other(at, Value::Date(value)),
        }
        Ok(None)
    }

    fn time(&mut self, at: usize, value: Time) -> Checked<Self::Value> {
        match self.data(at) {
            Some(Data::Time(..)) if value.offset.is_some() => {
                return self.refuse(
                    Code::Custom,
                    "message",
                    "time with an offset does not fit its column",
                );
            }
            Some(Data::Time(values, scale)) => {
                match scaled(value.micros_since_midnight().into(), *scale) {
                    Some(value) => values.push(value),
                    None => {
                        return self.refuse(
                            Code::Custom,
                            "message",
                            "time does not fit its column",
                        );
                    }
                }
            }
            _ => return self.other(at, Value::Time(value)),
        }
        Ok(None)
    }

    fn duration(&mut self, at: usize, value: Duration) -> Checked<Self::Value> {
        match self.data(at) {
            Some(Data::Span(values, scale)) => match scaled(value.micros, *scale) {
                Some(value) => values.push(value),
                None => {
                    return self.refuse(
                        Code::Custom,
                        "message",
                        "timedelta does not fit its column",
                    );
                }
            },
            _ => return self.other(at, Value::Duration(value)),
        }
        Ok(None)
    }

    fn uuid(&mut self, at: usize, value: u128) -> Checked<Self::Value> {
        match self.data(at) {
            Some(Data::Uuid(values)) => values.extend_from_slice(&value.to_be_bytes()),
            _ => return self.other(at, Value::Uuid(value)),
        }
        Ok(None)
    }

    #[inline(always)]
    fn enum_member(&mut self, at: usize, plan: &EnumPlan, index: usize) -> Checked<Self::Value> {
        let value = &plan.members[index].value;
        match self.data(at) {
            Some(Data::Symbol(values, _)) if *value != Value::Null => {
                let members = plan.members.iter().map(|member| &member.value);
                values.push(symbol_index(plan.choices.null, members, index));
                Ok(None)
            }
            _ => plain(self, at, value),
        }
    }

    #[inline(always)]
    fn literal(&mut self, at: usize, plan: &LiteralPlan, index: usize) -> Checked<Self::Value> {
        let value = &plan.values[index];
        match self.data(at) {
            Some(Data::Symbol(values, _)) if *value != Value::Null => {
                values.push(symbol_index(plan.choices.null, plan.values.iter(), index));
                Ok(None)
            }
            _ => plain(self, at, value),
        }
    }

    fn default(
        &mut self,
        at: usize,
        _record: &RecordPlan,
        _field: usize,
        default: &FieldDefault,
    ) -> Checked<Self::Value> {
        match default {
            FieldDefault::Value(value) if self.data(at).is_some() => {
                self.settle_tree(at, value).map(|()| None)
            }
            FieldDefault::Value(value) => Ok(Some(Box::new(value.clone()))),
            FieldDefault::Host(_) => Err(Stop::Abort),
            _ => self.null(at),
        }
    }

    fn seq(&mut self, at: usize, kind: Collection) -> Checked<ColumnSeq> {
        let is_set = matches!(kind, Collection::Set | Collection::FrozenSet);
        Ok(ColumnSeq(match self.data(at) {
            Some(Data::List(_, item) | Data::FixedList { item, .. }) if !is_set => {
                SeqState::List { item: *item, count: 0 }
            }
            Some(Data::Struct { .. }) => SeqState::Struct { column: at, count: 0 },
            _ => SeqState::Tree(self.tree.seq((), kind)?),
        }))
    }

    fn item_place(&mut self, _at: usize, seq: &ColumnSeq) -> usize {
        match &seq.0 {
            SeqState::List { item, .. } => *item,
            SeqState::Struct { column, count } => self.child(*column, *count),
            SeqState::Tree(_) => TREE,
        }
    }

    fn push(&mut self, seq: &mut ColumnSeq, value: Self::Value) -> Checked<bool> {
        match &mut seq.0 {
            SeqState::List { item, count } => {
                *count += 1;
                self.settle(*item, value)?;
            }
            SeqState::Struct { column, count } => {
                let child = self.child(*column, *count);
                *count += 1;
                self.settle(child, value)?;
            }
            SeqState::Tree(seq) => {
                return self.tree.push(seq, value.map_or(Value::Null, |value| *value));
            }
        }
        Ok(true)
    }

    fn distinct(&self, seq: &ColumnSeq) -> Option<usize> {
        match &seq.0 {
            SeqState::Tree(seq) => self.tree.distinct(seq),
            _ => None,
        }
    }

    fn end_seq(&mut self, at: usize, seq: ColumnSeq) -> Checked<Self::Value> {
        match seq.0 {
            SeqState::List { item, .. } => self.end_list(at, item).map(|()| None),
            SeqState::Struct { .. } => {
                if let Some(Data::Struct { rows, .. }) = self.data(at) {
                    *rows += 1;
                }
                Ok(None)
            }
            SeqState::Tree(seq) => {
                let value = self.tree.end_seq((), seq)?;
                match self.data(at) {
                    Some(Data::List(..)) => self.settle_tree(at, &value).map(|()| None),
                    _ => Ok(Some(Box::new(value))),
                }
            }
        }
    }

    fn map(&mut self, _at: usize) -> Checked<Self::Map> {
        self.tree.map(())
    }

    fn key_place(&mut self, _at: usize, _map: &Self::Map) -> usize {
        TREE
    }

    fn value_place(&mut self, _at: usize, _map: &Self::Map) -> usize {
        TREE
    }

    fn insert(
        &mut self,
        map: &mut Self::Map,
        key: Self::Value,
        value: Self::Value,
    ) -> Checked<bool> {
        let tree = |value: Self::Value| value.map_or(Value::Null, |value| *value);
        self.tree.insert(map, tree(key), tree(value))
    }

    fn end_map(&mut self, at: usize, map: Self::Map) -> Checked<Self::Value> {
        let value = self.tree.end_map((), map)?;
        match self.data(at) {
            Some(Data::Map { .. }) => self.settle_tree(at, &value).map(|()| None),
            _ => Ok(Some(Box::new(value))),
        }
    }

    #[inline(always)]
    fn record(&mut self, at: usize, plan: &RecordPlan) -> Checked<ColumnRecord> {
        let state = match self.data(at) {
            _ if at == ROOT => RecordState::Columns { column: at, extra: None },
            Some(Data::Struct { .. }) => RecordState::Columns { column: at, extra: None },
            _ => RecordState::Tree(self.tree.record((), plan)?),
        };
        Ok(ColumnRecord(state))
    }

    #[inline(always)]
    fn field_place(&mut self, _at: usize, record: &ColumnRecord, field: usize) -> usize {
        match &record.0 {
            RecordState::Columns { column, .. } => self.child(*column, field),
            RecordState::Tree(_) => TREE,
        }
    }

    #[inline(always)]
    fn field(
        &mut self,
        record: &mut ColumnRecord,
        field: usize,
        value: Self::Value,
    ) -> Checked<()> {
        match &mut record.0 {
            // What is in its column already needs no more.
            RecordState::Columns { .. } if value.is_none() => Ok(()),
            RecordState::Columns { column, .. } => {
                let child = self.child(*column, field);
                self.settle(child, value)
            }
            RecordState::Tree(record) => {
                self.tree.field(record, field, value.map_or(Value::Null, |value| *value))
            }
        }
    }

    fn extra_place(&mut self, _at: usize, _record: &ColumnRecord) -> usize {
        TREE
    }

    fn extra(&mut self, record: &mut ColumnRecord, key: &str, value: Self::Value) -> Checked<()> {
        let value = value.map_or(Value::Null, |value| *value);
        match &mut record.0 {
            RecordState::Columns { extra, .. } => {
                extra.get_or_insert_default().insert(Value::Str(key.to_owned()), value);
                Ok(())
            }
            RecordState::Tree(record) => self.tree.extra(record, key, value),
        }
    }

    #[cold]
    fn forget_record(&mut self, at: usize, record: ColumnRecord) {
        let RecordState::Columns { column, .. } = record.0 else { return };
        let (children, rows) = match self.data(at) {
            Some(Data::Struct { rows, children }) => (children.clone(), *rows),
            _ if column == ROOT => (self.table.roots.clone(), self.rows),
            _ => return,
        };
        children.into_iter().for_each(|child| self.table.truncate(child, rows));
    }

    #[inline(always)]
    fn end_record(
        &mut self,
        at: usize,
        plan: &RecordPlan,
        record: ColumnRecord,
        given: &Given,
    ) -> Checked<Self::Value> {
        let (column, extra) = match record.0 {
            RecordState::Tree(record) => {
                let value = self.tree.end_record((), plan, record, given)?;
                return Ok(Some(Box::new(value)));
            }
            RecordState::Columns { column, extra } => (column, extra),
        };
        if !given.is_full(plan.fields.len()) {
            self.fill_absent(column, plan, given)?;
        }
        if plan.extra == Extra::Allow {
            let child = self.child(column, plan.fields.len());
            let extra = extra.map_or(Value::Null, |extra| Value::Map(extra.into_entries()));
            self.settle_tree(child, &extra)?;
        }
        if let Some(Data::Struct { rows, .. }) = self.data(at) {
            *rows += 1;
        }
        Ok(None)
    }
}

/// Microseconds in units of which a second has `scale`, rounded down.
fn scaled(micros: i128, scale: i64) -> Option<i64> {
    let units = if scale > 1_000_000 {
        micros.checked_mul(i128::from(scale / 1_000_000))?
    } else {
        micros.div_euclid(i128::from(1_000_000 / scale))
    };
    i64::try_from(units).ok()
}
