//! What a crowd of replicas says: really signed, and judged once for all.
//!
//! Every update is a statement by the operator in a record by its author, as a setting or a publish is, sealed into
//! the message that gossip carries. Opening, decoding and both signatures are done by the shipped code when the first
//! node hears of an update; what came of it is kept under the update and serves all others. So the cost of a run is
//! bounded by what nodes do with records, not by 60 µs for each of millions of copies. Nothing is taken unjudged.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use vigo_base::{Clock, Dice, Hash, SecretKey, SpannerId, Time};
use vigo_node::crdt::replica::Form;
use vigo_node::crdt::statement::STATEMENT;
use vigo_node::crdt::{Draft, Record, Space, Statement, Unverified};
use vigo_node::spanner::act::read_statement;
use vigo_node::swarm::frame::{Bytes, Frame};
use vigo_node::swarm::gossip::{Opened, open, seal};
use vigo_node::{Founding, found};

use crate::Ix;
use crate::operator::parse;

/// An update is known by its place on the shelf.
pub(super) type Update = u32;
/// A space is known by its place in [`Shelf::spaces`].
pub(super) type SpaceIx = u8;

/// Bytes of a statement's own payload: records come to about 420 bytes, as settings do.
const SAYS: usize = 64;

/// One update, shared by all that hold it.
#[derive(Debug)]
pub(super) struct Item {
    pub space: SpaceIx,
    /// Under what replicas file it.
    pub key: Hash,
    pub author: Ix,
    /// When it was made.
    pub at: Time,
    /// The gossiped message; empty for what everybody held from the beginning.
    message: Arc<[u8]>,
    judged: OnceCell<Option<(Record, Form)>>,
    /// Bytes of a frame that pushes it alone.
    pub pushed: u64,
}

impl Item {
    /// Bytes of the gossiped message.
    pub fn gossiped(&self) -> u64 {
        self.message.len() as u64
    }
}

/// All updates of a run.
#[derive(Debug)]
pub(super) struct Shelf {
    spanner: SpannerId,
    operator: SecretKey,
    under: Hash,
    /// The spaces that every node holds.
    pub spaces: [Space; 3],
    items: Vec<Item>,
    by_key: BTreeMap<Hash, Update>,
    /// The last statement of each space.
    tips: [Hash; 3],
    authors: BTreeMap<Ix, (SecretKey, [u64; 3])>,
    clock: Clock,
}

impl Shelf {
    /// A fleet that was just founded: what everybody holds from the beginning is on the shelf.
    pub fn new(now: Time, dice: &mut Dice) -> Shelf {
        let key = |dice: &mut Dice| SecretKey::from_seed(dice.bytes());
        let (node, recovery, operator) = (key(dice), key(dice), key(dice));
        let founding = Founding {
            node: &node,
            name: parse("first"),
            fleet: "crowd".into(),
            recovery: &recovery,
            operator: &operator,
            operator_name: parse("alice"),
            nonce: Hash(dice.bytes()),
            now,
        };
        let founded = found(founding).unwrap_or_else(|e| panic!("founding: {e}"));
        let mut shelf = Shelf {
            spanner: founded.spanner,
            operator,
            under: Hash::default(),
            spaces: [Space::admissions(), Space::config(), Space::settings()],
            items: Vec::new(),
            by_key: BTreeMap::new(),
            tips: [Hash::default(); 3],
            authors: BTreeMap::new(),
            clock: Clock::default(),
        };
        for bytes in founded.records {
            let judged = shelf.judge_record(&bytes);
            let Some((record, form)) = &judged else { continue };
            let key = match form {
                Form::Statement { id, .. } => *id,
                _ => record.id(),
            };
            shelf.under = key;
            let item = Item {
                space: 0,
                key,
                author: 0,
                at: now,
                message: Arc::from([]),
                pushed: pushed(record),
                judged: OnceCell::from(judged),
            };
            shelf.put(item);
        }
        shelf
    }

