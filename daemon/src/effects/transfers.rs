//! Blobs on their way: what is fetched, kept, read and served, on the pool's threads.
//!
//! It moves and checks bytes and decides nothing: whom to ask for what, and who may have what, the node has
//! decided. Every chunk is checked against the outline before it is kept, every outline against its exchange
//! id. Invariant: each effect that was begun ends in exactly one `Done`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vigo_base::{Hash, limits};
use vigo_node::io::{Answer, AskId, Done, Failed, Outlined};
use vigo_node::swarm::frame::Bulk;
use vigo_node::swarm::ids::{ConnId, OpId};
use vigo_node::swarm::outline::{BlobRef, Outline};

use crate::blobs::{BlobError, BlobStore, Partial};
use crate::channel::{self, Channel, FetchError};

/// Fetches kept open; when there are more, one is put down and taken up again when it goes on.
const OPEN: usize = 2 * limits::OPEN_EXCHANGES;

/// What a peer was asked for.
#[derive(Debug, Clone, Copy)]
pub enum Fetch {
    /// The outline of a blob.
    Outline(BlobRef),
    /// A chunk of it.
    Chunk(BlobRef, u32),
}

/// Work for the pool.
#[derive(Debug)]
pub enum Job {
    /// Get a chunk: from what is here already, else from the peer.
    Prepare {
        /// The effect.
        op: OpId,
        /// The peer.
        conn: ConnId,
        /// The blob.
        blob: BlobRef,
        /// The chunk's place.
        index: u32,
    },
    /// The peer's answer to a fetch.
    Arrived {
        /// The effect.
        op: OpId,
        /// What was asked for.
        fetch: Fetch,
        /// What came.
        result: Result<Vec<u8>, FetchError>,
    },
    /// Check the whole and keep it.
    Finish(OpId, BlobRef),
    /// Read a whole blob.
    Read(OpId, BlobRef),
    /// Forget blobs.
    Drop(OpId, Vec<Hash>),
    /// Answer a peer.
    Serve(AskId, Answer),
}

impl Job {
    /// The effect that waits for this job's end, if one does, and how it ends when the job cannot be done.
    pub fn failed(&self, why: &str) -> Option<(OpId, Done)> {
        let failed = Failed::Local(why.to_string());
        match self {
            Job::Prepare { op, .. } | Job::Arrived { op, fetch: Fetch::Chunk(..), .. } => {
                Some((*op, Done::Chunk(Err(failed))))
            }
            Job::Arrived { op, fetch: Fetch::Outline(_), .. } => Some((*op, Done::Outline(Err(failed)))),
            Job::Finish(op, _) => Some((*op, Done::Finished(Err(failed)))),
            Job::Read(op, _) => Some((*op, Done::Read(Err(failed)))),
            Job::Drop(op, _) => Some((*op, Done::Dropped)),
            Job::Serve(..) => None,
        }
    }
}

/// The fetches under way and the store they end in.
pub struct Transfers {
    store: BlobStore,
    channel: Channel,
    /// Fetches open, by exchange id.
    open: Mutex<BTreeMap<Hash, Arc<Partial>>>,
    /// Peers' answers awaited, by effect.
    awaited: Mutex<BTreeMap<u64, Fetch>>,
}

impl Transfers {
    /// Nothing under way.
    pub fn new(store: BlobStore, channel: Channel) -> Transfers {
        Transfers { store, channel, open: Mutex::default(), awaited: Mutex::default() }
    }

    /// The channel that peers are asked on.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Asks a peer; [`Transfers::awaited`] tells what for when the answer comes. Never blocks.
    pub fn ask(&self, op: OpId, conn: ConnId, fetch: Fetch) {
        lock(&self.awaited).insert(op.0, fetch);
        let (request, most) = match fetch {
            Fetch::Outline(blob) => (Bulk::Outline(blob), outline_bytes(blob.size)),
            Fetch::Chunk(blob, index) => (Bulk::Chunk(blob.exchange, index), limits::CHUNK_MAX),
        };
        self.channel.fetch(op.0, channel::ConnId(conn.0), request.encode(), most);
    }

    /// What a fetch with this number was for; asked once.
    pub fn awaited(&self, op: u64) -> Option<Fetch> {
        lock(&self.awaited).remove(&op)
    }

    /// Takes back what [`Transfers::awaited`] gave.
    pub fn still_awaited(&self, op: u64, fetch: Fetch) {
        lock(&self.awaited).insert(op, fetch);
    }

