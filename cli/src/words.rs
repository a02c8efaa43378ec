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
}
