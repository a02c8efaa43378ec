//! Limits kept to the item, spellings that people and programs read, and the small sets that others build on.

use vigo_base::time::{mins, secs};
use vigo_base::{Hash, Hostname, Stamp, Time, codec, limits};
use vigo_crdt::{Record, Space, Statement};
use vigo_spanner::act::{
    self, ACT_ITEMS, Act, Admit, Amend, BadAct, Genesis, Invite, Keep, Revoke, Seen, TEXT_CHARS, UpTo,
};
use vigo_spanner::admissions::Inserted;
use vigo_spanner::ask::{ASKER_STALE, AskRefused, DENIED_FOR};
use vigo_spanner::right::{BadPattern, GRANT_ITEMS, PATTERN_BYTES};
use vigo_spanner::spend::{BadAdmission, FORK, SPEND};
use vigo_spanner::token::{TOKEN_BOLTS, TokenBolt};
use vigo_spanner::{
    ActKind, Admissions, Authority, ForkProof, Grant, Invitee, JoinRequests, JoinState, MemberState,
    NameRule, NodeKind, Pattern, Right, Roster, SpendRecord, Suspension, Token, Who, words,
};

use crate::world::*;

fn name(text: &str) -> Hostname {
    text.parse().unwrap()
}

fn pattern(text: &str) -> Pattern {
    text.parse().unwrap()
}

fn hashes(count: usize) -> Vec<Hash> {
    (0..count).map(|n| Hash::of(&n.to_be_bytes())).collect()
}

fn invite(uses: u32, spenders: usize, invitee: Invitee) -> Act {
    let spenders = vec![public(50); spenders];
    let rule = NameRule::Pattern(Pattern::any());
    Act::Invite(Invite { invitee, kind: NodeKind::Envoy, name: rule, uses, until: Time(1), spenders })
}

fn revoke(keys: usize, seen: &[usize], upto: usize, reason: usize) -> Act {
    let cut = UpTo { key: public(1), space: Space::envoys(), seq: 1 };
    Act::Revoke(Revoke {
        keys: vec![public(1); keys],
        seen: seen.iter().map(|n| Seen { space: Space::config(), heads: hashes(*n) }).collect(),
        upto: vec![cut; upto],
        reason: "é".repeat(reason),
    })
}

fn grants(count: usize, patterns: usize) -> Vec<Grant> {
    vec![Grant { right: Right::Tasks, scope: vec![Pattern::any(); patterns] }; count]
}

fn admit(count: usize, patterns: usize) -> Act {
    Act::Admit(Admit { key: public(1), name: name("op1"), grants: grants(count, patterns) })
}

fn genesis(label: usize, version: u32) -> Act {
    Act::Genesis(Genesis { label: "é".repeat(label), version, nonce: Hash::default() })
}

fn keep(count: usize) -> Act {
    Act::Keep(Keep { statements: hashes(count) })
}

fn partition(count: usize) -> Act {
    Act::Amend(Amend::Partition { bolt: public(50), patterns: vec![Pattern::any(); count] })
}

fn narrow(list: Vec<Grant>, seen: &[usize]) -> Act {
    let seen = seen.iter().map(|n| Seen { space: Space::config(), heads: hashes(*n) }).collect();
    Act::Amend(Amend::Narrow { admit: Hash::of(b"admit"), grants: list, seen })
}

