//! Authority: who may what, as a pure function of the admissions known.
//!
//! [`Authority::evaluate`] takes the whole set and gives the whole answer: the order in which statements arrived
//! cannot matter because it is not there to be seen. It goes by **depth**, the number of admits between a signer
//! and the recovery key: first everything of depth 0, then 1, and so on. What is decided at one depth depends on
//! smaller depths alone, so no ring of revokes can turn.
//!
//! - A statement counts if the admit it names in `under` counts and is its signer's, if that operator has the
//!   right, and if no revoke cuts it off.
//! - A [`Revoke`] reaches the named keys where they stand at a *greater* depth than the revoker; equals cannot
//!   revoke each other. What a revoked key signed counts only if it lies in the causal past of **every** counting
//!   revoke that reaches it, or if a [`crate::act::Keep`] at that revoke's depth or above names it.
//! - A node's depth is one more than that of the operator who invited it.
//! - A key that a revoke reaches cannot be admitted again by anybody whom that revoke binds.
//!
//! What this module never does: read a clock, believe a stamp, or remember anything between two evaluations.

mod evaluate;
mod judge;
mod nodes;
mod past;

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use vigo_base::{Hash, Hostname, PublicKey, SpannerId, Time, planted};
use vigo_crdt::statement::AFTER;
use vigo_crdt::{Draft, Space};

pub use judge::{Dag, SpaceJudge};
pub(crate) use nodes::{Candidate, Settlement};

use crate::act::{Act, BadAct, FLEET_VERSION, Invite, Invitee, Revoke};
use crate::admissions::Admissions;
use crate::member::{Member, MemberState};
use crate::right::{Grants, Pattern, Right};
use crate::spend::ForkProof;

/// Somebody who signs authority: the recovery key or an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Operator {
    /// Its admit's statement id; the genesis' for the recovery key.
    pub id: Hash,
    /// Its key.
    pub key: PublicKey,
    /// Its name; `recovery` for the recovery key.
    pub name: String,
    /// How many admits stand between it and the recovery key.
    pub depth: usize,
    /// Who admitted it; itself for the recovery key.
    pub by: Hash,
    /// What its maker gave it.
    pub granted: Grants,
    /// The grants it was narrowed to since; it has what all of them and `granted` allow.
    pub narrowed: Vec<Grants>,
    /// The revokes that reach it.
    pub revoked_by: Vec<Hash>,
}

impl Operator {
    /// Whether it may do this now: neither revoked nor out of its rights.
    pub fn may(&self, right: Right, target: &Pattern) -> bool {
        let mut limits = std::iter::once(&self.granted).chain(&self.narrowed);
        self.revoked_by.is_empty() && limits.all(|g| g.allow(right, target))
    }
}

/// A revoke that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Its statement id.
    pub id: Hash,
    /// Who signed it: an [`Operator::id`].
    pub by: Hash,
    /// The depth of who signed it: it reaches what is deeper.
    pub depth: usize,
    /// When its signer says it was made, for people.
    pub at: Time,
    /// What it says.
    pub revoke: Revoke,
}

/// An invite that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Its statement id.
    pub id: Hash,
    /// Who signed it: an [`Operator::id`].
    pub by: Hash,
    /// The depth of who signed it; whoever comes in by it is one deeper.
    pub depth: usize,
    /// What it says.
    pub invite: Invite,
}

