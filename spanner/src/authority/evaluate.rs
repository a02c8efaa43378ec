//! The evaluation of statements, depth by depth.
//!
//! Each depth goes in two steps: first every statement of that depth is judged by what smaller depths decided,
//! then what they say takes effect, admits last. Nothing judged at a depth sees an effect of its equals, but for
//! admits: a revoke binds an admit of its own depth, because whoever that would make stands deeper.

use std::collections::{BTreeMap, BTreeSet};

use vigo_base::{Hash, PublicKey, limits};

use super::past::{Index, Past};
use super::{Authority, Invitation, Narrowing, Operator, Revocation, WhyNot};
use crate::act::{Act, Admit, Amend};
use crate::admissions::{Admissions, Said};
use crate::right::{Grants, Pattern};

/// Judges everything.
pub(super) fn run(admissions: &Admissions) -> Authority {
    let mut eval = Eval {
        index: Index::new(admissions.statements()),
        under: BTreeMap::new(),
        pasts: BTreeMap::new(),
        partitions: BTreeMap::new(),
        out: Authority::empty(admissions),
    };
    for said in admissions.statements().values() {
        eval.under.entry(said.statement.under()).or_default().push(said);
    }
    let mut level = eval.begin();
    while !level.is_empty() {
        level = eval.level(&level);
    }
    eval.finish()
}

struct Eval<'a> {
    index: Index<'a>,
    /// Statements by the admit they name.
    under: BTreeMap<Hash, Vec<&'a Said>>,
    /// What each counting revoke and narrowing has seen.
    pasts: BTreeMap<Hash, Past>,
    /// Counting partitions of each bolt: id, depth, patterns.
    partitions: BTreeMap<PublicKey, Vec<(Hash, usize, Vec<Pattern>)>>,
    out: Authority,
}

impl<'a> Eval<'a> {
    /// Finds the genesis and makes the recovery key.
    fn begin(&mut self) -> Vec<Hash> {
        let id = self.out.spanner().0;
        let Some(said) = self.out.admissions.statements().get(&id) else { return Vec::new() };
        let Ok(Act::Genesis(genesis)) = &said.act else { return Vec::new() };
        if said.statement.under() != Hash::default() {
            return Vec::new();
        }
        let key = said.statement.signer();
        self.out.label = genesis.label.clone();
        self.out.version = genesis.version;
        self.out.verdicts.insert(id, Ok(()));
        let recovery = Operator {
            id,
            key,
            name: "recovery".into(),
            depth: 0,
            by: id,
            granted: Grants::all(),
            narrowed: Vec::new(),
            revoked_by: Vec::new(),
        };
        self.out.operators.insert(id, recovery);
        vec![id]
    }

    /// Everything signed by the operators of one depth. Gives the operators of the next.
    fn level(&mut self, operators: &[Hash]) -> Vec<Hash> {
        let mut counting: Vec<(Operator, &'a Said, &'a Act)> = Vec::new();
        for admit in operators {
            let Some(operator) = self.out.operators.get(admit).cloned() else { continue };
            for said in self.under.remove(admit).unwrap_or_default() {
                match self.judge(&operator, said) {
                    Ok(act) => counting.push((operator.clone(), said, act)),
                    Err(why) => drop(self.out.verdicts.insert(said.statement.id(), Err(why))),
                }
            }
        }
        let (admits, others): (Vec<_>, Vec<_>) =
            counting.into_iter().partition(|(_, _, act)| matches!(act, Act::Admit(_)));
        for (operator, said, act) in others {
            self.out.verdicts.insert(said.statement.id(), Ok(()));
            self.effect(&operator, said, act);
        }
        let mut next = Vec::new();
        for (operator, said, act) in admits {
            let Act::Admit(admit) = act else { continue };
            let verdict = self.admit(&operator, said, admit);
            if verdict.is_ok() {
                next.push(said.statement.id());
            }
            self.out.verdicts.insert(said.statement.id(), verdict);
        }
        next
    }

