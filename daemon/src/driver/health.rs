//! How the process is, for whoever asks from another thread: running or not, and what is in its way.
//!
//! Small and shared; it holds no lock while anybody else's code runs. It never decides anything.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What stands in the way of going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What happened.
    pub what: String,
    /// What to do about it.
    pub hint: String,
    /// Whether trying again cannot help: the process has to end.
    pub fatal: bool,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.hint)
    }
}

/// What is shared of the driver's state.
#[derive(Debug, Default)]
pub struct Health {
    trouble: Mutex<Option<Trouble>>,
    stopping: AtomicBool,
    ended: AtomicBool,
    /// What the driver counted.
    pub counts: Counts,
}

/// Counts of the driver since its start, and of now.
#[derive(Debug, Default)]
pub struct Counts {
    /// Inputs handled.
    pub inputs: AtomicU64,
    /// Outputs performed.
    pub outputs: AtomicU64,
    /// Turns of the loop that handled something.
    pub turns: AtomicU64,
    /// Commits to the store.
    pub commits: AtomicU64,
    /// Writes in those commits.
    pub writes: AtomicU64,
    /// Commits that failed.
    pub failed_commits: AtomicU64,
    /// Microseconds spent in commits.
    pub commit_micros: AtomicU64,
    /// Signals in the queue now.
    pub queued: AtomicU64,
    /// Calls that wait for a reply now.
    pub calls: AtomicU64,
}

impl Health {
    /// What is in the way, if anything.
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_trouble(&self, trouble: Option<Trouble>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Whether the driver was asked to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Whether the driver's thread has ended.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    pub(super) fn set_ended(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

impl Counts {
    pub(super) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}
