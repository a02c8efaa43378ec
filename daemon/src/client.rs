//! The other end of the local API: what `vigo` and `vigocli` speak to a node with.
//!
//! [`Client`] is async; [`blocking::Client`] is the same for programs without a runtime. One connection a call.
//! It never guesses: a socket that is not there, one that nobody answers and one that the caller may not use are
//! three errors, each with what to do.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use vigo_base::{Hash, limits};
use vigo_node::command::{Command, Refusal, Reply};
use vigo_node::swarm::outline::BlobRef;

use crate::api::caller::GROUP;
use crate::api::{Answered, BlobJson, HealthReport};

/// Bytes of an answer that is no blob.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// Bytes sent in one piece.
const PIECE: usize = 64 * 1024;
/// How long a node may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody is there.
    #[error("no vigo node is running here (nothing answers on {}): start it with `vigo node`, or name its socket with --socket", path.display())]
    NoNode {
        /// The socket.
        path: PathBuf,
    },
    /// The kernel does not let us.
    #[error("you may not use the node's socket {}: run this as root, or as a member of the group {GROUP}", path.display())]
    Denied {
        /// The socket.
        path: PathBuf,
    },
    /// The node said no.
    #[error("{0}")]
    Refused(Refusal),
    /// The connection broke.
    #[error("the node broke off while answering ({why}): see its log, and repeat the command")]
    Broken {
        /// What happened.
        why: String,
    },
    /// It answered with something else.
    #[error("the node's answer makes no sense ({why}): vigo and the node may be of different versions")]
    Protocol {
        /// What was wrong.
        why: String,
    },
    /// What was to be sent could not be read.
    #[error("cannot read what is to be sent: {0}")]
    Source(io::Error),
    /// Anything else the system refused.
    #[error("cannot reach the node on {}: {source}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl CallError {
    /// What to do about it, if the message does not say so itself.
    pub fn hint(&self) -> Option<&str> {
        match self {
            CallError::Refused(refusal) => refusal.hint.as_deref(),
            _ => None,
        }
    }
}

/// The way to one node's local API.
#[derive(Debug, Clone)]
pub struct Client {
    path: PathBuf,
}

/// A body that is read while it is sent.
struct Source<R> {
    reader: R,
    size: u64,
    sent: u64,
    told: Box<dyn FnMut(u64) + Send>,
}

impl<R: Read + Send + Unpin> Body for Source<R> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut piece = vec![0; PIECE];
        // Reading blocks this thread for a moment; it has nothing else to do.
        let n = loop {
            match self.reader.read(&mut piece) {
                Ok(n) => break n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Poll::Ready(Some(Err(e))),
            }
        };
        if n == 0 {
            return Poll::Ready(None);
        }
        piece.truncate(n);
        self.sent += n as u64;
        let sent = self.sent;
        (self.told)(sent);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(piece)))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.size.saturating_sub(self.sent))
    }
}

impl Client {
    /// A client of the node with this socket. Nothing is sent yet.
    pub fn new(path: &Path) -> Client {
        Client { path: path.to_path_buf() }
    }

    /// A client of the node with this socket, which answers.
    ///
    /// # Errors
    /// [`CallError`] if it does not.
    pub async fn connect(path: &Path) -> Result<Client, CallError> {
        let client = Client::new(path);
        client.open().await?;
        Ok(client)
    }

    /// Has the node do something.
    ///
    /// # Errors
    /// [`CallError::Refused`] when the node does not, else why it could not be asked.
    pub async fn call(&self, command: &Command) -> Result<Reply, CallError> {
        let body = serde_json::to_vec(command).map_err(|e| CallError::Protocol { why: e.to_string() })?;
        let request = request(Method::POST, "/v1/command", Full::new(Bytes::from(body)))?;
        let response = self.send(request).await?;
        let bytes = read(response, ANSWER_BYTES).await?;
        match serde_json::from_slice(&bytes) {
            Ok(Answered::Ok(reply)) => Ok(reply),
            Ok(Answered::Err(refusal)) => Err(CallError::Refused(refusal)),
            Err(e) => Err(CallError::Protocol { why: e.to_string() }),
        }
    }

