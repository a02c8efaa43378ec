//! The first records of a fleet, and of a fleet that lost all its bolts.
//!
//! [`found`] is what `vigo init` does: the recovery key signs the genesis and admits the first operator, who
//! invites the first bolt, which spends that invite on itself. [`restore`] is what `vigo init --restore` does:
//! from the authority that any envoy holds, an operator or the recovery key invites a new bolt. Both are pure:
//! keys, randomness and time are arguments, and what comes out is to be written to a store.

use std::collections::BTreeMap;
use std::sync::Arc;

use vigo_base::{Clock, Hash, Hostname, PublicKey, SecretKey, SpannerId, Time, codec};
use vigo_crdt::{Record, Space, Statement, Unverified};
use vigo_spanner::act::{self, Admit, FLEET_VERSION, Genesis};
use vigo_spanner::spend::{SPEND, STATEMENT, Spend};
use vigo_spanner::{
    Act, Admissions, Authority, Grant, Invite, Invitee, NameRule, NodeKind, Papers, Pattern, Right, Roster,
};

use crate::boot::meta;

/// What is needed to found a fleet.
#[derive(Debug)]
pub struct Founding<'a> {
    /// The first bolt's key.
    pub node: &'a SecretKey,
    /// The first bolt's name.
    pub name: Hostname,
    /// What people call the fleet.
    pub fleet: String,
    /// The recovery key: it signs here and is then forgotten.
    pub recovery: &'a SecretKey,
    /// The first operator's key.
    pub operator: &'a SecretKey,
    /// The first operator's name.
    pub operator_name: Hostname,
    /// 32 random bytes, so that no two fleets are the same.
    pub nonce: Hash,
    /// The time.
    pub now: Time,
}

/// What is needed to bring a fleet back.
#[derive(Debug)]
pub struct Restoring<'a> {
    /// The fleet.
    pub spanner: SpannerId,
    /// Encoded records of the space `admissions`, from any member.
    pub authority: Vec<Vec<u8>>,
    /// The new bolt's key.
    pub node: &'a SecretKey,
    /// The new bolt's name.
    pub name: Hostname,
    /// An operator's key or the recovery key.
    pub signer: &'a SecretKey,
    /// An operator to admit first: needed when the signer is the recovery key and the operators' keys are lost.
    pub operator: Option<(PublicKey, Hostname)>,
    /// The time.
    pub now: Time,
}

/// What goes into the store of the new bolt.
#[derive(Debug, Clone)]
pub struct Founded {
    /// The fleet.
    pub spanner: SpannerId,
    /// Encoded records.
    pub records: Vec<Arc<[u8]>>,
    /// Values by name.
    pub meta: Vec<(String, Vec<u8>)>,
}

/// Why a fleet could not be founded or restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotFound {
    /// The authority given does not hold.
    #[error("the authority of the fleet cannot be read: {0}")]
    Authority(String),
    /// The key signs nothing in this fleet.
    #[error(
        "the key {0:?} is neither the recovery key of this fleet nor an operator's with the right to invite bolts"
    )]
    Signer(PublicKey),
    /// What was made does not count by the fleet's own rules.
    #[error("the new bolt would not count: {0}")]
    DoesNotCount(String),
}

/// Writes the records of a store that is not there yet.
struct Scribe<'a> {
    node: &'a SecretKey,
    spanner: SpannerId,
    clock: Clock,
    now: Time,
    seq: u64,
    admissions: Admissions,
    records: Vec<Arc<[u8]>>,
}

