//! What a batch does to the database.

use rusqlite::{CachedStatement, OptionalExtension as _, Transaction, params};
use sagahost_core::{Json, Millis, RuntimeStatus};

use super::packed::Packer;
use super::read::{self, status};
use super::schema::{ENTITY, ZONE_BITS};
use super::tags;
use super::writer::Known;
use crate::store::saturate;
use crate::types::check_sizes;
use crate::{
    CHUNK_BITS, Gone, InstanceKey, MAX_CHUNKS, MAX_KEY, MAX_PURGE, MAX_PURGE_SCAN, NewInstance,
    Owner, Summary, Write, WriteError, Written,
};

const CREATE: &str = "
    INSERT INTO instances (key, partition, status, created, updated, wake_at, busy, blocked,
        saga, events, chunks, id, name, tags, stuck, custom_status, output, input)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 1, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
    ON CONFLICT (id) DO NOTHING";

const UPDATE: &str = "
    UPDATE instances SET status = ?3, updated = ?4, wake_at = ?5, busy = ?6, blocked = ?7,
        saga = ?8, events = ?9, chunks = chunks + 1, stuck = ?10, custom_status = ?11, output = ?12
    WHERE key = ?1 AND chunks = ?2";

const REPLACE: &str = "
    UPDATE instances SET status = ?3, updated = ?4, wake_at = ?5, busy = ?6, blocked = ?7,
        saga = ?8, events = ?9, chunks = 1, stuck = ?10, custom_status = ?11, output = ?12,
        input = ?13
    WHERE key = ?1 AND chunks = ?2";

const JOURNAL: &str = "INSERT INTO journal (key, chunk) VALUES (?1, ?2)";

/// A batch on its way into the database.
///
/// A `rusqlite::Error` from any of these ends the whole batch. What can be
/// wrong with one write alone is found by looking, or by a statement that then
/// changes nothing, before anything of it was written; so no savepoints.
pub(super) struct Batch<'a> {
    transaction: &'a Transaction<'a>,
    owner: Owner,
    known: Known,
    purged_before: u64,
    create: CachedStatement<'a>,
    update: CachedStatement<'a>,
    journal: CachedStatement<'a>,
    packer: &'a mut Packer,
}

impl<'a> Batch<'a> {
    pub(super) fn new(
        transaction: &'a Transaction<'a>,
        owner: Owner,
        known: Known,
        packer: &'a mut Packer,
    ) -> rusqlite::Result<Self> {
        Ok(Batch {
            transaction,
            owner,
            known,
            purged_before: known.counters.purged,
            create: transaction.prepare_cached(CREATE)?,
            update: transaction.prepare_cached(UPDATE)?,
            journal: transaction.prepare_cached(JOURNAL)?,
            packer,
        })
    }

    pub(super) fn finish(self) -> rusqlite::Result<Known> {
        // Only who deletes has to note the largest key: else it is there.
        if self.known.counters.purged > self.purged_before {
            self.transaction
                .prepare_cached("UPDATE partitions SET last_key = ?2 WHERE id = ?1")?
                .execute(params![self.owner.partition, self.known.last_key])?;
        }
        Ok(self.known)
    }

    pub(super) fn write(&mut self, write: &Write) -> rusqlite::Result<Result<Written, WriteError>> {
        if let Err(refused) = check_sizes(write) {
            return Ok(Err(refused));
        }
        match write {
            Write::Create { new, chunk, summary } => self.create(new, chunk, summary),
            Write::Append { key, expect_chunks, chunk, summary } => {
                self.append(*key, *expect_chunks, chunk, summary)
            }
            Write::Replace { key, expect_chunks, input, chunk, summary } => {
                self.replace(*key, *expect_chunks, input, chunk, summary)
            }
            Write::Purge { key } => self.purge(*key),
            Write::PurgeWhere { created_from, created_to, updated_to, statuses, after, limit } => {
                let times = (*created_from, *created_to, *updated_to);
                self.purge_where(times, statuses, *after, *limit)
            }
            Write::SetNote { name, value } => {
                match value {
                    Some(value) => self
                        .transaction
                        .prepare_cached(
                            "INSERT OR REPLACE INTO notes (name, value) VALUES (?1, ?2)",
                        )?
                        .execute([name, value])?,
                    None => self
                        .transaction
                        .prepare_cached("DELETE FROM notes WHERE name = ?1")?
                        .execute([name])?,
                };
                Ok(Ok(Written::Noted))
            }
        }
    }

