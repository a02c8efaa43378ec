//! The node as a service of this machine: its state given to the user that the peer runs as, its units enabled and
//! started, and waited for until it answers.
//!
//! Used by `init`, `join` and `install`, so that whichever comes last starts the node. It does something only where
//! the units are installed, for the state directory that they are for, as root.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::process::{Gid, Uid};
use vigo_daemon::applier::anchor;
use vigo_daemon::client::blocking::Client;
use vigo_daemon::node::command::{Command, Reply};
use vigo_daemon::nodeconf::STATE;
use vigo_daemon::process::StartError;
use vigo_daemon::setup::{self, SetupError};
use vigo_daemon::state::StateError;

use super::init::state_of;
use super::install::places::{self, UNITS};
use super::install::{USER, accounts, system};
use crate::args::Everywhere;
use crate::exit::{Exit, Failure};
use crate::reach;
use crate::show;

/// Writes the anchor of this machine's applier, for a state directory that `init` or `join` has just made: where it
/// is told to, and where vigo is installed.
///
/// # Errors
/// [`Failure`] if it cannot be written.
pub fn anchored(state: &Path, told: Option<&Path>, service: Option<&Service>) -> Result<(), Failure> {
    if service.is_some() && UNITS.iter().any(|unit| system::is_active(unit)) {
        // Those of a fleet before: the applier reads its anchor when it starts.
        let line: Vec<&str> = ["stop"].into_iter().chain(UNITS).collect();
        system::run("systemctl", &line)?;
    }
    let place = told.map(reach::absolute).or_else(|| service.map(|_| anchor::STATE.into()));
    place.map_or(Ok(()), |place| Ok(setup::anchor(state, &place)?))
}

/// How long a node has to answer after its units were started.
const ANSWERS: Duration = Duration::from_secs(30);
/// How deep directories of the state nest, at most.
const DEPTH: usize = 16;
/// Where the log of the units is.
const LOG: &str = "journalctl -u vigo-applier -u vigo-peer -n 30";

/// The node that the units run.
#[derive(Debug, Clone)]
pub struct Service {
    socket: PathBuf,
}

impl Service {
    /// That of a machine on which vigo is installed, if `state` is the directory that its units are for.
    pub fn installed(everywhere: &Everywhere, state: &Path) -> Option<Service> {
        let here =
            Path::new("/etc/systemd/system").join(UNITS[1]).exists() || places::packaged_unit().is_some();
        let may = rustix::process::geteuid().is_root() && system::has_systemd();
        (here && may && state == Path::new(STATE)).then(|| Service::standard(everywhere))
    }

    /// That of this machine, installed or not.
    pub fn standard(everywhere: &Everywhere) -> Service {
        Service { socket: reach::socket(everywhere) }
    }

    /// Whether there is a state that belongs to a fleet.
    pub fn has_fleet(&self) -> bool {
        Path::new(places::FLEET).exists()
    }

    /// Gives the state to the peer's user, after the applier has its anchor. One that is there already stays: what the
    /// peer's state says by now is the peer's word.
    ///
    /// # Errors
    /// [`Failure`] if the user is not there or the system refuses.
    pub fn prepare(&self) -> Result<(), Failure> {
        let applier = Path::new(anchor::STATE);
        if !applier.join("anchor").exists() {
            setup::anchor(Path::new(STATE), applier)?;
        }
        let user = accounts::user(USER).ok_or_else(|| {
            Failure::new(Exit::Failed, format!("there is no user {USER}, and the peer runs as it"))
                .hint("repeat `vigo install`: it makes the user")
        })?;
        let state = Path::new(STATE);
        let failed = |e: rustix::io::Errno| Failure::io("give the user vigo", state, &e.into());
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(CWD, state, flags, Mode::empty()).map_err(failed)?;
        let owner = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
        rustix::fs::chownat(&dir, "", Some(owner.0), Some(owner.1), AtFlags::EMPTY_PATH).map_err(failed)?;
        give(dir.as_fd(), owner, DEPTH).map_err(failed)
    }

