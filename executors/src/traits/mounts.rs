//! `mounts`: the file systems that hold data: `path`, `device`, `type`, `options`.
//!
//! They are those that the first process sees, since ours may have its own; where that may not be read, ours. It
//! leaves out what the kernel shows as files (`proc`, `sysfs`, …), and never touches a mounted file system: a hung
//! one would hang us.

use serde_json::{Value, json};

use super::{clean, text_of};
use crate::host::Host;

/// Mounts in the list.
const MOST: usize = 512;
/// File systems without data.
const PSEUDO: [&str; 22] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nfsd",
    "nsfs",
    "proc",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tracefs",
];

/// The trait; `None` where the kernel shows no table.
pub(super) fn collect(host: &dyn Host) -> Option<Value> {
    let text = text_of(host, "/proc/1/mountinfo").or_else(|| text_of(host, "/proc/self/mountinfo"))?;
    let mut found: Vec<Mount> = text.lines().filter_map(mount).collect();
    found.sort();
    found.dedup();
    let shown = |m: &Mount| json!({"path": m.path, "device": m.device, "type": m.kind, "options": m.options});
    Some(found.iter().take(MOST).map(shown).collect())
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Mount {
    path: String,
    device: String,
    kind: String,
    options: String,
}

/// A line `36 35 98:0 / /mnt rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=continue`.
fn mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(4);
    let mut after = after.split(' ');
    let (path, options) = (before.next()?, before.next()?);
    let (kind, device) = (after.next()?, after.next()?);
    let plain = |text: &str| clean(&unescaped(text));
    (!PSEUDO.contains(&kind)).then(|| Mount {
        path: plain(path),
        device: plain(device),
        kind: plain(kind),
        options: plain(options),
    })
}

/// The kernel writes blanks and backslashes as three octal digits.
fn unescaped(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail
            .get(..3)
            .and_then(|d| std::str::from_utf8(d).ok())
            .and_then(|d| u8::from_str_radix(d, 8).ok());
        match code.filter(|_| *first == b'\\') {
            Some(byte) => {
                out.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;

    const TABLE: &str = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n\
        23 22 0:21 / /proc rw - proc proc rw\n\
        30 22 0:30 / /srv/my\\040data rw,noatime - nfs4 nas:/export rw\nbroken\n31 22 0:31 / /run rw - tmpfs tmpfs rw\n";

    #[test]
    fn file_systems_with_data_are_listed() {
        let host = FakeHost::new()
            .with_file("/proc/1/mountinfo", TABLE)
            .with_file("/proc/self/mountinfo", "1 0 8:1 / /mine rw - ext4 /dev/x rw\n");
        let expected = json!([
            {"path": "/", "device": "/dev/sda1", "type": "ext4", "options": "rw,relatime"},
            {"path": "/run", "device": "tmpfs", "type": "tmpfs", "options": "rw"},
            {"path": "/srv/my data", "device": "nas:/export", "type": "nfs4", "options": "rw,noatime"},
        ]);
        assert_eq!(collect(&host), Some(expected));
        let own = FakeHost::new().with_file("/proc/self/mountinfo", "1 0 8:1 / /mine rw - ext4 /dev/x rw\n");
        assert_eq!(collect(&own).unwrap()[0]["path"], "/mine");
        assert_eq!(collect(&FakeHost::new()), None);
    }
}
