//! A fleet on paper: statements signed by hand, with nobody to check them but an applier.
//!
//! Used by the tests of the judgement here and, by path, by those of the socket in `daemon`.
#![allow(dead_code, reason = "each of the two uses its own part")]

use std::collections::BTreeMap;
use std::sync::Arc;

use vigo_base::{Hash, Hostname, PublicKey, SecretKey, SpannerId, Time};
use vigo_node::content_types::config::{ConfigView, Epoch, PUBLISH, Publish};
use vigo_node::crdt::{Draft, Space, Statement};
use vigo_node::release::Release;
use vigo_node::spanner::act::{self, Admit, Genesis, Revoke, Seen};
use vigo_node::spanner::{Act, Admissions, Authority, Grant, Right};
use vigo_node::stacks::{SourceTree, compile};
use vigo_node::swarm::outline::BlobRef;
use vigo_node::warrant::{Anchor, Evidence, Request, publishes};

pub const RECOVERY: u8 = 1;
pub const ALICE: u8 = 2;
pub const BOB: u8 = 3;
pub const CAROL: u8 = 4;
pub const NODE: u8 = 9;

pub fn key(n: u8) -> SecretKey {
    SecretKey::from_seed([n; 32])
}

/// The name that the machine under test was admitted with.
pub fn web01() -> Hostname {
    "web01".parse().expect("a hostname")
}

/// A publish with its blobs.
#[derive(Clone)]
pub struct Published {
    pub at: Epoch,
    pub routes: Vec<u8>,
    pub policy: Vec<u8>,
}

impl Published {
    pub fn request(&self) -> Request<'_> {
        Request { at: self.at, routes: &self.routes, policy: &self.policy }
    }
}

/// A fleet: the recovery key, alice with all rights, bob with the right to publish.
pub struct Paper {
    pub spanner: SpannerId,
    pub alice: Hash,
    pub bob: Hash,
    pub admissions: Admissions,
    pub config: BTreeMap<Hash, Arc<Statement>>,
    at: u64,
}

impl Paper {
    pub fn new(label: &str) -> Paper {
        let genesis = Genesis { label: label.into(), version: 1, nonce: Hash::of(label.as_bytes()) };
        let (spanner, first) = act::found(&key(RECOVERY), genesis, Time(1));
        let mut admissions = Admissions::new(spanner);
        admissions.insert_statement(first);
        let (alice, bob, config) = (Hash::default(), Hash::default(), BTreeMap::new());
        let mut paper = Paper { spanner, alice, bob, admissions, config, at: 1 };
        let all = Right::ALL.into_iter().map(Grant::everywhere).collect();
        paper.alice = paper.admit(ALICE, "alice", all, RECOVERY, spanner.0);
        let publish = vec![Grant::everywhere(Right::ConfigPublish)];
        paper.bob = paper.admit(BOB, "bob", publish, ALICE, paper.alice);
        paper
    }

    pub fn anchor(&self) -> Anchor {
        Anchor { spanner: self.spanner, node: key(NODE).public(), name: web01(), depth: 2 }
    }

    pub fn authority(&self) -> Authority {
        Authority::evaluate(&self.admissions)
    }

    pub fn say(&mut self, act: &Act, by: u8, under: Hash) -> Statement {
        self.at += 1;
        let statement = self.authority().draft(act, under, Time(self.at)).sign(&key(by), &self.spanner);
        self.admissions.insert_statement(statement.clone());
        statement
    }

    pub fn admit(&mut self, who: u8, name: &str, grants: Vec<Grant>, by: u8, under: Hash) -> Hash {
        let name = name.parse().expect("a hostname");
        self.say(&Act::Admit(Admit { key: key(who).public(), name, grants }), by, under).id()
    }

    /// Revokes a key, as whoever has seen these publishes.
    pub fn revoke(&mut self, whom: PublicKey, seen: Vec<Hash>, by: u8, under: Hash) -> Statement {
        let seen = vec![Seen { space: Space::config(), heads: seen }];
        let revoke = Revoke { keys: vec![whom], seen, upto: Vec::new(), reason: "gone bad".into() };
        self.say(&Act::Revoke(revoke), by, under)
    }

    pub fn view(&self) -> ConfigView {
        publishes(&self.authority(), &self.config)
    }

    /// Publishes what writes `text` into `/etc/canary` of web01, on all tips.
    pub fn publish(&mut self, text: &str, by: u8, under: Hash) -> Published {
        let (tips, epoch) = {
            let view = self.view();
            (view.tips().to_vec(), view.next_epoch())
        };
        self.publish_at(epoch, tips, text, by, under)
    }

    pub fn publish_at(
        &mut self,
        epoch: u64,
        parents: Vec<Hash>,
        text: &str,
        by: u8,
        under: Hash,
    ) -> Published {
        let release = release(text, "web*");
        let statement = self.sign(epoch, parents, &release, by, under);
        let at = Epoch { epoch, id: statement.id() };
        self.config.insert(statement.id(), Arc::new(statement));
        with_blobs(at, &release)
    }

    /// A publish that is not put down.
    pub fn sign(
        &mut self,
        epoch: u64,
        parents: Vec<Hash>,
        release: &Release,
        by: u8,
        under: Hash,
    ) -> Statement {
        self.at += 1;
        let publish = Publish { epoch, routes: release.routes, source: release.source, note: String::new() };
        let draft = Draft {
            space: Space::config(),
            kind: PUBLISH,
            under,
            after: parents,
            at: Time(self.at),
            payload: publish.encode(),
        };
        draft.sign(&key(by), &self.spanner)
    }

    pub fn evidence(&self) -> Evidence {
        let authority = self.authority();
        Evidence::of(&authority, &publishes(&authority, &self.config), &self.config)
    }

    /// Everything there is, whether it counts or not, in no order that means anything.
    pub fn everything(&self) -> Vec<(Space, Vec<u8>)> {
        let said = self.admissions.statements().values();
        let said = said.map(|s| (Space::admissions(), s.statement.bytes().to_vec()));
        said.chain(self.config.values().map(|s| (Space::config(), s.bytes().to_vec()))).collect()
    }
}

/// The blobs of a publish as web01 is offered them.
pub fn with_blobs(at: Epoch, release: &Release) -> Published {
    let bytes = |blob: &BlobRef| {
        let found = release.blobs.iter().find(|(b, _)| b == blob);
        found.map(|(_, bytes)| bytes.clone()).unwrap_or_default()
    };
    let policy = release.table.policies.first().map(bytes).unwrap_or_default();
    Published { at, routes: bytes(&release.routes), policy }
}

/// What writes `text` into `/etc/canary` of the machines that `pattern` matches.
pub fn release(text: &str, pattern: &str) -> Release {
    let canary = format!(
        "name: canary\nresources:\n  - name: canary\n    type: file\n    target_path: /etc/canary\n    content: \"{text}\\n\"\n"
    );
    let envoys = format!("envoys:\n  - match: \"{pattern}\"\n    configcrates: [canary]\n");
    let files = [("configcrates/canary.vgo", canary.as_str()), ("envoys.vgo", envoys.as_str())];
    let tree = SourceTree::from_files(files).expect("a tree");
    let (compiled, diagnostics) = compile(&tree);
    Release::pack(&tree, &compiled.unwrap_or_else(|| panic!("it does not compile: {diagnostics:?}")))
}
