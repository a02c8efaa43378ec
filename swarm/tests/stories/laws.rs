//! What holds for any frame, map, outline, address and packet: one spelling, and nothing lost on the way.

use std::collections::BTreeSet;

use proptest::prelude::*;
use vigo_base::limits::{CHUNK_MAX, CHUNK_MIN, FRAME_BYTES};
use vigo_base::{Dice, Hash, PublicKey, SecretKey, Signature, SpannerId, Time};
use vigo_crdt::Space;
use vigo_swarm::beacon::{Claim, Packet, Probe};
use vigo_swarm::bitmap::Bitmap;
use vigo_swarm::frame::{
    AskToJoin, Bulk, Bytes, Digest, Enrol, Farewell, Frame, Goodbye, Have, Head, Hello, Hint, JoinAnswer,
};
use vigo_swarm::outline::{BlobRef, Cutter, Outline};
use vigo_swarm::peers::Address;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn many<T: std::fmt::Debug>(of: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
    prop::collection::vec(of, 0..4)
}

fn key() -> impl Strategy<Value = PublicKey> {
    any::<u8>().prop_map(|n| SecretKey::from_seed([n; 32]).public())
}

fn space() -> impl Strategy<Value = Space> {
    "[a-z0-9/-]{1,30}".prop_map(|name| name.parse().unwrap())
}

fn digest() -> impl Strategy<Value = Digest> {
    (space(), hash()).prop_map(|(space, digest)| Digest { space, digest })
}

fn hello() -> impl Strategy<Value = Frame> {
    let head = (space(), any::<u64>(), hash()).prop_map(|(space, seq, id)| Head { space, seq, id });
    let parts =
        (any::<u16>(), bytes(), many("[a-z0-9:.]{0,20}"), many(digest()), many(head), any::<Option<u16>>());
    (parts, any::<u64>()).prop_map(|((version, papers, addresses, digests, your_heads, gossip), features)| {
        Frame::Hello(Hello { version, papers, addresses, digests, your_heads, gossip, features })
    })
}

fn enrol() -> impl Strategy<Value = Frame> {
    let parts = (hash(), key(), "[a-z][a-z0-9]{0,9}", any::<[u8; 32]>(), any::<bool>());
    parts.prop_map(|(spanner, invite_key, name, half, bolt)| {
        let mut proof = Signature([7; 64]);
        proof.0[..32].copy_from_slice(&half);
        Frame::Enrol(Enrol {
            spanner: SpannerId(spanner),
            invite_key,
            name: name.parse().unwrap(),
            proof,
            bolt,
        })
    })
}

