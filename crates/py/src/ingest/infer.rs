//! The types of Python values, for stores without a declaration and for keys that a declaration does not have.

use ottava_core::arrow::contains_itself;
use ottava_core::schema::{Declaration, Field, IntWidth, Kind, Record, TimeUnit, Type};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDate, PyDateTime, PyDelta, PyDict, PyFloat, PyFrozenSet, PyInt,
    PyList, PySet, PyString, PyTime, PyTuple, PyTzInfoAccess,
};

use super::rows::{get, names, unset};

/// The declaration of rows, every field nullable except the id.
///
/// Dictionaries give their keys, in order of first appearance; other rows what `__struct_fields__` or `__slots__` name, or else their
/// attributes. A field of which every value is null is left out.
pub(super) fn declaration(rows: &Bound<'_, PyList>, id: &str) -> PyResult<Declaration> {
    let mut fields: Vec<(String, Type)> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        for (name, value) in entries(&row, at)? {
            if value.get_type().name()? == "UnsetType" {
                continue;
            }
            let found = value_type(&value)?;
            match fields.iter_mut().find(|(known, _)| *known == name) {
                Some((_, ty)) => {
                    let joined = join(ty.clone(), found.clone());
                    *ty = joined.ok_or_else(|| disagreement(row.py(), at, &name, ty, &found))?;
                }
                None => fields.push((name, found)),
            }
        }
    }
    let mut record = Record::new("record");
    for (name, ty) in fields {
        if matches!(ty.kind, Kind::Null) {
            continue;
        }
        record = record.field(if name == id {
            Field::new(name, Type { nullable: false, ..ty })
        } else {
            Field::new(name, ty.nullable()).default_null()
        });
    }
    Ok(record.into())
}

/// The type of one undeclared key in all rows that have it; `None` if none has.
pub(super) fn extra(rows: &Bound<'_, PyList>, name: &str) -> PyResult<Option<Type>> {
    let py = rows.py();
    let key = PyString::intern(py, name);
    let unset = unset(py);
    let mut ty: Option<Type> = None;
    for (at, row) in rows.iter().enumerate() {
        if let Some(value) = get(&row, &key)?
            && !unset.as_ref().is_some_and(|unset| unset.is(&value))
        {
            let found = value_type(&value)?;
            let before = ty.take().unwrap_or_else(|| found.clone());
            let joined = join(before.clone(), found.clone());
            ty = Some(joined.ok_or_else(|| disagreement(py, at, name, &before, &found))?);
        }
    }
    Ok(ty.map(Type::nullable))
}

/// A declaration whose records inside have what rows have in them beyond their declared fields, all of it nullable.
pub(super) fn extended(
    declaration: &Declaration,
    rows: &Bound<'_, PyList>,
) -> PyResult<Declaration> {
    let mut out = declaration.clone();
    let Some(record) = declaration.record() else { return Ok(out) };
    let mut record = record.clone();
    for field in &mut record.fields {
        let values = parts(rows.iter(), field)?;
        field.ty = extended_type(declaration, &field.ty, values)
            .map_err(|err| err.raise(rows.py(), &field.name))?;
    }
    out.root = record.into();
    Ok(out)
}

/// Whether a row brings the field of a path, as locks write it: under its name or its alias, null or not.
pub(super) fn brings(
    declaration: &Declaration,
    rows: &Bound<'_, PyList>,
    path: &str,
) -> PyResult<bool> {
    below(declaration, &declaration.root, rows.iter().collect(), &format!(".{path}"))
}

