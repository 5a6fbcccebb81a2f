//! Reading: connections of its own, and the queries.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use sagahost_core::{Json, Millis, RuntimeStatus, SagaState, Tags};

use super::packed;
use super::schema::{ENDED_BUSY, NO_ENTITY, OFF_COURSE, OPEN, UNSUCCESSFUL};
use super::write::journal_key;
use super::{failed, open};
use crate::store::saturate;
use crate::{
    InstanceKey, InstanceRef, InstanceRow, MAX_CHUNKS, MAX_KEY, Stats, StoreError, Summary, Wakeup,
};

/// How many connections are kept for the next read. More are opened when more
/// read at once, and closed again.
const MAX_IDLE: usize = 8;

/// The connections for reading.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Readers { path, idle: Mutex::new(Vec::new()) }
    }

    /// Reads with a connection of its own.
    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let sql = |error| failed("reading", &self.path, error);
        let kept = idle().pop();
        let connection = match kept {
            Some(connection) => connection,
            None => open::reader(&self.path).map_err(sql)?,
        };
        // One that failed is not used again.
        let result = read(&connection).map_err(sql)?;
        let mut idle = idle();
        if idle.len() < MAX_IDLE {
            idle.push(connection);
        }
        Ok(result)
    }
}

/// The columns of [`instance`]. `?1` says whether the input is asked for.
pub(super) const COLUMNS: &str =
    "i.key, i.id, i.name, i.created, i.status, i.updated, i.wake_at, i.busy,
    i.blocked, i.events, i.chunks, i.saga, i.stuck, i.custom_status, i.output,
    CASE WHEN ?1 THEN i.input END, i.tags";

pub(super) fn find(connection: &Connection, id: &str) -> rusqlite::Result<Option<InstanceRow>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM instances i WHERE i.id = ?2"))?
        .query_row(params![true, id], instance)
        .optional()
}

pub(super) fn get(
    connection: &Connection,
    key: InstanceKey,
) -> rusqlite::Result<Option<InstanceRow>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM instances i WHERE i.key = ?2"))?
        .query_row(params![true, key.0], instance)
        .optional()
}

pub(super) fn journal(
    connection: &Connection,
    key: InstanceKey,
    from_chunk: u32,
) -> rusqlite::Result<Vec<Vec<u8>>> {
    if !(0..=MAX_KEY).contains(&key.0) || from_chunk >= MAX_CHUNKS {
        return Ok(Vec::new());
    }
    // Both statements see the same commit.
    let transaction = connection.unchecked_transaction()?;
    let mut statement = transaction.prepare_cached(
        "SELECT key, chunk FROM journal WHERE key BETWEEN ?1 AND ?2 ORDER BY key",
    )?;
    let first = journal_key(key, from_chunk);
    let mut rows = statement.query([first, journal_key(key, MAX_CHUNKS - 1)])?;
    let mut chunks = Vec::new();
    let missing = |chunk: i64| {
        let what = format!("chunk {chunk} of the journal of instance {key} is missing");
        Err(wrong(0, Type::Integer, what))
    };
    while let Some(row) = rows.next()? {
        let expected = first + chunks.len() as i64;
        if row.get::<_, i64>(0)? != expected {
            return missing(expected & i64::from(MAX_CHUNKS - 1));
        }
        chunks.push(packed::bytes(row.get_ref(1)?, 1)?);
    }
    let count: Option<u32> = transaction
        .prepare_cached("SELECT chunks FROM instances WHERE key = ?1")?
        .query_row([key.0], |row| row.get(0))
        .optional()?;
    let end = i64::from(from_chunk) + chunks.len() as i64;
    match count.map(i64::from) {
        Some(count) if end < count => missing(end),
        Some(count) if end > count.max(i64::from(from_chunk)) => {
            let what = format!("instance {key} has {count} chunks, and its journal has {end}");
            Err(wrong(0, Type::Integer, what))
        }
        None if !chunks.is_empty() => {
            let what = format!("there is a journal, and no instance {key}");
            Err(wrong(0, Type::Integer, what))
        }
        _ => Ok(chunks),
    }
}

pub(super) fn busy(
    connection: &Connection,
    after: InstanceKey,
    limit: u32,
) -> rusqlite::Result<Vec<InstanceRef>> {
    connection
        .prepare_cached(&format!(
            "SELECT key, id, 1 FROM instances INDEXED BY instances_open
             WHERE {OPEN} AND {NO_ENTITY} AND busy = 1 AND key > ?1
             UNION ALL
             SELECT key, id, 0 FROM instances INDEXED BY instances_ended_busy
             WHERE {ENDED_BUSY} AND key > ?1
             ORDER BY 1 LIMIT ?2"
        ))?
        .query_map(params![after.0, limit.max(1)], |row| {
            Ok(InstanceRef { key: InstanceKey(row.get(0)?), id: row.get(1)?, open: row.get(2)? })
        })?
        .collect()
}

