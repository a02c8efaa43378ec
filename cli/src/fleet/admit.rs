//! `vigocli spanner admit`: one operator makes another.
//!
//! What is given is looked at before anything is signed: an unknown right, one that the signer has not, a pattern
//! where none counts. What counts in the end is asked of the node, and said.

use std::collections::BTreeMap;

use serde_json::json;
use vigo_base::text::{escaped, nearest};
use vigo_base::{Hostname, PublicKey};
use vigo_daemon::node::command::{Context, MemberRow};
use vigo_daemon::node::spanner::right::Pattern;
use vigo_daemon::node::spanner::{Grant, Right};
use vigo_daemon::operator::keyfile;

use super::spanner::all;
use crate::args::Everywhere;
use crate::args::vigocli::{Admit, takes_pattern};
use crate::exit::{Exit, Failure};
use crate::machine::init::hostname;
use crate::reach;
use crate::show::{self, Show};

/// Runs the command.
///
/// # Errors
/// [`Failure`]; then nobody was admitted.
pub fn run(everywhere: &Everywhere, args: &Admit) -> Result<(), Failure> {
    let name = hostname(&args.name, "NAME")?;
    let key = args.public.parse::<PublicKey>().map_err(|e| {
        Failure::new(Exit::Usage, format!("PUBLIC-KEY: {}", escaped(&e.to_string())))
            .hint("it is what `vigocli key new` or `vigocli key show` prints for the new operator")
    })?;
    let asked = args.rights.iter().map(|text| right(text)).collect::<Result<Vec<_>, _>>()?;
    let client = reach::node(everywhere)?;
    free(&all(&client)?, &name, &key)?;
    let context = reach::context(&client, keyfile::public(&reach::key_path(&args.key)?)?)?;
    let grants = grants(asked, &context)?;
    if !args.yes {
        eprintln!(
            "{name} would be an operator with\n\n    key     {key}\n    rights  {}\n",
            written(&grants)
        );
        let question = "Is this the key that `vigocli key show` shows there, and may they do this?";
        if !show::confirm(question, "say --yes")? {
            return Err(Failure::new(Exit::Failed, "nobody was admitted"));
        }
    }
    let signer = reach::signer(&client, &args.key)?;
    let id = reach::submit(&client, &signer.admit(key, name.clone(), grants.clone())?)?;
    let rows = all(&client)?;
    let counts = rows.iter().find(|m| m.key == key && m.state == "active").map(|m| m.rights.clone());
    let counts = counts.unwrap_or_default();
    let dropped: Vec<&str> =
        grants.iter().map(|g| g.right.as_str()).filter(|r| !counts.iter().any(|c| c == r)).collect();
    if !dropped.is_empty() {
        let by = escaped(&context.operator);
        eprintln!("warning: {by} may not do all of that, so it does not count: {}", dropped.join(" "));
    }
    let body = json!({"name": name.as_str(), "key": key.to_string(), "rights": counts,
        "dropped": dropped, "statement": id.to_string()});
    Show::new(everywhere).result(&body, || format!("{name} is an operator now, with {}\n", in_words(&counts)))
}

/// Rights for people: all of them in a word.
pub fn in_words(rights: &[String]) -> String {
    if rights.len() == Right::ALL.len() { "all rights".to_owned() } else { rights.join(" ") }
}

/// A right of the command line, with the pattern behind its colon.
fn right(text: &str) -> Result<(Right, Option<Pattern>), Failure> {
    let (name, pattern) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
    let right = name.parse::<Right>().map_err(|_| {
        let names = Right::ALL.map(Right::as_str);
        let hint = match nearest(name, names) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("the rights are {}", names.join(", ")),
        };
        Failure::new(Exit::Usage, format!("--right: there is no right {}", escaped(name))).hint(hint)
    })?;
    let pattern = pattern.map(str::parse::<Pattern>).transpose().map_err(|e| {
        Failure::new(Exit::Usage, format!("--right: {e}"))
            .hint("write it like invite:web* or invite.bolt:bolt2")
    })?;
    match pattern {
        Some(pattern) if pattern != Pattern::any() && !takes_pattern(right) => {
            let what =
                format!("--right: {right} counts for the whole fleet or not at all, not for {pattern}");
            Err(Failure::new(Exit::Usage, what).hint(format!("write --right {right}, or leave it out")))
        }
        pattern => Ok((right, pattern)),
    }
}