/// Why a statement has no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WhyNot {
    /// Nobody has it.
    #[error("the statement {id:?} is not known here")]
    Unknown {
        /// Its id.
        id: Hash,
    },
    /// It says nothing that is understood.
    #[error("{0}")]
    Act(#[from] BadAct),
    /// The admit it names in `under` is not known or does not count.
    #[error("it acts under the admit {under:?}, which is not known or does not count")]
    Admit {
        /// The admit.
        under: Hash,
    },
    /// It is signed by another key than its admit's.
    #[error("it is signed by {signer:?} but acts under an admit of {expected:?}")]
    Signer {
        /// Who signed.
        signer: PublicKey,
        /// Whose admit it is.
        expected: PublicKey,
    },
    /// Its signer has not the right, or not that far.
    #[error("{operator} has not the right {right} for {target}")]
    Right {
        /// The name of the signer.
        operator: String,
        /// The right it takes.
        right: Right,
        /// What it takes it for.
        target: String,
    },
    /// Its signer is revoked, and the revoker had not seen it.
    #[error("its signer was revoked by {by:?}, which had not seen it")]
    Revoked {
        /// The revoke.
        by: Hash,
    },
    /// It admits a key that was revoked.
    #[error("it admits the key {key:?}, which {by:?} revoked: a revoked key never returns, make a new one")]
    KeyRevoked {
        /// The key.
        key: PublicKey,
        /// The revoke.
        by: Hash,
    },
    /// The chain of admits is too long.
    #[error("its operator would stand at depth {depth}, at most {limit} is allowed", limit = vigo_base::limits::AUTHORITY_DEPTH)]
    TooDeep {
        /// The depth it would have.
        depth: usize,
    },
    /// A fleet has one genesis.
    #[error("it is a genesis, and not this fleet's")]
    SecondGenesis,
    /// Statements of `admissions` are judged by [`Authority::evaluate`], those of other spaces one by one.
    #[error("it is of the space {space}, which is not judged here")]
    Space {
        /// Its space.
        space: String,
    },
}

/// Why a spend lets nobody in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WhyNotSpend {
    /// The invite is not known or does not count.
    #[error("the invite {invite:?} is not known or does not count")]
    Invite {
        /// The invite.
        invite: Hash,
    },
    /// The record is of the wrong space for the kind of node.
    #[error("the spend of an invite for one {kind} does not belong in {space}")]
    Space {
        /// What the invite is for.
        kind: crate::act::NodeKind,
        /// Where the spend is.
        space: String,
    },
    /// The invite does not list the author.
    #[error("the invite may not be spent by {author:?}")]
    Spender {
        /// The author of the spend.
        author: PublicKey,
    },
    /// The author is no bolt that counts.
    #[error("{author:?}, who spent it, is no bolt that counts")]
    NotABolt {
        /// The author of the spend.
        author: PublicKey,
    },
    /// The author or the invite is revoked, and the revoker had not seen the spend.
    #[error("{key:?} was revoked by {by:?}, which had not seen the spend")]
    Revoked {
        /// The key that was revoked: the author's or the invite's.
        key: PublicKey,
        /// The revoke.
        by: Hash,
    },
    /// The author's key is in two hands, and this comes after that.
    #[error("its author {author:?} forked: what it signed from there on does not count")]
    Forked {
        /// The author of the spend.
        author: PublicKey,
    },
    /// The name is not the one allowed.
    #[error("the name {name} does not fit {rule}")]
    Name {
        /// The name taken.
        name: Hostname,
        /// The names allowed.
        rule: String,
    },
    /// The invite is for another node, or the proof is missing or of another token.
    #[error("nothing proves that {node:?} was invited")]
    Proof {
        /// The node.
        node: PublicKey,
    },
    /// The key is a member already by another spend.
    #[error("{node:?} is a member already")]
    Again {
        /// The node.
        node: PublicKey,
    },
}

impl Serialize for WhyNot {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Narrowing {
    pub id: Hash,
    pub depth: usize,
    pub grants: Grants,
    pub seen: Vec<crate::act::Seen>,
}

/// Who may what in one fleet, as far as the admissions it was evaluated from go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    admissions: Admissions,
    label: String,
    version: u32,
    operators: BTreeMap<Hash, Operator>,
    verdicts: BTreeMap<Hash, Result<(), WhyNot>>,
    revocations: BTreeMap<Hash, Revocation>,
    revoked: BTreeMap<PublicKey, Vec<Hash>>,
    narrowings: BTreeMap<Hash, Vec<Narrowing>>,
    kept: BTreeMap<Hash, usize>,
    invites: BTreeMap<Hash, Invitation>,
    invitees: BTreeMap<PublicKey, Vec<Hash>>,
    bolts: Settlement,
    spends: BTreeMap<Hash, Result<(), WhyNotSpend>>,
    partitions: BTreeMap<PublicKey, Vec<Pattern>>,
    heads: Vec<Hash>,
}

impl Authority {
    /// Judges everything in `admissions`. Without the genesis in it nothing counts.
    pub fn evaluate(admissions: &Admissions) -> Authority {
        evaluate::run(admissions)
    }

