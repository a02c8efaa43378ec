//! What this bolt writes down of what is done, and what it makes of the logs of the others.
//!
//! Entries come from three sides: from what counts (authority, publishes, settings: once each, told apart by their
//! ids in the own log, so that nothing is written twice and nothing is left out after a crash), from events that this
//! node emits, and from calls of the local API. What is not signed by an operator is folded and rationed
//! ([`fold`]); [`watch`] compares the other bolts' logs; [`told`] lists and checks.
//!
//! Only bolts write, each its own log, and not before another bolt has said how far it has seen that log, or
//! [`PATIENCE`] is over: a bolt with an old disk must not write a number twice. Until then entries wait in a bounded
//! queue. Invariant: an entry follows the last one that this bolt holds, and no number of its own is used twice.

mod fold;
mod told;
mod watch;

use std::collections::{BTreeSet, VecDeque};

use vigo_base::{Hash, PublicKey, Time, planted, time};
use vigo_content::audit::{ANCHORS, Anchor, Entry, Kind, LOG_ENTRIES, Who, rows};
use vigo_crdt::{Space, log};
use vigo_spanner::{Act, Member, MemberState};

use crate::io::{Event, Output};
use crate::node::{Node, Out};

/// How long a bolt that knows others waits for one of them before it writes.
const PATIENCE: u64 = time::mins(2);
/// How long it waits for its own last entry, once somebody spoke of it.
const OWED: u64 = time::secs(10);
/// Entries that wait to be written.
const QUEUE: usize = 1_024;
/// Starts that are written down within an hour: a bolt that cannot stay up must not fill its log.
const STARTS: usize = 10;

/// What a bolt knows of all logs.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    /// The marks of what stands in the own log.
    recorded: BTreeSet<Hash>,
    queue: VecDeque<Entry>,
    /// Entries for which the queue had no room.
    lost: u64,
    /// Until when a bolt's word on the own log is waited for.
    waits: Option<Time>,
    /// The own entry that a bolt holds and we do not, and until when it is waited for.
    owed: Option<(Hash, Time)>,
    folds: fold::Folds,
    watch: watch::Watch,
}

impl Audit {
    /// How many entries may wait.
    pub const QUEUE: usize = QUEUE;

    /// How many entries wait to be written.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }
}

impl Node {
    /// Reads the logs that the store held, and begins.
    pub(crate) fn audit_boot(&mut self, now: Time, out: &mut Out) {
        if !self.is_bolt() {
            return;
        }
        let own: Vec<Entry> = self.own_entries().collect();
        self.audit.recorded = own.iter().filter_map(Entry::mark).collect();
        self.watch_boot(now, out);
        if self.other_bolts().next().is_some() {
            self.audit.waits = Some(now.after(PATIENCE));
        }
        let hour_ago = Time(self.wall(now).0.saturating_sub(time::hours(1)));
        let starts = own.iter().filter(|e| e.known_kind() == Some(Kind::Started) && e.at > hour_ago).count();
        if starts < STARTS {
            let text = format!("version {}", self.options.version);
            self.audit_say(now, Kind::Started, Who::Itself, "", &text, out);
        }
    }

    fn own_entries(&self) -> impl Iterator<Item = Entry> {
        let space = Space::audit(&self.me);
        let records: Vec<_> = self.replica.by_author(&space, &self.me).cloned().collect();
        rows(&records).filter_map(|row| row.entry.ok()).collect::<Vec<_>>().into_iter()
    }

    /// The other bolts that take part.
    pub(crate) fn other_bolts(&self) -> impl Iterator<Item = PublicKey> {
        let bolts = self.trust.iter().flat_map(|t| t.authority.bolts());
        bolts.filter(|bolt| bolt.is_active() && bolt.key != self.me).map(|bolt| bolt.key)
    }

    /// The logs that bolts hold: of every bolt there ever was.
    pub(crate) fn audit_spaces(&self) -> Vec<Space> {
        let bolts = self.trust.iter().flat_map(|t| t.authority.bolts());
        let listed = bolts.filter(|bolt| bolt.is_active() || !planted!(20));
        let mut keys: BTreeSet<PublicKey> = listed.map(|bolt| bolt.key).collect();
        if self.is_bolt() {
            keys.insert(self.me);
        }
        keys.iter().map(Space::audit).collect()
    }

