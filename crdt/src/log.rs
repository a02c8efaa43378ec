//! The log: one writer, and every entry matters.
//!
//! An entry is a record of kind [`LOG`] whose payload begins with its number and the id of the entry before it, so
//! that the id of one entry stands for all before it. The number is the record's own sequence: who writes a log puts
//! nothing else into that space.
//!
//! [`Chain`] is a pure function of the entries somebody holds: it says how long the log is and what is wrong with
//! it. It never decides what follows from that, and does not read what entries say.

use std::collections::BTreeMap;
use std::fmt;

use vigo_base::Hash;
use vigo_base::codec::BadBytes;

use crate::record::Record;

/// The kind of every record that is an entry of a log.
pub const LOG: u16 = 5;
/// How many damages of one log are listed.
pub const DAMAGES: usize = 64;

/// One entry, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'r> {
    /// Its place, from 1.
    pub number: u64,
    /// The id of the entry before it; all zero for the first.
    pub previous: Hash,
    /// What it says.
    pub body: &'r [u8],
}

/// The payload of an entry.
pub fn payload(number: u64, previous: &Hash, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(40 + body.len());
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&previous.0);
    out.extend_from_slice(body);
    out
}

/// The entry in a record.
///
/// # Errors
/// [`BadBytes::Malformed`] if the payload is none, or its number is not the record's sequence.
pub fn read(record: &Record) -> Result<Line<'_>, BadBytes> {
    let cut = || BadBytes::Malformed("an entry of a log has a number and the id of the one before".into());
    let (number, rest) = record.payload().split_first_chunk::<8>().ok_or_else(cut)?;
    let (previous, body) = rest.split_first_chunk::<32>().ok_or_else(cut)?;
    let (number, previous) = (u64::from_be_bytes(*number), Hash(*previous));
    if number != record.seq() {
        let why = format!("entry number {number} of a log in a record with sequence {}", record.seq());
        return Err(BadBytes::Malformed(why));
    }
    Ok(Line { number, previous, body })
}

/// What is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// These entries are not here, though later ones are.
    Missing {
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
    },
    /// An entry names another one before it than the one that is there.
    Link {
        /// The entry.
        number: u64,
        /// What it names.
        says: Hash,
        /// What is there.
        found: Hash,
    },
    /// Two entries have one number.
    Fork {
        /// The number.
        number: u64,
        /// The lower and the higher id.
        ids: (Hash, Hash),
    },
    /// A record in the log that is no entry.
    Unreadable {
        /// Its sequence.
        number: u64,
        /// What is wrong with it.
        why: String,
    },
    /// Somebody has seen this entry, and the log that is here ends before it.
    Short {
        /// The entry that was seen.
        number: u64,
        /// Its id.
        id: Hash,
        /// How long the log is.
        length: u64,
    },
    /// Somebody has seen another entry with this number.
    Differs {
        /// The number.
        number: u64,
        /// What was seen.
        seen: Hash,
        /// What is here.
        found: Hash,
    },
}

impl Damage {
    /// The number of the entry where it is, or begins.
    pub fn number(&self) -> u64 {
        match self {
            Damage::Missing { from, .. } => *from,
            Damage::Link { number, .. }
            | Damage::Fork { number, .. }
            | Damage::Unreadable { number, .. }
            | Damage::Short { number, .. }
            | Damage::Differs { number, .. } => *number,
        }
    }

    /// One word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Damage::Missing { .. } => "missing",
            Damage::Link { .. } => "link",
            Damage::Fork { .. } => "fork",
            Damage::Unreadable { .. } => "unreadable",
            Damage::Short { .. } => "short",
            Damage::Differs { .. } => "differs",
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Missing { from, to } if from == to => {
                write!(f, "entry {from} is missing: it was dropped")
            }
            Damage::Missing { from, to } => {
                write!(f, "entries {from} to {to} are missing: they were dropped")
            }
            Damage::Link { number, says, found } => write!(
                f,
                "entry {number} follows {} and not {}: what stands before it was changed or put in another order",
                says.short(),
                found.short()
            ),
            Damage::Fork { number, ids } => write!(
                f,
                "two entries have the number {number} ({}, {}): the log was rewritten from there, or its key is in two hands",
                ids.0.short(),
                ids.1.short()
            ),
            Damage::Unreadable { number, why } => write!(f, "entry {number} cannot be read: {why}"),
            Damage::Short { number, id, length } => write!(
                f,
                "entry {number} ({}) was seen, and the log ends at {length}: its end was cut off",
                id.short()
            ),
            Damage::Differs { number, seen, found } => write!(
                f,
                "entry {number} was seen as {} and is {} here: the log was rewritten",
                seen.short(),
                found.short()
            ),
        }
    }
}

