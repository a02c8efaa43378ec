//! Connections: papers first, then frames, each through the one door.
//!
//! TLS proved that the peer holds its key. The first frame says who it is; until its papers hold nothing is heard
//! from it but a wish to join. What a peer must have known to be wrong ends the conversation; being behind or
//! early never does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vigo_base::{PublicKey, Time, limits, planted};
use vigo_crdt::Space;
use vigo_spanner::spend::SpendRecord;
use vigo_spanner::{Member, NodeKind, PapersRefused, Request, Who, may};
use vigo_swarm::frame::{Bytes, Digest, Farewell, Frame, Goodbye, Head, Hello, VERSION};
use vigo_swarm::ids::ConnId;
use vigo_swarm::peers::{Dialer, Keep, Kind, Source, keep};
use vigo_swarm::{exchange, sync};

use crate::intake::Origin;
use crate::io::{Event, Output};
use crate::node::{Node, Out, SILENCE};
use crate::trust::NotLetIn;

/// How far a conversation has come.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    /// Nothing said yet.
    Stranger,
    /// It asked to join and waits for an operator.
    Pending,
    /// Its papers hold.
    Member(Box<Member>),
    /// Told goodbye, by whichever side; nothing is heard any more.
    Over(Farewell),
}

/// One connection.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub conn: ConnId,
    pub key: PublicKey,
    pub dialed: bool,
    pub address: String,
    pub exporter: [u8; 32],
    pub since: Time,
    pub heard: Time,
    pub stage: Stage,
    /// The member's admission, which may fall later.
    pub spend: Option<Arc<SpendRecord>>,
    pub said_hello: bool,
    /// The port on which the other end takes gossip links.
    pub gossip: Option<u16>,
    /// What it said it can do, by the bits of `swarm::frame::features`.
    pub features: u64,
    /// What its clock shows against our steady time, in microseconds ahead of it, when it last said.
    pub clock: Option<i64>,
}

impl Session {
    pub fn new(
        conn: ConnId,
        key: PublicKey,
        dialed: bool,
        address: String,
        exporter: [u8; 32],
        now: Time,
    ) -> Session {
        let stage = Stage::Stranger;
        Session {
            conn,
            key,
            dialed,
            address,
            exporter,
            since: now,
            heard: now,
            stage,
            spend: None,
            said_hello: false,
            gossip: None,
            features: 0,
            clock: None,
        }
    }

    /// The member at the other end.
    pub fn member(&self) -> Option<&Member> {
        match &self.stage {
            Stage::Member(member) => Some(member),
            _ => None,
        }
    }

    /// Whether the other end is a bolt.
    pub fn is_bolt(&self) -> bool {
        self.member().is_some_and(Member::is_active_bolt)
    }

    /// Who is at the other end, for the door.
    pub fn who(&self) -> Who {
        match &self.stage {
            Stage::Stranger | Stage::Over(_) => Who::Stranger,
            Stage::Pending => Who::Pending,
            Stage::Member(member) => Who::of(member),
        }
    }
}

impl Node {
    pub(crate) fn peer_up(&mut self, now: Time, session: Session, out: &mut Out) {
        let (conn, key, dialed) = (session.conn, session.key, session.dialed);
        if key == self.me {
            out.push(Output::HangUp { conn, why: "this is ourselves".into() });
            return;
        }
        self.sessions.insert(conn, session);
        if self.joining.is_some() {
            self.joining_up(now, conn, out);
        } else if dialed {
            self.say_hello(conn, out);
        }
    }

    pub(crate) fn peer_down(&mut self, now: Time, conn: ConnId, why: &str, out: &mut Out) {
        let Some(session) = self.sessions.remove(&conn) else { return };
        self.gossip.stale();
        self.sync_input(now, sync::Input::Gone(conn), out);
        self.exchange_input(now, exchange::Input::PeerGone(conn), out);
        let others = self.sessions.values().any(|s| s.key == session.key && s.member().is_some());
        if let Stage::Over(why) = session.stage
            && !others
        {
            self.peers.turned_away(now, &session.key, why);
        } else if session.member().is_some() && !others {
            self.peers.lost(now, &session.key);
        } else if session.dialed && !others {
            self.peers.failed_at(now, &session.key, &session.address);
        }
        self.joining_down(now, conn, why, out);
    }

