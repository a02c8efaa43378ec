//! YAML 1.2 with positions: from bytes to a tree of nodes.
//!
//! It never gives meaning to a node and never stops at what can be reported and passed over. Depth, size and
//! the expansion of aliases are bounded, and nothing here recurses.

use std::collections::BTreeMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span as RawSpan};

use crate::diagnostic::{Diagnostic, Site};
use crate::rules;

/// How deep lists and maps may nest.
pub const DEPTH_MAX: usize = 32;
/// Nodes of one file, aliases expanded.
pub const NODES_MAX: usize = 100_000;
/// Bytes of text of one file, aliases expanded.
pub const EXPANDED_BYTES: usize = 8 * 1024 * 1024;

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub site: Site,
    pub data: Data,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scalar {
    pub text: String,
    pub style: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// No quotes: the text decides the type.
    Plain,
    /// In quotes.
    Quoted,
    /// A literal block (`|`); its place is that of its first character.
    Literal,
    /// A folded block (`>`).
    Folded,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub key: String,
    pub key_site: Site,
    pub value: Node,
}

impl Node {
    /// What it is, for an error.
    pub fn shown(&self) -> String {
        match &self.data {
            Data::Scalar(s) if s.text.is_empty() && s.style == Style::Plain => "nothing".into(),
            Data::Scalar(s) => s.text.clone(),
            Data::List(_) => "a list".into(),
            Data::Map(_) => "a map".into(),
        }
    }

    /// Whether it is null: empty, `~` or `null` without quotes.
    pub fn is_null(&self) -> bool {
        matches!(&self.data, Data::Scalar(Scalar { text, style: Style::Plain })
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The place of a line and column (from 1) of the text that this scalar holds.
    pub fn site_within(&self, line: usize, column: usize) -> Site {
        let mut site = self.site.clone();
        site.length = 1;
        if let Data::Scalar(scalar) = &self.data {
            match scalar.style {
                Style::Literal => {
                    let blank = scalar.text.len() - scalar.text.trim_start_matches('\n').len();
                    site.line = (site.line + line).saturating_sub(1 + blank).max(1);
                    site.column += column - 1;
                }
                Style::Plain if line == 1 => site.column += column - 1,
                Style::Quoted if line == 1 => site.column += column,
                _ => {}
            }
        }
        site
    }

    fn weight(&self) -> (usize, usize) {
        let (mut nodes, mut bytes) = (0, 0);
        let mut open = vec![self];
        while let Some(node) = open.pop() {
            nodes += 1;
            match &node.data {
                Data::Scalar(s) => bytes += s.text.len(),
                Data::List(items) => open.extend(items),
                Data::Map(entries) => {
                    bytes += entries.iter().map(|e| e.key.len()).sum::<usize>();
                    open.extend(entries.iter().map(|e| &e.value));
                }
            }
        }
        (nodes, bytes)
    }
}

/// Reads the one document of a file. `None` if there is nothing to go on with; then a diagnostic says why.
pub(crate) fn read(path: &Arc<str>, bytes: &[u8], sink: &mut Vec<Diagnostic>) -> Option<Node> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line = bytes[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
            let site = Site { line, ..Site::start(path) };
            let message = format!("the file is not UTF-8: byte {} is wrong", error.valid_up_to());
            sink.push(Diagnostic::error(rules::FILE_UTF8, &site, message).help("save the file as UTF-8"));
            return None;
        }
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(at) = text.find(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        let line = text[..at].matches('\n').count() + 1;
        let site = Site { line, ..Site::start(path) };
        let message = "the file holds a control character";
        sink.push(
            Diagnostic::error(rules::YAML_SYNTAX, &site, message).help("write it as \\x.. in double quotes"),
        );
        return None;
    }
    let lines: Vec<&str> = text.lines().collect();
    let widths = lines.iter().map(|l| l.chars().count()).collect();
    Builder {
        path,
        lines,
        widths,
        sink,
        open: Vec::new(),
        root: None,
        anchors: BTreeMap::new(),
        spent: (0, 0),
    }
    .run(text)
}

/// A list or a map that is not closed yet.
struct Open {
    site: Site,
    anchor: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    /// The entries so far, a key that waits for its value (`None` for one that was refused), and the line
    /// of each key.
    Map(Vec<Entry>, Option<Option<(String, Site)>>, BTreeMap<String, usize>),
}

struct Builder<'a> {
    path: &'a Arc<str>,
    lines: Vec<&'a str>,
    /// Characters of each line.
    widths: Vec<usize>,
    sink: &'a mut Vec<Diagnostic>,
    open: Vec<Open>,
    root: Option<Node>,
    anchors: BTreeMap<usize, (Node, (usize, usize))>,
    spent: (usize, usize),
}

