//! Declarations to keywords.

use ottava_core::schema::{
    Assertions, Declaration, Docs, Extra, Field, FieldDefault, Form, Format, IntWidth, Kind,
    Record, Rules, Type, UnionMode, Value,
};

use super::DIALECT;
use crate::rules::assertions::name_of;

/// The text of a decimal.
const DECIMAL: &str = r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$";

/// The text of an integer and of a float.
const INTEGER: &str = "^[+-]?[0-9]+$";
const FLOAT: &str = r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$";

/// An object that is being written.
#[derive(Default)]
struct Keywords(Vec<(Value, Value)>);

impl Keywords {
    fn of(kind: &str) -> Self {
        let mut keywords = Self::default();
        keywords.put("type", kind);
        keywords
    }

    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.0.push((key.into(), value.into()));
    }

    /// Puts keywords in the place of those with the same name.
    fn replace(&mut self, keywords: &[(String, Value)]) {
        self.0.retain(|(known, _)| {
            !keywords.iter().any(|(key, _)| matches!(known, Value::Str(known) if known == key))
        });
        for (key, value) in keywords {
            self.put(key, value.clone());
        }
    }

    fn maybe(&mut self, key: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    fn size(&mut self, key: &str, value: Option<usize>) {
        self.maybe(key, value.map(|size| Value::Int(i64::try_from(size).unwrap_or(i64::MAX))));
    }

    fn list(&mut self, key: &str, types: &[Type]) {
        if !types.is_empty() {
            self.put(key, Value::List(types.iter().map(schema).collect()));
        }
    }

    fn named(&mut self, key: &str, types: &[(String, Type)]) {
        if !types.is_empty() {
            let all = types.iter().map(|(name, ty)| (name.as_str().into(), schema(ty)));
            self.put(key, Value::Map(all.collect()));
        }
    }

    fn names(&mut self, key: &str, names: &[String]) {
        if !names.is_empty() {
            self.put(key, texts(names));
        }
    }

    fn docs(&mut self, docs: &Docs) {
        self.maybe("title", docs.title.clone().map(Value::Str));
        self.maybe("description", docs.description.clone().map(Value::Str));
        if !docs.examples.is_empty() {
            self.put("examples", Value::List(docs.examples.clone()));
        }
        if docs.deprecated_since.is_some() {
            self.put("deprecated", true);
        }
        self.replace(&docs.keywords);
    }

    fn limits(&mut self, rules: &Rules) {
        self.maybe("exclusiveMinimum", rules.gt.as_ref().map(plain));
        self.maybe("minimum", rules.ge.as_ref().map(plain));
        self.maybe("exclusiveMaximum", rules.lt.as_ref().map(plain));
        self.maybe("maximum", rules.le.as_ref().map(plain));
        self.maybe("multipleOf", rules.multiple_of.as_ref().map(plain));
    }

    fn into_value(self) -> Value {
        Value::Map(self.0)
    }
}

fn texts(names: &[String]) -> Value {
    Value::List(names.iter().map(|name| name.as_str().into()).collect())
}

/// A name as a step of a JSON pointer in a URI fragment (RFC 6901, section 6).
fn fragment(name: &str) -> String {
    let mut out = String::new();
    for byte in name.replace('~', "~0").replace('/', "~1").bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@?".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A bound as a JSON number.
fn plain(value: &Value) -> Value {
    match value {
        Value::Decimal(text) => match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(int), _) => Value::Int(int),
            (_, Ok(float)) => Value::Float(float),
            _ => value.clone(),
        },
        other => other.clone(),
    }
}

/// Writes a whole declaration.
pub(super) fn write(declaration: &Declaration) -> Value {
    let mut keywords = Keywords::default();
    keywords.put("$schema", DIALECT);
    match schema(&declaration.root) {
        Value::Map(root) => keywords.0.extend(root),
        other => keywords.put("allOf", Value::List(vec![other])),
    }
    if keywords.0.iter().all(|(key, _)| *key != Value::from("title"))
        && !declaration.name.is_empty()
    {
        keywords.put("title", declaration.name.as_str());
    }
    keywords.named("$defs", &declaration.definitions);
    keywords.into_value()
}

