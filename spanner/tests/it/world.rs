//! A small world to tell stories in: keys by number, statements with explicit pasts, records with sequences.

use std::collections::BTreeMap;

use vigo_base::{Hash, PublicKey, SecretKey, SpannerId, Stamp, Time, codec};
use vigo_crdt::{Record, Space, Statement};
use vigo_spanner::act::{self, Act, Admit, Genesis, Invite, Keep, Revoke, UpTo};
use vigo_spanner::spend::SPEND;
use vigo_spanner::{Admissions, Authority, Grant, Invitee, NameRule, NodeKind, Pattern, Proof, Right, Spend};

pub const RECOVERY: u8 = 200;

pub fn key(n: u8) -> SecretKey {
    SecretKey::from_seed([n; 32])
}

pub fn public(n: u8) -> PublicKey {
    key(n).public()
}

pub fn everything() -> Vec<Grant> {
    Right::ALL.into_iter().map(Grant::everywhere).collect()
}

pub fn grant(right: Right, scope: &[&str]) -> Grant {
    Grant { right, scope: scope.iter().map(|p| p.parse().unwrap()).collect() }
}

/// One fleet: its genesis, and a counter of sequences for each author and space.
pub struct World {
    pub spanner: SpannerId,
    pub genesis: Statement,
    seqs: BTreeMap<(u8, Space), u64>,
}

impl World {
    pub fn new() -> World {
        let genesis = Genesis { label: "test".into(), version: 1, nonce: Hash::of(b"nonce") };
        let (spanner, genesis) = act::found(&key(RECOVERY), genesis, Time(0));
        World { spanner, genesis, seqs: BTreeMap::new() }
    }

    pub fn root(&self) -> Hash {
        self.spanner.0
    }

    /// `signer` says `act` under an admit, having seen `after`.
    pub fn say(&self, signer: u8, under: Hash, after: &[&Statement], act: Act) -> Statement {
        let after = after.iter().map(|s| s.id()).collect();
        act.draft(under, after, Time(1)).sign(&key(signer), &self.spanner)
    }

    pub fn admit(&self, signer: u8, under: Hash, after: &[&Statement], who: u8) -> Statement {
        self.admit_with(signer, under, after, who, everything())
    }

    pub fn admit_with(
        &self,
        by: u8,
        under: Hash,
        after: &[&Statement],
        who: u8,
        grants: Vec<Grant>,
    ) -> Statement {
        let name = format!("op{who}").parse().unwrap();
        self.say(by, under, after, Act::Admit(Admit { key: public(who), name, grants }))
    }

    pub fn revoke(&self, signer: u8, under: Hash, after: &[&Statement], who: &[u8]) -> Statement {
        self.revoke_upto(signer, under, after, who, vec![])
    }

    pub fn revoke_upto(
        &self,
        by: u8,
        under: Hash,
        after: &[&Statement],
        who: &[u8],
        upto: Vec<UpTo>,
    ) -> Statement {
        let keys = who.iter().map(|n| public(*n)).collect();
        let revoke = Revoke { keys, upto, seen: vec![], reason: "test".into() };
        self.say(by, under, after, Act::Revoke(revoke))
    }

    pub fn keep(&self, signer: u8, under: Hash, after: &[&Statement], kept: &[Hash]) -> Statement {
        self.say(signer, under, after, Act::Keep(Keep { statements: kept.to_vec() }))
    }

    pub fn invite(&self, signer: u8, under: Hash, after: &[&Statement], invite: Invite) -> Statement {
        self.say(signer, under, after, Act::Invite(invite))
    }

    /// The next record of `author` that spends `invite` for `node`.
    pub fn spend(
        &mut self,
        author: u8,
        kind: NodeKind,
        invite: &Statement,
        node: u8,
        name: &str,
        token: Option<u8>,
    ) -> Record {
        let space = match kind {
            NodeKind::Bolt => Space::admissions(),
            NodeKind::Envoy => Space::envoys(),
        };
        let seq = self.seqs.entry((author, space)).or_insert(0);
        *seq += 1;
        let seq = *seq;
        self.spend_at(author, seq, kind, invite, node, name, token)
    }

