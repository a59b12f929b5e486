//! Dates and times of Python.

use ottava_core::schema::{Date, DateTime, Duration, Time};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{
    PyDate, PyDateAccess, PyDateTime, PyDelta, PyDeltaAccess, PyString, PyTime, PyTimeAccess,
    PyTzInfo, PyTzInfoAccess,
};

/// Time zones whose offset never changes, as far as they were met.
#[derive(Default)]
pub(super) struct Zones<'py> {
    fixed: Vec<(Bound<'py, PyTzInfo>, i64)>,
}

/// Zones that are remembered; a program has few.
const ZONES: usize = 8;

impl<'py> Zones<'py> {
    /// Microseconds since 1970 in UTC, and whether the time was aware; a naive one counts as UTC.
    pub(super) fn micros(&mut self, moment: &Bound<'py, PyDateTime>) -> PyResult<(i64, bool)> {
        let date = Date {
            year: moment.get_year() as u16,
            month: moment.get_month(),
            day: moment.get_day(),
        };
        let time = Time {
            hour: moment.get_hour(),
            minute: moment.get_minute(),
            second: moment.get_second(),
            micros: moment.get_microsecond(),
            offset: None,
        };
        let micros = DateTime { date, time }.micros_since_epoch();
        match moment.get_tzinfo() {
            None => Ok((micros, false)),
            Some(zone) => Ok((micros - self.offset(moment, zone)?, true)),
        }
    }

    /// Microseconds east of UTC.
    fn offset(
        &mut self,
        moment: &Bound<'py, PyDateTime>,
        zone: Bound<'py, PyTzInfo>,
    ) -> PyResult<i64> {
        if let Some((_, offset)) = self.fixed.iter().find(|(known, _)| known.is(&zone)) {
            return Ok(*offset);
        }
        let py = moment.py();
        let offset = micros_of(&moment.call_method0(intern!(py, "utcoffset"))?);
        if self.fixed.len() < ZONES && is_fixed(&zone)? {
            self.fixed.push((zone, offset));
        }
        Ok(offset)
    }
}

fn micros_of(delta: &Bound<'_, PyAny>) -> i64 {
    // A zone may say that it does not know.
    delta.cast::<PyDelta>().map_or(0, |delta| span(delta).micros as i64)
}

/// Whether a zone has one offset at all times, as far as is known of its class.
fn is_fixed(zone: &Bound<'_, PyTzInfo>) -> PyResult<bool> {
    let py = zone.py();
    let class = zone.get_type();
    if class.is(&py.import("datetime")?.getattr("timezone")?) {
        return Ok(true);
    }
    // Asked without a time, `ZoneInfo` answers if there is only one answer.
    let zones = py.import("zoneinfo")?.getattr("ZoneInfo")?;
    Ok(class.is(&zones) && !zone.call_method1("utcoffset", (py.None(),))?.is_none())
}

pub(super) fn date(date: &Bound<'_, PyDate>) -> Date {
    Date { year: date.get_year() as u16, month: date.get_month(), day: date.get_day() }
}

pub(super) fn time(time: &Bound<'_, PyTime>) -> Time {
    Time {
        hour: time.get_hour(),
        minute: time.get_minute(),
        second: time.get_second(),
        micros: time.get_microsecond(),
        offset: None,
    }
}

pub(super) fn span(delta: &Bound<'_, PyDelta>) -> Duration {
    let seconds = i128::from(delta.get_days()) * 86_400 + i128::from(delta.get_seconds());
    Duration { micros: seconds * 1_000_000 + i128::from(delta.get_microseconds()) }
}

/// Text as the calendar type that it stands for, anything else as it is; `None` if the text is none.
pub(super) fn parsed<'py>(
    value: &Bound<'py, PyAny>,
    class: &str,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Ok(text) = value.cast::<PyString>() else { return Ok(Some(value.clone())) };
    let py = value.py();
    // Python 3.10 knows no `Z`.
    let text = text.to_string_lossy();
    let text = match text.strip_suffix('Z') {
        Some(text) => format!("{text}+00:00"),
        None => text.into_owned(),
    };
    let class = py.import("datetime")?.getattr(class)?;
    Ok(class.call_method1("fromisoformat", (text,)).ok())
}
