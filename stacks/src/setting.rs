//! What an attribute is set to: a value, or a table that gives each machine its own; and branches of attributes.
//!
//! Tables and branches are decided by the envoy, from its name, tags and traits (D26). They never look at the machine.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use vigo_base::target::{Subject, Target};

use crate::template;

/// Arms of one table, and branches of one resource.
pub(crate) const ARMS_MAX: usize = 256;

/// What an attribute is set to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Setting {
    /// The same everywhere; texts may hold templates.
    Fixed(Value),
    /// By machine.
    Table(Table),
}

/// A lookup table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    /// Whether all arms are lists, so that those which match are joined.
    pub list: bool,
    /// In the order of the file.
    pub arms: Vec<(Target, Value)>,
    /// What counts when no arm matches.
    pub otherwise: Value,
}

/// `case:` and `match:` of a resource.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Branches {
    /// The template that says which.
    pub on: String,
    /// What each sets over the base.
    pub arms: BTreeMap<String, BTreeMap<String, Setting>>,
    /// Whether the resource stands without a branch; if not, it is dropped where none matches.
    pub base: bool,
}

/// What is known of a machine, made once for all its tables.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    name: String,
    tags: BTreeSet<String>,
    traits: BTreeMap<String, String>,
}

impl Machine {
    /// The machine with these facts.
    pub fn new(name: &str, tags: &[String], traits: &Value) -> Machine {
        let mut flat = BTreeMap::new();
        flatten("", traits, 0, &mut flat);
        Machine { name: name.to_string(), tags: tags.iter().cloned().collect(), traits: flat }
    }

    fn subject(&self) -> Subject<'_> {
        Subject { name: &self.name, tags: Some(&self.tags), traits: Some(&self.traits) }
    }
}

/// Texts, numbers and truth values by their dotted names; traits nest three deep at most.
fn flatten(prefix: &str, value: &Value, depth: usize, out: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) if depth < 4 => {
            for (key, value) in map {
                let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&name, value, depth + 1, out);
            }
        }
        Value::String(text) => drop(out.insert(prefix.to_string(), text.clone())),
        Value::Bool(_) | Value::Number(_) => drop(out.insert(prefix.to_string(), value.to_string())),
        _ => {}
    }
}

impl Setting {
    /// The value on that machine; `None` where the table gives none.
    pub fn on(&self, machine: &Machine) -> Option<Value> {
        match self {
            Setting::Fixed(value) => Some(value.clone()),
            Setting::Table(table) => table.on(machine),
        }
    }

    /// Every value that it may come to.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        let (one, many) = match self {
            Setting::Fixed(value) => (Some(value), None),
            Setting::Table(table) => (Some(&table.otherwise), Some(table.arms.iter().map(|(_, v)| v))),
        };
        many.into_iter().flatten().chain(one)
    }

    /// The same with each of its values changed.
    ///
    /// # Errors
    /// What `change` says of a value.
    pub fn try_map<E>(&self, change: &mut dyn FnMut(&Value) -> Result<Value, E>) -> Result<Setting, E> {
        Ok(match self {
            Setting::Fixed(value) => Setting::Fixed(change(value)?),
            Setting::Table(table) => Setting::Table(Table {
                list: table.list,
                arms: table
                    .arms
                    .iter()
                    .map(|(target, value)| Ok((target.clone(), change(value)?)))
                    .collect::<Result<_, E>>()?,
                otherwise: change(&table.otherwise)?,
            }),
        })
    }
}

impl Table {
    fn on(&self, machine: &Machine) -> Option<Value> {
        let subject = machine.subject();
        let mut matching = self.arms.iter().filter(|(target, _)| target.matches(&subject)).peekable();
        let value = if matching.peek().is_none() {
            self.otherwise.clone()
        } else if self.list {
            let mut all: Vec<Value> = Vec::new();
            for item in matching.filter_map(|(_, value)| value.as_array()).flatten() {
                if !all.contains(item) {
                    all.push(item.clone());
                }
            }
            Value::Array(all)
        } else {
            // Of equal ranks the first counts, and `max_by_key` gives the last.
            let arms: Vec<_> = matching.collect();
            arms.into_iter()
                .rev()
                .max_by_key(|(target, _)| target.rank())
                .map_or(Value::Null, |(_, v)| v.clone())
        };
        (!value.is_null()).then_some(value)
    }
}

impl Branches {
    /// The branch of a machine: what it sets, nothing, or `None` if the resource is dropped there.
    ///
    /// # Errors
    /// Why the template says nothing.
    pub fn on(
        &self,
        vars: &BTreeMap<String, Value>,
        traits: &Value,
    ) -> Result<Option<Option<&BTreeMap<String, Setting>>>, String> {
        let said = template::render_condition(&self.on, vars, traits).map_err(|e| e.to_string())?;
        Ok(match self.arms.get(said.trim()) {
            Some(arm) => Some(Some(arm)),
            None => self.base.then_some(None),
        })
    }
}
