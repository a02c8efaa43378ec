//! The desk: who is let in, and every refusal with its words.

use vigo_base::time::hours;
use vigo_base::{Stamp, Time, codec};
use vigo_crdt::{Record, Space};
use vigo_spanner::enrol::self_invite;
use vigo_spanner::spend::SPEND;
use vigo_spanner::{
    Authority, Desk, EnrolRequest, Enrolment, ForkProof, Invite, Invitee, MemberState, NodeKind, Proof,
    Roster,
};

use crate::world::*;

const EXPORTER: &[u8] = b"the exporter of this connection";

struct At {
    f: Fleet,
    authority: Authority,
    roster: Roster,
    me: u8,
    now: u64,
}

impl At {
    fn new(mut f: Fleet, invites: Vec<Invite>) -> At {
        for invite in invites {
            f.invite(invite);
        }
        let authority = f.authority();
        At { roster: Roster::new(&authority), authority, f, me: BOLT, now: 5 }
    }

    fn desk(&self) -> Desk<'_> {
        Desk { authority: &self.authority, roster: &self.roster, me: public(self.me), now: Time(self.now) }
    }

    fn ask(&self, node: u8, name: &str, token: u8, kind: NodeKind) -> Result<Enrolment, String> {
        let name = name.parse().unwrap();
        let proof = Proof::sign(&key(token), &self.f.w.spanner, &public(node), &name, EXPORTER);
        let request = EnrolRequest { name, kind, proof };
        self.desk().enrol(&public(node), &request, EXPORTER).map_err(|why| why.to_string())
    }

    /// Asks, and writes the spend.
    fn join(&mut self, node: u8, name: &str, token: u8) {
        let Ok(Enrolment::Spend(spend, kind)) = self.ask(node, name, token, NodeKind::Envoy) else {
            panic!("{:?}", self.ask(node, name, token, NodeKind::Envoy))
        };
        assert_eq!(kind, NodeKind::Envoy);
        let payload = codec::encode(&spend);
        let seq = 1 + self.roster.members().count() as u64;
        let record =
            Record::sign(&key(self.me), &self.f.w.spanner, Space::envoys(), seq, SPEND, Stamp(0), payload)
                .unwrap();
        self.roster.insert(&self.authority, &record).unwrap();
        assert!(self.roster.get(&public(node)).is_some_and(|m| m.is_active()));
    }

    fn refused(&self, node: u8, name: &str, token: u8, kind: NodeKind, words: &str) {
        let found = self.ask(node, name, token, kind).unwrap_err();
        assert!(found.contains(words), "{found:?} should contain {words:?}");
    }
}

fn envoys(uses: u32) -> Invite {
    token_invite(61, NodeKind::Envoy, "web*", uses, &[BOLT])
}

#[test]
fn a_token_lets_a_machine_in_and_asking_again_is_harmless() {
    let mut at = At::new(Fleet::new(), vec![envoys(1)]);
    at.join(70, "web01", 61);
    let again = at.ask(70, "web01", 61, NodeKind::Envoy);
    assert!(matches!(again, Ok(Enrolment::Already(m)) if m.name.as_str() == "web01"));
    at.refused(71, "web02", 61, NodeKind::Envoy, "the token was spent: all 1 of its uses are gone");
}

#[test]
fn every_refusal_at_the_desk_says_why() {
    let other = token_invite(63, NodeKind::Envoy, "*", 1, &[51]);
    let bolt = token_invite(62, NodeKind::Bolt, "b2", 1, &[BOLT]);
    let wide = token_invite(64, NodeKind::Envoy, "*", 9, &[BOLT]);
    let mut at = At::new(Fleet::new(), vec![envoys(3), other, bolt, wide]);
    let (envoy, as_bolt) = (NodeKind::Envoy, NodeKind::Bolt);
    at.join(70, "web01", 61);
    at.refused(71, "web02", 99, envoy, "no invite here is for this token");
    at.refused(71, "db01", 61, envoy, "the name db01 does not fit the invite, which allows web*");
    at.refused(71, "web01", 61, envoy, "the name web01 belongs to the node");
    at.refused(71, "b1", 64, envoy, "the name b1 belongs to the node");
    at.refused(71, "web02", 61, as_bolt, "the token is for one envoy, and this machine asks to be a bolt");
    at.refused(71, "web02", 63, envoy, "this bolt may not spend the token; these may: ");
    at.refused(70, "web09", 64, envoy, "belongs to the fleet already, as web01");
    at.now = 1_000_000_000 + hours(3);
    at.refused(71, "web02", 61, envoy, "the token expired 3 hours ago");
    at.now = 5;
    at.me = 51;
    at.refused(71, "web02", 61, envoy, "no active bolt");
}

