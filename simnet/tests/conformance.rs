//! The stories of `tests/stories`, told in the virtual world.
//!
//! The lab tells the same ones with real programs (`tests/lab_fleet/conformance.rs`). Here too they are told to fail:
//! by an end that is written otherwise, and by a world in which something does not happen.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use vigo_base::time::secs;
use vigo_executors::FakeHost;
pub(crate) use vigo_node as node;
use vigo_node::command::{Command, Reply};
use vigo_node::sign::Signer;
use vigo_node::spanner::NodeKind;
use vigo_simnet::{Disk, Fleet, Ix, Skew};

#[path = "../../tests/stories/mod.rs"]
mod stories;

use stories::{Bad, FORMS, Stage, Step, Story, Tree, parse, play, read};

stories::stories!(tell);

fn tell(name: &str) {
    stories::tell(&mut World::new(), name);
}

/// The virtual world as a stage.
struct World {
    fleet: Fleet,
    began: vigo_base::Time,
    machines: BTreeMap<String, Ix>,
    disks: BTreeMap<String, (Disk, FakeHost)>,
    /// Whether a cut link stays cut: a world that is not what it should be.
    never_heals: bool,
}

impl World {
    fn new() -> World {
        let fleet = Fleet::new(77);
        let began = fleet.now();
        World { fleet, began, machines: BTreeMap::new(), disks: BTreeMap::new(), never_heals: false }
    }

    fn ix(&self, name: &str) -> Ix {
        *self.machines.get(name).unwrap_or_else(|| panic!("there is no machine {name}"))
    }

    /// A statement that the operator signs with what a node says it must know.
    fn signer(&mut self, at: Ix) -> Result<Signer, String> {
        let key = self.fleet.operator.clone();
        match self.fleet.call(at, Command::Context { key: key.public() }) {
            Ok(Reply::Context(context)) => Ok(Signer::new(key, *context)),
            Ok(other) => Err(format!("{other:?}")),
            Err(refusal) => Err(refusal.what),
        }
    }
}

impl Stage for World {
    fn title(&self) -> &'static str {
        "simnet"
    }

    fn now(&self) -> Duration {
        Duration::from_micros(self.fleet.now().since(self.began))
    }

    fn pass(&mut self, time: Duration) {
        self.fleet.elapse(u64::try_from(time.as_micros()).expect("a story is short"));
    }

    fn fleet(&mut self, bolts: usize, envoys: usize) {
        self.machines.insert("bolt1".into(), self.fleet.found("bolt1"));
        let more = (2..=bolts).map(|n| (format!("bolt{n}"), true));
        for (name, bolt) in more.chain((1..=envoys).map(|n| (format!("env{n}"), false))).collect::<Vec<_>>() {
            self.join(&name, bolt, "bolt1", false);
        }
        self.fleet.elapse(secs(10));
    }

    fn join(&mut self, name: &str, bolt: bool, through: &str, nat: bool) {
        let (at, kind) = (self.ix(through), if bolt { NodeKind::Bolt } else { NodeKind::Envoy });
        let token = self.fleet.invite(at, name, kind);
        let ix = self.fleet.add(name);
        if nat {
            self.fleet.only_dials(ix);
        }
        self.fleet.enrol(ix, token, name);
        assert!(self.fleet.until(secs(30), |f| f.has_joined(ix)).is_some(), "{name} does not join");
        self.fleet.restart_joined(ix);
        self.machines.insert(name.into(), ix);
    }

    fn publish(&mut self, trees: &[(&str, Tree)]) -> Vec<Result<String, String>> {
        let mut signed = Vec::new();
        for (at, tree) in trees {
            let at = self.ix(at);
            let files: Vec<(&str, &str)> = tree.iter().map(|(path, text)| (*path, text.as_str())).collect();
            let release = self.fleet.store(at, &files);
            signed.push(self.signer(at).and_then(|signer| {
                let signed = signer.publish(release.routes, release.source, "").map_err(|e| e.to_string());
                signed.map(|signed| (at, signed))
            }));
        }
        let submitted = signed.into_iter().map(|signed| {
            let (at, signed) = signed?;
            self.fleet.submit(at, &signed).map(|id| id.to_string()).map_err(|refusal| refusal.what)
        });
        submitted.collect()
    }

    fn set(&mut self, at: &str, key: &str, value: &Value) {
        let at = self.ix(at);
        let signer = self.signer(at).unwrap_or_else(|e| panic!("set {key}: {e}"));
        let signed = signer.set(key, Some(value)).unwrap_or_else(|e| panic!("set {key}: {e}"));
        self.fleet.submit(at, &signed).unwrap_or_else(|e| panic!("set {key}: {e}"));
    }

    fn revoke(&mut self, name: &str, through: &str) {
        let (key, through) = (self.fleet.key(self.ix(name)), self.ix(through));
        self.fleet.revoke(through, key);
    }

    fn split(&mut self, left: &[String], right: &[String]) {
        let ixs = |side: &[String]| side.iter().map(|name| self.ix(name)).collect::<Vec<_>>();
        let (left, right) = (ixs(left), ixs(right));
        self.fleet.partition(&left, &right);
    }

    fn deafen(&mut self, to: &str, from: &str) {
        self.fleet.cut_one_way(self.ix(from), self.ix(to));
    }

    fn heal(&mut self) {
        if !self.never_heals {
            self.fleet.heal();
        }
    }

    fn kill(&mut self, name: &str) {
        self.fleet.kill(self.ix(name));
    }

    fn stop(&mut self, name: &str) {
        // A node that ends in order leaves nothing else behind than one that lost power with nothing under way.
        self.fleet.elapse(secs(1));
        self.fleet.kill(self.ix(name));
    }

    fn start(&mut self, name: &str) {
        self.fleet.start(self.ix(name));
    }

    fn clock(&mut self, name: &str, seconds: i64) {
        let ix = self.ix(name);
        self.fleet.machine_mut(ix).clock = Skew { ahead: seconds * 1_000_000, ..Skew::default() };
    }

    fn mark(&mut self, name: &str, mark: &str) {
        let machine = self.fleet.machine(self.ix(name));
        self.disks.insert(mark.into(), (machine.disk.clone(), machine.host.clone()));
    }

    fn roll_back(&mut self, name: &str, mark: &str) {
        let (disk, host) = self.disks[mark].clone();
        let ix = self.ix(name);
        let machine = self.fleet.machine_mut(ix);
        (machine.disk, machine.host) = (disk, host);
    }

    fn call(&mut self, name: &str, command: Command) -> Option<Reply> {
        self.fleet.try_call(self.ix(name), command)?.ok()
    }

    fn files(&mut self, name: &str) -> BTreeMap<String, String> {
        let ix = self.ix(name);
        let paths = self.fleet.machine(ix).host.paths();
        let ours = paths.into_iter().filter(|path| path == "/etc/release" || path.starts_with("/srv/"));
        ours.filter_map(|path| Some((path.clone(), self.fleet.file(ix, &path)?))).collect()
    }
}