pub(super) fn wakeups(
    connection: &Connection,
    after: Option<(Millis, InstanceKey)>,
    limit: u32,
) -> rusqlite::Result<Vec<Wakeup>> {
    let (at, key) = after.map_or((-1, 0), |(at, key)| (saturate(at), key.0));
    connection
        .prepare_cached(
            "SELECT key, id, wake_at FROM instances INDEXED BY instances_wake
             WHERE wake_at IS NOT NULL AND (wake_at, key) > (?1, ?2)
             ORDER BY wake_at, key LIMIT ?3",
        )?
        .query_map(params![at, key, limit.max(1)], |row| {
            Ok(Wakeup { key: InstanceKey(row.get(0)?), id: row.get(1)?, at: unsigned(row, 2)? })
        })?
        .collect()
}

pub(super) fn note(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT value FROM notes WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

/// When the first and the last by their keys were created.
pub(super) fn span(connection: &Connection) -> rusqlite::Result<Option<(u64, u64)>> {
    let at = |order: &str| {
        connection
            .prepare_cached(&format!(
                "SELECT created FROM instances NOT INDEXED ORDER BY key {order} LIMIT 1"
            ))?
            .query_row([], |row| unsigned(row, 0))
            .optional()
    };
    Ok(at("ASC")?.zip(at("DESC")?))
}

/// How many instances there are of those that are counted.
pub(super) fn counts(connection: &Connection) -> rusqlite::Result<Stats> {
    let (compensating, stuck) = (SagaState::Compensating.code(), SagaState::Stuck.code());
    connection
        .prepare_cached(&format!(
            "SELECT (SELECT count(*) FROM instances INDEXED BY instances_open
                     WHERE {OPEN} AND {NO_ENTITY}),
                    (SELECT count(*) FROM instances INDEXED BY instances_unsuccessful
                     WHERE {UNSUCCESSFUL} AND {NO_ENTITY}),
                    (SELECT count(*) FROM instances INDEXED BY instances_off_course
                     WHERE {OFF_COURSE} AND {NO_ENTITY} AND saga = {stuck}),
                    (SELECT count(*) FROM instances INDEXED BY instances_off_course
                     WHERE {OFF_COURSE} AND {NO_ENTITY} AND saga = {compensating})"
        ))?
        .query_row([], |row| {
            Ok(Stats {
                open: unsigned(row, 0)?,
                unsuccessful: unsigned(row, 1)?,
                stuck: unsigned(row, 2)?,
                compensating: unsigned(row, 3)?,
                ..Stats::default()
            })
        })
}

pub(super) fn instance(row: &Row<'_>) -> rusqlite::Result<InstanceRow> {
    Ok(InstanceRow {
        key: InstanceKey(row.get(0)?),
        id: row.get(1)?,
        name: row.get(2)?,
        created: unsigned(row, 3)?,
        summary: Summary {
            status: status(row, 4)?,
            updated: unsigned(row, 5)?,
            wake_at: row.get::<_, Option<i64>>(6)?.map(i64::unsigned_abs),
            busy: row.get(7)?,
            blocked: row.get(8)?,
            events: unsigned(row, 9)?,
            saga: saga(row, 11)?,
            stuck: json(row, 12)?,
            custom_status: json(row, 13)?,
            output: packed_json(row, 14)?,
        },
        chunks: row.get(10)?,
        input: packed_json(row, 15)?,
        tags: tags(row, 16)?,
    })
}

pub(super) fn status(row: &Row<'_>, column: usize) -> rusqlite::Result<RuntimeStatus> {
    let code: u8 = row.get(column)?;
    RuntimeStatus::from_code(code)
        .ok_or_else(|| wrong(column, Type::Integer, format!("there is no status {code}")))
}

pub(super) fn saga(row: &Row<'_>, column: usize) -> rusqlite::Result<SagaState> {
    let code: u8 = row.get(column)?;
    SagaState::from_code(code)
        .ok_or_else(|| wrong(column, Type::Integer, format!("there is no saga state {code}")))
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number)
        .map_err(|_| wrong(column, Type::Integer, format!("{number} is less than 0")))
}

fn json(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Json>> {
    parsed(row.get(column)?, column)
}

fn packed_json(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Json>> {
    parsed(packed::text(row.get_ref(column)?, column)?, column)
}

fn parsed(text: Option<String>, column: usize) -> rusqlite::Result<Option<Json>> {
    text.map(Json::parse)
        .transpose()
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, e.into()))
}

pub(super) fn tags(row: &Row<'_>, column: usize) -> rusqlite::Result<Tags> {
    let text: Option<String> = row.get(column)?;
    text.map_or(Ok(Tags::new()), |text| serde_json::from_str(&text))
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, e.into()))
}

fn wrong(column: usize, kind: Type, what: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, what.into())
}
