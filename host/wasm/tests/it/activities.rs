//! Attempts that go well, and attempts that end in every other way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sagahost_core::FailureKind;
use sagahost_wasm::Runtime;

use crate::fixture::{self, call, failure, output, run, set_rules};

/// Limits that hostile guests reach soon.
async fn strict() -> Runtime {
    let runtime = fixture::runtime().await;
    set_rules(
        &runtime,
        ".".as_ref(),
        r#"
        [[function]]
        names = ["*"]
        memory = "32MiB"
        cpu = "300ms"
        output = "64KiB"
        logs = "1KiB"
        "#,
    );
    runtime
}

#[tokio::test]
async fn an_activity_returns_what_it_computed() {
    let runtime = fixture::runtime().await;
    let report = run(&runtime, "TestEcho", r#"{"a": [1, "zwei", null]}"#).await;
    assert_eq!(output(&report), serde_json::json!({"a": [1, "zwei", null]}));
    assert!(report.started_at > 0 && report.peak_memory > 0);
    assert!(report.logs.is_empty());
}

#[tokio::test]
async fn an_activity_is_told_about_its_attempt() {
    let runtime = fixture::runtime().await;
    let mut call = call("TestContext", "null");
    call.trace_parent = Some("00-aa-bb-01".to_owned());
    let report = runtime.run_activity(call).await;
    let output = output(&report);
    assert_eq!(output["instanceId"], "instance");
    assert_eq!(output["step"], 7);
    assert_eq!(output["attempt"], 2);
    assert_eq!(output["idempotencyKey"], "key");
    assert_eq!(output["deadlineMs"], report.started_at + 60_000);
    assert_eq!(output["traceParent"], "00-aa-bb-01");
    assert_eq!(output["isUndo"], false);
}

#[tokio::test]
async fn a_returned_failure_stays_what_it_is() {
    let runtime = fixture::runtime().await;
    let input =
        r#"{"code": "host.timeout", "message": "no", "details": {"x": 1}, "retryable": true}"#;
    let report = run(&runtime, "TestFail", input).await;
    let failure = failure(&report);
    assert_eq!(failure.kind, FailureKind::Returned);
    assert_eq!((failure.code.as_str(), failure.message.as_str()), ("host.timeout", "no"));
    assert_eq!(failure.details.as_ref().map(|details| details.as_str()), Some(r#"{"x":1}"#));
    assert!(failure.retryable);
}

/// The end of each hostile activity, and words its message must have.
const HOSTILE: &[(&str, &str, FailureKind, &str)] = &[
    ("TestTrap", "null", FailureKind::Trap, "TestTrap traps"),
    ("TestLoop", "null", FailureKind::CpuLimit, "limit of 300ms"),
    ("TestMemory", "null", FailureKind::MemoryLimit, "limit is 32768 KiB"),
    ("TestOutput", r#"{"bytes": 100000}"#, FailureKind::OutputLimit, "100002 bytes"),
    ("TestFailOutput", r#"{"bytes": 100000}"#, FailureKind::OutputLimit, "its limit is 65536"),
    ("TestLog", "null", FailureKind::CpuLimit, "computed"),
    ("TestRecursion", "null", FailureKind::Trap, "stack overflow"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_activities_end_as_what_they_are_while_others_work() {
    let runtime = strict().await;
    let stop = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn({
        let (runtime, stop) = (runtime.clone(), stop.clone());
        async move {
            let mut done = 0;
            while !stop.load(Ordering::Relaxed) {
                let report = run(&runtime, "TestEcho", "1").await;
                assert_eq!(output(&report), 1);
                done += 1;
                tokio::task::yield_now().await;
            }
            done
        }
    });
    let hostile: Vec<_> = HOSTILE
        .iter()
        .map(|(function, input, kind, words)| {
            let runtime = runtime.clone();
            tokio::spawn(async move {
                let report = run(&runtime, function, input).await;
                let failure = failure(&report);
                assert_eq!(failure.kind, *kind, "{function}: {failure}");
                assert!(failure.message.contains(words), "{function}: {failure}");
                assert!(report.logs.stdout.len() <= 1024 && report.logs.stderr.len() <= 1024);
                if *function == "TestLog" {
                    assert!(report.logs.truncated);
                    assert!(report.logs.stdout.starts_with("stdout line 1\n"));
                }
            })
        })
        .collect();
    let hang = tokio::spawn({
        let runtime = runtime.clone();
        async move {
            let mut call = call("TestHang", "null");
            call.timeout_ms = 400;
            let report = runtime.run_activity(call).await;
            let failure = failure(&report);
            assert_eq!(failure.kind, FailureKind::Timeout, "{failure}");
            assert!(failure.message.contains("400ms"), "{failure}");
        }
    });
    for hostile in hostile {
        hostile.await.expect("as expected");
    }
    hang.await.expect("as expected");
    stop.store(true, Ordering::Relaxed);
    assert!(load.await.expect("undisturbed") > 0);
}

#[tokio::test]
async fn one_thread_serves_others_while_a_guest_loops() {
    // The only thread there is; nothing here can be done at the side.
    let runtime = strict().await;
    let (looping, echo) = tokio::join!(run(&runtime, "TestLoop", "null"), async {
        let mut reports = Vec::new();
        for _ in 0..5 {
            reports.push(run(&runtime, "TestEcho", "5").await);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        reports
    });
    assert_eq!(failure(&looping).kind, FailureKind::CpuLimit);
    assert!(echo.iter().all(|report| output(report) == 5));
}

#[tokio::test]
async fn what_is_written_is_kept_with_the_attempt() {
    let runtime = fixture::runtime().await;
    let input = r#"{"stdout": "to stdout\n", "stderr": "to stderr\n", "log": "to the log"}"#;
    let report = run(&runtime, "TestPrint", input).await;
    output(&report);
    assert_eq!(report.logs.stdout, "to stdout\n");
    assert_eq!(report.logs.stderr, "to stderr\ninfo: to the log\n");
    assert!(!report.logs.truncated);
}

#[tokio::test]
async fn what_is_not_there_does_not_start() {
    let runtime = fixture::runtime().await;
    let report = run(&runtime, "Missing", "null").await;
    assert_eq!(failure(&report).kind, FailureKind::NotStarted);
    assert!(failure(&report).message.contains("`Missing`"));
    let report = run(&runtime, "TestCatch", "null").await;
    assert!(failure(&report).message.contains("is an orchestrator"));
}

#[tokio::test]
async fn concurrency_is_limited_for_each_function() {
    let runtime = fixture::runtime().await;
    set_rules(&runtime, ".".as_ref(), "[[function]]\nnames = [\"TestHang\"]\nconcurrency = 1\n");
    let hang = tokio::spawn({
        let runtime = runtime.clone();
        async move { run(&runtime, "TestHang", "null").await }
    });
    tokio::task::yield_now().await;
    // A second one waits for its turn; other functions do not.
    let second = run(&runtime, "TestHang", "null");
    let second = tokio::time::timeout(Duration::from_millis(50), second).await;
    assert!(second.is_err(), "it ran beside the first");
    assert_eq!(output(&run(&runtime, "TestEcho", "1").await), 1);
    // A dropped attempt gives its place back.
    hang.abort();
    let _ = hang.await;
    let mut third = call("TestHang", "null");
    third.timeout_ms = 10;
    let report = runtime.run_activity(third).await;
    assert_eq!(failure(&report).kind, FailureKind::Timeout);
}
