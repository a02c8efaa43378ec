//! What makes an applier touch its machine: the one judge of every run.
//!
//! A node's process is reached from the network; whatever takes it over may ask the applier, which is root, for
//! anything. So the applier believes nothing that it is told about *what* to run. It holds an [`Anchor`] (which fleet,
//! which key and name are its own), statements that it verified itself, and a floor; [`Warrants::judge`] is a pure
//! function of these and of what is offered:
//!
//! - the publish counts, by the statements that are held here, and is the head of them;
//! - it does not lie below the floor, the publish that was run last;
//! - the route table has the hash that the publish names, this machine's own name is routed in it, and the policy has
//!   the hash that the route names.
//!
//! Only then is the policy resolved, with facts that the applier collected itself, and only so does a [`Warranted`]
//! come about. Statements are only ever added: a revocation that was seen once cannot be withheld later. Time plays no
//! role. `follow` reads a set of publishes by the same functions ([`publishes`], [`missing`], [`floor`]), so that what
//! a node would run and what its applier would let pass cannot drift apart.
//!
//! What this module never does: take a name, a tag or a hash from whoever offers the work.

mod anchor;
mod evidence;
mod refusal;
pub mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use vigo_base::{Hash, PublicKey, SpannerId};
use vigo_content::config::{ConfigView, Epoch, Published, RouteTable};
use vigo_crdt::{BadStatement, Space, Statement};
use vigo_spanner::act::{Amend, BadAct, read_statement};
use vigo_spanner::admissions::Said;
use vigo_spanner::{Act, ActKind, Admissions, Authority, Pattern, Right};
use vigo_stacks::plan::Plan;
use vigo_stacks::{Facts, Policy, resolve};

pub use anchor::{Anchor, BadAnchor};
pub use evidence::{Evidence, Piece};
pub use refusal::NotWarranted;

/// Statements that one applier holds.
pub const STATEMENTS: usize = 1 << 16;
/// Bytes of their encodings.
pub const BYTES: usize = 48 << 20;
/// So much of both, in eighths, is for anything; what is left is for revokes alone, so that no flood shuts them out.
const FOR_ALL: usize = 7;

/// Reads the publishes among statements of `config`: which count, and which is the head.
pub fn publishes(authority: &Authority, statements: &BTreeMap<Hash, Arc<Statement>>) -> ConfigView {
    let mut judge = authority.judge_space(&Space::config(), statements);
    ConfigView::of(statements.values().map(|s| &**s), |s| {
        judge.judge(s, Right::ConfigPublish, &Pattern::any()).map_err(|e| e.to_string())
    })
}

/// Publishes that others are based on, or that a revoker had seen, and that are not held.
pub fn missing(authority: &Authority, view: &ConfigView) -> BTreeSet<Hash> {
    let mut missing = view.missing().clone();
    missing.extend(seen_by_cuts(authority).filter(|id| view.get(id).is_none()));
    missing
}

/// The publishes that were last when a revoke or a narrowing was signed that counts.
fn seen_by_cuts(authority: &Authority) -> impl Iterator<Item = Hash> {
    let counting = cuts(authority).filter(|(id, _)| authority.counts(id).is_ok());
    let seen = counting.filter_map(|(_, said)| said.act.as_ref().ok()).flat_map(evidence::seen_by);
    seen.filter(|seen| seen.space == Space::config()).flat_map(|s| s.heads.iter().copied())
}

/// The statements that take something from somebody, whether they count or not.
fn cuts(authority: &Authority) -> impl Iterator<Item = (&Hash, &Arc<Said>)> {
    let takes = |act: &Act| matches!(act, Act::Revoke(_) | Act::Amend(Amend::Narrow { .. }));
    authority.admissions().statements().iter().filter(move |(_, said)| said.act.as_ref().is_ok_and(takes))
}

/// What is left of a floor. It goes down only when its publish is known and its signer may no more. While something is
/// missing that a revoker had seen, or of what the publish acts under, that cannot be told: the publish, or its admit,
/// may yet turn out to lie in the past. What is missing elsewhere does not matter: it may never come.
pub fn floor(floor: Option<Epoch>, authority: &Authority, view: &ConfigView) -> Option<Epoch> {
    let falls = |at: Epoch| match view.get(&at.id) {
        Some(at) if !at.may => seen_is_whole(authority, view) && pasts_are_whole(authority, at.under),
        _ => false,
    };
    floor.filter(|at| !falls(*at))
}

/// Whether every publish is held that lies in the past of what a revoker had seen.
fn seen_is_whole(authority: &Authority, view: &ConfigView) -> bool {
    is_whole(seen_by_cuts(authority), |id| view.get(id).map(|p| p.parents.clone()))
}

/// Whether every statement of `admissions` is held that lies in the past of a revoke or a narrowing that counts, or of
/// the admit `under`.
fn pasts_are_whole(authority: &Authority, under: Hash) -> bool {
    let held = authority.admissions().statements();
    let cutting = cuts(authority).map(|(id, _)| *id).filter(|id| authority.counts(id).is_ok());
    is_whole(cutting.chain([under]), |id| {
        let statement = &held.get(id)?.statement;
        // The genesis acts under nothing.
        let behind = statement.after().iter().copied().chain([statement.under()]);
        Some(behind.filter(|id| *id != Hash::default()).collect())
    })
}