    /// Gives the node `size` bytes to keep as a blob; `told` hears how many were sent.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn put_blob(
        &self,
        reader: impl Read + Send + Unpin + 'static,
        size: u64,
        told: impl FnMut(u64) + Send + 'static,
    ) -> Result<BlobRef, CallError> {
        let body = Source { reader: reader.take(size), size, sent: 0, told: Box::new(told) };
        let response = self.send(request(Method::PUT, "/v1/blobs", body)?).await?;
        let bytes = read(ok(response).await?, ANSWER_BYTES).await?;
        let blob: BlobJson =
            serde_json::from_slice(&bytes).map_err(|e| CallError::Protocol { why: e.to_string() })?;
        Ok(blob.into())
    }

    /// The bytes of a blob that the node holds; they are what the name says.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn get_blob(&self, hash: &Hash) -> Result<Vec<u8>, CallError> {
        let path = format!("/v1/blobs/{hash}");
        let response = self.send(request(Method::GET, &path, Full::new(Bytes::new()))?).await?;
        let bytes = read(ok(response).await?, limits::CONFIG_BLOB_BYTES as usize).await?;
        if Hash::of(&bytes) != *hash {
            return Err(CallError::Protocol { why: "the bytes are not that blob".into() });
        }
        Ok(bytes)
    }

    /// How the node's process is.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn health(&self) -> Result<HealthReport, CallError> {
        let bytes = read(self.get("/v1/health").await?, ANSWER_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(|e| CallError::Protocol { why: e.to_string() })
    }

    /// The node's metrics, as Prometheus reads them.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn metrics(&self) -> Result<String, CallError> {
        let bytes = read(ok(self.get("/metrics").await?).await?, ANSWER_BYTES).await?;
        String::from_utf8(bytes).map_err(|e| CallError::Protocol { why: e.to_string() })
    }

    async fn get(&self, path: &str) -> Result<Response<Incoming>, CallError> {
        self.send(request(Method::GET, path, Full::new(Bytes::new()))?).await
    }

    async fn open(&self) -> Result<UnixStream, CallError> {
        let path = || self.path.clone();
        let connected = tokio::time::timeout(CONNECT, UnixStream::connect(&self.path)).await;
        let error = match connected {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(_) => return Err(CallError::Broken { why: "it does not accept connections".into() }),
        };
        Err(match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => CallError::NoNode { path: path() },
            io::ErrorKind::PermissionDenied => CallError::Denied { path: path() },
            _ => CallError::Io { path: path(), source: error },
        })
    }

    async fn send<B>(&self, request: Request<B>) -> Result<Response<Incoming>, CallError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stream = self.open().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let driving = tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(broken);
        if response.is_err() {
            driving.abort();
        }
        response
    }
}

fn request<B>(method: Method, path: &str, body: B) -> Result<Request<B>, CallError> {
    let request = Request::builder().method(method).uri(path).header("host", "vigo").body(body);
    request.map_err(|e| CallError::Protocol { why: e.to_string() })
}

fn broken(error: hyper::Error) -> CallError {
    let source = std::error::Error::source(&error).and_then(|e| e.downcast_ref::<io::Error>());
    match source {
        Some(source) if error.is_user() => {
            CallError::Source(io::Error::new(source.kind(), source.to_string()))
        }
        Some(source) => CallError::Broken { why: source.to_string() },
        None => CallError::Broken { why: error.to_string() },
    }
}

/// The response, unless it is a refusal.
async fn ok(response: Response<Incoming>) -> Result<Response<Incoming>, CallError> {
    if response.status() == StatusCode::OK {
        return Ok(response);
    }
    let status = response.status();
    let bytes = read(response, ANSWER_BYTES).await?;
    match serde_json::from_slice(&bytes) {
        Ok(Answered::Err(refusal)) => Err(CallError::Refused(refusal)),
        _ => Err(CallError::Protocol { why: format!("it answered {status}") }),
    }
}

async fn read(response: Response<Incoming>, most: usize) -> Result<Vec<u8>, CallError> {
    let mut body = response.into_body();
    let mut out = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame.map_err(broken)?.into_data() {
            if out.len() + piece.len() > most {
                return Err(CallError::Protocol { why: format!("more than {most} bytes") });
            }
            out.extend_from_slice(&piece);
        }
    }
    Ok(out)
}

/// The same for programs that have no runtime of their own.
pub mod blocking {
    use std::future::Future;
    use std::io::Read;
    use std::path::Path;

    use tokio::runtime::{Builder, Runtime};
    use vigo_base::Hash;
    use vigo_node::command::{Command, Reply};
    use vigo_node::swarm::outline::BlobRef;

    use super::CallError;
    use crate::api::HealthReport;

    /// As [`super::Client`], each method blocking until it is done.
    #[derive(Debug)]
    pub struct Client {
        runtime: Runtime,
        inner: super::Client,
    }

    impl Client {
        /// A client of the node with this socket, which answers.
        ///
        /// # Errors
        /// [`CallError`] if it does not.
        pub fn connect(path: &Path) -> Result<Client, CallError> {
            let runtime = Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|source| CallError::Io { path: path.to_path_buf(), source })?;
            let inner = runtime.block_on(super::Client::connect(path))?;
            Ok(Client { runtime, inner })
        }

        fn run<T>(&self, work: impl Future<Output = T>) -> T {
            self.runtime.block_on(work)
        }

        /// As [`super::Client::call`].
        ///
        /// # Errors
        /// [`CallError`].
        pub fn call(&self, command: &Command) -> Result<Reply, CallError> {
            self.run(self.inner.call(command))
        }

        /// As [`super::Client::put_blob`].
        ///
        /// # Errors
        /// [`CallError`].
        pub fn put_blob(
            &self,
            reader: impl Read + Send + Unpin + 'static,
            size: u64,
            told: impl FnMut(u64) + Send + 'static,
        ) -> Result<BlobRef, CallError> {
            self.run(self.inner.put_blob(reader, size, told))
        }

        /// As [`super::Client::get_blob`].
        ///
        /// # Errors
        /// [`CallError`].
        pub fn get_blob(&self, hash: &Hash) -> Result<Vec<u8>, CallError> {
            self.run(self.inner.get_blob(hash))
        }

        /// As [`super::Client::health`].
        ///
        /// # Errors
        /// [`CallError`].
        pub fn health(&self) -> Result<HealthReport, CallError> {
            self.run(self.inner.health())
        }

        /// As [`super::Client::metrics`].
        ///
        /// # Errors
        /// [`CallError`].
        pub fn metrics(&self) -> Result<String, CallError> {
            self.run(self.inner.metrics())
        }
    }
}
