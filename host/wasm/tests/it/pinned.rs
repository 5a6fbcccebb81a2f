//! The code that undos run on, and how it is chosen.

use std::path::Path;

use sagahost_core::{
    CallOptions, CallPolicy, Compensation, CompensationCall, FailureKind, RetryPolicy, UndoChoice,
    UndoWhen,
};
use sagahost_wasm::{Runtime, WasmConfig, WasmError};
use sha2::{Digest, Sha256};

use crate::deployment::config_in;
use crate::fake::Fake;
use crate::fixture::{self, config, deploy, failure, json, output, run, run_on};
use crate::wat_guests::{describing, importing, running, running_as};

/// A component whose activity `A` returns this.
fn version(text: &str) -> Vec<u8> {
    running("", "", "", "(i32.const 64)", text)
}

fn empty(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("the folder") {
        std::fs::remove_file(entry.expect("an entry").path()).expect("the file");
    }
}

#[tokio::test]
async fn a_pinned_attempt_runs_on_its_component_whatever_is_deployed() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = Runtime::new(config_in(&folder)).expect("the engines start");
    let old = deploy(&runtime, "c", version("1")).await;
    assert_eq!(output(&run_on(&runtime, &old, "A", "null").await), 1);
    let new = deploy(&runtime, "c", version("222")).await;
    assert_eq!(output(&run(&runtime, "A", "null").await), 222);
    assert_eq!(output(&run_on(&runtime, &new, "A", "null").await), 222);
    assert_eq!(output(&run_on(&runtime, &old, "A", "null").await), 1);
    assert!(runtime.remove("c"));
    assert_eq!(failure(&run(&runtime, "A", "null").await).kind, FailureKind::NotStarted);
    assert_eq!(output(&run_on(&runtime, &new, "A", "null").await), 222);
    // Rules go by the function's name.
    let rule = "[[function]]\nnames = [\"A\"]\noutput = \"2B\"\n";
    fixture::set_rules(&runtime, ".".as_ref(), rule);
    let report = run_on(&runtime, &new, "A", "null").await;
    assert_eq!(failure(&report).kind, FailureKind::OutputLimit);

    // After a restart, with nothing deployed, and many at once.
    drop(runtime);
    let runtime = Runtime::new(config_in(&folder)).expect("the engines start");
    let many: Vec<_> = (0..20)
        .map(|_| {
            let (runtime, old) = (runtime.clone(), old.clone());
            tokio::spawn(async move { output(&run_on(&runtime, &old, "A", "null").await) })
        })
        .collect();
    for one in many {
        assert_eq!(one.await.expect("as expected"), 1);
    }
    // Undos come one after the other, and the next one loads nothing.
    empty(folder.path());
    assert_eq!(output(&run_on(&runtime, &old, "A", "null").await), 1);
    let report = run_on(&runtime, &new, "A", "null").await;
    assert!(failure(&report).message.contains("is not in the component store"));
    // What undos keep in memory is not what `pin` does.
    let error = runtime.start_orchestrator(&old, "O", json("null"), Fake::new());
    let error = error.expect_err("it is not pinned");
    assert!(matches!(error, WasmError::NotLoaded { .. }), "{error}");
}

/// Puts a component into the store that no host would let in.
fn store(folder: &tempfile::TempDir, bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::write(folder.path().join(format!("{digest}.wasm")), bytes).expect("the file");
    digest
}

#[tokio::test]
async fn what_is_lost_is_told_from_what_may_pass() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = Runtime::new(config_in(&folder)).expect("the engines start");
    let damaged = store(&folder, &version("1"));
    std::fs::write(folder.path().join(format!("{damaged}.wasm")), "damaged").expect("the file");
    let other = store(&folder, &importing("sagahost:saga/orchestration@0.2.0"));
    let activity = r#"{"functions": [{"name": "A", "kind": "activity"}]}"#;
    let bare = store(&folder, &describing(activity));
    let invalid = store(&folder, b"\0asm\x0d\0\x01\0 and no more");
    // A file that is there, and cannot be read now.
    let unreadable = "a".repeat(64);
    std::fs::create_dir(folder.path().join(format!("{unreadable}.wasm"))).expect("a folder");
    for (digest, lost, words) in [
        ("0".repeat(64), true, "is not in the component store"),
        ("../../etc/passwd".to_owned(), true, "is not in the component store"),
        (damaged, true, "is damaged"),
        (other, true, "deploy a component built for this version"),
        (bare, true, "does not export `sagahost:saga/"),
        (invalid, true, "cannot be loaded"),
        (unreadable, false, "cannot be used"),
    ] {
        let error = runtime.pin(&digest).await.expect_err("it cannot be had");
        assert_eq!(error.is_lost(), lost, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        let report = run_on(&runtime, &digest, "A", "null").await;
        let failure = failure(&report);
        assert_eq!(failure.kind, FailureKind::NotStarted, "{failure}");
        assert_eq!(failure.retryable, !lost, "{failure}");
        assert!(failure.message.starts_with("`A` cannot start: "), "{failure}");
        assert!(failure.message.contains(words), "{failure}");
    }
}

