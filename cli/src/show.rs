//! What is printed: tables, JSON, colours, progress, questions.
//!
//! Results go to standard output, all else to standard error. Text from peers and files is escaped here, cell by
//! cell. Colours, drawings, progress and questions appear only on a terminal. A reader that goes away ends the
//! program quietly.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};
use serde::Serialize;
use vigo_base::text::escaped;
use zeroize::Zeroizing;

use crate::args::{Everywhere, When};
use crate::exit::{Exit, Failure};

/// How long work takes before a terminal shows progress.
const QUIET: Duration = Duration::from_millis(300);
/// Bytes of an answer or of a passphrase file's first line.
const LINE_BYTES: u64 = 4096;

/// The code of a program that was interrupted.
pub const INTERRUPTED: i32 = 130;

/// How to print.
#[derive(Debug, Clone, Copy)]
pub struct Show {
    /// JSON instead of text.
    pub json: bool,
    /// Colours on standard output.
    pub color: bool,
}

impl Show {
    /// As the options and the terminal say.
    pub fn new(everywhere: &Everywhere) -> Show {
        let terminal = io::stdout().is_terminal();
        let color = !everywhere.json && wanted(everywhere.color, terminal);
        Show { json: everywhere.json, color }
    }

    /// Prints a result: `value` as JSON, or what `text` gives.
    ///
    /// # Errors
    /// [`Failure`] if it cannot be written.
    pub fn result(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        if !self.json {
            return self.text(&text());
        }
        let body = serde_json::to_string_pretty(value)
            .map_err(|e| Failure::new(Exit::Failed, format!("cannot print the result as JSON: {e}")))?;
        self.text(&body)
    }

    /// Prints text, with a line end.
    ///
    /// # Errors
    /// [`Failure`] if it cannot be written.
    pub fn text(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        let written = write!(out, "{text}{end}").and_then(|()| out.flush());
        match written {
            // `vigo … | head`: whoever reads has seen enough.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(Failure::said(Exit::Ok)),
            other => other.map_err(|e| Failure::io("write to", Path::new("standard output"), &e)),
        }
    }

    /// A word in the colour of its meaning.
    pub fn tint(&self, word: &str) -> String {
        let code = match word {
            _ if !self.color => return word.to_owned(),
            "ok" | "passed" | "converged" | "active" | "member" | "online" | "none" | "intact" => "32",
            "created" | "updated" | "deleted" | "relapsed" | "running" | "joining" => "33",
            "failed" | "worse" | "degraded" | "diverged" | "revoked" | "suspended" | "blocked"
            | "damaged" => "31",
            "skipped" | "offline" | "unknown" => "2",
            _ => return word.to_owned(),
        };
        format!("\u{1b}[{code}m{word}\u{1b}[0m")
    }

    /// A heading.
    pub fn bold(&self, word: &str) -> String {
        if self.color { format!("\u{1b}[1m{word}\u{1b}[0m") } else { word.to_owned() }
    }

    /// Rows below headings, columns aligned. Cells are escaped.
    pub fn table(&self, heads: &[&str], rows: &[Vec<String>]) -> String {
        let cells: Vec<Vec<String>> = rows.iter().map(|r| r.iter().map(|c| escaped(c)).collect()).collect();
        let width = |i: usize| {
            let longest = cells.iter().filter_map(|r| r.get(i)).map(|c| c.chars().count()).max();
            longest.unwrap_or(0).max(heads[i].chars().count())
        };
        let widths: Vec<usize> = (0..heads.len()).map(width).collect();
        let line = |cells: &[String], paint: &dyn Fn(&str) -> String| {
            let mut out = String::new();
            for (i, cell) in cells.iter().enumerate() {
                out += &paint(cell);
                if i + 1 < cells.len() {
                    out += &" ".repeat(widths[i] - cell.chars().count() + 2);
                }
            }
            out.trim_end().to_owned() + "\n"
        };
        let heads: Vec<String> = heads.iter().map(|h| h.to_uppercase()).collect();
        let mut out = line(&heads, &|cell| self.bold(cell));
        for row in &cells {
            out += &line(row, &|cell| self.tint(cell));
        }
        out
    }
}

/// Whether colours are wanted on a stream.
pub fn wanted(when: When, terminal: bool) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => terminal && !refused && std::env::var_os("TERM").is_none_or(|t| t != "dumb"),
    }
}

/// Columns of the terminal.
pub fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout()).map(|s| usize::from(s.ws_col));
    size.ok().filter(|w| *w > 0).unwrap_or(100)
}

/// Progress of work whose length is not known. Shown on a terminal, after a moment.
pub fn spinner(what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, target());
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.set_message(escaped(what));
    bar.enable_steady_tick(QUIET);
    bar
}

/// Progress of so many steps or bytes.
pub fn progress(what: &str, total: u64, bytes: bool) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), target());
    let count = if bytes { "{bytes}/{total_bytes}" } else { "{pos}/{len}" };
    let style = ProgressStyle::with_template(&format!("{{msg}} [{{bar:30}}] {count} {{eta}}"));
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(escaped(what));
    bar
}

/// Progress of work in parts whose number says nothing to people.
pub fn bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), target());
    let style = ProgressStyle::with_template("[{bar:30}] {percent}% {eta}  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn target() -> ProgressDrawTarget {
    if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr_with_hz(8)
    } else {
        ProgressDrawTarget::hidden()
    }
}

/// Whether somebody can be asked.
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Whether there is a terminal on which a secret can be asked for.
pub fn has_terminal() -> bool {
    OpenOptions::new().read(true).write(true).open("/dev/tty").is_ok()
}

