//! From a new head of configuration to a run and its report.
//!
//! [`Node::follow`] looks at where things stand and begins whatever comes next: read the route table, find the own
//! route by the admitted name, fetch and read the policy, collect traits, resolve, run. It can be called at any
//! time; each step is begun once. The floor (the publish that was last run) is persisted before the run that
//! raises it, and nothing below it is ever run again while it counts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::Value;
use vigo_base::{Hash, Time, time};
use vigo_content::config::{ConfigView, Epoch, Published, RouteTable};
use vigo_content::settings::SettingsView;
use vigo_content::status::{Run, RunStep, Tally};
use vigo_crdt::{Space, Statement};
use vigo_spanner::{Pattern, Right};
use vigo_stacks::report::{Outcome, RunReport};
use vigo_stacks::{Facts, Policy, resolve};
use vigo_swarm::frame::Frame;

use crate::boot::meta;
use crate::command::{Refusal, RefusalKind, Reply};
use crate::io::{CommandId, Done, Effect, Event, Failed, Output};
use crate::node::{Node, Op, Out};

/// A run that is under way.
#[derive(Debug, Clone)]
struct Running {
    at: Option<Epoch>,
    dry_run: bool,
    intended: bool,
    commands: Vec<CommandId>,
}

/// What this node does about the head.
#[derive(Debug, Default)]
pub(crate) struct Following {
    /// The publish that was last run.
    pub floor: Option<Epoch>,
    /// The policy of a publish, read.
    policy: Option<(Epoch, Option<Arc<Policy>>)>,
    /// Blobs that are being read.
    reading: BTreeSet<Hash>,
    /// Those of them that the disk would not give: read again with the next chores.
    pub unreadable: BTreeSet<Hash>,
    /// Why the head cannot be run, if so.
    pub trouble: Option<String>,
    running: Option<Running>,
    /// Commands that ask for a run, with whether it is a dry one.
    asked: VecDeque<(CommandId, bool)>,
    /// When the next run is due.
    due: Option<Time>,
    /// The last run.
    pub run: Option<Run>,
    /// Its report.
    pub report: Option<RunReport>,
    /// The traits collected last.
    pub traits: Option<Arc<Value>>,
}

impl Following {
    pub fn next_wake(&self) -> Option<Time> {
        self.due.filter(|_| self.running.is_none())
    }
}

impl Node {
    /// Publishes arrived, or who may publish changed.
    pub(crate) fn config_changed(&mut self, out: &mut Out) {
        let before = self.config.head().map(|p| p.at);
        let losers_before: BTreeSet<Hash> = self.config.losers().map(|p| p.at.id).collect();
        let statements = self.statements_of(&Space::config());
        let Some(trust) = &self.trust else { return };
        let space = Space::config();
        let mut judge = trust.authority.judge_space(&space, &statements);
        self.config = ConfigView::of(statements.values().map(|s| &**s), |s| {
            judge.judge(s, Right::ConfigPublish, &Pattern::any()).map_err(|e| e.to_string())
        });
        let offers: Vec<(Hash, bool)> = self.config.iter().map(|p| (p.at.id, self.offers(p))).collect();
        for (id, offered) in offers {
            self.replica.offer(&space, &id, offered);
        }
        self.raise_floor();
        self.classify();
        if let Some(head) = self.config.head().map(|p| p.at).filter(|at| Some(*at) != before) {
            out.push(Output::Emit(Event::Epoch { epoch: head.epoch, id: head.id }));
            self.following.trouble = None;
        }
        for loser in self.config.losers().map(|p| p.at.id).filter(|id| !losers_before.contains(id)) {
            out.push(Output::Emit(Event::Fork { loser }));
        }
        self.ask_for_parents(out);
    }

    /// A publish is offered to peers if it counts, or waits for what it is based on.
    fn offers(&self, published: &Published) -> bool {
        let waits = published.parents.iter().any(|p| self.config.get(p).is_none());
        published.refused.is_none() || (published.may && waits)
    }

