//! What the store alone can do: the mark that a whole host is measured by. And
//! stores of a size that lists are measured with.

mod copies;
mod shape;

use std::path::Path;
use std::time::{Duration, Instant};

use sagahost_core::{Json, Millis, RuntimeStatus, SagaState, Tags};

use crate::{
    Counters, InstanceKey, NewInstance, SqliteStore, Store, StoreError, Summary, Write, Written,
};

pub use copies::{Copied, copies};
pub use shape::{RawShape, raw_commits, raw_sagas};

/// What [`raw_rate`] measured.
#[derive(Clone, Copy, Debug)]
pub struct RawRate {
    /// How long it took, all commits included, opening the store not.
    pub elapsed: Duration,
    /// How long the longest commit took.
    pub longest: Duration,
    /// How large the log became.
    pub log_bytes: u64,
    /// How many sagas were written.
    pub sagas: u64,
    /// What the store counted.
    pub counters: Counters,
}

impl RawRate {
    /// Sagas a second.
    pub fn per_second(&self) -> f64 {
        self.sagas as f64 / self.elapsed.as_secs_f64()
    }
}

/// What [`raw_rate_of`] writes.
#[derive(Clone, Copy, Debug)]
pub struct RawLoad {
    /// How many sagas.
    pub sagas: u64,
    /// How many writes a commit has.
    pub batch: usize,
    /// How long each of the two chunks of a saga is.
    pub chunk_bytes: usize,
    /// Whether the ids are in no order, as a client may choose them; those that
    /// the host makes grow with time.
    pub random_ids: bool,
}

/// Writes what `sagas` sagas of two activities write, with no wasm and no
/// HTTP: for each a row and a chunk of `chunk_bytes` when it starts, and an
/// update and a chunk when it ends, in commits of `batch` such writes. `dir`
/// should be empty and on the disk that the host uses; it is left as it is
/// then.
///
/// # Errors
/// Those of the store.
pub fn raw_rate(
    dir: &Path,
    sagas: u64,
    batch: usize,
    chunk_bytes: usize,
) -> Result<RawRate, StoreError> {
    raw_rate_of(dir, RawLoad { sagas, batch, chunk_bytes, random_ids: false })
}

/// The same with ids in either order, also in a store that [`fill`] has filled.
///
/// # Errors
/// Those of the store.
pub fn raw_rate_of(dir: &Path, load: RawLoad) -> Result<RawRate, StoreError> {
    let RawLoad { sagas, batch, chunk_bytes, random_ids } = load;
    let store = SqliteStore::open(dir)?;
    let owner = store.claim()?;
    let chunk = vec![b' '; chunk_bytes];
    let mut writes = Vec::with_capacity(batch);
    let mut keys: Vec<InstanceKey> = Vec::with_capacity(batch);
    let mut next = 0;
    let mut longest = Duration::ZERO;
    let mut log_bytes = 0;
    let mut commit = |writes: &[Write]| {
        let begun = Instant::now();
        let written = store.commit(owner, writes)?;
        longest = longest.max(begun.elapsed());
        let log = std::fs::metadata(dir.join("sagahost.db-wal"));
        log_bytes = log_bytes.max(log.map_or(0, |log| log.len()));
        Ok::<_, StoreError>(written)
    };

    let start = Instant::now();
    while next < sagas {
        let wave = (sagas - next).min(batch.max(1) as u64);
        writes.clear();
        writes.extend((next..next + wave).map(|n| create(n, random_ids, chunk.clone())));
        next += wave;
        let created = commit(&writes)?;
        keys.clear();
        keys.extend(created.into_iter().filter_map(|written| match written {
            Ok(Written::Created(key)) => Some(key),
            _ => None,
        }));
        writes.clear();
        writes.extend(keys.iter().map(|key| finish(*key, chunk.clone())));
        commit(&writes)?;
    }
    let elapsed = start.elapsed();
    Ok(RawRate { elapsed, longest, log_bytes, sagas, counters: store.counters() })
}