impl Builder<'_> {
    fn run(mut self, text: &str) -> Option<Node> {
        let mut parser = Parser::new_from_str(text);
        loop {
            match parser.next_event() {
                None => return self.root,
                Some(Ok((event, span))) => match self.event(event, span) {
                    Step::On => {}
                    Step::Stop => return None,
                },
                Some(Err(error)) => {
                    let marker = error.marker();
                    let site = self.site(marker.line(), marker.col(), 1);
                    if error.info().contains("recursion limit") {
                        // The parser looks ahead, and came to its own limit before us.
                        self.too_deep(&site);
                        return None;
                    }
                    let line = self.lines.get(site.line.saturating_sub(1)).copied().unwrap_or("");
                    let indent = &line[..line.len() - line.trim_start().len()];
                    let help = if indent.contains('\t') || line.trim_start().starts_with('\t') {
                        "indent with spaces, not tabs"
                    } else if line.contains(": *") || line.trim_start().starts_with("- *") {
                        "a text that begins with `*` needs quotes"
                    } else if line.contains("{{") {
                        "a value with {{ … }} needs quotes, or a block that begins with `|`"
                    } else {
                        "check the indentation and the quotes of this line and the one before"
                    };
                    let message = format!("this is not YAML: {}", error.info());
                    self.sink.push(Diagnostic::error(rules::YAML_SYNTAX, &site, message).help(help));
                    return None;
                }
            }
        }
    }

    /// A place within the file: `line` from 1, `col` from 0, both kept inside the text.
    fn site(&self, line: usize, col: usize, length: usize) -> Site {
        let line = line.clamp(1, self.lines.len().max(1));
        let width = self.widths.get(line - 1).copied().unwrap_or(0);
        let column = col.min(width) + 1;
        let length = length.min((width + 1).saturating_sub(column)).max(1);
        Site { path: Arc::clone(self.path), line, column, length }
    }

    fn site_of(&self, span: RawSpan) -> Site {
        let length = if span.end.line() == span.start.line() {
            span.end.col().saturating_sub(span.start.col())
        } else {
            usize::MAX
        };
        self.site(span.start.line(), span.start.col(), length)
    }

    fn event(&mut self, event: Event<'_>, span: RawSpan) -> Step {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Step::On,
            Event::DocumentStart(_) if self.root.is_none() => Step::On,
            Event::DocumentStart(_) => {
                let message = "a file holds one document, this begins a second";
                let site = self.site_of(span);
                self.sink
                    .push(Diagnostic::error(rules::YAML_SYNTAX, &site, message).help("remove the `---`"));
                Step::Stop
            }
            Event::Scalar(text, style, anchor, tag) => {
                let site = self.site_of(span);
                self.refuse_tag(tag.is_some(), &site);
                let style = style_of(style);
                let adds = (1, text.len());
                let node = Node { site, data: Data::Scalar(Scalar { text: text.into_owned(), style }) };
                self.place(node, anchor, adds)
            }
            Event::Alias(anchor) => {
                let site = self.site_of(span);
                match self.anchors.get(&anchor) {
                    Some((_, adds))
                        if self.spent.0 + adds.0 > NODES_MAX || self.spent.1 + adds.1 > EXPANDED_BYTES =>
                    {
                        let adds = *adds;
                        self.place(Node { site, data: Data::List(Vec::new()) }, 0, adds)
                    }
                    Some((node, adds)) => {
                        let (node, adds) = (Node { site, data: node.data.clone() }, *adds);
                        self.place(node, 0, adds)
                    }
                    None => {
                        let message = "an alias cannot stand inside what it names";
                        self.sink.push(Diagnostic::error(rules::YAML_EXPANSION, &site, message));
                        Step::Stop
                    }
                }
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(span, anchor, tag.is_some(), OpenKind::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.begin(span, anchor, tag.is_some(), OpenKind::Map(Vec::new(), None, BTreeMap::new()))
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
        }
    }

    fn too_deep(&mut self, site: &Site) {
        let message = format!("lists and maps nest deeper than {DEPTH_MAX}");
        self.sink.push(Diagnostic::error(rules::YAML_DEPTH, site, message).help("flatten the structure"));
    }

    fn refuse_tag(&mut self, tagged: bool, site: &Site) {
        if tagged {
            let message = "YAML tags (`!…`) are not part of the language";
            self.sink.push(
                Diagnostic::error(rules::YAML_TAG, site, message)
                    .help("a text that begins with `!` needs quotes"),
            );
        }
    }

    fn begin(&mut self, span: RawSpan, anchor: usize, tagged: bool, kind: OpenKind) -> Step {
        let site = self.site_of(span);
        self.refuse_tag(tagged, &site);
        if self.open.len() >= DEPTH_MAX {
            self.too_deep(&site);
            return Step::Stop;
        }
        self.open.push(Open { site, anchor, kind });
        Step::On
    }

    fn end(&mut self) -> Step {
        let Some(open) = self.open.pop() else { return Step::On };
        let data = match open.kind {
            OpenKind::List(items) => Data::List(items),
            OpenKind::Map(entries, ..) => Data::Map(entries),
        };
        self.place(Node { site: open.site, data }, open.anchor, (1, 0))
    }

    /// Puts a finished node where it belongs; `adds` is what it adds to the size of the file.
    fn place(&mut self, node: Node, anchor: usize, adds: (usize, usize)) -> Step {
        self.spent = (self.spent.0 + adds.0, self.spent.1 + adds.1);
        if self.spent.0 > NODES_MAX || self.spent.1 > EXPANDED_BYTES {
            let message =
                format!("the file expands to more than {NODES_MAX} values or {EXPANDED_BYTES} bytes");
            let help = "use fewer aliases, or split the file";
            self.sink.push(Diagnostic::error(rules::YAML_EXPANSION, &node.site, message).help(help));
            return Step::Stop;
        }
        if anchor != 0 {
            let weight = node.weight();
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        self.attach(node);
        Step::On
    }

    fn attach(&mut self, node: Node) {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        match &mut open.kind {
            OpenKind::List(items) => items.push(node),
            OpenKind::Map(entries, waiting, seen) => match waiting.take() {
                None => *waiting = Some(key_of(&node, seen, self.sink)),
                Some(Some((key, key_site))) => entries.push(Entry { key, key_site, value: node }),
                Some(None) => {}
            },
        }
    }
}

fn style_of(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
        ScalarStyle::Folded => Style::Folded,
        ScalarStyle::Literal => Style::Literal,
    }
}

