//! Copies without comments, for `.live`.
//!
//! `#` inside of a text is content and stays. The invariant it keeps: the copy is read as exactly what the file is
//! read as, or it is the file itself.

use std::sync::Arc;

use crate::yaml::{self, Data, Node};

use super::cst::{Cst, line_start};
use super::edit::{self, Edit};

/// `bytes` without comments; unchanged if they cannot be taken out.
pub fn without_comments(bytes: &[u8]) -> Vec<u8> {
    stripped(bytes).unwrap_or_else(|| bytes.to_vec())
}

fn stripped(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok()?;
    if !text.contains('#') || text.contains('\r') || text.starts_with('\u{feff}') {
        return None;
    }
    let cst = Cst::read(text)?;
    let edits = cst.comments(text).into_iter().map(|comment| {
        if comment.alone {
            // Blank lines after it go too: beside a block text with `+` they would become content.
            let after = &text[comment.end..];
            let rest = after.trim_start().len();
            let end = line_start(text, text.len() - rest).max((comment.end + 1).min(text.len()));
            return Edit::new(line_start(text, comment.start), end, "");
        }
        let before = &text[..comment.start];
        Edit::new(before.trim_end_matches([' ', '\t']).len(), comment.end, "")
    });
    let new = edit::apply(text, edits.collect())?;
    let read = |text: &str| {
        let path: Arc<str> = Arc::from("live");
        let mut sink = Vec::new();
        yaml::read(&path, text.as_bytes(), &mut sink).filter(|_| sink.is_empty())
    };
    same(&read(text)?, &read(&new)?).then(|| new.into_bytes())
}

/// Whether two trees say the same, wherever it stands.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.data, &b.data) {
        (Data::Scalar(a), Data::Scalar(b)) => a == b,
        (Data::List(a), Data::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Data::Map(a), Data::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.key == b.key && same(&a.value, &b.value))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_and_content_stays() {
        let text = "# top\n#~ label\nname: a # trailing\nresources:\n  # one\n  - name: x\n    content: |\n      # kept\n      a # kept\n    command: \"echo # kept\"\n";
        let live = String::from_utf8(without_comments(text.as_bytes())).unwrap();
        assert_eq!(live.matches('#').count(), 3);
        assert!(live.starts_with("name: a\nresources:\n  - name: x\n"), "{live}");
    }

    #[test]
    fn what_cannot_be_read_is_copied() {
        assert_eq!(without_comments(b"a: [ # x\n"), b"a: [ # x\n");
    }
}
