//! The tree that the demo publishes: real files in `stacks-examples/tree`, carried in the program.
//!
//! It uses the whole language. The demo's own machines get of it what lies below their roots; the rest is for hosts
//! that the demo does not have.

use std::fs;
use std::path::Path;

use crate::exit::Failure;

/// Path and text of every file.
pub const FILES: &[(&str, &str)] = &[
    ("clinic/common.vgo", include_str!("../../../stacks-examples/tree/clinic/common.vgo")),
    ("clinic/hosts.vgo", include_str!("../../../stacks-examples/tree/clinic/hosts.vgo")),
    (
        "clinic/usercrates/compliance.vgo",
        include_str!("../../../stacks-examples/tree/clinic/usercrates/compliance.vgo"),
    ),
    ("clinic/usercrates/hedy.vgo", include_str!("../../../stacks-examples/tree/clinic/usercrates/hedy.vgo")),
    ("clinic/waivers.vgo", include_str!("../../../stacks-examples/tree/clinic/waivers.vgo")),
    ("common.vgo", include_str!("../../../stacks-examples/tree/common.vgo")),
    ("configcrates/base.vgo", include_str!("../../../stacks-examples/tree/configcrates/base.vgo")),
    (
        "configcrates/compliance.vgo",
        include_str!("../../../stacks-examples/tree/configcrates/compliance.vgo"),
    ),
    ("configcrates/db.vgo", include_str!("../../../stacks-examples/tree/configcrates/db.vgo")),
    (
        "configcrates/machine/legacy-agent.vgo",
        include_str!("../../../stacks-examples/tree/configcrates/machine/legacy-agent.vgo"),
    ),
    (
        "configcrates/machine/room.vgo",
        include_str!("../../../stacks-examples/tree/configcrates/machine/room.vgo"),
    ),
    (
        "configcrates/machine/selinux.vgo",
        include_str!("../../../stacks-examples/tree/configcrates/machine/selinux.vgo"),
    ),
    (
        "configcrates/machine/settings.vgo",
        include_str!("../../../stacks-examples/tree/configcrates/machine/settings.vgo"),
    ),
    (
        "configcrates/machine/sshd.vgo",
        include_str!("../../../stacks-examples/tree/configcrates/machine/sshd.vgo"),
    ),
    (
        "configcrates/machine/upgrades.vgo",
        include_str!("../../../stacks-examples/tree/configcrates/machine/upgrades.vgo"),
    ),
    (
        "configcrates/machine/watch.vgo",
        include_str!("../../../stacks-examples/tree/configcrates/machine/watch.vgo"),
    ),
    (
        "configcrates/network/counter.vgo",
        include_str!("../../../stacks-examples/tree/configcrates/network/counter.vgo"),
    ),
    (
        "configcrates/network/devices.vgo",
        include_str!("../../../stacks-examples/tree/configcrates/network/devices.vgo"),
    ),
    ("configcrates/queue.vgo", include_str!("../../../stacks-examples/tree/configcrates/queue.vgo")),
    ("configcrates/shares.vgo", include_str!("../../../stacks-examples/tree/configcrates/shares.vgo")),
    ("configcrates/vhost.vgo", include_str!("../../../stacks-examples/tree/configcrates/vhost.vgo")),
    ("configcrates/web.vgo", include_str!("../../../stacks-examples/tree/configcrates/web.vgo")),
    ("environments.vgo", include_str!("../../../stacks-examples/tree/environments.vgo")),
    ("harbor/common.vgo", include_str!("../../../stacks-examples/tree/harbor/common.vgo")),
    ("harbor/hosts.vgo", include_str!("../../../stacks-examples/tree/harbor/hosts.vgo")),
    ("orchard/common.vgo", include_str!("../../../stacks-examples/tree/orchard/common.vgo")),
    ("orchard/environments.vgo", include_str!("../../../stacks-examples/tree/orchard/environments.vgo")),
    ("orchard/hosts.vgo", include_str!("../../../stacks-examples/tree/orchard/hosts.vgo")),
    ("orchard/shop/common.vgo", include_str!("../../../stacks-examples/tree/orchard/shop/common.vgo")),
    ("orchard/shop/hosts.vgo", include_str!("../../../stacks-examples/tree/orchard/shop/hosts.vgo")),
    (
        "orchard/usercrates/mary.vgo",
        include_str!("../../../stacks-examples/tree/orchard/usercrates/mary.vgo"),
    ),
    ("roles.vgo", include_str!("../../../stacks-examples/tree/roles.vgo")),
    ("templates/motd.tmpl", include_str!("../../../stacks-examples/tree/templates/motd.tmpl")),
    ("templates/vhost.conf", include_str!("../../../stacks-examples/tree/templates/vhost.conf")),
    ("templates/watch.hosts", include_str!("../../../stacks-examples/tree/templates/watch.hosts")),
    ("usercrates/ada.vgo", include_str!("../../../stacks-examples/tree/usercrates/ada.vgo")),
    ("usercrates/grace.vgo", include_str!("../../../stacks-examples/tree/usercrates/grace.vgo")),
    (
        "usercrates/retired/alan.vgo",
        include_str!("../../../stacks-examples/tree/usercrates/retired/alan.vgo"),
    ),
    ("waivers.vgo", include_str!("../../../stacks-examples/tree/waivers.vgo")),
];

