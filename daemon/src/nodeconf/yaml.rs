//! `node.yaml` as dotted keys with their lines: the small part of YAML that a file of settings needs.
//!
//! Maps, lists of plain values, plain values. What is more (aliases, tags, lists in lists, two documents) is an
//! error that names its line. Bounded: a file has at most [`FILE_BYTES`] bytes. It gives no key a meaning.

use saphyr_parser::{Event, Parser};

use super::BadConf;

/// Bytes of a `node.yaml`.
pub(super) const FILE_BYTES: usize = 64 * 1024;

/// Maps in maps.
const DEPTH: usize = 4;

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

/// What is wrong, and what to do.
type Mistake = (String, &'static str);

/// Reads a file, up to the first thing that is not of its form.
pub(super) fn read(file: &str, text: &str) -> Result<Vec<Entry>, Vec<BadConf>> {
    let bad = |line: usize, (what, hint): Mistake| {
        vec![BadConf { place: format!("{file}:{line}"), what, hint: Some(hint.to_string()) }]
    };
    if text.len() > FILE_BYTES {
        let what = format!("the file has {} bytes, at most {FILE_BYTES} are read", text.len());
        return Err(bad(1, (what, "is this a node.yaml?")));
    }
    let mut reader = Reader::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|e| {
            let hint = "check the indentation and the quotes of this line and the one before";
            bad(e.marker().line(), (format!("this is not YAML: {}", e.info()), hint))
        })?;
        let line = span.start.line();
        reader.event(event, line).map_err(|mistake| bad(line, mistake))?;
    }
    Ok(reader.entries)
}

#[derive(Default)]
struct Reader {
    entries: Vec<Entry>,
    open: Vec<Open>,
    documents: usize,
}

impl Reader {
    fn event(&mut self, event: Event<'_>, line: usize) -> Result<(), Mistake> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(("a second document begins here".into(), "remove the `---`"));
                }
            }
            Event::Scalar(_, _, _, Some(_)) => {
                return Err(("tags have no meaning here".into(), "remove the `!…`"));
            }
            Event::Scalar(text, _, _, None) => return self.scalar(text.into_owned(), line),
            Event::MappingStart(..) => return self.map(),
            Event::SequenceStart(..) => return self.list(),
            Event::MappingEnd => drop(self.open.pop()),
            Event::SequenceEnd => {
                if let Some(Open::List(entry)) = self.open.pop() {
                    self.entries.push(entry);
                }
            }
            Event::Alias(_) => return Err(("aliases have no meaning here".into(), "write the value itself")),
            _ => {}
        }
        Ok(())
    }

    fn map(&mut self) -> Result<(), Mistake> {
        let prefix = match self.open.last_mut() {
            None => Some(String::new()),
            Some(Open::Map(_, key)) => key.take().map(|(key, _)| format!("{key}.")),
            Some(Open::List(_)) => None,
        };
        match prefix {
            Some(prefix) if self.open.len() < DEPTH => {
                self.open.push(Open::Map(prefix, None));
                Ok(())
            }
            _ => Err(("a map has no place here".into(), "write one value, or `- value` lines")),
        }
    }

    fn list(&mut self) -> Result<(), Mistake> {
        if let Some(Open::Map(_, waiting)) = self.open.last_mut()
            && let Some((key, line)) = waiting.take()
        {
            self.open.push(Open::List(Entry { key, line, values: Vec::new() }));
            return Ok(());
        }
        Err(("a list has no place here".into(), "write `key: value` lines"))
    }

    fn scalar(&mut self, text: String, line: usize) -> Result<(), Mistake> {
        match self.open.last_mut() {
            None if text.is_empty() => {}
            None => {
                let what = format!("expected keys, found the text {text:?}");
                return Err((what, "write `key: value` lines; `vigo node --help` says more"));
            }
            Some(Open::List(entry)) => entry.values.push(text),
            Some(Open::Map(prefix, waiting)) => match waiting.take() {
                None => *waiting = Some((format!("{prefix}{text}"), line)),
                Some((key, at)) => self.entries.push(Entry { key, line: at, values: vec![text] }),
            },
        }
        Ok(())
    }
}
