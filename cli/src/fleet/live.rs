//! `.live`: what was published last from this machine, beside the tree, read-only.
//!
//! It is written whole beside the old one and takes its place in one rename, after the publish was taken. Only a
//! directory that this program made is ever replaced. Its note says which publish it is, which also tells whether
//! somebody else published since, and what is in each file: one that was put, changed or taken away by hand is named,
//! and nothing goes on from there.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};
use vigo_base::text::escaped;
use vigo_base::{Hash, SpannerId};
use vigo_daemon::node::content_types::config::Epoch;

use crate::exit::{Exit, Failure};

/// The note's name.
const NOTE: &str = ".published.json";

/// Which publish a `.live` is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The fleet.
    pub spanner: SpannerId,
    /// The epoch.
    pub epoch: u64,
    /// The publish.
    pub id: Hash,
    /// The hash of each file; of a `.live` that an older version wrote there are none.
    #[serde(default)]
    pub files: BTreeMap<String, Hash>,
}

impl Note {
    /// The note of a publish, with its files.
    pub fn of(spanner: SpannerId, at: Epoch, files: &BTreeMap<String, Vec<u8>>) -> Note {
        let files = files.iter().map(|(path, bytes)| (path.clone(), Hash::of(bytes))).collect();
        Note { spanner, epoch: at.epoch, id: at.id, files }
    }
}

/// Checks that the `.live` at `place` is what its note says.
///
/// # Errors
/// [`Failure`] that names every file that is not as it was published.
pub fn check(place: &Path, note: &Note) -> Result<(), Failure> {
    if note.files.is_empty() {
        return Ok(());
    }
    let mut wrong = Vec::new();
    let mut found = BTreeMap::new();
    list(place, "", &mut found, 0)?;
    for (path, real) in &found {
        match (note.files.get(path), fs::read(real)) {
            (None, _) => wrong.push(format!("{path}: it was not published and does not belong here")),
            (Some(hash), Ok(bytes)) if *hash == Hash::of(&bytes) => {}
            (Some(_), Ok(_)) => wrong.push(format!("{path}: it was edited by hand")),
            (Some(_), Err(error)) => wrong.push(format!("{path}: it cannot be read ({error})")),
        }
    }
    let gone = note.files.keys().filter(|path| !found.contains_key(*path));
    wrong.extend(gone.map(|path| format!("{path}: it is gone")));
    if wrong.is_empty() {
        return Ok(());
    }
    let more = wrong.len().saturating_sub(20);
    wrong.truncate(20);
    let mut lines: Vec<String> = wrong.iter().map(|line| escaped(line)).collect();
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    let what = format!(
        "{} is not what epoch {} published:\n{}",
        escaped(&place.display().to_string()),
        note.epoch,
        lines.join("\n")
    );
    Err(Failure::new(Exit::Damaged, what).hint(
        "edit the files of stacks/, never those of .live; take over there what you want to keep, then publish with --force, which writes .live anew",
    ))
}

fn list(dir: &Path, below: &str, found: &mut BTreeMap<String, PathBuf>, depth: usize) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::io("read", dir, &e);
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if below.is_empty() && name == NOTE {
            continue;
        }
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        // A link is not followed: publishing makes none.
        if entry.file_type().map_err(failed)?.is_dir() && depth < 64 {
            list(&entry.path(), &path, found, depth + 1)?;
        } else {
            found.insert(path, entry.path());
        }
    }
    Ok(())
}

/// A `.live` that is written and not yet in its place.
#[derive(Debug)]
pub struct Draft {
    place: PathBuf,
    new: PathBuf,
}

/// The note of the `.live` at `place`; none if there is none, or it is of another fleet.
pub fn note(place: &Path, spanner: &SpannerId) -> Option<Note> {
    let text = fs::read(place.join(NOTE)).ok()?;
    serde_json::from_slice::<Note>(&text).ok().filter(|note| note.spanner == *spanner)
}

