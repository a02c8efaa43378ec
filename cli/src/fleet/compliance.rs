//! `vigocli compliance provisions|bundles`: what the catalogues say that a tag stands for.
//!
//! They are part of the program: no node is asked, and no tree is read.

use serde_json::json;
use vigo_base::text::{escaped, nearest};
use vigo_stacks::compliance::{Catalogue, Entry, bundles, provisions};

use crate::args::Everywhere;
use crate::args::compliance::Compliance;
use crate::exit::{Exit, Failure};
use crate::show::Show;

/// A command of `vigocli compliance`.
///
/// # Errors
/// [`Failure`] if there is no such tag.
pub fn run(everywhere: &Everywhere, args: &Compliance) -> Result<(), Failure> {
    match args {
        Compliance::Provisions { show } => catalogue(everywhere, show.as_deref(), "provision", &provisions()),
        Compliance::Bundles { show } => catalogue(everywhere, show.as_deref(), "bundle", &bundles()),
    }
}

fn catalogue(everywhere: &Everywhere, named: Option<&str>, of: &str, all: &Catalogue) -> Result<(), Failure> {
    let show = Show::new(everywhere);
    if let Some(tag) = named {
        let entry = all.get(tag).ok_or_else(|| unknown(tag, of, all))?;
        let value = json!({"name": tag, "about": entry.about, "controls": entry.controls});
        return show.result(&value, || text(tag, entry));
    }
    let rows: Vec<Vec<String>> = all
        .entries
        .iter()
        .map(|(tag, entry)| {
            let controls: usize = entry.controls.values().map(Vec::len).sum();
            vec![tag.to_string(), entry.controls.len().to_string(), controls.to_string(), entry.about.clone()]
        })
        .collect();
    let listed = all
        .entries
        .iter()
        .map(|(tag, entry)| json!({"name": &**tag, "about": entry.about, "controls": entry.controls}));
    show.result(&listed.collect::<Vec<_>>(), || show.table(&[of, "frameworks", "controls", "meaning"], &rows))
}

fn text(tag: &str, entry: &Entry) -> String {
    let mut out = format!("{tag}\n  {}\n", entry.about);
    for (framework, controls) in &entry.controls {
        let ids: Vec<&str> = controls.iter().map(|id| &**id).collect();
        out += &format!("  {framework}: {}\n", ids.join(", "));
    }
    out
}

fn unknown(tag: &str, of: &str, all: &Catalogue) -> Failure {
    let (other, command) = if of == "bundle" { (provisions(), "provisions") } else { (bundles(), "bundles") };
    let hint = match nearest(tag, all.tags()) {
        _ if other.get(tag).is_some() => {
            format!("it is one of the other catalogue: vigocli compliance {command} --show {tag}")
        }
        Some(near) => format!("did you mean {near}?"),
        None => format!("vigocli compliance {of}s lists them"),
    };
    Failure::new(Exit::NotFound, format!("the catalogue has no {of} {}", escaped(tag))).hint(hint)
}
