//! What the kernel answered, as a [`HostError`]. It never guesses: an unknown errno keeps its own text.

use std::io::{self, ErrorKind};

use crate::host::{Fault, HostError};
use crate::path::HostPath;

/// The refusal of `doing` something to `path`, in words for people.
pub(super) fn refused(doing: &'static str, path: &HostPath, error: &io::Error) -> HostError {
    let (fault, why) = match error.kind() {
        ErrorKind::NotFound => (Fault::Missing, "no such file or directory".to_owned()),
        ErrorKind::PermissionDenied => (Fault::Denied, denied()),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            (Fault::Full, "no space left on the disk: free some and run again".to_owned())
        }
        ErrorKind::ReadOnlyFilesystem => (Fault::ReadOnly, "the file system is read-only".to_owned()),
        ErrorKind::NotADirectory => (Fault::Other, "a part of the path is not a directory".to_owned()),
        _ => (Fault::Other, error.to_string()),
    };
    HostError::Refused { doing, path: path.clone(), fault, why }
}

fn denied() -> String {
    let user = rustix::process::geteuid();
    if user.is_root() {
        "permission denied, even to root: an immutable file or a security module".to_owned()
    } else {
        format!("permission denied: this process is user {}, not root", user.as_raw())
    }
}