    fn create(
        &mut self,
        new: &NewInstance,
        chunk: &[u8],
        summary: &Summary,
    ) -> rusqlite::Result<Result<Written, WriteError>> {
        if self.known.last_key >= MAX_KEY {
            return Ok(Err(WriteError::OutOfKeys));
        }
        let key = InstanceKey(self.known.last_key + 1);
        // Nearly every id is new, so the index is asked once, by inserting.
        while !self.insert(key, new, summary)? {
            let (key, status, busy) = self
                .transaction
                .prepare_cached("SELECT key, status, busy FROM instances WHERE id = ?1")?
                .query_row([&new.id], |row| {
                    Ok((InstanceKey(row.get(0)?), status(row, 1)?, row.get(2)?))
                })?;
            let id = || new.id.clone();
            if !status.is_terminal() {
                return Ok(Err(WriteError::InstanceExists { id: id(), key, status }));
            }
            if busy {
                return Ok(Err(WriteError::InstanceBusy { id: id() }));
            }
            self.delete(key)?;
        }
        self.enter(key, 0, chunk)?;
        tags::add(self.transaction, key, &new.id, &new.tags)?;
        self.enter_zone(key.0 >> ZONE_BITS)?;
        self.known.last_key = key.0;
        self.known.counters.creates += 1;
        Ok(Ok(Written::Created(key)))
    }

    /// Inserts the row, unless the id is taken.
    fn insert(
        &mut self,
        key: InstanceKey,
        new: &NewInstance,
        summary: &Summary,
    ) -> rusqlite::Result<bool> {
        let tags = match new.tags.is_empty() {
            true => None,
            false => Some(
                serde_json::to_string(&new.tags)
                    .map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?,
            ),
        };
        let rows = self.create.execute(params![
            key.0,
            self.owner.partition,
            summary.status.code(),
            saturate(new.created),
            saturate(summary.updated),
            summary.wake_at.map(saturate),
            summary.busy,
            summary.blocked,
            summary.saga.code(),
            saturate(summary.events),
            new.id,
            new.name,
            tags,
            summary.stuck.as_ref().map(Json::as_str),
            summary.custom_status.as_ref().map(Json::as_str),
            self.packer.text(summary.output.as_ref())?,
            self.packer.text(Some(&new.input))?,
        ])?;
        Ok(rows == 1)
    }

