//! The rate of wasm by itself: sagas with no journal, no store, no HTTP. What
//! a whole host could reach at most.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sagahost_core::{Json, LogLevel, Millis, ScopeId, StepOptions, TaskId};

use crate::activity::ActivityCall;
use crate::capture::lock;
use crate::error::WasmError;
use crate::fiber::FiberEnd;
use crate::orchestration::{Completion, OrchestrationHost, Stop};
use crate::runtime::Runtime;

/// Makes the input of the saga of this number, counted from 1.
pub type MakeInput = Arc<dyn Fn(u64) -> Json + Send + Sync>;

/// The saga that is run.
#[derive(Clone)]
pub struct RawSaga {
    /// The orchestrator, which must be deployed; it may call activities, and
    /// nothing else.
    pub orchestrator: String,
    /// Its input; each has another, as activities with effects tell the
    /// sagas apart by it.
    pub input: MakeInput,
    /// How many run at the same time.
    pub in_flight: usize,
    /// For how long new ones are begun.
    pub duration: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct RawSagaRate {
    /// Sagas that returned.
    pub sagas: u64,
    /// Activities they called.
    pub activities: u64,
    /// Sagas that did not return a value.
    pub failed: u64,
    /// How long it took.
    pub elapsed: Duration,
}

impl RawSagaRate {
    /// Sagas a second.
    pub fn per_second(&self) -> f64 {
        self.sagas as f64 / self.elapsed.as_secs_f64()
    }
}

/// Runs sagas as fast as they go.
///
/// # Errors
/// When the orchestrator is not deployed or cannot be started.
pub async fn raw_saga_rate(runtime: &Runtime, saga: &RawSaga) -> Result<RawSagaRate, WasmError> {
    let function = runtime.function(&saga.orchestrator);
    let function = function
        .ok_or_else(|| WasmError::Unknown { digest: format!("of `{}`", saga.orchestrator) })?;
    let pinned = runtime.pin(&function.digest).await?;
    let began = Instant::now();
    let numbers = Arc::new(AtomicU64::new(0));
    let lanes: Vec<_> = (0..saga.in_flight.max(1))
        .map(|lane| {
            let (runtime, saga, pinned) = (runtime.clone(), saga.clone(), pinned.clone());
            let numbers = numbers.clone();
            tokio::spawn(async move {
                let mut rate = RawSagaRate::default();
                while began.elapsed() < saga.duration {
                    let id = format!("{lane}-{}", rate.sagas + rate.failed);
                    let input = (saga.input)(numbers.fetch_add(1, Ordering::Relaxed) + 1);
                    let name = &saga.orchestrator;
                    run(&runtime, pinned.digest(), name, input, &id, &mut rate).await?;
                }
                Ok::<_, WasmError>(rate)
            })
        })
        .collect();
    let mut sum = RawSagaRate::default();
    for lane in lanes {
        // A lane panics only if this crate does.
        let rate = lane.await.unwrap_or_else(|_| Ok(RawSagaRate::default()))?;
        sum.sagas += rate.sagas;
        sum.activities += rate.activities;
        sum.failed += rate.failed;
    }
    sum.elapsed = began.elapsed();
    Ok(sum)
}

async fn run(
    runtime: &Runtime,
    digest: &str,
    name: &str,
    input: Json,
    id: &str,
    rate: &mut RawSagaRate,
) -> Result<(), WasmError> {
    let bare = Arc::new(Mutex::new(Bare::default()));
    let mut fiber = runtime.start_orchestrator(digest, name, input, bare.clone())?;
    loop {
        match fiber.resume().await {
            FiberEnd::Parked => {}
            FiberEnd::Returned(Ok(_)) => rate.sagas += 1,
            _ => rate.failed += 1,
        }
        if fiber.has_ended() {
            return Ok(());
        }
        let calls = std::mem::take(&mut lock(&bare).calls);
        if calls.is_empty() {
            // It waits for something that is no activity.
            rate.failed += 1;
            return Ok(());
        }
        rate.activities += calls.len() as u64;
        for (task, function, input) in calls {
            let report = runtime
                .run_activity(ActivityCall {
                    idempotency_key: format!("{id}-{task}"),
                    function,
                    input,
                    instance_id: id.to_owned(),
                    step: task,
                    attempt: 1,
                    timeout_ms: 30_000,
                    trace_parent: None,
                    undone: None,
                    digest: None,
                })
                .await;
            lock(&bare).done.push_back(Completion { task, outcome: report.outcome });
        }
    }
}

/// A host that remembers what it was asked for, and nothing else.
#[derive(Default)]
struct Bare {
    tasks: TaskId,
    scopes: ScopeId,
    calls: Vec<(TaskId, String, Json)>,
    done: VecDeque<Completion>,
    random: u64,
}

impl Bare {
    fn task(&mut self) -> TaskId {
        self.tasks += 1;
        self.tasks - 1
    }
}

impl OrchestrationHost for Bare {
    fn call_activity(&mut self, name: String, input: Json, _: StepOptions) -> Result<TaskId, Stop> {
        let task = self.task();
        self.calls.push((task, name, input));
        Ok(task)
    }

    fn call_orchestrator(&mut self, _: String, _: Json, _: StepOptions) -> Result<TaskId, Stop> {
        Ok(self.task())
    }

    fn open_scope(&mut self, _: ScopeId) -> Result<ScopeId, Stop> {
        self.scopes += 1;
        Ok(self.scopes)
    }

    fn undo_in_parallel(&mut self, _: ScopeId) -> Result<(), Stop> {
        Ok(())
    }

    fn compensate(&mut self, _: ScopeId) -> Result<TaskId, Stop> {
        Ok(self.task())
    }

    fn start_timer(&mut self, _: Millis) -> Result<TaskId, Stop> {
        Ok(self.task())
    }

    fn wait_event(&mut self, _: String) -> Result<TaskId, Stop> {
        Ok(self.task())
    }

    fn cancel(&mut self, _: TaskId) -> Result<(), Stop> {
        Ok(())
    }

    fn next(&mut self, tasks: &[TaskId]) -> Result<Option<Completion>, Stop> {
        let mut done = self.done.iter();
        let found = done.position(|done| tasks.is_empty() || tasks.contains(&done.task));
        Ok(found.and_then(|found| self.done.remove(found)))
    }

    fn now_ms(&self) -> Millis {
        0
    }

    fn new_uuid(&mut self) -> String {
        format!("00000000-0000-4000-8000-{:012x}", self.random_u64())
    }

    fn random_u64(&mut self) -> u64 {
        self.random += 1;
        self.random
    }

    fn instance_id(&self) -> String {
        "raw".to_owned()
    }

    fn is_replaying(&self) -> bool {
        false
    }

    fn set_custom_status(&mut self, _: Json) {}

    fn log(&mut self, _: LogLevel, _: String) {}
}