impl Draft {
    /// Writes the files beside `place`.
    ///
    /// # Errors
    /// [`Failure`] if that cannot be done, or what is at `place` is not ours to replace.
    pub fn write(place: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<Draft, Failure> {
        let ours = fs::symlink_metadata(place).map_or(true, |meta| {
            let empty = fs::read_dir(place).is_ok_and(|mut entries| entries.next().is_none());
            meta.is_dir() && (empty || place.join(NOTE).exists())
        });
        if !ours {
            let what = format!(
                "{} was not written by this program and is not replaced",
                escaped(&place.display().to_string())
            );
            return Err(
                Failure::new(Exit::Failed, what).hint("move it away, or name another place with --live DIR")
            );
        }
        let name = place.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let new = place.with_file_name(format!("{name}.new-{}", std::process::id()));
        let draft = Draft { place: place.to_path_buf(), new };
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |e: std::io::Error| Failure::io("write", &path, &e)
        };
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(failed(parent))?;
        }
        discard(&draft.new);
        fs::create_dir(&draft.new).map_err(failed(&draft.new))?;
        for (path, bytes) in files {
            let path = draft.new.join(path);
            if let Some(dir) = path.parent() {
                fs::create_dir_all(dir).map_err(failed(dir))?;
            }
            read_only(&path, bytes).map_err(failed(&path))?;
        }
        Ok(draft)
    }

    /// Puts it in its place, noting which publish it is.
    ///
    /// # Errors
    /// [`Failure`]; then the old one is still there.
    pub fn place(self, note: &Note) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(note).unwrap_or_default();
        let path = self.new.join(NOTE);
        read_only(&path, &text).map_err(|e| Failure::io("write", &path, &e))?;
        let moved = if fs::symlink_metadata(&self.place).is_ok() {
            renameat_with(CWD, &self.new, CWD, &self.place, RenameFlags::EXCHANGE)
        } else {
            renameat_with(CWD, &self.new, CWD, &self.place, RenameFlags::NOREPLACE)
        };
        moved.map_err(|e| Failure::io("put in its place", &self.place, &e.into()))?;
        // Between publishes nothing is to be put there by accident; root can, and the note tells.
        set_directories(&self.place, 0o555);
        if let Some(parent) = self.place.parent() {
            // A power cut may lose it: the publish itself is safe, and the next one writes it again.
            let _ = File::open(parent).and_then(|dir| dir.sync_all());
        }
        Ok(())
    }
}

impl Drop for Draft {
    /// What is left beside the place: the draft, or the former one after an exchange.
    fn drop(&mut self) {
        discard(&self.new);
    }
}

/// Sets the mode of a directory and of all below it.
fn set_directories(dir: &Path, mode: u32) {
    let open = mode & 0o200 != 0;
    if open {
        let _ = fs::set_permissions(dir, Permissions::from_mode(mode));
    }
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            set_directories(&entry.path(), mode);
        }
    }
    if !open {
        let _ = fs::set_permissions(dir, Permissions::from_mode(mode));
    }
}

fn discard(path: &Path) {
    set_directories(path, 0o755);
    // What cannot be removed is removed by a later publish of this process id, or by hand.
    let _ = fs::remove_dir_all(path);
}

fn read_only(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.set_permissions(Permissions::from_mode(0o444))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_is_replaced_whole_and_only_if_it_is_ours() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join(".live");
        let files = |text: &str| {
            BTreeMap::from([(text.to_owned(), b"x".to_vec()), ("d/e.vgo".to_owned(), b"y".to_vec())])
        };
        let note_of = |epoch| {
            Note::of(SpannerId::default(), Epoch { epoch, id: Hash::of(b"x") }, &files(&format!("f{epoch}")))
        };
        for epoch in [1, 2] {
            let draft = Draft::write(&place, &files(&format!("f{epoch}"))).unwrap();
            draft.place(&note_of(epoch)).unwrap();
            assert!(place.join(format!("f{epoch}")).exists());
            assert_eq!(note(&place, &SpannerId::default()), Some(note_of(epoch)));
        }
        assert!(!place.join("f1").exists());
        assert_eq!(fs::metadata(place.join("d/e.vgo")).unwrap().permissions().mode() & 0o777, 0o444);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
        assert_eq!(note(&place, &SpannerId(Hash::of(b"other"))), None);
        assert_eq!(fs::metadata(place.join("d")).unwrap().permissions().mode() & 0o777, 0o555);
        let foreign = dir.path().join("mine");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("precious"), "x").unwrap();
        let refused = Draft::write(&foreign, &files("f")).unwrap_err();
        assert!(refused.what.contains("is not replaced"), "{}", refused.what);
        assert!(foreign.join("precious").exists());
    }

    // E3, K4
    #[test]
    fn what_was_put_edited_or_taken_by_hand_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join(".live");
        let files: BTreeMap<String, Vec<u8>> =
            ["a.vgo", "d/b.vgo", "d/c.vgo"].map(|p| (p.to_owned(), p.as_bytes().to_vec())).into();
        let at = Epoch { epoch: 7, id: Hash::of(b"x") };
        let note = Note::of(SpannerId::default(), at, &files);
        Draft::write(&place, &files).unwrap().place(&note).unwrap();
        check(&place, &note).unwrap();
        set_directories(&place, 0o755);
        fs::remove_file(place.join("a.vgo")).unwrap();
        fs::remove_file(place.join("d/b.vgo")).unwrap();
        fs::write(place.join("d/b.vgo"), "other").unwrap();
        fs::write(place.join("d/stray.vgo"), "").unwrap();
        let failure = check(&place, &note).unwrap_err();
        assert_eq!(failure.exit, Exit::Damaged);
        for line in
            ["a.vgo: it is gone", "d/b.vgo: it was edited by hand", "d/stray.vgo: it was not published"]
        {
            assert!(failure.what.contains(line), "{line}: {}", failure.what);
        }
        assert!(!failure.what.contains("c.vgo"));
        // The next publish writes it anew.
        Draft::write(&place, &files).unwrap().place(&note).unwrap();
        check(&place, &note).unwrap();
    }

    #[test]
    fn a_draft_that_is_not_placed_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        drop(Draft::write(&dir.path().join(".live"), &BTreeMap::from([("a".into(), vec![])])).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
