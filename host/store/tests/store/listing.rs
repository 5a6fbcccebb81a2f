//! Listings that are long enough for all the ways in which they are read: an
//! index that is used for few and not for many, zones, and pages at the limit.

use sagahost_core::{RuntimeStatus, SagaState};
use sagahost_store::memory::MemoryStore;
use sagahost_store::*;

use crate::common::*;

/// Two zones and a half.
const INSTANCES: u64 = 10_000;

#[test]
fn long_listings_are_those_of_the_plain_store() {
    let dir = tempfile::tempdir().unwrap();
    let sqlite = SqliteStore::open(dir.path()).unwrap();
    let plain = MemoryStore::new();
    for store in [&sqlite as &dyn Store, &plain] {
        fill(store);
    }
    let any = ListQuery::default;
    let prefix = |prefix: &str| Some(prefix.to_owned());
    let in_state = |saga: &[SagaState]| ListQuery { saga: saga.to_vec(), ..any() };
    let created = |from, to| ListQuery { created_from: Some(from), created_to: Some(to), ..any() };
    let entities = |id_prefix: Option<&str>| ListQuery {
        kind: ListKind::Entities,
        id_prefix: id_prefix.map(str::to_owned),
        ..any()
    };
    let tagged = |tags: &[(&str, &str)]| ListQuery {
        tags: tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..any()
    };
    let updated = |from, to| ListQuery { updated_from: Some(from), updated_to: Some(to), ..any() };
    let queries = [
        any(),
        // 2,400 and 200 entities, and prefixes of the other kind.
        entities(None),
        entities(Some("@")),
        entities(Some("@many@")),
        entities(Some("@few@")),
        entities(Some("few-")),
        ListQuery { limit: 7, ..entities(Some("@few@")) },
        ListQuery { limit: 70, ..entities(Some("@many@")) },
        ListQuery { limit: 70, ..entities(Some("@many@-12")) },
        ListQuery { created_from: Some(3_000_000), ..entities(None) },
        ListQuery { statuses: vec![RuntimeStatus::Completed], limit: 70, ..entities(None) },
        ListQuery { tags: tagged(&[("shop", "a")]).tags, ..entities(Some("@many@")) },
        ListQuery { id_prefix: prefix("@"), ..any() },
        ListQuery { id_prefix: prefix("@many@"), ..any() },
        // Tags, alone and with others.
        tagged(&[("shop", "a")]),
        tagged(&[("shop", "a"), ("shop", "b")]),
        tagged(&[("n", "4000"), ("shop", "a")]),
        ListQuery { limit: 9, ..tagged(&[("shop", "b")]) },
        ListQuery { statuses: vec![RuntimeStatus::Failed], ..tagged(&[("shop", "b")]) },
        ListQuery { id_prefix: prefix("few-"), ..tagged(&[("shop", "b")]) },
        ListQuery { created_to: Some(4_000_000), limit: 50, ..tagged(&[("shop", "a")]) },
        // When it last changed.
        updated(0, 4_000_000),
        updated(u64::MAX, u64::MAX),
        ListQuery { limit: 50, ..updated(7_000_000, 7_900_000) },
        ListQuery { created_from: Some(3_600_000), ..updated(0, 7_900_000) },
        // 4,000 and 400 instances, with and without more to ask for.
        ListQuery { id_prefix: prefix("many-"), ..any() },
        ListQuery { id_prefix: prefix("few-"), ..any() },
        ListQuery { id_prefix: prefix("few-"), limit: 7, ..any() },
        ListQuery { id_prefix: prefix("few-1"), ..created(100_000, 7_000_000) },
        ListQuery { id_prefix: prefix("many-1"), statuses: vec![RuntimeStatus::Failed], ..any() },
        // In each zone, across zones, before, after, and where the clock was
        // set back.
        created(0, 100_000),
        created(3_900_000, 4_300_000),
        created(9_000_000, u64::MAX),
        created(6_000_000, 6_000_000),
        created(50_000_000, u64::MAX),
        created(2, 1),
        ListQuery { limit: 333, ..created(1_000_000, 8_000_000) },
        ListQuery { name: Some("Rare".to_owned()), ..created(0, 5_000_000) },
        ListQuery { statuses: vec![RuntimeStatus::Running], limit: 10, ..any() },
        ListQuery { statuses: vec![RuntimeStatus::Failed], ..created(2_000_000, 6_000_000) },
        ListQuery { statuses: vec![RuntimeStatus::Failed, RuntimeStatus::Completed], ..any() },
        ListQuery { limit: 1_000_000, ..any() },
        // Rare states by their index, one and several of them; frequent ones,
        // and both together.
        in_state(&[SagaState::Stuck]),
        in_state(&SagaState::ALL[3..6]),
        in_state(&[SagaState::Armed, SagaState::PastPivot]),
        in_state(&[SagaState::Committed]),
        in_state(&[SagaState::Committed, SagaState::Stuck]),
        // With every other condition, in pages.
        ListQuery { limit: 7, ..in_state(&[SagaState::Stuck, SagaState::Compensating]) },
        ListQuery { statuses: vec![RuntimeStatus::Running], ..in_state(&[SagaState::Stuck]) },
        ListQuery { statuses: vec![RuntimeStatus::Failed], ..in_state(&SagaState::ALL[1..4]) },
        ListQuery { id_prefix: prefix("few-"), limit: 2, ..in_state(&[SagaState::Compensated]) },
        ListQuery { id_prefix: prefix("many-"), limit: 5, ..in_state(&[SagaState::Stuck]) },
        ListQuery { id_prefix: prefix("many-"), ..in_state(&[SagaState::PastPivot]) },
        ListQuery { name: Some("Rare".to_owned()), ..in_state(&[SagaState::Compensated]) },
        ListQuery { saga: vec![SagaState::Compensating], ..created(3_900_000, 7_300_000) },
        ListQuery { saga: vec![SagaState::Armed], limit: 9, ..created(3_900_000, 7_300_000) },
    ];
    for query in queries {
        let expected = all_pages(&plain, &query);
        let listed = all_pages(&sqlite, &query);
        assert!(query.saga.is_empty() || !expected.is_empty(), "{query:?} is to find some");
        assert!(expected == listed, "{query:?}: {} and {}", expected.len(), listed.len());
    }
    let first = sqlite.list(&any()).unwrap();
    assert_eq!(first.rows.len(), MAX_PAGE as usize);

    // Purging everything, page by page, leaves what has not ended.
    let owner = Owner { partition: 0, epoch: 1 };
    let purge = |store: &dyn Store| {
        let (mut purged, mut after) = (Vec::new(), Some(InstanceKey(0)));
        while let Some(from) = after {
            match commit(store, owner, purge_after(from)) {
                Ok(Written::PurgedWhere { purged: gone, next }) => {
                    assert!(gone.len() <= MAX_PURGE as usize);
                    purged.push(gone);
                    after = next;
                }
                other => panic!("{other:?}"),
            }
        }
        purged
    };
    assert_eq!(purge(&sqlite), purge(&plain));
    let left = contents(&sqlite);
    assert!(left == contents(&plain));
    assert!(left.rows.iter().all(|row| !row.summary.status.is_terminal()));
    assert_eq!(left.entities.len(), 2_600);

    // And what comes after is in the right zone.
    for store in [&sqlite as &dyn Store, &plain] {
        commit(store, owner, create_as("after", 20_000_000, RuntimeStatus::Pending)).unwrap();
        let listed = all_pages(store, &created(20_000_000, u64::MAX));
        assert_eq!(ids(&listed), ["after"]);
    }
}

