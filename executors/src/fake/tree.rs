//! The file system of a [`FakeHost`](super::FakeHost): a map from paths to nodes.
//!
//! It never touches a disk. Invariant: every node's folder is in the map and is a folder; keys are real paths,
//! in which no part is a link. Cloning shares everything until one of the two changes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::host::{Entry, Fault, HostError, Kind, LINKS, PARENT_MODE, Stat};
use crate::path::HostPath;

/// What a node holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    File(Arc<[u8]>),
    Dir,
    Link(String),
    Special(Kind),
}

/// One thing in the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub body: Body,
    pub mode: u32,
    pub owner: u32,
    pub group: u32,
}

impl Node {
    pub fn new(body: Body, mode: u32) -> Node {
        Node { body, mode, owner: 0, group: 0 }
    }

    pub fn kind(&self) -> Kind {
        match &self.body {
            Body::File(_) => Kind::File,
            Body::Dir => Kind::Directory,
            Body::Link(_) => Kind::Symlink,
            Body::Special(kind) => *kind,
        }
    }

    pub fn stat(&self) -> Stat {
        let size = if let Body::File(bytes) = &self.body { bytes.len() as u64 } else { 0 };
        let target = if let Body::Link(to) = &self.body { Some(to.clone()) } else { None };
        Stat { kind: self.kind(), mode: self.mode, owner: self.owner, group: self.group, size, target }
    }
}

/// The map, with its root folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree(Arc<BTreeMap<String, Node>>);

/// Where a walk ended.
enum Walk {
    /// At this real path; whether something is there is open.
    At(String),
    /// This folder on the way is missing.
    Missing(String),
}

impl Default for Tree {
    fn default() -> Tree {
        let root = Node::new(Body::Dir, PARENT_MODE);
        Tree(Arc::new(BTreeMap::from([("/".to_owned(), root)])))
    }
}

impl Tree {
    pub fn get(&self, real: &str) -> Option<&Node> {
        self.0.get(real)
    }

    pub fn get_mut(&mut self, real: &str) -> Option<&mut Node> {
        Arc::make_mut(&mut self.0).get_mut(real)
    }

    pub fn put(&mut self, real: String, node: Node) {
        Arc::make_mut(&mut self.0).insert(real, node);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, &Node)> {
        self.0.iter()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.0.values().map(|n| if let Body::File(b) = &n.body { b.len() as u64 } else { 0 }).sum()
    }

    /// Removes a node and all below it.
    pub fn remove(&mut self, real: &str) {
        let below = format!("{real}/");
        Arc::make_mut(&mut self.0).retain(|path, _| path != real && !path.starts_with(&below));
    }

    /// Whether anything is in the folder.
    pub fn has_children(&self, real: &str) -> bool {
        let below = format!("{real}/");
        self.0.range(below.clone()..).next().is_some_and(|(path, _)| path.starts_with(&below))
    }

    /// What the folder holds, by name.
    pub fn children(&self, real: &str) -> impl Iterator<Item = Entry> {
        let below = if real == "/" { "/".to_owned() } else { format!("{real}/") };
        let inside = self.0.range(below.clone()..).take_while({
            let below = below.clone();
            move |(path, _)| path.starts_with(&below)
        });
        inside.filter_map(move |(path, node)| {
            let name = path.strip_prefix(&below).filter(|name| !name.is_empty() && !name.contains('/'))?;
            Some(Entry { name: name.to_owned(), kind: node.kind() })
        })
    }

    /// The real path that `path` names; `None` when a folder on the way is missing.
    pub fn find(&self, path: &HostPath, follow_last: bool) -> Result<Option<String>, HostError> {
        Ok(match self.walk(path, follow_last)? {
            Walk::At(real) => Some(real),
            Walk::Missing(_) => None,
        })
    }

    /// The real path that `path` names, its last part not followed, its folders made.
    pub fn make_parents(&mut self, path: &HostPath) -> Result<String, HostError> {
        loop {
            match self.walk(path, false)? {
                Walk::At(real) => return Ok(real),
                Walk::Missing(folder) => self.put(folder, Node::new(Body::Dir, PARENT_MODE)),
            }
        }
    }

    fn walk(&self, path: &HostPath, follow_last: bool) -> Result<Walk, HostError> {
        let mut at = Vec::<String>::new();
        let mut todo: VecDeque<String> = path.parts().map(str::to_owned).collect();
        let mut links = 0;
        while let Some(part) = todo.pop_front() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    at.pop();
                    continue;
                }
                _ => at.push(part),
            }
            let real = format!("/{}", at.join("/"));
            let last = todo.is_empty();
            match self.get(&real).map(|n| &n.body) {
                Some(Body::Link(to)) if !last || follow_last => {
                    links += 1;
                    if links > LINKS {
                        return Err(HostError::LinkLoop { path: path.clone() });
                    }
                    at.pop();
                    if to.starts_with('/') {
                        at.clear();
                    }
                    for part in to.split('/').rev() {
                        todo.push_front(part.to_owned());
                    }
                }
                _ if last => {}
                Some(Body::Dir) => {}
                None => return Ok(Walk::Missing(real)),
                Some(_) => {
                    return Err(refused(
                        "reach",
                        path,
                        Fault::Other,
                        "a part of the path is not a directory",
                    ));
                }
            }
        }
        Ok(Walk::At(format!("/{}", at.join("/"))))
    }
}

/// A refusal, as a machine would give it.
pub(super) fn refused(doing: &'static str, path: &HostPath, fault: Fault, why: &str) -> HostError {
    HostError::Refused { doing, path: path.clone(), fault, why: why.to_owned() }
}
