//! What a set of publishes means.
//!
//! [`ConfigView::of`] is a pure function of the statements and of who may publish. Invariant: the same set gives
//! the same head on every node, in whatever order it arrived.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use vigo_base::{Hash, PublicKey, Time, planted};
use vigo_crdt::Statement;
use vigo_crdt::statement::AFTER;

use super::schema::Publish;

/// The place of a publish: compared by epoch, then by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Epoch {
    /// One more than the greatest epoch it is based on.
    pub epoch: u64,
    /// The id of the publish statement.
    pub id: Hash,
}

/// One publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its place.
    pub at: Epoch,
    /// What was published.
    pub publish: Publish,
    /// The publishes that it was based on.
    pub parents: Vec<Hash>,
    /// Who signed it.
    pub signer: PublicKey,
    /// The admit that it acts under.
    pub under: Hash,
    /// When, says the signer.
    pub time: Time,
    /// Whether its signer may publish, wherever it stands among the others.
    pub may: bool,
    /// Why it does not count, if it does not.
    pub refused: Option<String>,
}

/// All publishes, and which of them is the head.
#[derive(Debug, Clone, Default)]
pub struct ConfigView {
    publishes: BTreeMap<Hash, Published>,
    head: Option<Epoch>,
    tips: Vec<Hash>,
    missing: BTreeSet<Hash>,
    next: u64,
}

