//! Effects: the work that takes time, away from the driver's thread.
//!
//! Blobs are moved by [`transfers`] on two threads; the machine is touched by [`crate::applier`] on one. Beginning an
//! effect never blocks; its end comes to the driver as `Input::Done`. Invariant: every effect that was begun
//! ends, if only with "too much at once".

pub mod pool;
pub mod transfers;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::runtime;
use vigo_node::io::{Answer, AskId, Done, Effect, Input};
use vigo_node::swarm::ids::OpId;
use vigo_node::warrant::Evidence;

use crate::applier::{self, Applier, Place, Work};
use crate::blobs::BlobStore;
use crate::channel::{AskId as ChannelAsk, Channel, FetchError, code};
use crate::driver::Handle;
use pool::Pool;
use transfers::{Fetch, Job, Transfers};

/// Threads that move blobs.
const THREADS: usize = 2;
/// Jobs that wait for them; more are refused at once, and their effects fail.
const QUEUE: usize = 1024;

/// Where effects are begun. Clones share the threads.
#[derive(Clone)]
pub struct Effects {
    transfers: Arc<Transfers>,
    pool: Pool<Job>,
    applier: Applier,
    driver: Handle,
    runtime: runtime::Handle,
}

impl Effects {
    /// Starts the threads.
    ///
    /// # Errors
    /// What the system says when it has no threads to give.
    pub fn start(
        runtime: &runtime::Handle,
        driver: &Handle,
        store: BlobStore,
        channel: Channel,
        place: Place,
        stop: Arc<AtomicBool>,
    ) -> std::io::Result<Effects> {
        let transfers = Arc::new(Transfers::new(store.clone(), channel));
        let (worker, handle) = (transfers.clone(), driver.clone());
        let pool = Pool::start("vigo-blobs", THREADS, QUEUE, move |job: Job| {
            if let Some((op, outcome)) = worker.work(job) {
                handle.give(Input::Done { op, outcome });
            }
        })?;
        let handle = driver.clone();
        let applier = Applier::start(place, stop, store, move |op, outcome| {
            handle.give(Input::Done { op, outcome });
        })?;
        Ok(Effects { transfers, pool, applier, driver: driver.clone(), runtime: runtime.clone() })
    }

    /// Begins an effect.
    pub fn begin(&self, op: OpId, effect: Effect) {
        match effect {
            Effect::FetchOutline { conn, blob } => self.transfers.ask(op, conn, Fetch::Outline(blob)),
            Effect::FetchChunk { conn, blob, index, .. } => self.job(Job::Prepare { op, conn, blob, index }),
            Effect::FinishBlob { blob } => self.job(Job::Finish(op, blob)),
            Effect::ReadBlob { blob } => self.job(Job::Read(op, blob)),
            Effect::DropBlobs { blobs } => self.job(Job::Drop(op, blobs)),
            Effect::CollectTraits => self.work(Work::Traits(op)),
            Effect::Converge { at, routes, policy, evidence, dry_run } => {
                let run = applier::Run { at, routes, policy, evidence, dry_run };
                self.work(Work::Converge(op, Box::new(run)))
            }
        }
    }

    /// Tells the applier what is new; what it has no room for comes with the next run.
    pub fn inform(&self, evidence: Evidence) {
        self.work(Work::Inform(evidence));
    }

    /// Answers a peer's request.
    pub fn answer(&self, ask: AskId, answer: Answer) {
        if let Err(Job::Serve(ask, _)) = self.pool.offer(Job::Serve(ask, answer)) {
            let busy = crate::channel::Answer::Refuse { code: code::BUSY, text: "too much at once".into() };
            self.transfers.channel().answer(ChannelAsk(ask.0), busy);
        }
    }

    /// A peer's answer to a fetch; given back when there is no room for it now.
    ///
    /// # Errors
    /// The answer.
    pub fn fetched(
        &self,
        op: u64,
        result: Result<Vec<u8>, FetchError>,
    ) -> Result<(), Result<Vec<u8>, FetchError>> {
        let Some(fetch) = self.transfers.awaited(op) else { return Ok(()) };
        match self.pool.offer(Job::Arrived { op: OpId(op), fetch, result }) {
            Err(Job::Arrived { result, .. }) => {
                self.transfers.still_awaited(op, fetch);
                Err(result)
            }
            _ => Ok(()),
        }
    }

    /// Stops the run under way between two steps; says whether it ended in time.
    pub fn stop(&self, patience: Duration) -> bool {
        self.applier.stop(patience)
    }

    fn job(&self, job: Job) {
        if let Err(job) = self.pool.offer(job)
            && let Some((op, outcome)) = job.failed("too much at once")
        {
            self.ended(op, outcome);
        }
    }

    fn work(&self, work: Work) {
        if let Err(work) = self.applier.offer(work)
            && let Some((op, outcome)) = applier::refused(&work, "too many runs at once")
        {
            self.ended(op, outcome);
        }
    }

    /// Tells the driver from a task: its own thread, which called us, must not wait for its own queue.
    fn ended(&self, op: OpId, outcome: Done) {
        let driver = self.driver.clone();
        self.runtime.spawn(async move { driver.give_async(Input::Done { op, outcome }).await });
    }
}
