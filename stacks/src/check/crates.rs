//! What is said of configcrates and usercrates as such: who is included nowhere, and who lies in the wrong place.
//!
//! All of it is advice: nothing here stops a publish.

use std::collections::BTreeSet;

use crate::diagnostic::{Diagnostic, Site};
use crate::parsed::{Configcrate, Parsed};
use crate::rules;

/// Names that one message lists.
const NAMES_MAX: usize = 10;

/// Reports usercrates that nobody includes, those that retire nobody, and people declared elsewhere.
pub(super) fn check(parsed: &Parsed, sink: &mut Vec<Diagnostic>) {
    unreferenced(parsed, sink);
    for found in parsed.configcrates.values() {
        let mut users = found.resources.iter().filter(|r| r.kind.name == "user");
        if !found.user
            && let Some(user) = users.next()
        {
            let message =
                format!("the configcrate {} declares the user {}", found.name.value, user.name.value);
            let help = "declare each person in a usercrate of their own, below a usercrates/: so the history of a \
                        file is the history of a person";
            let site = &user.name.site;
            sink.push(Diagnostic::warning(rules::USER_OUTSIDE_USERCRATE, site, message).help(help));
        } else if found.user && is_retired(found) {
            let stays = users.find(|u| {
                let state = u.attributes.get("state");
                state.is_none_or(|state| state.values().any(|v| v.as_str() == Some("present")))
            });
            if let Some(user) = stays {
                let message = format!("{} is retired, and its user is to be present", found.name.value);
                let help =
                    "say `state: absent` on the user, publish, and wait until every envoy has converged";
                let site = &user.name.site;
                sink.push(Diagnostic::warning(rules::USERCRATE_RETIRED, site, message).help(help));
            }
        }
    }
}

/// Whether it lies in the roster of those who have left.
fn is_retired(found: &Configcrate) -> bool {
    found.path.contains("usercrates/retired/")
}

/// One warning for all (F31); the retired need nobody who includes them.
fn unreferenced(parsed: &Parsed, sink: &mut Vec<Diagnostic>) {
    let named: BTreeSet<&str> = parsed.mentions().map(|m| m.name.value.as_str()).collect();
    let alone: Vec<&Configcrate> = parsed
        .configcrates
        .values()
        .map(AsRef::as_ref)
        .filter(|c| c.user && !is_retired(c) && !named.contains(c.name.value.as_str()))
        .collect();
    let Some(first) = alone.first() else { return };
    let mut names: Vec<&str> = alone.iter().map(|c| c.name.value.as_str()).take(NAMES_MAX).collect();
    if alone.len() > NAMES_MAX {
        names.push("…");
    }
    let message = format!(
        "unreferenced usercrates — defined below a usercrates/ but not included by any envoy: count={} names=[{}]",
        alone.len(),
        names.join(", ")
    );
    let help = "include them with `usercrates:` of a match block, common.vgo, environments.vgo or role, or move \
                or delete the files";
    let site = Site::start(&first.path);
    sink.push(Diagnostic::warning(rules::USERCRATE_UNREFERENCED, &site, message).help(help));
}
