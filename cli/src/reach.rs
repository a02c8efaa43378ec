//! Which node is meant, and the way to it: the socket, an operator's key, statements signed and handed over.
//!
//! A socket is looked for in this order: `--socket`, `--state`, `$VIGO_SOCKET`, `/etc/vigo/node.yaml`, the default.
//! Nothing here keeps a key longer than a command runs.

use std::path::{Path, PathBuf};

use vigo_base::text::escaped;
use vigo_base::{Hash, PublicKey, SecretKey};
use vigo_daemon::client::blocking::Client;
use vigo_daemon::node::command::{Command, Context, Reply};
use vigo_daemon::nodeconf::{Flag, NodeConf};
use vigo_daemon::operator::keyfile::{self, KeyFileError};
use vigo_daemon::operator::{CannotSign, Signed, Signer};

use crate::args::{Everywhere, KeyArgs};
use crate::exit::{Exit, Failure};
use crate::show;

/// The node's socket.
pub fn socket(everywhere: &Everywhere) -> PathBuf {
    if let Some(path) = &everywhere.socket {
        return path.clone();
    }
    if everywhere.state.is_none()
        && let Some(path) = std::env::var_os("VIGO_SOCKET").filter(|v| !v.is_empty())
    {
        return path.into();
    }
    conf(everywhere).map(|conf| conf.socket).unwrap_or_else(|| NodeConf::default().socket)
}

/// What `node.yaml` and `--state` say, as far as it can be read.
fn conf(everywhere: &Everywhere) -> Option<NodeConf> {
    let flags = state_flag(everywhere);
    NodeConf::load(None, &flags).or_else(|_| NodeConf::parse("options", "", &flags)).ok()
}

/// `--state` as a flag over `node.yaml`.
pub fn state_flag(everywhere: &Everywhere) -> Vec<Flag> {
    let value = everywhere.state.as_ref().map(|dir| absolute(dir).display().to_string());
    value.into_iter().map(|value| Flag { key: "state", values: vec![value] }).collect()
}

/// A path from the root, so that it means the same to a node that runs elsewhere.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// A client of the node.
///
/// # Errors
/// [`Failure`] if nobody answers.
pub fn node(everywhere: &Everywhere) -> Result<Client, Failure> {
    Ok(Client::connect(&socket(everywhere))?)
}

/// An answer of another kind than the question.
pub fn strange(asked: &str) -> Failure {
    Failure::new(Exit::Failed, format!("the node's answer to {asked} makes no sense"))
        .hint("vigo and the node may be of different versions: update and restart the node")
}

/// Calls the node and takes the reply that was asked for.
macro_rules! call {
    ($client:expr, $command:expr, $pattern:pat => $value:expr) => {{
        let command = $command;
        match $client.call(&command)? {
            $pattern => Ok::<_, $crate::exit::Failure>($value),
            _ => Err($crate::reach::strange("a command")),
        }
    }};
}
pub(crate) use call;

/// Where the operator's key is.
///
/// # Errors
/// [`Failure`] if nobody knows.
pub fn key_path(args: &KeyArgs) -> Result<PathBuf, Failure> {
    if let Some(path) = &args.operator_key {
        return Ok(path.clone());
    }
    match std::env::var_os("VIGO_OPERATOR_KEY").filter(|v| !v.is_empty()) {
        Some(path) => Ok(path.into()),
        None => Ok(keyfile::default_path()?),
    }
}

/// A signer: the operator's key, and what the node knows of it.
///
/// # Errors
/// [`Failure`] if there is no key, it does not open, or the node does not know it.
pub fn signer(client: &Client, args: &KeyArgs) -> Result<Signer, Failure> {
    let path = key_path(args)?;
    // Whether the fleet knows the key is asked first: no passphrase is typed for nothing.
    let context = context(client, keyfile::public(&path)?)?;
    Ok(Signer::new(open_key(&path, args.passphrase_file.as_deref())?, context))
}

/// What the node says that an operator must know to sign.
///
/// # Errors
/// [`Failure`] if the node does not know the key.
pub fn context(client: &Client, key: PublicKey) -> Result<Context, Failure> {
    call!(client, Command::Context { key }, Reply::Context(context) => *context)
}

/// The operator's key in a file; its passphrase is asked for if it is not in another file.
///
/// # Errors
/// [`Failure`] if it does not open.
pub fn open_key(path: &Path, passphrase_file: Option<&Path>) -> Result<SecretKey, Failure> {
    let from_file = passphrase_file.map(show::passphrase_of).transpose()?;
    let mut trouble = None;
    let key = keyfile::load(path, &mut |attempt| match &from_file {
        Some(passphrase) => (attempt == 1).then(|| passphrase.clone()),
        None => {
            let again = if attempt > 1 { "That was wrong. " } else { "" };
            let asked = show::secret(
                &format!("{again}Passphrase of {}", escaped(&path.display().to_string())),
                "give --passphrase-file FILE, or run it on a terminal",
            );
            asked.map_err(|failure| trouble = Some(failure)).ok()
        }
    });
    match (key, trouble) {
        (Err(_), Some(failure)) => Err(failure),
        (key, _) => Ok(key?),
    }
}

/// Hands a statement to the node.
///
/// # Errors
/// [`Failure`] if it is not taken.
pub fn submit(client: &Client, signed: &Signed) -> Result<Hash, Failure> {
    call!(client, signed.command(), Reply::Submitted { id } => id)
}

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Failure {
        let exit = match &error {
            KeyFileError::Io { path, doing, source } => return Failure::io(doing, path, source),
            KeyFileError::NoHome => Exit::Usage,
            KeyFileError::Missing { .. } => Exit::NotFound,
            _ => Exit::Denied,
        };
        let text = escaped(&error.to_string());
        if let KeyFileError::Bad { .. } = error {
            return Failure::new(exit, text)
                .hint("type it again; another key: --key FILE, or $VIGO_OPERATOR_KEY");
        }
        split(exit, &text)
    }
}

impl From<CannotSign> for Failure {
    fn from(error: CannotSign) -> Failure {
        let exit = match &error {
            CannotSign::Right { .. } => Exit::Denied,
            CannotSign::NoSuch { .. } => Exit::NotFound,
            CannotSign::NoBolts => Exit::Unavailable,
            _ => Exit::Usage,
        };
        split(exit, &error.to_string())
    }
}

/// A message of a library that holds what to do behind its last colon or semicolon.
pub fn split(exit: Exit, text: &str) -> Failure {
    let place = text.rfind(": ").max(text.rfind("; ")).filter(|at| *at > 8);
    match place {
        Some(at) => Failure::new(exit, &text[..at]).hint(&text[at + 2..]),
        None => Failure::new(exit, text),
    }
}

/// Whether somebody else was faster.
pub fn is_stale(failure: &Failure) -> bool {
    failure.exit == Exit::Stale
}
