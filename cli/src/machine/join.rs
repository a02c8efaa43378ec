//! `vigo join`: with a token, or by asking an operator, at an address or wherever a bolt is found.
//!
//! Who asks is shown six words, and confirms that the operator sees the same: whoever is joined to a fleet obeys
//! it. A token is taken from the command line or from standard input, and never printed.

use std::io::Read;
use std::time::Duration;

use serde_json::json;
use vigo_base::text::escaped;
use vigo_base::{Hostname, SpannerId};
use vigo_daemon::node::io::FoundFleet;
use vigo_daemon::node::spanner::{NameRule, Token};
use vigo_daemon::node::swarm::beacon::Choice;
use vigo_daemon::nodeconf::NodeConf;
use vigo_daemon::setup::{
    Asking, Discovering, Joined, News, join_by_asking, join_by_discovering, join_by_token,
};
use vigo_daemon::state::StateDir;

use super::init::{hostname, state_of, state_option};
use super::install::system;
use super::service::{Service, anchored, refused};
use crate::args::Everywhere;
use crate::args::vigo::Join;
use crate::exit::{Exit, Failure};
use crate::reach;
use crate::show::{self, Show};

/// Bytes of a token.
const TOKEN_BYTES: u64 = 16 * 1024;
/// How long an operator has for a decision, at least, in seconds.
const DECISION: u64 = 3600;
/// The version that peers are told.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs the command.
///
/// # Errors
/// [`Failure`]; then this machine belongs to no fleet still.
pub fn run(everywhere: &Everywhere, args: &Join) -> Result<(), Failure> {
    let state = state_of(everywhere);
    let show = Show::new(everywhere);
    let service = Service::installed(everywhere, &state);
    let joined = match (&args.token, &args.address) {
        (Some(text), _) => by_token(everywhere, args, text)?,
        (None, Some(address)) => by_asking(everywhere, args, address)?,
        (None, None) if args.discover => by_discovering(everywhere, args)?,
        (None, None) => {
            return Err(Failure::new(Exit::Usage, "say how: a TOKEN, --address HOST, or --discover"));
        }
    };
    let (name, fleet) = (escaped(&joined.name), escaped(&joined.spanner));
    let anchored = anchored(&state, args.applier_state.as_deref(), service.as_ref());
    let start = |service: &Service| service.prepare().and_then(|()| service.start());
    let started = anchored.and_then(|()| service.as_ref().map_or(Ok(()), start));
    let body = json!({"name": joined.name, "spanner": joined.spanner, "state": state});
    show.result(&body, || {
        let option = state_option(&state);
        let next = match (&service, &started) {
            (None, _) => format!(
                "\nNext:\n  vigo node{option}      start it\n  vigo status{option}    see how it is\n"
            ),
            (Some(_), Ok(())) => {
                format!(
                    "The node runs, and starts at boot.\n\nNext:\n  {}vigo status    see how it is\n",
                    system::sudo()
                )
            }
            (Some(_), Err(_)) => String::new(),
        };
        format!("This machine is {name} of the fleet {fleet}: it has joined.\n{next}")
    })?;
    started
}

fn by_token(everywhere: &Everywhere, args: &Join, text: &str) -> Result<Joined, Failure> {
    let text = if text == "-" { from_stdin()? } else { text.to_owned() };
    let token: Token = text
        .parse()
        .map_err(|e: vigo_daemon::node::spanner::BadToken| reach::split(Exit::Usage, &e.to_string()))?;
    let name = match (&args.name, &token.name) {
        (Some(name), _) => hostname(name, "--name")?,
        (None, NameRule::Exact(name)) => name.clone(),
        (None, NameRule::Pattern(_)) => own_name()?,
    };
    if !token.name.fits(&name) {
        let what = format!("the token is for the name {}, and this machine would be {name}", token.name);
        return Err(
            Failure::new(Exit::Usage, what).hint("choose another with --name, or ask for another token")
        );
    }
    let bar = show::spinner("joining");
    let patience = Duration::from_secs(args.wait.clamp(1, 3600));
    let done = join_by_token(&state_of(everywhere), token, name, VERSION, patience, &mut |news| {
        if let News::Clock(expired) = news {
            bar.suspend(|| eprintln!("warning: {expired}"));
        }
    });
    bar.finish_and_clear();
    done.map_err(|e| refused(e, everywhere))
}

