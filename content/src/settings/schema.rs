//! The table of settings, and the statement that changes one.
//!
//! Every key has a type, a default and a line that says what it does: the table is the documentation.

use minicbor::{Decode, Encode};
use serde_json::Value;
use vigo_base::codec::{self, BadBytes};
use vigo_base::text::{escaped, nearest};
use vigo_crdt::Statement;

/// The kind of a change among the statements of `settings`.
pub const SETTING: u16 = 1;
const VALUE_BYTES: usize = 4096;

/// What an operator signs to change one setting.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Change {
    /// A key of the table.
    #[n(0)]
    pub key: String,
    /// The value as JSON; none takes the setting back to its default.
    #[n(1)]
    pub value: Option<String>,
    /// One more than every generation of this key that the signer knew.
    #[n(2)]
    pub generation: u64,
}

/// The type of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole number within bounds, both included.
    Number(u64, u64),
    /// `true` or `false`.
    Switch,
    /// Seconds, written `30`, `"30s"`, `"5m"` or `"1h"`, within bounds in seconds.
    Duration(u64, u64),
    /// One of these words.
    Word(&'static [&'static str]),
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The dotted name.
    pub name: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// Its value when nobody set it, as JSON.
    pub default: &'static str,
    /// What it does.
    pub help: &'static str,
}

/// All settings, by name.
pub const KEYS: &[Key] = &[
    Key {
        name: "beacon.enabled",
        kind: Kind::Switch,
        default: "true",
        help: "Whether nodes find each other by multicast on their own networks; node.yaml may say otherwise for a machine.",
    },
    Key {
        name: "converge.interval",
        kind: Kind::Duration(10, 86_400),
        default: "300",
        help: "How often an envoy converges when nothing was published, in seconds.",
    },
    Key {
        name: "converge.splay",
        kind: Kind::Duration(0, 3_600),
        default: "30",
        help: "By how much each converge is delayed at random, at most, in seconds.",
    },
    Key {
        name: "convergence.diverged_threshold",
        kind: Kind::Number(2, 20),
        default: "5",
        help: "How many runs with changes in a row make an envoy diverged.",
    },
    Key {
        name: "spanner.mode",
        kind: Kind::Word(&["founder", "joiner"]),
        default: "\"joiner\"",
        help: "Read for compatibility: founder only means that init makes the genesis if there is none; bolts are equal.",
    },
];

/// Why a setting was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSetting {
    /// Not the canonical encoding.
    #[error("malformed: {0}")]
    Malformed(#[from] BadBytes),
    /// A statement of a kind that this version does not know.
    #[error("a statement of the unknown kind {0} in settings")]
    Kind(u16),
    /// No such key.
    #[error("there is no setting {found:?}{}", hint(.nearest))]
    Unknown {
        /// What was found, escaped.
        found: String,
        /// The nearest key.
        nearest: Option<&'static str>,
    },
    /// A key that is no longer one.
    #[error("the key {found:?} is retired: {instead}")]
    Retired {
        /// What was found.
        found: String,
        /// What to do.
        instead: &'static str,
    },
    /// A value that the key cannot have.
    #[error("{key} is {found}; expected {expected}")]
    Value {
        /// The key.
        key: String,
        /// What was found, escaped.
        found: String,
        /// What would be right.
        expected: String,
    },
}

fn hint(nearest: &Option<&'static str>) -> String {
    match nearest {
        Some(name) => format!("; did you mean {name:?}?"),
        None => "; `vigocli settings list` shows them all".into(),
    }
}

/// The row of a key.
///
/// # Errors
/// [`BadSetting::Unknown`] with the nearest key, [`BadSetting::Retired`] for `tungol`.
pub fn find(name: &str) -> Result<&'static Key, BadSetting> {
    if name == "tungol" || name.starts_with("tungol.") {
        return Err(BadSetting::Retired {
            found: name.into(),
            instead: "a federation of bolts is configured under `spanner`",
        });
    }
    KEYS.iter().find(|key| key.name == name).ok_or_else(|| BadSetting::Unknown {
        found: escaped(&name.chars().take(80).collect::<String>()),
        nearest: nearest(name, KEYS.iter().map(|key| key.name)),
    })
}

