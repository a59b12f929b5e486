//! Where values go.

use ottava_core::schema::{Date, DateTime, Duration, FieldDefault, Time, Value};

use crate::check::Run;
use crate::input::{Collection, HostValue, Input};
use crate::issue::{Code, Ctx};
use crate::program::{EnumPlan, LiteralPlan, NodeId, RecordPlan};

/// Why a check ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The value is wrong, and the issues say why.
    Invalid,
    /// The input or the host is broken, and it knows why. Nothing more is read.
    Abort,
}

/// The result of a step of the engine.
pub type Checked<T> = Result<T, Stop>;

/// A sink of values.
///
/// There are two ways to be one. A sink that *makes objects* gets the parts first and the whole last: `Value` is an
/// object, `Place` is `()`. A sink that *fills places*, such as Arrow columns, is told for each value where it belongs
/// ([`Output::field_place`] and its like), and `Value` is `()`.
///
/// What the engine has handed to a sink may turn out to be part of a wrong value. Objects are then just dropped; a sink
/// that fills places must be able to forget what it wrote. The members of a union are tried one after another, so inside a
/// union even such a sink has to make objects.
pub trait Output: Sized {
    /// A finished value.
    type Value;
    /// Where a value goes.
    type Place: Copy;
    /// A list, tuple or set that is being made.
    type Seq;
    /// A dictionary that is being made.
    type Map;
    /// A record that is being made.
    type Record;

    /// Whether [`Output::host`] takes objects of the host as they are.
    const TAKES_HOST: bool = false;
    /// Whether the first issue ends the run.
    const FIRST_ISSUE_ONLY: bool = false;

    /// Whether the fields of records are checked, and defaults made, in the order of the declaration and not of the input, because
    /// validators look at the fields before their own.
    #[inline(always)]
    fn in_order(&self) -> bool {
        false
    }

    /// Why the sink has refused a value. A method that makes a value may return [`Stop::Invalid`] if the sink cannot hold
    /// the value (a number that is too large for its column); the engine then asks here and reports the issue.
    #[cold]
    fn refusal(&mut self) -> Option<(Code, Ctx)> {
        None
    }

    /// Takes an object of the host as it is. Called only if [`Output::TAKES_HOST`].
    ///
    /// # Errors
    /// [`Stop::Abort`] if the host fails, as in all methods of this trait.
    #[inline]
    fn host(&mut self, at: Self::Place, _value: HostValue) -> Checked<Self::Value> {
        self.null(at)
    }

    /// Null.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn null(&mut self, at: Self::Place) -> Checked<Self::Value>;
    /// A truth value.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn bool(&mut self, at: Self::Place, value: bool) -> Checked<Self::Value>;
    /// An integer of at most 64 bits.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn int(&mut self, at: Self::Place, value: i64) -> Checked<Self::Value>;
    /// A larger integer, as [`Found::BigInt`](crate::Found::BigInt) has it.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn big_int(&mut self, at: Self::Place, digits: &str) -> Checked<Self::Value>;
    /// A float.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn float(&mut self, at: Self::Place, value: f64) -> Checked<Self::Value>;
    /// Text.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn str(&mut self, at: Self::Place, value: &str) -> Checked<Self::Value>;
    /// Raw bytes.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn bytes(&mut self, at: Self::Place, value: &[u8]) -> Checked<Self::Value>;
    /// A decimal number, as text.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn decimal(&mut self, at: Self::Place, value: &str) -> Checked<Self::Value>;
    /// A date and time.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn datetime(&mut self, at: Self::Place, value: DateTime) -> Checked<Self::Value>;
    /// A date.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn date(&mut self, at: Self::Place, value: Date) -> Checked<Self::Value>;
    /// A time of day.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn time(&mut self, at: Self::Place, value: Time) -> Checked<Self::Value>;
    /// A span of time.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn duration(&mut self, at: Self::Place, value: Duration) -> Checked<Self::Value>;
    /// A UUID.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn uuid(&mut self, at: Self::Place, value: u128) -> Checked<Self::Value>;

    /// Member `index` of an enum. By default its plain value.
    ///
    /// # Errors
    /// As [`Output::host`].
    #[inline]
    fn enum_member(
        &mut self,
        at: Self::Place,
        plan: &EnumPlan,
        index: usize,
    ) -> Checked<Self::Value> {
        plain(self, at, &plan.members[index].value)
    }

