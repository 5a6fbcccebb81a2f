//! What stands behind one guest: the data of its store.

use std::sync::{Arc, Mutex};

use sagahost_core::{
    ChildOptions, EntityId, FailureKind, Json, LogLevel, StartOptions, StepOptions,
};
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::activity::Attempt;
use crate::bindings::{self, invocation, orchestration, types};
use crate::capture::lock;
use crate::fiber::Waiting;
use crate::http::Outbound;
use crate::meter::{MemoryLimit, Meter};
use crate::orchestration::{OrchestrationHost, Stop};

/// The data of a guest's store.
pub(crate) struct Guest {
    pub(crate) wasi: WasiCtx,
    pub(crate) http: WasiHttpCtx,
    pub(crate) outbound: Outbound,
    pub(crate) table: ResourceTable,
    pub(crate) memory: MemoryLimit,
    pub(crate) meter: Arc<Meter>,
    pub(crate) role: Role,
}

/// What the guest is.
pub(crate) enum Role {
    Activity(Box<Attempt>),
    Orchestrator(Orchestrator),
    /// An activity between two attempts: nothing of it runs.
    Idle,
}

/// What an orchestrator talks to.
pub(crate) struct Orchestrator {
    pub(crate) host: Arc<Mutex<dyn OrchestrationHost>>,
    pub(crate) waiting: Arc<Waiting>,
}

/// The error that ends an orchestrator the host wants ended.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Stopped(pub String);

/// The error of a guest that called what is not for it, or called it wrongly.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misuse(pub String);

impl Guest {
    /// A store for the guest, with its limits in force.
    pub(crate) fn store(self, engine: &Engine) -> Store<Guest> {
        let mut store = Store::new(engine, self);
        store.limiter(|guest| &mut guest.memory);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|context| context.data().meter.tick());
        store
    }

    fn attempt(&mut self, function: &str) -> wasmtime::Result<&mut Attempt> {
        match &mut self.role {
            Role::Activity(attempt) => Ok(attempt),
            Role::Orchestrator(_) => Err(Misuse(format!(
                "an orchestrator called `invocation.{function}`, which is for activities: \
                 use the functions of `orchestration`"
            ))
            .into()),
            Role::Idle => Err(idle(function)),
        }
    }

    fn orchestrator(&mut self, function: &str) -> wasmtime::Result<&mut Orchestrator> {
        match &mut self.role {
            Role::Orchestrator(orchestrator) => Ok(orchestrator),
            Role::Activity(_) => Err(Misuse(format!(
                "an activity called `orchestration.{function}`, which is for orchestrators: \
                 an activity does its one thing, and its orchestrator decides what comes next"
            ))
            .into()),
            Role::Idle => Err(idle(function)),
        }
    }

    /// Asks the orchestration's host.
    fn ask<T>(
        &mut self,
        function: &str,
        ask: impl FnOnce(&mut dyn OrchestrationHost) -> T,
    ) -> wasmtime::Result<T> {
        let host = &self.orchestrator(function)?.host;
        Ok(ask(&mut *lock(host)))
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outbound, table: &mut self.table, ctx: &mut self.http }
    }
}

fn idle(function: &str) -> wasmtime::Error {
    Misuse(format!("`{function}` was called by an instance that has no attempt")).into()
}

fn stopped(Stop(reason): Stop) -> wasmtime::Error {
    Stopped(reason).into()
}

fn json(text: String, what: impl FnOnce() -> String) -> wasmtime::Result<Json> {
    Json::parse(text).map_err(|error| not_json(&what(), &error))
}

fn not_json(what: &str, error: &impl std::fmt::Display) -> wasmtime::Error {
    Misuse(format!("{what} is not JSON: {error}")).into()
}

fn step_options(options: types::StepOptions) -> wasmtime::Result<StepOptions> {
    bindings::step_options(options).map_err(|(function, error)| {
        not_json(&format!("the input for the compensation `{function}`"), &error)
    })
}

fn entity_id(entity: types::EntityId) -> wasmtime::Result<EntityId> {
    EntityId::new(entity.name, entity.key).map_err(|error| Misuse(error.to_string()).into())
}

impl types::Host for Guest {}

impl orchestration::Host for Guest {
    fn call_activity(
        &mut self,
        name: String,
        input: String,
        options: types::CallOptions,
    ) -> wasmtime::Result<u32> {
        // The role first: an activity is to hear that it may not, and not
        // that its JSON is wrong.
        self.orchestrator("call-activity")?;
        let input = json(input, || format!("the input for the activity `{name}`"))?;
        let options = StepOptions { call: bindings::options(options), ..StepOptions::default() };
        self.ask("call-activity", |host| host.call_activity(name, input, options))?.map_err(stopped)
    }

