//! What holds for any records: one encoding, one meaning whatever the order, and nothing read past a bound.
//!
//! The laws that fleets rely on without asking: a set of records comes to the same in any order and however often it is
//! told, a register or a log says what was put in, and bytes are read as what was written or not at all.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;
use vigo_base::{Hash, SecretKey, SpannerId, Stamp, Time, limits};
use vigo_crdt::log::{self, Chain, DAMAGES, Damage, LOG};
use vigo_crdt::reconcile::Sealed;
use vigo_crdt::register::{self, REGISTER, SLOTS};
use vigo_crdt::replica::{Form, Refusal};
use vigo_crdt::space::SPACE_BYTES;
use vigo_crdt::statement::{AFTER, PROOF, STATEMENT};
use vigo_crdt::{BadRecord, BadStatement, Draft, Record, Replica, Space, Statement, Unverified, Verdict};

/// Bytes of an envelope besides the space's name and the payload, as `record` documents it.
const ENVELOPE: usize = 1 + 1 + 32 + 8 + 2 + 4 + 8 + 64;

fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(64);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed([n; 32])
}

fn fleet() -> SpannerId {
    SpannerId(Hash::of(b"fleet"))
}

fn record(author: u8, seq: u64, kind: u16, payload: Vec<u8>) -> Record {
    Record::sign(&key(author), &fleet(), Space::status(), seq, kind, Stamp(seq << 16), payload).unwrap()
}

/// The value of a register.
fn value(author: u8, seq: u64, slot: u16, text: u8) -> Record {
    record(author, seq, REGISTER, register::payload(slot, &[text]))
}

fn space() -> impl Strategy<Value = Space> {
    "[a-z0-9/-]{1,96}".prop_map(|name| name.parse().unwrap())
}

prop_compose! {
    fn any_record()(
        author in 1u8..5, space in space(), seq in 1u64.., kind: u16, stamp: u64,
        payload in prop::collection::vec(any::<u8>(), 0..300),
    ) -> Record {
        Record::sign(&key(author), &fleet(), space, seq, kind, Stamp(stamp), payload).unwrap()
    }
}

/// Registers of a few authors: sequences repeat, so there are forks too.
fn registers() -> impl Strategy<Value = Vec<(u8, u64, u16, u8)>> {
    prop::collection::vec((1u8..4, 1u64..12, 0u16..3, 0u8..3), 1..24)
}

/// Inserts registers in this order; each stands in the slot that it names.
fn filed<'r>(records: impl IntoIterator<Item = &'r Record>) -> Replica {
    let mut replica = Replica::new();
    for record in records {
        let (slot, _) = register::read(record).unwrap();
        replica.insert(record.clone(), Form::Register(slot));
    }
    replica
}

fn keys(replica: &Replica) -> Vec<Hash> {
    replica.records(&Space::status()).map(|(key, ..)| *key).collect()
}

