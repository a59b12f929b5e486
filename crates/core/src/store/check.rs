//! Looking at values: nulls, symbols, and the rules that columns can be held against at speed.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_cast::cast;
use arrow_schema::DataType;
use arrow_select::nullif::nullif;

use crate::schema::{Declaration, Format, Kind, Rules, Type, Value};

use super::error::StoreError;
use super::plan::{item_of, plain, position, resolve, texts};
use super::show::show;
use super::symbols::Symbols;

/// A value that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Its row in the array.
    pub row: usize,
    /// The rule, with its bound.
    pub rule: String,
}

/// Checks rules that need more than a comparison: patterns, formats, multiples, unique items.
pub trait RuleCheck: Send + Sync {
    /// Finds the first value of a column that breaks a rule of its type. Nulls break none.
    ///
    /// # Errors
    ///
    /// [`Broken`] for that value.
    fn check(&self, declaration: &Declaration, ty: &Type, array: &ArrayRef) -> Result<(), Broken>;
}

/// Checks columns against declared types.
pub(super) struct Checker<'a> {
    pub(super) declaration: &'a Declaration,
    pub(super) rules: Option<&'a dyn RuleCheck>,
}

/// A column, or the items or fields inside one.
struct Part<'p> {
    path: &'p str,
    array: &'p ArrayRef,
    /// Rows that exist: those whose list or record is not null.
    present: Option<&'p NullBuffer>,
    /// The row of the whole column that a row of this part belongs to.
    row: &'p dyn Fn(usize) -> usize,
    nested: bool,
}

