//! R11: concurrent admit and revoke converge. Each story has six statements and is told in all 720 orders; after
//! every arrival the authority is evaluated, and in the end all orders must agree with each other and the story.

use std::collections::BTreeMap;

use vigo_base::Hash;
use vigo_crdt::Statement;
use vigo_spanner::act::{Act, Amend};
use vigo_spanner::{Authority, NodeKind, Right, WhyNot};

use crate::world::*;

/// Tells a story in all orders. Every partial set must give one result too, whatever led to it.
fn in_all_orders(w: &World, base: &[&Statement], six: [&Statement; 6]) -> Authority {
    let reference = w.authority(base.iter().copied().chain(six));
    let mut partial: BTreeMap<Vec<Hash>, Authority> = BTreeMap::new();
    let mut orders = 0;
    each_order(&six, &mut |order| {
        orders += 1;
        let mut node = w.admissions(base.iter().copied());
        let mut have = Vec::new();
        for (i, statement) in order.iter().enumerate() {
            node.insert_statement((*statement).clone());
            node.insert_statement((*statement).clone());
            have.push(statement.id());
            have.sort_unstable();
            // The first half of the orders is evaluated at every step, the others at the end.
            if orders % 6 == 0 || i == 5 {
                let now = Authority::evaluate(&node);
                assert_eq!(*partial.entry(have.clone()).or_insert_with(|| now.clone()), now);
            }
        }
        assert_eq!(partial[&have], reference);
    });
    assert_eq!(orders, 720);
    reference
}

fn revoked(authority: &Authority, who: u8) -> bool {
    authority.operator_by_key(&public(who)).is_none() && authority.operators().any(|o| o.key == public(who))
}

fn cut(authority: &Authority, statement: &Statement) -> bool {
    matches!(authority.counts(&statement.id()), Err(WhyNot::Revoked { .. }))
}

/// Genesis and two operators of depth 1.
fn two_equals() -> (World, Statement, Statement) {
    let w = World::new();
    let a = w.admit(RECOVERY, w.root(), &[&w.genesis], 1);
    let b = w.admit(RECOVERY, w.root(), &[&a], 2);
    (w, a, b)
}

#[test]
fn equals_cannot_revoke_each_other() {
    let (w, a, b) = two_equals();
    let ab = w.revoke(1, a.id(), &[&b], &[2]);
    let ba = w.revoke(2, b.id(), &[&b], &[1]);
    let c = w.admit(1, a.id(), &[&ab], 3);
    let d = w.admit(2, b.id(), &[&ba], 4);
    let c_out = w.revoke(2, b.id(), &[&c, &d], &[3]);
    let c_late = w.admit(3, c.id(), &[&c], 5);
    let end = in_all_orders(&w, &[&a, &b], [&ab, &ba, &c, &d, &c_out, &c_late]);
    assert!(!revoked(&end, 1) && !revoked(&end, 2), "a ring of two equals turns nothing");
    assert!(end.counts(&ab.id()).is_ok(), "the revoke stands, it reaches nobody");
    assert!(revoked(&end, 3), "whoever is above may revoke what an equal admitted");
    assert!(cut(&end, &c_late));
    assert!(end.operator(&d.id()).is_some_and(|o| o.revoked_by.is_empty()));
}

#[test]
fn a_ring_of_three_over_three_depths_does_not_turn() {
    let w = World::new();
    let a = w.admit(RECOVERY, w.root(), &[&w.genesis], 1);
    let b = w.admit(1, a.id(), &[&a], 2);
    let c = w.admit(2, b.id(), &[&b], 3);
    // Each revokes the next; the last revokes the first. None has heard of the others.
    let a_b = w.revoke(1, a.id(), &[&c], &[2]);
    let b_c = w.revoke(2, b.id(), &[&c], &[3]);
    let c_a = w.revoke(3, c.id(), &[&c], &[1]);
    let end = in_all_orders(&w, &[], [&a, &b, &c, &a_b, &b_c, &c_a]);
    assert!(end.counts(&a_b.id()).is_ok() && revoked(&end, 2));
    assert!(cut(&end, &b_c), "the revoked one's revoke was not seen by its revoker");
    assert!(end.counts(&c_a.id()).is_ok(), "so the third still speaks");
    assert!(!revoked(&end, 1) && !revoked(&end, 3), "and reaches nobody above it");
}

