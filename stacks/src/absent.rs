//! Retraction by a mention: what a configcrate comes to where `state: absent` asks for it.
//!
//! The same resources, each in the state that takes back what it made, in the reverse of their order. It never
//! guesses an inverse: what has none is refused where the mention stands, with the resource and its type.

use serde_json::Value;

use crate::diagnostic::{Diagnostic, Site};
use crate::parsed::{Condition, Configcrate, Resource};
use crate::rules;
use crate::schema::Reversal;
use crate::setting::Setting;
use crate::when::Expr;

/// Reports every resource of a configcrate that `state: absent` at `site` could not take back (F36, F37).
pub(crate) fn refusals(found: &Configcrate, site: &Site, sink: &mut Vec<Diagnostic>) {
    for resource in &found.resources {
        let (name, kind) = (&resource.name.value, resource.kind.name);
        match resource.kind.reversal {
            Reversal::State(..) | Reversal::Snapshot => {}
            Reversal::Command | Reversal::Native if resource.on_revert.is_some() => {}
            Reversal::Command | Reversal::Native => {
                let message = format!(
                    "{} cannot be absent: its resource {name} is an action ({kind}) that does not say how to undo it",
                    found.name.value
                );
                let help =
                    format!("give it `on_revert:`, the command that undoes it, at {}", resource.name.site);
                sink.push(Diagnostic::error(rules::ABSENT_NEEDS_REVERT, site, message).help(help));
            }
            Reversal::None => {
                let message = format!(
                    "{} cannot be absent: its resource {name} is of the type {kind}, which cannot be reversed",
                    found.name.value
                );
                let help =
                    "write what undoes it as a configcrate of its own: `vigocli config retract` drafts one";
                sink.push(Diagnostic::error(rules::ABSENT_IRREVERSIBLE, site, message).help(help));
            }
        }
    }
}

/// The configcrate as it is where it is absent: resources in reverse order, each taken back, and nothing triggers
/// anything. References stay as they are written; the edges that follow from them are turned round when they are
/// resolved.
pub(crate) fn retracted(found: &Configcrate) -> Configcrate {
    let mut resources: Vec<Resource> = Vec::with_capacity(found.resources.len());
    for resource in found.resources.iter().rev() {
        let mut back = resource.clone();
        if let Some(site) = handles(resource) {
            back.when = Some(Condition { value: Expr::Literal(false), site: site.clone() });
            back.notify.clear();
            back.subscribes.clear();
            back.watch_secret.clear();
            resources.push(back);
            continue;
        }
        match resource.kind.reversal {
            Reversal::State(state, beside) => {
                let mut taken = vec![("state".to_string(), Setting::Fixed(Value::from(state)))];
                taken.extend(
                    beside.iter().map(|(name, v)| ((*name).to_string(), Setting::Fixed(Value::Bool(*v)))),
                );
                // A branch must not bring back what the retraction takes away.
                for arm in back.case.iter_mut().flat_map(|case| case.arms.values_mut()) {
                    arm.retain(|name, _| !taken.iter().any(|(n, _)| n == name));
                }
                back.attributes.extend(taken);
            }
            Reversal::Snapshot | Reversal::Command | Reversal::Native => {
                back.revert = true;
            }
            Reversal::None => {}
        }
        back.when = resource.when.as_ref().and_then(untriggered);
        back.notify.clear();
        back.subscribes.clear();
        back.watch_secret.clear();
        resources.push(back);
    }
    Configcrate { resources, ..found.clone() }
}

/// Where the condition of a service stands that is only restarted or reloaded when something changes: the configcrate
/// does not run the service, so that to take it back must not stop it.
fn handles(resource: &Resource) -> Option<&Site> {
    let when = resource.when.as_ref()?;
    let state = match resource.attributes.get("state") {
        Some(Setting::Fixed(state)) => state.as_str(),
        _ => None,
    };
    let handles = resource.kind.name == "service" && matches!(state, Some("restarted" | "reloaded"));
    (handles && when.value.clone().without_changed().0).then_some(&when.site)
}

/// A condition without the word `changed`: what is retracted waits for no trigger.
fn untriggered(when: &Condition) -> Option<Condition> {
    let (_, rest) = when.value.clone().without_changed();
    rest.map(|value| Condition { value, site: when.site.clone() })
}
