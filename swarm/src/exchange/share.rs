//! What one peer has of one blob, as far as we know, and when to ask it again.
//!
//! A share never decides what is fetched. Invariant: `useful` is false only if a search found nothing here that
//! we miss, and nothing changed since.

use std::collections::BTreeSet;

use vigo_base::Time;
use vigo_base::time::{Micros, millis, secs};

use crate::bitmap::Bitmap;
use crate::frame::{Bytes, Have};

/// How long an answer to "what do you have?" may take.
const ANSWER: Micros = secs(10);
/// How often a peer whose chunks we are still fetching is asked again, so that rarity stays true.
const REFRESH: Micros = secs(2);
/// How often a peer without anything for us is asked while the blob comes in.
const HURRY: Micros = millis(150);
/// Chunks that a peer claimed and did not have, beyond which its claim counts for nothing.
const SHUN: usize = 64;

/// What a peer has.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Holding {
    /// It has not said.
    Unknown,
    /// Nothing.
    Nothing,
    /// Everything.
    All,
    /// A map that cannot be read before the outline is known.
    Raw(Bytes),
    /// These chunks.
    Map(Bitmap),
}

#[derive(Debug, Clone)]
pub(super) struct Share {
    pub(super) holding: Holding,
    /// Chunks not to be asked for here: it did not have them after all, or sent wrong bytes.
    pub(super) shun: BTreeSet<u32>,
    /// Whether a search here may find something.
    pub(super) useful: bool,
    asked: Option<Time>,
    last: Time,
    next_ask: Time,
    quiet: u32,
}

impl Share {
    pub(super) fn new(now: Time) -> Share {
        Share {
            holding: Holding::Unknown,
            shun: BTreeSet::new(),
            useful: false,
            asked: None,
            last: Time(0),
            next_ask: now,
            quiet: 0,
        }
    }

    /// When to ask what the peer has; none if its answer would change nothing or is being waited for.
    pub(super) fn ask_at(&self, knows_outline: bool) -> Option<Time> {
        let busy = || self.next_ask.max(self.last.after(REFRESH));
        match (&self.holding, self.asked) {
            (_, Some(_)) => None,
            (Holding::Unknown | Holding::Nothing, None) => Some(self.next_ask),
            (Holding::All, None) => (!self.shun.is_empty()).then(busy),
            (Holding::Raw(_), None) => None,
            (Holding::Map(_), None) if !knows_outline => None,
            (Holding::Map(_), None) => Some(if self.useful { busy() } else { self.next_ask }),
        }
    }

    /// When an answer that is being waited for counts as lost.
    pub(super) fn answer_lost_at(&self) -> Option<Time> {
        self.asked.map(|at| at.after(ANSWER))
    }

    /// The peer was asked.
    pub(super) fn ask(&mut self, now: Time) {
        (self.asked, self.last) = (Some(now), now);
    }

    /// No answer came in time.
    pub(super) fn answer_lost(&mut self, now: Time) {
        self.asked = None;
        self.wait(now);
    }

    /// The peer said what it has; true if that is more than before. `chunks` is known with the outline.
    /// A map of the wrong length counts as nothing.
    pub(super) fn hear(&mut self, now: Time, have: Have, chunks: Option<u32>) -> bool {
        self.asked = None;
        let heard = match (have, chunks) {
            (Have::None, _) => Holding::Nothing,
            (Have::All, _) => Holding::All,
            (Have::Some(bytes), None) => Holding::Raw(bytes),
            (Have::Some(bytes), Some(chunks)) => read(&bytes, chunks),
        };
        let news = heard != self.holding && !matches!(heard, Holding::Nothing);
        self.shun.clear();
        self.useful |= news || matches!(heard, Holding::All);
        self.holding = heard;
        if news {
            self.quiet = 0;
            // A peer is asked at most so often that its maps cost it 20 KB/s.
            let bytes = match &self.holding {
                Holding::Map(map) => u64::from(map.len() / 8),
                _ => 0,
            };
            self.next_ask = now.after(millis(40) + bytes * 50);
        } else {
            self.wait(now);
        }
        news
    }

    /// Reads a map that came before the outline.
    pub(super) fn outline_known(&mut self, chunks: u32) {
        if let Holding::Raw(bytes) = &self.holding {
            self.holding = read(bytes, chunks);
        }
        self.useful = matches!(self.holding, Holding::All | Holding::Map(_));
    }

    /// The peer does not have `index` after all.
    pub(super) fn lacks(&mut self, now: Time, index: u32) {
        self.shun.insert(index);
        self.wait(now);
        if self.shun.len() > SHUN {
            self.deny(now);
        }
    }

    /// The peer has nothing for us, and asking again soon is no use.
    pub(super) fn deny(&mut self, now: Time) {
        self.holding = Holding::Nothing;
        self.shun.clear();
        self.useful = false;
        self.quiet = self.quiet.max(4);
        self.wait(now);
    }

    /// The blob is coming in, so others get it too: a peer with nothing for us is not left alone for long.
    pub(super) fn hurry(&mut self, now: Time) {
        self.next_ask = self.next_ask.min(now.after(HURRY)).max(self.last.after(HURRY));
    }

    /// Whether the peer said that it has `index`.
    pub(super) fn has(&self, index: u32) -> bool {
        let said = match &self.holding {
            Holding::All => true,
            Holding::Map(map) => map.has(index),
            _ => false,
        };
        said && !self.shun.contains(&index)
    }

    /// Whether the peer has said that it has at least a part, and so knows the outline.
    pub(super) fn has_some(&self) -> bool {
        matches!(self.holding, Holding::All | Holding::Map(_) | Holding::Raw(_))
    }

    /// Whether somebody else may have this one's place: it was asked, and has nothing to give.
    pub(super) fn is_idle(&self) -> bool {
        let nothing = matches!(self.holding, Holding::Nothing) || (self.quiet >= 3 && !self.useful);
        self.asked.is_none() && nothing
    }

    /// Waits longer each time an answer brings nothing new.
    fn wait(&mut self, now: Time) {
        let most = if self.has_some() { secs(4) } else { secs(15) };
        let pause = (millis(100) << self.quiet.min(10)).min(most);
        self.quiet = self.quiet.saturating_add(1);
        self.next_ask = now.after(pause);
    }
}

fn read(bytes: &[u8], chunks: u32) -> Holding {
    Bitmap::from_bytes(bytes, chunks).filter(|map| !map.is_empty()).map_or(Holding::Nothing, Holding::Map)
}
