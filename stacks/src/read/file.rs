//! One file by itself, and then among the others.
//!
//! What a file says is a function of its path, its bytes and the templates that it names; [`FileRead::put`] adds what
//! only the whole tree shows. The invariant it keeps: reading never looks at another file, so what was read may be
//! kept as long as those three are the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::compliance::Waiver;
use crate::diagnostic::Diagnostic;
use crate::parsed::{ClaimLine, Common, Configcrate, Environment, MatchBlock, Name, Parsed, Role};
use crate::rules;
use crate::source::{Asked, Templates};
use crate::yaml::{self, Node};

use super::place::{Place, place_of};
use super::{Reader, crates, note_empty, stem_of};

/// What one file says.
#[derive(Debug)]
pub(crate) struct FileRead {
    /// The templates that it named.
    pub asked: Asked,
    said: Vec<Diagnostic>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// It is no configuration.
    Nothing,
    /// It could not be read; these names are lost with it.
    Lost(Vec<String>),
    Crate(Arc<Configcrate>),
    Roles(Vec<Arc<Role>>),
    Common(Option<Arc<Common>>),
    Environments(String, Arc<BTreeMap<String, Environment>>),
    Claims(String, Vec<ClaimLine>),
    Waivers(String, Vec<Waiver>),
    Kept(&'static str, Option<Name>),
    Hostcrate(Arc<str>, Vec<Arc<MatchBlock>>),
}

/// Reads one file.
pub(crate) fn read_file(path: &str, bytes: &[u8], templates: &Templates<'_>) -> FileRead {
    let (mut said, path) = (Vec::new(), Arc::from(path));
    let body = body(&path, bytes, templates, &mut said);
    FileRead { asked: templates.take_asked(), said, body }
}

fn body(path: &Arc<str>, bytes: &[u8], templates: &Templates<'_>, said: &mut Vec<Diagnostic>) -> Body {
    let Some(place) = place_of(path, said) else { return Body::Nothing };
    let stem = stem_of(path).to_string();
    let Some(node) = yaml::read(path, bytes, said) else {
        note_empty(path, bytes, said);
        return Body::Lost(vec![stem]);
    };
    let mut reader = Reader { path: Arc::clone(path), templates, sink: said };
    if reader.stray(&node) {
        return Body::Lost(vec![stem]);
    }
    reader.file(&node, place, stem)
}

impl Reader<'_> {
    /// Reads what one file says.
    fn file(&mut self, node: &Node, place: Place, stem: String) -> Body {
        match place {
            Place::Configcrate | Place::Usercrate => {
                match self.configcrate(node, matches!(place, Place::Usercrate)) {
                    Some(found) => Body::Crate(Arc::new(found)),
                    None => Body::Lost(crates::name_of(node).into_iter().chain([stem]).collect()),
                }
            }
            Place::Roles => Body::Roles(self.roles(node).into_iter().map(Arc::new).collect()),
            Place::Common(dir) => Body::Common(self.common(node, dir).map(Arc::new)),
            Place::Environments(dir) => Body::Environments(dir, Arc::new(self.environments(node))),
            Place::Claims(dir) => Body::Claims(dir, self.claims(node)),
            Place::Waivers(dir) => Body::Waivers(dir, self.waivers(node)),
            Place::Kept(kind) => Body::Kept(kind, self.kept(node, kind)),
            Place::Hostcrate(dir) => {
                let blocks = self.hostcrate(node, &dir).into_iter().map(Arc::new).collect();
                Body::Hostcrate(Arc::clone(&self.path), blocks)
            }
        }
    }
}

impl FileRead {
    /// Takes over from `old` what both say alike, so that what was made with it is seen to be the same.
    pub fn sharing(mut self, old: &FileRead) -> FileRead {
        match (&mut self.body, &old.body) {
            (Body::Roles(new), Body::Roles(old)) => share(new, old),
            (Body::Hostcrate(_, new), Body::Hostcrate(_, old)) => share(new, old),
            _ => {}
        }
        self
    }

    /// Adds it to what the files before it say.
    pub fn put(&self, parsed: &mut Parsed, sink: &mut Vec<Diagnostic>) {
        sink.extend(self.said.iter().cloned());
        match &self.body {
            Body::Nothing | Body::Common(None) | Body::Kept(_, None) => {}
            Body::Lost(names) => parsed.lost.extend(names.iter().cloned()),
            Body::Crate(found) => add_configcrate(parsed, found, sink),
            Body::Roles(roles) => roles.iter().for_each(|role| add_role(parsed, role, sink)),
            Body::Common(Some(common)) => drop(parsed.commons.insert(common.dir.clone(), Arc::clone(common))),
            Body::Environments(dir, found) => {
                parsed.environments.insert(dir.clone(), Arc::clone(found));
            }
            Body::Claims(dir, lines) => drop(parsed.claims.insert(dir.clone(), lines.clone())),
            Body::Waivers(dir, found) => drop(parsed.waivers.insert(dir.clone(), found.clone())),
            Body::Kept(kind, Some(name)) => {
                if let Some(first) = parsed.kept.insert((kind, name.value.clone()), name.site.clone()) {
                    let message = format!("the {kind} {} is declared twice", name.value);
                    let help = format!("the first is at {first}; rename one");
                    sink.push(Diagnostic::error(rules::NAME_TAKEN, &name.site, message).help(help));
                }
            }
            Body::Hostcrate(path, blocks) => {
                parsed.hostcrates.insert(path.to_string(), blocks.len());
                parsed.blocks.extend(blocks.iter().cloned());
            }
        }
    }
}

/// Puts the old ones in the place of equal new ones.
fn share<T: PartialEq>(new: &mut [Arc<T>], old: &[Arc<T>]) {
    for (new, old) in new.iter_mut().zip(old) {
        if *new == *old {
            *new = Arc::clone(old);
        }
    }
}

fn add_role(parsed: &mut Parsed, role: &Arc<Role>, sink: &mut Vec<Diagnostic>) {
    let Some(first) = parsed.roles.get(&role.name.value) else {
        parsed.roles.insert(role.name.value.clone(), Arc::clone(role));
        return;
    };
    let message = format!("the role {} is declared twice", role.name.value);
    let help = format!("the first is at {}; rename one", first.name.site);
    sink.push(Diagnostic::error(rules::NAME_TAKEN, &role.name.site, message).help(help));
}

/// Configcrates and usercrates share one namespace (F29).
fn add_configcrate(parsed: &mut Parsed, found: &Arc<Configcrate>, sink: &mut Vec<Diagnostic>) {
    let kind = |user: bool| if user { "usercrate" } else { "configcrate" };
    let Some(first) = parsed.configcrates.get(&found.name.value) else {
        parsed.configcrates.insert(found.name.value.clone(), Arc::clone(found));
        return;
    };
    let (message, help) = if first.user == found.user {
        (
            format!("the {} {} is declared twice", kind(found.user), found.name.value),
            format!("the first is at {}; rename one", first.name.site),
        )
    } else {
        (
            format!("{} is a {} here and a {} there", found.name.value, kind(found.user), kind(first.user)),
            format!("{} and {} share one namespace: rename one of the two", found.name.site, first.name.site),
        )
    };
    sink.push(Diagnostic::error(rules::NAME_TAKEN, &found.name.site, message).help(help));
}
