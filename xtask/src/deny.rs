//! The dependency policy of `deny.toml`: by cargo-deny where it is installed, else the part of it that needs no
//! database and no minutes of compiling: licenses, sources, bans.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};
use cargo_metadata::Metadata;
use serde::Deserialize;
use spdx::{Expression, LicenseReq, Licensee, ParseMode};

use crate::shell::run;

#[derive(Deserialize)]
struct Policy {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Banned>,
    #[serde(rename = "multiple-versions-include")]
    single: Vec<String>,
}

#[derive(Deserialize)]
struct Banned {
    name: String,
}

/// Fails where a dependency breaks the policy.
pub(crate) fn check(metadata: &Metadata) -> Result<()> {
    if Command::new("cargo-deny").arg("--version").output().is_ok_and(|o| o.status.success()) {
        // Advisories need a database from the network; they are the release workflow's part.
        return run(Command::new("cargo-deny").args(["check", "bans", "licenses", "sources"]));
    }
    let policy: Policy = toml::from_str(&fs::read_to_string("deny.toml")?)
        .context("deny.toml is not what xtask understands")?;
    let allowed = policy
        .licenses
        .allow
        .iter()
        .map(|name| Licensee::parse(name).with_context(|| format!("deny.toml allows {name}")))
        .collect::<Result<Vec<_>>>()?;
    let allows = |req: &LicenseReq| allowed.iter().any(|a| a.satisfies(req));

    let mut faults = Vec::new();
    for package in &metadata.packages {
        let place = format!("{} {}", package.name, package.version);
        match package.license.as_deref().map(|l| Expression::parse_mode(l, ParseMode::LAX)) {
            Some(Ok(expression)) if expression.evaluate(allows) => {}
            Some(_) => {
                faults.push(format!("{place}: license {:?} is not allowed", package.license));
            }
            None => {
                faults.push(format!("{place}: no license"));
            }
        }
        if let Some(source) = &package.source
            && !source.is_crates_io()
        {
            faults.push(format!("{place}: comes from {source}"));
        }
        if policy.bans.deny.iter().any(|b| b.name == package.name.as_str()) {
            faults.push(format!("{place}: is banned"));
        }
    }
    for name in &policy.bans.single {
        let versions: Vec<_> = metadata
            .packages
            .iter()
            .filter(|p| p.name.as_str() == name)
            .map(|p| p.version.to_string())
            .collect();
        if versions.len() > 1 {
            faults.push(format!("{name}: {} at once", versions.join(" and ")));
        }
    }
    if !faults.is_empty() {
        bail!("deny.toml is broken by\n  {}", faults.join("\n  "));
    }
    println!(
        "deny: cargo-deny is not installed; licenses, sources and bans of {} packages checked from cargo metadata",
        metadata.packages.len()
    );
    Ok(())
}
