//! Truth values, integers and floats.

use std::cmp::Ordering;
use std::str::FromStr;

use num_bigint::BigInt;
use ottava_core::schema::{FloatWidth, IntWidth, Rules, Value};
use smallvec::smallvec;

use super::decimal::{self, Decimal};
use crate::check::{Fit, Run};
use crate::input::{Found, Input};
use crate::issue::{Code, Ctx, Param};
use crate::output::{Checked, Output};

/// Longest text that is read as an integer, as in CPython.
const MAX_INT_TEXT: usize = 4300;

/// Whether an integer has more digits than any text may have that is read as one.
pub(crate) fn is_too_long(digits: &str) -> bool {
    digits.len() - usize::from(digits.starts_with('-')) > MAX_INT_TEXT
}

/// Bounds of a number, in the order in which they are checked.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    multiple_of: Option<Bound>,
    le: Option<Bound>,
    lt: Option<Bound>,
    ge: Option<Bound>,
    gt: Option<Bound>,
}

/// One bound: as declared, and as an exact number.
#[derive(Debug)]
struct Bound {
    declared: Value,
    number: Number,
}

/// A number, exact.
#[derive(Debug, Clone)]
pub(crate) enum Number {
    Int(i64),
    Big(BigInt),
    Float(f64),
    /// A decimal that is not whole.
    Decimal(Decimal),
}

impl Number {
    fn of(value: &Value) -> Option<Number> {
        match value {
            Value::Int(value) => Some(Number::Int(*value)),
            Value::BigInt(digits) | Value::Decimal(digits) => match i64::from_str(digits) {
                Ok(value) => Some(Number::Int(value)),
                Err(_) => match BigInt::from_str(digits) {
                    Ok(value) => Some(Number::Big(value)),
                    Err(_) => decimal::parse(digits).map(Number::Decimal),
                },
            },
            Value::Float(value) if !value.is_nan() => Some(Number::Float(*value)),
            _ => None,
        }
    }

    /// Exact comparison; `None` only if one is NaN.
    fn compare(&self, other: &Number) -> Option<Ordering> {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => Some(a.cmp(b)),
            (Number::Float(a), Number::Float(b)) => a.partial_cmp(b),
            (Number::Int(a), Number::Float(b)) => compare_int_float(&BigInt::from(*a), *b),
            (Number::Big(a), Number::Float(b)) => compare_int_float(a, *b),
            (Number::Decimal(a), b) => Some(a.compare(&b.to_decimal()?)),
            (a, Number::Decimal(b)) => Some(a.to_decimal()?.compare(b)),
            (Number::Float(_), _) => other.compare(self).map(Ordering::reverse),
            (Number::Big(a), Number::Big(b)) => Some(a.cmp(b)),
            (Number::Big(a), Number::Int(b)) => Some(a.cmp(&BigInt::from(*b))),
            (Number::Int(a), Number::Big(b)) => Some(BigInt::from(*a).cmp(b)),
        }
    }

    /// The number as a decimal: a float with the shortest digits that stand for it.
    fn to_decimal(&self) -> Option<Decimal> {
        let text = match self {
            Number::Int(int) => int.to_string(),
            Number::Big(big) => big.to_string(),
            Number::Float(float) => format!("{float:?}"),
            Number::Decimal(decimal) => return Some(decimal.clone()),
        };
        decimal::parse(&text)
    }

    fn as_f64(&self) -> f64 {
        match self {
            Number::Int(value) => *value as f64,
            // The text of an integer always parses.
            Number::Big(value) => value.to_string().parse().unwrap_or(f64::NAN),
            Number::Float(value) => *value,
            Number::Decimal(decimal) => decimal.to_f64(),
        }
    }

    fn is_multiple_of(&self, of: &Number) -> bool {
        let big = |number: &Number| match number {
            Number::Int(value) => Some(BigInt::from(*value)),
            Number::Big(value) => Some(value.clone()),
            Number::Float(value) if value.fract() == 0.0 && value.is_finite() => {
                big_from_float(*value)
            }
            Number::Float(_) | Number::Decimal(_) => None,
        };
        match (self, of) {
            (Number::Decimal(_), _) | (_, Number::Decimal(_)) => {
                match (self.to_decimal(), of.to_decimal()) {
                    (Some(value), Some(of)) => value.is_multiple_of(&of),
                    _ => false,
                }
            }
            (Number::Float(_), _) | (_, Number::Float(_)) => {
                if let (Some(value), Some(of)) = (big(self), big(of)) {
                    return value % of == BigInt::ZERO;
                }
                let (value, of) = (self.as_f64(), of.as_f64());
                let rest = (value % of).abs();
                let threshold = value.abs() / 1e9;
                rest <= threshold || (rest - of.abs()).abs() <= threshold
            }
            _ => match (big(self), big(of)) {
                (Some(value), Some(of)) => value % of == BigInt::ZERO,
                _ => false,
            },
        }
    }
}

