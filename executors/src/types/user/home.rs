//! Files in a user's home: `.ssh/authorized_keys` and `.xsession`.
//!
//! Root writes here where a user may change everything meanwhile. So it never writes through a link of the user's,
//! never into a folder that is not theirs, never changes the owner of what it finds, and shows of what it finds
//! only lines that are keys: a user may have linked another file there. A file with wrong rights is written anew.

use std::collections::BTreeSet;

use vigo_base::text::escaped;
use vigo_stacks::words;

use super::BadAccount;
use super::account::{Account, Tables};
use crate::change::Trouble;
use crate::diff::{Side, unified};
use crate::host::{Access, Host, Kind, NewFile, Stat};
use crate::path::HostPath;

/// Bytes of a file in a home that are read at most.
const FILE_BYTES: u64 = 1024 * 1024;
/// The mode of a home that is made, of `.ssh` and of `.xsession`.
const PRIVATE: u32 = 0o700;
/// The mode of `authorized_keys`.
const KEYS_MODE: u32 = 0o600;
/// The bits with which sshd no longer trusts a folder.
const OPEN_BITS: u32 = 0o022;
/// The first line of `authorized_keys`.
const HEADER: &str = "# Written by vigo: keys that the policy does not name are removed.\n";
/// How the comment of a key begins that a remote session put there for its time, with sshd's `expiry-time`.
pub const EPHEMERAL: &str = "scrier:";

/// What is declared of a home and the files in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeFiles {
    pub(super) user: String,
    /// Whether a missing home is made.
    pub(super) make: bool,
    pub(super) keys: Option<Vec<String>>,
    pub(super) xsession: Option<String>,
}

/// What is to be done in a home.
#[derive(Debug, Default)]
pub(super) struct Plan {
    deeds: Vec<Deed>,
    /// What differs.
    pub words: Vec<String>,
    /// What is worth knowing and stays as it is.
    pub notes: Vec<String>,
    /// How the keys differ.
    pub diff: Option<String>,
}

#[derive(Debug)]
enum Deed {
    Home(HostPath),
    Folder(HostPath),
    Mode(HostPath, u32),
    File(HostPath, Vec<u8>, u32),
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.deeds.is_empty()
    }
}

impl HomeFiles {
    /// Whether nothing is declared.
    pub(super) fn is_empty(&self) -> bool {
        !self.make && self.keys.is_none() && self.xsession.is_none()
    }

    /// What differs from what is declared. `old_uid` is who the user was until now.
    pub(super) fn plan(&self, host: &dyn Host, account: &Account, old_uid: u32) -> Result<Plan, Trouble> {
        let mut plan = Plan::default();
        let Ok(home) = HostPath::parse(&account.home) else {
            if self.keys.is_none() && self.xsession.is_none() {
                return Ok(plan);
            }
            return Err(BadAccount::HomePath { user: self.user.clone(), home: account.home.clone() }.into());
        };
        let found = host.stat(&home)?;
        let files = self.keys.as_ref().is_some_and(|k| !k.is_empty()) || self.xsession.is_some();
        match &found {
            None if self.make => {
                plan.words.push(format!("home {home} made"));
                plan.deeds.push(Deed::Home(home.clone()));
            }
            None if files => return Err(BadAccount::NoHome { user: self.user.clone(), home }.into()),
            None => return Ok(plan),
            Some(_) if self.keys.is_none() && self.xsession.is_none() => return Ok(plan),
            Some(stat) => usable(stat, &home, account, old_uid)?,
        }
        if let Some(keys) = &self.keys {
            if found.as_ref().is_some_and(|stat| stat.mode & OPEN_BITS != 0) {
                plan.notes.push(format!("others may write to {home}: sshd will not take these keys"));
            }
            plan.keys(host, &home, keys, account, old_uid)?;
        }
        if let Some(text) = &self.xsession {
            plan.xsession(host, &home, text, account, old_uid)?;
        }
        Ok(plan)
    }

    /// Puts the files there, for the account as it is now.
    pub(super) fn perform(&self, host: &mut dyn Host) -> Result<(), Trouble> {
        let tables = Tables::read(host)?;
        let account = tables.user(&self.user).ok_or_else(|| BadAccount::Gone { user: self.user.clone() })?;
        let owned = |mode| Access { mode: Some(mode), owner: Some(account.uid), group: Some(account.gid) };
        for deed in self.plan(host, account, account.uid)?.deeds {
            match deed {
                Deed::Home(path) => make_home(host, &path, &owned(PRIVATE))?,
                Deed::Folder(path) => host.make_dir_for(account.uid, &path, &owned(PRIVATE))?,
                Deed::Mode(path, mode) => host.set_mode_for(account.uid, &path, mode)?,
                Deed::File(path, bytes, mode) => {
                    let (owner, group) = (Some(account.uid), Some(account.gid));
                    host.write_for(account.uid, &path, &NewFile { bytes: &bytes, mode, owner, group })?;
                }
            }
        }
        Ok(())
    }
}

