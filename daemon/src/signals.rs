//! SIGTERM and SIGINT for programs that have no runtime of their own: a flag that they set.
//!
//! It never ends the process and never prints. The second signal of a kind acts as if nobody listened, so that an
//! impatient Ctrl-C always ends a program.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// Sets `flag` at the first SIGTERM, SIGINT or SIGHUP; at the second the process ends with code 130.
///
/// # Errors
/// What the system says when it has no thread or signal to give.
pub fn set_on_end(flag: &Arc<AtomicBool>) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        let _context = runtime.enter();
        [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?]
    };
    let flag = Arc::clone(flag);
    std::thread::Builder::new().name("vigo-signals".into()).spawn(move || {
        runtime.block_on(async move {
            loop {
                let [term, int, hup] = &mut signals;
                tokio::select! {
                    _ = term.recv() => {}
                    _ = int.recv() => {}
                    _ = hup.recv() => {}
                }
                if flag.swap(true, Ordering::SeqCst) {
                    std::process::exit(130);
                }
            }
        });
    })?;
    Ok(())
}
