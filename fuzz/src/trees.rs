//! Trees of the language: spelled in one text, put together from pieces, or a good one that is edited.
//!
//! [`promises`] says what holds for each of them, whatever is in it. Nothing here reads a disk.

use vigo_stacks::diagnostic::DIAGNOSTICS_MAX;
use vigo_stacks::format::{format, format_tree, live};
use vigo_stacks::{
    Compiled, Diagnostic, Facts, Policy, SourceTree, Workshop, any_error, compile, render_fancy, resolve,
    rules, secrets, trace, tree as outlined,
};

use crate::feed::Feed;

/// Where files lie that mean something; others come from the feed.
const PLACES: [&str; 16] = [
    "configcrates/a.vgo",
    "roles.vgo",
    "common.vgo",
    "site/common.vgo",
    "site/hosts.vgo",
    "templates/t",
    "environments.vgo",
    "site/environments.vgo",
    "usercrates/dan.vgo",
    "configcrates/compliance.vgo",
    "waivers.vgo",
    "tasks/t.vgo",
    "configcrates/deep/b.vgo",
    "acme/usercrates/eve.vgo",
    "acme/lab/hosts.vgo",
    "hosts.vgo",
];

/// Pieces of files, most of them whole lines.
const PIECES: &str = include_str!("pieces.txt");

/// The files that `text` spells: each after a line `=== path`. What no tree takes is left out.
pub fn spelled(text: &[u8]) -> SourceTree {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        match (line.strip_prefix(b"=== "), files.last_mut()) {
            (Some(path), _) => files.push((String::from_utf8_lossy(path).trim().to_string(), Vec::new())),
            (None, Some((_, body))) => body.extend_from_slice(line),
            (None, None) => {}
        }
    }
    let mut tree = SourceTree::new();
    for (path, body) in files {
        let _ = tree.insert(path, body);
    }
    tree
}

/// The text in which [`spelled`] finds this tree again.
pub fn spelling(tree: &SourceTree) -> Vec<u8> {
    let mut text = Vec::new();
    for (path, body) in tree.iter() {
        text.extend_from_slice(format!("=== {path}\n").as_bytes());
        text.extend_from_slice(body);
    }
    text
}

/// A tree of pieces: a byte says which comes next, or that another file begins.
pub fn pieced(feed: &mut Feed<'_>) -> SourceTree {
    let pieces: Vec<&str> = PIECES.split_inclusive('\n').collect();
    let mut tree = SourceTree::new();
    while !feed.is_empty() && tree.len() < 12 {
        let path = *feed.pick(&PLACES);
        let mut body = String::new();
        while !feed.is_empty() && body.len() < 8_192 {
            match feed.byte() {
                255 => break,
                254 => body.push_str(&String::from_utf8_lossy(feed.run())),
                253 => drop(body.pop()),
                at => {
                    let piece = pieces[usize::from(at) % pieces.len()];
                    body.push_str(
                        &piece.trim_end_matches('\n').replace("\\n", "\n").replace("\\bom", "\u{feff}"),
                    );
                }
            }
        }
        let _ = tree.insert(path, body);
    }
    tree
}

/// Changes a tree a few times, as somebody who edits it would.
pub fn edited(mut tree: SourceTree, feed: &mut Feed<'_>) -> SourceTree {
    for _ in 0..8 {
        if feed.is_empty() || tree.is_empty() {
            break;
        }
        edit(&mut tree, feed);
    }
    tree
}

/// One edit: a stretch of a file replaced, a line doubled or taken out, a file moved, added or removed.
pub fn edit(tree: &mut SourceTree, feed: &mut Feed<'_>) {
    let paths: Vec<String> = tree.iter().map(|(path, _)| path.to_string()).collect();
    if paths.is_empty() {
        let _ = tree.insert(*feed.pick(&PLACES), feed.run());
        return;
    }
    let path = feed.pick(&paths).clone();
    let how = feed.below(8);
    let mut body = tree.get(&path).unwrap_or_default().to_vec();
    let at = usize::from(u16::from_be_bytes(feed.array())) % (body.len() + 1);
    let line = body[..at].iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let end = body[at..].iter().position(|b| *b == b'\n').map_or(body.len(), |i| at + i + 1);
    match how {
        0 => drop(body.splice(line..end, [])),
        1 => {
            let copy = body[line..end].to_vec();
            drop(body.splice(end..end, copy));
        }
        2 => {
            let to = *feed.pick(&PLACES);
            tree.remove(&path);
            let _ = tree.insert(to, body);
            return;
        }
        3 => {
            tree.remove(&path);
            return;
        }
        4 => {
            let _ = tree.insert(*feed.pick(&PLACES), feed.run());
            return;
        }
        _ => {
            let word = body[at..end].iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(0);
            drop(body.splice(at..at + word, feed.run().iter().copied()));
        }
    }
    let _ = tree.replace(&path, body);
}

