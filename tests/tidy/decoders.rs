//! Every place where bytes become values is fuzzed, or no peer reaches it.
//!
//! A place is a call of a decoder (`codec::decode`, `Decoder::new`, `serde_json::from_slice`, ...) or a function that is
//! called one. The table counts them for each file that ships: one more, and the check wants to know who fuzzes it. A
//! target is a file in fuzz/src/targets that stands in `TARGETS`.

use std::collections::BTreeMap;

use crate::paths::without_tests;
use crate::scan::{Token, code_only, reads, tokens};
use crate::tree::{File, rust_files, text_of};
use crate::{Breach, expect_none};

/// Crates whose sources ship, without `cli`: it reads what its user names, and asks this machine's own node.
const SHIPPED: [&str; 9] =
    ["base", "crdt", "spanner", "swarm", "content", "stacks", "node", "executors", "daemon"];

/// What a place looks like, as tokens.
const CALLS: [&[&str]; 11] = [
    &["codec", ":", ":", "decode"],
    &["minicbor", ":", ":", "decode", "("],
    &["Decoder", ":", ":", "new"],
    &["serde_json", ":", ":", "from_slice"],
    &["serde_json", ":", ":", "from_str"],
    &["serde_json", ":", ":", "from_reader"],
    &["negentropy", "(", "message"],
    &[".", "reconcile", "("],
    &["Kind", ":", ":", "head"],
    &["from_be_bytes"],
    &[".", "reconcile_with_ids", "("],
];

/// Functions that are called like decoders.
const NAMES: [&str; 5] = ["decode", "decode_for", "from_bytes", "from_archive", "read_tally"];

/// Who fuzzes a place.
#[derive(Debug, Clone, Copy)]
enum Fuzzed {
    /// These targets.
    By(&'static [&'static str]),
    /// Nobody needs to: no peer's bytes come here, because of this.
    Unreached(&'static str),
}

use Fuzzed::{By, Unreached};

/// File, places in it, and who fuzzes them.
const TABLE: &[(&str, usize, Fuzzed)] = &[
    ("base/src/codec.rs", 2, By(&["statement", "frame", "papers"])),
    ("base/src/hash.rs", 2, By(&["statement", "frame"])),
    ("base/src/key.rs", 3, By(&["envelope", "statement", "frame"])),
    ("base/src/spelled.rs", 1, By(&["statement", "frame", "token"])),
    ("crdt/src/reconcile.rs", 2, By(&["reconcile", "session"])),
    ("crdt/src/sketch/mod.rs", 1, By(&["sketch", "session"])),
    ("crdt/src/sketch/wire.rs", 3, By(&["sketch", "session"])),
    ("crdt/src/log.rs", 1, By(&["envelope", "status", "record"])),
    ("crdt/src/register.rs", 2, By(&["envelope", "record"])),
    ("crdt/src/record.rs", 5, By(&["envelope", "record"])),
    ("crdt/src/statement.rs", 2, By(&["statement", "record"])),
    ("spanner/src/act.rs", 2, By(&["statement", "record"])),
    ("spanner/src/papers.rs", 2, By(&["papers", "session"])),
    ("spanner/src/spend.rs", 2, By(&["envelope", "record", "papers"])),
    ("spanner/src/token.rs", 1, By(&["token"])),
    ("swarm/src/beacon/packet.rs", 3, By(&["beacon", "session"])),
    ("swarm/src/bitmap.rs", 1, By(&["frame", "outline", "session"])),
    ("swarm/src/deframer.rs", 1, By(&["frame"])),
    ("swarm/src/frame.rs", 5, By(&["frame", "session", "sketch"])),
    ("swarm/src/gossip/mod.rs", 2, By(&["envelope", "session"])),
    ("swarm/src/outline.rs", 3, By(&["outline"])),
    ("swarm/src/peers/book.rs", 2, By(&["status"])),
    ("content/src/audit/schema.rs", 2, By(&["status", "record"])),
    ("content/src/config/schema.rs", 3, By(&["routes", "statement", "record"])),
    ("content/src/settings/schema.rs", 3, By(&["statement", "record"])),
    ("content/src/settings/view.rs", 1, By(&["statement", "record"])),
    ("content/src/status/schema.rs", 7, By(&["status", "record"])),
    ("stacks/src/policy.rs", 3, By(&["policy"])),
    ("stacks/src/policy/wire.rs", 1, By(&["policy"])),
    ("stacks/src/source.rs", 2, By(&["routes"])),
    ("stacks/src/words/keys.rs", 2, By(&["routes"])),
    ("spanner/src/words.rs", 1, Unreached("a hash of our own becomes words")),
    ("spanner/src/wrap.rs", 1, Unreached("an operator's own key file, opened by its operator")),
    ("node/src/boot.rs", 1, Unreached("a note on this machine's own disk")),
    ("node/src/follow.rs", 1, Unreached("the traits of this machine, collected by its own applier")),
    ("node/src/sign.rs", 1, Unreached("a value that an operator types")),
    ("node/src/tell.rs", 1, By(&["record"])),
    ("node/src/warrant/anchor.rs", 2, By(&["applier"])),
    ("daemon/src/api/mod.rs", 1, By(&["command"])),
    ("daemon/src/applier/anchor.rs", 1, Unreached("a file of the applier's own folder")),
    ("daemon/src/applier/wire.rs", 1, By(&["applier"])),
    (
        "daemon/src/channel/bulk.rs",
        1,
        Unreached("a peer's four bytes of a code, before a text that is cut and escaped"),
    ),
    (
        "daemon/src/applier/link.rs",
        1,
        Unreached("a report of this machine's own applier, which has more rights than its reader"),
    ),
    ("node/src/warrant/wire.rs", 8, By(&["applier"])),
    (
        "daemon/src/blobs/files.rs",
        1,
        Unreached("a file of this machine's own state, under a name that is a hash"),
    ),
    ("daemon/src/client.rs", 4, Unreached("answers of this machine's own node, to its user")),
    ("daemon/src/trace.rs", 2, Unreached("a file that a developer names")),
];

