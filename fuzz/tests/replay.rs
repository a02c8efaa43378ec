//! Every kept input, and every seed, through its target: what the fuzzer found once is not found again.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use vigo_fuzz::kept::{Shelf, file, read};
use vigo_fuzz::{TARGETS, find};

/// Bytes of all corpora and regressions together, as text.
const KEPT_BYTES: u64 = 3 << 20;

fn replay(shelf: Shelf) {
    for target in TARGETS {
        for input in read(shelf, target.name).expect("hex") {
            let shown = hex::encode(&input[..input.len().min(64)]);
            let ran = std::panic::catch_unwind(|| (target.run)(&input));
            assert!(ran.is_ok(), "{} does not take a kept input that begins with {shown}", target.name);
        }
    }
}

#[test]
fn the_corpora_are_taken() {
    replay(Shelf::Corpus);
}

#[test]
fn what_was_found_once_is_not_found_again() {
    replay(Shelf::Regressions);
}

#[test]
fn seeds_are_taken() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        seeds.iter().for_each(|seed| (target.run)(seed));
    }
}

#[test]
fn whatever_comes_is_taken() {
    for target in TARGETS {
        for long in [0usize, 1, 2, 3, 16, 255, 2_000] {
            for byte in [0u8, 1, 0x41, 0x9f, 0xff] {
                (target.run)(&vec![byte; long]);
            }
            let ramp: Vec<u8> = (0..long).map(|n| (n * 7) as u8).collect();
            (target.run)(&ramp);
        }
    }
}

#[test]
fn names_are_files_and_files_are_names() {
    let names: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names.len(), TARGETS.len(), "a name is used once");
    let mut bytes = 0;
    for folder in ["corpus", "regressions"] {
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).expect("it is there") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().to_string_lossy().into_owned();
            let target = name.strip_suffix(".hex").and_then(find);
            assert!(target.is_some(), "fuzz/{folder}/{name} is of no target");
            bytes += entry.metadata().expect("its size").len();
        }
    }
    assert!(bytes < KEPT_BYTES, "{bytes} bytes are kept, at most {KEPT_BYTES} are: fuzz/run --keep");
    for target in TARGETS {
        assert!(file(Shelf::Corpus, target.name).is_file(), "{} has no corpus: fuzz/run --keep", target.name);
    }
}