#[test]
fn a_key_that_stands_twice_is_reached_only_where_it_stands_deeper() {
    let w = World::new();
    let a = w.admit(RECOVERY, w.root(), &[&w.genesis], 1);
    let b = w.admit(1, a.id(), &[&a], 2);
    // The trick: admit one's better below oneself, and revoke its key there.
    let below = w.admit(2, b.id(), &[&b], 1);
    let coup = w.revoke(2, b.id(), &[&below], &[1]);
    let after_coup = w.admit(1, a.id(), &[&coup], 4);
    let under_below = w.admit(1, below.id(), &[&coup], 5);
    let end = in_all_orders(&w, &[], [&a, &b, &below, &coup, &after_coup, &under_below]);
    assert!(end.counts(&after_coup.id()).is_ok(), "the key keeps its standing at depth 1");
    assert!(cut(&end, &under_below), "and lost the one at depth 3");
    assert_eq!(end.operator_by_key(&public(1)).map(|o| o.depth), Some(1));
    assert!(end.is_revoked(&public(1)).is_none());
}

#[test]
fn what_the_revoker_had_seen_stays_and_the_rest_falls() {
    let w = World::new();
    let a = w.admit(RECOVERY, w.root(), &[&w.genesis], 1);
    let b = w.admit(1, a.id(), &[&a], 2);
    let seen = w.admit(2, b.id(), &[&b], 3);
    let unseen = w.admit(2, b.id(), &[&seen], 4);
    let by_seen = w.admit(3, seen.id(), &[&unseen], 5);
    let by_unseen = w.admit(4, unseen.id(), &[&unseen], 6);
    let out = w.revoke(1, a.id(), &[&seen], &[2]);
    let end = in_all_orders(&w, &[&a], [&b, &seen, &unseen, &by_seen, &by_unseen, &out]);
    assert!(end.counts(&seen.id()).is_ok() && end.counts(&by_seen.id()).is_ok());
    assert!(cut(&end, &unseen));
    assert!(
        matches!(end.counts(&by_unseen.id()), Err(WhyNot::Admit { .. })),
        "what it admitted falls with it"
    );
}

#[test]
fn a_thief_gains_nothing_from_a_peer_that_has_not_heard() {
    // 2 is stolen. The thief finds a peer that knows all but the revoke, and does everything it can there.
    let w = World::new();
    let a = w.admit(RECOVERY, w.root(), &[&w.genesis], 1);
    let b = w.admit(1, a.id(), &[&a], 2);
    let out = w.revoke(1, a.id(), &[&b], &[2]);
    let accomplice = w.admit(2, b.id(), &[&b], 9);
    let bolt = w.invite(9, accomplice.id(), &[&accomplice], token_invite(60, NodeKind::Bolt, "*", 9, &[50]));
    let lock_out = w.revoke(2, b.id(), &[&b], &[3]);
    let victim = w.admit(1, a.id(), &[&out], 3);
    let keep_me = w.keep(2, b.id(), &[&b], &[accomplice.id(), bolt.id()]);
    let end = in_all_orders(&w, &[&a, &b], [&out, &accomplice, &bolt, &lock_out, &victim, &keep_me]);
    for s in [&accomplice, &lock_out, &keep_me] {
        assert!(cut(&end, s));
    }
    assert!(end.counts(&bolt.id()).is_err() && end.invites().next().is_none());
    assert!(!revoked(&end, 3), "whom the thief revoked is not");
}

#[test]
fn backdating_does_not_help() {
    let w = World::new();
    let a = w.admit(RECOVERY, w.root(), &[&w.genesis], 1);
    let b = w.admit(1, a.id(), &[&a], 2);
    let honest = w.admit(2, b.id(), &[&b], 3);
    let out = w.revoke(1, a.id(), &[&honest], &[2]);
    // Signed after the revoke, as if nothing but the genesis had ever been seen; and as if the revoke had.
    let blind = w.admit(2, b.id(), &[], 4);
    let old = w.admit(2, b.id(), &[&w.genesis], 5);
    let brazen = w.admit(2, b.id(), &[&out], 6);
    // Somebody honest has seen the backdated one: that does not put it into the revoker's past.
    let naive = w.admit(3, honest.id(), &[&old, &out], 7);
    let end = in_all_orders(&w, &[&a, &b], [&honest, &out, &blind, &old, &brazen, &naive]);
    for s in [&blind, &old, &brazen] {
        assert!(cut(&end, s));
    }
    assert!(end.counts(&honest.id()).is_ok() && end.counts(&naive.id()).is_ok());
}

