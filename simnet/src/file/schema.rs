//! Which tables and keys a scenario file has, and what they come to.
//!
//! What a key means stands in `docs/simulation.md`. Everything is bounded here, so that no file asks for what does not
//! fit into a machine. It reads values and runs nothing.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};
use vigo_base::time::{Micros, hours, mins, secs};

use super::read::{Mistakes, Notes, Section};
use super::value::{self, COUNT, PERCENT, SHARE, SPAN, SWITCH, TEXT, TIME, of};
use super::{File, Kind};
use crate::crowd::Crowd;
use crate::faults::Rates;
use crate::hostile::Behaviour;
use crate::net::Links;
use crate::scenario::{Act, CHECKS, Checks, DEEDS, Kept, Life, Plan, Step, Work};

/// The most virtual time of one run.
const LONGEST: Micros = hours(24 * 400);
/// The most that happens in a life, and in a plan.
const STEPS: u64 = 100_000;
/// The most nodes of a fleet, and of a crowd.
const NODES: usize = 250;
const CROWD: usize = 100_000;
/// Seeds of one run at most.
const SEEDS: u64 = 1_000_000;

/// How many nodes a kind may have.
pub(super) fn sizes(kind: &Kind) -> (usize, usize) {
    match kind {
        Kind::Lives(_) | Kind::Fleet(_) => (3, NODES),
        Kind::Crowd(_) => (8, CROWD),
    }
}

pub(super) fn file(name: &str, text: &str) -> Result<File, Mistakes> {
    let mut notes = Notes::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        notes.wrong(&error.span().unwrap_or(0..0), format!("no TOML: {}", error.message()), None);
    }
    let mut top = Section::new("the file", 0..0, table.get_ref());
    let read = whole(&mut top, &mut notes);
    top.end(&mut notes);
    notes.end(name)?;
    // Something is missing only where that was noted.
    read.ok_or_else(|| Mistakes { file: name.to_string(), all: Vec::new() })
}

fn whole(top: &mut Section<'_>, notes: &mut Notes<'_>) -> Option<File> {
    let expected = "a name of small letters, digits and dashes";
    let name = top.need(notes, "name", expected, of(|name| is_name(name).then(|| name.to_string())));
    let about = top.need(notes, "about", TEXT, value::text);
    let kind = top.need(notes, "kind", "\"lives\", \"fleet\" or \"crowd\"", of(kind_of));
    let seeds = top.value(notes, "seeds", "1 to 1000000", count_to(1, SEEDS)).unwrap_or(1);
    let kind = match kind? {
        Kind::Lives(life) => Kind::Lives(a_life(top, notes, life)),
        Kind::Crowd(crowd) => Kind::Crowd(a_crowd(top, notes, crowd)),
        Kind::Fleet(plan) => Kind::Fleet(a_plan(top, notes, plan)),
    };
    let checks = checks(top, notes);
    Some(File { name: name?, about: about?, seeds, kind, checks })
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= 40 && name.chars().all(fits)
}

fn kind_of(name: &str) -> Option<Kind> {
    match name {
        "lives" => Some(Kind::Lives(Life::short())),
        "fleet" => Some(Kind::Fleet(Plan::default())),
        "crowd" => Some(Kind::Crowd(Crowd::of_replicas(1_000))),
        _ => None,
    }
}

fn count_to(least: u64, most: u64) -> impl Fn(&DeValue<'_>) -> Option<u64> {
    move |found| value::count(found).filter(|n| (least..=most).contains(n))
}

fn a_time(text: &str) -> Option<Micros> {
    value::time(text).filter(|t| *t <= LONGEST)
}

