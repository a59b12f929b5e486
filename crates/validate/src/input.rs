//! Where values come from.

use std::ptr::NonNull;

use ottava_core::schema::{Date, DateTime, Duration, Time};

use crate::issue::{Echo, Loc};
use crate::output::{Checked, Stop};
use crate::program::{EnumPlan, RecordPlan};

/// A source of values.
///
/// A [`Input::Value`] is a cheap handle of one value: an object, or the offset where a JSON value begins. The engine
/// may read a value several times (a union tries its members one after another). Sources that run forwards, such
/// as a JSON reader, rely on three promises of the engine:
///
/// 1. after [`Input::next_item`], [`Input::next_field`] or [`Input::entry_value`] has handed out a value, the engine
///    reads it whole or calls [`Input::skip`] before it asks for the next one;
/// 2. the last thing it does with a value, if that value was found wrong, is [`Input::skip`];
/// 3. it asks a sequence or a map for more until there is no more, unless the value is wrong (see 2).
///
/// Every method may return [`Stop::Abort`](crate::Stop::Abort) if the source itself is broken (JSON that is no JSON, an exception in the
/// host). The source keeps the reason; the engine passes the stop through without touching it.
pub trait Input {
    /// A handle of one value.
    type Value: Clone;
    /// A sequence that is being read.
    type Seq;
    /// A map that is being read.
    type Map;

    /// What the value is, as exactly as the source knows.
    ///
    /// # Errors
    /// [`Stop::Abort`](crate::Stop::Abort) if the source is broken.
    fn get<'a>(&'a mut self, value: &'a Self::Value) -> Checked<Found<'a>>;

    /// The value, if it is an integer (and no truth value) of at most 64 bits.
    ///
    /// # Errors
    /// As [`Input::get`].
    #[inline]
    fn int(&mut self, value: &Self::Value) -> Checked<Option<i64>> {
        Ok(match self.get(value)? {
            Found::Int(int) => Some(int),
            _ => None,
        })
    }

    /// The value, if it is a float.
    ///
    /// # Errors
    /// As [`Input::get`].
    #[inline]
    fn float(&mut self, value: &Self::Value) -> Checked<Option<f64>> {
        Ok(match self.get(value)? {
            Found::Float(float) => Some(float),
            _ => None,
        })
    }

    /// The value, if it is text.
    ///
    /// # Errors
    /// As [`Input::get`].
    #[inline]
    fn str<'a>(&'a mut self, value: &'a Self::Value) -> Checked<Option<&'a str>> {
        Ok(match self.get(value)? {
            Found::Str(text) => Some(text),
            _ => None,
        })
    }

    /// What the value is, with a number that has a fraction or an exponent as the decimal that it is written as.
    ///
    /// # Errors
    /// As [`Input::get`].
    #[inline]
    fn number<'a>(&'a mut self, value: &'a Self::Value) -> Checked<Found<'a>> {
        self.get(value)
    }

    /// What the host makes of the value where a float is wanted, if it is none of the kinds of [`Found`].
    ///
    /// # Errors
    /// As [`Input::get`].
    #[cold]
    fn as_float(&mut self, _value: &Self::Value) -> Checked<Option<f64>> {
        Ok(None)
    }

    /// The integer of at most 64 bits that the host can make of such a value without loss, if there is one.
    ///
    /// # Errors
    /// As [`Input::get`].
    #[cold]
    fn as_int(&mut self, _value: &Self::Value) -> Checked<Option<i64>> {
        Ok(None)
    }

    /// Whether the value is text that cannot be read, because it is not Unicode.
    #[inline]
    fn is_broken_text(&self, _value: &Self::Value) -> bool {
        false
    }

    /// Whether the value is null.
    ///
    /// # Errors
    /// As [`Input::get`].
    #[inline]
    fn is_null(&mut self, value: &Self::Value) -> Checked<bool> {
        Ok(matches!(self.get(value)?, Found::Null))
    }

    /// Whether the source is JSON text, where an array stands for any collection and a string for dates, UUIDs, bytes
    /// and decimals even if nothing may convert.
    const IS_JSON: bool = false;

    /// The host's own object behind the value, for an output that can take it as it is.
    #[inline]
    fn host(&self, _value: &Self::Value) -> Option<HostValue> {
        None
    }

    /// Whether the value is an instance of the record's own class, valid already.
    ///
    /// # Errors
    /// As [`Input::get`].
    #[inline]
    fn is_instance(&mut self, _value: &Self::Value, _record: &RecordPlan) -> Checked<bool> {
        Ok(false)
    }

    /// The index of the member that the value is, if it is a member of the host's own enum class.
    ///
    /// # Errors
    /// As [`Input::get`].
    #[inline]
    fn enum_member(&mut self, _value: &Self::Value, _plan: &EnumPlan) -> Checked<Option<usize>> {
        Ok(None)
    }

