//! What an operator signs, from what the node says it must know to sign.
//!
//! A [`Signer`] is a key with the [`Context`] that a node gave for it. Each method makes one statement; nothing
//! is sent: [`Signed::command`] is what to call the node with. The node judges again whatever it gets; what can
//! be told before signing is told here, with what to do.
//!
//! It never keeps a key and never draws randomness: seeds are arguments.

use crate::command::{Command, Context, MemberRow, SettingRow};
use serde_json::Value;
use vigo_base::text::{escaped, nearest};
use vigo_base::time::Micros;
use vigo_base::{Hash, Hostname, PublicKey, SecretKey};
use vigo_content::config::{PUBLISH, Publish};
use vigo_content::settings::{BadSetting, Change, SETTING, find};
use vigo_crdt::{Draft, Space};
use vigo_spanner::act::{ACT_ITEMS, Admit, Revoke, Seen, UpTo};
use vigo_spanner::token::TOKEN_BOLTS;
use vigo_spanner::{Act, Grant, Invite, Invitee, NameRule, NodeKind, Right, Token, TokenBolt};
use vigo_swarm::outline::BlobRef;
use zeroize::Zeroizing;

/// The longest life of an invite, in microseconds: a year.
pub const LONGEST_INVITE: Micros = vigo_base::time::hours(24 * 366);

/// A signed statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Its space.
    pub space: Space,
    /// Its id.
    pub id: Hash,
    /// Its encoding.
    pub bytes: Vec<u8>,
}

impl Signed {
    /// The call that hands it to a node.
    pub fn command(&self) -> Command {
        Command::Submit { space: self.space.as_str().to_string(), statement: hex::encode(&self.bytes) }
    }
}

/// Why a statement was not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotSign {
    /// The operator has no such right.
    #[error("{operator} has not the right {right}; it has {}: ask an operator who has it", list(.has))]
    Right {
        /// The operator.
        operator: String,
        /// The right that is needed.
        right: &'static str,
        /// The rights there are.
        has: Vec<String>,
    },
    /// Nobody could spend the invite.
    #[error(
        "no bolt of this fleet has an address that a new machine could dial: on the network of a bolt run \
         `vigo join --discover` there, which needs none; elsewhere set `listen:` or `announce:` on a bolt and restart it"
    )]
    NoBolts,
    /// A number out of bounds.
    #[error("{what} is {found}; expected {expected}")]
    OutOfBounds {
        /// What.
        what: &'static str,
        /// What was found.
        found: String,
        /// What is expected.
        expected: String,
    },
    /// Nobody has that name.
    #[error("there is no {what} {}{}", escaped(.name), maybe(.near))]
    NoSuch {
        /// What was looked for.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// The nearest name.
        near: Option<String>,
    },
    /// More than one has it.
    #[error("{} is the name of {}: name one of the keys", escaped(.name), .who.join(" and of "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// Kind and key of each.
        who: Vec<String>,
    },
    /// The setting or its value.
    #[error(transparent)]
    Setting(#[from] BadSetting),
    /// The act makes no sense.
    #[error("this cannot be said: {0}")]
    Senseless(&'static str),
}

fn list(rights: &[String]) -> String {
    if rights.is_empty() { "none".into() } else { rights.join(", ") }
}

fn maybe(near: &Option<String>) -> String {
    near.as_ref().map_or_else(String::new, |near| format!("; did you mean {near}?"))
}

/// Who is to be let in.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What it becomes.
    pub kind: NodeKind,
    /// The name it may take.
    pub name: NameRule,
    /// How many may come in.
    pub uses: u32,
    /// For how long, from now.
    pub expires: Micros,
    /// Fresh random bytes: the token's secret.
    pub seed: Zeroizing<[u8; 32]>,
}

/// An operator's key with what it must know.
#[derive(Debug)]
pub struct Signer {
    key: SecretKey,
    context: Context,
}

impl Signer {
    /// A signer; `context` is the node's answer to [`Command::Context`] for this very key.
    pub fn new(key: SecretKey, context: Context) -> Signer {
        Signer { key, context }
    }