fn places(tokens: &[Token]) -> usize {
    let call = |at: usize| CALLS.iter().any(|call| reads(tokens, at, call));
    let named = |at: usize| NAMES.iter().any(|name| reads(tokens, at, &["fn", name]));
    (0..tokens.len()).filter(|at| call(*at) || named(*at)).count()
}

fn found(files: &[File]) -> BTreeMap<String, usize> {
    let ships = |file: &&File| {
        file.path
            .split_once("/src/")
            .is_some_and(|(folder, rest)| SHIPPED.contains(&folder) && !rest.contains("tests"))
    };
    let counted = files.iter().filter(ships).map(|file| {
        let (kept, _) = without_tests(&tokens(&code_only(&file.text)));
        (file.path.clone(), places(&kept))
    });
    counted.filter(|(_, places)| *places > 0).collect()
}

fn breaches(found: &BTreeMap<String, usize>, table: &[(&str, usize, Fuzzed)], targets: &str) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (path, places) in found {
        let said = table.iter().find(|(file, ..)| file == path).map_or(0, |(_, places, _)| *places);
        if said != *places {
            breaches.push(Breach::new(
                path,
                format!("{places} places where bytes become values, {said} in the table"),
                "let a target of fuzz/ reach the new one (fuzz/README.md), then count it in tests/tidy/decoders.rs; \
                 or say there why no peer's bytes come to it",
            ));
        }
    }
    for (file, _, fuzzed) in table {
        if !found.contains_key(*file) {
            breaches.push(Breach::new(
                *file,
                "in the table, and decodes nothing",
                "take it out of tests/tidy/decoders.rs",
            ));
        }
        match fuzzed {
            By([]) | Unreached("") => {
                breaches.push(Breach::new(
                    *file,
                    "neither a target nor a reason",
                    "name one in tests/tidy/decoders.rs",
                ));
            }
            By(names) => {
                for name in names.iter().filter(|name| !targets.contains(&format!("{name}::TARGET"))) {
                    let instead = "write fuzz/src/targets/NAME.rs and name it in fuzz/src/targets/mod.rs";
                    breaches.push(Breach::new(
                        *file,
                        format!("fuzzed by {name}, which is no target"),
                        instead,
                    ));
                }
            }
            Unreached(_) => {}
        }
    }
    breaches
}

#[test]
fn the_tree_fuzzes_what_peers_reach() {
    let found = found(&rust_files());
    assert!(found.len() > 15, "only {} files decode anything: the walk is broken", found.len());
    expect_none("decoders", breaches(&found, TABLE, &text_of("fuzz/src/targets/mod.rs")));
}

#[test]
fn a_decoder_that_nobody_fuzzes_is_found() {
    let file = |text: &str| File { path: "swarm/src/new.rs".into(), mode: 0o644, text: text.into() };
    let one = "pub fn decode(bytes: &[u8]) -> X { codec::decode(bytes, 9) }";
    let counted = found(&[file(one)]);
    assert_eq!(counted.get("swarm/src/new.rs"), Some(&2));
    assert_eq!(breaches(&counted, &[], "").len(), 1, "it is not in the table");
    let said = |fuzzed| [("swarm/src/new.rs", 2, fuzzed)];
    assert_eq!(breaches(&counted, &said(By(&["frame"])), "frame::TARGET,").len(), 0);
    assert_eq!(breaches(&counted, &said(By(&["frame"])), "other::TARGET,").len(), 1, "no such target");
    assert_eq!(breaches(&counted, &said(Unreached("")), "").len(), 1, "no reason");
    let more = found(&[file(&format!("{one} fn more() {{ serde_json::from_slice(b) }}"))]);
    assert_eq!(breaches(&more, &said(By(&["frame"])), "frame::TARGET,").len(), 1, "one more in a known file");
    assert_eq!(breaches(&BTreeMap::new(), &said(Unreached("x")), "").len(), 1, "a row of nothing");
    let tests = found(&[file(&format!("#[cfg(test)]\nmod tests {{ {one} }}"))]);
    assert!(tests.is_empty(), "tests may decode: {tests:?}");
}
