//! `vigo applier`: the privileged process, from its state to its socket, until a signal.
//!
//! It reads its anchor, listens, says that it is ready, and serves. It opens no other socket, and is the only one to
//! write in its state directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::anchor::{self, AnchorError};
use super::seat::{Machine, Seat};
use super::server::{PeerUser, Server};
use crate::api::socket::SocketError;
use crate::process::{StartError, notify, root};

/// Where former contents of files are kept below the state directory.
const BACKUPS: &str = "backups";
/// Time for a run under way to reach its next step when the process ends; systemd gives ninety seconds.
const RUN_ENDS: Duration = Duration::from_secs(60);

/// How an applier runs.
#[derive(Debug, Clone)]
pub struct ApplierConf {
    /// Its state directory.
    pub state: PathBuf,
    /// Its socket.
    pub socket: PathBuf,
    /// The user whose process may speak to it: a name or a number.
    pub peer_user: String,
    /// The part of the machine that configuration is applied to; all of it if none.
    pub fs_root: Option<PathBuf>,
}

/// Why an applier does not start.
#[derive(Debug, thiserror::Error)]
pub enum ApplierError {
    /// Its state.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// Its socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The folder that it applies configuration below.
    #[error(transparent)]
    Root(#[from] StartError),
    /// The user.
    #[error(
        "there is no user {name} on this machine: `vigo install` makes it; or name another with --peer-user"
    )]
    NoUser {
        /// The name.
        name: String,
    },
    /// The system.
    #[error("the system refused what an applier needs: {0}")]
    System(#[from] std::io::Error),
}

/// The user with this name or number, by `/etc/passwd`.
///
/// # Errors
/// [`ApplierError::NoUser`].
pub fn peer_user(name: &str) -> Result<PeerUser, ApplierError> {
    find_user(Path::new("/etc/passwd"), name).ok_or_else(|| ApplierError::NoUser { name: name.into() })
}

fn find_user(passwd: &Path, name: &str) -> Option<PeerUser> {
    let table = std::fs::read_to_string(passwd).unwrap_or_default();
    let user = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let (uid, gid) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
        (fields[0] == name || fields[2] == name).then_some(PeerUser { uid, gid })
    };
    // A number may be of a user that is in no file.
    table.lines().find_map(user).or_else(|| name.parse().ok().map(|uid| PeerUser { uid, gid: uid }))
}

/// Serves until SIGTERM or SIGINT. `ready` is told one line when it listens.
///
/// # Errors
/// [`ApplierError`] when it cannot start.
pub fn run_applier(conf: ApplierConf, ready: impl FnOnce(&str)) -> Result<(), ApplierError> {
    let peer = peer_user(&conf.peer_user)?;
    if !rustix::process::geteuid().is_root() {
        tracing::warn!("the applier does not run as root: it changes only what this user may change");
    }
    conf.fs_root.as_deref().map_or(Ok(()), root)?;
    let (warrants, kept) = anchor::open(&conf.state)?;
    let name = warrants.anchor().name.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let machine = Machine { fs_root: conf.fs_root, backups: kept.path().join(BACKUPS) };
    let seat = Seat::new(warrants, Some(kept), machine, stop.clone());
    let server = Server::listen(&conf.socket, peer, seat, stop.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = {
        let _context = runtime.enter();
        [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?]
    };
    let serving =
        std::thread::Builder::new().name("vigo-applier".into()).spawn(move || server.serve(RUN_ENDS))?;
    ready(&format!(
        "vigo applier of {name} is ready: listening on {} for user {}",
        conf.socket.display(),
        conf.peer_user
    ));
    notify("READY=1");
    runtime.block_on(async {
        let [term, int] = &mut signals;
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    });
    notify("STOPPING=1");
    stop.store(true, Ordering::SeqCst);
    if !matches!(serving.join(), Ok(true)) {
        tracing::warn!("a run did not reach its next step in time: it is cut off");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name_or_number() {
        let dir = tempfile::tempdir().unwrap();
        let passwd = dir.path().join("passwd");
        std::fs::write(&passwd, "root:x:0:0::/:/bin/sh\nvigo:x:990:991::/:/bin/false\n").unwrap();
        assert_eq!(find_user(&passwd, "vigo"), Some(PeerUser { uid: 990, gid: 991 }));
        assert_eq!(find_user(&passwd, "990"), Some(PeerUser { uid: 990, gid: 991 }));
        assert_eq!(find_user(&passwd, "4711"), Some(PeerUser { uid: 4711, gid: 4711 }));
        assert_eq!(find_user(&passwd, "vig"), None);
    }
}
