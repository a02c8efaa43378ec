//! Files of at most 600 lines, functions of at most 70, so that an idea fits in a head.
//!
//! A function is counted from its `fn` to its closing brace, closures and inner functions included; what is in
//! a macro's own definition is not. A run prints the longest of both.

use crate::scan::{Token, behind_bracket, code_only, tokens};
use crate::tree::{File, rust_files};
use crate::{Breach, expect_none};

/// Lines of a file, tests included.
const FILE_LINES: usize = 600;
/// Lines of a function, signature included.
const FUNCTION_LINES: usize = 70;

/// A function's place and length.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Function {
    lines: usize,
    name: String,
    from: usize,
}

fn functions(source: &str) -> Vec<Function> {
    let tokens = tokens(&code_only(source));
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let named = tokens.get(at + 1).is_some_and(Token::is_word);
        if token.text != "fn" || !named {
            continue;
        }
        let Some(open) = body(&tokens, at + 2) else { continue };
        let end = behind_bracket(&tokens, open);
        let lines = tokens[end - 1].line - token.line + 1;
        found.push(Function { lines, name: tokens[at + 1].text.clone(), from: token.line });
    }
    found
}

/// The brace that opens the body of the function whose generics or arguments start at `at`.
fn body(tokens: &[Token], mut at: usize) -> Option<usize> {
    while at < tokens.len() {
        let after_angle = matches!(tokens[at - 1].text.as_str(), "<" | "," | "=");
        match tokens[at].text.as_str() {
            ";" => return None,
            "(" | "[" => at = behind_bracket(tokens, at),
            // A constant argument: `Foo<{ N }>`.
            "{" if after_angle && !closes_where(tokens, at) => at = behind_bracket(tokens, at),
            "{" => return Some(at),
            _ => at += 1,
        }
    }
    None
}

/// Whether the comma before the brace at `at` ends a `where` clause, which makes the brace a body.
fn closes_where(tokens: &[Token], at: usize) -> bool {
    tokens[at - 1].text == ","
        && tokens[..at].iter().rev().take_while(|t| t.text != "fn").any(|t| t.text == "where")
}

fn breaches(files: &[File]) -> Vec<Breach> {
    let mut found = Vec::new();
    for file in files {
        let lines = file.text.lines().count();
        if lines > FILE_LINES {
            found.push(Breach::new(
                &file.path,
                format!("{lines} lines where at most {FILE_LINES} are allowed"),
                "split it by idea into modules; put long tests into a tests.rs beside it",
            ));
        }
        for function in functions(&file.text).into_iter().filter(|f| f.lines > FUNCTION_LINES) {
            found.push(Breach::new(
                format!("{}:{}", file.path, function.from),
                format!(
                    "fn {} has {} lines where at most {FUNCTION_LINES} are allowed",
                    function.name, function.lines
                ),
                "name its steps and make each a function, the most important first",
            ));
        }
    }
    found
}

#[test]
fn the_tree_has_short_files_and_functions() {
    let files = rust_files();
    let longest_file =
        files.iter().map(|f| (f.text.lines().count(), &f.path)).max().expect("there are files");
    let longest = files.iter().flat_map(|f| functions(&f.text).into_iter().map(move |x| (x, &f.path))).max();
    println!("longest file: {longest_file:?}; longest function: {longest:?}");
    expect_none("lengths", breaches(&files));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(source: &str) -> Vec<(String, usize)> {
        functions(source).into_iter().map(|f| (f.name, f.lines)).collect()
    }

    fn check(source: &str, expect: &[(&str, usize)]) {
        let expect: Vec<(String, usize)> = expect.iter().map(|(n, l)| ((*n).to_owned(), *l)).collect();
        assert_eq!(lengths(source), expect, "in {source}");
    }

    #[test]
    fn functions_are_measured() {
        check("fn a() {}", &[("a", 1)]);
        check("/// fn no() {\nfn a(\n  x: u8,\n) -> u8\nwhere\n  u8: Copy,\n{\n  x\n}\n", &[("a", 8)]);
        check("trait T {\n fn a(&self);\n fn b(&self) {\n }\n}", &[("b", 2)]);
        check("fn a() {\n fn b() {\n }\n}", &[("a", 4), ("b", 2)]);
    }

    #[test]
    fn what_looks_like_a_body_is_none() {
        check("fn a() -> [u8; { 1 + 1 }] {\n}", &[("a", 2)]);
        check("fn a(x: Foo<{ N }>) -> Bar<{\n N }> {\n}", &[("a", 3)]);
        check("type F = fn(u8) -> u8;\nlet x: fn() = y;", &[]);
        check("macro_rules! m { ($n:ident) => { fn $n() { } } }", &[]);
        check("fn a() {\n let s = \"}\";\n let c = '}';\n // }\n let r = r#\"}\"}\"#;\n}", &[("a", 6)]);
    }

    #[test]
    fn planted_lengths_are_found() {
        let function = |lines: usize| format!("fn a() {{\n{}}}\n", "    x();\n".repeat(lines - 2));
        let file = |text: String| [File { path: "x.rs".to_owned(), mode: 0o644, text }];
        assert_eq!(breaches(&file(function(FUNCTION_LINES))), []);
        assert_eq!(breaches(&file(function(FUNCTION_LINES + 1))).len(), 1);
        assert_eq!(breaches(&file("//\n".repeat(FILE_LINES))), []);
        assert_eq!(breaches(&file("//\n".repeat(FILE_LINES + 1))).len(), 1);
    }
}
