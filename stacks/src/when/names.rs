//! Whether the names in a condition mean something, checked at publish (D13).
//!
//! A bare name is a variable, then a trait's short or dotted name, else a mistake that comes with the nearest
//! name. Values are checked too: a variable used as a truth value must be one.

use std::collections::BTreeMap;

use serde_json::Value;
use vigo_base::text::nearest;

use super::{Expr, Operand};
use crate::traits::{self, TraitKind};

/// A name in a condition that cannot work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misuse {
    /// The name.
    pub name: String,
    /// What is wrong.
    pub message: String,
    /// How to put it right.
    pub help: String,
}

/// Every name of `expr` that cannot work with these variables, in order, each once.
pub fn check(expr: &Expr, vars: &BTreeMap<String, Value>) -> Vec<Misuse> {
    let mut found: Vec<Misuse> = Vec::new();
    let mut note = |misuse: Option<Misuse>| {
        if let Some(misuse) = misuse
            && !found.contains(&misuse)
        {
            found.push(misuse);
        }
    };
    expr.walk(&mut |part| match part {
        Expr::Name(name) => note(as_truth(name, vars)),
        Expr::Compare { left, right, .. } => {
            for side in [left, right] {
                if let Operand::Name(name) = side {
                    note(as_text(name, vars));
                }
            }
        }
        _ => {}
    });
    found
}

fn misuse(name: &str, message: impl Into<String>, help: impl Into<String>) -> Option<Misuse> {
    Some(Misuse { name: name.into(), message: message.into(), help: help.into() })
}

fn as_truth(name: &str, vars: &BTreeMap<String, Value>) -> Option<Misuse> {
    match vars.get(name) {
        Some(Value::Bool(_)) => None,
        Some(Value::String(text)) if text == "true" || text == "false" => None,
        Some(value) => misuse(
            name,
            format!("the variable {name} is {}, which is neither true nor false", shown(value)),
            format!("compare it: `{name} == '…'`"),
        ),
        None => match traits::path_of(name).and_then(traits::kind_of) {
            Some(TraitKind::Bool) => None,
            Some(TraitKind::List | TraitKind::Table) => misuse(
                name,
                format!("the trait {name} is a list"),
                "a list is neither true nor false: templates can go through it",
            ),
            Some(_) => misuse(
                name,
                format!("the trait {name} is neither true nor false"),
                format!("compare it: `{name} == '…'`"),
            ),
            None => unknown(name, vars),
        },
    }
}

fn as_text(name: &str, vars: &BTreeMap<String, Value>) -> Option<Misuse> {
    match vars.get(name) {
        Some(value @ (Value::Array(_) | Value::Object(_))) => misuse(
            name,
            format!("the variable {name} is {} and cannot be compared", shown(value)),
            "only texts, numbers, true and false can be compared",
        ),
        Some(_) => None,
        None => match traits::path_of(name).and_then(traits::kind_of) {
            Some(TraitKind::List | TraitKind::Table) => {
                misuse(name, format!("the trait {name} is a list"), "lists cannot be compared")
            }
            Some(_) => None,
            None => unknown(name, vars),
        },
    }
}

fn unknown(name: &str, vars: &BTreeMap<String, Value>) -> Option<Misuse> {
    let help = if name == "release" {
        "the system's codename is upstream_codename, its version is version, the kernel's release is kernel.release"
            .to_string()
    } else {
        let mut known: Vec<&str> = vars.keys().map(String::as_str).collect();
        for name in traits::names().chain(["changed"]) {
            known.push(name);
        }
        match nearest(name, known) {
            Some(near) => format!("did you mean {near}?"),
            None => "declare the variable, or put a text in single quotes".to_string(),
        }
    };
    misuse(name, format!("{name} is neither a variable nor a trait"), help)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a map".into(),
        Value::Null => "empty".into(),
        other => {
            let text = other.to_string();
            if text.chars().count() > 40 { "a long text".into() } else { text }
        }
    }
}
