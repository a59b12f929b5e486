//! Keywords to assertions.

use std::collections::HashMap;

use ottava_core::schema::{Assertions, Condition, Declaration, Docs, JsonKind, Type, Value};

use super::DIALECT;
use super::lift::lift;
use crate::distinct::Distinct;
use crate::error::SchemaError;
use crate::pattern::Pattern;
use crate::recursion::{Recursion, recursion};
use crate::rules::temporal::FORMATS;
use crate::schema::CompileOptions;

/// Keywords that assert nothing.
const ANNOTATIONS: [&str; 8] = [
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$comment",
];

/// Reads a whole schema; patterns are tried if it is known what will match them.
pub(super) fn read(
    root: &Value,
    options: Option<&CompileOptions<'_>>,
) -> Result<Declaration, SchemaError> {
    let mut reader = Reader { root, options, names: HashMap::new(), pending: Vec::new() };
    let (ty, docs) = reader.schema(root, "")?;
    let name = docs.title.unwrap_or_else(|| "schema".to_owned());
    let mut declaration = Declaration::new(name, ty);
    while let Some((pointer, name)) = reader.pending.pop() {
        let ty = if pointer.is_empty() {
            std::mem::replace(&mut declaration.root, Type::reference(&name))
        } else {
            let target = reader.target(&pointer, &pointer)?;
            reader.schema(target, &pointer)?.0
        };
        declaration.definitions.push((name, ty));
    }
    declaration.definitions.sort_by(|(one, _), (two, _)| one.cmp(two));
    if let Some(Recursion::Endless(name)) = recursion(&declaration.definitions) {
        let place = reader.names.iter().find(|(_, known)| *known == name);
        let pointer = place.map_or("", |(pointer, _)| pointer);
        return Err(wrong(pointer, "only refers to itself"));
    }
    Ok(declaration)
}

struct Reader<'v, 'o> {
    root: &'v Value,
    options: Option<&'o CompileOptions<'o>>,
    /// The name of each place that is referred to.
    names: HashMap<String, String>,
    /// Places that are referred to and not read yet, with their names.
    pending: Vec<(String, String)>,
}

fn wrong(pointer: &str, reason: impl Into<String>) -> SchemaError {
    SchemaError::JsonSchema { pointer: format!("#{pointer}"), reason: reason.into() }
}

/// One more step of a JSON pointer.
fn step(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn entries<'v>(value: &'v Value, pointer: &str) -> Result<Vec<(&'v str, &'v Value)>, SchemaError> {
    let Value::Map(entries) = value else { return Err(wrong(pointer, "should be an object")) };
    let named = entries.iter().map(|(key, value)| match key {
        Value::Str(key) => Ok((key.as_str(), value)),
        _ => Err(wrong(pointer, "keys should be strings")),
    });
    named.collect()
}

fn items<'v>(value: &'v Value, pointer: &str) -> Result<&'v [Value], SchemaError> {
    match value {
        Value::List(items) => Ok(items),
        _ => Err(wrong(pointer, "should be an array")),
    }
}

fn text(value: &Value, pointer: &str) -> Result<String, SchemaError> {
    match value {
        Value::Str(text) => Ok(text.clone()),
        _ => Err(wrong(pointer, "should be a string")),
    }
}

fn texts(value: &Value, pointer: &str) -> Result<Vec<String>, SchemaError> {
    let all = items(value, pointer)?.iter().enumerate();
    all.map(|(index, item)| text(item, &step(pointer, &index.to_string()))).collect()
}

fn number(value: &Value, pointer: &str) -> Result<Option<Value>, SchemaError> {
    match normal(value) {
        number @ (Value::Int(_) | Value::BigInt(_) | Value::Float(_)) => Ok(Some(number)),
        _ => Err(wrong(pointer, "should be a number")),
    }
}

fn is_positive(number: &Value) -> bool {
    match number {
        Value::Int(int) => *int > 0,
        Value::Float(float) => *float > 0.0,
        Value::BigInt(digits) => !digits.starts_with('-'),
        _ => false,
    }
}

