//! The input over JSON text.

use std::collections::HashSet;
use std::fmt;

use ottava_core::limits::Limits;

use super::error::JsonError;
use super::number::{self, Number};
use super::string::{find_special, unescape};
use crate::input::{Collection, Entry, Found, Input};
use crate::issue::Echo;
use crate::output::{Checked, Stop};
use crate::program::RecordPlan;

/// What JSON text may hold beyond RFC 8259.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JsonOptions {
    /// `NaN`, `Infinity` and `-Infinity` are numbers, and a number too large for a float is infinite. Default: none is JSON.
    pub allow_inf_nan: bool,
    /// A key that occurs twice in an object is an error. Default: the last one wins.
    pub forbid_duplicate_keys: bool,
}

const EOF_VALUE: &str = "EOF while parsing a value";
const EOF_STRING: &str = "EOF while parsing a string";
const EOF_OBJECT: &str = "EOF while parsing an object";
const EOF_LIST: &str = "EOF while parsing a list";

/// Reading that is always allowed. Unions read a value once for each member, and unions inside of those again: text made for it could
/// have them read some of it more often than anybody can wait for.
const LEAST_WORK: usize = 256 << 20;

/// How often all of the text may be read, if that is more.
const MOST_READS: usize = 256;

/// What it costs to enter a container.
const CONTAINER_WORK: usize = 64;

/// How much is read between two questions whether to go on.
const LOOK: usize = 1 << 16;

const TOO_MUCH: &str = "too many ways to read this value";

/// JSON text as an [`Input`]. A value is the offset of its first byte.
#[derive(Debug)]
pub struct JsonInput<'j> {
    text: &'j str,
    pos: usize,
    options: JsonOptions,
    max_depth: usize,
    depth: usize,
    /// Text of the last string with escapes.
    scratch: String,
    /// Start and end of the container that was read or passed over last.
    done: (usize, usize),
    fault: Option<(usize, &'static str)>,
    /// What reading has cost so far, in bytes of strings; a value may be read several times.
    work: usize,
    /// How much that may be before somebody looks at it.
    look_at: usize,
    watch: Option<Watch<'j>>,
    /// The watch has said not to go on.
    ended: bool,
}

/// Knows whether to go on.
#[derive(Clone, Copy)]
struct Watch<'j>(&'j dyn Fn() -> bool);

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

/// An array that is being read.
#[derive(Debug)]
pub struct JsonSeq {
    start: usize,
    depth: usize,
    first: bool,
}

/// An object that is being read.
#[derive(Debug)]
pub struct JsonMap {
    start: usize,
    depth: usize,
    first: bool,
    /// Offset of the key that was read last.
    key: usize,
    /// Keys so far, if none may occur twice.
    seen: Option<HashSet<String>>,
}

