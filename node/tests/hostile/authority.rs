//! Attacks on authority: operators that overreach, bolts and envoys gone bad. What they say is filed where it must
//! be, and counts for nothing.

use std::time::{Duration, Instant};

use vigo_base::{Hash, Hostname, SecretKey, Stamp, Time, codec, time};
use vigo_node::content_types::config::{PUBLISH, Publish};
use vigo_node::content_types::settings::{Change, SETTING};
use vigo_node::content_types::status::Presence;
use vigo_node::crdt::{Draft, Record, Space, register};
use vigo_node::spanner::act::{Admit, Invite, Revoke};
use vigo_node::spanner::spend::{SPEND, STATEMENT, Spend};
use vigo_node::spanner::{Act, Grant, Invitee, NameRule, NodeKind, Right};
use vigo_node::swarm::frame::{AskToJoin, Bytes, Frame, Head, Hello, VERSION};
use vigo_node::swarm::outline::BlobRef;
use vigo_node::{Command, Event, Input, RefusalKind, Reply};

use crate::rig::{BOLT, OPERATOR, RECOVERY, Rig, key, name, push};

fn members(rig: &mut Rig) -> Vec<(String, String, String)> {
    match rig.bolt.call(true, Command::Members) {
        Ok(Reply::Members(rows)) => rows.into_iter().map(|r| (r.name, r.kind, r.state)).collect(),
        other => panic!("{other:?}"),
    }
}

fn has(rig: &mut Rig, wanted: &str) -> bool {
    members(rig).iter().any(|(name, ..)| name == wanted)
}

/// Says an act through a carrier that is an admitted bolt.
struct Carrier {
    key: SecretKey,
    papers: Vec<u8>,
    seq: u64,
}

impl Carrier {
    fn new(rig: &mut Rig, n: u8) -> Carrier {
        let papers = rig.admit(&key(n), &format!("carrier{n}"), NodeKind::Bolt);
        Carrier { key: key(n), papers, seq: 0 }
    }

    fn carry(&mut self, rig: &mut Rig, space: Space, kind: u16, payload: Vec<u8>) -> bool {
        self.seq += 1;
        let record = rig.record(&self.key, space, self.seq, kind, payload);
        let conn = rig.bolt.greet(self.key.public(), &self.papers);
        rig.bolt.frame(conn, &push(&[record.bytes()]));
        rig.bolt.hung.contains_key(&conn)
    }

    fn say(&mut self, rig: &mut Rig, act: &Act, signer: &SecretKey, under: Hash) -> bool {
        let statement = rig.statement(signer, act.draft(under, vec![], rig.bolt.now));
        self.carry(rig, Space::admissions(), STATEMENT, statement.bytes().to_vec())
    }
}

fn admit(n: u8, text: &str, grants: Vec<Grant>) -> Act {
    Act::Admit(Admit { key: key(n).public(), name: name(text), grants })
}

fn all() -> Vec<Grant> {
    Right::ALL.into_iter().map(Grant::everywhere).collect()
}

fn under(rig: &mut Rig, who: u8) -> Hash {
    rig.bolt.signer(&key(who)).context().under
}

#[test]
fn an_admission_signed_by_an_envoy_or_a_bolt_admits_nobody() {
    let mut rig = Rig::new();
    let mut carrier = Carrier::new(&mut rig, 40);
    rig.admit(&key(20), "web01", NodeKind::Envoy);
    let operator = under(&mut rig, OPERATOR);
    for (signer, text) in [(20, "by-envoy"), (40, "by-carrier"), (BOLT, "by-bolt")] {
        for chain in [operator, rig.spanner.0, Hash::default()] {
            carrier.say(&mut rig, &admit(90, text, all()), &key(signer), chain);
            assert!(!has(&mut rig, text), "{text} under {chain:?}");
        }
    }
    assert!(
        matches!(rig.bolt.call(true, Command::Context { key: key(90).public() }), Err(r) if r.kind == RefusalKind::Denied)
    );
}