#[test]
fn every_revoke_must_have_seen_it() {
    // Two revokes of one key, the second by a revoker whom the thief told what the first had not seen.
    let (w, a, b) = two_equals();
    let c = w.admit(1, a.id(), &[&b], 3);
    let x = w.admit(3, c.id(), &[&c], 4);
    let y = w.admit(3, c.id(), &[&x], 5);
    let r1 = w.revoke(1, a.id(), &[&x], &[3]);
    let r2 = w.revoke(2, b.id(), &[&y], &[3]);
    let z = w.admit(5, y.id(), &[&y], 6);
    let end = in_all_orders(&w, &[&a, &b], [&c, &x, &y, &r1, &r2, &z]);
    assert!(end.counts(&x.id()).is_ok(), "both had seen it");
    assert!(cut(&end, &y), "one had not");
    assert!(end.counts(&z.id()).is_err());
}

#[test]
fn a_keep_binds_revokes_at_its_depth_and_below() {
    let w = World::new();
    let a = w.admit(RECOVERY, w.root(), &[&w.genesis], 1);
    let b = w.admit(1, a.id(), &[&a], 2);
    let c = w.admit(2, b.id(), &[&b], 3);
    let late = w.admit(3, c.id(), &[&c], 4);
    let later = w.admit(3, c.id(), &[&late], 5);
    let out = w.revoke(1, a.id(), &[&c], &[3]);
    // Depth 2 cannot lift what depth 1 decided; an equal of the revoker can.
    let weak = w.keep(2, b.id(), &[&out], &[later.id()]);
    let strong = w.keep(1, a.id(), &[&out], &[late.id()]);
    let end = in_all_orders(&w, &[&a, &b], [&c, &late, &later, &out, &weak, &strong]);
    assert!(end.counts(&late.id()).is_ok(), "kept by an equal of the revoker");
    assert!(end.operator(&late.id()).is_some());
    assert!(end.counts(&weak.id()).is_ok() && cut(&end, &later), "kept from below: not enough");
    assert!(revoked(&end, 3), "a keep saves statements, not the key");
}

#[test]
fn a_revoked_key_never_returns() {
    let (w, a, b) = two_equals();
    let c = w.admit(1, a.id(), &[&b], 3);
    let out = w.revoke(1, a.id(), &[&c], &[3]);
    // By an equal of the revoker that has heard; by one that has not; by one below.
    let knowing = w.admit(2, b.id(), &[&out], 3);
    let unknowing = w.admit(2, b.id(), &[&c], 3);
    let d = w.admit(2, b.id(), &[&out], 4);
    let deeper = w.admit(4, d.id(), &[&d], 3);
    let end = in_all_orders(&w, &[&a, &b], [&c, &out, &knowing, &unknowing, &d, &deeper]);
    for s in [&knowing, &unknowing, &deeper] {
        let verdict = end.counts(&s.id());
        assert!(matches!(verdict, Err(WhyNot::KeyRevoked { .. })), "{verdict:?}");
    }
    assert!(revoked(&end, 3) && end.is_revoked(&public(3)).is_some_and(|r| r.id == out.id()));
    let words = end.counts(&knowing.id()).unwrap_err().to_string();
    assert!(words.contains("a revoked key never returns, make a new one"), "{words}");
}

#[test]
fn the_recovery_key_is_above_all_and_nobody_is_above_it() {
    let w = World::new();
    let a = w.admit(RECOVERY, w.root(), &[&w.genesis], 1);
    let coup = w.revoke(1, a.id(), &[&a], &[RECOVERY]);
    let b = w.admit(1, a.id(), &[&a], 2);
    let out = w.revoke(RECOVERY, w.root(), &[&b], &[1]);
    let new = w.admit(RECOVERY, w.root(), &[&out], 3);
    let late = w.revoke(1, a.id(), &[&out], &[2, 3]);
    let end = in_all_orders(&w, &[], [&a, &coup, &b, &out, &new, &late]);
    assert!(cut(&end, &coup) && cut(&end, &late));
    assert!(revoked(&end, 1) && !revoked(&end, 2) && !revoked(&end, 3));
    assert!(end.is_revoked(&public(RECOVERY)).is_none());
}

