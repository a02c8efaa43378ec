//! What an applier lets pass (R15, R20): one refusal after the other, each as an honest node and as one gone bad might
//! cause it. Nothing here has a clock, and nothing is a matter of time.

mod rig;

use rig::*;
use serde_json::json;
use vigo_base::{Hash, SecretKey};
use vigo_node::content_types::config::Epoch;
use vigo_node::crdt::{BadStatement, Space};
use vigo_node::spanner::{Admissions, Authority, Grant, Right};
use vigo_node::warrant::{Anchor, NotWarranted, Request, Told, Warranted, Warrants, floor, publishes};

fn applier(paper: &Paper) -> Warrants {
    Warrants::new(paper.anchor(), None)
}

fn judge(warrants: &mut Warrants, published: &Published) -> Result<Warranted, NotWarranted> {
    warrants.judge(published.request(), json!({}))
}

/// Judges and, if it passes, raises the floor as a run does.
fn run(warrants: &mut Warrants, published: &Published) -> Result<Option<Epoch>, NotWarranted> {
    let warranted = judge(warrants, published)?;
    Ok(warrants.begin(&warranted))
}

/// Alice has published, then bob, and his is run.
fn two_published() -> (Paper, Published, Published, Warrants) {
    let mut paper = Paper::new("home");
    let one = paper.publish("one", ALICE, paper.alice);
    let two = paper.publish("two", BOB, paper.bob);
    let mut held = applier(&paper);
    held.hear(&paper.evidence());
    assert_eq!(run(&mut held, &two), Ok(Some(two.at)));
    (paper, one, two, held)
}

/// Tells an applier all that was said, but for one statement.
fn tell_all_but(held: &mut Warrants, paper: &Paper, left_out: Hash) {
    for (space, bytes) in paper.everything() {
        if Hash::of(&bytes) != left_out {
            held.tell(&space, &bytes).unwrap();
        }
    }
}

#[test]
fn what_was_published_is_run_and_only_with_the_statements_that_say_so() {
    let mut paper = Paper::new("home");
    let one = paper.publish("one", BOB, paper.bob);
    let mut applier = applier(&paper);
    assert!(matches!(judge(&mut applier, &one), Err(NotWarranted::NoFleet { .. })));
    assert_eq!(applier.hear(&paper.evidence()).len(), 4);
    let warranted = judge(&mut applier, &one).unwrap();
    assert_eq!((warranted.at(), warranted.plan().steps.len()), (one.at, 1));
    assert_eq!(applier.begin(&warranted), Some(one.at));
    let again = judge(&mut applier, &one).unwrap();
    assert_eq!(applier.begin(&again), None, "the same floor needs no writing");
    assert_eq!(applier.expect(one.at), Ok(one.routes.len() as u64));
}

#[test]
fn an_older_publish_is_not_run_again_whatever_is_told_anew() {
    let mut paper = Paper::new("home");
    let one = paper.publish("one", BOB, paper.bob);
    let early = paper.evidence();
    let two = paper.publish("two", BOB, paper.bob);
    let mut held = applier(&paper);
    held.hear(&paper.evidence());
    assert!(matches!(judge(&mut held, &one), Err(NotWarranted::Stale { .. })), "before it was run as well");
    assert_eq!(run(&mut held, &two), Ok(Some(two.at)));
    assert!(matches!(judge(&mut held, &one), Err(NotWarranted::BelowFloor { .. })));
    // Another life with the floor alone: what it was told is lost or kept from it.
    let mut later = Warrants::new(paper.anchor(), held.floor());
    later.hear(&early);
    let refused = judge(&mut later, &one).unwrap_err();
    assert_eq!(refused, NotWarranted::BelowFloor { offered: one.at, floor: two.at });
    assert!(refused.to_string().contains("publish anew to go back"), "{refused}");
    later.hear(&paper.evidence());
    assert_eq!(run(&mut later, &two), Ok(None));
}

