//! References between resources and configcrates: what each name means in one policy, and the edges that follow.
//!
//! A name is never guessed: what could mean two things is refused with both.

use crate::diagnostic::Diagnostic;
use crate::parsed::Name;
use crate::rules;

use super::library::without_key;
use super::{Assembler, begin_of, end_of};

/// Names that an error lists.
const SHOWN: usize = 6;

/// What a reference leads to.
enum Found {
    /// One step, or all the copies of a resource with `foreach:`.
    Steps(Vec<usize>),
    /// A configcrate, or all its instances.
    Configcrates(Vec<usize>),
    Nothing,
}

impl Assembler<'_, '_> {
    pub(super) fn edges(&mut self) {
        for at in 0..self.steps.len() {
            if self.crates[self.steps[at].of].absent {
                self.turned_edges(at);
                continue;
            }
            for name in self.steps[at].resource.depends_on.clone() {
                for on in self.steps_of(at, &name, "depends_on") {
                    self.depends_on[at].insert(on);
                    self.ordered.push((on, at));
                }
            }
            for name in self.steps[at].resource.before.clone() {
                for then in self.steps_of(at, &name, "before") {
                    self.ordered.push((at, then));
                }
            }
            for name in self.steps[at].resource.notify.clone() {
                for then in self.steps_of(at, &name, "notify") {
                    self.triggers[at].insert(then);
                    self.ordered.push((at, then));
                }
            }
            for name in self.steps[at].resource.subscribes.clone() {
                for first in self.steps_of(at, &name, "subscribes") {
                    self.triggers[first].insert(at);
                    self.ordered.push((first, at));
                }
            }
        }
        for index in 0..self.crates.len() {
            let configcrate = self.crates[index].configcrate;
            for name in &configcrate.depends_on {
                for other in self.other_crates(name) {
                    self.order_crates(other, index);
                }
            }
            for name in &configcrate.before {
                for other in self.other_crates(name) {
                    self.order_crates(index, other);
                }
            }
        }
    }

    /// The edges of a step that is retracted: what it depends on is taken back once it is itself. What stays, or is
    /// not there, does not matter to it; the present form of its configcrate is checked elsewhere.
    fn turned_edges(&mut self, at: usize) {
        let own = self.steps[at].of;
        let resource = &self.steps[at].resource;
        let meant = |name: &Name| {
            let steps = self.named(own, &name.value);
            let single = steps.len() == 1 || steps.first().is_some_and(|s| self.steps[*s].of == own);
            let retracted = steps.into_iter().filter(|s| single && self.crates[self.steps[*s].of].absent);
            retracted.collect::<Vec<_>>()
        };
        let on: Vec<usize> = resource.depends_on.iter().flat_map(meant).collect();
        let then: Vec<usize> = resource.before.iter().flat_map(meant).collect();
        for other in on {
            self.depends_on[other].insert(at);
            self.ordered.push((at, other));
        }
        self.ordered.extend(then.into_iter().map(|other| (other, at)));
    }

    /// One configcrate after another; what is retracted goes after those that need it.
    fn order_crates(&mut self, first: usize, then: usize) {
        let n = self.steps.len();
        let (first, then) = if self.crates[first].absent { (then, first) } else { (first, then) };
        self.ordered.push((end_of(n, first), begin_of(n, then)));
    }

    /// The configcrate of that name, or all its instances.
    fn crates_named(&self, name: &str) -> Vec<usize> {
        let named = |c: &super::Crate<'_>| c.name == name || c.configcrate.name.value == name;
        (0..self.crates.len()).filter(|i| named(&self.crates[*i])).collect()
    }

    fn other_crates(&mut self, name: &Name) -> Vec<usize> {
        let found = self.crates_named(&name.value);
        if found.is_empty() && self.subject.pattern.is_some() && self.subject.library.has(&name.value) {
            let message = format!("{} is not part of the policy{}", name.value, self.of_pattern());
            let help = "the order has no effect there; ask for it too, or leave this";
            self.sink.push(Diagnostic::warning(rules::REFERENCE_ABSENT, &name.site, message).help(help));
        }
        found
    }