/// What lives and fleets have in common.
fn a_fleet(top: &mut Section<'_>, notes: &mut Notes<'_>, life: &mut Life) {
    if let Some(settles) = top.value(notes, "settles", TIME, of(a_time)) {
        life.settles = settles.max(secs(1));
    }
    if let Some(mut size) = top.table(notes, "size") {
        let expected = format!("a number or two like [3, 20], from 3 to {}", NODES);
        let range = |found: &DeValue<'_>| a_range(found, (3, NODES));
        if let Some(nodes) = size.value(notes, "nodes", &expected, range) {
            life.nodes = nodes;
        }
        let most = life.nodes.0 as u64;
        let bolts = size.value(notes, "bolts", "1 or more, and no more than nodes", count_to(1, most));
        life.bolts = bolts.map(|n| n as usize).or(life.bolts);
        life.gossip = size.value(notes, "gossip", SWITCH, value::switch).or(life.gossip);
        if let Some(share) = size.value(notes, "dial-only", PERCENT, of(value::percent)) {
            life.dial_only = share;
        }
        size.end(notes);
    }
    if let Some(mut section) = top.table(notes, "links") {
        links(&mut section, notes, &mut life.links);
        section.end(notes);
    }
    if let Some(mut section) = top.table(notes, "faults") {
        life.faults = rates(&mut section, notes, life.faults);
        section.end(notes);
    }
}

fn a_range(found: &DeValue<'_>, within: (usize, usize)) -> Option<(usize, usize)> {
    let number = |found: &DeValue<'_>| {
        let n = usize::try_from(value::count(found)?).ok()?;
        (within.0..=within.1).contains(&n).then_some(n)
    };
    if let Some(n) = number(found) {
        return Some((n, n));
    }
    let both: Vec<usize> = found.as_array()?.iter().filter_map(|each| number(each.get_ref())).collect();
    match both[..] {
        [least, most] if least <= most && found.as_array()?.len() == 2 => Some((least, most)),
        _ => None,
    }
}

fn links(section: &mut Section<'_>, notes: &mut Notes<'_>, links: &mut Links) {
    let mut set = |key, to: &mut u64| {
        if let Some(n) = section.value(notes, key, SHARE, of(value::one_in)) {
            *to = n;
        }
    };
    set("loss", &mut links.loss);
    set("gossip-loss", &mut links.gossip_loss);
    set("duplicates", &mut links.duplicates);
    set("clogs", &mut links.clogs);
    set("tail", &mut links.tail.0);
    for (key, to) in [("delay", &mut links.delay), ("stall", &mut links.stall)] {
        let fits = |text: &str| value::span(text).filter(|(_, most)| *most <= mins(5));
        if let Some(found) = section.value(notes, key, SPAN, of(fits)) {
            *to = found;
        }
    }
    if let Some(n) = section.value(notes, "tail-times", "2 to 1000", count_to(2, 1_000)) {
        links.tail.1 = n;
    }
    if let Some(n) = section.value(notes, "bandwidth", "bytes a second, 0 for any", value::count) {
        links.bandwidth = n;
    }
}

fn rates(section: &mut Section<'_>, notes: &mut Notes<'_>, before: Rates) -> Rates {
    let mut rates = before;
    for (key, to) in rates.named() {
        if let Some(n) = section.value(notes, key, SHARE, of(value::one_in)) {
            *to = n;
        }
    }
    rates
}

fn a_life(top: &mut Section<'_>, notes: &mut Notes<'_>, mut life: Life) -> Life {
    a_fleet(top, notes, &mut life);
    let steps = top.value(notes, "steps", &format!("1 to {STEPS}"), count_to(1, STEPS));
    life.steps = steps.unwrap_or(life.steps);
    life.pause = top.value(notes, "pause", TIME, of(a_time)).unwrap_or(life.pause).max(1);
    if let Some(mut section) = top.table(notes, "weights") {
        let names: Vec<&str> = DEEDS.iter().map(|deed| deed.name).collect();
        let mut weights = BTreeMap::new();
        for (name, at, (place, found)) in section.rest() {
            if !names.contains(&name) {
                notes.unknown(&at, "deed", name, &names);
            } else if let Some(weight) = value::count(found).filter(|n| *n <= 1_000) {
                weights.insert(name.to_string(), weight);
            } else {
                let shown = notes.shown(&place);
                notes.wrong(&place, format!("found {name} = {shown}, expected {COUNT} up to 1000"), None);
            }
        }
        if weights.len() == names.len() && weights.values().all(|weight| *weight == 0) {
            notes.wrong(&section.at, "found only weights of 0, expected something that happens", None);
        }
        life.weights = weights;
    }
    life
}

