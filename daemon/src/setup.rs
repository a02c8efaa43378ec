//! How a machine becomes part of a fleet: `vigo init`, `vigo init --restore` and `vigo join`.
//!
//! Each leaves a state directory that `vigo node` starts from, or an error and nothing half done: keys are on
//! the disk before the records that name them, and all records come in one commit. A directory of another fleet
//! is refused. It prints nothing and asks nobody: words, names and passphrases are arguments and results.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use vigo_base::{Hash, Hostname, PublicKey, SecretKey, SpannerId, Time};
use vigo_node::boot::{Join, meta};
use vigo_node::io::{Event, FoundFleet};
use vigo_node::spanner::words::{BadWords, from_words, to_words};
use vigo_node::spanner::{Token, TokenExpired};
use vigo_node::swarm::beacon::Choice;
use vigo_node::{CannotFound, Founded, Founding, Restoring};
use zeroize::Zeroizing;

use crate::applier::anchor::AnchorError;
use crate::authority::Authority;
use crate::driver::Ending;
use crate::driver::clock::wall;
use crate::nodeconf::NodeConf;
use crate::operator::keyfile::{self, KeyFileError, Saved};
use crate::process::{Start, StartError, fleet_of, machine_id, start};
use crate::state::{StateDir, StateError};
use crate::store::{Seal, Store, StoreError, StoreOp};

/// Why a fleet was not founded, restored or joined.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The machine belongs to a fleet.
    #[error("{} belongs to the fleet {fleet} already: start it with `vigo node`, or use another state directory (--state)", state.display())]
    Member {
        /// The state directory.
        state: PathBuf,
        /// The fleet.
        fleet: Box<SpannerId>,
    },
    /// The machine belongs to another fleet than the token's.
    #[error("{} belongs to the fleet {ours}, and the token is of the fleet {theirs}: use another state directory (--state), or move this one away", state.display())]
    OtherFleet {
        /// The state directory.
        state: PathBuf,
        /// The fleet it belongs to.
        ours: Box<SpannerId>,
        /// The token's.
        theirs: Box<SpannerId>,
    },
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operator's key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The recovery words.
    #[error(transparent)]
    Words(#[from] BadWords),
    /// The rules of the fleet.
    #[error(transparent)]
    Found(#[from] CannotFound),
    /// The node that joins.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The system's randomness.
    #[error("the system gives no randomness: {0}")]
    Random(String),
    /// Somebody said no, or nobody answered.
    #[error("joining came to nothing: {why}{}", clock.as_ref().map(|c| format!("; note that {c}")).unwrap_or_default())]
    Refused {
        /// Why.
        why: String,
        /// What is odd about this machine's clock.
        clock: Option<Box<TokenExpired>>,
    },
    /// The person here did not want it any more.
    #[error("given up; this machine belongs to no fleet")]
    GivenUp {
        /// The name under which an operator let the machine in meanwhile. Its key is gone: it is to be revoked.
        admitted: Option<String>,
    },
    /// It took too long.
    #[error("not joined within {} s{}", after.as_secs(), if *pending { ": no operator has approved yet (`vigocli spanner requests` on a bolt lists who waits)" } else { ": no bolt answered" })]
    TimedOut {
        /// How long.
        after: Duration,
        /// Whether an operator was to decide.
        pending: bool,
    },
    /// The applier's anchor.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// Nothing to anchor an applier to.
    #[error("no anchor can be written for {}: {why}", state.display())]
    NoAnchor {
        /// The state directory.
        state: PathBuf,
        /// Why.
        why: String,
    },
    /// The disk, mostly.
    #[error("the node that was to join ended: {0}")]
    Ended(String),
}

/// Whose key the first operator's is.
pub enum OperatorKey {
    /// A new one, kept in this file, under a passphrase if one is given.
    New {
        /// The file.
        path: PathBuf,
        /// The passphrase.
        passphrase: Option<Zeroizing<String>>,
    },
    /// One that exists.
    Existing(SecretKey),
}

/// What `vigo init` needs.
pub struct Init<'a> {
    /// The state directory, made if it is not there.
    pub state: &'a Path,
    /// The first bolt's name.
    pub name: Hostname,
    /// What people call the fleet.
    pub fleet: String,
    /// The first operator's name.
    pub operator_name: Hostname,
    /// The first operator's key.
    pub operator: OperatorKey,
}

