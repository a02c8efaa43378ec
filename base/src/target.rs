//! The mini-language that names machines: hostnames, globs, tags and traits.
//!
//! One parser for invites, match blocks, lookup tables and `--target`, so that a pattern means the same
//! everywhere. A target never looks at anything but the [`Subject`] it is given. `*` matches any run of
//! characters (dots too), `?` exactly one; there is nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// Which machines are meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// `web01`: the machine of that name.
    Host(String),
    /// `web*.prod`: machines whose name matches.
    HostGlob(String),
    /// `tag:web`: machines with that tag.
    Tag(String),
    /// `tag:*web*`: machines with a tag that matches.
    TagGlob(String),
    /// `os.distro=debian`: machines whose trait has that value, upper and lower case alike.
    Trait {
        /// The dotted name of the trait.
        name: String,
        /// The value it must have.
        value: String,
    },
}

/// How specific a target is (D18): the higher wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// A glob over hostnames.
    HostGlob,
    /// A glob over tags.
    TagGlob,
    /// One tag.
    Tag,
    /// A trait filter.
    Trait,
    /// One hostname.
    Host,
}

/// What a target is compared with.
#[derive(Debug, Clone, Default)]
pub struct Subject<'a> {
    /// The machine's admitted name.
    pub name: &'a str,
    /// Its tags, from the signed route table.
    pub tags: Option<&'a BTreeSet<String>>,
    /// Its traits, flattened to dotted names.
    pub traits: Option<&'a BTreeMap<String, String>>,
}

/// Text that is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} names no machines: {why}")]
pub struct BadTarget {
    /// What was found.
    pub found: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Target {
    /// Whether `subject` is meant.
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        let tag = |f: &dyn Fn(&String) -> bool| subject.tags.is_some_and(|tags| tags.iter().any(f));
        match self {
            Target::Host(name) => name.eq_ignore_ascii_case(subject.name),
            Target::HostGlob(glob) => glob_matches(glob, subject.name),
            Target::Tag(wanted) => tag(&|t| t == wanted),
            Target::TagGlob(glob) => tag(&|t| glob_matches(glob, t)),
            Target::Trait { name, value } => subject
                .traits
                .and_then(|traits| traits.get(name))
                .is_some_and(|found| found.eq_ignore_ascii_case(value)),
        }
    }

    /// How specific it is.
    pub fn rank(&self) -> Rank {
        match self {
            Target::Host(_) => Rank::Host,
            Target::HostGlob(_) => Rank::HostGlob,
            Target::Tag(_) => Rank::Tag,
            Target::TagGlob(_) => Rank::TagGlob,
            Target::Trait { .. } => Rank::Trait,
        }
    }
}

impl FromStr for Target {
    type Err = BadTarget;
    fn from_str(text: &str) -> Result<Target, BadTarget> {
        let bad = |why| BadTarget { found: text.chars().take(200).collect(), why };
        let is_glob = |s: &str| s.contains(['*', '?']);
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(bad("spaces and control characters are not allowed"));
        }
        if let Some(tag) = text.strip_prefix("tag:") {
            return match tag {
                "" => Err(bad("the tag is missing")),
                tag if is_glob(tag) => Ok(Target::TagGlob(tag.into())),
                tag => Ok(Target::Tag(tag.into())),
            };
        }
        if let Some(family) = text.strip_prefix("os_family:") {
            return Ok(Target::Trait { name: "os.family".into(), value: family.into() });
        }
        if let Some((name, value)) = text.split_once('=') {
            return match (name, value) {
                ("", _) | (_, "") => Err(bad("a trait filter reads name=value")),
                (name, value) => Ok(Target::Trait { name: name.into(), value: value.into() }),
            };
        }
        if text.contains(':') {
            return Err(bad("before the colon only tag and os_family are known"));
        }
        let lower = text.to_ascii_lowercase();
        Ok(if is_glob(text) { Target::HostGlob(lower) } else { Target::Host(lower) })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Host(s) | Target::HostGlob(s) => f.write_str(s),
            Target::Tag(s) | Target::TagGlob(s) => write!(f, "tag:{s}"),
            Target::Trait { name, value } => write!(f, "{name}={value}"),
        }
    }
}

/// Whether `text` matches `glob` (`*`, `?`), upper and lower case alike (ASCII). Linear in `text` for each star;
/// takes no memory for names, which are ASCII.
pub fn glob_matches(glob: &str, text: &str) -> bool {
    if glob.is_ascii() && text.is_ascii() {
        return matches_items(glob.as_bytes(), text.as_bytes(), |b| b.to_ascii_lowercase(), (b'*', b'?'));
    }
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    matches_items(&glob, &text, |c| c.to_ascii_lowercase(), ('*', '?'))
}

fn matches_items<T: Copy + PartialEq>(
    glob: &[T],
    text: &[T],
    lower: impl Fn(T) -> T,
    (many, one): (T, T),
) -> bool {
    let (mut g, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match glob.get(g) {
            Some(c) if *c == many => {
                star = Some((g, t));
                g += 1;
            }
            Some(c) if *c == one || lower(*c) == lower(text[t]) => {
                g += 1;
                t += 1;
            }
            _ => match star {
                Some((sg, st)) => {
                    star = Some((sg, st + 1));
                    g = sg + 1;
                    t = st + 1;
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|c| *c == many)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject_matches(target: &str, name: &str) -> bool {
        let tags = BTreeSet::from(["web".to_string(), "eu-west".to_string()]);
        let traits = BTreeMap::from([("os.distro".to_string(), "Debian".to_string())]);
        let subject = Subject { name, tags: Some(&tags), traits: Some(&traits) };
        target.parse::<Target>().unwrap().matches(&subject)
    }

    #[test]
    fn targets_match_as_they_read() {
        for yes in ["web01", "WEB01", "web*", "*", "w?b01", "tag:web", "tag:eu-*", "os.distro=debian"] {
            assert!(subject_matches(yes, "web01"), "{yes}");
        }
        for no in ["web0", "web", "db*", "w?b", "tag:we", "tag:us-*", "os.distro=deb", "os.family=debian"] {
            assert!(!subject_matches(no, "web01"), "{no}");
        }
        assert!(glob_matches("web*.prod.*", "web01.prod.example.com"));
        assert!(!glob_matches("web*.prod.*", "web01.staging.example.com"));
        assert!(glob_matches("gr?n*", "GR\u{fc}N-1") && !glob_matches("gr?n", "gr\u{fc}nn"));
    }

    #[test]
    fn a_glob_of_stars_is_not_slow() {
        assert!(!glob_matches(&"*a".repeat(100), &"b".repeat(5_000)));
    }

    #[test]
    fn ranks_follow_the_decision() {
        let rank = |s: &str| s.parse::<Target>().unwrap().rank();
        assert!(rank("web01") > rank("a=b") && rank("a=b") > rank("tag:a"));
        assert!(rank("tag:a") > rank("tag:*") && rank("tag:*") > rank("web*"));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "tag:", "=x", "x=", "role:web", "a b", "a\nb"] {
            assert!(bad.parse::<Target>().is_err(), "{bad:?}");
        }
    }
}
