//! What orchestrators ask of the host for undos, and what an undo is told.

use sagahost_core::{
    CallOptions, CompensationCall, RetryPolicy, StepOptions, StepOutcome, UndoChoice, UndoWhen,
    UndoneStep,
};
use sagahost_wasm::{ActivityCall, FiberEnd, Runtime};

use crate::fake::Fake;
use crate::fixture::{self, call, config, deploy, failure, json, output, run, set_rules};
use crate::wat_guests::{Imports, escaped, running};

/// The types and functions of `orchestration` that sagas are made of.
const STEPS: &str = r#"
    (type $retry' (record (field "max-attempts" u32) (field "first-interval-ms" u64)
        (field "backoff" f64) (field "max-interval-ms" u64) (field "total-time-ms" (option u64))
        (field "jitter" f64) (field "do-not-retry" (list string))))
    (export "retry-policy" (type $retry (eq $retry')))
    (type $call' (record (field "retry" (option $retry)) (field "timeout-ms" (option u64))))
    (export "call-options" (type $call (eq $call')))
    (type $when' (enum "completed-or-unknown" "always" "completed"))
    (export "undo-when" (type $when (eq $when')))
    (type $compensation' (record (field "function" string) (field "input" (option string))
        (field "options" $call) (field "when" $when)))
    (export "compensation" (type $compensation (eq $compensation')))
    (type $undo' (variant (case "declared") (case "by-hand")
        (case "compensate-with" $compensation)))
    (export "undo-choice" (type $undo (eq $undo')))
    (type $step' (record (field "call" $call) (field "undo" $undo) (field "scope" u32)
        (field "pivot" bool)))
    (export "step-options" (type $step (eq $step')))
    (export "call-step" (func (param "name" string) (param "input" string)
        (param "options" $step) (result u32)))
    (export "call-orchestrator" (func (param "name" string) (param "input" string)
        (param "options" $step) (result u32)))
    (export "open-scope" (func (param "parent" u32) (result u32)))
    (export "undo-in-parallel" (func (param "scope" u32)))
    (export "compensate" (func (param "scope" u32) (result u32)))
"#;

const STEP_FUNCTIONS: [(&str, &str); 5] = [
    ("call-step", "(param i32) (result i32)"),
    ("call-orchestrator", "(param i32) (result i32)"),
    ("open-scope", "(param i32) (result i32)"),
    ("undo-in-parallel", "(param i32)"),
    ("compensate", "(param i32) (result i32)"),
];

/// Where the parameters of `call-step` lie in the guest, and what lies there
/// before them.
const PARAMS: usize = 2048;
const UNDO: usize = PARAMS + 104;

/// A guest that runs this, with the parameters of a step at [`PARAMS`]. The
/// compensation is given this input.
fn steps(body: &str, compensation_input: &str) -> Vec<u8> {
    let mut params = vec![0; 240];
    let mut put = |at: usize, bytes: &[u8]| params[at..at + bytes.len()].copy_from_slice(bytes);
    let mut texts = String::new();
    let mut free: u32 = 3000;
    let mut text = |text: &str| {
        texts += &format!(r#"(data (i32.const {free}) "{}")"#, escaped(text.as_bytes()));
        let (at, len) = (free.to_le_bytes(), (text.len() as u32).to_le_bytes());
        free += text.len() as u32;
        [at, len].concat()
    };
    put(0, &text("Pay"));
    put(8, &text(r#"{"id":1}"#));
    // call: retry, of which 5 attempts, 100 ms, twice as long, 1 s at most.
    put(16, &[1]);
    put(24, &5u32.to_le_bytes());
    put(32, &100u64.to_le_bytes());
    put(40, &2f64.to_le_bytes());
    put(48, &1000u64.to_le_bytes());
    // call: timeout.
    put(88, &[1]);
    put(96, &7000u64.to_le_bytes());
    // undo: a compensation, with a timeout, always.
    put(UNDO - PARAMS, &[2]);
    put(112, &text("Refund"));
    put(120, &[1]);
    put(124, &text(compensation_input));
    put(208, &[1]);
    put(216, &9000u64.to_le_bytes());
    put(224, &[1]);
    // scope and pivot.
    put(232, &1u32.to_le_bytes());
    put(236, &[1]);
    let imports = Imports::of("orchestration", STEPS, &STEP_FUNCTIONS);
    let core =
        format!(r#"{} (data (i32.const {PARAMS}) "{}") {texts}"#, imports.core, escaped(&params));
    running(&imports.component, &imports.with, &core, &format!("{body} (i32.const 64)"), "null")
}

async fn run_orchestrator(bytes: Vec<u8>) -> (FiberEnd, Fake) {
    let runtime = Runtime::new(config()).expect("the engines start");
    let digest = deploy(&runtime, "c", bytes).await;
    let fake = Fake::new();
    let mut fiber =
        runtime.start_orchestrator(&digest, "O", json("null"), fake.clone()).expect("it starts");
    let end = fiber.resume().await;
    let fake = std::mem::take(&mut *fake.lock().expect("no panic"));
    (end, fake)
}

#[tokio::test]
async fn what_an_orchestrator_says_about_undo_reaches_the_host() {
    let body = format!(
        "(drop (call $open-scope (i32.const 0)))
         (call $undo-in-parallel (i32.const 1))
         (drop (call $call-step (i32.const {PARAMS})))
         (i32.store8 (i32.const {UNDO}) (i32.const 1))
         (drop (call $call-orchestrator (i32.const {PARAMS})))
         (i32.store8 (i32.const {UNDO}) (i32.const 0))
         (drop (call $call-step (i32.const {PARAMS})))
         (drop (call $compensate (i32.const 1)))"
    );
    let (end, fake) = run_orchestrator(steps(&body, r#"{"why":2}"#)).await;
    assert_eq!(end, FiberEnd::Returned(Ok(json("null"))));
    let step = r#"call Pay {"id":1} Some(7000)"#;
    let child = r#"start Pay {"id":1}"#;
    assert_eq!(fake.asked, ["scope in 0", "parallel 1", step, child, step, "compensate 1"]);
    let compensation = CompensationCall {
        function: "Refund".to_owned(),
        input: Some(json(r#"{"why":2}"#)),
        options: CallOptions { retry: None, timeout_ms: Some(9000) },
        when: UndoWhen::Always,
    };
    let with = StepOptions {
        call: CallOptions {
            retry: Some(RetryPolicy {
                max_attempts: 5,
                first_interval_ms: 100,
                max_interval_ms: 1000,
                ..RetryPolicy::default()
            }),
            timeout_ms: Some(7000),
        },
        undo: UndoChoice::With(compensation),
        scope: 1,
        pivot: true,
    };
    let by_hand = StepOptions { undo: UndoChoice::ByHand, ..with.clone() };
    let declared = StepOptions { undo: UndoChoice::Declared, ..with.clone() };
    assert_eq!(fake.options, [with, by_hand, declared]);
}

#[tokio::test]
async fn a_compensation_whose_input_is_not_json_is_told_so() {
    for function in ["call-step", "call-orchestrator"] {
        let body = format!("(drop (call ${function} (i32.const {PARAMS})))");
        let (end, fake) = run_orchestrator(steps(&body, "{why: 2}")).await;
        let FiberEnd::Trapped(failure) = end else {
            panic!("{end:?}");
        };
        let words = "the input for the compensation `Refund` is not JSON";
        assert!(failure.message.contains(words), "{failure}");
        assert!(fake.asked.is_empty());
    }
}

#[tokio::test]
async fn the_host_can_stop_an_orchestrator_at_a_scope() {
    let (end, _) = run_orchestrator(steps("(drop (call $open-scope (i32.const 9)))", "1")).await;
    assert_eq!(end, FiberEnd::Stopped("there is no scope 9".to_owned()));
}

#[tokio::test]
async fn activities_have_no_steps() {
    let runtime = Runtime::new(config()).expect("the engines start");
    for (function, ty) in STEP_FUNCTIONS {
        let call = format!("(call ${function} (i32.const {PARAMS}))");
        let body = if ty.contains("result") { format!("(drop {call})") } else { call };
        // The JSON is wrong as well, and that is not what is said.
        deploy(&runtime, "c", steps(&body, "{why")).await;
        let report = run(&runtime, "A", "null").await;
        let words = format!("an activity called `orchestration.{function}`");
        assert!(failure(&report).message.contains(&words), "{}", failure(&report));
    }
}

/// An activity that fails with what it is told of the step it undoes: the
/// function is the code, the key the message, the output or else the input the
/// details, and it is retryable if the outcome is unknown. It traps if the step
/// is not 7, and returns `null` if it undoes nothing.
fn telling_what_it_undoes() -> Vec<u8> {
    let imports = Imports::of(
        "invocation",
        r#"(type $outcome' (enum "completed" "failed" "unknown"))
           (export "step-outcome" (type $outcome (eq $outcome')))
           (type $undone' (record (field "step" u32) (field "function" string)
                (field "input" string) (field "output" (option string))
                (field "outcome" $outcome) (field "idempotency-key" string)))
           (export "undone-step" (type $undone (eq $undone')))
           (export "undone" (func (result (option $undone))))"#,
        &[("undone", "(param i32)")],
    );
    let copy = |to: u32, from: u32| {
        format!("(i64.store align=4 (i32.const {to}) (i64.load align=4 (i32.const {from})))")
    };
    let body = format!(
        "(call $undone (i32.const 2048))
         (if (i32.eqz (i32.load8_u (i32.const 2048))) (then (return (i32.const 64))))
         (if (i32.ne (i32.load (i32.const 2052)) (i32.const 7)) (then unreachable))
         (i32.store8 (i32.const 512) (i32.const 1)) {} {}
         (i32.store8 (i32.const 532) (i32.const 1))
         (if (i32.load8_u (i32.const 2072)) (then {}) (else {}))
         (i32.store8 (i32.const 544)
            (i32.eq (i32.load8_u (i32.const 2084)) (i32.const 2)))
         (i32.const 512)",
        copy(516, 2056),
        copy(524, 2088),
        copy(536, 2076),
        copy(536, 2064),
    );
    running(&imports.component, &imports.with, &imports.core, &body, "null")
}

#[tokio::test]
async fn an_undo_is_told_what_it_undoes() {
    let runtime = Runtime::new(config()).expect("the engines start");
    deploy(&runtime, "c", telling_what_it_undoes()).await;
    assert_eq!(output(&run(&runtime, "A", "null").await), serde_json::Value::Null);
    for (outcome, given, details, retryable) in [
        (StepOutcome::Completed, Some(r#"{"paid":3}"#), r#"{"paid":3}"#, false),
        (StepOutcome::Failed, None, r#"{"id":1}"#, false),
        (StepOutcome::Unknown, None, r#"{"id":1}"#, true),
    ] {
        let undone = UndoneStep {
            instance: None,
            task: 7,
            function: "Pay".to_owned(),
            input: json(r#"{"id":1}"#),
            output: given.map(json),
            outcome,
            key: "instance-7".to_owned(),
        };
        let call = ActivityCall { undone: Some(undone), ..call("A", "null") };
        let report = runtime.run_activity(call).await;
        let told = failure(&report);
        assert_eq!((told.code.as_str(), told.message.as_str()), ("Pay", "instance-7"));
        assert_eq!(told.details, Some(json(details)), "{outcome:?}");
        assert_eq!(told.retryable, retryable, "{outcome:?}");
    }
}

#[tokio::test]
async fn a_guest_of_the_sdk_undoes_what_it_did() {
    let runtime = fixture::runtime().await;
    let folder = tempfile::tempdir().expect("a folder");
    let rule = "[[function]]\nnames = [\"Step*\"]\n\
                dirs = [{ host = \".\", guest = \"/w\", access = \"write\" }]\n";
    set_rules(&runtime, folder.path(), rule);
    let undo = runtime.compensation("StepDo", UndoChoice::Declared).expect("it describes one");
    assert_eq!((undo.function.as_str(), undo.policy.retry.first_interval_ms), ("StepUndo", 50));
    let step = r#"{"dir": "/w", "id": "a"}"#;
    let done = runtime.run_activity(call("StepDo", step)).await;
    output(&done);
    assert!(folder.path().join("a").exists());
    // The host has other things to do by then, and the code is gone.
    assert!(runtime.remove("test"));
    let undone = UndoneStep {
        instance: Some("child".to_owned()),
        task: 7,
        function: "StepDo".to_owned(),
        input: json(step),
        output: done.outcome.ok(),
        outcome: StepOutcome::Completed,
        key: "key".to_owned(),
    };
    let undo = ActivityCall {
        idempotency_key: "key-undo".to_owned(),
        undone: Some(undone),
        digest: undo.digest,
        ..call(&undo.function, step)
    };
    assert_eq!(output(&runtime.run_activity(undo.clone()).await), true);
    assert!(!folder.path().join("a").exists());
    let log = std::fs::read_to_string(folder.path().join("log.txt")).expect("the log");
    let line = r#"undo a outcome=completed key=key-undo forward=key output={"attempt":2,"id":"a"}"#;
    assert!(log.lines().any(|it| it == line), "{log}");
    let context = ActivityCall { function: "TestContext".to_owned(), ..undo };
    assert_eq!(output(&runtime.run_activity(context).await)["isUndo"], true);
}

#[tokio::test]
async fn a_guest_of_the_sdk_undoes_a_part_and_goes_on() {
    let runtime = fixture::runtime().await;
    let digest = runtime.deployments()[0].digest.clone();
    let step = |id: &str| format!(r#""{id}": {{"dir": "/w", "id": "{id}"}}"#);
    let steps: Vec<_> = ["a", "b", "c", "d"].map(step).into();
    let input = json(&format!(r#"{{{}, "undoInParallel": true}}"#, steps.join(", ")));
    let fake = Fake::new();
    let fiber = runtime.start_orchestrator(&digest, "ScopedSaga", input, fake.clone());
    let mut fiber = fiber.expect("it starts");
    let mut turns = 0;
    let end = loop {
        match fiber.resume().await {
            FiberEnd::Parked => {}
            end => break end,
        }
        turns += 1;
        assert!(turns < 10, "it waits for nothing that comes");
        let mut fake = fake.lock().expect("no panic");
        let last = fake.tasks - 1;
        fake.complete(last, Ok(json("null")));
    };
    assert_eq!(end, FiberEnd::Returned(Ok(json("null"))));
    let fake = fake.lock().expect("no panic");
    let asked: Vec<_> =
        fake.asked.iter().map(|asked| asked.split(" {").next().unwrap_or_default()).collect();
    let (call, scope) = ("call StepDo", ["scope in 0", "parallel 1"]);
    assert_eq!(asked, [call, scope[0], scope[1], call, call, "compensate 1", call]);
    let scopes: Vec<_> = fake.options.iter().map(|options| options.scope).collect();
    assert_eq!(scopes, [0, 1, 1, 0]);
    assert!(fake.options.iter().all(|options| options.undo == UndoChoice::Declared));
}
