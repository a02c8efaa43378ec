//! `vigocli spanner`: who belongs.
//!
//! What needs an operator is signed here and handed to the node, which judges it again. A token is printed once, on
//! standard output, and kept nowhere.

use serde_json::json;
use vigo_base::PublicKey;
use vigo_base::text::escaped;
use vigo_daemon::authority::Authority;
use vigo_daemon::client::blocking::Client;
use vigo_daemon::node::command::{Command, MemberRow, Reply, RequestRow};
use vigo_daemon::node::spanner::{NameRule, NodeKind, Token};
use vigo_daemon::operator::{Wanted, member};
use zeroize::Zeroizing;

use super::admit;
use crate::args::vigocli::{Approve, Invite, Revoke, Spanner};
use crate::args::{Everywhere, KeyArgs};
use crate::exit::{Exit, Failure};
use crate::machine::init::hostname;
use crate::machine::state::now;
use crate::reach::{self, call};
use crate::show::{self, Show};
use crate::words;

/// A command of `vigocli spanner`.
///
/// # Errors
/// [`Failure`].
pub fn run(everywhere: &Everywhere, args: &Spanner) -> Result<(), Failure> {
    match args {
        Spanner::Invite(args) => invite(everywhere, args),
        Spanner::Requests => requests(everywhere),
        Spanner::Approve(args) => approve(everywhere, args),
        Spanner::Deny { who } => deny(everywhere, who),
        Spanner::Admit(args) => admit::run(everywhere, args),
        Spanner::Members => members(everywhere),
        Spanner::Revoke(args) => revoke(everywhere, args),
        Spanner::Export { file } => export(everywhere, file),
    }
}

fn invite(everywhere: &Everywhere, args: &Invite) -> Result<(), Failure> {
    let expires = words::duration(&args.expires).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("--expires is {}", escaped(&args.expires)))
            .hint("write it like 30m, 1h or 7d")
    })?;
    let name = match (&args.name, &args.pattern) {
        (Some(name), _) => NameRule::Exact(hostname(name, "--name")?),
        (None, pattern) => {
            let text = pattern.as_deref().unwrap_or("*");
            NameRule::Pattern(text.parse().map_err(|e: vigo_daemon::node::spanner::right::BadPattern| {
                Failure::new(Exit::Usage, format!("--pattern: {e}"))
                    .hint("write it like web* or *.example.com")
            })?)
        }
    };
    let client = reach::node(everywhere)?;
    let kind = if args.bolt { NodeKind::Bolt } else { NodeKind::Envoy };
    let token = token(&client, &args.key, kind, name, args.uses, expires)?;
    let text = token.to_text();
    let show = Show::new(everywhere);
    if show.json {
        let body = json!({"token": text.as_str(), "kind": kind.to_string(), "name": token.name.to_string(),
            "uses": args.uses, "until": token.until.rfc3339()});
        return show.text(&Zeroizing::new(body.to_string()));
    }
    eprintln!(
        "For {} {kind} named {}, until {}. On that machine, with sudo:\n",
        if args.uses == 1 { "one".to_owned() } else { format!("up to {}", args.uses) },
        token.name,
        token.until.rfc3339()
    );
    show.text(&Zeroizing::new(format!("vigo join {}", text.as_str())))
}

/// Signs an invite, hands it to the node, and gives the token to carry. `expires` is in microseconds from now.
///
/// # Errors
/// [`Failure`] if the key does not open or the invite is not taken.
pub fn token(
    client: &Client,
    key: &KeyArgs,
    kind: NodeKind,
    name: NameRule,
    uses: u32,
    expires: u64,
) -> Result<Token, Failure> {
    let signer = reach::signer(client, key)?;
    let mut seed = Zeroizing::new([0; 32]);
    fill(&mut seed)?;
    let (signed, token) = signer.invite(Wanted { kind, name, uses, expires, seed })?;
    reach::submit(client, &signed)?;
    Ok(token)
}

