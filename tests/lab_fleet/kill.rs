//! `kill -9` at random moments: nothing that was acknowledged is lost, and every node starts again.
//!
//! Acknowledged is a publish whose command ended with 0, and a machine whose `join` did. The moments are drawn from a
//! seed, which is printed; when exactly a kill hits is up to the machine.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use vigo_base::Dice;

use crate::figures::{say, say_long, spread};
use crate::fleet::{Fleet, PATIENCE, Said, alone};
use crate::lab::{require_lab, secs, wait};

/// The latest moment of a kill after its command was begun: a command has ended by then.
const LATEST: u64 = 400;

/// What is killed, and during what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A bolt that is published through.
    PublishingBolt,
    /// An envoy that is published through.
    PublishingEnvoy,
    /// An envoy that a publish is on its way to.
    PlainEnvoy,
    /// A bolt that a publish is on its way to.
    PlainBolt,
    /// The bolt that a machine joins through.
    EnrollingBolt,
    /// The machine that joins.
    JoiningEnvoy,
}

const KINDS: [Kind; 6] = [
    Kind::PublishingBolt,
    Kind::PublishingEnvoy,
    Kind::PlainEnvoy,
    Kind::PlainBolt,
    Kind::EnrollingBolt,
    Kind::JoiningEnvoy,
];

struct Story {
    fleet: Fleet,
    dice: Dice,
    /// Ids of what was acknowledged.
    acknowledged: Vec<String>,
    refused: usize,
    /// From a node's start until it was ready, after a kill.
    restarts: Vec<Duration>,
    joined: Vec<String>,
    rounds: usize,
}

impl Story {
    fn new(title: &str, seed: u64) -> Story {
        let fleet = Fleet::of(title, 2, 3);
        let dice = Dice::from_number(seed);
        Story { fleet, dice, acknowledged: vec![], refused: 0, restarts: vec![], joined: vec![], rounds: 0 }
    }

    fn pick<'a>(&mut self, names: &[&'a str]) -> &'a str {
        self.dice.pick(names).copied().expect("some")
    }

    fn pause(&mut self) {
        let millis = self.dice.below(LATEST);
        std::thread::sleep(Duration::from_millis(millis));
    }

    fn kill(&mut self, kind: Kind) {
        self.rounds += 1;
        let bolts = ["bolt1", "bolt2"];
        let envoys = ["env1", "env2", "env3"];
        match kind {
            Kind::PublishingBolt => {
                let bolt = self.pick(&bolts);
                self.publish(bolt, bolt);
            }
            Kind::PublishingEnvoy => {
                let envoy = self.pick(&envoys);
                self.publish(envoy, envoy);
            }
            Kind::PlainEnvoy => {
                let (via, victim) = (self.pick(&["bolt1", "bolt2", "env1"]), self.pick(&envoys[1..]));
                self.publish(via, victim);
            }
            Kind::PlainBolt => {
                let (via, victim) = (self.pick(&["bolt1", "env1", "env2"]), "bolt2");
                self.publish(via, victim);
            }
            Kind::EnrollingBolt | Kind::JoiningEnvoy => self.join(kind),
        }
    }

    /// Publishes through `via`, and kills `victim` meanwhile or shortly after.
    fn publish(&mut self, via: &str, victim: &str) {
        let marker = format!("k{}", self.rounds);
        let mut command = self.fleet.publishing("home", via, &marker, &["--force"]);
        let child = start(&mut command);
        self.pause();
        self.fleet.kill(victim);
        let said = Said::of(child.wait_with_output().expect("it ends"));
        if said.code == 0 {
            self.acknowledged.push(said.json()["id"].as_str().expect("an id").to_owned());
        } else {
            self.refused += 1;
            // The node went away, or had not heard yet of what others have.
            assert!(matches!(said.code, 5 | 6), "another code was expected: {said:?}");
        }
        self.restart(victim);
    }

    fn restart(&mut self, victim: &str) {
        let began = Instant::now();
        self.fleet.start(victim);
        self.restarts.push(began.elapsed());
    }

    /// A machine joins, and it or the bolt is killed meanwhile. Then it joins by the same token.
    fn join(&mut self, kind: Kind) {
        let name = format!("new{}", self.rounds);
        self.fleet.place(&name);
        let token = self.fleet.token("home", "bolt1", 1, false);
        let mut child = start(&mut self.fleet.joining(&name, &token));
        self.pause();
        match kind {
            Kind::EnrollingBolt => {
                self.fleet.kill("bolt1");
                self.restart("bolt1");
            }
            _ => drop(child.kill()),
        }
        let said = Said::of(child.wait_with_output().expect("it ends"));
        if said.code != 0 {
            wait::until("it joins after all", PATIENCE, || {
                let said = Said::of(self.fleet.joining(&name, &token).output().expect("it runs"));
                // Whoever was killed after the last word was kept is a member without having said so.
                let member = said.err.contains("already");
                if said.code == 0 || member { Ok(()) } else { Err(format!("{said:?}")) }
            });
        }
        self.joined.push(name);
    }

    /// Everybody starts, agrees, and nothing that was acknowledged is missing on a bolt.
    fn judge(mut self) {
        let joined = std::mem::take(&mut self.joined);
        // A few of those who joined run, too: their membership is real.
        let mut all = vec!["bolt1", "bolt2", "env1", "env2", "env3"];
        for name in joined.iter().take(3) {
            self.fleet.start(name);
            all.push(name);
        }
        let fleet = &self.fleet;
        wait::until("the bolts have all that was acknowledged", secs(60), || {
            for bolt in ["bolt1", "bolt2"] {
                let rows = fleet.publishes(bolt);
                let has =
                    |id: &&String| rows.iter().any(|r| r.at.id.to_string() == **id && r.refused.is_none());
                let missing: Vec<&String> = self.acknowledged.iter().filter(|id| !has(id)).collect();
                if !missing.is_empty() {
                    return Err(format!("{bolt} lacks {missing:?} of {}", rows.len()));
                }
            }
            Ok(())
        });
        for bolt in ["bolt1", "bolt2"] {
            wait::until("the bolts know everybody who joined", PATIENCE, || {
                let members = fleet.cli(bolt, &["spanner", "members", "--json"]).json();
                let rows = members.as_array().expect("rows").clone();
                let active =
                    |name: &&String| rows.iter().any(|m| m["name"] == **name && m["state"] == "active");
                let missing: Vec<&String> = joined.iter().filter(|n| !active(n)).collect();
                if missing.is_empty() { Ok(()) } else { Err(format!("{bolt} lacks {missing:?}: {members}")) }
            });
        }
        let last = fleet.publish("bolt1", "last");
        fleet.arrives(&all, "last", last.returned, secs(60));
        fleet.converged(&all, &last.id, PATIENCE);
        for name in all {
            assert!(self.fleet.is_running(name), "{name} has ended: {}", self.fleet.log(name));
        }
    }
}

