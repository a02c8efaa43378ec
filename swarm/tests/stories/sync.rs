//! Two peers and many become equal, and equal ones stay silent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vigo_base::time::{Micros, millis, mins, secs};
use vigo_base::{Dice, Hash, Machine, Outbox, Time, limits};
use vigo_crdt::Space;
use vigo_crdt::reconcile::Sealed;
use vigo_crdt::sketch::{Salt, Short, Sketch};
use vigo_swarm::ids::ConnId;
use vigo_swarm::sync::{Act, Input, Reconciler, SESSIONS};

type Set = BTreeSet<Hash>;

fn names(range: std::ops::Range<u32>) -> Set {
    range.map(|n| Hash::of(&n.to_be_bytes())).collect()
}

fn digest(set: &Set) -> Hash {
    set.iter().fold(Hash::default(), |sum, name| Hash::of_parts(&[&sum.0, &name.0]))
}

fn sealed(set: &Set) -> Sealed {
    Sealed::of(set.iter().map(|name| (0, *name)))
}

/// A key whose short name is that of another.
fn twin(of: &Hash, n: u8) -> Hash {
    let mut bytes = of.0;
    bytes[31] ^= n;
    Hash(bytes)
}

struct Side {
    sync: Reconciler,
    set: Set,
    /// Records that this side will not take.
    refuses: Set,
    compared: usize,
    sketched: usize,
    dones: Vec<(u32, u64)>,
    by_sketch: usize,
    blamed: usize,
}

/// Alice dialed Bob. A message takes 10 ms.
struct Pair {
    now: Time,
    sides: [Side; 2],
    mail: BTreeMap<(Time, u64), (usize, Act)>,
    seq: u64,
    bytes: usize,
    silent: Option<usize>,
    lies: Option<usize>,
    /// Sketches are asked for in vain.
    mute: bool,
}

const CONN: ConnId = ConnId(1);

impl Pair {
    fn new(alice: Set, bob: Set) -> Pair {
        Pair::with(alice, bob, true)
    }

    fn with(alice: Set, bob: Set, sketches: bool) -> Pair {
        let side = |set, seed| Side {
            sync: Reconciler::new(Dice::from_number(seed)),
            set,
            refuses: Set::new(),
            compared: 0,
            sketched: 0,
            dones: Vec::new(),
            by_sketch: 0,
            blamed: 0,
        };
        let mut pair = Pair {
            now: Time(secs(1)),
            sides: [side(alice, 1), side(bob, 2)],
            mail: BTreeMap::new(),
            seq: 0,
            bytes: 0,
            silent: None,
            lies: None,
            mute: false,
        };
        for who in [0, 1] {
            pair.input(
                who,
                Input::Up { conn: CONN, leads: who == 0, sketches, spaces: vec![Space::config()] },
            );
        }
        pair
    }

    fn input(&mut self, who: usize, input: Input) {
        let mut out = Outbox::new();
        self.sides[who].sync.handle(self.now, input, &mut out);
        self.perform(who, out);
    }

    fn perform(&mut self, who: usize, mut out: Outbox<Act>) {
        for act in out.drain() {
            self.seq += 1;
            match act {
                Act::Seal(conn, space) => {
                    let sealed = Arc::new(sealed(&self.sides[who].set));
                    self.input(who, Input::Sealed(conn, space, sealed));
                }
                Act::Done { rounds, differed, by_sketch, .. } => {
                    self.sides[who].dones.push((rounds, differed));
                    self.sides[who].by_sketch += usize::from(by_sketch);
                }
                Act::Blame(..) => self.sides[who].blamed += 1,
                act => {
                    self.mail.insert((self.now.after(millis(10)), self.seq), (1 - who, act));
                }
            }
        }
    }

