//! The imports of the contract. On wasm they are the host's; natively they are
//! those of the host in [`crate::testing`], so that everything above this
//! module is the same in a test.

use crate::bindings::sagahost::saga::types::{
    CallOptions, ChildOptions, EntityId, StartOptions, StepOptions, UndoneStep,
};
use crate::executor::Outcome;
use crate::log::LogLevel;

macro_rules! host {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),*) $(-> $out:ty)? = $module:ident :: $import:ident ;)*) => {
        /// What a host does; natively there can be more than one.
        #[cfg(not(target_arch = "wasm32"))]
        pub(crate) trait Host {
            $(fn $name(&self $(, $arg: $ty)*) $(-> $out)?;)*
            fn await_any(&self) -> (u32, Outcome);
        }

        $(
            #[cfg(target_arch = "wasm32")]
            pub(crate) fn $name($($arg: $ty),*) $(-> $out)? {
                crate::bindings::sagahost::saga::$module::$import($($arg.into()),*)
            }

            #[cfg(not(target_arch = "wasm32"))]
            pub(crate) fn $name($($arg: $ty),*) $(-> $out)? {
                crate::testing::current().$name($($arg),*)
            }
        )*
    };
}

host! {
    fn call_activity(name: &str, input: &str, options: &CallOptions) -> u32 = orchestration::call_activity;
    fn call_step(name: &str, input: &str, options: &StepOptions) -> u32 = orchestration::call_step;
    fn call_orchestrator(name: &str, input: &str, options: &StepOptions) -> u32 = orchestration::call_orchestrator;
    fn call_child(name: &str, input: &str, options: &ChildOptions) -> u32 = orchestration::call_child;
    fn start_orchestrator(name: &str, input: &str, options: &StartOptions) -> String = orchestration::start_orchestrator;
    fn send_event(instance: &str, name: &str, input: &str) = orchestration::send_event;
    fn continue_as_new(input: &str, keep_events: bool) = orchestration::continue_as_new;
    fn call_http(request: &str, options: &StepOptions) -> u32 = orchestration::call_http;
    fn call_entity(entity: &EntityId, operation: &str, input: &str) -> u32 = orchestration::call_entity;
    fn signal_entity(entity: &EntityId, operation: &str, input: &str, at_ms: Option<u64>) = orchestration::signal_entity;
    fn lock_entities(entities: &[EntityId]) -> u32 = orchestration::lock_entities;
    fn unlock_entities() = orchestration::unlock_entities;
    fn open_scope(parent: u32) -> u32 = orchestration::open_scope;
    fn undo_in_parallel(scope: u32) = orchestration::undo_in_parallel;
    fn compensate(scope: u32) -> u32 = orchestration::compensate;
    fn start_timer(fire_at_ms: u64) -> u32 = orchestration::start_timer;
    fn wait_event(name: &str) -> u32 = orchestration::wait_event;
    fn cancel(task: u32) = orchestration::cancel;
    fn now_ms() -> u64 = orchestration::now_ms;
    fn new_uuid() -> String = orchestration::new_uuid;
    fn random_u64() -> u64 = orchestration::random_u64;
    fn instance_id() -> String = orchestration::instance_id;
    fn version() -> Option<String> = orchestration::version;
    fn tags() -> Vec<(String, String)> = orchestration::tags;
    fn is_replaying() -> bool = orchestration::is_replaying;
    fn set_custom_status(status: &str) = orchestration::set_custom_status;
    fn log(level: LogLevel, line: &str) = orchestration::log;
    fn activity_instance_id() -> String = invocation::instance_id;
    fn step() -> u32 = invocation::step;
    fn attempt() -> u32 = invocation::attempt;
    fn idempotency_key() -> String = invocation::idempotency_key;
    fn deadline_ms() -> u64 = invocation::deadline_ms;
    fn trace_parent() -> String = invocation::trace_parent;
    fn is_undo() -> bool = invocation::is_undo;
    fn undone() -> Option<UndoneStep> = invocation::undone;
    fn activity_log(level: LogLevel, line: &str) = invocation::log;
}

/// The next completion of any task: the empty list, which costs the same
/// however many tasks there are.
#[cfg(target_arch = "wasm32")]
pub(crate) fn await_any() -> (u32, Outcome) {
    let completion = crate::bindings::sagahost::saga::orchestration::await_any(&[]);
    (completion.task, completion.outcome.map_err(Into::into))
}

/// The next completion of any task.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn await_any() -> (u32, Outcome) {
    crate::testing::current().await_any()
}
