//! Operations of entities, in guests that speak the contract's objects by
//! hand.

use sagahost_core::{CallPolicy, EntityId, FailureKind, Json};
use sagahost_wasm::{
    EventOut, FunctionKind, OperationCall, OperationDone, OperationReport, Runtime, Signal,
    StartOut, StateChange,
};

use crate::fixture::{self, config, deploy, failure, json, run, set_rules};
use crate::wat_guests::{Imports, escaped, running_as};

const DESCRIPTION: &str = r#"{"functions": [
    {"name": "Counter", "kind": "entity", "state": {"type": "object"},
     "operations": {"add": {"input": {"type": "integer"}}}, "timeoutMs": 5000},
    {"name": "Bare", "kind": "entity"},
    {"name": "A", "kind": "activity"}]}"#;

fn operation(input: &str, state: Option<&str>) -> OperationCall {
    OperationCall {
        entity: EntityId::new("Counter", "a \"b\"").expect("an id"),
        operation: "add".to_owned(),
        input: json(input),
        state: state.map(json),
        number: 7,
        attempt: 2,
        idempotency_key: "key".to_owned(),
        timeout_ms: 60_000,
        trace_parent: None,
    }
}

async fn with(bytes: Vec<u8>) -> Runtime {
    let runtime = Runtime::new(config()).expect("the engines start");
    deploy(&runtime, "c", bytes).await;
    runtime
}

fn done(report: OperationReport) -> OperationDone {
    report.outcome.unwrap_or_else(|failure| panic!("it failed: {failure}"))
}

/// An entity that returns `before`, then the object it was given as it is,
/// and then `after`.
fn telling(before: &str, after: &str) -> Vec<u8> {
    let data =
        |at: u32, text: &str| format!("(data (i32.const {at}) \"{}\")", escaped(text.as_bytes()));
    let copy = |from: &str, len: &str| {
        format!(
            "(memory.copy (local.get $end) ({from}) ({len}))
             (local.set $end (i32.add (local.get $end) ({len})))"
        )
    };
    let fixed = |at: u32, text: &str| {
        copy(&format!("i32.const {at}"), &format!("i32.const {}", text.len()))
    };
    let body = format!(
        "(local $end i32) (local.set $end (i32.const 32768)) {} {} {}
         (i32.store (i32.const 68) (i32.const 32768))
         (i32.store (i32.const 72) (i32.sub (local.get $end) (i32.const 32768)))
         (i32.const 64)",
        fixed(4096, before),
        copy("local.get 2", "local.get 3"),
        fixed(6144, after),
    );
    let texts = data(4096, before) + &data(6144, after);
    running_as(DESCRIPTION, "", "", &texts, &body, "")
}

