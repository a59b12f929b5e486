//! What is wrong with a declaration. Data never causes these.

/// A declaration that cannot be compiled.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A reference to a definition that does not exist.
    #[error("{place}: no definition called '{name}'")]
    UnknownReference {
        /// Where in the declaration.
        place: String,
        /// The name that was looked for.
        name: String,
    },
    /// A definition that refers to itself without anything between.
    #[error("{place}: definition '{name}' only refers to itself")]
    EmptyRecursion {
        /// Where in the declaration.
        place: String,
        /// The definition.
        name: String,
    },
    /// A name that occurs twice.
    #[error("{place}: '{name}' occurs twice")]
    Duplicate {
        /// Where in the declaration.
        place: String,
        /// The name.
        name: String,
    },
    /// A rule that the type cannot have, or that contradicts itself.
    #[error("{place}: rule '{rule}' {reason}")]
    Rule {
        /// Where in the declaration.
        place: String,
        /// The rule.
        rule: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A pattern that is no regular expression.
    #[error("{place}: invalid pattern '{pattern}': {reason}")]
    Pattern {
        /// Where in the declaration.
        place: String,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A pattern with look-around or back-references, which needs the host's own engine.
    #[error("{place}: pattern '{pattern}' needs a host engine: {reason}")]
    NeedsHostEngine {
        /// Where in the declaration.
        place: String,
        /// The pattern.
        pattern: String,
        /// The construct that is not supported.
        reason: String,
    },
    /// A program with validators or defaults of a host, run without one.
    #[error("the schema calls code of a host, and there is none here")]
    NeedsHost,
    /// A JSON Schema that is malformed, or uses what is not supported.
    #[error("{pointer}: {reason}")]
    JsonSchema {
        /// JSON pointer of the keyword, as a URI fragment.
        pointer: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A JSON Schema that is not even JSON.
    #[error("JSON schema: {0}")]
    NotJson(#[from] crate::json::JsonError),
    /// A type that the engine does not check, or a union, enum or literal that makes no sense.
    #[error("{place}: {reason}")]
    Type {
        /// Where in the declaration.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
}
