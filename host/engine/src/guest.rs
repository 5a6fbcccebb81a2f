//! What an orchestrator's code sees of the host: the core's orchestration,
//! with defaults filled in from the deployed functions.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sagahost_core::{
    CallOptions, CallPolicy, ChildOptions, ChildPolicy, Compensation, EntityId, HTTP_FUNCTION,
    Json, LogLevel, Millis, Mismatch, Orchestration, Parcel, Request, ScopeId, StartOptions,
    StepOptions, Tags, TaskId, UndoChoice,
};
use sagahost_wasm::{Completion, OrchestrationHost, Runtime, Stop};

/// An orchestration and what its code needs around it.
pub(crate) struct Guest {
    id: Arc<str>,
    runtime: Runtime,
    pub(crate) orchestration: Orchestration,
    /// Where code and journal parted, if they did.
    pub(crate) mismatch: Option<Mismatch>,
}

/// A guest shared between its turn and its fiber. They never run at the same
/// time, so the lock is never contended.
pub(crate) type SharedGuest = Arc<Mutex<Guest>>;

pub(crate) fn lock(guest: &SharedGuest) -> MutexGuard<'_, Guest> {
    guest.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Guest {
    pub(crate) fn new(id: Arc<str>, runtime: Runtime, orchestration: Orchestration) -> SharedGuest {
        Arc::new(Mutex::new(Guest { id, runtime, orchestration, mismatch: None }))
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    fn request(&mut self, request: Request) -> Result<TaskId, Stop> {
        let outcome = self.orchestration.request(request);
        self.check(outcome)
    }

    /// How the step is undone. On replay the journal's word holds, and this
    /// one is not looked at.
    fn undo(&self, function: &str, choice: UndoChoice) -> Option<Compensation> {
        if self.orchestration.is_replaying() {
            return None;
        }
        self.runtime.compensation(function, choice)
    }

    fn check<T>(&mut self, outcome: Result<T, Mismatch>) -> Result<T, Stop> {
        outcome.map_err(|mismatch| {
            let stop = Stop(mismatch.to_string());
            self.mismatch = Some(mismatch);
            stop
        })
    }
}

impl OrchestrationHost for Guest {
    fn call_activity(
        &mut self,
        function: String,
        input: Json,
        options: StepOptions,
    ) -> Result<TaskId, Stop> {
        let StepOptions { call, undo, scope, pivot } = options;
        // On replay the journal's policy holds, and this one is not looked at.
        let policy = if self.orchestration.is_replaying() {
            CallPolicy::default()
        } else {
            self.runtime.call_policy(&function, call)
        };
        let undo = self.undo(&function, undo);
        self.request(Request::Activity { function, input, policy, undo, scope, pivot })
    }

    fn call_child(
        &mut self,
        function: String,
        input: Json,
        options: ChildOptions,
    ) -> Result<TaskId, Stop> {
        let ChildOptions { step, id, version, tags } = options;
        let StepOptions { call, undo, scope, pivot } = step;
        let by_hand = undo == UndoChoice::ByHand;
        let undo = self.undo(&function, undo);
        let CallOptions { retry, timeout_ms } = call;
        let policy = ChildPolicy { retry, timeout_ms, version, tags };
        self.request(Request::Child { function, input, undo, id, policy, by_hand, scope, pivot })
    }

    fn start_orchestrator(
        &mut self,
        name: String,
        input: Json,
        options: StartOptions,
    ) -> Result<String, Stop> {
        let StartOptions { id, version, tags, start_at } = options;
        let started = self.orchestration.instance().started();
        let trace_parent = started.trace_parent.clone();
        let place = self.orchestration.sent();
        let to = id.unwrap_or_else(|| format!("{}:s{place:04x}", started.execution));
        let parcel = Parcel::Start { name, input, version, tags, start_at, trace_parent };
        self.request(Request::Send { to: to.clone(), parcel })?;
        Ok(to)
    }

    fn send_event(&mut self, instance: String, name: String, input: Json) -> Result<(), Stop> {
        let parcel = Parcel::Event { name, input };
        self.request(Request::Send { to: instance, parcel }).map(drop)
    }

    fn call_entity(
        &mut self,
        entity: EntityId,
        operation: String,
        input: Json,
    ) -> Result<TaskId, Stop> {
        self.request(Request::CallEntity { entity, operation, input })
    }

    fn signal_entity(
        &mut self,
        entity: EntityId,
        operation: String,
        input: Json,
        at: Option<Millis>,
    ) -> Result<(), Stop> {
        let execution = Some(self.orchestration.instance().run_id());
        let parcel = Parcel::Signal { operation, input, at, execution };
        self.request(Request::Send { to: entity.instance_id(), parcel }).map(drop)
    }

    fn lock_entities(&mut self, entities: Vec<EntityId>) -> Result<TaskId, Stop> {
        self.request(Request::Lock { entities })
    }

    fn unlock_entities(&mut self) -> Result<(), Stop> {
        self.request(Request::Unlock).map(drop)
    }

    fn continue_as_new(&mut self, input: Json, keep_events: bool) -> Result<(), Stop> {
        self.orchestration.continue_as_new(input, keep_events);
        Ok(())
    }

    fn call_http(&mut self, request: Json, options: StepOptions) -> Result<TaskId, Stop> {
        let StepOptions { call, undo, scope, pivot } = options;
        let policy = self.runtime.http_policy(call);
        let undo = self.undo(HTTP_FUNCTION, undo);
        let function = HTTP_FUNCTION.to_owned();
        self.request(Request::Activity { function, input: request, policy, undo, scope, pivot })
    }

    fn version(&self) -> Option<String> {
        self.orchestration.instance().started().version.clone()
    }

    fn tags(&self) -> Tags {
        self.orchestration.instance().started().tags.clone()
    }

    fn open_scope(&mut self, parent: ScopeId) -> Result<ScopeId, Stop> {
        self.request(Request::OpenScope { parent })
    }

    fn undo_in_parallel(&mut self, scope: ScopeId) -> Result<(), Stop> {
        self.request(Request::UndoInParallel { scope }).map(drop)
    }

    fn compensate(&mut self, scope: ScopeId) -> Result<TaskId, Stop> {
        self.request(Request::Compensate { scope })
    }

    fn start_timer(&mut self, fire_at: Millis) -> Result<TaskId, Stop> {
        self.request(Request::Timer { fire_at })
    }

    fn wait_event(&mut self, name: String) -> Result<TaskId, Stop> {
        self.request(Request::Event { name })
    }

    fn cancel(&mut self, task: TaskId) -> Result<(), Stop> {
        self.request(Request::Cancel { task }).map(drop)
    }

    fn next(&mut self, tasks: &[TaskId]) -> Result<Option<Completion>, Stop> {
        let outcome = self.orchestration.next(tasks);
        let completion = self.check(outcome)?;
        Ok(completion
            .map(|sagahost_core::Completion { task, outcome }| Completion { task, outcome }))
    }

    fn now_ms(&self) -> Millis {
        self.orchestration.now()
    }

    fn new_uuid(&mut self) -> String {
        self.orchestration.new_uuid()
    }

    fn random_u64(&mut self) -> u64 {
        self.orchestration.random_u64()
    }

    fn instance_id(&self) -> String {
        self.id.to_string()
    }

    fn is_replaying(&self) -> bool {
        self.orchestration.is_replaying()
    }

    fn set_custom_status(&mut self, status: Json) {
        self.orchestration.set_custom_status(status);
    }

    fn log(&mut self, level: LogLevel, message: String) {
        self.orchestration.log(level, message);
    }
}
