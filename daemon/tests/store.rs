//! The record store against a disk that lies, tears, rots and fills up (promises R4 and R5).
//!
//! Each promise has its planted fault beside it: the same check run where it must fail.

mod disk;

use std::collections::BTreeMap;
use std::sync::Arc;

use disk::{Disk, DiskShelf};
use vigo_base::{Dice, Hash};
use vigo_daemon::store::{Damage, FileShelf, Loaded, Seal, Shelf, Store, StoreError, StoreOp};

/// What a store must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Model {
    records: BTreeMap<Hash, Arc<[u8]>>,
    meta: BTreeMap<String, Vec<u8>>,
}

impl Model {
    fn apply(&mut self, ops: &[StoreOp]) {
        for op in ops {
            match op.clone() {
                StoreOp::Put { id, bytes } => drop(self.records.insert(id, bytes)),
                StoreOp::Remove { id } => drop(self.records.remove(&id)),
                StoreOp::PutMeta { key, value } => drop(self.meta.insert(key, value)),
            }
        }
    }

    fn of(loaded: &Loaded) -> Model {
        Model { records: loaded.records.iter().cloned().collect(), meta: loaded.meta.clone() }
    }
}

fn seal() -> Seal {
    Seal::new(b"the seed of a test node")
}

fn record(dice: &mut Dice) -> StoreOp {
    let size = match dice.below(8) {
        0 => 20_000 + dice.below(12_000),
        _ => 100 + dice.below(400),
    };
    record_of(dice, size)
}

fn record_of(dice: &mut Dice, size: u64) -> StoreOp {
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < size {
        bytes.extend_from_slice(&dice.bytes());
    }
    StoreOp::Put { id: Hash::of(&bytes), bytes: Arc::from(bytes) }
}

/// The ops of one wake-up: records mostly, some forgotten, a few values.
fn wake_up(dice: &mut Dice, model: &Model) -> Vec<StoreOp> {
    let mut ops: Vec<StoreOp> = (0..1 + dice.below(6)).map(|_| record(dice)).collect();
    if let (true, Some(id)) = (dice.one_in(2), model.records.keys().next()) {
        ops.push(StoreOp::Remove { id: *id });
    }
    let key = format!("key{}", dice.below(4));
    if dice.one_in(2) {
        ops.push(StoreOp::PutMeta { key, value: dice.bytes().repeat(1 + dice.below(40) as usize) });
    }
    ops
}

/// Runs up to twelve wake-ups on a disk that fails at its operation `fuse`, cuts the power, starts again.
/// Says whether everything acknowledged is there and nothing was reported damaged.
fn crash_once(seed: u64, fuse: u64, honest: bool) -> Result<(), String> {
    let mut dice = Dice::from_number(seed);
    let shelf = DiskShelf::new(honest);
    let (mut acked, mut tried) = (Model::default(), Model::default());
    shelf.fail_at(fuse);
    if let Ok((mut store, _)) = Store::open_on(shelf.clone(), seal()) {
        for _ in 0..12 {
            let ops = wake_up(&mut dice, &acked);
            tried.apply(&ops);
            if store.commit(&ops).is_err() {
                break;
            }
            acked = tried.clone();
        }
    }
    shelf.cut_power(&mut dice);
    let (mut store, loaded) = Store::open_on(shelf, seal()).map_err(|e| format!("does not start: {e}"))?;
    let found = Model::of(&loaded);
    if found != acked && found != tried {
        return Err(format!("{} records, {} were acknowledged", found.records.len(), acked.records.len()));
    }
    if !loaded.damaged.is_empty() {
        return Err(format!("a crash was taken for damage: {:?}", loaded.damaged));
    }
    store.commit(&[record(&mut dice)]).map_err(|e| format!("does not write: {e}"))
}

