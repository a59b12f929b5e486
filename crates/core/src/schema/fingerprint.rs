//! What a declaration says about data, and nothing else: its logical form, and the SHA-256 of that.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::declaration::{Config, Declaration, Docs, Extra, FieldDefault};
use super::lock::LockError;
use super::rules::Rules;
use super::types::{Kind, Type};
use super::value::Value;

/// The logical form of a declaration.
///
/// Kept are field names and aliases, kinds, nullability, rules, defaults, the symbols of enums in their order, units, time
/// zones, and whether undeclared fields are forbidden. Gone are documentation, names of records and enums, how values are converted, and everything of the host. Fields are
/// sorted by name, an enum is the list of its plain values, and a reference is replaced by what it refers to unless that contains
/// itself. Two declarations describe the same data exactly if their logical forms are equal.
#[must_use]
pub fn logical(declaration: &Declaration) -> Declaration {
    let mut form = Logical { declaration, open: Vec::new(), kept: Vec::new() };
    let root = form.ty(&declaration.root);
    let mut definitions: Vec<(String, Type)> = Vec::new();
    while let Some(name) = form.kept.iter().find(|n| definitions.iter().all(|(d, _)| d != *n)) {
        let name = name.clone();
        form.open.push(name.clone());
        if let Some(definition) = declaration.definition(&name) {
            let definition = form.ty(definition);
            definitions.push((name, definition));
        } else {
            definitions.push((name, Type::any()));
        }
        form.open.pop();
    }
    definitions.sort_by(|a, b| a.0.cmp(&b.0));
    Declaration { name: String::new(), root, definitions }
}

