//! Users and groups of this machine, as /etc/passwd and /etc/group list them.
//!
//! It reads and never writes: who makes or removes accounts is `super::system`.

use std::fs;

use vigo_base::text::escaped;

use super::USER;
use crate::exit::{Exit, Failure};

/// From this id on accounts are people's.
const PEOPLE: u32 = 1000;
/// The account of nobody, which is above people's.
const NOBODY: u32 = 65534;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub uid: u32,
    /// The id of its group.
    pub gid: u32,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub gid: u32,
    /// Those whom it lists.
    pub members: Vec<String>,
}

fn fields(table: &str, name: &str) -> Option<Vec<String>> {
    let line = table.lines().find(|line| line.split(':').next() == Some(name))?;
    Some(line.split(':').map(str::to_owned).collect())
}

/// The user of this name.
pub fn user(name: &str) -> Option<User> {
    let fields = fields(&fs::read_to_string("/etc/passwd").ok()?, name)?;
    Some(User { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? })
}

/// The group of this name.
pub fn group(name: &str) -> Option<Group> {
    let fields = fields(&fs::read_to_string("/etc/group").ok()?, name)?;
    let members = fields.get(3)?.split(',').filter(|m| !m.is_empty()).map(str::to_owned).collect();
    Some(Group { gid: fields.get(2)?.parse().ok()?, members })
}

/// The person who called sudo, if it was one.
pub fn behind_sudo() -> Option<String> {
    let name = std::env::var("SUDO_USER").ok()?;
    (!name.is_empty() && name != "root" && !name.starts_with('-')).then_some(name)
}

/// Refuses to run the peer as a person.
///
/// # Errors
/// [`Failure`] if the user `vigo` is one.
pub fn usable() -> Result<(), Failure> {
    match user(USER) {
        Some(user) if user.uid >= PEOPLE && user.uid != NOBODY => {
            let what = format!(
                "the user {} is a person's (uid {}), and the peer would run as it",
                escaped(USER),
                user.uid
            );
            Err(Failure::new(Exit::Usage, what).hint("rename that account, then repeat the command"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_by_whole_names() {
        let table =
            "root:x:0:0:root:/root:/bin/bash\nvigo2:x:9:9::/:/x\nvigo:x:998:997:Vigo peer:/var/lib/vigo:/x\n";
        assert_eq!(fields(table, "vigo").unwrap()[2], "998");
        assert_eq!(fields(table, "vig"), None);
        assert_eq!(user("root"), Some(User { uid: 0, gid: 0 }));
    }
}
