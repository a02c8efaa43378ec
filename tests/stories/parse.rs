//! Reads a story: words become steps, and what cannot be read is said with file, line and what would do.
//!
//! It is pure: text in, a [`Story`] or a [`Bad`] out. A story is read to its end before it is told, so a slip in the
//! last line costs no time; names are checked against the machines and publishes that the lines above it made.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde_json::Value;
use vigo_base::text::{escaped, nearest};

use super::forms::{Arg, FORMS, Form, Step, Who};

/// What closes the steps: after it stands the state at the end, as JSON.
const ENDS: &str = "ends";
/// The same, where it depends on who was faster how many publishes there were.
const ENDS_WITHOUT_EPOCHS: &str = "ends without epochs";
/// Machines of a story, at most: more would not fit a laptop's lab.
const MACHINES: u64 = 40;

/// A story as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Story {
    /// Its file, for messages.
    pub file: String,
    /// The promises that it shows: `R1`.
    pub shows: Vec<String>,
    /// What happens.
    pub steps: Vec<Line>,
    /// The state at the end.
    pub ends: Value,
    /// Whether epochs are part of it.
    pub epochs: bool,
}

/// One step, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The number of its line, from 1.
    pub at: usize,
    /// As it is written.
    pub text: String,
    /// What it means.
    pub step: Step,
}

/// Why a text is no story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What stands there.
    pub found: String,
    /// What could stand there.
    pub expected: String,
    /// The nearest of what could.
    pub near: Option<String>,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bad { file, line, found, expected, near } = self;
        write!(f, "{file}:{line}: found `{}`; expected {expected}", escaped(found))?;
        near.as_ref().map_or(Ok(()), |near| write!(f, "; did you mean `{near}`?"))
    }
}

impl std::error::Error for Bad {}

/// What is wrong with a word or a line.
struct Wrong {
    found: String,
    expected: String,
    near: Option<String>,
}

impl Wrong {
    fn new(found: impl Into<String>, expected: impl Into<String>) -> Wrong {
        Wrong { found: found.into(), expected: expected.into(), near: None }
    }

    fn of<'a>(found: &str, what: &str, known: impl Iterator<Item = &'a String>) -> Wrong {
        let known: Vec<&str> = known.map(String::as_str).collect();
        let near = nearest(found, known.iter().copied()).map(str::to_owned);
        let list = if known.is_empty() { "there is none yet".to_owned() } else { known.join(" ") };
        Wrong { near, ..Wrong::new(found, format!("{what}: {list}")) }
    }
}

/// Reads a story. `file` is named in errors only.
///
/// # Errors
/// [`Bad`], for the first line that cannot be read.
pub fn parse(file: &str, text: &str) -> Result<Story, Bad> {
    let mut reader = Reader::default();
    let (mut shows, mut steps, mut ends, mut epochs) = (Vec::new(), Vec::new(), None, true);
    let lines: Vec<&str> = text.lines().collect();
    for (n, line) in lines.iter().enumerate() {
        let (at, text) = (n + 1, line.trim());
        let bad = |wrong: Wrong| Bad {
            file: file.to_owned(),
            line: at,
            found: wrong.found,
            expected: wrong.expected,
            near: wrong.near,
        };
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if text == ENDS || text == ENDS_WITHOUT_EPOCHS {
            epochs = text == ENDS;
            ends = Some(state(&lines[at..]).map_err(|(more, wrong)| Bad { line: at + more, ..bad(wrong) })?);
            break;
        }
        if let Some(promises) = text.strip_prefix("shows ") {
            shows = promises.split_whitespace().map(str::to_owned).collect();
            continue;
        }
        let step = reader.line(text).map_err(bad)?;
        steps.push(Line { at, text: text.to_owned(), step });
    }
    let missing = |expected: &str| Bad {
        file: file.to_owned(),
        line: lines.len(),
        found: "the end of the file".into(),
        expected: expected.into(),
        near: None,
    };
    if !matches!(steps.first(), Some(Line { step: Step::Fleet { .. }, .. })) {
        return Err(missing("a first step `fleet of N bolts and N envoys`"));
    }
    let ends = ends.ok_or_else(|| missing("a line `ends` and below it the state at the end, as JSON"))?;
    Ok(Story { file: file.to_owned(), shows, steps, ends, epochs })
}