#[test]
fn nothing_acknowledged_is_lost_in_a_thousand_crashes() {
    let mut fuses = Dice::from_number(4);
    for seed in 0..1_000 {
        let fuse = fuses.below(500);
        if let Err(why) = crash_once(seed, fuse, true) {
            panic!("seed {seed}, power cut at disk operation {fuse}: {why}");
        }
    }
}

#[test]
fn the_crash_test_finds_a_disk_that_only_pretends_to_flush() {
    let lost = (0..200).filter(|seed| crash_once(*seed, 100 + seed, false).is_err()).count();
    assert!(lost > 20, "only {lost} of 200");
}

/// A small store, closed: its files, what is in it, and what ever was.
fn small_store() -> (DiskShelf, Model, Model) {
    let shelf = DiskShelf::new(true);
    let (mut store, _) = Store::open_on(shelf.clone(), seal()).unwrap();
    let (mut dice, mut model) = (Dice::from_number(11), Model::default());
    for i in 0..6 {
        let mut ops: Vec<StoreOp> = (0..4).map(|_| record_of(&mut dice, 150)).collect();
        ops.push(record_of(&mut dice, 400 + 1_000 * i));
        ops.push(StoreOp::PutMeta { key: format!("key{}", i % 4), value: dice.bytes().to_vec() });
        store.commit(&ops).unwrap();
        model.apply(&ops);
    }
    let ever = model.clone();
    let ops = [StoreOp::Remove { id: *model.records.keys().next().unwrap() }];
    store.commit(&ops).unwrap();
    model.apply(&ops);
    (shelf, model, ever)
}

/// Opens a store whose file was meddled with: it must open, serve no wrong byte, and notice unless nothing
/// is missing. `ever` is all that was ever stored.
fn judge(shelf: DiskShelf, model: &Model, ever: &Model) -> Result<bool, String> {
    let (mut store, loaded) = Store::open_on(shelf, seal()).map_err(|e| format!("does not open: {e}"))?;
    for (id, bytes) in &loaded.records {
        if Hash::of(bytes) != *id || ever.records.get(id) != Some(bytes) {
            return Err(format!("wrong bytes for {id}"));
        }
    }
    let noticed = !loaded.damaged.is_empty();
    if Model::of(&loaded) != *model && !noticed {
        return Err("something is missing and nobody noticed".into());
    }
    store.commit(&[record(&mut Dice::from_number(1))]).map_err(|e| format!("does not write: {e}"))?;
    Ok(noticed)
}

fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        if !info.location().is_some_and(|l| l.file().contains("redb")) {
            eprintln!("{info}");
        }
    }));
}

/// Sampling: the first 320 bytes (redb's header and commit slots), the first 16 of every page that is not
/// all zeros (its kind and counts) and then every 61st, one of every page of zeros (never used); one seeded
/// bit of each. `VIGO_LONG=1` (.ci/long) takes every byte of the pages that are not all zeros.
#[test]
fn every_flipped_byte_is_noticed_or_harmless() {
    quiet_panics();
    let (shelf, model, ever) = small_store();
    let image = shelf.image();
    let long = std::env::var_os("VIGO_LONG").is_some();
    let used: Vec<bool> = image.chunks(4096).map(|page| page.iter().any(|b| *b != 0)).collect();
    let sampled = |at: &usize| match used[at / 4096] {
        true => long || *at < 320 || at % 4096 < 16 || at.is_multiple_of(61),
        false => at % 4096 == 77,
    };
    let mut dice = Dice::from_number(5);
    let flips: Vec<(usize, u64)> = (0..image.len()).filter(sampled).map(|at| (at, dice.below(8))).collect();
    let flip = |&(at, bit): &(usize, u64)| {
        let mut bad = image.clone();
        bad[at] ^= 1 << bit;
        let verdict = judge(shelf.with_image(bad), &model, &ever);
        usize::from(verdict.unwrap_or_else(|why| panic!("byte {at}: {why}")))
    };
    let (tried, halves) = (flips.len(), flips.split_at(flips.len() / 2));
    let noticed: usize = std::thread::scope(|scope| {
        let first = scope.spawn(|| halves.0.iter().map(flip).sum::<usize>());
        let second: usize = halves.1.iter().map(flip).sum();
        second + first.join().expect("the first half holds")
    });
    let pages = used.iter().filter(|used| **used).count();
    println!("{tried} bytes of {pages} used pages flipped: {noticed} noticed, the rest harmless, 0 wrong");
    assert!(noticed * 8 > tried, "hardly a flip hit anything");
}

