//! What happens in a random life: what people do, and what breaks.

use std::collections::BTreeSet;

use serde_json::Value;
use vigo_base::time::{hours, mins};
use vigo_node::spanner::NodeKind;

use super::Scenario;
use crate::Ix;
use crate::faults::{Rates, Skew};
use crate::machine::Power;
use crate::model::{Signed, What};

/// Something that can happen in a life.
#[derive(Debug, Clone, Copy)]
pub struct Deed {
    /// What a life's weights call it.
    pub name: &'static str,
    /// What happens, in a few words.
    pub about: &'static str,
    /// How often it happens beside the others where a life says nothing else.
    pub often: u64,
    /// Lets it happen, if it can.
    pub act: fn(&mut Scenario),
}

const fn deed(name: &'static str, often: u64, about: &'static str, act: fn(&mut Scenario)) -> Deed {
    Deed { name, about, often, act }
}

/// Everything that can happen in a life. Plans of fleets name them as well; those of weight 0 are for plans.
pub const DEEDS: &[Deed] = &[
    deed(
        "publish",
        5,
        "an operator publishes through some node, which now and then loses power then",
        Scenario::publish,
    ),
    deed("set", 2, "an operator changes a setting through some node", Scenario::set),
    deed("join", 1, "a machine is invited and begins to join", Scenario::join),
    deed("revoke_node", 1, "a node is revoked", Scenario::revoke_node),
    deed("revoke_operator", 2, "the second operator is revoked, once", Scenario::revoke_operator),
    deed("kill", 2, "a machine loses power", Scenario::kill),
    deed("start", 2, "a machine that is off is switched on", Scenario::start),
    deed("crash", 2, "a machine loses power in the middle of what it does next", Scenario::crash),
    deed("split", 1, "the network falls into two halves", Scenario::split),
    deed("cut", 1, "about as many links are cut as there are machines", Scenario::cut_some),
    deed("one_way", 1, "one machine hears most of the others no more, and is heard", Scenario::one_way),
    deed(
        "half_deaf",
        1,
        "one half of the network hears the other no more, and is heard",
        Scenario::half_deaf,
    ),
    deed("clog", 1, "queues between some machines stall, and go on in a burst", Scenario::clog),
    deed("mend", 2, "some or all links are mended", Scenario::mend),
    deed("break", 1, "one connection in three breaks", Scenario::break_some),
    deed("clock", 1, "a clock is wrong from the next start on, or set while the node runs", Scenario::clock),
    deed("fail", 1, "fetches, commits, disks and replays begin or stop to fail at random", Scenario::failing),
    deed("slow_disk", 1, "a disk becomes slow, or quick again", Scenario::slow_disk),
    deed("bad_disk", 2, "a disk lies about what is durable or tears, and power goes", Scenario::bad_disk),
    deed("rot", 1, "bytes on a disk change at rest", Scenario::rot),
    deed("drift", 1, "somebody edits or removes a managed file", Scenario::drift),
    deed("roll_back", 1, "a disk is imaged, or an old image put back", Scenario::roll_back),
    deed("clone", 1, "a second machine starts from a copy of a disk", Scenario::clone_some),
    deed("leave", 1, "a member is revoked and switched off for good", Scenario::leave),
    deed("turn_hostile", 1, "a member turns hostile", Scenario::turn_hostile),
    deed(
        "publish_safely",
        0,
        "an operator publishes, and the node keeps its power",
        Scenario::publish_safely,
    ),
];

impl Scenario {
    fn pick(&mut self, among: &[Ix]) -> Option<Ix> {
        self.dice.pick(among).copied()
    }

    /// An operator: now and then the second, revoked or not.
    fn operator(&mut self) -> vigo_base::SecretKey {
        if self.dice.one_in(3) { self.second.clone() } else { self.fleet.operator.clone() }
    }

    /// Remembers what was signed, and whether the node said that it is durable.
    fn remember(&mut self, signed: Signed) {
        if !signed.acked {
            self.fleet.reach("signed and not acknowledged");
        }
        let fallen = self.model.fallen.as_ref().is_some_and(|(key, _)| *key == signed.signer);
        if fallen && signed.acked {
            self.fleet.reach("a revoked operator worked on");
        }
        self.model.signed.insert(signed.id, signed);
    }

