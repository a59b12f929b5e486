//! Checked rows that are no objects yet: flat, so that threads without the host's lock can check rows while one with the lock makes
//! objects of them.

use ottava_core::schema::{Date, DateTime, Duration, FieldDefault, Time, Value};

use crate::input::Collection;
use crate::issue::Issue;
use crate::lines::RowText;
use crate::output::{Checked, Given, Output, Stop, plain};
use crate::program::{EnumPlan, LiteralPlan, Program, RecordPlan};
use crate::schema::Schema;

/// The rows of some NDJSON text, checked.
#[derive(Debug, Default)]
pub struct CompactRows {
    store: Store,
    rows: Vec<(CompactRow, std::ops::Range<usize>)>,
    lines: u64,
}

/// What became of one row.
#[derive(Debug)]
pub enum CompactRow {
    /// It is right; [`CompactRows::make`] makes it.
    Good(Made),
    /// It is wrong: issues, and how many more were found than were kept.
    Bad(Vec<Issue>, usize),
    /// It did not fit into this form and has to be checked in another way.
    Other,
}

/// A value of some [`CompactRows`].
#[derive(Debug, Clone, Copy)]
pub struct Made(Cell);

#[derive(Debug, Clone, Copy)]
enum Cell {
    /// A field that is left out.
    Absent,
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Bytes of the store's text.
    Str {
        at: u32,
        length: u32,
    },
    /// One of the store's values.
    Value(u32),
    Enum {
        plan: u32,
        member: u32,
    },
    Literal {
        plan: u32,
        value: u32,
    },
    /// The default of the field that it stands in.
    Default,
    /// That many cells.
    Seq {
        kind: Collection,
        at: u32,
        length: u32,
    },
    /// That many pairs of cells.
    Map {
        at: u32,
        length: u32,
    },
    /// What was given, a cell for each field, and a map of the others or none.
    Record {
        plan: u32,
        at: u32,
    },
    Given(u32),
}

#[derive(Debug, Default)]
struct Store {
    cells: Vec<Cell>,
    text: String,
    values: Vec<Value>,
    given: Vec<Given>,
}

impl CompactRows {
    /// Checks lines of JSON. `strict` overrides the declaration.
    ///
    /// The schema may have defaults that are a host's, which are made later, but no validators.
    #[must_use]
    pub fn check(schema: &Schema, text: &[u8], strict: Option<bool>) -> Self {
        let mut store = <Store as Default>::default();
        let mut rows = Vec::new();
        let (_, lines) = RowText { schema, bytes: text, strict }.each(
            &mut store,
            (),
            |_, _, at| (0, at),
            // What a row has left behind does no harm.
            |_| (),
            |_, row, checked, found| {
                let made = match checked {
                    Ok(cell) => CompactRow::Good(Made(cell)),
                    Err(Stop::Abort) => CompactRow::Other,
                    Err(_) if found.is_empty() => CompactRow::Other,
                    Err(_) => {
                        let dropped = found.dropped();
                        CompactRow::Bad(found.take(), dropped)
                    }
                };
                rows.push((made, row.start..row.start + row.text.len()));
            },
        );
        Self { store, rows, lines }
    }

    /// The rows in order, and where in the text each stands.
    pub fn rows(&self) -> impl Iterator<Item = (&CompactRow, std::ops::Range<usize>)> {
        self.rows.iter().map(|(row, place)| (row, place.clone()))
    }

    /// How many lines the text has.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Makes a row of the program that has checked it.
    ///
    /// # Errors
    /// As the methods of the output; [`Stop::Invalid`] for an item that cannot be part of a set.
    pub fn make<O: Output<Place = ()>>(
        &self,
        program: &Program,
        row: Made,
        output: &mut O,
    ) -> Checked<O::Value> {
        self.store.make(program, row.0, output)
    }
}

