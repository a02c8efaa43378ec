//! Whom a node dials, and that a fleet of them stays one piece.

use std::collections::{BTreeMap, BTreeSet};

use vigo_base::time::{hours, millis, mins, secs};
use vigo_base::{Dice, PublicKey, SecretKey, Time, limits};
use vigo_swarm::frame::{Farewell, Hint};
use vigo_swarm::peers::{Address, Book, DIALS, Dial, Dialer, Keep, Kind, Me, Peers, Source, keep};

fn key(n: u32) -> PublicKey {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&n.to_be_bytes());
    SecretKey::from_seed(seed).public()
}

fn at(n: u32) -> Address {
    format!("10.{}.{}.{}:1531", n >> 16 & 255, n >> 8 & 255, n & 255).parse().unwrap()
}

fn view(kind: Kind) -> Peers {
    let me = Me { key: key(9_999), kind, listens: true, addresses: vec![at(9_999)] };
    Peers::new(me, Book::default(), Dice::from_number(1))
}

fn now() -> Time {
    Time(secs(100))
}

type Links = BTreeMap<PublicKey, Kind>;

fn nobody() -> BTreeSet<PublicKey> {
    BTreeSet::new()
}

/// Knows `bolts` bolts (keys from 0) and `envoys` envoys (keys from 100).
fn knows(kind: Kind, bolts: u32, envoys: u32) -> Peers {
    let mut peers = view(kind);
    (0..bolts).for_each(|n| peers.learn(Source::File, key(n), Kind::Bolt, vec![at(n)]));
    (100..100 + envoys).for_each(|n| peers.learn(Source::Itself, key(n), Kind::Envoy, vec![at(n)]));
    peers
}

/// Dials until nothing more is dialed; everything answers.
fn settle(peers: &mut Peers, now: Time, links: &mut Links, wanted: &BTreeSet<PublicKey>) -> Vec<Dial> {
    let mut all = Vec::new();
    loop {
        let dials = peers.plan(now, links, wanted);
        assert!(dials.len() <= DIALS);
        if dials.is_empty() {
            return all;
        }
        for dial in dials {
            let kind = peers.book().get(&dial.key).unwrap().kind;
            assert!(links.insert(dial.key, kind).is_none(), "dialed twice");
            peers.connected(now, dial.key, kind, Dialer::Us);
            all.push(dial);
        }
    }
}

#[test]
fn an_envoy_keeps_two_bolts_and_four_envoys_a_bolt_every_other_bolt() {
    for (kind, bolts) in [(Kind::Envoy, 2), (Kind::Bolt, 16)] {
        let (mut peers, mut links) = (knows(kind, 20, 50), Links::new());
        settle(&mut peers, now(), &mut links, &nobody());
        assert_eq!(links.values().filter(|k| **k == Kind::Bolt).count(), bolts);
        assert_eq!(links.values().filter(|k| **k == Kind::Envoy).count(), 4);
    }
}

#[test]
fn whoever_is_wanted_or_urgent_is_dialed_beyond_that() {
    let (mut peers, mut links) = (knows(Kind::Envoy, 5, 50), Links::new());
    settle(&mut peers, now(), &mut links, &nobody());
    let mut others = (100..150).map(key).filter(|k| !links.contains_key(k));
    let (author, member) = (others.next().unwrap(), others.next().unwrap());
    peers.urgent(now(), &author);
    let dials = settle(&mut peers, now(), &mut links, &BTreeSet::from([member]));
    assert_eq!(dials.iter().map(|d| d.key).collect::<BTreeSet<_>>(), BTreeSet::from([author, member]));
}

#[test]
fn a_failing_peer_is_left_alone_longer_and_longer_up_to_twenty_seconds() {
    let mut peers = knows(Kind::Envoy, 1, 0);
    let (mut now, mut pauses) = (now(), Vec::new());
    for _ in 0..12 {
        let dials = peers.plan(now, &Links::new(), &nobody());
        assert_eq!(dials.len(), 1);
        assert!(peers.plan(now, &Links::new(), &nobody()).is_empty(), "one dial to one peer");
        peers.failed(now, &key(0));
        let next = peers.book().get(&key(0)).unwrap().next_try;
        assert!(peers.plan(Time(next.0 - 1), &Links::new(), &nobody()).is_empty());
        pauses.push(next.since(now));
        now = next;
    }
    assert!(pauses[0] >= millis(500) && pauses[0] <= secs(1), "{pauses:?}");
    assert!(pauses[11] >= secs(10) && pauses[11] <= secs(20), "{pauses:?}");
    // It worked once and was lost: it is dialed again within a moment.
    assert_eq!(peers.plan(now, &Links::new(), &nobody()).len(), 1);
    peers.connected(now, key(0), Kind::Bolt, Dialer::Us);
    peers.lost(now, &key(0));
    assert_eq!(peers.plan(now.after(millis(300)), &Links::new(), &nobody()).len(), 1);
}

