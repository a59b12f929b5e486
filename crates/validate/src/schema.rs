//! The compiled schema, and the ways to run it.

use std::cell::Cell;
use std::fmt;
use std::sync::OnceLock;

use ottava_core::limits::Limits;
use ottava_core::schema::{Declaration, Value};

use crate::check::Run;
use crate::compile::compile;
use crate::direct::Direct;
use crate::error::SchemaError;
use crate::input::Input;
use crate::issue::{Code, Echo, Issue, Issues, Param};
use crate::json::{JsonError, JsonInput, JsonOptions};
use crate::nothing::Nothing;
use crate::output::{Output, Stop};
use crate::pattern::PatternEngine;
use crate::program::Program;
use crate::tree::{Part, TreeInput, TreeOutput};

/// A compiled declaration. Immutable, and usable from many threads at once.
#[derive(Debug)]
pub struct Schema {
    declaration: Declaration,
    program: Program,
    json: JsonOptions,
    limits: Limits,
    /// Made when rows are first read.
    direct: OnceLock<Option<Direct>>,
}

/// How to compile a declaration.
#[derive(Clone, Copy, Default)]
pub struct CompileOptions<'h> {
    /// Takes patterns with look-around or back-references. Default: there is none, and such patterns are refused.
    pub pattern_engine: Option<&'h dyn PatternEngine>,
    /// What JSON text may hold. Default: RFC 8259.
    pub json: JsonOptions,
    /// Bounds on what an input may make the program do.
    pub limits: Limits,
}

impl Schema {
    /// Compiles a declaration without a host.
    ///
    /// # Errors
    /// A [`SchemaError`] with the place in the declaration.
    pub fn compile(declaration: Declaration) -> Result<Self, SchemaError> {
        Self::compile_with(declaration, &CompileOptions::default())
    }

    /// Compiles a declaration.
    ///
    /// # Errors
    /// A [`SchemaError`] with the place in the declaration.
    pub fn compile_with(
        declaration: Declaration,
        options: &CompileOptions<'_>,
    ) -> Result<Self, SchemaError> {
        let program = compile(&declaration, options.pattern_engine)?;
        Ok(Self {
            declaration,
            program,
            json: options.json,
            limits: options.limits,
            direct: OnceLock::new(),
        })
    }

    /// The declaration it was compiled from.
    #[must_use]
    pub fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    /// The compiled program, for hosts that keep tables beside it.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Bounds on what an input may make the program do.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What JSON text may hold.
    #[must_use]
    pub fn json_options(&self) -> JsonOptions {
        self.json
    }

    /// How rows of JSON are read without a run, if they can be.
    pub(crate) fn direct(&self) -> Option<&Direct> {
        self.direct.get_or_init(|| Direct::compile(&self.program)).as_ref()
    }

    /// Runs the program over one value of any input, into any output. `strict` overrides the declaration.
    ///
    /// # Errors
    /// [`Stop::Invalid`] with issues in `issues`, or [`Stop::Abort`] if the input or the host is broken.
    pub fn run<I: Input, O: Output>(
        &self,
        input: &mut I,
        value: I::Value,
        output: &mut O,
        at: O::Place,
        issues: &mut Issues,
        strict: Option<bool>,
    ) -> Result<O::Value, Stop> {
        Run::new(&self.program, input, output, issues, &self.limits, strict).check_root(at, value)
    }

    /// Runs the program over a JSON document, into any output. Text that is not JSON is one issue, `json_invalid`.
    ///
    /// # Errors
    /// [`Stop::Invalid`] with issues in `issues`, or [`Stop::Abort`] if the host is broken.
    pub fn run_json<O: Output>(
        &self,
        bytes: &[u8],
        output: &mut O,
        at: O::Place,
        issues: &mut Issues,
        strict: Option<bool>,
    ) -> Result<O::Value, Stop> {
        match JsonInput::new(bytes, self.json, &self.limits) {
            Ok(input) => self.read_json(input, bytes, output, at, issues, strict),
            Err(error) => invalid_json(issues, &error, bytes.len()),
        }
    }

    fn read_json<O: Output>(
        &self,
        mut input: JsonInput<'_>,
        bytes: &[u8],
        output: &mut O,
        at: O::Place,
        issues: &mut Issues,
        strict: Option<bool>,
    ) -> Result<O::Value, Stop> {
        let start = input.start();
        let result = self.run(&mut input, start, output, at, issues, strict);
        let result = match result {
            Err(Stop::Abort) => Err(Stop::Abort),
            Err(Stop::Invalid) if O::FIRST_ISSUE_ONLY => Err(Stop::Invalid),
            Err(Stop::Invalid) => rest_is_json(&mut input, start),
            Ok(value) => input.finish().map(|()| value),
        };
        match (result, input.error()) {
            _ if input.is_ended() => Err(Stop::Abort),
            (Err(Stop::Abort), Some(error)) => invalid_json(issues, &error, bytes.len()),
            (result, _) => result,
        }
    }