/// Whether everything is held that can be reached from these; `behind` says what a thing that is held stands on.
fn is_whole(from: impl Iterator<Item = Hash>, behind: impl Fn(&Hash) -> Option<Vec<Hash>>) -> bool {
    let mut open: Vec<Hash> = from.collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            let Some(next) = behind(&id) else { return false };
            open.extend(next);
        }
    }
    true
}

/// Whom a statement of `admissions` makes a signer, whether it counts or not: the key that it admits, and who signed
/// the genesis.
pub fn signer_made(
    statement: &Statement,
    act: &Result<Act, BadAct>,
    spanner: &SpannerId,
) -> Option<PublicKey> {
    match act {
        _ if statement.id() == spanner.0 => Some(statement.signer()),
        Ok(Act::Admit(admit)) => Some(admit.key),
        _ => None,
    }
}

/// What an applier is asked to run.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The publish.
    pub at: Epoch,
    /// The bytes of its route table.
    pub routes: &'a [u8],
    /// The bytes of this machine's policy.
    pub policy: &'a [u8],
}

/// Leave to run a plan: made by [`Warrants::judge`] and by nothing else.
#[derive(Debug, Clone)]
pub struct Warranted {
    at: Epoch,
    plan: Plan,
}

impl Warranted {
    /// The publish.
    pub fn at(&self) -> Epoch {
        self.at
    }

    /// What is to be done.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

/// What became of a statement that an applier was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It is new, and is held from now on.
    New,
    /// It was held already.
    Known,
    /// No admit that is held names its signer: not taken. It may be told again.
    Early,
    /// There is no room for it.
    Full,
}

/// What an applier holds: the whole ground of its decisions.
#[derive(Debug, Clone)]
pub struct Warrants {
    anchor: Anchor,
    admissions: Admissions,
    config: BTreeMap<Hash, Arc<Statement>>,
    /// Keys that some admit names, whether it counts or not, and the recovery key.
    signers: BTreeSet<PublicKey>,
    floor: Option<Epoch>,
    bytes: usize,
    /// Made from the statements when somebody asks; none when they have changed since.
    judged: Option<Arc<(Authority, ConfigView)>>,
}

impl Warrants {
    /// An applier that was told nothing yet, with the floor it had.
    pub fn new(anchor: Anchor, floor: Option<Epoch>) -> Warrants {
        let admissions = Admissions::new(anchor.spanner);
        let (config, signers) = (BTreeMap::new(), BTreeSet::new());
        Warrants { anchor, admissions, config, signers, floor, bytes: 0, judged: None }
    }

    /// Whose applier it is.
    pub fn anchor(&self) -> &Anchor {
        &self.anchor
    }

    /// The publish that was run last, unless that counts no more.
    pub fn floor(&self) -> Option<Epoch> {
        self.floor
    }

