//! One founded fleet, made once: the keys, papers and records that hostile bytes are dressed up with.
//!
//! Everything follows from fixed seeds, so that an input means the same on every machine and in every run.

use std::sync::LazyLock;

use vigo_base::{Hash, Hostname, PublicKey, SecretKey, SpannerId, Time, time};
use vigo_node::sign::Wanted;
use vigo_node::{Founding, Input, found};
use vigo_spanner::{Admissions, Authority, Grant, NameRule, NodeKind, Right};
use vigo_swarm::frame::{AskToJoin, Frame, JoinAnswer};
use vigo_swarm::outline::BlobRef;

use crate::host::{Disk, Host};

/// When the fleet was founded.
pub const BEGINNING: Time = Time(1_800_000_000_000_000);

/// Who is admitted, besides the node itself.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its key, which the attacker has.
    pub key: SecretKey,
    /// Its papers.
    pub papers: Vec<u8>,
}

/// The fleet.
#[derive(Debug)]
pub struct World {
    /// Its id.
    pub spanner: SpannerId,
    /// What the node under attack has on its disk.
    pub disk: Disk,
    /// The time when it was made.
    pub now: Time,
    /// Two bolts and an envoy gone bad, and one that was revoked.
    pub peers: Vec<Peer>,
    /// Operators gone bad, with the admits they act under: one with all rights, one with few.
    pub operators: Vec<(SecretKey, Hash)>,
    /// The ids of all its records and statements.
    pub ids: Vec<Hash>,
    /// All its keys.
    pub keys: Vec<PublicKey>,
    /// Its admissions, evaluated.
    pub authority: Authority,
    /// A blob that is published.
    pub blob: BlobRef,
}

/// The key with this number.
pub fn key(n: u8) -> SecretKey {
    SecretKey::from_seed([n; 32])
}

/// The node under attack.
pub const BOLT: u8 = 1;
const RECOVERY: u8 = 2;
/// The operator who founded the fleet.
pub const OPERATOR: u8 = 3;
/// The seed of an open invite.
pub const INVITE: u8 = 9;

fn name(text: &str) -> Hostname {
    text.parse().expect("a name")
}

fn admit(host: &mut Host, who: &SecretKey, text: &str, kind: NodeKind) -> Vec<u8> {
    let signed = host.signer(&key(OPERATOR)).approve(who.public(), name(text), kind).expect("it signs");
    host.submit(&signed);
    let conn = host.connect(who.public());
    let ask = AskToJoin { spanner: None, name: name(text), bolt: kind == NodeKind::Bolt };
    host.frame(conn, &Frame::AskToJoin(ask));
    let papers = host.heard(conn).into_iter().find_map(|frame| match frame {
        Frame::JoinAnswer(JoinAnswer::Admitted(_, papers)) => Some(papers.to_vec()),
        _ => None,
    });
    host.input(Input::PeerDown { conn, why: "joined".into() });
    papers.expect("admitted")
}

fn founded() -> (SpannerId, Host) {
    let founded = found(Founding {
        node: &key(BOLT),
        name: name("bolt1"),
        fleet: "hostile".into(),
        recovery: &key(RECOVERY),
        operator: &key(OPERATOR),
        operator_name: name("alice"),
        nonce: Hash::of(b"nonce"),
        now: BEGINNING,
    })
    .expect("it founds");
    let records = founded.records.iter().map(|r| (Hash::of(r), r.clone())).collect();
    let disk = Disk { records, meta: founded.meta.into_iter().collect() };
    (founded.spanner, Host::boot(key(BOLT), disk, BEGINNING.after(time::secs(1))))
}

fn make() -> World {
    let (spanner, mut host) = founded();
    let kinds =
        [(40, "bolt2", NodeKind::Bolt), (41, "bolt3", NodeKind::Bolt), (50, "web01", NodeKind::Envoy)];
    let mut peers: Vec<Peer> = kinds
        .into_iter()
        .map(|(n, text, kind)| Peer { key: key(n), papers: admit(&mut host, &key(n), text, kind) })
        .collect();
    let gone = Peer { key: key(51), papers: admit(&mut host, &key(51), "web02", NodeKind::Envoy) };
    let revoke = host.signer(&key(OPERATOR)).revoke(&[gone.key.public()], "stolen").expect("it signs");
    host.submit(&revoke);
    peers.push(gone);
    let all: Vec<Grant> = Right::ALL.into_iter().map(Grant::everywhere).collect();
    let few = vec![Grant::everywhere(Right::Settings)];
    let mut operators = Vec::new();
    for (n, grants) in [(60, all), (61, few)] {
        let signed = host.signer(&key(OPERATOR)).admit(key(n).public(), name(&format!("op{n}")), grants);
        operators.push((key(n), host.submit(&signed.expect("it signs"))));
    }
    let wanted = Wanted {
        kind: NodeKind::Envoy,
        name: NameRule::Pattern("*".parse().expect("a pattern")),
        uses: 10,
        expires: time::hours(1),
        seed: [INVITE; 32].into(),
    };
    let (signed, _) = host.signer(&key(OPERATOR)).invite(wanted).expect("it signs");
    let invite = host.submit(&signed);
    let blob = BlobRef::of(b"routes");
    host.input(Input::BlobStored { blob });
    let publish = host.signer(&key(OPERATOR)).publish(blob, blob, "first").expect("it signs");
    let publish = host.submit(&publish);
    host.elapse(time::secs(5));
    let mut admissions = Admissions::new(spanner);
    for bytes in host.disk.records.values() {
        let record = vigo_crdt::Unverified::decode(bytes).and_then(|u| u.verify(&spanner)).expect("its own");
        let _ = admissions.insert(&record);
    }
    let mut ids = vec![spanner.0, invite, publish];
    ids.extend(operators.iter().map(|(_, id)| *id));
    ids.extend(admissions.statements().keys().chain(admissions.spends().keys()));
    let mut keys: Vec<PublicKey> = [BOLT, RECOVERY, OPERATOR, INVITE].map(|n| key(n).public()).to_vec();
    keys.extend(peers.iter().map(|p| p.key.public()));
    keys.extend(operators.iter().map(|(k, _)| k.public()));
    let authority = Authority::evaluate(&admissions);
    let (disk, now) = (host.disk.clone(), host.now);
    World { spanner, disk, now, peers, operators, ids, keys, authority, blob }
}

static WORLD: LazyLock<World> = LazyLock::new(make);

/// The fleet.
pub fn world() -> &'static World {
    &WORLD
}

impl World {
    /// The node under attack, booted.
    pub fn node(&self) -> Host {
        Host::boot(key(BOLT), self.disk.clone(), self.now)
    }
}
