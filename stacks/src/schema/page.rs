//! The page of resource types in the documentation, made from the table.
//!
//! It never says what the table does not hold.

use super::{Kind, Reversal, TYPES, Type};

const HEAD: &str = "# Resource types\n
This page is made from the table that publishing checks against and that the executors read. How resources are written is in
[language.md](language.md). This version applies `file`, `directory`, `symlink`, `exec`, `user`, `cron`, `package` and `service` on Debian and its
kin; the other types are checked and published, and a run on a machine says of each that no executor for it is there.

Every type also has the common fields. A list may be a single text. Every text may hold a template; a truth value, too, in quotes.
";

/// The page.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for t in &TYPES {
        page += &section(t);
    }
    page
}

fn section(t: &Type) -> String {
    let about = capital(t.about);
    let mut text = format!("\n## `{}`\n\n{about}.\n\n", t.name);
    let states: Vec<String> = t.states.iter().map(|s| format!("`{s}`")).collect();
    match states.split_first() {
        Some((first, rest)) if !rest.is_empty() => {
            text += &format!("States: {first} (when none is given), {}. ", rest.join(", "));
        }
        _ => text += "It has no state. ",
    }
    text += &format!("{} It may take {} s.\n\n", undone(t), t.timeout);
    text += "| attribute | value | meaning |\n|---|---|---|\n";
    for a in t.attributes {
        let needed_in: Vec<String> =
            t.required_in.iter().filter(|(_, n)| *n == a.name).map(|(s, _)| format!("`{s}`")).collect();
        let need = match (a.required, needed_in.is_empty()) {
            (true, _) => " (required)".to_owned(),
            (false, false) => format!(" (required when {})", needed_in.join(" or ")),
            (false, true) => String::new(),
        };
        text += &format!("| `{}`{need} | {} | {} |\n", a.name, value(a.kind), a.about.replace('|', "\\|"));
    }
    for (a, b) in t.exclusive {
        text += &format!("\n`{a}` and `{b}` exclude each other.\n");
    }
    text
}

fn value(kind: Kind) -> String {
    match kind {
        Kind::Choice(words) => words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "),
        Kind::Words(word) => format!("a list; each is {}", word.expected()),
        kind => kind.expected().to_owned(),
    }
}

fn undone(t: &Type) -> String {
    match t.reversal {
        Reversal::State(state, beside) => {
            let beside: String = beside.iter().map(|(name, value)| format!(", `{name}: {value}`")).collect();
            format!("Undone by `state: {state}`{beside}.")
        }
        Reversal::Snapshot => {
            "Undone by `revert: true`, which sets the value that was found first.".to_owned()
        }
        Reversal::Command => "Undone by `revert: true`, which runs `on_revert` by the shell.".to_owned(),
        Reversal::Native => {
            "Undone by `revert: true`, which runs `on_revert` where the command runs.".to_owned()
        }
        Reversal::None => "It cannot be undone yet.".to_owned(),
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
