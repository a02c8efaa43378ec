//! Papers: how a node shows who it is to a peer that may never have heard of it.
//!
//! The papers of a node are the statements and spends that lead from the genesis to its own admission. They are
//! checked twice. First by themselves, with nothing but the fleet's id: so they hold for a peer that slept for
//! months. Then together with everything the verifier knows: revokes, cuts and forks bite although the papers
//! do not mention them. Only papers that pass the first check cost the second.
//!
//! What this module never does: take a peer's word for what is not signed, or add to what the verifier holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use minicbor::{Decode, Encode};
use vigo_base::codec::{self, BadBytes};
use vigo_base::{Hash, PublicKey, SpannerId, limits};
use vigo_crdt::{BadRecord, BadStatement, Space, Unverified};

use crate::act::{Act, NodeKind, read_statement};
use crate::admissions::Admissions;
use crate::authority::{Authority, WhyNotSpend};
use crate::member::{Member, MemberState};
use crate::roster::Roster;
use crate::spend::{BadAdmission, SpendRecord};

/// Spends in one node's papers: its own and those of the bolts before it.
pub const PAPERS_SPENDS: usize = 32;
/// Bytes of encoded papers.
pub const PAPERS_BYTES: usize = limits::FRAME_BYTES - 1024;

/// Which revokes one knows, in a few bytes: peers that differ reconcile `admissions` before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct RevocationDigest {
    /// How many revokes count.
    #[n(0)]
    pub count: u32,
    /// SHA-256 of their ids in ascending order.
    #[n(1)]
    pub hash: Hash,
}

impl RevocationDigest {
    /// The digest of the revokes that count here.
    pub fn of(authority: &Authority) -> RevocationDigest {
        let ids: Vec<Hash> = authority.revocations().map(|r| r.id).collect();
        let parts: Vec<&[u8]> = ids.iter().map(|id| &id.0[..]).collect();
        RevocationDigest { count: ids.len() as u32, hash: Hash::of_parts(&parts) }
    }
}

/// What a node shows of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Papers {
    /// Encoded statements from the genesis on.
    pub statements: Vec<Vec<u8>>,
    /// Encoded spend records, the node's own among them.
    pub spends: Vec<Vec<u8>>,
    /// Which revokes the node knows.
    pub revocations: RevocationDigest,
}

#[derive(Encode, Decode)]
struct Wire {
    #[n(0)]
    statements: Vec<minicbor::bytes::ByteVec>,
    #[n(1)]
    spends: Vec<minicbor::bytes::ByteVec>,
    #[n(2)]
    revocations: RevocationDigest,
}

/// Papers that were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Who it is, as the verifier sees it. Perhaps suspended: the door decides.
    pub member: Member,
    /// The node's own spend, for [`Roster::insert_spend`].
    pub spend: Arc<SpendRecord>,
    /// Which revokes the peer knows.
    pub revocations: RevocationDigest,
    /// Whether the papers hold statements or bolts' spends that the verifier does not have: it should
    /// reconcile `admissions`.
    pub news: bool,
}

/// Why no papers could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPapers {
    /// The node is no member as far as is known here.
    #[error("the node {node:?} is no member that this node knows of")]
    NotAMember {
        /// The node.
        node: PublicKey,
    },
    /// The chain has a hole.
    #[error("{id:?}, which the papers need, is not known here")]
    Missing {
        /// The id of the statement or record.
        id: Hash,
    },
    /// The chain is too long to show.
    #[error(
        "the chain has {statements} statements and {spends} spends, at most {} and {PAPERS_SPENDS} fit: join through a bolt nearer to the first",
        limits::PAPERS_STATEMENTS
    )]
    TooLong {
        /// How many statements it has.
        statements: usize,
        /// How many spends it has.
        spends: usize,
    },
}