    /// What it knows.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// An invitation with a token to carry.
    ///
    /// # Errors
    /// [`CannotSign`].
    pub fn invite(&self, wanted: Wanted) -> Result<(Signed, Token), CannotSign> {
        if !(1..=LONGEST_INVITE).contains(&wanted.expires) {
            let found = format!("{} s", wanted.expires / 1_000_000);
            let expected = "up to 366 days".to_string();
            return Err(CannotSign::OutOfBounds { what: "the life of the invite", found, expected });
        }
        let mut bolts: Vec<TokenBolt> = Vec::new();
        for bolt in self.context.bolts.iter().filter(|b| !b.addresses.is_empty()).take(TOKEN_BOLTS) {
            let addresses = bolt.addresses.iter().take(vigo_base::limits::ADDRESSES).cloned().collect();
            bolts.push(TokenBolt { key: bolt.key, addresses });
        }
        if bolts.is_empty() {
            return Err(CannotSign::NoBolts);
        }
        let until = self.context.now.after(wanted.expires);
        let Wanted { kind, name, uses, seed, .. } = wanted;
        let token = Token { spanner: self.context.spanner, bolts, seed, kind, name: name.clone(), until };
        let invitee = Invitee::Token(token.key().public());
        let act = Act::Invite(Invite { invitee, kind, name, uses, until, spenders: self.spenders() });
        self.may(if kind == NodeKind::Bolt { Right::InviteBolt } else { Right::Invite })?;
        Ok((self.say(&act)?, token))
    }

    /// Says yes to a machine that asks to join.
    ///
    /// # Errors
    /// [`CannotSign`].
    pub fn approve(&self, key: PublicKey, name: Hostname, kind: NodeKind) -> Result<Signed, CannotSign> {
        self.may(if kind == NodeKind::Bolt { Right::InviteBolt } else { Right::Invite })?;
        let until = self.context.now.after(vigo_base::time::hours(24));
        self.say(&Act::Invite(Invite {
            invitee: Invitee::Node(key),
            kind,
            name: NameRule::Exact(name),
            uses: 1,
            until,
            spenders: self.spenders(),
        }))
    }

    /// Takes keys out of the fleet for ever. What they did until now stands.
    ///
    /// # Errors
    /// [`CannotSign`].
    pub fn revoke(&self, keys: &[PublicKey], reason: &str) -> Result<Signed, CannotSign> {
        self.may(Right::Revoke)?;
        let admissions = Space::admissions();
        let space = |name: &String| name.parse::<Space>().ok();
        let seen = self.context.tips.iter().filter_map(|(name, heads)| {
            let space = space(name).filter(|s| *s != admissions)?;
            Some(Seen { space, heads: heads.iter().copied().take(ACT_ITEMS).collect() })
        });
        // The revoked themselves first; then the bolts, for invites among the keys that they spent.
        let (mut own, others): (Vec<_>, Vec<_>) =
            self.context.sequences.iter().partition(|(key, _, _)| keys.contains(key));
        let bolts: Vec<PublicKey> = self.context.bolts.iter().map(|b| b.key).collect();
        own.extend(
            others.into_iter().filter(|(key, name, _)| bolts.contains(key) && name.starts_with("admissions")),
        );
        let upto = own
            .into_iter()
            .filter_map(|(key, name, seq)| Some(UpTo { key: *key, space: space(name)?, seq: *seq }));
        self.say(&Act::Revoke(Revoke {
            keys: keys.to_vec(),
            seen: seen.take(ACT_ITEMS).collect(),
            upto: upto.take(ACT_ITEMS).collect(),
            reason: reason.to_string(),
        }))
    }

    /// Makes another operator. What the signer may not do itself it cannot give.
    ///
    /// # Errors
    /// [`CannotSign`].
    pub fn admit(&self, key: PublicKey, name: Hostname, grants: Vec<Grant>) -> Result<Signed, CannotSign> {
        self.may(Right::AdmitOperator)?;
        self.say(&Act::Admit(Admit { key, name, grants }))
    }

    /// Publishes configuration: `routes` and `source` are blobs that the node holds.
    ///
    /// # Errors
    /// [`CannotSign`].
    pub fn publish(&self, routes: BlobRef, source: BlobRef, note: &str) -> Result<Signed, CannotSign> {
        self.may(Right::ConfigPublish)?;
        let epoch = self.context.next_epoch;
        let publish = Publish { epoch, routes, source, note: note.to_string() };
        Ok(self.sign(Space::config(), PUBLISH, publish.encode()))
    }

