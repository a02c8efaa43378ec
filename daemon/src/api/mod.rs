//! The local API: HTTP over a Unix socket, for `vigo` and `vigocli` on this machine.
//!
//! | method and path | who | what |
//! |---|---|---|
//! | `POST /v1/command` | whoever reaches the socket; the node judges each command | a [`Command`] → `{"ok": reply}` or `{"err": refusal}` |
//! | `PUT /v1/blobs` | administrators | keeps the body as a blob → its reference |
//! | `GET /v1/blobs/{hash}` | administrators | the bytes of a blob |
//! | `GET /v1/health` | whoever reaches the socket | whether the node goes on, and if not, why |
//! | `GET /metrics` | whoever reaches the socket | counts for Prometheus |
//!
//! It says who calls (`SO_PEERCRED`) and passes the call on: what a command needs, the node's one door decides.
//! Every error is JSON with what happened and what to do. Invariant: bodies are bounded, and a blob is told to
//! the node before its reference is told to the caller.

pub mod caller;
mod measures;
pub mod socket;
mod wire;

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::serve::IncomingStream;
use axum::{Json, Router};
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use vigo_base::{Hash, limits};
use vigo_node::command::{Command, Refusal, RefusalKind, Reply};
use vigo_node::io::{Caller, Input};
use vigo_node::swarm::outline::BlobRef;

use crate::blobs::{BlobError, BlobStore};
use crate::channel::Channel;
use crate::driver::Handle;
use crate::gossip::Gossip;
use caller::OwnUser;
pub use wire::Answered;

/// Bytes of a command: a statement in hexadecimal digits, and what is around it.
const COMMAND_BYTES: usize = 256 * 1024;
/// How long a command may take; a run takes what it takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a run may take.
const RUN_PATIENCE: Duration = Duration::from_secs(6 * 3600);
/// How long `/metrics` waits for the node.
const STATUS_PATIENCE: Duration = Duration::from_secs(2);

/// What the API hands calls to.
pub struct Api {
    /// The node.
    pub driver: Handle,
    /// The blobs.
    pub blobs: BlobStore,
    /// The peers, for counts.
    pub channel: Channel,
    /// The gossip plane, for counts.
    pub gossip: Gossip,
    /// The program's version.
    pub version: String,
    /// When the process began.
    pub started: Instant,
    /// The state directory, for messages.
    pub state: PathBuf,
    /// Whether this process's own user administers.
    pub own: OwnUser,
}

/// `GET /v1/health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthReport {
    /// Whether it goes on.
    pub ok: bool,
    /// `running`, `in trouble`, `stopping` or `ended`.
    pub state: String,
    /// What is in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The program's version.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// Seconds since it began.
    pub uptime: u64,
    /// Its state directory.
    pub dir: PathBuf,
}

/// A blob as JSON names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobJson {
    /// The SHA-256 of its bytes.
    pub hash: Hash,
    /// The SHA-256 of its outline.
    pub exchange: Hash,
    /// Its size in bytes.
    pub size: u64,
}

impl From<BlobRef> for BlobJson {
    fn from(blob: BlobRef) -> BlobJson {
        BlobJson { hash: blob.hash, exchange: blob.exchange, size: blob.size }
    }
}

impl From<BlobJson> for BlobRef {
    fn from(blob: BlobJson) -> BlobRef {
        BlobRef { hash: blob.hash, exchange: blob.exchange, size: blob.size }
    }
}

/// Who is on the other side of a connection: user and group, as the kernel says; none if it says nothing.
#[derive(Debug, Clone, Copy)]
struct Peer(Option<(u32, u32)>);

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Peer {
        Peer(stream.io().peer_cred().ok().map(|ids| (ids.uid(), ids.gid())))
    }
}

impl Api {
    fn caller(&self, peer: Peer) -> Caller {
        match peer.0 {
            Some((uid, gid)) => caller::caller(uid, gid, self.own),
            // Without an answer from the kernel it is nobody.
            None => Caller { uid: u32::MAX, admin: false },
        }
    }
}

