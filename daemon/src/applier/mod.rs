//! The applier: the part of Vigo that touches the machine, and the way to it.
//!
//! Words that matter here:
//!
//! - the **seat** ([`seat`]) holds what an applier decides by (`vigo_node::warrant`), keeps it on the disk, and is the
//!   one place from which plans are run: nothing gets past its judgement;
//! - in a node of **one process** (`vigo node`) a seat lies behind a thread of its own; in one of **two** it lies in
//!   `vigo applier`, which is root and listens on one Unix socket ([`server`]), and `vigo peer` has a [`link`] to it;
//! - the **anchor** ([`anchor`]) says whose machine it is, and is written by root alone.
//!
//! [`Applier`] is what the rest of the process sees of either. Invariant: every piece of work that was taken is
//! answered once, also after `stop` (then at once, with what says so).

pub mod anchor;
pub mod link;
pub mod program;
pub mod seat;
pub mod server;
pub mod wire;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use vigo_base::limits::CONFIG_BLOB_BYTES;
use vigo_node::content_types::config::Epoch;
use vigo_node::io::{Done, NotRun};
use vigo_node::swarm::ids::OpId;
use vigo_node::swarm::outline::BlobRef;
use vigo_node::warrant::{Evidence, Request};

use crate::blobs::BlobStore;
use crate::effects::pool::Pool;
use crate::effects::transfers::failed_here;
use link::Link;
use seat::Seat;

/// Work that waits for the thread; the node has one run at a time.
const QUEUE: usize = 8;

/// What the machine is asked for.
#[derive(Debug)]
pub enum Work {
    /// The facts about it.
    Traits(OpId),
    /// A run.
    Converge(OpId, Box<Run>),
    /// News of who may what.
    Inform(Evidence),
}

/// A run that is wanted.
#[derive(Debug)]
pub struct Run {
    /// The publish.
    pub at: Epoch,
    /// Its route table.
    pub routes: BlobRef,
    /// The policy of this machine.
    pub policy: BlobRef,
    /// By what it counts.
    pub evidence: Evidence,
    /// Change nothing.
    pub dry_run: bool,
}

/// Where the machine is touched.
#[derive(Debug)]
pub enum Place {
    /// In this process.
    Here(Box<Seat>),
    /// In another one.
    There(Link),
    /// Nowhere, and why: a node that only joins.
    Nowhere(String),
}

/// The thread that has the machine looked at and touched, one piece of work after the other.
#[derive(Debug, Clone)]
pub struct Applier {
    pool: Pool<Work>,
    stop: Arc<AtomicBool>,
    busy: Arc<AtomicUsize>,
}

impl Applier {
    /// Starts the thread; `done` is told of every end. `stop` is the one that the place was made with.
    ///
    /// # Errors
    /// What the system says when it has no thread to give.
    pub fn start(
        place: Place,
        stop: Arc<AtomicBool>,
        blobs: BlobStore,
        done: impl Fn(OpId, Done) + Send + Sync + 'static,
    ) -> std::io::Result<Applier> {
        let busy = Arc::new(AtomicUsize::new(0));
        let (count, place) = (busy.clone(), Mutex::new(place));
        let pool = Pool::start("vigo-applier", 1, QUEUE, move |work| {
            // Counted down whatever happens: a panic in one piece of work costs that piece only.
            let _busy = Countdown(&count);
            let end = place.lock().unwrap_or_else(PoisonError::into_inner).perform(&blobs, work);
            if let Some((op, end)) = end {
                done(op, end);
            }
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
    /// most `patience`; says whether it has ended. A run in another process goes on there.
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

struct Countdown<'a>(&'a AtomicUsize);

impl Drop for Countdown<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What work that was not taken ends with.
pub fn refused(work: &Work, why: &str) -> Option<(OpId, Done)> {
    let away = || NotRun::Away(why.to_string());
    match work {
        Work::Traits(op) => Some((*op, Done::Traits(Err(away())))),
        Work::Converge(op, _) => Some((*op, Done::Ran(Err(away())))),
        Work::Inform(_) => None,
    }
}

impl Place {
    fn perform(&mut self, blobs: &BlobStore, work: Work) -> Option<(OpId, Done)> {
        if let Place::Nowhere(why) = self {
            return refused(&work, why);
        }
        match work {
            Work::Inform(evidence) => {
                match self {
                    Place::Here(seat) => seat.hear(&evidence),
                    Place::There(link) => link.inform(&evidence),
                    Place::Nowhere(_) => {}
                }
                None
            }
            Work::Traits(op) => {
                let traits = match self {
                    Place::Here(seat) => Ok(seat.traits().to_string()),
                    Place::There(link) => link.traits(),
                    Place::Nowhere(why) => Err(NotRun::Away(why.clone())),
                };
                Some((op, Done::Traits(traits)))
            }
            Work::Converge(op, run) => {
                let Run { at, routes, policy, evidence, dry_run } = *run;
                let read = |blob: BlobRef| {
                    let bytes = blobs.get(&blob.hash, blob.size.min(CONFIG_BLOB_BYTES));
                    bytes.map_err(|why| NotRun::Unread { blob: blob.hash, why: failed_here(&why) })
                };
                let ran = read(routes).and_then(|routes| {
                    let policy = read(policy)?;
                    let request = Request { at, routes: &routes, policy: &policy };
                    match self {
                        Place::Here(seat) => {
                            seat.hear(&evidence);
                            seat.converge(request, dry_run)
                        }
                        Place::There(link) => link.converge(request, &evidence, dry_run),
                        Place::Nowhere(why) => Err(NotRun::Away(why.clone())),
                    }
                });
                Some((op, Done::Ran(ran)))
            }
        }
    }
}
