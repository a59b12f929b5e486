//! Python objects into growing columns.

use ottava_core::store::{Builder, narrow};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDate, PyDateTime, PyDelta, PyDict, PyFloat, PyFrozenSet, PyInt,
    PyList, PyMapping, PySet, PyString, PyTime, PyTuple, PyTzInfoAccess,
};

use super::access::Access;
use super::bad::Bad;
use super::calendar::{self, Zones};
use super::missing;

type Done<'py> = Result<(), Box<Bad<'py>>>;

/// How the records inside a column are asked for their fields; follows the shape of the column.
pub(super) struct Parts<'py> {
    access: Option<Access<'py>>,
    parts: Vec<Parts<'py>>,
}

impl<'py> Parts<'py> {
    pub(super) fn of(py: Python<'py>, column: &Builder) -> Self {
        let part = |column: &Builder| Self::of(py, column);
        match column {
            Builder::List(lists) => Self { access: None, parts: vec![part(&lists.items)] },
            Builder::Map(maps) => {
                Self { access: None, parts: vec![part(&maps.keys), part(&maps.values)] }
            }
            Builder::Record(records) => Self {
                access: (!records.positional)
                    .then(|| Access::new(py, records.fields.iter().map(|(field, _)| field))),
                parts: records.fields.iter().map(|(_, column)| part(column)).collect(),
            },
            _ => Self { access: None, parts: Vec::new() },
        }
    }

    /// Whether a record somewhere inside had a key or an attribute that is not declared.
    pub(super) fn met_undeclared(&self) -> bool {
        self.access.as_ref().is_some_and(Access::met_undeclared)
            || self.parts.iter().any(Self::met_undeclared)
    }
}

/// Converts values, and remembers what would be looked up again and again.
pub(super) struct Values<'py> {
    py: Python<'py>,
    zones: Zones<'py>,
    decimal: Bound<'py, PyAny>,
}

impl<'py> Values<'py> {
    pub(super) fn new(py: Python<'py>) -> PyResult<Self> {
        let decimal = py.import("decimal")?.getattr("Decimal")?;
        Ok(Self { py, zones: Zones::default(), decimal })
    }

