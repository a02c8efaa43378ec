//! Answers to conditions.
//!
//! An answer is yes, no, or not to be had, with the reason; what cannot be known is never taken for a no.
//! [`simplify`] decides all that variables and traits decide; [`eval`] asks a [`Probe`] for the rest.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::Value;

use super::builtin::{self, Builtin, FLAGS};
use super::{Expr, Operand};
use crate::traits;

/// The answer to a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It holds.
    Yes,
    /// It does not hold.
    No,
    /// It cannot be known, and why.
    Unavailable(String),
}

impl From<bool> for Answer {
    fn from(value: bool) -> Answer {
        if value { Answer::Yes } else { Answer::No }
    }
}

/// The time on a machine's clock, in its own zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 for Monday to 6 for Sunday.
    pub weekday: u8,
    /// 1 to 31.
    pub day: u8,
}

/// The questions that only the machine can answer.
pub trait Probe {
    /// Whether a regular file is at `path`.
    fn file_exists(&mut self, path: &str) -> Answer;
    /// Whether a directory is at `path`.
    fn dir_exists(&mut self, path: &str) -> Answer;
    /// Whether `command` exits with 0.
    fn command_succeeds(&mut self, command: &str) -> Answer;
    /// Whether a process of that name runs.
    fn process_running(&mut self, name: &str) -> Answer;
    /// Whether the system has that group.
    fn in_group(&mut self, group: &str) -> Answer;
    /// Whether a display server is there.
    fn has_display(&mut self) -> Answer;
    /// What time it is.
    ///
    /// # Errors
    /// Why it cannot be known.
    fn local_time(&mut self) -> Result<LocalTime, String>;
}

/// A probe that knows nothing: every question about the machine is unavailable.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProbe;

/// Why [`NoProbe`] has no answers.
const ONLY_THERE: &str = "it is known only on the machine";

impl Probe for NoProbe {
    fn file_exists(&mut self, _: &str) -> Answer {
        Answer::Unavailable(ONLY_THERE.into())
    }
    fn dir_exists(&mut self, path: &str) -> Answer {
        self.file_exists(path)
    }
    fn command_succeeds(&mut self, command: &str) -> Answer {
        self.file_exists(command)
    }
    fn process_running(&mut self, name: &str) -> Answer {
        self.file_exists(name)
    }
    fn in_group(&mut self, group: &str) -> Answer {
        self.file_exists(group)
    }
    fn has_display(&mut self) -> Answer {
        self.file_exists("")
    }
    fn local_time(&mut self) -> Result<LocalTime, String> {
        Err(ONLY_THERE.into())
    }
}

/// What names in a condition refer to: variables first, then traits (D13).
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The variables.
    pub vars: &'a BTreeMap<String, Value>,
    /// The traits, an object of objects as the envoy reports them.
    pub traits: &'a Value,
}

impl<'a> Scope<'a> {
    fn get(&self, name: &str) -> Result<&'a Value, String> {
        if let Some(value) = self.vars.get(name) {
            return Ok(value);
        }
        let path = traits::path_of(name).unwrap_or(name);
        traits::lookup(self.traits, path).ok_or_else(|| format!("this machine reports no trait {path}"))
    }

    fn trait_text(&self, path: &str) -> Result<&'a str, String> {
        traits::lookup(self.traits, path)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| format!("this machine reports no trait {path}"))
    }

    /// Whether something listens on a TCP port: an entry of the trait `ports` with `proto: tcp`.
    fn listening(&self, argument: &str) -> Answer {
        let Some(port) = builtin::port(argument) else {
            return Answer::Unavailable(format!("'{argument}' is no port from 1 to 65535"));
        };
        let Some(Value::Array(ports)) = traits::lookup(self.traits, "ports") else {
            return Answer::Unavailable("this machine reports no trait ports".into());
        };
        let is = |entry: &Value| {
            entry.get("proto").and_then(Value::as_str) == Some("tcp")
                && entry.get("port").and_then(Value::as_u64) == Some(u64::from(port))
        };
        ports.iter().any(is).into()
    }

    /// A text that is compared: a missing key in its template is empty.
    fn compared(&self, text: &str) -> Result<String, String> {
        crate::template::render_condition(text, self.vars, self.traits).map_err(|e| e.to_string())
    }

    /// A text that is handed to a function: nothing missing may be left out of a path or a command.
    fn argument(&self, text: &str) -> Result<String, String> {
        crate::template::render(text, self.vars, self.traits).map_err(|e| e.to_string())
    }
}

