//! The blob store against crashes, rot, liars and full disks.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use vigo_base::limits::{CHUNK_MAX, CHUNK_MIN};
use vigo_base::{Dice, Hash};
use vigo_daemon::blobs::{BlobDamage, BlobError, BlobStore, Reuse};
use vigo_node::swarm::outline::{BlobRef, Outline};

const QUOTA: u64 = 1 << 30;
const MIB: usize = 1 << 20;

fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut dice = Dice::from_number(seed);
    let mut out: Vec<u8> = std::iter::repeat_with(|| dice.bytes()).take(size / 32 + 1).flatten().collect();
    out.truncate(size);
    out
}

fn fresh() -> (TempDir, BlobStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = sound(dir.path());
    (dir, store)
}

/// Opens a directory in which nothing is damaged.
fn sound(dir: &Path) -> BlobStore {
    let (store, damage) = BlobStore::open(dir, QUOTA).unwrap();
    assert_eq!(damage, []);
    store
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The bytes of chunk `index`.
fn chunk<'b>(bytes: &'b [u8], outline: &Outline, index: u32) -> &'b [u8] {
    let at = outline.offsets().nth(index as usize).unwrap() as usize;
    &bytes[at..at + outline.chunks[index as usize].1 as usize]
}

#[test]
fn what_is_put_is_there_after_a_restart() {
    let (dir, store) = fresh();
    let sizes = [0, 1, CHUNK_MIN, CHUNK_MIN + 1, CHUNK_MAX, 2 * MIB + 7];
    for (seed, size) in (0..).zip(sizes) {
        let bytes = noise(seed, size);
        let blob = store.put(&bytes).unwrap();
        assert_eq!(blob, BlobRef::of(&bytes));
        assert_eq!(store.put(&bytes).unwrap(), blob, "twice is once");
    }
    let used: usize = sizes.iter().sum();
    assert_eq!(store.usage().used, used as u64);
    let listed = store.list();
    drop(store);
    let store = sound(dir.path());
    assert_eq!(store.list(), listed);
    assert_eq!(store.usage().used, used as u64);
    for (seed, size) in (0..).zip(sizes) {
        let bytes = noise(seed, size);
        let hash = Hash::of(&bytes);
        assert_eq!(store.get(&hash, size as u64).unwrap(), bytes);
        assert!(size == 0 || matches!(store.get(&hash, size as u64 - 1), Err(BlobError::TooLarge { .. })));
        let outline = Outline::of(&bytes);
        assert_eq!(store.outline(&outline.exchange()).unwrap(), outline);
        for index in 0..outline.chunks.len() as u32 {
            let read = store.read_chunk(&outline.exchange(), index).unwrap();
            assert_eq!(read, chunk(&bytes, &outline, index));
        }
        let beyond = store.read_chunk(&outline.exchange(), outline.chunks.len() as u32);
        assert!(matches!(beyond, Err(BlobError::NoSuchChunk { .. })));
        store.remove(&hash).unwrap();
        assert!(matches!(store.get(&hash, u64::MAX), Err(BlobError::Unknown { .. })));
        assert!(matches!(store.read_chunk(&outline.exchange(), 0), Err(BlobError::Unknown { .. })));
    }
    assert_eq!((names(dir.path()), store.usage().used), (vec![], 0));
}

