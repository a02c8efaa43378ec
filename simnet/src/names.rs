//! Asking by name: what gossipsub does about messages that its mesh has lost.
//!
//! At three heartbeats after a machine took a message it tells the name to some links to which it has not forwarded it;
//! who has not seen it asks, one at a time, and is sent it while it is kept. Heartbeats of a machine are a second
//! apart. Names and questions can be lost like messages, although on a real link, a stream, they are not.
//!
//! Invariant: only what a machine said itself or accepted is told of and sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use vigo_base::time::Micros;
use vigo_base::{Hash, Time};

use crate::fleet::Event;
use crate::gossipsub::{ASKED, BEAT, HISTORY, LAZY, NAME};
use crate::{Fleet, Ix};

/// Bytes of a name told or asked for alone.
const ALONE: usize = (NAME.0 + NAME.1) as usize;

/// What happens beside the mesh, to a machine if it is still the same life of it.
#[derive(Debug)]
pub(crate) enum Lazy {
    /// A heartbeat passes after a machine took a message.
    Beat(u32),
    /// A peer tells that it has it.
    Told(Ix),
    /// A peer asks for it.
    Asks(Ix),
}

/// A message that can be asked for, and the links to which it was not forwarded.
#[derive(Debug)]
struct Kept {
    bytes: Arc<[u8]>,
    outside: Vec<Ix>,
}

/// What each machine keeps to be asked for, and has asked for.
#[derive(Debug, Default)]
pub(crate) struct Names {
    kept: BTreeMap<(Ix, Hash), Kept>,
    asked: BTreeMap<(Ix, Hash), Time>,
}

impl Names {
    /// A machine's memory goes.
    pub fn forget(&mut self, ix: Ix) {
        self.kept.retain(|(at, _), _| *at != ix);
        self.asked.retain(|(at, _), _| *at != ix);
    }

    /// A machine has it now.
    pub fn came(&mut self, ix: Ix, name: Hash) {
        self.asked.remove(&(ix, name));
    }
}

impl Fleet {
    /// A machine took a message, and forwarded it to all links but these.
    pub(crate) fn keep_named(&mut self, ix: Ix, name: Hash, bytes: &Arc<[u8]>, outside: Vec<Ix>) {
        let kept = Kept { bytes: bytes.clone(), outside };
        if !kept.outside.is_empty() && self.mesh.names.kept.insert((ix, name), kept).is_none() {
            let after = self.dice.below(BEAT);
            self.lazily(after, ix, name, Lazy::Beat(0));
        }
    }

    fn lazily(&mut self, after: Micros, ix: Ix, name: Hash, what: Lazy) {
        let life = self.machines[ix].life;
        self.world.after(after, Event::Lazy { ix, life, name, what });
    }

    /// Something happens beside the mesh.
    pub(crate) fn lazy(&mut self, ix: Ix, name: Hash, what: Lazy) {
        match what {
            Lazy::Beat(beats) if beats >= HISTORY.1 => drop(self.mesh.names.kept.remove(&(ix, name))),
            Lazy::Beat(beats) => {
                if beats < HISTORY.0 {
                    self.tell_name(ix, name);
                }
                self.lazily(BEAT, ix, name, Lazy::Beat(beats + 1));
            }
            Lazy::Told(from) => {
                let now = self.now();
                let asked = self.mesh.names.asked.get(&(ix, name));
                let asked = asked.is_some_and(|at| now.since(*at) < ASKED);
                if !asked && !self.mesh.has_seen(ix, &name) && self.is_linked(ix, from) {
                    self.mesh.names.asked.insert((ix, name), now);
                    self.reach("asked for by name");
                    self.say_name(ix, from, name, Lazy::Asks(ix));
                }
            }
            Lazy::Asks(from) => {
                let kept = self.mesh.names.kept.get(&(ix, name)).map(|kept| kept.bytes.clone());
                if let Some(bytes) = kept.filter(|_| self.is_linked(ix, from)) {
                    self.gossip_send(ix, from, &bytes);
                }
            }
        }
    }

    fn tell_name(&mut self, ix: Ix, name: Hash) {
        let Some(kept) = self.mesh.names.kept.get(&(ix, name)) else { return };
        let mut outside = kept.outside.clone();
        self.dice.shuffle(&mut outside);
        let enough = LAZY.0.max(outside.len() / LAZY.1);
        for peer in outside.into_iter().take(enough) {
            if self.is_linked(ix, peer) {
                self.say_name(ix, peer, name, Lazy::Told(ix));
            }
        }
    }

    fn say_name(&mut self, ix: Ix, peer: Ix, name: Hash, what: Lazy) {
        if self.gossip_loses(ix, peer) {
            return self.reach("gossip lost");
        }
        self.meter.named(ALONE);
        let after = self.datagram(ix, peer, ALONE);
        self.lazily(after, peer, name, what);
    }
}
