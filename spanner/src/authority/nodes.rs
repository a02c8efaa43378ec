//! Which spends let whom in, and who wins when two want the same.
//!
//! A spend is first judged by itself (invite, spender, name, proof, cuts), then settled against the others: uses
//! of an invite and names go to the lower (depth, record id), the loser is suspended and shown. Bolts come before
//! the bolts that they admitted, and all bolts before envoys, so that nobody loses to whom it let in.

use std::collections::BTreeMap;

use vigo_base::{Hash, Hostname, PublicKey, planted};
use vigo_crdt::Space;

use super::{Authority, Invitation, Revocation, WhyNotSpend};
use crate::act::{Invitee, NodeKind, Revoke};
use crate::member::{Member, MemberState, Suspension};
use crate::spend::SpendRecord;

/// A spend that is good in itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The member it makes, unless another is before it.
    pub member: Member,
    /// The uses of its invite.
    pub uses: u32,
}

/// Who has which name and use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Settlement {
    /// Members by key.
    pub members: BTreeMap<PublicKey, Member>,
    /// Who holds a name.
    pub names: BTreeMap<Hostname, PublicKey>,
    /// Uses of invites.
    pub used: BTreeMap<Hash, u32>,
}

/// The last sequence of `key` in `space` that a revoke stands by; 0 for none.
pub(super) fn upto(revoke: &Revoke, key: &PublicKey, space: &Space) -> u64 {
    let mine = revoke.upto.iter().filter(|u| u.key == *key && u.space == *space);
    mine.map(|u| u.seq).min().unwrap_or(0)
}

impl Settlement {
    /// Settles candidates among themselves, behind those who are settled. Says which are members already.
    pub(crate) fn settle(&mut self, mut candidates: Vec<Candidate>) -> Vec<(Hash, WhyNotSpend)> {
        candidates.sort_by_key(|c| (c.member.depth, c.member.spend));
        let mut again = Vec::new();
        for Candidate { mut member, uses } in candidates {
            let standing = self.members.get(&member.key).map(|m| &m.state);
            let replaceable = matches!(
                standing,
                None | Some(MemberState::Suspended(
                    Suspension::NameTaken { .. } | Suspension::UsesExhausted { .. }
                ))
            );
            if !replaceable {
                again.push((member.spend, WhyNotSpend::Again { node: member.key }));
                continue;
            }
            if let Some(lost) = self.claim(&member, uses) {
                member.state = MemberState::Suspended(lost);
                self.members.entry(member.key).or_insert(member);
            } else {
                self.members.insert(member.key, member);
            }
        }
        again
    }

    /// Takes a use and the name; says what is not to be had. A revoked member takes a use and no name.
    fn claim(&mut self, member: &Member, uses: u32) -> Option<Suspension> {
        let used = self.used.entry(member.invite).or_insert(0);
        if *used >= uses {
            return match member.state {
                MemberState::Revoked { .. } => None,
                _ => Some(Suspension::UsesExhausted { invite: member.invite, uses }),
            };
        }
        *used += 1;
        if matches!(member.state, MemberState::Revoked { .. }) && !planted!(13) {
            return None;
        }
        match self.names.get(&member.name) {
            Some(holder) if *holder != member.key => {
                Some(Suspension::NameTaken { name: member.name.clone(), holder: *holder })
            }
            _ => {
                self.names.insert(member.name.clone(), member.key);
                None
            }
        }
    }
}

impl Authority {
    /// Judges bolts' spends, founders first, then whom they let in, and so on.
    pub(super) fn settle_bolts(&mut self) {
        let mut open: Vec<_> = self.admissions.spends().values().cloned().collect();
        loop {
            let (mut ready, mut later) = (Vec::new(), Vec::new());
            for spend in std::mem::take(&mut open) {
                match self.judge_spend(&spend) {
                    Ok(candidate) => ready.push(candidate),
                    Err(why) => {
                        self.spends.insert(spend.id(), Err(why));
                        later.push(spend);
                    }
                }
            }
            if ready.is_empty() {
                return;
            }
            for c in &ready {
                self.spends.insert(c.member.spend, Ok(()));
            }
            for (spend, why) in self.bolts.settle(ready) {
                self.spends.insert(spend, Err(why));
            }
            open = later;
        }
    }

