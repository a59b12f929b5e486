//! How two declarations differ, and which of these differences a mode of compatibility allows.
//!
//! A change is *backward* compatible if a reader of the new declaration understands data written under the old one, and *forward*
//! compatible if a reader of the old one understands data written under the new one. The rules are those of the Confluent schema registry
//! ("Schema Evolution and Compatibility") for Avro, with these differences: symbols of an enum may only be appended, whatever the
//! mode; a promotion must be exact, so `int64` to `float64` is none; rules (`ge`, `max_length`, ...) count as in its JSON Schema checker,
//! where a loosened rule is backward and a tightened one forward compatible, and a bound of another kind is neither; another alias is
//! neither; a declaration that forbids undeclared fields does not understand new ones.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use super::declaration::{Declaration, Extra, Field, Record};
use super::fingerprint::logical;
use super::lock::LockError;
use super::rules::Rules;
use super::types::{FloatWidth, IntWidth, Kind, Type};
use super::value::Value;
use super::words::{default_text, describe, list_text, value_text};

/// Which readers must understand which data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The fingerprints must be equal.
    Exact,
    /// New readers understand old data.
    Backward,
    /// Old readers understand new data.
    Forward,
    /// Both.
    Full,
}

/// A direction, and whether it holds against every locked version or against the last one alone.
///
/// Text form: `exact`, `backward`, `forward`, `full`, each also with `-transitive`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mode {
    /// Which readers must understand which data.
    pub direction: Direction,
    /// Whether every locked version counts, or the last one alone.
    pub transitive: bool,
}

impl Mode {
    /// Whether the mode lets a change pass.
    #[must_use]
    pub fn allows(self, change: &Change) -> bool {
        match self.direction {
            _ if change.what.is_forbidden() => false,
            Direction::Exact => false,
            Direction::Backward => change.backward,
            Direction::Forward => change.forward,
            Direction::Full => change.backward && change.forward,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.direction {
            Direction::Exact => "exact",
            Direction::Backward => "backward",
            Direction::Forward => "forward",
            Direction::Full => "full",
        })?;
        f.write_str(if self.transitive { "-transitive" } else { "" })
    }
}

impl FromStr for Mode {
    type Err = LockError;

    fn from_str(text: &str) -> Result<Self, LockError> {
        let (direction, transitive) = match text.strip_suffix("-transitive") {
            Some(direction) => (direction, true),
            None => (text, false),
        };
        let direction = match direction {
            "exact" => Direction::Exact,
            "backward" => Direction::Backward,
            "forward" => Direction::Forward,
            "full" => Direction::Full,
            _ => return Err(LockError::Mode { text: text.to_owned() }),
        };
        Ok(Self { direction, transitive })
    }
}

impl serde::Serialize for Mode {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Mode {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One difference between two declarations.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Where: field names joined by dots; `[]` for the items of a list, `{}` for the values of a map.
    pub path: String,
    /// What.
    pub what: Difference,
    /// Whether readers of the new declaration understand old data in spite of it.
    pub backward: bool,
    /// Whether readers of the old declaration understand new data in spite of it.
    pub forward: bool,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the root" } else { &self.path };
        write!(f, "{path}: {}", self.what)
    }
}

