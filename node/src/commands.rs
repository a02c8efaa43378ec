//! The local API's commands: each through the one door, each answered once.
//!
//! A command never waits inside the machine except for a run ([`Command::Converge`]). What is signed comes signed;
//! here it is only checked, filed and persisted, and the reply stands behind that in the order of outputs.

use std::collections::BTreeMap;

use vigo_base::{Hash, PublicKey, Time};
use vigo_content::audit::{self, Kind};
use vigo_content::config::{PUBLISH, Publish};
use vigo_content::settings::Change;
use vigo_crdt::{Space, Statement};
use vigo_spanner::spend::STATEMENT;
use vigo_spanner::{Act, Authority, Pattern, Request, Right, Who, may};

use crate::command::{BoltRow, Command, Context, Refusal, RefusalKind, Reply};
use crate::intake::HandedIn;
use crate::io::{Caller, CommandId, Event, Output};
use crate::node::{Node, Out};

/// Statements that wait until this node may write; one more is refused.
pub(crate) const HANDED_IN: usize = 64;

type Answer = Result<Reply, Refusal>;

fn refuse(kind: RefusalKind, what: impl Into<String>, hint: Option<&str>) -> Refusal {
    Refusal { kind, what: what.into(), hint: hint.map(ToString::to_string) }
}

/// Which row of the door's table a command is.
fn door_of(command: &Command) -> Request {
    match command {
        Command::Status => Request::LocalStatus,
        Command::Converge { .. } => Request::LocalConverge,
        Command::Context { .. } => Request::LocalContext,
        Command::Submit { .. } => Request::LocalSubmit,
        Command::Rollout { .. } => Request::LocalWait,
        Command::Members => Request::LocalMembers,
        Command::Requests => Request::LocalRequests,
        Command::Deny { .. } => Request::LocalDecide,
        Command::Envoys | Command::Envoy { .. } => Request::LocalEnvoys,
        Command::Publishes | Command::Source { .. } => Request::LocalPublishes,
        Command::Settings => Request::LocalSettings,
        Command::Peers => Request::LocalPeers,
        Command::Authority => Request::LocalContext,
        Command::Audit { .. } | Command::AuditVerify => Request::LocalAudit,
    }
}

impl Node {
    pub(crate) fn command(
        &mut self,
        now: Time,
        id: CommandId,
        caller: Caller,
        command: Command,
        out: &mut Out,
    ) {
        let who = match caller.admin {
            true => Who::LocalAdmin { uid: caller.uid },
            false => Who::LocalUser { uid: caller.uid },
        };
        if let Err(denied) = may(&who, &door_of(&command), self.here()) {
            let hint = Some("root and members of the group vigo-admin administer this node");
            let text = denied.to_string();
            let by = audit::Who::Local { uid: caller.uid };
            self.audit_say(now, Kind::CommandRefused, by, "", &text, out);
            let reply = Err(refuse(RefusalKind::Denied, text, hint));
            return out.push(Output::Reply { id, reply });
        }
        self.settle_all(now, out);
        match command {
            Command::Converge { dry_run } => {
                if !dry_run {
                    let who = audit::Who::Local { uid: caller.uid };
                    self.audit_say(now, Kind::Command, who, "converge", "", out);
                }
                return self.ask_run(now, id, dry_run, out);
            }
            Command::Submit { space, statement } => {
                return self.submit(now, HandedIn { id, uid: caller.uid, space, statement }, out);
            }
            _ => {}
        }
        let reply = self.answer(now, caller.uid, command, out);
        out.push(Output::Reply { id, reply });
    }

