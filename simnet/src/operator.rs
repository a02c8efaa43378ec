//! What people do in a story: found a fleet, invite, publish, revoke.
//!
//! Each verb goes the way a person would: through a node's local API, with a statement signed by the operator's
//! key. A verb that must succeed panics with the node's own words when it does not.

use vigo_base::time::{hours, secs};
use vigo_base::{Hash, PublicKey, SecretKey};
use vigo_node::content_types::config::Epoch;
use vigo_node::release::Release;
use vigo_node::sign::{Signed, Signer, Wanted};
use vigo_node::spanner::{Grant, NameRule, NodeKind, Token};
use vigo_node::stacks::{SourceTree, compile};
use vigo_node::{Command, Event, Founding, Input, Join, Refusal, Reply, Restoring, found, restore};

use crate::machine::Power;
use crate::net::Net;
use crate::{Fleet, Ix};

/// A tree of one configcrate that writes a file, for every machine.
const MOTD: &str = "name: motd\nresources:\n  - name: motd\n    type: file\n    target_path: /etc/motd\n    content: \"TEXT\\n\"\n";
const ENVOYS: &str = "envoys:\n  - match: \"*\"\n    configcrates: [motd]\n";

/// A publish that was handed to a node.
#[derive(Debug, Clone)]
pub struct Published {
    /// Its place.
    pub at: Epoch,
    /// What it is based on.
    pub after: Vec<Hash>,
    /// Whether the node said that it is durable.
    pub acked: bool,
}

impl Fleet {
    /// Founds the fleet on a new machine and starts it: the first bolt.
    pub fn found(&mut self, name: &str) -> Ix {
        let ix = self.found_disk(name);
        self.start(ix);
        ix
    }

    /// Founds the fleet on a new machine, which stays off.
    pub(crate) fn found_disk(&mut self, name: &str) -> Ix {
        let ix = self.add(name);
        let nonce = Hash(self.dice.bytes());
        let (key, now) = (self.machines[ix].key.clone(), self.now());
        let founded = found(Founding {
            node: &key,
            name: parse(name),
            fleet: "sim".into(),
            recovery: &self.recovery,
            operator: &self.operator,
            operator_name: parse("alice"),
            nonce,
            now,
        });
        let founded = founded.unwrap_or_else(|e| panic!("founding: {e}"));
        let disk = &mut self.machines[ix].disk;
        for bytes in founded.records {
            disk.records.insert(Hash::of(&bytes), bytes);
        }
        disk.meta.extend(founded.meta);
        ix
    }

    /// Invites a machine at `at`, lets it join as its own name, and starts it.
    pub fn join(&mut self, at: Ix, name: &str, kind: NodeKind) -> Ix {
        self.join_as(at, name, kind, false)
    }

    /// As [`Fleet::join`], for a machine that only dials out if `dials`.
    pub fn join_as(&mut self, at: Ix, name: &str, kind: NodeKind, dials: bool) -> Ix {
        let token = self.invite(at, name, kind);
        let ix = self.add(name);
        if dials {
            self.only_dials(ix);
        }
        self.enrol(ix, token, name);
        if self.until(secs(30), |f| f.has_joined(ix)).is_none() {
            panic!("{name} does not join\n{}", self.report());
        }
        self.restart_joined(ix);
        ix
    }

    /// Ends the process that joined and starts the one that takes part.
    pub fn restart_joined(&mut self, ix: Ix) {
        self.kill(ix);
        self.machines[ix].join = None;
        self.meter.joined(self.world.now(), ix);
        self.start(ix);
    }

    /// A machine with the same key and disk as another: a stolen image. Switched off.
    pub fn clone_machine(&mut self, of: Ix) -> Ix {
        let name = format!("{} (copy)", self.machines[of].name);
        let ix = self.add(&name);
        self.machines[ix].key = self.machines[of].key.clone();
        self.machines[ix].disk = self.machines[of].disk.clone();
        ix
    }

    /// The members as a node lists them.
    pub fn members(&mut self, at: Ix) -> Vec<vigo_node::command::MemberRow> {
        match self.call(at, Command::Members) {
            Ok(Reply::Members(rows)) => rows,
            other => panic!("members: {other:?}"),
        }
    }

    /// Switches a machine on with a token to join with.
    pub fn enrol(&mut self, ix: Ix, token: Token, name: &str) {
        self.machines[ix].join = Some(Join::Token { token, name: parse(name) });
        self.start(ix);
    }

