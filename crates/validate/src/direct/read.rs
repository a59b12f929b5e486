//! Reading rows the direct way.

use ottava_core::limits::Limits;
use ottava_core::schema::{Extra, FieldDefault};

use super::plan::{Direct, DirectField, DirectKind};
use crate::check::Run;
use crate::input::{Collection, Input};
use crate::issue::Issues;
use crate::json::scan::{digits, eight, sixteen};
use crate::json::{INT_TENS, JsonInput, JsonOptions, MOST_DIGITS, decimal, find_special};
use crate::output::{Given, Output};
use crate::program::{NodeId, Op, Program, RecordPlan};
use crate::rules::temporal;

/// Most digits of an integer.
const INT_DIGITS: usize = 18;

/// A text of rows, and how it is read.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'s, 't> {
    pub(crate) direct: &'s Direct,
    pub(crate) program: &'s Program,
    pub(crate) text: &'t str,
    pub(crate) options: JsonOptions,
    pub(crate) limits: Limits,
    pub(crate) strict: Option<bool>,
}

impl Rows<'_, '_> {
    /// Reads the row that begins at `at`: what it becomes, and where it ends. `None` if only the engine can tell; the output may then have
    /// been given a part of it.
    #[inline]
    pub(crate) fn row<O: Output>(
        &self,
        at: usize,
        place: O::Place,
        output: &mut O,
    ) -> Option<(O::Value, usize)> {
        self.record(self.direct.root, at, 0, place, output)
    }

    #[inline(always)]
    fn byte(&self, at: usize) -> u8 {
        self.text.as_bytes().get(at).copied().unwrap_or(0)
    }

    /// `at`, or the next index if there is a space.
    #[inline(always)]
    fn past_space(&self, at: usize) -> usize {
        at + usize::from(self.byte(at) == b' ')
    }

    #[inline]
    fn record<O: Output>(
        &self,
        number: usize,
        at: usize,
        depth: usize,
        place: O::Place,
        output: &mut O,
    ) -> Option<(O::Value, usize)> {
        let fields = self.direct.records.get(number)?.as_deref()?;
        let plan = self.program.records.get(number)?;
        if self.byte(at) != b'{' || depth >= self.limits.depth {
            return None;
        }
        let mut at = self.past_space(at + 1);
        let mut record = output.record(place, plan).ok()?;
        let mut given = Given::new(fields.len());
        let mut expected = 0;
        loop {
            let bytes = self.text.as_bytes();
            let (index, field) = match fields.get(expected) {
                Some(field) if field.key.stands(sixteen(bytes, at), bytes, at) => {
                    at = self.past_space(at + field.key.len());
                    (expected, field)
                }
                _ => match self.other_key(fields, plan, at, depth + 1)? {
                    (Some(index), next) => {
                        at = next;
                        (index, &fields[index])
                    }
                    (None, next) => {
                        at = self.past_space(next);
                        match self.byte(at) {
                            b',' => at = self.past_space(at + 1),
                            b'}' => break,
                            _ => return None,
                        }
                        continue;
                    }
                },
            };
            if !given.insert(index) {
                return None;
            }
            let field_place = output.field_place(place, &record, index);
            let (value, end) = self.value(field, at, depth + 1, field_place, output)?;
            output.field(&mut record, index, value).ok()?;
            expected = index + 1;
            at = end;
            match self.byte(at) {
                b',' => at = self.past_space(at + 1),
                b'}' => break,
                _ => return None,
            }
        }
        if !given.is_full(fields.len()) {
            self.fill(plan, &given, place, &mut record, output)?;
        }
        Some((output.end_record(place, plan, record, &given).ok()?, at + 1))
    }

    /// The field of the key at `at`, which is not the one that was expected, and where its value stands; where the value ends if there is no
    /// such field and that does not matter.
    #[inline(never)]
    fn other_key(
        &self,
        fields: &[DirectField],
        plan: &RecordPlan,
        at: usize,
        depth: usize,
    ) -> Option<(Option<usize>, usize)> {
        let bytes = self.text.as_bytes();
        if self.byte(at) != b'"' {
            return None;
        }
        let near = sixteen(bytes, at);
        if let Some(index) = fields.iter().position(|field| field.key.stands(near, bytes, at)) {
            return Some((Some(index), self.past_space(at + fields[index].key.len())));
        }
        let end = find_special(bytes, at + 1);
        if self.byte(end) != b'"' || self.byte(end + 1) != b':' {
            return None;
        }
        let value = self.past_space(end + 2);
        match plan.field_of(self.text.get(at + 1..end)?) {
            Some(index) => Some((Some(index), value)),
            None if plan.extra == Extra::Ignore && !self.options.forbid_duplicate_keys => {
                Some((None, self.pass(value, depth)?))
            }
            None => None,
        }
    }