/// The key that a node is, unless it must be refused.
fn key_of(
    node: &Node,
    seen: &mut BTreeMap<String, usize>,
    sink: &mut Vec<Diagnostic>,
) -> Option<(String, Site)> {
    let Data::Scalar(scalar) = &node.data else {
        let diagnostic = Diagnostic::error(rules::YAML_KEY, &node.site, "a key must be a name");
        let help = "a value that begins with {{ needs quotes";
        sink.push(diagnostic.found(&node.shown()).help(help));
        return None;
    };
    if scalar.text.is_empty() || scalar.text.len() > 256 {
        let message = "a key has 1 to 256 bytes";
        sink.push(Diagnostic::error(rules::YAML_KEY, &node.site, message).found(&node.shown()));
        return None;
    }
    if scalar.text == "<<" && scalar.style == Style::Plain {
        let message = "merge keys (`<<`) are not part of YAML 1.2";
        let help = "write the keys out, or use `defaults:`";
        sink.push(Diagnostic::error(rules::YAML_TAG, &node.site, message).help(help));
        return None;
    }
    if let Some(first) = seen.get(&scalar.text) {
        let message = format!("the key `{}` stands here twice", scalar.text);
        let help = format!("the first is on line {first}; keep one");
        sink.push(Diagnostic::error(rules::YAML_DUPLICATE_KEY, &node.site, message).help(help));
        return None;
    }
    seen.insert(scalar.text.clone(), node.site.line);
    Some((scalar.text.clone(), node.site.clone()))
}

enum Step {
    On,
    Stop,
}
