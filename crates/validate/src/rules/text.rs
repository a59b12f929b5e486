//! Strings.

use std::borrow::Cow;
use std::sync::Arc;

use ottava_core::schema::{Format, Rules};
use smallvec::smallvec;

use crate::check::{Fit, Run};
use crate::input::{Found, Input};
use crate::issue::{Code, Ctx, Param};
use crate::output::{Checked, Output};
use crate::pattern::Pattern;

/// Rules of a string.
#[derive(Debug, Default)]
pub(crate) struct StrRules {
    /// Nothing but the type is checked.
    pub(crate) free: bool,
    pub(crate) min_length: usize,
    pub(crate) max_length: usize,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) format: Option<Format>,
    strip: bool,
    case: Case,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Case {
    #[default]
    Keep,
    Lower,
    Upper,
}

type Broken = (Code, Ctx);

impl StrRules {
    pub(crate) fn new(rules: &Rules, pattern: Option<Pattern>) -> Self {
        let case = match (rules.to_lower, rules.to_upper) {
            (true, _) => Case::Lower,
            (false, true) => Case::Upper,
            (false, false) => Case::Keep,
        };
        let mut compiled = Self {
            free: false,
            min_length: rules.min_length.unwrap_or(0),
            max_length: rules.max_length.unwrap_or(usize::MAX),
            pattern,
            format: rules.format,
            strip: rules.strip_whitespace,
            case,
        };
        compiled.free = compiled.min_length == 0
            && compiled.max_length == usize::MAX
            && compiled.pattern.is_none()
            && compiled.format.is_none()
            && !compiled.changes();
        compiled
    }

    /// Whether the value itself may be changed.
    pub(crate) fn changes(&self) -> bool {
        self.strip || self.case != Case::Keep
    }

    #[inline]
    pub(crate) fn accepts(&self, text: &str) -> bool {
        // A string has at most as many characters as bytes and at least a quarter of them.
        let bytes = text.len();
        if (bytes < self.min_length || bytes > self.max_length || bytes / 4 < self.min_length)
            && (self.min_length > 0 || self.max_length < usize::MAX)
        {
            let length = if text.is_ascii() { bytes } else { text.chars().count() };
            if length < self.min_length || length > self.max_length {
                return false;
            }
        }
        if let Some(pattern) = &self.pattern
            && !pattern.is_match(text)
        {
            return false;
        }
        match self.format {
            None => true,
            Some(Format::Email) => super::format::is_email(text),
            Some(_) => self.broken_format(text).is_none(),
        }
    }

    #[cold]
    pub(crate) fn broken(&self, text: &str) -> Checked<Option<Broken>> {
        let length = text.chars().count();
        let count = |value: usize| Param::Int(i64::try_from(value).unwrap_or(i64::MAX));
        if length < self.min_length {
            let ctx = smallvec![("min_length", count(self.min_length))];
            return Ok(Some((Code::StringTooShort, ctx)));
        }
        if length > self.max_length {
            let ctx = smallvec![("max_length", count(self.max_length))];
            return Ok(Some((Code::StringTooLong, ctx)));
        }
        if let Some(pattern) = &self.pattern
            && !pattern.find(text)?
        {
            let source = Param::Str(Arc::clone(pattern.source()));
            return Ok(Some((Code::StringPatternMismatch, smallvec![("pattern", source)])));
        }
        Ok(self.broken_format(text))
    }

    fn broken_format(&self, text: &str) -> Option<Broken> {
        let error =
            |code, reason: &str| Some((code, smallvec![("error", Param::Str(reason.into()))]));
        match self.format? {
            Format::Email if super::format::is_email(text) => None,
            Format::Email => error(Code::ValueError, super::format::EMAIL_REASON),
            Format::Url => match super::format::check_url(text) {
                Ok(()) => None,
                Err(reason) => error(Code::UrlParsing, &reason),
            },
            Format::Uuid => match super::format::parse_uuid(text) {
                Ok(_) => None,
                Err(reason) => error(Code::UuidParsing, &reason),
            },
            _ => None,
        }
    }

    fn changed<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.case {
            Case::Keep => Cow::Borrowed(text),
            Case::Lower => Cow::Owned(text.to_lowercase()),
            Case::Upper => Cow::Owned(text.to_uppercase()),
        }
    }
}

impl<I: Input, O: Output> Run<'_, I, O> {
    #[inline]
    pub(crate) fn check_str(
        &mut self,
        rules: &StrRules,
        strict: bool,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<O::Value> {
        if I::IS_JSON {
            // JSON text may stand for something else just as well.
            self.fits(Fit::Strict);
        }
        if let Some(text) = self.input.str(value)?
            && (rules.free || (!rules.changes() && rules.accepts(text)))
        {
            if O::TAKES_HOST {
                if let Some(host) = self.input.host(value) {
                    return self.output.host(at, host);
                }
                // The host has no object for it; read the text again.
                return match self.input.str(value)? {
                    Some(text) => self.output.str(at, text),
                    None => self.convert_str(rules, strict, at, value),
                };
            }
            return self.output.str(at, text);
        }
        self.convert_str(rules, strict, at, value)
    }

    #[cold]
    fn convert_str(
        &mut self,
        rules: &StrRules,
        strict: bool,
        at: O::Place,
        value: &I::Value,
    ) -> Checked<O::Value> {
        let is_broken = self.input.is_broken_text(value);
        let (text, fit) = match self.input.get(value)? {
            Found::Str(text) => (text, Fit::Exact),
            Found::Bytes(bytes) | Found::ByteArray(bytes) if !strict => {
                match std::str::from_utf8(bytes) {
                    Ok(text) => (text, Fit::Lax),
                    Err(_) => return self.fail(value, Code::StringUnicode, Ctx::new()),
                }
            }
            _ if is_broken => return self.fail(value, Code::StringUnicode, Ctx::new()),
            _ => return self.fail(value, Code::StringType, Ctx::new()),
        };
        let text = if rules.strip { text.trim() } else { text };
        if let Some((code, ctx)) = rules.broken(text)? {
            return self.fail(value, code, ctx);
        }
        self.fit = self.fit.max(fit);
        self.output.str(at, &rules.changed(text))
    }
}
