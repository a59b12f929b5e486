//! Where `unsafe` may stand (ARCHITECTURE.md, "Invariants").

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::shell::root;

/// Files, and folders with a slash, that may allow unsafe code; the workspace denies it elsewhere.
const ROOMS: [&str; 14] = [
    "crates/py/src/arrays.rs",                     // numpy memory as slices
    "crates/py/src/arrow/import.rs",               // capsules of the C data interface
    "crates/py/src/interpreter.rs",                // which interpreter asks
    "crates/py/src/handover/",                     // trusted mode, numpy views of a segment
    "crates/py/src/model/",                        // instance slots and types, through the C API
    "crates/py/src/streams/descriptor.rs",         // numbers from Python as descriptors
    "crates/py/src/streams/storage.rs",            // reading into Python's own bytes
    "crates/spatial/src/kernel/",                  // vector instructions
    "crates/spatial/src/snapshot/",                // the map of a file
    "crates/streams/examples/handover_peer.rs",    // trusted mode
    "crates/streams/src/handover/",                // shared segments
    "crates/streams/tests/it/handover/",           // a hostile peer, trusted mode
    "crates/validate/src/columns/template/mod.rs", // a safe reader, compiled for newer processors
    "examples/src/bin/handover_bench.rs",          // trusted mode
];

/// Fails where a file outside the rooms allows unsafe code.
pub(crate) fn check() -> Result<()> {
    let mut found = Vec::new();
    for folder in ["crates", "examples", "xtask"] {
        walk(&root().join(folder), &mut found)?;
    }
    let is_in = |file: &str, room: &str| {
        if room.ends_with('/') { file.starts_with(room) } else { file == room }
    };
    if let Some(file) = found.iter().find(|file| !ROOMS.iter().any(|room| is_in(file, room))) {
        bail!("{file} allows unsafe code outside the rooms that xtask/src/rooms.rs names");
    }
    if let Some(room) = ROOMS.iter().find(|room| !found.iter().any(|file| is_in(file, room))) {
        bail!("no unsafe code is left in {room}: take it off the list in xtask/src/rooms.rs");
    }
    println!("rooms: unsafe code in {} files of {} rooms", found.len(), ROOMS.len());
    Ok(())
}

fn walk(folder: &Path, found: &mut Vec<String>) -> Result<()> {
    // Spelled in two parts, so that this file is not one of them.
    let mark = concat!("allow(", "unsafe_code)");
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, found)?;
        } else if path.extension().is_some_and(|e| e == "rs")
            && fs::read_to_string(&path)?.contains(mark)
        {
            let path = path.strip_prefix(root()).unwrap_or(&path);
            found.push(path.display().to_string().replace('\\', "/"));
        }
    }
    Ok(())
}
