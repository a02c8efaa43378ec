//! Checks across files that need no composition: names that are mentioned exist, roles are shaped as they must
//! be, match blocks can be reached.
//!
//! Everything is checked, assigned to a host or not, and each mistake is reported where it stands.

use std::sync::Arc;

use vigo_base::target::glob_matches;

use crate::absent;
use crate::compliance;
use crate::diagnostic::{Diagnostic, Site};
use crate::parsed::{MatchBlock, Name, Parsed, Ref};
use crate::rules;

mod crates;

/// Match blocks up to which every pair is compared.
const PAIRS_MAX: usize = 1_000;

/// Reports every mention of what does not exist, and what roles and match blocks may not do.
pub(crate) fn check(parsed: &Parsed, sink: &mut Vec<Diagnostic>) {
    let mut checker = Checker { parsed, sink };
    for role in parsed.roles.values() {
        checker.members(&role.configcrates, &role.usercrates);
        for case in &role.cases {
            checker.members(&case.configcrates, &case.usercrates);
        }
        for include in &role.includes {
            checker.include(include, &role.name);
        }
        if let (Some(_), Some(var)) = (&role.when, role.vars.values().next()) {
            checker.conditional_vars(&var.site, &role.name.value);
        }
    }
    for common in parsed.commons.values() {
        checker.members(&common.configcrates, &common.usercrates);
        checker.roles(&common.roles);
        checker.exclusions(&common.exclude);
    }
    for environment in parsed.environments.values().flat_map(|of_file| of_file.values()) {
        checker.members(&environment.configcrates, &environment.usercrates);
        checker.exclusions(&environment.exclude);
    }
    for block in &parsed.blocks {
        checker.members(&block.configcrates, &block.usercrates);
        checker.roles(&block.roles);
        checker.exclusions(&block.exclude);
    }
    for configcrate in parsed.configcrates.values() {
        for name in configcrate.depends_on.iter().chain(&configcrate.before) {
            checker.ordered(name);
        }
    }
    crates::check(parsed, checker.sink);
    compliance::review(parsed, checker.sink);
    if let (Some(common), Some(block)) =
        (parsed.commons.get(""), parsed.blocks.iter().find(|b| b.dir.is_empty()))
    {
        let message = "the root's common.vgo does not apply to match blocks at the root";
        let help = format!("{} is there; move it into a directory if it is to inherit", block.pattern.site);
        sink.push(Diagnostic::warning(rules::COMMON_AT_ROOT, &Site::start(&common.path), message).help(help));
    }
    reachable(&parsed.blocks, sink);
}

struct Checker<'a> {
    parsed: &'a Parsed,
    sink: &'a mut Vec<Diagnostic>,
}

impl Checker<'_> {
    /// A mention of a configcrate, or of a usercrate, under `key`.
    fn member(&mut self, name: &Name, user: bool, key: &str) {
        if self.parsed.lost.contains(&name.value) || self.parsed.library(&name.value, user).is_some() {
            return;
        }
        let (own, other) = if user { ("usercrate", "configcrate") } else { ("configcrate", "usercrate") };
        let rule = if user { rules::USERCRATE_UNKNOWN } else { rules::CONFIGCRATE_UNKNOWN };
        let diagnostic = if let Some(found) = self.parsed.configcrates.get(&name.value) {
            let message = format!(
                "`{key}:` references \"{}\" — that name is a {other} defined at {}",
                name.value, found.path
            );
            let help = if key == "exclude_configcrates" {
                "a usercrate applies only where it is included: take it out there".to_string()
            } else {
                format!("use `{other}s:` instead of `{key}:`")
            };
            Diagnostic::error(rules::REFERENCE_KIND, &name.site, message).help(help)
        } else if self.parsed.roles.contains_key(&name.value) {
            let message = format!("{} is a role, not a {own}", name.value);
            Diagnostic::error(rule, &name.site, message).help("name it under `roles:`")
        } else {
            let known = self.parsed.configcrates.values().filter(|c| c.user == user);
            let help = if user {
                "usercrates are the .vgo files below a usercrates/, by their `name:` or their file's name"
            } else {
                "configcrates are the .vgo files below configcrates/, by their `name:`"
            };
            Diagnostic::error(rule, &name.site, format!("there is no {own} {}", name.value))
                .near(&name.value, known.map(|c| c.name.value.as_str()))
                .help(help)
        };
        self.sink.push(diagnostic);
    }

    fn members(&mut self, configcrates: &[Ref], usercrates: &[Ref]) {
        for mention in configcrates {
            self.member(&mention.name, false, "configcrates");
            if let Some(state) = mention.absent.as_ref().filter(|state| state.value)
                && let Some(found) = self.parsed.library(&mention.name.value, false)
            {
                absent::refusals(found, &state.site, self.sink);
            }
        }
        for mention in usercrates {
            self.member(&mention.name, true, "usercrates");
        }
    }

    fn exclusions(&mut self, names: &[Name]) {
        names.iter().for_each(|name| self.member(name, false, "exclude_configcrates"));
    }

    /// `depends_on` and `before` of whole configcrates: either kind may be ordered.
    fn ordered(&mut self, name: &Name) {
        if !self.parsed.configcrates.contains_key(&name.value) {
            self.member(name, false, "configcrates");
        }
    }

    fn roles(&mut self, refs: &[Ref]) {
        for mention in refs {
            self.role(&mention.name);
            if let Some(role) = self.parsed.roles.get(&mention.name.value)
                && let Some(when) = &mention.when
            {
                let included = role.includes.iter().filter_map(|i| self.parsed.roles.get(&i.value));
                if std::iter::once(role).chain(included).any(|r| !r.vars.is_empty()) {
                    self.conditional_vars(&when.site.clone(), &role.name.value);
                }
            }
        }
    }

    fn role(&mut self, name: &Name) {
        if self.parsed.roles.contains_key(&name.value) || self.parsed.lost.contains("roles") {
            return;
        }
        let message = format!("there is no role {}", name.value);
        let help = if self.parsed.configcrates.contains_key(&name.value) {
            "a configcrate has that name: name it under `configcrates:`"
        } else {
            "roles are declared in roles.vgo"
        };
        let diagnostic = Diagnostic::error(rules::ROLE_UNKNOWN, &name.site, message);
        self.sink.push(diagnostic.near(&name.value, self.parsed.roles.keys().map(String::as_str)).help(help));
    }

    fn include(&mut self, include: &Name, by: &Name) {
        self.role(include);
        let Some(inner) = self.parsed.roles.get(&include.value) else { return };
        if include.value == by.value {
            let message = format!("{} includes itself", by.value);
            let diagnostic = Diagnostic::error(rules::ROLE_INCLUDES, &include.site, message);
            self.sink.push(diagnostic.help("remove it"));
        } else if !inner.includes.is_empty() {
            let message = format!("{} includes {}, which has includes itself", by.value, include.value);
            let help = "includes go one level deep: include those roles here as well, and remove them there";
            self.sink.push(Diagnostic::error(rules::ROLE_INCLUDES, &include.site, message).help(help));
        }
        if let (Some(_), Some(var)) = (&self.parsed.roles[&by.value].when, inner.vars.values().next()) {
            let site = var.site.clone();
            self.conditional_vars(&site, &by.value);
        }
    }

    /// Variables are merged at publish, when no condition is known: they would apply everywhere.
    fn conditional_vars(&mut self, site: &Site, role: &str) {
        let message = format!("the role {role} has variables and a condition");
        let help = "its variables would apply where the condition does not hold: set them in common.vgo or the match block";
        self.sink.push(Diagnostic::error(rules::ROLE_VARS, site, message).help(help));
    }
}

