//! What a change of content looks like: a unified diff for people.
//!
//! It decides nothing. It never shows control characters raw, never grows beyond 16 KiB, and takes bounded time:
//! what is too large or not text is described instead.

use similar::TextDiff;
use vigo_base::text::escaped;

/// Bytes of a diff in a report.
pub const DIFF_BYTES: usize = 16 * 1024;
/// Bytes of each side that are compared line by line.
pub const SIDE_BYTES: usize = 256 * 1024;
/// Lines of each side that are compared; the cost grows with the product of the sides' differences.
const SIDE_LINES: usize = 4096;
const CUT: &str = "[the rest is cut]\n";

/// One side: what it is called in the header, and its content if it is there and was read.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The path, or a word for nothing.
    pub label: &'a str,
    /// Bytes that it has in all.
    pub size: u64,
    /// Its content; `None` when it is too large to be shown.
    pub bytes: Option<&'a [u8]>,
}

/// The diff from `old` to `new`; empty when both are equal and known.
pub fn unified(old: Side<'_>, new: Side<'_>) -> String {
    let header = format!("--- {}\n+++ {}\n", escaped(old.label), escaped(new.label));
    let (Some(before), Some(after)) = (old.bytes, new.bytes) else {
        return format!("{header}too large to compare: {} bytes, then {} bytes\n", old.size, new.size);
    };
    if before == after {
        return String::new();
    }
    match (text(before), text(after)) {
        (Some(before), Some(after)) => {
            let diff = TextDiff::from_lines(before, after);
            let body = diff.unified_diff().context_radius(3).to_string();
            bounded(&header, &body)
        }
        _ => format!("{header}binary: {} bytes, then {} bytes\n", old.size, new.size),
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    let small = bytes.len() <= SIDE_BYTES && bytes.iter().filter(|b| **b == b'\n').count() <= SIDE_LINES;
    std::str::from_utf8(bytes).ok().filter(|t| small && !t.contains('\0'))
}

/// Header and body, line by line, escaped, as far as there is room.
fn bounded(header: &str, body: &str) -> String {
    let mut out = header.to_owned();
    for line in body.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |l| (l, "\n"));
        let shown: String = line.split('\t').map(escaped).collect::<Vec<_>>().join("\t");
        if out.len() + shown.len() + end.len() + CUT.len() > DIFF_BYTES {
            out.push_str(CUT);
            break;
        }
        out.push_str(&shown);
        out.push_str(end);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(old: &[u8], new: &[u8]) -> String {
        let side = |label, bytes: &'static [u8]| Side { label, size: bytes.len() as u64, bytes: Some(bytes) };
        unified(side("/a", old.to_vec().leak()), side("/a", new.to_vec().leak()))
    }

    #[test]
    fn lines_are_compared() {
        assert_eq!(diff(b"a\nb\n", b"a\nc\n"), "--- /a\n+++ /a\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n");
        assert_eq!(diff(b"a\n", b"a\n"), "");
        assert!(diff(b"a", b"a\n").contains("No newline at end of file"));
    }

    #[test]
    fn what_is_not_text_is_described_and_what_moves_cursors_is_escaped() {
        assert_eq!(diff(b"a\n", b"\xff\xfe"), "--- /a\n+++ /a\nbinary: 2 bytes, then 2 bytes\n");
        assert!(diff(b"", b"a\0b").contains("binary"));
        assert!(diff(b"", b"x\x1b[2J\ty\r\n").contains("+x\\u{1b}[2J\ty\\r"));
    }

    #[test]
    fn a_diff_is_bounded() {
        let long: String = (0..4000).map(|n| format!("line {n} \u{1b}\n")).collect();
        let shown = diff(b"", long.as_bytes());
        assert!(shown.len() <= DIFF_BYTES && shown.ends_with(CUT), "{}", shown.len());
        assert!(diff(b"", &vec![b'\n'; SIDE_LINES + 1]).contains("binary"));
        // The worst cases, nothing in common and everything moved, end and are bounded too.
        let lines =
            |salt: &str| (0..4000).map(|n| format!("{salt}{}\n", n * 7919 % 4001)).collect::<String>();
        assert!(diff(lines("a").as_bytes(), lines("b").as_bytes()).len() <= DIFF_BYTES);
        let rev: String = lines("a").lines().rev().map(|l| format!("{l}\n")).collect();
        assert!(diff(lines("a").as_bytes(), rev.as_bytes()).len() <= DIFF_BYTES);
    }
}
