//! Enums and literals: one of a fixed set of values.

use ottava_core::schema::Value;
use smallvec::smallvec;

use crate::check::{Fit, Run};
use crate::input::{Found, Input};
use crate::issue::{Code, Param};
use crate::json::Iso;
use crate::output::{Checked, Output};
use crate::program::{Choices, EnumPlan, LiteralPlan};
use crate::rules::number::small_int;

impl Choices {
    /// The choices, numbered in order. The first of two equal ones counts.
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut choices = Self::default();
        let mut shown = Vec::new();
        for (index, value) in values.into_iter().enumerate() {
            let index = index as u32;
            match value {
                Value::Str(text) => {
                    choices.strs.entry(text.as_str().into()).or_insert(index);
                }
                Value::Int(int) => {
                    choices.ints.entry(*int).or_insert(index);
                }
                Value::Bool(flag) => {
                    choices.bools[usize::from(*flag)].get_or_insert(index);
                }
                Value::Null => {
                    choices.null.get_or_insert(index);
                }
                other => choices.others.push((other.clone(), index)),
            }
            shown.push(repr(value));
        }
        choices.expected = match shown.split_last() {
            None => String::new(),
            Some((last, [])) => last.clone(),
            Some((last, before)) => format!("{} or {last}", before.join(", ")),
        };
        choices
    }

    #[inline]
    pub(crate) fn find(&self, found: Found<'_>) -> Option<usize> {
        let index = match found {
            Found::Str(text) => self.strs.get(text).copied(),
            Found::Int(int) => self.ints.get(&int).copied(),
            Found::Bool(flag) => self.bools[usize::from(flag)],
            Found::Null => self.null,
            Found::Float(float) => self.other(|value| *value == Value::Float(float)),
            Found::BigInt(digits) => {
                self.other(|value| matches!(value, Value::BigInt(known) if known == digits))
            }
            Found::Bytes(bytes) => {
                self.other(|value| matches!(value, Value::Bytes(known) if known == bytes))
            }
            _ => None,
        };
        index.map(|index| index as usize)
    }

    /// The choice that equals a number or truth value of another type, as in Python; truth values come first.
    #[cold]
    fn equal(&self, found: Found<'_>) -> Option<usize> {
        let number = whole(found)?;
        let flag = match number {
            0 => self.bools[0],
            1 => self.bools[1],
            _ => None,
        };
        let is_equal = |value: &Value| matches!(value, Value::Float(float) if whole(Found::Float(*float)) == Some(number));
        let index = flag.or_else(|| self.ints.get(&number).copied());
        index.or_else(|| self.other(is_equal)).map(|index| index as usize)
    }

    #[cold]
    fn other(&self, is: impl Fn(&Value) -> bool) -> Option<u32> {
        self.others.iter().find(|(value, _)| is(value)).map(|(_, index)| *index)
    }
}

/// The whole number that equals this number or truth value, if it is one that floats have exactly.
pub(crate) fn whole(found: Found<'_>) -> Option<i64> {
    let number = match found {
        Found::Int(int) => int,
        Found::Bool(flag) => flag.into(),
        Found::Float(float) if float.fract() == 0.0 && float.abs() < 9e15 => float as i64,
        _ => return None,
    };
    (number.unsigned_abs() < 9_000_000_000_000_000).then_some(number)
}

/// The value as Python writes it.
pub(crate) fn repr(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Int(int) => int.to_string(),
        Value::BigInt(digits) => digits.clone(),
        Value::Float(float) => format!("{float:?}"),
        Value::Str(text) => {
            let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
            let mut out = String::with_capacity(text.len() + 2);
            out.push(quote);
            for char in text.chars() {
                match char {
                    '\n' => out.push_str("\\n"),
                    '\r' => out.push_str("\\r"),
                    '\t' => out.push_str("\\t"),
                    '\\' => out.push_str("\\\\"),
                    char if char == quote => {
                        out.push('\\');
                        out.push(char);
                    }
                    char => out.push(char),
                }
            }
            out.push(quote);
            out
        }
        Value::Bytes(bytes) => {
            let shown: String = bytes
                .iter()
                .map(|byte| match byte {
                    b'\'' => "\\'".to_owned(),
                    b'\\' => "\\\\".to_owned(),
                    b'\n' => "\\n".to_owned(),
                    b'\r' => "\\r".to_owned(),
                    b'\t' => "\\t".to_owned(),
                    b' '..=b'~' => char::from(*byte).to_string(),
                    byte => format!("\\x{byte:02x}"),
                })
                .collect();
            format!("b'{shown}'")
        }
        Value::Decimal(text) => format!("Decimal('{text}')"),
        Value::Date(_) | Value::Time(_) | Value::DateTime(_) | Value::Duration(_) => {
            Iso(value).to_string()
        }
        Value::Uuid(bits) => format!("UUID('{}')", uuid::Uuid::from_u128(*bits)),
        Value::List(items) => format!("[{}]", all(items)),
        Value::Tuple(items) if items.len() == 1 => format!("({},)", all(items)),
        Value::Tuple(items) => format!("({})", all(items)),
        Value::Set(items) => format!("{{{}}}", all(items)),
        Value::FrozenSet(items) => format!("frozenset({{{}}})", all(items)),
        Value::Map(entries) => {
            let entry = |(key, value): &(Value, Value)| format!("{}: {}", repr(key), repr(value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        Value::Record(fields) => {
            let field = |(name, value): &(String, Value)| format!("'{name}': {}", repr(value));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        other => format!("{other:?}"),
    }
}

fn all(items: &[Value]) -> String {
    items.iter().map(repr).collect::<Vec<_>>().join(", ")
}

impl<I: Input, O: Output> Run<'_, I, O> {
    pub(crate) fn check_literal(
        &mut self,
        plan: &LiteralPlan,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<O::Value> {
        let found = self.input.get(value)?;
        match plan.choices.find(found).or_else(|| plan.choices.equal(found)) {
            Some(index) => self.output.literal(at, plan, index),
            None => {
                let expected = Param::Str(plan.choices.expected.as_str().into());
                self.fail(value, Code::LiteralError, smallvec![("expected", expected)])
            }
        }
    }

    pub(crate) fn check_enum(
        &mut self,
        plan: &EnumPlan,
        strict: bool,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<O::Value> {
        if let Some(index) = self.input.enum_member(value, plan)? {
            return self.output.enum_member(at, plan, index);
        }
        if strict && !self.of_json {
            let class = Param::Str(plan.name.as_str().into());
            return self.fail(value, Code::IsInstanceOf, smallvec![("class", class)]);
        }
        let found = self.input.get(value)?;
        let index = plan.choices.find(found).or_else(|| match found {
            Found::Str(text) if !strict && plan.of_ints => {
                plan.choices.find(Found::Int(small_int(text)?))
            }
            found => plan.choices.equal(found),
        });
        if let Some(index) = index {
            self.fit = self.fit.max(Fit::Lax);
            return self.output.enum_member(at, plan, index);
        }
        let expected = Param::Str(plan.choices.expected.as_str().into());
        self.fail(value, Code::Enum, smallvec![("expected", expected)])
    }
}
