//! Every kind of request × {no papers, pending, revoked, suspended}: refused, named, nothing changed; and every
//! command of the local API from whoever is no administrator.
//!
//! The lists below are complete because the matches beside them are: a new kind of frame, of bulk request or of
//! command does not compile until it stands in this table.

use vigo_base::{Hash, PublicKey, SecretKey, Time, time};
use vigo_node::Command;
use vigo_node::command::AuditFilter;
use vigo_node::crdt::sketch::Short;
use vigo_node::crdt::{Space, register};
use vigo_node::sign::Wanted;
use vigo_node::spanner::act::Admit;
use vigo_node::spanner::{Act, Grant, NameRule, NodeKind, Proof, Right, Token};
use vigo_node::swarm::frame::{
    AskToJoin, Bulk, Bytes, Digest, Enrol, Farewell, Frame, Goodbye, Have, Hint, JoinAnswer,
};
use vigo_node::swarm::ids::ConnId;
use vigo_node::swarm::outline::BlobRef;
use vigo_node::{Answer, Event, RefusalKind};

use crate::rig::{BOLT, Host, OPERATOR, Rig, hello, key, name, push};

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    NoPapers,
    Pending,
    Revoked,
    Suspended,
}

const PEERS: [Peer; 4] = [Peer::NoPapers, Peer::Pending, Peer::Revoked, Peer::Suspended];

struct Scene {
    rig: Rig,
    token: Token,
    /// A record that would be taken from a member.
    status: Vec<u8>,
    papers: Vec<u8>,
}

fn envoy() -> SecretKey {
    key(20)
}

fn scene(peer: Peer) -> Scene {
    let mut rig = Rig::new();
    let papers = rig.admit(&envoy(), "web01", NodeKind::Envoy);
    let wanted = Wanted {
        kind: NodeKind::Envoy,
        name: NameRule::Pattern("*".parse().unwrap()),
        uses: 10,
        expires: time::hours(1),
        seed: [9; 32].into(),
    };
    let (signed, token) = rig.bolt.signer(&key(OPERATOR)).invite(wanted).unwrap();
    rig.bolt.submit(&signed).unwrap();
    let status = |rig: &Rig, seq, text: &[u8]| {
        rig.record(&envoy(), Space::status(), seq, register::REGISTER, register::payload(1, text))
            .bytes()
            .to_vec()
    };
    let fresh = status(&rig, 9, b"fresh");
    match peer {
        Peer::Revoked => rig.revoke(envoy().public()),
        Peer::Suspended => {
            let (one, two) = (status(&rig, 1, b"one"), status(&rig, 1, b"two"));
            let conn = rig.bolt.greet(envoy().public(), &papers);
            rig.bolt.frame(conn, &push(&[&one, &two]));
            assert!(rig.bolt.hung.contains_key(&conn), "a fork suspends");
            rig.bolt.elapse(time::secs(1));
        }
        Peer::NoPapers | Peer::Pending => {}
    }
    Scene { rig, token, status: fresh, papers }
}

impl Scene {
    fn key_of(&self, peer: Peer) -> PublicKey {
        match peer {
            Peer::NoPapers | Peer::Pending => key(30).public(),
            Peer::Revoked | Peer::Suspended => envoy().public(),
        }
    }

    fn connect(&mut self, peer: Peer) -> ConnId {
        let conn = self.rig.bolt.connect(self.key_of(peer));
        if peer == Peer::Pending {
            let ask = AskToJoin { spanner: None, name: name("new01"), bolt: false };
            self.rig.bolt.frame(conn, &Frame::AskToJoin(ask));
        }
        self.rig.bolt.heard(conn);
        conn
    }

