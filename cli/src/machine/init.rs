//! `vigo init`: found a fleet, or bring one back that lost its bolts.
//!
//! The recovery words are printed once, here, and are nowhere else afterwards; they never go through a log. What
//! to do next stands at the end, as lines to type.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::json;
use vigo_base::Hostname;
use vigo_base::text::escaped;
use vigo_daemon::authority::{Authority, AuthorityError};
use vigo_daemon::process::StartError;
use vigo_daemon::setup::{self, Made, OperatorKey, RestoredBy, SetupError};
use vigo_daemon::state::StateError;
use zeroize::Zeroizing;

use super::install::system;
use super::service::{Service, anchored, refused};
use super::starter;
use crate::args::Everywhere;
use crate::args::vigo::Init;
use crate::exit::{Exit, Failure};
use crate::reach;
use crate::show::{self, Show};

/// Words of the recovery key in a line of print.
const WORDS_A_LINE: usize = 6;

/// Bytes of the recovery words, numbers and line ends included.
const WORDS_BYTES: u64 = 4096;

/// Where `vigocli config publish` looks for the tree.
const STACKS: &str = "/srv/vigo/stacks";

/// Runs the command.
///
/// # Errors
/// [`Failure`]; then this machine belongs to no fleet still.
pub fn run(everywhere: &Everywhere, args: &Init) -> Result<(), Failure> {
    let name = hostname(&args.name, "--name")?;
    let state = state_of(everywhere);
    let service = Service::installed(everywhere, &state);
    let key_path = reach::key_path(&args.key)?;
    let made = match &args.restore {
        None => {
            let init = setup::Init {
                state: &state,
                name: name.clone(),
                fleet: label(&args.fleet)?,
                operator_name: operator_name(args)?,
                operator: new_key(args, &key_path)?,
            };
            working("making the keys", || setup::init(init)).map_err(|e| refused(e, everywhere))?
        }
        Some(file) => restore(everywhere, args, &state, name.clone(), file, &key_path)?,
    };
    let starter = starter(args, service.is_some(), &name);
    // The words exist nowhere else: they are shown before anything can go wrong.
    tell(everywhere, args, &made, &state, starter.as_ref().ok().and_then(Option::as_deref))?;
    starter?;
    anchored(&state, args.applier_state.as_deref(), service.as_ref())?;
    if let Some(service) = &service {
        service.prepare()?;
        service.start()?;
    }
    let show = Show::new(everywhere);
    if show.json { Ok(()) } else { show.text(&next(&state, service.is_some())) }
}

/// Writes the starter tree where one is wanted. Says where, if it did.
fn starter(args: &Init, installed: bool, bolt: &Hostname) -> Result<Option<PathBuf>, Failure> {
    let dir = match &args.stacks {
        Some(dir) => reach::absolute(dir),
        None if installed && !args.no_stacks && args.restore.is_none() => STACKS.into(),
        None => return Ok(None),
    };
    Ok(starter::write(&dir, bolt)?.then_some(dir))
}

/// What to type next.
fn next(state: &Path, runs: bool) -> String {
    let sudo = if runs { system::sudo() } else { "" };
    let option = state_option(state);
    let mut out =
        String::from(if runs { "\nThe node runs, and starts at boot.\n\nNext:\n" } else { "\nNext:\n" });
    if !runs {
        out += &format!("  vigo node{option}                             start it\n");
    }
    out + &format!("  {sudo}vigocli spanner invite --name web01{option}   a token for the first envoy\n")
}

fn restore(
    everywhere: &Everywhere,
    args: &Init,
    state: &Path,
    name: Hostname,
    file: &Path,
    key_path: &Path,
) -> Result<Made, Failure> {
    let authority = Authority::load(file)?;
    let by = if args.recovery {
        let words = recovery_words()?;
        let operator = new_key(args, key_path)?;
        RestoredBy::Recovery { words, operator_name: operator_name(args)?, operator }
    } else {
        RestoredBy::Operator(reach::open_key(key_path, args.key.passphrase_file.as_deref())?)
    };
    let made = working("restoring the fleet", || setup::restore(state, name, &authority, by));
    made.map_err(|e| refused(e, everywhere))
}

/// The words: asked for on a terminal, else from standard input. They are never an argument, which others could see.
fn recovery_words() -> Result<Zeroizing<String>, Failure> {
    if show::can_ask() {
        return show::secret("The 24 recovery words", "give them on standard input");
    }
    let mut text = Zeroizing::new(String::with_capacity(WORDS_BYTES as usize));
    let read = std::io::stdin().take(WORDS_BYTES).read_to_string(&mut text);
    read.map_err(|e| Failure::io("read the words from", "standard input".as_ref(), &e))?;
    Ok(text)
}

