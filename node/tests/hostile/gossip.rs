//! The gossip plane as a node sees it: strangers, the revoked, the wrong and the many.

use vigo_base::{Hash, PublicKey, SecretKey, SpannerId, Stamp, limits, time};
use vigo_node::content_types::settings::SETTING;
use vigo_node::crdt::{Draft, Record, Space};
use vigo_node::spanner::NodeKind;
use vigo_node::spanner::spend::STATEMENT;
use vigo_node::swarm::frame::{Bytes, Frame, Hello};
use vigo_node::swarm::gossip::{LinkId, MessageId, Opened, Verdict, open, seal};
use vigo_node::swarm::ids::ConnId;
use vigo_node::{Event, Input, Way};

use crate::rig::{Host, OPERATOR, Rig, hello, key, push};

/// A bolt with two envoys that have sessions with it; the first has a gossip link, old enough to be relied on.
struct Stage {
    rig: Rig,
    linked: (SecretKey, ConnId),
    other: (SecretKey, ConnId),
    message: u64,
}

fn up(host: &mut Host, link: u64, key: PublicKey) {
    host.input(Input::GossipUp { link: LinkId(link), key, dialed: false });
}

fn stage() -> Stage {
    let mut rig = Rig::new();
    let (one, two) = (key(20), key(21));
    let papers = (rig.admit(&one, "web01", NodeKind::Envoy), rig.admit(&two, "web02", NodeKind::Envoy));
    let linked = rig.bolt.greet(one.public(), &papers.0);
    let other = rig.bolt.greet(two.public(), &papers.1);
    up(&mut rig.bolt, 1, one.public());
    rig.bolt.elapse(time::secs(5));
    rig.bolt.heard(linked);
    rig.bolt.heard(other);
    rig.bolt.events.clear();
    assert_eq!(rig.bolt.cut, [], "a member's link stays");
    Stage { rig, linked: (one, linked), other: (two, other), message: 0 }
}

impl Stage {
    /// The linked envoy says something on the topic; gives the node's verdict.
    fn hear(&mut self, bytes: &[u8]) -> Verdict {
        let from = self.linked.0.public();
        self.hear_from(from, bytes)
    }

    fn hear_from(&mut self, from: PublicKey, bytes: &[u8]) -> Verdict {
        self.message += 1;
        let message = MessageId(self.message);
        self.rig.bolt.verdicts.clear();
        self.rig.bolt.input(Input::GossipHeard { message, from, bytes: bytes.to_vec() });
        let verdicts = std::mem::take(&mut self.rig.bolt.verdicts);
        let [(of, verdict)] = verdicts[..] else { panic!("one verdict for one message: {verdicts:?}") };
        assert_eq!(of, message);
        verdict
    }

    /// A setting that the operator signed and the node with this key wrote down.
    fn setting(&mut self, by: &SecretKey, seq: u64, value: u64) -> Record {
        let signer = self.rig.bolt.signer(&key(OPERATOR));
        let signed = signer.set("converge.interval", Some(&serde_json::json!(value))).unwrap();
        let payload = signed.bytes.clone();
        self.rig.record(by, Space::settings(), seq, STATEMENT, payload)
    }

    /// A setting by somebody nobody has heard of yet.
    fn unknown_signer(&self) -> Record {
        let draft = Draft {
            space: Space::settings(),
            kind: SETTING,
            under: Hash::of(b"an admission on its way"),
            after: Vec::new(),
            at: self.rig.bolt.now,
            payload: vec![0xa0],
        };
        let statement = self.rig.statement(&key(99), draft);
        self.rig.record(&key(30), Space::settings(), 1, STATEMENT, statement.bytes().to_vec())
    }

    fn pushes(&mut self, conn: ConnId) -> usize {
        let heard = self.rig.bolt.heard(conn);
        let count = |f: &Frame| match f {
            Frame::Push(records) => records.len(),
            _ => 0,
        };
        heard.iter().map(count).sum()
    }
}

fn message(record: &Record) -> Vec<u8> {
    seal(record.bytes()).unwrap()
}

#[test]
fn what_is_new_is_accepted_once_kept_and_handed_to_those_without_a_link() {
    let mut stage = stage();
    let by = key(30);
    let record = stage.setting(&by, 1, 77);
    assert_eq!(stage.hear(&message(&record)), Verdict::Accept);
    assert!(stage.rig.bolt.disk.records.contains_key(&record.id()), "kept");
    let (linked, other) = (stage.linked.1, stage.other.1);
    assert_eq!(stage.pushes(linked), 0, "not back");
    assert_eq!(stage.pushes(other), 1, "whoever has no link gets it on the peer channel");
    assert!(stage.rig.bolt.gossiped.is_empty(), "the verdict passes it on");
    let arrived = |e: &&Event| matches!(e, Event::Arrived { by: Way::Gossip, .. });
    assert_eq!(stage.rig.bolt.events.iter().filter(arrived).count(), 1);
    assert_eq!(stage.hear(&message(&record)), Verdict::Ignore, "known");
}