    fn answer(&mut self, now: Time, uid: u32, command: Command, out: &mut Out) -> Answer {
        Ok(match command {
            Command::Status => Reply::Status(Box::new(self.status(now))),
            Command::Context { key } => Reply::Context(Box::new(self.context(now, key)?)),
            Command::Rollout { id } => {
                let published = self.config.get(&id);
                let unknown = || {
                    refuse(RefusalKind::NotFound, format!("no publish {} is known here", id.short()), None)
                };
                Reply::Rollout(self.rollout(published.ok_or_else(unknown)?, now))
            }
            Command::Members => Reply::Members(self.member_rows()),
            Command::Requests => Reply::Requests(self.request_rows()),
            Command::Deny { key } => self.deny(now, uid, key, out)?,
            Command::Envoys => Reply::Envoys(self.envoy_rows(now)),
            Command::Envoy { name } => Reply::Envoy(Box::new(self.envoy(&name, now)?)),
            Command::Publishes => Reply::Publishes(self.publish_rows()),
            Command::Settings => Reply::Settings(self.setting_rows()),
            Command::Peers => Reply::Peers(self.peer_rows()),
            Command::Source { id } => self.source(id)?,
            Command::Authority => self.authority()?,
            Command::Audit { filter } => Reply::Audit(self.audit_rows(&filter)?),
            Command::AuditVerify => Reply::AuditVerify(self.audit_logs(now)?),
            Command::Converge { .. } | Command::Submit { .. } => {
                return Err(refuse(RefusalKind::Internal, "answered elsewhere", None));
            }
        })
    }

    /// Writes down who handed in what, or was refused.
    fn audit_submission(&mut self, now: Time, uid: u32, space: &str, reply: &Answer, out: &mut Out) {
        let who = audit::Who::Local { uid };
        match reply {
            Ok(Reply::Submitted { id }) => {
                let text = format!("a statement in {space}");
                let entry = audit::Entry::new(self.wall(now), Kind::Command, who, "submit", &text);
                self.audit_write(now, entry.about(*id), out);
            }
            Err(refusal) => {
                self.audit_say(now, Kind::CommandRefused, who, "submit", &refusal.what, out);
            }
            Ok(_) => {}
        }
    }

    fn authority(&self) -> Answer {
        let spanner = self.spanner().ok_or_else(|| self.no_fleet())?;
        let space = Space::admissions();
        let records = self.replica.records(&space).map(|(_, r, _)| hex(r.bytes())).collect();
        Ok(Reply::Authority { spanner, records })
    }

    fn no_fleet(&self) -> Refusal {
        let hint = Some("`vigo join TOKEN` joins one");
        refuse(RefusalKind::Unavailable, "this node belongs to no fleet yet", hint)
    }

    fn envoy(&self, name: &str, now: Time) -> Result<crate::command::EnvoyDetail, Refusal> {
        if let Some(detail) = self.envoy_detail(name, now) {
            return Ok(detail);
        }
        let rows = self.envoy_rows(now);
        let near = vigo_base::text::nearest(name, rows.iter().map(|r| r.name.as_str()));
        let hint = match near {
            Some(near) => format!("did you mean {near}?"),
            None if self.is_bolt() => "`vigocli envoys list` shows them all".to_string(),
            None => "this node is no bolt and knows only itself: ask on a bolt".to_string(),
        };
        let what = format!("no envoy {:?} is known here", vigo_base::text::escaped(name));
        Err(refuse(RefusalKind::NotFound, what, Some(&hint)))
    }

    fn source(&self, id: Option<Hash>) -> Answer {
        let published = match id {
            Some(id) => self.config.get(&id),
            None => self.config.head(),
        };
        let unknown = || refuse(RefusalKind::NotFound, "nothing has been published yet", None);
        let published = published.ok_or_else(unknown)?;
        Ok(Reply::Source { at: published.at, blob: published.publish.source.hash })
    }