/// What differs.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Difference {
    /// A new field.
    #[error("added, {}", if *optional { "with a default" } else { "without a default" })]
    Added {
        /// Whether it has a default.
        optional: bool,
    },
    /// A field is gone.
    #[error("removed, {}", if *optional { "it had a default" } else { "it had no default" })]
    Removed {
        /// Whether it had a default.
        optional: bool,
    },
    /// A field has a new name and is still found under its old one.
    #[error("renamed from {from:?}, which is now its alias")]
    Renamed {
        /// The old name.
        from: String,
    },
    /// The alias changed.
    #[error("alias changed from {} to {}", name(from), name(to))]
    Alias {
        /// The old alias.
        from: Option<String>,
        /// The new alias.
        to: Option<String>,
    },
    /// The kind changed, possibly to one that holds all old values.
    #[error("type changed from {from} to {to}")]
    Kind {
        /// The old type, in words.
        from: String,
        /// The new type, in words.
        to: String,
    },
    /// Null became a value, or ceased to be one.
    #[error("{}", if *nullable { "became nullable" } else { "is no longer nullable" })]
    Nullable {
        /// Whether it is one now.
        nullable: bool,
    },
    /// Another default, or one more or less.
    #[error("default changed from {from} to {to}")]
    Default {
        /// The old default, in words.
        from: String,
        /// The new default, in words.
        to: String,
    },
    /// Symbols were appended to an enum.
    #[error("symbols {symbols} appended")]
    SymbolsAppended {
        /// The new symbols, in words.
        symbols: String,
    },
    /// Symbols of an enum were removed, inserted or put into another order. No mode allows it.
    #[error("symbols changed from {from} to {to}: symbols may only be appended")]
    Symbols {
        /// The old symbols, in words.
        from: String,
        /// The new symbols, in words.
        to: String,
    },
    /// The resolution of a time changed.
    #[error("unit changed from {from} to {to}")]
    Unit {
        /// The old unit.
        from: &'static str,
        /// The new unit.
        to: &'static str,
    },
    /// The time zone of a stored date and time changed.
    #[error("time zone changed from {from} to {to}")]
    TimeZone {
        /// The old time zone.
        from: String,
        /// The new time zone.
        to: String,
    },
    /// A name that an earlier version removed is used again. No mode allows it.
    #[error("the name {name:?} was removed in version {removed_in} and is reserved")]
    Reserved {
        /// Path of the removed field.
        name: String,
        /// The version that removed it.
        removed_in: String,
    },
    /// A field is still there that was to be removed by now. No mode allows it.
    #[error("was to be removed in version {removed_in}")]
    Overdue {
        /// The version that was to be without it.
        removed_in: String,
    },
    /// A rule was added, removed or changed.
    #[error("rule {rule} changed from {from} to {to}")]
    Rule {
        /// Name of the rule.
        rule: &'static str,
        /// The old bound, in words.
        from: String,
        /// The new bound, in words.
        to: String,
    },
}

impl Difference {
    /// Whether no mode allows it.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(
            self,
            Difference::Symbols { .. } | Difference::Reserved { .. } | Difference::Overdue { .. }
        )
    }

    /// A stable word for it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Difference::Added { .. } => "field_added",
            Difference::Removed { .. } => "field_removed",
            Difference::Renamed { .. } => "field_renamed",
            Difference::Alias { .. } => "alias_changed",
            Difference::Kind { .. } => "type_changed",
            Difference::Nullable { .. } => "nullability_changed",
            Difference::Default { .. } => "default_changed",
            Difference::SymbolsAppended { .. } => "symbols_appended",
            Difference::Symbols { .. } => "symbols_changed",
            Difference::Unit { .. } => "unit_changed",
            Difference::TimeZone { .. } => "time_zone_changed",
            Difference::Reserved { .. } => "name_reserved",
            Difference::Overdue { .. } => "removal_overdue",
            Difference::Rule { .. } => "rule_changed",
        }
    }
}

/// Every difference between two declarations, in the order of field names.
#[must_use]
pub fn diff(old: &Declaration, new: &Declaration) -> Vec<Change> {
    let (old, new) = (logical(old), logical(new));
    let mut changes = Vec::new();
    Pair { old: &old, new: &new, open: Vec::new() }.types("", &old.root, &new.root, &mut changes);
    changes
}

/// Two declarations in logical form while they are compared.
struct Pair<'a> {
    old: &'a Declaration,
    new: &'a Declaration,
    /// References that are being compared, so that recursion ends.
    open: Vec<(String, String)>,
}

