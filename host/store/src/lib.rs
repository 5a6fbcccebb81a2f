//! Where sagas are kept: the [`Store`] trait, and two stores behind it.
//!
//! A store keeps, for each instance, a row (what status and listing show) and
//! a journal (everything that happened, one opaque chunk for each turn). It
//! knows nothing of what the chunks say. Rows whose id begins with `@` are
//! entities: they are kept like instances, and are listed apart from them,
//! never counted, and purged only by their key. Beside all that it keeps notes,
//! which are texts of the host under a name.
//!
//! What holds, in every store:
//!
//! - [`Store::commit`] is one transaction and durable when it returns. A write
//!   that is refused ([`WriteError`]) changes nothing and leaves the others of
//!   its batch alone; an error of the store ([`StoreError`]) means that nothing
//!   of the batch is there.
//! - A row and its journal change together or not at all.
//! - Every write is checked, inside its transaction, against the epoch of the
//!   partition: who has lost the partition can write nothing
//!   ([`StoreError::Fenced`]).
//! - Instance keys grow in the order in which instances were created, and are
//!   never used twice, also when the newest instance was purged: a late append
//!   to a purged instance cannot hit another one.
//! - Reads wait for no write.
//!
//! [`SqliteStore`] is the one the host runs on. [`memory::MemoryStore`] is
//! short enough to be read and believed: tests compare the others with it.

pub mod bench;
mod board;
mod error;
mod listing;
pub mod memory;
mod sqlite;
mod store;
mod types;

pub use board::{
    BoardFilter, BoardPage, BoardPlace, BoardQuery, BoardSort, Histogram, HistogramQuery,
    MAX_BUCKETS, MAX_SHOWN_STATUS, StatusCounts, Work,
};
pub use error::{StoreError, WriteError};
pub use listing::{ListKind, ListQuery, MAX_PAGE, MAX_PAGE_BYTES, Page};
pub use sqlite::{SqliteStore, make_dir};
pub use store::Store;
pub use types::*;