/// Instances a second apart, in another order of ids. For a while the clock is
/// two hours slow.
fn fill(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let writes: Vec<Write> = (0..INSTANCES)
        .map(|n| {
            let shuffled = n * 7_919 % INSTANCES;
            let kind = match shuffled % 100 {
                0..40 => "many",
                40..44 => "few",
                44..68 => "@many@",
                68..70 => "@few@",
                _ => "other",
            };
            let slow = if (5_000..6_000).contains(&n) { 2_000_000 } else { 0 };
            let status = match shuffled % 500 {
                1 => RuntimeStatus::Running,
                2 => RuntimeStatus::Failed,
                3 => RuntimeStatus::Suspended,
                _ => RuntimeStatus::Completed,
            };
            let saga = match shuffled % 130 {
                1..5 => SagaState::Stuck,
                5..9 => SagaState::Compensating,
                9..12 => SagaState::Compensated,
                12..20 => SagaState::Armed,
                20..25 => SagaState::PastPivot,
                25..40 => SagaState::None,
                _ => SagaState::Committed,
            };
            let mut new = new(&format!("{kind}-{shuffled}"), n * 1_000 - slow);
            if shuffled.is_multiple_of(10) {
                new.tags = tags([("shop", ["a", "b"][n as usize % 2]), ("n", &n.to_string())]);
            }
            if shuffled.is_multiple_of(101) {
                new.name = "Rare".to_owned();
            }
            let summary = Summary { updated: n * 2_000, ..summary_in(status, saga) };
            Write::Create { new, chunk: vec![b'x'; 10], summary }
        })
        .collect();
    for batch in writes.chunks(500) {
        assert!(store.commit(owner, batch).unwrap().iter().all(Result::is_ok));
    }
}
