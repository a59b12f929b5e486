//! Bytes between file descriptors at the speed of the kernel: pump, consume, lines, tee.
//!
//! Everything here blocks the calling thread and nothing else: descriptors keep their mode, no executor is assumed, and
//! a [`Cancel`] stops any operation from another thread, also while it waits in the kernel. Where the kernel can move
//! the bytes itself (Linux: `splice`, `tee`, `copy_file_range`) it is asked to; every report says which way was taken
//! and why a faster one was not.
//!
//! ```
//! # #[cfg(unix)] {
//! use std::io::{Read, Write, pipe};
//! use std::os::fd::OwnedFd;
//!
//! use ottava_streams::{Ending, PumpOptions, pump};
//!
//! let (source, mut producer) = pipe()?;
//! let (mut consumer, sink) = pipe()?;
//! producer.write_all(b"eight dimensions\n")?;
//! drop(producer);
//!
//! let report = pump(OwnedFd::from(source), OwnedFd::from(sink), &PumpOptions::default())?;
//! assert_eq!((report.bytes, report.ending), (17, Ending::Eof));
//!
//! let mut text = String::new();
//! consumer.read_to_string(&mut text)?;
//! assert_eq!(text, "eight dimensions\n");
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Other Unix systems get the same operations by `read` and `write` alone; where a call cannot be told not to block, a poll
//! comes first and a write to a pipe is no longer than surely fits. Windows gets the types of reports and errors, and
//! [`decode`]; nothing there moves bytes.
//!
//! `SIGPIPE` is ignored by the Rust runtime and by CPython, so a writer whose other end is gone is an [`Ending`]. A
//! program that restored the default action must block the signal in the thread that pumps.

#[cfg(unix)]
mod cancel;
#[cfg(unix)]
mod consume;
#[cfg(unix)]
mod ends;
mod error;
#[cfg(unix)]
mod fd;
#[cfg(all(unix, feature = "arrow"))]
pub mod handover;
#[cfg(unix)]
mod lines;
#[cfg(unix)]
mod machine;
#[cfg(unix)]
mod pump;
mod report;
#[cfg(target_os = "linux")]
mod splice;
mod utf8;
#[cfg(unix)]
mod wait;

#[cfg(unix)]
pub use cancel::{Cancel, Progress, Signal};
#[cfg(unix)]
pub use consume::{
    ConsumeReport, Consumed, Source, Store, consume, consume_into, consume_tee, consume_text,
};
pub use error::StreamError;
#[cfg(unix)]
pub use fd::Fd;
#[cfg(unix)]
pub use lines::{
    LineBatch, LineBuffer, LineOptions, LineSink, LinesReport, MAX_LINE, count_lines, lines,
    lines_tee,
};
#[cfg(unix)]
pub use pump::{Begun, MAX_BUFFER, PumpOptions, Tried, pump, pump_all, try_pump};
pub use report::{Ending, PumpReport, Refusal, SinkReport, Way, Why};
pub use utf8::{OnInvalid, Utf8Decoder, decode};
