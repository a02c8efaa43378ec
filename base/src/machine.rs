//! Logic without IO.
//!
//! A [`Machine`] takes an input and writes outputs; it never reads a clock, a socket or a file, never
//! sleeps and never calls back. Whoever drives it (the daemon with the world, `simnet` with a virtual one)
//! performs the outputs in the order in which they were written.

use crate::Time;

/// A state machine. Its whole contract is its two types.
pub trait Machine {
    /// What can happen to it.
    type Input;
    /// What it wants done.
    type Output;

    /// Takes one input.
    fn handle(&mut self, now: Time, input: Self::Input, out: &mut Outbox<Self::Output>);

    /// Does what is due. Calling it early or twice is harmless.
    fn wake(&mut self, now: Time, out: &mut Outbox<Self::Output>);

    /// When [`Machine::wake`] wants to be called next.
    fn next_wake(&self) -> Option<Time>;
}

/// Outputs in the order in which they must be performed.
#[derive(Debug)]
pub struct Outbox<T>(Vec<T>);

impl<T> Default for Outbox<T> {
    fn default() -> Self {
        Outbox(Vec::new())
    }
}

impl<T> Outbox<T> {
    /// An empty outbox.
    pub fn new() -> Outbox<T> {
        Outbox::default()
    }

    /// Adds one output behind the others.
    pub fn push(&mut self, output: T) {
        self.0.push(output);
    }

    /// Takes all outputs, leaving none.
    pub fn drain(&mut self) -> std::vec::Drain<'_, T> {
        self.0.drain(..)
    }

    /// How many outputs wait.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The outputs so far.
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }
}

impl<T> Extend<T> for Outbox<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        self.0.extend(items);
    }
}
