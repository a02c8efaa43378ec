//! Beacons on the wire: one socket for each interface and family, and who stands behind them.
//!
//! A socket is bound to the group's address, joined to the group on its own interface only, and gets nothing else
//! (`IP_MULTICAST_ALL` is off), so a packet's interface is its socket's. What comes in passes an [`Ear`] and goes to
//! the node; what the node wants sent goes out with a TTL of 1, and comes back to other nodes of this machine. The
//! port is shared with the peer channel, which bound it alone before.
//!
//! It reads no packet beyond its first bytes and decides nothing. Invariant: a flood costs at most `READS` reads a
//! second and never fills the node's queue; a machine without multicast is told once, and goes on without.

mod interfaces;
mod socket;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime;
use tokio::task::JoinHandle;
use vigo_base::Time;
use vigo_node::io::Input;
use vigo_node::swarm::beacon::{Choice, Ear, Interface, PACKET_BYTES, Rates};

use crate::driver;
use socket::Open;

/// Packets read a second, over all sockets of one interface; what is more the kernel drops.
const READS: u64 = 20_000;
/// Packets read in one go.
const BATCH: u32 = 100;
/// How every beacon begins.
const MAGIC: &[u8] = b"VIGO";

/// The sockets of one node, or none.
#[derive(Clone)]
pub struct Beacons(Option<Arc<Shared>>);

struct Shared {
    driver: driver::Handle,
    runtime: runtime::Handle,
    port: u16,
    begun: Instant,
    ear: Mutex<Ear>,
    listening: Mutex<BTreeMap<Place, Listening>>,
    /// What was warned about already.
    told: Mutex<BTreeSet<String>>,
}

/// An interface's index and own address: a socket of its own.
type Place = (u32, IpAddr);

struct Listening {
    open: Arc<Open>,
    reader: JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Beacons {
    /// No sockets at all.
    pub fn none() -> Beacons {
        Beacons(None)
    }

    /// Opens sockets on the interfaces that `choice` takes, now and as they come and go, until the runtime ends. The
    /// node is told of them by [`Input::Interfaces`].
    pub fn start(runtime: &runtime::Handle, driver: &driver::Handle, choice: Choice, port: u16) -> Beacons {
        if choice == Choice::Off {
            return Beacons::none();
        }
        let shared = Arc::new(Shared {
            driver: driver.clone(),
            runtime: runtime.clone(),
            port,
            begun: Instant::now(),
            ear: Mutex::new(Ear::new(Rates::TAKEN, Time(0))),
            listening: Mutex::default(),
            told: Mutex::default(),
        });
        runtime.spawn(watch::watch(Arc::downgrade(&shared), choice));
        Beacons(Some(shared))
    }

    /// Sends a packet to the group. One that cannot be sent is lost, as any may be.
    pub fn send(&self, interface: u32, from: IpAddr, bytes: Vec<u8>) {
        let Some(shared) = &self.0 else { return };
        let open = lock(&shared.listening).get(&(interface, from)).map(|l| l.open.clone());
        let sent = open.map(|open| open.send(&bytes));
        if let Some(Err(error)) = sent {
            tracing::debug!(%error, interface, %from, "a beacon was not sent");
        }
    }
}

impl Shared {
    /// Takes what interfaces there are now; gives those on which the group can be heard.
    fn interfaces(self: &Arc<Shared>, found: Vec<Interface>) -> Vec<Interface> {
        let mut listening = lock(&self.listening);
        let wanted: BTreeSet<Place> = found
            .iter()
            .flat_map(|i| [i.v4(), i.v6()].into_iter().flatten().map(|ip| (i.index, ip)))
            .collect();
        listening.retain(|place, _| wanted.contains(place));
        let mut usable = Vec::new();
        for interface in found {
            let mut addresses = Vec::new();
            for from in [interface.v4(), interface.v6()].into_iter().flatten() {
                let place = (interface.index, from);
                if listening.contains_key(&place) {
                    addresses.push(from);
                    continue;
                }
                match self.listen(place) {
                    Ok(one) => {
                        listening.insert(place, one);
                        addresses.push(from);
                    }
                    Err(error) => self.warn_once(format!(
                        "beacons cannot be used on {} ({from}): {error}; this node is found by address there",
                        interface.name
                    )),
                }
            }
            if !addresses.is_empty() {
                usable.push(Interface { addresses, ..interface });
            }
        }
        usable
    }

    fn listen(self: &Arc<Shared>, place: Place) -> std::io::Result<Listening> {
        let _context = self.runtime.enter();
        let open = Arc::new(Open::new(place.0, place.1, self.port)?);
        let reader = self.runtime.spawn(read(Arc::downgrade(self), open.clone(), place.0));
        Ok(Listening { open, reader })
    }

    fn take(&self, interface: u32, source: SocketAddr, bytes: &[u8]) {
        if bytes.len() > PACKET_BYTES || !bytes.starts_with(MAGIC) {
            return;
        }
        let now = Time(u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX));
        if lock(&self.ear).hears(now, source.ip()) {
            // One that finds no room is lost, as any may be.
            let _ = self.driver.offer(Input::Beacon { interface, source, bytes: bytes.to_vec() });
        }
    }

    fn warn_once(&self, text: String) {
        if lock(&self.told).insert(text.clone()) {
            tracing::warn!("{text}");
        }
    }
}

/// Reads a socket, faster than anybody honest sends and no faster than [`READS`].
async fn read(shared: std::sync::Weak<Shared>, open: Arc<Open>, interface: u32) {
    let least = Duration::from_micros(1_000_000 * u64::from(BATCH) / READS);
    let mut buffer = [0; PACKET_BYTES + 1];
    loop {
        if open.socket.readable().await.is_err() {
            return;
        }
        let begun = Instant::now();
        let mut left = BATCH;
        while left > 0 {
            left -= 1;
            match open.socket.try_recv_from(&mut buffer) {
                Ok((length, source)) => match shared.upgrade() {
                    Some(shared) => shared.take(interface, source, &buffer[..length]),
                    None => return,
                },
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                // What the network said of an earlier packet; there may be more of it.
                Err(_) => {}
            }
        }
        if left == 0 {
            tokio::time::sleep(least.saturating_sub(begun.elapsed())).await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
