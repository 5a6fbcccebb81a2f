//! The one connection that writes, and its transactions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::TransactionBehavior::Immediate;
use rusqlite::hooks::Wal;
use rusqlite::{Connection, OptionalExtension as _};

use super::packed::{Packer, unpacked};
use super::write::Batch;
use crate::{Counters, Owner, Write, WriteError, Written};

/// Why a batch was not committed.
pub(super) enum Failed {
    /// The partition has another owner now.
    Fenced { current: u64 },
    /// SQLite could not.
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Failed::Sql(error)
    }
}

#[derive(Debug)]
pub(super) struct Writer {
    connection: Connection,
    /// How many pages the last commit left in the log.
    log_pages: Arc<AtomicU32>,
    /// As of the last commit.
    known: Known,
    packer: Packer,
}

/// What the writer remembers of the database. A batch works on a copy, which
/// takes the place of this one once it is committed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// No instance ever had a larger key.
    pub(super) last_key: i64,
    /// The newest row of `zones`; -1 where there is none.
    pub(super) last_zone: i64,
    pub(super) counters: Counters,
}

impl Writer {
    pub(super) fn new(mut connection: Connection) -> rusqlite::Result<Self> {
        let log_pages = Arc::new(AtomicU32::new(0));
        let shared = log_pages.clone();
        // This takes the place of SQLite's own checkpoints.
        connection.wal_hook(Some(move |_: &mut Wal, pages| {
            shared.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        // The largest key that was used is either still there, or was noted
        // when its instance was purged.
        let last_key = "SELECT max(last_key, (SELECT coalesce(max(key), 0) FROM instances))
                        FROM partitions WHERE id = 0";
        let last_zone = "SELECT coalesce(max(zone), -1) FROM zones";
        let known = Known {
            last_key: connection.query_row(last_key, [], |row| row.get(0))?,
            last_zone: connection.query_row(last_zone, [], |row| row.get(0))?,
            counters: Counters::default(),
        };
        let packer = Packer::new().map_err(unpacked)?;
        Ok(Writer { connection, log_pages, known, packer })
    }

    pub(super) fn log_pages(&self) -> u32 {
        self.log_pages.load(Ordering::Relaxed)
    }

    pub(super) fn counters(&self) -> Counters {
        self.known.counters
    }

    pub(super) fn limit_pages(&mut self, pages: u32) -> rusqlite::Result<()> {
        self.connection.pragma_update(None, "max_page_count", pages)
    }

    pub(super) fn claim(&mut self) -> rusqlite::Result<Owner> {
        let claim = "UPDATE partitions SET epoch = epoch + 1 WHERE id = 0 RETURNING epoch";
        let transaction = self.connection.transaction_with_behavior(Immediate)?;
        let epoch: i64 = transaction.query_row(claim, [], |row| row.get(0))?;
        transaction.commit()?;
        Ok(Owner { partition: 0, epoch: epoch.unsigned_abs() })
    }

    pub(super) fn touch(&mut self) -> rusqlite::Result<()> {
        // Something must change: what is the same as before SQLite does not
        // write.
        self.connection.execute("UPDATE partitions SET checks = checks + 1 WHERE id = 0", [])?;
        Ok(())
    }

    pub(super) fn checkpoint(&mut self) -> rusqlite::Result<()> {
        // A reader that is in the way only makes it incomplete.
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }

    pub(super) fn commit(
        &mut self,
        owner: Owner,
        batch: &[Write],
    ) -> Result<Vec<Result<Written, WriteError>>, Failed> {
        // Dropping the transaction, on any way out but the last, rolls it back
        // and leaves the connection as it was.
        let transaction = self.connection.transaction_with_behavior(Immediate)?;
        let epoch: Option<i64> = transaction
            .prepare_cached("SELECT epoch FROM partitions WHERE id = ?1")?
            .query_row([owner.partition], |row| row.get(0))
            .optional()?;
        let current = epoch.unwrap_or(0).unsigned_abs();
        if epoch.is_none() || current != owner.epoch {
            return Err(Failed::Fenced { current });
        }
        let mut open = Batch::new(&transaction, owner, self.known, &mut self.packer)?;
        let results =
            batch.iter().map(|write| open.write(write)).collect::<rusqlite::Result<Vec<_>>>()?;
        let mut known = open.finish()?;
        if results.iter().any(Result::is_ok) {
            transaction.commit()?;
            known.counters.commits += 1;
            self.known = known;
        }
        Ok(results)
    }
}
