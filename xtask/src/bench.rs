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

/// Where figures that were recorded are kept.
const RECORD: &str = "docs/benchmarks.md";

/// Compares how many times faster native streams are than pure Python with what was recorded. Needs no peers: `.venv` does.
pub(crate) fn ratchet(args: &[&str]) -> Result<()> {
    run(Command::new(bin(&root().join(".venv"), "python"))
        .arg("benchmarks/stream_ratchet.py")
        .args(args))
}

/// Runs one benchmark, or all; leaves `target/bench/NAME.json` with the key `python`, and `rust` where there is such a half.
///
/// What a half has under the key `markdown` is a part of `target/bench/NAME.md`; with `record`, that takes the place of the
/// section of the name in [`RECORD`].
pub(crate) fn run_all(
    name: Option<&str>,
    profile: &str,
    record: bool,
    args: &[String],
) -> Result<()> {
    if name == Some("streams") && args.iter().any(|arg| arg == "--ratchet") {
        venv::setup("python3")?;
        let others = args.iter().map(String::as_str).filter(|&arg| arg != "--ratchet");
        return ratchet(&["--profile", profile].into_iter().chain(others).collect::<Vec<_>>());
    }
    let chosen: Vec<_> =
        BENCHMARKS.iter().filter(|(n, _)| name.is_none_or(|wanted| wanted == *n)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = BENCHMARKS.iter().map(|(n, _)| *n).collect();
        bail!("no such benchmark; there are {}", names.join(", "));
    }
    let venv = venv::setup_bench()?;
    if chosen.iter().any(|(name, _)| *name == "streams") {
        install_pv();
    }
    let out = root().join("target/bench");
    fs::create_dir_all(&out)?;
    for (name, binary) in chosen {
        let halves =
            [out.join(format!("{name}.rust.json")), out.join(format!("{name}.python.json"))];
        let mut whole = serde_json::Map::new();
        let mut tables = String::new();
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
            let mut half = Command::new(root().join("target/release").join(binary));
            half.args(["--profile", profile, "--json"]).arg(&halves[0]);
            if *name == "spatial" {
                half.arg("--real").arg(flights(&venv, &out)?);
            }
            run(&mut half)?;
            whole.insert("rust".to_owned(), take(&halves[0], &mut tables)?);
        }
        run(Command::new(bin(&venv, "python"))
            .arg(PathBuf::from("benchmarks").join(format!("{name}.py")))
            .args(["--profile", profile, "--json"])
            .arg(&halves[1])
            .args(args))?;
        whole.insert("python".to_owned(), take(&halves[1], &mut tables)?);
        publish(&out.join(format!("{name}.json")), &serde_json::to_string_pretty(&whole)?)?;
        if tables.is_empty() {
            continue;
        }
        let command = format!("cargo xtask bench {name} --profile {profile}");
        let text = format!("`{command}`, {}\n\n{}\n", machine()?, tables.trim());
        publish(&out.join(format!("{name}.md")), &text)?;
        if record {
            let path = root().join(RECORD);
            let whole = replaced(&fs::read_to_string(&path)?, name, &text)?;
            publish(&path, &whole)?;
        }
    }
    Ok(())
}

/// Installs `pv`, a peer of the streams that no package of Python is, where that is Debian's and ours to do. Elsewhere its row
/// says how to get it.
fn install_pv() {
    let debian = Path::new("/etc/debian_version").exists();
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    if !debian || !root || Command::new("pv").arg("--version").output().is_ok() {
        return;
    }
    println!("apt-get install -y pv: a peer of the streams");
    if let Err(err) = run(Command::new("apt-get").args(["install", "--quiet", "-y", "pv"])) {
        println!("{err:#}; going on without pv");
    }
}

fn publish(target: &Path, text: &str) -> Result<()> {
    fs::write(target, text)?;
    println!("wrote {}", target.strip_prefix(root()).unwrap_or(target).display());
    Ok(())
}

/// Reads a result and deletes its file; its tables, if it has any, go to the others.
fn take(path: &Path, tables: &mut String) -> Result<Value> {
    let mut value: Value = serde_json::from_slice(&fs::read(path)?)?;
    fs::remove_file(path)?;
    let table = value.as_object_mut().and_then(|half| half.remove("markdown"));
    if let Some(table) = table.as_ref().and_then(Value::as_str) {
        *tables += table;
        *tables += "\n";
    }
    Ok(value)
}

/// The flights of the demo as raw positions, for the Rust half.
fn flights(venv: &Path, out: &Path) -> Result<PathBuf> {
    let path = out.join("flights.f32");
    run(Command::new(bin(venv, "python")).args(["benchmarks/spatial.py", "--raw"]).arg(&path))?;
    Ok(path)
}

/// The day, the processor and the memory.
fn machine() -> Result<String> {
    let date = Command::new("date").arg("+%Y-%m-%d").output()?.stdout;
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
    };
    let processor = field(&read("/proc/cpuinfo"), "model name");
    let processor = processor.unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let cores = std::thread::available_parallelism()?;
    let memory = field(&read("/proc/meminfo"), "MemTotal")
        .and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok())
        .map_or_else(String::new, |kib| format!(", {} GiB", kib >> 20));
    let system = std::env::consts::OS;
    let date = String::from_utf8_lossy(&date).trim().to_owned();
    Ok(format!("{date}; {processor}, {cores} cores{memory}, {system}"))
}

/// The text with another section of a name: what is between two comments.
fn replaced(text: &str, name: &str, section: &str) -> Result<String> {
    let marks = [format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->")];
    let parts = text
        .split_once(&marks[0])
        .and_then(|(before, rest)| rest.split_once(&marks[1]).map(|(_, after)| (before, after)));
    let Some((before, after)) = parts else { bail!("{RECORD} has no section {name}") };
    Ok(format!("{before}{}{section}{}{after}", marks[0], marks[1]))
}
