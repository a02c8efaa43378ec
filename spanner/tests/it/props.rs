//! Random histories: evaluation does not depend on order, and is monotone where it must be (R10, R11).

use proptest::prelude::*;
use vigo_base::Hash;
use vigo_crdt::Statement;
use vigo_spanner::{Authority, NodeKind, Roster};

use crate::world::*;

/// One step: what, by which operator so far, about which key, and which earlier statements were seen.
type Step = (u8, usize, u8, Vec<usize>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0u8..10, 0usize..6, 1u8..8, proptest::collection::vec(0usize..32, 0..3));
    proptest::collection::vec(step, 1..24)
}

/// Plays the steps: admits, revokes, keeps and invites by whoever there is.
fn history(w: &World, steps: &[Step]) -> Vec<Statement> {
    let mut said: Vec<Statement> = vec![w.genesis.clone()];
    let mut standing: Vec<(u8, Hash)> = vec![(RECOVERY, w.root())];
    for (what, by, who, seen) in steps {
        let (signer, under) = standing[by % standing.len()];
        let after: Vec<&Statement> = seen.iter().map(|n| &said[n % said.len()]).collect();
        let next = match what {
            0..=3 => {
                let s = w.admit(signer, under, &after, *who);
                standing.push((*who, s.id()));
                s
            }
            4..=6 => w.revoke(signer, under, &after, &[*who]),
            7 => {
                let kept: Vec<Hash> = after.iter().map(|s| s.id()).chain([w.root()]).collect();
                w.keep(signer, under, &after, &kept)
            }
            _ => w.invite(signer, under, &after, token_invite(*who, NodeKind::Envoy, "web*", 1, &[50])),
        };
        said.push(next);
    }
    said
}

fn evaluate(w: &World, said: &[Statement], order: &[usize]) -> Authority {
    let mut node = vigo_spanner::Admissions::new(w.spanner);
    for n in order {
        node.insert_statement(said[n % said.len()].clone());
    }
    for s in said {
        node.insert_statement(s.clone());
    }
    Authority::evaluate(&node)
}

