//! What can go wrong with blobs, in words for whoever runs the node.
//!
//! [`BlobError::from_io`] is the one place where a system's answer becomes one of ours. No message carries
//! bytes or names from a peer, only hashes and numbers.

use std::io;

use vigo_base::Hash;
use vigo_node::swarm::outline::{BadOutline, BlobRef};

/// Why an operation on blobs failed.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// No room on the disk.
    #[error("the disk that holds {place} is full: nothing was kept; free some space there and try again")]
    DiskFull {
        /// The blob directory.
        place: String,
    },
    /// No room under the quota.
    #[error(
        "{needed} more bytes of blobs do not fit: {used} of {quota} bytes are in use; remove content or \
         raise the quota"
    )]
    OverQuota {
        /// Bytes asked for.
        needed: u64,
        /// Bytes in use, unfinished blobs at their full size.
        used: u64,
        /// Bytes allowed.
        quota: u64,
    },
    /// Larger than the caller takes.
    #[error("a blob of {found} bytes or more, where at most {limit} are taken")]
    TooLarge {
        /// Its size in bytes, as far as it was read.
        found: u64,
        /// The most the caller takes.
        limit: u64,
    },
    /// No such blob here.
    #[error("no blob {hash} here")]
    Unknown {
        /// The hash of the blob, or the exchange id, asked for.
        hash: Hash,
    },
    /// No such chunk in that blob.
    #[error("chunk {index} was asked for, where exchange {exchange} has {chunks}")]
    NoSuchChunk {
        /// The exchange id.
        exchange: Hash,
        /// The chunk asked for, from 0.
        index: u32,
        /// How many there are.
        chunks: u32,
    },
    /// The chunk is not here yet.
    #[error("chunk {index} of exchange {exchange} is not here yet")]
    NotYet {
        /// The exchange id.
        exchange: Hash,
        /// The chunk asked for, from 0.
        index: u32,
    },
    /// The bytes are not that chunk: whoever sent them lied or has a broken disk.
    #[error("the bytes sent as chunk {index} of exchange {exchange} are not that chunk")]
    WrongChunk {
        /// The exchange id.
        exchange: Hash,
        /// Which chunk, from 0.
        index: u32,
    },
    /// The outline does not belong to the blob.
    #[error("the outline of {blob} is not usable: {source}")]
    Outline {
        /// The blob.
        blob: BlobRef,
        /// What is wrong with it.
        source: Box<BadOutline>,
    },
    /// Every chunk is right, yet the blob is not: the statement that names it contradicts itself.
    #[error(
        "all chunks of {expected} are here, but together they are {found}: whoever signed its name erred"
    )]
    WrongBlob {
        /// What was to be fetched.
        expected: Box<BlobRef>,
        /// What its chunks make.
        found: Box<BlobRef>,
    },
    /// Chunks are missing.
    #[error("{blob} lacks {missing} chunks still")]
    Incomplete {
        /// The blob.
        blob: BlobRef,
        /// How many chunks are missing.
        missing: u32,
    },
    /// Somebody fetches it already.
    #[error("{blob} is being fetched already")]
    Busy {
        /// The blob.
        blob: BlobRef,
    },
    /// The bytes on the disk have changed. They are no longer served.
    #[error("{blob} was damaged on disk; it was moved aside as {aside} and must be fetched again")]
    Rotten {
        /// The blob.
        blob: BlobRef,
        /// The file name it has now.
        aside: String,
    },
    /// The system answered something else.
    #[error("cannot {doing} in {place}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The blob directory.
        place: String,
        /// What the system answered.
        source: io::Error,
    },
}

impl BlobError {
    /// The error for what the system answered.
    pub(super) fn from_io(place: &std::path::Path, doing: &'static str, source: io::Error) -> BlobError {
        let place = place.display().to_string();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BlobError::DiskFull { place },
            _ => BlobError::Io { doing, place, source },
        }
    }
}
