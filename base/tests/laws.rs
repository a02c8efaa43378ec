//! What holds for any input of the ground: one spelling of each value, clocks that only go on, dice within their bounds, and
//! targets that mean what a plain reading of them means.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use vigo_base::codec::{decode, encode};
use vigo_base::limits::STAMP_AHEAD_MICROS;
use vigo_base::target::glob_matches;
use vigo_base::text::{escaped, nearest};
use vigo_base::{
    Clock, Dice, Domain, Hash, Hostname, PublicKey, Rank, SecretKey, Signature, SpannerId, Stamp, Subject,
    Target, Time,
};

fn config() -> ProptestConfig {
    ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() }
}

/// The definition of a glob, without a thought for speed.
fn plainly(glob: &[char], text: &[char]) -> bool {
    match (glob.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) if plainly(rest, text) => true,
        (Some(('*', _)), Some((_, after))) => plainly(glob, after),
        (Some(('?', rest)), Some((_, after))) => plainly(rest, after),
        (Some((a, rest)), Some((b, after))) => a.eq_ignore_ascii_case(b) && plainly(rest, after),
        _ => false,
    }
}

fn chars(text: &str) -> Vec<char> {
    text.chars().collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_glob_matches_as_it_is_defined(glob in "[abAB.*?é]{0,8}", text in "[abAB.éE]{0,10}") {
        prop_assert_eq!(glob_matches(&glob, &text), plainly(&chars(&glob), &chars(&text)), "{} {}", glob, text);
        prop_assert!(glob_matches("*", &text) && glob_matches(&text.replace(['*', '?'], ""), &text));
        prop_assert_eq!(glob_matches(&glob, &text), glob_matches(&glob.to_ascii_uppercase(), &text.to_ascii_lowercase()));
        if glob_matches(&glob, &text) {
            let (wider, longer) = (format!("{glob}*"), format!("{text}more"));
            prop_assert!(glob_matches(&wider, &longer));
        }
    }

    #[test]
    fn a_target_is_read_as_it_is_written(text in "(tag:|os_family:|os.arch=)?[a-zA-Z0-9.*?-]{1,10}") {
        let Ok(target) = text.parse::<Target>() else { return Ok(()) };
        prop_assert_eq!(target.to_string().parse::<Target>(), Ok(target.clone()));
        let globs = [Rank::HostGlob, Rank::TagGlob].contains(&target.rank());
        prop_assert_eq!(globs, text.contains(['*', '?']) && !matches!(target, Target::Trait { .. }));
    }

    /// What a target says of a machine depends on that machine, and grows with its tags.
    #[test]
    fn a_target_means_machines_by_name_tags_and_traits(
        host in "[ab]{1,3}", glob in "[ab*?]{1,3}", tags in prop::collection::btree_set("[ab]{1,3}", 0..4), value in "[abAB]{1,2}",
    ) {
        let traits = BTreeMap::from([("os.arch".to_string(), value.clone())]);
        let subject = Subject { name: &host, tags: Some(&tags), traits: Some(&traits) };
        let matches = |text: String| text.parse::<Target>().unwrap().matches(&subject);
        prop_assert_eq!(matches(glob.clone()), glob_matches(&glob, &host));
        prop_assert_eq!(matches(format!("tag:{glob}")), tags.iter().any(|tag| glob_matches(&glob, tag)));
        let arch = format!("os.arch={}", value.to_ascii_uppercase());
        prop_assert!(matches(arch));
        prop_assert!(!matches("os.family=x".into()) && matches(host.to_ascii_uppercase()));
        let nothing = Subject { name: &host, ..Subject::default() };
        let tagged: Target = format!("tag:{glob}").parse().unwrap();
        prop_assert!(!tagged.matches(&nothing));
    }

    #[test]
    fn a_hostname_has_one_spelling(text in "[a-zA-Z0-9.-]{1,20}") {
        if let Ok(name) = text.parse::<Hostname>() {
            prop_assert_eq!(name.as_str(), text.to_ascii_lowercase());
            prop_assert_eq!(name.as_str().parse::<Hostname>(), Ok(name.clone()));
            prop_assert_eq!(decode::<Hostname>(&encode(&name), 300), Ok(name));
        }
    }

    #[test]
    fn any_bytes_decode_canonically_or_not_at_all(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
        type Shape = (u64, String, Vec<Option<bool>>);
        if let Ok(value) = decode::<Shape>(&bytes, 24) {
            prop_assert_eq!(encode(&value), bytes);
        }
    }

    #[test]
    fn any_value_survives_its_encoding(value: (u64, String, Vec<Option<bool>>), hash: [u8; 32], at: u64) {
        prop_assert_eq!(decode(&encode(&value), usize::MAX), Ok(value));
        let (hash, time) = (Hash(hash), Time(at));
        prop_assert_eq!(decode(&encode(&(hash, time)), 100), Ok((hash, time)));
        prop_assert_eq!(hash.to_string().parse(), Ok(hash));
    }

    #[test]
    fn a_signature_holds_for_what_was_signed(seed: [u8; 32], message in prop::collection::vec(any::<u8>(), 0..60), bit: u16, other in 0u8..9) {
        let (key, fleet) = (SecretKey::from_seed(seed), SpannerId(Hash::of(b"fleet")));
        let mut signature = key.sign(Domain::Record, &fleet, &message);
        let public = key.public();
        let verify = |key: &PublicKey, signature: &Signature| key.verify(Domain::Record, &fleet, &message, signature);
        prop_assert!(verify(&public, &signature).is_ok());
        prop_assert_eq!(public.to_string().parse(), Ok(public));
        prop_assert!(verify(&SecretKey::from_seed([other; 32]).public(), &signature).is_err() || seed == [other; 32]);
        signature.0[usize::from(bit) / 8 % 64] ^= 1 << (bit % 8);
        prop_assert!(verify(&public, &signature).is_err());
    }

    /// A hybrid logical clock: each stamp above all given and heard, never far ahead of the wall clock's best.
    #[test]
    fn stamps_only_go_on(steps in prop::collection::vec((any::<bool>(), 0u64..1 << 40, 0u64..1 << 40), 1..40)) {
        let (mut clock, mut last, mut wall) = (Clock::default(), Stamp(0), 0);
        for (ticks, now, heard) in steps {
            let now = Time(now);
            if ticks {
                let stamp = clock.tick(now);
                prop_assert!(stamp > last, "{stamp:?} after {last:?}");
                wall = wall.max(now.0);
                prop_assert!(stamp.time().0 <= wall + STAMP_AHEAD_MICROS + 1_000);
                prop_assert!(stamp.time().0 >= now.0 / 1_000 * 1_000);
                last = stamp;
            } else {
                let stamp = Stamp((heard / 1_000) << 16);
                clock.hear(now, stamp);
                wall = wall.max(now.0);
                if stamp.time().since(now) <= STAMP_AHEAD_MICROS {
                    last = last.max(stamp);
                }
            }
        }
    }

    #[test]
    fn times_are_written_in_their_order(a in 0u64..4_000_000_000, b in 0u64..4_000_000_000) {
        let text = |secs: u64| Time(secs * 1_000_000).rfc3339();
        prop_assert_eq!(a.cmp(&b), text(a).cmp(&text(b)));
        prop_assert_eq!(Time(a).after(b).since(Time(a)), b);
        prop_assert_eq!(Time(u64::MAX).after(b), Time(u64::MAX));
        prop_assert_eq!(Time(a).since(Time(a + b)), 0);
    }

    #[test]
    fn dice_stay_below_their_bound_and_lose_nothing(seed: u64, bound in 1u64.., items in prop::collection::vec(any::<u16>(), 0..40)) {
        let mut dice = Dice::from_number(seed);
        prop_assert!((0..20).all(|_| dice.below(bound) < bound));
        let mut shuffled = items.clone();
        dice.shuffle(&mut shuffled);
        let sorted = |mut all: Vec<u16>| { all.sort_unstable(); all };
        prop_assert_eq!(sorted(shuffled), sorted(items.clone()));
        prop_assert_eq!(dice.pick(&items).is_some(), !items.is_empty());
        let (mut a, mut b) = (Dice::from_number(seed), Dice::from_number(seed));
        prop_assert_eq!(a.fork().bytes(), b.fork().bytes());
        prop_assert_eq!(a.bits(), b.bits());
    }

    #[test]
    fn what_is_shown_moves_no_cursor(text in ".{0,30}") {
        let shown = escaped(&text);
        prop_assert!(!shown.chars().any(char::is_control));
        prop_assert!(shown.chars().count() >= text.chars().count());
    }

    #[test]
    fn the_nearest_name_is_one_of_them(found in "[a-f]{0,8}", names in prop::collection::btree_set("[a-f]{1,8}", 0..6)) {
        let all: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let near = nearest(&found, all.iter().copied());
        prop_assert!(near.is_none_or(|name| all.contains(name)));
        prop_assert!(near == Some(&found[..]) || !all.contains(&found[..]));
    }
}
