//! One blob being fetched: what is held, what is asked for, what is still to be asked, and who has it.
//!
//! It chooses a chunk, never a peer, and sends nothing. Invariant: every chunk is exactly one of held, in
//! `want` (nobody was asked for it), or in `flying` (one or two were).

use std::collections::{BTreeMap, BTreeSet};

use vigo_base::time::{Micros, secs};
use vigo_base::{Dice, Time};

use super::share::{Holding, Share};
use crate::bitmap::{Bitmap, MAX_CHUNKS};
use crate::frame::Bytes;
use crate::ids::{ConnId, OpId};
use crate::outline::{BadOutline, BlobRef, Outline};

/// Candidates looked at for one choice: in a blob of many chunks the rarest of a random sample is taken.
const SAMPLE: usize = 2048;
/// Wrong answers from one peer before it is asked nothing more about this blob.
pub(super) const BAD: u8 = 2;
/// The first and the longest time without progress before the caller hears of it.
const STUCK: (Micros, Micros) = (secs(5), secs(60));

/// How far a fetch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The outline is wanted; asked for by this effect.
    Outline(Option<OpId>),
    /// Chunks are wanted.
    Chunks,
    /// All chunks are held; being put together by this effect.
    Finish(Option<OpId>),
}

/// Why an outline was not taken.
#[derive(Debug)]
pub(super) enum BadStart {
    /// It is not the one that was asked for.
    NotIt,
    /// It is, and contradicts the reference.
    Contradiction(String),
}

#[derive(Debug)]
pub(super) struct Fetch {
    pub(super) blob: BlobRef,
    pub(super) priority: u8,
    pub(super) seq: u64,
    pub(super) phase: Phase,
    pub(super) outline: Outline,
    pub(super) held: Bitmap,
    /// What is said to be held, before the outline tells what the bits mean.
    pub(super) early: Option<Bytes>,
    pub(super) want: Bitmap,
    pub(super) flying: BTreeMap<u32, Vec<OpId>>,
    pub(super) shares: BTreeMap<ConnId, Share>,
    /// Peers that had nothing and gave up their place.
    pub(super) tried: BTreeSet<ConnId>,
    pub(super) retry: Time,
    /// Wrong answers, by peer.
    pub(super) bad: BTreeMap<ConnId, u8>,
    /// Nothing is asked before.
    pub(super) paused: Time,
    pub(super) local_failures: u32,
    pub(super) restarted: bool,
    pub(super) complain: Time,
    patience: Micros,
    missing: u32,
    /// How many peers' maps have each chunk (those that have all are not counted).
    rare: Vec<u16>,
}

impl Fetch {
    pub(super) fn new(now: Time, blob: BlobRef, priority: u8, seq: u64) -> Fetch {
        Fetch {
            blob,
            priority,
            seq,
            phase: Phase::Outline(None),
            outline: Outline::default(),
            held: Bitmap::default(),
            early: None,
            want: Bitmap::default(),
            flying: BTreeMap::new(),
            shares: BTreeMap::new(),
            tried: BTreeSet::new(),
            retry: now,
            bad: BTreeMap::new(),
            paused: Time(0),
            local_failures: 0,
            restarted: false,
            complain: now.after(STUCK.0),
            patience: STUCK.0,
            missing: 0,
            rare: Vec::new(),
        }
    }

    /// Begins with the chunks, if this is the outline that the blob names. If not, nothing has changed.
    pub(super) fn begin(&mut self, outline: Outline) -> Result<(), BadStart> {
        outline.check(&self.blob).map_err(|bad| match bad {
            BadOutline::Exchange { .. } => BadStart::NotIt,
            other => BadStart::Contradiction(other.to_string()),
        })?;
        let found = outline.chunks.len();
        let Some(chunks) = u32::try_from(found).ok().filter(|n| *n <= MAX_CHUNKS) else {
            return Err(BadStart::Contradiction(format!("{found} chunks, where {MAX_CHUNKS} are possible")));
        };
        self.outline = outline;
        self.phase = Phase::Chunks;
        self.held = Bitmap::none(chunks);
        self.want = Bitmap::all(chunks);
        self.missing = chunks;
        self.rare = vec![0; chunks as usize];
        for share in self.shares.values_mut() {
            share.outline_known(chunks);
        }
        for share in self.shares.values() {
            if let Holding::Map(map) = &share.holding {
                map.iter().for_each(|i| self.rare[i as usize] = self.rare[i as usize].saturating_add(1));
            }
        }
        if let Some(map) = self.early.take().and_then(|bytes| Bitmap::from_bytes(&bytes, chunks)) {
            self.resume(&map);
        }
        Ok(())
    }

    /// Whether the outline is known.
    pub(super) fn knows_outline(&self) -> bool {
        !matches!(self.phase, Phase::Outline(_))
    }

    /// How many chunks there are, once that is known.
    pub(super) fn chunks(&self) -> Option<u32> {
        self.knows_outline().then(|| self.held.len())
    }

    /// Whether every chunk is held.
    pub(super) fn is_whole(&self) -> bool {
        self.knows_outline() && self.missing == 0
    }

    /// Chunks not held.
    pub(super) fn missing(&self) -> u32 {
        self.missing
    }

