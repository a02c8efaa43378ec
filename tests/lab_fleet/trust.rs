//! A revocation bites: whoever is connected is cut off, whoever was away is refused when it comes back.

use std::time::Instant;

use crate::figures::say;
use crate::fleet::{Fleet, PATIENCE, in_company};
use crate::lab::{require_lab, secs, wait};

/// Long enough for a publish to arrive anywhere, several times over.
const QUIET: std::time::Duration = secs(3);

#[test]
fn a_revoked_envoy_is_cut_off_and_an_absent_one_refused_when_it_returns() {
    if require_lab().skips() {
        return;
    }
    let _company = in_company();
    let mut fleet = Fleet::of("revoke", 2, 4);
    let all = ["bolt1", "bolt2", "env1", "env2", "env3", "env4"];
    let first = fleet.publish("bolt1", "first");
    fleet.arrives(&all, "first", first.returned, PATIENCE);
    let keys = ["env3", "env4"].map(|name| fleet.key_of(name));
    fleet.stop("env4");

    let began = Instant::now();
    for name in ["env3", "env4"] {
        let words = ["spanner", "revoke", name, "--reason", "disk stolen", "--yes"];
        fleet.signed("home", "bolt1", &words).good();
    }
    let others = &all[..4];
    wait::until("the revoked is cut off", secs(10), || {
        let with = |name: &&&str| fleet.peers(name).iter().any(|p| keys.contains(&p.key));
        let left: Vec<_> = others.iter().filter(with).collect();
        let own = fleet.look("env3").map(|s| (s.standing, s.peers));
        let cut = left.is_empty() && own == Some(("revoked".into(), 0));
        if cut { Ok(()) } else { Err(format!("connected still: {left:?}; env3 says {own:?}")) }
    });
    let took = began.elapsed();
    say("R10", "revoke to every connection closed", &format!("{} ms", took.as_millis()));
    assert!(took <= secs(10), "{took:?}");

    let after = fleet.publish("bolt2", "after");
    fleet.arrives(others, "after", after.returned, PATIENCE);

    // It was away when it happened: the first peer that it meets tells it.
    let began = Instant::now();
    fleet.start("env4");
    let told =
        || fleet.look("env4").filter(|s| s.standing == "revoked").ok_or_else(|| fleet.states(&["env4"]));
    wait::until("the absent one is told", secs(10), told);
    say(
        "R10",
        "an absent envoy is back and knows that it is revoked",
        &format!("{} ms", began.elapsed().as_millis()),
    );

    std::thread::sleep(QUIET);
    for name in ["env3", "env4"] {
        assert!(fleet.has(name, "first") && !fleet.ever_had(name, "after"), "{name} runs what came later");
        let said = fleet.vigo(name, &["status"]);
        assert!(said.good().contains("revoked") && said.out.contains("disk stolen"), "{name}: {}", said.out);
    }
    let members = fleet.cli("bolt2", &["spanner", "members", "--json"]).json();
    let revoked = |m: &&serde_json::Value| m["state"] == "revoked" && m["why"] == "disk stolen";
    assert_eq!(members.as_array().expect("rows").iter().filter(revoked).count(), 2, "{members}");

    // It does not wear off, and nobody talks to it again.
    fleet.stop("env3");
    fleet.start("env3");
    std::thread::sleep(QUIET);
    let status = fleet.look("env3").expect("it answers");
    assert_eq!((status.standing.as_str(), status.peers), ("revoked", 0), "{status:?}");
    assert!(!fleet.ever_had("env3", "after"));
}
