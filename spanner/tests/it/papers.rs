//! Papers: what a verifier believes that has slept for months, and what it does not (R10).

use vigo_base::{Hash, PublicKey};
use vigo_crdt::{Record, Space};
use vigo_spanner::act::UpTo;
use vigo_spanner::papers::NoPapers;
use vigo_spanner::{
    Authority, Enrolled, MemberState, NodeKind, Papers, PapersRefused, RevocationDigest, Roster, Who,
    WhyNotSpend,
};

use crate::world::*;

/// A fleet with a second bolt 51, admitted by the first, and envoy 70 admitted by the second under operator 2.
struct Story {
    f: Fleet,
    op2: vigo_crdt::Statement,
    envoys: vigo_crdt::Statement,
    spend: Record,
}

fn story() -> Story {
    let mut f = Fleet::new();
    let second = f.invite(token_invite(62, NodeKind::Bolt, "b2", 1, &[BOLT]));
    let b2 = f.w.spend(BOLT, NodeKind::Bolt, &second, 51, "b2", Some(62));
    f.admissions.insert(&b2).unwrap();
    let op2 = f.w.admit(OP, f.op.id(), &[&second], 2);
    f.add(&op2);
    let envoys = f.w.invite(2, op2.id(), &[&op2], token_invite(61, NodeKind::Envoy, "*", 9, &[51]));
    f.add(&envoys);
    let spend = f.w.spend(51, NodeKind::Envoy, &envoys, 70, "web01", Some(61));
    Story { f, op2, envoys, spend }
}

impl Story {
    fn roster(&self, authority: &Authority) -> Roster {
        let mut roster = Roster::new(authority);
        roster.insert(authority, &self.spend).unwrap();
        roster
    }

    fn papers(&self, who: u8) -> Vec<u8> {
        let authority = self.f.authority();
        Papers::build(&authority, &self.roster(&authority), &public(who)).unwrap().encode()
    }

    /// A verifier that knows the genesis alone, and one that knows everything of this moment.
    fn asleep(&self) -> Authority {
        self.f.w.authority([])
    }
}

#[test]
fn papers_hold_for_somebody_who_knows_nothing_but_the_fleet() {
    let s = story();
    let bytes = s.papers(70);
    let awake = s.f.authority();
    let checked = Papers::check(&bytes, &public(70), &awake).unwrap();
    assert!(!checked.news && matches!(Who::of(&checked.member), Who::Envoy(_)));
    assert_eq!((checked.member.name.as_str(), checked.member.depth), ("web01", 3));
    let late = Papers::check(&bytes, &public(70), &s.asleep()).unwrap();
    assert!(late.news && late.member == checked.member);
    let bolt = Papers::check(&s.papers(51), &public(51), &s.asleep()).unwrap();
    assert!(matches!(Who::of(&bolt.member), Who::Bolt(_)));
    let founder = Papers::check(&s.papers(BOLT), &public(BOLT), &s.asleep()).unwrap();
    assert!(founder.member.is_active_bolt());
    let mut roster = Roster::new(&awake);
    assert_eq!(roster.insert_spend(&awake, checked.spend), Enrolled::Member(public(70)));
    assert!(bytes.len() < 8 * 1024, "{} bytes", bytes.len());
}

#[test]
fn papers_of_a_revoked_chain_fall_with_what_the_verifier_knows() {
    let s = story();
    let bytes = s.papers(70);
    let with = |statements: &[&vigo_crdt::Statement]| {
        let mut node = s.f.admissions.clone();
        for statement in statements {
            node.insert_statement((*statement).clone());
        }
        Papers::check(&bytes, &public(70), &Authority::evaluate(&node))
    };
    let f = &s.f;
    // The envoy itself.
    let out = f.w.revoke(OP, f.op.id(), &[&s.envoys], &[70]);
    let refused = with(&[&out]).unwrap_err();
    assert_eq!(
        refused,
        PapersRefused::Revoked { key: public(70), name: "web01".parse().unwrap(), by: out.id() }
    );
    assert!(refused.to_string().contains("web01") && refused.to_string().contains("was revoked by"));
    // Its bolt, with the spend unseen and seen.
    let bolt_out = f.w.revoke(OP, f.op.id(), &[&s.envoys], &[51]);
    assert!(matches!(
        with(&[&bolt_out]),
        Err(PapersRefused::Fallen { why: WhyNotSpend::Revoked { .. }, .. })
    ));
    let upto = vec![UpTo { key: public(51), space: Space::envoys(), seq: 1 }];
    let bolt_gone = f.w.revoke_upto(OP, f.op.id(), &[&s.envoys], &[51], upto);
    assert!(with(&[&bolt_gone]).is_ok());
    // Its operator, with the invite unseen and seen; and unseen but kept.
    let op_out = f.w.revoke(OP, f.op.id(), &[&s.op2], &[2]);
    assert!(matches!(with(&[&op_out]), Err(PapersRefused::Fallen { why: WhyNotSpend::Invite { .. }, .. })));
    let op_gone = f.w.revoke(OP, f.op.id(), &[&s.envoys], &[2]);
    assert!(with(&[&op_gone]).is_ok());
    let keep = f.w.keep(OP, f.op.id(), &[&op_out], &[s.envoys.id()]);
    assert!(with(&[&op_out, &keep]).is_ok());
}

