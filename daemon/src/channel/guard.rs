//! Who of the strangers at the port gets in: counts and times, no identities.
//!
//! A stranger holds one permit from its first packet until it is admitted or gone. It never decides by key.
//!
//! Invariants: no more permits exist than the limits say, in all and per source; an address that nobody proved to own
//! (spoofed packets) takes at most half of them, and so does a source that wasted a place in the last minute. When
//! all are taken, a source that did not gets the place of whoever has idled longest: honest strangers need a moment,
//! so places held by slow ones keep nobody out.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Time that an honest stranger needs at most to be admitted, on a bad line: afterwards its place may be taken.
const GRACE: Duration = Duration::from_secs(2);
/// How long it is remembered that a source wasted a place.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Sources of which that is remembered; beyond it the oldest is forgotten.
const WASTERS: usize = 1024;

/// The permits for strangers of one channel.
#[derive(Debug)]
pub(crate) struct Guard {
    total: usize,
    per_source: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    next: u64,
    /// By age.
    places: BTreeMap<u64, Place>,
    sources: BTreeMap<IpAddr, usize>,
    /// Until when it is remembered.
    wasters: BTreeMap<IpAddr, Instant>,
}

#[derive(Debug)]
struct Place {
    source: IpAddr,
    since: Instant,
    /// Whether somebody is deciding about it, so that it waits for good reason.
    waits: bool,
    /// Whether it can receive at its address.
    proven: bool,
    lost: Arc<Lost>,
}

/// Tells a stranger that its place was given to another.
#[derive(Debug, Default)]
struct Lost {
    yes: AtomicBool,
    told: Notify,
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
    id: u64,
    lost: Arc<Lost>,
}

/// Ends when the place it was made of is given to another.
#[derive(Debug, Clone)]
pub(crate) struct Loss(Arc<Lost>);

impl Loss {
    /// Waits for it; for ever if it does not come.
    pub(crate) async fn comes(&self) {
        loop {
            let told = self.0.told.notified();
            if self.0.yes.load(Ordering::Acquire) {
                return;
            }
            told.await;
        }
    }
}

impl Permit {
    /// When this place is given to another.
    pub(crate) fn loss(&self) -> Loss {
        Loss(self.lost.clone())
    }

    /// The handshake is done: whoever holds this can receive at its address.
    pub(crate) fn prove(&self) {
        if let Some(place) = self.guard.lock().places.get_mut(&self.id) {
            place.proven = true;
        }
    }

    /// Somebody is deciding about it: it keeps its place meanwhile.
    pub(crate) fn wait(&self) {
        if let Some(place) = self.guard.lock().places.get_mut(&self.id) {
            place.waits = true;
        }
    }
}

impl Guard {
    /// Permits for `total` strangers, `per_source` from one address.
    pub(crate) fn new(total: usize, per_source: usize) -> Arc<Guard> {
        Arc::new(Guard { total, per_source, held: Mutex::default() })
    }

    /// Judges an attempt from `address`; `proven` says that it can receive there.
    pub(crate) fn judge(self: &Arc<Guard>, address: IpAddr, proven: bool) -> Verdict {
        self.judge_at(address, proven, Instant::now())
    }

    fn judge_at(self: &Arc<Guard>, address: IpAddr, proven: bool, now: Instant) -> Verdict {
        let source = source_of(address);
        let mut held = self.lock();
        let mine = held.sources.get(&source).copied().unwrap_or(0);
        let crowded = held.places.len() >= self.total / 2;
        if !proven && (crowded || mine >= self.per_source / 2) {
            return Verdict::Retry;
        }
        if mine >= self.per_source || (crowded && held.wasters.get(&source).is_some_and(|until| *until > now))
        {
            return Verdict::Full;
        }
        if held.places.len() >= self.total {
            let idle = |place: &Place| !place.waits && now.saturating_duration_since(place.since) >= GRACE;
            let Some(oldest) = held.places.iter().find(|(_, place)| idle(place)).map(|(id, _)| *id) else {
                return Verdict::Full;
            };
            if let Some(place) = held.leave(oldest, now) {
                place.lost.yes.store(true, Ordering::Release);
                place.lost.told.notify_waiters();
            }
        }
        let (id, lost) = (held.next, Arc::new(Lost::default()));
        held.next += 1;
        held.places.insert(id, Place { source, since: now, waits: false, proven, lost: lost.clone() });
        *held.sources.entry(source).or_default() += 1;
        Verdict::Enter(Permit { guard: self.clone(), id, lost })
    }

