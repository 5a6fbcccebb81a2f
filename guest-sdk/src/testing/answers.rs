//! What an orchestration of the host in memory answers to its orchestrator's
//! requests.

use super::request::{Request, value};
use super::state::{Instance, Work};
use super::world::{HTTP, Message};
use crate::bindings::sagahost::saga::types::{
    self, CallOptions, ChildOptions, StartOptions, StepOptions, UndoChoice, UndoneStep,
};
use crate::executor::Outcome;
use crate::host::Host;
use crate::{EntityId, LogLevel};

impl Host for Instance {
    fn call_activity(&self, name: &str, input: &str, options: &CallOptions) -> u32 {
        let call = options.clone();
        let options = StepOptions { call, undo: UndoChoice::Declared, scope: 0, pivot: false };
        self.call_step(name, input, &options)
    }

    fn call_step(&self, name: &str, input: &str, options: &StepOptions) -> u32 {
        let task = self.request(Request::activity(name, input, options));
        self.schedule(task, name, input, options, false);
        task
    }

    fn call_orchestrator(&self, name: &str, input: &str, options: &StepOptions) -> u32 {
        let step = options.clone();
        self.call_child(
            name,
            input,
            &ChildOptions { step, id: None, version: None, tags: Vec::new() },
        )
    }

    fn call_child(&self, name: &str, input: &str, options: &ChildOptions) -> u32 {
        let task = self.request(Request::orchestrator(name, input, options));
        if self.locked.borrow().is_some() {
            self.refuse(task, "host.locks-held", "it waits for no child while it holds locks");
            return task;
        }
        self.children.borrow_mut().insert(task, options.clone());
        self.schedule(task, name, input, &options.step, true);
        task
    }

    fn start_orchestrator(&self, name: &str, input: &str, options: &StartOptions) -> String {
        let number = self.started.replace(self.started.get() + 1);
        let id = options.id.clone().unwrap_or_else(|| format!("{}-started-{number}", self.id));
        self.requests.borrow_mut().push(Request::Start {
            name: name.to_owned(),
            input: value(input),
            id: id.clone(),
            version: options.version.clone(),
            tags: options.tags.iter().cloned().collect(),
            start_at_ms: options.start_at_ms,
        });
        id
    }

    fn send_event(&self, instance: &str, name: &str, input: &str) {
        self.requests.borrow_mut().push(Request::SendEvent {
            instance: instance.to_owned(),
            name: name.to_owned(),
            input: value(input),
        });
        self.world.raise(instance, name, input);
    }

    fn continue_as_new(&self, input: &str, keep_events: bool) {
        let request = Request::ContinueAsNew { input: value(input), keep_events };
        self.requests.borrow_mut().push(request);
        self.continued.replace(Some((input.to_owned(), keep_events)));
    }

    fn call_http(&self, request: &str, options: &StepOptions) -> u32 {
        let task = self.request(Request::http(request, options));
        self.schedule(task, HTTP, request, options, false);
        task
    }

    fn call_entity(&self, entity: &types::EntityId, operation: &str, input: &str) -> u32 {
        let message = Message::new(entity, operation, input);
        let task = self.request(Request::CallEntity {
            entity: message.entity.clone(),
            operation: operation.to_owned(),
            input: value(input),
        });
        let held = self.locked.borrow();
        if held.as_ref().is_some_and(|held| !held.contains(&message.entity)) {
            self.refuse(task, "host.locks-held", "it holds locks, and not that of this entity");
        } else {
            self.push(task, 0, Work::Operation { message, signal: false });
        }
        task
    }

    fn signal_entity(
        &self,
        entity: &types::EntityId,
        operation: &str,
        input: &str,
        at_ms: Option<u64>,
    ) {
        let message = Message::new(entity, operation, input);
        self.requests.borrow_mut().push(Request::SignalEntity {
            entity: message.entity.clone(),
            operation: operation.to_owned(),
            input: value(input),
            at_ms,
        });
        match at_ms.filter(|at_ms| *at_ms > self.now_ms()) {
            Some(at_ms) => self.world.later(at_ms, message),
            None => self.push(u32::MAX, 0, Work::Operation { message, signal: true }),
        }
    }