    pub(crate) fn dial_failed(
        &mut self,
        now: Time,
        address: &str,
        expect: Option<PublicKey>,
        why: &str,
        out: &mut Out,
    ) {
        if let Some(key) = expect {
            self.peers.failed_at(now, &key, address);
        }
        self.joining_dial_failed(now, address, why, out);
    }

    /// The spaces that we and a peer both hold.
    pub(crate) fn shared_spaces(&self, peer_is_bolt: bool) -> Vec<Space> {
        let mut spaces = vec![Space::admissions(), Space::config(), Space::settings()];
        if peer_is_bolt && self.is_bolt() {
            spaces.extend([Space::envoys(), Space::status()]);
            spaces.extend(self.audit_spaces());
        }
        spaces
    }

    pub(crate) fn digests(&self, peer_is_bolt: bool) -> Vec<Digest> {
        let of = |space: Space| Digest { digest: self.replica.digest(&space), space };
        self.shared_spaces(peer_is_bolt).into_iter().map(of).collect()
    }

    fn say_hello(&mut self, conn: ConnId, out: &mut Out) {
        let Some(trust) = &self.trust else { return };
        let Some(session) = self.sessions.get(&conn) else { return };
        // Before its papers hold we cannot know whether it is a bolt; what only bolts share comes with pings.
        let bolt = session.is_bolt();
        let own = Space::audit(&session.key);
        let spaces =
            [Space::admissions(), Space::envoys(), Space::config(), Space::settings(), Space::status(), own];
        let head = |space: &Space| {
            let (seq, id) = self.replica.head(space, &session.key)?;
            Some(Head { space: space.clone(), seq, id })
        };
        let hello = Hello {
            version: VERSION,
            papers: Bytes::from(trust.papers().to_vec()),
            addresses: self.options.addresses.clone(),
            digests: self.digests(bolt),
            your_heads: spaces.iter().filter_map(head).collect(),
            gossip: self.options.gossip,
            features: self.features(),
        };
        if let Some(session) = self.sessions.get_mut(&conn) {
            session.said_hello = true;
        }
        self.send(conn, &Frame::Hello(hello), out);
    }

    pub(crate) fn send(&self, conn: ConnId, frame: &Frame, out: &mut Out) {
        Node::send_bytes(conn, frame.encode().into(), out);
    }

