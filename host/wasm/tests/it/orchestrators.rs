//! Orchestrators: parked and resumed, ended, and never nondeterministic.

use sagahost_core::{FailureKind, LogLevel};
use sagahost_wasm::{FiberEnd, Runtime};

use crate::fake::{Fake, drive};
use crate::fixture::{self, json};

async fn deployed() -> (Runtime, String) {
    let runtime = fixture::runtime().await;
    let digest = runtime.deployments()[0].digest.clone();
    (runtime, digest)
}

#[tokio::test]
async fn a_fiber_parks_and_goes_on() {
    let (runtime, digest) = deployed().await;
    let fake = Fake::new();
    let input = r#"{"names": ["A", "B"]}"#;
    let mut fiber = runtime
        .start_orchestrator(&digest, "TestWaitEvents", json(input), fake.clone())
        .expect("it starts");
    assert_eq!(runtime.live_orchestrators(), 1);
    assert_eq!(fiber.resume().await, FiberEnd::Parked);
    assert_eq!(fake.lock().expect("no panic").asked, ["event A"]);
    // Nothing came: it parks again.
    assert_eq!(fiber.resume().await, FiberEnd::Parked);
    fake.lock().expect("no panic").complete(0, Ok(json("1")));
    assert_eq!(fiber.resume().await, FiberEnd::Parked);
    assert_eq!(fake.lock().expect("no panic").asked, ["event A", "event B"]);
    fake.lock().expect("no panic").complete(1, Ok(json("2")));
    assert_eq!(fiber.resume().await, FiberEnd::Returned(Ok(json("[1,2]"))));
    assert!(fiber.has_ended());
    assert_eq!(runtime.live_orchestrators(), 0);
    assert!(matches!(fiber.resume().await, FiberEnd::Stopped(_)));
}