    fn call_step(
        &mut self,
        name: String,
        input: String,
        options: types::StepOptions,
    ) -> wasmtime::Result<u32> {
        self.orchestrator("call-step")?;
        let input = json(input, || format!("the input for the activity `{name}`"))?;
        let options = step_options(options)?;
        self.ask("call-step", |host| host.call_activity(name, input, options))?.map_err(stopped)
    }

    fn call_orchestrator(
        &mut self,
        name: String,
        input: String,
        options: types::StepOptions,
    ) -> wasmtime::Result<u32> {
        let function = "call-orchestrator";
        self.orchestrator(function)?;
        let input = json(input, || format!("the input for the orchestrator `{name}`"))?;
        let options = step_options(options)?;
        self.ask(function, |host| host.call_orchestrator(name, input, options))?.map_err(stopped)
    }

    fn call_child(
        &mut self,
        name: String,
        input: String,
        options: types::ChildOptions,
    ) -> wasmtime::Result<u32> {
        let function = "call-child";
        self.orchestrator(function)?;
        let input = json(input, || format!("the input for the orchestrator `{name}`"))?;
        let options = ChildOptions {
            step: step_options(options.step)?,
            id: options.id,
            version: options.version,
            tags: options.tags.into_iter().collect(),
        };
        self.ask(function, |host| host.call_child(name, input, options))?.map_err(stopped)
    }

    fn start_orchestrator(
        &mut self,
        name: String,
        input: String,
        options: types::StartOptions,
    ) -> wasmtime::Result<String> {
        let function = "start-orchestrator";
        self.orchestrator(function)?;
        let input = json(input, || format!("the input for the orchestrator `{name}`"))?;
        let options = StartOptions {
            id: options.id,
            version: options.version,
            tags: options.tags.into_iter().collect(),
            start_at: options.start_at_ms,
        };
        self.ask(function, |host| host.start_orchestrator(name, input, options))?.map_err(stopped)
    }

    fn send_event(
        &mut self,
        instance: String,
        name: String,
        input: String,
    ) -> wasmtime::Result<()> {
        self.orchestrator("send-event")?;
        let input = json(input, || format!("what comes with the event `{name}`"))?;
        self.ask("send-event", |host| host.send_event(instance, name, input))?.map_err(stopped)
    }

    fn continue_as_new(&mut self, input: String, keep_events: bool) -> wasmtime::Result<()> {
        self.orchestrator("continue-as-new")?;
        let input = json(input, || "the input to continue with".to_owned())?;
        self.ask("continue-as-new", |host| host.continue_as_new(input, keep_events))?
            .map_err(stopped)
    }

    fn call_http(&mut self, request: String, options: types::StepOptions) -> wasmtime::Result<u32> {
        self.orchestrator("call-http")?;
        let request = json(request, || "the HTTP request".to_owned())?;
        let options = step_options(options)?;
        self.ask("call-http", |host| host.call_http(request, options))?.map_err(stopped)
    }

    fn call_entity(
        &mut self,
        entity: types::EntityId,
        operation: String,
        input: String,
    ) -> wasmtime::Result<u32> {
        self.orchestrator("call-entity")?;
        let input = json(input, || format!("the input for the operation `{operation}`"))?;
        let entity = entity_id(entity)?;
        self.ask("call-entity", |host| host.call_entity(entity, operation, input))?.map_err(stopped)
    }

    fn signal_entity(
        &mut self,
        entity: types::EntityId,
        operation: String,
        input: String,
        at: Option<u64>,
    ) -> wasmtime::Result<()> {
        self.orchestrator("signal-entity")?;
        let input = json(input, || format!("the input for the operation `{operation}`"))?;
        let entity = entity_id(entity)?;
        self.ask("signal-entity", |host| host.signal_entity(entity, operation, input, at))?
            .map_err(stopped)
    }

    fn lock_entities(&mut self, entities: Vec<types::EntityId>) -> wasmtime::Result<u32> {
        self.orchestrator("lock-entities")?;
        let entities = entities.into_iter().map(entity_id).collect::<Result<_, _>>()?;
        self.ask("lock-entities", |host| host.lock_entities(entities))?.map_err(stopped)
    }

    fn unlock_entities(&mut self) -> wasmtime::Result<()> {
        self.ask("unlock-entities", |host| host.unlock_entities())?.map_err(stopped)
    }

    fn version(&mut self) -> wasmtime::Result<Option<String>> {
        self.ask("version", |host| host.version())
    }

    fn tags(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        self.ask("tags", |host| host.tags().into_iter().collect())
    }

    fn open_scope(&mut self, parent: u32) -> wasmtime::Result<u32> {
        self.ask("open-scope", |host| host.open_scope(parent))?.map_err(stopped)
    }

