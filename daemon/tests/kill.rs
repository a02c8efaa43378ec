//! `kill -9` at random moments of writing, on real files (promise R4).
//!
//! The test starts itself as a child that writes records and blobs as fast as it can and says so on its
//! output once each is acknowledged; the parent kills it, opens what is left, and looks for every one.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use vigo_base::{Dice, Hash};
use vigo_daemon::blobs::BlobStore;
use vigo_daemon::store::{Seal, Store, StoreOp};
use vigo_node::swarm::outline::{BlobRef, Outline};

const HOME: &str = "VIGO_TEST_KILL_HOME";
const SEED: &str = "VIGO_TEST_KILL_SEED";

fn noise(dice: &mut Dice, size: usize) -> Vec<u8> {
    let mut out: Vec<u8> = std::iter::repeat_with(|| dice.bytes()).take(size / 32 + 1).flatten().collect();
    out.truncate(size);
    out
}

/// The child. Without the variables it has nothing to do.
#[test]
fn child() {
    let Some(home) = std::env::var_os(HOME) else { return };
    let seed = std::env::var(SEED).unwrap().parse().unwrap();
    let (home, mut dice) = (Path::new(&home), Dice::from_number(seed));
    let mut say = std::io::stdout();
    let (mut store, loaded) = Store::open(home, Seal::new(b"kill")).unwrap();
    assert!(loaded.damaged.is_empty());
    let (blobs, _) = BlobStore::open(&home.join("blobs"), 1 << 30).unwrap();
    for _ in 0..10_000 {
        let size = 100 + dice.below(2_000) as usize;
        let bytes: Arc<[u8]> = noise(&mut dice, size).into();
        let id = Hash::of(&bytes);
        store.commit(&[StoreOp::Put { id, bytes }]).unwrap();
        writeln!(say, "\nrecord {id}").unwrap();
        let size = dice.below(400_000) as usize;
        let bytes = noise(&mut dice, size);
        let blob = if dice.one_in(2) { blobs.put(&bytes).unwrap() } else { fetched(&blobs, &bytes) };
        writeln!(say, "\nblob {}", blob.hash).unwrap();
    }
}

fn fetched(blobs: &BlobStore, bytes: &[u8]) -> BlobRef {
    let outline = Outline::of(bytes);
    let partial = blobs.open_partial(BlobRef::of(bytes), outline.clone()).unwrap();
    for (index, at) in (0..).zip(outline.offsets()) {
        let length = outline.chunks[index as usize].1 as usize;
        partial.write_chunk(index, &bytes[at as usize..][..length]).unwrap();
    }
    partial.finish().unwrap()
}

/// 40 kills; `VIGO_LONG=1` (.ci/long) makes it 1,000.
#[test]
fn what_was_acknowledged_outlives_kill_9() {
    let kills = if std::env::var_os("VIGO_LONG").is_some() { 1_000 } else { 40 };
    let home = tempfile::tempdir().unwrap();
    let mut dice = Dice::from_number(21);
    let mut acknowledged: BTreeSet<String> = BTreeSet::new();
    let mut killed_at_work = 0;
    for seed in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture", "--test-threads=1"])
            .env(HOME, home.path())
            .env(SEED, seed.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let told = |said: &mut dyn Iterator<Item = std::io::Result<String>>| {
            said.map_while(Result::ok).find(|l| l.starts_with("record ") || l.starts_with("blob "))
        };
        // Every third is killed while it starts.
        if seed % 3 != 0 {
            acknowledged.extend(told(&mut said));
            killed_at_work += 1;
        }
        std::thread::sleep(Duration::from_micros(dice.below(60_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        while let Some(line) = told(&mut said) {
            acknowledged.insert(line);
        }
        let (store, loaded) = Store::open(home.path(), Seal::new(b"kill")).unwrap();
        drop(store);
        assert!(loaded.damaged.is_empty(), "kill {seed}: {:?}", loaded.damaged);
        let (blobs, damage) = BlobStore::open(&home.path().join("blobs"), 1 << 30).unwrap();
        assert!(damage.is_empty(), "kill {seed}: {damage:?}");
        let records: BTreeSet<Hash> = loaded.records.iter().map(|(id, _)| *id).collect();
        for line in &acknowledged {
            let (kind, hash) = line.split_once(' ').unwrap();
            let hash: Hash = hash.parse().unwrap();
            let there = if kind == "record" { records.contains(&hash) } else { blobs.verify(&hash).is_ok() };
            assert!(there, "kill {seed}: lost {line}");
        }
        for blob in blobs.unfinished() {
            blobs.forget_partial(&blob.exchange).unwrap();
        }
        if seed % 20 == 19 {
            for blob in blobs.list() {
                blobs.remove(&blob.hash).unwrap();
            }
            acknowledged.retain(|line| line.starts_with("record "));
        }
    }
    let records = acknowledged.iter().filter(|l| l.starts_with("record ")).count();
    println!("{kills} kills: {records} records acknowledged, 0 lost");
    assert!(records >= killed_at_work, "the children hardly worked: {records}");
}