fn big_from_float(value: f64) -> Option<BigInt> {
    // `{:.0}` of a whole float is exact.
    BigInt::from_str(&format!("{value:.0}")).ok()
}

fn compare_int_float(int: &BigInt, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    if float.is_infinite() {
        return Some(if float > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    let whole = big_from_float(float.trunc())?;
    Some(int.cmp(&whole).then_with(|| {
        if float.fract() > 0.0 {
            Ordering::Less
        } else if float.fract() < 0.0 {
            Ordering::Greater
        } else {
            Ordering::Equal
        }
    }))
}

impl Bounds {
    /// Takes the bounds out of `rules`; the name of a bound that is no number, or of a multiple that is not positive.
    pub(crate) fn compile(rules: &Rules) -> Result<Self, &'static str> {
        let bound = |name, value: &Option<Value>| match value {
            None => Ok(None),
            Some(value) => match Number::of(value) {
                Some(number) => Ok(Some(Bound { declared: value.clone(), number })),
                None => Err(name),
            },
        };
        let multiple_of = bound("multiple_of", &rules.multiple_of)?;
        if let Some(multiple) = &multiple_of
            && multiple.number.compare(&Number::Int(0)) != Some(Ordering::Greater)
        {
            return Err("multiple_of");
        }
        Ok(Self {
            multiple_of,
            le: bound("le", &rules.le)?,
            lt: bound("lt", &rules.lt)?,
            ge: bound("ge", &rules.ge)?,
            gt: bound("gt", &rules.gt)?,
        })
    }

    /// The first bound that a decimal breaks; `value` is its number.
    pub(crate) fn broken_decimal(&self, value: &Decimal) -> Option<(Code, Ctx)> {
        self.first_broken(
            |of| of.to_decimal().is_some_and(|of| value.is_multiple_of(&of)),
            |bound| bound.to_decimal().map(|bound| value.compare(&bound)),
        )
    }

    pub(crate) fn is_empty(&self) -> bool {
        let Self { multiple_of, le, lt, ge, gt } = self;
        [multiple_of, le, lt, ge, gt].into_iter().all(Option::is_none)
    }

    /// The first bound that the number breaks.
    #[cold]
    pub(crate) fn broken(&self, number: &Number) -> Option<(Code, Ctx)> {
        self.first_broken(|of| number.is_multiple_of(of), |bound| number.compare(bound))
    }

    fn first_broken(
        &self,
        is_multiple: impl Fn(&Number) -> bool,
        compare: impl Fn(&Number) -> Option<Ordering>,
    ) -> Option<(Code, Ctx)> {
        let is_broken =
            |bound: &Bound, holds: fn(Ordering) -> bool| !compare(&bound.number).is_some_and(holds);
        let (code, name, bound) = match self {
            Self { multiple_of: Some(bound), .. } if !is_multiple(&bound.number) => {
                (Code::MultipleOf, "multiple_of", bound)
            }
            Self { le: Some(bound), .. } if is_broken(bound, Ordering::is_le) => {
                (Code::LessThanEqual, "le", bound)
            }
            Self { lt: Some(bound), .. } if is_broken(bound, Ordering::is_lt) => {
                (Code::LessThan, "lt", bound)
            }
            Self { ge: Some(bound), .. } if is_broken(bound, Ordering::is_ge) => {
                (Code::GreaterThanEqual, "ge", bound)
            }
            Self { gt: Some(bound), .. } if is_broken(bound, Ordering::is_gt) => {
                (Code::GreaterThan, "gt", bound)
            }
            _ => return None,
        };
        Some((code, smallvec![(name, Param::Value(bound.declared.clone()))]))
    }
}

/// Rules of an integer.
#[derive(Debug)]
pub(crate) struct IntRules {
    /// Every 64-bit value in `low..=high` that is a multiple of `multiple` is right; others are looked at closely.
    low: i64,
    high: i64,
    multiple: i64,
    width: IntWidth,
    bounds: Box<Bounds>,
}

impl IntRules {
    /// The range in which every integer is right as it is, if there is one.
    pub(crate) fn range(&self) -> Option<(i64, i64)> {
        (self.multiple == 1 && self.low <= self.high).then_some((self.low, self.high))
    }

    pub(crate) fn compile(width: IntWidth, rules: &Rules) -> Result<Self, &'static str> {
        let bounds = Box::new(Bounds::compile(rules)?);
        let (mut low, mut high) = match width {
            IntWidth::Any | IntWidth::I64 => (i64::MIN, i64::MAX),
            IntWidth::I8 => (i8::MIN.into(), i8::MAX.into()),
            IntWidth::I16 => (i16::MIN.into(), i16::MAX.into()),
            IntWidth::I32 => (i32::MIN.into(), i32::MAX.into()),
            IntWidth::U8 => (0, u8::MAX.into()),
            IntWidth::U16 => (0, u16::MAX.into()),
            IntWidth::U32 => (0, u32::MAX.into()),
            IntWidth::U64 => (0, i64::MAX),
        };
        // An empty range sends every value the slow way, which is always right.
        let (no_low, no_high) = (i64::MAX, i64::MIN);
        let mut narrow = |bound: &Option<Bound>, step: i64, is_low: bool| match bound {
            None => {}
            Some(Bound { number: Number::Int(value), .. }) => match value.checked_add(step) {
                Some(value) if is_low => low = low.max(value),
                Some(value) => high = high.min(value),
                None => (low, high) = (no_low, no_high),
            },
            Some(_) => (low, high) = (no_low, no_high),
        };
        narrow(&bounds.ge, 0, true);
        narrow(&bounds.gt, 1, true);
        narrow(&bounds.le, 0, false);
        narrow(&bounds.lt, -1, false);
        let multiple = match &bounds.multiple_of {
            None => 1,
            Some(Bound { number: Number::Int(value), .. }) => *value,
            Some(_) => {
                (low, high) = (no_low, no_high);
                1
            }
        };
        Ok(Self { low, high, multiple, width, bounds })
    }

    #[inline]
    fn accepts(&self, value: i64) -> bool {
        self.low <= value
            && value <= self.high
            && (self.multiple == 1 || value % self.multiple == 0)
    }

    #[cold]
    fn broken(&self, number: &Number) -> Option<(Code, Ctx)> {
        let name = match self.width {
            IntWidth::Any => None,
            IntWidth::I8 => Some(("8 bits", i64::from(i8::MIN), i8::MAX as u64)),
            IntWidth::I16 => Some(("16 bits", i64::from(i16::MIN), i16::MAX as u64)),
            IntWidth::I32 => Some(("32 bits", i64::from(i32::MIN), i32::MAX as u64)),
            IntWidth::I64 => Some(("64 bits", i64::MIN, i64::MAX as u64)),
            IntWidth::U8 => Some(("8 unsigned bits", 0, u8::MAX.into())),
            IntWidth::U16 => Some(("16 unsigned bits", 0, u16::MAX.into())),
            IntWidth::U32 => Some(("32 unsigned bits", 0, u32::MAX.into())),
            IntWidth::U64 => Some(("64 unsigned bits", 0, u64::MAX)),
        };
        if let Some((name, low, high)) = name {
            let below = number.compare(&Number::Int(low)) == Some(Ordering::Less);
            let above = number.compare(&Number::Big(BigInt::from(high))) == Some(Ordering::Greater);
            if below || above {
                return Some((Code::IntRange, smallvec![("width", Param::Str(name.into()))]));
            }
        }
        self.bounds.broken(number)
    }
}

