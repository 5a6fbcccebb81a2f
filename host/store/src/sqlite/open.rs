//! Opening the directory and the database, or saying why not.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{failed, schema};
use crate::{CHUNK_BITS, StoreError};

/// How long to wait for a lock that another program has on the database:
/// somebody who looks into it with a tool of their own.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The lock on a directory, until it is dropped.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // To close the file is not enough: a process that another thread is
        // about to start has a copy of it for a moment, and so has the lock.
        let _ = self.0.unlock();
    }
}

/// Makes the directory, if need be, and locks it against other hosts. The lock
/// is the operating system's and goes away with the process, however it ends.
pub(super) fn lock(dir: &Path) -> Result<Lock, StoreError> {
    let unavailable = |doing| {
        move |error: std::io::Error| StoreError::Unavailable {
            doing,
            path: dir.to_owned(),
            reason: error.to_string(),
        }
    };
    make_dir(dir)?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(dir.join("lock"))
        .map_err(unavailable("opening the file `lock` in"))?;
    match file.try_lock() {
        Ok(()) => {
            // Only for the message of the next one, so it may fail.
            let _ = file.set_len(0);
            let _ = write!(file, "{}", std::process::id());
            Ok(Lock(file))
        }
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let holder = match holder.trim().parse::<u32>() {
                Ok(process) => format!(" (process {process})"),
                Err(_) => String::new(),
            };
            Err(StoreError::InUse { dir: dir.to_owned(), holder })
        }
        Err(std::fs::TryLockError::Error(error)) => {
            Err(unavailable("locking the file `lock` in")(error))
        }
    }
}

/// Makes a data directory where there is none, for this user alone: inputs,
/// outputs and keys are in it. One that exists stays as it is. Opening the
/// store does this, too.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub fn make_dir(dir: &Path) -> Result<(), StoreError> {
    if dir.is_dir() {
        return Ok(());
    }
    make(dir).map_err(|error| StoreError::Unavailable {
        doing: "making the data directory",
        path: dir.to_owned(),
        reason: error.to_string(),
    })
}

fn make(dir: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)?;
    // What is in a directory that a loss of power forgets is lost as well.
    // (The directory's own entries are flushed by SQLite.)
    #[cfg(unix)]
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// Opens the database for writing, with the schema of this version.
pub(super) fn database(path: &Path) -> Result<Connection, StoreError> {
    let sql = |e| failed("opening", path, e);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(sql)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(sql)?;
    // Before anything is changed.
    check_ours(&connection, path)?;
    configure(&connection, path)?;
    schema::migrate(&mut connection).map_err(sql)?;
    check_sane(&connection, path)?;
    Ok(connection)
}

/// Opens the database for reading.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -4096;")?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Opens the database for writing the log back to it.
pub(super) fn checkpointer(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.execute_batch(FLUSH)?;
    connection.execute_batch("PRAGMA wal_autocheckpoint = 0;")?;
    Ok(connection)
}

/// FULL flushes the log with every commit; with NORMAL a loss of power would take
/// back what was acknowledged. `fullfsync` makes that true on macOS, and does
/// nothing elsewhere.
const FLUSH: &str = "PRAGMA synchronous = FULL;
     PRAGMA fullfsync = ON;
     PRAGMA checkpoint_fullfsync = ON;";

fn integer(connection: &Connection, query: &str) -> rusqlite::Result<i64> {
    connection.query_row(query, [], |row| row.get(0))
}

/// A new database, or one that this version can use.
fn check_ours(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let get = |query| integer(connection, query).map_err(|e| failed("reading", path, e));
    let found = get("PRAGMA application_id")?;
    let new = found == 0 && get("SELECT count(*) FROM sqlite_schema")? == 0;
    if !new && found != schema::APPLICATION_ID {
        return Err(StoreError::Foreign { path: path.to_owned(), found });
    }
    let version = get("PRAGMA user_version")?;
    if version > schema::VERSION {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found: version,
            known: schema::VERSION,
        });
    }
    Ok(())
}

fn configure(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let sql = |e| failed("opening", path, e);
    let mode: String =
        connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(sql)?;
    if mode != "wal" {
        return Err(StoreError::Unavailable {
            doing: "opening",
            path: path.to_owned(),
            reason: format!(
                "the file system does not allow a write-ahead log (journal mode {mode}); \
                 network file systems often do not"
            ),
        });
    }
    connection.execute_batch(FLUSH).map_err(sql)?;
    connection
        .execute_batch("PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;")
        .map_err(sql)?;
    // 4 MiB. More is slower: splitting a page makes SQLite walk through the
    // whole cache at the next commit (`pcache1TruncateUnsafe`), which with
    // 64 MiB took 30 % of the CPU; and what is not in this cache is in the
    // operating system's.
    connection.execute_batch("PRAGMA cache_size = -4096;").map_err(sql)?;
    // The log is written back by a thread (`checkpoint.rs`). If a long read kept
    // that from being done, the log has grown; it is cut back when it begins anew.
    connection
        .execute_batch("PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864;")
        .map_err(sql)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// Looks at the ends of the tables, where a file that was cut, or put together
/// from two, shows it. The whole (`PRAGMA quick_check`) would take as long as
/// the database is large.
fn check_sane(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let get = |query: &str| integer(connection, query).map_err(|e| failed("reading", path, e));
    let damaged = |reason: String| Err(StoreError::Damaged { path: path.to_owned(), reason });
    if get("SELECT count(*) FROM partitions WHERE id = 0")? != 1 {
        return damaged("the row of partition 0 is missing".to_owned());
    }
    let newest = get("SELECT coalesce(max(key), 0) FROM instances")?;
    let journaled = get("SELECT coalesce(max(key), 0) FROM journal")? >> CHUNK_BITS;
    if newest != journaled {
        return damaged(format!(
            "the newest instance is {newest}, and the newest journal that of {journaled}"
        ));
    }
    Ok(())
}