    fn context(&self, now: Time, key: PublicKey) -> Result<Context, Refusal> {
        let trust = self.trust.as_ref().ok_or_else(|| self.no_fleet())?;
        let Some(operator) = trust.authority.operator_by_key(&key) else {
            let what = match trust.authority.is_revoked(&key) {
                Some(r) => format!("the operator key {} was revoked: {}", key.short(), r.revoke.reason),
                None => format!("the key {} is no operator of this fleet", key.short()),
            };
            return Err(refuse(RefusalKind::Denied, what, Some("use the key of an operator of this fleet")));
        };
        let tips = BTreeMap::from([
            (Space::admissions().to_string(), trust.authority.heads().to_vec()),
            (Space::config().to_string(), self.config.tips().to_vec()),
            (Space::settings().to_string(), self.settings.tips().to_vec()),
        ]);
        let bolts = trust.authority.bolts().filter(|b| b.is_active()).map(|b| BoltRow {
            name: b.name.to_string(),
            key: b.key,
            addresses: self.addresses_of(&b.key),
        });
        let keys = vigo_content::settings::KEYS;
        Ok(Context {
            spanner: trust.spanner(),
            under: operator.id,
            operator: operator.name.clone(),
            rights: operator.granted.iter().map(|(right, _)| right.as_str().to_string()).collect(),
            tips: tips.into_iter().collect(),
            head: self.config.head().map(|p| p.at),
            next_epoch: self.config.next_epoch(),
            bolts: bolts.collect(),
            generations: keys
                .iter()
                .map(|k| (k.name.to_string(), self.settings.next_generation(k.name)))
                .collect(),
            sequences: self.sequences(),
            now: self.wall(now),
        })
    }

    /// Where a stranger may dial a member, as far as is known.
    fn addresses_of(&self, key: &PublicKey) -> Vec<String> {
        match *key == self.me {
            true => self.options.addresses.clone(),
            false => {
                let known = self.peers.book().get(key);
                known.map(|e| e.told().map(ToString::to_string).collect()).unwrap_or_default()
            }
        }
    }

    /// The highest sequences of members' records, by space: what a revocation says it had seen.
    fn sequences(&self) -> Vec<(PublicKey, String, u64)> {
        let Some(trust) = &self.trust else { return Vec::new() };
        let mut out = Vec::new();
        for member in trust.roster.members() {
            for space in [Space::admissions(), Space::envoys(), Space::status()] {
                if let Some((seq, _)) = self.replica.head(&space, &member.key) {
                    out.push((member.key, space.to_string(), seq));
                }
            }
        }
        out
    }

    /// Files what somebody handed in. A node that waits for a peer's word on what it wrote before keeps it until
    /// then: the caller waits as long.
    pub(crate) fn submit(&mut self, now: Time, handed_in: HandedIn, out: &mut Out) {
        if self.pen.waits.is_some() && self.pen.handed_in.len() < HANDED_IN {
            return self.pen.handed_in.push_back(handed_in);
        }
        let HandedIn { id, uid, space, statement } = handed_in;
        let reply = self.file_statement(now, &space, &statement, out);
        self.audit_submission(now, uid, &space, &reply, out);
        out.push(Output::Reply { id, reply });
    }

    /// Takes a statement that an operator signed.
    fn file_statement(&mut self, now: Time, space: &str, statement: &str, out: &mut Out) -> Answer {
        let bad = |what: String| refuse(RefusalKind::BadRequest, what, None);
        let spanner = self.spanner().ok_or_else(|| self.no_fleet())?;
        let space: Space = space.parse().map_err(|e| bad(format!("{e}")))?;
        let bytes = unhex(statement).ok_or_else(|| bad("the statement is no hexadecimal text".into()))?;
        let read = match space == Space::admissions() {
            true => vigo_spanner::act::read_statement(&bytes, &spanner),
            false => Statement::decode(&bytes, &space, &spanner),
        };
        let statement = read.map_err(|e| bad(e.to_string()))?;
        self.check_submission(&statement)?;
        let id = statement.id();
        if self.replica.contains(&space, &id) {
            return Ok(Reply::Submitted { id });
        }
        if self.pen.waits.is_some() {
            let hint =
                Some("this node waits for a peer's word on what it wrote before: try again in ten seconds");
            return Err(refuse(RefusalKind::Unavailable, "the statement cannot be written yet", hint));
        }
        let publishes = space == Space::config();
        self.write(now, space.clone(), STATEMENT, bytes, out);
        if !self.replica.contains(&space, &id) {
            return Err(refuse(RefusalKind::Internal, "the statement could not be written", None));
        }
        if publishes {
            self.take_custody(id, out);
            out.push(Output::Emit(Event::Note(format!("published {}", id.short()))));
        }
        Ok(Reply::Submitted { id })
    }