    fn lock_entities(&self, entities: &[types::EntityId]) -> u32 {
        let entities: Vec<EntityId> =
            entities.iter().map(|entity| EntityId::new(&*entity.name, &*entity.key)).collect();
        let task = self.request(Request::Lock { entities: entities.clone() });
        if self.locked.borrow().is_some() {
            self.refuse(task, "host.locks-held", "it holds locks already");
        } else {
            self.locked.replace(Some(entities.into_iter().collect()));
            self.complete.borrow_mut().push_back((task, Ok("null".to_owned())));
        }
        task
    }

    fn unlock_entities(&self) {
        self.requests.borrow_mut().push(Request::Unlock);
        self.locked.take();
    }

    fn open_scope(&self, parent: u32) -> u32 {
        self.requests.borrow_mut().push(Request::Scope { parent });
        self.saga.borrow_mut().open(parent)
    }

    fn undo_in_parallel(&self, scope: u32) {
        self.requests.borrow_mut().push(Request::UndoInParallel { scope });
    }

    fn compensate(&self, scope: u32) -> u32 {
        let task = self.request(Request::Compensate { scope });
        if !self.saga.borrow().past_pivot() {
            self.stop(scope);
        }
        self.push(task, scope, Work::Undo);
        task
    }

    fn start_timer(&self, fire_at_ms: u64) -> u32 {
        let task = self.request(Request::Timer { fire_at_ms });
        self.timers.borrow_mut().insert((fire_at_ms, task));
        task
    }

    fn wait_event(&self, name: &str) -> u32 {
        let task = self.request(Request::Event { name: name.to_owned() });
        self.waits.borrow_mut().push_back((task, name.to_owned()));
        task
    }

    fn cancel(&self, task: u32) {
        self.requests.borrow_mut().push(Request::Cancel { task });
        self.timers.borrow_mut().retain(|(_, timer)| *timer != task);
        self.waits.borrow_mut().retain(|(wait, _)| *wait != task);
    }

    fn await_any(&self) -> (u32, Outcome) {
        self.turn.set(self.turn.get() + 1);
        loop {
            let complete = self.complete.borrow_mut().pop_front();
            if let Some(next) = complete.or_else(|| self.take_event()) {
                return next;
            }
            match self.run_next().or_else(|| self.fire()) {
                Some(Some(next)) => return next,
                // An entity did something: an event may be there now.
                Some(None) => {}
                None => panic!(
                    "the orchestrator waits for what does not come: {:?}",
                    self.waits.borrow()
                ),
            }
        }
    }

    fn now_ms(&self) -> u64 {
        self.world.now_ms.get()
    }

    fn new_uuid(&self) -> String {
        format!("00000000-0000-4000-8000-{:012x}", self.world.draw())
    }

    fn random_u64(&self) -> u64 {
        self.world.draw().wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn instance_id(&self) -> String {
        self.id.clone()
    }

    fn version(&self) -> Option<String> {
        self.version.borrow().clone()
    }

    fn tags(&self) -> Vec<(String, String)> {
        self.tags.borrow().clone().into_iter().collect()
    }

    fn is_replaying(&self) -> bool {
        false
    }

    fn set_custom_status(&self, status: &str) {
        self.status.replace(Some(value(status)));
    }

    fn log(&self, level: LogLevel, line: &str) {
        self.world.log.borrow_mut().push((level, line.to_owned()));
    }

    fn activity_instance_id(&self) -> String {
        self.world.invocation.borrow().instance.clone()
    }

    fn step(&self) -> u32 {
        self.world.invocation.borrow().step
    }

    fn attempt(&self) -> u32 {
        self.world.invocation.borrow().attempt
    }

    fn idempotency_key(&self) -> String {
        self.world.invocation.borrow().key.clone()
    }

    fn deadline_ms(&self) -> u64 {
        self.now_ms() + 60_000
    }

    fn trace_parent(&self) -> String {
        String::new()
    }

    fn is_undo(&self) -> bool {
        self.world.invocation.borrow().undone.is_some()
    }

    fn undone(&self) -> Option<UndoneStep> {
        self.world.invocation.borrow().undone.clone()
    }

    fn activity_log(&self, level: LogLevel, line: &str) {
        self.log(level, line);
    }
}
