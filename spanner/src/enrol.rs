//! The bolt's desk: whoever brings a token, or was approved, is let in here or told why not.
//!
//! Pure: the desk looks at authority, roster and its own clock, and gives back the [`Spend`] to be written as a
//! record, or a typed refusal. Every refusal can be shown to the person at the new machine; none tells a stranger
//! anything about an invite whose seed it does not hold, since the proof is checked first.
//!
//! The spend that comes out is judged by everybody else again, without a clock.

use minicbor::{Decode, Encode};
use vigo_base::{BadSignature, Hash, Hostname, PublicKey, SecretKey, SpannerId, Time};
use vigo_crdt::Statement;

use crate::act::{self, Act, Admit, Genesis, Invite, Invitee, NameRule, NodeKind};
use crate::authority::{Authority, Invitation};
use crate::member::{Member, MemberState, Suspension};
use crate::right::{Grant, Right};
use crate::roster::Roster;
use crate::spend::{Proof, Spend};
use crate::token::span;

/// What a new machine sends with a token.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct EnrolRequest {
    /// The name it wants.
    #[n(0)]
    pub name: Hostname,
    /// What it means to be.
    #[n(1)]
    pub kind: NodeKind,
    /// That the token's holder stands behind it.
    #[n(2)]
    pub proof: Proof,
}

/// A bolt at which machines enrol.
#[derive(Debug, Clone, Copy)]
pub struct Desk<'a> {
    /// What counts.
    pub authority: &'a Authority,
    /// Who is there.
    pub roster: &'a Roster,
    /// This bolt's key.
    pub me: PublicKey,
    /// This bolt's clock.
    pub now: Time,
}

/// What the bolt does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enrolment {
    /// Write this as a record of [`crate::spend::SPEND`], in the space of its kind.
    Spend(Spend, NodeKind),
    /// It came in before by this very invite and asks again: answer with its papers.
    Already(Member),
}

/// Why a machine is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnrolRefused {
    /// This node lets nobody in.
    #[error("this node is no active bolt: enrol at a bolt")]
    NotABolt,
    /// The proof is for another node, name or fleet.
    #[error("the token's proof does not hold for this node and name: {why}")]
    Proof {
        /// What is wrong.
        why: BadSignature,
    },
    /// The proof is of another connection: somebody stands in the middle.
    #[error(
        "the token's proof was made for another connection: something between this machine and the bolt relays it; try another network"
    )]
    OtherConnection,
    /// No invite names this token.
    #[error(
        "no invite here is for this token: it was called back, its operator was revoked, or this bolt has not heard of it yet; try again in a minute or ask for a new token"
    )]
    UnknownInvite,
    /// Nobody approved this node.
    #[error("no operator approved {node:?}: vigocli spanner approve")]
    NotApproved {
        /// The node.
        node: PublicKey,
    },
    /// An operator called the invite back.
    #[error("the invite was called back by {by:?}")]
    CalledBack {
        /// The revoke.
        by: Hash,
    },
    /// All uses are spent.
    #[error("the token was spent: all {uses} of its uses are gone; ask for a new one")]
    Spent {
        /// The uses it had.
        uses: u32,
    },
    /// Its time is over by this bolt's clock.
    #[error("the token expired {ago} ago, at {}; this bolt's clock says {}. Ask for a new one", .until.rfc3339(), .now.rfc3339())]
    Expired {
        /// When it expired.
        until: Time,
        /// What the bolt's clock says.
        now: Time,
        /// The difference for people.
        ago: String,
    },
    /// Another bolt must spend it.
    #[error("this bolt may not spend the token; these may: {}", keys(.spenders))]
    NotThisBolt {
        /// The bolts that may.
        spenders: Vec<PublicKey>,
    },
    /// It was made for the other kind of node.
    #[error(
        "the token is for one {invite}, and this machine asks to be a {asked}: join without that wish, or ask for another token"
    )]
    Kind {
        /// What the invite is for.
        invite: NodeKind,
        /// What the machine asks for.
        asked: NodeKind,
    },
    /// The name is not allowed.
    #[error("the name {name} does not fit the invite, which allows {rule}: use --name")]
    NameDoesNotFit {
        /// The name wanted.
        name: Hostname,
        /// The names allowed.
        rule: String,
    },
    /// The name is taken.
    #[error("the name {name} belongs to the node {holder:?}: use another --name, or revoke that node first")]
    NameTaken {
        /// The name.
        name: Hostname,
        /// Who has it.
        holder: PublicKey,
    },
    /// The node's key was revoked.
    #[error(
        "this machine's key was revoked by {by:?} and never returns: remove node.key and join again with a new one"
    )]
    NodeRevoked {
        /// The revoke.
        by: Hash,
    },
    /// The node's key is in two hands.
    #[error("this machine's key is also in use elsewhere: {why}")]
    NodeForked {
        /// The fork.
        why: Suspension,
    },
    /// It is a member by another invite.
    #[error("this machine belongs to the fleet already, as {name}")]
    AlreadyMember {
        /// Its name.
        name: Hostname,
    },
}

