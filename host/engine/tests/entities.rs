//! Entities on real wasm and a real store, without HTTP.

#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use sagahost_core::{
    EntityEvent, EntityId, EntityRecord, Json, RuntimeStatus, decode_entity_chunk,
};
use sagahost_engine::{Engine, EngineConfig, InstanceRow, SignalError};
use sagahost_store::Store;
use sagahost_store::memory::MemoryStore;
use sagahost_test_support::guests;
use sagahost_wasm::{Runtime, WasmConfig};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

async fn engine(store: Arc<dyn Store>) -> Engine {
    // Shared by all tests, and kept: compiling takes seconds.
    let cache_dir = guests().join("../../compiled");
    // Two hosts in each test: small ones.
    let config =
        WasmConfig { cache_dir, max_orchestrators: 8, max_activities: 4, ..WasmConfig::default() };
    let runtime = Runtime::new(config).unwrap();
    let bytes = std::fs::read(guests().join("test_guests.wasm")).unwrap();
    let candidate = runtime.check("test_guests", bytes.into()).await.unwrap();
    runtime.activate(candidate).unwrap();
    let config = EngineConfig {
        functions_dir: guests().to_owned(),
        max_orchestrators: 8,
        ..EngineConfig::default()
    };
    Engine::start(store, runtime, config).await.unwrap()
}

fn account(key: &str) -> EntityId {
    EntityId::new("Account", key).unwrap()
}

async fn signal(engine: &Engine, key: &str, operation: &str, input: Value) {
    let input = Json::of(&input).unwrap();
    engine.signal_entity(&account(key), operation, input, None).await.unwrap();
}

