//! Nodes: spends, names, uses, forks and cuts. Guards R11 (forks of one author; two partitions spend one invite)
//! and R9 (weak keys and bad proofs do not get in).

use vigo_base::{Hash, SecretKey, SpannerId, Stamp, codec};
use vigo_crdt::{Record, Space};
use vigo_spanner::act::{Act, Amend, UpTo};
use vigo_spanner::spend::{BadAdmission, FORK, STATEMENT};
use vigo_spanner::{
    Admissions, Authority, Enrolled, ForkProof, Inserted, MemberState, NodeKind, Proof, Roster, Suspension,
    WhyNotSpend,
};

use crate::world::*;

/// Tells six spends in all orders, one by one as they come, and compares with settling them all at once.
fn in_all_orders(authority: &Authority, six: &[Record; 6]) -> Roster {
    let mut reference = Roster::new(authority);
    assert!(reference.insert_all(authority, six).is_empty());
    let expected: Vec<_> = reference.members().cloned().collect();
    let mut orders = 0;
    each_order(six, &mut |order| {
        orders += 1;
        let mut roster = Roster::new(authority);
        for record in order {
            roster.insert(authority, record).unwrap();
            assert_eq!(roster.insert(authority, record).unwrap(), Enrolled::Known);
        }
        assert_eq!(roster.members().cloned().collect::<Vec<_>>(), expected);
    });
    assert_eq!(orders, 720);
    reference
}

#[test]
fn two_partitions_spend_one_invite_and_want_one_name() {
    let mut f = Fleet::new();
    let two_uses = f.invite(token_invite(60, NodeKind::Envoy, "web*", 2, &[BOLT]));
    let wide = f.invite(token_invite(61, NodeKind::Envoy, "*", 9, &[BOLT]));
    let mut spend =
        |invite, node, name: &str, token| f.w.spend(BOLT, NodeKind::Envoy, invite, node, name, Some(token));
    let six = [
        spend(&two_uses, 70, "web01", 60),
        spend(&two_uses, 71, "web02", 60),
        spend(&two_uses, 72, "web03", 60),
        spend(&wide, 73, "db01", 61),
        spend(&wide, 74, "db01", 61),
        spend(&wide, 75, "b1", 61),
    ];
    let authority = f.authority();
    let roster = in_all_orders(&authority, &six);
    let mut of_invite: Vec<_> = six[..3].iter().map(|r| (r.id(), r)).collect();
    of_invite.sort_by_key(|(id, _)| *id);
    let states: Vec<_> = of_invite
        .iter()
        .map(|(id, _)| roster.members().find(|m| m.spend == *id).unwrap().is_active())
        .collect();
    assert_eq!(states, [true, true, false], "the lower ids have the uses");
    let lower = six[3].id().min(six[4].id());
    assert_eq!(roster.by_name(&"db01".parse().unwrap()).unwrap().spend, lower);
    let squatter = roster.get(&public(75)).unwrap();
    assert!(
        matches!(&squatter.state, MemberState::Suspended(Suspension::NameTaken { holder, .. }) if *holder == public(BOLT))
    );
    assert_eq!(roster.suspended().count(), 3);
    assert_eq!(roster.spent(&two_uses.id()), 2);
    let words = roster.suspended().map(|(_, why)| why.to_string()).collect::<Vec<_>>().join("\n");
    assert!(words.contains("has 2 uses") && words.contains("the name db01 belongs"), "{words}");
}

#[test]
fn a_node_that_came_twice_is_one_member_and_a_loser_may_try_again() {
    let mut f = Fleet::new();
    let wide = f.invite(token_invite(61, NodeKind::Envoy, "*", 9, &[BOLT]));
    let mut spend = |node, name: &str| f.w.spend(BOLT, NodeKind::Envoy, &wide, node, name, Some(61));
    let six = [
        spend(70, "web01"),
        spend(70, "web02"),
        spend(71, "db01"),
        spend(72, "db01"),
        spend(72, "db02"),
        spend(71, "db03"),
    ];
    let roster = in_all_orders(&f.authority(), &six);
    assert_eq!(roster.members().count(), 4, "three nodes and the bolt");
    assert!(roster.members().all(|m| m.is_active()), "whoever lost a name has another");
}

