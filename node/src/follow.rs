//! From a new head of configuration to a run and its report.
//!
//! [`Node::follow`] looks at where things stand and begins whatever comes next: read the route table, find the own
//! route by the admitted name, fetch and read the policy, collect traits, have it run. It can be called at any
//! time; each step is begun once. The floor (the publish that was last run) is persisted before the run that
//! raises it, and nothing below it is ever run again while it counts.
//!
//! A node resolves nothing and touches nothing itself: its applier does, which judges the publish anew by the
//! statements that go with it (see [`crate::warrant`]).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::Value;
use vigo_base::{Hash, Time, planted, time};
use vigo_content::config::{Epoch, Published, RouteTable};
use vigo_content::settings::SettingsView;
use vigo_content::status::{Run, RunStep, Tally};
use vigo_crdt::{Space, Statement};
use vigo_spanner::{Pattern, Right};
use vigo_stacks::Policy;
use vigo_stacks::report::{Outcome, RunReport};
use vigo_swarm::frame::Frame;
use vigo_swarm::outline::BlobRef;

use crate::boot::meta;
use crate::command::{Refusal, RefusalKind, Reply};
use crate::io::{CommandId, Done, Effect, Event, Failed, NotRun, Output};
use crate::node::{Node, Op, Out};
use crate::warrant::{self, Evidence};

/// How long a node waits before it asks an applier again that was away, at first and at last.
const FIRST_PAUSE: u64 = time::secs(1);
const LAST_PAUSE: u64 = time::secs(30);

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
    /// The policy of a publish, which was read and is sound.
    policy: Option<(Epoch, Option<BlobRef>)>,
    /// Blobs that are being read.
    reading: BTreeSet<Hash>,
    /// Those of them that the disk would not give: read again with the next chores.
    pub unreadable: BTreeSet<Hash>,
    /// Why the head cannot be run, if so.
    pub trouble: Option<String>,
    /// Why the applier did not run it when it was last asked, if so.
    hindrance: Option<String>,
    /// How long to wait for an applier that is away before it is asked again.
    pause: u64,
    /// What the applier was told last.
    informed: Hash,
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
        self.due.filter(|_| self.running.is_none() && self.policy.is_some())
    }
}

impl Node {
    /// Publishes arrived, or who may publish changed.
    pub(crate) fn config_changed(&mut self, out: &mut Out) {
        let before = self.config.head().map(|p| p.at);
        let losers_before: BTreeSet<Hash> = self.config.losers().map(|p| p.at.id).collect();
        let statements = self.statements_of(&Space::config());
        let Some(trust) = &self.trust else { return };
        self.config = warrant::publishes(&trust.authority, &statements);
        self.following.floor = warrant::floor(self.following.floor, &trust.authority, &self.config);
        // What counts no more is not enforced while another publish is being fetched, nor made the floor again.
        let counts = |at: &Epoch| self.config.get(&at.id).is_some_and(|p| p.refused.is_none());
        self.following.policy = self.following.policy.filter(|(at, _)| counts(at));
        let offers: Vec<(Hash, bool)> = self.config.iter().map(|p| (p.at.id, self.offers(p))).collect();
        for (id, offered) in offers {
            self.replica.offer(&Space::config(), &id, offered);
        }
        self.classify();
        if let Some(head) = self.config.head().map(|p| p.at).filter(|at| Some(*at) != before) {
            out.push(Output::Emit(Event::Epoch { epoch: head.epoch, id: head.id }));
            self.following.trouble = None;
            self.following.hindrance = None;
        }
        for loser in self.config.losers().map(|p| p.at.id).filter(|id| !losers_before.contains(id)) {
            out.push(Output::Emit(Event::Fork { loser }));
        }
        self.ask_for_parents(out);
        self.inform(out);
    }

    /// A publish is offered to peers if it counts, or waits for what it is based on.
    fn offers(&self, published: &Published) -> bool {
        let waits = published.parents.iter().any(|p| self.config.get(p).is_none());
        published.refused.is_none() || (published.may && waits)
    }