    /// Where the value at `at` ends, whatever it is.
    pub(crate) fn pass(&self, at: usize, depth: usize) -> Option<usize> {
        let mut input = JsonInput::from_text(self.rest(at)?, self.options, &self.limits);
        input.enter_from(depth);
        input.skip(&0).ok()?;
        Some(at + input.position())
    }

    /// What the line has from `at` on.
    #[inline]
    fn rest(&self, at: usize) -> Option<&str> {
        let rest = self.text.get(at..)?;
        let end = memchr::memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
        rest.get(..end)
    }

    /// Fills in what the row does not have.
    #[inline(never)]
    fn fill<O: Output>(
        &self,
        plan: &RecordPlan,
        given: &Given,
        place: O::Place,
        record: &mut O::Record,
        output: &mut O,
    ) -> Option<()> {
        for (index, field) in plan.fields.iter().enumerate() {
            if given.contains(index) {
                continue;
            }
            match &field.default {
                FieldDefault::Required => return None,
                FieldDefault::Absent => {}
                default => {
                    let place = output.field_place(place, record, index);
                    let value = output.default(place, plan, index, default).ok()?;
                    output.field(record, index, value).ok()?;
                }
            }
        }
        Some(())
    }

    #[inline(always)]
    pub(crate) fn value<O: Output>(
        &self,
        field: &DirectField,
        at: usize,
        depth: usize,
        place: O::Place,
        output: &mut O,
    ) -> Option<(O::Value, usize)> {
        if field.nullable && self.byte(at) == b'n' {
            let null = eight(self.text.as_bytes(), at) as u32 == u32::from_le_bytes(*b"null");
            return if null { Some((output.null(place).ok()?, at + 4)) } else { None };
        }
        match &field.kind {
            DirectKind::Record(number)
                if self.byte(at) == b'{' && self.direct.records[*number].is_some() =>
            {
                self.inner(*number, at, depth, place, output)
            }
            DirectKind::List { item, min, max } if self.byte(at) == b'[' => {
                self.list(item, *min..=*max, at, depth, place, output)
            }
            kind => match self.scalar(kind, at, place, output) {
                None => self.ask(field.node, at, depth, place, output),
                found => found,
            },
        }
    }

    #[inline(never)]
    fn inner<O: Output>(
        &self,
        number: usize,
        at: usize,
        depth: usize,
        place: O::Place,
        output: &mut O,
    ) -> Option<(O::Value, usize)> {
        self.record(number, at, depth, place, output)
    }

    /// The value at `at`; `None`, with nothing done, if it is not of the very kind and right as it is.
    #[inline(always)]
    fn scalar<O: Output>(
        &self,
        kind: &DirectKind,
        at: usize,
        place: O::Place,
        output: &mut O,
    ) -> Option<(O::Value, usize)> {
        let made = match kind {
            DirectKind::Int { low, high } => {
                let (int, end) = self.int(at)?;
                if int < *low || int > *high {
                    return None;
                }
                (output.int(place, int), end)
            }
            DirectKind::Float => {
                let (float, end) = self.float(at)?;
                (output.float(place, float), end)
            }
            DirectKind::FreeText => {
                let (text, end) = self.string(at)?;
                (output.str(place, text), end)
            }
            DirectKind::Text(node) => {
                let Op::Str(rules) = &self.program.node(*node).op else { return None };
                let (text, end) = self.string(at)?;
                if !rules.accepts(text) {
                    return None;
                }
                (output.str(place, text), end)
            }
            DirectKind::Bool => match self.byte(at) {
                b't' if self.bytes_at(at, *b"true") => (output.bool(place, true), at + 4),
                b'f' if self.bytes_at(at + 1, *b"alse") => (output.bool(place, false), at + 5),
                _ => return None,
            },
            DirectKind::Literal { plan, symbols } => {
                let (word, end) = self.short(at)?;
                let index = symbols.find(word)?;
                (output.literal(place, &self.program.literals[*plan], index), end)
            }
            DirectKind::Enum { plan, symbols } => {
                let (word, end) = self.short(at)?;
                let index = symbols.find(word)?;
                (output.enum_member(place, &self.program.enums[*plan], index), end)
            }
            DirectKind::DateTime => {
                let (text, end) = self.string(at)?;
                (output.datetime(place, temporal::usual_datetime(text.as_bytes())?), end)
            }
            DirectKind::Record(_) | DirectKind::List { .. } | DirectKind::Other => return None,
        };
        Some((made.0.ok()?, made.1))
    }

    #[inline(always)]
    fn bytes_at(&self, at: usize, word: [u8; 4]) -> bool {
        eight(self.text.as_bytes(), at) as u32 == u32::from_le_bytes(word)
    }

