//! `users`: the accounts of `/etc/passwd`: `name`, `uid`, `gid`, `home`, `shell`, `groups`.
//!
//! It never opens the file with the passwords, and never asks a name service. `groups` has the primary group's name first.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{LIST_ITEMS, clean, text_of};
use crate::host::Host;

/// Accounts in the list.
const MOST: usize = 2048;

/// The trait; `None` where there is no such file.
pub(super) fn collect(host: &dyn Host) -> Option<Value> {
    let passwd = text_of(host, "/etc/passwd")?;
    let groups = text_of(host, "/etc/group").unwrap_or_default();
    let groups = Groups::read(&groups);
    let mut found: Vec<(&str, Value)> = passwd.lines().filter_map(|line| user(line, &groups)).collect();
    found.sort_by_key(|(name, _)| *name);
    Some(found.into_iter().take(MOST).map(|(_, user)| user).collect())
}

/// A line `name:x:uid:gid:full name:home:shell`.
fn user<'a>(line: &'a str, groups: &Groups<'_>) -> Option<(&'a str, Value)> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, shell] = fields.as_slice() else { return None };
    let (uid, gid) = (uid.parse::<u32>().ok()?, gid.parse::<u32>().ok()?);
    let primary = groups.names.get(&gid).copied();
    let others = groups.of.get(name).into_iter().flatten().copied().filter(|group| Some(*group) != primary);
    let groups: Vec<String> = primary.into_iter().chain(others).take(LIST_ITEMS).map(clean).collect();
    let shown = json!({"name": clean(name), "uid": uid, "gid": gid, "home": clean(home), "shell": clean(shell),
        "groups": groups});
    (!name.is_empty()).then_some((*name, shown))
}

/// `/etc/group`: names by number, and the groups that list a user.
struct Groups<'a> {
    names: BTreeMap<u32, &'a str>,
    of: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Groups<'a> {
    fn read(text: &'a str) -> Groups<'a> {
        let mut groups = Groups { names: BTreeMap::new(), of: BTreeMap::new() };
        for line in text.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, gid, members] = fields.as_slice() else { continue };
            if let Ok(gid) = gid.parse() {
                groups.names.entry(gid).or_insert(name);
            }
            for member in members.split(',').filter(|m| !m.is_empty()) {
                groups.of.entry(member).or_default().push(name);
            }
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;

    #[test]
    fn accounts_with_their_groups_and_without_hashes() {
        let host = FakeHost::new()
            .with_file(
                "/etc/passwd",
                "root:x:0:0:root:/root:/bin/bash\nada:$6$secret:1000:1000:Ada,,,:/home/ada:/bin/zsh\nbroken:x\n",
            )
            .with_file("/etc/group", "root:x:0:\nadm:x:4:ada,bob\nada:x:1000:ada\nsudo:x:27:ada\n")
            .with_file("/etc/shadow", "ada:$6$other:1::::::\n");
        let users = collect(&host).unwrap();
        let expected = json!([
            {"name": "ada", "uid": 1000, "gid": 1000, "home": "/home/ada", "shell": "/bin/zsh",
             "groups": ["ada", "adm", "sudo"]},
            {"name": "root", "uid": 0, "gid": 0, "home": "/root", "shell": "/bin/bash", "groups": ["root"]},
        ]);
        assert_eq!(users, expected);
        assert!(!users.to_string().contains("$6$"));
        assert_eq!(collect(&FakeHost::new()), None);
    }
}