    fn undo_in_parallel(&mut self, scope: u32) -> wasmtime::Result<()> {
        self.ask("undo-in-parallel", |host| host.undo_in_parallel(scope))?.map_err(stopped)
    }

    fn compensate(&mut self, scope: u32) -> wasmtime::Result<u32> {
        self.ask("compensate", |host| host.compensate(scope))?.map_err(stopped)
    }

    fn start_timer(&mut self, fire_at_ms: u64) -> wasmtime::Result<u32> {
        self.ask("start-timer", |host| host.start_timer(fire_at_ms))?.map_err(stopped)
    }

    fn wait_event(&mut self, name: String) -> wasmtime::Result<u32> {
        self.ask("wait-event", |host| host.wait_event(name))?.map_err(stopped)
    }

    fn cancel(&mut self, task: u32) -> wasmtime::Result<()> {
        self.ask("cancel", |host| host.cancel(task))?.map_err(stopped)
    }

    async fn await_any(&mut self, tasks: Vec<u32>) -> wasmtime::Result<types::Completion> {
        let orchestrator = self.orchestrator("await-any")?;
        loop {
            let next = lock(&orchestrator.host).next(&tasks).map_err(stopped)?;
            // A turn is what lies between two waits, also where the wait is
            // over at once.
            orchestrator.waiting.turn_over();
            match next {
                Some(completion) => {
                    return Ok(types::Completion {
                        task: completion.task,
                        outcome: completion
                            .outcome
                            .map(|value| value.as_str().to_owned())
                            .map_err(bindings::failure_to_guest),
                    });
                }
                None => orchestrator.waiting.park().await,
            }
        }
    }

    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        self.ask("now-ms", |host| host.now_ms())
    }

    fn new_uuid(&mut self) -> wasmtime::Result<String> {
        self.ask("new-uuid", |host| host.new_uuid())
    }

    fn random_u64(&mut self) -> wasmtime::Result<u64> {
        self.ask("random-u64", |host| host.random_u64())
    }

    fn instance_id(&mut self) -> wasmtime::Result<String> {
        self.ask("instance-id", |host| host.instance_id())
    }

    fn is_replaying(&mut self) -> wasmtime::Result<bool> {
        self.ask("is-replaying", |host| host.is_replaying())
    }

    fn set_custom_status(&mut self, status: String) -> wasmtime::Result<()> {
        self.orchestrator("set-custom-status")?;
        let status = json(status, || "the custom status".to_owned())?;
        self.ask("set-custom-status", |host| host.set_custom_status(status))
    }

    fn log(&mut self, level: types::LogLevel, message: String) -> wasmtime::Result<()> {
        let orchestrator = self.orchestrator("log")?;
        let level = bindings::level(level);
        lock(&orchestrator.waiting.logs).log(&orchestrator.host, level, message);
        Ok(())
    }
}

impl invocation::Host for Guest {
    fn instance_id(&mut self) -> wasmtime::Result<String> {
        Ok(self.attempt("instance-id")?.call.instance_id.clone())
    }

    fn step(&mut self) -> wasmtime::Result<u32> {
        Ok(self.attempt("step")?.call.step)
    }

    fn attempt(&mut self) -> wasmtime::Result<u32> {
        Ok(Guest::attempt(self, "attempt")?.call.attempt)
    }

    fn idempotency_key(&mut self) -> wasmtime::Result<String> {
        Ok(self.attempt("idempotency-key")?.call.idempotency_key.clone())
    }

    fn deadline_ms(&mut self) -> wasmtime::Result<u64> {
        Ok(self.attempt("deadline-ms")?.deadline)
    }

    fn trace_parent(&mut self) -> wasmtime::Result<String> {
        let attempt = self.attempt("trace-parent")?;
        Ok(attempt.call.trace_parent.clone().unwrap_or_default())
    }

    fn is_undo(&mut self) -> wasmtime::Result<bool> {
        Ok(self.attempt("is-undo")?.call.undone.is_some())
    }

    fn undone(&mut self) -> wasmtime::Result<Option<types::UndoneStep>> {
        Ok(self.attempt("undone")?.call.undone.as_ref().map(bindings::undone_to_guest))
    }

    fn log(&mut self, level: types::LogLevel, message: String) -> wasmtime::Result<()> {
        let word = match bindings::level(level) {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        };
        self.attempt("log")?.log_line(word, &message);
        Ok(())
    }
}

/// What the memory limit has to say about the end of a guest.
pub(crate) fn memory_failure(memory: &MemoryLimit) -> Option<sagahost_core::Failure> {
    memory.refused.map(|wanted| {
        sagahost_core::Failure::host(
            FailureKind::MemoryLimit,
            format!(
                "it wanted {} KiB of memory, and its limit is {} KiB",
                wanted >> 10,
                memory.limit() >> 10
            ),
        )
    })
}
