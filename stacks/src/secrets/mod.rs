//! What looks like a credential in the clear: found before it is signed, stored by every bolt and kept for ever.
//!
//! Every line of every file of a tree is looked at, comments and templates too. It never shows what it found, only
//! where and what kind it is. A place that is meant is named with the comment `#vigo:allow-secret` and a reason, on
//! the line, above it, or on the line that opens a block text; the reason is required. Each line is looked at in
//! time linear in its length. Who shows lines or diagnostics of a tree covers what it finds with [`masked`] and [`mask`].

mod tokens;

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Site, finish};
use crate::rules;
use crate::source::SourceTree;

/// The comment that allows a place.
pub const ALLOW: &str = "vigo:allow-secret";

/// Looks for credentials in all files of a tree.
pub fn scan(tree: &SourceTree) -> Vec<Diagnostic> {
    finish(tree.iter().flat_map(|(path, bytes)| scan_file(path, bytes)).collect())
}

/// Looks for credentials in one file.
pub(crate) fn scan_file(path: &str, bytes: &[u8]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if !path.split('/').any(|part| part.starts_with('.')) {
        // What is not text is looked at as far as it is.
        file(path, &String::from_utf8_lossy(bytes), &mut found);
    }
    found
}

/// `text` with every character of what looks like a credential as `*`, so that columns stay right: for whoever shows lines
/// of a tree, for whatever reason. Of a private key all lines are covered.
pub fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut within = false;
    for line in text.split_inclusive('\n') {
        let marks = line.contains("PRIVATE KEY-----");
        let stars = |from: usize, to: usize| -> String {
            line[from..to].chars().map(|c| if c.is_whitespace() { c } else { '*' }).collect()
        };
        if within && !marks {
            out += &stars(0, line.len());
            continue;
        }
        within = marks && line.contains("-----BEGIN");
        let mut done = 0;
        for hit in tokens::in_line(line.trim_end_matches(['\n', '\r'])) {
            if hit.start >= done {
                out += &line[done..hit.start];
                out += &stars(hit.start, hit.end);
                done = hit.end;
            }
        }
        out += &line[done..];
    }
    out
}

/// Takes out of diagnostics what looks like a credential on the lines that they are about: what was found there may be
/// one, whatever the rule.
pub fn mask(diagnostics: &mut [Diagnostic], tree: &SourceTree) {
    for diagnostic in diagnostics {
        let text = tree.get(&diagnostic.path).map(String::from_utf8_lossy).unwrap_or_default();
        let line = text.lines().nth(diagnostic.line.saturating_sub(1)).unwrap_or("");
        let secrets: Vec<&str> = tokens::in_line(line).iter().map(|hit| &line[hit.start..hit.end]).collect();
        let clean = |said: &mut String| {
            for secret in &secrets {
                *said = said.replace(secret, "***");
                // What is shown cut short is a beginning of it.
                let shown = said.trim_end_matches('…');
                if shown.len() >= 4 && secret.contains(shown) {
                    *said = "***".to_owned();
                }
            }
        };
        clean(&mut diagnostic.message);
        let others =
            [&mut diagnostic.found, &mut diagnostic.expected, &mut diagnostic.nearest, &mut diagnostic.help];
        others.into_iter().flatten().for_each(clean);
    }
}

/// A marker, as far as it reaches.
struct Allowed {
    /// The lines it covers, from 0, the last included.
    lines: (usize, usize),
    /// Where it stands: line and character, from 0.
    at: (usize, usize),
    reason: bool,
    used: bool,
}

fn file(path: &str, text: &str, sink: &mut Vec<Diagnostic>) {
    let name: Arc<str> = Arc::from(path);
    let lines: Vec<&str> = text.lines().collect();
    let mut allowed = markers(&lines);
    let site = |line: usize, column: usize, length: usize| Site {
        path: Arc::clone(&name),
        line: line + 1,
        column: column + 1,
        length: length.max(1),
    };
    for (i, line) in lines.iter().enumerate() {
        for hit in tokens::in_line(line) {
            let cover = allowed.iter_mut().filter(|a| (a.lines.0..=a.lines.1).contains(&i));
            let mut covered = false;
            for marker in cover {
                marker.used = true;
                covered |= marker.reason;
            }
            if covered {
                continue;
            }
            let column = line[..hit.start].chars().count();
            let length = line[hit.start..hit.end].chars().count();
            let message = format!("this looks like {} in the clear", hit.what);
            let help = "keep it on the machine and out of the tree; if it is no secret, say why on its line: #vigo:allow-secret REASON";
            sink.push(
                Diagnostic::error(rules::SECRET_IN_CLEAR, &site(i, column, length), message).help(help),
            );
        }
    }
    for marker in allowed {
        let site = site(marker.at.0, marker.at.1, ALLOW.len() + 1);
        if !marker.reason {
            let message = "the comment that allows a secret gives no reason";
            let help = "say why it is none, or why it may be seen: #vigo:allow-secret REASON";
            sink.push(Diagnostic::error(rules::SECRET_ALLOWED, &site, message).help(help));
        } else if !marker.used {
            let message = "nothing here looks like a secret, so nothing needs to be allowed";
            sink.push(Diagnostic::warning(rules::SECRET_ALLOWED, &site, message).help("remove the comment"));
        }
    }
}

fn markers(lines: &[&str]) -> Vec<Allowed> {
    let mut found = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let Some(at) = line.find(ALLOW) else { continue };
        // `#vigo:…` or `# vigo:…`.
        let before = line[..at].trim_end();
        let Some(before) = before.strip_suffix('#') else { continue };
        let after = &line[at + ALLOW.len()..];
        let reason = after.starts_with([' ', '\t', ':'])
            && after.trim_matches([' ', '\t', ':']).trim_end_matches(['*', '/', '}', '-']).trim().len() >= 3;
        let alone = before.trim().is_empty();
        let mut first = i;
        while alone && lines.get(first).is_some_and(|l| first == i || l.trim_start().starts_with('#')) {
            first += 1;
        }
        let last = lines.get(first).map_or(first, |opening| block_end(lines, first, opening));
        let column = before.chars().count();
        found.push(Allowed { lines: (i, last), at: (i, column), reason, used: false });
    }
    found
}

/// The last line of the block text that `opening` opens, or its own.
fn block_end(lines: &[&str], at: usize, opening: &str) -> usize {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let code = opening.split(" #").next().unwrap_or(opening).trim_end();
    let header = code.rsplit(' ').next().unwrap_or("");
    let opens = header.starts_with(['|', '>'])
        && header[1..].chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '-'));
    let mut last = at;
    while opens && lines.get(last + 1).is_some_and(|l| l.trim().is_empty() || indent(l) > indent(opening)) {
        last += 1;
    }
    last
}
