//! Which way dependencies point: read from `cargo metadata` with all features on.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Result, bail};
use cargo_metadata::{DependencyKind, Metadata, PackageId};

/// What must not be reachable from a crate through normal and build dependencies.
const FORBIDDEN: [(&str, &[&str]); 4] = [
    (
        "ottava-core",
        &[
            "pyo3",
            "numpy",
            "pyo3-arrow",
            "ottava-spatial",
            "ottava-validate",
            "ottava-streams",
            "rayon",
            "rustix",
        ],
    ),
    ("ottava-spatial", &["pyo3", "numpy", "pyo3-arrow", "ottava-validate", "ottava-streams"]),
    ("ottava-validate", &["pyo3", "numpy", "pyo3-arrow", "ottava-spatial", "ottava-streams"]),
    ("ottava-streams", &["pyo3", "numpy", "pyo3-arrow", "ottava-spatial", "ottava-validate"]),
];

/// What the same search must find, or the search itself is broken.
const CONTROL: (&str, [&str; 5]) =
    ("ottava-py", ["pyo3", "ottava-core", "ottava-spatial", "ottava-validate", "ottava-streams"]);

/// Fails where a crate can reach what stands above or beside it.
pub(crate) fn check(metadata: &Metadata) -> Result<()> {
    let (name, expected) = CONTROL;
    let seen = reachable(metadata, name)?;
    for want in expected {
        if !seen.contains(want) {
            bail!("the direction check is blind: it does not see {want} below {name}");
        }
    }
    for (name, forbidden) in FORBIDDEN {
        let seen = reachable(metadata, name)?;
        if let Some(found) = forbidden.iter().find(|f| seen.contains(**f)) {
            bail!("{name} must not depend on {found} (ARCHITECTURE.md, \"Direction\")");
        }
    }
    println!("direction: {} crates checked, control found PyO3 below {name}", FORBIDDEN.len());
    Ok(())
}

fn reachable<'m>(metadata: &'m Metadata, name: &str) -> Result<BTreeSet<&'m str>> {
    let names: HashMap<&PackageId, &str> =
        metadata.packages.iter().map(|p| (&p.id, p.name.as_str())).collect();
    let Some(resolve) = &metadata.resolve else { bail!("cargo metadata gave no dependency graph") };
    let edges: HashMap<&PackageId, Vec<&PackageId>> = resolve
        .nodes
        .iter()
        .map(|node| {
            let real = node
                .deps
                .iter()
                .filter(|d| d.dep_kinds.iter().any(|k| k.kind != DependencyKind::Development))
                .map(|d| &d.pkg)
                .collect();
            (&node.id, real)
        })
        .collect();
    let Some(start) = metadata.packages.iter().find(|p| p.name.as_str() == name) else {
        bail!("no crate {name} in the workspace");
    };
    let mut seen = BTreeSet::new();
    let mut visited = BTreeSet::new();
    let mut todo = vec![&start.id];
    while let Some(id) = todo.pop() {
        for next in edges.get(id).into_iter().flatten() {
            if visited.insert(*next) {
                seen.extend(names.get(*next).copied());
                todo.push(next);
            }
        }
    }
    Ok(seen)
}