/// Answers `expr`. `&&` and `||` stop at the first part that decides; a part that is unavailable decides
/// only if no other does. The word `changed` holds: a step that was not triggered is not asked.
pub fn eval(expr: &Expr, scope: &Scope<'_>, probe: &mut dyn Probe) -> Answer {
    match expr {
        Expr::Literal(value) => (*value).into(),
        Expr::Changed => Answer::Yes,
        Expr::Name(name) => truth(name, scope),
        Expr::Compare { left, equal, right } => match (operand(left, scope), operand(right, scope)) {
            (Ok(l), Ok(r)) => ((l == r) == *equal).into(),
            (Err(why), _) | (_, Err(why)) => Answer::Unavailable(why),
        },
        Expr::Call(builtin, arguments) => call(*builtin, arguments, scope, probe),
        Expr::Not(inner) => match eval(inner, scope, probe) {
            Answer::Yes => Answer::No,
            Answer::No => Answer::Yes,
            unavailable => unavailable,
        },
        Expr::And(parts) => join(parts, Answer::No, Answer::Yes, scope, probe),
        Expr::Or(parts) => join(parts, Answer::Yes, Answer::No, scope, probe),
    }
}

fn join(
    parts: &[Expr],
    decides: Answer,
    otherwise: Answer,
    scope: &Scope<'_>,
    probe: &mut dyn Probe,
) -> Answer {
    let mut unavailable = None;
    for part in parts {
        match eval(part, scope, probe) {
            answer if answer == decides => return decides,
            Answer::Unavailable(why) => unavailable = unavailable.or(Some(why)),
            _ => {}
        }
    }
    unavailable.map_or(otherwise, Answer::Unavailable)
}

/// `expr` with everything decided that variables and traits decide; what is left asks the machine, or a
/// trait that it does not report.
pub fn simplify(expr: &Expr, scope: &Scope<'_>) -> Expr {
    match eval(expr, scope, &mut NoProbe) {
        Answer::Yes if !expr.holds_changed() => return Expr::Literal(true),
        Answer::No => return Expr::Literal(false),
        _ => {}
    }
    match expr {
        Expr::Not(inner) => match simplify(inner, scope) {
            Expr::Literal(value) => Expr::Literal(!value),
            other => Expr::Not(Box::new(other)),
        },
        Expr::And(parts) => left_of(parts, scope, false).map_or(Expr::Literal(false), Expr::all),
        Expr::Or(parts) => left_of(parts, scope, true).map_or(Expr::Literal(true), Expr::any),
        other => other.clone(),
    }
}

/// The parts that are not decided yet; none if one of them is what decides the whole.
fn left_of(parts: &[Expr], scope: &Scope<'_>, decides: bool) -> Option<Vec<Expr>> {
    let simple: Vec<Expr> = parts.iter().map(|part| simplify(part, scope)).collect();
    let decided = simple.contains(&Expr::Literal(decides));
    (!decided).then(|| simple.into_iter().filter(|part| *part != Expr::Literal(!decides)).collect())
}

fn truth(name: &str, scope: &Scope<'_>) -> Answer {
    match scope.get(name) {
        Err(why) => Answer::Unavailable(why),
        Ok(Value::Bool(value)) => (*value).into(),
        Ok(Value::String(text)) if text == "true" => Answer::Yes,
        Ok(Value::String(text)) if text == "false" => Answer::No,
        Ok(Value::Null) => Answer::Unavailable(format!(
            "{name} is unknown: this machine does not report the trait it asks for"
        )),
        Ok(other) => Answer::Unavailable(format!("{name} is {other}, which is neither true nor false")),
    }
}

fn operand(operand: &Operand, scope: &Scope<'_>) -> Result<String, String> {
    match operand {
        Operand::Text(text) => scope.compared(text),
        Operand::Name(name) => match scope.get(name)? {
            Value::String(text) => Ok(text.clone()),
            Value::Null => Ok(String::new()),
            value @ (Value::Bool(_) | Value::Number(_)) => Ok(value.to_string()),
            _ => Err(format!("{name} is a list or a map and cannot be compared")),
        },
    }
}

