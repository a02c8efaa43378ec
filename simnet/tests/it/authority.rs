//! Who may what, in whole fleets: statements that come to different nodes in every order (R11), operators added and
//! revoked, names and invites that two partitions both gave away, a bolt as good as the first.

use vigo_base::time::{hours, millis, mins, secs};
use vigo_base::{Clock, Hash, SecretKey, Time};
use vigo_node::crdt::{Record, Space, Statement};
use vigo_node::sign::Wanted;
use vigo_node::spanner::act::{Admit, Keep, Revoke};
use vigo_node::spanner::spend::STATEMENT;
use vigo_node::spanner::{Act, Grant, NameRule, NodeKind, Right};
use vigo_node::swarm::frame::{Bytes, Frame};
use vigo_node::{Command, Join, Reply};
use vigo_simnet::{Fleet, Ix};

use crate::stories::{all_run, fleet, publish, twice};

fn everything() -> Vec<Grant> {
    Right::ALL.into_iter().map(Grant::everywhere).collect()
}

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed([n; 32])
}

/// An operator or a bolt as listed: name, state, depth, rights.
type Row = (String, String, usize, Vec<String>);

/// A fleet with operators of depths 1 to 3, and six statements made without knowing of each other.
struct Orders {
    fleet: Fleet,
    all: Vec<Ix>,
    six: Vec<Statement>,
}

struct Speaker<'f> {
    fleet: &'f mut Fleet,
    after: Vec<Hash>,
}

impl Speaker<'_> {
    fn say(&mut self, signer: &SecretKey, under: Hash, act: &Act) -> Statement {
        let spanner = self.fleet.status(0).spanner.expect("a fleet");
        act.draft(under, self.after.clone(), Time(1)).sign(signer, &spanner)
    }

    fn admit(&mut self, signer: &SecretKey, under: Hash, who: u8) -> Statement {
        let name = format!("op{who}").parse().expect("a name");
        self.say(signer, under, &Act::Admit(Admit { key: key(who).public(), name, grants: everything() }))
    }

    fn revoke(&mut self, signer: &SecretKey, under: Hash, whom: &SecretKey) -> Statement {
        let keys = vec![whom.public()];
        self.say(signer, under, &Act::Revoke(Revoke { keys, ..Revoke::default() }))
    }
}

/// Hands a statement to a node as a record that a member (played by hand) carries.
fn carry(fleet: &mut Fleet, puppet: &Puppet, to: usize, statement: &Statement, seq: u64) {
    let spanner = fleet.status(0).spanner.expect("a fleet");
    let stamp = Clock::default().tick(Time(1_767_225_600_000_000));
    let payload = statement.bytes().to_vec();
    let record = Record::sign(&puppet.key, &spanner, Space::admissions(), seq, STATEMENT, stamp, payload);
    let bytes = Bytes::from(record.expect("a record").bytes().to_vec());
    let frame = Frame::Push(vec![bytes]).encode();
    assert!(fleet.send_by_hand(puppet.ix, puppet.conns[to], &frame), "the carrier was cut off");
}

struct Puppet {
    ix: Ix,
    key: SecretKey,
    conns: Vec<vigo_node::swarm::ids::ConnId>,
}

impl Orders {
    /// Three nodes and a member that carries; operators bob (1, beside alice), carol and dave (2), erin (3).
    fn base(seed: u64) -> (Fleet, Vec<Ix>, [Hash; 5]) {
        let (mut fleet, all) = fleet(seed, 2, 2);
        let recovery = fleet.recovery.clone();
        let alice = fleet.operator.clone();
        let genesis = fleet.status(0).spanner.expect("a fleet").0;
        let mut admits = [genesis; 5];
        admits[0] = fleet.signer(0, &alice).context().under;
        for (n, (signer, under)) in
            [(recovery, 4), (alice, 0), (key(1), 1), (key(2), 2)].into_iter().enumerate()
        {
            // admits: 0 alice, 1 bob, 2 carol (of alice), 3 dave (of bob), 4 erin (of carol)
            let under = if under == 4 { genesis } else { admits[under] };
            let after = fleet.signer(0, &signer).context().tips[0].1.clone();
            let admit = Speaker { fleet: &mut fleet, after }.admit(&signer, under, n as u8 + 1);
            let hex = admit.bytes().iter().map(|b| format!("{b:02x}")).collect();
            fleet.call(0, Command::Submit { space: "admissions".into(), statement: hex }).expect("admitted");
            admits[n + 1] = admit.id();
        }
        fleet.elapse(secs(5));
        (fleet, all, admits)
    }