fn size(value: &Value, pointer: &str) -> Result<Option<usize>, SchemaError> {
    match normal(value) {
        Value::Int(size) if size >= 0 => Ok(Some(usize::try_from(size).unwrap_or(usize::MAX))),
        Value::BigInt(digits) if !digits.starts_with('-') => Ok(Some(usize::MAX)),
        _ => Err(wrong(pointer, "should be an integer that is not negative")),
    }
}

fn flag(value: &Value, pointer: &str) -> Result<bool, SchemaError> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        _ => Err(wrong(pointer, "should be true or false")),
    }
}

/// The value with whole floats as the integers that they equal.
fn normal(value: &Value) -> Value {
    match value {
        Value::Float(float) if float.fract() == 0.0 && float.abs() < 9e15 => {
            Value::Int(*float as i64)
        }
        Value::List(items) => Value::List(items.iter().map(normal).collect()),
        Value::Map(entries) => {
            Value::Map(entries.iter().map(|(key, value)| (key.clone(), normal(value))).collect())
        }
        other => other.clone(),
    }
}

fn kind(value: &Value, pointer: &str) -> Result<JsonKind, SchemaError> {
    Ok(match text(value, pointer)?.as_str() {
        "null" => JsonKind::Null,
        "boolean" => JsonKind::Boolean,
        "integer" => JsonKind::Integer,
        "number" => JsonKind::Number,
        "string" => JsonKind::String,
        "array" => JsonKind::Array,
        "object" => JsonKind::Object,
        other => return Err(wrong(pointer, format!("'{other}' is no type"))),
    })
}

