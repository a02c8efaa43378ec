//! Looking through the blob directory at start.
//!
//! [`scan`] tidies what a crash may have left (temporaries, outlines without a blob, plans of finished
//! fetches) and never removes a whole blob. Whole blobs are not hashed here, which would take minutes: they
//! are hashed whenever they are read.

use std::collections::BTreeMap;
use std::io::{self, Read};

use vigo_base::Hash;
use vigo_base::limits::CHUNK_MIN;
use vigo_node::swarm::outline::{BlobRef, Cutter, Outline};

use super::files::{Dir, Name, Temporary};
use super::{BlobDamage, Index, PIECE};

/// The index of what is in `dir`.
pub(super) fn scan(dir: &Dir) -> io::Result<(Index, Vec<BlobDamage>)> {
    Temporary::sweep(dir)?;
    let (mut index, mut damage) = (Index::default(), Vec::new());
    let names = dir.list()?;
    for name in &names {
        if let Name::Whole(hash) = name {
            match reference(dir, *hash)? {
                Some(blob) => index.add(blob),
                None => {
                    dir.rename(*name, Name::Rotten(*hash))?;
                    damage.push(BlobDamage::Rotten { hash: *hash });
                }
            }
        }
    }
    let mut plans = BTreeMap::new();
    for name in &names {
        match name {
            Name::Outline(hash) if !index.whole.contains_key(hash) => dir.remove(*name)?,
            Name::Plan(exchange) => match dir.read_outline(*name) {
                Some((blob, _)) if blob.exchange == *exchange && !index.whole.contains_key(&blob.hash) => {
                    plans.insert(*exchange, blob);
                }
                Some(_) => dir.remove(*name)?,
                None => {
                    dir.remove(*name)?;
                    damage.push(BlobDamage::Forgotten { exchange: *exchange });
                }
            },
            _ => {}
        }
    }
    for name in &names {
        match name {
            Name::Partial(exchange) if !plans.contains_key(exchange) => dir.remove(*name)?,
            Name::Rotten(hash) if index.whole.contains_key(hash) => dir.remove(*name)?,
            _ => {}
        }
    }
    for (exchange, blob) in plans {
        index.used = index.used.saturating_add(blob.size);
        index.partials.insert(exchange, (blob, None));
    }
    Ok((index, damage))
}

/// The reference of the blob in the file named `hash`; `None` if its bytes are others.
fn reference(dir: &Dir, hash: Hash) -> io::Result<Option<BlobRef>> {
    let size = dir.read(Name::Whole(hash))?.metadata()?.len();
    if let Some((blob, _)) = dir.read_outline(Name::Outline(hash)).filter(|(b, _)| b.hash == hash) {
        return Ok((blob.size == size).then_some(blob));
    }
    if size <= CHUNK_MIN as u64 {
        let exchange = Outline::of_one_chunk(hash, size as u32).exchange();
        // An empty file has one right name only; a short one is hashed when it is read.
        let wrong = size == 0 && hash != Hash::of(b"");
        return Ok((!wrong).then_some(BlobRef { hash, exchange, size }));
    }
    let (outline, blob) = cut(dir, Name::Whole(hash))?;
    if blob.hash != hash {
        return Ok(None);
    }
    if outline.chunks.len() > 1 {
        dir.write_outline(Name::Outline(hash), &blob, &outline)?;
    }
    Ok(Some(blob))
}

/// Cuts and hashes a file.
pub(super) fn cut(dir: &Dir, name: Name) -> io::Result<(Outline, BlobRef)> {
    let mut file = dir.read(name)?;
    let (mut cutter, mut piece) = (Cutter::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(cutter.finish()),
            n => cutter.update(&piece[..n]),
        }
    }
}
