//! What goes wrong in a life beside power and cuts: clogged links, bad disks, hosts that drift, disks of the past,
//! clones, members that leave or turn hostile; and what people do about it in the end.
//!
//! Disks that lose what they said was durable, and keys in two hands, are faults that cost a member its place: they
//! meet only members through which no operator works. Invariant: at the end every member that may have been
//! compromised is revoked, or takes part like any other.

use std::collections::{BTreeMap, BTreeSet};

use vigo_base::Time;
use vigo_base::time::{Micros, millis, mins, secs};
use vigo_node::boot::meta;
use vigo_node::crdt::Unverified;
use vigo_node::{Command, Reply};

use super::Scenario;
use crate::Ix;
use crate::disk::{Disk, Nature, Rot};
use crate::hostile::Behaviour;
use crate::machine::Power;

/// What a life remembers of its troubles.
#[derive(Debug, Default)]
pub(crate) struct Lore {
    /// Until when the network stays as it is.
    stable: Time,
    /// Disks of the past.
    images: BTreeMap<Ix, Disk>,
    /// Members whose key may be in two hands: rolled back, on a bad disk, cloned, hostile.
    suspects: BTreeSet<Ix>,
    /// Those of them that are to be revoked in any case.
    lost: BTreeSet<Ix>,
    clones: BTreeSet<Ix>,
    /// Since when a machine's host has been edited, and in which life of it.
    pub(super) drifted: BTreeMap<Ix, (Time, u64)>,
    /// When people began to clean up, and when they looked last for newcomers that fell.
    cleaning: Option<Time>,
    looked: Time,
}

impl Scenario {
    /// Whether the network may change: a partition lasts at least as long as its window.
    pub(super) fn may_change(&mut self) -> bool {
        if self.fleet.now() < self.lore.stable {
            self.fleet.reach("a partition held its window");
            return false;
        }
        let window = self.dice.below(self.life.stable.max(1));
        self.lore.stable = self.fleet.now().after(window);
        true
    }

    /// A member that may lose its place, and is not lost yet.
    fn spare(&mut self) -> Option<Ix> {
        let gone = |ix: &Ix| self.revoked.contains(ix) || self.lore.lost.contains(ix);
        let left: Vec<Ix> = self.doomed.iter().copied().filter(|ix| !gone(ix)).collect();
        self.dice.pick(&left).copied()
    }

    /// One half hears the other, and is not heard.
    pub(super) fn half_deaf(&mut self) {
        if !self.may_change() {
            return;
        }
        let (mut deaf, mut others) = (Vec::new(), Vec::new());
        for ix in self.members.clone() {
            if self.dice.one_in(2) { deaf.push(ix) } else { others.push(ix) }
        }
        for to in &deaf {
            others.iter().for_each(|from| self.fleet.cut_one_way(*from, *to));
        }
        if !deaf.is_empty() && !others.is_empty() {
            self.fleet.reach("partition one way");
        }
    }

    /// Queues between some machines stall, in one direction or both.
    pub(super) fn clog(&mut self) {
        let members = self.members.clone();
        for _ in 0..members.len() {
            let two = (self.dice.pick(&members).copied(), self.dice.pick(&members).copied());
            let (Some(from), Some(to)) = two else { return };
            let lasts = millis(300) + self.dice.below(secs(9));
            self.fleet.clog(from, to, lasts);
        }
    }

    /// Somebody's disk becomes slow, or quick again.
    pub(super) fn slow_disk(&mut self) {
        let Some(ix) = self.dice.pick(&self.members.clone()).copied() else { return };
        let slow = match self.dice.below(4) {
            0 => (0, 0),
            1 => (millis(1), millis(40)),
            2 => (millis(20), millis(400)),
            _ => (millis(100), secs(3)),
        };
        self.fleet.machine_mut(ix).disk.nature.slow = slow;
    }