impl Checker<'_> {
    /// Checks a whole column.
    pub(super) fn column(&self, path: &str, ty: &Type, array: &ArrayRef) -> Result<(), StoreError> {
        self.part(&Part { path, array, present: None, row: &|row| row, nested: false }, ty)
    }

    /// Refuses a null, whatever the declared type says: ids are never null.
    pub(super) fn never_null(&self, path: &str, array: &ArrayRef) -> Result<(), StoreError> {
        match first_null(array, None) {
            Some(row) => Err(StoreError::Null { row, column: path.to_owned() }),
            None => Ok(()),
        }
    }

    fn part(&self, part: &Part<'_>, ty: &Type) -> Result<(), StoreError> {
        if !self.nullable(ty)
            && let Some(row) = first_null(part.array, part.present)
        {
            let (row, column) = ((part.row)(row), part.path.to_owned());
            return Err(StoreError::Null { row, column });
        }
        let ty = resolve(self.declaration, ty);
        if part.array.data_type() == &DataType::Null || !self.looks_inside(ty) {
            return Ok(());
        }
        let masked;
        let array = match part.present {
            Some(present) => {
                masked = mask(part.array, present);
                &masked
            }
            None => part.array,
        };
        self.value_rules(part, ty, array)?;
        match &ty.kind {
            Kind::Enum(_) | Kind::Literal(_) => self.choices(part, ty, array),
            Kind::List(item)
            | Kind::Set(item)
            | Kind::FrozenSet(item)
            | Kind::FixedList(item, _) => self.items(part, item, array),
            Kind::Tuple { items, rest: Some(rest) } if items.is_empty() => {
                self.items(part, rest, array)
            }
            Kind::Tuple { items, rest: None } => {
                let Some(structs) = array.as_struct_opt() else { return Ok(()) };
                for (at, (item, column)) in items.iter().zip(structs.columns()).enumerate() {
                    let path = format!("{}.{at}", part.path);
                    let child = Part {
                        path: &path,
                        array: column,
                        present: structs.nulls(),
                        row: part.row,
                        nested: true,
                    };
                    self.part(&child, item)?;
                }
                Ok(())
            }
            Kind::Record(record) => {
                let Some(structs) = array.as_struct_opt() else { return Ok(()) };
                for field in &record.fields {
                    let Some(at) = position(structs.fields(), field) else { continue };
                    let path = format!("{}.{}", part.path, field.name);
                    let child = Part {
                        path: &path,
                        array: structs.column(at),
                        present: structs.nulls(),
                        row: part.row,
                        nested: true,
                    };
                    self.part(&child, &field.ty)?;
                }
                Ok(())
            }
            Kind::Dict(key, value) => {
                let Some(map) = array.as_map_opt() else { return Ok(()) };
                let offsets: Vec<usize> = map.value_offsets().iter().map(|o| *o as usize).collect();
                let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
                let owner =
                    |at: usize| (part.row)(offsets.partition_point(|o| *o <= at + first) - 1);
                for (suffix, ty, values) in
                    [("{key}", key, map.keys()), ("{}", value, map.values())]
                {
                    let values = values.slice(first, last - first);
                    let path = format!("{}{suffix}", part.path);
                    let child = Part {
                        path: &path,
                        array: &values,
                        present: None,
                        row: &owner,
                        nested: true,
                    };
                    self.part(&child, ty)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether null is a value of a type or of what it refers to.
    fn nullable(&self, ty: &Type) -> bool {
        takes_null(ty) || takes_null(resolve(self.declaration, ty))
    }

    /// Whether anything but nulls has to be looked at.
    fn looks_inside(&self, ty: &Type) -> bool {
        let ty = resolve(self.declaration, ty);
        has_rules(&ty.rules)
            || match &ty.kind {
                Kind::Enum(_)
                | Kind::Literal(_)
                | Kind::Record(_)
                | Kind::Tuple { .. }
                | Kind::Set(_)
                | Kind::FrozenSet(_)
                | Kind::Dict(..) => true,
                Kind::List(item) | Kind::FixedList(item, _) => {
                    !self.nullable(item) || self.looks_inside(item)
                }
                _ => false,
            }
    }

    fn items(&self, part: &Part<'_>, item: &Type, array: &ArrayRef) -> Result<(), StoreError> {
        let lists = match array.data_type() {
            DataType::ListView(field) => cast(array, &DataType::List(field.clone())),
            DataType::LargeListView(field) => cast(array, &DataType::LargeList(field.clone())),
            _ => Ok(array.clone()),
        };
        let lists = lists.map_err(|err| arrow_error(part.path, &err))?;
        let path = format!("{}[]", part.path);
        let (values, offsets): (ArrayRef, Box<dyn Fn(usize) -> usize>) = match lists.data_type() {
            DataType::List(_) => {
                let list = lists.as_list::<i32>();
                let offsets = list.offsets().clone();
                (list.values().clone(), Box::new(move |row| offsets[row] as usize))
            }
            DataType::LargeList(_) => {
                let list = lists.as_list::<i64>();
                let offsets = list.offsets().clone();
                (list.values().clone(), Box::new(move |row| offsets[row] as usize))
            }
            DataType::FixedSizeList(_, n) => {
                let (list, n) = (lists.as_fixed_size_list(), *n as usize);
                (list.values().clone(), Box::new(move |row| row * n))
            }
            _ => return Ok(()),
        };
        let (first, last) = (offsets(0), offsets(lists.len()));
        let values = values.slice(first, last - first);
        if values.logical_null_count() == 0 && !self.looks_inside(item) {
            return Ok(()); // moved, and never read
        }
        let present = lists.nulls().filter(|nulls| nulls.null_count() > 0).map(|nulls| {
            let mut bits = vec![false; values.len()];
            for row in nulls.valid_indices() {
                bits[offsets(row) - first..offsets(row + 1) - first].fill(true);
            }
            NullBuffer::new(BooleanBuffer::from(bits))
        });
        let owner = |at: usize| {
            let (mut low, mut high) = (0, lists.len());
            while low < high {
                let middle = low.midpoint(high);
                if offsets(middle + 1) <= at + first { low = middle + 1 } else { high = middle }
            }
            (part.row)(low)
        };
        let child = Part {
            path: &path,
            array: &values,
            present: present.as_ref(),
            row: &owner,
            nested: true,
        };
        self.part(&child, item)
    }

    /// Symbols of enums inside other columns, and choices that are not text.
    fn choices(&self, part: &Part<'_>, ty: &Type, array: &ArrayRef) -> Result<(), StoreError> {
        let stranger = |row: usize, value: String, symbols: String| {
            Err(StoreError::Symbol {
                row: (part.row)(row),
                column: part.path.to_owned(),
                value,
                symbols,
            })
        };
        if let Some(symbols) = texts(&ty.kind)
            && !symbols.is_empty()
        {
            // A whole column is checked where it is encoded.
            if part.nested {
                let symbols = Symbols::new(symbols);
                if let Err(found) = symbols.encode(array) {
                    return stranger(found.row, format!("{:?}", found.value), symbols.text());
                }
            }
            return Ok(());
        }
        let values: Vec<&Value> = match &ty.kind {
            Kind::Enum(set) => set.members.iter().map(|member| &member.value).collect(),
            Kind::Literal(values) => values.iter().collect(),
            _ => return Ok(()),
        };
        let ints: Vec<i64> = values
            .iter()
            .filter_map(|v| if let Value::Int(v) = v { Some(*v) } else { None })
            .collect();
        let flags: Vec<bool> = values
            .iter()
            .filter_map(|v| if let Value::Bool(v) = v { Some(*v) } else { None })
            .collect();
        let known = |row: usize| match array.data_type() {
            DataType::Boolean => flags.contains(&array.as_boolean().value(row)),
            DataType::Int64 => ints.contains(&array.as_primitive::<Int64Type>().value(row)),
            _ => true,
        };
        let wide = if array.data_type().is_integer() {
            cast(array, &DataType::Int64)
        } else {
            Ok(array.clone())
        };
        let wide = wide.map_err(|err| arrow_error(part.path, &err))?;
        let array = &wide;
        let known = |row: usize| match array.data_type() {
            DataType::Int64 => ints.contains(&array.as_primitive::<Int64Type>().value(row)),
            _ => known(row),
        };
        match (0..array.len()).find(|row| array.is_valid(*row) && !known(*row)) {
            Some(row) => stranger(row, show(array, row), format!("{values:?}")),
            None => Ok(()),
        }
    }

    fn value_rules(&self, part: &Part<'_>, ty: &Type, array: &ArrayRef) -> Result<(), StoreError> {
        let listed;
        let ty = match &ty.kind {
            // In a column a set is a list like others.
            Kind::Set(item) | Kind::FrozenSet(item) => {
                let rules = Rules { unique_items: true, ..ty.rules.clone() };
                listed = Type { kind: Kind::List(item.clone()), rules, ..ty.clone() };
                &listed
            }
            _ => ty,
        };
        let broken = match own_rules(ty, array) {
            Some(found) => found,
            None => match self.rules {
                Some(rules) => rules.check(self.declaration, ty, array).err(),
                None => {
                    let rule = foreign_rule(&ty.rules).unwrap_or("of this type");
                    return Err(StoreError::Unchecked { column: part.path.to_owned(), rule });
                }
            },
        };
        match broken {
            None => Ok(()),
            Some(broken) => Err(StoreError::Rule {
                row: (part.row)(broken.row),
                column: part.path.to_owned(),
                value: show(array, broken.row),
                rule: broken.rule,
            }),
        }
    }
}

pub(super) fn arrow_error(path: &str, err: &arrow_schema::ArrowError) -> StoreError {
    StoreError::Arrow { column: path.to_owned(), message: err.to_string() }
}

/// Whether null is a value of a type.
pub(super) fn takes_null(ty: &Type) -> bool {
    ty.nullable
        || match &ty.kind {
            Kind::Any | Kind::Null => true,
            Kind::Literal(values) => values.contains(&Value::Null),
            Kind::Enum(set) => set.members.iter().any(|member| member.value == Value::Null),
            Kind::Union(union) => union.members.iter().any(takes_null),
            _ => false,
        }
}

fn first_null(array: &ArrayRef, present: Option<&NullBuffer>) -> Option<usize> {
    if array.data_type() == &DataType::Null {
        return (0..array.len()).find(|row| present.is_none_or(|p| p.is_valid(*row)));
    }
    // Most columns have no nulls, and then this reads nothing.
    let nulls = match plain(array.data_type()) == array.data_type() {
        true => array.nulls().cloned(),
        false => array.logical_nulls(),
    };
    let nulls = nulls.filter(|nulls| nulls.null_count() > 0)?;
    (0..array.len()).find(|row| nulls.is_null(*row) && present.is_none_or(|p| p.is_valid(*row)))
}

/// The array with nulls where nothing is present, so that what stands below them is not looked at.
fn mask(array: &ArrayRef, present: &NullBuffer) -> ArrayRef {
    if present.null_count() == 0 {
        return array.clone();
    }
    let absent = BooleanArray::new(!present.inner(), None);
    nullif(array, &absent).unwrap_or_else(|_| array.clone())
}

/// The rules that can refuse a value: without those that say how it is stored, and those that change it.
fn refusing(rules: &Rules) -> Rules {
    Rules {
        unit: None,
        time_zone: None,
        max_digits: None,
        decimal_places: None,
        strip_whitespace: false,
        to_lower: false,
        to_upper: false,
        ..rules.clone()
    }
}

fn has_rules(rules: &Rules) -> bool {
    let rules = refusing(rules);
    let finite = rules.allow_inf_nan.filter(|allow| !allow);
    Rules { allow_inf_nan: finite, ..rules } != Rules::default()
}

/// A rule that [`own_rules`] knows nothing of.
fn foreign_rule(rules: &Rules) -> Option<&'static str> {
    [
        (rules.multiple_of.is_some(), "multiple_of"),
        (rules.pattern.is_some(), "pattern"),
        (rules.format == Some(Format::Email), "email"),
        (rules.format == Some(Format::Url), "url"),
        (rules.format.is_some(), "format"),
        (rules.unique_items, "unique_items"),
        // Another case may have another length, and the rule is about the one that came in.
        (rules.to_lower, "to_lower"),
        (rules.to_upper, "to_upper"),
    ]
    .into_iter()
    .find_map(|(on, name)| on.then_some(name))
}

/// Holds a column against its rules; `None` where one of them is not known here.
#[allow(clippy::option_option)]
fn own_rules(ty: &Type, array: &ArrayRef) -> Option<Option<Broken>> {
    let rules = &ty.rules;
    if !has_rules(rules) {
        return Some(None);
    }
    if foreign_rule(rules).is_some() {
        return None;
    }
    let bounds = [("gt", &rules.gt), ("ge", &rules.ge), ("lt", &rules.lt), ("le", &rules.le)];
    let mut checks = bounds.iter().filter_map(|(name, bound)| Some((*name, bound.as_ref()?)));
    let lengths = rules.min_length.is_some() || rules.max_length.is_some();
    match &ty.kind {
        Kind::Int(_) | Kind::Float(_) if !lengths => {
            let finite = rules.allow_inf_nan == Some(false);
            let mut first: Option<Broken> = None;
            let mut keep = |found: Option<Broken>| {
                if let Some(found) = found
                    && first.as_ref().is_none_or(|f| found.row < f.row)
                {
                    first = Some(found);
                }
            };
            for (name, bound) in checks {
                keep(compare(array, name, bound)?);
            }
            if finite {
                keep(compare(array, "finite", &Value::Null)?);
            }
            Some(first)
        }
        Kind::Str | Kind::Bytes | Kind::List(_) | Kind::FixedList(..)
            if checks.next().is_none() && rules.allow_inf_nan.is_none() =>
        {
            length(array, rules.min_length, rules.max_length)
        }
        _ => None,
    }
}

/// The first value on the wrong side of a bound.
#[allow(clippy::option_option)]
fn compare(array: &ArrayRef, rule: &str, bound: &Value) -> Option<Option<Broken>> {
    let broken = |row: Option<usize>| {
        row.map(|row| {
            let bound = match bound {
                Value::Int(x) => format!(" {x}"),
                Value::Float(x) => format!(" {x}"),
                _ => String::new(),
            };
            Broken { row, rule: format!("{rule}{bound}") }
        })
    };
    macro_rules! ints {
        ($($arrow:ident)*) => {
            match array.data_type() {
                $(&$arrow::DATA_TYPE => {
                    let (low, high) = int_limits(rule, bound)?;
                    let low = low.max(<$arrow as ArrowPrimitiveType>::Native::MIN.into());
                    let high = high.min(<$arrow as ArrowPrimitiveType>::Native::MAX.into());
                    if low > high {
                        return Some(broken((0..array.len()).find(|row| array.is_valid(*row))));
                    }
                    let (low, high) = (low as <$arrow as ArrowPrimitiveType>::Native, high as <$arrow as ArrowPrimitiveType>::Native);
                    Some(broken(first::<$arrow>(array, |x| (low..=high).contains(&x))))
                })*
                _ => None,
            }
        };
    }
    let limit = match bound {
        Value::Int(x) => *x as f64,
        Value::Float(x) => *x,
        Value::Null => 0.0,
        _ => return None,
    };
    let holds = |x: f64| match rule {
        "gt" => x > limit,
        "ge" => x >= limit,
        "lt" => x < limit,
        "le" => x <= limit,
        _ => x.is_finite(),
    };
    match array.data_type() {
        DataType::Float64 => Some(broken(first::<Float64Type>(array, holds))),
        DataType::Float32 => Some(broken(first::<Float32Type>(array, |x| holds(x.into())))),
        DataType::Float16 => Some(broken(first::<Float16Type>(array, |x| holds(x.to_f64())))),
        _ if rule == "finite" => Some(None),
        _ => {
            ints!(Int8Type Int16Type Int32Type Int64Type UInt8Type UInt16Type UInt32Type UInt64Type)
        }
    }
}

/// The smallest and the largest integer that a rule lets through.
fn int_limits(rule: &str, bound: &Value) -> Option<(i128, i128)> {
    let (floor, whole) = match bound {
        Value::Int(x) => (i128::from(*x), true),
        Value::Float(x) if x.is_nan() => return Some((1, 0)),
        Value::Float(x) => (x.floor() as i128, x.fract() == 0.0),
        _ => return None,
    };
    Some(match rule {
        "gt" => (floor.saturating_add(1), i128::MAX),
        "ge" => (if whole { floor } else { floor.saturating_add(1) }, i128::MAX),
        "lt" => (i128::MIN, if whole { floor.saturating_sub(1) } else { floor }),
        _ => (i128::MIN, floor),
    })
}

/// The first valid value for which `holds` is false.
fn first<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    holds: impl Fn(T::Native) -> bool,
) -> Option<usize> {
    let array = array.as_primitive_opt::<T>()?;
    // One pass without branches decides almost always.
    if array.values().iter().fold(true, |all, x| all & holds(*x)) {
        return None;
    }
    (0..array.len()).find(|row| array.is_valid(*row) && !holds(array.value(*row)))
}

/// The first value that is too short or too long.
#[allow(clippy::option_option)]
fn length(array: &ArrayRef, min: Option<usize>, max: Option<usize>) -> Option<Option<Broken>> {
    let judge = |row: usize, length: usize| {
        if min.is_some_and(|min| length < min) {
            return Some(Broken { row, rule: format!("min_length {}", min.unwrap_or_default()) });
        }
        let long = max.is_some_and(|max| length > max);
        long.then(|| Broken { row, rule: format!("max_length {}", max.unwrap_or_default()) })
    };
    let each = |length: &dyn Fn(usize) -> usize| {
        (0..array.len()).filter(|row| array.is_valid(*row)).find_map(|row| judge(row, length(row)))
    };
    let chars = |text: &str| if text.is_ascii() { text.len() } else { text.chars().count() };
    Some(match array.data_type() {
        DataType::Utf8 => each(&|row| chars(array.as_string::<i32>().value(row))),
        DataType::LargeUtf8 => each(&|row| chars(array.as_string::<i64>().value(row))),
        DataType::Utf8View => each(&|row| chars(array.as_string_view().value(row))),
        DataType::Binary => each(&|row| array.as_binary::<i32>().value_length(row) as usize),
        DataType::LargeBinary => each(&|row| array.as_binary::<i64>().value_length(row) as usize),
        DataType::BinaryView => each(&|row| array.as_binary_view().value(row).len()),
        DataType::FixedSizeBinary(n) => each(&|_| *n as usize),
        DataType::List(_) => each(&|row| array.as_list::<i32>().value_length(row) as usize),
        DataType::LargeList(_) => each(&|row| array.as_list::<i64>().value_length(row) as usize),
        DataType::FixedSizeList(_, n) => each(&|_| *n as usize),
        DataType::Dictionary(_, _) => {
            let text = cast(array, &DataType::Utf8View).ok()?;
            return length(&text, min, max);
        }
        _ if item_of(array.data_type()).is_some() => {
            let lists =
                cast(array, &DataType::LargeList(item_of(array.data_type())?.clone())).ok()?;
            return length(&lists, min, max);
        }
        _ => return None,
    })
}