#[test]
fn a_lost_or_broken_outline_is_made_again_from_the_bytes() {
    let (dir, store) = fresh();
    let bytes = noise(1, MIB);
    let blob = store.put(&bytes).unwrap();
    let path = dir.path().join(format!("{}.outline", blob.hash));
    let good = fs::read(&path).unwrap();
    for at in [0, 1, 5, 40, 90, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 4;
        fs::write(&path, bad).unwrap();
        let store = sound(dir.path());
        assert_eq!(store.list(), [blob], "byte {at}");
        assert_eq!(fs::read(&path).unwrap(), good);
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(store.outline(&blob.exchange).unwrap(), Outline::of(&bytes), "also while running");
    assert_eq!(fs::read(&path).unwrap(), good);
}

/// Fetches a blob chunk by chunk, in a random order, into a store.
fn fetch(store: &BlobStore, bytes: &[u8], order: u64) -> BlobRef {
    let outline = Outline::of(bytes);
    let partial = store.open_partial(BlobRef::of(bytes), outline.clone()).unwrap();
    let mut missing = partial.missing();
    Dice::from_number(order).shuffle(&mut missing);
    for index in missing {
        partial.write_chunk(index, chunk(bytes, &outline, index)).unwrap();
    }
    partial.finish().unwrap()
}

#[test]
fn a_blob_arrives_in_any_order_and_wrong_chunks_are_refused() {
    let (dir, store) = fresh();
    let bytes = noise(2, 2 * MIB);
    let outline = Outline::of(&bytes);
    let blob = BlobRef::of(&bytes);
    let partial = store.open_partial(blob, outline.clone()).unwrap();
    assert!(matches!(store.open_partial(blob, outline.clone()), Err(BlobError::Busy { .. })));
    let right = chunk(&bytes, &outline, 1);
    let mut flipped = right.to_vec();
    flipped[7] ^= 1;
    let before = fs::read(dir.path().join(format!("{}.partial", blob.exchange))).unwrap();
    for wrong in [&flipped[..], &right[1..], &[right, &[0]].concat(), chunk(&bytes, &outline, 2), &[]] {
        assert!(matches!(partial.write_chunk(1, wrong), Err(BlobError::WrongChunk { index: 1, .. })));
    }
    assert!(matches!(partial.write_chunk(u32::MAX, right), Err(BlobError::NoSuchChunk { .. })));
    assert_eq!(fs::read(dir.path().join(format!("{}.partial", blob.exchange))).unwrap(), before);
    assert!(!partial.has(1));
    partial.write_chunk(1, right).unwrap();
    assert_eq!(store.read_chunk(&blob.exchange, 1).unwrap(), right, "served while it is fetched");
    assert!(matches!(store.read_chunk(&blob.exchange, 0), Err(BlobError::NotYet { .. })));
    assert!(matches!(partial.finish(), Err(BlobError::Incomplete { .. })));
    assert_eq!(fetch(&store, &bytes, 3), blob);
    assert_eq!(store.get(&blob.hash, QUOTA).unwrap(), bytes);
    assert_eq!(names(dir.path()), [blob.hash.to_string(), format!("{}.outline", blob.hash)]);
    assert_eq!(store.usage().used, blob.size);
}

#[test]
fn an_outline_or_reference_that_lies_is_refused() {
    let (dir, store) = fresh();
    let (bytes, other) = (noise(4, MIB), noise(5, MIB));
    let (blob, outline) = (BlobRef::of(&bytes), Outline::of(&bytes));
    let refused = store.open_partial(blob, Outline::of(&other));
    assert!(matches!(refused, Err(BlobError::Outline { .. })));
    let refused = store.open_partial(BlobRef { size: 1, ..blob }, outline.clone());
    assert!(matches!(refused, Err(BlobError::Outline { .. })));
    // A statement that names one blob's hash with another's outline: seen at the end, nothing appears.
    let lie = BlobRef { hash: Hash::of(b"other"), ..blob };
    let partial = store.open_partial(lie, outline.clone()).unwrap();
    for index in partial.missing() {
        partial.write_chunk(index, chunk(&bytes, &outline, index)).unwrap();
    }
    assert!(
        matches!(partial.finish(), Err(BlobError::WrongBlob { expected, found }) if *expected == lie && *found == blob)
    );
    // Right bytes, cut where FastCDC does not cut.
    let odd = Outline { chunks: bytes.chunks(CHUNK_MIN).map(|c| (Hash::of(c), c.len() as u32)).collect() };
    let named = BlobRef { exchange: odd.exchange(), ..blob };
    let partial = store.open_partial(named, odd.clone()).unwrap();
    for index in partial.missing() {
        partial.write_chunk(index, chunk(&bytes, &odd, index)).unwrap();
    }
    assert!(matches!(partial.finish(), Err(BlobError::WrongBlob { .. })));
    assert_eq!((names(dir.path()), store.usage().used), (vec![], 0));
}

#[test]
fn a_fetch_goes_on_where_it_was_and_trusts_nothing() {
    let (dir, store) = fresh();
    let bytes = noise(6, 3 * MIB);
    let (blob, outline) = (BlobRef::of(&bytes), Outline::of(&bytes));
    let partial = store.open_partial(blob, outline.clone()).unwrap();
    let (all, half) = (outline.chunks.len() as u32, outline.chunks.len() as u32 / 2);
    for index in 0..half {
        partial.write_chunk(index, chunk(&bytes, &outline, index)).unwrap();
    }
    drop((partial, store));
    // One of the chunks that were written rots; a temporary of the dead process lies about.
    let path = dir.path().join(format!("{}.partial", blob.exchange));
    let mut left = fs::read(&path).unwrap();
    left[outline.offsets().nth(2).unwrap() as usize + 5] ^= 1;
    fs::write(&path, left).unwrap();
    fs::write(dir.path().join("99.tmp"), b"half a file").unwrap();
    let store = sound(dir.path());
    assert_eq!((store.unfinished(), store.usage().used), (vec![blob], blob.size));
    let partial = store.resume(blob).unwrap().expect("the outline was left");
    assert_eq!(partial.missing(), std::iter::once(2).chain(half..all).collect::<Vec<_>>());
    for index in partial.missing() {
        partial.write_chunk(index, chunk(&bytes, &outline, index)).unwrap();
    }
    partial.finish().unwrap();
    assert_eq!(store.get(&blob.hash, QUOTA).unwrap(), bytes);
}

fn copy_dir(from: &Path) -> (TempDir, PathBuf) {
    let to = tempfile::tempdir().unwrap();
    for name in names(from) {
        fs::copy(from.join(&name), to.path().join(&name)).unwrap();
    }
    let path = to.path().to_path_buf();
    (to, path)
}

/// Every state in which a crash can leave the directory during a fetch and its end, made by hand: the files
/// are what the steps of `finish` and `put` leave behind, one after the other.
#[test]
fn a_crash_between_any_two_steps_loses_nothing_and_serves_nothing_wrong() {
    let bytes = noise(7, MIB);
    let (blob, outline) = (BlobRef::of(&bytes), Outline::of(&bytes));
    let (whole_dir, whole) = fresh();
    whole.put(&bytes).unwrap();
    let (fetch_dir, fetching) = fresh();
    let partial = fetching.open_partial(blob, outline.clone()).unwrap();
    for index in partial.missing() {
        partial.write_chunk(index, chunk(&bytes, &outline, index)).unwrap();
    }
    let [plan, part] = ["plan", "partial"].map(|s| format!("{}.{s}", blob.exchange));
    let [outl, rotten] = ["outline", "rotten"].map(|s| format!("{}.{s}", blob.hash));
    let name = blob.hash.to_string();
    let from_fetch = |n: &str| fs::read(fetch_dir.path().join(n)).unwrap();
    let from_whole = |n: &str| fs::read(whole_dir.path().join(n)).unwrap();
    let plan = (plan.clone(), from_fetch(&plan));
    let part = (part.clone(), from_fetch(&part));
    let outl = (outl.clone(), from_whole(&outl));
    let name = (name.clone(), from_whole(&name));
    let rotten = (rotten, vec![0; 100]);
    let temporary = ("0.tmp".to_string(), b"half".to_vec());
    let cut_plan = (plan.0.clone(), plan.1[..plan.1.len() / 2].to_vec());
    // (files, whole afterwards, can be resumed afterwards)
    let states = vec![
        (vec![&temporary], false, false),
        (vec![&plan], false, true),
        (vec![&plan, &part], false, true),
        (vec![&plan, &part, &outl], false, true),
        (vec![&plan, &outl, &name], true, false),
        (vec![&plan, &part, &outl, &name], true, false),
        (vec![&outl, &name, &rotten], true, false),
        (vec![&outl, &name], true, false),
        (vec![&name], true, false),
        (vec![&outl], false, false),
        (vec![&part], false, false),
        (vec![&cut_plan, &part], false, false),
    ];
    for (i, (files, there, resumable)) in states.iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(dir.path().join(name), content).unwrap();
        }
        let (store, damage) = BlobStore::open(dir.path(), QUOTA).unwrap();
        assert_eq!(damage.len(), usize::from(i == states.len() - 1), "state {i}: {damage:?}");
        assert_eq!(store.get(&blob.hash, QUOTA).is_ok_and(|got| got == bytes), *there, "state {i}");
        assert_eq!(store.unfinished() == [blob], *resumable, "state {i}");
        if !there {
            assert_eq!(fetch(&store, &bytes, 1), blob, "state {i}");
        }
        assert_eq!(
            names(dir.path()),
            [blob.hash.to_string(), outl.0.clone()],
            "state {i}: nothing lies about"
        );
        assert_eq!(store.usage().used, blob.size, "state {i}");
    }
}

