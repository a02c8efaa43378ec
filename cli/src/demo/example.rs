//! The example tree of the demo: real files in `cli/demo/stacks`, carried in the program.

use std::fs;
use std::path::Path;

use crate::exit::Failure;

/// Path and text of every file.
pub const FILES: &[(&str, &str)] = &[
    ("configcrates/base.vgo", include_str!("../../demo/stacks/configcrates/base.vgo")),
    ("configcrates/db.vgo", include_str!("../../demo/stacks/configcrates/db.vgo")),
    ("configcrates/web.vgo", include_str!("../../demo/stacks/configcrates/web.vgo")),
    ("office/common.vgo", include_str!("../../demo/stacks/office/common.vgo")),
    ("office/hosts.vgo", include_str!("../../demo/stacks/office/hosts.vgo")),
    ("roles.vgo", include_str!("../../demo/stacks/roles.vgo")),
    ("templates/motd.tmpl", include_str!("../../demo/stacks/templates/motd.tmpl")),
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

    #[test]
    fn the_program_carries_the_whole_tree_and_it_is_right() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/stacks");
        let tree = crate::tree::read(&dir).unwrap();
        let carried: Vec<&str> = FILES.iter().map(|(path, _)| *path).collect();
        assert_eq!(tree.iter().map(|(path, _)| path).collect::<Vec<_>>(), carried);
        let (compiled, diagnostics) = vigo_stacks::compile(&tree);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let compiled = compiled.unwrap();
        for host in ["bolt1", "web1", "web2", "db1", "db2"] {
            assert!(compiled.route(host).is_some(), "{host}");
        }
        assert_eq!(FILES[0].1.matches(CHANGED.1).count(), 1);
    }
}