    /// Rings: equals revoke each other, two that stand above each other revoke each other, one is revoked from
    /// another branch while it makes an operator.
    fn rings(seed: u64) -> Orders {
        let (mut fleet, all, [alice_id, bob_id, carol_id, dave_id, erin_id]) = Orders::base(seed);
        let (alice, bob, carol, dave, erin) = (fleet.operator.clone(), key(1), key(2), key(3), key(4));
        let after = fleet.signer(0, &alice).context().tips[0].1.clone();
        let mut say = Speaker { fleet: &mut fleet, after };
        let six = vec![
            say.revoke(&alice, alice_id, &bob),
            say.revoke(&bob, bob_id, &alice),
            say.revoke(&carol, carol_id, &erin),
            say.revoke(&erin, erin_id, &carol),
            say.revoke(&alice, alice_id, &dave),
            say.admit(&dave, dave_id, 9),
        ];
        Orders { fleet, all, six }
    }

    /// A stolen key: what the thief admits, what those admit, a key that comes back, and what is kept.
    fn thief(seed: u64) -> Orders {
        let (mut fleet, all, [alice_id, bob_id, carol_id, ..]) = Orders::base(seed);
        let (alice, bob, carol) = (fleet.operator.clone(), key(1), key(2));
        let after = fleet.signer(0, &alice).context().tips[0].1.clone();
        let mut say = Speaker { fleet: &mut fleet, after };
        let revoke = say.revoke(&alice, alice_id, &carol);
        let mallory = say.admit(&carol, carol_id, 20);
        let trudy = say.admit(&key(20), mallory.id(), 21);
        let walter = say.admit(&carol, carol_id, 22);
        let keep = say.say(&alice, alice_id, &Act::Keep(Keep { statements: vec![walter.id()] }));
        let again = say.admit(&bob, bob_id, 2);
        Orders { fleet, all, six: vec![revoke, mallory, trudy, walter, keep, again] }
    }

    /// Every order of the six, each statement handed to another node while they cannot hear each other; then
    /// they can. What all of them say in the end.
    fn in_all_orders(self) -> Vec<Row> {
        let Orders { mut fleet, all, six } = self;
        let (nodes, carrier) = (all[..3].to_vec(), all[3]);
        for ix in &all {
            fleet.kill(*ix);
        }
        let mut results = Vec::new();
        let mut orders = 0;
        permutations(&mut [0, 1, 2, 3, 4, 5], 0, &mut |order| {
            let mut fresh = fleet.copy_of_disks(orders);
            results.push(one_order(&mut fresh, &nodes, carrier, &six, order));
            orders += 1;
        });
        assert_eq!(orders, 720);
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "two orders gave two results");
        results.swap_remove(0)
    }
}

fn one_order(fleet: &mut Fleet, nodes: &[Ix], carrier: Ix, six: &[Statement], order: &[usize]) -> Vec<Row> {
    for (n, a) in nodes.iter().enumerate() {
        nodes[..n].iter().for_each(|b| fleet.cut(*a, *b));
    }
    nodes.iter().for_each(|ix| fleet.start(*ix));
    let puppet = fleet.play_by_hand(carrier, nodes);
    let puppet = Puppet { ix: carrier, key: fleet.secret(carrier), conns: puppet };
    for (n, which) in order.iter().enumerate() {
        carry(fleet, &puppet, n % nodes.len(), &six[*which], 100 + *which as u64);
        fleet.elapse(secs(1) / 50);
    }
    // Half of what was parked is asked for, the rest comes by reconciliation.
    fleet.heal();
    let space = Space::admissions();
    let ids: Vec<Hash> = six.iter().map(Statement::id).collect();
    let same = |f: &mut Fleet| {
        let digests: Vec<_> = nodes.iter().map(|ix| f.machine(*ix).digest(&space)).collect();
        let first = listed(f, nodes[0]);
        digests.windows(2).all(|d| d[0] == d[1]) && nodes.iter().all(|ix| listed(f, *ix) == first)
    };
    let settled = fleet.until_every(secs(1), mins(3), same);
    assert!(settled.is_some(), "order {order:?} of {ids:?}\n{}", fleet.report());
    listed(fleet, nodes[0])
}

