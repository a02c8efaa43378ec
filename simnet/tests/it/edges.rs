//! The last one, one too many, one from below, and after a restart: where a rule that is nearly right shows.

use std::collections::BTreeMap;

use serde_json::Value;
use vigo_base::time::{mins, secs};
use vigo_base::{Hash, SecretKey, Time};
use vigo_node::crdt::{Space, Statement};
use vigo_node::spanner::act::{Admit, Keep, Revoke};
use vigo_node::spanner::{Act, Grant, NodeKind, Right};
use vigo_node::{Command, Event, Reply};
use vigo_simnet::{Fleet, Ix};

use crate::stories::{all_run, fleet, publish, twice};

/// Settings that are changed while somebody is away: more records than one frame takes.
const CHANGES: u64 = 160;

pub(crate) fn runs(fleet: &mut Fleet, at: Ix, name: &str) -> (u64, u64) {
    match fleet.call(at, Command::Envoy { name: name.into() }) {
        Ok(Reply::Envoy(envoy)) => envoy.run.map_or((0, 0), |run| (run.epoch, run.number)),
        other => panic!("{other:?}"),
    }
}

#[test]
pub(crate) fn runs_are_counted_on_after_a_restart() {
    twice(60, |seed| {
        let (mut fleet, all) = fleet(seed, 1, 2);
        let at = publish(&mut fleet, 0, "hello");
        fleet.until(secs(30), |f| all_run(f, &all, at)).expect("everyone converges");
        fleet.elapse(mins(12));
        let (_, before) = runs(&mut fleet, 0, "web01");
        assert!(before >= 2, "{before} runs in twelve minutes");
        fleet.kill(all[1]);
        fleet.elapse(secs(20));
        fleet.start(all[1]);
        fleet.elapse(secs(30));
        let (epoch, after) = runs(&mut fleet, 0, "web01");
        assert!(after > before, "run {after} comes after run {before}");
        assert_eq!(epoch, at.epoch);
        fleet
    });
}

#[test]
pub(crate) fn a_node_that_was_away_takes_more_than_a_frame_of_records() {
    twice(61, |seed| {
        let mut fleet = Fleet::new(seed);
        fleet.found("bolt1");
        let token = fleet.invite(0, "nat1", NodeKind::Envoy);
        // It only dials, so it is the one that compares and asks.
        let away = fleet.add("nat1");
        fleet.only_dials(away);
        fleet.enrol(away, token, "nat1");
        fleet.until(secs(30), |f| f.has_joined(away)).expect("joins");
        fleet.restart_joined(away);
        fleet.elapse(secs(10));
        fleet.kill(away);
        fleet.elapse(secs(40));
        let alice = fleet.operator.clone();
        for n in 0..CHANGES {
            let signed = fleet.signer(0, &alice).set("converge.splay", Some(&Value::from(n % 60)));
            fleet.submit(0, &signed.expect("signed")).expect("set");
        }
        fleet.start(away);
        let equal = |f: &mut Fleet| {
            [Space::settings(), Space::admissions()]
                .iter()
                .all(|space| f.machine(0).digest(space) == f.machine(away).digest(space))
        };
        let caught_up = fleet.until_every(secs(1), mins(2), equal);
        assert!(caught_up.is_some(), "it does not catch up\n{}", fleet.report());
        for ix in [0, away] {
            let blamed = |event: &Event| matches!(event, Event::Misbehaved { .. });
            assert!(!fleet.machine(ix).events.iter().any(|(_, event)| blamed(event)), "{ix} blames somebody");
        }
        fleet
    });
}

