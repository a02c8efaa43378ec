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
    if let Ok(Opened::Record(record)) = gossip::open(bytes) {
        assert_eq!(gossip::seal(&record).as_deref(), Some(bytes), "one spelling of a gossiped message");
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
