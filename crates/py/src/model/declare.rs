//! Declarations out of the descriptions that `ottava.models` makes of Python types.
//!
//! A description is a dictionary with a `kind` and what belongs to it. Records are shared by identity: a description that refers
//! to a record (`{"kind": "ref", "spec": record}`) gives a definition of the declaration, once.

use std::collections::HashMap;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyList, PyString, PyTuple, PyType};

use ottava_core::schema::{
    Config, Declaration, Docs, EnumMember, EnumType, Extra, Field, FieldDefault, FloatWidth, Form,
    Format, IntWidth, Kind, Record, Rules, TimeUnit, Type, Union, UnionMode, Value,
};

use crate::arrays;

use super::hosts::{Default_, EnumHost, Hook, Hosts, Mode, RecordHost, RecordKind};
use super::layout;
use super::value::{is_shareable, to_value};

/// Makes the declaration that a description stands for, and the Python side of it.
///
/// # Errors
/// `TypeError` or `ValueError` for a description that makes no sense, naming the field.
pub(crate) fn declare(name: &str, root: &Bound<'_, PyDict>) -> PyResult<(Declaration, Hosts)> {
    let mut maker = Maker::default();
    let root_type = maker.ty(root)?;
    let mut declaration = Declaration::new(name, root_type);
    declaration.definitions =
        maker.definitions.into_iter().filter_map(|(name, ty)| ty.map(|ty| (name, ty))).collect();
    inline_root(&mut declaration);
    Ok((declaration, maker.hosts))
}

/// A root record that nothing else refers to stands at the root itself.
fn inline_root(declaration: &mut Declaration) {
    let Kind::Ref(name) = &declaration.root.kind else { return };
    if declaration.root != Type::reference(name.clone()) {
        return;
    }
    if declaration.definitions.iter().any(|(_, ty)| refers_to(ty, name)) {
        return;
    }
    if let Some(index) = declaration.definitions.iter().position(|(known, _)| known == name) {
        declaration.root = declaration.definitions.remove(index).1;
    }
}

/// Takes away what only a host can do: validators, defaults that are code, numbers of classes.
///
/// `missing` is what stands in for a default that is code.
pub(crate) fn without_host(declaration: &mut Declaration, missing: &FieldDefault) {
    strip(&mut declaration.root, missing);
    for (_, ty) in &mut declaration.definitions {
        strip(ty, missing);
    }
}

/// Makes every record a dictionary.
///
/// # Errors
/// For want of memory.
pub(crate) fn with_dictionaries(py: Python<'_>, declaration: &mut Declaration) -> PyResult<Hosts> {
    let mut hosts = Hosts::default();
    let mut give = |record: &mut Record| {
        let named = |name: &String| PyString::intern(py, name).unbind();
        let key = |field: &Field| named(field.alias.as_ref().unwrap_or(&field.name));
        record.host = u32::try_from(hosts.records.len()).ok();
        hosts.records.push(RecordHost {
            keys: record.fields.iter().map(key).collect(),
            names: record.fields.iter().map(|field| named(&field.name)).collect(),
            ..RecordHost::PLAIN
        });
    };
    each_record(&mut declaration.root, &mut give);
    for (_, ty) in &mut declaration.definitions {
        each_record(ty, &mut give);
    }
    Ok(hosts)
}

/// Leaves only what decides how a value that was validated before goes into columns: its types. Every field is found under its name.
pub(crate) fn types_alone(declaration: &mut Declaration) {
    loosen(&mut declaration.root);
    for (_, ty) in &mut declaration.definitions {
        loosen(ty);
    }
}

fn loosen(ty: &mut Type) {
    ty.hooks.clear();
    ty.strict = None;
    ty.rules = Rules::default();
    if let Kind::Record(record) = &mut ty.kind {
        record.config.strict = false;
        // They were allowed if they are there, and the columns have a place for them.
        if record.config.extra == Extra::Forbid {
            record.config.extra = Extra::Ignore;
        }
        for field in &mut record.fields {
            field.alias = None;
            if matches!(field.default, FieldDefault::Host(_)) {
                field.default = FieldDefault::Absent;
            }
        }
    }
    each_part(ty, &mut loosen);
}