#[test]
fn the_verdict_comes_before_what_is_persisted() {
    use vigo_base::{Machine as _, Outbox};
    use vigo_node::Output;
    let mut stage = stage();
    let record = stage.setting(&key(30), 1, 77);
    let heard =
        Input::GossipHeard { message: MessageId(9), from: stage.linked.0.public(), bytes: message(&record) };
    let mut out = Outbox::new();
    let now = stage.rig.bolt.now;
    stage.rig.bolt.node.handle(now, heard, &mut out);
    let outputs: Vec<Output> = out.drain().collect();
    assert!(matches!(outputs[0], Output::GossipVerdict { verdict: Verdict::Accept, .. }));
    assert!(outputs.iter().any(|o| matches!(o, Output::Persist(_))));
}

#[test]
fn what_the_sender_must_have_known_is_rejected_and_three_times_ends_it() {
    let mut stage = stage();
    let good = stage.setting(&key(30), 1, 77);
    let mut forged = good.bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let elsewhere = SpannerId(Hash::of(b"another fleet"));
    let foreign = Record::sign(
        &key(30),
        &elsewhere,
        Space::settings(),
        1,
        STATEMENT,
        Stamp(1),
        good.payload().to_vec(),
    );
    let key = stage.linked.0.public();
    for wrong in [seal(&forged).unwrap(), message(&foreign.unwrap()), b"garbage".to_vec()] {
        assert!(stage.rig.bolt.cut.is_empty());
        assert_eq!(stage.hear(&wrong), Verdict::Reject);
    }
    let blamed = stage.rig.bolt.misbehaved();
    assert_eq!(blamed.len(), 3, "{blamed:?}");
    let [(cut, refuse, _)] = &stage.rig.bolt.cut[..] else { panic!("{:?}", stage.rig.bolt.cut) };
    assert_eq!((*cut, *refuse), (key, 600));
    assert_eq!(stage.hear(&message(&good)), Verdict::Ignore, "nothing is heard from a link that is cut");
    assert!(!stage.rig.bolt.disk.records.contains_key(&good.id()));
    let conn = stage.linked.1;
    assert!(!stage.rig.bolt.hung.contains_key(&conn), "records still reach it on the peer channel");
}

#[test]
fn what_is_early_late_or_elsewhere_is_nobodys_fault() {
    let mut stage = stage();
    let early = stage.unknown_signer();
    let status = stage.rig.record(&key(30), Space::status(), 1, 1, vec![0, 1, 2]);
    let later = vigo_base::codec::encode(&(9u16, Bytes::from(vec![1]), 3u8));
    for (what, bytes) in [("early", message(&early)), ("status", message(&status)), ("later", later)] {
        assert_eq!(stage.hear(&bytes), Verdict::Ignore, "{what}");
    }
    assert_eq!(stage.rig.bolt.misbehaved(), Vec::<String>::new());
    assert!(stage.rig.bolt.cut.is_empty());
}

#[test]
fn a_stranger_is_not_heard_and_cut() {
    let mut stage = stage();
    let record = stage.setting(&key(30), 1, 77);
    let stranger = key(66).public();
    up(&mut stage.rig.bolt, 7, stranger);
    let [(cut, refuse, _)] = &stage.rig.bolt.cut[..] else { panic!("{:?}", stage.rig.bolt.cut) };
    assert_eq!((*cut, *refuse), (stranger, 10));
    assert!(matches!(&stage.rig.bolt.events[..], [Event::PeerRefused { key, .. }] if *key == stranger));
    assert_eq!(stage.hear_from(stranger, &message(&record)), Verdict::Ignore);
    assert!(!stage.rig.bolt.disk.records.contains_key(&record.id()));
    // Nor is somebody who is admitted, but has not shown it: a link alone says nothing.
    let admitted = key(22);
    stage.rig.admit(&admitted, "web03", NodeKind::Envoy);
    stage.rig.bolt.cut.clear();
    up(&mut stage.rig.bolt, 8, admitted.public());
    assert_eq!(stage.rig.bolt.cut.len(), 1);
    assert_eq!(stage.hear_from(admitted.public(), &message(&record)), Verdict::Ignore);
}

