//! When cron runs a job: five fields or one word, as crontab(5) has them.
//!
//! It takes what every cron takes alike and nothing that only some do. Pure; it never says when a job will run.

use vigo_base::text::{escaped, nearest};

/// What stands for five fields.
const WORDS: [&str; 8] =
    ["@reboot", "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

struct Field {
    name: &'static str,
    first: u32,
    last: u32,
    /// Names for the values from `first` on; they stand alone, not in lists or ranges.
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", first: 0, last: 59, names: &[] },
    Field { name: "hour", first: 0, last: 23, names: &[] },
    Field { name: "day", first: 1, last: 31, names: &[] },
    Field {
        name: "month",
        first: 1,
        last: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    Field { name: "weekday", first: 0, last: 7, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

/// The most days that a month has.
const DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// What is wrong with a schedule; `None` when nothing is.
pub(super) fn fault(text: &str) -> Option<String> {
    if text.contains(['\n', '\r']) {
        return Some("it holds a line break".into());
    }
    if text.starts_with('@') {
        if WORDS.contains(&text) {
            return None;
        }
        let near = nearest(text, WORDS).map(|n| format!("; the nearest is {n}")).unwrap_or_default();
        return Some(format!("there is no {}{near}", shown(text)));
    }
    let fields: Vec<&str> = text.split([' ', '\t']).filter(|f| !f.is_empty()).collect();
    if fields.len() != FIELDS.len() {
        return Some(format!("it has {} fields", fields.len()));
    }
    let mut read = Vec::new();
    for (field, text) in FIELDS.iter().zip(&fields) {
        match field.values(text) {
            Ok(values) => read.push(values),
            Err(why) => return Some(format!("the {} `{}`: {why}", field.name, shown(text))),
        }
    }
    never(&read, fields.last() == Some(&"*"))
}

/// A day that none of the months has, with no weekday beside it.
fn never(read: &[Vec<u32>], any_weekday: bool) -> Option<String> {
    let [_, _, days, months, _] = read else { return None };
    let day = days.iter().min()?;
    let longest = months.iter().filter_map(|m| DAYS.get(m.checked_sub(1)? as usize)).max()?;
    (any_weekday && day > longest).then(|| format!("it never comes: that month has no day {day}"))
}

impl Field {
    /// The values that a field stands for.
    fn values(&self, text: &str) -> Result<Vec<u32>, String> {
        let lower = text.to_ascii_lowercase();
        if let Some(place) = self.names.iter().position(|n| *n == lower) {
            return Ok(vec![self.first + u32::try_from(place).unwrap_or(0)]);
        }
        let mut all = Vec::new();
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                None => (part, 1),
                Some((range, step)) => (range, self.step(range, step)?),
            };
            let (from, to) = match range.split_once('-') {
                _ if range == "*" => (self.first, self.last),
                Some((from, to)) => (self.number(from)?, self.number(to)?),
                None => (self.number(range)?, self.number(range)?),
            };
            if from > to {
                return Err(format!("the range ends before it begins ({from}-{to})"));
            }
            all.extend((from..=to).step_by(step as usize));
        }
        Ok(all)
    }

    fn step(&self, range: &str, step: &str) -> Result<u32, String> {
        if range != "*" && !range.contains('-') {
            return Err("a step stands after `*` or a range, like `*/5`".into());
        }
        match digits(step) {
            Some(step) if (1..=self.last).contains(&step) => Ok(step),
            _ => Err(format!("a step is from 1 to {}", self.last)),
        }
    }

    fn number(&self, text: &str) -> Result<u32, String> {
        if self.names.contains(&text.to_ascii_lowercase().as_str()) {
            return Err("names stand alone; in lists and ranges write numbers".into());
        }
        match digits(text) {
            Some(n) if (self.first..=self.last).contains(&n) => Ok(n),
            _ => Err(format!("it is from {} to {}", self.first, self.last)),
        }
    }
}

/// One to three digits.
fn digits(text: &str) -> Option<u32> {
    let plain = (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn shown(text: &str) -> String {
    escaped(&text.chars().take(40).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_cron_takes() {
        for text in [
            "* * * * *",
            "*/5 * * * *",
            "0 3 * * 1-5",
            "0,30 8-18/2 1,15 * *",
            "5 4 * * sun",
            "0 0 1 Jan *",
            "0\t0  29 2 *",
            "0 0 31 2 1",
            "0 0 * * 7",
            "@daily",
            "@reboot",
            "59 23 31 12 *",
            "0 0 31 2,3 *",
        ] {
            assert_eq!(fault(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("", "0 fields"),
            ("* * * *", "4 fields"),
            ("* * * * * *", "6 fields"),
            ("60 * * * *", "the minute `60`: it is from 0 to 59"),
            ("0 24 * * *", "the hour `24`: it is from 0 to 23"),
            ("0 0 0 * *", "day `0`: it is from 1 to 31"),
            ("0 0 * 13 *", "month `13`: it is from 1"),
            ("0 0 * * 8", "weekday `8`: it is from 0 to 7"),
            ("5-1 * * * *", "ends before it begins"),
            ("5/2 * * * *", "a step stands after"),
            ("*/0 * * * *", "a step is from 1"),
            ("*/60 * * * *", "a step is from 1 to 59"),
            ("1,,2 * * * *", "it is from 0"),
            ("* * * * mon-fri", "names stand alone"),
            ("* * * * foo", "it is from 0"),
            ("~ * * * *", "it is from 0"),
            ("+5 * * * *", "it is from 0"),
            ("@dayly", "the nearest is @daily"),
            ("@every 5m", "there is no @every 5m"),
            ("* * * * *\n* * * * * root rm", "line break"),
            ("0 0 30 2 *", "no day 30"),
            ("0 0 31 4,6 *", "no day 31"),
        ] {
            let why = fault(text).unwrap_or_else(|| panic!("{text} is taken"));
            assert!(why.contains(part), "{text}: {why}");
        }
    }
}