#[test]
fn acts_keep_their_limits_to_the_item() {
    let (token, node) = (Invitee::Token(public(60)), Invitee::Node(public(70)));
    let good = [
        genesis(TEXT_CHARS, 1),
        admit(GRANT_ITEMS, 1),
        admit(1, GRANT_ITEMS),
        invite(9, ACT_ITEMS, token),
        invite(1, 1, node),
        revoke(ACT_ITEMS, &[], 0, 0),
        revoke(1, &[ACT_ITEMS], ACT_ITEMS, TEXT_CHARS),
        revoke(1, &[1; ACT_ITEMS], 0, 0),
        keep(1),
        keep(ACT_ITEMS),
        Act::Amend(Amend::FleetVersion(1)),
        partition(ACT_ITEMS),
        narrow(grants(GRANT_ITEMS, 1), &[ACT_ITEMS]),
        narrow(vec![], &[1; ACT_ITEMS]),
    ];
    for act in &good {
        assert_eq!(act.problem(), None, "{act:?}");
        assert_eq!(Act::decode(act.kind() as u16, &act.encode()).as_ref(), Ok(act));
    }
    let more = ACT_ITEMS + 1;
    let bad = [
        genesis(TEXT_CHARS + 1, 1),
        genesis(1, 0),
        admit(GRANT_ITEMS + 1, 1),
        admit(1, GRANT_ITEMS + 1),
        invite(0, 1, token),
        invite(2, 1, node),
        invite(1, 0, token),
        invite(1, more, token),
        revoke(0, &[], 0, 0),
        revoke(more, &[], 0, 0),
        revoke(1, &vec![0; more], 0, 0),
        revoke(1, &[more], 0, 0),
        revoke(1, &[], more, 0),
        revoke(1, &[], 0, TEXT_CHARS + 1),
        keep(0),
        keep(more),
        Act::Amend(Amend::FleetVersion(0)),
        partition(more),
        narrow(grants(GRANT_ITEMS + 1, 1), &[]),
        narrow(vec![], &vec![0; more]),
        narrow(vec![], &[more]),
    ];
    for act in &bad {
        let why = act.problem().unwrap_or_else(|| panic!("{:?} is taken", act.kind()));
        let what = act.kind().name();
        assert_eq!(Act::decode(act.kind() as u16, &act.encode()), Err(BadAct::Senseless { what, why }));
    }
}

#[test]
fn acts_have_their_numbers_names_and_rights() {
    let exact = Act::Invite(Invite {
        invitee: Invitee::Node(public(70)),
        kind: NodeKind::Bolt,
        name: NameRule::Exact(name("b2")),
        uses: 1,
        until: Time(1),
        spenders: vec![public(50)],
    });
    let all = [
        (genesis(1, 1), ActKind::Genesis, "genesis", None),
        (admit(1, 1), ActKind::Admit, "admit", Some((Right::AdmitOperator, pattern("op1")))),
        (
            invite(1, 1, Invitee::Token(public(60))),
            ActKind::Invite,
            "invite",
            Some((Right::Invite, Pattern::any())),
        ),
        (exact, ActKind::Invite, "invite", Some((Right::InviteBolt, pattern("b2")))),
        (revoke(1, &[], 0, 0), ActKind::Revoke, "revoke", Some((Right::Revoke, Pattern::any()))),
        (keep(1), ActKind::Keep, "keep", Some((Right::Revoke, Pattern::any()))),
        (
            Act::Amend(Amend::FleetVersion(2)),
            ActKind::Amend,
            "amend",
            Some((Right::Settings, Pattern::any())),
        ),
        (partition(1), ActKind::Amend, "amend", Some((Right::InviteBolt, Pattern::any()))),
        (narrow(vec![], &[]), ActKind::Amend, "amend", Some((Right::AdmitOperator, Pattern::any()))),
    ];
    for (act, kind, what, needs) in all {
        assert_eq!((act.kind(), kind.name(), act.needs()), (kind, what, needs));
        let draft = act.draft(Hash::of(b"under"), hashes(2), Time(9));
        assert_eq!(
            (draft.space, draft.kind, draft.under),
            (Space::admissions(), kind as u16, Hash::of(b"under"))
        );
        assert_eq!((draft.after, draft.at, draft.payload), (hashes(2), Time(9), act.encode()));
    }
    let numbers: Vec<Option<ActKind>> = (0..8).map(ActKind::of).collect();
    let [a, b, c, d, e, f] =
        [ActKind::Genesis, ActKind::Admit, ActKind::Invite, ActKind::Revoke, ActKind::Keep, ActKind::Amend]
            .map(Some);
    assert_eq!(numbers, [None, a, b, c, d, e, f, None]);
    assert_eq!(Act::decode(7, &[]), Err(BadAct::UnknownKind { kind: 7 }));
    assert!(matches!(Act::decode(2, &[0xff]), Err(BadAct::Malformed { what: "admit", .. })));
}

