//! Lock files: the versions of a declaration that were promised, and the rules by which the next one is judged.
//!
//! A lock is one JSON document. Its keys stand in a fixed order and its fields are sorted by name, so that two locks compare line by
//! line. Every version holds the whole logical form beside its fingerprint, and a seal over the whole file shows an edit by hand.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::compat::{Change, Difference, Mode, diff};
use super::declaration::Declaration;
use super::fingerprint::{Fingerprint, logical};
use super::types::{Kind, Type};

/// What stands in the key `format`.
const FORMAT: &str = "ottava-schema-lock-1";

/// A version of a schema: numbers joined by dots, compared number by number (`1.9` is before `1.10`, and `2` equals `2.0`).
#[derive(Debug, Clone)]
pub struct Version {
    text: String,
    numbers: Vec<u64>,
}

impl Version {
    /// The version as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Version {
    type Err = LockError;

    fn from_str(text: &str) -> Result<Self, LockError> {
        let wrong = || LockError::Version { text: text.to_owned() };
        let mut numbers = Vec::new();
        for part in text.split('.') {
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
                return Err(wrong());
            }
            numbers.push(part.parse().map_err(|_| wrong())?);
        }
        while numbers.len() > 1 && numbers.last() == Some(&0) {
            numbers.pop();
        }
        Ok(Self { text: text.to_owned(), numbers })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.numbers == other.numbers
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.numbers.cmp(&other.numbers)
    }
}

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A field on its way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deprecation {
    /// Path of the field.
    pub field: String,
    /// First version that warns about it.
    pub since: Option<Version>,
    /// First version without it.
    pub removed_in: Option<Version>,
}

/// One locked version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// The version.
    pub version: Version,
    /// Fingerprint of the logical form.
    pub fingerprint: Fingerprint,
    /// Fields on their way out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deprecated: Vec<Deprecation>,
    /// How the columns were laid out when the version was locked: column to Arrow type. Recorded, and no part of the fingerprint.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub layout: BTreeMap<String, String>,
    /// The logical form.
    pub schema: Declaration,
}

/// A name that was used and is not given to anything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reserved {
    /// Path of the removed field.
    pub field: String,
    /// The version that no longer had it.
    pub removed_in: Version,
}

/// Locked versions of one declaration, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    format: String,
    /// Name of the declaration.
    pub name: String,
    /// By which rules the next version is judged.
    mode: Mode,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    reserved: Vec<Reserved>,
    versions: Vec<Locked>,
    /// Hash of all the rest, in the file alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seal: Option<Fingerprint>,
}

/// What a check against one locked version found.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The locked version.
    pub version: Version,
    /// All differences, allowed or not.
    pub changes: Vec<Change>,
    /// Those that the mode does not allow; none if the version does not count in this mode.
    pub broken: Vec<Change>,
}

impl Lock {
    /// A lock without versions.
    #[must_use]
    pub fn new(name: impl Into<String>, mode: Mode) -> Self {
        Self {
            format: FORMAT.to_owned(),
            name: name.into(),
            mode,
            reserved: Vec::new(),
            versions: Vec::new(),
            seal: None,
        }
    }

    /// By which rules the next version is judged.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Judges further versions by other rules.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// The locked versions, oldest first.
    #[must_use]
    pub fn versions(&self) -> &[Locked] {
        &self.versions
    }

    /// The newest locked version.
    #[must_use]
    pub fn latest(&self) -> Option<&Locked> {
        self.versions.last()
    }

    /// Names that were removed and stay unused.
    #[must_use]
    pub fn reserved(&self) -> &[Reserved] {
        &self.reserved
    }

    /// The newest locked version with the fingerprint of `declaration`.
    #[must_use]
    pub fn find(&self, declaration: &Declaration) -> Option<&Locked> {
        let fingerprint = Fingerprint::of(declaration);
        self.versions.iter().rev().find(|locked| locked.fingerprint == fingerprint)
    }

