//! Everything a node knows about who belongs, read and checked, not yet judged.
//!
//! A grow-only set: inserting is idempotent and commutes, and nothing is ever taken out. [`crate::Authority`] is
//! a pure function of it. Cloning shares the entries.

use std::collections::BTreeMap;
use std::sync::Arc;

use vigo_base::{Hash, PublicKey, SpannerId};
use vigo_crdt::{Record, Space, Statement};

use crate::act::{Act, BadAct, read_statement};
use crate::spend::{BadAdmission, FORK, ForkProof, SPEND, STATEMENT, SpendRecord};

/// A statement with what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The statement.
    pub statement: Statement,
    /// What it says, or why that is not known.
    pub act: Result<Act, BadAct>,
}

/// The record set of `admissions`, typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admissions {
    spanner: SpannerId,
    statements: BTreeMap<Hash, Arc<Said>>,
    spends: BTreeMap<Hash, Arc<SpendRecord>>,
    /// By author; of several forks of one author in one space the lowest sequence, then the lowest ids.
    forks: BTreeMap<(PublicKey, Space), Arc<ForkProof>>,
}

/// What an insert changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It was there.
    Known,
    /// It is new: whoever holds an [`crate::Authority`] over this set evaluates again.
    New,
}

impl Admissions {
    /// Nothing known of this fleet.
    pub fn new(spanner: SpannerId) -> Admissions {
        Admissions { spanner, statements: BTreeMap::new(), spends: BTreeMap::new(), forks: BTreeMap::new() }
    }

    /// The fleet.
    pub fn spanner(&self) -> SpannerId {
        self.spanner
    }

    /// Takes a record of `admissions`: a statement, a bolt's spend or a fork proof.
    ///
    /// # Errors
    /// [`BadAdmission`]; all but [`BadAdmission::UnknownKind`] are the sender's fault.
    pub fn insert(&mut self, record: &Record) -> Result<Inserted, BadAdmission> {
        let space = record.space().clone();
        if space != Space::admissions() {
            return Err(BadAdmission::Space { space });
        }
        match record.kind() {
            STATEMENT => Ok(self.insert_statement(read_statement(record.payload(), &self.spanner)?)),
            SPEND => Ok(self.insert_spend(SpendRecord::read(record, &self.spanner)?)),
            FORK => Ok(self.insert_fork(ForkProof::read(record.payload(), &self.spanner)?)),
            kind => Err(BadAdmission::UnknownKind { space, kind }),
        }
    }

    /// Takes a statement that was read with [`read_statement`].
    pub fn insert_statement(&mut self, statement: Statement) -> Inserted {
        let id = statement.id();
        if self.statements.contains_key(&id) {
            return Inserted::Known;
        }
        let act = Act::decode(statement.kind(), statement.payload());
        self.statements.insert(id, Arc::new(Said { statement, act }));
        Inserted::New
    }

    /// Takes what another set holds already, and shares it.
    pub(crate) fn share_statement(&mut self, said: &Arc<Said>) {
        self.statements.entry(said.statement.id()).or_insert_with(|| said.clone());
    }

    /// Takes a bolt's spend. Two spends of one author with one sequence are a fork, and are taken as one.
    pub fn insert_spend(&mut self, spend: SpendRecord) -> Inserted {
        self.share_spend(Arc::new(spend))
    }

    /// [`Admissions::insert_spend`] of one that may be shared with another set.
    pub(crate) fn share_spend(&mut self, spend: Arc<SpendRecord>) -> Inserted {
        let twin = self.spends.values().find(|s| {
            let (a, b) = (s.record(), spend.record());
            a.author() == b.author() && a.seq() == b.seq() && a.space() == b.space() && a.id() != b.id()
        });
        let fork = twin.and_then(|t| ForkProof::of(t.record().clone(), spend.record().clone()).ok());
        if let Some(fork) = fork {
            self.insert_fork(fork);
        }
        match self.spends.insert(spend.id(), spend) {
            Some(_) => Inserted::Known,
            None => Inserted::New,
        }
    }

    /// Takes a fork proof, also one that this node found itself in any space.
    pub fn insert_fork(&mut self, fork: ForkProof) -> Inserted {
        let rank = |f: &ForkProof| (f.seq(), f.counts(), f.falls());
        let key = (fork.author(), fork.space().clone());
        match self.forks.get(&key) {
            Some(known) if rank(known) <= rank(&fork) => Inserted::Known,
            _ => {
                self.forks.insert(key, Arc::new(fork));
                Inserted::New
            }
        }
    }

    /// All statements by id.
    pub fn statements(&self) -> &BTreeMap<Hash, Arc<Said>> {
        &self.statements
    }

    /// All bolts' spends by record id.
    pub fn spends(&self) -> &BTreeMap<Hash, Arc<SpendRecord>> {
        &self.spends
    }

    /// The fork of this author in this space, if one is known.
    pub fn fork_in(&self, author: &PublicKey, space: &Space) -> Option<&ForkProof> {
        self.forks.get(&(*author, space.clone())).map(Arc::as_ref)
    }

    /// Any fork of this author: the one in the first space by name.
    pub fn fork_of(&self, author: &PublicKey) -> Option<&ForkProof> {
        let forks = self.forks.iter().filter(|((key, _), _)| key == author);
        forks.map(|(_, fork)| fork.as_ref()).next()
    }

    /// All forks known.
    pub fn forks(&self) -> impl Iterator<Item = &ForkProof> {
        self.forks.values().map(Arc::as_ref)
    }
}