    fn empty(admissions: &Admissions) -> Authority {
        Authority {
            admissions: admissions.clone(),
            label: String::new(),
            version: 0,
            operators: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            revocations: BTreeMap::new(),
            revoked: BTreeMap::new(),
            narrowings: BTreeMap::new(),
            kept: BTreeMap::new(),
            invites: BTreeMap::new(),
            invitees: BTreeMap::new(),
            bolts: Settlement::default(),
            spends: BTreeMap::new(),
            partitions: BTreeMap::new(),
            heads: Vec::new(),
        }
    }

    /// The fleet.
    pub fn spanner(&self) -> SpannerId {
        self.admissions.spanner()
    }

    /// What it was evaluated from.
    pub fn admissions(&self) -> &Admissions {
        &self.admissions
    }

    /// Whether the genesis is known: before that nothing counts.
    pub fn has_genesis(&self) -> bool {
        self.version > 0
    }

    /// What people call the fleet; not for a terminal without [`vigo_base::text::escaped`].
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The fleet version; 0 without a genesis.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Whether the fleet's version is above what this program knows: it should be updated.
    pub fn outdated(&self) -> bool {
        self.version > FLEET_VERSION
    }

    /// Whether a statement of `admissions` counts.
    ///
    /// # Errors
    /// [`WhyNot`] with the reason if it does not.
    pub fn counts(&self, id: &Hash) -> Result<(), WhyNot> {
        self.verdicts.get(id).cloned().unwrap_or(Err(WhyNot::Unknown { id: *id }))
    }

    /// Whether a bolt's spend lets its node in; a suspended node's does.
    ///
    /// # Errors
    /// [`WhyNotSpend`] with the reason if it does not, none for a spend that is not known.
    pub fn spend_counts(&self, id: &Hash) -> Option<Result<(), WhyNotSpend>> {
        self.spends.get(id).cloned()
    }

    /// The recovery key and all operators, revoked ones too.
    pub fn operators(&self) -> impl Iterator<Item = &Operator> {
        self.operators.values()
    }

    /// The operator of this admit.
    pub fn operator(&self, admit: &Hash) -> Option<&Operator> {
        self.operators.get(admit)
    }

    /// The admits of this key that are not revoked, the one nearest to the recovery key first.
    pub fn operator_by_key(&self, key: &PublicKey) -> Option<&Operator> {
        let mine = self.operators.values().filter(|o| o.key == *key && o.revoked_by.is_empty());
        mine.min_by_key(|o| (o.depth, o.id))
    }

    /// The standing of this key that allows `right` for `target`: which admit to sign `under`.
    pub fn operator_for(&self, key: &PublicKey, right: Right, target: &Pattern) -> Option<&Operator> {
        let able = self.operators.values().filter(|o| o.key == *key && o.may(right, target));
        able.min_by_key(|o| (o.depth, o.id))
    }

    /// All bolts, those suspended and revoked too, by key.
    pub fn bolts(&self) -> impl Iterator<Item = &Member> {
        self.bolts.members.values()
    }

    /// The bolt with this key.
    pub fn bolt(&self, key: &PublicKey) -> Option<&Member> {
        self.bolts.members.get(key)
    }

    /// All invites that count, by id.
    pub fn invites(&self) -> impl Iterator<Item = &Invitation> {
        self.invites.values()
    }

    /// The invite with this statement id, if it counts.
    pub fn invite(&self, id: &Hash) -> Option<&Invitation> {
        self.invites.get(id)
    }

    /// The invites for this token or node, by id.
    pub fn invites_for(&self, invitee: &PublicKey) -> impl Iterator<Item = &Invitation> {
        self.invitees.get(invitee).into_iter().flatten().filter_map(|id| self.invites.get(id))
    }

    /// How often bolts came in by this invite; [`crate::Roster::spent`] counts envoys.
    pub fn spent(&self, invite: &Hash) -> u32 {
        self.bolts.used.get(invite).copied().unwrap_or(0)
    }

    /// All revokes that count, by id.
    pub fn revocations(&self) -> impl Iterator<Item = &Revocation> {
        self.revocations.values()
    }

    /// The revoke with this statement id.
    pub fn revocation(&self, id: &Hash) -> Option<&Revocation> {
        self.revocations.get(id)
    }

    /// The revoke that reaches this key where it stands at `depth`, the highest first.
    pub fn revoked_at(&self, key: &PublicKey, depth: usize) -> Option<&Revocation> {
        self.reaching(key, depth).min_by_key(|r| (r.depth, r.id))
    }

