//! Whatever comes in, in whatever order: nothing panics, and every bound holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use vigo_base::{Dice, Hash, Machine, Outbox, SecretKey, Time, limits};
use vigo_crdt::Space;
use vigo_crdt::reconcile::Sealed;
use vigo_crdt::sketch::{Salt, Short, Sketch};
use vigo_swarm::exchange::{Act, Exchange, FetchFailed, Input};
use vigo_swarm::frame::{Bytes, Have, Hint};
use vigo_swarm::ids::{ConnId, OpId};
use vigo_swarm::outline::{BlobRef, Outline};
use vigo_swarm::peers::{Book, DIALS, Dialer, Kind, Me, Peers, Source};
use vigo_swarm::sync;

/// A blob of `n` chunks; every third reference lies about its size.
fn blob(n: u8) -> (BlobRef, Outline) {
    let hash = Hash::of(&[n]);
    let chunks = u32::from(n % 40);
    let outline = match chunks {
        1 => Outline::of_one_chunk(hash, 100),
        _ => Outline { chunks: (0..chunks).map(|i| (Hash::of(&[n, i as u8]), 65_536)).collect() },
    };
    let size = outline.size() + u64::from(n.is_multiple_of(3));
    (BlobRef { hash, exchange: outline.exchange(), size }, outline)
}

fn failure() -> impl Strategy<Value = FetchFailed> {
    prop_oneof![
        Just(FetchFailed::BadContent),
        Just(FetchFailed::Refused("no".into())),
        Just(FetchFailed::Gone),
        Just(FetchFailed::Timeout),
        Just(FetchFailed::Local("disk full".into())),
    ]
}

fn have() -> impl Strategy<Value = Have> {
    prop_oneof![
        Just(Have::None),
        Just(Have::All),
        Just(Have::All),
        proptest::collection::vec(any::<u8>(), 0..8).prop_map(|bytes| Have::Some(Bytes::from(bytes))),
        Just(Have::Some(Bytes::from(vec![0xff; 200_000]))),
    ]
}