fn keys(list: &[PublicKey]) -> String {
    list.iter().map(PublicKey::short).collect::<Vec<_>>().join(", ")
}

impl Desk<'_> {
    /// Considers a machine that brings a token. `exporter` is this connection's TLS exporter, `node` the key that
    /// TLS proved.
    ///
    /// # Errors
    /// [`EnrolRefused`] with the reason.
    pub fn enrol(
        &self,
        node: &PublicKey,
        request: &EnrolRequest,
        exporter: &[u8],
    ) -> Result<Enrolment, EnrolRefused> {
        let proof = &request.proof;
        let spanner = self.authority.spanner();
        proof.check(&spanner, node, &request.name).map_err(|why| EnrolRefused::Proof { why })?;
        if proof.exporter != Hash::of(exporter) {
            return Err(EnrolRefused::OtherConnection);
        }
        let mut first = None;
        for invitation in self.authority.invites_for(&proof.key) {
            if invitation.invite.invitee != Invitee::Token(proof.key) {
                continue;
            }
            if invitation.invite.kind != request.kind {
                let (invite, asked) = (invitation.invite.kind, request.kind);
                first.get_or_insert(EnrolRefused::Kind { invite, asked });
                continue;
            }
            match self.admit(invitation, node, &request.name, Some(proof)) {
                Ok(enrolment) => return Ok(enrolment),
                Err(why) => drop(first.get_or_insert(why)),
            }
        }
        Err(first.unwrap_or(EnrolRefused::UnknownInvite))
    }

    /// Considers a node that asked to join and whose approval may have arrived.
    ///
    /// # Errors
    /// [`EnrolRefused`] with the reason; [`EnrolRefused::NotApproved`] while there is no approval.
    pub fn approved(&self, node: &PublicKey, name: &Hostname) -> Result<Enrolment, EnrolRefused> {
        let mut first = None;
        for invitation in self.authority.invites_for(node) {
            if invitation.invite.invitee != Invitee::Node(*node) {
                continue;
            }
            let name = match &invitation.invite.name {
                NameRule::Exact(given) => given,
                NameRule::Pattern(_) => name,
            };
            match self.admit(invitation, node, name, None) {
                Ok(enrolment) => return Ok(enrolment),
                Err(why) => drop(first.get_or_insert(why)),
            }
        }
        Err(first.unwrap_or(EnrolRefused::NotApproved { node: *node }))
    }

    fn admit(
        &self,
        invitation: &Invitation,
        node: &PublicKey,
        name: &Hostname,
        proof: Option<&Proof>,
    ) -> Result<Enrolment, EnrolRefused> {
        let invite = &invitation.invite;
        let again = self.check_node(invitation, node)?;
        if let Some(member) = again {
            return Ok(Enrolment::Already(member));
        }
        if !self.authority.bolt(&self.me).is_some_and(Member::is_active_bolt) {
            return Err(EnrolRefused::NotABolt);
        }
        if !invite.spenders.contains(&self.me) {
            return Err(EnrolRefused::NotThisBolt { spenders: invite.spenders.clone() });
        }
        if let Some(revoke) = self.authority.called_back(invitation) {
            return Err(EnrolRefused::CalledBack { by: revoke.id });
        }
        if self.now > invite.until {
            let (until, now) = (invite.until, self.now);
            return Err(EnrolRefused::Expired { until, now, ago: span(now.since(until)) });
        }
        if self.roster.spent(&invitation.id) >= invite.uses {
            return Err(EnrolRefused::Spent { uses: invite.uses });
        }
        if !invite.name.fits(name) {
            let rule = invite.name.to_string();
            return Err(EnrolRefused::NameDoesNotFit { name: name.clone(), rule });
        }
        if let Some(holder) = self.roster.by_name(name).filter(|m| m.key != *node) {
            return Err(EnrolRefused::NameTaken { name: name.clone(), holder: holder.key });
        }
        let spend = Spend { invite: invitation.id, node: *node, name: name.clone(), proof: proof.cloned() };
        Ok(Enrolment::Spend(spend, invite.kind))
    }

    /// What the node's key already is; a member by this very invite is given back.
    fn check_node(&self, invitation: &Invitation, node: &PublicKey) -> Result<Option<Member>, EnrolRefused> {
        if let Some(revoke) = self.authority.revoked_at(node, invitation.depth + 1) {
            return Err(EnrolRefused::NodeRevoked { by: revoke.id });
        }
        if let Some(fork) = self.authority.suspended(node) {
            let (space, seq) = (fork.space().to_string(), fork.seq());
            return Err(EnrolRefused::NodeForked { why: Suspension::Forked { space, seq } });
        }
        match self.roster.get(node) {
            Some(m) if m.is_active() && m.invite == invitation.id => Ok(Some(m.clone())),
            Some(m) if m.is_active() => Err(EnrolRefused::AlreadyMember { name: m.name.clone() }),
            Some(Member { state: MemberState::Suspended(why @ Suspension::Forked { .. }), .. }) => {
                Err(EnrolRefused::NodeForked { why: why.clone() })
            }
            _ => Ok(None),
        }
    }
}

