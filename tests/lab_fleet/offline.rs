//! No bolt is up: the configuration goes on, from peer to peer.

use std::time::Instant;

use crate::figures::say;
use crate::fleet::{Fleet, PATIENCE, in_company};
use crate::lab::{require_lab, secs};

#[test]
fn without_bolts_a_late_envoy_catches_up_and_a_publish_spreads() {
    if require_lab().skips() {
        return;
    }
    let _company = in_company();
    let mut fleet = Fleet::of("nobolts", 2, 4);
    let all = ["bolt1", "bolt2", "env1", "env2", "env3", "env4"];
    let first = fleet.publish("bolt1", "first");
    fleet.arrives(&all, "first", first.returned, PATIENCE);

    fleet.stop("env4");
    let missed = fleet.publish("bolt2", "missed");
    fleet.arrives(&all[..5], "missed", missed.returned, PATIENCE);
    fleet.stop("bolt1");
    fleet.stop("bolt2");
    let began = Instant::now();
    fleet.start("env4");
    let took = fleet.arrives(&["env4"], "missed", began, secs(60));
    say(
        "R3",
        "no bolt up: a late envoy has the latest from its peers",
        &format!("{} ms", took[0].as_millis()),
    );
    fleet.converged(&["env4"], &missed.id, PATIENCE);

    let through = fleet.publish("env2", "through");
    let took = fleet.arrives(&all[2..], "through", through.returned, secs(60));
    let last = took.iter().max().expect("some").as_millis();
    say("R3", "no bolt up: a publish through an envoy reaches the others", &format!("{last} ms"));

    // The bolts come back and have it too, with what it names.
    fleet.start("bolt1");
    fleet.start("bolt2");
    let began = Instant::now();
    let took = fleet.arrives(&["bolt1", "bolt2"], "through", began, secs(60));
    let last = took.iter().max().expect("some").as_millis();
    say("R3", "the bolts are back and have what was published without them", &format!("{last} ms"));
    let after = fleet.publish("bolt1", "after");
    assert_eq!(after.epoch, through.epoch + 1, "what was published without bolts counts");
    fleet.arrives(&all, "after", after.returned, PATIENCE);
}
