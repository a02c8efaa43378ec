//! The real world behind the driver: the store, the peer channel, the effects, the log.
//!
//! It performs outputs and decides nothing. Only the commit waits for anything (the disk). Invariant: what it
//! says of a failed commit names the directory and what to do.

use std::sync::Arc;
use std::time::Duration;

use vigo_base::text::escaped;
use vigo_node::io::{Event, Output, StoreOp};

use crate::beacon::Beacons;
use crate::channel::{Channel, ConnId, SendError, code};
use crate::driver::{Trouble, World};
use crate::effects::Effects;
use crate::gossip::Gossip;
use crate::network::Network;
use crate::store::{Store, StoreError};

/// Who is told of events beside the log.
pub type Listener = Box<dyn FnMut(&Event) + Send>;

/// What reaches other machines.
pub struct Planes {
    /// The peer channel.
    pub channel: Channel,
    /// Its dials.
    pub network: Arc<Network>,
    /// The gossip plane.
    pub gossip: Gossip,
    /// The beacon.
    pub beacons: Beacons,
}

/// Everything the node's outputs are done with.
pub struct Machinery {
    store: Store,
    planes: Planes,
    effects: Effects,
    listener: Listener,
}

impl Machinery {
    /// The store, the ways to others and the work that takes time; `listener` is told of every event.
    pub fn new(store: Store, planes: Planes, effects: Effects, listener: Listener) -> Machinery {
        Machinery { store, planes, effects, listener }
    }

    fn send(&self, conn: ConnId, frame: Arc<[u8]>) {
        // A connection that is gone tells so itself, by its `Down`; so does one whose queue was full.
        if let Err(error @ SendError::BadLength { .. }) = self.planes.channel.send(conn, frame) {
            tracing::error!(%error, "the node made a frame that cannot be sent; please report it");
        }
    }
}

impl World for Machinery {
    fn commit(&mut self, ops: &[StoreOp]) -> Result<(), Trouble> {
        self.store.commit(ops).map_err(|e| trouble(&e))
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Dial { address, expect } => self.planes.network.dial(address, expect),
            Output::Admit { conn } => self.planes.channel.admit(ConnId(conn.0)),
            Output::Extend { conn, seconds } => {
                self.planes.channel.extend(ConnId(conn.0), Duration::from_secs(seconds));
            }
            Output::Send { conn, frame } => self.send(ConnId(conn.0), frame),
            Output::HangUp { conn, why } => {
                let code = if why.is_empty() { code::BYE } else { code::FIRST_FREE };
                self.planes.channel.hang_up(ConnId(conn.0), code, &why);
            }
            Output::GossipDial { key, address } => self.planes.gossip.dial(key, address),
            Output::GossipCut { key, refuse, why } => {
                self.planes.gossip.cut(key, Duration::from_secs(refuse), why);
            }
            Output::Gossip { bytes } => self.planes.gossip.say(bytes),
            Output::GossipVerdict { message, verdict } => self.planes.gossip.verdict(message, verdict),
            Output::Answer { ask, answer } => self.effects.answer(ask, answer),
            Output::Begin { op, effect } => self.effects.begin(op, effect),
            Output::Beacon { interface, from, bytes } => self.planes.beacons.send(interface, from, bytes),
            Output::Inform(evidence) => self.effects.inform(evidence),
            Output::Emit(event) => {
                log(&event);
                (self.listener)(&event);
            }
            // The driver does these itself.
            Output::Persist(_) | Output::Reply { .. } => {}
        }
    }
}

/// What an error of the store means for going on.
pub fn trouble(error: &StoreError) -> Trouble {
    let (what, hint, fatal) = match error {
        StoreError::DiskFull { place } => (
            format!("cannot write to {place}: no space left on the disk"),
            "free some space: the node goes on by itself, and nothing it acknowledged is lost",
            false,
        ),
        StoreError::Denied { place, source, .. } => (
            format!("cannot write to {place}: {source}"),
            "make it writable for the user that runs vigo: the node goes on by itself",
            false,
        ),
        StoreError::Io { place, source, .. } => (
            format!("cannot write to {place}: {source}"),
            "look at the disk (`dmesg`): the node tries again by itself",
            false,
        ),
        StoreError::Locked { .. } => {
            (error.to_string(), "stop the other one: the node goes on by itself", false)
        }
        StoreError::Damaged { .. } => (error.to_string(), "restart the node", true),
        StoreError::TooLarge { .. } | StoreError::WrongId { .. } => (
            error.to_string(),
            "this is a mistake in this program; please report it, and restart the node",
            true,
        ),
    };
    Trouble { what, hint: hint.to_string(), fatal }
}

/// One line in the log for each event. What came from outside is shown escaped.
fn log(event: &Event) {
    match event {
        Event::Joined { name, spanner } => tracing::info!(name, spanner, "joined the fleet"),
        Event::JoinRefused { why } => tracing::error!(why = escaped(why), "joining was refused"),
        Event::JoinPending { spanner, words } => tracing::info!(spanner, words, "an operator has to approve"),
        Event::FleetsFound(fleets) => {
            tracing::info!(found = fleets.len(), "fleets on this machine's networks")
        }
        Event::PeerKnown { name, key } => tracing::info!(name = escaped(name), ?key, "a peer's papers hold"),
        Event::PeerRefused { key, why } => tracing::warn!(?key, why = escaped(why), "a peer was turned away"),
        Event::Misbehaved { key, what } => tracing::warn!(?key, what = escaped(what), "a peer misbehaved"),
        Event::Arrived { space, id, at, by } => {
            tracing::debug!(space, %id, micros = at.0, ?by, "a statement arrived");
        }
        Event::Epoch { epoch, id } => tracing::info!(epoch, ?id, "a new head of configuration"),
        Event::Ran { epoch, changed, failed, millis } if *failed > 0 => {
            tracing::warn!(epoch, changed, failed, millis, "a run ended with failed steps");
        }
        Event::Ran { epoch, changed, failed, millis } => {
            tracing::info!(epoch, changed, failed, millis, "a run ended");
        }
        Event::Fork { loser } => tracing::warn!(?loser, "two publishes of one epoch: publish again on both"),
        Event::Cloned { key } => {
            tracing::error!(?key, "one key in two places: revoke it, let the machine join anew")
        }
        Event::JoinTurnedDown { key, name, why } => {
            tracing::warn!(?key, name = escaped(name), why = escaped(why), "a machine may not join");
        }
        Event::Alarm { bolt, what } => {
            tracing::error!(?bolt, what = escaped(what), "an audit log was tampered with");
        }
        Event::EffectRefused { what, why } => {
            tracing::error!(what = escaped(what), why = escaped(why), "the applier refused an effect");
        }
        Event::Expelled { why } => {
            tracing::error!(why = escaped(why), "this node does not take part any more")
        }
        Event::Note(text) => tracing::info!("{}", escaped(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_with_its_place_and_what_to_do() {
        let full = trouble(&StoreError::DiskFull { place: "/var/lib/vigo".into() });
        assert_eq!(
            full.to_string(),
            "cannot write to /var/lib/vigo: no space left on the disk; free some space: the node goes on by itself, \
             and nothing it acknowledged is lost"
        );
        assert!(!full.fatal);
        let damaged = trouble(&StoreError::Damaged { place: "/x".into(), why: "y".into() });
        assert!(damaged.fatal && damaged.to_string().ends_with("restart the node"));
    }
}
