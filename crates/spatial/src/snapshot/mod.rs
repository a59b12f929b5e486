//! Snapshots: a grid as one file that is queried where it lies.
//!
//! A file is a header, a table of sections, and the sections, with a CRC-32 of every 16 KiB (see
//! [`format`]). It is written beside its place, synced, and renamed into it, so that a reader finds
//! the old file or the new one. Opening maps it; answers come straight from the map, which is
//! checked where they read it.

mod blocks;
mod format;
mod options;
mod read;
mod write;

pub use read::{OpenOptions, Verify};

pub(crate) use blocks::{Part, Watch};
pub(crate) use read::File;

use std::fs::Metadata;
use std::io::ErrorKind;
use std::path::Path;

use crate::error::Error;

/// The error for a section that is not as it must be.
fn damaged(path: &Path, section: &str, problem: impl Into<String>) -> Error {
    Error::Snapshot { path: path.into(), section: section.into(), problem: problem.into() }
}

/// Refuses what is at a path unless it is a file: to open a pipe may wait forever, and a rename would put a file in the place of a
/// device.
fn check_file(path: &Path, found: &Metadata) -> Result<(), Error> {
    if found.is_dir() {
        return Err(io(path)(ErrorKind::IsADirectory.into()));
    }
    if found.is_file() { Ok(()) } else { Err(Error::NotAFile { path: path.into() }) }
}

/// The error for a file that cannot be read or written.
fn io(path: &Path) -> impl Fn(std::io::Error) -> Error + '_ {
    |source| Error::Io { path: path.into(), source }
}