    pub(crate) fn reaching(&self, key: &PublicKey, depth: usize) -> impl Iterator<Item = &Revocation> {
        let named = self.revoked.get(key).into_iter().flatten();
        named.filter_map(|id| self.revocations.get(id)).filter(move |r| r.depth < depth || planted!(2))
    }

    /// Who revoked this key, if somebody did: an operator or a bolt where it stands, and any other key (an
    /// envoy's, an invite's, a stranger's) as soon as any counting revoke names it. For an envoy whose depth is
    /// known [`crate::Roster`] gives the exact answer.
    pub fn is_revoked(&self, key: &PublicKey) -> Option<&Revocation> {
        if let Some(bolt) = self.bolt(key) {
            return self.revoked_at(key, bolt.depth);
        }
        let mut standing = self.operators.values().filter(|o| o.key == *key).peekable();
        if standing.peek().is_some() {
            let all = standing.map(|o| self.revoked_at(key, o.depth)).collect::<Option<Vec<_>>>();
            return all.and_then(|revokes| revokes.into_iter().next());
        }
        self.revoked_at(key, usize::MAX)
    }

    /// The fork by which this node key is suspended, if it is and nobody revoked it yet.
    pub fn suspended(&self, key: &PublicKey) -> Option<&ForkProof> {
        let fork = self.admissions.fork_of(key)?;
        match self.bolt(key).map(|m| &m.state) {
            Some(MemberState::Revoked { .. }) => None,
            _ => Some(fork),
        }
    }

    /// Up to which sequence the records of a member of this space count: none for no bound. A revoked member's
    /// count as far as every revoke that reaches it says.
    pub fn cut(&self, member: &Member, space: &Space) -> Option<u64> {
        let upto = |r: &Revocation| nodes::upto(&r.revoke, &member.key, space);
        self.reaching(&member.key, member.depth).map(upto).min()
    }

    /// The patterns of one bolt; a bolt that nobody gave any has `*`.
    pub fn partition(&self, bolt: &PublicKey) -> Vec<Pattern> {
        self.partitions.get(bolt).cloned().unwrap_or_else(|| vec![Pattern::any()])
    }

    /// The active bolt that keeps the history of the envoy of this name: the most specific pattern wins, then
    /// the lower key.
    pub fn keeper(&self, name: &Hostname) -> Option<&Member> {
        let rank = |bolt: &Member| {
            let patterns = self.partition(&bolt.key);
            patterns.iter().filter(|p| p.matches(name.as_str())).map(Pattern::specificity).max()
        };
        let ranked = self.bolts().filter(|b| b.is_active()).filter_map(|b| rank(b).map(|r| (r, b)));
        ranked.min_by(|(a, x), (b, y)| b.cmp(a).then(x.key.cmp(&y.key))).map(|(_, bolt)| bolt)
    }

    /// The counting statements that no counting statement has seen, ascending.
    pub fn heads(&self) -> &[Hash] {
        &self.heads
    }

    /// A draft that says `act` and has seen all heads. Should there be more than a statement can name, those
    /// signed nearest to the recovery key are taken: so nobody can keep a revoke from seeing what its betters did.
    pub fn draft(&self, act: &Act, under: Hash, at: Time) -> Draft {
        let depth = |id: &Hash| {
            let said = self.admissions.statements().get(id);
            said.and_then(|s| self.operators.get(&s.statement.under())).map_or(0, |o| o.depth)
        };
        let mut after = self.heads.clone();
        if after.len() > AFTER {
            after.sort_by_cached_key(|id| (depth(id), *id));
            after.truncate(AFTER);
        }
        act.draft(under, after, at)
    }

    pub(crate) fn is_kept(&self, id: &Hash, revoke_depth: usize) -> bool {
        self.kept.get(id).is_some_and(|depth| *depth <= revoke_depth || planted!(10))
    }

    pub(crate) fn settled_bolts(&self) -> &Settlement {
        &self.bolts
    }

    /// The revoke that calls this invite back for a spend that nobody vouched for, if there is one.
    pub fn called_back(&self, invitation: &Invitation) -> Option<&Revocation> {
        match invitation.invite.invitee {
            Invitee::Token(key) | Invitee::Node(key) => self.revoked_at(&key, invitation.depth + 1),
        }
    }
}