fn log_of(texts: &[u8]) -> Vec<Record> {
    let mut made: Vec<Record> = Vec::new();
    for (n, text) in (1..).zip(texts) {
        let previous = made.last().map_or(Hash::default(), Record::id);
        made.push(record(1, n, LOG, log::payload(n, &previous, &[*text])));
    }
    made
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_record_comes_back_as_it_was(made in any_record()) {
        let heard = Unverified::decode(made.bytes()).unwrap();
        prop_assert_eq!((heard.id(), heard.seq(), heard.space()), (Hash::of(made.bytes()), made.seq(), made.space()));
        let kept = heard.clone().trusted().unwrap();
        let back = heard.verify(&fleet()).unwrap();
        prop_assert_eq!(&back, &made);
        prop_assert_eq!(&kept, &made);
        prop_assert_eq!(back.bytes().len(), ENVELOPE + made.space().as_str().len() + made.payload().len());
    }

    #[test]
    fn any_change_of_a_record_is_noticed(made in any_record(), at: Index, bit in 0u8..8) {
        let mut bent = made.bytes().to_vec();
        let at = at.index(bent.len());
        bent[at] ^= 1 << bit;
        prop_assert!(Unverified::decode(&bent).and_then(|heard| heard.verify(&fleet())).is_err());
    }

    #[test]
    fn bytes_are_a_record_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(heard) = Unverified::decode(&bytes) {
            prop_assert_eq!(heard.id(), Hash::of(&bytes));
        }
    }

    /// Commutative, associative, idempotent: the set decides, and nothing else.
    #[test]
    fn registers_come_to_the_same_in_any_order(
        wrote in registers(), order in prop::collection::vec(any::<Index>(), 0..40),
    ) {
        let made: Vec<Record> = wrote.iter().map(|(a, seq, slot, text)| value(*a, *seq, *slot, *text)).collect();
        let straight = filed(&made);
        let mixed = filed(order.iter().map(|i| i.get(&made)).chain(made.iter().rev()).chain(&made));
        prop_assert_eq!(keys(&mixed), keys(&straight));
        prop_assert_eq!(mixed.digest(&Space::status()), straight.digest(&Space::status()));
        // By the definition: the highest (seq, id) of each author and slot.
        let mut latest: BTreeMap<_, &Record> = BTreeMap::new();
        for record in &made {
            let place = latest.entry((record.author(), register::read(record).unwrap().0)).or_insert(record);
            if (record.seq(), record.id()) > (place.seq(), place.id()) {
                *place = record;
            }
        }
        for ((author, slot), record) in &latest {
            prop_assert_eq!(mixed.register(&Space::status(), author, *slot), Some(*record));
        }
        prop_assert_eq!(mixed.len(&Space::status()), latest.len());
    }

    #[test]
    fn statements_come_to_the_same_in_any_order_and_from_any_carrier(
        said in prop::collection::vec((0u8..8, 1u8..4), 1..20), order in prop::collection::vec(any::<Index>(), 0..30),
    ) {
        let carried: Vec<(Record, Form)> = (1..).zip(&said).map(|(seq, (what, carrier))| {
            let form = Form::Statement { id: Hash::of(&[*what]), at: u64::from(*what) };
            (record(*carrier, seq, STATEMENT, vec![*what]), form)
        }).collect();
        let all = |picked: &mut dyn Iterator<Item = &(Record, Form)>| {
            let mut replica = Replica::new();
            picked.for_each(|(record, form)| drop(replica.insert(record.clone(), *form)));
            (keys(&replica), replica.digest(&Space::status()))
        };
        let straight = all(&mut carried.iter());
        prop_assert_eq!(&all(&mut order.iter().map(|i| i.get(&carried)).chain(&carried)), &straight);
        let distinct: BTreeSet<Hash> = said.iter().map(|(what, _)| Hash::of(&[*what])).collect();
        prop_assert_eq!(straight.0, distinct.into_iter().collect::<Vec<_>>());
    }

    /// A log is whole in any order; whatever else is among its records, the order does not matter either.
    #[test]
    fn a_log_comes_to_the_same_in_any_order(
        texts in prop::collection::vec(0u8..4, 1..16),
        odd in prop::collection::vec((1u64..16, 0u8..3), 0..6),
        order in prop::collection::vec(any::<Index>(), 0..30),
    ) {
        let mut made = log_of(&texts);
        let whole = Chain::of(&made);
        prop_assert!(whole.damage().is_empty());
        prop_assert_eq!(whole.head(), made.last().map(Record::id));
        for (number, what) in odd {
            made.push(match what {
                0 => record(1, number, LOG, vec![0; 39]),
                1 => record(1, number, LOG, log::payload(number, &Hash::of(b"elsewhere"), b"odd")),
                _ => record(1, number, LOG, log::payload(number + 1, &Hash::default(), b"odd")),
            });
        }
        let straight = Chain::of(&made);
        let mixed = Chain::of(order.iter().map(|i| i.get(&made)).chain(&made));
        prop_assert_eq!(&mixed, &straight);
        prop_assert!(straight.damage().is_sorted_by_key(Damage::number));
    }

    #[test]
    fn a_register_says_what_was_put_in(slot in 0..SLOTS, value in prop::collection::vec(any::<u8>(), 0..100)) {
        let made = record(1, 1, REGISTER, register::payload(slot, &value));
        prop_assert_eq!(register::read(&made), Ok((slot, &value[..])));
    }

    #[test]
    fn a_statement_comes_back_as_it_was(
        space in space(), kind: u16, under: [u8; 32], at: u64,
        after in prop::collection::vec(any::<[u8; 32]>(), 0..5),
        payload in prop::collection::vec(any::<u8>(), 0..200),
        bent: Index, bit in 0u8..8,
    ) {
        let after: Vec<Hash> = after.into_iter().map(Hash).collect();
        let draft = Draft { space: space.clone(), kind, under: Hash(under), after: after.clone(), at: Time(at), payload };
        let made = draft.clone().sign(&key(1), &fleet());
        let back = Statement::decode(made.bytes(), &space, &fleet()).unwrap();
        prop_assert_eq!(&back, &made);
        let said = (back.kind(), back.under(), back.at(), back.payload(), back.signer(), back.space());
        let meant = (kind, draft.under, draft.at, &draft.payload[..], key(1).public(), &space);
        prop_assert_eq!(said, meant);
        prop_assert_eq!(back.after().iter().collect::<Vec<_>>(), after.iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>());
        prop_assert_eq!(back.id(), Hash::of(made.bytes()));
        let mut bytes = made.bytes().to_vec();
        let at = bent.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(Statement::decode(&bytes, &space, &fleet()).is_err());
    }

    /// What two sets do not share is found, all of it and nothing else, and the same whoever asks.
    #[test]
    fn comparing_finds_the_difference_of_two_sets(
        ours in prop::collection::btree_set((any::<u8>(), 0u16..400), 0..120),
        theirs in prop::collection::btree_set((any::<u8>(), 0u16..400), 0..120),
    ) {
        let items = |set: &BTreeSet<(u8, u16)>| -> Vec<(u64, Hash)> {
            set.iter().map(|(order, n)| (u64::from(*order) << 56 | 0xff_ffff, Hash::of(&[&[*order], &n.to_be_bytes()[..]].concat()))).collect()
        };
        let (a, b) = (items(&ours), items(&theirs));
        let names = |from: &[(u64, Hash)], but: &[(u64, Hash)]| -> BTreeSet<Hash> {
            from.iter().filter(|item| !but.contains(item)).map(|(_, key)| *key).collect()
        };
        prop_assert_eq!(difference(&a, &b), (names(&a, &b), names(&b, &a)));
        prop_assert_eq!(difference(&b, &a), (names(&b, &a), names(&a, &b)));
    }

    #[test]
    fn a_space_is_its_name(space in space()) {
        prop_assert_eq!(space.to_string().parse::<Space>(), Ok(space.clone()));
        prop_assert_eq!(space.as_str().len(), space.to_string().len());
    }
}

