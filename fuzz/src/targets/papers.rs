//! Papers: as they came, and put together from statements and spends of the fleet with bent ones among them.

use vigo_base::{Hash, Stamp};
use vigo_crdt::{Record, Space};
use vigo_node::warrant::Anchor;
use vigo_spanner::{Admissions, Authority, Papers, RevocationDigest};

use crate::Target;
use crate::feed::{Feed, Ink};
use crate::smith::Smith;
use crate::world::world;

pub const TARGET: Target = Target {
    name: "papers",
    about: "papers with any statements and spends in them, held against a fleet that knows much, and one that knows nothing",
    run,
    seeds,
    longest: 8_192,
};

/// Parts of one input.
const MOST: usize = 40;

fn run(bytes: &[u8]) {
    let mut feed = Feed::new(bytes);
    match feed.below(2) {
        0 => check(feed.rest()),
        _ => check(&built(feed.rest()).encode()),
    }
}

fn check(bytes: &[u8]) {
    if let Ok(papers) = Papers::decode(bytes) {
        assert_eq!(papers.encode(), bytes, "one spelling of papers");
    }
    let alone = Authority::evaluate(&Admissions::new(world().spanner));
    for key in [&world().keys[4], &world().keys[6], &world().keys[7]] {
        for authority in [&world().authority, &alone] {
            if let Ok(checked) = Papers::check(bytes, key, authority) {
                assert_eq!(checked.spend.spend().node, *key, "they are of whoever shows them");
            }
        }
        if let Ok(anchor) = Anchor::of_papers(world().spanner, *key, bytes) {
            assert_eq!(Anchor::decode(&anchor.encode()), Ok(anchor));
        }
    }
}

/// Papers of parts that the feed picks, drops, doubles and bends.
fn built(bytes: &[u8]) -> Papers {
    let mut smith = Smith::new(bytes);
    let good =
        Papers::decode(&world().peers[smith.feed.below(world().peers.len())].papers).expect("they are good");
    let mut papers = Papers { statements: Vec::new(), spends: Vec::new(), revocations: good.revocations };
    for _ in 0..MOST {
        match smith.feed.byte() {
            0 => break,
            n @ 1..64 => {
                let from = usize::from(n - 1) % good.statements.len();
                papers.statements.extend(good.statements.get(from).cloned());
            }
            n @ 64..128 => papers.spends.push(good.spends[usize::from(n) % good.spends.len()].clone()),
            128..160 => papers.statements.push(smith.statement().bytes().to_vec()),
            160..192 => papers.spends.push(smith.record()),
            192..200 => papers.statements.push(smith.feed.run().to_vec()),
            200..208 => papers.spends.push(smith.feed.run().to_vec()),
            208..216 => {
                papers.revocations = RevocationDigest { count: smith.feed.number() as u32, hash: smith.id() }
            }
            216..224 => papers.statements.extend(good.statements.iter().cloned()),
            _ => papers.spends.extend(good.spends.iter().cloned()),
        }
    }
    papers
}

fn seeds() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> =
        world().peers.iter().map(|peer| Ink::new().byte(0).raw(&peer.papers).done()).collect();
    for peer in 0..world().peers.len() as u8 {
        all.push(vec![1, peer, 216, 224]);
        all.push(vec![1, peer, 216, 224, 160, 0, 16, 0, 2, 0, 3, 5, 7, 1, 128, 0, 1, 6, 5, 2, 1, 1, 0]);
        all.push(vec![1, peer, 1, 2, 3, 4, 64, 65, 216, 224, 208, 20, 1]);
    }
    // Nobody's: a record that is no spend in their place.
    let other =
        Record::sign(&crate::world::key(50), &world().spanner, Space::status(), 1, 4, Stamp(1), vec![0, 1]);
    let odd = Papers {
        statements: vec![vec![]],
        spends: other.map(|r| r.bytes().to_vec()).into_iter().collect(),
        revocations: RevocationDigest { count: 1, hash: Hash::default() },
    };
    all.push(Ink::new().byte(0).raw(&odd.encode()).done());
    all
}