/// The file that the story changes, and the line in it.
pub const CHANGED: (&str, &str) = ("configcrates/base.vgo", "  greeting: \"Welcome\"");

/// Writes the tree below `dir`.
///
/// # Errors
/// [`Failure`] if that cannot be done.
pub fn write(dir: &Path) -> Result<(), Failure> {
    for (path, text) in FILES {
        put(&dir.join(path), text)?;
    }
    Ok(())
}

/// Changes the greeting that every machine shows.
///
/// # Errors
/// [`Failure`] if that cannot be done.
pub fn greet(dir: &Path, greeting: &str) -> Result<(), Failure> {
    let (path, line) = CHANGED;
    let text = FILES.iter().find(|(p, _)| *p == path).map_or("", |(_, text)| text);
    put(&dir.join(path), &text.replace(line, &format!("  greeting: \"{greeting}\"")))
}

fn put(path: &Path, text: &str) -> Result<(), Failure> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    written.map_err(|e| Failure::io("write", path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vigo_stacks::{Facts, resolve};

    /// What the executors of this version have, none of which leaves the root of a node that is no machine.
    const HARMLESS: [&str; 7] = ["file", "directory", "symlink", "cron", "exec", "package", "service"];

    #[test]
    fn the_program_carries_the_whole_tree_and_its_own_machines_stay_in_their_folders() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks-examples/tree");
        let tree = crate::tree::read(&dir).unwrap();
        let carried: Vec<&str> = FILES.iter().map(|(path, _)| *path).collect();
        assert_eq!(tree.iter().map(|(path, _)| path).collect::<Vec<_>>(), carried);
        let (compiled, diagnostics) = vigo_stacks::compile(&tree);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let compiled = compiled.unwrap();
        for host in crate::demo::story::NAMES {
            let route = compiled.route(host).unwrap_or_else(|| panic!("nothing is for {host}"));
            for (memory, family) in [(512, "debian"), (65_536, "redhat"), (4_096, "alpine")] {
                let traits = serde_json::json!({
                    "os": {"family": family, "kernel_class": "linux", "distro": "ubuntu", "version": "9", "arch": "amd64"},
                    "hardware": {"memory_mb": memory, "cpu_count": 64}, "is_container": memory == 512,
                });
                let facts = Facts { name: host.into(), tags: route.tags.clone(), traits };
                for step in resolve(&compiled.policies[route.policy], &facts).unwrap().steps {
                    assert!(HARMLESS.contains(&step.kind.as_str()), "{host} would get {}", step.id);
                    assert!(step.revert.is_none(), "{host} would revert {}", step.id);
                }
            }
        }
        assert_eq!(FILES.iter().find(|(p, _)| *p == CHANGED.0).unwrap().1.matches(CHANGED.1).count(), 1);
    }
}
