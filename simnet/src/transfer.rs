//! Blobs on their way from node to node, and what a machine does with its own.
//!
//! Requests and answers are streams of their own: they overtake frames, and each other. Bytes that do not have their
//! name are never given out, and never taken. It decides nothing: what is asked for, and of whom, is the nodes'
//! word.

use std::collections::BTreeMap;
use std::sync::Arc;

use vigo_base::Hash;
use vigo_base::time::{millis, secs};
use vigo_node::swarm::frame::Bulk;
use vigo_node::swarm::ids::{ConnId, OpId};
use vigo_node::swarm::outline::{BlobRef, Outline};
use vigo_node::{Answer, AskId, Done, Effect, Failed, Input, Outlined};

use crate::disk::Read;
use crate::machine::Machine;
use crate::{Fleet, Ix};

/// About what a chunk weighs, in bytes.
const CHUNK: usize = 64 * 1024;

/// A bulk request under way.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub by: Ix,
    life: u64,
    op: OpId,
    blob: BlobRef,
    chunk: Option<(u32, Hash)>,
}

impl Fleet {
    pub(crate) fn begin(&mut self, ix: Ix, op: OpId, effect: Effect) {
        let (delay, done) = match effect {
            Effect::FetchOutline { conn, blob } => return self.ask(ix, op, conn, blob, None),
            Effect::FetchChunk { conn, blob, index, hash, .. } => {
                return self.ask(ix, op, conn, blob, Some((index, hash)));
            }
            Effect::FinishBlob { .. } if self.disk_fails() => {
                (millis(2), Done::Finished(Err(Failed::Local("no space".into()))))
            }
            Effect::FinishBlob { blob } => (millis(2), Done::Finished(self.machines[ix].finish(&blob))),
            Effect::ReadBlob { .. } if self.disk_fails() => {
                (millis(1), Done::Read(Err(Failed::Local("input/output error".into()))))
            }
            Effect::ReadBlob { blob } => {
                let read = match self.machines[ix].disk.read(&blob.hash) {
                    Read::Whole(bytes) => Ok(bytes.to_vec()),
                    Read::Gone => Err(Failed::Gone),
                    Read::Rotten => {
                        self.reach("rotten blob read");
                        Err(Failed::BadContent("it was damaged on disk".into()))
                    }
                };
                (millis(1), Done::Read(read))
            }
            Effect::DropBlobs { blobs } => {
                blobs.iter().for_each(|hash| drop(self.machines[ix].disk.blobs.remove(hash)));
                (millis(1), Done::Dropped)
            }
            Effect::CollectTraits => {
                let traits = vigo_executors::traits::collect(&self.machines[ix].host).to_string();
                (millis(20), Done::Traits(Ok(traits)))
            }
            Effect::Converge { at, routes, policy, evidence, dry_run } => {
                let done = self.machines[ix].converge(at, [routes, policy], &evidence, dry_run);
                (millis(50), done)
            }
        };
        self.post(delay, ix, Input::Done { op, outcome: done });
    }

    fn ask(&mut self, ix: Ix, op: OpId, conn: ConnId, blob: BlobRef, chunk: Option<(u32, Hash)>) {
        let gone = |chunk: Option<_>| match chunk {
            None => Done::Outline(Err(Failed::Gone)),
            Some(_) => Done::Chunk(Err(Failed::Gone)),
        };
        let reached = self.net.peer(ix, conn).filter(|(peer, _)| self.net.reaches(ix, *peer));
        let Some((peer, other)) = reached else {
            return self.post(millis(1), ix, Input::Done { op, outcome: gone(chunk) });
        };
        self.next += 1;
        let life = self.machines[ix].life;
        self.asks.insert(self.next, Ask { by: ix, life, op, blob, chunk });
        let bulk = match chunk {
            None => Bulk::Outline(blob),
            Some((index, _)) => Bulk::Chunk(blob.exchange, index),
        };
        let bytes = bulk.encode();
        let delay = self.transit(ix, peer, bytes.len());
        let ask = AskId(self.next);
        self.post(delay, peer, Input::Asked { conn: other, ask, bytes });
    }

    pub(crate) fn answer(&mut self, ix: Ix, ask: AskId, answer: Answer) {
        let Some(Ask { by, life, op, blob, chunk }) = self.asks.remove(&ask.0) else { return };
        if self.machines[by].life != life {
            return;
        }
        if let Some(why) = self.fetch_fails(ix, by) {
            let outcome = match chunk {
                None => Done::Outline(Err(why)),
                Some(_) => Done::Chunk(Err(why)),
            };
            return self.post(secs(1), by, Input::Done { op, outcome });
        }
        let outcome = match (answer, chunk) {
            (Answer::Refuse(why), None) => Done::Outline(Err(Failed::Refused(why))),
            (Answer::Refuse(why), Some(_)) => Done::Chunk(Err(Failed::Refused(why))),
            (Answer::Outline(_), _) => Done::Outline(
                self.machines[ix]
                    .outline(&blob)
                    .map(|outline| Outlined { outline, held: None })
                    .ok_or(Failed::Gone),
            ),
            (Answer::Chunk { .. }, Some((index, hash))) => {
                let bytes = self.machines[ix].chunk(&blob, index).filter(|b| Hash::of(b) == hash);
                self.meter.bulk(bytes.as_ref().map_or(0, |bytes| bytes.len()));
                let kept = bytes.map(|bytes| self.machines[by].keep_chunk(&blob, index, bytes));
                Done::Chunk(kept.ok_or_else(|| Failed::BadContent("another chunk".into())))
            }
            (Answer::Chunk { .. }, None) => Done::Outline(Err(Failed::BadContent("a chunk".into()))),
        };
        let delay = self.transit(ix, by, weight(&outcome));
        self.post(delay, by, Input::Done { op, outcome });
    }
}

/// About how many bytes of an answer cross the network.
fn weight(outcome: &Done) -> usize {
    match outcome {
        Done::Chunk(Ok(())) => CHUNK,
        Done::Outline(Ok(outlined)) => 40 * outlined.outline.chunks.len(),
        _ => 0,
    }
}

impl Machine {
    fn outline(&mut self, blob: &BlobRef) -> Option<Outline> {
        self.whole(blob)
            .map(|(outline, _)| outline)
            .or_else(|| self.partial.get(&blob.hash).map(|p| p.0.clone()))
    }

    fn chunk(&mut self, blob: &BlobRef, index: u32) -> Option<Arc<[u8]>> {
        if let Some((outline, bytes)) = self.whole(blob) {
            let at = outline.offsets().nth(index as usize)? as usize;
            let (_, length) = outline.chunks.get(index as usize)?;
            return bytes.get(at..at + *length as usize).map(Into::into);
        }
        self.partial.get(&blob.hash)?.1.get(&index).cloned()
    }

    fn keep_chunk(&mut self, blob: &BlobRef, index: u32, bytes: Arc<[u8]>) {
        let outline = blob.derived_outline().unwrap_or_default();
        self.partial.entry(blob.hash).or_insert_with(|| (outline, BTreeMap::new())).1.insert(index, bytes);
    }

    fn finish(&mut self, blob: &BlobRef) -> Result<(), Failed> {
        let (_, chunks) = self.partial.remove(&blob.hash).unwrap_or_default();
        let bytes: Vec<u8> = chunks.values().flat_map(|c| c.iter().copied()).collect();
        if Hash::of(&bytes) != blob.hash {
            return Err(Failed::BadContent("the whole does not have its name".into()));
        }
        self.disk.blobs.insert(blob.hash, (*blob, bytes.into()));
        Ok(())
    }
}
