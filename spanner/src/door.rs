//! The one door: every request of a peer and every route of the local API passes [`may`].
//!
//! The table below is the whole truth: one row for each kind of request, with who is let in. A kind without a row
//! does not compile, because kinds and rows are written in one place and every [`Request`] must name its kind.
//! Default is deny.
//!
//! What the door never looks at: what a node says of itself. Names come from admissions, callers of the local API
//! from the kernel.

use serde::Serialize;
use vigo_base::PublicKey;
use vigo_crdt::Space;

use crate::act::NodeKind;
use crate::member::{Member, MemberState, Suspension};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A peer that has shown no papers.
    Stranger,
    /// A stranger whose request to join waits for an operator.
    Pending,
    /// A peer whose key was revoked.
    Revoked,
    /// A member that does not take part until something is settled.
    Suspended(Suspension),
    /// An active envoy.
    Envoy(Member),
    /// An active bolt.
    Bolt(Member),
    /// Root or the group `vigo-admin` of this machine, by the kernel's word.
    LocalAdmin {
        /// The user's number.
        uid: u32,
    },
    /// Another user of this machine.
    LocalUser {
        /// The user's number.
        uid: u32,
    },
}

impl Who {
    /// What a member is at the door.
    pub fn of(member: &Member) -> Who {
        match (&member.state, member.kind) {
            (MemberState::Active, NodeKind::Envoy) => Who::Envoy(member.clone()),
            (MemberState::Active, NodeKind::Bolt) => Who::Bolt(member.clone()),
            (MemberState::Suspended(why), _) => Who::Suspended(why.clone()),
            (MemberState::Revoked { .. }, _) => Who::Revoked,
        }
    }