#[test]
fn a_revocation_cuts_the_link_at_once_and_so_does_a_session_that_ends() {
    let mut stage = stage();
    up(&mut stage.rig.bolt, 2, stage.other.0.public());
    assert!(stage.rig.bolt.cut.is_empty());
    stage.rig.revoke(stage.linked.0.public());
    let cut = std::mem::take(&mut stage.rig.bolt.cut);
    assert_eq!(cut.len(), 1, "{cut:?}");
    assert_eq!(cut[0].0, stage.linked.0.public());
    let refused = |e: &&Event| matches!(e, Event::PeerRefused { key, .. } if *key == stage.linked.0.public());
    assert!(stage.rig.bolt.events.iter().any(|e| refused(&e)));
    stage.rig.bolt.input(Input::PeerDown { conn: stage.other.1, why: "gone".into() });
    assert_eq!(stage.rig.bolt.cut.iter().map(|c| c.0).collect::<Vec<_>>(), [stage.other.0.public()]);
    assert_eq!(stage.rig.bolt.cut[0].1, 0, "it may come back at once");
}

#[test]
fn our_own_record_goes_by_gossip_and_by_push_to_those_without_a_link() {
    let mut stage = stage();
    let signer = stage.rig.bolt.signer(&key(OPERATOR));
    let signed = signer.set("converge.interval", Some(&serde_json::json!(99))).unwrap();
    stage.rig.bolt.submit(&signed).unwrap();
    let gossiped = std::mem::take(&mut stage.rig.bolt.gossiped);
    assert_eq!(gossiped.len(), 1);
    let Ok(Opened::Record(record)) = open(&gossiped[0]) else { panic!("{gossiped:?}") };
    assert!(stage.rig.bolt.disk.records.contains_key(&Hash::of(&record)), "durable before it is said");
    let (linked, other) = (stage.linked.1, stage.other.1);
    assert_eq!((stage.pushes(linked), stage.pushes(other)), (0, 1));
    // A link that stands a moment only is not relied on: there it goes both ways.
    up(&mut stage.rig.bolt, 2, stage.other.0.public());
    let signed = signer.set("converge.interval", Some(&serde_json::json!(98))).unwrap();
    stage.rig.bolt.submit(&signed).unwrap();
    assert_eq!((stage.rig.bolt.gossiped.len(), stage.pushes(other)), (1, 1));
}

#[test]
fn a_great_reconciliation_is_not_gossiped_on() {
    let mut stage = stage();
    let mut records = Vec::new();
    for n in 0..200 {
        records.push(stage.setting(&key(30), n + 1, n + 10));
    }
    // Old ones, as after an absence: none of them is news to the others.
    let from = stage.other.1;
    for chunk in records.chunks(100) {
        let bytes: Vec<&[u8]> = chunk.iter().map(|r| &r.bytes()[..]).collect();
        stage.rig.bolt.frame(from, &push(&bytes));
    }
    let kept = |r: &&Record| stage.rig.bolt.disk.records.contains_key(&r.id());
    assert_eq!(records.iter().filter(kept).count(), 200);
    let said = stage.rig.bolt.gossiped.len();
    assert!(said <= 32, "{said} of 200 were gossiped on");
    let linked = stage.linked.1;
    assert_eq!(stage.pushes(linked), 200 - said, "and the others went on the peer channel");
}

#[test]
fn a_large_record_goes_from_peer_to_peer() {
    let mut stage = stage();
    let big = vec![1; limits::GOSSIP_RECORD_BYTES];
    let author = key(22);
    stage.rig.admit(&author, "bolt2", NodeKind::Bolt);
    stage.rig.bolt.gossiped.clear();
    let record = stage.rig.record(&author, Space::settings(), 1, 999, big);
    assert!(seal(record.bytes()).is_none());
    let (linked, other) = (stage.linked.1, stage.other.1);
    let before = stage.pushes(linked);
    stage.rig.bolt.frame(other, &push(&[record.bytes()]));
    assert!(stage.rig.bolt.disk.records.contains_key(&record.id()));
    assert_eq!((stage.rig.bolt.gossiped.len(), stage.pushes(linked) - before), (0, 1));
}

#[test]
fn the_dialer_of_a_session_dials_the_link_where_the_hello_says() {
    let mut stage = stage();
    let (envoy, papers) = (key(23), stage.rig.admit(&key(23), "web04", NodeKind::Envoy));
    let conn = ConnId(9_000);
    let exporter = Hash::of(b"exporter").0;
    stage.rig.bolt.input(Input::PeerUp {
        conn,
        key: envoy.public(),
        dialed: true,
        address: "[2001:db8::7]:1531".into(),
        exporter,
    });
    let Frame::Hello(greeting) = hello(&papers) else { unreachable!() };
    stage.rig.bolt.frame(conn, &Frame::Hello(Hello { gossip: Some(1533), ..greeting }));
    assert_eq!(stage.rig.bolt.dialed, [(envoy.public(), "[2001:db8::7]:1533".to_string())]);
}
