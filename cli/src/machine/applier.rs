//! `vigo applier`: runs the privileged part of this machine's node until SIGTERM.

use vigo_base::text::escaped;
use vigo_daemon::applier::program::{ApplierConf, ApplierError, run_applier};
use vigo_daemon::logging;
use vigo_daemon::nodeconf::{Flag, NodeConf};
use vigo_daemon::state::StateError;

use super::node::{end_with, path, wrong};
use crate::args::Everywhere;
use crate::args::vigo::Applier;
use crate::exit::{Exit, Failure};
use crate::reach;
use crate::show::Show;

/// Runs the command.
///
/// # Errors
/// [`Failure`] if the file is wrong or the applier cannot start.
pub fn run(everywhere: &Everywhere, args: &Applier) -> Result<(), Failure> {
    end_with(args.end_with_parent)?;
    let given = [
        ("applier.state", args.applier_state.as_ref().map(path)),
        ("applier.socket", args.applier_socket.as_ref().map(path)),
        ("applier.peer_user", args.peer_user.clone()),
        ("fs_root", args.fs_root.as_ref().map(path)),
        ("log.level", args.log_level.clone()),
        ("log.format", args.log_format.clone()),
    ];
    let flags: Vec<Flag> =
        given.into_iter().filter_map(|(key, v)| Some(Flag { key, values: vec![v?] })).collect();
    let conf = NodeConf::load(args.config.as_deref(), &flags).map_err(|bad| wrong(&bad))?;
    logging::init(conf.log_format, &conf.log_level)
        .map_err(|e| Failure::new(Exit::Usage, escaped(&e.to_string())))?;
    let show = Show::new(everywhere);
    let conf = ApplierConf {
        state: conf.applier_state,
        socket: conf.applier_socket,
        peer_user: conf.peer_user,
        fs_root: conf.fs_root,
    };
    run_applier(conf, |line| {
        // Whoever started it may have closed its output; the applier goes on.
        let _ = show.text(&escaped(line));
    })?;
    Ok(())
}

impl From<ApplierError> for Failure {
    fn from(error: ApplierError) -> Failure {
        use vigo_daemon::applier::anchor::AnchorError;
        let exit = match &error {
            ApplierError::NoUser { .. } | ApplierError::Anchor(AnchorError::None { .. }) => Exit::Usage,
            ApplierError::Anchor(AnchorError::State(StateError::Locked { .. })) => Exit::Unavailable,
            _ => Exit::Failed,
        };
        match error {
            ApplierError::Root(error) => error.into(),
            error => reach::split(exit, &escaped(&error.to_string())),
        }
    }
}
