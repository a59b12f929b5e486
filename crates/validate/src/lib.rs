//! Compiled schema validation: compile once, check everything, make only what was asked for.
//!
//! ```
//! use ottava_core::schema::{Declaration, Field, Record, Type};
//! use ottava_validate::Schema;
//!
//! let user = Record::new("User")
//!     .field(Field::new("id", Type::int().gt(0)))
//!     .field(Field::new("name", Type::str().min_length(1)));
//! let schema = Schema::compile(Declaration::from(user))?;
//!
//! assert!(schema.is_valid_json(br#"{"id": 7, "name": "Ada"}"#));
//! let issues = schema.issues_json(br#"{"id": 0, "name": ""}"#);
//! assert_eq!(issues[0].to_string(), "id: Input should be greater than 0 [greater_than]");
//! assert_eq!(issues[1].code.name(), "string_too_short");
//! # Ok::<(), ottava_validate::SchemaError>(())
//! ```
//!
//! One engine ([`Run`]) runs a [`Program`] over an [`Input`] into an [`Output`]. Each pair of ends is compiled on its own, so
//! nothing is built to be thrown away: [`JsonInput`] has no tree, [`Nothing`] makes no value. A bad *schema* is a
//! [`SchemaError`]; bad *data* is a list of [`Issue`]s with pydantic's codes and messages. They never mix.
//!
//! # How a host takes part
//!
//! A host (such as Python) compiles with [`Schema::compile_with`], where a [`PatternEngine`] takes the patterns that no
//! automaton can match. It then runs [`Schema::run`] or [`Schema::run_json`] with its own ends:
//!
//! - **[`Input`]** over its objects. `Value` is a handle of an object. [`Input::get`] classifies an object as exactly as it can
//!   ([`Found`]); the engine converts. `Seq` and `Map` are the host's iterators. [`Input::next_field`] gets the field that is
//!   expected next and should compare the key with that field's first; attributes of an object are entries, too, if the
//!   record's `from_attributes` says so. [`Input::echo`] keeps an object for the issue and returns its number ([`Echo::Host`]).
//! - **[`Output`]** that makes its objects. With [`Output::TAKES_HOST`] an object that needs no conversion goes from
//!   [`Input::host`] to [`Output::host`] as it is. [`RecordPlan::host`] and [`EnumPlan::host`] carry the host's own number of a class
//!   from the declaration; [`FieldDefault::Host`](ottava_core::schema::FieldDefault::Host) and [`Type::hooks`](ottava_core::schema::Type::hooks) carry those of its defaults
//!   and validators.
//! - **Validators** are [`Output::hook`]: it gets the run, the value and the node inside. It may check the node first and then look
//!   at the result ("after"), look at the value first ("before": [`Run::check_any`] makes an object of a value of any input,
//!   then [`Run::with_input`] over what the validator returned), or do both ("wrap"). It reports with [`Run::fail_with`].
//! - **Exceptions** of the host become [`Stop::Abort`]; the host keeps the exception and raises it when the run has returned.
//! - **Interruptions**: a run over JSON text that was begun with [`Schema::watched`] asks the host now and then whether to go on.
//!
//! Paths cost nothing until something is wrong: a container adds its step to the issues of its parts when they come back.

mod check;
mod code;
#[cfg(feature = "arrow")]
mod columns;
mod compact;
mod compile;
mod direct;
mod distinct;
mod error;
mod input;
mod issue;
mod json;
mod json_schema;
mod lines;
mod nothing;
mod output;
mod pattern;
mod placement;
mod program;
mod quick;
mod recursion;
mod rules;
mod schema;
mod tree;

pub use check::{Fit, Run};
#[cfg(feature = "arrow")]
pub use columns::{
    ArrowBatches, BatchOptions, ColumnOutput, ColumnsError, NdjsonReader, RowIssue, RowIssues,
};
pub use compact::{CompactRow, CompactRows};
pub use error::SchemaError;
pub use input::{Collection, Entry, Found, HostValue, Input};
pub use issue::{Code, Ctx, Echo, Issue, Issues, Loc, Param, Path};
pub use json::{JsonError, JsonInput, JsonOptions, write as to_json};
pub use json_schema::{from_json_schema, from_json_schema_with, to_json_schema};
pub use lines::is_blank;
pub use nothing::Nothing;
pub use output::{Checked, Given, Output, Stop, plain};
pub use pattern::{PatternEngine, PatternMatch};
pub use program::{EnumPlan, FieldPlan, LiteralPlan, NodeId, Program, RecordPlan};
pub use quick::{Quick, TextRule};
pub use schema::{CompileOptions, Schema, Watched};
pub use tree::{Part, TreeEntries, TreeInput, TreeOutput, TreeSeq};