#[test]
fn names_and_kinds_are_spelled() {
    let (exact, wide) = (NameRule::Exact(name("web01")), NameRule::Pattern(pattern("web*")));
    assert_eq!([exact.to_string(), wide.to_string()], ["web01", "web*"]);
    assert!(exact.fits(&name("web01")) && !exact.fits(&name("web02")));
    assert!(wide.fits(&name("web02")) && !wide.fits(&name("db01")));
    assert_eq!((exact.as_pattern(), wide.as_pattern()), (Some(pattern("web01")), Some(pattern("web*"))));
    assert_eq!([NodeKind::Bolt.to_string(), NodeKind::Envoy.to_string()], ["bolt", "envoy"]);
    assert_eq!(Right::ConfigPublish.to_string(), "config.publish");
    assert_eq!([Invitee::Token(public(1)).key(), Invitee::Node(public(2)).key()], [public(1), public(2)]);
    assert!("a".repeat(PATTERN_BYTES).parse::<Pattern>().is_ok());
    for bad in ["", "a b", "ä", "a\n", "a,b", &"a".repeat(PATTERN_BYTES + 1)] {
        let refused: Result<Pattern, BadPattern> = bad.parse();
        assert!(refused.is_err(), "{bad:?}");
    }
    assert!(
        pattern("WEB*").as_str() == "web*" && !pattern("w?b").is_exact() && pattern("a.-_/:@=+").is_exact()
    );
    let json = serde_json::to_value((Right::Tasks, pattern("web*"), NodeKind::Bolt)).unwrap();
    assert_eq!(json, serde_json::json!(["tasks", "web*", "bolt"]));
}

#[test]
fn everybody_at_the_door_has_a_word() {
    let f = Fleet::new();
    let bolt = f.authority().bolt(&public(BOLT)).unwrap().clone();
    let envoy = vigo_spanner::Member { kind: NodeKind::Envoy, ..bolt.clone() };
    let gone = vigo_spanner::Member { state: MemberState::Revoked { by: Hash::default() }, ..bolt.clone() };
    let why = Suspension::Forked { space: "status".into(), seq: 3 };
    let held = vigo_spanner::Member { state: MemberState::Suspended(why.clone()), ..bolt.clone() };
    assert!(bolt.is_active() && bolt.is_active_bolt() && envoy.is_active() && !envoy.is_active_bolt());
    assert!(!gone.is_active() && !held.is_active() && !held.is_active_bolt());
    let all = [Who::Stranger, Who::Pending, Who::of(&gone), Who::of(&held), Who::of(&envoy), Who::of(&bolt)];
    let local = [Who::LocalAdmin { uid: 0 }, Who::LocalUser { uid: 7 }];
    let mut words: Vec<&str> = all.iter().chain(&local).map(Who::as_str).collect();
    assert_eq!(
        words[..6],
        [
            "a peer without papers",
            "a machine that waits for an operator's approval",
            "a revoked node",
            "a suspended node",
            "an envoy",
            "a bolt"
        ]
    );
    assert!(words[6].contains("administrator") && words[7].contains("neither root"));
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), 8);
    assert_eq!(serde_json::to_value(&why).unwrap(), serde_json::json!(why.to_string()));
}

#[test]
fn what_is_known_of_a_fleet_grows_and_is_found() {
    let f = Fleet::new();
    let mut all = Admissions::new(f.w.spanner);
    assert_eq!(all.spanner(), f.w.spanner);
    let carry = |kind, payload: Vec<u8>, seq| {
        Record::sign(&key(9), &f.w.spanner, Space::admissions(), seq, kind, Stamp(0), payload).unwrap()
    };
    let carrier = carry(vigo_spanner::spend::STATEMENT, f.op.bytes().to_vec(), 1);
    assert_eq!(all.insert(&carrier), Ok(Inserted::New));
    assert_eq!(all.insert(&carrier), Ok(Inserted::Known));
    assert_eq!(all.statements().keys().collect::<Vec<_>>(), [&f.op.id()]);
    let spend = f.admissions.spends().values().next().unwrap();
    assert_eq!(all.insert(spend.record()), Ok(Inserted::New));
    assert_eq!((all.insert(spend.record()), all.spends().len()), (Ok(Inserted::Known), 1));
    let (space, kind) = (Space::admissions(), 999);
    assert_eq!(all.insert(&carry(999, vec![], 2)), Err(BadAdmission::UnknownKind { space, kind }));
    let elsewhere = Record::sign(&key(9), &f.w.spanner, Space::config(), 1, SPEND, Stamp(0), vec![]).unwrap();
    assert_eq!(all.insert(&elsewhere), Err(BadAdmission::Space { space: Space::config() }));
}

