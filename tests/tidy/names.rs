//! Names that pure crates never use: clocks, randomness, the machine, and collections without an order.
//!
//! Tests inside those crates (`#[cfg(test)]`, `tests/`, `benches/`) may use what they like; what ships may not.

use std::collections::BTreeSet;

use crate::paths::{Used, paths, without_tests};
use crate::scan::{Token, code_only, tokens};
use crate::tree::{File, rust_files};
use crate::{Breach, expect_none};

/// The crates that hold logic without IO.
pub const PURE: [&str; 8] = ["base", "crdt", "spanner", "swarm", "content", "stacks", "node", "simnet"];

/// Which wrong line a test chose, kept for a thread. No program has it in: see `planted.rs` beside this file.
const PLANTED: &str = "base/src/planted.rs";

/// Instead of printing and reading a terminal.
const PRINTS: &str = "return data, or emit an event: cli and daemon print";

/// Names wherever they stand in a path, each with what to use instead. A name that ends in `!` is a macro.
const ANYWHERE: [(&[&str], &str); 6] = [
    (&["SystemTime", "Instant", "UNIX_EPOCH"], "take vigo_base::Time as an argument; timers are next_wake"),
    (
        &["thread_rng", "getrandom", "OsRng", "RandomState", "DefaultHasher"],
        "take vigo_base::Dice, or key bytes made at the edge, as an argument",
    ),
    (&["HashMap", "HashSet"], "use BTreeMap, BTreeSet or indexmap: hash order is random and breaks replay"),
    (
        &["TcpStream", "TcpListener", "UdpSocket", "UnixStream", "UnixListener", "UnixDatagram"],
        "describe the sending as an Output and let daemon do it",
    ),
    (&["async", "await", "thread_local!"], "a machine neither waits nor hides state: keep it in the struct"),
    (&["println!", "print!", "eprintln!", "eprint!"], PRINTS),
];

/// Beginnings of paths, each with what to use instead.
const BEGINNINGS: [(&[&str], &str); 12] = [
    (&["rand"], "take vigo_base::Dice as an argument"),
    (&["std", "fs"], "describe it as an effect; daemon reads and writes files"),
    (&["std", "env"], "take it as an argument; cli and daemon read the environment"),
    (&["std", "thread"], "a machine has no threads; daemon and cli have"),
    (&["std", "process"], "describe it as an effect; executors run programs"),
    (&["std", "io", "stdin"], PRINTS),
    (&["std", "io", "stdout"], PRINTS),
    (&["std", "io", "stderr"], PRINTS),
    (&["io", "stdin"], PRINTS),
    (&["io", "stdout"], PRINTS),
    (&["io", "stderr"], PRINTS),
    (&["std", "os"], "describe it as an effect; executors and daemon touch the system"),
];

fn banned(used: &Used) -> Option<&'static str> {
    let anywhere = |names: &[&str]| used.segments.iter().any(|s| names.contains(&s.as_str()));
    let begins = |path: &[&str]| {
        used.segments.len() >= path.len() && path.iter().zip(&used.segments).all(|(a, b)| a == b)
    };
    let first = ANYWHERE.iter().find(|(names, _)| anywhere(names)).map(|(_, instead)| *instead);
    // `rand` alone may be a variable; a path or an import is the crate.
    let long_enough = |path: &[&str]| path.len() > 1 || used.segments.len() > 1;
    first.or_else(|| {
        BEGINNINGS.iter().find(|(path, _)| begins(path) && long_enough(path)).map(|(_, instead)| *instead)
    })
}

fn breaches(files: &[File]) -> Vec<Breach> {
    let sources: Vec<(&File, Vec<Token>, Vec<String>)> = files
        .iter()
        .filter(|f| f.path.split_once('/').is_some_and(|(krate, rest)| PURE.contains(&krate) && ships(rest)))
        .filter(|f| f.path != PLANTED)
        .map(|f| {
            let (kept, test_files) = without_tests(&tokens(&code_only(&f.text)));
            (f, kept, test_files)
        })
        .collect();
    let exempt: BTreeSet<String> =
        sources.iter().flat_map(|(f, _, mods)| mods.iter().map(|m| module_file(&f.path, m))).collect();
    let is_exempt =
        |path: &str| exempt.iter().any(|e| path == format!("{e}.rs") || path.starts_with(&format!("{e}/")));
    let mut found = Vec::new();
    for (file, kept, _) in sources.iter().filter(|(f, ..)| !is_exempt(&f.path)) {
        for used in paths(kept) {
            if let Some(instead) = banned(&used) {
                let place = format!("{}:{}", file.path, used.line);
                found.push(Breach::new(
                    place,
                    format!("{} in a pure crate", used.segments.join("::")),
                    instead,
                ));
            }
        }
    }
    found
}

fn ships(below_crate: &str) -> bool {
    below_crate.starts_with("src/") || below_crate == "build.rs"
}

/// Where module `name` of the file at `path` lies, without `.rs`.
fn module_file(path: &str, name: &str) -> String {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    match file {
        "lib.rs" | "main.rs" | "mod.rs" => format!("{folder}/{name}"),
        _ => format!("{folder}/{}/{name}", file.trim_end_matches(".rs")),
    }
}

#[test]
fn the_tree_keeps_pure_crates_pure() {
    expect_none("names in pure crates", breaches(&rust_files()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), mode: 0o644, text: text.to_owned() }
    }

    fn count(text: &str) -> usize {
        breaches(&[file("node/src/lib.rs", text)]).len()
    }

    #[test]
    fn planted_names_are_found() {
        for text in [
            "use std::time::{Duration, Instant};",
            "use std::{time::SystemTime};",
            "let t = std::time::Instant::now();",
            "use std::collections::{BTreeMap, HashMap};",
            "let m: hashbrown::HashSet<u8>;",
            "use std::fs;",
            "std::env::var(x)",
            "use std::net::{IpAddr, UdpSocket};",
            "std::thread::spawn(f)",
            "use rand::Rng;",
            "rand::random()",
            "getrandom::fill(x)",
            "println!()",
            "std::eprintln!()",
            "async fn f() {}",
            "std::process::exit(1)",
            "use std::io::{Read, stdin};",
            "io::stdout().flush()",
        ] {
            assert_eq!(count(text), 1, "{text}");
        }
    }

    #[test]
    fn what_is_allowed_is_not_found() {
        for text in [
            "use std::net::{IpAddr, SocketAddr};",
            "use std::time::Duration;",
            "use std::collections::{BTreeMap, BTreeSet};",
            "use indexmap::IndexMap;",
            "// println!() and HashMap\nlet s = \"std::fs SystemTime\";",
            "#[cfg(test)]\nmod tests { use std::fs; fn f() { println!(); } }",
            "use rand_core::Rng;",
            "fn instant() {}",
            "env!()",
            "use std::io::Read;",
            "struct Output { stdout: String }",
        ] {
            assert_eq!(count(text), 0, "{text}");
        }
        assert_eq!(breaches(&[file("daemon/src/lib.rs", "use std::fs;")]), []);
        assert_eq!(breaches(&[file("node/tests/story.rs", "use std::fs;")]), []);
    }

    #[test]
    fn a_test_module_in_its_own_file_is_exempt_and_only_that() {
        let files = [
            file("node/src/a.rs", "#[cfg(test)]\nmod tests;"),
            file("node/src/a/tests.rs", "use std::fs;"),
            file("node/src/a/tests/deep.rs", "use std::fs;"),
            file("node/src/a/other.rs", "use std::fs;"),
        ];
        let found = breaches(&files);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place, "node/src/a/other.rs:1");
    }
}
