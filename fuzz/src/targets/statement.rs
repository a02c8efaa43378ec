//! Statements: as they came, with any payload signed by an operator, and whole sets of acts in two orders.

use std::collections::BTreeMap;
use std::sync::Arc;

use vigo_base::{Hash, Time, limits};
use vigo_content::config::Publish;
use vigo_content::settings::{Change, SettingsView};
use vigo_crdt::{Draft, Space, Statement};
use vigo_node::warrant;
use vigo_spanner::act::read_statement;
use vigo_spanner::{Act, Admissions, Authority, Pattern, Right, Roster};

use crate::Target;
use crate::feed::{Feed, Ink};
use crate::smith::Smith;
use crate::world::world;

pub const TARGET: Target = Target {
    name: "statement",
    about: "statements, the six acts, publishes and settings; then who is who, whatever order they came in",
    run,
    seeds,
    longest: 4_096,
};

/// Statements of one input.
const MOST: usize = 6;

fn run(bytes: &[u8]) {
    let mut feed = Feed::new(bytes);
    match feed.below(3) {
        0 => as_it_came(feed.rest()),
        1 => {
            let (space, kind) = (feed.below(3), u16::from(feed.byte() % 10));
            payload(space, kind, feed.rest());
        }
        _ => together(feed.rest()),
    }
}

fn as_it_came(bytes: &[u8]) {
    for space in [Space::admissions(), Space::config(), Space::settings()] {
        if let Ok(statement) = Statement::decode(bytes, &space, &world().spanner) {
            assert_eq!((statement.bytes(), statement.id()), (bytes, Hash::of(bytes)));
        }
    }
    let _ = read_statement(bytes, &world().spanner);
}

/// Any payload in a statement that an operator signed.
fn payload(space: usize, kind: u16, payload: &[u8]) {
    let space = [Space::admissions(), Space::config(), Space::settings()][space].clone();
    if let Ok(act) = Act::decode(kind, payload) {
        assert_eq!(act.encode(), payload, "one spelling of an act");
        assert_eq!((act.problem(), act.kind() as u16), (None, kind));
        act.needs();
    }
    let (signer, under) = &world().operators[0];
    let payload = payload[..payload.len().min(limits::PAYLOAD_BYTES - 1_024)].to_vec();
    let draft = Draft { space: space.clone(), kind, under: *under, after: vec![], at: Time(1), payload };
    let statement = draft.sign(signer, &world().spanner);
    let read = Statement::decode(statement.bytes(), &space, &world().spanner);
    assert_eq!(read.as_ref(), Ok(&statement), "what was signed is read");
    if let Ok(publish) = Publish::read(&statement) {
        assert_eq!(publish.encode(), statement.payload());
    }
    if let Ok(change) = Change::read(&statement) {
        assert_eq!(change.encode(), statement.payload());
    }
    judge(vec![statement]);
}

/// A handful of acts, publishes and settings; what counts must not depend on the order in which they came.
fn together(bytes: &[u8]) {
    let mut smith = Smith::new(bytes);
    let mut all = Vec::new();
    while !smith.feed.is_empty() && all.len() < MOST {
        all.push(smith.statement());
    }
    let one = judge(all.clone());
    all.reverse();
    assert_eq!(one, judge(all), "the order decides something");
}

/// What the fleet comes to with these statements.
fn judge(statements: Vec<Statement>) -> String {
    let mut admissions: Admissions = world().authority.admissions().clone();
    let mut others: BTreeMap<Space, BTreeMap<Hash, Arc<Statement>>> = BTreeMap::new();
    for statement in statements {
        match *statement.space() == Space::admissions() {
            true => drop(admissions.insert_statement(statement)),
            false => {
                let of = others.entry(statement.space().clone()).or_default();
                of.insert(statement.id(), Arc::new(statement));
            }
        }
    }
    let authority = Authority::evaluate(&admissions);
    let mut roster = Roster::new(&authority);
    roster.rejudge(&authority);
    let members: Vec<_> = roster.members().cloned().collect();
    let nothing = BTreeMap::new();
    let config = warrant::publishes(&authority, others.get(&Space::config()).unwrap_or(&nothing));
    warrant::missing(&authority, &config);
    let changes = others.get(&Space::settings()).unwrap_or(&nothing);
    let mut judged = authority.judge_space(&Space::settings(), changes);
    let settings = SettingsView::of(changes.values().map(|s| &**s), |s| {
        judged.judge(s, Right::Settings, &Pattern::any()).map_err(|e| e.to_string())
    });
    let operators: Vec<_> = authority.operators().map(|o| (o.id, o.key)).collect();
    let interval = settings.value("converge.interval");
    format!(
        "{members:?} {operators:?} {:?} {:?} {interval} {:?}",
        config.head(),
        config.tips(),
        settings.tips()
    )
}

fn seeds() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for said in world().authority.admissions().statements().values() {
        all.push(Ink::new().byte(0).raw(said.statement.bytes()).done());
        let kind = said.statement.kind() as u8;
        all.push(Ink::new().byte(1).byte(0).byte(kind).raw(said.statement.payload()).done());
    }
    let publish = Publish { epoch: 2, routes: world().blob, source: world().blob, note: "second".into() };
    all.push(Ink::new().byte(1).byte(1).byte(1).raw(&publish.encode()).done());
    for (key, value) in
        [("converge.interval", Some("60")), ("spanner.mode", Some("\"founder\"")), ("x", None)]
    {
        let change = Change { key: key.into(), value: value.map(String::from), generation: 1 };
        all.push(Ink::new().byte(1).byte(2).byte(1).raw(&change.encode()).done());
    }
    for act in 0..8 {
        let many = [0, act, 17, 1, 2, 3, 40, 5, 2, 19, 0, 1, 0, 2, 1, 18];
        all.push(Ink::new().byte(2).raw(&many).raw(&many).raw(&[1, 18, 0, 0, 0, 0, 0, 0, 20]).done());
    }
    all
}
