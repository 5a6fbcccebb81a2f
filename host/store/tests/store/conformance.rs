//! What every store must do. Each test runs on each store.

use sagahost_core::RuntimeStatus::{self, *};
use sagahost_core::SagaState;
use sagahost_store::*;

use crate::common::*;

on_every_store! {
    what_is_created_and_appended_is_read_back
    an_append_after_another_one_conflicts
    an_id_is_taken_until_its_instance_ends
    only_what_ended_is_purged
    a_purge_by_condition_goes_on_where_it_stopped
    a_key_is_never_used_again
    a_refused_write_spoils_no_other
    later_writes_of_a_batch_see_earlier_ones
    only_the_last_owner_writes
    lists_are_filtered
    a_prefix_is_taken_literally_and_with_regard_to_case
    lists_come_in_pages_and_in_order
    a_page_of_large_rows_ends_early
    the_busy_and_the_sleeping_are_found
    commits_are_counted
    numbers_beyond_63_bits_are_the_largest
    empty_and_unusual_text_is_kept
    what_is_not_there_is_not_found
}

fn what_is_created_and_appended_is_read_back(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let mut first = summary(Pending);
    first.busy = true;
    let write = Write::Create { new: new("a", 7), chunk: vec![0, 255, 1], summary: first.clone() };
    let key = created(store, owner, write);
    let mut expected = InstanceRow {
        key,
        id: "a".into(),
        name: "OrderSaga".into(),
        input: Some(json(r#"{"order":"a"}"#)),
        created: 7,
        tags: new("a", 7).tags,
        summary: first,
        chunks: 1,
    };
    assert_eq!(store.find("a").unwrap().as_ref(), Some(&expected));

    let second = Summary {
        status: Completed,
        custom_status: Some(json("[1, 2]")),
        output: Some(json("true")),
        updated: 9,
        wake_at: Some(11),
        busy: false,
        blocked: true,
        events: 4,
        saga: SagaState::Stuck,
        stuck: Some(json(r#"{"step":2}"#)),
    };
    let write = Write::Append { key, expect_chunks: 1, chunk: Vec::new(), summary: second.clone() };
    assert_eq!(commit(store, owner, write), Ok(Written::Appended));
    expected.summary = second;
    expected.chunks = 2;
    assert_eq!(store.find("a").unwrap().as_ref(), Some(&expected));
    assert_eq!(store.get(key).unwrap().as_ref(), Some(&expected));
    assert_eq!(store.journal(key, 0).unwrap(), [vec![0, 255, 1], vec![]]);
    assert_eq!(store.journal(key, 1).unwrap(), [Vec::<u8>::new()]);
    assert!(store.journal(key, 2).unwrap().is_empty());
}

fn an_append_after_another_one_conflicts(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let key = created(store, owner, create("a"));
    commit(store, owner, append(key, 1, Running)).unwrap();
    let before = contents(store);
    for expected in [0, 1, 3, MAX_CHUNKS, u32::MAX] {
        let error = commit(store, owner, append(key, expected, Failed)).unwrap_err();
        let found = 2;
        assert_eq!(error, WriteError::Conflict { key, expected, found });
    }
    assert_eq!(contents(store), before);
    commit(store, owner, append(key, 2, Running)).unwrap();
}

fn an_id_is_taken_until_its_instance_ends(store: &dyn Store) {
    let owner = store.claim().unwrap();
    for status in RuntimeStatus::ALL {
        let id = status.as_str();
        let key = created(store, owner, create_as(id, 1, status));
        commit(store, owner, append(key, 1, status)).unwrap();
        let again = commit(store, owner, create_as(id, 2, Pending));
        if status.is_terminal() {
            let Ok(Written::Created(new)) = again else {
                panic!("{again:?}");
            };
            assert!(new > key);
            assert_eq!(store.get(key).unwrap(), None);
            assert!(store.journal(key, 0).unwrap().is_empty());
            assert_eq!(store.find(id).unwrap().unwrap().key, new);
            assert_eq!(store.journal(new, 0).unwrap().len(), 1);
            let late = commit(store, owner, append(key, 2, Failed)).unwrap_err();
            assert_eq!(late, WriteError::NoSuchInstance { key });
        } else {
            let id = id.to_owned();
            assert_eq!(again, Err(WriteError::InstanceExists { id, key, status }));
            assert_eq!(store.get(key).unwrap().unwrap().chunks, 2);
        }
    }
    contents(store);
}

fn only_what_ended_is_purged(store: &dyn Store) {
    let owner = store.claim().unwrap();
    for status in RuntimeStatus::ALL {
        let key = created(store, owner, create_as(status.as_str(), 1, status));
        let neighbour = created(store, owner, create(&format!("{status} neighbour")));
        let result = commit(store, owner, Write::Purge { key });
        if status.is_terminal() {
            assert_eq!(result, Ok(Written::Purged(1)));
            assert_eq!(store.find(status.as_str()).unwrap(), None);
            assert!(store.journal(key, 0).unwrap().is_empty());
            let again = commit(store, owner, Write::Purge { key });
            assert_eq!(again, Err(WriteError::NoSuchInstance { key }));
        } else {
            assert_eq!(result, Err(WriteError::NotTerminal { key, status }));
        }
        assert_eq!(store.journal(neighbour, 0).unwrap().len(), 1);
    }
}

fn a_purge_by_condition_goes_on_where_it_stopped(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let statuses = [Completed, Running, Failed, Terminated, Canceled, Suspended];
    let batch: Vec<Write> =
        (0..60_u64).map(|n| create_as(&format!("i{n}"), n, statuses[n as usize % 6])).collect();
    store.commit(owner, &batch).unwrap();
    let purge = |after, statuses: &[RuntimeStatus]| Write::PurgeWhere {
        created_from: Some(6),
        created_to: Some(47),
        updated_to: None,
        statuses: statuses.to_vec(),
        after,
        limit: 5,
    };
    // Seven of each status are in the range; those that run stay.
    let rows = contents(store).rows;
    let first = commit(store, owner, purge(InstanceKey(0), &[Completed, Running])).unwrap();
    let Written::PurgedWhere { purged: gone, next: Some(next) } = first else {
        panic!("{first:?}");
    };
    // What is gone is told as it was.
    let as_gone = |row: &InstanceRow| Gone {
        id: row.id.clone(),
        name: row.name.clone(),
        created: row.created,
        status: row.summary.status,
        saga: row.summary.saga,
    };
    let left = contents(store).rows;
    let expected: Vec<Gone> = rows.iter().filter(|row| !left.contains(row)).map(as_gone).collect();
    assert_eq!((gone.len(), gone), (5, expected));
    assert_eq!(purged(commit(store, owner, purge(next, &[Completed, Running]))), (2, None));
    let left = contents(store).rows;
    assert_eq!(left.len(), 53);
    assert!(
        left.iter()
            .all(|row| { row.summary.status != Completed || !(6..=47).contains(&row.created) })
    );

    assert_eq!(purged(commit(store, owner, purge_all())), (33, None));
    let left = contents(store).rows;
    assert!(left.iter().all(|row| !row.summary.status.is_terminal()));
    assert_eq!(left.len(), 20);
}

fn a_key_is_never_used_again(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let mut keys = Vec::new();
    for round in 0..5 {
        let key = created(store, owner, create_as("a", round, Completed));
        assert!(keys.last().is_none_or(|last| *last < key));
        keys.push(key);
        commit(store, owner, Write::Purge { key }).unwrap();
    }
    for key in keys {
        let late = commit(store, owner, append(key, 1, Running));
        assert_eq!(late, Err(WriteError::NoSuchInstance { key }));
    }
}

fn a_refused_write_spoils_no_other(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let a = created(store, owner, create("a"));
    let nobody = InstanceKey(999);
    let results = store
        .commit(
            owner,
            &[
                append(a, 7, Running),
                create("b"),
                create("a"),
                append(a, 1, Running),
                append(nobody, 1, Running),
                Write::Purge { key: a },
                create("c"),
            ],
        )
        .unwrap();
    let ok: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(ok, [false, true, false, true, false, false, true]);
    let contents = contents(store);
    assert_eq!(ids(&contents.rows), ["a", "b", "c"]);
    assert_eq!(contents.rows[0].chunks, 2);
}

fn later_writes_of_a_batch_see_earlier_ones(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let key = created(store, owner, create("a"));
    let results = store
        .commit(
            owner,
            &[
                append(key, 1, Running),
                append(key, 2, Completed),
                create_as("a", 5, Completed),
                create("a"),
                create("a"),
            ],
        )
        .unwrap();
    assert!(results[..4].iter().all(Result::is_ok), "{results:?}");
    assert!(matches!(results[4], Err(WriteError::InstanceExists { .. })));
    let contents = contents(store);
    assert_eq!(contents.rows.len(), 1);
    assert_eq!(Ok(Written::Created(contents.rows[0].key)), results[3]);
}

fn only_the_last_owner_writes(store: &dyn Store) {
    let first = store.claim().unwrap();
    let key = created(store, first, create("a"));
    let second = store.claim().unwrap();
    assert!(second.epoch > first.epoch);
    let before = contents(store);
    for batch in [vec![], vec![append(key, 1, Completed), create("b")]] {
        assert_eq!(
            store.commit(first, &batch).unwrap_err(),
            StoreError::Fenced { partition: 0, held: first.epoch, current: second.epoch }
        );
    }
    let elsewhere = Owner { partition: 3, ..second };
    let error = store.commit(elsewhere, &[create("b")]).unwrap_err();
    assert!(matches!(error, StoreError::Fenced { partition: 3, .. }));
    assert_eq!(contents(store), before);
    commit(store, second, append(key, 1, Completed)).unwrap();
}

fn lists_are_filtered(store: &dyn Store) {
    let owner = store.claim().unwrap();
    for (n, status) in RuntimeStatus::ALL.into_iter().enumerate() {
        let mut instance = new(&format!("id{n}"), n as u64 * 10);
        instance.name = if n % 2 == 0 { "Even" } else { "Odd" }.into();
        let write = Write::Create { new: instance, chunk: Vec::new(), summary: summary(status) };
        created(store, owner, write);
    }
    let listed = |query: ListQuery| {
        let rows = all_pages(store, &query);
        ids(&rows).join(" ")
    };
    let any = ListQuery::default;
    assert_eq!(listed(any()), "id0 id1 id2 id3 id4 id5 id6 id7");
    for (n, status) in RuntimeStatus::ALL.into_iter().enumerate() {
        let statuses = vec![status];
        assert_eq!(listed(ListQuery { statuses, ..any() }), format!("id{n}"));
    }
    let statuses = vec![Failed, Running, Completed];
    assert_eq!(listed(ListQuery { statuses, ..any() }), "id1 id2 id4");
    let statuses = vec![Suspended, Running];
    assert_eq!(listed(ListQuery { statuses, ..any() }), "id1 id7");
    let statuses = vec![Terminated, Canceled];
    assert_eq!(listed(ListQuery { statuses, ..any() }), "id5 id6");
    let created_from = Some(30);
    assert_eq!(listed(ListQuery { created_from, ..any() }), "id3 id4 id5 id6 id7");
    let created_to = Some(30);
    assert_eq!(listed(ListQuery { created_to, ..any() }), "id0 id1 id2 id3");
    assert_eq!(listed(ListQuery { created_from, created_to, ..any() }), "id3");
    let name = Some("Odd".to_owned());
    assert_eq!(listed(ListQuery { name, created_from, ..any() }), "id3 id5 id7");
    let id_prefix = Some("id7".to_owned());
    assert_eq!(listed(ListQuery { id_prefix, created_from, ..any() }), "id7");

    assert_eq!(store.list(&any()).unwrap().rows[0].input, None);
    let with_input = true;
    let page = store.list(&ListQuery { with_input, ..any() }).unwrap();
    assert_eq!(page.rows[0].input, Some(json(r#"{"order":"id0"}"#)));
}

fn a_prefix_is_taken_literally_and_with_regard_to_case(store: &dyn Store) {
    let owner = store.claim().unwrap();
    for id in
        ["a", "A", "ab", "a%", "a_c", "abc", "a\u{d7ff}x", "a\u{10ffff}x", "b", "é", "\u{10ffff}"]
    {
        created(store, owner, create(id));
    }
    for (prefix, expected) in [
        ("a", vec!["a", "ab", "a%", "a_c", "abc", "a\u{d7ff}x", "a\u{10ffff}x"]),
        ("ab", vec!["ab", "abc"]),
        ("a%", vec!["a%"]),
        ("a_", vec!["a_c"]),
        ("a\u{d7ff}", vec!["a\u{d7ff}x"]),
        ("a\u{10ffff}", vec!["a\u{10ffff}x"]),
        ("\u{10ffff}", vec!["\u{10ffff}"]),
        ("A", vec!["A"]),
        ("é", vec!["é"]),
        ("c", vec![]),
    ] {
        let query =
            ListQuery { id_prefix: Some(prefix.to_owned()), limit: 2, ..ListQuery::default() };
        assert_eq!(ids(&all_pages(store, &query)), expected, "{prefix:?}");
    }
    let query = ListQuery { id_prefix: Some(String::new()), ..ListQuery::default() };
    assert_eq!(all_pages(store, &query).len(), 11);
}

fn lists_come_in_pages_and_in_order(store: &dyn Store) {
    let owner = store.claim().unwrap();
    // Ids and times in another order than that of creation.
    let batch: Vec<Write> =
        (0..25_u64).map(|n| create_as(&format!("i{}", n * 7 % 25), 100 - n, Running)).collect();
    store.commit(owner, &batch).unwrap();
    let one = |limit, after| {
        let query = ListQuery { limit, after, ..ListQuery::default() };
        store.list(&query).unwrap()
    };
    let all = one(0, None);
    assert_eq!((all.rows.len(), all.next), (25, None));
    assert!(all.rows.is_sorted_by_key(|row| row.key));
    assert!(all.rows.is_sorted_by(|a, b| a.created > b.created));
    let page = one(10, None);
    assert_eq!(page.rows, all.rows[..10]);
    // A row that goes away between two pages moves no other.
    let key = page.next.unwrap();
    commit(store, owner, append(key, 1, Completed)).unwrap();
    commit(store, owner, Write::Purge { key }).unwrap();
    let page = one(10, Some(key));
    assert_eq!(page.rows, all.rows[10..20]);
    let page = one(5, page.next);
    assert_eq!((page.rows, page.next), (all.rows[20..].to_vec(), None));
}

fn a_page_of_large_rows_ends_early(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let large = json(format!("\"{}\"", "x".repeat(MAX_PAGE_BYTES / 3)));
    for id in ["a", "b", "c", "d"] {
        let write = Write::Create {
            new: NewInstance { input: large.clone(), ..new(id, 1) },
            chunk: Vec::new(),
            summary: summary(Running),
        };
        created(store, owner, write);
    }
    let query = ListQuery { with_input: true, ..ListQuery::default() };
    let page = store.list(&query).unwrap();
    assert_eq!(ids(&page.rows), ["a", "b", "c"]);
    assert_eq!(ids(&all_pages(store, &query)), ["a", "b", "c", "d"]);
    assert_eq!(store.list(&ListQuery::default()).unwrap().rows.len(), 4);
}

fn the_busy_and_the_sleeping_are_found(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let mut expected = Vec::new();
    for (n, status) in RuntimeStatus::ALL.into_iter().enumerate() {
        for busy in [false, true] {
            let id = format!("{status} {busy}");
            let summary =
                Summary { busy, wake_at: busy.then_some(1_000 - n as u64), ..summary(status) };
            let write = Write::Create { new: new(&id, 1), chunk: vec![], summary };
            let key = created(store, owner, write);
            if busy {
                expected.push((key, id, 1_000 - n as u64));
            }
        }
    }
    let contents = contents(store);
    let busy: Vec<_> = contents.busy.into_iter().map(|b| (b.key, b.id)).collect();
    let keys: Vec<_> = expected.iter().map(|(key, id, _)| (*key, id.clone())).collect();
    assert_eq!(busy, keys);
    expected.reverse();
    let wakeups: Vec<_> = contents.wakeups.into_iter().map(|w| (w.key, w.id, w.at)).collect();
    assert_eq!(wakeups, expected);
    assert_eq!(contents.counts, (8, 6, 0));

    // They are not found any more when they have nothing to do.
    for (key, ..) in &expected {
        commit(store, owner, append(*key, 1, Completed)).unwrap();
    }
    assert!(store.busy(InstanceKey(0), 100).unwrap().is_empty());
    assert!(store.wakeups().unwrap().is_empty());
}

fn commits_are_counted(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let counters = store.counters();
    assert_eq!(counters, Counters::default());
    // A saga of two turns: two commits, two chunks.
    let key = created(store, owner, create("a"));
    commit(store, owner, append(key, 1, Completed)).unwrap();
    assert_eq!((store.counters().commits, store.counters().chunks()), (2, 2));
    // What is refused, or nothing, needs no commit.
    commit(store, owner, append(key, 1, Completed)).unwrap_err();
    store.commit(owner, &[]).unwrap();
    store.check_writable().unwrap();
    store.checkpoint().unwrap();
    assert_eq!(store.counters().commits, 2);
    store.commit(owner, &[create("b"), create("c"), create("a")]).unwrap();
    commit(store, owner, purge_all()).unwrap();
    let expected = Counters { commits: 4, creates: 4, appends: 1, replaces: 0, purged: 1 };
    assert_eq!(store.counters(), expected);
}

fn numbers_beyond_63_bits_are_the_largest(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let largest = i64::MAX as u64;
    let write = Write::Create {
        new: new("a", u64::MAX),
        chunk: vec![],
        summary: Summary {
            updated: u64::MAX,
            wake_at: Some(u64::MAX),
            events: largest + 1,
            ..summary(Running)
        },
    };
    created(store, owner, write);
    let row = store.find("a").unwrap().unwrap();
    assert_eq!((row.created, row.summary.updated), (largest, largest));
    assert_eq!((row.summary.wake_at, row.summary.events), (Some(largest), largest));
    for limit in [largest, u64::MAX] {
        let (created_from, created_to) = (Some(limit), Some(limit));
        let query = ListQuery { created_from, created_to, ..ListQuery::default() };
        assert_eq!(store.list(&query).unwrap().rows.len(), 1);
    }
}

fn empty_and_unusual_text_is_kept(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let input = r#" {"a" : "\u0000 é 😀", "a":1e400} "#;
    for id in ["", "it's \"quoted\"; --", "e\u{301}", "\u{e9}", "😀"] {
        let write = Write::Create {
            new: NewInstance { name: String::new(), input: json(input), ..new(id, 0) },
            chunk: vec![],
            summary: Summary { output: Some(json("null")), ..summary(Completed) },
        };
        let key = created(store, owner, write);
        let row = store.find(id).unwrap().unwrap();
        assert_eq!((row.key, row.id.as_str(), row.name.as_str()), (key, id, ""));
        // (The white space around it is not part of the document.)
        assert_eq!(row.input.unwrap().as_str(), json(input).as_str());
        assert_eq!(row.summary.output, Some(json("null")));
        assert_eq!(row.summary.custom_status, None);
    }
    assert_eq!(contents(store).rows.len(), 5);
}

fn what_is_not_there_is_not_found(store: &dyn Store) {
    let owner = store.claim().unwrap();
    for key in [0, -1, 1, MAX_KEY, MAX_KEY + 1, i64::MAX, i64::MIN].map(InstanceKey) {
        assert_eq!(store.get(key).unwrap(), None);
        assert!(store.journal(key, 0).unwrap().is_empty());
        assert!(store.journal(key, u32::MAX).unwrap().is_empty());
        let gone = Err(WriteError::NoSuchInstance { key });
        assert_eq!(commit(store, owner, append(key, 1, Running)), gone);
        assert_eq!(commit(store, owner, Write::Purge { key }), gone);
        let after = Some(key);
        let query = ListQuery { after, created_from: Some(0), ..ListQuery::default() };
        assert_eq!(store.list(&query).unwrap(), Page::default());
    }
    assert_eq!(store.find("nobody").unwrap(), None);
    assert_eq!(purged(commit(store, owner, purge_all())), (0, None));
}