/// Sampling: every length up to 8 KiB by 64, then 300 seeded lengths; each cut, and each zeroed from there.
#[test]
fn every_cut_is_noticed() {
    quiet_panics();
    let (shelf, model, ever) = small_store();
    let image = shelf.image();
    let mut dice = Dice::from_number(6);
    let lengths = (0..8_192).step_by(64).chain((0..300).map(|_| dice.below(image.len() as u64) as usize));
    for length in lengths.collect::<Vec<_>>() {
        let cut = judge(shelf.with_image(image[..length].to_vec()), &model, &ever);
        assert_eq!(cut, Ok(true), "cut at {length}");
        let mut zeroed = image.clone();
        zeroed[length..].fill(0);
        judge(shelf.with_image(zeroed), &model, &ever).unwrap_or_else(|why| panic!("zeroed {length}: {why}"));
    }
}

#[test]
fn a_file_from_before_the_last_commits_is_noticed() {
    let shelf = DiskShelf::new(true);
    let mut dice = Dice::from_number(3);
    let (mut store, _) = Store::open_on(shelf.clone(), seal()).unwrap();
    store.commit(&[record(&mut dice)]).unwrap();
    let before = shelf.image();
    store.commit(&[record(&mut dice)]).unwrap();
    drop(store);
    let (_, loaded) = Store::open_on(shelf.with_image(before), seal()).unwrap();
    assert!(matches!(&loaded.damaged[..], [Damage::File { why, .. }] if why.contains("went back")));
    let gone = shelf.without_store();
    let (_, loaded) = Store::open_on(gone, seal()).unwrap();
    assert!(matches!(&loaded.damaged[..], [Damage::File { why, aside: None, .. }] if why.contains("gone")));
}

#[test]
fn a_full_disk_is_told_and_overcome() {
    let shelf = DiskShelf::new(true);
    let mut dice = Dice::from_number(9);
    let (mut store, _) = Store::open_on(shelf.clone(), seal()).unwrap();
    let mut model = Model::default();
    for room in [0, 1, 3, 5, 9] {
        let ops = wake_up(&mut dice, &model);
        shelf.fill_after(Some(room));
        match store.commit(&ops) {
            Err(StoreError::DiskFull { place }) => assert_eq!(place, "a test disk"),
            Ok(()) => {}
            other => panic!("{other:?}"),
        }
        shelf.fill_after(None);
        store.commit(&ops).unwrap();
        model.apply(&ops);
    }
    drop(store);
    let (_, loaded) = Store::open_on(shelf.clone(), seal()).unwrap();
    assert_eq!((Model::of(&loaded), loaded.damaged), (model, vec![]));
    shelf.fill_after(Some(0));
    assert!(matches!(Store::open_on(shelf, seal()), Err(StoreError::DiskFull { .. })));
}

#[test]
fn a_full_disk_stops_a_salvage_and_loses_nothing() {
    let (shelf, model, _) = small_store();
    let mut image = shelf.image();
    image[0] ^= 1;
    let shelf = shelf.with_image(image);
    shelf.fill_after(Some(2));
    assert!(matches!(Store::open_on(shelf.clone(), seal()), Err(StoreError::DiskFull { .. })));
    shelf.fill_after(None);
    let (_, loaded) = Store::open_on(shelf, seal()).unwrap();
    assert!(model.records.keys().all(|id| loaded.records.iter().any(|(found, _)| found == id)));
    assert_eq!(loaded.meta, model.meta);
}

