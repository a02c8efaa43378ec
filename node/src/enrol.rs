//! Joining, on both sides.
//!
//! The joining side dials the bolts it was told of, shows an invite's proof or asks, and keeps the papers it gets;
//! it then falls silent: the process that joined is not the one that converges. The bolt's side spends invites by
//! `spanner`'s rules, keeps a bounded list of who asks, and answers those whom an operator has approved.
//!
//! Invariant: nothing is heard from whoever is not admitted but the wish to be.

use std::collections::BTreeMap;

use vigo_base::{Hash, PublicKey, SpannerId, Time, codec, time};
use vigo_content::audit::{Kind as Deed, Who};
use vigo_crdt::Space;
use vigo_spanner::spend::SPEND;
use vigo_spanner::{
    Admissions, Authority, Desk, EnrolRefused, EnrolRequest, Enrolment, JoinRequest, JoinState, NodeKind,
    Papers, Proof, six_words,
};
use vigo_swarm::frame::{AskToJoin, Bytes, Enrol, Farewell, Frame, JoinAnswer};
use vigo_swarm::ids::ConnId;

use crate::boot::{Join, meta};
use crate::command::{Refusal, RefusalKind, Reply, RequestRow};
use crate::discover::Looking;
use crate::io::{Event, Output, StoreOp};
use crate::node::{Node, Out};
use crate::session::Stage;
use vigo_swarm::peers::{Kind, Source};

/// How long to wait between two attempts to join.
const PAUSE: u64 = time::secs(2);
/// For how many seconds a connection is kept while an operator decides.
const DECISION: u64 = 15 * 60;
/// How many attempts fail before the reason is given to the person who waits.
const ATTEMPTS: u32 = 5;

/// A node that is about to join.
#[derive(Debug)]
pub(crate) struct Joining {
    how: Join,
    addresses: Vec<(String, Option<PublicKey>)>,
    next: Option<Time>,
    attempts: u32,
    conn: Option<ConnId>,
    trouble: Option<String>,
    pending: bool,
    over: bool,
    /// Looks for a bolt on this machine's own networks first.
    pub looking: Option<Looking>,
}

impl Joining {
    pub fn new(how: Join, now: Time) -> Joining {
        let addresses = match &how {
            Join::Token { token, .. } => {
                let of = |b: &vigo_spanner::TokenBolt| {
                    b.addresses.iter().map(|a| (a.clone(), Some(b.key))).collect::<Vec<_>>()
                };
                token.bolts.iter().flat_map(of).collect()
            }
            Join::Ask { addresses, .. } => addresses.iter().map(|a| (a.clone(), None)).collect(),
            Join::Discover { .. } => Vec::new(),
        };
        let looking = matches!(how, Join::Discover { .. }).then(|| Looking::new(now));
        let next = Some(now).filter(|_| looking.is_none());
        let (attempts, conn, trouble, pending, over) = (0, None, None, false, false);
        Joining { how, addresses, next, attempts, conn, trouble, pending, over, looking }
    }

    /// The fleet that it means, if it knows one.
    pub fn meant(&self) -> Option<SpannerId> {
        match &self.how {
            Join::Token { token, .. } => Some(token.spanner),
            Join::Ask { spanner, .. } | Join::Discover { spanner, .. } => *spanner,
        }
    }

    /// Bolts of one fleet were found: it is the one that is meant from now on, and they are asked.
    pub fn found(&mut self, now: Time, fleet: SpannerId, bolts: Vec<(String, Option<PublicKey>)>) {
        if let Join::Discover { spanner, .. } = &mut self.how {
            *spanner = Some(fleet);
        }
        (self.looking, self.addresses, self.next) = (None, bolts, Some(now));
    }

    /// Looking came to nothing.
    pub fn give_up(&mut self, why: &str) {
        (self.looking, self.over, self.trouble) = (None, true, Some(why.to_string()));
    }

    pub fn next_wake(&self) -> Option<Time> {
        self.next.filter(|_| self.conn.is_none() && !self.over)
    }

    pub fn in_words(&self) -> String {
        match (&self.trouble, self.pending) {
            (_, true) => "an operator has to approve".into(),
            (Some(trouble), _) => trouble.clone(),
            (None, _) => "looking for a bolt".into(),
        }
    }
}

/// On which connection somebody asks to join, and from where: beside [`vigo_spanner::JoinRequests`], on a bolt.
#[derive(Debug, Default)]
pub(crate) struct Askers(BTreeMap<PublicKey, ConnId>);

// The joining side.
impl Node {
    pub(crate) fn joining_wake(&mut self, now: Time, out: &mut Out) {
        let Some(joining) = &mut self.joining else { return };
        if joining.next_wake().is_none_or(|due| now < due) || joining.addresses.is_empty() {
            return;
        }
        let (address, expect) =
            joining.addresses[joining.attempts as usize % joining.addresses.len()].clone();
        joining.attempts += 1;
        joining.next = Some(now.after(PAUSE * 5));
        out.push(Output::Dial { address, expect });
    }

