//! A control group for each machine, in the hierarchies that systemd uses, so that two machines never meet in one.
//!
//! systemd-nspawn would have made them if a systemd ran on this machine, which is not asked for. It makes and removes
//! only groups that begin with the lab's prefix and the id of the process that made them.

use std::fs;
use std::path::{Path, PathBuf};

/// The groups of a machine, one for each hierarchy.
pub fn groups(name: &str) -> Vec<PathBuf> {
    hierarchies().into_iter().map(|mount| mount.join(name)).collect()
}

/// Makes them; what was below them is removed first.
pub fn make(groups: &[PathBuf]) -> Result<(), String> {
    for group in groups {
        remove(group);
        fs::create_dir_all(group).map_err(|e| format!("cannot make {}: {e}", group.display()))?;
    }
    if groups.is_empty() { Err("no hierarchy of control groups is mounted".to_owned()) } else { Ok(()) }
}

/// Removes a group with all below it; those that hold processes stay.
pub fn remove(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    let _ = fs::remove_dir(group);
}

/// Groups in all hierarchies whose names are accepted.
pub fn found(accept: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries =
        hierarchies().into_iter().flat_map(|mount| fs::read_dir(mount).into_iter().flatten().flatten());
    entries.filter(|e| accept(&e.file_name().to_string_lossy())).map(|e| e.path()).collect()
}

/// Where the hierarchy of version 2 is mounted, and the one of version 1 that has no controller but a name.
fn hierarchies() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let [_, place, kind, options, ..] = words.as_slice() else { return None };
            let ours = *kind == "cgroup2" || *kind == "cgroup" && options.contains("name=systemd");
            ours.then(|| PathBuf::from(place))
        })
        .collect()
}
