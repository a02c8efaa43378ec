//! What an applier keeps: its anchor, the statements it heard, its floor, and backups.
//!
//! | file | what | written |
//! |---|---|---|
//! | `anchor` | [`Anchor`], canonical bytes | by `init` and `join`, as root, and never by the applier |
//! | `statements` | length, space and bytes of each, one after the other | appended to and flushed as they are heard |
//! | `floor` | the fleet, and the publish that was run last | whole, before the run that raises it |
//!
//! The directory is root's (0700) and locked. Statements prove themselves: they are checked again when they are read,
//! so whatever a damaged file gives is never more than what was signed; a cut end is dropped. The file is rewritten at
//! the start when it holds more than what counts.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use vigo_base::{Hash, SpannerId};
use vigo_node::content_types::config::Epoch;
use vigo_node::crdt::Space;
use vigo_node::warrant::{Anchor, BYTES, BadAnchor, STATEMENTS, Told, Warrants};

use crate::state::{StateDir, StateError};

/// Where an applier keeps its state if nothing else is said.
pub const STATE: &str = "/var/lib/vigo-applier";
const ANCHOR: &str = "anchor";
const FLOOR: &str = "floor";
const HEARD: &str = "statements";
/// Bytes of the file of statements: what is over the limit is not read.
const HEARD_BYTES: u64 = (BYTES + STATEMENTS * HEAD) as u64;
/// Bytes before each statement: its length and its space.
const HEAD: usize = 5;

/// Why an applier's state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// The directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// No anchor.
    #[error(
        "{} holds no anchor: it says which fleet and which name this machine has, and is written by `vigo init` or `vigo join` as root (with --applier-state)",
        dir.display()
    )]
    None {
        /// The directory.
        dir: PathBuf,
    },
    /// A bad anchor.
    #[error("{}: {why}; restore it from a backup, or join again as root", dir.join(ANCHOR).display())]
    Bad {
        /// The directory.
        dir: PathBuf,
        /// Why.
        why: Box<BadAnchor>,
    },
    /// The system refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Writes the anchor of this machine's applier into `dir`, which is made (0700) if it is not there. What another
/// fleet's statements and floor left there means nothing any more; those of the same fleet stay.
///
/// # Errors
/// [`AnchorError`]; the anchor before is then still there.
pub fn write(dir: &Path, anchor: &Anchor) -> Result<(), AnchorError> {
    Ok(StateDir::open(dir)?.write_small(ANCHOR, &anchor.encode())?)
}

/// The open memory of an applier.
#[derive(Debug)]
pub struct Kept {
    state: StateDir,
    spanner: SpannerId,
    file: File,
    /// Encoded statements that are not in the file yet.
    waiting: Vec<u8>,
    /// Bytes of the file that are whole.
    length: u64,
    floor: Option<Epoch>,
}

/// Opens what an applier keeps in `dir`, and gives what it holds.
///
/// # Errors
/// [`AnchorError`]; damaged statements or a damaged floor are no error, only a line in the log.
pub fn open(dir: &Path) -> Result<(Warrants, Kept), AnchorError> {
    if !dir.is_dir() {
        return Err(AnchorError::None { dir: dir.into() });
    }
    let state = StateDir::open(dir)?;
    let bytes = state.read_small(ANCHOR)?.ok_or_else(|| AnchorError::None { dir: dir.into() })?;
    let anchor =
        Anchor::decode(&bytes).map_err(|why| AnchorError::Bad { dir: dir.into(), why: Box::new(why) })?;
    let spanner = anchor.spanner;
    let floor = state.read_small(FLOOR)?.and_then(|bytes| read_floor(&bytes, spanner));
    let mut warrants = Warrants::new(anchor, floor);
    let path = dir.join(HEARD);
    let io = |doing| {
        let path = path.clone();
        move |source| AnchorError::Io { doing, path, source }
    };
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits() as i32);
    let file = options.open(&path).map_err(io("open"))?;
    let mut held = Vec::new();
    (&file).take(HEARD_BYTES).read_to_end(&mut held).map_err(io("read"))?;
    let whole = recall(&mut warrants, &held);
    let mut kept = Kept { state, spanner, file, waiting: Vec::new(), length: whole, floor };
    let size = file_size(&kept.file).map_err(io("look at"))?;
    if size != whole || encoded(&warrants).len() as u64 != whole {
        tracing::info!(from = size, "the applier's statements are written anew");
        kept.rewrite(&warrants).map_err(io("rewrite"))?;
    }
    Ok((warrants, kept))
}

