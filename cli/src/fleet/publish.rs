//! `vigocli config publish`: check the tree, format it, give its blobs to a node, sign, hand over, watch it arrive.
//!
//! The order matters: nothing is formatted before the tree is right, nothing is uploaded before it is formatted,
//! nothing is signed before the node holds what is signed, and `.live` changes only when the publish was taken. Every
//! refusal leaves the fleet and `.live` as they were.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use serde_json::{Value, json};
use vigo_base::Hash;
use vigo_base::text::escaped;
use vigo_daemon::client::blocking::Client;
use vigo_daemon::node::command::PublishRow;
use vigo_daemon::node::content_types::config::{Epoch, Route, RouteTable};
use vigo_daemon::node::swarm::outline::BlobRef;
use vigo_daemon::operator::Signer;
use vigo_stacks::format::{Change, format_tree};
use vigo_stacks::{Compiled, SourceTree, Workshop, any_error, rules};

use super::compare;
use super::config::{described, publishes};
use super::format::{self, Copies};
use super::live::{self, Draft, Note};
use super::{retract, rollout};
use crate::args::Everywhere;
use crate::args::vigocli::Publish;
use crate::exit::{Exit, Failure};
use crate::show::{self, Show};
use crate::{reach, said, tree, words};

/// Characters of a note.
const NOTE_CHARS: usize = 400;