    /// The steps that a reference of the step `at` means.
    fn steps_of(&mut self, at: usize, name: &Name, key: &str) -> Vec<usize> {
        match self.find(at, name, key) {
            Found::Steps(steps) => steps,
            Found::Configcrates(all) => {
                let ranges = all.into_iter().map(|index| self.ranges[index]);
                ranges.flat_map(|(first, count)| first..first + count).filter(|s| *s != at).collect()
            }
            Found::Nothing => Vec::new(),
        }
    }

    /// What `name` means in the step `at`: a resource beside it, a qualified one, one elsewhere in the policy
    /// whose name is unique, or (for `notify` and `subscribes`) a configcrate.
    fn find(&mut self, at: usize, name: &Name, key: &str) -> Found {
        let own = self.steps[at].of;
        let text = name.value.as_str();
        let named = self.named(own, text);
        // Copies of one resource beside it are meant together.
        if named.len() > 1 && !text.contains('/') && named.iter().all(|s| self.steps[*s].of == own) {
            return self.reached(own, named, name, key);
        }
        match (named.as_slice(), self.crates_named(text)) {
            ([_], _) => self.reached(own, named, name, key),
            ([], all) if !all.is_empty() && matches!(key, "notify" | "subscribes") => {
                let lost: Vec<bool> =
                    all.iter().map(|other| self.lost_to_retraction(own, *other, name, key)).collect();
                if lost.contains(&true) { Found::Nothing } else { Found::Configcrates(all) }
            }
            ([], all) if !all.is_empty() => {
                let message = format!("{text} is a configcrate, and `{key}:` of a resource names resources");
                let help = format!("to order whole configcrates, use `{key}:` of the configcrate");
                self.sink.push(Diagnostic::error(rules::REFERENCE_UNKNOWN, &name.site, message).help(help));
                Found::Nothing
            }
            ([], _) => {
                self.not_found(own, name, key);
                Found::Nothing
            }
            (many, _) => {
                let many = many.to_vec();
                self.ambiguous(name, &many);
                Found::Nothing
            }
        }
    }

    /// The steps that a name in the configcrate `own` could mean: those beside it, else those elsewhere.
    fn named(&self, own: usize, text: &str) -> Vec<usize> {
        if let Some((configcrate, resource)) = text.split_once('/') {
            return self.qualified(own, configcrate, resource);
        }
        match self.within(own, text) {
            beside if !beside.is_empty() => beside,
            _ => self.by_name.get(text).cloned().unwrap_or_default(),
        }
    }

    /// Steps that are there to be meant, unless their configcrate is retracted.
    fn reached(&mut self, own: usize, steps: Vec<usize>, name: &Name, key: &str) -> Found {
        let other = steps.first().map_or(own, |s| self.steps[*s].of);
        if self.lost_to_retraction(own, other, name, key) { Found::Nothing } else { Found::Steps(steps) }
    }

    /// The step of that name in a configcrate, or all the copies if the name is a pattern's.
    fn within(&self, index: usize, resource: &str) -> Vec<usize> {
        if let Some(step) = self.beside.get(&(index, resource.to_string())) {
            return vec![*step];
        }
        let (first, count) = self.ranges[index];
        let all = first..first + count;
        all.filter(|s| self.steps[*s].pattern == resource || self.steps[*s].name == resource).collect()
    }

    fn qualified(&self, own: usize, configcrate: &str, resource: &str) -> Vec<usize> {
        // An instance means itself by the plain name of its configcrate.
        if self.crates[own].configcrate.name.value == configcrate {
            return self.within(own, resource);
        }
        self.crates_named(configcrate).into_iter().flat_map(|index| self.within(index, resource)).collect()
    }

    fn ambiguous(&mut self, name: &Name, many: &[usize]) {
        let text = name.value.as_str();
        let full = |s: &usize| format!("{}/{}", self.crates[self.steps[*s].of].name, self.steps[*s].name);
        let mut holders: Vec<String> = many.iter().take(SHOWN).map(full).collect();
        if many.len() > SHOWN {
            holders.push("…".into());
        }
        let message = format!("{text} is declared in {} configcrates", many.len());
        let help = format!("write one of {}", holders.join(", "));
        self.sink.push(Diagnostic::error(rules::REFERENCE_AMBIGUOUS, &name.site, message).help(help));
    }

