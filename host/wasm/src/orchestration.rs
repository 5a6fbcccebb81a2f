//! What an orchestrator talks to. The turn pipeline implements it over the
//! pure state machine; nothing in here knows how.

use sagahost_core::{
    ChildOptions, EntityId, Failure, Json, LogLevel, Millis, ScopeId, StartOptions, StepOptions,
    Tags, TaskId,
};

/// The host wants the orchestrator ended, because it asked for what its
/// journal does not have; with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop(pub String);

/// A task that is complete, and how it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The task.
    pub task: TaskId,
    /// Its result.
    pub outcome: Result<Json, Failure>,
}

/// The other side of the contract's `orchestration` interface.
///
/// The functions are called while the guest is on the stack, from whichever
/// thread runs it, and must not block. WASI's clock and random of an
/// orchestrator are made of [`now_ms`](Self::now_ms) and
/// [`random_u64`](Self::random_u64).
pub trait OrchestrationHost: Send {
    /// Schedules an activity.
    ///
    /// # Errors
    /// When the journal has something else here.
    fn call_activity(
        &mut self,
        name: String,
        input: Json,
        options: StepOptions,
    ) -> Result<TaskId, Stop>;
    /// Starts a child orchestration.
    ///
    /// # Errors
    /// When the journal has something else here.
    fn call_orchestrator(
        &mut self,
        name: String,
        input: Json,
        options: StepOptions,
    ) -> Result<TaskId, Stop> {
        self.call_child(name, input, ChildOptions { step: options, ..ChildOptions::default() })
    }
    /// Starts a child orchestration, with a say in its id, version and tags.
    ///
    /// # Errors
    /// When the journal has something else here, or the id is not allowed.
    fn call_child(
        &mut self,
        name: String,
        input: Json,
        options: ChildOptions,
    ) -> Result<TaskId, Stop> {
        let _ = (name, input, options);
        not_offered("child orchestrations with an id")
    }
    /// Starts an orchestration that nobody waits for; returns its id.
    ///
    /// # Errors
    /// When the journal has something else here, or the id is not allowed.
    fn start_orchestrator(
        &mut self,
        name: String,
        input: Json,
        options: StartOptions,
    ) -> Result<String, Stop> {
        let _ = (name, input, options);
        not_offered("starting other orchestrations")
    }
    /// Raises an event for another orchestration.
    ///
    /// # Errors
    /// When the journal has something else here.
    fn send_event(&mut self, instance: String, name: String, input: Json) -> Result<(), Stop> {
        let _ = (instance, name, input);
        not_offered("events for other orchestrations")
    }
    /// Lets the orchestrator begin anew when it returns.
    ///
    /// # Errors
    /// When this host does not offer it.
    fn continue_as_new(&mut self, input: Json, keep_events: bool) -> Result<(), Stop> {
        let _ = (input, keep_events);
        not_offered("continue-as-new")
    }
    /// Makes an HTTP request as a step.
    ///
    /// # Errors
    /// When the journal has something else here.
    fn call_http(&mut self, request: Json, options: StepOptions) -> Result<TaskId, Stop> {
        let _ = (request, options);
        not_offered("HTTP requests")
    }
    /// Calls an operation of an entity.
    ///
    /// # Errors
    /// When the journal has something else here.
    fn call_entity(
        &mut self,
        entity: EntityId,
        operation: String,
        input: Json,
    ) -> Result<TaskId, Stop> {
        let _ = (entity, operation, input);
        not_offered("entities")
    }
    /// Lets an entity run an operation, now or later.
    ///
    /// # Errors
    /// When the journal has something else here.
    fn signal_entity(
        &mut self,
        entity: EntityId,
        operation: String,
        input: Json,
        at: Option<Millis>,
    ) -> Result<(), Stop> {
        let _ = (entity, operation, input, at);
        not_offered("entities")
    }
    /// Locks entities. The task is complete when this orchestration has all
    /// of them.
    ///
    /// # Errors
    /// When the journal has something else here.
    fn lock_entities(&mut self, entities: Vec<EntityId>) -> Result<TaskId, Stop> {
        let _ = entities;
        not_offered("entities")
    }
    /// Lets go of all locks.
    ///
    /// # Errors
    /// When the journal has something else here.
    fn unlock_entities(&mut self) -> Result<(), Stop> {
        not_offered("entities")
    }
    /// The version that was asked for at the start.
    fn version(&self) -> Option<String> {
        None
    }
    /// The tags that were given at the start.
    fn tags(&self) -> Tags {
        Tags::new()
    }
    /// Opens a scope within another one.
    ///
    /// # Errors
    /// When the journal has something else here, or there is no such scope.
    fn open_scope(&mut self, parent: ScopeId) -> Result<ScopeId, Stop>;
    /// Lets what is in a scope be undone all at the same time.
    ///
    /// # Errors
    /// When the journal has something else here, or there is no such scope.
    fn undo_in_parallel(&mut self, scope: ScopeId) -> Result<(), Stop>;
    /// Undoes what a scope has done so far. The task is complete when that is
    /// finished.
    ///
    /// # Errors
    /// When the journal has something else here, or there is no such scope.
    fn compensate(&mut self, scope: ScopeId) -> Result<TaskId, Stop>;
    /// Schedules a timer.
    ///
    /// # Errors
    /// When the journal has something else here.
    fn start_timer(&mut self, fire_at: Millis) -> Result<TaskId, Stop>;
    /// Waits for an event.
    ///
    /// # Errors
    /// When the journal has something else here.
    fn wait_event(&mut self, name: String) -> Result<TaskId, Stop>;
    /// Gives up a timer or a wait.
    ///
    /// # Errors
    /// When the journal has something else here.
    fn cancel(&mut self, task: TaskId) -> Result<(), Stop>;
    /// The first completion among the tasks (of any task, where none is
    /// given), or `None` where the orchestrator has to wait. It is asked again
    /// when the fiber is resumed.
    ///
    /// # Errors
    /// When the journal has something else here, or a task does not exist.
    fn next(&mut self, tasks: &[TaskId]) -> Result<Option<Completion>, Stop>;
    /// The orchestration's time.
    fn now_ms(&self) -> Millis;
    /// A UUID that is the same on every replay.
    fn new_uuid(&mut self) -> String;
    /// Random bits that are the same on every replay.
    fn random_u64(&mut self) -> u64;
    /// The instance's id.
    fn instance_id(&self) -> String;
    /// Whether what runs now ran before.
    fn is_replaying(&self) -> bool;
    /// Sets the custom status.
    fn set_custom_status(&mut self, status: Json);
    /// Writes a line to the instance's log.
    fn log(&mut self, level: LogLevel, message: String);
}

