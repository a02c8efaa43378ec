//! A fleet that follows a plan: a workload at fixed rates, and steps at their times; then quiet, and the checks.
//!
//! Whatever happens is one of [`DEEDS`], or a fault of a size that the plan gives. It has no clock of its own.
//! Invariant: of two things that are due at one time, steps come before the workload, each in the plan's order.

use vigo_base::time::{Micros, mins, secs};

use super::{Broken, DEEDS, Life, Outcome, Scenario};
use crate::Ix;
use crate::faults::Rates;
use crate::hostile::Behaviour;
use crate::machine::Power;
use crate::watch::Seen;

/// How often a fleet is looked at, and how often safety is checked, while a plan is followed.
const LOOKS: u64 = 240;
const CHECKED: u64 = 24;

/// What a fleet does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The fleet, its network and what fails at random.
    pub life: Life,
    /// When the faults stop, in microseconds since the beginning.
    pub lasts: Micros,
    /// What people do all the time.
    pub workload: Vec<Work>,
    /// What happens once, by time.
    pub steps: Vec<Step>,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan { life: Life::calm(), lasts: mins(10), workload: Vec::new(), steps: Vec::new() }
    }
}

/// Something that is done again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Which deed.
    pub deed: &'static str,
    /// The pause between two, in microseconds.
    pub every: Micros,
    /// From when on.
    pub from: Micros,
    /// Until when.
    pub until: Micros,
}

/// Something that happens at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When, in microseconds since the beginning.
    pub time: Micros,
    /// What.
    pub act: Act,
}

/// What happens in a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// The network falls into two; so many members of a hundred are on the one side.
    Partition {
        /// Per cent.
        share: u64,
    },
    /// All links are mended.
    Heal,
    /// So many members of a hundred lose power.
    Off {
        /// Per cent.
        share: u64,
    },
    /// All bolts lose power.
    BoltsOff,
    /// Every member that is off is switched on.
    On,
    /// From now on this fails at random.
    Faults(Rates),
    /// A member turns hostile in this way.
    Hostile(Behaviour),
    /// A deed, so many times.
    Deed {
        /// Which.
        name: &'static str,
        /// How often.
        times: u64,
    },
}

impl Act {
    /// What files call those that are no deeds.
    pub const NAMES: [&'static str; 7] = ["partition", "heal", "off", "bolts-off", "on", "faults", "hostile"];

    /// In a few words.
    fn text(&self) -> String {
        match self {
            Act::Partition { share } => format!("partition {share}:{}", 100 - share),
            Act::Heal => "heal".into(),
            Act::Off { share } => format!("off {share}%"),
            Act::BoltsOff => "bolts off".into(),
            Act::On => "on".into(),
            Act::Faults(rates) if *rates == Rates::default() => "no faults".into(),
            Act::Faults(_) => "faults".into(),
            Act::Hostile(behaviour) => format!("hostile: {}", behaviour.word()),
            Act::Deed { name, times: 1 } => (*name).into(),
            Act::Deed { name, times } => format!("{name} × {times}"),
        }
    }
}

impl Scenario {
    /// Follows a plan to its end.
    ///
    /// # Errors
    /// [`Broken`] if a check did not hold.
    pub fn follow(mut self, plan: &Plan, watch: &mut dyn FnMut(&Seen)) -> Result<Outcome, Broken> {
        let began = self.begin()?;
        let mut due: Vec<Micros> = plan.workload.iter().map(|work| work.from).collect();
        let (mut steps, mut look, mut check) = (plan.steps.iter().peekable(), 0, 0);
        loop {
            let next = steps.peek().map(|step| step.time).into_iter().chain(due.iter().copied());
            let next = next.chain([look, check, plan.lasts]).min().unwrap_or(plan.lasts);
            let passed = self.fleet.now().since(began);
            self.fleet.elapse(next.saturating_sub(passed));
            self.tend();
            if next >= plan.lasts {
                break;
            }
            while let Some(step) = steps.next_if(|step| step.time <= next) {
                let at = self.fleet.now().since(began);
                watch(&Seen { at, of: plan.lasts, mark: Some(step.act.text()), ..Seen::default() });
                self.act(&step.act);
            }
            for (work, due) in plan.workload.iter().zip(&mut due).filter(|(_, due)| **due <= next) {
                self.deed(work.deed);
                *due = if *due + work.every < work.until { *due + work.every } else { Micros::MAX };
            }
            if look <= next {
                watch(&self.look(began, plan.lasts));
                look = next + (plan.lasts / LOOKS).max(secs(1));
            }
            if check <= next {
                self.check_always()?;
                check = next + (plan.lasts / CHECKED).max(secs(5));
            }
        }
        self.finish(began, plan.lasts, watch)
    }

    fn deed(&mut self, name: &str) {
        if let Some(deed) = DEEDS.iter().find(|deed| deed.name == name) {
            (deed.act)(self);
        }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Partition { share } => {
                let (left, right) = self.divided(*share);
                self.fleet.partition(&left, &right);
                self.fleet.reach("partition");
            }
            Act::Heal => {
                self.fleet.heal();
                self.fleet.reach("healed");
            }
            Act::Off { share } => {
                let (off, _) = self.divided(*share);
                self.off(&off);
            }
            Act::BoltsOff => {
                let bolts: Vec<Ix> = self.bolts.iter().copied().collect();
                self.off(&bolts);
            }
            Act::On => self.all_on(),
            Act::Faults(rates) => self.fleet.faults = *rates,
            Act::Hostile(behaviour) => self.turn_into(*behaviour),
            Act::Deed { name, times } => (0..*times).for_each(|_| self.deed(name)),
        }
    }

    /// Two parts of the members, by the dice; neither is empty.
    fn divided(&mut self, share: u64) -> (Vec<Ix>, Vec<Ix>) {
        let mut left = self.members.clone();
        self.dice.shuffle(&mut left);
        let many = left.len() * usize::try_from(share).unwrap_or(100) / 100;
        let right = left.split_off(many.clamp(1, left.len().saturating_sub(1).max(1)));
        (left, right)
    }

    fn off(&mut self, those: &[Ix]) {
        for ix in those {
            if self.fleet.machine(*ix).power() == Power::On {
                self.fleet.kill(*ix);
                self.fleet.reach("killed");
            }
        }
    }
}
