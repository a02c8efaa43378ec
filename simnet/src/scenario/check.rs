//! The checks of a random life: safety while it lasts, liveness when it is quiet, and the model's word.

use std::collections::{BTreeMap, BTreeSet};

use vigo_base::Hash;
use vigo_base::time::{Micros, secs};
use vigo_node::content_types::config::Epoch;
use vigo_node::crdt::Space;
use vigo_node::{Command, Reply};

use super::{Broken, Scenario, always};
use crate::audit::Written;
use crate::machine::Power;
use crate::{Ix, Known};

/// What a run is called that does not settle.
pub(super) const SETTLES: &str = "everything settles when the faults stop";

/// When a check holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// At every moment at which it is looked at.
    Always,
    /// Once the faults have stopped and all has settled.
    Eventually,
}

/// Something that must hold.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// What files call it.
    pub name: &'static str,
    /// When it holds.
    pub kept: Kept,
    /// What is promised, in the words of [`Broken::promise`].
    pub promises: &'static [&'static str],
    /// How long after all has settled it is looked at first, in microseconds.
    pub after: Micros,
    /// Looks.
    pub holds: fn(&mut Scenario) -> Result<(), Broken>,
}

const fn check(
    name: &'static str,
    kept: Kept,
    promises: &'static [&'static str],
    holds: fn(&mut Scenario) -> Result<(), Broken>,
) -> Check {
    Check { name, kept, promises, after: 0, holds }
}

/// Everything that is checked. That a run settles is looked at by whoever waits for it.
pub const CHECKS: &[Check] = &[
    check("same-answers", Kept::Always, &["equal records give equal answers"], Scenario::check_safety),
    check("authorised", Kept::Always, &[always::AUTHORISED], Scenario::check_authorised),
    check("limits", Kept::Always, &[always::LIMITS], Scenario::check_limits),
    check("settles", Kept::Eventually, &[SETTLES], |_| Ok(())),
    check("no-way-back", Kept::Always, &["nothing goes back while it counts"], Scenario::check_history),
    check("nothing-lost", Kept::Eventually, &["nothing acknowledged is lost"], Scenario::check_acknowledged),
    // What counts for nothing and is named all the same is asked for every few seconds.
    Check {
        after: secs(20),
        ..check(
            "model",
            Kept::Eventually,
            &[
                "members stay members",
                "the head is the greatest that counts",
                "a setting has its latest value",
                "bolts list every member",
            ],
            Scenario::check_model,
        )
    },
    // A run under way has repaired already, and reports at its end.
    Check {
        after: secs(2),
        ..check("repaired", Kept::Eventually, &[always::REPAIRED], Scenario::check_repaired)
    },
    check("revoked-cut", Kept::Eventually, &["a revocation cuts connections"], Scenario::check_revoked),
    Check {
        after: secs(60),
        ..check("links", Kept::Eventually, &["links follow member sessions"], Scenario::check_links)
    },
];

/// Which checks are made, by their names, and what must have been reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checks {
    /// Of those that hold at every moment; all if none is said.
    pub always: Option<Vec<String>>,
    /// Of those that hold in the end; all if none is said. A run that does not settle is broken in any case.
    pub eventually: Option<Vec<String>>,
    /// What must really have been reached, by the names of [`crate::Outcome::reached`].
    pub sometimes: Vec<String>,
}

impl Checks {
    /// Whether a check is made.
    pub fn has(&self, check: &Check) -> bool {
        let names = match check.kept {
            Kept::Always => &self.always,
            Kept::Eventually => &self.eventually,
        };
        names.as_ref().is_none_or(|names| names.iter().any(|name| name == check.name))
    }
}

/// What a node says about what follows from records alone.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Says {
    head: Option<Epoch>,
    tips: Vec<Hash>,
    pub publishes: Vec<(Epoch, bool)>,
    pub settings: Vec<(String, String)>,
    pub members: Vec<(String, String, String)>,
}