#[test]
fn a_status_for_another_node_is_not_believed() {
    let mut rig = Rig::new();
    let mut carrier = Carrier::new(&mut rig, 40);
    let victim = rig.admit(&key(20), "web01", NodeKind::Envoy);
    let papers = rig.admit(&key(21), "web02", NodeKind::Envoy);
    let said = Presence { version: "forged".into(), addresses: vec![], started: Time(1), cadence: 1 };
    let payload = register::payload(1, &said.encode());
    // Signed by web02: it is web02's own, whatever it says inside; web01 has said nothing.
    let record = rig.record(&key(21), Space::status(), 1, register::REGISTER, payload.clone());
    let conn = rig.bolt.greet(key(21).public(), &papers);
    rig.bolt.frame(conn, &push(&[record.bytes()]));
    // A record with web01's key as the author and web02's signature.
    let mut forged = record.bytes().to_vec();
    forged[8..40].copy_from_slice(key(20).public().as_bytes());
    assert!(
        carrier.carry(&mut rig, Space::status(), register::REGISTER, vec![]),
        "a bolt is blamed for a bad one"
    );
    rig.bolt.frame(conn, &push(&[&forged]));
    assert!(rig.bolt.hung.contains_key(&conn));
    let detail = |rig: &mut Rig, name: &str| match rig.bolt.call(true, Command::Envoy { name: name.into() }) {
        Ok(Reply::Envoy(detail)) => detail.presence.map(|p| p.version),
        other => panic!("{other:?}"),
    };
    assert_eq!((detail(&mut rig, "web01"), detail(&mut rig, "web02")), (None, Some("forged".into())));
    assert!(!victim.is_empty());
}

#[test]
fn nobody_is_online_for_ever_by_its_own_word() {
    let mut rig = Rig::new();
    let papers = rig.admit(&key(20), "web01", NodeKind::Envoy);
    let said = Presence { version: "1".into(), addresses: vec![], started: Time(1), cadence: u64::MAX };
    let payload = register::payload(1, &said.encode());
    let stamp = Stamp(u64::MAX);
    let record =
        Record::sign(&key(20), &rig.spanner, Space::status(), 1, register::REGISTER, stamp, payload).unwrap();
    let conn = rig.bolt.greet(key(20).public(), &papers);
    rig.bolt.frame(conn, &push(&[record.bytes()]));
    rig.bolt.input(Input::PeerDown { conn, why: "gone".into() });
    let online = |host: &mut crate::rig::Host| match host.call(true, Command::Envoys) {
        Ok(Reply::Envoys(rows)) => rows.iter().any(|r| r.name == "web01" && r.online),
        other => panic!("{other:?}"),
    };
    assert!(online(&mut rig.bolt));
    rig.bolt.elapse(time::hours(24 * 7));
    assert!(!online(&mut rig.bolt));
    assert!(!online(&mut rig.bolt.reload()), "nor by a stamp from the future");
}

#[test]
fn a_peers_word_on_our_sequences_cannot_silence_us() {
    let mut rig = Rig::new();
    let papers = rig.admit(&key(20), "web01", NodeKind::Envoy);
    let heads = [Space::settings(), Space::config(), Space::admissions(), "x/y".parse().unwrap()];
    for seq in [u64::MAX, u64::MAX - 1, u64::MAX / 2] {
        let conn = rig.bolt.connect(key(20).public());
        rig.bolt.frame(
            conn,
            &Frame::Hello(Hello {
                version: VERSION,
                papers: Bytes::from(papers.clone()),
                addresses: vec!["not an address\n".into(); 500],
                digests: vec![],
                your_heads: heads
                    .iter()
                    .map(|s| Head { space: s.clone(), seq, id: Hash::of(b"?") })
                    .collect(),
                gossip: Some(0),
                features: 0,
            }),
        );
    }
    let set = |rig: &mut Rig, n: u64| {
        let signer = rig.bolt.signer(&key(OPERATOR));
        rig.bolt.submit(&signer.set("converge.interval", Some(&serde_json::json!(n))).unwrap())
    };
    for n in [60, 70, 80] {
        assert!(set(&mut rig, n).is_ok(), "the bolt can no longer write");
    }
    rig.admit(&key(22), "web03", NodeKind::Envoy);
}

