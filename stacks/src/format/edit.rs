//! Edits of a text: ranges and what takes their place.
//!
//! They never overlap; two that would are an error of the formatter, and then nothing is changed.

/// One edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    pub start: usize,
    pub end: usize,
    pub text: String,
}

impl Edit {
    pub fn new(start: usize, end: usize, text: impl Into<String>) -> Edit {
        Edit { start, end, text: text.into() }
    }
}

/// `text` with the edits; `None` if two of them overlap. Those at one place stay in their order.
pub(crate) fn apply(text: &str, mut edits: Vec<Edit>) -> Option<String> {
    edits.sort_by_key(|e| (e.start, e.end));
    let mut out = String::with_capacity(text.len() + 256);
    let mut at = 0;
    for edit in &edits {
        if edit.start < at || edit.end < edit.start {
            return None;
        }
        out.push_str(text.get(at..edit.start)?);
        out.push_str(&edit.text);
        at = edit.end;
    }
    out.push_str(text.get(at..)?);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_apply_in_order_or_not_at_all() {
        let edits = vec![Edit::new(2, 3, "C"), Edit::new(0, 0, "x"), Edit::new(0, 1, "A")];
        assert_eq!(apply("abc", edits).unwrap(), "xAbC");
        assert_eq!(apply("abc", vec![Edit::new(0, 2, ""), Edit::new(1, 3, "")]), None);
    }
}