impl Store {
    fn make<O: Output<Place = ()>>(
        &self,
        program: &Program,
        cell: Cell,
        output: &mut O,
    ) -> Checked<O::Value> {
        let cells = |at: u32, length: usize| {
            let at = at as usize;
            self.cells.get(at..at + length).unwrap_or_default()
        };
        match cell {
            Cell::Absent | Cell::Null | Cell::Default | Cell::Given(_) => output.null(()),
            Cell::Bool(value) => output.bool((), value),
            Cell::Int(value) => output.int((), value),
            Cell::Float(value) => output.float((), value),
            Cell::Str { .. } => output.str((), self.str(cell)),
            Cell::Value(index) => plain(output, (), &self.values[index as usize]),
            Cell::Enum { plan, member } => {
                output.enum_member((), &program.enums()[plan as usize], member as usize)
            }
            Cell::Literal { plan, value } => {
                output.literal((), &program.literals()[plan as usize], value as usize)
            }
            Cell::Seq { kind, at, length } => {
                let mut seq = output.seq((), kind)?;
                for item in cells(at, length as usize) {
                    let item = self.make(program, *item, output)?;
                    if !output.push(&mut seq, item)? {
                        return Err(Stop::Invalid);
                    }
                }
                output.end_seq((), seq)
            }
            Cell::Map { at, length } => {
                let mut map = output.map(())?;
                for pair in cells(at, 2 * length as usize).chunks_exact(2) {
                    let key = self.make(program, pair[0], output)?;
                    let value = self.make(program, pair[1], output)?;
                    if !output.insert(&mut map, key, value)? {
                        return Err(Stop::Invalid);
                    }
                }
                output.end_map((), map)
            }
            Cell::Record { plan, at } => {
                let plan = &program.records()[plan as usize];
                let parts = cells(at, plan.fields.len() + 2);
                self.make_record(program, plan, parts, output)
            }
        }
    }

    fn make_record<O: Output<Place = ()>>(
        &self,
        program: &Program,
        plan: &RecordPlan,
        parts: &[Cell],
        output: &mut O,
    ) -> Checked<O::Value> {
        let Some((Cell::Given(given), rest)) = parts.split_first() else {
            return Err(Stop::Invalid);
        };
        let mut record = output.record((), plan)?;
        for (index, (cell, field)) in rest.iter().zip(plan.fields.iter()).enumerate() {
            output.field_place((), &record, index);
            let value = match cell {
                Cell::Absent => continue,
                Cell::Default => output.default((), plan, index, &field.default)?,
                cell => self.make(program, *cell, output)?,
            };
            output.field(&mut record, index, value)?;
        }
        if let Some(Cell::Map { at, length }) = rest.last() {
            let at = *at as usize;
            for pair in self.cells[at..at + 2 * *length as usize].chunks_exact(2) {
                output.extra_place((), &record);
                let value = self.make(program, pair[1], output)?;
                output.extra(&mut record, self.str(pair[0]), value)?;
            }
        }
        output.end_record((), plan, record, &self.given[*given as usize])
    }

    fn str(&self, cell: Cell) -> &str {
        let Cell::Str { at, length } = cell else { return "" };
        self.text.get(at as usize..(at + length) as usize).unwrap_or_default()
    }

    fn value(&mut self, value: Value) -> Checked<Cell> {
        self.values.push(value);
        Ok(Cell::Value(number(self.values.len() - 1)?))
    }

    /// Keeps cells one after another; where they begin.
    fn keep(&mut self, cells: &[Cell]) -> Checked<u32> {
        let at = number(self.cells.len())?;
        number(self.cells.len() + cells.len())?;
        self.cells.extend_from_slice(cells);
        Ok(at)
    }
}

/// More than this form can hold is for another.
fn number(index: usize) -> Checked<u32> {
    u32::try_from(index).map_err(|_| Stop::Abort)
}

/// A list, tuple or set that is being read.
#[derive(Debug)]
struct Items {
    kind: Collection,
    cells: Vec<Cell>,
}

/// A record that is being read.
#[derive(Debug)]
struct Fields {
    at: u32,
    extra: Vec<Cell>,
}

impl Output for Store {
    type Value = Cell;
    type Place = ();
    type Seq = Items;
    type Map = Vec<Cell>;
    type Record = Fields;