/// Warns about match blocks that are never used, and about files that compete for hosts.
fn reachable(blocks: &[Arc<MatchBlock>], sink: &mut Vec<Diagnostic>) {
    if blocks.len() > PAIRS_MAX {
        return;
    }
    for (i, block) in blocks.iter().enumerate() {
        let later = &block.pattern;
        let covering = blocks[..i].iter().find(|b| covers(&b.pattern.value, &later.value));
        if let Some(first) = covering {
            let message = format!("no host reaches this match block: `{}` comes first", first.pattern.value);
            let help = format!(
                "it is at {}; deeper directories come first, then paths, then order",
                first.pattern.site
            );
            sink.push(Diagnostic::warning(rules::MATCH_UNREACHABLE, &later.site, message).help(help));
            continue;
        }
        let competing = blocks[..i].iter().find(|b| {
            b.pattern.site.path != later.site.path
                && !covers(&later.value, &b.pattern.value)
                && overlap(&b.pattern.value, &later.value)
        });
        if let Some(first) = competing {
            let message = format!("some hosts match both this and `{}` in another file", first.pattern.value);
            let help = format!("the one at {} wins for them", first.pattern.site);
            sink.push(Diagnostic::warning(rules::MATCH_TWO_FILES, &later.site, message).help(help));
        }
    }
}

/// Whether `wide` certainly matches whatever `narrow` matches: it does if it matches the pattern's own text,
/// since only a `*` can take a `*`, and only `*` or `?` a `?`.
fn covers(wide: &str, narrow: &str) -> bool {
    // A `?` in `wide` must not take a `*` in `narrow`, so a `*` there is spelled as two characters.
    glob_matches(wide, &narrow.replace('*', "**")) && glob_matches(wide, &narrow.replace('*', ""))
}

/// Whether some name matches both globs.
fn overlap(a: &str, b: &str) -> bool {
    let a: Vec<char> = a.to_ascii_lowercase().chars().collect();
    let b: Vec<char> = b.to_ascii_lowercase().chars().collect();
    // reach[j]: whether a[i..] and b[j..] have a name in common, for the row i below.
    let mut below = vec![false; b.len() + 1];
    for i in (0..=a.len()).rev() {
        let mut row = vec![false; b.len() + 1];
        for j in (0..=b.len()).rev() {
            row[j] = match (a.get(i), b.get(j)) {
                (None, None) => true,
                (Some('*'), _) if below[j] => true,
                (Some('*'), Some(_)) => row[j + 1],
                (_, Some('*')) => row[j + 1] || (i < a.len() && below[j]),
                (Some(x), Some(y)) => (x == y || *x == '?' || *y == '?') && below[j + 1],
                _ => false,
            };
        }
        below = row;
    }
    below[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_cover_and_overlap() {
        for (wide, narrow) in
            [("*", "web*"), ("web*", "web1"), ("w?b*", "web*"), ("*.prod", "a*.prod"), ("a", "A")]
        {
            assert!(covers(wide, narrow), "{wide} {narrow}");
        }
        for (wide, narrow) in
            [("web*", "*"), ("?", "*"), ("w??", "w*"), ("web1", "web*"), ("a?", "a"), ("*a*", "*")]
        {
            assert!(!covers(wide, narrow), "{wide} {narrow}");
        }
        for (a, b) in [("web*", "*1"), ("*", "x"), ("a*c", "ab*"), ("?b", "a?"), ("*", "*"), ("a*", "a")] {
            assert!(overlap(a, b) && overlap(b, a), "{a} {b}");
        }
        for (a, b) in [("web*", "db*"), ("*.a", "*.b"), ("?", "ab"), ("a", "b"), ("a*b", "a")] {
            assert!(!overlap(a, b) && !overlap(b, a), "{a} {b}");
        }
    }
}
