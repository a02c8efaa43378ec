//! Between the peer channel and the driver: names become addresses, events become inputs.
//!
//! It holds the dials under way, so that the node hears of a dial under the name it gave; a name with several
//! addresses is tried address by address and fails once. It never blocks, and never loses an event: one that
//! the driver has no room for is given back to the channel, which stops reading from that peer and offers it
//! again. Answers to fetches go to the effects, not to the node.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::runtime;
use vigo_base::PublicKey;
use vigo_node::io::{AskId, Input};
use vigo_node::swarm::ids::ConnId;

use crate::channel::{Channel, ChannelEvent, DialError, Offer, Sink};
use crate::driver::{Handle, NotTaken};
use crate::effects::Effects;

/// Time for a name to be resolved.
const RESOLVE: Duration = Duration::from_secs(5);
/// Addresses tried of one name.
const TRIED: usize = 4;

/// A dial as the node asked for it.
#[derive(Debug, Clone)]
struct Dialing {
    /// `host:port`, as the node said it.
    said: String,
    /// Addresses of the name that were not tried yet.
    rest: VecDeque<SocketAddr>,
}

/// Dials under way, by what was dialed; of two alike the first is first.
type Dials = BTreeMap<(SocketAddr, Option<PublicKey>), VecDeque<Dialing>>;

/// The table of dials, and the way from events to inputs.
pub struct Network {
    driver: Handle,
    runtime: runtime::Handle,
    channel: OnceLock<Channel>,
    effects: OnceLock<Effects>,
    dials: Mutex<Dials>,
}

impl Network {
    /// Nothing connected. [`Network::connect`] must come before the driver runs.
    pub fn new(driver: Handle, runtime: runtime::Handle) -> Arc<Network> {
        let (channel, effects) = (OnceLock::new(), OnceLock::new());
        Arc::new(Network { driver, runtime, channel, effects, dials: Mutex::default() })
    }

    /// Tells it what the sink could not know when the channel was made.
    pub fn connect(&self, channel: Channel, effects: Effects) {
        let _ = self.channel.set(channel);
        let _ = self.effects.set(effects);
    }

    /// Where the channel's events go. It does not keep this table alive: the table holds the channel.
    pub fn sink(self: &Arc<Network>) -> Sink {
        let network = Arc::downgrade(self);
        Arc::new(move |event| match network.upgrade() {
            Some(network) => network.take(event),
            None => Offer::Gone,
        })
    }

    /// Dials `address`; the node hears of the outcome.
    pub fn dial(self: &Arc<Network>, address: String, expect: Option<PublicKey>) {
        if let Ok(one) = address.parse::<SocketAddr>() {
            return self.dial_next(Dialing { said: address, rest: [one].into() }, expect);
        }
        let network = self.clone();
        self.runtime.spawn(async move {
            let found = tokio::time::timeout(RESOLVE, tokio::net::lookup_host(address.as_str())).await;
            let found = found.map(|found| found.map(|all| all.take(TRIED).collect::<VecDeque<SocketAddr>>()));
            let why = match found {
                Ok(Ok(rest)) => {
                    if !rest.is_empty() {
                        return network.dial_next(Dialing { said: address, rest }, expect);
                    }
                    "the name has no address".to_string()
                }
                Ok(Err(error)) => format!("the name cannot be resolved: {error}"),
                Err(_) => format!("the name was not resolved within {} s", RESOLVE.as_secs()),
            };
            network.driver.give_async(Input::DialFailed { address, expect, why }).await;
        });
    }

    fn dial_next(&self, mut dialing: Dialing, expect: Option<PublicKey>) {
        let (Some(channel), Some(address)) = (self.channel.get(), dialing.rest.pop_front()) else { return };
        self.dials().entry((address, expect)).or_default().push_back(dialing);
        channel.dial(address, expect);
    }

    /// The dial that an event is about.
    fn dialing(&self, address: SocketAddr, key: Option<PublicKey>) -> Option<Dialing> {
        self.dials().get(&(address, key)).and_then(|queue| queue.front().cloned())
    }

    fn dialed(&self, address: SocketAddr, key: Option<PublicKey>) {
        let mut dials = self.dials();
        if let Some(queue) = dials.get_mut(&(address, key)) {
            queue.pop_front();
            if queue.is_empty() {
                dials.remove(&(address, key));
            }
        }
    }