impl<'j> JsonInput<'j> {
    /// Prepares to read text.
    ///
    /// # Errors
    /// If the bytes are not UTF-8.
    pub fn new(bytes: &'j [u8], options: JsonOptions, limits: &Limits) -> Result<Self, JsonError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self::from_text(text, options, limits)),
            Err(error) => {
                Err(JsonError::at(bytes, error.valid_up_to(), "invalid unicode code point"))
            }
        }
    }

    /// Prepares to read text that is known to be UTF-8.
    #[must_use]
    pub fn from_text(text: &'j str, options: JsonOptions, limits: &Limits) -> Self {
        Self {
            text,
            pos: 0,
            options,
            max_depth: limits.depth,
            depth: 0,
            scratch: String::new(),
            done: (usize::MAX, 0),
            fault: None,
            work: 0,
            look_at: LEAST_WORK,
            watch: None,
            ended: false,
        }
    }

    /// Asks `go_on` now and then; once it says no, reading ends with [`Stop::Abort`], and [`JsonInput::error`] has nothing to say.
    #[must_use]
    pub fn watched(mut self, go_on: &'j dyn Fn() -> bool) -> Self {
        (self.look_at, self.watch) = (LOOK, Some(Watch(go_on)));
        self
    }

    /// Whether reading has ended because nobody wants it to go on.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// The value of the whole document.
    #[inline]
    pub fn start(&mut self) -> usize {
        self.skip_space();
        self.pos
    }

    /// Starts over with other text, keeping the buffers.
    #[inline]
    pub fn restart(&mut self, text: &'j str) {
        self.text = text;
        self.pos = 0;
        self.depth = 0;
        self.done = (usize::MAX, 0);
        self.fault = None;
        self.work = 0;
        self.look_at = if self.watch.is_some() { LOOK } else { LEAST_WORK };
    }

    /// Where reading has come to.
    #[inline]
    pub(crate) fn position(&self) -> usize {
        self.pos
    }

    /// The text lies inside that many containers.
    #[inline]
    pub(crate) fn enter_from(&mut self, depth: usize) {
        self.depth = depth;
    }

    /// Makes sure that nothing but white space follows.
    ///
    /// # Errors
    /// [`Stop::Abort`] otherwise.
    #[inline]
    pub fn finish(&mut self) -> Checked<()> {
        self.skip_space();
        if self.pos == self.text.len() {
            Ok(())
        } else {
            self.broken(self.pos, "trailing characters")
        }
    }

    /// Why reading has stopped, if the text is not JSON.
    #[must_use]
    pub fn error(&self) -> Option<JsonError> {
        self.fault.map(|(offset, reason)| JsonError::at(self.text.as_bytes(), offset, reason))
    }

    #[inline]
    fn bytes(&self) -> &'j [u8] {
        self.text.as_bytes()
    }

    #[cold]
    fn broken<T>(&mut self, offset: usize, reason: &'static str) -> Checked<T> {
        self.fault.get_or_insert((offset, reason));
        Err(Stop::Abort)
    }

    #[inline]
    fn skip_space(&mut self) {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(self.pos) {
            self.pos += 1;
        }
    }

    /// Reads the string whose quote stands at `at`; its text is in the document or in the scratch buffer.
    #[inline]
    fn string(&mut self, at: usize) -> Checked<&str> {
        let bytes = self.text.as_bytes();
        let start = at + 1;
        let end = find_special(bytes, start);
        self.work += end - at;
        if bytes.get(end) == Some(&b'"') {
            self.pos = end + 1;
            // Both ends are next to ASCII quotes.
            return Ok(self.text.get(start..end).unwrap_or_default());
        }
        self.escaped(start, end)?;
        Ok(&self.scratch)
    }

    #[cold]
    fn escaped(&mut self, start: usize, stop: usize) -> Checked<()> {
        let text = self.text;
        let bytes = text.as_bytes();
        self.scratch.clear();
        let (mut start, mut stop) = (start, stop);
        loop {
            self.scratch.push_str(text.get(start..stop).unwrap_or_default());
            match bytes.get(stop) {
                None => return self.broken(stop, EOF_STRING),
                Some(b'"') => {
                    self.pos = stop + 1;
                    return Ok(());
                }
                Some(b'\\') => match unescape(bytes, stop, &mut self.scratch) {
                    Ok(next) => start = next,
                    Err((offset, reason)) => return self.broken(offset, reason),
                },
                Some(_) => {
                    return self.broken(
                        stop,
                        "control character (\\u0000-\\u001F) found while parsing a string",
                    );
                }
            }
            stop = find_special(bytes, start);
        }
    }

    #[inline]
    fn any_number(&mut self, at: usize) -> Checked<Found<'j>> {
        match number::read(self.text, at) {
            Ok((Number::Int(int), end)) => {
                self.pos = end;
                Ok(Found::Int(int))
            }
            Ok((Number::Float(float), end)) => {
                self.pos = end;
                Ok(Found::Float(float))
            }
            Ok((Number::Big, end)) => {
                self.pos = end;
                let text = self.text;
                Ok(Found::BigInt(text.get(at..end).unwrap_or_default()))
            }
            Err((offset, reason)) => self.broken(offset, reason),
        }
    }

    #[cold]
    fn unusual_int(&mut self, at: usize) -> Checked<Option<i64>> {
        match self.bytes().get(at) {
            Some(b'0'..=b'9' | b'-') => match self.get(&at)? {
                Found::Int(int) => Ok(Some(int)),
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    #[cold]
    fn word(&mut self, at: usize) -> Checked<Found<'j>> {
        let rest = &self.bytes()[at.min(self.text.len())..];
        for (word, found) in [
            (&b"NaN"[..], Found::Float(f64::NAN)),
            (b"Infinity", Found::Float(f64::INFINITY)),
            (b"-Infinity", Found::Float(f64::NEG_INFINITY)),
        ] {
            if self.options.allow_inf_nan && rest.starts_with(word) {
                self.pos = at + word.len();
                return Ok(found);
            }
        }
        let known: [&[u8]; 3] = [b"true", b"false", b"null"];
        if rest.is_empty() || known.iter().any(|word| word.starts_with(rest)) {
            return self.broken(self.text.len(), EOF_VALUE);
        }
        self.broken(at, "expected value")
    }

    /// Enters a container whose bracket stands at `at`.
    #[inline]
    fn enter(&mut self, at: usize) -> Checked<usize> {
        if self.depth >= self.max_depth {
            return self.broken(at, "recursion limit exceeded");
        }
        self.count(CONTAINER_WORK, at)?;
        self.depth += 1;
        self.pos = at + 1;
        Ok(self.depth)
    }

    /// Counts what a step costs; an error if that is too much, or reading is to end.
    #[inline(always)]
    fn count(&mut self, work: usize, at: usize) -> Checked<()> {
        self.work += work;
        if self.work > self.look_at { self.look(at) } else { Ok(()) }
    }

    #[cold]
    fn look(&mut self, at: usize) -> Checked<()> {
        // Who goes on all the same, as `echo` does, gets here again with the next step.
        if let Some(Watch(go_on)) = self.watch
            && (self.ended || !go_on())
        {
            self.ended = true;
            return Err(Stop::Abort);
        }
        if self.work > LEAST_WORK && self.work / MOST_READS > self.text.len() {
            return self.broken(at, TOO_MUCH);
        }
        self.look_at = self.work.saturating_add(LOOK);
        Ok(())
    }

    #[inline]
    fn leave(&mut self, start: usize, depth: usize) {
        self.pos += 1;
        self.depth = depth - 1;
        self.done = (start, self.pos);
    }

    /// Steps over the comma before the next item. Whether there is one, and not the closing bracket.
    #[inline(always)]
    fn separator(&mut self, first: &mut bool, close: u8, at_end: &'static str) -> Checked<bool> {
        match self.bytes().get(self.pos) {
            Some(byte) if *byte == close => return Ok(false),
            Some(b',') if !*first => {
                let next = self.bytes().get(self.pos + 1);
                if next.is_some_and(|next| *next > b' ' && *next != close) {
                    self.pos += 1;
                    return Ok(true);
                }
            }
            Some(byte) if *first && *byte > b' ' => {
                *first = false;
                return Ok(true);
            }
            _ => {}
        }
        self.wide_separator(first, close, at_end)
    }

    /// As [`JsonInput::separator`], with white space around it, or wrong.
    #[inline(never)]
    fn wide_separator(
        &mut self,
        first: &mut bool,
        close: u8,
        at_end: &'static str,
    ) -> Checked<bool> {
        self.skip_space();
        let bytes = self.text.as_bytes();
        match bytes.get(self.pos) {
            Some(byte) if *byte == close => return Ok(false),
            Some(b',') if !*first => {
                self.pos += 1;
                self.skip_space();
                if bytes.get(self.pos) == Some(&close) {
                    return self.broken(self.pos, "trailing comma");
                }
            }
            Some(_) if *first => {}
            Some(_) if close == b'}' => return self.broken(self.pos, "expected `,` or `}`"),
            Some(_) => return self.broken(self.pos, "expected `,` or `]`"),
            None => return self.broken(self.pos, at_end),
        }
        *first = false;
        Ok(true)
    }

    #[inline]
    fn seen_keys(&self) -> Option<HashSet<String>> {
        self.options.forbid_duplicate_keys.then(HashSet::new)
    }

    /// The entry of field `index`, whose key and colon end at `end`.
    #[inline(always)]
    fn known_field(
        &mut self,
        map: &mut JsonMap,
        index: usize,
        end: usize,
    ) -> Checked<Entry<usize>> {
        self.note_key(map)?;
        self.pos = end;
        if self.bytes().get(end).is_none_or(|next| *next <= b' ') {
            self.skip_space();
        }
        Ok(Entry::Field(index, self.pos))
    }

    /// Makes sure that a key has not been there before, if that is forbidden.
    #[inline]
    fn note_key(&mut self, map: &mut JsonMap) -> Checked<()> {
        if map.seen.is_none() { Ok(()) } else { self.note_fresh_key(map) }
    }

    #[cold]
    fn note_fresh_key(&mut self, map: &mut JsonMap) -> Checked<()> {
        let pos = self.pos;
        let key = self.string(map.key)?.to_owned();
        self.pos = pos;
        let fresh = map.seen.as_mut().is_none_or(|seen| seen.insert(key));
        if fresh { Ok(()) } else { self.broken(map.key, "duplicate key") }
    }

    #[inline(always)]
    fn colon(&mut self) -> Checked<()> {
        if let Some([b':', next]) = self.bytes().get(self.pos..self.pos + 2)
            && *next > b' '
        {
            self.pos += 1;
            return Ok(());
        }
        self.wide_colon()
    }

    #[inline(never)]
    fn wide_colon(&mut self) -> Checked<()> {
        self.skip_space();
        match self.bytes().get(self.pos) {
            Some(b':') => {
                self.pos += 1;
                self.skip_space();
                Ok(())
            }
            Some(_) => self.broken(self.pos, "expected `:`"),
            None => self.broken(self.pos, EOF_OBJECT),
        }
    }

    #[cold]
    fn no_key<T>(&mut self, at: usize) -> Checked<T> {
        let reason = if at < self.text.len() { "key must be a string" } else { EOF_OBJECT };
        self.broken(at, reason)
    }

    /// Passes over the value at `at`, checking that it is JSON.
    fn pass(&mut self, at: usize) -> Checked<()> {
        match self.get(&at)? {
            Found::Seq(_) => {
                let mut seq = JsonSeq { start: at, depth: self.enter(at)?, first: true };
                while let Some(item) = self.next_item(&mut seq)? {
                    self.pass(item)?;
                }
            }
            Found::Map => {
                let depth = self.enter(at)?;
                let mut map =
                    JsonMap { start: at, depth, first: true, key: 0, seen: self.seen_keys() };
                while let Some(key) = self.next_key(&mut map)? {
                    self.string(key)?;
                    let value = self.entry_value(&mut map)?;
                    self.pass(value)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Input for JsonInput<'_> {
    type Value = usize;
    type Seq = JsonSeq;
    type Map = JsonMap;

    const IS_JSON: bool = true;

    #[inline]
    fn get<'a>(&'a mut self, value: &'a usize) -> Checked<Found<'a>> {
        let at = *value;
        let bytes = self.text.as_bytes();
        match bytes.get(at) {
            Some(b'"') => Ok(Found::Str(self.string(at)?)),
            Some(b'-') if bytes.get(at + 1) == Some(&b'I') => self.word(at),
            Some(b'0'..=b'9' | b'-') => self.any_number(at),
            Some(b'{') => Ok(Found::Map),
            Some(b'[') => Ok(Found::Seq(Collection::List)),
            Some(b't') if bytes[at..].starts_with(b"true") => {
                self.pos = at + 4;
                Ok(Found::Bool(true))
            }
            Some(b'f') if bytes[at..].starts_with(b"false") => {
                self.pos = at + 5;
                Ok(Found::Bool(false))
            }
            Some(b'n') if bytes[at..].starts_with(b"null") => {
                self.pos = at + 4;
                Ok(Found::Null)
            }
            _ => self.word(at),
        }
    }

    fn number<'a>(&'a mut self, value: &'a usize) -> Checked<Found<'a>> {
        let text = self.text;
        match text.as_bytes().get(*value) {
            Some(b'0'..=b'9' | b'-') => match number::read(text, *value) {
                Ok((Number::Float(_), end)) => {
                    self.pos = end;
                    Ok(Found::Decimal(text.get(*value..end).unwrap_or_default()))
                }
                _ => self.get(value),
            },
            _ => self.get(value),
        }
    }

    #[inline]
    fn int(&mut self, value: &usize) -> Checked<Option<i64>> {
        if let Some((int, end)) = number::usual_int(self.bytes(), *value) {
            self.pos = end;
            return Ok(Some(int));
        }
        self.unusual_int(*value)
    }

    #[inline]
    fn float(&mut self, value: &usize) -> Checked<Option<f64>> {
        if let Some((float, end)) = number::usual_decimal(self.bytes(), *value) {
            self.pos = end;
            return Ok(Some(float));
        }
        match self.get(value)? {
            Found::Float(float) => Ok(Some(float)),
            _ => Ok(None),
        }
    }

    #[inline]
    fn str<'a>(&'a mut self, value: &'a usize) -> Checked<Option<&'a str>> {
        match self.bytes().get(*value) {
            Some(b'"') => Ok(Some(self.string(*value)?)),
            _ => Ok(None),
        }
    }

    #[inline]
    fn is_null(&mut self, value: &usize) -> Checked<bool> {
        let null = self.bytes().get(*value..).is_some_and(|rest| rest.starts_with(b"null"));
        if null {
            self.pos = *value + 4;
        }
        Ok(null)
    }

    #[inline]
    fn seq(&mut self, value: &usize, _want: Collection, _strict: bool) -> Checked<Option<JsonSeq>> {
        if self.bytes().get(*value) != Some(&b'[') {
            return Ok(None);
        }
        Ok(Some(JsonSeq { start: *value, depth: self.enter(*value)?, first: true }))
    }

    #[inline]
    fn next_item(&mut self, seq: &mut JsonSeq) -> Checked<Option<usize>> {
        if self.separator(&mut seq.first, b']', EOF_LIST)? {
            self.count(1, self.pos)?;
            return Ok(Some(self.pos));
        }
        self.leave(seq.start, seq.depth);
        Ok(None)
    }

    #[inline]
    fn map(
        &mut self,
        value: &usize,
        _record: Option<&RecordPlan>,
        _strict: bool,
    ) -> Checked<Option<JsonMap>> {
        if self.bytes().get(*value) != Some(&b'{') {
            return Ok(None);
        }
        Ok(Some(JsonMap {
            start: *value,
            depth: self.enter(*value)?,
            first: true,
            key: 0,
            seen: self.seen_keys(),
        }))
    }

    #[inline]
    fn next_field(
        &mut self,
        map: &mut JsonMap,
        record: &RecordPlan,
        expected: usize,
    ) -> Checked<Entry<usize>> {
        // Most documents have the fields in the order of the declaration, and no white space.
        let field = record.fields.get(expected);
        if !map.first
            && let Some(field) = field
            && let Some(end) = field.quoted.end_after_comma(self.bytes(), self.pos)
        {
            map.key = self.pos + 1;
            return self.known_field(map, expected, end);
        }
        if !self.separator(&mut map.first, b'}', EOF_OBJECT)? {
            self.leave(map.start, map.depth);
            return Ok(Entry::End);
        }
        map.key = self.pos;
        if let Some(field) = field
            && let Some(end) = field.quoted.end(self.bytes(), map.key)
        {
            return self.known_field(map, expected, end);
        }
        if self.bytes().get(map.key) != Some(&b'"') {
            return self.no_key(map.key);
        }
        self.count(1, self.pos)?;
        let field = record.field_of(self.string(map.key)?);
        self.note_key(map)?;
        self.colon()?;
        Ok(match field {
            Some(index) => Entry::Field(index, self.pos),
            None => Entry::Unknown(self.pos),
        })
    }

    fn key_text(&mut self, map: &JsonMap) -> Option<String> {
        let pos = self.pos;
        let text = self.string(map.key).ok().map(str::to_owned);
        self.pos = pos;
        text
    }

    #[inline]
    fn next_key(&mut self, map: &mut JsonMap) -> Checked<Option<usize>> {
        if !self.separator(&mut map.first, b'}', EOF_OBJECT)? {
            self.leave(map.start, map.depth);
            return Ok(None);
        }
        if self.bytes().get(self.pos) != Some(&b'"') {
            return self.no_key(self.pos);
        }
        map.key = self.pos;
        self.count(1, self.pos)?;
        self.note_key(map)?;
        Ok(Some(map.key))
    }

    #[inline]
    fn entry_value(&mut self, _map: &mut JsonMap) -> Checked<usize> {
        self.colon()?;
        Ok(self.pos)
    }

    fn skip(&mut self, value: &usize) -> Checked<()> {
        if self.done.0 == *value {
            self.pos = self.done.1;
            return Ok(());
        }
        self.pass(*value)
    }

    #[inline]
    fn identity(&self, value: &usize) -> Option<usize> {
        Some(*value)
    }

    fn give_up(&mut self) -> Stop {
        self.fault.get_or_insert((self.pos, TOO_MUCH));
        Stop::Abort
    }

    #[cold]
    fn echo(&mut self, value: &usize) -> Echo {
        let (pos, depth) = (self.pos, self.depth);
        // Where the text is broken, the value goes on to the end.
        let end = match self.skip(value) {
            Ok(()) => self.pos,
            Err(_) => self.text.len(),
        };
        (self.pos, self.depth) = (pos, depth);
        Echo::Span(*value..end)
    }
}
