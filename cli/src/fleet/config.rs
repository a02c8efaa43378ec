//! `vigocli config`: the commands, and `trace|tree|log`: what a tree means, from disk or as published; who published what.

use vigo_base::Hash;
use vigo_base::text::escaped;
use vigo_daemon::client::blocking::Client;
use vigo_daemon::node::command::{Command, PublishRow, Reply};
use vigo_stacks::compliance::Day;
use vigo_stacks::{Directory, SourceTree, trace, tree as hierarchy};

use crate::args::Everywhere;
use crate::args::vigocli::{Config, StacksDir};
use crate::exit::{Exit, Failure};
use crate::machine::state::now;
use crate::reach::{self, call};
use crate::show::Show;
use crate::{said, tree, words};

/// Microseconds of a day.
const DAY_MICROS: u64 = 86_400_000_000;

/// A command of `vigocli config`.
///
/// # Errors
/// [`Failure`].
pub fn run(everywhere: &Everywhere, args: &Config) -> Result<(), Failure> {
    match args {
        Config::Publish(args) => super::publish::run(everywhere, args),
        Config::Trace { host, tree, published } => traced(everywhere, host, tree, *published),
        Config::Tree { path, tree, published } => shown(everywhere, path.as_deref(), tree, *published),
        Config::Log => log(everywhere),
        Config::Lint(args) => super::lookup::lint(everywhere, args),
        Config::Fmt(args) => super::format::run(everywhere, args),
        Config::Schema { kind } => super::lookup::schema(everywhere, kind.as_deref()),
        Config::Explain { rule } => super::lookup::explain(everywhere, rule.as_deref()),
        Config::Search(args) => super::lookup::search(everywhere, args),
        Config::Migrate(args) => super::migrate::run(everywhere, args),
        Config::Examples(args) => super::examples::run(everywhere, args),
        Config::Retract(args) => super::retract::run(everywhere, args),
        Config::Diff(args) => super::history::diff(everywhere, args),
        Config::Rollback(args) => super::history::rollback(everywhere, args),
    }
}

/// The tree that is meant.
fn source(everywhere: &Everywhere, tree: &StacksDir, published: bool) -> Result<SourceTree, Failure> {
    if !published {
        return tree::read(&tree.stacks);
    }
    head_source(&reach::node(everywhere)?)
}

/// The source of the newest publish. Bolts hold it.
///
/// # Errors
/// [`Failure`] if nothing was published or the node does not hold it.
pub fn head_source(client: &Client) -> Result<SourceTree, Failure> {
    source_of(client, None)
}

/// The source of a publish, the newest if none is named.
///
/// # Errors
/// [`Failure`] if there is none or the node does not hold it.
pub fn source_of(client: &Client, id: Option<Hash>) -> Result<SourceTree, Failure> {
    let blob = call!(client, Command::Source { id }, Reply::Source { blob, .. } => blob)?;
    let bytes = client.get_blob(&blob).map_err(|e| {
        let failure = Failure::from(e);
        match failure.exit {
            Exit::NotFound => {
                Failure::new(Exit::Unavailable, "this node does not hold the source of what is published")
                    .hint("bolts do: run it on a bolt, or name its socket with --socket")
            }
            _ => failure,
        }
    })?;
    SourceTree::from_archive(&bytes)
        .map_err(|e| Failure::new(Exit::Failed, format!("what is published: {e}")))
}

fn traced(everywhere: &Everywhere, host: &str, at: &StacksDir, published: bool) -> Result<(), Failure> {
    let source = source(everywhere, at, published)?;
    let (trace, diagnostics) = trace(&source, host, None);
    let trace = trace.on(Day::from_unix_days(now().0 / DAY_MICROS));
    said::print(everywhere, &diagnostics, &source);
    Show::new(everywhere).result(&trace, || trace.to_string())?;
    if trace.matched.is_none() {
        return Err(Failure::new(Exit::NotFound, format!("no match block matches {}", escaped(host)))
            .hint("vigocli config tree shows the patterns; a machine is matched by its name in the fleet, see vigocli envoys list"));
    }
    said::judge(&diagnostics, false, "the trace shows what could be read")
}

fn shown(
    everywhere: &Everywhere,
    path: Option<&str>,
    at: &StacksDir,
    published: bool,
) -> Result<(), Failure> {
    let source = source(everywhere, at, published)?;
    let (root, diagnostics) = hierarchy(&source);
    said::print(everywhere, &diagnostics, &source);
    let mut here: &Directory = &root;
    for part in path.unwrap_or("").split('/').filter(|p| !p.is_empty() && *p != ".") {
        let next = here.directories.iter().find(|d| d.name == part);
        here = next.ok_or_else(|| {
            let names: Vec<&str> = here.directories.iter().map(|d| d.name.as_str()).collect();
            let hint = match vigo_base::text::nearest(part, names.iter().copied()) {
                Some(near) => format!("did you mean {}?", escaped(near)),
                None if names.is_empty() => "there are no directories with configuration below it".to_owned(),
                None => format!("there are {}", escaped(&names.join(", "))),
            };
            Failure::new(Exit::NotFound, format!("the tree has no directory {} here", escaped(part)))
                .hint(hint)
        })?;
    }
    Show::new(everywhere).result(here, || here.to_string())?;
    said::judge(&diagnostics, false, "the hierarchy shows what could be read")
}

fn log(everywhere: &Everywhere) -> Result<(), Failure> {
    let client = reach::node(everywhere)?;
    let mut rows = publishes(&client)?;
    rows.sort_by_key(|r| std::cmp::Reverse(r.at));
    let show = Show::new(everywhere);
    show.result(&rows, || {
        if rows.is_empty() {
            return "nothing was published yet\n".into();
        }
        let row = |p: &PublishRow| {
            let state = match &p.refused {
                _ if p.head => "head".to_owned(),
                Some(why) => format!("does not count: {why}"),
                None => String::new(),
            };
            let id = p.at.id.to_string().chars().take(12).collect();
            vec![
                p.at.epoch.to_string(),
                id,
                p.operator.clone(),
                words::ago(now(), p.time),
                state,
                p.note.clone(),
            ]
        };
        show.table(
            &["epoch", "publish", "by", "when", "state", "note"],
            &rows.iter().map(row).collect::<Vec<_>>(),
        )
    })
}

/// All publishes that the node knows.
///
/// # Errors
/// [`Failure`].
pub fn publishes(client: &Client) -> Result<Vec<PublishRow>, Failure> {
    call!(client, Command::Publishes, Reply::Publishes(rows) => rows)
}

/// A publish as one line for an error.
pub fn described(row: &PublishRow) -> String {
    let note = if row.note.is_empty() { String::new() } else { format!(" ({})", escaped(&row.note)) };
    format!(
        "{} published epoch {} {}{note}",
        escaped(&row.operator),
        row.at.epoch,
        words::ago(now(), row.time)
    )
}
