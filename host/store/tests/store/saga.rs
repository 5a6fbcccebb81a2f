//! What every store keeps of undo: the saga's state and what is stuck.

use sagahost_core::{RuntimeStatus, SagaState};
use sagahost_store::*;

use crate::common::*;

on_every_store! {
    the_state_is_listed_with_every_other_condition
    what_is_stuck_is_kept_until_it_is_not
    the_stuck_are_counted
    texts_of_what_is_stuck_count_for_the_size_of_a_page
}

/// A condition of a query, said once more.
type Holds = fn(&InstanceRow) -> bool;

fn the_state_is_listed_with_every_other_condition(store: &dyn Store) {
    let owner = store.claim().unwrap();
    // Every status with every state, in an order of neither.
    let all = RuntimeStatus::ALL.len() * SagaState::ALL.len();
    let batch: Vec<Write> = (0..all)
        .map(|n| {
            let mixed = n * 23 % all;
            let status = RuntimeStatus::ALL[mixed / SagaState::ALL.len()];
            let saga = SagaState::ALL[mixed % SagaState::ALL.len()];
            let id = format!("{}-{n}", ["a", "b", "c"][n % 3]);
            let mut new = new(&id, n as u64 * 10 % 170);
            new.name = ["Order", "Refund"][n % 2].to_owned();
            Write::Create { new, chunk: Vec::new(), summary: summary_in(status, saga) }
        })
        .collect();
    assert!(store.commit(owner, &batch).unwrap().iter().all(Result::is_ok));
    let everything = all_pages(store, &ListQuery::default());
    assert_eq!(everything.len(), all);

    use SagaState::*;
    let mut states: Vec<Vec<SagaState>> = SagaState::ALL.into_iter().map(|s| vec![s]).collect();
    states.extend([
        vec![],
        SagaState::ALL.to_vec(),
        vec![Stuck, Compensating],
        vec![Stuck, Compensated, Compensating, Stuck],
        vec![Stuck, None],
        vec![Armed, PastPivot],
        vec![Committed, Armed, Committed],
    ]);
    let conditions: [(&str, ListQuery, Holds); 8] = [
        ("nothing else", ListQuery::default(), |_| true),
        (
            "the running",
            ListQuery { statuses: vec![RuntimeStatus::Running], ..ListQuery::default() },
            |row| row.summary.status == RuntimeStatus::Running,
        ),
        (
            "the failed and the completed",
            ListQuery {
                statuses: vec![RuntimeStatus::Failed, RuntimeStatus::Completed],
                ..ListQuery::default()
            },
            |row| matches!(row.summary.status, RuntimeStatus::Failed | RuntimeStatus::Completed),
        ),
        (
            "of a name",
            ListQuery { name: Some("Refund".to_owned()), ..ListQuery::default() },
            |row| row.name == "Refund",
        ),
        (
            "of a prefix",
            ListQuery { id_prefix: Some("b-".to_owned()), ..ListQuery::default() },
            |row| row.id.starts_with("b-"),
        ),
        (
            "of a time",
            ListQuery { created_from: Some(40), created_to: Some(120), ..ListQuery::default() },
            |row| (40..=120).contains(&row.created),
        ),
        (
            "after one",
            ListQuery { after: Some(everything[20].key), ..ListQuery::default() },
            |row| row.key.0 > 21,
        ),
        (
            "all of it",
            ListQuery {
                statuses: vec![RuntimeStatus::Pending, RuntimeStatus::Running],
                created_from: Some(20),
                created_to: Some(160),
                name: Some("Order".to_owned()),
                after: Some(everything[4].key),
                ..ListQuery::default()
            },
            |row| {
                matches!(row.summary.status, RuntimeStatus::Pending | RuntimeStatus::Running)
                    && (20..=160).contains(&row.created)
                    && row.name == "Order"
                    && row.key.0 > 5
            },
        ),
    ];
    for saga in &states {
        for (what, query, holds) in &conditions {
            for limit in [0, 1, 3] {
                let query = ListQuery { saga: saga.clone(), limit, ..query.clone() };
                let listed = all_pages(store, &query);
                let expected = everything.iter().filter(|row| {
                    holds(row) && (saga.is_empty() || saga.contains(&row.summary.saga))
                });
                let expected: Vec<InstanceRow> = expected.cloned().collect();
                assert_eq!(ids(&listed), ids(&expected), "{saga:?}, {what}, by {limit}");
                assert_eq!(listed, expected);
            }
        }
    }
}

