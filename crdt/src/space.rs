//! Spaces: what a record is about, and the unit of interest and reconciliation.
//!
//! A space's name is in every record's envelope and under its signature, so a record of one space means
//! nothing in another. Names are short, lower case and never shown unescaped because they need no escaping.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use vigo_base::PublicKey;

/// The longest name of a space, in bytes.
pub const SPACE_BYTES: usize = 96;

/// How the names of audit logs begin.
const AUDIT: &str = "audit/";

/// The name of a space: `config`, `status`, `audit/<bolt>`, …
#[derive(Clone)]
pub struct Space(Name);

/// The names that every program knows cost nothing to make, clone and drop.
#[derive(Clone)]
enum Name {
    Known(&'static str),
    Made(Arc<str>),
}

/// Those of [`Name::Known`].
const KNOWN: [&str; 5] = ["admissions", "admissions/envoys", "config", "settings", "status"];

/// Text that names no space.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no space: 1 to 96 of a-z, 0-9, '-', '/' are")]
pub struct BadSpace(pub String);

impl Space {
    const fn known(name: &'static str) -> Space {
        Space(Name::Known(name))
    }

    /// Authority: genesis, operators, bolts, invites, revocations. Everyone holds it.
    pub fn admissions() -> Space {
        Space::known("admissions")
    }

    /// The admissions of envoys. Bolts hold it; between envoys it travels as papers.
    pub fn envoys() -> Space {
        Space::known("admissions/envoys")
    }

    /// Publishes of configuration. Everyone holds it.
    pub fn config() -> Space {
        Space::known("config")
    }

    /// Fleet settings. Everyone holds it.
    pub fn settings() -> Space {
        Space::known("settings")
    }

    /// What each envoy says of itself. Bolts hold it.
    pub fn status() -> Space {
        Space::known("status")
    }

    /// What this bolt wrote down of what was done. Bolts hold it.
    pub fn audit(bolt: &PublicKey) -> Space {
        Space(Name::Made(Arc::from(format!("{AUDIT}{bolt}"))))
    }

    /// Whose audit log it is; none for any other space.
    pub fn audit_of(&self) -> Option<PublicKey> {
        self.as_str().strip_prefix(AUDIT)?.parse().ok()
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        match self {
            Name::Known(name) => name,
            Name::Made(name) => name,
        }
    }
}

// How a name is kept says nothing: spaces are equal, and ordered, as their names are.
impl PartialEq for Space {
    fn eq(&self, other: &Space) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Space {}

impl PartialOrd for Space {
    fn partial_cmp(&self, other: &Space) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Space {
    fn cmp(&self, other: &Space) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl std::hash::Hash for Space {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Space").field(&self.as_str()).finish()
    }
}

impl FromStr for Space {
    type Err = BadSpace;
    fn from_str(text: &str) -> Result<Space, BadSpace> {
        if let Some(name) = KNOWN.into_iter().find(|name| *name == text) {
            return Ok(Space::known(name));
        }
        let fits = (1..=SPACE_BYTES).contains(&text.len());
        let clean = text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'/'));
        if fits && clean {
            Ok(Space(Name::Made(Arc::from(text))))
        } else {
            Err(BadSpace(text.chars().take(120).collect()))
        }
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

vigo_base::spelled_in_cbor!(Space, |_| "not a space");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_bytes_are_those_of_the_text() {
        assert_eq!(vigo_base::codec::encode(&Space::config()), b"\x66config");
        let read = |bytes: &[u8]| vigo_base::codec::decode::<Space>(bytes, 100);
        assert_eq!(read(b"\x66config").unwrap(), Space::config());
        assert!(read(b"\x66conf g").unwrap_err().to_string().contains("not a space"));
    }

    use vigo_base::SecretKey;

    #[test]
    fn how_a_name_is_kept_says_nothing() {
        let known =
            [Space::admissions(), Space::envoys(), Space::config(), Space::settings(), Space::status()];
        for (space, name) in known.into_iter().zip(KNOWN) {
            let made = Space(Name::Made(Arc::from(name)));
            assert_eq!((space.as_str(), &space), (name, &made));
            assert_eq!(format!("{space:?}"), format!("{made:?}"));
            assert!(matches!(name.parse(), Ok(Space(Name::Known(_)))));
            assert_eq!(space.cmp(&"b".parse().unwrap()), name.cmp("b"));
        }
    }

    #[test]
    fn an_audit_log_is_of_one_bolt() {
        let key = SecretKey::from_seed([3; 32]).public();
        let space = Space::audit(&key);
        assert_eq!(space.as_str().parse(), Ok(space.clone()));
        assert_eq!(space.audit_of(), Some(key));
        for other in ["audit", "audit/", "audit/b1", "status", &format!("audit/{key}/x")] {
            assert_eq!(other.parse::<Space>().unwrap().audit_of(), None, "{other}");
        }
    }
}
