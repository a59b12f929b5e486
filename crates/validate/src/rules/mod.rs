//! The engine's rules, one file for each family of types.

pub(crate) mod assertions;
pub(crate) mod bytes;
pub(crate) mod choice;
pub(crate) mod collection;
pub(crate) mod decimal;
pub(crate) mod format;
pub(crate) mod number;
pub(crate) mod record;
pub(crate) mod temporal;
pub(crate) mod text;
pub(crate) mod union;