fn a_plan(top: &mut Section<'_>, notes: &mut Notes<'_>, mut plan: Plan) -> Plan {
    a_fleet(top, notes, &mut plan.life);
    plan.lasts = top.need(notes, "lasts", TIME, of(a_time)).unwrap_or(plan.lasts);
    for mut section in top.tables(notes, "workload") {
        if let Some(work) = a_work(&mut section, notes, plan.lasts) {
            plan.workload.push(work);
        }
        section.end(notes);
    }
    for mut section in top.tables(notes, "at") {
        if let Some(step) = a_step(&mut section, notes, plan.lasts) {
            plan.steps.push(step);
        }
        section.end(notes);
    }
    plan.steps.sort_by_key(|step| step.time);
    plan
}

/// The deed that a key names.
fn a_deed(section: &mut Section<'_>, notes: &mut Notes<'_>) -> Option<&'static str> {
    let (at, found) = match section.find("deed") {
        Some(found) => found,
        None => {
            notes.wrong(&section.at.clone(), "found no deed in [[workload]], expected the name of one", None);
            return None;
        }
    };
    let names: Vec<&'static str> = DEEDS.iter().map(|deed| deed.name).collect();
    let name = found.as_str().unwrap_or_default();
    let deed = names.iter().copied().find(|known| *known == name);
    if deed.is_none() {
        notes.unknown(&at, "deed", name, &names);
    }
    deed
}

fn a_work(section: &mut Section<'_>, notes: &mut Notes<'_>, lasts: Micros) -> Option<Work> {
    let deed = a_deed(section, notes);
    let every = section.need(notes, "every", TIME, of(|t| a_time(t).filter(|t| *t >= 1_000)));
    let from = section.value(notes, "from", TIME, of(a_time)).unwrap_or(0);
    let until = section.value(notes, "until", TIME, of(a_time)).unwrap_or(lasts);
    let (deed, every) = (deed?, every?);
    if until.saturating_sub(from) / every > STEPS {
        let what = format!("found more than {STEPS} times of {deed}, expected a longer pause");
        notes.wrong(&section.at.clone(), what, None);
    }
    Some(Work { deed, every, from, until })
}

/// How a member is hostile.
fn how(section: &mut Section<'_>, notes: &mut Notes<'_>) -> Option<Behaviour> {
    let names: Vec<&str> = Behaviour::ALL.iter().map(|behaviour| behaviour.word()).collect();
    let Some((at, found)) = section.find("how") else {
        let what = format!("found no how in [[at]], expected one of: {}", names.join(", "));
        notes.wrong(&section.at.clone(), what, None);
        return None;
    };
    let name = found.as_str().unwrap_or_default();
    let behaviour = Behaviour::ALL.into_iter().find(|behaviour| behaviour.word() == name);
    if behaviour.is_none() {
        notes.unknown(&at, "how", name, &names);
    }
    behaviour
}

