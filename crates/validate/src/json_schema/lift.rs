//! Assertions that say no more than a type does become that type.

use ottava_core::schema::{
    ArrayAssertions, Assertions, Docs, Extra, Field, FieldDefault, Format, JsonKind, Kind,
    ObjectAssertions, Record, Rules, Type, Value,
};

/// The type that means exactly what the assertions say; [`Kind::Schema`] if there is no simpler one.
pub(super) fn lift(given: Assertions, docs: &Docs) -> Type {
    if given == Assertions::default() {
        return Type::any();
    }
    let kinds = given.kinds.clone().unwrap_or_default();
    let nullable = kinds.len() == 2 && kinds.contains(&JsonKind::Null);
    let kind = kinds.iter().copied().find(|kind| *kind != JsonKind::Null || kinds.len() == 1);
    let single = if kinds.len() == 1 || nullable { kind } else { None };
    let lifted = choices(&given).or_else(|| match single? {
        JsonKind::Null => is_plain(&given).then(|| Type::new(Kind::Null)),
        JsonKind::Boolean => is_plain(&given).then(|| Type::bool().strict(true)),
        JsonKind::String => text(&given),
        JsonKind::Array => list(&given),
        JsonKind::Object => record(&given, docs),
        JsonKind::Integer | JsonKind::Number => None,
    });
    match lifted {
        Some(mut ty) => {
            ty.nullable |= nullable;
            ty
        }
        None => Type::new(Kind::Schema(Box::new(given))),
    }
}

/// Whether nothing but `type` is said.
fn is_plain(given: &Assertions) -> bool {
    *given == Assertions { kinds: given.kinds.clone(), ..Assertions::default() }
}

fn choices(given: &Assertions) -> Option<Type> {
    let values = given.values.as_ref()?;
    let plain = Assertions { values: Some(values.clone()), ..Assertions::default() };
    let simple = |value: &Value| match value {
        Value::Null | Value::Bool(_) | Value::Str(_) => true,
        // Larger ones equal floats that a literal does not look for.
        Value::Int(int) => int.unsigned_abs() < 9_000_000_000_000_000,
        _ => false,
    };
    (*given == plain && !values.is_empty() && values.iter().all(simple))
        .then(|| Type::new(Kind::Literal(values.clone())))
}

fn text(given: &Assertions) -> Option<Type> {
    let format = match given.format.as_deref() {
        None => None,
        Some("email") => Some(Format::Email),
        Some(_) => return None,
    };
    let rules = Rules {
        min_length: given.rules.min_length,
        max_length: given.rules.max_length,
        pattern: given.rules.pattern.clone(),
        ..Rules::default()
    };
    let plain = Assertions {
        kinds: given.kinds.clone(),
        rules: rules.clone(),
        format: given.format.clone(),
        ..Assertions::default()
    };
    // A length that contradicts itself is right in JSON Schema and an error in a type.
    let sane = rules.min_length.unwrap_or(0) <= rules.max_length.unwrap_or(usize::MAX);
    (*given == plain && sane).then(|| {
        let mut ty = Type::str().strict(true);
        ty.rules = Rules { format, ..rules };
        ty
    })
}

fn list(given: &Assertions) -> Option<Type> {
    let array = &given.array;
    let plain = Assertions {
        kinds: given.kinds.clone(),
        array: ArrayAssertions {
            items: array.items.clone(),
            min: array.min,
            max: array.max,
            unique: array.unique,
            ..ArrayAssertions::default()
        },
        ..Assertions::default()
    };
    let sane = array.min.unwrap_or(0) <= array.max.unwrap_or(usize::MAX);
    (*given == plain && sane).then(|| {
        let item = array.items.as_deref().cloned().unwrap_or_else(Type::any);
        let mut ty = Type::list(item).strict(true);
        ty.rules.min_length = array.min;
        ty.rules.max_length = array.max;
        ty.rules.unique_items = array.unique;
        ty
    })
}

fn record(given: &Assertions, docs: &Docs) -> Option<Type> {
    let object = &given.object;
    let extra = match object.additional.as_deref() {
        None => Extra::Allow,
        Some(ty) if *ty == Type::any() => Extra::Allow,
        Some(ty) => match &ty.kind {
            Kind::Schema(given) if given.never => Extra::Forbid,
            _ => return None,
        },
    };
    let plain = Assertions {
        kinds: given.kinds.clone(),
        object: ObjectAssertions {
            properties: object.properties.clone(),
            required: object.required.clone(),
            additional: object.additional.clone(),
            ..ObjectAssertions::default()
        },
        ..Assertions::default()
    };
    let known = |name: &String| object.properties.iter().any(|(property, _)| property == name);
    if *given != plain || object.properties.is_empty() || !object.required.iter().all(known) {
        return None;
    }
    let mut record = Record::new(docs.title.clone().unwrap_or_else(|| "object".to_owned()));
    record.docs = docs.clone();
    record.config.extra = extra;
    record.config.strict = true;
    record.config.as_map = true;
    for (name, ty) in &object.properties {
        let mut field = Field::new(name, ty.clone());
        if !object.required.contains(name) {
            field.default = FieldDefault::Absent;
        }
        record.fields.push(field);
    }
    Some(Type::from(record))
}
