//! From the text of a condition to an [`Expr`].
//!
//! It never guesses: what is not of the language is refused with the place, what was expected and a hint.
//! Recursion is bounded by [`WHEN_DEPTH`], the text by [`WHEN_BYTES`].

use vigo_base::text::{escaped, nearest};

use super::{Builtin, Expr, Operand, WHEN_BYTES, WHEN_DEPTH};

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} at character {}", at + 1)]
pub struct WhenError {
    /// Where it is wrong: characters from the start, from 0.
    pub at: usize,
    /// How many characters are wrong.
    pub len: usize,
    /// What is wrong.
    pub message: String,
    /// How to put it right; may be empty.
    pub help: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    And,
    Or,
    Not,
    Equal,
    Unequal,
    Open,
    Close,
    Comma,
    End,
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Token::Word(word) => format!("`{word}`"),
            Token::Text(text) => format!("'{text}'"),
            Token::And => "`&&`".into(),
            Token::Or => "`||`".into(),
            Token::Not => "`!`".into(),
            Token::Equal => "`==`".into(),
            Token::Unequal => "`!=`".into(),
            Token::Open => "`(`".into(),
            Token::Close => "`)`".into(),
            Token::Comma => "`,`".into(),
            Token::End => "the end".into(),
        }
    }
}

fn error(at: usize, len: usize, message: impl Into<String>, help: impl Into<String>) -> WhenError {
    WhenError { at, len, message: message.into(), help: help.into() }
}

/// Reads a condition.
///
/// # Errors
/// [`WhenError`] with the place of the first mistake.
pub fn parse(text: &str) -> Result<Expr, WhenError> {
    if text.len() > WHEN_BYTES {
        return Err(error(
            0,
            1,
            format!("the condition has {} bytes, at most {WHEN_BYTES} are allowed", text.len()),
            "split it over several resources",
        ));
    }
    let tokens = scan(text)?;
    let mut parser = Parser { tokens, next: 0, depth: 0 };
    if parser.peek().0 == Token::End {
        return Err(error(0, 1, "the condition is empty", "write a condition, or leave `when:` out"));
    }
    let expr = parser.or()?;
    match parser.peek() {
        // It travels as its one spelling, which spaces may make longer than the text.
        (Token::End, ..) if expr.to_string().len() > WHEN_BYTES => Err(error(
            0,
            1,
            format!("the condition, written out, has more than {WHEN_BYTES} bytes"),
            "split it over several resources",
        )),
        (Token::End, ..) => Ok(expr),
        (Token::Close, at, len) => Err(error(at, len, "this `)` closes nothing", "remove it")),
        (token, at, len) => Err(error(
            at,
            len,
            format!("found {}, expected `&&`, `||` or the end", token.shown()),
            "two conditions need an operator between them",
        )),
    }
}

fn scan(text: &str) -> Result<Vec<(Token, usize, usize)>, WhenError> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let (c, start) = (chars[i], i);
        let two = chars.get(i + 1).copied();
        let token = match (c, two) {
            (c, _) if c.is_whitespace() => {
                i += 1;
                continue;
            }
            ('&', Some('&')) => Token::And,
            ('|', Some('|')) => Token::Or,
            ('=', Some('=')) => Token::Equal,
            ('!', Some('=')) => Token::Unequal,
            ('!', _) => Token::Not,
            ('(', _) => Token::Open,
            (')', _) => Token::Close,
            (',', _) => Token::Comma,
            ('\'', _) => {
                let (text, end) = scan_text(&chars, i)?;
                i = end;
                tokens.push((Token::Text(text), start, end - start));
                continue;
            }
            (c, _) if c.is_alphanumeric() || c == '_' => {
                while i < chars.len() && (chars[i].is_alphanumeric() || matches!(chars[i], '_' | '.' | '-')) {
                    i += 1;
                }
                let word: String = chars[start..i].iter().collect();
                let token = match word.as_str() {
                    "and" => Token::And,
                    "or" => Token::Or,
                    "not" => Token::Not,
                    _ => Token::Word(word),
                };
                tokens.push((token, start, i - start));
                continue;
            }
            _ => return Err(bad_character(&chars, i)),
        };
        i += if matches!(token, Token::And | Token::Or | Token::Equal | Token::Unequal) { 2 } else { 1 };
        tokens.push((token, start, i - start));
    }
    tokens.push((Token::End, chars.len(), 1));
    Ok(tokens)
}

fn bad_character(chars: &[char], at: usize) -> WhenError {
    let help = match (chars[at], chars.get(at + 1)) {
        ('&', _) => "and is written `&&`",
        ('|', _) => "or is written `||`",
        ('=', _) => "equality is written `==`",
        ('"', _) => "text stands in single quotes: 'debian'",
        ('{', Some('{')) => {
            "a template may stand only inside a quoted text; a variable is written by its bare name"
        }
        ('<' | '>', _) => "only `==` and `!=` compare; for versions there is version_ge('12')",
        _ => "a condition has names, 'texts', functions, `&&`, `||`, `!`, `==`, `!=` and parentheses",
    };
    error(at, 1, format!("found `{}`, which is not of the language", escaped(&chars[at].to_string())), help)
}

