//! Building blocks: writes, everything a store shows, and random numbers.

use std::collections::BTreeSet;

use sagahost_core::{Json, Millis, RuntimeStatus, SagaState, Tags};
use sagahost_store::*;

/// Makes a test of each function for each store.
macro_rules! on_every_store {
    ($($test:ident)*) => {
        mod memory {
            $(#[test] fn $test() {
                super::$test(&sagahost_store::memory::MemoryStore::new());
            })*
        }
        mod sqlite {
            $(#[test] fn $test() {
                let dir = tempfile::tempdir().unwrap();
                super::$test(&sagahost_store::SqliteStore::open(dir.path()).unwrap());
            })*
        }
    };
}
pub(crate) use on_every_store;

pub(crate) fn json(text: impl Into<String>) -> Json {
    Json::parse(text).unwrap()
}

/// A summary with nothing special in it.
pub(crate) fn summary(status: RuntimeStatus) -> Summary {
    Summary {
        status,
        custom_status: None,
        output: None,
        updated: 1_000,
        wake_at: None,
        busy: false,
        blocked: false,
        events: 1,
        saga: SagaState::None,
        stuck: None,
    }
}

/// A summary of what has to go on after a restart.
pub(crate) fn summary_busy(status: RuntimeStatus) -> Summary {
    Summary { busy: true, ..summary(status) }
}

