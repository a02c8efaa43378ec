//! The right to run everything with sudo: a file of its own below `/etc/sudoers.d`.
//!
//! It never puts a file there that sudo does not understand, and never removes one that it has not written.

use vigo_base::Hash;

use super::act::{Act, CHECK_SUDOERS};
use super::{User, Work};
use crate::attributes::BadAttribute;
use crate::change::{Action, Trouble};
use crate::host::{Host, Kind};
use crate::path::HostPath;
use crate::types::file::File;

/// Mode of a file that sudo reads.
const MODE: u32 = 0o440;
/// How every file begins that this program wrote.
const MARK: &str = "# Written by vigo:";
/// Bytes that are read to see who wrote it.
const READ_BYTES: u64 = 64 * 1024;

impl User {
    /// Grants or withdraws it, as declared.
    pub(super) fn sudo(&self, host: &dyn Host, work: &mut Work) -> Result<(), Trouble> {
        let path = HostPath::parse(&format!("/etc/sudoers.d/{}", file_name(&self.name)))
            .map_err(|source| Trouble::Declared(BadAttribute::Path { name: "username", source }.into()))?;
        if !self.sudo || self.absent {
            return withdraw(host, path, work);
        }
        let text = format!(
            "{MARK} `sudo_nopasswd` of the user {name}. Changes made here are undone.\n{name} ALL=(ALL:ALL) NOPASSWD: ALL\n",
            name = self.name
        );
        let change = File::owned_by_root(path, &text, MODE).check(host)?;
        if change.actions.is_empty() {
            return Ok(());
        }
        work.act(Act::with(CHECK_SUDOERS, &[("VIGO_SUDOERS", &text)]));
        work.actions.extend(change.actions);
        work.words.push(format!("sudo without password: {}", change.message));
        work.diffs.extend(change.diff);
        Ok(())
    }
}

fn withdraw(host: &dyn Host, path: HostPath, work: &mut Work) -> Result<(), Trouble> {
    let file = host.stat(&path)?.filter(|stat| stat.kind == Kind::File && stat.size <= READ_BYTES);
    if file.is_some() && host.read(&path, READ_BYTES)?.starts_with(MARK.as_bytes()) {
        work.words.push("sudo without password: withdrawn".to_owned());
        work.actions.push(Action::RemoveFile { path });
    }
    Ok(())
}

/// The file's name. Sudo passes over names with a dot, so these get another one that no other user has.
fn file_name(user: &str) -> String {
    if user.contains('.') {
        format!("{}-{}", user.replace('.', "_"), Hash::of(user.as_bytes()).short())
    } else {
        user.to_owned()
    }
}