/// Rules of a float.
#[derive(Debug)]
pub(crate) struct FloatRules {
    finite: bool,
    width: FloatWidth,
    bounds: Option<Box<Bounds>>,
}

impl FloatRules {
    pub(crate) fn compile(width: FloatWidth, rules: &Rules) -> Result<Self, &'static str> {
        let bounds = Bounds::compile(rules)?;
        let finite = rules.allow_inf_nan == Some(false);
        Ok(Self { finite, width, bounds: (!bounds.is_empty()).then(|| Box::new(bounds)) })
    }

    /// Whether every float is right as it is.
    pub(crate) fn is_free(&self) -> bool {
        !self.finite && self.width == FloatWidth::F64 && self.bounds.is_none()
    }
}

/// What a value turned out to be when an integer was wanted.
enum AnyInt {
    Small(i64),
    Big(String),
}

impl<I: Input, O: Output> Run<'_, I, O> {
    #[inline]
    pub(crate) fn check_int(
        &mut self,
        rules: &IntRules,
        strict: bool,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<O::Value> {
        match self.input.int(value)? {
            Some(int) if rules.accepts(int) => {
                if O::TAKES_HOST
                    && let Some(host) = self.input.host(value)
                {
                    return self.output.host(at, host);
                }
                self.output.int(at, int)
            }
            _ => self.convert_int(rules, strict, at, value),
        }
    }

    #[cold]
    fn convert_int(
        &mut self,
        rules: &IntRules,
        strict: bool,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<O::Value> {
        let parsed = match self.input.get(value)? {
            Found::Int(int) => Ok((AnyInt::Small(int), Fit::Exact)),
            Found::BigInt(digits) if I::IS_JSON && is_too_long(digits) => Err(Code::IntParsingSize),
            Found::BigInt(digits) => Ok((AnyInt::Big(digits.to_owned()), Fit::Exact)),
            _ if strict => Err(Code::IntType),
            Found::Bool(flag) => Ok((AnyInt::Small(flag.into()), Fit::Lax)),
            Found::Float(float) => int_from_float(float).map(|int| (int, Fit::Lax)),
            Found::Str(text) => int_from_text(text).map(|int| (int, Fit::Lax)),
            Found::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => int_from_text(text).map(|int| (int, Fit::Lax)),
                Err(_) => Err(Code::IntParsing),
            },
            Found::Decimal(text) => int_from_decimal(text).map(|int| (int, Fit::Lax)),
            Found::Other => match self.input.as_float(value)? {
                Some(float) => {
                    let int = int_from_float(float);
                    // A float may have lost digits that the host has.
                    let exact = match int {
                        Ok(_) if float.abs() >= EXACT => self.input.as_int(value)?,
                        _ => None,
                    };
                    exact.map_or(int, |int| Ok(AnyInt::Small(int))).map(|int| (int, Fit::Lax))
                }
                None => Err(Code::IntType),
            },
            _ => Err(Code::IntType),
        };
        let (int, fit) = match parsed {
            Ok(parsed) => parsed,
            Err(code) => return self.fail(value, code, Ctx::new()),
        };
        self.fit = self.fit.max(fit);
        match int {
            AnyInt::Small(int) => {
                if !rules.accepts(int)
                    && let Some((code, ctx)) = rules.broken(&Number::Int(int))
                {
                    return self.fail(value, code, ctx);
                }
                self.output.int(at, int)
            }
            AnyInt::Big(digits) => {
                // The digits come from a source that promises an integer.
                let Ok(big) = BigInt::from_str(&digits) else {
                    return self.fail(value, Code::IntParsing, Ctx::new());
                };
                if let Some((code, ctx)) = rules.broken(&Number::Big(big)) {
                    return self.fail(value, code, ctx);
                }
                self.output.big_int(at, &digits)
            }
        }
    }

    #[inline]
    pub(crate) fn check_float(
        &mut self,
        rules: &FloatRules,
        strict: bool,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<O::Value> {
        match self.input.float(value)? {
            Some(float) if rules.bounds.is_none() && !rules.finite => {
                if O::TAKES_HOST
                    && let Some(host) = self.input.host(value)
                {
                    return self.output.host(at, host);
                }
                self.output.float(at, rounded(rules.width, float))
            }
            Some(float) => self.finish_float(rules, at, value, float),
            None => self.convert_float(rules, strict, at, value),
        }
    }

    #[cold]
    fn convert_float(
        &mut self,
        rules: &FloatRules,
        strict: bool,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<O::Value> {
        let parsed = match self.input.get(value)? {
            Found::Float(float) => Ok((float, Fit::Exact)),
            Found::Int(int) => Ok((int as f64, Fit::Strict)),
            // The digits of an integer always parse.
            Found::BigInt(digits) => match digits.parse().unwrap_or(f64::NAN) {
                // JSON has no integers, only numbers.
                float if f64::is_finite(float) || I::IS_JSON => Ok((float, Fit::Strict)),
                _ => Err(Code::FloatType),
            },
            Found::Decimal(text) => float_from_text(text).map(|float| (float, Fit::Strict)),
            Found::Other => match self.input.as_float(value)? {
                Some(float) => Ok((float, Fit::Strict)),
                None => Err(Code::FloatType),
            },
            _ if strict => Err(Code::FloatType),
            Found::Bool(flag) => Ok((f64::from(u8::from(flag)), Fit::Lax)),
            Found::Str(text) => float_from_text(text).map(|float| (float, Fit::Lax)),
            Found::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => float_from_text(text).map(|float| (float, Fit::Lax)),
                Err(_) => Err(Code::FloatParsing),
            },
            _ => Err(Code::FloatType),
        };
        match parsed {
            Ok((float, fit)) => {
                self.fit = self.fit.max(fit);
                self.finish_float(rules, at, value, float)
            }
            Err(code) => self.fail(value, code, Ctx::new()),
        }
    }

    fn finish_float(
        &mut self,
        rules: &FloatRules,
        at: O::Place,
        value: &I::Value,
        float: f64,
    ) -> Checked<O::Value> {
        if rules.finite && !float.is_finite() {
            return self.fail(value, Code::FiniteNumber, Ctx::new());
        }
        if let Some(bounds) = &rules.bounds
            && let Some((code, ctx)) = bounds.broken(&Number::Float(float))
        {
            return self.fail(value, code, ctx);
        }
        self.output.float(at, rounded(rules.width, float))
    }

    #[inline]
    pub(crate) fn check_bool(
        &mut self,
        strict: bool,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<O::Value> {
        let found = match self.input.get(value)? {
            Found::Bool(flag) => return self.output.bool(at, flag),
            Found::Decimal(text) => Found::Float(float_from_text(text).unwrap_or(f64::NAN)),
            Found::Other if !strict => match self.input.as_float(value)? {
                Some(float) => Found::Float(float),
                None => Found::Other,
            },
            other => other,
        };
        let parsed = match found {
            _ if strict => Err(Code::BoolType),
            Found::Str(text) => bool_from_text(text).ok_or(Code::BoolParsing),
            Found::Bytes(bytes) => {
                std::str::from_utf8(bytes).ok().and_then(bool_from_text).ok_or(Code::BoolParsing)
            }
            Found::Int(0) => Ok(false),
            Found::Int(1) => Ok(true),
            Found::Int(_) | Found::BigInt(_) => Err(Code::BoolParsing),
            Found::Float(0.0) => Ok(false),
            Found::Float(1.0) => Ok(true),
            Found::Float(float) if float.fract() == 0.0 && float.abs() < 2_f64.powi(63) => {
                Err(Code::BoolParsing)
            }
            _ => Err(Code::BoolType),
        };
        match parsed {
            Ok(flag) => {
                self.fit = self.fit.max(Fit::Lax);
                self.output.bool(at, flag)
            }
            Err(code) => self.fail(value, code, Ctx::new()),
        }
    }
}

#[inline]
fn rounded(width: FloatWidth, float: f64) -> f64 {
    match width {
        FloatWidth::F64 => float,
        FloatWidth::F32 => match f64::from(float as f32) {
            // One beyond the range is no infinity; a column of 32 bits refuses it.
            narrow if narrow.is_infinite() => float,
            narrow => narrow,
        },
    }
}

fn bool_from_text(text: &str) -> Option<bool> {
    const TRUE: [&str; 6] = ["1", "true", "t", "yes", "y", "on"];
    const FALSE: [&str; 6] = ["0", "false", "f", "no", "n", "off"];
    let is = |known: &&str| known.eq_ignore_ascii_case(text);
    if TRUE.iter().any(is) {
        Some(true)
    } else if FALSE.iter().any(is) {
        Some(false)
    } else {
        None
    }
}

/// From here on not every integer is a float.
const EXACT: f64 = 9_007_199_254_740_992.0;

fn int_from_float(float: f64) -> Result<AnyInt, Code> {
    if !float.is_finite() {
        return Err(Code::FiniteNumber);
    }
    if float.fract() != 0.0 {
        return Err(Code::IntFromFloat);
    }
    // Beyond 2^63 the digits of a float are not those that were written.
    if float.abs() < 9_223_372_036_854_775_808.0 {
        Ok(AnyInt::Small(float as i64))
    } else {
        Err(Code::IntParsingSize)
    }
}

/// The integer that a text stands for, if it fits 64 bits.
pub(crate) fn small_int(text: &str) -> Option<i64> {
    match int_from_text(text) {
        Ok(AnyInt::Small(int)) => Some(int),
        _ => None,
    }
}

/// Reads an integer as Python's `int` does, and `1.00` as 1.
fn int_from_text(text: &str) -> Result<AnyInt, Code> {
    let text = text.trim();
    let digits = match text.split_once('.') {
        Some((whole, zeros))
            if !whole.is_empty() && !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') =>
        {
            whole
        }
        Some(_) => return Err(Code::IntParsing),
        None => text,
    };
    let (negative, digits) = match digits.as_bytes().first() {
        Some(b'-') => (true, &digits[1..]),
        Some(b'+') => (false, &digits[1..]),
        _ => (false, digits),
    };
    // Underscores stand between digits, one at a time.
    let plain = !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
        && !digits.starts_with('_')
        && !digits.ends_with('_')
        && !digits.contains("__");
    if !plain {
        return Err(Code::IntParsing);
    }
    if digits.len() > MAX_INT_TEXT {
        return Err(Code::IntParsingSize);
    }
    let mut clean: String = digits.chars().filter(|digit| *digit != '_').collect();
    let zeros = clean.bytes().take_while(|digit| *digit == b'0').count().min(clean.len() - 1);
    clean.drain(..zeros);
    if negative && clean != "0" {
        clean.insert(0, '-');
    }
    Ok(match i64::from_str(&clean) {
        Ok(int) => AnyInt::Small(int),
        Err(_) => AnyInt::Big(clean),
    })
}

/// The integer that a decimal is, if it is one.
fn int_from_decimal(text: &str) -> Result<AnyInt, Code> {
    if let Ok(int) = int_from_text(text) {
        return Ok(int);
    }
    match decimal::parse(text) {
        None => Err(Code::FiniteNumber),
        Some(decimal) => match decimal.whole() {
            Some(digits) => int_from_text(&digits),
            None => Err(Code::IntFromFloat),
        },
    }
}

/// Reads a float as Python's `float` does.
fn float_from_text(text: &str) -> Result<f64, Code> {
    let text = text.trim();
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let known = ["inf", "infinity", "nan"].iter().any(|name| unsigned.eq_ignore_ascii_case(name));
    if !known && !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return Err(Code::FloatParsing);
    }
    if text.contains('_') {
        let grouped = text.as_bytes().windows(3).all(|window| {
            window[1] != b'_' || (window[0].is_ascii_digit() && window[2].is_ascii_digit())
        }) && !text.starts_with('_')
            && !text.ends_with('_');
        if !grouped {
            return Err(Code::FloatParsing);
        }
        return text.replace('_', "").parse().map_err(|_| Code::FloatParsing);
    }
    text.parse().map_err(|_| Code::FloatParsing)
}
