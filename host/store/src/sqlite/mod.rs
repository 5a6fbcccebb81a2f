//! The embedded store: one SQLite database in one directory.

mod board;
mod checkpoint;
mod list;
mod open;
mod packed;
mod read;
mod schema;
mod tags;
mod write;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::ErrorCode;
use sagahost_core::Millis;

use crate::{
    BoardPage, BoardQuery, Counters, Histogram, HistogramQuery, InstanceKey, InstanceRef,
    InstanceRow, ListQuery, Owner, Page, Stats, Store, StoreError, Wakeup, Write, WriteError,
    Written,
};
use checkpoint::Checkpointer;
pub use open::make_dir;
use read::Readers;
use writer::{Failed, Writer};

/// Keeps sagas in `DIR/sagahost.db`, an SQLite database with a write-ahead log
/// that is flushed to the disk with every commit.
///
/// One connection writes, behind a mutex. Reads have their own, which see the
/// last commit and wait for nobody.
#[derive(Debug)]
pub struct SqliteStore {
    // In the order in which they are closed: the directory is given up last.
    checkpointer: Checkpointer,
    readers: Readers,
    writer: Arc<Mutex<Writer>>,
    path: PathBuf,
    _lock: open::Lock,
}

impl SqliteStore {
    /// Opens the store in this directory, which is made if it is not there,
    /// and keeps every other host out of it.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another store is open there, and others when
    /// what is there cannot be used; each says what to do.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let lock = open::lock(dir)?;
        let path = dir.join("sagahost.db");
        let connection = open::database(&path)?;
        let writer = Writer::new(connection).map_err(|e| failed("opening", &path, e))?;
        let writer = Arc::new(Mutex::new(writer));
        Ok(SqliteStore {
            checkpointer: Checkpointer::start(&path, writer.clone())?,
            readers: Readers::new(path.clone()),
            writer,
            path,
            _lock: lock,
        })
    }

    /// Allows the database no more than this many pages: a disk that fills up,
    /// for tests.
    ///
    /// # Errors
    /// When the store cannot be read.
    #[doc(hidden)]
    pub fn limit_pages(&self, pages: u32) -> Result<(), StoreError> {
        let result = self.writer().limit_pages(pages);
        result.map_err(|e| failed("limiting", &self.path, e))
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // A writer that panicked has rolled back, and remembers only what was
        // committed.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for SqliteStore {
    fn claim(&self) -> Result<Owner, StoreError> {
        let result = self.writer().claim();
        result.map_err(|e| failed("writing to", &self.path, e))
    }

    fn commit(
        &self,
        owner: Owner,
        batch: &[Write],
    ) -> Result<Vec<Result<Written, WriteError>>, StoreError> {
        let mut writer = self.writer();
        let result = writer.commit(owner, batch);
        self.checkpointer.note(writer.log_pages());
        drop(writer);
        result.map_err(|error| match error {
            Failed::Fenced { current } => {
                StoreError::Fenced { partition: owner.partition, held: owner.epoch, current }
            }
            Failed::Sql(e) => failed("writing to", &self.path, e),
        })
    }

    fn find(&self, id: &str) -> Result<Option<InstanceRow>, StoreError> {
        self.readers.with(|c| read::find(c, id))
    }

    fn get(&self, key: InstanceKey) -> Result<Option<InstanceRow>, StoreError> {
        self.readers.with(|c| read::get(c, key))
    }

    fn journal(&self, key: InstanceKey, from_chunk: u32) -> Result<Vec<Vec<u8>>, StoreError> {
        self.readers.with(|c| read::journal(c, key, from_chunk))
    }

    fn list(&self, query: &ListQuery) -> Result<Page, StoreError> {
        self.readers.with(|c| list::list(c, query))
    }

    fn board(&self, query: &BoardQuery) -> Result<BoardPage, StoreError> {
        self.readers.with(|c| board::page(c, query))
    }

    fn histogram(&self, query: &HistogramQuery) -> Result<Histogram, StoreError> {
        self.readers.with(|c| board::histogram(c, query))
    }

    fn span(&self) -> Result<Option<(Millis, Millis)>, StoreError> {
        self.readers.with(read::span)
    }

    fn busy(&self, after: InstanceKey, limit: u32) -> Result<Vec<InstanceRef>, StoreError> {
        self.readers.with(|c| read::busy(c, after, limit))
    }

    fn wakeups_after(
        &self,
        after: Option<(Millis, InstanceKey)>,
        limit: u32,
    ) -> Result<Vec<Wakeup>, StoreError> {
        self.readers.with(|c| read::wakeups(c, after, limit))
    }

    fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.readers.with(|c| read::note(c, name))
    }

    fn stats(&self) -> Result<Stats, StoreError> {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        let mut wal = self.path.clone().into_os_string();
        wal.push("-wal");
        Ok(Stats {
            database_bytes: size(&self.path),
            wal_bytes: size(Path::new(&wal)),
            ..self.readers.with(read::counts)?
        })
    }

    fn counters(&self) -> Counters {
        self.writer().counters()
    }

    fn check_writable(&self) -> Result<(), StoreError> {
        let result = self.writer().touch();
        result.map_err(|e| failed("writing to", &self.path, e))
    }

    fn checkpoint(&self) -> Result<(), StoreError> {
        let mut writer = self.writer();
        let paused = self.checkpointer.pause();
        let result = writer.checkpoint();
        drop((paused, writer));
        result.map_err(|e| failed("writing the log back to", &self.path, e))
    }
}

/// What an error of SQLite means to who runs the host.
fn failed(doing: &'static str, path: &Path, error: rusqlite::Error) -> StoreError {
    use rusqlite::Error as E;
    let path = path.to_owned();
    match &error {
        E::SqliteFailure(code, _) => match code.code {
            ErrorCode::DiskFull => StoreError::Full { path, reason: error.to_string() },
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                StoreError::Damaged { path, reason: error.to_string() }
            }
            _ => StoreError::Unavailable {
                doing,
                path,
                reason: format!("{error} (SQLite code {})", code.extended_code),
            },
        },
        // A value that does not fit its column's type: STRICT tables do not
        // let anyone write that.
        E::FromSqlConversionFailure(..)
        | E::IntegralValueOutOfRange(..)
        | E::InvalidColumnType(..) => StoreError::Damaged { path, reason: error.to_string() },
        _ => StoreError::Unavailable { doing, path, reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn a_full_disk_a_failing_disk_and_a_damaged_file_are_told_apart() {
        let of = |code| {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            failed("writing to", Path::new("/data/sagahost.db"), error)
        };
        assert!(matches!(of(ffi::SQLITE_FULL), StoreError::Full { .. }));
        assert!(matches!(of(ffi::SQLITE_CORRUPT), StoreError::Damaged { .. }));
        assert!(matches!(of(ffi::SQLITE_NOTADB), StoreError::Damaged { .. }));
        let failing = of(ffi::SQLITE_IOERR_FSYNC).to_string();
        assert!(failing.starts_with("writing to /data/sagahost.db failed:"));
        assert!(failing.contains("SQLite code 1034"), "{failing}");
    }
}
