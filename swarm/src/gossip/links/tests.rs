//! The table of links, by itself.

use super::*;
use vigo_base::SecretKey;

fn key(n: u8) -> PublicKey {
    SecretKey::from_seed([n; 32]).public()
}

fn at(n: u8) -> Option<String> {
    Some(format!("10.0.0.{n}:1530"))
}

fn links() -> Links {
    Links::new(Dice::from_number(1))
}

const NOW: Time = Time(1_800_000_000_000_000);

fn dials(acts: &[Act]) -> Vec<PublicKey> {
    let key = |act: &Act| match act {
        Act::Dial { key, .. } => Some(*key),
        Act::Cut { .. } => None,
    };
    acts.iter().filter_map(key).collect()
}

#[test]
fn whoever_dialed_the_session_dials_the_link_once() {
    let mut links = links();
    let members = BTreeMap::from([(key(1), at(1)), (key(2), None)]);
    let acts = links.review(NOW, &members, 8);
    assert_eq!(acts, [Act::Dial { key: key(1), address: "10.0.0.1:1530".into() }]);
    assert_eq!(links.review(NOW, &members, 8), [], "one is under way");
    links.up(NOW, LinkId(1), key(1));
    assert_eq!(links.review(NOW, &members, 8), []);
    assert!(links.stands(&key(1)) && !links.stands(&key(2)));
    assert!(!links.carries(NOW, &key(1)), "nobody has said yet what it listens to");
    assert!(links.carries(NOW.after(YOUNG), &key(1)));
    assert_eq!(links.next_wake(), None);
}

#[test]
fn a_stranger_is_cut_and_turned_away() {
    let mut links = links();
    links.up(NOW, LinkId(1), key(9));
    let acts = links.review(NOW, &BTreeMap::new(), 8);
    assert_eq!(acts, [Act::Cut { key: key(9), refuse: TURNED_AWAY, why: Why::Stranger }]);
    assert!(!links.stands(&key(9)) && !links.carries(NOW.after(secs(60)), &key(9)));
    assert_eq!(links.review(NOW, &BTreeMap::new(), 8), [], "once is enough");
}

#[test]
fn whoever_leaves_is_cut_and_may_come_back_at_once() {
    let mut links = links();
    let members = BTreeMap::from([(key(1), None)]);
    links.up(NOW, LinkId(1), key(1));
    links.up(NOW, LinkId(2), key(1));
    assert_eq!(links.review(NOW, &members, 8), []);
    let acts = links.review(NOW, &BTreeMap::new(), 8);
    assert_eq!(acts, [Act::Cut { key: key(1), refuse: 0, why: Why::Left }]);
    assert!(!links.any());
    links.down(NOW, LinkId(1));
    links.down(NOW, LinkId(2));
    links.up(NOW, LinkId(3), key(1));
    assert_eq!(links.review(NOW, &members, 8), []);
    assert!(links.stands(&key(1)));
}

#[test]
fn three_faults_end_it_for_a_while() {
    let mut links = links();
    let members = BTreeMap::from([(key(1), at(1))]);
    links.up(NOW, LinkId(1), key(1));
    links.review(NOW, &members, 8);
    assert!(!links.strike(NOW, &key(1)) && !links.strike(NOW, &key(1)));
    links.down(NOW, LinkId(1));
    links.up(NOW, LinkId(1), key(1));
    links.review(NOW, &members, 8);
    assert!(links.strike(NOW, &key(1)), "coming again makes nothing undone");
    let acts = links.review(NOW, &members, 8);
    assert_eq!(acts, [Act::Cut { key: key(1), refuse: SHUNNED, why: Why::Faults }]);
    links.down(NOW, LinkId(1));
    assert_eq!(dials(&links.review(NOW.after(SHUNNED - 1), &members, 8)), []);
    assert_eq!(links.next_wake(), Some(NOW.after(SHUNNED)));
    assert_eq!(dials(&links.review(NOW.after(SHUNNED), &members, 8)), [key(1)]);
}

#[test]
fn old_faults_are_forgotten() {
    let mut links = links();
    let mut now = NOW;
    for _ in 0..10 {
        assert!(!links.strike(now, &key(1)) && !links.strike(now, &key(1)));
        now = now.after(FORGIVEN);
    }
}

#[test]
fn a_dial_that_fails_waits_longer_each_time() {
    let mut links = links();
    let members = BTreeMap::from([(key(1), at(1))]);
    let (mut now, mut pauses) = (NOW, Vec::new());
    for _ in 0..12 {
        assert_eq!(dials(&links.review(now, &members, 8)), [key(1)]);
        let over = links.next_wake().unwrap();
        assert_eq!(over, now.after(DIAL));
        assert_eq!(dials(&links.review(over, &members, 8)), []);
        now = links.next_wake().unwrap();
        pauses.push(now.since(over));
    }
    assert!(pauses[0] >= PAUSE.0 / 2 && pauses[0] <= PAUSE.0, "{pauses:?}");
    assert!(pauses[11] >= PAUSE.1 / 2 && pauses[11] <= PAUSE.1, "{pauses:?}");
    // One that lasts makes good for all of it.
    assert_eq!(dials(&links.review(now, &members, 8)), [key(1)]);
    links.up(now, LinkId(1), key(1));
    links.review(now, &members, 8);
    let end = now.after(LASTED);
    links.down(end, LinkId(1));
    links.review(end, &members, 8);
    assert!(links.next_wake().unwrap().since(end) <= PAUSE.0);
}

#[test]
fn numbers_are_bounded() {
    let mut links = links();
    let members: BTreeMap<_, _> = (1..=40).map(|n| (key(n), at(n))).collect();
    assert_eq!(dials(&links.review(NOW, &members, 30)).len(), DIALS);
    for n in 1..=40 {
        links.up(NOW, LinkId(u64::from(n)), key(n));
    }
    let acts = links.review(NOW, &members, 30);
    let full = |act: &&Act| matches!(act, Act::Cut { why: Why::Full, .. });
    assert_eq!((acts.iter().filter(full).count(), links.len()), (10, 30));
    for n in 0..=255 {
        let stranger = key(n);
        (0..3).for_each(|_| assert!(links.strike(NOW, &stranger) || links.strikes.contains_key(&stranger)));
    }
    assert_eq!(links.shunned.len(), MOST_SHUNNED);
    assert!(links.strikes.is_empty());
    links.review(NOW, &BTreeMap::new(), 30);
    assert!(links.tries.is_empty());
}