fn listed(fleet: &mut Fleet, at: Ix) -> Vec<Row> {
    let rows = fleet.members(at).into_iter().filter(|m| m.kind != "envoy");
    rows.map(|m| (m.name, m.state, m.depth, m.rights)).collect()
}

fn permutations(items: &mut [usize; 6], from: usize, each: &mut impl FnMut(&[usize])) {
    if from == items.len() {
        return each(items);
    }
    for n in from..items.len() {
        items.swap(from, n);
        permutations(items, from + 1, each);
        items.swap(from, n);
    }
}

fn states(rows: &[Row]) -> Vec<(&str, &str)> {
    rows.iter().filter(|m| m.0.starts_with("op")).map(|m| (m.0.as_str(), m.1.as_str())).collect()
}

#[test]
pub(crate) fn rings_of_revokes_end_alike_on_all_nodes_in_all_orders() {
    let rows = Orders::rings(20).in_all_orders();
    let mut found = states(&rows);
    found.sort_unstable();
    // Equals do not reach each other; below they do; what dave did unseen falls with him.
    assert_eq!(found, [("op1", "active"), ("op2", "active"), ("op3", "revoked"), ("op4", "revoked")]);
}

#[test]
pub(crate) fn a_thief_ends_alike_on_all_nodes_in_all_orders() {
    let rows = Orders::thief(21).in_all_orders();
    let mut found = states(&rows);
    found.sort_unstable();
    assert!(found.contains(&("op22", "active")), "walter was kept: {found:?}");
    assert!(
        !found.iter().any(|(name, state)| ["op20", "op21"].contains(name) && *state == "active"),
        "{found:?}"
    );
    assert!(!found.contains(&("op2", "active")), "a revoked key never returns: {found:?}");
}

#[test]
pub(crate) fn a_revoked_operators_publishes_count_as_far_as_the_revoker_knew() {
    twice(22, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 4);
        let bob = key(50);
        fleet.admit_operator(0, bob.public(), "bob", everything()).expect("bob is an operator");
        fleet.elapse(secs(5));
        let seen = fleet.try_publish(all[2], &bob, "seen").expect("bob publishes through an envoy").at;
        fleet.until(secs(30), |f| all_run(f, &all, seen)).expect("everyone converges");
        let (left, right) = ([all[0], all[2], all[3]], [all[1], all[4], all[5]]);
        fleet.partition(&left, &right);
        fleet.elapse(secs(40));
        fleet.revoke(0, bob.public());
        let unseen = fleet.try_publish(1, &bob, "unseen").expect("nobody told the other side").at;
        fleet.until(secs(30), |f| all_run(f, &right, unseen)).expect("the other side runs it");
        assert!(fleet.try_publish(0, &bob, "late").is_none(), "the revoker's side refuses");
        fleet.heal();
        let back = |f: &Fleet| all.iter().all(|ix| f.file(*ix, "/etc/motd").as_deref() == Some("seen\n"));
        fleet.until(mins(2), back).unwrap_or_else(|| panic!("it falls everywhere\n{}", fleet.report()));
        let alice = fleet.operator.clone();
        let next = fleet.try_publish(1, &alice, "next").expect("alice goes on").at;
        assert_eq!(next.epoch, 3, "above what was cut off");
        fleet.until(mins(1), |f| all_run(f, &all, next)).unwrap_or_else(|| panic!("{}", fleet.report()));
        fleet
    });
}