impl Pair<'_> {
    fn types(&mut self, path: &str, old: &Type, new: &Type, out: &mut Vec<Change>) {
        if old.nullable != new.nullable {
            let what = Difference::Nullable { nullable: new.nullable };
            out.push(Change {
                path: path.to_owned(),
                what,
                backward: new.nullable,
                forward: old.nullable,
            });
        }
        rules(path, &old.rules, &new.rules, out);
        self.kinds(path, old, new, out);
    }

    fn kinds(&mut self, path: &str, old: &Type, new: &Type, out: &mut Vec<Change>) {
        let kind = |backward, forward| Change {
            path: path.to_owned(),
            what: Difference::Kind { from: describe(old), to: describe(new) },
            backward,
            forward,
        };
        match (&old.kind, &new.kind) {
            (Kind::Literal(a), Kind::Literal(b)) => symbols(path, a, b, out),
            (Kind::DateTime { unit: a, aware: x }, Kind::DateTime { unit: b, aware: y }) => {
                if a != b {
                    let what = Difference::Unit { from: a.name(), to: b.name() };
                    out.push(Change {
                        path: path.to_owned(),
                        what,
                        backward: false,
                        forward: false,
                    });
                }
                if x != y {
                    out.push(kind(y.is_none(), x.is_none()));
                }
            }
            (Kind::List(a), Kind::List(b))
            | (Kind::Set(a), Kind::Set(b))
            | (Kind::FrozenSet(a), Kind::FrozenSet(b)) => {
                self.types(&format!("{path}[]"), a, b, out);
            }
            (Kind::FixedList(a, n), Kind::FixedList(b, m)) => {
                if n != m {
                    out.push(kind(false, false));
                }
                self.types(&format!("{path}[]"), a, b, out);
            }
            (Kind::FixedList(a, _), Kind::List(b)) => {
                out.push(kind(true, false));
                self.types(&format!("{path}[]"), a, b, out);
            }
            (Kind::List(a), Kind::FixedList(b, _)) => {
                out.push(kind(false, true));
                self.types(&format!("{path}[]"), a, b, out);
            }
            (Kind::Dict(a, x), Kind::Dict(b, y)) => {
                self.types(&format!("{path}{{key}}"), a, b, out);
                self.types(&format!("{path}{{}}"), x, y, out);
            }
            (Kind::Tuple { items: a, rest: None }, Kind::Tuple { items: b, rest: None })
                if a.len() == b.len() =>
            {
                for (i, (a, b)) in a.iter().zip(b).enumerate() {
                    self.types(&format!("{path}[{i}]"), a, b, out);
                }
            }
            (Kind::Record(a), Kind::Record(b)) => self.records(path, a, b, out),
            (Kind::Ref(a), _) | (_, Kind::Ref(a)) => {
                let b = if let Kind::Ref(b) = &new.kind { b } else { a };
                let names = (a.clone(), b.clone());
                if !self.open.contains(&names) {
                    let both =
                        [(self.old, old), (self.new, new)].map(|(declaration, ty)| {
                            match &ty.kind {
                                Kind::Ref(name) => declaration.definition(name),
                                _ => Some(ty),
                            }
                        });
                    self.open.push(names);
                    match both {
                        [Some(a), Some(b)] => self.kinds(path, a, b, out),
                        _ => out.push(kind(false, false)),
                    }
                    self.open.pop();
                }
            }
            (a, b) if a == b => {}
            (a, b) => {
                let backward = widens(a, b) || self.union_reads(old, new, false);
                let forward = widens(b, a) || self.union_reads(new, old, true);
                out.push(kind(backward, forward));
            }
        }
    }

    /// Whether a reader of `reader`, which is a union, understands every value of `writer`. `turned`: the reader is the old one.
    fn union_reads(&mut self, writer: &Type, reader: &Type, turned: bool) -> bool {
        // Null was compared already, one level up.
        let (mut one, mut whole) = ([writer.clone()], reader.clone());
        (one[0].nullable, whole.nullable) = (false, false);
        let writers = if let Kind::Union(union) = &writer.kind { &union.members[..] } else { &one };
        let Kind::Union(readers) = &reader.kind else {
            // Back from a union to a single type: only if there is nothing else to read.
            return matches!(writer.kind, Kind::Union(_))
                && writers.iter().all(|w| self.reads(w, &whole, turned));
        };
        writers.iter().all(|w| readers.members.iter().any(|r| self.reads(w, r, turned)))
    }

    fn reads(&mut self, writer: &Type, reader: &Type, turned: bool) -> bool {
        let mut changes = Vec::new();
        if turned {
            self.types("", reader, writer, &mut changes);
            changes.iter().all(|change| change.forward)
        } else {
            self.types("", writer, reader, &mut changes);
            changes.iter().all(|change| change.backward)
        }
    }

    fn records(&mut self, path: &str, old: &Record, new: &Record, out: &mut Vec<Change>) {
        let [closed, closes] = [old, new].map(|r| r.config.extra == Extra::Forbid);
        if closed != closes {
            let word = |closed| if closed { "forbid" } else { "carry" }.to_owned();
            let what = Difference::Rule { rule: "extra", from: word(closed), to: word(closes) };
            out.push(Change { path: path.to_owned(), what, backward: closed, forward: closes });
        }
        let mut found = vec![false; old.fields.len()];
        for field in &new.fields {
            let path = join(path, &field.name);
            let same = old.fields.iter().position(|f| f.name == field.name).or_else(|| {
                let alias = field.alias.as_ref()?;
                let free = |f: &Field| new.fields.iter().all(|n| n.name != f.name);
                old.fields.iter().position(|f| f.name == *alias && free(f))
            });
            let Some(at) = same else {
                let optional = !field.default.is_required();
                let what = Difference::Added { optional };
                out.push(Change { path, what, backward: optional, forward: !closed });
                continue;
            };
            found[at] = true;
            let before = &old.fields[at];
            if before.name != field.name {
                let what = Difference::Renamed { from: before.name.clone() };
                let forward = !before.default.is_required() && !closed;
                out.push(Change { path: path.clone(), what, backward: true, forward });
            } else if before.alias != field.alias {
                let what =
                    Difference::Alias { from: before.alias.clone(), to: field.alias.clone() };
                out.push(Change { path: path.clone(), what, backward: false, forward: false });
            }
            // As text, where NaN equals itself.
            if format!("{:?}", before.default) != format!("{:?}", field.default) {
                let what = Difference::Default {
                    from: default_text(&before.default),
                    to: default_text(&field.default),
                };
                out.push(Change { path: path.clone(), what, backward: true, forward: true });
            }
            self.types(&path, &before.ty, &field.ty, out);
        }
        for (field, _) in old.fields.iter().zip(&found).filter(|(_, found)| !**found) {
            let optional = !field.default.is_required();
            let what = Difference::Removed { optional };
            out.push(Change {
                path: join(path, &field.name),
                what,
                backward: true,
                forward: optional,
            });
        }
    }
}