fn below(
    declaration: &Declaration,
    ty: &Type,
    values: Vec<Bound<'_, PyAny>>,
    path: &str,
) -> PyResult<bool> {
    let kind = match &ty.kind {
        Kind::Ref(name) => match declaration.definition(name) {
            Some(definition) => return below(declaration, definition, values, path),
            None => return Ok(false),
        },
        kind => kind,
    };
    if let (Some(rest), Kind::Record(record)) = (path.strip_prefix('.'), kind) {
        // A name may have a dot in it: the longest that is a field counts.
        let ends = |f: &&Field| {
            rest.strip_prefix(&*f.name)
                .is_some_and(|r| r.is_empty() || r.starts_with(['.', '[', '{']))
        };
        let field = record.fields.iter().filter(ends).max_by_key(|f| f.name.len());
        let Some(field) = field else { return Ok(false) };
        let rest = &rest[field.name.len()..];
        if !rest.is_empty() {
            return below(declaration, &field.ty, parts(values.into_iter(), field)?, rest);
        }
        for value in values {
            let py = value.py();
            // An instance of a model has all of its fields; those that were given are told apart.
            if let Ok(given) = value.getattr(intern!(py, "model_fields_set")) {
                if given.contains(&field.name)? {
                    return Ok(true);
                }
                continue;
            }
            for name in [Some(&field.name), field.alias.as_ref()].into_iter().flatten() {
                let found = get(&value, &PyString::new(py, name))?;
                if found.is_some_and(|found| !unset(py).is_some_and(|unset| unset.is(&found))) {
                    return Ok(true);
                }
            }
        }
        return Ok(false);
    }
    let (Kind::List(inner)
    | Kind::Set(inner)
    | Kind::FrozenSet(inner)
    | Kind::FixedList(inner, _)
    | Kind::Dict(_, inner)) = kind
    else {
        return Ok(false);
    };
    let mut items = Vec::new();
    for value in &values {
        match value.cast::<PyDict>() {
            Ok(map) => items.extend(map.values()),
            Err(_) => {
                for item in value.try_iter().into_iter().flatten() {
                    items.push(item?);
                }
            }
        }
    }
    items.retain(|item| !item.is_none());
    below(declaration, inner, items, path.get(2..).unwrap_or_default())
}

/// Two values of one undeclared field that no column has both of, or what Python raised.
enum Failed {
    Types(Box<(String, Type, Type)>),
    Python(PyErr),
}

impl From<PyErr> for Failed {
    fn from(err: PyErr) -> Self {
        Self::Python(err)
    }
}

impl Failed {
    fn within(self, step: &str) -> Self {
        match self {
            Self::Types(mut types) => {
                types.0.insert_str(0, step);
                Self::Types(types)
            }
            python => python,
        }
    }

    fn raise(self, py: Python<'_>, column: &str) -> PyErr {
        match self {
            Self::Python(err) => err,
            Self::Types(types) => {
                let (path, a, b) = *types;
                let path = format!("{column}{path}");
                let text = format!("column {path}: expected {}, found {}", word(&a), word(&b));
                crate::error::INGEST.new_err(py, (text, None::<usize>, Some(path), None::<String>))
            }
        }
    }
}

/// What rows have under the name or the alias of a field.
fn parts<'py>(
    rows: impl Iterator<Item = Bound<'py, PyAny>>,
    field: &Field,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let mut values = Vec::new();
    for row in rows {
        let py = row.py();
        let found = match (get(&row, &PyString::intern(py, &field.name))?, &field.alias) {
            (None, Some(alias)) => get(&row, &PyString::intern(py, alias))?,
            (found, _) => found,
        };
        values.extend(found.filter(|value| !value.is_none()));
    }
    Ok(values)
}