#[test]
fn a_revoked_bolts_spends_count_as_far_as_the_revoker_had_seen() {
    let mut f = Fleet::new();
    let second = f.invite(token_invite(62, NodeKind::Bolt, "b2", 1, &[BOLT]));
    let envoys = f.invite(token_invite(61, NodeKind::Envoy, "*", 9, &[51]));
    let b2 = f.w.spend(BOLT, NodeKind::Bolt, &second, 51, "b2", Some(62));
    f.admissions.insert(&b2).unwrap();
    let early = f.w.spend(51, NodeKind::Envoy, &envoys, 70, "web01", Some(61));
    let late = f.w.spend(51, NodeKind::Envoy, &envoys, 71, "web02", Some(61));
    let mut authority = f.authority();
    assert!(authority.bolt(&public(51)).unwrap().is_active_bolt());
    let mut roster = Roster::new(&authority);
    roster.insert(&authority, &early).unwrap();
    assert_eq!(roster.insert(&authority, &late).unwrap(), Enrolled::Member(public(71)));
    let upto = vec![UpTo { key: public(51), space: Space::envoys(), seq: 1 }];
    let out = f.w.revoke_upto(OP, f.op.id(), &[&envoys], &[51], upto);
    f.add(&out);
    authority = f.authority();
    roster.rejudge(&authority);
    assert_eq!(authority.bolt(&public(51)).unwrap().state, MemberState::Revoked { by: out.id() });
    assert!(roster.get(&public(70)).unwrap().is_active(), "seen");
    assert!(roster.get(&public(71)).is_none(), "not seen");
    assert!(matches!(roster.refused(&late.id()), Some(WhyNotSpend::Revoked { .. })));
    assert!(roster.by_name(&"b2".parse().unwrap()).is_none(), "the name is free again");
    assert_eq!(authority.cut(authority.bolt(&public(51)).unwrap(), &Space::envoys()), Some(1));
    assert_eq!(authority.cut(authority.bolt(&public(51)).unwrap(), &Space::status()), Some(0));
    // And an operator may keep the other one by name.
    let keep = f.w.keep(OP, f.op.id(), &[&out], &[late.id()]);
    f.add(&keep);
    roster.rejudge(&f.authority());
    assert!(roster.get(&public(71)).unwrap().is_active());
}

#[test]
fn a_revoked_node_and_a_called_back_invite() {
    let mut f = Fleet::new();
    let wide = f.invite(token_invite(61, NodeKind::Envoy, "*", 9, &[BOLT]));
    let first = f.w.spend(BOLT, NodeKind::Envoy, &wide, 70, "web01", Some(61));
    let second = f.w.spend(BOLT, NodeKind::Envoy, &wide, 71, "web02", Some(61));
    let out = f.w.revoke(OP, f.op.id(), &[&wide], &[71]);
    let upto = vec![UpTo { key: public(BOLT), space: Space::envoys(), seq: 2 }];
    let back = f.w.revoke_upto(OP, f.op.id(), &[&out], &[61], upto);
    f.add(&out);
    f.add(&back);
    let third = f.w.spend(BOLT, NodeKind::Envoy, &wide, 72, "web03", Some(61));
    let again = f.w.spend(BOLT, NodeKind::Envoy, &wide, 71, "web04", Some(61));
    let authority = f.authority();
    let mut roster = Roster::new(&authority);
    roster.insert_all(&authority, [&first, &second, &third, &again]);
    assert!(roster.get(&public(70)).unwrap().is_active(), "came in before the invite was called back");
    assert!(roster.get(&public(72)).is_none(), "came after");
    assert_eq!(roster.get(&public(71)).unwrap().state, MemberState::Revoked { by: out.id() });
}

