//! Conditional variables: true or false by a trait, decided by the envoy (D3).
//!
//! What a machine does not report makes the variable unknown, never false.

use serde_json::Value;

use crate::traits::{self, TraitKind};
use crate::when::version_at_least;

/// The ways to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ask {
    /// One of these texts, upper and lower case alike.
    In,
    /// Exactly this.
    Eq,
    /// More than that; versions as versions, numbers as numbers.
    Gt,
    /// That or more.
    Gte,
    /// Less than that.
    Lt,
    /// That or less.
    Lte,
}

/// One conditional variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Test {
    /// The dotted name of the trait.
    pub path: String,
    /// How it is compared.
    pub ask: Ask,
    /// With what; one value but for `in`.
    pub values: Vec<String>,
}

impl Ask {
    /// All of them, by the key they are written as.
    pub const ALL: [(&'static str, Ask); 6] = [
        ("in", Ask::In),
        ("eq", Ask::Eq),
        ("gt", Ask::Gt),
        ("gte", Ask::Gte),
        ("lt", Ask::Lt),
        ("lte", Ask::Lte),
    ];

    /// The key.
    pub fn key(self) -> &'static str {
        Ask::ALL.iter().find(|(_, ask)| *ask == self).map_or("", |(key, _)| *key)
    }

    /// Whether it orders values.
    pub fn orders(self) -> bool {
        !matches!(self, Ask::In | Ask::Eq)
    }
}

impl Test {
    /// What is wrong with it: what, and how to put it right.
    pub fn fault(&self) -> Option<(String, String)> {
        let known = || vigo_base::text::nearest(&self.path, traits::paths());
        let number = |v: &String| v.parse::<f64>().is_ok_and(f64::is_finite);
        match traits::kind_of(&self.path) {
            None => {
                let help = match known() {
                    Some(near) => format!("did you mean {near}?"),
                    None => "traits are named like os.family".into(),
                };
                Some((format!("there is no trait {}", self.path), help))
            }
            Some(TraitKind::List | TraitKind::Table) => {
                Some((format!("the trait {} is a list", self.path), "templates can go through lists".into()))
            }
            Some(TraitKind::Number) if !self.values.iter().all(number) => Some((
                format!("the trait {} is a number, and this is none", self.path),
                "write for example `gte: 4096`".into(),
            )),
            Some(TraitKind::Bool) if self.ask.orders() => Some((
                format!("the trait {} is true or false and has no order", self.path),
                "write `eq: true`, or name the trait in the condition".into(),
            )),
            _ => None,
        }
    }

    /// The answer on a machine; `None` if it reports no such trait.
    pub fn on(&self, reported: &Value) -> Option<bool> {
        let found = traits::lookup(reported, &self.path)?;
        let text = match found {
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => found.to_string(),
            _ => return None,
        };
        let same = |value: &String| value.eq_ignore_ascii_case(&text);
        let at_least = |a: &str, b: &str| match (a.parse::<f64>(), b.parse::<f64>()) {
            (Ok(a), Ok(b)) if found.is_number() => a >= b,
            _ => version_at_least(a, b),
        };
        let value = self.values.first()?;
        Some(match self.ask {
            Ask::In | Ask::Eq => self.values.iter().any(same),
            Ask::Gte => at_least(&text, value),
            Ask::Lt => !at_least(&text, value),
            Ask::Lte => at_least(value, &text),
            Ask::Gt => !at_least(value, &text),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// H23: numbers as numbers, versions as versions, texts alike in both cases, the unknown unknown.
    #[test]
    fn traits_are_asked() {
        let traits = json!({"os": {"family": "debian", "version": "9.10"}, "hardware": {"memory_mb": 4096}});
        let ask = |path: &str, ask, values: &[&str]| {
            Test { path: path.into(), ask, values: values.iter().map(|v| v.to_string()).collect() }
                .on(&traits)
        };
        assert_eq!(ask("os.family", Ask::In, &["redhat", "Debian"]), Some(true));
        assert_eq!(ask("os.family", Ask::Eq, &["redhat"]), Some(false));
        for (ask_by, limit, expect) in [
            (Ask::Gte, "4096", true),
            (Ask::Gt, "4096", false),
            (Ask::Lte, "4096", true),
            (Ask::Lt, "4096", false),
            (Ask::Gt, "999.5", true),
            (Ask::Lt, "10000", true),
        ] {
            assert_eq!(ask("hardware.memory_mb", ask_by, &[limit]), Some(expect), "{ask_by:?} {limit}");
        }
        assert_eq!(ask("os.version", Ask::Gt, &["9.9"]), Some(true));
        assert_eq!(ask("os.version", Ask::Gte, &["9.10.0"]), Some(true));
        assert_eq!(ask("os.distro", Ask::Eq, &["x"]), None);
    }
}