    /// Does a job; blocks on the disk. What ended with it, if something did.
    pub fn work(&self, job: Job) -> Option<(OpId, Done)> {
        match job {
            Job::Prepare { op, conn, blob, index } => {
                let here = match self.partial(blob, None) {
                    Ok(Some(partial)) => Ok(partial.has(index)),
                    // Without an outline the chunk cannot be checked; the node fetches that first.
                    Ok(None) => Err(Failed::Local(format!("the outline of {:?} is not here", blob.hash))),
                    Err(e) => Err(e),
                };
                match here {
                    Ok(false) => {
                        self.ask(op, conn, Fetch::Chunk(blob, index));
                        None
                    }
                    Ok(true) => Some((op, Done::Chunk(Ok(())))),
                    Err(e) => Some((op, Done::Chunk(Err(e)))),
                }
            }
            Job::Arrived { op, fetch: Fetch::Outline(blob), result } => {
                let outline = result.map_err(|e| failed_fetch(&e)).and_then(|bytes| {
                    let bad = |e: &dyn std::fmt::Display| Failed::BadContent(e.to_string());
                    let outline = Outline::decode_for(&blob, &bytes).map_err(|e| bad(&e))?;
                    let partial = self.partial(blob, Some(outline.clone()))?;
                    Ok(Outlined {
                        held: partial.map(|p| bitmap(outline.chunks.len(), &p.missing())),
                        outline,
                    })
                });
                Some((op, Done::Outline(outline)))
            }
            Job::Arrived { op, fetch: Fetch::Chunk(blob, index), result } => {
                let kept =
                    result.map_err(|e| failed_fetch(&e)).and_then(|bytes| self.keep(blob, index, &bytes));
                Some((op, Done::Chunk(kept)))
            }
            Job::Finish(op, blob) => Some((op, Done::Finished(self.finish(blob)))),
            Job::Read(op, blob) => {
                let bytes = self.store.get(&blob.hash, blob.size.min(limits::CONFIG_BLOB_BYTES));
                Some((op, Done::Read(bytes.map_err(|e| failed_here(&e)))))
            }
            Job::Drop(op, hashes) => {
                self.forget(&hashes);
                Some((op, Done::Dropped))
            }
            Job::Serve(ask, answer) => {
                self.channel.answer(channel::AskId(ask.0), self.answer(answer));
                None
            }
        }
    }

    /// The fetch of `blob`, begun or taken up if it must. `None` while its outline is not known.
    fn partial(&self, blob: BlobRef, outline: Option<Outline>) -> Result<Option<Arc<Partial>>, Failed> {
        let mut open = lock(&self.open);
        if let Some(partial) = open.get(&blob.exchange).filter(|p| p.blob() == blob) {
            return Ok(Some(partial.clone()));
        }
        let partial = match outline {
            Some(outline) => Some(self.store.open_partial(blob, outline).map_err(|e| failed_here(&e))?),
            None => self.store.resume(blob).map_err(|e| failed_here(&e))?,
        };
        let Some(partial) = partial else { return Ok(None) };
        if let Err(error) = partial.fill_from_local() {
            tracing::warn!(%error, "chunks that are here already were not taken over");
        }
        if open.len() >= OPEN {
            open.pop_first();
        }
        let partial = Arc::new(partial);
        open.insert(blob.exchange, partial.clone());
        Ok(Some(partial))
    }

    fn keep(&self, blob: BlobRef, index: u32, bytes: &[u8]) -> Result<(), Failed> {
        let partial = self.partial(blob, None)?;
        let partial = partial.ok_or_else(|| Failed::Local("the outline went away".into()))?;
        partial.write_chunk(index, bytes).map_err(|e| match e {
            BlobError::WrongChunk { .. } => Failed::BadContent(e.to_string()),
            other => failed_here(&other),
        })
    }

    fn finish(&self, blob: BlobRef) -> Result<(), Failed> {
        if self.store.reference(&blob.hash) == Some(blob) {
            return Ok(());
        }
        let partial = self.partial(blob, None)?;
        lock(&self.open).remove(&blob.exchange);
        let partial = partial.ok_or_else(|| Failed::Local("the outline went away".into()))?;
        // Nobody else holds it: every chunk was reported, and each worker lets go before its report.
        match Arc::try_unwrap(partial) {
            Ok(partial) => partial.finish().map(drop).map_err(|e| match e {
                BlobError::WrongBlob { .. } => Failed::BadContent(e.to_string()),
                other => failed_here(&other),
            }),
            Err(_) => Err(Failed::Local(format!("{:?} is still being written", blob.hash))),
        }
    }