    pub(crate) fn joining_up(&mut self, _now: Time, conn: ConnId, out: &mut Out) {
        let Some(session) = self.sessions.get(&conn) else { return };
        let (dialed, exporter) = (session.dialed, session.exporter);
        let Some(joining) = &mut self.joining else { return };
        if !dialed || joining.over || joining.conn.is_some() {
            out.push(Output::HangUp { conn, why: "this node belongs to no fleet yet".into() });
            return;
        }
        joining.conn = Some(conn);
        let frame = match &joining.how {
            Join::Token { token, name } => {
                let proof = Proof::sign(&token.key(), &token.spanner, &self.me, name, &exporter);
                Frame::Enrol(Enrol {
                    spanner: token.spanner,
                    invite_key: proof.key,
                    name: name.clone(),
                    proof: proof.signature,
                    bolt: token.kind == NodeKind::Bolt,
                })
            }
            Join::Ask { name, bolt, spanner, .. } | Join::Discover { name, bolt, spanner } => {
                Frame::AskToJoin(AskToJoin { spanner: *spanner, name: name.clone(), bolt: *bolt })
            }
        };
        self.send(conn, &frame, out);
    }

    pub(crate) fn joining_down(&mut self, now: Time, conn: ConnId, why: &str, out: &mut Out) {
        let Some(joining) = &mut self.joining else { return };
        if joining.conn == Some(conn) {
            joining.conn = None;
            joining.pending = false;
            joining.next = Some(now.after(PAUSE));
            joining.trouble.get_or_insert_with(|| why.to_string());
            self.joining_failed(out);
        }
    }

    pub(crate) fn joining_goodbye(&mut self, _now: Time, conn: ConnId, text: &str, out: &mut Out) {
        let Some(joining) = &mut self.joining else { return };
        if joining.conn == Some(conn) {
            joining.trouble = Some(text.to_string());
            joining.over = true;
            out.push(Output::Emit(Event::JoinRefused { why: text.to_string() }));
        }
    }

    pub(crate) fn joining_dial_failed(&mut self, now: Time, address: &str, why: &str, out: &mut Out) {
        let Some(joining) = &mut self.joining else { return };
        joining.next = Some(now.after(PAUSE));
        joining.trouble = Some(format!("{address}: {why}"));
        self.joining_failed(out);
    }

    /// After enough failures the person who waits hears why; the node itself would go on trying.
    fn joining_failed(&mut self, out: &mut Out) {
        let Some(joining) = &mut self.joining else { return };
        if joining.attempts as usize >= (ATTEMPTS as usize).max(joining.addresses.len()) && !joining.over {
            joining.over = true;
            let why = format!(
                "no bolt could be reached; the last attempt: {}",
                joining.trouble.clone().unwrap_or_default()
            );
            out.push(Output::Emit(Event::JoinRefused { why }));
        }
    }

    pub(crate) fn join_answer(&mut self, now: Time, conn: ConnId, answer: JoinAnswer, out: &mut Out) {
        let Some(joining) = &mut self.joining else {
            return self.misbehaved(now, conn, "an answer to what was not asked".into(), out);
        };
        if joining.conn != Some(conn) {
            return;
        }
        match answer {
            JoinAnswer::Admitted(spanner, papers) => self.admitted(now, conn, spanner, &papers, out),
            JoinAnswer::Pending(spanner, _) => self.pending(conn, spanner, out),
            JoinAnswer::Refused(why) => {
                let why = vigo_base::text::escaped(&why.chars().take(500).collect::<String>());
                joining.trouble = Some(why.clone());
                // Another bolt may have heard of an invite that this one has not: each is asked once.
                if (joining.attempts as usize) < joining.addresses.len() {
                    return out.push(Output::HangUp { conn, why: "another bolt is asked".into() });
                }
                joining.over = true;
                out.push(Output::Emit(Event::JoinRefused { why }));
            }
        }
    }

    fn pending(&mut self, conn: ConnId, spanner: SpannerId, out: &mut Out) {
        let Some(session) = self.sessions.get(&conn) else { return };
        let words = six_words(&session.exporter, &self.me, &session.key).join(" ");
        let Some(joining) = &mut self.joining else { return };
        if let Some(why) = joining.wrong_fleet(&spanner) {
            joining.over = true;
            out.push(Output::Emit(Event::JoinRefused { why }));
            return out.push(Output::HangUp { conn, why: "another fleet".into() });
        }
        joining.pending = true;
        out.push(Output::Extend { conn, seconds: DECISION });
        out.push(Output::Emit(Event::JoinPending { spanner: spanner.to_string(), words }));
    }

