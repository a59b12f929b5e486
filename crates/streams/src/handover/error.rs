//! What can go wrong between two processes, and at which place.

use std::io;

use super::frame::Refusal;

/// Why a hand-over did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandoverError {
    /// An address that cannot be read or used.
    #[error("address {text:?}: {reason}")]
    Address {
        /// The address as given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A token that is not 32 hexadecimal digits.
    #[error("a token is 32 hexadecimal digits, not {length} characters")]
    Token {
        /// Length of the text that was given. The text itself is never shown.
        length: usize,
    },
    /// The other end, which knows the token, refused the connection.
    #[error("the server refused the connection: {0}")]
    Refused(Refusal),
    /// The handshake failed before either end was sure of the other.
    #[error("handshake failed: {what}")]
    Handshake {
        /// What happened.
        what: &'static str,
    },
    /// The other process ended or closed the connection.
    #[error("the other process is gone: {what}")]
    PeerGone {
        /// How it was noticed.
        what: &'static str,
    },
    /// The other process sent something that the protocol does not allow; the connection is closed.
    #[error("protocol violation by the other process: {what}")]
    Protocol {
        /// What it sent.
        what: String,
    },
    /// The bytes of a segment are not a valid Arrow IPC file.
    #[error("malformed segment, {place}: {reason}")]
    Malformed {
        /// Which part of the file: footer, schema, a block, a column.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A segment that its sender could still change or truncate. It was not mapped.
    #[error("segment is not sealed: missing {missing}")]
    NotSealed {
        /// The seals that are missing.
        missing: String,
    },
    /// A segment larger than this end accepts.
    #[error("segment of {bytes} bytes is over the limit of {limit} bytes")]
    TooLarge {
        /// Size of the segment.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The call would have to wait: no consumer, no free slot, or nothing received.
    #[error("would block: {what}")]
    WouldBlock {
        /// What is missing.
        what: &'static str,
    },
    /// The deadline passed.
    #[error("timed out: {what}")]
    Timeout {
        /// What was waited for.
        what: &'static str,
    },
    /// The server or client was closed.
    #[error("closed")]
    Closed,
    /// A schema that does not fit: the wrong one, or of a type that cannot be handed over this way.
    #[error("schema: {reason}")]
    Schema {
        /// What does not fit.
        reason: String,
    },
    /// A column that does not fit.
    #[error("column {column:?}: {reason}")]
    Column {
        /// Name of the column.
        column: String,
        /// What does not fit.
        reason: String,
    },
    /// An option outside its range.
    #[error("{option} is {value}, not between {min} and {max}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// The value that was given.
        value: u64,
        /// Smallest value accepted.
        min: u64,
        /// Largest value accepted.
        max: u64,
    },
    /// The system refused something.
    #[error("cannot {what}: {source}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl HandoverError {
    pub(super) fn malformed(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Malformed { place: place.into(), reason: reason.into() }
    }

    pub(super) fn column(column: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Column { column: column.into(), reason: reason.into() }
    }

    pub(super) fn protocol(what: impl Into<String>) -> Self {
        Self::Protocol { what: what.into() }
    }
}

/// Names what was attempted when the system says no.
pub(super) trait Attempt<T> {
    fn attempt(self, what: &'static str) -> Result<T, HandoverError>;
}

impl<T, E: Into<io::Error>> Attempt<T> for Result<T, E> {
    fn attempt(self, what: &'static str) -> Result<T, HandoverError> {
        self.map_err(|source| HandoverError::System { what, source: source.into() })
    }
}
