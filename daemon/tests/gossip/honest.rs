//! What a fleet makes of its gossip plane.

use std::time::Duration;

use vigo_daemon::node::Command;
use vigo_daemon::node::command::{PeerRow, Reply};
use vigo_daemon::node::spanner::NodeKind;
use vigo_daemon::nodeconf::NodeConf;
use vigo_daemon::process::{Running, Start, StartError, start};

use crate::house::{House, stop, wait};

pub fn peers(house: &House, name: &str) -> Vec<PeerRow> {
    match house.client(name).call(&Command::Peers).unwrap() {
        Reply::Peers(rows) => rows,
        other => panic!("{other:?}"),
    }
}

pub fn set(house: &House, at: &str, value: u64) {
    let signed = house.signer(at).set("converge.interval", Some(&value.into())).unwrap();
    house.client(at).call(&signed.command()).unwrap();
}

pub fn shows(house: &House, name: &str, value: u64) -> bool {
    match house.client(name).call(&Command::Settings) {
        Ok(Reply::Settings(rows)) => {
            rows.iter().any(|row| row.key == "converge.interval" && row.value == serde_json::json!(value))
        }
        other => panic!("{other:?}"),
    }
}

/// A bolt and two envoys whose sessions all have gossip links, old enough to be relied on.
pub fn fleet(house: &House) -> Vec<Running> {
    house.found("b1");
    let mut running = vec![house.start("b1")];
    for name in ["e1", "e2"] {
        house.join("b1", name, NodeKind::Envoy);
        running.push(house.start(name));
    }
    for name in ["b1", "e1", "e2"] {
        wait(&format!("{name} to be linked with both others"), || {
            peers(house, name).iter().filter(|row| row.gossip).count() == 2
        });
    }
    std::thread::sleep(Duration::from_secs(4));
    running
}

#[test]
fn what_one_says_all_hear_and_links_end_with_their_sessions() {
    let house = House::new();
    let mut fleet = fleet(&house);
    let before: Vec<_> = fleet.iter().map(Running::gossip_figures).collect();
    for value in [61, 62, 63] {
        set(&house, "e1", value);
        for name in ["b1", "e1", "e2"] {
            wait(&format!("{name} to show {value}"), || shows(&house, name, value));
        }
    }
    let after: Vec<_> = fleet.iter().map(Running::gossip_figures).collect();
    assert_eq!(after[1].said - before[1].said, 3, "{after:?}");
    assert_eq!(
        (after[0].accepted + after[2].accepted) - (before[0].accepted + before[2].accepted),
        6,
        "{after:?}"
    );
    assert!(after.iter().all(|f| f.rejected == 0 && f.cut == 0), "{after:?}");
    let metrics = house.client("b1").metrics().unwrap();
    for line in ["vigo_gossip_links 2", "vigo_gossip_dropped_total{queue=\"heard\"} 0"] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    // Revoked: its links are cut, and the others keep theirs.
    let key = house.status("e2").key;
    let signed = house.signer("b1").revoke(&[key], "stolen").unwrap();
    house.client("b1").call(&signed.command()).unwrap();
    wait("the revoked one to be alone", || fleet[2].gossip_figures().links == 0);
    wait("the bolt to have one link", || fleet[0].gossip_figures().links == 1);
    // Stopped: the other end hears of it.
    stop(fleet.remove(1));
    wait("the bolt to have none", || fleet[0].gossip_figures().links == 0);
    fleet.into_iter().for_each(stop);
}

#[test]
fn without_gossip_the_peer_channel_carries_everything() {
    let house = House::new();
    house.found("b1");
    let none = |name: &str| NodeConf { gossip: Some(Vec::new()), ..house.conf(name) };
    let b1 = start(Start::new(none("b1"), "test")).unwrap();
    house.join("b1", "e1", NodeKind::Envoy);
    let e1 = start(Start::new(none("e1"), "test")).unwrap();
    wait("a session", || peers(&house, "e1").len() == 1);
    assert!(b1.gossip_addresses().is_empty());
    set(&house, "b1", 77);
    wait("e1 to show it", || shows(&house, "e1", 77));
    assert_eq!(b1.gossip_figures().links + e1.gossip_figures().links, 0);
    [e1, b1].into_iter().for_each(stop);
}

#[test]
fn a_port_that_is_taken_is_named_with_what_to_do() {
    let house = House::new();
    house.found("b1");
    let b1 = house.start("b1");
    let [taken] = b1.gossip_addresses() else { panic!("{:?}", b1.gossip_addresses()) };
    assert_ne!(taken.port(), 0);
    let other = House::new();
    other.found("b1");
    let conf = NodeConf { gossip: Some(vec![*taken]), ..other.conf("b1") };
    let error =
        start(Start::new(conf, "test")).err().map(|e| (matches!(e, StartError::Gossip(_)), e.to_string()));
    let Some((true, text)) = error else { panic!("{error:?}") };
    assert!(text.contains(&taken.to_string()) && text.contains("gossip.listen"), "{text}");
    stop(b1);
}
