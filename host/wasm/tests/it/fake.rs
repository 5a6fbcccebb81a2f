//! An orchestration's host that keeps everything it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use sagahost_core::{Failure, Json, LogLevel, Millis, ScopeId, StepOptions, TaskId};
use sagahost_wasm::{Completion, FiberEnd, OrchestrationHost, Runtime, Stop};

use crate::fixture;

#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) tasks: TaskId,
    pub(crate) scopes: ScopeId,
    /// What was asked, in order, as text.
    pub(crate) asked: Vec<String>,
    pub(crate) calls: Vec<(TaskId, String, Json)>,
    /// The options of each step, in order.
    pub(crate) options: Vec<StepOptions>,
    pub(crate) done: VecDeque<Completion>,
    pub(crate) now: Millis,
    pub(crate) random: u64,
    pub(crate) logs: Vec<(LogLevel, String)>,
    pub(crate) status: Option<Json>,
    /// Whether the next call of an activity is not what the journal has.
    pub(crate) mismatch: bool,
}

impl Fake {
    pub(crate) fn new() -> Arc<Mutex<Fake>> {
        Arc::new(Mutex::new(Fake { now: 1_700_000_000_000, ..Fake::default() }))
    }

    fn task(&mut self, asked: String) -> TaskId {
        self.asked.push(asked);
        self.tasks += 1;
        self.tasks - 1
    }

    pub(crate) fn complete(&mut self, task: TaskId, outcome: Result<Json, Failure>) {
        self.now += 1_000;
        self.done.push_back(Completion { task, outcome });
    }
}

impl OrchestrationHost for Fake {
    fn call_activity(
        &mut self,
        name: String,
        input: Json,
        options: StepOptions,
    ) -> Result<TaskId, Stop> {
        if self.mismatch {
            return Err(Stop(format!("the journal has no call of {name}")));
        }
        let timeout = options.call.timeout_ms;
        let task = self.task(format!("call {name} {} {timeout:?}", input.as_str()));
        self.calls.push((task, name, input));
        self.options.push(options);
        Ok(task)
    }
    fn call_orchestrator(
        &mut self,
        name: String,
        input: Json,
        options: StepOptions,
    ) -> Result<TaskId, Stop> {
        self.options.push(options);
        Ok(self.task(format!("start {name} {}", input.as_str())))
    }
    fn open_scope(&mut self, parent: ScopeId) -> Result<ScopeId, Stop> {
        if parent > self.scopes {
            return Err(Stop(format!("there is no scope {parent}")));
        }
        self.asked.push(format!("scope in {parent}"));
        self.scopes += 1;
        Ok(self.scopes)
    }
    fn undo_in_parallel(&mut self, scope: ScopeId) -> Result<(), Stop> {
        self.asked.push(format!("parallel {scope}"));
        Ok(())
    }
    fn compensate(&mut self, scope: ScopeId) -> Result<TaskId, Stop> {
        Ok(self.task(format!("compensate {scope}")))
    }
    fn start_timer(&mut self, fire_at: Millis) -> Result<TaskId, Stop> {
        Ok(self.task(format!("timer {fire_at}")))
    }
    fn wait_event(&mut self, name: String) -> Result<TaskId, Stop> {
        Ok(self.task(format!("event {name}")))
    }
    fn cancel(&mut self, task: TaskId) -> Result<(), Stop> {
        self.asked.push(format!("cancel {task}"));
        Ok(())
    }
    fn next(&mut self, tasks: &[TaskId]) -> Result<Option<Completion>, Stop> {
        let mut done = self.done.iter();
        let found = done.position(|done| tasks.is_empty() || tasks.contains(&done.task));
        Ok(found.and_then(|found| self.done.remove(found)))
    }
    fn now_ms(&self) -> Millis {
        self.now
    }
    fn new_uuid(&mut self) -> String {
        format!("00000000-0000-4000-8000-{:012x}", self.random_u64())
    }
    fn random_u64(&mut self) -> u64 {
        self.random += 1;
        self.random.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
    fn instance_id(&self) -> String {
        "instance".to_owned()
    }
    fn is_replaying(&self) -> bool {
        false
    }
    fn set_custom_status(&mut self, status: Json) {
        self.status = Some(status);
    }
    fn log(&mut self, level: LogLevel, message: String) {
        self.logs.push((level, message));
    }
}

/// Runs an orchestrator to its end, and its activities as it asks for them.
pub(crate) async fn drive(
    runtime: &Runtime,
    digest: &str,
    name: &str,
    input: &str,
) -> (FiberEnd, Arc<Mutex<Fake>>) {
    let fake = Fake::new();
    let mut fiber = runtime
        .start_orchestrator(digest, name, fixture::json(input), fake.clone())
        .expect("it is deployed");
    loop {
        let end = fiber.resume().await;
        if end != FiberEnd::Parked {
            assert!(fiber.has_ended());
            return (end, fake);
        }
        let calls = std::mem::take(&mut fake.lock().expect("no panic").calls);
        assert!(!calls.is_empty(), "{name} waits for nothing that comes");
        for (task, function, input) in calls {
            let report = fixture::run(runtime, &function, input.as_str()).await;
            fake.lock().expect("no panic").complete(task, report.outcome);
        }
    }
}
