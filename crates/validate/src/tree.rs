//! Plain Rust values, as an input and as an output.

use std::collections::{HashMap, hash_map};
use std::marker::PhantomData;

use ottava_core::schema::{Date, DateTime, Duration, Time, Value};

use crate::distinct::{Distinct, key_of};
use crate::input::{Collection, Entry, Found, Input};
use crate::issue::Echo;
use crate::output::{Checked, Given, Output};
use crate::program::RecordPlan;

/// Makes a [`Value`].
#[derive(Debug, Default)]
pub struct TreeOutput;

/// A list, tuple or set that is being made.
#[derive(Debug)]
pub struct TreeSeq {
    kind: Collection,
    items: Vec<Value>,
    /// The items of a set.
    seen: Option<Distinct>,
}

/// A map that is being made.
#[derive(Debug, Default)]
pub struct TreeEntries {
    entries: Vec<(Value, Value)>,
    /// Where each key is.
    places: HashMap<Box<[u8]>, usize>,
}

impl TreeEntries {
    /// Adds an entry; a later one with the same key replaces an earlier one.
    pub(crate) fn insert(&mut self, key: Value, value: Value) {
        match key_of(&key).map(|key| self.places.entry(key)) {
            Some(hash_map::Entry::Occupied(place)) => self.entries[*place.get()].1 = value,
            Some(hash_map::Entry::Vacant(place)) => {
                place.insert(self.entries.len());
                self.entries.push((key, value));
            }
            None => self.entries.push((key, value)),
        }
    }

    #[cfg(feature = "arrow")]
    pub(crate) fn into_entries(self) -> Vec<(Value, Value)> {
        self.entries
    }
}

/// A record that is being made.
#[derive(Debug)]
pub struct TreeRecord {
    fields: Vec<Option<Value>>,
    extra: TreeEntries,
}

impl Output for TreeOutput {
    type Value = Value;
    type Place = ();
    type Seq = TreeSeq;
    type Map = TreeEntries;
    type Record = TreeRecord;

    fn null(&mut self, (): ()) -> Checked<Value> {
        Ok(Value::Null)
    }
    fn bool(&mut self, (): (), value: bool) -> Checked<Value> {
        Ok(Value::Bool(value))
    }
    fn int(&mut self, (): (), value: i64) -> Checked<Value> {
        Ok(Value::Int(value))
    }
    fn big_int(&mut self, (): (), digits: &str) -> Checked<Value> {
        Ok(Value::BigInt(digits.to_owned()))
    }
    fn float(&mut self, (): (), value: f64) -> Checked<Value> {
        Ok(Value::Float(value))
    }
    fn str(&mut self, (): (), value: &str) -> Checked<Value> {
        Ok(Value::Str(value.to_owned()))
    }
    fn bytes(&mut self, (): (), value: &[u8]) -> Checked<Value> {
        Ok(Value::Bytes(value.to_owned()))
    }
    fn decimal(&mut self, (): (), value: &str) -> Checked<Value> {
        Ok(Value::Decimal(value.to_owned()))
    }
    fn datetime(&mut self, (): (), value: DateTime) -> Checked<Value> {
        Ok(Value::DateTime(value))
    }
    fn date(&mut self, (): (), value: Date) -> Checked<Value> {
        Ok(Value::Date(value))
    }
    fn time(&mut self, (): (), value: Time) -> Checked<Value> {
        Ok(Value::Time(value))
    }
    fn duration(&mut self, (): (), value: Duration) -> Checked<Value> {
        Ok(Value::Duration(value))
    }
    fn uuid(&mut self, (): (), value: u128) -> Checked<Value> {
        Ok(Value::Uuid(value))
    }

    fn seq(&mut self, (): (), kind: Collection) -> Checked<TreeSeq> {
        let is_set = matches!(kind, Collection::Set | Collection::FrozenSet);
        Ok(TreeSeq { kind, items: Vec::new(), seen: is_set.then(Distinct::default) })
    }
    fn item_place(&mut self, (): (), _seq: &TreeSeq) {}
    fn push(&mut self, seq: &mut TreeSeq, item: Value) -> Checked<bool> {
        if seq.seen.as_mut().is_none_or(|seen| seen.insert(&item)) {
            seq.items.push(item);
        }
        Ok(true)
    }
    fn distinct(&self, seq: &TreeSeq) -> Option<usize> {
        Some(seq.items.len())
    }
    fn end_seq(&mut self, (): (), seq: TreeSeq) -> Checked<Value> {
        Ok(match seq.kind {
            Collection::List => Value::List(seq.items),
            Collection::Tuple => Value::Tuple(seq.items),
            Collection::Set => Value::Set(seq.items),
            Collection::FrozenSet => Value::FrozenSet(seq.items),
        })
    }

