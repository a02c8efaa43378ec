//! The authority of a fleet as a file: what any member holds, carried to a machine that restores the fleet.
//!
//! Nothing in it is secret, and nothing is believed: every record is signed, and checked when it is used. The
//! file is text: a title, the fleet's id, then one record in hexadecimal digits a line.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use vigo_base::{SpannerId, limits};
use vigo_node::Reply;
use vigo_node::boot::meta;
use vigo_node::crdt::{Space, Unverified};

use crate::process::{fleet_of, machine_id};
use crate::state::{StateDir, StateError};
use crate::store::{Seal, Store, StoreError};

const TITLE: &str = "vigo authority 1";
/// Bytes of the largest file that is read.
const FILE_BYTES: u64 = 512 * 1024 * 1024;

/// Records of the space `admissions`, of one fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The fleet.
    pub spanner: SpannerId,
    /// The encoded records.
    pub records: Vec<Vec<u8>>,
}

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The file cannot be read or written.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is something else.
    #[error("{} line {line}: {why}; expected the exported authority of a fleet, or the state directory of a member", path.display())]
    NoAuthority {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// The state directory belongs to no fleet.
    #[error("{} belongs to no fleet: name the state directory of a member", path.display())]
    NoFleet {
        /// The directory.
        path: PathBuf,
    },
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One record from its hexadecimal digits.
fn record(text: &str) -> Option<Vec<u8>> {
    hex::decode(text).ok().filter(|bytes| bytes.len() <= limits::RECORD_BYTES)
}

impl Authority {
    /// From a file, or from the state directory of a member that is not running.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn load(path: &Path) -> Result<Authority, AuthorityError> {
        if path.is_dir() { Authority::of_state(path) } else { Authority::of_file(path) }
    }

    /// What the member with this state directory holds. The member must not run.
    ///
    /// # Errors
    /// [`AuthorityError::State`] while it runs, [`AuthorityError::NoFleet`].
    pub fn of_state(path: &Path) -> Result<Authority, AuthorityError> {
        let none = || AuthorityError::NoFleet { path: path.to_path_buf() };
        if !path.join("records.redb").exists() {
            return Err(none());
        }
        let state = StateDir::open(path)?;
        let (key, _) = state.node_key(&machine_id(&state)?)?;
        let (_, loaded) = Store::open(path, Seal::new(&*key.seed()))?;
        let spanner = fleet_of(loaded.meta.get(meta::SPANNER)).ok_or_else(none)?;
        let admissions = Space::admissions();
        let of_admissions =
            |bytes: &[u8]| Unverified::decode(bytes).is_ok_and(|record| *record.space() == admissions);
        let records = loaded.records.iter().filter(|(_, bytes)| of_admissions(bytes));
        Ok(Authority { spanner, records: records.map(|(_, bytes)| bytes.to_vec()).collect() })
    }

    /// From a file that [`Authority::save`] wrote.
    ///
    /// # Errors
    /// [`AuthorityError::Io`], [`AuthorityError::NoAuthority`].
    pub fn of_file(path: &Path) -> Result<Authority, AuthorityError> {
        let failed = |source| AuthorityError::Io { doing: "read", path: path.into(), source };
        let bad = |line, why| AuthorityError::NoAuthority { path: path.into(), line, why };
        if fs::metadata(path).map_err(failed)?.len() > FILE_BYTES {
            return Err(bad(1, "the file is too large"));
        }
        let text = fs::read_to_string(path).map_err(failed)?;
        let mut lines = (1..).zip(text.lines());
        if lines.next().is_none_or(|(_, line)| line != TITLE) {
            return Err(bad(1, "the title is missing"));
        }
        let fleet = lines.next().and_then(|(_, line)| line.strip_prefix("fleet ")?.parse().ok());
        let spanner = fleet.ok_or_else(|| bad(2, "the fleet's id is missing"))?;
        let mut records = Vec::new();
        for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
            records.push(record(line).ok_or_else(|| bad(number, "this is no record"))?);
        }
        Ok(Authority { spanner, records })
    }

    /// From a running member's answer to `Command::Authority`. `None` for any other answer.
    pub fn of_reply(reply: &Reply) -> Option<Authority> {
        let Reply::Authority { spanner, records } = reply else { return None };
        let records = records.iter().map(|text| record(text)).collect::<Option<_>>()?;
        Some(Authority { spanner: *spanner, records })
    }

    /// Writes the file; an existing one is not overwritten.
    ///
    /// # Errors
    /// [`AuthorityError::Io`].
    pub fn save(&self, path: &Path) -> Result<(), AuthorityError> {
        let failed = |source| AuthorityError::Io { doing: "write", path: path.into(), source };
        let mut text = format!("{TITLE}\nfleet {}\n", self.spanner);
        for record in &self.records {
            text.push_str(&hex::encode(record));
            text.push('\n');
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
    }
}