    /// Whether a statement would count: said before it is filed, so that a slip is an error and not a dead record.
    fn check_submission(&self, statement: &Statement) -> Result<(), Refusal> {
        let Some(trust) = &self.trust else { return Err(self.no_fleet()) };
        let denied = |e: vigo_spanner::WhyNot| refuse(RefusalKind::Denied, e.to_string(), None);
        let space = statement.space().clone();
        if space == Space::admissions() {
            self.check_revoke(statement)?;
            let mut admissions = trust.admissions.clone();
            admissions.insert_statement(statement.clone());
            return Authority::evaluate(&admissions).counts(&statement.id()).map_err(denied);
        }
        let right = match space == Space::config() {
            true => Right::ConfigPublish,
            false if space == Space::settings() => Right::Settings,
            false => {
                return Err(refuse(
                    RefusalKind::BadRequest,
                    format!("nobody signs statements in {space}"),
                    None,
                ));
            }
        };
        let known = self.statements_of(&space);
        let mut judge = trust.authority.judge_space(&space, &known);
        judge.judge(statement, right, &Pattern::any()).map_err(denied)?;
        match statement.kind() {
            PUBLISH if space == Space::config() => self.check_publish(statement),
            _ => Change::read(statement)
                .map(|_| ())
                .map_err(|e| refuse(RefusalKind::BadRequest, e.to_string(), None)),
        }
    }

    /// Whom a bolt admitted only bolts know: a revocation of it that was signed beside an envoy would not say what
    /// it had seen, and everybody whom that bolt let in would fall with it.
    fn check_revoke(&self, statement: &Statement) -> Result<(), Refusal> {
        let Some(trust) = self.trust.as_ref().filter(|_| !self.is_bolt()) else { return Ok(()) };
        let Ok(Act::Revoke(revoke)) = Act::decode(statement.kind(), statement.payload()) else {
            return Ok(());
        };
        let Some(bolt) = revoke.keys.iter().find_map(|key| trust.authority.bolt(key)) else { return Ok(()) };
        let what = format!("{} is a bolt, and this node does not know whom it let in", bolt.name);
        let hint =
            "revoke a bolt through another bolt; if all are lost, bring one back with `vigo init --restore`";
        Err(refuse(RefusalKind::Denied, what, Some(hint)))
    }

    fn check_publish(&self, statement: &Statement) -> Result<(), Refusal> {
        let bad = |what: String| refuse(RefusalKind::BadRequest, what, None);
        let publish = Publish::read(statement).map_err(|e| bad(e.to_string()))?;
        if statement.after() != self.config.tips() || publish.epoch != self.config.next_epoch() {
            let head = self.config.head();
            let what = match head {
                Some(h) => format!(
                    "epoch {} was published by {} in the meantime: this publish is not based on it",
                    h.at.epoch,
                    self.trust.as_ref().map_or_else(String::new, |t| t.operator_name(&h.signer))
                ),
                None => "this publish is based on something that is not known here".into(),
            };
            let hint =
                Some("look at what was published (`vigocli config publish --dry-run`) and publish again");
            return Err(refuse(RefusalKind::Stale, what, hint));
        }
        for blob in [&publish.routes, &publish.source] {
            if !self.blobs.holds(blob) {
                return Err(bad(format!("the blob {} was not stored before the publish", blob.hash.short())));
            }
        }
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok()).collect()
}
