//! `vigocli key`: an operator's own key file, before and after the fleet knows it.
//!
//! Only the public key is ever printed. A file that is there is set aside, never overwritten. The fleet is asked if
//! a node answers; without one the file is shown all the same.

use std::path::Path;

use serde_json::{Value, json};
use vigo_base::text::escaped;
use vigo_base::{PublicKey, SecretKey};
use vigo_daemon::node::command::MemberRow;
use vigo_daemon::operator::keyfile;
use zeroize::Zeroizing;

use super::admit::in_words;
use super::spanner::{all, fill};
use crate::args::vigocli::{Key, NewKey};
use crate::args::{Everywhere, KeyArgs};
use crate::exit::Failure;
use crate::machine::init::{protection, user_name};
use crate::reach;
use crate::show::Show;

/// A command of `vigocli key`.
///
/// # Errors
/// [`Failure`].
pub fn run(everywhere: &Everywhere, args: &Key) -> Result<(), Failure> {
    match args {
        Key::New(args) => new(everywhere, args),
        Key::Show { file } => show(everywhere, file.as_deref()),
    }
}

fn new(everywhere: &Everywhere, args: &NewKey) -> Result<(), Failure> {
    let path = reach::key_path(&args.key)?;
    let passphrase = protection(args.plain_key, args.key.passphrase_file.as_deref())?;
    let mut seed = Zeroizing::new([0; 32]);
    fill(&mut seed)?;
    let key = SecretKey::from_seed(*seed);
    let saved = keyfile::save(&path, &key, passphrase.as_ref().map(|p| p.as_str()))?;
    let line = admit_line(&key.public());
    let body = json!({
        "file": saved.path, "key": key.public().to_string(), "protected": saved.wrapped, "old": saved.old,
        "admit": line,
    });
    Show::new(everywhere).result(&body, || {
        let mut out = described(&saved.path, &key.public(), saved.wrapped);
        if let Some(old) = &saved.old {
            out += &format!(
                "The key that was there is now {}; what it may do has not changed.\n",
                escaped(&old.display().to_string())
            );
        }
        out + &format!("\nAn operator of the fleet admits it, after you told them the key:\n  {line}\n")
    })
}

fn admit_line(key: &PublicKey) -> String {
    let name = user_name().map_or_else(|_| "NAME".to_owned(), |name| name.to_string());
    format!("vigocli spanner admit {name} {key}")
}

fn described(path: &Path, key: &PublicKey, protected: bool) -> String {
    let how = if protected { "by a passphrase" } else { "NO: whoever reads the file has the key" };
    format!("key        {key}\nfile       {}\nprotected  {how}\n", escaped(&path.display().to_string()))
}

fn show(everywhere: &Everywhere, file: Option<&Path>) -> Result<(), Failure> {
    let args = KeyArgs { operator_key: file.map(Path::to_path_buf), passphrase_file: None };
    let path = reach::key_path(&args)?;
    let (key, protected) = keyfile::look(&path)?;
    let asked = reach::node(everywhere).and_then(|client| all(&client));
    let (member, why) = match &asked {
        Ok(rows) => (rows.iter().filter(|m| m.key == key).min_by_key(|m| m.state == "revoked"), None),
        Err(failure) => (None, Some(failure.what.as_str())),
    };
    let known = member.map_or(
        Value::Null,
        |m| json!({"name": m.name, "kind": m.kind, "state": m.state, "rights": m.rights, "why": m.why}),
    );
    let body = json!({
        "file": path, "key": key.to_string(), "protected": protected,
        "asked": why.is_none(), "why": why, "member": known,
    });
    Show::new(everywhere).result(&body, || {
        let fleet = match (member, why) {
            (Some(member), _) => standing(member),
            (None, Some(why)) => format!("not asked: {why}"),
            (None, None) => format!("does not know it; an operator admits it: {}", admit_line(&key)),
        };
        format!("{}fleet      {fleet}\n", described(&path, &key, protected))
    })
}

fn standing(m: &MemberRow) -> String {
    let name = escaped(&m.name);
    match (m.state.as_str(), m.why.as_deref().filter(|why| !why.is_empty())) {
        ("active", _) => format!("knows it as {name}, {}, with {}", m.kind, in_words(&m.rights)),
        (state, Some(why)) => format!("knows it as {name}, {}, {state}: {}", m.kind, escaped(why)),
        (state, None) => format!("knows it as {name}, {}, {state}", m.kind),
    }
}
