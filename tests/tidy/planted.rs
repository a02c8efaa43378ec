//! Wrong lines that are planted for `simnet/tests/planted` reach no program, and its lists are whole.
//!
//! No crate enables the feature `planted`, `daemon` (and with it `cli`) does not compile with it, every line
//! `planted!(N)` stands where the table of faults says, and every story of `simnet/tests/it` is tried against them.

use std::collections::{BTreeMap, BTreeSet};

use crate::paths::without_tests;
use crate::scan::{Token, code_only, reads, tokens};
use crate::tree::{Crate, File, crates, rust_files, text_of, workspace_manifest};
use crate::{Breach, expect_none};

/// The crates with lines that can be made wrong, and the one that tests them.
const FORWARD: [&str; 8] = ["base", "crdt", "spanner", "swarm", "content", "stacks", "node", "simnet"];
/// What stands there and is no planted line.
const MECHANISM: [&str; 3] = ["base/src/planted.rs", "base/src/lib.rs", "simnet/tests/planted/main.rs"];
const FAULTS: &str = "simnet/tests/planted/faults.rs";
const SUITE: &str = "simnet/tests/planted/suite.rs";
/// Tests of `simnet/tests/it` that are not tried against faults: the random lives are tried seed by seed.
const LEFT_OUT: [&str; 2] = ["random", "soak"];

fn enables(crates: &[Crate], workspace: &toml::Table) -> Vec<Breach> {
    let instead = "the feature is chosen on the command line of cargo test, never in a manifest";
    let mut found = Vec::new();
    let mut dependencies = |place: &str, table: &toml::Table| {
        for (name, value) in table {
            let features = value.get("features").and_then(toml::Value::as_array);
            if features.is_some_and(|all| all.iter().any(|f| f.as_str() == Some("planted"))) {
                found.push(Breach::new(place, format!("{name} is taken with the feature planted"), instead));
            }
        }
    };
    let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
    let shared =
        workspace.get("workspace").and_then(|w| w.get("dependencies")).and_then(toml::Value::as_table);
    shared.into_iter().for_each(|table| dependencies("Cargo.toml", table));
    for each in crates {
        let place = format!("{}/Cargo.toml", each.folder);
        let own = tables.iter().filter_map(|t| each.manifest.get(*t).and_then(toml::Value::as_table));
        own.for_each(|table| dependencies(&place, table));
    }
    for each in crates {
        let place = format!("{}/Cargo.toml", each.folder);
        let features = each.manifest.get("features").and_then(toml::Value::as_table);
        for (feature, list) in features.into_iter().flatten() {
            let list: Vec<&str> =
                list.as_array().into_iter().flatten().filter_map(toml::Value::as_str).collect();
            let named = |f: &&&str| **f == "planted" || f.ends_with("/planted");
            let forwards = feature == "planted" && FORWARD.contains(&each.folder.as_str());
            if !forwards && (feature == "planted" || list.iter().any(|f| named(&f))) {
                found.push(Breach::new(
                    place.clone(),
                    format!("its feature {feature} brings planted"),
                    instead,
                ));
            }
            if let Some(other) = list.iter().find(|f| forwards && !f.ends_with("/planted")) {
                let what = format!("its feature planted brings {other} too");
                found.push(Breach::new(
                    place.clone(),
                    what,
                    "it forwards to planted of the crates below, alone",
                ));
            }
        }
    }
    found
}

/// Number and file of every row of the table.
fn table(text: &str) -> Vec<(u32, String)> {
    let rows = text.split("fault(").skip(1).filter_map(|row| {
        let number = row.split(',').next()?.trim().parse().ok()?;
        Some((number, row.split('"').nth(3)?.to_string()))
    });
    rows.collect()
}

/// The numbers in `planted!(N)`, with their lines.
fn numbers(code: &[Token]) -> Vec<(u32, usize)> {
    let at = (0..code.len()).filter(|i| reads(code, *i, &["planted", "!", "("]));
    at.filter_map(|i| Some((code.get(i + 3)?.text.parse().ok()?, code[i].line))).collect()
}

fn lines(files: &[File], table: &[(u32, String)]) -> Vec<Breach> {
    let mut found = Vec::new();
    let mut seen: BTreeMap<u32, usize> = BTreeMap::new();
    for file in files.iter().filter(|f| !MECHANISM.contains(&f.path.as_str())) {
        let Some((krate, rest)) = file.path.split_once('/') else { continue };
        let (code, _) = without_tests(&tokens(&code_only(&file.text)));
        for (number, line) in numbers(&code) {
            let place = format!("{}:{line}", file.path);
            *seen.entry(number).or_default() += 1;
            let logic = FORWARD.contains(&krate) && krate != "simnet" && rest.starts_with("src/");
            if !logic {
                let what = format!("planted!({number}) outside of the logic");
                found.push(Breach::new(
                    place,
                    what,
                    format!("plant it in src/ of {}", FORWARD[..7].join(", ")),
                ));
            } else if !table.contains(&(number, file.path.clone())) {
                let what = format!("planted!({number}) is not in the table for this file");
                found.push(Breach::new(place, what, format!("add or mend its row in {FAULTS}")));
            }
        }
    }
    for (number, path) in table {
        let times = seen.get(number).copied().unwrap_or(0);
        if times != 1 {
            let what = format!("fault {number} has {times} lines, its one place is {path}");
            found.push(Breach::new(FAULTS, what, "one row, one line planted!(N)"));
        }
    }
    found
}