    /// Appends a value to a column.
    #[inline]
    pub(super) fn push(
        &mut self,
        parts: &mut Parts<'py>,
        column: &mut Builder,
        value: &Bound<'py, PyAny>,
    ) -> Done<'py> {
        if value.is_none() {
            column.append_null();
            return Ok(());
        }
        match column {
            Builder::Int(b) => match integer(value) {
                Some(int) => b.append_value(
                    int.extract().map_err(|_| Bad::value("an integer of 64 bits", value))?,
                ),
                None => return Err(Bad::value("int", value)),
            },
            Builder::Float(b) => b.append_value(float(value)?),
            Builder::Float32(b) => b.append_value(
                narrow(float(value)?).ok_or_else(|| Bad::value("a float of 32 bits", value))?,
            ),
            Builder::Text(b) => match value.cast::<PyString>() {
                Ok(text) => match text.to_str() {
                    Ok(text) => b.append_value(text),
                    Err(_) => return Err(Bad::value("text without lone surrogates", value)),
                },
                Err(_) => b.append_value(member(value)?),
            },
            Builder::Bool(b) => match value.cast::<PyBool>() {
                Ok(flag) => b.append_value(flag.is_true()),
                Err(_) => return Err(Bad::value("bool", value)),
            },
            Builder::Instant(b, aware) => {
                let bad = |expected: &str| Bad::value(expected, value);
                let parsed;
                let moment = match value.cast::<PyDateTime>() {
                    Ok(moment) => moment,
                    Err(_) => {
                        parsed = calendar::parsed(value, "datetime")?;
                        let moment = parsed.as_ref().and_then(|m| m.cast::<PyDateTime>().ok());
                        moment.ok_or_else(|| bad("datetime"))?
                    }
                };
                let (micros, zoned) = self.zones.micros(moment)?;
                if aware.is_some_and(|aware| aware != zoned) {
                    let expected = if zoned { "a naive datetime" } else { "an aware datetime" };
                    return Err(bad(expected));
                }
                if !b.append(micros.into()) {
                    return Err(bad("a datetime of 64 bits in the unit of the column"));
                }
            }
            _ => return self.push_other(parts, column, value),
        }
        Ok(())
    }

    fn push_other(
        &mut self,
        parts: &mut Parts<'py>,
        column: &mut Builder,
        value: &Bound<'py, PyAny>,
    ) -> Done<'py> {
        let py = self.py;
        let bad = |expected: &str| Bad::value(expected, value);
        match column {
            Builder::Unsigned(b) => match integer(value) {
                Some(int) => {
                    b.append_value(
                        int.extract().map_err(|_| bad("an integer from 0 to 2^64 - 1"))?,
                    );
                }
                None => return Err(bad("int")),
            },
            Builder::Decimal(b) => {
                let text = if value.is_instance(&self.decimal)? {
                    value.call_method1(intern!(py, "__format__"), ("f",))?.str()?
                } else if value.is_instance_of::<PyString>()
                    || value.is_instance_of::<PyFloat>()
                    || integer(value).is_some()
                {
                    value.str()?
                } else {
                    return Err(bad("Decimal"));
                };
                if !b.append(&text.to_string_lossy()) {
                    return Err(bad(&b.expected()));
                }
            }
            Builder::Json(b) => {
                let json = py.import("ottava.ingest")?.getattr("_to_json")?.call1((value,))?;
                b.append_value(json.cast::<PyString>().map_err(PyErr::from)?.to_str()?);
            }
            Builder::Binary(b) => {
                if let Ok(bytes) = value.cast::<PyBytes>() {
                    b.append_value(bytes.as_bytes());
                } else if let Ok(bytes) = value.cast::<PyByteArray>() {
                    b.append_value(bytes.to_vec());
                } else {
                    return Err(bad("bytes"));
                }
            }
            Builder::Uuid(b) => {
                let parsed = match value.is_instance_of::<PyString>() {
                    true => py.import("uuid")?.getattr("UUID")?.call1((value,)).ok(),
                    false => Some(value.clone()),
                };
                let bytes = parsed.and_then(|uuid| uuid.getattr(intern!(py, "bytes")).ok());
                let bytes = bytes.and_then(|bytes| bytes.extract::<Vec<u8>>().ok());
                let done = bytes.and_then(|bytes| b.append_value(bytes).ok());
                done.ok_or_else(|| bad("UUID"))?;
            }
            Builder::Date(b) => match calendar::parsed(value, "date")? {
                Some(date) if !date.is_instance_of::<PyDateTime>() => match date.cast::<PyDate>() {
                    Ok(date) => b.append_value(calendar::date(date).days_since_epoch()),
                    Err(_) => return Err(bad("date")),
                },
                _ => return Err(bad("date")),
            },
            Builder::Time(b) => {
                let time = calendar::parsed(value, "time")?;
                let time = time.as_ref().and_then(|time| time.cast::<PyTime>().ok());
                let time = time.ok_or_else(|| bad("time"))?;
                if time.get_tzinfo().is_some() {
                    return Err(bad("a naive time: columns of times have no offset"));
                }
                let time = calendar::time(time);
                if !b.append(time.micros_since_midnight().into()) {
                    return Err(bad("time"));
                }
            }
            Builder::Span(b) => {
                let span = value.cast::<PyDelta>().map_err(|_| bad("timedelta"))?;
                if !b.append(calendar::span(span).micros) {
                    return Err(bad("a span of 64 bits"));
                }
            }
            Builder::List(lists) => {
                let converted;
                let items = match sequence(value)? {
                    Sequence::Itself => value,
                    Sequence::Listed(list) => {
                        converted = list;
                        &converted
                    }
                    Sequence::None => return Err(bad("list")),
                };
                let mut length = 0;
                for item in items.try_iter()? {
                    self.push(&mut parts.parts[0], &mut lists.items, &item?)
                        .map_err(|bad| bad.within("[]"))?;
                    length += 1;
                }
                if let Some(n) = lists.fixed.filter(|n| *n != length) {
                    return Err(bad(&format!("a list of {n}")));
                }
                lists.end(length);
            }
            Builder::Map(maps) => {
                let Ok(map) = value.cast::<PyMapping>() else { return Err(bad("dict")) };
                let entries = map.items()?;
                for entry in entries.iter() {
                    let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = entry.extract()?;
                    if key.is_none() {
                        return Err(bad("text as key"));
                    }
                    self.push(&mut parts.parts[0], &mut maps.keys, &key)
                        .map_err(|bad| bad.within("{key}"))?;
                    self.push(&mut parts.parts[1], &mut maps.values, &value)
                        .map_err(|bad| bad.within("{}"))?;
                }
                maps.end(entries.len());
            }
            Builder::Record(records) => {
                let Parts { access, parts } = parts;
                match access {
                    Some(access) => {
                        if is_plain(value) {
                            return Err(bad("a record"));
                        }
                        access.each(value, |at, part| {
                            let (field, column) = &mut records.fields[at];
                            let done = match part {
                                Some(part) => self.push(&mut parts[at], column, &part),
                                None => missing(column, field),
                            };
                            done.map_err(|bad| bad.within(&format!(".{}", field.name)))
                        })?;
                    }
                    None => {
                        let items = match (value.cast::<PyTuple>(), value.cast::<PyList>()) {
                            (Ok(tuple), _) => tuple.to_list(),
                            (_, Ok(list)) => list.clone(),
                            _ => return Err(bad("tuple")),
                        };
                        if items.len() != records.fields.len() {
                            return Err(bad(&format!("a tuple of {}", records.fields.len())));
                        }
                        for ((item, (field, column)), parts) in
                            items.iter().zip(&mut records.fields).zip(parts)
                        {
                            self.push(parts, column, &item)
                                .map_err(|bad| bad.within(&format!(".{}", field.name)))?;
                        }
                    }
                }
                records.end();
            }
            _ => return Err(bad("null")),
        }
        Ok(())
    }
}

