//! `when:` conditions: the parsed form, its one spelling, and what can be decided before the machine is looked at.
//!
//! [`parse`] turns text into an [`Expr`], [`Expr`]'s `Display` turns it back (with `&&`, `||` and `!`), and
//! [`eval`] answers it. This module never looks at a machine: the questions that need one go through
//! [`Probe`]. The invariant it keeps: `parse(expr.to_string()) == expr`, so an expression travels as its text.
//!
//! ```
//! use vigo_stacks::when::{parse, simplify, Expr, Scope};
//!
//! let expr = parse("os_family('debian') and not file_exists('/opt/app')").unwrap();
//! assert_eq!(expr.to_string(), "os_family('debian') && !file_exists('/opt/app')");
//! let traits = serde_json::json!({"os": {"family": "debian", "kernel_class": "linux"}});
//! let left = simplify(&expr, &Scope { vars: &Default::default(), traits: &traits });
//! assert_eq!(left.to_string(), "!file_exists('/opt/app')");
//! ```

mod builtin;
mod eval;
mod names;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use builtin::{Builtin, FLAGS};
pub use eval::{Answer, LocalTime, NoProbe, Probe, Scope, eval, simplify, version_at_least};
pub use names::{Misuse, check};
pub use parse::{WhenError, parse};

/// Bytes of the longest condition.
pub const WHEN_BYTES: usize = 4096;
/// How deep parentheses and negations may nest.
pub const WHEN_DEPTH: usize = 64;

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Expr {
    /// `true` or `false`.
    Literal(bool),
    /// The word `changed`: the step was triggered.
    Changed,
    /// A variable or a trait, used as a truth value.
    Name(String),
    /// One of the builtin functions, called with its arguments.
    Call(Builtin, Vec<String>),
    /// `a == b` (`equal`) or `a != b`, compared as text.
    Compare {
        /// What stands on the left.
        left: Operand,
        /// `==` rather than `!=`.
        equal: bool,
        /// What stands on the right.
        right: Operand,
    },
    /// `!a`.
    Not(Box<Expr>),
    /// `a && b && …`, at least two, none of them an `And`.
    And(Vec<Expr>),
    /// `a || b || …`, at least two, none of them an `Or`.
    Or(Vec<Expr>),
}

/// What may be compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operand {
    /// A text in single quotes; it may hold a template.
    Text(String),
    /// A variable or a trait.
    Name(String),
}