    /// Reports a reference into a configcrate that is retracted here; true if it is one.
    fn lost_to_retraction(&mut self, own: usize, other: usize, name: &Name, key: &str) -> bool {
        if !self.crates[other].absent || own == other {
            return false;
        }
        let message = format!(
            "{} is retracted{}, and `{key}` names {}",
            self.crates[other].name,
            self.of_pattern(),
            name.value
        );
        let help = "take the reference out, or retract this configcrate too";
        self.sink.push(if key == "depends_on" {
            Diagnostic::error(rules::REFERENCE_ABSENT, &name.site, message).help(help)
        } else {
            Diagnostic::warning(rules::REFERENCE_ABSENT, &name.site, message).help(help)
        });
        true
    }

    fn not_found(&mut self, own: usize, name: &Name, key: &str) {
        let text = name.value.as_str();
        if let Some(holder) = self.subject.library.holder(text) {
            if self.subject.pattern.is_none() {
                return;
            }
            let (message, help) = self.elsewhere(holder, text);
            let message = format!("{message}{}", self.of_pattern());
            self.sink.push(if key == "depends_on" {
                Diagnostic::error(rules::REFERENCE_ABSENT, &name.site, message).help(help)
            } else {
                Diagnostic::warning(rules::REFERENCE_ABSENT, &name.site, message).help(help)
            });
            return;
        }
        let resource = text.rsplit('/').next().unwrap_or(text);
        if self.subject.library.lost(resource) {
            return;
        }
        let beside = self.crates[own].configcrate.resources.iter().map(|r| r.name.value.as_str());
        let elsewhere = self.subject.library.resources();
        let all: Vec<&str> = beside.chain(elsewhere).collect();
        let message = format!("`{key}` names {text}, which no configcrate declares");
        let diagnostic = Diagnostic::error(rules::REFERENCE_UNKNOWN, &name.site, message);
        self.sink.push(
            diagnostic.near(text, all).help("name a resource of this configcrate, or configcrate/resource"),
        );
    }

    /// Why a name that is declared is not in the policy, and what to do.
    fn elsewhere(&self, holder: &str, text: &str) -> (String, String) {
        let here = self.crates_named(holder);
        if here.is_empty() {
            let message =
                format!("{text} belongs to the configcrate {holder}, which is not part of the policy");
            return (message, format!("ask for {holder} too"));
        }
        let resource = without_key(text.rsplit('/').next().unwrap_or(text));
        if self.subject.library.may_make(holder, resource) {
            let message = format!("no element of its list makes {text} of the configcrate {holder}");
            return (message, "name one that the list makes, or take the reference out".into());
        }
        let known: Vec<String> = here
            .iter()
            .take(SHOWN)
            .filter_map(|index| self.within(*index, resource).first().map(|s| self.steps[*s].name.clone()))
            .collect();
        let message = format!("{text} is made once for each element of a list by the configcrate {holder}");
        (message, format!("write one of {}", known.join(", ")))
    }

    /// Warns of what waits for a trigger that nothing gives.
    pub(super) fn check_triggers(&mut self) {
        if self.subject.pattern.is_none() {
            return;
        }
        let triggered: std::collections::BTreeSet<usize> = self.triggers.iter().flatten().copied().collect();
        for (at, step) in self.steps.iter().enumerate() {
            let waits = step.resource.when.as_ref().filter(|w| w.value.holds_changed());
            let Some(when) =
                waits.filter(|_| !triggered.contains(&at) && step.resource.watch_secret.is_empty())
            else {
                continue;
            };
            let message =
                format!("{} waits for a trigger, and nothing triggers it{}", step.name, self.of_pattern());
            let help =
                "name it under `notify:` of another resource, or name that one under `subscribes:` here";
            self.sink.push(Diagnostic::warning(rules::TRIGGER_MISSING, &when.site, message).help(help));
        }
    }
}