/// One thing that happens: an input, or an answer to the effect that was begun so many effects ago.
#[derive(Debug, Clone)]
enum Step {
    Input(Input),
    Answer(u8, Result<(), FetchFailed>),
    Pass(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let conn = || (0u64..6).prop_map(ConnId);
    let input = prop_oneof![
        4 => (any::<u8>(), any::<u8>()).prop_map(|(n, p)| Input::Want(blob(n).0, p)),
        1 => any::<u8>().prop_map(|n| Input::Unwant(blob(n).0.exchange)),
        1 => any::<u8>().prop_map(|n| Input::HaveLocal(blob(n).0)),
        1 => (any::<u8>(), any::<Vec<u8>>()).prop_map(|(n, b)| Input::Resume(blob(n).0.exchange, Bytes::from(b))),
        2 => proptest::collection::btree_set(conn(), 0..6).prop_map(Input::Peers),
        1 => conn().prop_map(Input::PeerGone),
        8 => (conn(), any::<u8>(), have())
            .prop_map(|(conn, n, have)| Input::PeerHas { conn, exchange: blob(n).0.exchange, have }),
        1 => (any::<u64>(), failure()).prop_map(|(op, f)| Input::Chunk(OpId(op % 300), Err(f))),
        1 => (any::<u64>(), any::<u8>()).prop_map(|(op, n)| Input::Outline {
            op: OpId(op % 300),
            outline: Ok(blob(n).1),
            held: None,
        }),
        1 => any::<u64>().prop_map(|op| Input::Finished(OpId(op % 300), Err(FetchFailed::BadContent))),
    ];
    let result = prop_oneof![3 => Just(Ok(())), 1 => failure().prop_map(Err)];
    prop_oneof![
        3 => input.prop_map(Step::Input),
        3 => (any::<u8>(), result).prop_map(|(n, r)| Step::Answer(n, r)),
        1 => (0u32..40_000_000).prop_map(Step::Pass),
    ]
}

/// Runs the steps; the answers to effects are made from what was asked.
fn run(steps: &[Step]) -> Vec<Act> {
    let mut exchange = Exchange::new(Dice::from_number(1), OpId(1));
    let (mut now, mut acts): (Time, Vec<Act>) = (Time(1), Vec::new());
    let mut per_peer: BTreeMap<ConnId, BTreeSet<OpId>> = BTreeMap::new();
    for step in steps {
        let mut out = Outbox::new();
        let input = match step {
            Step::Input(input) => Some(input.clone()),
            Step::Pass(micros) => {
                now = now.after(u64::from(*micros));
                None
            }
            Step::Answer(back, result) => {
                let at = acts.len().checked_sub(1 + usize::from(*back) % acts.len().max(1));
                at.and_then(|at| answer(&acts[at], result.clone()))
            }
        };
        if let Some(Input::Chunk(op, _) | Input::Outline { op, .. }) = &input {
            per_peer.values_mut().for_each(|ops| _ = ops.remove(op));
        }
        match input {
            Some(input) => exchange.handle(now, input, &mut out),
            None => exchange.wake(now, &mut out),
        }
        for act in out.drain() {
            match &act {
                Act::FetchChunk { op, conn, .. } | Act::FetchOutline { op, conn, .. } => {
                    per_peer.entry(*conn).or_default().insert(*op);
                }
                Act::Cancel(op) => per_peer.values_mut().for_each(|ops| _ = ops.remove(op)),
                _ => {}
            }
            acts.push(act);
        }
        assert!(per_peer.values().all(|ops| ops.len() <= limits::CHUNKS_IN_FLIGHT), "{per_peer:?}");
        assert!(exchange.load().0 <= limits::OPEN_EXCHANGES);
        assert!(exchange.next_wake().is_none_or(|at| at > now), "it wants to be woken in the past");
        // Waking it early changes nothing that can be seen.
        let load = exchange.load();
        exchange.wake(now, &mut out);
        assert!(out.is_empty() && exchange.load() == load, "not idempotent: {:?}", out.as_slice());
    }
    acts
}

fn answer(act: &Act, result: Result<(), FetchFailed>) -> Option<Input> {
    match act {
        Act::AskWho { conn, exchange } => {
            Some(Input::PeerHas { conn: *conn, exchange: *exchange, have: Have::All })
        }
        Act::FetchOutline { op, blob: wanted, .. } => {
            let outline = (0..=u8::MAX).map(blob).find(|(b, _)| b.hash == wanted.hash).map(|(_, o)| o)?;
            Some(Input::Outline { op: *op, outline: result.map(|()| outline), held: None })
        }
        Act::FetchChunk { op, .. } => Some(Input::Chunk(*op, result)),
        Act::Finish { op, .. } => Some(Input::Finished(*op, result)),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_inputs_breaks_an_exchange(steps in proptest::collection::vec(step(), 0..200)) {
        prop_assert_eq!(run(&steps), run(&steps));
    }

    #[test]
    fn no_sequence_of_inputs_breaks_the_comparing(
        steps in proptest::collection::vec((0u8..8, 0u64..12, any::<bool>(), 0u64..20_000_000), 0..200),
        noise in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let sealed = Arc::new(Sealed::of((0..50u64).map(|n| (n, Hash::of(&n.to_be_bytes())))));
        let (mut machine, mut now, mut out) = (sync::Reconciler::new(Dice::from_number(1)), Time(1), Outbox::new());
        let spaces = vec![Space::config(), Space::settings(), Space::config()];
        for (what, conn, flag, micros) in steps {
            let (conn, space) = (ConnId(conn), if flag { Space::config() } else { Space::settings() });
            let (ours, theirs) = (Hash::of(b"a"), Hash::of(if flag { b"a" } else { b"b" }));
            let input = match what {
                0 => sync::Input::Up { conn, leads: flag, sketches: micros % 4 > 0, spaces: spaces.clone() },
                1 => sync::Input::Gone(conn),
                2 => sync::Input::Digest { conn, space, theirs, ours },
                3 => sync::Input::Sealed(conn, space, sealed.clone()),
                4 if flag => sync::Input::Compared(conn, space, noise.clone()),
                4 => sync::Input::Compared(conn, space, sealed.answer(&sealed.open().unwrap()).unwrap()),
                5 if flag => sync::Input::Sketched(conn, space, noise.clone()),
                // Of a set that differs by little or much, and longer than asked for now and then.
                5 | 6 => {
                    let other = Sketch::of(Salt::default(), 80, (0..micros % 100).map(Short));
                    sync::Input::Sketched(conn, space, other.encode((micros % 70) as usize))
                }
                _ => {
                    now = now.after(micros);
                    machine.wake(now, &mut out);
                    continue;
                }
            };
            machine.handle(now, input, &mut out);
            let (pairs, busy, line) = machine.load();
            prop_assert!(busy <= sync::SESSIONS && pairs <= 24 && busy + line <= pairs);
            prop_assert_eq!(machine.next_wake().is_some(), pairs > 0);
        }
    }

    #[test]
    fn no_sequence_of_inputs_breaks_the_view(
        steps in proptest::collection::vec((0u8..8, 0u8..40, any::<bool>(), 0u64..90_000_000), 0..150),
    ) {
        let keys: Vec<_> = (0..40).map(|n| SecretKey::from_seed([n + 1; 32]).public()).collect();
        let me = Me { key: keys[0], kind: Kind::Envoy, listens: true, addresses: Vec::new() };
        let mut peers = Peers::new(me, Book::default(), Dice::from_number(1));
        let (mut now, mut links, mut dialing) = (Time(1), BTreeMap::new(), BTreeSet::new());
        for (what, who, flag, micros) in steps {
            let (key, kind) = (keys[usize::from(who)], if flag { Kind::Bolt } else { Kind::Envoy });
            let address = format!("10.0.{}.{who}:1531", micros % 20);
            match what {
                0 => peers.learn(Source::File, key, kind, vec![address.parse().unwrap()]),
                1 => peers.hear(&[Hint { key, addresses: vec![address], bolt: flag }]),
                2 => {
                    peers.connected(now, key, kind, if flag { Dialer::Us } else { Dialer::Them });
                    links.insert(key, kind);
                }
                3 => {
                    peers.failed(now, &key);
                    dialing.remove(&key);
                }
                4 => {
                    links.remove(&key);
                    peers.lost(now, &key);
                }
                5 => peers.urgent(now, &key),
                6 => peers.forget(&key),
                _ => now = now.after(micros),
            }
            for dial in peers.plan(now, &links, &BTreeSet::from([key])) {
                prop_assert!(dial.key != keys[0] && !links.contains_key(&dial.key));
                dialing.insert(dial.key);
            }
            prop_assert!(peers.sample(100).len() <= 32);
            prop_assert!(peers.next_wake(now, &links, &BTreeSet::new()).is_none_or(|at| at > now));
            prop_assert!(peers.book().iter().all(|(_, e)| e.places.len() <= limits::ADDRESSES));
            prop_assert_eq!(Book::decode(&peers.book().encode()).unwrap().len(), peers.book().len());
            prop_assert!(peers.plan(now, &links, &BTreeSet::new()).len() <= DIALS);
        }
    }
}