fn scan_text(chars: &[char], start: usize) -> Result<(String, usize), WhenError> {
    let mut text = String::new();
    let mut i = start + 1;
    loop {
        match (chars.get(i), chars.get(i + 1)) {
            (None, _) => {
                let len = chars.len() - start;
                return Err(error(start, len, "this text has no closing quote", "end it with `'`"));
            }
            (Some('\''), Some('\'')) => {
                text.push('\'');
                i += 2;
            }
            (Some('\''), _) => return Ok((text, i + 1)),
            (Some(c), _) => {
                text.push(*c);
                i += 1;
            }
        }
    }
}

/// What a primary turned out to be, before it is known whether it is compared.
enum Side {
    Expr(Expr),
    Operand(Operand),
}

struct Parser {
    tokens: Vec<(Token, usize, usize)>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> (Token, usize, usize) {
        // The list ends with End, and `take` never steps over it.
        self.tokens.get(self.next).cloned().unwrap_or((Token::End, 0, 1))
    }

    fn take(&mut self) -> (Token, usize, usize) {
        let token = self.peek();
        if token.0 != Token::End {
            self.next += 1;
        }
        token
    }

    fn or(&mut self) -> Result<Expr, WhenError> {
        let mut parts = vec![self.and()?];
        while self.peek().0 == Token::Or {
            self.take();
            parts.push(self.and()?);
        }
        Ok(Expr::any(parts))
    }

    fn and(&mut self) -> Result<Expr, WhenError> {
        let mut parts = vec![self.comparison()?];
        while self.peek().0 == Token::And {
            self.take();
            parts.push(self.comparison()?);
        }
        Ok(Expr::all(parts))
    }

    fn comparison(&mut self) -> Result<Expr, WhenError> {
        let (_, at, _) = self.peek();
        let left = self.unary()?;
        let (token, op_at, op_len) = self.peek();
        if !matches!(token, Token::Equal | Token::Unequal) {
            return self.truth(left, at);
        }
        let left = self.operand(left, at)?;
        self.take();
        let (_, right_at, _) = self.peek();
        let right = self.unary()?;
        let right = self.operand(right, right_at)?;
        if matches!(self.peek().0, Token::Equal | Token::Unequal) {
            let (_, at, len) = self.peek();
            return Err(error(at, len, "comparisons do not chain", "write `(a == b) && (b == c)`"));
        }
        let _ = (op_at, op_len);
        Ok(Expr::Compare { left, equal: token == Token::Equal, right })
    }

    /// The operand that `side` is, if it may be compared.
    fn operand(&self, side: Side, at: usize) -> Result<Operand, WhenError> {
        let len = self.tokens.get(self.next.saturating_sub(1)).map_or(1, |t| (t.1 + t.2).saturating_sub(at));
        match side {
            Side::Operand(operand) => Ok(operand),
            Side::Expr(Expr::Call(builtin, _)) => Err(error(
                at,
                len,
                format!("the result of {}() cannot be compared: it is true or false already", builtin.name()),
                format!("write `{}(…)` or `!{}(…)` alone", builtin.name(), builtin.name()),
            )),
            Side::Expr(_) => Err(error(
                at,
                len,
                "only texts in single quotes, variables and traits can be compared",
                "write for example `distro == 'debian'`",
            )),
        }
    }

    /// The condition that `side` is.
    fn truth(&self, side: Side, at: usize) -> Result<Expr, WhenError> {
        match side {
            Side::Expr(expr) => Ok(expr),
            // `arch == 'amd64'` names the trait; alone, the function was meant.
            Side::Operand(Operand::Name(name)) if Builtin::ALL.iter().any(|b| b.name() == name) => {
                Err(error(
                    at,
                    name.chars().count(),
                    format!("{name} is a function and needs its argument"),
                    format!(
                        "write {}",
                        Builtin::ALL.iter().find(|b| b.name() == name).map_or(String::new(), |b| b.usage())
                    ),
                ))
            }
            Side::Operand(Operand::Name(name)) => Ok(Expr::Name(name)),
            Side::Operand(Operand::Text(text)) => Err(error(
                at,
                text.chars().count() + 2,
                "a text alone is neither true nor false",
                "compare it: `name == 'text'`",
            )),
        }
    }

    fn unary(&mut self) -> Result<Side, WhenError> {
        let (token, at, len) = self.peek();
        if token != Token::Not {
            return self.primary();
        }
        self.take();
        self.enter(at, len)?;
        let (_, inner_at, _) = self.peek();
        let inner = self.unary()?;
        self.depth -= 1;
        Ok(Side::Expr(Expr::Not(Box::new(self.truth(inner, inner_at)?))))
    }

    fn enter(&mut self, at: usize, len: usize) -> Result<(), WhenError> {
        self.depth += 1;
        if self.depth > WHEN_DEPTH {
            return Err(error(
                at,
                len,
                format!("the condition nests deeper than {WHEN_DEPTH}"),
                "simplify it, or split it over several resources",
            ));
        }
        Ok(())
    }

