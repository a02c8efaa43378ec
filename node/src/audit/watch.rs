//! Watching the logs of the other bolts: what is taken away, changed or cut shows here.
//!
//! Five things are looked at. A bolt that lacks entries of *its own* log has lost or changed its disk: it shows when
//! it asks for them, or when a comparison with it finds them on our side only. An entry that comes
//! from its own bolt with a signature that does not hold. An entry that does not follow the one
//! before it. An entry that another bolt's anchor names otherwise. A gap, or an end that lies before an anchor, that
//! nobody fills for [`GRACE`]. (Two entries with one number are a fork, which `forks` finds in every space.)
//!
//! It alarms and decides nothing: an alarm is an event, a line in the own log, and a warning in the status.

use std::collections::{BTreeMap, VecDeque};

use vigo_base::{Hash, PublicKey, Time, time};
use vigo_content::audit::{ANCHOR_EVERY, Anchor, Entry, Kind, rows};
use vigo_crdt::{Record, Space, log};

use crate::io::{Event, Output};
use crate::node::{Node, Out};

/// How long what is known to exist may be on its way.
const GRACE: u64 = time::mins(2);
/// How long an alarm is a warning in the status.
pub(super) const WARNING: u64 = time::hours(24 * 7);
/// How long something said before a bolt wrote an entry may still be on its way to us, while the entry came by another
/// way: longer than a connection lasts on which nothing gets through.
const LAG: u64 = time::secs(30);
/// Entries that came within that time; of more the oldest are taken for older.
const FRESH: usize = 1_024;
/// Entries that were seen by others and are not here yet.
const DOUBTS: usize = 4_096;

#[derive(Debug, Default)]
struct Held {
    /// All numbers up to this one are here.
    whole: u64,
    /// The highest number.
    top: u64,
    /// The highest number of an entry of another bolt that is more than anchors.
    news: u64,
    /// Up to where the own log has anchored it.
    anchored: u64,
    /// Since when there is a gap.
    gap: Option<Time>,
}

/// What is known of the other bolts' logs.
#[derive(Debug, Default)]
pub(super) struct Watch {
    logs: BTreeMap<PublicKey, Held>,
    /// What anchors name and is not here: by log and number, the id, who says so, since when; none once it was told.
    doubts: BTreeMap<(PublicKey, u64), (Hash, PublicKey, Option<Time>)>,
    /// What came lately: when, from whose log, which number.
    fresh: VecDeque<(Time, PublicKey, u64)>,
    /// When anchors may be written again.
    anchors: Time,
    /// The last alarm on each bolt, by the wall clock.
    alarms: BTreeMap<PublicKey, (Time, String)>,
    /// Where the last alarm of each sort was, so that it is not told twice.
    raised: BTreeMap<(PublicKey, &'static str), u64>,
}

impl Held {
    fn has_news(&self) -> bool {
        self.news > self.anchored && self.whole >= self.news
    }
}

impl Watch {
    pub fn next_wake(&self) -> Option<Time> {
        let news = self.logs.values().any(Held::has_news).then_some(self.anchors);
        let gap = self.logs.values().filter_map(|log| log.gap).min();
        let doubt = self.doubts.values().filter_map(|(_, _, since)| *since).min();
        news.into_iter().chain(gap.into_iter().chain(doubt).map(|since| since.after(GRACE))).min()
    }
}

impl Node {
    /// Reads all logs that the store held.
    pub(super) fn watch_boot(&mut self, now: Time, out: &mut Out) {
        for space in self.audit_spaces() {
            let Some(bolt) = space.audit_of() else { continue };
            let records: Vec<Record> = self.replica.by_author(&space, &bolt).cloned().collect();
            for record in &records {
                self.watch_filed(now, record, out);
            }
            if bolt == self.me {
                for entry in rows(&records).filter_map(|row| row.entry.ok()) {
                    self.watch_own(&entry);
                }
            }
        }
    }

    /// What the own log says of the others.
    fn watch_own(&mut self, entry: &Entry) {
        for anchor in &entry.anchors {
            let held = self.audit.watch.logs.entry(anchor.bolt).or_default();
            held.anchored = held.anchored.max(anchor.number);
        }
        if let (Some(Kind::Alarm), Some(bolt)) = (entry.known_kind(), entry.who.key()) {
            self.audit.watch.alarms.insert(bolt, (entry.at, entry.text.clone()));
        }
    }

