//! `services`: the services of systemd: `unit`, `active`, `enabled`.
//!
//! It never asks systemd, which would cost a process: what is installed and enabled is in its folders, and what is
//! active has a link in `/run/systemd/units`. `enabled` means that a link in `/etc` starts it; templates are not
//! units, their instances are.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{clean, is_there};
use crate::host::{Host, Kind};
use crate::path::HostPath;
use crate::systemd::{FOLDERS, list};

/// Services in the list.
const MOST: usize = 2048;
/// The trait; `None` where systemd does not run.
pub(super) fn collect(host: &dyn Host) -> Option<Value> {
    if !is_there(host, "/run/systemd/system") {
        return None;
    }
    let active = active(host);
    let enabled = enabled(host);
    let mut units: BTreeSet<String> = active.union(&enabled).cloned().collect();
    for folder in FOLDERS {
        let files = list(host, folder).into_iter().filter(|e| e.kind == Kind::File);
        units.extend(files.map(|e| e.name).filter(|name| is_service(name)));
    }
    let shown = |unit: &String| json!({"unit": clean(unit), "active": active.contains(unit), "enabled": enabled.contains(unit)});
    Some(units.iter().take(MOST).map(shown).collect())
}

/// Units with a link `invocation:NAME`: systemd makes it at a start, and removes it at the end.
fn active(host: &dyn Host) -> BTreeSet<String> {
    let links = list(host, "/run/systemd/units").into_iter();
    links
        .filter_map(|e| e.name.strip_prefix("invocation:").map(str::to_owned))
        .filter(|n| is_service(n))
        .collect()
}

/// Units that a link in `/etc/systemd/system/*.wants` or `.requires` names, or whose other name one there is.
fn enabled(host: &dyn Host) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in list(host, "/etc/systemd/system") {
        let path = format!("/etc/systemd/system/{}", entry.name);
        if entry.kind == Kind::Symlink {
            let stat = HostPath::parse(&path).ok().and_then(|p| host.stat(&p).ok().flatten());
            let target = stat.and_then(|s| s.target).unwrap_or_default();
            found.extend(target.rsplit('/').next().map(str::to_owned));
        } else if entry.kind == Kind::Directory
            && [".wants", ".requires"].iter().any(|end| entry.name.ends_with(end))
        {
            found.extend(list(host, &path).into_iter().map(|e| e.name));
        }
    }
    found.retain(|name| is_service(name));
    found
}

fn is_service(name: &str) -> bool {
    name.strip_suffix(".service").is_some_and(|stem| !stem.is_empty() && !stem.ends_with('@'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;

    #[test]
    fn what_is_installed_enabled_and_active() {
        let mut host = FakeHost::new()
            .with_file("/usr/lib/systemd/system/nginx.service", "")
            .with_file("/usr/lib/systemd/system/idle.service", "")
            .with_file("/usr/lib/systemd/system/getty@.service", "")
            .with_file("/usr/lib/systemd/system/nginx.socket", "");
        host.place("/run/systemd/system", Kind::Directory, "");
        host.place("/lib", Kind::Symlink, "usr/lib");
        host.place("/run/systemd/units/invocation:nginx.service", Kind::Symlink, "0123");
        host.place("/run/systemd/units/invocation:getty@tty1.service", Kind::Symlink, "0123");
        host.place("/run/systemd/units/log-level-max:nginx.service", Kind::Symlink, "7");
        let wants = "/etc/systemd/system/multi-user.target.wants/nginx.service";
        host.place(wants, Kind::Symlink, "/lib/systemd/system/nginx.service");
        host.place(
            "/etc/systemd/system/dbus-org.idle.service",
            Kind::Symlink,
            "/lib/systemd/system/idle.service",
        );
        host.place("/etc/systemd/system/masked.service", Kind::Symlink, "/dev/null");
        let unit = |unit, active, enabled| json!({"unit": unit, "active": active, "enabled": enabled});
        let expected = json!([
            unit("getty@tty1.service", true, false),
            unit("idle.service", false, true),
            unit("nginx.service", true, true),
        ]);
        assert_eq!(collect(&host), Some(expected));
        assert_eq!(collect(&FakeHost::new()), None);
    }
}
