//! Which names a source file uses: paths, `use` trees unfolded, and macros; and which parts are for tests only.
//!
//! It follows no `use` into another file and knows no types; what it cannot see is told from what a path says.

use crate::scan::{Token, behind_bracket, reads};

/// A use of a name: `std::fs::read`, or `println!`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// The line it stands on.
    pub line: usize,
    /// The segments; a macro's last one ends in `!`.
    pub segments: Vec<String>,
}

/// Every path in the tokens.
pub fn paths(tokens: &[Token]) -> Vec<Used> {
    let mut all = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].text == "use" && (at == 0 || starts_item(&tokens[at - 1])) {
            at = use_tree(tokens, at + 1, &[], &mut all);
        } else if tokens[at].is_word() {
            at = plain_path(tokens, at, &mut all);
        } else {
            at += 1;
        }
    }
    all
}

fn starts_item(before: &Token) -> bool {
    matches!(before.text.as_str(), ";" | "}" | "{" | "]" | ")" | "pub")
}

fn separator(tokens: &[Token], at: usize) -> bool {
    reads(tokens, at, &[":", ":"])
}

fn plain_path(tokens: &[Token], mut at: usize, all: &mut Vec<Used>) -> usize {
    let line = tokens[at].line;
    let mut segments = vec![tokens[at].text.clone()];
    at += 1;
    while separator(tokens, at) && tokens.get(at + 2).is_some_and(Token::is_word) {
        segments.push(tokens[at + 2].text.clone());
        at += 3;
    }
    if reads(tokens, at, &["!"])
        && !reads(tokens, at + 1, &["="])
        && let Some(last) = segments.last_mut()
    {
        last.push('!');
    }
    all.push(Used { line, segments });
    at
}

/// Unfolds one branch of a `use` tree that starts at `at`; gives the index behind it.
fn use_tree(tokens: &[Token], mut at: usize, before: &[String], all: &mut Vec<Used>) -> usize {
    let mut segments = before.to_vec();
    if separator(tokens, at) {
        at += 2;
    }
    while at < tokens.len() {
        let line = tokens[at].line;
        match tokens[at].text.as_str() {
            "{" => {
                let end = behind_bracket(tokens, at);
                at += 1;
                while at + 1 < end {
                    at = use_tree(tokens, at, &segments, all);
                    at += usize::from(reads(tokens, at, &[","]));
                }
                return end;
            }
            "*" => {
                segments.push("*".to_owned());
                all.push(Used { line, segments });
                return at + 1;
            }
            _ => segments.push(tokens[at].text.clone()),
        }
        at += 1;
        if !separator(tokens, at) {
            all.push(Used { line, segments });
            return skip_alias(tokens, at);
        }
        at += 2;
    }
    at
}

fn skip_alias(tokens: &[Token], at: usize) -> usize {
    if reads(tokens, at, &["as"]) { at + 2 } else { at }
}

/// The tokens without items marked `#[cfg(test)]`, and the names of marked modules that are files of their own.
pub fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    let mut kept = Vec::new();
    let mut files = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if !test_mark(tokens, at) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let mut item = behind_bracket(tokens, at + 1);
        while reads(tokens, item, &["#", "["]) {
            item = behind_bracket(tokens, item + 1);
        }
        at = behind_item(tokens, item);
        let name = (item..at).find(|i| tokens[*i].text == "mod").map(|i| tokens[i + 1].text.clone());
        if at > 0 && tokens[at - 1].text == ";" {
            files.extend(name);
        }
    }
    (kept, files)
}

fn test_mark(tokens: &[Token], at: usize) -> bool {
    reads(tokens, at, &["#", "[", "cfg", "(", "test", ")", "]"])
        || reads(tokens, at, &["#", "[", "cfg", "(", "all", "(", "test", ","])
        || reads(tokens, at, &["#", "[", "test", "]"])
}

/// The index behind the item at `at`: behind its first `;`, or behind the braces that come before one.
fn behind_item(tokens: &[Token], mut at: usize) -> usize {
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            ";" => return at + 1,
            "{" => return behind_bracket(tokens, at),
            "(" | "[" => at = behind_bracket(tokens, at),
            _ => at += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::{code_only, tokens};

    fn seen(source: &str) -> Vec<String> {
        paths(&tokens(&code_only(source))).into_iter().map(|u| u.segments.join("::")).collect()
    }

    #[test]
    fn use_trees_unfold() {
        assert_eq!(
            seen("use std::{fs, net::{SocketAddr, TcpStream as T}, time::*};\npub use ::a::b;"),
            ["std::fs", "std::net::SocketAddr", "std::net::TcpStream", "std::time::*", "pub", "a::b"]
        );
        assert_eq!(seen("fn f() { use std::env; }"), ["fn", "f", "std::env"]);
    }

    #[test]
    fn paths_and_macros_are_seen() {
        assert_eq!(seen("std::fs::read(x)"), ["std::fs::read", "x"]);
        assert_eq!(seen("println!(y); a != b"), ["println!", "y", "a", "b"]);
        assert_eq!(seen("std::println!()"), ["std::println!"]);
    }

    #[test]
    fn test_items_are_left_out() {
        let source =
            "a();\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\n#[allow(x)]\nmod more { fn b() {} }\nc();";
        let (kept, files) = without_tests(&tokens(source));
        let words: Vec<&str> = kept.iter().filter(|t| t.is_word()).map(|t| t.text.as_str()).collect();
        assert_eq!(words, ["a", "c"]);
        assert_eq!(files, ["tests"]);
        let (kept, _) = without_tests(&tokens("#[cfg(not(test))] fn real() {}"));
        assert!(kept.iter().any(|t| t.text == "real"));
    }
}
