//! Tells a story on a stage: does what it says, waits for what must come, and compares the state at the end.
//!
//! It never waits without a bound. What a step waits for is looked at through the nodes' local API and in the files
//! of the machines, the same on every stage.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::forms::{Step, Who};
use super::parse::Story;
use super::stage::{SEEN, Stage, tree};
use crate::node::command::{Command, MemberRow, PublishRow, Reply, SettingRow, Status};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(40);

/// Where a story did not go on as it says.
#[derive(Debug, Clone)]
pub struct Fell {
    /// File and line.
    pub place: String,
    /// The step, as written.
    pub step: String,
    /// What was seen instead.
    pub what: String,
    /// The state at the end, if it came so far.
    pub ended: Option<Value>,
}

impl fmt::Display for Fell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.step, self.what)
    }
}

/// Tells it; gives the state in which it ended.
///
/// # Errors
/// [`Fell`] at the first step that does not hold, or where it ends otherwise than the story says.
pub fn play(stage: &mut impl Stage, story: &Story) -> Result<Value, Fell> {
    let (ids, machines, epochs) = (BTreeMap::new(), BTreeMap::new(), story.epochs);
    let mut player = Player { stage, ids, machines, epochs };
    for line in &story.steps {
        let began = player.stage.now();
        let told = player.step(&line.step);
        println!("{:>9.3} s  {}", (player.stage.now() - began).as_secs_f64(), line.text);
        told.map_err(|what| Fell {
            place: format!("{}:{}", story.file, line.at),
            step: line.text.clone(),
            what,
            ended: None,
        })?;
    }
    let ended = player.ended();
    if ended == story.ends {
        return Ok(ended);
    }
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    let what = format!("it ended in {}\nnot in {}", pretty(&ended), pretty(&story.ends));
    Err(Fell { place: story.file.clone(), step: "ends".into(), what, ended: Some(ended) })
}

/// What is known of a machine without asking it.
#[derive(Debug, Clone, Default)]
struct Known {
    on: bool,
    bolt: bool,
    revoked: bool,
    key: String,
}

struct Player<'s, S> {
    stage: &'s mut S,
    /// Labels by the ids of what was published.
    ids: BTreeMap<String, String>,
    machines: BTreeMap<String, Known>,
    /// Whether the state at the end tells epochs.
    epochs: bool,
}

