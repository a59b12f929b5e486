//! Logical types.

use super::assertions::Assertions;
use super::declaration::Record;
use super::rules::{Format, Rules};
use super::value::Value;

/// A logical type: what kind of value, whether null is one, and the rules it must satisfy.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Type {
    /// The kind of value.
    pub kind: Kind,
    /// Whether null is a value too (`Optional`).
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "std::ops::Not::not"))]
    pub nullable: bool,
    /// Constraints beyond the kind.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "no_rules"))]
    pub rules: Rules,
    /// Whether values convert (`false`) or must have the kind already (`true`); `None` inherits from the record. Items of a
    /// collection and members of a union say so themselves, and so do the fields of another record.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub strict: Option<bool>,
    /// Validators of the host around this type, outermost first. They are code, so they are not serialized.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub hooks: Vec<u32>,
}

#[cfg(feature = "serde")]
fn no_rules(rules: &Rules) -> bool {
    *rules == Rules::default()
}

/// What kind of value a [`Type`] holds.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Kind {
    /// Anything.
    Any,
    /// Null alone.
    Null,
    /// A truth value.
    Bool,
    /// An integer.
    Int(IntWidth),
    /// A float.
    Float(FloatWidth),
    /// Text.
    Str,
    /// Raw bytes.
    Bytes,
    /// A decimal number.
    Decimal,
    /// A date and time.
    DateTime {
        /// Resolution where it is stored.
        unit: TimeUnit,
        /// `Some(true)`: must have an offset. `Some(false)`: must have none. `None`: either.
        aware: Option<bool>,
    },
    /// A date.
    Date,
    /// A time of day.
    Time,
    /// A span of time.
    Duration,
    /// A UUID.
    Uuid,
    /// One of a fixed set of named values.
    Enum(EnumType),
    /// One of a fixed set of plain values (null, bool, int or str).
    Literal(Vec<Value>),
    /// A list of any length.
    List(Box<Type>),
    /// A list of exactly this many items, such as the coordinates of a point.
    FixedList(Box<Type>, usize),
    /// A tuple: the leading items, then any number of `rest`, if given.
    Tuple {
        /// Types of the leading items.
        items: Vec<Type>,
        /// Type of further items; `None` allows none.
        rest: Option<Box<Type>>,
    },
    /// A set.
    Set(Box<Type>),
    /// A frozen set.
    FrozenSet(Box<Type>),
    /// A map from keys to values.
    Dict(Box<Type>, Box<Type>),
    /// One of several types.
    Union(Union),
    /// A nested record.
    Record(Box<Record>),
    /// Values that pass the assertions of a JSON Schema, as they are.
    Schema(Box<Assertions>),
    /// A type of the declaration's `definitions`, by name. This is how a type contains itself.
    Ref(String),
}

/// Bits of an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum IntWidth {
    /// Any size, exact. Stored as 64 bits signed in columns, where a larger value is an issue.
    #[default]
    Any,
    /// 8 bits signed.
    I8,
    /// 16 bits signed.
    I16,
    /// 32 bits signed.
    I32,
    /// 64 bits signed.
    I64,
    /// 8 bits unsigned.
    U8,
    /// 16 bits unsigned.
    U16,
    /// 32 bits unsigned.
    U32,
    /// 64 bits unsigned.
    U64,
}

/// Bits of a float.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum FloatWidth {
    /// 32 bits. Values are rounded to the nearest; one too large becomes infinite.
    F32,
    /// 64 bits.
    #[default]
    F64,
}

/// Resolution of a stored date and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum TimeUnit {
    /// Seconds.
    Second,
    /// Milliseconds.
    Milli,
    /// Microseconds.
    #[default]
    Micro,
    /// Nanoseconds.
    Nano,
}

impl TimeUnit {
    /// Its usual abbreviation: `s`, `ms`, `us` or `ns`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Milli => "ms",
            Self::Micro => "us",
            Self::Nano => "ns",
        }
    }
}

/// A fixed set of named values.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct EnumType {
    /// Name of the set.
    pub name: String,
    /// Its members, in order.
    pub members: Vec<EnumMember>,
    /// Its members are integers of the host's, so text that is a number stands for the one with that value.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub of_ints: bool,
    /// The host's own number for the set, handed back to its output. Not part of the declaration.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub host: Option<u32>,
}

/// One member of an [`EnumType`].
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct EnumMember {
    /// Name of the member.
    pub name: String,
    /// The plain value that stands for it in data.
    pub value: Value,
}

