//! Members gone bad: one that floods, one that withholds, one that serves rotten chunks. The others converge.

use vigo_base::time::{mins, secs};
use vigo_base::{Clock, Hash, Time};
use vigo_node::Input;
use vigo_node::crdt::{Record, Space};
use vigo_node::spanner::NodeKind;
use vigo_node::swarm::frame::{Bytes, Frame};
use vigo_simnet::{Fleet, Ix};

use crate::stories::{all_run, fleet, publish, twice};

fn is_cut_off(fleet: &Fleet, ix: Ix) -> bool {
    let inbox = fleet.machine(ix).inbox.as_deref().unwrap_or_default();
    inbox.iter().any(|input| matches!(input, Input::PeerDown { .. }))
}

#[test]
pub(crate) fn a_member_that_floods_with_frames_is_cut_off() {
    twice(30, |seed| {
        let (mut fleet, all) = fleet(seed, 1, 4);
        let bad = all[4];
        let conns = fleet.play_by_hand(bad, &all[..4]);
        let nonsense: [Vec<u8>; 4] = [
            vec![0xff; 1_000],
            Frame::Want(Space::config(), vec![Hash::of(b"x"); 513]).encode(),
            Frame::Push(vec![Bytes::from(vec![1, 2, 3])]).encode(),
            Frame::Compare(Space::config(), Bytes::from(vec![9; 50])).encode(),
        ];
        for (conn, frame) in conns.iter().zip(&nonsense) {
            for _ in 0..200 {
                fleet.send_by_hand(bad, *conn, frame);
            }
        }
        fleet.elapse(secs(2));
        let down = |i: &&Input| matches!(i, Input::PeerDown { .. });
        let cut = fleet.machine(bad).inbox.iter().flatten().filter(down).count();
        assert_eq!(cut, 4, "everyone cut it off");
        let at = publish(&mut fleet, 0, "calm");
        fleet.until(secs(30), |f| all_run(f, &all[..4], at)).expect("the others converge");
        fleet
    });
}

#[test]
pub(crate) fn a_member_that_floods_with_records_fills_nobody() {
    twice(31, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 3);
        let bad = all[4];
        let conns = fleet.play_by_hand(bad, &all[..2]);
        let (key, spanner) = (fleet.secret(bad), fleet.status(0).spanner.expect("a fleet"));
        let stamp = Clock::default().tick(Time(1));
        for seq in 1..=3_000_u64 {
            let space = if seq % 2 == 0 { Space::admissions() } else { Space::status() };
            let made = Record::sign(&key, &spanner, space, 1_000 + seq, 999, stamp, vec![7; 64]);
            let bytes = Bytes::from(made.expect("a record").bytes().to_vec());
            fleet.send_by_hand(bad, conns[seq as usize % 2], &Frame::Push(vec![bytes]).encode());
        }
        fleet.elapse(mins(2));
        for ix in &all[..4] {
            let held = fleet.machine(*ix).disk.records.len();
            assert!(held < 700, "{ix} holds {held} records");
        }
        let at = publish(&mut fleet, all[2], "calm");
        fleet.until(secs(30), |f| all_run(f, &all[..4], at)).expect("the others converge");
        fleet
    });
}

#[test]
pub(crate) fn what_one_bolt_withholds_comes_from_others() {
    twice(32, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 3);
        let (bolt, web) = (all[1], all[2]);
        // The envoy reaches the bolt that withholds, and one other envoy.
        fleet.cut(web, 0);
        fleet.cut(web, all[4]);
        fleet.machine_mut(bolt).withholds = true;
        fleet.elapse(secs(40));
        let at = publish(&mut fleet, 0, "withheld");
        fleet.until(mins(2), |f| all_run(f, &all, at)).unwrap_or_else(|| panic!("{}", fleet.report()));
        assert!(fleet.reached.contains_key("records withheld"));
        let gone = fleet.key(all[3]);
        fleet.heal();
        fleet.revoke(0, gone);
        fleet.elapse(mins(1));
        assert!(!fleet.is_connected(web, all[3]), "the revocation came too");
        fleet
    });
}

#[test]
pub(crate) fn rotten_chunks_of_one_member_do_not_stop_the_others() {
    twice(33, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 4);
        for liar in [all[1], all[3]] {
            fleet.machine_mut(liar).lies = true;
        }
        fleet.join(0, "web77", NodeKind::Envoy);
        // Whom a node asks is chance: three publishes at least, and on until a liar was asked.
        for n in 1..=20 {
            let at = publish(&mut fleet, 0, &format!("publish {n}"));
            fleet.until(mins(2), |f| all_run(f, &all, at)).unwrap_or_else(|| panic!("{}", fleet.report()));
            if n >= 3 && fleet.reached.contains_key("rotten chunk") {
                break;
            }
        }
        assert!(fleet.reached.contains_key("rotten chunk"), "nobody asked a liar");
        assert!(!is_cut_off(&fleet, 0));
        fleet
    });
}
