//! `is_container`: whether this runs in a container. It never takes a virtual machine for one.

use super::{is_there, text_of};
use crate::host::Host;

/// Files that container engines leave.
const MARKS: [&str; 3] = ["/.dockerenv", "/run/.containerenv", "/run/systemd/container"];
/// Words in the control group of the first process.
const GROUPS: [&str; 5] = ["/docker", "/kubepods", "/lxc", "/libpod", "/machine.slice"];

/// The trait.
pub(super) fn collect(host: &dyn Host) -> bool {
    let environment = text_of(host, "/proc/1/environ").unwrap_or_default();
    let groups = text_of(host, "/proc/1/cgroup").unwrap_or_default();
    MARKS.iter().any(|mark| is_there(host, mark))
        || environment.split('\0').any(|v| v.strip_prefix("container=").is_some_and(|kind| !kind.is_empty()))
        || groups.lines().any(|line| GROUPS.iter().any(|word| line.contains(word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;

    #[test]
    fn every_mark_counts_and_a_plain_machine_has_none() {
        let is = |path: &str, text: &str| collect(&FakeHost::new().with_file(path, text));
        assert!(is("/.dockerenv", ""));
        assert!(is("/run/.containerenv", ""));
        assert!(is("/proc/1/environ", "HOME=/\0container=lxc\0"));
        assert!(is("/proc/1/cgroup", "0::/docker/abc\n"));
        assert!(!is("/proc/1/environ", "HOME=/\0container=\0"));
        assert!(!is("/proc/1/cgroup", "0::/init.scope\n"));
    }
}
