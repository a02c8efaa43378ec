//! The entries of an audit log.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use vigo_base::codec::{self, BadBytes};
use vigo_base::{Hash, PublicKey, Time, text};

/// Bytes of the largest entry: two of this size, side by side, still fit into a proof of a fork.
pub const BODY_BYTES: usize = 14 * 1024;
/// Characters of a text.
pub const TEXT: usize = 300;
/// Characters of a name or a target.
const NAME: usize = 100;
/// Anchors in one entry.
pub const ANCHORS: usize = 128;

macro_rules! kinds {
    ($($kind:ident = $code:literal, $name:literal, $what:literal;)*) => {
        /// What an entry is about: a closed list. Codes are never used twice.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "each kind is described in its row")]
        pub enum Kind { $($kind = $code,)* }

        /// Every kind, with its name and what it says.
        pub const KINDS: &[(Kind, &str, &str)] = &[$((Kind::$kind, $name, $what),)*];

        impl Kind {
            /// The kind with this code; none for those of later versions.
            pub fn of(code: u16) -> Option<Kind> {
                match code { $($code => Some(Kind::$kind),)* _ => None }
            }
        }
    };
}

kinds! {
    Genesis = 1, "genesis", "the fleet was founded";
    Admit = 2, "admit", "somebody was made an operator";
    Invite = 3, "invite", "an invitation was made";
    Revoke = 4, "revoke", "keys were taken out of the fleet";
    Keep = 5, "keep", "an exception to a revocation was made";
    Amend = 6, "amend", "a name, a pattern or the fleet's version was changed";
    Published = 10, "publish", "a publish counts";
    PublishLost = 11, "publish-lost", "of two publishes of one epoch this one lost";
    Setting = 12, "setting", "a setting was changed";
    Joined = 20, "joined", "this bolt let a node in";
    Suspended = 21, "suspended", "a member was suspended";
    JoinRefused = 22, "join-refused", "a machine that wanted to join was turned down";
    JoinDenied = 23, "join-denied", "an administrator turned down a machine that asked";
    PeerRefused = 30, "peer-refused", "a peer was turned away or cut off";
    Misbehaved = 31, "misbehaved", "a peer sent what it must have known to be wrong";
    Cloned = 32, "cloned", "a key was found in two places";
    Alarm = 33, "alarm", "the log of another bolt was tampered with";
    Command = 40, "command", "somebody at this bolt had something done";
    CommandRefused = 41, "command-refused", "somebody at this bolt was refused something";
    EffectRefused = 42, "effect-refused", "the applier refused what it was asked to do";
    Started = 50, "started", "this bolt started";
    Stopped = 51, "stopped", "this bolt was stopped";
    Anchors = 60, "anchors", "how far this bolt has seen the logs of the others";
}

impl Kind {
    /// Its name in listings.
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, ..)| *kind == self).map_or("", |(_, name, _)| name)
    }

    /// The kind with this name.
    pub fn named(name: &str) -> Option<Kind> {
        KINDS.iter().find(|(_, known, _)| *known == name).map(|(kind, ..)| *kind)
    }

    /// Whether somebody without any right can cause it.
    pub fn by_strangers(self) -> bool {
        matches!(
            self,
            Kind::JoinRefused
                | Kind::PeerRefused
                | Kind::Misbehaved
                | Kind::CommandRefused
                | Kind::EffectRefused
        )
    }
}

/// By whom something was done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Who {
    /// The bolt itself.
    #[n(0)]
    Itself,
    /// An operator.
    #[n(1)]
    Operator {
        /// The key.
        #[n(0)]
        key: PublicKey,
        /// The name at that time.
        #[n(1)]
        name: String,
    },
    /// A member.
    #[n(2)]
    Node {
        /// The key.
        #[n(0)]
        key: PublicKey,
        /// The name at that time.
        #[n(1)]
        name: String,
    },
    /// A peer that is no member.
    #[n(3)]
    Stranger {
        /// The key.
        #[n(0)]
        key: PublicKey,
    },
    /// A user of the bolt's machine, by the kernel's word.
    #[n(4)]
    Local {
        /// The user's number.
        #[n(0)]
        uid: u32,
    },
    /// Several.
    #[n(5)]
    Others,
}

impl Who {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Who::Itself => "this bolt".into(),
            Who::Operator { name, .. } | Who::Node { name, .. } => name.clone(),
            Who::Stranger { key } => format!("stranger {}", key.short()),
            Who::Local { uid } => format!("uid {uid}"),
            Who::Others => "others".into(),
        }
    }

    /// The key, if it has one.
    pub fn key(&self) -> Option<PublicKey> {
        match self {
            Who::Operator { key, .. } | Who::Node { key, .. } | Who::Stranger { key } => Some(*key),
            Who::Itself | Who::Local { .. } | Who::Others => None,
        }
    }
}