    /// Compares a declaration with every locked version, oldest first.
    ///
    /// What no next version may have, whatever the mode, counts against the last one: a reserved name, and a field that was to be
    /// removed by then.
    #[must_use]
    pub fn check(&self, declaration: &Declaration) -> Vec<Verdict> {
        let last = self.versions.len().saturating_sub(1);
        let judge = |(at, locked): (usize, &Locked)| {
            let mut changes = diff(&locked.schema, declaration);
            if at == last {
                changes.extend(self.forbidden(declaration, &locked.version));
            }
            let counts = self.mode.transitive || at == last;
            let broken = changes.iter().filter(|c| !self.mode.allows(c)).cloned();
            let broken = if counts { broken.collect() } else { Vec::new() };
            Verdict { version: locked.version.clone(), changes, broken }
        };
        self.versions.iter().enumerate().map(judge).collect()
    }

    /// Reserved names that a declaration uses, and fields that `version` was to be without.
    fn forbidden(&self, declaration: &Declaration, version: &Version) -> Vec<Change> {
        let forbid =
            |path: String, what: Difference| Change { path, what, backward: false, forward: false };
        let names = names(&logical(declaration));
        let reserved = |(path, alias): &(String, Option<String>)| {
            let known = |name: &String| self.reserved.iter().find(|r| r.field == *name);
            let found = known(path).or_else(|| alias.as_ref().and_then(known))?;
            let (name, removed_in) = (found.field.clone(), found.removed_in.to_string());
            Some(forbid(path.clone(), Difference::Reserved { name, removed_in }))
        };
        let overdue = |due: Deprecation| {
            let removed_in = due.removed_in.filter(|removed_in| removed_in <= version)?;
            let removed_in = removed_in.to_string();
            Some(forbid(due.field, Difference::Overdue { removed_in }))
        };
        let due = deprecations(declaration).unwrap_or_default();
        names.iter().filter_map(reserved).chain(due.into_iter().filter_map(overdue)).collect()
    }

    /// Locks a declaration as the next version. `layout` is recorded beside it.
    ///
    /// # Errors
    ///
    /// [`LockError::Order`] where the version is not after the last, [`LockError::Incompatible`] where the mode does not allow the
    /// changes, [`LockError::Reserved`] where a removed name is used again, [`LockError::Overdue`] where a field is still
    /// there that was to be removed by this version, [`LockError::Version`] where a deprecation names no version, [`LockError::Deep`]
    /// where types are nested so deeply that the file could not be read again. The lock is then as it was.
    pub fn add(
        &mut self,
        version: &str,
        declaration: &Declaration,
        layout: BTreeMap<String, String>,
    ) -> Result<&Locked, LockError> {
        let version: Version = version.parse()?;
        if let Some(last) = self.latest()
            && version <= last.version
        {
            return Err(LockError::Order { version, last: last.version.clone() });
        }
        let schema = logical(declaration);
        let present = names(&schema);
        let uses = |name: &String| {
            present.iter().any(|(path, alias)| path == name || alias.as_ref() == Some(name))
        };
        if let Some(name) = self.reserved.iter().find(|r| uses(&r.field)) {
            let (field, removed_in) = (name.field.clone(), name.removed_in.clone());
            return Err(LockError::Reserved { field, removed_in });
        }
        let deprecated = deprecations(declaration)?;
        let due =
            |d: &&Deprecation| d.removed_in.as_ref().is_some_and(|removed| *removed <= version);
        if let Some(due) = deprecated.iter().find(due) {
            return Err(LockError::Overdue { field: due.field.clone(), version });
        }
        if let Some(bad) = self.check(declaration).into_iter().find(|v| !v.broken.is_empty()) {
            return Err(LockError::Incompatible {
                version: bad.version,
                mode: self.mode,
                changes: bad.broken,
            });
        }
        let mut reserved = self.reserved.clone();
        if let Some(last) = self.latest() {
            let gone = |change: &Change| match &change.what {
                Difference::Removed { .. } => Some(change.path.clone()),
                _ => None,
            };
            let removed: Vec<_> = diff(&last.schema, declaration).iter().filter_map(gone).collect();
            // A field that had an alias leaves both of its names.
            let aliases = names(&last.schema).into_iter().filter_map(|(path, alias)| {
                alias.filter(|alias| removed.contains(&path) && !uses(alias))
            });
            let left: Vec<String> = removed.iter().cloned().chain(aliases).collect();
            let reserve = |field| Reserved { field, removed_in: version.clone() };
            reserved.extend(left.into_iter().map(reserve));
            reserved.sort_by(|a, b| a.field.cmp(&b.field));
        }
        let fingerprint = Fingerprint::of(declaration);
        let mut next = Self { reserved, ..self.clone() };
        next.versions.push(Locked { version, fingerprint, deprecated, layout, schema });
        // Only what can be read again is locked: the reader of JSON goes no deeper than 128 levels.
        if let Err(LockError::Json { .. }) = Self::parse(&next.to_json()) {
            return Err(LockError::Deep);
        }
        *self = next;
        self.latest().ok_or(LockError::Empty)
    }