#[test]
pub(crate) fn the_second_bolt_is_the_firsts_equal() {
    twice(23, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 2);
        fleet.kill(0);
        fleet.machine_mut(0).disk = Default::default();
        fleet.elapse(mins(1));
        let late = fleet.join(1, "web09", NodeKind::Envoy);
        let third = fleet.join(1, "bolt3", NodeKind::Bolt);
        let at = publish(&mut fleet, 1, "without the first");
        let up = [1, all[2], all[3], late, third];
        fleet.until(secs(30), |f| all_run(f, &up, at)).expect("everyone left converges");
        for bolt in [1, third] {
            fleet
                .until_every(secs(1), mins(2), |f| f.members(bolt).len() == 8)
                .expect("alice and six machines");
            // What a machine says of its run is here a moment after the run.
            let told = |f: &mut Fleet| match f.call(bolt, Command::Envoys) {
                Ok(Reply::Envoys(rows)) => (rows.len(), rows.iter().filter(|r| r.epoch == at.epoch).count()),
                other => panic!("{other:?}"),
            };
            let all_told = fleet.until_every(millis(100), secs(2), |f| told(f) == (6, 5));
            assert!(all_told.is_some(), "{:?}", told(&mut fleet));
        }
        fleet
    });
}

#[test]
pub(crate) fn asking_at_one_bolt_and_approved_at_another() {
    twice(24, |seed| {
        let (mut fleet, _) = fleet(seed, 2, 0);
        let asker = fleet.add("web01");
        let address = fleet.address(1);
        fleet.machine_mut(asker).join = Some(Join::Ask {
            addresses: vec![address],
            name: "web01".parse().expect("a name"),
            bolt: false,
            spanner: None,
        });
        fleet.start(asker);
        let asks = |f: &mut Fleet| match f.call(1, Command::Requests) {
            Ok(Reply::Requests(rows)) => rows.into_iter().next(),
            other => panic!("{other:?}"),
        };
        fleet.until_every(secs(1), secs(20), |f| asks(f).is_some()).expect("the request is listed");
        let row = asks(&mut fleet).expect("it is");
        let alice = fleet.operator.clone();
        let signed =
            fleet.signer(0, &alice).approve(row.key, "web01".parse().expect("a name"), NodeKind::Envoy);
        fleet.submit(0, &signed.expect("signed")).expect("approved at the first bolt");
        fleet.until(secs(30), |f| f.has_joined(asker)).expect("served at the second");
        fleet.restart_joined(asker);
        let at = publish(&mut fleet, 0, "for all");
        fleet.until(secs(30), |f| all_run(f, &[0, 1, asker], at)).expect("it takes part");
        fleet
    });
}

#[test]
pub(crate) fn a_setting_changes_how_often_everyone_converges() {
    twice(25, |seed| {
        let mut fleet = Fleet::new(seed);
        let mut all = vec![fleet.found("bolt1")];
        for name in ["web01", "web02"] {
            all.push(fleet.join(0, name, NodeKind::Envoy));
        }
        for ix in &all {
            fleet.kill(*ix);
            fleet.machine_mut(*ix).interval = None;
            fleet.start(*ix);
        }
        fleet.elapse(secs(12));
        let at = publish(&mut fleet, 0, "hello");
        fleet.until(mins(1), |f| all_run(f, &all, at)).expect("everyone converges");
        let alice = fleet.operator.clone();
        let signed = fleet.signer(1, &alice).set("converge.interval", Some(&10.into())).expect("signed");
        fleet.submit(1, &signed).expect("set through an envoy");
        // The run that is due by the old interval comes first.
        fleet.elapse(mins(6));
        let before: Vec<usize> = all.iter().map(|ix| fleet.machine(*ix).epochs_run.len()).collect();
        fleet.elapse(mins(2));
        for (ix, before) in all.iter().zip(before) {
            let runs = fleet.machine(*ix).epochs_run.len() - before;
            assert!((8..=13).contains(&runs), "{runs} runs in two minutes");
        }
        fleet
    });
}

/// Two bolts that cannot hear each other let in one machine each by the same invite.
fn both_let_in(seed: u64, uses: u32, names: [&str; 2]) -> (Fleet, [Ix; 2]) {
    let (mut fleet, _) = fleet(seed, 2, 0);
    let alice = fleet.operator.clone();
    let name = NameRule::Pattern("web*".parse().expect("a pattern"));
    let (kind, expires, seed) = (NodeKind::Envoy, hours(1), [7; 32].into());
    let wanted = Wanted { kind, name, uses, expires, seed };
    let (signed, token) = fleet.signer(0, &alice).invite(wanted).expect("an invite");
    fleet.submit(0, &signed).expect("invited");
    fleet.elapse(secs(5));
    fleet.cut(0, 1);
    fleet.elapse(secs(40));
    let new = names.map(|name| fleet.add(name));
    for (bolt, (ix, name)) in new.into_iter().zip(names).enumerate() {
        fleet.cut(ix, 1 - bolt);
        fleet.enrol(ix, token.clone(), name);
        fleet.until(mins(2), |f| f.has_joined(ix)).unwrap_or_else(|| panic!("joins\n{}", fleet.report()));
        fleet.restart_joined(ix);
    }
    fleet.heal();
    (fleet, new)
}