fn call(builtin: Builtin, arguments: &[String], scope: &Scope<'_>, probe: &mut dyn Probe) -> Answer {
    let arguments: Vec<String> = match arguments.iter().map(|a| scope.argument(a)).collect() {
        Ok(arguments) => arguments,
        Err(why) => return Answer::Unavailable(why),
    };
    let first = arguments.first().map_or("", String::as_str);
    match builtin {
        Builtin::FileExists => probe.file_exists(first),
        Builtin::DirExists => probe.dir_exists(first),
        Builtin::CommandSucceeds => probe.command_succeeds(first),
        Builtin::ProcessRunning => probe.process_running(first),
        Builtin::InGroup => probe.in_group(first),
        Builtin::HasDisplay => probe.has_display(),
        // What a template came to is judged as a text in the file is.
        _ => match builtin.fault(&arguments) {
            Some((why, _)) => Answer::Unavailable(why),
            None => of_traits_and_time(builtin, &arguments, first, scope, probe),
        },
    }
}

fn of_traits_and_time(
    builtin: Builtin,
    arguments: &[String],
    first: &str,
    scope: &Scope<'_>,
    probe: &mut dyn Probe,
) -> Answer {
    let compare = |path: &str, same: &dyn Fn(&str) -> bool| match scope.trait_text(path) {
        Ok(found) => same(found).into(),
        Err(why) => Answer::Unavailable(why),
    };
    match builtin {
        Builtin::OsFamily => {
            let same = |found: &str| found.eq_ignore_ascii_case(first);
            match (compare("os.family", &same), compare("os.kernel_class", &same)) {
                (Answer::Yes, _) | (_, Answer::Yes) => Answer::Yes,
                (Answer::No, _) | (_, Answer::No) => Answer::No,
                (unavailable, _) => unavailable,
            }
        }
        Builtin::Distro => compare("os.distro", &|found| found.eq_ignore_ascii_case(first)),
        Builtin::Arch => compare("os.arch", &|found| arch(found) == arch(first)),
        Builtin::VersionGe => compare("os.version", &|found| version_at_least(found, first)),
        Builtin::PortListening => scope.listening(first),
        Builtin::FlagSet => probe.file_exists(&format!("{FLAGS}/{first}")),
        timed => match probe.local_time() {
            Ok(now) => at_time(timed, arguments, now).into(),
            Err(why) => Answer::Unavailable(why),
        },
    }
}

/// The functions of time. A range takes in its first end and not its second, and may wrap (D33).
fn at_time(builtin: Builtin, arguments: &[String], now: LocalTime) -> bool {
    let first = arguments.first().map_or("", String::as_str);
    let within = |found: u8| {
        let end = |at: usize| arguments.get(at).and_then(|a| builtin::number(a, 0, 60)).unwrap_or(0);
        let (low, high) = (end(0), end(1));
        if low < high { (low..high).contains(&found) } else { found >= low || found < high }
    };
    match builtin {
        Builtin::HourRange => within(now.hour),
        Builtin::MinuteRange => within(now.minute),
        Builtin::DayOfWeek => builtin::weekday(first) == Some(now.weekday),
        _ => builtin::number(first, 1, 31) == Some(now.day),
    }
}

/// The two names that each of the common processors has are one.
fn arch(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    match lower.as_str() {
        "x86_64" | "x64" => "amd64".into(),
        "aarch64" => "arm64".into(),
        "i386" | "i486" | "i586" | "i686" | "x86" => "386".into(),
        _ => lower,
    }
}

/// Whether version `found` is `wanted` or later: numbers as numbers (`9 < 10`, `22.04 = 22.4`), missing parts
/// as 0, letters before numbers (`10-rc1 < 10`).
pub fn version_at_least(found: &str, wanted: &str) -> bool {
    let (found, wanted) = (version_parts(found), version_parts(wanted));
    for i in 0..found.len().max(wanted.len()) {
        let order = match (found.get(i), wanted.get(i)) {
            (Some(a), Some(b)) => a.cmp(b),
            (Some(a), None) => a.cmp(&Part::zero()),
            (None, Some(b)) => Part::zero().cmp(b),
            (None, None) => Ordering::Equal,
        };
        if order != Ordering::Equal {
            return order == Ordering::Greater;
        }
    }
    true
}

/// A run of letters or of digits; digits without leading zeros, so that length orders them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Letters(String),
    Digits(usize, String),
}

impl Part {
    fn zero() -> Part {
        Part::Digits(0, String::new())
    }
}

fn version_parts(version: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = version;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let same = |c: char| if digits { c.is_ascii_digit() } else { c.is_alphabetic() };
        let end = rest.find(|c| !same(c)).unwrap_or(rest.len());
        if end == 0 {
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let run = &rest[..end];
        parts.push(if digits {
            let run = run.trim_start_matches('0');
            Part::Digits(run.len(), run.to_string())
        } else {
            Part::Letters(run.to_ascii_lowercase())
        });
        rest = &rest[end..];
    }
    parts
}
