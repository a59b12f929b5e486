//! The one engine: a program, run over an input, into an output.

use ottava_core::limits::Limits;

use crate::input::{Collection, Found, HostValue, Input};
use crate::issue::{Code, Ctx, Echo, Issue, Issues};
use crate::output::{Checked, Output, Stop};
use crate::program::{NodeId, Op, Program};
use crate::rules::number::is_too_long;
use crate::rules::union::Settled;

/// One run of a program. It is generic over both ends, so each pair of them is compiled on its own.
pub struct Run<'r, I: Input, O: Output> {
    /// The compiled declaration.
    pub program: &'r Program,
    /// Where values come from.
    pub input: &'r mut I,
    /// Where values go.
    pub output: &'r mut O,
    /// What has been found wrong so far.
    pub issues: &'r mut Issues,
    /// How deep the current value lies inside the root.
    pub(crate) depth: usize,
    /// The deepest that a value may lie.
    pub(crate) max_depth: usize,
    /// How much conversion the values since the last reset have needed.
    pub(crate) fit: Fit,
    /// How many fields records have been given since the last reset; `None` if there was no record.
    pub(crate) fields: Option<usize>,
    /// Whether the current value is tried for a union, which counts the fields.
    pub(crate) in_union: bool,
    /// Whether the value is known to be right and is only made once more, to be compared. What would look at items
    /// a second time is left out, or nested collections would double the work with each level.
    pub(crate) verified: bool,
    /// Makes every node strict, whatever the declaration says.
    pub(crate) force_strict: Option<bool>,
    /// How often alternatives inside of alternatives were tried since the outermost of them began.
    pub(crate) trials: usize,
    /// Whether the current value is checked by an alternative of an assertion.
    pub(crate) nested: bool,
    /// Whether the value comes out of JSON text, be it by way of a validator.
    pub(crate) of_json: bool,
    /// What nested unions were found to be; see [`Run::check_union`].
    pub(crate) settled: Settled<I::Value>,
    /// The host's objects that are being checked against definitions that may contain themselves.
    pub(crate) under_way: Vec<(HostValue, NodeId)>,
}

/// How well a value fits a type, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// The very type.
    Exact,
    /// Another type that even strict conversion takes.
    Strict,
    /// A conversion that only lax mode makes.
    Lax,
}

impl<'r, I: Input, O: Output> Run<'r, I, O> {
    /// A run from the start. `strict` overrides what the declaration says.
    pub fn new(
        program: &'r Program,
        input: &'r mut I,
        output: &'r mut O,
        issues: &'r mut Issues,
        limits: &Limits,
        strict: Option<bool>,
    ) -> Self {
        let max_depth = limits.depth;
        Self {
            program,
            input,
            output,
            issues,
            depth: 0,
            max_depth,
            fit: Fit::Exact,
            fields: None,
            in_union: false,
            verified: false,
            force_strict: strict,
            trials: 0,
            nested: false,
            of_json: I::IS_JSON,
            settled: Settled::default(),
            under_way: Vec::new(),
        }
    }

    /// The same run, of a value that was made of JSON text if `of_json` says so.
    #[must_use]
    pub fn of_json(mut self, of_json: bool) -> Self {
        self.of_json = of_json;
        self
    }

    /// Whether the value comes out of JSON text, and what overrides the strictness of the declaration: what a host needs to go on with
    /// this run in another.
    #[must_use]
    pub fn manner(&self) -> (bool, Option<bool>) {
        (self.of_json, self.force_strict)
    }

    /// Whether a node may convert nothing.
    #[must_use]
    pub fn is_strict(&self, id: NodeId) -> bool {
        self.force_strict.unwrap_or(self.program.node(id).strict)
    }

    /// How well what was checked so far fits, for unions around it.
    #[must_use]
    pub fn fit(&self) -> Fit {
        self.fit
    }

    /// What was checked in another run for this one fits no better than this.
    #[inline]
    pub fn fits(&mut self, fit: Fit) {
        self.fit = self.fit.max(fit);
    }