/// Why papers were not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PapersRefused {
    /// They do not decode.
    #[error("malformed papers: {why}")]
    Malformed {
        /// What is wrong.
        why: BadBytes,
    },
    /// Too many parts.
    #[error("papers with {found} {what}, at most {limit} are allowed")]
    TooMany {
        /// Statements or spends.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A statement is bad.
    #[error("in the papers: {0}")]
    Statement(BadStatement),
    /// A record is bad.
    #[error("in the papers: {0}")]
    Record(BadRecord),
    /// A spend is bad.
    #[error("in the papers: {0}")]
    Spend(BadAdmission),
    /// They do not begin with this fleet's genesis.
    #[error("the papers are of another fleet, or lack the genesis of {spanner}")]
    OtherFleet {
        /// The verifier's fleet.
        spanner: SpannerId,
    },
    /// No chain leads to the peer's key.
    #[error("the papers do not show that {key} was admitted{}", reason(.why))]
    NoChain {
        /// The peer's key.
        key: PublicKey,
        /// Why its spend does not count, if there is one.
        why: Option<WhyNotSpend>,
    },
    /// The chain holds by itself, but not with what is known here.
    #[error("the admission of {key} does not hold: {why}")]
    Fallen {
        /// The peer's key.
        key: PublicKey,
        /// Why its spend does not count.
        why: WhyNotSpend,
    },
    /// The peer is revoked.
    #[error("{name} ({key}) was revoked by {by:?}")]
    Revoked {
        /// The peer's key.
        key: PublicKey,
        /// Its name.
        name: vigo_base::Hostname,
        /// The revoke: show it to the peer.
        by: Hash,
    },
}

fn reason(why: &Option<WhyNotSpend>) -> String {
    why.as_ref().map_or_else(String::new, |why| format!(": {why}"))
}

impl Papers {
    /// The papers of one node, from what is known here. Every node can make its own.
    ///
    /// # Errors
    /// [`NoPapers`] if it is no member, or the chain is incomplete or too long.
    pub fn build(authority: &Authority, roster: &Roster, node: &PublicKey) -> Result<Papers, NoPapers> {
        let member = roster.get(node).ok_or(NoPapers::NotAMember { node: *node })?;
        let own = match roster.spend(&member.spend) {
            Some(spend) => spend.clone(),
            None => bolt_spend(authority, &member.spend)?,
        };
        let mut chain = Chain::default();
        let mut next = Some(own);
        while let Some(spend) = next {
            chain.spends.push(spend.record().bytes().to_vec());
            chain.add_invite(authority, spend.spend().invite)?;
            let (author, node) = (spend.author(), spend.spend().node);
            next = match authority.bolt(&author) {
                Some(bolt) if author != node && chain.spends.len() < PAPERS_SPENDS => {
                    Some(bolt_spend(authority, &bolt.spend)?)
                }
                _ => None,
            };
        }
        chain.add_keeps(authority)?;
        if chain.statements.len() > limits::PAPERS_STATEMENTS || chain.spends.len() >= PAPERS_SPENDS {
            let (statements, spends) = (chain.statements.len(), chain.spends.len());
            return Err(NoPapers::TooLong { statements, spends });
        }
        Ok(Papers {
            statements: chain.statements.into_values().collect(),
            spends: chain.spends,
            revocations: RevocationDigest::of(authority),
        })
    }

    /// The bytes that are sent.
    pub fn encode(&self) -> Vec<u8> {
        let wrap = |list: &[Vec<u8>]| list.iter().map(|b| b.clone().into()).collect();
        codec::encode(&Wire {
            statements: wrap(&self.statements),
            spends: wrap(&self.spends),
            revocations: self.revocations,
        })
    }

