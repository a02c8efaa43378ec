//! Removing what the lab made, by name and by id, and never anything else.
//!
//! Every namespace and folder of a lab carries the id of the process that made it. [`sweep`] removes those whose
//! process is gone; a living test's are left alone.

use std::path::Path;
use std::process::Command;

use super::machines::groups;

/// How every name of the lab begins.
pub const PREFIX: &str = "vigo-";
/// Where systemd-nspawn leaves an empty folder for each machine.
pub const PROPAGATE: &str = "/run/systemd/nspawn/propagate";
/// How every folder of the lab begins.
pub const FOLDER: &str = "vigo-lab-";

/// The names of all network namespaces that begin with `prefix`.
pub fn namespaces(prefix: &str) -> Vec<String> {
    let Ok(output) = Command::new("ip").args(["netns", "list"]).output() else { return Vec::new() };
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.starts_with(prefix))
        .map(str::to_owned)
        .collect()
}

/// Kills what runs in a namespace and removes it. Its interfaces go with it.
pub fn remove_namespace(name: &str) {
    // A process may fork while we look: ask again until none is left.
    for _ in 0..50 {
        let pids = pids_in(name);
        if pids.is_empty() {
            break;
        }
        signal("KILL", &pids);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let _ = Command::new("ip").args(["netns", "del", name]).output();
}

/// The processes in a namespace.
pub fn pids_in(name: &str) -> Vec<u32> {
    let Ok(output) = Command::new("ip").args(["netns", "pids", name]).output() else { return Vec::new() };
    String::from_utf8_lossy(&output.stdout).lines().filter_map(|l| l.trim().parse().ok()).collect()
}

/// Sends a signal to processes by id, by way of the shell's own `kill`.
pub fn signal(name: &str, pids: &[u32]) {
    for pid in pids {
        let _ = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).output();
    }
}

/// Removes what labs of processes that are gone left behind.
pub fn sweep() {
    for name in namespaces(PREFIX) {
        if owner(&name, PREFIX).is_some_and(is_gone) {
            remove_namespace(&name);
        }
    }
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if owner(&name, FOLDER).is_some_and(is_gone) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    for group in groups::found(|name| owner(name, PREFIX).is_some_and(is_gone)) {
        groups::remove(&group);
    }
    for entry in std::fs::read_dir(PROPAGATE).into_iter().flatten().flatten() {
        if owner(&entry.file_name().to_string_lossy(), PREFIX).is_some_and(is_gone) {
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}

/// The process id in a name like `vigo-1234-0-web01`.
fn owner(name: &str, prefix: &str) -> Option<u32> {
    name.strip_prefix(prefix)?.split('-').next()?.parse().ok()
}

fn is_gone(pid: u32) -> bool {
    !Path::new("/proc").join(pid.to_string()).exists()
}