/// The SHA-256 of a declaration's logical form, written as canonical JSON.
///
/// It does not change with documentation, with the order of fields or of a file's keys, or with the physical layout of a table. It does
/// change with a name, a type, nullability, a rule, a default, the symbols of an enum or their order, a unit or a time zone.
///
/// ```
/// use ottava_core::schema::{Declaration, Field, Fingerprint, Record, Type};
///
/// let of = |ty: Type| Fingerprint::of(&Declaration::from(Record::new("Node").field(Field::new("id", ty))));
/// assert_eq!(of(Type::int()), of(Type::int()));
/// assert_ne!(of(Type::int()), of(Type::int().nullable()));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a declaration.
    #[must_use]
    pub fn of(declaration: &Declaration) -> Self {
        Self::of_json(&logical(declaration))
    }

    /// The SHA-256 of a value's JSON. Structs are written in the order of their fields, so this is canonical for them.
    pub(super) fn of_json<T: serde::Serialize>(value: &T) -> Self {
        // Plain data without maps of foreign keys: its serialization has no way to fail.
        let json = serde_json::to_vec(value).unwrap_or_default();
        Self(Sha256::digest(json).into())
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = LockError;

    fn from_str(text: &str) -> Result<Self, LockError> {
        let wrong = || LockError::Fingerprint { text: text.to_owned() };
        let digits = text.strip_prefix("sha256:").filter(|d| d.is_ascii()).ok_or_else(wrong)?;
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return Err(wrong());
        }
        for (i, byte) in bytes.iter_mut().enumerate() {
            let pair = &digits[2 * i..2 * i + 2];
            if pair.bytes().any(|b| !matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
                return Err(wrong());
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

impl serde::Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The state of making a logical form.
struct Logical<'a> {
    declaration: &'a Declaration,
    /// Definitions that are being replaced, outermost first.
    open: Vec<String>,
    /// Definitions that contain themselves.
    kept: Vec<String>,
}

impl Logical<'_> {
    fn ty(&mut self, ty: &Type) -> Type {
        if let Kind::Ref(name) = &ty.kind {
            return self.reference(ty, name);
        }
        let mut out = Type::new(self.kind(&ty.kind));
        out.nullable = ty.nullable;
        out.rules = rules(&ty.rules);
        out
    }

    fn reference(&mut self, ty: &Type, name: &str) -> Type {
        let recursive = self.open.iter().any(|open| open == name);
        match self.declaration.definition(name) {
            Some(definition) if !recursive => {
                self.open.push(name.to_owned());
                let mut out = self.ty(definition);
                self.open.pop();
                out.nullable |= ty.nullable;
                if ty.rules != Rules::default() {
                    out.rules = rules(&ty.rules);
                }
                out
            }
            _ => {
                if !self.kept.iter().any(|kept| kept == name) {
                    self.kept.push(name.to_owned());
                }
                let mut out = Type::reference(name);
                out.nullable = ty.nullable;
                out
            }
        }
    }

    fn boxed(&mut self, ty: &Type) -> Box<Type> {
        Box::new(self.ty(ty))
    }

    fn kind(&mut self, kind: &Kind) -> Kind {
        match kind {
            Kind::Enum(set) => Kind::Literal(set.members.iter().map(|m| m.value.clone()).collect()),
            Kind::List(item) => Kind::List(self.boxed(item)),
            Kind::FixedList(item, length) => Kind::FixedList(self.boxed(item), *length),
            Kind::Tuple { items, rest } => Kind::Tuple {
                items: items.iter().map(|item| self.ty(item)).collect(),
                rest: rest.as_ref().map(|rest| self.boxed(rest)),
            },
            Kind::Set(item) => Kind::Set(self.boxed(item)),
            Kind::FrozenSet(item) => Kind::FrozenSet(self.boxed(item)),
            Kind::Dict(key, value) => Kind::Dict(self.boxed(key), self.boxed(value)),
            Kind::Union(union) => {
                let mut union = union.clone();
                union.members = union.members.iter().map(|member| self.ty(member)).collect();
                Kind::Union(union)
            }
            Kind::Record(record) => {
                let mut record = record.clone();
                record.name.clear();
                // Whether undeclared fields are taken is about data; how values are converted is not.
                let extra = match record.config.extra {
                    Extra::Forbid => Extra::Forbid,
                    _ => Extra::default(),
                };
                record.config = Config { extra, ..Config::default() };
                record.docs = Docs::default();
                record.host = None;
                for field in &mut record.fields {
                    field.ty = self.ty(&field.ty);
                    field.docs = Docs::default();
                    field.alias = field.alias.take().filter(|alias| *alias != field.name);
                    match &mut field.default {
                        FieldDefault::Host(number) => *number = 0, // the host may give it out anew
                        FieldDefault::Value(value) => {
                            if let (Kind::Float(_), Value::Int(x)) = (&field.ty.kind, &*value) {
                                *value = Value::Float(*x as f64); // what 1 is in such a field
                            }
                        }
                        _ => {}
                    }
                }
                record.fields.sort_by(|a, b| a.name.cmp(&b.name));
                Kind::Record(record)
            }
            plain => plain.clone(),
        }
    }
}

/// The rules, with `1.0` and `1` as one bound and the default time zone left out.
fn rules(rules: &Rules) -> Rules {
    let mut rules = rules.clone();
    let bounds =
        [&mut rules.gt, &mut rules.ge, &mut rules.lt, &mut rules.le, &mut rules.multiple_of];
    for bound in bounds.into_iter().flatten() {
        if let Value::Float(x) = bound
            && x.fract() == 0.0
            && x.abs() < 2f64.powi(53)
        {
            *bound = Value::Int(*x as i64);
        }
    }
    rules.time_zone = rules.time_zone.take().filter(|zone| zone != "UTC");
    rules.unit = rules.unit.filter(|unit| *unit != super::types::TimeUnit::default());
    rules
}

/// The canonical JSON that is hashed: one line, in a fixed order of keys.
#[must_use]
pub fn canonical_json(declaration: &Declaration) -> String {
    serde_json::to_string(&logical(declaration)).unwrap_or_default()
}
