//! What the local API can ask of a node, and what it answers: plain data that crosses the socket as JSON.
//!
//! Nothing here is signed: what needs an operator's signature is a statement that the caller has signed already
//! ([`Command::Submit`]). [`Command::Context`] gives the caller what it must know to sign.

use serde::{Deserialize, Serialize};
use vigo_base::{Hash, PublicKey, SpannerId, Time};
use vigo_content::audit::Anchor;
use vigo_content::config::Epoch;
use vigo_content::status::{Drift, Failure, Presence, Run};
use vigo_stacks::report::RunReport;

/// A call of the local API.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Command {
    /// How this node is.
    Status,
    /// Converge now; replies when the run has ended.
    Converge {
        /// Change nothing, say what would be changed.
        dry_run: bool,
    },
    /// What an operator with this key must know to sign.
    Context {
        /// The operator's (or the recovery) key.
        key: PublicKey,
    },
    /// Take in a statement that an operator signed; replies when it is durable.
    Submit {
        /// The space.
        space: String,
        /// The encoded statement, in hexadecimal digits.
        statement: String,
    },
    /// Whether the fleet has what was published, and who converged to it.
    Rollout {
        /// The publish.
        id: Hash,
    },
    /// Who belongs.
    Members,
    /// Who asks to join.
    Requests,
    /// Turn down a request to join.
    Deny {
        /// The asking node's key.
        key: PublicKey,
    },
    /// All envoys (bolts among them) with their axes; complete on bolts only.
    Envoys,
    /// One envoy with its last run, presence and traits.
    Envoy {
        /// Its name.
        name: String,
    },
    /// The publishes.
    Publishes,
    /// The fleet settings.
    Settings,
    /// The peers of this node.
    Peers,
    /// Where a blob of the config lies, so that the caller can read it: the source of a publish.
    Source {
        /// The publish; the head if none.
        id: Option<Hash>,
    },
    /// The fleet's authority, to restore the fleet from (`vigo init --restore`).
    Authority,
    /// What bolts wrote down; on bolts only.
    Audit {
        /// Which of it.
        filter: AuditFilter,
    },
    /// Checks what bolts wrote down; on bolts only.
    AuditVerify,
}

/// Which entries of the audit logs are meant. What is none does not limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditFilter {
    /// In the log of the bolt with this name or key.
    pub bolt: Option<String>,
    /// Of the kind with this name.
    pub kind: Option<String>,
    /// By, or about, this name, key or `uid N`.
    pub who: Option<String>,
    /// Not before this, by the clock of the bolt that wrote.
    pub since: Option<Time>,
    /// Only so many, the newest; at most [`AUDIT_ROWS`].
    pub limit: Option<u32>,
}

/// How many entries one reply holds at most.
pub const AUDIT_ROWS: u32 = 2_000;

/// A reply to a [`Command`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "is", content = "value", rename_all = "snake_case")]
pub enum Reply {
    /// To [`Command::Status`].
    Status(Box<Status>),
    /// To [`Command::Converge`].
    Run(RunReport),
    /// To [`Command::Context`].
    Context(Box<Context>),
    /// To [`Command::Submit`]: the statement's id.
    Submitted {
        /// The statement's id.
        id: Hash,
    },
    /// To [`Command::Rollout`].
    Rollout(Rollout),
    /// To [`Command::Members`].
    Members(Vec<MemberRow>),
    /// To [`Command::Requests`].
    Requests(Vec<RequestRow>),
    /// To [`Command::Deny`].
    Denied,
    /// To [`Command::Envoys`].
    Envoys(Vec<EnvoyRow>),
    /// To [`Command::Envoy`].
    Envoy(Box<EnvoyDetail>),
    /// To [`Command::Publishes`].
    Publishes(Vec<PublishRow>),
    /// To [`Command::Settings`].
    Settings(Vec<SettingRow>),
    /// To [`Command::Peers`].
    Peers(Vec<PeerRow>),
    /// To [`Command::Source`].
    Source {
        /// The publish.
        at: Epoch,
        /// The SHA-256 of the source blob.
        blob: Hash,
    },
    /// To [`Command::Authority`].
    Authority {
        /// The fleet.
        spanner: SpannerId,
        /// The records of `admissions`, in hexadecimal digits.
        records: Vec<String>,
    },
    /// To [`Command::Audit`]: the newest last.
    Audit(Vec<AuditRow>),
    /// To [`Command::AuditVerify`].
    AuditVerify(Vec<AuditLog>),
}

