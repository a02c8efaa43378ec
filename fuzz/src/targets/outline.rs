//! Outlines of blobs, and an exchange that is told anything by its peers.

use std::collections::BTreeSet;

use vigo_base::{Dice, Hash, Machine as _, Outbox, limits};
use vigo_swarm::exchange::{Act, Exchange, FetchFailed, Input};
use vigo_swarm::frame::{Bytes, Have};
use vigo_swarm::ids::{ConnId, OpId};
use vigo_swarm::outline::{BlobRef, Outline};

use crate::Target;
use crate::feed::{Feed, Ink};
use crate::world::world;

pub const TARGET: Target = Target {
    name: "outline",
    about: "outlines, and an exchange of blobs whose peers answer with any outlines, have-maps and failures",
    run,
    seeds,
    longest: 4_096,
};

/// Steps of one exchange.
const MOST: usize = 64;

fn run(bytes: &[u8]) {
    let mut feed = Feed::new(bytes);
    match feed.below(2) {
        0 => read(feed.rest()),
        _ => exchange(&mut feed),
    }
}

fn read(bytes: &[u8]) {
    let Ok(outline) = Outline::decode(bytes) else { return };
    assert_eq!(outline.encode(), bytes, "one spelling of an outline");
    let blob = BlobRef { hash: Hash::of(b"?"), exchange: Hash::of(bytes), size: outline.size() };
    assert_eq!(Outline::decode_for(&blob, bytes), Ok(outline.clone()));
    assert_eq!(outline.offsets().count(), outline.chunks.len());
    let lied = BlobRef { size: blob.size ^ 1, ..blob };
    assert!(Outline::decode_for(&lied, bytes).is_err(), "a size that does not fit is refused");
}

/// The blobs that are wanted: one of a single chunk, one of three, one of which nobody has an outline.
fn blobs() -> [(BlobRef, Outline); 3] {
    let small = Outline::of_one_chunk(Hash::of(b"small"), 5);
    let chunk = |n: u8| (Hash::of(&[n]), limits::CHUNK_MIN as u32);
    let large = Outline { chunks: vec![chunk(1), chunk(2), (Hash::of(&[3]), 9)] };
    let of = |outline: &Outline, hash| BlobRef { hash, exchange: outline.exchange(), size: outline.size() };
    let lost = BlobRef { hash: Hash::of(b"lost"), exchange: Hash::of(b"nothing"), size: u64::MAX };
    let one = of(&small, Hash::of(b"small"));
    let two = of(&large, Hash::of(b"large"));
    [(one, small), (two, large), (lost, Outline::default())]
}

fn failure(feed: &mut Feed<'_>) -> FetchFailed {
    match feed.below(4) {
        0 => FetchFailed::BadContent,
        1 => FetchFailed::Refused("no".into()),
        2 => FetchFailed::Gone,
        _ => FetchFailed::Timeout,
    }
}

fn exchange(feed: &mut Feed<'_>) {
    let blobs = blobs();
    let mut exchange = Exchange::new(Dice::from_number(1), OpId(1));
    let (mut now, mut out) = (world().now, Outbox::new());
    let mut open: Vec<Act> = Vec::new();
    let everybody: BTreeSet<ConnId> = (0..4).map(ConnId).collect();
    exchange.handle(now, Input::Peers(everybody.clone()), &mut out);
    for _ in 0..MOST {
        if feed.is_empty() {
            break;
        }
        let (blob, outline) = feed.pick(&blobs).clone();
        let conn = ConnId(feed.below(6) as u64);
        let input = match feed.below(10) {
            0 => Input::Want(blob, feed.byte()),
            1 => Input::Unwant(blob.exchange),
            2 => Input::HaveLocal(blob),
            3 => Input::Resume(blob.exchange, Bytes::from(feed.run().to_vec())),
            4 => Input::PeerGone(conn),
            5 => {
                let have = match feed.below(4) {
                    0 => Have::None,
                    1 => Have::All,
                    _ => Have::Some(Bytes::from(feed.run().to_vec())),
                };
                Input::PeerHas { conn, exchange: blob.exchange, have }
            }
            6 => Input::Peers(everybody.iter().copied().filter(|c| c.0 <= conn.0).collect()),
            7 => {
                now = now.after(feed.number() % 1_000_000_000);
                exchange.wake(now, &mut out);
                continue;
            }
            _ => match answer(feed, &mut open, outline) {
                Some(input) => input,
                None => continue,
            },
        };
        exchange.handle(now, input, &mut out);
        open.extend(out.drain().filter(|act| !matches!(act, Act::AskWho { .. })));
        open.truncate(256);
    }
    let (blobs, ..) = exchange.load();
    assert!(blobs <= limits::OPEN_EXCHANGES);
}

/// An answer to one of the effects under way: as it should be, or not.
fn answer(feed: &mut Feed<'_>, open: &mut Vec<Act>, outline: Outline) -> Option<Input> {
    if open.is_empty() {
        return None;
    }
    let act = open.remove(feed.below(open.len()));
    let fine = feed.below(3) != 0;
    Some(match act {
        Act::FetchOutline { op, .. } => {
            let outline = if fine { Ok(outline) } else { Err(failure(feed)) };
            let held = (feed.below(3) == 0).then(|| Bytes::from(feed.run().to_vec()));
            Input::Outline { op, outline, held }
        }
        Act::FetchChunk { op, .. } => Input::Chunk(op, if fine { Ok(()) } else { Err(failure(feed)) }),
        Act::Finish { op, .. } => Input::Finished(op, if fine { Ok(()) } else { Err(failure(feed)) }),
        _ => return None,
    })
}

fn seeds() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (_, outline) in blobs() {
        all.push(Ink::new().byte(0).raw(&outline.encode()).done());
    }
    let chunks = (0..40u8).map(|n| (Hash::of(&[n]), limits::CHUNK_MAX as u32)).collect();
    all.push(Ink::new().byte(0).raw(&Outline { chunks }.encode()).done());
    for blob in 0..3 {
        let want = [blob, 0, 0, 9];
        let has = [blob, 1, 5, 1, blob, 2, 5, 2, 0, 1, 3];
        let fine = [blob, 0, 8, 0, 1];
        all.push(Ink::new().byte(1).raw(&want).raw(&has).raw(&fine.repeat(6)).raw(&[0, 0, 7, 90]).done());
    }
    all
}
