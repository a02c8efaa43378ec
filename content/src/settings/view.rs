//! What a set of changes means.
//!
//! A pure function: for each key the counting change with the greatest (generation, id).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use vigo_base::{Hash, PublicKey, Time};
use vigo_crdt::Statement;

use super::schema::{Change, KEYS};

/// The value of one key, and who gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The place of the change among those of its key.
    pub place: (u64, Hash),
    /// The value; none if it was taken back to its default.
    pub value: Option<Value>,
    /// Who signed it.
    pub signer: PublicKey,
    /// When, says the signer.
    pub at: Time,
}

/// How many statements lie on the longest line from the first to each: one more than what it names as seen. Each
/// change of a key is on that line of the next, so an honest generation is never above it, and a great one has to be
/// paid for with as many statements.
fn depths(statements: &BTreeMap<Hash, &Statement>) -> BTreeMap<Hash, u64> {
    let mut waiting: BTreeMap<Hash, Vec<Hash>> = BTreeMap::new();
    let mut left: BTreeMap<Hash, usize> = BTreeMap::new();
    for (id, statement) in statements {
        let known: Vec<Hash> =
            statement.after().iter().filter(|p| statements.contains_key(*p)).copied().collect();
        left.insert(*id, known.len());
        for parent in known {
            waiting.entry(parent).or_default().push(*id);
        }
    }
    let mut open: Vec<Hash> = left.iter().filter(|(_, n)| **n == 0).map(|(id, _)| *id).collect();
    let mut depths: BTreeMap<Hash, u64> = open.iter().map(|id| (*id, 1)).collect();
    while let Some(id) = open.pop() {
        let depth = depths.get(&id).copied().unwrap_or(1);
        for child in waiting.remove(&id).unwrap_or_default() {
            let deepest = depths.entry(child).or_default();
            *deepest = (*deepest).max(depth + 1);
            if let Some(n) = left.get_mut(&child) {
                *n -= 1;
                if *n == 0 {
                    open.push(child);
                }
            }
        }
    }
    depths
}

/// All settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingsView {
    set: BTreeMap<String, Setting>,
    generations: BTreeMap<String, u64>,
    tips: Vec<Hash>,
}