/// A summary with this saga state, and something stuck where it is.
pub(crate) fn summary_in(status: RuntimeStatus, saga: SagaState) -> Summary {
    let stuck = (saga == SagaState::Stuck)
        .then(|| json(r#"{"undo":"3","function":"refund","error":{"code":"declined"}}"#));
    Summary { saga, stuck, ..summary(status) }
}

pub(crate) fn new(id: &str, created: Millis) -> NewInstance {
    NewInstance {
        id: id.to_owned(),
        name: "OrderSaga".to_owned(),
        input: json(format!(r#"{{"order":{}}}"#, Json::of(id).unwrap().as_str())),
        created,
        tags: Tags::new(),
    }
}

/// A running instance.
pub(crate) fn create(id: &str) -> Write {
    create_as(id, 1_000, RuntimeStatus::Running)
}

pub(crate) fn create_as(id: &str, created: Millis, status: RuntimeStatus) -> Write {
    Write::Create {
        new: new(id, created),
        chunk: format!("first of {id}").into_bytes(),
        summary: summary(status),
    }
}

pub(crate) fn append(key: InstanceKey, expect_chunks: u32, status: RuntimeStatus) -> Write {
    Write::Append {
        key,
        expect_chunks,
        chunk: format!("chunk {expect_chunks}").into_bytes(),
        summary: summary(status),
    }
}

pub(crate) fn replace(key: InstanceKey, expect_chunks: u32, status: RuntimeStatus) -> Write {
    Write::Replace {
        key,
        expect_chunks,
        input: json(format!(r#"{{"after":{expect_chunks}}}"#)),
        chunk: format!("first after {expect_chunks}").into_bytes(),
        summary: summary(status),
    }
}

pub(crate) fn purge_all() -> Write {
    purge_after(InstanceKey(0))
}

/// How many a write has purged, and whether there may be more.
pub(crate) fn purged(written: Result<Written, WriteError>) -> (usize, Option<InstanceKey>) {
    match written {
        Ok(Written::PurgedWhere { purged, next }) => (purged.len(), next),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn purge_after(after: InstanceKey) -> Write {
    Write::PurgeWhere {
        created_from: None,
        created_to: None,
        updated_to: None,
        statuses: Vec::new(),
        after,
        limit: 0,
    }
}

pub(crate) fn tags<const N: usize>(tags: [(&str, &str); N]) -> Tags {
    tags.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// All that a dashboard lists with this filter, the oldest first.
pub(crate) fn board(filter: BoardFilter) -> BoardQuery {
    let sort = BoardSort::Created;
    BoardQuery { filter, sort, descending: false, limit: 0, after: None, work: Work::ANY }
}

/// The names of the notes that tests take.
pub(crate) const NOTES: [&str; 3] = ["cron", "cron/Daily", ""];

pub(crate) fn set_note(name: &str, value: Option<&str>) -> Write {
    Write::SetNote { name: name.to_owned(), value: value.map(str::to_owned) }
}

/// Commits one write.
pub(crate) fn commit(store: &dyn Store, owner: Owner, write: Write) -> Result<Written, WriteError> {
    let mut results = store.commit(owner, &[write]).unwrap();
    assert_eq!(results.len(), 1);
    results.pop().unwrap()
}

/// Commits a `Create` that must succeed.
pub(crate) fn created(store: &dyn Store, owner: Owner, write: Write) -> InstanceKey {
    match commit(store, owner, write) {
        Ok(Written::Created(key)) => key,
        other => panic!("not created: {other:?}"),
    }
}

/// All rows of a query, page by page.
pub(crate) fn all_pages(store: &dyn Store, query: &ListQuery) -> Vec<InstanceRow> {
    let mut query = query.clone();
    let mut rows = Vec::new();
    loop {
        let page = store.list(&query).unwrap();
        rows.extend(page.rows);
        match page.next {
            Some(next) => {
                assert_eq!(rows.last().map(|row| row.key), Some(next));
                query.after = Some(next);
            }
            None => return rows,
        }
    }
}

/// All rows of a dashboard's list, page by page. Whatever a page may do, it is
/// no larger than it may be, and where it has no end it says why.
pub(crate) fn whole_board(store: &dyn Store, query: &BoardQuery) -> Vec<InstanceRow> {
    let mut query = query.clone();
    let mut rows = Vec::new();
    loop {
        let page = store.board(&query).unwrap();
        let full = page.rows.len() as u32 == if query.limit == 0 { MAX_PAGE } else { query.limit };
        assert!(page.complete || page.next.is_some());
        assert!(full || !page.complete || page.next.is_none(), "{query:?}");
        rows.extend(page.rows);
        match page.next {
            Some(next) => {
                assert_ne!(query.after, Some(next));
                query.after = Some(next);
            }
            None => return rows,
        }
    }
}

/// The counts of a whole histogram.
pub(crate) fn whole_histogram(store: &dyn Store, query: &HistogramQuery) -> Vec<StatusCounts> {
    let mut query = query.clone();
    let mut counts = vec![StatusCounts::default(); query.buckets as usize];
    loop {
        let some = store.histogram(&query).unwrap();
        assert_eq!(some.buckets.len(), counts.len());
        for (counts, more) in counts.iter_mut().zip(some.buckets) {
            counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
        }
        match some.next {
            Some(next) => {
                assert!(query.before.is_none_or(|before| next < before));
                query.before = Some(next);
            }
            None => return counts,
        }
    }
}

pub(crate) fn ids(rows: &[InstanceRow]) -> Vec<&str> {
    rows.iter().map(|row| row.id.as_str()).collect()
}

/// Everything that can be read from a store.
#[derive(Debug, PartialEq)]
pub(crate) struct Contents {
    pub(crate) rows: Vec<InstanceRow>,
    pub(crate) journals: Vec<Vec<Vec<u8>>>,
    pub(crate) entities: Vec<(InstanceRow, Vec<Vec<u8>>)>,
    /// Of [`NOTES`].
    pub(crate) notes: [Option<String>; 3],
    pub(crate) busy: Vec<InstanceRef>,
    pub(crate) wakeups: Vec<Wakeup>,
    /// The open, the unsuccessful, the stuck.
    pub(crate) counts: (u64, u64, u64),
    pub(crate) span: Option<(Millis, Millis)>,
    /// What a dashboard lists by each tag there is.
    pub(crate) tagged: Vec<(String, String, Vec<InstanceRow>)>,
    /// The order in which instances changed.
    pub(crate) changed: Vec<InstanceKey>,
    pub(crate) compensating: u64,
}

/// Reads all of it, by all ways that lead to it, which must agree.
pub(crate) fn contents(store: &dyn Store) -> Contents {
    let everything =
        |kind| all_pages(store, &ListQuery { kind, with_input: true, ..ListQuery::default() });
    let journal_of = |row: &InstanceRow| {
        assert_eq!(store.get(row.key).unwrap().as_ref(), Some(row));
        assert_eq!(store.find(&row.id).unwrap().as_ref(), Some(row));
        let journal = store.journal(row.key, 0).unwrap();
        assert_eq!(journal.len(), row.chunks as usize, "{row:?}");
        journal
    };
    let rows = everything(ListKind::Instances);
    assert!(rows.iter().all(|row| !row.id.starts_with('@')));
    let journals = rows.iter().map(journal_of).collect();
    let entities = everything(ListKind::Entities);
    assert!(entities.iter().all(|row| row.id.starts_with('@')));
    let entities = entities.into_iter().map(|row| (row.clone(), journal_of(&row))).collect();
    let mut busy: Vec<InstanceRef> = Vec::new();
    loop {
        let after = busy.last().map_or(InstanceKey(0), |last| last.key);
        let more = store.busy(after, 3).unwrap();
        if more.is_empty() {
            break;
        }
        busy.extend(more);
    }
    let stats = store.stats().unwrap();
    let pairs: BTreeSet<_> = rows.iter().flat_map(|row| row.tags.clone()).collect();
    let tagged = pairs.into_iter().map(|(word, value)| {
        let filter =
            BoardFilter { tags: vec![(word.clone(), value.clone())], ..BoardFilter::default() };
        (word, value, whole_board(store, &board(filter)))
    });
    let changed = BoardQuery { sort: BoardSort::Updated, ..board(BoardFilter::default()) };
    let changed = whole_board(store, &changed);
    assert_eq!(changed.len(), rows.len());
    Contents {
        span: store.span().unwrap(),
        tagged: tagged.collect(),
        changed: changed.iter().map(|row| row.key).collect(),
        rows,
        journals,
        entities,
        notes: NOTES.map(|name| store.note(name).unwrap()),
        busy,
        wakeups: store.wakeups().unwrap(),
        counts: (stats.open, stats.unsuccessful, stats.stuck),
        compensating: stats.compensating,
    }
}

/// SplitMix64: all a test needs, and the same everywhere for the same seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    pub(crate) fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.one_in(2).then(|| make(self))
    }
}

/// Bytes in which nothing repeats itself.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..length).map(|_| random.next() as u8).collect()
}

/// The same as a JSON string.
pub(crate) fn noisy_text(seed: u64, length: usize) -> String {
    let letter = |byte: u8| char::from(b'0' + byte % 40);
    let text: String = noise(seed, length).into_iter().map(letter).filter(|c| *c != '\\').collect();
    format!("\"{text}\"")
}

/// The seeds to run with: the one from the environment, or `count` new ones.
pub(crate) fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("SAGAHOST_STORE_SEED") {
        Ok(seed) => vec![seed.parse().expect("SAGAHOST_STORE_SEED is a number")],
        Err(_) => {
            let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
            let mut random = Random::new(now.as_nanos() as u64);
            (0..count).map(|_| random.next() >> 32).collect()
        }
    }
}
