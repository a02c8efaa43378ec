//! The order of keys.
//!
//! What moves is an entry with its lines, the comments directly above it and those indented below it. Blank lines
//! and comments that stand apart stay where they are. A map with an anchor or an alias in it keeps its order, and
//! so does one whose entries do not begin on lines of their own.

use super::cst::{Body, Comment, Cst, Item, Pair, line_end, line_start};
use super::edit::Edit;
use super::shape::Shape;

/// The edits that put the outermost maps out of order into it; maps inside of them are for the next look.
pub(super) fn arrange(text: &str, cst: &Cst, shape: Shape) -> Vec<Edit> {
    let comments = cst.comments(text);
    let mut look = Look { text, comments, edits: Vec::new() };
    look.visit(&cst.root, shape);
    look.edits
}

struct Look<'t> {
    text: &'t str,
    comments: Vec<Comment>,
    edits: Vec<Edit>,
}

/// An entry with the lines around it.
struct Chunk<'t> {
    /// Blank lines and comments before it that stay.
    gap: &'t str,
    /// Comments directly above it.
    lead: &'t str,
    /// From its key to the end of its last line.
    body: &'t str,
}

impl<'t> Look<'t> {
    fn visit(&mut self, item: &Item, shape: Shape) {
        match &item.body {
            Body::List(items) => items.iter().for_each(|i| self.visit(i, shape.item())),
            Body::Map { flow, pairs } => {
                let shape = match item.pair("type") {
                    Some(pair) => shape.typed(pair.value.scalar().map(|(text, _)| text)),
                    None => shape,
                };
                let wanted = order(pairs, shape);
                let moves = wanted.iter().enumerate().any(|(i, from)| i != *from);
                let free = moves && !item.marked && !pairs.iter().any(|p| p.explicit);
                let edits = match (free, flow) {
                    (false, _) => None,
                    (true, true) => self.flow(item, pairs, &wanted),
                    (true, false) => self.block(pairs, &wanted),
                };
                match edits {
                    Some(edits) => self.edits.extend(edits),
                    None => pairs.iter().for_each(|p| self.visit(&p.value, shape.entry(&p.key))),
                }
            }
            _ => {}
        }
    }

    /// Entries of `{…}` change places; what is between them stays.
    fn flow(&self, item: &Item, pairs: &[Pair], wanted: &[usize]) -> Option<Vec<Edit>> {
        let commented = self.comments.iter().any(|c| (item.start..item.end).contains(&c.start));
        if commented || pairs.iter().any(|p| p.value.end <= p.key_end) {
            return None;
        }
        let new = |(pair, from): (&Pair, &usize)| {
            let other = &pairs[*from];
            Edit::new(pair.start, pair.value.end, &self.text[other.start..other.value.end])
        };
        Some(pairs.iter().zip(wanted).map(new).collect())
    }

    fn block(&self, pairs: &[Pair], wanted: &[usize]) -> Option<Vec<Edit>> {
        let text = self.text;
        let (first, last) = (pairs.first()?, pairs.last()?);
        let top = line_start(text, first.start);
        let prefix = &text[top..first.start];
        let column = prefix.chars().count();
        let chunks = self.chunks(pairs, column)?;
        let end = chunks.last().map(|c| c.body.as_ptr() as usize + c.body.len() - text.as_ptr() as usize)?;
        if end < last.value.end || text.get(end..end + 1).is_some_and(|c| c != "\n") {
            return None;
        }
        let outer = prefix.len() - prefix.trim_start().len();
        let mut new = String::new();
        for (slot, from) in wanted.iter().enumerate() {
            let chunk = &chunks[*from];
            let (indent, lead) = if slot == 0 { (outer, chunk.lead) } else { (column, chunk.lead) };
            new += chunks[slot].gap;
            for line in lead.lines() {
                new += &format!("{}{}\n", " ".repeat(indent), line.trim_start());
            }
            if slot == 0 {
                new += prefix;
            } else {
                new += &" ".repeat(column);
            }
            new += chunk.body;
            new.push('\n');
        }
        new.pop();
        Some(vec![Edit::new(top, end, new)])
    }

    /// The entries with their lines; `None` if one does not begin on a line of its own.
    fn chunks(&self, pairs: &[Pair], column: usize) -> Option<Vec<Chunk<'t>>> {
        let text = self.text;
        let mut chunks: Vec<Chunk<'t>> = Vec::new();
        let mut before: Option<usize> = None;
        for (i, pair) in pairs.iter().enumerate() {
            let top = line_start(text, pair.start);
            let (mut gap, mut lead) = ("", "");
            if let Some(end) = before {
                if top <= end || text[top..pair.start] != *" ".repeat(column) {
                    return None;
                }
                let split = self.lead(end + 1, top);
                (gap, lead) = (&text[end + 1..split], &text[split..top]);
            }
            let next = pairs.get(i + 1).map_or(text.len(), |p| line_start(text, p.start));
            let end = self.tail(line_end(text, pair.value.end), next, column);
            chunks.push(Chunk { gap, lead, body: &text[pair.start..end] });
            before = Some(end);
        }
        Some(chunks)
    }

    fn comment_at(&self, from: usize, to: usize) -> Option<&Comment> {
        let i = self.comments.partition_point(|c| c.start < from);
        self.comments.get(i).filter(|c| c.start < to && c.alone)
    }

    /// Where the comments directly above `top` begin, no earlier than `from`.
    fn lead(&self, from: usize, top: usize) -> usize {
        let mut at = top;
        while at > from {
            let above = line_start(self.text, at - 1);
            if above < from || self.comment_at(above, at).is_none() {
                break;
            }
            at = above;
        }
        at
    }

    /// The end of the lines from `end` on that belong to the entry: comments indented deeper than its key.
    fn tail(&self, end: usize, next: usize, column: usize) -> usize {
        let (mut kept, mut at) = (end, end);
        while at < next.min(self.text.len()) && at + 1 < next {
            let stop = line_end(self.text, at + 1);
            let line = &self.text[at + 1..stop];
            match self.comment_at(at + 1, stop.max(at + 2)) {
                Some(comment) if comment.start - (at + 1) > column => kept = stop,
                Some(_) => break,
                None if line.trim().is_empty() => {}
                None => break,
            }
            at = stop;
        }
        kept
    }
}

/// Which entry comes to each place.
fn order(pairs: &[Pair], shape: Shape) -> Vec<usize> {
    let mut wanted: Vec<usize> = (0..pairs.len()).collect();
    wanted.sort_by_key(|i| shape.rank(&pairs[*i].key));
    wanted
}
