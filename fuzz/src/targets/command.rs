//! The local API: any JSON as a command, by somebody who may and somebody who may not.

use serde_json::json;
use vigo_node::Command;

use crate::Target;
use crate::feed::Ink;
use crate::smith::Smith;
use crate::world::{key, world};

pub const TARGET: Target = Target {
    name: "command",
    about: "commands of the local API as JSON, and statements that are handed in there",
    run,
    seeds,
    longest: 4_096,
};

fn run(bytes: &[u8]) {
    let mut smith = Smith::new(bytes);
    let mut node = world().node();
    let admin = smith.feed.below(2) == 0;
    let command = match smith.feed.below(3) {
        0 => {
            let statement = smith.statement();
            let space = if smith.feed.rarely() { smith.space() } else { statement.space().clone() };
            Command::Submit { space: space.to_string(), statement: hex_of(statement.bytes()) }
        }
        1 => Command::Submit { space: smith.space().to_string(), statement: hex_of(smith.feed.rest()) },
        _ => match serde_json::from_slice(smith.feed.rest()) {
            Ok(command) => command,
            Err(_) => return,
        },
    };
    let before = node.held();
    let spelled = serde_json::to_string(&command).expect("a command is spelled");
    let again: Command = serde_json::from_str(&spelled).expect("and read again");
    assert_eq!(format!("{again:?}"), format!("{command:?}"));
    match node.call(admin, command) {
        Some(Ok(reply)) => {
            let spelled = serde_json::to_string(&reply).expect("a reply is spelled");
            let again: vigo_node::Reply = serde_json::from_str(&spelled).expect("and read again");
            assert_eq!(format!("{again:?}"), format!("{reply:?}"));
        }
        Some(Err(refusal)) => {
            assert_eq!(node.held(), before, "what is refused is not kept");
            assert!(refusal.what.len() < 4_096, "a refusal is short");
        }
        None => {}
    }
    let seen = node.view();
    assert_eq!(node.reload().view(), seen, "a second life shows something else");
}

fn hex_of(bytes: &[u8]) -> String {
    hex::encode(&bytes[..bytes.len().min(vigo_base::limits::RECORD_BYTES)])
}

fn seeds() -> Vec<Vec<u8>> {
    let id = world().ids[0];
    let commands = [
        json!({"do": "status"}),
        json!({"do": "converge", "dry_run": true}),
        json!({"do": "context", "key": key(60).public()}),
        json!({"do": "submit", "space": "config", "statement": "00"}),
        json!({"do": "rollout", "id": id}),
        json!({"do": "deny", "key": key(99).public()}),
        json!({"do": "envoy", "name": "web01"}),
        json!({"do": "source", "id": null}),
        json!({"do": "authority"}),
        json!({"do": "audit", "filter": {"bolt": "bolt1", "kind": "publish", "who": "a", "since": 5, "limit": 9}}),
        json!({"do": "audit_verify"}),
        json!({"do": "members"}),
    ];
    let json = commands.iter().map(|c| Ink::new().byte(0).byte(2).raw(c.to_string().as_bytes()).done());
    let mut all: Vec<Vec<u8>> = json.collect();
    for act in 0..8 {
        all.push(vec![0, 0, 0, act, 17, 1, 2, 3, 40, 5, 2, 19, 0, 1, 0, 2, 1, 18]);
    }
    for said in world().authority.admissions().statements().values() {
        all.push(Ink::new().byte(0).byte(1).byte(0).raw(said.statement.bytes()).done());
    }
    all
}
