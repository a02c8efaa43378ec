//! A few threads for work that blocks on the disk, behind a bounded queue.
//!
//! It never makes its caller wait: work that finds the queue full comes back. Invariant: work that was taken is
//! done once, also when the pool is dropped meanwhile; a panic in one piece of work costs that piece only.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Threads that do jobs of type `J`.
#[derive(Debug)]
pub struct Pool<J> {
    sender: SyncSender<J>,
}

impl<J> Clone for Pool<J> {
    fn clone(&self) -> Self {
        Pool { sender: self.sender.clone() }
    }
}

impl<J: Send + 'static> Pool<J> {
    /// `threads` threads named `name`, with at most `queue` jobs waiting.
    ///
    /// # Errors
    /// What the system says when it has no thread to give.
    pub fn start(
        name: &str,
        threads: usize,
        queue: usize,
        work: impl Fn(J) + Send + Sync + 'static,
    ) -> std::io::Result<Pool<J>> {
        let (sender, receiver) = sync_channel(queue);
        let receiver = Arc::new(Mutex::new(receiver));
        let work = Arc::new(work);
        for _ in 0..threads {
            let (receiver, work) = (receiver.clone(), work.clone());
            thread::Builder::new().name(name.into()).spawn(move || serve(&receiver, &*work))?;
        }
        Ok(Pool { sender })
    }

    /// Hands over a job; gives it back when there is no room.
    ///
    /// # Errors
    /// The job.
    pub fn offer(&self, job: J) -> Result<(), J> {
        self.sender.try_send(job).map_err(|e| match e {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
        })
    }
}

fn serve<J>(receiver: &Mutex<Receiver<J>>, work: &impl Fn(J)) {
    loop {
        let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        if catch_unwind(AssertUnwindSafe(|| work(job))).is_err() {
            tracing::error!("an internal error in a worker; please report it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn work_that_was_taken_is_done_and_more_comes_back() {
        let (done, results) = channel();
        let (go, gate) = channel::<()>();
        let gate = Mutex::new(gate);
        let pool = Pool::start("test", 1, 2, move |n: u32| {
            let _ = gate.lock().unwrap().recv();
            assert!(n != 1, "a panic costs one job");
            done.send(n).unwrap();
        })
        .unwrap();
        let mut taken = 0;
        // One is being done (or about to be), two wait; then there is no room.
        while pool.offer(taken).is_ok() {
            taken += 1;
            assert!(taken <= 4);
            thread::sleep(std::time::Duration::from_millis(20));
        }
        assert_eq!(pool.offer(99), Err(99));
        drop(pool);
        drop(go);
        let results: Vec<u32> = results.iter().collect();
        assert_eq!(results, (0..taken).filter(|n| *n != 1).collect::<Vec<_>>());
    }
}