/// What everybody needs who asks without a token.
fn wish(everywhere: &Everywhere, args: &Join) -> Result<(Hostname, Option<SpannerId>), Failure> {
    let name = match &args.name {
        Some(name) => hostname(name, "--name")?,
        None => own_name()?,
    };
    let spanner = args.spanner.as_deref().map(str::parse::<SpannerId>).transpose().map_err(|e| {
        Failure::new(Exit::Usage, format!("--spanner: {e}"))
            .hint("it is what `vigo status` on a member shows")
    })?;
    // Nobody should be asked for nothing: whether the directory can be used is looked at first.
    drop(
        StateDir::open(&state_of(everywhere))
            .map_err(|e| reach::split(Exit::Failed, &escaped(&e.to_string())))?,
    );
    if spanner.is_none() && !show::can_ask() {
        return Err(Failure::new(Exit::Usage, "somebody must compare six words, and there is no terminal")
            .hint("name the fleet with --spanner ID, or use a token"));
    }
    Ok((name, spanner))
}

fn by_asking(everywhere: &Everywhere, args: &Join, address: &str) -> Result<Joined, Failure> {
    let (name, spanner) = wish(everywhere, args)?;
    let with_port = if address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        address.to_owned()
    } else {
        format!("{address}:{}", vigo_daemon::nodeconf::PORT)
    };
    let ask = Asking { addresses: vec![with_port], name, bolt: args.bolt, spanner };
    let patience = Duration::from_secs(args.wait.max(DECISION));
    let bar = show::spinner("asking");
    let done = join_by_asking(&state_of(everywhere), ask, VERSION, patience, &mut |news| match news {
        News::Pending { spanner: fleet, words } => bar.suspend(|| compare(fleet, words, spanner.is_some())),
        News::Clock(_) | News::Found(_) => true,
    });
    bar.finish_and_clear();
    done.map_err(|e| refused(e, everywhere))
}

fn by_discovering(everywhere: &Everywhere, args: &Join) -> Result<Joined, Failure> {
    let (name, spanner) = wish(everywhere, args)?;
    let patience = Duration::from_secs(args.wait.max(DECISION));
    // node.yaml may name the interfaces; whoever says --discover wants it on, whatever else stands there.
    let conf = NodeConf::load(None, &[]).unwrap_or_default();
    let beacon = if conf.beacon == Choice::Off { Choice::Auto } else { conf.beacon };
    let wish = Discovering { name, bolt: args.bolt, spanner, beacon, port: conf.beacon_port };
    let bar = show::spinner("looking for a fleet on this network");
    let done = join_by_discovering(&state_of(everywhere), wish, VERSION, patience, &mut |news| match news {
        News::Found(fleets) => {
            bar.suspend(|| found(fleets));
            bar.set_message("asking");
            true
        }
        News::Pending { spanner: fleet, words } => bar.suspend(|| compare(fleet, words, spanner.is_some())),
        News::Clock(_) => true,
    });
    bar.finish_and_clear();
    done.map_err(|e| refused(e, everywhere))
}

/// The fleets that were found. What they call themselves proves nothing; the six words do.
fn found(fleets: &[FoundFleet]) {
    eprintln!("Found on this network:");
    for fleet in fleets {
        let bolts: Vec<String> = fleet.bolts.iter().map(|at| escaped(at)).collect();
        eprintln!("    {}  {}  {}", escaped(&fleet.spanner), escaped(&fleet.label), bolts.join(" "));
    }
}

/// Shows the six words, and asks whether the operator sees the same. If not, the request is given up.
fn compare(fleet: &str, words: &str, known: bool) -> bool {
    eprintln!("The fleet {} answers. Six words, the same on the operator's screen:\n", escaped(fleet));
    eprintln!("    {}\n", escaped(words));
    eprintln!("The operator sees them with `vigocli spanner requests` and says `vigocli spanner approve`.");
    if known {
        return true;
    }
    let question =
        "Whoever approves becomes root on this machine. Does the operator read out the same words?";
    show::confirm(question, "use --spanner ID, or a token").unwrap_or(false)
}

fn from_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().take(TOKEN_BYTES).read_to_string(&mut text);
    read.map_err(|e| Failure::io("read the token from", "standard input".as_ref(), &e))?;
    Ok(text)
}

/// This machine's host name, as a name in the fleet.
fn own_name() -> Result<Hostname, Failure> {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_string_lossy().to_ascii_lowercase();
    name.parse().map_err(|_| {
        let what = format!("this machine's host name, {}, is no name for a fleet", escaped(&name));
        Failure::new(Exit::Usage, what).hint("choose one with --name")
    })
}