    /// Whether a machine has been given papers.
    pub fn has_joined(&self, ix: Ix) -> bool {
        self.machines[ix].disk.meta.contains_key(vigo_node::boot::meta::PAPERS)
    }

    /// A token for a machine of this name.
    pub fn invite(&mut self, at: Ix, name: &str, kind: NodeKind) -> Token {
        let seed = self.dice.bytes().into();
        let signer = self.signer(at, &self.operator.clone());
        let wanted = Wanted { kind, name: NameRule::Exact(parse(name)), uses: 1, expires: hours(1), seed };
        let (signed, token) = signer.invite(wanted).unwrap_or_else(|e| panic!("invite: {e}"));
        self.submit(at, &signed).unwrap_or_else(|e| panic!("invite: {e}"));
        token
    }

    /// A signer for a key, with what a node says it must know.
    pub fn signer(&mut self, at: Ix, key: &SecretKey) -> Signer {
        match self.call(at, Command::Context { key: key.public() }) {
            Ok(Reply::Context(context)) => Signer::new(key.clone(), *context),
            other => panic!("context: {other:?}"),
        }
    }

    /// Hands a signed statement to a node.
    ///
    /// # Errors
    /// The node's refusal.
    pub fn submit(&mut self, at: Ix, signed: &Signed) -> Result<Hash, Refusal> {
        match self.call(at, signed.command())? {
            Reply::Submitted { id } => Ok(id),
            other => panic!("submit: {other:?}"),
        }
    }

    /// Publishes a tree through a node, as the operator.
    pub fn publish(&mut self, at: Ix, files: &[(&str, &str)]) -> Epoch {
        let operator = self.operator.clone();
        self.publish_as(at, &operator, files).unwrap_or_else(|e| panic!("publish: {e}"))
    }

    /// Publishes a tree through a node with any key.
    ///
    /// # Errors
    /// The node's refusal.
    pub fn publish_as(&mut self, at: Ix, key: &SecretKey, files: &[(&str, &str)]) -> Result<Epoch, Refusal> {
        let signer = self.signer(at, key);
        let release = self.store(at, files);
        let signed =
            signer.publish(release.routes, release.source, "").unwrap_or_else(|e| panic!("publish: {e}"));
        let epoch = signer.context().next_epoch;
        self.submit(at, &signed).map(|id| Epoch { epoch, id })
    }

    /// Compiles a tree and puts its blobs on a node's disk.
    pub fn store(&mut self, at: Ix, files: &[(&str, &str)]) -> Release {
        let tree = SourceTree::from_files(files.iter().copied()).unwrap_or_else(|e| panic!("tree: {e}"));
        let (compiled, diagnostics) = compile(&tree);
        let compiled = compiled.unwrap_or_else(|| panic!("the tree does not compile: {diagnostics:?}"));
        let release = Release::pack(&tree, &compiled);
        for (blob, bytes) in &release.blobs {
            self.machines[at].disk.blobs.insert(blob.hash, (*blob, bytes.clone().into()));
            self.input(at, Input::BlobStored { blob: *blob });
        }
        release
    }

    /// Revokes a key through a node, as the operator.
    pub fn revoke(&mut self, at: Ix, key: PublicKey) {
        let signer = self.signer(at, &self.operator.clone());
        let signed = signer.revoke(&[key], "lost").unwrap_or_else(|e| panic!("revoke: {e}"));
        self.submit(at, &signed).unwrap_or_else(|e| panic!("revoke: {e}"));
    }

    /// A signer for a key, if the node can be asked and knows the key for an operator's.
    pub fn try_signer(&mut self, at: Ix, key: &SecretKey) -> Option<Signer> {
        match self.try_call(at, Command::Context { key: key.public() }) {
            Some(Ok(Reply::Context(context))) => Some(Signer::new(key.clone(), *context)),
            _ => None,
        }
    }

    /// Hands a signed statement to a node that may fail: whether it said that it is durable; none if it was
    /// refused.
    pub fn try_submit(&mut self, at: Ix, signed: &Signed) -> Option<bool> {
        match self.try_call(at, signed.command()) {
            None => Some(false),
            Some(Ok(_)) => Some(true),
            Some(Err(_)) => {
                self.reach("submission refused");
                None
            }
        }
    }

