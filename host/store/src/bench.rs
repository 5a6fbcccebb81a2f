//! What the store alone can do: the mark that a whole host is measured by.

use std::path::Path;
use std::time::{Duration, Instant};

use sagahost_core::{Json, RuntimeStatus, SagaState, Tags};

use crate::{
    Counters, InstanceKey, NewInstance, SqliteStore, Store, StoreError, Summary, Write, Written,
};

/// What [`raw_rate`] measured.
#[derive(Clone, Copy, Debug)]
pub struct RawRate {
    /// How long it took, all commits included, opening the store not.
    pub elapsed: Duration,
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
    let store = SqliteStore::open(dir)?;
    let owner = store.claim()?;
    let chunk = vec![b' '; chunk_bytes];
    let mut writes = Vec::with_capacity(batch);
    let mut keys: Vec<InstanceKey> = Vec::with_capacity(batch);
    let mut next = 0;

    let start = Instant::now();
    while next < sagas {
        let wave = (sagas - next).min(batch.max(1) as u64);
        writes.clear();
        writes.extend((next..next + wave).map(|n| create(n, chunk.clone())));
        next += wave;
        let created = store.commit(owner, &writes)?;
        keys.clear();
        keys.extend(created.into_iter().filter_map(|written| match written {
            Ok(Written::Created(key)) => Some(key),
            _ => None,
        }));
        writes.clear();
        writes.extend(keys.iter().map(|key| finish(*key, chunk.clone())));
        store.commit(owner, &writes)?;
    }
    Ok(RawRate { elapsed: start.elapsed(), sagas, counters: store.counters() })
}

fn create(number: u64, chunk: Vec<u8>) -> Write {
    let input = format!(
        r#"{{"id":"order-{number}","customer":"c-17","card":"4242","items":[{{"sku":"book","quantity":2,"price":1250}}]}}"#
    );
    // Ids in the shape of those the host makes: 32 hex digits, growing with
    // time, the rest random.
    let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Write::Create {
        new: NewInstance {
            id: format!("{number:016x}{random:016x}"),
            name: "OrderSaga".to_owned(),
            input: Json::parse(input).unwrap_or_else(|_| Json::null()),
            created: number,
            tags: Tags::new(),
        },
        chunk,
        summary: summary(RuntimeStatus::Running, number),
    }
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
