//! The one thread that touches the machine: it collects traits and applies plans, one after the other.
//!
//! Nothing else in the process changes the host. A run is told to stop between its steps by [`Applier::stop`];
//! the report of what it did until then still comes. Invariant: every piece of work that was taken is answered
//! once, also after `stop` (then at once, with a report that says so).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use vigo_executors::{Host, Options, Progress, RealHost, converge, traits};
use vigo_node::io::Done;
use vigo_node::stacks::plan::Plan;
use vigo_node::stacks::report::{Outcome, RunReport};
use vigo_node::swarm::ids::OpId;

use super::pool::Pool;

/// Work that waits for the thread; the node has one run at a time.
const QUEUE: usize = 8;

/// What the machine is asked for.
#[derive(Debug)]
pub enum Work {
    /// The facts about it.
    Traits(OpId),
    /// A plan to be applied.
    Converge {
        /// The effect.
        op: OpId,
        /// The plan.
        plan: Arc<Plan>,
        /// The facts that its templates see.
        traits: Arc<serde_json::Value>,
        /// Change nothing.
        dry_run: bool,
    },
}

/// Which machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The part of it that plans are applied to; all of it if none.
    pub fs_root: Option<PathBuf>,
    /// Where former contents of files are kept.
    pub backups: PathBuf,
}

/// The thread.
#[derive(Debug, Clone)]
pub struct Applier {
    pool: Pool<Work>,
    stop: Arc<AtomicBool>,
    busy: Arc<AtomicUsize>,
}

impl Applier {
    /// Starts the thread; `done` is told of every end.
    ///
    /// # Errors
    /// What the system says when it has no thread to give.
    pub fn start(
        machine: Machine,
        done: impl Fn(OpId, Done) + Send + Sync + 'static,
    ) -> std::io::Result<Applier> {
        let (stop, busy) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (flag, count) = (stop.clone(), busy.clone());
        let pool = Pool::start("vigo-applier", 1, QUEUE, move |work| {
            let (op, end) = perform(&machine, work, &flag);
            done(op, end);
            count.fetch_sub(1, Ordering::SeqCst);
        })?;
        Ok(Applier { pool, stop, busy })
    }

    /// Hands over work; gives it back when there is too much.
    ///
    /// # Errors
    /// The work.
    pub fn offer(&self, work: Work) -> Result<(), Work> {
        self.busy.fetch_add(1, Ordering::SeqCst);
        self.pool.offer(work).inspect_err(|_| {
            self.busy.fetch_sub(1, Ordering::SeqCst);
        })
    }

    /// Ends the run under way before its next step, and every later one before its first. Waits for it, at
    /// most `patience`; says whether it has ended.
    pub fn stop(&self, patience: Duration) -> bool {
        self.stop.store(true, Ordering::SeqCst);
        let until = Instant::now() + patience;
        while self.busy.load(Ordering::SeqCst) > 0 {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

/// What work that was not taken ends with.
pub fn refused(work: &Work, why: &str) -> (OpId, Done) {
    match work {
        Work::Traits(op) => (*op, Done::Traits("{}".into())),
        Work::Converge { op, dry_run, .. } => (
            *op,
            Done::Ran(RunReport { aborted: Some(why.into()), dry_run: *dry_run, ..RunReport::default() }),
        ),
    }
}

fn perform(machine: &Machine, work: Work, stop: &Arc<AtomicBool>) -> (OpId, Done) {
    match work {
        Work::Traits(op) => {
            // The facts are the machine's own, also where plans are applied below a folder.
            let facts = RealHost::system(&machine.backups).map(|host| traits::collect(&host).to_string());
            if let Err(error) = &facts {
                tracing::warn!(%error, "this machine's facts cannot be collected");
            }
            (op, Done::Traits(facts.unwrap_or_else(|_| "{}".into())))
        }
        Work::Converge { op, plan, traits, dry_run } => {
            let host = match &machine.fs_root {
                Some(root) => RealHost::below(root, &machine.backups),
                None => RealHost::system(&machine.backups),
            };
            let report = match host {
                Ok(mut host) => run(&plan, &mut host, &traits, dry_run, stop.clone()),
                Err(error) => RunReport { aborted: Some(error.to_string()), dry_run, ..RunReport::default() },
            };
            (op, Done::Ran(report))
        }
    }
}

fn run(
    plan: &Plan,
    host: &mut dyn Host,
    traits: &serde_json::Value,
    dry_run: bool,
    stop: Arc<AtomicBool>,
) -> RunReport {
    let options = Options { dry_run, stop };
    converge(plan, host, traits, &options, &mut |progress| {
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