/// Every number, word and flag of a state, each bent once.
fn bent(state: &Value) -> Vec<Value> {
    match state {
        Value::Object(map) => {
            let inner = map.iter().flat_map(|(key, value)| {
                bent(value).into_iter().map(move |other| {
                    let mut map = map.clone();
                    map.insert(key.clone(), other);
                    Value::Object(map)
                })
            });
            let less = map.keys().map(|key| {
                let mut map = map.clone();
                map.remove(key);
                Value::Object(map)
            });
            inner.chain(less).collect()
        }
        Value::Number(n) => vec![json!(n.as_u64().map_or(0, |n| n + 1))],
        Value::String(text) => vec![json!(format!("{text}x"))],
        other => vec![json!(other.is_null())],
    }
}

#[test]
fn an_end_that_is_written_otherwise_is_noticed() {
    let story = read("settings_on_both_sides_of_a_partition");
    let ended = play(&mut World::new(), &story).expect("it ends as it is written");
    assert_eq!(ended, story.ends);
    let others = bent(&story.ends);
    assert!(others.len() > 20, "{}", others.len());
    for ends in others.into_iter().step_by(5) {
        let fell = play(&mut World::new(), &Story { ends, ..story.clone() }).expect_err("it was bent");
        assert!(fell.to_string().contains("it ended in") && fell.ended.as_ref() == Some(&ended), "{fell}");
    }
}

#[test]
fn a_world_that_never_heals_is_noticed() {
    for name in ["a_partition_heals", "a_fork_is_closed_by_the_next_publish"] {
        let mut world = World { never_heals: true, ..World::new() };
        let fell = play(&mut world, &read(name)).expect_err("it does not heal");
        assert!(fell.what.contains("not within"), "{fell}");
    }
}

