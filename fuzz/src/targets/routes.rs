//! Route tables and archives of source trees: the other two kinds of published blobs.

use std::collections::BTreeSet;

use vigo_base::Hostname;
use vigo_content::config::{Route, RouteTable};
use vigo_stacks::SourceTree;
use vigo_swarm::outline::BlobRef;

use crate::Target;
use crate::feed::{Feed, Ink};
use crate::targets::policy::published;
use crate::world::world;

pub const TARGET: Target = Target {
    name: "routes",
    about: "route tables and what they give a name, archives of source trees and what compiles of them",
    run,
    seeds,
    longest: 4_096,
};

fn run(bytes: &[u8]) {
    let mut feed = Feed::new(bytes);
    match feed.below(2) {
        0 => {
            let name =
                *feed.pick(&["web01", "bolt1", "a.b.example", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]);
            table(&name.parse().expect("a name"), feed.rest());
        }
        _ => archive(feed.rest()),
    }
}

fn table(name: &Hostname, bytes: &[u8]) {
    let Ok(table) = RouteTable::decode(bytes) else { return };
    assert_eq!(table.encode(), bytes, "one spelling of a route table");
    match table.route(name) {
        Some(route) => {
            assert!(table.routes.contains(route));
            assert!(table.policy(name).is_some(), "a route leads to a policy");
        }
        None => assert_eq!(table.policy(name), None),
    }
}

fn archive(bytes: &[u8]) {
    let Ok(tree) = SourceTree::from_archive(bytes) else { return };
    assert_eq!(tree.to_archive(), bytes, "one spelling of an archive");
    for (path, _) in tree.iter() {
        let inside = !path.starts_with('/') && path.split('/').all(|part| !part.is_empty() && part != "..");
        assert!(inside, "{path:?} leads out of the tree");
    }
    vigo_stacks::compile(&tree);
}

fn seeds() -> Vec<Vec<u8>> {
    let (routes, policies, archive) = published();
    let table = RouteTable {
        version: 1,
        policies: policies.iter().map(|bytes| BlobRef::of(bytes)).collect(),
        routes: routes
            .iter()
            .map(|route| Route {
                pattern: route.pattern.to_string(),
                tags: BTreeSet::from(["prod".to_string()]),
                policy: route.policy as u32,
                origin: "site/hosts.vgo:2".into(),
            })
            .collect(),
    };
    let wild = RouteTable {
        routes: vec![Route {
            pattern: "*a*a*a*a*a*b".into(),
            tags: BTreeSet::new(),
            policy: 0,
            origin: String::new(),
        }],
        policies: vec![world().blob],
        version: 1,
    };
    let tables = [table.encode(), wild.encode()];
    let mut all: Vec<Vec<u8>> = Vec::new();
    for table in &tables {
        all.extend((0..4).map(|name| Ink::new().byte(0).byte(name).raw(table).done()));
    }
    all.push(Ink::new().byte(1).raw(&archive).done());
    all.push(Ink::new().byte(1).raw(&SourceTree::new().to_archive()).done());
    all
}