fn of<'k>(known: &'k Known, space: &Space) -> Option<&'k BTreeSet<Hash>> {
    known.get(space).filter(|set| !set.is_empty())
}

impl Scenario {
    /// Two nodes that hold the same say the same.
    fn check_safety(&mut self) -> Result<(), Broken> {
        let mut said: BTreeMap<Vec<Option<BTreeSet<Hash>>>, (Ix, Says)> = BTreeMap::new();
        for ix in self.members.clone() {
            let before = self.fleet.machine(ix).known();
            let Some(says) = self.says(ix) else { continue };
            let known = self.fleet.machine(ix).known();
            // One whose disk is slow takes its time to answer, and is another node at the last answer than at the first.
            if known != before || self.fleet.machine(ix).turn.is_some() {
                continue;
            }
            // A roster follows from what bolts hold: two with unequal shares of it are not compared.
            let spaces = [Space::admissions(), Space::config(), Space::settings(), Space::envoys()];
            let holds = spaces.iter().map(|space| of(&known, space).cloned()).collect();
            match said.get(&holds) {
                Some((other, before)) if *before != says => {
                    let what = format!("{ix} says {says:?}\nand {other} says {before:?}");
                    return Err(self.broken("equal records give equal answers", what));
                }
                Some(_) => self.fleet.reach("two held the same"),
                None => drop(said.insert(holds, (ix, says))),
            }
        }
        Ok(())
    }

    /// What a node in standing says; it says nothing of itself here.
    pub(super) fn says(&mut self, ix: Ix) -> Option<Says> {
        if self.fleet.machine(ix).power() == Power::Off {
            return None;
        }
        let status = self.fleet.try_status(ix).filter(|s| s.standing == "member")?;
        let me = status.key;
        let publishes = match self.fleet.try_call(ix, Command::Publishes) {
            Some(Ok(Reply::Publishes(rows))) => rows.iter().map(|r| (r.at, r.refused.is_none())).collect(),
            _ => return None,
        };
        let settings = match self.fleet.try_call(ix, Command::Settings) {
            Some(Ok(Reply::Settings(rows))) => {
                rows.into_iter().map(|r| (r.key, r.value.to_string())).collect()
            }
            _ => return None,
        };
        let members = match self.fleet.try_call(ix, Command::Members) {
            // An envoy lists itself too, from its papers.
            Some(Ok(Reply::Members(rows))) => {
                let others = rows.into_iter().filter(|m| m.kind != "envoy" || m.key != me || status.bolt);
                others.map(|m| (m.name, m.kind, m.state)).collect()
            }
            _ => return None,
        };
        let operator = self.fleet.operator.clone();
        let tips = self.fleet.try_signer(ix, &operator)?.context().tips.clone();
        let tips = tips.into_iter().flat_map(|(_, heads)| heads).collect();
        Some(Says { head: status.head, tips, publishes, settings, members })
    }

    /// Makes the checks that hold at every moment.
    pub(super) fn check_always(&mut self) -> Result<(), Broken> {
        CHECKS.iter().filter(|check| check.kept == Kept::Always).try_for_each(|check| self.make(check))
    }

    /// Makes the checks that hold once all has settled.
    pub(super) fn check_eventually(&mut self) -> Result<(), Broken> {
        let settled = self.fleet.now();
        for check in CHECKS.iter().filter(|check| check.kept == Kept::Eventually) {
            let passed = self.fleet.now().since(settled);
            self.fleet.elapse(check.after.saturating_sub(passed));
            self.make(check)?;
        }
        Ok(())
    }

    fn make(&mut self, check: &Check) -> Result<(), Broken> {
        if self.checks.has(check) { (check.holds)(self) } else { Ok(()) }
    }

