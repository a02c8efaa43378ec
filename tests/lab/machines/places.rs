//! How many labs of machines there are at once in one test program.
//!
//! Many tests run side by side where there are many cores, and all machines share one kernel's limits: at 128 inotify
//! instances a user, Debian's default, some twenty systems of systemd stop to boot. It never waits while it holds a lock.

use std::sync::{Condvar, Mutex, PoisonError};

/// Labs at once. A test may have two; were there as many such tests as places, they would wait for each other.
const PLACES: usize = 4;

static TAKEN: Mutex<usize> = Mutex::new(0);
static GIVEN_BACK: Condvar = Condvar::new();

/// One place, given back when it is dropped.
#[derive(Debug)]
pub struct Place(());

impl Place {
    /// Waits for a place.
    pub fn take() -> Place {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken =
            GIVEN_BACK.wait_while(taken, |taken| *taken >= PLACES).unwrap_or_else(PoisonError::into_inner);
        *taken += 1;
        Place(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        GIVEN_BACK.notify_one();
    }
}
