//! Owner, group and mode, as declared and as found: shared by `file` and `directory`.
//!
//! It never changes anything. Where a host does not apply owners, they are neither looked up nor compared, and
//! the message says so.

use crate::attributes::{Attributes, BadAttribute};
use crate::change::Trouble;
use crate::host::{Access, Host, NO_OWN, Stat};

/// What is declared; `None` leaves what is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Declared {
    /// A user's name or number.
    pub owner: Option<String>,
    /// A group's name or number.
    pub group: Option<String>,
    /// The mode bits.
    pub mode: Option<u32>,
}

/// What is declared, with names looked up.
pub(super) struct Wanted {
    pub access: Access,
    /// Said beside the message; may be empty.
    pub note: &'static str,
}

impl Declared {
    pub(super) fn parse(attributes: &mut Attributes<'_>) -> Result<Declared, BadAttribute> {
        Ok(Declared {
            owner: attributes.word("owner")?,
            group: attributes.word("group")?,
            mode: attributes.mode()?,
        })
    }

    pub(super) fn resolve(&self, host: &dyn Host) -> Result<Wanted, Trouble> {
        let mut access = Access { mode: self.mode, ..Access::default() };
        if !host.capabilities().own {
            let note = if self.owner.is_some() || self.group.is_some() { NO_OWN } else { "" };
            return Ok(Wanted { access, note });
        }
        access.owner = self.owner.as_deref().map(|name| host.user(name)).transpose()?;
        access.group = self.group.as_deref().map(|name| host.group(name)).transpose()?;
        Ok(Wanted { access, note: "" })
    }
}

impl Wanted {
    /// What of it differs from `found`, and the differences in words.
    pub fn differing(&self, found: &Stat) -> (Access, Vec<String>) {
        let mut words = Vec::new();
        let mut differ = |name: &str, wanted: Option<u32>, found: u32, octal: bool| {
            let wanted = wanted.filter(|w| *w != found)?;
            words.push(if octal {
                format!("{name} {found:04o} -> {wanted:04o}")
            } else {
                format!("{name} {found} -> {wanted}")
            });
            Some(wanted)
        };
        let access = Access {
            mode: differ("mode", self.access.mode, found.mode, true),
            owner: differ("owner", self.access.owner, found.owner, false),
            group: differ("group", self.access.group, found.group, false),
        };
        (access, words)
    }

    /// `words` and the note in one line.
    pub fn message(&self, mut words: Vec<String>) -> String {
        if !self.note.is_empty() {
            words.push(self.note.to_owned());
        }
        words.join("; ")
    }
}