    /// Reads papers without believing them.
    ///
    /// # Errors
    /// [`PapersRefused::Malformed`] or [`PapersRefused::TooMany`].
    pub fn decode(bytes: &[u8]) -> Result<Papers, PapersRefused> {
        let wire: Wire =
            codec::decode(bytes, PAPERS_BYTES).map_err(|why| PapersRefused::Malformed { why })?;
        let bound = |what, found, limit| match found > limit {
            true => Err(PapersRefused::TooMany { what, found, limit }),
            false => Ok(()),
        };
        bound("statements", wire.statements.len(), limits::PAPERS_STATEMENTS)?;
        bound("spends", wire.spends.len(), PAPERS_SPENDS)?;
        let unwrap = |list: Vec<minicbor::bytes::ByteVec>| list.into_iter().map(Into::into).collect();
        Ok(Papers {
            statements: unwrap(wire.statements),
            spends: unwrap(wire.spends),
            revocations: wire.revocations,
        })
    }

    /// Checks the papers of the peer that holds `key` (which TLS proved).
    ///
    /// # Errors
    /// [`PapersRefused`] with the reason. A suspended peer is no error here: [`Checked::member`] says so.
    pub fn check(bytes: &[u8], key: &PublicKey, authority: &Authority) -> Result<Checked, PapersRefused> {
        let papers = Papers::decode(bytes)?;
        let spanner = authority.spanner();
        // Told apart first: in another fleet's papers no signature holds here, which would say nothing to anybody.
        if !papers.statements.iter().any(|statement| Hash::of(statement) == spanner.0) {
            return Err(PapersRefused::OtherFleet { spanner });
        }
        let shown = papers.read(authority.admissions())?;
        let own = shown.own_spend(key)?;
        // By themselves: a chain from the genesis to the key, with nothing of ours.
        let alone = Authority::evaluate(&shown.admissions);
        if !alone.has_genesis() {
            return Err(PapersRefused::OtherFleet { spanner });
        }
        find(&alone, &own).map_err(|why| PapersRefused::NoChain { key: *key, why: Some(why) })?;
        // Together with everything known here.
        let news = shown.has_news(authority);
        let member = match news {
            false => find(authority, &own),
            true => find(&Authority::evaluate(&shown.joined(authority)), &own),
        };
        let member = member.map_err(|why| PapersRefused::Fallen { key: *key, why })?;
        if let MemberState::Revoked { by } = member.state {
            return Err(PapersRefused::Revoked { key: *key, name: member.name, by });
        }
        Ok(Checked { member, spend: own, revocations: papers.revocations, news })
    }

    /// Checks every signature, but for what `known` holds byte by byte: that was checked when it came there. So
    /// whoever comes again, and most come again, costs a few hashes.
    fn read(&self, known: &Admissions) -> Result<Shown, PapersRefused> {
        let spanner = known.spanner();
        let mut shown = Shown { admissions: Admissions::new(spanner), envoys: Vec::new() };
        for bytes in &self.statements {
            if let Some(said) = known.statements().get(&Hash::of(bytes)) {
                shown.admissions.share_statement(said);
                continue;
            }
            let statement = read_statement(bytes, &spanner).map_err(PapersRefused::Statement)?;
            shown.admissions.insert_statement(statement);
        }
        for bytes in &self.spends {
            if let Some(spend) = known.spends().get(&Hash::of(bytes)) {
                shown.admissions.share_spend(spend.clone());
                continue;
            }
            let record = Unverified::decode(bytes).and_then(|u| u.verify(&spanner));
            let record = record.map_err(PapersRefused::Record)?;
            let spend = SpendRecord::read(&record, &spanner).map_err(PapersRefused::Spend)?;
            match *record.space() == Space::admissions() {
                true => drop(shown.admissions.insert_spend(spend)),
                false => shown.envoys.push(Arc::new(spend)),
            }
        }
        Ok(shown)
    }
}

/// What papers hold, with all signatures checked.
struct Shown {
    admissions: Admissions,
    envoys: Vec<Arc<SpendRecord>>,
}

impl Shown {
    fn own_spend(&self, key: &PublicKey) -> Result<Arc<SpendRecord>, PapersRefused> {
        let mut all = self.envoys.iter().chain(self.admissions.spends().values());
        let own = all.find(|s| s.spend().node == *key);
        own.cloned().ok_or(PapersRefused::NoChain { key: *key, why: None })
    }

