//! Words for states and times, the same in every table.

use vigo_base::Time;
use vigo_daemon::node::content_types::status::{Drift, Failure};

/// Where a run stands on the failure axis.
pub fn failure(failure: Failure) -> &'static str {
    match failure {
        Failure::Converged => "converged",
        Failure::Degraded => "degraded",
        Failure::Failed => "failed",
        Failure::NoData => "unknown",
    }
}

/// Where the last runs stand on the drift axis.
pub fn drift(drift: Drift) -> &'static str {
    match drift {
        Drift::None => "none",
        Drift::Changed => "changed",
        Drift::Diverged => "diverged",
    }
}

/// How long ago something was.
pub fn ago(now: Time, then: Time) -> String {
    let secs = now.since(then) / 1_000_000;
    match secs {
        0..=1 => "just now".into(),
        2..=119 => format!("{secs} s ago"),
        120..=7_199 => format!("{} min ago", secs / 60),
        7_200..=172_799 => format!("{} h ago", secs / 3_600),
        _ => format!("{} days ago", secs / 86_400),
    }
}

/// A moment in UTC, to the second: `2026-11-20 09:30:00`.
pub fn moment(at: Time) -> String {
    let secs = at.0 / 1_000_000;
    let (days, rest) = (secs / 86_400, secs % 86_400);
    // Years begin in March here, so that the day that some years have more is the last.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + later;
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// So many of something: `1 envoy`, `2 envoys`.
pub fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// A length of time as it is typed: `90`, `30s`, `5m`, `1h`, `7d`; in microseconds.
pub fn duration(text: &str) -> Option<u64> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)?.checked_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        assert_eq!(duration("90"), Some(90_000_000));
        assert_eq!(duration("7d"), Some(604_800_000_000));
        assert_eq!([duration("h"), duration("1w"), duration("99999999999999999999")], [None, None, None]);
        assert_eq!(ago(Time(200_000_000), Time(0)), "3 min ago");
        assert_eq!(ago(Time(0), Time(5)), "just now");
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        let at = |secs: u64| moment(Time(secs * 1_000_000));
        assert_eq!(at(0), "1970-01-01 00:00:00");
        assert_eq!(at(951_782_399), "2000-02-28 23:59:59");
        assert_eq!(at(951_782_400), "2000-02-29 00:00:00");
        assert_eq!(at(951_868_800), "2000-03-01 00:00:00");
        assert_eq!(at(1_795_132_800), "2026-11-20 00:00:00");
        assert_eq!(at(4_107_542_399), "2100-02-28 23:59:59");
        assert_eq!(at(4_107_542_400), "2100-03-01 00:00:00");
    }
}
