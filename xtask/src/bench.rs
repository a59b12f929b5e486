//! `cargo xtask bench`: each benchmark is a Python script beside the peers, most with a Rust half.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::shell::{bin, cargo, root, run};
use crate::venv;

/// Name of the benchmark (`benchmarks/NAME.py`), and the example binary that is its Rust half, if it has one.
const BENCHMARKS: [(&str, Option<&str>); 5] = [
    ("handover", Some("handover_bench")),
    ("ingest", None),
    ("spatial", Some("grid_bench")),
    ("streams", Some("pump_bench")),
    ("validate", Some("validate_bench")),
];

/// Runs one benchmark, or all; leaves `target/bench/NAME.json` with the key `python`, and `rust` where there is such a half.
pub(crate) fn run_all(name: Option<&str>, profile: &str, args: &[String]) -> Result<()> {
    let chosen: Vec<_> =
        BENCHMARKS.iter().filter(|(n, _)| name.is_none_or(|wanted| wanted == *n)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = BENCHMARKS.iter().map(|(n, _)| *n).collect();
        bail!("no such benchmark; there are {}", names.join(", "));
    }
    let venv = venv::setup_bench()?;
    let out = root().join("target/bench");
    fs::create_dir_all(&out)?;
    for (name, binary) in chosen {
        let halves =
            [out.join(format!("{name}.rust.json")), out.join(format!("{name}.python.json"))];
        let mut whole = serde_json::Map::new();
        if let Some(binary) = binary {
            run(&mut cargo([
                "build",
                "--release",
                "--quiet",
                "--package",
                "examples",
                "--bin",
                binary,
            ]))?;
            run(Command::new(root().join("target/release").join(binary))
                .args(["--profile", profile, "--json"])
                .arg(&halves[0]))?;
            whole.insert("rust".to_owned(), take(&halves[0])?);
        }
        run(Command::new(bin(&venv, "python"))
            .arg(PathBuf::from("benchmarks").join(format!("{name}.py")))
            .args(["--profile", profile, "--json"])
            .arg(&halves[1])
            .args(args))?;
        whole.insert("python".to_owned(), take(&halves[1])?);
        let target = out.join(format!("{name}.json"));
        fs::write(&target, serde_json::to_string_pretty(&whole)?)?;
        println!("wrote {}", target.strip_prefix(root()).unwrap_or(&target).display());
    }
    Ok(())
}

/// Reads a result and deletes its file.
fn take(path: &Path) -> Result<Value> {
    let value = serde_json::from_slice(&fs::read(path)?)?;
    fs::remove_file(path)?;
    Ok(value)
}
