//! Manifests: one place for versions, each with its reason; lints in force everywhere; a budget of packages.

use crate::tree::{Crate, crates, locked, text_of, workspace_manifest};
use crate::{Breach, expect_none};

/// Packages in `Cargo.lock`. The tree of issue 2 had 281; libp2p for gossip (quic, gossipsub, swarm, identify, crate by
/// crate: the umbrella would bring a hundred more) made it 416 (20 November 2026). What is left is for updates: one
/// does not fail a build, a new family of crates does. The issue that brings automerge (documents) may raise it by what it
/// measured, here.
const PACKAGES: usize = 425;

fn lints(crates: &[Crate]) -> Vec<Breach> {
    let inherits = |c: &Crate| {
        c.manifest.get("lints").and_then(|l| l.get("workspace")).and_then(toml::Value::as_bool) == Some(true)
    };
    crates
        .iter()
        .filter(|c| !inherits(c))
        .map(|c| {
            let place = format!("{}/Cargo.toml", c.folder);
            Breach::new(place, "does not take the workspace's lints", "add [lints] workspace = true")
        })
        .collect()
}

fn own_versions(crates: &[Crate]) -> Vec<Breach> {
    let mut found = Vec::new();
    for each in crates {
        for (table, name, shared) in each.dependencies() {
            if !shared {
                let instead = format!(
                    "put it into [workspace.dependencies] with a reason, then {name}.workspace = true"
                );
                let place = format!("{}/Cargo.toml", each.folder);
                found.push(Breach::new(place, format!("[{table}] {name} has a version of its own"), instead));
            }
        }
    }
    found
}

/// Entries of `[workspace.dependencies]` with no comment of their own nor one atop their group.
fn unreasoned(manifest: &str) -> Vec<Breach> {
    let mut found = Vec::new();
    let (mut inside, mut reason) = (false, false);
    for (index, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            inside = line == "[workspace.dependencies]";
            reason = false;
        } else if line.is_empty() {
            reason = false;
        } else if line.starts_with('#') {
            reason = line.trim_matches(['#', '-', ' ']).len() >= 4;
        } else if inside && line.contains('=') && !reason && !line.contains(" # ") {
            let name = line.split(['=', '.']).next().unwrap_or_default().trim();
            found.push(Breach::new(
                format!("Cargo.toml:{}", index + 1),
                format!("workspace dependency {name} stands without a reason"),
                "say above it, or atop its group, what it is for",
            ));
        }
    }
    found
}

fn over_budget(lock: &str, budget: usize) -> Vec<Breach> {
    let count: usize = locked(lock).values().map(Vec::len).sum();
    if count <= budget {
        return Vec::new();
    }
    let instead = "drop a dependency or a feature (cargo tree -e normal,build -d shows doubles); only an issue whose \
                   purpose needs the crates raises the budget, in tests/tidy/manifests.rs with its reason";
    vec![Breach::new("Cargo.lock", format!("{count} packages where {budget} are allowed"), instead)]
}

#[test]
fn the_tree_inherits_lints() {
    expect_none("lints", lints(&crates()));
}

#[test]
fn the_tree_forbids_unsafe_code() {
    let manifest = workspace_manifest();
    let lints = manifest.get("workspace").and_then(|w| w.get("lints")).and_then(|l| l.get("rust")).cloned();
    let level = |lint: &str| {
        lints.as_ref().and_then(|l| l.get(lint)).and_then(toml::Value::as_str).map(str::to_owned)
    };
    assert_eq!(
        level("unsafe_code").as_deref(),
        Some("forbid"),
        "[workspace.lints.rust] unsafe_code must stay forbidden"
    );
    assert!(level("missing_docs").is_some(), "[workspace.lints.rust] missing_docs must stay on");
}

#[test]
fn the_tree_keeps_versions_in_one_place() {
    expect_none("versions", own_versions(&crates()));
}

#[test]
fn the_tree_reasons_its_dependencies() {
    let manifest = text_of("Cargo.toml");
    assert!(manifest.contains("[workspace.dependencies]"));
    expect_none("reasons", unreasoned(&manifest));
}

#[test]
fn the_tree_is_within_its_budget() {
    let lock = text_of("Cargo.lock");
    println!("{} packages of {PACKAGES}", locked(&lock).values().map(Vec::len).sum::<usize>());
    expect_none("package count", over_budget(&lock, PACKAGES));
}

#[test]
fn planted_manifests_are_found() {
    let plain = [Crate::planted("x", "[package]\nname = \"vigo-x\"\n[dependencies]\nhex = \"0.4\"\n")];
    assert_eq!((lints(&plain).len(), own_versions(&plain).len()), (1, 1));
    let off = [Crate::planted("x", "[lints]\nworkspace = false\n")];
    assert_eq!(lints(&off).len(), 1);
    let good = [Crate::planted("x", "[lints]\nworkspace = true\n[dependencies]\nhex.workspace = true\n")];
    assert_eq!((lints(&good), own_versions(&good)), (vec![], vec![]));
}

#[test]
fn missing_reasons_are_found() {
    let count = |text: &str| unreasoned(&format!("[workspace.dependencies]\n{text}\n[other]\nx = 1\n")).len();
    assert_eq!(count("# hashes in text\nhex = \"0.4\"\nbase64 = \"1\""), 0);
    assert_eq!(count("# -- encoding\nhex = \"0.4\""), 0);
    assert_eq!(count("hex = \"0.4\" # hashes in text"), 0);
    assert_eq!(count("hex = \"0.4\""), 1);
    assert_eq!(count("# hashes in text\nhex = \"0.4\"\n\nbase64 = \"1\""), 1);
    assert_eq!(count("#\nhex = \"0.4\""), 1);
}

#[test]
fn too_many_packages_are_found() {
    let lock =
        "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n[[package]]\nname = \"a\"\nversion = \"2.0.0\"\n";
    assert_eq!(over_budget(lock, 2), []);
    assert_eq!(over_budget(lock, 1).len(), 1);
}