impl Plan {
    fn keys(
        &mut self,
        host: &dyn Host,
        home: &HostPath,
        keys: &[String],
        account: &Account,
        old_uid: u32,
    ) -> Result<(), Trouble> {
        let folder = below(home, ".ssh")?;
        let path = below(&folder, "authorized_keys")?;
        let dir = host.stat(&folder)?;
        if let Some(stat) = &dir {
            usable(stat, &folder, account, old_uid)?;
        }
        let file = host.stat(&path)?;
        if keys.is_empty() && file.is_none() {
            return Ok(());
        }
        match &dir {
            None => self.deeds.push(Deed::Folder(folder.clone())),
            Some(stat) => {
                if stat.mode != PRIVATE {
                    self.words.push(format!("{folder}: mode {:04o} -> {PRIVATE:04o}", stat.mode));
                    self.deeds.push(Deed::Mode(folder, PRIVATE));
                }
            }
        }
        let old = content(host, &path, file.as_ref())?;
        let new = wanted(keys, &old);
        let (before, after) = (bodies(&old), bodies(&new));
        let (added, removed) = (after.difference(&before).count(), before.difference(&after).count());
        let access = file.as_ref().and_then(|stat| access_differs(stat, KEYS_MODE, account, old_uid));
        if file.is_some() && old == new && access.is_none() {
            return Ok(());
        }
        self.words.push(match (added, removed) {
            (0, 0) => format!("keys: {}", access.unwrap_or_else(|| "written anew".to_owned())),
            (added, 0) => format!("keys: {added} added"),
            (0, removed) => format!("keys: {removed} removed"),
            (added, removed) => format!("keys: {added} added, {removed} removed"),
        });
        let label = if file.is_some() { path.as_str() } else { "/dev/null" };
        let diff = unified(side(label, &shown(&old)), side(path.as_str(), &new));
        self.diff = (!diff.is_empty()).then_some(diff);
        self.deeds.push(Deed::File(path, new.into_bytes(), KEYS_MODE));
        Ok(())
    }

    fn xsession(
        &mut self,
        host: &dyn Host,
        home: &HostPath,
        text: &str,
        account: &Account,
        old_uid: u32,
    ) -> Result<(), Trouble> {
        let path = below(home, ".xsession")?;
        let file = host.stat(&path)?;
        let access = file.as_ref().and_then(|stat| access_differs(stat, PRIVATE, account, old_uid));
        let same = file.is_some() && content(host, &path, file.as_ref())? == text;
        if !same || access.is_some() {
            self.words
                .push(format!(".xsession: {}", access.filter(|_| same).unwrap_or("content".to_owned())));
            self.deeds.push(Deed::File(path, text.as_bytes().to_vec(), PRIVATE));
        }
        Ok(())
    }
}

fn below(folder: &HostPath, name: &str) -> Result<HostPath, Trouble> {
    HostPath::parse(&format!("{folder}/{name}", folder = folder.as_str()))
        .map_err(|_| BadAccount::HomePath { user: String::new(), home: folder.as_str().to_owned() }.into())
}

/// A folder of the user's own, not a link.
fn usable(stat: &Stat, path: &HostPath, account: &Account, old_uid: u32) -> Result<(), Trouble> {
    if stat.kind != Kind::Directory {
        let (path, found) = (path.clone(), stat.kind);
        return Err(Trouble::InTheWay { path, found, expected: "a directory", forceable: false });
    }
    if stat.owner != account.uid && stat.owner != old_uid {
        let (path, user) = (path.clone(), account.name.clone());
        return Err(BadAccount::FolderOf { path, owner: stat.owner, user, uid: account.uid }.into());
    }
    Ok(())
}

/// Mode or owner, if they differ, in words.
fn access_differs(stat: &Stat, mode: u32, account: &Account, old_uid: u32) -> Option<String> {
    if stat.mode != mode {
        Some(format!("mode {:04o} -> {mode:04o}", stat.mode))
    } else if stat.owner != account.uid && stat.owner != old_uid {
        Some(format!("owner {} -> {}", stat.owner, account.uid))
    } else {
        None
    }
}

/// What is in the file; nothing when it is missing.
fn content(host: &dyn Host, path: &HostPath, file: Option<&Stat>) -> Result<String, Trouble> {
    match file {
        None => Ok(String::new()),
        Some(stat) if stat.kind == Kind::File => {
            Ok(String::from_utf8_lossy(&host.read(path, FILE_BYTES)?).into_owned())
        }
        Some(stat) => {
            let (path, found) = (path.clone(), stat.kind);
            Err(Trouble::InTheWay { path, found, expected: "a regular file", forceable: false })
        }
    }
}

/// The declared keys, and those of remote sessions that are there.
fn wanted(keys: &[String], old: &str) -> String {
    let mut text = HEADER.to_owned();
    let kept = old.lines().filter(|line| ephemeral(line) && !keys.iter().any(|key| key == line));
    for line in keys.iter().map(String::as_str).chain(kept) {
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn ephemeral(line: &str) -> bool {
    words::key(line).is_ok_and(|key| {
        key.comment.starts_with(EPHEMERAL) && key.options.split(',').any(|o| o.starts_with("expiry-time="))
    })
}

/// The keys themselves, without options and comments.
fn bodies(text: &str) -> BTreeSet<&str> {
    text.lines().filter_map(|line| words::key(line).ok()).map(|key| key.body).collect()
}

/// What of a file in a home may be shown: keys and remarks.
fn shown(text: &str) -> String {
    let line = |line: &str| match words::key(line) {
        Ok(_) => escaped(line),
        Err(_) if line.trim().is_empty() || HEADER.trim_end() == line => line.to_owned(),
        Err(_) => "[a line that is no key]".to_owned(),
    };
    text.lines().map(|l| line(l) + "\n").collect()
}

fn side<'a>(label: &'a str, text: &'a str) -> Side<'a> {
    Side { label, size: text.len() as u64, bytes: Some(text.as_bytes()) }
}

/// Makes a home, in a folder of root's: in another's it could be swapped while it is made.
fn make_home(host: &mut dyn Host, path: &HostPath, access: &Access) -> Result<(), Trouble> {
    let parent = path.parent().ok_or_else(|| BadAccount::HomeTop { home: path.clone() })?;
    if let Some(stat) = host.stat_followed(&parent)?
        && stat.owner != 0
    {
        return Err(BadAccount::HomeIn { home: path.clone(), owner: stat.owner }.into());
    }
    Ok(host.make_dir(path, access)?)
}
