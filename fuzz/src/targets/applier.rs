//! The applier: statements and offers from a peer process gone bad.

use serde_json::json;
use vigo_base::Hash;
use vigo_content::config::{Epoch, Publish, RouteTable};
use vigo_crdt::Space;
use vigo_node::warrant::wire::{Kind, Offer, Tell, read_tally, tally};
use vigo_node::warrant::{Anchor, Request, Warrants};

use crate::Target;
use crate::feed::Ink;
use crate::smith::Smith;
use crate::world::world;

pub const TARGET: Target = Target {
    name: "applier",
    about: "frames between node and applier; what an applier is told and asked to run; its anchor",
    run,
    seeds,
    longest: 4_096,
};

/// Things that it is told in one input.
const MOST: usize = 12;

fn run(bytes: &[u8]) {
    if let Ok(anchor) = Anchor::decode(bytes) {
        assert_eq!(anchor.encode(), bytes, "one spelling of an anchor");
    }
    spelled(bytes);
    let envoy = &world().peers[2];
    let anchor = Anchor::of_papers(world().spanner, envoy.key.public(), &envoy.papers).expect("good papers");
    let mut warrants = Warrants::new(anchor, None);
    let mut smith = Smith::new(bytes);
    let fleet = world().authority.admissions().statements();
    let mut offers: Vec<Epoch> = Vec::new();
    for _ in 0..MOST {
        if smith.feed.is_empty() {
            break;
        }
        match smith.feed.below(6) {
            0 => fleet
                .values()
                .for_each(|said| drop(warrants.tell(&Space::admissions(), said.statement.bytes()))),
            1 | 2 => {
                let statement = smith.statement();
                if let Ok(publish) = Publish::read(&statement) {
                    offers.push(Epoch { epoch: publish.epoch, id: statement.id() });
                }
                let _ = warrants.tell(statement.space(), statement.bytes());
            }
            3 => {
                let space = if smith.feed.below(2) == 0 { Space::admissions() } else { Space::config() };
                let _ = warrants.tell(&space, smith.feed.run());
            }
            4 => {
                let at = Epoch { epoch: smith.feed.number(), id: smith.id() };
                judge(&mut warrants, at, smith.feed.run(), &[]);
            }
            _ => {
                let routes = RouteTable { version: 1, policies: vec![world().blob], routes: vec![] }.encode();
                for at in &offers {
                    judge(&mut warrants, *at, &routes, b"");
                }
            }
        }
    }
    // What one applier holds another takes, and comes to the same.
    let mut other = Warrants::new(warrants.anchor().clone(), warrants.floor());
    other.hear(&warrants.evidence());
    assert_eq!(other.len(), warrants.evidence().pieces().len());
}

/// The frames on the socket, in both directions.
fn spelled(bytes: &[u8]) {
    if let Some((head, body)) = bytes.split_first_chunk::<5>() {
        for limit in [Kind::asked, Kind::answered] {
            if let Ok((kind, length)) = Kind::head(head, limit) {
                assert!(limit(kind).is_some_and(|most| length <= most));
                assert_eq!(kind.spelled(length), Some(*head), "one spelling of a head");
            }
        }
        if let Some(offer) = Offer::decode(body) {
            assert_eq!(offer.encode(), body, "one spelling of an offer");
        }
        if let Some(told) = read_tally(body) {
            assert_eq!(tally(&told), body, "one spelling of a tally");
        }
        if let Some((space, statements)) = Tell::decode(body) {
            let mut tell = Tell::new(&space);
            assert!(statements.iter().all(|statement| tell.add(statement)));
            assert_eq!(tell.body(), body, "one spelling of what is told");
        }
    }
}

fn judge(warrants: &mut Warrants, at: Epoch, routes: &[u8], policy: &[u8]) {
    let _ = warrants.expect(at);
    let before = warrants.floor();
    let judged = warrants.judge(Request { at, routes, policy }, json!({}));
    if let Ok(warranted) = judged {
        assert_eq!(warranted.at(), at);
        assert_ne!(Hash::of(routes), Hash::of(b""), "nothing is run for nothing");
        warrants.begin(&warranted);
        assert!(before.is_none_or(|floor| floor <= at), "the floor never falls");
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let envoy = &world().peers[2];
    let anchor = Anchor::of_papers(world().spanner, envoy.key.public(), &envoy.papers).expect("good papers");
    let told = |ink: Ink| ink.byte(0);
    let publish = [1, 1, 17, 0, 0, 0, 0, 0, 0, 20];
    let mut all = vec![anchor.encode(), told(Ink::new()).raw(&publish).raw(&[5, 4, 17, 2, 0, 1, 9]).done()];
    for act in 0..8 {
        all.push(
            told(Ink::new()).raw(&[1, 0, act, 1, 2, 3, 17, 40, 2, 1, 0, 0, 20]).raw(&publish).byte(5).done(),
        );
    }
    let routes = RouteTable { version: 1, policies: vec![], routes: vec![] }.encode();
    let offer = Offer { at: Epoch { epoch: 1, id: world().ids[2] }, dry_run: true, routes: 9 }.encode();
    let head = Kind::Converge.spelled(offer.len()).expect("it fits");
    all.push(Ink::new().raw(&head).raw(&offer).done());
    let mut tell = Tell::new(&Space::config());
    tell.add(b"statement");
    let head = Kind::Tell.spelled(tell.body().len()).expect("it fits");
    all.push(Ink::new().raw(&head).raw(tell.body()).done());
    all.push(told(Ink::new()).byte(4).number(1).byte(2).run(&routes).done());
    all
}
