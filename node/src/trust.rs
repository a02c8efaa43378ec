//! Who belongs, and what follows when that changes.
//!
//! [`Trust`] holds the admissions that this node knows, the authority evaluated from them, and this node's own
//! standing. When admissions change, everything that was decided by them is decided again: who is connected, what
//! counts in every other space, what waits.

use std::collections::BTreeSet;

use vigo_base::{Hash, PublicKey, SpannerId, Time};
use vigo_crdt::register::REGISTER;
use vigo_crdt::{Record, Space};
use vigo_spanner::papers::fallen;
use vigo_spanner::spend::{SPEND, STATEMENT};
use vigo_spanner::{
    Admissions, Authority, Checked, Member, MemberState, NodeKind, Papers, PapersRefused, Roster, Suspension,
    WhyNot,
};
use vigo_swarm::frame::{Bytes, Farewell};
use vigo_swarm::ids::ConnId;

use crate::io::{Event, Output};
use crate::node::{Node, Out};
use crate::warrant::signer_made;

/// Why a peer is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotLetIn {
    /// Its papers do not hold.
    #[error("{0}")]
    Papers(#[from] PapersRefused),
    /// They hold, but it is suspended.
    #[error("{0}")]
    Suspended(Suspension),
}

/// How this node itself stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It belongs.
    Member(Box<Member>),
    /// It does not, any more or yet.
    Out(String),
}

/// What this node knows of its fleet.
#[derive(Debug)]
pub(crate) struct Trust {
    pub admissions: Admissions,
    pub authority: Authority,
    pub roster: Roster,
    papers: Vec<u8>,
    me: PublicKey,
    pub standing: Standing,
    /// Keys that some Admit names, whether it counts or not, and the recovery key.
    signers: BTreeSet<PublicKey>,
}

impl Trust {
    pub fn new(spanner: SpannerId, me: PublicKey, papers: Vec<u8>) -> Trust {
        let admissions = Admissions::new(spanner);
        let authority = Authority::evaluate(&admissions);
        let roster = Roster::new(&authority);
        let standing = Standing::Out("the papers have not been looked at".into());
        Trust { admissions, authority, roster, papers, me, standing, signers: BTreeSet::new() }
    }

    pub fn spanner(&self) -> SpannerId {
        self.admissions.spanner()
    }

    /// This node's encoded papers.
    pub fn papers(&self) -> &[u8] {
        &self.papers
    }

    /// Checks a peer's papers. Whoever is suspended is not let in.
    pub fn check(&self, papers: &[u8], key: &PublicKey) -> Result<Checked, NotLetIn> {
        let checked = Papers::check(papers, key, &self.authority)?;
        let known = self.find(key).map_or(&checked.member.state, |m| &m.state);
        match known {
            MemberState::Suspended(why) => Err(NotLetIn::Suspended(why.clone())),
            _ => Ok(checked),
        }
    }

    pub fn member(&self) -> Option<&Member> {
        match &self.standing {
            Standing::Member(member) => Some(member),
            Standing::Out(_) => None,
        }
    }

    pub fn is_bolt(&self) -> bool {
        self.member().is_some_and(Member::is_active_bolt)
    }

    pub fn in_standing(&self) -> bool {
        self.member().is_some()
    }

    /// Whether some Admit names this key, or it is the recovery key.
    pub fn knows_signer(&self, key: &PublicKey) -> bool {
        self.signers.contains(key)
    }

    /// Remembers whom a statement that is held makes a signer.
    pub fn note_statement(&mut self, id: &Hash) {
        let said = self.admissions.statements().get(id);
        self.signers.extend(said.and_then(|s| signer_made(&s.statement, &s.act, &self.admissions.spanner())));
    }

    /// The member with this key: a bolt, or an envoy as far as this node holds envoys' admissions.
    pub fn find(&self, key: &PublicKey) -> Option<&Member> {
        self.roster.get(key)
    }

    /// Evaluates everything again.
    fn evaluate(&mut self) {
        self.authority = Authority::evaluate(&self.admissions);
        self.roster.rejudge(&self.authority);
        self.standing = match self.check(&self.papers, &self.me) {
            Ok(checked) => Standing::Member(Box::new(checked.member)),
            Err(refused) => Standing::Out(refused.to_string()),
        };
    }

    /// The name of whoever signs with this key, for people.
    pub fn operator_name(&self, key: &PublicKey) -> String {
        let by = self.authority.operators().find(|o| o.key == *key);
        by.map_or_else(|| key.short(), |o| o.name.clone())
    }

    /// Whether what lies under `key` in `admissions` counts or waits, and so is offered to peers.
    fn offered(&self, key: &Hash, record: &Record) -> bool {
        match record.kind() {
            STATEMENT => {
                matches!(self.authority.counts(key), Ok(()) | Err(WhyNot::Unknown { .. } | WhyNot::Act(_)))
            }
            SPEND => matches!(self.authority.spend_counts(key), None | Some(Ok(()))),
            _ => true,
        }
    }
}

impl Node {
    /// Takes a record of `admissions` or `admissions/envoys` into the typed set; gives whether it is new there.
    pub(crate) fn trust_insert(&mut self, record: &Record) {
        let Some(trust) = &mut self.trust else { return };
        if *record.space() == Space::envoys() {
            // What collides is settled once for all that came together: see [`Node::envoys_changed`].
            if let Ok(Some(proof)) = trust.roster.file(&trust.authority, record) {
                trust.admissions.insert_fork(*proof);
                self.touched.insert(Space::admissions());
            }
            return;
        }
        // What cannot be read was refused before it came here.
        let _ = trust.admissions.insert(record);
        if record.kind() == STATEMENT {
            // A statement's id is the hash of the payload that brought it.
            trust.note_statement(&Hash::of(record.payload()));
        }
    }

