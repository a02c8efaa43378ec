//! The peer process's way to the applier: connects, tells it what it lacks, and has it run things.
//!
//! It connects when there is something to say and nobody is connected, never waits for an applier that is not there,
//! and tells each connection only the statements whose ids the applier does not list. What cannot be done because
//! the applier is away ends as [`NotRun::Away`]; the node tries again.

use std::collections::BTreeSet;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use vigo_base::{Hash, text::escaped};
use vigo_node::crdt::Space;
use vigo_node::io::NotRun;
use vigo_node::stacks::report::RunReport;
use vigo_node::warrant::{Evidence, Request};

use super::wire::{self, GREETING, Kind, Offer, Tell, WireError};

/// Time for every answer but that of a run.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time for a run.
const RUN_PATIENCE: Duration = Duration::from_secs(6 * 3600);

/// The way to an applier in another process.
#[derive(Debug)]
pub struct Link {
    socket: PathBuf,
    stop: Arc<AtomicBool>,
    live: Option<Live>,
}

/// A connection.
#[derive(Debug)]
struct Live {
    stream: UnixStream,
    /// What the applier was told or had.
    told: BTreeSet<Hash>,
}

/// Why an applier is away.
#[derive(Debug, thiserror::Error)]
enum Away {
    #[error("the applier does not answer on {}: {why}; is it running? (`systemctl status vigo-applier`)", socket.display())]
    NotThere { socket: PathBuf, why: std::io::Error },
    #[error("the applier was lost: {0}")]
    Lost(#[from] WireError),
    #[error("the applier gave no answer within {} s", .0.as_secs())]
    Silent(Duration),
    #[error("what answers on {} is no applier of this version of vigo: restart vigo-applier", socket.display())]
    Version { socket: PathBuf },
    #[error("the applier closed: {0}")]
    Bad(String),
    #[error("the applier's answer makes no sense: restart vigo-applier; if it goes on, please report it")]
    Senseless,
}

impl From<Away> for NotRun {
    fn from(away: Away) -> NotRun {
        NotRun::Away(away.to_string())
    }
}

impl Link {
    /// A way to the applier that listens on `socket`. Waiting ends once `stop` is set.
    pub fn new(socket: PathBuf, stop: Arc<AtomicBool>) -> Link {
        Link { socket, stop, live: None }
    }

    /// Tells the applier what it lacks, if it is there.
    pub fn inform(&mut self, evidence: &Evidence) {
        if let Err(away) = self.connected(|link, live| link.told(live, evidence)) {
            tracing::debug!(%away, "the applier is not told: it hears with the next run");
        }
    }

    /// The machine's traits, as JSON.
    ///
    /// # Errors
    /// [`NotRun::Away`].
    pub fn traits(&mut self) -> Result<String, NotRun> {
        let traits = self.connected(|link, live| {
            let body = link.ask(live, Kind::Traits, &[], Kind::Traits)?;
            String::from_utf8(body).map_err(|_| Away::Senseless)
        });
        Ok(traits?)
    }

    /// Has a publish run.
    ///
    /// # Errors
    /// [`NotRun::Away`]; [`NotRun::Refused`] if the applier does not run it.
    pub fn converge(
        &mut self,
        request: Request<'_>,
        evidence: &Evidence,
        dry_run: bool,
    ) -> Result<RunReport, NotRun> {
        self.connected(|link, live| {
            link.told(live, evidence)?;
            let offer = Offer { at: request.at, dry_run, routes: request.routes.len() as u64 };
            wire::write(&live.stream, Kind::Converge, &offer.encode())?;
            match link.answer(live, PATIENCE)? {
                (Kind::Go, _) => {}
                (Kind::Refused, why) => return Ok(Err(NotRun::Refused(text(&why)))),
                (Kind::Later, why) => return Ok(Err(NotRun::Away(text(&why)))),
                _ => return Err(Away::Senseless),
            }
            wire::write(&live.stream, Kind::Bytes, request.routes)?;
            wire::write(&live.stream, Kind::Bytes, request.policy)?;
            match link.answer(live, RUN_PATIENCE)? {
                (Kind::Ran, report) => serde_json::from_slice(&report).map(Ok).map_err(|_| Away::Senseless),
                (Kind::Refused, why) => Ok(Err(NotRun::Refused(text(&why)))),
                (Kind::Later, why) => Ok(Err(NotRun::Away(text(&why)))),
                _ => Err(Away::Senseless),
            }
        })?
    }

