//! The direct way of rows of JSON: what fits is read in the order of the declaration, without a run of the engine.
//!
//! This way only ever says yes. A value that is not of the very type and right as it is goes to the engine, alone; a row that is wrong, or
//! written in another way than programs write JSON, is given up, and the engine does the whole of it again: it alone reports. What is
//! accepted here, the engine would take, and make the same of it; the tests hold both side by side.
//!
//! The text is that of many rows. No value goes beyond its line: strings cannot hold a line break, the only white space that is passed over is a
//! single space, and the engine gets no more than the rest of the line.

mod plan;
mod read;
mod symbols;
#[cfg(feature = "arrow")]
pub(crate) mod window;

pub(crate) use plan::Direct;
#[cfg(feature = "arrow")]
pub(crate) use plan::{DirectField, DirectKind};
pub(crate) use read::Rows;
#[cfg(feature = "arrow")]
pub(crate) use symbols::Symbols;
