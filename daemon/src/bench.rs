//! What `vigo bench records` and `vigo bench channel` measure: figures beside a reference of the same machine.
//!
//! Absolute times do not repeat on shared machines, so each figure stands beside what the machine can do without
//! us, measured in the same run. Nothing here prints; it writes only below the directory it is given.

use std::path::Path;
use std::time::Instant;

use vigo_base::figure::{Better, Figure};
use vigo_base::{Domain, SecretKey, SpannerId, Stamp};
use vigo_node::crdt::record::{Record, Unverified};
use vigo_node::crdt::replica::{Form, Replica};
use vigo_node::crdt::space::Space;

use crate::channel::{BenchError, bench_channel};
use crate::store::{StoreError, bench_commit};

/// Records that are verified and inserted.
const RECORDS: u64 = 20_000;
/// Records that are made durable, and how many in one commit.
const DURABLE: (usize, usize) = (20_000, 100);
/// Bytes of a record's payload.
const PAYLOAD: usize = 100;
/// Bytes that the channel moves in a round.
const CHANNEL_BYTES: u64 = 256 * 1024 * 1024;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum CannotMeasure {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The channel.
    #[error(transparent)]
    Channel(#[from] BenchError),
    /// A record of our own making did not hold.
    #[error("a record made here does not hold: {0}; please report this")]
    Record(String),
}

/// Records: encode, decode, verify and insert on one core; make durable in `dir`, which must be empty.
///
/// # Errors
/// [`CannotMeasure`].
pub fn records(dir: &Path) -> Result<Vec<Figure>, CannotMeasure> {
    let (key, fleet) = (SecretKey::from_seed([7; 32]), SpannerId::default());
    let bad = |e: &dyn std::fmt::Display| CannotMeasure::Record(e.to_string());
    let space = Space::config();
    let mut made = Vec::new();
    for n in 1..=RECORDS {
        let mut payload = vec![0; PAYLOAD];
        payload[..8].copy_from_slice(&n.to_be_bytes());
        let record =
            Record::sign(&key, &fleet, space.clone(), n, 9, Stamp(n), payload).map_err(|e| bad(&e))?;
        made.push(record.bytes().clone());
    }
    let rate = |since: Instant| RECORDS as f64 / since.elapsed().as_secs_f64();
    let start = Instant::now();
    for bytes in &made {
        Unverified::decode(bytes).map_err(|e| bad(&e))?;
    }
    let decode_us = start.elapsed().as_secs_f64() * 1e6 / RECORDS as f64;
    let start = Instant::now();
    let mut replica = Replica::new();
    for bytes in &made {
        let record = Unverified::decode(bytes).and_then(|u| u.verify(&fleet)).map_err(|e| bad(&e))?;
        replica.insert(record, Form::Single);
    }
    let inserted = rate(start);
    if replica.len(&space) as u64 != RECORDS {
        return Err(CannotMeasure::Record("not all records were kept".into()));
    }
    let message = [9; 200];
    let signature = key.sign(Domain::Record, &fleet, &message);
    let start = Instant::now();
    for _ in 0..RECORDS {
        key.public().verify(Domain::Record, &fleet, &message, &signature).map_err(|e| bad(&e))?;
    }
    let verified = rate(start);
    let durable = bench_commit(dir, DURABLE.0, DURABLE.1)?;
    let bare = durable.flushes_per_second * durable.batch as f64;
    Ok(vec![
        Figure::new("record.verify_and_insert", inserted, "1/s", Better::Higher)
            .beside(verified, "strict verification alone")
            .wanted(20_000.0),
        Figure::new("record.decode", decode_us, "us", Better::Lower).wanted(2.0),
        Figure::new("record.durable_in_batches_of_100", durable.records_per_second, "1/s", Better::Higher)
            .beside(bare, "the same bytes appended to a bare file, each batch flushed"),
        Figure::new(
            "record.open_store",
            durable.open_seconds * 1e6 / durable.records as f64,
            "us/record",
            Better::Lower,
        ),
    ])
}

/// The peer channel beside bare quinn with the same cipher, over loopback.
///
/// # Errors
/// [`CannotMeasure`].
pub fn channel() -> Result<Vec<Figure>, CannotMeasure> {
    let measured = bench_channel(CHANNEL_BYTES)?;
    let against = "quinn with the same cipher";
    Ok(vec![
        Figure::new("channel.one_stream", measured.vigo_mb_s, "MB/s", Better::Higher)
            .beside(measured.raw_mb_s, against)
            .wanted_ratio(0.9),
        Figure::new("channel.chunks", measured.chunks_mb_s, "MB/s", Better::Higher)
            .beside(measured.raw_mb_s, against),
        Figure::new("channel.request", measured.vigo_request_us, "us", Better::Lower)
            .beside(measured.raw_request_us, against),
    ])
}
