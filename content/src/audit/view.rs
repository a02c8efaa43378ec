//! What the logs of all bolts say, and whether they are whole.
//!
//! Pure functions of the records, so that every bolt that holds the same says the same.

use std::collections::BTreeMap;

use vigo_base::{Hash, PublicKey, SpannerId, Time};
use vigo_crdt::log::{self, Chain, DAMAGES, Damage};
use vigo_crdt::{Record, Unverified};

use super::schema::{Entry, Kind};

/// One entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Whose log.
    pub bolt: PublicKey,
    /// Its place there.
    pub number: u64,
    /// Its id.
    pub id: Hash,
    /// What it says, or why that cannot be read.
    pub entry: Result<Entry, String>,
}

/// The entries among `records`, in their order.
pub fn rows<'r>(records: impl IntoIterator<Item = &'r Record>) -> impl Iterator<Item = Row> {
    records.into_iter().map(|record| {
        let body = log::read(record).map_err(|e| e.to_string());
        let entry = body.and_then(|line| Entry::decode(line.body).map_err(|e| e.to_string()));
        Row { bolt: record.author(), number: record.seq(), id: record.id(), entry }
    })
}

/// A damage, and who saw it otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub damage: Damage,
    /// The bolt in whose log it was seen as it was; none if the log shows it by itself.
    pub seen_by: Option<PublicKey>,
}

/// That a bolt once found a log tampered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Who found it.
    pub by: PublicKey,
    /// When, by its clock.
    pub at: Time,
    /// What, in its words.
    pub text: String,
}

/// What the log of one bolt comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// How many entries there must be.
    pub length: u64,
    /// How many are here.
    pub entries: usize,
    /// The id of the last.
    pub head: Option<Hash>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// How many anchors in other bolts' logs agree with it.
    pub anchors: usize,
    /// The last entry that such an anchor names.
    pub anchored: u64,
    /// What other bolts found in it at one time, whether or not that has been mended.
    pub alarms: Vec<Alarm>,
}

/// Checks the logs that are held here: signatures, chains, and each log against the anchors in all others.
pub fn verify(
    spanner: &SpannerId,
    logs: &BTreeMap<PublicKey, Vec<&Record>>,
) -> BTreeMap<PublicKey, Verified> {
    let chains: BTreeMap<PublicKey, Chain> =
        logs.iter().map(|(bolt, records)| (*bolt, Chain::of(records.iter().copied()))).collect();
    let mut out: BTreeMap<PublicKey, Verified> = BTreeMap::new();
    for (bolt, chain) in &chains {
        let alone = |damage: &Damage| Finding { damage: damage.clone(), seen_by: None };
        let verified = Verified {
            length: chain.length(),
            entries: chain.entries(),
            head: chain.head(),
            findings: chain.damage().iter().map(alone).collect(),
            ..Verified::default()
        };
        out.insert(*bolt, verified);
    }
    let nothing = Chain::default();
    for (by, records) in logs {
        for record in records {
            if let Some(damage) = unsigned(spanner, record) {
                found(&mut out, *by, damage, None);
            }
        }
        for entry in rows(records.iter().copied()).filter_map(|row| row.entry.ok()) {
            for anchor in entry.anchors.iter().filter(|anchor| anchor.bolt != *by) {
                match chains.get(&anchor.bolt).unwrap_or(&nothing).against(anchor.number, &anchor.id) {
                    Some(damage) => found(&mut out, anchor.bolt, damage, Some(*by)),
                    None => {
                        let verified = out.entry(anchor.bolt).or_default();
                        verified.anchors += 1;
                        verified.anchored = verified.anchored.max(anchor.number);
                    }
                }
            }
            if let (Some(Kind::Alarm), Some(bolt)) = (entry.known_kind(), entry.who.key()) {
                let alarm = Alarm { by: *by, at: entry.at, text: entry.text };
                out.entry(bolt).or_default().alarms.push(alarm);
            }
        }
    }
    out
}

fn unsigned(spanner: &SpannerId, record: &Record) -> Option<Damage> {
    let why = Unverified::decode(record.bytes()).and_then(|u| u.verify(spanner)).err()?;
    Some(Damage::Unreadable { number: record.seq(), why: why.to_string() })
}