#[test]
fn a_relay_in_the_middle_is_noticed() {
    let at = At::new(Fleet::new(), vec![envoys(1)]);
    let name: vigo_base::Hostname = "web01".parse().unwrap();
    let proof = Proof::sign(&key(61), &at.f.w.spanner, &public(70), &name, EXPORTER);
    let request = EnrolRequest { name: name.clone(), kind: NodeKind::Envoy, proof };
    let desk = at.desk();
    let say = |r: &EnrolRequest, node, exporter: &[u8]| {
        desk.enrol(&public(node), r, exporter).unwrap_err().to_string()
    };
    assert!(say(&request, 70, b"another connection").contains("for another connection"));
    assert!(
        say(&request, 71, EXPORTER).contains("does not hold for this node and name"),
        "another node's key"
    );
    let renamed = EnrolRequest { name: "web02".parse().unwrap(), ..request };
    assert!(say(&renamed, 70, EXPORTER).contains("does not hold"), "another name");
}

#[test]
fn revoked_and_forked_keys_are_turned_away() {
    let mut f = Fleet::new();
    let wide = f.invite(envoys(9));
    let out = f.w.revoke(OP, f.op.id(), &[&wide], &[71]);
    f.add(&out);
    let record = |payload: &[u8]| {
        Record::sign(&key(72), &f.w.spanner, Space::status(), 4, 9, Stamp(0), payload.to_vec()).unwrap()
    };
    let fork = ForkProof::of(record(b"a"), record(b"b")).unwrap();
    f.admissions.insert_fork(fork);
    let mut at = At::new(f, vec![]);
    at.refused(71, "web01", 61, NodeKind::Envoy, "never returns: remove node.key");
    at.refused(72, "web01", 61, NodeKind::Envoy, "two records of this key have sequence 4 in status");
    at.join(73, "web03", 61);
    let back = at.f.w.revoke(OP, at.f.op.id(), &[&out], &[61]);
    at.f.add(&back);
    at.authority = at.f.authority();
    at.roster.rejudge(&at.authority);
    at.refused(74, "web04", 61, NodeKind::Envoy, "the invite was called back");
}

#[test]
fn whoever_asked_comes_in_when_an_operator_approves() {
    let mut at = At::new(Fleet::new(), vec![]);
    let name = "web01".parse().unwrap();
    let refused = at.desk().approved(&public(70), &name).unwrap_err().to_string();
    assert!(refused.contains("no operator approved"), "{refused}");
    let invite = Invite {
        invitee: Invitee::Node(public(70)),
        ..token_invite(0, NodeKind::Envoy, "web07", 1, &[BOLT])
    };
    at.f.invite(invite);
    at.authority = at.f.authority();
    let Ok(Enrolment::Spend(spend, _)) = at.desk().approved(&public(70), &name) else { panic!() };
    assert_eq!(spend.name.as_str(), "web07", "the operator's name for it");
    assert!(at.desk().approved(&public(71), &name).is_err(), "nobody else");
}

#[test]
fn a_fleet_that_lost_all_bolts_is_restored_by_an_operator() {
    let mut f = Fleet::new();
    let own = f.invite(self_invite(public(59), "b9".parse().unwrap(), Time(9)));
    let spend = f.w.spend(59, NodeKind::Bolt, &own, 59, "b9", None);
    f.admissions.insert(&spend).unwrap();
    let thief = f.w.spend(58, NodeKind::Bolt, &own, 58, "b9", None);
    f.admissions.insert(&thief).unwrap();
    let authority = f.authority();
    assert!(authority.bolt(&public(59)).unwrap().is_active_bolt());
    assert!(authority.bolt(&public(58)).is_none(), "it names one key");
    let out = f.w.revoke(OP, f.op.id(), &[&own], &[BOLT]);
    f.add(&out);
    let after = f.authority();
    assert!(matches!(after.bolt(&public(BOLT)).unwrap().state, MemberState::Revoked { .. }));
    assert!(after.bolt(&public(59)).unwrap().is_active_bolt());
    assert!(f.founding.id() != own.id());
}
