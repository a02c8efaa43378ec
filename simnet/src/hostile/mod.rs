//! Machines gone bad: members with good papers that behave as they like.
//!
//! A hostile machine keeps its key, its papers and its disk, and takes part by frames alone: it connects to members,
//! shows its papers, and does what its [`Behaviour`] says, again and again, until it is killed or revoked. Two
//! behaviours (`withhold`, `rot`) are a shipped node that is tampered with on the way out. What it made that must count
//! nowhere is noted in `Fleet::forged`, so that a check can look for it. It cannot break a signature, and holds no key
//! but its own.
//!
//! Machines can also be played by hand, by a story: [`Fleet::play_by_hand`].

mod acts;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use vigo_base::time::{millis, secs};
use vigo_node::boot::meta;
use vigo_node::crdt::Unverified;
use vigo_node::sign::Signer;
use vigo_node::swarm::frame::{Bytes, Frame, Hello, VERSION};
use vigo_node::swarm::ids::ConnId;
use vigo_node::{Command, Input, Reply};

use crate::fleet::Event;
use crate::machine::Power;
use crate::net::Net;
use crate::{Fleet, Ix};

/// Connections that a hostile machine keeps.
const CONNS: usize = 4;
/// Acts after each of which a hostile machine slows down to half.
const BURST: u64 = 400;
/// Frames of others that it remembers.
const HEARD: usize = 64;

/// How a machine is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Behaviour {
    /// Changes records of others, and signs what it has no right to: publishes, admissions.
    Forge,
    /// Says again what others said, late, out of order and to everybody.
    Replay,
    /// Takes part, and passes no record on.
    Withhold,
    /// Tells different peers different things under one sequence.
    Equivocate,
    /// Sends as many small records of its own as it can, and frames that are none.
    Flood,
    /// Serves chunks that do not have their names.
    Rot,
    /// Says again and again that it holds nothing, and offers what is long superseded.
    Stale,
}

impl Behaviour {
    /// All of them.
    pub const ALL: [Behaviour; 7] = [
        Behaviour::Forge,
        Behaviour::Replay,
        Behaviour::Withhold,
        Behaviour::Equivocate,
        Behaviour::Flood,
        Behaviour::Rot,
        Behaviour::Stale,
    ];

    /// What scenario files call it.
    pub fn word(self) -> &'static str {
        match self {
            Behaviour::Forge => "forge",
            Behaviour::Replay => "replay",
            Behaviour::Withhold => "withhold",
            Behaviour::Equivocate => "equivocate",
            Behaviour::Flood => "flood",
            Behaviour::Rot => "rot",
            Behaviour::Stale => "stale",
        }
    }

    /// What it is called in [`Fleet::reached`].
    pub fn name(self) -> &'static str {
        match self {
            Behaviour::Forge => "a hostile member forged",
            Behaviour::Replay => "a hostile member replayed",
            Behaviour::Withhold => "records withheld",
            Behaviour::Equivocate => "a hostile member equivocated",
            Behaviour::Flood => "a hostile member flooded",
            Behaviour::Rot => "rotten chunk",
            Behaviour::Stale => "a hostile member was stale",
        }
    }
}

/// A machine that is played.
#[derive(Debug)]
pub(crate) struct Hostile {
    behaviour: Behaviour,
    /// Frames with records that others sent.
    heard: VecDeque<Vec<u8>>,
    /// Its connections, and at whom they end.
    conns: BTreeMap<ConnId, Ix>,
    /// What signs for it as if it were an operator.
    signer: Option<Signer>,
    /// How often it did something.
    acts: u64,
}

impl Fleet {
    /// A member turns hostile. It goes on until it is killed.
    pub fn turn_hostile(&mut self, ix: Ix, behaviour: Behaviour) {
        self.reach("a member turned hostile");
        match behaviour {
            Behaviour::Withhold => return self.machines[ix].withholds = true,
            Behaviour::Rot => return self.machines[ix].lies = true,
            _ => {}
        }
        // With its own key, and all that a node tells an operator.
        let operator = self.operator.public();
        let signer = match self.try_call(ix, Command::Context { key: operator }) {
            Some(Ok(Reply::Context(context))) => Some(Signer::new(self.secret(ix), *context)),
            _ => None,
        };
        self.kill(ix);
        let machine = &mut self.machines[ix];
        (machine.played, machine.inbox) = (true, Some(Vec::new()));
        let (heard, conns) = (VecDeque::new(), BTreeMap::new());
        self.hostile.insert(ix, Hostile { behaviour, heard, conns, signer, acts: 0 });
        let life = self.machines[ix].life;
        self.world.after(secs(1), Event::Hostile(ix, life));
    }

