//! Databases of older schema versions, with instances and journals in them, as
//! hosts that knew no later one left them.

use std::path::Path;

use rusqlite::{Connection, ToSql, params};
use sagahost_core::{Json, RuntimeStatus, SagaState, Tags};
use sagahost_store::memory::MemoryStore;
use sagahost_store::*;

use crate::common::*;
use crate::crash::{Image, database_of};

/// A plain store with instances of all kinds, of which some were purged (the
/// newest among them), and the owner that wrote it, the third. Nothing is in it
/// that this version does not know.
fn plain(version: i64, instances: u64) -> (MemoryStore, Owner) {
    let store = MemoryStore::new();
    let owner = (0..3).map(|_| store.claim().unwrap()).last().unwrap();
    for n in 0..instances {
        let status = RuntimeStatus::ALL[(n % 8) as usize];
        let summary = Summary {
            custom_status: n.is_multiple_of(3).then(|| json(format!("{{\"at\": {n}}}"))),
            output: status.is_terminal().then(|| json(format!("\"{n} é\""))),
            updated: 2_000 + n,
            wake_at: n.is_multiple_of(5).then_some(9_000 - n),
            busy: n.is_multiple_of(2),
            blocked: n.is_multiple_of(7),
            events: n + 1,
            ..match version {
                1 => summary(status),
                _ => summary_in(status, SagaState::ALL[(n / 8 % 7) as usize]),
            }
        };
        // Some inputs and chunks are larger than a page of the database.
        let text = "x".repeat(if n.is_multiple_of(50) { 20_000 } else { 40 });
        let id = match n % 9 {
            8 if version >= 3 => format!("@cart@{n}"),
            // In another order than that of the keys.
            _ => format!("id-{}", n * 7_919 % instances),
        };
        let new = NewInstance {
            name: ["Order", "Refund"][(n % 2) as usize].to_owned(),
            input: Json::of(&text).unwrap(),
            tags: match n % 4 {
                0 if version >= 3 => tags([("shop", ["a", "\u{0}", "é\""][(n % 3) as usize])]),
                _ => Tags::new(),
            },
            ..new(&id, 1_000 + n * 3 % 1_000)
        };
        let chunk = format!("[{n},\"{text}\"]").into_bytes();
        let key = created(&store, owner, Write::Create { new, chunk, summary: summary.clone() });
        for chunks in 1..=(n % 3) as u32 {
            let chunk = format!("[{n},{chunks}]").into_bytes();
            let summary = summary.clone();
            let write = Write::Append { key, expect_chunks: chunks, chunk, summary };
            commit(&store, owner, write).unwrap();
        }
    }
    for key in [5, 7, instances as i64 - 1].map(InstanceKey) {
        commit(&store, owner, append(key, chunks_of(&store, key), RuntimeStatus::Failed)).unwrap();
        commit(&store, owner, Write::Purge { key }).unwrap();
    }
    let last = created(&store, owner, create_as("last", 1, RuntimeStatus::Completed));
    commit(&store, owner, Write::Purge { key: last }).unwrap();
    (store, owner)
}

fn chunks_of(store: &dyn Store, key: InstanceKey) -> u32 {
    store.get(key).unwrap().unwrap().chunks
}