/// Of what one bolt saw of one log only the lowest number is told: the rest follows from it.
fn found(out: &mut BTreeMap<PublicKey, Verified>, bolt: PublicKey, damage: Damage, by: Option<PublicKey>) {
    let findings = &mut out.entry(bolt).or_default().findings;
    let same = |f: &Finding| by.is_some() && f.seen_by == by && f.damage.word() == damage.word();
    match findings.iter().position(same) {
        Some(i) if findings[i].damage.number() <= damage.number() => {}
        Some(i) => findings[i].damage = damage,
        None if findings.len() < DAMAGES => findings.push(Finding { damage, seen_by: by }),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::{Anchor, Who};
    use super::*;
    use vigo_base::{SecretKey, Stamp};
    use vigo_crdt::Space;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed([seed; 32])
    }

    fn fleet() -> SpannerId {
        SpannerId::default()
    }

    fn write(log: &mut Vec<Record>, seed: u8, entry: &Entry) {
        let previous = log.last().map_or(Hash::default(), Record::id);
        let number = log.len() as u64 + 1;
        let payload = log::payload(number, &previous, &entry.encode());
        let space = Space::audit(&key(seed).public());
        log.push(
            Record::sign(&key(seed), &fleet(), space, number, log::LOG, Stamp(number), payload).unwrap(),
        );
    }

    fn said(text: &str) -> Entry {
        Entry::new(Time(1), Kind::Command, Who::Local { uid: 0 }, "", text)
    }

    fn anchors(of: &[Record]) -> Entry {
        let last = of.last().unwrap();
        let anchor = Anchor { bolt: last.author(), number: last.seq(), id: last.id() };
        Entry { anchors: vec![anchor], ..Entry::new(Time(2), Kind::Anchors, Who::Itself, "", "") }
    }

    fn look(logs: &[&[Record]]) -> BTreeMap<PublicKey, Verified> {
        let logs = logs.iter().map(|log| (log[0].author(), log.iter().collect())).collect();
        verify(&fleet(), &logs)
    }

    #[test]
    fn anchors_contradict_a_log_that_looks_whole() {
        let (mut one, mut two) = (Vec::new(), Vec::new());
        for text in ["a", "b", "c", "d"] {
            write(&mut one, 1, &said(text));
        }
        write(&mut two, 2, &anchors(&one[..3]));
        write(&mut two, 2, &anchors(&one));
        let whole = look(&[&one, &two]);
        let (a, b) = (&whole[&key(1).public()], &whole[&key(2).public()]);
        assert_eq!((a.length, a.findings.len(), a.anchors, a.anchored), (4, 0, 2, 4));
        assert_eq!((b.length, b.findings.len(), b.anchors), (2, 0, 0));

        let cut = look(&[&one[..2], &two]);
        let finding = &cut[&key(1).public()].findings;
        assert_eq!(finding.len(), 1);
        assert_eq!((finding[0].damage.word(), finding[0].damage.number()), ("short", 3));
        assert_eq!(finding[0].seen_by, Some(key(2).public()));

        let mut rewritten = one[..2].to_vec();
        for text in ["C", "D", "E"] {
            write(&mut rewritten, 1, &said(text));
        }
        let finding = &look(&[&rewritten, &two])[&key(1).public()].findings;
        assert_eq!((finding[0].damage.word(), finding[0].damage.number()), ("differs", 3));

        let gone = look(&[&two]);
        assert_eq!(gone[&key(1).public()].findings[0].damage.word(), "short", "the whole log is gone");
    }

    #[test]
    fn a_record_that_was_bent_on_disk_is_seen() {
        let mut one = Vec::new();
        for text in ["a", "b"] {
            write(&mut one, 1, &said(text));
        }
        let mut bytes = one[1].bytes().to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        one[1] = Unverified::decode(&bytes).unwrap().trusted().unwrap();
        let finding = &look(&[&one])[&key(1).public()].findings;
        assert_eq!((finding[0].damage.word(), finding[0].damage.number()), ("unreadable", 2));
    }

    #[test]
    fn alarms_are_told_with_the_log_they_are_about() {
        let (mut one, mut two) = (Vec::new(), Vec::new());
        write(&mut one, 1, &said("a"));
        let who = Who::Node { key: key(1).public(), name: "bolt1".into() };
        write(&mut two, 2, &Entry::new(Time(7), Kind::Alarm, who, "", "cut"));
        let alarms = &look(&[&one, &two])[&key(1).public()].alarms;
        assert_eq!(alarms, &[Alarm { by: key(2).public(), at: Time(7), text: "cut".into() }]);
    }
}
