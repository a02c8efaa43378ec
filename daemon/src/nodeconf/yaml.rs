//! `node.yaml` as dotted keys with their lines: the small part of YAML that a file of settings needs.
//!
//! Maps, lists of plain values, plain values. What is more (aliases, tags, lists in lists, two documents) is an
//! error that names its line. Bounded: a file has at most [`FILE_BYTES`] bytes. It gives no key a meaning.

use saphyr_parser::{Event, Parser};

use super::BadConf;

/// Bytes of a `node.yaml`.
pub(super) const FILE_BYTES: usize = 64 * 1024;

/// One key of the file with what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// `log.level`.
    pub key: String,
    /// The line of the key, from 1.
    pub line: usize,
    /// The value, or the items of the list.
    pub values: Vec<String>,
}

enum Open {
    /// A map below this prefix, and the key that waits for its value.
    Map(String, Option<(String, usize)>),
    /// The list of this key.
    List(Entry),
}

/// Reads a file. All that can be said about it at once is said at once.
pub(super) fn read(file: &str, text: &str) -> Result<Vec<Entry>, Vec<BadConf>> {
    let bad = |line: usize, what: String, hint: &str| {
        vec![BadConf { place: format!("{file}:{line}"), what, hint: Some(hint.to_string()) }]
    };
    if text.len() > FILE_BYTES {
        let what = format!("the file has {} bytes, at most {FILE_BYTES} are read", text.len());
        return Err(bad(1, what, "is this a node.yaml?"));
    }
    let mut entries = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut parser = Parser::new_from_str(text);
    let mut documents = 0;
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|e| {
            let hint = "check the indentation and the quotes of this line and the one before";
            bad(e.marker().line(), format!("this is not YAML: {}", e.info()), hint)
        })?;
        let line = span.start.line();
        match event {
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    return Err(bad(line, "a second document begins here".into(), "remove the `---`"));
                }
            }
            Event::Scalar(text, _, _, tag) => {
                if tag.is_some() {
                    return Err(bad(line, "tags have no meaning here".into(), "remove the `!…`"));
                }
                scalar(&mut open, &mut entries, text.into_owned(), line).map_err(|what| {
                    bad(line, what, "write `key: value` lines; `vigo node --help` lists the keys")
                })?;
            }
            Event::MappingStart(..) => {
                let prefix = match open.last_mut() {
                    None => Some(String::new()),
                    Some(Open::Map(_, key)) => key.take().map(|(key, _)| format!("{key}.")),
                    Some(Open::List(_)) => None,
                };
                match prefix {
                    Some(prefix) if open.len() < 4 => open.push(Open::Map(prefix, None)),
                    _ => {
                        return Err(bad(
                            line,
                            "a map has no place here".into(),
                            "write one value, or `- value` lines",
                        ));
                    }
                }
            }
            Event::SequenceStart(..) => match open.last_mut() {
                Some(Open::Map(_, key)) if key.is_some() => {
                    let (key, line) = key.take().unwrap_or_default();
                    open.push(Open::List(Entry { key, line, values: Vec::new() }));
                }
                _ => return Err(bad(line, "a list has no place here".into(), "write `key: value` lines")),
            },
            Event::MappingEnd => drop(open.pop()),
            Event::SequenceEnd => {
                if let Some(Open::List(entry)) = open.pop() {
                    entries.push(entry);
                }
            }
            Event::Alias(_) => {
                return Err(bad(line, "aliases have no meaning here".into(), "write the value itself"));
            }
            _ => {}
        }
    }
    Ok(entries)
}

fn scalar(open: &mut [Open], entries: &mut Vec<Entry>, text: String, line: usize) -> Result<(), String> {
    match open.last_mut() {
        None if text.is_empty() => Ok(()),
        None => Err(format!("expected keys, found the text {text:?}")),
        Some(Open::List(entry)) => {
            entry.values.push(text);
            Ok(())
        }
        Some(Open::Map(prefix, waiting)) => {
            match waiting.take() {
                None => *waiting = Some((format!("{prefix}{text}"), line)),
                Some((key, at)) => entries.push(Entry { key, line: at, values: vec![text] }),
            }
            Ok(())
        }
    }
}
