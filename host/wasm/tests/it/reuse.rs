//! Instances that serve several attempts.

use std::time::Duration;

use sagahost_core::FailureKind;
use sagahost_wasm::{ActivityCall, Runtime, WasmConfig};

use crate::fixture::{self, call, failure, guest, output, run, set_rules};

async fn reusing(rule: &str) -> Runtime {
    let runtime = fixture::runtime().await;
    set_reuse(&runtime, rule);
    runtime
}

fn set_reuse(runtime: &Runtime, rule: &str) {
    set_rules(runtime, ".".as_ref(), &format!("[[function]]\nnames = [\"TestC*\"]\n{rule}\n"));
}

/// How many attempts the instance has served that serves the next one.
async fn count(runtime: &Runtime) -> u64 {
    output(&run(runtime, "TestCount", "{}").await).as_u64().expect("a number")
}

#[tokio::test]
async fn an_instance_serves_one_attempt_where_nothing_else_is_said() {
    let runtime = fixture::runtime().await;
    for _ in 0..3 {
        assert_eq!(count(&runtime).await, 1);
    }
    set_reuse(&runtime, "reuse = 1");
    assert_eq!((count(&runtime).await, count(&runtime).await), (1, 1));
}

#[tokio::test]
async fn an_instance_serves_as_many_attempts_as_the_rule_says() {
    let runtime = reusing("reuse = 3").await;
    let mut counts = Vec::new();
    for _ in 0..7 {
        counts.push(count(&runtime).await);
    }
    assert_eq!(counts, [1, 2, 3, 1, 2, 3, 1]);
    assert_eq!(runtime.instantiations().activities.snapshot().count(), 3);
}

#[tokio::test]
async fn a_failure_that_was_returned_is_no_reason_to_end_it_and_a_trap_is() {
    let runtime = reusing("reuse = 100").await;
    assert_eq!(count(&runtime).await, 1);
    let report = run(&runtime, "TestCount", r#"{"fail": true}"#).await;
    assert_eq!(failure(&report).message, "2");
    assert_eq!(count(&runtime).await, 3);
    let report = run(&runtime, "TestCount", r#"{"trap": true}"#).await;
    assert_eq!(failure(&report).kind, FailureKind::Trap);
    assert!(failure(&report).message.contains("TestCount traps"), "{}", failure(&report));
    assert_eq!(count(&runtime).await, 1);
}

#[tokio::test]
async fn each_attempt_has_its_own_logs_and_its_own_identity() {
    let runtime = reusing("reuse = 100\nlogs = \"1KiB\"").await;
    for number in 1..=3 {
        let report = run(&runtime, "TestCount", r#"{"print": true}"#).await;
        assert_eq!(report.logs.stdout, format!("line {number}\n"));
    }
    for key in ["one", "two"] {
        let call = ActivityCall {
            idempotency_key: key.to_owned(),
            trace_parent: Some(format!("00-{key}-bb-01")),
            ..call("TestContext", "null")
        };
        let told = output(&runtime.run_activity(call).await);
        assert_eq!(told["idempotencyKey"], key);
        assert_eq!(told["traceParent"], format!("00-{key}-bb-01"));
    }
    assert_eq!(runtime.instantiations().activities.snapshot().count(), 2);
}

#[tokio::test]
async fn other_rules_and_other_components_begin_with_new_instances() {
    let runtime = reusing("reuse = 100").await;
    assert_eq!((count(&runtime).await, count(&runtime).await), (1, 2));
    set_reuse(&runtime, "reuse = 100\nenv = { A = \"b\" }");
    assert_eq!((count(&runtime).await, count(&runtime).await), (1, 2));
    let custom = [0, 8, 4, b'n', b'o', b't', b'e', b'n', b'e', b'w'];
    let other: Vec<u8> = guest("test_guests").into_iter().chain(custom[..].to_vec()).collect();
    fixture::deploy(&runtime, "test", other).await;
    assert_eq!(count(&runtime).await, 1);
}

#[tokio::test]
async fn one_that_was_left_while_it_ran_is_not_used_again() {
    let runtime = reusing("reuse = 100").await;
    assert_eq!(count(&runtime).await, 1);
    let mut hangs = call("TestCount", r#"{"hang": true}"#);
    hangs.timeout_ms = 50;
    let report = runtime.run_activity(hangs).await;
    assert_eq!(failure(&report).kind, FailureKind::Timeout);
    assert_eq!(count(&runtime).await, 1);
}

#[tokio::test]
async fn those_at_the_same_time_are_each_in_one_and_only_so_many_wait() {
    let runtime = reusing("reuse = 1000").await;
    let runs = (0..16).map(|_| {
        let runtime = runtime.clone();
        tokio::spawn(async move { count(&runtime).await })
    });
    let mut sum = 0;
    for run in runs.collect::<Vec<_>>() {
        sum += run.await.expect("it ends");
    }
    assert!(sum >= 16);
    // Of 16 that may run, a quarter may wait; the pool has room for all of both.
    for _ in 0..64 {
        count(&runtime).await;
    }
    let made = runtime.instantiations().activities.snapshot().count();
    let again: Vec<_> = (0..4).map(|_| count(&runtime)).collect();
    for count in again {
        assert!(count.await > 1);
    }
    assert_eq!(runtime.instantiations().activities.snapshot().count(), made);
}

#[tokio::test]
async fn one_that_nobody_needs_is_ended_after_a_while() {
    let config = WasmConfig { longest_idle: Duration::from_millis(20), ..fixture::config() };
    let runtime = fixture::runtime_with(config).await;
    set_reuse(&runtime, "reuse = 1000000");
    assert_eq!(count(&runtime).await, 1);
    for pause in 1..100 {
        tokio::time::sleep(Duration::from_millis(10 * pause)).await;
        if count(&runtime).await == 1 {
            return;
        }
    }
    panic!("it still waits for another attempt");
}