    /// An entry of any log was filed.
    pub(crate) fn audit_filed(&mut self, now: Time, record: &Record, out: &mut Out) {
        if !self.is_bolt() {
            return;
        }
        if record.author() == self.me {
            self.audit_returned(&record.id());
            for entry in rows([record]).filter_map(|row| row.entry.ok()) {
                // One of ours that came back must not be written again.
                self.audit.recorded.extend(entry.mark());
                self.watch_own(&entry);
            }
        }
        let fresh = &mut self.audit.watch.fresh;
        fresh.push_back((now, record.author(), record.seq()));
        while fresh.len() > FRESH || fresh.front().is_some_and(|(at, ..)| now >= at.after(LAG)) {
            fresh.pop_front();
        }
        self.watch_filed(now, record, out);
    }

    fn watch_filed(&mut self, now: Time, record: &Record, out: &mut Out) {
        let (bolt, number) = (record.author(), record.seq());
        self.watch_links(record, out);
        if let Some((seen, by, _)) = self.audit.watch.doubts.remove(&(bolt, number)) {
            self.watch_anchor(now, &by, &Anchor { bolt, number, id: seen }, out);
        }
        let space = record.space().clone();
        let mut held = self.audit.watch.logs.remove(&bolt).unwrap_or_default();
        held.top = held.top.max(number);
        while self.replica.at(&space, &bolt, held.whole + 1).is_some() {
            held.whole += 1;
        }
        held.gap = (held.whole < held.top).then(|| held.gap.unwrap_or(now));
        let entry = rows([record]).find_map(|row| row.entry.ok());
        if bolt != self.me && entry.as_ref().is_none_or(|e| e.known_kind() != Some(Kind::Anchors)) {
            held.news = held.news.max(number);
        }
        self.audit.watch.logs.insert(bolt, held);
        for anchor in entry.map(|e| e.anchors).unwrap_or_default() {
            self.watch_anchor(now, &bolt, &anchor, out);
        }
    }

    /// Whether an entry and its neighbours follow each other. Where there are two of a number, the fork says it all.
    fn watch_links(&mut self, record: &Record, out: &mut Out) {
        let (space, bolt, number) = (record.space().clone(), record.author(), record.seq());
        for (before, after) in [(number.checked_sub(1), number), (Some(number), number.saturating_add(1))] {
            let Some(after) = self.replica.at(&space, &bolt, after) else { continue };
            let Ok(line) = log::read(after) else { continue };
            let found = match before {
                Some(0) => Some(Hash::default()),
                Some(before) => self.replica.at(&space, &bolt, before).map(Record::id),
                None => None,
            };
            let here = found == Some(line.previous) || self.replica.contains(&space, &line.previous);
            if let Some(found) = found.filter(|_| !here) {
                let damage = log::Damage::Link { number: line.number, says: line.previous, found };
                self.alarm(bolt, "link", line.number, damage.to_string(), out);
            }
        }
    }

    /// A bolt's log says how far it has seen another's.
    fn watch_anchor(&mut self, now: Time, by: &PublicKey, anchor: &Anchor, out: &mut Out) {
        let Anchor { bolt, number, id } = *anchor;
        let space = Space::audit(&bolt);
        if bolt == *by || self.replica.contains(&space, &id) {
            return;
        }
        match self.replica.at(&space, &bolt, number).map(Record::id) {
            Some(found) => {
                let damage = log::Damage::Differs { number, seen: id, found };
                let text = format!("{damage}; {} saw it", self.bolt_name(by));
                self.alarm(bolt, "differs", number, text, out);
            }
            None if self.was_bolt(&bolt) && self.audit.watch.doubts.len() < DOUBTS => {
                self.audit.watch.doubts.entry((bolt, number)).or_insert((id, *by, Some(now)));
            }
            None => {}
        }
    }

    /// A bolt lacks entries of its own log that we hold. What it said may be older than what has just come from it
    /// by another way: that proves nothing.
    pub(crate) fn audit_lacks(&mut self, space: &Space, peer: &PublicKey, keys: &[Hash], out: &mut Out) {
        if space.audit_of() != Some(*peer) || *peer == self.me {
            return;
        }
        let held = |key: &Hash| self.replica.get(space, key).filter(|r| r.author() == *peer).map(Record::seq);
        let now = self.last;
        let fresh = |number: &u64| {
            let came =
                |(at, bolt, n): &(Time, PublicKey, u64)| now < at.after(LAG) && bolt == peer && n == number;
            self.audit.watch.fresh.iter().any(came)
        };
        let numbers: Vec<u64> = keys.iter().filter_map(held).filter(|number| !fresh(number)).collect();
        let (Some(first), Some(last)) = (numbers.iter().min().copied(), numbers.iter().max().copied()) else {
            return;
        };
        let which =
            if first == last { format!("entry {first}") } else { format!("entries {first} to {last}") };
        let text = format!(
            "it lacked {which} of its own log: they were dropped or changed on its disk, or its disk is an old one"
        );
        self.alarm(*peer, "lost", first, text, out);
    }