/// The JSON below [`ENDS`].
fn state(lines: &[&str]) -> Result<Value, (usize, Wrong)> {
    serde_json::from_str(&lines.join("\n")).map_err(|e| {
        let line = e.line().max(1);
        let found = lines.get(line - 1).map_or("the end of the file", |l| l.trim());
        (line, Wrong::new(found, format!("the state at the end as JSON ({e})")))
    })
}

/// What the lines so far have made.
#[derive(Default)]
struct Reader {
    machines: Vec<String>,
    labels: BTreeSet<String>,
    marks: BTreeSet<String>,
}

impl Reader {
    fn line(&mut self, text: &str) -> Result<Step, Wrong> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut best: Option<(usize, &Form, usize)> = None;
        for form in FORMS {
            match fit(form.0, &words) {
                Ok(holes) => return self.step(form, &holes),
                Err((score, at)) if best.is_none_or(|(s, ..)| score > s) => best = Some((score, form, at)),
                Err(_) => {}
            }
        }
        let (score, form, at) = best.expect("there are forms");
        if score == 0 {
            let first = FORMS.iter().filter_map(|(form, _)| form.split(' ').next());
            let near = nearest(words[0], first.filter(|word| !is_hole(word))).map(str::to_owned);
            let known = self.machines.iter().map(String::as_str);
            let near = near.or_else(|| nearest(words[0], known).map(str::to_owned));
            return Err(Wrong { near, ..Wrong::new(text, "a step, such as `publish A at bolt1`") });
        }
        let found = if at < words.len() { text.to_owned() } else { format!("{text} (and no more)") };
        Err(Wrong::new(found, format!("`{}`", form.0)))
    }

    fn step(&mut self, form: &Form, holes: &[(&str, Vec<&str>)]) -> Result<Step, Wrong> {
        let args: Result<Vec<Arg>, Wrong> = holes.iter().map(|(hole, words)| self.arg(hole, words)).collect();
        let step = (form.1)(&args?);
        match &step {
            Step::Fleet { bolts, envoys } => {
                if !self.machines.is_empty() {
                    return Err(Wrong::new("a second fleet", "one fleet in a story"));
                }
                if *bolts == 0 || bolts.saturating_add(*envoys) > MACHINES {
                    let found = format!("{bolts} bolts and {envoys} envoys");
                    return Err(Wrong::new(
                        found,
                        format!("a bolt at least, and at most {MACHINES} machines"),
                    ));
                }
                self.machines.extend((1..=*bolts).map(|n| format!("bolt{n}")));
                self.machines.extend((1..=*envoys).map(|n| format!("env{n}")));
            }
            Step::Join { name, .. } => self.machines.push(name.clone()),
            Step::Publish(all) => {
                for (label, _) in all {
                    if !self.labels.insert(label.clone()) {
                        return Err(Wrong::new(label, "a label that no publish had before"));
                    }
                }
            }
            Step::Mark { mark, .. } => drop(self.marks.insert(mark.clone())),
            Step::Split(left, right) => {
                if let Some(both) = left.iter().find(|name| right.contains(name)) {
                    return Err(Wrong::new(both, "every machine on one side"));
                }
                if left.is_empty() || right.is_empty() {
                    return Err(Wrong::new("everyone", "the names of the machines on each side"));
                }
            }
            _ => {}
        }
        Ok(step)
    }

    fn arg(&self, hole: &str, words: &[&str]) -> Result<Arg, Wrong> {
        let word = words.first().copied().unwrap_or_default();
        let free = || word.len() <= 30 && word.bytes().all(|b| b.is_ascii_alphanumeric());
        let one_of = |all: &[&str], what: &str| match all.contains(&word) {
            true => Ok(Arg::Word(word.to_owned())),
            false => {
                Err(Wrong::of(word, what, all.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>().iter()))
            }
        };
        match hole {
            "N" => word.parse().map(Arg::Number).map_err(|_| Wrong::new(word, "a number")),
            "NODE" => self.machine(word).map(Arg::Word),
            "NODES" => self.who(words).map(Arg::Who),
            "NEW" if self.machines.iter().any(|m| m == word) => {
                Err(Wrong::new(word, "a name that no machine has yet"))
            }
            "NEW" | "NEWLABEL" | "NEWMARK" if !free() => {
                Err(Wrong::new(word, "a name of letters and digits, up to 30"))
            }
            "NEW" | "NEWLABEL" | "NEWMARK" => Ok(Arg::Word(word.to_owned())),
            "LABEL" if self.labels.contains(word) => Ok(Arg::Word(word.to_owned())),
            "LABEL" => Err(Wrong::of(word, "something that was published", self.labels.iter())),
            "MARK" if self.marks.contains(word) => Ok(Arg::Word(word.to_owned())),
            "MARK" => Err(Wrong::of(word, "a mark that was made", self.marks.iter())),
            "KIND" => one_of(&["bolt", "envoy"], "a kind"),
            "STATE" => one_of(&["active", "suspended", "revoked"], "a state"),
            "WAY" => one_of(&["back", "ahead"], "a way"),
            "SPAN" => span(word).map(Arg::Number),
            "TIME" => time(word).map(Arg::Time),
            "KEY=VALUE" => pair(word),
            other => panic!("a form has the hole {other}, which nothing fills"),
        }
    }

    fn machine(&self, word: &str) -> Result<String, Wrong> {
        match self.machines.iter().any(|m| m == word) {
            true => Ok(word.to_owned()),
            false => Err(Wrong::of(word, "a machine of this story", self.machines.iter())),
        }
    }

    fn who(&self, words: &[&str]) -> Result<Who, Wrong> {
        let names = |words: &[&str]| -> Result<Vec<String>, Wrong> {
            words.iter().filter(|word| **word != "and").map(|word| self.machine(word)).collect()
        };
        match words {
            ["everyone"] => Ok(Who::Everyone),
            ["all" | "everyone", "but", rest @ ..] if !rest.is_empty() => names(rest).map(Who::AllBut),
            _ => names(words).map(Who::These),
        }
    }
}