    /// `who` gets what the other side sent.
    fn deliver(&mut self, who: usize, act: Act) {
        if self.silent == Some(who) {
            return;
        }
        let other = 1 - who;
        match act {
            Act::AskDigest(_, space) => {
                self.bytes += 64;
                let (ours, theirs) = (digest(&self.sides[who].set), digest(&self.sides[other].set));
                self.input(who, Input::Digest { conn: CONN, space: space.clone(), theirs, ours });
                self.input(other, Input::Digest { conn: CONN, space, theirs: ours, ours: theirs });
            }
            Act::Compare(_, space, message) => {
                self.sides[who].compared += 1;
                let mut answer = sealed(&self.sides[who].set).answer(&message).unwrap();
                if self.lies == Some(who) {
                    answer = vec![0xff; 40];
                }
                self.bytes += message.len() + answer.len();
                self.input(other, Input::Compared(CONN, space, answer));
            }
            Act::Sketch(_, space, cells) => {
                if self.mute {
                    return;
                }
                self.sides[who].sketched += 1;
                let cells = cells as usize;
                let names = self.sides[who].set.iter().map(Short::of);
                let mut answer = Sketch::of(Salt([who as u8; 16]), cells, names).encode(cells);
                if self.lies == Some(who) {
                    answer = vec![0xff; 40];
                }
                self.bytes += 8 + answer.len();
                self.input(other, Input::Sketched(CONN, space, answer));
            }
            Act::WantShort(_, _, names) => {
                assert!(names.len() <= limits::WANT_RECORDS && names.is_sorted_by(|a, b| a < b));
                let wanted = |name: &&Hash| names.binary_search(&Short::of(name)).is_ok();
                let found: Set = self.sides[who].set.iter().filter(wanted).copied().collect();
                assert!(found.len() >= names.len());
                let me = &mut self.sides[other];
                me.set.extend(found.into_iter().filter(|n| !me.refuses.contains(n)));
            }
            Act::Push(_, _, names) => {
                assert!(names.len() <= limits::PUSH_RECORDS);
                let me = &mut self.sides[who];
                me.set.extend(names.into_iter().filter(|n| !me.refuses.contains(n)));
            }
            Act::Want(_, _, names) => {
                assert!(names.len() <= limits::WANT_RECORDS);
                assert!(names.iter().all(|n| self.sides[who].set.contains(n)));
                let me = &mut self.sides[other];
                me.set.extend(names.into_iter().filter(|n| !me.refuses.contains(n)));
            }
            other => unreachable!("{other:?} is not sent"),
        }
    }

    fn elapse(&mut self, time: Micros) {
        let end = self.now.after(time);
        loop {
            let mail = self.mail.keys().next().map(|(at, _)| *at);
            let wakes = [0, 1].map(|who| self.sides[who].sync.next_wake());
            let Some(next) = [mail, wakes[0], wakes[1]].into_iter().flatten().min().filter(|at| *at <= end)
            else {
                break;
            };
            self.now = self.now.max(next);
            if mail == Some(next) {
                let Some((_, (who, act))) = self.mail.pop_first() else { break };
                self.deliver(who, act);
            } else {
                let who = usize::from(wakes[0] != Some(next));
                let mut out = Outbox::new();
                self.sides[who].sync.wake(self.now, &mut out);
                self.perform(who, out);
            }
        }
        self.now = end;
    }

    fn equal(&self) -> bool {
        self.sides[0].set == self.sides[1].set
    }
}

#[test]
fn two_peers_become_equal_within_seconds_of_meeting() {
    let mut pair = Pair::new(names(0..3000), names(500..4000));
    pair.elapse(secs(4));
    assert!(pair.equal());
    assert_eq!(pair.sides[0].set.len(), 4000);
    assert!(pair.sides[0].dones.iter().any(|(_, differed)| *differed == 1500));
    assert!(pair.sides[1].dones.is_empty(), "only the side that leads opens sessions");
    assert_eq!((pair.sides[0].by_sketch, pair.sides[1].sketched, pair.sides[1].compared), (1, 2, 0));
}

#[test]
fn without_sketches_and_where_too_much_differs_ranges_are_compared() {
    for (theirs, sketches) in [(names(500..4000), false), (names(2000..9000), true)] {
        let all = theirs.union(&names(0..3000)).count();
        let mut pair = Pair::with(names(0..3000), theirs, sketches);
        pair.elapse(secs(4));
        assert!(pair.equal());
        assert_eq!(pair.sides[0].set.len(), all);
        assert!(pair.sides[1].compared > 0 && pair.sides[0].by_sketch == 0);
        assert_eq!(pair.sides[1].sketched, usize::from(sketches), "one is asked for to measure");
    }
}