/// Fresh random bytes from the system.
///
/// # Errors
/// [`Failure`] if it gives none.
pub fn fill(bytes: &mut [u8; 32]) -> Result<(), Failure> {
    use std::io::Read;
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(bytes));
    read.map_err(|e| Failure::io("draw randomness from", "/dev/urandom".as_ref(), &e))
}

fn waiting(client: &Client) -> Result<Vec<RequestRow>, Failure> {
    call!(client, Command::Requests, Reply::Requests(rows) => rows)
}

fn requests(everywhere: &Everywhere) -> Result<(), Failure> {
    let rows = waiting(&reach::node(everywhere)?)?;
    let show = Show::new(everywhere);
    show.result(&rows, || {
        if rows.is_empty() {
            return "nobody asks to join\n".into();
        }
        let row = |r: &RequestRow| {
            let kind = if r.bolt { "bolt" } else { "envoy" };
            vec![
                r.name.clone(),
                kind.into(),
                r.words.clone(),
                r.address.clone(),
                words::ago(now(), r.since),
                r.key.to_string(),
            ]
        };
        let rows: Vec<Vec<String>> = rows.iter().map(row).collect();
        show.table(&["name", "kind", "six words", "from", "since", "key"], &rows)
            + "\nCompare the six words with those on its screen, then: vigocli spanner approve NAME\n"
    })
}

/// The one request that is meant.
fn request<'a>(rows: &'a [RequestRow], who: &str) -> Result<&'a RequestRow, Failure> {
    let key = who.parse::<PublicKey>().ok();
    let found: Vec<&RequestRow> =
        rows.iter().filter(|r| key.map_or(r.name == who, |key| r.key == key)).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => {
            let near = vigo_base::text::nearest(who, rows.iter().map(|r| r.name.as_str()));
            let hint = match near {
                Some(near) => format!("did you mean {}?", escaped(near)),
                None => {
                    "vigocli spanner requests lists who asks; a request is known to the bolt that was asked"
                        .into()
                }
            };
            Err(Failure::new(Exit::NotFound, format!("{} does not ask to join here", escaped(who)))
                .hint(hint))
        }
        many => {
            let keys: Vec<String> = many.iter().map(|r| r.key.to_string()).collect();
            Err(Failure::new(
                Exit::Usage,
                format!("{} machines ask for the name {}", many.len(), escaped(who)),
            )
            .hint(format!("name one by its key: {}", keys.join(" or "))))
        }
    }
}

fn approve(everywhere: &Everywhere, args: &Approve) -> Result<(), Failure> {
    let client = reach::node(everywhere)?;
    let rows = waiting(&client)?;
    let asking = request(&rows, &args.who)?;
    let kind = if asking.bolt { NodeKind::Bolt } else { NodeKind::Envoy };
    let spaced = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    match &args.words {
        Some(words) if spaced(words) == spaced(&asking.words) => {}
        Some(_) => {
            let what = format!(
                "these are not the words of {}: here they are {}",
                escaped(&asking.name),
                escaped(&asking.words)
            );
            return Err(Failure::new(Exit::Denied, what)
                .hint("somebody may stand between: deny the request, and use a token"));
        }
        None => {
            eprintln!(
                "{} asks from {} to become {kind}.\n\n    {}\n",
                escaped(&asking.name),
                escaped(&asking.address),
                escaped(&asking.words)
            );
            if !show::confirm(
                "Does its screen show these six words?",
                "give them with --words, as its screen shows them",
            )? {
                return Err(Failure::new(Exit::Denied, "not approved")
                    .hint("vigocli spanner deny turns the request down"));
            }
        }
    }
    let name = match &args.name {
        Some(name) => hostname(name, "--name")?,
        None => hostname(&asking.name, "the name it asks for")?,
    };
    let signer = reach::signer(&client, &args.key)?;
    let id = reach::submit(&client, &signer.approve(asking.key, name.clone(), kind)?)?;
    let body = json!({"name": name.as_str(), "kind": kind.to_string(), "key": asking.key.to_string(), "statement": id.to_string()});
    Show::new(everywhere).result(&body, || format!("{name} is let in as {kind}\n"))
}