#[test]
fn every_story_shows_a_promise_and_every_form_of_words_is_used() {
    let stories: Vec<Story> = NAMES.iter().map(|name| read(name)).collect();
    for story in &stories {
        assert!(!story.shows.is_empty(), "{}: add a line like `shows R3`", story.file);
    }
    for promise in ["R1", "R3", "R10", "R15"] {
        assert!(stories.iter().any(|s| s.shows.iter().any(|p| p == promise)), "no story shows {promise}");
    }
    let kind = |step: &Step| format!("{step:?}").split([' ', '(']).next().map(str::to_owned);
    let used: Vec<_> = stories.iter().flat_map(|s| &s.steps).map(|line| kind(&line.step)).collect();
    let all = "Fleet Join Publish PublishIsRefused Run NeverRan Head Split Heal Deaf Set Say Agree Kill Stop Start \
               Revoke CutOff Knows Listed Clock Mark RollBack Wait";
    for step in all.split(' ') {
        assert!(used.contains(&Some(step.to_owned())), "no story says {step}");
    }
}

fn bad(lines: &str) -> Bad {
    let text = format!("fleet of 1 bolt and 2 envoys\npublish A at bolt1\n{lines}\nends\n{{}}\n");
    parse("s.story", &text).expect_err(lines)
}

#[test]
fn every_slip_names_its_line_and_what_would_do() {
    for (line, found, expected, near) in [
        ("publsh B at bolt1", "publsh B at bolt1", "a step, such as", Some("publish")),
        ("publish B in bolt1", "publish B in bolt1", "`publish NEWLABEL at NODE`", None),
        ("publish B at blt1", "blt1", "a machine of this story: bolt1 env1 env2", Some("bolt1")),
        ("publish A at env1", "A", "a label that no publish had before", None),
        ("env1 and env9 run A within 30s", "env9", "a machine of this story", Some("env1")),
        ("everyone runs B within 30s", "B", "something that was published: A", Some("A")),
        ("everyone runs A within 30", "30", "a time, like 30s or 2m", None),
        ("everyone runs A", "everyone runs A (and no more)", "`NODES run LABEL within TIME`", None),
        ("heal now", "heal now", "`heal`", None),
        ("split env1 | env1 env2", "env1", "every machine on one side", None),
        ("split everyone | env2", "everyone", "the names of the machines on each side", None),
        ("set converge.interval at env1", "converge.interval", "KEY=VALUE", None),
        ("set spanner.mode=joiner at env1", "joiner", "a value as JSON", None),
        ("join env1 as envoy through bolt1", "env1", "a name that no machine has yet", None),
        ("join new1 as evnoy through bolt1", "evnoy", "a kind: bolt envoy", Some("envoy")),
        ("clock of env1 is 1 yaer back", "yaer", "minutes, hours, days or years", None),
        ("disk of env1 rolled back to past", "past", "a mark that was made: there is none yet", None),
        ("fleet of 2 bolts and 2 envoys", "a second fleet", "one fleet in a story", None),
    ] {
        let bad = bad(line);
        let said = (bad.file.as_str(), bad.line, bad.found.as_str(), bad.near.as_deref());
        assert_eq!(said.0, "s.story");
        assert_eq!((said.1, said.2), (3, found), "{line}: {bad}");
        assert!(bad.expected.contains(expected), "{line}: {bad}");
        assert!(near.is_none() || said.3 == near, "{line}: {said:?}");
    }
    let whole = |text: &str| parse("s.story", text).expect_err(text).to_string();
    assert!(whole("heal\nends\n{}").contains("a first step `fleet of N bolts and N envoys`"));
    assert!(whole("fleet of 1 bolt and 1 envoy\n").contains("a line `ends`"));
    assert!(whole("fleet of 0 bolts and 1 envoy\nends\n{}").contains("a bolt at least"));
    let json = whole("fleet of 1 bolt and 1 envoy\nends\n{\n  \"a\": x\n}\n");
    assert!(json.starts_with("s.story:4: found `\"a\": x`; expected the state at the end as JSON"), "{json}");
}

#[test]
fn forms_are_told_apart_and_holes_are_filled() {
    let text = "fleet of 2 bolts and 2 envoys\n\
                publish A at bolt1\npublish B at bolt1 and C at bolt2 at once\n\
                all but env1 and env2 run A within 2m\nstart env1 env2\nends\n{}\n";
    let story = parse("s.story", text).expect("it is one");
    let steps: Vec<&Step> = story.steps.iter().map(|line| &line.step).collect();
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(steps[1], &Step::Publish(vec![pair("A", "bolt1")]));
    assert_eq!(steps[2], &Step::Publish(vec![pair("B", "bolt1"), pair("C", "bolt2")]));
    let not = vec!["env1".to_owned(), "env2".to_owned()];
    let who = stories::Who::AllBut(not.clone());
    assert_eq!(steps[3], &Step::Run { who, label: "A".into(), within: Duration::from_secs(120) });
    assert_eq!(steps[4], &Step::Start(stories::Who::These(not)));
    assert!(FORMS.len() >= 24);
}