fn schema(ty: &Type) -> Value {
    let value = kind(ty);
    if !ty.nullable || matches!(ty.kind, Kind::Any | Kind::Null) {
        return value;
    }
    let mut keywords = Keywords::default();
    keywords.put("anyOf", Value::List(vec![value, Keywords::of("null").into_value()]));
    keywords.into_value()
}

fn formatted(format: &str) -> Value {
    let mut keywords = Keywords::of("string");
    keywords.put("format", format);
    keywords.into_value()
}

fn kind(ty: &Type) -> Value {
    let rules = &ty.rules;
    let mut keywords = match &ty.kind {
        Kind::Any => Keywords::default(),
        Kind::Null => Keywords::of("null"),
        Kind::Bool => Keywords::of("boolean"),
        Kind::Int(width) => integer(*width, rules),
        Kind::Float(_) => {
            let mut keywords = Keywords::of("number");
            keywords.limits(rules);
            keywords
        }
        Kind::Str => string(rules),
        Kind::Bytes => {
            let mut keywords = Keywords::of("string");
            keywords.size("minLength", rules.min_length);
            keywords.size("maxLength", rules.max_length);
            keywords
        }
        Kind::Decimal => {
            let mut number = Keywords::of("number");
            number.limits(rules);
            let mut text = Keywords::of("string");
            text.put("pattern", DECIMAL);
            let mut keywords = Keywords::default();
            keywords.put("anyOf", Value::List(vec![number.into_value(), text.into_value()]));
            keywords
        }
        Kind::DateTime { .. } => return formatted("date-time"),
        Kind::Date => return formatted("date"),
        Kind::Time => return formatted("time"),
        Kind::Duration => return formatted("duration"),
        Kind::Uuid => return formatted("uuid"),
        Kind::Enum(declared) => {
            let mut keywords = Keywords::default();
            keywords.put("title", declared.name.as_str());
            let values = declared.members.iter().map(|member| member.value.clone());
            keywords.put("enum", Value::List(values.collect()));
            keywords
        }
        Kind::Literal(values) => {
            let mut keywords = Keywords::default();
            match values.as_slice() {
                [one] => keywords.put("const", one.clone()),
                all => keywords.put("enum", Value::List(all.to_vec())),
            }
            keywords
        }
        Kind::List(item) => array(item, rules),
        Kind::FixedList(item, length) => {
            let mut keywords = Keywords::of("array");
            keywords.put("items", schema(item));
            keywords.size("minItems", Some(*length));
            keywords.size("maxItems", Some(*length));
            keywords
        }
        Kind::Set(item) | Kind::FrozenSet(item) => {
            let mut keywords = array(item, rules);
            keywords.put("uniqueItems", true);
            keywords
        }
        Kind::Tuple { items, rest } => tuple(items, rest.as_deref(), rules),
        Kind::Dict(key, value) => {
            let mut keywords = Keywords::of("object");
            keywords.maybe("propertyNames", name(key));
            keywords.put("additionalProperties", schema(value));
            keywords.size("minProperties", rules.min_length);
            keywords.size("maxProperties", rules.max_length);
            keywords
        }
        Kind::Union(union) => {
            let mut keywords = Keywords::default();
            let one = matches!(union.mode, UnionMode::Tagged(_));
            keywords.list(if one { "oneOf" } else { "anyOf" }, &union.members);
            keywords
        }
        Kind::Record(record) => object(record),
        Kind::Ref(name) => {
            let mut keywords = Keywords::default();
            keywords.put("$ref", format!("#/$defs/{}", fragment(name)));
            keywords
        }
        Kind::Schema(given) => return asserted(given),
        _ => Keywords::default(),
    };
    if rules.unique_items {
        keywords.put("uniqueItems", true);
    }
    keywords.into_value()
}