#[test]
fn a_revocation_that_was_seen_stays_seen_and_lets_the_floor_fall() {
    let mut paper = Paper::new("home");
    let one = paper.publish("one", ALICE, paper.alice);
    let before = paper.evidence();
    let stolen = paper.publish("stolen", BOB, paper.bob);
    let mut held = applier(&paper);
    held.hear(&paper.evidence());
    assert_eq!(run(&mut held, &stolen), Ok(Some(stolen.at)));
    paper.revoke(key(BOB).public(), vec![one.at.id], ALICE, paper.alice);
    held.hear(&paper.evidence());
    assert!(matches!(judge(&mut held, &stolen), Err(NotWarranted::DoesNotCount { .. })));
    // What is told afterwards leaves it out: it is not forgotten.
    held.hear(&before);
    assert!(matches!(judge(&mut held, &stolen), Err(NotWarranted::DoesNotCount { .. })));
    // The head is the one before again, and the floor does not stand against it.
    assert_eq!(held.floor(), None);
    assert_eq!(run(&mut held, &one), Ok(Some(one.at)));
    let next = paper.publish("next", ALICE, paper.alice);
    assert!(next.at.epoch > stolen.at.epoch);
    held.hear(&paper.evidence());
    assert_eq!(run(&mut held, &next), Ok(Some(next.at)));
}

#[test]
fn the_floor_holds_while_something_is_missing_that_the_revoker_had_seen() {
    let (mut paper, one, two, mut held) = two_published();
    // A revoker that had seen `two`, by way of a publish which this applier is not shown.
    let three = paper.publish("three", ALICE, paper.alice);
    paper.revoke(key(BOB).public(), vec![three.at.id], ALICE, paper.alice);
    tell_all_but(&mut held, &paper, three.at.id);
    assert!(matches!(judge(&mut held, &one), Err(NotWarranted::BelowFloor { .. })));
    assert_eq!(held.floor(), Some(two.at));
    held.hear(&paper.evidence());
    assert_eq!(run(&mut held, &three), Ok(Some(three.at)));
}

#[test]
fn the_floor_holds_while_an_admission_is_missing_that_the_revoker_had_seen() {
    let (mut paper, one, two, mut held) = two_published();
    // The revoker had seen bob's admit by way of carol's, which is late.
    let publish = vec![Grant::everywhere(Right::ConfigPublish)];
    let carol = paper.admit(CAROL, "carol", publish, ALICE, paper.alice);
    paper.revoke(key(BOB).public(), vec![two.at.id], ALICE, paper.alice);
    tell_all_but(&mut held, &paper, carol);
    assert!(matches!(judge(&mut held, &one), Err(NotWarranted::BelowFloor { .. })));
    assert_eq!(held.floor(), Some(two.at));
    held.hear(&paper.evidence());
    assert_eq!(run(&mut held, &two), Ok(None), "bob's publish was seen, and counts");
}

#[test]
fn the_floor_holds_while_the_admit_behind_its_publish_is_missing() {
    let mut paper = Paper::new("home");
    let one = paper.publish("one", ALICE, paper.alice);
    let two = paper.publish("two", BOB, paper.bob);
    // A disk came back without bob's admit: his publish counts again once that is here.
    let floor_with = |left_out: Option<Hash>| {
        let mut admissions = Admissions::new(paper.spanner);
        let statements = paper.admissions.statements().values().map(|said| said.statement.clone());
        for statement in statements.filter(|s| Some(s.id()) != left_out) {
            admissions.insert_statement(statement);
        }
        let authority = Authority::evaluate(&admissions);
        let view = publishes(&authority, &paper.config);
        (view.head().map(|head| head.at), floor(Some(two.at), &authority, &view))
    };
    assert_eq!(floor_with(Some(paper.bob)), (Some(one.at), Some(two.at)));
    assert_eq!(floor_with(None), (Some(two.at), Some(two.at)));
}

#[test]
fn the_floor_falls_though_something_is_missing_that_no_revoker_had_seen() {
    let (mut paper, one, _, mut held) = two_published();
    // Bob's next publish is lost with its disk, the one after that has come.
    let lost = paper.publish("three", BOB, paper.bob);
    paper.publish("four", BOB, paper.bob);
    paper.revoke(key(BOB).public(), vec![one.at.id], ALICE, paper.alice);
    tell_all_but(&mut held, &paper, lost.at.id);
    assert_eq!(run(&mut held, &one), Ok(Some(one.at)));
}

