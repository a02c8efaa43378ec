//! `vigocli config fmt`, and the formatting that a publish does.
//!
//! Files are replaced whole, by renaming, and keep their permissions. Of each file that is changed a copy stays in
//! `.before-format` of the tree, as it was before the last change; `--undo` puts it back. Nothing outside of the tree is
//! ever written.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;
use similar::TextDiff;
use vigo_base::text::escaped;
use vigo_stacks::format::{Change, format, format_tree};
use vigo_stacks::{SourceTree, any_error};

use crate::args::Everywhere;
use crate::args::config::Fmt;
use crate::exit::{Exit, Failure};
use crate::show::Show;
use crate::{said, tree, words};

/// Where the copies are, below a tree.
const COPIES: &str = ".before-format";
/// Bytes of a diff that are shown.
const SHOWN: usize = 1024 * 1024;

#[derive(Debug, Serialize)]
struct Report<'a> {
    changed: bool,
    files: &'a [Change],
}

/// Runs `vigocli config fmt`.
///
/// # Errors
/// [`Failure`] if a file cannot be read, written or formatted, or with `--check` is not formatted.
pub fn run(everywhere: &Everywhere, args: &Fmt) -> Result<(), Failure> {
    if args.undo {
        return undo(everywhere, &args.tree.stacks);
    }
    let mut all = Vec::new();
    let mut wrong = Vec::new();
    let mut shown = String::new();
    for (root, source) in sources(args)? {
        let (changes, diagnostics) = format_tree(&source);
        said::print(everywhere, &diagnostics, &source);
        wrong.extend(diagnostics);
        for change in &changes {
            if args.diff {
                shown +=
                    &diff(&change.path, source.get(&change.path).unwrap_or_default(), change.text.as_bytes());
            }
        }
        if !args.check {
            Copies::write(&root, &source, &changes)?;
        }
        all.extend(changes);
    }
    let show = Show::new(everywhere);
    show.result(&Report { changed: !args.check, files: &all }, || shown + &listed(&all, args.check))?;
    if any_error(&wrong) {
        return said::judge(&wrong, false, "these files were left as they are");
    }
    if args.check && !all.is_empty() {
        let what = format!("{} not formatted", words::count(all.len(), "file is", "files are"));
        return Err(Failure::new(Exit::Failed, what).hint("vigocli config fmt formats them"));
    }
    Ok(())
}

/// What was or would be mended, as text.
pub fn listed(changes: &[Change], only_said: bool) -> String {
    let mut out = String::new();
    for change in changes {
        let verb = if only_said { "would format" } else { "formatted" };
        out += &format!("{verb} {}\n", escaped(&change.path));
        for repair in &change.repairs {
            out += &format!("  line {}: {}\n", repair.line, escaped(&repair.what));
        }
    }
    if changes.is_empty() {
        out += "everything is formatted\n";
    }
    out
}

/// A unified diff of two files, escaped.
pub fn diff(path: &str, before: &[u8], after: &[u8]) -> String {
    let (Ok(before), Ok(after)) = (std::str::from_utf8(before), std::str::from_utf8(after)) else {
        return format!("{}: not text, differs\n", escaped(path));
    };
    if before.len() + after.len() > SHOWN {
        return format!("{}: differs; too large to be shown line by line\n", escaped(path));
    }
    let difference = TextDiff::from_lines(before, after);
    let name = escaped(path);
    let text = difference.unified_diff().context_radius(2).header(&name, &name).to_string();
    text.lines().map(|line| escaped(line) + "\n").collect()
}

/// The trees that are meant, each with its root.
fn sources(args: &Fmt) -> Result<Vec<(PathBuf, SourceTree)>, Failure> {
    if args.paths.is_empty() {
        return Ok(vec![(args.tree.stacks.clone(), tree::read(&args.tree.stacks)?)]);
    }
    let mut found: Vec<(PathBuf, SourceTree)> = Vec::new();
    for path in &args.paths {
        let real = fs::canonicalize(path).map_err(|e| Failure::io("read", path, &e))?;
        let root = root_of(&real, &args.tree.stacks);
        let below = real.strip_prefix(&root).unwrap_or(&real).to_string_lossy().into_owned();
        let mut source = SourceTree::new();
        let mut put = |name: String, bytes: Vec<u8>| {
            source.insert(name, bytes).map_err(|bad| Failure::new(Exit::Config, bad.to_string()))
        };
        if real.is_dir() {
            for (name, bytes) in tree::read(&real)?.iter() {
                let name = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
                put(name, bytes.to_vec())?;
            }
        } else {
            put(below, tree::read_file(&real)?)?;
        }
        found.push((root, source));
    }
    Ok(found)
}

