//! What is said in `admissions`: the six kinds of statement, each a typed struct.
//!
//! [`Act::decode`] is the one way from a statement's payload to its meaning: canonical, and with every list and
//! text bounded. A kind that is not here is kept and passed on by everyone, but means nothing until an operator
//! raises the fleet version with [`Amend::FleetVersion`] and a program that knows the kind is running.
//!
//! What this module never does: decide whether an act counts. That is [`crate::Authority`]'s.
//!
//! The genesis is signed by the recovery key under the all-zero [`SpannerId`] (no fleet exists yet) and its
//! statement id is the fleet's id for ever. Everything after it is signed under that id. What the recovery key
//! signs later names the genesis in `under`; what an operator signs names the [`Admit`] that made it one.

use minicbor::{Decode, Encode};
use serde::Serialize;
use vigo_base::codec::{self, BadBytes};
use vigo_base::{Hash, Hostname, PublicKey, SecretKey, SpannerId, Time, limits};
use vigo_crdt::{BadStatement, Draft, Space, Statement};

use crate::right::{GRANT_ITEMS, Grant, Pattern, Right};

/// The newest fleet version whose kinds this program knows.
pub const FLEET_VERSION: u32 = 1;
/// Keys, cuts or statements in one act.
pub const ACT_ITEMS: usize = 256;
/// Characters of a label or a reason.
pub const TEXT_CHARS: usize = 400;

/// A kind of statement in `admissions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ActKind {
    /// [`Genesis`].
    Genesis = 1,
    /// [`Admit`].
    Admit = 2,
    /// [`Invite`].
    Invite = 3,
    /// [`Revoke`].
    Revoke = 4,
    /// [`Keep`].
    Keep = 5,
    /// [`Amend`].
    Amend = 6,
}

/// The first statement of a fleet.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Genesis {
    /// What people call the fleet.
    #[n(0)]
    pub label: String,
    /// The fleet version it begins with.
    #[n(1)]
    pub version: u32,
    /// Random, so that two fleets of one recovery key have two ids.
    #[n(2)]
    pub nonce: Hash,
}

/// Makes an operator. Its identity is the id of this statement.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Admit {
    /// The operator's key.
    #[n(0)]
    pub key: PublicKey,
    /// The operator's name, written as a hostname is.
    #[n(1)]
    pub name: Hostname,
    /// What it may do. What its maker may not do itself is dropped.
    #[n(2)]
    pub grants: Vec<Grant>,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize)]
#[cbor(index_only)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// It admits others and keeps the fleet's history.
    #[n(0)]
    Bolt,
    /// It is managed.
    #[n(1)]
    Envoy,
}

impl std::fmt::Display for NodeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            NodeKind::Bolt => "bolt",
            NodeKind::Envoy => "envoy",
        })
    }
}

/// Which name whoever is invited may take.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum NameRule {
    /// This one.
    #[n(0)]
    Exact(#[n(0)] Hostname),
    /// Any that matches.
    #[n(1)]
    Pattern(#[n(0)] Pattern),
}

impl NameRule {
    /// Whether `name` may be taken.
    pub fn fits(&self, name: &Hostname) -> bool {
        match self {
            NameRule::Exact(exact) => exact == name,
            NameRule::Pattern(pattern) => pattern.matches(name.as_str()),
        }
    }

    /// The names it allows, as a pattern. `None` never happens for a hostname that parsed.
    pub fn as_pattern(&self) -> Option<Pattern> {
        match self {
            NameRule::Exact(name) => name.as_str().parse().ok(),
            NameRule::Pattern(pattern) => Some(pattern.clone()),
        }
    }
}

impl std::fmt::Display for NameRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NameRule::Exact(name) => name.fmt(f),
            NameRule::Pattern(pattern) => pattern.fmt(f),
        }
    }
}