#[tokio::test]
async fn a_component_is_not_lost_to_a_host_with_less_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let wide = "(core module $wide (memory 64)) (core instance (instantiate $wide))";
    let bytes = running(wide, "", "", "(i32.const 64)", "1");
    let runtime = Runtime::new(config_in(&folder)).expect("the engines start");
    let digest = deploy(&runtime, "c", bytes).await;
    drop(runtime);
    let narrow = WasmConfig { orchestrator_memory: 2 << 20, ..config_in(&folder) };
    let runtime = Runtime::new(narrow).expect("the engines start");
    let error = runtime.pin(&digest).await.expect_err("it wants 4 MiB");
    assert!(matches!(error, WasmError::Room { .. }) && !error.is_lost(), "{error}");
    assert!(error.to_string().contains("cannot be taken into memory"), "{error}");
    // It is the room of orchestrators that does not suffice.
    assert_eq!(output(&run_on(&runtime, &digest, "A", "null").await), 1);
    let runtime = Runtime::new(config_in(&folder)).expect("the engines start");
    assert_eq!(runtime.pin(&digest).await.expect("there is room").digest(), digest);
}

#[tokio::test]
async fn a_pinned_component_without_the_function_is_said_so() {
    let runtime = fixture::runtime().await;
    let digest = runtime.deployments()[0].digest.clone();
    for name in ["Missing", "TestCatch"] {
        let report = run_on(&runtime, &digest, name, "null").await;
        let failure = failure(&report);
        assert_eq!((failure.kind, failure.retryable), (FailureKind::NotStarted, false));
        assert!(failure.message.contains(&format!("`{name}` cannot start")), "{failure}");
        assert!(failure.message.contains("has no activity of this name"), "{failure}");
    }
    // Nobody but the guest knows what one has that is not deployed.
    runtime.remove("test");
    let report = run_on(&runtime, &digest, "Missing", "null").await;
    let failure = failure(&report);
    assert_eq!((failure.kind, failure.retryable), (FailureKind::Returned, false));
    assert_eq!(failure.code, "host.not-found");
    assert!(failure.message.contains("no activity \"Missing\""), "{failure}");
}

#[tokio::test]
async fn a_compensation_is_what_the_call_says_or_the_description() {
    let runtime = Runtime::new(config()).expect("the engines start");
    let description = r#"{"functions": [
        {"name": "A", "kind": "activity", "undo": "U", "retry": {"maxAttempts": 2}},
        {"name": "U", "kind": "activity", "undoes": "A", "timeoutMs": 2000},
        {"name": "V", "kind": "activity", "undo": "Gone", "retry": {"maxAttempts": 3}},
        {"name": "O", "kind": "orchestrator", "timeoutMs": 5000}]}"#;
    let digest =
        deploy(&runtime, "c", running_as(description, "", "", "", "unreachable", "")).await;
    let function = runtime.function("A").expect("it is there");
    let shown = serde_json::to_value(&*function).expect("JSON");
    assert_eq!(shown["undo"], "U");
    assert!(shown.get("undoes").is_none());
    let resolve = |forward: &str, choice| runtime.compensation(forward, choice);

    let declared = resolve("A", UndoChoice::Declared).expect("it names one");
    let expected = Compensation {
        function: "U".to_owned(),
        digest: Some(digest.clone()),
        input: None,
        policy: CallPolicy { retry: Compensation::default_retry(), timeout_ms: 2000 },
        when: UndoWhen::CompletedOrUnknown,
    };
    assert_eq!(declared, expected);
    for forward in ["U", "O", "Missing"] {
        assert_eq!(resolve(forward, UndoChoice::Declared), None, "{forward}");
    }
    for forward in ["A", "O"] {
        assert_eq!(resolve(forward, UndoChoice::ByHand), None, "{forward}");
    }
    // What it names is not there: the step is not to begin.
    let gone = resolve("V", UndoChoice::Declared).expect("it names one");
    assert_eq!((gone.function.as_str(), gone.digest), ("Gone", None));

    let with = |function: &str| {
        UndoChoice::With(CompensationCall {
            function: function.to_owned(),
            input: Some(json("5")),
            options: CallOptions { retry: None, timeout_ms: Some(7) },
            when: UndoWhen::Completed,
        })
    };
    // Also of a child, which describes none.
    for forward in ["A", "O", "Missing"] {
        let given = resolve(forward, with("V")).expect("the call says so");
        assert_eq!((given.function.as_str(), &given.digest), ("V", &Some(digest.clone())));
        assert_eq!((given.input, given.when), (Some(json("5")), UndoWhen::Completed));
        // By the undo's own description, and not by that of what it undoes.
        assert_eq!((given.policy.retry.max_attempts, given.policy.timeout_ms), (3, 7));
    }
    // An orchestrator undoes nothing.
    assert_eq!(resolve("A", with("O")).expect("the call says so").digest, None);

    // The manifest comes before the host.
    let rule = "[[function]]\nnames = [\"U\"]\nretry = { max-attempts = 4 }\n";
    fixture::set_rules(&runtime, ".".as_ref(), rule);
    let declared = resolve("A", UndoChoice::Declared).expect("it names one");
    assert_eq!(declared.policy.retry.max_attempts, 4);
    let retry = RetryPolicy { max_attempts: 9, ..RetryPolicy::default() };
    let options = CallOptions { retry: Some(retry.clone()), timeout_ms: None };
    assert_eq!(runtime.undo_policy("U", options).retry, retry);
    assert_eq!(runtime.undo_policy("Other", CallOptions::default()).retry.max_attempts, 0);
    assert_eq!(runtime.call_policy("Other", CallOptions::default()).retry.max_attempts, 1);
}
