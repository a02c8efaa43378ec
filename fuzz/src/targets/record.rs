//! Records with right signatures and anything inside, pushed to a node by an admitted bolt.
//!
//! Afterwards: the node still answers; a second life, booted from what it persisted, holds and shows the same; and if
//! nobody was blamed and all was heard, the same records in the opposite order come to the same.

use vigo_node::{Command, Input};
use vigo_swarm::frame::{Bytes, Frame};

use crate::Target;
use crate::host::Host;
use crate::smith::Smith;
use crate::world::world;

pub const TARGET: Target = Target {
    name: "record",
    about: "records of each kind by members gone bad, pushed to a node; its second life; the opposite order",
    run,
    seeds,
    longest: 4_096,
};

/// Records of one input.
const MOST: usize = 8;

fn run(bytes: &[u8]) {
    let mut smith = Smith::new(bytes);
    let mut records = Vec::new();
    while !smith.feed.is_empty() && records.len() < MOST {
        records.push(smith.record());
    }
    let mut node = world().node();
    let heard = push(&mut node, &records);
    let seen = node.view();
    node.told(Command::Status);
    node.told(Command::Authority);
    node.told(Command::Envoys);
    for name in ["bolt2", "web01", "web02"] {
        node.call(true, Command::Envoy { name: name.into() });
    }
    let mut second = node.reload();
    assert_eq!(second.view(), seen, "a second life shows something else");
    assert_eq!(second.held(), node.held(), "a second life holds something else");
    let mut other = world().node();
    records.reverse();
    // A record may show that its own carrier is out; the node then hears nothing more from it.
    if heard && node.blamed.is_empty() && push(&mut other, &records) {
        assert_eq!((other.view(), other.blamed.is_empty()), (seen, true), "the order decides something");
    }
}

/// Pushes them one by one; gives whether each was pushed by a peer that was let in.
fn push(node: &mut Host, records: &[Vec<u8>]) -> bool {
    let carrier = &world().peers[0];
    let mut conn = node.greet(carrier.key.public(), &carrier.papers);
    let mut heard = true;
    for record in records {
        heard &= !node.hung.contains(&conn);
        node.frame(conn, &Frame::Push(vec![Bytes::from(record.clone())]));
        if node.hung.contains(&conn) {
            conn = node.greet(carrier.key.public(), &carrier.papers);
        }
    }
    node.elapse(vigo_base::time::secs(2));
    node.input(Input::PeerDown { conn, why: "done".into() });
    heard
}

fn seeds() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for kind in 0..8u8 {
        for variant in 0..4u8 {
            // By the envoy and by a bolt; then a few choices and values for whatever the kind asks for.
            let one = |author| {
                vec![author, 0, 1, kind, variant, 5, 40, 1, 17, 2, variant, 18, 0, 3, 1, 2, 3, 9, 16]
            };
            all.push([one(2), one(0)].concat());
        }
    }
    all
}