    /// Ends a conversation with a reason that the peer can show.
    pub(crate) fn farewell(&mut self, conn: ConnId, why: Farewell, text: String, out: &mut Out) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let open = session.dialed || session.said_hello || !matches!(session.stage, Stage::Over(_));
        let key = session.key;
        session.stage = Stage::Over(why);
        self.gossip.stale();
        if open {
            let proof = self.proof_against(&key, why);
            self.send(conn, &Frame::Goodbye(Goodbye { why, text: text.clone(), proof }), out);
        }
        out.push(Output::HangUp { conn, why: text });
    }

    /// The peer did what it must have known to be wrong.
    pub(crate) fn misbehaved(&mut self, _now: Time, conn: ConnId, what: String, out: &mut Out) {
        let Some(session) = self.sessions.get(&conn) else { return };
        out.push(Output::Emit(Event::Misbehaved { key: session.key, what: what.clone() }));
        self.farewell(conn, Farewell::Misbehaved, what, out);
    }

    pub(crate) fn frame(&mut self, now: Time, conn: ConnId, bytes: &[u8], out: &mut Out) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        if matches!(session.stage, Stage::Over(_)) {
            return;
        }
        session.heard = now;
        let who = session.who();
        let frame = match Frame::decode(bytes) {
            Ok(frame) => frame,
            Err(e) => return self.misbehaved(now, conn, format!("a frame that cannot be read: {e}"), out),
        };
        if let Some(request) = door_of(&frame)
            && let Err(denied) = may(&who, &request, self.here())
        {
            out.push(Output::Emit(Event::PeerRefused {
                key: self.sessions[&conn].key,
                why: denied.to_string(),
            }));
            return self.farewell(conn, Farewell::Denied, denied.to_string(), out);
        }
        self.dispatch(now, conn, frame, out);
    }

    fn dispatch(&mut self, now: Time, conn: ConnId, frame: Frame, out: &mut Out) {
        match frame {
            Frame::Hello(hello) => self.hello(now, conn, hello, out),
            Frame::Goodbye(goodbye) => self.goodbye(now, conn, goodbye, out),
            Frame::Ping(digests) => {
                let bolt = self.sessions.get(&conn).is_some_and(Session::is_bolt);
                self.send(conn, &Frame::Pong(self.digests(bolt)), out);
                self.heard_digests(now, conn, digests, out);
            }
            Frame::Pong(digests) => self.heard_digests(now, conn, digests, out),
            Frame::Compare(space, message) => self.compare(now, conn, space, &message, out),
            Frame::Compared(space, message) => self.compared(now, conn, space, &message, out),
            Frame::Want(space, keys) => self.wanted(now, conn, &space, &keys, out),
            Frame::Push(records) => self.pushed(now, conn, &records, out),
            Frame::PeersPlease => self.peers_please(conn, out),
            Frame::Peers(hints) => self.peers.hear(&hints),
            Frame::WhoHas(exchange) => self.who_has(conn, exchange, out),
            Frame::Has(exchange, have) => self.has(now, conn, exchange, have, out),
            Frame::Enrol(enrol) => self.enrolment(now, conn, enrol, out),
            Frame::AskToJoin(ask) => self.asked_to_join(now, conn, ask, out),
            Frame::JoinAnswer(answer) => self.join_answer(now, conn, answer, out),
            Frame::Clock(shows) => self.clock_heard(now, conn, shows),
            Frame::Sketch(space, cells) => self.sketch(now, conn, space, cells, out),
            Frame::Sketched(space, answer) => self.sketched(now, conn, space, &answer, out),
            Frame::WantShort(space, names) => self.wanted_short(now, conn, &space, &names, out),
        }
    }

    fn hello(&mut self, now: Time, conn: ConnId, hello: Hello, out: &mut Out) {
        let Some(session) = self.sessions.get(&conn) else { return };
        if session.member().is_some() {
            return self.misbehaved(now, conn, "a second hello".into(), out);
        }
        if hello.version != VERSION {
            let text = format!("we speak version {VERSION} of the protocol, you {}", hello.version);
            return self.farewell(conn, Farewell::Version, text, out);
        }
        let (key, dialed) = (session.key, session.dialed);
        let Some(trust) = &self.trust else {
            return self.farewell(conn, Farewell::Papers, "this node belongs to no fleet yet".into(), out);
        };
        match trust.check(&hello.papers, &key) {
            Ok(_) if self.members().count() >= self.room() => {
                self.farewell(
                    conn,
                    Farewell::Full,
                    "no room for another connection: try another peer".into(),
                    out,
                );
            }
            Ok(checked) => {
                if self.keep_this(now, conn, key, dialed, out) {
                    self.adopt_spend(now, checked.spend.record().clone(), out);
                    if let Some(session) = self.sessions.get_mut(&conn) {
                        session.spend = Some(checked.spend);
                    }
                    self.welcome(now, conn, checked.member, hello, out);
                }
            }
            Err(refused) => {
                let why = farewell_of(&refused);
                out.push(Output::Emit(Event::PeerRefused { key, why: refused.to_string() }));
                self.farewell(conn, why, refused.to_string(), out);
            }
        }
    }

    /// How many members may be connected at one time.
    pub(crate) fn room(&self) -> usize {
        if self.is_bolt() { limits::BOLT_PEERS } else { limits::ENVOY_PEERS }
    }

    /// Of two connections between the same two nodes one is kept: the same one on both sides.
    fn keep_this(&mut self, now: Time, conn: ConnId, key: PublicKey, dialed: bool, out: &mut Out) -> bool {
        let other = self.sessions.values().find(|s| s.conn != conn && s.key == key && s.member().is_some());
        let Some(other) = other.map(|s| (s.conn, s.dialed, s.since)) else { return true };
        let dialer = |ours: bool| if ours { Dialer::Us } else { Dialer::Them };
        let kept = keep(&self.me, &key, dialer(other.1), dialer(dialed), now.since(other.2));
        let new_is_kept = kept == Keep::New;
        let loser = if new_is_kept { other.0 } else { conn };
        self.farewell(loser, Farewell::Twice, "a second connection".into(), out);
        new_is_kept
    }

    fn welcome(&mut self, now: Time, conn: ConnId, member: Member, hello: Hello, out: &mut Out) {
        let (key, bolt, name) = (member.key, member.is_active_bolt(), member.name.to_string());
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        session.stage = Stage::Member(Box::new(member));
        session.gossip = hello.gossip.filter(|port| *port != 0);
        session.features = hello.features;
        self.gossip.stale();
        let (said_hello, dialed) = (session.said_hello, session.dialed);
        out.push(Output::Admit { conn });
        if !said_hello {
            self.say_hello(conn, out);
        }
        out.push(Output::Emit(Event::PeerKnown { name, key }));
        self.heard.insert(key, now);
        let kind = if bolt { Kind::Bolt } else { Kind::Envoy };
        let addresses =
            hello.addresses.iter().take(limits::ADDRESSES).filter_map(|a| a.parse().ok()).collect();
        self.peers.learn(Source::Itself, key, kind, addresses);
        if let Some(session) = self.sessions.get(&conn).filter(|s| s.dialed) {
            self.peers.answered_at(&key, &session.address);
        }
        self.peers.connected(now, key, kind, if dialed { Dialer::Us } else { Dialer::Them });
        self.compare_from_now_on(now, conn, self.shared_spaces(bolt), out);
        self.pen_heard_heads(now, conn, &hello.your_heads, out);
        self.heard_digests(now, conn, hello.digests, out);
        if self.exchange.load().0 == 0 || !planted!(19) {
            self.exchange_peers(now, out);
        }
        if bolt {
            self.tell_bolt(conn, out);
        }
        if bolt && self.is_bolt() {
            // What only bolts share was not in the hello that was said before papers were known.
            let digests = self.digests(true);
            self.send(conn, &Frame::Ping(digests), out);
        }
        self.send(conn, &Frame::PeersPlease, out);
        self.tell_clock(now, conn, out);
    }

    fn goodbye(&mut self, now: Time, conn: ConnId, goodbye: Goodbye, out: &mut Out) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        session.stage = Stage::Over(goodbye.why);
        let key = session.key;
        self.gossip.stale();
        let text = vigo_base::text::escaped(&goodbye.text.chars().take(300).collect::<String>());
        self.note(format!("{} says goodbye: {text}", key.short()), out);
        // A revocation or a fork proves itself: take it in, whoever showed it.
        for record in goodbye.proof.iter().take(4).filter(|bytes| proves(bytes)) {
            self.take(now, Origin::Late, record, out);
        }
        self.joining_goodbye(now, conn, &text, out);
        out.push(Output::HangUp { conn, why: "they said goodbye".into() });
    }

    pub(crate) fn ping_all(&mut self, now: Time, out: &mut Out) {
        let sessions: Vec<_> =
            self.sessions.values().map(|s| (s.conn, s.heard, s.member().is_some(), s.is_bolt())).collect();
        for (conn, heard, member, bolt) in sessions {
            if now.since(heard) > SILENCE {
                self.farewell(conn, Farewell::Full, "silent for too long".into(), out);
            } else if member {
                self.send(conn, &Frame::Ping(self.digests(bolt)), out);
                self.tell_clock(now, conn, out);
            }
        }
    }

    fn peers_please(&mut self, conn: ConnId, out: &mut Out) {
        let hints = self.peers.sample(16);
        self.send(conn, &Frame::Peers(hints), out);
    }

    /// Who is connected and what they are.
    pub(crate) fn connected(&self) -> BTreeMap<PublicKey, Kind> {
        let kind = |s: &Session| if s.is_bolt() { Kind::Bolt } else { Kind::Envoy };
        self.sessions.values().map(|s| (s.key, kind(s))).collect()
    }

    pub(crate) fn dial_due(&mut self, now: Time, out: &mut Out) {
        if self.dormant || self.trust.as_ref().is_none_or(|trust| !trust.in_standing()) {
            return;
        }
        let (connected, wanted) = (self.connected(), BTreeSet::new());
        for dial in self.peers.plan(now, &connected, &wanted) {
            out.push(Output::Dial { address: dial.address.to_string(), expect: Some(dial.key) });
        }
        let ours = self.sessions.values().filter(|s| s.dialed).map(|s| s.key).collect();
        if let Some(key) = self.peers.rotate(now, &ours, &connected, &wanted) {
            let conns: Vec<ConnId> =
                self.sessions.values().filter(|s| s.key == key).map(|s| s.conn).collect();
            for conn in conns {
                self.farewell(
                    conn,
                    Farewell::Twice,
                    "links to envoys are exchanged now and then".into(),
                    out,
                );
            }
        }
    }

    /// What this node is at the door.
    pub(crate) fn here(&self) -> NodeKind {
        if self.is_bolt() { NodeKind::Bolt } else { NodeKind::Envoy }
    }

    /// The members that are connected, bolts first.
    pub(crate) fn members(&self) -> impl Iterator<Item = (ConnId, &Member)> {
        self.sessions.values().filter_map(|s| s.member().map(|m| (s.conn, m)))
    }
}