fn strip(ty: &mut Type, missing: &FieldDefault) {
    ty.hooks.clear();
    match &mut ty.kind {
        Kind::Enum(names) => names.host = None,
        Kind::Record(record) => {
            record.host = None;
            if record.config.form == Form::Dataclass {
                record.config.form = Form::Model;
            }
            for field in &mut record.fields {
                if matches!(field.default, FieldDefault::Host(_)) {
                    field.default = missing.clone();
                }
            }
        }
        _ => {}
    }
    each_part(ty, &mut |part| strip(part, missing));
}

/// Calls `change` with each type that stands directly inside this one.
fn each_part(ty: &mut Type, change: &mut impl FnMut(&mut Type)) {
    match &mut ty.kind {
        Kind::List(item) | Kind::FixedList(item, _) | Kind::Set(item) | Kind::FrozenSet(item) => {
            change(item);
        }
        Kind::Tuple { items, rest } => items.iter_mut().chain(rest.as_deref_mut()).for_each(change),
        Kind::Dict(key, value) => {
            change(key);
            change(value);
        }
        Kind::Union(union) => union.members.iter_mut().for_each(change),
        Kind::Record(record) => {
            record.fields.iter_mut().for_each(|field| change(&mut field.ty));
        }
        _ => {}
    }
}

/// Leaves out what no key of the input can fill, and with `by_name` calls fields by their names and not by their aliases.
pub(crate) fn as_written(declaration: &mut Declaration, by_name: bool) {
    each_record(&mut declaration.root, &mut |record| rename(record, by_name));
    for (_, ty) in &mut declaration.definitions {
        each_record(ty, &mut |record| rename(record, by_name));
    }
}

fn rename(record: &mut Record, by_name: bool) {
    // Those with `init=False`.
    record.fields.retain(|field| !field.alias.as_ref().is_some_and(|key| key.starts_with('\0')));
    if by_name {
        record.fields.iter_mut().for_each(|field| field.alias = None);
    }
}

fn each_record(ty: &mut Type, change: &mut impl FnMut(&mut Record)) {
    if let Kind::Record(record) = &mut ty.kind {
        change(record);
    }
    each_part(ty, &mut |part| each_record(part, change));
}

fn refers_to(ty: &Type, name: &str) -> bool {
    any_within(ty, &|part| matches!(&part.kind, Kind::Ref(other) if other == name))
}

/// Whether some number may be infinite or no number because its rules say so; then JSON text may say so, too.
pub(crate) fn allows_inf_nan(declaration: &Declaration) -> bool {
    let allows = |part: &Type| part.rules.allow_inf_nan == Some(true);
    any_within(&declaration.root, &allows)
        || declaration.definitions.iter().any(|(_, ty)| any_within(ty, &allows))
}

/// Whether `is` holds for the type or one inside of it. References are not followed.
fn any_within(ty: &Type, is: &impl Fn(&Type) -> bool) -> bool {
    let any = |ty: &Type| any_within(ty, is);
    is(ty)
        || match &ty.kind {
            Kind::List(item)
            | Kind::FixedList(item, _)
            | Kind::Set(item)
            | Kind::FrozenSet(item) => any(item),
            Kind::Tuple { items, rest } => items.iter().chain(rest.as_deref()).any(any),
            Kind::Dict(key, value) => any(key) || any(value),
            Kind::Union(union) => union.members.iter().any(any),
            Kind::Record(record) => record.fields.iter().any(|field| any(&field.ty)),
            _ => false,
        }
}

#[derive(Default)]
struct Maker {
    hosts: Hosts,
    /// In order of first reference; `None` while the record is being made.
    definitions: Vec<(String, Option<Type>)>,
    /// Definition of each record description, by its address.
    seen: HashMap<usize, usize>,
}

fn get<'py>(spec: &Bound<'py, PyDict>, key: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(spec.get_item(key)?.filter(|value| !value.is_none()))
}

fn need<'py>(spec: &Bound<'py, PyDict>, key: &str) -> PyResult<Bound<'py, PyAny>> {
    spec.get_item(key)?.ok_or_else(|| PyValueError::new_err(format!("a description lacks '{key}'")))
}

fn dict<'py>(object: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    Ok(object.cast_into::<PyDict>()?)
}