    pub(super) fn publish(&mut self) {
        let hands = self.at_hand();
        let Some(at) = self.pick(&hands) else { return };
        let key = self.operator();
        if self.dice.one_in(6) {
            self.crash_of(at);
        }
        self.publish_at(at, key);
    }

    pub(super) fn publish_safely(&mut self) {
        let hands = self.at_hand();
        let Some(at) = self.pick(&hands) else { return };
        let key = self.operator();
        self.publish_at(at, key);
    }

    fn publish_at(&mut self, at: Ix, key: vigo_base::SecretKey) {
        self.texts += 1;
        let text = format!("v{}", self.texts);
        if let Some(p) = self.fleet.try_publish(at, &key, &text) {
            let what = What::Publish { epoch: p.at.epoch, text };
            let signer = key.public();
            self.remember(Signed { id: p.at.id, signer, after: p.after, acked: p.acked, what });
        }
    }

    pub(super) fn set(&mut self) {
        let hands = self.at_hand();
        let Some(at) = self.pick(&hands) else { return };
        let key = self.operator();
        let (name, value) = match self.dice.one_in(2) {
            true => ("converge.splay", self.dice.below(60)),
            false => ("convergence.diverged_threshold", 2 + self.dice.below(15)),
        };
        let Some(signer) = self.fleet.try_signer(at, &key) else { return };
        let Ok(signed) = signer.set(name, Some(&Value::from(value))) else { return };
        let generation = signer.context().generations.iter().find(|(k, _)| k == name).map_or(1, |g| g.1);
        let after = signer.context().tips.iter().find(|(s, _)| s == "settings").map(|t| t.1.clone());
        let Some(mut acked) = self.fleet.try_submit(at, &signed) else { return };
        // Somebody who is not sure hands it to another node too: one statement, two carriers.
        if self.dice.one_in(3)
            && let Some(other) = self.pick(&hands).filter(|other| *other != at)
            && let Some(also) = self.fleet.try_submit(other, &signed)
        {
            acked |= also;
            self.fleet.reach("handed to two nodes");
        }
        let what = What::Set { key: name, value, generation };
        let after = after.unwrap_or_default();
        self.remember(Signed { id: signed.id, signer: key.public(), after, acked, what });
    }

    pub(super) fn kill(&mut self) {
        let on = self.with_power(Power::On);
        if let Some(ix) = self.pick(&on) {
            self.fleet.kill(ix);
            self.fleet.reach("killed");
        }
    }

    pub(super) fn start(&mut self) {
        let off = self.with_power(Power::Off);
        if let Some(ix) = self.pick(&off) {
            self.fleet.start(ix);
            self.fleet.reach("restarted");
        }
    }

    fn with_power(&self, power: Power) -> Vec<Ix> {
        let is = |ix: &Ix| self.fleet.machine(*ix).power() == power;
        self.members.iter().chain(self.joining.keys()).copied().filter(is).collect()
    }

    /// Somebody loses power in the middle of what it is about to do.
    pub(super) fn crash(&mut self) {
        let on = self.with_power(Power::On);
        if let Some(ix) = self.pick(&on) {
            self.crash_of(ix);
        }
    }

    fn crash_of(&mut self, ix: Ix) {
        let outputs = self.dice.below(25);
        self.fleet.kill_after(ix, outputs);
        self.fleet.reach("crash in the middle of outputs");
    }

    pub(super) fn split(&mut self) {
        if !self.may_change() {
            return;
        }
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for ix in self.members.clone() {
            if self.dice.one_in(2) { left.push(ix) } else { right.push(ix) }
        }
        if !left.is_empty() && !right.is_empty() {
            self.fleet.partition(&left, &right);
            self.fleet.reach("partition");
        }
    }

    fn two(&mut self) -> Option<(Ix, Ix)> {
        let members = self.members.clone();
        let (a, b) = (self.pick(&members)?, self.pick(&members)?);
        (a != b).then_some((a, b))
    }

    pub(super) fn cut_some(&mut self) {
        if !self.may_change() {
            return;
        }
        for _ in 0..=self.members.len() {
            if let Some((a, b)) = self.two() {
                self.fleet.cut(a, b);
                self.fleet.reach("link cut");
            }
        }
    }

    pub(super) fn one_way(&mut self) {
        if !self.may_change() {
            return;
        }
        let members = self.members.clone();
        let Some(deaf) = self.pick(&members) else { return };
        for ix in members.into_iter().filter(|ix| *ix != deaf) {
            if self.dice.below(4) > 0 {
                self.fleet.cut_one_way(ix, deaf);
                self.fleet.reach("link cut one way");
            }
        }
    }

