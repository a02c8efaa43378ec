//! What passes the gate, what does not, and what a hostile neighbour can cause at most.

use super::*;
use crate::peers::Kind;
use vigo_base::{Hash, SecretKey};

const NOW: Time = Time(secs(1_000_000));

fn fleet(name: &str) -> SpannerId {
    SpannerId(Hash::of(name.as_bytes()))
}

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed([n; 32])
}

fn here(address: &str, at: u64) -> Here {
    Here {
        spanner: fleet("ours"),
        kind: Kind::Bolt,
        address: address.parse().unwrap(),
        label: "home".into(),
        time: Time(at),
        nonce: 0,
        seeks: false,
        digests: Default::default(),
    }
}

fn from(ip: &str) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), 1531)
}

fn hear(gate: &mut Beacons, now: Time, source: &str, bytes: &[u8]) -> Result<Heard, Ignored> {
    gate.hear(now, &key(1).public(), Some(&fleet("ours")), 3, from(source), bytes)
}

#[test]
fn a_member_is_heard_with_the_scope_of_the_interface() {
    let mut gate = Beacons::new(NOW);
    let good = Packet::Here(here("10.0.0.2:4000", 5)).sign(&key(2));
    assert!(matches!(hear(&mut gate, NOW, "10.0.0.2", &good), Ok(Heard::Here(k, _)) if k == key(2).public()));
    let local = Packet::Here(here("[fe80::2]:1531", 5)).sign(&key(3));
    let Ok(Heard::Here(_, local)) = hear(&mut gate, NOW, "fe80::2", &local) else { panic!("not heard") };
    assert_eq!(local.address.to_string(), "[fe80::2%3]:1531");
}

#[test]
fn everything_else_is_passed_over_and_counted() {
    let mut gate = Beacons::new(NOW);
    let good = Packet::Here(here("10.0.0.2:1531", 5)).sign(&key(2));
    let other = Packet::Here(Here { spanner: fleet("theirs"), ..here("10.0.0.2:1531", 5) }).sign(&key(2));
    let own = Packet::Here(here("10.0.0.1:1531", 5)).sign(&key(1));
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    let cases = [
        ("10.0.0.9", &b"hello"[..], Ignored::Malformed),
        ("10.0.0.2", &other, Ignored::OtherFleet),
        ("10.0.0.1", &own, Ignored::Own),
        ("10.0.0.3", &good, Ignored::Spoofed),
        ("10.0.0.2", &forged, Ignored::Forged),
    ];
    for (source, bytes, why) in cases {
        assert_eq!(hear(&mut gate, NOW, source, bytes), Err(why));
    }
    // Whoever forges is not heard for a moment; then the honest one at that address is.
    let later = NOW.after(secs(1));
    assert!(hear(&mut gate, later, "10.0.0.2", &good).is_ok());
    assert_eq!(hear(&mut gate, later, "10.0.0.2", &good), Err(Ignored::Repeated));
    let (heard, ignored) = gate.counts();
    assert_eq!((heard, ignored.values().sum::<u64>()), (1, 6));
}

#[test]
fn a_probe_is_heard_for_any_fleet_or_for_ours() {
    let mut gate = Beacons::new(NOW);
    let probe = |spanner, n| Packet::Probe(Probe { spanner, time: Time(5), nonce: 0 }).sign(&key(n));
    assert!(matches!(hear(&mut gate, NOW, "10.0.0.5", &probe(None, 5)), Ok(Heard::Probe(..))));
    assert!(hear(&mut gate, NOW, "10.0.0.6", &probe(Some(fleet("ours")), 6)).is_ok());
    let theirs = probe(Some(fleet("theirs")), 7);
    assert_eq!(hear(&mut gate, NOW, "10.0.0.7", &theirs), Err(Ignored::OtherFleet));
}

