//! Machines that meet by what they hear on their network, with the peer in its fences: none is told an address.

use crate::lab::machines::require_machines;
use crate::lab::{secs, wait};
use crate::story::{BUILT, PATIENCE, checkouts, converges, file, in_company, publish};

#[test]
fn a_machine_joins_by_discovery_and_finds_its_bolt_at_another_address() {
    if require_machines().skips() {
        return;
    }
    let _company = in_company();
    let mut machines = checkouts("discovery", &["bolt1", "web01"]);
    for name in ["bolt1", "web01"] {
        machines[name].run(&[BUILT, "install"]).good();
    }
    machines["bolt1"].shell("vigo init --name bolt1 --operator alice --plain-key").good();

    // Two people, each before a screen with the same six words.
    std::thread::scope(|people| {
        let joining = people.spawn(|| {
            machines["web01"].talk("admin", "sudo vigo join --discover --wait 90", &[("[yes/no] ", "yes")])
        });
        let words = wait::until("the request is at the bolt", PATIENCE, || {
            let said = machines["bolt1"].shell("vigocli spanner requests --json");
            let words = said.json()[0]["words"].as_str().map(str::to_owned);
            words.ok_or(said.out)
        });
        machines["bolt1"].run(&["vigocli", "spanner", "approve", "web01", "--words", &words.0]).good();
        let said = joining.join().expect("no panic");
        assert!(said.out.contains(&words.0), "other words on the screen of web01: {}", said.out);
        said.good();
    });
    let first = publish(&machines, &file("release", "/etc/release", "one"));
    converges(&machines, "web01", first);

    // While web01 is off, bolt1 moves to an address that nobody knows.
    machines["web01"].power_off();
    let moves = "sed -i 's/^Address=.*/Address=10.77.99.99\\/17/' /etc/systemd/network/10-lab.network
        networkctl reload && networkctl reconfigure eth0 && sed -i /bolt1/d /etc/hosts";
    machines["bolt1"].shell(moves).good();
    wait::until("bolt1 has moved", secs(20), || {
        let said = machines["bolt1"].shell("ip -4 -o addr show dev eth0").out;
        let moved = said.contains("10.77.99.99") && !said.contains("10.77.1.1/");
        if moved { Ok(()) } else { Err(said) }
    });
    machines["web01"].power_on();
    machines["web01"].shell("sed -i /bolt1/d /etc/hosts").good();
    let second = publish(&machines, &file("release", "/etc/release", "two"));
    converges(&machines, "web01", second);
    assert_eq!(machines["web01"].read("/etc/release"), "two\n");
}