#[test]
fn of_several_forks_of_one_author_the_lowest_is_kept() {
    let f = Fleet::new();
    let record = |author: u8, space: Space, seq, text: &[u8]| {
        Record::sign(&key(author), &f.w.spanner, space, seq, 77, Stamp(0), text.to_vec()).unwrap()
    };
    let fork = |author, space: Space, seq| {
        ForkProof::of(record(author, space.clone(), seq, b"a"), record(author, space, seq, b"b")).unwrap()
    };
    let (early, late) = (fork(1, Space::status(), 3), fork(1, Space::status(), 4));
    let (elsewhere, other) = (fork(1, Space::config(), 9), fork(2, Space::status(), 1));
    let mut all = Admissions::new(f.w.spanner);
    assert_eq!(all.fork_of(&public(1)), None);
    let changes: Vec<Inserted> =
        [&late, &late, &early, &late, &elsewhere, &other].map(|proof| all.insert_fork(proof.clone())).into();
    let (new, known) = (Inserted::New, Inserted::Known);
    assert_eq!(changes, [new, known, new, known, new, new]);
    assert_eq!(all.fork_in(&public(1), &Space::status()), Some(&early));
    assert_eq!(all.fork_in(&public(2), &Space::config()), None);
    assert_eq!((all.fork_of(&public(1)), all.fork_of(&public(2))), (Some(&elsewhere), Some(&other)));
    assert_eq!(all.forks().count(), 3);
    // It comes as a record too, and names its parts.
    let payload = early.encode().unwrap();
    let carried =
        Record::sign(&key(5), &f.w.spanner, Space::admissions(), 1, FORK, Stamp(0), payload.clone()).unwrap();
    assert_eq!(all.insert(&carried), Ok(known));
    let read = ForkProof::read(&payload, &f.w.spanner).unwrap();
    assert_eq!((read.author(), read.space(), read.seq()), (public(1), &Space::status(), 3));
    assert!(read == early && read.counts() < read.falls());
    let one = record(1, Space::status(), 3, b"a");
    for (a, b) in [
        (one.clone(), one.clone()),
        (one.clone(), record(2, Space::status(), 3, b"b")),
        (one.clone(), record(1, Space::config(), 3, b"b")),
        (one.clone(), record(1, Space::status(), 4, b"b")),
    ] {
        assert!(matches!(ForkProof::of(a, b), Err(BadAdmission::NoFork { .. })));
    }
    let large = |text: u8| record(1, Space::status(), 3, &vec![text; limits::PAYLOAD_BYTES / 2]);
    assert_eq!(ForkProof::of(large(1), large(2)).unwrap().encode(), None, "too large for a record");
}