#[tokio::test]
async fn a_dropped_fiber_gives_its_place_back() {
    let runtime = fixture::runtime_with(sagahost_wasm::WasmConfig {
        max_orchestrators: 1,
        ..fixture::config()
    })
    .await;
    let digest = runtime.deployments()[0].digest.clone();
    let start = || {
        let input = json(r#"{"names": ["A"]}"#);
        runtime.start_orchestrator(&digest, "TestWaitEvents", input, Fake::new())
    };
    for _ in 0..20 {
        let mut fiber = start().expect("there is room");
        assert_eq!(fiber.resume().await, FiberEnd::Parked);
        let error = start().expect_err("there is no room").to_string();
        assert!(error.contains("1 orchestrators are in memory"), "{error}");
    }
    assert_eq!(runtime.live_orchestrators(), 0);
}

#[tokio::test]
async fn ten_thousand_tasks_at_once() {
    let (runtime, digest) = deployed().await;
    let fake = Fake::new();
    let input = json(r#"{"activity": "TestEcho", "count": 10000}"#);
    let mut fiber = runtime
        .start_orchestrator(&digest, "TestParallel", input, fake.clone())
        .expect("it starts");
    assert_eq!(fiber.resume().await, FiberEnd::Parked);
    let calls = std::mem::take(&mut fake.lock().expect("no panic").calls);
    assert_eq!(calls.len(), 10_000);
    for (task, _, input) in calls {
        fake.lock().expect("no panic").complete(task, Ok(input));
    }
    match fiber.resume().await {
        FiberEnd::Returned(Ok(outputs)) => {
            assert_eq!(outputs.to_value().as_array().map(Vec::len), Some(10_000));
        }
        end => panic!("{end:?}"),
    }
}

#[tokio::test]
async fn no_run_differs_from_another() {
    let (runtime, digest) = deployed().await;
    let (first, fake) = drive(&runtime, &digest, "TestNondeterministic", "null").await;
    let asked = fake.lock().expect("no panic").asked.clone();
    // Real time passes, and so it would show.
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let (second, fake) = drive(&runtime, &digest, "TestNondeterministic", "null").await;
    assert_eq!(first, second);
    assert_eq!(asked, fake.lock().expect("no panic").asked);
    let FiberEnd::Returned(Ok(seen)) = first else {
        panic!("{first:?}");
    };
    let seen = seen.to_value();
    let first = &seen["rounds"][0];
    assert_eq!(first["systemTime"], "ok: 1700000000s");
    // It slept for a millisecond, and the clock says so.
    assert_eq!(first["instantElapsed"], "ok: 1ms");
    assert_eq!(first["env"], "ok: []");
    for denied in ["readDirRoot", "readFile", "writeFile", "resolve", "tcp", "udp"] {
        let saw = first[denied].as_str().expect("text");
        assert!(saw.starts_with("error: "), "{denied}: {saw}");
    }
    // Two looks at the random are not the same, and time goes on between.
    let second = &seen["rounds"][1];
    assert_ne!(first["random"], second["random"]);
    assert_eq!(second["systemTime"], "ok: 1700000001s");
}

#[tokio::test]
async fn hostile_orchestrators_end_as_what_they_are() {
    let (runtime, digest) = deployed().await;
    for (name, input, kind, words) in [
        ("TestSpin", "null", FailureKind::CpuLimit, "limit of 500ms"),
        ("TestOrchTrap", r#"{"steps": 2}"#, FailureKind::Trap, "TestOrchTrap traps"),
        ("TestOrchMemory", "null", FailureKind::MemoryLimit, "limit is 65536 KiB"),
        ("TestOrchRecursion", "null", FailureKind::Trap, "stack overflow"),
        ("TestOrchOutput", r#"{"bytes": 5000000}"#, FailureKind::OutputLimit, "5000002 bytes"),
    ] {
        let (end, _) = drive(&runtime, &digest, name, input).await;
        let FiberEnd::Trapped(failure) = end else {
            panic!("{name}: {end:?}");
        };
        assert_eq!(failure.kind, kind, "{name}: {failure}");
        assert!(failure.message.contains(words), "{name}: {failure}");
    }
    assert_eq!(runtime.live_orchestrators(), 0);
}

#[tokio::test]
async fn the_limit_is_for_a_turn_and_not_for_a_life() {
    let (runtime, digest) = deployed().await;
    // Two hundred turns are far more than one may compute, were they one.
    let input = r#"{"activity": "TestEcho", "count": 200}"#;
    let (end, _) = drive(&runtime, &digest, "TestSequence", input).await;
    assert_eq!(end, FiberEnd::Returned(Ok(json("199"))));
}

#[tokio::test]
async fn the_host_can_stop_it() {
    let (runtime, digest) = deployed().await;
    let fake = Fake::new();
    fake.lock().expect("no panic").mismatch = true;
    let input = json(r#"{"activity": "TestEcho", "count": 1}"#);
    let mut fiber =
        runtime.start_orchestrator(&digest, "TestSequence", input, fake).expect("it starts");
    let end = fiber.resume().await;
    assert_eq!(end, FiberEnd::Stopped("the journal has no call of TestEcho".to_owned()));
}

#[tokio::test]
async fn failures_of_activities_reach_the_orchestrator() {
    let (runtime, digest) = deployed().await;
    let input =
        r#"{"activity": "TestFail", "input": {"code": "no-stock", "message": "none left"}}"#;
    let (end, _) = drive(&runtime, &digest, "TestCallOne", input).await;
    let FiberEnd::Returned(Err(failure)) = end else {
        panic!("{end:?}");
    };
    assert_eq!((failure.code.as_str(), failure.kind), ("no-stock", FailureKind::Returned));
}

#[tokio::test]
async fn status_and_lines_reach_the_host() {
    let (runtime, digest) = deployed().await;
    let (end, fake) = drive(&runtime, &digest, "TestStatusAndLog", "null").await;
    assert_eq!(end, FiberEnd::Returned(Ok(json("null"))));
    let fake = fake.lock().expect("no panic");
    assert_eq!(fake.status.as_ref().map(|status| status.as_str()), Some(r#"{"step":2}"#));
    let logged = |level, line: &str| fake.logs.contains(&(level, line.to_owned()));
    assert!(logged(LogLevel::Error, "step 1 at Error"), "{:?}", fake.logs);
    assert!(logged(LogLevel::Info, "stdout of step 2"), "{:?}", fake.logs);
}
