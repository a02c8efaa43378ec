//! The report of a run as one page: no script, no file beside it, no address of anything elsewhere.
//!
//! Everything that came from a run or a file is escaped by [`text`]. The page is the same for the same seeds.

use std::fmt::Write as _;

use super::{Tally, plot};
use crate::file::time_text;

const STYLE: &str = include_str!("page.css");
const FOOT: &str = "Times are virtual: none depends on the machine that ran this. Bytes are those of messages as nodes encode them, without what QUIC, TLS and IP add.";

/// Text as HTML shows it.
pub(super) fn text(of: &str) -> String {
    let shown = of.lines().map(vigo_base::text::escaped).collect::<Vec<_>>().join("\n");
    shown.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A table: headings, and rows of cells that are HTML already.
fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |tag: &str, cells: &mut dyn Iterator<Item = &str>| -> String {
        cells.map(|cell| format!("<{tag}>{cell}</{tag}>")).collect()
    };
    let head = cells("th", &mut heads.iter().copied());
    let row = |row: &Vec<String>| format!("<tr>{}</tr>", cells("td", &mut row.iter().map(String::as_str)));
    let body: String = rows.iter().map(row).collect();
    format!("<div class=\"wide\"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>")
}

impl Tally {
    /// The report as one HTML page.
    pub fn html(&self) -> String {
        let mut page = self.head();
        page += &self.failures();
        page += "<h2>Figures</h2>";
        page += &self.numbers();
        page += &self.plots();
        page += "<h2>Checks</h2>";
        page += &self.judged_table();
        page +=
            "<h2>Reached</h2><p>What really happened, so that no check held only because nothing did.</p>";
        page += &self.reached_table();
        let _ = writeln!(page, "<p class=\"foot\">{FOOT}</p></main></body></html>");
        page
    }

    fn head(&self) -> String {
        let (name, about) = (text(&self.file.name), text(&self.file.about));
        let passed = self.passed();
        let (class, word) = (if passed { "good" } else { "bad" }, self.word());
        let (least, most) = self.named.1.map_or(self.file.nodes(), |n| (n, n));
        let nodes = if least == most { least.to_string() } else { format!("{least}–{most}") };
        let seeds = match self.runs {
            1 => format!("seed {}", self.seeds.0),
            n => format!("{n} seeds from {}", self.seeds.0),
        };
        let again = text(&if passed { self.again(None) } else { self.reproduce() });
        let lasts = time_text(self.file.lasts());
        let kind = self.file.kind.name();
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{name}: {word}</title>\n<style>{STYLE}</style></head><body><main><h1>{name} <span class=\"{class}\">{word}</span></h1><p>{about}</p><p class=\"facts\">{kind} · {nodes} nodes · about {lasts} of faults · {seeds} · {} events · {:.1} fleet-hours</p><p>Again: <code>{again}</code></p>\n",
            self.events,
            self.fleet_hours()
        )
    }

    fn numbers(&self) -> String {
        let f = &self.figures;
        let spreads = [
            ("an update reaches a node", &f.delivery),
            ("a publish has converged", &f.converge),
            ("all settles after the faults", &f.settle),
        ];
        let row = |(name, spread): &(&str, &crate::Spread)| {
            let times = [spread.percentile(50), spread.percentile(99), spread.max()].map(plot::time);
            std::iter::once((*name).to_string()).chain(times).collect::<Vec<_>>()
        };
        let rows: Vec<Vec<String>> = spreads.iter().filter(|(_, s)| s.count() > 0).map(row).collect();
        let facts = [
            ("updates", f.updates.to_string()),
            ("deliveries", f.delivery.count().to_string()),
            ("not delivered", f.pairs.saturating_sub(f.delivery.count()).to_string()),
            ("copies per node and update", format!("{:.2}", f.redundancy())),
            ("bytes per node and update", format!("{:.0}", f.per_update(f.bytes.sum()))),
            ("reconciliation rounds", f.rounds.to_string()),
            ("reconciliation bytes", f.bytes.reconciliation.to_string()),
        ];
        let facts: Vec<Vec<String>> = facts.into_iter().map(|(n, v)| vec![n.to_string(), v]).collect();
        table(&["time until", "p50", "p99", "max"], &rows) + &table(&["figure", "value"], &facts)
    }

    fn plots(&self) -> String {
        let mut out = String::new();
        if self.figures.delivery.count() > 0 {
            out += "<h2>Delivery</h2><p>How many of all deliveries took no longer than this. Time that a node was off or cut off counts.</p><figure>";
            out += &plot::curve(&self.figures.delivery.curve());
            out += "</figure>\n";
        }
        if self.figures.bytes.sum() > 0 {
            let each = |(name, bytes): (&'static str, u64)| {
                let value = self.figures.per_update(bytes);
                (name, value, format!("{value:.0} B"))
            };
            out += "<h2>Bytes per node and update</h2><figure>";
            out += &plot::bars(&self.figures.bytes.named().map(each));
            out += "</figure>\n";
        }
        // Of a broken run first: that is what one looks for.
        let broken = self.courses.iter().find(|(seed, _)| self.broken.contains_key(seed));
        let course =
            broken.or(self.courses.iter().next()).filter(|(_, c)| c.points.iter().any(|p| p.nodes > 0));
        if let Some((seed, course)) = course {
            let _ = write!(
                out,
                "<h2>Nodes over time, seed {seed}</h2><p class=\"key\"><span class=\"a\">run the newest configuration</span> <span class=\"b\">hold the same records</span> <span class=\"c\">are on</span> <span class=\"m\">something happens</span></p><figure>{}</figure>",
                plot::timeline(course)
            );
            let rows: Vec<Vec<String>> =
                course.marks.iter().map(|(at, what)| vec![plot::time(*at), text(what)]).collect();
            let _ = writeln!(
                out,
                "<details><summary>What happened</summary>{}</details>",
                table(&["at", "what"], &rows)
            );
        }
        out
    }

    fn judged_table(&self) -> String {
        let row = |v: super::Verdict| {
            let (class, word) = match v.holds {
                Some(true) => ("good", "holds"),
                Some(false) => ("bad", "BROKEN"),
                None => ("", "not judged"),
            };
            let said = format!("<span class=\"{class}\">{word}</span>");
            vec![said, text(&v.name), v.kind.into(), text(&v.promise), v.times.to_string(), text(&v.note)]
        };
        let rows: Vec<Vec<String>> = self.verdicts().into_iter().map(row).collect();
        table(&["verdict", "check", "kind", "promise", "times", ""], &rows)
    }

    fn failures(&self) -> String {
        let mut out = String::new();
        for (seed, broken) in self.broken.iter().take(super::COURSES) {
            let _ = writeln!(
                out,
                "<section class=\"broken\"><h2>Seed {seed}: {}</h2><pre>{}</pre><p><code>{}</code></p><details><summary>The fleet then</summary><pre>{}</pre></details></section>",
                text(broken.promise),
                text(&broken.what),
                text(&self.again(Some(*seed))),
                text(&broken.report)
            );
        }
        out
    }

    fn reached_table(&self) -> String {
        let rows: Vec<Vec<String>> =
            self.reached.iter().map(|(what, times)| vec![text(what), times.to_string()]).collect();
        table(&["what", "times"], &rows)
    }
}