#[inline]
fn integer<'a, 'py>(value: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, PyInt>> {
    value.cast::<PyInt>().ok().filter(|_| !value.is_instance_of::<PyBool>())
}

#[inline]
fn float<'py>(value: &Bound<'py, PyAny>) -> Result<f64, Box<Bad<'py>>> {
    match value.cast::<PyFloat>() {
        Ok(float) => Ok(float.value()),
        Err(_) => integer(value)
            .and_then(|int| int.extract().ok())
            .ok_or_else(|| Bad::value("float", value)),
    }
}

/// The text of a member of an `Enum`, which msgspec and Models hand out as it is.
fn member<'py>(value: &Bound<'py, PyAny>) -> Result<String, Box<Bad<'py>>> {
    let inner = value.getattr(intern!(value.py(), "value")).ok();
    let text = inner.and_then(|inner| inner.cast_into::<PyString>().ok());
    let text = text.and_then(|text| text.extract().ok());
    text.ok_or_else(|| Bad::value("str", value))
}

enum Sequence<'py> {
    Itself,
    /// The list of an array of numpy.
    Listed(Bound<'py, PyAny>),
    None,
}

fn sequence<'py>(value: &Bound<'py, PyAny>) -> PyResult<Sequence<'py>> {
    let py = value.py();
    if value.is_instance_of::<PyList>()
        || value.is_instance_of::<PyTuple>()
        || value.is_instance_of::<PySet>()
        || value.is_instance_of::<PyFrozenSet>()
    {
        Ok(Sequence::Itself)
    } else if value.hasattr(intern!(py, "__array__"))? && value.hasattr(intern!(py, "tolist"))? {
        Ok(Sequence::Listed(value.call_method0(intern!(py, "tolist"))?))
    } else {
        Ok(Sequence::None)
    }
}

/// Whether a value is none of those that have fields.
fn is_plain(value: &Bound<'_, PyAny>) -> bool {
    !value.is_instance_of::<PyDict>()
        && (value.is_instance_of::<PyString>()
            || value.is_instance_of::<PyInt>()
            || value.is_instance_of::<PyFloat>()
            || value.is_instance_of::<PyBytes>()
            || value.is_instance_of::<PyList>()
            || value.is_instance_of::<PyTuple>())
}
