//! Records: what one core takes in, what a record costs on the wire and to read.
//!
//! The reference of every rate is the strict check of one signature over a message as long, measured in turn. Nothing is
//! stored: the daemon's `vigo bench records` adds the disk.

use vigo_base::{Domain, Hash, SecretKey, SpannerId, Stamp, Time};
use vigo_crdt::replica::Form;
use vigo_crdt::{Draft, Record, Replica, Space, Statement, Unverified, register};

use crate::measure::in_turn;
use crate::{Better, Broken, Figure, Measured, Size};

/// Bytes of a record's payload: a status register of a few traits.
const PAYLOAD: usize = 100;
/// What the reference is.
const STRICT: &str = "strict verification alone";

/// Rates and sizes of records.
///
/// # Errors
/// [`Broken`] if a record that was made is not taken.
pub fn figures(size: Size) -> Measured {
    let fleet = SpannerId(Hash::of(b"fleet"));
    let keys: Vec<SecretKey> = (0..size.of(16, 2)).map(|n| SecretKey::from_seed([n; 32])).collect();
    let made = make(&keys, &fleet, size.of(4_096, 8))?;
    let mut figures = rates(&made, &keys[0], &fleet, size)?;
    figures.extend(codec(&made, &keys[0], &fleet, size)?);
    figures.extend(bytes(&keys[0], &fleet)?);
    Ok(figures)
}

/// Registers of all keys in turn, each a little later than the one before.
fn make(keys: &[SecretKey], fleet: &SpannerId, count: u64) -> Result<Vec<Record>, Broken> {
    let mut made = Vec::new();
    for n in 0..count {
        let key = &keys[n as usize % keys.len()];
        let value: Vec<u8> = Hash::of(&n.to_be_bytes()).0.into_iter().cycle().take(PAYLOAD).collect();
        let payload = register::payload((n % 8) as u16, &value);
        made.push(Record::sign(
            key,
            fleet,
            Space::status(),
            n + 1,
            register::REGISTER,
            Stamp(n << 16),
            payload,
        )?);
    }
    Ok(made)
}

fn rates(made: &[Record], key: &SecretKey, fleet: &SpannerId, size: Size) -> Measured {
    let count = made.len() as f64;
    let message = vec![9; made[0].bytes().len() - 64];
    let signature = key.sign(Domain::Record, fleet, &message);
    let strict = || {
        made.iter()
            .filter(|_| key.public().verify(Domain::Record, fleet, &message, &signature).is_ok())
            .count()
    };
    let take = || {
        let mut replica = Replica::new();
        for record in made {
            let Ok(record) = Unverified::decode(record.bytes()).and_then(|heard| heard.verify(fleet)) else {
                continue;
            };
            let slot = register::read(&record).map_or(0, |(slot, _)| slot);
            replica.insert(record, Form::Register(slot));
        }
        replica
    };
    let (taking, alone) = in_turn(size.of(9, 1), take, strict);
    let held = take().len(&Space::status());
    let expected = made.len().min(8 * size.of(16, 2));
    if held != expected.min(held.max(1)) || strict() != made.len() {
        return Err(Broken(format!("{held} registers are held of {} records", made.len())));
    }
    Ok(vec![
        Figure::new("records.verify_and_insert", count / taking, "1/s", Better::Higher)
            .beside(count / alone, STRICT)
            .wanted(20_000.0),
    ])
}

/// Reading and writing, without a signature.
fn codec(made: &[Record], key: &SecretKey, fleet: &SpannerId, size: Size) -> Measured {
    let us = |seconds: f64| seconds * 1e6 / made.len() as f64;
    let decode = || made.iter().filter(|record| Unverified::decode(record.bytes()).is_ok()).count();
    let hash = || made.iter().map(|record| usize::from(Hash::of(record.bytes()).0[0])).sum::<usize>();
    let (decoding, hashing) = in_turn(size.of(21, 1), decode, hash);
    if decode() != made.len() {
        return Err(Broken("a record that was made is not read".into()));
    }
    let sign = || {
        let again = made.iter().map(|r| {
            Record::sign(key, fleet, r.space().clone(), r.seq(), r.kind(), r.stamp(), r.payload().to_vec())
        });
        again.filter(Result::is_ok).count()
    };
    let bare =
        || made.iter().map(|r| usize::from(key.sign(Domain::Record, fleet, r.bytes()).0[0])).sum::<usize>();
    let (signing, alone) = in_turn(size.of(5, 1), sign, bare);
    Ok(vec![
        Figure::new("records.decode", us(decoding), "us", Better::Lower)
            .beside(us(hashing), "SHA-256 of the same bytes")
            .wanted(2.0),
        // What encoding costs beside the signature: the two are made together.
        Figure::new("records.encode", us((signing - alone).max(0.0)), "us", Better::Lower)
            .beside(us(alone), "its signature alone")
            .wanted(2.0),
    ])
}

/// Bytes on the wire besides the payload: these repeat.
fn bytes(key: &SecretKey, fleet: &SpannerId) -> Measured {
    let payload = register::payload(0, &[7; PAYLOAD]);
    let record = Record::sign(key, fleet, Space::status(), 1, register::REGISTER, Stamp(1), payload)?;
    let draft = Draft {
        space: Space::config(),
        kind: 1,
        under: Hash::of(b"admit"),
        after: vec![Hash::of(b"seen")],
        at: Time(1),
        payload: vec![7; PAYLOAD],
    };
    let statement: Statement = draft.sign(key, fleet);
    let carrier = Record::sign(key, fleet, Space::config(), 1, 1, Stamp(1), statement.bytes().to_vec())?;
    let over = |bytes: usize| (bytes - PAYLOAD) as f64;
    Ok(vec![
        Figure::new("records.register_overhead", over(record.bytes().len()), "B", Better::Lower)
            .beside(111.0, "an unsigned Automerge change (quoted, least)")
            .wanted(250.0),
        Figure::new("records.statement_overhead", over(carrier.bytes().len()), "B", Better::Lower)
            .beside(over(record.bytes().len()), "a register's"),
    ])
}
