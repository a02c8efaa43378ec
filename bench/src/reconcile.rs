//! Reconciliation: what it costs two peers to find out what differs.
//!
//! The machine that nodes run is led through one whole comparison of two sets of keys, by what it chooses, frames encoded as
//! they travel, with those that ask for what is missing (`vigo_swarm::sync::bill`); the reference is the
//! bare negentropy library over the same two sets, without frames and without a bound on messages. Bytes and round trips
//! repeat; times do not. Records themselves are not moved.

use std::sync::Arc;

use negentropy::{Id, Negentropy, NegentropyStorageVector};
use vigo_base::{Hash, codec};
use vigo_crdt::Space;
use vigo_crdt::reconcile::Sealed;
use vigo_crdt::sketch::Salt;
use vigo_swarm::frame::{Digest, Frame};
use vigo_swarm::sync::bill;
use vigo_swarm::sync::bill::Answerer;

use crate::measure::in_turn;
use crate::{Better, Broken, Figure, Measured, Size};

/// What the reference is.
const ALONE: &str = "negentropy alone";

type Item = (u64, Hash);

/// How a set differs from the whole one: which of its items it lacks.
struct Case {
    name: &'static str,
    lacks: fn(usize, usize) -> bool,
    differ: fn(usize) -> usize,
    /// Bytes, at a million.
    target: Option<f64>,
}

const CASES: [Case; 3] = [
    Case { name: "one", lacks: |n, size| n == size / 3, differ: |_| 1, target: Some(2_500.0) },
    Case { name: "1000_newest", lacks: |n, size| n >= size - few(size), differ: few, target: Some(40_000.0) },
    Case {
        name: "1000_scattered",
        lacks: |n, size| n % (size / few(size)) == 7,
        differ: few,
        target: Some(64_000.0),
    },
];

/// A thousand, or fewer of a small set.
fn few(size: usize) -> usize {
    (size / 10).clamp(1, 1_000)
}

/// Bytes, round trips and times of comparisons.
///
/// # Errors
/// [`Broken`] if a difference is not found.
pub fn figures(size: Size) -> Measured {
    let mut figures = vec![equal(size)?];
    for count in size.of(vec![100_000, 1_000_000], vec![200]) {
        let all: Vec<Item> = (0..count as u64).map(|n| (n, Hash::of(&n.to_be_bytes()))).collect();
        figures.push(sealing(&all, size));
        let theirs = Side::of(&all)?;
        for case in &CASES {
            figures.extend(case.figures(&all, &theirs, size)?);
        }
    }
    Ok(figures)
}

/// One set as both implementations hold it.
struct Side {
    sealed: Arc<Sealed>,
    bare: NegentropyStorageVector,
}

impl Side {
    fn of(items: &[Item]) -> Result<Side, Broken> {
        Ok(Side { sealed: Arc::new(Sealed::of(items.iter().copied())), bare: bare(items)? })
    }
}

fn bare(items: &[Item]) -> Result<NegentropyStorageVector, Broken> {
    let mut storage = NegentropyStorageVector::new();
    for (order, key) in items {
        storage.insert(*order, Id::from_byte_array(key.0))?;
    }
    storage.seal()?;
    Ok(storage)
}

/// Equal sets: a digest each way is all, whatever their size.
fn equal(size: Size) -> Result<Figure, Broken> {
    let digest = Digest { space: Space::config(), digest: Hash::of(b"set") };
    let ping = codec::encode(&Frame::Ping(vec![digest])).len();
    let all: Vec<Item> = (0..size.of(100_000, 100u64)).map(|n| (n, Hash::of(&n.to_be_bytes()))).collect();
    let storage = bare(&all)?;
    let alone = compare_bare(&storage, &storage)?;
    Ok(Figure::new("reconcile.equal", ping as f64, "B", Better::Lower)
        .beside(alone.bytes as f64, ALONE)
        .wanted(64.0))
}

/// What a snapshot costs: made once after a change, whoever asks.
fn sealing(all: &[Item], size: Size) -> Figure {
    let (ours, alone) = in_turn(size.of(3, 1), || Sealed::of(all.iter().copied()), || bare(all).is_ok());
    Figure::new(format!("reconcile.snapshot.{}", all.len()), ours * 1e3, "ms", Better::Lower)
        .beside(alone * 1e3, ALONE)
}

impl Case {
    fn figures(&self, all: &[Item], theirs: &Side, size: Size) -> Measured {
        let kept: Vec<Item> = all
            .iter()
            .enumerate()
            .filter(|(n, _)| !(self.lacks)(*n, all.len()))
            .map(|(_, item)| *item)
            .collect();
        let ours = Side::of(&kept)?;
        // Asked before, as nodes are: the other side has its sketch.
        let mut answers = Answerer::new(theirs.sealed.clone(), Salt([7; 16]));
        let (found, alone) = (Talk::between(&ours, &mut answers), compare_bare(&ours.bare, &theirs.bare)?);
        let differ = (self.differ)(all.len());
        if found.differed != differ || alone.differed != differ || all.len() - kept.len() != differ {
            return Err(Broken(format!(
                "{} and {} of {differ} differences were found",
                found.differed, alone.differed
            )));
        }
        let rounds = size.of(5, 1);
        let (took, bare_took) = in_turn(
            rounds,
            || Talk::between(&ours, &mut answers),
            || compare_bare(&ours.bare, &theirs.bare).is_ok(),
        );
        let name = |what: &str| format!("reconcile.{}.{}.{what}", self.name, all.len());
        let bytes = Figure::new(name("bytes"), found.bytes as f64, "B", Better::Lower)
            .beside(alone.bytes as f64, ALONE);
        let target = self.target.filter(|_| all.len() == 1_000_000);
        Ok(vec![
            target.into_iter().fold(bytes, Figure::wanted),
            Figure::new(name("round_trips"), found.trips as f64, "", Better::Lower)
                .beside(alone.trips as f64, ALONE),
            Figure::new(name("time"), took * 1e3, "ms", Better::Lower).beside(bare_took * 1e3, ALONE),
        ])
    }
}

/// What a comparison came to.
#[derive(Debug, Default, Clone, Copy)]
struct Talk {
    bytes: usize,
    trips: usize,
    differed: usize,
}

impl Talk {
    /// One session of the machine that nodes run, from digests that differ to its end, with the frames that say what is wanted.
    fn between(ours: &Side, theirs: &mut Answerer) -> Talk {
        let bill = bill(&ours.sealed, theirs, true);
        Talk { bytes: bill.bytes(), trips: bill.trips as usize, differed: bill.have + bill.need }
    }
}

/// The library alone: no frames, no bound.
fn compare_bare(ours: &NegentropyStorageVector, theirs: &NegentropyStorageVector) -> Result<Talk, Broken> {
    let mut talk = Talk::default();
    let mut asks = Negentropy::borrowed(ours, 0)?;
    let mut message = Some(asks.initiate()?);
    while let Some(query) = message {
        let answer = Negentropy::borrowed(theirs, 0)?.reconcile(&query)?;
        talk.bytes += query.len() + answer.len();
        talk.trips += 1;
        let (mut have, mut need) = (Vec::new(), Vec::new());
        message = asks.reconcile_with_ids(&answer, &mut have, &mut need)?;
        talk.differed += have.len() + need.len();
    }
    Ok(talk)
}