    /// Member `index` of a literal. By default its plain value.
    ///
    /// # Errors
    /// As [`Output::host`].
    #[inline]
    fn literal(
        &mut self,
        at: Self::Place,
        plan: &LiteralPlan,
        index: usize,
    ) -> Checked<Self::Value> {
        plain(self, at, &plan.values[index])
    }

    /// What stands in for a missing field: a value or something of the host's own. By default a value is made afresh, and
    /// the host's own is refused.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn default(
        &mut self,
        at: Self::Place,
        _record: &RecordPlan,
        _field: usize,
        default: &FieldDefault,
    ) -> Checked<Self::Value> {
        match default {
            FieldDefault::Value(value) => plain(self, at, value),
            FieldDefault::Host(_) => Err(Stop::Abort),
            _ => self.null(at),
        }
    }

    /// Whether a default is made of the fields before it, so that these must be right.
    fn needs_fields(&self, _default: &FieldDefault) -> bool {
        false
    }

    /// Begins a list, tuple or set.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn seq(&mut self, at: Self::Place, kind: Collection) -> Checked<Self::Seq>;
    /// Where the next item goes.
    fn item_place(&mut self, at: Self::Place, seq: &Self::Seq) -> Self::Place;
    /// Adds an item. `Ok(false)`: it is a set, and the item cannot be hashed.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn push(&mut self, seq: &mut Self::Seq, item: Self::Value) -> Checked<bool>;
    /// How many different items a set has so far; `None` if the sink does not know.
    fn distinct(&self, _seq: &Self::Seq) -> Option<usize> {
        None
    }
    /// Ends a list, tuple or set.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn end_seq(&mut self, at: Self::Place, seq: Self::Seq) -> Checked<Self::Value>;

    /// Begins a dictionary.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn map(&mut self, at: Self::Place) -> Checked<Self::Map>;
    /// Where the next key goes.
    fn key_place(&mut self, at: Self::Place, map: &Self::Map) -> Self::Place;
    /// Where the value of the next entry goes.
    fn value_place(&mut self, at: Self::Place, map: &Self::Map) -> Self::Place;
    /// Adds an entry; a later one with the same key replaces an earlier one. `Ok(false)`: the key cannot be hashed.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn insert(
        &mut self,
        map: &mut Self::Map,
        key: Self::Value,
        value: Self::Value,
    ) -> Checked<bool>;
    /// Ends a dictionary.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn end_map(&mut self, at: Self::Place, map: Self::Map) -> Checked<Self::Value>;

    /// Begins a record.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn record(&mut self, at: Self::Place, plan: &RecordPlan) -> Checked<Self::Record>;
    /// Where the value of a field goes.
    fn field_place(&mut self, at: Self::Place, record: &Self::Record, field: usize) -> Self::Place;
    /// Sets a field, at most once each.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn field(&mut self, record: &mut Self::Record, field: usize, value: Self::Value)
    -> Checked<()>;
    /// Where the value of an extra field goes.
    fn extra_place(&mut self, at: Self::Place, record: &Self::Record) -> Self::Place;
    /// Keeps a field that is not declared.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn extra(&mut self, record: &mut Self::Record, key: &str, value: Self::Value) -> Checked<()>;
    /// Forgets a record, which is read once more from the start because a key of it came twice. Outputs that fill places forget what they were
    /// given of it; for all others this is nothing.
    #[cold]
    fn forget_record(&mut self, _at: Self::Place, _record: Self::Record) {}
    /// Ends a record. `given` says which fields the input had, for hosts that keep it.
    ///
    /// # Errors
    /// As [`Output::host`].
    fn end_record(
        &mut self,
        at: Self::Place,
        plan: &RecordPlan,
        record: Self::Record,
        given: &Given,
    ) -> Checked<Self::Value>;

    /// Runs a validator of the host around a value: before it, after it, or instead of it. `inner` is the program for
    /// the value itself, to be run with [`Run::check`], on the value or, through [`Run::with_input`], on one that the host has made of it.
    ///
    /// A validator that finds the value wrong pushes an issue ([`Run::fail_with`]) and returns [`Stop::Invalid`]. By default there is
    /// no host: [`Program::needs_host`](crate::Program::needs_host) keeps such programs from being run.
    ///
    /// # Errors
    /// [`Stop::Invalid`] with an issue, or [`Stop::Abort`].
    fn hook<I: Input>(
        run: &mut Run<'_, I, Self>,
        _hook: u32,
        inner: NodeId,
        at: Self::Place,
        value: I::Value,
    ) -> Checked<Self::Value> {
        run.check(inner, at, value)
    }
}

