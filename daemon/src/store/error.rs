//! What can go wrong with the store, in words for whoever runs the node.
//!
//! Every error names the directory and what to do. This module decides what counts as damage (the file is
//! moved aside) and what counts as trouble with the machine (the node stops and says so); it never turns a
//! full disk or a missing permission into damage.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use vigo_base::Hash;

/// Why the store could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No room.
    #[error("the disk that holds {place} is full: nothing was kept; free some space there and try again")]
    DiskFull {
        /// The state directory.
        place: String,
    },
    /// No permission.
    #[error(
        "cannot {doing} the record store in {place}: {source}; the directory and records.redb must belong \
         to the user that runs vigo and be writable"
    )]
    Denied {
        /// The state directory.
        place: String,
        /// What was tried.
        doing: &'static str,
        /// What the system answered.
        source: io::Error,
    },
    /// Somebody has it open.
    #[error(
        "another vigo node runs on this state directory ({place}): stop it, or give this one another --state"
    )]
    Locked {
        /// The state directory.
        place: String,
    },
    /// The system answered something else.
    #[error("cannot {doing} the record store in {place}: {source}")]
    Io {
        /// The state directory.
        place: String,
        /// What was tried.
        doing: &'static str,
        /// What the system answered.
        source: io::Error,
    },
    /// The file was found damaged while in use.
    #[error(
        "the record store in {place} is damaged ({why}): restart the node; it moves the file aside, saves \
         what it can and fetches the rest from its peers"
    )]
    Damaged {
        /// The state directory.
        place: String,
        /// What was found.
        why: String,
    },
    /// Too large to be stored.
    #[error("a {what} of {found} bytes, where at most {limit} are allowed")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its size in bytes.
        found: usize,
        /// The most there may be.
        limit: usize,
    },
    /// A record under another record's id: a fault in the caller.
    #[error("a record was to be stored as {id}, but its bytes hash to {found}")]
    WrongId {
        /// The id given.
        id: Hash,
        /// The id of the bytes.
        found: Hash,
    },
}

impl StoreError {
    /// The error for what the system answered.
    pub(super) fn from_io(place: &str, doing: &'static str, source: io::Error) -> StoreError {
        use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let place = place.to_string();
        match source.kind() {
            StorageFull | QuotaExceeded => StoreError::DiskFull { place },
            PermissionDenied | ReadOnlyFilesystem => StoreError::Denied { place, doing, source },
            _ => StoreError::Io { place, doing, source },
        }
    }
}

/// Damage to the file, or trouble with the machine.
#[derive(Debug)]
pub(super) enum Fault {
    /// The bytes are wrong or cannot be read.
    Damaged(String),
    /// The file may be fine.
    Trouble(StoreError),
}

impl Fault {
    /// The error to give where nothing can be salvaged at the moment.
    pub(super) fn into_error(self, place: &str) -> StoreError {
        match self {
            Fault::Damaged(why) => StoreError::Damaged { place: place.to_string(), why },
            Fault::Trouble(error) => error,
        }
    }
}

/// Which of the two a redb error is.
pub(super) fn fault(place: &str, doing: &'static str, error: impl Into<redb::Error>) -> Fault {
    match error.into() {
        redb::Error::DatabaseAlreadyOpen => Fault::Trouble(StoreError::Locked { place: place.to_string() }),
        redb::Error::Io(source) => match StoreError::from_io(place, doing, source) {
            // Reading beyond the end or from a bad sector: the bytes are not there.
            StoreError::Io { source, .. } if doing != "write" => Fault::Damaged(source.to_string()),
            error => Fault::Trouble(error),
        },
        redb::Error::PreviousIo => {
            let source = io::Error::other("an earlier write failed");
            Fault::Trouble(StoreError::Io { place: place.to_string(), doing, source })
        }
        other => Fault::Damaged(other.to_string()),
    }
}

/// Runs `work`; a panic inside redb, which a broken file can cause, becomes its message. Safe to go on after:
/// whatever `work` touched is closed and opened anew by the callers.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        format!("redb gave up: {}", text.chars().take(200).collect::<String>())
    })
}
