//! Names of users and groups, as `/etc/passwd` and `/etc/group` below a host's root say.
//!
//! It never asks the C library or a name service: what a fleet's machines share is in files, and a root that is
//! not this machine's has its own. Numbers stand for themselves; `root` is 0 even where there is no file.

use crate::host::{Fault, Host, HostError};
use crate::path::HostPath;

/// Bytes of an account file that are read at most.
pub(crate) const TABLE_BYTES: u64 = 4 * 1024 * 1024;

/// Which of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// `/etc/passwd`.
    Users,
    /// `/etc/group`.
    Groups,
}

impl Table {
    fn path(self) -> &'static str {
        match self {
            Table::Users => "/etc/passwd",
            Table::Groups => "/etc/group",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Table::Users => "user",
            Table::Groups => "group",
        }
    }
}

/// The id of `name` in `table`.
///
/// # Errors
/// [`HostError::NoAccount`] when there is none; [`HostError`] when the file cannot be read.
pub fn find<H: Host + ?Sized>(host: &H, table: Table, name: &str) -> Result<u32, HostError> {
    if let Some(id) = number(name) {
        return Ok(id);
    }
    let missing = |nearest| HostError::NoAccount {
        what: table.what(),
        name: name.to_owned(),
        table: table.path(),
        nearest,
    };
    let path = HostPath::parse(table.path()).map_err(|_| missing(None))?;
    let bytes = match host.read_followed(&path, TABLE_BYTES) {
        Ok(bytes) => bytes,
        Err(e) if e.fault() == Fault::Missing => Vec::new(),
        Err(e) => return Err(e),
    };
    let text = String::from_utf8_lossy(&bytes);
    match entries(&text).find(|(entry, _)| *entry == name) {
        Some((_, id)) => Ok(id),
        None if name == "root" => Ok(0),
        None => {
            let names = entries(&text).map(|(entry, _)| entry);
            Err(missing(vigo_base::text::nearest(name, names).map(str::to_owned)))
        }
    }
}

/// `name` as a number, if it is one; the last id, which means "unchanged" to the kernel, is not.
fn number(name: &str) -> Option<u32> {
    let digits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
    name.parse().ok().filter(|id| digits && *id != u32::MAX)
}

/// `name:x:id:…` lines; others are passed over.
fn entries(text: &str) -> impl Iterator<Item = (&str, u32)> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|n| !n.is_empty())?;
        Some((name, number(fields.nth(1)?)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;

    #[test]
    fn names_numbers_and_near_misses() {
        let host = FakeHost::new()
            .with_file("/etc/passwd", "root:x:0:0::/root:/bin/sh\nbroken\nwww-data:x:33:33::/:/bin/false\n")
            .with_file("/etc/group", "root:x:0:\nadm:x:4:syslog\n");
        assert_eq!(host.user("www-data"), Ok(33));
        assert_eq!(host.user("1234"), Ok(1234));
        assert_eq!(host.group("adm"), Ok(4));
        let error = host.user("www-dat").unwrap_err().to_string();
        assert_eq!(error, "there is no user `www-dat` in /etc/passwd; the nearest is `www-data`");
        assert!(host.user("4294967295").is_err());
        assert!(host.user("").is_err());
        assert_eq!(FakeHost::new().user("root"), Ok(0));
    }
}
