//! Whether the blocks of a template are closed.
//!
//! The parser we use ends a text at an `{{ end }}` that closes nothing, and closes what the end of the text
//! leaves open; a file would be cut short in silence. So the actions are walked here first. The invariant: a
//! text that passes is parsed to its last character, which [`check`] makes sure of by counting.

use gotmpl::parse::{DefineNode, ListNode, Node};

use super::{TemplateError, at_offset};

/// An opened block.
struct Open<'t> {
    word: &'t str,
    at: usize,
    else_seen: bool,
    else_ifs: usize,
}

/// How deep blocks may nest, each `else if` of an open block counted: the parser recurses for both.
const DEPTH: usize = 90;

/// Checks the blocks of `text` against each other and counts its actions. This comes before the parser, which
/// recurses without a limit on `else if`.
pub(super) fn scan(text: &str) -> Result<usize, TemplateError> {
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut actions = 0usize;
    for (at, action) in self::actions(text) {
        let mut words = action.split_whitespace();
        let word = words.next().map(first_word).unwrap_or("");
        let error = |message: &str, help: &str| {
            let mut error = at_offset(text, at, message.to_string());
            error.help = help.to_string();
            Err(error)
        };
        actions += 1;
        match word {
            "if" | "range" | "with" => open.push(Open { word, at, else_seen: false, else_ifs: 0 }),
            "define" | "block" => {
                if word == "define" && !open.is_empty() {
                    return error("`define` stands inside another block", "move it to the outermost level");
                }
                actions += usize::from(word == "block");
                open.push(Open { word, at, else_seen: false, else_ifs: 0 });
            }
            "end" => {
                actions -= 1;
                if open.pop().is_none() {
                    return error("this `end` closes nothing", "remove it");
                }
            }
            "else" => {
                let follows = words.next().map(first_word).unwrap_or("");
                actions -= usize::from(!matches!(follows, "if" | "with"));
                match open.last_mut() {
                    Some(block) if block.else_seen => {
                        return error("a second `else` in one block", "remove one");
                    }
                    Some(block) if matches!(follows, "if" | "with") && follows != block.word => {
                        return error(
                            "this `else` does not fit its block",
                            "write {{ else }} and a block of its own",
                        );
                    }
                    Some(block) if matches!(block.word, "if" | "range" | "with") => {
                        block.else_seen = follows.is_empty();
                        block.else_ifs += usize::from(!follows.is_empty());
                    }
                    _ => return error("this `else` belongs to nothing", "remove it"),
                }
            }
            "break" | "continue" if !open.iter().any(|b| b.word == "range") => {
                return error(&format!("`{word}` stands outside a range"), "remove it");
            }
            _ => {}
        }
        if open.iter().map(|b| 1 + b.else_ifs).sum::<usize>() > DEPTH {
            return error("blocks nest too deep", "split the template with {{ define }}");
        }
    }
    if let Some(block) = open.last() {
        let mut error = at_offset(text, block.at, format!("this `{}` is not closed", block.word));
        error.help = "add {{ end }}".into();
        return Err(error);
    }
    Ok(actions)
}

/// Makes sure that the parser understood all `actions` that [`scan`] found.
pub(super) fn check(
    text: &str,
    actions: usize,
    tree: &ListNode,
    defines: &[DefineNode],
) -> Result<(), TemplateError> {
    let parsed = count(tree) + defines.iter().map(|d| 1 + count(&d.body)).sum::<usize>();
    if parsed != actions {
        let message = format!("the template has {actions} actions, of which {parsed} were understood");
        return Err(at_offset(text, 0, message));
    }
    Ok(())
}

fn first_word(word: &str) -> &str {
    let end = word.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(word.len());
    &word[..end]
}

fn count(list: &ListNode) -> usize {
    list.nodes
        .iter()
        .map(|node| match node {
            Node::Text(_) => 0,
            Node::List(inner) => count(inner),
            Node::If(b) | Node::Range(b) | Node::With(b) => {
                1 + count(&b.body) + b.else_body.as_ref().map_or(0, count)
            }
            Node::Action(_) | Node::Template(_) | Node::Define(_) | Node::Break(_) | Node::Continue(_) => 1,
        })
        .sum()
}

/// The actions of a text, without comments: the offset of what is inside, and it.
pub(super) fn actions(text: &str) -> impl Iterator<Item = (usize, &str)> {
    Actions { text, next: 0 }
}

struct Actions<'t> {
    text: &'t str,
    next: usize,
}

impl<'t> Iterator for Actions<'t> {
    type Item = (usize, &'t str);

    fn next(&mut self) -> Option<(usize, &'t str)> {
        loop {
            let mut start = self.next + self.text[self.next..].find("{{")? + 2;
            if let Some(rest) = self.text[start..].strip_prefix('-')
                && rest.starts_with(char::is_whitespace)
            {
                start += 1;
            }
            let inside = self.text[start..].trim_start();
            start = self.text.len() - inside.len();
            if inside.starts_with("/*") {
                self.next = start + inside.find("*/")? + 2;
                self.next += self.text[self.next..].find("}}")? + 2;
                continue;
            }
            let length = end_of_action(inside)?;
            self.next = start + length + 2;
            return Some((start, &inside[..length]));
        }
    }
}

/// Where the `}}` of an action stands, outside its texts.
fn end_of_action(inside: &str) -> Option<usize> {
    let bytes = inside.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'}' if bytes.get(i + 1) == Some(&b'}') => return Some(i),
            quote @ (b'"' | b'\'' | b'`') => {
                i += 1;
                while i < bytes.len() && bytes[i] != quote {
                    i += if bytes[i] == b'\\' && quote != b'`' { 2 } else { 1 };
                }
                i += 1;
            }
            b'/' if bytes.get(i + 1) == Some(&b'*') => i += inside[i..].find("*/")? + 2,
            _ => i += 1,
        }
    }
    None
}