    /// Sets a fleet setting, or with no value takes it back to its default.
    ///
    /// # Errors
    /// [`CannotSign`], with the nearest key or what its value may be.
    pub fn set(&self, key: &str, value: Option<&Value>) -> Result<Signed, CannotSign> {
        let known = find(key)?;
        let value = value.map(|value| known.check(value).map(|v| v.to_string())).transpose()?;
        self.may(Right::Settings)?;
        let generations = &self.context.generations;
        let generation = generations.iter().find(|(name, _)| name == key).map_or(1, |(_, next)| *next);
        let change = Change { key: known.name.to_string(), value, generation };
        Ok(self.sign(Space::settings(), SETTING, change.encode()))
    }

    /// What is a mistake before it is signed: the node would refuse it all the same.
    fn may(&self, right: Right) -> Result<(), CannotSign> {
        let rights = &self.context.rights;
        // A right may be shown with its scope behind it.
        let has = |r: &String| r.split([' ', ':', '(']).next() == Some(right.as_str());
        if rights.iter().any(has) {
            return Ok(());
        }
        let operator = self.context.operator.clone();
        Err(CannotSign::Right { operator, right: right.as_str(), has: rights.clone() })
    }

    fn spenders(&self) -> Vec<PublicKey> {
        let mut keys: Vec<PublicKey> = self.context.bolts.iter().map(|b| b.key).take(ACT_ITEMS).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    fn say(&self, act: &Act) -> Result<Signed, CannotSign> {
        match act.problem() {
            Some(why) => Err(CannotSign::Senseless(why)),
            None => Ok(self.sign(Space::admissions(), act.kind() as u16, act.encode())),
        }
    }

    fn sign(&self, space: Space, kind: u16, payload: Vec<u8>) -> Signed {
        let tips = self.context.tips.iter().find(|(name, _)| name == space.as_str());
        let mut after = tips.map(|(_, heads)| heads.clone()).unwrap_or_default();
        after.truncate(vigo_crdt::statement::AFTER);
        let Context { spanner, under, now, .. } = self.context;
        let statement =
            Draft { space: space.clone(), kind, under, after, at: now, payload }.sign(&self.key, &spanner);
        Signed { space, id: statement.id(), bytes: statement.bytes().to_vec() }
    }
}

/// The member with this name or key, among `members`.
///
/// # Errors
/// [`CannotSign::NoSuch`] with the nearest name, [`CannotSign::Ambiguous`].
pub fn member<'a>(members: &'a [MemberRow], name: &str) -> Result<&'a MemberRow, CannotSign> {
    if let Ok(key) = name.parse::<PublicKey>() {
        let none = || CannotSign::NoSuch { what: "member with the key", name: name.into(), near: None };
        return members.iter().find(|m| m.key == key).ok_or_else(none);
    }
    let lower = name.to_ascii_lowercase();
    let all: Vec<&MemberRow> = members.iter().filter(|m| m.name == lower).collect();
    let live: Vec<&MemberRow> = all.iter().filter(|m| m.state != "revoked").copied().collect();
    match (live.as_slice(), all.as_slice()) {
        ([one], _) | ([], [one]) => Ok(one),
        ([], []) => {
            let near = nearest(&lower, members.iter().map(|m| m.name.as_str())).map(str::to_string);
            Err(CannotSign::NoSuch { what: "member", name: name.into(), near })
        }
        (live, all) => {
            let found = if live.is_empty() { all } else { live };
            let who = found.iter().map(|m| format!("{} {} {}", m.state, m.kind, m.key)).collect();
            Err(CannotSign::Ambiguous { name: name.into(), who })
        }
    }
}

/// The value of a setting from a word of the command line: JSON if it is, else text.
pub fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_string()))
}

/// The row of one setting.
///
/// # Errors
/// [`CannotSign::Setting`] with the nearest key.
pub fn setting<'a>(rows: &'a [SettingRow], key: &str) -> Result<&'a SettingRow, CannotSign> {
    find(key)?;
    let none = || CannotSign::NoSuch { what: "setting", name: key.into(), near: None };
    rows.iter().find(|row| row.key == key).ok_or_else(none)
}