fn frame() -> impl Strategy<Value = Frame> {
    let why =
        prop::sample::select(vec![Farewell::Version, Farewell::Papers, Farewell::Revoked, Farewell::Denied]);
    let hint = (key(), many("[a-z0-9:.]{0,20}"), any::<bool>());
    let have = prop_oneof![Just(Have::None), Just(Have::All), bytes().prop_map(Have::Some)];
    let answer = prop_oneof![
        (hash(), bytes()).prop_map(|(spanner, papers)| JoinAnswer::Admitted(SpannerId(spanner), papers)),
        (hash(), ".{0,20}").prop_map(|(spanner, words)| JoinAnswer::Pending(SpannerId(spanner), words)),
        ".{0,20}".prop_map(JoinAnswer::Refused),
    ];
    let ask = (prop::option::of(hash()), "[a-z][a-z0-9]{0,9}", any::<bool>());
    prop_oneof![
        hello(),
        (why, ".{0,20}", many(bytes())).prop_map(|(why, text, proof)| Frame::Goodbye(Goodbye {
            why,
            text,
            proof
        })),
        many(digest()).prop_map(Frame::Ping),
        many(digest()).prop_map(Frame::Pong),
        (space(), bytes()).prop_map(|(space, message)| Frame::Compare(space, message)),
        (space(), bytes()).prop_map(|(space, message)| Frame::Compared(space, message)),
        (space(), many(hash())).prop_map(|(space, keys)| Frame::Want(space, keys)),
        many(bytes()).prop_map(Frame::Push),
        Just(Frame::PeersPlease),
        many(hint.prop_map(|(key, addresses, bolt)| Hint { key, addresses, bolt })).prop_map(Frame::Peers),
        hash().prop_map(Frame::WhoHas),
        (hash(), have).prop_map(|(blob, have)| Frame::Has(blob, have)),
        enrol(),
        ask.prop_map(|(spanner, name, bolt)| Frame::AskToJoin(AskToJoin {
            spanner: spanner.map(SpannerId),
            name: name.parse().unwrap(),
            bolt
        })),
        answer.prop_map(Frame::JoinAnswer),
        any::<u64>().prop_map(|at| Frame::Clock(Time(at))),
        (space(), any::<u32>()).prop_map(|(space, cells)| Frame::Sketch(space, cells)),
        (space(), bytes()).prop_map(|(space, sketch)| Frame::Sketched(space, sketch)),
        (space(), bytes()).prop_map(|(space, names)| Frame::WantShort(space, names)),
    ]
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn a_frame_comes_back_as_it_was(frame in frame(), at: prop::sample::Index, byte: u8) {
        let mut bytes = frame.encode();
        prop_assert_eq!(Frame::decode(&bytes), Ok(frame));
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(other) = Frame::decode(&bytes) {
            prop_assert_eq!(other.encode(), bytes);
        }
    }

    #[test]
    fn any_bytes_are_a_frame_canonically_or_not_at_all(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(frame) = Frame::decode(&bytes) {
            prop_assert_eq!(frame.encode(), &bytes[..]);
            prop_assert!(bytes.len() <= FRAME_BYTES);
        }
        if let Ok(bulk) = Bulk::decode(&bytes) {
            prop_assert_eq!(bulk.encode(), bytes);
        }
    }

    /// A map is a set of numbers below its bound.
    #[test]
    fn a_map_is_a_set(len in 0u32..300, steps in prop::collection::vec((any::<bool>(), 0u32..320), 0..80)) {
        let (mut map, mut set) = (Bitmap::none(len), BTreeSet::new());
        for (sets, n) in steps {
            match sets {
                true => prop_assert_eq!(map.set(n), n < len && set.insert(n)),
                false => prop_assert_eq!(map.clear(n), set.remove(&n)),
            }
        }
        prop_assert_eq!(map.iter().collect::<Vec<_>>(), set.iter().copied().collect::<Vec<_>>());
        prop_assert!((0..320).all(|n| map.has(n) == set.contains(&n)));
        prop_assert_eq!((map.len(), map.count() as usize, map.is_empty()), (len, set.len(), set.is_empty()));
        prop_assert_eq!(map.is_full(), set.len() == len as usize);
        prop_assert_eq!(Bitmap::from_bytes(&map.to_bytes(), len), Some(map.clone()));
        prop_assert_eq!(map == Bitmap::all(len), set.len() == len as usize);
    }

    #[test]
    fn any_bytes_are_one_map_or_none(len in 0u32..80, bytes in prop::collection::vec(any::<u8>(), 0..12)) {
        if let Some(map) = Bitmap::from_bytes(&bytes, len) {
            prop_assert_eq!(map.to_bytes(), bytes);
            prop_assert!(map.iter().all(|n| n < len));
        }
    }

    #[test]
    fn an_address_has_one_spelling(text in "[0-9a-f.:\\[\\]]{1,20}:[0-9]{1,5}|[a-z.-]{1,12}:[0-9]{1,6}") {
        if let Ok(address) = text.parse::<Address>() {
            prop_assert_eq!(address.as_str().parse::<Address>(), Ok(address.clone()));
            prop_assert!(!address.is_plausible() || address.literal().is_some());
        }
    }

    #[test]
    fn a_packet_is_believed_as_it_was_signed(seed: u8, fleet in prop::option::of(hash()), at: u64, nonce: u64, bit: prop::sample::Index) {
        let key = SecretKey::from_seed([seed; 32]);
        let probe = Packet::Probe(Probe { spanner: fleet.map(SpannerId), time: Time(at), nonce });
        let mut bytes = probe.clone().sign(&key);
        prop_assert_eq!(Claim::decode(&bytes).unwrap().verify(), Ok((key.public(), probe)));
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(Claim::decode(&bytes).map_or(true, |claim| claim.verify().is_err()));
    }
}

/// Bytes with stretches that repeat, as files have them.
fn file(seed: u64, size: usize) -> Vec<u8> {
    let mut dice = Dice::from_number(seed);
    let mut out = Vec::new();
    while out.len() < size {
        match dice.one_in(40) {
            true => out.extend(std::iter::repeat_n(dice.bits() as u8, 1 + dice.below(70_000) as usize)),
            false => out.extend((0..64).flat_map(|_| dice.bytes())),
        }
    }
    out.truncate(size);
    out
}

proptest! {
    #![proptest_config(config(10))]

    /// The chunks, one after another, are the blob; however it came in pieces, they are the same.
    #[test]
    fn chunks_put_together_are_the_blob(seed: u64, size in 0usize..1_200_000, cuts in prop::collection::vec(1usize..300_000, 1..12)) {
        let bytes = file(seed, size);
        let outline = Outline::of(&bytes);
        let mut whole = Vec::new();
        for ((hash, length), at) in outline.chunks.iter().zip(outline.offsets()) {
            prop_assert_eq!(at as usize, whole.len());
            let chunk = &bytes[whole.len()..whole.len() + *length as usize];
            prop_assert_eq!(Hash::of(chunk), *hash);
            whole.extend_from_slice(chunk);
        }
        prop_assert_eq!(&whole, &bytes);
        prop_assert!(outline.chunks.iter().all(|(_, length)| *length as usize <= CHUNK_MAX));
        prop_assert!(outline.chunks.iter().rev().skip(1).all(|(_, length)| *length as usize >= CHUNK_MIN));
        let mut cutter = Cutter::new();
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle().take_while(|_| true) {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(rest.len().min(*cut));
            cutter.update(piece);
            rest = after;
        }
        let (pieced, blob) = cutter.finish();
        prop_assert_eq!(&pieced, &outline);
        prop_assert_eq!(blob, BlobRef::of(&bytes));
        prop_assert_eq!(Outline::decode_for(&blob, &outline.encode()), Ok(outline.clone()));
        // A byte put in front moves every chunk, and leaves most of them as they were.
        let moved = Outline::of(&[&[1], &bytes[..]].concat());
        let names = |outline: &Outline| outline.chunks.iter().map(|(hash, _)| *hash).collect::<BTreeSet<Hash>>();
        let new = names(&moved).difference(&names(&outline)).count();
        prop_assert!(new <= 12, "{new} of {} chunks are new", moved.chunks.len());
    }
}