/// Tells `warrants` what a file held; gives how many of its bytes are whole statements.
fn recall(warrants: &mut Warrants, held: &[u8]) -> u64 {
    let (mut rest, mut dropped) = (held, 0usize);
    while let Some((space, bytes, behind)) = next(rest) {
        if !matches!(warrants.tell(&space, bytes), Ok(Told::New | Told::Known)) {
            dropped += 1;
        }
        rest = behind;
    }
    if dropped > 0 || !rest.is_empty() {
        let cut = rest.len();
        tracing::warn!(
            dropped,
            cut,
            "statements of the applier were damaged or of another fleet; the peer tells them again"
        );
    }
    (held.len() - rest.len()) as u64
}

fn next(rest: &[u8]) -> Option<(Space, &[u8], &[u8])> {
    let (head, behind) = rest.split_at_checked(HEAD)?;
    let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let (bytes, behind) = behind.split_at_checked(length)?;
    let space = if head[4] == 0 { Space::admissions() } else { Space::config() };
    Some((space, bytes, behind))
}

fn encode_into(out: &mut Vec<u8>, space: &Space, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.push(u8::from(*space != Space::admissions()));
    out.extend_from_slice(bytes);
}

fn encoded(warrants: &Warrants) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in warrants.evidence().pieces() {
        encode_into(&mut out, piece.statement().space(), piece.statement().bytes());
    }
    out
}

fn file_size(file: &File) -> io::Result<u64> {
    file.metadata().map(|about| about.len())
}

fn read_floor(bytes: &[u8], spanner: SpannerId) -> Option<Epoch> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut words = text.split_whitespace();
    let fleet: Hash = words.next()?.parse().ok()?;
    let epoch = words.next()?.parse().ok()?;
    let id: Hash = words.next()?.parse().ok()?;
    (fleet == spanner.0).then_some(Epoch { epoch, id })
}

impl Kept {
    /// A statement that is to be kept: durable after the next [`Kept::flush`].
    pub fn remember(&mut self, space: &Space, bytes: &[u8]) {
        encode_into(&mut self.waiting, space, bytes);
    }

    /// Makes durable what is to be kept.
    ///
    /// # Errors
    /// [`AnchorError::Io`]; it is tried again with the next one.
    pub fn flush(&mut self) -> Result<(), AnchorError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let written = (|| {
            // What a failed write left of a statement is cut off first.
            self.file.set_len(self.length)?;
            self.file.write_all(&self.waiting)?;
            self.file.sync_all()
        })();
        let path = self.state.path().join(HEARD);
        written.map_err(|source| AnchorError::Io { doing: "write", path, source })?;
        self.length += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Makes a floor durable.
    ///
    /// # Errors
    /// [`AnchorError::State`]; the floor before is then still there.
    pub fn raise(&mut self, at: Epoch) -> Result<(), AnchorError> {
        if self.floor != Some(at) {
            let text = format!("{} {} {}\n", self.spanner.0, at.epoch, at.id);
            self.state.write_small(FLOOR, text.as_bytes())?;
            self.floor = Some(at);
        }
        Ok(())
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        self.state.path()
    }

    fn rewrite(&mut self, warrants: &Warrants) -> io::Result<()> {
        let (path, draft) = (self.state.path().join(HEARD), self.state.path().join("statements.new"));
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits() as i32);
        match fs::remove_file(&draft) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let bytes = encoded(warrants);
        let mut file = options.open(&draft)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        File::open(self.state.path())?.sync_all()?;
        self.file = file;
        self.length = bytes.len() as u64;
        Ok(())
    }
}