fn working<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let bar = show::spinner(what);
    let done = work();
    bar.finish_and_clear();
    done
}

fn tell(
    everywhere: &Everywhere,
    args: &Init,
    made: &Made,
    state: &Path,
    starter: Option<&Path>,
) -> Result<(), Failure> {
    let show = Show::new(everywhere);
    let words = made.words.as_ref();
    let operator = made.operator.as_ref();
    if show.json {
        let body = Zeroizing::new(
            json!({
                "spanner": made.spanner.to_string(),
                "node": made.node.to_string(),
                "state": state,
                "recovery_words": words.map(|w| w.as_str()),
                "operator_key": operator.map(|saved| &saved.path),
                "stacks": starter,
            })
            .to_string(),
        );
        return show.text(&body);
    }
    let mut out = Zeroizing::new(String::new());
    let verb = if args.restore.is_some() {
        "is back; this machine is its new bolt"
    } else {
        "is founded; this machine is its first bolt"
    };
    out.push_str(&format!("The fleet {} {verb} {}.\n", made.spanner, escaped(&args.name)));
    if let Some(saved) = operator {
        let how = if saved.wrapped {
            "protected by your passphrase"
        } else {
            "NOT protected: whoever reads it is the operator"
        };
        out.push_str(&format!(
            "The operator's key is {} ({how}).\n",
            escaped(&saved.path.display().to_string())
        ));
        if let Some(old) = &saved.old {
            out.push_str(&format!(
                "The key that was there is now {}.\n",
                escaped(&old.display().to_string())
            ));
        }
    }
    if let Some(dir) = starter {
        out.push_str(&format!(
            "A starter tree is in {}; `vigocli config publish --wait` makes it so.\n",
            escaped(&dir.display().to_string())
        ));
    }
    if let Some(words) = words {
        out.push_str("\nThe recovery key, on no disk and shown only now. Write these 24 words on paper, with their numbers:\n\n");
        for (i, word) in words.split(' ').enumerate() {
            let end = if (i + 1) % WORDS_A_LINE == 0 { "\n" } else { "" };
            out.push_str(&format!("{:>4} {word:<10}{end}", i + 1));
        }
        out.push_str(
            "\nWith them the fleet is brought back when all operators' keys are lost. Keep the paper where no machine is.\n",
        );
    }
    show.text(&out)
}

/// ` --state DIR`, where it is not the usual one.
pub fn state_option(state: &Path) -> String {
    if state == Path::new(vigo_daemon::nodeconf::STATE) {
        String::new()
    } else {
        format!(" --state {}", escaped(&state.display().to_string()))
    }
}

/// The state directory that is meant.
pub fn state_of(everywhere: &Everywhere) -> PathBuf {
    let flags = reach::state_flag(everywhere);
    let conf = vigo_daemon::nodeconf::NodeConf::load(None, &flags);
    match (conf, &everywhere.state) {
        (Ok(conf), _) => conf.state,
        (Err(_), Some(state)) => reach::absolute(state),
        (Err(_), None) => vigo_daemon::nodeconf::STATE.into(),
    }
}

/// A name in the fleet.
///
/// # Errors
/// [`Failure`] with what a name may be.
pub fn hostname(text: &str, option: &str) -> Result<Hostname, Failure> {
    text.parse().map_err(|e: vigo_base::BadName| {
        Failure::new(Exit::Usage, format!("{option}: {e}"))
            .hint("a name is written like bolt1 or web01.example.com")
    })
}

fn label(text: &str) -> Result<String, Failure> {
    if text.is_empty() || text.chars().count() > 60 || text.chars().any(char::is_control) {
        return Err(Failure::new(Exit::Usage, "--fleet: a label has 1 to 60 printable characters"));
    }
    Ok(text.to_owned())
}

/// The operator's name: given, or the user's.
fn operator_name(args: &Init) -> Result<Hostname, Failure> {
    if let Some(name) = &args.operator {
        return hostname(name, "--operator");
    }
    user_name()
}

/// Your user name, as a name in the fleet.
///
/// # Errors
/// [`Failure`] if it is none.
pub fn user_name() -> Result<Hostname, Failure> {
    let env = |name| std::env::var(name).ok().filter(|v: &String| !v.is_empty());
    let user = env("SUDO_USER")
        .or_else(|| env("USER"))
        .or_else(|| env("LOGNAME"))
        .unwrap_or_else(|| "operator".into());
    let clean: String =
        user.to_ascii_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    hostname(clean.trim_matches('-'), "--operator (from your user name)")
}