/// What the text of a key must be to be read as this type, as plainly as it can be written; `None` if any text will do, or
/// the words for it are missing.
fn name(key: &Type) -> Option<Value> {
    let texts = |texts: Vec<Value>| match texts.is_empty() {
        true => Value::Bool(false),
        false => Value::Map(vec![("enum".into(), Value::List(texts))]),
    };
    let pattern = |pattern: &str| Value::Map(vec![("pattern".into(), pattern.into())]);
    Some(match &key.kind {
        Kind::Str if key.rules != Rules::default() => kind(key),
        Kind::Date | Kind::Time | Kind::DateTime { .. } | Kind::Duration | Kind::Uuid => kind(key),
        Kind::Bool => texts(vec!["true".into(), "false".into()]),
        Kind::Int(_) => pattern(INTEGER),
        Kind::Float(_) => pattern(FLOAT),
        Kind::Decimal => pattern(DECIMAL),
        Kind::Literal(values) => {
            texts(values.iter().filter(|value| matches!(value, Value::Str(_))).cloned().collect())
        }
        Kind::Enum(declared) => {
            let text = |value: &Value| match value {
                Value::Str(_) => Some(value.clone()),
                Value::Int(int) => Some(Value::Str(int.to_string())),
                _ => None,
            };
            let known = declared.members.iter().map(|member| text(&member.value));
            texts(known.collect::<Option<_>>()?)
        }
        Kind::Union(union) => {
            let all = union.members.iter().map(name).collect::<Option<Vec<_>>>()?;
            Value::Map(vec![("anyOf".into(), Value::List(all))])
        }
        _ => return None,
    })
}

fn integer(width: IntWidth, rules: &Rules) -> Keywords {
    let mut keywords = Keywords::of("integer");
    keywords.limits(rules);
    let range: Option<(Value, Value)> = match width {
        IntWidth::Any => None,
        IntWidth::I8 => Some((i64::from(i8::MIN).into(), i64::from(i8::MAX).into())),
        IntWidth::I16 => Some((i64::from(i16::MIN).into(), i64::from(i16::MAX).into())),
        IntWidth::I32 => Some((i64::from(i32::MIN).into(), i64::from(i32::MAX).into())),
        IntWidth::I64 => Some((i64::MIN.into(), i64::MAX.into())),
        IntWidth::U8 => Some((0.into(), i64::from(u8::MAX).into())),
        IntWidth::U16 => Some((0.into(), i64::from(u16::MAX).into())),
        IntWidth::U32 => Some((0.into(), i64::from(u32::MAX).into())),
        IntWidth::U64 => Some((0.into(), Value::BigInt(u64::MAX.to_string()))),
    };
    if let Some((low, high)) = range {
        // The width bounds a value beside the rules, which may already use the same keywords.
        let mut bounds = Keywords::default();
        bounds.put("minimum", low);
        bounds.put("maximum", high);
        keywords.put("allOf", Value::List(vec![bounds.into_value()]));
    }
    keywords
}

fn string(rules: &Rules) -> Keywords {
    let mut keywords = Keywords::of("string");
    keywords.size("minLength", rules.min_length);
    keywords.size("maxLength", rules.max_length);
    keywords.maybe("pattern", rules.pattern.clone().map(Value::Str));
    let format = rules.format.and_then(|format| match format {
        Format::Email => Some("email"),
        Format::Url => Some("uri"),
        Format::Uuid => Some("uuid"),
        _ => None,
    });
    keywords.maybe("format", format.map(Value::from));
    keywords
}

fn array(item: &Type, rules: &Rules) -> Keywords {
    let mut keywords = Keywords::of("array");
    keywords.put("items", schema(item));
    keywords.size("minItems", rules.min_length);
    keywords.size("maxItems", rules.max_length);
    keywords
}

fn tuple(items: &[Type], rest: Option<&Type>, rules: &Rules) -> Keywords {
    let mut keywords = Keywords::of("array");
    keywords.list("prefixItems", items);
    match rest {
        Some(rest) => {
            keywords.put("items", schema(rest));
            keywords.size("minItems", Some(items.len().max(rules.min_length.unwrap_or(0))));
            keywords.size("maxItems", rules.max_length);
        }
        None => {
            keywords.size("minItems", Some(items.len()));
            keywords.size("maxItems", Some(items.len()));
        }
    }
    keywords
}

