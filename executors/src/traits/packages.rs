//! `packages`: what dpkg has installed: `name`, `version`, `arch`.
//!
//! It never asks a repository. What is removed or half installed is not in the list.

use serde_json::{Value, json};

use super::clean;
use crate::dpkg::{self, Stage};
use crate::host::Host;

/// Packages in the list.
const MOST: usize = 8192;

/// The trait; `None` where there is no dpkg.
pub(super) fn collect(host: &dyn Host) -> Option<Value> {
    let mut all = dpkg::packages(host).ok()?;
    all.retain(|p| p.stage == Stage::Installed);
    if all.is_empty() {
        return None;
    }
    all.sort_by(|a, b| (&a.name, &a.arch).cmp(&(&b.name, &b.arch)));
    let shown = |p: &dpkg::Package| json!({"name": clean(&p.name), "version": clean(&p.version), "arch": clean(&p.arch)});
    Some(all.iter().take(MOST).map(shown).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;

    #[test]
    fn installed_packages_sorted() {
        let status = "Package: zsh\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.9-4\n\n\
            Package: adduser\nStatus: hold ok installed\nArchitecture: all\nVersion: 3.134\n\n\
            Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n";
        let host = FakeHost::new().with_file(dpkg::STATUS, status);
        let expected = json!([{"name": "adduser", "version": "3.134", "arch": "all"},
            {"name": "zsh", "version": "5.9-4", "arch": "amd64"}]);
        assert_eq!(collect(&host), Some(expected));
        assert_eq!(collect(&FakeHost::new()), None);
    }
}
