//! Lets `cfg(Py_3_12)` and its like be used in this crate, and takes the docstrings of the grid out of the stub.

use std::path::Path;

const STUB: &str = "python/ottava/_native.pyi";

fn main() -> std::io::Result<()> {
    pyo3_build_config::use_pyo3_cfgs();
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={STUB}");
    let out = std::env::var("OUT_DIR").map_err(std::io::Error::other)?;
    let folder = Path::new(&out).join("help");
    std::fs::create_dir_all(&folder)?;
    for (name, text) in docstrings(&std::fs::read_to_string(STUB)?) {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}

/// The docstrings of the classes, methods and functions of a stub: `Class`, `Class.method`, `function`.
fn docstrings(stub: &str) -> Vec<(String, String)> {
    let (mut found, mut class) = (Vec::new(), String::new());
    let mut name = String::from("module");
    let mut lines = stub.lines();
    while let Some(line) = lines.next() {
        let (code, inner) = (line.trim_start(), line.starts_with(' '));
        if let Some(rest) = code.strip_prefix("class ") {
            class = word(rest);
            name.clone_from(&class);
        } else if let Some(rest) = code.strip_prefix("def ") {
            name = if inner { format!("{class}.{}", word(rest)) } else { word(rest) };
        } else if let Some(first) = code.strip_prefix("\"\"\"") {
            let indent = line.len() - code.len();
            let mut text = first.to_owned();
            while !text.ends_with("\"\"\"") {
                let Some(line) = lines.next() else { break };
                text.push('\n');
                text.push_str(line.get(indent..).unwrap_or_default());
            }
            found.push((name.clone(), text.trim_end_matches("\"\"\"").trim_end().to_owned()));
        }
    }
    found
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}
