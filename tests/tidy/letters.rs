//! Letters that are not what they look like, and macros that mean "not finished".
//!
//! Code is ASCII. Comments, strings and docs may hold other letters, but none that hides, reverses text, or
//! passes for a Latin one: such a letter is written as an escape (`\u{…}`) where a test needs it.

use crate::paths::paths;
use crate::scan::{code_only, tokens};
use crate::tree::{File, files, rust_files};
use crate::{Breach, expect_none};

/// Macros of unfinished work.
const UNFINISHED: [&str; 3] = ["todo!", "unimplemented!", "dbg!"];

fn deceives(c: char) -> bool {
    matches!(c,
        '\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{feff}'      // invisible spaces and joiners
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' // and direction
        | '\u{370}'..='\u{3ff}'                                        // Greek
        | '\u{400}'..='\u{52f}' | '\u{530}'..='\u{58f}'                // Cyrillic, Armenian
        | '\u{ff01}'..='\u{ff5e}' | '\u{1d400}'..='\u{1d7ff}'          // full-width, mathematical
        | '\u{e0000}'..='\u{e007f}'                                    // tags
    ) || (c.is_control() && !matches!(c, '\n' | '\t'))
}

fn deceiving(files: &[File]) -> Vec<Breach> {
    let mut found = Vec::new();
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(c) = line.chars().find(|c| deceives(*c)) {
                found.push(Breach::new(
                    format!("{}:{}", file.path, index + 1),
                    format!("the letter {} hides or passes for another", c.escape_unicode()),
                    "write the letter that is meant, or its escape",
                ));
            }
        }
    }
    found
}

fn foreign_code(files: &[File]) -> Vec<Breach> {
    let mut found = Vec::new();
    for file in files {
        for token in tokens(&code_only(&file.text)) {
            if !token.text.is_ascii() {
                let place = format!("{}:{}", file.path, token.line);
                let shown = token.text.escape_unicode().to_string();
                found.push(Breach::new(place, format!("{shown} in code"), "name it in ASCII"));
            }
        }
    }
    found
}

fn unfinished(files: &[File]) -> Vec<Breach> {
    let mut found = Vec::new();
    for file in files {
        for used in paths(&tokens(&code_only(&file.text))) {
            if let Some(last) = used.segments.last().filter(|s| UNFINISHED.contains(&s.as_str())) {
                let place = format!("{}:{}", file.path, used.line);
                found.push(Breach::new(
                    place,
                    format!("{last} in code"),
                    "finish it, or leave it out of this change",
                ));
            }
        }
    }
    found
}

#[test]
fn the_tree_has_honest_letters() {
    expect_none("letters", deceiving(&files()));
}

#[test]
fn the_tree_is_written_in_ascii_code() {
    expect_none("letters in code", foreign_code(&rust_files()));
}

#[test]
fn the_tree_is_finished() {
    expect_none("unfinished code", unfinished(&rust_files()));
}

#[test]
fn planted_letters_are_found() {
    let file = |text: &str| [File { path: "a.rs".to_owned(), mode: 0o644, text: text.to_owned() }];
    for letter in ["\u{430}", "\u{202e}", "\u{200b}", "\u{3bf}", "\u{1b}", "\u{feff}", "\u{a0}", "\r"] {
        assert_eq!(deceiving(&file(&format!("// x{letter}y\n"))).len(), 1, "{}", letter.escape_unicode());
    }
    assert_eq!(deceiving(&file("// caf\u{e9}, \u{2013}, \u{b5}s, \u{2264}, \u{2192}, \u{65e5}\n\tx\n")), []);
    assert_eq!(foreign_code(&file("let caf\u{e9} = 1;")).len(), 1);
    assert_eq!(foreign_code(&file("let cafe = \"caf\u{e9}\"; // caf\u{e9}")), []);
}

#[test]
fn planted_unfinished_code_is_found() {
    let count = |text: &str| {
        unfinished(&[File { path: "a.rs".to_owned(), mode: 0o644, text: text.to_owned() }]).len()
    };
    assert_eq!(count("fn a() { todo!() }"), 1);
    assert_eq!(count("fn a() { std::unimplemented!(\"later\"); dbg!(x); }"), 2);
    assert_eq!(count("// todo!()\nlet s = \"dbg!\"; todo(); todo != 1"), 0);
}