#[test]
fn who_may_not_publish_publishes_nothing() {
    let mut paper = Paper::new("home");
    let one = paper.publish("one", ALICE, paper.alice);
    let carol = paper.admit(4, "carol", vec![Grant::everywhere(Right::Settings)], ALICE, paper.alice);
    let by_carol = paper.publish_at(2, vec![one.at.id], "carol", 4, carol);
    // Under an admit that is another's, under the genesis, and by a key nobody knows.
    let as_alice = paper.publish_at(2, vec![one.at.id], "as alice", BOB, paper.alice);
    let as_recovery = paper.publish_at(2, vec![one.at.id], "as recovery", BOB, paper.spanner.0);
    let stranger = paper.publish_at(2, vec![one.at.id], "stranger", 77, paper.bob);
    // By this node's own key: the wrong kind of key.
    let own = paper.publish_at(2, vec![one.at.id], "own", NODE, paper.bob);
    let mut held = applier(&paper);
    // Everything, as often as the chain is long, so that nothing is early for its order alone.
    for (space, bytes) in vec![paper.everything(); 4].concat() {
        held.tell(&space, &bytes).unwrap();
    }
    let refused = judge(&mut held, &by_carol).unwrap_err();
    assert!(refused.to_string().contains("carol has not the right config.publish"), "{refused}");
    for forged in [&as_alice, &as_recovery] {
        assert!(matches!(judge(&mut held, forged), Err(NotWarranted::DoesNotCount { .. })));
    }
    for forged in [&stranger, &own] {
        let refused = judge(&mut held, forged).unwrap_err();
        assert_eq!(refused, NotWarranted::Unknown { offered: forged.at }, "it takes no room either");
        paper.config.remove(&forged.at.id);
    }
    assert_eq!(held.len(), paper.admissions.statements().len() + 4);
    assert_eq!(run(&mut held, &one), Ok(Some(one.at)));
    // What counts for nothing is a tip all the same, and the next publish is based on it: an applier that had never
    // heard of it would wait for it for ever.
    let next = paper.publish("next", ALICE, paper.alice);
    let mut fresh = applier(&paper);
    fresh.hear(&paper.evidence());
    assert!(fresh.ids().any(|id| *id == as_alice.at.id));
    assert_eq!(run(&mut fresh, &next), Ok(Some(next.at)));
}

#[test]
fn what_another_fleet_signed_means_nothing_here() {
    let mut ours = Paper::new("home");
    let mut theirs = Paper::new("work");
    let (one, foreign) = (ours.publish("one", BOB, ours.bob), theirs.publish("one", BOB, theirs.bob));
    let mut held = applier(&ours);
    held.hear(&ours.evidence());
    for (space, bytes) in theirs.everything() {
        assert!(matches!(held.tell(&space, &bytes), Err(BadStatement::Signature { .. })));
    }
    assert_eq!(held.hear(&theirs.evidence()), [], "also what a node of another fleet would hand over");
    assert!(matches!(judge(&mut held, &foreign), Err(NotWarranted::Unknown { .. })));
    assert_eq!(run(&mut held, &one), Ok(Some(one.at)));
    // A publish that is told as an admission, and with one bit turned.
    let (_, bytes) = ours.everything().into_iter().find(|(space, _)| *space == Space::config()).unwrap();
    assert!(matches!(
        Warrants::new(ours.anchor(), None).tell(&Space::admissions(), &bytes),
        Err(BadStatement::Space { .. })
    ));
    for at in 0..bytes.len() {
        let mut turned = bytes.clone();
        turned[at] ^= 1;
        assert!(held.tell(&Space::config(), &turned).is_err(), "byte {at}");
    }
}

