//! What any set of publishes comes to: the same in every order, and its head the greatest (epoch, id) of those that count.

use proptest::prelude::*;
use proptest::sample::Index;
use vigo_base::{Hash, SecretKey, SpannerId, Time};
use vigo_content::config::{ConfigView, PUBLISH, Publish};
use vigo_crdt::{Draft, Space, Statement};
use vigo_swarm::outline::BlobRef;

/// A publish on some of those before it; `off` is by how much its epoch is wrong.
type Step = (Vec<Index>, u64, u8);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let off = prop_oneof![6 => Just(0u64), 1 => 1u64..4];
    prop::collection::vec((prop::collection::vec(any::<Index>(), 0..3), off, 1u8..4), 1..14)
}

fn history(steps: &[Step]) -> Vec<Statement> {
    let blob = BlobRef { hash: Hash::of(b""), exchange: Hash::of(b""), size: 0 };
    let mut made: Vec<(Statement, u64)> = Vec::new();
    for (n, (parents, off, signer)) in steps.iter().enumerate() {
        let parents: Vec<&(Statement, u64)> = match made.is_empty() {
            true => Vec::new(),
            false => parents.iter().map(|at| at.get(&made)).collect(),
        };
        let epoch = parents.iter().map(|(_, epoch)| epoch + 1).max().unwrap_or(1) + off;
        let payload = Publish { epoch, routes: blob, source: blob, note: n.to_string() }.encode();
        let after = parents.iter().map(|(parent, _)| parent.id()).collect();
        let (space, under) = (Space::config(), Hash::default());
        let draft = Draft { space, kind: PUBLISH, under, after, at: Time(0), payload };
        made.push((draft.sign(&SecretKey::from_seed([*signer; 32]), &SpannerId::default()), epoch));
    }
    made.into_iter().map(|(statement, _)| statement).collect()
}

/// Who signed with the third key may not publish.
fn judge(statement: &Statement) -> Result<(), String> {
    let may = statement.signer() != SecretKey::from_seed([3; 32]).public();
    may.then_some(()).ok_or_else(|| "no right".into())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn publishes_come_to_the_same_in_any_order(steps in steps(), order in prop::collection::vec(any::<Index>(), 0..20)) {
        let said = history(&steps);
        let straight = ConfigView::of(&said, judge);
        let mixed = ConfigView::of(order.iter().map(|at| at.get(&said)).chain(said.iter().rev()), judge);
        prop_assert_eq!(straight.head(), mixed.head());
        prop_assert_eq!((straight.tips(), straight.next_epoch()), (mixed.tips(), mixed.next_epoch()));
        prop_assert_eq!(straight.iter().collect::<Vec<_>>(), mixed.iter().collect::<Vec<_>>());
    }

    /// Any two publishes have an order, and the head is the last of those that count; the next one is above all in place.
    #[test]
    fn the_head_is_the_greatest_that_counts(steps in steps()) {
        let said = history(&steps);
        let view = ConfigView::of(&said, judge);
        let counting = || view.iter().filter(|p| p.refused.is_none());
        prop_assert_eq!(view.head().map(|p| p.at), counting().map(|p| p.at).max());
        let mut places: Vec<_> = view.iter().map(|p| p.at).collect();
        places.sort_unstable();
        prop_assert!(places.is_sorted_by(|a, b| a < b && (a.epoch, a.id) < (b.epoch, b.id)));
        prop_assert!(counting().all(|p| p.may && p.at.epoch < view.next_epoch()));
    }

    /// A publish that arrives takes no head back while nothing is refused: the head only goes on.
    #[test]
    fn the_head_only_goes_on(steps in steps()) {
        let said = history(&steps);
        let heads: Vec<_> = (0..=said.len()).map(|n| ConfigView::of(&said[..n], judge).head().map(|p| p.at)).collect();
        prop_assert!(heads.is_sorted());
    }
}
