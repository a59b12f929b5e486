//! Constraints on a value, in the words that Python's `Field` and JSON Schema use.

use super::types::TimeUnit;
use super::value::Value;

/// What a value must satisfy beyond its type. All rules hold at once; `None` and `false` mean no rule.
///
/// A rule on a type that it cannot apply to (`pattern` on an integer) is an error when the declaration is compiled.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct Rules {
    /// The value is greater than this one.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub gt: Option<Value>,
    /// The value is greater than or equal to this one.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub ge: Option<Value>,
    /// The value is less than this one.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub lt: Option<Value>,
    /// The value is less than or equal to this one.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub le: Option<Value>,
    /// The value divided by this one is whole.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub multiple_of: Option<Value>,
    /// Fewest characters of a string, bytes of a byte string, items of a collection.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub min_length: Option<usize>,
    /// Most characters of a string, bytes of a byte string, items of a collection.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub max_length: Option<usize>,
    /// A regular expression found somewhere in the string (`^` and `$` anchor it).
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub pattern: Option<String>,
    /// A well-known shape of a string.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub format: Option<Format>,
    /// No two items of a list are equal, as they are after conversion: without what their records ignore, and with defaults.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "is_false"))]
    pub unique_items: bool,
    /// White space is removed from both ends of a string before other rules are checked.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "is_false"))]
    pub strip_whitespace: bool,
    /// A string is lowered after the other rules are checked.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "is_false"))]
    pub to_lower: bool,
    /// A string is raised after the other rules are checked.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "is_false"))]
    pub to_upper: bool,
    /// Most digits of a decimal.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub max_digits: Option<u32>,
    /// Most digits of a decimal after its point.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub decimal_places: Option<u32>,
    /// Whether a float may be infinite or NaN; the default is yes for a float and no for a decimal.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub allow_inf_nan: Option<bool>,
    /// Resolution in which a time of day or a span is stored in columns; the default is microseconds.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub unit: Option<TimeUnit>,
    /// Time zone under which an aware date and time is stored in columns; the default is UTC.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub time_zone: Option<String>,
}

/// A well-known shape of a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Format {
    /// An email address, `local@domain`, as the HTML standard defines a valid one, with a dot in the domain.
    Email,
    /// An absolute URL with a scheme and a host.
    Url,
    /// The text of a UUID.
    Uuid,
}

#[cfg(feature = "serde")]
#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_false(flag: &bool) -> bool {
    !flag
}