    /// Gossip links stand between members that are connected, and nowhere else. Two that are both out, and each of which
    /// has not heard that the other is, may do among themselves what they like.
    fn check_links(&mut self) -> Result<(), Broken> {
        let mut bad = None;
        // A copy of a machine is out with it.
        let keys: BTreeSet<_> = self.revoked.iter().map(|ix| self.fleet.key(*ix)).collect();
        for (a, b) in self.fleet.mesh.pairs() {
            self.fleet.reach("a link was looked at");
            let out = [a, b].map(|ix| keys.contains(&self.fleet.key(ix)));
            if out == [true, true] {
                continue;
            }
            let out = out.contains(&true);
            if out || !self.fleet.is_connected(a, b) {
                bad = Some(format!("{a} and {b} are linked; one is revoked: {out}"));
            }
        }
        bad.map_or(Ok(()), |what| Err(self.broken("links follow member sessions", what)))
    }

    /// What is not as it will be, if anything.
    pub(super) fn unsettled(&mut self) -> Option<String> {
        // Who fell with its bolt is taken for none of the members soon.
        let unlisted =
            |s: &mut Scenario| s.unlisted_newcomers().pop().map(|ix| format!("no bolt lists {ix}"));
        self.disagreement().or_else(|| unlisted(self))
    }

    /// What does not agree yet, if anything.
    fn disagreement(&mut self) -> Option<String> {
        let now = self.fleet.now();
        if let Some((ix, _)) = self.joining.iter().find(|(_, until)| now < **until) {
            return Some(format!("{ix} has not joined"));
        }
        let standing = self.standing();
        let (head, text) = match self.model.head(&self.present()) {
            Some((head, text)) => (Some(head), Some(format!("{text}\n"))),
            None => (None, None),
        };
        for space in Scenario::spaces() {
            if let Some(what) = self.differs(&standing, &space) {
                return Some(what);
            }
        }
        let bolts: Vec<Ix> = standing.iter().copied().filter(|ix| self.bolts.contains(ix)).collect();
        for space in [Space::envoys(), Space::status()] {
            if let Some(what) = self.differs(&bolts, &space) {
                return Some(what);
            }
        }
        // Where nothing counts that was ever published, hosts stay as they are.
        head?;
        for ix in standing {
            let machine = self.fleet.machine(ix);
            let shows = self.fleet.file(ix, "/etc/motd");
            if shows != text || machine.epochs_run.last().copied() != head.map(|at| at.epoch) {
                let ran = machine.epochs_run.last();
                return Some(format!("{ix} shows {shows:?} and ran {ran:?}, not {text:?} of {head:?}"));
            }
        }
        None
    }

    /// Who offers another set of a space than the first, and what only one of the two offers.
    fn differs(&self, among: &[Ix], space: &Space) -> Option<String> {
        let digest = |ix: &Ix| self.fleet.machine(*ix).digest(space);
        let one = *among.first()?;
        let other = among.iter().copied().find(|ix| digest(ix) != digest(&one))?;
        let [mine, theirs] = [one, other].map(|ix| self.fleet.machine(ix).offered(space));
        let alone = |of: &BTreeSet<Written>, not: &BTreeSet<Written>| -> String {
            of.difference(not).take(8).map(|w| format!(" {w:?}")).collect()
        };
        let (here, there) = (alone(&mine, &theirs), alone(&theirs, &mine));
        Some(format!(
            "{other} has another digest of {space} than {one}; {one} alone offers{here}; {other} alone{there}"
        ))
    }

    /// The statements that some member in standing holds.
    fn present(&self) -> BTreeSet<Hash> {
        let mut present = BTreeSet::new();
        for ix in self.standing() {
            present.extend(self.fleet.machine(ix).known().into_values().flatten());
        }
        present
    }

    /// No head and no run ever went back but from a publish that was cut off.
    fn check_history(&mut self) -> Result<(), Broken> {
        for ix in self.members.clone() {
            let (heads, ran) = (self.fleet.machine(ix).heads.clone(), self.fleet.machine(ix).ran.clone());
            for (kind, history) in [("saw", heads), ("ran", ran)] {
                for pair in history.windows(2).filter(|pair| pair[1] < pair[0]) {
                    let second =
                        self.model.signed.get(&pair[0].id).map(|s| s.signer) == Some(self.second_key());
                    // Until all that a revoker had seen is here a node cannot tell what counts of the revoked
                    // key's. Then its head may go back for a while; what it runs may not.
                    let excused = self.model.is_cut(&pair[0].id)
                        || kind == "saw" && second && self.model.fallen.is_some();
                    if !excused {
                        let what = format!("{ix} {kind} {:?} and then {:?}", pair[0], pair[1]);
                        return Err(self.broken("nothing goes back while it counts", what));
                    }
                    self.fleet.reach("a head went back from a publish that was cut off");
                }
            }
        }
        Ok(())
    }