    /// In words, for refusals.
    pub fn as_str(&self) -> &'static str {
        match self {
            Who::Stranger => "a peer without papers",
            Who::Pending => "a machine that waits for an operator's approval",
            Who::Revoked => "a revoked node",
            Who::Suspended(_) => "a suspended node",
            Who::Envoy(_) => "an envoy",
            Who::Bolt(_) => "a bolt",
            Who::LocalAdmin { .. } => "an administrator of this machine",
            Who::LocalUser { .. } => "a user of this machine who is neither root nor in the group vigo-admin",
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each kind is described in its row")]
pub enum Request {
    Papers,
    Enrol,
    AskToJoin,
    JoinStatus,
    Ping,
    Digests,
    Reconcile(Space),
    Push(Space),
    Want(Space),
    Peers,
    WhoHas,
    Outline,
    Chunk,
    LocalStatus,
    LocalConverge,
    LocalContext,
    LocalSubmit,
    LocalPutBlob,
    LocalMembers,
    LocalRequests,
    LocalDecide,
    LocalPublish,
    LocalPublishes,
    LocalEnvoys,
    LocalRuns,
    LocalSettings,
    LocalMetrics,
    LocalPeers,
    LocalAudit,
    LocalWait,
}

/// Who is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// Any peer: the papers themselves.
    Peer,
    /// Peers that are not members yet, or lost a name or a use to another.
    Joining,
    /// Active members.
    Member,
    /// Active members, by space.
    BySpace,
    /// As [`Rule::BySpace`]; and an envoy may hand its own status to a bolt.
    PushBySpace,
    /// Administrators of this machine.
    Admin,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The kind of request.
    pub name: &'static str,
    /// Who is let in.
    pub rule: Rule,
    /// What it is, for the documentation.
    pub what: &'static str,
}

macro_rules! rows {
    ($($kind:ident $(($space:ident))?, $name:literal, $rule:ident, $what:literal;)*) => {
        /// The kinds of requests, without what they carry.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "each kind is described in its row")]
        pub enum Kind { $($kind,)* }

        impl Kind {
            /// Every kind, in the order of [`ROWS`].
            pub const ALL: &'static [Kind] = &[$(Kind::$kind,)*];
        }

        /// The table, in the order of [`Kind::ALL`].
        pub const ROWS: &[Row] = &[$(Row { name: $name, rule: Rule::$rule, what: $what },)*];

        impl Request {
            /// Which kind it is.
            pub fn kind(&self) -> Kind {
                match self { $(Request::$kind $((rows!(@any $space)))? => Kind::$kind,)* }
            }

            /// One request of each kind, those about a space about `space`.
            pub fn each(space: &Space) -> Vec<Request> {
                vec![$(Request::$kind $((rows!(@space $space space)))?,)*]
            }
        }
    };
    (@any $space:ident) => { _ };
    (@space $marker:ident $space:ident) => { $space.clone() };
}

rows! {
    Papers, "papers", Peer, "show who one is, and hear who answers";
    Enrol, "enrol", Joining, "come in with a token";
    AskToJoin, "ask to join", Joining, "wait for an operator's approval";
    JoinStatus, "join status", Joining, "hear what became of one's request";
    Ping, "ping", Member, "hear that the other is there";
    Digests, "digests", Member, "compare whole spaces in a few bytes";
    Reconcile(s), "reconcile", BySpace, "find what one lacks of a space";
    Push(s), "push", PushBySpace, "hand over records of a space";
    Want(s), "want", BySpace, "get records of a space by id";
    Peers, "peers", Member, "exchange addresses of members";
    WhoHas, "who has", Member, "ask which chunks the other holds; the blob's own rule follows";
    Outline, "outline", Member, "get the list of a blob's chunks; the blob's own rule follows";
    Chunk, "chunk", Member, "get a chunk of a blob; the blob's own rule follows";
    LocalStatus, "local status", Admin, "what this node knows and does";
    LocalConverge, "local converge", Admin, "converge now";
    LocalContext, "local context", Admin, "what a signer needs: fleet, heads, operators";
    LocalSubmit, "local submit", Admin, "hand in a signed statement; its signer's rights follow";
    LocalPutBlob, "local put blob", Admin, "hand in a blob that a statement will name";
    LocalMembers, "local members", Admin, "list members";
    LocalRequests, "local requests", Admin, "list requests to join";
    LocalDecide, "local decide", Admin, "approve or deny a request; an operator's signature follows";
    LocalPublish, "local publish", Admin, "hand in a publish; its signer's rights follow";
    LocalPublishes, "local publishes", Admin, "list publishes";
    LocalEnvoys, "local envoys", Admin, "list envoys";
    LocalRuns, "local runs", Admin, "list runs";
    LocalSettings, "local settings", Admin, "list settings";
    LocalMetrics, "local metrics", Admin, "counters and gauges";
    LocalPeers, "local peers", Admin, "list connections";
    LocalAudit, "local audit", Admin, "list and check what bolts wrote down";
    LocalWait, "local wait", Admin, "wait until something has happened";
}

/// A request that was turned away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{who} may not {request}{about}: {needs}")]
pub struct Denied {
    /// Who asked, in words.
    pub who: &'static str,
    /// The kind of request.
    pub request: &'static str,
    /// What it was about, with a space before it; empty if nothing in particular.
    pub about: String,
    /// Who is let in, or what to do.
    pub needs: String,
}

impl Kind {
    /// Its row.
    pub fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }
}

impl Rule {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::Peer => "any peer may",
            Rule::Joining => "for machines that are not members yet",
            Rule::Member => "for active members with papers",
            Rule::BySpace => {
                "envoys and bolts may for admissions, config and settings, between bolts also for admissions/envoys, status and audit"
            }
            Rule::PushBySpace => {
                "envoys and bolts may for admissions, config and settings, between bolts also for admissions/envoys, status and audit, and an envoy may hand its own status to a bolt"
            }
            Rule::Admin => "for root and the group vigo-admin: use sudo",
        }
    }
}