    /// Asks for publishes and changes of settings that are named and not here. What counts for nothing is not
    /// reconciled, and not every peer holds it: so another one is asked every time, until somebody has it.
    pub(crate) fn ask_for_parents(&mut self, out: &mut Out) {
        for (space, missing) in
            [(Space::config(), self.missing_publishes()), (Space::settings(), self.missing_changes())]
        {
            let missing: Vec<Hash> = missing.into_iter().take(64).collect();
            let members: Vec<_> = self.members().map(|(conn, _)| conn).collect();
            if let Some(conn) = self.dice.pick(&members).copied().filter(|_| !missing.is_empty()) {
                self.send(conn, &Frame::Want(space, missing), out);
            }
        }
    }

    /// Changes of settings that others are based on and that are not here: without them it cannot be said how far
    /// along the line those stand.
    fn missing_changes(&self) -> BTreeSet<Hash> {
        let Some(held) = self.statements.get(&Space::settings()) else { return BTreeSet::new() };
        let named = held.values().flat_map(|statement| statement.after());
        named.filter(|id| !held.contains_key(*id)).copied().collect()
    }

    /// Publishes that others are based on, or that a revoker had seen, and that are not here.
    fn missing_publishes(&self) -> BTreeSet<Hash> {
        self.trust.as_ref().map(|t| warrant::missing(&t.authority, &self.config)).unwrap_or_default()
    }

    /// By what the applier can judge for itself.
    fn evidence(&self) -> Evidence {
        let (Some(trust), Some(config)) = (&self.trust, self.statements.get(&Space::config())) else {
            return Evidence::default();
        };
        Evidence::of(&trust.authority, &self.config, config)
    }