fn extended_type(
    declaration: &Declaration,
    ty: &Type,
    values: Vec<Bound<'_, PyAny>>,
) -> Result<Type, Failed> {
    let mut out = ty.clone();
    match &mut out.kind {
        Kind::Ref(name) if !contains_itself(declaration, name) => {
            if let Some(definition) = declaration.definition(name) {
                let mut made = extended_type(declaration, definition, values)?;
                made.nullable |= ty.nullable;
                return Ok(made);
            }
        }
        Kind::List(item) | Kind::Set(item) | Kind::FrozenSet(item) | Kind::FixedList(item, _) => {
            let mut items = Vec::new();
            for value in &values {
                // What is no list is refused where it is read.
                for item in value.try_iter().into_iter().flatten() {
                    items.extend(Some(item?).filter(|item| !item.is_none()));
                }
            }
            **item = extended_type(declaration, item, items).map_err(|err| err.within("[]"))?;
        }
        Kind::Dict(_, value) => {
            let mut items = Vec::new();
            for map in &values {
                if let Ok(map) = map.cast::<PyDict>() {
                    items.extend(map.values().iter().filter(|item| !item.is_none()));
                }
            }
            **value = extended_type(declaration, value, items).map_err(|err| err.within("{}"))?;
        }
        Kind::Record(record) => {
            let declared = record.fields.len();
            for field in &mut record.fields {
                let step = format!(".{}", field.name);
                let inner = parts(values.iter().cloned(), field)?;
                field.ty = extended_type(declaration, &field.ty, inner)
                    .map_err(|err| err.within(&step))?;
            }
            for value in &values {
                for name in names(value)? {
                    let known = |f: &Field| f.name == name || f.alias.as_ref() == Some(&name);
                    if record.fields[..declared].iter().any(known) {
                        continue;
                    }
                    let key = PyString::new(value.py(), &name);
                    let Some(found) = get(value, &key)? else { continue };
                    if unset(value.py()).is_some_and(|unset| unset.is(&found)) {
                        continue;
                    }
                    let found = value_type(&found)?.nullable();
                    match record.fields.iter_mut().find(|f| f.name == name) {
                        Some(field) => {
                            let joined = join(field.ty.clone(), found.clone());
                            field.ty = joined.ok_or_else(|| {
                                Failed::Types(Box::new((
                                    format!(".{name}"),
                                    field.ty.clone(),
                                    found,
                                )))
                            })?;
                        }
                        None => record.fields.push(Field::new(name, found).default_null()),
                    }
                }
            }
        }
        _ => {}
    }
    Ok(out)
}

fn disagreement(py: Python<'_>, row: usize, name: &str, before: &Type, found: &Type) -> PyErr {
    let text = format!(
        "row {row}, column {name}: expected {} as in the rows before, found {}",
        word(before),
        word(found),
    );
    crate::error::INGEST.new_err(py, (text, Some(row), Some(name.to_owned()), None::<String>))
}

/// A type in words, as far as two of them differ.
fn word(ty: &Type) -> String {
    match &ty.kind {
        Kind::List(item) => format!("list of {}", word(item)),
        Kind::Record(record) => {
            let field = |f: &Field| format!("{}: {}", f.name, word(&f.ty));
            let fields: Vec<_> = record.fields.iter().map(field).collect();
            format!("record of {}", fields.join(", "))
        }
        Kind::DateTime { aware: Some(true), .. } => "aware datetime".to_owned(),
        Kind::DateTime { .. } => "naive datetime".to_owned(),
        kind => {
            let text = format!("{kind:?}");
            text.split(['(', ' ']).next().unwrap_or_default().to_lowercase()
        }
    }
}

fn entries<'py>(row: &Bound<'py, PyAny>, at: usize) -> PyResult<Vec<(String, Bound<'py, PyAny>)>> {
    let py = row.py();
    let names = names(row)?;
    if names.is_empty() && !row.is_instance_of::<PyDict>() {
        return Err(super::raise::bad_value(
            py,
            at,
            "",
            "a row: a dict, a Struct, a Model or an object with attributes",
            row,
        ));
    }
    let mut entries = Vec::with_capacity(names.len());
    for name in names {
        if let Some(value) = get(row, &PyString::new(py, &name))? {
            entries.push((name, value));
        }
    }
    Ok(entries)
}

