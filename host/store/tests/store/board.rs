//! What a dashboard asks for, over more instances than are few, so that all ways
//! of looking for them are taken.

use sagahost_core::{RuntimeStatus, SagaState};
use sagahost_store::memory::MemoryStore;
use sagahost_store::*;

use crate::common::*;

const INSTANCES: u64 = 30_000;

#[test]
fn long_lists_are_those_of_the_plain_store() {
    let dir = tempfile::tempdir().unwrap();
    let sqlite = SqliteStore::open(dir.path()).unwrap();
    let plain = MemoryStore::new();
    for store in [&sqlite as &dyn Store, &plain] {
        fill(store);
    }
    let any = BoardFilter::default;
    let name = |name: &str| Some(name.to_owned());
    let filters = [
        any(),
        BoardFilter { name: name("Rare"), ..any() },
        BoardFilter { name: name("OrderSaga"), ..any() },
        BoardFilter { name: name("OrderSaga"), search: name("77"), ..any() },
        BoardFilter { search: name("rare"), ..any() },
        BoardFilter { search: name("MANY-123"), ..any() },
        BoardFilter { id_prefix: name("few-"), ..any() },
        BoardFilter { id_prefix: name("many-"), ..any() },
        BoardFilter { id_prefix: name("@"), ..any() },
        BoardFilter { statuses: vec![RuntimeStatus::Failed], ..any() },
        BoardFilter { statuses: vec![RuntimeStatus::Failed, RuntimeStatus::Terminated], ..any() },
        BoardFilter { statuses: vec![RuntimeStatus::Running], name: name("Rare"), ..any() },
        BoardFilter { statuses: vec![RuntimeStatus::Completed], ..any() },
        BoardFilter { saga: vec![SagaState::Stuck], ..any() },
        BoardFilter { saga: vec![SagaState::Compensated, SagaState::Compensating], ..any() },
        BoardFilter { saga: vec![SagaState::Stuck, SagaState::Armed], ..any() },
        BoardFilter { tags: vec![("shop".into(), "a".into())], ..any() },
        BoardFilter { tags: vec![("shop".into(), "a".into()), ("n".into(), "2".into())], ..any() },
        BoardFilter { created_from: Some(9_000_000), created_to: Some(9_500_000), ..any() },
        BoardFilter { created_from: Some(9_000_000), name: name("OrderSaga"), ..any() },
        BoardFilter { created_from: Some(90_000_000), ..any() },
    ];
    for filter in filters {
        for (sort, descending, limit, rows) in [
            (BoardSort::Created, true, 100, u32::MAX),
            (BoardSort::Created, false, 1_000, 3_000),
            (BoardSort::Updated, true, 1_000, u32::MAX),
            (BoardSort::Updated, false, 300, 3_000),
        ] {
            let work = Work { rows, ..Work::ANY };
            let query = BoardQuery { sort, descending, limit, work, ..board(filter.clone()) };
            // In the plain one all at once: each of its pages sorts.
            let everything = BoardQuery { limit: 0, work: Work::ANY, ..query.clone() };
            let (found, expected) =
                (whole_board(&sqlite, &query), whole_board(&plain, &everything));
            assert!(found == expected, "{query:?}: {} and {}", found.len(), expected.len());
        }
        for work in [Work::ANY, Work { rows: 3_000, ..Work::ANY }] {
            let query = HistogramQuery {
                filter: filter.clone(),
                from: 1_000_000,
                width: 700_000,
                buckets: 30,
                before: None,
                work,
            };
            let counts = whole_histogram(&sqlite, &query);
            assert_eq!(counts, whole_histogram(&plain, &query), "{query:?}");
        }
    }
}

