//! The roster: every node of the fleet that this node knows of, envoys and bolts in one view.
//!
//! Bolts come from [`Authority`]; envoys from spends in `admissions/envoys`, which bolts hold in full and an
//! envoy only as far as papers showed them to it. A spend that collides with nothing is taken in at once; one
//! that does (an invite used up, a name or key taken, a fork), and every change of authority, settles all anew.
//! Both ways give the same answer, whatever the order.
//!
//! What it never does: forget a spend, or decide by what a node says of itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use vigo_base::{Hash, Hostname, PublicKey, SpannerId, planted};
use vigo_crdt::{Record, Space};

use crate::admissions::Inserted;
use crate::authority::{Authority, Candidate, Settlement, WhyNotSpend};
use crate::member::{Member, MemberState, Suspension};
use crate::spend::{BadAdmission, ForkProof, SpendRecord};

/// All members known here.
#[derive(Debug, Clone)]
pub struct Roster {
    spanner: SpannerId,
    spends: BTreeMap<Hash, Arc<SpendRecord>>,
    by_seq: BTreeMap<(PublicKey, u64), Hash>,
    settled: Settlement,
    refused: BTreeMap<Hash, WhyNotSpend>,
    /// Whether [`Roster::file`] left something open.
    unsettled: bool,
}

/// What an insert changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enrolled {
    /// It was there.
    Known,
    /// This node is now a member, perhaps a suspended one; other members may have changed if it is.
    Member(PublicKey),
    /// It is kept and lets nobody in as things stand.
    Waiting(WhyNotSpend),
    /// It and another record have one author and one sequence: put the proof into [`crate::Admissions`].
    Fork(Box<ForkProof>),
}

impl Roster {
    /// The bolts alone.
    pub fn new(authority: &Authority) -> Roster {
        let mut roster = Roster {
            spanner: authority.spanner(),
            spends: BTreeMap::new(),
            by_seq: BTreeMap::new(),
            settled: Settlement::default(),
            refused: BTreeMap::new(),
            unsettled: false,
        };
        roster.rejudge(authority);
        roster
    }

    /// Takes a record of `admissions/envoys`.
    ///
    /// # Errors
    /// [`BadAdmission`]; all but [`BadAdmission::UnknownKind`] are the sender's fault.
    pub fn insert(&mut self, authority: &Authority, record: &Record) -> Result<Enrolled, BadAdmission> {
        if *record.space() != Space::envoys() {
            return Err(BadAdmission::Space { space: record.space().clone() });
        }
        Ok(self.insert_spend(authority, Arc::new(SpendRecord::read(record, &self.spanner)?)))
    }

    /// As [`Roster::insert`] for one of many that came together: one that collides with another is settled by
    /// [`Roster::settle`], once for all of them. Gives the proof if it is a fork.
    ///
    /// # Errors
    /// As [`Roster::insert`].
    pub fn file(
        &mut self,
        authority: &Authority,
        record: &Record,
    ) -> Result<Option<Box<ForkProof>>, BadAdmission> {
        if *record.space() != Space::envoys() {
            return Err(BadAdmission::Space { space: record.space().clone() });
        }
        let spend = Arc::new(SpendRecord::read(record, &self.spanner)?);
        match self.keep(spend.clone()) {
            Err(fork) => {
                self.unsettled = true;
                return Ok(Some(fork));
            }
            Ok(Inserted::Known) => return Ok(None),
            Ok(Inserted::New) => {}
        }
        match authority.judge_spend(&spend) {
            Ok(candidate) if (!self.unsettled && !self.collides(&candidate)) || planted!(4) => {
                self.settled.settle(vec![candidate]);
            }
            Ok(_) => self.unsettled = true,
            Err(why) => drop(self.refused.insert(spend.id(), why)),
        }
        Ok(None)
    }

    /// Settles what [`Roster::file`] left open.
    pub fn settle(&mut self, authority: &Authority) {
        if self.unsettled {
            self.rejudge(authority);
        }
    }

