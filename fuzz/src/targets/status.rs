//! What nodes say of themselves and what bolts log: presence, runs, traits, audit entries, saved address books.

use std::collections::BTreeMap;

use vigo_base::{PublicKey, Stamp, Time};
use vigo_content::audit::{Entry, Kind, Who, rows, verify};
use vigo_content::status::{Presence, Run, Traits, drift, failure, offline_after};
use vigo_crdt::{Record, Space, log};
use vigo_swarm::peers::{Address, Book};

use crate::Target;
use crate::feed::{Feed, Ink};
use crate::world::{key, world};

pub const TARGET: Target = Target {
    name: "status",
    about: "presence, runs, traits, audit entries and whole logs, address books",
    run,
    seeds,
    longest: 4_096,
};

/// Entries of one log.
const MOST: usize = 16;

fn run(bytes: &[u8]) {
    let mut feed = Feed::new(bytes);
    match feed.below(6) {
        0 => {
            let bytes = feed.rest();
            if let Ok(said) = Presence::decode(bytes) {
                assert_eq!(said.encode(), bytes);
                offline_after(said.cadence);
                said.addresses.iter().for_each(|text| drop(text.parse::<Address>()));
            }
        }
        1 => {
            let bytes = feed.rest();
            if let Ok(run) = Run::decode(bytes) {
                Run::decode(&run.encode()).expect("what was cut to size is read");
                failure(Some(&run));
                drift(Some(&run), 5);
            }
        }
        2 => {
            let bytes = feed.rest();
            if let Ok(traits) = Traits::decode(bytes) {
                Traits::decode(&traits.encode()).expect("what was cut to size is read");
            }
        }
        3 => {
            let bytes = feed.rest();
            if let Ok(entry) = Entry::decode(bytes) {
                Entry::decode(&entry.encode()).expect("what was cut to size is read");
                assert!(!entry.kind_name().is_empty());
                entry.mark();
            }
        }
        4 => logs(&mut feed),
        _ => {
            let bytes = feed.rest();
            if let Ok(book) = Book::decode(bytes) {
                assert_eq!(book.encode(), bytes, "one spelling of a book");
            }
        }
    }
}

/// Two logs with any numbers, links and bodies, signed right, held against each other.
fn logs(feed: &mut Feed<'_>) {
    let mut all: Vec<Record> = Vec::new();
    while !feed.is_empty() && all.len() < MOST {
        let author = key(40 + feed.byte() % 2);
        let number = if feed.rarely() { feed.number().max(1) } else { all.len() as u64 / 2 + 1 };
        let previous = match feed.byte() {
            n @ 0..250 if !all.is_empty() => all[usize::from(n) % all.len()].id(),
            _ => vigo_base::Hash(feed.array()),
        };
        let body = feed.run();
        let payload = log::payload(number, &previous, &body[..body.len().min(2_048)]);
        let space = Space::audit(&author.public());
        all.extend(Record::sign(&author, &world().spanner, space, number, log::LOG, Stamp(number), payload));
    }
    let mut by: BTreeMap<PublicKey, Vec<&Record>> = BTreeMap::new();
    all.iter().for_each(|record| by.entry(record.author()).or_default().push(record));
    let one = verify(&world().spanner, &by);
    by.values_mut().for_each(|records| records.reverse());
    assert_eq!(
        format!("{one:?}"),
        format!("{:?}", verify(&world().spanner, &by)),
        "the order decides something"
    );
    for row in rows(all.iter()) {
        let _ = row.entry.map(|entry| entry.kind_name());
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let presence = Presence {
        version: "1".into(),
        addresses: vec!["10.0.0.1:1531".into()],
        started: Time(1),
        cadence: 60,
    };
    let steps = vec![vigo_content::status::RunStep {
        id: "a/b".into(),
        outcome: "changed".into(),
        message: "".into(),
    }];
    let run = Run {
        epoch: 3,
        millis: 9,
        changes: vec![1, 0, 2],
        steps,
        aborted: Some("x".into()),
        ..Run::default()
    };
    let traits = Traits { json: "{\"os\":{\"arch\":\"amd64\"},\"packages\":[1,2]}".into() };
    let who = Who::Node { key: key(40).public(), name: "bolt2".into() };
    let entry = Entry::new(Time(9), Kind::Anchors, who, "web01", "text").about(world().spanner.0).encode();
    let values = [presence.encode(), run.encode(), traits.encode(), entry.clone()];
    let mut all: Vec<Vec<u8>> =
        values.iter().enumerate().map(|(i, v)| Ink::new().byte(i as u8).raw(v).done()).collect();
    let line = |ink: Ink, author, link| ink.byte(author).byte(0).byte(link).run(&entry);
    let logs = line(line(line(line(Ink::new().byte(4), 0, 255), 1, 255), 0, 0), 1, 1);
    all.push(logs.done());
    let book = world().disk.meta.get("book").cloned().unwrap_or_else(|| Book::default().encode());
    all.push(Ink::new().byte(5).raw(&book).done());
    all
}
