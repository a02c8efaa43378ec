//! A job that cron runs: one file of its own, `/etc/cron.d/vigo-JOB`, owned by root.
//!
//! It never edits a user's crontab or another file of cron's, and never writes a line that cron would read as
//! something else: names, schedules and commands have their forms (`vigo_stacks::words`), `%` is escaped, values
//! of variables are quoted. What a policy may do here is a line of root's crontab and no more.

use vigo_stacks::words::{CRON_LINE_BYTES, Word};

use super::file::File;
use crate::attributes::{Attributes, BadAttribute};
use crate::change::{Change, Trouble};
use crate::host::{Host, Kind};
use crate::path::HostPath;

/// Where cron looks for files with a user's name in every line.
const FOLDER: &str = "/etc/cron.d";
/// Cron passes over files that others may write, and wants to read them.
const MODE: u32 = 0o644;
/// What runs the files of [`FOLDER`], on the systems that have it.
const DAEMONS: [&str; 2] = ["/usr/sbin/cron", "/usr/sbin/crond"];

/// What a `cron` declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    job: String,
    user: String,
    /// The file's content; `None` when the job is to go.
    text: Option<String>,
}

impl Cron {
    pub(super) fn parse(attributes: &mut Attributes<'_>) -> Result<Cron, BadAttribute> {
        let absent = attributes.absent()?;
        let job = attributes.shaped("job", Word::Job)?.ok_or(BadAttribute::Missing { name: "job" })?;
        let schedule = attributes.shaped("schedule", Word::Schedule)?;
        let command = attributes.shaped("command", Word::CronCommand)?;
        let user = attributes.shaped("user", Word::Account)?.unwrap_or_else(|| "root".to_owned());
        let environment = attributes.variables("environment")?;
        if absent {
            return Ok(Cron { job, user, text: None });
        }
        let schedule = schedule.ok_or(BadAttribute::Missing { name: "schedule" })?;
        let command = command.ok_or(BadAttribute::Missing { name: "command" })?;
        let mut text = format!("# Written by vigo: the cron job {job}. Changes made here are undone.\n");
        for (name, value) in &environment {
            text.push_str(&variable(name, value)?);
        }
        let schedule: Vec<&str> = schedule.split_ascii_whitespace().collect();
        text.push_str(&format!("{} {user} {}\n", schedule.join(" "), escaped(command.trim())));
        Ok(Cron { job, user, text: Some(text) })
    }

    /// What would have to be done.
    ///
    /// # Errors
    /// [`Trouble`] when the machine cannot be looked at, something other than a file is in the way, or there is
    /// no such user.
    pub fn check(&self, host: &dyn Host) -> Result<Change, Trouble> {
        let path = HostPath::parse(&format!("{FOLDER}/vigo-{}", self.job))
            .map_err(|source| Trouble::Declared(BadAttribute::Path { name: "job", source }.into()))?;
        let Some(text) = &self.text else { return File::gone(path).check(host) };
        if host.capabilities().own {
            host.user(&self.user)?;
        }
        let mut change = File::owned_by_root(path, text, MODE).check(host)?;
        let is_there = |path: &str| {
            let found = HostPath::parse(path).ok().map(|p| host.stat_followed(&p));
            matches!(found, Some(Ok(Some(stat))) if stat.kind == Kind::File)
        };
        if !DAEMONS.iter().any(|daemon| is_there(daemon)) {
            let note = "no cron is installed that would run it";
            change.message = if change.message.is_empty() {
                note.to_owned()
            } else {
                format!("{}; {note}", change.message)
            };
        }
        Ok(change)
    }
}

/// `NAME="value"`: cron strips one pair of quotes and expands nothing.
fn variable(name: &str, value: &str) -> Result<String, BadAttribute> {
    let wrong = |found: String, expected| BadAttribute::Wrong { name: "environment", found, expected };
    if !vigo_stacks::schema::is_variable(name) {
        return Err(wrong(
            format!("`{}`", vigo_base::text::escaped(name)),
            "names of letters, digits and `_`",
        ));
    }
    if value.chars().any(char::is_control) {
        return Err(wrong(format!("a control character in {name}"), "values of one line"));
    }
    let quote = if value.contains('"') { '\'' } else { '"' };
    if value.contains(quote) {
        return Err(wrong(
            format!("both kinds of quotes in {name}"),
            "at most one kind, since cron knows no escape",
        ));
    }
    let line = format!("{name}={quote}{value}{quote}\n");
    if line.len() > CRON_LINE_BYTES {
        return Err(wrong(
            format!("{} bytes in {name}", line.len()),
            "at most 990, since cron cuts the rest",
        ));
    }
    Ok(line)
}

/// The command as cron reads it back: an unescaped `%` ends it, and `\\` and `\%` lose a backslash.
fn escaped(command: &str) -> String {
    let mut out = String::with_capacity(command.len() + 8);
    let mut chars = command.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '%' => out.push_str("\\%"),
            '\\' => {
                let mut run = 1;
                while chars.next_if_eq(&'\\').is_some() {
                    run += 1;
                }
                let doubled = run > 1 || chars.peek() == Some(&'%');
                out.extend(std::iter::repeat_n('\\', if doubled { run * 2 } else { run }));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What cron makes of a command: the text up to an unescaped `%`, with `\\\\` and `\\%` shortened. As tried
    /// on Debian's cron.
    fn read_back(line: &str) -> String {
        let mut out = String::new();
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            match (c, chars.peek()) {
                ('\\', Some('%' | '\\')) => out.extend(chars.next()),
                ('%', _) => break,
                (c, _) => out.push(c),
            }
        }
        out
    }

    #[test]
    fn a_command_reaches_the_shell_as_it_was_written() {
        for command in [
            "date +%F > /x",
            "a\\%b",
            "c\\d",
            "e\\\\f",
            "\\\\%",
            "%%",
            "printf '\\n'",
            "\\\\\\%",
            "end\\",
            "echo \"$A\"",
        ] {
            assert_eq!(read_back(&escaped(command)), command, "{}", escaped(command));
        }
        assert_eq!(escaped("date +%F 'a\\d'"), "date +\\%F 'a\\d'");
    }

    #[test]
    fn variables_are_quoted_or_refused() {
        assert_eq!(variable("A", "b c").unwrap(), "A=\"b c\"\n");
        assert_eq!(variable("A", "say \"x\"").unwrap(), "A='say \"x\"'\n");
        for (name, value) in
            [("A", "a\nb"), ("A", "\"'"), ("A B", "x"), ("1", "x"), ("A", &"x".repeat(990)[..])]
        {
            assert!(variable(name, value).is_err(), "{name}={value}");
        }
    }
}
