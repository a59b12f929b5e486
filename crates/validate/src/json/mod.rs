//! JSON text, read without a tree: values go straight from the bytes into the engine.

mod error;
mod key;
mod number;
mod reader;
pub(crate) mod scan;
mod string;
mod write;

pub use error::JsonError;
pub(crate) use key::QuotedKey;
pub(crate) use number::{INT_TENS, MOST_DIGITS, decimal};
#[cfg(feature = "arrow")]
pub(crate) use number::{Number, read as read_number};
pub use reader::{JsonInput, JsonOptions};
#[cfg(feature = "arrow")]
pub(crate) use string::unescape;
pub(crate) use string::{find_special, special_in};
pub(crate) use write::Iso;
pub use write::write;

use ottava_core::limits::Limits;
use ottava_core::schema::{Declaration, Type, Value};

use crate::compile::compile;
use crate::error::SchemaError;
use crate::issue::Issues;
use crate::output::Stop;
use crate::tree::TreeOutput;

/// Reads JSON text into a value, as it is.
///
/// # Errors
/// [`SchemaError::NotJson`] if it is not JSON.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, SchemaError> {
    let program = compile(&Declaration::new("", Type::any()), None)?;
    let limits = Limits::default();
    let mut input = JsonInput::new(bytes, JsonOptions::default(), &limits)?;
    let mut issues = Issues::new(1);
    let start = input.start();
    let result = crate::Run::new(&program, &mut input, &mut TreeOutput, &mut issues, &limits, None)
        .check_root((), start)
        .and_then(|value| input.finish().map(|()| value));
    result.map_err(|_: Stop| match input.error() {
        Some(error) => error.into(),
        None => JsonError::at(bytes, 0, "recursion limit exceeded").into(),
    })
}