fn new_key(args: &Init, path: &Path) -> Result<OperatorKey, Failure> {
    let file = args.key.passphrase_file.as_deref();
    let nobody = !args.plain_key && file.is_none() && !show::has_terminal();
    if nobody {
        eprintln!(
            "WARNING: there is no terminal to ask for a passphrase on, so the operator's key is NOT PROTECTED:\n\
             WARNING: whoever reads {} commands the fleet.\n\
             WARNING: give --passphrase-file FILE to protect it, or --plain-key to say that this is meant.",
            escaped(&path.display().to_string())
        );
    }
    let passphrase = protection(args.plain_key || nobody, file)?;
    Ok(OperatorKey::New { path: path.to_path_buf(), passphrase })
}

/// The passphrase of a new key: none, in a file, or asked for twice.
///
/// # Errors
/// [`Failure`] if there is none to be had.
pub fn protection(plain: bool, file: Option<&Path>) -> Result<Option<Zeroizing<String>>, Failure> {
    match (file, plain) {
        (_, true) => Ok(None),
        (Some(file), _) => show::passphrase_of(file).map(Some),
        (None, false) => asked_twice().map(Some),
    }
}

fn asked_twice() -> Result<Zeroizing<String>, Failure> {
    let instead = "give --passphrase-file FILE, or --plain-key for a key without protection";
    let first = show::secret("A passphrase for the operator's key", instead)?;
    if first.is_empty() {
        return Err(Failure::new(Exit::Usage, "an empty passphrase protects nothing").hint(instead));
    }
    let second = show::secret("The same again", instead)?;
    if first != second {
        return Err(Failure::new(Exit::Usage, "the two passphrases differ")
            .hint("repeat the command; nothing was made"));
    }
    Ok(first)
}

impl From<AuthorityError> for Failure {
    fn from(error: AuthorityError) -> Failure {
        match &error {
            AuthorityError::Io { doing, path, source } => Failure::io(doing, path, source),
            _ => reach::split(Exit::Usage, &escaped(&error.to_string())),
        }
    }
}

impl From<SetupError> for Failure {
    fn from(error: SetupError) -> Failure {
        let text = escaped(&error.to_string());
        let exit = match error {
            SetupError::Key(key) => return key.into(),
            SetupError::Start(start) => return start.into(),
            SetupError::Refused { why, .. } => return turned_down(&text, &why),
            SetupError::GivenUp { admitted } => return given_up(admitted.as_deref()),
            SetupError::Member { .. } | SetupError::OtherFleet { .. } => Exit::Usage,
            SetupError::State(StateError::Locked { .. }) | SetupError::TimedOut { .. } => Exit::Unavailable,
            SetupError::Words(_) => Exit::Denied,
            _ => Exit::Failed,
        };
        reach::split(exit, &text)
    }
}

/// The person here said no to the six words.
fn given_up(admitted: Option<&str>) -> Failure {
    let what = "the words were not confirmed; nothing was joined";
    let hint = match admitted {
        Some(name) => format!(
            "an operator let a machine in meanwhile, whose key is gone: vigocli spanner revoke {}",
            escaped(name)
        ),
        None => "somebody may stand between: the operator turns the request down (vigocli spanner deny); use a token"
            .to_owned(),
    };
    Failure::new(Exit::Denied, what).hint(hint)
}

/// Somebody said no: a token that ran out is another thing than an operator's no.
fn turned_down(text: &str, why: &str) -> Failure {
    let over = ["spent", "expired", "uses"].iter().any(|word| why.contains(word));
    let (exit, hint) = if why.contains("try again") {
        (Exit::Unavailable, "wait a moment, and repeat the command")
    } else if over {
        (Exit::Stale, "ask for a new token: vigocli spanner invite")
    } else {
        (Exit::Denied, "ask an operator of the fleet; a token (vigocli spanner invite) needs no decision")
    };
    Failure::new(exit, text).hint(hint)
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Failure {
        let exit = match &error {
            StartError::Boot(_) | StartError::NoRoot { .. } | StartError::RootUnmade { .. } => Exit::Usage,
            StartError::State(StateError::Locked { .. }) => Exit::Unavailable,
            _ => Exit::Failed,
        };
        reach::split(exit, &escaped(&error.to_string()))
    }
}