    fn put(&mut self, item: Item) -> Update {
        let update = Update::try_from(self.items.len()).unwrap_or(Update::MAX);
        self.by_key.insert(item.key, update);
        self.items.push(item);
        update
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn item(&self, update: Update) -> &Item {
        &self.items[update as usize]
    }

    /// The update that replicas file under this key.
    pub fn by_key(&self, key: &Hash) -> Option<Update> {
        self.by_key.get(key).copied()
    }

    /// The place of a space.
    pub fn place(&self, space: &Space) -> Option<SpaceIx> {
        self.spaces.iter().position(|s| s == space).map(|at| at as SpaceIx)
    }

    /// A new update by a node, in settings or in config.
    pub fn make(&mut self, now: Time, author: Ix, dice: &mut Dice) -> Update {
        let place = 1 + dice.below(2) as usize;
        let space = self.spaces[place].clone();
        let after = [self.tips[place]].into_iter().filter(|tip| *tip != Hash::default()).collect();
        let payload = (0..SAYS / 32).flat_map(|_| dice.bytes()).collect();
        let draft = Draft { space: space.clone(), kind: 1, under: self.under, after, at: now, payload };
        let statement = draft.sign(&self.operator, &self.spanner);
        let fresh = dice.bytes();
        let (key, seqs) = self.authors.entry(author).or_insert_with(|| (SecretKey::from_seed(fresh), [0; 3]));
        seqs[place] += 1;
        let (stamp, says) = (self.clock.tick(now), statement.bytes().to_vec());
        let record = Record::sign(key, &self.spanner, space, seqs[place], STATEMENT, stamp, says)
            .unwrap_or_else(|e| panic!("an update: {e}"));
        self.tips[place] = statement.id();
        let message =
            seal(record.bytes()).unwrap_or_else(|| panic!("an update is small enough to be gossiped"));
        self.put(Item {
            space: place as SpaceIx,
            key: statement.id(),
            author,
            at: now,
            message: message.into(),
            judged: OnceCell::new(),
            pushed: pushed(&record),
        })
    }

    /// What the shipped code makes of an update; none if it is not to be taken. Looked at once.
    pub fn judged(&self, update: Update) -> Option<&(Record, Form)> {
        let item = self.item(update);
        let judge = || match open(&item.message) {
            Ok(Opened::Record(bytes)) => self.judge_record(&bytes),
            _ => None,
        };
        item.judged.get_or_init(judge).as_ref()
    }

    fn judge_record(&self, bytes: &[u8]) -> Option<(Record, Form)> {
        let record = Unverified::decode(bytes).and_then(|record| record.verify(&self.spanner)).ok()?;
        if record.kind() != STATEMENT {
            return Some((record, Form::Single));
        }
        let statement = match *record.space() == self.spaces[0] {
            true => read_statement(record.payload(), &self.spanner),
            false => Statement::decode(record.payload(), record.space(), &self.spanner),
        };
        let form = statement.ok().map(|s| Form::Statement { id: s.id(), at: s.at().0 })?;
        Some((record, form))
    }
}

/// Bytes of a frame that pushes a record alone.
fn pushed(record: &Record) -> u64 {
    Frame::Push(vec![Bytes::from(record.bytes().to_vec())]).encode().len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_judged_by_its_signatures_and_found_by_its_key() {
        let mut dice = Dice::from_number(1);
        let mut shelf = Shelf::new(Time(1_000_000), &mut dice);
        assert_eq!(shelf.len(), 4, "genesis, operator, invite, spend");
        let good = shelf.make(Time(2_000_000), 7, &mut dice);
        let (record, form) = shelf.judged(good).expect("it is good").clone();
        assert!(matches!(form, Form::Statement { id, .. } if id == shelf.item(good).key));
        assert_eq!(shelf.by_key(&shelf.item(good).key), Some(good));
        assert!((250..600).contains(&record.bytes().len()), "{} bytes", record.bytes().len());
        // One bit of the signature is another.
        let mut bent = record.bytes().to_vec();
        *bent.last_mut().expect("a signature") ^= 1;
        let item = Item {
            message: seal(&bent).expect("small").into(),
            judged: OnceCell::new(),
            ..shelf.items.remove(good as usize)
        };
        let bad = shelf.put(item);
        assert!(shelf.judged(bad).is_none());
    }
}
