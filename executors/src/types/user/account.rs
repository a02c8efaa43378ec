//! What the machine says of accounts: `/etc/passwd`, `/etc/group` and one field of `/etc/shadow`.
//!
//! It reads the files and nothing else: no name service, no command. It never writes, and lines that are no
//! entries are passed over.

use crate::accounts::TABLE_BYTES;
use crate::change::Trouble;
use crate::host::{Fault, Host};
use crate::path::HostPath;

/// A line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub comment: String,
    pub home: String,
    pub shell: String,
}

/// A line of `/etc/group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub name: String,
    pub gid: u32,
    pub members: Vec<String>,
}

/// Both files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tables {
    pub users: Vec<Account>,
    pub groups: Vec<Group>,
}

impl Tables {
    /// Reads both; one that is missing has no entries.
    pub fn read(host: &dyn Host) -> Result<Tables, Trouble> {
        let users = text(host, "/etc/passwd")?;
        let groups = text(host, "/etc/group")?;
        Ok(Tables {
            users: users.lines().filter_map(account).collect(),
            groups: groups.lines().filter_map(group).collect(),
        })
    }

    pub fn user(&self, name: &str) -> Option<&Account> {
        self.users.iter().find(|user| user.name == name)
    }

    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// The groups that name the user as a member, in order; the primary one is not among them unless it does.
    pub fn memberships(&self, name: &str) -> Vec<&str> {
        let member = |group: &&Group| group.members.iter().any(|m| m == name);
        self.groups.iter().filter(member).map(|group| group.name.as_str()).collect()
    }
}

/// The second field of the user's line in `/etc/shadow`; empty when there is no line.
pub(super) fn shadow(host: &dyn Host, name: &str) -> Result<String, Trouble> {
    let text = text(host, "/etc/shadow")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(line.and_then(|rest| rest.split(':').next()).unwrap_or("").to_owned())
}

fn text(host: &dyn Host, path: &str) -> Result<String, Trouble> {
    let Ok(path) = HostPath::parse(path) else { return Ok(String::new()) };
    match host.read_followed(&path, TABLE_BYTES) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(e) if e.fault() == Fault::Missing => Ok(String::new()),
        Err(e) => Err(e.into()),
    }
}

fn account(line: &str) -> Option<Account> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, comment, home, shell] = fields.try_into().ok()?;
    Some(Account {
        name: filled(name)?,
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        comment: comment.to_owned(),
        home: home.to_owned(),
        shell: shell.to_owned(),
    })
}

fn group(line: &str) -> Option<Group> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, gid, members] = fields.try_into().ok()?;
    let members = members.split(',').filter_map(filled).collect();
    Some(Group { name: filled(name)?, gid: gid.parse().ok()?, members })
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
