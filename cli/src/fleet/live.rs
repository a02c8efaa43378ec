//! `.live`: what was published last from this machine, beside the tree, read-only.
//!
//! It is written whole beside the old one and takes its place in one rename, after the publish was taken. Only a
//! directory that this program made is ever replaced. Its note says which publish it is, which also tells whether
//! somebody else published since.

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
}

impl Note {
    /// The note of a publish.
    pub fn of(spanner: SpannerId, at: Epoch) -> Note {
        Note { spanner, epoch: at.epoch, id: at.id }
    }
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

fn discard(path: &Path) {
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
        let note_of = |epoch| Note { spanner: SpannerId::default(), epoch, id: Hash::of(b"x") };
        let files = |text: &str| {
            BTreeMap::from([(text.to_owned(), b"x".to_vec()), ("d/e.vgo".to_owned(), b"y".to_vec())])
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
        let foreign = dir.path().join("mine");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("precious"), "x").unwrap();
        let refused = Draft::write(&foreign, &files("f")).unwrap_err();
        assert!(refused.what.contains("is not replaced"), "{}", refused.what);
        assert!(foreign.join("precious").exists());
    }

    #[test]
    fn a_draft_that_is_not_placed_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        drop(Draft::write(&dir.path().join(".live"), &BTreeMap::from([("a".into(), vec![])])).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