impl ConfigView {
    /// Reads the publishes among `statements`. `judge` says why a statement's signer may not publish, if so.
    pub fn of<'a>(
        statements: impl IntoIterator<Item = &'a Statement>,
        mut judge: impl FnMut(&Statement) -> Result<(), String>,
    ) -> ConfigView {
        let mut publishes = BTreeMap::new();
        for statement in statements {
            let Ok(publish) = Publish::read(statement) else { continue };
            let refused = judge(statement).err();
            let published = Published {
                at: Epoch { epoch: publish.epoch, id: statement.id() },
                publish,
                parents: statement.after().to_vec(),
                signer: statement.signer(),
                under: statement.under(),
                time: statement.at(),
                may: refused.is_none(),
                refused,
            };
            publishes.insert(statement.id(), published);
        }
        let mut view = ConfigView { publishes, ..ConfigView::default() };
        view.settle();
        view
    }

    /// Checks epochs against parents, and finds the head and the tips.
    ///
    /// A publish whose epoch does not follow from its parents is out of place, and so is what is based on it. It
    /// counts for nothing, not even for the epoch or the parents of the next publish: whoever may not publish
    /// could otherwise take the last epoch there is.
    fn settle(&mut self) {
        let (mut placed, mut waiting) = (BTreeSet::new(), BTreeMap::<Hash, Vec<Hash>>::new());
        let mut open: Vec<Hash> = Vec::new();
        let mut left: BTreeMap<Hash, usize> = BTreeMap::new();
        for (id, published) in &self.publishes {
            let parents: BTreeSet<Hash> = published.parents.iter().copied().collect();
            self.missing.extend(parents.iter().filter(|p| !self.publishes.contains_key(*p)));
            left.insert(*id, parents.len());
            if parents.is_empty() {
                open.push(*id);
            }
            for parent in parents {
                waiting.entry(parent).or_default().push(*id);
            }
        }
        // Parents first; what has a missing or a misplaced parent is never reached.
        let mut wrong: BTreeMap<Hash, String> = BTreeMap::new();
        while let Some(id) = open.pop() {
            let published = &self.publishes[&id];
            let parents = published.parents.iter().filter_map(|p| self.publishes.get(p));
            let after = parents.map(|p| p.at.epoch.saturating_add(1));
            let (least, most) = (after.clone().min().unwrap_or(1), after.max().unwrap_or(1));
            let expected = if least != most && planted!(16) { least } else { most };
            if published.at.epoch != expected {
                let why = format!("its epoch is {}, by its parents it is {expected}", published.at.epoch);
                wrong.insert(id, why);
                continue;
            }
            placed.insert(id);
            for child in waiting.get(&id).into_iter().flatten() {
                let count = left.entry(*child).or_default();
                *count = count.saturating_sub(1);
                if *count == 0 {
                    open.push(*child);
                }
            }
        }
        for (id, published) in self.publishes.iter_mut().filter(|(id, _)| !placed.contains(*id)) {
            let behind = || "it is based on a publish that has not arrived or is out of place".to_string();
            let why = wrong.remove(id).unwrap_or_else(behind);
            published.refused.get_or_insert(why);
        }
        let well = || self.publishes.iter().filter(|(id, _)| placed.contains(*id));
        let based_on: BTreeSet<Hash> = well().flat_map(|(_, p)| p.parents.iter().copied()).collect();
        self.head = well().map(|(_, p)| p).filter(|p| p.refused.is_none()).map(|p| p.at).max();
        let mut tips: Vec<&Published> =
            well().map(|(_, p)| p).filter(|p| !based_on.contains(&p.at.id)).collect();
        // What counts comes first: publishes that count for nothing must not crowd it out.
        tips.sort_by_key(|p| (p.refused.is_some(), std::cmp::Reverse(p.at)));
        self.tips = tips.into_iter().take(AFTER).map(|p| p.at.id).collect();
        self.tips.sort_unstable();
        self.next = well().map(|(_, p)| p.at.epoch).max().unwrap_or(0).saturating_add(1);
    }

    /// The publish that envoys converge to.
    pub fn head(&self) -> Option<&Published> {
        self.head.and_then(|head| self.publishes.get(&head.id))
    }

    /// The publish with this id, whether it counts or not.
    pub fn get(&self, id: &Hash) -> Option<&Published> {
        self.publishes.get(id)
    }

    /// All publishes, those that count and those that do not, ascending by id.
    pub fn iter(&self) -> impl Iterator<Item = &Published> {
        self.publishes.values()
    }

    /// The publishes that nothing is based on, ascending: what the next publish is based on. At most as many as a
    /// statement may name.
    pub fn tips(&self) -> &[Hash] {
        &self.tips
    }

    /// The counting tips besides the head: publishes of another partition that lost.
    pub fn losers(&self) -> impl Iterator<Item = &Published> {
        let head = self.head.map(|head| head.id);
        let tips = self.tips.iter().filter(move |id| Some(**id) != head);
        tips.filter_map(|id| self.publishes.get(id)).filter(|p| p.refused.is_none())
    }

    /// The epoch of the next publish: above every publish that is in its place, counting or not.
    pub fn next_epoch(&self) -> u64 {
        self.next.max(1)
    }

    /// Publishes that others are based on and that are not here.
    pub fn missing(&self) -> &BTreeSet<Hash> {
        &self.missing
    }

    /// The links of the causal past: for each publish, what it was based on.
    pub fn links(&self) -> BTreeMap<Hash, Vec<Hash>> {
        self.publishes.iter().map(|(id, p)| (*id, p.parents.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vigo_base::{SecretKey, SpannerId};
    use vigo_crdt::{Draft, Space};
    use vigo_swarm::outline::BlobRef;

    fn publish(epoch: u64, parents: &[&Statement], note: &str) -> Statement {
        let blob = BlobRef { hash: Hash::of(b""), exchange: Hash::of(b""), size: 0 };
        let payload = Publish { epoch, routes: blob, source: blob, note: note.into() }.encode();
        let after = parents.iter().map(|p| p.id()).collect();
        let space = Space::config();
        let draft =
            Draft { space, kind: super::super::PUBLISH, under: Hash::default(), after, at: Time(0), payload };
        draft.sign(&SecretKey::from_seed([1; 32]), &SpannerId::default())
    }

    fn view(statements: &[&Statement]) -> ConfigView {
        ConfigView::of(statements.iter().copied(), |_| Ok(()))
    }

    #[test]
    fn nobody_jumps_ahead() {
        let one = publish(1, &[], "one");
        let two = publish(2, &[&one], "two");
        let jump = publish(9, &[&one], "jump");
        let v = view(&[&jump, &two, &one]);
        assert_eq!(v.head().map(|p| p.at.id), Some(two.id()));
        assert!(v.get(&jump.id()).unwrap().refused.as_ref().unwrap().contains("by its parents it is 2"));
        assert_eq!(view(&[&two]).head(), None, "its parent is not here");
        assert_eq!(view(&[&two]).missing().len(), 1);
    }

    #[test]
    fn a_misplaced_publish_takes_no_epoch_from_those_after_it() {
        let one = publish(1, &[], "one");
        let jump = publish(u64::MAX, &[], "jump");
        let on_it = publish(u64::MAX, &[&jump], "on it");
        let v = view(&[&one, &jump, &on_it]);
        assert_eq!((v.head().map(|p| p.at.epoch), v.next_epoch()), (Some(1), 2));
        assert_eq!(v.tips(), [one.id()]);
        assert!(v.get(&on_it.id()).unwrap().refused.is_some());
    }

    #[test]
    fn a_flood_of_refused_publishes_does_not_crowd_out_what_counts() {
        let one = publish(1, &[], "one");
        let flood: Vec<Statement> = (0..400).map(|n| publish(1, &[], &format!("flood {n}"))).collect();
        let judge = |s: &Statement| if s.id() == one.id() { Ok(()) } else { Err("no right".into()) };
        let v = ConfigView::of(flood.iter().chain([&one]), judge);
        assert!(v.tips().contains(&one.id()) && v.tips().len() <= AFTER, "{}", v.tips().len());
        let next = Statement::after(&publish(2, &[&one], "next")).to_vec();
        assert_eq!((next, v.next_epoch()), (vec![one.id()], 2));
    }

    #[test]
    fn a_fork_has_one_winner_and_is_closed_by_a_publish_on_both() {
        let one = publish(1, &[], "one");
        let (a, b) = (publish(2, &[&one], "a"), publish(2, &[&one], "b"));
        let v = view(&[&one, &a, &b]);
        assert_eq!(v.head().map(|p| p.at.id), Some(a.id().max(b.id())));
        assert_eq!(v.losers().map(|p| p.at.id).collect::<Vec<_>>(), [a.id().min(b.id())]);
        let close = publish(3, &[&a, &b], "close");
        let v = view(&[&close, &b, &one, &a]);
        assert_eq!((v.head().map(|p| p.at.id), v.losers().count()), (Some(close.id()), 0));
    }

    #[test]
    fn the_successor_of_a_revoked_publish_is_above_it() {
        let one = publish(1, &[], "one");
        let stolen = publish(2, &[&one], "stolen");
        let judge = |s: &Statement| if s.id() == stolen.id() { Err("revoked".into()) } else { Ok(()) };
        let v = ConfigView::of([&one, &stolen], judge);
        assert_eq!((v.head().map(|p| p.at.epoch), v.next_epoch()), (Some(1), 3));
        let next = publish(3, &[&stolen], "next");
        let v = ConfigView::of([&one, &stolen, &next], judge);
        assert_eq!(v.head().map(|p| p.at.id), Some(next.id()));
    }
}