fn flag(spec: &Bound<'_, PyDict>, key: &str) -> PyResult<bool> {
    get(spec, key)?.map_or(Ok(false), |value| value.extract())
}

fn text(spec: &Bound<'_, PyDict>, key: &str) -> PyResult<Option<String>> {
    get(spec, key)?.map(|value| value.extract()).transpose()
}

fn plain(spec: &Bound<'_, PyDict>, key: &str) -> PyResult<Option<Value>> {
    let Some(object) = get(spec, key)? else { return Ok(None) };
    match to_value(&object)? {
        Some(value) => Ok(Some(value)),
        None => Err(PyTypeError::new_err(format!(
            "{key} must be plain data, not {}",
            object.get_type().name()?
        ))),
    }
}

fn number(index: usize) -> PyResult<u32> {
    u32::try_from(index)
        .map_err(|_| PyValueError::new_err("a declaration with more than 2**32 parts"))
}

impl Maker {
    fn boxed(&mut self, spec: &Bound<'_, PyDict>, key: &str) -> PyResult<Box<Type>> {
        Ok(Box::new(self.ty(&dict(need(spec, key)?)?)?))
    }

    fn types(&mut self, spec: &Bound<'_, PyDict>, key: &str) -> PyResult<Vec<Type>> {
        need(spec, key)?.try_iter()?.map(|item| self.ty(&dict(item?)?)).collect()
    }

    fn ty(&mut self, spec: &Bound<'_, PyDict>) -> PyResult<Type> {
        let kind = self.kind(spec)?;
        let mut ty = Type::new(kind);
        ty.nullable = flag(spec, "nullable")?;
        ty.strict = get(spec, "strict")?.map(|value| value.extract()).transpose()?;
        if let Some(rules) = get(spec, "rules")? {
            ty.rules = rules_of(&dict(rules)?)?;
        }
        if let Some(hooks) = get(spec, "hooks")? {
            for hook in hooks.try_iter()? {
                ty.hooks.push(self.hook(hook?.cast::<PyTuple>()?)?);
            }
        }
        Ok(ty)
    }

    fn hook(&mut self, hook: &Bound<'_, PyTuple>) -> PyResult<u32> {
        let (mode, function, info, field): (String, Py<PyAny>, bool, Option<Py<PyString>>) =
            hook.extract()?;
        let mode = match mode.as_str() {
            "before" => Mode::Before,
            "after" => Mode::After,
            "plain" => Mode::Plain,
            "wrap" => Mode::Wrap,
            "instance" => Mode::Instance,
            "init" => Mode::Init,
            "model" => Mode::Model,
            "post_init" => Mode::PostInit,
            "construct" => Mode::Construct,
            "pattern" => Mode::Pattern,
            "exact" => Mode::Exact,
            "lax" => Mode::Lax,
            _ => return Err(PyValueError::new_err(format!("unknown mode of a validator: {mode}"))),
        };
        self.hosts.wants_data |= info;
        self.hosts.hooks.push(Hook { mode, function, info, field });
        number(self.hosts.hooks.len() - 1)
    }