fn deny(everywhere: &Everywhere, who: &str) -> Result<(), Failure> {
    let client = reach::node(everywhere)?;
    let rows = waiting(&client)?;
    let asking = request(&rows, who)?;
    call!(client, Command::Deny { key: asking.key }, Reply::Denied => ())?;
    let body = json!({"denied": asking.name, "key": asking.key.to_string()});
    Show::new(everywhere).result(&body, || format!("{} is turned down\n", escaped(&asking.name)))
}

/// All members that the node knows.
///
/// # Errors
/// [`Failure`].
pub fn all(client: &Client) -> Result<Vec<MemberRow>, Failure> {
    call!(client, Command::Members, Reply::Members(rows) => rows)
}

fn members(everywhere: &Everywhere) -> Result<(), Failure> {
    let rows = all(&reach::node(everywhere)?)?;
    let show = Show::new(everywhere);
    show.result(&rows, || {
        let row = |m: &MemberRow| {
            let note = m.why.clone().unwrap_or_else(|| admit::in_words(&m.rights));
            vec![
                m.name.clone(),
                m.kind.clone(),
                m.state.clone(),
                m.depth.to_string(),
                m.key.to_string(),
                note,
            ]
        };
        show.table(
            &["name", "kind", "state", "depth", "key", "note"],
            &rows.iter().map(row).collect::<Vec<_>>(),
        )
    })
}

fn revoke(everywhere: &Everywhere, args: &Revoke) -> Result<(), Failure> {
    let client = reach::node(everywhere)?;
    let rows = all(&client)?;
    let who = member(&rows, &args.who)?;
    if who.state == "revoked" {
        return Err(Failure::new(Exit::Stale, format!("{} is revoked already", escaped(&who.name)))
            .hint("vigocli spanner members lists them"));
    }
    if !args.yes {
        let question = format!(
            "Never accept the key of {} {} again? It cannot be taken back.",
            who.kind,
            escaped(&who.name)
        );
        if !show::confirm(&question, "say --yes")? {
            return Err(Failure::new(Exit::Failed, "nothing was revoked"));
        }
    }
    let signer = reach::signer(&client, &args.key)?;
    let id = reach::submit(&client, &signer.revoke(&[who.key], &args.reason)?)?;
    let body = json!({"revoked": who.name, "kind": who.kind, "key": who.key.to_string(), "statement": id.to_string()});
    Show::new(everywhere).result(&body, || {
        format!(
            "{} {} is revoked: every member cuts it off as it hears of it\n",
            who.kind,
            escaped(&who.name)
        )
    })
}

fn export(everywhere: &Everywhere, file: &std::path::Path) -> Result<(), Failure> {
    let client = reach::node(everywhere)?;
    let (spanner, records) =
        call!(client, Command::Authority, Reply::Authority { spanner, records } => (spanner, records))?;
    let decoded: Option<Vec<Vec<u8>>> = records.iter().map(|r| bytes_of(r)).collect();
    let records = decoded.ok_or_else(|| reach::strange("spanner export"))?;
    let count = records.len();
    Authority { spanner, records }.save(file)?;
    let body = json!({"file": file, "spanner": spanner.to_string(), "records": count});
    Show::new(everywhere).result(&body, || {
        let count = words::count(count, "record", "records");
        format!("{count} of the fleet {spanner} are in {}\n", escaped(&file.display().to_string()))
    })
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let pair = |i: usize| digits.get(i..i + 2).and_then(|d| u8::from_str_radix(d, 16).ok());
    if digits.len() % 2 == 1 { None } else { (0..digits.len()).step_by(2).map(pair).collect() }
}

#[cfg(test)]
mod tests {
    use super::bytes_of;

    #[test]
    fn digits_become_bytes() {
        assert_eq!(bytes_of("00ff1a"), Some(vec![0, 255, 26]));
        assert_eq!([bytes_of("0"), bytes_of("zz"), bytes_of("äa")], [None, None, None]);
    }
}
