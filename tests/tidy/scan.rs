//! A small reader of Rust source: blanks comments and literals, cuts the rest into tokens.
//!
//! It is no parser. It knows just enough (strings, raw strings, characters against lifetimes, nested comments,
//! brackets) that a brace in a string or a name in a comment fools no check. Lines stay where they were.

/// A word or one mark of punctuation, with its line counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The line it stands on.
    pub line: usize,
    /// The word (identifier, number) or the mark.
    pub text: String,
}

impl Token {
    /// Whether it is a name or keyword.
    pub fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// The source with everything in comments and in string and character literals replaced by spaces.
pub fn code_only(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_or_comment(&chars, at);
        if end > at {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

/// Where the comment or literal that starts at `at` ends; `at` itself when none starts there.
fn literal_or_comment(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => line_end(chars, at),
        '/' if next == Some('*') => block_comment_end(chars, at),
        '"' => string_end(chars, at),
        '\'' => character_end(chars, at),
        'b' | 'c' | 'r' if !follows_word(chars, at) => prefixed_end(chars, at),
        _ => at,
    }
}

fn follows_word(chars: &[char], at: usize) -> bool {
    at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_')
}

fn line_end(chars: &[char], at: usize) -> usize {
    (at..chars.len()).find(|i| chars[*i] == '\n').unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut i) = (0_usize, at);
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => (depth, i) = (depth + 1, i + 2),
            ('*', '/') => {
                (depth, i) = (depth - 1, i + 2);
                if depth == 0 {
                    return i;
                }
            }
            _ => i += 1,
        }
    }
    chars.len()
}

fn string_end(chars: &[char], open: usize) -> usize {
    let mut i = open + 1;
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

/// A character literal, told from a lifetime by its closing quote.
fn character_end(chars: &[char], open: usize) -> usize {
    match (chars.get(open + 1), chars.get(open + 2)) {
        (Some('\\'), Some(_)) => {
            (open + 3..chars.len().min(open + 14)).find(|i| chars[*i] == '\'').map_or(open, |close| close + 1)
        }
        (Some(c), Some('\'')) if *c != '\'' => open + 3,
        _ => open,
    }
}

/// `b"…"`, `b'…'`, `c"…"`, `r"…"`, `r#"…"#`, `br#"…"#`, `cr"…"`; raw identifiers (`r#fn`) are no literal.
fn prefixed_end(chars: &[char], at: usize) -> usize {
    let mut i = at + 1;
    let mut raw = chars[at] == 'r';
    if !raw && chars.get(i) == Some(&'r') {
        (raw, i) = (true, i + 1);
    }
    if !raw {
        return match chars.get(i) {
            Some('"') => string_end(chars, i),
            Some('\'') if chars[at] == 'b' && character_end(chars, i) > i => character_end(chars, i),
            _ => at,
        };
    }
    let hashes = chars[i..].iter().take_while(|c| **c == '#').count();
    if chars.get(i + hashes) != Some(&'"') {
        return at;
    }
    let closes = |i: usize| {
        chars[i] == '"' && chars[i + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
    };
    (i + hashes + 1..chars.len()).find(|i| closes(*i)).map_or(chars.len(), |close| close + 1 + hashes)
}

/// The tokens of source that went through [`code_only`].
pub fn tokens(code: &str) -> Vec<Token> {
    let mut all = Vec::new();
    for (index, text) in code.lines().enumerate() {
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let word = |c: char| c.is_alphanumeric() || c == '_';
            let length =
                if word(first) { rest.find(|c| !word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
            all.push(Token { line: index + 1, text: rest[..length].to_owned() });
            rest = rest[length..].trim_start();
        }
    }
    all
}

/// The index just behind the bracket that closes the one at `open`; the end when none does.
pub fn behind_bracket(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (i, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return i + 1;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

/// Whether the tokens at `at` read as `words`.
pub fn reads(tokens: &[Token], at: usize, words: &[&str]) -> bool {
    tokens.len() >= at + words.len() && words.iter().enumerate().all(|(i, w)| tokens[at + i].text == *w)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expect: &[&str]) {
        let seen: Vec<String> = tokens(&code_only(source)).into_iter().map(|t| t.text).collect();
        assert_eq!(seen, expect, "in {source:?}");
    }

    #[test]
    fn comments_are_blank() {
        check("a // b \" { \nc", &["a", "c"]);
        check("a /* b /* { */ \" */ c", &["a", "c"]);
        check("//! x\n/// y\na", &["a"]);
    }

    #[test]
    fn strings_are_blank() {
        check(r#"a("x \" { // y") b"#, &["a", "(", ")", "b"]);
        check("a(r#\"x \" { \"#) b", &["a", "(", ")", "b"]);
        check("a(br##\"x \"# { \"##, b\"{\", c\"{\") b", &["a", "(", ",", ",", ")", "b"]);
        check("a(\"two\nlines {\") b", &["a", "(", ")", "b"]);
    }

    #[test]
    fn characters_are_blank_and_lifetimes_are_not() {
        check("a('{', '\\'', '\\u{7b}', b'{', b'\\\\') b", &["a", "(", ",", ",", ",", ",", ")", "b"]);
        check(
            "fn f<'a>(x: &'a str) {}",
            &["fn", "f", "<", "'", "a", ">", "(", "x", ":", "&", "'", "a", "str", ")", "{", "}"],
        );
    }

    #[test]
    fn raw_identifiers_and_words_that_end_in_a_prefix_stay() {
        check("r#fn bar\"x\" b", &["r", "#", "fn", "bar", "b"]);
        check("let b = r; c", &["let", "b", "=", "r", ";", "c"]);
    }

    #[test]
    fn lines_stay_where_they_were() {
        let seen = tokens(&code_only("\"a\nb\"\n/* x\n*/ c"));
        assert_eq!(seen, [Token { line: 4, text: "c".to_owned() }]);
    }

    #[test]
    fn the_tree_is_understood() {
        // Every check that reads code stands on this: a literal misread somewhere leaves brackets over.
        for file in crate::tree::rust_files() {
            let all = tokens(&code_only(&file.text));
            for (open, close) in [("{", "}"), ("(", ")"), ("[", "]")] {
                let count = |mark: &str| all.iter().filter(|t| t.text == mark).count();
                assert_eq!(
                    count(open),
                    count(close),
                    "{open} and {close} of {} as scan.rs reads it",
                    file.path
                );
            }
        }
    }

    #[test]
    fn brackets_close() {
        let seen = tokens("a { b ( c ) { } } d");
        assert_eq!(seen[behind_bracket(&seen, 1)].text, "d");
    }
}
