//! The envelope of a record, as it came and with a signature that holds, and what looks into a record.

use vigo_base::Hash;
use vigo_crdt::{Record, Unverified, log, register};
use vigo_spanner::{ForkProof, SpendRecord};
use vigo_swarm::gossip::{self, Opened};

use crate::Target;
use crate::smith::{Smith, resigned};
use crate::world::{key, world};

pub const TARGET: Target = Target {
    name: "envelope",
    about: "the envelope of a record, the gossiped message around it, registers, log entries, spends and forks in it",
    run,
    seeds,
    longest: 4_096,
};

/// Whose records the fuzzer signs.
const AUTHOR: u8 = 50;

fn run(bytes: &[u8]) {
    if let Ok(unverified) = Unverified::decode(bytes) {
        assert_eq!(unverified.id(), Hash::of(bytes));
        if let Ok(record) = unverified.verify(&world().spanner) {
            look(&record, bytes);
        }
    }
    if let Some(signed) = resigned(bytes, &key(AUTHOR)) {
        if let Ok(unverified) = Unverified::decode(&signed) {
            unverified.key();
            let record = unverified.verify(&world().spanner).expect("it was signed");
            look(&record, &signed);
        }
        if let Some(sealed) = gossip::seal(&signed) {
            assert_eq!(gossip::open(&sealed), Ok(Opened::Record(signed)));
        }
    }
    nobody(bytes);
    if let Ok(Opened::Record(record)) = gossip::open(bytes) {
        assert_eq!(gossip::seal(&record).as_deref(), Some(bytes), "one spelling of a gossiped message");
    }
}

/// The points of small order, as they are spelled and as they must not be: whoever takes one for a key takes any
/// message for signed by it (R9).
const NOBODY: [&str; 12] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/// The same envelope by one of these keys, with the signature that a lax check would take.
fn nobody(bytes: &[u8]) {
    let Some(mut signed) = resigned(bytes, &key(AUTHOR)) else { return };
    let (at, end) = (2 + usize::from(signed[1]), signed.len() - 64);
    let pick = |n: u8| hex::decode(NOBODY[usize::from(n) % NOBODY.len()]).expect("hex");
    signed[at..at + 32].copy_from_slice(&pick(bytes[bytes.len() - 2]));
    signed[end..end + 32].copy_from_slice(&pick(bytes[bytes.len() - 1]));
    signed[end + 32..].fill(0);
    if let Ok(unverified) = Unverified::decode(&signed) {
        assert!(unverified.clone().verify(&world().spanner).is_err(), "nobody signed it");
        assert!(unverified.trusted().is_err(), "nobody's key is none");
    }
}

fn look(record: &Record, bytes: &[u8]) {
    assert_eq!(record.bytes()[..], *bytes);
    let again = Unverified::decode(bytes).and_then(Unverified::trusted).expect("the store takes it back");
    assert_eq!(again, *record);
    if let Ok((slot, value)) = register::read(record) {
        assert_eq!(register::payload(slot, value), record.payload());
    }
    if let Ok(line) = log::read(record) {
        assert_eq!(log::payload(line.number, &line.previous, line.body), record.payload());
    }
    log::Chain::of([record]);
    if let Ok(spend) = SpendRecord::read(record, &world().spanner) {
        assert_eq!(spend.record(), record);
    }
    if let Ok(proof) = ForkProof::read(record.payload(), &world().spanner) {
        assert_eq!(proof.encode().as_deref(), Some(record.payload()), "one spelling of a fork");
    }
}

fn seeds() -> Vec<Vec<u8>> {
    // Without their signatures, which are made anew; and a gossiped one, as it travels.
    let records = world().disk.records.values();
    let mut all: Vec<Vec<u8>> = records.map(|r| r[..r.len() - 64].to_vec()).collect();
    for kind in 0..8 {
        let bytes =
            Smith::new(&[2, 16, 0, kind, 1, 0, 0, 5, b'h', b'e', b'l', b'l', b'o', 0, 0, 2, 9, 9]).record();
        all.extend(gossip::seal(&bytes));
        all.push(bytes[..bytes.len() - 64].to_vec());
    }
    all
}