/// All that makes a fleet, ready to be carried in records of its first bolt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Founding {
    /// The fleet's id.
    pub spanner: SpannerId,
    /// Genesis, first operator, and the bolt's invite, in this order.
    pub statements: [Statement; 3],
    /// The bolt spends its own invite.
    pub spend: Spend,
}

/// The invite by which a bolt comes in without another: the first, or one that restores a fleet that lost all.
pub fn self_invite(bolt: PublicKey, name: Hostname, until: Time) -> Invite {
    Invite {
        invitee: Invitee::Node(bolt),
        kind: NodeKind::Bolt,
        name: NameRule::Exact(name),
        uses: 1,
        until,
        spenders: vec![bolt],
    }
}

/// Founds a fleet: the recovery key signs the genesis and admits the first operator with every right; the operator
/// invites the first bolt, which thus stands where operators can revoke it.
pub fn found(
    recovery: &SecretKey,
    genesis: Genesis,
    operator: &SecretKey,
    operator_name: Hostname,
    bolt: PublicKey,
    bolt_name: Hostname,
    at: Time,
) -> Founding {
    let (spanner, genesis) = act::found(recovery, genesis, at);
    let grants = Right::ALL.into_iter().map(Grant::everywhere).collect();
    let admit = Act::Admit(Admit { key: operator.public(), name: operator_name, grants });
    let admit = admit.draft(spanner.0, vec![genesis.id()], at).sign(recovery, &spanner);
    let invite = Act::Invite(self_invite(bolt, bolt_name.clone(), at));
    let invite = invite.draft(admit.id(), vec![admit.id()], at).sign(operator, &spanner);
    let spend = Spend { invite: invite.id(), node: bolt, name: bolt_name, proof: None };
    Founding { spanner, statements: [genesis, admit, invite], spend }
}
