//! Who calls the local API: the kernel says the user, the system's files say the groups.
//!
//! It decides one bit, whether the caller administers: root, a member of the group [`GROUP`], and the own user of a
//! node that is one process. The user of a peer process beside an applier is not among them: whatever takes that
//! process over would command itself. It never trusts a word of the caller. Groups are read from `/etc/group` each time, so that a
//! change takes effect at once; groups that live elsewhere (LDAP) count when they are the process's primary
//! group (`sg vigo-admin`).

use std::fs;
use std::path::Path;

use vigo_node::io::Caller;

/// Members of this group administer.
pub const GROUP: &str = "vigo-admin";

/// Whether the user that this process runs as administers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnUser {
    /// A node of one process: whoever runs it may do as they like with it.
    Administers,
    /// A peer process beside an applier.
    IsNobody,
}

/// The caller with these ids, as the kernel gives them.
pub fn caller(uid: u32, gid: u32, own: OwnUser) -> Caller {
    let ours = own == OwnUser::Administers && uid == rustix::process::geteuid().as_raw();
    let admin = uid == 0 || ours || is_member(Path::new("/etc"), uid, gid);
    Caller { uid, admin }
}

/// The id of [`GROUP`], if this machine has it.
pub fn group_id() -> Option<u32> {
    group(Path::new("/etc")).map(|(gid, _)| gid)
}

fn is_member(etc: &Path, uid: u32, gid: u32) -> bool {
    let Some((id, members)) = group(etc) else { return false };
    gid == id || user_name(etc, uid).is_some_and(|name| members.contains(&name))
}

/// The group's id and its members' names.
fn group(etc: &Path) -> Option<(u32, Vec<String>)> {
    let table = fs::read_to_string(etc.join("group")).ok()?;
    let line = table.lines().find(|line| line.split(':').next() == Some(GROUP))?;
    let fields: Vec<&str> = line.split(':').collect();
    let members = fields.get(3)?.split(',').filter(|name| !name.is_empty()).map(str::to_string).collect();
    Some((fields.get(2)?.parse().ok()?, members))
}

fn user_name(etc: &Path, uid: u32) -> Option<String> {
    let table = fs::read_to_string(etc.join("passwd")).ok()?;
    let line =
        table.lines().find(|line| line.split(':').nth(2).and_then(|id| id.parse().ok()) == Some(uid))?;
    line.split(':').next().map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_user_administers_a_node_of_one_process_only() {
        let own = rustix::process::geteuid().as_raw();
        assert!(caller(own, u32::MAX, OwnUser::Administers).admin);
        assert_eq!(caller(own, u32::MAX, OwnUser::IsNobody).admin, own == 0, "root is root");
        assert!(caller(0, 0, OwnUser::IsNobody).admin);
        let stranger = Caller { uid: 54_321, admin: false };
        for kind in [OwnUser::Administers, OwnUser::IsNobody] {
            assert_eq!(caller(54_321, u32::MAX, kind), stranger);
        }
    }

    #[test]
    fn members_of_the_group_administer_and_nobody_else() {
        let etc = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(etc.path().join(name), text).unwrap();
        write("passwd", "alice:x:1001:1001::/:/bin/sh\nbob:x:1002:1002::/:/bin/sh\n");
        assert!(!is_member(etc.path(), 1001, 1001), "there is no such group");
        write("group", "other:x:7:bob\nvigo-admin:x:500:carol,alice\n");
        assert!(is_member(etc.path(), 1001, 1001));
        assert!(!is_member(etc.path(), 1002, 1002));
        assert!(is_member(etc.path(), 1002, 500), "as the primary group of the process");
        assert!(!is_member(etc.path(), 9999, 9999), "a user that is in no file");
        write("group", "vigo-admin:x:500:\n");
        assert!(!is_member(etc.path(), 1001, 1001));
    }
}
