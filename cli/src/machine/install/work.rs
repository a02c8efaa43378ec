//! Steps: what each came to, printed as it is done, and files put in their places in one rename.
//!
//! A step that changes nothing is counted and not printed. A dry run performs nothing. A failed step ends the command
//! with its name; what was done before it stays.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::Everywhere;
use crate::exit::Failure;
use crate::show::Show;

/// Where the kernel shows this program, also after its file was replaced.
const THIS: &str = "/proc/self/exe";
/// Bytes compared at once.
const PIECE: usize = 64 * 1024;

/// What a step came to, or would come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was as it should be.
    None,
    /// It was not there.
    Created,
    /// It was another.
    Updated,
    /// It is gone.
    Deleted,
    /// Units were stopped and started.
    Restarted,
    /// Units were started.
    Started,
    /// Units were stopped.
    Stopped,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Outcome::None => "none",
            Outcome::Created => "created",
            Outcome::Updated => "updated",
            Outcome::Deleted => "deleted",
            Outcome::Restarted => "restarted",
            Outcome::Started => "started",
            Outcome::Stopped => "stopped",
        }
    }
}

#[derive(Debug, Serialize)]
struct Row {
    what: String,
    outcome: Outcome,
}

/// The steps of one command.
#[derive(Debug)]
pub struct Work {
    show: Show,
    dry: bool,
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Work {
    /// None yet.
    pub fn new(everywhere: &Everywhere, dry: bool) -> Work {
        Work { show: Show::new(everywhere), dry, rows: Vec::new(), notes: Vec::new() }
    }

    /// Whether nothing is performed.
    pub fn is_dry(&self) -> bool {
        self.dry
    }

    /// A step: performed if it is needed and this is no dry run, and told.
    ///
    /// # Errors
    /// [`Failure`] of `act`, with the step's name.
    pub fn step(
        &mut self,
        outcome: Outcome,
        what: impl Into<String>,
        act: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let what = what.into();
        if outcome != Outcome::None {
            if !self.dry {
                act().map_err(|failure| self.stopped(&what, failure))?;
            }
            if !self.show.json {
                let would = if self.dry { "would be " } else { "" };
                let word = self.show.tint(outcome.word());
                let gap = " ".repeat(9_usize.saturating_sub(outcome.word().len()));
                self.show.text(&format!("{would}{word}{gap} {what}"))?;
            }
        }
        self.rows.push(Row { what, outcome });
        Ok(())
    }

    fn stopped(&self, what: &str, failure: Failure) -> Failure {
        let done = self.changed();
        let before = if done == 0 { "nothing was done before it" } else { "what was done before it stays" };
        let hint = failure.hint.map(|hint| format!("{hint}\n")).unwrap_or_default();
        let text = format!("it stopped at {what}: {}", failure.what);
        Failure::new(failure.exit, text).hint(format!("{hint}{before}; the command can be repeated"))
    }

    /// Something to know, told at the end.
    pub fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// How many steps changed something, or would.
    pub fn changed(&self) -> usize {
        self.rows.iter().filter(|row| row.outcome != Outcome::None).count()
    }

    /// How many steps there were.
    pub fn checked(&self) -> usize {
        self.rows.len()
    }

    /// Ends it: with JSON, all steps and `extra`; else the notes and `text`.
    ///
    /// # Errors
    /// [`Failure`] if it cannot be printed.
    pub fn finish(self, extra: Value, text: impl FnOnce() -> String) -> Result<(), Failure> {
        let mut body = json!({"steps": self.rows, "notes": self.notes, "dry_run": self.dry});
        if let (Some(body), Value::Object(extra)) = (body.as_object_mut(), extra) {
            body.extend(extra);
        }
        self.show.result(&body, || {
            let notes: String = self.notes.iter().map(|note| format!("note: {note}\n")).collect();
            notes + &text()
        })
    }
}

/// Whether this process may only look: then it does not mind whose files are.
pub fn looks_only() -> bool {
    !rustix::process::geteuid().is_root()
}

/// This program's file.
///
/// # Errors
/// [`Failure`] without /proc.
pub fn this_program() -> Result<File, Failure> {
    File::open(THIS).map_err(|e| Failure::io("read this program,", Path::new(THIS), &e))
}

/// Whether a file holds this program.
///
/// # Errors
/// [`Failure`] if either cannot be read.
pub fn same_as_this_program(path: &Path) -> Result<bool, Failure> {
    let mut ours = this_program()?;
    let failed = |e: io::Error| Failure::io("read", path, &e);
    let mut theirs = File::open(path).map_err(failed)?;
    let (a, b) = (ours.metadata().map_err(failed)?, theirs.metadata().map_err(failed)?);
    if (a.dev(), a.ino()) == (b.dev(), b.ino()) {
        return Ok(true);
    }
    if a.len() != b.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; PIECE], vec![0; PIECE]);
    loop {
        let n = ours.read(&mut left).map_err(failed)?;
        if n == 0 {
            return Ok(true);
        }
        match theirs.read_exact(&mut right[..n]) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            other => other.map_err(failed)?,
        }
        if left[..n] != right[..n] {
            return Ok(false);
        }
    }
}

/// Makes a directory and those above it, with mode 0755, if they are not there.
///
/// # Errors
/// [`Failure`] if the system refuses.
pub fn make_above(dir: &Path) -> Result<(), Failure> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(above) = dir.parent() {
        make_above(above)?;
    }
    let made = DirBuilder::new().mode(0o755).create(dir);
    // Whatever the umask is.
    let made = made.and_then(|()| fs::set_permissions(dir, Permissions::from_mode(0o755)));
    made.map_err(|e| Failure::io("make", dir, &e))
}

/// The name under which a file is written before it takes its place.
fn draft(path: &Path) -> PathBuf {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.new-{}", std::process::id()))
}

/// Writes a file beside its place, then puts it there: a program that runs from it is not disturbed.
///
/// # Errors
/// [`Failure`]; then what was there is there still.
pub fn replace(path: &Path, mode: u32, from: &mut dyn Read) -> Result<(), Failure> {
    let draft = draft(path);
    let mut write = || {
        let _ = fs::remove_file(&draft);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        io::copy(from, &mut file)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().map_err(|e| {
        let _ = fs::remove_file(&draft);
        Failure::io("write", path, &e)
    })
}

/// Makes a link, in the place of whatever file is there.
///
/// # Errors
/// [`Failure`]; then what was there is there still.
pub fn link(path: &Path, to: &str) -> Result<(), Failure> {
    let draft = draft(path);
    let _ = fs::remove_file(&draft);
    let made = symlink(to, &draft).and_then(|()| fs::rename(&draft, path));
    made.map_err(|e| Failure::io("make the link", path, &e))
}

/// Gives a directory its owner and mode; a link is not followed.
///
/// # Errors
/// [`Failure`] if the system refuses.
pub fn own(dir: &Path, uid: u32, gid: u32, mode: u32) -> Result<(), Failure> {
    use rustix::process::{Gid, Uid};
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let done = rustix::fs::openat(CWD, dir, flags, Mode::empty()).and_then(|at| {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        rustix::fs::chownat(&at, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?;
        rustix::fs::fchmod(&at, Mode::from_raw_mode(mode))
    });
    done.map_err(|e| Failure::io("set owner and mode of", dir, &e.into()))
}

/// Removes a file; one that is not there is removed already.
///
/// # Errors
/// [`Failure`] if the system refuses.
pub fn remove_file(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|e| Failure::io("remove", path, &e)),
    }
}