/// Why a command was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{what}")]
pub struct Refusal {
    /// Whose fault: decides the exit code.
    pub kind: RefusalKind,
    /// What happened.
    pub what: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The kinds of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The caller may not.
    Denied,
    /// What was asked makes no sense.
    BadRequest,
    /// There is no such thing.
    NotFound,
    /// It was based on something that is no longer so.
    Stale,
    /// Not now: try again.
    Unavailable,
    /// Our own fault.
    Internal,
}

/// How this node is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Its admitted name; none before it has joined.
    pub name: Option<String>,
    /// Its UUID.
    pub uuid: String,
    /// Its key.
    pub key: PublicKey,
    /// The fleet; none before it has joined.
    pub spanner: Option<SpannerId>,
    /// The fleet's label.
    pub fleet: Option<String>,
    /// Whether it is a bolt.
    pub bolt: bool,
    /// `member`, `joining`, `suspended`, `revoked`, or `out` for what nobody decided.
    pub standing: String,
    /// Why, if it is not `member`.
    pub why: Option<String>,
    /// The program's version.
    pub version: String,
    /// Its clock.
    pub now: Time,
    /// When it started.
    pub started: Time,
    /// The newest publish it knows.
    pub head: Option<Epoch>,
    /// The newest publish that it converged to.
    pub floor: Option<Epoch>,
    /// What it is doing about the head: `converged`, `fetching …`, `running`, `no route`, ….
    pub config: String,
    /// Its last run.
    pub run: Option<Run>,
    /// The full report of its last run.
    pub report: Option<RunReport>,
    /// The failure axis.
    pub failure: Failure,
    /// The drift axis.
    pub drift: Drift,
    /// Peers it is connected with.
    pub peers: usize,
    /// Gossip links that stand.
    #[serde(default)]
    pub links: usize,
    /// Bolts among them.
    pub bolts: usize,
    /// Records held, by space.
    pub records: Vec<(String, usize)>,
    /// What came of beacons since the node started.
    #[serde(default)]
    pub beacons: BeaconCounts,
    /// Things that somebody should look at.
    pub warnings: Vec<String>,
}

/// What came of beacons since the node started.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct BeaconCounts {
    /// Interfaces on which they are sent and heard.
    pub interfaces: Vec<String>,
    /// Packets sent.
    pub sent: u64,
    /// Packets of this fleet that were heard and whose signatures held.
    pub heard: u64,
    /// Packets passed over, by reason: `too_many`, `malformed`, `other_fleet`, `own`, `spoofed`, `repeated`, `forged`.
    pub ignored: std::collections::BTreeMap<String, u64>,
    /// Senders heard in the last ten minutes.
    pub neighbours: usize,
    /// Dials that they caused.
    pub dialed: u64,
}

/// What an operator must know to sign.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Context {
    /// The fleet.
    pub spanner: SpannerId,
    /// The Admit that the key acts under; the genesis for the recovery key.
    pub under: Hash,
    /// The operator's name.
    pub operator: String,
    /// Its rights, as text.
    pub rights: Vec<String>,
    /// The heads of each operators' space, ascending: `after` of the next statement.
    pub tips: Vec<(String, Vec<Hash>)>,
    /// The head publish.
    pub head: Option<Epoch>,
    /// The epoch of the next publish.
    pub next_epoch: u64,
    /// The bolts that count, with addresses as far as known.
    pub bolts: Vec<BoltRow>,
    /// For each setting: its key, value as JSON, and the generation of the next change.
    pub generations: Vec<(String, u64)>,
    /// For each node: its key, a space, and the highest sequence of its records there, for a revocation.
    pub sequences: Vec<(PublicKey, String, u64)>,
    /// The node's clock.
    pub now: Time,
}

/// A bolt that counts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BoltRow {
    /// Its name.
    pub name: String,
    /// Its key.
    pub key: PublicKey,
    /// Its addresses as far as known.
    pub addresses: Vec<String>,
}

/// How far a publish has come.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rollout {
    /// The publish.
    pub at: Epoch,
    /// Whether it is the head here.
    pub is_head: bool,
    /// Bolts that hold it.
    pub bolts_holding: usize,
    /// Whether this node knows every envoy's status (it is a bolt).
    pub complete: bool,
    /// Envoys that a match block names, and how they stand.
    pub envoys: Vec<RolloutRow>,
}

/// One envoy in a [`Rollout`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RolloutRow {
    /// Its name.
    pub name: String,
    /// The epoch of its last run.
    pub epoch: u64,
    /// Whether that is this publish or a later one, whatever the outcome.
    pub arrived: bool,
    /// The failure axis of that run.
    pub failure: Failure,
    /// Whether it can be reached.
    pub online: bool,
}

/// One member.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MemberRow {
    /// The admitted name.
    pub name: String,
    /// `operator`, `bolt` or `envoy`.
    pub kind: String,
    /// Its key.
    pub key: PublicKey,
    /// `active`, `suspended` or `revoked`.
    pub state: String,
    /// Why, if it is not active.
    pub why: Option<String>,
    /// How far from the recovery key.
    pub depth: usize,
    /// The rights of an operator.
    pub rights: Vec<String>,
}

