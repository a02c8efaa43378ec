//! Blobs that are wanted and wait for a place: by priority, then by age.
//!
//! Invariant: at most [`WAITING`] wait; what has no room is handed back, the least important first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use vigo_base::{Hash, Time};

use crate::frame::Bytes;
use crate::outline::BlobRef;

/// Blobs that may wait.
pub(super) const WAITING: usize = 4096;

/// A blob that waits.
#[derive(Debug, Clone)]
pub(super) struct Waiter {
    pub(super) blob: BlobRef,
    pub(super) priority: u8,
    pub(super) seq: u64,
    /// What was held of it when it lost its place.
    pub(super) held: Option<Bytes>,
    /// It got nowhere, and is not tried again before.
    pub(super) not_before: Time,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    order: BTreeMap<(Reverse<u8>, u64), Waiter>,
    places: BTreeMap<Hash, (Reverse<u8>, u64)>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn contains(&self, exchange: &Hash) -> bool {
        self.places.contains_key(exchange)
    }

    /// Adds one; gives back the one for which there is no room.
    pub(super) fn push(&mut self, waiter: Waiter) -> Option<Waiter> {
        let key = (Reverse(waiter.priority), waiter.seq);
        self.remove(&waiter.blob.exchange);
        self.places.insert(waiter.blob.exchange, key);
        self.order.insert(key, waiter);
        if self.order.len() <= WAITING {
            return None;
        }
        let (_, last) = self.order.pop_last()?;
        self.places.remove(&last.blob.exchange);
        Some(last)
    }

    pub(super) fn remove(&mut self, exchange: &Hash) -> Option<Waiter> {
        self.places.remove(exchange).and_then(|key| self.order.remove(&key))
    }

    pub(super) fn get_mut(&mut self, exchange: &Hash) -> Option<&mut Waiter> {
        self.places.get(exchange).and_then(|key| self.order.get_mut(key))
    }

    /// The most important one that is due.
    pub(super) fn first(&self, now: Time) -> Option<&Waiter> {
        self.order.values().find(|w| w.not_before <= now)
    }

    /// When the next of those that are not due is.
    pub(super) fn next_due(&self, now: Time) -> Option<Time> {
        self.order.values().map(|w| w.not_before).filter(|at| *at > now).min()
    }
}