/// Who an invite is for. One of the two, so that an invite for nobody in particular cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Invitee {
    /// Whoever holds the seed of this key (a token).
    #[n(0)]
    Token(#[n(0)] PublicKey),
    /// The node with this key (an approved request; the founding bolt).
    #[n(1)]
    Node(#[n(0)] PublicKey),
}

impl Invitee {
    /// The key that a [`Revoke`] names to call the invite back.
    pub fn key(&self) -> PublicKey {
        match self {
            Invitee::Token(key) | Invitee::Node(key) => *key,
        }
    }
}

/// Lets a node in, once a bolt spends it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Invite {
    /// Who it is for.
    #[n(0)]
    pub invitee: Invitee,
    /// What the node becomes.
    #[n(1)]
    pub kind: NodeKind,
    /// The name it may take.
    #[n(2)]
    pub name: NameRule,
    /// How many nodes may come in by it; at least 1.
    #[n(3)]
    pub uses: u32,
    /// When bolts stop spending it. Judged by the spending bolt's clock and by nobody later: times never decide
    /// whether a record counts.
    #[n(4)]
    pub until: Time,
    /// The bolts that may spend it, ascending. Listing the key of the node that is invited lets that very node
    /// spend it for itself: so the founding bolt comes in.
    #[n(5)]
    pub spenders: Vec<PublicKey>,
}

/// The heads of one space's statements that a revoker had seen.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Seen {
    /// The space.
    #[n(0)]
    pub space: Space,
    /// Its heads.
    #[n(1)]
    pub heads: Vec<Hash>,
}

/// Up to which record of one author and space a revoker stands by.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct UpTo {
    /// The author.
    #[n(0)]
    pub key: PublicKey,
    /// The space.
    #[n(1)]
    pub space: Space,
    /// The last sequence that counts.
    #[n(2)]
    pub seq: u64,
}

/// Takes keys out of the fleet, for ever. What they did counts as far as the revoker had seen it.
///
/// In `admissions` that is this statement's own `after`; in other operators' spaces [`Revoke::seen`]; for records
/// of nodes (a bolt's spends) [`Revoke::upto`]. Naming the key of an invite calls the invite back: its spends
/// count only as far as `upto` of their authors goes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Revoke {
    /// The keys: operators', nodes' or invites'.
    #[n(0)]
    pub keys: Vec<PublicKey>,
    /// What was seen of other operators' spaces. A space that is not listed: nothing was.
    #[n(1)]
    pub seen: Vec<Seen>,
    /// What was seen of nodes' records. An author and space that is not listed: nothing was.
    #[n(2)]
    pub upto: Vec<UpTo>,
    /// Why, for people.
    #[n(3)]
    pub reason: String,
}

/// Lets statements (or spends, by record id) of a revoked key count although its revokers had not seen them.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Keep {
    /// Ids of what is kept.
    #[n(0)]
    pub statements: Vec<Hash>,
}

/// Changes something about the fleet or one of its members.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Amend {
    /// From now on kinds up to this version are active. It only rises.
    #[n(0)]
    FleetVersion(#[n(0)] u32),
    /// The hostnames one bolt keeps the history of.
    #[n(1)]
    Partition {
        /// The bolt's key.
        #[n(0)]
        bolt: PublicKey,
        /// Its patterns.
        #[n(1)]
        patterns: Vec<Pattern>,
    },
    /// An operator of greater depth may from now on do no more than this. What it did before stands, as far as
    /// this statement's `after` and `seen` go.
    #[n(2)]
    Narrow {
        /// The operator's admit.
        #[n(0)]
        admit: Hash,
        /// What is left of its rights.
        #[n(1)]
        grants: Vec<Grant>,
        /// What was seen of other operators' spaces.
        #[n(2)]
        seen: Vec<Seen>,
    },
}

/// Any act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// The beginning.
    Genesis(Genesis),
    /// A new operator.
    Admit(Admit),
    /// A way in for a node.
    Invite(Invite),
    /// Keys out.
    Revoke(Revoke),
    /// Exceptions to a revoke.
    Keep(Keep),
    /// A change.
    Amend(Amend),
}

