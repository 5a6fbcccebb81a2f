//! Steps that nothing was granted to run before they are stored. Nobody can
//! tell, but by the time it takes.

#![allow(missing_docs, clippy::unwrap_used)]

mod bed;
mod failing;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bed::*;
use sagahost_core::{Event, Record, RuntimeStatus};
use sagahost_engine::{Engine, EngineConfig, StartError};
use sagahost_wasm::{FunctionRule, Rules};

fn config(run_ahead: bool) -> EngineConfig {
    EngineConfig { run_ahead, ..EngineConfig::default() }
}

async fn journal(engine: &Engine, id: &str) -> Vec<Event> {
    let (_, records) = engine.history(id).await.unwrap().unwrap();
    records.into_iter().map(|Record(_, event)| event).collect()
}

/// What a journal says, but for times and what is drawn at random.
async fn told(engine: &Engine, id: &str) -> Vec<String> {
    let tell = |event: Event| match event {
        Event::Started(started) => format!("{} {:?}", started.name, started.input),
        Event::TaskCompleted { task, attempt, output, .. } => {
            format!("completed {task} {attempt} {output:?}")
        }
        event => format!("{event:?}"),
    };
    journal(engine, id).await.into_iter().map(tell).collect()
}

const CHAIN: &str = r#"{"activity":"TestEcho","count":100}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_without_effects_is_one_append_and_its_journal_is_the_same() {
    let mut journals = Vec::new();
    for (run_ahead, appends) in [(true, 1), (false, 101)] {
        let Bed { engine, .. } = bed_with(100, config(run_ahead)).await;
        let request = request("TestSequence", Some("c"), CHAIN);
        let (_, ended) = engine.start_and_wait(request, PATIENCE).await.unwrap();
        assert_eq!(ended.unwrap().output, Some(json("99")));
        let stats = engine.stats();
        assert_eq!((stats.appends <= appends, stats.attempts), (true, 100), "{stats:?}");
        assert_eq!(stats.ahead, if run_ahead { 100 } else { 0 }, "{stats:?}");
        // A machine that is very slow stores what is held in between.
        assert!(run_ahead || stats.appends == appends, "{stats:?}");
        assert!(engine.replay("c").await.unwrap().ended);
        journals.push(told(&engine, "c").await);
    }
    assert_eq!(journals[0], journals[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_granted_something_waits_for_its_step_to_be_stored() {
    let Bed { engine, .. } = bed(100).await;
    let rule: FunctionRule =
        serde_json::from_str(r#"{"names":["TestEcho"],"env":{"A":"b"}}"#).unwrap();
    engine.runtime().set_rules(Rules::new(vec![rule], Path::new("/")).unwrap());
    let request = request("TestSequence", None, r#"{"activity":"TestEcho","count":5}"#);
    let (_, ended) = engine.start_and_wait(request, PATIENCE).await.unwrap();
    assert_eq!(ended.unwrap().status, RuntimeStatus::Completed);
    let stats = engine.stats();
    assert_eq!((stats.ahead, stats.attempts, stats.appends), (0, 5, 6), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ran_ahead_of_a_store_that_failed_is_forgotten_and_run_again() {
    let Bed { engine, store } = bed(100).await;
    // Longer than anything is held back.
    let input = r#"{"activity":"TestSleep","count":80,"input":{"ms":5}}"#;
    for round in 0..5 {
        let id = format!("f{round}");
        store.before.store(round, Ordering::SeqCst);
        store.failures.store(2, Ordering::SeqCst);
        // Where its start is not stored, it is started again.
        let started = loop {
            match engine.start_instance(request("TestSequence", Some(&id), input)).await {
                Err(StartError::Store(_)) => {}
                started => break started,
            }
        };
        started.unwrap();
        let ended = engine.wait(&id, PATIENCE).await.unwrap().unwrap();
        assert_eq!(ended.status, RuntimeStatus::Completed, "{ended:?}");
        let events = journal(&engine, &id).await;
        let tasks =
            |of: fn(&Event) -> Option<u32>| events.iter().filter_map(of).collect::<Vec<_>>();
        let scheduled = tasks(|event| match event {
            Event::Scheduled { task, .. } => Some(*task),
            _ => None,
        });
        let completed = tasks(|event| match event {
            Event::TaskCompleted { task, .. } => Some(*task),
            _ => None,
        });
        let all: Vec<u32> = (0..80).collect();
        assert_eq!((&scheduled, &completed), (&all, &all));
        assert!(engine.replay(&id).await.unwrap().ended);
    }
    assert!(engine.stats().store_failures > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_stopped_while_it_runs_ahead_goes_on_from_there() {
    let Bed { engine, .. } = bed(100).await;
    let input = r#"{"activity":"TestSleep","count":40,"input":{"ms":3}}"#;
    for n in 0..6 {
        let id = format!("s{n}");
        engine.start_instance(request("TestSequence", Some(&id), input)).await.unwrap();
        let ahead = engine.stats().ahead;
        let begun = Instant::now();
        while engine.stats().ahead < ahead + 3 + n {
            assert!(begun.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        engine.suspend(&id, "wait").await.unwrap();
        // As after a restart: what is replayed is what is stored.
        engine.replay(&id).await.unwrap();
        engine.resume(&id, "go on").await.unwrap();
        let ended = engine.wait(&id, PATIENCE).await.unwrap().unwrap();
        assert_eq!(ended.status, RuntimeStatus::Completed, "{ended:?}");
        assert!(engine.replay(&id).await.unwrap().ended);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_starts_with_one_id_one_is_told_that_there_is_another() {
    let Bed { engine, .. } = bed(100).await;
    let input = r#"{"activity":"TestSleep","count":3,"input":{"ms":20}}"#;
    let start = || engine.start_and_wait(request("TestSequence", Some("one"), input), PATIENCE);
    let (first, second) = tokio::join!(start(), start());
    let (won, lost) = if first.is_ok() { (first, second) } else { (second, first) };
    assert_eq!(won.unwrap().1.unwrap().status, RuntimeStatus::Completed);
    assert!(matches!(lost, Err(StartError::Exists { .. })), "{lost:?}");
    assert_eq!(engine.stats().started, 1, "{:?}", engine.stats());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_shut_down_keeps_what_it_acknowledged() {
    let Bed { engine, .. } = bed(100).await;
    let input = r#"{"activity":"TestSleep","count":50,"input":{"ms":20}}"#;
    engine.start_instance(request("TestSequence", Some("s"), input)).await.unwrap();
    assert!(engine.shutdown(PATIENCE).await);
    let row = engine.status("s").await.unwrap().unwrap();
    assert_eq!(row.summary.status, RuntimeStatus::Running);
    let events = journal(&engine, "s").await;
    let completed = |event: &&Event| matches!(event, Event::TaskCompleted { .. });
    let scheduled = |event: &&Event| matches!(event, Event::Scheduled { .. });
    // The next step is stored, and begins when a host starts again.
    assert_eq!(
        events.iter().filter(scheduled).count(),
        events.iter().filter(completed).count() + 1,
        "{events:?}"
    );
}