    /// Bytes change at rest: records of others, values, blobs. It shows at the next start, or when a blob is read.
    pub(super) fn rot(&mut self) {
        let Some(ix) = self.dice.pick(&self.members.clone()).copied() else { return };
        let me = self.fleet.key(ix);
        let disk = &self.fleet.machine(ix).disk;
        let foreign = |bytes: &[u8]| {
            Unverified::decode(bytes).and_then(Unverified::trusted).is_ok_and(|r| r.author() != me)
        };
        // What nobody else has would be gone, as it would be in the world.
        let others: Vec<&Disk> = self
            .at_hand()
            .into_iter()
            .filter(|at| *at != ix)
            .map(|at| &self.fleet.machine(at).disk)
            .collect();
        let blobs =
            disk.blobs.keys().filter(|hash| others.iter().any(|other| other.blobs.contains_key(*hash)));
        let mut rots: Vec<Rot> = blobs.map(|hash| Rot::Blob(*hash)).collect();
        let records =
            disk.records.iter().filter(|(id, _)| others.iter().any(|other| other.records.contains_key(*id)));
        rots.extend(records.filter(|(_, bytes)| foreign(bytes)).map(|(id, _)| Rot::Record(*id)));
        let values = [meta::RUN, meta::FLOOR, meta::SPANNER, meta::BOOK];
        // Whom nobody can dial, and who has no address of anybody, is alone for good: docs/simulation.md.
        let some = if self.fleet.net.accepts(ix) { &values[..] } else { &values[..3] };
        rots.extend(some.iter().map(|key| Rot::Meta((*key).to_string())));
        for _ in 0..=self.dice.below(3) {
            if let Some(what) = self.dice.pick(&rots).cloned()
                && self.fleet.machine_mut(ix).disk.rots(what)
            {
                self.fleet.reach("rot at rest");
            }
        }
        if self.dice.one_in(2) && self.fleet.machine(ix).power() == Power::On && !self.fleet.is_hostile(ix) {
            self.fleet.kill(ix);
            self.fleet.start(ix);
        }
    }

    /// A disk that lies about what is durable, or tears what it writes: power goes soon.
    pub(super) fn bad_disk(&mut self) {
        let Some(ix) = self.spare().filter(|ix| self.fleet.machine(*ix).power() == Power::On) else { return };
        self.lore.suspects.insert(ix);
        let lies = self.dice.one_in(2);
        let nature = &mut self.fleet.machine_mut(ix).disk.nature;
        *nature = Nature { lies, tears: !lies, slow: (millis(1), millis(60)) };
        let outputs = 20 + self.dice.below(60);
        self.fleet.kill_after(ix, outputs);
    }

    /// Somebody edits or removes a file that the policy manages.
    pub(super) fn drift(&mut self) {
        let members = self.standing();
        let Some(ix) = self.dice.pick(&members).copied() else { return };
        if self.fleet.file(ix, "/etc/motd").is_none() {
            return;
        }
        self.texts += 1;
        let (erase, text) = (self.dice.one_in(3), format!("by hand {}\n", self.texts));
        let host = &mut self.fleet.machine_mut(ix).host;
        if erase {
            host.erase("/etc/motd")
        } else {
            host.drift("/etc/motd", text)
        }
        let life = self.fleet.machine(ix).life;
        self.lore.drifted.insert(ix, (self.fleet.now(), life));
        self.fleet.reach("a host drifted");
    }

    /// An image of a disk is taken, or put back.
    pub(super) fn roll_back(&mut self) {
        let Some(ix) = self.spare() else { return };
        let image = self.lore.images.remove(&ix).filter(|_| !self.fleet.is_hostile(ix));
        let Some(image) = image else {
            let disk = self.fleet.machine(ix).disk.clone();
            self.lore.images.insert(ix, disk);
            return;
        };
        self.fleet.kill(ix);
        self.fleet.roll_back(ix, image);
        self.lore.suspects.insert(ix);
        self.fleet.start(ix);
    }

    /// A second machine starts from a copy of a member's disk.
    pub(super) fn clone_some(&mut self) {
        let Some(ix) = self.spare().filter(|ix| !self.fleet.is_hostile(*ix)) else { return };
        if self.fleet.machines.len() >= self.life.nodes.1 + 4 {
            return;
        }
        let copy = self.fleet.clone_machine(ix);
        self.fleet.start(copy);
        self.lore.clones.insert(copy);
        self.lore.suspects.insert(ix);
        self.lore.lost.insert(ix);
        self.fleet.reach("a machine was cloned");
    }

    /// A member is switched off for good, and revoked.
    pub(super) fn leave(&mut self) {
        let Some(ix) = self.spare().filter(|_| self.dice.one_in(2)) else { return };
        if self.put_out(ix) {
            self.fleet.kill(ix);
            self.fleet.reach("a member left");
        }
    }

    /// A member turns hostile, in a way of its own.
    pub(super) fn turn_hostile(&mut self) {
        let Some(ix) = self.spare().filter(|ix| self.fleet.machine(*ix).power() == Power::On) else { return };
        let Some(behaviour) = self.dice.pick(&Behaviour::ALL).copied() else { return };
        self.turn(ix, behaviour);
    }

