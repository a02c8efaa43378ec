//! The starter tree: a small `stacks/` that publishes as it stands and manages the first bolt, to be edited.
//!
//! It is written only where nothing is, whole or not at all as far as the disk allows, and never over anything. What is
//! in it lies in `cli/starter/stacks/`; a test compiles and publishes it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use vigo_base::Hostname;

use super::install::work;
use super::service::is_empty;
use crate::exit::Failure;

/// The tree: paths and texts.
const TREE: [(&str, &str); 3] = [
    ("configcrates/greeting.vgo", include_str!("../../starter/stacks/configcrates/greeting.vgo")),
    ("roles.vgo", include_str!("../../starter/stacks/roles.vgo")),
    // Last: with it the tree is whole.
    ("envoys.vgo", include_str!("../../starter/stacks/envoys.vgo")),
];
/// The name of the first bolt in it.
const BOLT: &str = "\"bolt1\"";

/// Writes the tree for a fleet whose first bolt has this name. Says whether it did: not where something is already.
///
/// # Errors
/// [`Failure`] if the system refuses.
pub fn write(dir: &Path, bolt: &Hostname) -> Result<bool, Failure> {
    if !is_empty(dir) {
        return Ok(false);
    }
    for (name, text) in TREE {
        let path = dir.join(name);
        if let Some(above) = path.parent() {
            work::make_above(above)?;
        }
        let failed = |e: std::io::Error| Failure::io("write", &path, &e);
        fs::write(&path, text.replace(BOLT, &format!("\"{bolt}\""))).map_err(failed)?;
        fs::set_permissions(&path, Permissions::from_mode(0o644)).map_err(failed)?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_compiles_without_a_word_and_names_the_bolt() {
        let room = tempfile::tempdir().unwrap();
        let stacks = room.path().join("srv/stacks");
        assert!(write(&stacks, &"hub.example.org".parse().unwrap()).unwrap());
        let tree = crate::tree::read(&stacks).unwrap();
        let (compiled, said) = vigo_stacks::compile(&tree);
        assert_eq!(said, []);
        let routes = compiled.unwrap().routes;
        assert_eq!(routes.iter().map(|r| r.pattern.as_str()).collect::<Vec<_>>(), ["hub.example.org"]);

        fs::write(stacks.join("envoys.vgo"), "mine").unwrap();
        assert!(!write(&stacks, &"other".parse().unwrap()).unwrap());
        assert_eq!(fs::read_to_string(stacks.join("envoys.vgo")).unwrap(), "mine");
    }

    #[test]
    fn its_one_obvious_line_works() {
        let room = tempfile::tempdir().unwrap();
        write(room.path(), &"bolt1".parse().unwrap()).unwrap();
        let place = room.path().join("envoys.vgo");
        let text = fs::read_to_string(&place).unwrap();
        fs::write(&place, text.replace("# - {match", "- {match")).unwrap();
        let (compiled, said) = vigo_stacks::compile(&crate::tree::read(room.path()).unwrap());
        assert_eq!(said, []);
        assert_eq!(compiled.unwrap().routes.len(), 2);
    }
}
