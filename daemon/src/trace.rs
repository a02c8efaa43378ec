//! A node's inputs in a file, and the same node run over them again.
//!
//! `vigo node --trace FILE` writes what the node started from, every input with its time, and after each turn
//! a hash of what the node wanted done. [`replay`] starts a node from the same and compares. The file is JSON
//! lines. It holds the node's **private key** and whatever crossed the node, so it is made anew with mode 0600
//! and never sent anywhere; it never overwrites a file.
//!
//! Invariant: what was replayed up to a difference had the same outputs, byte for byte in their debug form.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vigo_base::{Hash, Machine, Outbox, PublicKey, SecretKey, Time};
use vigo_node::Node;
use vigo_node::boot::{BadBoot, Boot, Lan, Options};
use vigo_node::io::{Input, Output};
use vigo_node::swarm::outline::BlobRef;

/// The version of the file's form.
const VERSION: u32 = 2;
/// Bytes of one line; a longer one is no trace.
const LINE_BYTES: u64 = 1 << 30;

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    /// The first: what the node started from, and when.
    Boot(Time, Box<Start>),
    /// An input and its time.
    In(Time, Input),
    /// A timer and its time.
    Wake(Time),
    /// The hash of the outputs since the line of this kind before, and how many there were.
    Out(Hash, usize),
    /// The orderly end.
    End,
}

/// [`Boot`] as text.
#[derive(Debug, Serialize, Deserialize)]
struct Start {
    trace: u32,
    program: String,
    key: String,
    seed: Hash,
    records: Vec<String>,
    meta: BTreeMap<String, String>,
    blobs: Vec<(Hash, Hash, u64)>,
    addresses: Vec<String>,
    peers: Vec<(String, Option<PublicKey>)>,
    #[serde(default)]
    gossip: Option<u16>,
    interval: Option<u64>,
    splay: Option<u64>,
    #[serde(default)]
    lan: Lan,
}

/// Why a trace cannot be written or replayed.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// There is such a file.
    #[error("{} exists: a trace never overwrites a file; name another, or remove it", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {doing} the trace {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no trace, or of another version.
    #[error("{} line {line} is not what a trace of version {VERSION} has there: {why}", path.display())]
    NoTrace {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// The node does not start from it.
    #[error("the node does not start from this trace: {0}")]
    Boot(#[from] BadBoot),
}

/// Writes a trace. When the disk refuses, it says so once and stops tracing; the node goes on.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    file: Option<BufWriter<File>>,
}

impl Recorder {
    /// Begins a trace of a node that starts from `boot` at `now`. Joining is not traced: `boot` must be a
    /// member's.
    ///
    /// # Errors
    /// [`TraceError::Exists`], [`TraceError::Io`].
    pub fn create(path: &Path, now: Time, boot: &Boot) -> Result<Recorder, TraceError> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(path).map_err(|source| {
            let path = path.to_path_buf();
            match source.kind() {
                io::ErrorKind::AlreadyExists => TraceError::Exists { path },
                _ => TraceError::Io { path, doing: "create", source },
            }
        })?;
        let mut recorder = Recorder { path: path.to_path_buf(), file: Some(BufWriter::new(file)) };
        recorder.write(&Line::Boot(now, Box::new(Start::of(boot))));
        Ok(recorder)
    }

    /// An input.
    pub fn input(&mut self, now: Time, input: &Input) {
        self.write(&Line::In(now, input.clone()));
    }

    /// A timer.
    pub fn wake(&mut self, now: Time) {
        self.write(&Line::Wake(now));
    }

    /// The outputs of a turn.
    pub fn outputs(&mut self, outputs: &[Output]) {
        if self.file.is_some() {
            self.write(&Line::Out(digest(outputs), outputs.len()));
        }
    }

    /// The end of the trace; everything is in the file when this returns.
    pub fn finish(&mut self) {
        self.write(&Line::End);
        if let Some(mut file) = self.file.take()
            && let Err(error) = file.flush()
        {
            tracing::warn!(path = %self.path.display(), %error, "the end of the trace is lost");
        }
    }

    fn write(&mut self, line: &Line) {
        let Some(file) = &mut self.file else { return };
        let written = serde_json::to_writer(&mut *file, line).map_err(io::Error::from);
        if let Err(error) = written.and_then(|()| file.write_all(b"\n")) {
            tracing::warn!(path = %self.path.display(), %error, "the trace cannot be written: it ends here");
            self.file = None;
        }
    }
}

/// What became of a replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Inputs and timers that were run.
    pub inputs: usize,
    /// Turns whose outputs were compared.
    pub turns: usize,
    /// Outputs in them.
    pub outputs: usize,
    /// The line of the first turn whose outputs differ, if any.
    pub differs_at: Option<usize>,
    /// Whether the trace ends in order; one that was cut off may end anywhere.
    pub complete: bool,
}

