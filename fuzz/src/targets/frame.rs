//! Frames and bulk requests of the peer channel, and the have-maps in them.

use vigo_base::{Hash, Signature, Time, limits};
use vigo_crdt::Space;
use vigo_swarm::bitmap::Bitmap;
use vigo_swarm::deframer::{BadFrame, Deframer};
use vigo_swarm::frame::{
    AskToJoin, Bulk, Bytes, Digest, Enrol, Farewell, Frame, Goodbye, Have, Head, Hello, Hint, JoinAnswer,
    VERSION,
};

use crate::Target;
use crate::feed::{Feed, Ink};
use crate::world::world;

pub const TARGET: Target = Target {
    name: "frame",
    about: "streams cut into frames; frames, bulk requests and have-maps: one spelling of each",
    run,
    seeds,
    longest: 4_096,
};

fn run(bytes: &[u8]) {
    let mut feed = Feed::new(bytes);
    match feed.below(4) {
        0 => {
            let bytes = feed.rest();
            if let Ok(frame) = Frame::decode(bytes) {
                assert_eq!(frame.encode(), bytes, "one spelling of a frame");
                assert!(!frame.name().is_empty());
            }
        }
        1 => {
            let bytes = feed.rest();
            if let Ok(bulk) = Bulk::decode(bytes) {
                assert_eq!(bulk.encode(), bytes, "one spelling of a request");
                if let Bulk::Outline(blob) = bulk {
                    blob.derived_outline();
                }
            }
        }
        2 => map(&mut feed),
        _ => stream(&mut feed),
    }
}

/// A stream in pieces of any sizes gives the frames that it gives in one piece.
fn stream(feed: &mut Feed<'_>) {
    let limit = [16, 300, limits::FRAME_BYTES][feed.below(3)];
    let sizes = feed.run();
    let bytes = feed.rest();
    let mut whole = Deframer::new(limit);
    let one = cut(&mut whole, &mut [bytes].into_iter());
    let mut left = bytes;
    let mut pieces = sizes.iter().map(|size| {
        let (piece, rest) = left.split_at(usize::from(*size).min(left.len()));
        left = rest;
        piece
    });
    let mut deframer = Deframer::new(limit);
    let first = cut(&mut deframer, &mut pieces);
    let all = first.and_then(|mut frames| {
        frames.extend(cut(&mut deframer, &mut [left].into_iter())?);
        Ok(frames)
    });
    if let Ok(frames) = &one {
        assert!(frames.iter().all(|frame| !frame.is_empty() && frame.len() <= limit));
    }
    assert_eq!(all, one, "where a stream is cut decides something");
}

fn cut(deframer: &mut Deframer, pieces: &mut dyn Iterator<Item = &[u8]>) -> Result<Vec<Vec<u8>>, BadFrame> {
    let mut frames = Vec::new();
    for mut piece in pieces {
        while let Some(frame) = deframer.next(&mut piece)? {
            frames.push(frame);
        }
        assert!(piece.is_empty(), "it takes all that it is given");
    }
    Ok(frames)
}

fn map(feed: &mut Feed<'_>) {
    let len = feed.number() as u32;
    let changes = feed.run();
    let bytes = feed.rest();
    let Some(mut map) = Bitmap::from_bytes(bytes, len) else { return };
    assert_eq!(map.to_bytes(), bytes, "one spelling of a map");
    let listed: Vec<u32> = map.iter().collect();
    assert_eq!(listed.len() as u32, map.count());
    assert!(listed.iter().all(|index| map.has(*index) && *index < len));
    assert_eq!(map.is_full(), map == Bitmap::all(len));
    for index in changes {
        let before = map.count();
        let added = map.set(u32::from(*index));
        assert_eq!(map.count(), before + u32::from(added));
        map.clear(u32::from(index ^ 0x55));
    }
    assert!(map.iter().all(|index| index < len));
}

/// One frame of each kind, as a good peer sends it.
pub fn good() -> Vec<Frame> {
    let (world, id) = (world(), Hash::of(b"x"));
    let digests =
        vec![Digest { space: Space::config(), digest: id }, Digest { space: Space::status(), digest: id }];
    let hello = Hello {
        version: VERSION,
        papers: Bytes::from(world.peers[0].papers.clone()),
        addresses: vec!["10.0.0.2:1531".into()],
        digests: digests.clone(),
        your_heads: vec![Head { space: Space::config(), seq: 7, id }],
        gossip: Some(1530),
        features: 1,
    };
    let invite_key = crate::world::key(crate::world::INVITE).public();
    let name: vigo_base::Hostname = "web09".parse().expect("a name");
    let enrol = Enrol {
        spanner: world.spanner,
        invite_key,
        name: name.clone(),
        proof: Signature([7; 64]),
        bolt: false,
    };
    let record = world.disk.records.values().next().map(|r| r.to_vec()).unwrap_or_default();
    vec![
        Frame::Hello(hello),
        Frame::Goodbye(Goodbye {
            why: Farewell::Revoked,
            text: "gone".into(),
            proof: vec![Bytes::from(vec![1])],
        }),
        Frame::Ping(digests.clone()),
        Frame::Pong(digests),
        Frame::Compare(Space::config(), Bytes::from(vec![0x61, 0, 0, 1])),
        Frame::Compared(Space::config(), Bytes::from(vec![0x61])),
        Frame::Want(Space::admissions(), vec![id, world.ids[0]]),
        Frame::Push(vec![Bytes::from(record)]),
        Frame::PeersPlease,
        Frame::Peers(vec![Hint { key: world.keys[4], addresses: vec!["10.0.0.9:1531".into()], bolt: true }]),
        Frame::WhoHas(world.blob.exchange),
        Frame::Has(world.blob.exchange, Have::Some(Bytes::from(vec![1]))),
        Frame::Has(id, Have::None),
        Frame::Has(id, Have::All),
        Frame::Enrol(enrol),
        Frame::AskToJoin(AskToJoin { spanner: Some(world.spanner), name, bolt: true }),
        Frame::JoinAnswer(JoinAnswer::Admitted(world.spanner, Bytes::from(world.peers[0].papers.clone()))),
        Frame::JoinAnswer(JoinAnswer::Pending(world.spanner, "six words".into())),
        Frame::JoinAnswer(JoinAnswer::Refused("no".into())),
        Frame::Clock(Time(5)),
        Frame::Sketch(Space::admissions(), 64),
        Frame::Sketched(Space::config(), Bytes::from(vec![0; 29])),
        Frame::WantShort(Space::admissions(), Bytes::from(vec![7; 8])),
    ]
}

fn seeds() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> =
        good().into_iter().map(|frame| Ink::new().byte(0).raw(&frame.encode()).done()).collect();
    let blob = world().blob;
    for bulk in [Bulk::Outline(blob), Bulk::Chunk(blob.exchange, 70_000)] {
        all.push(Ink::new().byte(1).raw(&bulk.encode()).done());
    }
    for len in [0u32, 7, 64, 65, 200] {
        all.push(
            Ink::new().byte(2).number(u64::from(len)).run(&[1, 64]).raw(&Bitmap::all(len).to_bytes()).done(),
        );
    }
    all.push(
        Ink::new()
            .byte(3)
            .byte(1)
            .run(&[1, 2, 3, 9])
            .raw(&[0, 0, 0, 0, 0, 0, 0, 2, 7, 7, 0, 0, 1, 0, 9])
            .done(),
    );
    all
}
