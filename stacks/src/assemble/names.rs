//! Whether the names in conditions and templates have values in one policy.
//!
//! What cannot be judged is passed over: a configcrate on its own has no variables but its own.

use std::collections::BTreeMap;

use serde_json::Value;
use vigo_base::text::nearest;

use crate::diagnostic::{Diagnostic, Site};
use crate::parsed::Condition;
use crate::rules;
use crate::template;
use crate::traits;
use crate::when::{self, Expr};

use super::Assembler;

impl Assembler<'_, '_> {
    /// Checks the names in conditions and templates against the variables of this policy.
    pub(super) fn check_names(&mut self) {
        for index in 0..self.crates.len() {
            let scope = self.scope(index);
            let composed = self.crates[index].composed;
            let when = composed.when();
            let conditional = when.is_some();
            if when.is_some_and(|w| w.to_string().len() > when::WHEN_BYTES)
                && let Some(mention) = composed.mentions.last()
            {
                let message = format!("the conditions of {} together are too long", composed.name);
                let help = "ask for it with fewer or shorter conditions";
                self.sink.push(Diagnostic::error(rules::POLICY_SIZE, &mention.site, message).help(help));
            }
            for when in composed.counting().filter_map(|m| m.when.as_ref()) {
                self.check_condition(&when.value, &when.site, &scope);
            }
            let (first, count) = self.ranges[index];
            for at in first..first + count {
                // A reference to the file's resource, or to a copy that is cloned with it.
                let resource = self.steps[at].resource.clone();
                if let Some(when) = &resource.when {
                    self.check_condition(&when.value, &when.site, &scope);
                    self.check_changed(when);
                }
                for (path, site) in resource.templates.iter().flat_map(|t| &t.printed) {
                    // A trait that does not exist is a mistake in any policy; a variable may be meant for others.
                    let of_vars = path.first().is_some_and(|p| p == "Vars");
                    let certain = resource.when.is_none() && !(of_vars && conditional);
                    self.check_printed(path, site, &scope, certain);
                }
            }
        }
    }

    fn check_condition(&mut self, expr: &Expr, site: &Site, scope: &BTreeMap<String, Value>) {
        if self.subject.pattern.is_none() {
            return;
        }
        for misuse in when::check(expr, scope) {
            let message = format!("{}{}", misuse.message, self.of_pattern());
            self.sink.push(Diagnostic::error(rules::WHEN_NAME, site, message).help(misuse.help));
        }
        let mut printed = Vec::new();
        expr.walk(&mut |part| {
            if let Expr::Call(_, arguments) = part {
                for found in arguments.iter().filter_map(|a| template::check(a).ok()) {
                    printed.extend(found.into_iter().filter(|p| !p.guarded));
                }
            }
        });
        for name in printed {
            self.check_printed(&name.path, site, scope, true);
        }
    }

    fn check_changed(&mut self, when: &Condition) {
        let (_, rest) = when.value.clone().without_changed();
        if rest.is_some_and(|r| r.holds_changed()) {
            let message = "`changed` stands alone or beside `&&`, not under `!` or `||`";
            let help = "write `changed && …`; for \"or\", use two resources";
            self.sink.push(Diagnostic::error(rules::WHEN_CHANGED, &when.site, message).help(help));
        }
    }

    fn check_printed(
        &mut self,
        path: &[String],
        site: &Site,
        scope: &BTreeMap<String, Value>,
        certain: bool,
    ) {
        let (message, near) = match path {
            [space, rest @ ..] if space == "Traits" && !rest.is_empty() => {
                let name = rest.join(".");
                if traits::is_known(&name) {
                    return;
                }
                (
                    format!("there is no trait {name}"),
                    nearest(&name, traits::paths()).map(|n| format!(".Traits.{n}")),
                )
            }
            [space, name, inner @ ..] if space == "Vars" && self.subject.pattern.is_some() => match scope
                .get(name)
            {
                None => {
                    let near = nearest(name, scope.keys().map(String::as_str)).map(|n| format!(".Vars.{n}"));
                    (format!("the variable {name} has no value{}", self.of_pattern()), near)
                }
                Some(value) => {
                    if inner.iter().try_fold(value, |at, part| at.get(part)).is_some_and(|v| !v.is_null()) {
                        return;
                    }
                    let whole = path[1..].join(".");
                    (format!("the variable {whole} has no value{}", self.of_pattern()), None)
                }
            },
            _ => return,
        };
        let help = match near {
            Some(near) => format!("did you mean {near}?"),
            None => "set it in `vars:`, or give it a fallback: `| default \"…\"`".to_string(),
        };
        self.sink.push(if certain {
            Diagnostic::error(rules::TEMPLATE_NAME, site, message).help(help)
        } else {
            Diagnostic::warning(rules::TEMPLATE_NAME, site, message).help(help)
        });
    }
}