    fn has_news(&self, authority: &Authority) -> bool {
        let known = authority.admissions();
        self.admissions.statements().keys().any(|id| !known.statements().contains_key(id))
            || self.admissions.spends().keys().any(|id| !known.spends().contains_key(id))
    }

    fn joined(&self, authority: &Authority) -> Admissions {
        let mut all = authority.admissions().clone();
        for said in self.admissions.statements().values() {
            all.share_statement(said);
        }
        for spend in self.admissions.spends().values() {
            all.share_spend(spend.clone());
        }
        all
    }
}

/// Why somebody whose papers held once is no member any more, by what is known now: its spend was cut off, or the invite
/// behind it. What is only not known here says nothing against it.
pub fn fallen(authority: &Authority, spend: &SpendRecord) -> Option<PapersRefused> {
    let why = authority.judge_spend(spend).err()?;
    let certain = match &why {
        WhyNotSpend::Revoked { .. } | WhyNotSpend::Forked { .. } => true,
        WhyNotSpend::Invite { invite } => authority.admissions().statements().contains_key(invite),
        _ => false,
    };
    certain.then(|| PapersRefused::Fallen { key: spend.spend().node, why })
}

/// The member that a spend makes under this authority.
fn find(authority: &Authority, own: &Arc<SpendRecord>) -> Result<Member, WhyNotSpend> {
    let candidate = authority.judge_spend(own)?;
    match candidate.member.kind {
        // Settled against the other bolts.
        NodeKind::Bolt => match authority.bolt(&own.spend().node) {
            Some(member) => Ok(member.clone()),
            None => Err(WhyNotSpend::NotABolt { author: own.spend().node }),
        },
        // A bolt settles an envoy against the others in its roster; a name of a bolt is taken for everybody.
        NodeKind::Envoy => {
            let mut settled = authority.settled_bolts().clone();
            match settled.settle(vec![candidate]).into_iter().next() {
                Some((_, why)) => Err(why),
                None => settled
                    .members
                    .remove(&own.spend().node)
                    .ok_or(WhyNotSpend::Again { node: own.spend().node }),
            }
        }
    }
}

fn bolt_spend(authority: &Authority, id: &Hash) -> Result<Arc<SpendRecord>, NoPapers> {
    authority.admissions().spends().get(id).cloned().ok_or(NoPapers::Missing { id: *id })
}

#[derive(Default)]
struct Chain {
    statements: BTreeMap<Hash, Vec<u8>>,
    spends: Vec<Vec<u8>>,
}

impl Chain {
    /// An invite and the admits above it, up to the genesis.
    fn add_invite(&mut self, authority: &Authority, invite: Hash) -> Result<(), NoPapers> {
        let mut id = invite;
        loop {
            let said = authority.admissions().statements().get(&id).ok_or(NoPapers::Missing { id })?;
            let known = self.statements.insert(id, said.statement.bytes().to_vec()).is_some();
            if known || id == authority.spanner().0 {
                return Ok(());
            }
            id = said.statement.under();
        }
    }

    /// The counting keeps that name anything of the chain, each with the admits above it.
    fn add_keeps(&mut self, authority: &Authority) -> Result<(), NoPapers> {
        let mut chain: BTreeSet<Hash> = self.statements.keys().copied().collect();
        chain.extend(self.spends.iter().map(|bytes| Hash::of(bytes)));
        let names_us = |act: &Act| match act {
            Act::Keep(keep) => keep.statements.iter().any(|id| chain.contains(id)),
            _ => false,
        };
        for (id, said) in authority.admissions().statements() {
            if said.act.as_ref().is_ok_and(names_us) && authority.counts(id).is_ok() {
                self.add_invite(authority, *id)?;
            }
        }
        Ok(())
    }
}