/// The entity's row, once this holds.
async fn once(engine: &Engine, key: &str, holds: impl Fn(&InstanceRow) -> bool) -> InstanceRow {
    let mut last = None;
    let wait = async {
        loop {
            last = engine.entity(&account(key)).await.unwrap();
            if let Some(row) = last.take_if(|row| holds(row)) {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(row) => row,
        Err(_) => panic!("the entity never came to that: {last:?}"),
    }
}

fn balance(row: &InstanceRow) -> Option<i64> {
    row.summary.output.as_ref().map(|state| state.to_value()["balance"].as_i64().unwrap())
}

fn log(row: &InstanceRow) -> Value {
    row.summary.output.as_ref().unwrap().to_value()["log"].clone()
}

fn journal(store: &dyn Store, row: &InstanceRow) -> Vec<EntityRecord> {
    let chunks = store.journal(row.key, 0).unwrap();
    chunks
        .iter()
        .enumerate()
        .flat_map(|(n, chunk)| decode_entity_chunk(n, chunk).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entity_begins_with_its_first_signal_and_does_what_it_is_told() {
    let store = Arc::new(MemoryStore::new());
    let engine = engine(store.clone()).await;
    assert!(engine.entity(&account("a")).await.unwrap().is_none());
    signal(&engine, "a", "add", json!(5)).await;
    signal(&engine, "a", "set", json!(40)).await;
    signal(&engine, "a", "add", json!(2)).await;
    let row = once(&engine, "a", |row| !row.summary.busy).await;
    assert_eq!((row.id.as_str(), row.name.as_str()), ("@Account@a", "Account"));
    assert_eq!(row.summary.status, RuntimeStatus::Completed);
    assert_eq!(row.summary.custom_status, None);
    assert_eq!(balance(&row), Some(42));
    assert_eq!(log(&row), json!(["add 5", "set 40", "add 2"]));
    assert_eq!(engine.stats().attempts, 3, "{:?}", engine.stats());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_that_fails_leaves_the_state_and_the_next_one_runs() {
    let store = Arc::new(MemoryStore::new());
    let engine = engine(store.clone()).await;
    signal(&engine, "f", "add", json!(5)).await;
    signal(&engine, "f", "fail", json!(null)).await;
    signal(&engine, "f", "add", json!(1)).await;
    let row = once(&engine, "f", |row| balance(row) == Some(6) && !row.summary.busy).await;
    assert_eq!(log(&row), json!(["add 5", "add 1"]));
    let failed =
        journal(&*store, &row).into_iter().find_map(|EntityRecord(_, event)| match event {
            EntityEvent::OperationFailed { number, failure, retry_at, .. } => {
                Some((number, failure.code, retry_at))
            }
            _ => None,
        });
    assert_eq!(failed, Some((2, "asked".to_owned(), None)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_asked_is_refused_and_begins_nothing() {
    let engine = engine(Arc::new(MemoryStore::new())).await;
    let ask = async |entity: EntityId, operation: &str, input: Value| {
        engine.signal_entity(&entity, operation, Json::of(&input).unwrap(), None).await
    };
    let nobody = EntityId::new("Nobody", "x").unwrap();
    match ask(nobody, "add", json!(1)).await {
        Err(SignalError::UnknownEntity { name, known }) => {
            assert_eq!(name, "Nobody");
            assert!(known.contains(&"Account".to_owned()), "{known:?}");
        }
        other => panic!("{other:?}"),
    }
    for (operation, input) in [("steal", json!(1)), ("add", json!("much"))] {
        match ask(account("x"), operation, input).await {
            Err(SignalError::BadOperation { operation: named, .. }) => assert_eq!(named, operation),
            other => panic!("{other:?}"),
        }
    }
    assert!(engine.entity(&account("x")).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_that_was_put_off_comes_at_its_time_also_after_a_restart() {
    let store = Arc::new(MemoryStore::new());
    let before = engine(store.clone()).await;
    signal(&before, "d", "add", json!(1)).await;
    let row = once(&before, "d", |row| !row.summary.busy).await;
    let at = row.created + 1_500;
    let ten = Json::of(&10).unwrap();
    before.signal_entity(&account("d"), "add", ten, Some(at)).await.unwrap();
    signal(&before, "d", "add", json!(2)).await;
    let row = once(&before, "d", |row| balance(row) == Some(3) && !row.summary.busy).await;
    assert_eq!(row.summary.wake_at, Some(at));
    assert!(before.shutdown(PATIENCE).await);
    // It takes the store over: the engine before writes no more.
    let engine = engine(store).await;
    let row = once(&engine, "d", |row| balance(row) == Some(13) && !row.summary.busy).await;
    assert!(row.summary.updated >= at);
    assert_eq!(log(&row), json!(["add 1", "add 2", "add 10"]));
    assert_eq!(row.summary.wake_at, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_done_by_the_next_host() {
    let store = Arc::new(MemoryStore::new());
    {
        let engine = engine(store.clone()).await;
        for _ in 0..51 {
            signal(&engine, "r", "add", json!(1)).await;
        }
        // What it has not done by now it leaves.
        engine.shutdown(Duration::ZERO).await;
    }
    // It takes the store over: the engine before writes no more.
    let engine = engine(store).await;
    let row = once(&engine, "r", |row| balance(row) == Some(51) && !row.summary.busy).await;
    assert_eq!(log(&row).as_array().unwrap().len(), 51);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_journal_is_replaced_and_nothing_of_the_entity_is_lost() {
    const MANY: i64 = 330;
    let store = Arc::new(MemoryStore::new());
    let engine_before = engine(store.clone()).await;
    for _ in 0..MANY {
        signal(&engine_before, "long", "add", json!(1)).await;
    }
    let done = |row: &InstanceRow| balance(row) == Some(MANY) && !row.summary.busy;
    let row = once(&engine_before, "long", done).await;
    assert!(store.counters().replaces > 0, "{:?}", store.counters());
    let journal = journal(&*store, &row);
    assert!(matches!(journal[0], EntityRecord(_, EntityEvent::Snapshot(_))));
    assert_eq!(row.summary.events, journal.len() as u64);
    assert!(row.summary.events < 2 * MANY as u64);
    assert!(engine_before.shutdown(PATIENCE).await);
    let engine = engine(store).await;
    signal(&engine, "long", "add", json!(1)).await;
    let row = once(&engine, "long", |row| balance(row) == Some(MANY + 1)).await;
    assert_eq!(log(&row).as_array().unwrap().len(), MANY as usize + 1);
}