    /// One frame of every kind, as good as this peer can make it.
    fn frames(&self, peer: Peer, conn: ConnId) -> Vec<Frame> {
        let member = matches!(peer, Peer::Revoked | Peer::Suspended);
        let node = self.key_of(peer);
        let hash = Hash::of(b"x");
        // A member gone bad has a good token; whoever has none signs with another seed.
        let seed = if member { self.token.key() } else { key(99) };
        let proof = Proof::sign(&seed, &self.rig.spanner, &node, &name("new01"), &Host::exporter(conn));
        let list = vec![
            hello(&self.papers),
            Frame::Goodbye(Goodbye {
                why: Farewell::Denied,
                text: "bye".into(),
                proof: vec![Bytes::from(vec![1, 2, 3])],
            }),
            Frame::Ping(vec![Digest { space: Space::config(), digest: hash }]),
            Frame::Pong(vec![Digest { space: Space::config(), digest: hash }]),
            Frame::Compare(Space::admissions(), Bytes::from(vec![0x61, 0, 0, 0])),
            Frame::Compared(Space::admissions(), Bytes::from(vec![0x61, 0, 0, 0])),
            Frame::Want(Space::admissions(), vec![self.rig.spanner.0]),
            push(&[&self.status]),
            Frame::PeersPlease,
            Frame::Peers(vec![Hint {
                key: key(77).public(),
                addresses: vec!["10.6.6.6:1".into()],
                bolt: true,
            }]),
            Frame::WhoHas(hash),
            Frame::Has(hash, Have::All),
            Frame::Enrol(Enrol {
                spanner: self.rig.spanner,
                invite_key: self.token.key().public(),
                name: name("new01"),
                proof: proof.signature,
                bolt: false,
            }),
            Frame::AskToJoin(AskToJoin { spanner: None, name: name("new01"), bolt: false }),
            Frame::JoinAnswer(JoinAnswer::Admitted(self.rig.spanner, Bytes::from(self.papers.clone()))),
            Frame::Clock(Time(u64::MAX)),
            Frame::Sketch(Space::admissions(), 64),
            Frame::Sketched(Space::admissions(), Bytes::from(vec![0; 29])),
            Frame::want_short(Space::admissions(), &[Short::of(&self.rig.spanner.0)]),
        ];
        let mut seen: Vec<usize> = list.iter().map(place).collect();
        seen.dedup();
        assert_eq!(seen, (0..KINDS).collect::<Vec<_>>(), "one of each kind");
        list
    }
}

/// How many kinds there are.
const KINDS: usize = 19;

/// The place of each kind in the table above: a kind that is missing does not compile.
fn place(frame: &Frame) -> usize {
    match frame {
        Frame::Hello(_) => 0,
        Frame::Goodbye(_) => 1,
        Frame::Ping(_) => 2,
        Frame::Pong(_) => 3,
        Frame::Compare(..) => 4,
        Frame::Compared(..) => 5,
        Frame::Want(..) => 6,
        Frame::Push(_) => 7,
        Frame::PeersPlease => 8,
        Frame::Peers(_) => 9,
        Frame::WhoHas(_) => 10,
        Frame::Has(..) => 11,
        Frame::Enrol(_) => 12,
        Frame::AskToJoin(_) => 13,
        Frame::JoinAnswer(_) => 14,
        Frame::Clock(_) => 15,
        Frame::Sketch(..) => 16,
        Frame::Sketched(..) => 17,
        Frame::WantShort(..) => 18,
    }
}

/// The reason that a peer was given, if it was turned away.
fn reason(frames: &[Frame]) -> Option<(Option<Farewell>, String)> {
    frames.iter().find_map(|frame| match frame {
        Frame::Goodbye(g) => Some((Some(g.why), g.text.clone())),
        Frame::JoinAnswer(JoinAnswer::Refused(why)) => Some((None, why.clone())),
        _ => None,
    })
}

/// What may be answered besides a refusal, by design.
fn is_joining(peer: Peer, frame: &Frame) -> bool {
    matches!(frame, Frame::AskToJoin(_)) && matches!(peer, Peer::NoPapers | Peer::Pending)
}

fn says_who(peer: Peer, frame: &Frame, why: Option<Farewell>, text: &str) -> bool {
    match (peer, frame) {
        (_, Frame::JoinAnswer(_)) => why == Some(Farewell::Misbehaved),
        (Peer::Revoked, Frame::Hello(_)) => why == Some(Farewell::Revoked) && text.contains("web01"),
        (Peer::Revoked, Frame::Enrol(_) | Frame::AskToJoin(_)) => text.contains("revoked"),
        (Peer::Suspended, Frame::Hello(_)) => why == Some(Farewell::Suspended),
        (_, Frame::Hello(_)) => why == Some(Farewell::Papers),
        (_, Frame::Enrol(_) | Frame::AskToJoin(_)) => !text.is_empty(),
        (Peer::Pending, _) => text.contains("waits for an operator's approval"),
        // Before it shows papers nobody can know who it is.
        _ => why == Some(Farewell::Denied) && text.contains("a peer without papers"),
    }
}