/// Whether `who` may make this request of a node that is itself a `here`.
///
/// # Errors
/// [`Denied`], which says who is let in.
pub fn may(who: &Who, request: &Request, here: NodeKind) -> Result<(), Denied> {
    let rule = request.kind().row().rule;
    let member = matches!(who, Who::Envoy(_) | Who::Bolt(_));
    let space = match request {
        Request::Reconcile(space) | Request::Want(space) | Request::Push(space) => Some(space),
        _ => None,
    };
    let let_in = match rule {
        Rule::Peer => !matches!(who, Who::LocalAdmin { .. } | Who::LocalUser { .. }),
        Rule::Joining => match who {
            Who::Stranger | Who::Pending => true,
            Who::Suspended(why) => !matches!(why, Suspension::Forked { .. }),
            _ => false,
        },
        Rule::Member => member,
        Rule::BySpace => space.is_some_and(|s| shares(who, s, here)),
        Rule::PushBySpace => space.is_some_and(|s| {
            let status = *s == Space::status() && here == NodeKind::Bolt && member;
            shares(who, s, here) || status
        }),
        Rule::Admin => matches!(who, Who::LocalAdmin { .. }),
    };
    if let_in { Ok(()) } else { Err(denied(who, request, space)) }
}

/// Whether a member and this node both hold a space.
fn shares(who: &Who, space: &Space, here: NodeKind) -> bool {
    let everyone = [Space::admissions(), Space::config(), Space::settings()].contains(space);
    let bolts = [Space::envoys(), Space::status()].contains(space) || space.audit_of().is_some();
    match who {
        Who::Envoy(_) => everyone,
        Who::Bolt(_) => everyone || (bolts && here == NodeKind::Bolt),
        _ => false,
    }
}

fn denied(who: &Who, request: &Request, space: Option<&Space>) -> Denied {
    let row = request.kind().row();
    let needs = match who {
        Who::Revoked => "its key was revoked and never returns; join with a new key".into(),
        Who::Suspended(why) => why.to_string(),
        _ => row.rule.as_str().into(),
    };
    let about = space.map_or_else(String::new, |s| format!(" {s}"));
    Denied { who: who.as_str(), request: row.name, about, needs }
}

/// Whether a member may hand over a record of `author` in this space: everybody passes on what everybody holds,
/// but status comes from its own author, or from a bolt.
///
/// # Errors
/// [`Denied`].
pub fn may_push(who: &Who, space: &Space, author: &PublicKey, here: NodeKind) -> Result<(), Denied> {
    let request = Request::Push(space.clone());
    may(who, &request, here)?;
    match who {
        Who::Envoy(member) if *space == Space::status() && member.key != *author => {
            let mut denied = denied(who, &request, Some(space));
            denied.needs = format!("the record is of {author:?}: an envoy hands over its own status only");
            Err(denied)
        }
        _ => Ok(()),
    }
}

/// What a blob is, as far as who may read it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobClass {
    /// The route table of a publish.
    RouteTable,
    /// A policy.
    Policy {
        /// Whether the signed route table leads the reader's admitted name to it.
        routed: bool,
    },
    /// The source tree of a publish.
    Source,
}

/// Whether a peer may read a blob of this class. Goes by the admitted name and the signed route table.
///
/// # Errors
/// [`Denied`].
pub fn may_read(who: &Who, class: BlobClass) -> Result<(), Denied> {
    let (ok, about, needs) = match (who, class) {
        (Who::Bolt(_), _) => return Ok(()),
        (Who::Envoy(_), BlobClass::RouteTable) => (true, "", ""),
        (Who::Envoy(_), BlobClass::Policy { routed }) => {
            (routed, " of that policy", "the route table does not lead its name to this policy")
        }
        (Who::Envoy(_), BlobClass::Source) => (false, " of a source tree", "only bolts read source trees"),
        _ => (false, "", "only active members read blobs"),
    };
    let denied = || Denied {
        who: who.as_str(),
        request: Kind::Chunk.row().name,
        about: about.into(),
        needs: needs.into(),
    };
    if ok { Ok(()) } else { Err(denied()) }
}

/// The table in Markdown, for `docs/`.
pub fn table() -> String {
    let mut out = String::from("| request | what | who is let in |\n|---|---|---|\n");
    for row in ROWS {
        out.push_str(&format!("| {} | {} | {} |\n", row.name, row.what, row.rule.as_str()));
    }
    out
}

#[cfg(test)]
mod tests;
