//! Undo on real wasm and a real store, without HTTP. The effects are files,
//! and each step and undo writes a line to a log.

#![allow(missing_docs, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sagahost_core::{Json, Repair, RuntimeStatus, SagaState};
use sagahost_engine::{CommandError, Ended, Engine, EngineConfig, StartRequest};
use sagahost_store::Store;
use sagahost_store::memory::MemoryStore;
use sagahost_test_support::guests;
use sagahost_wasm::{FunctionRule, Rules, Runtime, WasmConfig};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

struct Bed {
    engine: Engine,
    store: Arc<MemoryStore>,
    effects: PathBuf,
    _dir: tempfile::TempDir,
}

async fn runtime(cache_dir: &Path, effects: &Path) -> Runtime {
    let config = WasmConfig {
        cache_dir: cache_dir.to_owned(),
        turn_cpu: Duration::from_millis(500),
        ..WasmConfig::default()
    };
    let runtime = Runtime::new(config).unwrap();
    let rule: FunctionRule = serde_json::from_value(json!({
        "names": ["StepDo", "StepUndo"],
        "dirs": [{"host": effects, "guest": "/effects", "access": "write"}],
    }))
    .unwrap();
    runtime.set_rules(Rules::new(vec![rule], effects).unwrap());
    let bytes = std::fs::read(guests().join("test_guests.wasm")).unwrap();
    let candidate = runtime.check("test_guests", bytes.into()).await.unwrap();
    runtime.activate(candidate).unwrap();
    runtime
}

impl Bed {
    async fn new() -> Self {
        Self::with_cache(&guests().join("../../compiled")).await
    }

    async fn with_cache(cache_dir: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let effects = dir.path().join("effects");
        std::fs::create_dir(&effects).unwrap();
        let runtime = runtime(cache_dir, &effects).await;
        let store = Arc::new(MemoryStore::new());
        let config = EngineConfig { functions_dir: guests().to_owned(), ..EngineConfig::default() };
        let engine = Engine::start(store.clone(), runtime, config).await.unwrap();
        Bed { engine, store, effects, _dir: dir }
    }

    async fn start(&self, name: &str, id: &str, input: Value) {
        let request = StartRequest {
            name: name.into(),
            id: Some(id.into()),
            input: Json::of(&input).unwrap(),
            version: None,
            trace_parent: None,
            deadline: None,
            tags: Default::default(),
            start_at: None,
        };
        self.engine.start_instance(request).await.unwrap();
    }

    async fn end(&self, id: &str) -> Ended {
        self.engine.wait(id, PATIENCE).await.unwrap().expect("it ends")
    }

    fn saga(&self, id: &str) -> SagaState {
        self.store.find(id).unwrap().unwrap().summary.saga
    }

    async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let begun = std::time::Instant::now();
        while !holds() {
            assert!(begun.elapsed() < PATIENCE, "waited for: {what}\n{}", self.log().join("\n"));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn log(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.effects.join("log.txt")).unwrap_or_default();
        log.lines().map(Into::into).collect()
    }

    /// The steps that were undone, in order.
    fn undone(&self) -> Vec<String> {
        let log = self.log();
        let undone = log.iter().filter_map(|line| line.strip_prefix("undone "));
        undone.map(Into::into).collect()
    }

    /// The effects in place.
    fn effects(&self) -> Vec<String> {
        let files = std::fs::read_dir(&self.effects).unwrap();
        let mut names: Vec<String> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != "log.txt" && !name.starts_with('.'));
        names.sort();
        names
    }
}

fn step(id: &str) -> Value {
    json!({"dir": "/effects", "id": id})
}

fn with(id: &str, key: &str, value: impl Into<Value>) -> Value {
    let mut step = step(id);
    step[key] = value.into();
    step
}