    /// Papers came: check them as any peer would, keep them, and fall silent.
    fn admitted(&mut self, _now: Time, conn: ConnId, spanner: SpannerId, papers: &[u8], out: &mut Out) {
        let Some(joining) = &mut self.joining else { return };
        let nothing_known = Authority::evaluate(&Admissions::new(spanner));
        let checked = match joining.wrong_fleet(&spanner) {
            Some(why) => Err(why),
            None => {
                Papers::check(papers, &self.me, &nothing_known).map_err(|e| format!("the bolt's answer: {e}"))
            }
        };
        joining.over = true;
        match checked {
            Ok(checked) => {
                let put = |key: &str, value: Vec<u8>| StoreOp::PutMeta { key: key.to_string(), value };
                let mut ops =
                    vec![put(meta::SPANNER, spanner.0.0.to_vec()), put(meta::PAPERS, papers.to_vec())];
                for (address, key) in joining.addresses.clone() {
                    let key = key.or_else(|| self.sessions.get(&conn).map(|s| s.key));
                    if let (Some(key), Ok(address)) = (key, address.parse()) {
                        self.peers.learn(Source::Token, key, Kind::Bolt, vec![address]);
                    }
                }
                ops.push(put(meta::BOOK, self.peers.book().encode()));
                self.dormant = true;
                out.push(Output::Persist(ops));
                let name = checked.member.name.to_string();
                out.push(Output::Emit(Event::Joined { name, spanner: spanner.to_string() }));
            }
            Err(why) => out.push(Output::Emit(Event::JoinRefused { why })),
        }
        out.push(Output::HangUp { conn, why: "joined".into() });
    }
}

impl Joining {
    fn wrong_fleet(&self, found: &SpannerId) -> Option<String> {
        let other = self.meant().filter(|meant| meant != found)?;
        Some(format!("that bolt is of the fleet {found}, and {other} was meant"))
    }
}

// The bolt's side.
impl Node {
    pub(crate) fn enrolment(&mut self, now: Time, conn: ConnId, enrol: Enrol, out: &mut Out) {
        let Some(session) = self.sessions.get(&conn) else { return };
        let (node, exporter) = (session.key, session.exporter);
        let proof = Proof { key: enrol.invite_key, exporter: Hash::of(&exporter), signature: enrol.proof };
        let kind = if enrol.bolt { NodeKind::Bolt } else { NodeKind::Envoy };
        let name = enrol.name.to_string();
        let request = EnrolRequest { name: enrol.name, kind, proof };
        let answer = match self.spanner().filter(|ours| *ours != enrol.spanner) {
            Some(ours) => JoinAnswer::Refused(format!(
                "this bolt is of the fleet {ours}, and the token of {}: ask for a token of this fleet",
                enrol.spanner
            )),
            None => {
                let considered = self.desk(now).map(|desk| desk.enrol(&node, &request, &exporter));
                self.spend(now, node, considered, out)
            }
        };
        if let JoinAnswer::Refused(why) = &answer {
            out.push(Output::Emit(Event::JoinTurnedDown { key: node, name, why: why.clone() }));
        }
        self.send(conn, &Frame::JoinAnswer(answer), out);
    }

