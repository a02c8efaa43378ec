//! Names of machines.
//!
//! A [`Hostname`] follows RFC 1123 in lower case and never holds a control byte, a space or a wildcard, so
//! it can be shown, logged and matched without escaping.

use std::fmt;
use std::str::FromStr;

/// An RFC 1123 hostname: labels of letters, digits and inner hyphens, at most 253 bytes, lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hostname(String);

/// Text that is no hostname.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no hostname: {why}")]
pub struct BadName {
    /// What was found, cut to 80 characters.
    pub found: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Hostname {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn problem(text: &str) -> Option<&'static str> {
    if text.is_empty() || text.len() > 253 {
        return Some("a name has 1 to 253 characters");
    }
    for label in text.split('.') {
        if label.is_empty() || label.len() > 63 {
            return Some("the parts between dots have 1 to 63 characters");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Some("a part may not begin or end with a hyphen");
        }
        if !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Some("only letters, digits, hyphens and dots are allowed");
        }
    }
    None
}

impl FromStr for Hostname {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Hostname, BadName> {
        match problem(text) {
            Some(why) => Err(BadName { found: text.chars().take(80).collect(), why }),
            None => Ok(Hostname(text.to_ascii_lowercase())),
        }
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

crate::spelled_in_serde!(Hostname);
crate::spelled_in_cbor!(Hostname, |_| "not a hostname");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostnames_follow_rfc_1123() {
        for good in ["a", "web01", "web01.prod.example.com", "0-1", "WEB01"] {
            assert!(good.parse::<Hostname>().is_ok(), "{good}");
        }
        assert_eq!("WEB01".parse::<Hostname>().unwrap().as_str(), "web01");
        for bad in ["", ".", "a..b", "-a", "a-", "a b", "a\nb", "{{ 7*7 }}", "*", "ä", &"a".repeat(64)] {
            assert!(bad.parse::<Hostname>().is_err(), "{bad}");
        }
    }
}
