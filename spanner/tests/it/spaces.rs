//! Statements of other operators' spaces: the cut by what the revoker had seen of them (R10, R15).

use std::collections::BTreeMap;

use vigo_base::{Hash, Time};
use vigo_crdt::{Draft, Space, Statement};
use vigo_spanner::act::{Act, Amend, Revoke, Seen};
use vigo_spanner::{Pattern, Right, WhyNot};

use crate::world::*;

fn publish(w: &World, signer: u8, under: Hash, after: &[&Statement], n: u8) -> Statement {
    let after = after.iter().map(|s| s.id()).collect();
    let draft = Draft { space: Space::config(), kind: 1, under, after, at: Time(1), payload: vec![n] };
    draft.sign(&key(signer), &w.spanner)
}

#[test]
fn a_publish_counts_as_far_as_the_revoker_had_seen() {
    let w = World::new();
    let a = w.admit(RECOVERY, w.root(), &[&w.genesis], 1);
    let b = w.admit(1, a.id(), &[&a], 2);
    let p1 = publish(&w, 2, b.id(), &[], 1);
    let p2 = publish(&w, 1, a.id(), &[&p1], 2);
    let p3 = publish(&w, 2, b.id(), &[&p2], 3);
    let p4 = publish(&w, 1, a.id(), &[&p3], 4);
    let seen = vec![Seen { space: Space::config(), heads: vec![p2.id()] }];
    let revoke = Revoke { keys: vec![public(2)], seen, upto: vec![], reason: String::new() };
    let out = w.say(1, a.id(), &[&b], Act::Revoke(revoke));
    let all: BTreeMap<Hash, Statement> = [&p1, &p2, &p3, &p4].map(|p| (p.id(), p.clone())).into();
    let before = w.authority([&a, &b]);
    let end = w.authority([&a, &b, &out]);
    let right = Right::ConfigPublish;
    assert!([&p1, &p2, &p3, &p4].iter().all(|p| before.judge(p, right, &all).is_ok()));
    assert!(end.judge(&p1, right, &all).is_ok(), "seen over p2");
    assert_eq!(end.judge(&p3, right, &all), Err(WhyNot::Revoked { by: out.id() }));
    assert!(end.judge(&p4, right, &all).is_ok(), "another operator's stands though it saw the fallen one");
    // What the revoker had seen of another space says nothing here.
    let settings = Draft {
        space: Space::settings(),
        kind: 1,
        under: b.id(),
        after: vec![],
        at: Time(1),
        payload: vec![],
    };
    let setting = settings.sign(&key(2), &w.spanner);
    assert_eq!(end.judge(&setting, Right::Settings, &all), Err(WhyNot::Revoked { by: out.id() }));
    let keep = w.keep(1, a.id(), &[&out], &[p3.id()]);
    assert!(w.authority([&a, &b, &out, &keep]).judge(&p3, right, &all).is_ok());
}

#[test]
fn a_publish_needs_the_right_as_far_as_it_goes() {
    let w = World::new();
    let grants = vec![grant(Right::ConfigPublish, &["web*"]), grant(Right::Settings, &["audit.*"])];
    let a = w.admit_with(RECOVERY, w.root(), &[&w.genesis], 1, grants);
    let p = publish(&w, 1, a.id(), &[], 1);
    let none: BTreeMap<Hash, Statement> = BTreeMap::new();
    let authority = w.authority([&a]);
    let judge = |right, target: &str| authority.judge_for(&p, right, &target.parse().unwrap(), &none);
    assert!(judge(Right::ConfigPublish, "web01").is_ok());
    assert!(judge(Right::ConfigPublish, "*").is_err(), "not the whole fleet");
    assert!(authority.judge(&p, Right::ConfigPublish, &none).is_err());
    assert!(judge(Right::Filecast, "web01").is_err(), "R15: one right is not another");
    let narrow =
        Amend::Narrow { admit: a.id(), grants: vec![grant(Right::ConfigPublish, &["web01"])], seen: vec![] };
    let narrow = w.say(RECOVERY, w.root(), &[&a], Act::Amend(narrow));
    let after = w.authority([&a, &narrow]);
    let target = |t: &str| t.parse::<Pattern>().unwrap();
    assert!(after.judge_for(&p, Right::ConfigPublish, &target("web01"), &none).is_ok());
    assert!(after.judge_for(&p, Right::ConfigPublish, &target("web02"), &none).is_err());
    let stranger = publish(&w, 9, a.id(), &[], 1);
    assert!(matches!(authority.judge(&stranger, Right::ConfigPublish, &none), Err(WhyNot::Signer { .. })));
    let nobody = publish(&w, 9, Hash::of(b"x"), &[], 1);
    assert!(matches!(authority.judge(&nobody, Right::ConfigPublish, &none), Err(WhyNot::Admit { .. })));
    assert!(matches!(authority.judge(&a, Right::ConfigPublish, &none), Err(WhyNot::Space { .. })));
}