/// The tree that a path belongs to: the one that is named, else the directory above it that looks like one.
fn root_of(real: &Path, stacks: &Path) -> PathBuf {
    if let Ok(stacks) = fs::canonicalize(stacks)
        && real.starts_with(&stacks)
    {
        return stacks;
    }
    let above = real.ancestors().skip(1);
    let tree =
        above.take(32).find(|dir| dir.join("configcrates").is_dir() || dir.join("roles.vgo").is_file());
    let own = if real.is_dir() { Some(real) } else { real.parent() };
    let own_tree = own.filter(|dir| dir.join("configcrates").is_dir() || dir.join("roles.vgo").is_file());
    own_tree.or(tree).or(own).unwrap_or(Path::new("/")).to_path_buf()
}

/// Replaces a file by renaming, with the permissions and the owner it has. A link is followed.
///
/// # Errors
/// [`Failure`]; then the file is as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::io("write", path, &e);
    let real = fs::canonicalize(path).map_err(failed)?;
    let meta = fs::metadata(&real).map_err(failed)?;
    let dir = real.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
    new.write_all(bytes).map_err(failed)?;
    // Root gives it back to whose it was; whoever else may write here owns what it writes.
    let _ = fchown(new.as_file(), Some(meta.uid()), Some(meta.gid()));
    new.as_file().set_permissions(meta.permissions()).map_err(failed)?;
    new.as_file().sync_all().map_err(failed)?;
    new.persist(&real).map_err(|e| failed(e.error))?;
    Ok(())
}

/// Copies of files that were formatted, as they were before.
#[derive(Debug)]
pub struct Copies {
    place: PathBuf,
}

impl Copies {
    /// Writes the changes into the tree, after a copy of each file. A copy of an earlier change of the same file makes
    /// room.
    ///
    /// # Errors
    /// [`Failure`] if that cannot be done, or somebody edited a file since it was read as `before`; what was changed has
    /// its copy.
    pub fn write(stacks: &Path, before: &SourceTree, changes: &[Change]) -> Result<Copies, Failure> {
        let place = stacks.join(COPIES);
        for change in changes {
            let path = stacks.join(&change.path);
            if before.get(&change.path) != Some(tree::read_file(&path)?.as_slice()) {
                let what = format!(
                    "{} was edited while it was being formatted",
                    escaped(&path.display().to_string())
                );
                return Err(Failure::new(Exit::Stale, what).hint("nothing was changed: try again"));
            }
        }
        for change in changes {
            let (from, to) = (stacks.join(&change.path), place.join(&change.path));
            if let Some(dir) = to.parent() {
                fs::create_dir_all(dir).map_err(|e| Failure::io("write", dir, &e))?;
            }
            fs::copy(&from, &to).map_err(|e| Failure::io("copy", &from, &e))?;
            replace(&from, change.text.as_bytes())?;
        }
        Ok(Copies { place })
    }

    /// Says with a failure where the copies are.
    pub fn mention(&self, failure: Failure) -> Failure {
        if !self.place.exists() {
            return failure;
        }
        let kept =
            "the tree was formatted; vigocli config fmt --undo gives the files back as they were".to_owned();
        let hint = failure.hint.as_ref().map_or(kept.clone(), |hint| format!("{hint}\n{kept}"));
        failure.hint(hint)
    }
}

/// What became of a copy.
#[derive(Debug, Serialize)]
struct Undone {
    path: String,
    restored: bool,
}