#[test]
fn every_frame_of_whoever_is_no_member_is_refused_named_and_changes_nothing() {
    let mut cells = 0;
    for peer in PEERS {
        let mut scene = scene(peer);
        for n in 0..KINDS {
            let conn = scene.connect(peer);
            let before = scene.rig.bolt.everything();
            let frame = scene.frames(peer, conn).swap_remove(n);
            assert_eq!(place(&frame), n);
            scene.rig.bolt.frame(conn, &frame);
            let what = format!("{peer:?} × {}", frame.name());
            let answers = scene.rig.bolt.heard(conn);
            if is_joining(peer, &frame) {
                assert!(
                    matches!(answers[..], [Frame::JoinAnswer(JoinAnswer::Pending(..))]),
                    "{what}: {answers:?}"
                );
                continue;
            }
            assert_eq!(scene.rig.bolt.everything(), before, "{what} changed something");
            cells += 1;
            if matches!(frame, Frame::Goodbye(_)) {
                assert!(answers.is_empty() && scene.rig.bolt.hung.contains_key(&conn), "{what}");
                continue;
            }
            let (why, text) =
                reason(&answers).unwrap_or_else(|| panic!("{what}: no reason, but {answers:?}"));
            assert!(says_who(peer, &frame, why, &text), "{what}: {why:?} {text}");
            let only_refusals = answers.iter().all(|f| matches!(f, Frame::Goodbye(_) | Frame::JoinAnswer(_)));
            assert!(only_refusals, "{what}: {answers:?}");
        }
    }
    assert_eq!(cells, 4 * KINDS - 2);
}

#[test]
fn after_a_goodbye_nothing_more_is_heard() {
    let mut scene = scene(Peer::Revoked);
    let before = scene.rig.bolt.everything();
    for n in 0..KINDS {
        let conn = scene.rig.bolt.greet(envoy().public(), &scene.papers);
        let first = scene.rig.bolt.heard(conn);
        let [Frame::Goodbye(goodbye)] = &first[..] else { panic!("{first:?}") };
        assert_eq!(
            (goodbye.why, goodbye.proof.len()),
            (Farewell::Revoked, 1),
            "with the revocation that proves it"
        );
        let frame = scene.frames(Peer::Revoked, conn).swap_remove(n);
        scene.rig.bolt.frame(conn, &frame);
        assert_eq!(scene.rig.bolt.heard(conn), [], "{}", frame.name());
        assert_eq!(scene.rig.bolt.everything(), before);
    }
}

#[test]
fn a_live_session_ends_when_its_member_is_revoked() {
    let mut scene = scene(Peer::NoPapers);
    let conn = scene.rig.bolt.greet(envoy().public(), &scene.papers);
    scene.rig.bolt.heard(conn);
    scene.rig.revoke(envoy().public());
    let said = scene.rig.bolt.heard(conn);
    assert!(said.iter().any(|f| matches!(f, Frame::Goodbye(g) if g.why == Farewell::Revoked)), "{said:?}");
    assert!(scene.rig.bolt.hung.contains_key(&conn));
    let before = scene.rig.bolt.everything();
    scene.rig.bolt.frame(conn, &push(&[&scene.status]));
    assert_eq!(scene.rig.bolt.everything(), before);
}

#[test]
fn the_papers_of_another_do_not_open_the_door() {
    let mut scene = scene(Peer::NoPapers);
    let before = scene.rig.bolt.everything();
    let conn = scene.rig.bolt.greet(key(31).public(), &scene.papers);
    let said = scene.rig.bolt.heard(conn);
    let (why, text) = reason(&said).expect("a reason");
    assert_eq!(why, Some(Farewell::Papers));
    assert!(text.contains("do not show"), "{text}");
    assert_eq!(scene.rig.bolt.everything(), before);
}

/// One bulk request of every kind; the match makes it complete.
fn bulks(blob: BlobRef) -> Vec<Bulk> {
    let list = vec![Bulk::Outline(blob), Bulk::Chunk(blob.exchange, 0)];
    for bulk in &list {
        match bulk {
            Bulk::Outline(_) | Bulk::Chunk(..) => {}
        }
    }
    list
}

#[test]
fn every_bulk_request_of_whoever_is_no_member_is_refused() {
    for peer in PEERS {
        let mut scene = scene(peer);
        for bulk in bulks(BlobRef::of(b"blob")) {
            let conn = scene.connect(peer);
            let before = scene.rig.bolt.everything();
            let answers = scene.rig.bolt.ask(conn, bulk.encode());
            assert!(
                matches!(&answers[..], [Answer::Refuse(why)] if why.contains("papers")),
                "{peer:?}: {answers:?}"
            );
            assert_eq!(
                scene.rig.bolt.ask(conn, vec![0xff; 5000]).len(),
                1,
                "{peer:?}: nonsense is answered too"
            );
            assert_eq!(scene.rig.bolt.everything(), before);
        }
    }
}

