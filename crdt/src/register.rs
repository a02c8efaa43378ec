//! The register: one writer, only the latest matters.
//!
//! A register record's payload begins with its slot; for each (author, slot) the record with the highest
//! (seq, id) is the value. Older ones are superseded and forgotten. Stamps are not looked at.

use vigo_base::codec::BadBytes;

use crate::record::Record;

/// The kind of every record that is a register.
pub const REGISTER: u16 = 4;

/// Which of an author's registers: below [`SLOTS`].
pub type Slot = u16;

/// How many registers one author may have in a space. Fixed, so that every node holds the same ones.
pub const SLOTS: Slot = 64;

/// The payload of a register record.
pub fn payload(slot: Slot, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 + value.len());
    out.extend_from_slice(&slot.to_be_bytes());
    out.extend_from_slice(value);
    out
}

/// The slot and the value in a register record.
///
/// # Errors
/// [`BadBytes::Malformed`] if the payload has no slot, or one out of bounds.
pub fn read(record: &Record) -> Result<(Slot, &[u8]), BadBytes> {
    match record.payload().split_first_chunk::<2>() {
        Some((slot, value)) if Slot::from_be_bytes(*slot) < SLOTS => Ok((Slot::from_be_bytes(*slot), value)),
        Some(_) => Err(BadBytes::Malformed(format!("a register's slot is below {SLOTS}"))),
        None => Err(BadBytes::Malformed("a register without a slot".into())),
    }
}