/// What `vigo init` made.
pub struct Made {
    /// The fleet.
    pub spanner: SpannerId,
    /// The recovery key's words, to be kept on paper: they exist nowhere else. None for a restored fleet.
    pub words: Option<Zeroizing<String>>,
    /// The operator's key that was made.
    pub operator: Option<Saved>,
    /// The new bolt's key.
    pub node: PublicKey,
}

/// Founds a fleet with this machine as its first bolt.
///
/// # Errors
/// [`SetupError`]; then this machine belongs to no fleet still.
pub fn init(init: Init<'_>) -> Result<Made, SetupError> {
    let site = Site::open(init.state)?;
    let recovery = SecretKey::from_seed(*random()?);
    let (operator, saved) = operator_key(init.operator)?;
    let founded = vigo_node::found(Founding {
        node: &site.key,
        name: init.name,
        fleet: init.fleet,
        recovery: &recovery,
        operator: &operator,
        operator_name: init.operator_name,
        nonce: Hash(*random()?),
        now: wall(),
    })?;
    let node = site.key.public();
    let spanner = site.keep(founded)?;
    Ok(Made { spanner, words: Some(to_words(&recovery.seed())), operator: saved, node })
}

/// Who signs when a fleet is restored.
pub enum RestoredBy {
    /// An operator.
    Operator(SecretKey),
    /// The recovery key, from its words; it admits a new operator.
    Recovery {
        /// The 24 words.
        words: Zeroizing<String>,
        /// The new operator's name.
        operator_name: Hostname,
        /// The new operator's key.
        operator: OperatorKey,
    },
}

/// Makes this machine a bolt of a fleet that lost all of its bolts, from the authority that any member holds.
///
/// # Errors
/// [`SetupError`]; then this machine belongs to no fleet still.
pub fn restore(
    state: &Path,
    name: Hostname,
    authority: &Authority,
    by: RestoredBy,
) -> Result<Made, SetupError> {
    let site = Site::open(state)?;
    let (signer, operator, saved) = match by {
        RestoredBy::Operator(key) => (key, None, None),
        RestoredBy::Recovery { words, operator_name, operator } => {
            let recovery = SecretKey::from_seed(*from_words(&words)?);
            let (key, saved) = operator_key(operator)?;
            (recovery, Some((key.public(), operator_name)), saved)
        }
    };
    let founded = vigo_node::restore(Restoring {
        spanner: authority.spanner,
        authority: authority.records.clone(),
        node: &site.key,
        name,
        signer: &signer,
        operator,
        now: wall(),
    })?;
    let node = site.key.public();
    let spanner = site.keep(founded)?;
    Ok(Made { spanner, words: None, operator: saved, node })
}

/// Writes the anchor of this machine's applier into `applier`, by what the state directory of its node holds. That
/// must be as `init` or `join` left it: once a peer has run there, whatever it holds is the peer's word.
///
/// # Errors
/// [`SetupError::NoAnchor`] if the node belongs to no fleet; [`SetupError::Anchor`]; those of the state directory.
pub fn anchor(state: &Path, applier: &Path) -> Result<(), SetupError> {
    let dir = StateDir::open(state)?;
    let (key, _) = dir.node_key(&machine_id(&dir)?)?;
    let (_store, loaded) = Store::open(dir.path(), Seal::new(&*key.seed()))?;
    let made = crate::process::anchor(&key, &loaded.meta);
    let made = made.map_err(|why| SetupError::NoAnchor { state: state.into(), why })?;
    Ok(crate::applier::anchor::write(applier, &made)?)
}

fn operator_key(operator: OperatorKey) -> Result<(SecretKey, Option<Saved>), SetupError> {
    match operator {
        OperatorKey::Existing(key) => Ok((key, None)),
        OperatorKey::New { path, passphrase } => {
            let key = SecretKey::from_seed(*random()?);
            let saved = keyfile::save(&path, &key, passphrase.as_ref().map(|p| p.as_str()))?;
            Ok((key, Some(saved)))
        }
    }
}

fn random() -> Result<Zeroizing<[u8; 32]>, SetupError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(|e| SetupError::Random(e.to_string()))?;
    Ok(bytes)
}