    fn desk(&self, now: Time) -> Option<Desk<'_>> {
        let trust = self.trust.as_ref()?;
        Some(Desk { authority: &trust.authority, roster: &trust.roster, me: self.me, now: self.wall(now) })
    }

    /// Spends an invite that the rules allow to be spent, and answers with the papers.
    fn spend(
        &mut self,
        now: Time,
        node: PublicKey,
        considered: Option<Result<Enrolment, EnrolRefused>>,
        out: &mut Out,
    ) -> JoinAnswer {
        match considered {
            None => return JoinAnswer::Refused("this node belongs to no fleet yet".into()),
            Some(Err(refused)) => return JoinAnswer::Refused(refused.to_string()),
            Some(Ok(Enrolment::Already(_))) => {}
            Some(Ok(Enrolment::Spend(spend, kind))) => {
                let space = match kind {
                    NodeKind::Bolt => Space::admissions(),
                    NodeKind::Envoy => Space::envoys(),
                };
                self.write(now, space, SPEND, codec::encode(&spend), out);
                if kind == NodeKind::Bolt {
                    self.trust_changed(now, out);
                }
            }
        }
        let spanner = self.spanner().unwrap_or_default();
        let papers = self.trust.as_ref().map(|t| Papers::build(&t.authority, &t.roster, &node));
        match papers {
            Some(Ok(papers)) => JoinAnswer::Admitted(spanner, Bytes::from(papers.encode())),
            _ => JoinAnswer::Refused("this bolt has just started: try again in ten seconds".into()),
        }
    }

    pub(crate) fn asked_to_join(&mut self, now: Time, conn: ConnId, ask: AskToJoin, out: &mut Out) {
        let Some(session) = self.sessions.get(&conn) else { return };
        let (key, exporter) = (session.key, session.exporter);
        let refuse = |why: String| Frame::JoinAnswer(JoinAnswer::Refused(why));
        let Some(spanner) = self.spanner().filter(|_| self.is_bolt()) else {
            return self.send(conn, &refuse("this node is no bolt: ask one".into()), out);
        };
        if let Some(meant) = ask.spanner.filter(|meant| *meant != spanner) {
            let why = format!("this bolt is of the fleet {spanner}, and {meant} was meant");
            return self.send(conn, &refuse(why), out);
        }
        if self.trust.as_ref().is_some_and(|t| t.authority.is_revoked(&key).is_some()) {
            let why = "a revoked key never returns: make a new one".to_string();
            let name = ask.name.to_string();
            out.push(Output::Emit(Event::JoinTurnedDown { key, name, why: why.clone() }));
            return self.farewell(conn, Farewell::Revoked, why, out);
        }
        let kind = if ask.bolt { NodeKind::Bolt } else { NodeKind::Envoy };
        let words = six_words(&exporter, &self.me, &key);
        if let Err(refused) = self.requests.ask(now, key, ask.name, kind, words) {
            return self.send(conn, &refuse(refused.to_string()), out);
        }
        self.askers.0.insert(key, conn);
        if let Some(session) = self.sessions.get_mut(&conn) {
            session.stage = Stage::Pending;
        }
        out.push(Output::Extend { conn, seconds: DECISION });
        self.send(conn, &Frame::JoinAnswer(JoinAnswer::Pending(spanner, String::new())), out);
        self.serve_requests(now, out);
    }

    /// Answers those who asked and whom an operator has approved since. Whoever still waits on a live connection
    /// is kept from going stale.
    pub(crate) fn serve_requests(&mut self, now: Time, out: &mut Out) {
        if !self.is_bolt() {
            return;
        }
        let waiting: Vec<(PublicKey, vigo_base::Hostname)> =
            self.requests.iter().map(|r| (r.key, r.name.clone())).collect();
        for (key, name) in waiting {
            let Some(conn) = self.askers.0.get(&key).copied().filter(|c| self.sessions.contains_key(c))
            else {
                self.askers.0.remove(&key);
                continue;
            };
            self.requests.status(now, &key);
            let considered = self.desk(now).map(|desk| desk.approved(&key, &name));
            if matches!(considered, Some(Err(EnrolRefused::NotApproved { .. })) | None) {
                continue;
            }
            let answer = self.spend(now, key, considered, out);
            self.requests.remove(&key);
            self.askers.0.remove(&key);
            if let Some(session) = self.sessions.get_mut(&conn) {
                session.stage = Stage::Stranger;
            }
            self.send(conn, &Frame::JoinAnswer(answer), out);
        }
    }

    /// The requests that wait, for a listing.
    pub(crate) fn request_rows(&self) -> Vec<RequestRow> {
        let address = |key: &PublicKey| {
            let session = self.askers.0.get(key).and_then(|conn| self.sessions.get(conn));
            session.map(|s| s.address.clone()).unwrap_or_default()
        };
        let row = |r: &JoinRequest| RequestRow {
            name: r.name.to_string(),
            key: r.key,
            bolt: r.kind == NodeKind::Bolt,
            address: address(&r.key),
            words: r.words.join(" "),
            since: r.since,
        };
        self.requests.iter().filter(|r| r.state == JoinState::Waiting).map(row).collect()
    }

    /// Turns down a request.
    pub(crate) fn deny(
        &mut self,
        now: Time,
        uid: u32,
        key: PublicKey,
        out: &mut Out,
    ) -> Result<Reply, Refusal> {
        let name = self.requests.get(&key).map(|r| r.name.to_string()).unwrap_or_default();
        let words = self.requests.get(&key).map(|r| r.words).unwrap_or_default();
        if let Err(refused) = self.requests.decide(now, &key, &words, false) {
            let hint = Some("`vigocli spanner requests` shows who asks".to_string());
            return Err(Refusal { kind: RefusalKind::NotFound, what: refused.to_string(), hint });
        }
        if let Some(conn) = self.askers.0.remove(&key) {
            let why = "an operator turned the request down";
            self.send(conn, &Frame::JoinAnswer(JoinAnswer::Refused(why.into())), out);
            self.farewell(conn, Farewell::Denied, why.into(), out);
        }
        let text = format!("the key {key}");
        self.audit_say(now, Deed::JoinDenied, Who::Local { uid }, &name, &text, out);
        Ok(Reply::Denied)
    }
}
