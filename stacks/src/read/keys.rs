//! Maps with known keys.
//!
//! One place decides what becomes of a key: known, retired with its replacement, of a later version, or unknown
//! with the nearest known one. No key is ever passed over in silence.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Site};
use crate::rules;
use crate::yaml::{Data, Node};

use super::Reader;

/// Which keys a map may have.
pub(super) struct Keys {
    /// What the map is, with its article: `a role`.
    pub what: &'static str,
    /// The known keys.
    pub known: &'static [&'static str],
    /// Keys of the language that this version lacks.
    pub later: &'static [&'static str],
    /// Keys that do not belong here, and that have been reported already.
    pub told: &'static [&'static str],
}

/// Keys that once were, anywhere, and what took their place.
const RETIRED: [(&str, &str); 6] = [
    (
        "environment_overrides",
        "say `environment:` here, and put the values under `env:` of an environments.vgo",
    ),
    ("vars_from", "put the values under `vars:` of a common.vgo, or of an environments.vgo"),
    (
        "exclude_usercrates",
        "usercrates do nothing until `usercrates:` of a match block, common.vgo, environments.vgo or role names \
         them: remove the key, and name there those that are wanted",
    ),
    ("provides", "it belongs under `compliance:` of a configcrate"),
    ("bundle", "it belongs under `compliance:` of a configcrate"),
    ("password-secret", "it is written `password: \"secret:…\"`, which is not part of this version"),
];

/// The entries of a map, by key.
pub(super) type Entries<'n> = BTreeMap<&'n str, (&'n Site, &'n Node)>;

impl Reader<'_> {
    /// The known entries of `node`; `None` if it is no map.
    pub(super) fn map<'n>(&mut self, node: &'n Node, keys: &Keys) -> Option<Entries<'n>> {
        let Data::Map(entries) = &node.data else {
            let diagnostic =
                Diagnostic::error(rules::VALUE_KIND, &node.site, format!("{} is a map", keys.what));
            let expected = format!("the keys {}", keys.known.join(", "));
            self.sink.push(diagnostic.found(&node.shown()).expected(expected));
            return None;
        };
        let mut known = Entries::new();
        for entry in entries {
            let key = entry.key.as_str();
            if keys.known.contains(&key) {
                known.insert(key, (&entry.key_site, &entry.value));
            } else if !keys.told.contains(&key) {
                self.sink.push(refusal(key, &entry.key_site, keys));
            }
        }
        Some(known)
    }

    /// Reports a required key that is not there.
    pub(super) fn missing(&mut self, site: &Site, what: &str, key: &str, help: &str) {
        let message = format!("{what} needs the key `{key}`");
        self.sink.push(Diagnostic::error(rules::KEY_MISSING, site, message).help(help));
    }

    /// The elements of a list; a single value is refused with a hint, nothing at all is an empty list.
    pub(super) fn list<'n>(&mut self, node: &'n Node, of: &str) -> &'n [Node] {
        match &node.data {
            Data::List(items) => items,
            _ if node.is_null() => &[],
            _ => {
                let diagnostic = Diagnostic::error(rules::VALUE_KIND, &node.site, "a list is needed here");
                let help = match &node.data {
                    Data::Scalar(s) if s.text.len() < 60 => format!("write [{}]", s.text),
                    _ => "begin each element with `- `".into(),
                };
                self.sink
                    .push(diagnostic.found(&node.shown()).expected(format!("a list of {of}")).help(help));
                &[]
            }
        }
    }
}

fn refusal(key: &str, site: &Site, keys: &Keys) -> Diagnostic {
    if keys.later.contains(&key) {
        let message = format!("`{key}` of {} is part of the language but not of this version", keys.what);
        return Diagnostic::error(rules::NOT_IN_THIS_VERSION, site, message).help("remove it");
    }
    if let Some((_, instead)) = RETIRED.iter().find(|(old, _)| *old == key) {
        return Diagnostic::error(rules::KEY_RETIRED, site, format!("`{key}` is no longer a key"))
            .help(*instead);
    }
    if matches!(key, "foreach" | "key") && keys.known.contains(&"resources") {
        let help = "it stands where the configcrate is asked for: {name: …, foreach: LIST, key: FIELD}";
        let message = format!("{} has no key `{key}`", keys.what);
        return Diagnostic::error(rules::KEY_UNKNOWN, site, message).help(help);
    }
    Diagnostic::error(rules::KEY_UNKNOWN, site, format!("{} has no key `{key}`", keys.what))
        .near(key, keys.known.iter().copied())
        .help(format!("known are {}", keys.known.join(", ")))
}
