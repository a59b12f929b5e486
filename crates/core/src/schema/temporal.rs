//! Calendar types as plain fields, at microsecond resolution, in the proleptic Gregorian calendar.

/// Microseconds in a day.
const DAY_MICROS: i64 = 86_400_000_000;

/// A calendar date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Date {
    /// Year, 0 to 9999.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, from 1.
    pub day: u8,
}

impl Date {
    /// Days since 1970-01-01.
    ///
    /// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
    #[must_use]
    pub fn days_since_epoch(self) -> i32 {
        let month = i32::from(self.month);
        let year = i32::from(self.year) - i32::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year =
            (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + i32::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }
}

/// A time of day, with an optional offset from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Time {
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
    /// Microsecond, 0 to 999 999.
    pub micros: u32,
    /// Seconds east of UTC; `None` for a naive time.
    pub offset: Option<i32>,
}

impl Time {
    /// Microseconds since midnight, in the time's own offset.
    #[must_use]
    pub fn micros_since_midnight(self) -> i64 {
        let seconds =
            i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        seconds * 1_000_000 + i64::from(self.micros)
    }
}

/// A date and a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DateTime {
    /// The date.
    pub date: Date,
    /// The time; its offset makes the whole aware.
    pub time: Time,
}

impl DateTime {
    /// Microseconds since 1970-01-01T00:00:00, in UTC if the value has an offset and as written if it has none.
    #[must_use]
    pub fn micros_since_epoch(self) -> i64 {
        let offset = i64::from(self.time.offset.unwrap_or(0)) * 1_000_000;
        i64::from(self.date.days_since_epoch()) * DAY_MICROS + self.time.micros_since_midnight()
            - offset
    }
}

/// A span of time of either sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Duration {
    /// The whole span in microseconds. Python's `timedelta` reaches 8.64e22, hence the width.
    pub micros: i128,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_days_like_a_calendar() {
        let mut expected = -719_528; // 0000-01-01
        for year in 0..=9999_u16 {
            let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
            for (month, days) in
                [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
                    .into_iter()
                    .enumerate()
            {
                let first = Date { year, month: month as u8 + 1, day: 1 };
                assert_eq!(first.days_since_epoch(), expected, "{first:?}");
                expected += days;
            }
        }
    }

    #[test]
    fn an_offset_moves_the_instant() {
        let date = Date { year: 1970, month: 1, day: 1 };
        let time = Time { hour: 1, minute: 0, second: 0, micros: 5, offset: Some(3600) };
        assert_eq!(DateTime { date, time }.micros_since_epoch(), 5);
        let naive = Time { offset: None, ..time };
        assert_eq!(DateTime { date, time: naive }.micros_since_epoch(), 3_600_000_005);
    }
}