/// Why a payload is no act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAct {
    /// A kind of a later version. Not an error of the sender: it is kept and has no effect.
    #[error(
        "kind {kind} is not known to this program (fleet version {FLEET_VERSION}): it is kept and has no effect"
    )]
    UnknownKind {
        /// The kind found.
        kind: u16,
    },
    /// The bytes do not decode.
    #[error("malformed {what}: {why}")]
    Malformed {
        /// Which act it should be.
        what: &'static str,
        /// What is wrong.
        why: BadBytes,
    },
    /// It decodes and makes no sense.
    #[error("senseless {what}: {why}")]
    Senseless {
        /// Which act it is.
        what: &'static str,
        /// What is wrong.
        why: &'static str,
    },
}

impl ActKind {
    /// The kind with this number.
    pub fn of(kind: u16) -> Option<ActKind> {
        [ActKind::Genesis, ActKind::Admit, ActKind::Invite, ActKind::Revoke, ActKind::Keep, ActKind::Amend]
            .into_iter()
            .find(|k| *k as u16 == kind)
    }

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            ActKind::Genesis => "genesis",
            ActKind::Admit => "admit",
            ActKind::Invite => "invite",
            ActKind::Revoke => "revoke",
            ActKind::Keep => "keep",
            ActKind::Amend => "amend",
        }
    }
}

impl Act {
    /// Which kind it is.
    pub fn kind(&self) -> ActKind {
        match self {
            Act::Genesis(_) => ActKind::Genesis,
            Act::Admit(_) => ActKind::Admit,
            Act::Invite(_) => ActKind::Invite,
            Act::Revoke(_) => ActKind::Revoke,
            Act::Keep(_) => ActKind::Keep,
            Act::Amend(_) => ActKind::Amend,
        }
    }

    /// The right and the target it takes to say this; none for the genesis.
    pub fn needs(&self) -> Option<(Right, Pattern)> {
        match self {
            Act::Genesis(_) => None,
            Act::Admit(a) => Some((Right::AdmitOperator, exact(&a.name))),
            Act::Invite(i) => {
                let right = match i.kind {
                    NodeKind::Bolt => Right::InviteBolt,
                    NodeKind::Envoy => Right::Invite,
                };
                Some((right, i.name.as_pattern().unwrap_or_else(Pattern::any)))
            }
            Act::Revoke(_) | Act::Keep(_) => Some((Right::Revoke, Pattern::any())),
            Act::Amend(Amend::FleetVersion(_)) => Some((Right::Settings, Pattern::any())),
            Act::Amend(Amend::Partition { .. }) => Some((Right::InviteBolt, Pattern::any())),
            Act::Amend(Amend::Narrow { .. }) => Some((Right::AdmitOperator, Pattern::any())),
        }
    }

