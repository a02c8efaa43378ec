//! `vigocli config migrate`: a tree of an old version, brought to this one.
//!
//! The tree is copied beside itself first; then files are written and removed one by one. Names that begin with a dot
//! are neither read nor copied.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use vigo_base::text::escaped;
use vigo_stacks::SourceTree;
use vigo_stacks::migrate::{Migrated, migrate};

use super::format::replace;
use crate::args::Everywhere;
use crate::args::config::Migrate;
use crate::exit::{Exit, Failure};
use crate::show::Show;
use crate::{said, tree, words};

/// Runs the command.
///
/// # Errors
/// [`Failure`] if the tree cannot be read or written, or something is left for a person.
pub fn run(everywhere: &Everywhere, args: &Migrate) -> Result<(), Failure> {
    let stacks = &args.tree.stacks;
    let before = tree::read(stacks)?;
    let done = migrate(&before);
    said::print(everywhere, &done.left, &before);
    let mut copy = None;
    if !done.steps.is_empty() && !args.dry_run {
        copy = Some(kept(stacks, &before)?);
        write(stacks, &before, &done.tree)?;
    }
    let body = json!({"steps": done.steps, "left": done.left, "copy": copy, "dry_run": args.dry_run});
    Show::new(everywhere).result(&body, || text(&done, copy.as_deref(), args.dry_run))?;
    if done.left.is_empty() {
        return Ok(());
    }
    let left = words::count(done.left.len(), "file is", "files are");
    Err(Failure::new(
        Exit::Config,
        format!("{left} left as they were: what they say could not be brought over"),
    )
    .hint("do what is listed above, then run it again"))
}

fn text(done: &Migrated, copy: Option<&Path>, dry_run: bool) -> String {
    if done.steps.is_empty() {
        return "there is nothing to bring over\n".into();
    }
    let line = |step: &vigo_stacks::migrate::Step| {
        let (from, to, what) = (escaped(&step.from), escaped(&step.to), &step.what);
        if from == to { format!("{from}: {what}\n") } else { format!("{from}: {what}, to {to}\n") }
    };
    let mut out: String = done.steps.iter().map(line).collect();
    if dry_run {
        out += "nothing was changed\n";
    }
    if let Some(copy) = copy {
        out += &format!("the tree as it was is in {}\n", escaped(&copy.display().to_string()));
    }
    out
}

/// Writes the tree as it was beside it.
fn kept(stacks: &Path, before: &SourceTree) -> Result<PathBuf, Failure> {
    let real = fs::canonicalize(stacks).map_err(|e| Failure::io("read", stacks, &e))?;
    let name = real.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let free =
        (1..1000).map(|i| real.with_file_name(format!("{name}.old-{i}"))).find(|place| !place.exists());
    let place = free.ok_or_else(|| {
        Failure::new(Exit::Failed, "there are a thousand copies of the tree beside it").hint("remove some")
    })?;
    for (path, bytes) in before.iter() {
        let to = place.join(path);
        let failed = |e: std::io::Error| Failure::io("write", &to, &e);
        fs::create_dir_all(to.parent().unwrap_or(&place)).map_err(failed)?;
        fs::write(&to, bytes).map_err(failed)?;
    }
    Ok(place)
}

fn write(stacks: &Path, before: &SourceTree, after: &SourceTree) -> Result<(), Failure> {
    for (path, bytes) in after.iter().filter(|(path, bytes)| before.get(path) != Some(*bytes)) {
        let to = stacks.join(path);
        if to.exists() {
            replace(&to, bytes)?;
            continue;
        }
        let failed = |e: std::io::Error| Failure::io("write", &to, &e);
        fs::create_dir_all(to.parent().unwrap_or(stacks)).map_err(failed)?;
        fs::write(&to, bytes).map_err(failed)?;
    }
    for (path, _) in before.iter().filter(|(path, _)| after.get(path).is_none()) {
        let gone = stacks.join(path);
        fs::remove_file(&gone).map_err(|e| Failure::io("remove", &gone, &e))?;
        // Directories that are empty now go too; others stay.
        for dir in gone.ancestors().skip(1).take_while(|dir| *dir != stacks) {
            if fs::remove_dir(dir).is_err() {
                break;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::vigocli::StacksDir;

    // E21
    #[test]
    fn a_tree_is_brought_over_once_and_a_copy_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let stacks = dir.path().join("stacks");
        fs::create_dir_all(stacks.join("roles")).unwrap();
        fs::write(stacks.join("roles/a.vgo"), "name: a\nconfigcrates: []\n").unwrap();
        let run = |dry_run| {
            let args = Migrate { tree: StacksDir { stacks: stacks.clone() }, dry_run };
            super::run(&Everywhere::default(), &args).unwrap();
        };
        run(true);
        assert!(stacks.join("roles/a.vgo").exists() && !dir.path().join("stacks.old-1").exists());
        run(false);
        assert_eq!(fs::read_to_string(stacks.join("roles.vgo")).unwrap(), "- name: a\n  configcrates: []\n");
        assert!(!stacks.join("roles").exists());
        assert!(dir.path().join("stacks.old-1/roles/a.vgo").exists());
        run(false);
        assert!(!dir.path().join("stacks.old-2").exists(), "a second run finds nothing to do");
    }
}