    /// Has the engine check the value at `at`.
    #[inline(never)]
    fn ask<O: Output>(
        &self,
        node: NodeId,
        at: usize,
        depth: usize,
        place: O::Place,
        output: &mut O,
    ) -> Option<(O::Value, usize)> {
        let mut input = JsonInput::from_text(self.rest(at)?, self.options, &self.limits);
        input.enter_from(depth);
        let mut issues = Issues::new(1);
        let mut run =
            Run::new(self.program, &mut input, output, &mut issues, &self.limits, self.strict);
        run.depth = depth;
        let made = run.check(node, place, 0).ok()?;
        Some((made, at + input.position()))
    }

    #[inline(never)]
    fn list<O: Output>(
        &self,
        item: &DirectKind,
        size: std::ops::RangeInclusive<usize>,
        at: usize,
        depth: usize,
        place: O::Place,
        output: &mut O,
    ) -> Option<(O::Value, usize)> {
        if depth >= self.limits.depth {
            return None;
        }
        let mut at = self.past_space(at + 1);
        let mut list = output.seq(place, Collection::List).ok()?;
        let mut count = 0;
        if self.byte(at) != b']' {
            loop {
                let item_place = output.item_place(place, &list);
                let (value, end) = self.scalar(item, at, item_place, output)?;
                output.push(&mut list, value).ok()?;
                count += 1;
                at = end;
                match self.byte(at) {
                    b',' => at = self.past_space(at + 1),
                    b']' => break,
                    _ => return None,
                }
            }
        }
        if !size.contains(&count) {
            return None;
        }
        Some((output.end_seq(place, list).ok()?, at + 1))
    }

    /// A string without escapes, and where it ends.
    #[inline(always)]
    fn string(&self, at: usize) -> Option<(&str, usize)> {
        let bytes = self.text.as_bytes();
        if self.byte(at) != b'"' {
            return None;
        }
        let end = find_special(bytes, at + 1);
        if self.byte(end) != b'"' {
            return None;
        }
        Some((self.text.get(at + 1..end)?, end + 1))
    }

    /// A string of at most fifteen bytes, as [`Symbols`](super::symbols::Symbols) has it, and where it ends.
    #[inline(always)]
    fn short(&self, at: usize) -> Option<(u128, usize)> {
        let bytes = self.text.as_bytes();
        if self.byte(at) != b'"' {
            return None;
        }
        let near = sixteen(bytes, at + 1);
        let length = crate::json::special_in(near);
        if length >= 16 || self.byte(at + 1 + length) != b'"' {
            return None;
        }
        Some((near & ((1 << (8 * length)) - 1), at + length + 2))
    }

    /// Digits, at most [`MOST_DIGITS`]: how many, and their number.
    #[inline(always)]
    fn digits(&self, at: usize) -> Option<(usize, u64)> {
        let bytes = self.text.as_bytes();
        let (count, number) = digits(eight(bytes, at));
        if count < 8 {
            return Some((count, number));
        }
        let (more, rest) = digits(eight(bytes, at + 8));
        let number = number * INT_TENS[more] + rest;
        if more < 8 {
            return Some((8 + more, number));
        }
        let (more, rest) = digits(eight(bytes, at + 16));
        (16 + more <= MOST_DIGITS).then(|| (16 + more, number * INT_TENS[more & 7] + rest))
    }

    /// A sign and the digits of an integer: whether it is negative, how many digits, their number, and where they end.
    #[inline(always)]
    fn whole(&self, at: usize) -> Option<(bool, usize, u64, usize)> {
        let negative = self.byte(at) == b'-';
        let first = at + usize::from(negative);
        let (count, number) = self.digits(first)?;
        if count == 0 || count > INT_DIGITS || (count > 1 && self.byte(first) == b'0') {
            return None;
        }
        Some((negative, count, number, first + count))
    }

    #[inline(always)]
    fn int(&self, at: usize) -> Option<(i64, usize)> {
        let (negative, _, number, end) = self.whole(at)?;
        if matches!(self.byte(end), b'.' | b'e' | b'E') {
            return None;
        }
        let number = number as i64;
        Some((if negative { -number } else { number }, end))
    }

    #[inline(always)]
    fn float(&self, at: usize) -> Option<(f64, usize)> {
        let (negative, count, whole, point) = self.whole(at)?;
        let (number, places, end) = match self.byte(point) {
            b'.' => {
                let (places, part) = self.digits(point + 1)?;
                if places == 0 || (whole > 0 && count + places > MOST_DIGITS) {
                    return None;
                }
                (whole * INT_TENS[places] + part, places, point + 1 + places)
            }
            b'e' | b'E' => return None,
            _ => {
                let int = whole as i64;
                return Some(((if negative { -int } else { int }) as f64, point));
            }
        };
        if matches!(self.byte(end), b'e' | b'E') {
            return None;
        }
        let float = decimal(number, places);
        Some((if negative { -float } else { float }, end))
    }
}