#[test]
fn a_spend_is_read_where_spends_are() {
    let mut f = Fleet::new();
    let invite = f.invite(token_invite(61, NodeKind::Envoy, "*", 9, &[BOLT]));
    let good = f.w.spend(BOLT, NodeKind::Envoy, &invite, 70, "web01", Some(61));
    let read = SpendRecord::read(&good, &f.w.spanner).unwrap();
    assert_eq!((read.id(), read.author(), read.spend().node), (good.id(), public(BOLT), public(70)));
    let with = |space: Space, kind, payload: &[u8]| {
        let record =
            Record::sign(&key(BOLT), &f.w.spanner, space, 9, kind, Stamp(0), payload.to_vec()).unwrap();
        SpendRecord::read(&record, &f.w.spanner)
    };
    assert!(with(Space::envoys(), SPEND, good.payload()).is_ok());
    assert!(matches!(with(Space::config(), SPEND, good.payload()), Err(BadAdmission::Space { .. })));
    assert!(matches!(with(Space::envoys(), FORK, good.payload()), Err(BadAdmission::UnknownKind { .. })));
    assert!(matches!(with(Space::envoys(), SPEND, b"x"), Err(BadAdmission::Malformed { .. })));
    let mut other = read.spend().clone();
    other.name = name("web02");
    let moved = codec::encode(&other);
    assert!(
        matches!(with(Space::envoys(), SPEND, &moved), Err(BadAdmission::Proof { .. })),
        "a proof is for one name"
    );
    let mut roster = Roster::new(&f.authority());
    let wrong = roster.insert(&f.authority(), &f.w.spend(BOLT, NodeKind::Bolt, &invite, 71, "b3", Some(61)));
    assert_eq!(wrong, Err(BadAdmission::Space { space: Space::admissions() }));
}

/// Pasts are sets of bits: more statements than one word has.
#[test]
fn a_past_of_hundreds_is_seen_whole() {
    let w = World::new();
    let mut said: Vec<Statement> = vec![w.genesis.clone()];
    for who in 1..150 {
        let last = said.last().unwrap().clone();
        said.push(w.admit(RECOVERY, w.root(), &[&last], who));
    }
    // Each operator admits one more, unseen by whoever revokes it but for those of even number.
    let made: Vec<Statement> = (1u8..150)
        .map(|by| w.admit(by, said[usize::from(by)].id(), &[&said[usize::from(by)]], 201))
        .collect();
    let mut after: Vec<&Statement> = made.iter().skip(1).step_by(2).collect();
    after.push(said.last().unwrap());
    let out = w.revoke(RECOVERY, w.root(), &after, &(1..150).collect::<Vec<u8>>());
    let authority: Authority = w.authority(said.iter().chain(&made).chain([&out]));
    for (by, made) in (1u8..150).zip(&made) {
        assert_eq!(authority.counts(&made.id()).is_ok(), by % 2 == 0, "what {by} said");
    }
}

const WORDS: [&str; 6] = ["abandon", "ability", "able", "about", "above", "absent"];

#[test]
fn askers_are_forgotten_when_their_time_is_over() {
    let start = Time(secs(1_000));
    let asked = |decide: Option<bool>| {
        let mut table = JoinRequests::new();
        table.ask(start, public(1), name("web01"), NodeKind::Envoy, WORDS).unwrap();
        if let Some(yes) = decide {
            table.decide(start, &public(1), &WORDS, yes).unwrap();
        }
        table
    };
    for (decide, lasts) in
        [(None, ASKER_STALE + secs(1)), (Some(true), DENIED_FOR), (Some(false), DENIED_FOR)]
    {
        let there = |after| asked(decide).status(start.after(after), &public(1)).is_some();
        assert!(there(lasts - 1) && !there(lasts), "{decide:?}");
    }
    assert_eq!((ASKER_STALE, DENIED_FOR), (mins(2), mins(10)));
    // Whoever asks for the outcome is heard of.
    let mut table = asked(None);
    table.status(start.after(ASKER_STALE), &public(1));
    assert_eq!(table.get(&public(1)).unwrap().heard, start.after(ASKER_STALE));
    table.ask(start.after(secs(130)), public(1), name("web01"), NodeKind::Envoy, WORDS).unwrap();
    let request = table.get(&public(1)).unwrap();
    assert_eq!(
        (request.since, request.heard, request.state),
        (start, start.after(secs(130)), JoinState::Waiting)
    );
    for (wanted, kind) in [("web02", NodeKind::Envoy), ("web02", NodeKind::Bolt)] {
        table.decide(start.after(secs(131)), &public(1), &WORDS, true).unwrap();
        let again = table.ask(start.after(secs(132)), public(1), name(wanted), kind, WORDS).unwrap();
        assert_eq!(
            (again.state, again.since),
            (JoinState::Waiting, start.after(secs(132))),
            "{wanted} {kind}"
        );
    }
    // A no needs no words.
    let none = ["zoo"; 6];
    assert_eq!(table.decide(start, &public(1), &none, true), Err(AskRefused::OtherWords));
    assert!(table.decide(start, &public(1), &none, false).is_ok());
    table.remove(&public(1));
    assert!(table.get(&public(1)).is_none() && table.iter().count() == 0);
}