    /// Asks for publishes that are named and not here. What counts for nothing is not reconciled, and not every
    /// peer holds it: so another one is asked every time, until somebody has it.
    pub(crate) fn ask_for_parents(&mut self, out: &mut Out) {
        let missing: Vec<Hash> = self.missing_publishes().into_iter().take(64).collect();
        if missing.is_empty() {
            return;
        }
        let members: Vec<_> = self.members().map(|(conn, _)| conn).collect();
        if let Some(conn) = self.dice.pick(&members).copied() {
            self.send(conn, &Frame::Want(Space::config(), missing), out);
        }
    }

    /// Publishes that others are based on, or that a revoker had seen, and that are not here.
    fn missing_publishes(&self) -> BTreeSet<Hash> {
        let mut missing = self.config.missing().clone();
        let revocations = self.trust.iter().flat_map(|t| t.authority.revocations());
        let seen = revocations.flat_map(|r| &r.revoke.seen).filter(|seen| seen.space == Space::config());
        missing.extend(seen.flat_map(|s| &s.heads).filter(|id| self.config.get(id).is_none()));
        missing
    }

    /// The statements of config or settings by id. Cheap to clone: the statements are shared.
    pub(crate) fn statements_of(&self, space: &Space) -> BTreeMap<Hash, Arc<Statement>> {
        self.statements.get(space).cloned().unwrap_or_default()
    }

    /// Settings arrived, or who may set them changed.
    pub(crate) fn settings_changed(&mut self, _now: Time) {
        let statements = self.statements_of(&Space::settings());
        let Some(trust) = &self.trust else { return };
        let space = Space::settings();
        let mut judge = trust.authority.judge_space(&space, &statements);
        let mut verdicts = Vec::new();
        self.settings = SettingsView::of(statements.values().map(|s| &**s), |s| {
            let verdict = judge.judge(s, Right::Settings, &Pattern::any()).map_err(|e| e.to_string());
            verdicts.push((s.id(), verdict.is_ok()));
            verdict
        });
        for (id, offered) in verdicts {
            self.replica.offer(&space, &id, offered);
        }
    }

    /// The floor goes down only when its publish is known and counts no more. While something is missing that a
    /// revoker had seen, that cannot be told: a publish may yet turn out to lie in its past.
    fn raise_floor(&mut self) {
        let Some(floor) = self.following.floor else { return };
        if !self.missing_publishes().is_empty() {
            return;
        }
        if self.config.get(&floor.id).is_some_and(|p| p.refused.is_some()) {
            self.following.floor = None;
        }
    }

    /// The publish to run: the head, unless it lies below the floor.
    fn target(&self) -> Option<&Published> {
        let head = self.config.head()?;
        (self.following.floor.is_none_or(|floor| head.at >= floor)).then_some(head)
    }

    /// Begins whatever comes next.
    pub(crate) fn follow(&mut self, now: Time, out: &mut Out) {
        if self.trust.as_ref().is_none_or(|trust| !trust.in_standing()) {
            return;
        }
        self.ask_holders(now, out);
        self.prepare(now, out);
        self.run_if_due(now, out);
    }

    /// Fetches and reads what the head needs. Until that is done the policy before goes on being enforced.
    fn prepare(&mut self, now: Time, out: &mut Out) {
        let Some(target) = self.target() else { return };
        let (at, publish) = (target.at, target.publish.clone());
        let Some(table) = self.table(now, at, &publish.routes, out) else { return };
        if self.is_bolt() || self.blobs.custody.contains_key(&at.id) {
            self.gather(now, &table.policies, &publish.source, out);
        }
        self.prepare_policy(now, at, &table, out);
    }

    /// The route table of a publish, fetched and read when it is not here.
    fn table(
        &mut self,
        now: Time,
        at: Epoch,
        routes: &vigo_swarm::outline::BlobRef,
        out: &mut Out,
    ) -> Option<RouteTable> {
        if let Some(table) = self.blobs.tables.get(&routes.hash) {
            return Some(table.clone());
        }
        if !self.blobs.holds(routes) {
            self.want(now, *routes, 9, out);
        } else if self.following.trouble.is_none() && self.following.reading.insert(routes.hash) {
            let op = self.op(Op::Routes(at.id));
            out.push(Output::Begin { op, effect: Effect::ReadBlob { blob: *routes } });
        }
        None
    }