    /// Takes many records and settles once: for a start from disk, or a reconciliation. Says what was refused.
    pub fn insert_all<'r>(
        &mut self,
        authority: &Authority,
        records: impl IntoIterator<Item = &'r Record>,
    ) -> Vec<(Hash, BadAdmission)> {
        let mut bad = Vec::new();
        for record in records {
            let space = record.space().clone();
            match SpendRecord::read(record, &self.spanner) {
                Ok(spend) if space == Space::envoys() => drop(self.keep(Arc::new(spend))),
                Ok(_) => bad.push((record.id(), BadAdmission::Space { space })),
                Err(why) => bad.push((record.id(), why)),
            }
        }
        self.rejudge(authority);
        bad
    }

    /// Takes a spend that was read, from papers for instance.
    pub fn insert_spend(&mut self, authority: &Authority, spend: Arc<SpendRecord>) -> Enrolled {
        let (id, node) = (spend.id(), spend.spend().node);
        match self.keep(spend.clone()) {
            Err(fork) => return Enrolled::Fork(fork),
            Ok(Inserted::Known) => return Enrolled::Known,
            Ok(Inserted::New) => {}
        }
        let candidate = match authority.judge_spend(&spend) {
            Ok(candidate) => candidate,
            Err(why) => {
                self.refused.insert(id, why.clone());
                return Enrolled::Waiting(why);
            }
        };
        if self.collides(&candidate) {
            self.rejudge(authority);
        } else {
            self.settled.settle(vec![candidate]);
        }
        match self.refused.get(&id) {
            Some(why) => Enrolled::Waiting(why.clone()),
            None => Enrolled::Member(node),
        }
    }

    fn keep(&mut self, spend: Arc<SpendRecord>) -> Result<Inserted, Box<ForkProof>> {
        let id = spend.id();
        if self.spends.contains_key(&id) {
            return Ok(Inserted::Known);
        }
        let place = (spend.author(), spend.record().seq());
        let twin = self.by_seq.get(&place).and_then(|id| self.spends.get(id));
        let fork = twin.and_then(|t| ForkProof::of(t.record().clone(), spend.record().clone()).ok());
        self.by_seq.entry(place).or_insert(id);
        self.spends.insert(id, spend);
        fork.map_or(Ok(Inserted::New), |f| Err(Box::new(f)))
    }

    /// Whether a candidate and somebody settled want the same.
    fn collides(&self, new: &Candidate) -> bool {
        let used = self.settled.used.get(&new.member.invite).copied().unwrap_or(0);
        used >= new.uses
            || self.settled.names.contains_key(&new.member.name)
            || self.settled.members.contains_key(&new.member.key)
    }

    /// Settles everything anew: to be called whenever authority changed.
    pub fn rejudge(&mut self, authority: &Authority) {
        self.settled = authority.settled_bolts().clone();
        self.refused.clear();
        self.unsettled = false;
        let mut candidates = Vec::new();
        for (id, spend) in &self.spends {
            match authority.judge_spend(spend) {
                Ok(candidate) => candidates.push(candidate),
                Err(why) => drop(self.refused.insert(*id, why)),
            }
        }
        self.refused.extend(self.settled.settle(candidates));
    }

    /// The node with this key.
    pub fn get(&self, key: &PublicKey) -> Option<&Member> {
        self.settled.members.get(key)
    }

    /// The live node that holds this name: active, or suspended for a fork.
    pub fn by_name(&self, name: &Hostname) -> Option<&Member> {
        self.settled.names.get(name).and_then(|key| self.get(key))
    }

    /// All nodes, those suspended and revoked too, by key.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.settled.members.values()
    }

    /// Those who lost a name or a use to another, or forked.
    pub fn suspended(&self) -> impl Iterator<Item = (&Member, &Suspension)> {
        self.members().filter_map(|m| match &m.state {
            MemberState::Suspended(why) => Some((m, why)),
            _ => None,
        })
    }

    /// How often an invite was spent, as far as this node knows.
    pub fn spent(&self, invite: &Hash) -> u32 {
        self.settled.used.get(invite).copied().unwrap_or(0)
    }

    /// Why a spend known here lets nobody in.
    pub fn refused(&self, spend: &Hash) -> Option<&WhyNotSpend> {
        self.refused.get(spend)
    }

    /// An envoy's spend by its record id.
    pub fn spend(&self, id: &Hash) -> Option<&Arc<SpendRecord>> {
        self.spends.get(id)
    }
}
