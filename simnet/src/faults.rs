//! What goes wrong in a simulated world: cut and one-way links, broken connections, late copies of frames, failing
//! fetches and disks, wrong clocks, members gone bad.
//!
//! Every fault that is performed is counted in [`Fleet::reached`], so that a test can show that it was. A fault
//! only does what a real network, disk or machine can do: frames of one connection never overtake each other,
//! and a commit happens whole or not at all.

use vigo_base::time::{Micros, secs};
use vigo_base::{Dice, Hash, Time};
use vigo_node::swarm::frame::Frame;
use vigo_node::swarm::ids::ConnId;
use vigo_node::{Failed, Input, StoreOp};

use crate::disk::Disk;
use crate::fleet::Event;
use crate::machine::Power;
use crate::net::{NOTICE, Transit};
use crate::{Fleet, Ix};

/// How wrong a machine's clock is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skew {
    /// Microseconds ahead of the world's clock.
    pub ahead: i64,
    /// Microseconds gained in every second.
    pub gains: i64,
}

impl Skew {
    /// What the clock shows. It never shows less than one second after 1970.
    pub fn local(&self, world: Time) -> Time {
        let since = i64::try_from(world.0.saturating_sub(crate::fleet::BEGINNING.0)).unwrap_or(i64::MAX);
        let drift = (since / 1_000_000).saturating_mul(self.gains);
        Time(world.0.saturating_add_signed(self.ahead.saturating_add(drift)).max(1_000_000))
    }

    /// When, at about `now`, the clock will show `local`.
    pub(crate) fn world(&self, now: Time, local: Time) -> Time {
        let left = local.0.saturating_sub(self.local(now).0);
        let rate = u64::try_from(1_000_000_i64.saturating_add(self.gains)).unwrap_or(1).max(1);
        let whole = (left / rate).saturating_mul(1_000_000);
        now.after(whole + (left % rate).saturating_mul(1_000_000) / rate + u64::from(self.gains != 0))
    }
}

/// What fails at random: once in so many times, never if 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// Fetches of outlines and chunks.
    pub fetch: u64,
    /// Reads and writes of whole blobs.
    pub disk: u64,
    /// Frames with records that come a second time, late.
    pub replay: u64,
    /// Commits of the record store, each try of one.
    pub commit: u64,
}

impl Rates {
    /// Each by the name that files call it.
    pub(crate) fn named(&mut self) -> [(&'static str, &mut u64); 4] {
        [
            ("fetch", &mut self.fetch),
            ("disk", &mut self.disk),
            ("replay", &mut self.replay),
            ("commit", &mut self.commit),
        ]
    }
}

/// How the encoding of [`Frame::Push`] begins: an array of two, the number of the frame.
const PUSH: &[u8] = &[0x82, 7];

impl Fleet {
    /// What a machine's clock shows now.
    pub fn local(&self, ix: Ix) -> Time {
        self.machines[ix].clock.local(self.now())
    }

    /// Counts that something was reached.
    pub fn reach(&mut self, what: &'static str) {
        *self.reached.entry(what).or_default() += 1;
    }

    /// Cuts the link between two machines.
    pub fn cut(&mut self, a: Ix, b: Ix) {
        self.net.cut_one_way(a, b);
        self.cut_one_way(b, a);
    }

    /// Nothing that `from` sends reaches `to` any more; what `to` sends still arrives.
    pub fn cut_one_way(&mut self, from: Ix, to: Ix) {
        self.net.cut_one_way(from, to);
        self.world.after(NOTICE, Event::Notice);
    }

    /// Cuts every link between the two sides.
    pub fn partition(&mut self, left: &[Ix], right: &[Ix]) {
        for a in left {
            for b in right {
                self.cut(*a, *b);
            }
        }
    }

    /// Mends the link between two machines.
    pub fn mend(&mut self, a: Ix, b: Ix) {
        self.net.mend(a, b);
    }

    /// Mends every link.
    pub fn heal(&mut self) {
        self.net.mend_all();
    }