    /// A bolt, and whoever published, holds everything; the source last, so that who has it has the rest.
    fn gather(
        &mut self,
        now: Time,
        policies: &[vigo_swarm::outline::BlobRef],
        source: &vigo_swarm::outline::BlobRef,
        out: &mut Out,
    ) {
        let missing: Vec<_> = policies.iter().filter(|p| !self.blobs.holds(p)).copied().collect();
        if missing.is_empty() {
            self.want(now, *source, 1, out);
        }
        for policy in missing.into_iter().take(vigo_base::limits::OPEN_EXCHANGES) {
            self.want(now, policy, 5, out);
        }
    }

    /// Fetches and reads the own policy of a publish.
    fn prepare_policy(&mut self, now: Time, at: Epoch, table: &RouteTable, out: &mut Out) {
        if self.following.policy.as_ref().is_some_and(|(of, _)| *of == at) {
            return;
        }
        let Some(name) = self.trust.as_ref().and_then(|t| t.member()).map(|m| m.name.clone()) else { return };
        let Some(policy) = table.policy(&name).copied() else {
            self.following.policy = Some((at, None));
            return;
        };
        if !self.blobs.holds(&policy) {
            self.want(now, policy, 8, out);
        } else if self.following.trouble.is_none() && self.following.reading.insert(policy.hash) {
            let op = self.op(Op::Policy(at.id));
            out.push(Output::Begin { op, effect: Effect::ReadBlob { blob: policy } });
        }
    }

    /// A blob was read.
    pub(crate) fn blob_read(&mut self, now: Time, op: Op, outcome: Done, out: &mut Out) {
        let (Op::Routes(id) | Op::Policy(id)) = op else { return };
        let Done::Read(result) = outcome else { return };
        let Some(published) = self.config.get(&id) else { return };
        let (at, routes) = (published.at, published.publish.routes);
        let bytes = match result {
            Ok(bytes) => bytes,
            Err(why) => {
                let hash = self.hash_for(&op, &routes, at);
                if matches!(why, Failed::Local(_)) {
                    // The disk failed us, the blob may be whole: it is read again with the next chores. Whoever
                    // published may hold the only copy, and must not forget that it has it.
                    self.following.unreadable.insert(hash);
                } else {
                    // Rotten or gone: it is fetched again from a peer.
                    self.following.reading.remove(&hash);
                    self.blobs.held.remove(&hash);
                }
                return self.note(format!("a blob of epoch {} cannot be read: {why:?}", at.epoch), out);
            }
        };
        let trouble = match op {
            Op::Routes(_) => match RouteTable::decode(&bytes) {
                Ok(table) => {
                    self.following.reading.remove(&routes.hash);
                    self.blobs.tables.insert(routes.hash, table);
                    self.classify();
                    None
                }
                Err(e) => Some(format!("the route table of epoch {}: {e}", at.epoch)),
            },
            _ => match Policy::from_bytes(&bytes) {
                Ok(policy) => {
                    self.following.reading.clear();
                    self.following.policy = Some((at, Some(Arc::new(policy))));
                    self.following.due = Some(now);
                    None
                }
                Err(e) => Some(format!("the policy of epoch {}: {e}", at.epoch)),
            },
        };
        if let Some(trouble) = trouble {
            self.note(trouble.clone(), out);
            self.following.trouble = Some(trouble.clone());
            self.finish_run(now, Some(at), aborted(trouble), true, out);
        }
    }

    /// Reads once more what the disk would not give.
    pub(crate) fn read_again(&mut self, now: Time, out: &mut Out) {
        let unreadable = std::mem::take(&mut self.following.unreadable);
        self.following.reading.retain(|hash| !unreadable.contains(hash));
        if !unreadable.is_empty() {
            self.follow(now, out);
        }
    }

    fn hash_for(&self, op: &Op, routes: &vigo_swarm::outline::BlobRef, _at: Epoch) -> Hash {
        match op {
            Op::Routes(_) => routes.hash,
            _ => {
                let name = self.trust.as_ref().and_then(|t| t.member()).map(|m| &m.name);
                let table = self.blobs.tables.get(&routes.hash);
                name.and_then(|n| table.and_then(|t| t.policy(n))).map_or(routes.hash, |p| p.hash)
            }
        }
    }