#[test]
fn an_operator_without_the_right_publishes_sets_and_admits_nothing() {
    let mut rig = Rig::new();
    let mut carrier = Carrier::new(&mut rig, 40);
    let limited =
        vec![Grant::everywhere(Right::FleetRead), Grant { right: Right::ConfigPublish, scope: vec![] }];
    let signed = rig.bolt.signer(&key(OPERATOR)).admit(key(60).public(), name("reader"), limited).unwrap();
    let chain = rig.bolt.submit(&signed).unwrap();
    let blob = BlobRef::of(b"x");
    rig.bolt.input(Input::BlobStored { blob });
    let before = (rig.bolt.call(true, Command::Settings).is_ok(), rig.bolt.status().head, members(&mut rig));
    let publish = Publish { epoch: 1, routes: blob, source: blob, note: String::new() }.encode();
    let change = Change { key: "converge.interval".into(), value: Some("99".into()), generation: 1 }.encode();
    for (space, kind, payload) in [(Space::config(), PUBLISH, publish), (Space::settings(), SETTING, change)]
    {
        let draft =
            Draft { space: space.clone(), kind, under: chain, after: vec![], at: rig.bolt.now, payload };
        let statement = rig.statement(&key(60), draft);
        let command = Command::Submit { space: space.to_string(), statement: hex::encode(statement.bytes()) };
        let refusal = rig.bolt.call(true, command).expect_err("no right");
        assert_eq!(refusal.kind, RefusalKind::Denied, "{refusal}");
        assert!(refusal.what.contains("reader"), "it is named: {refusal}");
        carrier.carry(&mut rig, space, STATEMENT, statement.bytes().to_vec());
    }
    carrier.say(&mut rig, &admit(91, "smuggled", all()), &key(60), chain);
    let revoke =
        Act::Revoke(Revoke { keys: vec![key(OPERATOR).public(), key(BOLT).public()], ..Revoke::default() });
    carrier.say(&mut rig, &revoke, &key(60), chain);
    let settings = format!("{:?}", rig.bolt.call(true, Command::Settings));
    assert!(!settings.contains("99"), "{settings}");
    assert_eq!((true, rig.bolt.status().head, members(&mut rig)), before);
}

#[test]
fn rights_are_not_widened_by_an_empty_list_a_star_or_oneself() {
    let mut rig = Rig::new();
    let mut carrier = Carrier::new(&mut rig, 40);
    let web = vec!["web*".parse().unwrap()];
    let narrow = vec![
        Grant { right: Right::AdmitOperator, scope: web.clone() },
        Grant { right: Right::Invite, scope: web },
    ];
    let signed = rig.bolt.signer(&key(OPERATOR)).admit(key(60).public(), name("webmaster"), narrow).unwrap();
    let chain = rig.bolt.submit(&signed).unwrap();
    let rights = |rig: &mut Rig, n: u8| match rig.bolt.call(true, Command::Context { key: key(n).public() }) {
        Ok(Reply::Context(context)) => context.rights,
        _ => Vec::new(),
    };
    let empty: Vec<Grant> = Right::ALL.into_iter().map(|right| Grant { right, scope: vec![] }).collect();
    for (n, text, grants) in [(61, "web-a", empty), (62, "web-b", all()), (60, "web-self", all())] {
        carrier.say(&mut rig, &admit(n, text, grants), &key(60), chain);
    }
    assert_eq!(rights(&mut rig, 61), Vec::<String>::new(), "an empty scope is nothing");
    assert_eq!(rights(&mut rig, 62), Vec::<String>::new(), "`*` is wider than `web*`");
    assert_eq!(rights(&mut rig, 60), ["admit.operator", "invite"], "nobody gives itself more");
    for (rule, ok) in [("web07", true), ("db01", false)] {
        let invite = Act::Invite(Invite {
            invitee: Invitee::Node(key(70).public()),
            kind: NodeKind::Envoy,
            name: NameRule::Exact(name(rule)),
            uses: 1,
            until: rig.bolt.now.after(time::hours(1)),
            spenders: vec![key(BOLT).public()],
        });
        let statement = rig.statement(&key(60), invite.draft(chain, vec![], rig.bolt.now));
        let command =
            Command::Submit { space: "admissions".into(), statement: hex::encode(statement.bytes()) };
        assert_eq!(rig.bolt.call(true, command).is_ok(), ok, "{rule}");
    }
    // Deeper cannot revoke shallower, nor the recovery key be revoked.
    for target in [OPERATOR, RECOVERY, BOLT] {
        let act = Act::Revoke(Revoke { keys: vec![key(target).public()], ..Revoke::default() });
        carrier.say(&mut rig, &act, &key(60), chain);
    }
    assert!(members(&mut rig).iter().all(|(.., state)| state == "active"), "{:?}", members(&mut rig));
}

