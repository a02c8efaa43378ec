//! `vigocli config publish --dry-run`: whose policy would change, which steps, and what in them.
//!
//! What is published is compiled again from its source, by this very program, so that only what the trees say
//! differs. Steps are compared as they come to a machine of which nothing is known.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;
use similar::{ChangeTag, TextDiff};
use vigo_base::text::escaped;
use vigo_daemon::client::blocking::Client;
use vigo_daemon::node::command::{Command, Reply};
use vigo_stacks::format::Change as Formatted;
use vigo_stacks::plan::Step;
use vigo_stacks::{Compiled, Facts, Policy, compile, resolve};

use super::config::head_source;
use crate::args::Everywhere;
use crate::exit::{Exit, Failure};
use crate::reach::{self, call};
use crate::show::Show;
use crate::words;

/// Lines of a step's difference that are shown.
const DIFF_LINES: usize = 200;

/// What a publish would change.
#[derive(Debug, Serialize)]
struct Comparison {
    /// Whether it was compared with what is published.
    compared: bool,
    /// Why not, if not.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// Policies and match blocks of the tree.
    policies: usize,
    routes: usize,
    /// Match blocks whose policy changes, appears or goes.
    changes: Vec<Change>,
    /// What would be formatted in the tree.
    format: Vec<Formatted>,
}

#[derive(Debug, Serialize)]
struct Change {
    pattern: String,
    origin: String,
    what: &'static str,
    /// The envoys that the block names and whose policy changes.
    envoys: Vec<String>,
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
    /// Of each changed step, the lines that differ.
    diffs: BTreeMap<String, String>,
}

/// Runs the comparison, and prints it.
///
/// # Errors
/// [`Failure`] if it cannot be printed. A node that cannot be asked is no failure: the tree was checked.
pub fn run(everywhere: &Everywhere, compiled: &Compiled, format: &[Formatted]) -> Result<(), Failure> {
    let format = format.to_vec();
    let (policies, routes) = (compiled.policies.len(), compiled.routes.len());
    let found = reach::node(everywhere).and_then(|client| against(&client, compiled));
    let comparison = match found {
        Ok(changes) => Comparison { compared: true, why: None, policies, routes, changes, format },
        Err(failure) => {
            let hint = failure.hint.map(|h| format!(" ({h})")).unwrap_or_default();
            let why = Some(failure.what + &hint);
            Comparison { compared: false, why, policies, routes, changes: Vec::new(), format }
        }
    };
    let show = Show::new(everywhere);
    show.result(&comparison, || text(&show, &comparison))
}

fn against(client: &Client, new: &Compiled) -> Result<Vec<Change>, Failure> {
    let old = match head_source(client) {
        Ok(source) => compile(&source).0.ok_or_else(|| {
            Failure::new(Exit::Failed, "what is published does not compile with this version of vigocli")
        })?,
        Err(failure) if failure.exit == Exit::NotFound => Compiled::default(),
        Err(failure) => return Err(failure),
    };
    let envoys = call!(client, Command::Envoys, Reply::Envoys(rows) => rows)?;
    let names: Vec<String> = envoys.into_iter().map(|row| row.name).collect();
    Ok(changes(&old, new, &names))
}

fn changes(old: &Compiled, new: &Compiled, names: &[String]) -> Vec<Change> {
    let mut all = Vec::new();
    for route in &new.routes {
        let policy: &Policy = &new.policies[route.policy];
        let before = old.routes.iter().find(|r| r.pattern == route.pattern).map(|r| &*old.policies[r.policy]);
        let here = names.iter().filter(|n| new.route(n).is_some_and(|r| std::ptr::eq(r, route)));
        let touched = here.filter(|n| old.route(n).map(|r| &*old.policies[r.policy]) != Some(policy));
        let envoys: Vec<String> = touched.cloned().collect();
        let what = match before {
            None => "new",
            Some(before) if before == policy && envoys.is_empty() => continue,
            Some(before) if before == policy => "moved",
            Some(_) => "changed",
        };
        all.push(change(&route.pattern, &route.origin, what, envoys, before, Some(policy)));
    }
    for route in &old.routes {
        if new.routes.iter().any(|r| r.pattern == route.pattern) {
            continue;
        }
        let gone = names.iter().filter(|n| old.route(n).is_some_and(|r| std::ptr::eq(r, route)));
        let envoys = gone.filter(|n| new.route(n).is_none()).cloned().collect();
        all.push(change(
            &route.pattern,
            &route.origin,
            "gone",
            envoys,
            Some(&old.policies[route.policy]),
            None,
        ));
    }
    all
}

fn change(
    pattern: &str,
    origin: &str,
    what: &'static str,
    envoys: Vec<String>,
    before: Option<&Policy>,
    after: Option<&Policy>,
) -> Change {
    let (before, after) = (steps(before), steps(after));
    let ids = |keep: &dyn Fn(&str) -> bool| -> Vec<String> {
        let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        all.into_iter().filter(|id| keep(id)).cloned().collect()
    };
    Change {
        pattern: pattern.to_owned(),
        origin: origin.to_owned(),
        what,
        envoys,
        added: ids(&|id| !before.contains_key(id)),
        removed: ids(&|id| !after.contains_key(id)),
        changed: ids(&|id| match (before.get(id), after.get(id)) {
            (Some(a), Some(b)) => !same(a, b),
            _ => false,
        }),
        diffs: before
            .iter()
            .filter_map(|(id, a)| after.get(id).filter(|b| !same(a, b)).map(|b| (id.clone(), between(a, b))))
            .collect(),
    }
}