    /// Nothing acknowledged is lost.
    fn check_acknowledged(&mut self) -> Result<(), Broken> {
        let present = self.present();
        let promised: Vec<Hash> = self.model.promised().map(|s| s.id).collect();
        for ix in self.standing() {
            let known: BTreeSet<Hash> = self.fleet.machine(ix).known().into_values().flatten().collect();
            if let Some(lost) = promised.iter().find(|id| !known.contains(*id)) {
                let what = format!("{ix} does not hold {:?}", self.model.signed[lost]);
                return Err(self.broken("nothing acknowledged is lost", what));
            }
        }
        for signed in self.model.signed.values().filter(|s| !s.acked) {
            let came = present.contains(&signed.id);
            let what = if came { "unacknowledged and here" } else { "unacknowledged and gone" };
            *self.fleet.reached.entry(what).or_default() += 1;
        }
        Ok(())
    }

    /// Every node says what the model says.
    fn check_model(&mut self) -> Result<(), Broken> {
        let present = self.present();
        for ix in self.standing() {
            self.check_against_model(ix, &present)?;
        }
        if self.model.signed.values().any(|s| self.model.is_cut(&s.id)) {
            self.fleet.reach("something was cut off");
        }
        Ok(())
    }

    fn check_against_model(&mut self, ix: Ix, present: &BTreeSet<Hash>) -> Result<(), Broken> {
        let Some(says) = self.says(ix) else {
            return Err(self.broken("members stay members", format!("{ix} is none any more")));
        };
        let expected = self.model.head(present).map(|(at, _)| at);
        if says.head != expected {
            let what = format!("{ix} has the head {:?}, the model {expected:?}", says.head);
            return Err(self.broken("the head is the greatest that counts", what));
        }
        for (key, value) in self.model.settings(present) {
            let said = says.settings.iter().find(|(name, _)| name == key).map(|(_, v)| v.clone());
            if said.as_deref() != Some(value.to_string().as_str()) {
                let what = format!("{ix} says {key} = {said:?}, the model {value}");
                return Err(self.broken("a setting has its latest value", what));
            }
        }
        let counting = says.publishes.iter().filter(|(_, counts)| *counts).count();
        if counting > 1 && self.fleet.try_status(ix).is_some_and(|s| !s.warnings.is_empty()) {
            self.fleet.reach("a fork of epochs");
        }
        if !self.bolts.contains(&ix) {
            return Ok(());
        }
        for other in self.members.clone() {
            let name = self.fleet.machine(other).name.clone();
            let state = if self.revoked.contains(&other) { "revoked" } else { "active" };
            if !says.members.iter().any(|(n, _, s)| *n == name && s == state) {
                let what = format!("bolt {ix} does not list {name} as {state}: {:?}", says.members);
                return Err(self.broken("bolts list every member", what));
            }
        }
        Ok(())
    }

    /// Whoever was revoked is connected with nobody and has not run what came after.
    fn check_revoked(&mut self) -> Result<(), Broken> {
        for out in self.revoked.clone() {
            let key = self.fleet.key(out);
            for ix in self.standing() {
                let Some(Ok(Reply::Peers(rows))) = self.fleet.try_call(ix, Command::Peers) else { continue };
                if rows.iter().any(|p| p.key == key && p.name.is_some()) {
                    let what = format!("{ix} still talks with {out}");
                    return Err(self.broken("a revocation cuts connections", what));
                }
            }
        }
        Ok(())
    }
}