/// Which row of the door's table a frame is. Records are judged one by one where they are taken; a goodbye and an
/// answer to what we asked need no door.
fn door_of(frame: &Frame) -> Option<Request> {
    Some(match frame {
        Frame::Hello(_) => Request::Papers,
        Frame::Goodbye(_) | Frame::JoinAnswer(_) => return None,
        Frame::Ping(_) | Frame::Pong(_) | Frame::Clock(_) => Request::Digests,
        Frame::Compare(space, _)
        | Frame::Compared(space, _)
        | Frame::Sketch(space, _)
        | Frame::Sketched(space, _) => Request::Reconcile(space.clone()),
        Frame::Want(space, _) | Frame::WantShort(space, _) => Request::Want(space.clone()),
        Frame::Push(_) => Request::Ping,
        Frame::PeersPlease | Frame::Peers(_) => Request::Peers,
        Frame::WhoHas(_) | Frame::Has(..) => Request::WhoHas,
        Frame::Enrol(_) => Request::Enrol,
        Frame::AskToJoin(_) => Request::AskToJoin,
    })
}

/// Whether a record is of those that show why somebody is turned away; anything else has its own way in.
fn proves(bytes: &[u8]) -> bool {
    let decoded = vigo_crdt::Unverified::decode(bytes);
    decoded.is_ok_and(|record| *record.space() == Space::admissions() && record.key() != record.id())
}

fn farewell_of(refused: &NotLetIn) -> Farewell {
    match refused {
        NotLetIn::Papers(PapersRefused::Revoked { .. }) => Farewell::Revoked,
        NotLetIn::Suspended(_) => Farewell::Suspended,
        NotLetIn::Papers(_) => Farewell::Papers,
    }
}