    fn dials(&self) -> MutexGuard<'_, Dials> {
        self.dials.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, event: ChannelEvent) -> Offer {
        match event {
            ChannelEvent::Up { conn, key, dialed, address, exporter } => {
                self.up(conn, key, dialed, address, exporter)
            }
            ChannelEvent::DialFailed { address, key, why } => self.dial_failed(address, key, why),
            ChannelEvent::Frame { conn, bytes } => {
                let input = Input::Frame { conn: ConnId(conn.0), bytes };
                self.put(input, |input| match input {
                    Input::Frame { bytes, .. } => Some(ChannelEvent::Frame { conn, bytes }),
                    _ => None,
                })
            }
            ChannelEvent::Asked { conn, ask, bytes } => {
                let input = Input::Asked { conn: ConnId(conn.0), ask: AskId(ask.0), bytes };
                self.put(input, |input| match input {
                    Input::Asked { bytes, .. } => Some(ChannelEvent::Asked { conn, ask, bytes }),
                    _ => None,
                })
            }
            ChannelEvent::Down { conn, why } => {
                let input = Input::PeerDown { conn: ConnId(conn.0), why: why.to_string() };
                self.put(input, |_| Some(ChannelEvent::Down { conn, why }))
            }
            ChannelEvent::Fetched { op, result } => match self.effects.get() {
                None => Offer::Gone,
                Some(effects) => match effects.fetched(op, result) {
                    Ok(()) => Offer::Taken,
                    Err(result) => Offer::Full(ChannelEvent::Fetched { op, result }),
                },
            },
        }
    }

    fn up(
        &self,
        conn: crate::channel::ConnId,
        key: PublicKey,
        dialed: bool,
        address: SocketAddr,
        exporter: [u8; 32],
    ) -> Offer {
        let mut said = address.to_string();
        let mut asked = None;
        if dialed {
            // Under the name it was dialed by, with the key that was expected or with none.
            asked = [Some(key), None].into_iter().find_map(|k| self.dialing(address, k).map(|d| (k, d)));
        }
        if let Some((_, dialing)) = &asked {
            said.clone_from(&dialing.said);
        }
        let input = Input::PeerUp { conn: ConnId(conn.0), key, dialed, address: said, exporter };
        let offer = self.put(input, |_| Some(ChannelEvent::Up { conn, key, dialed, address, exporter }));
        if let (Offer::Taken, Some((expected, _))) = (&offer, asked) {
            self.dialed(address, expected);
        }
        offer
    }

    fn dial_failed(&self, address: SocketAddr, key: Option<PublicKey>, why: DialError) -> Offer {
        let dialing = self.dialing(address, key);
        let stopping = matches!(why, DialError::Stopping | DialError::WeAreBusy { .. });
        if let Some(dialing) = dialing.clone().filter(|d| !d.rest.is_empty() && !stopping) {
            self.dialed(address, key);
            self.dial_next(dialing, key);
            return Offer::Taken;
        }
        let said = dialing.map_or_else(|| address.to_string(), |d| d.said);
        let input = Input::DialFailed { address: said, expect: key, why: why.to_string() };
        let offer = self.put(input, |_| Some(ChannelEvent::DialFailed { address, key, why }));
        if matches!(offer, Offer::Taken) {
            self.dialed(address, key);
        }
        offer
    }

    /// Offers an input; `back` makes the event of it again.
    fn put(&self, input: Input, back: impl FnOnce(Input) -> Option<ChannelEvent>) -> Offer {
        match self.driver.offer(input) {
            Ok(()) => Offer::Taken,
            Err((_, NotTaken::Ended)) => Offer::Gone,
            Err((input, NotTaken::Full)) => back(input).map_or(Offer::Taken, Offer::Full),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Limits;
    use crate::driver::ear::{Ear, Nothing};
    use crate::driver::{Driver, Ending, clock::SteadyClock, queue};
    use std::net::Ipv6Addr;
    use std::sync::mpsc;
    use std::time::Instant;
    use vigo_base::{Outbox, SecretKey};

    #[test]
    fn a_dial_is_told_under_the_name_that_was_given() {
        let runtime = runtime::Runtime::new().unwrap();
        let (driver, inlet) = queue();
        let (ear, heard) = mpsc::channel();
        let driving = Driver::new(Ear(ear), Outbox::new(), Nothing, inlet, SteadyClock::start());
        let driving = std::thread::spawn(move || driving.run());
        let network = Network::new(driver.clone(), runtime.handle().clone());
        let bind = |seed, listen: &[SocketAddr], sink| {
            let key = SecretKey::from_seed([seed; 32]);
            Channel::bind(runtime.handle(), listen, &key, Limits::default(), sink)
        };
        // Whatever `localhost` is here, somebody answers there at once: no dial waits for its limit.
        let them = bind(1, &["127.0.0.1:0".parse().unwrap()], Arc::new(|_| Offer::Taken)).unwrap();
        let port = them.addresses()[0].port();
        let _six = bind(1, &[SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port)], Arc::new(|_| Offer::Taken));
        let us = bind(2, &[], network.sink()).unwrap();
        let _ = network.channel.set(us);
        let expect = Some(SecretKey::from_seed([1; 32]).public());
        let next = || heard.recv_timeout(Duration::from_secs(60)).unwrap();
        // The driver may be told a moment before the table is.
        let idle = || {
            let began = Instant::now();
            while !network.dials().is_empty() {
                assert!(began.elapsed() < Duration::from_secs(60), "under way still: {:?}", network.dials());
                std::thread::sleep(Duration::from_millis(1));
            }
        };

        network.dial(format!("localhost:{port}"), expect);
        let up = next();
        assert!(
            matches!(&up, Input::PeerUp { address, dialed: true, key, .. }
                if *address == format!("localhost:{port}") && Some(*key) == expect),
            "{up:?}"
        );
        idle();
        let other = Some(SecretKey::from_seed([3; 32]).public());
        for (address, expect, why) in [
            (format!("localhost:{port}"), other, "another key"),
            ("no-such-name.invalid:1".to_string(), None, "the name"),
            ("no port".to_string(), None, "the name"),
        ] {
            network.dial(address.clone(), expect);
            let failed = next();
            assert!(
                matches!(&failed, Input::DialFailed { address: found, expect: key, why: text }
                    if *found == address && *key == expect && text.contains(why)),
                "{address}: {failed:?}"
            );
        }
        idle();
        driver.stop();
        assert_eq!(driving.join().unwrap(), Ending::Stopped);
    }
}