    /// Breaks about one in `n` of the connections that stand; the ends hear of it at different times.
    pub fn break_connections(&mut self, n: u64) -> u64 {
        let mut broken = 0;
        for (ix, conn) in self.net.all() {
            if !self.dice.one_in(n) {
                continue;
            }
            broken += 1;
            let Some((peer, other)) = self.net.close(ix, conn) else { continue };
            let (here, there) = (self.dice.below(secs(2)), self.dice.below(secs(20)));
            self.post(here, ix, Input::PeerDown { conn, why: "reset".into() });
            self.post(there, peer, Input::PeerDown { conn: other, why: "timed out".into() });
        }
        broken
    }

    /// Whether a connection between two machines stands.
    pub fn is_connected(&self, a: Ix, b: Ix) -> bool {
        self.net.of(a).iter().any(|(_, (peer, _))| *peer == b)
    }

    /// Another fleet of machines with the same keys and disks, all switched off.
    pub fn copy_of_disks(&self, seed: u64) -> Fleet {
        let mut copy = Fleet::new(seed);
        copy.gossips = self.gossips;
        (copy.operator, copy.recovery) = (self.operator.clone(), self.recovery.clone());
        for (ix, machine) in self.machines.iter().enumerate() {
            copy.add(&machine.name);
            copy.machines[ix].key = machine.key.clone();
            copy.machines[ix].disk = machine.disk.clone();
        }
        copy
    }

    pub(crate) fn send(&mut self, ix: Ix, conn: ConnId, frame: &[u8]) {
        let now = self.now();
        let Some((peer, other)) = self.net.peer(ix, conn) else { return };
        let arrives = self.net.arrival(now, (ix, conn), frame.len(), &mut self.dice);
        self.must_be_durable(ix, frame);
        if self.machines[ix].withholds && is_about_records(frame) {
            return self.reach("records withheld");
        }
        let Some(transit) = arrives.filter(|_| self.net.reaches(ix, peer)) else { return };
        let delay = self.count(transit);
        self.meter.frame(frame);
        if let Some(what) = crate::mixed::shown_by(frame) {
            self.reach(what);
        }
        self.post(delay, peer, Input::Frame { conn: other, bytes: frame.to_vec() });
        if one_in(&mut self.dice, self.faults.replay) && matches!(Frame::decode(frame), Ok(Frame::Push(_))) {
            self.reach("replayed records");
            let late = delay + self.dice.below(secs(10));
            self.post(late, peer, Input::Frame { conn: other, bytes: frame.to_vec() });
        }
    }

    /// How long something takes from one machine to another that is sent again when it is lost.
    pub(crate) fn transit(&mut self, from: Ix, to: Ix, bytes: usize) -> Micros {
        let now = self.now();
        let transit = self.net.stream(now, (from, to), bytes, &mut self.dice);
        self.count(transit)
    }

    /// How long something takes that is sent once.
    pub(crate) fn datagram(&mut self, from: Ix, to: Ix, bytes: usize) -> Micros {
        let now = self.now();
        let transit = self.net.datagram(now, (from, to), bytes, &mut self.dice);
        self.count(transit)
    }

    fn count(&mut self, transit: Transit) -> Micros {
        if transit.lost > 0 {
            self.reach("packet sent again");
        }
        if transit.clogged {
            self.reach("clogged link");
        }
        transit.delay
    }

    /// The queue from one machine to another stalls for so long; what is sent meanwhile comes in a burst.
    pub fn clog(&mut self, from: Ix, to: Ix, lasts: Micros) {
        let until = self.now().after(lasts);
        self.net.stall(from, to, until);
    }

    /// The driver's rule, from the other side: no node passes a record on before it is on its disk.
    fn must_be_durable(&mut self, ix: Ix, frame: &[u8]) {
        if !frame.starts_with(PUSH) || self.machines[ix].inbox.is_some() {
            return;
        }
        let Ok(Frame::Push(records)) = Frame::decode(frame) else { return };
        for bytes in &records {
            let id = Hash::of(bytes);
            let (machine, durable) = (&self.machines[ix], self.machines[ix].disk.has_kept(&id));
            assert!(durable, "{} passes on {id:?} before it is durable", machine.name);
        }
        self.reach("durable before it was passed on");
    }