#[test]
pub(crate) fn whom_a_bolt_let_in_last_outlives_it() {
    twice(62, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 1);
        let let_in = ["web08", "web09"].map(|name| {
            let token = fleet.invite(1, name, NodeKind::Envoy);
            let ix = fleet.add(name);
            // Nobody else lets it in.
            fleet.cut(ix, 0);
            fleet.enrol(ix, token, name);
            fleet.until(secs(30), |f| f.has_joined(ix)).expect("joins");
            fleet.restart_joined(ix);
            ix
        });
        fleet.heal();
        fleet.elapse(mins(2));
        let bolt = fleet.key(1);
        fleet.revoke(0, bolt);
        fleet.elapse(secs(10));
        let stays: Vec<Ix> = [0, all[2]].into_iter().chain(let_in).collect();
        let at = publish(&mut fleet, 0, "without it");
        let all_do = fleet.until(secs(60), |f| all_run(f, &stays, at));
        assert!(all_do.is_some(), "{:?}\n{}", fleet.members(0), fleet.report());
        let rows = fleet.members(0);
        assert_eq!(rows.iter().filter(|m| m.kind == "envoy" && m.state == "active").count(), 3, "{rows:?}");
        fleet
    });
}

/// Operators that say things without having heard of each other.
struct Said<'f> {
    fleet: &'f mut Fleet,
    after: Vec<Hash>,
}

impl Said<'_> {
    fn of(&mut self, signer: &SecretKey, under: Hash, act: &Act) -> Statement {
        let spanner = self.fleet.status(0).spanner.expect("a fleet");
        act.draft(under, self.after.clone(), Time(1)).sign(signer, &spanner)
    }

    fn submit(&mut self, statement: &Statement) {
        let hex = statement.bytes().iter().map(|b| format!("{b:02x}")).collect();
        let filed = self.fleet.call(0, Command::Submit { space: "admissions".into(), statement: hex });
        assert!(filed.is_ok(), "{filed:?}");
    }
}

fn admit(key: &SecretKey, name: &str) -> Act {
    let grants = Right::ALL.into_iter().map(Grant::everywhere).collect();
    Act::Admit(Admit { key: key.public(), name: name.parse().expect("a name"), grants })
}

#[test]
pub(crate) fn a_keep_saves_from_revokes_of_its_own_depth_and_below_alone() {
    twice(63, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 1);
        let [carol, dave, mallory, trudy, walter] =
            [70, 71, 72, 73, 74].map(|n| SecretKey::from_seed([n; 32]));
        let alice = fleet.operator.clone();
        let context = fleet.signer(0, &alice).context().clone();
        let (root, after) = (context.under, context.tips[0].1.clone());
        let mut said = Said { fleet: &mut fleet, after };
        let to_carol = said.of(&alice, root, &admit(&carol, "carol"));
        let to_dave = said.of(&alice, root, &admit(&dave, "dave"));
        let to_mallory = said.of(&carol, to_carol.id(), &admit(&mallory, "mallory"));
        [&to_carol, &to_dave, &to_mallory].into_iter().for_each(|s| said.submit(s));
        said.after = vec![to_dave.id(), to_mallory.id()];
        let to_trudy = said.of(&mallory, to_mallory.id(), &admit(&trudy, "trudy"));
        let to_walter = said.of(&mallory, to_mallory.id(), &admit(&walter, "walter"));
        let keys = vec![mallory.public()];
        let revoke = said.of(&alice, root, &Act::Revoke(Revoke { keys, ..Revoke::default() }));
        let below = said.of(&dave, to_dave.id(), &Act::Keep(Keep { statements: vec![to_trudy.id()] }));
        let beside = said.of(&alice, root, &Act::Keep(Keep { statements: vec![to_walter.id()] }));
        [&to_trudy, &to_walter, &revoke, &below, &beside].into_iter().for_each(|s| said.submit(s));
        fleet.elapse(secs(10));
        for ix in all {
            let rows = fleet.members(ix).into_iter();
            let states: BTreeMap<String, String> = rows.map(|m| (m.name, m.state)).collect();
            let of = |name: &str| states.get(name).map(String::as_str);
            assert_eq!((of("carol"), of("dave")), (Some("active"), Some("active")), "{ix}");
            assert_eq!(
                (of("mallory"), of("walter")),
                (Some("revoked"), Some("active")),
                "{ix}: as alice said"
            );
            assert_ne!(of("trudy"), Some("active"), "{ix}: dave stands below alice");
        }
        fleet
    });
}