fn a_step(section: &mut Section<'_>, notes: &mut Notes<'_>, lasts: Micros) -> Option<Step> {
    let within = |text: &str| a_time(text).filter(|t| *t <= lasts);
    let expected = format!("{TIME}, not behind lasts");
    let time = section.need(notes, "time", &expected, of(within));
    let share = section.value(notes, "share", PERCENT, of(value::percent));
    let times = section.value(notes, "times", "1 to 10000", count_to(1, 10_000)).unwrap_or(1);
    let (at, found) = match section.find("do") {
        Some(found) => found,
        None => {
            notes.wrong(&section.at.clone(), "found no do in [[at]], expected the name of a step", None);
            return None;
        }
    };
    let name = found.as_str().unwrap_or_default();
    let share = share.unwrap_or(50);
    let act = match name {
        "partition" => Act::Partition { share },
        "heal" => Act::Heal,
        "bolts-off" => Act::BoltsOff,
        "off" => Act::Off { share },
        "on" => Act::On,
        "faults" => Act::Faults(rates(section, notes, Rates::default())),
        "hostile" => Act::Hostile(how(section, notes)?),
        _ => match DEEDS.iter().find(|deed| deed.name == name) {
            Some(deed) => Act::Deed { name: deed.name, times },
            None => {
                let names: Vec<&str> =
                    Act::NAMES.iter().copied().chain(DEEDS.iter().map(|d| d.name)).collect();
                notes.unknown(&at, "step", name, &names);
                return None;
            }
        },
    };
    Some(Step { time: time?, act })
}

fn a_crowd(top: &mut Section<'_>, notes: &mut Notes<'_>, mut crowd: Crowd) -> Crowd {
    if let Some(mut size) = top.table(notes, "size") {
        let expected = format!("a number from 8 to {}", CROWD);
        let nodes = size.value(notes, "nodes", &expected, count_to(8, CROWD as u64));
        let nodes = nodes.map_or(crowd.nodes, |n| n as usize);
        crowd = match size.value(notes, "replicas", SWITCH, value::switch) {
            Some(false) => Crowd::of_nodes(nodes),
            _ => Crowd::of_replicas(nodes),
        };
        let bolts = size.value(notes, "bolts", "1 or more", count_to(1, nodes as u64));
        crowd.bolts = bolts.map(|n| n as usize);
        size.end(notes);
    }
    let long = format!("{TIME}, 20s or longer");
    let lasts = top.value(notes, "lasts", &long, of(|t| a_time(t).filter(|t| *t >= secs(20))));
    crowd.lasts = lasts.unwrap_or(crowd.lasts);
    let updates = top.value(notes, "updates", "1 to 100000", count_to(1, STEPS));
    crowd.updates = updates.map_or(crowd.updates, |n| n as usize);
    crowd.crashed = top.value(notes, "crashed", PERCENT, of(half)).unwrap_or(crowd.crashed);
    if let Some(mut section) = top.table(notes, "links") {
        // Its loss is in per cent, and its own.
        crowd.loss = section.value(notes, "loss", PERCENT, of(half)).unwrap_or(crowd.loss);
        links(&mut section, notes, &mut crowd.links);
        section.end(notes);
    }
    crowd
}

fn half(text: &str) -> Option<u64> {
    value::percent(text).filter(|percent| *percent <= 50)
}

fn checks(top: &mut Section<'_>, notes: &mut Notes<'_>) -> Checks {
    let mut checks = Checks::default();
    let Some(mut section) = top.table(notes, "checks") else { return checks };
    checks.always = named(&mut section, notes, "always", Kept::Always);
    checks.eventually = named(&mut section, notes, "eventually", Kept::Eventually);
    let words = section.words(notes, "sometimes").unwrap_or_default();
    checks.sometimes = words.into_iter().map(|(_, word)| word.to_string()).collect();
    section.end(notes);
    checks
}

fn named(
    section: &mut Section<'_>,
    notes: &mut Notes<'_>,
    key: &'static str,
    kept: Kept,
) -> Option<Vec<String>> {
    let names: Vec<&str> = CHECKS.iter().filter(|c| c.kept == kept).map(|c| c.name).collect();
    let words: Vec<(Range<usize>, &str)> = section.words(notes, key)?;
    for (at, word) in &words {
        if !names.contains(word) {
            notes.unknown(at, "check", word, &names);
        }
    }
    Some(words.into_iter().map(|(_, word)| word.to_string()).collect())
}