/// Which fields of a record the input had.
#[derive(Debug, Clone, Default)]
pub struct Given {
    first: u64,
    more: Vec<u64>,
}

impl Given {
    /// A set for so many fields, empty.
    #[must_use]
    #[inline]
    pub fn new(fields: usize) -> Self {
        Self { first: 0, more: if fields > 64 { vec![0; fields / 64] } else { Vec::new() } }
    }

    /// Adds a field; `false` if it is there already.
    #[inline]
    pub fn insert(&mut self, field: usize) -> bool {
        let bit = 1_u64 << (field % 64);
        let word = if field < 64 { &mut self.first } else { &mut self.more[field / 64 - 1] };
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }

    /// Whether the field is there.
    #[must_use]
    #[inline]
    pub fn contains(&self, field: usize) -> bool {
        let word = if field < 64 { self.first } else { self.more[field / 64 - 1] };
        word & (1_u64 << (field % 64)) != 0
    }

    /// How many fields are there.
    #[must_use]
    pub fn count(&self) -> usize {
        (self.first.count_ones() + self.more.iter().map(|word| word.count_ones()).sum::<u32>())
            as usize
    }

    /// Whether the first `fields` fields are all there.
    #[must_use]
    #[inline]
    pub fn is_full(&self, fields: usize) -> bool {
        if fields < 64 { self.first == (1_u64 << fields) - 1 } else { self.count() == fields }
    }
}

/// Hands a plain value to a sink.
///
/// # Errors
/// As the sink's own methods.
pub fn plain<O: Output>(output: &mut O, at: O::Place, value: &Value) -> Checked<O::Value> {
    match value {
        Value::Bool(value) => output.bool(at, *value),
        Value::Int(value) => output.int(at, *value),
        Value::BigInt(digits) => output.big_int(at, digits),
        Value::Float(value) => output.float(at, *value),
        Value::Str(value) => output.str(at, value),
        Value::Bytes(value) => output.bytes(at, value),
        Value::Decimal(value) => output.decimal(at, value),
        Value::DateTime(value) => output.datetime(at, *value),
        Value::Date(value) => output.date(at, *value),
        Value::Time(value) => output.time(at, *value),
        Value::Duration(value) => output.duration(at, *value),
        Value::Uuid(value) => output.uuid(at, *value),
        Value::List(items) => plain_seq(output, at, Collection::List, items),
        Value::Tuple(items) => plain_seq(output, at, Collection::Tuple, items),
        Value::Set(items) => plain_seq(output, at, Collection::Set, items),
        Value::FrozenSet(items) => plain_seq(output, at, Collection::FrozenSet, items),
        Value::Map(entries) => {
            let mut map = output.map(at)?;
            for (key, value) in entries {
                let key_at = output.key_place(at, &map);
                let key = plain(output, key_at, key)?;
                let value_at = output.value_place(at, &map);
                let value = plain(output, value_at, value)?;
                output.insert(&mut map, key, value)?;
            }
            output.end_map(at, map)
        }
        Value::Record(fields) => {
            let mut map = output.map(at)?;
            for (key, value) in fields {
                let key_at = output.key_place(at, &map);
                let key = output.str(key_at, key)?;
                let value_at = output.value_place(at, &map);
                let value = plain(output, value_at, value)?;
                output.insert(&mut map, key, value)?;
            }
            output.end_map(at, map)
        }
        _ => output.null(at),
    }
}

fn plain_seq<O: Output>(
    output: &mut O,
    at: O::Place,
    kind: Collection,
    items: &[Value],
) -> Checked<O::Value> {
    let mut seq = output.seq(at, kind)?;
    for item in items {
        let place = output.item_place(at, &seq);
        let item = plain(output, place, item)?;
        output.push(&mut seq, item)?;
    }
    output.end_seq(at, seq)
}