/// Asks for `yes`. Without a terminal nobody is asked and the answer is no.
///
/// # Errors
/// [`Failure`] without a terminal, with `instead`: what to say on the command line instead.
pub fn confirm(question: &str, instead: &str) -> Result<bool, Failure> {
    if !can_ask() {
        let what = "this needs an answer, and standard input is no terminal";
        return Err(Failure::new(Exit::Usage, what).hint(instead));
    }
    eprint!("{question} [yes/no] ");
    let mut line = String::new();
    io::stdin().lock().take(LINE_BYTES).read_line(&mut line).map_err(|e| terminal_trouble(&e))?;
    Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "yes" | "y"))
}

/// Asks for a secret on the terminal, without showing it. Ctrl-C ends the program with 130, with the terminal as it
/// was: signals are keys while the terminal is silent.
///
/// # Errors
/// [`Failure`] when there is no terminal, with `instead`.
pub fn secret(prompt: &str, instead: &str) -> Result<Zeroizing<String>, Failure> {
    let opened = OpenOptions::new().read(true).write(true).open("/dev/tty");
    let Ok(mut tty) = opened else {
        let what = format!("{prompt} is needed, and there is no terminal to ask on");
        return Err(Failure::new(Exit::Usage, what).hint(instead));
    };
    let before = tcgetattr(&tty).map_err(|e| terminal_trouble(&e.into()))?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    silent.special_codes[SpecialCodeIndex::VMIN] = 1;
    silent.special_codes[SpecialCodeIndex::VTIME] = 0;
    tcsetattr(&tty, OptionalActions::Flush, &silent).map_err(|e| terminal_trouble(&e.into()))?;
    let asked = write!(tty, "{prompt}: ").and_then(|()| tty.flush()).and_then(|()| typed(&tty));
    // Whatever happened, the terminal shows again what is typed.
    let restored = tcsetattr(&tty, OptionalActions::Flush, &before);
    // The key that ended the line was not shown either.
    let _ = writeln!(tty);
    let line = asked.map_err(|e| terminal_trouble(&e))?;
    restored.map_err(|e| terminal_trouble(&e.into()))?;
    line.ok_or_else(|| std::process::exit(INTERRUPTED))
}

/// What is typed up to the end of a line, key by key; none for Ctrl-C.
fn typed(mut keys: impl Read) -> io::Result<Option<Zeroizing<String>>> {
    // As large as it may become at once, so that no copy is left behind by growing.
    let mut line = Zeroizing::new(String::with_capacity(LINE_BYTES as usize + 4));
    let mut letter = Zeroizing::new(Vec::with_capacity(4));
    let mut key = [0];
    while keys.read(&mut key)? == 1 {
        match key[0] {
            b'\n' | b'\r' | 0x04 => break,
            0x03 => return Ok(None),
            0x08 | 0x7f => drop(line.pop()),
            0x15 => line.clear(),
            byte => {
                letter.push(byte);
                if let Ok(text) = std::str::from_utf8(&letter) {
                    if line.len() < LINE_BYTES as usize {
                        line.push_str(text);
                    }
                    letter.clear();
                } else if letter.len() >= 4 {
                    letter.clear();
                }
            }
        }
    }
    Ok(Some(line))
}

/// The first line of a file that holds a passphrase.
///
/// # Errors
/// [`Failure`] if it cannot be read.
pub fn passphrase_of(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let file = File::open(path).map_err(|e| Failure::io("read the passphrase in", path, &e))?;
    let line = first_line(&file).map_err(|e| Failure::io("read the passphrase in", path, &e))?;
    if line.is_empty() {
        let what = format!("{} begins with an empty line", escaped(&path.display().to_string()));
        return Err(Failure::new(Exit::Usage, what).hint("write the passphrase into its first line"));
    }
    Ok(line)
}

fn first_line(file: &File) -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::with_capacity(LINE_BYTES as usize));
    BufReader::new(file.take(LINE_BYTES)).read_line(&mut line)?;
    let length = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(length);
    Ok(line)
}

fn terminal_trouble(error: &io::Error) -> Failure {
    Failure::io("speak to", Path::new("the terminal"), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_can_be_mended() {
        let line = |keys: &str| typed(keys.as_bytes()).unwrap().map(|line| line.to_string());
        assert_eq!(line("correct\nhorse"), Some("correct".into()));
        assert_eq!(line("gr\u{fc}x\u{7f}n\r"), Some("gr\u{fc}n".into()));
        assert_eq!(line("\u{fc}\u{7f}\u{7f}a\n"), Some("a".into()));
        assert_eq!(line("wrong\u{15}right\n"), Some("right".into()));
        assert_eq!(line("oops\u{3}"), None);
        assert_eq!(line(&"x".repeat(10_000)).map(|l| l.len()), Some(LINE_BYTES as usize));
    }

    #[test]
    fn tables_are_aligned_and_cells_escaped() {
        let show = Show { json: false, color: false };
        let rows = [vec!["web01".into(), "ok".into()], vec!["b\u{1b}[2J".into(), "failed".into()]];
        assert_eq!(
            show.table(&["name", "state"], &rows),
            "NAME        STATE\nweb01       ok\nb\\u{1b}[2J  failed\n"
        );
        let color = Show { color: true, ..show };
        assert!(color.table(&["a"], &[vec!["failed".into()]]).contains("\u{1b}[31mfailed\u{1b}[0m"));
    }
}
