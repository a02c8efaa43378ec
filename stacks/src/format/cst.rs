//! The text of a file as a tree of byte ranges, for edits that touch nothing else.
//!
//! It reads only what [`crate::yaml::read`] has taken already, so it gives up (`None`) on what that refuses. It never
//! changes a byte. The invariant it keeps: ranges lie inside the text, on the boundaries of characters, and children
//! lie inside their parents in the order of the file.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::yaml::DEPTH_MAX;

/// A file in ranges.
#[derive(Debug)]
pub(crate) struct Cst {
    pub root: Item,
    /// The ranges of all scalars, keys and aliases, in order.
    pub leaves: Vec<(usize, usize)>,
}

/// A value.
#[derive(Debug)]
pub(crate) struct Item {
    pub start: usize,
    /// After its last character; of a block scalar, after the last character of its last line.
    pub end: usize,
    /// Whether it has an anchor.
    pub anchored: bool,
    /// Whether it, or anything in it, has an anchor or is an alias.
    pub marked: bool,
    pub body: Body,
}

#[derive(Debug)]
pub(crate) enum Body {
    Scalar(String, ScalarStyle),
    Alias,
    List(Vec<Item>),
    Map { flow: bool, pairs: Vec<Pair> },
}

/// A key with its value.
#[derive(Debug)]
pub(crate) struct Pair {
    pub key: String,
    pub start: usize,
    pub key_end: usize,
    /// Whether the key follows a `?`.
    pub explicit: bool,
    pub value: Item,
}

impl Item {
    pub fn scalar(&self) -> Option<(&str, ScalarStyle)> {
        match &self.body {
            Body::Scalar(text, style) => Some((text, *style)),
            _ => None,
        }
    }

    pub fn pair(&self, key: &str) -> Option<&Pair> {
        match &self.body {
            Body::Map { pairs, .. } => pairs.iter().find(|p| p.key == key),
            _ => None,
        }
    }
}

/// A comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Comment {
    /// Where its `#` is.
    pub start: usize,
    /// The end of its line, before the line break.
    pub end: usize,
    /// Whether nothing else stands on its line.
    pub alone: bool,
}

/// The beginning of the line of `at`.
pub(crate) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |i| i + 1)
}

/// The end of the line of `at`, before its line break.
pub(crate) fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |i| at + i)
}

/// Where lines end, to tell many places their numbers.
pub(crate) struct LineNumbers(Vec<usize>);

impl LineNumbers {
    pub fn of(text: &str) -> LineNumbers {
        LineNumbers(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    /// The number of the line of `at`, from 1.
    pub fn at(&self, at: usize) -> usize {
        self.0.partition_point(|end| *end < at) + 1
    }
}

impl Cst {
    /// Reads a text.
    pub fn read(text: &str) -> Option<Cst> {
        let offsets = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().map(|(i, _)| i).chain([text.len()]).collect()
        };
        let mut builder = Builder { text, offsets, open: Vec::new(), root: None, leaves: Vec::new() };
        let mut parser = Parser::new_from_str(text);
        loop {
            match parser.next_event() {
                None => break,
                Some(Ok((event, span))) => builder.event(event, span)?,
                Some(Err(_)) => return None,
            }
        }
        Some(Cst { root: builder.root?, leaves: builder.leaves })
    }

    /// All comments, in order.
    pub fn comments(&self, text: &str) -> Vec<Comment> {
        let bytes = text.as_bytes();
        let mut found = Vec::new();
        let mut at = 0;
        for (start, end) in self.leaves.iter().copied().chain([(text.len(), text.len())]) {
            while at < start {
                let begins = at == 0 || matches!(bytes[at - 1], b' ' | b'\t' | b'\n' | b'\r');
                if bytes[at] == b'#' && begins {
                    let end = line_end(text, at);
                    let alone = text[line_start(text, at)..at].trim().is_empty();
                    found.push(Comment { start: at, end, alone });
                    at = end;
                } else {
                    at += 1;
                }
            }
            at = at.max(end);
        }
        found
    }
}

struct Open {
    start: usize,
    end: usize,
    anchored: bool,
    marked: bool,
    flow: bool,
    kind: Kind,
}

enum Kind {
    List(Vec<Item>),
    Map(Vec<Pair>, Option<(String, usize, usize)>),
}

struct Builder<'t> {
    text: &'t str,
    /// The byte at which each character begins; empty for ASCII.
    offsets: Vec<usize>,
    open: Vec<Open>,
    root: Option<Item>,
    leaves: Vec<(usize, usize)>,
}