/// What holds for any tree; what it compiles to, if it does. Beside what is always asked, `law` chooses one of
/// [`LAWS`]: a run of all takes ten times as long, and a fuzzer learns from many runs.
pub fn promises(tree: &SourceTree, law: usize) -> Option<Compiled> {
    let (compiled, said) = compile(tree);
    assert_eq!(compiled.is_none(), any_error(&said), "a result exactly without an error");
    printable(&said);
    match law % LAWS {
        0 => {
            drop(render_fancy(&said, tree, false, 80));
            printable(&secrets::scan(tree));
            let again = SourceTree::from_archive(&tree.to_archive());
            assert_eq!(again.as_ref(), Ok(tree), "the archive of a tree is read again");
        }
        1 => {
            drop(trace(tree, "web1", None).0.to_string());
            drop(outlined(tree).0.to_string());
        }
        2 => formatted(tree, compiled.as_ref()),
        3 => stripped(tree, compiled.as_ref()),
        _ => compiled.iter().for_each(sound),
    }
    compiled
}

/// How many laws [`promises`] knows.
pub const LAWS: usize = 5;

/// A workshop that has seen `before` says of `after` what a new one says.
pub fn remembered(before: &SourceTree, after: &SourceTree) {
    let mut workshop = Workshop::new();
    workshop.compile(before);
    assert_eq!(workshop.compile(after), compile(after), "what is remembered changes nothing");
}

fn printable(said: &[Diagnostic]) {
    assert!(said.len() <= DIAGNOSTICS_MAX + 1, "{} diagnostics", said.len());
    for one in said {
        assert!(one.line >= 1 && one.column >= 1 && one.length >= 1, "{one:?}");
        let line = one.to_string();
        assert!(!line.chars().any(|c| c.is_control() && c != '\n'), "{line:?}");
        assert!(line.len() < 16_384, "a diagnostic of {} bytes", line.len());
        assert!(rules::find(one.rule).is_some(), "{} is no rule", one.rule);
    }
}

fn sound(compiled: &Compiled) {
    for policy in &compiled.policies {
        assert_eq!(Policy::from_bytes(&policy.to_bytes()).as_ref(), Ok(&**policy), "a policy is read again");
        let facts = Facts { name: "web1".into(), ..Facts::default() };
        assert!(resolve(policy, &facts).is_ok(), "what was compiled resolves");
    }
    assert!(compiled.routes.iter().all(|route| route.policy < compiled.policies.len()));
}

/// Formatting twice changes nothing more, and does not change what a tree means.
fn formatted(tree: &SourceTree, before: Option<&Compiled>) {
    let (changes, _) = format_tree(tree);
    let mut after = tree.clone();
    for change in changes {
        let twice = format(&change.path, change.text.as_bytes());
        let twice = twice.map(|done| done.text);
        assert_eq!(twice.as_ref(), Ok(&change.text), "formatting twice: {}", change.path);
        if after.replace(&change.path, change.text.into_bytes()).is_err() {
            return;
        }
    }
    if let Some(before) = before {
        means(&after, before, "formatted");
    }
}

/// Nor does `.live` change it.
fn stripped(tree: &SourceTree, before: Option<&Compiled>) {
    if let (Some(before), Ok(copy)) = (before, SourceTree::from_files(live(tree))) {
        means(&copy, before, "without comments");
    }
}

fn means(tree: &SourceTree, before: &Compiled, what: &str) {
    let (after, said) = compile(tree);
    match after {
        Some(after) => assert_eq!(after.policies, before.policies, "{what}"),
        None => panic!("{what}, it is refused: {said:?}"),
    }
}
