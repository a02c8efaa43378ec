//! Tokens: as a person types them, and with a checksum that fits.

use data_encoding::BASE32_NOPAD;
use vigo_base::{Hash, Time};
use vigo_spanner::{NameRule, NodeKind, Token, TokenBolt};

use crate::Target;
use crate::feed::{Feed, Ink};
use crate::world::{key, world};

pub const TARGET: Target =
    Target { name: "token", about: "the line of text that lets a machine join", run, seeds, longest: 4_096 };

fn run(bytes: &[u8]) {
    let mut feed = Feed::new(bytes);
    match feed.below(2) {
        0 => {
            if let Ok(text) = std::str::from_utf8(feed.rest()) {
                read(text);
            }
        }
        _ => read(&spelled(feed.rest())),
    }
}

fn read(text: &str) {
    match text.parse::<Token>() {
        Ok(token) => {
            let spelled = token.to_text();
            assert_eq!(*spelled, text.trim().to_ascii_lowercase(), "one spelling of a token");
            assert_eq!(spelled.parse(), Ok(token.clone()));
            let _ = token.check(Time(u64::MAX)).map_err(|e| e.to_string());
            assert!(!format!("{token:?}").contains(&text.to_ascii_lowercase()[5..]), "a token is not shown");
        }
        Err(why) => assert!(why.to_string().len() < 400, "a refusal is short: {why}"),
    }
}

/// The text of a token with this body: the checksum as spanner/src/token.rs makes it.
fn spelled(body: &[u8]) -> String {
    let sum = Hash::of_parts(&[b"vigo/token\0", body]);
    format!("vigo1{}", BASE32_NOPAD.encode(&[body, &sum.0[..4]].concat()).to_ascii_lowercase())
}

fn seeds() -> Vec<Vec<u8>> {
    let bolt = |n: u8| TokenBolt { key: key(n).public(), addresses: vec!["192.0.2.1:1531".into()] };
    let token = |kind, name, bolts| Token {
        spanner: world().spanner,
        bolts,
        seed: [7; 32].into(),
        kind,
        name,
        until: world().now,
    };
    let tokens = [
        token(NodeKind::Envoy, NameRule::Pattern("web*".parse().expect("a pattern")), vec![bolt(1)]),
        token(NodeKind::Bolt, NameRule::Exact("bolt9".parse().expect("a name")), vec![bolt(1), bolt(2)]),
        token(NodeKind::Bolt, NameRule::Exact("bolt9".parse().expect("a name")), vec![]),
    ];
    let mut all = Vec::new();
    for token in &tokens {
        let text = token.to_text();
        let body = BASE32_NOPAD.decode(text[5..].to_ascii_uppercase().as_bytes()).expect("base 32");
        all.push(Ink::new().byte(0).raw(text.as_bytes()).done());
        all.push(Ink::new().byte(1).raw(&body[..body.len() - 4]).done());
    }
    all.push(b"\x00 VIGO2 \n".to_vec());
    all
}