    /// Makes another operator; its admit.
    pub fn admit_operator(&mut self, at: Ix, key: PublicKey, name: &str, grants: Vec<Grant>) -> Option<Hash> {
        let operator = self.operator.clone();
        let signed = self.try_signer(at, &operator)?.admit(key, parse(name), grants).ok()?;
        (self.try_submit(at, &signed)?).then_some(signed.id)
    }

    /// A token for one machine of this name, from a node that may fail.
    pub fn try_invite(&mut self, at: Ix, name: &str, kind: NodeKind) -> Option<Token> {
        let seed = self.dice.bytes().into();
        let operator = self.operator.clone();
        let wanted = Wanted { kind, name: NameRule::Exact(parse(name)), uses: 1, expires: hours(1), seed };
        let (signed, token) = self.try_signer(at, &operator)?.invite(wanted).ok()?;
        self.try_submit(at, &signed)?.then_some(token)
    }

    /// Publishes a tree that makes every machine show `text`, through a node that may fail; none if it was
    /// refused.
    pub fn try_publish(&mut self, at: Ix, key: &SecretKey, text: &str) -> Option<Published> {
        let motd = MOTD.replace("TEXT", text);
        let signer = self.try_signer(at, key)?;
        let release = self.store(at, &[("configcrates/motd.vgo", &motd), ("envoys.vgo", ENVOYS)]);
        let signed = signer.publish(release.routes, release.source, "").ok()?;
        let epoch = signer.context().next_epoch;
        let tips = signer.context().tips.iter().find(|(space, _)| space == "config");
        let after = tips.map(|(_, heads)| heads.clone()).unwrap_or_default();
        let acked = self.try_submit(at, &signed)?;
        Some(Published { at: Epoch { epoch, id: signed.id }, after, acked })
    }

    /// Whether a machine was told that it cannot join.
    pub fn join_refused(&self, ix: Ix) -> bool {
        matches!(self.machines[ix].events.last(), Some((_, Event::JoinRefused { .. })))
    }

    /// The secret key of a machine: for whoever plays it by hand.
    pub fn secret(&self, ix: Ix) -> SecretKey {
        self.machines[ix].key.clone()
    }

    /// Where a machine listens.
    pub fn address(&self, ix: Ix) -> String {
        Net::address(ix)
    }

    /// The public key of a machine.
    pub fn key(&self, ix: Ix) -> PublicKey {
        self.machines[ix].key.public()
    }

    /// A machine's own status.
    pub fn status(&mut self, ix: Ix) -> vigo_node::command::Status {
        match self.call(ix, Command::Status) {
            Ok(Reply::Status(status)) => *status,
            other => panic!("status: {other:?}"),
        }
    }

    /// Whether a machine has run this publish (and says so itself).
    pub fn has_run(&self, ix: Ix, at: Epoch) -> bool {
        self.machines[ix].power() == Power::On && self.machines[ix].epochs_run.last() == Some(&at.epoch)
    }

    /// The text of a file on a machine.
    pub fn file(&self, ix: Ix, path: &str) -> Option<String> {
        self.machines[ix].host.content(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

pub(crate) fn parse<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap_or_else(|e| panic!("{text:?}: {e:?}"))
}

impl Fleet {
    /// Brings a fleet back from what a member holds: a new bolt, by the operator's key, that finds the member's peers.
    pub fn restore(&mut self, from: Ix, name: &str) -> Ix {
        let Ok(Reply::Authority { spanner, records }) = self.call(from, Command::Authority) else {
            panic!("a member exports the authority");
        };
        let ix = self.add(name);
        let (key, operator, now) = (self.machines[ix].key.clone(), self.operator.clone(), self.now());
        let authority = records.iter().map(|hex| unhex(hex)).collect();
        let restoring = Restoring {
            spanner,
            authority,
            node: &key,
            name: parse(name),
            signer: &operator,
            operator: None,
            now,
        };
        let founded = restore(restoring).unwrap_or_else(|e| panic!("restoring: {e}"));
        let disk = &mut self.machines[ix].disk;
        for bytes in founded.records {
            disk.records.insert(Hash::of(&bytes), bytes);
        }
        disk.meta.extend(founded.meta);
        self.machines[ix].peers = vec![self.address(from)];
        self.start(ix);
        ix
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |i: usize| u8::from_str_radix(&text[i..i + 2], 16).unwrap_or_else(|e| panic!("{e}"));
    (0..text.len()).step_by(2).map(byte).collect()
}
