//! A node that only passes on what it hears, for tests of what feeds a driver.
//!
//! It decides and answers nothing. Invariant: inputs come out in the order in which they went in.

use std::sync::mpsc;

use vigo_base::{Machine, Outbox, Time};
use vigo_node::io::{Input, Output, StoreOp};

use super::{Trouble, World};

/// Passes every input on.
pub(crate) struct Ear(pub mpsc::Sender<Input>);

impl Machine for Ear {
    type Input = Input;
    type Output = Output;
    fn handle(&mut self, _: Time, input: Input, _: &mut Outbox<Output>) {
        let _ = self.0.send(input);
    }
    fn wake(&mut self, _: Time, _: &mut Outbox<Output>) {}
    fn next_wake(&self) -> Option<Time> {
        None
    }
}

/// A world in which nothing happens.
pub(crate) struct Nothing;

impl World for Nothing {
    fn commit(&mut self, _: &[StoreOp]) -> Result<(), Trouble> {
        Ok(())
    }
    fn perform(&mut self, _: Output) {}
}