#[test]
fn whoever_refuses_for_good_is_asked_less_and_less_until_who_belongs_changes() {
    let pause = |peers: &mut Peers, now: Time, why: Farewell| {
        assert_eq!(peers.plan(now, &Links::new(), &nobody()).len(), 1);
        peers.turned_away(now, &key(0), why);
        peers.book().get(&key(0)).unwrap().next_try.since(now)
    };
    let mut peers = knows(Kind::Envoy, 1, 0);
    let (mut now, mut pauses) = (now(), Vec::new());
    for _ in 0..9 {
        pauses.push(pause(&mut peers, now, Farewell::Revoked));
        now = now.after(*pauses.last().unwrap());
    }
    for (times, pause) in pauses.iter().enumerate() {
        let mean = secs(30) << times.min(5);
        assert!((mean / 2..mean * 3 / 2).contains(pause), "{pauses:?}");
    }
    // An Admit, a revoke of the revoker: what was refused may be let in.
    peers.reconsider(now);
    let again = peers.book().get(&key(0)).unwrap().next_try;
    assert!(again.since(now) <= secs(30));
    assert!(pause(&mut peers, again, Farewell::Revoked) < secs(45), "the pauses begin anew");
    // No room now says nothing of later.
    let (mut peers, mut now) = (knows(Kind::Envoy, 1, 0), now);
    for _ in 0..9 {
        let full = pause(&mut peers, now, Farewell::Full);
        assert!(full < secs(45));
        now = now.after(full);
    }
}

#[test]
fn a_flood_of_keys_that_refuse_is_not_remembered_beyond_the_book() {
    let mut peers = knows(Kind::Envoy, 1, 0);
    for n in 0..(2 * limits::ADDRESS_BOOK as u32) {
        let hint = Hint { key: key(20_000 + n), addresses: vec![at(n).to_string()], bolt: true };
        peers.hear(&[hint]);
        peers.turned_away(now(), &key(20_000 + n), Farewell::Papers);
        assert!(peers.refusals() <= limits::ADDRESS_BOOK, "{} after {n}", peers.refusals());
    }
    assert!(peers.refusals() > 0);
}

#[test]
fn a_dial_that_never_ends_counts_as_failed_and_addresses_are_tried_in_turn() {
    let mut peers = view(Kind::Envoy);
    peers.learn(Source::Token, key(1), Kind::Bolt, vec![at(1), at(2), at(3)]);
    let (mut now, mut tried) = (now(), BTreeSet::new());
    for _ in 0..3 {
        tried.insert(peers.plan(now, &Links::new(), &nobody()).remove(0).address);
        now = peers.next_wake(now, &Links::new(), &nobody()).unwrap();
        assert!(peers.plan(now, &Links::new(), &nobody()).is_empty(), "it has just failed");
        now = now.after(secs(2));
    }
    assert_eq!(tried.len(), 3);
}

#[test]
fn hints_never_override_what_worked() {
    let mut peers = knows(Kind::Envoy, 1, 0);
    peers.plan(now(), &Links::new(), &nobody());
    peers.connected(now(), key(0), Kind::Bolt, Dialer::Us);
    for n in 0..100 {
        let addresses = vec![at(5_000 + n).to_string(), "evil.example.org:1".into(), "no address".into()];
        peers.hear(&[Hint { key: key(0), addresses, bolt: false }]);
    }
    let entry = peers.book().get(&key(0)).unwrap();
    assert_eq!((entry.kind, entry.next_address()), (Kind::Bolt, Some(&at(0))));
    assert!(entry.places.len() <= limits::ADDRESSES);
    assert!(
        entry.places.iter().all(|p| p.address.literal().is_some()),
        "no name from a stranger is resolved"
    );
    // A hint about ourselves is no peer.
    peers.hear(&[Hint { key: key(9_999), addresses: vec![at(1).to_string()], bolt: true }]);
    assert!(peers.book().get(&key(9_999)).is_none());
}

