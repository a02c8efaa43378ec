//! The seat: one applier's judgement, its memory on the disk, and the machine it touches.
//!
//! [`Seat::converge`] is the only way to a changed machine in this program besides `vigo apply`, which a person runs.
//! Invariant: the statements by which a run was judged and the floor that it raises are durable before the first step.
//! It never takes facts about the machine from anybody: it collects them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use serde_json::Value;
use vigo_executors::pending::Recorded;
use vigo_executors::{Host, Options, Pending, PendingFile, Progress, RealHost, converge, traits};
use vigo_node::crdt::{BadStatement, Space};
use vigo_node::io::NotRun;
use vigo_node::stacks::plan::Plan;
use vigo_node::stacks::report::{Outcome, RunReport};
pub use vigo_node::warrant::wire::Tally;
use vigo_node::warrant::{Evidence, NotWarranted, Request, Told, Warrants};

use super::anchor::Kept;

/// How long facts about the machine are new enough for a run.
const FRESH: Duration = Duration::from_secs(10);

/// Which machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The part of it that plans are applied to; all of it if none.
    pub fs_root: Option<PathBuf>,
    /// Where former contents of files are kept. What is pending is recorded beside it, in `pending`.
    pub backups: PathBuf,
}

/// The record of what a run has to trigger still.
const PENDING: &str = "pending";

/// One applier.
#[derive(Debug)]
pub struct Seat {
    warrants: Warrants,
    /// Where it keeps what it holds; none in a node of one process, which keeps all of it itself.
    kept: Option<Kept>,
    machine: Machine,
    stop: Arc<AtomicBool>,
    traits: Option<(Instant, Value)>,
    warned: Seldom,
}

/// Keeps whoever asks for nonsense from filling the log: at most one line in [`SELDOM`].
#[derive(Debug, Default)]
pub(crate) struct Seldom(Option<Instant>);

/// How often what others cause is worth a line in the log.
const SELDOM: Duration = Duration::from_secs(10);

impl Seldom {
    /// Whether it is time for a line.
    pub(crate) fn now(&mut self) -> bool {
        let now = self.0.is_none_or(|last| last.elapsed() > SELDOM);
        if now {
            self.0 = Some(Instant::now());
        }
        now
    }
}

impl Seat {
    /// A seat; its runs end before their next step once `stop` is set.
    pub fn new(warrants: Warrants, kept: Option<Kept>, machine: Machine, stop: Arc<AtomicBool>) -> Seat {
        Seat { warrants, kept, machine, stop, traits: None, warned: Seldom::default() }
    }

    /// What it decides by.
    pub fn warrants(&self) -> &Warrants {
        &self.warrants
    }

    /// Takes what the node of this very process holds.
    pub fn hear(&mut self, evidence: &Evidence) {
        self.warrants.hear(evidence);
    }

    /// Takes encoded statements of `space` from anywhere. What is new is durable when this returns, or no run is
    /// judged before it is.
    pub fn tell<'a>(&mut self, space: &Space, statements: impl IntoIterator<Item = &'a [u8]>) -> Tally {
        let mut tally = Tally::default();
        let mut worst: Option<BadStatement> = None;
        for bytes in statements {
            match self.warrants.tell(space, bytes) {
                Ok(Told::New) => {
                    tally.new += 1;
                    if let Some(kept) = &mut self.kept {
                        kept.remember(space, bytes);
                    }
                }
                Ok(Told::Known) => tally.known += 1,
                Ok(Told::Early) => tally.early += 1,
                Ok(Told::Full) => tally.full += 1,
                Err(error) => {
                    tally.bad += 1;
                    worst = worst.or(Some(error));
                }
            }
        }
        if let Some(error) = worst.filter(|_| self.warned.now()) {
            tracing::warn!(bad = tally.bad, %error, "the peer process tells what is no statement of this fleet");
        }
        if let Some(Err(error)) = self.kept.as_mut().map(Kept::flush) {
            tracing::warn!(%error, "what the applier heard is not durable yet: nothing is run before it is");
        }
        tally
    }

    /// The facts about this machine, collected now. They are the machine's own, also where plans are applied below a
    /// folder.
    pub fn traits(&mut self) -> &Value {
        let facts = RealHost::system(&self.machine.backups).map(|host| traits::collect(&host));
        let facts = facts.unwrap_or_else(|error| {
            tracing::warn!(%error, "this machine's facts cannot be collected");
            Value::Object(serde_json::Map::new())
        });
        &self.traits.insert((Instant::now(), facts)).1
    }

    fn fresh_traits(&mut self) -> Value {
        match &self.traits {
            Some((since, traits)) if since.elapsed() < FRESH => traits.clone(),
            _ => self.traits().clone(),
        }
    }

    /// Whether a publish may be run, and how long its route table is, in bytes.
    ///
    /// # Errors
    /// [`NotWarranted`].
    pub fn expect(&mut self, at: vigo_node::content_types::config::Epoch) -> Result<u64, NotWarranted> {
        let expected = self.warrants.expect(at);
        self.told(&expected);
        expected
    }

    fn told<T>(&mut self, verdict: &Result<T, NotWarranted>) {
        if let Err(why) = verdict
            && self.warned.now()
        {
            tracing::warn!("not run: {}", vigo_base::text::escaped(&why.to_string()));
        }
    }

    /// Judges what is offered, and runs it.
    ///
    /// # Errors
    /// [`NotRun`]: nothing was touched.
    pub fn converge(&mut self, request: Request<'_>, dry_run: bool) -> Result<RunReport, NotRun> {
        if let Some(Err(error)) = self.kept.as_mut().map(Kept::flush) {
            return Err(NotRun::Away(error.to_string()));
        }
        let traits = self.fresh_traits();
        let verdict = self.warrants.judge(request, traits.clone());
        self.told(&verdict);
        let warranted = verdict.map_err(|why| NotRun::Refused(why.to_string()))?;
        if !dry_run {
            self.warrants.begin(&warranted);
            if let Some(Err(error)) = self.kept.as_mut().map(|kept| kept.raise(warranted.at())) {
                return Err(NotRun::Away(error.to_string()));
            }
        }
        let host = match &self.machine.fs_root {
            Some(root) => RealHost::below(root, &self.machine.backups),
            None => RealHost::system(&self.machine.backups),
        };
        // What a run changes is new to the next one.
        self.traits = None;
        match host {
            Ok(mut host) => {
                let mut pending = PendingFile::at(self.machine.backups.with_file_name(PENDING));
                if let Recorded::Lost(why) = pending.load() {
                    tracing::warn!(why, "what is pending is not known: all that can be triggered is");
                }
                let plan = warranted.plan();
                Ok(run(plan, &mut host, &mut pending, &traits, dry_run, self.stop.clone()))
            }
            Err(error) => Ok(RunReport { aborted: Some(error.to_string()), dry_run, ..RunReport::default() }),
        }
    }
}

fn run(
    plan: &Plan,
    host: &mut dyn Host,
    pending: &mut dyn Pending,
    traits: &Value,
    dry_run: bool,
    stop: Arc<AtomicBool>,
) -> RunReport {
    let options = Options { dry_run, stop };
    converge(plan, host, pending, traits, &options, &mut |progress| {
        if let Progress::Done { report, .. } = progress {
            match report.outcome {
                Outcome::Failed => {
                    tracing::warn!(step = report.id, message = report.message, "a step failed")
                }
                outcome if outcome.changed() => {
                    tracing::info!(step = report.id, ?outcome, dry_run, message = report.message, "a step");
                }
                outcome => tracing::debug!(step = report.id, ?outcome, message = report.message, "a step"),
            }
        }
    })
}