fn object(record: &Record) -> Keywords {
    let is_tuple = record.config.form == Form::NamedTuple;
    let mut keywords = Keywords::of(if is_tuple { "array" } else { "object" });
    keywords.docs(&record.docs);
    if record.docs.title.is_none() && !record.name.is_empty() {
        keywords.put("title", record.name.as_str());
    }
    if is_tuple {
        let items: Vec<Value> = record.fields.iter().map(property).collect();
        let needed = record.fields.iter().filter(|field| field.default.is_required()).count();
        if !items.is_empty() {
            keywords.put("prefixItems", Value::List(items));
        }
        keywords.size("minItems", Some(needed));
        keywords.size("maxItems", Some(record.fields.len()));
        return keywords;
    }
    let key = |field: &Field| field.alias.clone().unwrap_or_else(|| field.name.clone());
    let properties = record.fields.iter().map(|field| (Value::Str(key(field)), property(field)));
    keywords.put("properties", Value::Map(properties.collect()));
    let required: Vec<String> =
        record.fields.iter().filter(|field| field.default.is_required()).map(key).collect();
    keywords.names("required", &required);
    match record.config.extra {
        Extra::Ignore => {}
        Extra::Allow => keywords.put("additionalProperties", true),
        Extra::Forbid => keywords.put("additionalProperties", false),
    }
    keywords.replace(&record.docs.keywords);
    keywords
}

/// A field's schema with its documentation and default beside it.
fn property(field: &Field) -> Value {
    let mut keywords = Keywords::default();
    keywords.docs(&field.docs);
    if let FieldDefault::Value(value) = &field.default {
        keywords.put("default", value.clone());
    }
    let Value::Map(own) = schema(&field.ty) else { return keywords.into_value() };
    // What the field says about itself counts for more than what its type says.
    let said = keywords.0;
    let kept = own.into_iter().filter(|(key, _)| said.iter().all(|(known, _)| known != key));
    let mut all: Vec<_> = kept.collect();
    all.extend(said);
    Value::Map(all)
}

fn asserted(given: &Assertions) -> Value {
    if given.never {
        let mut keywords = Keywords::default();
        keywords.put("not", Value::Map(Vec::new()));
        return keywords.into_value();
    }
    let mut keywords = Keywords::default();
    if let Some(kinds) = &given.kinds {
        match kinds.as_slice() {
            [one] => keywords.put("type", name_of(*one)),
            all => {
                let names = all.iter().map(|kind| name_of(*kind).into());
                keywords.put("type", Value::List(names.collect()));
            }
        }
    }
    keywords.maybe("enum", given.values.clone().map(Value::List));
    keywords.limits(&given.rules);
    keywords.size("minLength", given.rules.min_length);
    keywords.size("maxLength", given.rules.max_length);
    keywords.maybe("pattern", given.rules.pattern.clone().map(Value::Str));
    keywords.maybe("format", given.format.clone().map(Value::Str));
    let array = &given.array;
    keywords.list("prefixItems", &array.prefix);
    keywords.maybe("items", array.items.as_deref().map(schema));
    keywords.maybe("contains", array.contains.as_deref().map(schema));
    keywords.size("minContains", array.min_contains);
    keywords.size("maxContains", array.max_contains);
    keywords.size("minItems", array.min);
    keywords.size("maxItems", array.max);
    if array.unique {
        keywords.put("uniqueItems", true);
    }
    let object = &given.object;
    keywords.named("properties", &object.properties);
    keywords.named("patternProperties", &object.patterns);
    keywords.maybe("additionalProperties", object.additional.as_deref().map(schema));
    keywords.maybe("propertyNames", object.names.as_deref().map(schema));
    keywords.names("required", &object.required);
    if !object.dependent_required.is_empty() {
        let all = object.dependent_required.iter();
        let all = all.map(|(name, needed)| (Value::Str(name.clone()), texts(needed)));
        keywords.put("dependentRequired", Value::Map(all.collect()));
    }
    keywords.named("dependentSchemas", &object.dependent);
    keywords.size("minProperties", object.min);
    keywords.size("maxProperties", object.max);
    keywords.list("allOf", &given.all_of);
    keywords.list("anyOf", &given.any_of);
    keywords.list("oneOf", &given.one_of);
    keywords.maybe("not", given.not.as_deref().map(schema));
    if let Some(parts) = given.condition.as_deref() {
        keywords.put("if", schema(&parts.condition));
        keywords.maybe("then", parts.then.as_ref().map(schema));
        keywords.maybe("else", parts.otherwise.as_ref().map(schema));
    }
    keywords.into_value()
}
