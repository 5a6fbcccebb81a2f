//! A runtime with the test guests deployed.

use std::path::Path;
use std::time::Duration;

use sagahost_core::{Failure, Json};
use sagahost_test_support::guests;
use sagahost_wasm::{ActivityCall, ActivityReport, FunctionRule, Rules, Runtime, WasmConfig};
use serde::Deserialize;

/// The file of a guest. All guests are brought up to date first, once.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    let path = guests().join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A configuration that takes little room. Machine code is shared by all
/// tests, so that each guest is compiled once.
pub(crate) fn config() -> WasmConfig {
    WasmConfig {
        cache_dir: Path::new(env!("CARGO_TARGET_TMPDIR")).join("components"),
        max_activities: 16,
        max_orchestrators: 64,
        turn_cpu: Duration::from_millis(500),
        ..WasmConfig::default()
    }
}

/// A runtime with the test guests.
pub(crate) async fn runtime() -> Runtime {
    runtime_with(config()).await
}

pub(crate) async fn runtime_with(config: WasmConfig) -> Runtime {
    let runtime = Runtime::new(config).expect("the engines start");
    deploy(&runtime, "test", guest("test_guests")).await;
    runtime
}

pub(crate) async fn deploy(runtime: &Runtime, name: &str, bytes: Vec<u8>) -> String {
    let candidate = runtime.check(name, bytes.into()).await;
    let candidate = candidate.unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
    let deployment = runtime.activate(candidate).expect("no clash");
    deployment.digest
}

/// Puts rules in force, as they stand in a manifest in `folder`.
pub(crate) fn set_rules(runtime: &Runtime, folder: &Path, text: &str) {
    #[derive(Deserialize)]
    struct Manifest {
        function: Vec<FunctionRule>,
    }
    let manifest: Manifest = toml::from_str(text).expect("rules");
    let env = |name: &str| (name == "HOST_TOKEN").then(|| "t0ken".to_owned());
    let rules = Rules::with_env(manifest.function, folder, env).expect("rules");
    runtime.set_rules(rules);
}

pub(crate) fn json(text: &str) -> Json {
    Json::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub(crate) fn call(function: &str, input: &str) -> ActivityCall {
    ActivityCall {
        function: function.to_owned(),
        input: json(input),
        instance_id: "instance".to_owned(),
        step: 7,
        attempt: 2,
        idempotency_key: "key".to_owned(),
        timeout_ms: 60_000,
        trace_parent: None,
        undone: None,
        digest: None,
    }
}

pub(crate) async fn run(runtime: &Runtime, function: &str, input: &str) -> ActivityReport {
    runtime.run_activity(call(function, input)).await
}

/// The same, on the component of this digest.
pub(crate) async fn run_on(
    runtime: &Runtime,
    digest: &str,
    function: &str,
    input: &str,
) -> ActivityReport {
    let call = ActivityCall { digest: Some(digest.to_owned()), ..call(function, input) };
    runtime.run_activity(call).await
}

/// The failure of an attempt that is to fail.
pub(crate) fn failure(report: &ActivityReport) -> &Failure {
    match &report.outcome {
        Err(failure) => failure,
        Ok(output) => panic!("it returned {}", output.as_str()),
    }
}

/// The output of an attempt that is to go well.
pub(crate) fn output(report: &ActivityReport) -> serde_json::Value {
    match &report.outcome {
        Ok(output) => output.to_value(),
        Err(failure) => panic!("it failed: {failure}\n{}", report.logs.stderr),
    }
}
