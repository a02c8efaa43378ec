//! A random life of a fleet, from one seed: what people do and what breaks, then quiet, then the checks.
//!
//! While things break, **safety** is checked: two nodes that hold the same records say the same, and no head goes
//! back while its publish counts. When the faults stop, everything is switched on and mended, and within a bound
//! of virtual time **liveness** must hold: equal digests, every member at the head, and what the reference model
//! predicts. [`Broken`] says what did not hold; the seed tells it again.
//!
//! Invariant: a life is a function of its seed and its [`Life`].

use std::collections::{BTreeMap, BTreeSet};

use vigo_base::time::{Micros, millis, secs};
use vigo_base::{Dice, Hash, PublicKey, SecretKey, Time};
use vigo_node::crdt::Space;
use vigo_node::spanner::{Grant, NodeKind, Right};

use crate::faults::Rates;
use crate::machine::{Machine, Power};
use crate::model::Model;
use crate::watch::Seen;
use crate::{Figures, Fleet, Ix};

mod always;
mod check;
mod deeds;
mod life;
mod plan;
mod trouble;

pub use check::{CHECKS, Check, Checks, Kept};
pub use deeds::{DEEDS, Deed};
pub use life::Life;
pub use plan::{Act, Plan, Step, Work};

/// What a life came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The hash over everything that happened.
    pub trace: Hash,
    /// How many events happened.
    pub events: u64,
    /// How many machines there were in the end.
    pub nodes: usize,
    /// How much virtual time passed, in microseconds.
    pub lasted: Micros,
    /// How long it took to settle after the last fault, in microseconds.
    pub settled: Micros,
    /// How often each fault and branch was reached.
    pub reached: BTreeMap<&'static str, u64>,
    /// How fast it was and what it cost.
    pub figures: Figures,
}

/// A promise that did not hold.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{promise}: {what}\n{report}")]
pub struct Broken {
    /// Which promise.
    pub promise: &'static str,
    /// How it was broken.
    pub what: String,
    /// The state of the fleet.
    pub report: String,
}

/// A random life of a fleet.
#[derive(Debug)]
pub struct Scenario {
    pub(crate) fleet: Fleet,
    pub(crate) model: Model,
    pub(crate) dice: Dice,
    pub(crate) life: Life,
    /// Members, bolts first; without those that are joining.
    pub(crate) members: Vec<Ix>,
    pub(crate) bolts: BTreeSet<Ix>,
    /// Machines that are joining, and until when their token is good.
    pub(crate) joining: BTreeMap<Ix, Time>,
    /// Machines that may be revoked; no operator works through them.
    pub(crate) doomed: BTreeSet<Ix>,
    pub(crate) revoked: BTreeSet<Ix>,
    pub(crate) second: SecretKey,
    pub(crate) texts: u64,
    /// What is remembered of troubles.
    pub(crate) lore: trouble::Lore,
    /// Which checks are made.
    checks: Checks,
}

impl Scenario {
    /// A fleet that is founded and joined, and has not seen trouble yet.
    pub fn random(seed: u64, life: &Life) -> Scenario {
        let mut dice = Dice::from_number(seed ^ 0x5eed_0000_0000);
        let (least, most) = life.nodes;
        let spread = most.saturating_sub(least) as u64 + 1;
        // Small fleets are as hard as large ones and cost less: most are small.
        let spread = if dice.one_in(12) { spread } else { spread.min(5) };
        let count = least.max(2) + dice.below(spread) as usize;
        let bolts = 1 + dice.below(3).min(count as u64 - 2) as usize;
        let bolts = life.bolts.unwrap_or(bolts).clamp(1, count);
        let second = SecretKey::from_seed(dice.bytes());
        let mut fleet = Fleet::new(seed).over(life.links.clone()).with_older_nodes(3);
        // Nothing may be right only because it was gossiped.
        if !life.gossip.unwrap_or(seed % 4 != 3) {
            fleet.without_gossip();
        }
        let mut members = vec![fleet.found("bolt1")];
        for n in 2..=count {
            let (kind, name) = match n <= bolts {
                true => (NodeKind::Bolt, format!("bolt{n}")),
                false => (NodeKind::Envoy, format!("web{n:02}")),
            };
            let dials = kind == NodeKind::Envoy && dice.below(100) < life.dial_only;
            members.push(fleet.join_as(0, &name, kind, dials));
        }
        let bolts: BTreeSet<Ix> = (0..bolts).collect();
        let mut doomed: BTreeSet<Ix> = BTreeSet::new();
        if count > 3 {
            let spare = count - (count / 4).max(1)..count;
            doomed.extend(spare.filter(|ix| !bolts.contains(ix)));
        }
        if bolts.len() > 2 {
            doomed.insert(bolts.len() - 1);
        }
        let (model, joining, revoked) = (Model::default(), BTreeMap::new(), BTreeSet::new());
        let (life, checks) = (life.clone(), Checks::default());
        Scenario {
            fleet,
            model,
            dice,
            life,
            members,
            bolts,
            joining,
            doomed,
            revoked,
            second,
            texts: 0,
            lore: trouble::Lore::default(),
            checks,
        }
    }

