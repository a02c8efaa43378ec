//! Which crate may stand on which: the table of docs/architecture.md, and nothing beside it.
//!
//! The table is written here a second time on purpose: an edge is added by changing both, in a commit that
//! says why.

use crate::tree::{Crate, crates};
use crate::{Breach, expect_none};

/// Each crate with the crates that it may name. `tests` may name any.
const TABLE: [(&str, &[&str]); 14] = [
    ("base", &[]),
    ("crdt", &["base"]),
    ("spanner", &["crdt", "base"]),
    ("swarm", &["crdt", "base"]),
    ("content", &["spanner", "swarm", "crdt", "base"]),
    ("stacks", &["base"]),
    ("node", &["content", "spanner", "swarm", "stacks", "crdt", "base"]),
    ("executors", &["stacks", "base"]),
    ("simnet", &["node", "executors", "base"]),
    ("daemon", &["node", "executors", "base"]),
    ("cli", &["daemon", "stacks", "simnet", "base"]),
    ("bench", &["stacks", "swarm", "crdt", "base"]),
    ("fuzz", &["node", "content", "spanner", "swarm", "stacks", "crdt", "base"]),
    ("tests", &["*"]),
];

fn breaches(crates: &[Crate]) -> Vec<Breach> {
    let mut found = Vec::new();
    for each in crates {
        let place = format!("{}/Cargo.toml", each.folder);
        let Some((_, allowed)) = TABLE.iter().find(|(name, _)| *name == each.folder) else {
            found.push(Breach::new(
                place,
                format!("crate {:?} is not in the table of edges", each.folder),
                "give it a layer in docs/architecture.md and a row in tests/tidy/edges.rs",
            ));
            continue;
        };
        let package = each.manifest.get("package").and_then(|p| p.get("name")).and_then(toml::Value::as_str);
        if package != Some(format!("vigo-{}", each.folder).as_str()) {
            found.push(Breach::new(
                place.clone(),
                format!("the package of folder {} is named {package:?}", each.folder),
                format!("name it vigo-{}", each.folder),
            ));
        }
        for (table, name, _) in each.dependencies() {
            let Some(other) = name.strip_prefix("vigo-") else { continue };
            if !allowed.contains(&other) && *allowed != ["*"] {
                found.push(Breach::new(
                    place.clone(),
                    format!("[{table}] names {name}"),
                    advice(each, other, allowed),
                ));
            }
        }
    }
    found
}

fn advice(each: &Crate, other: &str, allowed: &[&str]) -> String {
    let below = if allowed.is_empty() { "nothing of ours".to_owned() } else { allowed.join(", ") };
    let upward = TABLE.iter().any(|(name, under)| *name == other && under.contains(&each.folder.as_str()));
    if upward {
        format!(
            "{other} stands above {me}; {me} may name {below}: move what both need down, or pass it in as data",
            me = each.folder
        )
    } else {
        format!(
            "{me} may name {below}; let a crate above both route between them, or move the type to base, or \
             change the table here and in docs/architecture.md in a commit that says why",
            me = each.folder
        )
    }
}

#[test]
fn the_tree_has_only_edges_of_the_table() {
    expect_none("edges between crates", breaches(&crates()));
}

#[test]
fn every_row_of_the_table_is_a_crate() {
    let present: Vec<String> = crates().into_iter().map(|c| c.folder).collect();
    for (name, allowed) in TABLE {
        assert!(present.iter().any(|c| c == name), "row {name} of the table is no member of the workspace");
        for below in allowed.iter().filter(|b| **b != "*") {
            assert!(TABLE.iter().any(|(n, _)| n == below), "{name} may name {below}, which has no row");
        }
    }
}

#[test]
fn the_table_has_no_cycle() {
    // Rows only name rows that come before them.
    for (at, (name, allowed)) in TABLE.iter().enumerate() {
        for below in allowed.iter().filter(|b| **b != "*") {
            let before = TABLE.iter().position(|(n, _)| n == below).expect("has a row");
            assert!(before < at, "{name} names {below}, which stands above it in the table");
        }
    }
}

#[test]
fn the_table_is_the_one_of_the_architecture_page() {
    let page = crate::tree::text_of("docs/architecture.md");
    for (name, allowed) in TABLE {
        let below = match allowed {
            [] => "nothing".to_owned(),
            ["*"] => "anything".to_owned(),
            _ => allowed.join(" "),
        };
        let row = page.lines().find(|line| line.starts_with(&format!("| `{name}` |"))).unwrap_or_default();
        assert!(
            row.ends_with(&format!("| {below} |")),
            "docs/architecture.md must hold a row that starts with \"| `{name}` |\" and ends with \"| {below} |\"; it holds {row:?}"
        );
    }
}

#[cfg(test)]
mod planted {
    use super::*;

    #[test]
    fn an_upward_edge_is_found() {
        let found = breaches(&[Crate::planted(
            "base",
            "[package]\nname = \"vigo-base\"\n[dependencies]\nvigo-crdt.workspace = true\n",
        )]);
        assert_eq!(found.len(), 1);
        assert!(found[0].instead.contains("crdt stands above base"), "{found:?}");
    }

    #[test]
    fn a_sideways_edge_for_tests_only_is_found() {
        let found = breaches(&[Crate::planted(
            "swarm",
            "[package]\nname = \"vigo-swarm\"\n[dev-dependencies]\nvigo-spanner.workspace = true\n",
        )]);
        assert_eq!(found.len(), 1);
        assert!(found[0].found.contains("dev-dependencies"), "{found:?}");
    }

    #[test]
    fn an_edge_under_a_target_is_found() {
        let found = breaches(&[Crate::planted(
            "node",
            "[package]\nname = \"vigo-node\"\n[target.'cfg(unix)'.dependencies]\nvigo-daemon = { path = \"../daemon\" }\n",
        )]);
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn an_unknown_crate_and_a_wrong_name_are_found() {
        let found = breaches(&[
            Crate::planted("extras", "[package]\nname = \"vigo-extras\"\n"),
            Crate::planted("crdt", "[package]\nname = \"records\"\n"),
        ]);
        assert_eq!(found.len(), 2);
        assert!(found[1].instead.contains("vigo-crdt"));
    }
}