#[test]
fn wrong_ids_and_sizes_are_refused_before_anything_is_written() {
    let shelf = DiskShelf::new(true);
    let (mut store, _) = Store::open_on(shelf.clone(), seal()).unwrap();
    let good = record(&mut Dice::from_number(1));
    let wrong = StoreOp::Put { id: Hash::of(b"other"), bytes: Arc::from(*b"bytes") };
    assert!(matches!(store.commit(&[good, wrong]), Err(StoreError::WrongId { .. })));
    let big: Arc<[u8]> = Arc::from(vec![0; 32 * 1024 + 1]);
    let big = StoreOp::Put { id: Hash::of(&big), bytes: big };
    assert!(matches!(store.commit(&[big]), Err(StoreError::TooLarge { .. })));
    let long = StoreOp::PutMeta { key: "k".repeat(257), value: vec![] };
    assert!(matches!(store.commit(&[long]), Err(StoreError::TooLarge { .. })));
    drop(store);
    assert!(Store::open_on(shelf, seal()).unwrap().1.records.is_empty());
}

#[test]
fn on_real_files_a_second_node_is_refused_and_damage_is_kept_aside() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(dir.path(), seal()).unwrap();
    let mut dice = Dice::from_number(2);
    let ops: Vec<StoreOp> = (0..20).map(|_| record(&mut dice)).collect();
    store.commit(&ops).unwrap();
    let refused = Store::open(dir.path(), seal()).unwrap_err();
    assert!(matches!(refused, StoreError::Locked { .. }), "{refused}");
    assert!(refused.to_string().contains("another vigo node runs on this state directory"));
    drop(store);
    for round in 1..=5 {
        let path = dir.path().join("records.redb");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[9_000..9_100].fill(0xff);
        bytes[3] = 0;
        std::fs::write(&path, &bytes).unwrap();
        let (_, loaded) = Store::open(dir.path(), seal()).unwrap();
        let [Damage::File { aside: Some(name), records, .. }] = &loaded.damaged[..] else {
            panic!("{:?}", loaded.damaged)
        };
        assert_eq!(*name, format!("records.redb.damaged-{round}"));
        assert_eq!(std::fs::read(dir.path().join(name)).unwrap(), bytes, "kept unchanged");
        assert!(*records >= 18, "{records} of 20 saved");
        let (_, again) = Store::open(dir.path(), seal()).unwrap();
        assert_eq!((again.records, again.damaged), (loaded.records, vec![]));
    }
    let kept = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(kept, 3 + 2, "three damaged files, the store, the witness");
    let mut shelf = FileShelf::new(dir.path());
    assert!(shelf.witness().is_some());
}

#[test]
fn one_changed_record_is_dropped_by_name() {
    // Not rot, which redb's page sums tell, but wrong bytes written whole: another node's seal.
    let shelf = DiskShelf::new(true);
    let (mut store, _) = Store::open_on(shelf.clone(), Seal::new(b"another node")).unwrap();
    let op = record(&mut Dice::from_number(1));
    store.commit(std::slice::from_ref(&op)).unwrap();
    drop(store);
    let (_, loaded) = Store::open_on(shelf.clone(), seal()).unwrap();
    assert!(loaded.records.is_empty());
    assert!(!loaded.damaged.is_empty());
    assert!(Store::open_on(shelf, seal()).unwrap().1.damaged.is_empty());
}

#[test]
fn the_bench_measures_something() {
    let dir = tempfile::tempdir().unwrap();
    let figures = vigo_daemon::store::bench_commit(dir.path(), 2_000, 100).unwrap();
    println!("{figures:?}");
    assert!(figures.records_per_second > 0.0 && figures.flushes_per_second > 0.0);
    let _ = Disk::default();
}
