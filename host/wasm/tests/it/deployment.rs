//! What is deployed, and what is refused.

use sagahost_core::FailureKind;
use sagahost_wasm::{FiberEnd, FunctionKind, Runtime, WasmConfig, WasmError};

use crate::fake::Fake;
use crate::fixture::{self, config, deploy, failure, guest, json, output, run};
use crate::wat_guests::{component, describing, describing_with, importing, running, running_as};

async fn refusal(runtime: &Runtime, name: &str, bytes: Vec<u8>) -> String {
    let candidate = runtime.check(name, bytes.into()).await;
    candidate.expect_err("it is refused").to_string()
}

#[tokio::test]
async fn what_cannot_run_is_refused_and_said_why() {
    let runtime = Runtime::new(config()).expect("the engines start");
    let mut cut = guest("guest_orchestrator");
    cut.truncate(cut.len() / 2);
    let mut damaged = guest("guest_orchestrator");
    let middle = damaged.len() / 2;
    damaged[middle..middle + 2000].fill(0xff);
    let activity = r#"{"functions": [{"name": "A", "kind": "activity"}]}"#;
    for (bytes, words) in [
        (b"MZ\x90\0 a program".to_vec(), "this is not WebAssembly"),
        (Vec::new(), "this is not WebAssembly"),
        (b"\0asm\x0d".to_vec(), "cut off"),
        (b"\0asm\x09\0\0\0".to_vec(), "unknown binary version"),
        (component("(module)"), "core WebAssembly module"),
        (cut, "cut off"),
        (damaged, "not valid"),
        (component("(component)"), "does not export `sagahost:saga/describe`"),
        (importing("evil:thing/api"), "imports `evil:thing/api`"),
        (importing("wasi:keyvalue/store@0.2.0"), "imports `wasi:keyvalue/store@0.2.0`"),
        (importing("wasi:clocks/wall-clock@0.9.0"), "of WASI there are 0.2"),
        (importing("sagahost:saga/orchestration@0.2.0"), "update Sagahost"),
        (describing_with("0.0.9", activity, ""), "with the current SDK"),
        (describing_with("0.1.7", activity, ""), "does not export `sagahost:saga/activities`"),
        (describing("nonsense"), "is not JSON"),
        (describing(r#"{"functions": [{"kind": "activity"}]}"#), "functions[0].name"),
        (
            describing_with(
                "0.1.0",
                activity,
                r#"(import "wasi:cli/environment@0.2.0" (instance (export "nonsense" (func))))"#,
            ),
            "imports `wasi:cli/environment@0.2.0`",
        ),
        (
            describing_with(
                "0.1.0",
                activity,
                r#"(import "sagahost:saga/invocation@0.1.0" (instance (export "nonsense" (func))))"#,
            ),
            "does not fit the contract",
        ),
    ] {
        let refusal = refusal(&runtime, "c", bytes).await;
        assert!(refusal.contains(words), "{words}: {refusal}");
    }
    assert!(refusal(&runtime, "../c", describing(activity)).await.contains("\"../c\""));
    assert!(runtime.deployments().is_empty());
}

#[tokio::test]
async fn a_component_that_cannot_describe_itself_is_refused() {
    let runtime = Runtime::new(config()).expect("the engines start");
    for (body, words) in [
        ("unreachable", "unreachable"),
        ("(drop (memory.grow (i32.const 5000))) unreachable", "limit is 65536 KiB"),
        ("(call 0)", "stack overflow"),
    ] {
        let bytes = component(&format!(
            r#"(component
                (core module $m
                    (memory (export "memory") 1)
                    (func (export "describe") (result i32) {body}))
                (core instance $i (instantiate $m))
                (func $describe (result string)
                    (canon lift (core func $i "describe") (memory (core memory $i "memory"))))
                (instance $e (export "describe" (func $describe)))
                (export "sagahost:saga/describe@0.1.0" (instance $e)))"#
        ));
        let refusal = refusal(&runtime, "c", bytes).await;
        assert!(refusal.contains("cannot describe itself"), "{refusal}");
        assert!(refusal.contains(words), "{words}: {refusal}");
    }
}

#[tokio::test]
async fn what_is_deployed_is_listed() {
    let runtime = fixture::runtime().await;
    deploy(&runtime, "activities", guest("guest_activities")).await;
    let deployments = runtime.deployments();
    let names: Vec<_> = deployments.iter().map(|it| it.component.as_str()).collect();
    assert_eq!(names, ["activities", "test"]);
    assert!(deployments[1].imports.iter().any(|import| import.starts_with("wasi:")));
    let function = runtime.function("PaymentActivity").expect("it is there");
    assert_eq!(
        (function.kind, function.component.as_str()),
        (FunctionKind::Activity, "activities")
    );
    assert!(function.input_schema.is_some());
    let error = function
        .check_input(&json(r#"{"id": 5, "items": [], "customer": "c", "card": "1"}"#))
        .expect_err("an id is text");
    assert!(error == r#"/id: 5 is not of type "string""#, "{error}");
    assert!(runtime.functions().is_sorted_by(|a, b| a.name < b.name));
}

#[tokio::test]
async fn names_clash_with_those_of_other_components() {
    let runtime = fixture::runtime().await;
    let refused = refusal(&runtime, "other", guest("test_guests")).await;
    assert!(refused.contains("`test` already has a function named `"), "{refused}");
    // The check is made again when it takes effect.
    let activity = |name: &str| {
        describing_activities(&format!(
            r#"{{"functions": [{{"name": "{name}", "kind": "activity"}}]}}"#
        ))
    };
    let a = runtime.check("a", activity("Same").into()).await.expect("it is fine");
    let b = runtime.check("b", activity("Same").into()).await.expect("it is fine");
    runtime.activate(a).expect("it is the first");
    let refused = runtime.activate(b).expect_err("it is the second").to_string();
    assert!(refused.contains("`a` already has a function named `Same`"), "{refused}");
    assert!(runtime.remove("a"));
    assert!(!runtime.remove("a"));
    assert!(runtime.function("Same").is_none());
}

/// A component that has the export for activities, and describes others than
/// it has.
fn describing_activities(text: &str) -> Vec<u8> {
    running_as(text, "", "", "", "unreachable", "")
}

#[tokio::test]
async fn results_that_are_not_json_are_bad_output() {
    let runtime = Runtime::new(config()).expect("the engines start");
    deploy(&runtime, "bad", running("", "", "", "(i32.const 64)", "no json")).await;
    let report = run(&runtime, "A", "null").await;
    assert_eq!(failure(&report).kind, FailureKind::BadOutput);
    assert!(!failure(&report).retryable);
    let digest =
        deploy(&runtime, "bad", running("", "", "", "(i32.const 64)", r#"{"a": 1}"#)).await;
    assert_eq!(output(&run(&runtime, "A", "null").await), serde_json::json!({"a": 1}));
    let (end, _) = crate::fake::drive(&runtime, &digest, "O", "null").await;
    assert_eq!(end, FiberEnd::Returned(Ok(json(r#"{"a": 1}"#))));
}

#[tokio::test]
async fn each_side_has_its_own_functions() {
    let runtime = Runtime::new(config()).expect("the engines start");
    let lower = |interface: &str, function: &str| {
        (
            format!(
                r#"(import "sagahost:saga/{interface}@0.1.0" (instance $h (export "{function}" (func (result u64)))))
                   (core func $f (canon lower (func $h "{function}")))"#
            ),
            format!(r#"(with "h" (instance (export "{function}" (func $f))))"#),
            format!(r#"(import "h" "{function}" (func $f (result i64)))"#),
        )
    };
    let body = "(drop (call $f)) (i32.const 64)";
    let (imports, with, core) = lower("orchestration", "now-ms");
    deploy(&runtime, "c", running(&imports, &with, &core, body, "1")).await;
    let report = run(&runtime, "A", "null").await;
    let message = &failure(&report).message;
    assert!(message.contains("an activity called `orchestration.now-ms`"), "{message}");
    let (imports, with, core) = lower("invocation", "deadline-ms");
    let digest = deploy(&runtime, "c", running(&imports, &with, &core, body, "1")).await;
    assert_eq!(output(&run(&runtime, "A", "null").await), 1);
    let (end, _) = crate::fake::drive(&runtime, &digest, "O", "null").await;
    let FiberEnd::Trapped(failure) = end else {
        panic!("{end:?}");
    };
    assert!(
        failure.message.contains("an orchestrator called `invocation.deadline-ms`"),
        "{failure}"
    );
}

/// A configuration with a folder of its own.
pub(crate) fn config_in(folder: &tempfile::TempDir) -> WasmConfig {
    WasmConfig { cache_dir: folder.path().to_owned(), ..config() }
}

fn files(folder: &tempfile::TempDir, extension: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder.path()).expect("the folder");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|it| it == extension))
        .collect();
    paths.sort();
    paths
}

#[tokio::test]
async fn machine_code_is_kept_and_made_anew_where_it_is_damaged() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = running("", "", "", "(i32.const 64)", "1");
    let deploy_and_run = async || {
        let runtime = Runtime::new(config_in(&folder)).expect("the engines start");
        deploy(&runtime, "c", bytes.clone()).await;
        assert_eq!(output(&run(&runtime, "A", "null").await), 1);
    };
    deploy_and_run().await;
    let code = files(&folder, "cwasm");
    assert_eq!(code.len(), 2, "one for each engine");
    let written = |path: &std::path::PathBuf| {
        std::fs::metadata(path).expect("the file").modified().expect("a time")
    };
    let before: Vec<_> = code.iter().map(written).collect();
    let original = std::fs::read(&code[0]).expect("the file");
    deploy_and_run().await;
    assert_eq!(before, code.iter().map(written).collect::<Vec<_>>(), "it was compiled again");
    for damage in [Vec::new(), b"\x7fELF of another world".to_vec(), {
        let mut flipped = original.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        flipped
    }] {
        for path in &code {
            // Another file under the name: the old one may be mapped.
            std::fs::remove_file(path).expect("the file");
            std::fs::write(path, &damage).expect("the file");
        }
        deploy_and_run().await;
        assert_eq!(std::fs::read(&code[0]).expect("the file"), original);
    }
    assert!(files(&folder, "tmp").is_empty());
}

#[tokio::test]
async fn old_digests_stay_loadable() {
    let folder = tempfile::tempdir().expect("a folder");
    let version = |text: &str| running("", "", "", "(i32.const 64)", text);
    let runtime = Runtime::new(config_in(&folder)).expect("the engines start");
    let old = deploy(&runtime, "c", version("1")).await;
    let pinned = runtime.pin(&old).await.expect("it is loaded");
    let new = deploy(&runtime, "c", version("2")).await;
    assert_ne!(old, new);
    let run_on = async |runtime: &Runtime, digest: &str| {
        let mut fiber = runtime.start_orchestrator(digest, "O", json("null"), Fake::new())?;
        Ok::<_, WasmError>(fiber.resume().await)
    };
    // New calls go to the new one, old orchestrations to the old one.
    assert_eq!(output(&run(&runtime, "A", "null").await), 2);
    let ended = run_on(&runtime, &old).await.expect("it is pinned");
    assert_eq!(ended, FiberEnd::Returned(Ok(json("1"))));
    drop(pinned);
    let error = run_on(&runtime, &old).await.expect_err("nobody holds it");
    assert!(matches!(error, WasmError::NotLoaded { .. }), "{error}");

    // After a restart, with nothing deployed yet.
    drop(runtime);
    for path in files(&folder, "cwasm") {
        std::fs::remove_file(path).expect("the file");
    }
    let runtime = Runtime::new(config_in(&folder)).expect("the engines start");
    let pinned = runtime.pin(&old).await.expect("it is in the store");
    assert_eq!(pinned.digest(), old);
    let ended = run_on(&runtime, &old).await.expect("it is pinned");
    assert_eq!(ended, FiberEnd::Returned(Ok(json("1"))));
    assert_eq!(runtime.stored(&new).await.expect("it is in the store"), version("2"));

    for unknown in ["0".repeat(64), "../../etc/passwd".to_owned()] {
        let error = runtime.pin(&unknown).await.expect_err("it is unknown");
        assert!(matches!(error, WasmError::Unknown { .. }), "{error}");
    }
    std::fs::write(folder.path().join(format!("{new}.wasm")), "damaged").expect("the file");
    let error = runtime.pin(&new).await.expect_err("it is damaged");
    assert!(matches!(error, WasmError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn defaults_come_from_the_call_then_the_function_then_the_rules() {
    use sagahost_core::{CallOptions, CallPolicy, RetryPolicy};
    let runtime = Runtime::new(config()).expect("the engines start");
    let text = r#"{"functions": [{"name": "A", "kind": "activity", "timeoutMs": 2000}]}"#;
    deploy(&runtime, "c", describing_activities(text)).await;
    assert_eq!(runtime.call_policy("Other", CallOptions::default()), CallPolicy::default());
    let rule = "[[function]]\nnames = [\"*\"]\ntimeout = \"9s\"\nretry = { max-attempts = 4 }\n";
    fixture::set_rules(&runtime, ".".as_ref(), rule);
    let policy = runtime.call_policy("A", CallOptions::default());
    assert_eq!((policy.timeout_ms, policy.retry.max_attempts), (2000, 4));
    let options = CallOptions { retry: Some(RetryPolicy::default()), timeout_ms: Some(7) };
    let policy = runtime.call_policy("A", options);
    assert_eq!((policy.timeout_ms, policy.retry.max_attempts), (7, 1));
    assert_eq!(runtime.call_policy("Other", CallOptions::default()).timeout_ms, 9000);
}