    fn kind(&mut self, spec: &Bound<'_, PyDict>) -> PyResult<Kind> {
        let kind: String = need(spec, "kind")?.extract()?;
        Ok(match kind.as_str() {
            "any" => Kind::Any,
            "null" => Kind::Null,
            "bool" => Kind::Bool,
            "int" => Kind::Int(int_width(text(spec, "width")?.as_deref())?),
            "float" => Kind::Float(match text(spec, "width")?.as_deref() {
                Some("f32") => FloatWidth::F32,
                _ => FloatWidth::F64,
            }),
            "str" => Kind::Str,
            "bytes" => Kind::Bytes,
            "decimal" => Kind::Decimal,
            "datetime" => Kind::DateTime {
                unit: TimeUnit::Micro,
                aware: get(spec, "aware")?.map(|value| value.extract()).transpose()?,
            },
            "date" => Kind::Date,
            "time" => Kind::Time,
            "duration" => Kind::Duration,
            "uuid" => Kind::Uuid,
            "enum" => Kind::Enum(self.enumeration(spec)?),
            "literal" => {
                let mut values = Vec::new();
                for value in need(spec, "values")?.try_iter()? {
                    let value = value?;
                    values.push(to_value(&value)?.ok_or_else(|| {
                        PyTypeError::new_err(format!("a literal must be plain data, not {value:?}"))
                    })?);
                }
                Kind::Literal(values)
            }
            "list" => Kind::List(self.boxed(spec, "item")?),
            "fixed_list" => {
                Kind::FixedList(self.boxed(spec, "item")?, need(spec, "length")?.extract()?)
            }
            "set" => Kind::Set(self.boxed(spec, "item")?),
            "frozenset" => Kind::FrozenSet(self.boxed(spec, "item")?),
            "tuple" => Kind::Tuple {
                items: self.types(spec, "items")?,
                rest: match get(spec, "rest")? {
                    Some(rest) => Some(Box::new(self.ty(&dict(rest)?)?)),
                    None => None,
                },
            },
            "dict" => Kind::Dict(self.boxed(spec, "key")?, self.boxed(spec, "value")?),
            "union" => Kind::Union(Union {
                members: self.types(spec, "members")?,
                mode: match (text(spec, "tag")?, flag(spec, "left_to_right")?) {
                    (Some(tag), _) => UnionMode::Tagged(tag),
                    (None, true) => UnionMode::LeftToRight,
                    (None, false) => UnionMode::Smart,
                },
            }),
            "ref" => Kind::Ref(self.reference(&dict(need(spec, "spec")?)?)?),
            _ => return Err(PyValueError::new_err(format!("unknown kind: {kind}"))),
        })
    }

    fn enumeration(&mut self, spec: &Bound<'_, PyDict>) -> PyResult<EnumType> {
        let class = need(spec, "cls")?;
        let mut host = EnumHost { class: class.clone().unbind(), members: Vec::new() };
        let mut members = Vec::new();
        for member in need(spec, "members")?.try_iter()? {
            let member = member?;
            let value = member.getattr("value")?;
            let value = to_value(&value)?.ok_or_else(|| {
                PyTypeError::new_err(format!("the value of {member:?} must be plain data"))
            })?;
            members.push(EnumMember { name: member.getattr("name")?.extract()?, value });
            host.members.push(member.unbind());
        }
        self.hosts.enums.push(host);
        let host = Some(number(self.hosts.enums.len() - 1)?);
        let of_ints = class.cast::<PyType>()?.is_subclass_of::<PyInt>()?;
        Ok(EnumType { name: class.getattr("__name__")?.extract()?, members, of_ints, host })
    }

    /// The name of the definition for a record, or for a type that has a name.
    fn reference(&mut self, spec: &Bound<'_, PyDict>) -> PyResult<String> {
        let address = spec.as_ptr() as usize;
        if let Some(index) = self.seen.get(&address) {
            return Ok(self.definitions[*index].0.clone());
        }
        let name = self.free_name(spec)?;
        let index = self.definitions.len();
        self.seen.insert(address, index);
        self.definitions.push((name.clone(), None));
        // A type with a name of its own, or a record.
        let ty = match get(spec, "type")? {
            Some(ty) => self.ty(&dict(ty)?)?,
            None => self.record_type(spec)?,
        };
        self.definitions[index].1 = Some(ty);
        Ok(name)
    }

    fn free_name(&self, spec: &Bound<'_, PyDict>) -> PyResult<String> {
        let name: String = need(spec, "name")?.extract()?;
        let taken = |name: &str| self.definitions.iter().any(|(known, _)| known == name);
        if !taken(&name) {
            return Ok(name);
        }
        let longer = match text(spec, "module")? {
            Some(module) => format!("{}__{name}", module.replace('.', "__")),
            None => name,
        };
        if !taken(&longer) {
            return Ok(longer);
        }
        Ok((2..)
            .map(|count| format!("{longer}_{count}"))
            .find(|name| !taken(name))
            .unwrap_or(longer))
    }