fn value_type(value: &Bound<'_, PyAny>) -> PyResult<Type> {
    let items = |value: &Bound<'_, PyAny>| {
        let mut ty = Type::new(Kind::Null).nullable();
        for item in value.try_iter()? {
            ty = join(ty, value_type(&item?)?).unwrap_or_else(Type::any);
        }
        Ok::<_, PyErr>(ty)
    };
    Ok(if value.is_none() {
        Type::new(Kind::Null).nullable()
    } else if value.is_instance_of::<PyBool>() {
        Type::bool()
    } else if value.is_instance_of::<PyInt>() {
        match value.extract::<i64>().is_err() && value.extract::<u64>().is_ok() {
            true => Type::new(Kind::Int(IntWidth::U64)),
            false => Type::int(),
        }
    } else if value.is_instance_of::<PyFloat>() {
        Type::float()
    } else if value.is_instance_of::<PyString>() {
        Type::str()
    } else if value.is_instance_of::<PyBytes>() || value.is_instance_of::<PyByteArray>() {
        Type::bytes()
    } else if let Ok(moment) = value.cast::<PyDateTime>() {
        let aware = Some(moment.get_tzinfo().is_some());
        Type::new(Kind::DateTime { unit: TimeUnit::Micro, aware })
    } else if value.is_instance_of::<PyDate>() {
        Type::date()
    } else if value.is_instance_of::<PyTime>() {
        Type::time()
    } else if value.is_instance_of::<PyDelta>() {
        Type::duration()
    } else if value.is_instance_of::<PyList>()
        || value.is_instance_of::<PyTuple>()
        || value.is_instance_of::<PySet>()
        || value.is_instance_of::<PyFrozenSet>()
    {
        Type::list(items(value)?.nullable())
    } else if value.is_instance_of::<PyDict>()
        || value.hasattr(intern!(value.py(), "__struct_fields__"))?
        || value.hasattr(intern!(value.py(), "model_fields"))?
        || value.hasattr(intern!(value.py(), "__dataclass_fields__"))?
    {
        let mut record = Record::new("record");
        for (name, value) in entries(value, 0)? {
            record = record.field(Field::new(name, value_type(&value)?.nullable()).default_null());
        }
        Type::from(record)
    } else if value.hasattr(intern!(value.py(), "__array__"))?
        && value.hasattr(intern!(value.py(), "tolist"))?
    {
        value_type(&value.call_method0(intern!(value.py(), "tolist"))?)?
    } else {
        match value.get_type().name()?.to_str()? {
            "UUID" => Type::uuid(),
            "Decimal" => Type::decimal(),
            _ => match value.getattr(intern!(value.py(), "value")) {
                Ok(inner) if inner.is_instance_of::<PyString>() => Type::str(),
                _ => Type::any(),
            },
        }
    })
}

/// The type that has the values of both; `None` if there is none but JSON.
fn join(a: Type, b: Type) -> Option<Type> {
    let nullable = a.nullable || b.nullable;
    let kind = match (a.kind, b.kind) {
        (Kind::Null, other) | (other, Kind::Null) => other,
        (Kind::Int(_), Kind::Float(width)) | (Kind::Float(width), Kind::Int(_)) => {
            Kind::Float(width)
        }
        (Kind::Int(a), Kind::Int(b)) => {
            let unsigned = a == IntWidth::U64 || b == IntWidth::U64;
            Kind::Int(if unsigned { IntWidth::U64 } else { a })
        }
        (Kind::List(a), Kind::List(b)) => Kind::List(Box::new(join(*a, *b)?)),
        (Kind::Record(mut a), Kind::Record(b)) => {
            for field in b.fields {
                match a.fields.iter_mut().find(|known| known.name == field.name) {
                    Some(known) => known.ty = join(known.ty.clone(), field.ty)?,
                    None => a.fields.push(field),
                }
            }
            Kind::Record(a)
        }
        (a, b) if a == b => a,
        _ => return None,
    };
    Some(Type { nullable, ..Type::new(kind) })
}
