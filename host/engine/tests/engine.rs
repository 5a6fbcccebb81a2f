//! The engine on real wasm and a real store, without HTTP: stores that fail
//! at the wrong moment, orchestrators that leave memory.

#![allow(missing_docs, clippy::unwrap_used)]

mod bed;
mod failing;

use std::sync::atomic::Ordering;
use std::time::Duration;

use bed::*;
use sagahost_core::{Event, RuntimeStatus};
use sagahost_engine::{CommandError, EngineConfig, StartError};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saga_runs_to_its_end() {
    let Bed { engine, .. } = bed(100).await;
    let (id, ended) =
        engine.start_and_wait(request("FanOut", None, "[1,2,3]"), PATIENCE).await.unwrap();
    let ended = ended.unwrap();
    assert_eq!((ended.status, ended.output), (RuntimeStatus::Completed, Some(json("14"))));
    assert_eq!(engine.stats().appends, 1, "{:?}", engine.stats());
    assert!(engine.replay(&id).await.unwrap().ended);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_is_not_stored_is_not_acknowledged_and_leaves_nothing() {
    let Bed { engine, store, .. } = bed(100).await;
    store.failures.store(1, Ordering::SeqCst);
    let failed = engine.start_instance(request("FanOut", Some("f"), "[1]")).await;
    assert!(matches!(failed, Err(StartError::Store(_))), "{failed:?}");
    assert!(engine.status("f").await.unwrap().is_none());
    let stats = engine.stats();
    assert_eq!(stats.attempts, stats.ahead, "no effect has left");
    engine.start_instance(request("FanOut", Some("f"), "[1]")).await.unwrap();
    assert!(engine.wait("f", PATIENCE).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_could_not_be_stored_is_stored_later_and_its_step_not_repeated() {
    let Bed { engine, store, .. } = bed(100).await;
    let input = r#"{"activity":"TestSleep","input":{"ms":100}}"#;
    engine.start_instance(request("TestCallOne", Some("r"), input)).await.unwrap();
    store.failures.store(3, Ordering::SeqCst);
    let ended = engine.wait("r", PATIENCE).await.unwrap().unwrap();
    assert_eq!(ended.status, RuntimeStatus::Completed);
    assert_eq!(store.failures.load(Ordering::SeqCst), 0);
    assert_eq!(engine.stats().attempts, 1, "{:?}", engine.stats());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_was_refused_by_the_store_was_not_raised() {
    let Bed { engine, store, .. } = bed(100).await;
    let input = r#"{"names":["Go","Go"]}"#;
    engine.start_instance(request("TestWaitEvents", Some("e"), input)).await.unwrap();
    engine.raise_event("e", "Go", json("1")).await.unwrap();
    store.failures.store(1, Ordering::SeqCst);
    let refused = engine.raise_event("e", "Go", json("2")).await;
    assert!(matches!(refused, Err(CommandError::Store(_))), "{refused:?}");
    engine.raise_event("e", "Go", json("3")).await.unwrap();
    let ended = engine.wait("e", PATIENCE).await.unwrap().unwrap();
    assert_eq!(ended.output, Some(json("[1,3]")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_that_wait_for_something_keep_nobody_from_being_let_in() {
    let Bed { engine, .. } = bed(1000).await;
    let waits = [
        ("TestWaitEvents", r#"{"names":["Never"]}"#),
        ("TestTimers", r#"{"ms":[3600000]}"#),
        ("TestCallOne", r#"{"activity":"TestHang","timeoutMs":3600000}"#),
    ];
    // More than are let in at a time.
    let many = 5 * std::thread::available_parallelism().unwrap().get();
    for (name, input) in waits {
        for _ in 0..many {
            let start = engine.start_instance(request(name, None, input));
            timeout(PATIENCE, start).await.expect("it is let in").unwrap();
        }
        // Whoever asks and goes away takes nobody's place either.
        let gone = engine.start_and_wait(request(name, None, input), PATIENCE);
        assert!(timeout(Duration::ZERO, gone).await.is_err());
        let next = engine.start_and_wait(request("FanOut", None, "[1,2,3]"), PATIENCE);
        let (_, ended) = timeout(PATIENCE, next).await.expect("it is let in").unwrap();
        assert_eq!(ended.unwrap().status, RuntimeStatus::Completed, "beside {name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_wait_than_have_room_and_all_come_to_their_end() {
    let Bed { engine, .. } = bed(3).await;
    let input = r#"{"names":["A","B"]}"#;
    for n in 0..20 {
        let id = format!("w{n}");
        engine.start_instance(request("TestWaitEvents", Some(&id), input)).await.unwrap();
    }
    for event in ["A", "B"] {
        for n in 0..20 {
            engine.raise_event(&format!("w{n}"), event, json(&n.to_string())).await.unwrap();
        }
    }
    for n in 0..20 {
        let ended = engine.wait(&format!("w{n}"), PATIENCE).await.unwrap().unwrap();
        assert_eq!(ended.output, Some(json(&format!("[{n},{n}]"))));
    }
    let stats = engine.stats();
    assert!(stats.evictions > 20 && stats.replays > 20 && stats.residents <= 3, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orchestrators_leave_memory_while_their_activities_run() {
    let Bed { engine, .. } = bed(2).await;
    let input = r#"{"activity":"TestSleep","count":3,"input":{"ms":20}}"#;
    let mut ids = Vec::new();
    for n in 0..12 {
        let id = format!("s{n}");
        engine.start_instance(request("TestSequence", Some(&id), input)).await.unwrap();
        ids.push(id);
    }
    for id in &ids {
        let ended = engine.wait(id, PATIENCE).await.unwrap().unwrap();
        assert_eq!(ended.status, RuntimeStatus::Completed, "{ended:?}");
        engine.replay(id).await.unwrap();
    }
    assert_eq!(engine.stats().attempts, 36, "{:?}", engine.stats());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_of_an_earlier_execution_means_nothing_to_a_later_one() {
    let Bed { engine, .. } = bed(100).await;
    let slow = r#"{"activity":"TestSleep","input":{"ms":300}}"#;
    engine.start_instance(request("TestCallOne", Some("x"), slow)).await.unwrap();
    engine.terminate("x", "again", false).await.unwrap();
    let slower = r#"{"activity":"TestSleep","input":{"ms":700}}"#;
    engine.start_instance(request("TestCallOne", Some("x"), slower)).await.unwrap();
    let ended = engine.wait("x", PATIENCE).await.unwrap().unwrap();
    assert_eq!(ended.output, Some(json("700")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shut_down_engine_takes_nothing_and_waits_for_what_runs() {
    let Bed { engine, .. } = bed(100).await;
    let input = r#"{"activity":"TestSleep","input":{"ms":200}}"#;
    engine.start_instance(request("TestCallOne", Some("s"), input)).await.unwrap();
    assert!(engine.shutdown(PATIENCE).await);
    let row = engine.status("s").await.unwrap().unwrap();
    assert_eq!(row.summary.status, RuntimeStatus::Completed);
    let refused = engine.start_instance(request("TestCallOne", None, input)).await;
    assert!(matches!(refused, Err(StartError::ShuttingDown)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_waits_over_and_over_leaves_no_trace_of_each_time() {
    // Enough waits for the list of those that wait to be cleaned up.
    let config = EngineConfig { max_orchestrators: 4, ..EngineConfig::default() };
    let Bed { engine, .. } = bed_with(4, config).await;
    let input = r#"{"activity":"TestEcho","count":1100}"#;
    let request = request("TestSequence", None, input);
    let (_, ended) = engine.start_and_wait(request, PATIENCE).await.unwrap();
    assert_eq!(ended.unwrap().output, Some(json("1099")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_earlier_engine_left_goes_on_though_it_cannot_be_read_at_first() {
    // More than are read at once.
    const TIMERS: u32 = 520;
    let Bed { engine, store, .. } = bed(100).await;
    for n in 0..TIMERS {
        let (id, input) = (format!("r{n}"), r#"{"seconds":2,"message":"now"}"#);
        engine.start_instance(request("Reminder", Some(&id), input)).await.unwrap();
    }
    let input = r#"{"activity":"TestSleep","input":{"ms":3600000}}"#;
    engine.start_instance(request("TestCallOne", Some("cut-off"), input)).await.unwrap();
    store.unreadable.store(3, Ordering::SeqCst);
    let Bed { engine: next, .. } = bed_on(store, 100, EngineConfig::default()).await;
    drop(engine);

    // It is here at once.
    let (_, ended) =
        next.start_and_wait(request("FanOut", None, "[1,2,3]"), PATIENCE).await.unwrap();
    assert_eq!(ended.unwrap().output, Some(json("14")));
    for n in 0..TIMERS {
        let ended = next.wait(&format!("r{n}"), PATIENCE).await.unwrap().unwrap();
        assert_eq!(ended.status, RuntimeStatus::Completed, "r{n}");
    }
    // Of what was cut off, the step was begun anew.
    let begun = std::time::Instant::now();
    loop {
        let row = next.status("cut-off").await.unwrap().unwrap();
        let records = next.history("cut-off").await.unwrap().unwrap().1;
        if records.iter().any(|record| matches!(record.1, Event::AttemptLost { .. })) {
            assert_eq!(row.summary.status, RuntimeStatus::Running);
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{records:?}");
        tokio::task::yield_now().await;
    }
}
