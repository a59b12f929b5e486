//! The types of Python values, for stores without a declaration and for keys that a declaration does not have.

use ottava_core::schema::{Declaration, Field, Kind, Record, TimeUnit, Type};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDate, PyDateTime, PyDelta, PyDict, PyFloat, PyFrozenSet, PyInt,
    PyList, PySet, PyString, PyTime, PyTuple, PyTzInfoAccess,
};

/// The declaration of rows, every field nullable except the id.
///
/// Dictionaries give their keys, in order of first appearance; other rows what `__struct_fields__` or `__slots__` name, or else their
/// attributes. A field of which every value is null is left out.
pub(super) fn declaration(rows: &Bound<'_, PyList>, id: &str) -> PyResult<Declaration> {
    let mut fields: Vec<(String, Type)> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        for (name, value) in entries(&row)? {
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

/// The type of one undeclared key in all rows that have it.
pub(super) fn extra(rows: &Bound<'_, PyList>, name: &str) -> PyResult<Type> {
    let mut ty = Type::new(Kind::Null).nullable();
    for (at, row) in rows.iter().enumerate() {
        if let Ok(dict) = row.cast::<PyDict>()
            && let Some(value) = dict.get_item(name)?
        {
            let found = value_type(&value)?;
            let joined = join(ty.clone(), found.clone());
            ty = joined.ok_or_else(|| disagreement(row.py(), at, name, &ty, &found))?;
        }
    }
    Ok(ty.nullable())
}

fn disagreement(py: Python<'_>, row: usize, name: &str, before: &Type, found: &Type) -> PyErr {
    let word = |ty: &Type| {
        format!("{:?}", ty.kind).split(['(', ' ']).next().unwrap_or_default().to_lowercase()
    };
    let text = format!(
        "row {row}, column {name}: expected {} as in the rows before, found {}",
        word(before),
        word(found)
    );
    crate::error::INGEST.new_err(py, (text, Some(row), Some(name.to_owned()), None::<String>))
}

fn entries<'py>(row: &Bound<'py, PyAny>) -> PyResult<Vec<(String, Bound<'py, PyAny>)>> {
    let py = row.py();
    if let Ok(dict) = row.cast::<PyDict>() {
        let entry =
            |(key, value): (Bound<'py, PyAny>, Bound<'py, PyAny>)| Ok((key.extract()?, value));
        return dict.iter().map(entry).collect();
    }
    let names: Vec<String> = if let Ok(names) = row.getattr(intern!(py, "__struct_fields__")) {
        names.extract()?
    } else if let Ok(fields) = row.getattr(intern!(py, "model_fields")) {
        fields
            .call_method0("keys")
            .and_then(|k| k.try_iter()?.map(|k| k?.extract()).collect())
            .or_else(|_| fields.extract())?
    } else if let Ok(fields) = row.getattr(intern!(py, "__dataclass_fields__")) {
        fields.try_iter()?.map(|k| k?.extract()).collect::<PyResult<_>>()?
    } else if let Ok(attributes) = row.getattr(intern!(py, "__dict__")) {
        attributes.try_iter()?.map(|k| k?.extract()).collect::<PyResult<_>>()?
    } else {
        return Err(super::raise::bad_value(
            py,
            0,
            "",
            "a row: a dict, a Struct, a Model or an object with attributes",
            row,
        ));
    };
    names.into_iter().map(|name| Ok((name.clone(), row.getattr(&*name)?))).collect()
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
        Type::int()
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
    {
        let mut record = Record::new("record");
        for (name, value) in entries(value)? {
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