/// Makes a database of this version in `dir`, with what is in the plain store.
fn write(version: i64, dir: &Path, store: &MemoryStore, owner: Owner, last_key: i64) {
    let mut connection = Connection::open(database_of(dir)).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection
        .execute_batch(match version {
            1 => include_str!("v1.sql"),
            2 => include_str!("v2.sql"),
            3 => include_str!("v3.sql"),
            _ => include_str!("v4.sql"),
        })
        .unwrap();
    let transaction = connection.transaction().unwrap();
    let partition = "UPDATE partitions SET epoch = ?1, last_key = ?2 WHERE id = 0";
    transaction.execute(partition, params![owner.epoch as i64, last_key]).unwrap();
    let contents = contents(store);
    let instances = contents.rows.iter().zip(&contents.journals);
    let entities = contents.entities.iter().map(|(row, journal)| (row, journal));
    for (row, journal) in instances.chain(entities) {
        let (summary, text) = (&row.summary, |json: &Option<Json>| {
            json.as_ref().map(|json| json.as_str().to_owned())
        });
        let (saga, stuck) = (summary.saga.code(), text(&summary.stuck));
        let mut values: Vec<(&str, Box<dyn ToSql>)> = vec![
            ("key", Box::new(row.key.0)),
            ("partition", Box::new(0)),
            ("status", Box::new(summary.status.code())),
            ("created", Box::new(row.created as i64)),
            ("updated", Box::new(summary.updated as i64)),
            ("wake_at", Box::new(summary.wake_at.map(|at| at as i64))),
            ("busy", Box::new(summary.busy)),
            ("blocked", Box::new(summary.blocked)),
            ("events", Box::new(summary.events as i64)),
            ("chunks", Box::new(row.chunks)),
            ("id", Box::new(row.id.clone())),
            ("name", Box::new(row.name.clone())),
            ("custom_status", Box::new(text(&summary.custom_status))),
            ("output", Box::new(text(&summary.output))),
            ("input", Box::new(text(&row.input))),
        ];
        if version >= 2 {
            values.extend([("saga", Box::new(saga) as _), ("stuck", Box::new(stuck) as _)]);
        }
        if version >= 3 {
            let tags = serde_json::to_string(&row.tags).unwrap();
            values.push(("tags", Box::new(Some(tags).filter(|_| !row.tags.is_empty()))));
        }
        let columns: Vec<&str> = values.iter().map(|(column, _)| *column).collect();
        let marks = vec!["?"; columns.len()].join(", ");
        let values: Vec<&dyn ToSql> = values.iter().map(|(_, value)| &**value).collect();
        transaction
            .prepare_cached(&format!(
                "INSERT INTO instances ({}) VALUES ({marks})",
                columns.join(", ")
            ))
            .unwrap()
            .execute(values.as_slice())
            .unwrap();
        for (chunk, bytes) in journal.iter().enumerate() {
            transaction
                .prepare_cached("INSERT INTO journal (key, chunk) VALUES (?1, ?2)")
                .unwrap()
                .execute(params![(row.key.0 << CHUNK_BITS) | chunk as i64, bytes])
                .unwrap();
        }
    }
    // The last zone is open: anything may come into it.
    if version >= 4 {
        let tags = "INSERT INTO tags SELECT t.key, t.value, i.key
                    FROM instances i, json_each(i.tags) t
                    WHERE i.tags IS NOT NULL AND (i.id < '@' OR i.id >= 'A')";
        transaction.execute_batch(tags).unwrap();
    }
    transaction
        .execute_batch(
            "INSERT INTO zones SELECT key >> 12, min(created), max(created)
             FROM instances GROUP BY 1;
             UPDATE zones SET earliest = 0, latest = 9223372036854775807
             WHERE zone = (SELECT max(zone) FROM zones);",
        )
        .unwrap();
    transaction.commit().unwrap();
}

/// A directory with a database of this version, and what is in it.
fn directory_of(found: i64, instances: u64) -> (tempfile::TempDir, MemoryStore, Owner) {
    let dir = tempfile::tempdir().unwrap();
    let (plain, owner) = plain(found, instances);
    write(found, dir.path(), &plain, owner, instances as i64 + 1);
    assert_eq!(version(dir.path()), found);
    (dir, plain, owner)
}

fn directory_of_v1(instances: u64) -> (tempfile::TempDir, MemoryStore, Owner) {
    directory_of(1, instances)
}