    fn forget(&self, hashes: &[Hash]) {
        let dropped: Vec<Arc<Partial>> = {
            let mut open = lock(&self.open);
            let gone: Vec<Hash> =
                open.iter().filter(|(_, p)| hashes.contains(&p.blob().hash)).map(|(id, _)| *id).collect();
            gone.iter().filter_map(|id| open.remove(id)).collect()
        };
        let left = self.store.unfinished().into_iter().filter(|blob| hashes.contains(&blob.hash));
        let left: Vec<Hash> = left.map(|blob| blob.exchange).collect();
        drop(dropped);
        let parts = left.iter().map(|exchange| self.store.forget_partial(exchange));
        let wholes = hashes.iter().map(|hash| self.store.remove(hash));
        for error in parts.chain(wholes).filter_map(Result::err) {
            tracing::warn!(%error, "a blob that nothing needs could not be removed; it is tried again later");
        }
    }

    fn answer(&self, answer: Answer) -> channel::Answer {
        let bytes = match answer {
            Answer::Outline(blob) => self.store.outline(&blob.exchange).map(|outline| outline.encode()),
            Answer::Chunk { blob, index } => self.store.read_chunk(&blob.exchange, index),
            Answer::Refuse(text) => return channel::Answer::Refuse { code: channel::code::FIRST_FREE, text },
        };
        match bytes {
            Ok(bytes) => channel::Answer::Bytes(bytes),
            Err(error) => {
                tracing::debug!(%error, "a peer's request could not be served");
                let text = "not here".to_string();
                channel::Answer::Refuse { code: channel::code::FIRST_FREE + 1, text }
            }
        }
    }
}

/// Bytes of the outline of a blob of `size` bytes, at most: 40 for each chunk, which are at least
/// [`limits::CHUNK_MIN`] long.
fn outline_bytes(size: u64) -> usize {
    let chunks = size / limits::CHUNK_MIN as u64 + 2;
    usize::try_from(chunks.saturating_mul(48)).unwrap_or(usize::MAX).min(limits::OUTLINE_BYTES)
}

/// The chunks that are not missing; bit 0 of byte 0 is chunk 0.
fn bitmap(chunks: usize, missing: &[u32]) -> Vec<u8> {
    let mut map = vec![0u8; chunks.div_ceil(8)];
    for chunk in 0..chunks {
        map[chunk / 8] |= 1 << (chunk % 8);
    }
    for chunk in missing.iter().map(|c| *c as usize).filter(|c| *c < chunks) {
        map[chunk / 8] &= !(1 << (chunk % 8));
    }
    map
}

fn failed_fetch(error: &FetchError) -> Failed {
    match error {
        FetchError::Refused { text, .. } => Failed::Refused(text.clone()),
        FetchError::TooLong { .. } | FetchError::Malformed => Failed::BadContent(error.to_string()),
        FetchError::BrokenOff => Failed::Refused(error.to_string()),
        FetchError::TimedOut => Failed::Timeout,
        FetchError::Gone => Failed::Gone,
        FetchError::WeAreBusy { .. } | FetchError::RequestTooLong { .. } => Failed::Local(error.to_string()),
    }
}

