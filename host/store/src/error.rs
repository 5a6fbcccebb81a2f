//! What can go wrong, told apart by what the caller has to do about it.

use std::path::PathBuf;

use sagahost_core::RuntimeStatus;

use crate::{InstanceKey, MAX_CHUNKS};

/// Why one write of a batch was refused. It changed nothing; the other writes
/// of the batch are not affected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// An instance of this id exists and has not ended.
    #[error(
        "instance {id:?} exists already and is {status}; wait for it to end, terminate it, or start under another id"
    )]
    InstanceExists {
        /// The id.
        id: String,
        /// The instance that has it.
        key: InstanceKey,
        /// Its status.
        status: RuntimeStatus,
    },
    /// The instance of this id has ended, and cannot be replaced or purged yet.
    #[error(
        "instance {id:?} has ended, but what it sent to other instances is not delivered yet; try again soon"
    )]
    InstanceBusy {
        /// The id.
        id: String,
    },
    /// The journal is not as long as the caller thinks: someone else appended.
    #[error(
        "the journal of instance {key} has {found} chunks, not {expected}: it was appended to by someone else; load it again"
    )]
    Conflict {
        /// The instance.
        key: InstanceKey,
        /// How many chunks the caller knew of.
        expected: u32,
        /// How many there are.
        found: u32,
    },
    /// The instance was purged or replaced, or never was.
    #[error("there is no instance {key} (it was purged, or replaced by a new one of the same id)")]
    NoSuchInstance {
        /// The key.
        key: InstanceKey,
    },
    /// Only what has ended can be purged.
    #[error("instance {key} is {status} and cannot be purged; terminate it first")]
    NotTerminal {
        /// The instance.
        key: InstanceKey,
        /// Its status.
        status: RuntimeStatus,
    },
    /// The journal has as many chunks as a journal can have.
    #[error(
        "the journal of instance {key} is full: it has {MAX_CHUNKS} chunks, the most there can be; an orchestration that never ends must continue as new"
    )]
    JournalFull {
        /// The instance.
        key: InstanceKey,
    },
    /// A chunk, an input, an output, a custom status, a text of what is stuck, a
    /// note, or all tags together: larger than can be stored.
    #[error("the {what} has {bytes} bytes, the most that can be stored is {limit}")]
    TooLarge {
        /// Which value.
        what: &'static str,
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        limit: usize,
    },
    /// All instance keys were used: after 2^39 instances.
    #[error(
        "this store has held 2^39 instances, the most it can number; start a new data directory"
    )]
    OutOfKeys,
}

/// Why the store did not do it. After an error from a commit nothing of its
/// batch is visible, and the store may be used again: the cause may pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The caller does not own the partition any more and must stop.
    #[error(
        "partition {partition} was taken over: its epoch is {current}, this owner's is {held}; this host must not write to it any more"
    )]
    Fenced {
        /// The partition.
        partition: u16,
        /// The epoch the caller has.
        held: u64,
        /// The epoch there is.
        current: u64,
    },
    /// No room on the disk.
    #[error("no room to write to {path}: {reason}; nothing of this was stored. Free space on that disk; the host goes on by itself then", path = .path.display())]
    Full {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
    /// The disk or the file system did not do what it was asked.
    #[error("{doing} {path} failed: {reason}; check that disk, its mount and the permissions", path = .path.display())]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// The database.
        path: PathBuf,
        /// What SQLite or the system said.
        reason: String,
    },
    /// What is stored is not what was written.
    #[error("{path} is damaged: {reason}. Stop the host, keep a copy of the directory, and restore a backup or try `sqlite3 {path} .recover`", path = .path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// Another host has this directory.
    #[error("the data directory {dir} is in use by another sagahost{holder}; stop that one, or give this one another directory with --data", dir = .dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// ` (process 1234)`, where it is known.
        holder: String,
    },
    /// The database was written by a later version of the host.
    #[error("{path} has schema version {found}, and this sagahost knows up to {known}: it was written by a newer one. Use that version or a later one", path = .path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The latest this host knows.
        known: i64,
    },
    /// The file is a database, but not one of ours.
    #[error("{path} is an SQLite database, but not one of sagahost's (application id {found:#x}); move it away, or give another directory with --data", path = .path.display())]
    Foreign {
        /// The database.
        path: PathBuf,
        /// Its `application_id`.
        found: i64,
    },
}
