//! A YAML file of settings, read into JSON values.
//!
//! Core schema of YAML 1.2. Aliases, tags and several documents are refused, and so are duplicate keys and anything
//! nested deeper than settings are.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};
use vigo_base::text::escaped;

/// How deep maps and lists may nest.
const DEPTH: usize = 16;
/// Bytes of a file.
const BYTES: usize = 256 * 1024;

/// What is open while events come in.
enum Open {
    List(Vec<Value>),
    Map(Map<String, Value>, Option<String>),
}

/// Reads the file's one document.
///
/// # Errors
/// `LINE: what is wrong`.
pub fn read(bytes: &[u8]) -> Result<Value, String> {
    if bytes.len() > BYTES {
        return Err(format!("1: more than {BYTES} bytes"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "1: the file is not UTF-8".to_owned())?;
    let (mut open, mut root): (Vec<Open>, Option<Value>) = (Vec::new(), None);
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| format!("{}: {}", e.marker().line(), escaped(e.info())))?;
        let line = span.start.line();
        let done = match event {
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                None
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Map::new(), None));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(|o| match o {
                Open::List(items) => Value::Array(items),
                Open::Map(map, _) => Value::Object(map),
            }),
            Event::Scalar(text, style, _, None) => Some(scalar(&text, style)),
            Event::Scalar(..) => return Err(format!("{line}: tags are not for settings")),
            Event::Alias(_) => return Err(format!("{line}: aliases are not for settings")),
            _ => None,
        };
        if open.len() > DEPTH {
            return Err(format!("{line}: nested deeper than {DEPTH}"));
        }
        if let Some(value) = done {
            put(&mut open, &mut root, value, line)?;
        }
    }
    Ok(root.filter(|v| !v.is_null()).unwrap_or_else(|| Value::Object(Map::new())))
}

fn put(open: &mut [Open], root: &mut Option<Value>, value: Value, line: usize) -> Result<(), String> {
    match open.last_mut() {
        Some(Open::List(items)) => items.push(value),
        Some(Open::Map(map, key)) => match (key.take(), value) {
            (None, Value::String(name)) => *key = Some(name),
            (None, other) => *key = Some(other.to_string()),
            (Some(name), value) => {
                if map.insert(name.clone(), value).is_some() {
                    return Err(format!("{line}: the key {} stands there twice", escaped(&name)));
                }
            }
        },
        None if root.is_some() => return Err(format!("{line}: a second document; one is expected")),
        None => *root = Some(value),
    }
    Ok(())
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => match text.parse::<i64>() {
            Ok(n) => Value::from(n),
            Err(_) => Value::String(text.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_are_read() {
        let read_ok =
            read(b"# c\nspanner:\n  mode: founder\nconverge: {interval: 5m, splay: 30}\nlist: [a, 'b']\n");
        assert_eq!(
            read_ok,
            Ok(
                json!({"spanner": {"mode": "founder"}, "converge": {"interval": "5m", "splay": 30}, "list": ["a", "b"]})
            )
        );
        assert_eq!(read(b""), Ok(json!({})));
    }

    #[test]
    fn what_is_wrong_has_a_line() {
        assert!(read(b"a: 1\nb: [\n").unwrap_err().contains(": "));
        assert_eq!(read(b"a: 1\na: 2\n").unwrap_err(), "2: the key a stands there twice");
        assert!(read(b"a: &x 1\nb: *x\n").unwrap_err().starts_with("2: aliases"));
        assert!(read("[".repeat(40).as_bytes()).is_err());
    }
}
