//! The two virtual environments: `.venv` for work and tests, `.venv-bench` with the peers as well.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::{self, bin, run};

/// Makes `.venv` current: interpreter, packages, and the module built in release mode.
pub(crate) fn setup(python: &str) -> Result<()> {
    let venv = shell::root().join(".venv");
    create(&venv, python)?;
    install(&venv, &["requirements-dev.txt"])?;
    build_module(&venv)
}

/// Makes `.venv-bench` current: the peers of the benchmarks, and the module built in release mode.
pub(crate) fn setup_bench() -> Result<PathBuf> {
    let venv = shell::root().join(".venv-bench");
    create(&venv, "python3")?;
    install(&venv, &["requirements-dev.txt", "benchmarks/requirements.txt"])?;
    build_module(&venv)?;
    Ok(venv)
}

/// Installs one more package, without its dependencies, if it is not there yet.
pub(crate) fn ensure_package(package: &str) -> Result<()> {
    let venv = shell::root().join(".venv");
    let present = Command::new(bin(&venv, "python"))
        .args(["-m", "pip", "show", "--quiet", package])
        .output()
        .context("cannot start pip")?
        .status
        .success();
    if present {
        return Ok(());
    }
    run(Command::new(bin(&venv, "python")).args(PIP_INSTALL).args(["--no-deps", package]))
}

const PIP_INSTALL: [&str; 5] = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];

fn create(venv: &Path, python: &str) -> Result<()> {
    if bin(venv, "python").exists() {
        return Ok(());
    }
    let version = Command::new(python)
        .args(["-c", "import sys; print(sys.version_info >= (3, 10), sys.version.split()[0])"])
        .output()
        .with_context(|| format!("cannot start {python}: Python 3.10 or newer is needed"))?;
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    if !version.starts_with("True") {
        bail!(
            "{python} is {}: Python 3.10 or newer is needed (`cargo xtask setup --python PATH`)",
            version.trim_start_matches("False ")
        );
    }
    run(Command::new(python).args(["-m", "venv"]).arg(venv))
        .context("no virtual environment (on Debian: apt-get install python3-venv)")
}

/// Installs the lists, unless the same lists were installed before.
fn install(venv: &Path, lists: &[&str]) -> Result<()> {
    let mut wanted = String::new();
    for list in lists {
        wanted += &fs::read_to_string(list).with_context(|| format!("cannot read {list}"))?;
    }
    let stamp = venv.join("ottava-requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    let mut pip = Command::new(bin(venv, "python"));
    pip.args(PIP_INSTALL);
    for list in lists {
        pip.args(["--requirement", list]);
    }
    run(&mut pip)?;
    fs::write(stamp, wanted)?;
    Ok(())
}

fn build_module(venv: &Path) -> Result<()> {
    run(Command::new(bin(venv, "maturin"))
        .args(["develop", "--release"])
        .env("VIRTUAL_ENV", venv)
        .env_remove("CONDA_PREFIX")
        // Standard output belongs to what was asked for, such as the demo.
        .stdout(std::io::stderr()))
}
