//! Entities on real wasm and a real store, without HTTP.

#![allow(missing_docs, clippy::unwrap_used)]

mod failing;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use failing::Failing;
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
    engine_of(store, &["test_guests"]).await
}

async fn engine_of(store: Arc<dyn Store>, components: &[&str]) -> Engine {
    // Shared by all tests, and kept: compiling takes seconds.
    let cache_dir = guests().join("../../compiled");
    // Two hosts in each test: small ones.
    let config =
        WasmConfig { cache_dir, max_orchestrators: 8, max_activities: 4, ..WasmConfig::default() };
    let runtime = Runtime::new(config).unwrap();
    for name in components {
        let bytes = std::fs::read(guests().join(format!("{name}.wasm"))).unwrap();
        let candidate = runtime.check(name, bytes.into()).await.unwrap();
        runtime.activate(candidate).unwrap();
    }
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_that_the_store_refused_is_not_run() {
    let store = Arc::new(Failing::default());
    let engine = engine(store.clone()).await;
    let add = async |amount: i64| {
        let input = Json::of(&amount).unwrap();
        engine.signal_entity(&account("s"), "add", input, None).await
    };
    for first in [true, false] {
        store.failures.store(1, Ordering::SeqCst);
        let refused = add(1).await;
        assert!(matches!(refused, Err(SignalError::Store(_))), "{refused:?}");
        let known = engine.entity(&account("s")).await.unwrap().is_some();
        assert_eq!(known, !first);
        add(10).await.unwrap();
        once(&engine, "s", |row| !row.summary.busy).await;
    }
    let row = once(&engine, "s", |row| !row.summary.busy).await;
    assert_eq!(log(&row), json!(["add 10", "add 10"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_could_not_be_stored_is_stored_later_and_not_computed_again() {
    let store = Arc::new(Failing::default());
    let engine = engine(store.clone()).await;
    signal(&engine, "l", "add", json!(1)).await;
    once(&engine, "l", |row| !row.summary.busy).await;
    // The signal is stored, its result is not at first.
    store.failures.store(3, Ordering::SeqCst);
    store.before.store(1, Ordering::SeqCst);
    signal(&engine, "l", "add", json!(10)).await;
    let row = once(&engine, "l", |row| balance(row) == Some(11) && !row.summary.busy).await;
    assert_eq!(store.failures.load(Ordering::SeqCst), 0);
    assert_eq!(log(&row), json!(["add 1", "add 10"]));
    assert_eq!(engine.stats().attempts, 2, "{:?}", engine.stats());
    // That the time of the next has come is not stored at first, and nothing
    // runs before it is.
    let ten = Json::of(&10).unwrap();
    let at = Some(row.summary.updated + 400);
    engine.signal_entity(&account("l"), "add", ten, at).await.unwrap();
    store.failures.store(3, Ordering::SeqCst);
    let row = once(&engine, "l", |row| balance(row) == Some(21) && !row.summary.busy).await;
    assert_eq!(store.failures.load(Ordering::SeqCst), 0);
    assert_eq!(log(&row), json!(["add 1", "add 10", "add 10"]));
    assert_eq!(engine.stats().attempts, 3, "{:?}", engine.stats());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_of_an_entity_that_is_not_deployed_any_more_fails_and_is_over() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let before = engine(store.clone()).await;
    signal(&before, "u", "add", json!(1)).await;
    let row = once(&before, "u", |row| !row.summary.busy).await;
    let at = Some(row.created + 1_000);
    before.signal_entity(&account("u"), "add", Json::of(&1).unwrap(), at).await.unwrap();
    assert!(before.shutdown(PATIENCE).await);
    let engine = engine_of(store.clone(), &["guest_activities"]).await;
    let row = once(&engine, "u", |row| row.summary.wake_at.is_none() && !row.summary.busy).await;
    assert_eq!(balance(&row), Some(1));
    let last = journal(&*store, &row).pop();
    let Some(EntityRecord(_, EntityEvent::OperationFailed { failure, .. })) = last else {
        panic!("{last:?}")
    };
    assert_eq!(failure.code, "host.not-started");
}