    /// Validates a JSON document into a plain value.
    ///
    /// # Errors
    /// All issues; or the one that says that this needs a host, see [`Schema::runs_alone`].
    pub fn json_to_value(&self, bytes: &[u8]) -> Result<Value, Vec<Issue>> {
        self.alone()?;
        let mut issues = Issues::new(self.limits.issues);
        let result = self.run_json(bytes, &mut TreeOutput, (), &mut issues, None);
        result.map_err(|stop| all(stop, issues))
    }

    /// Validates a plain value into a converted one.
    ///
    /// # Errors
    /// As [`Schema::json_to_value`].
    pub fn value_to_value(&self, value: &Value) -> Result<Value, Vec<Issue>> {
        self.alone()?;
        let mut issues = Issues::new(self.limits.issues);
        let part = Part::Value(value);
        let result =
            self.run(&mut TreeInput::default(), part, &mut TreeOutput, (), &mut issues, None);
        result.map_err(|stop| all(stop, issues))
    }

    /// All issues of a JSON document; none if it is valid.
    #[must_use]
    pub fn issues_json(&self, bytes: &[u8]) -> Vec<Issue> {
        if let Err(issues) = self.alone() {
            return issues;
        }
        let mut issues = Issues::new(self.limits.issues);
        match self.run_json(bytes, &mut Nothing::<false>, (), &mut issues, None) {
            Ok(()) => Vec::new(),
            Err(stop) => all(stop, issues),
        }
    }

    /// Whether a JSON document is valid. Stops at the first issue.
    #[must_use]
    pub fn is_valid_json(&self, bytes: &[u8]) -> bool {
        let mut issues = Issues::new(1);
        self.alone().is_ok()
            && self.run_json(bytes, &mut Nothing::<true>, (), &mut issues, None).is_ok()
    }

    /// The same schema, whose runs over JSON text ask `go_on` now and then, and end once it says no.
    #[must_use]
    pub fn watched<'s>(&'s self, go_on: &'s dyn Fn() -> bool) -> Watched<'s> {
        Watched { schema: self, go_on }
    }

    /// Whether the schema runs without a host: it has no validators and no defaults that are a host's code.
    #[must_use]
    pub fn runs_alone(&self) -> bool {
        !self.program.needs_host
    }

    fn alone(&self) -> Result<(), Vec<Issue>> {
        if self.runs_alone() {
            return Ok(());
        }
        Err(vec![custom(&SchemaError::NeedsHost.to_string())])
    }
}

/// A schema whose runs over JSON text can be ended early; see [`Schema::watched`].
#[derive(Clone, Copy)]
pub struct Watched<'s> {
    schema: &'s Schema,
    go_on: &'s dyn Fn() -> bool,
}

impl Watched<'_> {
    /// As [`Schema::run_json`].
    ///
    /// # Errors
    /// As there; and [`Stop::Abort`], whatever has been found so far, if the run has been ended early.
    pub fn run_json<O: Output>(
        &self,
        bytes: &[u8],
        output: &mut O,
        at: O::Place,
        issues: &mut Issues,
        strict: Option<bool>,
    ) -> Result<O::Value, Stop> {
        let schema = self.schema;
        match JsonInput::new(bytes, schema.json, &schema.limits) {
            Ok(input) => {
                schema.read_json(input.watched(self.go_on), bytes, output, at, issues, strict)
            }
            Err(error) => invalid_json(issues, &error, bytes.len()),
        }
    }

    /// As [`Schema::is_valid_json`]; `None` if the run was ended before that was known.
    #[must_use]
    pub fn is_valid_json(&self, bytes: &[u8]) -> Option<bool> {
        if !self.schema.runs_alone() {
            return Some(false);
        }
        let ended = Cell::new(false);
        let go_on = || {
            ended.set(!(self.go_on)());
            !ended.get()
        };
        let mut issues = Issues::new(1);
        let run = self.schema.watched(&go_on).run_json(
            bytes,
            &mut Nothing::<true>,
            (),
            &mut issues,
            None,
        );
        (!ended.get()).then_some(run.is_ok())
    }
}

impl fmt::Debug for Watched<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("schema", self.schema).finish_non_exhaustive()
    }
}

/// The issues of a run without a host that has ended early.
#[cold]
fn all(stop: Stop, mut issues: Issues) -> Vec<Issue> {
    if stop == Stop::Abort {
        issues.push(custom("the host could not look for a pattern"));
    }
    issues.take()
}

fn custom(message: &str) -> Issue {
    let mut issue = Issue::new(Code::Custom, Echo::None);
    issue.ctx.push(("message", Param::Str(message.into())));
    issue
}

/// After a wrong value: what follows may show that the text is not even JSON. Otherwise it is just wrong.
#[cold]
pub(crate) fn rest_is_json<T>(input: &mut JsonInput<'_>, start: usize) -> Result<T, Stop> {
    input.skip(&start)?;
    input.finish()?;
    Err(Stop::Invalid)
}

/// Replaces all issues by the one that the text is not JSON.
#[cold]
pub(crate) fn invalid_json<T>(
    issues: &mut Issues,
    error: &JsonError,
    length: usize,
) -> Result<T, Stop> {
    issues.truncate(0);
    let mut issue = Issue::new(Code::JsonInvalid, Echo::Span(0..length));
    issue.ctx.push(("error", Param::Str(error.to_string().into())));
    issues.push(issue);
    Err(Stop::Invalid)
}