    fn map(&mut self, (): ()) -> Checked<TreeEntries> {
        Ok(TreeEntries::default())
    }
    fn key_place(&mut self, (): (), _map: &TreeEntries) {}
    fn value_place(&mut self, (): (), _map: &TreeEntries) {}
    fn insert(&mut self, map: &mut TreeEntries, key: Value, value: Value) -> Checked<bool> {
        map.insert(key, value);
        Ok(true)
    }
    fn end_map(&mut self, (): (), map: TreeEntries) -> Checked<Value> {
        Ok(Value::Map(map.entries))
    }

    fn record(&mut self, (): (), plan: &RecordPlan) -> Checked<TreeRecord> {
        Ok(TreeRecord { fields: vec![None; plan.fields.len()], extra: TreeEntries::default() })
    }
    fn field_place(&mut self, (): (), _record: &TreeRecord, _field: usize) {}
    fn field(&mut self, record: &mut TreeRecord, field: usize, value: Value) -> Checked<()> {
        record.fields[field] = Some(value);
        Ok(())
    }
    fn extra_place(&mut self, (): (), _record: &TreeRecord) {}
    fn extra(&mut self, record: &mut TreeRecord, key: &str, value: Value) -> Checked<()> {
        record.extra.insert(Value::Str(key.to_owned()), value);
        Ok(())
    }
    fn end_record(
        &mut self,
        (): (),
        plan: &RecordPlan,
        record: TreeRecord,
        _given: &Given,
    ) -> Checked<Value> {
        let named = plan.fields.iter().zip(record.fields);
        let mut fields: Vec<_> =
            named.filter_map(|(field, value)| Some((field.name.clone(), value?))).collect();
        fields.extend(record.extra.entries.into_iter().filter_map(|(key, value)| match key {
            Value::Str(key) => Some((key, value)),
            _ => None,
        }));
        Ok(if plan.as_map {
            Value::Map(fields.into_iter().map(|(key, value)| (Value::Str(key), value)).collect())
        } else {
            Value::Record(fields)
        })
    }
}

/// A part of a [`Value`]: the value itself, or the key of a record's field.
#[derive(Debug, Clone, Copy)]
pub enum Part<'t> {
    /// A value.
    Value(&'t Value),
    /// A key.
    Key(&'t str),
}

/// A map or a record that is being read.
#[derive(Debug)]
pub struct TreeMap<'t> {
    map: MapOf<'t>,
    next: usize,
}

#[derive(Debug, Clone, Copy)]
enum MapOf<'t> {
    Map(&'t [(Value, Value)]),
    Record(&'t [(String, Value)]),
}

impl<'t> TreeMap<'t> {
    fn entry(&self, index: usize) -> Option<(Part<'t>, &'t Value)> {
        match self.map {
            MapOf::Map(entries) => entries.get(index).map(|(key, value)| (Part::Value(key), value)),
            MapOf::Record(fields) => fields.get(index).map(|(key, value)| (Part::Key(key), value)),
        }
    }
}

/// An [`Input`] over values that live as long as `'t`.
#[derive(Debug, Default)]
pub struct TreeInput<'t>(PhantomData<&'t Value>);

impl<'t> Input for TreeInput<'t> {
    type Value = Part<'t>;
    type Seq = std::slice::Iter<'t, Value>;
    type Map = TreeMap<'t>;

