//! How fast records become durable here, beside what the bare disk can do.
//!
//! Used by `vigo bench records`. Writes only below the directory it is given, and never deletes there
//! anything it did not make.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use vigo_base::Hash;

use super::{Seal, Store, StoreError, StoreOp};

/// Bytes of each record written: a small signed register.
const RECORD: usize = 300;

/// What one run measured.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct CommitFigures {
    /// Records written.
    pub records: usize,
    /// Records in one transaction.
    pub batch: usize,
    /// Seconds it took.
    pub seconds: f64,
    /// Durable records a second.
    pub records_per_second: f64,
    /// Durable transactions a second.
    pub commits_per_second: f64,
    /// Appends of the same bytes to a bare file, each flushed, a second.
    pub flushes_per_second: f64,
    /// Seconds to open the store afterwards, every record read and checked.
    pub open_seconds: f64,
}

/// Writes `records` records of 300 bytes to a new store in `dir` (which must be empty), `batch` to a
/// transaction, then appends the same to a bare file.
///
/// # Errors
/// Whatever the store or the disk answers.
pub fn bench_commit(dir: &Path, records: usize, batch: usize) -> Result<CommitFigures, StoreError> {
    let batch = batch.max(1);
    let seal = Seal::new(b"bench");
    let ops: Vec<StoreOp> = (0..records).map(op).collect();
    let (mut store, _) = Store::open(dir, seal.clone())?;
    let start = Instant::now();
    for ops in ops.chunks(batch) {
        store.commit(ops)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    drop(store);
    let start = Instant::now();
    drop(Store::open(dir, seal)?);
    let open_seconds = start.elapsed().as_secs_f64();
    let flushes_per_second =
        bare(dir, batch).map_err(|e| StoreError::from_io(&dir.display().to_string(), "write beside", e))?;
    let commits = records.div_ceil(batch) as f64;
    Ok(CommitFigures {
        records,
        batch,
        seconds,
        records_per_second: records as f64 / seconds,
        commits_per_second: commits / seconds,
        flushes_per_second,
        open_seconds,
    })
}

fn op(number: usize) -> StoreOp {
    let mut bytes = Vec::with_capacity(RECORD + 32);
    let mut block = Hash::of(&number.to_le_bytes());
    while bytes.len() < RECORD {
        bytes.extend_from_slice(&block.0);
        block = Hash::of(&block.0);
    }
    bytes.truncate(RECORD);
    StoreOp::Put { id: Hash::of(&bytes), bytes: Arc::from(bytes) }
}

fn bare(dir: &Path, batch: usize) -> std::io::Result<f64> {
    const FLUSHES: u32 = 50;
    let path = dir.join("bare.bench");
    let mut file = File::create_new(&path)?;
    let bytes = vec![7; RECORD * batch];
    let start = Instant::now();
    for _ in 0..FLUSHES {
        file.write_all(&bytes)?;
        file.sync_data()?;
    }
    let rate = f64::from(FLUSHES) / start.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}