/// Serves until `stop` is told or dropped.
pub async fn serve(listener: UnixListener, api: Arc<Api>, stop: oneshot::Receiver<()>) {
    let app = Router::new()
        .route("/v1/command", post(command).layer(DefaultBodyLimit::max(COMMAND_BYTES)))
        .route("/v1/blobs", put(put_blob))
        .route("/v1/blobs/{hash}", get(get_blob))
        .route("/v1/health", get(health))
        .route("/metrics", get(metrics))
        .fallback(nothing_there)
        .method_not_allowed_fallback(nothing_there)
        .with_state(api);
    let service = app.into_make_service_with_connect_info::<Peer>();
    let stopped = async move { drop(stop.await) };
    if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(stopped).await {
        tracing::error!(%error, "the local API ended");
    }
}

async fn command(
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Response {
    let refused = |what: String, hint: &str| {
        refusal(Refusal { kind: RefusalKind::BadRequest, what, hint: Some(hint.to_string()) })
    };
    let body = match body {
        Ok(body) => body,
        Err(e) if e.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let hint = "what is bigger than a statement is a blob: PUT /v1/blobs";
            return refused(format!("a command has at most {COMMAND_BYTES} bytes"), hint);
        }
        Err(e) => return refused(format!("the command did not arrive: {e}"), "send it again"),
    };
    let command: Command = match serde_json::from_slice(&body) {
        Ok(command) => command,
        Err(e) => {
            return refused(format!("not a command: {e}"), "vigo and the node may be of different versions");
        }
    };
    let patience = if matches!(command, Command::Converge { .. }) { RUN_PATIENCE } else { PATIENCE };
    match api.driver.call(api.caller(peer), command, patience).await {
        Ok(reply) => Json(Answered::Ok(reply)).into_response(),
        Err(refused) => refusal(refused),
    }
}

async fn put_blob(State(api): State<Arc<Api>>, ConnectInfo(peer): ConnectInfo<Peer>, body: Body) -> Response {
    if let Err(refused) = administers(api.caller(peer)) {
        return refusal(refused);
    }
    let (sender, receiver) = mpsc::channel(4);
    let feeding = tokio::spawn(feed(body, sender));
    let store = api.blobs.clone();
    let pieces = Pieces { receiver, rest: Bytes::new() };
    let kept = tokio::task::spawn_blocking(move || store.put_reader(pieces, limits::CONFIG_BLOB_BYTES)).await;
    feeding.abort();
    let blob = match kept {
        Ok(Ok(blob)) => blob,
        Ok(Err(error)) => return refusal(blob_refusal(&error)),
        Err(_) => return refusal(internal()),
    };
    if !api.driver.give_async(Input::BlobStored { blob }).await {
        return refusal(Refusal {
            kind: RefusalKind::Unavailable,
            what: "the node is stopping".into(),
            hint: None,
        });
    }
    Json(BlobJson::from(blob)).into_response()
}

async fn get_blob(
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(hash): Path<String>,
) -> Response {
    if let Err(refused) = administers(api.caller(peer)) {
        return refusal(refused);
    }
    let hash: Hash = match hash.parse() {
        Ok(hash) => hash,
        Err(e) => {
            return refusal(Refusal { kind: RefusalKind::BadRequest, what: format!("{e}"), hint: None });
        }
    };
    let store = api.blobs.clone();
    match tokio::task::spawn_blocking(move || store.get(&hash, limits::CONFIG_BLOB_BYTES)).await {
        Ok(Ok(bytes)) => ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response(),
        Ok(Err(error)) => refusal(blob_refusal(&error)),
        Err(_) => refusal(internal()),
    }
}