/// The stories in the list of the suite, as `module::name`.
fn listed(text: &str) -> BTreeSet<String> {
    let code = tokens(&code_only(text));
    let Some(start) = (0..code.len()).find(|i| reads(&code, *i, &["=", "stories", "!", "{"])) else {
        return BTreeSet::new();
    };
    let (mut all, mut module) = (BTreeSet::new(), "");
    for at in start + 4..code.len() {
        match code[at].text.as_str() {
            "}" => break,
            ":" | ";" => {}
            word if reads(&code, at + 1, &[":"]) => module = word,
            name => drop(all.insert(format!("{module}::{name}"))),
        }
    }
    all
}

/// The stories that `simnet/tests/it` tells, those of the long run left out.
fn told(files: &[File]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for file in files.iter().filter(|f| f.path.starts_with("simnet/tests/it/")) {
        let module = file.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        let code = tokens(&code_only(&file.text));
        for at in (0..code.len()).filter(|at| reads(&code, *at, &["#", "[", "test", "]"])) {
            let name = (at..code.len()).find(|i| code[*i].text == "fn").and_then(|i| code.get(i + 1));
            let ignored = reads(&code, at + 4, &["#", "[", "ignore"]);
            if let Some(name) = name.filter(|_| !ignored && !LEFT_OUT.contains(&module)) {
                all.insert(format!("{module}::{}", name.text));
            }
        }
    }
    all
}

fn stories(told: &BTreeSet<String>, listed: &BTreeSet<String>) -> Vec<Breach> {
    let instead = "make it pub(crate), add it to STORIES (and a new file to simnet/tests/planted/main.rs)";
    let missing =
        told.difference(listed).map(|s| Breach::new(SUITE, format!("the story {s} is not listed"), instead));
    let gone = listed.difference(told);
    let gone = gone.map(|s| Breach::new(SUITE, format!("no test is called {s}"), "take it out of STORIES"));
    missing.chain(gone).collect()
}

#[test]
fn the_tree_enables_no_planted_fault() {
    expect_none("the feature planted", enables(&crates(), &workspace_manifest()));
    let base = text_of("base/src/lib.rs");
    assert!(
        base.contains("#[cfg(feature = \"planted\")]\npub mod planted;"),
        "base/src/lib.rs compiles it always"
    );
    let daemon = text_of("daemon/src/lib.rs");
    let guard = "const _: () = assert!(\n    !vigo_base::PLANTED,";
    assert!(daemon.contains(guard), "daemon/src/lib.rs must refuse to be built with planted faults");
}

#[test]
fn the_tree_plants_what_its_table_says() {
    let table = table(&text_of(FAULTS));
    assert!(table.len() >= 10, "{} rows read from {FAULTS}", table.len());
    expect_none("planted faults", lines(&rust_files(), &table));
}

#[test]
fn the_tree_tries_every_story_against_planted_faults() {
    let told = told(&rust_files());
    assert!(told.len() > 50, "only {} stories found: the walk is broken", told.len());
    expect_none("stories", stories(&told, &listed(&text_of(SUITE))));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), mode: 0o644, text: text.to_owned() }
    }

    #[test]
    fn every_way_to_enable_it_is_found() {
        let count = |folder: &str, manifest: &str| {
            enables(&[Crate::planted(folder, manifest)], &toml::Table::new()).len()
        };
        assert_eq!(count("crdt", "[features]\nplanted = [\"vigo-base/planted\"]\n"), 0);
        assert_eq!(count("crdt", "[features]\ndefault = [\"planted\"]\n"), 1);
        assert_eq!(count("crdt", "[features]\nplanted = [\"hex/std\"]\n"), 1);
        assert_eq!(count("daemon", "[features]\nplanted = [\"vigo-base/planted\"]\n"), 1);
        assert_eq!(count("daemon", "[features]\nlab = [\"vigo-base/planted\"]\n"), 1);
        assert_eq!(
            count("cli", "[dependencies]\nvigo-simnet = { path = \"x\", features = [\"planted\"] }\n"),
            1
        );
        let shared = "[workspace.dependencies]\nvigo-base = { path = \"base\", features = [\"planted\"] }\n";
        assert_eq!(enables(&[], &shared.parse().unwrap()).len(), 1);
    }

    #[test]
    fn lines_and_rows_that_do_not_agree_are_found() {
        let rows = table("const FAULTS: x = &[fault(\n 1,\n \"a\",\n \"crdt/src/a.rs\", \"w\", H),];");
        assert_eq!(rows, [(1, "crdt/src/a.rs".to_string())]);
        let count = |path: &str, text: &str| lines(&[file(path, text)], &rows).len();
        assert_eq!(count("crdt/src/a.rs", "if planted!(1) {}"), 0);
        assert_eq!(count("crdt/src/a.rs", "if planted!(1) {}\nif planted!(1) {}"), 1);
        assert_eq!(count("crdt/src/a.rs", ""), 1);
        assert_eq!(count("crdt/src/a.rs", "planted!(1); planted!(2);"), 1);
        assert_eq!(count("crdt/src/b.rs", "planted!(1)"), 1);
        assert_eq!(count("daemon/src/a.rs", "planted!(1)"), 1);
    }

    #[test]
    fn a_story_that_nobody_listed_is_found() {
        let told = told(&[
            file("simnet/tests/it/x.rs", "#[test]\npub fn a() {}\n#[test]\n#[ignore = \"long\"]\nfn b() {}"),
            file("simnet/tests/it/random.rs", "#[test]\nfn c() {}"),
        ]);
        assert_eq!(told.iter().collect::<Vec<_>>(), ["x::a"]);
        let list = listed("const S: &[X] = stories! { x: a b; y: c; };");
        assert_eq!(list.iter().collect::<Vec<_>>(), ["x::a", "x::b", "y::c"]);
        assert_eq!(stories(&told, &list).len(), 2);
        assert_eq!(stories(&told, &BTreeSet::new()).len(), 1);
    }
}