/// Whether every value of `from` is, exactly, a value of `to`.
fn widens(from: &Kind, to: &Kind) -> bool {
    match (from, to) {
        (_, Kind::Any) => true,
        (Kind::Int(a), Kind::Int(b)) => int_within(*a, *b),
        (Kind::Int(a), Kind::Float(b)) => match (int_bits(*a), b) {
            (Some(bits), FloatWidth::F64) => bits <= 53,
            (Some(bits), FloatWidth::F32) => bits <= 24,
            (None, _) => false,
        },
        (Kind::Float(FloatWidth::F32), Kind::Float(FloatWidth::F64)) => true,
        (Kind::Literal(symbols), Kind::Str) => symbols.iter().all(|s| matches!(s, Value::Str(_))),
        (Kind::Literal(symbols), Kind::Int(width)) => {
            symbols.iter().all(|s| matches!(s, Value::Int(_))) && int_within(IntWidth::I64, *width)
        }
        _ => false,
    }
}

/// Whether integers of width `a` fit into width `b`.
pub(crate) fn int_within(a: IntWidth, b: IntWidth) -> bool {
    let (low_a, high_a) = int_range(a);
    let (low_b, high_b) = int_range(b);
    low_b <= low_a && high_a <= high_b
}

/// The smallest and the largest integer of a width; those of `Any` stand for no limit.
fn int_range(width: IntWidth) -> (i128, i128) {
    match width {
        IntWidth::Any => (i128::MIN, i128::MAX),
        IntWidth::I8 => (i8::MIN.into(), i8::MAX.into()),
        IntWidth::I16 => (i16::MIN.into(), i16::MAX.into()),
        IntWidth::I32 => (i32::MIN.into(), i32::MAX.into()),
        IntWidth::I64 => (i64::MIN.into(), i64::MAX.into()),
        IntWidth::U8 => (0, u8::MAX.into()),
        IntWidth::U16 => (0, u16::MAX.into()),
        IntWidth::U32 => (0, u32::MAX.into()),
        IntWidth::U64 => (0, u64::MAX.into()),
    }
}

fn int_bits(width: IntWidth) -> Option<u32> {
    match width {
        IntWidth::Any => None,
        IntWidth::I8 | IntWidth::U8 => Some(8),
        IntWidth::I16 | IntWidth::U16 => Some(16),
        IntWidth::I32 | IntWidth::U32 => Some(32),
        IntWidth::I64 | IntWidth::U64 => Some(64),
    }
}