/// So many histories; `PROPTEST_CASES` says otherwise (`.ci/mutants` has a thousand mutants to try them on).
pub fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(128);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_order_of_arrival_does_not_matter(steps in steps(), order in proptest::collection::vec(0usize..64, 0..48)) {
        let w = World::new();
        let said = history(&w, &steps);
        let straight = evaluate(&w, &said, &[]);
        prop_assert_eq!(&evaluate(&w, &said, &order), &straight);
        // Everything has a verdict, and what counts hangs on what counts.
        for s in &said {
            if straight.counts(&s.id()).is_ok() && s.id() != w.root() {
                prop_assert!(straight.operator(&s.under()).is_some_and(|o| o.key == s.signer()));
            }
        }
    }

    /// Whatever an operator signs changes nothing above it, and of its equals' only admits: those make somebody
    /// deeper. (What is added is new, so that it is nobody's past yet.)
    #[test]
    fn nobody_reaches_up(steps in steps(), by in 0usize..6, whom in 1u8..8) {
        let w = World::new();
        let said = history(&w, &steps);
        let before = w.authority(&said);
        let all: Vec<_> = before.operators().map(|o| (o.id, o.key, o.depth)).collect();
        let (under, key, depth) = all[by % all.len()];
        let signer = (1u8..8).chain([RECOVERY]).find(|n| public(*n) == key).unwrap();
        let heads: Vec<&Statement> = said.iter().collect();
        let out = w.revoke(signer, under, &heads[..1], &[whom, RECOVERY]);
        let keep = w.keep(signer, under, &[&out], &said.iter().map(|s| s.id()).collect::<Vec<_>>());
        let after = w.authority(said.iter().chain([&out, &keep]));
        for s in &said {
            // Under an admit that does not count it stands nowhere: a keep may give it a place, which is deeper.
            let Some(standing) = before.operator(&s.under()).map(|o| o.depth) else { continue };
            if standing < depth || (standing == depth && s.kind() != 2) {
                prop_assert_eq!(after.counts(&s.id()), before.counts(&s.id()));
            }
        }
    }

    /// More revokes of a key never make more of its statements count, if nothing else is added. What they admit
    /// is the same: it falls or stays.
    #[test]
    fn a_further_revoke_only_takes(steps in steps(), who in 1u8..8) {
        let w = World::new();
        let said = history(&w, &steps);
        let before = w.authority(&said);
        let out = w.revoke(RECOVERY, w.root(), &[], &[who]);
        let after = w.authority(said.iter().chain([&out]));
        prop_assert!(after.counts(&out.id()).is_ok());
        for s in said.iter().filter(|s| s.signer() == public(who)) {
            prop_assert!(after.counts(&s.id()).is_err() || before.counts(&s.id()).is_ok());
            // The recovery key had seen nothing, so nothing of the key's is left, but for what the recovery key keeps.
            let kept = said.iter().any(|k| k.kind() == 5 && k.signer() == public(RECOVERY));
            prop_assert!(after.counts(&s.id()).is_err() || kept);
        }
    }

    /// Whatever a revoked key signs later, wherever it says it stands, nothing else changes by it.
    #[test]
    fn a_revoked_key_is_dumb(steps in steps(), who in 1u8..8, mischief in steps()) {
        let w = World::new();
        let said = history(&w, &steps);
        let heads: Vec<&Statement> = said.iter().collect();
        let out = w.revoke(RECOVERY, w.root(), &heads, &[who]);
        let base: Vec<Statement> = said.iter().cloned().chain([out.clone()]).collect();
        let before = w.authority(&base);
        let standings: Vec<Hash> = before.operators().filter(|o| o.key == public(who)).map(|o| o.id).collect();
        prop_assume!(!standings.is_empty());
        let mut more = base.clone();
        for (what, at, whom, seen) in mischief {
            let under = standings[at % standings.len()];
            let after: Vec<&Statement> = seen.iter().map(|n| &more[n % more.len()]).collect();
            let next = match what % 3 {
                0 => w.admit(who, under, &after, whom),
                1 => w.revoke(who, under, &after, &[whom, RECOVERY]),
                _ => w.keep(who, under, &after, &more.iter().map(|s| s.id()).take(200).collect::<Vec<_>>()),
            };
            more.push(next);
        }
        let after = w.authority(&more);
        for s in &base {
            prop_assert_eq!(after.counts(&s.id()), before.counts(&s.id()));
        }
        prop_assert!(more[base.len()..].iter().all(|s| base.contains(s) || after.counts(&s.id()).is_err()));
        prop_assert_eq!(after.operators().count(), before.operators().count());
    }

    /// A roster that takes spends one by one, in any order, is the roster that settles them all at once.
    #[test]
    fn a_roster_does_not_depend_on_order(
        wishes in proptest::collection::vec((70u8..76, 0usize..4, 0usize..4), 1..14),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        revoked in 70u8..80,
    ) {
        let mut f = Fleet::new();
        let deeper = f.w.admit(OP, f.op.id(), &[&f.op], 2);
        f.add(&deeper);
        let mut invites: Vec<Statement> =
            (1..=3).map(|uses| f.invite(token_invite(61, NodeKind::Envoy, "*", uses, &[BOLT]))).collect();
        let of_deeper = token_invite(61, NodeKind::Envoy, "*", 2, &[BOLT]);
        invites.push(f.w.invite(2, deeper.id(), &[&deeper], of_deeper));
        f.add(&invites[3]);
        let out = f.w.revoke(OP, f.op.id(), &[&invites[3]], &[revoked]);
        f.add(&out);
        let names = ["web01", "web02", "db01", "b1"];
        let records: Vec<_> = wishes.iter().map(|(node, name, invite)| {
            f.w.spend(BOLT, NodeKind::Envoy, &invites[*invite], *node, names[*name], Some(61))
        }).collect();
        let authority = f.authority();
        let mut whole = Roster::new(&authority);
        whole.insert_all(&authority, &records);
        let mut step = Roster::new(&authority);
        for record in order.iter().map(|i| i.get(&records)).chain(&records) {
            step.insert(&authority, record).unwrap();
        }
        let mut filed = Roster::new(&authority);
        for record in order.iter().map(|i| i.get(&records)).chain(&records) {
            filed.file(&authority, record).unwrap();
        }
        filed.settle(&authority);
        let all = |r: &Roster| r.members().cloned().collect::<Vec<_>>();
        prop_assert_eq!(all(&step), all(&whole));
        prop_assert_eq!(all(&filed), all(&whole));
        prop_assert!(invites.iter().all(|i| step.spent(&i.id()) == whole.spent(&i.id())));
        let mut live: Vec<_> = whole.members().filter(|m| m.is_active()).map(|m| m.name.clone()).collect();
        let count = live.len();
        live.sort();
        live.dedup();
        prop_assert_eq!(live.len(), count, "names are unique among the live");
    }
}