#[test]
fn rights_narrow_along_the_chain_and_over_time() {
    let w = World::new();
    let some = vec![grant(Right::AdmitOperator, &["*"]), grant(Right::Invite, &["web*"])];
    let a = w.admit_with(RECOVERY, w.root(), &[&w.genesis], 1, some);
    // Asks to give on more than it has: what is wider is dropped, not cut to fit.
    let wide =
        vec![grant(Right::Invite, &["web0*", "*"]), grant(Right::Revoke, &["*"]), grant(Right::Tasks, &[])];
    let b = w.admit_with(1, a.id(), &[&a], 2, wide);
    let web = w.invite(2, b.id(), &[&b], token_invite(60, NodeKind::Envoy, "web01", 1, &[50]));
    let db = w.invite(2, b.id(), &[&b], token_invite(60, NodeKind::Envoy, "db01", 1, &[50]));
    let bolt = w.invite(2, b.id(), &[&b], token_invite(60, NodeKind::Bolt, "web01", 1, &[50]));
    let less = Amend::Narrow { admit: b.id(), grants: vec![], seen: vec![] };
    let narrow = w.say(RECOVERY, w.root(), &[&web], Act::Amend(less));
    let after = w.invite(2, b.id(), &[&narrow], token_invite(61, NodeKind::Envoy, "web02", 1, &[50]));
    let end = in_all_orders(&w, &[&a], [&b, &web, &db, &bolt, &narrow, &after]);
    let given: Vec<_> = end.operator(&b.id()).unwrap().granted.iter().map(|(r, _)| r).collect();
    assert_eq!(given, [Right::Invite]);
    assert!(end.counts(&web.id()).is_ok(), "before the narrowing");
    for s in [&db, &bolt, &after] {
        assert!(matches!(end.counts(&s.id()), Err(WhyNot::Right { .. })));
    }
    let words = end.counts(&bolt.id()).unwrap_err().to_string();
    assert_eq!(words, "op2 has not the right invite.bolt for web01");
}

#[test]
fn depth_has_an_end_and_other_peoples_admits_are_not_mine() {
    let w = World::new();
    let mut chain = vec![w.genesis.clone()];
    for n in 0..=vigo_base::limits::AUTHORITY_DEPTH as u8 {
        let by = if n == 0 { RECOVERY } else { n };
        let next = w.admit(by, chain[n as usize].id(), &[&chain[n as usize]], n + 1);
        chain.push(next);
    }
    let end = w.authority(&chain);
    let last = chain.last().unwrap();
    assert!(matches!(end.counts(&last.id()), Err(WhyNot::TooDeep { depth: 17 })));
    assert!(end.counts(&chain[16].id()).is_ok());
    let borrowed = w.admit(9, chain[1].id(), &[&chain[1]], 40);
    let end = w.authority(chain.iter().chain([&borrowed]));
    assert!(matches!(end.counts(&borrowed.id()), Err(WhyNot::Signer { .. })));
    assert!(matches!(end.counts(&Hash::of(b"?")), Err(WhyNot::Unknown { .. })));
}

#[test]
fn unknown_kinds_are_kept_without_effect() {
    let (w, a, b) = two_equals();
    let mut draft = Act::Amend(Amend::FleetVersion(2)).draft(a.id(), vec![b.id()], vigo_base::Time(1));
    let raise = draft.clone().sign(&key(1), &w.spanner);
    draft.kind = 7;
    let later = draft.sign(&key(1), &w.spanner);
    let end = w.authority([&a, &b, &raise, &later]);
    let words = end.counts(&later.id()).unwrap_err().to_string();
    assert!(words.contains("kind 7 is not known to this program"), "{words}");
    assert!(end.version() == 2 && end.outdated());
    assert_eq!(end.heads(), [raise.id()], "what has no effect is no head");
}