    /// How many statements are held.
    pub fn len(&self) -> usize {
        self.admissions.statements().len() + self.config.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ids of all statements held.
    pub fn ids(&self) -> impl Iterator<Item = &Hash> {
        self.admissions.statements().keys().chain(self.config.keys())
    }

    /// All statements held, in an order in which they can be told anew.
    pub fn evidence(&self) -> Evidence {
        let held = self.admissions.statements().values().cloned();
        evidence::ordered(self.anchor.spanner, held, self.config.values().cloned())
    }

    /// Takes an encoded statement of `admissions` or `config`, after checking it.
    ///
    /// # Errors
    /// [`BadStatement`] if it is malformed, of another space or fleet, or not signed by whom it says.
    pub fn tell(&mut self, space: &Space, bytes: &[u8]) -> Result<Told, BadStatement> {
        // Known ones are told by their hash: no signature is checked twice.
        let id = Hash::of(bytes);
        if self.admissions.statements().contains_key(&id) || self.config.contains_key(&id) {
            return Ok(Told::Known);
        }
        let statement = match *space == Space::admissions() {
            true => read_statement(bytes, &self.anchor.spanner)?,
            false => Statement::decode(bytes, &Space::config(), &self.anchor.spanner)?,
        };
        Ok(self.take(statement))
    }

    /// Takes what a node of this very process holds: its type says that the signatures were checked, for the fleet that
    /// it names. Gives what is new.
    pub fn hear(&mut self, evidence: &Evidence) -> Vec<Piece> {
        if evidence.spanner() != self.anchor.spanner {
            return Vec::new();
        }
        let new = |piece: &&Piece| {
            let id = piece.statement().id();
            let known = self.admissions.statements().contains_key(&id) || self.config.contains_key(&id);
            !known && self.take(piece.statement().clone()) == Told::New
        };
        evidence.pieces().iter().filter(new).cloned().collect()
    }

    fn take(&mut self, statement: Statement) -> Told {
        let id = statement.id();
        // As a node does: what counts is decided later, and what does not may still be what others are based on.
        if id != self.anchor.spanner.0 && !self.signers.contains(&statement.signer()) {
            return Told::Early;
        }
        let act = Act::decode(statement.kind(), statement.payload());
        let config = *statement.space() == Space::config();
        let last = !config && matches!(&act, Ok(act) if act.kind() == ActKind::Revoke);
        let share = |whole: usize| if last { whole } else { whole / 8 * FOR_ALL };
        let size = statement.bytes().len();
        if self.len() >= share(STATEMENTS) || self.bytes + size > share(BYTES) {
            return Told::Full;
        }
        self.bytes += size;
        self.judged = None;
        match config {
            true => drop(self.config.insert(id, Arc::new(statement))),
            false => {
                self.signers.extend(signer_made(&statement, &act, &self.anchor.spanner));
                self.admissions.insert_statement(statement);
            }
        }
        Told::New
    }

    fn judged(&mut self) -> Arc<(Authority, ConfigView)> {
        if let Some(judged) = &self.judged {
            return judged.clone();
        }
        let authority = Authority::evaluate(&self.admissions);
        let view = publishes(&authority, &self.config);
        self.floor = floor(self.floor, &authority, &view);
        let judged = Arc::new((authority, view));
        self.judged = Some(judged.clone());
        judged
    }

    /// Whether what is offered may be run on this machine, and if so what it comes to with these `traits`, which the
    /// applier collected itself.
    ///
    /// # Errors
    /// [`NotWarranted`]: what was offered, what is held here, and what to do.
    pub fn judge(&mut self, request: Request<'_>, traits: Value) -> Result<Warranted, NotWarranted> {
        let judged = self.judged();
        let (authority, view) = &*judged;
        let published = self.publish(authority, view, request.at)?;
        let (at, expected) = (published.at, published.publish.routes.hash);
        let offered = Hash::of(request.routes);
        if offered != expected {
            return Err(NotWarranted::Routes { epoch: at.epoch, offered, expected });
        }
        let table = RouteTable::decode(request.routes)
            .map_err(|why| NotWarranted::BadRoutes { epoch: at.epoch, why })?;
        let name = &self.anchor.name;
        let not_routed = || NotWarranted::NotRouted { epoch: at.epoch, name: name.clone() };
        let (route, expected) = table.route(name).zip(table.policy(name)).ok_or_else(not_routed)?;
        let offered = Hash::of(request.policy);
        if offered != expected.hash {
            let (name, expected) = (name.clone(), expected.hash);
            return Err(NotWarranted::Policy { epoch: at.epoch, name, offered, expected });
        }
        let policy = Policy::from_bytes(request.policy)
            .map_err(|why| NotWarranted::BadPolicy { epoch: at.epoch, why: why.to_string() })?;
        let facts = Facts { name: name.to_string(), tags: route.tags.iter().cloned().collect(), traits };
        let plan = resolve(&policy, &facts).map_err(|problems| NotWarranted::Unresolved {
            epoch: at.epoch,
            problems: problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        })?;
        Ok(Warranted { at, plan })
    }

    /// Whether a publish is the one to run, and how long its route table is, in bytes: so nobody need read what
    /// would be refused anyway.
    ///
    /// # Errors
    /// [`NotWarranted`].
    pub fn expect(&mut self, at: Epoch) -> Result<u64, NotWarranted> {
        let judged = self.judged();
        self.publish(&judged.0, &judged.1, at).map(|published| published.publish.routes.size)
    }

    /// The publish that is named, if it is the one to run.
    fn publish<'a>(
        &self,
        authority: &Authority,
        view: &'a ConfigView,
        at: Epoch,
    ) -> Result<&'a Published, NotWarranted> {
        if !authority.has_genesis() {
            return Err(NotWarranted::NoFleet { spanner: self.anchor.spanner });
        }
        if let Some(revoke) = authority.revoked_at(&self.anchor.node, self.anchor.depth()) {
            let (name, by) = (self.anchor.name.clone(), revoke.id);
            return Err(NotWarranted::Expelled { name, by, reason: revoke.revoke.reason.clone() });
        }
        let Some(published) = view.get(&at.id).filter(|p| p.at == at) else {
            return Err(NotWarranted::Unknown { offered: at });
        };
        if let Some(why) = &published.refused {
            return Err(NotWarranted::DoesNotCount { offered: at, why: why.clone() });
        }
        match self.floor {
            Some(floor) if at < floor => return Err(NotWarranted::BelowFloor { offered: at, floor }),
            _ => {}
        }
        match view.head() {
            Some(head) if head.at == at => Ok(published),
            Some(head) => Err(NotWarranted::Stale { offered: at, head: head.at }),
            None => Err(NotWarranted::Unknown { offered: at }),
        }
    }

    /// Raises the floor, before the run. Gives the floor if it has changed: it is to be durable before anything is
    /// touched.
    pub fn begin(&mut self, warranted: &Warranted) -> Option<Epoch> {
        let before = self.floor.replace(warranted.at);
        (before != self.floor).then_some(warranted.at)
    }
}