    /// Judges one spend by itself, in either space.
    pub(crate) fn judge_spend(&self, record: &SpendRecord) -> Result<Candidate, WhyNotSpend> {
        let spend = record.spend();
        let invitation = self.invite(&spend.invite).ok_or(WhyNotSpend::Invite { invite: spend.invite })?;
        let invite = &invitation.invite;
        let home = match invite.kind {
            NodeKind::Bolt => Space::admissions(),
            NodeKind::Envoy => Space::envoys(),
        };
        if *record.record().space() != home {
            let space = record.record().space().to_string();
            return Err(WhyNotSpend::Space { kind: invite.kind, space });
        }
        if !invite.spenders.contains(&record.author()) {
            return Err(WhyNotSpend::Spender { author: record.author() });
        }
        if !invite.name.fits(&spend.name) {
            let (name, rule) = (spend.name.clone(), invite.name.to_string());
            return Err(WhyNotSpend::Name { name, rule });
        }
        let proven = match (&invite.invitee, &spend.proof) {
            (Invitee::Node(key), None) => *key == spend.node,
            (Invitee::Token(key), Some(proof)) => *key == proof.key,
            _ => false,
        };
        if !proven {
            return Err(WhyNotSpend::Proof { node: spend.node });
        }
        self.judge_spender(record, invitation)?;
        let depth = invitation.depth + 1;
        let member = Member {
            key: spend.node,
            name: spend.name.clone(),
            kind: invite.kind,
            depth,
            invite: spend.invite,
            spend: record.id(),
            by: record.author(),
            state: self.state_of(&spend.node, depth),
        };
        Ok(Candidate { member, uses: invite.uses })
    }

    fn judge_spender(&self, record: &SpendRecord, invitation: &Invitation) -> Result<(), WhyNotSpend> {
        let (author, invite) = (record.author(), &invitation.invite);
        let space = record.record().space();
        // What cuts a spend off: a revoke of its author or of its invite that did not vouch for it.
        let unseen = |r: &&Revocation| {
            let (seq, last) = (record.record().seq(), upto(&r.revoke, &author, space));
            let seen = seq < last || (seq == last && !planted!(9));
            !seen && !self.is_kept(&record.id(), r.depth)
        };
        if let Invitee::Token(key) = invite.invitee
            && let Some(by) = self.reaching(&key, invitation.depth + 1).find(unseen)
        {
            return Err(WhyNotSpend::Revoked { key, by: by.id });
        }
        let fork = self.admissions.fork_in(&author, space);
        if fork.is_some_and(|f| f.falls() == record.id()) {
            return Err(WhyNotSpend::Forked { author });
        }
        let founding = invite.kind == NodeKind::Bolt
            && invite.invitee == Invitee::Node(author)
            && record.spend().node == author;
        if founding {
            return Ok(());
        }
        let bolt = self.bolt(&author).filter(|b| {
            let lost = |s: &Suspension| !matches!(s, Suspension::Forked { .. });
            !matches!(&b.state, MemberState::Suspended(s) if lost(s))
        });
        let bolt = bolt.ok_or(WhyNotSpend::NotABolt { author })?;
        if let Some(by) = self.reaching(&author, bolt.depth).find(unseen) {
            return Err(WhyNotSpend::Revoked { key: author, by: by.id });
        }
        let revoked = matches!(bolt.state, MemberState::Revoked { .. });
        if !revoked && fork.is_some_and(|f| record.record().seq() > f.seq()) {
            return Err(WhyNotSpend::Forked { author });
        }
        Ok(())
    }

    fn state_of(&self, node: &PublicKey, depth: usize) -> MemberState {
        if let Some(by) = self.revoked_at(node, depth) {
            return MemberState::Revoked { by: by.id };
        }
        match self.admissions.fork_of(node) {
            Some(fork) => MemberState::Suspended(Suspension::Forked {
                space: fork.space().to_string(),
                seq: fork.seq(),
            }),
            None => MemberState::Active,
        }
    }
}