pub(crate) fn failed_here(error: &BlobError) -> Failed {
    match error {
        // Gone for good: to be fetched again. All else may pass, and what is on the disk is not forgotten for it.
        BlobError::Unknown { .. } => Failed::Gone,
        BlobError::Rotten { .. } => Failed::BadContent(error.to_string()),
        _ => Failed::Local(error.to_string()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Transfers without a peer, with a store in a directory.
    fn transfers() -> (Transfers, tempfile::TempDir, tokio::runtime::Runtime) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let key = vigo_base::SecretKey::from_seed([1; 32]);
        let sink: channel::Sink = Arc::new(|_| channel::Offer::Taken);
        let channel = Channel::bind(runtime.handle(), &[], &key, channel::Limits::default(), sink).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = BlobStore::open(dir.path(), 1 << 30).unwrap();
        (Transfers::new(store, channel), dir, runtime)
    }

    fn noise(size: u32) -> Vec<u8> {
        (0..size).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
    }

    #[test]
    fn a_blob_is_put_together_from_right_chunks_only() {
        let (transfers, _dir, _runtime) = transfers();
        let bytes = noise(600_000);
        let (blob, outline) = (BlobRef::of(&bytes), Outline::of(&bytes));
        let op = OpId(1);
        let arrived =
            |fetch, bytes: &[u8]| transfers.work(Job::Arrived { op, fetch, result: Ok(bytes.to_vec()) });
        let other = Outline::of(&noise(700_000)).encode();
        let refused = arrived(Fetch::Outline(blob), &other);
        assert!(matches!(refused, Some((_, Done::Outline(Err(Failed::BadContent(_)))))), "{refused:?}");
        let early = arrived(Fetch::Chunk(blob, 0), &bytes[..100]);
        assert!(matches!(early, Some((_, Done::Chunk(Err(Failed::Local(_)))))), "no outline yet: {early:?}");
        let outlined = arrived(Fetch::Outline(blob), &outline.encode());
        let Some((_, Done::Outline(Ok(outlined)))) = outlined else { panic!("{outlined:?}") };
        assert!(outlined.held.unwrap().iter().all(|byte| *byte == 0), "nothing is here yet");

        let lie = arrived(Fetch::Chunk(blob, 0), b"not that chunk");
        assert!(matches!(lie, Some((_, Done::Chunk(Err(Failed::BadContent(_)))))), "{lie:?}");
        let early = transfers.work(Job::Finish(op, blob));
        assert!(matches!(early, Some((_, Done::Finished(Err(_))))), "{early:?}");
        for ((index, at), (_, length)) in (0..).zip(outline.offsets()).zip(&outline.chunks) {
            let chunk = &bytes[at as usize..at as usize + *length as usize];
            let kept = arrived(Fetch::Chunk(blob, index), chunk);
            assert!(matches!(kept, Some((_, Done::Chunk(Ok(()))))), "{kept:?}");
        }
        // What is here is not asked for again.
        let conn = ConnId(1);
        let here = transfers.work(Job::Prepare { op, conn, blob, index: 0 });
        assert!(matches!(here, Some((_, Done::Chunk(Ok(()))))), "{here:?}");
        for _ in 0..2 {
            let finished = transfers.work(Job::Finish(op, blob));
            assert!(matches!(finished, Some((_, Done::Finished(Ok(()))))), "{finished:?}");
        }
        let read = transfers.work(Job::Read(op, blob));
        assert!(matches!(read, Some((_, Done::Read(Ok(found)))) if found == bytes));
        transfers.work(Job::Drop(op, vec![blob.hash]));
        let gone = transfers.work(Job::Read(op, blob));
        assert!(matches!(gone, Some((_, Done::Read(Err(_))))), "{gone:?}");
    }

    #[test]
    fn a_blob_of_one_chunk_needs_no_outline() {
        let (transfers, _dir, _runtime) = transfers();
        let bytes = b"a policy".to_vec();
        let blob = BlobRef::of(&bytes);
        let job = Job::Arrived { op: OpId(1), fetch: Fetch::Chunk(blob, 0), result: Ok(bytes.clone()) };
        assert!(matches!(transfers.work(job), Some((_, Done::Chunk(Ok(()))))));
        assert!(matches!(transfers.work(Job::Finish(OpId(2), blob)), Some((_, Done::Finished(Ok(()))))));
        let chunk = transfers.answer(Answer::Chunk { blob, index: 0 });
        assert!(matches!(chunk, channel::Answer::Bytes(found) if found == bytes));
        let outline = transfers.answer(Answer::Outline(blob));
        assert!(
            matches!(outline, channel::Answer::Bytes(found) if Outline::decode_for(&blob, &found).is_ok())
        );
        let none = transfers.answer(Answer::Chunk { blob, index: 7 });
        assert!(matches!(none, channel::Answer::Refuse { .. }));
    }

    #[test]
    fn what_a_fetch_failed_of_says_whose_fault_it_is() {
        for (error, expected) in [
            (FetchError::TooLong { limit: 1 }, "BadContent"),
            (FetchError::Malformed, "BadContent"),
            (FetchError::TimedOut, "Timeout"),
            (FetchError::Gone, "Gone"),
            (FetchError::BrokenOff, "Refused"),
            (FetchError::Refused { code: 16, text: "no".into() }, "Refused"),
            (FetchError::WeAreBusy { limit: 1 }, "Local"),
        ] {
            assert!(format!("{:?}", failed_fetch(&error)).starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_bitmap_says_what_is_here() {
        assert_eq!(bitmap(10, &[0, 9]), [0b1111_1110, 0b01]);
        assert_eq!(bitmap(0, &[]), Vec::<u8>::new());
        assert_eq!(bitmap(2, &[0, 1, 7]), [0]);
    }

    #[test]
    fn an_outline_fits_into_what_is_asked_for() {
        for size in [0u64, 1, 16 * 1024, 10 << 20] {
            let chunks = size.div_ceil(limits::CHUNK_MIN as u64);
            let outline = Outline { chunks: (0..chunks).map(|_| (Hash([255; 32]), u32::MAX)).collect() };
            assert!(outline.encode().len() <= outline_bytes(size), "{size}");
        }
        assert_eq!(outline_bytes(u64::MAX), limits::OUTLINE_BYTES);
    }
}