impl<'v> Reader<'v, '_> {
    fn pattern(&self, source: &str, pointer: &str) -> Result<(), SchemaError> {
        if let Some(options) = self.options {
            Pattern::compile(source, options.pattern_engine, &format!("#{pointer}"))?;
        }
        Ok(())
    }

    fn boxed(&mut self, value: &'v Value, pointer: &str) -> Result<Option<Box<Type>>, SchemaError> {
        Ok(Some(Box::new(self.schema(value, pointer)?.0)))
    }

    fn list(&mut self, value: &'v Value, pointer: &str) -> Result<Vec<Type>, SchemaError> {
        let all = items(value, pointer)?;
        if all.is_empty() {
            return Err(wrong(pointer, "should not be empty"));
        }
        let read = |(index, item): (usize, &'v Value)| {
            Ok(self.schema(item, &step(pointer, &index.to_string()))?.0)
        };
        all.iter().enumerate().map(read).collect()
    }

    fn named(
        &mut self,
        value: &'v Value,
        pointer: &str,
    ) -> Result<Vec<(String, Type)>, SchemaError> {
        let read = |(name, item): (&'v str, &'v Value)| {
            Ok((name.to_owned(), self.schema(item, &step(pointer, name))?.0))
        };
        entries(value, pointer)?.into_iter().map(read).collect()
    }

    /// Reads the schema at `pointer`.
    fn schema(&mut self, value: &'v Value, pointer: &str) -> Result<(Type, Docs), SchemaError> {
        let mut docs = Docs::default();
        let mut given = Assertions::default();
        match value {
            Value::Bool(true) => return Ok((Type::any(), docs)),
            Value::Bool(false) => {
                given.never = true;
                return Ok((lift(given, &docs), docs));
            }
            _ => {}
        }
        let keywords = entries(value, pointer)?;
        let mut reference = None;
        for (key, value) in &keywords {
            let at = step(pointer, key);
            match *key {
                "$ref" => reference = Some(self.reference(&text(value, &at)?, &at)?),
                "$defs" | "definitions" => {
                    for (name, _) in entries(value, &at)? {
                        self.place(step(&at, name), &at)?;
                    }
                }
                "$schema" => {
                    let dialect = text(value, &at)?;
                    if dialect.trim_end_matches('#') != DIALECT {
                        return Err(wrong(&at, format!("dialect '{dialect}' is not supported")));
                    }
                }
                // That of the whole schema changes nothing, as references stay inside.
                "$id" if pointer.is_empty() => {}
                "$id" => {
                    let reason = "keyword '$id' is only supported at the root";
                    return Err(wrong(&at, reason));
                }
                "title" => docs.title = Some(text(value, &at)?),
                "description" => docs.description = Some(text(value, &at)?),
                "examples" => docs.examples = items(value, &at)?.to_vec(),
                key if ANNOTATIONS.contains(&key) => {}
                "if" => {
                    let part = |key: &str| keywords.iter().find(|(known, _)| *known == key);
                    let condition = self.schema(value, &at)?.0;
                    let mut read = |key: &str| -> Result<Option<Type>, SchemaError> {
                        match part(key) {
                            Some((_, value)) => {
                                Ok(Some(self.schema(value, &step(pointer, key))?.0))
                            }
                            None => Ok(None),
                        }
                    };
                    let (then, otherwise) = (read("then")?, read("else")?);
                    given.condition = Some(Box::new(Condition { condition, then, otherwise }));
                }
                "then" | "else" => {
                    // Without `if` they assert nothing, but must be schemas all the same.
                    self.schema(value, &at)?;
                }
                key => self.keyword(key, value, &at, &mut given)?,
            }
        }
        let ty = match reference {
            None => lift(given, &docs),
            Some(name) if given == Assertions::default() => Type::reference(name),
            Some(name) => {
                given.all_of.insert(0, Type::reference(name));
                lift(given, &docs)
            }
        };
        Ok((ty, docs))
    }

    /// Reads a keyword that asserts something.
    fn keyword(
        &mut self,
        key: &str,
        value: &'v Value,
        at: &str,
        given: &mut Assertions,
    ) -> Result<(), SchemaError> {
        let (rules, array, object) = (&mut given.rules, &mut given.array, &mut given.object);
        match key {
            "type" => {
                given.kinds = Some(match value {
                    Value::List(_) => {
                        let all = items(value, at)?.iter();
                        let kinds: Vec<_> =
                            all.map(|item| kind(item, at)).collect::<Result<_, _>>()?;
                        if kinds.is_empty() {
                            return Err(wrong(at, "should not be empty"));
                        }
                        if (1..kinds.len()).any(|index| kinds[..index].contains(&kinds[index])) {
                            return Err(wrong(at, "should not name a type twice"));
                        }
                        kinds
                    }
                    one => vec![kind(one, at)?],
                });
            }
            "const" => narrow(&mut given.values, vec![normal(value)]),
            "enum" => narrow(&mut given.values, items(value, at)?.iter().map(normal).collect()),
            "minimum" => rules.ge = number(value, at)?,
            "maximum" => rules.le = number(value, at)?,
            "exclusiveMinimum" => rules.gt = number(value, at)?,
            "exclusiveMaximum" => rules.lt = number(value, at)?,
            "multipleOf" => {
                let step = number(value, at)?;
                if !step.as_ref().is_some_and(is_positive) {
                    return Err(wrong(at, "should be greater than 0"));
                }
                rules.multiple_of = step;
            }
            "minLength" => rules.min_length = size(value, at)?,
            "maxLength" => rules.max_length = size(value, at)?,
            "pattern" => {
                let source = text(value, at)?;
                self.pattern(&source, at)?;
                rules.pattern = Some(source);
            }
            "format" => {
                let format = text(value, at)?;
                if !FORMATS.contains(&format.as_str()) {
                    return Err(wrong(at, format!("format '{format}' is not supported")));
                }
                given.format = Some(format);
            }
            "prefixItems" => array.prefix = self.list(value, at)?,
            "items" => array.items = self.boxed(value, at)?,
            "contains" => array.contains = self.boxed(value, at)?,
            "minContains" => array.min_contains = size(value, at)?,
            "maxContains" => array.max_contains = size(value, at)?,
            "minItems" => array.min = size(value, at)?,
            "maxItems" => array.max = size(value, at)?,
            "uniqueItems" => array.unique = flag(value, at)?,
            "properties" => object.properties = self.named(value, at)?,
            "patternProperties" => {
                for (source, _) in entries(value, at)? {
                    self.pattern(source, &step(at, source))?;
                }
                object.patterns = self.named(value, at)?;
            }
            "additionalProperties" => object.additional = self.boxed(value, at)?,
            "propertyNames" => object.names = self.boxed(value, at)?,
            "required" => object.required = texts(value, at)?,
            "dependentRequired" => {
                for (name, needed) in entries(value, at)? {
                    let needed = texts(needed, &step(at, name))?;
                    object.dependent_required.push((name.to_owned(), needed));
                }
            }
            "dependentSchemas" => object.dependent = self.named(value, at)?,
            "minProperties" => object.min = size(value, at)?,
            "maxProperties" => object.max = size(value, at)?,
            "allOf" => given.all_of.extend(self.list(value, at)?),
            "anyOf" => given.any_of = self.list(value, at)?,
            "oneOf" => given.one_of = self.list(value, at)?,
            "not" => given.not = self.boxed(value, at)?,
            other => return Err(wrong(at, format!("keyword '{other}' is not supported"))),
        }
        Ok(())
    }

    /// The name of the definition that a reference leads to.
    fn reference(&mut self, reference: &str, at: &str) -> Result<String, SchemaError> {
        let Some(pointer) = reference.strip_prefix('#') else {
            return Err(wrong(at, format!("reference '{reference}' leads out of the schema")));
        };
        let pointer = unescape_percent(pointer)
            .ok_or_else(|| wrong(at, format!("reference '{reference}' is malformed")))?;
        self.place(pointer, at)
    }

    /// The name of the definition at a JSON pointer.
    fn place(&mut self, pointer: String, at: &str) -> Result<String, SchemaError> {
        if let Some(name) = self.names.get(&pointer) {
            return Ok(name.clone());
        }
        self.target(&pointer, at)?;
        let short = match pointer.strip_prefix("/$defs/") {
            Some(name) if !name.contains('/') => name.replace("~1", "/").replace("~0", "~"),
            _ => format!("#{pointer}"),
        };
        self.names.insert(pointer.clone(), short.clone());
        self.pending.push((pointer, short.clone()));
        Ok(short)
    }

    /// The part of the schema at a JSON pointer.
    fn target(&self, pointer: &str, at: &str) -> Result<&'v Value, SchemaError> {
        let lost = || wrong(at, format!("reference '#{pointer}' leads nowhere"));
        let mut target = self.root;
        // After each tilde stands a digit that says what both are.
        let escaped = pointer.split('~').skip(1).all(|part| part.starts_with(['0', '1']));
        if !escaped || (!pointer.is_empty() && !pointer.starts_with('/')) {
            return Err(wrong(at, format!("reference '#{pointer}' is no JSON pointer")));
        }
        for key in pointer.split('/').skip(1) {
            let key = key.replace("~1", "/").replace("~0", "~");
            target = match target {
                Value::List(items) => {
                    key.parse::<usize>().ok().and_then(|index| items.get(index)).ok_or_else(lost)?
                }
                other => other.get(&key).ok_or_else(lost)?,
            };
        }
        Ok(target)
    }
}

/// Keeps the values that are in both lists.
fn narrow(values: &mut Option<Vec<Value>>, with: Vec<Value>) {
    match values {
        None => *values = Some(with),
        Some(values) => values.retain(|value| {
            with.iter().any(|other| {
                let mut seen = Distinct::default();
                seen.insert(value);
                !seen.insert(other)
            })
        }),
    }
}

/// Text with `%41` and its like replaced by the bytes they stand for.
fn unescape_percent(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let value = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(bytes).ok()
}