    /// These chunks are here already; those being fetched are left to come.
    pub(super) fn resume(&mut self, map: &Bitmap) {
        for index in map.iter() {
            if self.want.clear(index) && self.held.set(index) {
                self.missing = self.missing.saturating_sub(1);
            }
        }
    }

    /// `index` came. The effects that asked for it and have not answered are no longer of interest.
    pub(super) fn got(&mut self, now: Time, index: u32) -> Vec<OpId> {
        self.want.clear(index);
        if self.held.set(index) {
            self.missing = self.missing.saturating_sub(1);
        }
        self.progressed(now);
        let bad = &self.bad;
        let slow = self.shares.iter_mut().filter(|(conn, s)| !s.useful && !bad.contains_key(conn));
        slow.for_each(|(_, share)| share.hurry(now));
        self.flying.remove(&index).unwrap_or_default()
    }

    /// Something moved: the caller need not hear of it being stuck for a while.
    pub(super) fn progressed(&mut self, now: Time) {
        self.patience = STUCK.0;
        self.complain = now.after(self.patience);
    }

    /// The caller was told that nothing moves; next time it waits longer.
    pub(super) fn complained(&mut self, now: Time) {
        self.patience = (self.patience * 2).min(STUCK.1);
        self.complain = now.after(self.patience);
    }

    /// `op` will not bring `index`: if nobody else was asked, it must be asked again.
    pub(super) fn lost(&mut self, index: u32, op: OpId) {
        let Some(ops) = self.flying.get_mut(&index) else { return };
        ops.retain(|o| *o != op);
        if ops.is_empty() {
            self.flying.remove(&index);
            self.want.set(index);
            self.shares.values_mut().filter(|s| s.has(index)).for_each(|s| s.useful = true);
        }
    }

    /// Everything is to be fetched again.
    pub(super) fn restart(&mut self) {
        let chunks = self.held.len();
        (self.held, self.want) = (Bitmap::none(chunks), Bitmap::all(chunks));
        self.missing = chunks;
        self.phase = Phase::Chunks;
        self.restarted = true;
        self.shares.values_mut().for_each(|s| s.useful = s.has_some());
    }

    /// `conn` said what it has.
    pub(super) fn hear(&mut self, now: Time, conn: ConnId, have: crate::frame::Have) {
        let chunks = self.chunks();
        let Some(share) = self.shares.get_mut(&conn) else { return };
        let was = share.holding.clone();
        share.hear(now, have, chunks);
        let is = share.holding.clone();
        if was != is {
            self.count(&was, false);
            self.count(&is, true);
        }
    }

    /// Forgets what `conn` has.
    pub(super) fn drop_share(&mut self, conn: ConnId) {
        if let Some(share) = self.shares.remove(&conn) {
            self.count(&share.holding, false);
        }
    }

    /// `conn` is wrong about what it has, wholly.
    pub(super) fn deny(&mut self, now: Time, conn: ConnId) {
        let Some(share) = self.shares.get_mut(&conn) else { return };
        let was = share.holding.clone();
        share.deny(now);
        self.count(&was, false);
    }

    /// `conn` does not have `index`, though it said so.
    pub(super) fn lacks(&mut self, now: Time, conn: ConnId, index: u32) {
        let Some(share) = self.shares.get_mut(&conn) else { return };
        let was = share.holding.clone();
        share.lacks(now, index);
        if matches!(share.holding, Holding::Nothing) {
            self.count(&was, false);
        }
    }

    fn count(&mut self, holding: &Holding, add: bool) {
        let Holding::Map(map) = holding else { return };
        for i in map.iter() {
            if let Some(n) = self.rare.get_mut(i as usize) {
                *n = if add { n.saturating_add(1) } else { n.saturating_sub(1) };
            }
        }
    }

    /// The rarest chunk that `conn` has and nobody was asked for; any of the rarest, at random.
    pub(super) fn pick(&mut self, conn: ConnId, dice: &mut Dice) -> Option<u32> {
        let share = self.shares.get_mut(&conn)?;
        if !share.useful {
            return None;
        }
        let map = match &share.holding {
            Holding::All => None,
            Holding::Map(map) => Some(map),
            _ => return None,
        };
        let from = dice.below(self.want.words() as u64) as usize;
        let (mut best, mut ties) = (None, 0u64);
        let candidates = self.want.common_from(map, from).filter(|i| !share.shun.contains(i));
        for index in candidates.take(SAMPLE) {
            let rarity = self.rare.get(index as usize).copied().unwrap_or(0);
            match best {
                Some((least, _)) if rarity > least => continue,
                Some((least, _)) if rarity == least => ties += 1,
                _ => ties = 1,
            }
            if dice.one_in(ties) {
                best = Some((rarity, index));
            }
        }
        share.useful = best.is_some();
        best.map(|(_, index)| index)
    }

    /// Asks for `index` by `op`.
    pub(super) fn flies(&mut self, index: u32, op: OpId) {
        self.want.clear(index);
        self.flying.entry(index).or_default().push(op);
    }

    /// Effects that are on the way for this blob.
    pub(super) fn ops(&self) -> Vec<OpId> {
        let own = match self.phase {
            Phase::Outline(op) | Phase::Finish(op) => op,
            Phase::Chunks => None,
        };
        own.into_iter().chain(self.flying.values().flatten().copied()).collect()
    }
}