/// One of several types.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Union {
    /// The alternatives, in order.
    pub members: Vec<Type>,
    /// How one of them is chosen.
    pub mode: UnionMode,
}

/// How a [`Union`] chooses a member.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum UnionMode {
    /// The member that fits with the least conversion; among equals the one with more fields set, then the first.
    #[default]
    Smart,
    /// The first member that fits.
    LeftToRight,
    /// The record whose field of this name, a literal or an enum, holds the value's tag.
    Tagged(String),
}

macro_rules! plain {
    ($($(#[$doc:meta])* $name:ident => $kind:expr;)*) => {
        $($(#[$doc])* #[must_use] pub fn $name() -> Self { Self::new($kind) })*
    };
}

macro_rules! bound {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $($(#[$doc])* #[must_use] pub fn $name(mut self, bound: impl Into<Value>) -> Self {
            self.rules.$name = Some(bound.into());
            self
        })*
    };
}

impl Type {
    /// A type of a kind, without rules and without null.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self { kind, nullable: false, rules: Rules::default(), strict: None, hooks: Vec::new() }
    }

    plain! {
        /// Anything.
        any => Kind::Any;
        /// A truth value.
        bool => Kind::Bool;
        /// An integer of any size.
        int => Kind::Int(IntWidth::Any);
        /// A 64-bit float.
        float => Kind::Float(FloatWidth::F64);
        /// Text.
        str => Kind::Str;
        /// Raw bytes.
        bytes => Kind::Bytes;
        /// A decimal number.
        decimal => Kind::Decimal;
        /// A date and time in microseconds, with or without an offset.
        datetime => Kind::DateTime { unit: TimeUnit::Micro, aware: None };
        /// A date.
        date => Kind::Date;
        /// A time of day.
        time => Kind::Time;
        /// A span of time.
        duration => Kind::Duration;
        /// A UUID.
        uuid => Kind::Uuid;
    }

    /// A list of `item`.
    #[must_use]
    pub fn list(item: Type) -> Self {
        Self::new(Kind::List(Box::new(item)))
    }

    /// A map from `key` to `value`.
    #[must_use]
    pub fn dict(key: Type, value: Type) -> Self {
        Self::new(Kind::Dict(Box::new(key), Box::new(value)))
    }

    /// A union that picks the member that fits best.
    #[must_use]
    pub fn union(members: impl IntoIterator<Item = Type>) -> Self {
        Self::new(Kind::Union(Union {
            members: members.into_iter().collect(),
            mode: UnionMode::Smart,
        }))
    }

    /// One of these strings.
    #[must_use]
    pub fn one_of<'a>(symbols: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(Kind::Literal(symbols.into_iter().map(Value::from).collect()))
    }

    /// The definition called `name`.
    #[must_use]
    pub fn reference(name: impl Into<String>) -> Self {
        Self::new(Kind::Ref(name.into()))
    }

    /// The same type, or null.
    #[must_use]
    pub fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// The same type with conversion switched off or on.
    #[must_use]
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = Some(strict);
        self
    }

    bound! {
        /// Values greater than the bound.
        gt;
        /// Values greater than or equal to the bound.
        ge;
        /// Values less than the bound.
        lt;
        /// Values less than or equal to the bound.
        le;
        /// Multiples of the given number.
        multiple_of;
    }

    /// At least this many characters, bytes or items.
    #[must_use]
    pub fn min_length(mut self, length: usize) -> Self {
        self.rules.min_length = Some(length);
        self
    }

    /// At most this many characters, bytes or items.
    #[must_use]
    pub fn max_length(mut self, length: usize) -> Self {
        self.rules.max_length = Some(length);
        self
    }

    /// Strings in which this regular expression is found.
    #[must_use]
    pub fn pattern(mut self, pattern: impl Into<String>) -> Self {
        self.rules.pattern = Some(pattern.into());
        self
    }

    /// Strings that are email addresses.
    #[must_use]
    pub fn email(mut self) -> Self {
        self.rules.format = Some(Format::Email);
        self
    }

    /// Strings that are URLs.
    #[must_use]
    pub fn url(mut self) -> Self {
        self.rules.format = Some(Format::Url);
        self
    }

    /// Lists without two items that are equal after conversion.
    #[must_use]
    pub fn unique_items(mut self) -> Self {
        self.rules.unique_items = true;
        self
    }
}

impl From<Record> for Type {
    fn from(record: Record) -> Self {
        Self::new(Kind::Record(Box::new(record)))
    }
}