/// Writes so many instances into an empty store, as they are after a month: of
/// twenty orchestrators, most of them completed, some with tags; with nothing in
/// their journals, so that they can only be listed. The last was created at
/// `now`.
///
/// # Errors
/// Those of the store.
pub fn fill(dir: &Path, instances: u64, now: Millis) -> Result<(), StoreError> {
    const BATCH: u64 = 1_000;
    const MONTH: u64 = 30 * 24 * 3_600 * 1_000;
    let store = SqliteStore::open(dir)?;
    let owner = store.claim()?;
    let mut next = 0;
    while next < instances {
        let end = (next + BATCH).min(instances);
        let created = |number| now.saturating_sub(MONTH / instances * (instances - 1 - number));
        let writes: Vec<Write> = (next..end).map(|n| ended(n, created(n))).collect();
        store.commit(owner, &writes)?;
        next = end;
    }
    store.checkpoint()
}

/// An instance of a store that is only listed.
fn ended(number: u64, created: Millis) -> Write {
    // The same for each number, and spread out.
    let random = |salt: u64| {
        let mixed = (number * 8 + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 8
    };
    let share = |of: u64, salt: u64| random(salt) % of;
    let name = match share(10_000, 1) {
        0 => "Rare".to_owned(),
        1..8_000 => "OrderSaga".to_owned(),
        other => format!("Saga{}", other % 18),
    };
    let (status, saga) = match share(1_000, 2) {
        0..10 => (RuntimeStatus::Running, SagaState::Armed),
        10..12 => (RuntimeStatus::Suspended, SagaState::Armed),
        12..28 => (RuntimeStatus::Failed, SagaState::Compensated),
        28..32 => (RuntimeStatus::Terminated, SagaState::None),
        32 => (RuntimeStatus::Failed, SagaState::Stuck),
        _ => (RuntimeStatus::Completed, SagaState::Committed),
    };
    let id = match share(2, 3) {
        0 => format!("order-{number}"),
        _ => format!("{number:016x}{:016x}", random(0)),
    };
    let mut tags = Tags::new();
    if share(10, 4) == 0 {
        tags.insert("shop".to_owned(), share(50, 5).to_string());
    }
    Write::Create {
        new: NewInstance { id, name, tags, created, input: input(number) },
        chunk: b"[]".to_vec(),
        summary: Summary {
            // Nobody is to go on with it.
            busy: false,
            saga,
            ..summary(status, created + share(60_000, 6))
        },
    }
}

fn create(number: u64, random_id: bool, chunk: Vec<u8>) -> Write {
    // Ids in the shape of those the host makes: 32 hex digits, growing with
    // time, the rest random.
    let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let id = match random_id {
        false => format!("{number:016x}{random:016x}"),
        true => format!("{random:016x}{number:016x}"),
    };
    Write::Create {
        new: NewInstance {
            id,
            name: "OrderSaga".to_owned(),
            input: input(number),
            created: number,
            tags: Tags::new(),
        },
        chunk,
        summary: summary(RuntimeStatus::Running, number),
    }
}

fn input(number: u64) -> Json {
    let input = format!(
        r#"{{"id":"order-{number}","customer":"c-17","card":"4242","items":[{{"sku":"book","quantity":2,"price":1250}}]}}"#
    );
    Json::parse(input).unwrap_or_else(|_| Json::null())
}

fn finish(key: InstanceKey, chunk: Vec<u8>) -> Write {
    Write::Append {
        key,
        expect_chunks: 1,
        chunk,
        summary: summary(RuntimeStatus::Completed, key.0.unsigned_abs()),
    }
}

fn summary(status: RuntimeStatus, updated: u64) -> Summary {
    let ended = status.is_terminal();
    Summary {
        status,
        custom_status: None,
        output: ended.then(|| Json::parse("true").unwrap_or_else(|_| Json::null())),
        updated,
        wake_at: None,
        busy: !ended,
        blocked: false,
        events: if ended { 6 } else { 3 },
        saga: if ended { SagaState::Committed } else { SagaState::Armed },
        stuck: None,
    }
}
