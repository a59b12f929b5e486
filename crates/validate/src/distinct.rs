//! Which values have been seen already.

use std::collections::HashSet;

use ottava_core::schema::Value;

/// A set of values. Equal are: numbers of the same value, whatever their type; truth values, texts, bytes and the like of the
/// same type; sequences with equal items; sets and maps with equal members in any order. NaN equals nothing.
#[derive(Debug, Default)]
pub(crate) struct Distinct(HashSet<Box<[u8]>>);

impl Distinct {
    /// Adds a value; `false` if an equal one is there.
    pub(crate) fn insert(&mut self, value: &Value) -> bool {
        match key_of(value) {
            Some(key) => self.0.insert(key),
            None => true,
        }
    }
}

/// Bytes that are the same for equal values and different for others; `None` for a value that equals nothing.
pub(crate) fn key_of(value: &Value) -> Option<Box<[u8]>> {
    let mut out = Vec::new();
    put(&mut out, value).then(|| out.into_boxed_slice())
}

fn put(out: &mut Vec<u8>, value: &Value) -> bool {
    match value {
        Value::Null => out.push(b'n'),
        Value::Bool(flag) => out.extend([b'b', u8::from(*flag)]),
        Value::Int(int) => put_text(out, b'#', int.to_string().as_bytes()),
        Value::BigInt(digits) => put_text(out, b'#', digits.as_bytes()),
        Value::Float(float) if float.is_nan() => return false,
        Value::Float(float) if float.is_finite() && float.fract() == 0.0 => {
            // Adding zero turns -0 into 0; the text of a whole float is exact.
            put_text(out, b'#', format!("{:.0}", float + 0.0).as_bytes());
        }
        Value::Float(float) => put_text(out, b'f', &float.to_bits().to_be_bytes()),
        Value::Decimal(text) => put_text(out, b'd', text.as_bytes()),
        Value::Str(text) => put_text(out, b's', text.as_bytes()),
        Value::Bytes(bytes) => put_text(out, b'y', bytes),
        Value::Uuid(uuid) => put_text(out, b'u', &uuid.to_be_bytes()),
        Value::Date(_) | Value::DateTime(_) | Value::Time(_) | Value::Duration(_) => {
            put_text(out, b't', format!("{value:?}").as_bytes());
        }
        Value::List(items) => return put_all(out, b'l', items.iter().map(key_of), false),
        Value::Tuple(items) => return put_all(out, b'p', items.iter().map(key_of), false),
        Value::Set(items) | Value::FrozenSet(items) => {
            return put_all(out, b'e', items.iter().map(key_of), true);
        }
        Value::Map(entries) => {
            let pair = |(key, value): &(Value, Value)| {
                let mut out = Vec::new();
                (put(&mut out, key) && put(&mut out, value)).then(|| out.into_boxed_slice())
            };
            return put_all(out, b'm', entries.iter().map(pair), true);
        }
        Value::Record(fields) => {
            let pair = |(key, value): &(String, Value)| {
                let mut out = Vec::new();
                put_text(&mut out, b's', key.as_bytes());
                put(&mut out, value).then(|| out.into_boxed_slice())
            };
            return put_all(out, b'm', fields.iter().map(pair), true);
        }
        other => put_text(out, b'?', format!("{other:?}").as_bytes()),
    }
    true
}

fn put_text(out: &mut Vec<u8>, tag: u8, text: &[u8]) {
    out.push(tag);
    out.extend(text.len().to_be_bytes());
    out.extend_from_slice(text);
}

fn put_all(
    out: &mut Vec<u8>,
    tag: u8,
    parts: impl Iterator<Item = Option<Box<[u8]>>>,
    sort: bool,
) -> bool {
    let Some(mut parts) = parts.collect::<Option<Vec<_>>>() else { return false };
    if sort {
        parts.sort_unstable();
    }
    out.push(tag);
    out.extend(parts.len().to_be_bytes());
    for part in parts {
        out.extend_from_slice(&part);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_equal_keys() {
        let list = |items: &[Value]| Value::List(items.to_vec());
        let map = |entries: &[(&str, i64)]| {
            Value::Map(
                entries.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            )
        };
        for (one, other, equal) in [
            (Value::Int(1), Value::Float(1.0), true),
            (Value::Float(0.0), Value::Float(-0.0), true),
            (Value::BigInt("100000000000000000000".into()), Value::Float(1e20), true),
            (Value::Int(1), Value::Bool(true), false),
            (Value::Int(1), "1".into(), false),
            (Value::Float(f64::NAN), Value::Float(f64::NAN), false),
            (list(&[1.into(), 2.into()]), list(&[2.into(), 1.into()]), false),
            (list(&[list(&[]), list(&[])]), list(&[list(&[list(&[])])]), false),
            (map(&[("a", 1), ("b", 2)]), map(&[("b", 2), ("a", 1)]), true),
            (map(&[("a", 1)]), map(&[("a", 2)]), false),
        ] {
            let mut seen = Distinct::default();
            assert!(seen.insert(&one));
            assert_eq!(seen.insert(&other), !equal, "{one:?} {other:?}");
        }
    }
}