fn symbols(path: &str, old: &[Value], new: &[Value], out: &mut Vec<Change>) {
    let path = path.to_owned();
    if let Some(more) = new.strip_prefix(old) {
        if !more.is_empty() {
            let what = Difference::SymbolsAppended { symbols: list_text(more) };
            out.push(Change { path, what, backward: true, forward: false });
        }
    } else {
        let what = Difference::Symbols { from: list_text(old), to: list_text(new) };
        out.push(Change { path, what, backward: false, forward: false });
    }
}

fn rules(path: &str, old: &Rules, new: &Rules, out: &mut Vec<Change>) {
    let mut push = |rule, from: Option<String>, to: Option<String>, backward, forward| {
        let what = Difference::Rule { rule, from: name(&from), to: name(&to) };
        out.push(Change { path: path.to_owned(), what, backward, forward });
    };
    let mut bound = |rule, old: Option<Value>, new: Option<Value>, upper: bool| {
        if old == new {
            return;
        }
        // `Less`: the new bound lets less through.
        let order = match (&old, &new) {
            (None, _) => Some(Ordering::Less),
            (_, None) => Some(Ordering::Greater),
            (Some(a), Some(b)) => order(b, a).map(|o| if upper { o } else { o.reverse() }),
        };
        let text = |v: Option<Value>| v.map(|v| value_text(&v));
        push(
            rule,
            text(old),
            text(new),
            order == Some(Ordering::Greater),
            order == Some(Ordering::Less),
        );
    };
    let count = |n: Option<usize>| n.map(|n| Value::Int(n as i64));
    let digits = |n: Option<u32>| n.map(|n| Value::Int(n.into()));
    bound("gt", old.gt.clone(), new.gt.clone(), false);
    bound("ge", old.ge.clone(), new.ge.clone(), false);
    bound("lt", old.lt.clone(), new.lt.clone(), true);
    bound("le", old.le.clone(), new.le.clone(), true);
    bound("min_length", count(old.min_length), count(new.min_length), false);
    bound("max_length", count(old.max_length), count(new.max_length), true);
    bound("max_digits", digits(old.max_digits), digits(new.max_digits), true);
    bound("decimal_places", digits(old.decimal_places), digits(new.decimal_places), true);
    let mut rule = |rule, old: Option<String>, new: Option<String>| {
        if old != new {
            let (backward, forward) = (new.is_none(), old.is_none());
            push(rule, old, new, backward, forward);
        }
    };
    let flag = |on: bool| on.then(|| "true".to_owned());
    let multiple = |v: &Option<Value>| v.as_ref().map(value_text);
    rule("multiple_of", multiple(&old.multiple_of), multiple(&new.multiple_of));
    rule("pattern", old.pattern.clone(), new.pattern.clone());
    let format = |r: &Rules| r.format.map(|f| format!("{f:?}").to_lowercase());
    rule("format", format(old), format(new));
    rule("unique_items", flag(old.unique_items), flag(new.unique_items));
    rule("strip_whitespace", flag(old.strip_whitespace), flag(new.strip_whitespace));
    rule("to_lower", flag(old.to_lower), flag(new.to_lower));
    rule("to_upper", flag(old.to_upper), flag(new.to_upper));
    let finite = |r: &Rules| r.allow_inf_nan.and_then(|allow| flag(!allow));
    rule("finite", finite(old), finite(new));
    let (a, b) = (old.unit.unwrap_or_default(), new.unit.unwrap_or_default());
    if a != b {
        let what = Difference::Unit { from: a.name(), to: b.name() };
        out.push(Change { path: path.to_owned(), what, backward: false, forward: false });
    }
    if old.time_zone != new.time_zone {
        let zone = |z: &Option<String>| z.clone().unwrap_or_else(|| "UTC".to_owned());
        let what = Difference::TimeZone { from: zone(&old.time_zone), to: zone(&new.time_zone) };
        out.push(Change { path: path.to_owned(), what, backward: false, forward: false });
    }
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Float(b)) => (*a as f64).partial_cmp(b),
        (Value::Float(a), Value::Int(b)) => a.partial_cmp(&(*b as f64)),
        (Value::Date(a), Value::Date(b)) => Some(a.cmp(b)),
        (Value::DateTime(a), Value::DateTime(b)) => {
            Some(a.micros_since_epoch().cmp(&b.micros_since_epoch()))
        }
        (Value::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

fn name(text: &Option<String>) -> String {
    text.clone().unwrap_or_else(|| "none".to_owned())
}