impl Expr {
    /// All of `parts`; nested conjunctions are joined.
    pub fn all(parts: impl IntoIterator<Item = Expr>) -> Expr {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Expr::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Expr::Literal(true),
            1 => flat.remove(0),
            _ => Expr::And(flat),
        }
    }

    /// Any of `parts`; nested disjunctions are joined.
    pub fn any(parts: impl IntoIterator<Item = Expr>) -> Expr {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Expr::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Expr::Literal(false),
            1 => flat.remove(0),
            _ => Expr::Or(flat),
        }
    }

    /// Takes the word `changed` out of the outermost conjunction: whether it was there, and the rest.
    pub fn without_changed(self) -> (bool, Option<Expr>) {
        match self {
            Expr::Changed => (true, None),
            Expr::And(parts) => {
                let before = parts.len();
                let rest: Vec<Expr> = parts.into_iter().filter(|p| *p != Expr::Changed).collect();
                let found = rest.len() < before;
                (found, (!rest.is_empty()).then(|| Expr::all(rest)))
            }
            other => (false, Some(other)),
        }
    }

    /// Whether the word `changed` stands anywhere in it.
    pub fn holds_changed(&self) -> bool {
        let mut found = false;
        self.walk(&mut |e| found |= *e == Expr::Changed);
        found
    }

    /// Every text in it that may hold a template: what is compared, and what functions are given.
    pub fn texts(&self) -> Vec<&str> {
        let mut found = Vec::new();
        self.gather(&mut found);
        found
    }

    fn gather<'e>(&'e self, found: &mut Vec<&'e str>) {
        match self {
            Expr::Call(_, arguments) => found.extend(arguments.iter().map(String::as_str)),
            Expr::Compare { left, right, .. } => {
                found.extend([left, right].into_iter().filter_map(|side| match side {
                    Operand::Text(text) => Some(text.as_str()),
                    Operand::Name(_) => None,
                }));
            }
            Expr::Not(inner) => inner.gather(found),
            Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|p| p.gather(found)),
            Expr::Literal(_) | Expr::Changed | Expr::Name(_) => {}
        }
    }

    /// The same condition with each of its texts changed.
    ///
    /// # Errors
    /// What `change` says of a text.
    pub fn with_texts<E>(&self, change: &mut dyn FnMut(&str) -> Result<String, E>) -> Result<Expr, E> {
        let all = |parts: &[Expr], change: &mut dyn FnMut(&str) -> Result<String, E>| {
            parts.iter().map(|p| p.with_texts(change)).collect::<Result<Vec<Expr>, E>>()
        };
        Ok(match self {
            Expr::Call(builtin, arguments) => {
                Expr::Call(*builtin, arguments.iter().map(|a| change(a)).collect::<Result<_, E>>()?)
            }
            Expr::Compare { left, equal, right } => {
                let mut side = |operand: &Operand| {
                    Ok(match operand {
                        Operand::Text(text) => Operand::Text(change(text)?),
                        Operand::Name(name) => Operand::Name(name.clone()),
                    })
                };
                Expr::Compare { left: side(left)?, equal: *equal, right: side(right)? }
            }
            Expr::Not(inner) => Expr::Not(Box::new(inner.with_texts(change)?)),
            Expr::And(parts) => Expr::And(all(parts, change)?),
            Expr::Or(parts) => Expr::Or(all(parts, change)?),
            Expr::Literal(_) | Expr::Changed | Expr::Name(_) => self.clone(),
        })
    }

    /// Shows every part to `see`, the whole first.
    pub fn walk(&self, see: &mut dyn FnMut(&Expr)) {
        see(self);
        match self {
            Expr::Not(inner) => inner.walk(see),
            Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|p| p.walk(see)),
            Expr::Literal(_) | Expr::Changed | Expr::Name(_) | Expr::Call(..) | Expr::Compare { .. } => {}
        }
    }

    /// How tightly it binds, for parentheses.
    fn binding(&self) -> u8 {
        match self {
            Expr::Or(_) => 0,
            Expr::And(_) => 1,
            Expr::Compare { .. } => 2,
            Expr::Not(_) => 3,
            _ => 4,
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, at_least: u8) -> fmt::Result {
        if self.binding() < at_least {
            f.write_str("(")?;
            self.write(f, 0)?;
            return f.write_str(")");
        }
        match self {
            Expr::Literal(value) => write!(f, "{value}"),
            Expr::Changed => f.write_str("changed"),
            Expr::Name(name) => f.write_str(name),
            Expr::Call(builtin, arguments) => {
                write!(f, "{}(", builtin.name())?;
                for (i, argument) in arguments.iter().enumerate() {
                    write!(f, "{}{}", if i > 0 { ", " } else { "" }, Quoted(argument))?;
                }
                f.write_str(")")
            }
            Expr::Compare { left, equal, right } => {
                write!(f, "{left} {} {right}", if *equal { "==" } else { "!=" })
            }
            Expr::Not(inner) => {
                f.write_str("!")?;
                inner.write(f, 3)
            }
            Expr::And(parts) => write_joined(f, parts, " && ", 2),
            Expr::Or(parts) => write_joined(f, parts, " || ", 1),
        }
    }
}

fn write_joined(f: &mut fmt::Formatter<'_>, parts: &[Expr], word: &str, at_least: u8) -> fmt::Result {
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            f.write_str(word)?;
        }
        part.write(f, at_least)?;
    }
    Ok(())
}

/// A text in single quotes, a quote inside doubled.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.replace('\'', "''"))
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Text(text) => write!(f, "{}", Quoted(text)),
            Operand::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

impl std::str::FromStr for Expr {
    type Err = WhenError;
    fn from_str(text: &str) -> Result<Expr, WhenError> {
        parse(text)
    }
}

impl TryFrom<String> for Expr {
    type Error = WhenError;
    fn try_from(text: String) -> Result<Expr, WhenError> {
        parse(&text)
    }
}

impl From<Expr> for String {
    fn from(expr: Expr) -> String {
        expr.to_string()
    }
}