#[tokio::test]
async fn an_operation_is_given_its_state_and_gives_another() {
    let before = r#"{"state": {"left": 3}, "signals": [{"name": "Audit", "key": "all",
        "operation": "add", "input": "book", "atMs": 9}],
        "events": [{"instance": "order-7", "name": "Taken", "input": 2}],
        "starts": [{"name": "Refill", "input": "book", "id": null}], "result": "#;
    let runtime = with(telling(before, "}")).await;
    let report = runtime.run_operation(operation("1.50", Some(r#"{ "left" : 5 }"#))).await;
    assert!(report.started_at > 0 && report.peak_memory > 0 && report.logs.is_empty());
    let given = r#"{"key":"a \"b\"","operation":"add","input":1.50,"state":{ "left" : 5 }}"#;
    let expected = OperationDone {
        result: json(given),
        state: StateChange::Set(json(r#"{"left": 3}"#)),
        signals: vec![Signal {
            entity: EntityId::new("Audit", "all").expect("an id"),
            operation: "add".to_owned(),
            input: json(r#""book""#),
            at: Some(9),
        }],
        events: vec![EventOut {
            instance: "order-7".to_owned(),
            name: "Taken".to_owned(),
            input: json("2"),
        }],
        starts: vec![StartOut { name: "Refill".to_owned(), input: json(r#""book""#), id: None }],
    };
    assert_eq!(done(report), expected);
    // Without a state.
    let result = done(runtime.run_operation(operation("null", None)).await).result;
    assert_eq!(result.to_value()["state"], serde_json::Value::Null);
    assert!(result.as_str().ends_with(r#""state":null}"#), "{}", result.as_str());
}

#[tokio::test]
async fn a_state_is_kept_or_removed() {
    let runtime = with(telling(r#"{"given": "#, "}")).await;
    let kept = done(runtime.run_operation(operation("1", Some("1"))).await);
    assert_eq!((kept.state, kept.result), (StateChange::Keep, Json::null()));
    let runtime = with(telling(r#"{"state": null, "given": "#, "}")).await;
    let removed = done(runtime.run_operation(operation("1", Some("1"))).await);
    assert_eq!(removed.state, StateChange::Remove);
}

#[tokio::test]
async fn an_operation_knows_whose_it_is_and_which_one() {
    let imports = Imports::of(
        "invocation",
        r#"(export "instance-id" (func (result string)))
           (export "step" (func (result u32)))"#,
        &[("instance-id", "(param i32)"), ("step", "(result i32)")],
    );
    // A failure whose code is the instance id, and that is retryable if the
    // step is 7.
    let body = r#"
        (call $instance-id (i32.const 2048))
        (i32.store8 (i32.const 512) (i32.const 1))
        (i64.store align=4 (i32.const 516) (i64.load align=4 (i32.const 2048)))
        (i32.store8 (i32.const 544) (i32.eq (call $step) (i32.const 7)))
        (i32.const 512)"#;
    let guest = running_as(DESCRIPTION, &imports.component, &imports.with, &imports.core, body, "");
    let runtime = with(guest).await;
    let failure = runtime.run_operation(operation("1", None)).await.outcome.expect_err("it fails");
    assert_eq!((failure.kind, failure.retryable), (FailureKind::Returned, true));
    assert_eq!(failure.code, "@Counter@a \"b\"");
}

#[tokio::test]
async fn what_is_no_result_of_an_operation_is_bad_output() {
    for (text, words) in [
        ("5", "the operation `add` of entity `Counter` is wrong: it is not an object"),
        ("nonsense", "not JSON"),
        (r#"{"signals": [{"name": "A", "key": "k"}]}"#, "signals[0]: missing field `operation`"),
        (r#"{"starts": 5}"#, "expected a sequence"),
    ] {
        let runtime = with(running_as(DESCRIPTION, "", "", "", "(i32.const 64)", text)).await;
        let report = runtime.run_operation(operation("1", None)).await;
        let failure = report.outcome.expect_err(text);
        assert_eq!((failure.kind, failure.retryable), (FailureKind::BadOutput, false), "{text}");
        assert!(failure.message.contains(words), "{text}: {failure}");
    }
}

#[tokio::test]
async fn an_operation_has_the_limits_of_its_function() {
    let runtime = with(telling(r#"{"state": "#, "}")).await;
    set_rules(&runtime, ".".as_ref(), "[[function]]\nnames = [\"Counter\"]\noutput = \"40B\"\n");
    let report = runtime.run_operation(operation("1", None)).await;
    let failure = report.outcome.expect_err("it is too large");
    assert_eq!(failure.kind, FailureKind::OutputLimit, "{failure}");
    let runtime = with(running_as(DESCRIPTION, "", "", "", "(loop (br 0)) unreachable", "")).await;
    let report =
        runtime.run_operation(OperationCall { timeout_ms: 30, ..operation("1", None) }).await;
    assert_eq!(report.outcome.expect_err("it loops").kind, FailureKind::Timeout);
}

#[tokio::test]
async fn an_entity_is_no_activity_and_an_activity_no_entity() {
    let runtime = with(running_as(DESCRIPTION, "", "", "", "(i32.const 64)", "{}")).await;
    let function = runtime.function("Counter").expect("it is deployed");
    assert_eq!(function.kind, FunctionKind::Entity);
    assert!(function.check_operation("add", &json("true")).is_err());
    assert!(function.check_operation("add", &json("1")).is_ok());
    let report = run(&runtime, "Counter", "1").await;
    assert_eq!(failure(&report).kind, FailureKind::NotStarted);
    assert_eq!(failure(&report).message, "`Counter` is an entity, not an activity");
    let digest = function.digest.clone();
    let report = fixture::run_on(&runtime, &digest, "Counter", "1").await;
    assert_eq!(failure(&report).kind, FailureKind::NotStarted);
    for (name, words) in [
        ("A", "`A` is an activity, not an entity"),
        ("Missing", "no entity named `Missing` is deployed"),
    ] {
        let entity = EntityId::new(name, "k").expect("an id");
        let call = OperationCall { entity, ..operation("1", None) };
        let failure = runtime.run_operation(call).await.outcome.expect_err(name);
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::NotStarted, words));
    }
}

#[tokio::test]
async fn an_entity_says_how_it_is_retried_else_the_rules_do() {
    let runtime = with(running_as(DESCRIPTION, "", "", "", "(i32.const 64)", "{}")).await;
    assert_eq!(runtime.entity_policy("Bare"), CallPolicy::default());
    let rule = "[[function]]\nnames = [\"*\"]\ntimeout = \"9s\"\nretry = { max-attempts = 4 }\n";
    set_rules(&runtime, ".".as_ref(), rule);
    let policy = runtime.entity_policy("Counter");
    assert_eq!((policy.timeout_ms, policy.retry.max_attempts), (5_000, 4));
    assert_eq!(runtime.entity_policy("Bare").timeout_ms, 9_000);
}

#[tokio::test]
async fn an_entity_needs_the_export_of_activities() {
    let runtime = Runtime::new(config()).expect("the engines start");
    let text = r#"{"functions": [{"name": "E", "kind": "entity"}]}"#;
    let bytes = crate::wat_guests::describing(text);
    let refusal = runtime.check("c", bytes.into()).await.expect_err("it is refused").to_string();
    assert!(refusal.contains("describes the entity `E` but"), "{refusal}");
    assert!(refusal.contains("`sagahost:saga/activities`"), "{refusal}");
}
