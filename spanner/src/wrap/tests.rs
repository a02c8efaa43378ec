//! R18: known answers, tampered headers, and bounds enforced before memory is taken.

use argon2::{AssociatedData, ParamsBuilder};

use super::*;

const PASS: &str = "correct horse battery staple";

fn key() -> SecretKey {
    SecretKey::from_seed([0x42; 32])
}

/// One wrapping at the default cost, shared: it takes half a second.
fn wrapped() -> &'static Envelope {
    static ONE: std::sync::OnceLock<Envelope> = std::sync::OnceLock::new();
    ONE.get_or_init(|| {
        Envelope::wrap(&key(), Purpose::Operator, PASS, Cost::default(), [1; 16], [2; 24]).unwrap()
    })
}

fn with_bytes(change: impl FnOnce(&mut Vec<u8>)) -> Result<Envelope, BadEnvelope> {
    let mut bytes = wrapped().bytes.to_vec();
    change(&mut bytes);
    Envelope::parse(Zeroizing::new(bytes))
}

#[test]
fn argon2id_gives_the_answer_of_rfc_9106() {
    // RFC 9106, 5.3.
    let params = ParamsBuilder::new()
        .m_cost(32)
        .t_cost(3)
        .p_cost(4)
        .data(AssociatedData::new(&[4; 12]).unwrap())
        .build()
        .unwrap();
    let argon = Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params).unwrap();
    let mut tag = [0; 32];
    argon.hash_password_into(&[1; 32], &[2; 16], &mut tag).unwrap();
    assert_eq!(hex::encode(tag), "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
}

#[test]
fn xchacha_gives_the_answer_of_its_draft() {
    // draft-irtf-cfrg-xchacha-03, A.3.1.
    let plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
    let aad = hex::decode("50515253c0c1c2c3c4c5c6c7").unwrap();
    let key: [u8; 32] = std::array::from_fn(|i| 0x80 + i as u8);
    let nonce: [u8; 24] = std::array::from_fn(|i| 0x40 + i as u8);
    let cipher = XChaCha20Poly1305::new(&key.into());
    let sealed = cipher.encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: &aad }).unwrap();
    let hex = hex::encode(sealed);
    assert!(hex.starts_with("bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"));
    assert!(hex.ends_with("c0875924c1c7987947deafd8780acf49"));
}

#[test]
fn a_key_comes_back_from_its_file() {
    let text = wrapped().to_text();
    assert!(text.starts_with("-----BEGIN VIGO OPERATOR KEY-----\n"));
    assert!(!text.contains(&hex::encode([0x42; 32])) && !wrapped().bytes.windows(8).any(|w| w == [0x42; 8]));
    let read = Envelope::read(&text).unwrap();
    assert_eq!(read, *wrapped());
    assert_eq!((read.public(), read.is_wrapped()), (key().public(), true));
    assert_eq!(read.open(Purpose::Operator, PASS).unwrap().public(), key().public());
    assert_eq!(read.open(Purpose::Operator, "wrong").unwrap_err(), BadEnvelope::Passphrase);
    assert_eq!(
        read.open(Purpose::Puddle, PASS).unwrap_err().to_string(),
        "this is a key of the kind OPERATOR, expected PUDDLE"
    );
}

#[test]
fn the_format_is_frozen() {
    // Version 1 must read for ever: these bytes were written once by this code and are compared since.
    let text = wrapped().to_text();
    assert_eq!(vigo_base::Hash::of(text.as_bytes()).to_string(), FROZEN);
}

const FROZEN: &str = "56d31aeb6fafa1bb81b1646e4491337176e171641742a0ac320d563fbcbceb1e";

