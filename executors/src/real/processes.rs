//! The processes of a user on this machine, as `/proc` tells, and their end.
//!
//! It never counts what runs in a container (another root directory), never touches processes of user 0 or this
//! one, and never signals a number that may have passed to another process: a process is held by its descriptor
//! and looked at again before it is signalled. Invariant: it ends within the time it is given.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::host::HostError;

/// Between being asked and being killed, at most.
const GRACE: Duration = Duration::from_secs(3);
/// Between two looks.
const NAP: Duration = Duration::from_millis(50);

/// The processes of `user`.
pub(super) fn of(user: u32) -> Result<Vec<i32>, HostError> {
    let fail = |e: std::io::Error| HostError::Processes { doing: "see", user, why: e.to_string() };
    let ours = rustix::fs::stat("/").map_err(|e| fail(e.into()))?;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        let Some(pid) = name.to_str().and_then(|n| n.parse::<i32>().ok()) else { continue };
        if !runs_as(pid, user) || u32::try_from(pid).is_ok_and(|p| p == std::process::id()) {
            continue;
        }
        // A process that has ended, or is about to, has no root.
        let Ok(root) = rustix::fs::stat(format!("/proc/{pid}/root")) else { continue };
        if (root.st_dev, root.st_ino) == (ours.st_dev, ours.st_ino) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Ends them, and gives how many there were.
pub(super) fn end(user: u32, millis: u64) -> Result<usize, HostError> {
    if user == 0 {
        let why = "the processes of root are never ended".to_owned();
        return Err(HostError::Processes { doing: "end", user, why });
    }
    let started = Instant::now();
    let limit = Duration::from_millis(millis).min(GRACE * 2);
    let mut met = BTreeSet::new();
    loop {
        let left = of(user)?;
        if left.is_empty() || started.elapsed() >= limit {
            return Ok(met.len());
        }
        let late = started.elapsed() >= limit / 2;
        for pid in left {
            if met.insert(pid) {
                signal(pid, user, Signal::TERM);
            }
            if late {
                signal(pid, user, Signal::KILL);
            }
        }
        std::thread::sleep(NAP);
    }
}

/// Signals a process that is still the user's; what has ended meanwhile needs none.
fn signal(pid: i32, user: u32, signal: Signal) {
    let Some(handle) = Pid::from_raw(pid).and_then(|p| pidfd_open(p, PidfdFlags::empty()).ok()) else {
        return;
    };
    if runs_as(pid, user) {
        let _ = pidfd_send_signal(&handle, signal);
    }
}

/// Whether a process has the user as one of its ids.
fn runs_as(pid: i32, user: u32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return false };
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or("");
    ids.split_ascii_whitespace().any(|id| id.parse() == Ok(user))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    /// A process of a user that no machine has; `None` when we may not make one.
    fn sleeper(user: u32, line: &str) -> Option<Child> {
        rustix::process::geteuid()
            .is_root()
            .then(|| Command::new("/bin/sh").arg("-c").arg(line).uid(user).gid(user).spawn().unwrap())
    }

    #[test]
    fn processes_of_a_user_are_found_and_ended_and_no_others() {
        const USER: u32 = 3_917_001;
        let Some(mut mine) = sleeper(USER, "exec sleep 100") else { return };
        let mut stubborn = sleeper(USER, "trap '' TERM; while :; do sleep 0.1; done").unwrap();
        let mut other = sleeper(USER + 1, "exec sleep 100").unwrap();
        std::thread::sleep(Duration::from_millis(200));
        assert!(of(USER).unwrap().len() >= 2);
        assert!(end(USER, 2000).unwrap() >= 2);
        mine.wait().unwrap();
        stubborn.wait().unwrap();
        assert_eq!(of(USER).unwrap(), Vec::<i32>::new());
        assert_eq!(other.try_wait().unwrap(), None);
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn the_processes_of_root_are_left_alone() {
        assert!(end(0, 1000).is_err());
    }
}
