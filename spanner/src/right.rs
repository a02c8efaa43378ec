//! Rights, and how far each one goes.
//!
//! The list of rights is closed: a word that is not on it does not decode. A [`Grant`] is a right together with
//! the patterns it covers; no pattern means nothing at all. This module never widens: [`Grants::within`] is the
//! one way by which grants pass from an operator to the next, and it only drops.
//!
//! Invariant: for all `a`, `b` and texts `t`, if `a.covers(b)` and `b.matches(t)` then `a.matches(t)`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};
use serde::{Serialize, Serializer};
use vigo_base::target::glob_matches;
use vigo_base::text::{escaped, nearest};

/// The longest pattern, in bytes.
pub const PATTERN_BYTES: usize = 253;
/// Patterns in one grant, and grants in one admit.
pub const GRANT_ITEMS: usize = 64;

/// What an operator may be allowed to do. Nothing else exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Right {
    /// Make further operators. Scope: names of operators.
    #[n(0)]
    AdmitOperator,
    /// Invite envoys. Scope: hostnames.
    #[n(1)]
    Invite,
    /// Invite bolts and set their partitions. Scope: hostnames.
    #[n(2)]
    InviteBolt,
    /// Take back what greater depths were given. Scope: must cover `*`, since a key has no name of its own.
    #[n(3)]
    Revoke,
    /// Change fleet settings. Scope: keys of settings; the fleet version needs `*`.
    #[n(4)]
    Settings,
    /// Publish configuration. Scope: hostnames.
    #[n(5)]
    ConfigPublish,
    /// Send files to machines. Scope: hostnames.
    #[n(6)]
    Filecast,
    /// Run tasks on machines. Scope: hostnames.
    #[n(7)]
    Tasks,
    /// Seal and open secrets. Scope: names of secrets.
    #[n(8)]
    Secrets,
    /// Read what the fleet says of itself.
    #[n(9)]
    FleetRead,
    /// Read the audit log.
    #[n(10)]
    AuditRead,
    /// Read compliance results.
    #[n(11)]
    ComplianceRead,
    /// Add compliance documents.
    #[n(12)]
    ComplianceDocsWrite,
    /// Remove compliance documents for good.
    #[n(13)]
    ComplianceDocsPurge,
}

/// Text that is no right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no right{}; the rights are: {}", hint(.found), list())]
pub struct BadRight {
    /// What was found, escaped and cut to 80 characters.
    pub found: String,
}

fn hint(found: &str) -> String {
    match nearest(found, Right::ALL.iter().map(|r| r.as_str())) {
        Some(name) => format!(", did you mean {name}?"),
        None => String::new(),
    }
}

fn list() -> String {
    Right::ALL.map(Right::as_str).join(" ")
}

impl Right {
    /// Every right, in the order of their codes.
    pub const ALL: [Right; 14] = [
        Right::AdmitOperator,
        Right::Invite,
        Right::InviteBolt,
        Right::Revoke,
        Right::Settings,
        Right::ConfigPublish,
        Right::Filecast,
        Right::Tasks,
        Right::Secrets,
        Right::FleetRead,
        Right::AuditRead,
        Right::ComplianceRead,
        Right::ComplianceDocsWrite,
        Right::ComplianceDocsPurge,
    ];

    /// The right as people write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Right::AdmitOperator => "admit.operator",
            Right::Invite => "invite",
            Right::InviteBolt => "invite.bolt",
            Right::Revoke => "revoke",
            Right::Settings => "settings",
            Right::ConfigPublish => "config.publish",
            Right::Filecast => "filecast",
            Right::Tasks => "tasks",
            Right::Secrets => "secrets",
            Right::FleetRead => "fleet.read",
            Right::AuditRead => "audit.read",
            Right::ComplianceRead => "compliance.read",
            Right::ComplianceDocsWrite => "compliance.docs.write",
            Right::ComplianceDocsPurge => "compliance.docs.purge",
        }
    }
}