#[test]
fn a_changed_header_does_not_open() {
    // A public key of another (bytes 11..43), a raised cost within bounds, the salt, the nonce, the seed.
    let other = *SecretKey::from_seed([7; 32]).public().as_bytes();
    let swapped = with_bytes(|b| b[11..43].copy_from_slice(&other)).unwrap();
    assert_eq!(swapped.open(Purpose::Operator, PASS).unwrap_err(), BadEnvelope::Passphrase);
    let raised = with_bytes(|b| b[50] = 4).unwrap();
    assert_eq!(raised.cost.unwrap().passes, 4);
    assert_eq!(raised.open(Purpose::Operator, PASS).unwrap_err(), BadEnvelope::Passphrase);
    let sealed = with_bytes(|b| b[HEADER] ^= 1).unwrap();
    assert_eq!(sealed.open(Purpose::Operator, PASS).unwrap_err(), BadEnvelope::Passphrase);
    // As a key for something else: the purpose is associated data too.
    let puddle = with_bytes(|b| b[10] = Purpose::Puddle.code()).unwrap();
    assert_eq!(puddle.open(Purpose::Puddle, PASS).unwrap_err(), BadEnvelope::Passphrase);
}

#[test]
fn costs_out_of_bounds_are_refused_before_memory_is_taken() {
    for (at, value, what) in [
        (43, u32::MAX, "memory in KiB"),
        (43, 1024 * 1024 + 1, "memory in KiB"),
        (43, 256 * 1024 - 1, "memory in KiB"),
        (43, 8, "memory in KiB"),
        (47, 2, "passes"),
        (47, u32::MAX, "passes"),
        (51, 0, "lanes"),
        (51, 5, "lanes"),
    ] {
        let bent = with_bytes(|b| b[at..at + 4].copy_from_slice(&value.to_be_bytes()));
        assert!(
            matches!(bent, Err(BadEnvelope::Cost { what: w, .. }) if w == what),
            "{what} {value}: {bent:?}"
        );
    }
    let cheap = Cost { kib: 1024, ..Cost::default() };
    let refused = Envelope::wrap(&key(), Purpose::Operator, PASS, cheap, [1; 16], [2; 24]);
    assert_eq!(
        refused.unwrap_err().to_string(),
        "the key file asks for memory in KiB = 1024, allowed are 262144 to 1048576: it was tampered with, or is not ours"
    );
    let empty = Envelope::wrap(&key(), Purpose::Operator, "", Cost::default(), [1; 16], [2; 24]);
    assert_eq!(empty.unwrap_err(), BadEnvelope::Empty);
}

#[test]
fn an_unprotected_key_says_so() {
    let plain = Envelope::plain(&key(), Purpose::Node);
    let text = plain.to_text();
    assert!(text.starts_with("-----BEGIN VIGO UNPROTECTED NODE KEY-----\n"));
    let read = Envelope::read(&text).unwrap();
    assert!(!read.is_wrapped());
    assert_eq!(read.open(Purpose::Node, "").unwrap().public(), key().public());
    assert!(!format!("{read:?}").contains("42, 42"));
    // A wrapped key under the title of an unprotected one, or the other way round, is refused.
    let lie = text.replace("UNPROTECTED ", "");
    assert!(matches!(Envelope::read(&lie), Err(BadEnvelope::Damaged { .. })));
    // A public key that is not the seed's.
    let mut bytes = plain.bytes.to_vec();
    bytes[11..43].copy_from_slice(SecretKey::from_seed([7; 32]).public().as_bytes());
    let bent = Envelope::parse(Zeroizing::new(bytes)).unwrap();
    assert!(matches!(bent.open(Purpose::Node, ""), Err(BadEnvelope::Damaged { .. })));
}

#[test]
fn what_is_no_key_file_is_named() {
    let text = wrapped().to_text();
    let error = |t: &str| Envelope::read(t).unwrap_err().to_string();
    assert!(error("-----BEGIN OPENSSH PRIVATE KEY-----").contains("found \"-----BEGIN OPENSSH"));
    assert!(error("").contains("expected a line \"-----BEGIN VIGO OPERATOR KEY-----\""));
    assert!(error(&text[..text.len() / 2]).contains("its last line is missing"));
    assert!(error(&"x".repeat(5000)).contains("too long"));
    assert!(matches!(with_bytes(|b| b[8] = 2), Err(BadEnvelope::Version { found: 2 })));
    assert!(with_bytes(|b| b.truncate(70)).is_err());
    assert!(with_bytes(|b| b.push(0)).is_err());
    for n in 0..wrapped().bytes.len() {
        assert!(with_bytes(|b| b.truncate(n)).is_err(), "cut to {n}");
    }
}