fn is_hole(word: &str) -> bool {
    word.bytes().any(|b| b.is_ascii_uppercase()) && word != "NAT"
}

/// What stands in each hole of a form.
type Holes<'w> = Vec<(&'static str, Vec<&'w str>)>;

/// Fills the holes of a form, if the words fit it; else how many words did, and where it ended.
fn fit<'w>(form: &'static str, words: &[&'w str]) -> Result<Holes<'w>, (usize, usize)> {
    let parts: Vec<&'static str> = form.split(' ').collect();
    let (mut holes, mut at, mut literals) = (Vec::new(), 0, 0);
    for (n, part) in parts.iter().enumerate() {
        let take = match *part {
            "NODES" => {
                let next = parts.get(n + 1);
                let rest = words.get(at..).unwrap_or_default();
                next.map_or(rest.len(), |next| rest.iter().position(|w| same(next, w)).unwrap_or(0))
            }
            part if is_hole(part) => usize::from(at < words.len()),
            part => {
                let is = words.get(at).is_some_and(|word| same(part, word));
                literals += usize::from(is);
                at += usize::from(is);
                if !is {
                    return Err((literals, at));
                }
                continue;
            }
        };
        if take == 0 {
            return Err((literals, at));
        }
        holes.push((*part, words[at..at + take].to_vec()));
        at += take;
    }
    if at < words.len() { Err((literals, at)) } else { Ok(holes) }
}

/// Whether a word is that literal; of a verb either number will do: `everyone runs`, `bolt1 and env1 run`.
fn same(literal: &str, word: &str) -> bool {
    let verb = matches!(literal, "run" | "agree" | "say" | "bolts" | "envoys");
    literal == word
        || verb && word.strip_suffix('s').unwrap_or(word) == literal.strip_suffix('s').unwrap_or(literal)
}

fn time(word: &str) -> Result<Duration, Wrong> {
    let wrong = || Wrong::new(word, "a time, like 30s or 2m");
    let (number, unit) = word.split_at(word.len().saturating_sub(1));
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match unit {
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        _ => Err(wrong()),
    }
}

fn span(word: &str) -> Result<u64, Wrong> {
    const SPANS: [(&str, u64); 4] = [("minute", 60), ("hour", 3_600), ("day", 86_400), ("year", 31_536_000)];
    let one = word.strip_suffix('s').unwrap_or(word);
    let found = SPANS.iter().find(|(name, _)| *name == one).map(|(_, seconds)| *seconds);
    found.ok_or_else(|| Wrong::new(word, "minutes, hours, days or years"))
}

/// `KEY=VALUE`, where the value is JSON.
fn pair(word: &str) -> Result<Arg, Wrong> {
    let (key, value) = word.split_once('=').ok_or_else(|| Wrong::new(word, "KEY=VALUE"))?;
    let value = serde_json::from_str(value)
        .map_err(|e| Wrong::new(value, format!("a value as JSON, like 60 or \"joiner\" ({e})")))?;
    Ok(Arg::Pair(key.to_owned(), value))
}