#[test]
fn a_peer_that_answers_no_sketch_is_compared_with_by_ranges() {
    let mut pair = Pair::new(names(0..3000), names(500..4000));
    pair.mute = true;
    pair.elapse(secs(25));
    assert!(pair.equal());
    assert_eq!((pair.sides[0].by_sketch, pair.sides[1].by_sketch, pair.sides[1].blamed), (0, 0, 0));
    // Once they were equal, sketches are tried again.
    pair.mute = false;
    pair.elapse(mins(3));
    pair.sides[1].set.extend(names(5000..5010));
    pair.elapse(mins(3));
    assert!(pair.equal() && pair.sides[0].by_sketch + pair.sides[1].by_sketch > 0);
}

#[test]
fn records_that_hide_each_other_from_sketches_arrive_all_the_same() {
    // A hostile author made two records with one short name, and some that share it with honest ones.
    let honest: Vec<Hash> = names(100..110).into_iter().collect();
    let mut bob = names(0..110);
    bob.extend(honest[..3].iter().map(|name| twin(name, 1)));
    let mut pair = Pair::new(names(0..100), bob.clone());
    pair.elapse(secs(4));
    assert!(pair.sides[0].by_sketch > 0);
    assert!(honest[3..].iter().all(|name| pair.sides[0].set.contains(name)), "nothing else is hidden");
    pair.elapse(secs(8));
    assert!(pair.equal() && pair.sides[0].set == bob);
    // Where one of the two is known, the other is found: both are sent for its name.
    let mut known = bob.clone();
    known.remove(&honest[0]);
    let mut pair = Pair::new(known, bob);
    pair.elapse(secs(4));
    assert!(pair.equal() && pair.sides[1].compared > 0, "ours by its name, as it seemed: by ranges");
}

#[test]
fn what_hides_behind_a_record_that_is_refused_again_and_again_is_found() {
    // One record of each side with the same short name: no sketch and no count shows them.
    let (ours, theirs) = (Hash::of(b"hidden"), twin(&Hash::of(b"hidden"), 1));
    let (mut alice, mut bob) = (names(0..100), names(0..95));
    alice.insert(ours);
    bob.insert(theirs);
    let mut pair = Pair::new(alice, bob);
    pair.sides[1].refuses = names(95..100);
    pair.elapse(mins(2));
    assert!(pair.sides[0].by_sketch > 0);
    assert!(pair.sides[0].set.contains(&theirs) && pair.sides[1].set.contains(&ours));
}

#[test]
fn a_sketch_longer_than_asked_for_is_blamed() {
    let (mut sync, mut out, now) = (Reconciler::new(Dice::from_number(1)), Outbox::new(), Time(secs(1)));
    let space = Space::config();
    sync.handle(
        now,
        Input::Up { conn: CONN, leads: true, sketches: true, spaces: vec![space.clone()] },
        &mut out,
    );
    let (theirs, ours) = (Hash::of(b"a"), Hash::of(b"b"));
    sync.handle(now, Input::Digest { conn: CONN, space: space.clone(), theirs, ours }, &mut out);
    sync.handle(now, Input::Sealed(CONN, space.clone(), Arc::new(sealed(&names(0..5)))), &mut out);
    let acts: Vec<Act> = out.drain().collect();
    let [Act::Seal(..), Act::Sketch(_, _, cells)] = acts[..] else { panic!("{acts:?}") };
    let cells = cells as usize + 1;
    let long = Sketch::of(Salt::default(), cells, names(0..6).iter().map(Short::of)).encode(cells);
    sync.handle(now, Input::Sketched(CONN, space, long), &mut out);
    assert!(
        matches!(out.as_slice(), [Act::Blame(CONN, why)] if why.contains("longer")),
        "{:?}",
        out.as_slice()
    );
    assert_eq!(sync.load().1, 0);
}

#[test]
fn who_refuses_hidden_records_is_asked_less_and_less() {
    let mut bob = names(0..90);
    let hidden: Set = [1, 2].map(|n| twin(&Hash::of(b"one"), n)).into();
    bob.extend(hidden.iter().chain(&names(95..100)));
    let mut pair = Pair::new(names(0..100), bob);
    pair.sides[0].refuses = hidden;
    pair.elapse(mins(60));
    let sessions = pair.sides[0].dones.len() + pair.sides[1].dones.len();
    assert!(sessions <= 40, "{sessions} sessions in an hour");
    assert_eq!(pair.sides[1].set.len(), 102);
}