impl<S: Stage> Player<'_, S> {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Fleet { .. } | Step::Join { .. } => self.comes(step),
            Step::Publish(all) => self.publish(all),
            Step::PublishIsRefused { at } => match self.stage.publish(&[(at, tree("refused"))]).pop() {
                Some(Err(_)) => Ok(()),
                other => Err(format!("it was taken: {other:?}")),
            },
            Step::Run { who, label, within } => {
                self.each(who, *within, |player, name| player.runs(name, label))
            }
            Step::NeverRan { who, label } => self.never_ran(who, label),
            Step::Head { who, label, within } => self.each(who, *within, |player, name| {
                let status = player.status(name)?;
                let head = status.head.map(|head| player.label(&head.id.to_string()));
                expect(head.as_deref() == Some(label), || format!("its head is {head:?}"))
            }),
            Step::Say { who, key, value, within } => self.each(who, *within, |player, name| {
                let rows = player.settings(name)?;
                let said = rows.into_iter().find(|row| row.key == *key).map(|row| row.value);
                expect(said.as_ref() == Some(value), || format!("it says {said:?}"))
            }),
            Step::Agree { who, within } => self.agree(who, *within),
            Step::Set { key, value, at } => {
                self.stage.set(at, key, value);
                Ok(())
            }
            Step::Split(left, right) => {
                self.stage.split(left, right);
                Ok(())
            }
            Step::Heal => {
                self.stage.heal();
                Ok(())
            }
            Step::Deaf { to, from } => {
                self.stage.deafen(to, from);
                Ok(())
            }
            Step::Wait(time) => {
                self.stage.pass(*time);
                Ok(())
            }
            Step::Kill(_) | Step::Stop(_) | Step::Start(_) => self.power(step),
            Step::Clock { .. } | Step::Mark { .. } | Step::RollBack { .. } => self.while_off(step),
            Step::Revoke { name, through } => {
                self.stage.revoke(name, through);
                self.known(name).revoked = true;
                Ok(())
            }
            Step::CutOff { name, within } => self.cut_off(name, *within),
            Step::Knows { name, within } => self.until(*within, |player| {
                let status = player.status(name)?;
                expect(status.standing == "revoked", || format!("it is {}", status.standing))
            }),
            Step::Listed { name, state, within } => self.until(*within, |player| {
                let mut bolts = player.whom(&Who::Everyone);
                bolts.retain(|name| player.machines[name].bolt);
                for bolt in bolts {
                    let rows = player.members(&bolt)?;
                    let found = rows.iter().find(|row| row.name == *name).map(|row| row.state.clone());
                    expect(found.as_deref() == Some(state), || format!("{bolt} lists it as {found:?}"))?;
                }
                Ok(())
            }),
        }
    }

    fn comes(&mut self, step: &Step) -> Result<(), String> {
        let names: Vec<(String, bool)> = match step {
            Step::Fleet { bolts, envoys } => {
                self.stage.fleet(*bolts as usize, *envoys as usize);
                let bolts = (1..=*bolts).map(|n| (format!("bolt{n}"), true));
                bolts.chain((1..=*envoys).map(|n| (format!("env{n}"), false))).collect()
            }
            Step::Join { name, bolt, through, nat } => {
                self.stage.join(name, *bolt, through, *nat);
                vec![(name.clone(), *bolt)]
            }
            _ => Vec::new(),
        };
        for (name, bolt) in names {
            let key = self.status(&name)?.key.to_string();
            self.machines.insert(name, Known { on: true, bolt, revoked: false, key });
        }
        Ok(())
    }

    fn publish(&mut self, all: &[(String, String)]) -> Result<(), String> {
        let trees: Vec<_> = all.iter().map(|(label, at)| (at.as_str(), tree(label))).collect();
        let ids = self.stage.publish(&trees);
        for ((label, at), mut id) in all.iter().zip(ids) {
            if id.is_err() && all.len() > 1 {
                // Somebody else was faster: their changes are known now.
                id = self.stage.publish(&[(at, tree(label))]).remove(0);
            }
            let id = id.map_err(|why| format!("{at} refused {label}: {why}"))?;
            self.ids.insert(id, label.clone());
        }
        Ok(())
    }

    fn runs(&mut self, name: &str, label: &str) -> Result<(), String> {
        let status = self.status(name)?;
        let ran = status.run.as_ref().map(|run| self.label(&run.publish.to_string()));
        let files = self.stage.files(name);
        let release = files.get("/etc/release").map(String::as_str);
        let there = ran.as_deref() == Some(label) && status.config == "converged" && release == Some(label);
        expect(there, || {
            let standing = (&status.standing, status.peers);
            format!("it shows {release:?} and ran {ran:?}: {}, {standing:?}", status.config)
        })
    }

    fn never_ran(&mut self, who: &Who, label: &str) -> Result<(), String> {
        let names = match who {
            Who::These(names) => names.clone(),
            others => self.whom(others),
        };
        for name in names {
            let ran = self.stage.files(&name).contains_key(&format!("{SEEN}{label}"));
            expect(!ran, || format!("{name} ran it"))?;
        }
        Ok(())
    }

    fn agree(&mut self, who: &Who, within: Duration) -> Result<(), String> {
        self.until(within, |player| {
            let (mut said, mut members) = (Vec::new(), Vec::new());
            for name in player.whom(who) {
                let status = player.status(&name)?;
                let of_all = |space: &str| ["admissions", "config", "settings"].contains(&space);
                let records: Vec<_> = status.records.iter().filter(|(s, _)| of_all(s)).cloned().collect();
                let settings: Vec<_> =
                    player.settings(&name)?.into_iter().map(|s| (s.key, s.value)).collect();
                let publishes: Vec<_> = player
                    .publishes(&name)?
                    .into_iter()
                    .map(|p| (p.at.epoch, p.at.id.to_string(), p.refused.is_some()))
                    .collect();
                said.push((
                    name.clone(),
                    (records, settings, publishes, status.head.map(|h| h.id.to_string())),
                ));
                if status.bolt {
                    let rows = player.members(&name)?;
                    members.push((
                        name,
                        rows.into_iter().map(|m| (m.name, m.kind, m.state)).collect::<BTreeSet<_>>(),
                    ));
                }
            }
            let odd = said.iter().find(|(_, says)| *says != said[0].1);
            expect(odd.is_none(), || format!("{:?}\nand {:?}", said[0], odd))?;
            let odd = members.iter().find(|(_, rows)| *rows != members[0].1);
            expect(odd.is_none(), || format!("{:?}\nand {:?}", members[0], odd))
        })
    }

    fn power(&mut self, step: &Step) -> Result<(), String> {
        let (who, on) = match step {
            Step::Start(who) => (who, true),
            Step::Kill(who) | Step::Stop(who) => (who, false),
            _ => return Ok(()),
        };
        let names = match who {
            Who::These(names) => names.clone(),
            Who::Everyone => {
                self.machines.iter().filter(|(_, m)| m.on != on).map(|(n, _)| n.clone()).collect()
            }
            Who::AllBut(not) => {
                let all = self.machines.iter().filter(|(n, m)| m.on != on && !not.contains(n));
                all.map(|(n, _)| n.clone()).collect()
            }
        };
        for name in names {
            let is = self.machines[&name].on;
            expect(is != on, || format!("{name} is {} already", if on { "on" } else { "off" }))?;
            match step {
                Step::Start(_) => self.stage.start(&name),
                Step::Stop(_) => self.stage.stop(&name),
                _ => self.stage.kill(&name),
            }
            self.known(&name).on = on;
        }
        Ok(())
    }

    fn while_off(&mut self, step: &Step) -> Result<(), String> {
        let (Step::Clock { name, .. } | Step::Mark { name, .. } | Step::RollBack { name, .. }) = step else {
            return Ok(());
        };
        expect(!self.machines[name].on, || format!("{name} is on: kill or stop it first"))?;
        match step {
            Step::Clock { seconds, .. } => self.stage.clock(name, *seconds),
            Step::Mark { mark, .. } => self.stage.mark(name, mark),
            Step::RollBack { mark, .. } => self.stage.roll_back(name, mark),
            _ => {}
        }
        Ok(())
    }

    fn cut_off(&mut self, name: &str, within: Duration) -> Result<(), String> {
        let key = self.machines[name].key.clone();
        self.until(within, |player| {
            for other in player.whom(&Who::AllBut(vec![name.to_owned()])) {
                let Some(Reply::Peers(rows)) = player.stage.call(&other, Command::Peers) else {
                    return Err(format!("{other} does not answer"));
                };
                let holds = rows.iter().any(|row| row.key.to_string() == key);
                expect(!holds, || format!("{other} is connected with it"))?;
            }
            let peers = if player.machines[name].on { player.status(name)?.peers } else { 0 };
            expect(peers == 0, || format!("it has {peers} peers"))
        })
    }

    /// Waits until it holds for each of them.
    fn each(
        &mut self,
        who: &Who,
        within: Duration,
        mut holds: impl FnMut(&mut Self, &str) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut left = match who {
            Who::These(names) => names.clone(),
            others => self.whom(others),
        };
        self.until(within, |player| {
            let mut seen = Vec::new();
            left.retain(|name| match holds(player, name) {
                Ok(()) => false,
                Err(what) => {
                    seen.push(format!("{name}: {what}"));
                    true
                }
            });
            expect(seen.is_empty(), || seen.join("\n"))
        })
    }

    fn until(
        &mut self,
        within: Duration,
        mut holds: impl FnMut(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        let began = self.stage.now();
        loop {
            let Err(seen) = holds(self) else { return Ok(()) };
            if self.stage.now() - began > within {
                return Err(format!("not within {within:?}; seen last: {seen}"));
            }
            self.stage.pass(PAUSE);
        }
    }

    /// The members that run, of these.
    fn whom(&self, who: &Who) -> Vec<String> {
        let is_meant = |name: &String| match who {
            Who::Everyone => true,
            Who::AllBut(not) => !not.contains(name),
            Who::These(names) => names.contains(name),
        };
        let all = self.machines.iter().filter(|(_, m)| m.on && !m.revoked);
        all.map(|(name, _)| name.clone()).filter(is_meant).collect()
    }

    fn known(&mut self, name: &str) -> &mut Known {
        self.machines.get_mut(name).expect("the parser knows every machine")
    }

    fn label(&self, id: &str) -> String {
        self.ids.get(id).cloned().unwrap_or_else(|| format!("unknown {id}"))
    }

    fn status(&mut self, name: &str) -> Result<Status, String> {
        match self.stage.call(name, Command::Status) {
            Some(Reply::Status(status)) => Ok(*status),
            other => Err(format!("{name} says {other:?}")),
        }
    }

    fn settings(&mut self, name: &str) -> Result<Vec<SettingRow>, String> {
        match self.stage.call(name, Command::Settings) {
            Some(Reply::Settings(rows)) => Ok(rows),
            other => Err(format!("{name} says {other:?}")),
        }
    }

    fn publishes(&mut self, name: &str) -> Result<Vec<PublishRow>, String> {
        match self.stage.call(name, Command::Publishes) {
            Some(Reply::Publishes(rows)) => Ok(rows),
            other => Err(format!("{name} says {other:?}")),
        }
    }

    fn members(&mut self, name: &str) -> Result<Vec<MemberRow>, String> {
        match self.stage.call(name, Command::Members) {
            Some(Reply::Members(rows)) => Ok(rows),
            other => Err(format!("{name} says {other:?}")),
        }
    }

    /// The state at the end. Machines of which the same is to be said stand together, and so do settings and members
    /// that all say alike; whoever says otherwise stands beside them and makes the difference.
    fn ended(&mut self) -> Value {
        let names: Vec<String> = self.machines.keys().cloned().collect();
        let (mut machines, mut settings, mut members) = (Vec::new(), Vec::new(), Vec::new());
        for name in &names {
            machines.push((name.clone(), self.machine(name)));
        }
        for name in self.whom(&Who::Everyone) {
            let set = self.settings(&name).unwrap_or_default().into_iter().filter(|row| row.set);
            let set: Map<String, Value> = set.map(|row| (row.key, row.value)).collect();
            settings.push((name.clone(), Value::Object(set)));
            if self.machines[&name].bolt {
                let rows = self.members(&name).unwrap_or_default();
                let rows = rows.into_iter().map(|m| (m.name, json!(format!("{} {}", m.state, m.kind))));
                members.push((name, Value::Object(rows.collect())));
            }
        }
        json!({"machines": together(machines), "settings": together(settings), "members": together(members)})
    }

    fn machine(&mut self, name: &str) -> Value {
        let files = self.stage.files(name).into_iter().filter(|(path, _)| !path.starts_with(SEEN));
        let mut said: Map<String, Value> = files.map(|(path, text)| (path, json!(text))).collect();
        if !self.machines[name].on {
            said.insert("is".into(), json!("off"));
        } else if let Ok(status) = self.status(name) {
            let label = |id: String| json!(self.label(&id));
            said.insert("is".into(), json!(status.standing));
            if self.epochs {
                said.insert("epoch".into(), json!(status.head.map(|head| head.epoch)));
            }
            said.insert("head".into(), json!(status.head.map(|head| label(head.id.to_string()))));
            said.insert("ran".into(), json!(status.run.map(|run| label(run.publish.to_string()))));
        } else {
            said.insert("is".into(), json!("silent"));
        }
        Value::Object(said)
    }
}

/// Who says the same under one key, the names in order.
fn together(said: Vec<(String, Value)>) -> Value {
    let mut groups: Vec<(Vec<String>, Value)> = Vec::new();
    for (name, value) in said {
        match groups.iter_mut().find(|(_, other)| *other == value) {
            Some((names, _)) => names.push(name),
            None => groups.push((vec![name], value)),
        }
    }
    Value::Object(groups.into_iter().map(|(names, value)| (names.join(" "), value)).collect())
}

fn expect(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}
