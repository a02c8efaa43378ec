//! What holds for any pattern, grant, token, words and papers: nothing widens, and nothing changed is believed.

use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::sample::Index;
use vigo_base::{SpannerId, Time, codec};
use vigo_spanner::token::TokenBolt;
use vigo_spanner::{
    Authority, Grant, Grants, NameRule, NodeKind, Papers, Pattern, RevocationDigest, Right, Roster, Token,
    six_words, words,
};

use crate::world::*;

fn pattern() -> impl Strategy<Value = Pattern> {
    "[ab*?]{1,6}".prop_map(|text| text.parse().unwrap())
}

fn grants() -> impl Strategy<Value = Grants> {
    let grant = (prop::sample::select(Right::ALL.to_vec()), prop::collection::vec(pattern(), 0..3));
    prop::collection::vec(grant.prop_map(|(right, scope)| Grant { right, scope }), 0..6)
        .prop_map(|list| Grants::of(&list))
}

/// The papers of an envoy, whose key it is, and what a verifier knows that has slept since the genesis.
fn papers() -> &'static (Vec<u8>, Authority) {
    static MADE: OnceLock<(Vec<u8>, Authority)> = OnceLock::new();
    MADE.get_or_init(|| {
        let mut f = Fleet::new();
        let invite = f.invite(token_invite(61, NodeKind::Envoy, "*", 9, &[BOLT]));
        let spend = f.w.spend(BOLT, NodeKind::Envoy, &invite, 70, "web01", Some(61));
        let authority = f.authority();
        let mut roster = Roster::new(&authority);
        roster.insert(&authority, &spend).unwrap();
        (Papers::build(&authority, &roster, &public(70)).unwrap().encode(), f.w.authority([]))
    })
}

proptest! {
    #![proptest_config(crate::props::config())]

    #[test]
    fn covering_is_sound_and_orders_patterns(a in pattern(), b in pattern(), c in pattern(), name in "[ab]{0,7}") {
        prop_assert!(!(a.covers(&b) && b.matches(&name)) || a.matches(&name), "{a} covers {b}, not {name}");
        prop_assert!(a.covers(&a) && Pattern::any().covers(&a));
        prop_assert!(!(a.covers(&b) && b.covers(&c)) || a.covers(&c), "{a} {b} {c}");
        if let Ok(exact) = name.parse::<Pattern>() {
            prop_assert_eq!(a.covers(&exact), a.matches(&name));
            prop_assert!(exact.is_exact() && exact.specificity() >= a.specificity() || a.is_exact());
        }
        prop_assert_eq!(codec::decode::<Pattern>(&codec::encode(&a), 300), Ok(a.clone()));
    }

    /// Grants pass on narrower or not at all, and once narrowed nothing is left to narrow.
    #[test]
    fn grants_never_widen(wanted in grants(), own in grants(), target in pattern()) {
        let given = wanted.within(&own);
        for right in Right::ALL {
            let allowed = given.allow(right, &target);
            prop_assert!(!allowed || (own.allow(right, &target) && wanted.allow(right, &target)));
        }
        prop_assert_eq!(given.within(&own), given.clone());
        prop_assert_eq!(wanted.within(&Grants::all()), wanted.clone());
        prop_assert!(wanted.within(&Grants::default()).is_empty());
        prop_assert!(wanted.iter().all(|(right, scope)| scope.iter().all(|p| wanted.allow(right, p))));
    }

    #[test]
    fn a_token_comes_back_and_a_slip_is_noticed(
        seed: [u8; 32], fleet: [u8; 32], until: u64, bolts in prop::collection::vec((1u8..9, "[a-z0-9.]{1,12}:[0-9]{1,4}"), 1..4),
        bolt: bool, exact: bool, slip: Index, letter in "[a-z2-7]",
    ) {
        let token = Token {
            spanner: SpannerId(vigo_base::Hash(fleet)),
            bolts: bolts.iter().map(|(n, at)| TokenBolt { key: public(*n), addresses: vec![at.clone()] }).collect(),
            seed: seed.into(),
            kind: if bolt { NodeKind::Bolt } else { NodeKind::Envoy },
            name: if exact { NameRule::Exact("web01".parse().unwrap()) } else { NameRule::Pattern("web*".parse().unwrap()) },
            until: Time(until),
        };
        let text = token.to_text();
        let read = |text: &str| text.parse::<Token>();
        let written = format!(" {}\n", text.to_uppercase());
        prop_assert!(read(&text) == Ok(token.clone()) && read(&written) == Ok(token.clone()));
        let shown = format!("{token:?}");
        prop_assert!(!shown.contains(&hex::encode(seed)) && !shown.contains(&*text));
        let at = slip.index(text.len());
        let mut bent = text.to_string();
        bent.replace_range(at..=at, &letter);
        prop_assert!(read(&bent).is_err() || bent == *text);
        let (on, after) = (Time(until), Time(until.saturating_add(1)));
        prop_assert!(token.check(after).is_err() || after == on || token.check(on).is_ok());
        prop_assert!(token.check(Time(0)).is_ok() || until == 0);
    }

    #[test]
    fn words_come_back_however_they_are_written_down(seed: [u8; 32], capitals: bool) {
        let text = words::to_words(&seed);
        prop_assert_eq!(text.split(' ').count(), words::RECOVERY_WORDS);
        let numbered: Vec<String> = (1..).zip(text.split(' ')).map(|(n, word)| format!("{n}. {word}")).collect();
        let written = if capitals { numbered.join("\n").to_uppercase() } else { numbered.join("  ") };
        prop_assert_eq!(*words::from_words(&written).unwrap(), seed);
        prop_assert!(words::from_words(text.rsplit_once(' ').unwrap().0).is_err());
    }

    /// The two screens need not know who dialed; a third party between them shows other words.
    #[test]
    fn six_words_are_of_both_keys_and_their_connection(a in 1u8..200, b in 1u8..200, one: [u8; 32], other: [u8; 32]) {
        let words = |exporter: &[u8; 32], a, b| six_words(exporter, &public(a), &public(b));
        prop_assert_eq!(words(&one, a, b), words(&one, b, a));
        prop_assert!(words(&one, a, b) != words(&other, a, b) || one == other);
        prop_assert!(words(&one, a, b) != words(&one, a, 201));
    }

    /// Papers are believed as they were made; with one bit turned, or for another key, not at all. Only which revokes the peer
    /// says it knows stands outside the signatures.
    #[test]
    fn papers_hold_unchanged_or_not_at_all(bit: Index, other in 1u8..250) {
        let (bytes, asleep) = papers();
        let whole = Papers::check(bytes, &public(70), asleep).unwrap();
        prop_assert!(Papers::check(bytes, &public(other), asleep).is_err() || [70, BOLT].contains(&other));
        let bit = bit.index(bytes.len() * 8);
        let mut bent = bytes.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        if let Ok(checked) = Papers::check(&bent, &public(70), asleep) {
            prop_assert_eq!((&checked.member, checked.spend.id()), (&whole.member, whole.spend.id()));
            let told = |revocations: RevocationDigest| (revocations.count, revocations.hash);
            prop_assert!(told(checked.revocations) != told(whole.revocations));
        }
    }
}