/// How far a bolt has seen the log of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Anchor {
    /// Whose log.
    #[n(0)]
    pub bolt: PublicKey,
    /// The number of its last entry.
    #[n(1)]
    pub number: u64,
    /// The id of that entry.
    #[n(2)]
    pub id: Hash,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Entry {
    /// When, by the bolt's clock.
    #[n(0)]
    pub at: Time,
    /// The code of its [`Kind`].
    #[n(1)]
    pub kind: u16,
    /// By whom.
    #[n(2)]
    pub who: Who,
    /// To whom or what; empty if that is clear.
    #[n(3)]
    pub target: String,
    /// The statement or record that it is about.
    #[n(4)]
    pub subject: Option<Hash>,
    /// More words.
    #[n(5)]
    pub text: String,
    /// How many times, when it was folded; else 1.
    #[n(6)]
    pub count: u64,
    /// Of [`Kind::Anchors`].
    #[n(7)]
    pub anchors: Vec<Anchor>,
}

/// An entry that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed audit entry: {0}")]
pub struct BadEntry(#[from] pub BadBytes);

fn bounded(text: &str, most: usize) -> String {
    let cut: String = text.chars().take(most).collect();
    text::escaped(&cut)
}

impl Entry {
    /// An entry. Texts are cut and escaped here.
    pub fn new(at: Time, kind: Kind, who: Who, target: &str, text: &str) -> Entry {
        let who = match who {
            Who::Operator { key, name } => Who::Operator { key, name: bounded(&name, NAME) },
            Who::Node { key, name } => Who::Node { key, name: bounded(&name, NAME) },
            other => other,
        };
        Entry {
            at,
            kind: kind as u16,
            who,
            target: bounded(target, NAME),
            subject: None,
            text: bounded(text, TEXT),
            count: 1,
            anchors: Vec::new(),
        }
    }

    /// About this statement or record.
    pub fn about(mut self, subject: Hash) -> Entry {
        self.subject = Some(subject);
        self
    }

    /// Its kind; none if a later version made it.
    pub fn known_kind(&self) -> Option<Kind> {
        Kind::of(self.kind)
    }

    /// The name of its kind.
    pub fn kind_name(&self) -> String {
        self.known_kind().map_or_else(|| format!("kind-{}", self.kind), |kind| kind.name().to_string())
    }

    /// What tells that the same was written down before: entries with a subject are written once.
    pub fn mark(&self) -> Option<Hash> {
        let subject = self.subject?;
        // A member can be suspended for one reason after another.
        let why = if self.known_kind() == Some(Kind::Suspended) { self.text.as_bytes() } else { &[] };
        Some(Hash::of_parts(&[&self.kind.to_be_bytes(), &subject.0, why]))
    }

    /// The body of the log's entry, at most [`BODY_BYTES`].
    pub fn encode(&self) -> Vec<u8> {
        let mut entry = self.clone();
        entry.anchors.truncate(ANCHORS);
        codec::encode(&entry)
    }

    /// Reads the body.
    ///
    /// # Errors
    /// [`BadEntry`] if it is none.
    pub fn decode(body: &[u8]) -> Result<Entry, BadEntry> {
        Ok(codec::decode(body, BODY_BYTES)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vigo_base::SecretKey;

    #[test]
    fn kinds_have_one_code_and_one_name() {
        for (kind, name, what) in KINDS {
            assert_eq!((Kind::of(*kind as u16), Kind::named(name)), (Some(*kind), Some(*kind)), "{what}");
        }
        let mut names: Vec<_> = KINDS.iter().map(|(_, name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KINDS.len());
    }

    #[test]
    fn the_largest_entry_fits() {
        let key = SecretKey::from_seed([1; 32]).public();
        let long = "\u{202e}".repeat(9_000);
        let mut entry =
            Entry::new(Time(u64::MAX), Kind::Anchors, Who::Node { key, name: long.clone() }, &long, &long)
                .about(Hash::of(b"x"));
        entry.anchors = vec![Anchor { bolt: key, number: u64::MAX, id: Hash::of(b"x") }; 10_000];
        let bytes = entry.encode();
        assert!(bytes.len() <= BODY_BYTES, "{}", bytes.len());
        let read = Entry::decode(&bytes).unwrap();
        assert_eq!(read.anchors.len(), ANCHORS);
        assert!(read.text.starts_with("\\u{202e}") && !read.text.contains('\u{202e}'), "texts are escaped");
    }
}