    /// The same run over another input, such as an object that a validator has returned.
    pub fn with_input<J: Input, T>(
        &mut self,
        input: &mut J,
        body: impl FnOnce(&mut Run<'_, J, O>) -> T,
    ) -> T {
        let mut run = Run {
            program: self.program,
            input,
            output: &mut *self.output,
            issues: &mut *self.issues,
            depth: self.depth,
            max_depth: self.max_depth,
            fit: self.fit,
            fields: self.fields,
            in_union: self.in_union,
            verified: self.verified,
            force_strict: self.force_strict,
            trials: self.trials,
            nested: self.nested,
            of_json: self.of_json,
            settled: Settled::default(),
            under_way: std::mem::take(&mut self.under_way),
        };
        let result = body(&mut run);
        self.under_way = std::mem::take(&mut run.under_way);
        (self.fit, self.fields, self.trials) = (run.fit, run.fields, run.trials);
        result
    }

    /// Checks a value against a node and puts it in its place.
    ///
    /// # Errors
    /// [`Stop::Invalid`] if it is wrong; the issues say why. [`Stop::Abort`] if the input or the host is broken.
    pub fn check(&mut self, id: NodeId, at: O::Place, value: I::Value) -> Checked<O::Value> {
        let program = self.program;
        let node = program.node(id);
        let strict = match self.force_strict {
            None => node.strict,
            Some(strict) => strict,
        };
        match &node.op {
            Op::Int(rules) => self.check_int(rules, strict, at, &value),
            Op::Str(rules) => self.check_str(rules, strict, at, &value),
            Op::Float(rules) => self.check_float(rules, strict, at, &value),
            Op::Bool => self.check_bool(strict, at, &value),
            Op::Nullable(inner) => {
                if self.input.is_null(&value)? {
                    self.output.null(at)
                } else {
                    self.check(*inner, at, value)
                }
            }
            Op::Record(record) => {
                self.check_record(&program.records[*record as usize], strict, at, &value)
            }
            Op::DateTime(rules) => self.check_datetime(rules, strict, at, &value),
            Op::Date(rules) => self.check_date(rules, strict, at, &value),
            Op::Time(rules) => self.check_time(rules, strict, at, &value),
            Op::Duration(rules) => self.check_duration(rules, strict, at, &value),
            Op::Enum(plan) => self.check_enum(&program.enums[*plan as usize], strict, at, &value),
            Op::Literal(plan) => self.check_literal(&program.literals[*plan as usize], at, &value),
            Op::Decimal(rules) => self.check_decimal(rules, strict, at, &value),
            Op::Bytes(size) => self.check_bytes(*size, strict, at, &value),
            Op::Uuid => self.check_uuid(strict, at, &value),
            Op::Union(plan) => self.check_union(plan, strict, at, &value),
            Op::Assert(plan) => self.check_assertions(plan, at, &value),
            Op::Seq(plan) => self.check_seq(plan, strict, at, &value),
            Op::Dict(plan) => self.check_dict(plan, strict, at, &value),
            Op::Any | Op::Pending => {
                self.fits(Fit::Strict);
                self.check_any(at, &value)
            }
            Op::Null => self.check_null(at, &value),
            Op::Alias(inner) if node.loops => self.check_once(*inner, at, value),
            Op::Alias(inner) => self.check(*inner, at, value),
            Op::Hook(hook, inner) => O::hook(self, *hook, *inner, at, value),
        }
    }

    /// Checks a value against a definition that may contain itself; an issue if the value contains itself, too.
    fn check_once(&mut self, id: NodeId, at: O::Place, value: I::Value) -> Checked<O::Value> {
        let Some(host) = self.input.host(&value) else { return self.check(id, at, value) };
        if self.under_way.contains(&(host, id)) {
            return self.fail(&value, Code::RecursionLoop, Ctx::new());
        }
        self.under_way.push((host, id));
        // Held, so that no other object gets its address meanwhile.
        let result = self.check(id, at, value.clone());
        self.under_way.pop();
        result
    }

    /// Says that the whole value is `host`, for who checks its fields alone.
    pub fn enter(&mut self, host: HostValue) {
        let mut at = self.program.root;
        while let Op::Alias(inner) = self.program.node(at).op {
            if self.program.node(at).loops {
                self.under_way.push((host, inner));
            }
            at = inner;
        }
    }

    /// Reports an issue about a value that is being read.
    #[cold]
    pub fn fail<T>(&mut self, value: &I::Value, code: Code, ctx: Ctx) -> Checked<T> {
        let unseen = O::FIRST_ISSUE_ONLY || self.issues.is_full();
        let echo = if unseen { Echo::None } else { self.input.echo(value) };
        self.issues.add(code, ctx, echo, I::IS_JSON);
        Err(Stop::Invalid)
    }

    /// Reports an issue at the current place.
    #[cold]
    pub fn fail_with<T>(&mut self, issue: Issue) -> Checked<T> {
        self.issues.push(issue);
        Err(Stop::Invalid)
    }

    /// After a part of a value has been found wrong: `locate` says where it was; passes over it, and lets the rest be checked. Returns the stop
    /// if nothing more is to be checked.
    #[cold]
    pub(crate) fn part_failed(
        &mut self,
        stop: Stop,
        part: &I::Value,
        locate: impl FnOnce(&mut Issues),
    ) -> Checked<()> {
        if stop == Stop::Abort || O::FIRST_ISSUE_ONLY {
            return Err(stop);
        }
        self.report_refusal(part);
        locate(self.issues);
        self.input.skip(part)
    }

    /// Reports that the output has refused a value, if that is why the check of `value` has failed.
    #[cold]
    pub(crate) fn report_refusal(&mut self, value: &I::Value) {
        if let Some((code, ctx)) = self.output.refusal() {
            let _: Checked<()> = self.fail(value, code, ctx);
        }
    }

    /// Checks a whole value.
    ///
    /// # Errors
    /// As [`Run::check`].
    pub(crate) fn check_root(&mut self, at: O::Place, value: I::Value) -> Checked<O::Value> {
        let result = self.check(self.program.root, at, value.clone());
        if let Err(Stop::Invalid) = &result {
            self.report_refusal(&value);
        }
        result
    }

    /// Runs `body` one level down; an issue if that is too deep.
    #[inline]
    pub(crate) fn deeper<T>(
        &mut self,
        value: &I::Value,
        body: impl FnOnce(&mut Self) -> Checked<T>,
    ) -> Checked<T> {
        if self.depth >= self.max_depth {
            return self.fail(value, Code::RecursionLoop, Ctx::new());
        }
        self.depth += 1;
        let result = body(self);
        self.depth -= 1;
        result
    }

    fn check_null(&mut self, at: O::Place, value: &I::Value) -> Checked<O::Value> {
        if self.input.is_null(value)? {
            self.output.null(at)
        } else {
            self.fail(value, Code::NoneRequired, Ctx::new())
        }
    }

    /// Takes anything as it is, which says nothing of how well it fits.
    ///
    /// # Errors
    /// As [`Run::check`].
    pub fn check_any(&mut self, at: O::Place, value: &I::Value) -> Checked<O::Value> {
        if O::TAKES_HOST
            && let Some(host) = self.input.host(value)
        {
            return self.output.host(at, host);
        }
        match self.input.get(value)? {
            Found::Null | Found::Other => self.output.null(at),
            Found::Bool(value) => self.output.bool(at, value),
            Found::Int(value) => self.output.int(at, value),
            Found::BigInt(digits) if I::IS_JSON && is_too_long(digits) => {
                self.fail(value, Code::IntParsingSize, Ctx::new())
            }
            Found::BigInt(digits) => self.output.big_int(at, digits),
            Found::Float(value) => self.output.float(at, value),
            Found::Str(value) => self.output.str(at, value),
            Found::Bytes(value) | Found::ByteArray(value) => self.output.bytes(at, value),
            Found::Decimal(value) => self.output.decimal(at, value),
            Found::DateTime(value) => self.output.datetime(at, value),
            Found::Date(value) => self.output.date(at, value),
            Found::Time(value) => self.output.time(at, value),
            Found::Duration(value) => self.output.duration(at, value),
            Found::Uuid(value) => self.output.uuid(at, value),
            Found::Seq(kind) => self.deeper(value, |run| run.any_seq(kind, at, value)),
            Found::Map => self.deeper(value, |run| run.any_map(at, value)),
        }
    }

    fn any_seq(&mut self, kind: Collection, at: O::Place, value: &I::Value) -> Checked<O::Value> {
        let Some(mut items) = self.input.seq(value, kind, true)? else {
            return self.fail(value, Code::ListType, Ctx::new());
        };
        let mut seq = self.output.seq(at, kind)?;
        while let Some(item) = self.input.next_item(&mut items)? {
            let place = self.output.item_place(at, &seq);
            let item = self.check_any(place, &item)?;
            self.output.push(&mut seq, item)?;
        }
        self.output.end_seq(at, seq)
    }

    fn any_map(&mut self, at: O::Place, value: &I::Value) -> Checked<O::Value> {
        let Some(mut entries) = self.input.map(value, None, true)? else {
            return self.fail(value, Code::DictType, Ctx::new());
        };
        let mut map = self.output.map(at)?;
        while let Some(key) = self.input.next_key(&mut entries)? {
            let place = self.output.key_place(at, &map);
            let key = self.check_any(place, &key)?;
            let value = self.input.entry_value(&mut entries)?;
            let place = self.output.value_place(at, &map);
            let value = self.check_any(place, &value)?;
            self.output.insert(&mut map, key, value)?;
        }
        self.output.end_map(at, map)
    }
}