    /// A machine's power goes: what its disk makes of that.
    pub(crate) fn loses_power(&mut self, ix: Ix, under_way: Option<Vec<StoreOp>>) {
        let disk = &mut self.machines[ix].disk;
        if let Some(what) = disk.lose_power(under_way, &mut self.dice) {
            self.reach(what);
            // What it saw is gone with its disk; what its applier keeps is not.
            self.machines[ix].heads.clear();
        }
    }

    /// A machine opens its store: what was damaged is dropped and named.
    pub(crate) fn opens(&mut self, ix: Ix) {
        let rotten = self.machines[ix].disk.open();
        if rotten > 0 {
            *self.reached.entry("rot found at a start").or_default() += rotten;
            self.machines[ix].heads.clear();
        }
    }

    /// Puts a disk of the past into a machine, as a restored image does. It must be off.
    pub fn roll_back(&mut self, ix: Ix, disk: Disk) {
        assert_eq!(self.machines[ix].power(), Power::Off, "its node would write on");
        let machine = &mut self.machines[ix];
        machine.disk = disk;
        machine.heads.clear();
        machine.ran.clear();
        self.reach("rolled back to an old disk");
    }

    pub(crate) fn disk_fails(&mut self) -> bool {
        let fails = one_in(&mut self.dice, self.faults.disk);
        if fails {
            self.reach("failed disk");
        }
        fails
    }

    /// Why a fetch from `from` by `by` fails, if it does.
    pub(crate) fn fetch_fails(&mut self, from: Ix, by: Ix) -> Option<Failed> {
        if !self.net.both_ways(from, by) {
            return Some(Failed::Timeout);
        }
        if self.machines[from].lies {
            self.reach("rotten chunk");
            return Some(Failed::BadContent("it does not have its name".into()));
        }
        let fails = one_in(&mut self.dice, self.faults.fetch);
        fails.then(|| {
            self.reach("failed fetch");
            if self.dice.one_in(2) { Failed::Timeout } else { Failed::Gone }
        })
    }

    /// Sets the clock of a running machine without its node's timers noticing, as a person or NTP does.
    pub fn set_wall_clock(&mut self, ix: Ix, offset: i64) {
        self.reach("wall clock set");
        self.input(ix, Input::WallClock { offset });
    }

    /// Lets time pass in steps until `holds`, at most `limit`; for conditions that cost something to look at.
    pub fn until_every(
        &mut self,
        step: Micros,
        limit: Micros,
        mut holds: impl FnMut(&mut Fleet) -> bool,
    ) -> Option<Micros> {
        let began = self.now();
        loop {
            let took = self.now().since(began);
            if holds(self) {
                return Some(took);
            }
            if took > limit {
                return None;
            }
            self.elapse(step);
        }
    }
}

fn is_about_records(frame: &[u8]) -> bool {
    use Frame::{Compare, Compared, Push, Sketch, Sketched};
    matches!(Frame::decode(frame), Ok(Push(_) | Compared(..) | Compare(..) | Sketched(..) | Sketch(..)))
}

pub(crate) fn one_in(dice: &mut Dice, n: u64) -> bool {
    n > 0 && dice.one_in(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_read_both_ways() {
        let now = Time(crate::fleet::BEGINNING.0 + secs(100_000));
        for (ahead, gains) in [(0, 0), (-5_000_000, 0), (7, 300), (1 << 50, -500), (i64::MIN / 2, 200)] {
            let skew = Skew { ahead, gains };
            let due = Time(skew.local(now).0 + secs(77));
            let at = skew.world(now, due);
            let error = skew.local(at).0.abs_diff(due.0);
            assert!(ahead < -(1 << 52) || error <= 1_000, "{skew:?}: {error}");
            assert!(at >= now);
        }
    }
}