    /// A bolt handed over an entry of its own log that cannot be its own.
    pub(crate) fn audit_bent(
        &mut self,
        log: Option<PublicKey>,
        peer: &PublicKey,
        number: u64,
        why: &str,
        out: &mut Out,
    ) {
        if log == Some(*peer) {
            let text = format!("entry {number} was changed on its disk: {why}");
            self.alarm(*peer, "bent", number, text, out);
        }
    }

    fn bolt_name(&self, key: &PublicKey) -> String {
        self.known_member(key).map_or_else(|| key.short(), |member| member.name.to_string())
    }

    fn alarm(&mut self, bolt: PublicKey, what: &'static str, number: u64, text: String, out: &mut Out) {
        if self.audit.watch.raised.insert((bolt, what), number) == Some(number) {
            return;
        }
        let at = self.wall(self.last);
        self.audit.watch.alarms.insert(bolt, (at, text.clone()));
        out.push(Output::Emit(Event::Alarm { bolt, what: text }));
    }

    pub(super) fn watch_wake(&mut self, now: Time, out: &mut Out) {
        let late = |since: &Time| now >= since.after(GRACE);
        let watch = &mut self.audit.watch;
        let doubts: Vec<_> = watch
            .doubts
            .iter()
            .filter(|(_, (.., since))| since.as_ref().is_some_and(late))
            .map(|(k, v)| (*k, *v))
            .collect();
        let gaps: Vec<(PublicKey, u64)> = watch
            .logs
            .iter()
            .filter(|(_, log)| log.gap.as_ref().is_some_and(late))
            .map(|(k, log)| (*k, log.whole))
            .collect();
        for ((bolt, number), (id, by, _)) in doubts {
            self.audit.watch.doubts.insert((bolt, number), (id, by, None));
            let length = self.audit.watch.logs.get(&bolt).map_or(0, |log| log.top);
            let damage = log::Damage::Short { number, id, length };
            let text = format!("{damage}; {} saw it", self.bolt_name(&by));
            self.alarm(bolt, "short", number, text, out);
        }
        for (bolt, whole) in gaps {
            if let Some(log) = self.audit.watch.logs.get_mut(&bolt) {
                log.gap = None;
            }
            self.alarm(
                bolt,
                "gap",
                whole + 1,
                format!("entry {} is missing, and later ones are here", whole + 1),
                out,
            );
        }
        self.watch_anchors(now, out);
    }

    /// Anchors what is new in the others' logs. Anchors alone are no news, else bolts would answer each other for
    /// ever.
    fn watch_anchors(&mut self, now: Time, out: &mut Out) {
        let (me, watch) = (self.me, &self.audit.watch);
        if now < watch.anchors || !watch.logs.values().any(Held::has_news) {
            return;
        }
        let grown = watch.logs.iter().filter(|(bolt, log)| **bolt != me && log.whole > log.anchored);
        let anchor = |(bolt, log): (&PublicKey, &Held)| {
            let record = self.replica.at(&Space::audit(bolt), bolt, log.whole)?;
            Some(Anchor { bolt: *bolt, number: log.whole, id: record.id() })
        };
        let anchors: Vec<Anchor> = grown.filter_map(anchor).collect();
        self.audit.watch.anchors = now.after(ANCHOR_EVERY);
        self.audit_anchor(now, &anchors, out);
    }

    /// What somebody should look at.
    pub(crate) fn audit_warnings(&self, now: Time) -> Vec<String> {
        let recent = |at: &Time| self.wall(now).since(*at) < WARNING;
        let line = |(bolt, (_, text)): (&PublicKey, &(Time, String))| {
            format!("the audit log of {}: {text} (vigocli audit verify)", self.bolt_name(bolt))
        };
        self.audit.watch.alarms.iter().filter(|(_, (at, _))| recent(at)).map(line).collect()
    }
}