    /// It hears what came, keeps its connections, and does what it does.
    pub(crate) fn act_hostile(&mut self, ix: Ix) {
        let Some(mut hostile) = self.hostile.remove(&ix) else { return };
        self.hear_hostile(ix, &mut hostile);
        self.connect_hostile(ix, &mut hostile);
        hostile.acts += 1;
        if !hostile.conns.is_empty() {
            self.misbehave(ix, &mut hostile);
        }
        // For hours on end it goes on in bursts that are further and further apart, up to a minute.
        let pause = (millis(200) + self.dice.below(millis(1_500))) << (hostile.acts / BURST).min(6);
        let life = self.machines[ix].life;
        self.world.after(pause, Event::Hostile(ix, life));
        self.hostile.insert(ix, hostile);
    }

    fn hear_hostile(&mut self, ix: Ix, hostile: &mut Hostile) {
        for input in self.machines[ix].inbox.as_mut().map(std::mem::take).unwrap_or_default() {
            match input {
                Input::PeerUp { conn, .. } => {
                    if let Some((peer, _)) = self.net.peer(ix, conn) {
                        hostile.conns.insert(conn, peer);
                        let hello = self.hello_by_hand(ix);
                        self.send(ix, conn, &hello);
                    }
                }
                Input::PeerDown { conn, .. } => drop(hostile.conns.remove(&conn)),
                Input::Frame { bytes, .. } if matches!(Frame::decode(&bytes), Ok(Frame::Push(_))) => {
                    hostile.heard.push_back(bytes);
                    hostile.heard.drain(..hostile.heard.len().saturating_sub(HEARD));
                }
                _ => {}
            }
        }
        hostile.conns.retain(|conn, _| self.net.peer(ix, *conn).is_some());
    }

    fn connect_hostile(&mut self, ix: Ix, hostile: &mut Hostile) {
        let target = self.dice.below(self.machines.len() as u64) as usize;
        let known = hostile.conns.values().any(|peer| *peer == target);
        let up = self.machines[target].node.is_some() && self.net.accepts(target);
        if hostile.conns.len() < CONNS && target != ix && !known && up && self.net.both_ways(ix, target) {
            let conn = self.connect_by_hand(ix, target);
            hostile.conns.insert(conn, target);
            let hello = self.hello_by_hand(ix);
            self.send(ix, conn, &hello);
        }
    }

    /// A greeting with the papers of a machine that is played, which says that it holds nothing.
    fn hello_by_hand(&self, ix: Ix) -> Vec<u8> {
        let papers = self.machines[ix].disk.meta.get(meta::PAPERS).cloned().unwrap_or_default();
        let hello = Hello {
            version: VERSION,
            papers: Bytes::from(papers),
            addresses: Vec::new(),
            digests: Vec::new(),
            your_heads: Vec::new(),
            gossip: None,
            features: 0,
        };
        Frame::Hello(hello).encode()
    }

    /// Takes a member's node away and plays it by hand: connects to these nodes and shows them its papers.
    pub fn play_by_hand(&mut self, ix: Ix, targets: &[Ix]) -> Vec<ConnId> {
        self.kill(ix);
        self.elapse(secs(2));
        self.machines[ix].inbox = Some(Vec::new());
        let frame = self.hello_by_hand(ix);
        let conns: Vec<ConnId> = targets.iter().map(|target| self.connect_by_hand(ix, *target)).collect();
        conns.iter().for_each(|conn| self.send(ix, *conn, &frame));
        self.elapse(secs(1));
        conns
    }

    /// A member played by hand connects to a node; gives its end of the connection.
    pub fn connect_by_hand(&mut self, ix: Ix, target: Ix) -> ConnId {
        let keys = (self.machines[ix].key.public(), self.machines[target].key.public());
        let (mine, theirs, exporter) = self.net.connect(ix, target, keys);
        let address = Net::address(ix);
        self.input(target, Input::PeerUp { conn: theirs, key: keys.0, dialed: false, address, exporter });
        mine
    }

    /// A member played by hand sends a frame, whatever it is; false if the connection is gone.
    pub fn send_by_hand(&mut self, ix: Ix, conn: ConnId, frame: &[u8]) -> bool {
        if self.net.peer(ix, conn).is_none() {
            return false;
        }
        self.send(ix, conn, frame);
        true
    }

    /// What a machine's disk holds of what was forged: a few words on it.
    pub fn forged_on(&self, ix: Ix) -> Option<&'static str> {
        if self.forged.is_empty() {
            return None;
        }
        // A record goes by its own id, a statement by its id whatever record brought it. What a machine wrote while it
        // was hostile stays on its own disk.
        let me = self.machines[ix].key.public();
        let named = |bytes: &Arc<[u8]>| {
            let record = Unverified::decode(bytes).ok()?;
            let names = [record.id(), record.key()];
            (record.trusted().ok()?.author() != me).then_some(names)
        };
        let names = self.machines[ix].disk.records.values().filter_map(named).flatten();
        names.filter_map(|id| self.forged.get(&id)).next().copied()
    }

    /// Whether a machine is played by a behaviour, or its node tampered with.
    pub fn is_hostile(&self, ix: Ix) -> bool {
        let machine = &self.machines[ix];
        machine.played || ((machine.withholds || machine.lies) && machine.power() == Power::On)
    }
}
