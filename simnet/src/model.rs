//! The reference model of a fleet: what was acknowledged, and what follows from it.
//!
//! It knows nothing of records, authority or views: only publishes, changes of settings and one operator who may
//! be revoked. What it predicts is compared with what every node says. It shares no logic with the crates it
//! checks, so it is written for being read, not for speed.

use std::collections::{BTreeMap, BTreeSet};

use vigo_base::{Hash, PublicKey};
use vigo_node::content_types::config::Epoch;
use vigo_node::content_types::settings::KEYS;

/// Something an operator signed.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    pub id: Hash,
    pub signer: PublicKey,
    /// The statements of its space that the signer had seen last.
    pub after: Vec<Hash>,
    /// Whether a node said that it is durable.
    pub acked: bool,
    pub what: What,
}

/// What was signed.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// Configuration that makes every machine show this text.
    Publish { epoch: u64, text: String },
    /// A setting.
    Set { key: &'static str, value: u64, generation: u64 },
}

/// All that people did.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub signed: BTreeMap<Hash, Signed>,
    /// The operator that was revoked: its key, and for each space what the revoker had seen last.
    pub fallen: Option<(PublicKey, BTreeSet<Hash>)>,
}

impl Model {
    /// Whether a statement counts, by who signed it and what the revoker had seen.
    pub fn counts(&self, signed: &Signed) -> bool {
        match &self.fallen {
            Some((key, seen)) if *key == signed.signer => self.past(seen).contains(&signed.id),
            _ => true,
        }
    }

    /// Everything that lies in the past of these statements, with them.
    fn past(&self, tips: &BTreeSet<Hash>) -> BTreeSet<Hash> {
        let mut past = BTreeSet::new();
        let mut ahead: Vec<Hash> = tips.iter().copied().collect();
        while let Some(id) = ahead.pop() {
            if past.insert(id)
                && let Some(signed) = self.signed.get(&id)
            {
                ahead.extend(&signed.after);
            }
        }
        past
    }

    /// What every node must hold: acknowledged, and it counts.
    pub fn promised(&self) -> impl Iterator<Item = &Signed> {
        self.signed.values().filter(|s| s.acked && self.counts(s))
    }

    /// The publish that all must run and the text it makes, of those in `present`.
    pub fn head(&self, present: &BTreeSet<Hash>) -> Option<(Epoch, &str)> {
        let here = self.signed.values().filter(|s| present.contains(&s.id) && self.counts(s));
        here.filter_map(|s| match &s.what {
            What::Publish { epoch, text } => Some((Epoch { epoch: *epoch, id: s.id }, text.as_str())),
            What::Set { .. } => None,
        })
        .max()
    }

    /// What was set, of those in `present`.
    pub fn settings(&self, present: &BTreeSet<Hash>) -> BTreeMap<&'static str, u64> {
        let mut latest: BTreeMap<&'static str, (u64, Hash, u64)> = BTreeMap::new();
        for signed in self.signed.values().filter(|s| present.contains(&s.id) && self.counts(s)) {
            let What::Set { key, value, generation } = signed.what else { continue };
            let place = (generation, signed.id, value);
            let held = latest.entry(key).or_insert(place);
            *held = (*held).max(place);
        }
        latest.into_iter().map(|(key, (_, _, value))| (key, value)).collect()
    }

    /// Whether an operator signed the statement with this id.
    pub fn knows(&self, id: &Hash) -> bool {
        self.signed.contains_key(id)
    }

    /// Whether a setting may have this value somewhere: an operator gave it once, or nobody ever gave it any.
    pub fn may_be(&self, name: &str, to: &str) -> bool {
        let default = KEYS.iter().find(|key| key.name == name).map(|key| key.default);
        let gave = |what: &What| matches!(what, What::Set { key, value, .. } if *key == name && value.to_string() == to);
        default.is_none_or(|default| default == to) || self.signed.values().any(|s| gave(&s.what))
    }

    /// Whether the publish with this id counts for nothing.
    pub fn is_cut(&self, id: &Hash) -> bool {
        self.signed.get(id).is_some_and(|s| !self.counts(s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vigo_base::SecretKey;

    fn signed(n: u8, signer: u8, after: &[u8], epoch: u64) -> Signed {
        let id = |n: u8| Hash([n; 32]);
        Signed {
            id: id(n),
            signer: SecretKey::from_seed([signer; 32]).public(),
            after: after.iter().map(|n| id(*n)).collect(),
            acked: true,
            what: What::Publish { epoch, text: n.to_string() },
        }
    }

    #[test]
    fn what_the_revoker_had_seen_counts() {
        let mut model = Model::default();
        for s in [signed(1, 1, &[], 1), signed(2, 2, &[1], 2), signed(3, 1, &[2], 3), signed(4, 2, &[3], 4)] {
            model.signed.insert(s.id, s);
        }
        let all: BTreeSet<Hash> = model.signed.keys().copied().collect();
        assert_eq!(model.head(&all).map(|h| h.0.epoch), Some(4));
        let bob = SecretKey::from_seed([2; 32]).public();
        model.fallen = Some((bob, BTreeSet::from([Hash([3; 32])])));
        assert_eq!(model.head(&all).map(|h| h.0.epoch), Some(3), "4 came behind what was seen");
        assert_eq!(model.promised().count(), 3, "2 lies before 3");
        assert!(model.is_cut(&Hash([4; 32])));
    }
}