impl Scribe<'_> {
    fn write(&mut self, kind: u16, payload: Vec<u8>) -> Result<Hash, CannotFound> {
        self.seq += 1;
        let stamp = self.clock.tick(self.now);
        let record =
            Record::sign(self.node, &self.spanner, Space::admissions(), self.seq, kind, stamp, payload)
                .map_err(|e| CannotFound::DoesNotCount(e.to_string()))?;
        self.admissions.insert(&record).map_err(|e| CannotFound::DoesNotCount(e.to_string()))?;
        self.records.push(record.bytes().clone());
        Ok(record.id())
    }

    fn say(&mut self, act: &Act, signer: &SecretKey, under: Hash) -> Result<Hash, CannotFound> {
        let after = Authority::evaluate(&self.admissions).heads().to_vec();
        let statement = act.draft(under, after, self.now).sign(signer, &self.spanner);
        self.write(STATEMENT, statement.bytes().to_vec())?;
        Ok(statement.id())
    }

    /// Invites the node itself and spends the invite.
    fn invite_self(&mut self, name: &Hostname, signer: &SecretKey, under: Hash) -> Result<(), CannotFound> {
        let key = self.node.public();
        let invite = Act::Invite(Invite {
            invitee: Invitee::Node(key),
            kind: NodeKind::Bolt,
            name: NameRule::Exact(name.clone()),
            uses: 1,
            until: self.now.after(vigo_base::time::hours(24)),
            spenders: vec![key],
        });
        let invite = self.say(&invite, signer, under)?;
        let spend = Spend { invite, node: key, name: name.clone(), proof: None };
        self.write(SPEND, codec::encode(&spend))?;
        Ok(())
    }

    fn finish(self) -> Result<Founded, CannotFound> {
        let authority = Authority::evaluate(&self.admissions);
        let papers = Papers::build(&authority, &Roster::new(&authority), &self.node.public())
            .map_err(|e| CannotFound::DoesNotCount(e.to_string()))?;
        let meta = vec![
            (meta::SPANNER.to_string(), self.spanner.0.0.to_vec()),
            (meta::PAPERS.to_string(), papers.encode()),
        ];
        Ok(Founded { spanner: self.spanner, records: self.records, meta })
    }
}

/// Founds a fleet.
///
/// # Errors
/// [`CannotFound::DoesNotCount`] if the names or the label break a rule.
pub fn found(founding: Founding<'_>) -> Result<Founded, CannotFound> {
    let Founding { node, name, fleet, recovery, operator, operator_name, nonce, now } = founding;
    let genesis = Genesis { label: fleet, version: FLEET_VERSION, nonce };
    let (spanner, first) = act::found(recovery, genesis, now);
    let admissions = Admissions::new(spanner);
    let mut scribe =
        Scribe { node, spanner, clock: Clock::default(), now, seq: 0, admissions, records: Vec::new() };
    scribe.write(STATEMENT, first.bytes().to_vec())?;
    let grants = Right::ALL.into_iter().map(Grant::everywhere).collect();
    let admit = Act::Admit(Admit { key: operator.public(), name: operator_name, grants });
    let admit = scribe.say(&admit, recovery, spanner.0)?;
    scribe.invite_self(&name, operator, admit)?;
    scribe.finish()
}

/// Makes a new bolt for a fleet from its authority.
///
/// # Errors
/// [`CannotFound`] if the authority is not this fleet's, or the signer's key has no say in it.
pub fn restore(restoring: Restoring<'_>) -> Result<Founded, CannotFound> {
    let Restoring { spanner, authority, node, name, signer, operator, now } = restoring;
    let mut admissions = Admissions::new(spanner);
    let mut records = Vec::new();
    for bytes in &authority {
        let bad = |e: String| CannotFound::Authority(e);
        let record =
            Unverified::decode(bytes).and_then(|u| u.verify(&spanner)).map_err(|e| bad(e.to_string()))?;
        admissions.insert(&record).map_err(|e| bad(e.to_string()))?;
        records.push(record.bytes().clone());
    }
    let now_counts = Authority::evaluate(&admissions);
    let by = now_counts.operator_for(&signer.public(), Right::InviteBolt, &Pattern::any());
    let under = by.map(|operator| operator.id).ok_or(CannotFound::Signer(signer.public()))?;
    let mut scribe = Scribe { node, spanner, clock: Clock::default(), now, seq: 0, admissions, records };
    if let Some((key, name)) = operator {
        let grants = Right::ALL.into_iter().map(Grant::everywhere).collect();
        let admit = Act::Admit(Admit { key, name, grants });
        scribe.say(&admit, signer, under)?;
    }
    scribe.invite_self(&name, signer, under)?;
    scribe.finish()
}

/// The statements among encoded records of `admissions`, by id; for tools that look at an export.
pub fn statements(spanner: SpannerId, records: &[Vec<u8>]) -> BTreeMap<Hash, Statement> {
    let mut out = BTreeMap::new();
    for bytes in records {
        let Ok(record) = Unverified::decode(bytes).and_then(|u| u.verify(&spanner)) else { continue };
        if record.kind() != STATEMENT {
            continue;
        }
        if let Ok(statement) = act::read_statement(record.payload(), &spanner) {
            out.insert(statement.id(), statement);
        }
    }
    out
}