impl Builder<'_> {
    fn byte(&self, index: usize) -> usize {
        match self.offsets.last() {
            None => index.min(self.text.len()),
            Some(last) => self.offsets.get(index).copied().unwrap_or(*last),
        }
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        let (start, end) = (self.byte(span.start.index()), self.byte(span.end.index()));
        match event {
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                return None;
            }
            Event::Scalar(text, style, anchor, None) => {
                let (start, end) = self.leaf(style, start, end);
                let marked = anchor != 0;
                let body = Body::Scalar(text.into_owned(), style);
                self.attach(Item { start, end, anchored: marked, marked, body })?;
            }
            Event::Alias(_) => {
                self.leaves.push((start, end));
                self.attach(Item { start, end, anchored: false, marked: true, body: Body::Alias })?;
            }
            Event::SequenceStart(anchor, None) => self.begin(start, end, anchor, Kind::List(Vec::new()))?,
            Event::MappingStart(anchor, None) => {
                self.begin(start, end, anchor, Kind::Map(Vec::new(), None))?
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop()?;
                let body = match open.kind {
                    Kind::List(items) => Body::List(items),
                    Kind::Map(pairs, None) => Body::Map { flow: open.flow, pairs },
                    Kind::Map(_, Some(_)) => return None,
                };
                let end = if open.flow { end } else { open.end };
                let (anchored, marked) = (open.anchored, open.marked);
                self.attach(Item { start: open.start, end, anchored, marked, body })?;
            }
            _ => {}
        }
        Some(())
    }

    /// The range of a scalar, noted among the leaves.
    fn leaf(&mut self, style: ScalarStyle, start: usize, end: usize) -> (usize, usize) {
        if !matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            let end = closing(self.text, style, start, end);
            self.leaves.push((start, end));
            return (start, end);
        }
        // Its header stands between the leaf before and its first line.
        let before = self.leaves.last().map_or(0, |(_, end)| *end);
        let from = line_start(self.text, start).max(before);
        let header = self.text[before..from].split('#').next().unwrap_or("");
        let keeps = header.rfind(['|', '>']).is_some_and(|i| header[i..].contains('+'));
        let content = &self.text[from..end.max(from)];
        let kept = if keeps { content.strip_suffix('\n').unwrap_or(content) } else { content.trim_end() };
        let stop = from + kept.len();
        if kept.trim().is_empty() && !keeps {
            let at = line_end(self.text, before);
            self.leaves.push((at, at));
            return (at, at);
        }
        self.leaves.push((from, stop));
        (from, stop)
    }

    fn begin(&mut self, start: usize, end: usize, anchor: usize, kind: Kind) -> Option<()> {
        if self.open.len() >= DEPTH_MAX {
            return None;
        }
        let flow = self.text[start..end].ends_with(['[', '{']);
        let marked = anchor != 0;
        self.open.push(Open { start, end, anchored: marked, marked, flow, kind });
        Some(())
    }

    fn attach(&mut self, item: Item) -> Option<()> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(item);
            return Some(());
        };
        open.marked |= item.marked;
        open.end = open.end.max(item.end);
        match &mut open.kind {
            Kind::List(items) => items.push(item),
            Kind::Map(pairs, waiting) => match waiting.take() {
                None => {
                    let (text, _) = item.scalar()?;
                    *waiting = Some((text.to_owned(), item.start, item.end));
                }
                Some((key, start, key_end)) => {
                    let explicit = self.text[line_start(self.text, start)..start].trim_end().ends_with('?');
                    // An empty value is placed before the colon; the pair reaches over it.
                    let mut value = item;
                    value.end = value.end.max(key_end);
                    pairs.push(Pair { key, start, key_end, explicit, value });
                }
            },
        }
        Some(())
    }
}

/// The end of a scalar in quotes: the parser's range may reach over what follows it on the line.
fn closing(text: &str, style: ScalarStyle, start: usize, end: usize) -> usize {
    let quote = match style {
        ScalarStyle::SingleQuoted => b'\'',
        ScalarStyle::DoubleQuoted => b'"',
        _ => return end,
    };
    let bytes = text.as_bytes();
    let Some(open) = bytes[start..end].iter().position(|b| *b == quote) else { return end };
    let mut at = start + open + 1;
    while at < end {
        match bytes[at] {
            b'\\' if quote == b'"' => at += 1,
            b'\'' if quote == b'\'' && bytes.get(at + 1) == Some(&b'\'') => at += 1,
            byte if byte == quote => return at + 1,
            _ => {}
        }
        at += 1;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_told_from_content() {
        let text = "# a\nk: | # b\n  # not\n\n  x # not\n# c\nq: \"# no\" # d\nu: x#no\ne: # f\nm: a\n  b\n";
        let cst = Cst::read(text).unwrap();
        let found: Vec<&str> = cst.comments(text).iter().map(|c| &text[c.start..c.end]).collect();
        assert_eq!(found, ["# a", "# b", "# c", "# d", "# f"]);
    }

    #[test]
    fn ranges_are_exact() {
        let text = "é: \"ü\"\nk: |\n  a\n\n\nn: |+\n  b\n\nz: |\nl:\n- {x: 1}\n";
        let cst = Cst::read(text).unwrap();
        let of = |key: &str| {
            let value = &cst.root.pair(key).unwrap().value;
            &text[value.start..value.end]
        };
        assert_eq!((of("é"), of("k"), of("n")), ("\"ü\"", "  a", "  b\n"));
        assert_eq!((of("z"), of("l")), ("", "{x: 1}"));
    }
}
