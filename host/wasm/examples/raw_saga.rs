//! What wasm costs by itself. With the guests built (`cargo test` does it):
//!
//! ```text
//! cargo run --release -p sagahost-wasm --example raw_saga
//! ```

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sagahost_core::{Json, LogLevel, Millis, ScopeId, StepOptions, TaskId};
use sagahost_wasm::{
    ActivityCall, Completion, OrchestrationHost, RawSaga, Runtime, Stop, WasmConfig, raw_saga_rate,
};

type Failed = Box<dyn std::error::Error>;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Failed> {
    let folder = std::env::temp_dir().join("sagahost-raw-saga");
    let runtime = Runtime::new(WasmConfig { cache_dir: folder, ..WasmConfig::default() })?;
    let file = "target/guests/wasm32-wasip2/guest/test_guests.wasm";
    let began = Instant::now();
    let candidate = runtime.check("test", std::fs::read(file)?.into()).await?;
    let digest = runtime.activate(candidate)?.digest;
    println!("check and load: {:?}", began.elapsed());

    let began = Instant::now();
    const ATTEMPTS: u32 = 20_000;
    for attempt in 0..ATTEMPTS {
        let report = runtime.run_activity(call(attempt)?).await;
        report.outcome.map_err(|failure| failure.to_string())?;
    }
    println!("an attempt: {:?}", began.elapsed() / ATTEMPTS);

    let input = Json::parse(r#"{"activity": "TestEcho", "count": 2}"#)?;
    let saga = RawSaga {
        orchestrator: "TestParallel".to_owned(),
        input: Arc::new(move |_| input.clone()),
        in_flight: 4,
        duration: Duration::from_secs(5),
    };
    let rate = raw_saga_rate(&runtime, &saga).await?;
    println!("sagas of two activities: {:.0} a second ({rate:?})", rate.per_second());

    let before = resident()?;
    let began = Instant::now();
    let mut parked = Vec::new();
    for _ in 0..runtime.max_orchestrators().min(8_000) {
        let input = Json::parse(r#"{"names": ["Never"]}"#)?;
        let host = Arc::new(Mutex::new(Nothing));
        let mut fiber = runtime.start_orchestrator(&digest, "TestWaitEvents", input, host)?;
        fiber.resume().await;
        parked.push(fiber);
    }
    let count = parked.len();
    let took = began.elapsed() / count as u32;
    let maps = std::fs::read_to_string("/proc/self/maps")?.lines().count();
    println!(
        "{count} parked orchestrators: {took:?} each to start, {} KiB each resident, {maps} mappings",
        (resident()? - before) / count
    );
    Ok(())
}

fn call(attempt: u32) -> Result<ActivityCall, Failed> {
    Ok(ActivityCall {
        function: "TestEcho".to_owned(),
        input: Json::parse(r#"{"id": "1", "items": [1, 2, 3]}"#)?,
        instance_id: "raw".to_owned(),
        step: 0,
        attempt,
        idempotency_key: format!("raw-{attempt}"),
        timeout_ms: 30_000,
        trace_parent: None,
        undone: None,
        digest: None,
    })
}

/// The resident memory of this process, in KiB.
fn resident() -> Result<usize, Failed> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
}

/// A host in which nothing ever happens.
struct Nothing;

impl OrchestrationHost for Nothing {
    fn call_activity(&mut self, _: String, _: Json, _: StepOptions) -> Result<TaskId, Stop> {
        Ok(0)
    }
    fn call_orchestrator(&mut self, _: String, _: Json, _: StepOptions) -> Result<TaskId, Stop> {
        Ok(0)
    }
    fn open_scope(&mut self, parent: ScopeId) -> Result<ScopeId, Stop> {
        Ok(parent + 1)
    }
    fn undo_in_parallel(&mut self, _: ScopeId) -> Result<(), Stop> {
        Ok(())
    }
    fn compensate(&mut self, _: ScopeId) -> Result<TaskId, Stop> {
        Ok(0)
    }
    fn start_timer(&mut self, _: Millis) -> Result<TaskId, Stop> {
        Ok(0)
    }
    fn wait_event(&mut self, _: String) -> Result<TaskId, Stop> {
        Ok(0)
    }
    fn cancel(&mut self, _: TaskId) -> Result<(), Stop> {
        Ok(())
    }
    fn next(&mut self, _: &[TaskId]) -> Result<Option<Completion>, Stop> {
        Ok(None)
    }
    fn now_ms(&self) -> Millis {
        0
    }
    fn new_uuid(&mut self) -> String {
        String::new()
    }
    fn random_u64(&mut self) -> u64 {
        0
    }
    fn instance_id(&self) -> String {
        String::new()
    }
    fn is_replaying(&self) -> bool {
        false
    }
    fn set_custom_status(&mut self, _: Json) {}
    fn log(&mut self, _: LogLevel, _: String) {}
}
