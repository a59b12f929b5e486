//! Regular expressions, compiled once.

mod table;

use std::fmt;
use std::sync::{Arc, OnceLock};

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::{Anchored, Input, meta};
use regex_syntax::hir::Look;

use self::table::Table;
use crate::error::SchemaError;
use crate::output::{Checked, Stop};

/// Largest table of a fully compiled pattern, in bytes.
const DFA_SIZE: usize = 1 << 19;

/// A host's regular-expression engine, for patterns that no automaton can match (look-around, back-references).
pub trait PatternEngine {
    /// Compiles a pattern; the error is the engine's own text.
    ///
    /// # Errors
    /// If the pattern is not valid there either.
    fn compile(&self, pattern: &str) -> Result<Arc<dyn PatternMatch>, String>;
}

/// A pattern compiled by a [`PatternEngine`].
pub trait PatternMatch: Send + Sync {
    /// Whether the pattern is found somewhere in the text; `None` if the host cannot say, and keeps the reason, which ends the run. Where
    /// rows are read in many threads it may be asked again about the same text, in a thread of the host.
    fn is_match(&self, text: &str) -> Option<bool>;
}

/// A pattern that is looked for in strings.
pub(crate) struct Pattern {
    source: Arc<str>,
    engine: Engine,
}

enum Engine {
    /// Compiled as far as it goes without a search, and, when it is first searched for, fully, if that is not too large.
    Own(Box<meta::Regex>, OnceLock<Option<Full>>),
    /// The host's own.
    Host(Arc<dyn PatternMatch>),
}

/// A pattern compiled to a table. Making it takes longer than everything else about a schema.
enum Full {
    /// Of few states.
    Table(Box<Table>),
    /// One lookup for each byte. The flag says that it can only match at the start.
    Dense(Box<dense::DFA<Vec<u32>>>, bool),
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", self.source)
    }
}

impl Pattern {
    /// Compiles a pattern, with the host's engine if ours does not know one of its constructs.
    pub(crate) fn compile(
        source: &str,
        host: Option<&dyn PatternEngine>,
        place: &str,
    ) -> Result<Self, SchemaError> {
        let config = meta::Config::new().dfa(false).onepass(false);
        let engine = match meta::Builder::new().configure(config).build(source) {
            Ok(regex) => Engine::Own(Box::new(regex), OnceLock::new()),
            Err(error) => {
                let reason = match error.syntax_error() {
                    Some(syntax) => last_line(&syntax.to_string()),
                    None => error.to_string(),
                };
                let unsupported =
                    reason.contains("look-around") || reason.contains("backreference");
                match host {
                    Some(host) => Engine::Host(host.compile(source).map_err(|reason| {
                        SchemaError::Pattern {
                            place: place.to_owned(),
                            pattern: source.to_owned(),
                            reason,
                        }
                    })?),
                    None if unsupported => {
                        return Err(SchemaError::NeedsHostEngine {
                            place: place.to_owned(),
                            pattern: source.to_owned(),
                            reason,
                        });
                    }
                    None => {
                        return Err(SchemaError::Pattern {
                            place: place.to_owned(),
                            pattern: source.to_owned(),
                            reason,
                        });
                    }
                }
            }
        };
        Ok(Self { source: source.into(), engine })
    }

    #[cold]
    fn full(source: &str) -> Option<Full> {
        let anchored = regex_syntax::parse(source)
            .is_ok_and(|hir| hir.properties().look_set_prefix().contains(Look::Start));
        let config = dense::Config::new()
            .dfa_size_limit(Some(DFA_SIZE))
            .determinize_size_limit(Some(4 * DFA_SIZE))
            .start_kind(if anchored { StartKind::Anchored } else { StartKind::Unanchored })
            .minimize(false);
        let dfa = dense::Builder::new().configure(config).build(source).ok()?;
        Some(match Table::new(&dfa, anchored) {
            Some(table) => Full::Table(Box::new(table)),
            None => Full::Dense(Box::new(dfa), anchored),
        })
    }

    pub(crate) fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// As [`Pattern::is_match`], where an engine that cannot say ends the run.
    #[inline]
    pub(crate) fn find(&self, text: &str) -> Checked<bool> {
        match &self.engine {
            Engine::Own(..) => Ok(self.is_match(text)),
            Engine::Host(host) => host.is_match(text).ok_or(Stop::Abort),
        }
    }

    #[inline]
    pub(crate) fn is_match(&self, text: &str) -> bool {
        let (regex, full) = match &self.engine {
            Engine::Own(regex, full) => (regex, full.get_or_init(|| Self::full(&self.source))),
            Engine::Host(host) => return host.is_match(text) == Some(true),
        };
        match full {
            Some(Full::Table(table)) => table.is_match(text.as_bytes()),
            Some(Full::Dense(dfa, anchored)) => {
                let anchored = if *anchored { Anchored::Yes } else { Anchored::No };
                let input = Input::new(text).anchored(anchored).earliest(true);
                match dfa.try_search_fwd(&input) {
                    Ok(found) => found.is_some(),
                    // Such a table is never built: it has no quit bytes.
                    Err(_) => regex.is_match(text),
                }
            }
            None => regex.is_match(text),
        }
    }
}

fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or(text);
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PATTERNS: &[&str] = &[
        "",
        "^$",
        "a",
        "^a",
        "a$",
        "^a$",
        "^[a-z]+$",
        "ab|cd",
        "^(ab|cd)*e?$",
        r"^[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}$",
        "^[A-Z]{2}[0-9]{1,4}$",
        r"\d{2}-\w+",
        "^.{3,5}$",
        "(?i)AbC",
        "(?s)a.b",
        r"\bword\b",
        "[^a]",
        "é+$",
        r"^\p{Lu}",
        "(a|b)*a(a|b){7}",
    ];

    proptest! {
        #[test]
        fn finds_what_regex_finds(
            text in prop_oneof!["[abcdez@.\\-_ 019é\n]{0,20}", "[a-z]{1,8}@[a-z.]{1,12}", ".{0,12}"],
            index in 0..PATTERNS.len(),
        ) {
            let source = PATTERNS[index];
            let pattern = Pattern::compile(source, None, "").expect("these are valid");
            let expected = meta::Regex::new(source).expect("these are valid").is_match(&text);
            prop_assert_eq!(pattern.is_match(&text), expected, "{} {:?}", source, text);
        }
    }

    #[test]
    fn look_around_needs_a_host() {
        for source in ["a(?=b)", r"(a)\1", "(?<!a)b"] {
            let error = Pattern::compile(source, None, "p").expect_err("not supported");
            assert!(matches!(error, SchemaError::NeedsHostEngine { .. }), "{error}");
        }
        let error = Pattern::compile("(", None, "p").expect_err("not valid");
        assert!(matches!(error, SchemaError::Pattern { .. }), "{error}");
    }
}