    fn record_type(&mut self, spec: &Bound<'_, PyDict>) -> PyResult<Type> {
        let name: String = need(spec, "name")?.extract()?;
        let class = get(spec, "cls")?.map(|class| class.cast_into::<PyType>()).transpose()?;
        let kind = match text(spec, "how")?.as_deref() {
            Some("model") if class.as_ref().is_some_and(layout::is_abstract) => {
                RecordKind::Abstract
            }
            Some("model") => RecordKind::Model,
            _ => RecordKind::Dict,
        };
        let mut record = Record::new(name.clone());
        if let Some(config) = get(spec, "config")? {
            record.config = config_of(&dict(config)?)?;
        }
        record.config.as_map = matches!(kind, RecordKind::Dict);
        record.config.form = match text(spec, "form")?.as_deref() {
            Some("dataclass") => Form::Dataclass,
            Some("named tuple") => Form::NamedTuple,
            _ => Form::Model,
        };
        if let Some(docs) = get(spec, "docs")? {
            record.docs = docs_of(&dict(docs)?)?;
        }
        let mut host = RecordHost {
            kind,
            class: class.as_ref().map(|class| class.clone().unbind()),
            keys: Vec::new(),
            names: Vec::new(),
            shared: Vec::new(),
            privates: Vec::new(),
        };
        for field in need(spec, "fields")?.try_iter()? {
            let field = self
                .field(&dict(field?)?, &mut host)
                .map_err(|error| in_record(spec.py(), error, &name))?;
            record.fields.push(field);
        }
        if let (Some(privates), Some(class)) = (get(spec, "privates")?, &class) {
            for private in privates.cast::<PyList>()?.iter() {
                let (name, default): (Bound<'_, PyString>, Bound<'_, PyTuple>) =
                    private.extract()?;
                let Some(offset) = layout::slot_offset(class, &name)? else { continue };
                if let FieldDefault::Host(number) = self.default_of(&default, true)?.0 {
                    host.privates.push((offset, number as usize));
                }
            }
        }
        self.hosts.records.push(host);
        record.host = Some(number(self.hosts.records.len() - 1)?);
        let mut ty = Type::from(record);
        if let Some(hooks) = get(spec, "hooks")? {
            for hook in hooks.try_iter()? {
                ty.hooks.push(self.hook(hook?.cast::<PyTuple>()?)?);
            }
        }
        Ok(ty)
    }

    fn field(&mut self, spec: &Bound<'_, PyDict>, host: &mut RecordHost) -> PyResult<Field> {
        let py = spec.py();
        let name: String = need(spec, "name")?.extract()?;
        let ty =
            self.ty(&dict(need(spec, "type")?)?).map_err(|error| in_record(py, error, &name))?;
        let mut field = Field::new(name, ty);
        field.alias = text(spec, "alias")?;
        let shared;
        (field.default, shared) =
            self.default_of(need(spec, "default")?.cast::<PyTuple>()?, false)?;
        if let Some(docs) = get(spec, "docs")? {
            field.docs = docs_of(&dict(docs)?)?;
        }
        let key = field.alias.as_deref().unwrap_or(&field.name);
        // A key of no input is an object that nobody else has.
        let closed = key.starts_with('\0');
        let key = if closed { PyString::new(py, key) } else { PyString::intern(py, key) };
        host.keys.push(key.unbind());
        host.names.push(PyString::intern(py, &field.name).unbind());
        host.shared.push(shared);
        Ok(field)
    }

    /// A default, and the object itself if all instances can share it.
    fn default_of(
        &mut self,
        spec: &Bound<'_, PyTuple>,
        always_host: bool,
    ) -> PyResult<(FieldDefault, Option<Py<PyAny>>)> {
        let kind: String = spec.get_item(0)?.extract()?;
        let object = || spec.get_item(1);
        let default = match kind.as_str() {
            "required" => return Ok((FieldDefault::Required, None)),
            "absent" => return Ok((FieldDefault::Absent, None)),
            "value" => {
                let object = object()?;
                let shareable = is_shareable(&object)?;
                if !always_host && let Some(value) = to_value(&object)? {
                    return Ok((FieldDefault::Value(value), shareable.then(|| object.unbind())));
                }
                if shareable {
                    Default_::Shared(object.unbind())
                } else {
                    Default_::Copied(object.unbind())
                }
            }
            "shared" => Default_::Shared(object()?.unbind()),
            "factory" => Default_::Factory(object()?.unbind(), spec.get_item(2)?.extract()?),
            _ => return Err(PyValueError::new_err(format!("unknown default: {kind}"))),
        };
        self.hosts.wants_data |= matches!(default, Default_::Factory(_, true));
        self.hosts.defaults.push(default);
        Ok((FieldDefault::Host(number(self.hosts.defaults.len() - 1)?), None))
    }
}

