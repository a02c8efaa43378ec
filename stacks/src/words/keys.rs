//! A line of `authorized_keys`, as sshd(8) reads it: options, type, base64, comment.
//!
//! Pure. It never takes a private key, and never a key whose inside names another type than its outside.

use vigo_base::text::escaped;

use super::KEY_BYTES;

/// The types of public keys that OpenSSH accepts today.
const TYPES: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// The parts of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    /// What stands before the type; may be empty.
    pub options: &'a str,
    /// `ssh-ed25519` and the like.
    pub kind: &'a str,
    /// The key itself, in base64.
    pub body: &'a str,
    /// What stands after it; may be empty.
    pub comment: &'a str,
}

/// Reads a line.
///
/// # Errors
/// What is wrong, in words.
pub fn key(line: &str) -> Result<Key<'_>, String> {
    if line.len() > KEY_BYTES {
        return Err(format!("it has {} bytes, at most {KEY_BYTES} are taken", line.len()));
    }
    if line.contains("PRIVATE KEY") {
        return Err("this is a private key: never write one down; the public one is in the .pub file".into());
    }
    if line.chars().any(|c| c.is_control() && c != '\t') {
        return Err("it holds a line break or a control character: a key is one line".into());
    }
    let text = line.trim_matches([' ', '\t']);
    if text.is_empty() || text.starts_with('#') {
        return Err("there is no key in it".into());
    }
    let (first, rest) = word(text);
    let (options, kind, rest) = if TYPES.contains(&first) {
        ("", first, rest)
    } else {
        let (options, rest) = split_options(text)?;
        let (kind, rest) = word(rest);
        (options, kind, rest)
    };
    if !TYPES.contains(&kind) {
        let shown = escaped(&kind.chars().take(40).collect::<String>());
        return Err(format!("`{shown}` is no type of key; known are {}", TYPES.join(", ")));
    }
    let (body, comment) = word(rest);
    inside(kind, body)?;
    Ok(Key { options, kind, body, comment })
}

/// The first word, and what comes after the blanks behind it.
fn word(text: &str) -> (&str, &str) {
    let (first, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (first, rest.trim_start_matches([' ', '\t']))
}

/// Options end at the first blank outside quotes; `\"` does not end a quote.
fn split_options(text: &str) -> Result<(&str, &str), String> {
    let (mut quoted, mut escape) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escape => quoted = !quoted,
            ' ' | '\t' if !quoted => {
                let (options, rest) = text.split_at(at);
                return Ok((options, rest.trim_start_matches([' ', '\t'])));
            }
            _ => {}
        }
        escape = c == '\\' && !escape;
    }
    Err(if quoted { "a quote in its options is not closed".into() } else { "it has one word only".into() })
}

/// The base64 must begin with the type's name and hold something after it.
fn inside(kind: &str, body: &str) -> Result<(), String> {
    let bytes = decode(body).ok_or("its second part is no base64: copy the line again, whole")?;
    let named = bytes.get(..4).and_then(|l| Some(u32::from_be_bytes(l.try_into().ok()?) as usize));
    let name = named.and_then(|n| bytes.get(4..)?.get(..n));
    match name {
        Some(name) if name == kind.as_bytes() && bytes.len() >= kind.len() + 4 + 32 => Ok(()),
        Some(name) if name == kind.as_bytes() => {
            Err("the key is cut short: copy the line again, whole".into())
        }
        _ => Err(format!("the key inside is not of type {kind}: copy the line again, whole")),
    }
}

/// Base64 with its padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let body = text.trim_end_matches('=');
    if text.is_empty() || !text.len().is_multiple_of(4) || text.len() - body.len() > 2 {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0u32);
    for byte in body.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from((bits >> held) & 0xff).ok()?);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIGEga2V5IG9mIG5vIG9uZSwgZm9yIHRlc3RzIG9ubHkh";

    fn ed() -> String {
        // 4 bytes of length, the name, 4 bytes of length, 32 bytes: 51 bytes, 68 characters.
        assert_eq!(ED.len(), 68);
        format!("ssh-ed25519 {ED}")
    }

    #[test]
    fn lines_are_taken_apart() {
        let line = format!("{} dan@laptop, at home", ed());
        let parts = key(&line).unwrap();
        assert_eq!((parts.options, parts.kind, parts.body), ("", "ssh-ed25519", ED));
        assert_eq!(parts.comment, "dan@laptop, at home");
        let line = format!("from=\"10.0.0.0/8\",command=\"echo \\\"a b\\\"\"  {}", ed());
        let parts = key(&line).unwrap();
        assert_eq!(parts.options, "from=\"10.0.0.0/8\",command=\"echo \\\"a b\\\"\"");
        assert_eq!(parts.comment, "");
    }

    #[test]
    fn what_is_no_key_is_refused_and_named() {
        for (line, part) in [
            (String::new(), "no key"),
            ("# a comment".into(), "no key"),
            ("ssh-ed25519".into(), "no base64"),
            ("ssh-dss AAAA x".into(), "no type of key"),
            (format!("ssh-rsa {ED}"), "not of type ssh-rsa"),
            ("ssh-ed25519 AAAA".into(), "not of type"),
            (format!("ssh-ed25519 {}", &ED[..40]), "cut short"),
            (format!("ssh-ed25519 {}", &ED[..41]), "no base64"),
            (format!("{}\nssh-rsa x", ed()), "one line"),
            (format!("command=\"x {}", ed()), "not closed"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----".into(), "private"),
            (format!("{} {}", ed(), "x".repeat(KEY_BYTES)), "bytes"),
        ] {
            let why = key(&line).unwrap_err();
            assert!(why.contains(part), "{line}: {why}");
        }
    }
}