    /// Draws the consequences of new admissions.
    pub(crate) fn trust_changed(&mut self, now: Time, out: &mut Out) {
        let Some(trust) = &mut self.trust else { return };
        let was_in = trust.in_standing();
        trust.evaluate();
        self.mark_offered();
        let trust = self.trust.as_ref();
        if let Some(Standing::Out(why)) = trust.map(|t| &t.standing) {
            if was_in {
                out.push(Output::Emit(Event::Expelled { why: why.clone() }));
            }
            let why = why.clone();
            self.warnings.insert("standing", why);
        } else {
            self.warnings.remove("standing");
        }
        self.judge_sessions(out);
        self.peers.reconsider(now);
        self.share_anew(now, out);
        self.serve_requests(now, out);
        self.pen_flush(now, out);
        self.retry_parked(now, out);
        self.touched.insert(Space::config());
        self.touched.insert(Space::settings());
        self.exchange_peers(now, out);
    }

    /// Envoys were admitted: authority is as it was, and the roster settles what collides.
    pub(crate) fn envoys_changed(&mut self, now: Time, out: &mut Out) {
        if let Some(trust) = &mut self.trust {
            trust.roster.settle(&trust.authority);
        }
        self.mark_words();
        self.judge_sessions(out);
        self.retry_parked(now, out);
    }

    fn mark_offered(&mut self) {
        let Some(trust) = &self.trust else { return };
        let admissions = Space::admissions();
        let marks: Vec<(Hash, bool)> =
            self.replica.records(&admissions).map(|(key, r, _)| (*key, trust.offered(key, r))).collect();
        for (key, offered) in marks {
            self.replica.offer(&admissions, &key, offered);
        }
        self.mark_words();
    }

    /// Whoever is out is not heard of any more: a bolt that comes later would not take its word, and two bolts that
    /// never agree compare for ever.
    fn mark_words(&mut self) {
        let Some(trust) = &self.trust else { return };
        let status = Space::status();
        let active = |r: &Record| match r.kind() {
            REGISTER if r.author() == self.me => trust.in_standing(),
            REGISTER => trust.find(&r.author()).is_some_and(Member::is_active),
            _ => true,
        };
        let marks: Vec<(Hash, bool)> =
            self.replica.records(&status).map(|(key, r, _)| (*key, active(r))).collect();
        for (key, offered) in marks {
            self.replica.offer(&status, &key, offered);
        }
    }

    /// Cuts the connections of those who no longer belong.
    fn judge_sessions(&mut self, out: &mut Out) {
        let Some(trust) = &self.trust else { return };
        let mut cut: Vec<(ConnId, Farewell, String)> = Vec::new();
        for session in self.sessions.values() {
            let Some(member) = session.member() else { continue };
            let revoked = trust.authority.revoked_at(&member.key, member.depth);
            if let Some(revocation) = revoked {
                let text = format!("{} was revoked: {}", member.name, revocation.revoke.reason);
                cut.push((session.conn, Farewell::Revoked, text));
            } else if trust.authority.suspended(&member.key).is_some() {
                let text =
                    format!("the key of {} was found in two places: revoke it and join again", member.name);
                cut.push((session.conn, Farewell::Suspended, text));
            } else if let Some(MemberState::Suspended(why)) = trust.find(&member.key).map(|m| &m.state) {
                cut.push((session.conn, Farewell::Suspended, why.to_string()));
            } else if !trust.in_standing() {
                cut.push((session.conn, Farewell::Papers, "this node has lost its own standing".into()));
            } else if let Some(why) = session.spend.as_ref().and_then(|s| fallen(&trust.authority, s)) {
                cut.push((session.conn, Farewell::Papers, why.to_string()));
            }
        }
        for (conn, why, text) in cut {
            if let Some(session) = self.sessions.get(&conn) {
                out.push(Output::Emit(Event::PeerRefused { key: session.key, why: text.clone() }));
            }
            self.farewell(conn, why, text, out);
        }
    }

    /// The records that show a peer why it is turned away.
    pub(crate) fn proof_against(&self, key: &PublicKey, why: Farewell) -> Vec<Bytes> {
        let Some(trust) = &self.trust else { return Vec::new() };
        let record = match why {
            Farewell::Revoked => trust
                .authority
                .is_revoked(key)
                .and_then(|revocation| self.replica.get(&Space::admissions(), &revocation.id)),
            Farewell::Suspended => {
                let mut forks = trust.admissions.forks().filter(|f| f.author() == *key);
                // A proof is filed under the hash of its payload.
                forks.find_map(|f| self.replica.get(&Space::admissions(), &Hash::of(&f.encode()?)))
            }
            _ => None,
        };
        record.into_iter().map(|r| Bytes::from(r.bytes().to_vec())).collect()
    }

    /// How a member is known here: as a bolt, from the roster, or by the papers it showed on a connection.
    pub(crate) fn known_member(&self, key: &PublicKey) -> Option<Member> {
        let trust = self.trust.as_ref()?;
        if *key == self.me {
            return trust.member().cloned();
        }
        trust
            .find(key)
            .cloned()
            .or_else(|| self.members().find(|(_, m)| m.key == *key).map(|(_, m)| m.clone()))
    }

    /// `bolt` or `envoy`.
    pub(crate) fn kind_name(kind: NodeKind) -> &'static str {
        match kind {
            NodeKind::Bolt => "bolt",
            NodeKind::Envoy => "envoy",
        }
    }
}
