//! A day of the calendar, as waivers name it.
//!
//! It never asks what day it is. The invariant it keeps: the day exists.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A day of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    year: u16,
    month: u8,
    day: u8,
}

/// A text that is no day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadDay {
    /// It is not written like one.
    #[error("a day is written YYYY-MM-DD")]
    Form,
    /// The calendar does not have it.
    #[error("the calendar has no such day")]
    Missing,
}

impl Day {
    /// The day that many days after 1970-01-01, up to the year 9999.
    pub fn from_unix_days(days: u64) -> Day {
        let (mut year, mut left) = (1970u16, days);
        while year < 9999 && left >= year_days(year) {
            left -= year_days(year);
            year += 1;
        }
        let mut month = 1u8;
        while month < 12 && left >= u64::from(month_days(year, month)) {
            left -= u64::from(month_days(year, month));
            month += 1;
        }
        let last = u64::from(month_days(year, month)) - 1;
        Day { year, month, day: u8::try_from(left.min(last)).unwrap_or(30) + 1 }
    }
}

fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn year_days(year: u16) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn month_days(year: u16, month: u8) -> u8 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl FromStr for Day {
    type Err = BadDay;

    fn from_str(text: &str) -> Result<Day, BadDay> {
        let bytes = text.as_bytes();
        let shaped = bytes.len() == 10
            && bytes.iter().enumerate().all(|(i, b)| match i {
                4 | 7 => *b == b'-',
                _ => b.is_ascii_digit(),
            });
        if !shaped {
            return Err(BadDay::Form);
        }
        let part = |from: usize, to: usize| text.get(from..to).and_then(|t| t.parse::<u16>().ok());
        let (Some(year), Some(month), Some(day)) = (part(0, 4), part(5, 7), part(8, 10)) else {
            return Err(BadDay::Form);
        };
        let (Ok(month), Ok(day)) = (u8::try_from(month), u8::try_from(day)) else {
            return Err(BadDay::Form);
        };
        if year == 0 || !(1..=12).contains(&month) || day == 0 || day > month_days(year, month) {
            return Err(BadDay::Missing);
        }
        Ok(Day { year, month, day })
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_days_of_the_calendar_are_days() {
        for text in ["2027-01-01", "2024-02-29", "2000-02-29", "9999-12-31"] {
            assert_eq!(text.parse::<Day>().unwrap().to_string(), text);
        }
        for text in ["2023-02-29", "1900-02-29", "2027-13-01", "2027-00-10", "2027-04-31", "0000-01-01"] {
            assert_eq!(text.parse::<Day>(), Err(BadDay::Missing), "{text}");
        }
        for text in
            ["", "2027-1-1", "01.02.2027", "2027-01-01T00", "2027/01/01", "\u{ff12}027-01-0", "+027-01-01"]
        {
            assert_eq!(text.parse::<Day>(), Err(BadDay::Form), "{text}");
        }
    }

    #[test]
    fn days_are_counted_from_1970() {
        for (days, text) in
            [(0, "1970-01-01"), (59, "1970-03-01"), (11_016, "2000-02-29"), (20_777, "2026-11-20")]
        {
            assert_eq!(Day::from_unix_days(days).to_string(), text);
        }
        assert_eq!(Day::from_unix_days(u64::MAX).to_string(), "9999-12-31");
    }
}
