//! Byte strings, UUIDs and decimals.

use ottava_core::schema::Rules;
use smallvec::smallvec;

use super::collection::{SizeRules, count};
use super::decimal::{self, Decimal};
use super::format::parse_uuid;
use super::number::Bounds;
use crate::check::{Fit, Run};
use crate::input::{Found, Input};
use crate::issue::{Code, Ctx, Param};
use crate::output::{Checked, Output};

type Broken = (Code, Ctx);

/// Rules of a decimal.
#[derive(Debug)]
pub(crate) struct DecimalRules {
    bounds: Bounds,
    max_digits: Option<u32>,
    decimal_places: Option<u32>,
    allow_inf_nan: bool,
}

impl DecimalRules {
    pub(crate) fn compile(rules: &Rules) -> Result<Self, &'static str> {
        Ok(Self {
            bounds: Bounds::compile(rules)?,
            max_digits: rules.max_digits,
            decimal_places: rules.decimal_places,
            allow_inf_nan: rules.allow_inf_nan == Some(true),
        })
    }

    fn broken(&self, text: &str) -> Option<Broken> {
        let Some(value) = decimal::parse(text) else {
            return match decimal::is_special(text) {
                true if self.allow_inf_nan => None,
                true => Some((Code::FiniteNumber, Ctx::new())),
                false => Some((Code::DecimalParsing, Ctx::new())),
            };
        };
        self.broken_digits(&value).or_else(|| self.bounds.broken_decimal(&value))
    }

    /// Counts digits as pydantic does: trailing zeros after the point do not count, zeros before the first digit after it do.
    fn broken_digits(&self, value: &Decimal) -> Option<Broken> {
        if self.max_digits.is_none() && self.decimal_places.is_none() {
            return None;
        }
        let trimmed =
            if value.exponent < 0 { value.digits.trim_end_matches('0') } else { &value.digits };
        let cut = i64::try_from(value.digits.len() - trimmed.len()).unwrap_or(0);
        let exponent = if trimmed.is_empty() { 0 } else { value.exponent.saturating_add(cut) };
        let written = i64::try_from(trimmed.len().max(1)).unwrap_or(i64::MAX);
        let (digits, places) = if exponent >= 0 {
            (written.saturating_add(exponent), 0)
        } else {
            (written.max(-exponent), -exponent)
        };
        let param = |name, value: u32| smallvec![(name, Param::Int(value.into()))];
        if let Some(max) = self.max_digits
            && digits > i64::from(max)
        {
            return Some((Code::DecimalMaxDigits, param("max_digits", max)));
        }
        let max_places = self.decimal_places?;
        if places > i64::from(max_places) {
            return Some((Code::DecimalMaxPlaces, param("decimal_places", max_places)));
        }
        let whole = self.max_digits?.saturating_sub(max_places);
        if digits.saturating_sub(places) > i64::from(whole) {
            return Some((Code::DecimalWholeDigits, param("whole_digits", whole)));
        }
        None
    }
}

impl<I: Input, O: Output> Run<'_, I, O> {
    pub(crate) fn check_decimal(
        &mut self,
        rules: &DecimalRules,
        strict: bool,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<O::Value> {
        let read = match self.input.number(value)? {
            Found::Decimal(text) => {
                Ok((text.to_owned(), if I::IS_JSON { Fit::Strict } else { Fit::Exact }))
            }
            Found::Int(_) | Found::BigInt(_) | Found::Float(_) | Found::Str(_)
                if strict && !I::IS_JSON =>
            {
                Err(Code::DecimalType)
            }
            Found::Int(int) => Ok((int.to_string(), Fit::Strict)),
            Found::BigInt(digits) => Ok((digits.to_owned(), Fit::Strict)),
            Found::Float(float) => Ok((format!("{float:?}"), Fit::Strict)),
            Found::Str(text) => {
                let fit = if I::IS_JSON { Fit::Exact } else { Fit::Strict };
                Ok((decimal::in_ascii(text.trim()), fit))
            }
            _ => Err(Code::DecimalType),
        };
        let (text, fit) = match read {
            Ok(read) => read,
            Err(code) => return self.fail(value, code, Ctx::new()),
        };
        if let Some((code, ctx)) = rules.broken(&text) {
            return self.fail(value, code, ctx);
        }
        if O::TAKES_HOST
            && fit == Fit::Exact
            && let Some(host) = self.input.host(value)
        {
            return self.output.host(at, host);
        }
        self.fit = self.fit.max(if fit == Fit::Strict && !I::IS_JSON { Fit::Lax } else { fit });
        self.output.decimal(at, &text)
    }

    pub(crate) fn check_bytes(
        &mut self,
        size: SizeRules,
        strict: bool,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<O::Value> {
        let (bytes, fit) = match self.input.get(value)? {
            Found::Bytes(bytes) => (bytes, Fit::Exact),
            Found::Str(text) if I::IS_JSON => (text.as_bytes(), Fit::Strict),
            Found::Str(text) if !strict => (text.as_bytes(), Fit::Lax),
            Found::ByteArray(bytes) if !strict => (bytes, Fit::Lax),
            _ => return self.fail(value, Code::BytesType, Ctx::new()),
        };
        let length = bytes.len();
        if length < size.min {
            return self.fail(
                value,
                Code::BytesTooShort,
                smallvec![("min_length", count(size.min))],
            );
        }
        if length > size.max {
            return self.fail(
                value,
                Code::BytesTooLong,
                smallvec![("max_length", count(size.max))],
            );
        }
        self.fit = self.fit.max(fit);
        if O::TAKES_HOST
            && fit == Fit::Exact
            && let Some(host) = self.input.host(value)
        {
            return self.output.host(at, host);
        }
        // Read once more: the host may have been asked in between.
        match self.input.get(value)? {
            Found::Bytes(bytes) | Found::ByteArray(bytes) => self.output.bytes(at, bytes),
            Found::Str(text) => self.output.bytes(at, text.as_bytes()),
            _ => self.fail(value, Code::BytesType, Ctx::new()),
        }
    }

    pub(crate) fn check_uuid(
        &mut self,
        strict: bool,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<O::Value> {
        let parsed = match self.input.get(value)? {
            Found::Uuid(uuid) => Ok((uuid, Fit::Exact)),
            Found::Str(text) if I::IS_JSON => parse_uuid(text).map(|uuid| (uuid, Fit::Exact)),
            Found::Str(_) if strict && !self.of_json => {
                return self.fail(value, Code::UuidType, Ctx::new());
            }
            Found::Str(text) => parse_uuid(text).map(|uuid| (uuid, Fit::Lax)),
            _ if strict => return self.fail(value, Code::UuidType, Ctx::new()),
            Found::Bytes(bytes) => match <[u8; 16]>::try_from(bytes) {
                Ok(bits) => Ok((u128::from_be_bytes(bits), Fit::Lax)),
                Err(_) => match std::str::from_utf8(bytes) {
                    Ok(text) => parse_uuid(text).map(|uuid| (uuid, Fit::Lax)),
                    Err(error) => Err(error.to_string()),
                },
            },
            _ => return self.fail(value, Code::UuidType, Ctx::new()),
        };
        match parsed {
            Ok((uuid, fit)) => {
                if O::TAKES_HOST
                    && fit == Fit::Exact
                    && let Some(host) = self.input.host(value)
                {
                    return self.output.host(at, host);
                }
                self.fit = self.fit.max(fit);
                self.output.uuid(at, uuid)
            }
            Err(reason) => {
                self.fail(value, Code::UuidParsing, smallvec![("error", Param::Str(reason.into()))])
            }
        }
    }
}