#[test]
fn equal_peers_exchange_digests_and_nothing_more() {
    let mut pair = Pair::new(names(0..3000), names(0..3000));
    pair.elapse(mins(30));
    assert_eq!(pair.sides[0].compared + pair.sides[1].compared, 0);
    // Both look at a mean pace of a minute, and each look is heard by both.
    let looks = pair.bytes / 64;
    assert!((15..=75).contains(&looks), "{looks} looks in half an hour");
}

#[test]
fn a_difference_told_by_a_digest_is_settled_at_once() {
    let mut pair = Pair::new(names(0..100), names(0..100));
    pair.elapse(mins(5));
    pair.sides[1].set.extend(names(100..101));
    let (ours, theirs) = (digest(&pair.sides[0].set), digest(&pair.sides[1].set));
    pair.input(0, Input::Digest { conn: CONN, space: Space::config(), theirs, ours });
    pair.elapse(millis(100));
    assert!(pair.equal());
}

#[test]
fn the_side_that_does_not_lead_opens_a_session_when_the_other_does_not() {
    let mut pair = Pair::new(names(0..100), names(0..100));
    pair.elapse(mins(5));
    pair.input(0, Input::Gone(CONN));
    pair.sides[1].set.extend(names(100..120));
    pair.elapse(mins(3));
    assert!(pair.equal() && !pair.sides[1].dones.is_empty());
}

#[test]
fn what_one_side_refuses_does_not_make_them_compare_for_ever() {
    let mut pair = Pair::new(names(0..100), names(0..90));
    pair.sides[1].refuses = names(95..100);
    pair.elapse(mins(60));
    assert_eq!(pair.sides[1].set.len(), 95);
    let sessions = pair.sides[0].dones.len() + pair.sides[1].dones.len();
    assert!(sessions <= 40, "{sessions} sessions in an hour");
    // What changes is found all the same.
    pair.sides[0].set.extend(names(200..210));
    pair.elapse(mins(12));
    assert_eq!(pair.sides[1].set.len(), 105);
}

#[test]
fn a_silent_peer_and_a_liar_end_the_session_and_are_asked_less_and_less() {
    let mut pair = Pair::new(names(0..100), names(0..90));
    pair.lies = Some(1);
    pair.input(1, Input::Gone(CONN)); // It opens no session of its own, which would settle everything.
    pair.elapse(mins(10));
    let blamed = pair.sides[0].blamed;
    assert!((2..=12).contains(&blamed), "{blamed}");
    let mut pair = Pair::new(names(0..100), names(0..90));
    pair.elapse(millis(1));
    let (ours, theirs) = (digest(&pair.sides[0].set), digest(&pair.sides[1].set));
    pair.silent = Some(1);
    pair.input(0, Input::Digest { conn: CONN, space: Space::config(), theirs, ours });
    assert_eq!(pair.sides[0].sync.load().1, 1);
    pair.elapse(secs(11));
    assert_eq!(pair.sides[0].sync.load().1, 0, "given up");
    assert_eq!(pair.sides[0].blamed, 0, "slow is not wrong");
    pair.silent = None;
    pair.elapse(mins(2));
    assert!(pair.equal());
}

#[test]
fn sessions_are_few_and_the_others_wait_their_turn() {
    let mut sync = Reconciler::new(Dice::from_number(1));
    let (mut out, now) = (Outbox::new(), Time(secs(1)));
    let spaces = vec![Space::config(), Space::settings(), Space::status()];
    for conn in 0..20 {
        sync.handle(
            now,
            Input::Up { conn: ConnId(conn), leads: true, sketches: true, spaces: spaces.clone() },
            &mut out,
        );
        for space in &spaces {
            let (theirs, ours) = (Hash::of(b"a"), Hash::of(b"b"));
            let told = Input::Digest { conn: ConnId(conn), space: space.clone(), theirs, ours };
            sync.handle(now, told.clone(), &mut out);
            sync.handle(now, told, &mut out);
        }
    }
    assert_eq!(sync.load(), (60, SESSIONS, 60 - SESSIONS));
    assert_eq!(out.len(), SESSIONS);
    // Those that were asked for a snapshot and whose connection ends make room.
    sync.handle(now, Input::Gone(ConnId(0)), &mut out);
    assert_eq!(sync.load(), (57, SESSIONS, 57 - SESSIONS));
    (1..20).for_each(|conn| sync.handle(now, Input::Gone(ConnId(conn)), &mut out));
    assert_eq!((sync.load(), sync.next_wake()), ((0, 0, 0), None));
}
