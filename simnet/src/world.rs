//! A clock and a queue of events: the whole of time in a simulation.
//!
//! Invariant: events come out ordered by time, and those of one time in the order in which they were put in. So a
//! run is a function of its inputs.

use std::collections::BTreeMap;

use vigo_base::Time;
use vigo_base::time::Micros;

/// A clock with a queue of events of type `E`.
#[derive(Debug)]
pub struct World<E> {
    now: Time,
    queue: BTreeMap<(Time, u64), E>,
    next: u64,
}

impl<E> World<E> {
    /// A world that begins at `now`.
    pub fn new(now: Time) -> World<E> {
        World { now, queue: BTreeMap::new(), next: 0 }
    }

    /// The time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Puts an event `delay` microseconds into the future.
    pub fn after(&mut self, delay: Micros, event: E) {
        self.at(self.now.after(delay), event);
    }

    /// Puts an event at a time; one in the past happens now.
    pub fn at(&mut self, time: Time, event: E) {
        self.next += 1;
        self.queue.insert((time.max(self.now), self.next), event);
    }

    /// Takes the next event due by `until`, moving the clock to it; the clock stands at `until` when none is left.
    pub fn pop(&mut self, until: Time) -> Option<E> {
        match self.queue.first_key_value() {
            Some((&(time, _), _)) if time <= until => {
                self.now = time;
                self.queue.pop_first().map(|(_, event)| event)
            }
            _ => {
                self.now = self.now.max(until);
                None
            }
        }
    }

    /// How many events wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_order_and_ties_as_they_were_put() {
        let mut world = World::new(Time(10));
        world.after(5, "c");
        world.after(1, "a");
        world.after(1, "b");
        world.at(Time(0), "first");
        assert_eq!(world.waiting(), 4);
        let order: Vec<_> = std::iter::from_fn(|| world.pop(Time(20))).collect();
        assert_eq!((order, world.now()), (vec!["first", "a", "b", "c"], Time(20)));
    }
}