#[test]
fn a_publish_that_jumps_epochs_is_no_head() {
    let mut rig = Rig::new();
    let mut carrier = Carrier::new(&mut rig, 40);
    let blob = BlobRef::of(b"x");
    rig.bolt.input(Input::BlobStored { blob });
    let signed = rig.bolt.signer(&key(OPERATOR)).publish(blob, blob, "one").unwrap();
    let first = rig.bolt.submit(&signed).unwrap();
    let chain = under(&mut rig, OPERATOR);
    for epoch in [0, 3, 9, u64::MAX] {
        let payload = Publish { epoch, routes: blob, source: blob, note: "jump".into() }.encode();
        let draft = Draft {
            space: Space::config(),
            kind: PUBLISH,
            under: chain,
            after: vec![first],
            at: rig.bolt.now,
            payload,
        };
        let statement = rig.statement(&key(OPERATOR), draft);
        let command = Command::Submit { space: "config".into(), statement: hex::encode(statement.bytes()) };
        assert_eq!(rig.bolt.call(true, command).expect_err("a jump").kind, RefusalKind::Stale, "{epoch}");
        assert!(!carrier.carry(&mut rig, Space::config(), STATEMENT, statement.bytes().to_vec()));
        assert_eq!(rig.bolt.status().head.map(|h| h.id), Some(first), "{epoch}");
    }
    let signed = rig.bolt.signer(&key(OPERATOR)).publish(blob, blob, "two").unwrap();
    rig.bolt.submit(&signed).unwrap();
    assert_eq!(rig.bolt.status().head.map(|h| h.epoch), Some(2));
}

#[test]
fn hostile_names_never_enter() {
    let mut rig = Rig::new();
    let before = rig.bolt.everything();
    let good = Frame::AskToJoin(AskToJoin { spanner: None, name: name("abcdefghijk"), bolt: false }).encode();
    let at = good.windows(11).position(|w| w == b"abcdefghijk").expect("the name");
    let hostile: [&[u8; 11]; 8] = [
        b"{{ 7*7 }}..",
        b"web01\n[Uni]",
        b"\x1b[2Jwebclea",
        b"../../etc/x",
        b"web01\0x.com",
        b"$(reboot)xx",
        b"WEB01UPPERC",
        "web\u{430}01.com".as_bytes().first_chunk::<11>().expect("eleven bytes"),
    ];
    for text in hostile {
        let mut bytes = good.clone();
        bytes[at..at + 11].copy_from_slice(text);
        let conn = rig.bolt.connect(key(30).public());
        rig.bolt.raw(conn, bytes);
        assert_eq!(rig.bolt.misbehaved().len(), 1, "{:?}", String::from_utf8_lossy(text));
        assert!(rig.bolt.hung.contains_key(&conn));
        for (_, frame) in &rig.bolt.sent {
            if let Frame::Goodbye(goodbye) = frame {
                assert!(!goodbye.text.chars().any(char::is_control), "{:?}", goodbye.text);
            }
        }
    }
    assert_eq!(rig.bolt.everything(), before);
    assert!("{{ 7*7 }}".parse::<Hostname>().is_err());
    // The same names in a spend by a bolt gone bad.
    let mut carrier = Carrier::new(&mut rig, 40);
    let spend =
        Spend { invite: rig.spanner.0, node: key(70).public(), name: name("abcdefghijk"), proof: None };
    let good = codec::encode(&spend);
    let at = good.windows(11).position(|w| w == b"abcdefghijk").expect("the name");
    for text in hostile {
        let mut bytes = good.clone();
        bytes[at..at + 11].copy_from_slice(text);
        assert!(
            carrier.carry(&mut rig, Space::envoys(), SPEND, bytes),
            "{:?}",
            String::from_utf8_lossy(text)
        );
    }
}

#[test]
fn a_bolt_admits_no_bolt_and_spends_no_invite_twice() {
    let mut rig = Rig::new();
    let mut rogue = Carrier::new(&mut rig, 40);
    let chain = under(&mut rig, OPERATOR);
    let mut invite = |rig: &mut Rig, kind, n: u8| {
        let act = Act::Invite(Invite {
            invitee: Invitee::Node(key(n).public()),
            kind,
            name: NameRule::Pattern("*".parse().unwrap()),
            uses: 1,
            until: rig.bolt.now.after(time::hours(1)),
            spenders: vec![key(BOLT).public(), key(40).public()],
        });
        let statement = rig.statement(&key(OPERATOR), act.draft(chain, vec![], rig.bolt.now));
        rogue.carry(rig, Space::admissions(), STATEMENT, statement.bytes().to_vec());
        statement.id()
    };
    let envoys = invite(&mut rig, NodeKind::Envoy, 70);
    // An envoy's invite spent where bolts' are, for a bolt's name; for another node; twice under two names.
    let spend = |node: u8, text: &str| {
        codec::encode(&Spend { invite: envoys, node: key(node).public(), name: name(text), proof: None })
    };
    rogue.carry(&mut rig, Space::admissions(), SPEND, spend(70, "fake-bolt"));
    rogue.carry(&mut rig, Space::envoys(), SPEND, spend(71, "another"));
    rogue.carry(&mut rig, Space::envoys(), SPEND, spend(70, "first"));
    rogue.carry(&mut rig, Space::envoys(), SPEND, spend(70, "second"));
    rogue.carry(&mut rig, Space::envoys(), SPEND, spend(70, "bolt1"));
    let rows = members(&mut rig);
    let live: Vec<_> = rows.iter().filter(|(_, kind, _)| kind == "envoy").collect();
    assert!(live.len() <= 1, "{rows:?}");
    assert!(!rows.iter().any(|(n, ..)| n == "fake-bolt" || n == "another"), "{rows:?}");
    let bolts =
        rows.iter().filter(|(name, kind, state)| name == "bolt1" && kind == "bolt" && state == "active");
    assert_eq!(bolts.count(), 1, "{rows:?}");
}