    /// A member turns hostile in this way.
    pub(super) fn turn_into(&mut self, behaviour: Behaviour) {
        let spare = self.spare().filter(|ix| self.fleet.machine(*ix).power() == Power::On);
        if let Some(ix) = spare {
            self.turn(ix, behaviour);
        }
    }

    fn turn(&mut self, ix: Ix, behaviour: Behaviour) {
        self.fleet.plug.remove(&ix);
        self.fleet.turn_hostile(ix, behaviour);
        self.lore.suspects.insert(ix);
        self.lore.lost.insert(ix);
    }

    /// Revokes a node through a bolt that is at hand; whether that is durable.
    pub(super) fn put_out(&mut self, victim: Ix) -> bool {
        let bolts: Vec<Ix> = self.at_hand().into_iter().filter(|ix| self.bolts.contains(ix)).collect();
        let Some(at) = self.dice.pick(&bolts).copied() else { return false };
        let key = self.fleet.key(victim);
        self.fleet.plug.remove(&at);
        let operator = self.fleet.operator.clone();
        let Some(signer) = self.fleet.try_signer(at, &operator) else { return false };
        let Ok(signed) = signer.revoke(&[key], "lost") else { return false };
        let revoked = self.fleet.try_submit(at, &signed) == Some(true);
        if revoked {
            self.revoked.insert(victim);
            self.fleet.reach("node revoked");
        }
        revoked
    }

    /// The faults stop: disks are quick and honest, and whoever is hostile or in two places is put out.
    pub(super) fn clean_up(&mut self) {
        for machine in &mut self.fleet.machines {
            machine.disk.nature = Nature::default();
        }
        self.lore.stable = self.fleet.now();
        self.lore.cleaning = Some(self.fleet.now());
        self.judge_suspects();
    }

    /// Puts out who must go, and who is suspended since: as the warning says that names it.
    pub(super) fn judge_suspects(&mut self) {
        let left: Vec<Ix> = self.lore.suspects.difference(&self.revoked).copied().collect();
        self.miss_the_fallen();
        if self.lore.cleaning.is_none() || left.is_empty() {
            return;
        }
        let suspended = self.suspended();
        for ix in left {
            let fallen = suspended.contains(&self.fleet.machine(ix).name);
            if fallen {
                self.fleet.reach("a key in two hands was suspended");
            }
            if fallen || self.lore.lost.contains(&ix) {
                self.put_out(ix);
            }
        }
    }

    /// Whoever was let in by a bolt that was revoked since, by somebody who had not heard of it, is no member: as the
    /// design wants it, and it must be invited again. A minute after the faults.
    fn miss_the_fallen(&mut self) {
        let now = self.fleet.now();
        let begun = self.lore.cleaning.is_some_and(|since| now.since(since) >= mins(1));
        if !begun || !self.a_bolt_is_out() || now.since(self.lore.looked) < mins(1) {
            return;
        }
        self.lore.looked = now;
        for ix in self.unlisted_newcomers() {
            self.members.retain(|member| *member != ix);
            self.fleet.reach("a newcomer fell with its bolt");
        }
    }

    fn a_bolt_is_out(&self) -> bool {
        self.revoked.iter().any(|ix| self.bolts.contains(ix))
    }

    /// Newcomers in standing whom a bolt does not list as active; only where a bolt was revoked.
    pub(super) fn unlisted_newcomers(&mut self) -> Vec<Ix> {
        if !self.a_bolt_is_out() {
            return Vec::new();
        }
        let bolt = self.at_hand().into_iter().find(|ix| self.bolts.contains(ix));
        let Some(Ok(Reply::Members(rows))) = bolt.and_then(|at| self.fleet.try_call(at, Command::Members))
        else {
            return Vec::new();
        };
        let unlisted = |name: &str| {
            name.starts_with("new") && !rows.iter().any(|row| row.name == name && row.state == "active")
        };
        self.standing().into_iter().filter(|ix| unlisted(&self.fleet.machine(*ix).name)).collect()
    }

    /// The members that some bolt lists as suspended.
    fn suspended(&mut self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for ix in self.at_hand().into_iter().filter(|ix| self.bolts.contains(ix)).collect::<Vec<_>>() {
            if let Some(Ok(Reply::Members(rows))) = self.fleet.try_call(ix, Command::Members) {
                names.extend(rows.into_iter().filter(|row| row.state == "suspended").map(|row| row.name));
            }
        }
        names
    }

    /// The longest that the network stays as it is after it changed.
    pub(super) const WINDOW: Micros = secs(20);
}
