//! Machines that can only dial out are served through two bolts, and exchange through them.

use crate::figures::say;
use crate::fleet::{Fleet, PATIENCE, in_company};
use crate::lab::{require_lab, secs, wait};

#[test]
fn envoys_behind_nat_are_served_and_exchange_through_bolts() {
    if require_lab().skips() {
        return;
    }
    let _company = in_company();
    let mut fleet = Fleet::of("nat", 2, 1);
    for name in ["inner1", "inner2"] {
        fleet.place_behind_nat(name);
    }
    fleet.join("home", "bolt1", &["inner1", "inner2"], false);
    // One believes that it can be reached, the other knows that it cannot.
    fleet.options("inner2", &["--listen", "none"]);
    fleet.start("inner1");
    fleet.start("inner2");
    assert!(!fleet.lab.pings("env1", fleet.lab.address("inner1")), "the NAT lets things in");
    let inner = ["inner1", "inner2"];
    let keys = inner.map(|name| fleet.key_of(name));
    wait::until("both have two bolts", PATIENCE, || {
        let few = inner.iter().any(|name| fleet.look(name).is_none_or(|s| s.bolts < 2));
        if few { Err(fleet.states(&inner)) } else { Ok(()) }
    });
    for name in inner {
        assert!(fleet.peers(name).iter().all(|p| p.dialed && !keys.contains(&p.key)), "{name} was dialed");
    }

    let all = ["bolt1", "bolt2", "env1", "inner1", "inner2"];
    let tell = |what: &str, took: Vec<std::time::Duration>| {
        say("NAT", what, &format!("{} ms", took.iter().max().expect("some").as_millis()));
    };
    let out = fleet.publish("bolt1", "out");
    tell("a publish through a bolt to all", fleet.arrives(&all, "out", out.returned, PATIENCE));
    let across = fleet.publish("inner1", "across");
    tell("a publish from behind one NAT to all", fleet.arrives(&all, "across", across.returned, PATIENCE));
    fleet.converged(&all, &across.id, PATIENCE);

    fleet.stop("bolt1");
    let left = ["bolt2", "env1", "inner1", "inner2"];
    let one = fleet.publish("bolt2", "one");
    tell("one bolt left: through it", fleet.arrives(&left, "one", one.returned, PATIENCE));
    let back = fleet.publish("inner2", "back");
    tell("one bolt left: from behind the other NAT", fleet.arrives(&left, "back", back.returned, PATIENCE));

    // Started anew behind its NAT, with the bolt that it prefers gone.
    fleet.kill("inner1");
    let missed = fleet.publish("inner2", "missed");
    fleet.start("inner1");
    tell("one bolt left: started late", fleet.arrives(&left, "missed", missed.returned, secs(60)));
    // Both bolts see its report.
    fleet.start("bolt1");
    fleet.arrives(&["bolt1"], "missed", std::time::Instant::now(), PATIENCE);
    for bolt in ["bolt1", "bolt2"] {
        wait::until("the bolt has its report", PATIENCE, || {
            let rows = fleet.cli(bolt, &["envoys", "list", "--json"]).json();
            let row = rows.as_array().and_then(|r| r.iter().find(|r| r["name"] == "inner1")).cloned();
            let good =
                row.as_ref().is_some_and(|r| r["epoch"] == missed.epoch && r["failure"] == "converged");
            if good { Ok(()) } else { Err(format!("{row:?}")) }
        });
    }
}