    /// The file: JSON with two spaces of indentation and a line break at its end.
    #[must_use]
    pub fn to_json(&self) -> String {
        let sealed = Self { seal: Some(Fingerprint::of_json(self)), ..self.clone() };
        let mut json = serde_json::to_string_pretty(&sealed).unwrap_or_default();
        json.push('\n');
        json
    }

    /// Reads a file. The order of its keys and its white space do not matter.
    ///
    /// # Errors
    ///
    /// [`LockError::Json`] where it is no lock file, [`LockError::Format`] where it is one of another kind, [`LockError::Edited`] and
    /// [`LockError::Seal`] where it is not what was written.
    pub fn parse(json: &str) -> Result<Self, LockError> {
        let syntax = |err: serde_json::Error| LockError::Json {
            line: err.line(),
            column: err.column(),
            message: err.to_string().split(" at line ").next().unwrap_or_default().to_owned(),
        };
        #[derive(Deserialize)]
        struct Head {
            format: String,
        }
        let head: Head = serde_json::from_str(json).map_err(syntax)?;
        if head.format != FORMAT {
            return Err(LockError::Format { found: head.format });
        }
        let mut lock: Lock = serde_json::from_str(json).map_err(syntax)?;
        let seal = lock.seal.take();
        for locked in &lock.versions {
            if Fingerprint::of(&locked.schema) != locked.fingerprint {
                return Err(LockError::Edited { version: locked.version.clone() });
            }
        }
        let ordered = |pair: &[Locked]| pair[0].version < pair[1].version;
        if let Some(pair) = lock.versions.windows(2).find(|pair| !ordered(pair)) {
            let (version, last) = (pair[1].version.clone(), pair[0].version.clone());
            return Err(LockError::Order { version, last });
        }
        if seal != Some(Fingerprint::of_json(&lock)) {
            return Err(LockError::Seal);
        }
        Ok(lock)
    }
}

/// The fields of a declaration that are on their way out, by path.
///
/// # Errors
///
/// [`LockError::Version`] where `deprecated_since` or `removed_in` is not a version.
pub fn deprecations(declaration: &Declaration) -> Result<Vec<Deprecation>, LockError> {
    let mut out = Vec::new();
    collect_deprecations(declaration, "", &declaration.root, &mut Vec::new(), &mut out)?;
    out.sort_by(|a, b| a.field.cmp(&b.field));
    Ok(out)
}