fn what_is_stuck_is_kept_until_it_is_not(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let create = |summary| Write::Create { new: new("a", 1), chunk: Vec::new(), summary };
    let key = created(store, owner, create(summary_in(RuntimeStatus::Running, SagaState::Armed)));
    let seen = || {
        let summary = store.find("a").unwrap().unwrap().summary;
        (summary.saga, summary.stuck)
    };
    assert_eq!(seen(), (SagaState::Armed, None));
    // The text is kept as it is, whatever the state is: null is not nothing.
    let texts = [Some(r#" {"a":1e400, "b" : "é 😀\u0000"}"#), Some("null"), None, Some("\"\"")];
    for (chunks, (saga, text)) in SagaState::ALL.into_iter().zip(texts.repeat(2)).enumerate() {
        let stuck = text.map(json);
        let running = summary(RuntimeStatus::Running);
        let write = Write::Append {
            key,
            expect_chunks: chunks as u32 + 1,
            chunk: Vec::new(),
            summary: Summary { saga, stuck: stuck.clone(), ..running },
        };
        commit(store, owner, write).unwrap();
        assert_eq!(seen(), (saga, stuck));
    }
    // What is refused changes nothing of it.
    let before = contents(store);
    let summary = summary_in(RuntimeStatus::Running, SagaState::Stuck);
    let write = Write::Append { key, expect_chunks: 1, chunk: Vec::new(), summary };
    commit(store, owner, write).unwrap_err();
    assert_eq!(contents(store), before);
    // A new instance of the same id has nothing of the one before.
    let chunks = SagaState::ALL.len() as u32 + 1;
    let summary = summary_in(RuntimeStatus::Terminated, SagaState::Stuck);
    let write = Write::Append { key, expect_chunks: chunks, chunk: Vec::new(), summary };
    commit(store, owner, write).unwrap();
    created(store, owner, create(summary_in(RuntimeStatus::Running, SagaState::None)));
    assert_eq!(seen(), (SagaState::None, None));
}

fn the_stuck_are_counted(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let stuck = || store.stats().unwrap().stuck;
    let mut keys = Vec::new();
    for status in RuntimeStatus::ALL {
        for saga in SagaState::ALL {
            let new = new(&format!("{status} {saga}"), 1);
            let write = Write::Create { new, chunk: Vec::new(), summary: summary_in(status, saga) };
            keys.push(created(store, owner, write));
        }
    }
    // One of each status, ended ones as well.
    assert_eq!((stuck(), store.stats().unwrap().compensating), (8, 8));
    let listed = || {
        let saga = vec![SagaState::Stuck];
        all_pages(store, &ListQuery { saga, ..ListQuery::default() }).len() as u64
    };
    assert_eq!(listed(), 8);

    // It is stuck, is repaired, is stuck again, and then undone.
    let key = keys[7];
    use SagaState::*;
    for (chunks, (saga, expected)) in
        [(Armed, 8), (Stuck, 9), (Stuck, 9), (Compensating, 8), (Stuck, 9), (Compensated, 8)]
            .into_iter()
            .enumerate()
    {
        let write = Write::Append {
            key,
            expect_chunks: chunks as u32 + 1,
            chunk: Vec::new(),
            summary: summary_in(RuntimeStatus::Running, saga),
        };
        commit(store, owner, write).unwrap();
        assert_eq!((stuck(), listed()), (expected, expected), "{saga}");
    }
    // What is purged is not counted any more. Four statuses are terminal.
    commit(store, owner, purge_all()).unwrap();
    assert_eq!((stuck(), listed()), (4, 4));
}

fn texts_of_what_is_stuck_count_for_the_size_of_a_page(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let stuck = Some(json(format!("\"{}\"", "x".repeat(MAX_PAGE_BYTES / 3))));
    for id in ["a", "b", "c", "d"] {
        let summary = Summary {
            stuck: stuck.clone(),
            ..summary_in(RuntimeStatus::Running, SagaState::Stuck)
        };
        let write = Write::Create { new: new(id, 1), chunk: Vec::new(), summary };
        created(store, owner, write);
    }
    for saga in [vec![], vec![SagaState::Stuck]] {
        let query = ListQuery { saga, ..ListQuery::default() };
        assert_eq!(ids(&store.list(&query).unwrap().rows), ["a", "b", "c"]);
        assert_eq!(ids(&all_pages(store, &query)), ["a", "b", "c", "d"]);
    }
}