#[test]
fn forks_of_one_author_in_all_orders() {
    let mut f = Fleet::new();
    let invites: Vec<_> =
        (62..66).map(|t| f.invite(token_invite(t, NodeKind::Bolt, "*", 1, &[BOLT]))).collect();
    let at = |seq, i: usize, node, name| {
        f.w.spend_at(BOLT, seq, NodeKind::Bolt, &invites[i], node, name, Some(62 + i as u8))
    };
    // The founding spend is 1. Two hands use 3; one goes on to 4.
    let (honest, x, y, on) = (at(2, 0, 51, "b2"), at(3, 1, 52, "b3"), at(3, 2, 53, "b4"), at(4, 3, 54, "b5"));
    let proof = ForkProof::of(y.clone(), x.clone()).unwrap();
    let payload = proof.encode().unwrap();
    let carried =
        Record::sign(&key(70), &f.w.spanner, Space::admissions(), 1, FORK, Stamp(0), payload).unwrap();
    let again = Record::sign(
        &key(71),
        &f.w.spanner,
        Space::admissions(),
        1,
        FORK,
        Stamp(0),
        carried.payload().to_vec(),
    )
    .unwrap();
    let mut ends = Vec::new();
    each_order(&[honest, x.clone(), y.clone(), on, carried, again], &mut |order| {
        let mut node = f.admissions.clone();
        for record in order {
            node.insert(record).unwrap();
        }
        ends.push(Authority::evaluate(&node));
    });
    assert_eq!(ends.len(), 720);
    assert!(ends.iter().all(|end| *end == ends[0]));
    let end = &ends[0];
    let lower = if x.id() < y.id() { 52 } else { 53 };
    assert!(end.bolt(&public(51)).is_some(), "before the fork");
    assert!(
        end.bolt(&public(lower)).is_some() && end.bolt(&public(52 + 53 - lower)).is_none(),
        "the lower id"
    );
    assert!(end.bolt(&public(54)).is_none(), "what comes after the fork does not count");
    let suspended = end.bolt(&public(BOLT)).unwrap();
    assert_eq!(
        suspended.state,
        MemberState::Suspended(Suspension::Forked { space: "admissions".into(), seq: 3 })
    );
    assert_eq!(end.suspended(&public(BOLT)).map(ForkProof::counts), Some(x.id().min(y.id())));
    // Until an operator revokes the key, and says how far it is believed.
    let mut node = end.admissions().clone();
    let upto = vec![UpTo { key: public(BOLT), space: Space::admissions(), seq: 4 }];
    node.insert_statement(f.w.revoke_upto(OP, f.op.id(), &[&invites[3]], &[BOLT], upto));
    let settled = Authority::evaluate(&node);
    assert!(settled.suspended(&public(BOLT)).is_none());
    assert!(settled.bolt(&public(54)).is_some() && settled.bolt(&public(52 + 53 - lower)).is_none());
}

#[test]
fn what_a_bolt_gone_bad_cannot_do() {
    let mut f = Fleet::new();
    let envoys = f.invite(token_invite(61, NodeKind::Envoy, "web*", 1, &[BOLT]));
    let other = f.invite(token_invite(63, NodeKind::Envoy, "web*", 1, &[51]));
    let bolt = f.invite(token_invite(62, NodeKind::Bolt, "b2", 1, &[BOLT]));
    let mut node = f.admissions.clone();
    let authority = f.authority();
    let mut roster = Roster::new(&authority);
    let mut refused = |record: &Record| match roster.insert(&authority, record).unwrap() {
        Enrolled::Waiting(why) => why,
        other => panic!("{other:?}"),
    };
    // Without the token's seed; with another's; under a name of its choice; by another bolt's invite.
    let r = f.w.spend(BOLT, NodeKind::Envoy, &envoys, 70, "web01", None);
    assert!(matches!(refused(&r), WhyNotSpend::Proof { .. }));
    let r = f.w.spend(BOLT, NodeKind::Envoy, &envoys, 70, "web01", Some(99));
    assert!(matches!(refused(&r), WhyNotSpend::Proof { .. }));
    let r = f.w.spend(BOLT, NodeKind::Envoy, &envoys, 70, "db01", Some(61));
    assert_eq!(refused(&r).to_string(), "the name db01 does not fit web*");
    let r = f.w.spend(BOLT, NodeKind::Envoy, &other, 70, "web01", Some(63));
    assert!(matches!(refused(&r), WhyNotSpend::Spender { .. }));
    // An envoy or a stranger that spends; an invite that does not exist; a bolt's invite among envoys.
    let r = f.w.spend(51, NodeKind::Envoy, &other, 70, "web01", Some(63));
    assert!(matches!(refused(&r), WhyNotSpend::NotABolt { .. }));
    let r = f.w.spend(BOLT, NodeKind::Envoy, &f.w.genesis.clone(), 70, "web01", Some(61));
    assert!(matches!(refused(&r), WhyNotSpend::Invite { .. }));
    let r = f.w.spend(BOLT, NodeKind::Envoy, &bolt, 70, "b2", Some(62));
    assert!(matches!(refused(&r), WhyNotSpend::Space { .. }));
    // An envoy's invite as a bolt's: a bolt cannot admit a bolt.
    let r = f.w.spend(BOLT, NodeKind::Bolt, &envoys, 70, "web01", Some(61));
    node.insert(&r).unwrap();
    let after = Authority::evaluate(&node);
    assert!(matches!(after.spend_counts(&r.id()), Some(Err(WhyNotSpend::Space { .. }))));
    assert_eq!(after.bolts().count(), 1);
}

