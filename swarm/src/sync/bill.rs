//! What it costs two peers to find out what differs: a session of the real machine and the real frames, without a network.
//!
//! For benches, the documentation's figures, and tests. It moves no records: what counts are the frames that compare and
//! those that say which records are wanted. Invariant: the figures are those of the frames that nodes send.

use std::sync::Arc;

use vigo_base::{Dice, Hash, Machine, Outbox, Time};
use vigo_crdt::Space;
use vigo_crdt::reconcile::Sealed;
use vigo_crdt::sketch::{Salt, Short, Sketch};

use super::{Act, Input, Reconciler};
use crate::frame::{Bytes, Frame};
use crate::ids::ConnId;

/// The side that answers.
#[derive(Debug, Clone)]
pub struct Answerer {
    sealed: Arc<Sealed>,
    salt: Salt,
    sketch: Option<Sketch>,
}

/// What a session cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bill {
    /// Questions answered.
    pub trips: u32,
    /// Bytes of the questions.
    pub asked: usize,
    /// Bytes of the answers.
    pub answered: usize,
    /// Bytes of the frames that say which records are wanted.
    pub wanted: usize,
    /// Records that only the side that asked has.
    pub have: usize,
    /// Records that only the other side has.
    pub need: usize,
    /// Whether a sketch told.
    pub by_sketch: bool,
}

impl Answerer {
    /// A side with this set. The salt is what it would draw.
    pub fn new(sealed: Arc<Sealed>, salt: Salt) -> Answerer {
        Answerer { sealed, salt, sketch: None }
    }

    /// A sketch as a node gives it: made once, kept.
    fn sketch(&mut self, cells: usize) -> Vec<u8> {
        if self.sketch.as_ref().is_none_or(|sketch| sketch.cells() < cells) {
            let keys = self.sealed.keys().map(|key| Short::of(&key));
            self.sketch = Some(Sketch::of(self.salt, cells.next_power_of_two(), keys));
        }
        self.sketch.as_ref().map(|sketch| sketch.encode(cells)).unwrap_or_default()
    }
}

impl Bill {
    /// All bytes, both ways.
    pub fn bytes(&self) -> usize {
        self.asked + self.answered + self.wanted
    }
}

/// One session between two sets that differ, by the machine that nodes run: by sketch where it chooses to if `sketches`,
/// by ranges alone if not.
pub fn bill(ours: &Arc<Sealed>, theirs: &mut Answerer, sketches: bool) -> Bill {
    let (mut bill, mut out) = (Bill::default(), Outbox::new());
    let (conn, space, now) = (ConnId(1), Space::config(), Time(1));
    let mut sync = Reconciler::new(Dice::from_number(1));
    sync.handle(now, Input::Up { conn, leads: true, sketches, spaces: vec![space.clone()] }, &mut out);
    let (a, b) = (Hash::of(b"ours"), Hash::of(b"theirs"));
    sync.handle(now, Input::Digest { conn, space, theirs: b, ours: a }, &mut out);
    loop {
        let mut inputs = Vec::new();
        for act in out.drain() {
            match act {
                Act::Seal(conn, space) => inputs.push(Input::Sealed(conn, space, ours.clone())),
                Act::Sketch(conn, space, cells) => {
                    let answer = theirs.sketch(cells as usize);
                    bill.trip(
                        &Frame::Sketch(space.clone(), cells),
                        &Frame::Sketched(space.clone(), answer.clone().into()),
                    );
                    inputs.push(Input::Sketched(conn, space, answer));
                }
                Act::Compare(conn, space, message) => {
                    let answer = theirs.sealed.answer(&message).unwrap_or_default();
                    let frame = Frame::Compared(space.clone(), Bytes::from(answer.clone()));
                    bill.trip(&Frame::Compare(space.clone(), message.into()), &frame);
                    inputs.push(Input::Compared(conn, space, answer));
                }
                Act::Push(.., names) => bill.have += names.len(),
                Act::Want(_, space, names) => {
                    bill.need += names.len();
                    bill.wanted += Frame::Want(space, names).encode().len();
                }
                Act::WantShort(_, space, names) => {
                    bill.need += names.len();
                    bill.wanted += Frame::want_short(space, &names).encode().len();
                }
                Act::Done { by_sketch, .. } => bill.by_sketch = by_sketch,
                Act::AskDigest(..) | Act::Blame(..) => {}
            }
        }
        if inputs.is_empty() {
            return bill;
        }
        inputs.into_iter().for_each(|input| sync.handle(now, input, &mut out));
    }
}

impl Bill {
    fn trip(&mut self, question: &Frame, answer: &Frame) {
        self.trips += 1;
        self.asked += question.encode().len();
        self.answered += answer.encode().len();
    }
}
