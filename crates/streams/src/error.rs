//! What can go wrong, and at which descriptor.

use std::io;

/// Why a stream operation ended early.
///
/// Every variant that happens in the middle of a transfer says how many bytes had been taken from the reader by then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The reader cannot be read: closed, the wrong end of a pipe, a directory, an I/O error.
    #[error("cannot read from fd {fd} after {bytes} bytes: {source}")]
    Read {
        /// The descriptor that was read from.
        fd: i32,
        /// Bytes taken from the reader before the failure.
        bytes: u64,
        /// What the system said.
        source: io::Error,
    },

    /// A writer cannot be written, for another reason than that its other end is gone.
    #[error("cannot write to fd {fd} after {bytes} bytes: {source}")]
    Write {
        /// Which of the writers, in the order they were given.
        sink: usize,
        /// The descriptor that was written to.
        fd: i32,
        /// Bytes this writer had accepted before the failure.
        bytes: u64,
        /// What the system said.
        source: io::Error,
    },

    /// The operation was cancelled through its [`Cancel`](crate::Cancel).
    #[error("cancelled after {bytes} bytes")]
    Cancelled {
        /// Bytes taken from the reader before the cancellation.
        bytes: u64,
    },

    /// Reader and writer are the same regular file, so the copy would chase its own tail.
    #[error("fd {reader} and fd {writer} are the same file")]
    SameFile {
        /// Which of the writers, in the order they were given.
        sink: usize,
        /// The descriptor to read from.
        reader: i32,
        /// The descriptor to write to.
        writer: i32,
    },

    /// The stream holds more bytes than the caller accepts.
    #[error("fd {fd} holds more than the limit of {limit} bytes")]
    TooLarge {
        /// The descriptor that was read from.
        fd: i32,
        /// The limit in bytes.
        limit: u64,
    },

    /// One line is longer than the caller accepts.
    #[error("line {line} of fd {fd} is longer than the limit of {limit} bytes")]
    LineTooLong {
        /// The descriptor that was read from.
        fd: i32,
        /// Zero-based number of the line.
        line: u64,
        /// The limit in bytes, without the line ending.
        limit: usize,
    },

    /// The bytes are no UTF-8.
    #[error("byte {offset} begins no UTF-8 character")]
    Decode {
        /// Zero-based place of the first byte that is invalid.
        offset: u64,
    },

    /// An option lies outside its range.
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

    /// The system refused what the operation itself needs: an eventfd, a poll, memory.
    #[error("cannot {what}: {source}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}
