//! The socket of the local API: made, with its mode and group, or an error that says who is in the way.
//!
//! It replaces the socket that a dead process left, never one that answers and never a file that is no socket.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use super::caller::group_id;

/// Its mode: the owner and the group.
const MODE: u32 = 0o660;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody answers there.
    #[error("another vigo process answers on {}: stop it, or give this one another `socket:` in node.yaml (--socket)", path.display())]
    Alive {
        /// The socket.
        path: PathBuf,
    },
    /// Something else lies there.
    #[error("{} is in the way and is no socket: remove it, or give another `socket:` in node.yaml (--socket)", path.display())]
    NoSocket {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {doing} the socket {}: {source}; see `socket:` in node.yaml (--socket)", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Listens at `path`, for the owner and the group vigo-admin. Must be called within a runtime.
///
/// # Errors
/// [`SocketError`].
pub fn listen(path: &Path) -> Result<UnixListener, SocketError> {
    let failed = |doing| move |source| SocketError::Io { path: path.to_path_buf(), doing, source };
    let listener = bind(path, |path| UnixListener::bind(path))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE))
        .map_err(failed("set the mode of"))?;
    // In a folder that hands down its group (/run/vigo) it is right already, and nothing is asked of the system that an
    // unprivileged process may not do.
    let has = std::fs::symlink_metadata(path).map_err(failed("look at"))?.gid();
    if let Some(group) = group_id().filter(|group| *group != has)
        && let Err(error) = std::os::unix::fs::chown(path, None, Some(group))
    {
        tracing::warn!(%error, "the socket is not given to the group vigo-admin: only root and this user reach it");
    }
    Ok(listener)
}

/// Binds a socket at `path` with `make`, in the place of one that a dead process left.
///
/// # Errors
/// [`SocketError`].
pub(crate) fn bind<L>(path: &Path, make: impl FnOnce(&Path) -> io::Result<L>) -> Result<L, SocketError> {
    let failed = |doing| move |source| SocketError::Io { path: path.to_path_buf(), doing, source };
    match std::fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => {
            return Err(SocketError::NoSocket { path: path.into() });
        }
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => return Err(SocketError::Alive { path: path.into() }),
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(failed("replace"))?;
            }
            Err(e) => return Err(failed("look at")(e)),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(failed("make the folder of"))?;
            }
        }
        Err(e) => return Err(failed("look at")(e)),
    }
    make(path).map_err(failed("make"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dead_socket_is_replaced_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/vigo.sock");
        let first = listen(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        let error = listen(&path).unwrap_err();
        assert!(error.to_string().contains("another vigo process answers"), "{error}");
        drop(first);
        assert!(path.exists(), "as after a kill -9");
        drop(listen(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(listen(&path), Err(SocketError::NoSocket { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }
}