    /// Permits held now.
    pub(crate) fn held(&self) -> usize {
        self.lock().places.len()
    }

    /// A stranger was admitted: it wasted nothing, however long it took.
    pub(crate) fn admitted(&self, permit: Permit) {
        permit.wait();
        drop(permit);
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Frees a place, if it was not given to another before. A place that idled for long was wasted by its source,
    /// unless somebody else may have sent in its name.
    fn leave(&mut self, id: u64, now: Instant) -> Option<Place> {
        let place = self.places.remove(&id)?;
        if let Some(mine) = self.sources.get_mut(&place.source) {
            *mine -= 1;
            if *mine == 0 {
                self.sources.remove(&place.source);
            }
        }
        if place.proven && !place.waits && now.saturating_duration_since(place.since) >= GRACE {
            if self.wasters.len() >= WASTERS && !self.wasters.contains_key(&place.source) {
                self.wasters.retain(|_, until| *until > now);
                let first = self.wasters.iter().min_by_key(|(_, until)| **until).map(|(source, _)| *source);
                if let Some(first) = first.filter(|_| self.wasters.len() >= WASTERS) {
                    self.wasters.remove(&first);
                }
            }
            self.wasters.insert(place.source, now + REMEMBERED);
        }
        Some(place)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.guard.lock().leave(self.id, Instant::now());
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

    #[test]
    fn a_place_that_idles_is_given_to_a_source_that_wasted_none() {
        let guard = Guard::new(4, 4);
        let (began, at) = (Instant::now(), |n: u8| ip(&format!("10.0.0.{n}")));
        let judge = |n, seconds| guard.judge_at(at(n), true, began + Duration::from_secs(seconds));
        let slow: Vec<Permit> = (1..=4)
            .map(|n| match judge(n, 0) {
                Verdict::Enter(permit) => permit,
                other => panic!("{other:?}"),
            })
            .collect();
        slow[0].wait();
        assert!(matches!(judge(5, 1), Verdict::Full), "they may still be honest");
        let Verdict::Enter(fresh) = judge(5, 3) else { panic!("no place") };
        assert_eq!(guard.held(), 4);
        let lost = |permit: &Permit| permit.lost.yes.load(Ordering::Relaxed);
        assert_eq!(
            slow.iter().map(lost).collect::<Vec<_>>(),
            [false, true, false, false],
            "the oldest that idles"
        );
        assert!(matches!(judge(2, 4), Verdict::Full), "whoever wasted a place has half of them");
        assert!(matches!(judge(2, 100), Verdict::Enter(_)), "and is forgiven");
        // Nothing is freed twice.
        drop((slow, fresh));
        assert_eq!((guard.held(), guard.lock().sources.len()), (0, 0));
    }

    #[test]
    fn only_who_can_receive_at_an_address_is_remembered_for_it() {
        let guard = Guard::new(4, 4);
        let (now, late) = (Instant::now(), Instant::now() + GRACE);
        for (address, proven, admitted) in
            [("10.0.0.1", false, false), ("10.0.0.2", true, false), ("10.0.0.3", true, true)]
        {
            let Verdict::Enter(permit) = guard.judge_at(ip(address), proven, now) else { panic!("no place") };
            if admitted {
                permit.wait();
            }
            guard.lock().leave(permit.id, late);
        }
        assert_eq!(guard.lock().wasters.keys().copied().collect::<Vec<_>>(), [ip("10.0.0.2")]);
        for n in 0..2 * WASTERS {
            let address = ip(&format!("10.1.{}.{}", n / 256, n % 256));
            let Verdict::Enter(permit) = guard.judge_at(address, true, now) else { panic!("no place") };
            guard.lock().leave(permit.id, late);
        }
        assert_eq!(guard.lock().wasters.len(), WASTERS);
    }
}
