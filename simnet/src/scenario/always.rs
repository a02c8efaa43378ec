//! What holds at any time, beside that equal records give equal answers: nothing unauthorised counts, no table grows
//! beyond its limit, and hosts that drifted are repaired.
//!
//! A check changes nothing but by calls of the local API, which change nothing either.

use vigo_node::{Event, Node};

use super::{Broken, Scenario};
use crate::Ix;

/// The promises that are looked at here, in the words of [`Broken::promise`].
pub(super) const AUTHORISED: &str = "nothing unauthorised counts";
pub(super) const LIMITS: &str = "limits are kept";
pub(super) const REPAIRED: &str = "what drifted is repaired and told";

impl Scenario {
    /// Every publish that counts somewhere was signed by an operator, every setting that is set has a value that one
    /// gave it, nobody is a member whom nobody invited, and no disk holds what was forged.
    pub(super) fn check_authorised(&mut self) -> Result<(), Broken> {
        for ix in self.members.clone() {
            if self.fleet.is_hostile(ix) {
                continue;
            }
            if let Some(what) = self.fleet.forged_on(ix) {
                return Err(self.broken(AUTHORISED, format!("{ix} holds {what}")));
            }
            let Some(says) = self.says(ix) else { continue };
            let foreign = says.publishes.iter().find(|(at, counts)| *counts && !self.model.knows(&at.id));
            if let Some((at, _)) = foreign {
                return Err(self.broken(AUTHORISED, format!("{ix} counts {at:?}")));
            }
            let set = says.settings.iter().find(|(key, value)| !self.model.may_be(key, value));
            if let Some((key, value)) = set {
                let what = format!("{ix} says {key} = {value}, which nobody set");
                return Err(self.broken(AUTHORISED, what));
            }
            let stranger = says.members.iter().find(|(name, kind, _)| !self.may_be(name, kind));
            if let Some(stranger) = stranger {
                let what = format!("{ix} lists {stranger:?}, whom nobody let in");
                return Err(self.broken(AUTHORISED, what));
            }
        }
        Ok(())
    }

    /// Whether somebody of this name and kind was founded with, invited or admitted.
    fn may_be(&self, name: &str, kind: &str) -> bool {
        if kind == "recovery" {
            return name == "recovery";
        }
        if kind == "operator" {
            return ["alice", "bob"].contains(&name);
        }
        let named = |ix: &Ix| self.fleet.machine(*ix).name == name;
        let found = self.members.iter().chain(self.joining.keys()).find(|ix| named(ix));
        found.is_some_and(|ix| self.bolts.contains(ix) == (kind == "bolt"))
    }

    /// No table of a node holds more than its limit.
    pub(super) fn check_limits(&mut self) -> Result<(), Broken> {
        for ix in 0..self.fleet.machines.len() {
            let loads = self.fleet.machines[ix].node.as_ref().map(Node::loads).unwrap_or_default();
            if loads.iter().any(|load| load.table == "parked records" && load.held > 0) {
                self.fleet.reach("records waited for their author");
            }
            if let Some(over) = loads.into_iter().find(|load| load.held > load.limit) {
                return Err(self.broken(LIMITS, format!("{ix} holds {over:?}")));
            }
        }
        Ok(())
    }

    /// Every host that somebody edited has the head's file again (that all have it is part of settling), and the
    /// run that repaired it said that it changed something.
    pub(super) fn check_repaired(&mut self) -> Result<(), Broken> {
        let standing = self.standing();
        for (ix, (since, life)) in self.lore.drifted.clone() {
            // Power may have gone between the repair and its report.
            if !standing.contains(&ix) || self.fleet.machine(ix).life != life {
                continue;
            }
            let changed = |event: &Event| matches!(event, Event::Ran { changed, .. } if *changed > 0);
            let told = self.fleet.machine(ix).events.iter().any(|(at, event)| *at >= since && changed(event));
            if !told {
                let what =
                    format!("{ix} was edited at {} and no run since changed anything", since.rfc3339());
                return Err(self.broken(REPAIRED, what));
            }
            self.fleet.reach("drift repaired");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use vigo_base::time::secs;

    use super::AUTHORISED;
    use crate::model::Model;
    use crate::scenario::{DEEDS, Life, Scenario};

    /// A small fleet in which an operator published and set a few times.
    fn lived() -> Scenario {
        let weight = |name: &str| u64::from(["publish", "set"].contains(&name));
        let weights = DEEDS.iter().map(|deed| (deed.name.to_string(), weight(deed.name))).collect();
        let mut scenario = Scenario::random(7, &Life { nodes: (4, 4), weights, ..Life::calm() });
        scenario.begin().unwrap();
        for _ in 0..12 {
            scenario.step();
            scenario.fleet.elapse(secs(3));
        }
        scenario.check_authorised().unwrap();
        scenario
    }

    /// What the model knows nothing of, nobody did.
    #[test]
    fn what_nobody_did_and_counts_all_the_same_is_seen() {
        let mut scenario = lived();
        scenario.model = Model::default();
        let broken = scenario.check_authorised().expect_err("nobody published");
        assert!(broken.promise == AUTHORISED && broken.what.contains("counts"), "{}", broken.what);

        let mut scenario = lived();
        let publishes = scenario.fleet.machine(1).known();
        let held = *publishes.values().flatten().next().unwrap();
        scenario.fleet.forged.insert(held, "something forged");
        let broken = scenario.check_authorised().expect_err("it is held");
        assert!(broken.promise == AUTHORISED && broken.what.contains("something forged"), "{}", broken.what);
    }
}