    /// At the first instance of a zone, opens it (anything may come into it)
    /// and closes the one before: nothing comes into that any more.
    fn enter_zone(&mut self, zone: i64) -> rusqlite::Result<()> {
        if zone <= self.known.last_zone {
            return Ok(());
        }
        let (first, after) =
            (self.known.last_zone << ZONE_BITS, (self.known.last_zone + 1) << ZONE_BITS);
        self.transaction
            .prepare_cached(
                "UPDATE zones SET (earliest, latest) = (
                    SELECT coalesce(min(created), ?4), coalesce(max(created), 0)
                    FROM instances WHERE key >= ?2 AND key < ?3
                 ) WHERE zone = ?1",
            )?
            .execute(params![self.known.last_zone, first, after, i64::MAX])?;
        self.transaction
            .prepare_cached("INSERT INTO zones (zone, earliest, latest) VALUES (?1, 0, ?2)")?
            .execute(params![zone, i64::MAX])?;
        self.known.last_zone = zone;
        Ok(())
    }

    fn append(
        &mut self,
        key: InstanceKey,
        expected: u32,
        chunk: &[u8],
        summary: &Summary,
    ) -> rusqlite::Result<Result<Written, WriteError>> {
        let rows = if expected < MAX_CHUNKS {
            self.update.execute(params![
                key.0,
                expected,
                summary.status.code(),
                saturate(summary.updated),
                summary.wake_at.map(saturate),
                summary.busy,
                summary.blocked,
                summary.saga.code(),
                saturate(summary.events),
                summary.stuck.as_ref().map(Json::as_str),
                summary.custom_status.as_ref().map(Json::as_str),
                self.packer.text(summary.output.as_ref())?,
            ])?
        } else {
            0
        };
        if rows == 0 {
            return self.refused(key, expected).map(Err);
        }
        self.enter(key, expected, chunk)?;
        self.known.counters.appends += 1;
        Ok(Ok(Written::Appended))
    }

    fn replace(
        &mut self,
        key: InstanceKey,
        expected: u32,
        input: &Json,
        chunk: &[u8],
        summary: &Summary,
    ) -> rusqlite::Result<Result<Written, WriteError>> {
        let rows = self.transaction.prepare_cached(REPLACE)?.execute(params![
            key.0,
            expected,
            summary.status.code(),
            saturate(summary.updated),
            summary.wake_at.map(saturate),
            summary.busy,
            summary.blocked,
            summary.saga.code(),
            saturate(summary.events),
            summary.stuck.as_ref().map(Json::as_str),
            summary.custom_status.as_ref().map(Json::as_str),
            self.packer.text(summary.output.as_ref())?,
            self.packer.text(Some(input))?,
        ])?;
        if rows == 0 {
            return self.refused(key, expected).map(Err);
        }
        self.delete_journal(key)?;
        self.enter(key, 0, chunk)?;
        self.known.counters.replaces += 1;
        Ok(Ok(Written::Appended))
    }

    /// Enters a chunk into the journal.
    fn enter(&mut self, key: InstanceKey, number: u32, chunk: &[u8]) -> rusqlite::Result<()> {
        self.journal.execute(params![journal_key(key, number), self.packer.bytes(chunk)?])?;
        Ok(())
    }

    /// Why a chunk was not taken.
    fn refused(&self, key: InstanceKey, expected: u32) -> rusqlite::Result<WriteError> {
        let found: Option<u32> = self
            .transaction
            .prepare_cached("SELECT chunks FROM instances WHERE key = ?1")?
            .query_row([key.0], |row| row.get(0))
            .optional()?;
        Ok(match found {
            None => WriteError::NoSuchInstance { key },
            Some(found) if found == expected => WriteError::JournalFull { key },
            Some(found) => WriteError::Conflict { key, expected, found },
        })
    }

    fn purge(&mut self, key: InstanceKey) -> rusqlite::Result<Result<Written, WriteError>> {
        let found: Option<(RuntimeStatus, bool, String)> = self
            .transaction
            .prepare_cached("SELECT status, busy, id FROM instances WHERE key = ?1")?
            .query_row([key.0], |row| Ok((status(row, 0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        match found {
            None => Ok(Err(WriteError::NoSuchInstance { key })),
            Some((status, ..)) if !status.is_terminal() => {
                Ok(Err(WriteError::NotTerminal { key, status }))
            }
            Some((_, true, id)) => Ok(Err(WriteError::InstanceBusy { id })),
            Some(_) => {
                self.delete(key)?;
                Ok(Ok(Written::Purged(1)))
            }
        }
    }

    fn purge_where(
        &mut self,
        (from, to, ended): (Option<Millis>, Option<Millis>, Option<Millis>),
        statuses: &[RuntimeStatus],
        after: InstanceKey,
        limit: u32,
    ) -> rusqlite::Result<Result<Written, WriteError>> {
        let limit = if limit == 0 { MAX_PURGE } else { limit.min(MAX_PURGE) } as usize;
        let created = from.map_or(0, saturate)..=to.map_or(i64::MAX, saturate);
        let ended = ended.map_or(i64::MAX, saturate);
        let (mut victims, mut next) = (Vec::new(), None);
        {
            let mut statement = self.transaction.prepare_cached(&format!(
                "SELECT key, status, created, updated, busy = 1 OR {ENTITY}, saga, id, name
                 FROM instances NOT INDEXED WHERE key > ?1 ORDER BY key LIMIT ?2"
            ))?;
            let mut rows = statement.query(params![after.0, MAX_PURGE_SCAN])?;
            let mut scanned = 0;
            while let Some(row) = rows.next()? {
                let (key, status) = (InstanceKey(row.get(0)?), status(row, 1)?);
                if status.is_terminal()
                    && (statuses.is_empty() || statuses.contains(&status))
                    && created.contains(&row.get(2)?)
                    && row.get::<_, i64>(3)? <= ended
                    && !row.get::<_, bool>(4)?
                {
                    let gone = Gone {
                        id: row.get(6)?,
                        name: row.get(7)?,
                        created: read::unsigned(row, 2)?,
                        status,
                        saga: read::saga(row, 5)?,
                    };
                    victims.push((key, gone));
                }
                scanned += 1;
                if victims.len() == limit || scanned == MAX_PURGE_SCAN {
                    next = Some(key);
                    break;
                }
            }
        }
        let mut purged = Vec::with_capacity(victims.len());
        for (key, gone) in victims {
            self.delete(key)?;
            purged.push(gone);
        }
        Ok(Ok(Written::PurgedWhere { purged, next }))
    }

    fn delete(&mut self, key: InstanceKey) -> rusqlite::Result<()> {
        tags::remove(self.transaction, key)?;
        self.transaction
            .prepare_cached("DELETE FROM instances WHERE key = ?1")?
            .execute([key.0])?;
        self.delete_journal(key)?;
        self.known.counters.purged += 1;
        Ok(())
    }

    fn delete_journal(&self, key: InstanceKey) -> rusqlite::Result<()> {
        self.transaction
            .prepare_cached("DELETE FROM journal WHERE key BETWEEN ?1 AND ?2")?
            .execute([journal_key(key, 0), journal_key(key, MAX_CHUNKS - 1)])?;
        Ok(())
    }
}

/// The key of a journal row; see [`CHUNK_BITS`].
pub(super) fn journal_key(key: InstanceKey, chunk: u32) -> i64 {
    debug_assert!((0..=MAX_KEY).contains(&key.0) && chunk < MAX_CHUNKS);
    key.0 << CHUNK_BITS | i64::from(chunk)
}