fn not_offered<T>(what: &str) -> Result<T, Stop> {
    Err(Stop(format!("{what}: not offered here")))
}

/// What `describe` runs against: there is no orchestration.
pub(crate) struct NoOrchestration;

impl NoOrchestration {
    fn stop<T>() -> Result<T, Stop> {
        Err(Stop(
            "`describe` runs by itself: it cannot ask for activities, timers or events".to_owned(),
        ))
    }
}

impl OrchestrationHost for NoOrchestration {
    fn call_activity(&mut self, _: String, _: Json, _: StepOptions) -> Result<TaskId, Stop> {
        Self::stop()
    }
    fn call_orchestrator(&mut self, _: String, _: Json, _: StepOptions) -> Result<TaskId, Stop> {
        Self::stop()
    }
    fn open_scope(&mut self, _: ScopeId) -> Result<ScopeId, Stop> {
        Self::stop()
    }
    fn undo_in_parallel(&mut self, _: ScopeId) -> Result<(), Stop> {
        Self::stop()
    }
    fn compensate(&mut self, _: ScopeId) -> Result<TaskId, Stop> {
        Self::stop()
    }
    fn start_timer(&mut self, _: Millis) -> Result<TaskId, Stop> {
        Self::stop()
    }
    fn wait_event(&mut self, _: String) -> Result<TaskId, Stop> {
        Self::stop()
    }
    fn cancel(&mut self, _: TaskId) -> Result<(), Stop> {
        Self::stop()
    }
    fn next(&mut self, _: &[TaskId]) -> Result<Option<Completion>, Stop> {
        Self::stop()
    }
    fn now_ms(&self) -> Millis {
        0
    }
    fn new_uuid(&mut self) -> String {
        "00000000-0000-0000-0000-000000000000".to_owned()
    }
    fn random_u64(&mut self) -> u64 {
        // Hash tables are seeded with it; nothing depends on its value.
        0x9e37_79b9_7f4a_7c15
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