    fn get<'a>(&'a mut self, value: &'a Part<'t>) -> Checked<Found<'a>> {
        let value = match value {
            Part::Key(text) => return Ok(Found::Str(text)),
            Part::Value(value) => *value,
        };
        Ok(match value {
            Value::Null => Found::Null,
            Value::Bool(value) => Found::Bool(*value),
            Value::Int(value) => Found::Int(*value),
            Value::BigInt(digits) => Found::BigInt(digits),
            Value::Float(value) => Found::Float(*value),
            Value::Str(value) => Found::Str(value),
            Value::Bytes(value) => Found::Bytes(value),
            Value::Decimal(value) => Found::Decimal(value),
            Value::DateTime(value) => Found::DateTime(*value),
            Value::Date(value) => Found::Date(*value),
            Value::Time(value) => Found::Time(*value),
            Value::Duration(value) => Found::Duration(*value),
            Value::Uuid(value) => Found::Uuid(*value),
            Value::List(_) => Found::Seq(Collection::List),
            Value::Tuple(_) => Found::Seq(Collection::Tuple),
            Value::Set(_) => Found::Seq(Collection::Set),
            Value::FrozenSet(_) => Found::Seq(Collection::FrozenSet),
            Value::Map(_) | Value::Record(_) => Found::Map,
            _ => Found::Other,
        })
    }

    fn seq(
        &mut self,
        value: &Part<'t>,
        want: Collection,
        strict: bool,
    ) -> Checked<Option<Self::Seq>> {
        let Part::Value(value) = value else { return Ok(None) };
        let (kind, items) = match value {
            Value::List(items) => (Collection::List, items),
            Value::Tuple(items) => (Collection::Tuple, items),
            Value::Set(items) => (Collection::Set, items),
            Value::FrozenSet(items) => (Collection::FrozenSet, items),
            _ => return Ok(None),
        };
        Ok((!strict || kind == want).then(|| items.iter()))
    }

    fn next_item(&mut self, seq: &mut Self::Seq) -> Checked<Option<Part<'t>>> {
        Ok(seq.next().map(Part::Value))
    }

    fn map(
        &mut self,
        value: &Part<'t>,
        _record: Option<&RecordPlan>,
        _strict: bool,
    ) -> Checked<Option<TreeMap<'t>>> {
        Ok(match value {
            Part::Value(Value::Map(entries)) => Some(TreeMap { map: MapOf::Map(entries), next: 0 }),
            Part::Value(Value::Record(fields)) => {
                Some(TreeMap { map: MapOf::Record(fields), next: 0 })
            }
            _ => None,
        })
    }

    fn next_field(
        &mut self,
        map: &mut TreeMap<'t>,
        record: &RecordPlan,
        _expected: usize,
    ) -> Checked<Entry<Part<'t>>> {
        let Some((key, value)) = map.entry(map.next) else { return Ok(Entry::End) };
        map.next += 1;
        let field = match key {
            Part::Key(key) => record.field_of(key),
            Part::Value(Value::Str(key)) => record.field_of(key),
            Part::Value(_) => None,
        };
        Ok(match field {
            Some(index) => Entry::Field(index, Part::Value(value)),
            None => Entry::Unknown(Part::Value(value)),
        })
    }

    fn key_text(&mut self, map: &TreeMap<'t>) -> Option<String> {
        match map.entry(map.next.checked_sub(1)?)?.0 {
            Part::Key(key) => Some(key.to_owned()),
            Part::Value(Value::Str(key)) => Some(key.clone()),
            Part::Value(_) => None,
        }
    }

    fn next_key(&mut self, map: &mut TreeMap<'t>) -> Checked<Option<Part<'t>>> {
        let entry = map.entry(map.next);
        map.next += 1;
        Ok(entry.map(|(key, _)| key))
    }

    fn entry_value(&mut self, map: &mut TreeMap<'t>) -> Checked<Part<'t>> {
        // The key before it was there, so the value is.
        Ok(map
            .entry(map.next - 1)
            .map_or(Part::Value(&Value::Null), |(_, value)| Part::Value(value)))
    }

    fn skip(&mut self, _value: &Part<'t>) -> Checked<()> {
        Ok(())
    }

    fn identity(&self, value: &Part<'t>) -> Option<usize> {
        match value {
            Part::Value(value) => Some(std::ptr::from_ref(*value) as usize),
            Part::Key(_) => None,
        }
    }

    fn echo(&mut self, value: &Part<'t>) -> Echo {
        Echo::Value(match value {
            Part::Value(value) => (*value).clone(),
            Part::Key(key) => Value::Str((*key).to_owned()),
        })
    }
}