/// A state directory that belongs to no fleet yet.
struct Site {
    state: StateDir,
    key: SecretKey,
    store: Store,
}

impl Site {
    fn open(path: &Path) -> Result<Site, SetupError> {
        let state = StateDir::open(path)?;
        let (key, _) = state.node_key(&machine_id(&state)?)?;
        let (store, loaded) = Store::open(state.path(), Seal::new(&*key.seed()))?;
        match state.fleet(fleet_of(loaded.meta.get(meta::SPANNER)), None)? {
            Some(fleet) => Err(SetupError::Member { state: path.into(), fleet: Box::new(fleet) }),
            None => Ok(Site { state, key, store }),
        }
    }

    /// Writes what was founded, all at once.
    fn keep(mut self, founded: Founded) -> Result<SpannerId, SetupError> {
        let put = |bytes: Arc<[u8]>| StoreOp::Put { id: Hash::of(&bytes), bytes };
        let mut ops: Vec<StoreOp> = founded.records.into_iter().map(put).collect();
        ops.extend(founded.meta.into_iter().map(|(key, value)| StoreOp::PutMeta { key, value }));
        self.store.commit(&ops)?;
        self.state.fleet(Some(founded.spanner), None)?;
        Ok(founded.spanner)
    }
}

/// What the person who waits for joining is told meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// This machine's clock says that the token has expired; it is tried all the same, the bolt's clock decides.
    Clock(TokenExpired),
    /// These fleets were found on this machine's networks.
    Found(Vec<FoundFleet>),
    /// An operator has to approve; both sides show these words.
    Pending {
        /// The fleet that answers.
        spanner: String,
        /// Six words.
        words: String,
    },
}

/// Who has joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Under this name.
    pub name: String,
    /// Of this fleet.
    pub spanner: String,
}

/// Joins a fleet with a token.
///
/// # Errors
/// [`SetupError`], with both clocks if they disagree about the token's life.
pub fn join_by_token(
    state: &Path,
    token: Token,
    name: Hostname,
    version: &str,
    patience: Duration,
    news: &mut dyn FnMut(&News),
) -> Result<Joined, SetupError> {
    let clock = clock_trouble(&token, wall());
    if let Some(expired) = &clock {
        news(&News::Clock(expired.clone()));
    }
    joinable(state, Some(token.spanner))?;
    let told = &mut |told: &News| {
        news(told);
        true
    };
    let conf = NodeConf { state: state.to_path_buf(), ..NodeConf::default() };
    join(conf, Join::Token { token, name }, version, patience, told).map_err(|e| match e {
        SetupError::Refused { why, .. } => SetupError::Refused { why, clock: clock.map(Box::new) },
        other => other,
    })
}

/// What this machine's clock has against the token.
fn clock_trouble(token: &Token, now: Time) -> Option<TokenExpired> {
    token.check(now).err()
}

/// Joins a fleet by asking at `addresses`; an operator decides. With `spanner`, no other fleet will do. What `news`
/// answers with `false` is given up: it hangs up, and the key that asked is destroyed with all that it got, so that
/// an approval that is on its way lets nobody in.
///
/// # Errors
/// [`SetupError`]; [`SetupError::GivenUp`] when `news` said so.
pub fn join_by_asking(
    state: &Path,
    ask: Asking,
    version: &str,
    patience: Duration,
    news: &mut dyn FnMut(&News) -> bool,
) -> Result<Joined, SetupError> {
    joinable(state, ask.spanner)?;
    let Asking { addresses, name, bolt, spanner } = ask;
    let conf = NodeConf { state: state.to_path_buf(), ..NodeConf::default() };
    join(conf, Join::Ask { addresses, name, bolt, spanner }, version, patience, news)
}

/// Joins a fleet that is found on this machine's own networks by asking its bolts, as [`join_by_asking`] does. With
/// several fleets and no `spanner` it is refused.
///
/// # Errors
/// [`SetupError`]; [`SetupError::GivenUp`] when `news` said so.
pub fn join_by_discovering(
    state: &Path,
    wish: Discovering,
    version: &str,
    patience: Duration,
    news: &mut dyn FnMut(&News) -> bool,
) -> Result<Joined, SetupError> {
    joinable(state, wish.spanner)?;
    let Discovering { name, bolt, spanner, beacon, port } = wish;
    let conf = NodeConf { state: state.to_path_buf(), beacon, beacon_port: port, ..NodeConf::default() };
    join(conf, Join::Discover { name, bolt, spanner }, version, patience, news)
}