    /// Begins to read a sequence; `None` if the value is none that may become the wanted collection.
    ///
    /// # Errors
    /// As [`Input::get`].
    fn seq(
        &mut self,
        value: &Self::Value,
        want: Collection,
        strict: bool,
    ) -> Checked<Option<Self::Seq>>;

    /// The next item.
    ///
    /// # Errors
    /// As [`Input::get`].
    fn next_item(&mut self, seq: &mut Self::Seq) -> Checked<Option<Self::Value>>;

    /// What the host says of a sequence that has failed, if that is what stopped [`Input::next_item`]; the source is whole then.
    #[cold]
    fn take_failure(&mut self) -> Option<String> {
        None
    }

    /// Whether the sequence is known to end.
    #[inline]
    fn ends(&self, _seq: &Self::Seq) -> bool {
        true
    }

    /// Begins to read a map. With a record, an object whose attributes are its fields will do, if the record says so.
    /// `None` if the value is no map.
    ///
    /// # Errors
    /// As [`Input::get`].
    fn map(
        &mut self,
        value: &Self::Value,
        record: Option<&RecordPlan>,
        strict: bool,
    ) -> Checked<Option<Self::Map>>;

    /// The next entry of a map that is read as a record. `expected` is the field that most likely comes next.
    ///
    /// # Errors
    /// As [`Input::get`].
    fn next_field(
        &mut self,
        map: &mut Self::Map,
        record: &RecordPlan,
        expected: usize,
    ) -> Checked<Entry<Self::Value>>;

    /// The text of the key that [`Input::next_field`] gave last; `None` if it is no text.
    fn key_text(&mut self, map: &Self::Map) -> Option<String>;

    /// The next key of a map that is read as a dictionary.
    ///
    /// # Errors
    /// As [`Input::get`].
    fn next_key(&mut self, map: &mut Self::Map) -> Checked<Option<Self::Value>>;

    /// The value that belongs to the key that [`Input::next_key`] gave last.
    ///
    /// # Errors
    /// As [`Input::get`].
    fn entry_value(&mut self, map: &mut Self::Map) -> Checked<Self::Value>;

    /// Passes over the value, wherever in it reading has stopped.
    ///
    /// # Errors
    /// As [`Input::get`].
    fn skip(&mut self, value: &Self::Value) -> Checked<()>;

    /// A number that no other value of this source has while a clone of this one is kept. `None`, the default, if there is no such number;
    /// unions inside of unions may then take time exponential in the depth of the value.
    #[inline]
    fn identity(&self, _value: &Self::Value) -> Option<usize> {
        None
    }

    /// The run ends here, because it would take too long; the source keeps this as its reason.
    #[cold]
    fn give_up(&mut self) -> Stop {
        Stop::Abort
    }

    /// The step of a path that the value makes as a key, where the host has a word for it.
    #[cold]
    fn key_step(&mut self, _key: &Self::Value) -> Option<Loc> {
        None
    }

    /// As [`Input::key_step`], of the key that [`Input::next_field`] gave last.
    #[cold]
    fn field_step(&mut self, _map: &Self::Map) -> Option<Loc> {
        None
    }

    /// The value, as an issue shows it.
    fn echo(&mut self, value: &Self::Value) -> Echo;
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Found<'a> {
    /// Null.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer of at most 64 bits.
    Int(i64),
    /// A larger integer: decimal digits without leading zeros, `-` in front if negative.
    BigInt(&'a str),
    /// A float.
    Float(f64),
    /// Text.
    Str(&'a str),
    /// Raw bytes.
    Bytes(&'a [u8]),
    /// Raw bytes of an object that may change.
    ByteArray(&'a [u8]),
    /// A decimal number, as text.
    Decimal(&'a str),
    /// A date and time.
    DateTime(DateTime),
    /// A date.
    Date(Date),
    /// A time of day.
    Time(Time),
    /// A span of time.
    Duration(Duration),
    /// A UUID.
    Uuid(u128),
    /// Something with items: read it with [`Input::seq`].
    Seq(Collection),
    /// Something with keys: read it with [`Input::map`].
    Map,
    /// Something else, which only the host knows.
    Other,
}

/// A kind of sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Collection {
    /// A list; a JSON array.
    List,
    /// A tuple.
    Tuple,
    /// A set.
    Set,
    /// A frozen set.
    FrozenSet,
}

/// An entry of a map that is read as a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry<V> {
    /// The value of the field with this index.
    Field(usize, V),
    /// A value under a key that is no field; [`Input::key_text`] gives the key.
    Unknown(V),
    /// There are no more entries.
    End,
}

/// The address of an object that belongs to the host, passed from its input to its output. The engine does not look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostValue(NonNull<()>);

impl HostValue {
    /// Wraps an address.
    #[must_use]
    #[inline]
    pub fn new(address: NonNull<()>) -> Self {
        Self(address)
    }

    /// The address.
    #[must_use]
    #[inline]
    pub fn address(self) -> NonNull<()> {
        self.0
    }
}
