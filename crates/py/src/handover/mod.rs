//! Hand-over of tables between processes. `ottava.handover` is the public face.

mod client;
mod fit;
mod schema;
mod server;

use std::time::{Duration, Instant};

use ottava_streams::handover::HandoverError;
use pyo3::prelude::*;

use crate::error::{ARGUMENT, ExceptionClass, HANDOVER};
use crate::gate;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<server::HandoverServer>()?;
    module.add_class::<server::HandoverSegment>()?;
    module.add_class::<server::HandoverParcel>()?;
    module.add_class::<server::HandoverReceipt>()?;
    module.add_class::<client::HandoverClient>()?;
    module.add_class::<client::HandoverTable>()
}

/// An error of the hand-over as an exception.
fn raise(py: Python<'_>, err: HandoverError) -> PyErr {
    let class: &ExceptionClass = match &err {
        HandoverError::WouldBlock { .. } => &HANDOVER.would_block,
        HandoverError::Timeout { .. } => &HANDOVER.timeout,
        HandoverError::Closed => &HANDOVER.closed,
        HandoverError::PeerGone { .. } => &HANDOVER.peer_gone,
        HandoverError::Refused(_) | HandoverError::Handshake { .. } => &HANDOVER.handshake,
        HandoverError::Malformed { .. }
        | HandoverError::NotSealed { .. }
        | HandoverError::TooLarge { .. }
        | HandoverError::Protocol { .. } => &HANDOVER.segment,
        HandoverError::Address { .. }
        | HandoverError::Token { .. }
        | HandoverError::Option { .. }
        | HandoverError::Schema { .. }
        | HandoverError::Column { .. } => &ARGUMENT,
        _ => &HANDOVER.base,
    };
    class.new_err(py, (err.to_string(),))
}

/// How long to wait at a time before looking for signals.
const SLICE: Duration = Duration::from_millis(50);

/// Seconds as a timeout: `None` waits forever, and so does what no clock can count; negative is none at all.
fn timeout(seconds: Option<f64>) -> Option<Duration> {
    let seconds = seconds?;
    if seconds <= 0.0 { Some(Duration::ZERO) } else { Duration::try_from_secs_f64(seconds).ok() }
}

/// Seconds as a deadline, which may be so long that no clock can count it.
fn deadline(py: Python<'_>, seconds: f64) -> PyResult<Duration> {
    if seconds.is_nan() {
        return Err(ARGUMENT.new_err(py, ("deadline: nan is not a number of seconds",)));
    }
    Ok(timeout(Some(seconds)).unwrap_or(Duration::MAX))
}

/// Runs a call that takes a timeout, without the interpreter lock, and in slices, so that Ctrl-C ends it.
fn waiting<T: Send>(
    py: Python<'_>,
    timeout: Option<Duration>,
    call: impl FnMut(Option<Duration>) -> Result<T, HandoverError> + Send,
) -> PyResult<T> {
    waiting_since(py, Instant::now(), timeout, call)
}

/// As [`waiting`], with a timeout that began at `start`.
fn waiting_since<T: Send>(
    py: Python<'_>,
    start: Instant,
    timeout: Option<Duration>,
    mut call: impl FnMut(Option<Duration>) -> Result<T, HandoverError> + Send,
) -> PyResult<T> {
    if timeout == Some(Duration::ZERO) {
        // Too short to be worth giving up the lock.
        return gate::attached(py, || call(timeout))?.map_err(|err| raise(py, err));
    }
    loop {
        let left = timeout.map(|all| all.saturating_sub(start.elapsed()));
        let slice = left.unwrap_or(SLICE).clamp(Duration::from_micros(1), SLICE);
        match gate::detached(py, || call(Some(slice)))? {
            Err(HandoverError::Timeout { .. }) if left.is_none_or(|left| left > slice) => {
                py.check_signals()?;
            }
            other => return other.map_err(|err| raise(py, err)),
        }
    }
}

/// An address and a token as they are read from text.
fn parse<T: std::str::FromStr<Err = HandoverError>>(py: Python<'_>, text: &str) -> PyResult<T> {
    text.parse().map_err(|err| raise(py, err))
}