#[test]
fn a_clock_that_is_wrong_by_decades_is_heard_and_one_that_goes_back_is_heard_again_later() {
    let mut gate = Beacons::new(NOW);
    let at = |time| Packet::Here(here("10.0.0.2:1531", time)).sign(&key(2));
    assert!(hear(&mut gate, NOW, "10.0.0.2", &at(7)).is_ok());
    assert!(hear(&mut gate, NOW, "10.0.0.2", &at(u64::MAX)).is_ok());
    assert_eq!(hear(&mut gate, NOW.after(secs(60)), "10.0.0.2", &at(8)), Err(Ignored::Repeated));
    assert!(hear(&mut gate, NOW.after(FORGET), "10.0.0.2", &at(9)).is_ok());
}

#[test]
fn a_victim_is_dialed_once_a_minute_whatever_is_heard() {
    let mut gate = Beacons::new(NOW);
    let victim = "10.0.0.66:1531".parse().unwrap();
    let mut dials = Vec::new();
    // Ten minutes, ten different keys a second, all of them naming the victim.
    for tick in 0..6_000u64 {
        let now = NOW.after(tick * secs(1) / 10);
        let stranger = SecretKey::from_seed(Hash::of(&tick.to_be_bytes()).0).public();
        if gate.may_dial(now, &stranger, victim) {
            dials.push(now);
        }
    }
    assert_eq!(dials.len(), 8);
    assert!(dials.windows(2).all(|two| two[1].since(two[0]) >= BETWEEN));
    // And one key at many addresses.
    let n = (0..200u32).filter(|n| {
        gate.may_dial(
            NOW.after(mins(20)),
            &key(7).public(),
            SocketAddr::new(IpAddr::from(n.to_be_bytes()), 1),
        )
    });
    assert_eq!(n.count(), 1);
}

#[test]
fn all_dials_together_and_those_to_one_host_are_bounded_and_so_is_memory() {
    let mut gate = Beacons::new(NOW);
    let stranger = |n: u32| SecretKey::from_seed(Hash::of(&n.to_be_bytes()).0).public();
    let ports = (1..100u16).filter(|p| {
        gate.may_dial(NOW, &stranger(u32::from(*p)), SocketAddr::new("10.0.0.66".parse().unwrap(), *p))
    });
    assert_eq!(ports.count(), HOST_DIALS);
    let hosts = (1_000..2_000u32)
        .filter(|n| gate.may_dial(NOW, &stranger(*n), SocketAddr::new(IpAddr::from(n.to_be_bytes()), 1)));
    assert_eq!(hosts.count(), DIALS - HOST_DIALS);
    for n in 0..3 * KEYS as u32 {
        gate.remember(NOW.after(u64::from(n)), Hash::of(&n.to_be_bytes()).0, (Time(1), 1));
    }
    assert!(gate.known.len() <= KEYS && gate.dials.len() <= DIALS);
}

#[test]
fn bent_bodies_with_right_signatures_are_read_or_refused_and_never_believed_beyond_their_source() {
    use vigo_base::{Dice, Domain};
    let mut dice = Dice::from_number(6);
    let mut gate = Beacons::new(NOW);
    let (mut taken, mut refused) = (0, 0);
    let good = Packet::Here(here("10.0.0.2:1531", 5)).sign(&key(2));
    let body = &good[..good.len() - 64];
    for n in 0..6_000u64 {
        let mut bent = body.to_vec();
        for _ in 0..=dice.below(3) {
            // Behind the fleet's id and the key, so that the signature can be made right again.
            let at = 80 + dice.below(bent.len() as u64 - 80) as usize;
            bent[at] = if dice.one_in(2) { bent[at] ^ (1 << dice.below(8)) } else { dice.bits() as u8 };
        }
        let signature = key(2).sign(Domain::Beacon, &fleet("ours"), &bent);
        bent.extend(signature.0);
        // Slowly enough that the bucket never is what refuses, and each after the last is forgotten.
        match hear(&mut gate, NOW.after(n * FORGET), "10.0.0.2", &bent) {
            Ok(Heard::Here(_, here)) => {
                assert_eq!(here.address.ip(), "10.0.0.2".parse::<IpAddr>().unwrap());
                taken += 1;
            }
            Ok(other) => panic!("{other:?}"),
            Err(why) => {
                assert!(!matches!(why, Ignored::TooMany | Ignored::Repeated), "{why:?}");
                refused += 1;
            }
        }
    }
    assert!(taken > 300 && refused > 300, "{taken} taken, {refused} refused");
}