/// Runs a node over the trace at `path` and compares what it wants done.
///
/// # Errors
/// [`TraceError`] when the file cannot be read, is no trace, or the node does not start from it.
pub fn replay(path: &Path) -> Result<Replayed, TraceError> {
    let io = |source| TraceError::Io { path: path.to_path_buf(), doing: "read", source };
    let no_trace = |line, why: String| TraceError::NoTrace { path: path.to_path_buf(), line, why };
    let mut reader = BufReader::new(File::open(path).map_err(io)?);
    let mut lines = (1..).map(|number| (number, read_line(&mut reader)));
    let first =
        lines.next().and_then(|(_, line)| line.transpose()).transpose().map_err(io)?.unwrap_or_default();
    let (now, boot) = match serde_json::from_slice(&first) {
        Ok(Line::Boot(now, start)) => (now, start.boot().map_err(|why| no_trace(1, why))?),
        Ok(_) => return Err(no_trace(1, "it does not begin with what the node started from".into())),
        Err(e) => return Err(no_trace(1, e.to_string())),
    };
    let mut out = Outbox::new();
    let mut node = Node::boot(now, boot, &mut out)?;
    let mut done = Replayed { inputs: 0, turns: 0, outputs: 0, differs_at: None, complete: false };
    for (number, line) in lines {
        let Some(line) = line.map_err(io)? else { break };
        let cut_off = !line.ends_with(b"\n");
        match serde_json::from_slice(&line) {
            Ok(Line::In(now, input)) => node.handle(now, input, &mut out),
            Ok(Line::Wake(now)) => node.wake(now, &mut out),
            Ok(Line::Out(expected, count)) => {
                let found: Vec<Output> = out.drain().collect();
                done.turns += 1;
                done.outputs += count;
                if digest(&found) != expected {
                    done.differs_at = Some(number);
                    return Ok(done);
                }
                continue;
            }
            Ok(Line::End) => {
                done.complete = true;
                break;
            }
            Ok(Line::Boot(..)) => return Err(no_trace(number, "a second beginning".into())),
            Err(_) if cut_off => break,
            Err(e) => return Err(no_trace(number, e.to_string())),
        }
        done.inputs += 1;
    }
    Ok(done)
}

/// The next line with its end; none at the end of the file.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = io::Read::take(&mut *reader, LINE_BYTES).read_until(b'\n', &mut line)?;
    Ok((read > 0).then_some(line))
}

fn digest(outputs: &[Output]) -> Hash {
    struct Sink(vigo_base::hash::Hasher);
    impl std::fmt::Write for Sink {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.update(text.as_bytes());
            Ok(())
        }
    }
    let mut sink = Sink(vigo_base::hash::Hasher::default());
    for output in outputs {
        // Writing into a hasher cannot fail.
        let _ = std::fmt::Write::write_fmt(&mut sink, format_args!("{output:?}\n"));
    }
    sink.0.finish()
}

impl Start {
    fn of(boot: &Boot) -> Start {
        Start {
            trace: VERSION,
            program: boot.options.version.clone(),
            key: hex::encode(*boot.key.seed()),
            seed: Hash(boot.seed),
            records: boot.records.iter().map(hex::encode).collect(),
            meta: boot.meta.iter().map(|(name, value)| (name.clone(), hex::encode(value))).collect(),
            blobs: boot.blobs.iter().map(|b| (b.hash, b.exchange, b.size)).collect(),
            addresses: boot.options.addresses.clone(),
            peers: boot.options.peers.clone(),
            gossip: boot.options.gossip,
            interval: boot.options.interval,
            splay: boot.options.splay,
            lan: boot.options.lan.clone(),
        }
    }

    fn boot(self) -> Result<Boot, String> {
        if self.trace != VERSION {
            return Err(format!("it is of version {}, written by vigo {}", self.trace, self.program));
        }
        let bytes = |text: &String| hex::decode(text).map_err(|e| e.to_string());
        let key: Hash = self.key.parse().map_err(|_| "the key is not 64 hexadecimal digits".to_string())?;
        let records = self.records.iter().map(|r| bytes(r).map(Arc::from)).collect::<Result<_, _>>()?;
        let meta =
            self.meta.iter().map(|(n, v)| Ok((n.clone(), bytes(v)?))).collect::<Result<_, String>>()?;
        let blob = |(hash, exchange, size)| BlobRef { hash, exchange, size };
        let options = Options {
            addresses: self.addresses,
            gossip: self.gossip,
            peers: self.peers,
            version: self.program,
            join: None,
            interval: self.interval,
            splay: self.splay,
            lan: self.lan,
            ranges_only: false,
        };
        Ok(Boot {
            key: SecretKey::from_seed(key.0),
            seed: self.seed.0,
            records,
            meta,
            blobs: self.blobs.into_iter().map(blob).collect(),
            options,
        })
    }
}
