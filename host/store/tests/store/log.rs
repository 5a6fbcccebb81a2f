//! The log is written back while commits go on, and does not grow for ever.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use sagahost_core::RuntimeStatus::*;
use sagahost_store::*;

use crate::common::*;
use crate::crash::database_of;

/// From this size on commits wait for the log to be written back, and one commit
/// of [`write`], with some room.
const MOST: u64 = (64 + 3) << 20;

/// How large the log is, and how often it has begun anew.
fn log(dir: &Path) -> (u64, u32) {
    let bytes = std::fs::read(dir.join("sagahost.db-wal")).unwrap();
    let count = bytes
        .get(12..16)
        .map_or(0, |count| u32::from_be_bytes([count[0], count[1], count[2], count[3]]));
    (bytes.len() as u64, count)
}

/// Commits so many instances of 64 KiB, sixteen at a time; how large the log was at
/// most.
fn write(dir: &Path, store: &SqliteStore, owner: Owner, from: u64, count: u64) -> u64 {
    let mut most = 0;
    for wave in (from..from + count).step_by(16) {
        let writes: Vec<Write> = (wave..wave + 16)
            .map(|n| Write::Create {
                new: new(&format!("i{n}"), n),
                chunk: noise(n, 64 << 10),
                summary: summary(Completed),
            })
            .collect();
        let written = store.commit(owner, &writes).unwrap();
        assert!(written.iter().all(Result::is_ok), "{written:?}");
        most = most.max(std::fs::metadata(dir.join("sagahost.db-wal")).unwrap().len());
    }
    most
}

/// Commits until the log has begun anew.
fn until_it_begins_anew(dir: &Path, store: &SqliteStore, owner: Owner, before: u32) {
    let begun = Instant::now();
    let mut n = 0;
    while log(dir).1 == before {
        assert!(begun.elapsed() < Duration::from_secs(60), "the log grows for ever");
        commit(store, owner, set_note("cron", Some(&n.to_string()))).unwrap();
        n += 1;
    }
}

fn check(store: &SqliteStore, instances: u64) {
    for n in [0, instances / 2, instances - 1] {
        let row = store.find(&format!("i{n}")).unwrap().unwrap();
        assert_eq!(store.journal(row.key, 0).unwrap(), [noise(n, 64 << 10)]);
    }
}

#[test]
fn it_is_written_back_while_commits_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    let owner = store.claim().unwrap();
    let (_, before) = log(dir.path());
    // Twice what may be in the log.
    let most = write(dir.path(), &store, owner, 0, 2_048);
    assert!(most < MOST, "{most}");
    until_it_begins_anew(dir.path(), &store, owner, before);
    check(&store, 2_048);
    drop(store);
    let store = SqliteStore::open(dir.path()).unwrap();
    check(&store, 2_048);
}

#[test]
fn whoever_reads_for_long_keeps_it_from_beginning_anew_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    let owner = store.claim().unwrap();
    write(dir.path(), &store, owner, 0, 16);
    let reader = Connection::open(database_of(dir.path())).unwrap();
    let count = |reader: &Connection| -> i64 {
        reader.query_row("SELECT count(*) FROM instances", [], |row| row.get(0)).unwrap()
    };
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(count(&reader), 16);
    let (_, before) = log(dir.path());
    let most = write(dir.path(), &store, owner, 16, 1_280);
    assert!(most > MOST, "it cannot begin anew: {most}");
    assert_eq!((count(&reader), log(dir.path()).1), (16, before));
    check(&store, 1_296);

    reader.execute_batch("COMMIT").unwrap();
    until_it_begins_anew(dir.path(), &store, owner, before);
    // It is cut back then.
    assert!(log(dir.path()).0 < MOST);
    let most = write(dir.path(), &store, owner, 1_296, 1_280);
    assert!(most < MOST, "{most}");
    assert_eq!(count(&reader), 2_576);
    check(&store, 2_576);
}

#[test]
fn a_store_that_is_closed_while_it_is_written_back_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 0..4 {
        let store = SqliteStore::open(dir.path()).unwrap();
        let owner = store.claim().unwrap();
        // A little more than what it takes for the thread to begin.
        write(dir.path(), &store, owner, last, 272 + 16 * round);
        last += 272 + 16 * round;
    }
    let store = SqliteStore::open(dir.path()).unwrap();
    check(&store, last);
    let rows = all_pages(&store, &ListQuery::default());
    assert_eq!(rows.len() as u64, last);
}