impl FromStr for Right {
    type Err = BadRight;
    fn from_str(text: &str) -> Result<Right, BadRight> {
        let bad = || BadRight { found: escaped(text).chars().take(80).collect() };
        Right::ALL.into_iter().find(|r| r.as_str() == text).ok_or_else(bad)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Right {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

/// A glob over names: lower case, `*` for any run of characters, `?` for exactly one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(String);

/// Text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no pattern: {why}")]
pub struct BadPattern {
    /// What was found, escaped and cut to 80 characters.
    pub found: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// How exactly a pattern names: the greater wins. A name without wildcards is above every glob; among globs the
/// one with more fixed characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Specificity {
    exact: bool,
    fixed: usize,
}

impl Pattern {
    /// The pattern that every name matches.
    pub fn any() -> Pattern {
        Pattern("*".into())
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a name is meant, upper and lower case alike.
    pub fn matches(&self, name: &str) -> bool {
        glob_matches(&self.0, name)
    }

    /// Whether it has no wildcard.
    pub fn is_exact(&self) -> bool {
        !self.0.contains(['*', '?'])
    }

    /// How exactly it names.
    pub fn specificity(&self) -> Specificity {
        let fixed = self.0.bytes().filter(|b| !matches!(b, b'*' | b'?')).count();
        Specificity { exact: self.is_exact(), fixed }
    }

    /// Whether whatever `other` matches, this matches too. Sound, and complete but for odd spellings such as
    /// `?*` against `*?`, which are taken as not covered.
    pub fn covers(&self, other: &Pattern) -> bool {
        let (glob, text) = (self.0.as_bytes(), other.0.as_bytes());
        let (mut g, mut t) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while t < text.len() {
            match glob.get(g) {
                Some(b'*') => {
                    star = Some((g, t));
                    g += 1;
                }
                Some(b'?') if text[t] != b'*' => (g, t) = (g + 1, t + 1),
                Some(c) if *c == text[t] && *c != b'?' => (g, t) = (g + 1, t + 1),
                _ => match &mut star {
                    Some((at, from)) => {
                        *from += 1;
                        (g, t) = (*at + 1, *from);
                    }
                    None => return false,
                },
            }
        }
        glob[g..].iter().all(|c| *c == b'*')
    }
}

impl FromStr for Pattern {
    type Err = BadPattern;
    fn from_str(text: &str) -> Result<Pattern, BadPattern> {
        let bad = |why| BadPattern { found: escaped(text).chars().take(80).collect(), why };
        if text.is_empty() || text.len() > PATTERN_BYTES {
            return Err(bad("a pattern has 1 to 253 characters"));
        }
        let known = |b: u8| b.is_ascii_alphanumeric() || b".-_/:@=+*?".contains(&b);
        if !text.bytes().all(known) {
            return Err(bad("letters, digits, . - _ / : @ = + and the wildcards * and ? are allowed"));
        }
        Ok(Pattern(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

vigo_base::spelled_in_cbor!(Pattern, |_| "not a pattern");

/// A right and how far it goes.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Grant {
    /// The right.
    #[n(0)]
    pub right: Right,
    /// What it covers. Empty: nothing.
    #[n(1)]
    pub scope: Vec<Pattern>,
}

impl Grant {
    /// The right over everything.
    pub fn everywhere(right: Right) -> Grant {
        Grant { right, scope: vec![Pattern::any()] }
    }
}

/// What somebody may do, all told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Grants(BTreeMap<Right, BTreeSet<Pattern>>);

impl Grants {
    /// Every right over everything: what the recovery key has.
    pub fn all() -> Grants {
        Grants(Right::ALL.into_iter().map(|r| (r, BTreeSet::from([Pattern::any()]))).collect())
    }

    /// What a list of grants says, with nothing left out. A right without a pattern disappears.
    pub fn of(list: &[Grant]) -> Grants {
        let mut out = Grants::default();
        for grant in list {
            for pattern in &grant.scope {
                out.0.entry(grant.right).or_default().insert(pattern.clone());
            }
        }
        out
    }

    /// The part of these grants that `own` covers: what one who has `own` can give on.
    pub fn within(&self, own: &Grants) -> Grants {
        let mut out = Grants::default();
        for (right, scope) in &self.0 {
            let kept: BTreeSet<Pattern> = scope.iter().filter(|p| own.allow(*right, p)).cloned().collect();
            if !kept.is_empty() {
                out.0.insert(*right, kept);
            }
        }
        out
    }

    /// Whether the right goes as far as `target`.
    pub fn allow(&self, right: Right, target: &Pattern) -> bool {
        self.0.get(&right).is_some_and(|scope| scope.iter().any(|p| p.covers(target)))
    }

    /// The patterns one right covers, in order.
    pub fn scope(&self, right: Right) -> impl Iterator<Item = &Pattern> {
        self.0.get(&right).into_iter().flatten()
    }

    /// All rights held, each with its patterns.
    pub fn iter(&self) -> impl Iterator<Item = (Right, &BTreeSet<Pattern>)> {
        self.0.iter().map(|(r, s)| (*r, s))
    }

    /// Whether nothing is allowed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_s_bytes_are_those_of_its_text() {
        let read = |bytes: &[u8]| vigo_base::codec::decode::<Pattern>(bytes, 100);
        let pattern: Pattern = "WEB*".parse().unwrap();
        assert_eq!(vigo_base::codec::encode(&pattern), b"\x64web*");
        assert_eq!(read(b"\x64web*").unwrap(), pattern);
        assert!(read(b"\x64we b").unwrap_err().to_string().contains("not a pattern"));
    }

    fn p(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    #[test]
    fn the_list_of_rights_is_closed() {
        for right in Right::ALL {
            assert_eq!(right.as_str().parse(), Ok(right));
        }
        let error = "config.publsh".parse::<Right>().unwrap_err().to_string();
        assert!(error.contains("did you mean config.publish?"), "{error}");
        assert!("".parse::<Right>().is_err());
        assert!(vigo_base::codec::decode::<Right>(&[14], 8).is_err(), "code 14 is no right");
        assert_eq!(vigo_base::codec::decode::<Right>(&[13], 8), Ok(Right::ComplianceDocsPurge));
    }

    #[test]
    fn covering_is_sound() {
        for (a, b, covers) in [
            ("*", "web*", true),
            ("web*", "web01", true),
            ("web*", "web*", true),
            ("web*", "web*.prod", true),
            ("web*", "*", false),
            ("web?", "web*", false),
            ("web?", "web??", false),
            ("web?", "web1", true),
            ("web1", "web?", false),
            ("*.prod", "web*", false),
            ("*.prod", "*.eu.prod", true),
            ("web01", "web01", true),
            ("?", "*", false),
        ] {
            assert_eq!(p(a).covers(&p(b)), covers, "{a} covers {b}");
        }
    }

    #[test]
    fn an_empty_scope_means_nothing() {
        let empty = Grants::of(&[Grant { right: Right::Tasks, scope: vec![] }]);
        assert!(empty.is_empty());
        assert!(!empty.allow(Right::Tasks, &p("web01")));
        assert!(Grants::all().allow(Right::Tasks, &Pattern::any()));
    }

    #[test]
    fn grants_only_narrow() {
        let own = Grants::of(&[Grant { right: Right::Invite, scope: vec![p("web*")] }]);
        let wide = Grants::of(&[Grant::everywhere(Right::Invite), Grant::everywhere(Right::Revoke)]);
        assert!(wide.within(&own).is_empty(), "a wider grant is dropped, not cut to fit");
        let fits = Grants::of(&[Grant { right: Right::Invite, scope: vec![p("web0?"), p("db")] }]);
        let given = fits.within(&own);
        assert_eq!(given.scope(Right::Invite).map(Pattern::as_str).collect::<Vec<_>>(), ["web0?"]);
    }

    #[test]
    fn the_most_exact_pattern_wins() {
        assert!(p("web01").specificity() > p("web01.prod*").specificity());
        assert!(p("web0*").specificity() > p("web*").specificity());
        assert!(p("*").specificity() < p("w*").specificity());
    }
}