/// What only the first and only the second holds, by a whole session.
fn difference(ours: &[(u64, Hash)], theirs: &[(u64, Hash)]) -> (BTreeSet<Hash>, BTreeSet<Hash>) {
    let (a, b) = (Sealed::of(ours.iter().copied()), Sealed::of(theirs.iter().copied()));
    let (mut have, mut need) = (BTreeSet::new(), BTreeSet::new());
    let mut message = Some(a.open().unwrap());
    while let Some(query) = message {
        let round = a.next(&b.answer(&query).unwrap()).unwrap();
        assert!(round.have.is_sorted() && round.need.is_sorted());
        have.extend(round.have);
        need.extend(round.need);
        message = round.next;
    }
    (have, need)
}

#[test]
fn orders_at_the_end_of_time_are_compared_too() {
    let items: Vec<(u64, Hash)> = (0..40u8).map(|n| (u64::MAX - u64::from(n % 3), Hash::of(&[n]))).collect();
    let (have, need) = difference(&items, &items[..20]);
    assert_eq!((have.len(), need.len()), (20, 0));
    assert_eq!(difference(&items[..1], &[]).0.len(), 1);
}

#[test]
fn a_record_is_filed_under_what_it_carries() {
    for kind in [STATEMENT, PROOF] {
        let made = record(1, 7, kind, b"carried".to_vec());
        assert_eq!(Unverified::decode(made.bytes()).unwrap().key(), Hash::of(b"carried"));
    }
    let made = record(1, 7, REGISTER, b"carried".to_vec());
    assert_eq!(Unverified::decode(made.bytes()).unwrap().key(), made.id());
    assert!(format!("{made:?}").contains("status") && format!("{made:?}").contains(&made.id().short()));
}

