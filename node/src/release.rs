//! What a publish is made of: blobs, from a compiled tree. Pure; shared by `vigocli config publish` and `simnet`.

use vigo_content::config::{Route, RouteTable};
use vigo_stacks::{Compiled, SourceTree};
use vigo_swarm::outline::BlobRef;

/// The blobs of a publish.
#[derive(Debug, Clone)]
pub struct Release {
    /// The route table; one of `blobs`.
    pub routes: BlobRef,
    /// The source tree; one of `blobs`.
    pub source: BlobRef,
    /// All blobs, policies first, each once.
    pub blobs: Vec<(BlobRef, Vec<u8>)>,
    /// The route table, for looking at.
    pub table: RouteTable,
}

impl Release {
    /// Packs a compiled tree.
    pub fn pack(tree: &SourceTree, compiled: &Compiled) -> Release {
        let mut blobs: Vec<(BlobRef, Vec<u8>)> = Vec::new();
        let mut add = |bytes: Vec<u8>| {
            let blob = BlobRef::of(&bytes);
            if !blobs.iter().any(|(known, _)| *known == blob) {
                blobs.push((blob, bytes));
            }
            blob
        };
        let policies: Vec<BlobRef> = compiled.policies.iter().map(|policy| add(policy.to_bytes())).collect();
        let route = |route: &vigo_stacks::Route| Route {
            pattern: route.pattern.clone(),
            tags: route.tags.iter().cloned().collect(),
            policy: route.policy as u32,
            origin: route.origin.clone(),
        };
        let routes = compiled.routes.iter().map(route).collect();
        let table = RouteTable { version: 1, policies, routes };
        let routes = add(table.encode());
        let source = add(tree.to_archive());
        Release { routes, source, blobs, table }
    }
}
