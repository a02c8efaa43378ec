//! Values of scenario files: times, spans of time, shares, counts.
//!
//! Pure functions from text to numbers and back; none if the text is no such value. Invariant: what is written by
//! [`time_text`] is read as the same time.

use toml::de::DeValue;
use vigo_base::time::Micros;

/// What a time is said to be in messages.
pub(super) const TIME: &str = "a time like \"50ms\", \"10s\", \"15m\", \"2h\" or \"7d\"";
/// What a span of time is said to be.
pub(super) const SPAN: &str = "a span of time like \"10ms..50ms\"";
/// What a share is said to be.
pub(super) const SHARE: &str = "a share like \"2%\", \"1 in 50\" or \"never\"";
/// What a part of a hundred is said to be.
pub(super) const PERCENT: &str = "a whole per cent like \"30%\"";
/// What a count is said to be.
pub(super) const COUNT: &str = "a whole number";
/// What a switch is said to be.
pub(super) const SWITCH: &str = "true or false";
/// What a text is said to be.
pub(super) const TEXT: &str = "a text in quotes";

/// Units of time in microseconds, the longest first.
const UNITS: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

/// A length of time: digits and a unit.
pub fn time(text: &str) -> Option<Micros> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit.trim())?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

/// A length of time as it is written: the greatest unit of which it is a whole number.
pub fn time_text(micros: Micros) -> String {
    let whole = UNITS.iter().find(|(_, factor)| micros >= *factor && micros.is_multiple_of(*factor));
    match whole {
        Some((unit, factor)) => format!("{}{unit}", micros / factor),
        None => "0s".to_string(),
    }
}

/// Two times with two points between them, the shorter first.
pub(super) fn span(text: &str) -> Option<(Micros, Micros)> {
    let (least, most) = text.split_once("..")?;
    let (least, most) = (time(least.trim())?, time(most.trim())?);
    (least <= most).then_some((least, most))
}

/// One in so many; 0 for never.
pub(super) fn one_in(text: &str) -> Option<u64> {
    if text == "never" {
        return Some(0);
    }
    if let Some(n) = text.strip_prefix("1 in ") {
        return n.parse().ok().filter(|n| *n > 0);
    }
    let percent: f64 = text.strip_suffix('%')?.trim().parse().ok()?;
    match percent {
        0.0 => Some(0),
        p if (0.000_1..=100.0).contains(&p) => Some((100.0 / p).round() as u64),
        _ => None,
    }
}

/// So many of a hundred.
pub(super) fn percent(text: &str) -> Option<u64> {
    text.strip_suffix('%')?.trim().parse().ok().filter(|percent| *percent <= 100)
}

/// A text.
pub(super) fn text(value: &DeValue<'_>) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A switch.
pub(super) fn switch(value: &DeValue<'_>) -> Option<bool> {
    value.as_bool()
}

/// A whole number.
pub(super) fn count(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// Reads a text by one of the functions above.
pub(super) fn of<T>(read: impl Fn(&str) -> Option<T>) -> impl Fn(&DeValue<'_>) -> Option<T> {
    move |value| value.as_str().and_then(&read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (text, micros) in [("1us", 1), ("50ms", 50_000), ("90s", 90_000_000), ("15m", 900_000_000)] {
            assert_eq!(time(text), Some(micros), "{text}");
            assert_eq!(time(&time_text(micros)), Some(micros), "{text}");
        }
        assert_eq!((time_text(86_400_000_000), time_text(0)), ("1d".into(), "0s".into()));
        for wrong in ["", "10", "s", "1w", "-3s", "1.5s", "999999999999999999d"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
        assert_eq!(span("10ms..50ms"), Some((10_000, 50_000)));
        assert_eq!([span("50ms..10ms"), span("10ms"), span("10ms..")], [None; 3]);
    }

    #[test]
    fn shares_are_one_in_so_many() {
        for (text, n) in [("2%", 50), ("1 in 7", 7), ("never", 0), ("0%", 0), ("100%", 1), ("0.5%", 200)] {
            assert_eq!(one_in(text), Some(n), "{text}");
        }
        for wrong in ["101%", "-1%", "1 in 0", "x%", "NaN%", "inf%", "2"] {
            assert_eq!(one_in(wrong), None, "{wrong}");
        }
        assert_eq!((percent("30%"), percent("101%"), percent("3")), (Some(30), None, None));
    }
}