/// The bytes of an envelope with this length field, and what follows it.
fn envelope(length: u32, rest: usize) -> Vec<u8> {
    let mut bytes = vec![1, 6];
    bytes.extend_from_slice(b"status");
    bytes.extend_from_slice(key(1).public().as_bytes());
    bytes.extend_from_slice(&1u64.to_be_bytes());
    bytes.extend_from_slice(&4u16.to_be_bytes());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.resize(bytes.len() + rest, 7);
    bytes
}

#[test]
fn sizes_are_kept_to_the_byte() {
    let most = limits::RECORD_BYTES - ENVELOPE - "status".len();
    let largest = record(1, 1, REGISTER, vec![0; most]);
    assert_eq!(largest.bytes().len(), limits::RECORD_BYTES);
    assert!(Unverified::decode(largest.bytes()).unwrap().verify(&fleet()).is_ok());
    let over = Record::sign(&key(1), &fleet(), Space::status(), 1, 4, Stamp(1), vec![0; most + 1]);
    assert_eq!(over, Err(BadRecord::TooLarge { found: limits::RECORD_BYTES + 1 }));
    for more in [1, 2] {
        let found = limits::RECORD_BYTES + more;
        assert_eq!(Unverified::decode(&vec![1; found]).err(), Some(BadRecord::TooLarge { found }));
    }
    // The length counts the stamp: eight bytes at least, and they are enough.
    assert!(Unverified::decode(&envelope(8, 8 + 64)).is_ok());
    assert_eq!(record(1, 1, 4, vec![]).payload(), b"");
    for length in [0u32, 1, 7] {
        assert!(Unverified::decode(&envelope(length, length as usize + 64)).is_err(), "{length}");
    }
    assert!(Unverified::decode(&envelope(9, 8 + 64)).is_err());
}

#[test]
fn a_bad_record_names_its_author() {
    let author = key(1).public();
    let why = Unverified::decode(&envelope(8, 8 + 64)).unwrap().verify(&fleet()).unwrap_err().to_string();
    assert!(why.contains(&author.short()), "{why}");
}

#[test]
fn a_register_has_one_of_its_slots() {
    let read = |payload| {
        register::read(&record(1, 1, REGISTER, payload)).map(|(slot, value)| (slot, value.to_vec()))
    };
    assert_eq!(read(register::payload(SLOTS - 1, b"v")), Ok((SLOTS - 1, b"v".to_vec())));
    for bad in [register::payload(SLOTS, b"v"), register::payload(SLOTS + 1, b"v"), vec![0], vec![]] {
        assert!(read(bad.clone()).is_err(), "{bad:?}");
    }
    assert_eq!(register::payload(0x0102, b"v"), [1, 2, b'v']);
}

#[test]
fn a_statement_names_a_bounded_past_of_one_space() {
    let draft = |seen: u16| Draft {
        space: Space::config(),
        kind: 1,
        under: Hash::default(),
        after: (0..seen).map(|n| Hash::of(&n.to_be_bytes())).collect(),
        at: Time(0),
        payload: vec![],
    };
    let read = |statement: &Statement, space: &Space| Statement::decode(statement.bytes(), space, &fleet());
    let most = draft(AFTER as u16).sign(&key(1), &fleet());
    assert_eq!(read(&most, &Space::config()), Ok(most.clone()));
    let more = draft(AFTER as u16 + 1).sign(&key(1), &fleet());
    assert_eq!(read(&more, &Space::config()), Err(BadStatement::After));
    let elsewhere = read(&most, &Space::settings());
    assert_eq!(elsewhere, Err(BadStatement::Space { expected: Space::settings(), found: Space::config() }));
    let shown = format!("{most:?}");
    assert!(shown.contains("config") && shown.contains(&most.id().short()), "{shown}");
    assert!(most.after().is_sorted_by(|a, b| a < b));
    assert_eq!(draft(0).sign(&key(1), &fleet()).after(), &[]);
}