    /// Tells the applier of what is new: so that what it knows once cannot be kept from it later, whoever may have
    /// taken this process over by then.
    fn inform(&mut self, out: &mut Out) {
        let evidence = self.evidence();
        if self.following.informed != evidence.digest() {
            self.following.informed = evidence.digest();
            out.push(Output::Inform(evidence));
        }
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

    /// The publish to run: the head, unless it lies below the floor.
    fn target(&self) -> Option<&Published> {
        let head = self.config.head()?;
        let reaches = |floor: Epoch| match planted!(7) {
            true => head.at.epoch > floor.epoch || head.at == floor,
            false => head.at >= floor,
        };
        self.following.floor.is_none_or(reaches).then_some(head)
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
    fn table(&mut self, now: Time, at: Epoch, routes: &BlobRef, out: &mut Out) -> Option<RouteTable> {
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
    fn gather(&mut self, now: Time, policies: &[BlobRef], source: &BlobRef, out: &mut Out) {
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
                let hash = self.hash_for(&op, &routes);
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
                Ok(_) => {
                    self.following.reading.clear();
                    self.following.policy = Some((at, self.own_policy(&routes)));
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

    fn hash_for(&self, op: &Op, routes: &BlobRef) -> Hash {
        match op {
            Op::Routes(_) => routes.hash,
            _ => self.own_policy(routes).map_or(routes.hash, |p| p.hash),
        }
    }

    /// The policy to which a route table that was read routes this node.
    fn own_policy(&self, routes: &BlobRef) -> Option<BlobRef> {
        let name = self.trust.as_ref().and_then(|t| t.member()).map(|m| &m.name)?;
        self.blobs.tables.get(&routes.hash)?.policy(name).copied()
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
        let Some((at, policy)) = self.following.policy else {
            let what = match self.target() {
                Some(target) => format!("the policy of epoch {} has not arrived here yet", target.at.epoch),
                None => "no configuration has been published yet".into(),
            };
            return self.answer_without_policy(&what, out);
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

    /// Traits are here: tell them, and have the policy run.
    pub(crate) fn traits_collected(&mut self, now: Time, traits: Result<String, NotRun>, out: &mut Out) {
        let json = match traits {
            Ok(json) => json,
            Err(why) => return self.run_ended(now, Err(why), out),
        };
        let traits: Arc<Value> = Arc::new(serde_json::from_str(&json).unwrap_or(Value::Null));
        if self.following.traits.as_deref() != Some(&*traits) {
            self.following.traits = Some(traits);
            self.tell_traits(now, &json, out);
        }
        let policy = self.following.policy.and_then(|(at, policy)| Some((at, policy?)));
        let published = policy.and_then(|(at, policy)| Some((at, policy, self.config.get(&at.id)?)));
        let Some((at, policy, published)) = published else {
            // It was cut off meanwhile: who asked is answered by the next.
            if let Some(Running { dry_run, commands, .. }) = self.following.running.take() {
                self.following.asked.extend(commands.into_iter().map(|id| (id, dry_run)));
            }
            return;
        };
        let routes = published.publish.routes;
        let Some(running) = self.following.running.as_mut() else { return };
        running.at = Some(at);
        let dry_run = running.dry_run;
        if !dry_run {
            self.set_floor(at, out);
        }
        let evidence = self.evidence();
        self.following.informed = evidence.digest();
        let op = self.op(Op::Run);
        let effect = Effect::Converge { at, routes, policy, evidence, dry_run };
        out.push(Output::Begin { op, effect });
    }

    /// A run has ended, or was not begun.
    pub(crate) fn run_ended(&mut self, now: Time, end: Result<RunReport, NotRun>, out: &mut Out) {
        let Some(running) = self.following.running.take() else { return };
        let (report, hindrance, happened) = match end {
            Ok(report) => (report, None, true),
            Err(NotRun::Refused(why)) => {
                let what = running.at.map_or_else(String::new, |at| format!("run epoch {}", at.epoch));
                out.push(Output::Emit(Event::EffectRefused { what, why: why.clone() }));
                (aborted(why.clone()), Some(why), true)
            }
            Err(NotRun::Away(why)) => (aborted(why.clone()), Some(why), false),
            Err(NotRun::Unread { blob, why }) => {
                self.forget_unread(blob, &why);
                let why = format!("the blob {blob} cannot be read: {why:?}");
                (aborted(why.clone()), Some(why), false)
            }
        };
        if hindrance.is_some() && hindrance != self.following.hindrance {
            self.note(format!("nothing was run: {}", hindrance.as_deref().unwrap_or_default()), out);
        }
        self.following.hindrance = hindrance;
        for id in running.commands {
            out.push(Output::Reply { id, reply: Ok(Reply::Run(report.clone())) });
        }
        match (happened, running.dry_run) {
            (true, false) => self.finish_run(now, running.at, report, running.intended, out),
            (false, false) => {
                // What did not happen is no run. It is tried again, less and less often.
                self.following.pause = (self.following.pause * 2).clamp(FIRST_PAUSE, LAST_PAUSE);
                self.following.due = Some(now.after(self.following.pause));
            }
            (_, true) => {}
        }
        if happened {
            self.following.pause = 0;
        }
        self.follow(now, out);
    }

    /// What the applier could not read: a disk that failed may give it later; what is rotten or gone is fetched
    /// again from a peer.
    fn forget_unread(&mut self, blob: Hash, why: &Failed) {
        if !matches!(why, Failed::Local(_)) {
            self.blobs.held.remove(&blob);
            self.blobs.tables.remove(&blob);
            self.following.policy = None;
        }
    }

    /// Keeps and tells the result of a run, and says when the next is due.
    fn finish_run(&mut self, now: Time, at: Option<Epoch>, report: RunReport, intended: bool, out: &mut Out) {
        let interval = time::secs(self.interval());
        let splay = self.options.splay.unwrap_or_else(|| self.settings.number("converge.splay"));
        let next = now.after(interval + self.dice.below(time::secs(splay) + 1));
        // A policy that came while this run was under way is run at once.
        let newer = self.following.policy.as_ref().is_some_and(|(of, _)| Some(*of) != at);
        self.following.due = Some(if newer && !planted!(17) { now } else { next });
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
        if let Some(hindrance) = &f.hindrance {
            return format!("not run: {hindrance}");
        }
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