async fn health(State(api): State<Arc<Api>>) -> Response {
    let health = api.driver.health();
    let trouble = health.trouble();
    let state = match &trouble {
        _ if health.has_ended() => "ended",
        _ if health.is_stopping() => "stopping",
        Some(_) => "in trouble",
        None => "running",
    };
    let ok = state == "running";
    let report = HealthReport {
        ok,
        state: state.into(),
        what: trouble.as_ref().map(|t| t.what.clone()),
        hint: trouble.map(|t| t.hint),
        version: api.version.clone(),
        pid: std::process::id(),
        uptime: api.started.elapsed().as_secs(),
        dir: api.state.clone(),
    };
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

async fn metrics(State(api): State<Arc<Api>>) -> Response {
    let ourselves = Caller { uid: rustix::process::geteuid().as_raw(), admin: true };
    let status = match api.driver.call(ourselves, Command::Status, STATUS_PATIENCE).await {
        Ok(Reply::Status(status)) => Some(status),
        _ => None,
    };
    let page = measures::page(&measures::Measured {
        version: &api.version,
        uptime: api.started.elapsed().as_secs(),
        health: api.driver.health(),
        status: status.as_deref(),
        blobs: (api.blobs.usage(), api.blobs.list().len()),
        totals: api.channel.totals(),
        gossip: api.gossip.figures(),
        links: api.channel.all_stats().into_iter().map(|(_, stats)| stats).collect(),
    });
    ([(header::CONTENT_TYPE, crate::metrics::CONTENT_TYPE)], page).into_response()
}

async fn nothing_there(uri: Uri) -> Response {
    let path: String = uri.path().chars().take(80).collect();
    refusal(Refusal {
        kind: RefusalKind::NotFound,
        what: format!("there is nothing at {}, or not with this method", vigo_base::text::escaped(&path)),
        hint: Some(
            "the API has POST /v1/command, PUT /v1/blobs, GET /v1/blobs/HASH, GET /v1/health, GET /metrics"
                .into(),
        ),
    })
}

fn administers(caller: Caller) -> Result<(), Refusal> {
    if caller.admin {
        return Ok(());
    }
    let what = format!("user {} may not administer this node", caller.uid);
    let hint = Some(format!("run it as root, or as a member of the group {}", caller::GROUP));
    Err(Refusal { kind: RefusalKind::Denied, what, hint })
}

fn refusal(refused: Refusal) -> Response {
    let status = match refused.kind {
        RefusalKind::Denied => StatusCode::FORBIDDEN,
        RefusalKind::BadRequest => StatusCode::BAD_REQUEST,
        RefusalKind::NotFound => StatusCode::NOT_FOUND,
        RefusalKind::Stale => StatusCode::CONFLICT,
        RefusalKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        RefusalKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, Json(Answered::Err(refused))).into_response()
}

fn blob_refusal(error: &BlobError) -> Refusal {
    let (kind, hint) = match error {
        BlobError::Unknown { .. } => {
            (RefusalKind::NotFound, "it may not have arrived here yet: ask another node")
        }
        BlobError::TooLarge { .. } => (RefusalKind::BadRequest, "leave out what is large, or split it"),
        BlobError::DiskFull { .. } | BlobError::OverQuota { .. } => {
            (RefusalKind::Unavailable, "free some space, then repeat the command")
        }
        BlobError::Rotten { .. } => (RefusalKind::Unavailable, "the node fetches it again from its peers"),
        _ => (RefusalKind::Internal, "see the node's log"),
    };
    Refusal { kind, what: error.to_string(), hint: Some(hint.into()) }
}

fn internal() -> Refusal {
    let what = "an internal error of this program; please report it".to_string();
    Refusal { kind: RefusalKind::Internal, what, hint: None }
}

/// Passes a body on, piece by piece; stops when nobody takes it.
async fn feed(mut body: Body, sender: mpsc::Sender<io::Result<Bytes>>) {
    while let Some(frame) = body.frame().await {
        let piece = match frame.map(|frame| frame.into_data()) {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(_)) => continue,
            Err(e) => Err(io::Error::other(e)),
        };
        let failed = piece.is_err();
        if sender.send(piece).await.is_err() || failed {
            return;
        }
    }
}

/// A body as a thread reads it.
struct Pieces {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(piece) => self.rest = piece?,
            }
        }
        let n = out.len().min(self.rest.len());
        out[..n].copy_from_slice(&self.rest.split_to(n));
        Ok(n)
    }
}