fn token(bolts: usize, addresses: usize, length: usize) -> Token {
    let address = format!("{}:1", "a".repeat(length - 2));
    Token {
        spanner: Fleet::new().w.spanner,
        bolts: vec![TokenBolt { key: public(50), addresses: vec![address; addresses] }; bolts],
        seed: [7; 32].into(),
        kind: NodeKind::Envoy,
        name: NameRule::Pattern(Pattern::any()),
        until: Time(5),
    }
}

#[test]
fn a_token_keeps_its_limits_and_hides_its_seed() {
    let reads = |token: &Token| token.to_text().parse::<Token>().is_ok();
    assert!(reads(&token(1, limits::ADDRESSES, 20)) && !reads(&token(1, limits::ADDRESSES + 1, 20)));
    assert!(reads(&token(TOKEN_BOLTS, 1, 20)) && !reads(&token(TOKEN_BOLTS + 1, 1, 20)));
    assert!(reads(&token(1, 1, 261)) && !reads(&token(1, 1, 262)));
    let mut odd = token(1, 1, 20);
    odd.bolts[0].addresses[0] = "a b:1".into();
    assert!(!reads(&odd));
    let one = token(1, 1, 20);
    assert_eq!(one.key().public(), public(7));
    assert_eq!(format!("{one:?}"), format!("Token(for one envoy * of {:?})", one.spanner));
    assert!("vigo1".parse::<Token>().is_err() && "vigoa".parse::<Token>().is_err());
    let expired = |late: u64| one.check(one.until.after(late)).unwrap_err().to_string();
    for (late, said) in [
        (secs(1), "1 second ago"),
        (secs(119), "119 seconds ago"),
        (secs(120), "2 minutes ago"),
        (secs(7_199), "119 minutes ago"),
        (secs(7_200), "2 hours ago"),
        (secs(172_799), "47 hours ago"),
        (secs(172_800), "2 days ago"),
    ] {
        assert!(expired(late).contains(&format!("expired {said}")), "{}", expired(late));
    }
}

#[test]
fn recovery_words_are_counted_and_named() {
    let text = words::to_words(&[9; 32]);
    let all: Vec<&str> = text.split(' ').collect();
    let read = |list: &[&str]| words::from_words(&list.join(" ")).map(|seed| *seed);
    assert_eq!(read(&all), Ok([9; 32]));
    assert_eq!(read(&all[..23]), Err(words::BadWords::Count { found: 23 }));
    assert_eq!(read(&[&all[..], &["zoo"]].concat()), Err(words::BadWords::Count { found: 25 }));
    let mut wrong = all.clone();
    wrong[4] = "abandn";
    let refused = read(&wrong).unwrap_err().to_string();
    assert!(
        refused.starts_with("word 5 of 24, \"abandn\"") && refused.ends_with("did you mean abandon?"),
        "{refused}"
    );
    let mut swapped = all.clone();
    swapped.reverse();
    assert!(read(&swapped).is_err());
}

#[test]
fn a_fleet_begins_with_its_genesis() {
    let w = World::new();
    assert_eq!(act::read_statement(w.genesis.bytes(), &w.spanner).as_ref(), Ok(&w.genesis));
    let other = World::new().admit(RECOVERY, w.root(), &[], 1);
    assert!(act::read_statement(other.bytes(), &w.spanner).is_ok());
    let foreign = vigo_base::SpannerId(Hash::of(b"another fleet"));
    assert!(act::read_statement(w.genesis.bytes(), &foreign).is_err());
    assert!(act::read_statement(other.bytes(), &foreign).is_err());
}
