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

/// No honest change comes near this generation.
const FAR: u64 = 1 << 32;

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
        let (mut ids, mut seen, mut counted) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for statement in statements {
            ids.push(statement.id());
            seen.extend(statement.after().iter().copied());
            let Ok(change) = Change::read(statement) else { continue };
            let counts = judge(statement).is_ok();
            // The next change stands above those that count for nothing too (one may be kept later), but they
            // cannot take the last generation there is.
            if counts || change.generation < FAR {
                let highest = view.generations.entry(change.key.clone()).or_default();
                *highest = (*highest).max(change.generation);
            }
            if !counts {
                continue;
            }
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

    fn change(generation: u64, value: Option<&str>, seed: u8) -> Statement {
        let change = Change { key: "converge.interval".into(), value: value.map(Into::into), generation };
        Draft {
            space: Space::settings(),
            kind: super::super::SETTING,
            under: Hash::default(),
            after: vec![],
            at: Time(0),
            payload: change.encode(),
        }
        .sign(&SecretKey::from_seed([seed; 32]), &SpannerId::default())
    }

    #[test]
    fn a_refused_change_does_not_take_the_last_generation() {
        let (one, jump) = (change(1, Some("120"), 1), change(u64::MAX, Some("60"), 2));
        let judge = |s: &Statement| if s.id() == one.id() { Ok(()) } else { Err("no right".to_string()) };
        let view = SettingsView::of([&one, &jump], judge);
        assert_eq!((view.number("converge.interval"), view.next_generation("converge.interval")), (120, 2));
        let flood: Vec<Statement> = (2..400).map(|n| change(n, Some("60"), 2)).collect();
        let view = SettingsView::of(flood.iter().chain([&one]), judge);
        assert!(view.tips().contains(&one.id()) && view.tips().len() <= vigo_crdt::statement::AFTER);
    }

    #[test]
    fn the_greatest_generation_is_the_value_in_any_order() {
        let (a, b, c) = (change(1, Some("60"), 1), change(2, Some("120"), 1), change(3, None, 2));
        let view = |s: &[&Statement]| SettingsView::of(s.iter().copied(), |_| Ok(()));
        assert_eq!(view(&[]).number("converge.interval"), 300);
        assert_eq!(view(&[&b, &a]).number("converge.interval"), 120);
        assert_eq!(view(&[&c, &b, &a]).number("converge.interval"), 300);
        let stranger = c.signer();
        let judged =
            SettingsView::of(
                [&a, &b, &c],
                |s| if s.signer() == stranger { Err("no".into()) } else { Ok(()) },
            );
        assert_eq!(
            (judged.number("converge.interval"), judged.next_generation("converge.interval")),
            (120, 4)
        );
    }
}