/// A wish to join whichever fleet is near.
#[derive(Debug, Clone)]
pub struct Discovering {
    /// The name it would like.
    pub name: Hostname,
    /// Whether it would be a bolt.
    pub bolt: bool,
    /// The fleet it means, if it knows one.
    pub spanner: Option<SpannerId>,
    /// The interfaces to look on.
    pub beacon: Choice,
    /// The beacons' port.
    pub port: u16,
}

/// A wish to join without a token.
#[derive(Debug, Clone)]
pub struct Asking {
    /// Bolts' addresses.
    pub addresses: Vec<String>,
    /// The name it would like.
    pub name: Hostname,
    /// Whether it would be a bolt.
    pub bolt: bool,
    /// The fleet it means, if it knows one.
    pub spanner: Option<SpannerId>,
}

/// Whether a state directory may join a fleet: it belongs to none.
fn joinable(state: &Path, wanted: Option<SpannerId>) -> Result<(), SetupError> {
    match (Site::open(state), wanted) {
        (Ok(_), _) => Ok(()),
        (Err(SetupError::Member { state, fleet }), Some(theirs)) if *fleet != theirs => {
            Err(SetupError::OtherFleet { state, ours: fleet, theirs: Box::new(theirs) })
        }
        (Err(other), _) => Err(other),
    }
}

/// Runs a node until it has joined, or not.
fn join(
    conf: NodeConf,
    how: Join,
    version: &str,
    patience: Duration,
    news: &mut dyn FnMut(&News) -> bool,
) -> Result<Joined, SetupError> {
    let (tell, told) = mpsc::channel();
    let state = &conf.state.clone();
    let listener = Box::new(move |event: &Event| {
        // Nobody listens any more only when this function has returned.
        let _ = tell.send(event.clone());
    });
    let running = start(Start { join: Some(how), api: false, listener, ..Start::new(conf, version) })?;
    let until = std::time::Instant::now() + patience;
    let mut pending = false;
    let outcome = loop {
        let left = until.saturating_duration_since(std::time::Instant::now());
        match told.recv_timeout(left) {
            Ok(Event::Joined { name, spanner }) => break Ok(Joined { name, spanner }),
            Ok(Event::JoinRefused { why }) => break Err(SetupError::Refused { why, clock: None }),
            Ok(Event::FleetsFound(found)) => {
                news(&News::Found(found));
            }
            Ok(Event::JoinPending { spanner, words }) => {
                pending = true;
                if !news(&News::Pending { spanner, words }) {
                    break Err(SetupError::GivenUp { admitted: None });
                }
            }
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => break Err(SetupError::TimedOut { after: patience, pending }),
            Err(RecvTimeoutError::Disconnected) => break Err(SetupError::Ended("it stopped".into())),
        }
    };
    match (running.stop(), outcome) {
        (_, Err(SetupError::GivenUp { .. })) => {
            let admitted = told.try_iter().find_map(|event| match event {
                Event::Joined { name, .. } => Some(name),
                _ => None,
            });
            forget(state)?;
            Err(SetupError::GivenUp { admitted })
        }
        (Ending::Broken(trouble), Err(SetupError::Ended(_))) => Err(SetupError::Ended(trouble.to_string())),
        (_, Ok(joined)) => {
            // The directory notes the fleet as well, so that it is never taken for another's.
            match Site::open(state) {
                Err(SetupError::Member { .. }) => Ok(joined),
                Err(other) => Err(other),
                Ok(_) => {
                    Err(SetupError::Ended("it joined and kept nothing of it; please report this".into()))
                }
            }
        }
        (_, err) => err,
    }
}

/// Removes what asking has left: records first and the key last, so that no records are ever without their key.
fn forget(state: &Path) -> Result<(), SetupError> {
    let dir = StateDir::open(state)?;
    for name in ["records.redb", "records.redb.draft", "records.count", "spanner.id", "node.key"] {
        dir.remove_small(name)?;
    }
    Ok(())
}
