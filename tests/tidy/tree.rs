//! The tree as the checks see it: manifests as tables, source files as text.
//!
//! Read from disk once per test. It looks only below the workspace's folder, never into `target`, `.git` or
//! another hidden folder except `.ci`, and follows no link.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A crate of the workspace: its folder and its parsed manifest.
#[derive(Debug, Clone)]
pub struct Crate {
    /// The folder below the root, which is also the package's name without `vigo-`.
    pub folder: String,
    /// `Cargo.toml`.
    pub manifest: toml::Table,
}

/// A text file of the tree.
#[derive(Debug, Clone)]
pub struct File {
    /// The path below the root, with `/`.
    pub path: String,
    /// The permission bits.
    pub mode: u32,
    /// What is in it.
    pub text: String,
}

/// Which tables of a manifest name dependencies.
pub const DEPENDENCY_TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// The folder that holds the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_owned()
}

/// The text of one file below the root; empty when there is none.
pub fn text_of(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_default()
}

/// The workspace's own manifest.
pub fn workspace_manifest() -> toml::Table {
    text_of("Cargo.toml").parse().expect("the root Cargo.toml parses")
}

/// The members, in the order in which the root manifest names them.
pub fn crates() -> Vec<Crate> {
    let manifest = workspace_manifest();
    let members = manifest["workspace"]["members"].as_array().expect("workspace.members is a list").clone();
    let folder = |m: &toml::Value| m.as_str().expect("a member is a string").to_owned();
    members
        .iter()
        .map(folder)
        .map(|folder| {
            let text = text_of(&format!("{folder}/Cargo.toml"));
            let manifest = text.parse().unwrap_or_else(|e| panic!("{folder}/Cargo.toml: {e}"));
            Crate { folder, manifest }
        })
        .collect()
}

/// Every text file of the tree, sorted by path.
pub fn files() -> Vec<File> {
    let mut found = Vec::new();
    walk(&root(), "", &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.iter().any(|f| f.path == "Cargo.toml"), "the walk found no tree at {}", root().display());
    found
}

/// The Rust sources of the tree.
pub fn rust_files() -> Vec<File> {
    let found: Vec<File> = files().into_iter().filter(|f| f.path.ends_with(".rs")).collect();
    assert!(found.len() > 20, "only {} Rust files found: the walk is broken", found.len());
    found
}

fn walk(folder: &Path, below: &str, found: &mut Vec<File>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        let Ok(meta) = entry.path().symlink_metadata() else { continue };
        let hidden = name.starts_with('.') && name != ".ci";
        if meta.is_dir() && !hidden && name != "target" {
            walk(&entry.path(), &path, found);
        } else if meta.is_file()
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            found.push(File { path, mode: meta.permissions().mode(), text });
        }
    }
}

impl Crate {
    /// Every dependency: its table, its name, and whether its version comes from the workspace.
    pub fn dependencies(&self) -> Vec<(&'static str, String, bool)> {
        let mut all = Vec::new();
        for table in DEPENDENCY_TABLES {
            let Some(entries) = self.manifest.get(table).and_then(toml::Value::as_table) else { continue };
            for (name, value) in entries {
                let shared = value.get("workspace").and_then(toml::Value::as_bool) == Some(true);
                all.push((table, name.clone(), shared));
            }
        }
        let targets = self.manifest.get("target").and_then(toml::Value::as_table);
        for (table, entries) in targets.into_iter().flat_map(toml::Table::values).flat_map(inner_tables) {
            all.extend(entries.keys().map(|name| (table, name.clone(), false)));
        }
        all
    }

    /// A crate from text, for tests of checks.
    #[cfg(test)]
    pub fn planted(folder: &str, manifest: &str) -> Crate {
        Crate { folder: folder.to_owned(), manifest: manifest.parse().expect("planted manifest parses") }
    }
}

fn inner_tables(target: &toml::Value) -> Vec<(&'static str, &toml::Table)> {
    DEPENDENCY_TABLES
        .into_iter()
        .filter_map(|table| target.get(table).and_then(toml::Value::as_table).map(|entries| (table, entries)))
        .collect()
}

/// Package name to locked versions, from a `Cargo.lock`.
pub fn locked(lock: &str) -> BTreeMap<String, Vec<String>> {
    let table: toml::Table = lock.parse().expect("Cargo.lock parses");
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in table.get("package").and_then(toml::Value::as_array).into_iter().flatten() {
        let text = |key: &str| package.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned();
        all.entry(text("name")).or_default().push(text("version"));
    }
    all
}

#[test]
fn dependencies_of_every_table_are_seen() {
    let planted = Crate::planted(
        "x",
        "[dependencies]\na.workspace = true\n[dev-dependencies]\nb = \"1\"\n[target.'cfg(unix)'.dependencies]\nc = \"1\"\n",
    );
    let seen = planted.dependencies();
    assert_eq!(
        seen,
        [
            ("dependencies", "a".to_owned(), true),
            ("dev-dependencies", "b".to_owned(), false),
            ("dependencies", "c".to_owned(), false)
        ]
    );
}