fn start(command: &mut std::process::Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs")
}

/// The seed: from the environment, to repeat a run, or from the clock.
fn seed() -> u64 {
    let given = std::env::var("VIGO_SEED").ok().and_then(|text| text.parse().ok());
    let clock = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(1, |d| d.as_millis() as u64);
    given.unwrap_or(clock)
}

/// Kills so many of each kind, in an order of the seed's.
fn kills(title: &str, each: usize, say: fn(&str, &str, &str)) {
    let _alone = alone();
    let seed = seed();
    println!("seed {seed} (VIGO_SEED repeats its choices)");
    let mut story = Story::new(title, seed);
    let mut order: Vec<Kind> = KINDS.into_iter().flat_map(|kind| std::iter::repeat_n(kind, each)).collect();
    story.dice.shuffle(&mut order);
    for kind in order {
        story.kill(kind);
    }
    let count = KINDS.len() * each;
    let (acknowledged, refused, joined) = (story.acknowledged.len(), story.refused, story.joined.len());
    let restarts = spread(&story.restarts);
    assert!(acknowledged > 0, "nothing was acknowledged: nothing was tested");
    story.judge();
    let what = format!("kill -9 of {count} processes, {each} of each of {} kinds, seed {seed}", KINDS.len());
    let figure = format!(
        "0 of {acknowledged} acknowledged publishes lost, 0 of {joined} joins ({refused} publishes not acknowledged)"
    );
    say("R4", &what, &figure);
    say("R4", "from the start of a killed node until it is ready", &restarts);
}

#[test]
fn nothing_acknowledged_is_lost_in_thirty_kills() {
    if require_lab().skips() {
        return;
    }
    kills("kill", 5, say);
}

#[test]
#[ignore = "long: a hundred kills of each kind"]
fn long_nothing_acknowledged_is_lost_in_six_hundred_kills() {
    if require_lab().skips() {
        return;
    }
    kills("kills", 100, say_long);
}