#[test]
fn what_is_filed_is_found_and_what_is_removed_is_gone() {
    let (space, elsewhere) = (Space::status(), Space::config());
    let (first, second) = (value(1, 1, 0, 1), value(1, 2, 1, 2));
    let mut replica = filed([&first, &second]);
    let author = first.author();
    assert!(!replica.is_empty() && Replica::new().is_empty());
    assert_eq!(replica.spaces().collect::<Vec<_>>(), [&space]);
    assert!(replica.contains(&space, &first.id()));
    assert!(!replica.contains(&elsewhere, &first.id()) && !replica.contains(&space, &Hash::default()));
    assert_eq!(replica.get(&space, &first.id()), Some(&first));
    assert_eq!(replica.at(&space, &author, 2), Some(&second));
    assert_eq!((replica.at(&space, &author, 3), replica.at(&elsewhere, &author, 2)), (None, None));
    assert_eq!(replica.by_author(&space, &author).collect::<Vec<_>>(), [&first, &second]);
    let forms: BTreeSet<u16> = replica
        .records(&space)
        .filter_map(|(key, record, form)| match form {
            Form::Register(slot) if *key == record.id() => Some(slot),
            _ => None,
        })
        .collect();
    assert_eq!(forms, BTreeSet::from([0, 1]));
    let before = replica.digest(&space);
    assert_eq!(replica.remove(&space, &first.id()), Some(first.clone()));
    assert_ne!(replica.digest(&space), before);
    assert_eq!((replica.remove(&space, &first.id()), replica.remove(&elsewhere, &first.id())), (None, None));
    assert_eq!(replica.register(&space, &author, 0), None);
    assert_eq!(replica.register(&space, &author, 1), Some(&second));
    // Its slot is free again: an older value is taken, where it would be superseded.
    assert_eq!(replica.insert(first.clone(), Form::Register(0)).verdict, Verdict::New);
    assert_eq!(replica.digest(&space), before);
    replica.remove(&space, &first.id());
    replica.remove(&space, &second.id());
    assert!(replica.is_empty() && replica.spaces().next().is_none());
}

/// Its place in a comparison is when its signer made it: not when its carrier did, which differs from node to node.
#[test]
fn whoever_carried_a_statement_there_is_nothing_to_compare() {
    let form = |n: u8| Form::Statement { id: Hash::of(&[n]), at: u64::from(n) };
    let carried = |by: u8| {
        let mut replica = Replica::new();
        for n in 0..50 {
            replica.insert(record(by, u64::from(by) * 1_000 + u64::from(n), STATEMENT, vec![n]), form(n));
        }
        replica
    };
    let [a, b] = [1, 2].map(carried);
    assert_eq!(a.digest(&Space::status()), b.digest(&Space::status()));
    let (a, b) = (a.sealed(&Space::status()), b.sealed(&Space::status()));
    let round = a.next(&b.answer(&a.open().unwrap()).unwrap()).unwrap();
    assert_eq!((round.have.len(), round.need.len(), round.next), (0, 0, None));
}

#[test]
fn of_two_with_one_sequence_the_lower_id_counts() {
    let (one, other) = (value(1, 5, 0, 1), value(1, 5, 1, 2));
    let [low, high] = if one.id() < other.id() { [one, other] } else { [other, one] };
    for order in [[&low, &high], [&high, &low]] {
        let replica = filed(order);
        assert_eq!(replica.at(&Space::status(), &low.author(), 5), Some(&low));
        assert_eq!(replica.head(&Space::status(), &low.author()), Some((5, low.id())));
        assert_eq!(replica.by_author(&Space::status(), &low.author()).collect::<Vec<_>>(), [&low]);
    }
}

