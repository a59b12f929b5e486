//! Records, their fields and their configuration.

use super::types::{Kind, Type};
use super::value::Value;

/// A whole declaration: a root type and the definitions that it refers to.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Declaration {
    /// Name of the declaration; of its record, if the root is one.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "String::is_empty"))]
    pub name: String,
    /// The type of a whole value.
    pub root: Type,
    /// Named types for [`Kind::Ref`], in order of declaration. Names are unique.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub definitions: Vec<(String, Type)>,
}

impl Declaration {
    /// A declaration of any type.
    #[must_use]
    pub fn new(name: impl Into<String>, root: Type) -> Self {
        Self { name: name.into(), root, definitions: Vec::new() }
    }

    /// Adds a named type that [`Kind::Ref`] may refer to.
    #[must_use]
    pub fn define(mut self, name: impl Into<String>, definition: Type) -> Self {
        self.definitions.push((name.into(), definition));
        self
    }

    /// The definition called `name`.
    #[must_use]
    pub fn definition(&self, name: &str) -> Option<&Type> {
        self.definitions.iter().find(|(key, _)| key == name).map(|(_, definition)| definition)
    }

    /// The type itself, or the one that it refers to in the end; `None` if the reference leads nowhere.
    #[must_use]
    pub fn resolve<'a>(&'a self, mut ty: &'a Type) -> Option<&'a Type> {
        for _ in 0..=self.definitions.len() {
            match &ty.kind {
                Kind::Ref(name) => ty = self.definition(name)?,
                _ => return Some(ty),
            }
        }
        None
    }

    /// The root's record, looked up through references; `None` if the root is of another kind.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        match &self.resolve(&self.root)?.kind {
            Kind::Record(record) => Some(record),
            _ => None,
        }
    }
}

impl From<Record> for Declaration {
    fn from(record: Record) -> Self {
        Self::new(record.name.clone(), Type::from(record))
    }
}

#[cfg(feature = "serde")]
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A record: named fields in order.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Record {
    /// Name of the record, which error messages and JSON Schema show.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "String::is_empty"))]
    pub name: String,
    /// Its fields, in order. Names are unique.
    pub fields: Vec<Field>,
    /// How values are read.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub config: Config,
    /// Documentation.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub docs: Docs,
    /// The host's own number for the record, handed back to its input and output. Not part of the declaration.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub host: Option<u32>,
}

impl Record {
    /// A record without fields.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            fields: Vec::new(),
            config: Config::default(),
            docs: Docs::default(),
            host: None,
        }
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    /// Says what happens to fields that are not declared.
    #[must_use]
    pub fn extra(mut self, extra: Extra) -> Self {
        self.config.extra = extra;
        self
    }

    /// Switches conversion off (`true`) or on for all fields that do not say otherwise.
    #[must_use]
    pub fn strict(mut self, strict: bool) -> Self {
        self.config.strict = strict;
        self
    }
}

/// One field of a record.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Field {
    /// Name in the program, and in data unless there is an alias.
    pub name: String,
    /// Name in data. With `populate_by_name` both are accepted. With one that begins with NUL no key of the input is the field's, and its
    /// default always stands.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub alias: Option<String>,
    /// Type of its values.
    #[cfg_attr(feature = "serde", serde(rename = "type"))]
    pub ty: Type,
    /// What stands in when the field is missing; a field without a default is required.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "FieldDefault::is_required")
    )]
    pub default: FieldDefault,
    /// Documentation.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub docs: Docs,
}

impl Field {
    /// A required field.
    #[must_use]
    pub fn new(name: impl Into<String>, ty: Type) -> Self {
        Self {
            name: name.into(),
            alias: None,
            ty,
            default: FieldDefault::Required,
            docs: Docs::default(),
        }
    }

    /// The same field under another name in data.
    #[must_use]
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.alias = Some(alias.into());
        self
    }

    /// The same field, with a value that stands in when it is missing. The value is not validated.
    #[must_use]
    pub fn default(mut self, value: impl Into<Value>) -> Self {
        self.default = FieldDefault::Value(value.into());
        self
    }

    /// The same field, null when it is missing.
    #[must_use]
    pub fn default_null(self) -> Self {
        self.default(Value::Null)
    }
}

/// What stands in when a field is missing.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum FieldDefault {
    /// Nothing: the field is required.
    #[default]
    Required,
    /// This value.
    Value(Value),
    /// Nothing stands in, and the field stays absent (`NotRequired` of a typed dictionary).
    Absent,
    /// What the host's own default or factory of this number gives.
    Host(u32),
}

impl FieldDefault {
    /// Whether the field is required.
    #[must_use]
    pub fn is_required(&self) -> bool {
        matches!(self, FieldDefault::Required)
    }
}

/// How the values of a record are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct Config {
    /// Values must have the declared kind already; nothing converts.
    pub strict: bool,
    /// What happens to fields that are not declared.
    pub extra: Extra,
    /// A field with an alias is found under its name, too.
    pub populate_by_name: bool,
    /// Fields may be read from the attributes of an object, where the input has any.
    pub from_attributes: bool,
    /// The result is a plain map and not an instance of the record.
    pub as_map: bool,
    /// What the record is for the host.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Form::is_model"))]
    pub form: Form,
}

/// What a record is for the host: that decides what else it is read from, and what it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Form {
    /// A model, or a typed dictionary.
    #[default]
    Model,
    /// A class whose constructor takes the fields.
    Dataclass,
    /// A tuple whose items have names; an array of the fields in order is one, too.
    NamedTuple,
}

#[cfg(feature = "serde")]
impl Form {
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
    fn is_model(&self) -> bool {
        *self == Form::Model
    }
}

/// What happens to fields that are not declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Extra {
    /// They are passed over.
    #[default]
    Ignore,
    /// They are kept.
    Allow,
    /// Each is an issue.
    Forbid,
}

/// Documentation of a record or a field; goes into the JSON Schema and does not change what is valid.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct Docs {
    /// A short title.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub title: Option<String>,
    /// What it means.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub description: Option<String>,
    /// Example values.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Vec::is_empty"))]
    pub examples: Vec<Value>,
    /// First schema version that warns about the field.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub deprecated_since: Option<String>,
    /// First schema version without the field.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub removed_in: Option<String>,
    /// Keywords that the JSON Schema has beside those that the declaration gives it; they replace those.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Vec::is_empty"))]
    pub keywords: Vec<(String, Value)>,
}