/// Instances a second apart, that changed in another order.
fn fill(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let writes: Vec<Write> = (0..INSTANCES)
        .map(|n| {
            let shuffled = n * 7_919 % INSTANCES;
            let kind = match shuffled % 100 {
                0..40 => "Many",
                40..44 => "few",
                44..48 => "@e@",
                _ => "many",
            };
            let status = match shuffled % 100 {
                1..20 => RuntimeStatus::Running,
                20..39 => RuntimeStatus::Failed,
                39 => RuntimeStatus::Terminated,
                _ => RuntimeStatus::Completed,
            };
            let saga = match shuffled % 13 {
                1..4 => SagaState::Stuck,
                4..6 => SagaState::Compensating,
                6..8 => SagaState::Compensated,
                8 => SagaState::Armed,
                _ => SagaState::Committed,
            };
            let mut new = new(&format!("{kind}-{shuffled}"), n * 1_000);
            if shuffled % 5 < 3 {
                new.tags =
                    tags([("shop", ["a", "b"][n as usize % 2]), ("n", &(n % 4).to_string())]);
            }
            if shuffled.is_multiple_of(11) {
                new.name = "Rare".to_owned();
            }
            let updated = 1_000_000 + shuffled / 3;
            let summary = Summary { updated, ..summary_in(status, saga) };
            Write::Create { new, chunk: vec![b'x'; 10], summary }
        })
        .collect();
    for batch in writes.chunks(1_000) {
        assert!(store.commit(owner, batch).unwrap().iter().all(Result::is_ok));
    }
}

on_every_store! {
    a_page_has_no_large_values
    what_changed_last_comes_first
    a_restart_keeps_no_tags
}

fn a_page_has_no_large_values(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let text = |length: usize| Some(json(format!("\"{}\"", "x".repeat(length - 2))));
    for (id, length) in [("short", MAX_SHOWN_STATUS), ("long", MAX_SHOWN_STATUS + 1)] {
        let summary = Summary {
            output: text(9),
            custom_status: text(length),
            ..summary_in(RuntimeStatus::Running, SagaState::Stuck)
        };
        let (new, chunk) = (new(id, 7), vec![b'0']);
        created(store, owner, Write::Create { new, chunk, summary });
    }
    let rows = whole_board(store, &board(BoardFilter::default()));
    assert_eq!(ids(&rows), ["short", "long"]);
    for row in &rows {
        assert_eq!((&row.input, &row.summary.output, &row.summary.stuck), (&None, &None, &None));
        assert_eq!(row.summary.custom_status.is_some(), row.id == "short");
    }
    assert_eq!(store.span().unwrap(), Some((7, 7)));
}

fn what_changed_last_comes_first(store: &dyn Store) {
    let owner = store.claim().unwrap();
    assert_eq!(store.span().unwrap(), None);
    let keys = ["a", "b", "c"].map(|id| created(store, owner, create(id)));
    let summary = Summary { updated: 2_000, ..summary(RuntimeStatus::Running) };
    let write = Write::Append { key: keys[1], expect_chunks: 1, chunk: vec![b'1'], summary };
    commit(store, owner, write).unwrap();
    let updated = BoardQuery {
        sort: BoardSort::Updated,
        descending: true,
        limit: 1,
        ..board(BoardFilter::default())
    };
    assert_eq!(ids(&whole_board(store, &updated)), ["b", "c", "a"]);
    let first = store.board(&updated).unwrap();
    assert_eq!(first.next, Some(BoardPlace { at: 2_000, key: keys[1] }));
}

fn a_restart_keeps_no_tags(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let tagged = |shop| BoardFilter { tags: vec![("shop".into(), shop)], ..BoardFilter::default() };
    for shop in ["a", "b"] {
        let new = NewInstance { tags: tags([("shop", shop)]), ..new("one", 1) };
        let summary = summary(RuntimeStatus::Completed);
        created(store, owner, Write::Create { new, chunk: vec![b'0'], summary });
    }
    let found = |shop: &str| whole_board(store, &board(tagged(shop.to_owned()))).len();
    assert_eq!((found("a"), found("b")), (0, 1));
    commit(store, owner, purge_all()).unwrap();
    assert_eq!(found("b"), 0);
}