fn failure_code(ended: &Ended) -> String {
    let output = ended.output.as_ref().unwrap().to_value();
    output["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_ends_the_code_its_steps_are_undone_in_reverse_order() {
    let bed = Bed::new().await;
    for (end, code) in [
        ("fail", "ended"),
        ("trap", "host.trap"),
        ("loop", "host.cpu-limit"),
        ("memory", "host.memory-limit"),
    ] {
        let ids = [format!("{end}-a"), format!("{end}-b"), format!("{end}-c")];
        let steps: Vec<_> = ids.iter().map(|id| step(id)).collect();
        bed.start("StepsSaga", end, json!({"steps": steps, "end": end})).await;
        let ended = bed.end(end).await;
        assert_eq!((ended.status, failure_code(&ended).as_str()), (RuntimeStatus::Failed, code));
        assert_eq!(bed.saga(end), SagaState::Compensated);
        let undone = bed.undone();
        let reverse: Vec<_> = ids.iter().rev().cloned().collect();
        assert_eq!(undone[undone.len() - 3..], reverse);
        bed.engine.replay(end).await.unwrap();
    }
    assert!(bed.effects().is_empty(), "{:?}", bed.effects());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_well_stays() {
    let bed = Bed::new().await;
    bed.start("StepsSaga", "s", json!({"steps": [step("a"), step("b")], "parallel": true})).await;
    assert_eq!(bed.end("s").await.status, RuntimeStatus::Completed);
    assert_eq!(
        (bed.effects(), bed.saga("s")),
        (vec!["a".into(), "b".into()], SagaState::Committed)
    );
    assert!(bed.engine.undo("s").await.unwrap().plan.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancel_ends_what_runs_and_undoes_it() {
    let bed = Bed::new().await;
    let steps = json!([step("a"), with("b", "fault", "hang-after"), step("c")]);
    bed.start("StepsSaga", "s", json!({"steps": steps})).await;
    bed.until("b's effect", || bed.effects() == ["a", "b"]).await;
    let view = bed.engine.undo("s").await.unwrap();
    let plan: Vec<_> = view.plan.iter().map(|undo| (undo.id.to_string(), undo.runs)).collect();
    assert_eq!(plan, [("1".to_owned(), true), ("0".to_owned(), false)]);
    bed.engine.cancel("s", "changed my mind").await.unwrap();
    let ended = bed.end("s").await;
    assert_eq!(ended.status, RuntimeStatus::Canceled);
    assert_eq!(ended.output, Some(Json::of("changed my mind").unwrap()));
    assert_eq!((bed.undone(), bed.effects()), (vec!["b".to_owned(), "a".into()], vec![]));
    let log = bed.log();
    assert!(log.iter().any(|line| line.starts_with("undo b outcome=unknown")), "{log:?}");
    assert!(log.iter().any(|line| line.starts_with("undo a outcome=completed")), "{log:?}");
    let again = bed.engine.cancel("s", "again").await;
    assert!(matches!(again, Err(CommandError::Terminal { .. })), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_is_undone_as_one() {
    let bed = Bed::new().await;
    let child = |a: &str, b: &str| json!({"steps": [step(a), step(b)]});
    let input = json!({
        "before": step("p1"), "children": [child("c1", "c2"), child("c3", "c4")],
        "after": step("p2"), "end": "fail",
    });
    bed.start("ParentSaga", "p", input).await;
    assert_eq!(bed.end("p").await.status, RuntimeStatus::Failed);
    assert_eq!(bed.undone(), ["p2", "c4", "c3", "c2", "c1", "p1"]);
    assert!(bed.effects().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancel_reaches_children() {
    let bed = Bed::new().await;
    let children = json!([
        {"steps": [step("c1")], "end": "wait"},
        {"steps": [step("c2"), with("c3", "fault", "hang-after")]},
    ]);
    let input = json!({"before": step("p1"), "children": children, "parallel": true});
    bed.start("ParentSaga", "p", input).await;
    bed.until("all effects", || bed.effects() == ["c1", "c2", "c3", "p1"]).await;
    let open = bed.engine.undo("p").await.unwrap().open_children;
    assert_eq!(open.len(), 2);
    bed.engine.cancel("p", "no more").await.unwrap();
    assert_eq!(bed.end("p").await.status, RuntimeStatus::Canceled);
    assert!(bed.effects().is_empty(), "{:?}", bed.effects());
    assert_eq!(bed.undone(), ["c3", "c2", "c1", "p1"]);
    for child in open {
        assert_eq!(bed.end(&child).await.status, RuntimeStatus::Canceled);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_is_undone_and_the_rest_goes_on() {
    let bed = Bed::new().await;
    let input = json!({"a": step("a"), "b": step("b"), "c": step("c"), "d": step("d")});
    bed.start("ScopedSaga", "s", input).await;
    assert_eq!(bed.end("s").await.status, RuntimeStatus::Completed);
    assert_eq!(
        (bed.undone(), bed.effects()),
        (vec!["c".to_owned(), "b".into()], vec!["a".to_owned(), "d".into()])
    );
    assert_eq!(bed.saga("s"), SagaState::Committed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stuck_is_told_and_mended() {
    let bed = Bed::new().await;
    let mut notices = bed.engine.watch_stuck();
    let repairs = [
        ("retry", Repair::RetryWith(Json::of(&step("retry")).unwrap())),
        ("done", Repair::Done(Json::null())),
    ];
    for (id, repair) in repairs {
        let steps = json!([step("before"), with(id, "undoFault", "fail")]);
        bed.start("StepsSaga", id, json!({"steps": steps, "end": "fail"})).await;
        let notice = notices.recv().await.unwrap();
        assert_eq!((notice.id.as_str(), notice.name.as_str()), (id, "StepsSaga"));
        assert_eq!(notice.stuck.to_value()[0]["step"], "1");
        assert_eq!(bed.saga(id), SagaState::Stuck);
        let step = "1".parse().unwrap();
        let refused = bed.engine.terminate(id, "enough", false).await;
        assert!(matches!(refused, Err(CommandError::Undoing { .. })), "{refused:?}");
        let other = bed.engine.repair(id, "0".parse().unwrap(), Repair::Retry, "n", "me").await;
        assert!(matches!(other, Err(CommandError::NotStuck { .. })), "{other:?}");
        bed.engine.repair(id, step, Repair::Retry, "try again", "me").await.unwrap();
        assert_eq!(notices.recv().await.unwrap().id, id);
        bed.engine.repair(id, step, repair, "by hand", "me").await.unwrap();
        assert_eq!(bed.end(id).await.status, RuntimeStatus::Failed);
        assert_eq!(bed.saga(id), SagaState::Compensated);
        let (_, journal) = bed.engine.history(id).await.unwrap().unwrap();
        let notes = Json::of(&journal).unwrap();
        assert!(notes.as_str().contains(r#""note":"by hand","by":"me""#), "{}", notes.as_str());
    }
    // What was marked as done by hand is not undone by the host.
    assert_eq!(bed.effects(), ["done"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_host_goes_on_with_an_undo() {
    let bed = Bed::new().await;
    let input = json!({"steps": [step("a"), step("b")], "end": "wait"});
    bed.start("StepsSaga", "s", input).await;
    bed.until("it waits", || {
        let row = bed.store.find("s").unwrap().unwrap();
        row.summary.custom_status.is_some()
    })
    .await;
    assert!(bed.engine.shutdown(PATIENCE).await);

    let Bed { store, effects, _dir, .. } = bed;
    assert_eq!(store.find("s").unwrap().unwrap().summary.saga, SagaState::Armed);
    let cache = tempfile::tempdir().unwrap();
    let runtime = runtime(cache.path(), &effects).await;
    let config = EngineConfig { functions_dir: guests().to_owned(), ..EngineConfig::default() };
    let engine = Engine::start(store.clone(), runtime, config).await.unwrap();
    let bed = Bed { engine, store, effects, _dir };
    bed.engine.cancel("s", "nobody wants it").await.unwrap();
    assert_eq!(bed.end("s").await.status, RuntimeStatus::Canceled);
    assert!(bed.effects().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_undoes_what_was_done() {
    let bed = Bed::new().await;
    let input = json!({"steps": [step("a")], "end": "wait"});
    let request = StartRequest {
        name: "StepsSaga".into(),
        id: Some("s".into()),
        input: Json::of(&input).unwrap(),
        version: None,
        trace_parent: None,
        deadline: Some(Duration::from_millis(300)),
        tags: Default::default(),
        start_at: None,
    };
    bed.engine.start_instance(request).await.unwrap();
    let ended = bed.end("s").await;
    assert_eq!(failure_code(&ended), "host.deadline");
    assert_eq!((bed.undone(), bed.effects()), (vec!["a".to_owned()], vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_its_pivot_a_saga_only_goes_forward() {
    let bed = Bed::new().await;
    let steps = json!([step("a"), step("b"), with("c", "fault", "fail")]);
    bed.start("StepsSaga", "s", json!({"steps": steps, "pivot": 1})).await;
    bed.until("it is stuck", || bed.saga("s") == SagaState::Stuck).await;
    let refused = bed.engine.cancel("s", "too late").await;
    assert!(matches!(refused, Err(CommandError::PastPivot { .. })), "{refused:?}");
    let edited = Repair::RetryWith(Json::of(&step("c")).unwrap());
    bed.engine.repair("s", "2".parse().unwrap(), edited, "typo", "me").await.unwrap();
    assert_eq!(bed.end("s").await.status, RuntimeStatus::Completed);
    assert_eq!(
        (bed.effects(), bed.saga("s")),
        (vec!["a".into(), "b".into(), "c".into()], SagaState::Committed)
    );
    assert!(bed.undone().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_while_the_pivot_runs_is_void_once_that_completes() {
    let bed = Bed::new().await;
    let steps = json!([step("a"), with("b", "holdMs", 1_000), step("c")]);
    bed.start("StepsSaga", "s", json!({"steps": steps, "pivot": 1})).await;
    bed.until("the pivot runs", || bed.effects() == ["a", "b"]).await;
    bed.engine.cancel("s", "too late").await.unwrap();
    // The code was not needed meanwhile; now it goes on where it was.
    assert_eq!(bed.end("s").await.status, RuntimeStatus::Completed);
    assert_eq!(
        (bed.effects(), bed.saga("s")),
        (vec!["a".into(), "b".into(), "c".into()], SagaState::Committed)
    );
    bed.engine.replay("s").await.unwrap();
}