    /// Asks for a run now.
    pub(crate) fn ask_run(&mut self, now: Time, id: CommandId, dry_run: bool, out: &mut Out) {
        if self.following.asked.len() >= 64 {
            let what = "too many runs are asked for already".to_string();
            let reply = Err(Refusal { kind: RefusalKind::Unavailable, what, hint: None });
            return out.push(Output::Reply { id, reply });
        }
        self.following.asked.push_back((id, dry_run));
        self.run_if_due(now, out);
    }

    pub(crate) fn follow_wake(&mut self, now: Time, out: &mut Out) {
        self.follow(now, out);
    }

    fn run_if_due(&mut self, now: Time, out: &mut Out) {
        if self.following.running.is_some() {
            return;
        }
        let Some((at, policy)) = self.following.policy.clone() else {
            return self.answer_without_policy("no configuration has been published yet", out);
        };
        if policy.is_none() {
            // Nothing names this machine: that is a state, reported once for each publish.
            if self.following.run.as_ref().is_none_or(|run| run.publish != at.id) {
                self.set_floor(at, out);
                self.finish_run(now, Some(at), RunReport::default(), true, out);
            }
            self.following.due = None;
            return self.answer_without_policy("no match block names this machine", out);
        }
        let due = self.following.due.is_some_and(|due| now >= due);
        let first_asked_is_dry = self.following.asked.front().map(|(_, dry)| *dry);
        let dry_run = match (due, first_asked_is_dry) {
            (true, _) | (_, Some(false)) => false,
            (false, Some(true)) => true,
            (false, None) => return,
        };
        let commands = self.take_asked(dry_run);
        let intended = self.following.run.as_ref().is_none_or(|run| run.publish != at.id);
        self.following.running = Some(Running { at: Some(at), dry_run, intended, commands });
        let op = self.op(Op::Traits);
        out.push(Output::Begin { op, effect: Effect::CollectTraits });
    }

    fn take_asked(&mut self, dry_run: bool) -> Vec<CommandId> {
        let (taken, left) =
            std::mem::take(&mut self.following.asked).into_iter().partition(|(_, dry)| *dry == dry_run);
        self.following.asked = left;
        let taken: VecDeque<(CommandId, bool)> = taken;
        taken.into_iter().map(|(id, _)| id).collect()
    }

    fn answer_without_policy(&mut self, what: &str, out: &mut Out) {
        for (id, _) in std::mem::take(&mut self.following.asked) {
            let hint = Some("`vigocli config trace NAME` shows which match block would".to_string());
            let reply = Err(Refusal { kind: RefusalKind::Unavailable, what: what.into(), hint });
            out.push(Output::Reply { id, reply });
        }
    }

    fn set_floor(&mut self, at: Epoch, out: &mut Out) {
        if self.following.floor != Some(at) {
            self.following.floor = Some(at);
            let mut value = at.epoch.to_be_bytes().to_vec();
            value.extend_from_slice(&at.id.0);
            self.keep(meta::FLOOR, value, out);
        }
    }

    /// Traits are here: resolve and run.
    pub(crate) fn traits_collected(&mut self, now: Time, json: &str, out: &mut Out) {
        let traits: Arc<Value> = Arc::new(serde_json::from_str(json).unwrap_or(Value::Null));
        if self.following.traits.as_deref() != Some(&*traits) {
            self.following.traits = Some(traits.clone());
            self.tell_traits(now, json, out);
        }
        let Some((at, Some(policy))) = self.following.policy.clone() else {
            self.following.running = None;
            return;
        };
        let Some(running) = self.following.running.as_mut() else { return };
        running.at = Some(at);
        let dry_run = running.dry_run;
        let facts = self.facts(at, (*traits).clone());
        match resolve(&policy, &facts) {
            Ok(plan) => {
                if !dry_run {
                    self.set_floor(at, out);
                }
                let op = self.op(Op::Run);
                let effect = Effect::Converge { plan: Arc::new(plan), traits, dry_run };
                out.push(Output::Begin { op, effect });
            }
            Err(problems) => {
                let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
                self.run_ended(now, aborted(text.join("\n")), out);
            }
        }
    }