#[test]
fn a_flood_of_hints_pushes_out_hints_only() {
    let mut peers = knows(Kind::Envoy, 3, 20);
    for n in (0..3).chain(100..120) {
        peers.connected(now(), key(n), if n < 3 { Kind::Bolt } else { Kind::Envoy }, Dialer::Them);
    }
    for n in 0..(limits::ADDRESS_BOOK as u32 + 200) {
        let hint = Hint { key: key(20_000 + n), addresses: vec![at(n).to_string()], bolt: true };
        peers.hear(&[hint]);
    }
    assert_eq!(peers.book().len(), limits::ADDRESS_BOOK);
    assert!((0..3).chain(100..120).all(|n| peers.book().get(&key(n)).is_some()));
    // Bolts by hearsay come after those we are sure of.
    let dials = peers.plan(now(), &Links::new(), &nobody());
    let bolts: Vec<_> = dials.iter().filter(|d| (0..3).any(|n| key(n) == d.key)).collect();
    assert_eq!(bolts.len(), 2);
    let bytes = peers.book().encode();
    assert_eq!(Book::decode(&bytes).unwrap().encode(), bytes);
    assert!(bytes.len() <= vigo_swarm::peers::BOOK_BYTES);
}

#[test]
fn a_kept_book_is_read_back_and_a_damaged_one_refused() {
    let mut peers = knows(Kind::Envoy, 2, 2);
    peers.plan(now(), &Links::new(), &nobody());
    peers.connected(now(), key(0), Kind::Bolt, Dialer::Us);
    let bytes = peers.book().encode();
    let book = Book::decode(&bytes).unwrap();
    assert!(book.iter().eq(peers.book().iter()));
    for cut in 0..bytes.len() {
        assert!(Book::decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    for i in 0..bytes.len() {
        let mut bent = bytes.clone();
        bent[i] ^= 0x55;
        let _ = Book::decode(&bent);
    }
}

#[test]
fn both_sides_keep_the_same_one_of_two_connections() {
    let (a, b) = (key(1).min(key(2)), key(1).max(key(2)));
    // At once: A's dial reaches either side first or second; that of A, the smaller, stays everywhere.
    assert_eq!(keep(&a, &b, Dialer::Us, Dialer::Them, 5), Keep::Old);
    assert_eq!(keep(&a, &b, Dialer::Them, Dialer::Us, 5), Keep::New);
    assert_eq!(keep(&b, &a, Dialer::Us, Dialer::Them, 5), Keep::New);
    assert_eq!(keep(&b, &a, Dialer::Them, Dialer::Us, 5), Keep::Old);
    // Much later, or by the same dialer: whoever dials again has lost the old one.
    assert_eq!(keep(&a, &b, Dialer::Us, Dialer::Them, mins(1)), Keep::New);
    assert_eq!(keep(&a, &b, Dialer::Them, Dialer::Them, 5), Keep::New);
}

#[test]
fn who_does_not_listen_announces_no_address_and_samples_hold_only_the_proven() {
    let me = Me { key: key(1), kind: Kind::Envoy, listens: false, addresses: vec![at(1)] };
    assert!(Peers::new(me, Book::default(), Dice::from_number(1)).announced().is_empty());
    let (mut peers, mut links) = (knows(Kind::Envoy, 2, 50), Links::new());
    peers.hear(&[Hint { key: key(7_000), addresses: vec![at(7_000).to_string()], bolt: true }]);
    assert!(peers.sample(10).is_empty(), "nobody was reached yet");
    settle(&mut peers, now(), &mut links, &nobody());
    let sample = peers.sample(5);
    assert_eq!(sample.len(), 5);
    assert!(sample.iter().all(|hint| links.contains_key(&hint.key) && hint.addresses.len() == 1));
}

#[test]
fn a_stranger_is_told_no_address_that_a_peer_has_left() {
    let told = |peers: &Peers, n| -> Vec<String> {
        peers.book().get(&key(n)).unwrap().told().map(ToString::to_string).collect()
    };
    let mut peers = view(Kind::Bolt);
    peers.learn(Source::Itself, key(1), Kind::Bolt, vec![at(1)]);
    settle(&mut peers, now(), &mut Links::new(), &nobody());
    assert_eq!(told(&peers, 1), [at(1).to_string()], "it was dialed there and says so");
    peers.learn(Source::Itself, key(1), Kind::Bolt, vec![]);
    assert_eq!(told(&peers, 1), [at(1).to_string()], "nobody says so, but that is where it was dialed last");
    // It is elsewhere: it comes to us, and names no address.
    peers.connected(now().after(secs(60)), key(1), Kind::Bolt, Dialer::Them);
    assert!(peers.book().get(&key(1)).unwrap().can_be_dialed(), "we may still try where it was");
    assert_eq!(told(&peers, 1), [] as [String; 0]);
    peers.learn(Source::Itself, key(1), Kind::Bolt, vec![at(2)]);
    assert_eq!(told(&peers, 1), [at(2).to_string()]);
    // What somebody wrote down is told, unless it has a meaning here only.
    peers.learn(Source::File, key(3), Kind::Bolt, vec![at(3), "[fe80::1%2]:1531".parse().unwrap()]);
    assert_eq!(told(&peers, 3), [at(3).to_string()]);
}

#[test]
fn only_the_address_that_answered_has_worked() {
    let mut peers = view(Kind::Bolt);
    peers.learn(Source::Itself, key(1), Kind::Bolt, vec![at(1)]);
    assert_eq!(peers.plan(now(), &Links::new(), &nobody()).len(), 1, "it is dialed where the book says");
    // A beacon names another address; it is dialed there too, comes to us by itself, and then answers there.
    let near: Address = "[fe80::1%2]:1531".parse().unwrap();
    assert!(peers.dial_heard(now(), key(1), Kind::Bolt, near.clone()).is_some());
    peers.connected(now(), key(1), Kind::Bolt, Dialer::Them);
    peers.answered_at(&key(1), near.as_str());
    peers.connected(now().after(1), key(1), Kind::Bolt, Dialer::Us);
    let places = &peers.book().get(&key(1)).unwrap().places;
    assert!(places.iter().all(|p| p.address != at(1) || p.good.is_none()), "{places:?}");
}

#[test]
fn links_to_envoys_are_exchanged_slowly_and_replaced() {
    let (mut peers, mut links) = (knows(Kind::Envoy, 2, 30), Links::new());
    settle(&mut peers, now(), &mut links, &nobody());
    let (mut met, mut hung_up) = (links.keys().copied().collect::<BTreeSet<_>>(), 0);
    let end = now().after(hours(4));
    let mut t = now();
    while t < end {
        let ours = links.keys().copied().collect();
        if let Some(key) = peers.rotate(t, &ours, &links, &nobody()) {
            assert_eq!(links.remove(&key), Some(Kind::Envoy), "bolts are kept");
            hung_up += 1;
        }
        settle(&mut peers, t, &mut links, &nobody());
        assert_eq!(links.len(), 6);
        met.extend(links.keys());
        t = peers.next_wake(t, &links, &nobody()).expect("the next exchange").min(t.after(mins(5)));
    }
    assert!((15..=48).contains(&hung_up), "{hung_up} in four hours");
    assert!(met.len() > 15, "{} peers met", met.len());
}

/// A hundred envoys that know one bolt: by peer exchange alone their links become one piece without the bolt.
#[test]
fn a_fleet_becomes_one_piece_by_peer_exchange() {
    const N: u32 = 100;
    let mut nodes: Vec<Peers> = (0..=N)
        .map(|n| {
            let kind = if n == 0 { Kind::Bolt } else { Kind::Envoy };
            let me = Me { key: key(n), kind, listens: true, addresses: vec![at(n)] };
            let mut peers = Peers::new(me, Book::default(), Dice::from_number(u64::from(n)));
            peers.learn(Source::Token, key(0), Kind::Bolt, vec![at(0)]);
            peers
        })
        .collect();
    let index: BTreeMap<PublicKey, usize> = (0..=N).map(|n| (key(n), n as usize)).collect();
    let mut links = vec![Links::new(); N as usize + 1];
    for round in 0..30u64 {
        let now = Time(secs(100 + round));
        for n in 0..nodes.len() {
            for dial in nodes[n].plan(now, &links[n].clone(), &nobody()) {
                let other = index[&dial.key];
                let kind = |i: usize| if i == 0 { Kind::Bolt } else { Kind::Envoy };
                nodes[n].connected(now, dial.key, kind(other), Dialer::Us);
                nodes[other].connected(now, key(n as u32), kind(n), Dialer::Them);
                // The greeting says where each listens.
                nodes[other].learn(Source::Itself, key(n as u32), kind(n), vec![at(n as u32)]);
                links[n].insert(dial.key, kind(other));
                links[other].insert(key(n as u32), kind(n));
            }
            let peers: Vec<usize> = links[n].keys().map(|k| index[k]).collect();
            if let Some(other) = Dice::from_number(round * 1_000 + n as u64).pick(&peers) {
                let hints = nodes[*other].sample(8);
                nodes[n].hear(&hints);
            }
        }
    }
    let (mut seen, mut todo) = (BTreeSet::from([1usize]), vec![1usize]);
    while let Some(n) = todo.pop() {
        todo.extend(links[n].keys().map(|k| index[k]).filter(|i| *i != 0 && seen.insert(*i)));
    }
    assert_eq!(seen.len(), N as usize, "without the bolt some cannot be reached");
}