    fn primary(&mut self) -> Result<Side, WhenError> {
        let (token, at, len) = self.take();
        match token {
            Token::Text(text) => Ok(Side::Operand(Operand::Text(text))),
            Token::Open => {
                self.enter(at, len)?;
                let inner = self.or()?;
                self.depth -= 1;
                match self.take() {
                    (Token::Close, ..) => Ok(Side::Expr(inner)),
                    (found, ..) => Err(error(
                        at,
                        len,
                        format!("this `(` is not closed: found {}", found.shown()),
                        "add `)`",
                    )),
                }
            }
            Token::Word(word) if self.peek().0 == Token::Open => self.call(&word, at).map(Side::Expr),
            Token::Word(word) => self.word(word, at, len),
            other => Err(error(
                at,
                len,
                format!("found {}, expected a condition", other.shown()),
                "for example os_family('debian'), is_container or changed",
            )),
        }
    }

    fn word(&self, word: String, at: usize, len: usize) -> Result<Side, WhenError> {
        match word.as_str() {
            "true" => Ok(Side::Expr(Expr::Literal(true))),
            "false" => Ok(Side::Expr(Expr::Literal(false))),
            "changed" => Ok(Side::Expr(Expr::Changed)),
            _ if word.starts_with(|c: char| c.is_ascii_digit()) => Err(error(
                at,
                len,
                format!("found the number {word}, expected a condition"),
                format!("numbers are compared as text: '{word}'"),
            )),
            _ => Ok(Side::Operand(Operand::Name(word))),
        }
    }

    fn call(&mut self, word: &str, at: usize) -> Result<Expr, WhenError> {
        let len = word.chars().count();
        let Some(builtin) = Builtin::ALL.into_iter().find(|b| b.name() == word) else {
            let known = Builtin::ALL.iter().map(|b| b.name());
            let help = match nearest(word, known) {
                Some(near) => format!("did you mean {near}()?"),
                None => format!("known are {}", Builtin::ALL.map(Builtin::name).join(", ")),
            };
            return Err(error(at, len, format!("there is no function {word}()"), help));
        };
        self.take();
        let arguments = self.arguments(builtin, at)?;
        self.check_arguments(builtin, &arguments, at)?;
        Ok(Expr::Call(builtin, arguments))
    }

    /// What stands between the parentheses, and the closing one.
    fn arguments(&mut self, builtin: Builtin, at: usize) -> Result<Vec<String>, WhenError> {
        let (word, wanted) = (builtin.name(), builtin.arguments());
        let len = word.chars().count();
        let usage = format!("write {}", builtin.usage());
        let count = ["no argument", "one argument", "two arguments"][wanted.min(2)];
        let mut arguments = Vec::new();
        loop {
            let (token, token_at, token_len) = self.take();
            match token {
                Token::Close if arguments.is_empty() && wanted == 0 => return Ok(arguments),
                Token::Close if arguments.is_empty() => {
                    return Err(error(at, len, format!("{word}() needs {count}"), usage));
                }
                Token::Text(_) | Token::Word(_) if wanted == 0 => {
                    return Err(error(token_at, token_len, format!("{word}() takes {count}"), usage));
                }
                Token::Text(text) => arguments.push(text),
                // D31: a number may stand without quotes.
                Token::Word(w) if w.starts_with(|c: char| c.is_ascii_digit()) => arguments.push(w),
                Token::Word(w) => {
                    let message = format!("the argument of {word}() is a text in single quotes");
                    let help = format!("write '{w}', or '{{{{ .Vars.{w} }}}}' for a variable");
                    return Err(error(token_at, token_len, message, help));
                }
                found => {
                    let message = format!("found {}, expected a text", found.shown());
                    return Err(error(token_at, token_len, message, usage));
                }
            }
            match self.take() {
                (Token::Close, ..) if arguments.len() == wanted => return Ok(arguments),
                (Token::Close, ..) => {
                    return Err(error(at, len, format!("{word}() needs {count}"), usage));
                }
                (Token::Comma, ..) if arguments.len() < wanted => {}
                (Token::Comma, at, len) => {
                    return Err(error(at, len, format!("{word}() takes {count}"), usage));
                }
                (found, at, len) => {
                    return Err(error(at, len, format!("found {}, expected `)`", found.shown()), usage));
                }
            }
        }
    }

    fn check_arguments(&self, builtin: Builtin, arguments: &[String], at: usize) -> Result<(), WhenError> {
        let end = self.tokens.get(self.next.saturating_sub(1)).map_or(at + 1, |t| t.1 + t.2);
        let len = end.saturating_sub(at);
        if arguments.iter().any(|a| a.trim().is_empty()) {
            return Err(error(at, len, format!("the argument of {}() is empty", builtin.name()), ""));
        }
        let ranged = matches!(builtin, Builtin::HourRange | Builtin::MinuteRange);
        if arguments.iter().any(|a| crate::template::holds(a)) && !ranged {
            return Ok(());
        }
        match builtin.fault(arguments) {
            Some((message, help)) => Err(error(at, len, message, help)),
            None => Ok(()),
        }
    }
}