#[test]
fn a_later_value_drops_the_one_before_and_says_so() {
    let (first, second) = (value(1, 1, 0, 1), value(1, 2, 0, 2));
    let mut replica = filed([&first]);
    let inserted = replica.insert(second.clone(), Form::Register(0));
    assert_eq!((inserted.verdict, inserted.dropped, inserted.fork), (Verdict::New, Some(first.id()), None));
    assert!(!replica.contains(&Space::status(), &first.id()));
    let again = replica.insert(first.clone(), Form::Register(0));
    assert_eq!((again.verdict, again.dropped), (Verdict::Superseded, None));
    // Superseded when it came, and remembered: its twin of another register is a fork all the same.
    assert_eq!(replica.head(&Space::status(), &first.author()), Some((2, second.id())));
}

#[test]
fn the_quota_of_unknown_kinds_counts_what_is_held() {
    let mut replica = Replica::new();
    let unknown: Vec<Record> =
        (1..=limits::OPAQUE_RECORDS as u64 + 1).map(|seq| record(1, seq, 999, vec![])).collect();
    let (last, rest) = unknown.split_last().unwrap();
    for made in rest {
        assert_eq!(replica.insert(made.clone(), Form::Opaque).verdict, Verdict::New);
    }
    let refused =
        |verdict: Verdict| matches!(verdict, Verdict::Refused(Refusal { senders_fault: false, .. }));
    assert!(refused(replica.insert(last.clone(), Form::Opaque).verdict));
    replica.remove(&Space::status(), &rest[0].id());
    assert_eq!(replica.insert(last.clone(), Form::Opaque).verdict, Verdict::New, "one place became free");
    let higher = record(1, last.seq() + 1, 999, vec![]);
    assert!(refused(replica.insert(higher, Form::Opaque).verdict), "and only one");
    // A lower one is kept, and the highest goes: so all keep the same, whatever came first.
    let back = replica.insert(rest[0].clone(), Form::Opaque);
    assert_eq!((back.verdict, back.dropped), (Verdict::New, Some(last.id())));
}

#[test]
fn damages_are_told_in_words_and_bounded() {
    let whole = log_of(b"abcdefgh");
    let without = |gone: &[u64]| Chain::of(whole.iter().filter(|r| !gone.contains(&r.seq())));
    assert_eq!(without(&[3, 4]).damage(), [Damage::Missing { from: 3, to: 4 }]);
    let words = |chain: &Chain| chain.damage().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(words(&without(&[3, 4])), ["entries 3 to 4 are missing: they were dropped"]);
    assert_eq!(words(&without(&[3])), ["entry 3 is missing: it was dropped"]);
    // What is missing, or was never there, is not said to be cut off.
    let id = Hash::of(b"seen");
    assert_eq!(without(&[3]).against(3, &id), None);
    assert_eq!(Chain::of([]).against(0, &id), None);
    assert_eq!(without(&[]).against(9, &id), Some(Damage::Short { number: 9, id, length: 8 }));
    let short = without(&[]).against(9, &id).map(|d| d.to_string()).unwrap();
    assert!(
        short.contains("entry 9") && short.contains("ends at 8") && short.contains(&id.short()),
        "{short}"
    );
    let many: Vec<Record> = (1..=DAMAGES as u64 + 9).map(|n| record(1, n, LOG, vec![])).collect();
    assert_eq!(Chain::of(&many[..DAMAGES]).damage().len(), DAMAGES);
    assert_eq!(Chain::of(&many).damage().len(), DAMAGES);
}

#[test]
fn a_space_has_a_bounded_name() {
    assert!("a".repeat(SPACE_BYTES).parse::<Space>().is_ok());
    for bad in ["", "A", "a b", "a_b", "ä", &"a".repeat(SPACE_BYTES + 1)] {
        assert!(bad.parse::<Space>().is_err(), "{bad:?}");
    }
    let known = [Space::admissions(), Space::envoys(), Space::config(), Space::settings(), Space::status()];
    let names: Vec<&str> = known.iter().map(Space::as_str).collect();
    assert_eq!(names, ["admissions", "admissions/envoys", "config", "settings", "status"]);
}