    /// Enables and starts the units, and waits until the node answers.
    ///
    /// # Errors
    /// [`Failure`] that says where the log is.
    pub fn start(&self) -> Result<(), Failure> {
        let bar = show::spinner("starting the node");
        let started = start_units().and_then(|()| self.answers());
        bar.finish_and_clear();
        started
    }

    fn answers(&self) -> Result<(), Failure> {
        let until = Instant::now() + ANSWERS;
        loop {
            let answer = Client::connect(&self.socket).and_then(|client| client.call(&Command::Status));
            match answer {
                Ok(Reply::Status(_)) => return Ok(()),
                Ok(_) => return Err(reach::strange("a command")),
                Err(error) if Instant::now() >= until => {
                    let why = Failure::from(error).what;
                    let what = format!(
                        "the node was started and does not answer within {} s: {why}",
                        ANSWERS.as_secs()
                    );
                    return Err(Failure::new(Exit::Unavailable, what).hint(format!("its log: {LOG}")));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }
}

/// An error of `init` or `join`, which on an installed machine says how the node that is there already is started.
pub fn refused(error: SetupError, everywhere: &Everywhere) -> Failure {
    let member = matches!(
        error,
        SetupError::Member { .. }
            | SetupError::State(StateError::Locked { .. })
            | SetupError::Start(StartError::State(StateError::Locked { .. }))
    );
    let failure = Failure::from(error);
    if !member || Service::installed(everywhere, &state_of(everywhere)).is_none() {
        return failure;
    }
    let sudo = system::sudo();
    failure.hint(format!(
        "its node is a service here: `{sudo}vigo status` shows it, `{sudo}vigo install` starts it"
    ))
}

fn start_units() -> Result<(), Failure> {
    for verb in ["enable", "start"] {
        let line: Vec<&str> = [verb].into_iter().chain(UNITS).collect();
        system::run("systemctl", &line).map_err(|failure| {
            let again = format!(
                "its log: {LOG}\nwhen it is mended: {}systemctl start {}",
                system::sudo(),
                UNITS.join(" ")
            );
            Failure::new(Exit::Failed, failure.what).hint(again)
        })?;
    }
    Ok(())
}

/// Gives away what root made below a directory. The directory may belong to the peer already: links are not followed
/// nor given, and a file with a second name is left alone, so that nothing outside changes hands.
fn give(dir: BorrowedFd<'_>, owner: (Uid, Gid), depth: usize) -> rustix::io::Result<()> {
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let about = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(about.st_mode);
        let folder = kind == FileType::Directory;
        if about.st_uid == 0 && (folder || (kind == FileType::RegularFile && about.st_nlink == 1)) {
            rustix::fs::chownat(dir, name, Some(owner.0), Some(owner.1), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if folder && depth > 0 {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let below = rustix::fs::openat(dir, name, flags, Mode::empty())?;
            give(below.as_fd(), owner, depth - 1)?;
        }
    }
    Ok(())
}

/// Whether a directory holds nothing, or is not there.
pub fn is_empty(dir: &Path) -> bool {
    match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(e) => e.kind() == std::io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};

    #[test]
    fn only_what_is_inside_changes_hands() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root can give files away");
            return;
        }
        let room = tempfile::tempdir().unwrap();
        let state = room.path().join("state");
        fs::create_dir_all(state.join("swarm/.blobs")).unwrap();
        fs::write(state.join("swarm/.blobs/a"), "a").unwrap();
        fs::write(room.path().join("outside"), "root's").unwrap();
        fs::hard_link(room.path().join("outside"), state.join("second-name")).unwrap();
        symlink(room.path(), state.join("link")).unwrap();
        let dir = rustix::fs::openat(CWD, &state, OFlags::DIRECTORY, Mode::empty()).unwrap();
        give(dir.as_fd(), (Uid::from_raw(4242), Gid::from_raw(4243)), DEPTH).unwrap();
        let owner = |path: &str| {
            let about = fs::symlink_metadata(room.path().join(path)).unwrap();
            (about.uid(), about.gid())
        };
        assert_eq!(owner("state/swarm"), (4242, 4243));
        assert_eq!(owner("state/swarm/.blobs/a"), (4242, 4243));
        for path in ["outside", "state/second-name", "state/link"] {
            assert_eq!(owner(path), (0, 0), "{path}");
        }
    }
}