    fn facts(&self, at: Epoch, traits: Value) -> Facts {
        let name = self.trust.as_ref().and_then(|t| t.member()).map(|m| m.name.clone());
        let table = self.config.get(&at.id).and_then(|p| self.blobs.tables.get(&p.publish.routes.hash));
        let tags = match (&name, table) {
            (Some(name), Some(table)) => table.route(name).map(|r| r.tags.clone()).unwrap_or_default(),
            _ => BTreeSet::new(),
        };
        let tags = tags.into_iter().collect();
        Facts { name: name.map(|n| n.to_string()).unwrap_or_default(), tags, traits }
    }

    /// A run has ended.
    pub(crate) fn run_ended(&mut self, now: Time, report: RunReport, out: &mut Out) {
        let Some(running) = self.following.running.take() else { return };
        for id in running.commands {
            out.push(Output::Reply { id, reply: Ok(Reply::Run(report.clone())) });
        }
        if !running.dry_run {
            self.finish_run(now, running.at, report, running.intended, out);
        }
        self.follow(now, out);
    }

    /// Keeps and tells the result of a run, and says when the next is due.
    fn finish_run(&mut self, now: Time, at: Option<Epoch>, report: RunReport, intended: bool, out: &mut Out) {
        let interval = time::secs(self.interval());
        let splay = self.options.splay.unwrap_or_else(|| self.settings.number("converge.splay"));
        let next = now.after(interval + self.dice.below(time::secs(splay) + 1));
        // A policy that came while this run was under way is run at once.
        let newer = self.following.policy.as_ref().is_some_and(|(of, _)| Some(*of) != at);
        self.following.due = Some(if newer { now } else { next });
        let run = self.next_run(now, at, &report, intended);
        let (epoch, changed, failed) = (run.epoch, report.counts.changed(), report.counts.failed);
        out.push(Output::Emit(Event::Ran { epoch, changed, failed, millis: report.millis }));
        self.following.run = Some(run.clone());
        self.following.report = Some(report);
        self.tell_run(now, &run, out);
    }

    fn next_run(&self, now: Time, at: Option<Epoch>, report: &RunReport, intended: bool) -> Run {
        let counts = &report.counts;
        let last = self.following.run.as_ref();
        let mut changes = vec![counts.changed()];
        changes.extend(last.into_iter().flat_map(|run| run.changes.iter().copied()));
        changes.truncate(vigo_content::status::HISTORY);
        let telling = report
            .steps
            .iter()
            .filter(|s| s.outcome.changed() || matches!(s.outcome, Outcome::Failed | Outcome::Blocked));
        Run {
            epoch: at.map_or(0, |at| at.epoch),
            publish: at.map_or_else(Hash::default, |at| at.id),
            at: self.wall(now),
            millis: report.millis,
            tally: Tally {
                none: counts.none,
                changed: counts.changed(),
                skipped: counts.skipped,
                blocked: counts.blocked,
                failed: counts.failed,
            },
            aborted: report.aborted.clone(),
            changes,
            steps: telling
                .map(|s| RunStep {
                    id: s.id.clone(),
                    outcome: format!("{:?}", s.outcome).to_lowercase(),
                    message: s.message.clone(),
                })
                .collect(),
            intended,
            number: last.map_or(0, |run| run.number) + 1,
        }
    }

    /// What this node is doing about the head, in words.
    pub(crate) fn following_in_words(&self) -> String {
        let f = &self.following;
        if let Some(trouble) = &f.trouble {
            return trouble.clone();
        }
        let Some(target) = self.target() else { return "nothing published".into() };
        if f.running.is_some() {
            return format!("running epoch {}", target.at.epoch);
        }
        match &f.policy {
            Some((at, None)) if *at == target.at => "no match block names this machine".into(),
            Some((at, Some(_))) if *at == target.at => match &f.run {
                Some(run) if run.publish == at.id => "converged".into(),
                _ => format!("about to run epoch {}", at.epoch),
            },
            _ => {
                let stuck = self.blobs.stuck.values().next();
                let why = stuck.map(|why| format!(": {why}")).unwrap_or_default();
                format!("fetching epoch {}{why}", target.at.epoch)
            }
        }
    }
}

fn aborted(why: String) -> RunReport {
    RunReport { aborted: Some(why), ..RunReport::default() }
}