/// What is given: what was asked for, or all that the signer has.
fn grants(asked: Vec<(Right, Option<Pattern>)>, context: &Context) -> Result<Vec<Grant>, Failure> {
    let own: Vec<Right> = context.rights.iter().filter_map(|r| r.parse().ok()).collect();
    if asked.is_empty() {
        return Ok(own.into_iter().map(Grant::everywhere).collect());
    }
    let mut all: BTreeMap<Right, Vec<Pattern>> = BTreeMap::new();
    for (right, pattern) in asked {
        if !own.contains(&right) {
            let by = escaped(&context.operator);
            return Err(Failure::new(
                Exit::Denied,
                format!("{by} has not the right {right} and cannot give it"),
            )
            .hint(format!("{by} has {}; ask an operator who has it", in_words(&context.rights))));
        }
        all.entry(right).or_default().push(pattern.unwrap_or_else(Pattern::any));
    }
    Ok(all.into_iter().map(|(right, scope)| Grant { right, scope }).collect())
}

fn written(grants: &[Grant]) -> String {
    let everywhere = |g: &Grant| g.scope.contains(&Pattern::any());
    if grants.len() == Right::ALL.len() && grants.iter().all(everywhere) {
        return "all rights".to_owned();
    }
    let one = |g: &Grant| match everywhere(g) {
        true => vec![g.right.to_string()],
        false => g.scope.iter().map(|p| format!("{}:{p}", g.right)).collect(),
    };
    grants.iter().flat_map(one).collect::<Vec<_>>().join(" ")
}

/// Whether the name and the key can be a new operator's.
fn free(members: &[MemberRow], name: &Hostname, key: &PublicKey) -> Result<(), Failure> {
    let same_key = members.iter().filter(|m| m.key == *key).min_by_key(|m| m.state == "revoked");
    if let Some(m) = same_key {
        let who = format!("{} {}", m.kind, escaped(&m.name));
        return Err(match m.state.as_str() {
            "revoked" => {
                Failure::new(Exit::Denied, format!("this is the key of the {who}, which was revoked"))
                    .hint("a revoked key never returns; the person makes another: vigocli key new")
            }
            _ => Failure::new(Exit::Stale, format!("this is the key of the {who} already"))
                .hint("vigocli spanner members lists all; another key: vigocli key new"),
        });
    }
    match members.iter().find(|m| m.name == name.as_str() && m.state != "revoked") {
        Some(m) => {
            Err(Failure::new(Exit::Usage, format!("{name} is the name of the {} with another key", m.kind))
                .hint("choose another name, so that nobody is taken for somebody else"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_read_with_their_patterns() {
        let web: Pattern = "web*".parse().unwrap();
        assert_eq!(right("invite:web*").unwrap(), (Right::Invite, Some(web.clone())));
        assert_eq!(right("config.publish:*").unwrap().0, Right::ConfigPublish);
        assert_eq!(right("config.publsh").unwrap_err().hint.unwrap(), "did you mean config.publish?");
        assert!(right("frobnicate").unwrap_err().hint.unwrap().contains("admit.operator, invite,"));
        assert!(right("invite:we b").unwrap_err().what.contains("is no pattern"));
        let failure = right("revoke:web*").unwrap_err();
        assert!(failure.what.contains("for the whole fleet or not at all, not for web*"), "{}", failure.what);
        let given = [Grant { right: Right::Invite, scope: vec![web] }, Grant::everywhere(Right::Revoke)];
        assert_eq!(written(&given), "invite:web* revoke");
    }
}
