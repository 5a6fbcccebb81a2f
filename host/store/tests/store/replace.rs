//! Journals that begin anew, and what a reader sees of it meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};

use sagahost_core::{RuntimeStatus::*, SagaState};
use sagahost_store::*;

use crate::common::*;

on_every_store! {
    a_journal_begins_anew_and_the_rest_stays
    a_replacement_is_refused_as_an_append_is
    a_replacement_is_counted
    what_has_ended_can_begin_anew
}

fn a_journal_begins_anew_and_the_rest_stays(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let tagged = NewInstance { tags: tags([("shop", "a")]), ..new("a", 7) };
    let write = Write::Create { new: tagged, chunk: vec![b'0'], summary: summary(Running) };
    let key = created(store, owner, write);
    let neighbours = [created(store, owner, create("b")), created(store, owner, create("c"))];
    for chunks in 1..40 {
        commit(store, owner, append(key, chunks, Running)).unwrap();
    }
    let before = store.get(key).unwrap().unwrap();

    let after = Summary {
        custom_status: Some(json("[1]")),
        updated: 99,
        wake_at: Some(500),
        busy: true,
        blocked: true,
        events: 3,
        ..summary_in(Running, SagaState::Stuck)
    };
    let write = Write::Replace {
        key,
        expect_chunks: 40,
        input: json("{\"again\":1}"),
        chunk: vec![1, 2],
        summary: after.clone(),
    };
    assert_eq!(commit(store, owner, write), Ok(Written::Appended));
    let expected =
        InstanceRow { input: Some(json("{\"again\":1}")), summary: after, chunks: 1, ..before };
    assert_eq!(store.get(key).unwrap().as_ref(), Some(&expected));
    assert_eq!(store.find("a").unwrap(), Some(expected));
    assert_eq!(store.journal(key, 0).unwrap(), [[1, 2]]);
    // Who still knows of the journal before finds nothing of it.
    assert!(store.journal(key, 20).unwrap().is_empty());
    for neighbour in neighbours {
        assert_eq!(store.journal(neighbour, 0).unwrap().len(), 1);
    }
    // It is found by what it is now.
    let found = contents(store);
    assert_eq!((found.busy.len(), found.wakeups.len(), found.counts), (1, 1, (3, 0, 1)));

    // It goes on, and again.
    commit(store, owner, append(key, 1, Running)).unwrap();
    commit(store, owner, replace(key, 2, Running)).unwrap();
    commit(store, owner, append(key, 1, Completed)).unwrap();
    assert_eq!(store.journal(key, 0).unwrap(), [&b"first after 2"[..], b"chunk 1"]);
    assert_eq!(store.get(key).unwrap().unwrap().created, 7);
    let found = contents(store);
    assert_eq!((found.busy.len(), found.wakeups.len(), found.counts), (0, 0, (2, 0, 0)));
}

fn a_replacement_is_refused_as_an_append_is(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let key = created(store, owner, create("a"));
    commit(store, owner, append(key, 1, Running)).unwrap();
    let before = contents(store);
    for expected in [0, 1, 3, MAX_CHUNKS, u32::MAX] {
        let error = commit(store, owner, replace(key, expected, Failed)).unwrap_err();
        assert_eq!(error, WriteError::Conflict { key, expected, found: 2 });
    }
    for key in [0, -1, 9, MAX_KEY, MAX_KEY + 1, i64::MIN].map(InstanceKey) {
        let gone = Err(WriteError::NoSuchInstance { key });
        assert_eq!(commit(store, owner, replace(key, 1, Running)), gone);
    }
    let (bytes, limit) = (MAX_VALUE_BYTES + 1, MAX_VALUE_BYTES);
    let (input, chunk, summary) = (json("1"), vec![0; bytes], summary(Running));
    let write = Write::Replace { key, expect_chunks: 2, input, chunk, summary };
    let error = commit(store, owner, write).unwrap_err();
    assert_eq!(error, WriteError::TooLarge { what: "chunk", bytes, limit });
    assert_eq!(contents(store), before);

    // Of two in one batch, the second one comes too late, and so does an
    // append to the journal before.
    let batch = [replace(key, 2, Running), replace(key, 2, Running), append(key, 2, Running)];
    let results = store.commit(owner, &batch).unwrap();
    let conflict = Err(WriteError::Conflict { key, expected: 2, found: 1 });
    assert_eq!(results, [Ok(Written::Appended), conflict.clone(), conflict]);
}

fn a_replacement_is_counted(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let key = created(store, owner, create("a"));
    commit(store, owner, append(key, 1, Running)).unwrap();
    commit(store, owner, replace(key, 2, Running)).unwrap();
    commit(store, owner, replace(key, 2, Running)).unwrap_err();
    let expected = Counters { commits: 3, creates: 1, appends: 1, replaces: 1, purged: 0 };
    assert_eq!(store.counters(), expected);
    assert_eq!(store.counters().chunks(), 3);
}

fn what_has_ended_can_begin_anew(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let key = created(store, owner, create_as("a", 1, Failed));
    assert_eq!(store.stats().unwrap().unsuccessful, 1);
    commit(store, owner, replace(key, 1, Running)).unwrap();
    assert_eq!(contents(store).counts, (1, 0, 0));
    let taken = commit(store, owner, create("a")).unwrap_err();
    assert!(matches!(taken, WriteError::InstanceExists { .. }), "{taken}");
}

/// Says so when it goes away.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn readers_see_one_journal_or_the_other() {
    const ROUNDS: u8 = 100;
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    let owner = store.claim().unwrap();
    let write = Write::Create { new: new("a", 1), chunk: vec![0], summary: summary(Running) };
    let key = created(&store, owner, write);
    let written = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // However it ends, the readers end, too.
        let _done = Done(&written);
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while !written.load(Ordering::Relaxed) {
                    let journal = store.journal(key, 0).unwrap();
                    let round = journal[0][0];
                    assert!(round >= last, "what was seen stays");
                    assert!(journal.iter().all(|chunk| *chunk == [round]), "{journal:?}");
                    last = round;
                }
            });
        }
        for round in 1..=ROUNDS {
            for expect_chunks in 1..4 {
                let (chunk, summary) = (vec![round - 1], summary(Running));
                let write = Write::Append { key, expect_chunks, chunk, summary };
                commit(&store, owner, write).unwrap();
            }
            let (input, chunk, summary) = (json("null"), vec![round], summary(Running));
            let write = Write::Replace { key, expect_chunks: 4, input, chunk, summary };
            commit(&store, owner, write).unwrap();
        }
    });
    assert_eq!(store.journal(key, 0).unwrap(), [[ROUNDS]]);
}