fn in_record(py: Python<'_>, error: PyErr, name: &str) -> PyErr {
    let kind = error.get_type(py);
    if error.is_instance_of::<PyTypeError>(py) || error.is_instance_of::<PyValueError>(py) {
        return PyErr::from_type(kind, format!("{name}.{}", error.value(py)));
    }
    error
}

fn int_width(width: Option<&str>) -> PyResult<IntWidth> {
    Ok(match width {
        None => IntWidth::Any,
        Some("i8") => IntWidth::I8,
        Some("i16") => IntWidth::I16,
        Some("i32") => IntWidth::I32,
        Some("i64") => IntWidth::I64,
        Some("u8") => IntWidth::U8,
        Some("u16") => IntWidth::U16,
        Some("u32") => IntWidth::U32,
        Some("u64") => IntWidth::U64,
        Some(other) => return Err(PyValueError::new_err(format!("unknown width: {other}"))),
    })
}

fn rules_of(spec: &Bound<'_, PyDict>) -> PyResult<Rules> {
    let size = |key: &str| get(spec, key)?.map(|value| arrays::count(&value, key, 0)).transpose();
    let digits = |key: &str| -> PyResult<Option<u32>> {
        Ok(size(key)?.map(|digits| u32::try_from(digits).unwrap_or(u32::MAX)))
    };
    Ok(Rules {
        gt: plain(spec, "gt")?,
        ge: plain(spec, "ge")?,
        lt: plain(spec, "lt")?,
        le: plain(spec, "le")?,
        multiple_of: plain(spec, "multiple_of")?,
        min_length: size("min_length")?,
        max_length: size("max_length")?,
        pattern: text(spec, "pattern")?,
        format: match text(spec, "format")?.as_deref() {
            None => None,
            Some("email") => Some(Format::Email),
            Some("url") => Some(Format::Url),
            Some("uuid") => Some(Format::Uuid),
            Some(other) => return Err(PyValueError::new_err(format!("unknown format: {other}"))),
        },
        unique_items: flag(spec, "unique_items")?,
        strip_whitespace: flag(spec, "strip_whitespace")?,
        to_lower: flag(spec, "to_lower")?,
        to_upper: flag(spec, "to_upper")?,
        max_digits: digits("max_digits")?,
        decimal_places: digits("decimal_places")?,
        allow_inf_nan: get(spec, "allow_inf_nan")?.map(|value| value.extract()).transpose()?,
        ..Rules::default()
    })
}

fn config_of(spec: &Bound<'_, PyDict>) -> PyResult<Config> {
    Ok(Config {
        strict: flag(spec, "strict")?,
        extra: match text(spec, "extra")?.as_deref() {
            None | Some("ignore") => Extra::Ignore,
            Some("allow") => Extra::Allow,
            Some("forbid") => Extra::Forbid,
            Some(other) => {
                return Err(PyValueError::new_err(format!(
                    "extra must be 'ignore', 'allow' or 'forbid', not '{other}'"
                )));
            }
        },
        populate_by_name: flag(spec, "populate_by_name")?,
        from_attributes: flag(spec, "from_attributes")?,
        ..Config::default()
    })
}

fn docs_of(spec: &Bound<'_, PyDict>) -> PyResult<Docs> {
    let mut docs = Docs {
        title: text(spec, "title")?,
        description: text(spec, "description")?,
        deprecated_since: text(spec, "deprecated_since")?,
        removed_in: text(spec, "removed_in")?,
        ..Docs::default()
    };
    if let Some(examples) = get(spec, "examples")? {
        for example in examples.try_iter()? {
            docs.examples.extend(to_value(&example?)?);
        }
    }
    if let Some(Value::Map(keywords)) = plain(spec, "keywords")? {
        docs.keywords = keywords
            .into_iter()
            .filter_map(|(key, value)| match key {
                Value::Str(key) => Some((key, value)),
                _ => None,
            })
            .collect();
    }
    Ok(docs)
}