#[test]
fn a_verifier_that_knows_only_the_revoke_is_not_talked_round() {
    let s = story();
    let bytes = s.papers(70);
    let out = s.f.w.revoke(OP, s.f.op.id(), &[&s.op2], &[2]);
    // It slept: of the authority it has the first operator and the revoke, and the papers bring the rest.
    let sleepy = s.f.w.authority([&s.f.op, &out]);
    assert!(sleepy.counts(&out.id()).is_ok());
    assert!(matches!(Papers::check(&bytes, &public(70), &sleepy), Err(PapersRefused::Fallen { .. })));
}

#[test]
fn a_kept_invite_travels_with_its_keep() {
    let mut s = story();
    let out = s.f.w.revoke(OP, s.f.op.id(), &[&s.op2], &[2]);
    let keep = s.f.w.keep(OP, s.f.op.id(), &[&out], &[s.envoys.id()]);
    s.f.add(&out);
    s.f.add(&keep);
    let bytes = s.papers(70);
    let sleepy = s.f.w.authority([&s.f.op, &out]);
    assert!(Papers::check(&bytes, &public(70), &sleepy).is_ok());
}

#[test]
fn bad_papers_are_refused_by_name() {
    let s = story();
    let (bytes, authority) = (s.papers(70), s.f.authority());
    let check = |bytes: &[u8], key: &PublicKey| Papers::check(bytes, key, &authority).unwrap_err();
    let say = |bytes: &[u8], key: &PublicKey| check(bytes, key).to_string();
    assert!(say(&bytes, &public(71)).contains("do not show that"), "somebody else's papers");
    assert!(say(&[], &public(70)).starts_with("malformed papers"));
    let parts = Papers::decode(&bytes).unwrap();
    let mut long = parts.clone();
    long.statements = vec![vec![]; 65];
    assert_eq!(say(&long.encode(), &public(70)), "papers with 65 statements, at most 64 are allowed");
    long.statements.clear();
    long.spends = vec![vec![]; 33];
    assert!(say(&long.encode(), &public(70)).contains("33 spends"));
    // Every part is needed, and every bit of every part.
    for i in 0..parts.statements.len() {
        let mut less = parts.clone();
        less.statements.remove(i);
        assert!(Papers::check(&less.encode(), &public(70), &s.asleep()).is_err(), "without statement {i}");
        let mut bent = parts.clone();
        bent.statements[i][40] ^= 1;
        assert!(Papers::check(&bent.encode(), &public(70), &authority).is_err());
    }
    for i in 0..parts.spends.len() {
        let mut less = parts.clone();
        less.spends.remove(i);
        assert!(Papers::check(&less.encode(), &public(70), &s.asleep()).is_err(), "without spend {i}");
    }
    for n in (0..bytes.len()).step_by(7) {
        assert!(Papers::decode(&bytes[..n]).is_err());
    }
    // Another fleet: the same story with another genesis.
    let other = Authority::evaluate(&vigo_spanner::Admissions::new(vigo_base::SpannerId(Hash::of(b"other"))));
    assert!(Papers::check(&bytes, &public(70), &other).is_err());
    let nobody = Papers::build(&authority, &Roster::new(&authority), &public(70));
    assert_eq!(nobody, Err(NoPapers::NotAMember { node: public(70) }));
}

#[test]
fn a_forked_node_shows_papers_and_is_suspended() {
    let s = story();
    let bytes = s.papers(70);
    let mut node = s.f.admissions.clone();
    let record = |payload: &[u8]| {
        Record::sign(&key(70), &s.f.w.spanner, Space::status(), 4, 9, vigo_base::Stamp(0), payload.to_vec())
            .unwrap()
    };
    node.insert_fork(vigo_spanner::ForkProof::of(record(b"a"), record(b"b")).unwrap());
    let checked = Papers::check(&bytes, &public(70), &Authority::evaluate(&node)).unwrap();
    assert!(matches!(checked.member.state, MemberState::Suspended(_)));
    assert!(matches!(Who::of(&checked.member), Who::Suspended(_)));
}

#[test]
fn digests_of_revocations_differ_when_revokes_do() {
    let s = story();
    let before = RevocationDigest::of(&s.f.authority());
    assert_eq!(before.count, 0);
    let out = s.f.w.revoke(OP, s.f.op.id(), &[], &[70]);
    let mut node = s.f.admissions.clone();
    node.insert_statement(out);
    let after = RevocationDigest::of(&Authority::evaluate(&node));
    assert!(after.count == 1 && after != before);
    assert_eq!(Papers::decode(&s.papers(70)).unwrap().revocations, before);
}
