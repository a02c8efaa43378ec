//! Interfaces coming and going.
//!
//! `if-watch` tells that an address came or went, but neither of which interface nor when one goes down; so it only
//! wakes, and the kernel is asked. Where it tells nothing the kernel is asked every few seconds.

use std::sync::Weak;
use std::time::Duration;

use futures::StreamExt;
use if_watch::tokio::IfWatcher;
use vigo_node::io::Input;
use vigo_node::swarm::beacon::{Choice, Interface};

use super::{Shared, interfaces};

/// How often the kernel is asked anyway.
const POLL: Duration = Duration::from_secs(5);
/// Changes seldom come alone.
const SETTLE: Duration = Duration::from_millis(100);

/// Watches until the sockets' owner is gone.
pub(super) async fn watch(shared: Weak<Shared>, choice: Choice) {
    let mut watcher = IfWatcher::new().ok();
    let mut known: Option<Vec<Interface>> = None;
    loop {
        let Some(shared) = shared.upgrade() else { return };
        let usable = match interfaces::list(&choice) {
            Ok(found) => {
                missing(&shared, &choice, &found);
                shared.interfaces(found)
            }
            Err(error) => {
                shared.warn_once(format!(
                    "the network interfaces cannot be listed: {error}; this node finds others by address only"
                ));
                Vec::new()
            }
        };
        if known.as_ref() != Some(&usable) {
            if known.is_none() && usable.is_empty() {
                shared.warn_once(
                    "no network interface takes multicast now: this node finds others by address only".into(),
                );
            }
            let names: Vec<&str> = usable.iter().map(|i| i.name.as_str()).collect();
            tracing::debug!(?names, "beacons are used on these interfaces");
            known = Some(usable.clone());
            if !shared.driver.give_async(Input::Interfaces(usable)).await {
                return;
            }
        }
        drop(shared);
        wait(&mut watcher).await;
    }
}

/// Until something changed, or it is time to look anyway.
async fn wait(watcher: &mut Option<IfWatcher>) {
    let Some(watching) = watcher else { return tokio::time::sleep(POLL).await };
    let broken = tokio::select! {
        event = watching.next() => !matches!(event, Some(Ok(_))),
        () = tokio::time::sleep(POLL) => return,
    };
    if broken {
        *watcher = None;
    }
    tokio::time::sleep(SETTLE).await;
}

fn missing(shared: &Shared, choice: &Choice, found: &[Interface]) {
    let Choice::Only(names) = choice else { return };
    for name in names.iter().filter(|name| !found.iter().any(|i| i.name == **name)) {
        shared.warn_once(format!(
            "no interface {name} is up with an address (`beacon:` of node.yaml names it); it is used once it is"
        ));
    }
}
