//! Who of the strangers at the port gets in: counts, no identities.
//!
//! A stranger holds one permit from its first packet until it is admitted or gone. It never decides by key.
//!
//! Invariant: no more permits exist than the limits say, in all and per source; an address that nobody proved
//! to own (spoofed packets) takes at most half of them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The permits for strangers of one channel.
#[derive(Debug)]
pub(crate) struct Guard {
    total: usize,
    per_source: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    total: usize,
    sources: BTreeMap<IpAddr, usize>,
}

/// What to do with a connection attempt.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Go on with the handshake, holding the permit.
    Enter(Permit),
    /// Make it prove its address first.
    Retry,
    /// No room.
    Full,
}

/// One stranger's place. Dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Permit {
    guard: Arc<Guard>,
    source: IpAddr,
}

impl Guard {
    /// Permits for `total` strangers, `per_source` from one address.
    pub(crate) fn new(total: usize, per_source: usize) -> Arc<Guard> {
        Arc::new(Guard { total, per_source, held: Mutex::default() })
    }

    /// Judges an attempt from `address`; `proven` says that it can receive there.
    pub(crate) fn judge(self: &Arc<Guard>, address: IpAddr, proven: bool) -> Verdict {
        let source = source_of(address);
        let mut held = self.lock();
        let mine = held.sources.get(&source).copied().unwrap_or(0);
        let busy = held.total >= self.total / 2 || mine >= self.per_source / 2;
        if !proven && busy {
            return Verdict::Retry;
        }
        if held.total >= self.total || mine >= self.per_source {
            return Verdict::Full;
        }
        held.total += 1;
        held.sources.insert(source, mine + 1);
        Verdict::Enter(Permit { guard: self.clone(), source })
    }

    /// Permits held now.
    pub(crate) fn held(&self) -> usize {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut held = self.guard.lock();
        held.total -= 1;
        if let Some(mine) = held.sources.get_mut(&self.source) {
            *mine -= 1;
            if *mine == 0 {
                held.sources.remove(&self.source);
            }
        }
    }
}

/// What counts as one source: an IPv4 address, or the /64 that an IPv6 host can fill alone.
fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn enter(guard: &Arc<Guard>, address: &str, proven: bool) -> Option<Permit> {
        match guard.judge(ip(address), proven) {
            Verdict::Enter(permit) => Some(permit),
            _ => None,
        }
    }

    #[test]
    fn unproven_addresses_take_at_most_half() {
        let guard = Guard::new(8, 8);
        let spoofed: Vec<_> = (0..20).filter_map(|i| enter(&guard, &format!("10.0.0.{i}"), false)).collect();
        assert_eq!((spoofed.len(), guard.held()), (4, 4));
        assert!(matches!(guard.judge(ip("10.0.0.9"), false), Verdict::Retry));
        let proven: Vec<_> = (0..20).filter_map(|i| enter(&guard, &format!("10.1.0.{i}"), true)).collect();
        assert_eq!((proven.len(), guard.held()), (4, 8));
        drop((spoofed, proven));
        assert_eq!(guard.held(), 0);
        assert!(guard.lock().sources.is_empty());
    }

    #[test]
    fn one_source_takes_only_its_share() {
        let guard = Guard::new(64, 4);
        let mine: Vec<_> = (0..9).filter_map(|_| enter(&guard, "10.0.0.1", true)).collect();
        assert_eq!(mine.len(), 4);
        assert!(matches!(guard.judge(ip("10.0.0.1"), true), Verdict::Full));
        assert!(enter(&guard, "10.0.0.2", false).is_some());
    }

    #[test]
    fn a_v6_network_is_one_source() {
        let guard = Guard::new(64, 2);
        let mine: Vec<_> = (1..9).filter_map(|i| enter(&guard, &format!("2001:db8::{i}"), true)).collect();
        assert_eq!(mine.len(), 2);
        assert!(enter(&guard, "2001:db8:0:1::1", true).is_some());
    }
}
