//! Records that are wrong, early or old: each refused or handled as designed, and the sender blamed exactly when it
//! must have known. Being behind or early is never a fault.

use vigo_base::{Domain, Hash, SecretKey, SpannerId, Stamp, Time, codec, limits};
use vigo_node::Event;
use vigo_node::content_types::settings::{Change, SETTING};
use vigo_node::crdt::{Draft, Record, Space, log, register};
use vigo_node::spanner::act::{Admit, Invite};
use vigo_node::spanner::spend::{FORK, SPEND, STATEMENT, Spend};
use vigo_node::spanner::{Act, Invitee, NameRule, NodeKind};
use vigo_node::swarm::frame::{Bytes, Frame};
use vigo_node::swarm::ids::ConnId;

use crate::rig::{BOLT, OPERATOR, Rig, key, name, push};

const REGISTER: u16 = register::REGISTER;

/// A rig with a bolt and an envoy that greet it, both gone bad.
struct Stage {
    rig: Rig,
    bolt: (SecretKey, Vec<u8>),
    envoy: (SecretKey, Vec<u8>),
}

fn stage() -> Stage {
    let mut rig = Rig::new();
    let (bolt, envoy) = (key(40), key(20));
    let papers = (rig.admit(&bolt, "bolt2", NodeKind::Bolt), rig.admit(&envoy, "web01", NodeKind::Envoy));
    Stage { rig, bolt: (bolt, papers.0), envoy: (envoy, papers.1) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Bolt,
    Envoy,
}

impl Stage {
    fn greet(&mut self, by: By) -> ConnId {
        let (key, papers) = match by {
            By::Bolt => &self.bolt,
            By::Envoy => &self.envoy,
        };
        let (key, papers) = (key.public(), papers.clone());
        let conn = self.rig.bolt.greet(key, &papers);
        self.rig.bolt.heard(conn);
        self.rig.bolt.events.clear();
        conn
    }

    /// Pushes one record; gives whether the sender was blamed (named and cut off) and whether anything was kept.
    fn give(&mut self, by: By, bytes: &[u8]) -> (bool, bool) {
        let conn = self.greet(by);
        let before = self.rig.bolt.kept();
        self.rig.bolt.frame(conn, &push(&[bytes]));
        let (blamed, hung) = (self.rig.bolt.misbehaved(), self.rig.bolt.hung.contains_key(&conn));
        assert_eq!(!blamed.is_empty(), hung, "blamed {blamed:?}, and the connection ended: {hung}");
        (hung, self.rig.bolt.kept() != before)
    }

    /// Wrong, and the sender must have known: blamed, and nothing kept.
    fn fault(&mut self, by: By, bytes: &[u8], what: &str) {
        let before = self.rig.bolt.everything();
        assert_eq!(self.give(by, bytes), (true, false), "{what}");
        assert_eq!(self.rig.bolt.everything(), before, "{what}");
    }

    /// Not kept, and nobody's fault.
    fn harmless(&mut self, by: By, bytes: &[u8], what: &str) {
        assert_eq!(self.give(by, bytes), (false, false), "{what}");
    }

    fn kept(&mut self, by: By, bytes: &[u8], what: &str) {
        assert_eq!(self.give(by, bytes), (false, true), "{what}");
    }

    fn status(&self, seq: u64, text: &[u8]) -> Vec<u8> {
        let payload = register::payload(1, text);
        self.rig.record(&self.envoy.0, Space::status(), seq, REGISTER, payload).bytes().to_vec()
    }

    fn setting(&mut self, space: Space, after: Vec<Hash>, generation: u64) -> Vec<u8> {
        let under = self.rig.bolt.signer(&key(OPERATOR)).context().under;
        let change = Change { key: "converge.interval".into(), value: Some("120".into()), generation };
        let draft =
            Draft { space, kind: SETTING, under, after, at: self.rig.bolt.now, payload: change.encode() };
        self.rig.statement(&key(OPERATOR), draft).bytes().to_vec()
    }

    fn carry(&self, seq: u64, space: Space, kind: u16, payload: Vec<u8>) -> Vec<u8> {
        self.rig.record(&self.bolt.0, space, seq, kind, payload).bytes().to_vec()
    }
}

#[test]
fn what_is_good_is_taken_once_and_a_replay_has_no_effect() {
    let mut s = stage();
    let record = s.status(5, b"good");
    s.kept(By::Envoy, &record, "a status of its own");
    for by in [By::Envoy, By::Bolt, By::Envoy] {
        s.harmless(by, &record, "a replay");
    }
    let older = s.status(4, b"older");
    s.harmless(By::Envoy, &older, "a register that was overtaken");
    // The same statement by another carrier is the same thing.
    let statement = s.setting(Space::settings(), vec![], 1);
    let one = s.carry(1, Space::settings(), STATEMENT, statement.clone());
    s.kept(By::Bolt, &one, "a setting");
    let envoy = s.envoy.0.clone();
    let other = s.rig.record(&envoy, Space::settings(), 1, STATEMENT, statement).bytes().to_vec();
    s.harmless(By::Envoy, &other, "another carrier of it");
    let mut second = s.rig.bolt.reload();
    assert_eq!(second.everything(), s.rig.bolt.everything());
}

#[test]
fn other_fleets_and_broken_signatures_are_the_senders_fault() {
    let mut s = stage();
    let other = SpannerId(Hash::of(b"another fleet"));
    let payload = register::payload(1, b"x");
    for fleet in [other, SpannerId::default()] {
        let record =
            Record::sign(&s.envoy.0, &fleet, Space::status(), 1, REGISTER, Stamp(1), payload.clone());
        s.fault(By::Envoy, record.unwrap().bytes(), "a record of another fleet");
    }
    let good = s.status(1, b"x");
    for at in [good.len() - 1, good.len() - 64, good.len() - 65, 50] {
        let mut bent = good.clone();
        bent[at] ^= 1;
        s.fault(By::Envoy, &bent, "a bent bit");
    }
    let mut unsigned = good.clone();
    let at = good.len() - 64;
    unsigned[at..].fill(0);
    s.fault(By::Envoy, &unsigned, "no signature");
    // A statement of another fleet in a good record of ours.
    let change = Change { key: "converge.interval".into(), value: None, generation: 1 }.encode();
    let draft = Draft {
        space: Space::settings(),
        kind: SETTING,
        under: Hash::default(),
        after: vec![],
        at: Time(1),
        payload: change,
    };
    let theirs = draft.clone().sign(&key(OPERATOR), &other);
    let record = s.carry(1, Space::settings(), STATEMENT, theirs.bytes().to_vec());
    s.fault(By::Bolt, &record, "a statement of another fleet");
    // A signature made for another purpose: the record's tag on a statement's bytes.
    let honest = draft.sign(&key(OPERATOR), &s.rig.spanner);
    let mut swapped = honest.bytes().to_vec();
    let cut = swapped.len() - 64;
    let crossed = key(OPERATOR).sign(Domain::Record, &s.rig.spanner, &swapped[..cut]);
    swapped[cut..].copy_from_slice(&crossed.0);
    let record = s.carry(2, Space::settings(), STATEMENT, swapped);
    s.fault(By::Bolt, &record, "a signature of another domain");
}

#[test]
fn a_statement_means_nothing_in_another_space() {
    let mut s = stage();
    for (n, (claimed, carried)) in [
        (Space::config(), Space::settings()),
        (Space::settings(), Space::config()),
        (Space::settings(), Space::admissions()),
        (Space::admissions(), Space::config()),
    ]
    .into_iter()
    .enumerate()
    {
        let statement = s.setting(claimed.clone(), vec![], 1);
        let record = s.carry(n as u64 + 1, carried.clone(), STATEMENT, statement);
        s.fault(By::Bolt, &record, &format!("{claimed} carried in {carried}"));
    }
}

#[test]
fn sizes_and_envelopes_out_of_bounds_are_the_senders_fault() {
    let mut s = stage();
    let good = s.status(1, b"x");
    s.fault(By::Envoy, &vec![1; limits::RECORD_BYTES + 1], "an oversized record");
    s.fault(By::Envoy, &[], "an empty record");
    s.fault(By::Envoy, &good[..good.len() - 1], "cut short");
    let long = register::payload(1, &vec![0; 15 * 1024]);
    let record = s.rig.record(&s.envoy.0, Space::status(), 1, REGISTER, long);
    s.fault(By::Envoy, record.bytes(), "a status above its bound");
    let record = s.rig.record(&s.envoy.0, Space::status(), 1, REGISTER, vec![0]);
    s.fault(By::Envoy, record.bytes(), "a register without a slot");
    // The envelope spelled otherwise, and signed as it is.
    let body = &good[..good.len() - 64];
    let length_at = 2 + 6 + 32 + 8 + 2;
    let signed = |body: Vec<u8>, who: &SecretKey| {
        let signature = who.sign(Domain::Record, &s.rig.spanner, &body);
        [body, signature.0.to_vec()].concat()
    };
    let (mut version, mut length, mut sequence, mut space) =
        (body.to_vec(), body.to_vec(), body.to_vec(), body.to_vec());
    version[0] = 2;
    length[length_at + 3] ^= 1;
    sequence[2 + 6 + 32..2 + 6 + 40].fill(0);
    space[2..8].copy_from_slice(b"STATUS");
    let bent: Vec<Vec<u8>> =
        [version, length, sequence, space].into_iter().map(|b| signed(b, &s.envoy.0)).collect();
    for (bytes, what) in bent.iter().zip(["version 2", "a wrong length", "sequence 0", "a space in capitals"])
    {
        s.fault(By::Envoy, bytes, what);
    }
    let many: Vec<Bytes> = (0..=limits::PUSH_RECORDS).map(|_| Bytes::from(good.clone())).collect();
    let conn = s.greet(By::Envoy);
    s.rig.bolt.frame(conn, &Frame::Push(many));
    assert_eq!(s.rig.bolt.misbehaved().len(), 1, "too many records in one frame");
    assert!(s.rig.bolt.hung.contains_key(&conn));
}

/// Other spellings of the CBOR of a good payload: each means the same to a lax reader.
fn spellings(good: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut out = Vec::new();
    let first = good[0];
    assert!((0x80..0x97).contains(&first), "a short array");
    let mut longer = vec![0x98, first - 0x80];
    longer.extend_from_slice(&good[1..]);
    out.push(("a length in two bytes", longer));
    let mut endless = vec![0x9f];
    endless.extend_from_slice(&good[1..]);
    endless.push(0xff);
    out.push(("an array without a length", endless));
    let mut extra = good.to_vec();
    extra[0] += 1;
    extra.push(0xf6);
    out.push(("a field of a later version", extra));
    let mut tail = good.to_vec();
    tail.push(0xf6);
    out.push(("a byte behind the end", tail));
    let mut tagged = vec![0xd9, 0xd9, 0xf7];
    tagged.extend_from_slice(good);
    out.push(("a tag that says it is CBOR", tagged));
    out
}

#[test]
fn other_spellings_of_a_statement_are_the_senders_fault() {
    let mut s = stage();
    let good = s.setting(Space::settings(), vec![], 1);
    for (n, (what, bent)) in spellings(&good).into_iter().enumerate() {
        let record = s.carry(n as u64 + 1, Space::settings(), STATEMENT, bent);
        s.fault(By::Bolt, &record, what);
    }
    let record = s.carry(9, Space::settings(), STATEMENT, good);
    s.kept(By::Bolt, &record, "the one spelling");
}

#[test]
fn other_spellings_of_a_spend_are_the_senders_fault_and_of_an_act_count_for_nothing() {
    let mut s = stage();
    let spend = Spend { invite: s.rig.spanner.0, node: key(70).public(), name: name("web70"), proof: None };
    for (n, (what, bent)) in spellings(&codec::encode(&spend)).into_iter().enumerate() {
        for space in [Space::admissions(), Space::envoys()] {
            let record = s.carry(n as u64 + 1, space, SPEND, bent.clone());
            s.fault(By::Bolt, &record, what);
        }
    }
    // An operator that signs a payload no program reads: kept (a later version may know it), without effect.
    let under = s.rig.bolt.signer(&key(OPERATOR)).context().under;
    let admit = Act::Admit(Admit { key: key(71).public(), name: name("mallory"), grants: vec![] });
    let members = format!("{:?}", s.rig.bolt.call(true, vigo_node::Command::Members));
    for (n, (what, payload)) in spellings(&admit.encode()).into_iter().enumerate() {
        let draft = Draft { payload, ..admit.draft(under, vec![], Time(1)) };
        let statement = s.rig.statement(&key(OPERATOR), draft);
        let record = s.carry(20 + n as u64, Space::admissions(), STATEMENT, statement.bytes().to_vec());
        s.kept(By::Bolt, &record, what);
        assert_eq!(format!("{:?}", s.rig.bolt.call(true, vigo_node::Command::Members)), members, "{what}");
    }
}

#[test]
fn being_early_is_no_fault_and_what_was_early_counts_when_its_cause_comes() {
    let mut s = stage();
    // An operator that the bolt has not heard of signs a setting; the bolt asks for its Admit.
    let (new_op, under) = (key(62), s.rig.bolt.signer(&key(OPERATOR)).context().under);
    let grants = vec![vigo_node::spanner::Grant::everywhere(vigo_node::spanner::Right::Settings)];
    let admit = Act::Admit(Admit { key: new_op.public(), name: name("carol"), grants });
    let admit = s.rig.statement(&key(OPERATOR), admit.draft(under, vec![], Time(5)));
    let change = Change { key: "converge.interval".into(), value: Some("77".into()), generation: 1 }.encode();
    let draft = Draft {
        space: Space::settings(),
        kind: SETTING,
        under: admit.id(),
        after: vec![],
        at: Time(6),
        payload: change,
    };
    let setting = s.rig.statement(&new_op, draft);
    let early = s.carry(1, Space::settings(), STATEMENT, setting.bytes().to_vec());
    let conn = s.greet(By::Bolt);
    s.rig.bolt.frame(conn, &push(&[&early]));
    assert!(!s.rig.bolt.hung.contains_key(&conn), "early is no fault");
    let asked = s.rig.bolt.heard(conn);
    let want = Frame::Want(Space::admissions(), vec![admit.id()]);
    assert!(asked.contains(&want), "{asked:?}");
    assert!(!format!("{:?}", s.rig.bolt.call(true, vigo_node::Command::Settings)).contains("77"));
    let cause = s.carry(2, Space::admissions(), STATEMENT, admit.bytes().to_vec());
    s.rig.bolt.frame(conn, &push(&[&cause]));
    assert!(format!("{:?}", s.rig.bolt.call(true, vigo_node::Command::Settings)).contains("77"));
    // A spend whose invite is not here, a status of a node that is not: parked, nobody's fault.
    let spend =
        Spend { invite: Hash::of(b"later"), node: key(70).public(), name: name("web70"), proof: None };
    let spend = s.carry(3, Space::envoys(), SPEND, codec::encode(&spend));
    s.harmless(By::Bolt, &spend, "a spend before its invite");
    let stranger = s.rig.record(&key(73), Space::status(), 1, REGISTER, register::payload(1, b"x"));
    s.harmless(By::Bolt, stranger.bytes(), "a status before its author");
    let unknown = s.rig.record(&s.bolt.0, Space::config(), 9, 77, b"later".to_vec());
    s.kept(By::Bolt, unknown.bytes(), "a kind of a later version");
}

#[test]
fn a_fork_suspends_its_author_and_not_its_carrier() {
    let mut s = stage();
    let (one, two) = (s.status(1, b"one"), s.status(1, b"two"));
    s.kept(By::Bolt, &one, "the first");
    let conn = s.greet(By::Bolt);
    s.rig.bolt.frame(conn, &push(&[&two]));
    assert!(
        s.rig.bolt.events.contains(&Event::Cloned { key: s.envoy.0.public() }),
        "{:?}",
        s.rig.bolt.events
    );
    assert!(!s.rig.bolt.hung.contains_key(&conn), "whoever passed it on did nothing wrong");
    let members = format!("{:?}", s.rig.bolt.call(true, vigo_node::Command::Members));
    assert!(members.contains("suspended"), "{members}");
    let mut second = s.rig.bolt.reload();
    assert_eq!(second.everything(), s.rig.bolt.everything(), "the fork is remembered");
    // A fork proof that proves nothing is its carrier's fault.
    let pair = [one.clone(), one];
    let payload = codec::encode(&pair.map(Bytes::from));
    let record = s.carry(5, Space::admissions(), FORK, payload);
    s.fault(By::Bolt, &record, "two records that are one");
}

#[test]
fn nobody_writes_into_the_audit_log_of_another() {
    let mut s = stage();
    let (ours, theirs) = (Space::audit(&key(BOLT).public()), Space::audit(&s.bolt.0.public()));
    let said = |number| log::payload(number, &Hash::default(), b"x");
    let good = s.rig.record(&s.bolt.0, theirs.clone(), 1, log::LOG, said(1));
    s.fault(By::Envoy, good.bytes(), "no envoy hands over audit entries");
    let record = s.rig.record(&s.bolt.0, ours.clone(), 1, log::LOG, said(1));
    s.fault(By::Bolt, record.bytes(), "an entry in our log by another bolt");
    let record = s.rig.record(&s.bolt.0, ours, 2, 999, vec![1]);
    s.fault(By::Bolt, record.bytes(), "a record of an unknown kind in our log");
    let record = s.rig.record(&s.bolt.0, theirs.clone(), 1, log::LOG, said(2));
    s.fault(By::Bolt, record.bytes(), "an entry whose number is not its sequence");
    let record = s.rig.record(&s.bolt.0, theirs.clone(), 1, log::LOG, vec![0; 20]);
    s.fault(By::Bolt, record.bytes(), "an entry that follows nothing");
    let long = log::payload(1, &Hash::default(), &[7; 15 * 1024]);
    let record = s.rig.record(&s.bolt.0, theirs, 1, log::LOG, long);
    s.fault(By::Bolt, record.bytes(), "an entry that is too large");
    let (verdict, kept) = s.give(By::Bolt, good.bytes());
    assert!(kept, "its own is kept: {verdict:?}");
}

#[test]
fn an_envoy_speaks_for_itself_only_and_where_it_may() {
    let mut s = stage();
    let other = s.rig.record(&s.bolt.0, Space::status(), 1, REGISTER, register::payload(1, b"x"));
    s.fault(By::Envoy, other.bytes(), "another's status from an envoy");
    let spend = Spend { invite: Hash::of(b"i"), node: key(70).public(), name: name("web70"), proof: None };
    let record = s.rig.record(&s.envoy.0, Space::envoys(), 1, SPEND, codec::encode(&spend));
    s.fault(By::Envoy, record.bytes(), "an envoy pushes admissions of envoys");
    for (n, space) in ["audit/x", "puddle/y", "status2"].into_iter().enumerate() {
        let record = s.rig.record(&s.envoy.0, space.parse().unwrap(), n as u64 + 1, 9, vec![1]);
        let (_, kept) = s.give(By::Envoy, record.bytes());
        assert!(!kept, "{space} is no space of ours");
    }
    // An invite that names the envoy as a spender does not make it a bolt.
    let under = s.rig.bolt.signer(&key(OPERATOR)).context().under;
    let invite = Act::Invite(Invite {
        invitee: Invitee::Node(key(70).public()),
        kind: NodeKind::Bolt,
        name: NameRule::Exact(name("web70")),
        uses: 1,
        until: s.rig.bolt.now.after(1_000_000),
        spenders: vec![s.envoy.0.public()],
    });
    let invite = s.rig.statement(&key(OPERATOR), invite.draft(under, vec![], Time(1)));
    let record = s.carry(1, Space::admissions(), STATEMENT, invite.bytes().to_vec());
    s.kept(By::Bolt, &record, "the invite");
    let members = format!("{:?}", s.rig.bolt.call(true, vigo_node::Command::Members));
    let spend = Spend { invite: invite.id(), node: key(70).public(), name: name("web70"), proof: None };
    let record = s.rig.record(&s.envoy.0, Space::admissions(), 2, SPEND, codec::encode(&spend));
    s.give(By::Envoy, record.bytes());
    assert_eq!(format!("{:?}", s.rig.bolt.call(true, vigo_node::Command::Members)), members);
}
