//! What the demo shows: a story line by line, and on a terminal a table of the nodes below it.
//!
//! With `--json` all of this goes to standard error, so that standard output holds the one object.

use std::io::{IsTerminal, stderr, stdout};
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use vigo_base::text::escaped;
use vigo_daemon::node::command::Status;

use crate::args::Everywhere;
use crate::show;
use crate::words;

/// The screen.
pub struct Screen {
    begun: Instant,
    json: bool,
    color: bool,
    table: Option<(MultiProgress, Vec<ProgressBar>)>,
}

impl Screen {
    /// A screen for nodes of these names.
    pub fn new(everywhere: &Everywhere, names: &[&'static str]) -> Screen {
        let live = !everywhere.json && stdout().is_terminal() && stderr().is_terminal();
        let table = live.then(|| {
            let multi = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
            let style = ProgressStyle::with_template("  {prefix:<7} {msg}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            let bars = names.iter().map(|name| {
                let bar = multi.add(ProgressBar::new_spinner().with_style(style.clone()).with_prefix(*name));
                bar.set_message("-");
                bar
            });
            let bars = bars.collect();
            (multi, bars)
        });
        let color = show::wanted(everywhere.color, live);
        Screen { begun: Instant::now(), json: everywhere.json, color, table }
    }

    /// A line of the story, with the seconds since it began.
    pub fn line(&self, text: &str) {
        let time = format!("{:6.2} s", self.begun.elapsed().as_secs_f64());
        let time = if self.color { format!("\u{1b}[2m{time}\u{1b}[0m") } else { time };
        self.plain(&format!("{time}  {text}"));
    }

    /// A line without a time.
    pub fn plain(&self, text: &str) {
        match &self.table {
            Some((multi, _)) => {
                // A terminal that is gone is no reason to end.
                let _ = multi.println(text);
            }
            None if self.json => eprintln!("{text}"),
            None => println!("{text}"),
        }
    }

    /// The row of one node.
    pub fn node(&self, index: usize, status: Option<&Status>) {
        let Some(bar) = self.table.as_ref().and_then(|(_, bars)| bars.get(index)) else { return };
        let Some(status) = status else {
            bar.set_message(self.paint("2", "not running"));
            return;
        };
        let kind = if status.bolt { "bolt " } else { "envoy" };
        let epoch = status.run.as_ref().map_or("-".to_owned(), |run| run.epoch.to_string());
        let state = words::failure(status.failure);
        let code = match state {
            "converged" => "32",
            "unknown" => "2",
            _ => "31",
        };
        let state = self.paint(code, &format!("{state:<10}"));
        bar.set_message(format!(
            "{kind} epoch {epoch:<3} {state} {} peers  {}",
            status.peers,
            escaped(&status.config)
        ));
    }

    /// Takes the table away.
    pub fn end(&self) {
        for bar in self.table.iter().flat_map(|(_, bars)| bars) {
            bar.finish_and_clear();
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