#[test]
fn the_blobs_are_those_that_were_signed_and_the_policy_is_this_machines() {
    let mut paper = Paper::new("home");
    let one = paper.publish("one", BOB, paper.bob);
    let mut held = applier(&paper);
    held.hear(&paper.evidence());
    let (mut routes, mut policy) = (one.clone(), one.clone());
    *routes.routes.last_mut().unwrap() ^= 1;
    *policy.policy.last_mut().unwrap() ^= 1;
    assert!(matches!(judge(&mut held, &routes), Err(NotWarranted::Routes { .. })));
    assert!(matches!(judge(&mut held, &policy), Err(NotWarranted::Policy { .. })));
    // Another publish's table with its own policy, sound in itself.
    let other = with_blobs(one.at, &release("other", "web*"));
    assert!(matches!(judge(&mut held, &other), Err(NotWarranted::Routes { .. })));
    let mixed = Request { at: one.at, routes: &one.routes, policy: &other.policy };
    assert!(matches!(held.judge(mixed, json!({})), Err(NotWarranted::Policy { .. })));
    // A machine of another name has no part in it, and does not run what is for this one.
    let mut anchor: Anchor = paper.anchor();
    anchor.name = "db01".parse().unwrap();
    let mut db01 = Warrants::new(anchor, None);
    db01.hear(&paper.evidence());
    assert!(matches!(judge(&mut db01, &one), Err(NotWarranted::NotRouted { .. })));
    // The id of one and the epoch of another.
    let jumped = Published { at: Epoch { epoch: 2, ..one.at }, ..one.clone() };
    assert!(matches!(judge(&mut held, &jumped), Err(NotWarranted::Unknown { .. })));
}

#[test]
fn a_revoked_machine_runs_nothing_more() {
    let mut paper = Paper::new("home");
    let one = paper.publish("one", BOB, paper.bob);
    let mut held = applier(&paper);
    held.hear(&paper.evidence());
    assert!(judge(&mut held, &one).is_ok());
    // Bob stands where the node stands, and may not revoke at all; alice stands above.
    paper.revoke(key(NODE).public(), vec![one.at.id], BOB, paper.bob);
    held.hear(&paper.evidence());
    assert!(judge(&mut held, &one).is_ok());
    paper.revoke(key(NODE).public(), vec![one.at.id], ALICE, paper.alice);
    held.hear(&paper.evidence());
    assert!(matches!(judge(&mut held, &one), Err(NotWarranted::Expelled { .. })));
}

#[test]
fn statements_come_in_behind_the_admit_of_their_signer() {
    let mut paper = Paper::new("home");
    let one = paper.publish("one", BOB, paper.bob);
    let mut held = applier(&paper);
    let all = paper.everything();
    let (space, publish) = all.iter().find(|(space, _)| *space == Space::config()).unwrap();
    assert_eq!(held.tell(space, publish), Ok(Told::Early));
    for piece in paper.evidence().pieces() {
        let (space, bytes) = (piece.statement().space(), piece.statement().bytes());
        assert_eq!(held.tell(space, bytes), Ok(Told::New), "in this order nothing is early");
        assert_eq!(held.tell(space, bytes), Ok(Told::Known));
    }
    assert_eq!(run(&mut held, &one), Ok(Some(one.at)));
    assert_eq!(held.evidence().digest(), paper.evidence().digest());
}

#[test]
fn a_flood_of_what_does_not_count_is_not_shown() {
    let mut paper = Paper::new("home");
    let one = paper.publish("one", ALICE, paper.alice);
    let carol = paper.admit(4, "carol", vec![Grant::everywhere(Right::Settings)], ALICE, paper.alice);
    for n in 0..50 {
        paper.publish_at(1, Vec::new(), &format!("flood {n}"), 4, carol);
    }
    // What somebody else built on one of them travels with it: the parents decide its epoch.
    let flood = paper.config.values().find(|s| s.signer() == key(4).public()).unwrap().id();
    let two = paper.publish_at(2, vec![one.at.id, flood], "two", ALICE, paper.alice);
    let evidence = paper.evidence();
    let shown = evidence.pieces().iter().filter(|p| *p.statement().space() == Space::config()).count();
    assert_eq!(shown, 3);
    let mut held = applier(&paper);
    held.hear(&evidence);
    assert_eq!(run(&mut held, &two), Ok(Some(two.at)));
}

#[test]
fn an_anchor_is_read_as_it_was_written() {
    let anchor = Paper::new("home").anchor();
    assert_eq!(Anchor::decode(&anchor.encode()), Ok(anchor.clone()));
    assert!(Anchor::decode(&anchor.encode()[1..]).is_err());
    let key = SecretKey::from_seed([5; 32]).public();
    let error = Anchor::of_papers(anchor.spanner, key, b"no papers").unwrap_err();
    assert!(error.to_string().starts_with("this machine's papers do not show who it is"), "{error}");
}