    /// Whether there is, or was, a bolt with this key.
    pub(crate) fn was_bolt(&self, key: &PublicKey) -> bool {
        let known = self.trust.as_ref().is_some_and(|t| t.authority.bolt(key).is_some());
        known || (*key == self.me && self.is_bolt())
    }

    /// Writes down what was done, folded with its like.
    pub(crate) fn audit_say(
        &mut self,
        now: Time,
        kind: Kind,
        who: Who,
        target: &str,
        text: &str,
        out: &mut Out,
    ) {
        if !self.is_bolt() {
            return;
        }
        let entry = Entry::new(self.wall(now), kind, who, target, text);
        if let Some(entry) = self.audit.folds.take(now, entry) {
            self.audit_write(now, entry, out);
        }
    }

    /// Writes an entry that is never folded; one that has a subject, once.
    pub(crate) fn audit_write(&mut self, now: Time, entry: Entry, out: &mut Out) {
        if !self.is_bolt() || entry.mark().is_some_and(|mark| !self.audit.recorded.insert(mark)) {
            return;
        }
        if self.audit.queue.len() < QUEUE {
            self.audit.queue.push_back(entry);
        } else {
            self.audit.lost += 1;
        }
        self.audit_flush(now, out);
    }

    fn audit_flush(&mut self, now: Time, out: &mut Out) {
        if self.audit.waits.is_some() || self.audit.owed.is_some() || self.pen.waits.is_some() {
            return;
        }
        while let Some(entry) = self.audit.queue.pop_front() {
            if !self.append(now, &entry, out) {
                self.audit.queue.push_front(entry);
                return;
            }
        }
        if self.audit.lost > 0 {
            let text = format!("{} entries were lost: too many waited", self.audit.lost);
            let entry = Entry::new(self.wall(now), Kind::Started, Who::Itself, "", &text);
            self.audit.lost = 0;
            self.append(now, &entry, out);
        }
    }

    /// Puts an entry at the end of the own log; false if that cannot be now.
    fn append(&mut self, now: Time, entry: &Entry, out: &mut Out) -> bool {
        let space = Space::audit(&self.me);
        if self.replica.len(&space) >= LOG_ENTRIES {
            let text = format!(
                "the audit log of this bolt has {LOG_ENTRIES} entries and takes no more: let it join with a new key"
            );
            self.warnings.insert("audit", text);
            return true;
        }
        let before = self.replica.head(&space, &self.me);
        let (last, previous) = before.unwrap_or_default();
        let payload = log::payload(last.saturating_add(1), &previous, &entry.encode());
        self.write_now(now, space.clone(), log::LOG, payload, out);
        self.replica.head(&space, &self.me) != before
    }

    /// Writes down what counts now and does not stand in the log yet.
    pub(crate) fn audit_state(&mut self, now: Time, out: &mut Out) {
        if !self.is_bolt() {
            return;
        }
        let mut entries = self.authority_entries(now);
        entries.extend(self.content_entries(now));
        entries.retain(|entry| entry.mark().is_none_or(|mark| !self.audit.recorded.contains(&mark)));
        for entry in entries {
            self.audit_write(now, entry, out);
        }
    }

    fn operator(&self, key: &PublicKey) -> Who {
        let name = self.trust.as_ref().map_or_else(|| key.short(), |t| t.operator_name(key));
        Who::Operator { key: *key, name }
    }

    /// A member, or a stranger, by key.
    fn peer(&self, key: &PublicKey) -> Who {
        match self.known_member(key) {
            Some(member) => Who::Node { key: *key, name: member.name.to_string() },
            None => Who::Stranger { key: *key },
        }
    }

