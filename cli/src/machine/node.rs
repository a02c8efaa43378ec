//! `vigo node` and `vigo peer`: run this machine's node until SIGTERM, as `node.yaml` and the options say.

use vigo_base::text::escaped;
use vigo_daemon::driver::Ending;
use vigo_daemon::logging;
use vigo_daemon::node::swarm::beacon::Choice;
use vigo_daemon::nodeconf::{Announce, BadConf, Flag, NodeConf};
use vigo_daemon::process::run_node;

use crate::args::Everywhere;
use crate::args::vigo::{Node, Peer, Runs};
use crate::exit::{Exit, Failure};
use crate::reach;
use crate::show::Show;

/// Runs `vigo node`.
///
/// # Errors
/// [`Failure`] if the file is wrong, the node cannot start, or it broke.
pub fn run(everywhere: &Everywhere, args: &Node) -> Result<(), Failure> {
    let root = [("fs_root", args.fs_root.as_ref().map(path))];
    start(everywhere, &args.runs, flags(everywhere, &args.runs, root), false)
}

/// Runs `vigo peer`.
///
/// # Errors
/// [`Failure`] if the file is wrong, the peer cannot start, or it broke.
pub fn peer(everywhere: &Everywhere, args: &Peer) -> Result<(), Failure> {
    let socket = [("applier.socket", args.applier_socket.as_ref().map(path))];
    start(everywhere, &args.runs, flags(everywhere, &args.runs, socket), true)
}

/// Ends this process with the one that started it.
///
/// # Errors
/// [`Failure`] if that is gone.
pub fn end_with(parent: Option<u32>) -> Result<(), Failure> {
    let Some(parent) = parent else { return Ok(()) };
    // Set from inside, so that no unsafe hook between fork and exec is needed.
    let set = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
    set.map_err(|e| Failure::new(Exit::Failed, format!("cannot follow the parent process: {e}")))?;
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if now != i32::try_from(parent).ok() {
        return Err(Failure::new(Exit::Failed, "the process that started this one is gone"));
    }
    Ok(())
}

fn start(everywhere: &Everywhere, args: &Runs, flags: Vec<Flag>, peer: bool) -> Result<(), Failure> {
    end_with(args.end_with_parent)?;
    let conf = NodeConf::load(args.config.as_deref(), &flags).map_err(|bad| wrong(&bad))?;
    if args.check {
        return Show::new(everywhere).text(&shown(&conf));
    }
    logging::init(conf.log_format, &conf.log_level)
        .map_err(|e| Failure::new(Exit::Usage, escaped(&e.to_string())))?;
    let show = Show::new(everywhere);
    let applier = peer.then(|| conf.applier_socket.clone());
    let ending = run_node(conf, env!("CARGO_PKG_VERSION"), args.trace.clone(), applier, |line| {
        // Whoever started the node may have closed its output; the node goes on.
        let _ = show.text(&escaped(line));
    })?;
    match ending {
        Ending::Stopped => Ok(()),
        Ending::Broken(trouble) | Ending::StoppedInTrouble(trouble) => {
            Err(Failure::new(Exit::Failed, escaped(&trouble.to_string()))
                .hint("see the log above; then start it again"))
        }
    }
}

/// A path as it means the same everywhere.
pub fn path(path: impl AsRef<std::path::Path>) -> String {
    reach::absolute(path.as_ref()).display().to_string()
}

/// The options as keys of the file, and one more.
fn flags(everywhere: &Everywhere, args: &Runs, more: [(&'static str, Option<String>); 1]) -> Vec<Flag> {
    let mut flags = reach::state_flag(everywhere);
    let mut one = |key, value: Option<String>| flags.extend(value.map(|v| Flag { key, values: vec![v] }));
    one("socket", everywhere.socket.as_ref().map(path));
    more.into_iter().for_each(|(key, value)| one(key, value));
    one("log.level", args.log_level.clone());
    one("log.format", args.log_format.clone());
    one("converge.interval", args.interval.clone());
    one("converge.splay", args.splay.clone());
    let lists = [
        ("listen", &args.listen),
        ("announce", &args.announce),
        ("peers", &args.peer),
        ("beacon", &args.beacon),
        ("gossip.listen", &args.gossip_listen),
    ];
    flags.extend(
        lists.into_iter().filter(|(_, v)| !v.is_empty()).map(|(key, v)| Flag { key, values: v.clone() }),
    );
    flags
}

/// Mistakes in `node.yaml` or the options.
pub fn wrong(bad: &[BadConf]) -> Failure {
    let lines: Vec<String> = bad
        .iter()
        .map(|b| match &b.hint {
            Some(hint) => format!("{}: {}\n  {}", escaped(&b.place), escaped(&b.what), escaped(hint)),
            None => format!("{}: {}", escaped(&b.place), escaped(&b.what)),
        })
        .collect();
    Failure::new(Exit::Usage, lines.join("\n")).hint("docs/operators.md lists every key of node.yaml")
}

fn shown(conf: &NodeConf) -> String {
    let list = |items: Vec<String>| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    let announce = match &conf.announce {
        Announce::Auto => "auto".to_owned(),
        Announce::These(addresses) => list(addresses.clone()),
    };
    let beacon = match &conf.beacon {
        Choice::Auto => "auto".to_owned(),
        Choice::Off => "off".to_owned(),
        Choice::Only(names) => format!("on {}", list(names.clone())),
    };
    let gossip = match &conf.gossip {
        None => "auto".to_owned(),
        Some(addresses) => list(addresses.iter().map(ToString::to_string).collect()),
    };
    let seconds = |n: Option<u64>| n.map_or("as the fleet's settings say".to_owned(), |n| format!("{n} s"));
    let rows = [
        ("file", conf.file.as_ref().map_or("none; defaults and options".into(), |f| f.display().to_string())),
        ("state", conf.state.display().to_string()),
        ("listen", list(conf.listen.iter().map(ToString::to_string).collect())),
        ("announce", announce),
        ("peers", list(conf.peers.iter().map(|(address, _)| address.clone()).collect())),
        ("beacon", beacon),
        ("gossip.listen", gossip),
        ("socket", conf.socket.display().to_string()),
        ("applier.socket", conf.applier_socket.display().to_string()),
        ("applier.state", conf.applier_state.display().to_string()),
        ("applier.peer_user", conf.peer_user.clone()),
        (
            "fs_root",
            conf.fs_root.as_ref().map_or("none; the whole machine".into(), |p| p.display().to_string()),
        ),
        ("log", format!("{}, {:?}", conf.log_level, conf.log_format).to_lowercase()),
        ("converge.interval", seconds(conf.interval)),
        ("converge.splay", seconds(conf.splay)),
    ];
    rows.iter().map(|(name, value)| format!("{name:<18} {}\n", escaped(value))).collect::<String>()
        + "all is well\n"
}