/// Puts every file back as it was before it was last formatted, unless somebody edited it since: then it stays, and so
/// does its copy.
fn undo(everywhere: &Everywhere, stacks: &Path) -> Result<(), Failure> {
    let place = stacks.join(COPIES);
    let kept = match tree::read(&place) {
        Ok(kept) => kept,
        Err(failure) if !place.is_dir() || failure.what.ends_with("is empty") => SourceTree::new(),
        Err(failure) => return Err(failure),
    };
    let mut all = Vec::new();
    for (path, bytes) in kept.iter() {
        let (file, copy) = (stacks.join(path), place.join(path));
        let now = if file.exists() { tree::read_file(&file)? } else { Vec::new() };
        let untouched = format(path, bytes).is_ok_and(|done| done.text.as_bytes() == now);
        if untouched {
            replace(&file, bytes)?;
            fs::remove_file(&copy).map_err(|e| Failure::io("remove", &copy, &e))?;
        }
        all.push(Undone { path: path.to_owned(), restored: untouched });
    }
    if all.iter().all(|undone| undone.restored) {
        // Only empty directories are left; it does not matter if they stay.
        let _ = fs::remove_dir_all(&place);
    }
    let shown = escaped(&place.display().to_string());
    Show::new(everywhere).result(&json!({"files": &all}), || {
        let line = |undone: &Undone| match undone.restored {
            true => format!("{} is as it was\n", escaped(&undone.path)),
            false => format!(
                "{} was edited since and stays; as it was, it lies in {shown}\n",
                escaped(&undone.path)
            ),
        };
        let lines: String = all.iter().map(line).collect();
        if lines.is_empty() { "nothing was formatted that could be put back\n".to_owned() } else { lines }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_that_was_formatted_can_be_had_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("configcrates/a.vgo");
        fs::create_dir(dir.path().join("configcrates")).unwrap();
        fs::write(&file, "resources: []\nname: a\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let mine = fs::metadata(&file).unwrap().uid();
        // Only root can give a file away.
        let owner = std::os::unix::fs::chown(&file, Some(1_234), None).map_or(mine, |()| 1_234);
        let write = || {
            let source = tree::read(dir.path()).unwrap();
            Copies::write(dir.path(), &source, &format_tree(&source).0).unwrap()
        };
        let copies = write();
        let copy = dir.path().join(".before-format/configcrates/a.vgo");
        assert_eq!(fs::read_to_string(&copy).unwrap(), "resources: []\nname: a\n");
        assert_eq!(fs::read_to_string(&file).unwrap(), "name: a\nresources: []\n");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::metadata(&file).unwrap().uid(), owner, "an operator's file stays the operator's");
        assert!(copies.mention(Failure::new(Exit::Failed, "x")).hint.unwrap().contains("fmt --undo"));
        // It is edited and formatted again: the copy is of that.
        fs::write(&file, "resources: [] # more\nname: a\n").unwrap();
        write();
        assert_eq!(fs::read_to_string(&copy).unwrap(), "resources: [] # more\nname: a\n");
        let everywhere = Everywhere::default();
        let formatted = fs::read_to_string(&file).unwrap();
        fs::write(&file, "name: b\n").unwrap();
        undo(&everywhere, dir.path()).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "name: b\n", "what was edited since stays");
        fs::write(&file, formatted).unwrap();
        undo(&everywhere, dir.path()).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "resources: [] # more\nname: a\n");
        assert!(!copy.exists());
        undo(&everywhere, dir.path()).unwrap();
        let source = tree::read(dir.path()).unwrap();
        fs::write(&file, "resources: [] # now\nname: a\n").unwrap();
        let changes = [Change { path: "configcrates/a.vgo".into(), repairs: vec![], text: "x".into() }];
        assert_eq!(Copies::write(dir.path(), &source, &changes).unwrap_err().exit, Exit::Stale);
    }

    #[test]
    fn a_path_finds_its_tree() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(root.join("t/configcrates/x")).unwrap();
        fs::write(root.join("t/configcrates/x/a.vgo"), "").unwrap();
        let nowhere = Path::new("/nonexistent");
        assert_eq!(root_of(&root.join("t/configcrates/x/a.vgo"), nowhere), root.join("t"));
        assert_eq!(root_of(&root.join("t"), nowhere), root.join("t"));
    }
}