    fn authority_entries(&self, now: Time) -> Vec<Entry> {
        let (Some(trust), at) = (&self.trust, self.wall(now)) else { return Vec::new() };
        let mut entries = Vec::new();
        let counting =
            trust.admissions.statements().iter().filter(|(id, _)| trust.authority.counts(id).is_ok());
        for (id, said) in counting {
            let Ok(act) = &said.act else { continue };
            let (kind, target, text) = self.act_in_words(act);
            let who = self.operator(&said.statement.signer());
            entries.push(Entry::new(at, kind, who, &target, &text).about(*id));
        }
        for member in trust.roster.members() {
            entries.extend(self.member_entry(at, member));
        }
        entries
    }

    fn member_entry(&self, at: Time, member: &Member) -> Option<Entry> {
        if let MemberState::Suspended(why) = &member.state {
            let who = Who::Node { key: member.key, name: member.name.to_string() };
            let entry = Entry::new(at, Kind::Suspended, who, member.name.as_str(), &why.to_string());
            return Some(entry.about(member.spend));
        }
        // Where it happened: the other bolts hold that log too.
        (member.by == self.me).then(|| {
            let what = Node::kind_name(member.kind);
            let text = format!("{what} {}, invited by {}", member.key, member.invite.short());
            Entry::new(at, Kind::Joined, Who::Itself, member.name.as_str(), &text).about(member.spend)
        })
    }

    fn act_in_words(&self, act: &Act) -> (Kind, String, String) {
        let names = |keys: &[PublicKey]| -> String {
            let name = |key: &PublicKey| self.peer_name(key);
            keys.iter().take(8).map(name).collect::<Vec<_>>().join(" ")
        };
        match act {
            Act::Genesis(genesis) => (Kind::Genesis, genesis.label.clone(), String::new()),
            Act::Admit(admit) => {
                let rights: Vec<&str> = admit.grants.iter().map(|grant| grant.right.as_str()).collect();
                (Kind::Admit, admit.name.to_string(), rights.join(" "))
            }
            Act::Invite(invite) => {
                let what = Node::kind_name(invite.kind);
                let uses = invite.uses;
                (Kind::Invite, invite.name.to_string(), format!("{what}, for {uses}"))
            }
            Act::Revoke(revoke) => (Kind::Revoke, names(&revoke.keys), revoke.reason.clone()),
            Act::Keep(_) => (Kind::Keep, String::new(), String::new()),
            Act::Amend(amend) => (Kind::Amend, String::new(), format!("{amend:?}")),
        }
    }

    fn peer_name(&self, key: &PublicKey) -> String {
        let trust = self.trust.as_ref();
        let operator = trust.and_then(|t| t.authority.operators().find(|o| o.key == *key));
        match (operator, self.known_member(key)) {
            (Some(operator), _) => operator.name.clone(),
            (None, Some(member)) => member.name.to_string(),
            (None, None) => key.short(),
        }
    }

    fn content_entries(&self, now: Time) -> Vec<Entry> {
        let at = self.wall(now);
        let publishes = self.config.iter().filter(|p| p.refused.is_none());
        let publish = |p: &vigo_content::config::Published| {
            let target = format!("epoch {}", p.at.epoch);
            Entry::new(at, Kind::Published, self.operator(&p.signer), &target, &p.publish.note).about(p.at.id)
        };
        let mut entries: Vec<Entry> = publishes.map(publish).collect();
        for key in vigo_content::settings::KEYS {
            let Some(setting) = self.settings.get(key.name) else { continue };
            let value =
                setting.value.as_ref().map_or_else(|| "back to its default".into(), ToString::to_string);
            let who = self.operator(&setting.signer);
            entries.push(Entry::new(at, Kind::Setting, who, key.name, &value).about(setting.place.1));
        }
        entries
    }