fn commands() -> Vec<Command> {
    let list = vec![
        Command::Status,
        Command::Converge { dry_run: false },
        Command::Context { key: key(OPERATOR).public() },
        Command::Submit { space: "config".into(), statement: "00".into() },
        Command::Rollout { id: Hash::of(b"x") },
        Command::Members,
        Command::Requests,
        Command::Deny { key: key(30).public() },
        Command::Envoys,
        Command::Envoy { name: "bolt1".into() },
        Command::Publishes,
        Command::Settings,
        Command::Peers,
        Command::Source { id: None },
        Command::Authority,
        Command::Audit { filter: AuditFilter::default() },
        Command::AuditVerify,
    ];
    let place = |command: &Command| match command {
        Command::Status => 0,
        Command::Converge { .. } => 1,
        Command::Context { .. } => 2,
        Command::Submit { .. } => 3,
        Command::Rollout { .. } => 4,
        Command::Members => 5,
        Command::Requests => 6,
        Command::Deny { .. } => 7,
        Command::Envoys => 8,
        Command::Envoy { .. } => 9,
        Command::Publishes => 10,
        Command::Settings => 11,
        Command::Peers => 12,
        Command::Source { .. } => 13,
        Command::Authority => 14,
        Command::Audit { .. } => 15,
        Command::AuditVerify => 16,
    };
    assert!(list.iter().map(place).eq(0..17), "one of each kind");
    list
}

#[test]
fn every_command_of_whoever_is_no_administrator_is_refused_and_changes_nothing() {
    let mut scene = scene(Peer::NoPapers);
    scene.connect(Peer::Pending);
    // A good statement: only the caller is wrong.
    let revoke = scene.rig.bolt.signer(&key(OPERATOR)).revoke(&[envoy().public()], "x").unwrap();
    let before = scene.rig.bolt.everything();
    for command in commands().into_iter().chain([revoke.command()]) {
        let refusal = scene.rig.bolt.call(false, command.clone()).expect_err("refused");
        assert_eq!(refusal.kind, RefusalKind::Denied, "{command:?}");
        assert!(refusal.what.contains("vigo-admin") && refusal.hint.is_some(), "{refusal}");
        assert_eq!(scene.rig.bolt.everything(), before, "{command:?}");
    }
    assert!(scene.rig.bolt.call(true, revoke.command()).is_ok(), "an administrator hands the same in");
}

#[test]
fn a_bolt_greets_nobody_by_its_own_key_and_no_time_travellers() {
    let mut rig = Rig::new();
    let conn = rig.bolt.connect(key(BOLT).public());
    assert!(rig.bolt.hung.contains_key(&conn), "a reflected connection is ours: it ends");
    let mut greeting = hello(&[]);
    if let Frame::Hello(hello) = &mut greeting {
        hello.version = 999;
    }
    let conn = rig.bolt.connect(key(20).public());
    rig.bolt.frame(conn, &greeting);
    assert_eq!(reason(&rig.bolt.heard(conn)).and_then(|r| r.0), Some(Farewell::Version));
    assert!(rig.bolt.now > Time(0));
}

/// Whoever was let in by somebody who is cut off since is hung up on, not only turned away at the next door.
#[test]
fn a_member_falls_with_the_operator_that_let_it_in() {
    let mut rig = Rig::new();
    let bob = key(50);
    let grants = Right::ALL.into_iter().map(Grant::everywhere).collect();
    let act = Act::Admit(Admit { key: bob.public(), name: name("bob"), grants });
    let chain = rig.bolt.signer(&key(OPERATOR)).context().under;
    let admit = rig.statement(&key(OPERATOR), act.draft(chain, vec![], rig.bolt.now));
    let command = Command::Submit { space: "admissions".into(), statement: hex::encode(admit.bytes()) };
    rig.bolt.call(true, command).unwrap();
    // Signed before bob lets anybody in.
    let revoke = rig.bolt.signer(&key(OPERATOR)).revoke(&[bob.public()], "gone bad").unwrap();
    let papers = rig.admit_by(&bob, &envoy(), "web01", NodeKind::Envoy);
    let conn = rig.bolt.greet(envoy().public(), &papers);
    assert!(!rig.bolt.hung.contains_key(&conn), "a member");
    rig.bolt.submit(&revoke).unwrap();
    assert!(rig.bolt.hung.contains_key(&conn), "its admission has fallen");
    let refused = |e: &Event| matches!(e, Event::PeerRefused { key, .. } if *key == envoy().public());
    assert!(rig.bolt.events.iter().any(refused), "{:?}", rig.bolt.events);
}