    fn null(&mut self, (): ()) -> Checked<Cell> {
        Ok(Cell::Null)
    }
    fn bool(&mut self, (): (), value: bool) -> Checked<Cell> {
        Ok(Cell::Bool(value))
    }
    #[inline]
    fn int(&mut self, (): (), value: i64) -> Checked<Cell> {
        Ok(Cell::Int(value))
    }
    fn big_int(&mut self, (): (), digits: &str) -> Checked<Cell> {
        self.value(Value::BigInt(digits.to_owned()))
    }
    fn float(&mut self, (): (), value: f64) -> Checked<Cell> {
        Ok(Cell::Float(value))
    }
    #[inline]
    fn str(&mut self, (): (), value: &str) -> Checked<Cell> {
        let at = number(self.text.len())?;
        self.text.push_str(value);
        number(self.text.len())?;
        Ok(Cell::Str { at, length: number(value.len())? })
    }
    fn bytes(&mut self, (): (), value: &[u8]) -> Checked<Cell> {
        self.value(Value::Bytes(value.to_owned()))
    }
    fn decimal(&mut self, (): (), value: &str) -> Checked<Cell> {
        self.value(Value::Decimal(value.to_owned()))
    }
    fn datetime(&mut self, (): (), value: DateTime) -> Checked<Cell> {
        self.value(Value::DateTime(value))
    }
    fn date(&mut self, (): (), value: Date) -> Checked<Cell> {
        self.value(Value::Date(value))
    }
    fn time(&mut self, (): (), value: Time) -> Checked<Cell> {
        self.value(Value::Time(value))
    }
    fn duration(&mut self, (): (), value: Duration) -> Checked<Cell> {
        self.value(Value::Duration(value))
    }
    fn uuid(&mut self, (): (), value: u128) -> Checked<Cell> {
        self.value(Value::Uuid(value))
    }
    fn enum_member(&mut self, (): (), plan: &EnumPlan, index: usize) -> Checked<Cell> {
        Ok(Cell::Enum { plan: number(plan.id)?, member: number(index)? })
    }
    fn literal(&mut self, (): (), plan: &LiteralPlan, index: usize) -> Checked<Cell> {
        Ok(Cell::Literal { plan: number(plan.id)?, value: number(index)? })
    }
    fn default(
        &mut self,
        (): (),
        _record: &RecordPlan,
        _field: usize,
        _default: &FieldDefault,
    ) -> Checked<Cell> {
        Ok(Cell::Default)
    }

    fn seq(&mut self, (): (), kind: Collection) -> Checked<Items> {
        Ok(Items { kind, cells: Vec::new() })
    }
    fn item_place(&mut self, (): (), _seq: &Items) {}
    fn push(&mut self, seq: &mut Items, item: Cell) -> Checked<bool> {
        seq.cells.push(item);
        Ok(true)
    }
    fn end_seq(&mut self, (): (), seq: Items) -> Checked<Cell> {
        let at = self.keep(&seq.cells)?;
        Ok(Cell::Seq { kind: seq.kind, at, length: number(seq.cells.len())? })
    }

    fn map(&mut self, (): ()) -> Checked<Vec<Cell>> {
        Ok(Vec::new())
    }
    fn key_place(&mut self, (): (), _map: &Vec<Cell>) {}
    fn value_place(&mut self, (): (), _map: &Vec<Cell>) {}
    fn insert(&mut self, map: &mut Vec<Cell>, key: Cell, value: Cell) -> Checked<bool> {
        map.extend([key, value]);
        Ok(true)
    }
    fn end_map(&mut self, (): (), map: Vec<Cell>) -> Checked<Cell> {
        let at = self.keep(&map)?;
        Ok(Cell::Map { at, length: number(map.len() / 2)? })
    }

    fn record(&mut self, (): (), plan: &RecordPlan) -> Checked<Fields> {
        let at = number(self.cells.len())?;
        number(self.cells.len() + plan.fields.len() + 2)?;
        self.cells.extend(std::iter::repeat_n(Cell::Absent, plan.fields.len() + 2));
        Ok(Fields { at, extra: Vec::new() })
    }
    fn field_place(&mut self, (): (), _record: &Fields, _field: usize) {}
    #[inline]
    fn field(&mut self, record: &mut Fields, field: usize, value: Cell) -> Checked<()> {
        self.cells[record.at as usize + 1 + field] = value;
        Ok(())
    }
    fn extra_place(&mut self, (): (), _record: &Fields) {}
    fn extra(&mut self, record: &mut Fields, key: &str, value: Cell) -> Checked<()> {
        let key = self.str((), key)?;
        record.extra.extend([key, value]);
        Ok(())
    }
    fn end_record(
        &mut self,
        (): (),
        plan: &RecordPlan,
        record: Fields,
        given: &Given,
    ) -> Checked<Cell> {
        let at = record.at as usize;
        self.given.push(given.clone());
        self.cells[at] = Cell::Given(number(self.given.len() - 1)?);
        if !record.extra.is_empty() {
            let extra = self.keep(&record.extra)?;
            let length = number(record.extra.len() / 2)?;
            self.cells[at + 1 + plan.fields.len()] = Cell::Map { at: extra, length };
        }
        Ok(Cell::Record { plan: number(plan.id)?, at: record.at })
    }
}