fn version(dir: &Path) -> i64 {
    let connection = Connection::open(database_of(dir)).unwrap();
    connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

/// What is in the database, by the columns that version 1 has.
fn columns_of_v1(dir: &Path, table: &str) -> Vec<String> {
    let connection = Connection::open(database_of(dir)).unwrap();
    let sql = format!(
        "SELECT hex(key) || status || created || updated || ifnull(wake_at, '-') || busy || blocked
            || events || chunks || id || name || ifnull(custom_status, '-') || ifnull(output, '-')
            || input FROM {table} ORDER BY key"
    );
    let mut statement = connection.prepare(&sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_database_of_version_1_opens_and_keeps_everything() {
    // More than one zone.
    let (dir, plain, owner) = directory_of_v1(5_000);
    let sqlite = SqliteStore::open(dir.path()).unwrap();
    let before = contents(&plain);
    assert!(contents(&sqlite) == before);
    let untouched =
        |row: &InstanceRow| (row.summary.saga, &row.summary.stuck) == (SagaState::None, &None);
    assert!(before.rows.iter().all(untouched));
    let count = |saga| {
        let query = ListQuery { saga: vec![saga], ..ListQuery::default() };
        all_pages(&sqlite, &query).len()
    };
    assert_eq!(count(SagaState::None), before.rows.len());
    assert_eq!(count(SagaState::Stuck), 0);
    let times = ListQuery {
        created_from: Some(1_500),
        created_to: Some(1_510),
        statuses: vec![RuntimeStatus::Failed, RuntimeStatus::Running],
        ..ListQuery::default()
    };
    assert_eq!(all_pages(&sqlite, &times), all_pages(&plain, &times));

    // Who owned it still does, no key is used again, and it goes on as if it
    // had always been of this version.
    for store in [&sqlite as &dyn Store, &plain] {
        let key = created(store, owner, create("new"));
        assert_eq!(key, InstanceKey(5_002));
        for (n, saga) in SagaState::ALL.into_iter().enumerate() {
            let key = before.rows[n * 8].key;
            let write = Write::Append {
                key,
                expect_chunks: chunks_of(store, key),
                chunk: vec![b'0'],
                summary: summary_in(RuntimeStatus::Running, saga),
            };
            commit(store, owner, write).unwrap();
        }
        let taken = commit(store, owner, create("new"));
        assert!(matches!(taken, Err(WriteError::InstanceExists { .. })), "{taken:?}");
        commit(store, owner, purge_all()).unwrap();
    }
    let after = contents(&plain);
    assert_eq!(after.counts.2, 1);
    assert!(contents(&sqlite) == after);
    drop(sqlite);
    let sqlite = SqliteStore::open(dir.path()).unwrap();
    assert!(contents(&sqlite) == after, "it is brought to this version once");
    assert_eq!(sqlite.claim().unwrap().epoch, owner.epoch + 1);
}

#[test]
fn a_database_of_version_2_opens_and_keeps_everything() {
    let (dir, plain, owner) = directory_of(2, 5_000);
    let sqlite = SqliteStore::open(dir.path()).unwrap();
    assert_eq!(version(dir.path()), 5);
    let before = contents(&plain);
    assert!(before.counts.2 > 100 && before.rows.iter().all(|row| row.tags.is_empty()));
    assert!(contents(&sqlite) == before);

    // What version 3 is for works on what was there and on what is new.
    let ended = before.rows.iter().find(|row| row.summary.status == RuntimeStatus::Failed).unwrap();
    for store in [&sqlite as &dyn Store, &plain] {
        let first = before.rows[0].key;
        commit(store, owner, replace(first, chunks_of(store, first), RuntimeStatus::Running))
            .unwrap();
        commit(store, owner, set_note("cron", Some("7"))).unwrap();
        let tagged = NewInstance { tags: tags([("shop", "a")]), ..new("@cart@7", 1) };
        let summary = summary_busy(RuntimeStatus::Completed);
        let write = Write::Create { new: tagged, chunk: vec![b'0'], summary };
        let entity = created(store, owner, write);
        assert!(store.busy(InstanceKey(5_000), 9).unwrap().iter().any(|busy| busy.key == entity));
        commit(store, owner, append(ended.key, ended.chunks, RuntimeStatus::Running)).unwrap();
        commit(store, owner, purge_all()).unwrap();
        let query = ListQuery {
            kind: ListKind::Entities,
            tags: vec![("shop".into(), "a".into())],
            ..ListQuery::default()
        };
        assert_eq!(ids(&all_pages(store, &query)), ["@cart@7"]);
    }
    assert!(contents(&sqlite) == contents(&plain));
}

#[test]
fn a_database_of_version_3_opens_and_is_found_by_all_that_is_new() {
    let (dir, plain, owner) = directory_of(3, 5_000);
    let sqlite = SqliteStore::open(dir.path()).unwrap();
    assert_eq!(version(dir.path()), 5);
    let before = contents(&plain);
    assert!(before.entities.len() > 500 && before.tagged.len() == 3);
    assert!(before.tagged.iter().all(|(_, _, rows)| rows.len() > 100));
    assert!(contents(&sqlite) == before);
    let named = |name: &str| BoardFilter { name: Some(name.into()), ..BoardFilter::default() };
    for name in ["Order", "Refund", "None"] {
        let query = board(named(name));
        assert_eq!(whole_board(&sqlite, &query), whole_board(&plain, &query));
    }
    // What was there can change and go away, with its tags.
    for store in [&sqlite as &dyn Store, &plain] {
        let first = before.tagged[0].2[0].clone();
        commit(store, owner, append(first.key, first.chunks, RuntimeStatus::Running)).unwrap();
        let tagged = NewInstance { tags: tags([("shop", "a")]), ..new("new", 1) };
        let summary = summary(RuntimeStatus::Completed);
        created(store, owner, Write::Create { new: tagged, chunk: vec![b'0'], summary });
        commit(store, owner, purge_all()).unwrap();
    }
    assert!(contents(&sqlite) == contents(&plain));
}

#[test]
fn a_database_of_version_4_opens_and_packs_what_is_new() {
    let (dir, plain, owner) = directory_of(4, 5_000);
    let sqlite = SqliteStore::open(dir.path()).unwrap();
    assert_eq!(version(dir.path()), 5);
    let before = contents(&plain);
    assert!(before.rows.iter().any(|row| row.input.as_ref().unwrap().as_str().len() > 20_000));
    assert!(contents(&sqlite) == before);
    // What was there is not packed, and gets chunks and an output that are.
    let first = before.rows[0].clone();
    let large = json(format!("[{}1]", "0,".repeat(20_000)));
    for store in [&sqlite as &dyn Store, &plain] {
        let write = Write::Append {
            key: first.key,
            expect_chunks: first.chunks,
            chunk: large.as_str().into(),
            summary: Summary { output: Some(large.clone()), ..summary(RuntimeStatus::Completed) },
        };
        commit(store, owner, write).unwrap();
    }
    assert!(contents(&sqlite) == contents(&plain));
    drop(sqlite);
    let connection = Connection::open(database_of(dir.path())).unwrap();
    let kept: (String, String, i64) = connection
        .query_row(
            "SELECT typeof(input), typeof(output), octet_length(output) FROM instances
             WHERE key = ?1",
            [first.key.0],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .unwrap();
    assert_eq!((kept.0.as_str(), kept.1.as_str()), ("text", "blob"));
    assert!(kept.2 < 1_000, "{kept:?}");
}

#[test]
fn the_tables_are_those_of_a_new_database() {
    let (migrated, ..) = directory_of_v1(60);
    let (migrated_once, ..) = directory_of(2, 60);
    let (migrated_twice, ..) = directory_of(3, 60);
    let (migrated_last, ..) = directory_of(4, 60);
    let new = tempfile::tempdir().unwrap();
    let schema = |dir: &Path| {
        drop(SqliteStore::open(dir).unwrap());
        assert_eq!(version(dir), 5);
        let connection = Connection::open(database_of(dir)).unwrap();
        let check: String =
            connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        let mut statement = connection
            .prepare(
                "SELECT type, name, tbl_name, ifnull(sql, '') FROM sqlite_schema ORDER BY 1, 2",
            )
            .unwrap();
        let rows = statement.query_map([], |row| {
            Ok([0, 1, 2, 3].map(|column| row.get::<_, String>(column).unwrap()))
        });
        rows.unwrap().collect::<Result<Vec<_>, _>>().unwrap()
    };
    let tables = schema(migrated.path());
    assert_eq!(tables, schema(migrated_once.path()));
    assert_eq!(tables, schema(migrated_twice.path()));
    assert_eq!(tables, schema(migrated_last.path()));
    assert_eq!(tables, schema(new.path()));
    // Six tables and nine indexes.
    assert_eq!(tables.len(), 15, "{tables:#?}");
}

#[test]
fn a_crash_while_it_is_brought_to_this_version_loses_nothing() {
    for found in [1, 2, 3, 4] {
        let (dir, plain, _) = directory_of(found, 120);
        let before = contents(&plain);
        // What was before is in the database file, and all that is new in the
        // log.
        let store = SqliteStore::open(dir.path()).unwrap();
        let image = Image::of(dir.path());
        drop(store);
        let frames = (image.log.len() - 32) / 4_120;
        assert!(frames > 20, "{frames}");
        for frame in 0..=frames {
            let cut = Image {
                log: image.log[..32 + frame * 4_120].to_vec(),
                database: image.database.clone(),
            };
            assert!(cut.contents() == before, "{found}: cut after {frame} of {frames} frames");
        }
    }
}

#[test]
fn a_step_that_fails_is_undone_as_a_whole_and_can_be_repeated() {
    let (dir, plain, _) = directory_of_v1(60);
    let instances = columns_of_v1(dir.path(), "instances");
    assert_eq!(instances.len(), contents(&plain).rows.len());
    // Two instances of one id: after the rows were copied, the index finds out.
    let by_hand = Connection::open(database_of(dir.path())).unwrap();
    by_hand
        .execute_batch(
            "DROP INDEX instances_id;
             INSERT INTO instances SELECT 100, partition, status, created, updated, wake_at, busy,
                blocked, events, chunks, id, name, custom_status, output, input
             FROM instances WHERE key = 1",
        )
        .unwrap();
    let error = SqliteStore::open(dir.path()).unwrap_err();
    assert!(error.to_string().contains("UNIQUE constraint failed: instances.id"), "{error}");
    assert_eq!(version(dir.path()), 1);
    by_hand
        .execute_batch(
            "DELETE FROM instances WHERE key = 100;
             CREATE UNIQUE INDEX instances_id ON instances (id);",
        )
        .unwrap();
    assert_eq!(columns_of_v1(dir.path(), "instances"), instances);
    drop(by_hand);
    let sqlite = SqliteStore::open(dir.path()).unwrap();
    assert_eq!(contents(&sqlite), contents(&plain));
    assert_eq!(columns_of_v1(dir.path(), "instances"), instances);
}

#[cfg(unix)]
#[test]
fn a_disk_that_fails_meanwhile_leaves_version_1() {
    let (dir, plain, _) = directory_of_v1(3_000);
    let instances = columns_of_v1(dir.path(), "instances");
    crate::faults::run_limited("migration::within_the_limit", dir.path());
    assert_eq!(version(dir.path()), 1);
    assert_eq!(columns_of_v1(dir.path(), "instances"), instances);
    let sqlite = SqliteStore::open(dir.path()).unwrap();
    assert!(contents(&sqlite) == contents(&plain));
}

/// Not a test of its own: what the one above runs in another process.
#[test]
#[ignore = "run by a_disk_that_fails_meanwhile_leaves_version_1"]
fn within_the_limit() {
    let Some(dir) = std::env::var_os("SAGAHOST_STORE_TEST_DIR") else {
        return;
    };
    let error = SqliteStore::open(Path::new(&dir)).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().starts_with("opening "), "{error}");
}