    /// The payload of a statement that says this.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Act::Genesis(x) => codec::encode(x),
            Act::Admit(x) => codec::encode(x),
            Act::Invite(x) => codec::encode(x),
            Act::Revoke(x) => codec::encode(x),
            Act::Keep(x) => codec::encode(x),
            Act::Amend(x) => codec::encode(x),
        }
    }

    /// Reads the payload of a statement of kind `kind`.
    ///
    /// # Errors
    /// [`BadAct`]: an unknown kind, bytes that are not canonical, or values out of bounds.
    pub fn decode(kind: u16, payload: &[u8]) -> Result<Act, BadAct> {
        let known = ActKind::of(kind).ok_or(BadAct::UnknownKind { kind })?;
        let what = known.name();
        let act = match known {
            ActKind::Genesis => read(payload).map(Act::Genesis),
            ActKind::Admit => read(payload).map(Act::Admit),
            ActKind::Invite => read(payload).map(Act::Invite),
            ActKind::Revoke => read(payload).map(Act::Revoke),
            ActKind::Keep => read(payload).map(Act::Keep),
            ActKind::Amend => read(payload).map(Act::Amend),
        }
        .map_err(|why| BadAct::Malformed { what, why })?;
        match act.problem() {
            Some(why) => Err(BadAct::Senseless { what, why }),
            None => Ok(act),
        }
    }

    /// What is out of bounds, if anything.
    pub fn problem(&self) -> Option<&'static str> {
        match self {
            Act::Genesis(g) => {
                let bad = g.version == 0 || too_long(&g.label);
                bad.then_some("the version begins at 1 and the label has at most 400 characters")
            }
            Act::Admit(a) => grants_problem(&a.grants),
            Act::Invite(i) if i.uses == 0 => Some("an invite has at least one use"),
            Act::Invite(i) if i.uses > 1 && matches!(i.invitee, Invitee::Node(_)) => {
                Some("an invite for one node has one use")
            }
            Act::Invite(i) if i.spenders.is_empty() || i.spenders.len() > ACT_ITEMS => {
                Some("an invite lists 1 to 256 bolts that may spend it")
            }
            Act::Invite(_) => None,
            Act::Revoke(r) if r.keys.is_empty() => Some("a revoke names at least one key"),
            Act::Revoke(r) => {
                let most = [r.keys.len(), r.seen.len(), r.upto.len()].into_iter().max().unwrap_or(0);
                (most > ACT_ITEMS || too_long(&r.reason) || too_many_heads(&r.seen))
                    .then_some("at most 256 keys, spaces, heads and cuts and 400 characters of reason")
            }
            Act::Keep(k) => (k.statements.is_empty() || k.statements.len() > ACT_ITEMS)
                .then_some("a keep names 1 to 256 statements"),
            Act::Amend(Amend::FleetVersion(v)) => (*v == 0).then_some("the version begins at 1"),
            Act::Amend(Amend::Partition { patterns, .. }) => {
                (patterns.len() > ACT_ITEMS).then_some("a partition has at most 256 patterns")
            }
            Act::Amend(Amend::Narrow { grants, seen, .. }) => grants_problem(grants)
                .or((seen.len() > ACT_ITEMS || too_many_heads(seen))
                    .then_some("at most 256 spaces and heads")),
        }
    }

    /// A draft of the statement that says this, ready to sign. See [`crate::Authority::draft`], which fills in
    /// what the signer has seen.
    pub fn draft(&self, under: Hash, after: Vec<Hash>, at: Time) -> Draft {
        Draft {
            space: Space::admissions(),
            kind: self.kind() as u16,
            under,
            after,
            at,
            payload: self.encode(),
        }
    }
}

/// Makes a fleet: signs its genesis with the recovery key.
pub fn found(recovery: &SecretKey, genesis: Genesis, at: Time) -> (SpannerId, Statement) {
    let draft = Act::Genesis(genesis).draft(Hash::default(), Vec::new(), at);
    let statement = draft.sign(recovery, &SpannerId::default());
    (SpannerId(statement.id()), statement)
}

/// Reads a statement of `admissions`, the genesis among them.
///
/// # Errors
/// [`BadStatement`] if it is malformed, of another space or fleet, or not signed by whom it says.
pub fn read_statement(bytes: &[u8], spanner: &SpannerId) -> Result<Statement, BadStatement> {
    let first = Hash::of(bytes) == spanner.0;
    let fleet = if first { SpannerId::default() } else { *spanner };
    Statement::decode(bytes, &Space::admissions(), &fleet)
}

fn read<'b, T: Decode<'b, ()> + Encode<()>>(payload: &'b [u8]) -> Result<T, BadBytes> {
    codec::decode(payload, limits::PAYLOAD_BYTES)
}

/// A hostname as the pattern that means it alone. Every hostname is a pattern; were one not, it would be
/// taken as `*`, which needs the most.
fn exact(name: &Hostname) -> Pattern {
    name.as_str().parse().unwrap_or_else(|_| Pattern::any())
}

fn too_long(text: &str) -> bool {
    text.chars().count() > TEXT_CHARS
}

fn too_many_heads(seen: &[Seen]) -> bool {
    seen.iter().any(|s| s.heads.len() > ACT_ITEMS)
}

fn grants_problem(grants: &[Grant]) -> Option<&'static str> {
    let long = grants.len() > GRANT_ITEMS || grants.iter().any(|g| g.scope.len() > GRANT_ITEMS);
    long.then_some("at most 64 grants of at most 64 patterns each")
}
