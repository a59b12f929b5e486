//! What a host must know of a node to take an object of the very type without a run.
//!
//! A host whose objects mostly fit can try this first: an object that [`Quick`] accepts is right, and the engine would take it
//! as it is. Anything else must go to the engine, which alone converts and reports.

use std::sync::Arc;

use ottava_core::schema::{Date, DateTime, Duration, Time};

use crate::input::{Collection, Found};
use crate::program::{EnumPlan, LiteralPlan, NodeId, Op, Program};
use crate::rules::format::parse_uuid;
use crate::rules::temporal;
use crate::rules::text::StrRules;

/// A node, as far as it can be decided without a run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Quick {
    /// Takes anything.
    Any,
    /// Takes null alone.
    Null,
    /// Takes null, and what the node inside takes.
    Nullable(NodeId),
    /// Takes truth values.
    Bool,
    /// Takes the integers from `low` to `high`. There may be others.
    Int {
        /// The least.
        low: i64,
        /// The greatest.
        high: i64,
    },
    /// Takes every float.
    Float,
    /// Takes the text that the rule accepts.
    Text(TextRule),
    /// Takes every value of this kind in time.
    DateTime,
    /// As [`Quick::DateTime`].
    Date,
    /// As [`Quick::DateTime`].
    Time,
    /// As [`Quick::DateTime`].
    Duration,
    /// Takes every UUID.
    Uuid,
    /// Takes the members of the enum of this number.
    Enum(usize),
    /// Takes the values of the literal of this number.
    Literal(usize),
    /// Takes a list of `min` to `max` items that the node inside takes.
    List {
        /// What the items must satisfy.
        item: NodeId,
        /// Fewest items.
        min: usize,
        /// Most items.
        max: usize,
    },
    /// Takes a dictionary of `min` to `max` entries that both nodes take.
    Dict {
        /// What the keys must satisfy.
        key: NodeId,
        /// What the values must satisfy.
        value: NodeId,
        /// Fewest entries.
        min: usize,
        /// Most entries.
        max: usize,
    },
    /// The record of this number.
    Record(usize),
    /// Only a run can tell.
    Unknown,
}

/// Text in the usual form of a kind, for nodes that take every value of it. `None` may also mean that a run reads it in another
/// form.
impl Quick {
    /// A date and time as in RFC 3339, with or without an offset.
    #[must_use]
    pub fn datetime(text: &str) -> Option<DateTime> {
        temporal::parse_rfc3339(text.as_bytes())
    }

    /// A date as in RFC 3339.
    #[must_use]
    pub fn date(text: &str) -> Option<Date> {
        temporal::parse_date(text.as_bytes())
    }

    /// A time of day.
    #[must_use]
    pub fn time(text: &str) -> Option<Time> {
        temporal::parse_time(text.as_bytes()).ok()
    }

    /// A span of time.
    #[must_use]
    pub fn duration(text: &str) -> Option<Duration> {
        temporal::parse_duration(text.as_bytes()).ok()
    }

    /// The bits of a UUID.
    #[must_use]
    pub fn uuid(text: &str) -> Option<u128> {
        parse_uuid(text).ok()
    }
}

/// Rules of a string.
#[derive(Debug, Clone)]
pub struct TextRule(Arc<StrRules>);

impl TextRule {
    /// Whether every string is right as it is.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.0.free
    }

    /// Whether the text is right as it is. `false` may also mean that it would be changed.
    #[must_use]
    #[inline]
    pub fn accepts(&self, text: &str) -> bool {
        !self.0.changes() && self.0.accepts(text)
    }
}

impl EnumPlan {
    /// The index of the member whose value this is.
    #[must_use]
    #[inline]
    pub fn find(&self, found: Found<'_>) -> Option<usize> {
        self.choices.find(found)
    }
}

impl LiteralPlan {
    /// The index of the value that this is.
    #[must_use]
    #[inline]
    pub fn find(&self, found: Found<'_>) -> Option<usize> {
        self.choices.find(found)
    }
}

impl Program {
    /// Whether the declaration lets nothing convert to this node.
    #[must_use]
    pub fn is_strict(&self, node: NodeId) -> bool {
        match &self.node(node).op {
            Op::Alias(inner) => self.is_strict(*inner),
            _ => self.node(node).strict,
        }
    }

    /// What can be decided of a node without a run.
    #[must_use]
    pub fn quick(&self, node: NodeId) -> Quick {
        match &self.node(node).op {
            Op::Any => Quick::Any,
            Op::Null => Quick::Null,
            Op::Alias(inner) => self.quick(*inner),
            Op::Nullable(inner) => Quick::Nullable(*inner),
            Op::Bool => Quick::Bool,
            Op::Int(rules) => match rules.range() {
                Some((low, high)) => Quick::Int { low, high },
                None => Quick::Unknown,
            },
            Op::Float(rules) if rules.is_free() => Quick::Float,
            Op::Str(rules) => Quick::Text(TextRule(Arc::clone(rules))),
            Op::DateTime(bounds) if bounds.is_free() => Quick::DateTime,
            Op::Date(bounds) if bounds.is_free() => Quick::Date,
            Op::Time(bounds) if bounds.is_free() => Quick::Time,
            Op::Duration(bounds) if bounds.is_free() => Quick::Duration,
            Op::Uuid => Quick::Uuid,
            Op::Enum(plan) => Quick::Enum(*plan as usize),
            Op::Literal(plan) => Quick::Literal(*plan as usize),
            Op::Seq(plan) => match plan.rest {
                Some(item)
                    if plan.kind == Collection::List && plan.items.is_empty() && !plan.unique =>
                {
                    Quick::List { item, min: plan.size.min, max: plan.size.max }
                }
                _ => Quick::Unknown,
            },
            Op::Dict(plan) => Quick::Dict {
                key: plan.key,
                value: plan.value,
                min: plan.size.min,
                max: plan.size.max,
            },
            Op::Record(record) => Quick::Record(*record as usize),
            _ => Quick::Unknown,
        }
    }
}
