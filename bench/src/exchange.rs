//! The exchange: what deciding costs, and how well a swarm shares.
//!
//! The scheduler is driven alone: peers answer at once, and no byte moves. It stands beside hashing the chunks it asks for, which
//! every fetch does anyway, and beside the least that could be called scheduling. Then a swarm of the stories of `swarm` is
//! run in virtual time, with capped uplinks: those figures repeat, and stand beside the ideal.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use vigo_base::time::mins;
use vigo_base::{Dice, Hash, Machine, Outbox, Time};
use vigo_swarm::exchange::{Act, Exchange, Input};
use vigo_swarm::frame::Have;
use vigo_swarm::ids::{ConnId, OpId};
use vigo_swarm::outline::{BlobRef, Outline};

use crate::measure::in_turn;
use crate::{Better, Broken, Figure, Measured, Size};

#[allow(dead_code, reason = "the stories use more of it")]
#[path = "../../swarm/tests/stories/world.rs"]
mod world;

use world::World;

/// Bytes of a chunk.
const CHUNK: u32 = 64 * 1024;
/// Who is asked.
const PEERS: u64 = 8;
/// An uplink of 200 Mbit/s, in bytes.
const UPLINK: u64 = 25_000_000;

/// Chunks decided in a second, and what a swarm uploads.
///
/// # Errors
/// [`Broken`] if a blob does not arrive.
pub fn figures(size: Size) -> Measured {
    let mut figures = scheduler(size)?;
    figures.extend(swarm("8_peers", (9, size.of(16_384, 32)), Some((1.3, 1.25)))?);
    figures.extend(swarm("100_peers", (size.of(101, 12), size.of(1_024, 32)), None)?);
    Ok(figures)
}

/// A blob of so many chunks, with its outline.
fn blob(chunks: u32) -> (BlobRef, Outline) {
    let chunks = (0..chunks).map(|n| (Hash::of(&n.to_be_bytes()), CHUNK)).collect();
    let outline = Outline { chunks };
    (BlobRef { hash: Hash::of(b"blob"), exchange: outline.exchange(), size: outline.size() }, outline)
}

fn scheduler(size: Size) -> Measured {
    let (blob, outline) = blob(size.of(16_384, 64));
    let count = outline.chunks.len();
    if fetch(&blob, &outline) != Some(count) {
        return Err(Broken(format!("a blob of {count} chunks was not fetched chunk by chunk")));
    }
    let (ours, plain) = in_turn(size.of(7, 1), || fetch(&blob, &outline), || plainly(count));
    let bytes = vec![7; CHUNK as usize];
    let some = size.of(1_024, 2);
    let hashing = || (0..some).map(|_| usize::from(Hash::of(&bytes).0[0])).sum::<usize>();
    let (hashed, _) = in_turn(size.of(7, 1), hashing, || ());
    let rate = |seconds: f64| count as f64 / seconds;
    Ok(vec![
        Figure::new("exchange.scheduled", rate(ours), "chunks/s", Better::Higher)
            .beside(some as f64 / hashed, "SHA-256 of a chunk of 64 KiB"),
        Figure::new("exchange.scheduled_beside_a_loop", rate(ours), "chunks/s", Better::Higher)
            .beside(rate(plain), "a loop over the chunks in order, peers in turn"),
    ])
}

/// Fetches the blob from peers that have all of it and answer in the order in which they were asked; how many chunks came.
fn fetch(blob: &BlobRef, outline: &Outline) -> Option<usize> {
    let (mut exchange, mut out) = (Exchange::new(Dice::from_number(1), OpId(1)), Outbox::new());
    let (mut now, mut chunks) = (Time(1_000_000), 0);
    let mut due: VecDeque<Input> =
        [Input::Peers((0..PEERS).map(ConnId).collect::<BTreeSet<_>>()), Input::Want(*blob, 1)].into();
    while let Some(input) = due.pop_front() {
        chunks += usize::from(matches!(input, Input::Chunk(..)));
        now = now.after(20);
        exchange.handle(now, input, &mut out);
        for act in out.drain() {
            match act {
                Act::AskWho { conn, exchange } => {
                    due.push_back(Input::PeerHas { conn, exchange, have: Have::All })
                }
                Act::FetchOutline { op, .. } => {
                    due.push_back(Input::Outline { op, outline: Ok(outline.clone()), held: None });
                }
                Act::FetchChunk { op, .. } => due.push_back(Input::Chunk(op, Ok(()))),
                Act::Finish { op, .. } => due.push_back(Input::Finished(op, Ok(()))),
                Act::Got(_) => return Some(chunks),
                Act::Cancel(_) => {}
                Act::Blame(..) | Act::Stuck(..) => return None,
            }
        }
    }
    None
}

/// The least: chunks in order, peers in turn, sixteen on their way to each, an entry for each that is.
fn plainly(count: usize) -> usize {
    let (mut ops, mut next, mut got) = (BTreeMap::new(), 0, 0);
    while got < count {
        while next < count && ops.len() < 16 * PEERS as usize {
            ops.insert(next as u64, next % PEERS as usize);
            next += 1;
        }
        got += usize::from(ops.pop_first().is_some());
    }
    got
}

/// One seeder, everybody else fetches: in virtual time.
fn swarm(name: &str, (nodes, chunks): (usize, u32), targets: Option<(f64, f64)>) -> Measured {
    let mut world = World::new(nodes, 1, UPLINK);
    let blob = world.blob("image", chunks);
    world.gives(0, &blob);
    (1..nodes).for_each(|node| world.wants(node, &blob));
    let took = world.run(mins(60), |world| world.all_have(1..nodes, &blob));
    if !world.all_have(1..nodes, &blob) {
        return Err(Broken(format!("not everybody has the blob after {took} virtual microseconds")));
    }
    let alone = blob.size as f64 / UPLINK as f64;
    let seconds = |micros: u64| micros as f64 / 1e6;
    let mut done: Vec<u64> =
        world.nodes[1..].iter().flat_map(|n| n.done.values()).map(|at| at.0 - 1_000_000).collect();
    done.sort_unstable();
    let at = |percent: usize| seconds(done[(done.len() * percent).div_ceil(100).max(1) - 1]);
    let wanted = |figure: Figure, target: Option<f64>| target.into_iter().fold(figure, Figure::wanted);
    let uploaded = world.nodes[0].uploaded as f64 / blob.size as f64;
    let got: u64 = world.nodes.iter().map(|node| node.chunks_got).sum();
    let needed = f64::from(chunks) * (nodes - 1) as f64;
    let (cap, times) = ("one upload at the cap", |seconds: f64| seconds / alone);
    Ok(vec![
        wanted(
            Figure::new(format!("exchange.{name}.origin_uploads"), uploaded, "x blob", Better::Lower)
                .beside(1.0, "the blob once"),
            targets.map(|(origin, _)| origin),
        ),
        wanted(
            Figure::new(format!("exchange.{name}.time"), times(seconds(took)), "x size/cap", Better::Lower)
                .beside(1.0, cap),
            targets.map(|(_, time)| time),
        ),
        Figure::new(format!("exchange.{name}.p50"), times(at(50)), "x size/cap", Better::Lower)
            .beside(1.0, cap),
        Figure::new(format!("exchange.{name}.p99"), times(at(99)), "x size/cap", Better::Lower)
            .beside(1.0, cap),
        Figure::new(format!("exchange.{name}.chunks_moved"), got as f64, "chunks", Better::Lower)
            .beside(needed, "each chunk once to each"),
    ])
}