fn collect_deprecations<'d>(
    declaration: &'d Declaration,
    path: &str,
    ty: &'d Type,
    open: &mut Vec<&'d str>,
    out: &mut Vec<Deprecation>,
) -> Result<(), LockError> {
    match &ty.kind {
        Kind::Record(record) => {
            for field in &record.fields {
                let path = join(path, &field.name);
                let version = |text: &Option<String>| text.as_deref().map(str::parse).transpose();
                let since = version(&field.docs.deprecated_since)?;
                let removed_in = version(&field.docs.removed_in)?;
                if since.is_some() || removed_in.is_some() {
                    out.push(Deprecation { field: path.clone(), since, removed_in });
                }
                collect_deprecations(declaration, &path, &field.ty, open, out)?;
            }
            Ok(())
        }
        Kind::Ref(name) if !open.contains(&name.as_str()) => {
            let Some(definition) = declaration.definition(name) else { return Ok(()) };
            open.push(name);
            collect_deprecations(declaration, path, definition, open, out)?;
            open.pop();
            Ok(())
        }
        other => match below(other) {
            Some((step, ty)) => {
                collect_deprecations(declaration, &format!("{path}{step}"), ty, open, out)
            }
            None => Ok(()),
        },
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The type of the items of a list or the values of a map, and how a path goes there.
fn below(kind: &Kind) -> Option<(&'static str, &Type)> {
    match kind {
        Kind::List(item) | Kind::FixedList(item, _) | Kind::Set(item) | Kind::FrozenSet(item) => {
            Some(("[]", item))
        }
        Kind::Dict(_, value) => Some(("{}", value)),
        _ => None,
    }
}

/// The paths of all fields of a logical form, and the paths under which their aliases are found.
fn names(form: &Declaration) -> Vec<(String, Option<String>)> {
    fn walk(path: &str, ty: &Type, out: &mut Vec<(String, Option<String>)>) {
        match &ty.kind {
            Kind::Record(record) => {
                for field in &record.fields {
                    let name = join(path, &field.name);
                    walk(&name, &field.ty, out);
                    out.push((name, field.alias.as_ref().map(|alias| join(path, alias))));
                }
            }
            other => {
                if let Some((step, ty)) = below(other) {
                    walk(&format!("{path}{step}"), ty, out);
                }
            }
        }
    }
    let mut out = Vec::new();
    walk("", &form.root, &mut out);
    out
}

/// Why a version cannot be locked, or a lock file cannot be used.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum LockError {
    /// The file is not JSON, or not that of a lock.
    #[error("line {line}, column {column}: {message}")]
    Json {
        /// Line, from 1; 0 where it is not known.
        line: usize,
        /// Column, from 1; 0 where it is not known.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// The file is of another kind or of a newer version of ottava.
    #[error("format {found:?} is not {FORMAT:?}")]
    Format {
        /// What stands there.
        found: String,
    },
    /// A locked schema is not the one that was locked.
    #[error(
        "version {version}: the schema does not have the locked fingerprint, the file was edited"
    )]
    Edited {
        /// The version.
        version: Version,
    },
    /// Another part of the file is not as it was written.
    #[error("the seal does not fit the file, it was edited")]
    Seal,
    /// A version is not after its predecessor.
    #[error("version {version} is not after version {last}")]
    Order {
        /// The version.
        version: Version,
        /// Its predecessor.
        last: Version,
    },
    /// The mode does not allow the changes.
    #[error("not {mode} compatible with version {version}: {}", changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Incompatible {
        /// The locked version.
        version: Version,
        /// The mode.
        mode: Mode,
        /// The changes that it does not allow.
        changes: Vec<Change>,
    },
    /// A removed name is used again.
    #[error("field {field}: the name was removed in version {removed_in} and is reserved")]
    Reserved {
        /// Path of the field.
        field: String,
        /// The version that removed it.
        removed_in: Version,
    },
    /// A deprecated field outlived the version that was to remove it.
    #[error("field {field}: it was to be removed in version {version}")]
    Overdue {
        /// Path of the field.
        field: String,
        /// The version to lock.
        version: Version,
    },
    /// The lock has no version.
    #[error("the lock holds no version")]
    Empty,
    /// The lock has no such version.
    #[error("the lock holds no version {version}")]
    Unknown {
        /// The version.
        version: String,
    },
    /// Types within types, so many that the file could not be read again.
    #[error("the types are nested too deeply to be read from a lock file")]
    Deep,
    /// Not a version.
    #[error("{text:?} is not a version: numbers joined by dots")]
    Version {
        /// The text.
        text: String,
    },
    /// Not a mode.
    #[error("{text:?} is not a mode: exact, backward, forward or full, each also with -transitive")]
    Mode {
        /// The text.
        text: String,
    },
    /// Not a fingerprint.
    #[error("{text:?} is not a fingerprint: sha256: and 64 hexadecimal digits")]
    Fingerprint {
        /// The text.
        text: String,
    },
}
