//! Judging statements of operators' spaces other than `admissions`: publishes, settings, filecasts, tasks.
//!
//! The same cut as in `admissions`, by what the revoker says it had seen of that space. [`SpaceJudge`] remembers
//! the pasts it computed, so that judging ten thousand publishes walks the space once per revoke that matters and
//! not at all for operators whom nobody revoked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vigo_base::{Hash, planted};
use vigo_crdt::{Space, Statement};

use super::{Authority, WhyNot};
use crate::act::Seen;
use crate::right::{Pattern, Right};

/// The `after` links of one space.
pub trait Dag {
    /// What the statement `id` names in `after`; none if it is not known.
    fn after(&self, id: &Hash) -> Option<&[Hash]>;
}

impl Dag for BTreeMap<Hash, Statement> {
    fn after(&self, id: &Hash) -> Option<&[Hash]> {
        self.get(id).map(Statement::after)
    }
}

impl Dag for BTreeMap<Hash, Arc<Statement>> {
    fn after(&self, id: &Hash) -> Option<&[Hash]> {
        self.get(id).map(|s| s.after())
    }
}

impl Dag for BTreeMap<Hash, Vec<Hash>> {
    fn after(&self, id: &Hash) -> Option<&[Hash]> {
        self.get(id).map(Vec::as_slice)
    }
}

/// Judges statements of one space against one state of authority and of the space. Throw it away when either
/// changes.
pub struct SpaceJudge<'a, D: Dag> {
    authority: &'a Authority,
    space: Space,
    dag: &'a D,
    /// What each revoke or narrowing had seen of this space.
    pasts: BTreeMap<Hash, BTreeSet<Hash>>,
}

impl Authority {
    /// A judge for many statements of one space.
    pub fn judge_space<'a, D: Dag>(&'a self, space: &Space, dag: &'a D) -> SpaceJudge<'a, D> {
        SpaceJudge { authority: self, space: space.clone(), dag, pasts: BTreeMap::new() }
    }

    /// Whether one statement counts that concerns the whole fleet: [`SpaceJudge::judge`] with the target `*`.
    ///
    /// # Errors
    /// [`WhyNot`] with the reason.
    pub fn judge<D: Dag>(&self, statement: &Statement, right: Right, dag: &D) -> Result<(), WhyNot> {
        self.judge_space(statement.space(), dag).judge(statement, right, &Pattern::any())
    }

    /// Whether one statement about `target` counts.
    ///
    /// # Errors
    /// [`WhyNot`] with the reason.
    pub fn judge_for<D: Dag>(
        &self,
        statement: &Statement,
        right: Right,
        target: &Pattern,
        dag: &D,
    ) -> Result<(), WhyNot> {
        self.judge_space(statement.space(), dag).judge(statement, right, target)
    }
}

impl<D: Dag> SpaceJudge<'_, D> {
    /// Whether the statement's signer may do this and no revoke cuts it off.
    ///
    /// # Errors
    /// [`WhyNot`] with the reason if it does not count.
    pub fn judge(&mut self, statement: &Statement, right: Right, target: &Pattern) -> Result<(), WhyNot> {
        if *statement.space() != self.space || self.space == Space::admissions() {
            return Err(WhyNot::Space { space: statement.space().to_string() });
        }
        let (under, id) = (statement.under(), statement.id());
        let operator = self.authority.operator(&under).ok_or(WhyNot::Admit { under })?;
        if statement.signer() != operator.key {
            return Err(WhyNot::Signer { signer: statement.signer(), expected: operator.key });
        }
        for revoke in &operator.revoked_by {
            let Some(r) = self.authority.revocation(revoke) else { continue };
            if !self.authority.is_kept(&id, r.depth) && !self.seen(r.id, &r.revoke.seen, &id) {
                return Err(WhyNot::Revoked { by: r.id });
            }
        }
        let mut allowed = operator.granted.allow(right, target);
        for n in self.authority.narrowings.get(&under).into_iter().flatten() {
            if n.depth < operator.depth && !n.grants.allow(right, target) {
                allowed &= self.seen(n.id, &n.seen, &id);
            }
        }
        match allowed {
            true => Ok(()),
            false => {
                Err(WhyNot::Right { operator: operator.name.clone(), right, target: target.to_string() })
            }
        }
    }

    fn seen(&mut self, by: Hash, seen: &[Seen], id: &Hash) -> bool {
        let (space, dag) = (&self.space, self.dag);
        let past = self.pasts.entry(by).or_insert_with(|| {
            let heads = seen.iter().filter(|s| s.space == *space).flat_map(|s| s.heads.iter().copied());
            let mut open: Vec<Hash> = heads.collect();
            let mut past = BTreeSet::new();
            while let Some(id) = open.pop() {
                if past.insert(id) {
                    let after = dag.after(&id).unwrap_or_default();
                    let after = if !after.is_empty() && planted!(12) { &[] } else { after };
                    open.extend(after.iter().filter(|id| !past.contains(*id)));
                }
            }
            past
        });
        past.contains(id)
    }
}