/// The lines in which two steps differ.
fn between(a: &Step, b: &Step) -> String {
    let (a, b) = (written(a), written(b));
    let difference = TextDiff::from_lines(&a, &b);
    let lines = difference.iter_all_changes().filter(|line| line.tag() != ChangeTag::Equal);
    let shown = lines.take(DIFF_LINES).map(|line| {
        let sign = if line.tag() == ChangeTag::Insert { '+' } else { '-' };
        format!("{sign} {}\n", escaped(line.value().trim_end_matches('\n')))
    });
    shown.collect()
}

/// A step as lines.
fn written(step: &Step) -> String {
    let mut out = format!("type: {}\n", step.kind);
    for (name, value) in &step.attributes {
        match value.as_str() {
            Some(text) if text.contains('\n') => {
                let _ = writeln!(out, "{name}:");
                text.lines().for_each(|line| out += &format!("  {line}\n"));
            }
            Some(text) => out += &format!("{name}: {text}\n"),
            None => out += &format!("{name}: {value}\n"),
        }
    }
    for (name, value) in step.vars.iter() {
        let _ = writeln!(out, "variable {name}: {value}");
    }
    let when = step.when.as_ref().map_or_else(|| "always".to_owned(), ToString::to_string);
    let _ = writeln!(
        out,
        "when: {when}\nonly when triggered: {}\ntimeout: {}",
        step.only_when_triggered, step.timeout
    );
    out
}

fn steps(policy: Option<&Policy>) -> BTreeMap<String, Step> {
    let plan = policy.and_then(|p| resolve(p, &Facts::default()).ok()).unwrap_or_default();
    plan.steps.into_iter().map(|step| (step.id.clone(), step)).collect()
}

/// Whether two steps do the same; their places in their plans do not matter.
fn same(a: &Step, b: &Step) -> bool {
    (&a.kind, &a.attributes, &a.vars, &a.when, a.only_when_triggered, a.timeout)
        == (&b.kind, &b.attributes, &b.vars, &b.when, b.only_when_triggered, b.timeout)
}

fn text(show: &Show, comparison: &Comparison) -> String {
    let mut out = String::new();
    if !comparison.format.is_empty() {
        out += &super::format::listed(&comparison.format, true);
    }
    if let Some(why) = &comparison.why {
        let _ = writeln!(
            out,
            "the tree is right: {} for {}. It was not compared with what is published: {}",
            words::count(comparison.policies, "policy", "policies"),
            words::count(comparison.routes, "match block", "match blocks"),
            escaped(why)
        );
        return out;
    }
    if comparison.changes.is_empty() {
        return out + "nothing would change for anybody\n";
    }
    for change in &comparison.changes {
        let _ = writeln!(
            out,
            "{} {} at {}",
            change.what,
            show.bold(&escaped(&change.pattern)),
            escaped(&change.origin)
        );
        let envoys: Vec<String> = change.envoys.iter().map(|e| escaped(e)).collect();
        let whom = if envoys.is_empty() { "no envoy that is known here".into() } else { envoys.join(", ") };
        let _ = writeln!(out, "  for {whom}");
        for (sign, ids) in [('+', &change.added), ('-', &change.removed), ('~', &change.changed)] {
            for id in ids {
                let _ = writeln!(out, "  {sign} {}", escaped(id));
                let lines = change.diffs.get(id).map(String::as_str).unwrap_or_default();
                lines.lines().for_each(|line| out += &format!("      {line}\n"));
            }
        }
    }
    let touched: BTreeSet<&String> = comparison.changes.iter().flat_map(|c| &c.envoys).collect();
    let _ = writeln!(
        out,
        "{} would be touched; nothing was published",
        words::count(touched.len(), "envoy", "envoys")
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use vigo_stacks::SourceTree;

    fn compiled(port: u16, extra: &str) -> Compiled {
        let files = [
            (
                "configcrates/web.vgo",
                format!(
                    "name: web\nresources:\n  - name: conf\n    type: file\n    target_path: /etc/web\n    content: \"port {{{{ .Vars.port }}}}\"\n{extra}"
                ),
            ),
            (
                "configcrates/db.vgo",
                "name: db\nresources:\n  - {name: run, type: exec, command: \"true\"}\n".into(),
            ),
            (
                "hosts.vgo",
                format!(
                    "envoys:\n  - {{match: \"web*\", configcrates: [web], vars: {{port: {port}}}}}\n  - {{match: \"db*\", configcrates: [db]}}\n"
                ),
            ),
        ];
        let (compiled, said) = compile(&SourceTree::from_files(files).unwrap());
        compiled.unwrap_or_else(|| panic!("{said:?}"))
    }

    #[test]
    fn only_what_differs_is_listed_and_for_whom() {
        let names = ["web1".to_owned(), "db1".to_owned()];
        assert!(changes(&compiled(80, ""), &compiled(80, ""), &names).is_empty());
        let extra = "  - {name: more, type: exec, command: \"true\"}\n";
        let found = changes(&compiled(80, ""), &compiled(443, extra), &names);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].what, found[0].envoys.as_slice()), ("changed", &names[..1]));
        assert_eq!(
            (found[0].added.as_slice(), found[0].changed.as_slice()),
            (&["web/more".to_owned()][..], &["web/conf".to_owned()][..])
        );
        let empty = Compiled::default();
        assert_eq!(
            changes(&empty, &compiled(80, ""), &names).iter().map(|c| c.what).collect::<Vec<_>>(),
            ["new", "new"]
        );
        assert_eq!(changes(&compiled(80, ""), &empty, &names)[1].removed, ["db/run"]);
    }
}