/// 10,000 spends of a bolt gone bad, in one second of its life: the work stays bounded, the operator sees who did
/// it, and a revoke cuts all that the operator had not seen.
#[test]
fn ten_thousand_spends_of_a_rogue_bolt_are_bounded_and_cut() {
    let mut rig = Rig::new();
    let rogue = Carrier::new(&mut rig, 40);
    let chain = under(&mut rig, OPERATOR);
    let seed = key(88);
    let invite = Act::Invite(Invite {
        invitee: Invitee::Token(seed.public()),
        kind: NodeKind::Envoy,
        name: NameRule::Pattern("*".parse().unwrap()),
        uses: u32::MAX,
        until: rig.bolt.now.after(time::hours(1)),
        spenders: vec![rogue.key.public()],
    });
    let invite = rig.statement(&key(OPERATOR), invite.draft(chain, vec![], rig.bolt.now));
    let command = Command::Submit { space: "admissions".into(), statement: hex::encode(invite.bytes()) };
    rig.bolt.call(true, command).unwrap();
    // A revoke that had seen nothing of the rogue, prepared before.
    let revoke = rig.bolt.signer(&key(OPERATOR)).revoke(&[rogue.key.public()], "gone bad").unwrap();
    let total: u64 = if std::env::var_os("VIGO_LONG").is_some() { 10_000 } else { 2_000 };
    let records: Vec<Vec<u8>> = (1..=total)
        .map(|n| {
            let mut bytes = [7; 32];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            let node = SecretKey::from_seed(bytes).public();
            // Every second one wants a name that is taken: the slow way in.
            let text = if n % 2 == 0 { "same".to_string() } else { format!("ghost{n}") };
            let proof = vigo_node::spanner::Proof::sign(&seed, &rig.spanner, &node, &name(&text), b"e");
            let spend = Spend { invite: invite.id(), node, name: name(&text), proof: Some(proof) };
            rig.record(&rogue.key, Space::envoys(), n, SPEND, codec::encode(&spend)).bytes().to_vec()
        })
        .collect();
    let conn = rig.bolt.greet(rogue.key.public(), &rogue.papers);
    let (began, mut slowest) = (Instant::now(), Duration::ZERO);
    for chunk in records.chunks(100) {
        let frame = push(&chunk.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let one = Instant::now();
        rig.bolt.frame(conn, &frame);
        slowest = slowest.max(one.elapsed());
    }
    println!("{total} spends in {:?}, the slowest hundred {slowest:?}", began.elapsed());
    assert!(slowest < Duration::from_secs(10), "the slowest hundred took {slowest:?}");
    let ghosts = members(&mut rig).iter().filter(|(n, ..)| n.starts_with("ghost")).count() as u64;
    assert_eq!(ghosts, total / 2, "the operator sees every one of them");
    let before = Instant::now();
    rig.bolt.submit(&revoke).unwrap();
    assert!(before.elapsed() < Duration::from_secs(10), "the revoke took {:?}", before.elapsed());
    assert!(rig.bolt.hung.contains_key(&conn), "the rogue is cut off");
    let rows = members(&mut rig);
    assert!(!rows.iter().any(|(n, ..)| n.starts_with("ghost") || n == "same"), "nothing of it is left");
    assert!(
        rig.bolt
            .events
            .iter()
            .any(|e| matches!(e, Event::PeerRefused { key, .. } if *key == rogue.key.public()))
    );
}