    /// Writes down what this node emitted since output number `from`.
    pub(crate) fn audit_events(&mut self, now: Time, from: usize, out: &mut Out) {
        if !self.is_bolt() {
            return;
        }
        let emitted = |output: &Output| match output {
            Output::Emit(event) => Some(event.clone()),
            _ => None,
        };
        let events: Vec<Event> = out.as_slice().iter().skip(from).filter_map(emitted).collect();
        for event in events {
            match event {
                Event::PeerRefused { key, why } => {
                    self.audit_say(now, Kind::PeerRefused, self.peer(&key), "", &why, out);
                }
                Event::JoinTurnedDown { key, name, why } => {
                    self.audit_say(now, Kind::JoinRefused, Who::Stranger { key }, &name, &why, out);
                }
                Event::Misbehaved { key, what } => {
                    self.audit_say(now, Kind::Misbehaved, self.peer(&key), "", &what, out);
                }
                Event::Cloned { key } => {
                    let text = "its key signed two records with one sequence";
                    self.audit_say(now, Kind::Cloned, self.peer(&key), &self.peer_name(&key), text, out);
                }
                Event::Alarm { bolt, what } => {
                    self.audit_say(now, Kind::Alarm, self.peer(&bolt), &self.peer_name(&bolt), &what, out);
                }
                Event::Fork { loser } => {
                    let who = self.config.get(&loser).map_or(Who::Itself, |p| self.operator(&p.signer));
                    let epoch = self.config.get(&loser).map_or(0, |p| p.at.epoch);
                    let target = format!("epoch {epoch}");
                    let entry = Entry::new(self.wall(now), Kind::PublishLost, who, &target, "");
                    self.audit_write(now, entry.about(loser), out);
                }
                Event::EffectRefused { what, why } => {
                    self.audit_say(now, Kind::EffectRefused, Who::Itself, &what, &why, out);
                }
                _ => {}
            }
        }
    }

    /// A bolt says how far it has seen our own log.
    pub(crate) fn audit_heard(&mut self, now: Time, head: Option<(u64, Hash)>) {
        self.audit.waits = None;
        let space = Space::audit(&self.me);
        let ours = self.replica.head(&space, &self.me).map_or(0, |(seq, _)| seq);
        if let Some((_, id)) = head.filter(|(seq, id)| *seq > ours && !self.replica.contains(&space, id)) {
            self.audit.owed = Some((id, now.after(OWED)));
        }
    }

    /// An entry of the own log came back from a peer.
    fn audit_returned(&mut self, id: &Hash) {
        if self.audit.owed.is_some_and(|(owed, _)| owed == *id) {
            self.audit.owed = None;
        }
    }

    pub(crate) fn audit_wake(&mut self, now: Time, out: &mut Out) {
        if !self.is_bolt() {
            return;
        }
        if self.audit.waits.is_some_and(|until| now >= until) {
            self.audit.waits = None;
        }
        if self.audit.owed.is_some_and(|(_, until)| now >= until) {
            self.audit.owed = None;
            self.note("a peer spoke of an entry of our own log that it does not have: not waited for", out);
        }
        let at = self.wall(now);
        for entry in self.audit.folds.due(now, at) {
            self.audit_write(now, entry, out);
        }
        self.watch_wake(now, out);
        self.audit_flush(now, out);
    }

    pub(crate) fn audit_next_wake(&self) -> Option<Time> {
        if !self.is_bolt() {
            return None;
        }
        let audit = &self.audit;
        let owed = audit.owed.map(|(_, until)| until);
        audit
            .waits
            .into_iter()
            .chain(owed)
            .chain(audit.folds.next_wake())
            .chain(audit.watch.next_wake())
            .min()
    }

    /// Writes down how far the others' logs have come.
    fn audit_anchor(&mut self, now: Time, anchors: &[Anchor], out: &mut Out) {
        for some in anchors.chunks(ANCHORS) {
            let entry = Entry::new(self.wall(now), Kind::Anchors, Who::Itself, "", "");
            self.audit_write(now, Entry { anchors: some.to_vec(), ..entry }, out);
        }
    }

    /// The last entry before the node ends.
    pub(crate) fn audit_stopping(&mut self, now: Time, out: &mut Out) {
        if !self.is_bolt() {
            return;
        }
        let at = self.wall(now);
        for entry in self.audit.folds.all(at) {
            self.audit_write(now, entry, out);
        }
        self.audit_say(now, Kind::Stopped, Who::Itself, "", "", out);
    }
}