fn one_is_suspended(fleet: &mut Fleet, new: [Ix; 2]) {
    let keys = new.map(|ix| fleet.key(ix));
    let of = |f: &mut Fleet, at: Ix| {
        let rows = f.members(at);
        keys.map(|key| rows.iter().find(|m| m.key == key).map(|m| m.state.clone()).unwrap_or_default())
    };
    let settled = |f: &mut Fleet| {
        let (first, second) = (of(f, 0), of(f, 1));
        first == second && first.iter().filter(|s| *s == "suspended").count() == 1
    };
    let found = fleet.until_every(secs(1), mins(3), settled);
    assert!(found.is_some(), "{:?} {:?}\n{}", of(fleet, 0), of(fleet, 1), fleet.report());
    let states = of(fleet, 0);
    let (lost, won) = if states[0] == "suspended" { (new[0], new[1]) } else { (new[1], new[0]) };
    let at = publish(fleet, 0, "for members");
    fleet.until(secs(60), |f| all_run(f, &[0, 1, won], at)).expect("the winner takes part");
    fleet.elapse(mins(1));
    // Envoys hold no roster: only bolts can turn it away.
    for bolt in [0, 1] {
        let Ok(Reply::Peers(rows)) = fleet.call(bolt, Command::Peers) else { panic!("peers") };
        let key = fleet.key(lost);
        assert!(!rows.iter().any(|p| p.key == key && p.name.is_some()), "bolt {bolt} talks with it");
    }
}

#[test]
pub(crate) fn a_name_taken_in_two_partitions_is_one_machines_everywhere() {
    twice(26, |seed| {
        let (mut fleet, new) = both_let_in(seed, 5, ["web01", "web01"]);
        one_is_suspended(&mut fleet, new);
        fleet
    });
}

#[test]
pub(crate) fn an_invite_used_up_in_two_partitions_lets_one_in_everywhere() {
    twice(27, |seed| {
        let (mut fleet, new) = both_let_in(seed, 1, ["web01", "web02"]);
        one_is_suspended(&mut fleet, new);
        fleet
    });
}

#[test]
pub(crate) fn a_restored_bolt_learns_whom_the_lost_one_let_in_and_they_outlive_it() {
    twice(31, |seed| {
        let (mut fleet, all) = fleet(seed, 1, 4);
        let first = publish(&mut fleet, 0, "first");
        fleet.until(secs(30), |f| all_run(f, &all, first)).expect("everyone converges");
        let lost = fleet.key(0);
        fleet.kill(0);
        fleet.elapse(secs(60));
        let beside_an_envoy =
            fleet.signer(all[1], &fleet.operator.clone()).revoke(&[lost], "burnt").expect("signed");
        let refused =
            fleet.submit(all[1], &beside_an_envoy).expect_err("it does not know whom the bolt let in");
        assert!(refused.hint.is_some_and(|hint| hint.contains("through another bolt")), "{}", refused.what);
        let bolt = fleet.restore(all[1], "bolt9");
        let listed = |f: &mut Fleet| {
            let rows = f.members(bolt);
            rows.iter().filter(|m| m.kind == "envoy" && m.state == "active").count()
        };
        fleet.elapse(mins(2));
        assert_eq!(listed(&mut fleet), 4, "their papers were taken in: {:?}", fleet.members(bolt));
        fleet.revoke(bolt, lost);
        fleet.elapse(secs(5));
        let next = publish(&mut fleet, bolt, "next");
        let envoys = &all[1..];
        fleet.until(secs(60), |f| all_run(f, envoys, next)).expect("they still belong");
        assert_eq!(listed(&mut fleet), 4);
        fleet
    });
}
