//! Which crate may name which third-party crate.
//!
//! What touches the world stays where the world is touched. `deny.toml` says the same about the resolved graph;
//! this check says it about manifests, faster and with a reason.

use crate::tree::{Crate, crates};
use crate::{Breach, expect_none};

/// Third-party crates with the only crates that may name them, and what the others do instead.
const PLACES: [(&[&str], &[&str], &str); 9] = [
    (
        &["libp2p", "if-watch", "quinn", "quinn-proto", "quinn-udp", "rustls", "redb", "axum"],
        &["daemon"],
        "describe it as an effect in node/src/io.rs and perform it in daemon",
    ),
    (
        &["tokio", "tokio-util", "futures", "async-trait"],
        &["daemon"],
        "machines are not async; a client of the local API calls a blocking function of daemon",
    ),
    (&["automerge"], &["crdt"], "use the document shape of crdt"),
    (
        &["cap-std", "cap-tempfile", "cap-fs-ext", "nix", "libc"],
        &["executors", "daemon", "cli"],
        "touch the machine through executors' Host trait",
    ),
    // bench: the processor time of its own thread.
    (
        &["rustix"],
        &["executors", "daemon", "cli", "bench"],
        "touch the machine through executors' Host trait",
    ),
    (
        &["ed25519-dalek", "ed25519", "curve25519-dalek", "ring"],
        &["base"],
        "sign and verify with vigo_base::SecretKey and PublicKey: the one place, always strict",
    ),
    (&["getrandom"], &["daemon", "cli"], "take a Dice or key bytes as an argument"),
    (&["rand", "fastrand", "uuid", "chrono", "time"], &[], "use Dice and Time of vigo-base"),
    (&["clap", "clap_complete", "clap_mangen", "indicatif"], &["cli"], "return data and let cli show it"),
];

/// What `cli` may name for its tests alone: the attackers of the lab speak QUIC as nobody honest does.
const ATTACKERS: [&str; 3] = ["quinn", "rustls", "tokio"];

fn breaches(crates: &[Crate]) -> Vec<Breach> {
    let mut found = Vec::new();
    for each in crates {
        for (table, name, _) in each.dependencies() {
            let Some((_, allowed, instead)) = PLACES.iter().find(|(names, ..)| {
                names.iter().any(|n| name == *n || (*n == "libp2p" && name.starts_with("libp2p-")))
            }) else {
                continue;
            };
            let attacker = each.folder == "cli" && table == "dev-dependencies";
            if attacker && ATTACKERS.contains(&name.as_str()) {
                continue;
            }
            if !allowed.contains(&each.folder.as_str()) {
                let place = format!("{}/Cargo.toml", each.folder);
                let only = if allowed.is_empty() { "in no crate".to_owned() } else { allowed.join(", ") };
                found.push(Breach::new(
                    place,
                    format!("[{table}] names {name}, allowed only: {only}"),
                    *instead,
                ));
            }
        }
    }
    found
}

#[test]
fn the_tree_names_third_parties_where_they_belong() {
    expect_none("placement of third-party crates", breaches(&crates()));
}

#[test]
fn misplaced_crates_are_found() {
    let dev = |name: &str| format!("[dev-dependencies]\n{name}.workspace = true\n");
    let breaks = |folder: &str, name: &str| breaches(&[Crate::planted(folder, &dev(name))]).len();
    assert_eq!([breaks("cli", "quinn"), breaks("cli", "redb"), breaks("node", "quinn")], [0, 1, 1]);
    let names = |folder: &str, dependency: &str| {
        breaches(&[Crate::planted(folder, &format!("[dependencies]\n{dependency}.workspace = true\n"))]).len()
    };
    for (folder, dependency, expected) in [
        ("node", "tokio", 1),
        ("cli", "tokio", 1),
        ("daemon", "tokio", 0),
        ("swarm", "libp2p-gossipsub", 1),
        ("daemon", "libp2p", 0),
        ("content", "automerge", 1),
        ("crdt", "automerge", 0),
        ("simnet", "getrandom", 1),
        ("base", "rand", 1),
        ("base", "rand_core", 0),
        ("base", "ed25519-dalek", 0),
        ("crdt", "ed25519-dalek", 1),
        ("stacks", "cap-std", 1),
        ("daemon", "clap", 1),
    ] {
        assert_eq!(names(folder, dependency), expected, "{folder} naming {dependency}");
    }
}
