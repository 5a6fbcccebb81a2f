//! The tables, and how a database comes to have them.

use rusqlite::Connection;

/// `SAGA`, in the header of every database of ours.
pub(super) const APPLICATION_ID: i64 = 0x5341_4741;

/// Each brings a database from the schema version that is its place here to
/// the next. Never change one that was released: add one.
pub(super) const MIGRATIONS: [&str; 5] = [V1, V2, V3, V4, V5];

/// The schema version of this host.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// How many bits of an instance key number it within its zone.
pub(super) const ZONE_BITS: u32 = 12;

/// What is an entity, as SQL: `@` and all that begins with it lie before `A`.
pub(super) const ENTITY: &str = "(id >= '@' AND id < 'A')";

/// What is not, as SQL.
pub(super) const NO_ENTITY: &str = "(id < '@' OR id >= 'A')";

/// What has not ended, as SQL. Partial indexes are used only by
/// queries which say the same in the same words. (Not `IN`: for a list of more
/// than two SQLite builds a table, for each row that is written.)
pub(super) const OPEN: &str = "(status < 2 OR status = 3 OR status = 7)";

/// What is busy and not among the open instances, as SQL.
pub(super) const ENDED_BUSY: &str =
    "busy = 1 AND (status = 2 OR (status BETWEEN 4 AND 6) OR (id >= '@' AND id < 'A'))";

/// The terminal ones that did not complete, as SQL.
pub(super) const UNSUCCESSFUL: &str = "(status BETWEEN 4 AND 6)";

/// Those whose saga did not simply go forward (compensating, compensated and
/// stuck), as SQL.
pub(super) const OFF_COURSE: &str = "(saga BETWEEN 3 AND 5)";

// Every saga writes one row of `instances`, updates it for each turn, and
// writes one row of `journal` for each turn. Nothing else is on its way, and
// that is what decides the speed:
//
// - Both tables have integer keys that grow: rows that are written together lie
//   together, and a commit touches few pages. A random text key as primary key
//   costs four times the throughput. The one index that every instance pays for
//   is that of the ids, which must be unique.
// - Small columns come first and large ones last: reading a status or a time
//   does not follow the overflow pages of a large input.
// - The other indexes are partial. `instances_open` holds only what runs now,
//   so it is small and its pages are in the cache. `instances_unsuccessful`,
//   `instances_off_course` and `instances_wake` cost a saga that goes forward,
//   completes and has no timer nothing.
// - There is no index on `created`. `zones` takes its place, at the cost of one
//   row for every 4,096 instances: the earliest and latest creation among them
//   (as PostgreSQL's BRIN indexes do). A query for a range of times skips the
//   zones it cannot touch, however the clock was set meanwhile.
const V1: &str = "
CREATE TABLE partitions (
    id INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,      -- how often it was claimed
    last_key INTEGER NOT NULL,   -- no instance that was purged had a larger key
    checks INTEGER NOT NULL      -- how often it was tried whether this can be written
) STRICT;
INSERT INTO partitions (id, epoch, last_key, checks) VALUES (0, 0, 0, 0);