impl Key {
    /// Checks a value and gives its canonical form.
    ///
    /// # Errors
    /// [`BadSetting::Value`] with what is expected.
    pub fn check(&self, value: &Value) -> Result<Value, BadSetting> {
        let expected = match self.kind {
            Kind::Number(low, high) => match value.as_u64() {
                Some(n) if (low..=high).contains(&n) => return Ok(n.into()),
                _ => format!("a whole number from {low} to {high}"),
            },
            Kind::Switch => match value {
                Value::Bool(_) => return Ok(value.clone()),
                _ => "true or false".into(),
            },
            Kind::Duration(low, high) => match seconds(value) {
                Some(n) if (low..=high).contains(&n) => return Ok(n.into()),
                _ => format!("a duration from {low}s to {high}s, like 30, \"30s\" or \"5m\""),
            },
            Kind::Word(words) => match value.as_str() {
                Some(word) if words.contains(&word) => return Ok(value.clone()),
                _ => format!("one of {}", words.join(", ")),
            },
        };
        let found = escaped(&value.to_string().chars().take(80).collect::<String>());
        Err(BadSetting::Value { key: self.name.into(), found, expected })
    }

    /// The default, parsed.
    pub fn default_value(&self) -> Value {
        serde_json::from_str(self.default).unwrap_or(Value::Null)
    }
}

fn seconds(value: &Value) -> Option<u64> {
    if let Some(n) = value.as_u64() {
        return Some(n);
    }
    let text = value.as_str()?;
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

impl Change {
    /// The payload of the statement.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads a change, and checks its key and value against the table.
    ///
    /// # Errors
    /// [`BadSetting`] if it is none, or not of the table.
    pub fn read(statement: &Statement) -> Result<Change, BadSetting> {
        if statement.kind() != SETTING {
            return Err(BadSetting::Kind(statement.kind()));
        }
        let change: Change = codec::decode(statement.payload(), VALUE_BYTES + 512)?;
        let key = find(&change.key)?;
        if let Some(text) = &change.value {
            let value: Value = serde_json::from_str(text)
                .map_err(|e| BadSetting::Malformed(BadBytes::Malformed(e.to_string())))?;
            let spelled = key.check(&value)?.to_string();
            if &spelled != text {
                return Err(BadSetting::Malformed(BadBytes::NotCanonical));
            }
        }
        Ok(change)
    }
}

/// The settings in a `server.yaml` that was read into JSON: all mistakes at once.
///
/// # Errors
/// Every key that is unknown, retired or has a wrong value.
pub fn from_server_yaml_tree(tree: &Value) -> Result<Vec<(&'static Key, Value)>, Vec<BadSetting>> {
    let (mut found, mut bad) = (Vec::new(), Vec::new());
    walk("", tree, &mut found, &mut bad);
    if bad.is_empty() { Ok(found) } else { Err(bad) }
}

fn walk(path: &str, value: &Value, found: &mut Vec<(&'static Key, Value)>, bad: &mut Vec<BadSetting>) {
    match (value, find(path)) {
        (Value::Object(map), _) if !path.starts_with("tungol") => {
            for (name, inner) in map {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                walk(&below, inner, found, bad);
            }
        }
        (_, Ok(key)) => match key.check(value) {
            Ok(value) => found.push((key, value)),
            Err(e) => bad.push(e),
        },
        (_, Err(e)) => bad.push(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_are_of_their_own_type() {
        for key in KEYS {
            assert_eq!(key.check(&key.default_value()), Ok(key.default_value()), "{}", key.name);
        }
    }

    #[test]
    fn mistakes_name_the_nearest_key_and_what_is_expected() {
        let message = |e: BadSetting| e.to_string();
        let unknown = message(find("converge.intervall").unwrap_err());
        assert_eq!(
            unknown,
            "there is no setting \"converge.intervall\"; did you mean \"converge.interval\"?"
        );
        assert!(message(find("tungol").unwrap_err()).contains("retired"));
        let key = find("converge.interval").unwrap();
        assert_eq!(key.check(&json!("5m")), Ok(json!(300)));
        let wrong = message(key.check(&json!("5d")).unwrap_err());
        assert_eq!(
            wrong,
            "converge.interval is \"5d\"; expected a duration from 10s to 86400s, like 30, \"30s\" or \"5m\""
        );
    }

    #[test]
    fn a_server_yaml_is_read_whole() {
        let good =
            from_server_yaml_tree(&json!({"spanner": {"mode": "founder"}, "converge": {"splay": "1m"}}));
        assert_eq!(good.unwrap().len(), 2);
        let bad = from_server_yaml_tree(&json!({"tungol": {"a": 1}, "converge": {"interval": 1, "x": 2}}));
        assert_eq!(bad.unwrap_err().len(), 3);
    }
}