    /// Lets only these checks be made.
    pub fn judged_by(mut self, checks: &Checks) -> Scenario {
        self.checks = checks.clone();
        self
    }

    /// Lives it through.
    ///
    /// # Errors
    /// [`Broken`] if a promise did not hold.
    pub fn run(self) -> Result<Outcome, Broken> {
        self.live(&mut |_| {})
    }

    /// Lives it through; `watch` sees it after every step.
    ///
    /// # Errors
    /// [`Broken`] if a promise did not hold.
    pub fn live(mut self, watch: &mut dyn FnMut(&Seen)) -> Result<Outcome, Broken> {
        let began = self.begin()?;
        // Half of the pauses are short.
        let of = self.life.steps.saturating_mul(self.life.pause) / 4;
        for step in 0..self.life.steps {
            let at = self.fleet.now().since(began);
            let mark = Some(self.step().to_string());
            watch(&Seen { at, of, mark, ..Seen::default() });
            let pause = millis(20) + self.dice.below(self.life.pause);
            // Many things happen at once.
            self.fleet.elapse(if self.dice.one_in(2) { pause } else { pause / 40 });
            self.tend();
            if step % 5 == 0 {
                self.check_always()?;
            }
            watch(&self.look(began, of));
        }
        self.finish(began, of, watch)
    }

    /// A second operator, and some time to rest; when the run begins.
    fn begin(&mut self) -> Result<Time, Broken> {
        let grants = Right::ALL.into_iter().map(Grant::everywhere).collect();
        let admitted = self.fleet.admit_operator(0, self.second.public(), "bob", grants);
        if admitted.is_none() {
            return Err(self.broken("a fleet at rest", "the second operator was not admitted".into()));
        }
        self.fleet.elapse(secs(8));
        let (now, members) = (self.fleet.now(), self.members.clone());
        self.fleet.meter.begin(now, members);
        self.fleet.faults = self.life.faults;
        Ok(now)
    }

    /// The faults stop, everything settles, and the last checks are made.
    fn finish(mut self, began: Time, of: Micros, watch: &mut dyn FnMut(&Seen)) -> Result<Outcome, Broken> {
        self.quiet();
        let at = self.fleet.now().since(began);
        watch(&Seen { at, of, mark: Some("the faults stop".into()), ..Seen::default() });
        let settled = self.settle(began, of, watch)?;
        self.check_always()?;
        self.check_eventually()?;
        let lasted = self.fleet.now().since(began);
        let nodes = self.members.len();
        let (trace, events) = (self.fleet.trace(), self.fleet.events());
        let mut figures = self.fleet.meter.figures(nodes);
        figures.settle.add(settled);
        Ok(Outcome { trace, events, nodes, lasted, settled, reached: self.fleet.reached, figures })
    }

