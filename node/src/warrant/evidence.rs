//! The statements by which an applier can judge for itself what a node wants run.
//!
//! Of all that a node holds only what matters travels: what counts, what lies in its causal past, and what a revoker
//! says it had seen. So what somebody without rights signs by the thousand takes no room in anybody's applier. The
//! order is one in which every statement comes behind an admit that names its signer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use vigo_base::{Hash, PublicKey, SpannerId};
use vigo_content::config::ConfigView;
use vigo_crdt::{Space, Statement};
use vigo_spanner::act::{Amend, Seen};
use vigo_spanner::admissions::Said;
use vigo_spanner::{Act, Authority};

use super::signer_made;

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Of `admissions`.
    Admissions(Arc<Said>),
    /// Of `config`.
    Config(Arc<Statement>),
}

impl Piece {
    /// The statement.
    pub fn statement(&self) -> &Statement {
        match self {
            Piece::Admissions(said) => &said.statement,
            Piece::Config(statement) => statement,
        }
    }
}

/// Statements of `admissions` and `config`. Cheap to clone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    spanner: SpannerId,
    pieces: Arc<[Piece]>,
    digest: Hash,
}

impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Evidence({} statements {:?})", self.pieces.len(), self.digest)
    }
}

impl Evidence {
    /// What a node can show for its view of configuration.
    pub fn of(authority: &Authority, view: &ConfigView, config: &BTreeMap<Hash, Arc<Statement>>) -> Evidence {
        let admissions = authority.admissions().statements();
        let counting = admissions.keys().filter(|id| authority.counts(id).is_ok()).copied();
        // Who signed what does not count but is built upon is to be known as well.
        let admits = admissions
            .iter()
            .filter(|(_, s)| signer_made(&s.statement, &s.act, &authority.spanner()).is_some());
        let counting = counting.chain(admits.map(|(id, _)| *id));
        let needed = closure(counting, |id| {
            let said = admissions.get(id)?;
            Some([said.statement.under()].into_iter().chain(said.statement.after().iter().copied()).collect())
        });
        let said = needed.iter().filter_map(|id| admissions.get(id));
        let seen = said.clone().filter_map(|s| s.act.as_ref().ok()).flat_map(seen_by);
        let seen = seen.filter(|seen| seen.space == Space::config()).flat_map(|s| s.heads.iter().copied());
        let counting = view.iter().filter(|p| p.refused.is_none()).map(|p| p.at.id);
        let publishes = closure(counting.chain(seen), |id| config.get(id).map(|s| s.after().to_vec()));
        let publishes = publishes.iter().filter_map(|id| config.get(id)).cloned();
        ordered(authority.spanner(), said.cloned(), publishes)
    }

    /// The statements, each behind an admit that names its signer.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The fleet in which the statements were checked.
    pub fn spanner(&self) -> SpannerId {
        self.spanner
    }

    /// A name for the whole: the same statements have the same.
    pub fn digest(&self) -> Hash {
        self.digest
    }
}

/// What a revoke or a narrowing says its signer had seen.
pub(super) fn seen_by(act: &Act) -> &[Seen] {
    match act {
        Act::Revoke(revoke) => &revoke.seen,
        Act::Amend(Amend::Narrow { seen, .. }) => seen,
        _ => &[],
    }
}

/// Everything that can be reached from these; `behind` says nothing of what is not there.
fn closure(
    from: impl IntoIterator<Item = Hash>,
    behind: impl Fn(&Hash) -> Option<Vec<Hash>>,
) -> BTreeSet<Hash> {
    let mut open: Vec<Hash> = from.into_iter().collect();
    let mut reached = BTreeSet::new();
    while let Some(id) = open.pop() {
        if let Some(next) = behind(&id)
            && reached.insert(id)
        {
            open.extend(next.into_iter().filter(|id| !reached.contains(id)));
        }
    }
    reached
}

/// Puts statements into an order in which each comes behind an admit that names its signer. What hangs on nothing is
/// left out.
pub(super) fn ordered(
    spanner: SpannerId,
    admissions: impl Iterator<Item = Arc<Said>>,
    config: impl Iterator<Item = Arc<Statement>>,
) -> Evidence {
    let mut by: BTreeMap<PublicKey, Vec<Arc<Said>>> = BTreeMap::new();
    let mut open: VecDeque<Arc<Said>> = VecDeque::new();
    for said in admissions {
        match said.statement.id() == spanner.0 {
            true => open.push_back(said),
            false => by.entry(said.statement.signer()).or_default().push(said),
        }
    }
    let (mut pieces, mut signers) = (Vec::new(), BTreeSet::new());
    while let Some(said) = open.pop_front() {
        if let Some(signer) = signer_made(&said.statement, &said.act, &spanner) {
            signers.insert(signer);
            open.extend(by.remove(&signer).into_iter().flatten());
        }
        pieces.push(Piece::Admissions(said));
    }
    pieces.extend(config.filter(|s| signers.contains(&s.signer())).map(Piece::Config));
    let mut ids: Vec<Hash> = pieces.iter().map(|p| p.statement().id()).collect();
    ids.sort_unstable();
    let parts: Vec<&[u8]> = ids.iter().map(|id| &id.0[..]).collect();
    Evidence { spanner, pieces: pieces.into(), digest: Hash::of_parts(&parts) }
}