CREATE TABLE instances (
    key INTEGER PRIMARY KEY,
    partition INTEGER NOT NULL,
    status INTEGER NOT NULL,     -- 0 Pending, 1 Running, 2 Completed, 3 ContinuedAsNew,
                                 -- 4 Failed, 5 Canceled, 6 Terminated, 7 Suspended
    created INTEGER NOT NULL,    -- times are milliseconds since 1970, UTC
    updated INTEGER NOT NULL,
    wake_at INTEGER,
    busy INTEGER NOT NULL,
    blocked INTEGER NOT NULL,
    events INTEGER NOT NULL,
    chunks INTEGER NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    custom_status TEXT,          -- JSON, as are the next two
    output TEXT,
    input TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX instances_id ON instances (id);
CREATE INDEX instances_open ON instances (key) WHERE (status < 2 OR status = 3 OR status = 7);
CREATE INDEX instances_unsuccessful ON instances (key) WHERE (status BETWEEN 4 AND 6);
CREATE INDEX instances_wake ON instances (wake_at) WHERE wake_at IS NOT NULL;

CREATE TABLE journal (
    key INTEGER PRIMARY KEY,     -- instances.key << 24 | number of the chunk, from 0
    chunk BLOB NOT NULL          -- a JSON array: the events of one turn
) STRICT;

CREATE TABLE zones (
    zone INTEGER PRIMARY KEY,    -- instances.key >> 12
    earliest INTEGER NOT NULL,   -- no instance of the zone was created before
    latest INTEGER NOT NULL      -- none was created after
) STRICT;
";

// The two columns stand where they belong in the order of the sizes, and for
// that the table is made anew: behind `input`, each row that is listed would
// cost the reading of its whole input. The journal, which is most of a
// database, stays where it is. A million instances take about 4 seconds, once,
// and 70 MiB of memory for the sorting of their ids.
const V2: &str = "
ALTER TABLE instances RENAME TO instances_v1;
CREATE TABLE instances (
    key INTEGER PRIMARY KEY,
    partition INTEGER NOT NULL,
    status INTEGER NOT NULL,     -- 0 Pending, 1 Running, 2 Completed, 3 ContinuedAsNew,
                                 -- 4 Failed, 5 Canceled, 6 Terminated, 7 Suspended
    created INTEGER NOT NULL,    -- times are milliseconds since 1970, UTC
    updated INTEGER NOT NULL,
    wake_at INTEGER,
    busy INTEGER NOT NULL,
    blocked INTEGER NOT NULL,
    saga INTEGER NOT NULL,       -- 0 none, 1 armed, 2 past-pivot, 3 compensating,
                                 -- 4 compensated, 5 stuck, 6 committed
    events INTEGER NOT NULL,
    chunks INTEGER NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    stuck TEXT,                  -- JSON, as are the next three
    custom_status TEXT,
    output TEXT,
    input TEXT NOT NULL
) STRICT;
INSERT INTO instances (key, partition, status, created, updated, wake_at, busy, blocked,
    saga, events, chunks, id, name, stuck, custom_status, output, input)
SELECT key, partition, status, created, updated, wake_at, busy, blocked,
    0, events, chunks, id, name, NULL, custom_status, output, input
FROM instances_v1 NOT INDEXED ORDER BY key;
DROP TABLE instances_v1;
CREATE UNIQUE INDEX instances_id ON instances (id);
CREATE INDEX instances_open ON instances (key) WHERE (status < 2 OR status = 3 OR status = 7);
CREATE INDEX instances_unsuccessful ON instances (key) WHERE (status BETWEEN 4 AND 6);
CREATE INDEX instances_off_course ON instances (saga) WHERE (saga BETWEEN 3 AND 5);
CREATE INDEX instances_wake ON instances (wake_at) WHERE wake_at IS NOT NULL;
";

// Again the table is made anew: at the end, behind `input`, the tags of each
// row that a listing looks at would be found by reading its whole input. (That
// is every row where tags are asked for.) It takes as long as the step before.
//
// The indexes that listings and counts go by leave entities out, and there is
// one of the entities alone. `instances_ended_busy` holds what has ended and
// is to go on all the same, and the entities that have something to do:
// nothing, for most of the time, and a saga that ends with nothing left to
// deliver never enters it.
const V3: &str = "
ALTER TABLE instances RENAME TO instances_v2;
CREATE TABLE instances (
    key INTEGER PRIMARY KEY,
    partition INTEGER NOT NULL,
    status INTEGER NOT NULL,     -- 0 Pending, 1 Running, 2 Completed, 3 ContinuedAsNew,
                                 -- 4 Failed, 5 Canceled, 6 Terminated, 7 Suspended
    created INTEGER NOT NULL,    -- times are milliseconds since 1970, UTC
    updated INTEGER NOT NULL,
    wake_at INTEGER,
    busy INTEGER NOT NULL,       -- it has to go on after a restart
    blocked INTEGER NOT NULL,
    saga INTEGER NOT NULL,       -- 0 none, 1 armed, 2 past-pivot, 3 compensating,
                                 -- 4 compensated, 5 stuck, 6 committed
    events INTEGER NOT NULL,
    chunks INTEGER NOT NULL,
    id TEXT NOT NULL,            -- that of an entity begins with '@'
    name TEXT NOT NULL,
    tags TEXT,                   -- a JSON object; NULL where there are none
    stuck TEXT,                  -- JSON, as are the next three
    custom_status TEXT,
    output TEXT,
    input TEXT NOT NULL
) STRICT;
INSERT INTO instances (key, partition, status, created, updated, wake_at, busy, blocked,
    saga, events, chunks, id, name, tags, stuck, custom_status, output, input)
SELECT key, partition, status, created, updated, wake_at, busy, blocked,
    saga, events, chunks, id, name, NULL, stuck, custom_status, output, input
FROM instances_v2 NOT INDEXED ORDER BY key;
DROP TABLE instances_v2;
CREATE UNIQUE INDEX instances_id ON instances (id);
CREATE INDEX instances_open ON instances (key)
    WHERE (status < 2 OR status = 3 OR status = 7) AND (id < '@' OR id >= 'A');
CREATE INDEX instances_ended_busy ON instances (key)
    WHERE busy = 1 AND (status = 2 OR (status BETWEEN 4 AND 6) OR (id >= '@' AND id < 'A'));
CREATE INDEX instances_unsuccessful ON instances (key)
    WHERE (status BETWEEN 4 AND 6) AND (id < '@' OR id >= 'A');
CREATE INDEX instances_off_course ON instances (saga)
    WHERE (saga BETWEEN 3 AND 5) AND (id < '@' OR id >= 'A');
CREATE INDEX instances_entities ON instances (key) WHERE (id >= '@' AND id < 'A');
CREATE INDEX instances_wake ON instances (wake_at) WHERE wake_at IS NOT NULL;

CREATE TABLE notes (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

// What a dashboard finds instances by. Every saga pays for the first two, one
// entry each when it begins, and for the second again with each turn; their
// entries are short, and those that are written together lie together. Who has
// no tags does not pay for them. A million instances take about a second, once.
//
// Statuses have no index of their own: nearly all instances are completed, and
// the rest have the partial indexes above.
const V4: &str = "
CREATE INDEX instances_name ON instances (name) WHERE (id < '@' OR id >= 'A');
CREATE INDEX instances_updated ON instances (updated) WHERE (id < '@' OR id >= 'A');

CREATE TABLE tags (
    word TEXT NOT NULL,
    value TEXT NOT NULL,
    key INTEGER NOT NULL,        -- instances.key, of what is no entity
    PRIMARY KEY (word, value, key)
) STRICT, WITHOUT ROWID;
INSERT INTO tags SELECT t.key, t.value, i.key FROM instances i, json_each(i.tags) t
WHERE i.tags IS NOT NULL AND (i.id < '@' OR i.id >= 'A');
";

// Large values are packed (`packed.rs`). A chunk of the journal tells by how it
// begins; `output` and `input` tell by their type, and for that the table is
// made anew once more, with all its indexes. What is there stays as it is.
const V5: &str = "
ALTER TABLE instances RENAME TO instances_v4;
CREATE TABLE instances (
    key INTEGER PRIMARY KEY,
    partition INTEGER NOT NULL,
    status INTEGER NOT NULL,     -- 0 Pending, 1 Running, 2 Completed, 3 ContinuedAsNew,
                                 -- 4 Failed, 5 Canceled, 6 Terminated, 7 Suspended
    created INTEGER NOT NULL,    -- times are milliseconds since 1970, UTC
    updated INTEGER NOT NULL,
    wake_at INTEGER,
    busy INTEGER NOT NULL,       -- it has to go on after a restart
    blocked INTEGER NOT NULL,
    saga INTEGER NOT NULL,       -- 0 none, 1 armed, 2 past-pivot, 3 compensating,
                                 -- 4 compensated, 5 stuck, 6 committed
    events INTEGER NOT NULL,
    chunks INTEGER NOT NULL,
    id TEXT NOT NULL,            -- that of an entity begins with '@'
    name TEXT NOT NULL,
    tags TEXT,                   -- a JSON object; NULL where there are none
    stuck TEXT,                  -- JSON, as are the next three
    custom_status TEXT,
    output ANY,                  -- a blob is packed: a Zstandard frame
    input ANY NOT NULL           -- as output
) STRICT;
INSERT INTO instances (key, partition, status, created, updated, wake_at, busy, blocked,
    saga, events, chunks, id, name, tags, stuck, custom_status, output, input)
SELECT key, partition, status, created, updated, wake_at, busy, blocked,
    saga, events, chunks, id, name, tags, stuck, custom_status, output, input
FROM instances_v4 NOT INDEXED ORDER BY key;
DROP TABLE instances_v4;
CREATE UNIQUE INDEX instances_id ON instances (id);
CREATE INDEX instances_open ON instances (key)
    WHERE (status < 2 OR status = 3 OR status = 7) AND (id < '@' OR id >= 'A');
CREATE INDEX instances_ended_busy ON instances (key)
    WHERE busy = 1 AND (status = 2 OR (status BETWEEN 4 AND 6) OR (id >= '@' AND id < 'A'));
CREATE INDEX instances_unsuccessful ON instances (key)
    WHERE (status BETWEEN 4 AND 6) AND (id < '@' OR id >= 'A');
CREATE INDEX instances_off_course ON instances (saga)
    WHERE (saga BETWEEN 3 AND 5) AND (id < '@' OR id >= 'A');
CREATE INDEX instances_entities ON instances (key) WHERE (id >= '@' AND id < 'A');
CREATE INDEX instances_wake ON instances (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX instances_name ON instances (name) WHERE (id < '@' OR id >= 'A');
CREATE INDEX instances_updated ON instances (updated) WHERE (id < '@' OR id >= 'A');
";

/// Brings the database to [`VERSION`], in one transaction for each step.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    loop {
        let transaction = connection.transaction()?;
        let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let Some(migration) = usize::try_from(version).ok().and_then(|v| MIGRATIONS.get(v)) else {
            return Ok(());
        };
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", version + 1)?;
        transaction.commit()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sagahost_core::{RuntimeStatus, SagaState};

    #[test]
    fn the_conditions_say_what_core_says() {
        let connection = Connection::open_in_memory().expect("SQLite opens");
        let holds = |condition: &str, code: u8| -> bool {
            let sql = format!(
                "SELECT {condition}
                 FROM (SELECT ?1 AS status, ?1 AS saga, 1 AS busy, 'id' AS id)"
            );
            connection.query_row(&sql, [code], |row| row.get(0)).expect("the condition is SQL")
        };
        for status in RuntimeStatus::ALL {
            assert_eq!(holds(OPEN, status.code()), !status.is_terminal(), "{status}");
            assert_eq!(holds(ENDED_BUSY, status.code()), status.is_terminal(), "{status}");
            let unsuccessful = status.is_terminal() && status != RuntimeStatus::Completed;
            assert_eq!(holds(UNSUCCESSFUL, status.code()), unsuccessful, "{status}");
        }
        for saga in SagaState::ALL {
            use SagaState::{Compensated, Compensating, Stuck};
            let off_course = matches!(saga, Compensating | Compensated | Stuck);
            assert_eq!(holds(OFF_COURSE, saga.code()), off_course, "{saga}");
        }
        for words in [OPEN, ENDED_BUSY, UNSUCCESSFUL, OFF_COURSE, ENTITY, NO_ENTITY] {
            assert!(V5.contains(words), "{words}");
        }
    }

    #[test]
    fn an_entity_is_what_begins_with_an_at() {
        let connection = Connection::open_in_memory().expect("SQLite opens");
        for id in ["", "@", "@a@b", "@\u{10ffff}", "?", "A", "a@b", "\u{7f}", "é", "?@"] {
            for (condition, expected) in
                [(ENTITY, id.starts_with('@')), (NO_ENTITY, !id.starts_with('@'))]
            {
                let sql = format!("SELECT {condition} FROM (SELECT ?1 AS id)");
                let holds: bool =
                    connection.query_row(&sql, [id], |row| row.get(0)).expect("it is SQL");
                assert_eq!(holds, expected, "{id:?}: {condition}");
            }
        }
    }

    #[test]
    fn the_codes_are_those_that_the_schema_explains() {
        let explained = |code: u8, name: &str| {
            assert!(V5.contains(&format!(" {code} {name}")), "{code} {name}");
        };
        RuntimeStatus::ALL.into_iter().for_each(|s| explained(s.code(), s.as_str()));
        SagaState::ALL.into_iter().for_each(|s| explained(s.code(), s.as_str()));
    }
}