/// What the entries that somebody holds of one log come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain {
    /// The highest number.
    length: u64,
    /// The ids by number, ascending; more than one is a fork.
    ids: BTreeMap<u64, Vec<Hash>>,
    damage: Vec<Damage>,
}

impl Chain {
    /// Looks at the entries of one author in one space, in any order.
    pub fn of<'r>(records: impl IntoIterator<Item = &'r Record>) -> Chain {
        let mut chain = Chain::default();
        let mut links: BTreeMap<(u64, Hash), Hash> = BTreeMap::new();
        let mut unreadable: BTreeMap<(u64, Hash), String> = BTreeMap::new();
        for record in records {
            let place = (record.seq(), record.id());
            match read(record) {
                Ok(line) => drop(links.insert(place, line.previous)),
                Err(why) => drop(unreadable.insert(place, why.to_string())),
            }
        }
        for ((number, _), why) in unreadable {
            chain.damaged(Damage::Unreadable { number, why });
        }
        for (number, id) in links.keys() {
            chain.ids.entry(*number).or_default().push(*id);
        }
        chain.length = chain.ids.last_key_value().map_or(0, |(number, _)| *number);
        let mut expected = 1;
        for (number, ids) in chain.ids.clone() {
            if number > expected {
                chain.damaged(Damage::Missing { from: expected, to: number - 1 });
            }
            expected = number.saturating_add(1);
            if let [low, high, ..] = ids.as_slice() {
                chain.damaged(Damage::Fork { number, ids: (*low, *high) });
            }
            for id in ids {
                let says = links.get(&(number, id)).copied().unwrap_or_default();
                if let Some(found) = chain.unlinked(number, &says) {
                    chain.damaged(Damage::Link { number, says, found });
                }
            }
        }
        chain.damage.sort_by_key(Damage::number);
        chain
    }

    /// What stands before entry `number`, if that is here and not what the entry says.
    fn unlinked(&self, number: u64, says: &Hash) -> Option<Hash> {
        if number == 1 {
            return (*says != Hash::default()).then(Hash::default);
        }
        let before = self.ids.get(&(number - 1))?;
        if before.contains(says) { None } else { before.first().copied() }
    }

    fn damaged(&mut self, damage: Damage) {
        if self.damage.len() < DAMAGES {
            self.damage.push(damage);
        }
    }

    /// How many entries there must be: the highest number.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The id of the last entry; of two, the lower, which is the one that counts.
    pub fn head(&self) -> Option<Hash> {
        self.ids.last_key_value().and_then(|(_, ids)| ids.first()).copied()
    }

    /// How many numbers are here.
    pub fn entries(&self) -> usize {
        self.ids.len()
    }

    /// What is wrong, by number; at most [`DAMAGES`].
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// What is wrong if somebody has seen entry `number` as `id`.
    pub fn against(&self, number: u64, id: &Hash) -> Option<Damage> {
        match self.ids.get(&number) {
            Some(ids) if ids.contains(id) => None,
            Some(ids) => {
                let found = ids.first().copied().unwrap_or_default();
                Some(Damage::Differs { number, seen: *id, found })
            }
            None if number > self.length => Some(Damage::Short { number, id: *id, length: self.length }),
            // A gap, and said so already.
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Space;
    use vigo_base::{SecretKey, SpannerId, Stamp};

    fn key() -> SecretKey {
        SecretKey::from_seed([1; 32])
    }

    fn entry(number: u64, previous: &Hash, text: &str) -> Record {
        let payload = payload(number, previous, text.as_bytes());
        let space = Space::audit(&key().public());
        Record::sign(&key(), &SpannerId::default(), space, number, LOG, Stamp(number), payload).unwrap()
    }

    /// A log of these texts.
    fn log(texts: &[&str]) -> Vec<Record> {
        let mut records: Vec<Record> = Vec::new();
        for (i, text) in texts.iter().enumerate() {
            let previous = records.last().map_or(Hash::default(), Record::id);
            records.push(entry(i as u64 + 1, &previous, text));
        }
        records
    }

    fn words(records: &[Record]) -> Vec<(&'static str, u64)> {
        Chain::of(records).damage().iter().map(|d| (d.word(), d.number())).collect()
    }

    #[test]
    fn a_whole_log_is_intact_in_any_order() {
        let mut records = log(&["a", "b", "c", "d"]);
        let head = records[3].id();
        for _ in 0..4 {
            records.rotate_left(1);
            let chain = Chain::of(&records);
            assert_eq!((chain.length(), chain.head(), chain.entries()), (4, Some(head), 4));
            assert_eq!(chain.damage(), []);
            assert_eq!(chain.against(4, &head), None);
        }
        let nothing = Chain::of([]);
        assert_eq!((nothing.length(), nothing.head(), nothing.damage().len()), (0, None, 0));
    }

    #[test]
    fn every_tampering_is_seen_and_named() {
        let whole = log(&["a", "b", "c", "d", "e"]);
        let without =
            |n: usize| whole.iter().enumerate().filter(move |(i, _)| *i != n).map(|(_, r)| r.clone());
        assert_eq!(words(&without(2).collect::<Vec<_>>()), [("missing", 3)]);
        assert_eq!(words(&without(0).collect::<Vec<_>>()), [("missing", 1)]);
        // One entry edited, with the author's own key.
        let mut edited = whole.clone();
        edited[2] = entry(3, &whole[1].id(), "C");
        assert_eq!(words(&edited), [("link", 4)]);
        // Two entries that changed places, each with its new number.
        let mut swapped = whole.clone();
        swapped[1] = entry(2, &whole[0].id(), "c");
        swapped[2] = entry(3, &swapped[1].id(), "b");
        assert_eq!(words(&swapped), [("link", 4)]);
        // Old and new side by side.
        let both: Vec<Record> = whole.iter().cloned().chain([edited[2].clone()]).collect();
        assert_eq!(words(&both), [("fork", 3)]);
        // A first entry that follows something.
        assert_eq!(words(&[entry(1, &Hash::of(b"x"), "a")]), [("link", 1)]);
    }

    #[test]
    fn what_a_log_alone_cannot_show_whoever_saw_it_can() {
        let whole = log(&["a", "b", "c", "d"]);
        let head = whole[3].id();
        let cut = Chain::of(&whole[..2]);
        assert_eq!(cut.damage(), [], "a log that was cut looks whole");
        assert_eq!(cut.against(4, &head).map(|d| (d.word(), d.number())), Some(("short", 4)));
        let rewritten = Chain::of(&log(&["a", "b", "C", "D"]));
        assert_eq!(rewritten.damage(), []);
        assert_eq!(rewritten.against(4, &head).map(|d| (d.word(), d.number())), Some(("differs", 4)));
        assert_eq!(rewritten.against(2, &whole[1].id()), None);
    }

    #[test]
    fn an_entry_has_the_number_of_its_record() {
        let space = Space::audit(&key().public());
        let sign = |payload: Vec<u8>| {
            Record::sign(&key(), &SpannerId::default(), space.clone(), 7, LOG, Stamp(1), payload).unwrap()
        };
        assert!(read(&sign(payload(7, &Hash::default(), b"x"))).is_ok());
        assert!(read(&sign(payload(8, &Hash::default(), b"x"))).is_err());
        assert!(read(&sign(vec![0; 39])).is_err());
        assert_eq!(words(&[sign(vec![0; 39])]), [("unreadable", 7)]);
    }
}