impl SettingsView {
    /// Reads the changes among `statements`. `judge` says why a statement's signer may not, if so.
    pub fn of<'a>(
        statements: impl IntoIterator<Item = &'a Statement>,
        mut judge: impl FnMut(&Statement) -> Result<(), String>,
    ) -> SettingsView {
        let mut view = SettingsView::default();
        let statements: BTreeMap<Hash, &Statement> = statements.into_iter().map(|s| (s.id(), s)).collect();
        let depths = depths(&statements);
        let (mut ids, mut seen, mut counted) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for statement in statements.values() {
            ids.push(statement.id());
            seen.extend(statement.after().iter().copied());
            let Ok(change) = Change::read(statement) else { continue };
            let placed = change.generation <= depths.get(&statement.id()).copied().unwrap_or(0);
            if judge(statement).is_err() || !placed {
                continue;
            }
            let highest = view.generations.entry(change.key.clone()).or_default();
            *highest = (*highest).max(change.generation);
            counted.insert(statement.id());
            let place = (change.generation, statement.id());
            let value = change.value.as_deref().and_then(|text| serde_json::from_str(text).ok());
            let setting = Setting { place, value, signer: statement.signer(), at: statement.at() };
            let current = view.set.entry(change.key).or_insert_with(|| setting.clone());
            if place > current.place {
                *current = setting;
            }
        }
        ids.retain(|id| !seen.contains(id));
        // What counts comes first: what counts for nothing must not crowd it out.
        ids.sort_unstable_by_key(|id| (!counted.contains(id), *id));
        ids.truncate(vigo_crdt::statement::AFTER);
        ids.sort_unstable();
        view.tips = ids;
        view
    }

    /// The value of a key: what was set, or its default; null for a key that is not in the table.
    pub fn value(&self, name: &str) -> Value {
        let set = self.set.get(name).and_then(|setting| setting.value.clone());
        set.or_else(|| KEYS.iter().find(|key| key.name == name).map(|key| key.default_value()))
            .unwrap_or(Value::Null)
    }

    /// The value of a key that holds a whole number or seconds.
    pub fn number(&self, name: &str) -> u64 {
        self.value(name).as_u64().unwrap_or(0)
    }

    /// The value of a key that is a switch.
    pub fn switch(&self, name: &str) -> bool {
        self.value(name).as_bool().unwrap_or(false)
    }

    /// Who set a key, if anybody did.
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.set.get(name)
    }

    /// The generation of the next change of a key.
    pub fn next_generation(&self, name: &str) -> u64 {
        self.generations.get(name).map_or(1, |g| g.saturating_add(1))
    }

    /// The statements that no other names as seen, ascending; at most as many as a statement may name.
    pub fn tips(&self) -> &[Hash] {
        &self.tips
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vigo_base::{SecretKey, SpannerId};
    use vigo_crdt::{Draft, Space};

    fn change(generation: u64, value: Option<&str>, seed: u8, after: &[&Statement]) -> Statement {
        let change = Change { key: "converge.interval".into(), value: value.map(Into::into), generation };
        Draft {
            space: Space::settings(),
            kind: super::super::SETTING,
            under: Hash::default(),
            after: after.iter().map(|s| s.id()).collect(),
            at: Time(0),
            payload: change.encode(),
        }
        .sign(&SecretKey::from_seed([seed; 32]), &SpannerId::default())
    }

    fn view(statements: &[&Statement]) -> SettingsView {
        SettingsView::of(statements.iter().copied(), |_| Ok(()))
    }

    #[test]
    fn a_refused_change_does_not_take_the_last_generation() {
        let (one, jump) = (change(1, Some("120"), 1, &[]), change(u64::MAX, Some("60"), 2, &[]));
        let judge = |s: &Statement| if s.id() == one.id() { Ok(()) } else { Err("no right".to_string()) };
        let judged = SettingsView::of([&one, &jump], judge);
        assert_eq!(
            (judged.number("converge.interval"), judged.next_generation("converge.interval")),
            (120, 2)
        );
        let flood: Vec<Statement> = (2..400).map(|n| change(n, Some("60"), 2, &[])).collect();
        let judged = SettingsView::of(flood.iter().chain([&one]), judge);
        assert!(judged.tips().contains(&one.id()) && judged.tips().len() <= vigo_crdt::statement::AFTER);
    }

    #[test]
    fn nobody_takes_a_generation_that_was_not_paid_for() {
        let one = change(1, Some("120"), 1, &[]);
        let jump = change(u64::MAX, Some("60"), 1, &[&one]);
        assert_eq!(view(&[&one, &jump]).number("converge.interval"), 120, "though its signer may");
        let two = change(2, Some("90"), 1, &[&one, &jump]);
        assert_eq!(view(&[&two, &one, &jump]).number("converge.interval"), 90);
    }

    #[test]
    fn the_greatest_generation_is_the_value_in_any_order() {
        let a = change(1, Some("60"), 1, &[]);
        let b = change(2, Some("120"), 1, &[&a]);
        let c = change(3, None, 2, &[&b]);
        assert_eq!(view(&[]).number("converge.interval"), 300);
        assert_eq!(view(&[&b, &a]).number("converge.interval"), 120);
        assert_eq!(view(&[&c, &b, &a]).number("converge.interval"), 300);
        let stranger = c.signer();
        let judge = |s: &Statement| if s.signer() == stranger { Err("no".to_string()) } else { Ok(()) };
        let judged = SettingsView::of([&a, &b, &c], judge);
        assert_eq!(
            (judged.number("converge.interval"), judged.next_generation("converge.interval")),
            (120, 3)
        );
    }
}