    /// Waits until all members agree and all have run the head; how long that took.
    fn settle(&mut self, began: Time, of: Micros, watch: &mut dyn FnMut(&Seen)) -> Result<Micros, Broken> {
        let (since, mut looked) = (self.fleet.now(), 0);
        let mut why = String::new();
        while self.fleet.now().since(since) <= self.life.settles {
            let passed = self.fleet.now().since(since);
            let settled = self.unsettled().map(|what| why = what).is_none();
            if settled || passed >= looked {
                watch(&self.look(began, of));
                looked = passed + (passed / 20).max(millis(500));
            }
            if settled {
                return Ok(passed);
            }
            self.fleet.elapse(millis(500));
            self.tend();
        }
        Err(self.broken(check::SETTLES, why))
    }

    /// The fleet as it is now.
    fn look(&self, began: Time, of: Micros) -> Seen {
        let standing = self.standing();
        let on: Vec<&Machine> =
            standing.iter().map(|ix| self.fleet.machine(*ix)).filter(|m| m.power() == Power::On).collect();
        let mut groups: BTreeMap<Vec<Option<Hash>>, usize> = BTreeMap::new();
        for machine in &on {
            let digests = Scenario::spaces().iter().map(|space| machine.digest(space)).collect();
            *groups.entry(digests).or_default() += 1;
        }
        let ran = |machine: &Machine| machine.epochs_run.last().copied();
        let newest = standing.iter().filter_map(|ix| ran(self.fleet.machine(*ix))).max();
        Seen {
            at: self.fleet.now().since(began),
            of,
            events: self.fleet.events(),
            nodes: standing.len(),
            on: on.len(),
            agree: groups.into_values().max().unwrap_or(0),
            current: on.iter().filter(|machine| ran(machine) == newest).count(),
            mark: None,
        }
    }

    pub(crate) fn broken(&mut self, promise: &'static str, what: String) -> Broken {
        Broken { promise, what, report: self.fleet.report() }
    }

    /// One thing happens; its name.
    fn step(&mut self) -> &'static str {
        let all = DEEDS.iter().map(|deed| self.life.weight(deed)).sum();
        let mut left = self.dice.below(all);
        for deed in DEEDS {
            let weight = self.life.weight(deed);
            if left < weight {
                (deed.act)(self);
                return deed.name;
            }
            left -= weight;
        }
        "nothing"
    }

    /// Looks after machines that joined, and after processes that ended.
    fn tend(&mut self) {
        self.judge_suspects();
        let joining: Vec<Ix> = self.joining.keys().copied().collect();
        for ix in joining {
            if self.fleet.has_joined(ix) {
                self.joining.remove(&ix);
                self.fleet.restart_joined(ix);
                self.members.push(ix);
                self.fleet.reach("joined in trouble");
            } else if self.fleet.machine(ix).power() == Power::Off || self.fleet.join_refused(ix) {
                self.fleet.kill(ix);
                // What it was told is the last try's: this one takes as long as it takes.
                self.fleet.machine_mut(ix).events.clear();
                self.fleet.start(ix);
            }
        }
    }

    /// Every fault stops.
    fn quiet(&mut self) {
        self.fleet.heal();
        self.fleet.faults = Rates::default();
        self.fleet.plug.clear();
        self.all_on();
        self.clean_up();
    }

    /// Everything that is off is switched on.
    fn all_on(&mut self) {
        for ix in self.members.clone() {
            if self.fleet.machine(ix).power() == Power::Off {
                self.fleet.start(ix);
            }
        }
    }

    /// The members that nobody revoked.
    pub(crate) fn standing(&self) -> Vec<Ix> {
        self.members.iter().copied().filter(|ix| !self.revoked.contains(ix)).collect()
    }

    /// The members that run, and through which an operator may work.
    pub(crate) fn at_hand(&self) -> Vec<Ix> {
        let on = |ix: &Ix| self.fleet.machine(*ix).power() == Power::On && !self.doomed.contains(ix);
        self.members.iter().copied().filter(on).collect()
    }

    pub(crate) fn second_key(&self) -> PublicKey {
        self.second.public()
    }

    pub(crate) fn spaces() -> [Space; 3] {
        [Space::admissions(), Space::config(), Space::settings()]
    }
}
