//! Folding: what is the same is written once and counted, and what strangers can cause is rationed.
//!
//! The first of a kind by somebody passes; its like is counted until the window ends, and then written as one entry.
//! Windows double as long as it goes on. What has no ration is counted under its kind, by others. Pure: the time is
//! an argument. Invariant: at most [`KEYS`] windows are open.

use std::collections::BTreeMap;

use vigo_base::Time;
use vigo_base::time::{Micros, hours};
use vigo_content::audit::{BURST, Entry, FOLD, Kind, LONGEST_FOLD, REFILL, Who};

/// Windows open at one time.
const KEYS: usize = 1_024;
/// How often what had no ration is written.
const OTHERS: Micros = hours(1);

type Key = (u16, Who, String);

#[derive(Debug)]
struct Window {
    ends: Time,
    length: Micros,
    /// What was counted since the last entry.
    count: u64,
    last: Entry,
}

#[derive(Debug)]
struct Ration {
    left: u32,
    since: Time,
}

/// All windows of one bolt.
#[derive(Debug, Default)]
pub(super) struct Folds {
    windows: BTreeMap<Key, Window>,
    rations: BTreeMap<u16, Ration>,
}

impl Folds {
    /// Takes an entry: gives it back if it is to be written now.
    pub fn take(&mut self, now: Time, entry: Entry) -> Option<Entry> {
        // Starts and stops are few, and each is of its own.
        if matches!(entry.known_kind(), Some(Kind::Started | Kind::Stopped)) {
            return Some(entry);
        }
        let key = (entry.kind, entry.who.clone(), entry.target.clone());
        if let Some(window) = self.windows.get_mut(&key) {
            window.count += 1;
            window.last = entry;
            return None;
        }
        if self.windows.len() < KEYS && self.ration(now, &entry) {
            let window = Window { ends: now.after(FOLD), length: FOLD, count: 0, last: entry.clone() };
            self.windows.insert(key, window);
            return Some(entry);
        }
        let all = (entry.kind, Who::Others, String::new());
        let fresh = Window { ends: now.after(OTHERS), length: OTHERS, count: 0, last: entry.clone() };
        let window = self.windows.entry(all).or_insert(fresh);
        window.count += 1;
        window.last = Entry { who: Who::Others, target: String::new(), ..entry };
        None
    }

    fn ration(&mut self, now: Time, entry: &Entry) -> bool {
        if entry.known_kind().is_none_or(|kind| !kind.by_strangers()) {
            return true;
        }
        let ration = self.rations.entry(entry.kind).or_insert(Ration { left: BURST, since: now });
        let refills = now.since(ration.since) / REFILL;
        if refills > 0 {
            ration.left = BURST.min(ration.left.saturating_add(u32::try_from(refills).unwrap_or(BURST)));
            ration.since = ration.since.after(refills * REFILL);
        }
        let left = ration.left > 0;
        ration.left = ration.left.saturating_sub(1);
        left
    }

    /// The entries of the windows that have ended; `at` is the time by the wall clock.
    pub fn due(&mut self, now: Time, at: Time) -> Vec<Entry> {
        let ended: Vec<Key> =
            self.windows.iter().filter(|(_, w)| now >= w.ends).map(|(key, _)| key.clone()).collect();
        let mut entries = Vec::new();
        for key in ended {
            let Some(window) = self.windows.get_mut(&key) else { continue };
            if window.count == 0 {
                self.windows.remove(&key);
                continue;
            }
            entries.push(Entry { at, count: window.count, ..window.last.clone() });
            window.count = 0;
            window.length = (window.length * 2).min(LONGEST_FOLD);
            window.ends = now.after(window.length);
        }
        entries
    }

    /// What was counted in all windows: the node is about to end.
    pub fn all(&mut self, at: Time) -> Vec<Entry> {
        let windows = std::mem::take(&mut self.windows).into_values().filter(|w| w.count > 0);
        windows.map(|w| Entry { at, count: w.count, ..w.last }).collect()
    }

    pub fn next_wake(&self) -> Option<Time> {
        self.windows.values().map(|window| window.ends).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vigo_base::SecretKey;
    use vigo_base::time::secs;

    fn refused(seed: u64) -> Entry {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let key = SecretKey::from_seed(bytes).public();
        Entry::new(Time(0), Kind::PeerRefused, Who::Stranger { key }, "", "no papers")
    }

    /// What is written while `again` makes the entry of each second, and how many happenings that tells of.
    fn written(seconds: u64, mut again: impl FnMut(u64) -> Entry) -> (usize, u64) {
        let (mut folds, mut entries) = (Folds::default(), Vec::new());
        for second in 0..seconds {
            let now = Time(secs(second));
            entries.extend(folds.due(now, now));
            entries.extend(folds.take(now, again(second)));
            assert!(folds.windows.len() <= KEYS + 8);
        }
        entries.extend(folds.all(Time(0)));
        (entries.len(), entries.iter().map(|e| e.count).sum())
    }

    #[test]
    fn the_same_is_written_once_a_window_and_all_of_it_is_counted() {
        assert_eq!(written(60, |_| refused(1)), (2, 60));
        let (entries, counted) = written(86_400, |_| refused(1));
        assert!(entries <= 16, "{entries} entries of one knocker in a day");
        assert_eq!(counted, 86_400);
    }

    #[test]
    fn strangers_cannot_fill_a_log() {
        let (entries, counted) = written(86_400, refused);
        assert!(entries <= 32 + 144 + 24 + 1, "{entries} entries of a new stranger every second");
        assert_eq!(counted, 86_400);
    }

    #[test]
    fn what_is_different_is_not_folded() {
        let mut folds = Folds::default();
        let by = |uid: u32, target: &str| Entry::new(Time(0), Kind::Command, Who::Local { uid }, target, "");
        let take = |folds: &mut Folds, entry: Entry| folds.take(Time(0), entry).is_some();
        assert!(take(&mut folds, by(0, "web01")) && take(&mut folds, by(0, "web02")));
        assert!(take(&mut folds, by(1, "web01")) && !take(&mut folds, by(1, "web01")));
        assert!(take(&mut folds, refused(1)), "another kind");
    }
}