/// Somebody who asks to join.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RequestRow {
    /// The name it would like.
    pub name: String,
    /// Its key.
    pub key: PublicKey,
    /// Whether it would be a bolt.
    pub bolt: bool,
    /// Where from.
    pub address: String,
    /// The six words that its screen shows too.
    pub words: String,
    /// Since when.
    pub since: Time,
}

/// One envoy in a listing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnvoyRow {
    /// The admitted name.
    pub name: String,
    /// Its UUID.
    pub uuid: String,
    /// Whether it is a bolt as well.
    pub bolt: bool,
    /// The failure axis.
    pub failure: Failure,
    /// The drift axis.
    pub drift: Drift,
    /// Reachability; apart from both.
    pub online: bool,
    /// When it was last heard of.
    pub heard: Option<Time>,
    /// The epoch of its last run.
    pub epoch: u64,
    /// Its tags.
    pub tags: Vec<String>,
}

/// One envoy whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnvoyDetail {
    /// The row of the listing.
    pub row: EnvoyRow,
    /// Its key.
    pub key: PublicKey,
    /// Its last run.
    pub run: Option<Run>,
    /// What it says of itself.
    pub presence: Option<Presence>,
    /// Its traits.
    pub traits: Option<serde_json::Value>,
    /// `path:line` of the match block that names it.
    pub origin: Option<String>,
}

/// One publish.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PublishRow {
    /// Its place.
    pub at: Epoch,
    /// Who signed it.
    pub operator: String,
    /// When, says the signer.
    pub time: Time,
    /// The operator's note.
    pub note: String,
    /// Whether it is the head.
    pub head: bool,
    /// Why it does not count, if it does not.
    pub refused: Option<String>,
}

/// One setting.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SettingRow {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: serde_json::Value,
    /// Whether somebody set it.
    pub set: bool,
    /// Who, if so.
    pub by: Option<String>,
    /// What it does.
    pub help: String,
}

/// One connected peer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PeerRow {
    /// Its name, if its papers held.
    pub name: Option<String>,
    /// Its key.
    pub key: PublicKey,
    /// Where it is.
    pub address: String,
    /// Whether it is a bolt.
    pub bolt: bool,
    /// Whether we dialed.
    pub dialed: bool,
    /// Since when.
    pub since: Time,
    /// Whether a gossip link to it stands, too.
    #[serde(default)]
    pub gossip: bool,
}

/// One entry of an audit log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AuditRow {
    /// The bolt that wrote it.
    pub bolt: String,
    /// Its key.
    pub bolt_key: PublicKey,
    /// The entry's place in that log.
    pub number: u64,
    /// Its id.
    pub id: Hash,
    /// When, by that bolt's clock.
    pub at: Time,
    /// The name of its kind.
    pub kind: String,
    /// By whom, in words.
    pub who: String,
    /// Their key, if they have one.
    pub key: Option<PublicKey>,
    /// To whom or what.
    pub target: String,
    /// The statement or record that it is about.
    pub subject: Option<Hash>,
    /// More words.
    pub text: String,
    /// How many times, when it was folded.
    pub count: u64,
    /// How far the bolt had seen other bolts' logs.
    pub anchors: Vec<Anchor>,
}

/// What the audit log of one bolt comes to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AuditLog {
    /// The bolt.
    pub bolt: String,
    /// Its key.
    pub key: PublicKey,
    /// `active`, `suspended` or `revoked`.
    pub state: String,
    /// How many entries it must have.
    pub length: u64,
    /// How many are held here.
    pub entries: usize,
    /// The id of the last.
    pub head: Option<Hash>,
    /// How many anchors in other bolts' logs agree with it.
    pub anchors: usize,
    /// The last entry that one of them names.
    pub anchored: u64,
    /// Whether nothing is wrong and nobody raised an alarm in the last seven days.
    pub intact: bool,
    /// What is wrong now.
    pub damage: Vec<AuditDamage>,
    /// What other bolts found in it, whether or not that was mended since; those of the last seven days.
    pub alarms: Vec<AuditDamage>,
}

/// One thing that is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditDamage {
    /// The entry where it begins; 0 if that is said in the words.
    pub number: u64,
    /// `missing`, `link`, `fork`, `unreadable`, `short`, `differs`, or `alarm`.
    pub what: String,
    /// In words.
    pub text: String,
    /// The bolt that saw it otherwise, or raised the alarm.
    pub by: Option<String>,
    /// When, for an alarm.
    pub at: Option<Time>,
}