#[test]
fn only_strict_signatures_and_strong_keys_come_in() {
    let f = Fleet::new();
    let mut node = Admissions::new(f.w.spanner);
    let space = Space::admissions();
    let sign = |kind, payload| {
        Record::sign(&key(BOLT), &f.w.spanner, space.clone(), 9, kind, Stamp(0), payload).unwrap()
    };
    // A proof that was bent by one bit.
    let name = "web01".parse().unwrap();
    let mut proof = Proof::sign(&key(61), &f.w.spanner, &public(70), &name, b"x");
    proof.signature.0[5] ^= 1;
    let spend = vigo_spanner::Spend { invite: Hash::default(), node: public(70), name, proof: Some(proof) };
    let refused = node.insert(&sign(2, codec::encode(&spend))).unwrap_err();
    assert!(matches!(refused, BadAdmission::Proof { .. }), "{refused}");
    // A spend for a key of small order: the encoding has nothing else changed.
    let mut bytes = codec::encode(&spend);
    let at = bytes.windows(32).position(|w| w == public(70).as_bytes()).unwrap();
    bytes[at..at + 32].fill(0);
    assert!(matches!(node.insert(&sign(2, bytes)), Err(BadAdmission::Malformed { .. })));
    // Another fleet's statement; one bent by a bit; a fork that is none; a kind from the future.
    let foreign = World::new();
    let strange = Act::Amend(Amend::FleetVersion(9)).draft(Hash::default(), vec![], vigo_base::Time(0));
    let strange = strange.sign(&key(RECOVERY), &SpannerId(Hash::of(b"other")));
    assert!(matches!(
        node.insert(&sign(STATEMENT, strange.bytes().to_vec())),
        Err(BadAdmission::Statement(_))
    ));
    let mut bent = foreign.genesis.bytes().to_vec();
    let last = bent.len() - 1;
    bent[last] ^= 1;
    assert!(node.insert(&sign(STATEMENT, bent)).is_err());
    assert!(matches!(node.insert(&sign(FORK, vec![0])), Err(BadAdmission::Malformed { .. })));
    let one = sign(9, vec![]);
    assert!(matches!(ForkProof::of(one.clone(), one.clone()), Err(BadAdmission::NoFork { .. })));
    assert!(matches!(node.insert(&one), Err(BadAdmission::UnknownKind { kind: 9, .. })));
    let elsewhere = Record::sign(&key(BOLT), &f.w.spanner, Space::config(), 1, 1, Stamp(0), vec![]).unwrap();
    assert!(matches!(node.insert(&elsewhere), Err(BadAdmission::Space { .. })));
    assert_eq!(node, Admissions::new(f.w.spanner), "nothing changed");
    let good = sign(STATEMENT, f.w.genesis.bytes().to_vec());
    assert_eq!((node.insert(&good), node.insert(&good)), (Ok(Inserted::New), Ok(Inserted::Known)));
    assert!(SecretKey::from_seed([0; 32]).public().short().len() == 12);
}

#[test]
fn an_envoy_belongs_to_the_bolt_that_names_it_best() {
    let mut f = Fleet::new();
    let second = f.invite(token_invite(62, NodeKind::Bolt, "b2", 1, &[BOLT]));
    let b2 = f.w.spend(BOLT, NodeKind::Bolt, &second, 51, "b2", Some(62));
    f.admissions.insert(&b2).unwrap();
    let keeper =
        |f: &Fleet, name: &str| f.authority().keeper(&name.parse().unwrap()).map(|b| b.name.to_string());
    let lower = if public(BOLT) < public(51) { "b1" } else { "b2" };
    assert_eq!(keeper(&f, "web01").as_deref(), Some(lower), "both have *: the lower key");
    let part = |f: &Fleet, bolt: u8, pattern: &str| {
        let patterns = vec![pattern.parse().unwrap()];
        let act = Act::Amend(Amend::Partition { bolt: public(bolt), patterns });
        f.authority().draft(&act, f.op.id(), vigo_base::Time(3)).sign(&key(OP), &f.w.spanner)
    };
    let web = part(&f, 51, "web*");
    f.add(&web);
    assert_eq!(keeper(&f, "web01").as_deref(), Some("b2"));
    assert_eq!(keeper(&f, "db01").as_deref(), Some("b1"));
    let db = part(&f, 51, "db01");
    f.add(&db);
    assert_eq!(keeper(&f, "web01").as_deref(), Some("b1"), "the newer partition has seen the older");
    assert_eq!(keeper(&f, "db01").as_deref(), Some("b2"));
}