    /// Does something with a connection, which is made if there is none, and given up if anything goes wrong. One that
    /// was lost since it was last used is made anew once: an applier that was restarted is not away.
    fn connected<T>(&mut self, mut work: impl FnMut(&Link, &mut Live) -> Result<T, Away>) -> Result<T, Away> {
        if let Some(mut live) = self.live.take()
            && !hung_up(&live.stream)
        {
            let done = work(self, &mut live)?;
            self.live = Some(live);
            return Ok(done);
        }
        let mut live = self.connect()?;
        let done = work(self, &mut live)?;
        self.live = Some(live);
        Ok(done)
    }

    fn connect(&self) -> Result<Live, Away> {
        let socket = || self.socket.clone();
        let stream =
            UnixStream::connect(&self.socket).map_err(|why| Away::NotThere { socket: socket(), why })?;
        let mut live = Live { stream, told: BTreeSet::new() };
        let greeting = self.ask(&live, Kind::Hello, GREETING, Kind::Hello)?;
        if greeting != GREETING {
            return Err(Away::Version { socket: socket() });
        }
        let known = self.ask(&live, Kind::Known, &[], Kind::Known)?;
        live.told = known.as_chunks::<32>().0.iter().map(|id| Hash(*id)).collect();
        Ok(live)
    }

    /// Tells the statements that the applier does not have.
    fn told(&self, live: &mut Live, evidence: &Evidence) -> Result<(), Away> {
        for space in [Space::admissions(), Space::config()] {
            let of = evidence.pieces().iter().map(|p| p.statement()).filter(|s| *s.space() == space);
            let mut new: Vec<_> = of.filter(|s| !live.told.contains(&s.id())).collect();
            while !new.is_empty() {
                let mut tell = Tell::new(&space);
                let count = new.iter().take_while(|s| tell.add(s.bytes())).count();
                let body = self.ask(live, Kind::Tell, tell.body(), Kind::Told)?;
                let tally = wire::read_tally(&body).ok_or(Away::Senseless)?;
                if tally.full > 0 {
                    tracing::warn!(
                        full = tally.full,
                        "the applier has no room for more statements of this fleet"
                    );
                }
                // Whatever became of them: the same connection is not told twice.
                live.told.extend(new.drain(..count.max(1)).map(|s| s.id()));
            }
        }
        Ok(())
    }

    fn ask(&self, live: &Live, kind: Kind, body: &[u8], expected: Kind) -> Result<Vec<u8>, Away> {
        wire::write(&live.stream, kind, body)?;
        match self.answer(live, PATIENCE)? {
            (kind, body) if kind == expected => Ok(body),
            _ => Err(Away::Senseless),
        }
    }

    fn answer(&self, live: &Live, patience: Duration) -> Result<(Kind, Vec<u8>), Away> {
        let until = Instant::now() + patience;
        let go_on = || !self.stop.load(Ordering::SeqCst) && Instant::now() < until;
        match wire::read(&live.stream, Kind::answered, go_on) {
            Ok((Kind::Bad, why)) => Err(Away::Bad(text(&why))),
            Ok(answer) => Ok(answer),
            Err(WireError::Stopping) if !self.stop.load(Ordering::SeqCst) => Err(Away::Silent(patience)),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether the other side has closed: seen without waiting.
fn hung_up(stream: &UnixStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(stream, PollFlags::IN | PollFlags::RDHUP)];
    // Nothing was asked: whatever can be read now is an end, or out of turn.
    !matches!(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0))
}

fn text(bytes: &[u8]) -> String {
    escaped(&String::from_utf8_lossy(bytes))
}