    #[allow(clippy::too_many_arguments, reason = "a test's builder")]
    pub fn spend_at(
        &self,
        author: u8,
        seq: u64,
        kind: NodeKind,
        invite: &Statement,
        node: u8,
        name: &str,
        token: Option<u8>,
    ) -> Record {
        let name = name.parse().unwrap();
        let proof = token.map(|t| Proof::sign(&key(t), &self.spanner, &public(node), &name, b"exporter"));
        let spend = Spend { invite: invite.id(), node: public(node), name, proof };
        let space = match kind {
            NodeKind::Bolt => Space::admissions(),
            NodeKind::Envoy => Space::envoys(),
        };
        let payload = codec::encode(&spend);
        Record::sign(&key(author), &self.spanner, space, seq, SPEND, Stamp(0), payload).unwrap()
    }

    /// Everything said, as a node holds it.
    pub fn admissions<'s>(&self, said: impl IntoIterator<Item = &'s Statement>) -> Admissions {
        let mut all = Admissions::new(self.spanner);
        all.insert_statement(self.genesis.clone());
        for statement in said {
            all.insert_statement(statement.clone());
        }
        all
    }

    pub fn authority<'s>(&self, said: impl IntoIterator<Item = &'s Statement>) -> Authority {
        Authority::evaluate(&self.admissions(said))
    }
}

pub fn token_invite(token: u8, kind: NodeKind, name: &str, uses: u32, spenders: &[u8]) -> Invite {
    let name = match name.parse::<Pattern>().unwrap() {
        p if p.is_exact() => NameRule::Exact(name.parse().unwrap()),
        p => NameRule::Pattern(p),
    };
    Invite {
        invitee: Invitee::Token(public(token)),
        kind,
        name,
        uses,
        until: Time(1_000_000_000),
        spenders: spenders.iter().map(|n| public(*n)).collect(),
    }
}

/// A fleet with operator 1 (depth 1) and the founding bolt 50 (depth 2).
pub struct Fleet {
    pub w: World,
    pub op: Statement,
    pub founding: Statement,
    pub admissions: Admissions,
}

pub const OP: u8 = 1;
pub const BOLT: u8 = 50;

impl Fleet {
    pub fn new() -> Fleet {
        let mut w = World::new();
        let op = w.admit(RECOVERY, w.root(), &[&w.genesis], OP);
        let own = vigo_spanner::enrol::self_invite(public(BOLT), "b1".parse().unwrap(), Time(9));
        let founding = w.invite(OP, op.id(), &[&op], own);
        let spend = w.spend(BOLT, NodeKind::Bolt, &founding, BOLT, "b1", None);
        let mut admissions = w.admissions([&op, &founding]);
        admissions.insert(&spend).unwrap();
        Fleet { w, op, founding, admissions }
    }

    pub fn add(&mut self, statement: &Statement) {
        self.admissions.insert_statement(statement.clone());
    }

    pub fn authority(&self) -> Authority {
        Authority::evaluate(&self.admissions)
    }

    /// Operator 1 invites, having seen everything.
    pub fn invite(&mut self, invite: Invite) -> Statement {
        let authority = self.authority();
        let draft = authority.draft(&Act::Invite(invite), self.op.id(), Time(2));
        let statement = draft.sign(&key(OP), &self.w.spanner);
        self.add(&statement);
        statement
    }
}

/// Calls `check` with every order of the items.
pub fn each_order<T: Clone>(items: &[T], check: &mut dyn FnMut(&[T])) {
    fn go<T: Clone>(left: &mut Vec<T>, done: &mut Vec<T>, check: &mut dyn FnMut(&[T])) {
        if left.is_empty() {
            return check(done);
        }
        for i in 0..left.len() {
            let item = left.remove(i);
            done.push(item.clone());
            go(left, done, check);
            done.pop();
            left.insert(i, item);
        }
    }
    go(&mut items.to_vec(), &mut Vec::new(), check);
}