/// What was published.
#[derive(Debug, Clone)]
pub struct Done {
    /// Its place.
    pub at: Epoch,
    /// How many policies there are, and how many match blocks.
    pub size: (usize, usize),
    /// Bytes of all blobs.
    pub bytes: u64,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`].
pub fn run(everywhere: &Everywhere, args: &Publish) -> Result<(), Failure> {
    if args.note.chars().count() > NOTE_CHARS || args.note.chars().any(char::is_control) {
        let what = format!("--note: a note is one line of at most {NOTE_CHARS} characters");
        return Err(Failure::new(Exit::Usage, what).hint("say the rest where the tree is kept"));
    }
    let ready = ready(everywhere, args)?;
    if args.dry_run {
        return compare::run(everywhere, &ready.compiled, &ready.changes);
    }
    let client = reach::node(everywhere)?;
    let signer = reach::signer(&client, &args.key)?;
    let place = live_place(args);
    let note = live::note(&place, &signer.context().spanner);
    if !args.force {
        if let Some(note) = &note {
            live::check(&place, note)?;
        }
        nobody_between(&client, note.as_ref(), signer.context().head)?;
    }
    let files = vigo_stacks::format::live(&ready.source);
    let draft = Draft::write(&place, &files)?;
    let copies = Copies::write(&args.tree.stacks, &ready.before, &ready.changes)?;
    if !ready.changes.is_empty() && !everywhere.json {
        eprint!("{}", format::listed(&ready.changes, false));
    }
    let drafts = if args.retract {
        retract::changed(&client, &ready.source, args.reviewer.as_deref())?
    } else {
        Vec::new()
    };
    let done = publish(&client, &signer, &ready.source, &ready.compiled, &args.note)
        .map_err(|failure| copies.mention(failure))?;
    if !drafts.is_empty() {
        let told = retract::write(&args.tree.stacks, &drafts);
        match told {
            Ok(text) if !everywhere.json => eprint!("{text}"),
            Ok(_) => {}
            Err(failure) => failure.print(everywhere.json, false),
        }
    }
    // From here on it is published, whatever happens to the copy beside the tree.
    let kept = draft.place(&Note::of(signer.context().spanner, done.at, &files));
    let show = Show::new(everywhere);
    if !args.wait {
        let body = report(&done, Value::Null);
        show.result(&body, || {
            said_done(&done) + "vigocli config publish --wait, or vigocli envoys list, shows who has it\n"
        })?;
        return kept;
    }
    if !show.json {
        show.text(&said_done(&done))?;
    }
    let seen = rollout::wait(&client, done.at.id, args.timeout)?;
    let body = report(&done, serde_json::to_value(&seen).unwrap_or(Value::Null));
    show.result(&body, || rollout::text(&show, &seen))?;
    kept?;
    rollout::judge(&seen, &publishes(&client)?)
}

fn report(done: &Done, rollout: Value) -> Value {
    json!({
        "epoch": done.at.epoch, "id": done.at.id.to_string(), "policies": done.size.0, "routes": done.size.1,
        "bytes": done.bytes, "rollout": rollout,
    })
}

fn said_done(done: &Done) -> String {
    format!(
        "published epoch {}: {} for {}\n",
        done.at.epoch,
        words::count(done.size.0, "policy", "policies"),
        words::count(done.size.1, "match block", "match blocks")
    )
}

fn live_place(args: &Publish) -> PathBuf {
    args.live.clone().unwrap_or_else(|| beside(&args.tree.stacks))
}

/// `.live` beside a tree.
pub fn beside(stacks: &Path) -> PathBuf {
    let absolute = reach::absolute(stacks);
    absolute.parent().map_or_else(|| PathBuf::from(".live"), |dir| dir.join(".live"))
}

/// A tree that may be published.
struct Ready {
    /// As it lies on the disk.
    before: SourceTree,
    /// As it is published.
    source: SourceTree,
    compiled: Compiled,
    /// What formatting changes in it.
    changes: Vec<Change>,
}

/// Checks the tree, formats it in memory and checks that again; nothing is written.
fn ready(everywhere: &Everywhere, args: &Publish) -> Result<Ready, Failure> {
    let source = tree::read(&args.tree.stacks)?;
    let (mut changes, mut doubts) = (Vec::new(), Vec::new());
    if !args.no_format {
        (changes, doubts) = format_tree(&source);
        // A file that cannot be read at all is told by the check itself.
        doubts.retain(|d| d.rule == rules::FORMAT_DOUBT);
    }
    let mut formatted = source.clone();
    for change in &changes {
        let put = formatted.replace(&change.path, change.text.clone().into_bytes());
        put.map_err(|bad| Failure::new(Exit::Config, bad.to_string()))?;
    }
    // What the formatter leaves alone is read once for both.
    let mut workshop = Workshop::new();
    let (compiled, mut diagnostics) = workshop.lint(&formatted);
    diagnostics.extend(doubts);
    let stays = args.dry_run || any_error(&diagnostics) || (args.strict && !diagnostics.is_empty());
    let before = if stays && !changes.is_empty() { workshop.lint(&source).1 } else { Vec::new() };
    if any_error(&before) || (!before.is_empty() && !any_error(&diagnostics)) {
        // The files stay as they are, so the places must be those of the files.
        said::print(everywhere, &before, &source);
    } else {
        said::print(everywhere, &diagnostics, &formatted);
    }
    said::judge(&diagnostics, args.strict, "nothing was published")?;
    let compiled = compiled
        .ok_or_else(|| Failure::new(Exit::Failed, "the tree came to nothing, and no error says why"))?;
    Ok(Ready { before: source, source: formatted, compiled, changes })
}

/// Refuses to publish over what somebody published since this machine last did.
fn nobody_between(client: &Client, note: Option<&Note>, head: Option<Epoch>) -> Result<(), Failure> {
    let (Some(note), Some(head)) = (note, head) else { return Ok(()) };
    if head.id == note.id || head.epoch < note.epoch {
        return Ok(());
    }
    let rows = publishes(client)?;
    let by = rows
        .iter()
        .find(|row| row.at.id == head.id)
        .map_or_else(|| format!("epoch {}", head.epoch), described);
    Err(stale(&by, &format!("this tree was last published as epoch {}", note.epoch)))
}

fn stale(by: &str, ours: &str) -> Failure {
    Failure::new(Exit::Stale, format!("{by}, and {ours}: publishing now would undo it")).hint(
        "take their changes into this tree (vigocli config publish --dry-run shows what would change), then publish with --force",
    )
}

/// Uploads, signs and hands over.
///
/// # Errors
/// [`Failure`]; if somebody else was faster, it says who.
pub fn publish(
    client: &Client,
    signer: &Signer,
    source: &SourceTree,
    compiled: &Compiled,
    note: &str,
) -> Result<Done, Failure> {
    let policies: Vec<Vec<u8>> = compiled.policies.iter().map(|p| p.to_bytes()).collect();
    let archive = source.to_archive();
    let total = policies.iter().map(Vec::len).sum::<usize>() + archive.len();
    let bar = show::progress("uploading", total as u64, true);
    let mut refs = Vec::new();
    for policy in policies {
        refs.push(upload(client, policy, &bar)?);
    }
    let table = RouteTable { version: 1, policies: refs, routes: routes(compiled) }.encode();
    let bytes = (total + table.len()) as u64;
    let table = upload(client, table, &bar)?;
    let source = upload(client, archive, &bar)?;
    bar.finish_and_clear();
    let epoch = signer.context().next_epoch;
    let signed = signer.publish(table, source, note)?;
    let id = reach::submit(client, &signed).map_err(|failure| who_was_faster(client, failure, epoch))?;
    let size = (compiled.policies.len(), compiled.routes.len());
    Ok(Done { at: Epoch { epoch, id }, size, bytes })
}

fn routes(compiled: &Compiled) -> Vec<Route> {
    let route = |r: &vigo_stacks::Route| Route {
        pattern: r.pattern.clone(),
        tags: r.tags.iter().cloned().collect(),
        policy: u32::try_from(r.policy).unwrap_or(u32::MAX),
        origin: r.origin.clone(),
    };
    compiled.routes.iter().map(route).collect()
}

fn upload(client: &Client, bytes: Vec<u8>, bar: &ProgressBar) -> Result<BlobRef, Failure> {
    let (expected, size) = (Hash::of(&bytes), bytes.len() as u64);
    let begin = bar.position();
    let moving = bar.clone();
    let blob = client.put_blob(Cursor::new(bytes), size, move |sent| moving.set_position(begin + sent))?;
    if blob.hash != expected {
        return Err(Failure::new(Exit::Failed, "the node kept something else than was sent")
            .hint("look at its disk and its log, then repeat the command"));
    }
    Ok(blob)
}

/// Adds who published, when the node says that our statement is based on something old.
fn who_was_faster(client: &Client, failure: Failure, epoch: u64) -> Failure {
    if !reach::is_stale(&failure) {
        return failure;
    }
    let rows = publishes(client).unwrap_or_default();
    let faster: Vec<&PublishRow> =
        rows.iter().filter(|r| r.at.epoch >= epoch && r.refused.is_none()).collect();
    match faster.iter().max_by_key(|r| r.at) {
        Some(row) => stale(&described(row), &format!("this would have been epoch {epoch} as well")),
        None => failure,
    }
}

/// The name of a publish for people.
pub fn named(at: Epoch) -> String {
    let id: String = at.id.to_string().chars().take(12).collect();
    format!("epoch {} ({})", at.epoch, escaped(&id))
}