    pub(super) fn mend(&mut self) {
        if !self.may_change() {
            return;
        }
        if self.dice.one_in(2) {
            return self.fleet.heal();
        }
        for _ in 0..self.members.len() * 2 {
            if let Some((a, b)) = self.two() {
                self.fleet.mend(a, b);
            }
        }
    }

    pub(super) fn break_some(&mut self) {
        if self.fleet.break_connections(3) > 0 {
            self.fleet.reach("connections broken");
        }
    }

    /// A clock is wrong: from the next start on by a little on a bolt (which judges when invites end), by
    /// anything on an envoy; or set while the node runs.
    pub(super) fn clock(&mut self) {
        let members = self.members.clone();
        let Some(ix) = self.pick(&members) else { return };
        let minutes = mins(1) as i64;
        let ahead = match (self.bolts.contains(&ix), self.dice.below(3)) {
            (true, _) => self.dice.below(20) as i64 * minutes - 10 * minutes,
            (false, 0) => -(56 * 365 * hours(24) as i64),
            (false, 1) => 50 * 365 * hours(24) as i64,
            (false, _) => self.dice.below(120) as i64 * minutes - 60 * minutes,
        };
        if self.dice.one_in(3) && self.fleet.machine(ix).power() == Power::On {
            return self.fleet.set_wall_clock(ix, ahead);
        }
        let gains = self.dice.below(1_000) as i64 - 500;
        self.fleet.kill(ix);
        self.fleet.machine_mut(ix).clock = Skew { ahead, gains };
        self.fleet.start(ix);
        self.fleet.reach("wrong clock");
    }

    /// Fetches and disks begin to fail, or records to be replayed, or all that stops.
    pub(super) fn failing(&mut self) {
        let mut dice = self.dice.fork();
        let mut n = |most: u64| 2 + dice.below(most);
        self.fleet.faults = match n(5) {
            2 => self.life.faults,
            3 => Rates { fetch: n(3), replay: n(4), ..Rates::default() },
            4 => Rates { disk: n(3), replay: n(4), ..Rates::default() },
            5 => Rates { commit: n(6), replay: n(8), ..Rates::default() },
            _ => Rates { fetch: n(6), disk: n(6), replay: n(8), commit: 0 },
        };
    }

    pub(super) fn join(&mut self) {
        let (hands, bolts) = (self.at_hand(), self.bolts.clone());
        let near: Vec<Ix> = hands.into_iter().filter(|ix| bolts.contains(ix)).collect();
        let Some(at) = self.pick(&near) else { return };
        if self.joining.len() + self.members.len() >= self.life.nodes.1 || self.joining.len() >= 2 {
            return;
        }
        let name = format!("new{:02}", self.members.len() + self.joining.len());
        let until = self.fleet.now().after(mins(55));
        let Some(token) = self.fleet.try_invite(at, &name, NodeKind::Envoy) else { return };
        let ix = self.fleet.add(&name);
        self.fleet.enrol(ix, token, &name);
        self.joining.insert(ix, until);
    }

    /// Through a bolt, which knows what others spent.
    pub(super) fn revoke_node(&mut self) {
        let left: Vec<Ix> = self.doomed.difference(&self.revoked).copied().collect();
        if let Some(victim) = self.pick(&left).filter(|_| self.dice.one_in(3)) {
            self.put_out(victim);
        }
    }

    pub(super) fn revoke_operator(&mut self) {
        let hands = self.at_hand();
        let Some(at) = self.pick(&hands) else { return };
        if self.model.fallen.is_some() || !self.dice.one_in(2) {
            return;
        }
        self.fleet.plug.remove(&at);
        let operator = self.fleet.operator.clone();
        let Some(signer) = self.fleet.try_signer(at, &operator) else { return };
        let tips = &signer.context().tips;
        let seen: BTreeSet<_> =
            tips.iter().filter(|(s, _)| s != "admissions").flat_map(|(_, heads)| heads).copied().collect();
        let key = self.second_key();
        let Ok(signed) = signer.revoke(&[key], "gone") else { return };
        if self.fleet.try_submit(at, &signed) == Some(true) {
            self.model.fallen = Some((key, seen));
            self.fleet.reach("operator revoked");
        }
    }
}