/// Sampling: 400 seeded bytes of a 600 KiB blob, each read by chunk and whole.
#[test]
fn a_flipped_bit_is_never_served() {
    let (dir, store) = fresh();
    let bytes = noise(8, 600 * 1024);
    let blob = store.put(&bytes).unwrap();
    let outline = Outline::of(&bytes);
    drop(store);
    let mut dice = Dice::from_number(9);
    for round in 0..400 {
        let (_keep, copy) = copy_dir(dir.path());
        let path = copy.join(blob.hash.to_string());
        let mut bad = bytes.clone();
        let at = dice.below(bad.len() as u64) as usize;
        bad[at] ^= 1 << dice.below(8);
        if round % 4 == 0 {
            bad.truncate(at);
        }
        let (store, damage) = {
            fs::write(&path, &bad).unwrap();
            BlobStore::open(&copy, QUOTA).unwrap()
        };
        if round % 4 == 0 {
            assert_eq!(damage, [BlobDamage::Rotten { hash: blob.hash }], "a cut is seen at once");
        } else if round % 4 == 1 {
            assert!(matches!(store.get(&blob.hash, QUOTA), Err(BlobError::Rotten { .. })));
        } else {
            let mut rotten = 0;
            for index in 0..outline.chunks.len() as u32 {
                match store.read_chunk(&blob.exchange, index) {
                    Ok(read) => assert_eq!(read, chunk(&bytes, &outline, index)),
                    Err(BlobError::Rotten { aside, .. }) => {
                        assert_eq!(aside, format!("{}.rotten", blob.hash));
                        rotten += 1;
                    }
                    Err(BlobError::Unknown { .. }) => assert_eq!(rotten, 1, "after it was moved aside"),
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(rotten, 1);
        }
        assert!(matches!(store.get(&blob.hash, QUOTA), Err(BlobError::Unknown { .. })));
        if round % 40 == 2 {
            let partial = store.open_partial(blob, outline.clone()).unwrap();
            let reuse = partial.fill_from_local().unwrap();
            assert_eq!(reuse.chunks as usize, outline.chunks.len() - 1, "all but the rotten chunk");
            let index = partial.missing()[0];
            partial.write_chunk(index, chunk(&bytes, &outline, index)).unwrap();
            partial.finish().unwrap();
            assert_eq!(store.get(&blob.hash, QUOTA).unwrap(), bytes);
            assert!(!copy.join(format!("{}.rotten", blob.hash)).exists());
        }
    }
}

#[test]
fn a_chunk_that_rots_during_the_fetch_is_fetched_again() {
    let (dir, store) = fresh();
    let bytes = noise(10, MIB);
    let (blob, outline) = (BlobRef::of(&bytes), Outline::of(&bytes));
    let partial = store.open_partial(blob, outline.clone()).unwrap();
    for index in partial.missing() {
        partial.write_chunk(index, chunk(&bytes, &outline, index)).unwrap();
    }
    let path = dir.path().join(format!("{}.partial", blob.exchange));
    let mut left = fs::read(&path).unwrap();
    left[3] ^= 1;
    fs::write(&path, left).unwrap();
    assert!(matches!(store.read_chunk(&blob.exchange, 0), Err(BlobError::NotYet { index: 0, .. })));
    assert_eq!(partial.missing(), [0]);
    partial.write_chunk(0, chunk(&bytes, &outline, 0)).unwrap();
    let mut left = fs::read(&path).unwrap();
    left[MIB - 1] ^= 1;
    fs::write(&path, left).unwrap();
    assert!(matches!(partial.finish(), Err(BlobError::Incomplete { missing: 1, .. })));
    assert_eq!(fetch(&store, &bytes, 1), blob);
}

#[test]
fn a_small_edit_moves_little() {
    let (_dir, store) = fresh();
    let old = noise(11, 8 * MIB);
    store.put(&old).unwrap();
    // One percent in one place, with bytes added: everything behind it moves.
    let mut new = old.clone();
    new.splice(3 * MIB..3 * MIB + 80_000, noise(12, 84_000));
    let (blob, outline) = (BlobRef::of(&new), Outline::of(&new));
    let partial = store.open_partial(blob, outline.clone()).unwrap();
    let reuse = partial.fill_from_local().unwrap();
    let moved = blob.size - reuse.bytes;
    println!("1 % of 8 MiB edited: {:.2} % moved", 100.0 * moved as f64 / blob.size as f64);
    assert!(moved * 100 < blob.size * 4, "{moved} of {}", blob.size);
    for index in partial.missing() {
        partial.write_chunk(index, chunk(&new, &outline, index)).unwrap();
    }
    assert_eq!(partial.finish().unwrap(), blob);
    // The same blob of one repeated chunk is asked for once.
    let zeros = vec![0; 8 * MIB];
    let outline = Outline::of(&zeros);
    let partial = store.open_partial(BlobRef::of(&zeros), outline.clone()).unwrap();
    assert_eq!(partial.fill_from_local().unwrap(), Reuse::default());
    partial.write_chunk(0, chunk(&zeros, &outline, 0)).unwrap();
    assert!(partial.missing().len() <= 1, "{:?}", partial.missing());
}

#[test]
fn the_quota_holds() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = BlobStore::open(dir.path(), MIB as u64).unwrap();
    let first = store.put(&noise(1, 600_000)).unwrap();
    let refused = store.put(&noise(2, 600_000));
    assert!(matches!(refused, Err(BlobError::OverQuota { .. })), "{refused:?}");
    let big = noise(3, 600_000);
    assert!(matches!(
        store.open_partial(BlobRef::of(&big), Outline::of(&big)),
        Err(BlobError::OverQuota { needed: 600_000, used: 600_000, .. })
    ));
    assert!(matches!(store.put_reader(&big[..], 1_000), Err(BlobError::TooLarge { limit: 1_000, .. })));
    store.remove(&first.hash).unwrap();
    let partial = store.open_partial(BlobRef::of(&big), Outline::of(&big)).unwrap();
    assert!(matches!(store.put(&noise(2, 600_000)), Err(BlobError::OverQuota { .. })));
    partial.abandon().unwrap();
    store.put(&noise(2, 600_000)).unwrap();
    assert_eq!(names(dir.path()).len(), 2);
}

#[test]
fn a_link_in_place_of_a_blob_is_not_followed() {
    let (dir, store) = fresh();
    let elsewhere = tempfile::tempdir().unwrap();
    let secret = elsewhere.path().join("secret");
    fs::write(&secret, b"secret").unwrap();
    let hash = Hash::of(b"secret");
    std::os::unix::fs::symlink(&secret, dir.path().join(hash.to_string())).unwrap();
    drop(store);
    assert_eq!(sound(dir.path()).list(), []);
}