    fn judge(&self, operator: &Operator, said: &'a Said) -> Result<&'a Act, WhyNot> {
        let statement = &said.statement;
        let act = said.act.as_ref().map_err(|why| WhyNot::Act(why.clone()))?;
        let Some((right, target)) = act.needs() else { return Err(WhyNot::SecondGenesis) };
        if statement.signer() != operator.key {
            return Err(WhyNot::Signer { signer: statement.signer(), expected: operator.key });
        }
        if let Some(by) = self.cutting(&operator.key, operator.depth, statement.id()) {
            return Err(WhyNot::Revoked { by });
        }
        if !self.limits(operator, said).iter().all(|g| g.allow(right, &target)) {
            let target = target.to_string();
            return Err(WhyNot::Right { operator: operator.name.clone(), right, target });
        }
        Ok(act)
    }

    /// The first revoke that reaches `key` at `depth` and has not seen `id`, unless it is kept.
    fn cutting(&self, key: &PublicKey, depth: usize, id: Hash) -> Option<Hash> {
        let unseen = |r: &&Revocation| !self.seen(&r.id, &id) && !self.out.is_kept(&id, r.depth);
        self.out.reaching(key, depth).filter(unseen).map(|r| (r.depth, r.id)).min().map(|(_, id)| id)
    }

    fn seen(&self, by: &Hash, id: &Hash) -> bool {
        self.pasts.get(by).is_some_and(|past| self.index.holds(past, id))
    }

    /// The grants that must all allow what this statement does.
    fn limits(&self, operator: &Operator, said: &Said) -> Vec<Grants> {
        let mut limits = vec![operator.granted.clone()];
        for n in self.out.narrowings.get(&operator.id).into_iter().flatten() {
            if n.depth < operator.depth && !self.seen(&n.id, &said.statement.id()) {
                limits.push(n.grants.clone());
            }
        }
        limits
    }

    fn effect(&mut self, operator: &Operator, said: &Said, act: &Act) {
        let statement = &said.statement;
        let (id, depth, by) = (statement.id(), operator.depth, operator.id);
        match act {
            Act::Genesis(_) | Act::Admit(_) => {}
            Act::Invite(invite) => {
                let key = invite.invitee.key();
                self.out.invitees.entry(key).or_default().push(id);
                self.out.invites.insert(id, Invitation { id, by, depth, invite: invite.clone() });
            }
            Act::Revoke(revoke) => {
                self.pasts.insert(id, self.index.past(statement.after()));
                let keys: BTreeSet<PublicKey> = revoke.keys.iter().copied().collect();
                for key in keys {
                    self.out.revoked.entry(key).or_default().push(id);
                }
                let revocation = Revocation { id, by, depth, at: statement.at(), revoke: revoke.clone() };
                self.out.revocations.insert(id, revocation);
            }
            Act::Keep(keep) => {
                for kept in &keep.statements {
                    let least = self.out.kept.entry(*kept).or_insert(depth);
                    *least = depth.min(*least);
                }
            }
            Act::Amend(Amend::FleetVersion(version)) => {
                self.out.version = self.out.version.max(*version);
            }
            Act::Amend(Amend::Partition { bolt, patterns }) => {
                self.partitions.entry(*bolt).or_default().push((id, depth, patterns.clone()));
            }
            Act::Amend(Amend::Narrow { admit, grants, seen }) => {
                self.pasts.insert(id, self.index.past(statement.after()));
                let narrowing = Narrowing { id, depth, grants: Grants::of(grants), seen: seen.clone() };
                self.out.narrowings.entry(*admit).or_default().push(narrowing);
            }
        }
    }

    fn admit(&mut self, operator: &Operator, said: &Said, admit: &Admit) -> Result<(), WhyNot> {
        let (id, depth) = (said.statement.id(), operator.depth + 1);
        if depth > limits::AUTHORITY_DEPTH {
            return Err(WhyNot::TooDeep { depth });
        }
        if let Some(by) = self.cutting(&admit.key, depth, id) {
            return Err(WhyNot::KeyRevoked { key: admit.key, by });
        }
        let wanted = Grants::of(&admit.grants);
        let granted = self.limits(operator, said).iter().fold(wanted, |wanted, own| wanted.within(own));
        let made = Operator {
            id,
            key: admit.key,
            name: admit.name.to_string(),
            depth,
            by: operator.id,
            granted,
            narrowed: Vec::new(),
            revoked_by: Vec::new(),
        };
        self.out.operators.insert(id, made);
        Ok(())
    }

    fn finish(mut self) -> Authority {
        let orphans = std::mem::take(&mut self.under);
        for (under, left) in orphans {
            for said in left {
                let id = said.statement.id();
                let why = match &said.act {
                    Err(why) => WhyNot::Act(why.clone()),
                    Ok(Act::Genesis(_)) => WhyNot::SecondGenesis,
                    Ok(_) => WhyNot::Admit { under },
                };
                self.out.verdicts.entry(id).or_insert(Err(why));
            }
        }
        for list in self.out.revoked.values_mut() {
            list.sort_unstable();
        }
        for list in self.out.invitees.values_mut() {
            list.sort_unstable();
        }
        for list in self.out.narrowings.values_mut() {
            list.sort_by_key(|n| (n.depth, n.id));
        }
        self.finish_operators();
        self.finish_partitions();
        self.out.heads = self.heads();
        self.out.settle_bolts();
        self.out
    }

    fn finish_operators(&mut self) {
        let mut operators = std::mem::take(&mut self.out.operators);
        for o in operators.values_mut() {
            o.revoked_by = self.out.reaching(&o.key, o.depth).map(|r| r.id).collect();
            let narrowings = self.out.narrowings.get(&o.id).into_iter().flatten();
            o.narrowed = narrowings.filter(|n| n.depth < o.depth).map(|n| n.grants.clone()).collect();
        }
        self.out.operators = operators;
    }

    /// Of a bolt's partitions those count that no other has seen; of several the lowest (depth, id).
    fn finish_partitions(&mut self) {
        for (bolt, list) in std::mem::take(&mut self.partitions) {
            let pasts: Vec<Past> = list
                .iter()
                .filter_map(|(id, _, _)| self.out.admissions.statements().get(id))
                .map(|said| self.index.past(said.statement.after()))
                .collect();
            let latest = |id: &Hash| !pasts.iter().any(|past| self.index.holds(past, id));
            let winner = list.into_iter().filter(|(id, _, _)| latest(id)).min_by_key(|(id, d, _)| (*d, *id));
            if let Some((_, _, patterns)) = winner {
                self.out.partitions.insert(bolt, patterns);
            }
        }
    }

    fn heads(&self) -> Vec<Hash> {
        let counting = || self.out.verdicts.iter().filter(|(_, v)| v.is_ok()).map(|(id, _)| id);
        let mut seen = BTreeSet::new();
        for id in counting() {
            if let Some(said) = self.out.admissions.statements().get(id) {
                seen.extend(said.statement.after().iter().copied());
            }
        }
        counting().filter(|id| !seen.contains(*id)).copied().collect()
    }
}
